"""Standard output and standard error: nothing else writes there."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress

import click

from cefline.cli import logs
from cefline.errors import CeflineError

log = logging.getLogger("cefline")


def open_closed() -> None:
    """Open the standard streams that this process was started without: nobody reads them.

    Otherwise the next file that is opened, perhaps a part, would be standard error.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # takes the least number that is free
            os.set_inheritable(opened, True)  # Spark's Java needs them as well
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8", closefd=False)


def say(text: str) -> bool:
    """Print text; False where its reader has seen enough."""
    return write(f"{text}\n".encode(errors="backslashreplace"))


def write(text: bytes | memoryview) -> bool:
    """Write to standard output; False where its reader has seen enough, which is no error."""
    try:
        sys.stdout.buffer.write(text)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True


def complain(what: str | CeflineError) -> None:
    """Print a message on standard error: in words, or as a log line where all is to be JSON.

    A full disk below it must not change how a run ends.
    """
    if logs.all_json():
        log.error("%s", what.logged() if isinstance(what, CeflineError) else what)
    else:
        with suppress(OSError):
            click.echo(f"cefline: {what}", err=True)
