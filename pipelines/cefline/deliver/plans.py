"""Deliveries: their identity, what they consist of, and that they are done."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from cefline.deliver import state as states
from cefline.deliver.store import Store

_PLAN = ("cefline", "settings", "parts", "text_format", "segment", "skip")
_ID = 32

_AT_ONCE = 16
"""So many evidences are asked for or noted at once: as many connections as the S3 client has."""

T = TypeVar("T")

Skip = Mapping[str, list[tuple[int, int, int]]]
"""What is out already, by partition: first and last ordinal and number of events of its parts."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a delivery that is planned and published as one; most have a single one."""

    number: int = 1
    plan: Mapping[str, Any] | None = None
    """What was planned already, perhaps by another run."""
    skip: Skip = field(default_factory=dict)


def delivery_id(sha256: str, evidence_id: int | None = None, token: str | None = None) -> str:
    """Return the id of a delivery: of the content, and of what was said to tell it apart."""
    if evidence_id is None and token is None:
        return sha256[:_ID]
    said = json.dumps([sha256, evidence_id, token])
    return hashlib.sha256(said.encode()).hexdigest()[:_ID]


def is_done(state: Store, delivery: str) -> bool:
    """Whether a delivery is done."""
    return state.exists(f"manifests/{delivery}.json")


def manifest(state: Store, delivery: str) -> dict[str, Any]:
    """Return the manifest of a delivery that is done."""
    return states.load(state, f"manifests/{delivery}.json", "source", "parts")


def manifests(state: Store) -> list[str]:
    """Return the ids of the deliveries that are done."""
    return [key[10:-5] for key, _ in state.list("manifests/")]


def make_manifest(state: Store, manifest: Mapping[str, Any]) -> None:
    """Say that a delivery is done; a manifest that is there already says the same."""
    states.create(state, f"manifests/{manifest['delivery']}.json", dict(manifest))


def abandoned(state: Store) -> list[str]:
    """Return the ids of the deliveries that were closed as they were."""
    return [key[10:] for key, _ in state.list("abandoned/")]


def is_abandoned(state: Store, delivery: str) -> bool:
    """Whether a delivery was closed as it was, or is about to be."""
    return state.exists(f"abandoned/{delivery}")


def mark_abandoned(state: Store, delivery: str) -> None:
    """Note that a delivery was closed as it was."""
    states.create(state, f"abandoned/{delivery}", {})


def planned_ids(state: Store) -> list[str]:
    """Return the ids of the deliveries that have a plan, done or not."""
    return sorted({key[6 : 6 + _ID] for key, _ in state.list("plans/")})


def segments(state: Store, delivery: str) -> list[dict[str, Any]]:
    """Return the plans of a delivery, in order."""
    keys = [key for key, _ in state.list(f"plans/{delivery}-")]
    return [states.load(state, key, *_PLAN) for key in keys]


def current(state: Store, delivery: str) -> Segment:
    """Return the segment that is to be published: the last one planned, or the next."""
    made = segments(state, delivery)
    skip: dict[str, list[tuple[int, int, int]]] = {}
    for plan in made:
        published = fenced(state, delivery, plan["segment"])
        if published is None:
            return Segment(plan["segment"], plan, _skip(plan))
        for part in plan["parts"][: published["published"]]:
            ranges = skip.setdefault(part["partition"], [])
            ranges.append((part["first"], part["last"], part["events"]))
    return Segment(len(made) + 1, made[-1] if made else None, skip)


def _skip(plan: Mapping[str, Any]) -> Skip:
    return {name: [(a, b, n) for a, b, n in ranges] for name, ranges in plan["skip"].items()}


def make_plan(state: Store, plan: Mapping[str, Any]) -> dict[str, Any]:
    """Make the plan of a segment, and return the one that was made, perhaps by another run."""
    key = f"plans/{plan['delivery']}-{plan['segment']:02d}.json"
    return dict(plan) if states.create(state, key, dict(plan)) else states.load(state, key, *_PLAN)


def fenced(state: Store, delivery: str, segment: int) -> dict[str, Any] | None:
    """Return turn, stamp and number of parts `published` of a segment that others closed."""
    key = f"fenced/{delivery}-{segment:02d}.json"
    return states.load(state, key, "published", "turn") if state.exists(key) else None


def all_fenced(state: Store) -> list[tuple[str, int]]:
    """Return delivery and number of all segments that others closed."""
    names = (key[7:].removesuffix(".json") for key, _ in state.list("fenced/"))
    return [(name[:_ID], int(name[_ID + 1 :])) for name in names]


def mark_fenced(state: Store, delivery: str, segment: int, said: Mapping[str, Any]) -> None:
    """Say that the rest of a segment goes out in the next one."""
    states.create(state, f"fenced/{delivery}-{segment:02d}.json", dict(said))


def mark_evidence(state: Store, delivery: str, ids: list[int]) -> None:
    """Note the evidences that a delivery holds."""
    _of_each(ids, lambda number: states.create(state, f"evidence/{number}/{delivery}", {}))


def other_deliveries(state: Store, delivery: str, ids: list[int]) -> dict[int, str]:
    """Return, of the evidences that came in another delivery before, one such delivery."""

    def other(number: int) -> str | None:
        start = f"evidence/{number}/"
        before = (key.removeprefix(start) for key, _ in state.list(start))
        return next((name for name in before if name != delivery), None)

    found = zip(ids, _of_each(ids, other), strict=True)
    return {number: name for number, name in found if name is not None}


def _of_each(ids: Sequence[int], function: Callable[[int], T]) -> list[T]:
    """Return what a function gives for each evidence; there may be many, each a round trip.

    Where several fail, the error is that of the first one in order.
    """
    if len(ids) <= 1:
        return [function(number) for number in ids]
    with ThreadPoolExecutor(min(len(ids), _AT_ONCE)) as pool:
        return list(pool.map(function, ids))
