"""Canonical columns become CEF lines.

Each field's text is one expression, chosen by its type in the field table; it runs once per
distinct value where a column is dictionary-encoded. The last join's buffer is the text itself.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, reduce
from typing import Literal

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from cefline import syslog
from cefline.counts import CONSTANTS, HEADER, REPLACED, Counts, Sizes
from cefline.escape import Escaped, escape, escape_constant
from cefline.fragments import Fragment, concat, constant, cuts, fragment, joined, length
from cefline.header import Severities, severities, start_of
from cefline.homes import MICROSECONDS, Pair, pairs, prefix
from cefline.limit import limited
from cefline.name import name
from cefline.records import (
    Columns,
    apply,
    as_series,
    as_text,
    no_rejects,
    rejects,
)
from cefline.signature import signature
from cefline.taken import taken
from cefline_schemas import cef
from cefline_schemas.demands import Demands
from cefline_schemas.dictionary import ProfileName, Spelling
from cefline_schemas.timeline import FIELDS, Field, Type

TEXT: Mapping[Type | Spelling, pl.Expr] = {
    "text": pl.col(""),
    "list": pl.col(""),
    "int": pl.col("").cast(pl.String),
    "bool": pl.when(pl.col("")).then(pl.lit("True")).when(~pl.col("")).then(pl.lit("False")),
    "time": (pl.col("") // 1_000_000).cast(pl.String),
    "millis": (pl.col("") // 1_000).cast(pl.String),
    "folder": pl.when(pl.col("")).then(pl.lit("folder")).when(~pl.col("")).then(pl.lit("file")),
}
"""A field's type to the expression that makes its text; all the code that knows types."""

Format = Literal["cef", "json"]

_ESCAPED = {"text", "list"}

SHORT = 1 << 20
"""Bytes of a column that may be copied to escape it together with others."""


@dataclass(frozen=True, slots=True)
class Profile:
    """The constants and choices that turn fields into lines."""

    device: cef.Device = field(default_factory=cef.Device)
    severity: Severities = cef.SEVERITY
    subseconds: bool = False
    max_event: int = 16 << 20
    fields: tuple[Field, ...] = FIELDS
    name: ProfileName = "cado"
    """Which keys fields become."""
    stamp: str = ""
    """The delivery, which each line says before all fields; nothing where it is empty."""
    framing: cef.Framing = "none"
    cef_version: int = 0
    format: Format = "cef"
    demands: Demands = field(default_factory=Demands)
    """What the reader of the lines asks for."""
    constants: tuple[tuple[str, str], ...] = ()
    """Keys and values that each line says before all fields."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """The lines of a batch, not yet joined."""

    fragments: list[Fragment]
    """The header, which has no nulls, and the pairs, each with a space before it."""
    lengths: pl.Series
    """Bytes of each line with its LF (Int64)."""
    rows: pl.Series
    """The row of each line in the batch (UInt32): all but the rejected ones."""
    rejects: pl.DataFrame
    counts: Counts
    fields: tuple[str, ...] = ()
    """The field of each pair."""
    severities: pl.Series = field(default_factory=lambda: pl.Series(dtype=pl.Int64))
    """The header's, of each row of the batch, rejected ones as well (Int64)."""
    end: str = "\n"
    """What ends each line, an LF last."""

    def sizes(self) -> Sizes:
        """Return the bytes that each field adds to the lines: space, key and value.

        What is left, header and end of line, is the header's.
        """
        sizes = Sizes()
        for own, pair in zip(self.fields, self.fragments[1:], strict=True):
            sizes[own] += pc.sum(length(pair)).as_py() or 0
        sizes[HEADER] = int(self.lengths.sum()) - sizes.total()
        return sizes

    def slices(self) -> Iterator[tuple[int, pa.LargeStringArray]]:
        """Yield the index of the first line and the lines, each with the LF that ends it."""
        for start, count in cuts(self.lengths):
            cut = [Fragment(p, text.slice(start, count)) for p, text in self.fragments]
            yield start, joined(cut, self.end)


def render(columns: Columns, profile: Profile) -> Rendered:
    """Render canonical columns as CEF lines, in row order.

    A row whose line is longer than the profile's `max_event` bytes is a reject, and one that
    can't be made to fit its reader's limits.
    """
    height = len(next(iter(columns.values())))
    given, (columns, counts) = columns, taken(columns, profile.demands)
    named = name(columns, height)
    graded = severities(columns, profile.severity, height)
    header = _header(named.text, graded, columns, profile)
    columns = {**columns, "type": named.repeated}
    written, fields, rejected = [], list[str](), [no_rejects()]
    if profile.stamp:
        stamp = escape_constant(profile.stamp, cef.EXTENSION_ESCAPES)
        written.append(constant(f" {cef.STAMP}={stamp}", height))
        fields.append(cef.STAMP)
    if profile.constants:
        text = _constants(profile.constants, profile.demands.escapes)
        written.append(constant(text, height))
        fields.append(CONSTANTS)
    for (row, _, column, again, told), (pair, said) in _written(columns, profile):
        written.append(pair)
        fields.append(row.name)
        if told and column is not None:
            counts[row.name, told] += len(column) - column.null_count
        if said.replaced is not None and not again:
            rejected.append(_replaced(given[row.name], row, said.replaced))
            counts[row.name, REPLACED] += int(said.replaced.sum())
        if said.bidi is not None and not again:
            counts[row.name, "bidi"] += int(said.bidi.sum())
    whole = bounded([header, *written], pl.concat(rejected), counts, profile.max_event)
    whole = replace(whole, fields=tuple(fields), severities=graded)
    if not profile.demands.limited:
        return whole
    free = {row.name for row in profile.fields if row.free}
    return limited(whole, given, free, profile.demands, [*map(length, whole.fragments)])


@cache
def _constants(pairs: tuple[tuple[str, str], ...], escapes: cef.Escapes) -> str:
    return "".join(f" {k}={escape_constant(v, escapes)}" for k, v in pairs)


def keys(profile: Profile) -> Iterator[Field]:
    """Yield the fields of a line, in the order of their keys."""
    for row in profile.fields:
        yield row
        if row.name == "eventTime" and profile.subseconds:
            yield MICROSECONDS


def _written(columns: Columns, profile: Profile) -> Iterator[tuple[Pair, tuple[Fragment, Escaped]]]:
    """Yield the pairs that some row has, and their text with what was found."""
    found = pairs(keys(profile), columns, profile.name, profile.demands.window)
    present = [pair for pair in found if pair.column is not None and _some(pair.column)]
    texts = [values(pair.column) for pair in present if pair.row.type in _ESCAPED]
    escaped = _escaped(texts, profile.demands.escapes)
    for pair in present:
        if pair.row.type in _ESCAPED:
            yield pair, _fragment(pair, next(escaped))
        else:  # numbers and truths have nothing to escape
            expression = TEXT[pair.row.form(profile.name)]
            text = as_text(apply(pl.Series(pair.column), expression))
            yield pair, _fragment(pair, Escaped(text, None))


def _fragment(pair: Pair, said: Escaped) -> tuple[Fragment, Escaped]:
    return fragment(prefix(pair.homes, said.text), pair.column, said)


def _some(column: pa.Array) -> bool:
    return bool(column.null_count < len(column))


def values(column: pa.Array) -> pa.LargeStringArray:
    """Return what is escaped of a column: each value of a dictionary once."""
    return column.dictionary if isinstance(column, pa.DictionaryArray) else column


def _escaped(columns: list[pa.LargeStringArray], escapes: cef.Escapes) -> Iterator[Escaped]:
    """Escape the short columns all at once: most are short, and each call costs."""
    short = [c for c in columns if c.nbytes < SHORT]
    whole = escape(pa.concat_arrays(short), escapes) if short else None
    start = 0
    for column in columns:
        if whole is None or column.nbytes >= SHORT:
            yield escape(column, escapes)
        else:
            yield whole.slice(start, len(column))
            start += len(column)


def _replaced(column: pa.Array, row: Field, replaced: pl.Series) -> pl.DataFrame:
    rows = (replaced > 0).arg_true()
    raw = as_series(column.take(rows.to_arrow()))
    reason = "characters that no reader can carry, written as visible \\uXXXX"
    return rejects("replaced", rows, field=row.name, reason=reason, raw=raw)


def _header(named: pl.Series, severity: pl.Series, columns: Columns, profile: Profile) -> Fragment:
    start, fixed = start_of(profile.device, profile.cef_version)
    id_: pa.Array | str = fixed
    if profile.name == "dictionary":
        id_ = as_text(signature(columns, len(named), fixed))
    own = (start, id_, "|", as_text(named), "|", as_text(severity.cast(pl.String)), "|")
    if profile.framing == "none":
        return Fragment("", concat(*own))
    product, subseconds = profile.device.product, profile.subseconds
    framed = syslog.header(columns, severity, product, profile.framing, subseconds=subseconds)
    return Fragment("", concat(as_text(framed), *own))


def bounded(
    fragments: list[Fragment],
    rejected: pl.DataFrame,
    counts: Counts,
    max_event: int,
    end: str = "\n",
) -> Rendered:
    """Return the lines that fragments make, but for those of more than `max_event` bytes."""
    height = len(fragments[0].text)
    pairs = reduce(pc.add, map(length, fragments[1:]), pa.repeat(0, height))
    lf_less_space = pc.equal(pairs, 0).cast(pa.int64())  # no space stands before the first pair
    lengths = pl.Series(pc.add(pc.add(length(fragments[0]), pairs), lf_less_space)) + (len(end) - 1)
    rows = pl.int_range(height, dtype=pl.UInt32, eager=True)
    long = lengths > max_event
    if long.any():
        keep = (~long).to_arrow()
        fragments = [Fragment(p, text.filter(keep)) for p, text in fragments]
        reason = f"line of more than {max_event} bytes"
        which = rows.filter(long)
        raw = pl.repeat(None, len(which), dtype=pl.Binary, eager=True)  # only the source has it
        too_long = rejects("row", which, field=None, reason=reason, raw=raw)
        rejected = pl.concat([rejected, too_long])
        lengths, rows = lengths.filter(~long), rows.filter(~long)
    return Rendered(fragments, lengths, rows, rejected, counts, end=end)
