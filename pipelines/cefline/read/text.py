"""The text of a source that is no Parquet, whether it is compressed or not, a piece at a time."""

import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
from isal import igzip, isal_zlib

from cefline.errors import SourceError, TruncatedError
from cefline.read.batch import EXPANSION_FREE, Limits

Read = Callable[[int], bytes]

_GZIP = b"\x1f\x8b"
_ZSTD = re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18")  # a frame, or one to be skipped
_PIECE = 256 << 10
_SMALL = 1 << 10
_DAMAGED = (EOFError, OSError, isal_zlib.error, pa.ArrowException)


def is_compressed(magic: bytes) -> bool:
    """Whether a file that begins so is gzip or zstd."""
    return magic.startswith(_GZIP) or _ZSTD.match(magic) is not None


@contextmanager
def opened_text(path: Path, url: str, limits: Limits) -> Iterator[tuple[Read, Callable[[], int]]]:
    """Open a file as a reader of its text, and a teller of its place in the stored bytes."""
    most = max(path.stat().st_size * limits.expansion, EXPANSION_FREE)
    with path.open("rb") as stored:
        text = _decompressed(stored)  # held here: the last one to let go closes the file
        size = limits.json_bytes if text is stored else _PIECE  # in one go, where that is safe
        pieces, total = _pieces(text, stored, url, size, salvage=limits.accept_truncated), 0
        cut: list[TruncatedError] = []

        def read(size: int) -> bytes:
            """Return about so many bytes; all that come before the damage, if there is some."""
            nonlocal total
            block: list[bytes] = []
            before = total
            while total < before + size and not cut:
                try:
                    block.append(next(pieces))
                    total += len(block[-1])
                except StopIteration:
                    break
                except TruncatedError as err:
                    cut.append(err)
            if cut and total == before:
                raise cut[0]
            if total > most:
                message = f"{url} expands to more than {limits.expansion} times its size"
                raise SourceError(message, hint="If that is right, raise max_expansion")
            return b"".join(block)

        yield read, stored.tell


def _decompressed(stored: BinaryIO) -> Any:  # noqa: ANN401 - libraries' own readers
    magic = stored.read(4)
    stored.seek(0)
    if magic.startswith(_GZIP):
        return igzip.IGzipFile(fileobj=stored, mode="rb")  # type: ignore[no-untyped-call]  # has no types
    if _ZSTD.match(magic):
        return pa.CompressedInputStream(pa.PythonFile(stored, "r"), "zstd")
    return stored


def _pieces(
    text: Any,  # noqa: ANN401 - as above
    stored: BinaryIO,
    url: str,
    size: int,
    *,
    salvage: bool,
) -> Iterator[bytes]:
    """Yield text a piece at a time; what is whole of the last one, where that is asked for.

    Raises:
        TruncatedError: it is damaged.
    """
    done = 0
    try:
        while piece := text.read1(size):
            yield piece
            done += len(piece)
    except _DAMAGED as err:  # type: ignore[misc]  # isal's error has no type
        message = f"{url} is damaged or cut off near byte {stored.tell()}: {err}"
        if salvage:
            yield from _salvaged(stored, done)
        raise TruncatedError(message) from err


def _salvaged(stored: BinaryIO, done: int) -> Iterator[bytes]:
    """Yield what follows `done` bytes of text up to the damage: readers lose their last piece."""
    with Path(stored.name).open("rb") as again:
        gzip = again.read(2) == _GZIP
        again.seek(0)
        for text in _members(again) if gzip else _frames(again, done):
            yield text[done:]
            done = max(done - len(text), 0)


def _members(stored: BinaryIO) -> Iterator[bytes]:
    decoder = zlib.decompressobj(wbits=31)
    while block := stored.read(_SMALL):
        while block:
            try:
                yield decoder.decompress(block)
            except zlib.error:
                return
            block = decoder.unused_data.lstrip(b"\0")
            if decoder.eof:
                decoder = zlib.decompressobj(wbits=31)


def _frames(stored: BinaryIO, done: int) -> Iterator[bytes]:
    stream = pa.CompressedInputStream(pa.PythonFile(stored, "r"), "zstd")
    with suppress(EOFError, OSError, pa.ArrowException):
        while text := stream.read(min(max(done, 1), _PIECE)):  # one that fails loses all of it
            yield text
            done -= len(text)
