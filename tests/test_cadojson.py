"""CadoJson: the same events as one JSON object a line, read back by Python's own parser."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cefline
from cefline.cadojson import parse_json
from cefline.config import Config
from cefline.errors import SourceError
from cefline.render import Profile
from cefline_schemas.cef import UNSAFE
from cefline_schemas.timeline import FIELDS
from tests import hostile, sample
from tests.commands import Result
from tests.lines import of_lines, of_rows, written

JSON = Profile(format="json")


def only(**event: object) -> str:
    (line,) = written(of_lines([event]), format="json").lines
    return line


SPACES = "\t\n\x0b\x0c\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    map(chr, range(0x2000, 0x200B))
)
"""Unicode's white space; Python strips U+001C to U+001F as well."""


def blank(value: object) -> bool:
    return isinstance(value, str) and not value.strip(SPACES)


def plain(frame: pl.DataFrame) -> list[dict[str, object]]:
    """Return what each row has, times in whole seconds."""
    if "eventTime" in frame.columns:
        frame = frame.with_columns(pl.col("eventTime").to_physical() // 10**6)
    return [{n: v for n, v in row.items() if v is not None} for row in frame.to_dicts()]


@given(hostile.frames())
def test_every_value_is_read_back_by_another_parser(frame: pl.DataFrame) -> None:
    """One event is one line, whatever it holds, and nothing in it is replaced."""
    lines = cefline.render(frame, JSON)
    expected = [{n: v for n, v in row.items() if not blank(v)} for row in plain(frame)]
    for line, row in zip(lines, expected, strict=True):
        if line is None:
            assert not row
            continue
        assert len(line.splitlines()) == 1
        assert not pl.Series([line]).str.contains(UNSAFE)[0]
        found = json.loads(line)
        assert found == row
        assert [*found] == [name for name in ORDER if name in found]
    kept = lines.drop_nulls()
    parsed = cefline.parse(kept) if len(kept) else pl.DataFrame()
    again = [
        {n: json.loads(v) if n in LISTS else v for n, v in row.items() if v is not None}
        for row in parsed.to_dicts()
    ]
    assert again == [row for row in expected if row]


LISTS = {field.name for field in FIELDS if field.type == "list"}
ORDER = [field.name for field in FIELDS]


def test_the_standards_sample_event() -> None:
    assert only(**sample.FIRST) == (
        '{"alarm":true,"evidence_id":2,"evidence_name":"aws_compromise.zip","macb":"M...",'
        '"source":"FILE","eventTime":1595194940,"filePath":"/tmp/file.txt",'
        '"type":"Content Modification Time","eventId":"Q5FBqHwBX9dvp1T5IsHT",'
        '"msg":"Malicious File Detected: cryptomining_malware_wannamine"}'
    )


def test_line_breaks_of_any_kind_are_escapes() -> None:
    """They are in the text that a parser gives back: nothing is replaced or counted."""
    text = 'a\n\r\t\x00\x07\x1f\x7f\x85\u2028\u2029"\\b\\u0041'
    out = written(of_lines([{"msg": text, "eventId": "1"}]), format="json")
    (line,) = out.lines
    assert line.isprintable()
    assert json.loads(line)["msg"] == text
    assert line.endswith(r'\u0000\u0007\u001f\u007f\u0085\u2028\u2029\"\\b\\u0041"}')
    assert out.rejects.is_empty()


def test_a_lone_surrogate_is_visible_text() -> None:
    """In a list, too: it would be JSON, but no text that a reader could hold."""
    out = written(
        b'{"msg": "a\\ud800", "highlights": ["b\\udfff"], "notes": "c\\udbff"}\n', format="json"
    )
    (line,) = out.lines
    assert json.loads(line) == {
        "highlights": ["b\\udfff"],
        "notes": "c\\udbff",
        "msg": "a\\ud800",
    }


LISTED: list[dict[str, object]] = [
    {"eventId": "1", "notes": [{"note": "a\n\u2028'\"\\", "created": 5, "author": None}]},
    {"eventId": "2", "notes": [{"note": "b", "created": 6, "author": "x"}], "highlights": ["h"]},
    {"eventId": "3", "highlights": []},
]


def test_lists_stay_lists() -> None:
    """Members of objects that are null are left out, as in CEF; numbers stay numbers."""
    expected = [
        {"eventId": "1", "notes": [{"note": "a\n\u2028'\"\\", "created": 5}]},
        {"eventId": "2", "highlights": ["h"], "notes": LISTED[1]["notes"]},
        {"eventId": "3"},
    ]
    for content in (of_lines(LISTED), of_rows(LISTED)):
        lines = written(content, format="json").lines
        assert [json.loads(line) for line in lines] == expected
        assert not any("\u2028" in line for line in lines)


@pytest.mark.parametrize("text", ["[1]", "['a']", '{"a": 1}', "5", "null", "true", '"q"', "a\\b"])
def test_text_in_the_place_of_a_list_stays_text(text: str) -> None:
    """However it looks: in Parquet plain or as a dictionary, and in JSON."""
    events = [{"eventId": str(n), "notes": text} for n in range(40)]
    for content in (of_lines(events), of_rows(events)):
        found = {json.loads(line)["notes"] for line in written(content, format="json").lines}
        assert found == {text}


def test_values_have_the_types_of_their_fields() -> None:
    """Times are whole seconds, floored, as numbers; microseconds by option."""
    event = {"eventTime": "-0.25", "alarm": "TRUE", "evidence_id": "7", "source_port": 80}
    assert only(**event) == ('{"alarm":true,"evidence_id":7,"eventTime":-1,"source_port":"80"}')
    (exact,) = written(of_lines([event]), format="json", subseconds=True).lines
    assert '"eventTime":-1,"eventTimeMicros":-250000,' in exact


def test_a_line_above_the_limit_is_a_reject() -> None:
    """To the byte, its end included."""
    event = {"eventId": "1", "msg": "x" * 50}
    size = len(only(**event)) + 1
    assert written(of_lines([event]), format="json", max_event=size).lines
    out = written(of_lines([event, {"eventId": "2"}]), format="json", max_event=size - 1)
    assert out.lines == ['{"eventId":"2"}']
    assert out.rejected("reason") == [(f"line of more than {size - 1} bytes",)]


def test_columns_of_no_field_are_carried_as_json() -> None:
    out = written(
        of_lines([{"msg": "m", "zz": {"a": [1, "b"]}, "y": "5"}]), format="json", unknown="carry"
    )
    assert json.loads(out.lines[0]) == {"y": "5", "zz": {"a": [1, "b"]}, "msg": "m"}


@given(hostile.frames())
def test_what_was_delivered_is_a_timeline_again(frame: pl.DataFrame) -> None:
    """CadoJson is an input, too: the same lines come of it."""
    lines = cefline.render(frame, JSON).drop_nulls().to_list()
    content = "".join(line + "\n" for line in lines).encode()
    assert written(content, format="json").lines == lines


# Lines that are none.


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("{", "is no line of CadoJson"),
        ("[]", "is no line of CadoJson"),
        ('{"msg":"a","msg":"b"}', "a key twice"),
        ('{"evidence_id":"1"}', "unreadable evidence_id"),
        ('{"evidence_id":true}', "unreadable evidence_id"),
        ('{"alarm":1}', "unreadable alarm"),
        ('{"eventTime":1.5}', "unreadable eventTime"),
        ('{"msg":null}', "unreadable msg"),
        ('{"notes":NaN}', "NaN is not JSON"),
        ("{" + '"a":[' * 100_000, "is no line of CadoJson"),
    ],
)
def test_a_line_that_is_none_is_told(line: str, what: str) -> None:
    with pytest.raises(SourceError, match=f"^line 2 .*{what}"):
        parse_json(pl.Series(['{"msg":"m"}', line]))


# Deliveries.


def test_deliveries_are_verified_field_by_field(
    command: Callable[..., Result], tmp_path: Path
) -> None:
    """Partitions, parts and the manifest as with CEF; the names say what it is."""
    sample_, out = sample_path(), tmp_path / "out"
    run = "export", str(sample_), str(out), "--format", "json", "--json"
    report = command(*run, "--part-size", "64KiB").lines[0]
    assert report["events_delivered"] == 300
    assert not report["sources"][0]["rejects"]
    urls = [part["url"] for part in report["parts"]]
    assert len(urls) > 3
    assert all(url.endswith(".jsonl.gz") and "evidence_id-" in url for url in urls)
    assert [part["events"] for part in report["parts"]] == [
        cefline.parse(Path(url)).height for url in urls
    ]
    checked = command("verify", str(out))
    assert checked.code == 0
    assert "300 compared" in checked.out
    assert command(*run).lines[0]["sources"][0]["outcome"] == "known"


def sample_path() -> Path:
    return Path(__file__).parent / "data" / "sample.jsonl"


@pytest.mark.parametrize("compression", ["zstd", "none"])
def test_other_compressions_have_their_names(
    compression: str, command: Callable[..., Result], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    how = "--format", "json", "--compression", compression
    assert command("export", str(sample_path()), str(out), *how).code == 0
    suffix = {"zstd": ".jsonl.zst", "none": ".jsonl"}[compression]
    assert all(path.name.endswith(suffix) for path in out.rglob("*-*-*.*"))
    assert command("verify", str(out)).code == 0


def test_a_rerun_takes_the_plans_format() -> None:
    """Half a delivery in one form and half in another would double events."""
    made = json.loads(json.dumps(Config(format="json").planned()))
    assert Config().with_planned(made).format == "json"


def test_json_and_cef_say_the_same(data: Path) -> None:
    """Of real events: each field of each, but that CEF makes some characters visible."""
    content = (data / "real_alarms.jsonl").read_bytes()
    found = written(content, format="json")
    cef = written(content, lists="json")
    assert len(found.lines) == len(cef.lines) == 1969
    for line, event in zip(found.lines, cef.events, strict=True):
        said: dict[str, Any] = json.loads(line)
        for name in LISTS & said.keys():
            if not isinstance(said[name], str):
                said[name], event[name] = (
                    json.dumps(said[name]),
                    json.dumps(json.loads(str(event[name]))),
                )
        assert said == event


def test_the_preview_shows_json(command: Callable[..., Result]) -> None:
    shown = command("preview", "--format", "json", "-n", "2", str(sample_path()))
    assert [line["evidence_id"] for line in shown.lines] == [2, 3]


def test_hostile_texts_are_lists_members_too() -> None:
    """What a list holds is escaped once: as JSON, and then line breaks that JSON allows."""
    for text in hostile.SIGNS:
        line = only(eventId="1", highlights=[text, {"k" + text: text}])
        assert len(line.splitlines()) == 1
        assert json.loads(line)["highlights"] == [text, {"k" + text: text}]


@given(st.lists(st.sampled_from(hostile.SIGNS)).map("".join))
def test_dictionaries_are_escaped_as_plain_values_are(text: str) -> None:
    """Values that repeat are escaped once each."""
    events: list[dict[str, object]] = [{"eventId": "e", "source": text, "notes": text}] * 50
    lines = written(of_rows(events), format="json").lines
    assert set(lines) == {only(**events[0])}


def test_a_frame_of_canonical_columns_is_rendered() -> None:
    frame = pl.DataFrame({"msg": ["a=b|c", None], "evidence_id": [1, None]})
    lines = cefline.render(frame, replace(JSON, max_event=1000))
    assert lines.to_list() == ['{"evidence_id":1,"msg":"a=b|c"}', None]
