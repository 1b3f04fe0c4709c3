"""Columns that no field takes: carried under keys of their own, the same from every form."""

import json
import re
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cefline.errors import SourceError
from cefline.read.carry import MAX_CARRIED
from cefline_schemas.timeline import CANONICAL, FIELDS
from tests.lines import Event, of_array, of_lines, of_rows, of_table, written, zipped, zstd

START = "CEF:0|CadoSecurity|CadoResponse|1.0.2|0|Timeline Event|1|"
TABLE = {field.cado.name.casefold() for field in FIELDS} | {n.casefold() for n in CANONICAL}
PATTERN = re.compile(r"\*|\^.*\$", re.DOTALL)
"""Names that polars takes for all columns, or for a regular expression."""

NAMED = {
    "x=1 suser": "x_1_suser",
    "a b": "a_b",
    "é": "_",
    "": "_",
    "日本": "__",
    "Suser": "Suser_2",
    "MSG": "MSG_2",
    "TimeStamp": "TimeStamp_2",
    "eventTimeMicros": "eventTimeMicros_2",
    "EVENTTIMEMICROS": "EVENTTIMEMICROS_2",
    "CEF:0|a|": "CEF_0_a_",
    "|": "_",
    "=": "_",
    "a\\": "a_",
    'a"b': "a_b",
    '"': "_",
    "a'b": "a_b",
    "a\nb": "a_b",
    "a\x1b[31mb": "a__31mb",
    "\u202ea": "_a",
    "a.b": "a_b",
    "msg.x": "msg_x",
    "{": "_",
    '":[': "___",
    "\\u0061": "_u0061",
    "0": "0",
    "x" * 300: "x" * 300,
}
"""Names, each alone in its source, and the keys they become."""


def pair(line: str) -> tuple[str, str]:
    """Return the one key and value that a line of an otherwise empty event has."""
    key, value = line.removeprefix(START).split("=", 1)
    return key, value


@pytest.mark.parametrize(("name", "key"), NAMED.items(), ids=ascii)
def test_a_name_becomes_a_key(name: str, key: str) -> None:
    """Every character outside `[A-Za-z0-9_]` is `_`, and keys of the table get a number."""
    event = {name: "v"}
    lines = of_lines([event])
    sources = [lines, of_lines([event], ascii_only=False), of_array([event]), of_rows([event])]
    for content in (*sources, zipped(lines), zstd(lines)):
        out = written(content, unknown="carry")
        assert [pair(line) for line in out.lines] == [(key, "v")]
        assert out.events == [{key: "v"}]


_BUG_PATTERN = "polars takes these names for patterns where JSON's columns are selected"
_BUG_NUL = "polars panics: Arrow's C interface has no names with NUL"
_BUG_SURROGATE = "a lone surrogate in a name is a UnicodeEncodeError: polars has no such name"


@pytest.mark.parametrize(
    ("name", "key"),
    [
        (name, key)
        for name, key, bug in (
            ("*", "_", _BUG_PATTERN),
            ("^msg$", "_msg_", _BUG_PATTERN),
            ("^.*$", "____", _BUG_PATTERN),
            ("a\0b", "a_b", _BUG_NUL),
        )
    ],
    ids=ascii,
)
@pytest.mark.parametrize(("value", "text"), [("v", "v"), (True, "True"), (["v"], "['v']")])
def test_a_hostile_name_is_carried_from_json(name: str, key: str, value: object, text: str) -> None:
    """Names that polars takes for patterns, or can't have at all, are like any other."""
    try:
        out = written(of_lines([{name: value, "eventId": "1"}, {"eventId": "2"}]), unknown="carry")
    except BaseException as err:  # noqa: BLE001 - a panic of polars is no Exception
        pytest.fail(f"{type(err).__name__}: {err}")
    assert out.events == [{key: text, "eventId": "1"}, {"eventId": "2"}]


@pytest.mark.parametrize("name", ["\ud800", "a\udc00b", "\udc00\ud800"], ids=ascii)
@pytest.mark.parametrize(("value", "text"), [("v", "v"), (True, "True"), (["v"], "['v']")])
def test_a_name_with_lone_surrogates_is_carried(name: str, value: object, text: str) -> None:
    """A name that UTF-8 has no form for gets a key all the same."""
    out = written(of_lines([{name: value, "eventId": "1"}, {"eventId": "2"}]), unknown="carry")
    [first, second] = out.events
    [key] = [key for key in first if key != "eventId"]
    assert re.fullmatch("[A-Za-z0-9_]+", key)
    assert first == {key: text, "eventId": "1"}
    assert second == {"eventId": "2"}


@pytest.mark.parametrize(("name", "key"), [("*", "_"), ("^.*$", "____"), ("a\0b", "a_b")])
def test_a_hostile_name_is_carried_from_parquet(name: str, key: str) -> None:
    """A column may have a name that polars takes for a pattern."""
    out = written(of_rows([{name: "v", "msg": "x"}]), unknown="carry")
    assert out.events == [{key: "v", "msg": "x"}]


def test_names_that_become_the_same_key_are_numbered() -> None:
    """Names are taken in their order; case does not tell keys apart, nor does a number's look."""
    names = ["a b", "a=b", "A b", "a_b", "a_b_2", "a_B"]
    content = of_lines([{name: str(n) for n, name in enumerate(names)}])
    expected = "A_b=2 a_b_2=0 a_b_3=1 a_B_4=5 a_b_5=3 a_b_2_2=4"
    assert written(content, unknown="carry").lines == [START + expected]


_NAME = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6),
    st.text(st.sampled_from("aA_2 =|"), max_size=4),
    st.sampled_from([*NAMED, *(n.upper() for n in CANONICAL), *(n + "_2" for n in CANONICAL)]),
).filter(lambda name: name not in CANONICAL and not PATTERN.fullmatch(name))


@given(st.sets(_NAME, min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_any_names_become_keys_of_their_own(names: set[str], order: Any) -> None:  # noqa: ANN401 - hypothesis has no public type
    """A value is under one key, which is no key of the table, and no other name's in any case."""
    shuffled = sorted(names)
    order.shuffle(shuffled)
    values = {name: f"v{n}" for n, name in enumerate(shuffled)}
    events: list[Event] = [{"eventId": "0"}, {"msg": "m", **values}]
    outs = [
        written(content, unknown="carry")
        for content in (
            of_lines(events),
            of_lines(events, ascii_only=False),
            of_array(events),
            of_rows(events),
        )
    ]
    assert all(out.lines == outs[0].lines for out in outs)
    first, line = outs[0].lines
    assert first == START + "eventId=0"
    pairs = [text.split("=") for text in line.removeprefix(START).split(" ")]
    assert pairs[-1] == ["msg", "m"]
    by_value = {value: key for key, value in pairs[:-1]}
    assert list(by_value) == [values[name] for name in sorted(names)]
    folded = [key.casefold() for key in by_value.values()]
    assert len(set(folded)) == len(names)
    assert not {*folded} & (TABLE | {"eventtimemicros"})
    for name, value in values.items():
        plain = "".join(c if c.isascii() and (c.isalnum() or c == "_") else "_" for c in name)
        assert re.fullmatch(re.escape(plain or "_") + r"(_[1-9][0-9]*)?", by_value[value])
    assert outs[0].events == [
        {"eventId": "0"},
        {"msg": "m"} | {key: value for value, key in by_value.items()},
    ]


# Values.

_VALUES: list[tuple[object, str | None, str | None]] = [
    ("text", "text", "text"),
    ("two\nlines = a\\b|", "two\nlines = a\\b|", None),
    ("", None, None),
    (" \t", None, None),
    ("true", "true", "true"),
    ("[1]", "[1]", "[1]"),
    ("null", "null", "null"),
    (7, "7", "7"),
    (-(2**63), str(-(2**63)), None),
    (2**80, str(2**80), None),
    (1.0, "1.0", None),
    (0.1, "0.1", None),
    (1e22, "1e+22", None),
    (True, "True", None),
    (False, "False", None),
    (None, None, None),
    ([], None, None),
    ([[]], "[[]]", None),
    (["a", 1, None, 1.5, True], "['a', 1, None, 1.5, True]", '["a", 1, null, 1.5, true]'),
    ({"a": None, "b": "it's"}, "{'b': 'it\\'s'}", '{"b": "it\'s"}'),
    ([{"z": 1, "a": [{"b": "\n"}]}], "[{'z': 1, 'a': [{'b': '\\n'}]}]", None),
    ("a\ud800b", "a\\ud800b", None),
    (["\udc00"], "['\\udc00']", '["\\udc00"]'),
    ({"\ud800": 1}, "{'\\ud800': 1}", None),
    ("a\0b", "a\\u0000b", None),
    ("a\x85\u2028", "a\\u0085\\u2028", None),
]  # fmt: skip


@pytest.mark.parametrize(("value", "text", "as_json"), _VALUES, ids=ascii)
def test_a_carried_value_has_the_text_of_a_list_field(
    value: object, text: str | None, as_json: str | None
) -> None:
    """Whatever a carried column holds, it becomes what `notes` makes of it, alone or in company."""
    for other in ({"msg": "x"}, {"zz": [1], "notes": [1]}, {"zz": 1.5}):
        events = [{"eventId": "1", "zz": value, "notes": value}, other]
        for content in (of_lines(events), of_array(events)):
            [event, _] = written(content, unknown="carry").events
            assert event.get("zz") == event.get("notes") == text
            if as_json is not None:
                [event, _] = written(content, unknown="carry", lists="json").events
                assert event.get("zz") == event.get("notes") == as_json


_COLUMNS = [
    ["a", None, "", " ", "x=1 suser=y"],
    [1, None, -(2**63), 2**63 - 1],
    [1.0, 0.1, None, 1e22, 5e-324, -0.0],
    [True, None, False],
    [["a", None], [], None, ["it's"]],
    [[1, 2], [], None],
    [[1.5, None], [1e22]],
    [[[True]], [[]], [None]],
    [{"b": 1, "a": "x"}, None, {"b": 2, "a": None}],
    [[{"url": "u", "str_detected": "s"}], None, []],
]


@pytest.mark.parametrize("values", _COLUMNS, ids=ascii)
@pytest.mark.parametrize("lists", ["python", "json"])
def test_parquet_and_json_carry_the_same_text(values: list[object], lists: str) -> None:
    """A typed column gives the lines that the same values give as JSON, in every packing."""
    events: list[Event] = [{"eventId": str(n), "a b": v, "zz": v} for n, v in enumerate(values)] + [
        {"eventId": "last", "a b": values[0]}
    ]
    table = written(of_rows(events), unknown="carry", lists=lists).lines
    assert len(table) == len(events)
    assert "a_b=" in table[0]
    for content in (of_lines(events), of_array(events), zipped(of_lines(events))):
        assert written(content, unknown="carry", lists=lists).lines == table


def test_columns_that_polars_keeps_as_dictionaries_are_carried() -> None:
    """Few-valued text of many rows is read as a dictionary, and carried all the same."""
    events: list[Event] = [{"eventId": str(n), "zz": f"v{n % 3}"} for n in range(3000)]
    out = written(of_rows(events), unknown="carry")
    assert out.lines == [f"{START}eventId={n} zz=v{n % 3}" for n in range(3000)]
    assert out.lines == written(of_lines(events), unknown="carry").lines


@pytest.mark.parametrize(
    ("line", "event"),
    [
        (b'{"\\u0061b":"x"}', {"ab": "x"}),
        (b'{"\\u0061b" : [1]}', {"ab": "[1]"}),
        (b'{"a\\u0062":true}', {"ab": "True"}),
        (b'{"a\\/b":"x"}', {"a_b": "x"}),
        (b'{"a\\"b":1.50}', {"a_b": "1.5"}),
        (b'{"\\"":"x"}', {"_": "x"}),
        (b'{"\\\\":"x"}', {"_": "x"}),
        (b'{"\\ud83d\\ude00b":"x"}', {"_b": "x"}),
        (b'{"\\u00e9":"x"}', {"_": "x"}),
        (b'{"ab":"first","\\u0061b":"last"}', {"ab": "last"}),
        (b'{"ab":"first","ab":"last"}', {"ab": "last"}),
        (b'{"\\u006dsg":"x"}', {"msg": "x"}),
    ],
)
def test_names_may_be_written_with_escapes(line: bytes, event: Event) -> None:
    """A name is what JSON says, however it is written, alone or beside lines of plain names."""
    assert written(line + b"\n", unknown="carry").events == [event]
    for other in (b'{"eventId":"1","short":"plain"}\n', b'{"eventId":"1","short":[1.5]}\nbad\n'):
        assert written(other + line + b"\n", unknown="carry").events[1] == event


def test_columns_that_come_late_are_carried() -> None:
    """All lines are read for names before the first is delivered, bad lines passed over."""
    events: list[Event] = [{"eventId": str(n)} for n in range(5_000)]
    events[4_999]["first seen late"] = "x"
    for content in (of_lines(events), of_array(events), zipped(of_lines(events))):
        out = written(content, unknown="carry")
        assert out.lines[4_998:] == [
            f"{START}eventId=4998", f"{START}eventId=4999 first_seen_late=x"
        ]  # fmt: skip
        with pytest.raises(SourceError, match="no field takes: first seen late"):
            written(content, unknown="fail")
    out = written(of_lines(events[:-1]) + b"bad\n[1]\n" + of_lines(events[-1:]), unknown="carry")
    assert out.events[-1] == {"eventId": "4999", "first_seen_late": "x"}
    assert out.rejected("ordinal") == [(4_999,), (5_000,)]


def test_a_row_of_nothing_else_is_delivered() -> None:
    """What is carried is a usable field: such rows are rejects only where it is dropped."""
    events: list[Event] = [{"zz": "x"}, {"msg": "y"}]
    for content in (of_lines(events), of_rows(events)):
        assert written(content, unknown="carry").events == [{"zz": "x"}, {"msg": "y"}]
        assert written(content).rejected("ordinal", "reason") == [(0, "no usable field")]
    assert written(of_rows([{"zz": "x"}]), unknown="carry").events == [{"zz": "x"}]


def test_names_that_are_known_are_not_carried() -> None:
    """Aliases are fields, and a source without an unknown column is what it is otherwise."""
    event = dict.fromkeys(CANONICAL, "5")
    for content in (of_lines([event]), of_rows([event])):
        dropped = written(content, time_unit="s")
        assert written(content, unknown="carry", time_unit="s").lines == dropped.lines
        assert written(content, unknown="fail", time_unit="s").lines == dropped.lines


def test_parquet_types_are_carried() -> None:
    """Times, decimals and bytes have the text that a list field gives them."""
    for column in (
        pa.array([1595194940_000000], pa.timestamp("us", "UTC")),
        pa.array([18_000], pa.date32()),
        pa.array([b"caf\xc3\xa9"]),
        pa.array([[("k", "v")]], pa.map_(pa.string(), pa.string())),
    ):
        content = of_table({"eventId": ["1"], "zz": column, "notes": column})
        [event] = written(content, unknown="carry").events
        assert event["zz"] == event["notes"]


@pytest.mark.parametrize(
    "column", [pa.array([5], pa.duration("ns")), pa.array([2**30], pa.date32())], ids=["ns", "date"]
)
@pytest.mark.parametrize("name", ["zz", "msg"])
def test_no_parquet_type_is_a_traceback(column: pa.Array, name: str) -> None:
    """A value that neither polars nor Python can write is left out, and its event delivered."""
    content = of_table({"eventId": ["1"], name: column})
    assert written(content, unknown="carry").events == [{"eventId": "1"}]


# Too many, and none at all.


@pytest.mark.parametrize("form", [of_lines, of_rows])
def test_so_many_columns_are_carried_and_no_more(form: Any) -> None:  # noqa: ANN401 - one of two
    """A source with more unknown columns than any timeline's fails, and says which it has."""
    most = {f"k{n:03d}": str(n) for n in range(MAX_CARRIED)}
    assert written(form([most]), unknown="carry").events == [most]
    with pytest.raises(SourceError) as caught:
        written(form([most | {"one more": "x"}]), unknown="carry")
    message = "the source has more than 500 columns that no field takes: k000, k001, "
    assert caught.value.message.startswith(message)
    assert caught.value.message.endswith(", k019, ...")
    assert caught.value.hint == "--unknown drop leaves them out"
    assert caught.value.exit_code == 1


@pytest.mark.parametrize("form", [of_lines, of_array, of_rows])
def test_fail_names_the_columns(form: Any) -> None:  # noqa: ANN401 - one of three
    """All unknown names are told in their order, as a terminal can take them."""
    event = {"z": "1", "a\x1b[31m": "2", "b\u202e": "3", "c\nd": "4", "msg": "x", "Msg": "5"}
    with pytest.raises(SourceError) as caught:
        written(form([event]), unknown="fail")
    names = "Msg, a\\x1b[31m, b\\u202e, c\\nd, z"
    assert caught.value.message == f"the source has columns that no field takes: {names}"
    assert str(caught.value).isprintable()
    assert "--unknown carry" in caught.value.hint


def test_fail_shows_lone_surrogates() -> None:
    """A name that UTF-8 has no form for can be told, too."""
    with pytest.raises(SourceError, match=r"no field takes: \\ud800"):
        written(b'{"\\ud800":1,"msg":"x"}\n', unknown="fail")


@pytest.mark.parametrize("form", [of_lines, of_rows])
def test_drop_carries_nothing(form: Any) -> None:  # noqa: ANN401 - one of two
    """Without the setting, unknown columns are left out as ever."""
    event = {"zz": "1", "eventId": "2"}
    assert written(form([event])).lines == written(form([event]), unknown="drop").lines
    assert written(form([event])).events == [{"eventId": "2"}]


def test_json_is_what_it_was_for_the_first_columns() -> None:
    """What is carried changes nothing of the fields of the table."""
    plain = json.dumps({"eventId": "1", "msg": "a|b", "notes": ["x"], "alarm": True})
    whole = json.dumps({**json.loads(plain), "zz": [1]})
    with_key = written(whole.encode() + b"\n", unknown="carry").lines[0]
    assert with_key.replace(" zz=[1]", "") == written(plain.encode() + b"\n").lines[0]
