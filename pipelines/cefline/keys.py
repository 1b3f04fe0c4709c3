"""Names of objects: no value from the data can leave its place in a key, or collide."""

import hashlib
import re

_KEPT = re.compile(rb"[^A-Za-z0-9.-]|^\.")
_MAX_BYTES = 100
_DIGEST_CHARACTERS = 16

MAX_PARTS = 999_999
"""Parts of a delivery: with more, keys would no longer rise."""


def encode(value: str | None) -> str:
    """Return a partition value as a part of a key.

    Every byte outside `[A-Za-z0-9.-]` and a leading dot becomes `_XX`; nothing becomes `_`; what
    is over 100 bytes is shortened and gets the digest of the whole.
    """
    raw = (value or "").encode()
    if not raw:
        return "_"
    encoded = _KEPT.sub(lambda match: b"_%02X" % match[0][0], raw).decode()
    if len(encoded) <= _MAX_BYTES:
        return encoded
    digest = hashlib.sha256(raw).hexdigest()[:_DIGEST_CHARACTERS]
    # `__` can't come from a value: every underscore of one is followed by two digits.
    return f"{encoded[: _MAX_BYTES - _DIGEST_CHARACTERS - 2]}__{digest}"


def folder(stamp: str, turn: int, *, hive: bool = False) -> str:
    """Return how the keys of a turn begin: its day, its stamp and its number."""
    day = f"{stamp[:4]}-{stamp[4:6]}-{stamp[6:8]}"
    return f"{'dt=' if hive else ''}{day}/{stamp}-{turn:08d}"


def part(
    stamp: str, turn: int, partition: str, number: int, suffix: str, *, hive: bool = False
) -> str:
    """Return the key of a part below the destination.

    Args:
        stamp: the turn's stamp, `20260112T101500Z`.
        turn: number of the turn that publishes it.
        partition: its partition's folder; empty where there is no partitioning.
        number: place of the part in key order over the delivery, from 1.
        suffix: `.cef`, `.cef.gz` or `.cef.zst`; `.jsonl` in its place for JSON.
        hive: whether the day is written as `dt=2026-01-12`.
    """
    name = f"{turn:08d}-{number:06d}{suffix}"
    return "/".join(filter(None, (folder(stamp, turn, hive=hive), partition, name)))
