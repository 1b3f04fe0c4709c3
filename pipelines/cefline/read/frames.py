"""JSON text is cut into lines, one object each, without looking into them more than needed."""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import polars as pl
import pyarrow as pa

from cefline.errors import SourceError, TruncatedError

MAX_OBJECT = 256 << 20
"""A longer line or element fails the source: it is no timeline."""

_BLANK = re.compile(rb"[\s,]*")
_BLANKS = re.compile(rb"[ \t\r\n]{2,}")
_AFTER_ARRAY = 1 << 20
_AFTER_SCALAR = frozenset(",] \t\r\n")
_BREAKS = bytes.maketrans(b"\r\n", b"  ")


@dataclass(frozen=True, slots=True)
class Lines:
    """Whole lines, each ended by LF but perhaps the source's last one."""

    text: bytes
    first: int
    """Ordinal of the first line: line or element of the source, from 0."""
    offsets: tuple[int, ...]
    """Where the lines begin in the (decompressed) source: of each line, or of the first only,
    where they follow each other as they do in the source."""


def of_ndjson(
    read: Callable[[int], bytes], url: str, size: int, first: int = 0, offset: int = 0
) -> Iterator[Lines]:
    """Yield whole lines, about `size` bytes at a time, and what comes after the last LF.

    `first` and `offset` are the first line's place in the source.

    Raises:
        SourceError: a line is longer than `MAX_OBJECT`.
        TruncatedError: `read` raised it; what was read before has been yielded.
    """
    cut = None
    pending: list[bytes] = []
    while True:
        try:
            block = read(size)
        except TruncatedError as err:
            block, cut = b"", err
        if not block:
            break
        end = block.rfind(b"\n") + 1
        if not end:
            pending.append(block)
            _refuse_long(sum(map(len, pending)), f"{url}: the line at byte {offset}")
            continue
        text = b"".join([*pending, memoryview(block)[:end]])
        yield Lines(text, first, (offset,))
        first, offset = first + line_ends(text), offset + len(text)
        pending = [block[end:]]
    if rest := b"".join(pending):
        # What the damage cuts off is a line of its own: the source fails by the damage.
        yield Lines(rest + (b"\n" if cut else b""), first, (offset,))
    if cut is not None:
        raise cut


def of_array(
    read: Callable[[int], bytes], url: str, size: int, before: bytes = b""
) -> Iterator[Lines]:
    """Yield the elements of a JSON array as lines, about `size` bytes at a time.

    `before` is what stands before the array, in an object that wraps it.

    The memory it takes depends on `size` and on the longest element, not on the array.

    Raises:
        SourceError: an element is longer than `MAX_OBJECT`, or more follows the array.
        TruncatedError: the array breaks off, or is broken; the elements before were yielded.
    """
    window, start, first = read(size), 0, 0
    at = window.index(b"[", len(before)) + 1
    while True:
        try:
            ends, closed = _elements(window, at)
        except RecursionError as err:
            message = (
                f"{url}: an element of the array is nested too deeply, after byte {start + at}"
            )
            raise SourceError(message, hint="Expected events, one object each") from err
        if ends:
            elements = [window[a:b].translate(_BREAKS) for a, b in ends]
            offsets = tuple(start + a for a, _ in ends)
            yield Lines(b"\n".join([*elements, b""]), first, offsets)
            first, at = first + len(ends), ends[-1][1]
        if closed:
            _refuse_rest(window[closed:], read, url, before)
            return
        _refuse_long(len(window) - at, f"{url}: the element at byte {start + at}")
        # What is left over doubles at most, so that a long element is not scanned over and over.
        more = read(max(size, len(window) - at))
        if not more:
            message = f"{url}: the JSON array breaks off or is broken at element {first}, byte {start + at}"  # noqa: E501 - one text
            raise TruncatedError(message)
        window, start, at = window[at:] + more, start + at, 0


def origin(ordinals: pl.Series, lines: Lines) -> pl.DataFrame:
    """Return `ordinal`, `line` (from 1), `offset` and `raw` bytes (without LF) of some lines."""
    split = lines.text.removesuffix(b"\n").split(b"\n")
    offsets = pl.Series(lines.offsets, dtype=pl.Int64)
    if len(offsets) < len(split):
        lengths = pl.Series([len(line) + 1 for line in split], dtype=pl.Int64)
        offsets = lengths.cum_sum() - lengths + lines.offsets[0]
    places = ordinals - lines.first
    raw = pl.Series([split[place] for place in places], dtype=pl.Binary)
    return pl.DataFrame(
        {"ordinal": ordinals, "line": ordinals + 1, "offset": offsets.gather(places), "raw": raw}
    )


def bounded(framed: Iterable[Lines], rows: int) -> Iterator[Lines]:
    """Cut lines so that there are at most `rows` together: short ones make wide frames."""
    for lines in framed:
        if line_ends(lines.text) <= rows:
            yield lines
            continue
        split = _kept_ends(lines.text)
        offset = lines.offsets[0]
        for start in range(0, len(split), rows):
            text = b"".join(split[start : start + rows])
            each = len(lines.offsets) == len(split)
            offsets = lines.offsets[start : start + rows] if each else (offset,)
            yield Lines(text, lines.first + start, offsets)
            offset += len(text)


def line_ends(text: bytes) -> int:
    """Count LF, three times as quick as `bytes.count`."""
    data = pa.Array.from_buffers(pa.uint8(), len(text), [None, pa.py_buffer(text)])
    return int((pl.Series(data) == ord("\n")).sum())


def _kept_ends(text: bytes) -> list[bytes]:
    """Return lines with their LF; nothing else ends one."""
    split = [line + b"\n" for line in text.split(b"\n")]
    last = split.pop()[:-1]
    return [*split, last] if last else split


def _refuse_rest(rest: bytes, read: Callable[[int], bytes], url: str, before: bytes) -> None:
    """Make sure that nothing is lost after the array: only what ends the object around it."""
    rest = _BLANKS.sub(b" ", rest)
    while len(rest) <= _AFTER_ARRAY and (more := read(_AFTER_ARRAY)):
        rest = _BLANKS.sub(b" ", rest + more)  # however many there are, what follows is seen
    rest = rest.strip()
    if before:
        try:
            keys = _keys(before + b"0" + rest[: _AFTER_ARRAY + 1])
        except (ValueError, RecursionError) as err:
            message = f"{url}: the object around the array of events is broken after it: {err}"
            raise TruncatedError(message) from err
        if keys.count(key := _keys(before + b"0}")[-1]) > 1:
            message = f"{url}: the object around the array of events has {key!r} twice"
            raise SourceError(message, hint="Export it again with one array of events")
    elif rest:
        message = f"{url}: after the JSON array there is more"
        hint = "Expected one array, or one object a line without an array"
        raise SourceError(message, hint=hint, sample=repr(rest[:40]))


def _keys(text: bytes) -> list[str]:
    return [key for key, _ in json.loads(text, object_pairs_hook=list)]


def _elements(window: bytes, at: int) -> tuple[list[tuple[int, int]], int]:
    """Return where whole elements begin and end in the window, and where the array ends, or 0."""
    text = window.decode("latin-1")  # a character a byte: JSON's own signs are ASCII
    ends: list[tuple[int, int]] = []
    while True:
        begin = _blank_end(window, at)
        if window[begin : begin + 1] == b"]":
            return ends, begin + 1
        try:
            _, end = _DECODER.raw_decode(text, begin)
        except ValueError:
            return ends, 0
        if text[end - 1] not in '}]"' and text[end : end + 1] not in _AFTER_SCALAR:
            return ends, 0  # perhaps only the beginning of a number
        ends.append((begin, end))
        at = end


def _blank_end(window: bytes, at: int) -> int:
    match = _BLANK.match(window, at)
    return match.end() if match else at


def _refuse_long(length: int, what: str) -> None:
    if length > MAX_OBJECT:
        message = f"{what} is longer than {MAX_OBJECT} bytes"
        raise SourceError(message, hint="Expected one JSON object for each event")


_DECODER = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)
