"""The partition of each event: the folder of its part."""

from collections.abc import Sequence

import polars as pl
import pyarrow as pa

from cefline import keys
from cefline.records import Columns, apply, as_series, as_text
from cefline.render import TEXT
from cefline_schemas.timeline import BY_NAME

DAY = "day"
"""The partition column that is no field: the day of `eventTime`, UTC."""

_CALENDAR = (-6 * 10**18, 6 * 10**18)
"""Microseconds about 190,000 years around 1970: what polars has dates for, and some less."""


def partition(
    columns: Columns, names: Sequence[str], height: int, *, hive: bool
) -> pa.DictionaryArray:
    """Return the folder of each row: encoded values of the columns named, which may be none.

    Args:
        columns: canonical columns.
        names: fields, or `day`.
        height: number of rows.
        hive: whether folders are written as `name=value`.
    """
    folders = pl.repeat("", height, dtype=pl.String, eager=True)
    sign = "=" if hive else "-"
    for name in names:
        value = _values(columns, name, height)
        distinct = value.unique()
        encoded = [f"{name}{sign}{keys.encode(v)}" for v in distinct]
        folder = value.replace_strict(distinct, encoded, return_dtype=pl.String)
        folders = folder if name == names[0] else folders + "/" + folder
    return as_text(folders).dictionary_encode()


def _values(columns: Columns, name: str, height: int) -> pl.Series:
    source = "eventTime" if name == DAY else name
    if source not in columns:
        return pl.repeat(None, height, dtype=pl.String, eager=True)
    values = as_series(columns[source])
    if name != DAY:
        return apply(values, TEXT[BY_NAME[name].type])
    # Beyond the calendar's years there is no day.
    within = values.set(~values.is_between(*_CALENDAR), None)
    return apply(within, pl.from_epoch("", "us").dt.date().cast(pl.String))
