"""Literals: the standard's form, the same from Parquet and from JSON, and read back by Python."""

import ast
import json
from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cefline import literal
from tests.lines import Event, of_array, of_lines, of_rows, written

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NAMES = TEXT.filter(lambda name: "\0" not in name)  # has a test of its own
LEAVES = st.sampled_from(
    [
        (pa.string(), TEXT),
        (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
        (pa.float64(), st.floats(allow_nan=False, allow_infinity=False)),
        (pa.bool_(), st.booleans()),
    ]
)
Shape = tuple[pa.DataType, st.SearchStrategy[Any]]


def _list_of(inner: Shape) -> Shape:
    dtype, values = inner
    return pa.large_list(dtype), st.lists(st.one_of(st.none(), values), max_size=3)


def _struct_of(members: dict[str, Shape]) -> Shape:
    dtype = pa.struct([(name, inner) for name, (inner, _) in members.items()])
    values = {name: st.one_of(st.none(), value) for name, (_, value) in members.items()}
    ordered = st.fixed_dictionaries(values).map(
        lambda drawn: {name: drawn[name] for name in members}
    )
    return dtype, ordered


SHAPES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        inner.map(_list_of), st.dictionaries(NAMES, inner, min_size=1, max_size=3).map(_struct_of)
    ),
    max_leaves=5,
)


@st.composite
def columns(draw: st.DrawFn) -> tuple[pa.DataType, list[Any]]:
    """Draw a nested type, and values of it."""
    dtype, values = draw(
        st.one_of(SHAPES.map(_list_of), SHAPES.map(lambda s: _struct_of({"a": s})))
    )
    return dtype, draw(st.lists(st.one_of(st.none(), values), min_size=1, max_size=4))


def from_parquet(
    values: list[Any],
    dtype: pa.DataType | None = None,
    members: tuple[str, ...] = (),
    form: literal.Form = "python",
) -> list[str | None]:
    """Return the literals of a nested Arrow column."""
    column = pl.Series("x", pa.array(values, dtype))
    written = literal.expression(pl.col("x"), column.dtype, members, form)
    return column.to_frame().select(written).to_series().to_list()


def from_json(
    values: list[Any], members: tuple[str, ...] = (), form: literal.Form = "python"
) -> list[str | None]:
    """Return the literals of JSON texts."""
    texts = [None if value is None else json.dumps(value) for value in values]
    return literal.of_json(pl.Series(texts, dtype=pl.String), members, form).to_list()


def without_nulls(value: object) -> object:
    """Return a value without the null members of its objects."""
    match value:
        case dict():
            return {k: without_nulls(v) for k, v in value.items() if v is not None}
        case list():
            return [without_nulls(element) for element in value]
    return value


@given(columns())
def test_parquet_and_json_give_the_same_literal(column: tuple[pa.DataType, list[Any]]) -> None:
    """However deep the lists and objects, both forms of an export read alike."""
    dtype, values = column
    assert from_parquet(values, dtype) == from_json(values)


@given(columns())
def test_python_reads_a_literal_back(column: tuple[pa.DataType, list[Any]]) -> None:
    """ast.literal_eval gives the value back, but for null members, which are left out."""
    _, values = column
    for text, value in zip(from_json(values), values, strict=True):
        if value is not None:
            assert text is not None
            readable = text.replace("\0", "\\x00")  # Python's source may hold no NUL
            assert ast.literal_eval(readable) == without_nulls(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([{"str_detected": "a.exe", "url": "?query=a.exe"}],
         "[{'str_detected': 'a.exe', 'url': '?query=a.exe'}]"),
        (["C:/Windows/Temp/install.exe"], "['C:/Windows/Temp/install.exe']"),
        (["it's"], "['it\\'s']"),
        (['say "hi"'], "['say \"hi\"']"),
        (["a\\b"], "['a\\\\b']"),
        (["a\nb\rc\td"], "['a\\nb\\rc\\td']"),
        (["\x00\x1b\u2028é\U0001f600"], "['\x00\x1b\u2028é\U0001f600']"),
        ([None, "None"], "[None, 'None']"),
        ([True, False, None], "[True, False, None]"),
        ([], "[]"),
        ([[]], "[[]]"),
        ([""], "['']"),
        ([{"a": None, "b": 1}], "[{'b': 1}]"),
        ([{"a": None}], "[{}]"),
        ([{"a": []}], "[{'a': []}]"),
        ([{"it's\n": 1}], "[{'it\\'s\\n': 1}]"),
        ([{"a": {"b": [{"c": "d"}]}}], "[{'a': {'b': [{'c': 'd'}]}}]"),
    ],
)  # fmt: skip
def test_literals_have_the_standards_form(value: object, text: str) -> None:
    """Single quotes always, Python's escapes for five characters and no other."""
    assert from_parquet([value, None]) == [text, None]
    assert from_json([value, None]) == [text, None]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1.0, "1.0"),
        (0.1, "0.1"),
        (-0.0, "-0.0"),
        (1e16, "1e+16"),
        (1e-7, "1e-07"),
        (5e-324, "5e-324"),
    ],
)
def test_floats_have_one_form(number: float, text: str) -> None:
    """The shortest form that gives the float back, the same in a literal and for a text field."""
    [parquet], [of_json] = from_parquet([[number]]), from_json([[number]])
    assert parquet == of_json == f"[{literal.float_text(number)}]"
    assert float(literal.float_text(number)) == number
    assert float(text) == number


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_the_form_of_a_float_gives_it_back(number: float) -> None:
    """No digit of a float is lost, and none is made up."""
    text = literal.float_text(number)
    assert float(text) == number
    assert len(text) <= len(repr(number)) + 2


def test_integers_keep_all_their_digits() -> None:
    """JSON's integers may be greater than 64 bits."""
    assert from_json([[2**64, -(10**40)]]) == [f"[{2**64}, -{10**40}]"]


def test_named_members_come_first() -> None:
    """Members that the field table names stand first, in its order; others keep the source's."""
    value = {"z": 1, "url": "u", "a": 2, "str_detected": "s"}
    expected = ["{'str_detected': 's', 'url': 'u', 'z': 1, 'a': 2}"]
    assert from_parquet([value], members=("str_detected", "url")) == expected
    assert from_json([value], ("str_detected", "url")) == expected


@pytest.mark.parametrize("name", ["*", "^b.*$", "^a$"])
def test_a_members_name_is_no_pattern(name: str) -> None:
    """A hostile name of a member gives neither a crash nor another member's value."""
    value = [{name: 1, "bb": 2}]
    try:
        written = from_parquet([value])
    except BaseException as err:  # noqa: BLE001 - a panic of polars is no Exception
        pytest.fail(f"{type(err).__name__}: {err}")
    assert written == [f"[{{'{name}': 1, 'bb': 2}}]"]


@pytest.mark.xfail(strict=True, reason="Arrow's C interface ends a name at NUL")
def test_a_members_name_may_hold_nul() -> None:
    """No part of a member's name is lost."""
    assert from_parquet([{"a\0b": 1}]) == from_json([{"a\0b": 1}])


def test_repeated_and_missing_texts_keep_their_rows() -> None:
    """Each distinct text is made once and goes to each of its rows; no text at all is fine."""
    assert from_json([[1], None, [1], [2]]) == ["[1]", None, "[1]", "[2]"]
    assert from_json([None, None]) == [None, None]
    assert from_json([]) == []


def test_no_json_is_an_error() -> None:
    """What is no JSON is refused, never quoted as it is."""
    with pytest.raises(ValueError, match="Expecting"):
        literal.of_json(pl.Series(["[1"]))


# JSON.

_JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(10**30), 10**30),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(st.characters(), max_size=8),
        st.sampled_from(['"', "\\", "\0\x1f\x7f", "\n\r\t\b\f", "</script>", "\u2028", "NaN"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.text(st.characters(), max_size=5), inner, max_size=4),
    ),
    max_leaves=12,
)
"""Any value, lone surrogates in texts and names among them."""


def strictly(text: str) -> object:
    """Read JSON as strict readers do: NaN and the infinities are none."""

    def refuse(name: str) -> None:
        raise ValueError(name)

    return json.loads(text, parse_constant=refuse)


@given(_JSON, st.booleans())
def test_json_reads_its_literal_back(
    value: Any,  # noqa: ANN401 - any value
    ascii_only: bool,  # noqa: FBT001 - drawn by position
) -> None:
    """The JSON form holds the value, but for null members; the order of members is the text's."""
    given_text = json.dumps(value, ensure_ascii=ascii_only)
    if not ascii_only:
        given_text = given_text.encode(errors="backslashreplace").decode()
    [text] = literal.of_json(pl.Series([given_text]), form="json").to_list()
    read = strictly(text)
    expected = without_nulls(json.loads(given_text))
    assert read == expected
    assert json.dumps(read) == json.dumps(expected)
    assert not any(c < " " for c in text)


@given(columns())
def test_parquet_and_json_give_the_same_json(column: tuple[pa.DataType, list[Any]]) -> None:
    """A nested column gives the text that its values give as JSON, and strict readers take it."""
    dtype, values = column
    texts = from_parquet(values, dtype, form="json")
    assert texts == from_json(values, form="json")
    for text, value in zip(texts, values, strict=True):
        assert value is None or (text and strictly(text) == without_nulls(value))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (["a"], '["a"]'),
        ([{"a": 1, "b": [True, False, None]}], '[{"a": 1, "b": [true, false, null]}]'),
        (["it's"], '["it\'s"]'),
        (['say "hi"'], '["say \\"hi\\""]'),
        (["a\\b"], '["a\\\\b"]'),
        (["a\nb\rc\td"], '["a\\nb\\rc\\td"]'),
        (["\0\x08\x0c\x1b\x1f"], '["\\u0000\\u0008\\u000c\\u001b\\u001f"]'),
        (["\x7f\u2028é\U0001f600/"], '["\x7f\u2028é\U0001f600/"]'),
        ([None, "null"], '[null, "null"]'),
        ([], "[]"),
        ([""], '[""]'),
        ([{"a": None, "b": 1}], '[{"b": 1}]'),
        ([{"a": None}], "[{}]"),
        ([{'"\n': 1}], '[{"\\"\\n": 1}]'),
        ([1.0, 0.1, -0.0], "[1.0, 0.1, -0.0]"),
        ([{"a": {"b": [{"c": "d"}]}}], '[{"a": {"b": [{"c": "d"}]}}]'),
    ],
)  # fmt: skip
def test_literals_in_json(value: object, text: str) -> None:
    """Double quotes, JSON's own words, and escapes for what JSON can't hold; all else as it is."""
    assert from_parquet([value, None], form="json") == [text, None]
    assert from_json([value, None], form="json") == [text, None]


@pytest.mark.parametrize(
    "dtype", [pa.float64(), pa.float32(), pa.float16()], ids=["double", "float", "half"]
)
def test_numbers_that_json_has_not_stand_in_quotes(dtype: pa.DataType) -> None:
    """NaN and the infinities of a Parquet list are text, and the text is JSON all the same."""
    numbers = [float("nan"), float("inf"), float("-inf"), 1.5, None]
    expected = '["NaN", "inf", "-inf", 1.5, null]'
    assert from_parquet([numbers, None], pa.list_(dtype), form="json") == [expected, None]
    [nested] = from_parquet(
        [{"a": [numbers]}], pa.struct([("a", pa.list_(pa.list_(dtype)))]), form="json"
    )
    assert nested == f'{{"a": [{expected}]}}'


@pytest.mark.parametrize("text", ["[1e400]", "[-1e400]", "[NaN]", '{"a": Infinity}'])
def test_json_numbers_that_no_float_holds_stand_in_quotes(text: str) -> None:
    """What Python's parser makes an infinity of is no reason for text that is no JSON."""
    strictly(literal.of_json(pl.Series([text]), form="json").item())


@pytest.mark.parametrize("form", ["python", "json"])
def test_members_have_one_order_in_both_forms(form: literal.Form) -> None:
    """Members that the field table names stand first in JSON, too; the rest keep their order."""
    value = {"z": 1, "url": "u", "a": [{"url": 2, "b": 3, "str_detected": 4}], "str_detected": "s"}
    members = ("str_detected", "url")
    [parquet], [of_json] = (
        from_parquet([value], members=members, form=form),
        from_json([value], members, form),
    )
    assert parquet == of_json
    read = ast.literal_eval(str(of_json))
    assert list(read) == ["str_detected", "url", "z", "a"]
    assert list(read["a"][0]) == ["str_detected", "url", "b"]


@pytest.mark.parametrize(
    ("column", "text"),
    [
        (pa.array([[0]], pa.list_(pa.timestamp("us"))), '["1970-01-01 00:00:00.000000"]'),
        (pa.array([[date(2026, 1, 12)]]), '["2026-01-12"]'),
        (pa.array([[Decimal("1.50"), None]]), "[1.50, null]"),
        (pa.array([[2**64 - 1]], pa.list_(pa.uint64())), "[18446744073709551615]"),
        (pa.array([[1, 2]], pa.list_(pa.int8(), 2)), "[1, 2]"),
        (pa.array([["a", "a"]], pa.list_(pa.dictionary(pa.int8(), pa.string()))), '["a", "a"]'),
        (pa.array([[None]], pa.list_(pa.null())), "[null]"),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)  # fmt: skip
def test_every_type_in_a_list_is_json(column: pa.Array, text: str) -> None:
    """Numbers stay numbers; what JSON has no type for is text in quotes."""
    series = pl.Series("x", column)
    made = literal.expression(pl.col("x"), series.dtype, form="json")
    assert series.to_frame().select(made).to_series().to_list() == [text]
    assert isinstance(strictly(text), list)


def test_lists_of_an_export_are_json() -> None:
    """The setting reaches the fields of both forms; texts that look like lists stay texts."""
    events: list[Event] = [
        {"eventId": "1", "notes": [{"author": "a", "note": 'say "hi"\n', "gone": None}]},
        {"eventId": "2", "highlights": ["C:\\a", "it's"], "msg": "['x']"},
        {"eventId": "3", "query_suggestions": [{"url": "u", "str_detected": "s=1"}]},
    ]
    expected = [
        {"eventId": "1", "notes": '[{"author": "a", "note": "say \\"hi\\"\\n"}]'},
        {"eventId": "2", "highlights": '["C:\\\\a", "it\'s"]', "msg": "['x']"},
        {"eventId": "3", "query_suggestions": '[{"str_detected": "s=1", "url": "u"}]'},
    ]
    for content in (of_lines(events), of_array(events), of_rows(events)):
        assert written(content, lists="json").events == expected
        assert written(content).events != expected
