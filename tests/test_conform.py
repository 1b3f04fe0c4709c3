"""Conforming: input names and types become the canonical ones, and what does not fit is kept."""

import json
from datetime import date
from decimal import Decimal

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cefline import coerce, times
from cefline.conform import Rules, conform
from cefline.counts import PRESENT
from cefline.errors import SourceError
from cefline.read import Batch
from cefline.records import as_text
from cefline_schemas.timeline import FIELDS
from tests.inputs import Event, Outcome, conformed, read_text

MOMENT = 1595194940  # the standard's sample event
MANY = 2**53 + 1  # the first integer that no float holds


def of(name: str, *values: object, dtype: pa.DataType | None = None) -> Outcome:
    """Conform a column beside ids, so that every row has a usable field."""
    names = [str(n) for n in range(len(values))]
    return conformed({"eventId": names, name: pa.array(values, dtype)})


def lines(*events: Event) -> Outcome:
    """Conform events that come as NDJSON."""
    return read_text(b"".join(json.dumps(event).encode() + b"\n" for event in events))


# Names.


@pytest.mark.parametrize(
    ("alias", "name"),
    [(alias, field.name) for field in FIELDS for alias in field.names[1:]],
)
def test_an_alias_becomes_its_field(alias: str, name: str) -> None:
    """The Cado API's names are read as the standard's."""
    value = {"time": MOMENT, "bool": True}.get(
        next(f.type for f in FIELDS if f.name == name), "text"
    )
    out = conformed({alias: [value]})
    assert out.events == {0: {name: MOMENT * 10**6 if name == "eventTime" else value}}


def test_the_standards_name_wins_over_its_alias() -> None:
    """Where both have values that differ, the alias's is a value reject; equal ones are one."""
    out = conformed(
        {
            "eventId": list("1234"),
            "filename": ["b", "same", "b", None],
            "filePath": ["a", "same", None, "a"],
        }
    )
    assert out.column("filePath") == ["a", "same", "b", "a"]
    assert out.rejected("kind", "ordinal", "field", "event_id", "reason", "raw") == [
        ("value", 0, "filePath", "1", "another name of filePath that differs from it", b"b")
    ]


def test_an_alias_stands_in_for_what_cannot_be_read() -> None:
    """A blank or unreadable value is none: its alias is taken, and both are accounted for."""
    out = conformed(
        {
            "eventId": ["1", "2"],
            "eventTime": ["garbage", " "],
            "timestamp": [MOMENT, MOMENT],
            "filePath": ["", " "],
            "filename": ["a", "b"],
        }
    )
    assert out.column("eventTime") == [MOMENT * 10**6] * 2
    assert out.column("filePath") == ["a", "b"]
    assert out.rejected("ordinal", "raw") == [(0, b"garbage")]


def test_aliases_of_one_moment_in_two_forms_do_not_clash() -> None:
    """Numbers and text of the same moment are equal: values are compared after their typing."""
    out = lines({"eventTime": MOMENT, "timestamp": "2020-07-19T21:42:20Z"})
    assert out.events == {0: {"eventTime": MOMENT * 10**6}}
    assert out.rejects.is_empty()


@pytest.mark.parametrize("name", ["eventID", "EventTime", "file_path", "zz", ""])
def test_other_names_are_no_fields(name: str) -> None:
    """Names are compared exactly."""
    assert conformed({"eventId": ["1"], name: ["x"]}).events == {0: {"eventId": "1"}}


# Types.


@pytest.mark.parametrize("value", ["", " ", "\t", "\r\n \x0b", "\u00a0", "\u2003\u3000"])
@pytest.mark.parametrize("name", ["msg", "notes", "evidence_id", "alarm", "eventTime"])
def test_blank_text_is_no_value(name: str, value: str) -> None:
    """Blank text is left out of any field and is no reject."""
    out = of(name, value)
    assert out.events == {0: {"eventId": "0"}}
    assert out.rejects.is_empty()
    assert out.counts[name, PRESENT] == 0


def test_what_the_pattern_takes_for_blank_arrow_takes_for_space() -> None:
    """Arrow looks first, so it must not miss a character: each one of Unicode, and doubled."""
    every = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    both = pl.Series(every + [c * 2 for c in every])
    by_pattern = both.str.contains(r"^\s*$")
    by_arrow = pl.Series(pc.utf8_is_space(as_text(both)))
    assert both.filter(by_pattern & ~by_arrow).to_list() == []
    blank = as_text(both.filter(by_pattern))
    assert len(blank) >= 2 * 25
    for value in [*blank.to_pylist(), ""]:
        text = pa.array(["a", value, None], pa.large_string())
        assert coerce.without_blank(text).to_pylist() == ["a", None, None]


@pytest.mark.parametrize("value", [" a ", "\ta", "a\n", "\u200b", "\0", "[]", "{}", "null", "None"])
def test_text_is_kept_as_it_is(value: str) -> None:
    """Edge blanks, controls, and texts that look like something else stay what they are."""
    assert of("msg", value).column("msg") == [value]
    assert of("notes", value).column("notes") == [value]
    assert lines({"msg": value}).column("msg") == [value]


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (0, 0),
        (-(2**63), -(2**63)),
        (2**63 - 1, 2**63 - 1),
        (3.0, 3),
        (-0.0, 0),
        (-(2.0**63), -(2**63)),
        (Decimal("3.000"), 3),
        (Decimal(MANY), MANY),
        (Decimal(2**63 - 1), 2**63 - 1),
        ("3", 3),
        (" 3 ", 3),
        ("+3", 3),
        ("-3", -3),
        ("007", 7),
        ("3.0", 3),
        ("3e2", 300),
        (str(2**63 - 1), 2**63 - 1),
        (f"{MANY}.0", MANY),
    ],
    ids=repr,
)
def test_whole_numbers_become_int(value: object, number: int) -> None:
    """Integers, whole floats and decimals, and numeric text are integers, exactly."""
    out = of("evidence_id", value)
    assert out.column("evidence_id") == [number]
    assert out.rejects.is_empty()


@pytest.mark.parametrize(
    ("value", "raw"),
    [
        (1.5, b"1.5"),
        (float("nan"), b"NaN"),
        (float("inf"), b"inf"),
        (2.0**63, b"9.223372036854776e+18"),
        (Decimal("1.5"), b"1.5"),
        (True, b"true"),
        ("1.5", b"1.5"),
        ("nan", b"nan"),
        ("inf", b"inf"),
        (str(2**63), b"9223372036854775808"),
        ("9" * 400, b"9" * 400),
        ("0x10", b"0x10"),
        ("1_000", b"1_000"),
        ("1,000", b"1,000"),
        ("١", "١".encode()),
        ("True", b"True"),
        ([1], b"[1]"),
        ({"a": 1}, b"{'a': 1}"),
        (date(2020, 7, 19), b"2020-07-19"),
        (f"{MANY}.5", f"{MANY}.5".encode()),
        ("0." + "9" * 20, b"0." + b"9" * 20),
    ],
    ids=repr,
)
def test_what_is_no_int_is_a_value_reject(value: object, raw: bytes) -> None:
    """A value that is no 64-bit integer is left out and kept raw; the event is delivered."""
    out = of("evidence_id", value)
    assert out.events == {0: {"eventId": "0"}}
    assert out.rejected("kind", "ordinal", "line", "field", "event_id", "reason", "raw") == [
        ("value", 0, None, "evidence_id", "0", "no int", raw)
    ]


def test_unsigned_integers_beyond_int_are_rejects() -> None:
    """Parquet's unsigned integers do not wrap."""
    out = of("evidence_id", 2**64 - 1, 7, dtype=pa.uint64())
    assert out.column("evidence_id") == [None, 7]
    assert out.rejected("raw") == [(b"18446744073709551615",)]


@pytest.mark.parametrize(
    ("value", "truth"),
    [
        (True, True),
        (False, False),
        (1, True),
        (0, False),
        ("true", True),
        ("False", False),
        (" TRUE ", True),
        ("1", True),
        ("0", False),
        *((value, bool(value)) for value in (1.0, 0.0)),
    ],
    ids=repr,
)
def test_truth_comes_in_several_forms(value: object, truth: object) -> None:
    """Booleans, true and false in text, 0 and 1 are booleans."""
    out = of("alarm", value)
    assert out.column("alarm") == [truth]
    assert out.rejects.is_empty()


@pytest.mark.parametrize(
    "value", [2, -1, 0.5, "yes", "no", "t", "10", "truth", "[true]", [True]], ids=repr
)
def test_what_is_no_truth_is_a_value_reject(value: object) -> None:
    """Anything else is not guessed at."""
    out = of("alarm", value)
    assert out.events == {0: {"eventId": "0"}}
    assert out.rejected("field", "reason") == [("alarm", "no bool")]


@pytest.mark.parametrize(
    ("name", "value", "count"),
    [
        ("msg", "x", 0),
        ("msg", 5, 1),
        ("msg", 1.5, 1),
        ("msg", True, 1),
        ("msg", [1], 1),
        ("notes", [1], 0),
        ("evidence_id", 5, 0),
        ("evidence_id", 5.0, 1),
        ("evidence_id", "5", 1),
        ("alarm", True, 0),
        ("alarm", "true", 1),
        ("alarm", 1, 1),
        ("eventTime", MOMENT, 0),
        ("eventTime", str(MOMENT), 1),
        ("eventTime", float(MOMENT), 1),
        ("eventTime", "2020-07-19T21:42:20Z", 1),
    ],
)
def test_coercions_of_parquet_are_counted(name: str, value: object, count: int) -> None:
    """A value that was not of its field's type, but could be read, is counted and no reject."""
    out = of(name, value)
    assert out.counts[name, "coerced"] == count
    assert out.rejects.is_empty()


@pytest.mark.parametrize(
    ("name", "value", "count"),
    [
        ("msg", "x", 0),
        ("msg", 1.5, 1),
        ("msg", True, 1),
        ("msg", [1], 1),
        ("notes", [1], 0),
        ("evidence_id", 5, 0),
        ("alarm", True, 0),
        ("eventTime", MOMENT, 0),
        ("msg", 5, 0),
        ("evidence_id", 5.0, 0),
        ("evidence_id", "5", 0),
        ("alarm", "true", 0),
        ("eventTime", str(MOMENT), 0),
    ],
)
def test_coercions_of_json_are_counted(name: str, value: object, count: int) -> None:
    """Of JSON, those coercions are counted that change a value's text."""
    assert lines({"eventId": "1", name: value}).counts[name, "coerced"] == count


def test_counts_of_an_event_do_not_depend_on_its_other_values() -> None:
    """The same value counts the same, whatever stands beside it."""
    alone = lines({"eventId": "1", "msg": 5})
    beside = lines({"eventId": "1", "msg": 5, "notes": [1]})
    assert alone.counts["msg", "coerced"] == beside.counts["msg", "coerced"]


@pytest.mark.parametrize(
    "value",
    [
        "x",
        1.5,
        [1],
        True,
    ],
    ids=repr,
)
def test_rejects_of_an_event_do_not_depend_on_its_other_values(value: object) -> None:
    """The same bad value gives the same reason and raw form, whatever stands beside it."""
    alone = lines({"eventId": "1", "evidence_id": value})
    beside = lines({"eventId": "1", "evidence_id": value, "notes": [1]})
    columns = ("field", "reason", "raw")
    assert alone.rejected(*columns) == beside.rejected(*columns)
    assert alone.counts["evidence_id", PRESENT] == beside.counts["evidence_id", PRESENT]


def test_dictionaries_stay_dictionaries_and_give_the_same_values() -> None:
    """A dictionary column is read as its plain form is, whatever its indices and values."""
    for values, name in (
        (["a", " ", None, "a"], "msg"),
        (["true", "x", None, "true"], "alarm"),
        (["5", "5.5", "", "5"], "evidence_id"),
        (["2020-07-19T21:42:20Z", "", None, "x"], "eventTime"),
    ):
        plain = of(name, *values)
        encoded = of(name, *values, dtype=pa.dictionary(pa.int8(), pa.string()))
        assert encoded.events == plain.events
        columns = ("ordinal", "field", "event_id", "reason", "raw")
        assert encoded.rejected(*columns) == plain.rejected(*columns)


# Rows.


def test_rows_without_a_usable_field_are_rejects() -> None:
    """A row of nulls, blanks and unreadable values is not delivered, and ordinals stay right."""
    out = conformed(
        {"eventId": ["1", None, " ", None, "5"], "evidence_id": [None, "", "x", "4", None]}
    )
    assert out.events == {0: {"eventId": "1"}, 3: {"evidence_id": 4}, 4: {"eventId": "5"}}
    rows = [(o, r) for kind, o, r in out.rejected("kind", "ordinal", "reason") if kind == "row"]
    assert rows == [(1, "no usable field"), (2, "no usable field")]
    assert out.heights == (3,)


@pytest.mark.parametrize("content", [b"{}", b'{"zz":1}', b'{"msg":null}', b'{"msg":[]}'])
def test_an_object_without_a_usable_field_is_a_reject(content: bytes) -> None:
    """An object of unknown keys, nulls and empty lists is counted as read, and rejected."""
    out = read_text(b'{"eventId":"1"}\n' + content + b"\n")
    assert sorted(out.events) == [0]
    assert out.rejected("kind", "ordinal", "reason") == [("row", 1, "no usable field")]


def test_an_unusable_line_is_kept_raw_with_its_place() -> None:
    """As for any other row reject of NDJSON: line number, byte offset and raw bytes are kept."""
    out = read_text(b'{"eventId":"1"}\n{"Message":"evidence"}\n')
    assert out.rejected("line", "offset", "raw") == [(2, 16, b'{"Message":"evidence"}')]


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from([alias for field in FIELDS for alias in field.names] + ["zz"]),
            st.one_of(
                st.none(),
                st.booleans(),
                st.integers(-(2**64), 2**64),
                st.floats(allow_nan=False, allow_infinity=False),
                st.text(max_size=8),
                st.lists(st.integers(), max_size=2),
            ),
            max_size=5,
        ),
        max_size=8,
    )
)
def test_every_row_is_delivered_or_rejected_once(events: list[Event]) -> None:
    """Whatever the values, each ordinal is either delivered or a row reject."""
    try:
        out = lines(*events)
    except SourceError as err:
        assert "no zone" in str(err)  # noqa: PT017 - the one failure there may be
        return
    rejected = [int(str(o)) for kind, o in out.rejected("kind", "ordinal") if kind == "row"]
    assert sorted([*out.events, *rejected]) == list(range(len(events)))


# Times.


def test_event_times_are_counted_as_they_are() -> None:
    """Sub-seconds, missing times and outliers are counted, and outliers delivered as given."""
    out = of("eventTime", f"{MOMENT}.5", "-11644473600", "253402300799", None, "x")
    assert out.column("eventTime") == [
        MOMENT * 10**6 + 500_000, -11644473600 * 10**6, 253402300799 * 10**6, None, None,
    ]  # fmt: skip
    assert out.counts["eventTime", "subseconds"] == 1
    assert out.counts["eventTime", "outside 1970-2100"] == 2
    assert out.counts["eventTime", "missing"] == 2


@pytest.mark.parametrize(
    ("unit", "factor"), [("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)]
)
def test_the_unit_that_was_said_holds(unit: str, factor: int) -> None:
    """With --time-unit, numbers are in it and are not doubted."""
    rules = Rules(time_unit=unit)  # type: ignore[arg-type]  # one of its literals
    out = conformed({"eventTime": [MOMENT * factor]}, rules)
    assert out.column("eventTime") == [MOMENT * 10**6]


def test_a_time_without_zone_fails_the_source() -> None:
    """No zone is assumed for text; --timezone says it."""
    with pytest.raises(SourceError, match="eventTime have no zone"):
        conformed({"eventTime": ["2020-07-19T21:42:20"]})
    out = conformed({"eventTime": ["2020-07-19T23:42:20"]}, Rules(timezone="Europe/Berlin"))
    assert out.column("eventTime") == [MOMENT * 10**6]


@pytest.mark.parametrize(
    "other",
    [
        pa.array([None, None], pa.timestamp("us")),
        *(
            column
            for column in (
                pa.array([MOMENT * 10**6, None], pa.timestamp("us")),
                pa.array([None, "2020-07-19T21:42:20Z"]),
            )
        ),
    ],
    ids=["null", "timestamp", "text"],
)
def test_an_alias_does_not_hide_the_unit(other: pa.Array) -> None:
    """Milliseconds in eventTime are found out, also where `timestamp` has values."""
    columns = {"eventTime": pa.array([MOMENT * 1000] * 2), "timestamp": other}
    table = pa.table(columns).to_batches()[0]
    seen = conform(Batch(table, pl.int_range(2, eager=True)), Rules()).seen
    assert (seen[0].column, seen[0].beyond.to_list()) == ("eventTime", [True, True])
    with pytest.raises(SourceError, match="eventTime are no seconds"):
        times.check_unit(seen)


def test_a_timestamp_beyond_all_calendars_is_a_value_reject() -> None:
    """Damaged files hold any bits: the raw form of such a time is its number."""
    out = of("eventTime", 2**63 - 1, dtype=pa.timestamp("ms"))
    assert out.events == {0: {"eventId": "0"}}
    assert out.rejected("reason") == [("no time",)]
