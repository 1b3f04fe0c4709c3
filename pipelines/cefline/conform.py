"""A batch's columns become the canonical ones; what does not fit becomes a reject.

The only place where input names and input types are known.
"""

from dataclasses import dataclass, field, replace
from functools import partial, reduce
from operator import or_

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from cefline import coerce, literal, members, times
from cefline.counts import PRESENT, Counts
from cefline.escape import json_text
from cefline.read.batch import Batch
from cefline.records import (
    ARROW,
    REJECTS,
    Columns,
    apply,
    as_series,
    as_text,
    no_rejects,
    placed,
    rejects,
)
from cefline.utf8 import sound
from cefline_schemas.dialects import CADO, Dialect, Part
from cefline_schemas.timeline import BY_NAME, FIELDS, PLAUSIBLE, Field


@dataclass(frozen=True, slots=True)
class Rules:
    """What only the user can know of a source."""

    time_unit: times.Unit | None = None
    """Unit of numbers in `eventTime`; None is the dialect's, if the first of them can be."""
    timezone: str | None = None
    """Zone of times in text that have none."""
    lists: literal.Form = "python"
    """How lists and objects are written."""
    fields: tuple[Field, ...] = FIELDS
    evidence_id: int | None = None
    """`evidence_id` of events that have none."""
    dialect: Dialect = CADO
    """Whose names the columns have; `fields` are its own, and what is carried."""


@dataclass(frozen=True, slots=True)
class Conformed:
    """The canonical columns of a batch, and what there is to say about them."""

    columns: Columns
    ordinals: pl.Series
    """The place of each row in the source (Int64)."""
    rejects: pl.DataFrame
    counts: Counts
    seen: tuple[times.Seen, ...]
    """For each input column of times."""


@dataclass(slots=True)
class _Notes:
    """Collects what the conversion of one batch has to say."""

    rejects: list[pl.DataFrame] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)
    seen: list[times.Seen] = field(default_factory=list)

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
    for row in rules.fields:
        found = [_column(batch, name, row, rules, notes) for name in row.names if _has(batch, name)]
        if found:
            columns[row.name] = reduce(lambda a, b: _merged(a, b, row, rules, notes), found)
    for part in rules.dialect.parts:
        if _has(batch, part.column):
            _add_part(columns, batch, part, rules, notes)
    _count_times(columns, len(batch.ordinals), notes)
    usable = _usable(columns, batch, notes)
    return usable if rules.evidence_id is None else _of_evidence(usable, rules.evidence_id)


def _of_evidence(conformed: Conformed, number: int) -> Conformed:
    given = conformed.columns.get("evidence_id")
    if given is None:
        given = pa.nulls(len(conformed.ordinals), pa.int64())
    filled = pc.fill_null(given, number)
    return replace(conformed, columns={**conformed.columns, "evidence_id": filled})


def _has(batch: Batch, name: str) -> bool:
    if name not in batch.data.schema.names:
        return False
    structured = batch.structures is not None and name in batch.structures
    return structured or batch.data.column(name).null_count < batch.data.num_rows


def _column(batch: Batch, name: str, row: Field, rules: Rules, notes: _Notes) -> pa.Array:
    """Return one input column in its field's type; one of no type that we can read is left out."""
    own = _Notes()
    try:
        column = _converted(batch, name, row, rules, own)
    except (pa.ArrowException, pl.exceptions.PolarsError, pl.exceptions.PanicException):
        own, column = _Notes(), batch.data.column(name)
        raw = pl.Series([_shown(value) for value in column], dtype=pl.String)
        present = pl.Series(column.is_valid())
        own.counts[row.name, PRESENT] += int(present.sum())
        own.reject(raw, present, row, f"{column.type} can't be read as {row.type}")
        column = pa.nulls(len(column), ARROW[row.type])
    notes.rejects += own.rejects
    notes.counts += own.counts
    notes.seen += own.seen
    return column


def _shown(value: pa.Scalar) -> str:
    try:
        return str(value)
    except (ValueError, OverflowError):  # nanoseconds, or beyond Python's calendar
        return f"a value of {value.type}"


def _converted(batch: Batch, name: str, row: Field, rules: Rules, notes: _Notes) -> pa.Array:
    column = batch.data.column(name)
    if batch.typed:  # JSON's text has been checked
        reject = partial(notes.reject, row=row, reason="no UTF-8")
        column = sound(coerce.plain(column), reject)
    nested = batch.structures
    structures = nested[name] if nested is not None and name in nested else None
    if row.type in {"text", "list"}:
        text = _text(column, row, notes, rules.lists)
        if row.type == "list" and rules.lists == "value" and not pa.types.is_nested(column.type):
            text = _quoted(text)
        if structures is None:
            return text
        return _with_structures(text, structures, row, rules.lists)
    values = as_series(column).alias(name)
    if row.type == "time" and rules.time_unit is None:
        notes.seen.append(times.seen(values, rules.dialect.unit))
    unit = rules.time_unit or rules.dialect.unit
    typed = coerce.typed(values, row.type, unit, rules.timezone)
    filled = _filled(values)
    notes.counts[row.name, PRESENT] += len(filled) - filled.null_count()
    if typed.null_count() > filled.null_count():
        notes.reject(values, typed.is_null() & filled.is_not_null(), row, f"no {row.type}")
    if batch.typed and not coerce.is_native(values.dtype, row.type):
        notes.counts[row.name, "coerced"] += len(typed) - typed.null_count()
    return typed.to_arrow()


def _quoted(text: pa.Array) -> pa.Array:
    """Return text as JSON's strings; dictionaries stay dictionaries."""
    if isinstance(text, pa.DictionaryArray):
        return pa.DictionaryArray.from_arrays(text.indices, _quoted(text.dictionary))
    escaped = pl.Series(json_text(text).text)
    return as_text(apply(escaped, pl.format('"{}"', "")))


def _filled(values: pl.Series) -> pl.Series:
    """Return values with null for blank text."""
    return pl.Series(coerce.without_blank(as_text(values))) if values.dtype == pl.String else values


def _text(column: pa.Array, row: Field, notes: _Notes, form: literal.Form) -> pa.Array:
    """Return a column as text, null where it is blank; dictionaries stay dictionaries."""
    if isinstance(column, pa.DictionaryArray) and coerce.is_text(column.type.value_type):
        values = coerce.without_blank(column.dictionary)
        return pa.DictionaryArray.from_arrays(column.indices, values)
    if pa.types.is_large_string(column.type):
        return coerce.without_blank(column)
    values = as_series(column)
    nested = isinstance(values.dtype, pl.List | pl.Array | pl.Struct)
    if nested:
        text = apply(values, literal.expression(pl.col(""), values.dtype, row.members, form))
        text = text.set(text == "[]", None)
    else:
        text = apply(values, coerce.scalar_text(pl.col(""), values.dtype))
    if not (nested and row.type == "list"):
        notes.counts[row.name, "coerced"] += len(text) - text.null_count()
    return as_text(text)


def _with_structures(
    text: pa.Array, structures: pl.Series, row: Field, form: literal.Form
) -> pa.Array:
    literals = literal.of_json(structures, row.members, form)
    given = as_series(text)
    return as_text(given.zip_with(given.is_not_null(), literals.set(literals == "[]", None)))


def _raw(values: pl.Series) -> pl.Series:
    """Return the raw form of values, whatever their type."""
    if values.dtype == pl.Binary:
        return values
    if isinstance(values.dtype, pl.List | pl.Array | pl.Struct):
        return apply(values, literal.expression(pl.col(""), values.dtype))
    if isinstance(values.dtype, pl.Datetime):  # beyond the calendar it has no text
        return values.to_physical().cast(pl.String)
    return values.cast(pl.String)


def _add_part(
    columns: dict[str, pa.Array], batch: Batch, part: Part, rules: Rules, notes: _Notes
) -> None:
    """Add what the objects of a list say of a field."""
    row = BY_NAME[part.field]
    said = as_text(members.texts(_json(batch, part.column), part))
    data = pa.RecordBatch.from_arrays([said], [part.column])
    within = replace(batch, data=data, structures=None, typed=False)
    column = _column(within, part.column, row, rules, notes)
    given = columns.get(part.field)
    columns[part.field] = column if given is None else _merged(given, column, row, rules, notes)


def _json(batch: Batch, name: str) -> pl.Series:
    """Return the lists and objects of a column as JSON."""
    if batch.structures is not None and name in batch.structures:
        return batch.structures[name]
    column = as_series(coerce.plain(batch.data.column(name)))
    if column.dtype == pl.String:
        return column
    return apply(column, literal.expression(pl.col(""), column.dtype, form="json"))


def _merged(first: pa.Array, other: pa.Array, row: Field, rules: Rules, notes: _Notes) -> pa.Array:
    """Return the column of the first name, and that of a further one where it has no value."""
    a, b = as_series(first), as_series(other)
    if row.type == "time" and rules.dialect.finer:
        a = times.finer(a, b)
        first = a.to_arrow()
    if not (a.is_null() & b.is_not_null()).any() and not (a != b).any():
        return first
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
    rejected = placed(pl.concat(notes.rejects), batch.ordinals, columns.get("eventId"))
    ordinals = batch.ordinals
    if not any(map(_is_full, columns.values())):
        used = [as_series(c).is_not_null() for c in columns.values()]
        usable = reduce(or_, used, pl.repeat(False, len(ordinals), eager=True))
        rejected = pl.concat([rejected, _unusable(batch, ordinals.filter(~usable))])
        columns = {name: column.filter(usable.to_arrow()) for name, column in columns.items()}
        ordinals = ordinals.filter(usable)
    return Conformed(columns, ordinals, rejected, +notes.counts, tuple(notes.seen))


def _is_full(column: pa.Array) -> bool:
    """Whether each row has a value; a dictionary may have null among its values."""
    of_values = column.dictionary.null_count if isinstance(column, pa.DictionaryArray) else 0
    return bool(column.null_count + of_values == 0)


def _unusable(batch: Batch, ordinals: pl.Series) -> pl.DataFrame:
    """Return the rejects of rows, with what the source says of them."""
    origin = pl.DataFrame({"ordinal": ordinals})
    if batch.origin is not None:
        origin = batch.origin(ordinals)
    told = origin.with_columns(kind=pl.lit("row"), reason=pl.lit("no usable field"))
    return pl.concat([no_rejects(), told], how="diagonal").select(REJECTS.names())
