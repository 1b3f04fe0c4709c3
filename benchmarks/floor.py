"""The floor: what any program pays that reads the Parquet file and writes the text as gzip.

It decodes the same columns with the same dictionaries as cefline's reader does, reads the text that
cefline has made of them from a file, compresses it as cefline does (isal, level 2, blocks of 1 MiB,
in as many threads as there are cores) and writes it. Nothing is converted, escaped, hashed, cut
into parts or published.

Run as: `python benchmarks/floor.py SOURCE TEXT OUT --threads 2`
"""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING

from isal import isal_zlib

from cefline.convert import in_order
from cefline.pack import BLOCK, GZIP_HEAD, deflated, gzip_tail
from cefline.read import Limits
from cefline.read.parquet import open_parquet

if TYPE_CHECKING:
    from collections.abc import Iterator

LEVEL = 2
AHEAD = 32
"""Blocks that are being compressed or wait to be written, as many as cefline has."""


def blocks(file: IO[bytes]) -> Iterator[bytes]:
    """Yield a file's text in blocks."""
    while block := file.read(BLOCK):
        yield block


def decoded(source: Path) -> Iterator[float]:
    """Decode the source batch by batch; yield how much of it is behind each, 0 to 1."""
    for chunk in open_parquet(source, str(source), Limits()).chunks:
        yield chunk.done
    yield 1.0


def write(source: Path, text: Path, out: Path, threads: int) -> None:
    """Decode the source, and write its text compressed, each as far as the other is."""
    size, crc32, read = text.stat().st_size, 0, 0

    def summed(file: IO[bytes]) -> Iterator[bytes]:
        nonlocal crc32, read
        for block in blocks(file):
            crc32, read = isal_zlib.crc32(block, crc32), read + len(block)
            yield block

    with text.open("rb") as file, out.open("wb") as written, ThreadPoolExecutor(threads) as pool:
        written.write(GZIP_HEAD)
        compressed = in_order(pool, partial(deflated, level=LEVEL), summed(file), AHEAD)
        for done in decoded(source):
            while read < done * size and (block := next(compressed, b"")):
                written.write(block)
        for block in compressed:
            written.write(block)
        written.write(gzip_tail(crc32, size))


def main() -> None:
    """Read and write what the command line names."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("text", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    write(args.source, args.text, args.out, args.threads)


if __name__ == "__main__":
    main()
