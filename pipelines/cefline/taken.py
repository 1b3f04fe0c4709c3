"""Texts as a reader is to get them, where it does not get them as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from cefline.counts import Counts
from cefline.name import without

if TYPE_CHECKING:
    from cefline.records import Columns
    from cefline_schemas.demands import Demands

_CRLF = "\r\n"


def taken(columns: Columns, demands: Demands) -> tuple[Columns, Counts]:
    """Return columns as a reader takes them, and what differs.

    Args:
        columns: canonical columns.
        demands: which texts are left out, and whether CR LF is written as LF.

    Returns:
        The columns, and the values that were left out (`omitted`) and changed (`crlf`), by field.
    """
    counts = Counts()
    if not demands.other_text:
        return columns, counts
    changed = {}
    for name, column in columns.items():
        own = column
        if _is_text(own) and demands.omit:
            own, counts[name, "omitted"] = _omitted(own, demands.omit)
        if _is_text(own) and demands.crlf_as_lf:
            own, counts[name, "crlf"] = _one_break(own)
        changed[name] = own
    return changed, counts


def _is_text(column: pa.Array) -> bool:
    kind = column.type.value_type if isinstance(column, pa.DictionaryArray) else column.type
    return bool(pa.types.is_large_string(kind))


def _omitted(column: pa.Array, omit: tuple[str, ...]) -> tuple[pa.Array, int]:
    found = _spread(column, pc.is_in, pa.array(omit, pa.large_string()))
    count = int(found.sum())
    return (without(column, found) if count else column), count


def _one_break(column: pa.Array) -> tuple[pa.Array, int]:
    found = _spread(column, pc.match_substring, _CRLF)
    count = int(found.sum())
    if not count:
        return column, 0
    if isinstance(column, pa.DictionaryArray):
        values = pc.replace_substring(column.dictionary, _CRLF, "\n")
        return pa.DictionaryArray.from_arrays(column.indices, values), count
    return pc.replace_substring(column, _CRLF, "\n"), count


def _spread(column: pa.Array, function: object, argument: object) -> pl.Series:
    """Return where something is so (Boolean, never null), once for each distinct value."""
    values = column.dictionary if isinstance(column, pa.DictionaryArray) else column
    found = pl.Series(function(values, argument))  # type: ignore[operator]  # one of Arrow's
    if isinstance(column, pa.DictionaryArray):
        found = found.gather(pl.Series(column.indices))
    return found.fill_null(value=False)
