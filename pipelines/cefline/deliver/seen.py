"""What became of each version of a source, in names alone: one listing tells what is new."""

import hashlib
from dataclasses import dataclass
from typing import Any, Literal

from cefline.deliver import state as states
from cefline.deliver.store import Store

Outcome = Literal["done", "known", "failed"]


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of a version of a source."""

    key: str
    delivery: str
    outcome: Outcome
    """`known` has the bytes of another source, which was delivered."""
    numbers: tuple[int, ...] = ()
    """Of what was delivered: turn, events, rejected rows, parts, stored bytes; of what failed: the
    exit code."""
    stamp: str = ""


def source_key(url: str, size: int, version: str, variant: str) -> str:
    """Return the name of a version of a source.

    Args:
        url: where it is.
        size: its bytes.
        version: what changes with its content.
        variant: what makes a delivery of its own of the same bytes.
    """
    whole = "\0".join((url, str(size), version, variant))
    return hashlib.sha256(whole.encode(errors="surrogatepass")).hexdigest()[:32]


def remember(state: Store, seen: Seen, said: dict[str, Any]) -> None:
    """Remember what became of a source; `said` is for those who look."""
    numbers = "_".join(map(str, seen.numbers)) or "0"
    end = f"-{seen.stamp}" if seen.stamp else ""
    name = f"seen/{seen.key}-{seen.delivery}-{seen.outcome}-{numbers}{end}"
    states.create(state, name, said)


def load(state: Store) -> dict[str, Seen]:
    """Return what is known, by source key; what was delivered goes before what failed."""
    found: dict[str, Seen] = {}
    for key, _ in state.list("seen/"):
        seen = _parsed(key.removeprefix("seen/"))
        if seen is not None and (seen.outcome != "failed" or seen.key not in found):
            found[seen.key] = seen
    return found


def error(state: Store, seen: Seen) -> str:
    """Return the message with which a source failed."""
    start = f"seen/{seen.key}-{seen.delivery}-failed-"
    keys = [key for key, _ in state.list(start)]
    return str(states.load(state, keys[-1], "error")["error"]) if keys else ""


def _parsed(name: str) -> Seen | None:
    match name.split("-"):
        case [key, delivery, ("done" | "known" | "failed") as outcome, numbers, *stamp]:
            return Seen(key, delivery, outcome, tuple(map(int, numbers.split("_"))), "".join(stamp))
    return None
