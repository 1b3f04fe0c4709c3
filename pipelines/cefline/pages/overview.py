"""The page of all deliveries of a destination."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from cefline import __version__
from cefline.pages import sections
from cefline.pages.delivery import stamp_text
from cefline.pages.html import page
from cefline.pages.sections import Section
from cefline.values import size_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cefline.spread import Spread
    from cefline.status import Status

_LISTED = 5_000


class Told(NamedTuple):
    """What is told of a delivery, from its manifest and its report."""

    status: Status
    url: str = ""
    counts: Mapping[str, Mapping[str, int]] = {}
    rejects: Sequence[Mapping[str, Any]] = ()


def overview_page(dest: str, deliveries: Sequence[Told], spread: Spread) -> str:
    """Return a page of HTML.

    Args:
        dest: URL of the destination.
        deliveries: done in the order of their turns, then the others.
        spread: of the events of all that are done, as far as it was kept.
    """
    states = Counter(one.status.state for one in deliveries)
    sums = {
        name: sum(getattr(one.status, name) or 0 for one in deliveries)
        for name in ("events", "rejected", "parts", "stored_bytes")
    }
    totals = [(f"deliveries {state}", f"{count:,}") for state, count in sorted(states.items())]
    totals = totals or [("deliveries", "0")]
    totals += [(name, f"{sums[name]:,}") for name in ("events", "rejected", "parts")]
    stamps = sorted(one.status.stamp for one in deliveries if one.status.stamp)
    ends = list(dict.fromkeys(stamp_text(stamp) for stamp in stamps[:1] + stamps[-1:]))
    return page(
        "overview.html",
        dest=dest,
        period=f"Published {' to '.join(ends)}" if ends else "Nothing was published yet",
        totals=[*totals, ("stored", size_text(sums["stored_bytes"]))],
        sections=list(_sections(deliveries, spread, sums["events"])),
        version=__version__,
    )


def _sections(deliveries: Sequence[Told], spread: Spread, events: int) -> Iterator[Section]:
    yield sections.published(
        [(_minute(d.status.stamp), d.status.events or 0) for d in deliveries if d.status.stamp]
    )
    yield from sections.spread_out(spread, events)
    counts: dict[str, Counter[str]] = {}
    rejects: Counter[tuple[str, str, str]] = Counter()
    for one in deliveries:
        for name, kinds in one.counts.items():
            counts.setdefault(name, Counter()).update(kinds)
        for row in one.rejects:
            rejects[row["kind"], row["field"], row["reason"]] += row["count"]
    keys = ("kind", "field", "reason", "count")
    summed = [dict(zip(keys, (*key, count), strict=True)) for key, count in rejects.items()]
    yield from sections.problems(counts, summed)
    yield _listed(deliveries)


def _listed(deliveries: Sequence[Told]) -> Section:
    newest = sorted(deliveries, key=lambda one: one.status.turn or 0, reverse=True)
    rows = [
        (d.url, s.state, s.delivery, stamp_text(s.stamp), *_numbers(s))
        for d, s in ((one, one.status) for one in newest[:_LISTED])
    ]
    more = len(newest) - _LISTED
    notes = [f"{more:,} older deliveries are not listed."] if more > 0 else []
    head = ["source", "state", "delivery", "published", "turn", "events", "rejected", "parts"]
    return Section("Deliveries", notes, None, [], [*head, "stored"], rows, words=4)


def _numbers(status: Status) -> Iterator[int | str]:
    for number in (status.turn, status.events, status.rejected, status.parts):
        yield "" if number is None else number
    yield "" if status.stored_bytes is None else size_text(status.stored_bytes)


def _minute(stamp: str) -> int:
    when = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return int(when.timestamp()) // 60
