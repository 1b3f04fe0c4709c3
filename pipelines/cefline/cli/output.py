"""Standard output and standard error: nothing else writes there."""

from __future__ import annotations

import logging
import os
import sys

import click

from cefline.cli import logs

log = logging.getLogger("cefline")


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
    """Print a message on standard error: in words, or as a log line where all is to be JSON."""
    if logs.all_json():
        log.error("%s", text)
    else:
        click.echo(f"cefline: {text}", err=True)
