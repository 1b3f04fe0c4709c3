"""Parquet sources: nested columns stay nested, columns of few values stay dictionaries."""

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from cefline.errors import SourceError, TruncatedError
from cefline.read.batch import Batch, Chunk, Limits, Opened
from cefline.read.carry import carried
from cefline.read.dialect import told
from cefline.read.dictionaries import plans
from cefline.read.splits import WHOLE, Split
from cefline.shown import printable

_OPTIONS = {"buffer_size": 1 << 18, "coerce_int96_timestamp_unit": "us"}
"""Read in pieces, and not mapped: of a row group of any size, and of a file of any size, little is
in memory. Spark's INT96 times reach further than nanoseconds do."""

_RAW_BYTES = 64 << 20
"""So much of the rows that can't be delivered is kept of a batch; dictionaries make long ones."""


def parquet_metadata(path: Path, url: str) -> pq.FileMetaData:
    """Return what the end of a Parquet file says.

    Raises:
        SourceError: it is no whole Parquet file.
    """
    try:
        metadata = pq.read_metadata(path)
        metadata.schema.to_arrow_schema()
    except (pa.ArrowException, OSError, UnicodeDecodeError) as err:
        message = f"{url} begins like Parquet but can't be opened: {str(err).rstrip('.')}"
        raise SourceError(message, hint="Is the file whole? Export or copy it again") from err
    return metadata


def open_parquet(path: Path, url: str, limits: Limits, split: Split = WHOLE) -> Opened:
    """Open a Parquet file, or some of its row groups.

    Raises:
        SourceError: it is no whole Parquet file, or no column of it is a field.
    """
    metadata = parquet_metadata(path, url)
    names = metadata.schema.to_arrow_schema().names
    dialect = told(names, url, limits.dialect)
    fields = dialect.known
    unknown = [name for name in names if name not in fields]
    more = carried(url, unknown, limits.unknown, limits.reserved)
    columns = {name: name for name in fields} | {name: row.name for name, row in more}
    known = [name for name in names if name in columns]
    check_twice(url, known)
    if not known:
        message = (
            f"{url} has no column of a timeline; its columns are {printable(', '.join(names[:20]))}"
        )
        raise SourceError(message, hint="`cefline fields` shows the names that are known")
    wanted = {name: columns[name] for name in known}
    chunks = _chunks(metadata, wanted, limits, split, path=path, url=url)
    return Opened("parquet", tuple(map(printable, unknown)), chunks, more, dialect)


def check_twice(url: str, names: list[str]) -> None:
    """Make sure that no column is there twice.

    Raises:
        SourceError: one is.
    """
    if twice := sorted({name for name in names if names.count(name) > 1}):
        message = f"{url} has columns twice: {printable(', '.join(twice))}"
        raise SourceError(message, hint="Export it again with one column of each name")


def _chunks(
    metadata: pq.FileMetaData,
    known: Mapping[str, str],
    limits: Limits,
    split: Split,
    *,
    path: Path,
    url: str,
) -> Iterator[Chunk]:
    start, last = split.first, split.end if split.kind == "groups" else metadata.num_row_groups
    groups = range(split.begin, last)
    rows_in_all = sum(metadata.row_group(group).num_rows for group in groups)
    bounds = (limits.rows, limits.bytes)
    try:
        with ExitStack() as stack:
            opened: dict[tuple[str, ...], pq.ParquetFile] = {}
            ways = plans(path, metadata, known, bounds, groups, **_OPTIONS)
            for group, (names, rows) in zip(groups, ways, strict=True):
                if names not in opened:
                    file = pq.ParquetFile(
                        path, metadata=metadata, read_dictionary=list(names), **_OPTIONS
                    )
                    opened[names] = stack.enter_context(file)
                for read in opened[names].iter_batches(rows, [group], [*known]):
                    data = read.rename_columns([known[name] for name in read.schema.names])
                    load = partial(_batch, data, start)
                    start += data.num_rows
                    yield Chunk(load, (start - split.first) / rows_in_all)
    except (pa.ArrowException, OSError) as err:
        message = f"{url} is damaged after row {start}: {printable(str(err).strip().rstrip('.'))}"
        raise TruncatedError(message) from err


def _batch(data: pa.RecordBatch, start: int) -> Batch:
    ordinals = pl.int_range(start, start + data.num_rows, eager=True)
    compact = pa.RecordBatch.from_arrays([_compact(c) for c in data], data.schema.names)
    return Batch(compact, ordinals, origin=partial(_origin, data, start))


def _compact(column: pa.Array) -> pa.Array:
    """Return a dictionary of the values that occur: a row group's has those of all its batches."""
    if not isinstance(column, pa.DictionaryArray) or len(column.dictionary) <= len(column) // 2:
        return column
    used = column.indices.dictionary_encode()
    return pa.DictionaryArray.from_arrays(used.indices, column.dictionary.take(used.dictionary))


def _origin(data: pa.RecordBatch, start: int, ordinals: pl.Series) -> pl.DataFrame:
    """Return `ordinal` and `raw` of some rows: their values as JSON, for some MiB of them."""
    raw: list[bytes | None] = []
    left = _RAW_BYTES
    for ordinal in ordinals:
        row = {name: c[ordinal - start] for name, c in zip(data.schema.names, data, strict=True)}
        known = {name: _plain(value) for name, value in row.items() if value.is_valid}
        text = json.dumps(known, ensure_ascii=False, default=_text) if left > 0 else None
        raw.append(None if text is None else text.encode(errors="backslashreplace"))
        left -= len(text or "")
    return pl.DataFrame({"ordinal": ordinals, "raw": pl.Series(raw, dtype=pl.Binary)})


def _plain(value: pa.Scalar) -> object:
    """Return a value as JSON takes it; where Python has no such value, what it is one of."""
    try:
        return _finite(value.as_py())
    except UnicodeDecodeError:
        nested = pa.types.is_nested(value.type)
        return f"a value of {value.type}" if nested else value.cast(pa.large_binary()).as_py()
    except (ValueError, OverflowError, pa.ArrowException):  # beyond Python's calendar
        return f"a value of {value.type}"


def _finite(value: object) -> object:
    match value:
        case float() if not math.isfinite(value):
            return str(value)
        case list():
            return [_finite(element) for element in value]
        case dict():
            return {name: _finite(member) for name, member in value.items()}
    return value


def _text(value: object) -> str:
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)
