"""One column in its field's type: what counts as a number, a truth, a blank.

What can't be coerced becomes null; `conform` makes rejects of it.
"""

from decimal import Decimal

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from cefline import times
from cefline.records import as_text
from cefline_schemas.timeline import Type

_BLANK = r"^\s*$"
_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?$"
_TEXT = {
    pa.string(),
    pa.large_string(),
    pa.string_view(),
    pa.binary(),
    pa.large_binary(),
    pa.binary_view(),
}
_TRUTH = {"true": True, "false": False, "1": True, "0": False}


def typed(values: pl.Series, type_: Type, unit: times.Unit, timezone: str | None) -> pl.Series:
    """Return values as the Arrow type of a field that not every value fits; null where not."""
    if type_ == "time":
        return times.micros(values, unit, timezone)
    return _integer(values) if type_ == "int" else _boolean(values)


def _integer(values: pl.Series) -> pl.Series:
    """Return integers, whole numbers and numeric text as Int64, exactly; null for anything else."""
    if values.dtype == pl.String:
        return _integer_text(values)
    if values.dtype.is_integer():
        return values.cast(pl.Int64, strict=False)
    if isinstance(values.dtype, pl.Decimal):
        whole = values.cast(pl.Decimal(38, 0), strict=False)
        return whole.set(whole != values, None).cast(pl.Int64, strict=False)
    if values.dtype.is_numeric():
        number = values.cast(pl.Float64)
        return number.set(number != number.floor(), None).cast(pl.Int64, strict=False)
    return pl.repeat(None, len(values), dtype=pl.Int64, eager=True)


def _integer_text(text: pl.Series) -> pl.Series:
    whole = text.cast(pl.Int64, strict=False)
    if whole.null_count() == text.null_count():
        return whole
    stripped = text.str.strip_chars()
    whole = stripped.str.replace(r"^([+-]?\d+)\.0*$", "${1}").cast(pl.Int64, strict=False)
    rest = stripped.set(whole.is_not_null() | ~stripped.str.contains(_NUMBER), None)
    if rest.null_count() == len(text):
        return whole
    return whole.zip_with(whole.is_not_null(), rest.map_elements(_exact, pl.Int64))


def _exact(text: str) -> int | None:
    """Return a number with an exponent or without a digit before its point; they are rare."""
    number = Decimal(text)
    fits = -(2**63) <= number < 2**63
    return int(number) if fits and number == number.to_integral_value() else None


def _boolean(values: pl.Series) -> pl.Series:
    """Return booleans, true and false in text, 0 and 1 as Boolean; null for anything else."""
    if values.dtype == pl.Boolean:
        return values
    if values.dtype.is_numeric():
        values = _integer(values)
    elif values.dtype != pl.String:
        return pl.repeat(None, len(values), dtype=pl.Boolean, eager=True)
    elif ((truth := values == "true") | (values == "false")).all():  # as JSON has them
        return truth
    text = values.cast(pl.String).str.strip_chars().str.to_lowercase()
    return text.replace_strict(_TRUTH, default=None, return_dtype=pl.Boolean)


def is_native(dtype: pl.DataType, type_: Type) -> bool:
    """Whether a column has its field's type already, so that nothing is coerced."""
    if type_ == "bool":
        return dtype == pl.Boolean
    return (
        dtype.is_integer()
        or dtype == pl.Null
        or (type_ == "time" and isinstance(dtype, pl.Datetime))
    )


def plain(column: pa.Array) -> pa.Array:
    """Return a column without what polars does not know: extension types, maps, names of zones."""
    if isinstance(column, pa.ExtensionArray):
        return plain(column.storage)
    dtype = column.type
    if pa.types.is_map(dtype):
        pair = pa.struct([("key", dtype.key_type), ("value", dtype.item_type)])
        return column.cast(pa.list_(pair))
    if pa.types.is_timestamp(dtype) and dtype.tz is not None:
        return column.view(pa.timestamp(dtype.unit, "UTC"))  # what is stored is UTC in any zone
    if pa.types.is_decimal256(dtype):
        return column.cast(pa.large_string())
    if is_text(dtype):
        binary = pa.types.is_string(dtype) or pa.types.is_large_string(dtype)
        return column if binary else column.cast(pa.large_binary())
    return column


def textual(dtype: pa.DataType) -> pa.DataType:
    """Return a nested type with text in the place of bytes."""
    if pa.types.is_struct(dtype):
        return pa.struct([f.with_type(textual(f.type)) for f in dtype])
    if pa.types.is_fixed_size_list(dtype):
        return pa.list_(textual(dtype.value_type), dtype.list_size)
    if pa.types.is_large_list(dtype):
        return pa.large_list(textual(dtype.value_type))
    if pa.types.is_list(dtype):
        return pa.list_(textual(dtype.value_type))
    return pa.large_string() if is_text(dtype) else dtype


def is_text(dtype: pa.DataType) -> bool:
    """Whether a column is text; bytes are taken for text, since Parquet files lack the mark."""
    return dtype in _TEXT or pa.types.is_fixed_size_binary(dtype)


def scalar_text(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Return the text of a column that is neither text nor nested."""
    if dtype == pl.Boolean:
        return pl.when(value).then(pl.lit("True")).when(~value).then(pl.lit("False"))
    return value.cast(pl.String)


def without_blank(text: pa.LargeStringArray) -> pa.LargeStringArray:
    """Return text with null for what is white space only."""
    if not _may_be_blank(text):
        return text
    values = pl.Series(text)
    return as_text(values.set(values.str.contains(_BLANK), None))


def _may_be_blank(text: pa.LargeStringArray) -> bool:
    """Whether some value may be blank; Arrow looks quicker, and takes more for white space."""
    empty = pc.min(pc.binary_length(text)).as_py() == 0
    return empty or pc.any(pc.utf8_is_space(text)).as_py() is True
