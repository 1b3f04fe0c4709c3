"""One line of JSON, looked at by the standard library's parser: what its values were, exactly."""

import json
import math
import re
from dataclasses import dataclass, field

import polars as pl

from cefline.counts import REPLACED, Counts
from cefline.literal import float_text
from cefline.read.names import Names
from cefline.records import rejects
from cefline_schemas.timeline import Field

MAX_DEPTH = 200
"""A line that nests deeper is a reject: how deep Python can go differs between its versions."""

_LONGEST_INT = 4_000
"""Digits of an integer; the standard library refuses to read longer ones."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_BRACKET_OR_STRING = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]')


@dataclass(frozen=True, slots=True)
class Found:
    """What lines hold, value by value."""

    texts: dict[str, list[str | None]]
    structures: dict[str, list[str | None]]
    replaced: list[pl.DataFrame] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)


def by_line(lines: pl.Series, rows: pl.Series, names: Names) -> Found:
    """Look at lines one by one; `rows` says which rows of the batch they are."""
    found = Found(_nothing(len(lines), names), _nothing(len(lines), names))
    for place, (line, row) in enumerate(zip(lines, rows, strict=True)):
        for name, value in json_object(line).items():
            if name in names.fields and value is not None:
                kept, text = _text(found, names.fields[name], value)
                kept[names.column[name]][place] = _shown(found, row, names.fields[name], text)
    return found


def _nothing(height: int, names: Names) -> dict[str, list[str | None]]:
    return {name: [None] * height for name in names.columns}


def _text(found: Found, row: Field, value: object) -> tuple[dict[str, list[str | None]], str]:
    """Return the text of a value, and where it belongs; count what is not text but becomes some."""
    if isinstance(value, str):
        return found.texts, value
    if row.type not in {"text", "list"}:
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # as polars has it
        return found.texts, json.dumps(value)
    # An integer's text is the number itself: lines with nothing else are not looked at.
    integer = isinstance(value, int) and not isinstance(value, bool)
    found.counts[row.name, "coerced"] += row.type == "text" and not integer
    if isinstance(value, list | dict):
        return found.structures, json.dumps(value, ensure_ascii=False)
    return found.texts, float_text(value) if isinstance(value, float) else str(value)


def _shown(found: Found, at: int, row: Field, text: str) -> str:
    """Return text without lone surrogates; they are kept beside it.

    In a list they stay JSON's own escapes: `literal.of_json` makes them visible.
    """
    shown = _visible(text)
    if shown != text:
        reason = "lone surrogates, written as visible \\uXXXX"
        raw = pl.Series([text.encode(errors="surrogatepass")])
        record = rejects("replaced", pl.Series([at]), field=row.name, reason=reason, raw=raw)
        found.replaced.append(record)
        found.counts[row.name, REPLACED] += len(_SURROGATE.findall(text))
    return shown


def json_object(line: str | bytes) -> dict[str, object]:
    """Return the object that a line is.

    Raises:
        ValueError: it is none, is not UTF-8, or nests too deeply.
        RecursionError: it nests deeper than this Python can go.
    """
    text = line.decode() if isinstance(line, bytes) else line
    if text.count("[") + text.count("{") > MAX_DEPTH and _depth(text) > MAX_DEPTH:
        message = f"nested more than {MAX_DEPTH} deep"
        raise ValueError(message)
    value = json.loads(text, parse_int=_int, parse_float=_float, parse_constant=_constant)
    if not isinstance(value, dict):
        message = f"a {type(value).__name__}"
        raise ValueError(message)  # noqa: TRY004 - what every caller handles
    return {_visible(name): member for name, member in value.items()}


def _visible(text: str) -> str:
    if text.isascii():
        return text
    return _SURROGATE.sub(lambda m: f"\\u{ord(m[0]):04x}", text)


def _depth(text: str) -> int:
    """Return how deep text nests, whatever this Python could parse."""
    depth = deepest = 0
    for sign in _BRACKET_OR_STRING.findall(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(sign, 0)
        deepest = max(deepest, depth)
    return deepest


def _int(text: str) -> int | str:
    return int(text) if len(text) <= _LONGEST_INT else text


def _float(text: str) -> float | str:
    value = float(text)
    return text if math.isinf(value) else value


def _constant(text: str) -> None:
    message = f"{text} is not JSON"
    raise ValueError(message)
