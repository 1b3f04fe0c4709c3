"""Independent readers: Vector's strict parser and pycef read what we write.

Each reader's own faults are listed where its view of a value is computed; all else must be equal.
"""

import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pycef
import pytest
from hypothesis import given

import cefline
from cefline_schemas.timeline import FIELDS
from tests import hostile
from tests.oracle import VISIBLE

HEADER = (
    "cefVersion",
    "deviceVendor",
    "deviceProduct",
    "deviceVersion",
    "deviceEventClassId",
    "name",
    "severity",
)
CORPORA = [
    "real_small.jsonl",
    "real_small.parquet",
    "real_alarms.jsonl",
    "real_alarms.parquet",
    "real_5k.parquet",
]
_SHOWN = str.maketrans({raw: shown.replace("\\\\", "\\", 1) for raw, shown in VISIBLE})


def shown(value: object) -> str:
    """Return a value as its line says it: unsafe characters visible."""
    return str(value).translate(_SHOWN)


def as_vector_reads(value: object, *, last: bool = False) -> str:
    """Return a value as Vector's `parse_cef` gives it (vrl, src/stdlib/parse_cef.rs)."""
    text = shown(value).replace("\r", "\n")  # fault: both \n and \r decode to LF
    if last:
        text = text.rstrip(" ")  # fault: spaces at the end of the line are lost
    if len(text) > 1 and text.startswith('"') and text.endswith('"'):
        text = text[1:-1]  # fault: paired quotes are taken off
    return text


def as_pycef_reads(value: object) -> str:
    """Return a value as pycef gives it (1.11): never unescaped."""
    text = shown(value).replace("\\", "\\\\").replace("=", "\\=")
    return text.replace("\n", "\\n").replace("\r", "\\r")


@cache
def vector(*, translate: bool = False) -> Any:  # noqa: ANN401 - it has no types
    """Return Vector's strict parser; with `translate` labels become keys."""
    if sys.version_info >= (3, 13):
        pytest.skip("pyvrl has no wheel for this Python")
    import pyvrl  # missing elsewhere, it fails the tests

    translated = str(translate).lower()
    return pyvrl.Transform(f". = parse_cef!(string!(.line), translate_custom_fields: {translated})")


def events(frame: pl.DataFrame) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield each line and its event's values."""
    seconds = frame.with_columns(pl.col(pl.Datetime).to_physical() // 1_000_000)
    rows = seconds.iter_rows(named=True)
    for line, row in zip(cefline.render(frame), rows, strict=True):
        present = {name: value for name, value in row.items() if value is not None}
        if line is not None:
            yield line, {n: v for n, v in present.items() if not is_blank(v)}


def is_blank(value: object) -> bool:
    """Whether a value is text of white space only; Python takes U+001C to U+001F for some."""
    return isinstance(value, str) and all(c.isspace() and not "\x1c" <= c <= "\x1f" for c in value)


def assert_vector_reads(frame: pl.DataFrame) -> int:
    """Let Vector's strict parser read each line, compare every field, and return the events."""
    count = 0
    for line, event in events(frame):
        read = vector().remap({"line": line})
        header = {name: read.pop(name) for name in HEADER}
        assert header["severity"] in {"1", "4", "7", "10"}
        if "type" in event:
            read.setdefault("type", header["name"])
        keys = [field.name for field in FIELDS if field.name in event]
        assert read == {key: as_vector_reads(event[key], last=key == keys[-1]) for key in keys}
        count += 1
    return count


@pytest.mark.parametrize("name", CORPORA)
def test_vector_reads_every_real_event(data: Path, name: str) -> None:
    """Vector's strict parser takes each line of the real timelines, and each field is right."""
    frames = list(cefline.read(data / name))
    assert sum(map(assert_vector_reads, frames)) == sum(frame.height for frame in frames)


@pytest.mark.slow
def test_vector_reads_the_whole_real_corpus(data: Path, *, soak: bool) -> None:
    """All 759,828 events in a soak run, each 30th in CI."""
    for frame in cefline.read(data / "real.parquet"):
        part = frame if soak else frame.gather_every(30)
        assert assert_vector_reads(part) == part.height


@given(hostile.frames())
def test_vector_reads_hostile_events(frame: pl.DataFrame) -> None:
    """No value, however hostile, makes a line that Vector refuses, or moves into another field."""
    assert_vector_reads(frame)


@pytest.mark.parametrize("name", CORPORA)
def test_pycef_reads_every_real_event(data: Path, name: str) -> None:
    """Pycef gets every key and value of the lines whose header it can read."""
    for frame in cefline.read(data / name):
        for line, event in events(frame):
            read = pycef.parse(line)
            kind = event.pop("type", "")
            # fault: a header with `=` or a backslash is cut wrongly
            if "=" in line.split("|", 6)[5] or "\\" in line.split("|", 6)[5]:
                continue
            assert read is not None, line
            assert read.get("type", read["Name"]) == as_pycef_reads(kind)
            for key, value in event.items():
                # fault: a value's last white space separates it from the next
                assert read[key].rstrip() == as_pycef_reads(value).rstrip(), line
