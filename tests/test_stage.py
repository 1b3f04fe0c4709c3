"""Staging: parts on disk are whole, digested, in key order, and never much text in memory."""

from __future__ import annotations

import errno
import gzip
import io
from concurrent.futures import Future, ThreadPoolExecutor
from importlib import import_module
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import pyarrow as pa
import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from cefline import keys
from cefline.deliver.stage import stage
from cefline.errors import CeflineError, SourceError, TryAgainError
from cefline.pack import BLOCK, Compression, Piece

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from cefline.deliver.staging import Staged

P = ParamSpec("P")
T = TypeVar("T")

FOLDERS = ("evidence_id-1", "evidence_id-10", "evidence_id-1.b", "evidence_id-1-a", "evidence_id-_")
STEPS = st.lists(
    st.tuples(st.sampled_from(FOLDERS), st.integers(1, 300), st.booleans()), max_size=30
)


class Spy(ThreadPoolExecutor):
    """A pool that counts the bytes of text it was given."""

    taken = 0

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        self.taken += sum(len(block) for block in args if isinstance(block, bytearray | memoryview))
        return super().submit(fn, *args, **kwargs)


def pieces(steps: list[tuple[str, int, bool]]) -> list[Piece]:
    """Make pieces of growing ordinals; a step begins a new part or goes on with the last one."""
    made: list[Piece] = []
    latest: dict[str, int] = {}
    for ordinal, (folder, size, new) in enumerate(steps):
        latest[folder] = latest[folder] + new if folder in latest else 0
        text = (f"{ordinal}:" * size).encode()[:size]
        made.append(Piece(folder, latest[folder], memoryview(text), 1, ordinal, ordinal))
    return made


def staged(
    given_pieces: Iterable[Piece],
    folder: Path,
    compression: Compression = "gzip",
    level: int | None = None,
) -> list[Staged]:
    with ThreadPoolExecutor(2) as pool:
        return stage(given_pieces, folder, compression, pool, level=level)


def text(part: Staged, compression: Compression) -> bytes:
    body = part.path.read_bytes()
    if compression == "gzip":
        return gzip.decompress(body)
    if compression == "zstd":
        with pa.CompressedInputStream(pa.BufferReader(body), "zstd") as stream:
            return bytes(stream.read())
    return body


def texts(made: list[Piece]) -> dict[tuple[str, int], bytes]:
    """Return what each part must hold."""
    whole: dict[tuple[str, int], bytes] = {}
    for piece in made:
        key = piece.partition, piece.part
        whole[key] = whole.get(key, b"") + bytes(piece.text)
    return whole


@given(STEPS, st.sampled_from(["gzip", "zstd", "none"]))
def test_a_staged_part_is_its_text_and_tells_its_size_digest_and_ordinals(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[str, int, bool]],
    compression: Compression,
) -> None:
    """However pieces alternate, every part on disk is whole, and so is its record."""
    made = pieces(steps)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(import_module("cefline.deliver.stage"), "BLOCK", 256)
        parts = staged(made, tmp_path_factory.mktemp("staged"), compression)
    got = sorted(((p.partition, p.first), text(p, compression)) for p in parts)
    firsts = {
        key: min(p.first for p in made if key == (p.partition, p.part)) for key in texts(made)
    }
    assert got == sorted(((key[0], firsts[key]), whole) for key, whole in texts(made).items())
    for part in parts:
        whole = text(part, compression)
        mine = [
            p for p in made if p.partition == part.partition and part.first <= p.first <= part.last
        ]
        assert part.text_bytes == len(whole)
        assert part.text_blake3 == blake3(whole).hexdigest()
        assert (part.events, part.last) == (len(mine), mine[-1].last)


@given(STEPS)
def test_parts_come_in_the_order_of_their_keys(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, bool]]
) -> None:
    """Numbered as they come, keys rise, also where a partition's name begins another's."""
    parts = staged(pieces(steps), tmp_path_factory.mktemp("staged"), "none")
    made = [
        keys.part("20260112T101500Z", 1, part.partition, number, ".cef")
        for number, part in enumerate(parts, 1)
    ]
    assert made == sorted(made, key=str.encode)
    firsts = [(part.partition, part.first) for part in parts]
    assert firsts == sorted(firsts, key=lambda p: (f"{p[0]}/", p[1]))


@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 7])
@pytest.mark.parametrize("step", [BLOCK // 3, 5 * BLOCK])
def test_blocks_are_cut_by_the_part_s_text_alone(tmp_path: Path, size: int, step: int) -> None:
    """The bytes of a part don't depend on the pieces that its text came in."""
    whole = (b"0123456789abcde\n" * (size // 16 + 1))[:size]
    made = [
        Piece("", 0, memoryview(whole)[at : at + step], 1, at, at) for at in range(0, size, step)
    ]
    bodies = []
    for name, some in (
        ("pieces", made),
        ("whole", [Piece("", 0, memoryview(whole), len(made), 0, size)] if size else []),
    ):
        folder = tmp_path / name
        folder.mkdir()
        bodies.append([part.path.read_bytes() for part in staged(some, folder)])
    assert bodies[0] == bodies[1]
    assert [gzip.decompress(body) for body in bodies[0]] == ([whole] if size else [])


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
@pytest.mark.parametrize("level", [None, 0, 1, 3])
def test_every_level_gives_a_part_that_reads_back(
    tmp_path: Path, compression: Compression, level: int | None
) -> None:
    """A level that the compression does not have is no reason to lose a part."""
    whole = b"CEF:0|a|b|1|0|n|1|msg=x\n" * (BLOCK // 8)  # three blocks
    (part,) = staged([Piece("", 0, memoryview(whole), 1, 0, 0)], tmp_path, compression, level)
    assert text(part, compression) == whole
    assert part.path.stat().st_size < len(whole)


def test_a_zstd_part_is_one_frame(tmp_path: Path) -> None:
    """As with gzip's members: simple readers stop at the end of the first frame."""
    whole = b"CEF:0|a|b|1|0|n|1|msg=x\n" * (BLOCK // 8)
    (part,) = staged([Piece("", 0, memoryview(whole), 1, 0, 0)], tmp_path, "zstd")
    assert part.path.read_bytes().count(b"\x28\xb5\x2f\xfd") == 1


@given(STEPS)
def test_text_that_waits_stays_below_its_budget(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, bool]]
) -> None:
    """Whenever the next piece is asked for, no more text waits than may, over all partitions."""
    made, budget = pieces(steps), 300
    asked = 0

    def watched(pool: Spy) -> Iterator[Piece]:
        nonlocal asked
        given_text = 0
        for piece in made:
            yield piece
            given_text += len(piece.text)
            asked += 1
            assert given_text - pool.taken <= budget

    module = import_module("cefline.deliver.stage")
    with pytest.MonkeyPatch.context() as patch, Spy(2) as pool:
        patch.setattr(module, "BLOCK", 100)
        patch.setattr(module, "WAITING", budget)
        folder = tmp_path_factory.mktemp("staged")
        parts = stage(watched(pool), folder, "gzip", pool)
    assert asked == len(made)
    assert sorted(text(part, "gzip") for part in parts) == sorted(texts(made).values())


def test_no_pieces_stage_no_part(tmp_path: Path) -> None:
    """A source without events leaves nothing on disk."""
    assert staged([], tmp_path) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_a_reason_to_try_again(tmp_path: Path, code: int) -> None:
    """It is told with what to do, and the run may be repeated."""

    def full() -> Iterator[Piece]:
        yield Piece("", 0, memoryview(b"a\n"), 1, 0, 0)
        raise OSError(code, "full")

    with pytest.raises(TryAgainError, match="disk is full") as caught:
        staged(full(), tmp_path)
    assert caught.value.exit_code == 75
    assert "bytes are free" in str(caught.value)
    assert "--staging" in str(caught.value)


def test_an_error_of_the_source_passes_unchanged(tmp_path: Path) -> None:
    """Staging hides neither what is wrong with a source nor any other error."""

    def broken() -> Iterator[Piece]:
        yield Piece("", 0, memoryview(b"a\n"), 1, 0, 0)
        raise SourceError("cut off")

    with pytest.raises(SourceError, match="cut off"):
        staged(broken(), tmp_path)


def test_a_failing_compressor_fails_the_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error in a thread of the pool is not lost: no part without a block of it."""

    def broken(*_: object, **__: object) -> bytes:
        raise MemoryError

    monkeypatch.setattr(import_module("cefline.deliver.stage"), "deflated", broken)
    with pytest.raises(MemoryError):
        staged([Piece("", 0, memoryview(b"a\n"), 1, 0, 0)], tmp_path)


def test_gzip_parts_can_be_read_as_a_stream(tmp_path: Path) -> None:
    """Readers that go line by line get every line, without a stop at a block's end."""
    lines = [f"line {n}\n".encode() for n in range(300_000)]
    whole = memoryview(b"".join(lines))
    (part,) = staged([Piece("", 0, whole, len(lines), 0, len(lines) - 1)], tmp_path)
    with gzip.open(io.BytesIO(part.path.read_bytes())) as stream:
        assert list(stream) == lines


def test_a_part_never_overwrites_a_file(tmp_path: Path) -> None:
    """An object of a local destination may be linked to it."""
    (tmp_path / "000000").write_bytes(b"published")
    piece = Piece("p", 0, memoryview(b"a\n"), 1, 0, 0)
    with ThreadPoolExecutor(1) as pool, pytest.raises(CeflineError):
        stage([piece], tmp_path, "none", pool)
    assert (tmp_path / "000000").read_bytes() == b"published"
