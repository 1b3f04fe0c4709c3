"""What needs no Airflow of the tasks for it: batches, and what it reads of the package."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import traceback
from importlib.metadata import entry_points
from itertools import accumulate
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any, NoReturn

import botocore.exceptions as boto
import pytest
from botocore.credentials import ReadOnlyCredentials
from hypothesis import given
from hypothesis import strategies as st

import cefline
from cefline.airflow.batches import batches, name
from cefline.airflow.connection import connected
from cefline.errors import CeflineError, ConfigError, TryAgainError

if TYPE_CHECKING:
    from collections.abc import Callable

MIB = 1 << 20
ROOT = Path(__file__).resolve().parent.parent


class _NotFoundError(Exception):
    """Airflow's, where there is no such Connection."""


def hooked(
    monkeypatch: pytest.MonkeyPatch, session: Callable[[], Any], masked: list[str] | None = None
) -> None:
    """Stand in for what `connection.py` imports of Airflow: a hook whose session is given."""
    config = SimpleNamespace(get_service_endpoint_url=lambda _: "https://s3.example.com")
    hook = SimpleNamespace(get_session=session, conn_config=config, region_name=None)
    modules: dict[str, dict[str, Any]] = {
        "airflow.providers.amazon.aws.hooks.base_aws": {"AwsGenericHook": lambda **_: hook},
        "airflow.sdk": {"BaseHook": SimpleNamespace(get_connection=lambda _: None)},
        "airflow.sdk.exceptions": {"AirflowNotFoundException": _NotFoundError},
        "airflow.sdk.log": {"mask_secret": ([] if masked is None else masked).append},
    }
    for full, content in modules.items():
        for above in accumulate(full.split("."), "{}.{}".format):
            if above not in modules:
                monkeypatch.setitem(sys.modules, above, ModuleType(above))
        module = ModuleType(full)
        module.__dict__.update(content)
        monkeypatch.setitem(sys.modules, full, module)


def failing(err: Exception) -> Callable[[], Any]:
    def session() -> NoReturn:
        raise err

    return session


def answer(code: str, status: int = 403) -> boto.ClientError:
    said = {
        "Error": {"Code": code, "Message": "hunter2 may not"},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return boto.ClientError(said, "AssumeRole")


def piece(size: int, url: str = "s3://b/a.parquet") -> dict[str, Any]:
    return {"order": 1, "url": url, "source": {"size": size}, "begin": 0, "end": size}


def split(size: int, number: int = 1, of: int = 1) -> dict[str, Any]:
    return {
        "url": "s3://b/a.parquet",
        "source": {"size": size},
        "split": {"number": number, "of": of},
    }


items = st.lists(
    st.one_of(
        st.integers(0, 1 << 40).map(piece),
        st.builds(split, st.integers(0, 1 << 40), of=st.integers(1, 9)),
        st.just({"url": "a", "error": {}}),
        st.just({"url": "a", "split": None}),
    )
)


@given(items, st.integers(1, 1 << 40), st.integers(1, 9))
def test_batches_hold_all_in_order_and_are_not_too_many(
    items: list[dict[str, Any]], size: int, most: int
) -> None:
    found = batches(items, size, most)
    assert [item for batch in found for item in batch] == items
    assert all(found)
    assert len(found) <= most


def test_batches_are_as_large_as_is_worth_a_task() -> None:
    """Small sources count for a mebibyte, and what is no work for nothing."""
    sizes = [3 * MIB, 10, 10, 0, 4 * MIB, 9 * MIB, 1]
    known = {"url": "a", "split": None}
    found = batches([piece(size) for size in sizes] + [known], 4 * MIB, 1024)
    assert [[item.get("end") for item in batch] for batch in found] == [
        [3 * MIB, 10],
        [10, 0, 4 * MIB],
        [9 * MIB],
        [1, None],
    ]
    assert len(batches([split(64 * MIB, n, 16) for n in range(16)], 4 * MIB, 1024)) == 16
    assert len(batches([split(64 * MIB, n, 16) for n in range(16)], 4 * MIB, 3)) == 3


@pytest.mark.parametrize(
    ("batch", "shown"),
    [
        ([piece(1)], "a.parquet"),
        ([piece(1), piece(2)], "a.parquet and 1 more"),
        ([split(9, 2, 7)], "a.parquet 2/7"),
        ([piece(1, "s3://b/" + "x" * 300)], "x" * 60),
        ([piece(1, "/in/a\x1b[31m.json")], "a\\x1b[31m.json"),
    ],
)
def test_a_batch_is_called_by_its_first_file(batch: list[dict[str, Any]], shown: str) -> None:
    assert name(batch) == shown


def test_airflow_finds_the_provider() -> None:
    (entry,) = entry_points(group="apache_airflow_provider", name="provider_info")
    told = entry.load()()
    assert (told["package-name"], told["versions"]) == ("cefline", [cefline.__version__])
    assert told["name"]
    assert told["description"]


def test_its_lock_has_what_cefline_needs() -> None:
    """In the versions that all else is tested with."""
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {re.match(r"[\w-]+", one)[0] for one in needed["dependencies"]}  # type: ignore[index]
    own, airflows = (
        dict(re.findall(r"^([\w-]+)==([\w.]+)", (ROOT / file).read_text("utf-8"), re.MULTILINE))
        for file in ("requirements.lock", "requirements-airflow.lock")
    )
    assert {name: airflows.get(name) for name in names} == {name: own[name] for name in names}


def test_importing_it_imports_nothing_else() -> None:
    """Neither Airflow, which looks for providers at each start, nor what converts."""
    program = "import sys, cefline.airflow.provider; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    modules = {module.partition(".")[0] for module in done.stdout.split()}
    assert not modules & {"airflow", "botocore", "fsspec", "polars", "pyarrow", "s3fs"}


# The Connection.


@pytest.mark.parametrize(
    ("err", "kind", "code"),
    [
        (answer("AccessDenied"), ConfigError, "AccessDenied"),
        (answer("Throttling", 400), TryAgainError, "Throttling"),
        (answer("ThrottlingException", 400), TryAgainError, "ThrottlingException"),
        (answer("ExpiredToken", 403), TryAgainError, "ExpiredToken"),
        (answer("InternalFailure", 500), TryAgainError, "InternalFailure"),
        (answer("TooManyRequestsException", 429), TryAgainError, "TooManyRequestsException"),
        (answer("RequestTimeTooSkewed", 403), TryAgainError, "RequestTimeTooSkewed"),
        (OSError("hunter2"), TryAgainError, "OSError"),
        (RuntimeError("hunter2"), TryAgainError, "RuntimeError"),
        (ValueError("hunter2"), ConfigError, "ValueError"),
        (boto.ProfileNotFound(profile="hunter2"), ConfigError, "ProfileNotFound"),
        (boto.UnauthorizedSSOTokenError(), TryAgainError, "UnauthorizedSSOTokenError"),
        (boto.NoCredentialsError(), ConfigError, "NoCredentialsError"),
        (
            boto.EndpointConnectionError(endpoint_url="https://hunter2@sts"),
            TryAgainError,
            "EndpointConnectionError",
        ),
        (
            boto.ConnectTimeoutError(endpoint_url="https://hunter2@sts"),
            TryAgainError,
            "ConnectTimeoutError",
        ),
        (
            boto.ReadTimeoutError(endpoint_url="https://hunter2@sts"),
            TryAgainError,
            "ReadTimeoutError",
        ),
        (NotImplementedError("assume_role_method=hunter2"), ConfigError, "NotImplementedError"),
        (AttributeError("hunter2"), ConfigError, "AttributeError"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_connection_that_gives_no_credentials_is_told_by_a_code(
    monkeypatch: pytest.MonkeyPatch, err: Exception, kind: type[CeflineError], code: str
) -> None:
    """What no retry heals is 78, and no text of others is told: it may hold secrets."""
    hooked(monkeypatch, failing(err))
    with pytest.raises(kind) as caught, connected("cefline_s3"):
        pass
    assert f"'cefline_s3' gives no credentials: {code}" in str(caught.value)
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


def test_a_connection_without_credentials_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    hooked(monkeypatch, lambda: SimpleNamespace(get_credentials=lambda: None))
    with pytest.raises(ConfigError, match="has no credentials, nor has the worker"):
        connected("cefline_s3").__enter__()


def test_credentials_are_masked_and_there_while_the_task_works(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    frozen = ReadOnlyCredentials("key", "secret", "token")
    found = SimpleNamespace(get_frozen_credentials=lambda: frozen)
    masked: list[str] = []
    hooked(monkeypatch, lambda: SimpleNamespace(get_credentials=lambda: found), masked)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "mine")
    with connected("cefline_s3") as place:
        assert place == {"endpoint": "https://s3.example.com"}
        assert [os.environ[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN")] == [
            "key",
            "token",
        ]
    assert os.environ["AWS_ACCESS_KEY_ID"] == "mine"
    assert "AWS_SESSION_TOKEN" not in os.environ
    assert masked == ["secret", "token"]
