"""What is needed of a large object, in a sparse file that stands for the whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cefline.read.frames import MAX_OBJECT
from cefline.read.parquet import parquet_metadata
from cefline.read.splits import ends_between, span
from cefline.sources import download

if TYPE_CHECKING:
    from pathlib import Path

    from cefline import s3
    from cefline.read import Split
    from cefline.sources import Source

_TAIL = 64 << 10
_AFTER = 1 << 20
_PARQUET = b"PAR1"


def fetch_ends(source: Source, path: Path, client: s3.Client, head: int) -> None:
    """Fetch what tells how an object can be cut: its first line, or the metadata of Parquet.

    Raises:
        SourceError: it changed since it was found.
    """
    tail, head = max(source.size - _TAIL, 0), min(head, source.size)
    download(source, path, client, [(0, head), (tail, source.size)])
    with path.open("rb") as file:
        parquet = file.read(4) == _PARQUET
        file.seek(max(source.size - 8, 0))
        end = file.read(8)
    begin = source.size - 8 - int.from_bytes(end[:4], "little")
    if not parquet and not ends_between(path, 0, head):
        _fetch_line_end(source, path, client, head)
    elif parquet and 0 <= begin < tail:
        download(source, path, client, [(begin, tail)])


def fetch_split(source: Source, path: Path, client: s3.Client, split: Split) -> None:
    """Fetch what is needed to read a split.

    Raises:
        SourceError: it changed since it was found.
    """
    if split.kind == "whole":
        download(source, path, client)
    elif split.kind == "lines":
        download(source, path, client, [(split.begin, split.end)])
        _fetch_line_end(source, path, client, split.end)
    else:
        fetch_ends(source, path, client, len(_PARQUET))
        metadata = parquet_metadata(path, source.url)
        spans = [span(metadata, group) for group in range(split.begin, split.end)]
        wanted = [(max(begin, 0), min(end, source.size)) for begin, end in spans]
        download(source, path, client, [(begin, end) for begin, end in wanted if begin < end])


def _fetch_line_end(source: Source, path: Path, client: s3.Client, at: int) -> None:
    """Fetch up to the first LF from a byte on, or so much that a line would be too long."""
    last = min(at + MAX_OBJECT + 1, source.size)
    while at < last:
        end = min(at + _AFTER, source.size)
        download(source, path, client, [(at, end)])
        if ends_between(path, at, end):
            return
        at = end
