"""Parts wait on local disk until the whole source has been read: it is published whole or not."""

import hashlib
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
from isal import isal_zlib

from cefline.deliver.staging import Staged
from cefline.errors import TryAgainError, of_system
from cefline.pack import BLOCK, GZIP_HEAD, Compression, Piece, deflated, gzip_tail

WAITING = 64 << 20
"""Bytes of text that may wait for their block to fill, over all partitions."""

_UNDER_WAY = 32
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


Compress = Callable[[memoryview | bytes], bytes | memoryview]


@dataclass(slots=True)
class _Part:
    """A part that is being written."""

    partition: str
    number: int
    path: Path
    first: int
    last: int = 0
    events: int = 0
    size: int = 0
    crc32: int = 0
    digest: Any = field(default_factory=hashlib.sha256)
    waiting: bytearray = field(default_factory=bytearray)
    frame: pa.NativeFile | None = None
    """The one zstd frame of the part: simple readers stop after the first."""

    def append(self, block: memoryview | bytes) -> None:
        """Append a compressed block to the file, or a plain one to the zstd frame."""
        if self.frame is not None:
            self.frame.write(block)
            return
        with self.path.open("ab") as file:
            file.write(block)


class _Blocks:
    """Compresses blocks side by side and appends them to their files in order."""

    def __init__(self, compress: Compress, pool: Executor, folder: Path, most: int | None) -> None:
        self._compress, self._pool = compress, pool
        self._folder, self._most, self._written = folder, most, 0
        self._queue: deque[tuple[_Part, Future[bytes | memoryview]]] = deque()

    def add(self, part: _Part, block: memoryview | bytes) -> None:
        """Compress a block and append it to its part, sooner or later."""
        self._queue.append((part, self._pool.submit(self._compress, block)))
        self.drain(_UNDER_WAY)

    def drain(self, left: int = 0) -> None:
        """Append blocks until only so many are under way."""
        while len(self._queue) > left:
            part, waiting = self._queue.popleft()
            block = waiting.result()
            part.append(block)
            self._written += len(block)
            check_space(self._folder, self._written, self._most)


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
    blocks = _Blocks(_compressor(compression, level), pool, folder, most)
    opened: dict[str, _Part] = {}
    parts: list[_Part] = []
    try:
        for piece in pieces:
            part = opened.get(piece.partition)
            if part is None or part.number != piece.part:
                if part is not None:
                    _finish(part, blocks, compression)
                part = _begin(piece, folder / f"{len(parts):06d}", compression)
                opened[piece.partition] = part
                parts.append(part)
            _append(part, piece, blocks)
            _relieve(opened, blocks)
        for part in opened.values():
            _finish(part, blocks, compression)
    except OSError as err:
        raise of_system(err, str(folder)) from err
    # `/` follows a partition in its keys, and sorts after `-` and `.`.
    return [_staged(part) for part in sorted(parts, key=lambda p: (f"{p.partition}/", p.number))]


def _begin(piece: Piece, path: Path, compression: Compression) -> _Part:
    with path.open("xb") as file:  # never one that is there: an object may be linked to it
        file.write(GZIP_HEAD if compression == "gzip" else b"")
    part = _Part(piece.partition, piece.part, path, piece.first)
    if compression == "zstd":
        part.frame = pa.CompressedOutputStream(pa.OSFile(str(path), "wb"), "zstd")
    return part


def _append(part: _Part, piece: Piece, blocks: _Blocks) -> None:
    """Take a piece's text into a part; blocks are cut every `BLOCK` bytes of the part's text."""
    part.digest.update(piece.text)
    part.crc32 = isal_zlib.crc32(piece.text, part.crc32)
    part.size += len(piece.text)
    part.events += piece.events
    part.last = max(part.last, piece.last)
    text = piece.text
    if part.waiting:
        room = BLOCK - len(part.waiting)
        part.waiting += text[:room]
        text = text[room:]
        if len(part.waiting) == BLOCK:
            blocks.add(part, bytes(part.waiting))
            part.waiting.clear()
    while len(text) >= BLOCK:
        blocks.add(part, text[:BLOCK])
        text = text[BLOCK:]
    part.waiting += text  # a copy: a view would hold the whole slice in memory


def _relieve(opened: dict[str, _Part], blocks: _Blocks) -> None:
    """Compress the fullest partition's text before its block is full, where too much waits."""
    if len(opened) * BLOCK > WAITING and sum(len(p.waiting) for p in opened.values()) > WAITING:
        fullest = max(opened.values(), key=lambda part: len(part.waiting))
        blocks.add(fullest, bytes(fullest.waiting))
        fullest.waiting.clear()


def _finish(part: _Part, blocks: _Blocks, compression: Compression) -> None:
    if part.waiting:
        blocks.add(part, bytes(part.waiting))
        part.waiting.clear()
    blocks.drain()
    if part.frame is not None:
        part.frame.close()
    elif compression == "gzip":
        part.append(gzip_tail(part.crc32, part.size))


def _staged(part: _Part) -> Staged:
    return Staged(
        part.partition,
        part.path,
        part.events,
        part.first,
        part.last,
        part.size,
        part.digest.hexdigest(),
    )


def _compressor(compression: Compression, level: int | None) -> Compress:
    if compression == "gzip":
        return partial(deflated, level=_GZIP_LEVEL if level is None else level)
    return lambda block: block
