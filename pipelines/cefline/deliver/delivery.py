"""One delivery from its staged parts to its manifest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cefline import keys
from cefline.deliver import state as states
from cefline.deliver.publish import Published, planned, publish
from cefline.deliver.stage import Staged
from cefline.deliver.store import Store
from cefline.errors import DeliveryError

if TYPE_CHECKING:
    from cefline.pack import Compression


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


def deliver(
    delivery: Delivery,
    parts: Sequence[Staged],
    dest: Store,
    state: Store,
    said: Mapping[str, Any],
) -> list[Published] | None:
    """Plan the parts, take the turn, put them out in order, and say that it is done.

    Args:
        delivery: what is delivered.
        parts: its parts, in key order.
        dest: where they go.
        state: where plan, turn and manifest go.
        said: counts and rejects, for the manifest.

    Returns:
        The parts; None where another run has finished the delivery in the meantime.

    Raises:
        DeliveryError: a plan was made with other parts, or a key is taken by something else.
        TryAgainError: another delivery's turn is open.
    """
    if len(parts) > keys.MAX_PARTS:
        message = f"it has {len(parts)} parts, and keys are made for {keys.MAX_PARTS}"
        raise DeliveryError(message, hint="Raise part_size")
    plan = {
        "version": 1,
        "delivery": delivery.id,
        "source": delivery.source,
        "dest": dest.url,
        "cefline": delivery.cefline,
        "text_format": delivery.text_format,
        "settings": delivery.settings,
        "parts": [planned(part) for part in parts],
    }
    states.make_plan(state, delivery.id, plan)
    if states.is_done(state, delivery.id):
        return None
    if not parts:  # no key, so no turn
        states.make_manifest(state, delivery.id, {**plan, **said})
        return []
    turn = states.take_turn(state, delivery.id, delivery.source["url"], dest.now())
    compression: Compression = delivery.settings["compression"]
    hive: bool = delivery.settings["hive"]
    published = publish(parts, dest, turn, compression, hive=hive, delivery=delivery.id)
    told = {"turn": turn.number, "stamp": turn.stamp, "parts": [p.entry() for p in published]}
    states.make_manifest(state, delivery.id, {**plan, **told, **said})
    states.close_turn(state, turn, delivery.id)
    return published
