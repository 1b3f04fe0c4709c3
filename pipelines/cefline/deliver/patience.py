"""Waiting for the turn of another delivery: as long as it makes progress."""

import logging
import time
from collections.abc import Callable

from cefline.deliver import turns
from cefline.deliver.store import Store
from cefline.deliver.turns import Turn

log = logging.getLogger("cefline")


class Patience:
    """Waits a little with each call, and calls for rescue when nothing moves for too long."""

    def __init__(self, state: Store, timeout: float, rescue: Callable[[Turn], None]) -> None:
        """Take the state, the seconds without progress to bear, and what to do after them."""
        self._state, self._timeout, self._rescue = state, timeout, rescue
        self._seen = (0, 0)
        self._since = 0.0

    def __call__(self, turn: Turn) -> None:
        """Wait for this turn, which is open."""
        now, seen = time.monotonic(), (turn.number, turns.intended(self._state, turn))
        if seen != self._seen:
            if turn.number != self._seen[0]:
                log.info("waiting for %s", turn)
            self._seen, self._since = seen, now
        if now - self._since >= self._timeout:
            log.warning("%s makes no progress for %.0f s: taking it over", turn, self._timeout)
            self._rescue(turn)
            self._seen = (0, 0)
        else:
            time.sleep(min(max(self._timeout / 20, 0.02), 2.0))
