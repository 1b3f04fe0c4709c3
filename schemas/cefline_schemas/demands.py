"""What a reader of CEF may ask of lines beyond the standard, and how long texts are cut for it."""

from dataclasses import dataclass

from cefline_schemas import cef

LEAST_KEPT = 40
"""Bytes at least of a text that is cut, with its mark: an event that needs less is rejected."""

LEAST_NAMED = 1100
"""The same of a text that Name may be made of: Name must stay what it is, and of its 512 bytes
each may be two in a value."""

LEAST_LIMIT = 2048
"""The smallest limit that may be set: below, hardly an event would fit."""


def mark(count: str) -> str:
    """Return what ends a text that was cut: no character of it has an escape in any reader."""
    return f"...[cut {count} bytes]"


@dataclass(frozen=True, slots=True)
class Demands:
    """What a reader asks of lines; by default nothing beyond the standard."""

    max_value: int | None = None
    """Bytes of a value, as they are written."""
    max_line: int | None = None
    """Bytes of a line with its LF."""
    window: tuple[int, int] | None = None
    """Microseconds since 1970, from and before: where the keys `rt` and `start` may be."""
    escapes: cef.Escapes = cef.EXTENSION_ESCAPES
    omit: tuple[str, ...] = ()
    """Texts that are left out as nulls are."""
    crlf_as_lf: bool = False

    @property
    def limited(self) -> bool:
        """Whether there is a limit of lengths."""
        return self.max_value is not None or self.max_line is not None

    @property
    def other_text(self) -> bool:
        """Whether texts are not taken as they are."""
        return bool(self.omit) or self.crlf_as_lf
