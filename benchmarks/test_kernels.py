"""The kernels by themselves, on one seeded batch; each is right before it is timed.

Run as: `make kernels`
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa
import pytest

import cefline
from cefline.conform import Rules, conform
from cefline.escape import escape, visible
from cefline.pack import BLOCK, deflated
from cefline.read import Batch, Limits, open_source
from cefline.render import Profile, render
from cefline_schemas import cef
from tests import sample
from tests.oracle import oracle

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_benchmark.fixture import BenchmarkFixture

    from cefline.records import Columns

EVENTS = 20_000
LEVEL = 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the sample timeline in both formats."""
    path = tmp_path_factory.mktemp("timeline")
    sample.write(path, EVENTS)
    return path


@pytest.fixture(scope="module")
def ids() -> list[object]:
    return [event["eventId"] for event in sample.stream(EVENTS)]


@pytest.fixture(scope="module")
def frame(folder: Path) -> pl.DataFrame:
    """Return the timeline as a canonical frame."""
    return pl.concat(cefline.read(folder / "sample.parquet"), how="diagonal")


@pytest.fixture(scope="module")
def lines(frame: pl.DataFrame) -> pl.Series:
    return cefline.render(frame)


def loaded(path: Path) -> list[Batch]:
    return [chunk.load() for chunk in open_source(path, path.name, Limits()).chunks]


def ids_of(batches: list[Batch]) -> list[object]:
    return [value for batch in batches for value in batch.data["eventId"].to_pylist()]


def test_escape(benchmark: BenchmarkFixture, frame: pl.DataFrame) -> None:
    raw = pl.concat([frame["msg"], frame["extra"], frame["filePath"]]).drop_nulls()
    codes = {*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029} - {*b"\t\n\r"}
    table = {chr(code): f"\\\\u{code:04x}" for code in codes} | dict(cef.EXTENSION_ESCAPES)
    written = str.maketrans(table)
    text = raw.to_arrow().cast(pa.large_string())
    expected = [value.translate(written) for value in raw]
    assert escape(text, cef.EXTENSION_ESCAPES).text.to_pylist() == expected
    benchmark(escape, text, cef.EXTENSION_ESCAPES)


def test_render(benchmark: BenchmarkFixture, folder: Path, frame: pl.DataFrame) -> None:
    batches = loaded(folder / "sample.parquet")
    columns = [conform(batch, Rules()).columns for batch in batches]

    def rendered() -> list[pa.Array]:
        return [lines for one in columns for lines in joined(one)]

    def joined(one: Columns) -> list[pa.Array]:
        return [lines for _, lines in render(one, Profile()).slices()]

    text = pl.concat([pl.Series(lines) for lines in rendered()])
    assert text.str.strip_suffix("\n").to_list() == oracle(frame).to_list()
    benchmark(rendered)


@pytest.mark.parametrize("name", ["sample.parquet", "sample.jsonl"])
def test_read(benchmark: BenchmarkFixture, folder: Path, ids: list[object], name: str) -> None:
    assert ids_of(loaded(folder / name)) == ids
    benchmark(loaded, folder / name)


def test_parse(benchmark: BenchmarkFixture, frame: pl.DataFrame, lines: pl.Series) -> None:
    parsed = cefline.parse(lines)
    for name in ("eventId", "type", "msg", "extra", "notes"):
        assert parsed[name].to_list() == visible(frame[name]).to_list()
    assert parsed["alarm"].to_list() == frame["alarm"].to_list()
    benchmark(cefline.parse, lines)


def test_compress(benchmark: BenchmarkFixture, lines: pl.Series) -> None:
    text = "\n".join(lines).encode()[:BLOCK]
    assert zlib.decompressobj(wbits=-15).decompress(deflated(text, LEVEL)) == text
    benchmark(deflated, text, LEVEL)
