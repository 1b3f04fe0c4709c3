"""Where objects are put: an S3 prefix or a local folder, with the same guarantees.

An object appears whole or not at all, and never changes: it is created only where none is.
Existence is decided by that, or by a listing; never by asking for a key that may be missing,
which S3 answers with 403 to those who may not list.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import os
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from uuid import uuid4

from cefline import s3
from cefline.errors import CeflineError, ConfigError, of_system

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


_DRAFT_SECONDS = 3600
"""A draft that is older belongs to a run that was killed."""


class MissingError(CeflineError):
    """There is no such object."""


class Store(Protocol):
    """A place for objects, by key below its URL."""

    @property
    def url(self) -> str:
        """Where it is."""

    def create(
        self,
        key: str,
        body: bytes | Path,
        content_type: str,
        metadata: Mapping[str, str],
        *,
        sure: bool = False,
    ) -> bool:
        """Create an object; False where one exists already, which is left as it is.

        The body may be a file that holds it, which must not change afterwards: it may be linked.

        With `sure`, `s3.UnsureError` where nothing tells whether it was created; else it is tried
        again, and may be created anew after it was and somebody removed it.
        """

    def read(self, key: str) -> bytes:
        """Return the bytes of an object; `MissingError` where there is none."""

    def exists(self, key: str) -> bool:
        """Whether an object exists; a listing tells, where asking for missing keys is denied."""

    def list(self, prefix: str = "", after: str = "") -> Iterator[tuple[str, int]]:
        """Yield key and size of the objects whose key begins so and is beyond `after`, in order."""

    def now(self) -> datetime:
        """Return the time of the clock that stamps the objects."""


def open_store(
    url: str,
    scratch: Path | None,
    connect: Callable[[], s3.Client],
    put: Mapping[str, str],
    *,
    allow_http: bool = False,
) -> Store:
    """Return the store at a URL.

    Args:
        url: a local folder, or a prefix: `s3://`, `gs://` or `az://`.
        scratch: for a local folder, where files are written before they are linked into place; on
            the same file system, outside of the folder.
        connect: gives the S3 client.
        put: arguments of every PutObject of S3.
        allow_http: whether a store but S3's may be reached unencrypted.
    """
    if url.startswith("s3://"):
        return S3Store(url, connect(), put)
    if "://" in url:
        from cefline.deliver import remote

        return remote.connect(url, allow_http=allow_http)
    root = Path(url).absolute()
    return LocalStore(str(root), root, scratch or root / ".tmp")


@dataclass(frozen=True, slots=True)
class S3Store:
    """Objects below an `s3://` prefix."""

    url: str
    client: s3.Client
    put: Mapping[str, str] = field(default_factory=dict)

    def create(
        self,
        key: str,
        body: bytes | Path,
        content_type: str,
        metadata: Mapping[str, str],
        *,
        sure: bool = False,
    ) -> bool:
        """Put an object with `If-None-Match: *` and its SHA-256, which S3 checks.

        Raises:
            CeflineError: as `s3.call` does.
        """
        content = read_bytes(body)
        checksum = base64.b64encode(hashlib.sha256(content).digest()).decode()
        arguments = {
            "Body": content,
            "IfNoneMatch": "*",
            "ChecksumSHA256": checksum,
            "ContentType": content_type,
            "Metadata": dict(metadata),
            **self.put,
        }
        try:
            url = f"{self.url}/{key}"
            answer = s3.call(self.client, "put_object", url, sure=sure, **arguments)
        except s3.ExistsError:
            return False
        s3.check_encryption(answer, self.put, url)
        return True

    def read(self, key: str) -> bytes:
        """Return the bytes of an object."""
        try:
            return s3.get(self.client, f"{self.url}/{key}")
        except s3.ChangedError as err:
            raise MissingError(err.message) from err
        except s3.DeniedError as err:
            if self.exists(key):
                raise
            raise MissingError(f"{self.url}/{key}: there is no such object") from err

    def exists(self, key: str) -> bool:
        """Whether an object exists."""
        return any(found == key for found, _ in self.list(key))

    def list(self, prefix: str = "", after: str = "") -> Iterator[tuple[str, int]]:
        """Yield key and size of the objects whose key begins so and is beyond `after`, in order."""
        below = s3.split(self.url)[1]
        root = f"{below}/" if below else ""
        beyond = f"{root}{after}" if after else ""
        for listed in s3.listing(self.client, f"{self.url}/{prefix}", beyond):
            yield str(listed["Key"]).removeprefix(root), int(listed["Size"])

    def now(self) -> datetime:
        """Return S3's own time, from the answer to a listing."""
        answer = s3.call(self.client, "list_objects_v2", f"{self.url}/", MaxKeys=1)
        return parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])


@dataclass(frozen=True, slots=True)
class LocalStore:
    """Objects as files below a folder; `scratch` holds them until they are whole."""

    url: str
    root: Path
    scratch: Path

    def create(
        self,
        key: str,
        body: bytes | Path,
        content_type: str,  # noqa: ARG002 - files have none
        metadata: Mapping[str, str],  # noqa: ARG002 - nor this
        *,
        sure: bool = False,  # noqa: ARG002 - the system always tells
    ) -> bool:
        """Write a file, sync it, and link it into place.

        Raises:
            TryAgainError: the disk is full.
            ConfigError: the folder can't be written to.
        """
        final, draft = self.root / key, self.scratch / uuid4().hex
        try:
            self.scratch.mkdir(parents=True, exist_ok=True)
            _make_folders(final.parent)
            try:
                _draft(draft, body)
                _sync(draft)
                final.hardlink_to(draft)
            finally:
                draft.unlink(missing_ok=True)
            _sync(final.parent)
        except FileExistsError:
            if final.is_file():
                return False
            raise _unwritable(final, "a file or folder is in its way") from None
        except OSError as err:
            if err.errno == errno.EXDEV:
                raise _unwritable(final, f"{self.scratch} is on another file system") from err
            if err.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise of_system(err, str(final)) from err
            raise _unwritable(final, str(err.strerror)) from err
        return True

    def read(self, key: str) -> bytes:
        """Return the bytes of a file.

        Raises:
            CeflineError: it is missing, or can't be read.
        """
        try:
            return (self.root / key).read_bytes()
        except FileNotFoundError as err:
            raise MissingError(f"{self.root / key}: there is no such file") from err
        except OSError as err:
            raise of_system(err, str(self.root / key)) from err

    def exists(self, key: str) -> bool:
        """Whether a file exists."""
        return (self.root / key).is_file()

    def list(self, prefix: str = "", after: str = "") -> Iterator[tuple[str, int]]:
        """Yield key and size of the files whose key begins so and is beyond `after`, in order."""
        below = self.root / prefix.rpartition("/")[0]
        files = (path for path in below.rglob("*") if path.is_file())
        for key, path in sorted((path.relative_to(self.root).as_posix(), path) for path in files):
            if key.startswith(prefix) and key > after and self.scratch not in path.parents:
                with suppress(FileNotFoundError):  # a reader cleans up
                    yield key, path.stat().st_size

    def sweep(self) -> None:
        """Remove the drafts of runs that were killed."""
        for draft in self.scratch.iterdir() if self.scratch.is_dir() else ():
            with suppress(FileNotFoundError):
                if time.time() - draft.stat().st_mtime > _DRAFT_SECONDS:
                    draft.unlink()

    def now(self) -> datetime:
        """Return this machine's time."""
        return datetime.now(UTC)


def read_bytes(body: bytes | Path) -> bytes:
    """Return the bytes of a body."""
    return body.read_bytes() if isinstance(body, Path) else body


def _draft(draft: Path, body: bytes | Path) -> None:
    """Make a draft of a body; a file is linked where it is on the same file system."""
    if isinstance(body, Path):
        try:
            draft.hardlink_to(body)
        except OSError as err:  # another file system, or one without links to others' files
            if err.errno not in {errno.EXDEV, errno.EPERM, errno.EMLINK}:
                raise
            shutil.copyfile(body, draft)
    else:
        with draft.open("xb") as file:
            file.write(body)


def _make_folders(folder: Path) -> None:
    """Make a folder and those above it, each one synced into the one it is in."""
    if not folder.is_dir():
        _make_folders(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync(folder.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unwritable(path: Path, why: str) -> ConfigError:
    hint = "Check the folder and its rights; below a mount point, not the point itself"
    return ConfigError(f"{path} can't be written: {why}", hint=hint)
