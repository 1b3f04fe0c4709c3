"""What is counted of a source; without the libraries that convert it, so that reports are light."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from cefline.spread import Spread

Counts = Counter[tuple[str, str]]
"""How often something happened, by field and kind (`replaced`, `coerced`, `subseconds`, ...)."""

REPLACED = "replaced_characters"
"""The count of characters that were written as visible text."""

CUT = "cut_bytes"
"""The count of bytes that a reader does not get of texts that were cut."""

PRESENT = "present"
"""Counts values that were there, readable or not, of the fields that not every value fits."""

Sizes = Counter[str]
"""Bytes of text by field."""

HEADER = "(header)"
"""Where the bytes of lines are counted that are no field's: none can be named so."""

CONSTANTS = "(constants)"
"""Likewise, of the constants of lines."""


@dataclass(slots=True)
class Found:
    """What a search among delivered events must find, but for their number."""

    severities: Counter[int] = field(default_factory=Counter)
    """Events by the header's severity."""
    timed: int = 0
    """Events that have an `eventTime`."""
    first: int | None = None
    """The least `eventTime`, in microseconds."""
    last: int | None = None

    def add(self, other: Self) -> None:
        """Take in what must be found among further events."""
        self.severities += other.severities
        self.timed += other.timed
        times = [t for t in (self.first, self.last, other.first, other.last) if t is not None]
        self.first, self.last = min(times, default=None), max(times, default=None)

    def as_json(self) -> dict[str, Any]:
        """Return all of it in JSON's types; the manifest has it so."""
        severities = {str(n): count for n, count in sorted(self.severities.items())}
        times = {"events": self.timed, "first_micros": self.first, "last_micros": self.last}
        return {"severities": severities, "event_times": times}

    @classmethod
    def of_json(cls, said: Mapping[str, Any]) -> Self:
        """Return what `as_json` gave."""
        severities = Counter({int(n): count for n, count in said["severities"].items()})
        times = said["event_times"]
        return cls(severities, times["events"], times["first_micros"], times["last_micros"])


@dataclass(slots=True)
class Tally:
    """Counts of one source."""

    read: int = 0
    delivered: int = 0
    rejected: int = 0
    counts: Counts = field(default_factory=Counts)
    """By field and kind: `replaced` (characters), `coerced` (values), `missing`, ..."""
    reasons: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """Rejects by kind, field and reason."""
    evidence: set[int] = field(default_factory=set)
    """Values of `evidence_id`, some of them at least."""
    notes: list[str] = field(default_factory=list)
    """What there is to say of the source."""
    filtered: int = 0
    """Events that are not wanted."""
    sizes: Sizes = field(default_factory=Sizes)
    """What each field adds to the text, where that is asked."""
    found: Found = field(default_factory=Found)
    """Of the events delivered."""
    spread: Spread = field(default_factory=Spread)
    """How they are spread; evidence, which is in no manifest."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Events left out since they are out already, by partition."""
    times: list[dict[str, Any]] = field(default_factory=list)
    """Of a split: what the first numbers of its times tell of their unit."""

    def add(self, other: Self) -> None:
        """Take in the counts of what comes later in the same source: a batch, or a split."""
        self.read += other.read
        self.delivered += other.delivered
        self.rejected += other.rejected
        self.filtered += other.filtered
        self.counts += other.counts
        self.reasons += other.reasons
        self.evidence |= other.evidence
        self.notes += other.notes
        self.sizes += other.sizes
        self.skipped += other.skipped
        self.times += other.times
        self.found.add(other.found)
        self.spread.add(other.spread)

    def rejects_of(self, kind: str, name: str = "") -> int:
        """Return the number of rejects of a kind, of one field or of all."""
        return sum(n for (k, f, _), n in self.reasons.items() if k == kind and name in {"", f})

    def as_json(self) -> dict[str, Any]:
        """Return all of it in JSON's types."""
        return {
            "read": self.read,
            "delivered": self.delivered,
            "rejected": self.rejected,
            "filtered": self.filtered,
            "sizes": dict(self.sizes),
            "counts": [[*key, n] for key, n in self.counts.items()],
            "reasons": [[*key, n] for key, n in self.reasons.items()],
            "evidence": sorted(self.evidence),
            "notes": self.notes,
            "found": self.found.as_json(),
            "skipped": dict(self.skipped),
            "times": self.times,
            "spread": self.spread.as_json(),
        }

    @classmethod
    def of_json(cls, said: dict[str, Any]) -> Self:
        """Return what `as_json` gave."""
        counts = Counts({(name, kind): n for name, kind, n in said["counts"]})
        reasons = Counter({(kind, name, why): n for kind, name, why, n in said["reasons"]})
        return cls(
            said["read"],
            said["delivered"],
            said["rejected"],
            counts,
            reasons,
            evidence=set(said["evidence"]),
            notes=said["notes"],
            filtered=said.get("filtered", 0),
            sizes=Sizes(said.get("sizes", {})),
            found=Found.of_json(said["found"]),
            skipped=Counter(said.get("skipped", {})),
            times=said.get("times", []),
            spread=Spread.of_json(said["spread"]) if "spread" in said else Spread(),
        )
