"""The fields of a timeline event: names, types, and the CEF key each one becomes.

The table follows the Cado Response CEF standard (its 39 extension fields, and `msg`, which only
the standard's sample line has). The descriptions of `source` and `sourcetype` are swapped in the
standard; its examples hold. Further input names and fields are those of the Cado API (2.324);
`data_type` is plaso's. The input names of other exports are in `dialects`.

The order of the rows is the order of the keys in a line: what identifies and rates an event
first, the longest texts last, so that a reader that cuts long lines cuts the least.
"""

from dataclasses import dataclass
from typing import Literal

from cefline_schemas.dictionary import NOWHERE, PLACES, Home, Key, Place, ProfileName, Spelling, own

__all__ = ["BY_NAME", "CANONICAL", "FIELDS", "Field", "Key", "Type", "with_carried"]

Type = Literal["text", "int", "bool", "time", "list"]
"""What a field holds.

- `text`: any text.
- `int`: a signed 64-bit integer.
- `bool`: true or false.
- `time`: an instant, microseconds since 1970-01-01T00:00:00Z inside, whole seconds in a line.
- `list`: a list of texts or of objects, or text; kept as the Python literal the standard shows.
"""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an event."""

    name: str
    """Canonical name: the standard's."""
    type: Type
    names: tuple[str, ...]
    """Input names, the canonical one first: it wins where a row has several that differ."""
    cado: Key
    """Its key in profile `cado`."""
    doc: str
    example: str
    members: tuple[str, ...] = ()
    """Members of its objects that come first, in this order; the others keep the source's."""
    dictionary: Place = NOWHERE
    """Its keys in profile `dictionary`."""
    free: bool = False
    """Whether it is free text, which may be shortened where a line or a value has a limit; what
    identifies, dates and rates an event never is."""
    given: tuple[Home, ...] = ()
    """Its keys in a profile of the user's own, where that has others."""

    def homes(self, profile: ProfileName) -> tuple[Home, ...]:
        """Return its keys in a profile: the first that a value fits takes it, the last one all."""
        if self.given:
            return self.given
        if profile == "cado":
            return (Home(self.cado),)
        homes = self.dictionary.homes
        return homes if homes and homes[-1].takes_all else (*homes, Home(own(self.cado.name)))

    def form(self, profile: ProfileName) -> Type | Spelling:
        """Return how its values are spelled in a profile."""
        spelling = self.dictionary.spelling
        return spelling if spelling and profile == "dictionary" else self.type


FREE = {
    "alarm_description",
    "parent",  # filePath has it
    "filename_stripped",
    "short",
    "process_arguments",
    "alarm_help_text",
    "highlights",
    "query_suggestions",
    "notes",
    "msg",
    "extra",
}
"""Fields of free text."""


def _field(
    name: str, type_: Type, doc: str, example: str, *, also: str = "", **more: object
) -> Field:
    """Build the row of a field that is written under its own name."""
    names = (name, *also.split())
    more["dictionary"] = PLACES.get(name, NOWHERE)
    more["free"] = name in FREE
    return Field(name, type_, names, Key(name), doc, example, **more)  # type: ignore[arg-type]  # the rest are Field's own


FIELDS: tuple[Field, ...] = (
    _field("alarm", "bool", "Whether a detection raised an alarm", "True"),
    _field(
        "alarm_severity", "int", "Severity by detections: malicious 1, suspicious 3, other 10", "3"
    ),
    _field(
        "alarm_description", "text", "What the alarm is about", "Executable in suspicious location"
    ),
    _field("evidence_id", "int", "ID of the evidence item", "1"),
    _field("evidence_name", "text", "Name of the evidence item", "import_test.dd"),
    _field("macb", "text", "MACB group: modification, access, change, birth", ".A.."),
    _field(
        "source", "text", "The kind of source that produced the event: EVT, FILE, REG, LOG", "REG"
    ),
    _field(
        "sourcetype", "text", "More specific subtype of the source", "Registry Key - UserAssist"
    ),
    _field(
        "eventTime", "time", "Unix time stamp of the event, seconds", "890430600", also="timestamp"
    ),
    _field(
        "filePath",
        "text",
        "Path of the file the event is about",
        "/Users/nromanoff/NTUSER.DAT",
        also="filename",
    ),
    _field(
        "type",
        "text",
        "Event types, separated by `; `; written where the header's Name does not say it",
        "Last Time Executed",
    ),
    _field(
        "tag",
        "text",
        "Tag for the kind of event: Network Logon, File Access, Execution",
        "Execution",
    ),
    _field("format", "text", "The parser that read the event", "winreg/userassist"),
    _field("data_type", "text", "Plaso's name for the kind of data", "fs:stat"),
    _field("version", "text", "Version of the event's format", "2"),
    _field("isFolder", "bool", "Whether the path is a folder", "False", also="is_folder"),
    _field("first_day", "bool", "Whether the event is of the first day it was seen", "False"),
    _field("inode", "text", "The inode, or what the file system has in its place", "43122"),
    _field("sha256", "text", "SHA-256 of the file", "9473faf3"),
    _field("host", "text", "Host name of the event", "WKS-WIN764BITB"),
    _field("domain", "text", "Domain of the event", "example.com"),
    _field("suser", "text", "User of the event", "nromanoff", also="user"),
    _field("source_hostname", "text", "Host name a network connection came from", "10.3.58.7"),
    _field("source_port", "text", "Port a network connection came from", "49201"),
    _field("destination_hostname", "text", "Host name a network connection went to", "example.com"),
    _field("destination_port", "text", "Port a network connection went to", "443"),
    _field("service_name", "text", "Name of the service", "Spooler"),
    _field(
        "executed_process",
        "text",
        "Path of the file that was executed",
        "C:/Windows/Temp/install.exe",
    ),
    _field("process_cwd", "text", "Working directory of the process", "C:/Windows/System32"),
    _field("file_access", "text", "The file that was accessed", "Windows Explorer.lnk"),
    _field("super_short", "text", "The event in a few words", "A Process Was Executed"),
    _field("parent", "text", "Folder of the path", "/Users/nromanoff"),
    _field("filename_stripped", "text", "The path's words", "Users nromanoff NTUSER.DAT"),
    _field("eventId", "text", "ID of the event", "nEqI5nwBOI5t76pr_Z6g", also="id"),
    _field(
        "short",
        "text",
        "Short text with more data of the raw event",
        "Executable in suspicious location",
    ),
    _field("process_arguments", "text", "Arguments of the process", "-k netsvcs"),
    _field("alarm_help_text", "text", "What to look at next", "Look at the parent process."),
    _field(
        "alarm_information",
        "list",
        "The event's alarms; `alarm`, its severity and its description follow from them",
        "[{'description': 'Executable in suspicious location', 'severity': 3}]",
        members=("description", "severity", "attack", "extra"),
    ),
    _field(
        "highlights", "list", "Texts that the alarm is about", "['C:/Windows/Temp/install.exe']"
    ),
    _field(
        "query_suggestions",
        "list",
        "Searches that lead on from the event",
        "[{'str_detected': 'install.exe', 'url': '?query=install.exe'}]",
        members=("str_detected", "url"),
    ),
    _field(
        "notes",
        "list",
        "Notes that users added to the event: text or a list of objects",
        "[{'note': 'seen'}]",
    ),
    _field(
        "msg",
        "text",
        "Message of the event",
        "Malicious File Detected: cryptomining",
        also="message",
    ),
    _field(
        "extra", "text", "Longer text with more raw data than `short`", "offset: 28672; url: ..."
    ),
)
"""All fields, in the order of their keys."""


def with_carried(
    carried: tuple[Field, ...], fields: tuple[Field, ...] = FIELDS
) -> tuple[Field, ...]:
    """Return the table with further fields, before the two that hold the longest texts."""
    return (*fields[:-2], *carried, *fields[-2:])


BY_NAME = {field.name: field for field in FIELDS}

ALWAYS = frozenset({"alarm", "alarm_severity", "evidence_id", "eventTime", "type", "eventId"})
"""Fields that are always written: what identifies, dates and rates an event. `type` is what the
header's Name says."""

CANONICAL = {alias: field.name for field in FIELDS for alias in field.names}
"""Input name to canonical name."""

BEYOND_SECONDS = 10**11
"""Numbers above this are no seconds (year 5138): a column full of them is in another unit."""

BELOW_SECONDS = 10**8
"""Seconds below this (1973) are hardly in a timeline: a column of microseconds that is full of
them, zero aside, is in another unit."""

TIME_SAMPLE = 10_000
"""So many timed values of a source decide whether its numbers are in seconds."""

PLAUSIBLE = (0, 4_102_444_800)
"""1970 to 2100, seconds: times outside are delivered as given, and counted."""
