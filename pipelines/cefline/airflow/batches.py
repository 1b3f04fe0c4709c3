"""Work cut into batches: one for each mapped task, below the number that Airflow maps."""

from __future__ import annotations

from itertools import groupby
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from cefline.shown import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

Item = dict[str, Any]

_LEAST = 1 << 20
"""Bytes that an item counts for at least: a small source costs round trips, too."""

_SHOWN = 60
"""Characters of a file's name in the name of a mapped task."""


def batches(items: Sequence[Item], size: int, most: int) -> list[list[Item]]:
    """Return items in order as at most `most` batches, each of about `size` bytes or more.

    Args:
        items: what `cefline.work.pieces` or `splits` gave.
        size: bytes of the sources that are worth a task.
        most: batches at most, above zero.
    """
    weights = [_bytes(item) for item in items]
    total = sum(weights)
    size = max(size, -(-total // most))
    places, before = [], 0
    for weight in weights:
        places.append(min(before, max(total - 1, 0)) // size)  # no work may follow the last byte
        before += weight
    paired = zip(places, items, strict=True)
    return [[item for _, item in own] for _, own in groupby(paired, key=lambda pair: pair[0])]


def name(batch: Sequence[Item]) -> str:
    """Return what a mapped task is called: the first file of its batch, and how many more."""
    first, more = batch[0], len(batch) - 1
    file = printable(PurePosixPath(first["url"]).name)[:_SHOWN]
    split = first.get("split") or {}
    part = f" {split['number']}/{split['of']}" if split.get("of", 1) > 1 else ""
    return f"{file}{part}" + (f" and {more} more" if more else "")


def _bytes(item: Item) -> int:
    """Return the bytes of a source that an item is about; nothing is left to do for some."""
    if "error" in item or item.get("split", item) is None:
        return 0
    if "begin" in item:
        return max(int(item["end"]) - int(item["begin"]), _LEAST)
    return max(int(item["source"]["size"]) // int(item["split"]["of"]), _LEAST)
