"""Reports of deliveries: their numbers are the manifest's and the events', and nothing acts."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cefline.config import Config
from cefline.deliver import plans
from cefline.deliver.store import LocalStore
from cefline.errors import ConfigError, DeliveryError
from cefline.pages.delivery import delivery_page
from cefline.pages.overview import Told, overview_page
from cefline.pages.times import BARS
from cefline.pages.times import table as timed
from cefline.shown import printable
from cefline.spread import Names, Spread, short
from cefline.status import Status
from cefline.values import size_text
from tests import sample
from tests.hostile import text
from tests.pages import Page
from tests.parts import KilledError, kill_at
from tests.test_verify import Site, either, on_s3, site
from tests.test_work import spread as by_workers
from tests.test_work import timeline

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.commands import Result

__all__ = ["either", "on_s3", "site"]

TIMES = "Events over time, by severity"
SOURCES = "Events over time, by source"
EVIL = "</script><img src=x onerror=alert(1)>"

TAGS = {
    *("html", "head", "meta", "title", "style", "body", "header", "main", "section", "footer"),
    *("p", "h1", "h2", "span", "dl", "div", "dt", "dd", "figure", "ul", "li"),
    *("svg", "g", "rect", "path", "text", "table", "thead", "tbody", "tr", "th", "td"),
}
"""What a page is made of: nothing that acts, fetches or leads elsewhere."""
ATTRIBUTES = {
    *("lang", "charset", "http-equiv", "content", "name", "class", "role", "tabindex", "scope"),
    *("aria-label", "aria-hidden", "viewbox", "width", "height", "x", "y", "rx", "ry", "d"),
    *("transform", "xmlns", "xmlns:xlink"),
}


def reports(site: Site) -> list[str]:
    """Return the names of the reports in the state."""
    return [key for key in site.objects("_cefline/out") if key.startswith("reports/")]


def spread_of(site: Site, delivery: str) -> Spread:
    """Return what is kept of how events are spread."""
    kept = json.loads(site.read(f"reports/{delivery}.json", "_cefline/out"))
    return Spread.of_json(kept["spread"])


def page_of(site: Site, delivery: str) -> Page:
    """Return the page of a delivery."""
    return Page(site.read(f"reports/{delivery}.html", "_cefline/out").decode())


def number(text: str) -> int:
    """Return a number as a page has it."""
    return int(text.replace(",", ""))


@pytest.mark.parametrize("name", ["sample.parquet", "sample.jsonl"])
def test_numbers_are_the_manifests_and_the_events(either: Site, name: str) -> None:
    """Read from the page's own tables, in a folder and on S3."""
    source = either.write(name, (sample.DATA / name).read_bytes())
    (report,) = either.deliver(source, part_size=20_000)
    manifest, page = either.manifest(report.delivery), page_of(either, report.delivery)
    events = sample.events(sample.EVENTS)
    for what in ("read", "delivered", "rejected", "filtered"):
        assert number(page.totals[f"events {what}"]) == manifest[f"events_{what}"]
    assert page.totals["parts"] == str(len(manifest["parts"]))
    timed_events = manifest["event_times"]["events"]
    head, *rows = page.tables[TIMES]
    sums = {h: sum(number(r[n]) for r in rows) for n, h in enumerate(head) if n}
    assert sums.pop("all") == timed_events == sum(sums.values())
    told = {severity: n for severity, n in manifest["severities"].items() if n}
    missing = Counter(told) - Counter({h.split()[0]: n for h, n in sums.items()})
    assert missing.total() == len(events) - timed_events == 1
    assert sum(number(row[-1]) for row in page.rows(SOURCES)) == timed_events
    for field in ("source", "host", "type"):
        values = [str(event.get(field) or "") for event in events]
        expected = Counter(printable(short(v)) if v.strip() else "(none)" for v in values)
        found = page.numbers(f"Top values of {field}")
        others = sum(found.pop(name) for name in [*found] if name.endswith("others)"))
        assert len(found) > 5
        assert all(expected[name] == count for name, count in found.items())
        assert sum(found.values()) + others == len(events)
    rejects = [(r[0], r[1], r[2], number(r[3])) for r in page.rows("Rejects by field")]
    assert sorted(rejects) == sorted(
        (r["field"], r["kind"], r["reason"], r["count"]) for r in manifest["rejects"]
    )
    changes = {
        (r[0], r[1]): number(r[2]) for r in page.rows("Replacements and other changes by field")
    }
    assert changes == {(f, k): n for f, ks in manifest["counts"].items() for k, n in ks.items()}
    parts = {row[0]: number(row[1]) for row in page.rows("Parts")}
    assert parts == {part["key"]: part["events"] for part in manifest["parts"]}
    by_partition = page.numbers("Events by partition", 2)
    assert sum(by_partition.values()) == manifest["events_delivered"]
    facts = dict(row for row in page.tables["Source"])
    assert facts["SHA-256 of chunks"] == manifest["source"]["sha256"]
    settings = dict(row for row in page.tables["Settings that differ from the defaults"])
    assert settings == {"part_size": "20000"}


def test_what_is_evidence_is_in_the_report_alone(site: Site) -> None:
    """Manifests are kept for ever; reports and rejects may expire."""
    line = (
        b'{"msg": "m", "host": "secret-host", "source": "secret-source", "type": "secret-type"}\n'
    )
    delivery = site.one("a.jsonl", line)
    for key in site.objects("_cefline/out"):
        held = b"secret-" in site.read(key, "_cefline/out")
        assert held == key.startswith("reports/"), key
    assert reports(site) == [f"reports/{delivery}.html", f"reports/{delivery}.json"]


def test_a_delivery_that_is_taken_up_has_the_same_report(site: Site, tmp_path: Path) -> None:
    """From staging; by workers; by another host, after each object that a run creates."""
    source = str(timeline(site.root, "a.parquet"))
    other = Site(tmp_path / "other")
    (told,) = other.deliver(source, part_size=9_000)
    whole, page = spread_of(other, told.delivery), page_of(other, told.delivery)
    for point in ("plans/", "turns/", "-000002.cef", "reports/", "manifests/", "seen/"):
        again = Site(tmp_path / point.strip("/-"))
        again.killed(point, source, part_size=9_000)
        (report,) = again.deliver(source, part_size=9_000)
        assert spread_of(again, report.delivery) == whole, point
        taken_up = page_of(again, report.delivery)
        assert taken_up.tables[TIMES] == page.tables[TIMES]
    shared = Site(tmp_path / "shared")
    config = Config(sources=(source,), dest=shared.dest, part_size=9_000, split_size=30_000)
    assert by_workers(config).delivered == whole.events
    assert spread_of(shared, told.delivery) == whole


@pytest.mark.parametrize("planned", [False, True])
def test_numbers_are_of_the_settings_that_were_planned(site: Site, *, planned: bool) -> None:
    """Whether the run that is killed had made the plan or not."""
    lines = [b'{"msg": "m%d", "host": "h%d"}\n' % (n, n % 3) for n in range(9)]
    source = site.write("a.jsonl", b"".join(lines))
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, "plans/", done=planned)
        with pytest.raises(KilledError):
            site.deliver(source, where="host != 'h0'")
    (report,) = site.deliver(source, where="host == 'h0'")
    assert_hosts(site, report.delivery, {"h1": 3, "h2": 3} if planned else {"h0": 3})


def test_numbers_are_of_a_plan_that_another_run_made_first(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, theirs = plans.make_plan, {"where": "host == 'h0'"}

    def beaten(state: LocalStore, plan: dict[str, Any]) -> dict[str, Any]:
        if plan["segment"] == 1:
            real(state, {**plan, "settings": {**plan["settings"], **theirs}})
        return real(state, plan)

    monkeypatch.setattr(plans, "make_plan", beaten)
    lines = [b'{"msg": "m%d", "host": "h%d"}\n' % (n, n % 3) for n in range(9)]
    delivery = site.one("a.jsonl", b"".join(lines))
    assert site.manifest(delivery)["events_delivered"] == 3
    assert_hosts(site, delivery, {"h0": 3})


def test_numbers_that_are_not_of_the_plan_are_not_preferred(site: Site) -> None:
    """Earlier versions kept numbers before the plan, so that another run's may be there."""
    line = b'{"msg": "m", "host": "h"}\n'
    source = site.write("a.jsonl", line)
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, "reports/", done=False)
        with pytest.raises(KilledError):
            site.deliver(source)
    (plan,) = (site.root / "_cefline/out/plans").iterdir()
    delivery = plan.name.partition("-")[0]
    stale = {"version": 1, "delivery": delivery, "spread": Spread(events=300).as_json()}
    site.put(f"reports/{delivery}.json", json.dumps(stale).encode(), "_cefline/out")
    site.deliver(source)
    assert page_of(site, delivery).numbers("Top values of host") == {"h": 1}


def assert_hosts(site: Site, delivery: str, hosts: dict[str, int]) -> None:
    """Check that the numbers of a delivery, and its page, are of these hosts."""
    assert dict(spread_of(site, delivery).names["host"].counts) == hosts
    page = page_of(site, delivery)
    assert page.numbers("Top values of host") == hosts
    assert page.totals["events delivered"] == str(sum(hosts.values()))
    assert "Counted for the charts" not in page.text


def test_a_page_is_there_before_its_source_is_remembered(site: Site) -> None:
    """Also where a run only catches up: nobody looks again at what is remembered."""
    source = site.write("a.jsonl", b'{"msg": "m", "host": "h"}\n')
    site.killed("manifests/", source)
    assert [name.rpartition(".")[2] for name in reports(site)] == ["json"]
    site.killed("seen/", source)
    (known,) = site.deliver(source)
    assert known.outcome == "known"
    assert page_of(site, known.delivery).totals["events delivered"] == "1"


def test_reports_are_not_made_twice(site: Site) -> None:
    line = b'{"msg": "m", "host": "h", "evidence_id": 1}\n'
    page = f"{site.one('a.jsonl', line)}.html"
    (site.root / "_cefline/out/reports" / page).write_text("as it is")
    again = site.write("b.jsonl", line)
    assert site.deliver(site.write("a.jsonl", line), again)[1].outcome == "known"
    assert site.read(page, "_cefline/out/reports") == b"as it is"


def test_no_report_where_none_is_wanted(site: Site) -> None:
    site.one("a.jsonl", b'{"msg": "m", "host": "h"}\n', reports=False)
    assert reports(site) == []


@pytest.mark.parametrize("how", ["no library", "a fault", "no rights"])
def test_what_fails_in_a_report_fails_no_delivery(
    site: Site, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """The summary says it, without what may be evidence."""
    create = LocalStore.create

    def refused(store: LocalStore, key: str, *rest: Any, **more: Any) -> bool:  # noqa: ANN401 - passed on
        if key.startswith("reports/"):
            raise ConfigError("reports/ can't be written")
        return create(store, key, *rest, **more)

    if how == "no library":
        monkeypatch.setitem(sys.modules, "cefline.pages.delivery", None)
    elif how == "a fault":
        fault = "secret-host"

        def faulty(*_: object) -> str:
            raise ValueError(fault)

        monkeypatch.setattr("cefline.pages.delivery.delivery_page", faulty)
    else:
        monkeypatch.setattr(LocalStore, "create", refused)
    (report,) = site.deliver(site.write("a.jsonl", b'{"msg": "m", "host": "secret-host"}\n'))
    assert report.outcome == "delivered"
    assert site.found() == []
    (note,) = report.notes
    assert note.startswith("its report could not be made: ")
    assert "secret" not in note
    assert site.manifest(report.delivery)["events_delivered"] == 1


counts = st.dictionaries(text.map(short), st.integers(1, 9), max_size=4)


@given(text, text, counts, counts, text)
def test_no_value_becomes_markup(
    url: str, field: str, hosts: dict[str, int], sources: dict[str, int], reason: str
) -> None:
    """Neither in a delivery's page nor in the overview, in whatever place a value is."""
    spread = Spread(
        sum(sources.values()) + sum(hosts.values()) + 1,
        severities=Counter({(n, 1): count for n, count in enumerate(sources.values())}),
        sources=Counter({(n, name): count for n, (name, count) in enumerate(sources.items())}),
        names={"host": Names(sum(hosts.values()), Counter(hosts))},
    )
    manifest = hostile_manifest(url + EVIL, field + EVIL, reason + EVIL)
    status = Status("done", "d" * 32, 1, 3, 0, 1, 5, "20260101T000000Z")
    told = Told(status, url + EVIL, manifest["counts"], manifest["rejects"])
    for html in (delivery_page(manifest, spread), overview_page(url + EVIL, [told], spread)):
        page = Page(html)
        assert page.tags <= TAGS
        assert page.attributes <= ATTRIBUTES
        assert html.count("<script") == html.count("<img") == html.count("javascript:") == 0
        assert printable(url + EVIL) in page.text
        assert {printable(name) for name in hosts} <= {
            row[0] for row in page.tables.get("Top values of host", [])
        }
        assert {printable(reason + EVIL)} <= {row[2] for row in page.rows("Rejects by field")}


def hostile_manifest(url: str, field: str, reason: str) -> dict[str, Any]:
    """Return a manifest with these in every place that holds text."""
    part = {"key": url, "partition": field, "events": 3, "text_bytes": 9, "stored_bytes": 5}
    return {
        "delivery": field,
        "dest": url,
        "turn": 1,
        "stamp": "20260101T000000Z",
        "cefline": field,
        "text_format": field,
        "source": {"url": url, "size": 3, "sha256": field, "format": reason, "dialect": reason},
        "settings": {field: url, "where": reason, "partition_by": [field]},
        "variant": {"redeliver": url},
        "parts": [part],
        "evidence": [1],
        "unknown_columns": [field, url],
        "notes": [reason],
        "counts": {field: {reason: 3}},
        "rejects": [{"kind": "value", "field": field, "reason": reason, "count": 2}],
        **{f"events_{name}": 3 for name in ("read", "delivered")},
        **{f"events_{name}": 0 for name in ("rejected", "filtered")},
    }


micros = st.dictionaries(
    st.integers(-(2**63) // 60_000_000, 2**63 // 60_000_000) | st.integers(0, 9_999),
    st.integers(1, 10**6),
    min_size=1,
    max_size=60,
)


@given(micros)
def test_each_event_has_a_bar(minutes: dict[int, int]) -> None:
    """However far apart times are; few of them are before and after what is shown."""
    shown = timed(0, Counter({(minute, 1): n for minute, n in minutes.items()}), [1])
    total = sum(minutes.values())
    assert sum(map(sum, shown.counts)) == total
    assert len(shown.times) == len(set(shown.times)) <= BARS + 2
    for edge in ("before", "after"):
        beyond = sum(
            row[0] for t, row in zip(shown.times, shown.counts, strict=True) if t.startswith(edge)
        )
        assert beyond <= max(total // 100, 5)


def test_the_page_lets_nothing_in_but_its_style(site: Site) -> None:
    delivery = site.one("a.jsonl", b'{"msg": "m", "host": "h", "eventTime": 1}\n')
    html = site.read(f"reports/{delivery}.html", "_cefline/out").decode()
    policy = html.split('http-equiv="Content-Security-Policy" content="', 1)[1].split('"', 1)[0]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.replace("&#39;", "'").split(";"))
    assert rules.pop("style-src").startswith("'sha256-")
    assert rules == {"default-src": "'none'", "base-uri": "'none'", "form-action": "'none'"}
    assert "://" not in html.replace("http://www.w3.org/", "")


def test_overview_sums_up_all_deliveries(either: Site, command: Callable[..., Result]) -> None:
    """In a folder and on S3; what is open or was left is listed."""
    lines = [
        b'{"msg": "m%d", "host": "h%d", "source": "S", "eventTime": %d}\n' % (n, n % 3, n)
        for n in range(12)
    ]
    deliveries = [either.one(f"{n}.jsonl", b"".join(lines[n::2])) for n in range(2)]
    env = either.s3.env if either.s3 else {}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in env.items():
            patch.setenv(name, value)
        result = command("report", either.dest)
    assert (result.code, result.err) == (0, "")
    page = Page(result.out)
    assert page.numbers("Top values of host") == {"h0": 4, "h1": 4, "h2": 4}
    assert page.totals["deliveries done"] == "2"
    assert page.totals["events"] == "12"
    assert [row[2] for row in page.rows("Deliveries")] == deliveries[::-1]
    assert sum(number(row[1]) for row in page.rows("Events by time of publication")) == 12


def test_overview_of_little(site: Site, command: Callable[..., Result], tmp_path: Path) -> None:
    """Deliveries that are open, abandoned or without a report; or none at all."""
    site.one("a.jsonl", b'{"msg": "m"}\n', reports=False)
    left = site.write("b.jsonl", b'{"msg": "n"}\n')
    site.killed("turns/", left)
    page = Page(command("report", site.dest).out)
    assert [row[1] for row in page.rows("Deliveries")] == ["done", "open"]
    open_ = page.rows("Deliveries")[1][2]
    assert command("abandon", site.dest, open_).code == 0
    page = Page(command("report", site.dest).out)
    assert sorted(row[1] for row in page.rows("Deliveries")) == ["abandoned", "done"]
    assert command("report", site.dest, "--delivery", open_).code == 2
    (known,) = site.deliver(left)
    assert known.notes == ("its delivery was abandoned",)
    empty = command("report", str(tmp_path / "nothing"))
    assert empty.code == 0
    assert Page(empty.out).totals["deliveries"] == "0"


def test_overview_charts_what_is_out_and_says_what_it_leaves_out(
    site: Site, command: Callable[..., Result]
) -> None:
    """An abandoned delivery kept numbers of all its events; another one kept none."""
    line = b'{"msg": "m", "host": "counted"}\n'
    site.one("a.jsonl", line * 2)
    assert "Counted for the charts" not in Page(command("report", site.dest).out).text
    left = site.write("left.jsonl", b'{"msg": "n", "host": "left"}\n' * 9)
    site.killed("-000001.cef", left)
    open_ = Page(command("report", site.dest).out).rows("Deliveries")[1][2]
    assert spread_of(site, open_).events == 9
    assert command("abandon", site.dest, open_).code == 0
    site.one("none.jsonl", line * 3, reports=False)
    site.killed("manifests/", site.write("unseen.jsonl", line * 4))
    page = Page(command("report", site.dest).out)
    assert page.numbers("Top values of host") == {"counted": 6}
    assert page.totals["events"] == "9"
    assert "Counted for the charts: 6 of 9 events delivered." in page.text


EMPTY = Spread().as_json()


@pytest.mark.parametrize(
    "found",
    [
        *({}, [], None, 7, "spread"),
        *({**EMPTY, name: None} for name in ("level", "severities", "sources", "names")),
        {**EMPTY, "severities": [[1, 2]]},
        {**EMPTY, "names": {"host": [1]}},
        {**EMPTY, "names": [1]},
    ],
)
def test_numbers_that_are_damaged_are_named(
    site: Site,
    command: Callable[..., Result],
    found: Any,  # noqa: ANN401 - any of JSON's types
) -> None:
    delivery = site.one("a.jsonl", b'{"msg": "m"}\n')
    key = f"reports/{delivery}.json"
    site.put(key, json.dumps({"version": 1, "spread": found}).encode(), "_cefline/out")
    for asked in ([], ["--delivery", delivery]):
        done = command("report", site.dest, *asked)
        assert (done.code, done.out) == (DeliveryError.exit_code, "")
        assert f"{key} is no object of cefline's" in done.err


def test_a_page_goes_to_a_file(site: Site, command: Callable[..., Result]) -> None:
    delivery = site.one("a.jsonl", b'{"msg": "m", "host": "h"}\n')
    made = site.root / "page.html"
    assert command("report", site.dest, "-o", str(made), "--delivery", delivery).code == 0
    assert made.read_bytes() == site.read(f"reports/{delivery}.html", "_cefline/out")
    failed = command("report", site.dest, "-o", str(site.root / "no" / "page.html"))
    assert (failed.code, "Traceback" in failed.err) == (1, False)
    assert "page.html" in failed.err
    assert command("report", site.dest, "--delivery", "f" * 32).code == 2
    assert command("report").code == 2


def test_a_page_that_can_t_be_written_leaves_the_one_before_it(
    site: Site, command: Callable[..., Result]
) -> None:
    site.one("a.jsonl", b'{"msg": "m", "host": "h"}\n')
    made = site.root / "pages" / "o.html"
    made.parent.mkdir()
    assert command("report", site.dest, "-o", str(made)).code == 0
    before = made.read_bytes()
    code = (
        "import resource\n"
        "from cefline.cli import main\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "main()\n"
    )
    arguments = ["report", site.dest, "-o", str(made)]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, check=False, text=True
    )
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert str(made) in done.stderr
    assert made.read_bytes() == before
    assert list(made.parent.iterdir()) == [made]


def test_a_page_is_for_its_owner_unless_another_was_there(
    site: Site, command: Callable[..., Result]
) -> None:
    """It holds values of events. Links stay what they are, and what is no file is written to."""
    site.one("a.jsonl", b'{"msg": "m", "host": "h"}\n')
    made, link = site.root / "o.html", site.root / "link.html"
    link.symlink_to(made)
    assert command("report", site.dest, "-o", str(link)).code == 0
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    made.write_bytes(b"old")
    made.chmod(0o640)
    assert command("report", site.dest, "-o", str(link)).code == 0
    assert stat.S_IMODE(made.stat().st_mode) == 0o640
    assert made.read_bytes() != b"old"
    assert link.is_symlink()
    pipe = site.root / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    assert command("report", site.dest, "-o", str(pipe)).code == 0
    assert os.read(reader, 1 << 20) == made.read_bytes()
    os.close(reader)


def test_a_page_stays_its_owner_s(
    site: Site, command: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who made it first may be another user; where nothing can lie beside it, it is written to."""
    site.one("a.jsonl", b'{"msg": "m", "host": "h"}\n')
    made, given = site.root / "o.html", list[tuple[int, ...]]()
    made.touch()
    monkeypatch.setattr(os, "fchown", lambda _, *ids: given.append(ids))
    assert command("report", site.dest, "-o", str(made)).code == 0
    assert given == [(made.stat().st_uid, made.stat().st_gid)]
    number = made.stat().st_ino
    monkeypatch.setattr(os, "access", lambda _, mode: mode != os.W_OK | os.X_OK)
    made.write_bytes(b"old")
    assert command("report", site.dest, "-o", str(made)).code == 0
    assert made.stat().st_ino == number
    assert made.read_bytes() != b"old"


def test_numbers_of_events_are_no_bytes_whatever_a_source_is_called(site: Site) -> None:
    """A source gives a column its title."""
    lines = [
        b'{"msg": "m%d", "source": "%s", "eventTime": 1}\n' % (n, name)
        for name in (b"text", b"stored")
        for n in range(1_667)
    ]
    delivery = site.one("a.jsonl", b"".join(lines), part_size=1 << 20)
    page = page_of(site, delivery)
    ((_, *numbers),) = page.rows(SOURCES)
    assert numbers == ["1,667", "1,667", "3,334"]
    (part,) = site.manifest(delivery)["parts"]
    sizes = [size_text(part["text_bytes"]), size_text(part["stored_bytes"])]
    assert page.rows("Parts")[0][1:] == ["3,334", *sizes]
    assert page.rows("Events by partition")[0][1:] == ["1", "3,334", *sizes]


def test_tables_are_bounded(site: Site) -> None:
    """What is left out of a page is said there."""
    delivery = site.one("a.jsonl", b'{"msg": "m", "host": "h"}\n')
    manifest = site.manifest(delivery)
    (part,) = manifest["parts"]
    manifest["parts"] = [{**part, "key": str(n), "partition": f"p{n}"} for n in range(1_500)]
    reject = {"kind": "value", "field": "pid", "reason": "none", "count": 1}
    manifest["rejects"] = [{**reject, "field": f"f{n}"} for n in range(1_500)]
    page = Page(delivery_page(manifest, spread_of(site, delivery)))
    for what, heading in (
        ("parts", "Parts"),
        ("partitions", "Events by partition"),
        ("rejects", "Rejects by field"),
    ):
        assert len(page.rows(heading)) == 1_000
        assert f"500 more {what} are in the manifest." in page.text


@pytest.mark.slow
def test_overview_of_many_is_quick(site: Site) -> None:
    """Of 1,000 deliveries, each with its manifest and report, in CPU seconds of the command."""
    delivery = site.one("a.parquet", (sample.DATA / "sample.parquet").read_bytes())
    state = site.root / "_cefline/out"
    (seen,) = (state / "seen").iterdir()
    for n in range(999):
        name = f"{n:032x}"
        for kind in ("manifests", "reports"):
            text_ = (state / kind / f"{delivery}.json").read_text()
            (state / kind / f"{name}.json").write_text(text_.replace(delivery, name))
        key = seen.name.replace(delivery, name).replace(seen.name[:32], name)
        (state / "seen" / key).write_text("{}")
    script = (
        "import sys, time\n"
        "from cefline.cli import main\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n    print(time.process_time())\n    sys.exit(end.code)\n"
    )
    arguments = ["report", site.dest, "-o", str(site.root / "o.html")]
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, check=True, text=True
    )
    page = Page((site.root / "o.html").read_text())
    assert page.totals["deliveries done"] == "1,000"
    assert number(page.totals["events"]) == 300_000
    assert float(done.stdout) < 20
