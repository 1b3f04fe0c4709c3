"""Which columns of a Parquet row group are read as dictionaries, and how many rows at a time.

A dictionary page of 49 kB may hold a value of 1 MB that 50,000 rows point to. As a dictionary it
takes 1 MB, but of a row group that goes on without one (writers give up above 1 MiB of distinct
values) Arrow collects every value until its end, and copies all of them for each batch. So chunks
that are small are read as dictionaries, where that helps; others are plain, in batches of as many
rows as their longest value allows.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

_SMALL_CHUNK = 4 << 20
"""Uncompressed bytes of a column in a row group; of larger ones the dictionary might grow on."""

_EXPANSION = 32
"""So many times its bounds in bytes a batch may take where all rows have the longest value."""

_FEW_VALUED_BYTES = 8
"""Text columns with less than this a value are indices of few values."""

_SAMPLE = 1_000
"""Rows of a row group that are looked at."""


class Plan(NamedTuple):
    """How a row group is read."""

    dictionaries: tuple[str, ...]
    rows: int
    """Of a batch, at most."""


def plans(
    path: Path,
    metadata: pq.FileMetaData,
    known: Collection[str],
    bounds: tuple[int, int],
    groups: Sequence[int],
    **options: Any,  # noqa: ANN401 - of `pyarrow.parquet.ParquetFile`
) -> Iterator[Plan]:
    """Yield how to read each row group, by its metadata and a look at its first rows.

    Args:
        path: of the file.
        metadata: the file's.
        known: top-level columns that are read.
        bounds: rows and bytes of a batch.
        groups: which row groups.
        options: as the file is opened.
    """
    if not groups:
        return
    few, most = _few_valued(metadata), bounds[1] * _EXPANSION
    text = [chunk.path_in_schema for chunk in _text_chunks(metadata, 0)]
    with pq.ParquetFile(path, metadata=metadata, read_dictionary=text, **options) as file:
        for group in groups:
            size = _chunk_sizes(metadata, group, known)
            rows = _batch_rows(metadata.row_group(group), known, *bounds)
            short = {name for name in size if size[name] < _SMALL_CHUNK and "." not in name}
            first = _sample(file, group, size.keys() - (short & few))
            longest = {name: _longest(first[name]) for name in first}
            helps = (n for n in first if longest[n] * rows > most or _is_repeated(first[n]))
            dictionaries = short & {*few, *helps}
            plain = max((longest[n] for n in first if n not in dictionaries), default=0)
            yield Plan(tuple(sorted(dictionaries)), max(min(rows, most // max(plain, 1)), 1))


def _sample(file: pq.ParquetFile, group: int, paths: Collection[str]) -> Mapping[str, pa.Array]:
    """Return the first rows of some columns, with dictionaries where they have them."""
    columns = sorted({name.split(".")[0] for name in paths})
    first = next(file.iter_batches(_SAMPLE, [group], columns), None) if columns else None
    return {} if first is None else {name: first.column(name) for name in columns}


def _few_valued(metadata: pq.FileMetaData) -> set[str]:
    """Return the text columns of few values, over the whole file."""
    size: dict[str, int] = {}
    values: dict[str, int] = {}
    for group in range(metadata.num_row_groups):
        for chunk in _text_chunks(metadata, group):
            name = chunk.path_in_schema
            size[name] = size.get(name, 0) + chunk.total_uncompressed_size
            values[name] = values.get(name, 0) + chunk.num_values
    return {name for name in size if size[name] < _FEW_VALUED_BYTES * max(values[name], 1)}


def _chunk_sizes(
    metadata: pq.FileMetaData, group: int, known: Collection[str]
) -> Mapping[str, int]:
    """Return uncompressed bytes of the text columns that have a dictionary, by path."""
    return {
        chunk.path_in_schema: chunk.total_uncompressed_size
        for chunk in _text_chunks(metadata, group)
        if chunk.has_dictionary_page and chunk.path_in_schema.split(".")[0] in known
    }


def _text_chunks(metadata: pq.FileMetaData, group: int) -> Iterator[pq.ColumnChunkMetaData]:
    for index in range(metadata.num_columns):
        column = metadata.schema.column(index)
        if column.physical_type == "BYTE_ARRAY" and column.logical_type.type == "STRING":
            yield metadata.row_group(group).column(index)


def _batch_rows(
    group: pq.RowGroupMetaData, known: Collection[str], most_rows: int, most_bytes: int
) -> int:
    columns = (group.column(i) for i in range(group.num_columns))
    size = sum(
        c.total_uncompressed_size for c in columns if c.path_in_schema.split(".")[0] in known
    )
    a_row = max(size / max(group.num_rows, 1), 1)
    return max(min(most_rows, int(most_bytes / a_row)), 1)


def _is_repeated(column: pa.Array) -> bool:
    """Whether at least half of the values occurred before."""
    return isinstance(column, pa.DictionaryArray) and (
        len(column.indices.unique()) <= len(column) // 2
    )


def _longest(column: pa.Array) -> int:
    """Return the bytes of the longest value in the dictionaries of a column, nested ones too."""
    if isinstance(column, pa.DictionaryArray):
        return pc.max(pc.binary_length(column.dictionary)).as_py() or 0
    if isinstance(column, pa.StructArray):
        return max(map(_longest, column.flatten()), default=0)
    if isinstance(column, pa.ListArray | pa.LargeListArray | pa.MapArray):
        a_row = max(len(column.values) / max(len(column), 1), 1)
        return int(_longest(column.values) * a_row)
    return 0
