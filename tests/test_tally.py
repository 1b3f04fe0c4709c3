"""The tally: everything read is delivered or rejected, and too many rejects stop a source."""

from collections.abc import Sequence
from dataclasses import replace

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cefline import tally as module
from cefline import times
from cefline.convert import Converted
from cefline.counts import PRESENT, Counts, Tally
from cefline.errors import SourceError, TooManyRejectsError
from cefline.pack import Slice
from cefline.records import no_rejects, rejects
from cefline.tally import check_rejects, tallied
from cefline.values import MaxRejects
from cefline_schemas.timeline import TIME_SAMPLE

LINE = "CEF:0|...\n"
MOMENT = 1595194940


def records(kind: str, count: int, field: str | None = None, reason: str = "bad") -> pl.DataFrame:
    """Make records of rejects."""
    rows = pl.Series(range(count), dtype=pl.Int64)
    raw = pl.Series(["raw"] * count, dtype=pl.String)
    return rejects(kind, rows, field=field, reason=reason, raw=raw)  # type: ignore[arg-type]  # one of its literals


def batch(
    delivered: int = 0,
    rejected: pl.DataFrame | None = None,
    counts: Counts | None = None,
    seen: Sequence[object] = (),
    read: int | None = None,
) -> Converted:
    """Make a converted batch, in slices of two lines."""
    found = no_rejects() if rejected is None else rejected
    rows = int((found["kind"] == "row").sum())
    folders = pa.array(["x"]).dictionary_encode()
    slices = [
        Slice(
            pa.array([LINE] * min(2, delivered - start), pa.large_string()),
            pl.int_range(start, min(start + 2, delivered), eager=True),
            folders.take(pa.array([0] * min(2, delivered - start))),
        )
        for start in range(0, delivered, 2)
    ]
    looked = times.seen(pl.Series("eventTime", seen, pl.Int64))
    total = delivered + rows if read is None else read
    return Converted(slices, total, found, counts or Counts(), (looked,), 0, 1.0)


def run(*batches: Converted) -> tuple[Tally, int, list[pl.DataFrame]]:
    """Tally batches: what was counted, the lines that came, the rejects that were kept."""
    tally, kept = Tally(), list[pl.DataFrame]()
    lines = sum(len(one.lines) for one in tallied(batches, tally, kept.append, 1 << 30))
    return tally, lines, kept


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.integers(0, 3)), max_size=6))
def test_read_is_delivered_and_rejected(sizes: list[tuple[int, int, int]]) -> None:
    """Counts add up over batches; value rejects reject no row."""
    batches = [
        batch(good, pl.concat([records("row", bad), records("value", values, "alarm")]))
        for good, bad, values in sizes
    ]
    tally, lines, kept = run(*batches)
    assert tally.delivered == lines == sum(good for good, _, _ in sizes)
    assert tally.rejected == tally.rejects_of("row") == sum(bad for _, bad, _ in sizes)
    assert tally.rejects_of("value", "alarm") == sum(values for _, _, values in sizes)
    assert tally.rejects_of("value", "msg") == 0
    assert tally.read == tally.delivered + tally.rejected
    assert sum(map(len, kept)) == sum(bad + values for _, bad, values in sizes)


@pytest.mark.parametrize("read", [2, 4])
def test_an_event_that_was_lost_or_doubled_is_found(read: int) -> None:
    """Where the sum does not hold, the run stops: it is a bug, and nothing may be published."""
    with pytest.raises(AssertionError, match=f"{read} events read, but 3 and 0"):
        run(batch(3, read=read))


def test_what_is_filtered_is_part_of_the_balance() -> None:
    """As many as were read and neither delivered nor rejected; one more or less is found."""
    some = [replace(batch(2, read=5), filtered=3), replace(batch(read=4), filtered=4)]
    tally, lines, _ = run(*some)
    assert (tally.read, tally.filtered, lines) == (9, 7, 2)
    for wrong in (6, 8):
        with pytest.raises(AssertionError, match=f"9 events read, but 2 and 0 and {wrong}"):
            run(some[0], replace(some[1], filtered=wrong - 3))


def test_counts_and_reasons_add_up() -> None:
    """Counts by field and kind, and rejects by kind, field and reason, are sums over batches."""
    tally, _, _ = run(
        batch(1, records("value", 2, "alarm", "no bool"), Counts({("msg", "coerced"): 2})),
        batch(1, records("value", 1, "alarm", "no bool"), Counts({("msg", "coerced"): 1})),
        batch(0, records("row", 1, None, "no JSON object")),
    )
    assert tally.counts == {("msg", "coerced"): 3}
    assert tally.reasons == {("value", "alarm", "no bool"): 3, ("row", "", "no JSON object"): 1}


@pytest.mark.parametrize(
    "sizes",
    [[25], [9, 1, 15], *(s for s in ([5] * 5, [1] * 25, [11, 14]))],
)
def test_replaced_values_are_kept_up_to_a_bound(
    sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first ones are kept, the rest counted, in batches of any size; others all stay."""
    monkeypatch.setattr(module, "MAX_REPLACED", 10)
    mixed = [pl.concat([records("replaced", n, "msg"), records("row", 1)]) for n in sizes]
    tally, _, kept = run(*(batch(1, found) for found in mixed))
    kinds = pl.concat(kept)["kind"]
    assert (kinds == "replaced").sum() == 10
    assert (kinds == "row").sum() == len(sizes)
    assert tally.rejects_of("replaced") == 25


@pytest.mark.parametrize(
    ("read", "rejected", "allowed", "passes"),
    [
        (100, 10, MaxRejects(10, 0.001), True),
        (100, 11, MaxRejects(10, 0.001), False),
        (20_000, 20, MaxRejects(10, 0.001), True),
        (20_000, 21, MaxRejects(10, 0.001), False),
        (10, 10, MaxRejects(10, 0.001), True),
        (5, 0, MaxRejects(0, 0), True),
        (5, 1, MaxRejects(0, 0), False),
        (100, 50, MaxRejects(0, 0.5), True),
        (100, 51, MaxRejects(0, 0.5), False),
        (100, 29, MaxRejects(0, 0.29), True),
        (0, 0, MaxRejects(10, 0.001), True),
    ],
)
def test_too_many_rejected_rows_stop_a_source(
    read: int, rejected: int, allowed: MaxRejects, *, passes: bool
) -> None:
    """The greater of rows and share is allowed, exactly; the message has numbers and the reason."""
    tally = Tally(read, read - rejected, rejected)
    tally.reasons["row", "", "no JSON object"] = rejected
    if passes:
        check_rejects(tally, allowed)
    else:
        with pytest.raises(
            TooManyRejectsError, match=f"{rejected} of {read} rows rejected"
        ) as told:
            check_rejects(tally, allowed)
        assert f"{rejected} times: no JSON object" in str(told.value)


@pytest.mark.parametrize(("bad", "passes"), [(0, True), (5, True), (6, False), (10, False)])
def test_a_field_that_is_mostly_unreadable_stops_a_source(bad: int, *, passes: bool) -> None:
    """More than half of a field's values unreadable: the column is something else."""
    tally = Tally(100, 100, 0)
    tally.counts["alarm", PRESENT] = 10
    tally.reasons["value", "alarm", "no bool"] = bad
    tally.reasons["value", "evidence_id", "no int"] = 5
    tally.counts["evidence_id", PRESENT] = 100
    if passes:
        check_rejects(tally, MaxRejects(10, 0))
    else:
        with pytest.raises(TooManyRejectsError, match=f"{bad} of 10 values of alarm"):
            check_rejects(tally, MaxRejects(10, 0))


@pytest.mark.parametrize("size", [500, 3333, TIME_SAMPLE, 3 * TIME_SAMPLE])
@pytest.mark.parametrize("fails", [True, False])
def test_the_unit_is_decided_by_the_same_numbers_in_any_batches(size: int, *, fails: bool) -> None:
    """The first 10,000 numbers decide, and batches that end elsewhere change nothing."""
    beyond = TIME_SAMPLE // 2 + fails
    numbers = [MOMENT] * (TIME_SAMPLE - beyond) + [MOMENT * 1000] * beyond
    numbers += [MOMENT if fails else MOMENT * 1000] * (2 * TIME_SAMPLE)
    batches = [batch(1, seen=numbers[n : n + size]) for n in range(0, len(numbers), size)]
    if fails:
        with pytest.raises(SourceError, match="the numbers in eventTime are no seconds"):
            run(*batches)
    else:
        run(*batches)


def test_a_short_source_is_decided_at_its_end() -> None:
    """A source of fewer numbers is decided by those it has."""
    with pytest.raises(SourceError, match=f"{MOMENT * 1000} for one"):
        run(batch(1, seen=[MOMENT]), batch(2, seen=[MOMENT * 1000] * 2))
    run(batch(1, seen=[MOMENT]), batch(1, seen=[MOMENT * 1000]))
    run()
