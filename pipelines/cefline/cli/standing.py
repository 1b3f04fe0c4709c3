"""How a run shows where it stands: bars on a terminal, log lines every 30 seconds elsewhere."""

from __future__ import annotations

import logging
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from cefline.cli import logs
from cefline.heartbeat import again_and_again, in_words, logged
from cefline.shown import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cefline.config import LogFormat
    from cefline.progress import Progress

_REDRAWN = 0.2
_NAME = 40


@contextmanager
def shown(progress: Progress, form: LogFormat, *, quiet: bool) -> Iterator[None]:
    """Show where a run stands, as the terminal and the format of the log allow."""
    if quiet:
        yield
        return
    with (logged if logs.is_json(form) or not sys.stderr.isatty() else drawn)(progress):
        yield


@contextmanager
def drawn(progress: Progress) -> Iterator[None]:
    """Draw bars on the terminal: of all sources, and of each that is under way."""
    from rich.console import Console, Group
    from rich.live import Live
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    def table() -> Group:
        bars = Table.grid(padding=(0, 1))
        total, through, whole = progress.total()
        rows = [(f"{through} of {whole} sources", total)] if whole else []
        rows += [(url.rsplit("/", 1)[-1][-_NAME:], one) for url, one in progress.sources()]
        for name, one in rows:
            bar = ProgressBar(total=1.0, completed=one.done, width=24)
            bars.add_row(Text(printable(name)), Text(one.step), bar, Text(in_words(one)))
        return Group(bars)

    console = Console(stderr=True)
    live = Live(console=console, transient=True, auto_refresh=False)
    redrawn = again_and_again(lambda: live.update(table(), refresh=True), _REDRAWN)
    # As text: nothing in a line is markup, is highlighted, or is broken where the terminal ends.
    with _logged_to(lambda line: console.print(Text(line), end="", soft_wrap=True)), live, redrawn:
        yield


class _Above(NamedTuple):
    """A stream whose text stands above the bars: beside them it would be drawn over."""

    write: Callable[[str], None]


@contextmanager
def _logged_to(show: Callable[[str], None]) -> Iterator[None]:
    """Let lines of the log that go to standard error be shown in another way."""
    handlers = [
        handler
        for handler in logging.getLogger().handlers
        if isinstance(handler, logging.StreamHandler) and handler.stream is sys.stderr
    ]
    before = [handler.setStream(_Above(show)) for handler in handlers]
    try:
        yield
    finally:
        for handler, stream in zip(handlers, before, strict=True):
            handler.setStream(stream)
