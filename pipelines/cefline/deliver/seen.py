"""What became of each version of a source, in names alone: one listing tells what is new."""

import hashlib
from dataclasses import dataclass, replace
from typing import Any, Literal

from cefline.deliver import state as states
from cefline.deliver.store import Store

Outcome = Literal["done", "known", "failed", "tagged"]
_RANK = {"failed": 0, "known": 1, "done": 2}


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of a version of a source."""

    key: str
    delivery: str
    outcome: Outcome
    """`known` has the bytes of another source, which was delivered; `tagged` is said beside."""
    tagged: bool = False
    """Whether it was tagged after its delivery."""
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
    tagged = set()
    for key, _ in state.list("seen/"):
        seen = _parsed(key.removeprefix("seen/"))
        if seen is None:
            continue
        if seen.outcome == "tagged":
            tagged.add(seen.key)
        elif seen.key not in found or _RANK[seen.outcome] >= _RANK[found[seen.key].outcome]:
            found[seen.key] = seen
    return found | {key: replace(found[key], tagged=True) for key in tagged & found.keys()}


def error(state: Store, seen: Seen) -> str:
    """Return the message with which a source failed."""
    start = f"seen/{seen.key}-{seen.delivery}-failed-"
    keys = [key for key, _ in state.list(start)]
    return str(states.load(state, keys[-1], "error")["error"]) if keys else ""


def _parsed(name: str) -> Seen | None:
    match name.split("-"):
        case [key, delivery, ("done" | "known" | "failed" | "tagged") as outcome, numbers, *stamp]:
            counted = tuple(map(int, numbers.split("_")))
            return Seen(key, delivery, outcome, numbers=counted, stamp="".join(stamp))
    return None
