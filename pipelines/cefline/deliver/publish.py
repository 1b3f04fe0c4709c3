"""Parts become objects under the destination, in ascending key order, each one create-only."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from cefline import keys
from cefline.deliver import plans, turns
from cefline.deliver.staging import Staged
from cefline.deliver.store import MissingError, Store
from cefline.deliver.turns import Turn
from cefline.errors import DeliveryError, TryAgainError
from cefline.pack import BROKEN, CONTENT_TYPE, SUFFIX, Compression, text_digest, text_of
from cefline.s3 import UnsureError, pause

Assume = Literal["delivered", "lost"]
"""What to think of a part that may have been put out and removed again by a reader."""

Readers = Literal["delete", "keep"]
"""Whether readers may remove a part before its delivery is done."""


class FencedError(TryAgainError):
    """Others closed this turn, because it made no progress; the rest goes out under a later one."""


@dataclass(frozen=True, slots=True)
class Published:
    """A part under the destination."""

    key: str
    url: str
    events: int
    text_bytes: int
    stored_bytes: int
    said: Mapping[str, Any]
    """What the plan says of it."""
    stored_sha256: str = ""
    """Empty where a reader has removed it before it could be read back."""

    def entry(self) -> dict[str, Any]:
        """Return what the manifest says of it."""
        stored = {"stored_bytes": self.stored_bytes, "stored_sha256": self.stored_sha256}
        return {"key": self.key, **self.said, **stored}


def planned(part: Staged) -> dict[str, Any]:
    """Return what the plan says of a part."""
    return {
        "partition": part.partition,
        "first": part.first,
        "last": part.last,
        "events": part.events,
        "text_bytes": part.text_bytes,
        "text_blake3": part.text_blake3,
    }


def key_of(plan: Mapping[str, Any], turn: Turn, number: int) -> str:
    """Return the key of a part of a plan, numbered from 1."""
    settings = plan["settings"]
    folder, suffix = plan["parts"][number - 1]["partition"], suffix_of(plan)
    return keys.part(turn.stamp, turn.number, folder, number, suffix, hive=settings["hive"])


def folder_of(plan: Mapping[str, Any], turn: Turn) -> str:
    """Return how the keys of a turn begin."""
    return keys.folder(turn.stamp, turn.number, hive=plan["settings"]["hive"])


def publish(
    plan: Mapping[str, Any],
    parts: Sequence[Staged],
    turn: Turn,
    places: tuple[Store, Store],
    *,
    pace: float = 0.0,
    assume: Assume | None = None,
    readers: Readers = "delete",
) -> list[Published]:
    """Create the object of each part; one that is there already must have the same text.

    Args:
        plan: of the segment.
        parts: its parts, staged.
        turn: the segment's turn.
        places: destination and state.
        pace: seconds between two parts, for readers that need rising modification times.
        assume: what to think of a part that may have been read and removed.
        readers: whether they may remove it at all; where they don't, what is not there was never
            put out, and nothing is asked.

    Raises:
        FencedError: others closed the turn.
        DeliveryError: another object has the key of a part, or nothing tells whether a part that
            is not there has been there.
        CeflineError: the store's own.
    """
    way = _Way(*places, assume, readers)
    begun = turns.intended(way.state, turn)
    published = []
    with ThreadPoolExecutor(1) as beside:  # it has no thread before its first note
        for number, part in enumerate(parts, 1):
            one = _Part(plan, turn, number, part)
            published.append(_next(one, way, beside) if number > begun else _go_on(one, way))
            if pace and number < len(parts):
                time.sleep(pace)
    return published


class _Way(NamedTuple):
    """Where parts go, and what is thought of one that is not there."""

    dest: Store
    state: Store
    assume: Assume | None
    readers: Readers


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of a plan and its text."""

    plan: Mapping[str, Any]
    turn: Turn
    number: int
    staged: Staged

    @property
    def key(self) -> str:
        return key_of(self.plan, self.turn, self.number)

    def published(self, dest: Store, size: int, digest: str) -> Published:
        """Return it as it lies at the destination, by its stored bytes and their SHA-256."""
        staged, key = self.staged, self.key
        said = self.plan["parts"][self.number - 1]
        url = f"{dest.url}/{key}"
        return Published(key, url, staged.events, staged.text_bytes, size, said, digest)


_TRIES = 8
"""So often a part is put anew where nothing tells what became of it."""


def _next(part: _Part, way: _Way, beside: Executor) -> Published:
    """Note that a part is put out, and put it out."""
    if way.readers == "keep":
        return _noted_beside(part, way, beside)
    noted = turns.intend(way.state, part.turn, part.number)
    return _put(part, way) if noted else _go_on(part, way)


def _noted_beside(part: _Part, way: _Way, beside: Executor) -> Published:
    """Put a part out while it is noted; neither is under way any more when either has failed.

    The note tells others of progress, and that all parts before this one are out. Whether this one
    is, its key alone tells: nobody removes it.
    """
    note = beside.submit(turns.intend, way.state, part.turn, part.number)
    try:
        published = _put(part, way)
    finally:
        wait([note])
    note.result()
    return published


def _put(part: _Part, way: _Way, tries: int = _TRIES) -> Published:
    path = part.staged.path
    said = _metadata(part.plan, part.turn, part.number)
    content_type = CONTENT_TYPE[compression_of(part.plan)]
    try:
        if not way.dest.create(part.key, path, content_type, said, sure=True):
            return _as_it_is(part, way.dest)
    except (UnsureError, MissingError):  # it may be out, and have been read and removed since
        if not tries:
            raise
        pause(_TRIES - tries)
        return _go_on(part, way, tries - 1)
    return part.published(way.dest, part.staged.stored_bytes, part.staged.stored_sha256)


def _as_it_is(part: _Part, dest: Store) -> Published:
    """Return a part that is there already."""
    body = _ours(part.plan, part.turn, part.number, dest)
    return part.published(dest, len(body), hashlib.sha256(body).hexdigest())


def _go_on(part: _Part, way: _Way, tries: int = _TRIES) -> Published:
    """Take a part that a run has begun: it is there, or it was, or it has yet to be put out."""
    dest, state, assume, readers = way
    if dest.exists(part.key):
        return _as_it_is(part, dest)
    if plans.fenced(state, part.turn.delivery, part.turn.segment):
        raise fenced_error(part.turn)
    if readers == "keep":
        return _put(part, way, tries)
    was_out = part.number < turns.intended(state, part.turn)
    if was_out and dest.exists(part.key):  # a run beside this one has just put it out
        return _go_on(part, way, tries)
    if was_out or was_freed(part.plan, part.turn, part.number, (dest, state), assume):
        return part.published(dest, part.staged.stored_bytes, "")
    return _put(part, way, tries)


def was_freed(
    plan: Mapping[str, Any],
    turn: Turn,
    number: int,
    places: tuple[Store, Store],
    assume: Assume | None,
) -> bool:
    """Whether a part that is not there, and was about to be, was put out and removed by a reader.

    Where the part before it is still there nobody removes parts, and it was never put out. Before
    the first part of all nothing tells; it counts as not put out, or each kill there would ask.

    Raises:
        DeliveryError: nothing tells.
    """
    dest, state = places
    if assume is not None:
        return assume == "delivered"
    before = key_of(plan, turn, number - 1) if number > 1 else _last_key_before(turn, state)
    if not before or dest.exists(before):
        return False
    if plans.is_done(state, turn.delivery):  # by a run beside this one: it was put out
        return True
    gone = f"{dest.url}/{key_of(plan, turn, number)} may have been delivered and removed"
    why = "a run ended or got no reply as it put it out, and the part before it is gone"
    message = f"{gone}: {why}"
    hint = "If the SIEM has its events, run with --assume-delivered, else with --assume-lost"
    raise DeliveryError(message, hint=hint)


def _last_key_before(turn: Turn, state: Store) -> str:
    """Return the last key of the turns before, where that is known."""
    for number in range(turn.number - 1, 0, -1):
        if not turns.exists(state, number):  # of the time before the destination was adopted
            break
        before = turns.of_number(state, number)
        plan = plans.segments(state, before.delivery)[before.segment - 1]
        closed = plans.fenced(state, before.delivery, before.segment)
        if closed is None and plans.is_done(state, before.delivery):
            made = plans.manifest(state, before.delivery)
            closed = {"turn": made.get("turn"), "published": len(plan["parts"])}
        if closed and closed["turn"] == number and closed["published"]:
            return key_of(plan, before, closed["published"])
    return ""


def is_fence(body: bytes) -> bool:
    """Whether an object holds no events, and thereby closes its turn."""
    try:
        return len(body) < _FENCE_BYTES and text_of(body) == b""
    except BROKEN:
        return False


_FENCE_BYTES = 4096
"""More than an empty object has, however it is compressed."""


def read_back(
    plan: Mapping[str, Any], turn: Turn, published: int, dest: Store
) -> list[dict[str, Any]]:
    """Return the manifest's entries of parts that earlier runs put out."""
    entries = []
    for number in range(1, published + 1):
        key, stored = key_of(plan, turn, number), {"stored_bytes": 0, "stored_sha256": ""}
        if dest.exists(key):
            body = _ours(plan, turn, number, dest)
            digest = hashlib.sha256(body).hexdigest()
            stored = {"stored_bytes": len(body), "stored_sha256": digest}
        entries.append({"key": key, **plan["parts"][number - 1], **stored})
    return entries


def check_listing(
    plan: Mapping[str, Any], turn: Turn, published: Sequence[Published], dest: Store
) -> list[str]:
    """Compare the objects of a turn with its parts; return the keys that a reader has removed.

    Raises:
        DeliveryError: one has another size, or there is one more.
    """
    found = dict(dest.list(f"{folder_of(plan, turn)}/"))
    expected = {part.key: part.stored_bytes for part in published}
    for key, size in found.items():
        if expected.get(key) != size:
            what = "has another size than its part" if key in expected else "is no part of its turn"
            message = f"{dest.url}/{key} {what}"
            raise DeliveryError(
                message, hint="Something else writes there; nothing was overwritten"
            )
    return [key for key in expected if key not in found]


def _metadata(plan: Mapping[str, Any], turn: Turn, number: int) -> dict[str, str]:
    part = plan["parts"][number - 1]
    return {
        "cefline-delivery": turn.delivery,
        "cefline-turn": str(turn.number),
        "cefline-ordinals": f"{part['first']}-{part['last']}",
        "cefline-events": str(part["events"]),
        "cefline-text-blake3": part["text_blake3"],
    }


def _ours(plan: Mapping[str, Any], turn: Turn, number: int, dest: Store) -> bytes:
    """Return an object that is ours: an earlier try, or a reply that was lost.

    Raises:
        FencedError: others closed the turn with it.
        DeliveryError: it is something else.
    """
    key = key_of(plan, turn, number)
    body = dest.read(key)
    try:
        text = text_of(body)
    except BROKEN:
        text = b"?"
    if text == b"":
        raise fenced_error(turn)
    if text_digest(text) != plan["parts"][number - 1]["text_blake3"]:
        message = f"{dest.url}/{key} exists, and its text is not the part's"
        raise DeliveryError(message, hint="Something else writes there; nothing was overwritten")
    return body


def fenced_error(turn: Turn) -> FencedError:
    """Return the error of a run whose turn was closed by another one."""
    message = f"{turn} was closed by another run, since it made no progress"
    return FencedError(message, hint="Run again: what is left goes out under a later turn")


def suffix_of(plan: Mapping[str, Any]) -> str:
    """Return how the names of a plan's parts end."""
    suffix = SUFFIX[compression_of(plan)]
    return suffix.replace(".cef", ".jsonl") if plan["settings"].get("format") == "json" else suffix


def compression_of(plan: Mapping[str, Any]) -> Compression:
    """Return the compression that a plan's parts have."""
    compression: Compression = plan["settings"]["compression"]
    return compression
