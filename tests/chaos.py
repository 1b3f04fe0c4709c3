"""Helpers of the tests of exactly once: timelines whose events can be told apart, runs, kills."""

from __future__ import annotations

import gzip
import re
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cefline.config import Config
from cefline.deliver.store import LocalStore
from cefline.job import export
from tests import sample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from cefline.report import Report

_EVENT_ID = re.compile(rb"(?<!\\) eventId=(\S+)")  # a value's own text has `\=`


class KilledError(BaseException):
    """Stands for `kill -9` inside of one process: nothing that catches errors catches it."""


def timeline(path: Path, count: int, seed: int = 1) -> list[str]:
    """Write a timeline and return the IDs of its events, which no other file's events have."""
    made = sample.events(count, seed)
    ids = [f"{path.stem}-{number:06d}" for number in range(count)]
    for event, one in zip(made, ids, strict=True):
        event["eventId"] = one
    path.write_bytes(sample.lines(made))
    return ids


def text_ids(body: bytes) -> list[str]:
    """Return the IDs of the events in an object, read without any of our code."""
    return [found.decode() for found in _EVENT_ID.findall(gzip.decompress(body))]


def delivered(folder: Path) -> Counter[str]:
    """Count the events below a folder by their ID."""
    objects = (path for path in folder.rglob("*.cef.gz") if path.is_file())
    return Counter(one for path in objects for one in text_ids(path.read_bytes()))


def run(root: Path, *sources: Path, host: str = "a", **settings: Any) -> Report:  # noqa: ANN401 - any setting
    """Export to `out` below a folder, as a host with a staging folder of its own does."""
    quick = Config(
        sources=tuple(str(source) for source in sources),
        dest=str(root / "out"),
        state=str(root / "state"),
        staging=str(root / f"staging-{host}"),
        part_size=8192,
        threads=1,
        turn_timeout=0.2,
    )
    return export(replace(quick, **settings))


@contextmanager
def killed(match: Callable[[str], bool], number: int = 1) -> Iterator[None]:
    """Kill the run in this block as it is about to create the n-th object of such a key."""
    real, met = LocalStore.create, 0

    def create(
        self: LocalStore, key: str, body: bytes, content_type: str, metadata: Mapping[str, str]
    ) -> bool:
        nonlocal met
        met += match(key)
        if met == number and match(key):
            raise KilledError
        return real(self, key, body, content_type, metadata)

    LocalStore.create = create  # type: ignore[method-assign]
    try:
        yield
    except KilledError:
        pass
    else:
        raise AssertionError(f"it ended before number {number}")
    finally:
        LocalStore.create = real  # type: ignore[method-assign]
