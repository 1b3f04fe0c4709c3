"""Where a run stands: what is told by its threads, and read by whoever shows it."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(slots=True)
class Standing:
    """Where a source stands, or all of a run together."""

    size: int
    """Stored bytes."""
    step: str = ""
    events: int = 0
    text_bytes: int = 0
    done: float = 0.0
    """The part that is converted, 0 to 1."""
    began: float | None = None
    """When converting began: what is fetched, or waited for, is no part of the rate."""

    def begin(self) -> None:
        """Take note that converting begins, unless it has."""
        if self.began is None:
            self.began = time.monotonic()

    def rate(self) -> float:
        """Return the events in a second."""
        return self.events / max(self._spent(), 0.001)

    def left(self) -> float | None:
        """Return the seconds that are left; None where that can't be told."""
        if self.began is None or not 0 < self.done < 1:
            return None
        return self._spent() * (1 - self.done) / self.done

    def _spent(self) -> float:
        return 0.0 if self.began is None else time.monotonic() - self.began


class Progress:
    """Where the sources of a run stand."""

    def __init__(self) -> None:
        """Know of no source."""
        self._lock = threading.Lock()
        self._waiting: dict[str, int] = {}
        self._under_way: dict[str, Standing] = {}
        self._through, self._bytes = 0, 0
        self._total = Standing(0)

    def begin(self, sources: Iterable[tuple[str, int]]) -> None:
        """Take the sources that are to be delivered, by URL and bytes."""
        with self._lock:
            self._waiting = dict(sources)
            self._total = Standing(sum(self._waiting.values()))

    def step(self, url: str, name: str) -> None:
        """Take note that a source takes a step."""
        with self._lock:
            one = self._of(url)
            one.step = name
            for standing in (one, self._total) if name == "convert" else ():
                standing.begin()

    def advance(self, url: str, events: int, text_bytes: int, done: float) -> None:
        """Take note of more events and bytes of text, and how much of a source is converted."""
        with self._lock:
            one = self._of(url)
            one.done = done
            for standing in (one, self._total):
                standing.begin()
                standing.events += events
                standing.text_bytes += text_bytes

    def leave(self, url: str) -> None:
        """Take note that a source is through, well or not."""
        with self._lock:
            self._bytes += self._of(url).size
            del self._under_way[url]
            self._through += 1

    def sources(self) -> list[tuple[str, Standing]]:
        """Return where the sources under way stand."""
        with self._lock:
            return [(url, replace(one)) for url, one in self._under_way.items()]

    def total(self) -> tuple[Standing, int, int]:
        """Return where all of them stand, how many are through, and how many there are."""
        with self._lock:
            done = self._bytes + sum(one.size * one.done for one in self._under_way.values())
            whole = self._through + len(self._under_way) + len(self._waiting)
            share = done / self._total.size if self._total.size else 0.0
            return replace(self._total, done=min(share, 1.0)), self._through, whole

    def _of(self, url: str) -> Standing:
        return self._under_way.setdefault(url, Standing(self._waiting.pop(url, 0)))
