"""CEF's dictionary, copied from the standard by hand, and what a line must hold to keep to it.

Source: CEF Implementation Standard, OpenText, version 27 (SmartConnectors 25.1), chapter 2 and the
table of keys that consumers set. Shares nothing with cefline, its tables included.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STRINGS = {
    31: "app proto",
    40: "externalId",
    63: "act outcome",
    100: "dvchost",
    128: "deviceInboundInterface deviceOutboundInterface devicePayloadId"
    " flexDate1Label flexString1Label flexString2Label",
    255: "destinationDnsDomain deviceDnsDomain deviceExternalId deviceNtDomain dntdom dtz fileHash"
    " oldFileHash sntdom sourceDnsDomain",
    1023: "c6a1Label c6a2Label c6a3Label c6a4Label cat cfp1Label cfp2Label cfp3Label cfp4Label"
    " cn1Label cn2Label cn3Label cs1Label cs2Label cs3Label cs4Label cs5Label cs6Label"
    " destinationServiceName deviceCustomDate1Label deviceCustomDate2Label deviceFacility"
    " deviceProcessName dhost dpriv dproc duid duser fileId filePath filePermission fileType"
    " flexString1 flexString2 fname msg oldFileId oldFileName oldFilePath oldFilePermission"
    " oldFileType reason request requestClientApplication requestCookies requestMethod shost"
    " sourceServiceName spriv sproc suid suser",
    2048: "requestContext",
    4000: "cs1 cs2 cs3 cs4 cs5 cs6",
}
"""Keys of text, by their length."""

OTHERS = {
    "ipv4": "destinationTranslatedAddress deviceTranslatedAddress dst dvc sourceTranslatedAddress"
    " src",
    "ipv6": "c6a1 c6a2 c6a3 c6a4",  # c6a2 is missing in the table, and in the list of groups
    "mac": "dmac smac",
    "port": "destinationTranslatedPort dpt sourceTranslatedPort spt",
    "integer": "cnt deviceDirection dpid dvcpid fsize in oldFileSize out spid",
    "long": "cn1 cn2 cn3",
    "double": "cfp1 cfp2 cfp3 cfp4",
    "timestamp": "deviceCustomDate1 deviceCustomDate2 end fileCreateTime fileModificationTime"
    " flexDate1 oldFileCreateTime oldFileModificationTime rt start",
}
"""Keys of other types."""

FORBIDDEN = (
    "type eventId rawEvent agentDnsDomain agentNtDomain agentTranslatedAddress"
    " agentTranslatedZoneExternalID agentTranslatedZoneURI agentZoneExternalID agentZoneURI agt"
    " ahost aid amac art at atz av customerExternalID customerURI dlat dlong slat slong"
)
"""Keys that hold no text of ours (`type`), or that only consumers set."""

ECS = (
    "agent as client cloud code_signature container data_stream destination device dll dns ecs elf"
    " email entity error event faas file geo group hash host http interface labels log macho"
    " network observer orchestrator organization os package pe process registry related risk rule"
    " server service source span tags threat tls trace transaction tracing url user user_agent vlan"
    " volume vulnerability x509"
)
"""Names of objects (and of lists) in the Elastic Common Schema: text there loses the event."""


def _long(value: str) -> bool:
    return bool(re.fullmatch("-?[0-9]+", value)) and -(2**63) <= int(value) < 2**63


def _integer(value: str) -> bool:
    return _long(value) and -(2**31) <= int(value) < 2**31


def _timestamp(value: str) -> bool:
    """Whether it is milliseconds since 1970, as Logstash's codec matches them."""
    return bool(re.fullmatch("[1-9][0-9]*", value)) and int(value) < 2**63


def _address(kind: Callable[[str], object]) -> Callable[[str], bool]:
    def check(value: str) -> bool:
        try:
            kind(value)
        except ValueError:
            return False
        return "%" not in value

    return check


def _port(value: str) -> bool:
    return bool(re.fullmatch("0|[1-9][0-9]{0,4}", value)) and int(value) <= 65535


CHECKS: dict[str, Callable[[str], bool]] = {
    "ipv4": _address(ipaddress.IPv4Address),
    "ipv6": _address(ipaddress.IPv6Address),
    "port": _port,
    "integer": _integer,
    "long": _long,
    "timestamp": _timestamp,
}
"""What the types take that can occur: another one is a mistake."""

KEYS: dict[str, str | int] = {
    **{key: most for most, keys in STRINGS.items() for key in keys.split()},
    **{key: type_ for type_, keys in OTHERS.items() for key in keys.split()},
}
"""Each key, and its type, or its length where it is text."""

_PAIR = re.compile(r"([^ =]+)=((?:[^\\=]|\\[\\=nr])*)(?: (?=[^ =]+=)|$)")
_LABELLED = re.compile(r"(c6a|cfp|cn|cs)[1-6]|flex(String|Date)[12]|deviceCustomDate[12]")
_OWN = re.compile("CadoResponse[A-Za-z0-9]+")


def pairs(line: str) -> list[tuple[str, str]]:
    """Return the keys of a line, and their values as they are written."""
    extension = re.fullmatch(r"CEF:0\|(?:(?:[^\\|]|\\.)*\|){6}(.*)", line, re.DOTALL)
    assert extension, line
    found = _PAIR.findall(extension[1])
    assert " ".join(f"{key}={value}" for key, value in found) == extension[1], line
    return found


def wrong(line: str) -> Iterator[str]:
    """Yield what of a line does not keep to the dictionary."""
    found = pairs(line)
    keys = [key for key, _ in found]
    folded = [key.casefold() for key in keys]
    yield from (f"{key} twice" for key in set(keys) if folded.count(key.casefold()) > 1)
    yield from (f"{key} is none of ours" for key in {*FORBIDDEN.split(), *ECS.split()} & set(keys))
    for (key, value), before in zip(found, [("", ""), *found], strict=False):
        if key in KEYS:
            yield from unfit(key, value)
        elif not _OWN.fullmatch(key) or key.endswith("Label"):
            yield f"{key} is in no dictionary, and no conformant name"
        if _LABELLED.fullmatch(key) and before[0] != f"{key}Label":
            yield f"{key} has no label"
        if key.endswith("Label") and key[:-5] not in keys:
            yield f"{key} labels nothing"
    header = re.match(r"CEF:0\|(?:(?:[^\\|]|\\.)*\|){3}([^|]*)\|", line)
    if not header or not re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", header[1]) or len(header[1]) > 1023:
        yield "the signature id is no slug"


def unfit(key: str, value: str) -> Iterator[str]:
    """Yield what of a value, as it is written, does not fit its key."""
    kind = KEYS[key]
    if isinstance(kind, str):
        if not CHECKS[kind](value):
            yield f"{key} is no {kind}: {value!r}"
        return
    raw = re.sub(r"\\(.)", lambda m: {"n": "\n", "r": "\r"}.get(m[1], m[1]), value)
    lengths = {len(raw), len(raw.encode()), len(raw.encode("utf-16-le")) // 2, len(value.encode())}
    if not raw or max(lengths) > kind:
        yield f"{key} has {max(lengths)} of {kind}"
    if key.endswith("Label") and not re.fullmatch("[A-Za-z0-9_]+", value):
        yield f"{key} is {value!r}"
