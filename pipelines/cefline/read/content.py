"""What a source is, by its content: the suffix of its name says nothing."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
from isal import igzip, isal_zlib

from cefline.errors import SourceError
from cefline.read.batch import EXPANSION_FREE, Chunk, Limits, Opened
from cefline.read.frames import Lines, bounded, of_array, of_ndjson
from cefline.read.ndjson import load, unknown_names
from cefline.read.parquet import open_parquet

_GZIP, _PARQUET = b"\x1f\x8b", b"PAR1"
_ZSTD = re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18")  # a frame, or one to be skipped
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_BOM = b"\xef\xbb\xbf"
_BEGINNING = 1 << 16
_DAMAGED = (EOFError, OSError, isal_zlib.error, pa.ArrowException)

Read = Callable[[int], bytes]


class _Framed(NamedTuple):
    form: str
    lines: Lines
    done: float


def open_source(path: Path, url: str, limits: Limits) -> Opened:
    """Open a local file, whichever of the known formats it holds.

    Raises:
        SourceError: it holds none of them, or is damaged in its beginning.
    """
    with path.open("rb") as file:
        if file.read(4) == _PARQUET:
            return open_parquet(path, url, limits)
    framed = _framed(path, url, limits)
    first = next(framed, None)
    if first is None:
        return Opened("empty", (), iter(()))
    chunks = (Chunk(partial(load, f.lines, url), f.done) for f in chain([first], framed))
    return Opened(first.form, unknown_names(first.lines.text), chunks)


def _framed(path: Path, url: str, limits: Limits) -> Iterator[_Framed]:
    total = max(path.stat().st_size, 1)
    with _text(path, url, limits.expansion) as (read, stored):
        beginning = read(_BEGINNING)
        if beginning.startswith(_BOM):
            beginning = beginning.replace(_BOM, b"   ", 1)  # blanks, so that offsets stay right
        form, frame = _form(beginning, url, limits.events_key)
        framed = frame(_after(beginning, read), url, limits.json_bytes)
        for lines in bounded(framed, limits.rows):
            yield _Framed(form, lines, stored() / total)


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
    message = f"{url} is no timeline: it begins with {what}"
    hint = "Expected Parquet, or NDJSON or a JSON array in UTF-8, plain, gzip or zstd"
    raise SourceError(message, hint=hint)


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
    return lambda size: waiting.pop() + read(size) if waiting else read(size)


@contextmanager
def _text(path: Path, url: str, expansion: int) -> Iterator[tuple[Read, Callable[[], int]]]:
    """Open a file as a reader of its text, and a teller of its place in the stored bytes."""
    with path.open("rb") as stored:
        magic = stored.read(4)
        stored.seek(0)
        if magic.startswith(_GZIP):
            text: Any = igzip.IGzipFile(fileobj=stored, mode="rb")  # type: ignore[no-untyped-call]  # has no types
        elif _ZSTD.match(magic):
            text = pa.CompressedInputStream(pa.PythonFile(stored, "r"), "zstd")
        else:
            text = stored

        most = max(path.stat().st_size * expansion, EXPANSION_FREE)
        total = 0

        def read(size: int) -> bytes:
            nonlocal total
            try:
                block = bytes(text.read(size))
            except _DAMAGED as err:  # type: ignore[misc]  # isal's error has no type
                message = f"{url} is damaged or cut off near byte {stored.tell()}: {err}"
                raise SourceError(message, hint="Export or copy it again") from err
            total += len(block)
            if total > most:
                message = f"{url} expands to more than {expansion} times its size"
                raise SourceError(message, hint="If that is right, raise max_expansion")
            return block

        yield read, stored.tell
