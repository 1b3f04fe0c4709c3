"""The vectorised path agrees with the plain row-by-row reference, on real and on hostile events."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import polars as pl
import pytest

import cefline
from cefline.conform import Rules, conform
from cefline.read.frames import Lines
from cefline.read.ndjson import load
from cefline.render import Profile, render
from tests import reference
from tests.events import hostile_lines
from tests.reference import TYPES, Written
from tests.test_readers import HEADER, as_vector_reads, vector

CHUNK = 5_000


def agreed(raw: list[bytes]) -> Iterator[Written]:
    """Yield what the reference makes of NDJSON lines, once cefline made the same of each one."""
    lines, left_out = of_ndjson(raw)
    for ordinal, one in enumerate(raw):
        written = reference.write(reference.read(one))
        assert lines.pop(ordinal, None) == written.line, one
        assert sorted(left_out.pop(ordinal, [])) == sorted(written.left_out), one
        yield written
    assert not lines
    assert not left_out


def of_ndjson(raw: list[bytes]) -> tuple[dict[int, str], dict[int, list[str]]]:
    """Return cefline's lines and the fields of its value rejects, by the place of the event."""
    conformed = conform(load(Lines(b"\n".join([*raw, b""]), 0, (0,)), "the source"), Rules())
    rejects = conformed.rejects
    unusable = set(rejects.filter(pl.col("kind") == "row")["ordinal"])
    assert unusable.isdisjoint(conformed.ordinals)
    assert len(unusable) + len(conformed.ordinals) == len(raw)
    left_out = defaultdict(list)
    values = rejects.filter(pl.col("kind") == "value")
    for ordinal, name in values.select("ordinal", "field").iter_rows():
        left_out[ordinal].append(name)
    if conformed.ordinals.is_empty():
        return {}, left_out
    rendered = render(conformed.columns, Profile())
    text = b"".join(str(line).encode() for _, part in rendered.slices() for line in part)
    ordinals = conformed.ordinals.gather(rendered.rows)
    return dict(zip(ordinals, one_line_each(text), strict=True)), left_out


def one_line_each(text: bytes) -> list[str]:
    """Return the lines of CEF text, on which every way to split it has to agree."""
    lines = text.removesuffix(b"\n").split(b"\n")
    assert text.splitlines() == lines
    decoded = text.decode().splitlines()
    assert [line.encode() for line in decoded] == lines
    return decoded


def plain(frame: pl.DataFrame) -> Iterator[reference.Event]:
    """Yield the rows of a frame of the source's columns, times as seconds."""
    times = pl.col(pl.Datetime).dt.epoch("us") / 1_000_000
    return frame.with_columns(times).iter_rows(named=True)


def assert_parsed(written: Iterable[Written]) -> None:
    """Make sure that cefline's parser gives back each field, in its type."""
    lined = [one for one in written if one.line is not None]
    parsed = cefline.parse([str(one.line) for one in lined]).select(
        pl.col(name) for name in TYPES if any(name in one.fields for one in lined)
    )
    for one, row in zip(lined, parsed.iter_rows(named=True), strict=True):
        present = {name: str(value) for name, value in row.items() if value is not None}
        assert present == one.fields, one.line


def assert_read_by_vector(written: Written) -> None:
    """Make sure that Vector's strict parser gets the keys and values of a line."""
    read = vector().remap({"line": written.line})
    assert [read.pop(name) for name in HEADER[:5]] == [
        "0",
        "CadoSecurity",
        "CadoResponse",
        "1.0.2",
        "0",
    ]
    read.pop("name")
    read.pop("severity")
    expected = {
        key: as_vector_reads(written.fields[key], last=key == written.keys[-1])
        for key in written.keys
    }
    assert read == expected, written.line


@pytest.mark.parametrize("name", ["real_small.jsonl", "real_alarms.jsonl"])
def test_the_reference_agrees_on_real_ndjson(data: Path, name: str) -> None:
    """Every event of the real timelines has the same line, and nothing is left out."""
    written = list(agreed((data / name).read_bytes().splitlines()))
    assert all(one.line and not one.left_out for one in written)
    assert_parsed(written)


@pytest.mark.parametrize("name", ["real_small", "real_alarms", "real_5k"])
def test_the_reference_agrees_on_real_parquet(data: Path, name: str) -> None:
    """So has every row of a Parquet file, its lists and objects as polars gives them."""
    frame = pl.read_parquet(data / f"{name}.parquet")
    expected = [reference.write(row).line for row in plain(frame)]
    assert cefline.render(frame).to_list() == expected


def test_the_reference_agrees_on_the_sample() -> None:
    """So has the sample timeline, in both forms."""
    sample = Path(__file__).parent / "data" / "sample"
    written = list(agreed(sample.with_suffix(".jsonl").read_bytes().splitlines()))
    frame = pl.read_parquet(sample.with_suffix(".parquet"))
    assert cefline.render(frame).to_list() == [reference.write(row).line for row in plain(frame)]
    assert len(written) == frame.height


def test_the_reference_gives_the_standards_line() -> None:
    """The reference itself is right about the sample of the standard."""
    event = {
        "type": "Content Modification Time",
        "alarm": True,
        "evidence_id": 2,
        "evidence_name": "aws_compromise.zip",
        "macb": "M...",
        "source": "FILE",
        "eventTime": 1595194940,
        "filePath": "/tmp/file.txt",  # noqa: S108 - the standard's sample event
        "eventId": "Q5FBqHwBX9dvp1T5IsHT",
        "msg": "Malicious File Detected: cryptomining_malware_wannamine",
    }
    assert reference.write(event).line == (
        "CEF:0|CadoSecurity|CadoResponse|1.0.2|0|Content Modification Time|10|alarm=True "
        "evidence_id=2 evidence_name=aws_compromise.zip macb=M... source=FILE eventTime=1595194940 "
        "filePath=/tmp/file.txt eventId=Q5FBqHwBX9dvp1T5IsHT "
        "msg=Malicious File Detected: cryptomining_malware_wannamine"
    )


def test_the_reference_agrees_on_hostile_events() -> None:
    """Any value in any field: the same line, the same values left out, and parsed back."""
    assert_parsed(list(agreed(list(hostile_lines(1, CHUNK)))))


@pytest.mark.slow
def test_the_reference_agrees_on_many_hostile_events(*, soak: bool) -> None:
    """200,000 events in a soak run, 40,000 in CI: as above, and Vector reads each one."""
    count = 200_000 if soak else 40_000
    events = hostile_lines(2, count)
    usable = 0
    while raw := list(islice(events, CHUNK)):
        written = list(agreed(raw))
        assert_parsed(written)
        for one in written:
            if one.line is not None:
                assert_read_by_vector(one)
                usable += 1
    assert usable > count * 0.9


@pytest.mark.parametrize("value", ["1.0", "0.0", "-0.0", "1e0"])
def test_a_whole_float_is_a_truth_beside_any_value(value: str) -> None:
    """0 and 1 are truths, however JSON spells the number and whatever stands beside it."""
    assert list(agreed([f'{{"alarm":{value},"msg":true}}'.encode()]))


@pytest.mark.parametrize("value", ["1e16", "1e18", "-9.142442394876806e+18"])
def test_a_whole_float_is_an_int_beside_any_value(value: str) -> None:
    """A whole float is an integer up to 64 bits."""
    assert list(agreed([f'{{"evidence_id":{value},"msg":true}}'.encode()]))


@pytest.mark.parametrize("value", ["1e18", ".0", "4.99999999999999999999e0"])
def test_numeric_text_is_read_exactly(value: str) -> None:
    """Numeric text is an integer if it is whole, exactly."""
    assert list(agreed([json.dumps({"evidence_id": value, "msg": "a"}).encode()]))


def test_surrogates_in_lists_are_as_visible_as_other_characters() -> None:
    """An unsafe character in a list becomes visible as one in text does."""
    assert list(agreed([b'{"notes":["\\ud800","\\u0000"],"short":[{"\\udfff":1}]}']))


@pytest.mark.parametrize("last", ['"b"', "null", "1.5", '""'])
def test_the_last_of_equal_keys_counts(last: str) -> None:
    """As in Python and in JavaScript."""
    assert list(agreed([f'{{"id":"1","msg":"a","msg":{last}}}'.encode()]))
