"""Times in whatever form they come, as microseconds since 1970-01-01T00:00:00Z."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from cefline.errors import SourceError
from cefline_schemas.timeline import BELOW_SECONDS, BEYOND_SECONDS, TIME_SAMPLE

Unit = Literal["s", "ms", "us", "ns"]

_PER_SECOND: dict[Unit, int] = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_IN_WORDS = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
_MICROS = 10**6
_MAX = 2**63 - 1
_NAIVE = "%Y-%m-%dT%H:%M:%S%.f"


@dataclass(frozen=True, slots=True)
class Seen:
    """What the numbers of a batch tell of their unit."""

    beyond: pl.Series
    """For each number, in row order: whether it can't be in the unit (Boolean)."""
    column: str
    sample: str | None = None
    """The first number that is."""
    unit: Unit = "s"
    """What the numbers are taken for."""


def micros(values: pl.Series, unit: Unit, timezone: str | None) -> pl.Series:
    """Return times as microseconds (Int64); null where a value is no time, or out of range.

    Args:
        values: int, float or decimal; text (a number, or ISO 8601); or datetime of any unit, in
            UTC where it has no zone.
        unit: unit of numbers.
        timezone: zone of texts that have none.

    Raises:
        SourceError: a text has no zone, and `timezone` is None.
    """
    if isinstance(values.dtype, pl.Datetime):
        return _scaled(values.to_physical(), _PER_SECOND[values.dtype.time_unit])
    if values.dtype.is_integer():
        return _scaled(values.cast(pl.Int64, strict=False), _PER_SECOND[unit])
    if values.dtype.is_numeric():
        return _scaled(values.cast(pl.Float64), _PER_SECOND[unit])
    if values.dtype == pl.String:
        return _of_text(values, unit, timezone)
    return pl.repeat(None, len(values), dtype=pl.Int64, eager=True)


def seen(values: pl.Series, unit: Unit = "s") -> Seen:
    """Return what a column's numbers tell of their unit: too great for it, or too small."""
    if values.dtype != pl.String and not values.dtype.is_numeric():
        return Seen(pl.Series(dtype=pl.Boolean), values.name, unit=unit)
    texts = values.str.strip_chars() if values.dtype == pl.String else values
    numbers = texts.cast(pl.Float64, strict=False)
    numbers = numbers.set(~numbers.is_finite(), None)
    beyond = numbers.abs() > BEYOND_SECONDS * _PER_SECOND[unit]
    if unit != "s":
        beyond |= (numbers.abs() < BELOW_SECONDS * _PER_SECOND[unit]) & (numbers != 0)
    first = beyond.fill_null(value=False).arg_max() or 0
    sample = str(values[first]) if beyond.any() else None
    return Seen(beyond.drop_nulls(), values.name, sample, unit)


def finer(coarse: pl.Series, fine: pl.Series) -> pl.Series:
    """Return microseconds: `fine` where `coarse` is its seconds or its milliseconds."""
    same = (coarse == fine // _MICROS * _MICROS) | (coarse == fine // 1_000 * 1_000)
    return fine.zip_with(same.fill_null(value=False), coarse)


def is_enough(batches: Sequence[Seen]) -> bool:
    """Whether 10,000 numbers of each column have been seen."""
    return bool(batches) and all(len(b) >= TIME_SAMPLE for _, b in _by_column(batches).values())


def check_unit(batches: Sequence[Seen]) -> None:
    """Make sure that the first numbers of each column of a source can be in their unit.

    Raises:
        SourceError: more than half of the first 10,000 are too great, or too small.
    """
    units = {batch.column: batch.unit for batch in batches}
    for column, (sample, beyond) in _by_column(batches).items():
        if beyond.head(TIME_SAMPLE).sum() * 2 > min(len(beyond), TIME_SAMPLE):
            told = f"the numbers in {column} are no {_IN_WORDS[units[column]]}"
            hint = "Say what they are: --time-unit ms, us or ns (or s)"
            raise SourceError(told, hint=hint, sample=f"{sample} for one")


def as_json(seen: Seen) -> dict[str, Any]:
    """Return what was seen, of as many numbers as are looked at, in JSON's types."""
    signs = "".join("01"[beyond] for beyond in seen.beyond.head(TIME_SAMPLE))
    return {"beyond": signs, "column": seen.column, "sample": seen.sample, "unit": seen.unit}


def of_json(said: Mapping[str, Any]) -> Seen:
    """Return what `as_json` gave."""
    beyond = pl.Series([sign == "1" for sign in said["beyond"]], dtype=pl.Boolean)
    return Seen(beyond, said["column"], said["sample"], said["unit"])


def _by_column(batches: Sequence[Seen]) -> dict[str, tuple[str | None, pl.Series]]:
    """Return the first sample and all that was seen of each column."""
    columns: dict[str, tuple[str | None, pl.Series]] = {}
    for batch in batches:
        sample, beyond = columns.get(batch.column, (None, batch.beyond.clear()))
        columns[batch.column] = sample or batch.sample, beyond.append(batch.beyond)
    return columns


def _scaled(numbers: pl.Series, per_second: int) -> pl.Series:
    """Return numbers in microseconds; finer units are floored."""
    if per_second > _MICROS:
        factor = per_second // _MICROS
        scaled = numbers // factor if numbers.dtype.is_integer() else (numbers / factor).floor()
        return scaled.cast(pl.Int64, strict=False)
    factor = _MICROS // per_second
    limit = _MAX // factor
    kept = numbers.set(~numbers.is_between(-limit, limit), None)
    if kept.dtype.is_integer():
        return kept * factor
    # Apart, since their product has more digits than a float holds.
    whole = kept.floor()
    fraction = ((kept - whole) * factor).round()
    return whole.cast(pl.Int64, strict=False) * factor + fraction.cast(pl.Int64, strict=False)


def _of_text(texts: pl.Series, unit: Unit, timezone: str | None) -> pl.Series:
    text = texts.str.strip_chars()
    whole = text.cast(pl.Int64, strict=False)
    if whole.null_count() == text.null_count():
        return _scaled(whole, _PER_SECOND[unit])
    broken = text.set(whole.is_not_null(), None).cast(pl.Float64, strict=False)
    iso = (
        text.str.replace(r"^(\S+) ", "${1}T")
        .str.replace(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d)(Z|[+-].*|)$", "${1}:00${2}")  # no seconds
        .str.replace(r"(T.*[+-]\d\d)$", "${1}:00")  # hours of the offset only
    )
    zoned = iso.str.strptime(pl.Datetime("us", "UTC"), "%+", strict=False)
    naive = iso.str.strptime(pl.Datetime("us"), _NAIVE, strict=False)
    if timezone is None and naive.null_count() < len(naive):
        sample = texts.filter(naive.is_not_null())[0]
        message = f"the times in {texts.name} have no zone"
        hint = "Say which it is: --timezone UTC, or another"
        raise SourceError(message, hint=hint, sample=f"{sample!r} for one")
    here = naive.dt.replace_time_zone(timezone or "UTC", ambiguous="null", non_existent="null")
    found = [
        _scaled(whole, _PER_SECOND[unit]),
        _scaled(broken, _PER_SECOND[unit]),
        zoned.to_physical(),
        here.to_physical(),
    ]
    names = [str(n) for n in range(len(found))]
    return pl.DataFrame(dict(zip(names, found, strict=True))).select(pl.coalesce(names)).to_series()
