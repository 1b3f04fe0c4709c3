"""Rendering: the standard's line, the plain oracle's bytes, and one line for each event."""

import re
from pathlib import Path
from unittest import mock

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given

import cefline
from cefline.records import as_text
from cefline.render import Profile
from cefline.render import render as render_columns
from cefline_schemas import cef
from cefline_schemas.timeline import FIELDS
from tests import hostile, sample
from tests.oracle import ORDER, oracle

SAMPLE_LINE = (
    "CEF:0|CadoSecurity|CadoResponse|1.0.2|0|Content Modification Time|10|alarm=True evidence_id=2"
    " evidence_name=aws_compromise.zip macb=M... source=FILE eventTime=1595194940"
    " filePath=/tmp/file.txt eventId=Q5FBqHwBX9dvp1T5IsHT"
    " msg=Malicious File Detected: cryptomining_malware_wannamine"
)


def line(**values: object) -> str:
    """Render one event."""
    return str(cefline.render(pl.DataFrame([values]))[0])


def extension(**values: object) -> str:
    """Render one event and take its header off; `x` keeps Name and severity out of the way."""
    return line(type="x", **values).split("|", 7)[7]


def header(**values: object) -> list[str]:
    """Render one event and return its Name and severity as they are written."""
    found = re.match(r"(?:[^|]*\|){5}((?:[^\\|]|\\.)*)\|(\d+)\|", line(**values))
    assert found
    return list(found.groups())


def test_the_standards_sample_comes_out_byte_for_byte() -> None:
    """The sample line of the Cado Response CEF standard is what its event becomes."""
    first = sample.events(1)
    assert cefline.render(pl.DataFrame(first)).to_list() == [SAMPLE_LINE]


def test_keys_stand_in_the_order_of_the_field_table() -> None:
    """The table's order is the order that the design fixes for readers that cut long lines."""
    assert [field.cado.name for field in FIELDS] == ORDER


@pytest.mark.parametrize(
    ("raw", "written"),
    [
        ("a=b", "a\\=b"),
        ("C:\\new", "C:\\\\new"),
        ("ends with \\", "ends with \\\\"),
        ("two\nlines", "two\\nlines"),
        ("two\r\nlines", "two\\r\\nlines"),
        ("backslash n \\n", "backslash n \\\\n"),
        ("a|b", "a|b"),  # not escaped in the extension
        ("tab\there", "tab\there"),
        ('"quoted"', '"quoted"'),
        ("nul\0", "nul\\\\u0000"),
        ("\t\x00", "\t\\\\u0000"),
        ("\ta\té", "\ta\té"),
        ("é\x7f", "é\\\\u007f"),
        ("\t\u202e\x85", "\t\u202e\\\\u0085"),
        ("\x1b[31m", "\\\\u001b[31m"),
        ("vt\x0b ff\x0c nel\x85", "vt\\\\u000b ff\\\\u000c nel\\\\u0085"),
        ("ls\u2028 ps\u2029", "ls\\\\u2028 ps\\\\u2029"),
        ("rtl \u202e stays", "rtl \u202e stays"),
        (" edges ", " edges "),
        (" suser=root", " suser\\=root"),
    ],
)
def test_a_value_is_escaped(raw: str, written: str) -> None:
    """Extension escapes are backslash, equal sign, LF and CR; what no reader carries is shown."""
    assert extension(msg=raw) == f"msg={written}"


@pytest.mark.parametrize("nothing", [None, "", "  ", "\t\n", "\u2003"])
def test_null_and_blank_text_is_left_out(nothing: str | None) -> None:
    """A key without a value breaks several readers."""
    assert extension(msg=nothing, evidence_id=1) == "evidence_id=1"


def test_an_empty_list_is_left_out() -> None:
    """Empty lists count as no value, nested ones do not."""
    frame = pl.DataFrame({"type": ["x"] * 3, "highlights": [[], None, [""]]})
    keys = [one.split("|", 7)[7] for one in cefline.render(frame)]
    assert keys == ["", "", "highlights=['']"]


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"type": "A"}, "A"),
        ({"type": " ", "super_short": "B"}, "B"),
        ({"super_short": "", "short": "C"}, "C"),
        ({"msg": "m"}, "Timeline Event"),
        ({"type": "\\", "short": "C"}, "C"),  # nothing is left of it
        ({"type": "a|b\\c"}, "a\\|b\\\\c"),
        ({"type": "a=b"}, "a=b"),
        ({"type": "two\r\nlines"}, "two  lines"),
        ({"type": "ends \\\\"}, "ends "),
        ({"type": "é" * 300}, "é" * 256),
        ({"type": "a" + "é" * 300}, "a" + "é" * 255),
        ({"type": "a" + "|" * 300}, "a" + "\\|" * 255),
        ({"type": "\U0001f600" * 129}, "\U0001f600" * 128),
        ({"type": "xx\U0001f600" + "y" * 505 + "\U0001f600" * 2}, "xx\U0001f600" + "y" * 505),
    ],
)
def test_name_is_the_type_or_what_stands_in_for_it(values: dict[str, object], name: str) -> None:
    """Name is never blank, at most 512 bytes, and never cut inside a character or an escape."""
    assert header(**values)[0] == name


@pytest.mark.parametrize(
    ("values", "repeated"),
    [
        ({"type": "A"}, False),
        ({"type": "A", "super_short": "A"}, True),  # could be taken for a fallback
        ({"type": "A", "short": "A"}, True),
        ({"type": "A", "super_short": "B", "short": "A"}, False),
        ({"type": "Timeline Event"}, True),
        ({"type": "a|b"}, True),
        ({"type": "a\\b"}, True),
        ({"type": " a"}, True),
        ({"type": '"a'}, True),
        ({"type": "a'"}, True),
        ({"type": "a" * 513}, True),
        ({"type": "a" * 512}, False),
    ],
)
def test_type_is_repeated_where_name_does_not_say_it(
    values: dict[str, object], *, repeated: bool
) -> None:
    """Parsing gives the type back in any case, so it is written where Name is not exactly it."""
    assert (" type=" in line(**values).replace("|type=", "| type=")) is repeated


@pytest.mark.parametrize(
    ("values", "severity"),
    [
        ({"alarm_severity": -5}, "10"),
        ({"alarm_severity": 1}, "10"),
        ({"alarm_severity": 2}, "7"),
        ({"alarm_severity": 3, "alarm": True}, "7"),
        ({"alarm_severity": 4}, "4"),
        ({"alarm_severity": 9}, "4"),
        ({"alarm_severity": 10, "alarm": True}, "1"),
        ({"alarm_severity": "unreadable", "alarm": True}, "10"),
        ({"alarm": True}, "10"),
        ({"alarm": False}, "1"),
        ({}, "1"),
    ],
)
def test_severity_counts_the_other_way(values: dict[str, object], severity: str) -> None:
    """CEF's 10 is the worst, a detection's 1 is; the header has CEF's."""
    assert header(type="x", **values)[1] == severity


def test_severity_table_can_be_replaced() -> None:
    """A profile's own table takes the place of the default one."""
    profile = Profile(severity=((1, 9), (5, 6)))
    frame = pl.DataFrame({"alarm_severity": [1, 5, 6]})
    levels = [one.split("|")[6] for one in cefline.render(frame, profile)]
    assert levels == ["9", "6", "1"]


def test_device_constants_are_escaped() -> None:
    """What the configuration puts into the header can't break it either."""
    profile = Profile(device=cef.Device("a|b", "c\\d", "1", "0"))
    text = cefline.render(pl.DataFrame({"msg": ["m"]}), profile)[0]
    assert text.startswith("CEF:0|a\\|b|c\\\\d|1|0|Timeline Event|1|msg=m")


@pytest.mark.parametrize(
    ("micros", "seconds"),
    [(0, "0"), (1_999_999, "1"), (-1, "-1"), (-11_644_473_600_000_000, "-11644473600")],
)
def test_event_time_is_floored_to_whole_seconds(micros: int, seconds: str) -> None:
    """The standard prints whole seconds; times before 1970 are floored like the others."""
    frame = pl.DataFrame({"eventTime": [micros]}).cast(pl.Datetime("us"))
    assert cefline.render(frame)[0].endswith(f"|eventTime={seconds}")
    exact = cefline.render(frame, Profile(subseconds=True))[0]
    assert exact.endswith(f"|eventTime={seconds} eventTimeMicros={micros}")


@given(hostile.frames())
def test_render_gives_the_bytes_of_the_oracle(frame: pl.DataFrame) -> None:
    """Whatever the values, the short cuts of `render` change nothing."""
    canonical = frame.with_columns(
        pl.when(pl.col(pl.String).str.contains(r"^\s*$").not_()).then(pl.col(pl.String))
    )
    usable = canonical.select(pl.any_horizontal(pl.all().is_not_null())).to_series()
    assert cefline.render(frame).to_list() == oracle(canonical).set(~usable, None).to_list()


@given(hostile.frames())
def test_every_event_is_one_line_however_lines_are_split(frame: pl.DataFrame) -> None:
    """No value forges or breaks a line for readers that split on LF, on CR, or on all breaks."""
    lines = cefline.render(frame).drop_nulls().to_list()
    text = "".join(f"{one}\n" for one in lines)
    assert text.splitlines() == lines
    assert text.encode().splitlines() == [one.encode() for one in lines]
    assert text.encode().split(b"\n") == [*(one.encode() for one in lines), b""]


@given(hostile.frames())
def test_dictionary_columns_give_the_same_lines(frame: pl.DataFrame) -> None:
    """Rendering distinct values once and spreading them is the same as rendering each."""
    plain = {
        c.name: as_text(c) if c.dtype == pl.String else c.to_physical().to_arrow() for c in frame
    }
    encoded = {
        name: column.dictionary_encode() if pa.types.is_large_string(column.type) else column
        for name, column in plain.items()
    }
    results = [render_columns(columns, Profile()) for columns in (plain, encoded)]
    texts = [[part.to_pylist() for _, part in one.slices()] for one in results]
    assert texts[0] == texts[1]
    assert results[0].counts == results[1].counts
    assert results[0].rejects.equals(results[1].rejects)


@given(hostile.frames())
def test_columns_give_the_same_lines_escaped_together_or_alone(frame: pl.DataFrame) -> None:
    """Long columns are escaped alone: neither lines nor rejects nor counts tell which."""
    columns = {
        c.name: as_text(c) if c.dtype == pl.String else c.to_physical().to_arrow() for c in frame
    }
    together = render_columns(columns, Profile())
    with mock.patch("cefline.render.SHORT", 0):
        alone = render_columns(columns, Profile())
    texts = [[part.to_pylist() for _, part in one.slices()] for one in (together, alone)]
    assert texts[0] == texts[1]
    assert together.counts == alone.counts
    assert together.rejects.equals(alone.rejects)


def test_replaced_characters_are_counted_and_their_originals_recorded() -> None:
    """Nothing is replaced silently: the count is by field, the record has the original."""
    columns = {"msg": as_text(pl.Series(["a\0b\x07", "clean", None, "\x0b"]))}
    rendered = render_columns(columns, Profile())
    assert rendered.counts == {("msg", "replaced_characters"): 3}
    records = rendered.rejects.select("kind", "row", "field", "raw").rows()
    assert records == [("replaced", 0, "msg", b"a\0b\x07"), ("replaced", 3, "msg", b"\x0b")]


def test_a_line_that_is_too_long_is_a_reject() -> None:
    """The limit counts the line's bytes; the rows around it are rendered."""
    columns = {"msg": as_text(pl.Series(["short", "x" * 500, "short too"]))}
    rendered = render_columns(columns, Profile(max_event=400))
    assert rendered.rows.to_list() == [0, 2]
    assert rendered.rejects.select("kind", "row").rows() == [("row", 1)]
    assert len([one for _, part in rendered.slices() for one in part]) == 2


def test_slices_are_bounded_however_far_a_dictionary_expands() -> None:
    """One value of 1 MiB in 40 rows is joined in slices of at most 16 MiB."""
    values = pa.array(["x" * (1 << 20)], pa.large_string())
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 40, pa.int32()), values)
    rendered = render_columns({"msg": column}, Profile())
    sizes = [sum(len(str(one)) for one in part) for _, part in rendered.slices()]
    assert max(sizes) <= 16 << 20
    assert sum(sizes) == rendered.lengths.sum()


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
def test_real_events_have_the_oracles_bytes(data: Path, name: str) -> None:
    """Every event of the real timelines comes out as the plain oracle has it."""
    for frame in cefline.read(data / name):
        assert (cefline.render(frame) == oracle(frame)).all()


@pytest.mark.slow
def test_the_whole_real_corpus_has_the_oracles_bytes(data: Path) -> None:
    """All 759,828 real events come out as the plain oracle has them, and parse back."""
    events = 0
    for frame in cefline.read(data / "real.parquet"):
        assert (cefline.render(frame) == oracle(frame)).all()
        events += frame.height
    assert events == 759_828
