"""What cefline remembers, as objects that are created once and never change.

    state.json                        the destination this state belongs to
    create-only                       what was to be created twice, and was once: not locally
    probes/...                        what shows that objects get what they are to get
    seen/<source>-<delivery>-...      what became of a version of a source: all of it in the name
    plans/<delivery>-01.json          what a segment of a delivery is, before its first part
    turns/00000042.json               which segment publishes, and its stamp; .closed at its end
    progress/00000042/000007          part 7 is about to be put out, those before it are
    fenced/<delivery>-01.json         a segment that others closed; the next one has the rest
    manifests/<delivery>.json         what was delivered; a delivery with it is done, and only it
    abandoned/<delivery>              a delivery that was closed as it was
    evidence/<id>/<delivery>          the deliveries that an evidence came in
    rejects/<delivery>/...            evidence: what could not be delivered as it was
    reports/<delivery>.json, .html    evidence: how the events of a delivery are spread, for people
    staged/<delivery>/...             evidence: parts of splits that workers share, until published

Only these three hold values from events, so that they can have a lifecycle of their own.
"""

import hashlib
import json
from typing import Any

from cefline.deliver.probe import prove_create_only
from cefline.deliver.store import Store
from cefline.errors import ConfigError, DeliveryError

_JSON = "application/json"


def create(state: Store, key: str, content: dict[str, Any]) -> bool:
    """Create an object of JSON; False where one exists already."""
    # Names come from files of any encoding: what is no text is written as an escape.
    body = json.dumps(content, indent=1, ensure_ascii=False).encode(errors="backslashreplace")
    return state.create(key, body, _JSON, {})


def load(state: Store, key: str, *needed: str) -> dict[str, Any]:
    """Return an object of ours, which has the keys that are needed.

    Raises:
        DeliveryError: it is something else.
    """
    try:
        content = json.loads(state.read(key))
    except ValueError:
        content = None
    if not isinstance(content, dict) or not set(needed) <= set(content):
        raise not_ours(state, key)
    return content


def not_ours(state: Store, key: str) -> DeliveryError:
    """Return the error of an object that is something else."""
    message = f"{state.url}/{key} is no object of cefline's"
    return DeliveryError(message, hint="Something else wrote there; give --state another place")


def bind(state: Store, dest: Store, *, hive: bool, adopt: bool = False) -> None:
    """Bind the state to its destination, and to the form of its keys.

    Args:
        state: the state's place.
        dest: the destination.
        hive: whether keys are `dt=...`.
        adopt: whether a destination that has parts is taken over, or a state of another one.

    Raises:
        ConfigError: it belongs to another one, the keys of the two forms would not rise, or
            objects are overwritten there.
    """
    if not state.exists("state.json"):
        _check_empty(state, dest, adopt=adopt)
        prove_create_only(state)
        if create(state, "state.json", {"version": 1, "dest": dest.url, "hive": hive}):
            return
    bound = load(state, "state.json", "dest", "hive")
    moved = f"adopted-{hashlib.sha256(dest.url.encode()).hexdigest()[:16]}.json"
    if bound["dest"] != dest.url and adopt:
        create(state, moved, {"dest": dest.url})
    elif bound["dest"] != dest.url and not state.exists(moved):
        message = f"the state {state.url} belongs to {bound['dest']}, not to {dest.url}"
        hint = "Give each destination a state of its own: --state; or --adopt it, if it was moved"
        raise ConfigError(message, hint=hint)
    if bound["hive"] != hive:
        message = f"{dest.url} was begun {'with' if bound['hive'] else 'without'} hive"
        raise ConfigError(message, hint="Keys of both kinds don't rise: use another destination")


def _check_empty(state: Store, dest: Store, *, adopt: bool) -> None:
    first = next(iter(dest.list()), None)
    if first is not None and not adopt:
        message = f"{dest.url} has objects already ({first[0]}), and the state {state.url} is empty"
        hint = "Name the state that belongs to it (--state), or take it over as it is: --adopt"
        raise ConfigError(message, hint=hint)
