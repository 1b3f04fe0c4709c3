"""Selection: which events and fields are delivered, against a plain look at each event."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cefline.moments import micros
from cefline.selection import holds
from cefline.terms import Condition, Group, Term
from cefline.where import parsed
from cefline_schemas.timeline import ALWAYS, BY_NAME, FIELDS
from tests.lines import of_lines, of_rows, written

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Event = dict[str, Any]


def holds_for(term: Term, event: Mapping[str, Any]) -> bool:
    """Say for one event what `holds` says for columns: the oracle."""
    if isinstance(term, Group):
        found = [holds_for(one, event) for one in term.terms]
        return {"and": all(found), "or": any(found), "not": not found[0]}[term.how]
    value = event.get(term.field)
    if value is None:
        return False
    return any(_is(term.how, value, one) for one in term.values) or term.how == "present"


def _is(how: str, value: Any, asked: Any) -> bool:  # noqa: ANN401 - of any field
    if isinstance(value, str) and not isinstance(asked, str):
        if not re.fullmatch(r"[+-]?[0-9]+", value.strip()):
            return False
        value = int(value)
    tests: dict[str, Callable[[], bool]] = {
        "=": lambda: value == asked,
        "in": lambda: value == asked,
        "<": lambda: value < asked,
        "<=": lambda: value <= asked,
        ">": lambda: value > asked,
        ">=": lambda: value >= asked,
        "contains": lambda: asked in value,
        "startswith": lambda: value.startswith(asked),
        "endswith": lambda: value.endswith(asked),
        "matches": lambda: bool(re.search(asked, value)),
    }
    return tests[how]()


TEXTS = st.sampled_from(
    ["REG", "REG ", "reg", "a.b", "C:\\temp", "443", " 8 ", "1e3", "é\u2028", "-7"]
)
NUMBERS = st.sampled_from([-7, 0, 1, 3, 8, 443, 2**63 - 1])
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "source": TEXTS,
    "destination_port": TEXTS,
    "highlights": TEXTS,
    "alarm_severity": NUMBERS,
    "evidence_id": NUMBERS,
    "alarm": st.booleans(),
    "eventTime": st.sampled_from([-1, 0, 1_595_194_940_000_000, 1_595_194_940_000_001]),
}
EVENTS = st.lists(
    st.fixed_dictionaries({}, optional={name: st.none() | v for name, v in VALUES.items()}),
    min_size=1,
    max_size=8,
)


@st.composite
def conditions(draw: st.DrawFn) -> Condition:
    name = draw(st.sampled_from(sorted(VALUES)))
    how: Any = draw(st.sampled_from(["present", "=", "in", *_HOWS[BY_NAME[name].type]]))
    if how == "present":
        return Condition(name, how)
    asked = NUMBERS if how in {"<", "<=", ">", ">="} and name != "eventTime" else VALUES[name]
    if how == "matches":
        asked = st.sampled_from(["^R", "[0-9]+$", r"\.", ""])
    most = 3 if how == "in" else 1
    return Condition(name, how, tuple(draw(st.lists(asked, min_size=1, max_size=most))))


_TEXTUAL = ["contains", "startswith", "endswith", "matches", "<", ">="]
_HOWS = {"text": _TEXTUAL, "list": _TEXTUAL, "bool": [], "int": ["<", ">="], "time": ["<=", ">"]}

TERMS: st.SearchStrategy[Term] = st.recursive(
    conditions(),
    lambda term: st.builds(
        lambda how, terms: Group(how, tuple(terms[:1] if how == "not" else terms)),
        st.sampled_from(["and", "or", "not"]),
        st.lists(term, min_size=1, max_size=3),
    ),
    max_leaves=6,
)


def columns(events: list[Event], *, encoded: bool) -> dict[str, pa.Array]:
    """Return events as canonical columns; text as dictionaries, perhaps, that hold null, too."""
    made = {}
    for name in {name for event in events for name in event}:
        kind = BY_NAME[name].type
        arrow = {"bool": pa.bool_(), "int": pa.int64(), "time": pa.int64()}
        column = pa.array([e.get(name) for e in events], arrow.get(kind, pa.large_string()))
        if encoded and name not in {"alarm", "alarm_severity", "evidence_id", "eventTime"}:
            column = column.dictionary_encode(null_encoding="encode")
        made[name] = column
    return made


@given(EVENTS, TERMS, st.booleans())
def test_a_term_holds_for_the_events_that_a_plain_look_finds(
    events: list[Event],
    term: Term,
    encoded: bool,  # noqa: FBT001 - drawn
) -> None:
    """In columns of any form; and each event is in a term or in its opposite, never in both."""
    given = columns(events, encoded=encoded)
    found = holds(term, given, len(events))
    assert found.dtype == pl.Boolean
    assert found.to_list() == [holds_for(term, event) for event in events]
    opposite = holds(Group("not", (term,)), given, len(events))
    assert (found ^ opposite).all()


def test_of_what_is_not_there_each_test_is_false() -> None:
    """So `!=` and `not in` select it, being the opposites of `=` and `in`."""
    nothing = {"source": pa.array([None, "REG"], pa.large_string())}
    for said, expected in [
        ("source = 'REG'", [False, True]),
        ("source != 'REG'", [True, False]),
        ("source not in ('REG')", [True, False]),
        ("source not contains 'x'", [True, True]),
        ("source is null", [True, False]),
        ("host is null", [True, True]),
        ("host = 'x' or not alarm", [True, True]),
        ("alarm_severity > 3", [False, False]),
        ("alarm_severity <= 3", [False, False]),
    ]:
        assert holds(parsed(said), nothing, 2).to_list() == expected, said


ROWS: list[Event] = [
    {"eventId": "a", "source": "REG", "eventTime": 0, "alarm_severity": 1, "msg": "one"},
    {"eventId": "b", "source": "FILE", "eventTime": 100, "alarm_severity": 3, "msg": "two=2"},
    {"eventId": "c", "source": "REG", "alarm": True, "msg": "three", "host": "h"},
    {"eventId": "d", "eventTime": 99.999999, "alarm_severity": 10, "short": "four"},
]


def ids(content: bytes, **settings: Any) -> str:  # noqa: ANN401 - a config's own
    """Return the ids of the events that are written."""
    return "".join(str(event["eventId"]) for event in written(content, **settings).events)


@pytest.mark.parametrize("form", [of_lines, of_rows])
@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, "abcd"),
        ({"where": "source = 'REG'"}, "ac"),
        ({"where": "not source = 'REG'"}, "bd"),
        ({"where": "msg contains '='"}, "b"),
        ({"min_severity": 0}, "abcd"),
        ({"min_severity": 7}, "abc"),
        ({"min_severity": 10}, "ac"),
        ({"min_severity": 10, "severity": ((3, 10),)}, "abc"),
        ({"since": "1970-01-01T00:01:40Z"}, "b"),
        ({"since": "0"}, "abd"),
        ({"until": "100"}, "ad"),
        ({"since": "1970-01-01T00:00:01Z", "until": "1970-01-01T00:01:40Z"}, "d"),
        ({"until": "99.999999"}, "a"),
        ({"where": "eventTime is null", "since": "0"}, ""),
        ({"where": "source = 'REG'", "min_severity": 10, "until": "1"}, "a"),
    ],
)
def test_the_events_that_are_wanted_are_written(
    form: Callable[[list[Event]], bytes],
    settings: dict[str, Any],
    expected: str,
) -> None:
    """Of any form of source; `since` is within, `until` is not, and no time is in neither."""
    assert ids(form(ROWS), **settings) == expected


def test_lines_of_wanted_events_are_what_they_are_without_a_selection() -> None:
    """What is left out changes nothing of what stays."""
    content = of_lines(ROWS)
    whole = written(content).lines
    assert written(content, where="source = 'REG'").lines == [whole[0], whole[2]]
    assert written(content, where="alarm or not alarm").lines == whole


def test_an_ordinal_is_the_source_s() -> None:
    """Rejects say where an event is in the source, whatever is selected before it."""
    rows = [*ROWS, {"eventId": "e", "source": "REG", "msg": "\x07", "evidence_id": "x"}]
    found = written(of_lines(rows), where="source = 'REG' and msg contains '\x07'")
    assert found.rejects.select("kind", "ordinal", "event_id").rows() == [
        ("value", 4, "e"),
        ("replaced", 4, "e"),
    ]


def test_what_could_not_be_read_of_an_event_is_kept_though_it_is_filtered() -> None:
    """It may be the reason."""
    rows: list[Event] = [{"eventId": "a", "eventTime": "soon"}, {"eventId": "b", "eventTime": 3}]
    found = written(of_lines(rows), since="0")
    assert [event["eventId"] for event in found.events] == ["b"]
    assert found.rejects.select("kind", "ordinal", "field").rows() == [("value", 0, "eventTime")]


def test_a_line_that_is_too_long_is_no_reject_where_it_is_not_wanted() -> None:
    content = of_lines([{"eventId": "a", "msg": "x" * 5_000}, {"eventId": "b"}])
    assert written(content, max_event=1_000).rejects.height == 1
    assert written(content, max_event=1_000, where="eventId = 'b'").rejects.height == 0
    assert written(content, max_event=1_000, drop=("msg",)).rejects.height == 0


# Fields.


FULL: Event = {
    field.name: {"int": 3, "bool": True, "time": 5}.get(field.type, f"of {field.name}")
    for field in FIELDS
}


@given(st.sets(st.sampled_from(sorted(BY_NAME.keys() - ALWAYS))))
def test_what_is_dropped_is_in_no_line(names: set[str]) -> None:
    """All other fields are; `fields` is the same from the other side."""
    content = of_lines([FULL, FULL | {"type": None}])
    drop = written(content, drop=tuple(names))
    for event in drop.events:
        assert event.keys() | {"type"} == BY_NAME.keys() - names
    wanted = tuple(BY_NAME.keys() - names)
    assert written(content, fields=wanted).lines == drop.lines


def test_a_dropped_field_is_not_in_name_either() -> None:
    """Else parsing would take it for the event's type."""
    content = of_lines([{"eventId": "a", "super_short": "one", "short": "two"}])
    assert "|one|1|" in written(content).lines[0]
    assert "|two|1|" in written(content, drop=("super_short",)).lines[0]
    (line,) = written(content, drop=("super_short", "short")).lines
    assert line.endswith("|Timeline Event|1|eventId=a")


def test_an_event_of_dropped_fields_alone_is_a_header() -> None:
    """It is an event all the same."""
    found = written(of_lines([{"msg": "one"}, {"msg": "two"}]), drop=("msg",))
    assert found.lines == ["CEF:0|CadoSecurity|CadoResponse|1.0.2|0|Timeline Event|1|"] * 2
    assert found.events == [{}, {}]


def test_what_identifies_dates_and_rates_an_event_is_always_written() -> None:
    (event,) = written(of_lines([FULL]), fields=("msg",)).events
    assert event.keys() == {"msg", *ALWAYS}


def test_carried_columns_are_written_whatever_the_fields() -> None:
    """They are asked for by a setting of their own."""
    found = written(
        of_lines([{"eventId": "a", "host": "h", "x": "y"}]), fields=("msg",), unknown="carry"
    )
    assert found.events == [{"eventId": "a", "x": "y"}]


def test_dropped_fields_can_be_tested() -> None:
    """What an event is asked does not depend on what is written of it."""
    content = of_lines(ROWS)
    assert ids(content, where="host = 'h'", drop=("host",)) == "c"
    (line,) = written(content, where="host = 'h'", drop=("host",)).lines
    assert "host=" not in line


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01", 0.0),
        ("1970-01-01T00:00:01", 1.0),
        ("1970-01-01T02:00:01.5+02:00", 1.5),
        ("1970-01-01 00:00:01Z", 1.0),
        ("-1", -1.0),
        ("-0.5", -0.5),
        (" 7.25 ", 7.25),
        ("0001-01-01", -62135596800.0),
        ("99999999999", 99999999999.0),
    ],
)
def test_a_moment_is_iso_or_epoch_seconds(text: str, seconds: float) -> None:
    """Without a zone it is UTC."""
    assert micros(text) == int(seconds * 1_000_000)


def test_half_a_microsecond_is_floored() -> None:
    """Before 1970 as after it."""
    assert (micros("0.0000019"), micros("-0.0000011")) == (1, -2)
