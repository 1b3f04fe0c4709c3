"""What is known of sources: in names alone, and whatever else lies beside them."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cefline.deliver.seen import Seen, error, failure_key, load, remember, source_key
from cefline.errors import SourceError, TooManyRejectsError
from cefline.sources import Source
from tests.parts import TEXT, local_store, s3_store

if TYPE_CHECKING:
    from pathlib import Path

    from cefline.deliver.store import LocalStore, Store

K, D = "c" * 32, "d" * 32
DONE = Seen(K, D, "done", (41, 300, 2, 3, 9999), "20260112T101500Z")
KNOWN, FAILED = Seen(K, D, "known", (0,)), Seen(K, D, "failed", (3,), "5e77")
TAGGED = Seen(K, D, "tagged", (0,))


@pytest.fixture
def state(tmp_path: Path) -> LocalStore:
    """Return a state without anything in it."""
    return local_store(tmp_path / "state")


@pytest.mark.parametrize("kind", ["local", "s3"])
@pytest.mark.parametrize("seen", [DONE, KNOWN, FAILED], ids=lambda seen: seen.outcome)
def test_what_was_remembered_is_loaded(
    kind: str, seen: Seen, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of it is in the name, so that one listing is enough."""
    if kind == "s3":
        state: Store = s3_store(request.getfixturevalue("s3"), monkeypatch)
    else:
        state = request.getfixturevalue("state")
    assert load(state) == {}
    remember(state, seen, {"url": "a.jsonl"})
    remember(state, seen, {"url": "a.jsonl", "error": "another"})
    key = failure_key(K, seen.stamp) if seen.outcome == "failed" else K
    assert load(state) == {key: seen}


@pytest.mark.parametrize("order", list(itertools.permutations([DONE, FAILED])))
@pytest.mark.parametrize("other", ["0" * 32, "f" * 32])
def test_what_was_delivered_goes_before_what_failed(
    state: LocalStore, order: list[Seen], other: str
) -> None:
    """A source that failed and was tried again is done, whichever name a listing has first."""
    for seen in order:
        delivery = seen.delivery if seen.outcome == "done" else other
        remember(state, replace(seen, delivery=delivery), {})
    assert load(state)[K].outcome == "done"


@pytest.mark.parametrize("seen", [DONE, KNOWN], ids=lambda seen: seen.outcome)
def test_a_source_that_was_tagged_is_still_what_it_was(state: LocalStore, seen: Seen) -> None:
    """The tag is said beside it; alone it says nothing."""
    remember(state, TAGGED, {})
    assert load(state) == {}
    remember(state, seen, {})
    assert load(state) == {K: replace(seen, tagged=True)}


def test_what_was_delivered_goes_before_what_is_known(state: LocalStore) -> None:
    """Of a source with two deliveries the one that was its own."""
    for seen in (DONE, replace(KNOWN, delivery="e" * 32), replace(KNOWN, delivery="0" * 32)):
        remember(state, seen, {})
    assert load(state) == {K: DONE}


def test_a_failure_is_known_under_its_settings(state: LocalStore) -> None:
    """Each of them has a message of its own."""
    other = replace(FAILED, stamp="9999", numbers=(1,))
    for number, seen in enumerate((FAILED, other)):
        remember(state, seen, {"error": "", "told": SourceError(f"error {number}").told()})
    assert load(state) == {failure_key(K, "5e77"): FAILED, failure_key(K, "9999"): other}
    assert [error(state, seen).message for seen in (FAILED, other)] == ["error 0", "error 1"]


def test_the_error_of_a_source_is_kept(state: LocalStore) -> None:
    """It is told again, without reading the source again."""
    assert error(state, FAILED).exit_code == 3
    err = TooManyRejectsError("20 of 20 rows rejected", hint="Look at them")
    remember(state, FAILED, {"url": "a.jsonl", "error": str(err), "told": err.told()})
    assert str(error(state, FAILED)) == str(err)


def test_an_error_that_an_earlier_version_kept_is_told_and_not_logged(state: LocalStore) -> None:
    remember(state, FAILED, {"url": "a.jsonl", "error": "a.jsonl has hunter2"})
    found = error(state, FAILED)
    assert (found.exit_code, "a.jsonl has hunter2" in str(found)) == (3, True)
    assert "hunter2" not in found.logged()


@pytest.mark.parametrize(
    "name",
    ["readme", "a-b", "a-b-done", f"{K}-{D}-broken-1", "-", "a/b", f"{K}-{D}-DONE-1"],
)
def test_a_name_that_is_not_ours_is_left_alone(state: LocalStore, name: str) -> None:
    """Something else may lie there; nothing is known from it."""
    state.create(f"seen/{name}", b"", TEXT, {})
    remember(state, DONE, {})
    assert load(state) == {K: DONE}


@pytest.mark.parametrize("numbers", ["x", "", "1_", "1_x", "1.json"])
def test_numbers_that_are_none_are_left_alone(state: LocalStore, numbers: str) -> None:
    """As any other name that is not ours."""
    state.create(f"seen/{K}-{D}-done-{numbers}", b"", TEXT, {})
    assert load(state) == {}


SOURCES = st.tuples(
    st.text(max_size=3), st.integers(0, 9), st.text(max_size=3), st.text(max_size=3)
)


@given(SOURCES, SOURCES)
def test_another_version_has_another_name(
    one: tuple[str, int, str, str], other: tuple[str, int, str, str]
) -> None:
    """Of place, size, version or variant; NUL, which none of them holds, keeps them apart."""
    if not any("\0" in str(part) for part in (*one, *other)):
        assert (source_key(*one) == source_key(*other)) == (one == other)


def test_a_source_s_name_in_the_state_depends_on_its_variant() -> None:
    """The same file for another evidence is to be read again; without one nothing changes."""
    source = Source("a.jsonl", 1, "1-1")
    plain = source.key({"evidence_id": None, "redeliver": None})
    keys = {
        plain,
        source.key({"evidence_id": 1, "redeliver": None}),
        source.key({"evidence_id": 2, "redeliver": None}),
        source.key({"evidence_id": None, "redeliver": "x"}),
        source.key({"evidence_id": 1, "redeliver": "x"}),
    }
    assert len(keys) == 5
    assert plain == source_key("a.jsonl", 1, "1-1", "")


def test_evidence_zero_is_an_evidence() -> None:
    """Zero is a number, and no absence of one."""
    source = Source("a.jsonl", 1, "1-1")
    variants = [{"evidence_id": number, "redeliver": None} for number in (None, 0)]
    assert len({source.key(variant) for variant in variants}) == 2
