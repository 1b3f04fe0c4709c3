"""What `verify --expect siem` says is what lies in the parts, though it reads none."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from cefline.config import Config
from cefline.counts import Found, Tally
from cefline.deliver.store import LocalStore
from cefline.pack import text_of
from cefline.values import MaxRejects
from cefline.verify.expect import expect
from tests import sample
from tests.lines import of_lines
from tests.test_verify import Site, either, events, on_s3, site

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.commands import Result

__all__ = ["either", "on_s3", "site"]
HEADER = re.compile(rb"CEF:0\|(?:(?:[^|\\]|\\.)*\|){5}([0-9]+)\|")


def lines(site: Site, keys: list[str]) -> list[bytes]:
    """Return the lines of parts."""
    return [line for key in keys for line in text_of(site.read(key)).splitlines()]


def in_parts(site: Site, keys: list[str]) -> dict[str, Any]:
    """Count what lies in parts of profile `cado`, by patterns of its own."""
    found = lines(site, keys)
    severities = Counter(m[1].decode() for line in found if (m := HEADER.match(line)))
    bodies = [HEADER.sub(b" ", line) for line in found]
    times = [int(m[1]) for body in bodies if (m := re.search(rb" eventTime=(-?\d+)", body))]
    folders = Counter(key.split("/")[2] for key in keys for _ in lines(site, [key]))
    return {
        "events": len(found),
        "parts": len(keys),
        "text_bytes": sum(len(line) + 1 for line in found),
        "folders": sorted({"/".join(key.split("/")[:2]) + "/" for key in keys}),
        "partitions": dict(folders),
        "severities": dict(severities),
        "events_with_time": len(times),
        "first_event_time": min(times, default=None),
        "last_event_time": max(times, default=None),
    }


def expected(site: Site, delivery: str = "") -> list[dict[str, Any]]:
    """Return what must be found."""
    return [one.as_json() for one in expect(Config(dest=site.dest), delivery)]


def test_counts_are_those_of_the_parts(either: Site) -> None:
    """Of each delivery, and of all; hostile events, times from 1601 to the year 45800."""
    names = [str(sample.DATA / "sample.parquet"), either.write("b.jsonl", events("b"))]
    reports = either.deliver(*names, part_size=20_000)
    told = expected(either)
    keys = [key for report in reports for key in either.parts(report.delivery)]
    assert len(keys) > 10
    by_id = {one.pop("delivery"): one for one in told}
    for report, source in zip(reports, names, strict=True):
        whole = in_parts(either, either.parts(report.delivery))
        assert by_id[report.delivery] == {"source": source, **whole, "unfinished": []}
    total = {**in_parts(either, keys), "folders": []}
    assert by_id[""] == {"source": either.dest, **total, "unfinished": []}
    assert total["events"] == 309
    assert total["first_event_time"] < -(10**10) < 10**12 < total["last_event_time"]


@pytest.mark.parametrize("name", ["real_5k.parquet", "real_alarms.jsonl"])
def test_counts_of_real_events_are_those_of_the_parts(site: Site, data: Path, name: str) -> None:
    (report,) = site.deliver(str(data / name), part_size=1 << 20)
    (one,) = expected(site, report.delivery)
    whole = in_parts(site, site.parts(report.delivery))
    assert {key: one[key] for key in whole} == whole
    assert sum(one["severities"].values()) == one["events"] == report.tally.delivered


def test_no_part_is_read(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part that is gone counts: that is what the SIEM is compared with."""
    delivery = site.one("a.jsonl", events("a"))
    for key in site.parts(delivery):
        site.remove(key)
    read: list[str] = []
    inner = LocalStore.read

    def noted(store: LocalStore, key: str) -> bytes:
        read.append(key)
        return inner(store, key)

    monkeypatch.setattr(LocalStore, "read", noted)
    (one, total) = expected(site)
    assert one["events"] == total["events"] == 9
    assert read
    assert all(key.startswith("manifests/") for key in read)


def test_events_that_are_rejected_are_not_expected(site: Site) -> None:
    """Neither those that can't be read nor those whose line is too long."""
    rows: list[dict[str, object]] = [{"msg": "a", "eventTime": n, "alarm": True} for n in (5, 7)]
    rows += [{"msg": "x" * 5000, "eventTime": 1}, {"msg": "y" * 5000, "eventTime": 9}, {"msg": "b"}]
    content = of_lines(rows) + b"no JSON\n"
    delivery = site.one("a.jsonl", content, max_event=4096, max_rejects=MaxRejects(3, 0.0))
    (one,) = expected(site, delivery)
    assert one["severities"] == {"10": 2, "1": 1}
    assert (one["events_with_time"], one["first_event_time"], one["last_event_time"]) == (2, 5, 7)


def test_times_of_rejected_events_are_not_those_of_json(site: Site) -> None:
    """It has no header, so no severities either."""
    rows: list[dict[str, object]] = [{"msg": "x" * 5000, "eventTime": 1}, {"eventTime": 9}]
    settings = {"format": "json", "max_event": 4096, "max_rejects": MaxRejects(3, 0.0)}
    (one,) = expected(site, site.one("a.jsonl", of_lines(rows), **settings))
    assert (one["events"], one["events_with_time"], one["first_event_time"]) == (1, 1, 9)


def test_what_is_not_wanted_is_not_expected(site: Site) -> None:
    rows: list[dict[str, object]] = [{"msg": f"m{n}", "eventTime": n} for n in range(5)]
    rows.append({"msg": "a", "eventTime": 9, "alarm": True})
    site.one("a.jsonl", of_lines(rows), min_severity=10)
    (one, _) = expected(site)
    assert (one["events"], one["severities"]) == (1, {"10": 1})
    assert (one["first_event_time"], one["last_event_time"]) == (9, 9)


def test_a_delivery_in_two_segments_is_counted_whole(site: Site) -> None:
    """What was out when its turn was closed, and the rest."""
    path = site.write("a.jsonl", events("a", 12, eventTime=60))
    site.killed("-000002.cef", path)
    other = site.write("b.jsonl", events("b"))
    (site.root / "in/a.jsonl").rename(site.root / "moved.jsonl")
    site.deliver(other)  # waits for the turn in vain, and closes it
    (site.root / "moved.jsonl").rename(site.root / "in/a.jsonl")
    (report,) = site.deliver(path)
    (one,) = expected(site, report.delivery)
    assert len(one["folders"]) == 2
    assert one["events"] == 12 == one["events_with_time"] == sum(one["severities"].values())
    assert one["partitions"] == {"evidence_id-1": 6, "evidence_id-2": 6}


def test_a_delivery_that_is_not_done_is_told(site: Site, command: Callable[..., Result]) -> None:
    """Its parts may be in the SIEM, and are in no count."""
    done = site.one("a.jsonl", events("a"))
    site.killed("-000002.cef", site.write("b.jsonl", events("b")))
    (one, total) = expected(site)
    assert one["delivery"] == done
    assert total["events"] == 9
    (left,) = total["unfinished"]
    shown = command("verify", site.dest, "--expect", "siem")
    assert shown.code == 0
    assert f"  not done     {left}: parts of it may be out, and are not counted" in shown.out


def test_a_delivery_that_was_abandoned_counts_what_is_out(
    site: Site, command: Callable[..., Result]
) -> None:
    """Of which severities that is, no manifest says."""
    site.killed("-000002.cef", site.write("b.jsonl", events("b")))
    (left,) = expected(site)[0]["unfinished"]
    assert command("abandon", site.dest, left).code == 0
    (one, total) = expected(site)
    assert one["events"] == total["events"] == len(lines(site, site.parts(left)))
    assert one["severities"] is total["severities"] is total["first_event_time"] is None
    shown = command("verify", site.dest, "--expect", "siem").out
    assert "its manifest does not say severities and times" in shown


def test_a_manifest_of_an_older_version_has_the_counts_that_it_has(site: Site) -> None:
    delivery = site.one("a.jsonl", events("a"))
    manifest = site.manifest(delivery)
    site.forge({n: v for n, v in manifest.items() if n not in {"severities", "event_times"}})
    (one, total) = expected(site)
    assert one["events"] == total["events"] == 9
    assert one["severities"] is total["severities"] is None


def test_an_empty_source_adds_nothing(site: Site) -> None:
    site.one("a.jsonl", events("a", eventTime=3))
    site.one("empty.jsonl", b"")
    total = expected(site)[-1]
    assert (total["events"], total["severities"], total["last_event_time"]) == (9, {"1": 9}, 3)


def test_both_forms_say_the_same(site: Site, command: Callable[..., Result]) -> None:
    """And nothing in a name can steer a terminal."""
    site.one("a\x1b[31m\u202e.jsonl", events("a", eventTime=0))
    site.one("b.jsonl", events("b", eventTime=10**12, evidence_id=3), time_unit="s")
    as_json = command("verify", site.dest, "--expect", "siem", "--json")
    assert as_json.code == 0
    assert as_json.lines == expected(site)
    text = command("verify", site.dest, "--expect", "siem").out
    assert all(line.isprintable() for line in [*text.splitlines(), *as_json.out.splitlines()])
    assert "  events                  18  in " in text
    assert "  with a time             18  from 1970-01-01T00:00:00Z (0) to 1000000000000" in text
    assert "  partition                9  evidence_id-3" in text


def test_events_without_times_have_no_range(site: Site, command: Callable[..., Result]) -> None:
    site.one("a.jsonl", events("a"))
    shown = command("verify", site.dest, "--expect", "siem").out
    assert "  with a time              0  no event has one" in shown


@pytest.mark.parametrize("more", [("--source", "a.jsonl"), ("--removed-before", "20260101")])
def test_what_needs_parts_is_a_wrong_call(
    site: Site, command: Callable[..., Result], more: tuple[str, str]
) -> None:
    result = command("verify", site.dest, "--expect", "siem", "--delivery", "0" * 32, *more)
    assert result.code == 2
    assert "--expect" in result.err


def test_a_delivery_that_is_not_there_is_a_wrong_call(
    site: Site, command: Callable[..., Result]
) -> None:
    site.one("a.jsonl", events("a"))
    assert command("verify", site.dest, "--expect", "siem", "--delivery", "0" * 32).code == 2
    assert command("verify", site.dest, "--expect", "other").code == 2


def test_what_is_staged_keeps_what_was_found() -> None:
    """A run that goes on takes the tally of the one before."""
    tally = Tally(3, 3, found=Found(Counter({10: 1, 1: 2}), 2, -5, 7))
    assert Tally.of_json(json.loads(json.dumps(tally.as_json()))) == tally
