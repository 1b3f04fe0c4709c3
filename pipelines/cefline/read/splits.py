"""Large sources are cut into splits, which several machines can convert side by side.

A split is a run of whole row groups of Parquet, or of whole lines of plain NDJSON. All else is one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal, Self

import pyarrow.parquet as pq

from cefline.errors import SourceError
from cefline.read.frames import MAX_OBJECT, line_ends

_PIECE = 4 << 20

Kind = Literal["whole", "groups", "lines"]


@dataclass(frozen=True, slots=True)
class Split:
    """A part of a source that can be read by itself."""

    kind: Kind = "whole"
    number: int = 1
    of: int = 1
    begin: int = 0
    """The first row group; of lines, a byte: the first line begins after the next LF from there,
    and that of the first split at 0."""
    end: int = 0
    """The row group, or the byte, at which the next split begins."""
    first: int = 0
    """Ordinal of its first event."""
    dialect: str = ""
    """Of lines: what the first lines of the source tell."""

    def as_json(self) -> dict[str, Any]:
        """Return it in JSON's types."""
        return asdict(self)

    @classmethod
    def of_json(cls, said: dict[str, Any]) -> Self:
        """Return what `as_json` gave."""
        return cls(**said)


WHOLE = Split()


def of_groups(metadata: pq.FileMetaData, size: int) -> list[Split]:
    """Return the splits of a Parquet file: as many row groups as fit into `size` stored bytes."""
    groups = range(metadata.num_row_groups)
    spans = [span(metadata, group) for group in groups]
    rows = [metadata.row_group(group).num_rows for group in groups]
    begins = _cuts([end - begin for begin, end in spans], size)
    firsts = [sum(rows[:begin]) for begin in begins]
    return _splits("groups", begins, metadata.num_row_groups, firsts)


def of_lines(stored: int, size: int, dialect: str) -> list[Split]:
    """Return the splits of NDJSON of so many stored bytes; `counted` says their first ordinals."""
    begins = list(range(0, stored, size)) or [0]
    return [
        replace(split, dialect=dialect)
        for split in _splits("lines", begins, stored, [0] * len(begins))
    ]


def counted(splits: Sequence[Split], ends: Sequence[int]) -> list[Split]:
    """Return splits of lines with their first ordinals.

    Args:
        splits: of one source, all of them.
        ends: LFs between `begin` and `end` of each.
    """
    before = [0, *accumulate(ends)]
    return [replace(split, first=before[n] + 1 if n else 0) for n, split in enumerate(splits)]


def ends_between(path: Path, begin: int, end: int) -> int:
    """Count the LFs in some bytes of a file."""
    return sum(map(line_ends, _pieces(path, begin, end)))


def span(metadata: pq.FileMetaData, group: int) -> tuple[int, int]:
    """Return where the bytes of a row group begin and end."""
    columns = [metadata.row_group(group).column(n) for n in range(metadata.num_columns)]
    pages = [filter(None, (c.dictionary_page_offset, c.data_page_offset)) for c in columns]
    begins = [min(offsets, default=0) for offsets in pages]
    ends = [b + c.total_compressed_size for b, c in zip(begins, columns, strict=True)]
    return min(begins, default=0), max(ends, default=0)


def line_begin(path: Path, url: str, at: int) -> int:
    """Return where a line begins after the first LF from a byte on: in the file, or at its end.

    Raises:
        SourceError: the line that goes on there is longer than any event may be.
    """
    size = path.stat().st_size
    if at in {0, size}:
        return at
    for piece in _pieces(path, at, min(at + MAX_OBJECT, size)):
        found = piece.find(b"\n")
        if found >= 0:
            return at + found + 1
        at += len(piece)
    if at < size:
        message = f"{url}: the line at byte {at} is longer than {MAX_OBJECT} bytes"
        raise SourceError(message, hint="Expected one JSON object for each event")
    return size


def _pieces(path: Path, begin: int, end: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(begin)
        while begin < end and (piece := file.read(min(_PIECE, end - begin))):
            yield piece
            begin += len(piece)


def _cuts(sizes: Sequence[int], most: int) -> list[int]:
    """Return where runs begin whose sizes sum up to `most`, or that are a single one."""
    begins, filled = [0], 0
    for n, size in enumerate(sizes):
        if filled and filled + size > most:
            begins.append(n)
            filled = 0
        filled += size
    return begins


def _splits(kind: Kind, begins: Sequence[int], end: int, firsts: Sequence[int]) -> list[Split]:
    ends = [*begins[1:], end]
    bounds = zip(begins, ends, firsts, strict=True)
    return [Split(kind, n, len(begins), *bound) for n, bound in enumerate(bounds, 1)]
