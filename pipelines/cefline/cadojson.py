"""Canonical columns become CadoJson, and back: one JSON object a line, keys by their names.

Keys come in the order of the field table, those without a value are left out. Numbers, truths and
lists are JSON's own; times are whole epoch seconds. Characters that some reader takes for a line
break, or can't carry, are JSON's escapes: nothing is replaced.
"""

import json
from collections.abc import Callable
from dataclasses import replace

import polars as pl
import pyarrow as pa

from cefline import literal
from cefline.counts import Counts
from cefline.errors import SourceError
from cefline.escape import Escaped, json_text, json_value
from cefline.fragments import Fragment, constant, fragment
from cefline.records import Columns, apply, as_text, no_rejects
from cefline.render import TEXT, Profile, Rendered, bounded, keys, render, values
from cefline_schemas.cef import STAMP
from cefline_schemas.timeline import BY_NAME, FIELDS, Field, Type

_END = "}\n"

_DTYPE: dict[Type, pl.DataType] = {
    "text": pl.String(),
    "list": pl.String(),
    "int": pl.Int64(),
    "bool": pl.Boolean(),
    "time": pl.Int64(),
}


def rendering(profile: Profile) -> Callable[[Columns, Profile], Rendered]:
    """Return what makes the lines of a profile."""
    return render if profile.format == "cef" else render_json


def render_json(columns: Columns, profile: Profile) -> Rendered:
    """Render canonical columns as lines of CadoJson, in row order.

    Lists are JSON already (`lists` of the rules is `value`). A row whose line is longer than the
    profile's `max_event` bytes is a reject.
    """
    height = len(next(iter(columns.values())))
    counts = Counts()
    header = pa.repeat(pa.scalar("{", pa.large_string()), height)
    pairs, fields = [], list[str]()
    if profile.stamp:
        pairs.append(constant(f',"{STAMP}":{json.dumps(profile.stamp)}', height))
        fields.append(STAMP)
    for row in keys(profile):
        column = columns.get(row.name)
        if column is None or column.null_count == len(column):
            continue
        pair, said = _pair(row, column)
        pairs.append(pair)
        fields.append(row.name)
        if said.bidi is not None:
            counts[row.name, "bidi"] += int(said.bidi.sum())
    whole = bounded([Fragment("", header), *pairs], no_rejects(), counts, profile.max_event, _END)
    return replace(whole, fields=tuple(fields))


def _pair(row: Field, column: pa.Array) -> tuple[Fragment, Escaped]:
    prefix, end = f',"{row.cado.name}":', ""
    if row.type == "text":
        said, prefix, end = json_text(values(column)), prefix + '"', '"'
    elif row.type == "list":
        said = json_value(values(column))
    else:
        text = apply(pl.Series(column), TEXT[row.type]).str.to_lowercase()
        said = Escaped(as_text(text), None)
    return fragment(prefix, column, said, end)


def parse_json(lines: pl.Series, before: int = 0) -> pl.DataFrame:
    """Parse lines of CadoJson into a frame with a row for each line: `render_json` backwards.

    Args:
        lines: without LF.
        before: how many lines came before, for messages.

    Returns:
        A column for each key that occurs: first the fields of the table, in its order (text
        String, list String of JSON, int Int64, bool Boolean, time Int64 whole seconds), then
        others, as lists are.

    Raises:
        SourceError: a line is no object, has a key twice, or a value not of its field's type.
    """
    found: dict[str, list[object]] = {}
    for place, line in enumerate(lines):
        for name, value in _object(line, before + place).items():
            column = found.setdefault(name, [None] * len(lines))
            column[place] = _value(name, value, before + place)
    known = [f.name for f in FIELDS if f.name in found]
    names = [*known, *(name for name in found if name not in BY_NAME)]
    typed = {name: _DTYPE[BY_NAME[name].type if name in BY_NAME else "list"] for name in names}
    return pl.DataFrame({name: found[name] for name in names}, typed)


def _object(line: str, place: int) -> dict[str, object]:
    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        if len(dict(pairs)) < len(pairs):
            raise ValueError("a key twice")
        return dict(pairs)

    try:
        value = json.loads(line, object_pairs_hook=unique, parse_constant=_refused)
        return dict(value.items())
    except (AttributeError, ValueError, RecursionError) as err:
        message = f"line {place + 1} is no line of CadoJson: {err}"
        raise SourceError(message, hint="Expected one JSON object a line") from err


def _refused(text: str) -> None:
    raise ValueError(f"{text} is not JSON")


def _value(name: str, value: object, place: int) -> object:
    """Return a value of its field's type."""
    type_ = BY_NAME[name].type if name in BY_NAME else "list"
    if type_ == "list" and value is not None:
        return literal.of_value(value, BY_NAME[name].members if name in BY_NAME else (), "value")
    expected = {"text": str, "bool": bool}.get(type_, int)
    if type(value) is expected:
        return value
    message = f"line {place + 1} has an unreadable {name}"
    raise SourceError(message, hint="Expected CadoJson as the field table describes it")
