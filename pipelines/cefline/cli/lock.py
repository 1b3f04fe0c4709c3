"""One run at a time of this user on this host, for each destination.

Without it nothing would go wrong: who delivers what is settled in the state, across hosts as well.
It saves the second run its work, and tells who is at it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import tempfile
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cefline.config import default_state
from cefline.deliver import staging
from cefline.errors import TryAgainError, of_system

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cefline.config import Config


PLACES = (Path("/var/tmp"), Path("/tmp"))  # noqa: S108 - a private folder in one of them
"""Where the folder of locks may be, whatever TMPDIR says: runs of one user must meet there. Who has
a /var/tmp of their own (containers, PrivateTmp) meet at turns alone."""


@contextmanager
def held(config: Config) -> Iterator[None]:
    """Hold the lock of a destination; the system lets it go, however this process ends.

    Raises:
        TryAgainError: another run holds it, or the disk is full.
        ConfigError: the folder of locks is not private.
    """
    path = path_of(config)
    staging.make_private(path.parent.parent)
    staging.make_private(path.parent)
    descriptor = _taken(path, str(config.dest))
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()
        os.close(descriptor)


def path_of(config: Config) -> Path:
    """Return the lock of a destination and its state, however these are spelt.

    Buckets of one name on two services are two.
    """
    dest = str(config.dest)
    where = f"{_spelt_out(dest)}\0{_spelt_out(config.state or default_state(dest))}"
    given = (os.environ.get(name) for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"))
    endpoint = next(filter(None, (config.s3.endpoint, *given)), "")
    if dest.startswith("s3://") and endpoint:
        where += f"\0{endpoint.rstrip('/')}"
    digest = hashlib.sha256(where.encode(errors="surrogatepass")).hexdigest()[:32]
    usable = (place for place in PLACES if os.access(place, os.W_OK | os.X_OK))
    place = next(usable, Path(tempfile.gettempdir()))
    return place / f"cefline-{os.getuid()}" / "locks" / digest


def _spelt_out(place: str) -> str:
    return place.rstrip("/") if "://" in place else os.path.realpath(place)


def _taken(path: Path, dest: str) -> int:
    """Return the locked file, as a descriptor."""
    try:
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            try:
                _take(descriptor, dest)
            except BaseException:
                os.close(descriptor)
                raise
            if os.fstat(descriptor).st_nlink:
                return descriptor
            os.close(descriptor)  # who held it has removed it: another run may hold one of its name
    except OSError as err:
        raise of_system(err, str(path)) from err


def _take(descriptor: int, dest: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as err:
        message = f"another run is delivering to {dest}: {_holder(descriptor)}"
        raise TryAgainError(message, hint="Let it end, or run beside it with --no-lock") from err
    since = datetime.now(UTC).isoformat(timespec="seconds")
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps({"pid": os.getpid(), "since": since}).encode(), 0)


def _holder(descriptor: int) -> str:
    try:
        found = json.loads(os.pread(descriptor, 1000, 0))
        return f"process {int(found['pid'])}, since {datetime.fromisoformat(found['since'])}"
    except (ValueError, KeyError, TypeError):  # it is just about to say so
        return "it has just begun"
