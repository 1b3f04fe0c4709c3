"""Which key each value is written under, what profile `dictionary` says twice, and all of it back.

Which keys there are, what fits them and why is in `cefline_schemas.dictionary`.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import polars as pl
import pyarrow as pa

from cefline.coerce import without_blank
from cefline.errors import UsageError
from cefline.escape import visible
from cefline.name import without
from cefline.records import Columns, apply, as_series, as_text
from cefline_schemas.dictionary import FITS, PROFILES, Home, Key, ProfileName
from cefline_schemas.timeline import FIELDS, Field

MICROSECONDS = Field("eventTime", "int", (), Key("eventTimeMicros"), "Microseconds", "0")

OUTSIDE = "outside the window"
"""Counts times that are not where a reader takes the time of an event from."""

_BASENAME = pl.col("").str.strip_chars_end("/\\").str.extract(r"([^/\\]+)$")


class Pair(NamedTuple):
    """What is written of a field: a key and a value in each row that has one."""

    row: Field
    homes: tuple[Home, ...]
    """The first one that a value fits is its key; what fits none is left out."""
    column: pa.Array | None
    again: bool = False
    """Whether another pair has said it."""
    told: str = ""
    """What is counted of it, where something is."""


def check_profile(profile: str) -> None:
    """Refuse the name of a profile that does not exist.

    Raises:
        UsageError: there is none.
    """
    if profile not in PROFILES:
        message = f"there is no profile {profile!r}"
        raise UsageError(message, hint=f"Profiles are {' and '.join(PROFILES)}")


def pairs(
    rows: Iterable[Field],
    columns: Columns,
    profile: ProfileName,
    window: tuple[int, int] | None = None,
) -> Iterator[Pair]:
    """Yield what is written of fields, in the order of the keys.

    Args:
        rows: the fields.
        columns: of the fields, those that there are.
        profile: which keys fields become.
        window: microseconds, from and before; other times have the key of our own alone.
    """
    for row in rows:
        pair = Pair(row, row.homes(profile), columns.get(row.name))
        if profile == "cado" or pair.column is None:
            yield pair
        elif row.type == "time" and window is not None:
            yield from _windowed(pair, window, columns)
        else:
            yield from _settled(pair, columns)
            yield from _copies(row, pair.column, columns)


def _windowed(pair: Pair, window: tuple[int, int], columns: Columns) -> Iterator[Pair]:
    """Yield a time within a window and its copies, and what is outside under the last key."""
    since, until = window
    outside = pl.Series(pair.column).is_between(since, until, closed="left").not_()
    outside = outside.fill_null(value=False)
    within = without(pair.column, outside)
    yield pair._replace(column=within)
    yield from _copies(pair.row, within, columns)
    beyond = without(pair.column, ~outside)
    yield pair._replace(column=beyond, homes=pair.homes[-1:], told=OUTSIDE)


def _settled(pair: Pair, columns: Columns) -> Iterator[Pair]:
    """Yield a pair; two where it shares a key with the copy of another field.

    Where both say the same, a reader could not tell whose the key is: then it is the other's.
    """
    owner = columns.get(SHARED.get(pair.row.name, ""))
    if owner is None or pair.row.given:
        yield pair
        return
    same = _same(pair.column, owner)
    yield pair._replace(column=without(pair.column, same))
    yield pair._replace(column=without(pair.column, ~same), homes=pair.homes[-1:])


SHARED = {copy.unless: f.name for f in FIELDS for copy in f.dictionary.copies if copy.unless}
"""Fields whose key another one has where they have no value."""


def _copies(row: Field, column: pa.Array, columns: Columns) -> Iterator[Pair]:
    for copy in row.dictionary.copies:
        first = columns.get(copy.unless)
        said = column
        if copy.part == "basename":
            said = _transformed(column, _BASENAME)
        if first is not None:
            said = without(said, as_series(first).is_not_null() & ~_same(first, column))
        yield Pair(row, (copy.home,), said, again=True)


def _same(one: pa.Array, other: pa.Array) -> pl.Series:
    """Return where two columns are written alike (Boolean, never null)."""
    a, b = as_series(one), as_series(other)
    both = (a.is_not_null() & b.is_not_null()).arg_true()
    alike = visible(a.gather(both)) == visible(b.gather(both))
    return pl.repeat(False, len(a), dtype=pl.Boolean, eager=True).scatter(both, alike)


def _transformed(column: pa.Array, expression: pl.Expr) -> pa.Array:
    """Return what an expression makes of text, once for each distinct value; blank is null."""
    if isinstance(column, pa.DictionaryArray):
        values = _transformed(column.dictionary, expression)
        return pa.DictionaryArray.from_arrays(column.indices, values)
    return without_blank(as_text(apply(pl.Series(column), expression)))


def prefix(homes: tuple[Home, ...], text: pa.LargeStringArray) -> str | pa.LargeStringArray:
    """Return what stands before each value: the key that it fits.

    Args:
        homes: keys, the first that fits is taken.
        text: values as they are written.

    Returns:
        The same for all where it is, else for each value; null where it fits none.
    """
    first = homes[0]
    if first.takes_all:
        return f" {first.key.prefix}"
    values = pl.Series(text)
    if apply(values, _fits(first).all()).all():
        return f" {first.key.prefix}"
    chosen = pl.lit(None, pl.String)
    for home in reversed(homes):
        chosen = pl.when(_fits(home)).then(pl.lit(f" {home.key.prefix}")).otherwise(chosen)
    return as_text(apply(values, chosen))


def _fits(home: Home) -> pl.Expr:
    text = pl.col("")
    fits = text.is_not_null() if home.fits is None else text.str.contains(FITS[home.fits])
    return fits if home.most is None else fits & (text.str.len_bytes() <= home.most)
