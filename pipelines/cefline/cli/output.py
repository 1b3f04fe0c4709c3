"""Standard output and standard error: nothing else writes there."""

from __future__ import annotations

import logging
import os
import sys
import time
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from cefline.progress import Progress


def progress(*, quiet: bool) -> Progress:
    """Set up the log on standard error; return what tells the progress of a run."""
    from cefline.progress import Bar, Logged, Silent

    terminal = sys.stderr.isatty()
    logging.Formatter.converter = time.gmtime
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.WARNING,
        format="%(asctime)sZ %(levelname)s %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%S",
    )
    logging.getLogger("cefline").setLevel(logging.WARNING if quiet or terminal else logging.INFO)
    if quiet:
        return Silent()
    return Bar() if terminal else Logged()


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


def complain(text: str) -> None:
    """Print a message on standard error."""
    click.echo(f"cefline: {text}", err=True)
