"""Texts that a reader does not get as they are, and times that it gets under another key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cefline
from cefline.parse import parse
from cefline.render import Profile
from cefline_schemas import cef
from cefline_schemas.demands import Demands
from tests import dictionary, hostile
from tests.lines import of_lines, of_rows, written
from tests.test_verify import Site, differences, forged, text_edit

if TYPE_CHECKING:
    from pathlib import Path

EXTENDED = Demands(escapes=cef.EXTENDED_ESCAPES)


def line(demands: Demands, **event: object) -> str:
    """Render one event."""
    return str(cefline.render(pl.DataFrame([event]), Profile(demands=demands))[0])


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Return an empty place of its own."""
    return Site(tmp_path)


# Escapes.


@pytest.mark.parametrize(
    ("raw", "shown"),
    [("a|b", r"a\|b"), ('"', r"\""), ('\\"|=\n', r"\\\"\|\=\n"), ("\\|", r"\\\|"), ("a b", "a b")],
)
def test_a_pipe_and_a_quote_are_escaped_on_demand(raw: str, shown: str) -> None:
    """For a reader that loses them bare; they are read back all the same."""
    made = line(EXTENDED, type="t", msg=raw)
    assert made.endswith(f"|msg={shown}")
    assert parse([made])["msg"].to_list() == [raw]


@given(hostile.frames())
def test_all_text_comes_back_from_more_escapes(frame: pl.DataFrame) -> None:
    """The same fields as without them."""
    plain, more = cefline.render(frame), cefline.render(frame, Profile(demands=EXTENDED))
    there = plain.is_not_null()
    assert parse(plain.filter(there)).equals(parse(more.filter(there)), null_equal=True)
    bare = more.str.replace(r"^CEF:0\|(?:(?:[^\\|]|\\.)*\|){6}", "").str.replace_all(r"\\.", "")
    assert not bare.str.contains(r'[|"]').any()


# Omissions and line breaks.

TAKEN = Demands(omit=("-", "N/A"), crlf_as_lf=True)


@pytest.mark.parametrize("form", [of_lines, of_rows])
def test_a_placeholder_is_left_out_and_counted(form: Any) -> None:  # noqa: ANN401 - either
    """As nulls are; a text that only holds it stays."""
    events = [{"host": "-", "msg": "a-b"}, {"host": "N/A", "msg": "-x"}, {"host": "h", "msg": "-"}]
    made = written(form(events), omit=("-", "N/A"))
    assert made.events == [{"msg": "a-b"}, {"msg": "-x"}, {"host": "h"}]
    assert made.rejects.is_empty()


def test_name_is_not_a_placeholder() -> None:
    """What is left out does not name the event."""
    assert "|Timeline Event|" in line(TAKEN, type="-", msg="m")


@pytest.mark.parametrize(
    ("raw", "shown"), [("a\r\nb", r"a\nb"), ("a\rb\r\n", r"a\rb\n"), ("\n\r", r"\n\r"), ("a", "a")]
)
def test_two_line_breaks_become_one_on_demand(raw: str, shown: str) -> None:
    """For readers that make a line feed of a carriage return."""
    assert line(TAKEN, type="t", msg=f"x{raw}").endswith(f"|msg=x{shown}")


@pytest.mark.parametrize("profile", ["cado", "dictionary"])
@pytest.mark.parametrize("form", [of_lines, of_rows])
def test_what_is_not_taken_as_it_is_verifies(site: Site, profile: str, form: Any) -> None:  # noqa: ANN401 - either
    """By the plan's settings, and another change is found; all of it is counted."""
    event = {"evidence_id": 1, "host": "-", "msg": 'a\r\nb|"', "extra": "x", "eventId": "e"}
    settings = {"omit": ("-",), "crlf": "lf", "escapes": "extended", "profile": profile}
    delivery = site.one("a", form([event] * 4), part_size=1 << 20, **settings)
    assert differences(site) == []
    manifest = site.manifest(delivery)
    assert manifest["counts"]["host"] == {"omitted": 4}
    assert manifest["counts"]["msg"] == {"crlf": 4}
    forged(site, delivery, text_edit(r"a\nb", r"a\nc"))
    assert "event 3: msg is not what the source says" in differences(site)


def test_columns_are_as_they_are_without_demands(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not asked for costs nothing."""
    monkeypatch.setattr("cefline.taken._is_text", None)
    assert line(Demands(), msg="-\r\n")


# Time windows.

WINDOW = "2001-09-09T01:46:40Z/2038-01-19T03:14:07Z"


def times(*values: float | None, window: str = WINDOW) -> list[dict[str, str]]:
    """Return the keys and values of events of these times."""
    events = [{"msg": "m", "eventTime": value} for value in values]
    made = written(of_lines(events), profile="dictionary", time_window=window)
    assert [problem for one in made.lines for problem in dictionary.wrong(one)] == []
    found = [dict(dictionary.pairs(one)) for one in made.lines]
    return [{k: v for k, v in one.items() if k != "msg"} for one in found]


def test_a_time_outside_the_window_has_a_key_of_our_own() -> None:
    """`rt` and `start` are left out; from is within, before is not."""
    own = "CadoResponseEventTime"
    assert times(999_999_999.999, 10**9, 2_147_483_646.999, 2_147_483_647, None, -1) == [
        {own: "999999999999"},
        {"rt": "1000000000000", "start": "1000000000000"},
        {"rt": "2147483646999", "start": "2147483646999"},
        {own: "2147483647000"},
        {},
        {own: "-1000"},
    ]


def test_an_end_of_the_window_may_be_open() -> None:
    """Then only the other one counts."""
    (late, early) = times(4_000_000_000, 1, window="2001-09-09/")
    assert set(late) == {"rt", "start"}
    assert set(early) == {"CadoResponseEventTime"}


@given(st.lists(st.integers(-(2**40), 2**40), min_size=1, max_size=5))
def test_no_time_is_lost(seconds: list[int]) -> None:
    """Within the window or not, parsing gives the same time."""
    made = written(
        of_lines([{"msg": "m", "eventTime": t} for t in seconds]),
        profile="dictionary",
        time_window=WINDOW,
        time_unit="s",
    )
    assert parse(made.lines, "dictionary")["eventTime"].to_list() == seconds


def test_times_outside_are_counted_and_verified(site: Site) -> None:
    """In the report and the manifest."""
    events = [{"evidence_id": 1, "msg": "m", "eventTime": t} for t in (1, 10**9, 2, 3)]
    settings = {"profile": "dictionary", "time_window": WINDOW, "part_size": 1 << 20}
    delivery = site.one("a.jsonl", of_lines(events), **settings)
    assert differences(site) == []
    manifest = site.manifest(delivery)
    assert manifest["counts"]["eventTime"] == {"outside the window": 3}
    assert manifest["settings"]["time_window"] == WINDOW
    forged(site, delivery, text_edit("EventTime=2000", "EventTime=2001"))
    assert "event 3: eventTime is not what the source says" in differences(site)


def test_the_standards_profile_has_no_window() -> None:
    """Its `eventTime` is a key that no reader takes as the time of the event."""
    made = written(of_lines([{"msg": "m", "eventTime": 1}]), time_window=WINDOW)
    assert "eventTime=1 " in made.lines[0]


@pytest.mark.parametrize(
    "value",
    ["", "/", "2001", "2001-09-09", "2038-01-01/2001-01-01", "a/b", "2001-01-01/2001-01-01"],
)
def test_a_window_that_is_none_is_refused(value: str) -> None:
    """With what was expected."""
    with pytest.raises(cefline.CeflineError, match=r"expected (two times|a time)"):
        cefline.load_config({"time_window": value}, {}, None)
