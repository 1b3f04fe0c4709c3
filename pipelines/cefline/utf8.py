"""Text of a column is made sure to be UTF-8."""

from collections.abc import Callable

import polars as pl
import pyarrow as pa

from cefline import coerce
from cefline.records import decoded


def sound(column: pa.Array, reject: Callable[[pl.Series, pl.Series], None]) -> pa.Array:
    """Return a column whose text is valid UTF-8: Parquet does not make sure, polars relies on it.

    Args:
        column: of any type that polars knows.
        reject: what is called with all values and which are no UTF-8 (Boolean), where some are.

    Returns:
        Text as large_string, plain or as a dictionary with int32 indices; bytes are taken for text.
        What is not valid is null.
    """
    try:
        return _checked(column)
    except pa.ArrowInvalid:
        return _checked(_valid_only(decoded(column), reject))


def _checked(column: pa.Array) -> pa.Array:
    if isinstance(column, pa.DictionaryArray):
        values = _checked(column.dictionary)
        return pa.DictionaryArray.from_arrays(column.indices.cast(pa.int32()), values)
    if coerce.is_text(column.type):
        return column.cast(pa.large_binary()).cast(pa.large_string())
    if pa.types.is_nested(column.type):
        column = column.cast(coerce.textual(column.type))
        column.validate(full=True)
    return column


def _valid_only(column: pa.Array, reject: Callable[[pl.Series, pl.Series], None]) -> pa.Array:
    """Leave out the values that are not valid; they are rare, so one by one."""
    valid = pl.Series([_is_valid(value) for value in column], dtype=pl.Boolean)
    if coerce.is_text(column.type):
        stored = pl.Series(column.cast(pa.large_binary()))
    else:
        stored = pl.repeat(None, len(column), dtype=pl.String, eager=True)
    reject(stored, ~valid)
    # Taken, not masked: under a mask the bytes would stay, and other steps look at them.
    return column.take(pl.int_range(len(valid), eager=True).set(~valid, None).to_arrow())


def _is_valid(value: pa.Scalar) -> bool:
    try:
        return _is_decodable(value.as_py())
    except UnicodeDecodeError:
        return False


def _is_decodable(value: object) -> bool:
    match value:
        case bytes():
            value.decode()
        case list():
            return all(map(_is_decodable, value))
        case dict():
            return all(map(_is_decodable, value.values()))
    return True
