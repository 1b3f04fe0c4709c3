"""Columns that no field takes: dropped, refused, or carried as keys of their own."""

import re
from collections.abc import Iterable
from typing import Literal

from cefline.errors import SourceError
from cefline.homes import MICROSECONDS
from cefline.parse import HEADER
from cefline.shown import printable
from cefline_schemas.cef import STAMP
from cefline_schemas.dictionary import Home, Key, Place, own
from cefline_schemas.timeline import FIELDS, Field

Unknown = Literal["drop", "carry", "fail"]

Carried = tuple[tuple[str, Field], ...]
"""Names in the source, and the fields they become. Only a field's own name is a column's: what is
in a source's names (`*`, `^x$`, NUL) means something to polars or Arrow."""

MAX_CARRIED = 500
"""More columns than these are no timeline's, and no SIEM's."""

_SHOWN = 20
_NO_KEY = re.compile(r"[^A-Za-z0-9_]")
_TAKEN = {key.casefold() for f in FIELDS for key in (*f.names, f.cado.name)}
_TAKEN |= {"eventtimemicros", STAMP.casefold()}
_TAKEN |= {*HEADER}  # `parse` gives the header's columns these names
_OWN = {home.key.name.casefold() for f in (*FIELDS, MICROSECONDS) for home in f.homes("dictionary")}
_OWN |= {own("").name.casefold(), STAMP.casefold()}


def carried(
    url: str, unknown: Iterable[str], what: Unknown, reserved: frozenset[str] = frozenset()
) -> Carried:
    """Return the fields that unknown columns of a source become, in the order of their names.

    A name becomes a key as `[A-Za-z0-9_]+`, every other character as `_`; in profile `dictionary`
    as letters and digits behind `CadoResponse`. One that is a key of the table, is `reserved`
    (without case), or would be twice (some readers don't tell case), gets a number at its end.

    Raises:
        SourceError: there are some and may not be, or too many.
    """
    names = sorted(set(unknown))
    listed = printable(", ".join(names[:_SHOWN])) + (", ..." if len(names) > _SHOWN else "")
    if what == "fail" and names:
        message = f"{url} has columns that no field takes: {listed}"
        raise SourceError(message, hint="--unknown carry delivers them, drop leaves them out")
    if what != "carry":
        return ()
    if len(names) > MAX_CARRIED:
        message = f"{url} has more than {MAX_CARRIED} columns that no field takes: {listed}"
        raise SourceError(message, hint="--unknown drop leaves them out")
    taken, taken_own = _TAKEN | reserved, _OWN | reserved
    return tuple((name, _field(name, taken, taken_own)) for name in names)


def _field(name: str, taken: set[str], taken_own: set[str]) -> Field:
    key = _free(_NO_KEY.sub("_", name) or "_", "_", taken)
    place = Place((Home(Key(_free(own(key).name, "", taken_own))),))
    doc = "Carried as it was"
    return Field(key, "list", (key,), Key(key), doc, "", dictionary=place, free=True)


def _free(name: str, before: str, taken: set[str]) -> str:
    """Return a name, with a number at its end where it is taken; then it is taken."""
    key, number = name, 1
    # Some readers take a key that ends in `Label` for the label of another one.
    while key.casefold() in taken or (not before and key.casefold().endswith("label")):
        number += 1
        key = f"{name}{before}{number}"
    taken.add(key.casefold())
    return key
