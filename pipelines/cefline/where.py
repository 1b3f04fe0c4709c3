r"""The expression that says which events are wanted: from text to tests of fields.

A grammar of its own, since what is at hand says something else: Python's turns the `\t` of a path
into a tab, SQL's (polars) takes what follows an expression for an alias, and knows subqueries.
Nothing is executed; only fields are named; no polars here, so that settings are cheap to check.
"""

import re
from collections.abc import Iterator
from difflib import get_close_matches
from functools import cache
from typing import Literal

from lark import Lark, Token, Tree, UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from cefline.moments import micros
from cefline.shown import printable
from cefline.terms import Condition, Group, Term, Value
from cefline_schemas.timeline import BY_NAME, Field

GRAMMAR = r"""
?start: either
?either: both (_OR both)*
?both: turned (_AND turned)*
?turned: _NOT turned -> not | _test | "(" either ")"
_test: truth | compare | listed | held | null
truth: FIELD
compare: FIELD SIGN _value
listed: FIELD [NOT] _IN "(" _value ("," _value)* ")"
held: FIELD [NOT] HOW TEXT
null: FIELD _IS [NOT] _NULL
_value: TEXT | NUMBER | TRUTH
SIGN: "=" | "==" | "!=" | "<=" | ">=" | "<" | ">"
HOW.2: /(contains|startswith|endswith|matches)\b/i
TRUTH.2: /(true|false)\b/i
_AND.2: /and\b/i
_OR.2: /or\b/i
_NOT.2: /not\b/i
NOT.2: /not\b/i
_IN.2: /in\b/i
_IS.2: /is\b/i
_NULL.2: /null\b/i
FIELD: /(?!(and|or|not|in|is|null|true|false)\b)[A-Za-z_][A-Za-z0-9_]*/i
NUMBER: /-?[0-9]+(\.[0-9]+)?/
TEXT: /'([^']|'')*'|"([^"]|"")*"/
%ignore /\s+/
"""
"""A quote within text is doubled; a backslash is a backslash."""

_WORDS = {
    "FIELD": "a field",
    "TEXT": "text in quotes",
    "NUMBER": "a number",
    "TRUTH": "true or false",
    "SIGN": "= != < <= > >=",
    "HOW": "contains, startswith, endswith, matches",
    "LPAR": "`(`",
    "RPAR": "`)`",
    "COMMA": "`,`",
    "$END": "the end",
}
"""How the grammar's terminals are said to people; the others are their own names."""

LONGEST = 10_000
DEEPEST = 50
_INT64 = 2**63
_EQUAL = {"=", "==", "!="}


class _WrongError(ValueError):
    """What is wrong, and where in the expression."""

    def __init__(self, what: str, token: Token) -> None:
        super().__init__(what)
        self.place = _place(token)


def parsed(text: str) -> Term:
    """Return the tests that an expression says.

    Raises:
        ValueError: it can't be read, or a test does not fit its field; with the place in it.
    """
    if len(text) > LONGEST:
        message = f"expected at most {LONGEST} characters"
        raise ValueError(message)
    try:
        text.encode()
        return _term(_parser().parse(text), 0)
    except UnicodeEncodeError as err:
        message = f"column {err.start + 1} is no UTF-8"
        raise ValueError(message) from None
    except UnexpectedInput as err:
        what, place = _unexpected(err, text)
    except _WrongError as err:
        what, place = str(err), err.place
    raise ValueError(f"column {place + 1}: {what}\n{_pointed(text, place)}")


@cache
def _parser() -> Lark:
    return Lark(GRAMMAR, parser="lalr", maybe_placeholders=True)


def _term(tree: Tree[Token], depth: int) -> Term:
    if depth > DEEPEST:
        below = (child for inner in tree.iter_subtrees() for child in inner.children)
        first = next(child for child in below if isinstance(child, Token))
        raise _WrongError(f"it nests more than {DEEPEST} deep", first)
    match tree.data:
        case "either" | "both":
            how: Literal["and", "or"] = "or" if tree.data == "either" else "and"
            return Group(how, tuple(_term(child, depth + 1) for child in _trees(tree)))
        case "not":
            (child,) = _trees(tree)
            return Group("not", (_term(child, depth + 1),))
        case _:
            return _test(tree)


def _trees(tree: Tree[Token]) -> list[Tree[Token]]:
    return [child for child in tree.children if isinstance(child, Tree)]


def _tokens(tree: Tree[Token]) -> Iterator[Token]:
    """Yield the tokens of a test; what may be left out is None there."""
    return (child for child in tree.children if not isinstance(child, Tree))


def _test(tree: Tree[Token]) -> Term:
    name, *rest = _tokens(tree)
    row = _field(name)
    match tree.data:
        case "truth":
            if row.type != "bool":
                raise _WrongError(f"{row.name} is {row.type}: expected a test of it", name)
            return Condition(row.name, "=", (True,))
        case "null":
            there = Condition(row.name, "present")
            return there if rest[0] else Group("not", (there,))
        case "compare":
            sign, given = rest
            how = "=" if sign in _EQUAL else str(sign)
            test = Condition(row.name, how, (_value(given, row),))  # type: ignore[arg-type]  # one of the grammar's
            _check_order(test, sign, row)
            return Group("not", (test,)) if sign == "!=" else test
        case "listed":
            turned, *listed = rest
            test = Condition(row.name, "in", tuple(_value(one, row) for one in listed))
        case _:
            turned, how_token, given = rest
            test = _held(row, how_token, given)
    return Group("not", (test,)) if turned else test


def _field(name: Token) -> Field:
    if name not in BY_NAME:
        near = get_close_matches(str(name), BY_NAME, 1)
        also = f"; did you mean {near[0]}?" if near else ""
        raise _WrongError(f"there is no field {name}{also}", name)
    return BY_NAME[str(name)]


def _held(row: Field, how: Token, given: Token) -> Condition:
    if row.type not in {"text", "list"}:
        raise _WrongError(f"{row.name} is {row.type}, and {how} is for text", how)
    text, word = _text(given), str(how).lower()
    if word == "matches":
        _check_pattern(text, given)
    return Condition(row.name, word, (text,))  # type: ignore[arg-type]  # one of the grammar's


def _check_pattern(pattern: str, given: Token) -> None:
    import polars as pl  # what applies it must read it

    try:
        pl.Series([""]).str.contains(pattern)
    except pl.exceptions.ComputeError as err:
        why = re.findall(r"^error: (.*)", str(err), re.MULTILINE) or ["it is too great"]
        raise _WrongError(f"no regular expression: {why[0]}", given) from None


def _check_order(test: Condition, sign: Token, row: Field) -> None:
    ordered = row.type in {"int", "time"} or not isinstance(test.values[0], str | bool)
    if sign not in _EQUAL and not ordered:
        what = "a number" if row.type in {"text", "list"} else "= or !="
        raise _WrongError(f"{row.name} is {row.type}: expected {what}", sign)


def _value(given: Token, row: Field) -> Value:
    match row.type, given.type:
        case (("text" | "list"), "TEXT"):
            return _text(given)
        case (("text" | "list" | "int"), "NUMBER"):
            return _whole(given)
        case "bool", "TRUTH":
            return given.lower() == "true"
        case "time", "TEXT" | "NUMBER":
            try:
                return micros(_text(given) if given.type == "TEXT" else str(given))
            except ValueError as err:
                raise _WrongError(str(err), given) from None
    expected = {"int": "a number", "bool": "true or false", "time": "a time"}
    what = expected.get(row.type, "text in quotes or a number")
    raise _WrongError(f"{row.name} is {row.type}: expected {what}", given)


def _text(given: Token) -> str:
    quote = given[0]
    return given[1:-1].replace(quote * 2, quote)


def _whole(given: Token) -> int:
    if "." in given or not -_INT64 <= int(given) < _INT64:
        raise _WrongError("expected a whole number of at most 64 bits", given)
    return int(given)


def _place(token: Token) -> int:
    return token.start_pos or 0  # lark gives one to each token of a text


def _unexpected(err: UnexpectedInput, text: str) -> tuple[str, int]:
    match err:
        case UnexpectedToken() if err.token.type == "$END":
            return f"it ends here: expected {_listed(err.accepts or err.expected)}", len(text)
        case UnexpectedToken():
            place = _place(err.token)
            expected = err.accepts or err.expected
            quoted = "TEXT" in expected and err.token.type == "FIELD" and "FIELD" not in expected
            hint = f": text stands in quotes, '{err.token}'" if quoted else ""
            return f"expected {_listed(expected)}{hint}", place
        case UnexpectedCharacters():
            place = err.pos_in_stream  # type: ignore[assignment]  # lark's types know only None
            if text[place] in "'\"":
                return "a quote that is not closed, or not expected here", place
            return f"expected {_listed(err.allowed)}", place
    raise err  # there is no other


def _listed(terminals: set[str]) -> str:
    words = (_WORDS.get(name, name.strip("_").lower()) for name in terminals)
    return ", ".join(sorted(set(words)))


def _pointed(text: str, place: int) -> str:
    """Return the expression around a place, and below it a sign that points there."""
    start, end = max(place - 50, 0), place + 30
    before = ("..." if start else "") + printable(text[start:place])
    after = printable(text[place:end]) + ("..." if len(text) > end else "")
    return f"    {before}{after}\n    {' ' * len(before)}^"
