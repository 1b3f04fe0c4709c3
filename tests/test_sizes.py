"""Bytes by field: what a dry run says that each field adds is what the lines hold."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cefline.config import Config
from cefline.convert import convert, converter, limits
from cefline.counts import HEADER, Tally
from cefline.job import export
from cefline.read import open_source
from cefline_schemas.timeline import FIELDS
from tests import sample
from tests.events import SIGNS
from tests.lines import of_lines

PAIR = re.compile(r" ([^ =]+)=((?:[^\\=]|\\.)*?)(?= [^ =\\]+=|$)", re.DOTALL)


def summed(lines: list[str]) -> Counter[str]:
    """Return the bytes of each key's pairs, found in the text of the lines: the oracle."""
    sizes: Counter[str] = Counter()
    for line in lines:
        extension = re.fullmatch(r"CEF:0(?:\|(?:[^|\\]|\\.)*){6}\|(.*)", line)
        assert extension is not None
        pairs = [(key, f" {key}={value}") for key, value in PAIR.findall(f" {extension[1]}")]
        assert "".join(pair for _, pair in pairs)[1:] == extension[1]
        sizes.update({HEADER: len(f"{line}\n".encode())})
        for key, pair in pairs:
            name = key.removesuffix("Micros")
            sizes.update({name: len(pair.encode()), HEADER: -len(pair.encode())})
    return sizes


def measured(content: bytes, **settings: Any) -> tuple[Counter[str], list[str]]:  # noqa: ANN401 - a config's own
    """Return the bytes of each field as they were counted, and the lines."""
    config = Config(**settings)
    sizes, lines = Counter[str](), list[str]()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "source"
        path.write_bytes(content)
        opened = open_source(path, "the source", limits(config))
        for chunk in opened.chunks:
            made = convert(chunk, converter(config, opened.carried, measured=True))
            sizes.update(made.sizes)
            lines += [
                line.removesuffix("\n") for one in made.slices for line in one.lines.to_pylist()
            ]
    return sizes, lines


TEXT = st.lists(st.sampled_from([s for s in SIGNS if not "\ud800" <= s <= "\udfff"])).map("".join)
EVENT = st.dictionaries(
    st.sampled_from([f.name for f in FIELDS if f.type in {"text", "list"}]), TEXT, min_size=1
)


@given(st.lists(EVENT, min_size=1, max_size=6))
def test_the_bytes_of_each_field_are_those_in_the_lines(events: list[dict[str, str]]) -> None:
    """Whatever the values hold; the sum is the text."""
    sizes, lines = measured(of_lines(events))
    assert sizes == summed(lines)
    assert sizes.total() == sum(len(f"{line}\n".encode()) for line in lines)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"subseconds": True},
        {"unknown": "carry"},
        {"where": "source = 'FILE'"},
        {"drop": ("extra", "msg")},
        {"max_event": 900},
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["sample.jsonl", "sample.parquet"])
def test_the_bytes_of_the_sample_are_those_in_its_lines(
    name: str, settings: dict[str, Any]
) -> None:
    """In dictionaries, too; of what is selected and delivered alone."""
    sizes, lines = measured((sample.DATA / name).read_bytes(), **settings)
    assert sizes == summed(lines)


def test_a_carried_column_is_not_the_header() -> None:
    """None can have its name."""
    sizes, lines = measured(
        of_lines([{"header": "x", "(header)": "y", "msg": "z"}]), unknown="carry"
    )
    assert sizes == summed(lines)
    assert len(sizes) == 4


def test_a_dry_run_says_the_bytes_of_each_field(tmp_path: Path) -> None:
    """As a table and as JSON, the most first; another run says nothing of it."""
    source = sample.DATA / "sample.parquet"
    config = Config(sources=(str(source),), dest=str(tmp_path / "out"), threads=1)
    report = export(config, dry_run=True)
    expected, _ = measured(source.read_bytes())
    table = report.as_json()["text_by_field"]
    assert {row["field"]: row["bytes"] for row in table} == expected
    assert sum(row["bytes"] for row in table) == sum(part.text_bytes for part in report.parts)
    assert sum(row["share"] for row in table) == pytest.approx(1, abs=1e-4)
    assert [row["bytes"] for row in table] == sorted(expected.values(), reverse=True)
    shown = [*report.lines()]
    begin = shown.index("text by field:")
    assert shown[begin + 1].split() == ["73.2KiB", "25.6%", "extra"]
    assert len(shown) == begin + 1 + len(table)
    real = export(config)
    assert real.sources[0].tally.sizes == {}
    assert "text_by_field" not in real.as_json()
    assert not any("text by field" in line for line in real.lines())


def test_a_dry_run_of_nothing_has_no_table(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").touch()
    config = Config(sources=(str(tmp_path / "a.jsonl"),), dest=str(tmp_path / "out"), threads=1)
    report = export(config, dry_run=True)
    assert report.as_json()["text_by_field"] == []
    assert "text by field:" not in [*report.lines()]


def test_sizes_come_back_with_the_tally() -> None:
    """What was staged of a dry run before is taken with all that was counted."""
    tally = Tally(3, 1, 1, filtered=1)
    tally.sizes["msg"] = 7
    assert Tally.of_json(tally.as_json()) == tally
    assert Tally.of_json({n: v for n, v in Tally().as_json().items() if n != "sizes"}) == Tally()
