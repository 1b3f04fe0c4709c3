"""What a run is measured by: one table of metrics, and their values, of the run's report.

All are gauges, since each is of the last run alone: a batch job that starts anew has no counter.
Names are as Prometheus' conventions have them: the unit is their end, `_total` is for counters.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from cefline.answers import masked
from cefline.counts import CUT, REPLACED
from cefline.shown import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cefline.report import Outcome, Report, SourceReport
    from cefline.steps import Fact


class Metric(NamedTuple):
    """A row of the table of metrics."""

    name: str
    unit: str
    """As UCUM has it; a noun in braces counts what it says."""
    help: str


LAST_SUCCESS = "cefline_last_success_timestamp_seconds"
LAST_DELIVERY = "cefline_last_delivery_timestamp_seconds"
KEPT = (LAST_SUCCESS, LAST_DELIVERY)
"""Of the latest run that has them, which need not be the last one; 0 where there was none."""

_OLDEST = "cefline_oldest_undelivered_source_timestamp_seconds"
_RUN = "cefline_last_run"

_ABOUT_RUN = (
    Metric(f"{_RUN}_timestamp_seconds", "s", "When the last run ended."),
    Metric(LAST_SUCCESS, "s", "When a run last ended with exit code 0; 0 is never."),
    Metric(LAST_DELIVERY, "s", "When a run last delivered events; 0 is never."),
    Metric(f"{_RUN}_duration_seconds", "s", "How long the last run took."),
    Metric(f"{_RUN}_exit_code", "", "Exit code of the last run; 0 is good."),
    Metric(f"{_RUN}_s3_retries", "{request}", "Requests to S3 that failed and were tried again."),
)

_COUNTS = (
    Metric(f"{_RUN}_events_read", "{event}", "Events read from sources."),
    Metric(f"{_RUN}_events_delivered", "{event}", "Events delivered."),
    Metric(f"{_RUN}_events_rejected", "{event}", "Rows that could not be read as events."),
    Metric(f"{_RUN}_events_filtered", "{event}", "Events that were not selected."),
    Metric(f"{_RUN}_values_rejected", "{value}", "Values left out, since they do not fit."),
    Metric(f"{_RUN}_replaced_characters", "{character}", "Characters written as visible text."),
    Metric(f"{_RUN}_cut_bytes", "By", "Bytes cut from texts that are too long for a reader."),
    Metric(f"{_RUN}_text_bytes", "By", "Text of the parts of delivered sources."),
    Metric(f"{_RUN}_stored_bytes", "By", "Stored bytes of the parts of delivered sources."),
    Metric(f"{_RUN}_parts", "{part}", "Parts of delivered sources."),
)

_OUTCOMES: dict[Outcome, str] = {
    "delivered": "Sources delivered.",
    "known": "Sources that were delivered before.",
    "left": "Sources that may still be written, left for the next run.",
    "failed": "Sources that failed, now or before.",
}

METRICS = (
    *_ABOUT_RUN,
    *_COUNTS,
    *(Metric(f"{_RUN}_sources_{name}", "{source}", text) for name, text in _OUTCOMES.items()),
    Metric(_OLDEST, "s", "When the oldest source that is not delivered was last written."),
)
"""All metrics, in the order they are written."""


_LONGEST = 200
"""Characters of a label's value."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended."""

    at: float
    """Seconds since 1970."""
    seconds: float
    exit_code: int
    retries: int
    report: Report | None = None
    """None where the run failed as a whole, or was interrupted: nothing was counted."""
    oldest: float | None = None
    """When the oldest source that is not delivered was last written, in seconds since 1970."""


def values(ended: Ended, before: Mapping[str, float]) -> dict[str, float]:
    """Return the values of metrics, by name.

    Args:
        ended: how the run ended.
        before: the values of `KEPT` of runs before, as far as they are known.

    Returns:
        Seconds, bytes and numbers; what is not known has no value.
    """
    report = ended.report
    found: dict[str, float] = {
        f"{_RUN}_timestamp_seconds": ended.at,
        f"{_RUN}_duration_seconds": ended.seconds,
        f"{_RUN}_exit_code": ended.exit_code,
        f"{_RUN}_s3_retries": ended.retries,
        **{name: before[name] for name in KEPT if name in before},
    }
    if ended.exit_code == 0:
        found[LAST_SUCCESS] = ended.at
    if report is not None:
        found |= {f"{_RUN}_{name}": count for name, count in counts(report.sources).items()}
        for name in _OUTCOMES:
            count = sum(source.outcome == name for source in report.sources)
            found[f"{_RUN}_sources_{name}"] = count
        if report.delivered:
            found[LAST_DELIVERY] = ended.at
    if ended.oldest is not None:
        found[_OLDEST] = ended.oldest
    return found


def counts(sources: Iterable[SourceReport]) -> dict[str, int]:
    """Return what was counted of sources, in all, by the last words of each metric's name."""
    sources = tuple(sources)
    tallies, parts = [s.tally for s in sources], [part for s in sources for part in s.parts]

    def of_kind(kind: str) -> int:
        return sum(n for t in tallies for (_, own), n in t.counts.items() if own == kind)

    return {
        "events_read": sum(tally.read for tally in tallies),
        "events_delivered": sum(source.delivered for source in sources),
        "events_rejected": sum(tally.rejected for tally in tallies),
        "events_filtered": sum(tally.filtered for tally in tallies),
        "values_rejected": sum(tally.rejects_of("value") for tally in tallies),
        "replaced_characters": of_kind(REPLACED),
        "cut_bytes": of_kind(CUT),
        "text_bytes": sum(part.text_bytes for part in parts),
        "stored_bytes": sum(part.stored_bytes for part in parts),
        "parts": len(parts),
    }


def said(report: Report) -> dict[str, Fact]:
    """Return what there is to say of a run to those who watch."""
    code = report.exit_code
    errors = [s.error for s in report.sources if s.error is not None]
    error = next((type(err).__name__ for err in errors if err.exit_code == code), "")
    about: dict[str, Fact] = {"exit_code": code, "error": error, "dry_run": report.dry_run}
    return {**about, **counts(report.sources)}


def facts(source: SourceReport) -> dict[str, Fact]:
    """Return what there is to say of a source to those who watch: no value of an event is in it."""
    said: dict[str, Fact] = {"outcome": source.outcome, "delivery": source.delivery}
    said |= {"format": source.format, "dialect": source.dialect, **counts([source])}
    if source.error is not None:  # its message may hold a sample
        said |= {"error": type(source.error).__name__, "exit_code": source.error.exit_code}
    return said


def label(place: str) -> str:
    """Return a place as the value of a label: without credentials, bounded, readable."""
    shown = printable(masked(place))
    if len(shown) <= _LONGEST:
        return shown
    digest = hashlib.sha256(place.encode(errors="surrogatepass")).hexdigest()[:16]
    return f"{shown[: _LONGEST - 17]}~{digest}"
