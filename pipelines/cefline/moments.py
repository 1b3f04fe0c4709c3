"""Moments that the user names: ISO 8601, or epoch seconds."""

import datetime as dt
import re
from decimal import Decimal
from math import floor

from cefline_schemas.timeline import BEYOND_SECONDS

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def micros(given: str) -> int:
    """Return a moment, ISO 8601 (UTC where it has no zone) or epoch seconds, as microseconds.

    Raises:
        ValueError: it is none.
    """
    text = given.strip()
    if re.fullmatch(r"[+-]?[0-9]{1,15}(\.[0-9]+)?", text):
        if abs(Decimal(text)) > BEYOND_SECONDS:
            message = f"{text} is too great for seconds"
            raise ValueError(message)
        return floor(Decimal(text) * 1_000_000)
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        message = "expected a time such as 2026-01-12T10:15:00Z, 2026-01-12 or epoch seconds"
        raise ValueError(message) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    return (moment - _EPOCH) // dt.timedelta(microseconds=1)


def moment(given: object) -> str:
    """Return a moment as ISO 8601 in UTC; beyond the calendar as epoch seconds.

    Raises:
        ValueError: it is none.
    """
    since = micros("" if isinstance(given, bool) else str(given))
    try:
        found = _EPOCH + dt.timedelta(microseconds=since)
    except OverflowError:
        return str(Decimal(since) / 1_000_000)
    return found.isoformat().replace("+00:00", "Z")


def window(given: object) -> str:
    """Return a span of time, `<from>/<before>`, either of them left out.

    Raises:
        ValueError: it is none.
    """
    ends = [moment(end) if end else "" for end in str(given).split("/")]
    span = "/".join(ends)
    if len(ends) != 2 or span == "/" or span_micros(span)[0] >= span_micros(span)[1]:  # noqa: PLR2004 - ends
        message = "expected two times, the first before the second: 2001-09-09/2038-01-19"
        raise ValueError(message)
    return span


def span_micros(span: str) -> tuple[int, int]:
    """Return the ends of a span in microseconds: from, and before."""
    since, until = span.split("/")
    return micros(since) if since else -(2**63), micros(until) if until else 2**63 - 1
