"""Canonical columns become CEF lines.

Each field's text is one expression, chosen by its type in the field table; it runs once per
distinct value where a column is dictionary-encoded. The last join's buffer is the text itself.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import add

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from cefline.counts import REPLACED, Counts
from cefline.escape import Escaped, escape, escape_constant
from cefline.name import name
from cefline.records import (
    Columns,
    apply,
    as_series,
    as_text,
    decoded,
    no_rejects,
    rejects,
)
from cefline_schemas import cef
from cefline_schemas.timeline import FIELDS, Field, Key, Type

SLICE_BYTES = 16 << 20
"""Lines are joined in slices of at most this much text, however far a small input expands."""

TEXT: Mapping[Type, pl.Expr] = {
    "text": pl.col(""),
    "list": pl.col(""),
    "int": pl.col("").cast(pl.String),
    "bool": pl.when(pl.col("")).then(pl.lit("True")).when(~pl.col("")).then(pl.lit("False")),
    "time": (pl.col("") // 1_000_000).cast(pl.String),
}
"""A field's type to the expression that makes its text; all the code that knows types."""

_MICROSECONDS = Field("eventTime", "int", (), Key("eventTimeMicros"), "Microseconds", "0")


@dataclass(frozen=True, slots=True)
class Profile:
    """The constants and choices that turn fields into lines."""

    device: cef.Device = field(default_factory=cef.Device)
    severity: tuple[tuple[int, int], ...] = cef.SEVERITY
    subseconds: bool = False
    max_event: int = 16 << 20
    fields: tuple[Field, ...] = FIELDS


@dataclass(frozen=True, slots=True)
class Rendered:
    """The lines of a batch, not yet joined."""

    fragments: list[pa.Array]
    """The header, which has no nulls, and the pairs, each with a space before it: large strings,
    plain or as a dictionary, however far it would expand."""
    lengths: pl.Series
    """Bytes of each line with its LF (Int64)."""
    rows: pl.Series
    """The row of each line in the batch (UInt32): all but the rejected ones."""
    rejects: pl.DataFrame
    counts: Counts

    def slices(self) -> Iterator[tuple[int, pa.LargeStringArray]]:
        """Yield the index of the first line and the lines, each with the LF that ends it."""
        for start, count in _cuts(self.lengths):
            yield start, _join([part.slice(start, count) for part in self.fragments])


def render(columns: Columns, profile: Profile) -> Rendered:
    """Render canonical columns as CEF lines, in row order.

    A row whose line is longer than the profile's `max_event` bytes is a reject.
    """
    height = len(next(iter(columns.values())))
    named = name(columns, height)
    columns = {**columns, "type": named.repeated}
    pairs, rejected, counts = [], [no_rejects()], Counts()
    for row in _keys(profile):
        column = columns.get(row.name)
        if column is not None and column.null_count < len(column):
            pair, said = _pair(column, row)
            pairs.append(pair)
            if said.replaced is not None:
                rejected.append(_replaced(column, row, said.replaced))
                counts[row.name, REPLACED] += int(said.replaced.sum())
            if said.bidi is not None:
                counts[row.name, "bidi"] += int(said.bidi.sum())
    header = _header(named.text, columns, profile)
    return _bounded([header, *pairs], pl.concat(rejected), counts, profile.max_event)


def _keys(profile: Profile) -> Iterator[Field]:
    for row in profile.fields:
        yield row
        if row.name == "eventTime" and profile.subseconds:
            yield _MICROSECONDS


def _pair(column: pa.Array, row: Field) -> tuple[pa.Array, Escaped]:
    """Return ` key=value` of each row (null where there is none), and what was found in it."""
    if not isinstance(column, pa.DictionaryArray):
        said = _fragment(pl.Series(column), row)
        return said.text, said
    said = _fragment(pl.Series(column.dictionary), row)
    pair = pa.DictionaryArray.from_arrays(column.indices, said.text)
    return pair, said.spread(pl.Series(column.indices))


def _fragment(values: pl.Series, row: Field) -> Escaped:
    escaped = escape(apply(values, TEXT[row.type]), cef.EXTENSION_ESCAPES)
    return replace(escaped, text=_concat(f" {row.cado.prefix}", escaped.text))


def _replaced(column: pa.Array, row: Field, replaced: pl.Series) -> pl.DataFrame:
    rows = (replaced > 0).arg_true()
    raw = as_series(column.take(rows.to_arrow()))
    reason = "characters that no reader can carry, written as visible \\uXXXX"
    return rejects("replaced", rows, field=row.name, reason=reason, raw=raw)


def _header(named: pl.Series, columns: Columns, profile: Profile) -> pa.LargeStringArray:
    device = profile.device
    constants = (device.vendor, device.product, device.version, device.signature_id)
    start = "|".join(["CEF:0", *(escape_constant(c, cef.HEADER_ESCAPES) for c in constants), ""])
    severity = as_text(_severity(columns, profile, len(named)).cast(pl.String))
    return _concat(start, as_text(named), "|", severity, "|")


def _severity(columns: Columns, profile: Profile, height: int) -> pl.Series:
    present = {n: as_series(columns[n]) for n in ("alarm", "alarm_severity") if n in columns}
    frame = pl.DataFrame({"row": pl.repeat(0, height, eager=True), **present})
    alarm = pl.col("alarm") if "alarm" in present else pl.lit(None, pl.Boolean)
    given = pl.col("alarm_severity") if "alarm_severity" in present else pl.lit(None, pl.Int64)
    severity = pl.when(alarm).then(cef.SEVERITY_ALARM).otherwise(cef.SEVERITY_NONE)
    severity = pl.when(given.is_not_null()).then(cef.SEVERITY_ABOVE).otherwise(severity)
    for up_to, written in sorted(profile.severity, reverse=True):
        severity = pl.when(given <= up_to).then(written).otherwise(severity)
    return frame.with_columns(severity=severity.cast(pl.Int64))["severity"]


def _lead(header: pa.Array, pairs: list[pa.Array]) -> tuple[pa.Array, list[pa.Array]]:
    """Join the header and the first pair of each row, which no space separates."""
    lead, rest = pa.nulls(len(header), pa.large_string()), []
    for pair in pairs:
        if lead.null_count == 0:
            rest.append(pair)
            continue
        pair = decoded(pair)  # noqa: PLW2901 - the same fragment, in another form
        later = pc.if_else(pc.is_null(lead), pa.scalar(None, pa.large_string()), pair)
        lead = pc.coalesce(lead, pair)
        if later.null_count < len(later):
            rest.append(later)
    without_space = pc.utf8_slice_codeunits(pc.fill_null(lead, ""), 1)
    return _concat(header, without_space), rest


def _bounded(
    fragments: list[pa.Array], rejected: pl.DataFrame, counts: Counts, max_event: int
) -> Rendered:
    height = len(fragments[0])
    pairs = reduce(add, map(_length, fragments[1:]), pl.repeat(0, height, eager=True))
    lf_less_space = (pairs == 0).cast(pl.Int64)  # no space stands before the first pair
    lengths = _length(fragments[0]) + pairs + lf_less_space
    rows = pl.int_range(height, dtype=pl.UInt32, eager=True)
    long = lengths > max_event
    if long.any():
        keep = (~long).to_arrow()
        fragments = [part.filter(keep) for part in fragments]
        reason = f"line of more than {max_event} bytes"
        which = rows.filter(long)
        raw = pl.repeat(None, len(which), dtype=pl.Binary, eager=True)  # only the source has it
        too_long = rejects("row", which, field=None, reason=reason, raw=raw)
        rejected = pl.concat([rejected, too_long])
        lengths, rows = lengths.filter(~long), rows.filter(~long)
    return Rendered(fragments, lengths, rows, rejected, counts)


def _length(part: pa.Array) -> pl.Series:
    """Bytes of each value; none for null."""
    values = part.dictionary if isinstance(part, pa.DictionaryArray) else part
    length = pl.Series(pc.binary_length(values)).cast(pl.Int64)
    if isinstance(part, pa.DictionaryArray):
        length = length.gather(pl.Series(part.indices))
    return length.fill_null(0)


def _cuts(lengths: pl.Series) -> Iterator[tuple[int, int]]:
    ends = lengths.cum_sum()
    start, done = 0, 0
    while start < len(lengths):
        stop = max(int(ends.search_sorted(done + SLICE_BYTES, side="right")), start + 1)
        yield start, stop - start
        start, done = stop, int(ends[stop - 1])


def _join(parts: list[pa.Array]) -> pa.LargeStringArray:
    lead, rest = _lead(parts[0], parts[1:])
    end, nothing = (pa.scalar(text, pa.large_string()) for text in ("\n", ""))
    return pc.binary_join_element_wise(
        *map(decoded, [lead, *rest]), end, nothing, null_handling="skip"
    )


def _concat(*parts: pa.Array | str) -> pa.LargeStringArray:
    texts = [pa.scalar(p, pa.large_string()) if isinstance(p, str) else p for p in parts]
    empty = pa.scalar("", pa.large_string())
    return pc.binary_join_element_wise(*texts, empty, null_handling="emit_null")
