"""The constants of the header, and its severity; its Name is in `name.py`."""

from functools import cache

import polars as pl

from cefline.escape import escape_constant
from cefline.records import Columns, as_series
from cefline_schemas import cef

Severities = tuple[tuple[int, int], ...]


@cache
def start_of(device: cef.Device, version: int) -> tuple[str, str]:
    """Return what begins each line, and the signature id that the settings give."""
    constants = (device.vendor, device.product, device.version, device.signature_id)
    *start, fixed = (escape_constant(c, cef.HEADER_ESCAPES) for c in constants)
    return "|".join([f"CEF:{version}", *start, ""]), fixed


def severities(columns: Columns, table: Severities, height: int) -> pl.Series:
    """Return the header's severity of each event (Int64).

    Args:
        columns: canonical columns.
        table: `alarm_severity` up to which a severity goes, and that severity.
        height: number of events.
    """
    present = {n: as_series(columns[n]) for n in ("alarm", "alarm_severity") if n in columns}
    frame = pl.DataFrame({"row": pl.repeat(0, height, eager=True), **present})
    alarm = pl.col("alarm") if "alarm" in present else pl.lit(None, pl.Boolean)
    given = pl.col("alarm_severity") if "alarm_severity" in present else pl.lit(None, pl.Int64)
    severity = pl.when(alarm).then(cef.SEVERITY_ALARM).otherwise(cef.SEVERITY_NONE)
    severity = pl.when(given.is_not_null()).then(cef.SEVERITY_ABOVE).otherwise(severity)
    for up_to, written in sorted(table, reverse=True):
        severity = pl.when(given <= up_to).then(written).otherwise(severity)
    return frame.with_columns(severity=severity.cast(pl.Int64))["severity"]
