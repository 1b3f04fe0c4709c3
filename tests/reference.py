"""The CEF line of one event, in plain Python: the standard library, one row, one value at a time.

Shares nothing with cefline, its tables included, so that it can't be wrong in the same way. It
follows profile `cado`, numbers in seconds, and knows what is left out of a line.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

Event = dict[str, object]

TYPES = {
    "alarm": "bool",
    "alarm_severity": "int",
    "alarm_description": "text",
    "evidence_id": "int",
    "evidence_name": "text",
    "macb": "text",
    "source": "text",
    "sourcetype": "text",
    "eventTime": "time",
    "filePath": "text",
    "type": "text",
    "tag": "text",
    "format": "text",
    "version": "text",
    "isFolder": "bool",
    "first_day": "bool",
    "inode": "text",
    "host": "text",
    "domain": "text",
    "suser": "text",
    "source_hostname": "text",
    "source_port": "text",
    "destination_hostname": "text",
    "destination_port": "text",
    "service_name": "text",
    "executed_process": "text",
    "process_cwd": "text",
    "file_access": "text",
    "super_short": "text",
    "parent": "text",
    "filename_stripped": "text",
    "eventId": "text",
    "short": "text",
    "process_arguments": "text",
    "alarm_help_text": "text",
    "highlights": "text",
    "query_suggestions": "text",
    "notes": "text",
    "msg": "text",
    "extra": "text",
}
"""Fields in the order of their keys; a list is text as soon as it is read."""

ALIASES = {
    "eventTime": "timestamp",
    "filePath": "filename",
    "isFolder": "is_folder",
    "suser": "user",
    "eventId": "id",
    "msg": "message",
}
MEMBERS = {"query_suggestions": ("str_detected", "url")}

WHITE = "\t\n\x0b\x0c\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    map(chr, range(0x2000, 0x200B))
)
"""Unicode's White_Space; Python's own `strip` takes U+001C to U+001F as well."""

NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
ISO = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d):(\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:?[0-5]\d)", re.ASCII
)
LITERAL = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Written:
    """One event's line, and what there is to say beside it."""

    line: str | None = None
    """Without LF; None for an event without any usable field."""
    fields: dict[str, str] = field(default_factory=dict)
    """Each field's text before it is escaped, unsafe characters visible; `type` always."""
    keys: list[str] = field(default_factory=list)
    """The keys of the line, in their order."""
    left_out: list[str] = field(default_factory=list)
    """The field of each value that is not in the line: twice where it is name and alias."""


class NoValueError(ValueError):
    """A value does not fit its field."""


def read(line: bytes | str) -> Event:
    """Return the object of one NDJSON line; a number that no float holds stays its text."""
    event: Event = json.loads(line, parse_float=_float)
    return event


def write(event: Event) -> Written:
    """Return the CEF line of an event, and what is left out of it."""
    written = Written()
    values: dict[str, object] = {}
    for name in TYPES:
        for key in (name, *ALIASES.get(name, "").split()):
            try:
                value = typed(name, event.get(key))
            except NoValueError:
                written.left_out.append(name)
                continue
            if value is not None and values.setdefault(name, value) != value:
                written.left_out.append(name)
    if values:
        _write(values, written)
    return written


def typed(name: str, value: object) -> str | int | bool | None:
    """Return a value in its field's type (times in microseconds); None where there is none.

    Raises:
        NoValueError: it does not fit.
    """
    if value is None or (isinstance(value, str) and not value.strip(WHITE)):
        return None
    match TYPES[name]:
        case "int":
            return whole(value)
        case "bool":
            return truth(value)
        case "time":
            return micros(value)
        case _ if isinstance(value, str):
            return value
        case _:
            return literal(value, MEMBERS.get(name, ())) if value != [] else None


def whole(value: object) -> int:
    """Return an integer, a whole float or a numeric text as a 64-bit integer."""
    number = _number(value)
    if number is None or not -(2**63) <= number < 2**63 or number != int(number):
        raise NoValueError
    return int(number)


def truth(value: object) -> bool:
    """Return the truth of a boolean, of true or false in text, of 0 or 1."""
    if not isinstance(value, str) and _number(value) in {0, 1}:
        return bool(_number(value))
    text = value.strip(WHITE).lower() if isinstance(value, str) else str(value).lower()
    if text not in {"true", "false", "1", "0"}:
        raise NoValueError
    return text in {"true", "1"}


def micros(value: object) -> int:
    """Return a moment as microseconds since 1970: from seconds, or from ISO 8601 text."""
    text = value.strip(WHITE) if isinstance(value, str) else ""
    if match := ISO.fullmatch(text):
        return _calendar(*match.groups(default=""))
    number = _number(value)
    if number is None:
        raise NoValueError
    if abs(number) >= Decimal(2**63).scaleb(-6):
        raise NoValueError
    return round(number.scaleb(6))


def literal(value: object, members: tuple[str, ...] = ()) -> str:
    """Return a value as the Python literal of the standard's examples; alone it has no quotes."""
    match value:
        case list():
            return f"[{', '.join(_quoted(one, members) for one in value)}]"
        case dict():
            first = [name for name in members if name in value]
            names = [*first, *(name for name in value if name not in first)]
            kept = [name for name in names if value[name] is not None]
            pairs = (f"{_quoted(name, ())}: {_quoted(value[name], members)}" for name in kept)
            return f"{{{', '.join(pairs)}}}"
        case float():
            return shortest(value)
        case _:
            return str(value)


def shortest(value: float) -> str:
    """Return the fewest digits that give a float: Python's, but for the exponents.

    No zero before an exponent, and 0.00001 up to 0.0001 without one.
    """
    text = repr(value)
    if small := re.fullmatch(r"(-?)(\d)\.?(\d*)e-05", text):
        return "{}0.0000{}{}".format(*small.groups())
    return re.sub(r"(e[+-])0", r"\1", text)


def visible(text: str) -> str:
    r"""Return text with the characters that no reader can carry as `\\uXXXX`."""
    return "".join(f"\\u{ord(c):04x}" if _is_unsafe(ord(c)) else c for c in text)


def escape(text: str, signs: str) -> str:
    r"""Return text with a backslash before each sign, and with `\\n` and `\\r`."""
    escaped = "".join(f"\\{c}" if c in signs else c for c in visible(text))
    return escaped.replace("\n", "\\n").replace("\r", "\\r")


def header(text: str) -> str:
    """Return text as Name: spaces for line breaks, 512 bytes at most, no backslash at the end."""
    escaped = escape(text.replace("\n", " ").replace("\r", " "), "\\|")
    cut = escaped.encode()[:512].decode(errors="ignore").rstrip("\\")
    return cut if cut.strip(WHITE) else ""


def severity(values: dict[str, object]) -> int:
    """Return CEF's severity, 10 the worst, of the detections' severity, 1 the worst."""
    given = values.get("alarm_severity")
    if not isinstance(given, int):
        return 10 if values.get("alarm") else 1
    return 10 if given <= 1 else 7 if given <= 3 else 4 if given <= 9 else 1


def _write(values: dict[str, object], written: Written) -> None:
    named = {name: header(str(values.get(name, ""))) for name in ("type", "super_short", "short")}
    fallback = named["super_short"] or named["short"] or "Timeline Event"
    kind = str(values.get("type", ""))
    changed = any(c in "\"'" + WHITE for c in kind[:1] + kind[-1:])
    said = kind == named["type"] != fallback and not changed
    pairs = []
    for name in TYPES:
        if name in values:
            value = values[name]
            text = str(int(str(value)) // 10**6 if name == "eventTime" else value)
            written.fields[name] = visible(text)
            if name != "type" or not said:
                written.keys.append(name)
                pairs.append(f"{name}={escape(text, chr(92) + '=')}")
    start = f"CEF:0|CadoSecurity|CadoResponse|1.0.2|0|{named['type'] or fallback}"
    written.line = f"{start}|{severity(values)}|{' '.join(pairs)}"


def _quoted(value: object, members: tuple[str, ...]) -> str:
    if isinstance(value, str):
        return "'" + "".join(LITERAL.get(c, c) for c in value) + "'"
    return literal(value, members)


def _number(value: object) -> Decimal | None:
    """Return what a JSON number or a numeric text says, exactly; None for anything else."""
    if isinstance(value, str) and NUMBER.fullmatch(value.strip(WHITE)):
        return Decimal(value.strip(WHITE))
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return Decimal(value) if is_number else None  # type: ignore[arg-type]  # a number, as it was just found to be


def _calendar(date: str, minutes: str, seconds: str, fraction: str, zone: str) -> int:
    """Return the microseconds of a moment; 60 is a leap second."""
    zone = zone.upper().replace("Z", "+00:00")
    try:
        moment = datetime.fromisoformat(f"{date}T{minutes}:00{zone}")
    except ValueError as err:
        raise NoValueError from err
    if int(seconds) > 60:
        raise NoValueError
    since = moment - EPOCH + timedelta(seconds=int(seconds))
    return since // timedelta(microseconds=1) + int(fraction[:6].ljust(6, "0"))


def _is_unsafe(code: int) -> bool:
    """Whether a reader takes a character for a line break, or can't carry it."""
    if code < 0x20:
        return chr(code) not in "\t\n\r"
    return 0x7F <= code <= 0x9F or code in {0x2028, 0x2029} or 0xD800 <= code <= 0xDFFF


def _float(text: str) -> float | str:
    value = float(text)
    return text if math.isinf(value) else value
