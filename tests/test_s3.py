"""S3 as the runs see it: errors by their code, sources by name, prefix and glob, of one version."""

from __future__ import annotations

import asyncio
import functools
import time
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn, Self

import aiohttp
import pytest
from botocore.exceptions import (
    ConnectionClosedError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
)

from cefline import s3 as s3_module
from cefline.errors import CeflineError, ConfigError, SourceError, TryAgainError
from cefline.s3 import S3Settings, UnsureError
from cefline.sources import Source, fetch, find
from tests import sample
from tests.parts import FakeFs, answered, as_client

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.seaweed import S3

JSONL = sample.DATA / "sample.jsonl"


def unconnected() -> NoReturn:
    """Stand for the S3 client where none may be asked for."""
    raise AssertionError


@pytest.fixture
def connect(s3: S3, monkeypatch: pytest.MonkeyPatch) -> Callable[[], s3_module.Client]:
    """Return what gives a client of the test's corner."""
    for name, value in s3.env.items():
        monkeypatch.setenv(name, value)
    return functools.cache(functools.partial(s3_module.connect, S3Settings(attempts=1)))


@pytest.mark.parametrize(
    ("err", "exit_code"),
    [
        (answered("AccessDenied", 403), 78),
        (answered("403", 403), 78),
        (answered("SignatureDoesNotMatch", 403), 78),
        (answered("InvalidAccessKeyId", 403), 78),
        (answered("NoSuchBucket", 404), 78),
        (answered("PermanentRedirect", 301), 78),
        (answered("KMS.NotFoundException", 400), 78),
        (NoCredentialsError(), 78),
        (answered("SlowDown", 503), 75),
        (answered("InternalError", 500), 75),
        (answered("ConditionalRequestConflict", 409), 75),
        (answered("TooManyRequests", 429), 75),
        (answered("ExpiredToken", 400), 75),
        (EndpointConnectionError(endpoint_url="http://127.0.0.1:1"), 75),
        (ReadTimeoutError(endpoint_url="http://127.0.0.1:1"), 75),
        (ConnectionClosedError(endpoint_url="http://127.0.0.1:1"), 75),
        (answered("EntityTooLarge", 400), 1),
        (answered("InvalidObjectState", 403), 1),
        (answered("RequestTimeout", 400), 75),
        (answered("BadDigest", 400), 75),
        (answered("InvalidToken", 400), 78),
        (answered("AuthorizationHeaderMalformed", 400), 78),
        (TypeError("a fault of ours"), 1),
    ],
)
def test_an_error_ends_in_its_exit_code(err: Exception, exit_code: int) -> None:
    """What a retry can heal is 75, what only the user can is 78, and anything else is 1."""
    with pytest.raises(CeflineError, match="s3://cef/x") as caught:
        s3_module.call(as_client(FakeFs(err), attempts=1), "put_object", "s3://cef/x")
    assert caught.value.exit_code == exit_code


class Body:
    """The body of an answer; one that breaks off fails as it is read."""

    def __init__(self, content: bytes | Exception) -> None:
        self.content = content

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def read(self) -> bytes:
        if isinstance(self.content, Exception):
            raise self.content
        return self.content


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return a list of the waits between tries, which take no time."""
    made: list[float] = []
    monkeypatch.setattr(time, "sleep", made.append)
    return made


@pytest.mark.parametrize(
    "err",
    [
        answered("ConditionalRequestConflict", 409),
        answered("OperationAborted", 409),
        answered("SlowDown", 503),
        answered("InternalError", 500),
        answered("RequestTimeout", 400),
        answered("BadDigest", 400),
        answered("TooManyRequests", 429),
        EndpointConnectionError(endpoint_url="http://127.0.0.1:1"),
        ConnectionClosedError(endpoint_url="http://127.0.0.1:1"),
        ReadTimeoutError(endpoint_url="http://127.0.0.1:1"),
        ConnectionResetError(),
        TimeoutError(),
        aiohttp.ServerDisconnectedError(),
    ],
    ids=lambda err: f"{type(err).__name__}",
)
def test_what_may_pass_is_tried_again(waits: list[float], err: Exception) -> None:
    """Botocore gives up at 409 and does not see what breaks off; this does."""
    fs = FakeFs(err, err, {"ETag": "x"})
    assert s3_module.call(as_client(fs), "put_object", "s3://cef/x") == {"ETag": "x"}
    assert (len(fs.calls), len(waits)) == (3, 2)


@pytest.mark.parametrize(
    ("err", "unsure"),
    [
        (answered("InternalError", 500), True),
        (answered("BadGateway", 502), True),
        (ConnectionClosedError(endpoint_url="http://127.0.0.1:1"), True),
        (ReadTimeoutError(endpoint_url="http://127.0.0.1:1"), True),
        (ConnectionResetError(), True),
        (TimeoutError(), True),
        (aiohttp.ServerDisconnectedError(), True),
        (answered("ConditionalRequestConflict", 409), False),
        (answered("SlowDown", 503), False),
        (answered("TooManyRequests", 429), False),
        (answered("RequestTimeout", 400), False),
        (answered("BadDigest", 400), False),
        (EndpointConnectionError(endpoint_url="http://127.0.0.1:1"), False),
    ],
    ids=repr,
)
def test_who_must_be_sure_is_asked(waits: list[float], err: Exception, *, unsure: bool) -> None:
    """Where nothing was done it is tried again; where nothing tells, who called looks first."""
    fs = FakeFs(err, {"ETag": "x"})
    if unsure:
        with pytest.raises(UnsureError):
            s3_module.call(as_client(fs), "put_object", "s3://cef/x", sure=True)
    else:
        assert s3_module.call(as_client(fs), "put_object", "s3://cef/x", sure=True) == {"ETag": "x"}
    assert (len(fs.calls), len(waits)) == ((1, 0) if unsure else (2, 1))


@pytest.mark.parametrize(
    ("code", "status", "exit_code"),
    [
        ("ExpiredToken", 400, 75),
        ("RequestTimeTooSkewed", 403, 75),
        ("AccessDenied", 403, 78),
        ("NoSuchBucket", 404, 78),
        ("SignatureDoesNotMatch", 403, 78),
        ("PreconditionFailed", 412, 1),
        ("NoSuchKey", 404, 1),
        ("EntityTooLarge", 400, 1),
    ],
)
def test_what_does_not_pass_is_tried_once(
    waits: list[float], code: str, status: int, exit_code: int
) -> None:
    """Someone must log in, set the clock or correct a setting; eight tries only cost time."""
    fs = FakeFs(answered(code, status))
    with pytest.raises(CeflineError) as caught:
        s3_module.call(as_client(fs), "put_object", "s3://cef/x")
    assert caught.value.exit_code == exit_code
    assert (len(fs.calls), waits) == (1, [])


@pytest.mark.parametrize("attempts", [1, 2, 8])
def test_as_many_tries_as_were_asked_for(waits: list[float], attempts: int) -> None:
    """Then it is exit code 75; there is no layer of retries below this one."""
    fs = FakeFs(answered("SlowDown", 503))
    with pytest.raises(TryAgainError, match="SlowDown"):
        s3_module.call(as_client(fs, attempts), "put_object", "s3://cef/x")
    assert (len(fs.calls), len(waits)) == (attempts, attempts - 1)


def test_waits_double_with_jitter_up_to_a_bound(waits: list[float]) -> None:
    """So that many hosts don't come back in step."""
    for _ in range(30):
        with pytest.raises(TryAgainError):
            s3_module.call(as_client(FakeFs(answered("SlowDown", 503))), "put_object", "s3://cef/x")
    by_try = [waits[number::7] for number in range(7)]
    for number, drawn in enumerate(by_try):
        assert 0 < min(drawn) <= max(drawn) <= min(5.0, 0.2 * 2**number)
        assert len(set(drawn)) > 20


def test_tries_end_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many are left."""
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(time, "sleep", lambda _: clock.__setitem__(0, clock[0] + 4.0))
    fs = FakeFs(answered("SlowDown", 503))
    with pytest.raises(TryAgainError):
        s3_module.call(as_client(fs, 20, 10.0), "put_object", "s3://cef/x")
    assert len(fs.calls) == 4


def test_a_request_that_hangs_ends_at_the_deadline() -> None:
    """A server that takes a request and never answers is exit code 75."""

    class Hanging(FakeFs):
        async def _call_s3(self, method: str, **arguments: Any) -> dict[str, Any]:  # noqa: ANN401 - any
            self.calls.append({"method": method, **arguments})
            await asyncio.sleep(60)
            return {}

    fs, began = Hanging({}), time.monotonic()
    with pytest.raises(TryAgainError, match="can't be reached"):
        s3_module.call(as_client(fs, 8, 0.2), "put_object", "s3://cef/x")
    assert len(fs.calls) == 1
    assert time.monotonic() - began < 5


def test_a_body_that_breaks_off_is_fetched_again(waits: list[float]) -> None:
    """Half of an object is no object: the whole request is repeated."""
    fs = FakeFs(
        {"Body": Body(aiohttp.ClientPayloadError("cut off"))},
        {"Body": Body(ConnectionResetError())},
        {"Body": Body(b"whole")},
    )
    assert s3_module.get(as_client(fs), "s3://cef/x", Range="bytes=0-4") == b"whole"
    assert [call["Range"] for call in fs.calls] == ["bytes=0-4"] * 3
    assert len(waits) == 2


def test_a_listing_that_fails_on_its_way_goes_on(waits: list[float]) -> None:
    """With the page that failed; nothing comes twice."""
    fs = FakeFs(
        {"Contents": [{"Key": "a"}], "IsTruncated": True, "NextContinuationToken": "t1"},
        answered("SlowDown", 503),
        {"Contents": [{"Key": "b"}], "IsTruncated": False},
    )
    assert [o["Key"] for o in s3_module.listing(as_client(fs), "s3://cef/p/")] == ["a", "b"]
    assert [call.get("ContinuationToken") for call in fs.calls] == [None, "t1", "t1"]
    assert len(waits) == 1


def test_a_listing_begins_beyond_a_key() -> None:
    """The later pages go by their token alone."""
    fs = FakeFs(
        {"IsTruncated": True, "NextContinuationToken": "t1"},
        {"Contents": [], "IsTruncated": False},
    )
    assert list(s3_module.listing(as_client(fs), "s3://cef/p/", "p/7")) == []
    assert [call.get("StartAfter") for call in fs.calls] == ["p/7", None]


def test_a_connection_has_no_retries_and_no_memory_of_its_own(
    connect: Callable[[], s3_module.Client],
) -> None:
    """One layer of retries, no listing that was cached, no instance that others share."""
    one = connect()
    other = s3_module.connect(S3Settings(attempts=3, deadline=7.0))
    assert one.fs is not other.fs
    assert (other.attempts, other.deadline) == (3, 7.0)
    assert other.fs.s3.meta.config.retries["total_max_attempts"] == 1
    assert other.fs.retries == 1
    assert other.fs.dircache.use_listings_cache is False


def test_a_listing_goes_through_all_pages() -> None:
    """Nothing is lost behind the first thousand keys."""
    fs = FakeFs(
        {"Contents": [{"Key": "a"}], "IsTruncated": True, "NextContinuationToken": "t1"},
        {"IsTruncated": True, "NextContinuationToken": "t2"},
        {"Contents": [{"Key": "b"}], "IsTruncated": False},
    )
    assert [o["Key"] for o in s3_module.listing(as_client(fs), "s3://cef/p/")] == ["a", "b"]
    assert [call.get("ContinuationToken") for call in fs.calls] == [None, "t1", "t2"]
    assert {call["Prefix"] for call in fs.calls} == {"p/"}


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://s3.example.invalid",
        "http://localhost.example.invalid",
        "http://127.0.0.1.example.invalid:80",
        "http://192.168.1.1:9000",
        "HTTP://s3.example.invalid",
    ],
)
def test_an_unencrypted_endpoint_is_refused(
    connect: Callable[[], s3_module.Client], endpoint: str
) -> None:
    """Evidence is not sent in the clear to anything but this machine, unless that is asked for."""
    connect()
    with pytest.raises(ConfigError, match="not encrypted") as caught:
        s3_module.connect(S3Settings(endpoint=endpoint))
    assert "allow_http" in str(caught.value)
    assert s3_module.connect(S3Settings(endpoint=endpoint, allow_http=True)) is not None


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://127.0.0.1:9000",
        "http://localhost",
        "http://[::1]:9000/",
        "https://s3.example.invalid",
    ],
)
def test_loopback_and_encrypted_endpoints_are_taken(
    connect: Callable[[], s3_module.Client], endpoint: str
) -> None:
    """Test servers and gateways on this machine need no certificate."""
    connect()
    assert s3_module.connect(S3Settings(endpoint=endpoint)) is not None


def test_a_password_in_the_endpoint_is_not_shown(
    connect: Callable[[], s3_module.Client],
) -> None:
    """Messages go to logs that many can read."""
    connect()
    with pytest.raises(ConfigError) as caught:
        s3_module.connect(S3Settings(endpoint="http://me:hunter2@s3.example.invalid"))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "settings", [S3Settings(profile="nobody"), S3Settings(endpoint="127.0.0.1:9000")]
)
def test_settings_that_can_t_be_are_told(settings: S3Settings) -> None:
    """A profile that does not exist, an endpoint that is no URL: exit code 78."""
    with pytest.raises(ConfigError, match="can't be set up") as caught:
        s3_module.connect(settings)
    assert caught.value.exit_code == 78


def test_a_bucket_s_impossible_name_is_told_as_such(
    connect: Callable[[], s3_module.Client],
) -> None:
    """The advice is about the bucket, not about credentials."""
    with pytest.raises(ConfigError) as caught:
        list(s3_module.listing(connect(), "s3://not a bucket/x"))
    assert "AWS_ACCESS_KEY_ID" not in str(caught.value)


@pytest.fixture
def exports(s3: S3) -> S3:
    """Put some sources, and what is none, under the test's corner."""
    for name in (
        "exports/a.jsonl",
        "exports/b.parquet",
        "exports/sub/c.json.gz",
        "exports/sub/_old/d.jsonl",
        "exports/.hidden.jsonl",
        "exports/readme.txt",
        "exports-2/e.jsonl",
        "exports/odd[1].jsonl",
    ):
        s3.put(name, name.encode())
    return s3


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("exports/a.jsonl", ["exports/a.jsonl"]),
        ("exports/readme.txt", ["exports/readme.txt"]),  # an exact name is taken as it is
        ("exports/.hidden.jsonl", ["exports/.hidden.jsonl"]),
        ("exports/odd[1].jsonl", ["exports/odd[1].jsonl"]),
        (
            "exports",
            [
                "exports/a.jsonl",
                "exports/b.parquet",
                "exports/odd[1].jsonl",
                "exports/sub/c.json.gz",
            ],
        ),
        ("exports/sub/", ["exports/sub/c.json.gz"]),
        ("exports*/e.jsonl", ["exports-2/e.jsonl"]),
        ("exports/?.parquet", ["exports/b.parquet"]),
        ("exports/[ab].*", ["exports/a.jsonl", "exports/b.parquet"]),
        ("nothing*", []),
        ("exports/*.jsonl", ["exports/a.jsonl", "exports/odd[1].jsonl"]),
    ],
)
def test_sources_are_found_on_s3_as_they_are_locally(
    exports: S3,
    connect: Callable[[], s3_module.Client],
    tmp_path: Path,
    name: str,
    found: list[str],
) -> None:
    """By name, folder or glob, each once, the same ones as in a folder of the same content."""
    for key in exports.sizes():
        path = tmp_path / key.removeprefix(f"{exports.prefix}/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(key)
    here = [s.url.removeprefix(f"{tmp_path}/") for s in find([f"{tmp_path}/{name}"], connect)]
    there = find([f"{exports.url}/{name}"] * 2, connect)
    assert sorted(here) == found
    assert sorted(s.url.removeprefix(f"{exports.url}/") for s in there) == found


@pytest.mark.parametrize("name", ["nothing.jsonl", "exports-3", "exports-2/e", "exports/a"])
def test_a_name_without_an_object_is_told(
    exports: S3, connect: Callable[[], s3_module.Client], name: str
) -> None:
    """What only begins like an object is no folder."""
    with pytest.raises(SourceError, match="no such file"):
        find([f"{exports.url}/{name}"], connect)


@pytest.mark.parametrize("name", ["gs://b/x", "http://h/x", "simplecache::s3://b/x", "zip://x::y"])
def test_other_schemes_are_refused(name: str) -> None:
    """Sources are local or on S3; a chain of filesystems could reach anything."""
    with pytest.raises(CeflineError, match="local files or s3:// objects") as caught:
        find([name], unconnected)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("size", [0, 1, 10, 11, 35])
def test_an_object_is_fetched_in_ranges(
    s3: S3,
    connect: Callable[[], s3_module.Client],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    size: int,
) -> None:
    """Whatever its size, the file has its bytes, and the identity that a local file would have."""
    monkeypatch.setattr(import_module("cefline.sources"), "_RANGE", 10)
    body = bytes(range(size))
    url = s3.put("a.jsonl", body)
    path = tmp_path / "same.jsonl"
    path.write_bytes(body)
    (source,) = find([url], connect)
    local = fetch(source, tmp_path, connect)
    assert local.path.read_bytes() == body
    (same,) = find([str(path)], connect)
    assert local.sha256 == fetch(same, tmp_path, connect).sha256


@pytest.mark.parametrize(
    "gone",
    [
        True,
        False,
    ],
)
def test_an_object_that_changes_is_not_read_as_a_mix(
    s3: S3, connect: Callable[[], s3_module.Client], tmp_path: Path, *, gone: bool
) -> None:
    """Every range is of the version that was listed, or the source fails and says why."""
    (source,) = find([s3.put("a.jsonl", b"old")], connect)
    if gone:
        s3.client.delete_object(Bucket=s3.bucket, Key=f"{s3.prefix}/a.jsonl")
    else:
        s3.put("a.jsonl", b"new")
    with pytest.raises(SourceError, match="changed or went while it was fetched"):
        fetch(source, tmp_path, connect)


@pytest.mark.parametrize(
    ("listed", "says"), [([], "changed or went"), ([{"Key": "a.jsonl"}], "access denied")]
)
def test_a_source_that_went_is_not_taken_for_missing_rights(
    tmp_path: Path, listed: list[dict[str, str]], says: str
) -> None:
    """S3 answers 403 for a missing key to those who may list only some prefixes."""
    fs = FakeFs(answered("AccessDenied", 403), {"Contents": listed})
    source = Source("s3://cef/a.jsonl", 1, "v")
    with pytest.raises(CeflineError, match=says):
        fetch(source, tmp_path, lambda: as_client(fs))


def test_a_changed_object_is_refused_by_its_version(
    s3: S3, connect: Callable[[], s3_module.Client], tmp_path: Path
) -> None:
    """The size alone would not tell."""
    (source,) = find([s3.put("a.jsonl", b"old")], connect)
    s3.put("a.jsonl", b"new")
    with pytest.raises(CeflineError) as caught:
        fetch(source, tmp_path, connect)
    assert not isinstance(caught.value, TryAgainError)


def test_a_source_that_the_disk_does_not_hold_is_a_reason_to_try_again(
    s3: S3,
    connect: Callable[[], s3_module.Client],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A full disk is exit code 75, and no shorter source."""

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    (source,) = find([s3.put("a.jsonl", JSONL.read_bytes())], connect)
    monkeypatch.setattr("os.pwrite", full)
    with pytest.raises(TryAgainError):
        fetch(source, tmp_path, connect)


def test_a_short_write_does_not_shorten_the_source(
    s3: S3,
    connect: Callable[[], s3_module.Client],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The system may write less than it was given; the rest has to follow, or the source fails."""
    from os import pwrite

    def short(descriptor: int, body: bytes, at: int) -> int:
        return pwrite(descriptor, body[: max(len(body) // 2, 1)], at)

    body = JSONL.read_bytes()
    (source,) = find([s3.put("a.jsonl", body)], connect)
    monkeypatch.setattr("os.pwrite", short)
    assert fetch(source, tmp_path, connect).path.read_bytes() == body


def test_a_local_source_that_goes_while_it_is_read_is_told(tmp_path: Path) -> None:
    """It is a source that changed, and stops no other."""
    from cefline.sources import Local, check_unchanged

    gone = Local(Source(str(tmp_path / "a.jsonl"), 1, "1-1"), tmp_path / "a.jsonl", "00")
    with pytest.raises(SourceError):
        check_unchanged(gone)
