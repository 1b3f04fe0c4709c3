"""Metrics as a file that node_exporter's textfile collector reads: written whole or not at all."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import TYPE_CHECKING

from cefline import wholefile
from cefline.metrics import KEPT, METRICS, label

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_LARGEST = 1 << 20
"""Bytes of a file that is taken for one of ours."""

_AHEAD = 86_400.0
"""Seconds that a time of an earlier run may lie ahead: clocks are set back at times."""


def before(path: Path, dest: str, now: float) -> dict[str, float]:
    """Return what an earlier run has written of the metrics that outlive a run.

    Args:
        path: the file; one that is not there, or is broken, holds nothing.
        dest: whose values are wanted.
        now: seconds since 1970; what lies far ahead of it is none of ours.
    """
    from prometheus_client.parser import text_string_to_metric_families

    found = {}
    with suppress(OSError, ValueError):  # not there, no file, no text, or not of this form
        for family in text_string_to_metric_families(_read(path)):
            for sample in family.samples:
                ours = sample.name in KEPT and sample.labels == {"dest": label(dest)}
                if ours and math.isfinite(sample.value) and 0 < sample.value < now + _AHEAD:
                    found[sample.name] = sample.value
    return found


def _read(path: Path) -> str:
    if not path.is_file():  # a pipe would be waited for
        return ""
    with path.open("rb") as file:
        return file.read(_LARGEST).decode()


def text(values: Mapping[str, float], dest: str) -> bytes:
    """Return values of metrics in Prometheus' text format, in the order of their table."""
    from prometheus_client import CollectorRegistry, Gauge, generate_latest

    registry = CollectorRegistry()
    zero = dict.fromkeys(KEPT, 0.0)  # else an alert on their age never fires
    for metric in METRICS:
        value = values.get(metric.name, zero.get(metric.name))
        if value is not None:
            gauge = Gauge(metric.name, metric.help, ["dest"], registry=registry)
            gauge.labels(label(dest)).set(value)
    return generate_latest(registry)


def write(path: Path, content: bytes) -> None:
    """Put a file in the place of another in one step, readable by all.

    Raises:
        OSError: it can't be written; what was there is as it was.
    """
    wholefile.write(path, content, 0o644)  # node_exporter is another user
