"""Lists and objects as text: the Python literal that the standard shows, or JSON.

`[{'str_detected': 'a.exe', 'url': '?query=a.exe'}]`: always single quotes; backslash, single
quote, LF, CR and TAB escaped as Python does, all else as it is; null members of an object left
out, null elements of a list `None`. Python's own `repr` is not used: it differs between versions.
Nested Arrow columns and JSON texts give the same literals. JSON has the same order and leaves out
the same; numbers that it has no form for (NaN, the infinities) stand in quotes.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Literal, NamedTuple

import polars as pl

Form = Literal["python", "json", "value"]
"""`value` is JSON in which lone surrogates are visible text: whatever reads it, reads it all."""

_BLANKS = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_CONTROLS = {chr(n): f"\\u{n:04x}" for n in range(0x20)}


class _Signs(NamedTuple):
    """What a form of literals is written with."""

    quote: str
    true: str
    false: str
    none: str
    escapes: Mapping[str, str]
    """The backslash comes first."""


_JSON = _Signs('"', "true", "false", "null", {"\\": "\\\\", '"': '\\"', **_CONTROLS, **_BLANKS})
_SIGNS: Mapping[Form, _Signs] = {
    "python": _Signs("'", "True", "False", "None", {"\\": "\\\\", "'": "\\'", **_BLANKS}),
    "json": _JSON,
    "value": _JSON,
}
_TABLES = {form: str.maketrans({**signs.escapes}) for form, signs in _SIGNS.items()}
_SURROGATE = re.compile("[\ud800-\udfff]")


def expression(
    value: pl.Expr, dtype: pl.DataType, members: Sequence[str] = (), form: Form = "python"
) -> pl.Expr:
    """Return the literals of a column: String, null where the column is null.

    Args:
        value: the column, of any dtype.
        dtype: its dtype; nested ones are followed to their leaves.
        members: names that come first in each object; the others keep the dtype's order.
        form: how they are written.
    """
    signs = _SIGNS[form]
    if isinstance(dtype, pl.List | pl.Array):
        listed = value if isinstance(dtype, pl.List) else value.arr.to_list()
        inner = expression(pl.element(), dtype.inner, members, form).fill_null(signs.none)  # type: ignore[arg-type]  # an instance, as in every schema
        text = pl.concat_str(pl.lit("["), listed.list.eval(inner).list.join(", "), pl.lit("]"))
    elif isinstance(dtype, pl.Struct):
        text = _object(value, dtype, members, form)
    elif dtype == pl.Boolean:
        text = pl.when(value).then(pl.lit(signs.true)).otherwise(pl.lit(signs.false))
    elif dtype.is_float() and form != "python":
        text = value.cast(pl.String)
        text = pl.when(value.is_finite()).then(text).otherwise(_quoted(text, signs))
    elif dtype.is_numeric():
        text = value.cast(pl.String)
    else:
        text = _quoted(value.cast(pl.String), signs)
    return pl.when(value.is_not_null()).then(text)


def of_json(texts: pl.Series, members: Sequence[str] = (), form: Form = "python") -> pl.Series:
    r"""Return the literals of JSON texts, each distinct one made once; null where null.

    Lone surrogates become visible `\\uXXXX`: polars has no text for them.

    Raises:
        ValueError: a text is not JSON.
    """
    distinct = texts.drop_nulls().unique()
    made = [of_value(json.loads(text), members, form) for text in distinct]
    return texts.replace_strict(distinct, pl.Series(made, dtype=pl.String), default=None)


def of_value(value: object, members: Sequence[str] = (), form: Form = "python") -> str:
    """Return the literal of a value as JSON's reader gives it."""
    backslash = "\\\\" if form == "value" else "\\"
    shown = partial(_visible, backslash=backslash)
    return _SURROGATE.sub(shown, _literal(value, members, form))


def _visible(surrogate: re.Match[str], backslash: str) -> str:
    return f"{backslash}u{ord(surrogate[0]):04x}"


def float_text(value: float) -> str:
    """Return the shortest form of a float, as a float column gives it."""
    return str(pl.Series([value]).cast(pl.String)[0])


def _object(value: pl.Expr, dtype: pl.Struct, members: Sequence[str], form: Form) -> pl.Expr:
    fields = sorted(dtype.fields, key=lambda field: _place(field.name, members))
    # By number: a member's name may look like a wildcard or a regular expression to polars.
    numbered = value.struct.rename_fields([str(n) for n in range(len(dtype.fields))])
    places = {field.name: str(n) for n, field in enumerate(dtype.fields)}
    pairs = [
        pl.concat_str(
            pl.lit(f"{_quote(field.name, form)}: "),
            expression(numbered.struct.field(places[field.name]), field.dtype, members, form),  # type: ignore[arg-type]  # an instance, as in every schema
        )
        for field in fields
    ]
    inside = pl.concat_str(pairs, separator=", ", ignore_nulls=True) if pairs else pl.lit("")
    return pl.concat_str(pl.lit("{"), inside, pl.lit("}"))


def _place(name: str, members: Sequence[str]) -> int:
    return members.index(name) if name in members else len(members)


def _quote(text: str, form: Form) -> str:
    quote = _SIGNS[form].quote
    return f"{quote}{text.translate(_TABLES[form])}{quote}"


def _quoted(text: pl.Expr, signs: _Signs) -> pl.Expr:
    for raw, escaped in signs.escapes.items():
        text = text.str.replace_all(raw, escaped, literal=True)
    return pl.concat_str(pl.lit(signs.quote), text, pl.lit(signs.quote))


class _Done(str):
    """Text of the literal, not a value that has yet to become some."""

    __slots__ = ()


def _literal(value: object, members: Sequence[str], form: Form) -> str:
    """Write a value with a stack of our own: JSON nests deeper than Python calls."""
    signs = _SIGNS[form]
    written: list[str] = []
    stack = [value]
    while stack:
        match stack.pop():
            case _Done() as text:
                written.append(text)
            case str() as text:
                written.append(_quote(text, form))
            case list() as elements:
                stack += [_Done("]"), *reversed(_separated([[e] for e in elements])), _Done("[")]
            case dict() as pairs:
                names = sorted(pairs, key=lambda name: _place(name, members))
                kept = [n for n in names if pairs[n] is not None]
                listed = [[_Done(f"{_quote(n, form)}: "), pairs[n]] for n in kept]
                stack += [_Done("}"), *reversed(_separated(listed)), _Done("{")]
            case float() as number:
                bare = form == "python" or math.isfinite(number)
                text = float_text(number)
                written.append(text if bare else _quote(text, form))
            case True:
                written.append(signs.true)
            case False:
                written.append(signs.false)
            case None:
                written.append(signs.none)
            case integer:
                written.append(str(integer))
    return "".join(written)


def _separated(items: list[list[object]]) -> list[object]:
    """Return the items one after the other, commas between them."""
    return [part for item in items for part in (_Done(", "), *item)][1:]
