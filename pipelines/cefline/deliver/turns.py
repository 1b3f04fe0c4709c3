"""Turns: a log that orders all deliveries of a destination; one of them publishes at a time.

A turn is open until its delivery has a manifest or its `.closed` is there. The next one can be
taken only then, and its stamp is later: so keys rise over all deliveries, hosts and clocks.
"""

import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from cefline.deliver import plans
from cefline.deliver import state as states
from cefline.deliver.store import Store

_STAMP = "%Y%m%dT%H%M%SZ"
_TURN = ("turn", "stamp", "delivery", "segment", "source", "host", "process")


@dataclass(frozen=True, slots=True)
class Turn:
    """The right to publish under the destination; its number and stamp are in every key."""

    number: int
    stamp: str
    delivery: str
    segment: int
    source: str
    """URL of the source."""
    host: str
    process: int

    def __str__(self) -> str:
        """Tell it in words."""
        by = f"by process {self.process} on {self.host}"
        return f"turn {self.number} (delivery {self.delivery} of {self.source}, begun {by})"


def last(state: Store, floor: int = 0) -> Turn | None:
    """Return the last turn that was taken; those up to `floor` need not be listed."""
    after = f"turns/{max(floor, 0):08d}"
    keys = [key for key, _ in state.list("turns/", after) if key.endswith(".json")]
    return _turn(states.load(state, max(keys), *_TURN)) if keys else None


def exists(state: Store, number: int) -> bool:
    """Whether a turn was taken."""
    return state.exists(f"turns/{number:08d}.json")


def of_number(state: Store, number: int) -> Turn:
    """Return a turn that was taken."""
    return _turn(states.load(state, f"turns/{number:08d}.json", *_TURN))


def is_open(state: Store, turn: Turn) -> bool:
    """Whether a turn is neither closed nor would be, had its run not been killed just before."""
    mark = f"turns/{turn.number:08d}.closed"
    return not state.exists(mark) and not plans.is_done(state, turn.delivery)


def take(plan: Mapping[str, Any], state: Store, dest: Store, floor: int = 0) -> Turn:
    """Take the next turn for a segment, or return the one that is open, perhaps another's.

    Args:
        plan: of the segment.
        state: where turns are.
        dest: whose clock stamps the turn.
        floor: a turn that is there, and closed.
    """
    while True:
        before = last(state, floor - 1)
        if before is not None and is_open(state, before):
            return before
        taken = _next(before, plan, dest)
        said = {"turn": taken.number, **{name: getattr(taken, name) for name in _TURN[1:]}}
        if states.create(state, f"turns/{taken.number:08d}.json", said):
            return taken


def close(state: Store, turn: Turn, published: int) -> None:
    """Close a turn: its segment is out, or others closed it.

    The manifest comes first: were a run killed between the two in the other order, its source
    would be published again under a turn of its own.
    """
    content = {"turn": turn.number, "delivery": turn.delivery, "published": published}
    states.create(state, f"turns/{turn.number:08d}.closed", content)


def intend(state: Store, turn: Turn, part: int) -> bool:
    """Note that a part is about to be put out, and that all before it are.

    Returns:
        False where that was noted before: by a run that was killed, or by one beside this.
    """
    key, token = f"progress/{turn.number:08d}/{part:06d}", uuid4().hex.encode()
    # A reply that was lost looks like an intent of another run: the token tells.
    return state.create(key, token, "text/plain", {}) or state.read(key) == token


def intended(state: Store, turn: Turn) -> int:
    """Return the number of the part that was about to be put out last, 0 where none was."""
    keys = [key for key, _ in state.list(f"progress/{turn.number:08d}/")]
    return int(keys[-1].rpartition("/")[2]) if keys else 0


def _turn(said: dict[str, Any]) -> Turn:
    return Turn(said["turn"], *(said[name] for name in _TURN[1:]))


def _next(before: Turn | None, plan: Mapping[str, Any], dest: Store) -> Turn:
    number, stamp = (before.number, before.stamp) if before else _adopted(dest)
    now = dest.now()
    if number:
        earlier = datetime.strptime(f"{stamp}+0000", f"{_STAMP}%z")
        now = max(now, earlier + timedelta(seconds=1))
    what = (plan["delivery"], plan["segment"], plan["source"]["url"])
    return Turn(number + 1, now.strftime(_STAMP), *what, socket.gethostname(), os.getpid())


def _adopted(dest: Store) -> tuple[int, str]:
    """Return turn and stamp of the last part of a destination whose state has no turn."""
    found = (re.search(r"(\d{8}T\d{6}Z)-(\d{8})/", key) for key, _ in dest.list())
    return max(((int(match[2]), match[1]) for match in found if match), default=(0, ""))
