"""What goes between the tasks of a delivery, and where a task works."""

from __future__ import annotations

from contextlib import contextmanager
from itertools import groupby
from typing import TYPE_CHECKING, Any

from cefline.deliver import plans, staging

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from cefline.config import Config
    from cefline.errors import CeflineError
    from cefline.sources import Source

Item = dict[str, Any]
"""In JSON's types: `order` and `url` of a source, and what tasks have found of it."""


def delivery_of(config: Config, sha256: str) -> str:
    """Return the delivery of a source by its identity."""
    return plans.delivery_id(sha256, config.evidence_id, config.redeliver)


def failed_as(item: Item, error: CeflineError) -> Item:
    """Return an item whose source can't be delivered."""
    return {**item, "error": error.told()}


def by_source(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Yield the items of each source, in order."""

    def place(item: Item) -> tuple[int, str, int]:
        split = item.get("split") or {}
        return item["order"], item["url"], item.get("begin", split.get("number", 0))

    for _, own in groupby(sorted(items, key=place), key=lambda item: place(item)[:2]):
        yield list(own)


@contextmanager
def folder_of(config: Config, source: Source, name: str) -> Iterator[Path]:
    """Give a task a private folder, which it leaves empty: no later one goes on with it."""
    key = source.key(config.variant())
    root = staging.root(config.staging)
    staging.sweep(root, ())
    with staging.folder(root, f"{key}-{name}", resumed=False) as folder:
        staging.clear(folder)
        yield folder


def path_of(source: Source, folder: Path) -> Path:
    """Return where a source is, or where it is brought to."""
    return folder / "source" if is_remote(source) else source.local_path


def is_remote(source: Source) -> bool:
    """Whether a source has to be brought here."""
    return source.url.startswith("s3://")
