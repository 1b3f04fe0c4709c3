"""Which stretches of time a chart shows: some dozens, chosen so that few events are at its edges.

Timelines have outliers (1601 is the zero of Windows, 1970 that of Unix): shown to scale, they would
press all else into one bar. So one percent of the events at each end may be summed up, or a few.
"""

from __future__ import annotations

from collections import Counter
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

from cefline.buckets import LEVELS, label, raised

if TYPE_CHECKING:
    from collections.abc import Iterator

BARS = 72
"""So many stretches are shown, and what is before and after them."""

_EDGE, _FEW, _SOME = 100, 5, 20
"""One in 100 events may be before what is shown, and as many after it; or five, of 100 and more."""


class Table(NamedTuple):
    """Events by time and category."""

    level: str
    times: list[str]
    categories: list[Any]
    counts: list[list[int]]
    """Of each time, by category."""


def table(level: int, counts: Counter[tuple[int, Any]], categories: list[Any]) -> Table:
    """Return events by time, gaps included.

    Args:
        level: of the buckets.
        counts: events by bucket and category.
        categories: in their order; others are left out.
    """
    totals: Counter[int] = Counter()
    for (bucket, _), count in counts.items():
        totals[bucket] += count
    to, first, last = _window(level, totals)
    cells: Counter[tuple[int, Any]] = Counter()
    for (bucket, category), count in counts.items():
        at = min(max(raised(level, bucket, to), first - 1), last + 1)
        cells[at, category] += count
    present = {bucket for bucket, _ in cells}
    shown = [b for b in range(first - 1, last + 2) if first <= b <= last or b in present]
    times = [_label(to, bucket, first, last) for bucket in shown]
    return Table(LEVELS[to], times, categories, [[cells[b, c] for c in categories] for b in shown])


def _label(level: int, bucket: int, first: int, last: int) -> str:
    if bucket < first:
        return f"before {label(level, first)}"
    return f"after {label(level, last)}" if bucket > last else label(level, bucket)


def _window(level: int, totals: Counter[int]) -> tuple[int, int, int]:
    """Return the level, and the first and last bucket, of what is shown."""
    for to, buckets in _levels(level, totals):
        for first, last in ((min(buckets), max(buckets)), _middle(buckets)):
            if last - first < BARS:
                return to, first, last
    message = "64 bits of microseconds are less than 72 times 100,000 years"
    raise AssertionError(message)


def _levels(level: int, totals: Counter[int]) -> Iterator[tuple[int, Counter[int]]]:
    for to in range(level, len(LEVELS)):
        buckets: Counter[int] = Counter()
        for bucket, count in totals.items():
            buckets[raised(level, bucket, to)] += count
        yield to, buckets


def _middle(buckets: Counter[int]) -> tuple[int, int]:
    """Return first and last of the buckets that hold all but the edges."""
    listed, total = sorted(buckets), buckets.total()
    edge = max(total // _EDGE, min(_FEW, total // _SOME))
    return _beyond(listed, buckets, edge), _beyond(listed[::-1], buckets, edge)


def _beyond(listed: list[int], buckets: Counter[int], edge: int) -> int:
    sums = accumulate(buckets[bucket] for bucket in listed)
    return next(bucket for bucket, sum_ in zip(listed, sums, strict=True) if sum_ > edge)
