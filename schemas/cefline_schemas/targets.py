"""What readers of CEF ask of lines beyond the standard, by SIEM: presets of settings.

Each fact says where it is from. A setting of one's own wins over it.
"""

from dataclasses import dataclass
from typing import Literal

Source = Literal["code", "run", "documentation", "not verified"]
"""Where a fact is from: the reader's own code, a run of it, what its maker writes, or nothing that
could be read or run: then it is the careful choice."""


@dataclass(frozen=True, slots=True)
class Fact:
    """A setting, and why."""

    setting: str
    value: str
    """As the command line takes it."""
    why: str
    source: Source


@dataclass(frozen=True, slots=True)
class Target:
    """A SIEM: a preset of settings."""

    name: str
    facts: tuple[Fact, ...]
    open: str = ""
    """What is not known of it, or can't be set here."""


_STANDARD_KEYS = "Standard keys serve it best; which of them it knows is not known"
_CRLF = "Reads `\\r` as a line feed: CR LF would be two breaks"


TARGETS: tuple[Target, ...] = (
    Target(
        "splunk",
        (
            Fact(
                "profile",
                "dictionary",
                "`host`, `source` and `sourcetype` are its own fields",
                "not verified",
            ),
            Fact(
                "max_line",
                "10000",
                "`TRUNCATE` cuts events at 10,000 bytes by default",
                "documentation",
            ),
            Fact(
                "time_window",
                "2001-09-09T01:46:40Z/2038-01-19T03:14:07Z",
                "The add-on reads 13 digits, and no event after 2038 is indexed. `MAX_DAYS_AGO` "
                "(2,000) must be raised to 10951",
                "code",
            ),
            Fact("crlf", "lf", "The add-on deletes each `\\r` at index time", "run"),
            Fact("compression", "gzip", "Known by the name", "not verified"),
        ),
        "The add-on never undoes escapes, and takes `\\\\r` within a path for a carriage return",
    ),
    Target(
        "elastic",
        (
            Fact(
                "profile",
                "dictionary",
                "Beats deletes `type` and `eventId` that are no numbers",
                "code",
            ),
            Fact("max_line", "10MiB", "The aws-s3 input cuts lines at `max_bytes`, 10 MiB", "code"),
            Fact("compression", "gzip", "Known by its first bytes", "code"),
        ),
        "`ignore_above` of keywords: longer values are kept and not searched",
    ),
    Target(
        "logstash",
        (
            Fact(
                "profile",
                "dictionary",
                "Bare `source` or `host` loses the event in ECS mode",
                "code",
            ),
            Fact("pace", "1s", "Keeps a watermark of whole seconds: a tie is never read", "code"),
            Fact("compression", "gzip", "Known by the name's end, `.gz`", "code"),
            Fact("omit", "-", "plaso's sign for nothing; a typed field refuses it", "not verified"),
        ),
        "No limit of lines is known",
    ),
    Target(
        "qradar",
        (
            Fact("profile", "dictionary", _STANDARD_KEYS, "not verified"),
            Fact("max_line", "4096", "Payload of an event by default", "not verified"),
            Fact("compression", "gzip", "In the examples of the DSM guide", "documentation"),
        ),
        "Keys must rise, as they do here. A greater payload can be set there: then set max_line",
    ),
    Target(
        "logscale",
        (
            Fact(
                "profile",
                "dictionary",
                "parseCEF knows the dictionary, and `CEF:0` alone",
                "documentation",
            ),
            Fact(
                "max_line",
                "400000",
                "An event is cut at 1 MB: the line and the fields that are read from it together",
                "documentation",
            ),
            Fact("compression", "gzip", "Detected, or set in the ingest feed", "documentation"),
        ),
    ),
    Target(
        "secops",
        (
            Fact("profile", "dictionary", _STANDARD_KEYS, "not verified"),
            Fact("max_line", "1000000", "The size of a line is not documented", "not verified"),
            Fact("compression", "gzip", "Known by the name's end, `.gz`", "documentation"),
        ),
    ),
    Target(
        "sentinel",
        (
            Fact(
                "profile",
                "dictionary",
                "CommonSecurityLog has the dictionary's keys as columns",
                "documentation",
            ),
            Fact("max_value", "32KiB", "A column holds so much", "not verified"),
            Fact("compression", "gzip", "What its S3 connector takes", "documentation"),
        ),
        "Its S3 connector takes no CEF: a relay (Logstash, a function) must stand between",
    ),
    Target(
        "graylog",
        (
            Fact(
                "profile",
                "dictionary",
                "Its codec knows the dictionary, and renames to labels",
                "code",
            ),
            Fact(
                "max_value",
                "32766",
                "A longer term fails the whole message in the index",
                "documentation",
            ),
            Fact("compression", "gzip", "As a collector in front of it takes it", "not verified"),
        ),
        "Before September 2026 it undoes escapes in a wrong order: `C:\\new` is read with a break",
    ),
    Target(
        "sumo",
        (
            Fact("profile", "dictionary", _STANDARD_KEYS, "not verified"),
            Fact("max_line", "64KiB", "A longer message is sliced into several", "documentation"),
            Fact(
                "compression",
                "gzip",
                "Known by the name's end and the first bytes",
                "documentation",
            ),
        ),
    ),
    Target(
        "cribl",
        (
            Fact("profile", "dictionary", _STANDARD_KEYS, "not verified"),
            Fact("max_line", "51200", "Event breakers cut there by default", "not verified"),
            Fact(
                "compression",
                "gzip",
                "Needs `application/x-gzip` and `.gz`, as parts have",
                "documentation",
            ),
        ),
    ),
    Target(
        "datadog",
        (
            Fact("profile", "dictionary", _STANDARD_KEYS, "not verified"),
            Fact(
                "max_line",
                "250000",
                "The Forwarder drops what is longer than 512,000 bytes as JSON, which doubles "
                'each `\\` and `"` and has fields of its own',
                "code",
            ),
            Fact("compression", "gzip", "Known by the name's end or the first bytes", "code"),
        ),
        "Its intake takes times of the last 18 hours: the event's time stays an attribute",
    ),
    Target(
        "vector",
        (
            Fact("profile", "dictionary", _STANDARD_KEYS, "not verified"),
            Fact("crlf", "lf", _CRLF, "code"),
            Fact("compression", "gzip", "Known by `Content-Type`", "code"),
        ),
        "Takes off quotes that a value begins and ends with, and edge blanks",
    ),
    Target(
        "tenzir",
        (
            Fact("profile", "dictionary", _STANDARD_KEYS, "not verified"),
            Fact(
                "escapes",
                "extended",
                'Loses events with a bare `|` in a value, and pairs after an odd `"`',
                "run",
            ),
            Fact("crlf", "lf", _CRLF, "code"),
            Fact("compression", "gzip", "Unpacked by a step of the pipeline", "not verified"),
        ),
        "Read with `raw=true`, else values are typed by their looks. Edge blanks are lost",
    ),
    Target(
        "arcsight",
        (
            Fact(
                "profile",
                "dictionary",
                "Its own dictionary, with types and lengths",
                "documentation",
            ),
            Fact("compression", "none", "Connectors that read files unpack none", "not verified"),
        ),
        "Keys of our own are additional data there, without reports and correlation",
    ),
)
"""Sources: the readers' code and documentation, as of November 2026; Sumo Logic, Search Large
Messages; LogScale, Limits and Standards; Datadog, Send logs; Graylog2/graylog2-server issue 873."""

BY_TARGET = {target.name: target for target in TARGETS}
