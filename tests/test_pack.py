"""Packing: parts depend on lines alone, and a compressed part is one whole member."""

from __future__ import annotations

import gzip
import itertools
import zlib
from typing import TYPE_CHECKING, NamedTuple
from unittest import mock

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from isal import igzip, isal_zlib

from cefline.errors import SourceError
from cefline.pack import GZIP_HEAD, LONG_RUN, Piece, Slice, deflated, gzip_tail, line_text, pack

if TYPE_CHECKING:
    from collections.abc import Iterable

LINES = st.lists(
    st.tuples(st.text("aé", max_size=8).map(lambda text: f"{text}\n"), st.sampled_from("ABC")),
    max_size=40,
)
CUTS = st.lists(st.integers(0, 40), max_size=8)


class Part(NamedTuple):
    text: bytes
    events: int
    first: int
    last: int


Parts = dict[tuple[str, int], Part]


def sliced(lines: list[tuple[str, str]], cuts: list[int]) -> list[Slice]:
    """Cut lines into slices, as views of one array: their offsets don't begin at zero."""
    text = pa.array([line for line, _ in lines], pa.large_string())
    ordinals = pl.Series([3 * n for n in range(len(lines))], dtype=pl.Int64)  # rejects leave gaps
    folders = pa.array([folder for _, folder in lines], pa.large_string()).dictionary_encode()
    ends = sorted({0, len(lines), *(cut for cut in cuts if cut < len(lines))})
    return [
        Slice(text.slice(a, b - a), ordinals.slice(a, b - a), folders.slice(a, b - a))
        for a, b in itertools.pairwise(ends)
    ]


def fresh(slices: Iterable[Slice]) -> list[Slice]:
    """Copy slices, each with buffers and a dictionary of its own, in another order."""
    copies = []
    for one in slices:
        folders = pa.array(one.partitions.to_pylist()[::-1], pa.large_string()).dictionary_encode()
        turned = folders.take(pa.array(range(len(folders))[::-1], pa.int64()))
        copies.append(
            Slice(pa.array(one.lines.to_pylist(), pa.large_string()), one.ordinals, turned)
        )
    return copies


def joined(pieces: Iterable[Piece]) -> Parts:
    """Put the pieces of each part together."""
    parts: Parts = {}
    for piece in pieces:
        key = piece.partition, piece.part
        text, events, first, last = parts.get(key, Part(b"", 0, piece.first, 0))
        parts[key] = Part(
            text + bytes(piece.text),
            events + piece.events,
            min(first, piece.first),
            max(last, piece.last),
        )
    return parts


def plain(lines: list[tuple[str, str]], part_size: int) -> Parts:
    """Cut parts one line at a time: what packing must give, however it goes about it."""
    parts: Parts = {}
    latest: dict[str, int] = {}
    for ordinal, (line, folder) in enumerate(lines):
        number, raw = latest.setdefault(folder, 0), line.encode()
        part = parts.get((folder, number))
        if part is not None and len(part.text) + len(raw) > part_size:
            number = latest[folder] = number + 1
            part = None
        text, events, first, _ = part or (b"", 0, 3 * ordinal, 0)
        parts[folder, number] = Part(text + raw, events + 1, first, 3 * ordinal)
    return parts


@given(LINES, CUTS, st.integers(1, 60))
@example([("aaaaaaaa\n", "A"), ("\n", "A")], [1], 5)  # a long line fills its part
@example([("aaa\n", "A"), ("aaa\n", "A")], [1], 4)  # a slice ends where a part does
def test_parts_do_not_depend_on_how_lines_are_sliced(
    lines: list[tuple[str, str]], cuts: list[int], part_size: int
) -> None:
    """Batches, slices and threads never show: the same parts as cutting one line at a time."""
    slices = sliced(lines, cuts)
    expected = plain(lines, part_size)
    for long_run in (0, LONG_RUN):  # runs as they are, and brought together
        with mock.patch("cefline.pack.LONG_RUN", long_run):
            assert joined(pack(slices, part_size, 3)) == expected
            assert joined(pack(fresh(slices), part_size, 3)) == expected


@given(LINES, CUTS, st.integers(1, 60))
def test_a_part_is_above_its_size_only_for_a_single_line(
    lines: list[tuple[str, str]], cuts: list[int], part_size: int
) -> None:
    """Every part holds what it may, and no line is ever cut in two."""
    for part in joined(pack(sliced(lines, cuts), part_size, 3)).values():
        assert len(part.text) <= part_size or part.events == 1
        assert part.text.endswith(b"\n")
        assert part.text.count(b"\n") == part.events


@given(LINES, CUTS)
def test_lines_of_a_partition_stay_in_row_order(
    lines: list[tuple[str, str]], cuts: list[int]
) -> None:
    """Grouping keeps the order of the source, and every line is in its own partition."""
    parts = joined(pack(sliced(lines, cuts), 1 << 20, 3))
    for folder in "ABC":
        text = "".join(line for line, own in lines if own == folder).encode()
        assert parts.get((folder, 0), Part(b"", 0, 0, 0)).text == text
    assert {key[1] for key in parts} <= {0}


def test_no_lines_make_no_part() -> None:
    """Neither a source without slices nor a slice without lines leaves an empty part."""
    assert list(pack([], 100, 3)) == []
    assert list(pack([*sliced([("a\n", "A")], [])], 100, 3)) != []
    empty = sliced([("a\n", "A")], [])[0]
    nothing = Slice(
        empty.lines.slice(0, 0), empty.ordinals.slice(0, 0), empty.partitions.slice(0, 0)
    )
    assert list(pack([nothing], 100, 3)) == []


@pytest.mark.parametrize("cuts", [[], [1], [1, 2]])
def test_as_many_partitions_as_allowed_are_packed(cuts: list[int]) -> None:
    """The bound counts the source's partitions, not those of a slice; one more fails it."""
    lines = [("a\n", "A"), ("b\n", "B"), ("c\n", "C")]
    assert len(joined(pack(sliced(lines, cuts), 100, 3))) == 3
    with pytest.raises(SourceError, match="more than 2 partitions"):
        list(pack(sliced(lines, cuts), 100, 2))


@pytest.mark.parametrize(
    "part_size",
    [
        1 << 40,
        1 << 64,
    ],
)
def test_a_great_part_size_makes_one_part(part_size: int) -> None:
    """Greater than any text means: all in one."""
    assert len(joined(pack(sliced([("a\n", "A")] * 5, []), part_size, 3))) == 1


def test_text_of_one_partition_is_a_view_of_the_lines() -> None:
    """Where a slice has one partition nothing is copied."""
    one = sliced([("abc\n", "A"), ("def\n", "A")], [])[0]
    (piece,) = pack([one], 100, 3)
    assert piece.text.obj is not None
    assert line_text(one.lines.slice(1)).tobytes() == b"def\n"
    assert pa.py_buffer(piece.text).address == one.lines.buffers()[2].address


def test_long_runs_of_several_partitions_are_views_as_well() -> None:
    """Sources hold one evidence after the other: bringing runs together would copy all text."""
    long = f"{'a' * LONG_RUN}\n"
    one = sliced([(long, "A"), (long, "B"), (long, "A")], [])[0]
    data = one.lines.buffers()[2].address
    addresses = [pa.py_buffer(p.text).address - data for p in pack([one], 1 << 20, 3)]
    assert addresses == [n * len(long) for n in range(3)]


@given(st.lists(st.binary(max_size=3000), max_size=5), st.integers(0, 3))
def test_blocks_make_one_gzip_member(blocks: list[bytes], level: int) -> None:
    """Independent blocks read as one whole member, by every implementation at hand."""
    text = b"".join(blocks)
    body = GZIP_HEAD + b"".join(deflated(block, level) for block in blocks)
    body += gzip_tail(zlib.crc32(text), len(text))
    member = zlib.decompressobj(wbits=31)
    assert member.decompress(body) == text
    assert member.eof
    assert member.unused_data == b""
    assert gzip.decompress(body) == text
    assert igzip.decompress(body) == text  # type: ignore[no-untyped-call]  # has no types
    assert isal_zlib.decompress(body, wbits=31) == text


@given(st.lists(st.binary(min_size=1, max_size=3000), min_size=2, max_size=4))
def test_each_block_is_decompressed_without_the_others(blocks: list[bytes]) -> None:
    """No block refers to the text before it, so they may be compressed side by side."""
    for block in blocks:
        assert zlib.decompressobj(wbits=-15).decompress(deflated(block, 2)) == block


def test_a_gzip_head_tells_nothing_of_time_or_place() -> None:
    """No time stamp, no name, no system: the same text gives the same bytes."""
    assert GZIP_HEAD == b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"


def test_a_size_above_4_gib_is_written_modulo_2_to_the_32() -> None:
    """The trailer has 32 bits, as the format says."""
    assert gzip_tail(1, (1 << 32) + 5)[-4:] == b"\x05\0\0\0"
