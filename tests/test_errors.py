"""Errors: told to other machines and later runs, and logged without what is in an event."""

from __future__ import annotations

import json

import pytest

from cefline import errors
from cefline.deliver.store import MissingError
from cefline.errors import CeflineError, failed_before, of_told

KINDS = [
    errors.CeflineError,
    errors.UsageError,
    errors.SourceError,
    errors.TruncatedError,
    errors.TooManyRejectsError,
    errors.DeliveryError,
    errors.TryAgainError,
    errors.ConfigError,
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sample", ["", "it begins with b'x'"])
def test_an_error_comes_back_as_it_was_told(kind: type[CeflineError], sample: str) -> None:
    err = kind("a is wrong", hint="Look at it", sample=sample).about("s3://b/a")
    found = of_told(json.loads(json.dumps(err.told())))
    assert type(found) is kind
    assert (str(found), found.hint, found.exit_code) == (str(err), err.hint, err.exit_code)
    assert (found.sample, found.logged()) == (sample, err.logged())


def test_an_error_of_another_module_is_told_as_its_nearest_kind() -> None:
    err = MissingError("gone")
    assert type(of_told(err.told())) in KINDS
    assert isinstance(err, type(of_told(err.told())))
    assert of_told(err.told()).exit_code == err.exit_code


@pytest.mark.parametrize(
    ("kind", "code", "expected"),
    [
        ("os.system", 78, errors.ConfigError),
        ("", 75, errors.TryAgainError),
        (None, 3, errors.TooManyRejectsError),
        ("KeyError", 1, errors.SourceError),
        ("LaterError", 9, errors.SourceError),
    ],
)
def test_a_kind_that_is_not_known_is_that_of_its_exit_code(
    kind: str | None, code: int, expected: type[CeflineError]
) -> None:
    """No name is looked up anywhere: it may come from anyone."""
    said = {"message": "no", "hint": "", "exit_code": code}
    assert type(of_told(said if kind is None else {**said, "kind": kind})) is expected


def test_a_sample_is_told_and_not_logged() -> None:
    err = errors.SourceError("a is no timeline", hint="Export it again", sample="it has hunter2")
    assert str(err) == "a is no timeline: it has hunter2. Export it again"
    again = failed_before(err)
    assert str(again).startswith("failed before: a is no timeline: it has hunter2. Export it again")
    for one in (err, err.about("/x/b"), again):
        assert "hunter2" in one.message
        assert "hunter2" not in one.logged()
        assert "Export it again" in one.logged()
