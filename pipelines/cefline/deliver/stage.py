"""Parts wait on local disk until the whole source has been read: it is published whole or not."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, ParamSpec, TypeVar

import pyarrow as pa
from blake3 import blake3
from isal import isal_zlib

from cefline.deliver.staging import Staged
from cefline.errors import TryAgainError, of_system
from cefline.pack import BLOCK, GZIP_HEAD, deflated, gzip_tail

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from cefline.pack import Compression, Piece

P = ParamSpec("P")
T = TypeVar("T")

WAITING = 64 << 20
"""Bytes of text that may wait for their block to fill, over all partitions."""

_UNDER_WAY = 16
"""Blocks that are being compressed or wait to be written."""

_GZIP_LEVEL = 2


def check_space(folder: Path, written: int, most: int | None) -> None:
    """Make sure that what is staged takes no more than it may.

    Raises:
        TryAgainError: it does.
    """
    if most is not None and written > most:
        message = f"{folder}: more than {most} bytes would be staged"
        raise TryAgainError(message, hint="Raise staging_max")


Compress = Callable[[memoryview | bytearray], bytes]


@dataclass(slots=True)
class _Part:
    """A part that is being written: its text is taken here, its file belongs to the writer."""

    partition: str
    number: int
    first: int
    file: _File
    last: int = 0
    events: int = 0
    waiting: bytearray = field(default_factory=bytearray)
    """Text of a block that is not full yet."""
    stored: Future[_Stored] | None = None


class _File:
    """The file of a part, written in order, and what is known of it."""

    def __init__(self, path: Path, compression: Compression) -> None:
        self.path, self._compression = path, compression
        self._text, self._crc32, self._size = blake3(), 0, 0
        self._sha256 = hashlib.sha256()
        path.touch(exist_ok=False)  # never one that is there: an object may be linked to it
        self._frame: pa.NativeFile | None = None
        if compression == "zstd":  # the one frame of the part: simple readers stop after the first
            self._frame = pa.CompressedOutputStream(pa.OSFile(str(path), "wb"), "zstd")
        elif compression == "gzip":
            self._write(GZIP_HEAD)

    def append(self, text: memoryview | bytearray, stored: memoryview | bytearray | bytes) -> None:
        """Append a block as it is stored; a zstd frame compresses it itself."""
        self._text.update(text)
        self._size += len(text)
        if self._frame is not None:
            self._frame.write(stored)
            return
        if self._compression == "gzip":
            self._crc32 = isal_zlib.crc32(text, self._crc32)
        self._write(stored)

    def finish(self) -> _Stored:
        """End the file and sync it: by the time it is published that takes no waiting."""
        if self._frame is not None:
            self._frame.close()
        elif self._compression == "gzip":
            self._write(gzip_tail(self._crc32, self._size))
        with self.path.open("rb+") as file:
            os.fsync(file.fileno())
            stored = file.seek(0, os.SEEK_END)
            file.seek(0)
            digest = self._sha256 if self._frame is None else hashlib.file_digest(file, "sha256")
        return _Stored(self._size, self._text.hexdigest(), stored, digest.hexdigest())

    def _write(self, stored: memoryview | bytearray | bytes) -> None:
        with self.path.open("ab") as file:
            file.write(stored)
        self._sha256.update(stored)


class _Stored(NamedTuple):
    """Sizes and digests of a part that is whole."""

    text_bytes: int
    text_blake3: str
    stored_bytes: int
    stored_sha256: str


class _Writer:
    """Compresses blocks side by side; hashes and appends them in order, in a thread of its own."""

    def __init__(self, compress: Compress | None, pool: Executor, most: int | None) -> None:
        self._compress, self._pool = compress, pool
        self._most, self._written = most, 0
        self._thread = ThreadPoolExecutor(1)
        self._queue: deque[Future[Any]] = deque()

    def add(self, file: _File, text: memoryview | bytearray) -> None:
        """Append a block of text to its file, sooner or later."""
        compressed = self._pool.submit(self._compress, text) if self._compress else None
        self._do(self._append, file, text, compressed)

    def finish(self, file: _File) -> Future[_Stored]:
        """End a file after its last block."""
        return self._do(file.finish)

    def close(self) -> None:
        """Wait until all is written, or leave the rest where it failed."""
        self._thread.shutdown(cancel_futures=True)

    def wait(self, left: int = 0) -> None:
        """Wait until only so many blocks are under way.

        Raises:
            OSError: one could not be written.
            TryAgainError: they take more than they may.
        """
        while len(self._queue) > left:
            self._queue.popleft().result()

    def _do(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future = self._thread.submit(function, *args, **kwargs)
        self._queue.append(future)
        self.wait(_UNDER_WAY)
        return future

    def _append(
        self, file: _File, text: memoryview | bytearray, compressed: Future[bytes] | None
    ) -> None:
        stored = text if compressed is None else compressed.result()
        file.append(text, stored)
        self._written += len(stored)
        check_space(file.path.parent, self._written, self._most)


def stage(
    pieces: Iterable[Piece],
    folder: Path,
    compression: Compression,
    pool: Executor,
    *,
    level: int | None = None,
    most: int | None = None,
) -> list[Staged]:
    """Write parts to a folder, their blocks compressed in the pool; return them in key order.

    Args:
        pieces: text, part by part within each partition.
        folder: where the files go.
        compression: of the parts.
        pool: where blocks are compressed.
        level: of the compression; None is its default.
        most: bytes that they may take together; None is all there are.

    Raises:
        TryAgainError: the disk is full, or they take more than `most`.
    """
    writer = _Writer(_compressor(compression, level), pool, most)
    opened: dict[str, _Part] = {}
    parts: list[_Part] = []
    try:
        for piece in pieces:
            part = opened.get(piece.partition)
            if part is None or part.number != piece.part:
                if part is not None:
                    _finish(part, writer)
                file = _File(folder / f"{len(parts):06d}", compression)
                part = _Part(piece.partition, piece.part, piece.first, file)
                opened[piece.partition] = part
                parts.append(part)
            _append(part, piece, writer)
            _relieve(opened, writer)
        for part in opened.values():
            _finish(part, writer)
        writer.wait()
    except OSError as err:
        raise of_system(err, str(folder)) from err
    finally:
        writer.close()
    # `/` follows a partition in its keys, and sorts after `-` and `.`.
    return [_staged(part) for part in sorted(parts, key=lambda p: (f"{p.partition}/", p.number))]


def _append(part: _Part, piece: Piece, writer: _Writer) -> None:
    """Take a piece's text into a part; blocks are cut every `BLOCK` bytes of the part's text."""
    part.events += piece.events
    part.last = max(part.last, piece.last)
    text = piece.text
    if part.waiting:
        room = BLOCK - len(part.waiting)
        part.waiting += text[:room]
        text = text[room:]
        if len(part.waiting) == BLOCK:
            _flush(part, writer)
    while len(text) >= BLOCK:
        writer.add(part.file, text[:BLOCK])
        text = text[BLOCK:]
    part.waiting += text  # a copy: a view would hold the whole slice in memory


def _flush(part: _Part, writer: _Writer) -> None:
    block, part.waiting = part.waiting, bytearray()
    writer.add(part.file, block)


def _relieve(opened: dict[str, _Part], writer: _Writer) -> None:
    """Compress the fullest partition's text before its block is full, where too much waits."""
    if len(opened) * BLOCK > WAITING and sum(len(p.waiting) for p in opened.values()) > WAITING:
        _flush(max(opened.values(), key=lambda part: len(part.waiting)), writer)


def _finish(part: _Part, writer: _Writer) -> None:
    if part.waiting:
        _flush(part, writer)
    part.stored = writer.finish(part.file)


def _staged(part: _Part) -> Staged:
    told = part.stored.result()._asdict() if part.stored else {}
    return Staged(part.partition, part.file.path, part.events, part.first, part.last, **told)


def _compressor(compression: Compression, level: int | None) -> Compress | None:
    if compression == "gzip":
        return partial(deflated, level=_GZIP_LEVEL if level is None else level)
    return None
