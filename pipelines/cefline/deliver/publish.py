"""Parts become objects under the destination, in ascending key order, each one create-only."""

import hashlib
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa

from cefline import keys
from cefline.deliver import plans, turns
from cefline.deliver.staging import Staged
from cefline.deliver.store import Store
from cefline.deliver.turns import Turn
from cefline.errors import DeliveryError, TryAgainError
from cefline.pack import CONTENT_TYPE, SUFFIX, Compression, compressed

Assume = Literal["delivered", "lost"]
"""What to think of a part that may have been put out and removed again by a reader."""


_BROKEN = (zlib.error, pa.ArrowException, OSError)


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
        "text_sha256": part.text_sha256,
    }


def key_of(plan: Mapping[str, Any], turn: Turn, number: int) -> str:
    """Return the key of a part of a plan, numbered from 1."""
    settings = plan["settings"]
    folder, suffix = plan["parts"][number - 1]["partition"], SUFFIX[_compression(plan)]
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
) -> list[Published]:
    """Create the object of each part; one that is there already must have the same text.

    Args:
        plan: of the segment.
        parts: its parts, staged.
        turn: the segment's turn.
        places: destination and state.
        pace: seconds between two parts, for readers that need rising modification times.
        assume: what to think of a part that may have been read and removed.

    Raises:
        FencedError: others closed the turn.
        DeliveryError: another object has the key of a part, or nothing tells whether a part that
            is not there has been there.
        CeflineError: the store's own.
    """
    dest, state = places
    begun = turns.intended(state, turn)
    published = []
    for number, part in enumerate(parts, 1):
        one = _Part(plan, turn, number, part)
        if number > begun and turns.intend(state, turn, number):
            published.append(_put(one, dest))
        else:
            published.append(_go_on(one, dest, state, assume))
        if pace and number < len(parts):
            time.sleep(pace)
    return published


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
        staged, key = self.staged, self.key
        said = self.plan["parts"][self.number - 1]
        url = f"{dest.url}/{key}"
        return Published(key, url, staged.events, staged.text_bytes, size, said, digest)


def _put(part: _Part, dest: Store) -> Published:
    body = part.staged.path.read_bytes()
    said = _metadata(part.plan, part.turn, part.number)
    if not dest.create(part.key, body, CONTENT_TYPE[_compression(part.plan)], said):
        body = _ours(part.plan, part.turn, part.number, dest)
    return part.published(dest, len(body), hashlib.sha256(body).hexdigest())


def _go_on(part: _Part, dest: Store, state: Store, assume: Assume | None) -> Published:
    """Take a part that a run has begun: it is there, or it was, or it has yet to be put out."""
    if dest.exists(part.key):
        body = _ours(part.plan, part.turn, part.number, dest)
        return part.published(dest, len(body), hashlib.sha256(body).hexdigest())
    if plans.fenced(state, part.turn.delivery, part.turn.segment):
        raise _fenced(part.turn)
    was_out = part.number < turns.intended(state, part.turn)
    if was_out and dest.exists(part.key):  # a run beside this one has just put it out
        return _go_on(part, dest, state, assume)
    if was_out or _was_freed(part.plan, part.turn, part.number, (dest, state), assume):
        return part.published(dest, part.staged.path.stat().st_size, "")
    return _put(part, dest)


def _was_freed(
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
    message = f"{dest.url}/{key_of(plan, turn, number)} may have been delivered and removed: "
    message += "a run was killed as it put it out, and the part before it was removed since"
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


def fence(
    plan: Mapping[str, Any], turn: Turn, places: tuple[Store, Store], assume: Assume | None = None
) -> int:
    """Close a turn, whose run makes no progress or can't; return how many of its parts are out.

    Its next key is taken by a part of no events, so that a holder that comes back meets it and
    stops. Doing it again, or side by side, comes to the same.
    """
    dest, state = places
    closed = plans.fenced(state, turn.delivery, turn.segment)
    count, begun = len(plan["parts"]), turns.intended(state, turn)
    if closed is not None:  # by a run that was killed before it closed the turn
        return _close(plan, turn, int(closed["published"]), state)
    published = count
    for number in range(max(begun, 1), count + 1):
        key = key_of(plan, turn, number)
        exists = dest.exists(key)
        if number == begun and not exists and _was_freed(plan, turn, number, places, assume):
            continue
        if not exists and number < turns.intended(state, turn):  # its holder goes on, and a reader
            continue
        if number > begun:  # a holder that comes back finds its next part begun by another
            turns.intend(state, turn, number)
        compression = _compression(plan)
        said = {"cefline-delivery": turn.delivery, "cefline-events": "0"}
        empty = compressed(b"", compression)
        if dest.create(key, empty, CONTENT_TYPE[compression], said) or is_fence(dest.read(key)):
            published = number - 1
            break
    told = {"turn": turn.number, "stamp": turn.stamp, "published": published}
    plans.mark_fenced(state, turn.delivery, turn.segment, told)
    return _close(plan, turn, published, state)


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


def is_fence(body: bytes) -> bool:
    """Whether an object holds no events, and thereby closes its turn."""
    try:
        return len(body) < _FENCE_BYTES and text_of(body) == b""
    except _BROKEN:
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
        "cefline-text-sha256": part["text_sha256"],
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
    except _BROKEN:
        text = b"?"
    if text == b"":
        raise _fenced(turn)
    if hashlib.sha256(text).hexdigest() != plan["parts"][number - 1]["text_sha256"]:
        message = f"{dest.url}/{key} exists, and its text is not the part's"
        raise DeliveryError(message, hint="Something else writes there; nothing was overwritten")
    return body


def _fenced(turn: Turn) -> FencedError:
    message = f"{turn} was closed by another run, since it made no progress"
    return FencedError(message, hint="Run again: what is left goes out under a later turn")


def text_of(body: bytes) -> bytes:
    """Return the text of an object, whichever way it is compressed.

    Raises:
        zlib.error, ArrowException, OSError: it is damaged, or more follows it.
    """
    if body.startswith(b"\x1f\x8b"):
        stream = zlib.decompressobj(wbits=31)
        text = stream.decompress(body) + stream.flush()
        if not stream.eof or stream.unused_data:
            message = "the gzip member is cut off, or more follows it"
            raise zlib.error(message)
        return text
    if body.startswith(b"\x28\xb5\x2f\xfd"):
        with pa.CompressedInputStream(pa.BufferReader(body), "zstd") as stream:
            return bytes(stream.read())
    return body


def _compression(plan: Mapping[str, Any]) -> Compression:
    compression: Compression = plan["settings"]["compression"]
    return compression
