"""Parsing: `render` backwards, and strict about what is no CEF."""

import gzip
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given

import cefline
from cefline.errors import SourceError
from cefline.parse import HEADER
from cefline_schemas.cef import UNSAFE
from tests import hostile

HEAD = "CEF:0|CadoSecurity|CadoResponse|1.0.2|0|Name|1|"


def as_parsed(frame: pl.DataFrame) -> pl.DataFrame:
    """Return canonical events as parsing has them: seconds, no blanks, visible characters."""
    text = pl.col(pl.String)
    characters = {
        c
        for column in frame.select(text)
        for c in column.str.extract_all(UNSAFE).explode().drop_nulls()
    }
    for character in sorted(characters):
        text = text.str.replace_all(character, f"\\u{ord(character):04x}", literal=True)
    blank = pl.col(pl.String).str.contains(r"^\s*$")
    frame = frame.with_columns(pl.when(~blank).then(text))
    return frame.with_columns(pl.col(pl.Datetime).to_physical() // 1_000_000)


def assert_round_trip(frame: pl.DataFrame) -> None:
    """Parse what a frame renders to, and compare all of its values."""
    expected = as_parsed(frame)
    expected = expected.filter(pl.any_horizontal(pl.all().is_not_null()))
    assert_holds(cefline.parse(cefline.render(frame).drop_nulls()), expected)


def assert_holds(parsed: pl.DataFrame, expected: pl.DataFrame, *more: str) -> None:
    """Compare all values of what was parsed; it has no other keys but the header and `more`."""
    filled = [name for name in expected.columns if expected[name].null_count() < expected.height]
    keys = set(parsed.columns) - {*HEADER, *more}
    assert keys - {"type"} == set(filled) - {"type"}
    for name in filled:
        assert parsed[name].to_list() == expected[name].to_list()
    if "type" not in filled:
        assert parsed["type"].null_count() == parsed.height


@given(hostile.frames())
def test_parsing_gives_back_what_was_rendered(frame: pl.DataFrame) -> None:
    """Whatever the values, each comes back under its own key, and nothing else does."""
    assert_round_trip(frame)


@pytest.mark.parametrize(
    "name",
    [
        "real_small.jsonl",
        "real_small.parquet",
        "real_alarms.jsonl",
        "real_alarms.parquet",
        "real_5k.parquet",
    ],
)
def test_real_events_come_back(data: Path, name: str) -> None:
    """Every value of the real timelines survives the way to CEF and back."""
    for frame in cefline.read(data / name):
        assert_round_trip(frame)


@pytest.mark.slow
def test_the_whole_real_corpus_comes_back(data: Path) -> None:
    """Every value of all 759,828 real events survives the way to CEF and back."""
    for frame in cefline.read(data / "real.parquet"):
        assert_round_trip(frame)


def test_header_fields_and_unknown_keys_are_columns() -> None:
    """Other tools' CEF parses too: labels, dictionary keys and escapes in the header."""
    frame = cefline.parse(["CEF:1|a\\|b|c\\\\|1|id|N|Low|cs1Label=Parser cs1=x\\=y act= spt=22"])
    assert frame.rows(named=True) == [
        {
            "cef_version": "1",
            "device_vendor": "a|b",
            "device_product": "c\\",
            "device_version": "1",
            "signature_id": "id",
            "name": "N",
            "severity": "Low",
            "type": "N",
            "cs1Label": "Parser",
            "cs1": "x=y",
            "act": "",
            "spt": "22",
        }
    ]


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_part_is_parsed_from_its_file(tmp_path: Path, suffix: str) -> None:
    """A path is read and decompressed by its content."""
    path = tmp_path / f"part.cef{suffix}"
    text = f"{HEAD}msg=a\n{HEAD}msg=b\n".encode()
    path.write_bytes(gzip.compress(text) if suffix else text)
    assert cefline.parse(path)["msg"].to_list() == ["a", "b"]
    assert cefline.parse(text)["msg"].to_list() == ["a", "b"]


def test_no_lines_give_an_empty_frame() -> None:
    """An empty part is a frame without rows, with the header's columns."""
    assert cefline.parse(b"").shape[0] == 0
    assert cefline.parse([]).columns[:7] == list(HEADER)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ("no cef", "is no CEF line"),
        ("CEF:0|a|b|c|d|e|1", "is no CEF line"),
        (f"{HEAD}msg=a=b", "has a `=` that is not escaped"),
        (f"{HEAD}text msg=a", "has text before its first key"),
        (f"{HEAD}msg=a msg=b", "has msg twice"),
        (f"{HEAD}evidence_id=x", "has an unreadable evidence_id"),
        (f"{HEAD}alarm=yes", "has an unreadable alarm"),
    ],
)
def test_what_is_no_cef_is_refused_with_its_line(bad: str, why: str) -> None:
    """The message has the number of the line and says what is wrong with it."""
    with pytest.raises(cefline.CeflineError, match="line 2 ") as caught:
        cefline.parse([f"{HEAD}msg=a", bad])
    assert why in str(caught.value)


def test_a_key_named_as_a_header_field_is_refused() -> None:
    """Both would be the same column; cefline writes no such key."""
    with pytest.raises(SourceError, match="named as a header field"):
        cefline.parse(["CEF:0|v|p|1|id|n|3|msg=x", "CEF:0|v|p|1|id|n|3|name=y"])
