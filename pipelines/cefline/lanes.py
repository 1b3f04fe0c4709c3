"""Sources side by side: one is published while the next is converted and a third one fetched."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING, Literal, TypeVar

from cefline.errors import TryAgainError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Step = Literal["fetch", "convert", "publish"]

A = TypeVar("A")
B = TypeVar("B")

_AT_ONCE = 3
"""Sources under way: one in each step. So many are on local disk at most."""


_HEARS = 0.2
"""Seconds after which a signal is heard."""


class Lane:
    """A source's way through the steps: each step takes one source at a time, in their order."""

    def __init__(self, before: Lane | None = None, stop: Event | None = None) -> None:
        """Go behind the source before, if there is one, until it is time to stop."""
        self._before, self._stop = before, stop or Event()
        self._taken: dict[Step, Event] = {s: Event() for s in ("fetch", "convert", "publish")}

    @contextmanager
    def step(self, name: Step) -> Iterator[None]:
        """Take a step, once the source before has taken it.

        Raises:
            TryAgainError: the run was interrupted.
        """
        if self._before is not None:
            self._before.wait(name)
        self.check()
        yield
        self._taken[name].set()

    def wait(self, name: Step) -> None:
        """Wait until this source has taken a step, or never will."""
        self._taken[name].wait()

    def check(self) -> None:
        """Go no further where the run was interrupted.

        Raises:
            TryAgainError: it was.
        """
        if self._stop.is_set():
            raise TryAgainError("interrupted", hint="The next run goes on")

    def leave(self) -> None:
        """Let the next source pass: all steps are taken, or will not be."""
        for taken in self._taken.values():
            taken.set()
        self._before = None


def side_by_side(items: Iterable[A], function: Callable[[A, Lane], B]) -> list[B]:
    """Return what a function makes of each item, with its lane, in order.

    Whatever ends it early (an interrupt, an error that is no item's own) ends those under way at
    their next step.
    """
    stop, before, under_way = Event(), None, []
    threads = ThreadPoolExecutor(_AT_ONCE)
    try:
        for item in items:
            before = Lane(before, stop)
            under_way.append(threads.submit(_through, function, item, before))
        return [_result(future) for future in under_way]
    except BaseException:
        stop.set()
        raise
    finally:
        threads.shutdown(wait=False, cancel_futures=True)


def _result(future: Future[B]) -> B:
    """Wait for a result in short steps.

    Once polars is imported, its handler of SIGINT has waits begun anew: one without an end would
    never hear of it.
    """
    while not future.done():
        wait([future], timeout=_HEARS)
    return future.result()


def _through(function: Callable[[A, Lane], B], item: A, lane: Lane) -> B:
    try:
        return function(item, lane)
    finally:
        lane.leave()
