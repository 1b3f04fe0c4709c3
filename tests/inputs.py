"""Sources for tests: bytes or tables in, what reading and conforming make of them out."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from cefline.conform import Conformed, Rules, conform
from cefline.counts import Counts
from cefline.read import Batch, Limits, open_source
from cefline.read.frames import Lines
from cefline.read.ndjson import load
from cefline.records import as_series, no_rejects

URL = "the source"
LIMITS, RULES = Limits(), Rules()

Event = dict[str, object]


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that came of a source."""

    events: dict[int, Event] = field(default_factory=dict)
    """By ordinal: the values that are there, under their canonical names."""
    rejects: pl.DataFrame = field(default_factory=no_rejects)
    counts: Counts = field(default_factory=Counter)
    heights: tuple[int, ...] = ()
    """Rows of each batch."""

    def rejected(self, *names: str) -> list[tuple[object, ...]]:
        """Return some columns of the rejects, in the order of the source."""
        return self.rejects.sort("ordinal", "field", maintain_order=True).select(names).rows()

    def column(self, name: str) -> list[object]:
        """Return a field's value for each event."""
        return [self.events[ordinal].get(name) for ordinal in sorted(self.events)]


def outcome(conformed: Iterable[Conformed]) -> Outcome:
    """Put together what came of the batches of a source."""
    events: dict[int, Event] = {}
    rejects, heights, counts = [no_rejects()], [], Counts()
    for one in conformed:
        heights.append(len(one.ordinals))
        rejects.append(one.rejects)
        counts += one.counts
        frame = pl.DataFrame({name: as_series(column) for name, column in one.columns.items()})
        for ordinal, row in zip(one.ordinals, frame.to_dicts(), strict=False):
            assert ordinal not in events
            events[ordinal] = {name: value for name, value in row.items() if value is not None}
    return Outcome(events, pl.concat(rejects), counts, tuple(heights))


def read_path(path: Path, limits: Limits = LIMITS, rules: Rules = RULES) -> Outcome:
    """Read a file as a run does."""
    chunks = open_source(path, URL, limits).chunks
    return outcome(conform(chunk.load(), rules) for chunk in chunks)


def read(folder: Path, content: bytes, limits: Limits = LIMITS, rules: Rules = RULES) -> Outcome:
    """Read a file of this content, whose name says nothing."""
    path = folder / "source"
    path.write_bytes(content)
    return read_path(path, limits, rules)


def read_table(
    folder: Path, columns: dict[str, pa.Array], rules: Rules = RULES, **options: object
) -> Outcome:
    """Read a Parquet file of these columns."""
    path = folder / "source"
    pq.write_table(pa.table(columns), path, **options)
    return read_path(path, rules=rules)


def read_text(text: bytes, rules: Rules = RULES) -> Outcome:
    """Read one chunk of NDJSON."""
    return outcome([conform(load(Lines(text, 0, (0,)), URL), rules)])


def read_frames(frames: Iterable[Lines], rules: Rules = RULES) -> Outcome:
    """Read what framing made of a JSON source."""
    return outcome(conform(load(lines, URL), rules) for lines in frames)


def conformed(columns: dict[str, pa.Array | list[object]], rules: Rules = RULES) -> Outcome:
    """Conform one batch of typed columns."""
    table = pa.table(columns).combine_chunks()
    batch = table.to_batches()[0]
    return outcome([conform(Batch(batch, pl.int_range(batch.num_rows, eager=True)), rules)])


def reader(content: bytes) -> BytesIO:
    """Return a file in memory."""
    return BytesIO(content)


def broken_text(*values: bytes) -> pa.Array:
    """Return a string array that holds any bytes, as damaged Parquet files do."""
    return pa.array(values, pa.binary()).view(pa.string())
