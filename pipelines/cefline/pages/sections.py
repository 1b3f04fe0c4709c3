"""What pages say of events: charts, each with the table that it shows."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from cefline.counts import PRESENT
from cefline.pages import times
from cefline.pages.charts import Series, over_time, ranked
from cefline.spread import NAMED, NAMES, SERIES
from cefline.values import size_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from markupsafe import Markup

    from cefline.spread import Names, Spread

Row = tuple[Any, ...]

_SHOWN_SOURCES = 7
"""Sources that have a colour; the others share one."""

_CHARTED, _LISTED = 12, 50
_ROWS = 1_000
"""Rows of a table; what is beyond them is in the manifest."""
_RATED = ((8, "very high"), (6, "high"), (3, "medium"), (-1, "low"))
"""CEF's words for severities above a number."""


class Section(NamedTuple):
    """A chart and its table."""

    title: str
    notes: list[str]
    chart: Markup | None
    legend: list[tuple[str, str]]
    """Class and name of each colour; none where there is one."""
    head: list[str]
    rows: Sequence[Row]
    """Text first, numbers after it; bytes are text already, as they are to be shown."""
    words: int = 1
    """So many columns are text."""


def spread_out(spread: Spread, events: int) -> Iterator[Section]:
    """Yield how events are spread, and how many of those delivered that is said of."""
    if spread.events != events:
        note = f"Counted for the charts: {spread.events:,} of {events:,} events delivered."
        yield Section("How the events are spread", [note], None, [], [], [])
    if spread.events:
        yield by_severity(spread, spread.events)
        yield by_source(spread, spread.events)
        for name in NAMED:
            if name in spread.names:
                yield top(name, spread.names[name], spread.events)


def by_severity(spread: Spread, events: int) -> Section:
    """Return events over time by severity."""
    found: set[int | None] = {severity for _, severity in spread.severities}
    severities = sorted(found, key=lambda s: -1 if s is None else s)
    names = [_rated(severity) for severity in severities]
    styles = ["rest" if s is None else f"severity-{s}" for s in severities]
    shown = times.table(spread.level, spread.severities, severities) if severities else None
    return _timed("Events over time, by severity", shown, names, styles, _untimed(spread, events))


def by_source(spread: Spread, events: int) -> Section:
    """Return events over time by source."""
    totals: Counter[str | None] = Counter()
    for (_, source), count in spread.sources.items():
        totals[source] += count
    first = [s for s, _ in _most(totals)[:_SHOWN_SOURCES] if s is not None]
    counts: Counter[tuple[int, str | None]] = Counter()
    for (bucket, source), count in spread.sources.items():
        counts[bucket, source if source in first else None] += count
    for (bucket, _), count in (spread.severities if spread.partial else {}).items():
        counts[bucket, None] += count
    for (bucket, _), count in (spread.sources if spread.partial else {}).items():
        counts[bucket, None] -= count
    categories: list[str | None] = [*first, *([None] if any(s is None for _, s in counts) else [])]
    notes = _untimed(spread, events)
    if spread.partial:
        notes.append(_told_partial(SERIES, "sources"))
    shown = times.table(spread.level, counts, categories) if categories else None
    names = [*first, *(["others, or none"] if None in categories else [])]
    styles = [*(f"source-{n}" for n in range(len(first))), "rest"][: len(names)]
    return _timed("Events over time, by source", shown, names, styles, notes)


def published(events: Sequence[tuple[int, int]]) -> Section:
    """Return events by the time of their publication: pairs of minute and number."""
    counts: Counter[tuple[int, Any]] = Counter()
    for minute, count in events:
        counts[minute, None] += count
    shown = times.table(0, counts, [None]) if counts else None
    return _timed("Events by time of publication", shown, ["events"], ["bar-published"], [])


def top(name: str, names: Names, events: int) -> Section:
    """Return the most frequent values of a field."""
    listed = sorted(names.counts.items(), key=lambda pair: (-pair[1], pair[0]))
    rows: list[Row] = [(value, count, _share(count, events)) for value, count in listed[:_LISTED]]
    rest = names.events - sum(count for _, count in listed[:_LISTED])
    if rest:
        more = "more" if names.partial else f"{len(listed) - _LISTED:,}"
        rows.append((f"({more} others)", rest, _share(rest, events)))
    if events > names.events:
        none = events - names.events
        rows.append(("(none)", none, _share(none, events)))
    chart = ranked(*_bars(listed[:_CHARTED], name)) if listed else None
    notes = [_told_partial(NAMES, f"values of {name}")] if names.partial else []
    head = [name, "events", "share"]
    return Section(f"Top values of {name}", notes, chart, [], head, rows)


def problems(
    counts: Mapping[str, Mapping[str, int]], rejects: Sequence[Mapping[str, Any]]
) -> tuple[Section, Section]:
    """Return what was rejected, and what was written otherwise than it was, by field."""
    by_kind = Counter[tuple[str, str]]()
    for row in rejects:
        by_kind[row["field"] or "(row)", row["kind"]] += row["count"]
    fields = Counter[str]()
    for (name, _), count in by_kind.items():
        fields[name] += count
    kinds = sorted({kind for _, kind in by_kind})
    charted = [name for name, _ in _most(fields)[:_CHARTED]]
    series = [Series(k, f"kind-{k}", [by_kind[n, k] for n in charted]) for k in kinds]
    rows = [(r["field"] or "(row)", r["kind"], r["reason"], r["count"]) for r in rejects]
    rows.sort(key=lambda row: (-row[3], row))
    rejected = Section(
        "Rejects by field",
        _told_more(rows, "rejects"),
        ranked(charted, series) if charted else None,
        [(one.style, one.name) for one in series],
        ["field", "kind", "reason", "records"],
        rows[:_ROWS],
        words=3,
    )
    told = [(n, kind, c) for n, kinds_ in counts.items() for kind, c in kinds_.items()]
    told = sorted((row for row in told if row[1] != PRESENT), key=lambda row: (-row[2], row))
    return rejected, _replaced(told)


def parts(entries: Sequence[Mapping[str, Any]]) -> tuple[Section, Section]:
    """Return parts by partition, and parts one by one."""
    numbers = ("events", "text_bytes", "stored_bytes")
    sums: dict[str, list[int]] = {}
    for entry in entries:
        row = sums.setdefault(entry["partition"] or "(none)", [0] * 4)
        sums[entry["partition"] or "(none)"] = [
            row[0] + 1, *(a + entry[n] for a, n in zip(row[1:], numbers, strict=True))
        ]  # fmt: skip
    listed = sorted(sums.items(), key=lambda pair: (-pair[1][1], pair[0]))
    rows = [(name, n, *_sized(*row)) for name, (n, *row) in listed]
    bars = _bars([(name, row[1]) for name, row in listed[:_CHARTED]], "parts")
    head = ["parts", "events", "text", "stored"]
    whole = Section(
        "Events by partition",
        _told_more(rows, "partitions"),
        ranked(*bars) if rows else None,
        [],
        ["partition", *head],
        rows[:_ROWS],
    )
    each = [(e["key"], *_sized(*(e[n] for n in numbers))) for e in entries[:_ROWS]]
    notes = _told_more(entries, "parts")
    return whole, Section("Parts", notes, None, [], ["key", *head[1:]], each)


def _sized(events: int, text_bytes: int, stored_bytes: int) -> tuple[int, str, str]:
    return events, size_text(text_bytes), size_text(stored_bytes)


def _told_more(rows: Sequence[Any], what: str) -> list[str]:
    more = len(rows) - _ROWS
    return [f"{more:,} more {what} are in the manifest."] if more > 0 else []


def _replaced(told: list[tuple[str, str, int]]) -> Section:
    """Return the counts of what was not written as it was."""
    fields = Counter[str]()
    for name, _, count in told:
        fields[name] += count
    charted = [name for name, _ in _most(fields)[:_CHARTED]]
    return Section(
        "Replacements and other changes by field",
        [
            "Characters replaced, values coerced, bytes cut, sub-seconds lost, and so on.",
            *_told_more(told, "counts"),
        ],
        ranked(charted, [Series("", "kind-replaced", [fields[n] for n in charted])])
        if charted
        else None,
        [],
        ["field", "what", "count"],
        told[:_ROWS],
        words=2,
    )


def _timed(
    title: str, shown: times.Table | None, names: list[str], styles: list[str], notes: list[str]
) -> Section:
    if shown is None:
        return Section(title, notes, None, [], ["time", "events"], [])
    columns = list(zip(*shown.counts, strict=True))
    series = [Series(*one) for one in zip(names, styles, columns, strict=True)]
    rows = [
        (time, *(counts if len(names) > 1 else ()), sum(counts))
        for time, counts in zip(shown.times, shown.counts, strict=True)
        if any(counts)
    ]
    told = [*notes, f"One bar for each {shown.level}; times are UTC."]
    head = [shown.level, *names, "all"]
    chart = over_time(shown.times, series)
    legend = list(zip(styles, names, strict=True)) if len(names) > 1 else []
    return Section(title, told, chart, legend, head if legend else [shown.level, "events"], rows)


def _untimed(spread: Spread, events: int) -> list[str]:
    without = events - spread.severities.total()
    return [f"Events without a time: {without:,}."] if without else []


def _told_partial(kept: int, what: str) -> str:
    return (
        f"There are more than {kept:,} different {what}. Only {kept:,} of them are counted one by"
        " one, picked by a digest: more frequent ones may be among the others."
    )


def _rated(severity: int | None) -> str:
    if severity is None:
        return "events"
    return f"{severity} ({next(word for above, word in _RATED if severity > above)})"


def _bars(rows: list[tuple[str, int]], style: str) -> tuple[list[str], list[Series]]:
    return [name for name, _ in rows], [Series("", f"bar-{style}", [n for _, n in rows])]


def _most(counts: Counter[Any]) -> list[tuple[Any, int]]:
    return sorted(counts.items(), key=lambda pair: (-pair[1], str(pair[0])))


def _share(count: int, whole: int) -> str:
    return f"{count / whole:.1%}" if whole else ""
