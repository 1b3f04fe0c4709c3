"""CEF text that lies in files, read in bounded pieces, whichever way it is compressed."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, Literal, NamedTuple, cast

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Compression = Literal["gzip", "zstd", "none"]

CHUNK = 4 << 20


class Sizes(NamedTuple):
    """What lies in a folder."""

    lines: int
    text_bytes: int
    stored_bytes: int


def files(place: Path) -> list[Path]:
    """Return a file, or the files of a folder in the order of their names."""
    return [place] if place.is_file() else sorted(p for p in place.rglob("*") if p.is_file())


def opened(path: Path, compression: Compression) -> BinaryIO:
    """Open a file of CEF text for reading its text."""
    if compression == "gzip":
        from isal import igzip

        file = igzip.open(path, "rb")  # type: ignore[no-untyped-call]  # isal types only its rest
        return cast("BinaryIO", file)  # by its mode
    if compression == "zstd":
        import pyarrow as pa

        return cast("BinaryIO", pa.input_stream(str(path), compression="zstd"))  # untyped
    return path.open("rb")


def chunks(place: Path, compression: Compression) -> Iterator[bytes]:
    """Yield the text of a file or a folder in bounded pieces."""
    for path in files(place):
        with opened(path, compression) as file:
            while chunk := file.read(CHUNK):
                yield chunk


def blocks(place: Path, compression: Compression) -> Iterator[bytes]:
    """Yield the text of a file or a folder in pieces of whole lines."""
    rest = b""
    for chunk in chunks(place, compression):
        whole, end, tail = chunk.rpartition(b"\n")
        if end:
            yield rest + whole + end
        rest = tail if end else rest + tail
    if rest:
        yield rest


def sizes(place: Path, compression: Compression) -> Sizes:
    """Count the lines and bytes of a file or a folder."""
    lines = size = 0
    for chunk in chunks(place, compression):
        lines += chunk.count(b"\n")
        size += len(chunk)
    return Sizes(lines, size, sum(path.stat().st_size for path in files(place)))
