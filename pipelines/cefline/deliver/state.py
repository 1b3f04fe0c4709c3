"""What cefline remembers: plans, turns, manifests, rejects; as objects that never change.

    state.json                    the destination this state belongs to
    plans/<delivery>.json         what a delivery consists of, before its first part
    turns/00000042.json           which delivery publishes, and its stamp; .closed when it is done
    manifests/<delivery>.json     what was delivered; a delivery is done if and only if it is there
    rejects/<delivery>/...        evidence: what could not be delivered as it was

Only `rejects/` holds values from events, so that it can have a lifecycle of its own.
"""

import json
import os
import socket
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cefline.deliver.store import Store
from cefline.errors import ConfigError, DeliveryError, TryAgainError

_JSON = "application/json"
_STAMP = "%Y%m%dT%H%M%SZ"
_PLAN = ("cefline", "settings", "parts", "text_format")
_TURN = ("turn", "stamp", "delivery", "source", "host", "process")


@dataclass(frozen=True, slots=True)
class Turn:
    """The right to publish under the destination; its number and stamp are in every key."""

    number: int
    stamp: str


def delivery_id(sha256: str) -> str:
    """Return the id of the delivery of a source with this identity."""
    return sha256[:32]


def bind(state: Store, dest: str, *, hive: bool) -> None:
    """Bind the state to its destination, and to the form of its keys.

    Raises:
        ConfigError: it belongs to another one, or the keys of the two forms would not rise.
    """
    if _create(state, "state.json", {"version": 1, "dest": dest, "hive": hive}):
        return
    bound = _load(state, "state.json", "dest", "hive")
    if bound["dest"] != dest:
        message = f"the state {state.url} belongs to {bound['dest']}, not to {dest}"
        raise ConfigError(message, hint="Give each destination a state of its own: --state")
    if bound["hive"] != hive:
        message = f"{dest} was begun {'with' if bound['hive'] else 'without'} hive"
        raise ConfigError(message, hint="Keys of both kinds don't rise: use another destination")


def manifest(state: Store, delivery: str) -> dict[str, Any]:
    """Return the manifest of a delivery that is done."""
    return _load(state, f"manifests/{delivery}.json", "source", "parts")


def is_done(state: Store, delivery: str) -> bool:
    """Whether a delivery is done."""
    key = f"manifests/{delivery}.json"
    return any(found == key for found, _ in state.list(key))


def manifests(state: Store) -> set[str]:
    """Return the ids of the deliveries that are done."""
    return {key[10:-5] for key, _ in state.list("manifests/")}


def plan(state: Store, delivery: str) -> dict[str, Any] | None:
    """Return the plan of a delivery, or None where none was made."""
    key = f"plans/{delivery}.json"
    known = any(found == key for found, _ in state.list(key))
    return _load(state, key, *_PLAN) if known else None


def make_plan(state: Store, delivery: str, planned: dict[str, Any]) -> None:
    """Make the plan of a delivery, or make sure that this is the one that was made.

    Raises:
        DeliveryError: the plan that was made has other parts.
    """
    key = f"plans/{delivery}.json"
    if not _create(state, key, planned):
        made = _load(state, key, *_PLAN)
        if any(made[name] != planned[name] for name in _PLAN[1:]):
            message = f"{state.url}/{key} was made by cefline {made['cefline']} with other parts"
            hint = "Finish it with that version; nothing was published by this run"
            raise DeliveryError(message, hint=hint)


def check_turn(state: Store, delivery: str) -> None:
    """Make sure that this delivery could take a turn, before the work for it is done.

    Raises:
        TryAgainError: another delivery's turn is open.
    """
    turn = _last_turn(state)
    if turn is not None and turn["delivery"] != delivery and not _is_through(state, turn):
        raise _open_turn(turn)


def take_turn(state: Store, delivery: str, source: str, now: datetime) -> Turn:
    """Take the next turn, or go on with the one that this delivery has.

    Raises:
        TryAgainError: another delivery's turn is open, or was taken at this instant.
    """
    check_turn(state, delivery)
    turn = _last_turn(state)
    if turn is None:
        taken = Turn(1, now.strftime(_STAMP))
    elif turn["delivery"] == delivery:
        return Turn(turn["turn"], turn["stamp"])
    elif is_done(state, delivery):
        message = f"{source} was delivered by another run in the meantime"
        raise TryAgainError(message, hint="Nothing of it was published again")
    else:
        before = datetime.strptime(f"{turn['stamp']}+0000", f"{_STAMP}%z")
        stamp = max(now, before + timedelta(seconds=1))
        taken = Turn(turn["turn"] + 1, stamp.strftime(_STAMP))
    content = {"turn": taken.number, "stamp": taken.stamp, "delivery": delivery, **_who(source)}
    if not _create(state, f"turns/{taken.number:08d}.json", content):
        message = f"another run took turn {taken.number} of {state.url} just now"
        raise TryAgainError(message, hint="Run again when it has finished")
    return taken


def close_turn(state: Store, turn: Turn, delivery: str) -> None:
    """Close a turn: its delivery is done.

    The manifest comes first: were a run killed between the two in the other order, its source
    would be published again under a turn of its own.
    """
    _create(state, f"turns/{turn.number:08d}.closed", {"turn": turn.number, "delivery": delivery})


def make_manifest(state: Store, delivery: str, manifest: dict[str, Any]) -> None:
    """Say that a delivery is done; a manifest that is there already says the same."""
    _create(state, f"manifests/{delivery}.json", manifest)


def _create(state: Store, key: str, content: dict[str, Any]) -> bool:
    # Names come from files of any encoding: what is no text is written as an escape.
    body = json.dumps(content, indent=1, ensure_ascii=False).encode(errors="backslashreplace")
    return state.create(key, body, _JSON, {})


def _load(state: Store, key: str, *needed: str) -> dict[str, Any]:
    """Return an object of ours, which has the keys that are needed."""
    try:
        content = json.loads(state.read(key))
    except ValueError:
        content = None
    if not isinstance(content, dict) or not set(needed) <= set(content):
        message = f"{state.url}/{key} is no object of cefline's"
        raise DeliveryError(message, hint="Something else wrote there; give --state another place")
    return content


def _last_turn(state: Store) -> dict[str, Any] | None:
    turns = [key for key, _ in state.list("turns/") if key.endswith(".json")]
    return _load(state, max(turns), *_TURN) if turns else None


def _is_through(state: Store, turn: dict[str, Any]) -> bool:
    """Whether a turn is closed, or would be if its run had not been killed just before."""
    mark = f"turns/{turn['turn']:08d}.closed"
    return is_done(state, turn["delivery"]) or any(key == mark for key, _ in state.list(mark))


def _open_turn(turn: dict[str, Any]) -> TryAgainError:
    begun = f"by process {turn['process']} on {turn['host']} at {turn['stamp']}"
    message = f"turn {turn['turn']} is still open: delivery {turn['delivery']}, begun {begun}"
    return TryAgainError(message, hint=f"Run its source again to finish it: {turn['source']}")


def _who(source: str) -> dict[str, Any]:
    return {"source": source, "host": socket.gethostname(), "process": os.getpid()}
