"""How the events of a source are spread over times, severities, sources, hosts and types.

What is kept is bounded, whatever the events say, and depends on the events alone: not on batches,
splits or their order. So spreads of pieces of a source add up to that of the whole. All counts are
exact; where a bound is met, less is told, and that it is so:

- Of times the level of buckets is the finest one that has at most `BUCKETS` of them.
- Of names those with the least digests are kept. What is most frequent can't be known in bounded
  memory; which names have the least digests can, so each of them was counted from the first event.

Without the libraries that convert, so that reports are light; `census.py` has what counts.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from cefline.buckets import LEVELS, raised

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

NAMED = ("source", "host", "type")
"""Fields whose values are counted."""

BUCKETS = 1_024
"""So many stretches of time are told apart."""

NAMES = 4_096
"""So many values of a field."""

SERIES = 128
"""So many values of `source` over time."""

NAME = 100
"""Characters of a value; of a longer one its beginning and a digest."""

_BEGINNING = 80


def short(name: str) -> str:
    """Return a value as it is counted: another one for each other value."""
    if len(name) <= NAME:
        return name
    digest = hashlib.blake2b(name.encode(errors="surrogatepass"), digest_size=8).hexdigest()
    return f"{name[:_BEGINNING]}… {digest}"


def least(names: Iterable[str], count: int) -> set[str]:
    """Return the names that are kept of more than `count`: those with the least digests."""
    return set(sorted(names, key=_digest)[:count])


def _digest(name: str) -> tuple[bytes, str]:
    return hashlib.blake2b(name.encode(errors="surrogatepass"), digest_size=8).digest(), name


@dataclass(slots=True)
class Names:
    """The values of a field, and how often each one is there."""

    events: int = 0
    """Events that have a value."""
    counts: Counter[str] = field(default_factory=Counter)
    partial: bool = False
    """Whether there are more values than are kept."""

    def add(self, other: Self) -> None:
        """Take in the values of further events."""
        self.events += other.events
        self.counts.update(other.counts)
        self.partial = self.partial or other.partial
        self.bound()

    def bound(self) -> None:
        """Leave out values above the bound."""
        if len(self.counts) > NAMES:
            kept = least(self.counts, NAMES)
            self.counts = Counter({name: self.counts[name] for name in kept})
            self.partial = True


@dataclass(slots=True)
class Spread:
    """How events are spread."""

    events: int = 0
    """All that were counted."""
    level: int = 0
    """Of the buckets, an index of `buckets.LEVELS`."""
    severities: Counter[tuple[int, int | None]] = field(default_factory=Counter)
    """Events that have a time, by bucket and severity; None where lines have no severity."""
    sources: Counter[tuple[int, str | None]] = field(default_factory=Counter)
    """The same events by bucket and `source`; None where they have none."""
    partial: bool = False
    """Whether there are more sources than are kept by bucket."""
    names: dict[str, Names] = field(default_factory=dict)
    """By field, of those in `NAMED` that some event has."""

    def add(self, other: Self) -> None:
        """Take in how further events are spread."""
        self.events += other.events
        level = max(self.level, other.level)
        self._raise(level)
        for (bucket, severity), count in other.severities.items():
            self.severities[raised(other.level, bucket, level), severity] += count
        for (bucket, source), count in other.sources.items():
            self.sources[raised(other.level, bucket, level), source] += count
        self.partial = self.partial or other.partial
        for name, values in other.names.items():
            self.names.setdefault(name, Names()).add(values)
        self.bound()

    def bound(self) -> None:
        """Tell no more buckets and sources apart than the bounds allow."""
        while len({bucket for bucket, _ in self.severities}) > BUCKETS:
            self._raise(self.level + 1)
        found = {source for _, source in self.sources if source is not None}
        if len(found) > SERIES:
            kept = {None, *least(found, SERIES)}
            self.sources = Counter({k: n for k, n in self.sources.items() if k[1] in kept})
            self.partial = True

    def _raise(self, to: int) -> None:
        """Count by coarser buckets."""
        if to == self.level:
            return
        for name in ("severities", "sources"):
            coarse: Counter[Any] = Counter()
            for (bucket, value), count in getattr(self, name).items():
                coarse[raised(self.level, bucket, to), value] += count
            setattr(self, name, coarse)
        self.level = to

    def as_json(self) -> dict[str, Any]:
        """Return all of it in JSON's types, in an order that depends on nothing else."""
        return {
            "events": self.events,
            "level": LEVELS[self.level],
            "severities": _rows(self.severities),
            "sources": _rows(self.sources),
            "sources_partial": self.partial,
            "names": {name: _as_json(self.names[name]) for name in sorted(self.names)},
        }

    @classmethod
    def of_json(cls, said: Mapping[str, Any]) -> Self:
        """Return what `as_json` gave."""
        return cls(
            said["events"],
            LEVELS.index(said["level"]),
            Counter({(bucket, severity): n for bucket, severity, n in said["severities"]}),
            Counter({(bucket, source): n for bucket, source, n in said["sources"]}),
            said["sources_partial"],
            {
                name: Names(one["events"], Counter(dict(one["counts"])), one["partial"])
                for name, one in said["names"].items()
            },
        )


def _rows(counts: Counter[Any]) -> list[list[Any]]:
    """Return rows of bucket, value and count; no value comes first."""
    listed = sorted(counts.items(), key=lambda pair: (pair[0][0], _order(pair[0][1])))
    return [[bucket, value, count] for (bucket, value), count in listed]


def _order(value: int | str | None) -> tuple[int, str]:
    if value is None:
        return -1, ""
    return (value, "") if isinstance(value, int) else (0, value)


def _as_json(names: Names) -> dict[str, Any]:
    counts = [[name, n] for name, n in sorted(names.counts.items(), key=lambda c: (-c[1], c[0]))]
    return {"events": names.events, "counts": counts, "partial": names.partial}
