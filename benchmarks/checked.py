"""Whether a way wrote the same events as cefline: line by line, and where lines differ, by fields.

Lines are paired by the first ` eventId=` in them. Lines of the same bytes are right. Of those that
differ, up to `EXAMINED` are parsed with `cefline.parse`; they are right if all fields are the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from text import blocks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import polars as pl

    from text import Compression

EXAMINED = 2_000
_ID = r" eventId=(\S+)"

Fields = dict[str, object]


class Verdict(NamedTuple):
    """What is wrong with a way's output."""

    compared: int
    """Events that have an id of their own."""
    differ: int
    """Events whose line is not the same bytes."""
    missing: int
    """Of those, events that have no line."""
    examined: int
    """Of those that differ and are there, so many were parsed."""
    wrong: int
    """Of those examined, so many have other fields, or can't be parsed."""

    @property
    def share(self) -> float:
        """Return which part of the events that differ is wrong."""
        present = self.differ - self.missing
        return (self.missing + present * self.wrong / max(self.examined, 1)) / max(self.differ, 1)


def write_index(place: Path, compression: Compression, index: Path) -> None:
    """Write the id and the digest of each event's line."""
    import polars as pl

    parts = (
        _lines(block).select("id", digest=pl.col("line").hash())
        for block in blocks(place, compression)
    )
    pl.concat(list(parts)).unique("id", keep="first", maintain_order=True).write_parquet(index)


def verdict(place: Path, compression: Compression, index: Path, text: Path) -> Verdict:
    """Compare a way's output with cefline's.

    Args:
        place: the folder of the output.
        compression: of the output.
        index: cefline's ids and digests.
        text: cefline's lines, plain.
    """
    import polars as pl

    write_index(place, compression, place.parent / "index")
    ours, theirs = pl.read_parquet(index), pl.read_parquet(place.parent / "index")
    paired = ours.join(theirs, on="id", how="left", suffix="_theirs")
    differ = paired.filter(pl.col("digest").ne_missing(pl.col("digest_theirs")))
    present = differ.filter(pl.col("digest_theirs").is_not_null())
    chosen = present.sort("digest").head(EXAMINED)["id"]
    if chosen.is_empty():
        return Verdict(ours.height, differ.height, differ.height, 0, 0)
    right, found = _parsed(text, "none", chosen), _parsed(place, compression, chosen)
    wrong = sum(found.get(id_) != fields for id_, fields in right.items())
    missing = differ.height - present.height
    return Verdict(ours.height, differ.height, missing, len(chosen), wrong)


def _lines(block: bytes) -> pl.DataFrame:
    import polars as pl

    lines = block.decode(errors="replace").removesuffix("\n").split("\n")
    frame = pl.DataFrame({"line": lines}, schema={"line": pl.String})
    return frame.select(pl.col("line").str.extract(_ID).alias("id"), "line").drop_nulls()


def _parsed(place: Path, compression: Compression, chosen: pl.Series) -> dict[str, Fields | None]:
    """Return the fields of some events; None where the line can't be parsed."""
    import polars as pl

    parts = (
        _lines(block).filter(pl.col("id").is_in(chosen.implode()))
        for block in blocks(place, compression)
    )
    found = pl.concat(list(parts)).unique("id", keep="first", maintain_order=True)
    return dict(zip(found["id"], _fields(found["line"]), strict=True))


def _fields(lines: pl.Series) -> Iterator[Fields | None]:
    """Yield the fields of each line; halves what can't be parsed until the bad lines are found."""
    import polars as pl

    from cefline import CeflineError, parse

    try:
        rows = parse(lines).to_dicts()
    except (CeflineError, pl.exceptions.PolarsError):  # the latter of a key `name` that was forged
        if len(lines) == 1:
            yield None
            return
        half = len(lines) // 2
        yield from _fields(lines[:half])
        yield from _fields(lines[half:])
        return
    for row in rows:
        yield {name: value for name, value in row.items() if value is not None}
