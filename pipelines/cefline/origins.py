"""Keys become the fields that they are from: `homes` backwards."""

from collections.abc import Callable, Iterable, Mapping

import polars as pl

from cefline.homes import MICROSECONDS, SHARED
from cefline_schemas.dictionary import Home, ProfileName, Spelling
from cefline_schemas.timeline import Field, Type

MILLIS = "eventTimeMillis"
"""The column of times in milliseconds, beside `eventTime` in seconds."""

COPIES = frozenset({"fname"})
"""Keys that repeat a part of a field, and stay as they are."""

Refuse = Callable[[pl.Series, str], None]
"""Takes the rows that are wrong (Boolean, null is not), and what is wrong with them."""


def forms(fields: Iterable[Field], profile: ProfileName) -> dict[str, Type | Spelling]:
    """Return how the value of each key is spelled; that of any other key is text."""
    spelled: dict[str, Type | Spelling] = {}
    for row in fields:
        copies = () if profile == "cado" else row.dictionary.copies
        homes = (*row.homes(profile), *(copy.home for copy in copies))
        spelled |= {home.key.name: row.form(profile) for home in homes}
    return spelled


def fields_of(
    columns: Mapping[str, pl.Series],
    fields: Iterable[Field],
    profile: ProfileName,
    refuse: Refuse,
) -> dict[str, pl.Series]:
    """Return the columns of fields, then those of keys that are no field's.

    `eventTime` is in whole seconds, as of profile `cado`; profile `dictionary` has it as it is
    written in `eventTimeMillis`. Of what is said twice only `COPIES` stay: the rest must be the
    same.

    Args:
        columns: of each key, each in its form.
        fields: the table, and what is carried.
        profile: the one that they were written with.
        refuse: is told of rows that this profile can't have.
    """
    left, found = dict(columns), dict[str, pl.Series]()
    for row in sorted(fields, key=lambda row: row.name in SHARED):  # after those they share with
        for home in row.homes(profile):
            value = _taken(home, left, refuse)
            if value is not None and _shares(row, profile) and not home.takes_all:
                value = _not_shared(value, found.get(SHARED[row.name]))
            if value is not None:
                found[row.name] = _either(found.get(row.name), value, row, refuse)
    if profile == "dictionary":
        found = _of_dictionary(found, left, refuse)
    for name in found.keys() & left.keys():
        if name not in COPIES:  # else a carried column has its name
            what = f"has {name}, which is a field and no key of this profile"
            refuse(left[name].is_not_null(), what)
    return left | found


def _shares(row: Field, profile: ProfileName) -> bool:
    return row.name in SHARED and profile == "dictionary" and not row.given


def _of_dictionary(
    found: dict[str, pl.Series], left: dict[str, pl.Series], refuse: Refuse
) -> dict[str, pl.Series]:
    """Return columns with times as both profiles have them; takes their keys out of `left`."""
    _check_start(left.pop("start", None), found.get("eventTime"), refuse)
    found = _timed({n: column for n, column in found.items() if column.null_count() < len(column)})
    (micros,) = MICROSECONDS.homes("dictionary")
    if micros.key.name in left:
        found[MICROSECONDS.cado.name] = left.pop(micros.key.name)
    return found


def _timed(found: dict[str, pl.Series]) -> dict[str, pl.Series]:
    """Return columns with times in seconds, and in milliseconds beside them."""
    time = found.get("eventTime")
    if time is None:
        return found
    return {MILLIS: time, **found, "eventTime": time // 1000}  # a carried column stays


def _taken(home: Home, left: dict[str, pl.Series], refuse: Refuse) -> pl.Series | None:
    """Take the column of a key out of what is left; its label must be there, and right."""
    value = left.pop(home.key.name, None)
    if value is None or not home.key.label:
        return value
    none = pl.repeat(None, len(value), dtype=pl.String, eager=True)
    label = left.pop(f"{home.key.name}Label", none)
    wanted = none.set(value.is_not_null(), home.key.label)
    refuse(label.ne_missing(wanted), f"has {home.key.name} that is not labelled {home.key.label}")
    return value


def _not_shared(value: pl.Series, owner: pl.Series | None) -> pl.Series:
    """Return what of a key that two fields share is not the copy of the other one."""
    return value if owner is None else value.set(value == owner, None)


def _either(before: pl.Series | None, value: pl.Series, row: Field, refuse: Refuse) -> pl.Series:
    if before is None:
        return value
    refuse(before.is_not_null() & value.is_not_null(), f"has {row.name} under two keys")
    return before.zip_with(before.is_not_null(), value)


def _check_start(start: pl.Series | None, time: pl.Series | None, refuse: Refuse) -> None:
    if start is not None:
        wrong = (
            start.is_not_null() if time is None else start.is_not_null() & start.ne_missing(time)
        )
        refuse(wrong, "has a start that is not its time")
