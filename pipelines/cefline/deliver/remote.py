"""Stores other than S3 that fsspec reaches: Google Cloud Storage and Azure Blob Storage.

Each has create-only writes of its own, which fsspec calls `mode="create"`: GCS refuses a second
object by `ifGenerationMatch=0`, Azure by `If-None-Match: *`. Retries are the libraries' own. A
listing alone tells whether an object exists: fsspec's `exists` takes any failure for "no".
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from cefline.answers import masked
from cefline.deliver.store import MissingError, read_bytes
from cefline.errors import LATER, CeflineError, ConfigError, TryAgainError
from cefline.s3 import refuse_plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from fsspec import AbstractFileSystem


@dataclass(frozen=True, slots=True)
class _Scheme:
    """What is different from one service to another."""

    extra: str
    """Of cefline, which installs its library."""
    logger: str
    """Of that library: what it logs of a failure, a traceback, we tell."""
    options: Mapping[str, Any]
    put: Callable[[str, Mapping[str, str]], dict[str, Any]]
    """Content type and metadata as its library takes them."""
    endpoint: Callable[[AbstractFileSystem], str]


SCHEMES = {
    "gs": _Scheme(
        "gcs",
        "gcsfs",
        {"consistency": "md5"},
        lambda content_type, said: {"content_type": content_type, "metadata": dict(said)},
        lambda fs: str(fs._location),  # noqa: SLF001 - its only name
    ),
    # adlfs sets metadata of its own and takes no other.
    "az": _Scheme(
        "azure",
        "azure",
        {"anon": False},
        lambda content_type, _: {
            "content_settings": {"content_type": content_type},
            "validate_content": True,
        },
        lambda fs: str(fs.service_client.url),
    ),
}


@dataclass(frozen=True, slots=True)
class RemoteStore:
    """Objects below a URL of one of the schemes."""

    url: str
    fs: AbstractFileSystem
    put: Callable[[str, Mapping[str, str]], dict[str, Any]] = lambda *_: {}
    """Content type and metadata as the library takes them; neither where it takes none."""

    def create(
        self,
        key: str,
        body: bytes | Path,
        content_type: str,
        metadata: Mapping[str, str],
        *,
        sure: bool = False,  # noqa: ARG002 - the libraries try again by themselves
    ) -> bool:
        """Create an object where none is; the service checks its bytes.

        Raises:
            CeflineError: `ConfigError` or `TryAgainError`, as the answer says.
        """
        url = f"{self.url}/{key}"
        said = self.put(content_type, metadata)
        try:
            with _told(url):
                self.fs.pipe_file(url, read_bytes(body), mode="create", **said)
        except FileExistsError:
            return False
        return True

    def read(self, key: str) -> bytes:
        """Return the bytes of an object.

        Raises:
            CeflineError: there is none, or as `create` does.
        """
        with _told(f"{self.url}/{key}"):
            return bytes(self.fs.cat_file(f"{self.url}/{key}"))

    def exists(self, key: str) -> bool:
        """Whether an object exists."""
        return any(found == key for found, _ in self.list(key))

    def list(self, prefix: str = "", after: str = "") -> Iterator[tuple[str, int]]:
        """Yield key and size of the objects whose key begins so and is beyond `after`, in order."""
        folder = f"{self.url}/{prefix}".rpartition("/")[0]
        with _told(folder):
            listed = self.fs.find(folder, detail=True)
        root = f"{self.fs._strip_protocol(self.url)}/"  # noqa: SLF001 - fsspec's own way
        for name in sorted(listed):
            key = name.removeprefix(root)
            if name.startswith(root) and key.startswith(prefix) and key > after:
                yield key, int(listed[name]["size"])

    def now(self) -> datetime:
        """Return this machine's time: the libraries don't give the service's."""
        return datetime.now(UTC)


def connect(url: str, *, allow_http: bool) -> RemoteStore:
    """Return the store at a URL; credentials come from where the service's own tools look.

    Raises:
        ConfigError: its library is not installed, or it can't be set up.
    """
    import fsspec

    name = url.partition(":")[0]
    scheme = SCHEMES[name]
    logging.getLogger(scheme.logger).setLevel(logging.CRITICAL)
    try:
        fs = fsspec.filesystem(
            name, use_listings_cache=False, skip_instance_cache=True, **scheme.options
        )
        refuse_plain(scheme.endpoint(fs), allow=allow_http)
    except ImportError as err:
        message = f"{url} can't be reached without a library that is not installed"
        raise ConfigError(message, hint=f"pip install 'cefline[{scheme.extra}]'") from err
    except CeflineError:
        raise
    except Exception as err:
        message = f"{url} can't be set up: {_text(err)}"
        raise ConfigError(message, hint=_CREDENTIALS) from err
    return RemoteStore(url, fs, scheme.put)


_CREDENTIALS = "Check the account and its credentials, as gcloud's or Azure's own tools use them"
_RIGHTS = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
_BUSY = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS}


@contextmanager
def _told(url: str) -> Iterator[None]:
    """Turn what the libraries raise into errors that say what to do; they share no base."""
    try:
        yield
    except FileExistsError:
        raise
    except FileNotFoundError as err:
        message = f"{url}: there is no such object, bucket or container"
        raise MissingError(message, hint="Create the bucket or container, or correct it") from err
    except Exception as err:
        said = _text(err)
        status = _status(err)
        if status in _RIGHTS or "Forbidden" in said or "Credential" in type(err).__name__:
            raise ConfigError(f"{url}: {said}", hint=_CREDENTIALS) from err
        passing = status in _BUSY or status >= HTTPStatus.INTERNAL_SERVER_ERROR
        if passing or (not status and _is_connection(err)):
            raise TryAgainError(f"{url} can't be reached: {said}", hint=LATER) from err
        raise CeflineError(f"{url}: {said}") from err


def _status(err: Exception) -> int:
    for name in ("status_code", "code", "status"):
        if str(getattr(err, name, "")).isdigit():
            return int(getattr(err, name))
    return 0


def _is_connection(err: Exception) -> bool:
    import aiohttp

    kinds = ("ServiceRequestError", "ServiceResponseError", "TransportError", "RequestException")
    named = any(kind.__name__ in kinds for kind in type(err).__mro__)
    return named or isinstance(err, OSError | TimeoutError | aiohttp.ClientError)


def _text(err: Exception) -> str:
    first = next(iter(str(err).splitlines()), "")
    return f"{type(err).__name__}: {masked(first)}"
