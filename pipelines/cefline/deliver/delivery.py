"""One delivery from its staged parts to its manifest."""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

from cefline import keys
from cefline.deliver import plans, turns
from cefline.deliver.fences import fence
from cefline.deliver.plans import Segment
from cefline.deliver.publish import (
    Assume,
    FencedError,
    Published,
    Readers,
    check_listing,
    fenced_error,
    planned,
    publish,
    read_back,
)
from cefline.deliver.staging import Staged
from cefline.deliver.store import Store
from cefline.deliver.turns import Turn
from cefline.errors import DeliveryError

log = logging.getLogger("cefline")


@dataclass(frozen=True, slots=True)
class Delivery:
    """What is known of a delivery before its first part."""

    id: str
    source: Mapping[str, Any]
    """URL, size, version and identity of the source, and its format."""
    settings: Mapping[str, Any]
    """All that decides on text and keys; no credentials."""
    cefline: str
    text_format: str
    variant: Mapping[str, Any]
    """What makes a delivery of its own of bytes that were delivered before."""


Check = Literal["listing", "full"]
"""`listing` compares sizes, since S3 compared the digest of each PUT; `full` reads parts back."""


@dataclass(frozen=True, slots=True)
class How:
    """How parts are put out."""

    pace: float = 0.0
    """Seconds between two parts."""
    assume: Assume | None = None
    """What to think of a part that may have been put out and removed again."""
    check: Check = "listing"
    """What must be right before the manifest is made."""
    floor: int = 0
    """A turn that is known to be closed: those before it need not be listed."""
    readers: Readers = "delete"
    """Whether readers may remove parts; where they keep them, `assume` is `lost`."""


@dataclass(frozen=True, slots=True)
class Done:
    """What was delivered."""

    turn: Turn | None
    """None where there were no parts."""
    published: list[Published]
    entries: list[dict[str, Any]]
    """The manifest's, of all segments."""
    removed: list[str]
    """Keys of parts that a reader has removed already."""


def deliver(
    delivery: Delivery,
    segment: Segment,
    parts: Sequence[Staged],
    places: tuple[Store, Store],
    *,
    said: Mapping[str, Any],
    wait: Callable[[Turn], None],
    how: How,
    begun: Callable[[], object] = lambda: None,
    verifying: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Done | None:
    """Plan the parts, take the turn, put them out in order, and say that it is done.

    Args:
        delivery: what is delivered.
        segment: which segment of it.
        parts: its parts, in key order.
        places: destination and state.
        said: counts and rejects, for the manifest.
        wait: what is called with the open turn of another delivery, again and again.
        how: pace, what readers do, what to assume, and what to check.
        begun: is called once the plan is fixed, where these are its parts.
        verifying: brackets the check of what is out.

    Returns:
        What is out; None where another run has finished the delivery in the meantime.

    Raises:
        FencedError: the segment is closed: what is left belongs to the next one.
        DeliveryError: a key is taken by something else, or a part is not what was put out.
    """
    dest, state = places
    if len(parts) > keys.MAX_PARTS:
        message = f"it has {len(parts)} parts, and keys are made for {keys.MAX_PARTS}"
        raise DeliveryError(message, hint="Raise part_size")
    own = _plan(delivery, segment, parts, dest)
    plan = plans.make_plan(state, own)
    if not _differs(plan, own):
        begun()
    turn = None
    published: list[Published] = []
    if parts or plan["parts"]:  # else there is no key, so no turn
        turn = _own_turn(plan, places, wait, how)
        if turn is None:
            return None
        plans.mark_evidence(state, delivery.id, said["evidence"])
        if _differs(plan, own):
            fence(plan, turn, places, how.assume)
            message = f"segment {turn.segment} of delivery {turn.delivery} has other parts"
            raise FencedError(message, hint="Run again: what is left goes out in another segment")
        try:
            pace, assume, readers = how.pace, how.assume, how.readers
            published = publish(
                plan, parts, turn, places, pace=pace, assume=assume, readers=readers
            )
            _check_own(turn, state)
        except FencedError:
            fence(plan, turn, places, how.assume)  # whoever began it may have been killed
            raise
    with verifying():
        removed = check_listing(plan, turn, published, dest) if turn else []
        if turn and how.check == "full":
            read_back(plan, turn, len(published), dest)
    entries = [*earlier(delivery.id, segment.number, places), *(p.entry() for p in published)]
    told = {"turn": turn.number, "stamp": turn.stamp} if turn else {}
    plans.make_manifest(state, {**plan, **told, "parts": entries, **said})
    if turn is not None:
        turns.close(state, turn, len(published))
    return Done(turn, published, entries, removed)


def _check_own(turn: Turn, state: Store) -> None:
    """Make sure that nobody closed a turn: a reader may have removed what stood in the way.

    Raises:
        FencedError: it was.
    """
    if plans.fenced(state, turn.delivery, turn.segment):
        raise fenced_error(turn)


def _plan(
    delivery: Delivery, segment: Segment, parts: Sequence[Staged], dest: Store
) -> dict[str, Any]:
    return {
        "version": 1,
        "delivery": delivery.id,
        "segment": segment.number,
        "source": delivery.source,
        "dest": dest.url,
        "cefline": delivery.cefline,
        "text_format": delivery.text_format,
        "settings": delivery.settings,
        "variant": delivery.variant,
        "skip": {name: [list(r) for r in ranges] for name, ranges in segment.skip.items()},
        "parts": [planned(part) for part in parts],
    }


def _differs(plan: Mapping[str, Any], own: Mapping[str, Any]) -> bool:
    return any(plan[name] != own[name] for name in ("settings", "parts", "skip"))


def _own_turn(
    plan: Mapping[str, Any], places: tuple[Store, Store], wait: Callable[[Turn], None], how: How
) -> Turn | None:
    """Take the turn, when those before it are closed; None where the delivery is done by others."""
    dest, state = places
    delivery, number, floor, turn = plan["delivery"], plan["segment"], how.floor, None
    while not plans.is_done(state, delivery):
        if plans.fenced(state, delivery, number):
            message = f"segment {number} of delivery {delivery} was closed by another run"
            raise FencedError(message, hint="Run again: what is left goes out under a later turn")
        if turn is not None and (turn.delivery, turn.segment) == (delivery, number):
            # Only now: what was done or closed under an earlier turn was said before this one
            # could be taken. Asked before, another run may do it in between.
            if not plans.is_abandoned(state, delivery):
                said = {"event": "turn", "delivery": delivery, "turn": turn.number}
                log.info("turn %d is taken by %s", turn.number, delivery, extra={"said": said})
                return turn
            abandon(delivery, places, how.assume)  # whoever began it may have been killed
            return None
        turn = turns.take(plan, state, dest, floor)
        floor = turn.number - 1
        if turn.delivery != delivery:
            wait(turn)
        elif turn.segment < number:  # fenced by a run that was killed before it closed it
            made = plans.segments(state, delivery)[turn.segment - 1]
            fence(made, turn, places)
    return None


def earlier(delivery: str, number: int, places: tuple[Store, Store]) -> list[dict[str, Any]]:
    """Return the manifest's entries of the segments before one."""
    dest, state = places
    entries = []
    for plan in plans.segments(state, delivery)[: number - 1]:
        closed = plans.fenced(state, delivery, plan["segment"])
        if closed and closed["published"]:
            turn = turns.of_number(state, closed["turn"])
            entries += read_back(plan, turn, closed["published"], dest)
    return entries


def abandon(
    delivery: str, places: tuple[Store, Store], assume: Assume | None = None
) -> list[dict[str, Any]]:
    """Close a delivery as it is: what is out stays, nothing more goes out.

    Returns:
        The manifest's entries of the parts that are out.
    """
    _, state = places
    plans.mark_abandoned(state, delivery)  # a run that takes the turn from here on meets it
    made = plans.segments(state, delivery)
    turn = turns.last(state)
    if turn is not None and turn.delivery == delivery and turns.is_open(state, turn):
        fence(made[turn.segment - 1], turn, places, assume)
    entries = earlier(delivery, len(made) + 1, places)
    plans.make_manifest(state, {**made[-1], "parts": entries, "abandoned": True})
    return entries
