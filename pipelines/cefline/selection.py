"""Which events of a batch are wanted, and which of their fields are written."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import reduce
from operator import and_, or_

import polars as pl
import pyarrow as pa

from cefline.conform import Conformed
from cefline.header import severities
from cefline.records import Columns, apply
from cefline.render import Profile
from cefline.terms import Condition, Term, Value
from cefline_schemas.timeline import BY_NAME


@dataclass(frozen=True, slots=True)
class Selection:
    """What of a source is wanted."""

    where: Term | None = None
    """What holds for each event that is."""
    min_severity: int | None = None
    """Severity, as the header has it, that an event has at least."""
    unwritten: frozenset[str] = frozenset()
    """Fields that are left out of lines, Name included."""

    def __bool__(self) -> bool:
        """Whether anything may be left out."""
        return bool(self.where or self.unwritten) or self.min_severity is not None


def select(conformed: Conformed, selection: Selection, profile: Profile) -> tuple[Conformed, int]:
    """Return the events that are wanted, and how many are not."""
    height = len(conformed.ordinals)
    wanted = pl.repeat(True, height, eager=True)
    if selection.where is not None:
        wanted &= holds(selection.where, conformed.columns, height)
    if selection.min_severity is not None and height:
        wanted &= severities(conformed.columns, profile.severity, height) >= selection.min_severity
    filtered = height - int(wanted.sum())
    if not filtered:
        return conformed, 0
    keep = wanted.to_arrow()
    columns = {name: column.filter(keep) for name, column in conformed.columns.items()}
    ordinals = conformed.ordinals.filter(wanted)
    return replace(conformed, columns=columns, ordinals=ordinals), filtered


def written(columns: Columns, selection: Selection, height: int) -> Columns:
    """Return the columns of the fields that are written; at least one, be it of nulls."""
    if not selection.unwritten:
        return columns
    kept = {name: c for name, c in columns.items() if name not in selection.unwritten}
    return kept or {"eventTime": pa.nulls(height, pa.int64())}


def holds(term: Term, columns: Columns, height: int) -> pl.Series:
    """Return for each event whether a term holds (Boolean, no null).

    A test of a field that is not there is false, so `not` of it is true: each event is either in
    what a term selects, or in what its opposite does.
    """
    if isinstance(term, Condition):
        column = columns.get(term.field)
        if column is None:
            return pl.repeat(False, height, eager=True)
        return _found(column, _expression(term)).fill_null(value=False)
    found = [holds(one, columns, height) for one in term.terms]
    match term.how:
        case "and":
            return reduce(and_, found)
        case "or":
            return reduce(or_, found)
        case "not":
            return ~found[0]


def _found(column: pa.Array, expression: pl.Expr) -> pl.Series:
    """Return what an expression makes of a column; of a dictionary, once for each value."""
    if not isinstance(column, pa.DictionaryArray):
        return apply(pl.Series(column), expression)
    found = apply(pl.Series(column.dictionary), expression)
    return found.gather(pl.Series(column.indices))


def _expression(test: Condition) -> pl.Expr:
    values = list(test.values)
    if test.how == "present":
        return pl.col("").is_not_null()
    is_text = BY_NAME[test.field].type in {"text", "list"}
    as_number = pl.col("").str.strip_chars().cast(pl.Int64, strict=False) if is_text else pl.col("")
    if test.how == "in":
        numbers = [v for v in values if not isinstance(v, str)]
        texts = [v for v in values if isinstance(v, str)]
        given = [as_number.is_in(numbers)] if numbers else []
        return reduce(or_, [*given, *([pl.col("").is_in(texts)] if texts else [])])
    (value,) = values
    return _HOW[test.how](pl.col("") if isinstance(value, str) else as_number, value)


_HOW: dict[str, Callable[[pl.Expr, Value], pl.Expr]] = {
    "=": lambda given, value: given == value,
    "<": lambda given, value: given < value,
    "<=": lambda given, value: given <= value,
    ">": lambda given, value: given > value,
    ">=": lambda given, value: given >= value,
    "contains": lambda given, value: given.str.contains(str(value), literal=True),
    "startswith": lambda given, value: given.str.starts_with(str(value)),
    "endswith": lambda given, value: given.str.ends_with(str(value)),
    "matches": lambda given, value: given.str.contains(str(value)),
}
