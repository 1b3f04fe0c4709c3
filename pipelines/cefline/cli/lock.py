"""One run at a time of this user on this host, for each destination.

Without it nothing would go wrong: who delivers what is settled in the state, across hosts as well.
It saves the second run its work, and tells who is at it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cefline.config import default_state
from cefline.deliver import staging
from cefline.errors import TryAgainError, of_system

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cefline.config import Config


@contextmanager
def held(config: Config) -> Iterator[None]:
    """Hold the lock of a destination; the system lets it go, however this process ends.

    Raises:
        TryAgainError: another run holds it.
        ConfigError: the folder of locks is not private.
    """
    path = path_of(config)
    staging.make_private(path.parent.parent)
    staging.make_private(path.parent)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as err:
        raise of_system(err, str(path)) from err
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            message = f"another run is delivering to {config.dest}: {_holder(descriptor)}"
            hint = "Let it end, or run beside it with --no-lock"
            raise TryAgainError(message, hint=hint) from err
        since = datetime.now(UTC).isoformat(timespec="seconds")
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({"pid": os.getpid(), "since": since}).encode(), 0)
        yield
    finally:
        os.close(descriptor)  # the file stays: removed, two runs could hold two files of its name


def path_of(config: Config) -> Path:
    """Return the lock of a destination and its state."""
    dest = str(config.dest)
    where = f"{dest}\0{config.state or default_state(dest)}"
    digest = hashlib.sha256(where.encode(errors="surrogatepass")).hexdigest()[:32]
    return staging.default_root() / "locks" / digest


def _holder(descriptor: int) -> str:
    try:
        found = json.loads(os.pread(descriptor, 1000, 0))
        return f"process {int(found['pid'])}, since {datetime.fromisoformat(found['since'])}"
    except (ValueError, KeyError, TypeError):  # it is just about to say so
        return "it has just begun"
