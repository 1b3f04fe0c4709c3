"""How a run shows where it stands: bars on a terminal, log lines every 30 seconds elsewhere."""

from __future__ import annotations

import logging
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cefline.cli import logs
from cefline.shown import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cefline.config import LogFormat
    from cefline.progress import Progress, Standing

log = logging.getLogger("cefline")

EVERY = 30.0
"""Seconds between two log lines."""

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
def logged(progress: Progress, every: float = EVERY) -> Iterator[None]:
    """Log where a run stands now and then, also while nothing moves."""
    with _again_and_again(lambda: _log(progress), every):
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
            bars.add_row(Text(printable(name)), Text(one.step), bar, Text(_told(one)))
        return Group(bars)

    live = Live(console=Console(stderr=True), transient=True, auto_refresh=False)
    with live, _again_and_again(lambda: live.update(table(), refresh=True), _REDRAWN):
        yield


@contextmanager
def _again_and_again(function: Callable[[], None], every: float) -> Iterator[None]:
    """Call a function every so many seconds, in a thread of its own."""
    ended = threading.Event()

    def call() -> None:
        while not ended.wait(every):
            function()

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _log(progress: Progress) -> None:
    total, through, whole = progress.total()
    if not whole:
        return
    for url, one in progress.sources():
        said = {"event": "progress", "source": url, "step": one.step, **_counts(one)}
        log.info("%s: %s, %s", url, one.step, _told(one), extra={"said": said})
    said = {"event": "progress", "sources": whole, "sources_through": through, **_counts(total)}
    log.info("%d of %d sources, %s", through, whole, _told(total), extra={"said": said})


def _counts(one: Standing) -> dict[str, float]:
    return {
        "done": round(one.done, 4),
        "events": one.events,
        "text_bytes": one.text_bytes,
        "seconds_left": round(one.left()),
    }


def _told(one: Standing) -> str:
    """Return how far it is; the time that is left, once it can be told."""
    left = f", {one.left():,.0f} s left" if 0 < one.done < 1 else ""
    rate = f"{one.events:,} events, {one.text_bytes / 1e6:,.0f} MB of text, {one.rate():,.0f}/s"
    return f"{one.done:.0%}, {rate}{left}"
