"""Expressions: what they say, that they name only fields, and that errors point at their place."""

from __future__ import annotations

import string
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cefline.terms import Condition, Group, Term, both
from cefline.where import DEEPEST, LONGEST, parsed
from cefline_schemas.timeline import BY_NAME, FIELDS
from tests.events import SIGNS

REG = Condition("source", "=", ("REG",))
ALARM = Condition("alarm", "=", (True,))


def no(term: Term) -> Group:
    return Group("not", (term,))


def wrong(text: str) -> tuple[int, str]:
    """Return what is wrong with an expression: the column, and what is told."""
    with pytest.raises(ValueError, match=r"^(column \d|expected at most)") as raised:
        parsed(text)
    head, _, rest = str(raised.value).partition(": ")
    return int(head.removeprefix("column ")), rest


@pytest.mark.parametrize(
    ("text", "term"),
    [
        ("source = 'REG'", REG),
        ("source == 'REG'", REG),
        ('source="REG"', REG),
        ("( (source = 'REG') )", REG),
        ("alarm", ALARM),
        ("alarm = TRUE", ALARM),
        ("alarm = false", Condition("alarm", "=", (False,))),
        ("source != 'REG'", no(REG)),
        ("not source = 'REG'", no(REG)),
        ("NOT alarm", no(ALARM)),
        ("macb is null", no(Condition("macb", "present"))),
        ("macb IS NOT NULL", Condition("macb", "present")),
        ("evidence_id in (1, -2)", Condition("evidence_id", "in", (1, -2))),
        ("evidence_id not in (1)", no(Condition("evidence_id", "in", (1,)))),
        ("source in ('REG', 3)", Condition("source", "in", ("REG", 3))),
        ("alarm_severity <= 3", Condition("alarm_severity", "<=", (3,))),
        ("destination_port > 1024", Condition("destination_port", ">", (1024,))),
        ("msg contains 'x'", Condition("msg", "contains", ("x",))),
        ("msg not Contains 'x'", no(Condition("msg", "contains", ("x",)))),
        ("msg startswith 'x'", Condition("msg", "startswith", ("x",))),
        ("msg endswith 'x'", Condition("msg", "endswith", ("x",))),
        ("msg matches '^a|b$'", Condition("msg", "matches", ("^a|b$",))),
        ("highlights contains 'x'", Condition("highlights", "contains", ("x",))),
        ("eventTime >= 1.5", Condition("eventTime", ">=", (1_500_000,))),
        ("eventTime < '1970-01-02'", Condition("eventTime", "<", (86_400_000_000,))),
        ("alarm and source = 'REG' and alarm", Group("and", (ALARM, REG, ALARM))),
        ("alarm or source = 'REG' or alarm", Group("or", (ALARM, REG, ALARM))),
        ("alarm or source='REG' and alarm", Group("or", (ALARM, Group("and", (REG, ALARM))))),
        ("(alarm or source='REG')and alarm", Group("and", (Group("or", (ALARM, REG)), ALARM))),
        ("not (alarm or source = 'REG')", no(Group("or", (ALARM, REG)))),
        ("\n alarm\n\tOR\r source = 'REG'", Group("or", (ALARM, REG))),
    ],
)  # fmt: skip
def test_an_expression_says_tests_of_fields(text: str, term: Term) -> None:
    """`not` binds most, then `and`, then `or`; words and truths in any case."""
    assert parsed(text) == term


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r"'C:\temp\new'", r"C:\temp\new"),
        ("'it''s'", "it's"),
        ('"it\'s"', "it's"),
        ('"a""b"', 'a"b'),
        ("''", ""),
        ("'\n\x00\u2028'", "\n\x00\u2028"),
        ("' and alarm = '", " and alarm = "),
        ("'${1} .* %'", "${1} .* %"),
    ],
)
def test_text_is_what_stands_between_its_quotes(text: str, value: str) -> None:
    """A path's backslashes stay; a quote is doubled."""
    assert parsed(f"msg = {text}") == Condition("msg", "=", (value,))


ENCODABLE = [sign for sign in SIGNS if not "\ud800" <= sign <= "\udfff"]


@given(st.lists(st.sampled_from([*ENCODABLE, *string.printable])).map("".join))
def test_any_text_can_be_said(value: str) -> None:
    """Whatever stands in it, it stays text."""
    for quote in "'\"":
        text = quote + value.replace(quote, quote * 2) + quote
        assert parsed(f"msg = {text}") == Condition("msg", "=", (value,))


@pytest.mark.parametrize(
    ("text", "column", "says"),
    [
        ("hst = 'x'", 1, "there is no field hst; did you mean host?"),
        ("alarm and hst = 'x'", 11, "did you mean host?"),
        ("timestamp = 3", 1, "there is no field timestamp"),
        ("EventTime = 3", 1, "did you mean eventTime?"),
        ("source = REG", 10, "text stands in quotes, 'REG'"),
        ("source = 'x' and", 17, "it ends here: expected"),
        ("", 1, "it ends here"),
        ("   ", 4, "it ends here"),
        ("(alarm", 7, "it ends here: expected `)`"),
        ("alarm)", 6, "expected"),
        ("alarm or or alarm", 10, "expected `(`, a field, not"),
        ("source 'x'", 8, "expected"),
        ("source = 'abc", 10, "a quote that is not closed"),
        ("source = 'x' 'y'", 14, "expected and, or, the end"),
        ("source = 'x'; drop", 13, "and, or"),
        ("source = host", 10, "expected"),
        ("1 = 1", 1, "expected `(`, a field, not"),
        ("source in ()", 12, "expected"),
        ("source in (select)", 12, "expected"),
        ("msg", 1, "msg is text: expected a test of it"),
        ("alarm_severity contains 'x'", 16, "alarm_severity is int, and contains is for text"),
        ("eventTime matches 'x'", 11, "eventTime is time"),
        ("alarm = 'true'", 9, "alarm is bool: expected true or false"),
        ("alarm > true", 7, "alarm is bool: expected = or !="),
        ("version > '2'", 9, "version is text: expected a number"),
        ("evidence_id = '1'", 15, "evidence_id is int: expected a number"),
        ("evidence_id = 1.5", 15, "expected a whole number"),
        ("inode = 9223372036854775808", 9, "expected a whole number"),
        ("eventTime > '2020-13-01'", 13, "expected a time such as"),
        ("eventTime > true", 13, "eventTime is time: expected a time"),
        ("eventTime > 1595194940000", 13, "too great for seconds"),
        ("msg matches '(a'", 13, "no regular expression: unclosed group"),
        ("msg matches '((a{1000}){1000}){1000}'", 13, "no regular expression: it is too great"),
        (r"msg matches '(?<=a)b'", 13, "no regular expression: look-around"),
        ("alarm is not\x00null", 13, "expected null"),
        ("é = 1", 1, "expected `(`, a field, not"),
        ("msg.str = 'x'", 4, "expected"),
        ("msg['x']", 4, "expected"),
        ("__import__('os').system('x')", 11, "expected"),
        ("contains(msg, 'x')", 9, "expected"),
        ("alarm /* x */", 7, "expected"),
        ("alarm -- x", 7, "expected"),
        ("columns('.*')", 8, "expected"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, column: int, says: str) -> None:
    """The place is the column, and a sign below the expression points at it."""
    place, told = wrong(text)
    assert place == column
    assert says in told
    *_, shown, sign = told.split("\n")
    assert sign.strip() == "^"
    assert len(sign) - 1 <= len(shown)
    if text[place - 1 : place].strip("\x00"):
        assert shown[len(sign) - 1] == text[place - 1]


@given(st.text(), st.sampled_from(["", "source = 'x' and ", "not ("]))
def test_no_text_makes_anything_but_tests_or_a_place(text: str, before: str) -> None:
    """There is no other error than the one that says where."""
    try:
        term = parsed(before + text)
    except ValueError as err:
        assert str(err).startswith("column ")  # noqa: PT017 - most texts are none
    else:
        assert named(term) <= BY_NAME.keys()


WORDS = [*"()=<>,", "and", "or", "not", "in", "is", "null", "contains", "'x'", "1", "true", "alarm"]


@given(st.lists(st.sampled_from([*WORDS, "source", "eventTime", "nope"]), max_size=12))
def test_words_in_any_order_make_tests_of_fields_or_a_place(words: list[str]) -> None:
    """Much of this is nearly right."""
    text = " ".join(words)
    try:
        assert named(parsed(text)) <= BY_NAME.keys() - {"nope"}
    except ValueError as err:
        column = int(str(err).partition(":")[0].removeprefix("column "))
        assert 1 <= column <= len(text) + 1


def named(term: Term) -> set[str]:
    """Return the fields that a term tests."""
    if isinstance(term, Condition):
        return {term.field}
    return {name for one in term.terms for name in named(one)}


def test_an_expression_has_a_bound() -> None:
    """Neither its length nor its depth can take a run down."""
    with pytest.raises(ValueError, match=f"expected at most {LONGEST} characters"):
        parsed("alarm or " * LONGEST + "alarm")
    assert parsed("(" * 4_000 + "alarm" + ")" * 4_000) == ALARM
    assert "deep" in wrong("not " * (DEEPEST + 1) + "alarm")[1]
    assert "deep" in wrong("not " * 2_000 + "alarm")[1]
    many = parsed(" or ".join(["alarm"] * 1_000))
    assert isinstance(many, Group)
    assert len(many.terms) == 1_000


def test_half_a_character_is_told() -> None:
    """As a shell may give it: no column holds it, and polars takes it for no text."""
    with pytest.raises(ValueError, match="column 8 is no UTF-8"):
        parsed("msg = '\udc80'")


def test_every_field_can_be_tested() -> None:
    """None of them is a word of the grammar."""
    for field in FIELDS:
        assert named(parsed(f"{field.name} is null")) == {field.name}


def test_terms_are_put_together() -> None:
    assert both(None, None) is None
    assert both(None, REG) == REG
    assert both(REG, None, ALARM) == Group("and", (REG, ALARM))


def test_an_expression_needs_no_polars() -> None:
    """A run with nothing to do is cheap; only patterns are shown to what applies them."""
    code = (
        "import sys, cefline.where; cefline.where.parsed('alarm'); print('polars' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert run.stdout == "False\n"


def test_without_an_expression_its_parser_is_not_loaded() -> None:
    """What is not used costs nothing."""
    code = "import sys, cefline.convert; print('lark' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert run.stdout == "False\n"
