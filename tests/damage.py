"""Damaged and hostile sources, each with what must come of it.

`python tests/damage.py FOLDER` writes each one as `FOLDER/<name>/<file>`, and `expected.ndjson`
beside them; `test_damage.py` exports them all.
"""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import struct
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, time
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cefline_schemas.timeline import FIELDS

TEXT_FIELDS = tuple(row.name for row in FIELDS if row.type in {"text", "list"})


@dataclass(frozen=True, slots=True)
class Row:
    """A row that must be rejected."""

    ordinal: int
    reason: str
    """What its reason holds."""
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class Value:
    """A value that must be rejected."""

    ordinal: int
    field: str
    reason: str


@dataclass(frozen=True, slots=True)
class Delivered:
    """All rows are delivered, but perhaps for single values."""

    events: int
    values: tuple[Value, ...] = ()
    replaced: int = 0
    """Values with characters that no reader can carry."""
    holds: Mapping[str, Sequence[object]] = field(default_factory=dict)
    """By field: the value of each event, as parsing the lines gives it."""
    partitions: int | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """Some rows are rejected, the others delivered."""

    rows: tuple[Row, ...]
    events: int = 0


@dataclass(frozen=True, slots=True)
class Failed:
    """Nothing of the source is published; its rejects are kept where the code is 3."""

    exit_code: int
    text: str
    """What the message holds."""


Expected = Delivered | Rejected | Failed
Content = bytes | Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class Case:
    """One source."""

    name: str
    content: Content | None
    """Its bytes, or what makes them; None where `file` is no file but a name to be refused."""
    expected: Expected
    file: str = "source.json"
    settings: Mapping[str, Any] = field(default_factory=dict)

    def write(self, folder: Path) -> str:
        """Write the source into a folder, and return its name as a command would give it."""
        if self.content is None:
            return self.file
        path = folder / self.file
        path.parent.mkdir(exist_ok=True)  # a name may hold a slash
        path.write_bytes(self.content if isinstance(self.content, bytes) else self.content())
        return str(path)


# What sources are made of.

A, B, C = (
    b'{"eventId":"%s","msg":"%s"}\n' % pair for pair in ((b"a", b"1"), (b"b", b"2"), (b"c", b"3"))
)
WHOLE = A + B + C


def _json(*rows: Mapping[str, object], ascii_only: bool = True) -> bytes:
    return b"".join(json.dumps(r, ensure_ascii=ascii_only).encode() + b"\n" for r in rows)


def _msg(*literals: str | bytes) -> bytes:
    """Return a line for each JSON literal, which is its `msg`."""
    raw = (x if isinstance(x, bytes) else x.encode() for x in literals)
    return b"".join(b'{"eventId":"%d","msg":%s}\n' % pair for pair in enumerate(raw))


def _field(name: str, *literals: str) -> bytes:
    """Return a line for each JSON literal, under a field's name."""
    return "".join(f'{{"eventId":"{n}","{name}":{x}}}\n' for n, x in enumerate(literals)).encode()


def _zstd(content: bytes) -> bytes:
    return bytes(pa.compress(content, "zstd", asbytes=True))


def _zip(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


def _parquet(columns: Mapping[str, Any] | pa.Table, **options: object) -> bytes:
    table = columns if isinstance(columns, pa.Table) else pa.table(dict(columns))
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, **options)
    return bytes(sink.getvalue())


def _with_ids(column: pa.Array, name: str = "msg", **options: object) -> Callable[[], bytes]:
    """Return what makes a table of ids and one other column."""
    ids = pa.array([str(n) for n in range(len(column))])
    return lambda: _parquet({"eventId": ids, name: column}, **options)


def _broken_text(*values: bytes) -> pa.Array:
    return pa.array(values, pa.binary()).view(pa.string())


def _bad_line(bad: bytes, reason: str) -> Iterator[tuple[str, bytes, Rejected]]:
    """Yield a bad line at the first, a middle and the last place (after one that sets the form)."""
    for place, content in {
        "second": A + bad + b"\n" + B,
        "last": A + B + bad + b"\n",
    }.items():
        ordinal = content[: content.index(bad)].count(b"\n")
        yield place, content, Rejected((Row(ordinal, reason, content.index(bad)),), 2)


# NDJSON.


def _framing() -> Iterator[Case]:
    whole = Delivered(3, holds={"msg": ["1", "2", "3"]})
    yield Case("ndjson", WHOLE, whole)
    yield Case("bom", b"\xef\xbb\xbf" + WHOLE, whole)
    yield Case("crlf", WHOLE.replace(b"\n", b"\r\n"), whole)
    yield Case("crlf-no-end", WHOLE.replace(b"\n", b"\r\n")[:-2], whole)
    yield Case("blank-lines", b"\n" + A + b"\n\n" + B + b"\r\n" + C + b"\n\n", whole)
    yield Case("lines-of-blanks", b" \n" + A + b"\t \n" + B + b"  \t\r\n" + C + b"   ", whole)
    yield Case("blanks-around", b"  " + A[:-1] + b" \t\n" + B + b"\t" + C, whole)
    yield Case("unterminated-whole", WHOLE[:-1], whole)
    for cut in (2, 5, 14, len(C) - 1):
        yield Case(
            f"unterminated-cut-{cut}", WHOLE[:-cut], Failed(1, "ends in the middle of line 3")
        )
    yield Case(
        "unterminated-garbage", WHOLE + b"garbage", Failed(1, "ends in the middle of line 4")
    )
    yield Case("only-cut", A[:-4], Failed(1, "ends in the middle of line 1"))
    nothing = Delivered(0)
    for name, content in {
        "empty": b"",
        "empty-lf": b"\n",
        "empty-blanks": b" \r\n\t\n  ",
        "empty-bom": b"\xef\xbb\xbf",
        "empty-gzip": _zip(b""),
        "empty-zstd": _zstd(b""),
        "empty-20000-lines": b"\n" * 20_000,
    }.items():
        yield Case(name, content, nothing)
    yield Case("one-object", A[:-1], Delivered(1))
    yield Case("many-short", b'{"msg":"x"}\n' * 70_000, Delivered(70_000))


def _lines() -> Iterator[Case]:
    for name, bad in {
        "garbage": b"nonsense",
        "cut-object": b'{"msg":"x"',
        "string": b'"text"',
        "number": b"17",
        "null": b"null",
        "true": b"true",
        "list": b'["a", "b"]',
        "list-of-objects": b'[{"msg":"x"}]',
        "two-objects": b'{"msg":"x"}{"msg":"y"}',
        "two-objects-spaced": b'{"msg":"x"} {"msg":"y"}',
        "trailing-comma": b'{"msg":"x"},',
        "trailing-text": b'{"msg":"x"} # no',
        "comma-inside": b'{"msg":"x",}',
        "single-quotes": b"{'msg':'x'}",
        "bare-key": b'{msg:"x"}',
        "python": b'{"alarm":True,"msg":"x"}',
        "comment": b'/* no */ {"msg":"x"}',
        "no-value": b'{"msg":}',
        "no-colon": b'{"msg" "x"}',
        "bad-escape": b'{"msg":"\\x41"}',
        "short-escape": b'{"msg":"\\u12"}',
        "unclosed-string": b'{"msg":"x}',
        "latin-1": '{"msg":"café"}'.encode("latin-1"),
        "overlong": b'{"msg":"\xc0\xaf"}',
        "surrogate-bytes": b'{"msg":"\xed\xa0\x80"}',
        "beyond-unicode": b'{"msg":"\xf4\x90\x80\x80"}',
        "cut-character": b'{"msg":"\xe2\x82"}',
        "not-utf8-in-key": b'{"msg":"x","\xff":1}',
        "raw-nul": b'{"msg":"a\x00b"}',
        "raw-escape": b'{"msg":"a\x1bb"}',
        "raw-tab": b'{"msg":"a\tb"}',
        "nul-line": bytes(100),
        "nan": b'{"msg":NaN}',
        "infinity": b'{"msg":Infinity}',
        "minus-infinity": b'{"evidence_id":-Infinity,"msg":"x"}',
        "leading-zero": b'{"evidence_id":01,"msg":"x"}',
        "plus": b'{"evidence_id":+1,"msg":"x"}',
        "hex": b'{"evidence_id":0x10,"msg":"x"}',
        "point-first": b'{"msg":.5}',
        "point-last": b'{"msg":1.}',
        "bom-inside": b'\xef\xbb\xbf{"msg":"x"}',
    }.items():
        for place, content, expected in _bad_line(bad, "no JSON object"):
            yield Case(f"line-{name}-{place}", content, expected)
    for name, bad in {
        "empty-object": b"{}",
        "nulls": b'{"msg":null,"evidence_id":null}',
        "empty-text": b'{"msg":"","short":"  "}',
        "unknown-only": b'{"unknown":"x"}',
        "empty-lists": b'{"highlights":[]}',
        "other-case": b'{"MSG":"x","Msg":"y"}',
    }.items():
        for place, content, expected in _bad_line(bad, "no usable field"):
            yield Case(f"line-{name}-{place}", content, expected)
    first = b'{"msg":"x"\n'
    yield Case("line-bad-first", first + A, Rejected((Row(0, "no JSON object", 0),), 1))
    broken = b'{"msg":"first\nlast"}\n'
    at = (len(A), len(A) + broken.index(b"\n") + 1)
    rows = tuple(Row(n, "no JSON object", offset) for n, offset in enumerate(at, 1))
    yield Case("line-raw-lf", A + broken + B, Rejected(rows, 2))
    yield Case(
        "line-raw-lf-between",
        A + b'{"msg":\n"x"}\n' + B,
        Rejected((Row(1, "no JSON object"), Row(2, "no JSON object")), 2),
    )
    rows = tuple(Row(n, "no JSON object") for n in range(20, 30))
    yield Case("lines-10-bad", A * 20 + b"no\n" * 10, Rejected(rows, 20))
    yield Case("lines-11-bad", A * 20 + b"no\n" * 11, Failed(3, "11 of 31 rows rejected"))
    yield Case("lines-all-bad", b"{no\n" * 500, Failed(3, "500 of 500 rows rejected"))
    yield Case(
        "lines-limit-zero",
        A + b"no\n",
        Failed(3, "1 of 2 rows"),
        settings={"max_rejects": (0, 0.0)},
    )


def _encodings() -> Iterator[Case]:
    text = WHOLE.decode()
    for name in ("utf-16", "utf-16-be", "utf-32"):
        bom = b"\xfe\xff" if name == "utf-16-be" else b""
        yield Case(name, bom + text.encode(name), Failed(1, "UTF-16 text"))
    yield Case("utf-16-be-no-bom", text.encode("utf-16-be"), Failed(1, "is no timeline"))
    yield Case("utf-16-le-no-bom", text.encode("utf-16-le"), Failed(1, "ends in the middle"))
    yield Case("ebcdic", text.encode("cp500"), Failed(1, "is no timeline"))
    latin = '{"msg":"é"}\n'.encode("latin-1")
    yield Case("latin-1-file", latin * 12, Failed(3, "12 of 12 rows rejected"))
    carriage = WHOLE.replace(b"\n", b"\r")
    yield Case("cr-only", carriage, Failed(1, "ends in the middle of line 1"))
    for name, content in {
        "csv": b"eventId,msg\na,1\n",
        "xml": b"<events/>\n",
        "cef": b"CEF:0|a|b|c|d|e|1|msg=x\n",
        "png": b"\x89PNG\r\n\x1a\n" + bytes(100),
        "sqlite": b"SQLite format 3\x00" + bytes(100),
        "zip": b"PK\x03\x04" + bytes(100),
        "bzip2": bz2.compress(WHOLE),
        "xz": lzma.compress(WHOLE),
        "zeros": bytes(5000),
        "ones": b"\xff" * 5000,
        "number-first": b"17\n" + A,
        "quote-first": b'"text"\n' + A,
        "parquet-encrypted": b"PARE" + bytes(100) + b"PARE",
        "orc": b"ORC" + bytes(100),
        "arrow": b"ARROW1\x00\x00" + bytes(100),
        "avro": b"Obj\x01" + bytes(100),
        "html-escape": b"\x1b]0;title\x07[/b]\n",
    }.items():
        yield Case(f"no-timeline-{name}", content, Failed(1, "is no timeline"))


def _values() -> Iterator[Case]:
    twice = b'{"eventId":"a","msg":"first","msg":"last"}\n'
    yield Case("duplicate-key", twice + B, Delivered(2, holds={"msg": ["last", "2"]}))
    last = Delivered(1, holds={"msg": ["last"]})
    for name, line in {
        "first": b'{"msg":"first","msg":"last"}\n',
        "blank-before": b'{"eventId":"a","msg":"first", "msg":"last"}\n',
        "blank-behind": b'{"eventId":"a","msg":"first","msg" :"last"}\n',
        "apart": b'{"eventId":"a","msg":"first","short":"x","msg":"last"}\n',
        "thrice": b'{"eventId":"a","msg":"first","msg":"second","msg":"last"}\n',
    }.items():
        yield Case(f"duplicate-key-{name}", line, last)
    structured = b'{"eventId":"a","msg":"first","notes":["x"],"msg":"last"}\n'
    yield Case("duplicate-key-structured", structured, Delivered(1, holds={"msg": ["last"]}))
    mixed = b'{"msg":"first","msg":["last"]}\n{"msg":["first"],"msg":"last"}\n'
    yield Case("duplicate-key-mixed", mixed, Delivered(2, holds={"msg": ["['last']", "last"]}))
    nulled = b'{"eventId":"a","msg":"first","msg":null}\n'
    yield Case("duplicate-key-null", nulled, Delivered(1, holds={"eventId": ["a"]}))
    escaped = b'{"\\u006dsg":"x"}\n{"m\\u0073g":"y"}\n'
    yield Case("escaped-key", escaped, Delivered(2, holds={"msg": ["x", "y"]}))
    most, least = 2**63 - 1, -(2**63)
    yield Case(
        "int64-bounds",
        _field("evidence_id", str(most), str(least), f'"{most}"'),
        Delivered(3, holds={"evidence_id": [most, least, most]}),
        settings={"partition_by": ()},
    )
    for name, literal in {
        "above": "9223372036854775808",
        "below": "-9223372036854775809",
        "30-digits": "1" * 30,
        "5000-digits": "1" * 5000,
        "1e400": "1e400",
        "fraction": "1.5",
        "text": '"x"',
        "true": "true",
        "list": "[1]",
        "object": '{"a":1}',
        "exponent-beyond": '"1e19"',
        "hex-text": '"0x10"',
        "unicode-digits": '"٣"',
        "surrogate": '"\\ud800"',
        "long-text": '"' + "1" * 100_000 + '"',
    }.items():
        bad = (Value(1, "evidence_id", "no int"),)
        expected = Delivered(3, bad, int(name == "surrogate"), holds={"evidence_id": [1, None, 2]})
        yield Case(
            f"int-{name}",
            _field("evidence_id", "1", literal, "2"),
            expected,
            settings={"partition_by": ()},
        )
    good = _field("evidence_id", "3.0", '" 3 "', "3e0", '"3.00"', "-0", "null", '""')
    held = Delivered(7, holds={"evidence_id": [3, 3, 3, 3, 0, None, None]})
    yield Case("int-coerced", good, held, settings={"partition_by": ()})
    for name, literal in {"2": "2", "yes": '"yes"', "list": "[true]", "0.5": "0.5"}.items():
        bad = (Value(1, "alarm", "no bool"),)
        held = Delivered(3, bad, holds={"alarm": [True, None, False]})
        yield Case(f"bool-{name}", _field("alarm", "true", literal, '"FALSE"'), held)
    unreadable = _field("evidence_id", '"x"', '"y"', "3")
    yield Case("field-unreadable", unreadable, Failed(3, "2 of 3 values of evidence_id"))
    literals = ['"text"', "17", "1.5", "true", "null", '["a",1]', '{"a":{"b":null}}', "1e400"]
    texts = ["text", "17", "1.5", "True", None, "['a', 1]", "{'a': {}}", "1e400"]
    yield Case("text-mixed-types", _msg(*literals), Delivered(8, holds={"msg": texts}))
    yield Case("list-mixed-types", _field("notes", *literals), Delivered(8, holds={"notes": texts}))
    digits = "1" * 5000
    yield Case("text-5000-digits", _msg(digits), Delivered(1, holds={"msg": [digits]}))
    looks = "\"['a', 'b']\""
    yield Case("text-like-a-list", _msg(looks), Delivered(1, holds={"msg": [json.loads(looks)]}))
    differ = b'{"msg":"a","message":"b"}\n{"msg":"c","message":"c"}\n{"message":"d"}\n'
    bad = (Value(0, "msg", "another name of msg"),)
    yield Case("two-names", differ, Delivered(3, bad, holds={"msg": ["a", "c", "d"]}))


def _text() -> Iterator[Case]:
    for name, literal, shown, replaced in (
        ("nul", '"a\\u0000b"', "a\\u0000b", 1),
        ("controls", '"\\u0001\\b\\f\\u001f"', "\\u0001\\u0008\\u000c\\u001f", 1),
        ("del", '"a\x7fb"', "a\\u007fb", 1),
        ("breaks", '"a\\u0085b\u2028c\\u2029d\\u000be"', "a\\u0085b\\u2028c\\u2029d\\u000be", 1),
        ("lone-high", '"a\\ud800b"', "a\\ud800b", 1),
        ("lone-low", '"a\\udc00b"', "a\\udc00b", 1),
        ("reversed-pair", '"\\udc00\\ud800"', "\\udc00\\ud800", 1),
        ("cut-pair", '"\\ud83d\\u0041"', "\\ud83dA", 1),
        ("pair", '"\\ud83d\\ude00"', "\U0001f600", 0),
        ("noncharacters", '"\ufffe\uffff\\ufdd0"', "\ufffe\uffff\ufdd0", 0),
        ("not-a-surrogate", '"\\\\ud800"', "\\ud800", 0),
        ("escaped-lf", '"a\\nb\\r\\nc"', "a\nb\r\nc", 0),
        ("escaped-solidus", '"\\/\\"\\\\"', '/"\\', 0),
    ):
        expected = Delivered(1, replaced=replaced, holds={"msg": [shown]})
        yield Case(f"text-{name}", _msg(literal), expected)
    listed = Delivered(1, replaced=1, holds={"notes": ["['a\\ud800b']"]})
    yield Case("list-lone-surrogate", _field("notes", '["a\\ud800b"]'), listed)
    yield Case("key-lone-surrogate", b'{"\\ud800":1,"msg":"x"}\n', Delivered(1))
    ten = "x" * 10_000_000
    yield Case("text-10-mb", lambda: _msg(f'"{ten}"'), Delivered(1, holds={"msg": [ten]}))
    yield Case("text-10-mb-no-end", lambda: _msg(f'"{ten}"')[:-1], Delivered(1))
    yield Case("text-10-mb-cut", lambda: _msg(f'"{ten}"')[:-3], Failed(1, "ends in the middle"))
    too_long = Rejected((Row(1, "line of more than"),), 1)
    yield Case(
        "text-above-max-event",
        lambda: A + _msg('"' + "x" * 300_000 + '"'),
        too_long,
        settings={"max_event": 200_000},
    )
    yield Case(
        "text-above-max-event-escaped",
        lambda: A + _msg('"' + "=" * 150_000 + '"'),
        too_long,
        settings={"max_event": 200_000},
    )
    big_bad = lambda: A + b'{"msg":"' + b"x" * 10_000_000 + b"\n" + B  # noqa: E731 - made when written
    yield Case("line-bad-10-mb", big_bad, Rejected((Row(1, "no JSON object", len(A)),), 2))


def _nesting() -> Iterator[Case]:
    for depth in (100, 1_000, 100_000):
        deep = "[" * depth + "]" * depth
        lists = _msg('"a"', deep, '"b"')
        objects = _msg('"a"', '{"a":' * depth + "1" + "}" * depth, '"b"')
        if depth == 100:
            held = Delivered(3, holds={"msg": ["a", deep, "b"]})
            yield Case("nested-100-lists", lists, held)
            yield Case("nested-100-objects", objects, Delivered(3))
            continue
        rejected = Rejected((Row(1, "no JSON object", lists.index(b"\n") + 1),), 2)
        yield Case(f"nested-{depth}-lists", lists, rejected)
        yield Case(f"nested-{depth}-objects", objects, rejected)
        deep_int = Rejected((Row(1, "no JSON object"),), 2)
        yield Case(f"nested-{depth}-int", _field("evidence_id", "1", deep, "2"), deep_int)
        beside = _field("evidence_id", "1", deep, "2") + b"no\n"
        two = (*deep_int.rows, Row(3, "no JSON object"))
        yield Case(f"nested-{depth}-int-beside-a-bad-line", beside, Rejected(two, 2))
        open_only = _msg('"a"') + b"[" * depth + b"\n" + B
        rows = (Row(1, "no JSON object", open_only.index(b"\n") + 1),)
        yield Case(f"nested-{depth}-open", open_only, Rejected(rows, 2))
        if depth > 1_000:  # up to there, it is Python's version that decides
            too_deep = Failed(1, "nested too deeply")
            yield Case(f"nested-{depth}-array", f"[{deep}]".encode(), too_deep)
        text = json.dumps(deep)
        yield Case(f"nested-{depth}-in-text", _msg(text), Delivered(1, holds={"msg": [deep]}))
    unknown = b'{"msg":"x","unknown":' + b"[" * 1_000 + b"]" * 1_000 + b"}\n"
    deep_row = Row(1, "no JSON object", len(A))
    yield Case("nested-unknown", A + unknown + B, Rejected((deep_row,), 2))
    two = (deep_row, Row(2, "no JSON object"))
    yield Case("nested-unknown-beside-a-bad-line", A + unknown + b"no\n" + B, Rejected(two, 2))


# Compressed text.


def _compressed() -> Iterator[Case]:
    whole = Delivered(3, holds={"msg": ["1", "2", "3"]})
    text = b"".join(b'{"eventId":"%d","msg":"%x"}\n' % (n, n**9) for n in range(3000))
    damaged = Failed(1, "damaged or cut off")
    yield from _gzips(whole, text, damaged)
    yield from _zstds(whole, text, damaged)


def _gzips(whole: Expected, text: bytes, damaged: Failed) -> Iterator[Case]:
    packed = _zip(text)
    yield Case("gzip", _zip(WHOLE), whole)
    yield Case("gzip-suffix-says-parquet", _zip(WHOLE), whole, file="source.parquet")
    yield Case("gzip-members", _zip(A) + _zip(B) + _zip(C), whole)
    yield Case("gzip-members-inside-a-line", _zip(WHOLE[:10]) + _zip(WHOLE[10:]), whole)
    yield Case("gzip-members-empty", _zip(b"") + _zip(WHOLE) + _zip(b""), whole)
    yield Case("gzip-zeros-behind", _zip(WHOLE) + bytes(512), whole)
    yield Case("gzip-array", _zip(b"[" + A + b"," + B + b"]"), Delivered(2))
    yield Case("gzip-cut-line-inside", _zip(WHOLE[:-5]), Failed(1, "ends in the middle of line 3"))
    for kept in (3, 9, 12, len(packed) // 2, len(packed) - 9, len(packed) - 8, len(packed) - 1):
        yield Case(f"gzip-cut-at-{kept}", packed[:kept], damaged)
    yield Case("gzip-member-cut", _zip(WHOLE) + packed[: len(packed) // 2], damaged)
    yield Case("gzip-garbage-behind", _zip(WHOLE) + b"garbage", damaged)
    yield Case("gzip-crc", _flipped(packed, len(packed) - 6), damaged)
    yield Case("gzip-size", _flipped(packed, len(packed) - 2), damaged)
    yield Case("gzip-middle", _flipped(packed, len(packed) // 2), damaged)
    yield Case("gzip-method", _flipped(packed, 2), damaged)
    yield Case("gzip-of-gzip", _zip(_zip(WHOLE)), Failed(1, "is no timeline"))
    parquet = lambda: _zip(_parquet({"msg": ["x"]}))  # noqa: E731 - made when written
    yield Case("gzip-of-parquet", parquet, Failed(1, "is no timeline"))
    yield Case("gzip-of-utf-16", _zip(WHOLE.decode().encode("utf-16")), Failed(1, "UTF-16"))
    yield Case("gzip-magic-only", b"\x1f\x8b", damaged)


def _zstds(whole: Expected, text: bytes, damaged: Failed) -> Iterator[Case]:
    packed = _zstd(text)
    skipped = b"\x50\x2a\x4d\x18" + struct.pack("<I", 4) + b"skip"
    yield Case("zstd", _zstd(WHOLE), whole)
    yield Case("zstd-frames", _zstd(A) + _zstd(B) + _zstd(C), whole)
    yield Case("zstd-skippable-first", skipped + _zstd(WHOLE), whole)
    yield Case("zstd-skippable-last", _zstd(WHOLE) + skipped, whole)
    yield Case("zstd-array", _zstd(b"[" + A + b"," + B + b"]"), Delivered(2))
    yield Case("zstd-cut-line-inside", _zstd(WHOLE[:-5]), Failed(1, "ends in the middle of line 3"))
    for kept in (4, 6, len(packed) // 2, len(packed) - 1):
        yield Case(f"zstd-cut-at-{kept}", packed[:kept], damaged)
    yield Case("zstd-frame-cut", _zstd(WHOLE) + packed[: len(packed) // 2], damaged)
    yield Case("zstd-garbage-behind", _zstd(WHOLE) + b"garbage", damaged)
    yield Case("zstd-header", _flipped(packed, 4), damaged)
    yield Case("zstd-of-zstd", _zstd(_zstd(WHOLE)), Failed(1, "is no timeline"))
    parquet = lambda: _zstd(_parquet({"msg": ["x"]}))  # noqa: E731 - made when written
    yield Case("zstd-of-parquet", parquet, Failed(1, "is no timeline"))


def _flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :]


# JSON arrays.


def _arrays() -> Iterator[Case]:
    one, two, three = (line[:-1] for line in (A, B, C))
    whole = Delivered(3, holds={"msg": ["1", "2", "3"]})
    comma = b",".join((one, two, three))
    pretty = json.dumps([json.loads(x) for x in (A, B, C)], indent=2).encode()
    for name, content in {
        "compact": b"[" + comma + b"]",
        "pretty": pretty,
        "crlf": pretty.replace(b"\n", b"\r\n"),
        "cr": pretty.replace(b"\n", b"\r"),
        "bom": b"\xef\xbb\xbf" + pretty,
        "blanks-around": b"\n\n  " + pretty + b"\n\n \t\r\n",
        "a-line-each": b"[\n" + one + b",\n" + two + b",\n" + three + b"\n]\n",
        "comma-first": b"[\n" + one + b"\n," + two + b"\n," + three + b"\n]\n",
    }.items():
        yield Case(f"array-{name}", content, whole)
    yield Case("array-empty", b"[]", Delivered(0))
    yield Case("array-empty-blanks", b" [ \n ] \n", Delivered(0))
    strings = b'[{"msg":"]"},{"msg":"}],["},{"msg":"\\"]"}]'
    yield Case("array-brackets-in-text", strings, Delivered(3, holds={"msg": ["]", "}],[", '"]']}))
    twice = b'[{"msg":"first","msg":"last"}]'
    yield Case("array-duplicate-key", twice, Delivered(1, holds={"msg": ["last"]}))
    lone = Delivered(1, replaced=1, holds={"msg": ["\\ud800"]})
    yield Case("array-lone-surrogate", b'[{"msg":"\\ud800"}]', lone)
    for name, bad in {
        "number": b"17",
        "negative": b"-1.5e3",
        "text": b'"text"',
        "null": b"null",
        "true": b"true",
        "list": b"[1,2]",
        "list-of-objects": b'[{"msg":"x"}]',
        "nan": b'{"msg":NaN}',
        "not-utf8": b'{"msg":"\xff"}',
        "nested": b'{"msg":' + b"[" * 300 + b"]" * 300 + b"}",
    }.items():
        content = b"[" + one + b", " + bad + b" ," + two + b"]"
        rows = (Row(1, "no JSON object", len(one) + 3),)
        yield Case(f"array-element-{name}", content, Rejected(rows, 2))
    content = b"[" + one + b", {} ," + two + b"]"
    rows = (Row(1, "no usable field", len(one) + 3),)
    yield Case("array-element-empty", content, Rejected(rows, 2))
    numbers = b"[" + b",".join(b"%d" % n for n in range(50)) + b"]"
    yield Case("array-of-numbers", numbers, Failed(3, "50 of 50 rows rejected"))
    broken = Failed(1, "breaks off or is broken")
    for name, content in {
        "open": b"[",
        "cut-after-element": b"[" + one,
        "cut-after-comma": b"[" + one + b",",
        "cut-in-element": b"[" + one + b"," + two[:-3],
        "cut-in-text": b"[" + one + b',{"msg":"x',
        "cut-in-pretty": pretty[:-20],
        "cut-before-end": pretty[:-1],
        "bad-element": b"[" + one + b",{msg:1}," + two + b"]",
        "bad-word": b"[" + one + b",nonsense," + two + b"]",
        "raw-lf": b'[{"msg":"a\nb"}]',
        "brace": b"[" + one + b"}",
        "single-quotes": b"[{'msg':'x'}]",
        "nul": b"[" + one + b",\x00" + two + b"]",
    }.items():
        yield Case(f"array-broken-{name}", content, broken)
    more = Failed(1, "there is more")
    for name, tail in {
        "text": b" garbage",
        "bracket": b"]",
        "array": b"[" + one + b"]",
        "lines": b"\n" + B,
        "comma": b",",
        "nul": b"\x00",
        "far": b" " * 200_000 + b"x",
    }.items():
        yield Case(f"array-then-{name}", b"[" + comma + b"]" + tail, more)


def _wrapped() -> Iterator[Case]:
    one, two, _ = (line[:-1] for line in (A, B, C))
    inside = b"[" + one + b"," + two + b"]"
    whole = Delivered(2, holds={"msg": ["1", "2"]})
    objects = {"events": [json.loads(A), json.loads(B)]}
    pretty = json.dumps(objects, indent=2).encode()
    for name, content in {
        "compact": b'{"events":' + inside + b"}",
        "lf": b'{"events": ' + inside + b"}\n",
        "pretty": pretty,
        "bom": b"\xef\xbb\xbf" + pretty,
        "gzip": _zip(pretty),
        "crlf": pretty.replace(b"\n", b"\r\n"),
    }.items():
        yield Case(f"wrapped-{name}", content, whole)
    yield Case("wrapped-empty", b'{"events": []}', Delivered(0))
    rows = (Row(1, "no JSON object", len(b'{"events":[' + one + b",")),)
    element = b'{"events":[' + one + b",17]}"
    yield Case("wrapped-element-number", element, Rejected(rows, 1))
    for name, content in {
        "cut": pretty[: len(pretty) // 2],
        "cut-in-array": b'{"events":' + inside[:-1],
    }.items():
        yield Case(f"wrapped-{name}", content, Failed(1, "breaks off or is broken"))


# Parquet.


def _parquet_files() -> Iterator[Case]:
    texts = [f"{n * 7919 % 1000003:x}" * 3 for n in range(5000)]
    table = pa.table({"eventId": texts, "msg": texts})
    plain = _parquet(table, row_group_size=1000, use_dictionary=False)
    unopened = Failed(1, "begins like Parquet but can't be opened")
    yield Case("parquet", plain, Delivered(5000))
    yield Case("parquet-suffix-says-json", plain, Delivered(5000), file="source.json.gz")
    for kept in (4, 8, 12, 100, len(plain) // 2, len(plain) - 9):
        yield Case(f"parquet-cut-at-{kept}", plain[:kept], unopened)
    for lost in (1, 4, 8):
        yield Case(f"parquet-cut-{lost}", plain[:-lost], unopened)
    yield Case("parquet-cut-start", plain[100:], Failed(1, "is no timeline"))
    yield Case("parquet-magic-last", plain[:-4] + b"PAR2", unopened)
    yield Case("parquet-magic-first", b"PAR2" + plain[4:], Failed(1, "is no timeline"))
    yield Case("parquet-magic-only", b"PAR1PAR1", unopened)
    yield Case("parquet-footer-zero", plain[:-8] + bytes(4) + b"PAR1", unopened)
    yield Case("parquet-footer-huge", plain[:-8] + b"\xff\xff\xff\x7fPAR1", unopened)
    size = struct.unpack("<I", plain[-8:-4])[0]
    zeroed = plain[: -8 - size] + bytes(size) + plain[-8:]
    yield Case("parquet-footer-zeroed", zeroed, unopened)
    yield Case("parquet-garbage-behind", plain + b"garbage", unopened)
    yield Case("parquet-twice", plain + plain, Delivered(5000))  # its footer is the last one
    hole = plain[:200] + plain[1200:]
    yield Case("parquet-hole", hole, Failed(1, ""))
    for codec in ("none", "snappy", "zstd", "gzip", "brotli", "lz4"):
        content = _parquet(
            table, compression=codec, row_group_size=1000, write_page_checksum=codec == "none"
        )
        for place in (0.1, 0.5, 0.8):
            at = int(len(content) * place)
            bad = content[:at] + bytes(600) + content[at + 600 :]
            if codec != "none":
                name = f"parquet-corrupt-{codec}-{int(place * 100)}"
                yield Case(name, bad, Failed(1, "is damaged after row"))
        yield Case(f"parquet-{codec}", content, Delivered(5000))


def _parquet_shapes() -> Iterator[Case]:
    nothing = {"msg": pa.array([], pa.string()), "evidence_id": pa.array([], pa.int64())}
    yield Case("parquet-zero-rows", lambda: _parquet(nothing), Delivered(0))
    yield Case("parquet-zero-groups", _zero_groups, Delivered(0))
    yield Case("parquet-no-columns", lambda: _parquet({}), Failed(1, "no column of a timeline"))
    other = lambda: _parquet({"price": [1], "[/b]\x1b[31m": [2]})  # noqa: E731 - made when written
    yield Case("parquet-other-columns", other, Failed(1, "no column of a timeline"))
    ids = pa.array([str(n) for n in range(3)])
    extra = {"eventId": ids, "a": [1, 2, 3], "b": [[1], [2], [3]], "c.d": ["x", "y", "z"]}
    yield Case("parquet-extra-columns", lambda: _parquet(extra), Delivered(3))
    yield Case("parquet-one-column", lambda: _parquet({"eventId": ids}), Delivered(3))
    cases = {"eventId": ids, "MSG": ["a"] * 3, "msg": ["b"] * 3, "Msg": ["c"] * 3}
    held = Delivered(3, holds={"msg": ["b"] * 3})
    yield Case("parquet-names-by-case", lambda: _parquet(cases), held)
    twice = pa.Table.from_arrays([ids, ids], ["msg", "msg"])
    yield Case("parquet-column-twice", lambda: _parquet(twice), Failed(1, "has columns twice: msg"))
    unknown = pa.Table.from_arrays([ids, ids, ids], ["msg", "x", "x"])
    yield Case("parquet-unknown-column-twice", lambda: _parquet(unknown), Delivered(3))
    both = {"msg": ["a", None, "c"], "message": ["b", "b", "c"]}
    differ = Delivered(3, (Value(0, "msg", "another name"),), holds={"msg": ["a", "b", "c"]})
    yield Case("parquet-two-names", lambda: _parquet(both), differ)
    wide = {f"column{n}": ["x"] * 3 for n in range(1000)}
    yield Case("parquet-1000-columns", lambda: _parquet({"eventId": ids, **wide}), Delivered(3))
    rows = tuple(Row(n, "no usable field") for n in (0, 2))
    empty = {"msg": [None, "x", " "], "price": [1, 2, 3]}
    yield Case("parquet-unusable-rows", lambda: _parquet(empty), Rejected(rows, 1))
    all_null = {"msg": pa.nulls(20, pa.string()), "price": pa.array(range(20))}
    yield Case("parquet-all-null", lambda: _parquet(all_null), Failed(3, "20 of 20 rows rejected"))
    yield Case("parquet-null-column", _with_ids(pa.nulls(3)), Delivered(3))
    tiny = _with_ids(pa.array([str(n) for n in range(300)]), row_group_size=1)
    yield Case("parquet-300-groups", tiny, Delivered(300))
    for version in ("1.0", "2.4", "2.6"):
        made = _with_ids(pa.array(["a", "b"]), version=version, data_page_version="2.0")
        yield Case(f"parquet-version-{version}", made, Delivered(2, holds={"msg": ["a", "b"]}))
    for name in ("names", "values", "values-dictionary", "list-values"):
        yield from _not_utf8(name)


def _zero_groups() -> bytes:
    sink = pa.BufferOutputStream()
    pq.ParquetWriter(sink, pa.schema([("msg", pa.string())])).close()
    return bytes(sink.getvalue())


def _not_utf8(what: str) -> Iterator[Case]:
    ids = pa.array(["0", "1", "2"])
    if what == "names":
        content = _parquet({"msg": ["x"], "QQQQ": ["y"]}, store_schema=False)
        bad = content.replace(b"QQQQ", b"Q\xff\xfeQ")
        yield Case("parquet-not-utf8-names", bad, Failed(1, "can't be opened"))
    elif what == "list-values":
        lists = pa.ListArray.from_arrays(pa.array([0, 1, 2, 3]), _broken_text(b"a", b"\xff", b"c"))
        expected = Delivered(3, (Value(1, "highlights", "no UTF-8"),))
        columns = {"eventId": ids, "highlights": lists}
        yield Case("parquet-not-utf8-list", lambda: _parquet(columns), expected)
    else:
        texts = _broken_text(b"a", b"\xff\xfe", b"c")
        held = {"msg": ["a", None, "c"]}
        expected = Delivered(3, (Value(1, "msg", "no UTF-8"),), holds=held)
        made = _with_ids(texts, use_dictionary=what != "values")
        yield Case(f"parquet-not-utf8-{what}", made, expected)


def _parquet_types() -> Iterator[Case]:
    held = Delivered(4, holds={"msg": ["a", None, "b", "a"]})
    texts, raw = ["a", None, "b", "a"], [b"a", None, b"b", b"a"]
    for column in (
        pa.array(texts, pa.string()),
        pa.array(texts, pa.large_string()),
        pa.array(texts, pa.string_view()),
        pa.array(texts).dictionary_encode(),
        pa.array(texts, pa.dictionary(pa.int8(), pa.large_string())),
        pa.array(raw, pa.binary()),
        pa.array(raw, pa.large_binary()),
        pa.array(raw, pa.binary_view()),
        pa.array(raw, pa.binary(1)),
        pa.array(raw, pa.binary()).dictionary_encode(),
    ):
        yield Case(f"parquet-text-{_slug(column.type)}", _with_ids(column), held)
    for dtype in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"):
        yield _number(pa.array([1, None, 2, 3], dtype), [1, None, 2, 3])
    for dtype in ("float16", "float32", "float64"):
        yield _number(pa.array([1.0, None, 2.0, 3.0], pa.float32()).cast(dtype), [1, None, 2, 3])
    for column in (
        pa.array([Decimal("1.00"), None, Decimal(2), Decimal(3)], pa.decimal128(10, 2)),
        pa.array([Decimal(1), None, Decimal(2), Decimal(3)], pa.decimal256(60, 0)),
        pa.array(["1", None, " 2", "3.0"]),
        pa.array([True, None, True, True]),
    ):
        if not pa.types.is_boolean(column.type):
            yield _number(column, [1, None, 2, 3])
    yield _number(pa.array([1, 2**63, 2, 3], pa.uint64()), [1, None, 2, 3], 1)
    nan = pa.array([1.0, float("nan"), float("inf"), 2.5, 3.0, 4.0, 5.0])
    yield _number(nan, [1, None, None, None, 3, 4, 5], 1, 2, 3, name="nan")
    huge = pa.array([1.0, 1e19, 2.0, -1e300, 3.0, 4.0])
    yield _number(huge, [1, None, 2, None, 3, 4], 1, 3, name="huge-floats")
    wide = pa.array([Decimal("1.5"), Decimal(2), Decimal(3)], pa.decimal128(38, 10))
    yield _number(wide, [None, 2, 3], 0, name="decimal-fraction")
    ten = Decimal(10) ** 50
    digits = pa.array([ten, Decimal(2), Decimal(3)], pa.decimal256(60, 0))
    yield _number(digits, [None, 2, 3], 0, name="decimal-wide")
    lists = pa.array([[1], [2]])
    made = _with_ids(lists, "evidence_id")
    yield Case("parquet-int-lists", made, Failed(3, "2 of 2 values of evidence_id"))
    yield from _odd_columns()


def _number(column: pa.Array, numbers: Sequence[int | None], *bad: int, name: str = "") -> Case:
    rejected = tuple(Value(n, "evidence_id", "no int") for n in bad)
    return Case(
        f"parquet-int-{name or _slug(column.type)}{'-bad' if bad and not name else ''}",
        _with_ids(column, "evidence_id"),
        Delivered(len(column), rejected, holds={"evidence_id": numbers}),
        settings={"partition_by": ()},
    )


def _odd_columns() -> Iterator[Case]:
    structs = pa.array([{"a": 1, "b": None}, None, {"a": None, "b": "x"}])
    for name, column, texts in (
        ("ints", pa.array([1, None]), ["1", None]),
        ("floats", pa.array([0.1, 1e22]), ["0.1", "1e+22"]),
        ("nan", pa.array([float("nan"), float("-inf")]), ["NaN", "-inf"]),
        ("booleans", pa.array([True, False]), ["True", "False"]),
        ("decimals", pa.array([Decimal("1.50"), None]), ["1.50", None]),
        ("lists", pa.array([["a", None], []]), ["['a', None]", None]),
        ("fixed-lists", pa.array([[1, 2], [3, 4]], pa.list_(pa.int8(), 2)), ["[1, 2]", "[3, 4]"]),
        ("structs", structs, ["{'a': 1}", None, "{'b': 'x'}"]),
        ("nested", pa.array([[{"a": [{"b": "c"}]}], None]), ["[{'a': [{'b': 'c'}]}]", None]),
        ("json", pa.array(['{"a": 1}', None], pa.json_()), ['{"a": 1}', None]),
        (
            "map",
            pa.array([[("k", "v")], None], pa.map_(pa.string(), pa.string())),
            ["[{'key': 'k', 'value': 'v'}]", None],
        ),
        ("dates", pa.array([date(2020, 1, 2), None]), ["2020-01-02", None]),
        ("clock", pa.array([time(1, 2, 3), None]), ["01:02:03", None]),
    ):
        made, held = _with_ids(column), Delivered(len(column), holds={"msg": texts})
        yield Case(f"parquet-odd-{name}", made, held)
    durations = pa.array([5, None], pa.duration("us"))
    unread = Failed(3, "1 of 1 values of msg can't be read")
    yield Case("parquet-odd-durations", _with_ids(durations), unread)
    bytes_ = pa.array([b"\xff\xff", b"ab"], pa.binary(2))
    bad = Delivered(2, (Value(0, "msg", "no UTF-8"),), holds={"msg": [None, "ab"]})
    yield Case("parquet-odd-bytes", _with_ids(bytes_), bad)
    names = pa.array([[{"*": 1, "^.*$": 2, "a b": 3, "": 4, "'": 5}], None])
    text = "[{'*': 1, '^.*$': 2, 'a b': 3, '': 4, '\\'': 5}]"
    yield Case("parquet-odd-members", _with_ids(names), Delivered(2, holds={"msg": [text, None]}))


def _slug(dtype: object) -> str:
    return "".join(c if c.isalnum() else "-" for c in str(dtype)).strip("-")


# Times.


def _times() -> Iterator[Case]:
    seconds, micros = 1595194940, 1595194940_123456
    for unit, factor in (("ms", 10**3), ("us", 10**6), ("ns", 10**9)):
        numbers = _field("eventTime", *[str(seconds * factor + n) for n in range(3)])
        said = Failed(1, "the numbers in eventTime are no seconds")
        yield Case(f"time-{unit}-unsaid", numbers, said)
        held = Delivered(3, holds={"eventTime": [seconds] * 3})
        yield Case(f"time-{unit}", numbers, held, settings={"time_unit": unit})
        alias = numbers.replace(b"eventTime", b"timestamp")
        no_seconds = Failed(1, "the numbers in timestamp are no seconds")
        yield Case(f"time-{unit}-alias-unsaid", alias, no_seconds)
    odd = _field("eventTime", "-11644473600", "1383123456789", "0", "-1", "4102444801")
    kept = [-11644473600, 1383123456789, 0, -1, 4102444801]
    yield Case("time-outliers", odd, Delivered(5, holds={"eventTime": kept}))
    for name, literal in {
        "int64": str(2**63 - 1),
        "above-int64": str(2**63),
        "overflow": str(2**62),
        "1e400": "1e400",
        "text": '"yesterday"',
        "date-only": '"2020-07-19"',
        "month-13": '"2020-13-01T00:00:00Z"',
        "february-30": '"2020-02-30T00:00:00Z"',
        "hour-25": '"2020-07-19T25:00:00Z"',
        "year-zero": '"0000-00-00T00:00:00Z"',
        "zone-99": '"2020-07-19T00:00:00+99:99"',
        "true": "true",
        "list": "[1595194940]",
        "object": '{"$date":1595194940}',
        "nan-text": '"NaN"',
        "infinity-text": '"Infinity"',
        "nul": '"\\u0000"',
        "long": '"' + "9" * 10_000 + '"',
    }.items():
        content = _field("eventTime", str(seconds), literal, str(seconds + 1))
        bad = (Value(1, "eventTime", "no time"),)
        expected = Delivered(3, bad, holds={"eventTime": [seconds, None, seconds + 1]})
        yield Case(f"time-bad-{name}", content, expected)
    good = {
        "zulu": '"2020-07-19T21:42:20Z"',
        "offset": '"2020-07-19T23:42:20+02:00"',
        "space": '"2020-07-19 21:42:20Z"',
        "fraction": '"2020-07-19T21:42:20.123456789Z"',
        "text": f'"{seconds}"',
        "text-blanks": f'" {seconds} "',
        "float": f"{seconds}.75",
        "exponent": "1.59519494e9",
    }
    held = Delivered(8, holds={"eventTime": [seconds] * 8})
    yield Case("time-forms", _field("eventTime", *good.values()), held)
    missing = _field("eventTime", "null", '""', '"  "')
    yield Case("time-missing", missing, Delivered(3, holds={"eventId": ["0", "1", "2"]}))
    naive = _field("eventTime", '"2020-07-19T21:42:20"', '"2020-07-19T21:42:20Z"')
    yield Case("time-no-zone", naive, Failed(1, "the times in eventTime have no zone"))
    utc = Delivered(2, holds={"eventTime": [seconds, seconds]})
    yield Case("time-zone-said", naive, utc, settings={"timezone": "UTC"})
    berlin = {"timezone": "Europe/Berlin"}
    gap = _field(
        "eventTime",
        '"2020-03-29T02:30:00"',
        '"2020-10-25T02:30:00"',
        "0",
        "1",
        '"2020-07-19T23:42:20"',
    )
    neither = tuple(Value(n, "eventTime", "no time") for n in (0, 1))
    held = Delivered(5, neither, holds={"eventTime": [None, None, 0, 1, seconds]})
    yield Case("time-gap-and-fold", gap, held, settings=berlin)
    yield from _time_columns(seconds, micros)


def _time_columns(seconds: int, micros: int) -> Iterator[Case]:
    held = Delivered(2, holds={"eventTime": [seconds, None]})
    for unit, number in (
        ("s", seconds),
        ("ms", seconds * 1000),
        ("us", micros),
        ("ns", micros * 1000),
    ):
        for zone in (None, "UTC", "+05:30", "Mars/Phobos"):
            column = pa.array([number, None], pa.timestamp(unit, zone))
            name = f"time-column-{unit}-{_slug(zone or 'naive')}"
            yield Case(name, _with_ids(column, "eventTime"), held)
    stamps = pa.array([-11644473600_000000, 32503680000_000000, micros], pa.timestamp("us"))
    made = _with_ids(stamps, "eventTime", use_deprecated_int96_timestamps=True)
    kept = Delivered(3, holds={"eventTime": [-11644473600, 32503680000, seconds]})
    yield Case("time-int96", made, kept)
    far = pa.array([2**63 - 1, -(2**63) + 1, 0, 1000, 2000], pa.timestamp("ms"))
    bad = tuple(Value(n, "eventTime", "no time") for n in (0, 1))
    held = Delivered(5, bad, holds={"eventTime": [None, None, 0, 1, 2]})
    yield Case("time-column-overflow", _with_ids(far, "eventTime"), held)
    last = pa.array([2**63 - 1, 0], pa.timestamp("us"))
    end = Delivered(2, holds={"eventTime": [(2**63 - 1) // 10**6, 0]})
    yield Case("time-column-last", _with_ids(last, "eventTime"), end)
    floats = pa.array([float("nan"), float("inf"), 1e300, 0.5, 1.5, 2.5, 3.5])
    bad = tuple(Value(n, "eventTime", "no time") for n in (0, 1, 2))
    held = Delivered(7, bad, holds={"eventTime": [None, None, None, 0, 1, 2, 3]})
    yield Case("time-column-floats", _with_ids(floats, "eventTime"), held)
    dates = pa.array([date(2020, 1, 2)] * 2)
    unread = Failed(3, "2 of 2 values of eventTime")
    yield Case("time-column-dates", _with_ids(dates, "eventTime"), unread)
    yield Case("time-column-clock", _with_ids(pa.array([time(1)] * 2), "eventTime"), unread)
    nested = pa.array([{"s": 1}] * 2)
    yield Case("time-column-structs", _with_ids(nested, "eventTime"), unread)


# Partition values.

PARTITIONS = {
    "up": "../..",
    "up-slash": "../",
    "up-backslash": "..\\..",
    "dot": ".",
    "dots": "...",
    "hidden": ".hidden",
    "slash": "a/b",
    "root": "/etc/passwd",
    "slashes": "a//b",
    "underscore": "_",
    "underscores": "__",
    "encoded": "a_2Fb",
    "encoded-nul": "_00",
    "percent": "a%2Fb",
    "null-text": "null",
    "blank-inside": "a b",
    "leading-blank": " a",
    "nul": "a\x00b",
    "lf": "a\nb",
    "escape": "\x1b[31m",
    "unicode": "日本語",
    "composed": "é",
    "decomposed": "e\u0301",
    "right-to-left": "\u202eabc",
    "lower": "case",
    "upper": "CASE",
    "long": "x" * 5000,
    "longer": "x" * 5001,
    "long-unicode": "中" * 2000,
    "hundred": "y" * 100,
    "hundred-one": "y" * 101,
    "hive": "evidence_name=1",
    "star": "*",
    "query": "?a=b#c",
    "url": "s3://other/key",
    "quotes": "'\"",
    "markup": "[/b]",
    "con": "CON",
    "minus": "-rf",
    "emoji": "\U0001f600",
}


def _partitions() -> Iterator[Case]:
    by_name = {"partition_by": ("evidence_name",)}
    for name, value in PARTITIONS.items():
        content = _json({"evidence_name": value, "msg": "x"}, {"msg": "y"})
        unsafe = int(name in {"nul", "escape"})
        expected = Delivered(2, replaced=unsafe, partitions=2)
        yield Case(f"partition-{name}", content, expected, settings=by_name)
    rows = [{"evidence_name": value, "msg": "x"} for value in PARTITIONS.values()]
    every = Delivered(len(rows), replaced=2, partitions=len(rows))
    yield Case("partition-all", _json(*rows), every, settings=by_name)
    hive = {**by_name, "hive": True}
    yield Case("partition-all-hive", _json(*rows), every, settings=hive)
    parquet = lambda: _parquet({"evidence_name": [r["evidence_name"] for r in rows]})  # noqa: E731 - made when written
    yield Case("partition-all-parquet", parquet, every, settings=by_name)
    five = ("evidence_name", "host", "domain", "suser", "day")
    deep = dict.fromkeys(five[:4], "/" * 3000) | {"eventTime": 0}
    levels = Delivered(1, partitions=1)
    yield Case("partition-five-levels", _json(deep), levels, settings={"partition_by": five})
    empty = _json(
        {"evidence_name": "", "msg": "x"}, {"evidence_name": " ", "msg": "x"}, {"msg": "y"}
    )
    yield Case("partition-empty", empty, Delivered(3, partitions=1), settings=by_name)
    lone = b'{"evidence_name":"\\ud800","msg":"x"}\n'
    yield Case(
        "partition-lone-surrogate", lone, Delivered(1, replaced=1, partitions=1), settings=by_name
    )
    many = _json(*({"evidence_name": str(n)} for n in range(201)))
    too_many = Failed(1, "more than 200 partitions")
    yield Case("partition-201", many, too_many, settings=by_name)
    year = {"partition_by": ("day",)}
    days = _field("eventTime", "-62167219200", "253402300799", "0", "253402300800")
    yield Case("partition-days", days, Delivered(4, partitions=4), settings=year)
    beyond = _field("eventTime", "9223372036854", "-9223372036854", *["0"] * 9)
    yield Case("partition-days-beyond", beyond, Delivered(11), settings=year)


# Hostile values.

FORGED = "CEF:0|Cado|Response|1.0.2|0|Forged|10|alarm=True msg=forged"

HOSTILE = {
    **{f"u{ord(c):04x}": c for c in "\n\r\t\x0b\x0c\x1c\x1d\x1e\x1f\x00\x07\x08\x1b\x7f"},
    **{f"u{ord(c):04x}": c for c in "\x80\x85\x9b\x9f\u2028\u2029\u200b\u200e\u202e\u2066\ufeff"},
    **{f"u{ord(c):04x}": c for c in "\ufffd\uffff\ue000\u00a0\u3000\u0301\u00ad"},
    "crlf": "\r\n",
    "forged": f"\n{FORGED}\n",
    "forged-cr": f"\r{FORGED}\r",
    "forged-ls": f"\u2028{FORGED}\u2028",
    "equals": "=",
    "pipe": "|",
    "pipes": "||||||||",
    "backslash": "\\",
    "backslashes": "\\\\",
    "backslash-n": "\\n",
    "backslash-equals": "\\=",
    "backslash-pipe": "\\|",
    "backslash-lf": "\\\n",
    "backslash-u": "\\u0000",
    "key": " suser=root ",
    "label": " cs1Label=x cs1=y ",
    "quotes": "\"'`",
    "blanks": "   ",
    "markup": "[/b][red]",
    "ansi": "\x1b[2J\x1b]0;x\x07",
    "format": "%s{0}${x}",
    "html": "<script>alert(1)</script>&amp;",
    "sql": "'; DROP TABLE x; --",
    "emoji": "\U0001f469\u200d\U0001f4bb\U0001f600",
    "plane-16": "\U0010ffff",
    "json": '{"a": ["b"]}',
}

_UNSAFE = {*range(9), 0x0B, 0x0C, *range(0x0E, 0x20), *range(0x7F, 0xA0), 0x2028, 0x2029}


def visible(text: str) -> str:
    """Return text as it stands in a line once its escapes are taken back."""
    return "".join(f"\\u{ord(c):04x}" if ord(c) in _UNSAFE else c for c in text)


def _hostile_values() -> Iterator[Case]:
    for name, sign in HOSTILE.items():
        value = f"{sign}a{sign}b{sign}"
        rows = [{"eventId": "e", field: value} for field in TEXT_FIELDS]
        rows[TEXT_FIELDS.index("eventId")] = {"eventId": value}
        shown = visible(value)
        holds = {
            field: [shown if row == field else None for row in TEXT_FIELDS]
            for field in TEXT_FIELDS
            if field != "eventId"
        }
        count = len(rows) if shown != value else 0
        expected = Delivered(len(rows), replaced=count, holds=holds)
        yield Case(f"hostile-{name}", _json(*rows), expected)
        columns = {field: pa.array([r.get(field) for r in rows]) for field in TEXT_FIELDS}
        made = _columns(columns)
        yield Case(f"hostile-{name}-parquet", made, expected)
    yield from _hostile_places()


def _columns(columns: Mapping[str, pa.Array]) -> Callable[[], bytes]:
    return lambda: _parquet(columns)


def _hostile_places() -> Iterator[Case]:
    every = dict.fromkeys(TEXT_FIELDS, "".join(HOSTILE.values()))
    shown = visible(every["msg"])
    held = Delivered(1, replaced=len(every), holds={name: [shown] for name in TEXT_FIELDS})
    yield Case("hostile-all-at-once", _json(every), held)
    listed = [{"highlights": list(HOSTILE.values()), "notes": [{v: v for v in HOSTILE.values()}]}]
    yield Case("hostile-in-lists", _json(*listed), Delivered(1, replaced=2))
    for name, text in {
        "emoji-cut": ["x" * n + "\U0001f600" * 200 for n in range(4)],
        "escape-cut": ["x" * n + "|" * 400 for n in range(4)],
        "backslash-cut": ["x" * n + "\\" * 400 + "y" for n in range(4)],
        "visible-cut": ["x" * n + "\x00" * 100 for n in range(7)],
        "only-backslashes": ["\\", "\\" * 2, "\\" * 600],
        "only-breaks": ["\n", "\r\n", "\n" * 600, "\x85", "\u2028"],
        "only-pipes": ["|", "|" * 600],
        "fallback-text": ["Timeline Event", "super", "short"],
        "edges": [" x", "x ", '"x"', "'x'", "\tx"],
        "long": ["x" * 10_000, "é" * 10_000, "\u0301" * 1000],
    }.items():
        rows = [{"type": t, "super_short": "super", "short": "short", "msg": "m"} for t in text]
        kept = [None if not t.strip() else visible(t) for t in text]
        count = sum(k is not None and k != t for k, t in zip(kept, text, strict=True))
        expected = Delivered(len(text), replaced=count, holds={"type": kept})
        yield Case(f"hostile-name-{name}", _json(*rows), expected)
    big = lambda: _json({"msg": "=" * 9_000_000, "eventId": "a"}, {"msg": "x"})  # noqa: E731 - made when written
    yield Case("hostile-9-mb-equals", big, Rejected((Row(0, "line of more than"),), 1))


NAMES = {
    "pair": "x=1 suser",
    "markup": "[/b]",
    "escape": "\x1b[31m",
    "lf": "a\nb",
    "cr": "a\rb",
    "nul": "a\x00b",
    "empty": "",
    "blank": " ",
    "leading-blank": " msg",
    "upper": "MSG",
    "quote": "a\"b'c",
    "backslash": "a\\b",
    "star": "*",
    "regex": "^.*$",
    "dots": "msg.text",
    "dunder": "__class__",
    "right-to-left": "\u202emsg",
    "nel": "a\x85b",
    "ls": "a\u2028b",
    "long": "n" * 10_000,
    "unicode": "\U0001f600",
    "cef": FORGED,
    "literal": "len()",
    "line": "line",
    "row": "row",
}


def _hostile_names() -> Iterator[Case]:
    held = Delivered(2, holds={"msg": ["x", "y"]})
    for name, column in NAMES.items():
        rows: list[Mapping[str, object]] = [{column: "1", "msg": "x"}, {"msg": "y", column: [2]}]
        yield Case(f"column-{name}", _json(*rows), held)
        made = _columns({column: pa.array(["1", "2"]), "msg": pa.array(["x", "y"])})
        yield Case(f"column-{name}-parquet", made, held)
    wide = {f"k{n}": n for n in range(100_000)}
    yield Case("columns-100000", lambda: _json({**wide, "msg": "x"}, {"msg": "y"}), held)
    for name, file in {
        "markup": "[/b].jsonl",
        "style": "[red]x.jsonl",
        "escape": "\x1b[31m.jsonl",
        "lf": "a\nb.jsonl",
        "cr": "a\rb.jsonl",
        "minus": "-n.jsonl",
        "blank": " .jsonl",
        "pair": "x=1 suser.jsonl",
        "format": "%s%d{0}.jsonl",
        "not-utf8": "caf\udce9.jsonl",
        "unicode": "日本\U0001f600.jsonl",
        "right-to-left": "\u202elnosj.jsonl",
        "long": "x" * 249 + ".jsonl",
        "cef": "CEF:0|a|b|c|d|e|1|msg=x.jsonl",
        "star": "*.jsonl",
        "question": "a?.jsonl",
        "bracket": "[a-z.jsonl",
        "quotes": "a\"'`.jsonl",
        "home": "~.jsonl",
        "dollar": "$HOME.jsonl",
        "nel": "a\x85b.jsonl",
        "no-suffix": "timeline",
        "hidden": ".timeline",
    }.items():
        whole = Delivered(3, holds={"msg": ["1", "2", "3"]})
        yield Case(f"file-{name}", WHOLE, whole, file=file)
        yield Case(f"file-{name}-cut", WHOLE[:-4], Failed(1, "in the middle of line 3"), file=file)
    yield Case("file-chained", WHOLE, Failed(2, "local files or s3:// objects"), file="a::b.jsonl")
    for name, url in {
        "metadata": "http://169.254.169.254/latest/meta-data",
        "https": "https://example.com/a.jsonl",
        "cache": "filecache::s3://bucket/a.jsonl",
        "simplecache": "simplecache::http://169.254.169.254/",
        "memory": "memory://a.jsonl",
        "ftp": "ftp://example.com/a.jsonl",
        "zip": "zip://a.jsonl::file.zip",
        "gs": "gs://bucket/a.jsonl",
        "upper": "HTTP://169.254.169.254/",
        "escape": "http://\x1b[31m/",
        "chained-escape": "\x1b[31m::x",
    }.items():
        yield Case(f"url-{name}", None, Failed(2, "local files or s3:// objects"), file=url)
    for name, file in {
        "missing": "no-such.jsonl",
        "nul": "a\x00b.jsonl",
        "endless": "x" * 5000,
    }.items():
        yield Case(f"url-{name}", None, Failed(1, ""), file=file)
    for name, file in {"full": "/dev/full", "zero": "/dev/zero", "null": "/dev/null"}.items():
        yield Case(f"device-{name}", None, Failed(1, "is no file"), file=file)


# Settings for what is not as expected.


def _unknown() -> Iterator[Case]:
    carry, fail = {"unknown": "carry"}, {"unknown": "fail"}
    names = {
        "pair": ("x=1 suser", "x_1_suser"),
        "empty": ("", "_"),
        "case": ("Suser", "Suser_2"),
        "micros": ("eventTimeMicros", "eventTimeMicros_2"),
        "line": ("a\nCEF:0|a|b|c|d|e|1|msg", "a_CEF_0_a_b_c_d_e_1_msg"),
        "controls": ("\x1b[31m\x07", "__31m_"),
        "unicode": ("é\u202e\U0001f600", "___"),
        "quote": ('"', "_"),
        "backslash": ("\\", "_"),
        "long": ("k" * 100_000, "k" * 100_000),
        "star": ("*", "_"),
        "pattern": ("^.*$", "____"),
        "nul": ("a\0b", "a_b"),
    }
    for name, (given, key) in names.items():
        held = Delivered(2, holds={key: ["1", None], "eventId": [None, "2"]})
        rows = [{given: "1"}, {"eventId": "2"}]
        yield Case(f"carry-{name}", _json(*rows), held, settings=carry)
        table = _parquet({given: ["1", None], "eventId": [None, "2"]})
        yield Case(f"carry-{name}-parquet", table, held, settings=carry)
        refused = Failed(1, "columns that no field takes: ")
        yield Case(f"fail-{name}", _json(*rows), refused, settings=fail)
        yield Case(f"fail-{name}-parquet", table, refused, settings=fail)
    surrogate = b'{"\\ud800":"1"}\n{"eventId":"2"}\n'
    held = Delivered(2, holds={"eventId": [None, "2"]})
    yield Case("carry-surrogate", surrogate, held, settings=carry)
    yield Case("fail-surrogate", surrogate, Failed(1, "\\ud800"), settings=fail)
    same = _json({"a b": "1", "a=b": "2", "A|B": "3"})
    held = Delivered(1, holds={"A_B": ["3"], "a_b_2": ["1"], "a_b_3": ["2"]})
    yield Case("carry-same-key", same, held, settings=carry)
    late = A * 5_000 + b'{"late":[{"a":null,"b":1}]}\n'
    held = Delivered(5_001, holds={"late": [None] * 5_000 + ["[{'b': 1}]"]})
    yield Case("carry-late", late, held, settings=carry)
    yield Case("carry-late-gzip", _zip(late), held, settings=carry)
    rejected = Rejected((Row(1, "no JSON object", len(A)),), 2)
    yield Case("carry-bad-line", A + b'{"zz":1\n' + B, rejected, settings=carry)
    yield Case("carry-cut", A + B[:-4], Failed(1, "ends in the middle of line 2"), settings=carry)
    deep = b'{"zz":' + b"[" * 1_000 + b"]" * 1_000 + b"}\n"
    yield Case("carry-deep", A + deep + B, rejected, settings=carry)
    many = _json({f"k{n}": 1 for n in range(501)})
    yield Case("carry-many", many, Failed(1, "more than 500 columns"), settings=carry)
    long = _json(*({f"k{n}": 1} for n in range(20_000)))
    yield Case("carry-many-lines", long, Failed(1, "more than 500 columns"), settings=carry)
    twice = pa.Table.from_arrays([pa.array(["x"])] * 3, ["msg", "zz", "zz"])
    columns_twice = Failed(1, "has columns twice: zz")
    yield Case("carry-twice", lambda: _parquet(twice), columns_twice, settings=carry)
    yield Case("carry-nothing", b"", Delivered(0), settings=carry)
    yield Case("fail-nothing", b"\n", Delivered(0), settings=fail)
    yield Case("fail-none", WHOLE, Delivered(3), settings=fail)


def _truncated() -> Iterator[Case]:
    accept = {"accept_truncated": True}
    array = b"[" + b",".join([A[:-1], B[:-1], C[:-1]]) + b"]"
    two = Delivered(2, holds={"msg": ["1", "2"]})
    three = Delivered(3, holds={"msg": ["1", "2", "3"]})
    at = array.index(C[:-1])
    for name, content in {
        "in-an-element": array[: at + 5],
        "before-an-element": array[:at],
        "before-the-comma": array[: at - 1],
        "by-garbage": array[:at] + b"garbage]",
        "in-an-object": b'{"a":1,"events":' + array[: at + 5],
    }.items():
        yield Case(f"accept-array-{name}", content, two, settings=accept)
    yield Case("accept-array-unclosed", array[:-1], three, settings=accept)
    wrapped = b'{"a":1,"events":' + array
    yield Case("accept-object-unclosed", wrapped, three, settings=accept)
    more = Failed(1, "after the JSON array there is more")
    yield Case("accept-array-more", array + b"more", more, settings=accept)
    for kept in (3, 14, len(C) - 2):
        content = WHOLE[: -len(C)] + C[:kept]
        row = Row(2, "no JSON object", len(A + B))
        yield Case(f"accept-line-{kept}", content, Rejected((row,), 2), settings=accept)
    yield Case("accept-line-whole", WHOLE[:-1], three, settings=accept)
    strict = {**accept, "max_rejects": (0, 0.0)}
    yield Case("accept-line-strict", WHOLE[:-4], Failed(3, "1 of 3 rows"), settings=strict)
    nothing = Delivered(0)
    yield Case("accept-array-nothing", b"[", nothing, settings=accept)
    yield Case("accept-array-first", array[:9], nothing, settings=accept)
    yield Case("accept-gzip-header", _zip(WHOLE)[:7], nothing, settings=accept)
    yield Case("accept-gzip-sum", _zip(WHOLE)[:-4], three, settings=accept)
    yield Case("accept-gzip-garbage", _zip(WHOLE) + b"garbage", three, settings=accept)
    yield Case("accept-zstd-block", _zstd(WHOLE)[:-1], nothing, settings=accept)
    yield Case("accept-zstd-frame", _zstd(WHOLE) + _zstd(A)[:9], three, settings=accept)
    no_end = _parquet({"msg": ["x"] * 100})[:-9]
    yield Case("accept-parquet-end", no_end, Failed(1, "can't be opened"), settings=accept)
    for kept in (0, 1, 2):
        content = _damaged_group(kept)
        yield Case(f"accept-parquet-{kept}", content, Delivered(kept * 100), settings=accept)
    yield Case("accept-utf-16", WHOLE.decode().encode("utf-16"), Failed(1, ""), settings=accept)


def _damaged_group(group: int) -> bytes:
    """Return a Parquet file of groups of 100 rows, one of which is damaged."""
    whole = _parquet({"msg": [f"{n**5:x}" for n in range(300)]}, row_group_size=100)
    chunk = pq.read_metadata(pa.BufferReader(whole)).row_group(group).column(0)
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    return (
        whole[:start]
        + bytes(chunk.total_compressed_size)
        + whole[start:][chunk.total_compressed_size :]
    )


def _json_lists() -> Iterator[Case]:
    settings = {"lists": "json"}
    for name, literal, text in (
        ("controls", '["\\u0000\\n\\u001b"]', '["\\u0000\\n\\u001b"]'),
        ("quotes", '["\\"\\\\\'"]', '["\\"\\\\\'"]'),
        ("surrogate", '["a\\ud800b"]', '["a\\ud800b"]'),
        ("nulls", '[{"a":null,"b":[null]}]', '[{"b": [null]}]'),
        ("numbers", "[1.50,1e400,true]", '[1.5, "1e400", true]'),
        ("twice", '[{"a":1,"a":2}]', '[{"a": 2}]'),
        ("empty", '[{"":{}}]', '[{"": {}}]'),
    ):
        held = Delivered(1, replaced=int(name == "surrogate"), holds={"notes": [text]})
        yield Case(f"json-{name}", _field("notes", literal), held, settings=settings)
    numbers = pa.array([[float("nan"), float("inf"), 1.0, None]])
    held = Delivered(1, holds={"notes": ['["NaN", "inf", 1.0, null]']})
    yield Case("json-nan-parquet", _with_ids(numbers, "notes"), held, settings=settings)
    hostile = pa.array([[{'a"\n': "\x1b\\"}]])
    held = Delivered(1, holds={"notes": ['[{"a\\"\\n": "\\u001b\\\\"}]']})
    yield Case("json-hostile-parquet", _with_ids(hostile, "notes"), held, settings=settings)


# Small inputs that are large inside.


def _attacks() -> Iterator[Case]:
    bomb, small = 50_000_000, 10_000_000
    yield Case("bomb-zeros", lambda: _zip(bytes(bomb)), Failed(1, "is no timeline"))
    zstd = lambda: _zstd(bytes(bomb))  # noqa: E731 - made when written
    yield Case("bomb-zeros-zstd", zstd, Failed(1, "is no timeline"))
    zeros = lambda: _zip(A + bytes(small) + b"\n" + B)  # noqa: E731 - made when written
    yield Case("bomb-zeros-in-a-line", zeros, Rejected((Row(1, "no JSON object", len(A)),), 2))
    no_end = lambda: _zip(A + bytes(small))  # noqa: E731 - made when written
    yield Case("bomb-no-end", no_end, Failed(1, "ends in the middle of line 2"))
    blanks = lambda: _zip(A + b" " * small + b"\n" + B)  # noqa: E731 - made when written
    yield Case("bomb-blanks", blanks, Delivered(2, holds={"msg": ["1", "2"]}))
    inside = lambda: _zip(A + b'{"msg":' + b" " * small + b'"x"}\n')  # noqa: E731 - made when written
    yield Case("bomb-blanks-in-an-object", inside, Delivered(2, holds={"msg": ["1", "x"]}))
    lines = lambda: _zip(A + b"\n" * 5_000_000 + B)  # noqa: E731 - made when written
    yield Case("bomb-blank-lines", lines, Delivered(2, holds={"msg": ["1", "2"]}))
    array = lambda: _zip(b"[" + b" " * small + A + b"]")  # noqa: E731 - made when written
    yield Case("bomb-blanks-in-an-array", array, Delivered(1))
    open_array = lambda: _zip(b'[{"msg":"' + b"x" * 20_000_000)  # noqa: E731 - made when written
    yield Case("bomb-array-no-end", open_array, Failed(1, "breaks off or is broken"))
    brackets = lambda: _zip(b"[" * 5_000_000)  # noqa: E731 - made when written
    yield Case("bomb-brackets", brackets, Failed(1, "nested too deeply"))
    expanding = _with_ids(pa.array(["x" * 1_000_000] * 200))
    yield Case("bomb-dictionary", expanding, Delivered(200))
    long = _with_ids(pa.array(["x" * 1_000_000] * 200))
    rejected = Failed(3, "200 of 200 rows rejected")
    yield Case("bomb-dictionary-refused", long, rejected, settings={"max_event": 500_000})
    runs = _with_ids(pa.array(["x"] * 500_000), compression="zstd")
    yield Case("bomb-runs", runs, Delivered(500_000))


def cases() -> tuple[Case, ...]:
    """Return all cases, the small ones first."""
    made = chain(
        _framing(),
        _lines(),
        _encodings(),
        _values(),
        _text(),
        _nesting(),
        _compressed(),
        _arrays(),
        _wrapped(),
        _parquet_files(),
        _parquet_shapes(),
        _parquet_types(),
        _times(),
        _partitions(),
        _hostile_values(),
        _hostile_names(),
        _unknown(),
        _truncated(),
        _json_lists(),
        _attacks(),
    )
    return tuple(made)


_SHOWN = "a name that is no source is shown as it was given"


def main(folder: Path) -> None:
    """Write every case, and what is expected of it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "expected.ndjson").open("w", encoding="utf-8") as index:
        for case in cases():
            (folder / case.name).mkdir(exist_ok=True)
            case.write(folder / case.name)
            outcome = type(case.expected).__name__.lower()
            told = {"name": case.name, "file": case.file, outcome: asdict(case.expected)}
            index.write(f"{json.dumps(told, default=str)}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
