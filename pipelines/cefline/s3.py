"""Our own S3 client: built from settings, one layer of retries, no caches, errors that tell.

s3fs gives the client (`call_s3`) and nothing of its behaviour: its retries, listing cache and
shared instances are off, and its file objects are never used: they publish truncated objects.
botocore's retries are off as well: they know neither 409 nor a body that breaks off.
"""

from __future__ import annotations

import logging
import random
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

from cefline.answers import (
    LOGIN,
    ChangedError,
    DeniedError,
    ExistsError,
    LaterError,
    UnsureError,
    masked,
    no_login,
    translated,
)
from cefline.errors import ConfigError, TryAgainError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    import s3fs


T = TypeVar("T")

__all__ = [
    "ChangedError",
    "Client",
    "DeniedError",
    "ExistsError",
    "LaterError",
    "S3Settings",
    "UnsureError",
    "byte_range",
    "call",
    "check_encryption",
    "connect",
    "get",
    "listing",
    "pause",
    "refuse_plain",
    "split",
]
"""With the errors that these raise."""


@dataclass(frozen=True, slots=True)
class S3Settings:
    """How to reach S3 and what each object gets; None is left to where AWS tools look.

    Credentials never stand here.
    """

    endpoint: str | None = None
    profile: str | None = None
    region: str | None = None
    sse: str | None = None
    sse_kms_key_id: str | None = None
    acl: str | None = None
    storage_class: str | None = None
    tags: str | None = None
    connect_timeout: float = 5.0
    read_timeout: float = 60.0
    attempts: int = 8
    deadline: float = 600.0
    allow_http: bool = False

    def put_arguments(self) -> dict[str, str]:
        """Return what goes with every PutObject."""
        given = {
            "ServerSideEncryption": self.sse,
            "SSEKMSKeyId": self.sse_kms_key_id,
            "ACL": self.acl,
            "StorageClass": self.storage_class,
            "Tagging": self.tags,
        }
        return {name: value for name, value in given.items() if value is not None}


def _untold() -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class Client:
    """A client of its own, and how long it tries."""

    fs: s3fs.S3FileSystem
    attempts: int = 8
    deadline: float = 600.0
    """Seconds in which a request and its retries must be through."""
    retried: Callable[[], None] = _untold
    """Is called, from any thread, for each failure that another try answers."""


def connect(settings: S3Settings, retried: Callable[[], None] = _untold) -> Client:
    """Return a client of its own for these settings, and what its retries are told to.

    Raises:
        ConfigError: the settings name a profile that does not exist.
    """
    import botocore.exceptions as boto
    import s3fs

    for name in ("botocore.credentials", "aiobotocore.credentials"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # they log tracebacks; we tell

    config = {
        "retries": {"mode": "standard", "total_max_attempts": 1},  # ours is the one layer
        "connect_timeout": settings.connect_timeout,
        "read_timeout": settings.read_timeout,
        "max_pool_connections": 16,
    }
    region = {"region_name": settings.region} if settings.region else {}
    try:
        fs = s3fs.S3FileSystem(
            endpoint_url=settings.endpoint,
            profile=settings.profile,
            client_kwargs=region,
            config_kwargs=config,
            use_listings_cache=False,
            skip_instance_cache=True,
        )
        fs.retries = 1
        fs.connect()
    except no_login() as err:
        raise LaterError(f"no S3 credentials: {masked(str(err))}", hint=LOGIN) from err
    except (boto.BotoCoreError, ValueError) as err:
        message = f"S3 can't be set up: {err}"
        raise ConfigError(message, hint="Check AWS_PROFILE, the region and the endpoint") from err
    refuse_plain(str(fs.s3.meta.endpoint_url), allow=settings.allow_http)
    return Client(fs, settings.attempts, settings.deadline, retried)


def refuse_plain(endpoint: str, *, allow: bool) -> None:
    """Refuse to send evidence unencrypted, wherever the endpoint was set.

    Raises:
        ConfigError: it is plain http to another machine.
    """
    plain = endpoint.lower().startswith("http://") and not re.match(_LOOPBACK, endpoint.lower())
    if plain and not allow:
        message = f"the endpoint {masked(endpoint)} is not encrypted"
        raise ConfigError(message, hint="Use https, or set s3.allow_http = true")


def split(url: str) -> tuple[str, str]:
    """Return bucket and key (or prefix) of an `s3://` URL."""
    bucket, _, key = url.removeprefix("s3://").partition("/")
    return bucket, key


def byte_range(start: int, end: int) -> str:
    """Return how S3 takes a range of bytes, `end` included."""
    return f"bytes={start}-{end}"


def call(
    client: Client,
    method: str,
    url: str,
    *,
    sure: bool = False,
    **arguments: Any,  # noqa: ANN401 - the client's own types
) -> dict[str, Any]:
    """Call an S3 operation on what `url` names.

    Args:
        client: what to call it with.
        method: the operation, as botocore names it.
        url: the object, or the prefix to list.
        sure: whether to leave it to the caller what follows where nothing tells whether the
            operation was carried out, rather than to try again.
        arguments: those of the operation.

    Raises:
        CeflineError: `ExistsError`, `ChangedError`, `ConfigError`, `TryAgainError`, or
            `UnsureError`, as the answer says.
    """
    bucket, key = split(url)
    place = {"Prefix": key} if method == "list_objects_v2" else {"Key": key}

    async def called() -> dict[str, Any]:
        return dict(await client.fs._call_s3(method, Bucket=bucket, **place, **arguments))  # noqa: SLF001 - `call_s3` knows no deadline

    return _tried(client, called, url, sure=sure)


def get(client: Client, url: str, **arguments: Any) -> bytes:  # noqa: ANN401 - the client's own types
    """Return the bytes of an object, or of a range of it.

    Raises:
        CeflineError: as `call` does.
    """

    async def fetched() -> bytes:
        bucket, key = split(url)
        answer = await client.fs._call_s3("get_object", Bucket=bucket, Key=key, **arguments)  # noqa: SLF001 - the body must be read in its loop
        async with answer["Body"] as body:
            return bytes(await body.read())

    return _tried(client, fetched, url)


def _tried(
    client: Client, request: Callable[[], Awaitable[T]], url: str, *, sure: bool = False
) -> T:
    """Do a request, and again after failures that may pass."""
    import fsspec.asyn

    ends = time.monotonic() + client.deadline
    for attempt in range(client.attempts):
        try:
            left = max(ends - time.monotonic(), 1.0)
            return cast("T", fsspec.asyn.sync(client.fs.loop, request, timeout=left))
        except Exception as err:
            problem = translated(err, url)
            last = attempt + 1 == client.attempts or time.monotonic() > ends
            hopeless = isinstance(problem, LaterError) or not isinstance(problem, TryAgainError)
            if last or hopeless:
                raise problem from err
            client.retried()
            if sure and isinstance(problem, UnsureError):  # the caller looks, and tries again
                raise problem from err
        pause(attempt)
    raise AssertionError


def pause(attempt: int) -> None:
    """Wait before another try: the waits double with each attempt, from 0, with jitter."""
    time.sleep(random.uniform(0.05, min(_LONGEST_WAIT, 0.2 * 2**attempt)))  # noqa: S311 - jitter


def check_encryption(answer: dict[str, Any], put: Mapping[str, str], url: str) -> None:
    """Make sure that S3 encrypted an object as it was told to.

    Raises:
        ConfigError: the answer to the PUT says otherwise.
    """
    for name in ("ServerSideEncryption", "SSEKMSKeyId"):
        told, found = put.get(name), str(answer.get(name, ""))
        if told and told != found and not found.endswith(f"/{told}"):
            message = f"{url}: S3 did not encrypt it as it was told to ({name})"
            raise ConfigError(message, hint="Check s3.sse and s3.sse_kms_key_id, and the bucket")


def listing(client: Client, url: str, after: str = "") -> Iterator[dict[str, Any]]:
    """Yield what S3 lists of every object whose key begins as `url` does, in key order.

    `after` is a key: only what is beyond it is listed.
    """
    more: dict[str, Any] = {"StartAfter": after} if after else {}
    while True:
        page = call(client, "list_objects_v2", url, **more)
        yield from page.get("Contents", ())
        if not page.get("IsTruncated"):
            return
        more = {"ContinuationToken": page["NextContinuationToken"]}


_LONGEST_WAIT = 5.0
"""Seconds between two tries, at most."""

_LOOPBACK = r"http://(127\.\d+\.\d+\.\d+|localhost|\[::1\])(:\d+)?(/|$)"
