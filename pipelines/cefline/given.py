"""Keys and constants that users give, on top of a profile: a profile of their own.

A key is given as `key` or `key:Label`, by the name of a field; a constant by its key. What CEF's
own dictionary says of a key is in `cefline_schemas.arcsight`.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from difflib import get_close_matches

from cefline.escape import escape_constant
from cefline.homes import MICROSECONDS
from cefline.parse import HEADER
from cefline_schemas.arcsight import FORMS, LABELLED, OBJECTS, REFUSED, TAKES
from cefline_schemas.cef import EXTENDED_ESCAPES, STAMP
from cefline_schemas.dictionary import FITS, OWN_PREFIX, Home, Key, ProfileName, own
from cefline_schemas.timeline import BY_NAME, FIELDS, Field

Told = tuple[str, str]
"""The name of a setting, such as `keys.host`, and what is wrong with it."""

MOST = 1000
"""Bytes of all constants at most: with them a line still has room below every limit of a reader."""

_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_]*", re.ASCII)
_LABEL = re.compile(r"[A-Za-z0-9]{1,128}", re.ASCII)  # flexString1Label has 128
_OWN = re.compile(rf"{OWN_PREFIX}[A-Za-z0-9]+", re.ASCII)
_FIELDS = {name.casefold(): name for name in BY_NAME}
_DICTIONARY = {key.casefold(): key for key in (*TAKES, *REFUSED)}


def keyed(fields: tuple[Field, ...], keys: Sequence[str]) -> tuple[Field, ...]:
    """Return a table with the keys that are given.

    A value that does not fit a key of the dictionary goes whole under the field's own one, in
    profile `cado` as well. A key that repeats another one (`fname`) goes where it is given to a
    field; one that two fields share (`cat`) where the other has got a key of its own.

    Args:
        fields: the table, with what is carried.
        keys: each as `field=key` or `field=key:Label`; without problems.
    """
    if not keys:
        return fields
    given = {name: _homes(name, key) for name, key in split(keys)}
    taken = {home.key.name for homes in given.values() for home in homes}

    def row(field: Field) -> Field:
        copies = field.dictionary.copies
        left = tuple(c for c in copies if c.home.key.name not in taken and c.unless not in given)
        place = field.dictionary if left == copies else replace(field.dictionary, copies=left)
        return replace(field, given=given.get(field.name, ()), dictionary=place)

    return tuple(map(row, fields))


def constant_pairs(constants: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return the pairs that constants are, each label before its key; values as they are given."""
    found: list[tuple[str, str]] = []
    for said, value in split(constants):
        key, _, label = said.partition(":")
        found += [(f"{key}Label", label)] if label else []
        found.append((key, value))
    return tuple(found)


def reserved(keys: Sequence[str], constants: Sequence[str]) -> frozenset[str]:
    """Return the keys that columns that are carried can't have, without case."""
    rows = [row for row in keyed(FIELDS, keys) if row.given]
    names = [home.key.name for row in rows for home in row.given]
    return frozenset(n.casefold() for n in (*names, *(k for k, _ in constant_pairs(constants))))


def problems(profile: ProfileName, keys: Sequence[str], constants: Sequence[str]) -> Iterator[Told]:
    """Yield what is wrong with the keys and the constants that are given on top of a profile."""
    right = []
    for name, key in split(keys):
        told = list(_of_key(name, key, profile))
        yield from ((f"keys.{name}", what) for what in told)
        right += [] if told else [f"{name}={key}"]
    fixed = []
    for said, value in split(constants):
        told = list(_of_constant(said, value, profile))
        yield from ((f"constants.{said}", what) for what in told)
        fixed += [] if told else [f"{said}={value}"]
    yield from _twice(keyed(FIELDS, right), profile, fixed)
    pairs = ((k, escape_constant(v, EXTENDED_ESCAPES)) for k, v in constant_pairs(fixed))
    if (size := sum(len(f" {key}={value}".encode()) for key, value in pairs)) > MOST:
        yield "constants", f"expected {MOST:,} bytes at most in each line, and these take {size:,}"


def split(entries: Iterable[str]) -> list[tuple[str, str]]:
    """Return the two sides of entries such as `host=dvchost`."""
    return [(name, value) for name, _, value in (entry.partition("=") for entry in entries)]


def _homes(name: str, said: str) -> tuple[Home, ...]:
    key, _, label = said.partition(":")
    takes = TAKES.get(key)
    if takes is None:
        return (Home(Key(key)),)
    return replace(takes, key=Key(key, label)), Home(own(name))


def _of_key(name: str, said: str, profile: ProfileName) -> Iterator[str]:
    if name not in BY_NAME:
        yield f"{name} is no field{_nearest(name, BY_NAME)}"
        return
    key, _, _ = said.partition(":")
    yield from _of_name(said, profile, name)
    takes, form = TAKES.get(key), BY_NAME[name].form(profile)
    if takes is not None and takes.fits is not None and form not in FORMS[takes.fits]:
        yield f"{key} takes no value that {name} can have"


def _of_constant(said: str, value: str, profile: ProfileName) -> Iterator[str]:
    key, _, _ = said.partition(":")
    yield from _of_name(said, profile)
    if not value or not value.isprintable() or value != value.strip():
        yield "expected text that can be printed, without blanks at its ends"
        return
    takes, written = TAKES.get(key), escape_constant(value, EXTENDED_ESCAPES)
    if takes is not None and takes.fits is not None and not re.search(FITS[takes.fits], written):
        yield f"{key} takes no such value"
    if takes is not None and takes.most is not None and len(written.encode()) > takes.most:
        yield f"{key} takes {takes.most} bytes at most"


def _of_name(said: str, profile: ProfileName, field: str = "") -> Iterator[str]:
    """Yield what is wrong with `key` or `key:Label`, whatever else is given."""
    key, colon, label = said.partition(":")
    folded = key.casefold()
    if not _KEY.fullmatch(key) or folded.endswith("label"):
        yield "expected a key of letters, digits and `_` that does not end in `Label`"
        return
    if colon and not LABELLED.fullmatch(key):
        yield f"{key} has no label: cs1 to cs6, cn1 to cn3 and the like have one"
    elif LABELLED.fullmatch(key) and not _LABEL.fullmatch(label):
        yield f"{key} needs a label of letters and digits, such as {key}:Name"
    if _FIELDS.get(folded, field) != field:
        yield f"{key} is the name of a field"
    elif folded in HEADER or folded in _RESERVED:
        yield f"{key} means something else"
    elif key in REFUSED:
        yield f"{key} is a key that nothing of ours fits, or that only consumers of CEF set"
    elif key not in TAKES and folded in _DICTIONARY:
        yield f"{key} differs from a key of CEF's dictionary in case alone: {_DICTIONARY[folded]}"
    elif profile == "dictionary" and key not in TAKES and not _OWN.fullmatch(key):
        near = _nearest(key, TAKES)
        yield f"{key} is neither of CEF's dictionary nor such as {OWN_PREFIX}Name{near}"


_MICROS = MICROSECONDS.cado.name
_RESERVED = {key.casefold() for key in (STAMP, _MICROS, own(_MICROS).name)}


def _twice(
    table: Sequence[Field], profile: ProfileName, constants: Sequence[str]
) -> Iterator[Told]:
    """Yield what would be twice in a line, whatever a reader thinks of case."""
    owners: dict[str, str] = {}
    labels: dict[str, str] = {}
    for row in sorted(table, key=lambda row: bool(row.given)):  # what is not given was there before
        copies = () if profile == "cado" else row.dictionary.copies
        homes = (*row.homes(profile), *(copy.home for copy in copies if not copy.unless))
        for home in homes:
            yield from _once(owners, labels, home.key, f"keys.{row.name}")
    for said, _ in split(constants):
        key, _, label = said.partition(":")
        yield from _once(owners, labels, Key(key, label), f"constants.{said}")
    for label, name in labels.items():
        if label in owners or label in _DICTIONARY or label in OBJECTS:
            what = "a key, or an object in the Elastic Common Schema"
            yield name, f"{label} is {what}: some readers rename keys to their labels"


def _once(owners: dict[str, str], labels: dict[str, str], key: Key, name: str) -> Iterator[Told]:
    for what, taken in ((key.name, owners), (key.label, labels)):
        owner = taken.setdefault(what.casefold(), name) if what else name
        if owner != name:
            told = owner.removeprefix("keys.")
            yield (
                name,
                f"{told} has {what} already; give that another one, such as `{_other(told)}`",
            )


def _other(field: str) -> str:
    return f"{field} = '{own(field).name}'" if field in BY_NAME else "CadoResponseName"


def _nearest(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, list(known), 1)
    return f"; did you mean {near[0]}?" if near else ""
