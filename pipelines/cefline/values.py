"""What the value of a setting may be: from what was given, text or TOML, to what is meant.

Each function raises ValueError with what was expected.
"""

import re
from collections.abc import Callable
from dataclasses import fields
from difflib import get_close_matches
from typing import NamedTuple

from cefline.moments import moment, window
from cefline_schemas.cef import Device
from cefline_schemas.demands import LEAST_LIMIT
from cefline_schemas.dialects import DIALECTS
from cefline_schemas.dictionary import PROFILES
from cefline_schemas.targets import BY_TARGET
from cefline_schemas.timeline import ALWAYS, BY_NAME

_UNITS = {"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_HOUR = 3600
_DAY = 86_400
_LARGEST = 4 << 30  # S3 takes 5 GiB in one PUT, and a header and a tail come on top
_MOST_PARTITIONS = 5  # leaves 256 bytes of the 1,024 of a key to the prefix
_WORST = 10


class MaxRejects(NamedTuple):
    """How many rejected rows a source may have: the greater of the two."""

    rows: int
    share: float

    def __str__(self) -> str:
        """Return it as the option takes it."""
        return f"{self.rows} or {self.share * 100:g}%" if self.share else str(self.rows)


def size(given: object) -> int:
    """Return the bytes that a size says: `64MiB`, `200KiB`, or a number of bytes."""
    match = re.fullmatch(r"(\d+) ?(B|KiB|MiB|GiB|)", str(given))
    number = int(match[1]) * _UNITS[match[2]] if match else 0
    if not 0 < number <= _LARGEST:
        raise ValueError(_expected("a size above zero, such as 64MiB or 200KiB, up to 4GiB"))
    return number


def size_text(number: int) -> str:
    """Return bytes as a size, in the greatest unit that they fill."""
    for unit, factor in reversed(_UNITS.items()):
        if unit and number >= factor:
            return f"{number / factor:.1f}".removesuffix(".0") + unit
    return "0B"


def limit(given: object) -> int:
    """Return a size that hardly any event is too long for when it is cut."""
    number = size(given)
    if number < LEAST_LIMIT:
        raise ValueError(_expected(f"a size of at least {LEAST_LIMIT} bytes"))
    return number


def text(given: object) -> str:
    """Return text that is not empty."""
    if not isinstance(given, str) or not given:
        raise ValueError(_expected("text"))
    return given


def names(given: object) -> tuple[str, ...]:
    """Return names: a list or tuple, or text with commas between them."""
    listed = given if isinstance(given, list | tuple) else str(given).split(",")
    return tuple(text(str(name).strip()) for name in listed if str(name).strip())


def partitions(given: object) -> tuple[str, ...]:
    """Return partition columns: fields, or `day`; `none` is no partitioning."""
    found = names([] if given == "none" else given)
    for name in found:
        if name not in BY_NAME and name != "day":
            raise ValueError(f"{name} is no field{_nearest(name, [*BY_NAME, 'day'])}")
    if len(found) > _MOST_PARTITIONS or len(set(found)) < len(found):
        raise ValueError(_expected(f"at most {_MOST_PARTITIONS} columns, each once"))
    return found


def truth(given: object) -> bool:
    """Return true or false, also in text, 1 or 0."""
    found = {"true": True, "false": False, "1": True, "0": False}.get(str(given).lower())
    if found is None:
        raise ValueError(_expected("true or false"))
    return found


def count(least: int, most: int = 2**63) -> Callable[[object], int]:
    """Return what reads a whole number within bounds."""
    bounds = f"from {least}" + (f" to {most}" if most < 2**63 else "")

    def parse(given: object) -> int:
        whole = not isinstance(given, bool) and re.fullmatch(r"\d+", str(given))
        if not whole or not least <= int(str(given)) <= most:
            raise ValueError(_expected(f"a whole number {bounds}"))
        return int(str(given))

    return parse


def choice(*allowed: str) -> Callable[[object], str]:
    """Return what reads one of some words."""

    def parse(given: object) -> str:
        if given not in allowed:
            raise ValueError(_expected(", ".join(allowed)) + _nearest(str(given), list(allowed)))
        return str(given)

    return parse


def max_rejects(given: object) -> MaxRejects:
    """Return a limit of rejects: `100`, `0.1%`, or the greater of both, `10 or 0.1%`."""
    match = re.fullmatch(r"(\d+)|(?:(\d+) or )?(\d+(?:\.\d+)?)%", str(given))
    if isinstance(given, bool) or not match:
        raise ValueError(_expected("rows, such as 100, a share, such as 0.1%, or 10 or 0.1%"))
    return MaxRejects(int(match[1] or match[2] or 0), float(match[3] or 0) / 100)


def timezone(given: object) -> str:
    """Return the name of a time zone."""
    import zoneinfo

    if given != "UTC" and given not in zoneinfo.available_timezones():
        raise ValueError(_expected("a time zone, such as UTC or Europe/Berlin"))
    return str(given)


def where(given: object) -> str:
    """Return an expression that says which events are wanted."""
    from cefline.where import parsed  # its parser is for those who need it

    expression = text(given)
    parsed(expression)
    return expression


def field_names(given: object) -> tuple[str, ...]:
    """Return names of fields, each once."""
    found = tuple(dict.fromkeys(names(given)))
    for name in found:
        if name not in BY_NAME:
            raise ValueError(f"{name} is no field{_nearest(name, list(BY_NAME))}")
    return found


def droppable(given: object) -> tuple[str, ...]:
    """Return names of fields that need not be written."""
    found = field_names(given)
    for name in found:
        if name in ALWAYS:
            raise ValueError(f"{name} is always written: {', '.join(sorted(ALWAYS))} are")
    return found


def pairs(given: object) -> tuple[str, ...]:
    """Return pairs, each as `name=value`, in the order of names: a table, a list of them, or text.

    What they may be depends on the profile: `given.problems` says it.
    """
    if isinstance(given, dict):
        if any("=" in name for name in given):
            raise ValueError(_expected("names, each without `=` in it"))
        if not all(isinstance(v, str | int) and not isinstance(v, bool) for v in given.values()):
            raise ValueError(_expected("text for each name"))
        return tuple(sorted(f"{name}={value}" for name, value in given.items()))
    found = names(given)
    if not all(re.fullmatch("[^=]+=.+", one, re.DOTALL) for one in found):
        raise ValueError(_expected("a table, or name=value, separated by commas"))
    if len({one.partition("=")[0] for one in found}) < len(found):
        raise ValueError(_expected("each name once"))
    return tuple(sorted(found))


def severity(given: object) -> tuple[tuple[int, int], ...]:
    """Return a table of severities: `alarm_severity` up to, and CEF's severity, 0 to 10."""
    expected = _expected("a table, alarm_severity up to = severity from 0 to 10, such as 1 = 10")
    if not isinstance(given, dict):
        raise ValueError(expected)  # noqa: TRY004 - what every caller handles
    table = tuple(sorted((int(up_to), int(written)) for up_to, written in given.items()))
    if not all(0 <= written <= _WORST for _, written in table):
        raise ValueError(expected)
    return table


def seconds(given: object) -> float:
    """Return seconds, up to an hour."""
    try:
        number = float(str(given))
    except ValueError:
        number = 0.0
    if not 0 < number < _HOUR:
        raise ValueError(_expected(f"seconds, more than 0 and less than {_HOUR}"))
    return number


def wait(given: object) -> float:
    """Return a number of seconds, from 0 to a day: `60`, `60s`, `10m`, `1h`."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", str(given))
    number = float(match[1]) * {"": 1, "s": 1, "m": 60, "h": _HOUR}[match[2]] if match else -1.0
    if not 0 <= number <= _DAY:
        raise ValueError(_expected("a time such as 60s, 10m or 0, up to 24h"))
    return number


def token(given: object) -> str:
    """Return a word that names something the user does once."""
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", str(given)):
        raise ValueError(
            _expected("a word of letters, digits, `.`, `_` and `-`, such as a ticket's")
        )
    return str(given)


def place(given: object) -> str:
    """Return a local folder or the URL of a prefix, without a slash at its end."""
    found = text(given)
    if "::" in found or re.match(r"(?!(s3|gs|az)://[^/])\w+:/", found):
        raise ValueError(_expected("a local folder or s3://bucket/prefix (gs:// and az:// alike)"))
    return found.rstrip("/") or "/"


def prom_file(given: object) -> str:
    """Return the path of a file that node_exporter's textfile collector reads."""
    found = text(given)
    if "://" in found or "\0" in found or not re.search(r"[^/]\.prom$", found):
        raise ValueError(_expected("a local file that ends in .prom: others are not collected"))
    return found


def endpoint(given: object) -> str:
    """Return the URL of an endpoint, which holds no credentials."""
    found = text(given)
    if not re.fullmatch(r"https?://[^/@\s]+/?", found, re.IGNORECASE):
        raise ValueError(_expected("a URL such as https://s3.example.com, without credentials"))
    return found


def _expected(what: str) -> str:
    return f"expected {what}"


def _nearest(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, 1)
    return f"; did you mean {near[0]}?" if near else ""


PARSERS: dict[str, Callable[[object], object]] = {
    "enabled": truth,
    "sources": names,
    "dest": place,
    "bucket": text,
    "folder": text,
    "state": place,
    "target": choice(*BY_TARGET),
    "format": choice("cef", "json"),
    "profile": choice(*PROFILES),
    "max_line": limit,
    "max_value": limit,
    "time_window": window,
    "escapes": choice("standard", "extended"),
    "omit": names,
    "crlf": choice("keep", "lf"),
    "partition_by": partitions,
    "hive": truth,
    "part_size": size,
    "split_size": size,
    "compression": choice("gzip", "zstd", "none"),
    "compression_level": count(0, 3),
    "max_rejects": max_rejects,
    "max_partitions": count(1),
    "max_event": size,
    "max_expansion": count(1),
    "dialect": choice("auto", *DIALECTS),
    "events_key": text,
    "unknown": choice("drop", "carry", "fail"),
    "lists": choice("python", "json"),
    "accept_truncated": truth,
    "allowed_sources": names,
    "subseconds": truth,
    "time_unit": choice("s", "ms", "us", "ns"),
    "timezone": timezone,
    "where": where,
    "min_severity": count(0, _WORST),
    "since": moment,
    "until": moment,
    "fields": field_names,
    "drop": droppable,
    "keys": pairs,
    "constants": pairs,
    "stamp": truth,
    "framing": choice("none", "rfc3164", "rfc5424"),
    "cef_version": count(0, 1),
    "threads": count(1, 256),
    "memory": choice("normal", "small"),
    "staging": text,
    "staging_max": size,
    "settle": wait,
    "turn_timeout": wait,
    "pace": wait,
    "readers": choice("delete", "keep"),
    "check": choice("listing", "full"),
    "known": choice("deliver", "refuse"),
    "evidence_id": count(0),
    "redeliver": token,
    "retry_failed": truth,
    "assume": choice("delivered", "lost"),
    "adopt": truth,
    "after": choice("none", "tag", "move"),
    "after_to": place,
    "lock": truth,
    "log_format": choice("auto", "text", "json"),
    "metrics_file": prom_file,
    "otel": truth,
    "reports": truth,
    "severity": severity,
    **{f"header.{f.name}": text for f in fields(Device)},
    "s3.endpoint": endpoint,
    "s3.profile": text,
    "s3.region": text,
    "s3.sse": choice("AES256", "aws:kms", "aws:kms:dsse"),
    "s3.sse_kms_key_id": text,
    "s3.acl": text,
    "s3.storage_class": text,
    "s3.tags": text,
    "s3.connect_timeout": seconds,
    "s3.read_timeout": seconds,
    "s3.attempts": count(1, 20),
    "s3.deadline": seconds,
    "s3.allow_http": truth,
}
"""Every setting by its full name, and what reads its value."""
