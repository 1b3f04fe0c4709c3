"""CEF text: header, escapes, replaced characters, Name and severity.

Standard: the Cado Response CEF standard, and the CEF Implementation Standard it stands on
(OpenText, version 27). Where these are silent, what readers do decides (Beats, liblognorm, Vector,
Logstash, Tenzir, Graylog, Splunk).
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Device:
    """The header fields that are the same in every line; the defaults are the standard's sample."""

    vendor: str = "CadoSecurity"
    product: str = "CadoResponse"
    version: str = "1.0.2"
    signature_id: str = "0"


Escapes = tuple[tuple[str, str], ...]

HEADER_ESCAPES: Escapes = (("\\", "\\\\"), ("|", "\\|"))
"""Raw and escaped; the backslash first. In the header `=` stays as it is (Vector and Beats refuse
any other escape there)."""

EXTENSION_ESCAPES: Escapes = (("\\", "\\\\"), ("=", "\\="), ("\n", "\\n"), ("\r", "\\r"))
"""Raw and escaped; the backslash first. No other escape exists: Beats and liblognorm fail on any
other, `\\|` and `\\t` included."""

EXTENDED_ESCAPES: Escapes = (*EXTENSION_ESCAPES, ("|", "\\|"), ('"', '\\"'))
"""Raw and escaped, for Tenzir alone: it loses an event with a bare `|` in a value, and takes `=`
for text after an odd quote."""

JSON_ESCAPES: Escapes = (
    ("\\", "\\\\"),
    ('"', '\\"'),
    ("\n", "\\n"),
    ("\r", "\\r"),
    ("\t", "\\t"),
)
"""Raw and escaped, in texts of CadoJson; the backslash first."""

NEEDS_ESCAPE = {
    HEADER_ESCAPES: r"[\\|]",
    EXTENSION_ESCAPES: r"[\\=\n\r]",
    EXTENDED_ESCAPES: r"[\\=\n\r|\"]",
    JSON_ESCAPES: r"[\\\"\n\r\t]",
}
"""What a value holds that needs escaping, as a regular expression."""

UNSAFE = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029]"
"""Characters that some reader takes for a line break or can't carry: C0 but TAB, LF and CR (the
last two have escapes), DEL, C1 with NEL, and the line and paragraph separators. They are written
as visible `\\uXXXX`."""

BIDI = r"[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
"""Characters that change the direction of text where it is shown: kept, and counted."""

NAME_MAX_BYTES = 512
"""Limit of the header's Name (CEF Implementation Standard, header fields): bytes after escaping."""

NAME_FALLBACKS = ("super_short", "short")
NAME_LAST = "Timeline Event"
"""Name is `type`; where it has no text, the first of these that has some."""

SEVERITY: tuple[tuple[int, int], ...] = ((1, 10), (3, 7), (9, 4))
"""`alarm_severity` up to the first number gives the second. CEF counts upwards (10 worst), the
detections downwards (malicious 1, suspicious 3, other 10)."""

SEVERITY_ABOVE = 1
"""Severity for any greater `alarm_severity`."""

SEVERITY_ALARM = 10
SEVERITY_NONE = 1
"""Severity of an event without a readable `alarm_severity`: with `alarm=True`, and otherwise."""

STAMP = "CadoResponseDelivery"
"""Key of the delivery that a line came in, where lines are stamped. A custom key, in the form that
the CEF Implementation Standard gives for these: one alphanumeric word, vendor and product first."""

Framing = Literal["none", "rfc3164", "rfc5424"]
"""The syslog header before `CEF:`."""

SYSLOG_FACILITY = 16
"""local0 (RFC 5424, 6.2.1)."""

SYSLOG_SEVERITY: tuple[tuple[int, int], ...] = ((3, 6), (6, 4), (8, 3))
"""CEF's severity up to the first number is syslog's second: Low informational, Medium warning,
High error. Syslog counts downwards."""

SYSLOG_WORST = 2
"""Syslog's severity for any greater one, Very-High: critical."""

NO_HOST = r"[^A-Za-z0-9.-]"
"""What is written as `_` in HOSTNAME and APP-NAME. RFC 5424 (6) has all printable ASCII but the
space there; `:` and `|` are left to CEF: who looks for its beginning finds no other."""

SYSLOG_HOST_MAX = 255
SYSLOG_APPLICATION_MAX = 48
"""Characters of HOSTNAME and APP-NAME (RFC 5424, 6)."""

SYSLOG_HEADER = (
    r"<[0-9]{1,3}>(?:1 [^ ]+ [^ ]+ [^ ]+ - - - "
    r"|[A-Z][a-z][a-z] [ 0-9][0-9] [0-9]{2}:[0-9]{2}:[0-9]{2} [^ ]+ )?"
)
"""The headers that are written, as a regular expression: `parse` leaves them off."""
