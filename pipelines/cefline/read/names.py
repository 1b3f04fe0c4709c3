"""The input names that are read, and how their values are told apart in lines of JSON."""

from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

import polars as pl

from cefline.read.carry import Carried
from cefline_schemas.dialects import DIALECTS
from cefline_schemas.timeline import Field

_NOT_TEXT = r"\s*:\s*(?:[\[{]|-?[0-9]+[.eE])"
_ESCAPED = r"""\\u[dD][89a-fA-F]|\\u00[2-7][0-9a-fA-F]\w*"\s*:"""  # surrogates; names with escapes
_ANY_ESCAPED = r"""\\u[dD][89a-fA-F]|\\[^"]+"\s*:"""  # names that are carried are not ASCII alone
_LOOSE = r'[^\\]"\s+:'  # a blank before the colon

QUICK = r'"(?::\[|:\{|: \[|: \{|:[\t\r]|: [ \t\r]|[\t\r]| [:\t\r]|  |:\s*-?[0-9]+[.eE])'
"""A list, an object or a float after a key, blanks but a single space around its colon.

Where a backslash stands before its quote, it is within a text. Nearly all of it is literals: that
is four times as quick as the pattern that says exactly.
"""


class Names(NamedTuple):
    """What is read of JSON."""

    fields: Mapping[str, Field]
    """By input name."""
    schema: pl.Schema
    """Every value is read as text."""
    column: Mapping[str, str]
    """The column of each input name: the name itself, or the key of what is carried."""
    columns: pl.Schema
    """The schema with the columns' names."""
    texts: list[str]
    """Columns whose field takes any value."""
    escaped: str
    """Matches lines that could have surrogates, or names with escapes."""
    suspicious: str
    """Matches lines whose values polars can't tell: lists, objects and floats where text is
    expected, surrogates, escaped names."""


@cache
def names(carried: Carried = (), dialect: str = "cado") -> Names:
    """Return the names that a dialect has for the field table, and of what is carried beside it."""
    fields = {name: row for row in DIALECTS[dialect].fields for name in row.names}
    column = dict(zip(fields, fields, strict=True)) | {name: row.name for name, row in carried}
    fields |= dict(carried)
    texts = [column[name] for name, row in fields.items() if row.type in {"text", "list"}]
    escaped, maybe = (_ANY_ESCAPED, _ANY_ESCAPED) if carried else (_ESCAPED, r"\\u")
    listed = rf'{escaped}|{_LOOSE}|"(?:{"|".join(texts)})"{_NOT_TEXT}'
    read, named = (
        pl.Schema(dict.fromkeys(all_, pl.String())) for all_ in (fields, column.values())
    )
    of_any = rf'{escaped}|[^\\]"(?:{_NOT_TEXT}|\s+:)'
    return Names(fields, read, column, named, texts, maybe, of_any if carried else listed)
