"""A file that is written whole or not at all: whoever reads it meets the old one or the new one."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path


def write(path: Path, content: bytes, mode: int, owner: tuple[int, int] = (-1, -1)) -> None:
    """Put a file in the place of another in one step, with these rights whatever the umask.

    Args:
        path: of the file.
        content: all of it.
        mode: its rights.
        owner: ids of its user and group, as far as this process may give it away; -1 is its own.

    Raises:
        OSError: it can't be written; what was there is as it was.
    """
    # Of a name that no collector reads: those of Prometheus take all that ends in .prom.
    number, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(number, "wb") as file:
            file.write(content)
            with suppress(PermissionError):
                os.fchown(number, *owner)
            os.fchmod(number, mode)
            file.flush()
            os.fsync(number)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
