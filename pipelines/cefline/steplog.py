"""Steps of a run as log lines: one at the end of each, with its counts and seconds."""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cefline.steps import Fact, Name, Tell, Watch

log = logging.getLogger("cefline")

_COUNTS = ("events_read", "events_delivered", "events_rejected", "parts")


def logged(watch: Watch) -> Watch:
    """Return who watches a run as before, and logs each step when it ends.

    A record has in `said` what is known of the step: `event` (its name), `source`, `seconds`, and
    what was told of it; of one that failed, the `error`'s name.
    """

    @contextmanager
    def bracket(name: Name, source: str = "") -> Iterator[Tell]:
        told: dict[str, Fact] = {}
        began = time.monotonic()
        try:
            with watch(name, source) as tell:

                def both(**facts: Fact) -> None:
                    told.update(facts)
                    tell(**facts)

                yield both
        except BaseException as err:
            told["error"] = type(err).__name__
            raise
        finally:
            seconds = time.monotonic() - began
            place = {"source": source} if source else {}
            said = {"event": name, **place, "seconds": round(seconds, 3), **told}
            log.info("%s, %.1f s", _line(name, source, told), seconds, extra={"said": said})

    return bracket


def _line(name: Name, source: str, told: Mapping[str, Fact]) -> str:
    """Return a step for people: what it was, what came of it, and what was counted."""
    step = "" if name == "source" else name
    outcome = told.get("error") if "outcome" not in told else told["outcome"] if not step else ""
    counts = (f"{told[n]:,} {n.replace('_', ' ')}" for n in _COUNTS if told.get(n))
    rest = ", ".join(str(part) for part in (step, outcome, *counts) if part)
    return f"{source}: {rest}" if source else rest
