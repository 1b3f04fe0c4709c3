"""Reading: every format by its content, bad input kept with its place, nothing lost silently."""

import gzip
import json
import subprocess
import sys
import uuid
from decimal import Decimal
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cefline import convert
from cefline.config import Config
from cefline.counts import REPLACED
from cefline.errors import SourceError
from cefline.read import Limits, open_source
from cefline.read.frames import of_array, of_ndjson
from cefline_schemas.timeline import CANONICAL
from tests import inputs, lines, sample
from tests.inputs import URL, read, read_frames, read_table, read_text, reader

ONE = b'{"eventId":"1"}'
TWO = b'{"eventId":"2"}'
SKIPPABLE = b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd"  # a frame that zstd readers must pass over
DEEP = 100_000


def ids(*names: str) -> dict[int, inputs.Event]:
    """Return the events that hold nothing but these ids."""
    return {place: {"eventId": name} for place, name in enumerate(names)}


def ndjson(count: int) -> bytes:
    """Make lines that hold an id each."""
    return b"".join(b'{"eventId":"%d"}\n' % n for n in range(count))


def array(count: int) -> bytes:
    """Make an array of objects that hold an id each."""
    return b"[" + b",".join(ndjson(count).splitlines()) + b"]"


def zstd(*texts: bytes) -> bytes:
    """Compress each text into a frame of its own."""
    frames = []
    for text in texts:
        sink = pa.BufferOutputStream()
        with pa.CompressedOutputStream(sink, "zstd") as stream:
            stream.write(text)
        frames.append(sink.getvalue().to_pybytes())
    return b"".join(frames)


def gzipped(*texts: bytes) -> bytes:
    """Compress each text into a member of its own."""
    return b"".join(gzip.compress(text, mtime=0) for text in texts)


# What a source is.


@pytest.mark.parametrize("name", ["x.parquet", "x.json", "x.jsonl.gz", "x.txt", "x"])
@pytest.mark.parametrize("form", ["parquet", "ndjson", "array"])
def test_format_is_told_by_content(tmp_path: Path, name: str, form: str) -> None:
    """Whatever a file is called, what it holds decides how it is read."""
    path = tmp_path / name
    if form == "parquet":
        pq.write_table(pa.table({"eventId": ["0", "1"]}), path)
    else:
        path.write_bytes(ndjson(2) if form == "ndjson" else array(2))
    assert open_source(path, URL, Limits()).format == form
    assert inputs.read_path(path).events == ids("0", "1")


@pytest.mark.parametrize("text", [ndjson(3000), array(3000)], ids=["ndjson", "array"])
@pytest.mark.parametrize("pack", [gzipped, zstd])
def test_compressed_text_is_read(tmp_path: Path, text: bytes, pack: object) -> None:
    """Both JSON forms are read from gzip and zstd as from plain files."""
    assert callable(pack)
    assert read(tmp_path, pack(text)).events == read(tmp_path, text).events


@pytest.mark.parametrize("pack", [gzipped, zstd])
def test_all_members_are_read(tmp_path: Path, pack: object) -> None:
    """Concatenated gzip members and zstd frames, empty ones among them, are one text."""
    assert callable(pack)
    whole = pack(ONE[:5], b"", ONE[5:] + b"\n", b"", TWO + b"\n", b"")
    assert read(tmp_path, whole).events == ids("1", "2")


@pytest.mark.parametrize(
    "content",
    [
        zstd(ONE) + SKIPPABLE + zstd(b"\n" + TWO),
        SKIPPABLE + zstd(ONE, b"\n" + TWO),
    ],
    ids=["between", "first"],
)
def test_skippable_zstd_frames_are_passed_over(tmp_path: Path, content: bytes) -> None:
    """A skippable frame holds no text, wherever it stands; parallel writers put one first."""
    assert read(tmp_path, content).events == ids("1", "2")


@pytest.mark.parametrize("cut", [1, 4, 8, 9, 100, 5000])
@pytest.mark.parametrize("text", [ndjson(20_000), array(20_000)], ids=["ndjson", "array"])
@pytest.mark.parametrize("pack", [gzipped, zstd])
def test_truncated_compression_fails_the_source(
    tmp_path: Path, pack: object, text: bytes, cut: int
) -> None:
    """A compressed stream that ends early fails, even where only its check sum is missing."""
    assert callable(pack)
    with pytest.raises(SourceError, match=r"the source is damaged or cut off near byte \d+"):
        read(tmp_path, pack(text)[:-cut], Limits(bytes=10_000))


@pytest.mark.parametrize("kept", [3, 5, 12, 18])
def test_a_stump_of_gzip_fails_the_source(tmp_path: Path, kept: int) -> None:
    """A gzip file of a few bytes is no empty source."""
    with pytest.raises(SourceError):
        read(tmp_path, gzipped(ONE)[:kept])


@pytest.mark.parametrize("place", [-5, -1, 10, 40_000])
def test_corrupt_gzip_fails_the_source(tmp_path: Path, place: int) -> None:
    """A flipped byte in header, data, check sum or length of gzip is found."""
    content = bytearray(gzipped(ndjson(20_000)))
    content[place] ^= 0xFF
    with pytest.raises(SourceError, match="damaged or cut off"):
        read(tmp_path, bytes(content))


@pytest.mark.parametrize("pack", [gzipped, zstd])
def test_garbage_after_compression_fails_the_source(tmp_path: Path, pack: object) -> None:
    """What follows the last member and is none may be a damaged one: nothing is passed over."""
    assert callable(pack)
    with pytest.raises(SourceError, match="damaged or cut off"):
        read(tmp_path, pack(ONE) + b"garbage")


def test_zeros_after_gzip_are_padding(tmp_path: Path) -> None:
    """Tapes and block devices pad with zeros, which every gzip reader passes over."""
    assert read(tmp_path, gzipped(ONE) + bytes(512)).events == ids("1")


@pytest.mark.parametrize(
    "content",
    [
        b"hello",
        b"\x00\x00\x00\x00",
        b"<?xml version='1.0'?>",
        b"eventId,msg\n1,x\n",
        b'"text"',
        b"PK\x03\x04",
        '{"eventId":"1"}\n'.encode("utf-16"),
        '{"eventId":"1"}\n'.encode("utf-16-be"),
        "é".encode("latin-1"),
        b"\xef\xbb\xbf\xef\xbb\xbf{}",
    ],
)
def test_anything_else_is_no_timeline(tmp_path: Path, content: bytes) -> None:
    """A file of another kind fails as a whole; the message says how it begins."""
    with pytest.raises(SourceError, match="the source is no timeline: it begins with"):
        read(tmp_path, content)


def test_utf16_is_named(tmp_path: Path) -> None:
    """Windows tools write UTF-16; the message says so instead of showing bytes."""
    with pytest.raises(SourceError, match="UTF-16 text"):
        read(tmp_path, '{"eventId":"1"}\n'.encode("utf-16"))


def test_utf16_without_mark_fails_too(tmp_path: Path) -> None:
    """UTF-16 that begins like NDJSON is not taken for lines that can't be read."""
    with pytest.raises(SourceError):
        read(tmp_path, '{"eventId":"1"}\n{"eventId":"2"}\n'.encode("utf-16-le"))


@pytest.mark.parametrize("content", [b"", b"\n", b" \n\t\r\n", b"[]", b" [ ] ", b"\xef\xbb\xbf"])
def test_nothing_is_no_failure(tmp_path: Path, content: bytes) -> None:
    """Files without events, plain or compressed, are read without one and without a reject."""
    for stored in (content, gzipped(content), zstd(content)):
        out = read(tmp_path, stored)
        assert not out.events
        assert out.rejects.is_empty()


# Lines.


def test_bad_lines_have_number_and_offset(tmp_path: Path) -> None:
    """Each unreadable line is kept raw, with its line from 1 and byte offset; the rest is read."""
    bad = [b"garbage", b'{"eventId":"cut', b"[1]", b'"text"', b"5", b"null", b'{"a":1} x', b"{,}"]
    lines = [line for one in bad for line in (b'{"eventId":"\xc3\xa9"}', b"", one)]
    out = read(tmp_path, b"\n".join(lines) + b"\n")
    places = [n for n in range(len(lines)) if n % 3 == 2]
    offsets = [len(b"\n".join(lines[:n])) + 1 for n in places]
    found = out.rejected("kind", "ordinal", "line", "offset", "raw")
    assert found == [
        ("row", n, n + 1, offset, raw) for n, offset, raw in zip(places, offsets, bad, strict=True)
    ]
    assert sorted(out.events) == [n for n in range(len(lines)) if n % 3 == 0]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"[1]", "no JSON object: a list"),
        (b"NaN", "no JSON object: NaN is not JSON"),
        (b'{"msg":NaN}', "no JSON object: NaN is not JSON"),
        (b'{"msg":[-Infinity]}', "no JSON object: -Infinity is not JSON"),
        (b'{"msg":"\xff"}', "no JSON object: 'utf-8' codec can't decode"),
        (b'{"zz":"\xe9"}', "no JSON object: 'utf-8' codec can't decode"),
        (b'{"\xe9":1}', "no JSON object: 'utf-8' codec can't decode"),
        (b'{"msg":"\xed\xa0\x80"}', "no JSON object: 'utf-8' codec can't decode"),
        (b'{"msg":"\x00"}', "no JSON object: Invalid control character"),
        (b'{"msg":"a\tb"}', "no JSON object: Invalid control character"),
        (b'{"msg":"\\x41"}', "no JSON object: Invalid \\escape"),
        (b'{"msg":01}', "no JSON object: Expecting ',' delimiter"),
        (b"{'msg':'x'}", "no JSON object: Expecting property name"),
        (b'{"msg":"x",}', "no JSON object: "),
        (b'{"eventId":"1"}{"eventId":"2"}', "no JSON object: Extra data"),
        (b'\xef\xbb\xbf{"msg":1}', "no JSON object: "),
        ("\u00a0".encode(), "no JSON object: Expecting value"),
    ],
)
def test_reason_says_what_is_wrong(line: bytes, reason: str) -> None:
    """A line that is no strict JSON object in UTF-8 is a reject that says why; others are read."""
    out = read_text(ONE + b"\n" + line + b"\n" + TWO + b"\n")
    assert sorted(out.events) == [0, 2]
    [(kind, raw, why)] = out.rejected("kind", "raw", "reason")
    assert (kind, raw) == ("row", line)
    assert str(why).startswith(reason)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b" \t\r\n", b"\n\n", b"\r\n \r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_line_ends_and_blank_lines_are_no_events(tmp_path: Path, end: bytes, *, last: bool) -> None:
    """LF and CRLF end lines, blank lines are none, and the last line needs no end."""
    out = read(tmp_path, ONE + end + TWO + (end if last else b""))
    assert [out.events[n] for n in sorted(out.events)] == [{"eventId": "1"}, {"eventId": "2"}]
    assert out.rejects.is_empty()


def test_ordinals_count_blank_lines(tmp_path: Path) -> None:
    """An ordinal is the line's own number, so that a reject can be found in the file."""
    assert sorted(read(tmp_path, ONE + b"\n\n\r\n" + TWO).events) == [0, 3]


def test_line_separators_of_unicode_end_no_line(tmp_path: Path) -> None:
    """Only LF ends a line: U+2028, NEL, VT and FF may stand in values."""
    text = "a\u2028b\u2029c\x85d\x7f"
    assert read(tmp_path, f'{{"msg":"{text}"}}\n'.encode()).events == {0: {"msg": text}}


def test_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    """A BOM before the first line is passed over, and offsets still count it."""
    out = read(tmp_path, b"\xef\xbb\xbf" + ONE + b"\nx\n")
    assert out.events == ids("1")
    assert out.rejected("line", "offset", "raw") == [(2, 3 + len(ONE) + 1, b"x")]


def test_last_line_may_be_unterminated(tmp_path: Path) -> None:
    """A whole last line without LF is read."""
    assert read(tmp_path, ONE + b"\n" + TWO).events == ids("1", "2")


@pytest.mark.parametrize("end", [b'{"eventId":"2', b"{", b'{"eventId":"2"', b"x", b"5", b"\x00"])
@pytest.mark.parametrize("size", [8, 1 << 20])
def test_broken_last_line_fails_the_source(end: bytes, size: int) -> None:
    """A last line that is neither terminated nor readable was cut off: the source fails."""
    content = ONE + b"\n" + end
    with pytest.raises(SourceError, match="the source ends in the middle of line 2"):
        read_frames(of_ndjson(reader(content).read, URL, size))


def test_a_broken_line_that_is_terminated_is_a_reject(tmp_path: Path) -> None:
    """With its LF, the same last line is one unreadable row among others."""
    out = read(tmp_path, ONE + b'\n{"eventId":"2\n')
    assert out.events == ids("1")
    assert out.rejected("line") == [(2,)]


@pytest.mark.parametrize(
    ("line", "event"),
    [
        (b'{"msg":"\\u0000"}', {"msg": "\0"}),
        (b'{"msg":"\\ud83d\\ude00"}', {"msg": "\U0001f600"}),
        (b'{"msg":"\\\\ud800"}', {"msg": "\\ud800"}),
        (b'{"\\u006dsg":"x"}', {"msg": "x"}),
        (b'{"msg":5}', {"msg": "5"}),
        (b'{"msg":"0005"}', {"msg": "0005"}),
        (b'{"msg":"1E5"}', {"msg": "1E5"}),
        (b'{"msg":1.10}', {"msg": "1.1"}),
        (b'{"msg":true}', {"msg": "True"}),
        (b'{"msg":"true"}', {"msg": "true"}),
        (b'{"msg":"null"}', {"msg": "null"}),
        (b'{"msg":null,"eventId":"1"}', {"eventId": "1"}),
        (b'{"msg":123456789012345678901234567890}', {"msg": "123456789012345678901234567890"}),
        (b'{"msg":-9223372036854775809}', {"msg": "-9223372036854775809"}),
        (b'{"msg":18446744073709551615}', {"msg": "18446744073709551615"}),
        (b'{"msg":1e400}', {"msg": "1e400"}),
        (b'{"msg":[1e400]}', {"msg": "['1e400']"}),
        (b'{"msg":' + b"1" * 6000 + b"}", {"msg": "1" * 6000}),
        (b'{"msg":"[1]"}', {"msg": "[1]"}),
        (b'{"msg":"{\\"a\\": null}"}', {"msg": '{"a": null}'}),
        (b'{"msg":{"a":"[1]"}}', {"msg": "{'a': '[1]'}"}),
        (b'{"msg" : \t [ {"a":null, "b":[ ]} ]}', {"msg": "[{'b': []}]"}),
        (b'{"notes":[],"eventId":"1"}', {"eventId": "1"}),
        (b'{"notes":"[]"}', {"notes": "[]"}),
        (b'{"msg":"x\\":[1"}', {"msg": 'x":[1'}),
        (b'{"zz":{"msg":[1]},"eventId":"1"}', {"eventId": "1"}),
        (b'{"zz":"\\ud800","eventId":"1"}', {"eventId": "1"}),
        (b'{"\\u006dsg":{"a":1}}', {"msg": "{'a': 1}"}),
    ],
)
def test_values_are_what_json_says(line: bytes, event: inputs.Event) -> None:
    """Text stays text, structures become literals, numbers keep their digits, alone or in company.

    The lines around it make polars refuse the chunk in the second turn, and parse it in the first.
    """
    for company in (ONE, b"bad"):
        assert read_text(company + b"\n" + line + b"\n").events[1] == event


def test_lone_surrogates_are_shown_and_recorded() -> None:
    """A lone surrogate becomes visible text, and its original is kept as a `replaced` record."""
    out = read_text(
        b'{"eventId":"1","msg":"y\\ud800z"}\n{"eventId":"2","highlights":["\\udc00\\udc01"]}\n'
    )
    assert out.column("msg") == ["y\\ud800z", None]
    assert out.column("highlights") == [None, "['\\udc00\\udc01']"]
    assert out.rejected("kind", "ordinal", "field", "raw") == [
        ("replaced", 0, "msg", b"y\xed\xa0\x80z"),
        ("replaced", 1, "highlights", b'["\xed\xb0\x80\xed\xb0\x81"]'),
    ]
    assert out.counts["msg", REPLACED] == 1
    assert out.counts["highlights", REPLACED] == 2


def test_surrogate_records_have_the_events_id() -> None:
    """A `replaced` record names its event as every other does."""
    out = read_text(b'{"eventId":"1","msg":"y\\ud800z"}\n')
    assert out.rejected("event_id") == [("1",)]


@pytest.mark.parametrize(
    "line",
    [
        b'{"eventId":"first","eventId":"last","msg":[1]}',
        b'{"eventId":"first","eventId":"last"}',
        b'{ "eventId" :"first","eventId":"last"}',
        b'{"msg":"x","eventId":"first","short":"y", "eventId": "last"}',
        b'{"eventId":"first","\\u0065ventId":"last"}',
    ],
    ids=["looked-at", "alone", "blanks", "among others", "escaped"],
)
def test_last_of_equal_keys_wins(line: bytes) -> None:
    """Of a key that comes twice the last value counts, whatever else the line holds."""
    assert read_text(line + b"\n").events[0]["eventId"] == "last"


def test_mixed_types_of_a_key_are_each_kept() -> None:
    """A key may be text, number, boolean, list, object and null from line to line."""
    values = ["x", 5, 1.5, True, [1], {"a": 1}, None, "[1]"]
    lines = b"".join(json.dumps({"eventId": "1", "msg": v}).encode() + b"\n" for v in values)
    written = ["x", "5", "1.5", "True", "[1]", "{'a': 1}", None, "[1]"]
    assert read_text(lines).column("msg") == written


@pytest.mark.parametrize(
    ("key", "depth"),
    [(key, depth) for key in ("zz", "msg", "evidence_id", "notes") for depth in (100, 900, DEEP)],
)
def test_deep_nesting_costs_one_row_at_most(key: str, depth: int) -> None:
    """Nesting is read, or rejects its own row; the lines around it are always delivered."""
    nested = b"[" * depth + b"]" * depth
    line = b'{"eventId":"deep","' + key.encode() + b'":' + nested + b"}"
    out = read_text(ONE + b"\n" + line + b"\n" + TWO + b"\n")
    assert out.events[0] == {"eventId": "1"}
    assert out.events[2] == {"eventId": "2"}
    rows = [int(str(ordinal)) for kind, ordinal in out.rejected("kind", "ordinal") if kind == "row"]
    assert sorted([*out.events, *rows]) == [0, 1, 2]


@pytest.mark.parametrize("bad", [b"", b"bad\n"])
def test_no_depth_of_nesting_is_a_traceback(bad: bytes) -> None:
    """Around the parser's limit every depth is read or rejected, in a clean chunk or another."""
    for depth in range(900, 1010):
        nested = b"[" * depth + b"]" * depth
        out = read_text(bad + ONE + b'\n{"eventId":"2","msg":' + nested + b"}\n")
        assert {"eventId": "1"} in out.events.values()


def test_deep_nesting_in_an_array_is_no_traceback() -> None:
    """An element too deep to parse fails the source with a message, or is a reject."""
    content = b'[{"eventId":"1","zz":' + b"[" * DEEP + b"]" * DEEP + b'},{"eventId":"2"}]'
    try:
        out = read_frames(of_array(reader(content).read, URL, 1 << 20))
    except SourceError:
        return
    assert [event["eventId"] for event in out.events.values()] == ["2"]


@pytest.mark.parametrize("size", [1, 1 << 20])
def test_long_lines_are_read(size: int) -> None:
    """A line of 10 MB is one event, whatever the size of the blocks."""
    content = ONE + b'\n{"msg":"' + b"x" * 10_000_000 + b'"}\n' + TWO + b"\n"
    blocks = max(size, 1 << 16)
    out = read_frames(of_ndjson(reader(content).read, URL, blocks))
    assert len(str(out.events[1]["msg"])) == 10_000_000
    assert sorted(out.events) == [0, 1, 2]


@pytest.mark.parametrize("frame", [of_ndjson, of_array])
def test_a_line_without_end_fails_the_source(
    frame: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line or element above the bound is no event, and memory stops growing there."""
    assert callable(frame)
    monkeypatch.setattr(sys.modules["cefline.read.frames"], "MAX_OBJECT", 1 << 16)
    content = b'[{"msg":"' + b"x" * (1 << 20)
    file = reader(content)
    with pytest.raises(SourceError, match=r"byte [01] is longer than 65536 bytes"):
        list(frame(file.read, URL, 1 << 12))
    assert file.tell() < 1 << 18


def test_unknown_names_are_seen_in_the_first_lines(tmp_path: Path) -> None:
    """Names that no field takes are told, each once, in the order they come."""
    path = tmp_path / "source"
    path.write_bytes(b'{"zz":1,"msg":"x"}\nbad\n{"a b":1,"zz":2,"Msg":3,"filename":"f"}\n')
    assert open_source(path, URL, Limits()).unknown == ("zz", "a b", "Msg")


@pytest.mark.parametrize("content", [ndjson(1000), array(1000)], ids=["ndjson", "array"])
def test_batches_are_bounded_in_bytes(tmp_path: Path, content: bytes) -> None:
    """No batch holds many more bytes than asked for, but for the first 64 KiB looked at."""
    out = read(tmp_path, content + b"\n" * (1 << 17) + ndjson(0), Limits(bytes=1 << 10))
    assert len(out.events) == 1000


@pytest.mark.parametrize("content", [ndjson(1000), array(1000)], ids=["ndjson", "array"])
def test_batches_of_json_are_bounded_in_rows(tmp_path: Path, content: bytes) -> None:
    """Short lines make no batch of millions of rows, each as wide as the field table."""
    out = read(tmp_path, content, Limits(rows=10))
    assert len(out.events) == 1000
    assert max(out.heights) <= 10


# Where blocks begin and end shows nowhere.

_LINES = st.one_of(
    st.sampled_from([
        ONE, b"", b" \t\r", b"bad", b"\xff", b'{"zz":1}', b'{"msg":[1,"\\ud800"],"id":"a"}',
        b'{"evidence_id":"x"}\r', b'{"msg":"\xc3\xa9\\n"}', b"[1]", b'{"msg":1e400}', b'{"a',
    ]),
    st.text(max_size=30).map(lambda text: json.dumps({"msg": text}).encode()),
)  # fmt: skip


@given(st.lists(_LINES, max_size=20), st.integers(1, 60))
def test_chunk_borders_never_show(lines: list[bytes], size: int) -> None:
    """Tiny blocks give the events, ordinals, rejects and counts that one large block gives."""
    content = b"".join(line + b"\n" for line in lines)
    small = read_frames(of_ndjson(reader(content).read, URL, size))
    large = read_frames(of_ndjson(reader(content).read, URL, 1 << 20))
    assert small.events == large.events
    order = ["ordinal", "kind", "field", "reason"]
    assert small.rejects.sort(order).equals(large.rejects.sort(order))
    assert small.counts == large.counts


_VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**70), 2**70),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=10),
        st.sampled_from(["[1]", "true", "a]b", '}"{', "\\", ",", "\u2028"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
_EVENTS = st.lists(
    st.dictionaries(st.sampled_from([*CANONICAL, "zz", "]"]), _VALUES, max_size=4), max_size=6
)


@given(_EVENTS, st.integers(1, 40), st.sampled_from([None, 0, 2, "\t"]), st.booleans())
def test_an_array_gives_what_lines_give(
    events: list[inputs.Event],
    size: int,
    indent: int | str | None,
    ascii_only: bool,  # noqa: FBT001 - drawn by position
) -> None:
    """Pretty-printed or not, in windows of any size, an array holds the events of its lines."""
    lines = b"".join(
        json.dumps(event, ensure_ascii=ascii_only).encode() + b"\n" for event in events
    )
    content = json.dumps(events, indent=indent, ensure_ascii=ascii_only)
    encoded = f"{content}\n ".encode(errors="backslashreplace")
    framed = read_frames(of_array(reader(encoded).read, URL, size))
    expected = read_text(lines) if events else inputs.Outcome()
    assert framed.events == expected.events
    assert framed.counts == expected.counts


@pytest.mark.parametrize(
    "element",
    [
        b"true",
        b"null",
        b'"a,]"',
        b"[1,[2]]",
        b"5",
        b"12345",
        b"1.5e3",
        b"-70",
    ],
)
def test_elements_that_are_no_objects_are_one_reject_each(element: bytes) -> None:
    """Whatever stands in an array in an event's place is one row reject, in windows of any size."""
    content = b"[" + b",".join([ONE, element] * 20) + b"]"
    for size in (1, 2, 3, 5, 7, 1000):
        out = read_frames(of_array(reader(content).read, URL, size))
        assert sorted(out.events) == list(range(0, 40, 2))
        assert out.rejected("ordinal", "raw") == [(n, element) for n in range(1, 40, 2)]


@pytest.mark.parametrize("size", [3, 1 << 20])
def test_rejects_of_an_array_have_their_offset(size: int) -> None:
    """An unreadable element is kept with its number and its place in the file."""
    content = b'[\n {"eventId":"1"},\n "bad" , {"msg":"\xff"}\n]'
    out = read_frames(of_array(reader(content).read, URL, size))
    assert out.rejected("ordinal", "line", "offset", "raw") == [
        (1, 2, content.index(b'"bad"'), b'"bad"'),
        (2, 3, content.index(b'{"msg"'), b'{"msg":"\xff"}'),
    ]


@pytest.mark.parametrize(
    "content",
    [
        b"[",
        b"[ ",
        b'[{"eventId":"1"}',
        b'[{"eventId":"1"},',
        b'[{"eventId":"1"},{"eventId',
        b'[{"eventId":"1"},{"eventId":x},{"eventId":"3"}]',
        b'[{"eventId":"1\n"}]',
        b'[{"eventId":"1"},}]',
        b"[}",
    ],
)
@pytest.mark.parametrize("size", [1, 1 << 20])
def test_broken_arrays_fail_the_source(content: bytes, size: int) -> None:
    """An array that is cut off or broken fails, and the message says at which element and byte."""
    with pytest.raises(SourceError, match=r"breaks off or is broken at element \d, byte \d+"):
        read_frames(of_array(reader(content).read, URL, size))


@pytest.mark.parametrize(
    "content",
    [
        b'[{"eventId":"1"}]\n{"eventId":"2"}\n',
        b'[{"eventId":"1"}]\n[{"eventId":"2"}]\n',
        b'[{"eventId":"1"}]] garbage',
        b'[]\n{"eventId":"2"}\n',
        b'[1]\n{"eventId":"2"}\n',
    ],
)
def test_what_follows_an_array_is_not_lost(tmp_path: Path, content: bytes) -> None:
    """Concatenated arrays, NDJSON after a list, garbage: read, or an error; never silence."""
    try:
        out = read(tmp_path, content)
    except SourceError:
        return
    assert [event["eventId"] for event in out.events.values()][-1:] == ["2"]


@pytest.mark.parametrize("cut", [1, 8])
def test_compression_is_checked_to_its_end(tmp_path: Path, cut: int) -> None:
    """Check sum and length behind the array's end are read too."""
    text = b"[" + ONE + b"]" + b" " * (1 << 20)
    with pytest.raises(SourceError):
        read(tmp_path, gzipped(text)[:-cut], Limits(bytes=1000))


@pytest.mark.slow
def test_a_large_array_takes_little_memory(tmp_path: Path) -> None:
    """A 300 MB array is read in less memory than the array itself."""
    path = tmp_path / "array.json"
    element = json.dumps(sample.FIRST | {"extra": "x" * 700}, indent=1).encode()
    count = 300_000_000 // len(element)
    with path.open("wb") as file:
        file.write(b"[")
        for _ in range(count - 1):
            file.write(element + b",\n")
        file.write(element + b"]")
    script = (
        "import pathlib, re, sys; from cefline.conform import Rules, conform;"
        "from cefline.read import Limits, open_source;"
        "chunks = open_source(pathlib.Path(sys.argv[1]), '', Limits()).chunks;"
        "print(sum(len(conform(c.load(), Rules()).ordinals) for c in chunks),"
        # Not ru_maxrss, which a process has from the one that started it.
        " re.search(r'VmHWM:\\s+(\\d+)', pathlib.Path('/proc/self/status').read_text())[1])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, path], capture_output=True, check=True, text=True
    )
    events, peak = map(int, done.stdout.split())
    assert events == count
    assert peak < 450 << 10


# Parquet.


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["a", None, "b", "a"], pa.string()),
        pa.array(["a", None, "b", "a"], pa.large_string()),
        pa.array(["a", None, "b", "a"], pa.string_view()),
        pa.array(["a", None, "b", "a"]).dictionary_encode(),
        pa.array(["a", None, "b", "a"], pa.dictionary(pa.int8(), pa.large_string())),
        pa.array([b"a", None, b"b", b"a"], pa.binary()),
        pa.array([b"a", None, b"b", b"a"], pa.large_binary()),
        pa.array([b"a", None, b"b", b"a"], pa.binary_view()),
        pa.array([b"a", None, b"b", b"a"], pa.binary(1)),
    ],
    ids=lambda column: str(column.type),
)
@pytest.mark.parametrize("stored_as_dictionary", [True, False])
def test_parquet_text_comes_in_any_form(
    tmp_path: Path, column: pa.Array, *, stored_as_dictionary: bool
) -> None:
    """Text is text, however it is stored and however Arrow holds it."""
    out = read_table(
        tmp_path,
        {"eventId": list("1234"), "msg": column},
        use_dictionary=stored_as_dictionary,
    )
    assert out.column("msg") == ["a", None, "b", "a"]
    assert out.rejects.is_empty()


def test_parquet_nested_columns_become_literals(tmp_path: Path) -> None:
    """Lists of objects keep their order; nulls and empty lists are left out."""
    notes = [[{"author": "a", "note": None}], [], None, [None]]
    out = read_table(tmp_path, {"eventId": list("1234"), "notes": pa.array(notes)})
    assert out.column("notes") == ["[{'author': 'a'}]", None, None, "[None]"]


def test_parquet_text_in_lists_may_be_a_dictionary(tmp_path: Path) -> None:
    """Few-valued text inside lists, stored as a dictionary, is read like any other."""
    out = read_table(tmp_path, {"highlights": pa.array([["a", "b"], ["a"]] * 500)})
    assert out.column("highlights") == ["['a', 'b']", "['a']"] * 500


@pytest.mark.parametrize("group", [1, 7, 100])
@pytest.mark.parametrize("limits", [Limits(), Limits(rows=3), Limits(bytes=1)])
def test_parquet_row_groups_and_batches_never_show(
    tmp_path: Path, group: int, limits: Limits
) -> None:
    """Row groups and limits of any size give the same events under the same ordinals."""
    names = [str(n) for n in range(40)]
    path = tmp_path / "source"
    pq.write_table(pa.table({"eventId": names, "msg": ["x"] * 40}), path, row_group_size=group)
    out = inputs.read_path(path, limits)
    assert out.events == {n: {"eventId": str(n), "msg": "x"} for n in range(40)}
    assert max(out.heights) <= min(limits.rows, group)


@pytest.mark.parametrize("rows", [7, 1000, 32_768])
def test_parquet_columns_that_repeat_are_read_as_they_are(tmp_path: Path, rows: int) -> None:
    """As dictionaries or not, with nulls, in row groups that differ, and cut anywhere."""
    count = 3000
    table = {
        "eventId": [str(n) for n in range(count)],
        "filePath": [None if n % 5 == 0 else f"/folder/{n % 40}" for n in range(count)],
        "msg": [f"long text {n // 3 if n < 1000 else n} " + "x" * 40 for n in range(count)],
        "host": [None if n < 1500 else "h" for n in range(count)],
        "highlights": [[f"h{n % 3}"] for n in range(count)],
    }
    path = tmp_path / "source"
    pq.write_table(pa.table(table), path, row_group_size=1100, dictionary_pagesize_limit=4000)
    for chunk in open_source(path, "source", Limits(rows=rows)).chunks:
        for column in chunk.load().data:
            if isinstance(column, pa.DictionaryArray) and len(column) > 1:
                used = len(column.indices.drop_null().unique())
                assert len(column.dictionary) == used or len(column.dictionary) <= len(column) // 2
    out = inputs.read_path(path, Limits(rows=rows))
    for name in ("eventId", "filePath", "msg", "host"):
        assert out.column(name) == table[name]
    assert out.column("highlights") == [f"['h{n % 3}']" for n in range(count)]


def test_memory_does_not_grow_with_a_row_group(tmp_path: Path) -> None:
    """Values that no dictionary page holds are not collected, however long one of them is."""
    path, rows = tmp_path / "source", 20_000
    texts = ["x" * 1_000_000, *(f"{n:06d}" + "y" * 800 for n in range(1, rows))]
    table = pa.table({"extra": texts, "source": ["LOG"] * rows})
    pq.write_table(table, path, row_group_size=rows)
    del table, texts
    before, taken = pa.total_allocated_bytes(), []
    for chunk in open_source(path, URL, Limits(bytes=1 << 20)).chunks:
        taken.append(pa.total_allocated_bytes() - before)
        last = chunk
    assert last.done == 1
    assert max(taken[20:]) < max(taken[:20]) + (4 << 20)
    source = last.load().data.column("source")
    assert isinstance(source, pa.DictionaryArray)


@pytest.mark.parametrize("nested", [False, True])
def test_values_that_many_rows_point_to_are_not_spread_out(tmp_path: Path, *, nested: bool) -> None:
    """A batch stays small where a column, too large to be a dictionary, has a long value."""
    path, rows = tmp_path / "source", 20_000
    texts = pa.array(["x" * 200_000, *(f"{n:06d}" * 50 for n in range(rows))])
    indices = pa.array([n + 1 if n % 2 else 0 for n in range(rows)], pa.int32())
    column = pa.DictionaryArray.from_arrays(indices, texts)
    name = "msg"
    if nested:
        name, column = "highlights", pa.ListArray.from_arrays(list(range(rows + 1)), column)
    pq.write_table(
        pa.table({name: column}), path, dictionary_pagesize_limit=64 << 20, store_schema=False
    )
    read = 0
    for chunk in open_source(path, URL, Limits(bytes=1 << 20)).chunks:
        batch = chunk.load().data
        assert batch.nbytes < 40 << 20
        read += batch.num_rows
        if read > 1000:
            break
    assert read > 1000


def test_parquet_without_rows_has_no_batch(tmp_path: Path) -> None:
    """Zero rows are zero events, and no error."""
    assert not read_table(tmp_path, {"msg": pa.array([], pa.string())}).events


def test_parquet_names_its_unknown_columns(tmp_path: Path) -> None:
    """Every column without a field is named, also those that differ in case only."""
    path = tmp_path / "source"
    columns = {"msg": ["x"], "MSG": ["y"], "a.b": ["z"], "x=1 suser": ["q"], "filename": ["f"]}
    pq.write_table(pa.table(columns), path)
    assert open_source(path, URL, Limits()).unknown == ("MSG", "a.b", "x=1 suser")
    assert inputs.read_path(path).events == {0: {"msg": "x", "filePath": "f"}}


def test_parquet_without_a_known_column_fails(tmp_path: Path) -> None:
    """A table of something else is no timeline; the message names its columns."""
    with pytest.raises(SourceError, match="no column of a timeline; its columns are price, size"):
        read_table(tmp_path, {"price": pa.array([1]), "size": pa.array([2])})


@pytest.mark.parametrize("kept", [4, 8, 100, -1, -8, -20])
def test_truncated_parquet_fails_the_source(tmp_path: Path, kept: int) -> None:
    """A Parquet file without its end has no footer: nothing of it can be read."""
    path = tmp_path / "source"
    pq.write_table(pa.table({"msg": [str(n) for n in range(1000)]}), path)
    with pytest.raises(SourceError, match="begins like Parquet but can't be opened"):
        read(tmp_path, path.read_bytes()[:kept])


@pytest.mark.parametrize("compression", ["snappy", "zstd", "gzip"])
def test_corrupt_parquet_pages_fail_the_source(tmp_path: Path, compression: str) -> None:
    """Damage inside a page fails with the row it is after; it is never read as values."""
    path = tmp_path / "source"
    texts = [f"{n * 7919 % 1000003:x}" * 3 for n in range(20_000)]
    pq.write_table(pa.table({"msg": texts}), path, compression=compression, row_group_size=5000)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 3000] = bytes(3000)
    with pytest.raises(SourceError, match=r"the source is damaged after row \d+"):
        read(tmp_path, bytes(content))


def test_parquet_text_that_is_no_utf8_is_a_value_reject(tmp_path: Path) -> None:
    """Bytes that are no text are left out and kept raw; the event is delivered."""
    columns = {"eventId": list("123"), "msg": inputs.broken_text(b"ab", b"\xff", b"cd")}
    out = read_table(tmp_path, columns, use_dictionary=False)
    assert out.column("msg") == ["ab", None, "cd"]
    assert out.rejected("kind", "ordinal", "field", "event_id", "reason", "raw") == [
        ("value", 1, "msg", "2", "no UTF-8", b"\xff")
    ]


def test_broken_text_in_a_dictionary_is_rejected_where_it_is_used(tmp_path: Path) -> None:
    """Each row that points to a broken dictionary entry has its own reject."""
    words = [b"ok"] * 50 + [b"\xff"] * 3 + [b"ok"] * 7
    names = [str(n) for n in range(60)]
    out = read_table(tmp_path, {"eventId": names, "msg": inputs.broken_text(*words)})
    assert out.column("msg") == ["ok"] * 50 + [None] * 3 + ["ok"] * 7
    assert out.rejected("ordinal", "event_id", "raw") == [
        (n, str(n), b"\xff") for n in (50, 51, 52)
    ]


def test_broken_text_in_a_list_never_gets_through(tmp_path: Path) -> None:
    """Text inside lists is checked as well, so that no line holds invalid UTF-8."""
    lists = pa.ListArray.from_arrays(pa.array([0, 2, 3]), inputs.broken_text(b"a", b"\xff", b"c"))
    path = tmp_path / "source"
    pq.write_table(pa.table({"eventId": ["1", "2"], "highlights": lists}), path)
    out = inputs.read_path(path)
    for literal in out.column("highlights"):
        assert literal is None or str(literal).encode().decode() == literal
    assert out.rejected("ordinal", "field", "reason") == [(0, "highlights", "no UTF-8")]


@pytest.mark.parametrize(
    ("column", "texts"),
    [
        (pa.array([1, None]), ["1", None]),
        (pa.array([True, False]), ["True", "False"]),
        (pa.array([0.1, 1e22]), ["0.1", "1e+22"]),
        (pa.array([Decimal("1.50"), None]), ["1.50", None]),
        (pa.array([1.5, None], pa.float16()), ["1.5", None]),
        (pa.array([2**64 - 1, 0], pa.uint64()), ["18446744073709551615", "0"]),
        (pa.nulls(2), [None, None]),
        (pa.array([["a"], []]), ["['a']", None]),
        (pa.array([{"a": 1}, None]), ["{'a': 1}", None]),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)
def test_parquet_scalars_in_a_text_field_become_text(
    tmp_path: Path, column: pa.Array, texts: list[object]
) -> None:
    """Integers, booleans, floats, decimals and structures in a text field are written as text."""
    out = read_table(tmp_path, {"eventId": ["1", "2"], "msg": column})
    assert out.column("msg") == texts
    assert out.counts["msg", "coerced"] == 2 - texts.count(None)


@pytest.mark.parametrize(
    "column",
    [
        pa.array([b"\xff\xff", b"ab"], pa.binary(2)),
        pa.array([uuid.UUID(int=2**127).bytes, None], pa.uuid()),
        pa.array(['{"a": 1}', None], pa.json_()),
        pa.array([[("k", "v")], None], pa.map_(pa.string(), pa.string())),
        pa.array([5, None], pa.duration("us")),
        pa.array([[b"\xff"], None]),
        inputs.broken_text(b"a", b"\xff").cast(pa.binary()).cast(pa.binary_view()),
        pa.array([Decimal("1e50"), None], pa.decimal256(60, 0)),
        pa.array([[{"*": 1, "b": 2}], None]),
    ],
    ids=["fixed", "uuid", "json", "map", "duration", "binaries", "view", "decimal256", "star"],
)
def test_no_parquet_type_is_a_traceback(tmp_path: Path, column: pa.Array) -> None:
    """Any type in a text field is delivered, rejected or a clear failure: never a crash."""
    _crash_free(tmp_path, {"eventId": ["1", "2"], "msg": column})


@pytest.mark.parametrize("zone", ["+05:30", "+05:45", "Mars/Phobos"])
def test_time_zones_of_parquet_are_no_traceback(tmp_path: Path, zone: str) -> None:
    """A timestamp with a zone is UTC inside: the zone's name need not be known."""
    column = pa.array([1595194940_000000], pa.timestamp("us", zone))
    out = read_table(tmp_path, {"eventTime": column})
    assert out.column("eventTime") == [1595194940_000000]


def test_columns_of_the_same_name_are_no_traceback(tmp_path: Path) -> None:
    """Two columns of one name are a clear failure, or merged: never a crash."""
    table = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], ["msg", "msg"])
    pq.write_table(table, tmp_path / "source")
    try:
        inputs.read_path(tmp_path / "source")
    except SourceError:
        return


def test_int96_times_beyond_nanoseconds_are_right(tmp_path: Path) -> None:
    """Spark's INT96 holds 1601 and 3000, which real exports do: neither becomes another time."""
    times = [-11644473600_000000, 32503680000_000000, 1595194940_123456]
    out = read_table(
        tmp_path,
        {"eventTime": pa.array(times, pa.timestamp("us"))},
        use_deprecated_int96_timestamps=True,
    )
    assert out.column("eventTime") == times


def _crash_free(folder: Path, columns: dict[str, pa.Array]) -> None:
    """Make sure that a table is read, or fails as a source does."""
    try:
        out = read_table(folder, columns)
    except SourceError:
        return
    assert [out.events[n]["eventId"] for n in (0, 1)] == ["1", "2"]


# The real thing.


def test_both_forms_of_the_sample_give_the_same_events() -> None:
    """The committed sample timeline holds the same events as NDJSON and as Parquet."""
    lines = inputs.read_path(sample.DATA / "sample.jsonl")
    table = inputs.read_path(sample.DATA / "sample.parquet")
    assert len(lines.events) == sample.EVENTS
    assert lines.events == table.events
    assert not len(lines.rejects.filter(pl.col("kind") != "replaced"))


@pytest.mark.parametrize(("name", "count"), [("real_small", 2966), ("real_alarms", 1969)])
def test_both_forms_of_real_exports_give_the_same_events(data: Path, name: str, count: int) -> None:
    """Real exports hold the same events in both forms, but for notes, a list in one alone."""
    lines = inputs.read_path(data / f"{name}.jsonl", Limits(bytes=1 << 20))
    table = inputs.read_path(data / f"{name}.parquet")
    assert len(lines.events) == count
    assert lines.rejects.is_empty()
    assert table.rejects.is_empty()
    for events in (lines.events, table.events):
        for event in events.values():
            event.pop("notes", None)
    assert lines.events == table.events


def test_small_memory_takes_smaller_batches_and_gives_the_same_lines(tmp_path: Path) -> None:
    """The setting bounds what is in memory; it decides on no byte of the output."""
    content = lines.of_lines([{"msg": f"{'x' * 200_000}{n}"} for n in range(60)])
    path = tmp_path / "a"
    path.write_bytes(content)
    normal, small = convert.limits(Config()), convert.limits(Config(memory="small"))
    batches = [len(list(open_source(path, URL, bounds).chunks)) for bounds in (normal, small)]
    assert batches[1] > batches[0]
    assert lines.written(content, memory="small").lines == lines.written(content).lines
