r"""Beats' processor `decode_cef`, from its documentation and the behaviour of `cef.rl`, `types.go`.

- Severity is letters, digits and hyphens. In the header `\\` and `\|` are undone, another escape
  ends it.
- A key is letters, digits, `_`, and `.`, `,`, `[`, `]` within. An unescaped `=` in a value, or an
  escape other than `\\` `\=` `\n` `\r`, loses the field.
- Keys of the dictionary, in any case, are converted; what does not fit is deleted. Either way there
  is an error. Custom keys stay text.
- Empty values are left out, blanks at the end of the last value as well.
"""

import ipaddress
import re
from typing import NamedTuple

from tests.readers import LostError

_HEADER = re.compile(
    r"CEF:([0-9]+)\|((?:(?:[^|\\]|\\[|\\])*\|){5})([A-Za-z0-9-]*)\|(.*)", re.DOTALL
)
_PAIR = re.compile(r"(?:^|(?<= ))([A-Za-z0-9_][A-Za-z0-9_.,\[\]]*)=")
_VALUE = re.compile(r"(?:[^\\=]|\\[\\=nr])*")

INTEGERS = {
    **dict.fromkeys(["type", "cnt", "dpid", "dvcpid", "spid", "in", "out", "fsize"], 32),
    **dict.fromkeys(["spt", "dpt", "sourcetranslatedport", "destinationtranslatedport"], 32),
    **dict.fromkeys(["eventid", "cn1", "cn2", "cn3"], 64),
}
"""Bits of whole numbers, by key in lower case."""
TIMES = {"rt", "start", "end", "art", "filecreatetime", "filemodificationtime"}
ADDRESSES = {"src", "dst", "dvc", "c6a1", "c6a2", "c6a3", "c6a4", "agt"}


class Read(NamedTuple):
    """What is in the document."""

    found: dict[str, str]
    errors: list[str]
    """Of `error.message`."""


def read(line: str) -> Read:
    """Return the extension of a line, and the header; the keys are the line's own."""
    header = _HEADER.match(line, line.index("CEF:"))
    if header is None:
        message = "incomplete CEF header"
        raise LostError(message)
    names = ("vendor", "product", "version", "signature", "name")
    fields = re.findall(r"((?:[^|\\]|\\.)*)\|", header[2])
    found = {
        f"header.{n}": re.sub(r"\\([\\|])", r"\1", f) for n, f in zip(names, fields, strict=True)
    }
    found["header.severity"] = header[3]
    errors = []
    for key, value in _pairs(header[4]):
        if value is None:
            errors.append(f"malformed value for {key}")
        elif value and _fits(key.lower(), value):
            found[key] = value
        elif value:
            errors.append(f"{key}: {value[:20]!r} does not fit")
    return Read(found, errors)


def _pairs(text: str) -> list[tuple[str, str | None]]:
    """Return keys and values; None for a malformed one."""
    starts = list(_PAIR.finditer(text))
    ends = [*(m.start() - 1 for m in starts[1:]), len(text)] if starts else []
    found: list[tuple[str, str | None]] = []
    for start, end in zip(starts, ends, strict=True):
        value = text[start.end() : end]
        value = value.rstrip(" ") if end == len(text) else value
        found.append((start[1], _undone(value) if _VALUE.fullmatch(value) else None))
    return found


def _undone(value: str) -> str:
    return re.sub(r"\\([\\=nr])", lambda m: {"n": "\n", "r": "\r"}.get(m[1], m[1]), value)


def _fits(key: str, value: str) -> bool:
    if key in INTEGERS:
        most = 2 ** (INTEGERS[key] - 1)
        number = _number(value)
        return number is not None and -most <= number < most
    if key in TIMES:
        number = _number(value)
        return number is not None and -(2**63) <= number < 2**63
    if key in ADDRESSES:
        try:
            ipaddress.ip_address(value)
        except ValueError:
            return False
    return True


def _number(value: str) -> int | None:
    """Read a number as Go does with base 0: `0755` is octal, `0x1f` is hexadecimal."""
    octal = re.sub(r"^([+-]?)0(?=[0-7])", r"\g<1>0o", value)
    try:
        return int(octal, 0)
    except ValueError:
        return None
