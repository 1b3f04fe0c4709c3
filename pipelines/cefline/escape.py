"""Escaping of CEF values, both ways; characters that no reader can carry become visible.

The rules are in `cefline_schemas.cef`. Only values that hold something to escape are touched, and
the search for unsafe characters begins with a cheap look: most values are printable ASCII.
"""

from dataclasses import dataclass, replace
from typing import Self

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from cefline.records import apply, as_text
from cefline_schemas import cef

_ODD = f"{cef.UNSAFE[:-1]}{cef.BIDI[1:]}"


@dataclass(frozen=True, slots=True)
class Escaped:
    """Escaped text, and where characters were replaced."""

    text: pa.LargeStringArray
    replaced: pl.Series | None
    """Number of replaced characters of each value (UInt32); None where there are none at all."""
    bidi: pl.Series | None = None
    """Number of bidi controls of each value (UInt32), which are kept; None likewise."""

    def slice(self, start: int, count: int) -> Self:
        """Return what was found in some of the values."""
        return replace(
            self,
            text=self.text.slice(start, count),
            replaced=None if self.replaced is None else self.replaced.slice(start, count),
            bidi=None if self.bidi is None else self.bidi.slice(start, count),
        )

    def spread(self, indices: pl.Series) -> Self:
        """Return what was found in a dictionary, by index."""
        return replace(
            self,
            replaced=None if self.replaced is None else self.replaced.gather(indices),
            bidi=None if self.bidi is None else self.bidi.gather(indices),
        )


def escape(text: pa.LargeStringArray, escapes: cef.Escapes) -> Escaped:
    """Escape each value (null stays null) and make unsafe characters visible."""
    return _make_visible(_escape(text, escapes), escapes[0][1])


def unescape(text: pl.Series, escapes: cef.Escapes) -> pl.Series:
    """Return the raw values of escaped text (String, null stays null)."""
    dirty = text.str.contains("\\", literal=True).arg_true()
    if dirty.is_empty():
        return text
    # Each piece between escaped backslashes holds whole escapes only, so order can't matter.
    piece = pl.element()
    for raw, escaped in escapes[1:]:
        piece = piece.str.replace_all(escaped, raw, literal=True)
    split = pl.col("").str.split("\\\\").list.eval(piece).list.join("\\")
    return text.clone().scatter(dirty, apply(text.gather(dirty), split))


def visible(text: pl.Series) -> pl.Series:
    """Return text as readers get it: what no reader can carry is written as an escape."""
    return pl.Series(_make_visible(as_text(text), "\\").text)


def escape_constant(text: str, escapes: cef.Escapes) -> str:
    """Escape one value from the configuration."""
    return str(escape(pa.array([text], pa.large_string()), escapes).text[0])


def _escape(text: pa.LargeStringArray, escapes: cef.Escapes) -> pa.LargeStringArray:
    values = pl.Series(text)
    dirty = apply(values, pl.col("").str.contains(cef.NEEDS_ESCAPE[escapes]).arg_true())
    if dirty.is_empty():
        return text
    if len(dirty) > len(values) // 2:
        return as_text(_chain(values, escapes))
    return as_text(values.scatter(dirty, _chain(values.gather(dirty), escapes)))


def _chain(text: pl.Series, escapes: cef.Escapes) -> pl.Series:
    escaped = pl.col("")
    for raw, written in escapes:
        escaped = escaped.str.replace_all(raw, written, literal=True)
    return apply(text, escaped)


def json_text(text: pa.LargeStringArray) -> Escaped:
    """Escape each value as JSON's strings are, without their quotes; line breaks of any kind."""
    return _make_visible(_escape(text, cef.JSON_ESCAPES), "\\")


def json_value(text: pa.LargeStringArray) -> Escaped:
    """Escape, in JSON, what some reader takes for a line break or can't carry."""
    return _make_visible(text, "\\")


def _make_visible(text: pa.LargeStringArray, backslash: str) -> Escaped:
    values = pl.Series(text)
    odd = _odd(text)
    if odd.is_empty():
        return Escaped(text, None)
    suspects = values.gather(odd)
    bidi = _counted(suspects, odd, cef.BIDI, len(text))
    replaced = _counted(suspects, odd, cef.UNSAFE, len(text))
    if replaced is None:
        return Escaped(text, None, bidi)
    unsafe = (replaced > 0).arg_true()
    shown = values.gather(unsafe)
    for character in shown.str.extract_all(cef.UNSAFE).explode().unique().sort():
        visible = f"{backslash}u{ord(character):04x}"
        shown = shown.str.replace_all(character, visible, literal=True)
    return Escaped(as_text(values.scatter(unsafe, shown)), replaced, bidi)


def _odd(text: pa.LargeStringArray) -> pl.Series:
    """Return the rows that hold an unsafe character or a bidi control.

    A cheap look finds all but printable ASCII; a second one, with spaces for tabs, what tabs alone
    made odd. Only what is left is searched by a pattern, which takes eight times as long.
    """
    rows = _unprintable(text)
    if rows.is_empty():
        return rows
    values = pl.Series(text)
    untabbed = values.gather(rows).str.replace_all("\t", " ", literal=True)
    rows = rows.gather(_unprintable(as_text(untabbed)))
    return rows.filter(values.gather(rows).str.contains(_ODD))


def _unprintable(text: pa.LargeStringArray) -> pl.Series:
    return pl.Series(pc.indices_nonzero(pc.invert(pc.ascii_is_printable(text))))


def _counted(suspects: pl.Series, rows: pl.Series, pattern: str, height: int) -> pl.Series | None:
    """Count what matches in some rows; None where nothing does."""
    found = suspects.str.count_matches(pattern)
    if not found.sum():
        return None
    return pl.repeat(0, height, dtype=pl.UInt32, eager=True).scatter(rows, found)
