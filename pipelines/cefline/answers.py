"""What S3's answers mean: its error codes and the errors of its client become errors of ours."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any

from cefline.errors import LATER, CeflineError, ConfigError, TryAgainError


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


_LATER_STATUS = {
    HTTPStatus.CONFLICT,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.SERVICE_UNAVAILABLE,
}
"""S3 did nothing; other errors of the server say nothing of that."""

_DENIED = "The credentials in use may not do this: see the policy in the README"
LOGIN = "Log in again, or look at what hands out the credentials"
_HANDED_OUT = "refreshed credentials are still expired"
"""What botocore raises without a type of its own."""
_BUCKET = "Create it, or correct its name and the endpoint"
_KEYS = "Check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY or the profile"
_REGION = "Set s3.region or AWS_DEFAULT_REGION"

_BY_CODE: dict[str, tuple[type[CeflineError], str, str]] = {
    "PreconditionFailed": (ExistsError, "an object exists already", ""),
    "412": (ExistsError, "an object exists already", ""),
    "ConditionalRequestConflict": (TryAgainError, "another write is under way", LATER),
    "RequestTimeout": (TryAgainError, "the request took too long", LATER),
    "BadDigest": (TryAgainError, "the object was damaged on its way", LATER),
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
    "ExpiredToken": (LaterError, "the session token has expired", LOGIN),
    "RequestTimeTooSkewed": (LaterError, "this machine's clock is wrong", "Set the clock"),
}
"""S3's error code to our error, what it says and what to do."""


def translated(err: Exception, url: str) -> CeflineError:
    """Return our error for what a request to `url` raised."""
    import aiohttp
    import botocore.exceptions as boto

    answer = getattr(err, "response", None) or getattr(err.__cause__, "response", None)
    if isinstance(answer, dict):
        return _answered(answer, url)
    if isinstance(err, no_login()) or _HANDED_OUT in str(err):
        return LaterError(f"{url}: no credentials: {masked(str(err))}", hint=LOGIN)
    if isinstance(
        err, boto.NoCredentialsError | boto.PartialCredentialsError | boto.ParamValidationError
    ):
        hint = _BUCKET if isinstance(err, boto.ParamValidationError) else _KEYS
        return ConfigError(f"{url}: {masked(str(err))}", hint=hint)
    what = f"{type(err).__name__}: {masked(str(err))}"
    if isinstance(err, boto.EndpointConnectionError | boto.ConnectTimeoutError):  # nothing was sent
        hint = f"Are s3.endpoint and the network right? {LATER}"
        return TryAgainError(f"{url} can't be reached: {what}", hint=hint)
    if isinstance(err, boto.BotoCoreError | OSError | aiohttp.ClientError | TimeoutError):
        return UnsureError(f"{url} can't be reached: {what}", hint=LATER)
    return CeflineError(f"{url}: {what}")


def no_login() -> tuple[type[Exception], ...]:
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
        return kind(f"{url}: S3 answers {code} ({status})", hint=LATER)
    return CeflineError(f"{url}: S3 answers {code} ({status})")


def masked(text: str) -> str:
    """Return text without the credentials that a URL in it may hold."""
    return re.sub(r"//[^/@\s]+@", "//***@", text)
