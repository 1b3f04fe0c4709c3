"""Rows that are rejected late keep the raw form that their source has of them."""

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cefline
from cefline import Config
from tests.inputs import broken_text
from tests.lines import Event, of_array, of_lines, of_rows, of_table, written, zipped

TOO_LONG = "line of more than 200 bytes"
UNUSABLE = "no usable field"
LONG = "x" * 500
EVENTS: list[Event] = [
    {"eventId": "1", "msg": "short"},
    {"eventId": "2", "msg": LONG, "zz": "unknown"},
    {"zz": "nothing of the table"},
    {"eventId": "3", "msg": "short"},
    {"msg": LONG + "é"},
    {"eventId": "4"},
]


@pytest.mark.parametrize("pack", [bytes, zipped])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\n\n"])
def test_lines_keep_number_offset_and_bytes(pack: Callable[[bytes], bytes], end: bytes) -> None:
    """A rejected line of NDJSON is kept as it stands in the text, without its LF."""
    content = of_lines(EVENTS, ascii_only=False).replace(b"\n", end)
    out = written(pack(content), max_event=200)
    assert [event["eventId"] for event in out.events] == ["1", "3", "4"]
    lines = content.split(b"\n")
    step = end.count(b"\n")
    numbers = [1 * step, 2 * step, 4 * step]
    offsets = [len(b"\n".join(lines[:n])) + 1 for n in numbers]
    reasons = [TOO_LONG, UNUSABLE, TOO_LONG]
    told = out.rejected("ordinal", "line", "offset", "reason", "raw")
    assert told == [
        (n, n + 1, offset, reason, lines[n])
        for n, offset, reason in zip(numbers, offsets, reasons, strict=True)
    ]
    assert out.rejected("event_id") == [("2",), (None,), (None,)]


def test_elements_of_an_array_keep_theirs() -> None:
    """A rejected element is kept with its place, line breaks in it as blanks."""
    content = of_array(EVENTS)
    out = written(content, max_event=200)
    for ordinal, line, offset, raw in out.rejected("ordinal", "line", "offset", "raw"):
        assert isinstance(ordinal, int)
        assert isinstance(offset, int)
        assert isinstance(raw, bytes)
        assert line == ordinal + 1
        assert content[offset : offset + len(raw)].replace(b"\n", b" ") == raw
        assert json.loads(raw) == EVENTS[ordinal]
    assert out.rejected("ordinal") == [(1,), (2,), (4,)]


def test_rows_of_parquet_are_kept_as_json() -> None:
    """A rejected row of a table is kept as an object of the values that were read of it."""
    out = written(of_rows(EVENTS), max_event=200)
    told = out.rejected("ordinal", "line", "offset", "reason")
    assert told == [(1, None, None, TOO_LONG), (2, None, None, UNUSABLE), (4, None, None, TOO_LONG)]
    rows = [json.loads(bytes(raw)) for (raw,) in out.rejected("raw") if isinstance(raw, bytes)]
    assert rows == [{"eventId": "2", "msg": LONG}, {}, {"msg": LONG + "é"}]


def test_carried_columns_are_in_the_raw_form() -> None:
    """What is carried was read, so it is kept, too."""
    out = written(
        of_table({"zz": ["a"], "yy": [[1]], "msg": [LONG]}), max_event=200, unknown="carry"
    )
    [(raw,)] = out.rejected("raw")
    assert isinstance(raw, bytes)
    assert json.loads(raw) == {"zz": "a", "yy": [1], "msg": LONG}


@pytest.mark.parametrize("group", [1, 2, 7])
def test_rows_of_every_row_group_are_the_right_ones(group: int) -> None:
    """However a table is divided, the raw form is that of the row that was rejected."""
    texts = [LONG if n % 3 else "short" for n in range(20)]
    content = of_table({"eventId": [str(n) for n in range(20)], "msg": texts}, row_group_size=group)
    out = written(content, max_event=200)
    assert out.rejected("ordinal", "raw") == [
        (n, b'{"eventId": "%d", "msg": "%s"}' % (n, LONG.encode())) for n in range(20) if n % 3
    ]


@pytest.mark.parametrize(
    ("column", "raw"),
    [
        (pa.array([1]), 1),
        (pa.array([1.5]), 1.5),
        (pa.array([True]), True),
        (pa.array([["a", None]]), ["a", None]),
        (pa.array([{"a": 1, "b": None}]), {"a": 1, "b": None}),
        (pa.array([Decimal("1.50")]), "1.50"),
        (pa.array([datetime(2026, 1, 12, tzinfo=UTC)]), "2026-01-12 00:00:00+00:00"),
        (pa.array(["a\0\n\u2028é"]), "a\0\n\u2028é"),
        (broken_text(b"a\xff"), "a\\xff"),
        (pa.array(["a"]).dictionary_encode(), "a"),
        (pa.array([[("k", "v")]], pa.map_(pa.string(), pa.string())), [["k", "v"]]),
        (pa.array([2**62], pa.timestamp("us")), "a value of timestamp[us]"),
        (pa.array([1], pa.timestamp("us", "Mars/X")), "a value of timestamp[us, tz=Mars/X]"),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)  # fmt: skip
def test_values_of_any_type_have_a_raw_form(column: pa.Array, raw: object) -> None:
    """JSON's types stay, other values are their text, and none is a traceback."""
    content = of_table({"eventId": ["1"], "notes": column, "msg": [LONG]})
    [(kept,)] = written(content, max_event=200).rejected("raw")
    assert isinstance(kept, bytes)
    assert json.loads(kept) == {"eventId": "1", "notes": raw, "msg": LONG}


@pytest.mark.parametrize(
    ("column", "raw"),
    [
        (pa.array([b"caf\xc3\xa9"]), "café"),
        (pa.array([b"a\xff"]), "a\\xff"),
        (pa.array([[b"a\xff"]]), ["a\\xff"]),
    ],
    ids=["bytes", "no text", "list"],
)
def test_bytes_are_taken_for_text(column: pa.Array, raw: object) -> None:
    """Bytes are text in a raw form as they are in a line."""
    content = of_table({"eventId": ["1"], "notes": column, "msg": [LONG]})
    [(kept,)] = written(content, max_event=200).rejected("raw")
    assert isinstance(kept, bytes)
    assert json.loads(kept)["notes"] == raw


def test_a_list_of_broken_text_is_not_left_empty() -> None:
    """Of a list that Python can't read there is at least the type, as of other such values."""
    column = pa.ListArray.from_arrays(pa.array([0, 1]), broken_text(b"a\xff"))
    content = of_table({"eventId": ["1"], "notes": column, "msg": [LONG]})
    [(kept,)] = written(content, max_event=200).rejected("raw")
    assert isinstance(kept, bytes)
    assert json.loads(kept)["notes"]


def _refuse(text: str) -> None:
    message = f"{text} is not JSON"
    raise ValueError(message)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("listed", [True, False])
def test_the_raw_form_is_strict_json(number: float, *, listed: bool) -> None:
    """Numbers that JSON has not are no reason for an object that strict readers refuse."""
    content = of_table({"notes": [[number] if listed else number], "msg": [LONG]})
    [(kept,)] = written(content, max_event=200).rejected("raw")
    assert isinstance(kept, bytes)
    json.loads(kept, parse_constant=_refuse)


TEXTS = st.dictionaries(
    st.sampled_from(["msg", "short", "eventId", "host"]),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8),
    min_size=1,
)


@given(st.lists(TEXTS, min_size=1, max_size=8), st.integers(60, 110))
def test_each_row_is_delivered_or_kept(rows: list[dict[str, str]], most: int) -> None:
    """Wherever the bound is, both forms reject the same rows, and each one can be read again."""
    lines, table = (written(form(rows), max_event=most) for form in (of_lines, of_rows))
    assert lines.lines == table.lines
    assert lines.rejected("ordinal", "reason") == table.rejected("ordinal", "reason")
    for out in (lines, table):
        assert out.read == len(rows) == len(out.lines) + len(out.rejected("ordinal"))
        for ordinal, raw in out.rejected("ordinal", "raw"):
            assert isinstance(ordinal, int)
            assert isinstance(raw, bytes)
            assert json.loads(raw) == rows[ordinal]


def test_replaced_characters_of_a_rejected_row_stay_beside_it() -> None:
    """A row that is rejected for its length has its other records, and its whole line."""
    content = of_lines([{"eventId": "1", "msg": "\0" + LONG}, {"eventId": "2"}])
    out = written(content, max_event=200)
    kinds = out.rejects.select("kind", "ordinal", "event_id", "field").rows()
    assert sorted(kinds) == [("replaced", 0, "1", "msg"), ("row", 0, "1", None)]
    assert out.rejected("raw") == [(content.split(b"\n")[0],)]


def test_the_raw_forms_of_a_batch_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many rows that a dictionary made long, the first are kept; all are counted."""
    monkeypatch.setattr(sys.modules["cefline.read.parquet"], "_RAW_BYTES", 2_500)
    out = written(of_table({"msg": [LONG] * 100}), max_event=200)
    raws = [raw for (raw,) in out.rejected("raw")]
    assert len(raws) == 100
    kept = [raw for raw in raws if raw is not None]
    assert kept == raws[: len(kept)] == [b'{"msg": "%s"}' % LONG.encode()] * 5
    assert out.rejected("ordinal") == [(n,) for n in range(100)]


def test_the_state_keeps_the_raw_form(tmp_path: Path) -> None:
    """What a run keeps of a row that is too long is enough to find it and to read it again."""
    lines, table = tmp_path / "lines", tmp_path / "table"
    lines.write_bytes(of_lines(EVENTS))
    table.write_bytes(of_rows(EVENTS))
    sources = (str(lines), str(table))
    report = cefline.export(Config(sources=sources, dest=str(tmp_path / "out"), max_event=200))
    assert report.exit_code == 0
    assert (report.read, report.delivered, report.rejected) == (12, 6, 6)
    kept = [
        json.loads(line)
        for path in (tmp_path / "_cefline" / "out" / "rejects").rglob("*.ndjson")
        for line in path.read_bytes().splitlines()
    ]
    found = {(r["source"], r["ordinal"]): json.loads(r["raw"]) for r in kept}
    known = [{n: v for n, v in event.items() if n != "zz"} for event in EVENTS]
    expected = {(str(lines), n): EVENTS[n] for n in (1, 2, 4)}
    assert found == expected | {(str(table), n): known[n] for n in (1, 2, 4)}
    offsets = [r["offset"] for r in kept if r["source"] == str(lines)]
    content = lines.read_bytes()
    assert all(content[at - 1 : at] == b"\n" for at in offsets)
