"""What the objects of a list say of a field: the members of each list, as one text."""

import json

import polars as pl

from cefline_schemas.dialects import Part


def texts(lists: pl.Series, part: Part) -> pl.Series:
    """Return what each list says of a part's field (String); null where it says nothing.

    Args:
        lists: JSON texts, each distinct one looked at once.
        part: which member, and what is taken of several.
    """
    distinct = lists.drop_nulls().unique()
    said = pl.Series([_text(text, part) for text in distinct], dtype=pl.String)
    return lists.replace_strict(distinct, said, default=None, return_dtype=pl.String)


def _text(text: str, part: Part) -> str | None:
    objects = _objects(text)
    if part.take == "any":
        return "true" if objects else None
    values = [str(v) for v in (o.get(part.member) for o in objects) if v is not None]
    if part.take == "all":
        return "; ".join(dict.fromkeys(values)) or None
    numbers = [value for value in values if _number(value) is not None]
    return min(numbers, key=float) if numbers else next(iter(values), None)


def _objects(text: str) -> list[dict[str, object]]:
    """Return the objects of a list, or the one that stands in its place."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return []
    found = value if isinstance(value, list) else [value]
    return [element for element in found if isinstance(element, dict)]


def _number(value: str) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None
