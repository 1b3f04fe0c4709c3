r"""Splunk: the settings of our page, as Splunk applies them, and the add-on TA-cef-for-splunk.

The add-on deletes each `\r` as it is written from `_raw`, cuts the header at every pipe, undoes no
escape, and drops empty values.
"""

import re
from collections.abc import Mapping

from tests.readers import LostError

_ADD_ON = re.compile(r"CEF:0\|" + r"([^|]*)\|" * 6 + r"(.*)")
_NAMES = ("vendor", "product", "version", "signature", "name", "severity")


def read(line: str, transforms: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Return what two extractions give: the header, and the pairs of the rest."""
    header = re.search(transforms["cefline_header"]["REGEX"], line)
    if header is None:
        message = "the header is not found"
        raise LostError(message)
    named = re.findall(r"(\w+)::\$([0-9]+)", transforms["cefline_header"]["FORMAT"])
    found = {name: header[int(number)] for name, number in named}
    pairs = transforms["cefline_pairs"]
    assert pairs["FORMAT"] == "$1::$2"
    text = found.pop(pairs["SOURCE_KEY"])
    return found | {m[1]: m[2] for m in re.finditer(pairs["REGEX"], text)}


def time(line: str, props: Mapping[str, str]) -> str | None:
    """Return the digits that a time is read from."""
    prefix = re.search(props["TIME_PREFIX"], line)
    if prefix is None:
        return None
    digits = re.match("[0-9]*", line[prefix.end() :][: int(props["MAX_TIMESTAMP_LOOKAHEAD"])])
    return digits[0] if digits else None


def add_on(line: str) -> dict[str, str]:
    """Return what the add-on gives."""
    header = _ADD_ON.fullmatch(line.replace("\\r", ""))
    if header is None:
        message = "the header is not found"
        raise LostError(message)
    found = {f"header.{n}": v for n, v in zip(_NAMES, header.groups(), strict=False)}
    pieces = re.split(r"(?:^| )([A-Za-z0-9_.]+)=", header[7])[1:]
    values = zip(pieces[::2], pieces[1::2], strict=True)
    return found | {key: value for key, value in values if value}
