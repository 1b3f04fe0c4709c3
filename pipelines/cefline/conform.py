"""A batch's columns become the canonical ones; what does not fit becomes a reject.

The only place where input names and input types are known.
"""

from dataclasses import dataclass, field
from functools import reduce

import polars as pl
import pyarrow as pa

from cefline import literal, times
from cefline.read.batch import Batch
from cefline.records import Columns, Counts, as_series, as_text, decoded, placed, rejects
from cefline_schemas.timeline import FIELDS, PLAUSIBLE, Field, Type

PRESENT = "present"
"""Counts values that were there, readable or not, of the fields that not every value fits."""

_BLANK = r"^\s*$"
_TRUTH = {"true": True, "false": False, "1": True, "0": False}


@dataclass(frozen=True, slots=True)
class Rules:
    """What only the user can know of a source."""

    time_unit: times.Unit | None = None
    """Unit of numbers in `eventTime`; None is seconds, if the first of them can be."""
    timezone: str | None = None
    """Zone of times in text that have none."""


@dataclass(frozen=True, slots=True)
class Conformed:
    """The canonical columns of a batch, and what there is to say about them."""

    columns: Columns
    ordinals: pl.Series
    """The place of each row in the source (Int64)."""
    rejects: pl.DataFrame
    counts: Counts
    seen: times.Seen


@dataclass(slots=True)
class _Notes:
    """Collects what the conversion of one batch has to say."""

    rejects: list[pl.DataFrame] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)
    seen: times.Seen = times.NOTHING_SEEN

    def reject(self, values: pl.Series, bad: pl.Series, row: Field, reason: str) -> None:
        """Record the values that are `bad` (Boolean, null is not)."""
        rows = bad.fill_null(value=False).arg_true()
        if len(rows):
            raw = _raw(values.gather(rows))
            self.rejects.append(rejects("value", rows, field=row.name, reason=reason, raw=raw))


def conform(batch: Batch, rules: Rules) -> Conformed:
    """Return the canonical columns of a batch.

    A value that does not fit its field's type is left out and recorded; a row without any usable
    field is a reject.

    Raises:
        SourceError: a time has no zone, and the rules give none.
    """
    notes = _Notes([batch.rejects], batch.counts.copy())
    columns: dict[str, pa.Array] = {}
    for row in FIELDS:
        found = [_column(batch, name, row, rules, notes) for name in row.names if _has(batch, name)]
        if found:
            columns[row.name] = reduce(lambda a, b: _merged(a, b, row, notes), found)
    _count_times(columns, len(batch.ordinals), notes)
    return _usable(columns, batch, notes)


def _has(batch: Batch, name: str) -> bool:
    if name not in batch.data.schema.names:
        return False
    structured = batch.structures is not None and not batch.structures[name].is_null().all()
    return structured or batch.data.column(name).null_count < batch.data.num_rows


def _column(batch: Batch, name: str, row: Field, rules: Rules, notes: _Notes) -> pa.Array:
    """Return one input column in its field's type: large_string, int64 or bool."""
    column = _sound(batch.data.column(name), row, notes)
    structures = None if batch.structures is None else batch.structures[name]
    if row.type in {"text", "list"}:
        text = _text(column, row, notes)
        return text if structures is None else _with_structures(text, structures, row)
    values = as_series(column).alias(name)
    if structures is not None:
        reason = f"a list or an object, no {row.type}"
        notes.reject(structures, structures.is_not_null(), row, reason)
    if row.type == "time" and rules.time_unit is None:
        notes.seen = times.seen(values)
    typed = _typed(values, row.type, rules)
    filled = ~values.str.contains(_BLANK) if values.dtype == pl.String else values.is_not_null()
    notes.counts[row.name, PRESENT] += int(filled.sum())
    notes.reject(values, typed.is_null() & filled, row, f"no {row.type}")
    if batch.typed and not _is_native(values.dtype, row.type):
        notes.counts[row.name, "coerced"] += len(typed) - typed.null_count()
    return typed.to_arrow()


def _sound(column: pa.Array, row: Field, notes: _Notes) -> pa.Array:
    """Return a column whose text is valid UTF-8; Parquet does not make sure of it.

    Text comes as large_string, plain or dictionary with int32 indices. Bytes are taken for text.
    """
    if isinstance(column, pa.DictionaryArray):
        values = _sound(column.dictionary, row, notes)
        return pa.DictionaryArray.from_arrays(column.indices.cast(pa.int32()), values)
    if not _is_text(column.type):
        return column
    stored = column.cast(pa.large_binary())
    try:
        return stored.cast(pa.large_string())
    except pa.ArrowInvalid:
        return _valid_only(pl.Series(stored), row, notes)


def _valid_only(stored: pl.Series, row: Field, notes: _Notes) -> pa.Array:
    texts = []
    for value in stored:  # rare and damaged: one by one
        try:
            texts.append(None if value is None else value.decode())
        except UnicodeDecodeError:
            texts.append(None)
    text = pl.Series(texts, dtype=pl.String)
    notes.reject(stored, text.is_null() & stored.is_not_null(), row, "no UTF-8")
    return as_text(text)


def _is_text(dtype: pa.DataType) -> bool:
    return dtype in {
        pa.string(),
        pa.large_string(),
        pa.string_view(),
        pa.binary(),
        pa.large_binary(),
        pa.binary_view(),
    }


def _text(column: pa.Array, row: Field, notes: _Notes) -> pa.Array:
    """Return a column as text, null where it is blank; dictionaries stay dictionaries."""
    if isinstance(column, pa.DictionaryArray) and _is_text(column.type.value_type):
        values = _without_blank(pl.Series(column.dictionary))
        return pa.DictionaryArray.from_arrays(column.indices, as_text(values))
    values = as_series(column)
    if values.dtype == pl.String:
        return as_text(_without_blank(values))
    nested = isinstance(values.dtype, pl.List | pl.Array | pl.Struct)
    written = literal.expression if nested else _scalar_text
    text = (
        values.alias("")
        .to_frame()
        .select(written(pl.col(""), values.dtype, row.members))
        .to_series()
    )
    if not (nested and row.type == "list"):
        notes.counts[row.name, "coerced"] += len(text) - text.null_count()
    return as_text(text.set(text == "[]", None) if nested else text)


def _scalar_text(value: pl.Expr, dtype: pl.DataType, _: tuple[str, ...]) -> pl.Expr:
    if dtype == pl.Boolean:
        return pl.when(value).then(pl.lit("True")).when(~value).then(pl.lit("False"))
    return value.cast(pl.String)


def _with_structures(text: pa.Array, structures: pl.Series, row: Field) -> pa.Array:
    literals = literal.of_json(structures, row.members)
    given = as_series(text)
    return as_text(given.zip_with(given.is_not_null(), literals.set(literals == "[]", None)))


def _without_blank(text: pl.Series) -> pl.Series:
    blank = text.str.contains(_BLANK)
    return text.set(blank, None) if blank.any() else text


def _typed(values: pl.Series, type_: Type, rules: Rules) -> pl.Series:
    if type_ == "time":
        return times.micros(values, rules.time_unit or "s", rules.timezone)
    return _integer(values) if type_ == "int" else _boolean(values)


def _integer(values: pl.Series) -> pl.Series:
    """Return integers, whole floats and numeric text as Int64; null for anything else."""
    if values.dtype == pl.String:
        text = values.str.strip_chars()
        whole = text.cast(pl.Int64, strict=False)
        if whole.null_count() == values.null_count():
            return whole
        return whole.zip_with(whole.is_not_null(), _integer(text.cast(pl.Float64, strict=False)))
    if values.dtype.is_integer():
        return values.cast(pl.Int64, strict=False)
    if values.dtype.is_numeric():
        number = values.cast(pl.Float64)
        return number.set(number != number.floor(), None).cast(pl.Int64, strict=False)
    return pl.repeat(None, len(values), dtype=pl.Int64, eager=True)


def _boolean(values: pl.Series) -> pl.Series:
    """Return booleans, true and false in text, 0 and 1 as Boolean; null for anything else."""
    if values.dtype == pl.Boolean:
        return values
    if values.dtype == pl.String or values.dtype.is_integer():
        text = values.cast(pl.String).str.strip_chars().str.to_lowercase()
        return text.replace_strict(_TRUTH, default=None, return_dtype=pl.Boolean)
    return pl.repeat(None, len(values), dtype=pl.Boolean, eager=True)


def _is_native(dtype: pl.DataType, type_: Type) -> bool:
    if type_ == "bool":
        return dtype == pl.Boolean
    return (
        dtype.is_integer()
        or dtype == pl.Null
        or (type_ == "time" and isinstance(dtype, pl.Datetime))
    )


def _raw(values: pl.Series) -> pl.Series:
    """Return the raw form of values, whatever their type."""
    if values.dtype == pl.Binary:
        return values
    if isinstance(values.dtype, pl.List | pl.Array | pl.Struct):
        return (
            values.alias("")
            .to_frame()
            .select(literal.expression(pl.col(""), values.dtype))
            .to_series()
        )
    return values.cast(pl.String)


def _merged(first: pa.Array, other: pa.Array, row: Field, notes: _Notes) -> pa.Array:
    """Return the standard's column, and its alias where that has no value."""
    a, b = as_series(first), as_series(other)
    reason = f"another name of {row.name} that differs from it"
    notes.reject(b, a.is_not_null() & b.is_not_null() & (a != b), row, reason)
    merged = a.zip_with(a.is_not_null(), b)
    return as_text(merged) if merged.dtype == pl.String else merged.to_arrow()


def _count_times(columns: Columns, height: int, notes: _Notes) -> None:
    if "eventTime" not in columns:
        notes.counts["eventTime", "missing"] += height
        return
    time = pl.Series(columns["eventTime"])
    low, high = (bound * 1_000_000 for bound in PLAUSIBLE)
    notes.counts["eventTime", "missing"] += time.null_count()
    notes.counts["eventTime", "subseconds"] += int((time % 1_000_000 != 0).sum())
    notes.counts["eventTime", "outside 1970-2100"] += int((~time.is_between(low, high)).sum())


def _usable(columns: Columns, batch: Batch, notes: _Notes) -> Conformed:
    """Take out the rows without any usable field."""
    height = len(batch.ordinals)
    used = [pl.Series(decoded(c).is_valid()) for c in columns.values()]
    usable = reduce(lambda a, b: a | b, used, pl.repeat(False, height, eager=True))
    rejected = pl.concat(notes.rejects)
    ids = columns.get("eventId")
    if not usable.all():
        rows = (~usable).arg_true()
        raw = pl.repeat(None, len(rows), dtype=pl.String, eager=True)
        reason = "no usable field"
        rejected = pl.concat([rejected, rejects("row", rows, field=None, reason=reason, raw=raw)])
    rejected = placed(rejected, batch.ordinals, ids)
    if not usable.all():
        columns = {name: column.filter(usable.to_arrow()) for name, column in columns.items()}
    ordinals = batch.ordinals.filter(usable)
    return Conformed(columns, ordinals, rejected, +notes.counts, notes.seen)
