"""Stretches of time that events are counted by: minutes, hours, days and so on, each in the next.

A bucket is a number, counted from 1970 up to days, from the year 0 from months on; there is one
for each microsecond that 64 bits can hold, long before and after the years that calendars of
libraries know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import polars as pl

    N = TypeVar("N", int, pl.Series)

LEVELS = (
    "minute",
    "hour",
    "day",
    "month",
    "year",
    "decade",
    "century",
    "millennium",
    "ten millennia",
    "hundred millennia",
)
"""From the finest to the coarsest one."""

MINUTE_MICROS = 60_000_000

_DAY, _MONTH, _YEAR = 2, 3, 4
_IN_NEXT = (60, 24, 0, 12, 10, 10, 10, 10, 10)
"""How many buckets of a level are in one of the next; days of a month are not alike."""

_ERA_DAYS, _ERA_YEARS = 146_097, 400
_TO_MARCH_OF_0 = 719_468
"""Days from 0000-03-01 to 1970-01-01: years that begin in March have their leap day at the end."""


def coarser(level: int, bucket: N) -> N:
    """Return the bucket of the next level that one is in (int or Int64)."""
    if level == _DAY:
        return _month(bucket)
    return bucket // _IN_NEXT[level]  # floored, by Python and polars alike


def raised(level: int, bucket: N, to: int) -> N:
    """Return the bucket of a coarser level, or the same one, that one is in."""
    for step in range(level, to):
        bucket = coarser(step, bucket)
    return bucket


def label(level: int, bucket: int) -> str:
    """Return when a bucket begins, as far as its level tells it: `2026-01-12 07:00`, `1980`.

    Years are those of astronomers: 0 is before 1, and -1 before 0.
    """
    if level >= _YEAR:
        return str(bucket * 10 ** (level - _YEAR))
    if level == _MONTH:
        return f"{bucket // 12:04d}-{bucket % 12 + 1:02d}"
    minutes = bucket * (1, 60, 1440)[level]
    days, minute = divmod(minutes, 1440)
    year, month, day = _civil(days)
    date = f"{year:04d}-{month:02d}-{day:02d}"
    return date if level == _DAY else f"{date} {minute // 60:02d}:{minute % 60:02d}"


def _month(days: N) -> N:
    """Return the months from January of the year 0 to that of a day since 1970."""
    year, month, _ = _from_march(days)
    return year * 12 + month + 2


def _civil(days: int) -> tuple[int, int, int]:
    """Return year, month and day, by the proleptic Gregorian calendar."""
    year, month, day = _from_march(days)
    months = year * 12 + month + 2
    return months // 12, months % 12 + 1, day + 1


def _from_march(days: N) -> tuple[N, N, N]:
    """Return year, month and day of it, all from 0, of a calendar whose years begin in March."""
    shifted = days + _TO_MARCH_OF_0
    era = shifted // _ERA_DAYS
    of_era = shifted - era * _ERA_DAYS
    of_years = of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096
    year = of_years // 365
    of_year = of_era - (year * 365 + year // 4 - year // 100)
    month = (of_year * 5 + 2) // 153  # months from March on have 31, 30, 31, 30, 31 days, twice
    return era * _ERA_YEARS + year, month, of_year - (month * 153 + 2) // 5
