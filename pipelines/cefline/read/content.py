"""What a source is, by its content: the suffix of its name says nothing."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pyarrow as pa

from cefline.errors import SourceError, TruncatedError
from cefline.read.batch import Batch, Chunk, Limits, Opened
from cefline.read.carry import carried
from cefline.read.dialect import told
from cefline.read.frames import Lines, bounded, of_array, of_ndjson
from cefline.read.ndjson import CUT_OFF, load, names_of
from cefline.read.parquet import check_twice, open_parquet, parquet_metadata
from cefline.read.splits import WHOLE, Split, line_begin, of_groups, of_lines
from cefline.read.table import Header, Records, header, of_csv
from cefline.read.table import load as load_records
from cefline.read.text import Read, is_compressed, opened_text
from cefline.shown import printable
from cefline_schemas.dialects import DIALECTS

_PARQUET = b"PAR1"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_BOM = b"\xef\xbb\xbf"
_BEGINNING = 1 << 16
_SAMPLE = 100
_SEEN = 256 << 10


class _Framed(NamedTuple):
    form: str
    lines: Any
    """`Lines`, or `Records` where it is CSV."""
    done: float


def open_source(path: Path, url: str, limits: Limits, split: Split = WHOLE) -> Opened:
    """Open a local file, whichever of the known formats it holds.

    Args:
        path: of the file.
        url: what errors call it.
        limits: bounds of what it yields.
        split: which part of it is read.

    Raises:
        SourceError: it holds none of them, is damaged in its beginning, or has columns that it may
            not have.
    """
    if split.kind == "groups" or _magic(path) == _PARQUET:
        opened = open_parquet(path, url, limits, split)
    else:
        opened = _open_text(path, url, limits, split)
    return replace(opened, chunks=_whole(opened.chunks)) if limits.accept_truncated else opened


def cut(path: Path, url: str, size: int, limits: Limits) -> list[Split]:
    """Return the splits of a source, each of about `size` stored bytes; those of lines uncounted.

    Only its beginning is looked at, and the end of Parquet. It is one split where its lines can't
    be told from afar (it is compressed, an array or CSV) or must all be seen before the first.

    Raises:
        SourceError: as `open_source` does.
    """
    if path.stat().st_size <= size or limits.accept_truncated:
        return [WHOLE]
    magic = _magic(path)
    if magic == _PARQUET:
        return of_groups(parquet_metadata(path, url), size)
    if limits.unknown != "drop" or is_compressed(magic):
        return [WHOLE]
    first = next(_framed(path, url, limits, WHOLE), None)
    if first is None or first.form != "ndjson":
        return [WHOLE]
    dialect = told(_names(first.lines), url, limits.dialect)
    return of_lines(path.stat().st_size, size, dialect.name)


def _magic(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(4)


def _names(lines: Lines) -> list[str]:
    return names_of(lines.text.split(b"\n", _SAMPLE)[:_SAMPLE])


def _open_text(path: Path, url: str, limits: Limits, split: Split) -> Opened:
    framed = _framed(path, url, limits, split)
    try:
        first = next(framed, None)
    except TruncatedError as err:
        if not limits.accept_truncated:
            raise
        return Opened("empty", (), iter([_end(err)]))
    if first is None:
        return Opened("empty", (), iter(()))
    if first.form == "csv":
        return _open_csv(chain([first], framed), first.lines, url, limits)
    found = _names(first.lines)
    dialect = DIALECTS.get(split.dialect) or told(found, url, limits.dialect)
    if limits.unknown != "drop":
        found = names_of(_every_line(path, url, limits))
    known = dialect.known
    unknown = [name for name in found if name not in known]
    more = carried(url, unknown, limits.unknown, limits.reserved)
    read = partial(
        load,
        url=url,
        carried=more,
        dialect=dialect.name,
        accept_truncated=limits.accept_truncated,
    )
    chunks = (Chunk(partial(read, f.lines), f.done) for f in chain([first], framed))
    return Opened(first.form, tuple(map(printable, unknown)), chunks, more, dialect)


def _open_csv(framed: Iterator[_Framed], first: Records, url: str, limits: Limits) -> Opened:
    dialect = told(first.names, url, limits.dialect)
    known = dialect.known
    unknown = [name for name in first.names if name not in known]
    more = carried(url, unknown, limits.unknown, limits.reserved)
    columns = {name: name for name in known} | {name: row.name for name, row in more}
    check_twice(url, [name for name in first.names if name in columns])
    read = partial(load_records, url=url, columns=columns, accept_truncated=limits.accept_truncated)
    chunks = (Chunk(partial(read, f.lines), f.done) for f in framed)
    return Opened("csv", tuple(map(printable, unknown)), chunks, more, dialect)


def _every_line(path: Path, url: str, limits: Limits) -> Iterator[bytes]:
    try:
        for framed in _framed(path, url, limits, WHOLE):
            yield from framed.lines.text.split(b"\n")
    except TruncatedError:
        if not limits.accept_truncated:
            raise


def _whole(chunks: Iterator[Chunk]) -> Iterator[Chunk]:
    """Yield the chunks of a source that may break off; the last one says so."""
    try:
        yield from chunks
    except TruncatedError as err:
        yield _end(err)


def _end(err: TruncatedError) -> Chunk:
    nothing = pa.RecordBatch.from_pylist([], pa.schema([]))
    end = Batch(nothing, pl.Series(dtype=pl.Int64), notes=(f"{CUT_OFF}: {err.message}",))
    return Chunk(lambda: end, 1.0)


def _framed(path: Path, url: str, limits: Limits, split: Split) -> Iterator[_Framed]:
    if split.kind == "lines":
        yield from _of_split(path, url, limits, split)
        return
    total = max(path.stat().st_size, 1)
    with opened_text(path, url, limits) as (read, stored):
        beginning = _without_mark(read(_BEGINNING))
        begin = _after(beginning, read)
        if (head := _header(beginning)) is not None:
            for records in of_csv(begin, url, limits.json_bytes, rows=limits.rows, head=head):
                yield _Framed("csv", records, stored() / total)
            return
        form, frame = _form(beginning[:_SEEN], url, limits.events_key)
        for lines in bounded(frame(begin, url, limits.json_bytes), limits.rows):
            yield _Framed(form, lines, stored() / total)


def _of_split(path: Path, url: str, limits: Limits, split: Split) -> Iterator[_Framed]:
    """Yield the lines of a split: between its bounds, each moved on to where a line begins."""
    begin, end = (line_begin(path, url, at) for at in (split.begin, split.end))
    with path.open("rb") as stored:
        stored.seek(begin)

        def read(size: int) -> bytes:
            at = stored.tell()
            block = stored.read(min(size, end - at))
            return block if at else _without_mark(block)

        lines = of_ndjson(read, url, limits.json_bytes, split.first, begin)
        for some in bounded(lines, limits.rows):
            yield _Framed("ndjson", some, (stored.tell() - begin) / (end - begin))


def _without_mark(beginning: bytes) -> bytes:
    """Return the beginning of a text with blanks for a byte order mark: offsets stay right."""
    return beginning.replace(_BOM, b"   ", 1) if beginning.startswith(_BOM) else beginning


def _header(beginning: bytes) -> Header | None:
    """Return the header of CSV; JSON is not looked at for one."""
    return None if beginning.lstrip()[:1] in {b"", b"{", b"["} else header(beginning)


def _form(
    beginning: bytes, url: str, key: str
) -> tuple[str, Callable[[Read, str, int], Iterator[Lines]]]:
    text = beginning.lstrip()
    if text.startswith(b"["):
        return "array", of_array
    if before := _wrapping(beginning, key):
        return "wrapped array", partial(of_array, before=before)
    if text.startswith(b"{") or not text:
        return "ndjson", of_ndjson
    what = "UTF-16 text" if beginning.startswith(_UTF16) else f"the bytes {beginning[:16]!r}"
    message = f"{url} is no timeline"
    hint = (
        "Expected Parquet, or NDJSON, a JSON array or CSV with the header of a timeline, "
        "in UTF-8, plain, gzip or zstd"
    )
    raise SourceError(message, hint=hint, sample=f"it begins with {what}")


def _wrapping(beginning: bytes, key: str) -> bytes:
    """Return what stands before the array of events in an object that wraps it, or nothing."""
    pattern = rb'"' + re.escape(key.encode()) + rb'"\s*:\s*(?=\[\s*[{\]])'
    first, _, rest = beginning.partition(b"\n")
    if _is_object(first) and rest.strip():
        return b""  # one of several lines that each are an event
    befores = (beginning[: match.end()] for match in re.finditer(pattern, beginning))
    return next((before for before in befores if _is_object(before + b"0}")), b"")


def _is_object(text: bytes) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _after(beginning: bytes, read: Read) -> Read:
    """Return a reader that gives the beginning again, then what follows."""
    waiting = [beginning]
    return lambda size: waiting.pop() if waiting else read(size)
