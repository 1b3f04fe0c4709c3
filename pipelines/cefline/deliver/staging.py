"""The private folder in which a source is converted: kept where a later run can go on with it.

<staging>/<source key>/       locked by the run that works in it
source                    what was fetched
000000, 000001, ...       parts
rejects.ndjson
staged.json               all parts are there; what there is to say of them
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Container, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cefline.errors import CeflineError, ConfigError, TryAgainError, of_system

_KEPT_SECONDS = 7 * 86_400
_SAID = "staged.json"
_MEMORY = {"tmpfs", "ramfs"}
_OF_SOURCE = re.compile(r"(?P<key>[0-9a-f]{32})(?:[.-].*)?")
"""What the folder of a source is called, or that of a task of it: all else is not ours."""


@dataclass(frozen=True, slots=True)
class Staged:
    """A part on local disk."""

    partition: str
    path: Path
    events: int
    first: int
    """Ordinal of the first event."""
    last: int
    text_bytes: int
    text_blake3: str
    stored_bytes: int
    stored_sha256: str


def root(given: str | None) -> Path:
    """Return the folder that the user named, or the default."""
    return Path(given) if given else default_root()


def default_root() -> Path:
    """Return a folder on disk, of this user alone: /var/tmp outlives a restart, /tmp may not."""
    places = [Path("/var/tmp"), Path(tempfile.gettempdir())]  # noqa: S108 - a private folder in it
    if "TMPDIR" in os.environ:
        places.reverse()
    usable = (p for p in places if p.is_dir() and os.access(p, os.W_OK) and not in_memory(p))
    return next(usable, places[-1]) / f"cefline-{os.getuid()}"


def in_memory(path: Path) -> bool:
    """Whether a folder is in memory: staging there would take what conversion needs."""
    if sys.platform != "linux":
        return False
    real = path.resolve()
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text("utf-8").splitlines()]
    above = [mount[1:3] for mount in mounts if real.is_relative_to(mount[1])]
    # Of mounts at one place the last one is what is seen.
    return max(reversed(above), key=lambda m: len(m[0]), default=("", ""))[1] in _MEMORY


@contextmanager
def folder(root: Path, name: str, *, resumed: bool = True) -> Iterator[Path]:
    """Give a source its folder, locked; it is removed unless a later run can go on with it.

    Args:
        root: the folder of all.
        name: of the source.
        resumed: whether a later run goes on with what is in it at all.

    Raises:
        ConfigError: the root is not private.
        TryAgainError: there is no space.
    """
    make_private(root)
    path, descriptor = _locked(root, name)
    keep = resumed
    try:
        yield path
        keep = False
    except CeflineError as err:
        keep = resumed and isinstance(err, TryAgainError)
        raise
    finally:
        if not keep:
            shutil.rmtree(path, ignore_errors=True)
            for other in root.glob(f"{name}.*"):  # of a run that was killed beside another one
                with suppress(OSError):
                    _remove(other)
        os.close(descriptor)


def sweep(root: Path, done: Container[str]) -> None:
    """Remove what runs left that were killed long ago, or after all was `done` (source keys).

    In a folder that is not private nothing is touched: it may be another's.
    """
    if not (root.is_dir() and _is_private(root.lstat())):
        return
    for path in root.iterdir():
        if (named := _OF_SOURCE.fullmatch(path.name)) is None:
            continue
        with suppress(OSError):
            recent = time.time() - path.stat().st_mtime < _KEPT_SECONDS
            if not recent or named["key"] in done:
                _remove(path)


def _remove(path: Path) -> None:
    """Remove a folder that no run works in."""
    descriptor = _lock(path)
    if descriptor is not None:
        shutil.rmtree(path, ignore_errors=True)
        os.close(descriptor)


def save(path: Path, basis: str, parts: list[Staged], said: dict[str, Any]) -> None:
    """Say that all parts are there.

    Args:
        path: the folder.
        basis: what the parts depend on: another basis, other parts.
        parts: as they were staged.
        said: what is to be said of them.
    """
    listed = [{**asdict(part), "path": part.path.name} for part in parts]
    whole = path / f"{_SAID}.new"
    whole.write_text(json.dumps({"basis": basis, "parts": listed, "said": said}), encoding="utf-8")
    whole.replace(path / _SAID)


def saved(path: Path, basis: str) -> tuple[list[Staged], dict[str, Any]] | None:
    """Return parts and what is to be said of them, if they are there and whole."""
    try:
        found = json.loads((path / _SAID).read_text(encoding="utf-8"))
        if found["basis"] != basis:
            return None
        parts = []
        for listed in found["parts"]:
            part = Staged(**{**listed, "path": path / listed["path"]})
            if _digest(part.path) != part.stored_sha256:
                return None
            parts.append(part)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return parts, found["said"]


def clear(path: Path) -> None:
    """Remove parts and rejects of an earlier try; what was fetched stays."""
    for old in path.iterdir():
        if old.name not in {"source", "identity"}:
            old.unlink()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def make_private(root: Path) -> None:
    """Make sure that a folder is there, and this user's alone.

    Raises:
        ConfigError: it is not.
    """
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = root.lstat()
    except OSError as err:
        raise of_system(err, str(root)) from err
    if not _is_private(found):
        message = f"the staging folder {root} is not a private folder of this user's"
        raise ConfigError(message, hint="Expected mode 0700; or name another place: --staging")


def _is_private(found: os.stat_result) -> bool:
    private = stat.S_ISDIR(found.st_mode) and not found.st_mode & 0o077
    return private and found.st_uid == os.getuid()


def _locked(root: Path, name: str) -> tuple[Path, int]:
    """Return the source's folder; another one where a run beside this works in it."""
    number = 1
    while True:
        path = root / (name if number == 1 else f"{name}.{number}")
        try:
            with suppress(FileExistsError):
                path.mkdir(mode=0o700)
            descriptor = _lock(path)
        except FileNotFoundError:  # swept in this instant
            continue
        except OSError as err:
            raise of_system(err, str(path)) from err
        if descriptor is not None:
            os.utime(path)
            return path, descriptor
        number += 1


def _lock(path: Path) -> int | None:
    """Lock a folder, or return None where another process has it, or it is gone."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    with suppress(BlockingIOError, FileNotFoundError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.stat().st_ino == os.fstat(descriptor).st_ino:
            return descriptor
    os.close(descriptor)
    return None
