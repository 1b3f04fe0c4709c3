"""What a search in the SIEM must find, from the manifests alone: no part is read."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from cefline import s3
from cefline.counts import Found
from cefline.deliver import plans
from cefline.errors import UsageError
from cefline.places import stores
from cefline.shown import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cefline.config import Config

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Expected:
    """What must be found of one delivery, or of all."""

    delivery: str
    """Empty where it is about all of them."""
    source: str
    """The source, or the destination where it is about all."""
    events: int = 0
    parts: int = 0
    text_bytes: int = 0
    folders: list[str] = field(default_factory=list)
    """Below the destination; SIEMs that keep the object's key can count by it."""
    partitions: Counter[str] = field(default_factory=Counter)
    """Events by the folder of their partition."""
    found: Found | None = field(default_factory=Found)
    """None where a manifest does not say it."""
    unfinished: list[str] = field(default_factory=list)
    """Deliveries that are not done: some of their parts may be out, and none is counted here."""

    def add(self, other: Expected) -> None:
        """Take in another delivery."""
        self.events, self.parts = self.events + other.events, self.parts + other.parts
        self.text_bytes += other.text_bytes
        self.partitions += other.partitions
        if self.found is not None and other.found is not None:
            self.found.add(other.found)
        elif other.events:
            self.found = None

    def as_json(self) -> dict[str, Any]:
        """Return it in JSON's types; times are epoch seconds, rounded down as in lines."""
        found: dict[str, Any] = {"severities": None, "events_with_time": None}
        found |= {"first_event_time": None, "last_event_time": None}
        if self.found is not None:
            found["severities"] = self.found.as_json()["severities"]
            found["events_with_time"] = self.found.timed
            found["first_event_time"] = _seconds(self.found.first)
            found["last_event_time"] = _seconds(self.found.last)
        return {
            "delivery": self.delivery,
            "source": self.source,
            "events": self.events,
            "parts": self.parts,
            "text_bytes": self.text_bytes,
            "folders": self.folders,
            "partitions": dict(sorted(self.partitions.items())),
            **found,
            "unfinished": self.unfinished,
        }

    def lines(self) -> Iterator[str]:
        """Yield it for people, line by line."""
        yield printable(f"{self.delivery or 'all deliveries'}  {self.source}")
        sizes = f"in {self.parts:,} parts, {self.text_bytes:,} bytes of text"
        yield f"  {'events':<12}{self.events:>14,}  {sizes}"
        yield from (f"  {'folder':<12}{printable(folder)}" for folder in self.folders)
        for name, count in sorted(self.partitions.items()):
            yield f"  {'partition':<12}{count:>14,}  {printable(name or '(all)')}"
        if self.found is None:
            yield "  its manifest does not say severities and times"
        elif self.events:
            for severity, count in sorted(self.found.severities.items(), reverse=True):
                yield f"  {'severity':<12}{count:>14,}  {severity}"
            yield f"  {'with a time':<12}{self.found.timed:>14,}  {_range(self.found)}"
        for delivery in self.unfinished:
            yield f"  not done     {delivery}: parts of it may be out, and are not counted"


def expect(config: Config, delivery: str = "") -> Iterator[Expected]:
    """Yield what must be found of each delivery, and at last of all.

    Args:
        config: destination, state, and how to reach them.
        delivery: only this one, and no total; all where empty.

    Raises:
        CeflineError: the state can't be read, or there is no such delivery that is done.
    """
    dest, state = stores(config, cache(partial(s3.connect, config.s3)))
    known = plans.manifests(state)
    if delivery and delivery not in known:
        message = f"{state.url} knows no delivery {delivery} that is done"
        raise UsageError(message, hint="`cefline status DEST` lists them")
    total = Expected("", dest.url)
    for one in [delivery] if delivery else known:
        of_one = _of(plans.manifest(state, one))
        total.add(of_one)
        yield of_one
    if not delivery:
        done = set(plans.manifests(state))
        total.unfinished = [one for one in plans.planned_ids(state) if one not in done]
        yield total


def _of(manifest: Mapping[str, Any]) -> Expected:
    parts = manifest["parts"]
    one = Expected(manifest["delivery"], manifest["source"]["url"])
    one.events = sum(part["events"] for part in parts)
    one.parts, one.text_bytes = len(parts), sum(part["text_bytes"] for part in parts)
    one.folders = sorted({"/".join(part["key"].split("/")[:2]) + "/" for part in parts})
    for part in parts:
        one.partitions[part["partition"]] += part["events"]
    # What was abandoned is out in part, and an older version did not count.
    told = not manifest.get("abandoned") and {"severities", "event_times"} <= set(manifest)
    one.found = Found.of_json(manifest) if told else None
    return one


def _seconds(micros: int | None) -> int | None:
    return None if micros is None else micros // 1_000_000


def _range(found: Found) -> str:
    if found.first is None or found.last is None:
        return "no event has one"
    return f"from {_shown(found.first)} to {_shown(found.last)}"


def _shown(micros: int) -> str:
    seconds = micros // 1_000_000
    try:
        return f"{(_EPOCH + timedelta(seconds=seconds)).isoformat()[:19]}Z ({seconds})"
    except OverflowError:  # the year 45800, say: real exports hold such times
        return str(seconds)
