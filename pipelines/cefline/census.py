"""Counting how the events of a batch are spread; `spread.py` says what is kept of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from cefline.buckets import MINUTE_MICROS, coarser
from cefline.spread import BUCKETS, NAMED, Names, Spread, short

if TYPE_CHECKING:
    from cefline.records import Columns

_KEY = "source"


def census(columns: Columns, severities: pl.Series, rows: pl.Series) -> Spread:
    """Return how the events of a batch are spread.

    Args:
        columns: canonical columns of the batch.
        severities: the header's, of each row of the batch (Int64); empty where lines have none.
        rows: the rows that have a line (UInt32), in order.
    """
    spread = Spread(len(rows))
    named = {name: _of_rows(columns[name], rows) for name in NAMED if name in columns}
    coded = {name: _coded(column) for name, column in named.items()}
    found = {name: _names(*own) for name, own in coded.items()}
    spread.names = {name: names for name, names in found.items() if names.events}
    if "eventTime" in columns:
        if len(rows) < len(severities):
            severities = severities.gather(rows)
        times = pl.Series(_of_rows(columns["eventTime"], rows)) // MINUTE_MICROS
        _count_times(spread, times, severities, coded.get(_KEY))
    spread.bound()
    return spread


def _of_rows(column: pa.Array, rows: pl.Series) -> pa.Array:
    return column if len(rows) == len(column) else column.take(rows.to_arrow())


def _coded(column: pa.Array) -> tuple[pa.Array, pa.Array | None]:
    """Return what stands for values: indices and what they point to, or the values themselves."""
    if isinstance(column, pa.DictionaryArray):
        return column.indices, column.dictionary
    return column, None


def _shown(keys: list[Any], values: pa.Array | None) -> dict[Any, str | None]:
    """Return the names, as they are counted, of distinct keys."""
    texts = keys if values is None else values.take(pa.array(keys, pa.int64())).to_pylist()
    pairs = zip(keys, texts, strict=True)
    return {key: short(text) if text and text.strip() else None for key, text in pairs}


def _names(keys: pa.Array, values: pa.Array | None) -> Names:
    distinct, counts = (part.to_pylist() for part in keys.value_counts().flatten())
    names, found = _shown(distinct, values), Names()
    for key, count in zip(distinct, counts, strict=True):
        if (name := names[key]) is not None:
            found.counts[name] += count
    found.events = found.counts.total()
    found.bound()
    return found


def _count_times(
    spread: Spread,
    times: pl.Series,
    severities: pl.Series,
    coded: tuple[pa.Array, pa.Array | None] | None,
) -> None:
    """Count the events that have a time (Int64, minutes), by severity and by source."""
    spread.level, buckets = _levelled(times)
    keys, values = coded or (None, None)
    none = pl.repeat(None, len(times), dtype=pl.Int64, eager=True)
    series = {
        "bucket": buckets,
        "severity": severities if len(severities) else none,
        "key": none if keys is None else pl.Series(keys),
    }
    counted = pl.DataFrame(series).group_by(*series).len().drop_nulls("bucket")
    names = _shown(counted["key"].unique().to_list(), values)
    for bucket, severity, key, count in counted.iter_rows():
        spread.severities[bucket, severity] += count
        spread.sources[bucket, names[key]] += count


def _levelled(buckets: pl.Series) -> tuple[int, pl.Series]:
    """Return the finest level at which there are not too many buckets, and these."""
    level = 0
    while _is_many(buckets):
        buckets = coarser(level, buckets)
        level += 1
    return level, buckets


def _is_many(buckets: pl.Series) -> bool:
    first, last = pc.min_max(buckets.to_arrow()).as_py().values()
    if first is None or last - first < BUCKETS:
        return False
    return buckets.drop_nulls().n_unique() > BUCKETS
