"""Parts wait on local disk until the whole source has been read: it is published whole or not."""

import errno
import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
from isal import isal_zlib

from cefline.errors import TryAgainError
from cefline.pack import BLOCK, GZIP_HEAD, Compression, Piece, deflated, gzip_tail

WAITING = 64 << 20
"""Bytes of text that may wait for their block to fill, over all partitions."""

_UNDER_WAY = 32
"""Blocks that are being compressed or wait to be written."""

_ZSTD_LEVEL, _GZIP_LEVEL = 1, 2

Compress = Callable[[memoryview | bytes], bytes | memoryview]


@dataclass(frozen=True, slots=True)
class Staged:
    """A part on local disk."""

    partition: str
    path: Path
    events: int
    first: int
    """Ordinal of the first event."""
    last: int
    text_bytes: int
    text_sha256: str


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


class _Blocks:
    """Compresses blocks side by side and appends them to their files in order."""

    def __init__(self, compress: Compress, pool: Executor) -> None:
        self._compress, self._pool = compress, pool
        self._queue: deque[tuple[Path, Future[bytes | memoryview]]] = deque()

    def add(self, part: _Part, block: memoryview | bytes) -> None:
        self._queue.append((part.path, self._pool.submit(self._compress, block)))
        self.drain(_UNDER_WAY)

    def drain(self, left: int = 0) -> None:
        while len(self._queue) > left:
            path, block = self._queue.popleft()
            with path.open("ab") as file:
                file.write(block.result())


def stage(
    pieces: Iterable[Piece],
    folder: Path,
    compression: Compression,
    level: int | None,
    pool: Executor,
) -> list[Staged]:
    """Write parts to a folder, their blocks compressed in the pool; return them in key order.

    Raises:
        TryAgainError: the disk is full.
    """
    blocks = _Blocks(_compressor(compression, level), pool)
    opened: dict[str, _Part] = {}
    parts: list[_Part] = []
    with _full_disk(folder):
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
        blocks.drain()
    # `/` follows a partition in its keys, and sorts after `-` and `.`.
    return [_staged(part) for part in sorted(parts, key=lambda p: (f"{p.partition}/", p.number))]


def _begin(piece: Piece, path: Path, compression: Compression) -> _Part:
    path.write_bytes(GZIP_HEAD if compression == "gzip" else b"")
    return _Part(piece.partition, piece.part, path, piece.first)


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
    if compression == "gzip":
        blocks.drain()
        with part.path.open("ab") as file:
            file.write(gzip_tail(part.crc32, part.size))


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
        return partial(deflated, level=min(_GZIP_LEVEL if level is None else level, 3))
    if compression == "zstd":
        return partial(_zstd, level=_ZSTD_LEVEL if level is None else level)
    return lambda block: block


def _zstd(block: memoryview | bytes, level: int) -> bytes:
    # A codec of its own: shared between threads, pyarrow's crash.
    return bytes(pa.Codec("zstd", compression_level=level).compress(block, asbytes=True))


@contextmanager
def _full_disk(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as err:
        if err.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        message = f"{folder}: the disk is full while parts are staged"
        hint = "Free some space, or set TMPDIR to a larger file system"
        raise TryAgainError(message, hint=hint) from err
