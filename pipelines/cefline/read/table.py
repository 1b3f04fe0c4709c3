"""CSV: text is cut into records, and Arrow's reader parses them as text.

A record ends at a line break outside of quotes, and a quote opens only where a field begins: one
within a field is part of it. A record of another number of columns than the header is a reject.
"""

import csv
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

import polars as pl
import pyarrow as pa
from pyarrow import csv as arrow

from cefline.errors import SourceError, TruncatedError
from cefline.read.batch import Batch
from cefline.read.frames import MAX_OBJECT
from cefline.records import REJECTS, no_rejects
from cefline_schemas.dialects import DIALECTS, Dialect

_QUOTED = re.compile(rb'"(?<![^,\n]")(?:[^"]++|"")*+("|\Z)')
"""A field in quotes, perhaps not closed: it begins after a comma or a line break."""

_CR_IN_FIELD = re.compile(rb'("(?<![^,\n]")(?:[^"]++|"")*+")|(?<![^,\n])([^,\n]*\r(?!\n)[^,\n]*)')
"""A field in quotes, or one without that has a carriage return: Arrow would end a record there."""

_NO_BREAK = bytes.maketrans(b"\r\n", b"  ")


@dataclass(frozen=True, slots=True)
class Records:
    """Whole records, each ended by LF but perhaps the source's last one."""

    text: bytes
    names: tuple[str, ...]
    """The header's."""
    first: int
    """Ordinal of the first record, from 0; the header is none."""
    line: int
    """The line it begins in, from 1."""
    offset: int
    """Where it begins in the (decompressed) source."""
    cut: bool = False
    """Whether it is one record that breaks off."""


@dataclass(frozen=True, slots=True)
class Header:
    """The columns of a source, and the bytes of the record that names them."""

    names: tuple[str, ...]
    size: int


def header(beginning: bytes) -> Header | None:
    """Return the header of a timeline in CSV; None where text is none.

    That is text whose first record names the time of a dialect, and another of its fields.
    """
    end = _masked(beginning).find(b"\n") + 1 or len(beginning)
    try:
        text = beginning[:end].decode().strip()
        names = tuple(next(csv.reader(io.StringIO(text, newline=""), strict=True), []))
    except (ValueError, csv.Error):
        return None
    return Header(names, end) if any(_has(names, d) for d in DIALECTS.values()) else None


def _has(names: tuple[str, ...], dialect: Dialect) -> bool:
    known = dialect.known
    return {"eventTime"} < {known[name] for name in names if name in known}


def of_csv(
    read: Callable[[int], bytes], url: str, size: int, *, rows: int, head: Header
) -> Iterator[Records]:
    """Yield whole records, about `size` bytes and at most `rows` at a time.

    Raises:
        SourceError: a record is longer than an event may be.
        TruncatedError: `read` raised it, or the last record is not whole.
    """
    text, cut = read(size), None
    at = Records(b"", head.names, 0, 1 + text.count(b"\n", 0, head.size), head.size)
    text = text[head.size :]
    while True:
        whole = _breaks(_masked(text))
        for start, stop, count in _cuts(whole, rows):
            yield replace(at, text=text[start:stop])
            lines = text.count(b"\n", start, stop)
            at = replace(
                at, first=at.first + count, line=at.line + lines, offset=at.offset + stop - start
            )
        text = text[whole[-1] :] if len(whole) else text
        if len(text) > MAX_OBJECT:
            message = f"{url}: the record at line {at.line} is longer than {MAX_OBJECT} bytes"
            raise SourceError(message, hint="Is a quote not closed there?")
        try:
            more = read(max(size, len(text)))
        except TruncatedError as err:
            more, cut = b"", err
        if not more:
            break
        text += more
    if cut is None and _is_open(text):
        cut = TruncatedError(f"{url} ends in the middle of the record at line {at.line}")
    if text:
        yield replace(at, text=text, cut=cut is not None)
    if cut is not None:
        raise cut


def load(
    records: Records,
    url: str,
    columns: dict[str, str],
    *,
    accept_truncated: bool = False,
) -> Batch:
    """Parse records into a batch of text; those that are no records of the header's are rejects.

    Args:
        records: whole records.
        url: the source, for messages.
        columns: the names that are read, and what their columns are called.
        accept_truncated: whether a last record that breaks off is a reject, too.

    Raises:
        TruncatedError: the last record of the source is neither ended nor whole.
    """
    starts = _starts(records)
    texts = [records.text[a:b] for a, b in pairwise(starts)]
    reasons = _reasons(texts, records)
    sound = [n for n, reason in enumerate(reasons) if reason is None]
    data, wrong = _parsed([texts[n] for n in sound], records.names, columns)
    for n, reason in wrong.items():
        reasons[sound[n]] = reason
    why = pl.Series(reasons, dtype=pl.String)
    every = pl.int_range(records.first, records.first + len(why), eager=True)
    bad = origin(every.filter(why.fill_null("") != ""), records)
    bad = bad.with_columns(kind=pl.lit("row"), reason=why.filter(why.fill_null("") != ""))
    unended = not records.text.endswith(b"\n") and not records.cut
    if unended and reasons[-1] and not accept_truncated:
        message = f"{url} ends in the middle of line {bad['line'][-1]}: {reasons[-1]}"
        raise TruncatedError(message)
    return Batch(
        data,
        every.filter(why.is_null()),
        typed=False,
        origin=partial(origin, records=records),
        rejects=pl.concat([no_rejects(), bad], how="diagonal").select(REJECTS.names()),
    )


def origin(ordinals: pl.Series, records: Records) -> pl.DataFrame:
    """Return `ordinal`, `line` (from 1), `offset` and `raw` bytes (without LF) of some records."""
    starts = pl.Series(_starts(records), dtype=pl.Int64)
    places = ordinals - records.first
    begin, end = starts.gather(places), starts.gather(places + 1)
    raw = [records.text[a:b].removesuffix(b"\n") for a, b in zip(begin, end, strict=True)]
    before = _breaks(records.text).search_sorted(begin, side="right")
    return pl.DataFrame(
        {
            "ordinal": ordinals,
            "line": before.cast(pl.Int64) + records.line,
            "offset": begin + records.offset,
            "raw": pl.Series(raw, dtype=pl.Binary),
        }
    )


def _masked(text: bytes) -> bytes:
    """Return text of the same length without the line breaks that stand in quotes."""
    return _QUOTED.sub(lambda m: m[0].translate(_NO_BREAK), text) if b'"' in text else text


def _is_open(text: bytes) -> bool:
    return any(not match[1] for match in _QUOTED.finditer(text))


def _breaks(text: bytes) -> pl.Series:
    """Return the places after each LF (Int64)."""
    data = pa.Array.from_buffers(pa.uint8(), len(text), [None, pa.py_buffer(text)])
    return (pl.Series(data) == ord("\n")).arg_true().cast(pl.Int64) + 1


def _cuts(ends: pl.Series, rows: int) -> Iterator[tuple[int, int, int]]:
    """Yield begin, end and number of at most `rows` records."""
    start = 0
    for first in range(0, len(ends), rows):
        some = ends[first : first + rows]
        yield start, some[-1], len(some)
        start = some[-1]


def _starts(records: Records) -> list[int]:
    """Return where records begin in their text, and where the last one ends."""
    if records.cut:
        return [0, len(records.text)]
    ends = _breaks(_masked(records.text)).to_list()
    return [0, *ends] if records.text.endswith(b"\n") else [0, *ends, len(records.text)]


def _reasons(texts: list[bytes], records: Records) -> list[str | None]:
    """Return why records are not to be parsed; "" for blank ones, None for the others."""
    if records.cut:
        return ["cut off"]
    blank: list[str | None] = ["" if text in {b"\n", b"\r\n"} else None for text in texts]
    try:
        records.text.decode()
    except UnicodeDecodeError:
        return [
            reason if _is_utf8(t) else "no UTF-8" for t, reason in zip(texts, blank, strict=True)
        ]
    return blank


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _parsed(
    texts: list[bytes], names: tuple[str, ...], columns: dict[str, str]
) -> tuple[pa.RecordBatch, dict[int, str]]:
    """Return the columns of records, and why some of them (by place) are none."""
    wrong: dict[int, str] = {}
    data = _arrow(b"".join(texts), names, columns, wrong)
    if data.num_rows + len(wrong) == len(texts):
        return data, wrong
    if len(texts) == 1:  # Arrow and we don't agree on what it is
        return data.slice(0, 0), {0: "no record"}
    half = len(texts) // 2
    (one, before), (other, after) = (
        _parsed(part, names, columns) for part in (texts[:half], texts[half:])
    )
    both = pa.Table.from_batches([one, other]).combine_chunks()
    return _batch(both), before | {half + n: why for n, why in after.items()}


def _arrow(
    text: bytes, names: tuple[str, ...], columns: dict[str, str], wrong: dict[int, str]
) -> pa.RecordBatch:
    def reject(row: arrow.InvalidRow) -> str:
        wrong[row.number - 1] = (
            f"{row.actual_columns} columns, the header has {row.expected_columns}"
        )
        return "skip"

    if b"\r" in text:
        text = _CR_IN_FIELD.sub(_in_quotes, text)
    numbered = {str(n): columns[name] for n, name in enumerate(names) if name in columns}
    table = arrow.read_csv(
        pa.BufferReader(text or b"\n"),
        arrow.ReadOptions(
            use_threads=False,
            block_size=len(text) + 1,
            column_names=[str(n) for n in range(len(names))],
        ),
        arrow.ParseOptions(newlines_in_values=True, invalid_row_handler=reject),
        arrow.ConvertOptions(
            check_utf8=False,  # it has been
            column_types=dict.fromkeys(numbered, pa.large_string()),
            include_columns=[*numbered],
        ),
    )
    return _batch(table.rename_columns([*numbered.values()]))


def _in_quotes(match: re.Match[bytes]) -> bytes:
    return match[1] or b'"' + match[2].replace(b'"', b'""') + b'"'


def _batch(table: pa.Table) -> pa.RecordBatch:
    if not table.num_rows:
        return pa.RecordBatch.from_pylist([], table.schema)
    return table.combine_chunks().to_batches()[0]
