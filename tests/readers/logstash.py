r"""Logstash's codec `cef` 6.2.8, from its documentation and the behaviour of `cef.rb`.

- A line that is no UTF-8, or lacks one of the seven header fields, is lost.
- A key is word characters, and pieces of other characters after dots. A value goes on until white
  space is followed by what looks like another key. Text before the first key loses the event.
- White space around the extension is dropped, so is that at the end of a value.
- `\\`, `\=`, `\n` and `\r` are undone in one pass, other escapes are kept.
- Of a key that comes twice the last value counts.
- In ECS mode keys of the dictionary become paths: one below a name that has a value already loses
  the event. So does a time that is no positive integer.
"""

import re

from tests.readers import LostError

_HEADER = re.compile(r"CEF:([0-9]+)\|((?:(?:[^|\\]|\\.)*\|){6})(.*)", re.DOTALL)
_KEY = r"\w+(?:\.[^.=\s|\\\[\]]+)*(?:\[[0-9]+\])?="
_NEXT = re.compile(rf"\s+(?={_KEY})", re.ASCII)
_FIRST = re.compile(rf"({_KEY[:-1]})=", re.ASCII)
_BLANKS = " \t\r\n\f\v"
_NAMES = ("vendor", "product", "version", "signature", "name", "severity")

BELOW = {
    "source": "src shost spt sntdom sourceDnsDomain sourceServiceName sproc spid suser suid spriv"
    " smac",
    "destination": "dst dhost dpt dntdom destinationDnsDomain destinationServiceName dproc dpid"
    " duser duid dpriv dmac",
    "observer": "dvc dvchost deviceExternalId dvcmac",
    "file": "fname filePath fileId fileType fileHash fsize filePermission fileCreateTime"
    " fileModificationTime",
    "event": "start end externalId outcome reason act",
    "log": "deviceFacility",
    "host": "ahost",
}
"""The dictionary's keys, by the object of ECS that they go below."""


def read(line: str, *, ecs: bool) -> dict[str, str]:
    """Return header and extension of a line; the keys are the line's own."""
    header = _HEADER.fullmatch(line)
    if header is None:
        message = "the header is not whole"
        raise LostError(message)
    fields = re.findall(r"((?:[^|\\]|\\.)*)\|", header[2])
    found = {
        f"header.{n}": re.sub(r"\\([\\|])", r"\1", f) for n, f in zip(_NAMES, fields, strict=True)
    }
    found |= _extension(header[3].strip(_BLANKS))
    if ecs:
        _check_ecs(found)
    return found


def _extension(text: str) -> dict[str, str]:
    found = {}
    for piece in _NEXT.split(text) if text else []:
        key = _FIRST.match(piece)
        if key is None:
            message = "keyless value present"
            raise LostError(message)
        found[key[1]] = _undone(piece[key.end() :].rstrip(_BLANKS))
    return found


def _undone(value: str) -> str:
    return re.sub(r"\\([\\=nr])", lambda m: {"n": "\n", "r": "\r"}.get(m[1], m[1]), value)


def _check_ecs(found: dict[str, str]) -> None:
    for name, keys in BELOW.items():
        if name in found and set(keys.split()) & set(found):
            message = f"a value of {name} and one below it"
            raise LostError(message)
    for key in ("rt", "start", "end"):
        if key in found and not re.fullmatch("[1-9][0-9]*", found[key]):
            message = f"{key} is no time"
            raise LostError(message)
