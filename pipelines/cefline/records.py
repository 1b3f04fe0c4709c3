"""What a step says beside its data: rejects and counts, in one shape for all steps."""

from collections.abc import Mapping
from functools import cache
from typing import Literal

import polars as pl
import pyarrow as pa

from cefline_schemas.timeline import Type

Columns = Mapping[str, pa.Array]
"""Canonical columns of a batch, all of one length.

Text is large_string, plain or as a dictionary; int and time (microseconds) are int64, bool is
bool. A field that no row has may be missing.
"""

ARROW: Mapping[Type, pa.DataType] = {
    "text": pa.large_string(),
    "list": pa.large_string(),
    "int": pa.int64(),
    "bool": pa.bool_(),
    "time": pa.int64(),
}
"""The Arrow type of each type of field; text may be a dictionary of it."""

REJECTS = pl.Schema(
    {
        "kind": pl.String,  # row: not delivered; value: left out; replaced, cut: written otherwise
        "row": pl.Int64,  # in its batch, until `placed` puts the ordinal in its stead
        "ordinal": pl.Int64,
        "line": pl.Int64,
        "offset": pl.Int64,
        "field": pl.String,
        "event_id": pl.String,
        "reason": pl.String,
        "raw": pl.Binary,
    }
)


@cache
def no_rejects() -> pl.DataFrame:
    """Return an empty frame of rejects, the same each time: no step changes a frame."""
    return REJECTS.to_frame()


def rejects(
    kind: Literal["row", "value", "replaced", "cut"],
    row: pl.Series,
    *,
    field: str | None,
    reason: str,
    raw: pl.Series,
) -> pl.DataFrame:
    """Return a record for each row (Int64) and raw form (String or Binary)."""
    data = pl.DataFrame({"row": row.cast(pl.Int64), "raw": raw.cast(pl.Binary)})
    constants = {"kind": kind, "field": field, "reason": reason}
    filled = data.with_columns(pl.lit(v, pl.String).alias(k) for k, v in constants.items())
    return pl.concat([no_rejects(), filled], how="diagonal")


def placed(rejected: pl.DataFrame, ordinals: pl.Series, ids: pa.Array | None) -> pl.DataFrame:
    """Put the event's ordinal and id in the place of its row in the batch."""
    if rejected["row"].null_count() == rejected.height:
        return rejected
    known = rejected.with_columns(ordinal=pl.coalesce(pl.lit(ordinals).gather("row"), "ordinal"))
    if ids is not None:
        known = known.with_columns(event_id=pl.lit(as_series(ids)).gather("row"))
    return known.with_columns(row=pl.lit(None, pl.Int64))


def as_series(column: pa.Array) -> pl.Series:
    """Return an Arrow column as a series; a dictionary's values are shared, not repeated."""
    if isinstance(column, pa.DictionaryArray):
        return pl.Series(column.dictionary).gather(pl.Series(column.indices))
    return pl.Series(column)


def decoded(column: pa.Array) -> pa.Array:
    """Return a dictionary column as plain values, any other as it is."""
    return column.dictionary_decode() if isinstance(column, pa.DictionaryArray) else column


def as_text(series: pl.Series) -> pa.Array:
    """Return a String series as an Arrow large_string array."""
    array = series.to_arrow(compat_level=pl.CompatLevel.oldest())
    return unchunked(array) if isinstance(array, pa.ChunkedArray) else array


def unchunked(column: pa.ChunkedArray) -> pa.Array:
    """Return a column in one piece: the only one it has as it is, `combine_chunks` copies it."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def apply(series: pl.Series, expression: pl.Expr) -> pl.Series:
    """Return what an expression makes of a series, which is its column ""."""
    return series.alias("").to_frame().select(expression).to_series()
