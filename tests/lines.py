"""Sources and settings for tests: lines and rejects out, by the path that a run takes."""

from __future__ import annotations

import gzip
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from cefline.config import Config
from cefline.convert import convert, converter, limits
from cefline.parse import HEADER, parse
from cefline.read import open_source
from cefline.records import no_rejects
from tests.inputs import URL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Event = dict[str, object]


@dataclass(frozen=True, slots=True)
class Written:
    """All that came of a source."""

    lines: list[str]
    rejects: pl.DataFrame
    notes: tuple[str, ...]
    read: int
    """Events read, as they were counted."""

    @property
    def events(self) -> list[Event]:
        """Return the keys and values of each line that parsing gives back."""
        rows = parse(self.lines).drop(HEADER).to_dicts() if self.lines else []
        return [{name: v for name, v in row.items() if v is not None} for row in rows]

    def rejected(self, *names: str) -> list[tuple[object, ...]]:
        """Return some columns of the rejected rows, in the order of the source."""
        return self.rejects.filter(kind="row").sort("ordinal").select(names).rows()


def written(content: bytes, **settings: Any) -> Written:  # noqa: ANN401 - a config's own
    """Convert a source of this content, whose name says nothing, with the settings of a config."""
    config = Config(**settings)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "source"
        path.write_bytes(content)
        opened = open_source(path, URL, limits(config))
        conversion = converter(config, opened.carried, opened.dialect)
        made = [convert(chunk, conversion) for chunk in opened.chunks]
        slices = [one.lines for batch in made for one in batch.slices]
    lines = [line.removesuffix("\n") for part in slices for line in part.to_pylist()]
    rejects = pl.concat([no_rejects(), *(batch.rejects for batch in made)])
    notes = tuple(note for batch in made for note in batch.notes)
    read = sum(batch.read for batch in made)
    return Written(lines, rejects, notes, read)


# The forms that events come in.


def of_lines(events: Sequence[Mapping[str, object]], *, ascii_only: bool = True) -> bytes:
    """Return events as NDJSON."""
    texts = (json.dumps(event, ensure_ascii=ascii_only) for event in events)
    return b"".join(text.encode() + b"\n" for text in texts)


def of_array(events: Sequence[Mapping[str, object]]) -> bytes:
    """Return events as a JSON array, over several lines."""
    return json.dumps(events, indent=1).encode()


def of_table(columns: Mapping[str, Any] | pa.Table, **options: object) -> bytes:
    """Return columns as a Parquet file."""
    table = columns if isinstance(columns, pa.Table) else pa.table(dict(columns))
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, **options)
    return bytes(sink.getvalue())


def of_rows(events: Sequence[Mapping[str, object]]) -> bytes:
    """Return events as Parquet: a column for each name that occurs, of the type of its values."""
    names = dict.fromkeys(name for event in events for name in event)
    return of_table({name: pa.array([event.get(name) for event in events]) for name in names})


def zipped(content: bytes) -> bytes:
    """Return content as gzip."""
    return gzip.compress(content, mtime=0)


def zstd(content: bytes) -> bytes:
    """Return content as zstd."""
    return bytes(pa.compress(content, "zstd", asbytes=True))
