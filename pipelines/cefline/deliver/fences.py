"""A turn that makes no progress is closed: a part of no events stands in its holder's way."""

from collections.abc import Mapping
from typing import Any

from cefline.deliver import plans, turns
from cefline.deliver.publish import Assume, compression_of, is_fence, key_of, was_freed
from cefline.deliver.store import MissingError, Store
from cefline.deliver.turns import Turn
from cefline.errors import TryAgainError
from cefline.pack import CONTENT_TYPE, compressed


def fence(
    plan: Mapping[str, Any], turn: Turn, places: tuple[Store, Store], assume: Assume | None = None
) -> int:
    """Close a turn, whose run makes no progress or can't; return how many of its parts are out.

    Its next key is taken by a part of no events, so that a holder that comes back meets it and
    stops. Doing it again, or side by side, comes to the same. A part may be out that was not yet
    noted, where it was put out by a run whose readers keep parts: it is met there, and counts.
    """
    dest, state = places
    # In this order: who closes a turn marks it, and then notes parts that its holder never began.
    count, begun = len(plan["parts"]), turns.intended(state, turn)
    closed = plans.fenced(state, turn.delivery, turn.segment)
    if closed is not None:  # by a run that was killed before it closed the turn
        return _close(plan, turn, int(closed["published"]), state)
    published = count
    for number in range(max(begun, 1), count + 1):
        key = key_of(plan, turn, number)
        exists = dest.exists(key)
        if number == begun and not exists and was_freed(plan, turn, number, places, assume):
            continue
        if not exists and number < turns.intended(state, turn):
            # Either another run has closed the turn since, or its holder goes on and a reader has
            # removed the part already. Who closes a turn says so before it begins another part.
            closed = plans.fenced(state, turn.delivery, turn.segment)
            if closed is not None:
                return _close(plan, turn, int(closed["published"]), state)
            continue
        if number > begun:  # a holder that comes back finds its next part begun by another
            turns.intend(state, turn, number)
        compression = compression_of(plan)
        said = {"cefline-delivery": turn.delivery, "cefline-events": "0"}
        empty = compressed(b"", compression)
        if dest.create(key, empty, CONTENT_TYPE[compression], said) or _is_fence(key, dest):
            published = number - 1
            break
    told = {"turn": turn.number, "stamp": turn.stamp, "published": published}
    plans.mark_fenced(state, turn.delivery, turn.segment, told)
    return _close(plan, turn, published, state)


def _is_fence(key: str, dest: Store) -> bool:
    """Whether the object that is there closes the turn, or is its holder's part.

    Raises:
        TryAgainError: it is gone already, and nothing tells.
    """
    try:
        return is_fence(dest.read(key))
    except MissingError as err:
        message = f"{dest.url}/{key} came and went while its turn was to be closed"
        raise TryAgainError(message, hint="Run again: what is left goes out then") from err


def _close(plan: Mapping[str, Any], turn: Turn, published: int, state: Store) -> int:
    """Close a turn whose segment is marked as closed; return how many of its parts are out.

    A reader may remove the part of no events, so a holder that comes back must find the part after
    it begun by another. Only now: who finds that and no mark takes the part before it for one that
    was out.
    """
    if published + 2 <= len(plan["parts"]):
        turns.intend(state, turn, published + 2)
    turns.close(state, turn, published)
    return published
