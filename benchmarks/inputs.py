"""The sources that are measured, made once: generated timelines and the real one, in two formats.

Generated events are those of `tests/sample.py`: one seed, the same bytes on every machine. There,
one event in four has awkward values, and one in five has lists; `awkward` is all of them, `1x` and
`10x` are thinned to what real exports have, about one in seventy of either. JSON is made from
Parquet as an export writes it: a field, or a member of an object, that is null is left out.
"""

from __future__ import annotations

import itertools
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from process import apart

if TYPE_CHECKING:
    from collections.abc import Iterator

Event = dict[str, object]

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("CEFLINE_DATA") or ROOT.parent / "shared" / "data")
REAL = DATA / "real.parquet"
EVENTS = 100_000
TIMES = {"1x": 1, "10x": 10, "awkward": 1}
RARE = 25
"""Of events with awkward values or lists, those are kept whose place is a multiple of this."""
GROUP = 20_000
"""Events of a row group, and of a batch: so many are in memory at once."""
CHUNK = 4 << 20


@dataclass(frozen=True, slots=True)
class Input:
    """A source that is measured."""

    name: str
    path: Path
    parquet: Path | None
    """The Parquet file that it was made from, or is."""

    @property
    def format(self) -> str:
        """Return `parquet` or `ndjson`."""
        return "parquet" if self.path == self.parquet else "ndjson"


def names() -> list[str]:
    """Return the names of the sources that can be measured here."""
    families = [*TIMES] + ["real"] * REAL.exists()
    return [f"{family}.{suffix}" for family in families for suffix in ("parquet", "ndjson")]


def made(name: str, folder: Path, events: int) -> Input:
    """Return a source by its name or path, and make it where it is not there yet.

    Raises:
        SystemExit: there is none of this name.
    """
    if name in names():
        family, _, suffix = name.partition(".")
        parquet = REAL if family == "real" else _generated(family, folder, events)
        path = parquet if suffix == "parquet" else _as_ndjson(parquet, folder)
        return Input(name, path, parquet)
    path = Path(name)
    if not path.is_file():
        raise SystemExit(f"{name} is neither a file nor one of {', '.join(names())}")
    return Input(path.name, path, path if path.suffix == ".parquet" else None)


def warm(path: Path) -> None:
    """Read a source once, so that no way pays for the disk alone."""
    with path.open("rb") as file:
        while file.read(CHUNK):
            pass


def count(path: Path) -> int:
    """Count a source's events."""
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        return int(pq.read_metadata(path).num_rows)
    with path.open("rb") as file:
        return sum(1 for line in file if line.strip())


def _generated(family: str, folder: Path, events: int) -> Path:
    path = folder / f"{family}-{events * TIMES[family]}.parquet"
    if not path.exists():
        print(f"making {path.name}", file=sys.stderr)
        apart(write_sample, path, events * TIMES[family], thin=family != "awkward")
    return path


def _as_ndjson(parquet: Path, folder: Path) -> Path:
    path = folder / f"{parquet.stem}.ndjson"
    if not path.exists():
        print(f"making {path.name}", file=sys.stderr)
        apart(write_ndjson, parquet, path)
    return path


def write_sample(path: Path, events: int, *, thin: bool) -> None:
    """Write events of the sample timeline as Parquet, row group by row group."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sys.path.insert(0, str(ROOT))
    from tests import sample

    stream, unfinished = sample.stream(sys.maxsize), path.with_suffix(".part")
    wanted = itertools.islice(thinned(stream) if thin else stream, events)
    with pq.ParquetWriter(unfinished, sample.SCHEMA, compression="zstd") as file:
        while group := list(itertools.islice(wanted, GROUP)):
            file.write_table(pa.Table.from_pylist(group, schema=sample.SCHEMA))
    unfinished.rename(path)


def thinned(stream: Iterator[Event]) -> Iterator[Event]:
    """Leave out most of the events with awkward values, every fourth, and of those with lists."""
    for place, event in enumerate(stream):
        rare = place % 4 == 0 or any(isinstance(value, list) for value in event.values())
        if not (rare and place % RARE):
            yield event


def write_ndjson(parquet: Path, path: Path) -> None:
    """Write the events of a Parquet file as lines of JSON, batch by batch."""
    import orjson
    import pyarrow.parquet as pq

    unfinished = path.with_suffix(".part")
    with unfinished.open("wb") as file, pq.ParquetFile(parquet) as source:
        for batch in source.iter_batches(GROUP):
            lines = (orjson.dumps(_filled(event)) for event in batch.to_pylist())
            file.write(b"\n".join(lines) + b"\n")
    unfinished.rename(path)


def _filled(value: object) -> object:
    """Return a value without the members that are null; elements of lists stay."""
    if isinstance(value, dict):
        return {name: _filled(member) for name, member in value.items() if member is not None}
    return [_filled(element) for element in value] if isinstance(value, list) else value
