"""Times: every form and unit becomes microseconds, floored; what is no time becomes nothing."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cefline import times
from cefline.errors import SourceError
from cefline_schemas.timeline import BEYOND_SECONDS, TIME_SAMPLE

MOMENT = 1595194940  # the standard's sample event
MAX = 2**63 - 1
YEAR_1601 = -11644473600
YEAR_45800 = 1383170228399
UNITS: list[tuple[times.Unit, int]] = [("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)]


def micros(
    value: object,
    unit: times.Unit = "s",
    timezone: str | None = None,
    dtype: pl.DataType | type[pl.DataType] | None = None,
) -> int | None:
    """Return one time in microseconds."""
    series = pl.Series("eventTime", [value, None], dtype)
    found = times.micros(series, unit, timezone)
    assert found.dtype == pl.Int64
    assert found[1] is None
    return None if found[0] is None else int(found[0])


@pytest.mark.parametrize(("unit", "per_second"), UNITS)
@pytest.mark.parametrize("form", [int, float, str, lambda value: f" {value} ", Decimal])
def test_numbers_of_every_unit_are_the_same_moment(
    unit: times.Unit, per_second: int, form: type[int]
) -> None:
    """Integers, floats, decimals and numeric text count in the unit that was said."""
    assert micros(form(MOMENT * per_second), unit) == MOMENT * 10**6


@pytest.mark.parametrize(("unit", "per_second"), UNITS)
@given(st.integers(-(2**63), 2**63 - 1))
def test_a_number_is_its_moment_or_none(unit: times.Unit, per_second: int, number: int) -> None:
    """For every 64-bit integer: floored to microseconds where they fit, and null where not."""
    exact = number * 10**6 // per_second
    if number == -(2**63) and unit != "ns":
        return  # has a test of its own
    expected = exact if abs(exact) <= MAX else None
    assert micros(number, unit) == expected
    assert micros(str(number), unit) == expected


@pytest.mark.parametrize("unit", ["s", "ms"])
@pytest.mark.parametrize("value", [-(2**63), str(-(2**63))])
def test_the_least_integer_is_no_moment(unit: times.Unit, value: object) -> None:
    """The least 64-bit integer is beyond all times in seconds and in milliseconds."""
    assert micros(value, unit) is None


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (MOMENT + 0.5, MOMENT * 10**6 + 500_000),
        (MOMENT + 0.123456, MOMENT * 10**6 + 123_456),
        (-0.5, -500_000),
        (-0.0, 0),
        (float(YEAR_1601), YEAR_1601 * 10**6),
        (float(YEAR_45800), YEAR_45800 * 10**6),
        (1000000000001.0, 1000000000001 * 10**6),
        (9.3e12, None),
        (-9.3e12, None),
        (1e300, None),
        (math.inf, None),
        (-math.inf, None),
        (math.nan, None),
    ],
)
def test_floats_keep_their_fraction(seconds: float, expected: int | None) -> None:
    """A float is read to the microsecond; one that is out of range or no number is no time."""
    assert micros(seconds) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1595194940", MOMENT * 10**6),
        ("1595194940.5", MOMENT * 10**6 + 500_000),
        ("1.59519494e9", MOMENT * 10**6),
        ("-1", -(10**6)),
        (str(YEAR_1601), YEAR_1601 * 10**6),
        (str(YEAR_45800), YEAR_45800 * 10**6),
        ("9" * 30, None),
        ("1e400", None),
        ("nan", None),
        ("inf", None),
        ("0x5f14a1bc", None),
        ("1_000", None),
        ("", None),
        ("yesterday", None),
        ("true", None),
        ("[1595194940]", None),
    ],
)
def test_numeric_text_is_a_number(text: str, expected: int | None) -> None:
    """Text that is a number is one; what only Python or C would read is no time."""
    assert micros(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2020-07-19T21:42:20Z", MOMENT * 10**6),
        ("2020-07-19T21:42:20+00:00", MOMENT * 10**6),
        ("2020-07-19T23:42:20+02:00", MOMENT * 10**6),
        ("2020-07-19 23:42:20+02:00", MOMENT * 10**6),
        ("2020-07-19T16:12:20-0530", MOMENT * 10**6),
        (" 2020-07-19T21:42:20Z ", MOMENT * 10**6),
        ("2020-07-19T21:42:20.5Z", MOMENT * 10**6 + 500_000),
        ("2020-07-19T21:42:20.123456Z", MOMENT * 10**6 + 123_456),
        ("2020-07-19T21:42:20.123456789Z", MOMENT * 10**6 + 123_456),
        ("1969-12-31T23:59:59.5Z", -500_000),
        ("1601-01-01T00:00:00Z", YEAR_1601 * 10**6),
        ("9999-12-31T23:59:59Z", 253402300799 * 10**6),
        ("+45800-12-31T09:19:59Z", 1383172708799_000_000),
        ("2020-02-30T00:00:00Z", None),
        ("2020-07-19T24:00:01Z", None),
        ("2020-07-19T21:42:20X", None),
        ("2020-07-19", None),
        ("2020-07-19T21:42:20Z trailing", None),
        ("12:00:00Z", None),
    ],
)
def test_iso_text_with_a_zone_is_a_moment(text: str, expected: int | None) -> None:
    """ISO 8601 with a zone is read to the microsecond; a date alone is no moment."""
    assert micros(text) == expected


@given(st.datetimes(datetime(1601, 1, 1), datetime(9999, 12, 31)))  # noqa: DTZ001 - made aware below
def test_iso_text_equals_the_moment_it_was_made_of(moment: datetime) -> None:
    """What isoformat writes is read back, with T and with a blank."""
    aware = moment.replace(tzinfo=UTC)
    expected = (aware - datetime(1970, 1, 1, tzinfo=UTC)) // datetime.resolution
    assert micros(aware.isoformat()) == expected
    assert micros(aware.isoformat(sep=" ")) == expected
    assert micros(moment.isoformat(), timezone="UTC") == expected


@pytest.mark.parametrize("text", ["2020-07-19T21:42:20", "2020-07-19 21:42:20.5"])
def test_text_without_a_zone_fails_with_a_sample(text: str) -> None:
    """No zone is made up: the source fails, shows a sample and names the option."""
    series = pl.Series("eventTime", ["1595194940.5", None, "garbage", text])
    with pytest.raises(SourceError, match=f"have no zone: '{text}' for one") as caught:
        times.micros(series, "s", None)
    assert "--timezone" in str(caught.value)


def test_the_missing_zone_is_told_with_its_column() -> None:
    """The message says which column the sample is from, as that for units does."""
    with pytest.raises(SourceError, match="eventTime"):
        times.micros(pl.Series("eventTime", ["2020-07-19T21:42:20"]), "s", None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2020-07-19T23:42:20", MOMENT * 10**6),
        ("2020-07-19 23:42:20.25", MOMENT * 10**6 + 250_000),
        ("2020-01-01T00:00:00", 1577833200 * 10**6),
        ("2020-07-19T21:42:20Z", MOMENT * 10**6),  # its own zone counts
        ("2020-03-29T01:59:59", 1585443599 * 10**6),
        ("2020-03-29T02:30:00", None),  # never was
        ("2020-03-29T03:00:00", 1585443600 * 10**6),
        ("2020-10-25T02:30:00", None),  # was twice
        ("2020-10-25T03:00:00", 1603591200 * 10**6),
    ],
)
def test_text_without_a_zone_takes_the_one_that_was_said(text: str, expected: int | None) -> None:
    """Daylight saving counts; an hour that never was or was twice is no time, not a guess."""
    assert micros(text, timezone="Europe/Berlin") == expected


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Berlin"])
def test_timestamps_of_any_unit_are_moments(unit: str, zone: str | None) -> None:
    """A timestamp column is UTC inside, whether it has a zone or none."""
    per_second = {"ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    stored = pl.Series("eventTime", [MOMENT * per_second, YEAR_1601 * 10**3, -1, None])
    dtype = pl.Datetime(unit, zone)  # type: ignore[arg-type]  # one of its literals
    found = times.micros(stored.cast(dtype), "ns", None)
    least = {"ms": -1000, "us": -1, "ns": -1}[unit]
    sixteen = {"ms": YEAR_1601 * 10**6, "us": YEAR_1601 * 10**3, "ns": YEAR_1601}[unit]
    assert found.to_list() == [MOMENT * 10**6, sixteen, least, None]


def test_timestamps_beyond_microseconds_are_no_times() -> None:
    """Milliseconds that overflow as microseconds become null, never another time."""
    stored = pl.Series([MAX, MAX // 1000, -(MAX // 1000), MAX // 1000 + 1])
    found = times.micros(stored.cast(pl.Datetime("ms")), "s", None)
    assert found.to_list() == [None, MAX // 1000 * 1000, -(MAX // 1000) * 1000, None]


@pytest.mark.parametrize(
    "series",
    [pl.Series([True, False]), pl.Series([[1]]), pl.Series([{"a": 1}]), pl.Series([None])],
    ids=["bool", "list", "struct", "null"],
)
def test_other_types_are_no_times(series: pl.Series) -> None:
    """Booleans and structures are no times."""
    assert times.micros(series, "s", None).null_count() == len(series)


# The unit of numbers.


def check(values: Sequence[object], size: int = 1 << 20) -> None:
    """Check the unit of a column that comes in batches."""
    batches = [values[n : n + size] for n in range(0, len(values), size)]
    seen = [times.seen(pl.Series("eventTime", batch)) for batch in batches]
    times.check_unit(seen)


@pytest.mark.parametrize("value", [BEYOND_SECONDS, -BEYOND_SECONDS, float(BEYOND_SECONDS), "1e11"])
def test_the_greatest_seconds_pass(value: object) -> None:
    """10^11 itself, of either sign and in any form, can be seconds."""
    check([value] * 10)


@pytest.mark.parametrize(
    "value",
    [
        BEYOND_SECONDS + 1,
        -BEYOND_SECONDS - 1,
        BEYOND_SECONDS + 0.5,
        str(BEYOND_SECONDS + 1),
        MOMENT * 1000,
        str(MOMENT * 10**9),
        f" {MOMENT * 1000} ",
    ],
)
def test_greater_numbers_fail_with_column_sample_and_option(value: object) -> None:
    """A column full of numbers beyond 10^11 is in another unit: the message says all one needs."""
    with pytest.raises(SourceError) as caught:
        check([value] * 3)
    for part in ("eventTime", str(value), "--time-unit"):
        assert part in str(caught.value)


@pytest.mark.parametrize(("beyond", "fails"), [(4, False), (5, False), (6, True), (10, True)])
@pytest.mark.parametrize("size", [1, 3, 10])
def test_more_than_half_decide(beyond: int, size: int, *, fails: bool) -> None:
    """Half of the numbers may be outliers; one more, and the unit is in doubt, in any batches."""
    values = [MOMENT * 1000] * beyond + [MOMENT] * (10 - beyond)
    if fails:
        with pytest.raises(SourceError):
            check(values, size)
    else:
        check(values, size)


@pytest.mark.parametrize("size", [999, TIME_SAMPLE, TIME_SAMPLE + 1, 1 << 20])
@pytest.mark.parametrize("fails", [True, False])
def test_the_first_ten_thousand_decide(size: int, *, fails: bool) -> None:
    """What comes after the sample does not count, however the batches fall."""
    beyond = TIME_SAMPLE // 2 + fails
    values = [MOMENT] * (TIME_SAMPLE - beyond) + [MOMENT * 1000] * beyond
    values += [MOMENT if fails else MOMENT * 1000] * TIME_SAMPLE * 2
    if fails:
        with pytest.raises(SourceError):
            check(values, size)
    else:
        check(values, size)


def test_nulls_and_texts_are_no_numbers() -> None:
    """Missing values and ISO texts do not dilute the sample."""
    text = "2020-07-19T21:42:20Z"
    with pytest.raises(SourceError):
        check([None, text, text, str(MOMENT * 1000), text])
    check([None, text])
    check([])


def test_nan_does_not_count() -> None:
    """What is no number says nothing of a unit."""
    check([math.nan, math.nan, float(MOMENT)])


def test_timestamp_columns_have_their_unit() -> None:
    """A timestamp column's numbers are not looked at."""
    series = pl.Series("eventTime", [MOMENT * 10**6]).cast(pl.Datetime("us"))
    assert times.seen(series).beyond.is_empty()
