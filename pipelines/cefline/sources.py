"""Sources: found by path, folder, glob or S3 prefix, and brought to local disk with an identity."""

from __future__ import annotations

import glob
import hashlib
import os
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cefline import s3
from cefline.deliver.seen import source_key
from cefline.errors import SourceError, UsageError, of_system
from cefline.shown import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


_SUFFIXES = (".parquet", ".pq", ".json", ".jsonl", ".ndjson")
_COMPRESSED = ("", ".gz", ".zst")
_MAGIC = re.compile(r"[*?\[]")
DIGEST_CHUNK = 64 << 20
_DIGEST_PIECE = 1 << 20
_RANGE = 16 << 20
_CONNECTIONS = 4


@dataclass(frozen=True, slots=True)
class Source:
    """One export file, as it was found."""

    url: str
    size: int
    version: str
    """What changes when its content does: ETag, or modification time and inode. No identity."""
    path: str = ""
    """The local file's name, which need not be text."""
    scanned: bool = False
    """Whether a folder or a glob was searched for it, so that it may still be written."""
    modified: float = field(default=0.0, compare=False)
    """When it was last written, in seconds since 1970, where that is told."""

    @property
    def local_path(self) -> Path:
        """Return where a local file is."""
        return Path(self.path or self.url)

    def key(self, variant: Mapping[str, object]) -> str:
        """Return the name of this version of it, and of what tells its delivery apart."""
        told = {name: value for name, value in variant.items() if value is not None}
        said = repr(sorted(told.items())) if told else ""
        return source_key(self.url, self.size, self.version, said)

    def age(self, now: float) -> float:
        """Return the seconds since a local file was last written."""
        return now - int(self.version.partition("-")[0]) / 1e9


@dataclass(frozen=True, slots=True)
class Local:
    """A source on local disk."""

    source: Source
    path: Path
    sha256: str
    """Its identity: SHA-256 over the SHA-256 of its 64 MiB chunks."""


def find(
    names: Iterable[str], connect: Callable[[], s3.Client], *, emptied: bool = False
) -> list[Source]:
    """Find the sources that files, folders and globs name, local or `s3://`, each once.

    In folders and below S3 prefixes, those that are named as timelines are (`.parquet`, `.pq`,
    `.json`, `.jsonl`, `.ndjson`, also with `.gz` or `.zst`); hidden ones (`.` or `_` first) are
    left out. An exact name is taken as it is.

    Args:
        names: as a user gives them.
        connect: gives the S3 client.
        emptied: whether folders and `s3://` names with `/` at their end may hold no source, since
            those that were delivered are moved away.

    Raises:
        UsageError: a name is of another scheme.
        SourceError: a name without `*`, `?` or `[` matches nothing.
    """
    found: dict[str, Source] = {}
    for name in names:
        if "::" in name or re.match(r"(?!s3://|file://)\w+://", name):
            message = f"{printable(name)}: sources are local files or s3:// objects"
            raise UsageError(message, hint="Copy it to one of the two first")
        try:
            matches = _on_s3(name, connect()) if name.startswith("s3://") else _on_disk(name)
        except OSError as err:
            raise of_system(err, printable(name)) from err
        if not matches and not _MAGIC.search(name) and not (emptied and _is_place(name)):
            message = (
                f"{printable(name)}: there is no such file, nor a folder with a timeline in it"
            )
            raise SourceError(message, hint=f"Folders are searched for {', '.join(_SUFFIXES)}")
        found.update({source.url: source for source in matches})
    return list(found.values())


def fetch(source: Source, folder: Path, connect: Callable[[], s3.Client]) -> Local:
    """Bring a source to local disk and compute its identity.

    Raises:
        SourceError: it changed since it was found, or can't be read.
    """
    if source.url.startswith("s3://"):
        path = folder / "source"
        path.unlink(missing_ok=True)
        download(source, path, connect())
    else:
        path = source.local_path
    try:
        return Local(source, path, _identity(path))
    except OSError as err:
        message = f"{source.url} can't be read: {err.strerror}"
        raise SourceError(message, hint="Check its rights, and that it still exists") from err


def check_unchanged(local: Local) -> None:
    """Make sure that a local source is still the one that was found.

    Raises:
        SourceError: it changed while it was read.
    """
    if local.source.url.startswith("s3://"):
        return
    try:
        found = _local(local.path)
    except OSError:
        found = None
    if found != replace(local.source, scanned=False):
        message = f"{local.source.url} changed while it was read"
        raise SourceError(message, hint="Run again when its export has finished")


def _is_place(name: str) -> bool:
    if name.startswith("s3://"):
        return name.endswith("/")
    return Path(name.removeprefix("file://")).is_dir()


def _on_disk(name: str) -> list[Source]:
    path = Path(name.removeprefix("file://"))
    if path.is_dir():
        inside = (p for p in sorted(path.rglob("*")) if p.is_file())
        return [
            _local(p, scanned=True) for p in inside if _is_timeline(p.relative_to(path).as_posix())
        ]
    if path.is_file():
        return [_local(path)]
    if path.exists():
        message = f"{printable(name)} is no file: it can't be read twice"
        raise SourceError(message, hint="Write it to a file first")
    return [
        _local(Path(p), scanned=True)
        for p in sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207 - takes absolute ones
        if Path(p).is_file()
    ]


def _local(path: Path, *, scanned: bool = False) -> Source:
    stat = path.stat()
    name = str(path.absolute())
    version = f"{stat.st_mtime_ns}-{stat.st_ino}"
    return Source(printable(name), stat.st_size, version, name, scanned, stat.st_mtime)


def _on_s3(name: str, client: s3.Client) -> list[Source]:
    bucket, pattern = s3.split(name)
    fixed = _MAGIC.split(pattern)[0]
    objects = {o["Key"]: o for o in s3.listing(client, f"s3://{bucket}/{fixed}")}
    if pattern in objects:
        keys = [pattern]
    elif fixed != pattern:
        keys = [key for key in objects if _matches(key.split("/"), pattern.split("/"))]
    else:
        folder = f"{pattern.rstrip('/')}/" if pattern else ""
        keys = [k for k in objects if k.startswith(folder) and _is_timeline(k.removeprefix(folder))]
    return [_object(bucket, objects[key]) for key in keys]


def _matches(names: list[str], globs: list[str]) -> bool:
    """Whether a key matches a glob as a path does: `*` within a name, `**` any folders."""
    if not globs or not names:
        return not globs and not names
    if globs[0] == "**":
        deeper = not _is_hidden(names[0]) and _matches(names[1:], globs)
        return _matches(names, globs[1:]) or deeper
    shown = not _is_hidden(names[0]) or globs[0][:1] == names[0][:1]
    return shown and fnmatchcase(names[0], globs[0]) and _matches(names[1:], globs[1:])


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "_"))


def _object(bucket: str, listed: dict[str, object]) -> Source:
    url, modified = f"s3://{bucket}/{listed['Key']}", listed.get("LastModified")
    written = modified.timestamp() if isinstance(modified, datetime) else 0.0
    return Source(url, int(str(listed["Size"])), str(listed["ETag"]), modified=written)


def _is_timeline(relative: str) -> bool:
    named = relative.lower().endswith(tuple(s + c for s in _SUFFIXES for c in _COMPRESSED))
    return named and not any(map(_is_hidden, relative.split("/")))


def download(
    source: Source,
    path: Path,
    client: s3.Client,
    spans: Iterable[tuple[int, int]] | None = None,
) -> None:
    """Fetch an object in ranges, all of one version: `If-Match` makes sure.

    Args:
        source: the object.
        path: of the file that it goes into; what is there but not fetched stays.
        client: what fetches it.
        spans: begin and end of the bytes that are wanted; None is all. The file is as long as the
            object all the same, with holes.

    Raises:
        SourceError: it changed since it was found.
    """

    def fetch_range(bounds: tuple[int, int]) -> None:
        start, end = bounds
        arguments = {"IfMatch": source.version, "Range": s3.byte_range(start, end - 1)}
        body = s3.get(client, source.url, **arguments)
        while body:  # the system may write less than it is given
            written = os.pwrite(file.fileno(), body, start)
            body, start = body[written:], start + written

    ranges = [
        (start, min(start + _RANGE, end))
        for begin, end in ([(0, source.size)] if spans is None else spans)
        for start in range(begin, end, _RANGE)
    ]
    path.touch()
    try:
        with path.open("r+b") as file, ThreadPoolExecutor(_CONNECTIONS) as pool:
            file.truncate(source.size)
            list(pool.map(fetch_range, ranges))
    except (s3.ChangedError, s3.ExistsError, s3.DeniedError) as err:  # 404, 412 to If-Match, 403
        if isinstance(err, s3.DeniedError) and _is_listed(source, client):
            raise
        message = f"{source.url} changed or went while it was fetched"
        raise SourceError(message, hint="Run again when its export has finished") from err
    except OSError as err:
        raise of_system(err, str(path)) from err


def _is_listed(source: Source, client: s3.Client) -> bool:
    key = s3.split(source.url)[1]
    return any(listed["Key"] == key for listed in s3.listing(client, source.url))


def _identity(path: Path) -> str:
    """Hash the chunks side by side."""
    return identity(chunk_digests(path, 0, path.stat().st_size))


def identity(digests: Iterable[bytes]) -> str:
    """Return what a source is, of the digests of its chunks in order."""
    return hashlib.sha256(b"".join(digests)).hexdigest()


def chunk_digests(path: Path, begin: int, end: int) -> list[bytes]:
    """Return the SHA-256 of the chunks of a file that begin in some bytes."""
    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        return list(pool.map(partial(_chunk_digest, path), range(begin, end, DIGEST_CHUNK)))


def _chunk_digest(path: Path, start: int) -> bytes:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        file.seek(start)
        for left in range(DIGEST_CHUNK, 0, -_DIGEST_PIECE):
            digest.update(file.read(min(left, _DIGEST_PIECE)))
    return digest.digest()
