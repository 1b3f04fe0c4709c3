"""How a run shows where it stands: bars on a terminal, log lines every 30 seconds elsewhere."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cefline.cli import logs
from cefline.heartbeat import again_and_again, in_words, logged
from cefline.shown import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

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

    live = Live(console=Console(stderr=True), transient=True, auto_refresh=False)
    with live, again_and_again(lambda: live.update(table(), refresh=True), _REDRAWN):
        yield
