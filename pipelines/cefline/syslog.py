"""The syslog header that goes before an event's CEF, where a reader wants one.

RFC 5424: `<PRI>1 TIMESTAMP HOSTNAME APP-NAME - - - `; RFC 3164: `<PRI>TIMESTAMP HOSTNAME `.
Nothing in it is made up: what an event does not have is `-`; without a time nothing but PRI is
left of RFC 3164's, which takes such a message (4.3.2).
"""

import re

import polars as pl
import pyarrow as pa

from cefline.records import Columns, apply
from cefline_schemas import cef

_CALENDAR = (-62_135_596_800_000_000, 253_402_300_799_999_999)
"""Microseconds of the years 1 to 9999, which have four digits."""


def header(
    columns: Columns, severity: pl.Series, product: str, framing: cef.Framing, *, subseconds: bool
) -> pl.Series:
    """Return the syslog header of each event (String, no null), with the space that ends it.

    Args:
        columns: canonical columns; `eventTime` and `host` are used.
        severity: CEF's, of each event.
        product: the device's, for APP-NAME.
        framing: which header.
        subseconds: whether microseconds are written; RFC 3164 has no place for them.
    """
    frame = pl.DataFrame(
        {
            "pri": apply(severity, _priority(pl.col(""))),
            "host": _hosts(columns, len(severity), framing),
            "time": _times(columns, len(severity), framing, subseconds=subseconds),
        }
    )
    if framing == "rfc5424":
        time = pl.col("time").fill_null("-")
        made = pl.format("<{}>1 {} {} {} - - - ", "pri", time, "host", pl.lit(_sender(product)))
    else:  # without a valid time there is no header but PRI
        whole = pl.format("<{}>{} {} ", "pri", "time", "host")
        made = pl.coalesce(whole, pl.format("<{}>", "pri"))
    return frame.select(made.alias("header")).to_series()


def _priority(severity: pl.Expr) -> pl.Expr:
    of_syslog = pl.lit(cef.SYSLOG_WORST)
    for up_to, written in sorted(cef.SYSLOG_SEVERITY, reverse=True):
        of_syslog = pl.when(severity <= up_to).then(written).otherwise(of_syslog)
    return of_syslog + 8 * cef.SYSLOG_FACILITY


def _times(columns: Columns, height: int, framing: cef.Framing, *, subseconds: bool) -> pl.Series:
    """Return the times as the header has them; null where there is none, or none of four digits."""
    if "eventTime" not in columns:
        return pl.repeat(None, height, dtype=pl.String, eager=True)
    time = pl.Series(columns["eventTime"])
    within = time.set(~time.is_between(*_CALENDAR), None)
    moment = within.cast(pl.Datetime("us"))
    if framing == "rfc3164":
        return moment.dt.strftime("%b %e %H:%M:%S")
    return moment.dt.strftime(f"%Y-%m-%dT%H:%M:%S{'%.6f' if subseconds else ''}Z")


def _hosts(columns: Columns, height: int, framing: cef.Framing) -> pl.Series:
    column = columns.get("host")
    if column is None:
        return pl.repeat("-", height, dtype=pl.String, eager=True)
    host = _HOST if framing == "rfc5424" else _WITHOUT_DOMAIN
    if isinstance(column, pa.DictionaryArray):
        distinct = apply(pl.Series(column.dictionary), host)
        return distinct.gather(pl.Series(column.indices)).fill_null("-")
    return apply(pl.Series(column), host).fill_null("-")


_HOST = pl.col("").str.replace_all(cef.NO_HOST, "_").str.head(cef.SYSLOG_HOST_MAX)

_BARE = _HOST.str.replace(r"\..*", "")
_WITHOUT_DOMAIN = (
    pl.when(pl.col("").str.contains(r"^[0-9]{1,3}(\.[0-9]{1,3}){3}$"))
    .then(_HOST)
    .when(_BARE != "")
    .then(_BARE)
)
"""RFC 3164 (4.1.2): addresses, or names without their domain."""


def _sender(product: str) -> str:
    return re.sub(cef.NO_HOST, "_", product)[: cef.SYSLOG_APPLICATION_MAX]
