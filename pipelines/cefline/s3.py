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
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar, cast

from cefline.errors import CeflineError, ConfigError, TryAgainError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    import s3fs


T = TypeVar("T")


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


@dataclass(frozen=True, slots=True)
class Client:
    """A client of its own, and how long it tries."""

    fs: s3fs.S3FileSystem
    attempts: int = 8
    deadline: float = 600.0
    """Seconds in which a request and its retries must be through."""


class ExistsError(CeflineError):
    """A create-only PUT met an object (412); whether it is ours, its text tells."""


class DeniedError(ConfigError):
    """Access is denied (403); so is a missing key, to those who may list only some prefixes."""


class ChangedError(CeflineError):
    """An object is not the one that was listed (412 to `If-Match`)."""


class UnsureError(TryAgainError):
    """Nothing tells whether a request was carried out: its reply is lost, or says so itself."""


class LaterError(TryAgainError):
    """Trying again at once won't help: someone must log in or set the clock."""


def connect(settings: S3Settings) -> Client:
    """Return a client of its own for these settings.

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
    except _no_login() as err:
        raise LaterError(f"no S3 credentials: {masked(str(err))}", hint=_LOGIN) from err
    except (boto.BotoCoreError, ValueError) as err:
        message = f"S3 can't be set up: {err}"
        raise ConfigError(message, hint="Check AWS_PROFILE, the region and the endpoint") from err
    refuse_plain(str(fs.s3.meta.endpoint_url), allow=settings.allow_http)
    return Client(fs, settings.attempts, settings.deadline)


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
            problem = _translated(err, url)
            last = attempt + 1 == client.attempts or time.monotonic() > ends
            hopeless = isinstance(problem, LaterError) or not isinstance(problem, TryAgainError)
            if last or hopeless or (sure and isinstance(problem, UnsureError)):
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

_LATER_STATUS = {
    HTTPStatus.CONFLICT,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.SERVICE_UNAVAILABLE,
}
"""S3 did nothing; other errors of the server say nothing of that."""
_LOOPBACK = r"http://(127\.\d+\.\d+\.\d+|localhost|\[::1\])(:\d+)?(/|$)"

_DENIED = "The credentials in use may not do this: see the policy in the README"
_LOGIN = "Log in again, or look at what hands out the credentials"
_HANDED_OUT = "refreshed credentials are still expired"
"""What botocore raises without a type of its own."""
_BUCKET = "Create it, or correct its name and the endpoint"
_KEYS = "Check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY or the profile"
_REGION = "Set s3.region or AWS_DEFAULT_REGION"
_LATER = "It may work again later: the next run goes on where this one stopped"

_BY_CODE: dict[str, tuple[type[CeflineError], str, str]] = {
    "PreconditionFailed": (ExistsError, "an object exists already", ""),
    "412": (ExistsError, "an object exists already", ""),
    "ConditionalRequestConflict": (TryAgainError, "another write is under way", _LATER),
    "RequestTimeout": (TryAgainError, "the request took too long", _LATER),
    "BadDigest": (TryAgainError, "the object was damaged on its way", _LATER),
    "InvalidToken": (ConfigError, "the session token is wrong", _KEYS),
    "AuthorizationHeaderMalformed": (ConfigError, "the region is wrong", _REGION),
    "AccessDenied": (DeniedError, "access denied", _DENIED),
    "AllAccessDisabled": (DeniedError, "access denied", _DENIED),
    "403": (DeniedError, "access denied", _DENIED),
    "SignatureDoesNotMatch": (ConfigError, "the secret key is wrong", _KEYS),
    "InvalidAccessKeyId": (ConfigError, "the access key is not known", _KEYS),
    "NoSuchBucket": (ConfigError, "there is no such bucket", _BUCKET),
    "InvalidBucketName": (ConfigError, "that is no bucket's name", _BUCKET),
    "NoSuchKey": (ChangedError, "there is no such object", ""),
    "404": (ChangedError, "there is no such object", ""),
    "PermanentRedirect": (
        ConfigError,
        "the bucket is in another region",
        "Set s3.region or AWS_DEFAULT_REGION",
    ),
    "KMS.NotFoundException": (ConfigError, "there is no such KMS key", "Check `sse_kms_key_id`"),
    "ExpiredToken": (LaterError, "the session token has expired", _LOGIN),
    "RequestTimeTooSkewed": (LaterError, "this machine's clock is wrong", "Set the clock"),
}
"""S3's error code to our error, what it says and what to do."""


def _translated(err: Exception, url: str) -> CeflineError:
    import aiohttp
    import botocore.exceptions as boto

    answer = getattr(err, "response", None) or getattr(err.__cause__, "response", None)
    if isinstance(answer, dict):
        return _answered(answer, url)
    if isinstance(err, _no_login()) or _HANDED_OUT in str(err):
        return LaterError(f"{url}: no credentials: {masked(str(err))}", hint=_LOGIN)
    if isinstance(
        err, boto.NoCredentialsError | boto.PartialCredentialsError | boto.ParamValidationError
    ):
        hint = _BUCKET if isinstance(err, boto.ParamValidationError) else _KEYS
        return ConfigError(f"{url}: {masked(str(err))}", hint=hint)
    what = f"{type(err).__name__}: {masked(str(err))}"
    if isinstance(err, boto.EndpointConnectionError | boto.ConnectTimeoutError):  # nothing was sent
        return TryAgainError(f"{url} can't be reached: {what}", hint=_LATER)
    if isinstance(err, boto.BotoCoreError | OSError | aiohttp.ClientError | TimeoutError):
        return UnsureError(f"{url} can't be reached: {what}", hint=_LATER)
    return CeflineError(f"{url}: {what}")


def _no_login() -> tuple[type[Exception], ...]:
    """Return what is raised where credentials can't be had until someone logs in again."""
    import botocore.exceptions as boto

    return boto.CredentialRetrievalError, boto.SSOError, boto.TokenRetrievalError


def _answered(answer: dict[str, Any], url: str) -> CeflineError:
    code = str(answer.get("Error", {}).get("Code"))
    status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in _BY_CODE:
        kind, what, hint = _BY_CODE[code]
        return kind(f"{url}: {what}", hint=hint)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _LATER_STATUS:
        kind = TryAgainError if status in _LATER_STATUS else UnsureError
        return kind(f"{url}: S3 answers {code} ({status})", hint=_LATER)
    return CeflineError(f"{url}: S3 answers {code} ({status})")


def masked(text: str) -> str:
    """Return text without the credentials that a URL in it may hold."""
    return re.sub(r"//[^/@\s]+@", "//***@", text)
