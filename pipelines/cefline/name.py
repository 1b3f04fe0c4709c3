"""The header's Name: the event's type, or the first thing that can stand in for it."""

from dataclasses import dataclass

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from cefline.escape import escape
from cefline.records import Columns, apply, as_text
from cefline_schemas import cef


@dataclass(frozen=True, slots=True)
class Named:
    """The Name of each event, and its `type` where Name does not say it."""

    text: pl.Series
    """Escaped, 1 to 512 bytes; never null."""
    repeated: pa.Array
    """`type` of the events whose Name is not exactly it; null for the others."""


def name(columns: Columns, rows: int) -> Named:
    """Return Name and the `type` to be repeated in the extension.

    `type` is left out of the extension only where Name is exactly its text, no fallback would have
    given the same Name, and no reader changes it (Vector trims the header and takes paired quotes
    off; Tenzir and Graylog lose a header field that ends in a backslash).
    """
    fallback = fallback_name(columns, rows)
    if "type" not in columns:
        return Named(fallback, pa.nulls(rows, pa.large_string()))
    typed, exact = _typed(columns["type"])
    said = exact & (typed != fallback)
    return Named(
        typed.zip_with(typed.is_not_null(), fallback),
        without(columns["type"], said.fill_null(value=False)),
    )


def without(column: pa.Array, rows: pl.Series) -> pa.Array:
    """Return a column with null in some rows; of a dictionary, only the indices change."""
    if isinstance(column, pa.DictionaryArray):
        indices = pc.if_else(rows.to_arrow(), pa.scalar(None, column.indices.type), column.indices)
        return pa.DictionaryArray.from_arrays(indices, column.dictionary)
    return pc.if_else(rows.to_arrow(), pa.scalar(None, column.type), column)


def fallback_name(columns: Columns, rows: int) -> pl.Series:
    """Return the Name (String, escaped, never null) that events without a type get."""
    named = pl.repeat(None, rows, dtype=pl.String, eager=True)
    for field in cef.NAME_FALLBACKS:
        if field in columns and (missing := named.is_null()).any():
            column = columns[field].filter(missing.to_arrow())
            named = named.scatter(missing.arg_true(), _per_distinct(column))
    return named.fill_null(cef.NAME_LAST)


def header_text(raw: pl.Series) -> pl.Series:
    """Return values as a header field holds them (String): null where nothing is left of it.

    Line breaks become spaces; at most 512 bytes, never cut inside a character or an escape;
    backslashes at the end are left off.
    """
    in_one_line = as_text(raw.str.replace_all(r"[\r\n]", " "))
    escaped = pl.Series(escape(in_one_line, cef.HEADER_ESCAPES).text)
    long = (escaped.str.len_bytes() > cef.NAME_MAX_BYTES).any()
    return apply(escaped, _trimmed(_cut(pl.col("")) if long else pl.col("")))


def _typed(column: pa.Array) -> tuple[pl.Series, pl.Series]:
    """Return the Name that each type gives, and whether a reader finds exactly the type in it."""
    encoded = column if isinstance(column, pa.DictionaryArray) else column.dictionary_encode()
    raw, indices = pl.Series(encoded.dictionary), pl.Series(encoded.indices)
    named = header_text(raw)
    exact = (named == raw) & ~raw.str.contains(r"""^[\s"']|[\s"']$""")
    return named.gather(indices), exact.gather(indices)


def _per_distinct(column: pa.Array) -> pl.Series:
    encoded = column if isinstance(column, pa.DictionaryArray) else column.dictionary_encode()
    return header_text(pl.Series(encoded.dictionary)).gather(pl.Series(encoded.indices))


def _cut(text: pl.Expr) -> pl.Expr:
    """Cut to the limit, or up to three bytes before it, where a character begins."""
    cut = head(text, pl.lit(cef.NAME_MAX_BYTES))
    return pl.when(text.str.len_bytes() > cef.NAME_MAX_BYTES).then(cut).otherwise(text)


def head(text: pl.Expr, most: pl.Expr) -> pl.Expr:
    """Return the beginning of longer text: so many bytes, or up to three less for a character."""
    binary = text.cast(pl.Binary)
    length = most - 3
    for back in (2, 1, 0):
        following = binary.bin.slice(most - back, 1)
        inside = following.is_between(pl.lit(b"\x80"), pl.lit(b"\xbf"))
        length = pl.when(inside).then(length).otherwise(most - back)
    return binary.bin.head(length).cast(pl.String)


def _trimmed(text: pl.Expr) -> pl.Expr:
    bare = text.str.strip_chars_end("\\")
    return pl.when(bare.str.strip_chars() != "").then(bare)
