"""Progress: a bar on a terminal, a log line now and then elsewhere."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.progress import TaskID

log = logging.getLogger("cefline")

_EVERY = 30.0
"""Seconds between two log lines."""


class Progress(Protocol):
    """What a run tells while it goes on."""

    def begin(self, url: str, size: int) -> None:
        """Tell that a source is begun; `size` is in bytes."""

    def advance(self, events: int, text_bytes: int, done: float) -> None:
        """Tell of more events and bytes of text, and which part of the source is behind."""

    def end(self) -> None:
        """Tell that the source is through."""


class Silent:
    """Tells nothing."""

    def begin(self, url: str, size: int) -> None:
        """Tell nothing."""

    def advance(self, events: int, text_bytes: int, done: float) -> None:
        """Tell nothing."""

    def end(self) -> None:
        """Tell nothing."""


class Logged:
    """Tells in log lines, at most one in 30 seconds."""

    def begin(self, url: str, size: int) -> None:
        """Take note of the source."""
        self._url, self._size = url, size
        self._events, self._bytes = 0, 0
        self._began = self._told = time.monotonic()

    def advance(self, events: int, text_bytes: int, done: float) -> None:
        """Log where the source stands, if that was not done lately."""
        self._events += events
        self._bytes += text_bytes
        now = time.monotonic()
        if now - self._told >= _EVERY:
            self._told = now
            left = (now - self._began) * (1 - done) / max(done, 0.001)
            log.info(
                "%s: %d %%, %d events, %d bytes of text, %.0f s left",
                self._url,
                done * 100,
                self._events,
                self._bytes,
                left,
            )

    def end(self) -> None:
        """Say nothing: the run does."""


class Bar:
    """Draws a bar on a terminal: events, bytes, rate and time left."""

    def __init__(self) -> None:
        """Prepare the bar; it is drawn while a source is under way."""
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %  {task.fields[told]}", markup=False),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task: TaskID | None = None

    def begin(self, url: str, size: int) -> None:
        """Begin a bar for a source."""
        name = "".join(c if c.isprintable() else "?" for c in url.rsplit("/", 1)[-1])[-40:]
        self._events, self._bytes, self._began = 0, 0, time.monotonic()
        self._task = self._progress.add_task(name, total=1.0, told=f"{size:,} bytes")
        self._progress.start()

    def advance(self, events: int, text_bytes: int, done: float) -> None:
        """Move the bar."""
        self._events += events
        self._bytes += text_bytes
        rate = self._events / max(time.monotonic() - self._began, 0.001)
        told = f"{self._events:,} events  {self._bytes / 1e6:,.0f} MB  {rate:,.0f}/s"
        if self._task is not None:
            self._progress.update(self._task, completed=done, told=told)

    def end(self) -> None:
        """Take the bar away."""
        self._progress.stop()
        if self._task is not None:
            self._progress.remove_task(self._task)
