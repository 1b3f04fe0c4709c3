"""What became of the deliveries of a destination, by listing; and closing one that won't end."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Literal

from cefline import s3
from cefline.deliver import plans, seen
from cefline.errors import UsageError
from cefline.places import stores
from cefline.values import size_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cefline.config import Config

HEADING = (
    f"{'state':10}{'delivery':34}{'turn':>8}{'events':>14}{'rejected':>10}{'parts':>7}"
    f"{'stored':>10}{'age':>8}"
)


@dataclass(frozen=True, slots=True)
class Status:
    """One delivery."""

    state: Literal["done", "open", "failed", "abandoned"]
    delivery: str
    turn: int | None = None
    events: int | None = None
    rejected: int | None = None
    parts: int | None = None
    stored_bytes: int | None = None
    stamp: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return it in JSON's types."""
        return asdict(self)

    def line(self) -> str:
        """Return it for people, below the heading."""
        stored = "" if self.stored_bytes is None else size_text(self.stored_bytes)
        numbers = (_number(n) for n in (self.turn, self.events, self.rejected, self.parts))
        turn, events, rejected, parts = numbers
        counts = f"{turn:>8}{events:>14}{rejected:>10}{parts:>7}{stored:>10}"
        return f"{self.state:10}{self.delivery:34}{counts}{_age(self.stamp):>8}"


def status(config: Config) -> Iterator[Status]:
    """Yield the deliveries of a destination: done in the order of their turns, then the others.

    Raises:
        CeflineError: the state can't be read.
    """
    _, state = stores(config, cache(partial(s3.connect, config.s3)))
    known = seen.load(state).values()
    done = sorted((s for s in known if s.outcome == "done"), key=lambda s: s.numbers)
    for one in done:
        turn, events, rejected, parts, stored = one.numbers
        yield Status("done", one.delivery, turn, events, rejected, parts, stored, one.stamp)
    told = {one.delivery for one in done}
    closed = set(plans.manifests(state)) - told
    left = set(plans.abandoned(state))
    for delivery in sorted(closed):  # a run was killed before it remembered them
        yield Status("abandoned" if delivery in left else "done", delivery)
    told |= closed
    for delivery in plans.planned_ids(state):
        if delivery not in told:
            yield Status("open", delivery)
            told.add(delivery)
    for one in known:
        if one.outcome == "failed" and one.delivery not in told:
            yield Status("failed", one.delivery)
            told.add(one.delivery)


def abandon(config: Config, delivery: str) -> list[str]:
    """Close a delivery that is not done as it is; return the keys of its parts that are out.

    Raises:
        UsageError: it is done, or there is none.
        CeflineError: the store's own.
    """
    from cefline.deliver.delivery import abandon as close

    dest, state = stores(config, cache(partial(s3.connect, config.s3)))
    if plans.is_done(state, delivery):
        message = f"delivery {delivery} is done: there is nothing to abandon"
        raise UsageError(message)
    if delivery not in plans.planned_ids(state):
        message = f"{state.url} knows no delivery {delivery}"
        raise UsageError(message, hint="`cefline status DEST` lists them")
    return [entry["key"] for entry in close(delivery, (dest, state), config.assume)]


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _age(stamp: str) -> str:
    if not stamp:
        return ""
    began = datetime.strptime(f"{stamp}+0000", "%Y%m%dT%H%M%SZ%z").timestamp()
    seconds = max(time.time() - began, 0)
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f}{unit}"
    return f"{seconds:.0f}s"
