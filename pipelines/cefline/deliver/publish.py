"""Parts become objects under the destination, in ascending key order, each one create-only."""

import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from cefline import keys
from cefline.deliver.stage import Staged
from cefline.deliver.state import Turn
from cefline.deliver.store import Store
from cefline.errors import DeliveryError
from cefline.pack import CONTENT_TYPE, SUFFIX, Compression


@dataclass(frozen=True, slots=True)
class Published:
    """A part under the destination."""

    key: str
    url: str
    staged: Staged
    stored_bytes: int
    stored_sha256: str

    def entry(self) -> dict[str, Any]:
        """Return what the manifest says of it."""
        return {
            "key": self.key,
            **planned(self.staged),
            "stored_bytes": self.stored_bytes,
            "stored_sha256": self.stored_sha256,
        }


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


def publish(
    parts: Sequence[Staged],
    dest: Store,
    turn: Turn,
    compression: Compression,
    *,
    hive: bool,
    delivery: str,
) -> list[Published]:
    """Create the object of each part; one that is there already must have the same text.

    Raises:
        DeliveryError: another object has the key of a part.
        CeflineError: the store's own.
    """
    published = []
    for number, part in enumerate(parts, 1):
        suffix = SUFFIX[compression]
        key = keys.part(turn.stamp, turn.number, part.partition, number, suffix, hive=hive)
        body = part.path.read_bytes()
        if not dest.create(key, body, CONTENT_TYPE[compression], _metadata(part, turn, delivery)):
            body = dest.read(key)
            _check_text(body, part, f"{dest.url}/{key}", compression)
        part.path.unlink()
        digest = hashlib.sha256(body).hexdigest()
        published.append(Published(key, f"{dest.url}/{key}", part, len(body), digest))
    return published


def _metadata(part: Staged, turn: Turn, delivery: str) -> dict[str, str]:
    return {
        "cefline-delivery": delivery,
        "cefline-turn": str(turn.number),
        "cefline-ordinals": f"{part.first}-{part.last}",
        "cefline-events": str(part.events),
        "cefline-text-sha256": part.text_sha256,
    }


def _check_text(body: bytes, part: Staged, url: str, compression: Compression) -> None:
    """Make sure that an object is ours: an earlier try, or a reply that was lost."""
    try:
        text = _text(body, compression)
    except (zlib.error, pa.ArrowException, OSError):
        text = b""
    if hashlib.sha256(text).hexdigest() != part.text_sha256:
        message = f"{url} exists, and its text is not the part's"
        raise DeliveryError(message, hint="Something else writes there; nothing was overwritten")


def _text(body: bytes, compression: Compression) -> bytes:
    if compression == "gzip":
        return zlib.decompress(body, wbits=31)
    if compression == "zstd":
        with pa.CompressedInputStream(pa.BufferReader(body), "zstd") as stream:
            return bytes(stream.read())
    return body
