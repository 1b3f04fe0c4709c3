"""What a run did: as a value, as JSON, and for people."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from cefline.counts import PRESENT, REPLACED, Sizes, Tally
from cefline.errors import CeflineError, worst
from cefline.shown import printable
from cefline.values import size_text
from cefline_schemas.dialects import CADO

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cefline.counts import Counts

_SHOWN = 200
"""Characters of a raw value that are shown."""

Outcome = Literal["delivered", "converted", "known", "left", "failed"]
"""`converted` is what a dry run ends in; `known` was delivered before,
`left` is for the next run."""


@dataclass(frozen=True, slots=True)
class PartReport:
    """A part that was written, or in a dry run would have been."""

    url: str
    events: int
    text_bytes: int
    stored_bytes: int


@dataclass(frozen=True, slots=True)
class SourceReport:
    """What became of one source."""

    url: str
    outcome: Outcome
    format: str = ""
    dialect: str = ""
    delivery: str = ""
    tally: Tally = field(default_factory=Tally)
    unknown: tuple[str, ...] = ()
    parts: tuple[PartReport, ...] = ()
    reject_objects: tuple[str, ...] = ()
    """Keys in the state of what could not be delivered as it was."""
    notes: tuple[str, ...] = ()
    error: CeflineError | None = None

    @property
    def delivered(self) -> int:
        """Return the events delivered: none by a dry run, none of a source that failed."""
        return self.tally.delivered if self.outcome == "delivered" else 0

    @property
    def said(self) -> str:
        """Return the outcome in words."""
        words = {
            "known": "delivered before",
            "converted": "not delivered (dry run)",
            "left": "left for the next run",
        }
        return words.get(self.outcome, self.outcome)


@dataclass(frozen=True, slots=True)
class Report:
    """What a run did."""

    sources: tuple[SourceReport, ...]
    seconds: float
    dry_run: bool = False

    @property
    def exit_code(self) -> int:
        """Return the exit code of the run: the worst of its sources'."""
        return worst([s.error.exit_code for s in self.sources if s.error is not None])

    @property
    def parts(self) -> list[PartReport]:
        """Return the parts of all sources."""
        return [part for source in self.sources for part in source.parts]

    @property
    def read(self) -> int:
        """Return the events read."""
        return sum(source.tally.read for source in self.sources)

    @property
    def delivered(self) -> int:
        """Return the events delivered."""
        return sum(source.delivered for source in self.sources)

    @property
    def rejected(self) -> int:
        """Return the rows rejected."""
        return sum(source.tally.rejected for source in self.sources)

    @property
    def filtered(self) -> int:
        """Return the events that were not wanted."""
        return sum(source.tally.filtered for source in self.sources)

    @property
    def sizes(self) -> Sizes:
        """Return the bytes that each field adds to the text; of a dry run."""
        return sum((source.tally.sizes for source in self.sources), Sizes())

    def as_json(self) -> dict[str, Any]:
        """Return the report in JSON's types."""
        return {
            "sources": [_source_json(source) for source in self.sources],
            "events_read": self.read,
            "events_delivered": self.delivered,
            "events_rejected": self.rejected,
            "parts": [asdict(part) for part in self.parts],
            "seconds": round(self.seconds, 3),
            "events_filtered": self.filtered,
            "dry_run": self.dry_run,
            "exit_code": self.exit_code,
            **({"text_by_field": _shares(self.sizes)} if self.dry_run else {}),
        }

    def lines(self) -> Iterator[str]:
        """Yield the summary for people, line by line."""
        if not self.sources:
            yield "no source was found: nothing to do"
        for source in self.sources:
            yield from _source_lines(source)
        text = sum(part.text_bytes for part in self.parts)
        stored = sum(part.stored_bytes for part in self.parts)
        delivered = f"{self.delivered:,} delivered"
        if self.dry_run:
            delivered = f"{sum(part.events for part in self.parts):,} would be delivered"
        filtered = f", {self.filtered:,} filtered" if self.filtered else ""
        yield f"{self.read:,} events read, {delivered}, {self.rejected:,} rejected{filtered}"
        sizes = f"{size_text(text)} of text, {size_text(stored)} stored"
        yield f"{len(self.parts):,} parts, {sizes}, in {self.seconds:.1f} s"
        if shares := _shares(self.sizes):
            yield "text by field:"
        for row in shares:
            yield f"  {size_text(row['bytes']):>10} {row['share']:7.1%}  {row['field']}"


def counted(source: SourceReport) -> dict[str, Any]:
    """Return all that was counted of a source, in JSON's types; the manifest has it too."""
    tally = source.tally
    return {
        "events_read": tally.read,
        "events_delivered": source.delivered,
        "events_rejected": tally.rejected,
        "events_filtered": tally.filtered,
        "counts": _counts(tally.counts),
        "rejects": _reasons(tally),
        "reject_objects": list(source.reject_objects),
        "evidence": sorted(tally.evidence),
        **tally.found.as_json(),
        "unknown_columns": list(source.unknown),
        "notes": list(source.tally.notes),
    }


def _counts(counts: Counts) -> dict[str, dict[str, int]]:
    """Return counts by field and kind."""
    nested: dict[str, dict[str, int]] = {}
    for (name, kind), count in sorted(counts.items()):
        if kind != PRESENT and count:
            nested.setdefault(name, {})[kind] = count
    return nested


def _shares(sizes: Sizes) -> list[dict[str, Any]]:
    """Return the bytes of each field and their share, the most first."""
    listed = sorted(sizes.items(), key=lambda pair: (-pair[1], pair[0]))
    whole = sizes.total()
    return [{"field": n, "bytes": size, "share": round(size / whole, 6)} for n, size in listed]


def _reasons(tally: Tally) -> list[dict[str, Any]]:
    """Return the number of rejects of each kind, field and reason."""
    names = ("kind", "field", "reason", "count")
    return [dict(zip(names, (*key, n), strict=True)) for key, n in sorted(tally.reasons.items())]


def _source_json(source: SourceReport) -> dict[str, Any]:
    return {
        "url": source.url,
        "outcome": source.outcome,
        "format": source.format,
        "dialect": source.dialect,
        "delivery": source.delivery,
        **counted(source),
        "notes": [*source.notes, *source.tally.notes],
        "error": None if source.error is None else str(source.error),
    }


def _source_lines(source: SourceReport) -> Iterator[str]:
    yield f"{source.url}: {source.said}"
    if source.outcome in {"delivered", "converted"} and not source.tally.read:
        yield "  it holds no events"
    if source.tally.filtered:
        yield f"  {source.tally.filtered:,} events filtered: not selected"
    yield from (f"  {printable(note)}" for note in (*source.notes, *source.tally.notes))
    if source.dialect not in {"", CADO.name}:
        yield f"  dialect: {source.dialect}"
    if source.unknown:
        yield f"  columns that no field takes: {', '.join(source.unknown)}"
    for row in _reasons(source.tally):
        where = f" {row['field']}" if row["field"] else ""
        yield f"  {row['count']:,} {row['kind']}{where}: {row['reason']}"
    for name, kinds in _counts(source.tally.counts).items():
        told = (f"{count:,} {kind}" for kind, count in kinds.items() if kind != REPLACED)
        if text := ", ".join(told):
            yield f"  {name}: {text}"


def reject_text(record: dict[str, Any]) -> str:
    """Return a reject for people, on one line; nothing in it can steer a terminal."""
    place = f"line {record['line']}" if "line" in record else f"row {record.get('ordinal', 0) + 1}"
    raw = record.get("raw", record.get("raw_base64", ""))
    said = (
        f"{record['kind']:8}",
        f"{record['source']}, {place}",
        record.get("field") or "",
        record["reason"],
        raw if len(raw) <= _SHOWN else f"{raw[:_SHOWN]}...",
    )
    return printable(": ".join(filter(None, said)))
