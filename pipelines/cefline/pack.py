"""Lines are grouped by partition and cut into parts; text becomes the bytes of an object.

Parts are cut greedily by line bytes in row order, so batches, slices and threads never show.
"""

import hashlib
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Literal, NamedTuple

import polars as pl
import pyarrow as pa
from blake3 import blake3
from isal import isal_zlib

from cefline.errors import SourceError
from cefline.records import as_text
from cefline_schemas.arcsight import TAKES
from cefline_schemas.dialects import DIALECTS
from cefline_schemas.dictionary import FITS, OWN_PREFIX
from cefline_schemas.timeline import FIELDS

Compression = Literal["gzip", "zstd", "none"]

_TABLE = [(f.name, f.type, f.names, f.cado, f.members) for f in FIELDS]
_NAMES = [(d.name, [f.names for f in d.fields], d.unit, d.parts) for d in DIALECTS.values()]
_TABLES: dict[str, object] = {
    "cado": (_TABLE, _NAMES),
    "dictionary": (
        _TABLE,
        _NAMES,
        [replace(f.dictionary, why="") for f in FIELDS],
        FITS,
        OWN_PREFIX,
    ),
}
_TABLES |= {f"{profile}+keys": (table, FITS, TAKES) for profile, table in _TABLES.items()}
TEXT_FORMAT = {
    profile: f"1-{hashlib.sha256(repr(table).encode()).hexdigest()[:8]}"
    for profile, table in _TABLES.items()
}
"""Version of the text of parts of a profile: the first part is raised when a rule changes, the
second changes with the field table and the dialects. The same source, settings and version give
the same text."""

BLOCK = 1 << 20
"""Text of a compressed block: 1 % larger than one stream, and blocks are independent."""

SUFFIX: dict[Compression, str] = {"gzip": ".cef.gz", "zstd": ".cef.zst", "none": ".cef"}
CONTENT_TYPE: dict[Compression, str] = {
    "gzip": "application/x-gzip",
    "zstd": "application/zstd",
    "none": "text/plain; charset=utf-8",
}
"""With `x-gzip` and the suffix, and no Content-Encoding, each of Cribl, Vector, Elastic, Logstash
and Sumo knows what it has."""


LONG_RUN = 16 << 10
"""Lines of one partition with so much text in a run, on average, are not brought together with
others of theirs: that copies all text."""


class Slice(NamedTuple):
    """Some lines in row order."""

    lines: pa.LargeStringArray
    """Each with the LF that ends it."""
    ordinals: pl.Series
    """Place of each line's event in the source (Int64)."""
    partitions: pa.DictionaryArray
    """The folder of each line's partition."""
    split: int = 1
    """Which split of the source they are from: each has parts of its own."""


class Piece(NamedTuple):
    """Text that belongs together in one part; a part has one or more."""

    partition: str
    part: int
    """Which part of its partition, from 0."""
    text: memoryview
    events: int
    first: int
    """Ordinal of the first event."""
    last: int


def pack(slices: Iterable[Slice], part_size: int, max_partitions: int) -> Iterator[Piece]:
    """Cut lines into pieces of parts of at most `part_size` bytes; more only for a single line.

    A part holds lines of one split.

    Raises:
        SourceError: there are more partitions than `max_partitions`.
    """
    filled: dict[str, tuple[int, int, int]] = {}
    for one in slices:
        for partition, lines, ordinals in _groups(one):
            split, part, size = filled.get(partition, (one.split, 0, 0))
            if split != one.split:
                part, size = part + 1, 0
            for start, stop, room_left in _cuts(_offsets(lines), part_size, size):
                if not room_left:
                    part, size = part + 1, 0
                text = line_text(lines.slice(start, stop - start))
                size += len(text)
                yield Piece(
                    partition, part, text, stop - start, ordinals[start], ordinals[stop - 1]
                )
            filled[partition] = one.split, part, size
        check_partitions(len(filled), max_partitions)


def check_partitions(found: int, most: int) -> None:
    """Make sure that a source has no more partitions than it may.

    Raises:
        SourceError: it has.
    """
    if found > most:
        message = f"the events fall into more than {most} partitions"
        hint = "Partition by a column of fewer values, or raise max_partitions"
        raise SourceError(message, hint=hint)


def _groups(one: Slice) -> Iterator[tuple[str, pa.LargeStringArray, pl.Series]]:
    """Yield the lines of each partition in row order: long runs as they are, without a copy."""
    codes = pl.Series("code", one.partitions.indices)
    lines, ordinals, runs = one.lines, one.ordinals, codes.rle()
    if len(runs) > 1 and len(runs) * LONG_RUN > lines.nbytes:
        ordered = codes.to_frame().with_row_index("row").sort("code", maintain_order=True)
        lines = as_text(pl.Series(lines).gather(ordered["row"]))
        ordinals, runs = ordinals.gather(ordered["row"]), ordered["code"].rle()
    start = 0
    for count, code in runs.struct.unnest().rows():
        partition = one.partitions.dictionary[code].as_py()
        yield partition, lines.slice(start, count), ordinals.slice(start, count)
        start += count


def _cuts(ends: pl.Series, part_size: int, filled: int) -> Iterator[tuple[int, int, bool]]:
    """Yield start and stop of the lines of each part, and whether it is the part already begun.

    Args:
        ends: where the lines end in their buffer; where the first begins comes first.
        part_size: bytes of a part at most.
        filled: bytes of the part already begun; an empty one takes a line of any length.
    """
    start, begun = 0, True
    while start < len(ends) - 1:
        room = int(ends[start]) + min(part_size, 1 << 60) - filled
        stop = int(ends.search_sorted(room, side="right")) - 1
        if stop <= start and filled == 0:
            stop = start + 1
        if stop > start:
            yield start, stop, begun
        start, filled, begun = max(start, stop), 0, False


def line_text(lines: pa.LargeStringArray) -> memoryview:
    """Return the text of lines that follow each other: a view of their Arrow buffer."""
    offsets = _offsets(lines)
    return memoryview(lines.buffers()[2])[offsets[0] : offsets[-1]]


def _offsets(lines: pa.LargeStringArray) -> pl.Series:
    stored = [None, lines.buffers()[1]]
    return pl.Series(pa.Array.from_buffers(pa.int64(), len(lines) + 1, stored, offset=lines.offset))


# The bytes of an object. A gzip part is one member (some readers misread several) whose deflate
# blocks were compressed independently, each ended by a full flush.

GZIP_HEAD = bytes.fromhex("1f8b08000000000000ff")
"""No time stamp, no name, unknown system: the same text gives the same bytes."""

_DEFLATE_END = b"\x03\x00"


def deflated(text: memoryview | bytes, level: int) -> bytes:
    """Return an independent run of deflate blocks, to be followed by others or by the tail."""
    stream = isal_zlib.compressobj(level, wbits=-15)
    return bytes(stream.compress(text) + stream.flush(isal_zlib.Z_FULL_FLUSH))


def gzip_tail(crc32: int, size: int) -> bytes:
    """Return what ends a member whose text has this checksum and size."""
    return _DEFLATE_END + struct.pack("<II", crc32, size & 0xFFFFFFFF)


def compressed(text: bytes, compression: Compression) -> bytes:
    """Return the object of a short text."""
    if compression == "gzip":
        return GZIP_HEAD + deflated(text, 0) + gzip_tail(isal_zlib.crc32(text), len(text))
    if compression == "zstd":
        sink = pa.BufferOutputStream()
        with pa.CompressedOutputStream(sink, "zstd") as stream:
            stream.write(text)
        return bytes(sink.getvalue())
    return text


def text_digest(text: bytes) -> str:
    """Return the digest of a part's text: BLAKE3, a fifth of SHA-256's time for all that is read.

    It tells whether two parts are the same, however they are compressed. What lies in the
    destination is told by the SHA-256 of the stored bytes, which S3 checks as well.
    """
    return blake3(text).hexdigest()


def text_of(body: bytes) -> bytes:
    """Return the text of an object, whichever way it is compressed.

    Raises:
        zlib.error, ArrowException, OSError: it is damaged, or more follows it.
    """
    if body.startswith(b"\x1f\x8b"):
        stream = zlib.decompressobj(wbits=31)
        text = stream.decompress(body) + stream.flush()
        if not stream.eof or stream.unused_data:
            message = "the gzip member is cut off, or more follows it"
            raise zlib.error(message)
        return text
    if body.startswith(b"\x28\xb5\x2f\xfd"):
        with pa.CompressedInputStream(pa.BufferReader(body), "zstd") as stream:
            return bytes(stream.read())
    return body


BROKEN = (zlib.error, pa.ArrowException, OSError)
"""What `text_of` raises."""
