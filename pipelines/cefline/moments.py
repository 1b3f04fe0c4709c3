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
