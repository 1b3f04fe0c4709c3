"""The log on standard error: lines for people on a terminal, JSON lines elsewhere."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cefline.shown import printable

if TYPE_CHECKING:
    from cefline.config import LogFormat


def configure(form: LogFormat, *, quiet: bool) -> None:
    """Set up the log of this process.

    Args:
        form: `text`, `json`, or `auto`: text on a terminal, JSON elsewhere.
        quiet: whether warnings and errors alone are logged.
    """
    bars = sys.stderr.isatty() and not is_json(form)  # they say it instead of lines
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(asked=form == "json") if is_json(form) else TextLines())
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    logging.getLogger("cefline").setLevel(logging.WARNING if quiet or bars else logging.INFO)
    # It logs tracebacks, and headers that it can't parse; a run tells what was not sent.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL + 1)


def is_json(form: LogFormat) -> bool:
    """Whether lines of a format are JSON."""
    return form == "json" or (form == "auto" and not sys.stderr.isatty())


def all_json() -> bool:
    """Whether errors that end a run are log lines, too: where JSON was asked for by name."""
    formatters = (handler.formatter for handler in logging.getLogger().handlers)
    return any(isinstance(one, JsonLines) and one.asked for one in formatters)


class TextLines(logging.Formatter):
    """One line a record; nothing in it can begin another, or steer a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return time, level and message."""
        return f"{_time(record)} {record.levelname} {printable(record.getMessage())}"


class JsonLines(logging.Formatter):
    """One object a record: `time`, `level`, `message`, and what the record says of it beside.

    That is the mapping `said` of its `extra`: `event`, `source`, `seconds` and counts. Neither has
    a traceback: what a library logs of an error of its own is its name.
    """

    def __init__(self, *, asked: bool) -> None:
        """Take whether JSON was asked for by name."""
        super().__init__()
        self.asked = asked

    def format(self, record: logging.LogRecord) -> str:
        """Return the object."""
        line = {
            "time": _time(record),
            "level": record.levelname,
            "message": printable(record.getMessage()),
            **getattr(record, "said", {}),
        }
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__
        return json.dumps(line)


def _time(record: logging.LogRecord) -> str:
    stamp = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    return stamp.replace("+00:00", "Z")
