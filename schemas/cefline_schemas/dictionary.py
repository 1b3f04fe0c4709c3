"""Profile `dictionary`: what a key of CEF's own dictionary takes, and keys of our own.

Source: CEF Implementation Standard, OpenText, version 27 (ArcSight extension dictionary, and user
defined extensions); where readers take less than the standard says, what they take.
"""

from dataclasses import dataclass
from typing import Literal

ProfileName = Literal["cado", "dictionary"]
PROFILES: tuple[ProfileName, ...] = ("cado", "dictionary")

Fit = Literal["ipv4", "ipv6", "port", "number", "instant", "dotted"]
"""What a value must be for a key.

- `ipv4`, `ipv6`: an address, and nothing beside it (no zone, no leading zeros).
- `port`: an integer from 0 to 65535.
- `number`: an integer that is surely a long, in the one form that text gets back.
- `instant`: milliseconds since 1970, above zero: Logstash in ECS mode loses the whole event for
  zero and for what is before it.
- `dotted`: a name with dots, as DNS has them.
"""

_OCTET = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = rf"{_OCTET}(\.{_OCTET}){{3}}"
_GROUP = "[0-9A-Fa-f]{1,4}"
_IPV6 = "|".join(
    [
        f"({_GROUP}:){{7}}{_GROUP}",
        f"({_GROUP}:){{6}}{_IPV4}",
        f"({_GROUP}:){{1,7}}:",
        *(f"({_GROUP}:){{1,{7 - n}}}(:{_GROUP}){{1,{n}}}" for n in range(1, 7)),
        f":((:{_GROUP}){{1,7}}|:)",
        f"::({_GROUP}:){{0,5}}{_IPV4}",
        *(f"({_GROUP}:){{{n}}}:({_GROUP}:){{0,{5 - n}}}{_IPV4}" for n in range(1, 6)),
    ]
)

FITS: dict[Fit, str] = {
    "ipv4": f"^{_IPV4}$",
    "ipv6": f"^({_IPV6})$",
    "port": (
        "^(0|[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])$"
    ),
    "number": "^(0|-?[1-9][0-9]{0,17})$",
    "instant": "^[1-9][0-9]*$",
    "dotted": r"^[^\s.]+(\.[^\s.]+)+\.?$",
}
"""The regular expression of each; a value that does not match goes on to the next key."""


@dataclass(frozen=True, slots=True)
class Key:
    """The key a field is written under; `{key}Label={label}` goes before it where it has one."""

    name: str
    label: str = ""

    @property
    def prefix(self) -> str:
        """What stands before the value, so that a label is there if and only if its key is."""
        return f"{self.name}Label={self.label} {self.name}=" if self.label else f"{self.name}="


@dataclass(frozen=True, slots=True)
class Home:
    """A key that takes the values that fit it."""

    key: Key
    fits: Fit | None = None
    most: int | None = None
    """Bytes at most, as they are written: the standard does not say whether its lengths are of
    bytes or characters, before or after escaping, and this is the least of all."""

    @property
    def takes_all(self) -> bool:
        """Whether every value fits."""
        return self.fits is None and self.most is None


@dataclass(frozen=True, slots=True)
class Copy:
    """A key that says again what a field says; left out where it does not fit."""

    home: Home
    part: Literal["all", "basename"] = "all"
    unless: str = ""
    """The field that has the key before this one."""


Spelling = Literal["millis", "folder"]
"""How this profile spells what it does not spell as `cado` does.

- `millis`: an instant as whole milliseconds, the one form of a time that all readers take.
- `folder`: true as `folder`, false as `file`.
"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a field is in this profile."""

    homes: tuple[Home, ...] = ()
    """The first one that a value fits takes it, whole. What fits none goes under a key of our
    own: `own`."""
    copies: tuple[Copy, ...] = ()
    spelling: Spelling | None = None
    why: str = ""
    """The reason, where it is not obvious."""


NOWHERE = Place()
"""Where a field is that has a key of our own alone."""

OWN_PREFIX = "CadoResponse"
"""How keys of our own begin: the standard wants the product's name in front, and letters and
digits alone (user defined extensions)."""


def own(name: str) -> Key:
    """Return the key of our own that a name becomes: `evidence_name`, `CadoResponseEvidenceName`.

    No dictionary has one: a value of any length and form can stand there.
    """
    return Key(OWN_PREFIX + "".join(word[:1].upper() + word[1:] for word in name.split("_")))


def _at(
    *homes: Home,
    copies: tuple[Copy, ...] = (),
    spelling: Spelling | None = None,
    why: str = "",
) -> Place:
    return Place(homes, copies, spelling, why)


def home(key: str, label: str = "", *, fits: Fit | None = None, most: int | None = None) -> Home:
    """Return a key, and what fits it."""
    return Home(Key(key, label), fits, most)


SIGNATURE_MOST = 500
"""Characters of one slug in a signature id at most: two and their hyphens fit the 1,023 bytes of
the Device Event Class ID."""

ALARM_SIGNATURE = "alarm"
"""How the signature ids of alarms begin."""

PLACES: dict[str, Place] = {
    "alarm_severity": _at(
        home("cn2", "AlarmSeverity"),
        why="Severity of the header is CEF's, from 10 down; this is the detection's own number",
    ),
    "alarm_description": _at(home("cs1", "AlarmDescription", most=4000)),
    "evidence_id": _at(
        home("cn1", "EvidenceId"), why="A number, so that it can be compared and counted"
    ),
    "evidence_name": _at(
        home("deviceExternalId", most=255),
        why="The evidence item stands for the device that the events are of",
    ),
    "macb": _at(home("flexString1", "Macb", most=1023), why="No key of the dictionary is about it"),
    "source": _at(home("deviceFacility", most=1023), why="The facility is what produced the event"),
    "sourcetype": _at(
        home("cs5", "SourceType", most=4000),
        copies=(Copy(home("cat", most=1023), unless="tag"),),
        why="One place in all events, whether they have a tag or not",
    ),
    "eventTime": _at(
        home("rt", fits="instant"),
        copies=(Copy(home("start", fits="instant")),),
        spelling="millis",
        why="Readers take one or the other for the time of the event. Not for zero or before 1970: "
        "Logstash in ECS mode loses the whole event",
    ),
    "filePath": _at(
        home("filePath", most=1023),
        copies=(Copy(home("fname", most=1023), part="basename"),),
        why="`fname` is what follows the last `/` or backslash",
    ),
    "type": _at(why="The dictionary's `type` is a number from 0 to 3; readers delete text there"),
    "tag": _at(
        home("cat", most=1023),
        why="Equal to `sourcetype` it has a key of its own: `cat` alone would not tell which it is",
    ),
    "format": _at(home("cs2", "Parser", most=4000)),
    "version": _at(home("cn3", "FormatVersion", fits="number")),
    "isFolder": _at(home("fileType"), spelling="folder", why="`folder` or `file`"),
    "inode": _at(home("fileId", most=1023)),
    "sha256": _at(home("fileHash", most=255)),
    "host": _at(
        home("dvc", fits="ipv4"),
        home("c6a1", "DeviceIPv6Address", fits="ipv6"),
        home("dvchost", most=100),
        why="The device that the event happened on; `host` is an object in ECS",
    ),
    "domain": _at(
        home("sourceDnsDomain", fits="dotted", most=255),
        home("sntdom", most=255),
        why="With dots it is of DNS, without of Windows",
    ),
    "suser": _at(home("suser", most=1023)),
    "source_hostname": _at(
        home("src", fits="ipv4"),
        home("c6a2", "SourceIPv6Address", fits="ipv6"),
        home("shost", most=1023),
        why="`src` takes IPv4 alone; the standard's table lacks `c6a2`, Vector has it",
    ),
    "source_port": _at(home("spt", fits="port"), why="Exports also have text such as `TCP 80`"),
    "destination_hostname": _at(
        home("dst", fits="ipv4"),
        home("c6a3", "DestinationIPv6Address", fits="ipv6"),
        home("dhost", most=1023),
        why="`dst` takes IPv4 alone",
    ),
    "destination_port": _at(home("dpt", fits="port")),
    "service_name": _at(home("sourceServiceName", most=1023)),
    "executed_process": _at(home("sproc", most=1023)),
    "parent": _at(home("flexString2", "Parent", most=1023)),
    "eventId": _at(
        home("externalId", most=40),
        why="The dictionary's `eventId` is a number that ArcSight sets; readers delete text there",
    ),
    "short": _at(home("cs4", "Short", most=4000)),
    "process_arguments": _at(home("cs3", "ProcessArguments", most=4000)),
    "msg": _at(home("msg", most=1023)),
    "extra": _at(home("cs6", "Extra", most=4000)),
}
"""By field. Labels are letters and digits, and each is there once: some readers rename keys to
them."""
