"""Lines that are too long for their reader: their longest free texts are shortened, and marked.

A reader that cuts by itself cuts blindly, within an escape or a name. Limits are in bytes as they
are written. What is too long is known from lengths; only such lines are looked at.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from cefline.counts import CUT
from cefline.name import head
from cefline.records import as_series, as_text, decoded, rejects
from cefline_schemas.cef import NAME_FALLBACKS
from cefline_schemas.demands import LEAST_KEPT, LEAST_NAMED, mark

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from cefline.fragments import Fragment
    from cefline.records import Columns
    from cefline.render import Rendered
    from cefline_schemas.demands import Demands

_TOGETHER = 16 << 20
"""Text of long lines that is looked at at once, however far a small input expands."""

_BEFORE = r"^( \w+=(?:\w+ \w+=)?)"
"""What stands before a value: its key, or label and key. In the value no `=` is unescaped."""


_HELD = {
    "row": pl.UInt32,
    "pair": pl.Int32,
    "text": pl.String,
    "free": pl.Boolean,
    "least": pl.Int32,
}


class _Cut(NamedTuple):
    """What is to be done to some lines."""

    texts: pl.DataFrame
    """`row`, `pair`, `text` as it is written from now on, how many bytes `less` that is, and the
    bytes that a reader does not get (`gone`)."""
    refused: pl.DataFrame
    """`row`, and whether a `value` is why: lines that can't be made to fit."""


def limited(
    rendered: Rendered,
    columns: Columns,
    free: Collection[str],
    demands: Demands,
    lengths: Sequence[pa.Int64Array],
) -> Rendered:
    """Return lines that keep to the limits.

    Args:
        rendered: lines of any length.
        columns: the canonical columns that they were made from, as the source has them.
        free: names of the fields whose text may be shortened.
        demands: the limits.
        lengths: bytes of each fragment in each line.

    Returns:
        The same lines but for those that were too long, with what was cut counted (`cut_bytes`,
        of the text that a reader gets) and kept as a `cut` record; a line that does not fit with
        all its free text cut is a reject.
    """
    long = _long(rendered.lengths, lengths, demands)
    if long.is_empty():
        return rendered
    parts = [_cut(rendered, some, free, demands) for some in _slices(long, rendered.lengths)]
    refused = pl.concat([part.refused for part in parts])
    texts = pl.concat([part.texts for part in parts]).join(refused, "row", "anti")
    return _without(_with(rendered, texts, columns), refused, demands)


def _long(lines: pl.Series, lengths: Sequence[pa.Int64Array], demands: Demands) -> pl.Series:
    """Return the rows that are looked at; with their keys, some values only seem too long."""
    most = demands.max_line
    long = pl.repeat(False, len(lines), eager=True) if most is None else lines > most
    if demands.max_value is not None:
        for length in lengths[1:]:
            long |= pl.Series(pc.greater(length, demands.max_value))
    return long.arg_true()


def _slices(long: pl.Series, lengths: pl.Series) -> Iterator[pl.Series]:
    number = lengths.gather(long).cum_sum() // _TOGETHER
    for part in pl.DataFrame({"row": long, "n": number}).partition_by("n", maintain_order=True):
        yield part["row"]


def _cut(rendered: Rendered, rows: pl.Series, free: Collection[str], demands: Demands) -> _Cut:
    held = _held(rendered, rows, free)
    line = pl.DataFrame({"row": rows, "line": rendered.lengths.gather(rows)})
    held = held.join(line, "row", maintain_order="left").with_columns(most="size")
    if demands.max_value is not None:
        capped = pl.min_horizontal("size", pl.lit(demands.max_value, pl.Int64))
        held = held.with_columns(most=pl.when("free").then(capped).otherwise("size"))
    if demands.max_line is not None:
        held = _levelled(held, demands.max_line)
    return _Cut(_shortened(held), _refused(held, line, demands))


def _held(rendered: Rendered, rows: pl.Series, free: Collection[str]) -> pl.DataFrame:
    """Return the pairs of some lines: row, pair, before, size of the value, text and freedom."""
    taken = rows.to_arrow()
    frames = [pl.DataFrame(schema=_HELD)]
    pairs = zip(rendered.fragments[1:], rendered.fields, strict=True)
    for number, (pair, name) in enumerate(pairs):
        text = pl.Series(decoded(pair.text.take(taken)))
        frame = pl.DataFrame({"row": rows, "text": text}).drop_nulls("text")
        frames.append(
            frame.select(
                "row",
                pl.lit(number).alias("pair"),
                (pl.lit(pair.prefix) + pl.col("text")).alias("text"),
                pl.lit(name in free).alias("free"),
                pl.lit(LEAST_NAMED if name in NAME_FALLBACKS else LEAST_KEPT).alias("least"),
            )
        )
    held = pl.concat(frames).with_columns(before=pl.col("text").str.extract(_BEFORE))
    size = pl.col("text").str.len_bytes().cast(pl.Int64) - pl.col("before").str.len_bytes()
    return held.with_columns(size=size)


def _levelled(held: pl.DataFrame, max_line: int) -> pl.DataFrame:
    """Lower `most` of the longest free values to one level, so that each line fits.

    What Name may be made of goes no lower than it may, and the others go lower instead.
    """
    every = _level(held, pl.col("free"), max_line)
    low = pl.col("free") & (pl.col("level") < pl.col("least")) & (pl.col("least") > LEAST_KEPT)
    least = pl.min_horizontal("most", "least")
    held = held.join(every, "row", "left", maintain_order="left")
    held = held.with_columns(kept=low.fill_null(value=False))
    held = held.with_columns(most=pl.when("kept").then(least).otherwise("most")).drop("level")
    own = _level(held, pl.col("free") & ~pl.col("kept"), max_line)
    held = held.join(own, "row", "left", maintain_order="left")
    cut = pl.col("free") & ~pl.col("kept") & (pl.col("level") < pl.col("most"))
    return held.with_columns(most=pl.when(cut).then("level").otherwise("most"))


def _level(held: pl.DataFrame, free: pl.Expr, max_line: int) -> pl.DataFrame:
    """Return how long a free value of each line may be; no row for a line that fits."""
    saved = (pl.col("size") - pl.col("most")).sum().over("row")
    room = max_line - (pl.col("line") - saved) + pl.col("most").filter(free).sum().over("row")
    ordered = held.with_columns(room=room).filter(free).sort("row", "most", maintain_order=True)
    shorter = pl.col("most").cum_sum().over("row") - pl.col("most")
    left = pl.len().over("row") - pl.int_range(pl.len()).over("row")
    levels = ordered.with_columns(level=(pl.col("room") - shorter) // left.cast(pl.Int64))
    lowest = levels.filter(pl.col("level") < pl.col("most"))
    return lowest.group_by("row", maintain_order=True).agg(pl.col("level").first())


def _shortened(held: pl.DataFrame) -> pl.DataFrame:
    """Return the texts that are cut, each at most as long as it may be with its mark."""
    cut = held.filter((pl.col("most") < pl.col("size")) & (pl.col("most") >= LEAST_KEPT))
    value = pl.col("text").str.strip_prefix(pl.col("before"))
    digits = pl.col("size").cast(pl.String).str.len_bytes()
    room = pl.col("most") - len(mark("")) - digits
    cut = cut.with_columns(value=value, room=room).with_columns(
        kept=head(pl.col("value"), pl.col("room"))
    )
    bare = pl.col("kept").str.strip_chars_end("\\")
    odd = (pl.col("kept").str.len_bytes() - bare.str.len_bytes()) % 2 == 1
    whole = pl.when(odd).then(pl.col("kept").str.strip_suffix("\\")).otherwise("kept")
    # A character that is written as a visible `\\uXXXX` is not cut either.
    cut = cut.with_columns(kept=whole.str.replace(r"\\\\(?:u[0-9a-f]{0,3})?$", ""))
    cut = cut.with_columns(gone=_raw(pl.col("value")) - _raw(pl.col("kept")))
    first, last = mark("\n").split("\n")
    text = pl.concat_str("before", "kept", pl.lit(first), "gone", pl.lit(last))
    less = pl.col("text").str.len_bytes().cast(pl.Int64) - text.str.len_bytes()
    return cut.select("row", "pair", "gone", less=less, text=text)


def _raw(escaped: pl.Expr) -> pl.Expr:
    """Return the bytes of escaped text once it is read: each escape is two bytes for one."""
    return (escaped.str.len_bytes() - escaped.str.count_matches(r"\\.")).cast(pl.Int64)


def _refused(held: pl.DataFrame, line: pl.DataFrame, demands: Demands) -> pl.DataFrame:
    least = (pl.col("most") < LEAST_KEPT) & (pl.col("most") < pl.col("size"))
    value = pl.lit(value=False)
    if demands.max_value is not None:
        value = ~pl.col("free") & (pl.col("size") > demands.max_value)
    saved = (pl.col("size") - pl.col("most")).sum()
    found = held.group_by("row").agg(value.any().alias("value"), least.any(), saved.alias("saved"))
    after = line.join(found, "row", "left", maintain_order="left")
    refused = pl.col("value") | pl.col("most")
    if demands.max_line is not None:
        refused |= pl.col("line") - pl.col("saved").fill_null(0) > demands.max_line
    return after.filter(refused.fill_null(value=False)).select(
        "row", pl.col("value").fill_null(value=False)
    )


def _with(rendered: Rendered, texts: pl.DataFrame, columns: Columns) -> Rendered:
    """Put texts in the place of longer ones, and say what was cut."""
    fragments, rejected, counts = [*rendered.fragments], [rendered.rejects], rendered.counts.copy()
    for (number,), own in texts.group_by("pair", maintain_order=True):
        name = rendered.fields[number]
        fragments[number + 1] = _scattered(fragments[number + 1], own["row"], own["text"])
        counts[name, CUT] += int(own["gone"].sum())
        rows = rendered.rows.gather(own["row"])
        raw = as_series(columns[name].take(rows.to_arrow()))
        reason = "longer than a limit, cut in the line"
        rejected.append(rejects("cut", rows, field=name, reason=reason, raw=raw))
    less = texts.group_by("row", maintain_order=True).agg(pl.col("less").sum())
    lengths = rendered.lengths.clone()
    lengths = lengths.scatter(less["row"], lengths.gather(less["row"]) - less["less"])
    said = pl.concat(rejected)
    return replace(rendered, fragments=fragments, lengths=lengths, rejects=said, counts=counts)


def _scattered(pair: Fragment, rows: pl.Series, text: pl.Series) -> Fragment:
    own = text.str.strip_prefix(pair.prefix)
    if not isinstance(pair.text, pa.DictionaryArray):
        return pair._replace(text=as_text(pl.Series(pair.text).scatter(rows, own)))
    values = pa.concat_arrays([pair.text.dictionary, as_text(own)])
    start = len(pair.text.dictionary)
    added = pl.int_range(start, start + len(own), eager=True)
    indices = pl.Series(pair.text.indices).cast(pl.Int64).scatter(rows, added)
    return pair._replace(text=pa.DictionaryArray.from_arrays(indices.to_arrow(), values))


def _without(rendered: Rendered, refused: pl.DataFrame, demands: Demands) -> Rendered:
    """Make rejects of lines that can't be made to fit."""
    if refused.is_empty():
        return rendered
    gone = pl.repeat(False, len(rendered.lengths), eager=True).scatter(refused["row"], True)
    keep = (~gone).to_arrow()
    rejected = [rendered.rejects]
    for is_value, reason in (
        (True, f"line_limit: a value of more than {demands.max_value} bytes that is never cut"),
        (False, f"line_limit: more than {demands.max_line} bytes with all free text cut"),
    ):
        rows = rendered.rows.gather(refused.filter(pl.col("value") == is_value)["row"].sort())
        raw = pl.repeat(None, len(rows), dtype=pl.Binary, eager=True)  # only the source has it
        rejected.append(rejects("row", rows, field=None, reason=reason, raw=raw))
    return replace(
        rendered,
        fragments=[part._replace(text=part.text.filter(keep)) for part in rendered.fragments],
        lengths=rendered.lengths.filter(~gone),
        rows=rendered.rows.filter(~gone),
        rejects=pl.concat(rejected),
    )
