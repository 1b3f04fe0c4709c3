"""Log lines of where a run stands, every 30 seconds, also while nothing moves."""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cefline.progress import Progress, Standing

log = logging.getLogger("cefline")

EVERY = 30.0
"""Seconds between two log lines."""


@contextmanager
def logged(progress: Progress, every: float = EVERY) -> Iterator[None]:
    """Log where a run stands, every so many seconds."""
    with again_and_again(lambda: _log(progress), every):
        yield


@contextmanager
def again_and_again(function: Callable[[], None], every: float) -> Iterator[None]:
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
        log.info("%s: %s, %s", url, one.step, in_words(one), extra={"said": said})
    said = {"event": "progress", "sources": whole, "sources_through": through, **_counts(total)}
    log.info("%d of %d sources, %s", through, whole, in_words(total), extra={"said": said})


def _counts(one: Standing) -> dict[str, float]:
    left = one.left()
    return {
        "done": round(one.done, 4),
        "events": one.events,
        "text_bytes": one.text_bytes,
        **({} if left is None else {"seconds_left": round(left)}),
    }


def in_words(one: Standing) -> str:
    """Return how far it is; the time that is left, once it can be told."""
    seconds = one.left()
    left = "" if seconds is None else f", {seconds:,.0f} s left"
    rate = f"{one.events:,} events, {one.text_bytes / 1e6:,.0f} MB of text, {one.rate():,.0f}/s"
    return f"{one.done:.0%}, {rate}{left}"
