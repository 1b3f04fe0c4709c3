"""How events are spread: exact, bounded, and the same however a source is cut."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cefline import buckets, spread
from cefline.buckets import LEVELS, label, raised
from cefline.census import census
from cefline.spread import BUCKETS, NAME, NAMES, SERIES, Names, Spread, short
from tests.hostile import text

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROS = st.integers(-(2**63), 2**63 - 1)
NEAR = st.integers(0, 3 * 86_400 * 10**6)

Row = tuple[int | None, int, str | None, str | None]

rows = st.lists(
    st.tuples(
        st.none() | MICROS | NEAR,
        st.sampled_from([1, 4, 7, 10]),
        st.none() | st.sampled_from(["FILE", "EVT"]) | text,
        st.none() | text,
    ),
    max_size=40,
)


def counted(events: list[Row], *, coded: bool = False) -> Spread:
    """Return how events are spread, as one batch."""
    times, severities, sources, hosts = zip(*events, strict=True) if events else ((),) * 4
    texts = {"source": pa.array(sources, pa.large_string())}
    texts["host"] = pa.array(hosts, pa.large_string())
    if coded:
        texts = {name: column.dictionary_encode() for name, column in texts.items()}
    columns = {"eventTime": pa.array(times, pa.int64()), **texts}
    every = pl.int_range(len(events), dtype=pl.UInt32, eager=True)
    return census(columns, pl.Series(severities, dtype=pl.Int64), every)


def summed(pieces: list[Spread]) -> dict[str, Any]:
    """Return the sum of spreads, in JSON's types."""
    whole = Spread()
    for piece in pieces:
        whole.add(Spread.of_json(json.loads(json.dumps(piece.as_json()))))
    return whole.as_json()


@given(rows, st.lists(st.integers(0, 40), max_size=4), st.randoms(), st.booleans())
def test_pieces_add_up_to_the_whole_in_any_order(
    events: list[Row],
    cuts: list[int],
    dice: random.Random,
    coded: bool,  # noqa: FBT001 - drawn
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name, bound in (("BUCKETS", 5), ("NAMES", 4), ("SERIES", 3)):
            patch.setattr(spread, name, bound)
        patch.setattr("cefline.census.BUCKETS", 5)
        whole = summed([counted(events)])
        bounds = sorted({0, *(cut for cut in cuts if cut < len(events)), len(events)})
        pieces = [counted(events[a:b], coded=coded) for a, b in itertools.pairwise(bounds)]
        dice.shuffle(pieces)
        assert summed(pieces) == whole
        grouped = [Spread() for _ in range(2)]
        for n, piece in enumerate(pieces):
            grouped[n % 2].add(piece)
        assert summed(grouped) == whole


@given(rows)
def test_counts_are_the_events(events: list[Row]) -> None:
    found = counted(events)
    sources, hosts = [event[2] for event in events], [event[3] for event in events]
    assert found.events == len(events)
    for name, values in (("source", sources), ("host", hosts)):
        expected = Counter(short(v) for v in values if v is not None and v.strip())
        names = found.names.get(name, Names())
        assert names.counts == expected
        assert names.events == expected.total()
    timed = [event for event in events if event[0] is not None]
    by_severity: Counter[int | None] = Counter()
    for (_, severity), count in found.severities.items():
        by_severity[severity] += count
    assert by_severity == Counter(event[1] for event in timed)
    assert found.sources.total() == len(timed)


@given(st.lists(st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)), min_size=1))  # noqa: DTZ001 - Hypothesis wants them naive
def test_buckets_are_those_of_the_calendar(times: list[datetime]) -> None:
    minutes = [(t.replace(tzinfo=UTC) - EPOCH) // timedelta(minutes=1) for t in times]
    expected: tuple[Callable[[datetime], str], ...] = (
        lambda t: f"{t.year:04d}-{t.month:02d}-{t.day:02d} {t.hour:02d}:{t.minute:02d}",
        lambda t: f"{t.year:04d}-{t.month:02d}-{t.day:02d} {t.hour:02d}:00",
        lambda t: f"{t.year:04d}-{t.month:02d}-{t.day:02d}",
        lambda t: f"{t.year:04d}-{t.month:02d}",
        lambda t: str(t.year),
        lambda t: str(t.year // 10 * 10),
        lambda t: str(t.year // 100 * 100),
    )
    column = pl.Series(minutes, dtype=pl.Int64)
    for level, text_of in enumerate(expected):
        found = raised(0, column, level).to_list()
        assert found == [raised(0, minute, level) for minute in minutes]
        assert [label(level, bucket) for bucket in found] == [text_of(t) for t in times]


@given(MICROS)
def test_any_time_has_a_bucket_at_each_level(micros: int) -> None:
    minute = micros // buckets.MINUTE_MICROS
    column = pl.Series([minute], dtype=pl.Int64)
    for level in range(len(LEVELS)):
        assert raised(0, column, level).to_list() == [raised(0, minute, level)]
        assert label(level, raised(0, minute, level))


def test_hostile_names_and_times_stay_within_bounds() -> None:
    every = 9 * 10**18 // 20_000
    events: list[Row] = [
        ((n - 10_000) * every * 2 // 2, 1, f"source {n}", f"{n} {'x' * 5_000}")
        for n in range(20_000)
    ]
    pieces = [counted(events[a : a + 1_000]) for a in range(0, 20_000, 1_000)]
    whole = Spread()
    for piece in pieces:
        whole.add(piece)
    assert len({bucket for bucket, _ in whole.severities}) <= BUCKETS
    assert len(whole.sources) <= BUCKETS * SERIES
    assert whole.severities.total() == whole.events == 20_000
    for name in ("source", "host"):
        names = whole.names[name]
        assert names.partial
        assert names.events == 20_000
        assert len(names.counts) == NAMES
        assert set(names.counts.values()) == {1}
        assert max(map(len, names.counts)) <= NAME
    assert len(json.dumps(whole.as_json())) < 4 << 20


def test_names_above_the_bound_keep_exact_counts() -> None:
    names = [f"host-{n % 6_000}" for n in range(18_000)]
    found = counted([(0, 1, None, name) for name in names]).names["host"]
    assert found.partial
    assert set(found.counts.values()) == {3}
    assert found.events == 18_000


def test_long_names_stay_apart() -> None:
    one, other = "x" * 100_000 + "a", "x" * 100_000 + "b"
    assert short(one) != short(other)
    assert short("x" * NAME) == "x" * NAME


def test_blank_names_are_none() -> None:
    found = counted([(0, 1, "  ", ""), (0, 1, None, " "), (0, 1, "FILE", "h")])
    assert found.names["source"].counts == {"FILE": 1}
    assert found.names["host"].events == 1
    assert found.sources == {(0, None): 2, (0, "FILE"): 1}


def test_rows_without_a_line_are_not_counted() -> None:
    columns = {"eventTime": pa.array([0, 60_000_000, None]), "host": pa.array(["a", "b", "c"])}
    found = census(columns, pl.Series([1, 4, 7]), pl.Series([1, 2], dtype=pl.UInt32))
    assert found.events == 2
    assert found.severities == {(1, 4): 1}
    assert found.names["host"].counts == {"b": 1, "c": 1}
