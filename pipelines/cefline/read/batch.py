"""What reading yields."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import polars as pl
import pyarrow as pa

from cefline.counts import Counts
from cefline.read.carry import Carried, Unknown
from cefline.read.dialect import Wanted
from cefline.records import no_rejects
from cefline_schemas.dialects import CADO, Dialect


@dataclass(frozen=True, slots=True)
class Batch:
    """Some events of a source, bounded in rows and in bytes."""

    data: pa.RecordBatch
    """The columns that have a field, under the source's names and in the source's types."""
    ordinals: pl.Series
    """The place of each row in the source, from 0 (Int64): row, line or element."""
    structures: pl.DataFrame | None = None
    """JSON only: the JSON text of values that are lists or objects, null elsewhere, of the columns
    that have such; `data` is null there. JSON has its values as text, and text that looks like a
    list must stay text."""
    typed: bool = True
    """Whether the values have the source's types: those of JSON are all read as text."""
    origin: Callable[[pl.Series], pl.DataFrame] | None = None
    """Ordinals to their `ordinal` and `raw` bytes, of JSON also `line` and `offset`."""
    rejects: pl.DataFrame = field(default_factory=no_rejects)
    """Rows that could not be read; they are not in `data`."""
    counts: Counts = field(default_factory=Counts)
    notes: tuple[str, ...] = ()
    """What there is to say of the source."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A batch that has yet to be made, so that any thread can make it."""

    load: Callable[[], Batch]
    done: float
    """The part of the source that is behind it, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A source that turned out to be readable, at least in its beginning."""

    format: str
    unknown: tuple[str, ...]
    """Columns that no field takes: all of a Parquet file's, those of the first lines of JSON."""
    chunks: Iterator[Chunk]
    carried: Carried = ()
    """Fields that unknown columns become."""
    dialect: Dialect = CADO
    """Whose names the columns have."""


EXPANSION_FREE = 1 << 30
"""Up to so many bytes a source may expand to, however small it is."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of batches and sources, and what to do at them."""

    rows: int = 32_768
    bytes: int = 14 << 20
    json_bytes: int = 9 << 20
    """Of JSON text, which takes more memory while it is parsed."""
    expansion: int = 250
    """So many times its size a source may expand to, once that is above 1 GiB."""
    events_key: str = "events"
    """The key of the array in a JSON object that holds all events."""
    unknown: Unknown = "drop"
    reserved: frozenset[str] = frozenset()
    """Keys that no column that is carried can have, without case."""
    accept_truncated: bool = False
    """Whether what is whole of a source that breaks off is read."""
    dialect: Wanted = "auto"


SMALL = Limits(rows=8_192, bytes=3 << 20, json_bytes=3 << 20)
"""Bounds for little machines."""
