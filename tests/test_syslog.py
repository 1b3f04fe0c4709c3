"""Syslog headers: what RFC 3164 and RFC 5424 allow, and nothing of an event can change that."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import polars as pl
import pycef
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cefline
from cefline.render import Profile
from cefline_schemas.cef import Device
from tests import sample
from tests.events import SIGNS
from tests.lines import of_lines, written
from tests.test_readers import vector

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FRAMINGS: list[Literal["rfc3164", "rfc5424"]] = ["rfc3164", "rfc5424"]

# RFC 5424, 6: the grammar, in its own terms.
RFC5424 = re.compile(
    r"<(?P<pri>[1-9]?[0-9]|1[0-9][0-9])>1 "
    r"(?P<time>-|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z) "
    r"(?P<host>[!-~]{1,255}) (?P<sender>[!-~]{1,48}) - - - (?P<cef>CEF:[01]\|.*)",
)
# RFC 3164, 4.1; 4.3.2 where there is no time.
RFC3164 = re.compile(
    r"<(?P<pri>[1-9]?[0-9]|1[0-9][0-9])>"
    r"((?P<time>(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ 123][0-9] "
    r"[0-9]{2}:[0-9]{2}:[0-9]{2}) (?P<host>[!-~]+) )?(?P<cef>CEF:[01]\|.*)",
)
GRAMMAR = {"rfc3164": RFC3164, "rfc5424": RFC5424}

TEXT = st.lists(st.sampled_from([s for s in SIGNS if not "\ud800" <= s <= "\udfff"])).map("".join)
HOSTS = TEXT | st.sampled_from(["WKS-1", "a.b.example", "10.0.0.7", "fe80::1", "-", ".", "é" * 300])
MICROS = st.none() | st.integers(-(2**63), 2**63 - 1) | st.integers(-(10**16), 10**16)
EVENT = st.fixed_dictionaries(
    {
        "host": st.none() | HOSTS,
        "eventTime": MICROS,
        "alarm_severity": st.none() | st.integers(-1, 12),
        "msg": TEXT,
        "type": TEXT,
    }
)


def framed(
    events: list[dict[str, Any]],
    **profile: Any,  # noqa: ANN401 - a profile's own
) -> list[str | None]:
    """Return the lines of events, whose times are microseconds."""
    times = pl.Series([e.get("eventTime") for e in events], dtype=pl.Int64)
    frame = pl.DataFrame(
        {
            "eventTime": times.cast(pl.Datetime("us", "UTC")),
            "alarm_severity": pl.Series([e.get("alarm_severity") for e in events], dtype=pl.Int64),
            **{
                n: pl.Series([e.get(n) for e in events], dtype=pl.String)
                for n in ("host", "msg", "type")
            },
        }
    )
    return cefline.render(frame, Profile(**profile)).to_list()


def moment(micros: int | None) -> datetime | None:
    """Return a time of four digits, if it is one."""
    try:
        return None if micros is None else EPOCH + timedelta(microseconds=micros)
    except OverflowError:
        return None


@pytest.mark.parametrize("framing", FRAMINGS)
@given(st.lists(EVENT, min_size=1, max_size=5), st.booleans(), st.sampled_from([0, 1]))
def test_every_header_is_one_of_its_rfc(
    framing: Literal["rfc3164", "rfc5424"],
    events: list[dict[str, Any]],
    subseconds: bool,  # noqa: FBT001 - drawn
    version: int,
) -> None:
    """Before the line that is written without it; the time is the event's, the host is its host."""
    plain = framed(events, subseconds=subseconds, cef_version=version)
    lines = framed(events, subseconds=subseconds, cef_version=version, framing=framing)
    for event, line, bare in zip(events, lines, plain, strict=True):
        if bare is None:
            assert line is None
            continue
        assert line is not None
        assert line.splitlines() == [line]
        found = GRAMMAR[framing].fullmatch(line)
        assert found is not None, line
        assert found["cef"] == bare
        assert bare.startswith(f"CEF:{version}|")
        assert line.index("CEF:") == len(line) - len(bare)
        severity = _severity(bare)
        assert int(found["pri"]) == 128 + (
            6 if severity < 4 else 4 if severity < 7 else 3 if severity < 9 else 2
        )
        time = moment(event["eventTime"])
        if framing == "rfc5424":
            said = "-" if time is None else time.strftime("%Y-%m-%dT%H:%M:%S").zfill(19)
            said += f".{time.microsecond:06d}" if time and subseconds else ""
            assert found["time"] == (said if time is None else f"{said}Z")
        elif time is None:
            assert (found["time"], found["host"]) == (None, None)
        else:
            assert found["time"] == f"{time:%b} {time.day:2d} {time:%H:%M:%S}"
        if found["host"]:
            assert found["host"] == host(event["host"], framing)


def _severity(line: str) -> int:
    found = re.match(r"(?:(?:[^|\\]|\\.)*\|){6}([0-9]+)\|", line)
    assert found is not None
    return int(found[1])


BLANK = "".join(c for c in map(chr, range(0x3001)) if c.isspace() and c not in "\x1c\x1d\x1e\x1f")


def host(given: str | None, framing: str) -> str:
    """Return what HOSTNAME says of a host: the oracle."""
    if given is None or not given.strip(BLANK):
        return "-"
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "-.") else "_" for c in given)[:255]
    if framing == "rfc3164" and not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,3}){3}", given):
        safe = safe.partition(".")[0]
    return safe or "-"


@pytest.mark.parametrize("framing", FRAMINGS)
@given(st.lists(EVENT, min_size=1, max_size=5))
def test_parsing_leaves_the_header_off(
    framing: Literal["rfc3164", "rfc5424"], events: list[dict[str, Any]]
) -> None:
    """All else comes back as it does without."""
    plain = [line for line in framed(events) if line is not None]
    lines = [line for line in framed(events, framing=framing) if line is not None]
    if plain:
        assert cefline.parse(lines).equals(cefline.parse(plain))


@pytest.mark.parametrize(
    ("framing", "expected"),
    [
        (
            "rfc5424",
            [
                "<134>1 2020-07-19T21:42:20Z WKS-1 CadoResponse - - - CEF:0|",
                "<130>1 1969-12-31T23:59:58Z a.b.example CadoResponse - - - CEF:0|",
                "<134>1 - CEF_0_x CadoResponse - - - CEF:0|",
                "<131>1 - - CadoResponse - - - CEF:0|",
            ],
        ),
        (
            "rfc3164",
            [
                "<134>Jul 19 21:42:20 WKS-1 CEF:0|",
                "<130>Dec 31 23:59:58 a CEF:0|",
                "<134>CEF:0|",
                "<131>CEF:0|",
            ],
        ),
    ],
)
def test_headers_are_as_shown(framing: str, expected: list[str]) -> None:
    """Times are floored; what is not there is not made up."""
    events: list[dict[str, object]] = [
        {"eventTime": 1595194940.9, "host": "WKS-1"},
        {"eventTime": -1.5, "host": "a.b.example", "alarm": True},
        {"host": "CEF:0|x"},
        {"eventTime": 10**11, "alarm_severity": 3, "eventId": "x"},
    ]
    events[3]["eventTime"] = 253402300800  # the year 10000
    lines = written(of_lines(events), framing=framing).lines
    assert [line[: len(start)] for line, start in zip(lines, expected, strict=True)] == expected


@pytest.mark.parametrize("product", ["{}", "a b|c", "CEF:0|", "p" * 100, "é"])
def test_no_product_breaks_a_header(product: str) -> None:
    device = Device(product=product)
    (line,) = framed([{"msg": "x"}], framing="rfc5424", device=device)
    assert line is not None
    found = RFC5424.fullmatch(line)
    assert found is not None
    assert found["sender"] == re.sub(r"[^A-Za-z0-9.-]", "_", product)[:48]


@pytest.mark.parametrize("framing", FRAMINGS)
def test_vector_reads_header_and_event(framing: str) -> None:
    """An independent reader of syslog gives time, host and severity, and the CEF behind them."""
    vector()  # skips where it can't be had
    import pyvrl

    syslog = pyvrl.Transform(". = parse_syslog!(string!(.line))")
    content = (sample.DATA / "sample.jsonl").read_bytes()
    words = {128 + 2: "crit", 128 + 3: "err", 128 + 4: "warning", 128 + 6: "info"}
    times = 0
    for line in written(content, framing=framing).lines:
        found = GRAMMAR[framing].fullmatch(line)
        assert found is not None
        if found["time"] in {None, "-"}:  # fault: it reads no header without a time
            continue
        read = syslog.remap({"line": line})
        assert (read["facility"], read["severity"]) == ("local0", words[int(found["pri"])])
        assert read.get("hostname", "-") == found["host"]  # fault: none where it is `-`
        event = EPOCH + timedelta(seconds=cefline.parse([line])["eventTime"][0])
        if framing == "rfc3164":  # the year is a guess, and `CEF:` is a tag
            assert f"{read['appname']}:{read['message']}" == found["cef"]
            assert f"{read['timestamp']:%m%d %T}" == f"{event:%m%d %T}"
        else:
            assert (read["appname"], read["message"]) == ("CadoResponse", found["cef"])
            assert read["timestamp"] == event
        times += 1
    assert times > 290


@pytest.mark.parametrize("framing", FRAMINGS)
def test_pycef_finds_the_event_behind_the_header(framing: str) -> None:
    lines = written((sample.DATA / "sample.jsonl").read_bytes(), framing=framing).lines
    plain = written((sample.DATA / "sample.jsonl").read_bytes()).lines
    for line, bare in zip(lines, plain, strict=True):
        expected, read = pycef.parse(bare), pycef.parse(line)
        expected.pop("CEFVersion", None)
        assert expected.items() <= read.items()


def test_a_dropped_host_is_not_in_the_header() -> None:
    content = of_lines([{"host": "WKS-1", "eventTime": 5, "msg": "x"}])
    (line,) = written(content, framing="rfc5424", drop=("host",)).lines
    assert "WKS-1" not in line
    assert line.startswith("<134>1 1970-01-01T00:00:05Z - CadoResponse ")


def test_a_header_counts_in_the_length_of_a_line() -> None:
    """What is written is what is bounded."""
    content = of_lines([{"msg": "x"}])
    length = len(written(content).lines[0]) + 1
    assert len(written(content, max_event=length).lines) == 1
    assert written(content, max_event=length, framing="rfc5424").lines == []
    assert len(written(content, max_event=length + 31, framing="rfc5424").lines) == 1
