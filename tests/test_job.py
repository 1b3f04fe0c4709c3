"""A run: what is new is delivered, what is known is said, what others left is ended."""

from __future__ import annotations

import dataclasses
import errno
import gzip
import itertools
import json
import logging
import os
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pyarrow.compute as pc
import pytest

from cefline.config import Config
from cefline.deliver.publish import is_fence
from cefline.errors import ConfigError, SourceError, TooManyRejectsError, TryAgainError, UsageError
from cefline.job import export
from cefline.pack import Slice
from cefline.s3 import S3Settings
from cefline.values import MaxRejects
from tests.parts import KilledError, kill_at

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cefline.convert import Converted
    from cefline.line import Run
    from cefline.report import Report, SourceReport
    from cefline.sources import Source
    from tests.seaweed import S3

LINE, PARTS = (import_module(f"cefline.{name}") for name in ("line", "parts"))


_WRITTEN = itertools.count(1_600_000_000)
"""Each version of a file has a time of its own."""


@dataclasses.dataclass
class Place:
    """A folder with sources, a destination and its state, and a staging folder."""

    root: Path
    sources: tuple[str, ...] = ()

    def write(self, name: str, content: bytes) -> Path:
        """Write a source that has settled."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (next(_WRITTEN),) * 2)
        return path

    def run(self, *names: str, dry_run: bool = False, **settings: Any) -> Report:  # noqa: ANN401 - as Config has them
        """Export sources by name."""
        sources = tuple(n if "://" in n else str(self.root / n) for n in names)
        given = {"dest": str(self.out), "threads": 2, "turn_timeout": 0.0, **settings}
        return export(Config(sources=sources, **given), dry_run=dry_run)

    def one(self, name: str, **settings: Any) -> SourceReport:  # noqa: ANN401 - as Config has them
        """Export one source, and return its report."""
        (report,) = self.run(name, **settings).sources
        return report

    def killed(self, point: str, name: str, *, done: bool = True, **settings: Any) -> None:  # noqa: ANN401 - as Config has them
        """Export a source until an object is created."""
        with pytest.MonkeyPatch.context() as patch:
            kill_at(patch, point, done=done)
            with pytest.raises(KilledError):
                self.run(name, **settings)

    @property
    def out(self) -> Path:
        """Return the destination."""
        return self.root / "out"

    @property
    def state(self) -> Path:
        """Return the state."""
        return self.root / "_cefline" / "out"

    def listed(self, below: str = "out") -> list[str]:
        """Return the files of the destination, or of a folder of the state."""
        folder = self.out if below == "out" else self.state / below
        return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())

    def events(self) -> Counter[str]:
        """Return the messages at the destination, and how often each is there."""
        return Counter(line.rpartition("msg=")[2] for line in self.lines())

    def lines(self) -> list[str]:
        """Return the lines at the destination, in key order."""
        texts = (gzip.decompress((self.out / key).read_bytes()) for key in self.listed())
        return [line for text in texts for line in text.decode().splitlines()]

    def fences(self) -> int:
        """Return how many objects hold no events."""
        return sum(is_fence((self.out / key).read_bytes()) for key in self.listed())

    def manifest(self, delivery: str) -> dict[str, Any]:
        """Return a manifest."""
        found: dict[str, Any] = json.loads((self.state / f"manifests/{delivery}.json").read_bytes())
        return found


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Return a place without sources."""
    return Place(tmp_path)


def events(name: str, count: int = 6, **values: object) -> bytes:
    rows = ({"msg": f"{name}{n}", **values} for n in range(count))
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def each(*names: str, count: int = 6) -> Counter[str]:
    return Counter(f"{name}{n}" for name in names for n in range(count))


SMALL: dict[str, Any] = {"part_size": 130}
"""Two events of `events` in a part, so three parts."""


@pytest.fixture
def conversions(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Return a list that grows with each batch that is converted."""
    made: list[object] = []
    convert = PARTS.convert

    def counted(chunk: object, converter: object) -> Converted:
        made.append(chunk)
        result: Converted = convert(chunk, converter=converter)
        return result

    monkeypatch.setattr(PARTS, "convert", counted)
    return made


@pytest.fixture
def fetches(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that grows with each source that is read."""
    made: list[str] = []
    fetch = LINE.fetch

    def counted(source: Any, *rest: object) -> object:  # noqa: ANN401 - passed on
        made.append(Path(source.url).name)
        return fetch(source, *rest)

    monkeypatch.setattr(LINE, "fetch", counted)
    return made


def test_small_sources_have_three_parts(place: Place) -> None:
    """What the tests of kills below stand on."""
    place.write("a.jsonl", events("a"))
    assert [part.events for part in place.one("a.jsonl", **SMALL).parts] == [2, 2, 2]


# What is known is not read again.


@pytest.mark.parametrize(
    ("content", "error"),
    [(b"<html>", SourceError), (b"{}\n" * 20, TooManyRejectsError)],
    ids=["unreadable", "rejects"],
)
def test_a_source_that_failed_is_not_read_again_until_it_changes(
    place: Place, fetches: list[str], content: bytes, error: type[Exception]
) -> None:
    """The exit code stays, and the message says what failed and how to try again."""
    place.write("a.jsonl", content)
    first = place.run("a.jsonl")
    again = place.run("a.jsonl")
    assert fetches == ["a.jsonl"]
    assert again.exit_code == first.exit_code == error.exit_code  # type: ignore[attr-defined]
    (before,), (report,) = first.sources, again.sources
    assert (report.outcome, report.delivery) == ("failed", place.listed("seen")[0].split("-")[1])
    assert isinstance(report.error, error)
    assert str(before.error) in str(report.error)
    assert "failed before" in str(report.error)
    assert "--retry-failed" in str(report.error)
    assert place.run("a.jsonl", retry_failed=True).exit_code == first.exit_code
    assert fetches == ["a.jsonl"] * 2
    place.write("a.jsonl", events("a"))
    assert place.one("a.jsonl").outcome == "delivered"


def test_a_source_that_is_tried_again_with_success_is_done(
    place: Place, fetches: list[str]
) -> None:
    """The settings were wrong: the next runs know it as delivered, and the failure is past."""
    place.write("a.jsonl", events("a") + b"{}\n" * 3)
    assert place.run("a.jsonl", max_rejects=MaxRejects(2, 0)).exit_code == 3
    assert place.one("a.jsonl", retry_failed=True).outcome == "delivered"
    assert place.one("a.jsonl").outcome == "known"
    assert place.one("a.jsonl", retry_failed=True).outcome == "known"
    assert len(fetches) == 2


@pytest.mark.parametrize(
    ("content", "settings"),
    [
        (events("a", eventTime="2026-01-12T10:00:00"), {"timezone": "UTC"}),
        (events("a", eventTime=1595194940000), {"time_unit": "ms"}),
        (events("a") + b"{}\n" * 20, {"max_rejects": MaxRejects(20, 0)}),
        (
            events("a", evidence_id=1)[:-2],
            {"accept_truncated": True, "max_rejects": MaxRejects(1, 0)},
        ),
    ],
    ids=["timezone", "time_unit", "max_rejects", "accept_truncated"],
)
def test_a_source_that_failed_is_read_again_with_other_settings(
    place: Place, fetches: list[str], content: bytes, settings: dict[str, Any]
) -> None:
    """The advice of its message was taken: no other flag is needed."""
    place.write("a.jsonl", content)
    for _ in range(2):
        assert place.run("a.jsonl").exit_code in {1, 3}
    assert fetches == ["a.jsonl"]
    assert place.one("a.jsonl", **settings).outcome == "delivered"
    assert place.run("a.jsonl", **settings, pace=0.1, threads=1).sources[0].outcome == "known"


def test_settings_that_decide_on_nothing_are_no_reason_to_read_again(
    place: Place, fetches: list[str]
) -> None:
    """More cores or another patience do not heal a source."""
    place.write("a.jsonl", b"<html>")
    for settings in ({}, {"threads": 1}, {"turn_timeout": 9.0}, {"settle": 0.0}):
        assert place.run("a.jsonl", **settings).exit_code == 1
    assert fetches == ["a.jsonl"]


def test_a_failure_that_may_pass_is_not_remembered(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Throttling and a full disk say nothing of the source."""

    def failing(*_: object) -> NoReturn:
        raise TryAgainError("throttled")

    place.write("a.jsonl", events("a"))
    with monkeypatch.context() as patch:
        patch.setattr(LINE, "fetch", failing)
        assert place.run("a.jsonl").exit_code == 75
    assert place.listed("seen") == []
    assert place.one("a.jsonl").outcome == "delivered"


def test_a_dry_run_remembers_nothing(place: Place) -> None:
    """Neither a failure nor a success."""
    place.write("a.jsonl", b"<html>")
    place.write("b.jsonl", events("b"))
    assert place.run("a.jsonl", "b.jsonl", dry_run=True).exit_code == 1
    assert not place.state.exists()
    assert place.one("b.jsonl").outcome == "delivered"


def test_a_run_with_nothing_to_do_is_cheap(place: Place) -> None:
    """It reads no source and imports nothing that converts: cron calls it every five minutes."""
    place.write("a.jsonl", events("a"))
    place.write("bad.jsonl", b"<html>")
    script = (
        "import sys\n"
        "from cefline.config import Config\n"
        "from cefline.job import export\n"
        f"report = export(Config(sources=({str(place.root)!r},), dest={str(place.out)!r}))\n"
        "print([s.outcome for s in report.sources], report.exit_code)\n"
        "heavy = ('polars', 'pyarrow', 'isal', 's3fs', 'pygal', 'jinja2')\n"
        "print([n for n in heavy if n in sys.modules])\n"
    )
    told = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, check=True, text=True
        )
        told.append(done.stdout.splitlines())
    assert told[0][0] == "['delivered', 'failed'] 1"
    assert told[1] == ["['known', 'failed'] 1", "[]"]


# What may still be written.


@pytest.mark.parametrize("name", ["in", "in/*.jsonl", "in/**/*.jsonl"])
def test_a_file_that_was_just_written_is_left_for_the_next_run(place: Place, name: str) -> None:
    """An export may still be going on; that is no error, and it is said."""
    place.write("in/a.jsonl", events("a"))
    os.utime(place.write("in/b.jsonl", events("b")))
    report = place.run(name)
    assert [(Path(s.url).name, s.outcome) for s in report.sources] == [
        ("a.jsonl", "delivered"),
        ("b.jsonl", "left"),
    ]
    assert report.exit_code == 0
    assert "--settle" in report.sources[1].notes[0]
    assert "left for the next run" in "\n".join(report.lines())
    assert place.events() == each("a")


def test_a_file_is_taken_when_it_has_settled(place: Place) -> None:
    """After 60 seconds, or as many as were asked for."""
    path = place.write("in/a.jsonl", events("a"))
    for age, outcome in ((55, "left"), (65, "converted")):
        os.utime(path, (time.time() - age,) * 2)
        (source,) = place.run("in", dry_run=True).sources
        assert source.outcome == outcome
    os.utime(path)
    assert place.one("in", settle=0.0).outcome == "delivered"


def test_a_file_that_was_named_is_taken_at_once(place: Place) -> None:
    """Who names it knows that it is whole."""
    os.utime(place.write("in/a.jsonl", events("a")))
    assert place.one("in/a.jsonl").outcome == "delivered"


def test_objects_need_not_settle(place: Place, s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    """They appear whole."""
    for name, value in s3.env.items():
        monkeypatch.setenv(name, value)
    s3.put("in/a.jsonl", events("a"))
    assert place.one(f"{s3.url}/in").outcome == "delivered"


@pytest.mark.parametrize("change", ["grown", "gone"])
def test_a_file_that_changes_while_it_is_read_publishes_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """What was read may be half of it. The next version is another matter."""
    path = place.write("a.jsonl", events("a"))
    check = LINE.check_unchanged

    def changing(local: object) -> None:
        path.unlink()
        if change == "grown":
            path.write_bytes(events("a", 7))
        check(local)

    with monkeypatch.context() as patch:
        patch.setattr(LINE, "check_unchanged", changing)
        report = place.one("a.jsonl")
    assert "changed while it was read" in str(report.error)
    assert place.listed() == []
    place.write("a.jsonl", events("a", 7))
    assert place.one("a.jsonl").outcome == "delivered"
    assert place.events() == each("a", count=7)


# What others left.


@pytest.mark.parametrize(
    "point", ["turns/00000001.json", "-000001.cef", "-000002.cef", "-000003.cef"]
)
def test_an_open_turn_is_finished_from_its_own_source(place: Place, point: str) -> None:
    """By a run of other sources, with the settings of the plan, before it takes its own turn."""
    place.write("a.jsonl", events("a"))
    place.write("b.jsonl", events("b"))
    place.killed(point, "a.jsonl", **SMALL)
    report = place.run("b.jsonl")
    assert [s.outcome for s in report.sources] == ["delivered"]
    assert place.events() == each("a", "b")
    assert place.fences() == 0
    turns = [key.split("/")[1][-8:] for key in place.listed()]
    assert turns == ["00000001"] * 3 + ["00000002"]
    assert place.one("a.jsonl").outcome == "known"


def test_a_turn_that_can_t_be_finished_is_closed(place: Place) -> None:
    """Its source is on another host; what is left goes out under a later turn, in order."""
    path = place.write("a.jsonl", events("a"))
    place.write("b.jsonl", events("b"))
    place.killed("-000001.cef", "a.jsonl", **SMALL)
    path.rename(place.root / "away")
    report = place.run("b.jsonl")
    assert report.exit_code == 0
    assert place.events() == {"a0": 1, "a1": 1, **each("b")}
    (fenced,) = place.listed("fenced")
    assert json.loads((place.state / "fenced" / fenced).read_bytes())["published"] == 1
    assert (place.state / "turns/00000001.closed").exists()
    (place.root / "away").rename(path)
    last = place.one("a.jsonl")
    assert last.outcome == "delivered"
    assert place.events() == each("a", "b")
    assert place.fences() == 1
    assert [Path(part.url).name for part in last.parts] == [
        "00000003-000001.cef.gz",
        "00000003-000002.cef.gz",
    ]
    entries = place.manifest(last.delivery)["parts"]
    assert [(entry["first"], entry["last"]) for entry in entries] == [(0, 1), (2, 3), (4, 5)]
    assert place.manifest(last.delivery)["segment"] == 2
    made = [name for name in place.listed("plans") if name.startswith(last.delivery)]
    assert made == [f"{last.delivery}-01.json", f"{last.delivery}-02.json"]
    assert [line.rpartition("msg=")[2] for line in place.lines()] == [
        *("a0", "a1"),
        *sorted(each("b")),
        *("a2", "a3", "a4", "a5"),
    ]


def test_a_rescue_delivers_no_other_content(place: Place) -> None:
    """The file has another content now: its turn is closed, not filled with that."""
    place.write("a.jsonl", events("a"))
    place.write("b.jsonl", events("b"))
    place.killed("-000001.cef", "a.jsonl", **SMALL)
    place.write("a.jsonl", events("c"))
    assert place.run("b.jsonl").exit_code == 0
    assert place.events() == {"a0": 1, "a1": 1, **each("b")}
    assert place.one("a.jsonl").outcome == "delivered"
    assert place.events() == {"a0": 1, "a1": 1, **each("b", "c")}
    place.write("a.jsonl", events("a"))
    assert place.one("a.jsonl").outcome == "delivered"
    assert place.events() == each("a", "b", "c")


def test_a_rescue_that_fails_is_logged_without_a_sample(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    place.write("a.jsonl", events("a"))
    place.write("b.jsonl", events("b"))
    place.killed("-000001.cef", "a.jsonl", **SMALL)
    real = LINE.run_source

    def refusing(source: Source, run: Run, expected: str = "") -> SourceReport:
        report: SourceReport = real(source, run, expected)
        err = SourceError("a.jsonl is no timeline", sample="it has hunter2")
        return dataclasses.replace(report, outcome="failed", error=err) if expected else report

    monkeypatch.setattr(LINE, "run_source", refusing)
    assert place.run("b.jsonl").exit_code == 0
    assert "a.jsonl is no timeline" in caplog.text
    assert "hunter2" not in caplog.text


def test_a_rescue_is_of_the_delivery_with_its_evidence(place: Place) -> None:
    """The plan says which evidence its events are of."""
    place.write("a.jsonl", events("a"))
    place.write("b.jsonl", events("b"))
    place.killed("-000001.cef", "a.jsonl", **SMALL, evidence_id=7)
    assert place.run("b.jsonl").exit_code == 0
    assert place.events() == each("a", "b")
    assert sum("evidence_id=7" in line for line in place.lines()) == 6
    assert place.one("a.jsonl", evidence_id=7).outcome == "known"


def test_a_rescue_on_s3(place: Place, s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sources, destination and state may all be there; nothing needs this host's disk."""
    for name, value in s3.env.items():
        monkeypatch.setenv(name, value)
    for name in "ab":
        s3.put(f"in/{name}.jsonl", events(name))
    where = {"dest": f"{s3.url}/siem", "s3": S3Settings(attempts=2)}
    first = place.one(f"{s3.url}/in/a.jsonl", **SMALL, **where)
    removed = [k for k in s3.sizes() if "/manifests/" in k or "/seen/" in k or k.endswith("closed")]
    for key in [*removed, next(k for k in s3.sizes() if k.endswith("-000003.cef.gz"))]:
        s3.client.delete_object(Bucket=s3.bucket, Key=key)
    second = place.one(f"{s3.url}/in/b.jsonl", **where)
    assert (first.outcome, second.outcome) == ("delivered", "delivered")
    parts = [key for key in s3.sizes() if "/siem/2" in key and "_cefline" not in key]
    assert [f"s3://{s3.bucket}/{key}" for key in parts] == [
        part.url for part in (*first.parts, *second.parts)
    ]
    assert len([key for key in s3.sizes() if "/manifests/" in key]) == 2


def test_a_run_that_was_closed_out_goes_on_in_the_same_run(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others closed its turn while it published: it takes a later one, and says so."""
    place.write("a.jsonl", events("a"))
    place.write("b.jsonl", events("b"))
    publish = import_module("cefline.deliver.publish")
    put, calls = publish._put, []  # noqa: SLF001 - the moment between two parts

    def stalled(*arguments: object) -> object:
        calls.append(arguments)
        if len(calls) == 2:
            (place.root / "a.jsonl").rename(place.root / "away")
            assert place.run("b.jsonl").exit_code == 0
            (place.root / "away").rename(place.root / "a.jsonl")
        return put(*arguments)

    monkeypatch.setattr(publish, "_put", stalled)
    report = place.one("a.jsonl", **SMALL)
    assert report.outcome == "delivered"
    assert place.events() == each("a", "b")
    assert place.manifest(report.delivery)["segment"] == 2


def test_runs_side_by_side_deliver_each_event_once(place: Place) -> None:
    """Of the same folder, at the same time, each with staging of its own."""
    for name in "abcdef":
        place.write(f"in/{name}.jsonl", events(name))

    def run(number: int) -> Report:
        staging = str(place.root / f"staging{number}")
        return place.run("in", **SMALL, staging=staging, turn_timeout=60.0)

    with ThreadPoolExecutor(3) as pool:
        reports = list(pool.map(run, range(3)))
    assert [report.exit_code for report in reports] == [0, 0, 0]
    assert place.events() == each(*"abcdef")
    outcomes = Counter(s.outcome for report in reports for s in report.sources)
    assert outcomes["delivered"] + outcomes["known"] == 18
    assert place.fences() == 0


# Text that has changed since the plan.


def test_a_newer_text_goes_out_for_what_is_left(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What is out stands in the old form; the rest is planned anew, each event once."""
    place.write("a.jsonl", events("a"))
    place.killed("-000001.cef", "a.jsonl", **SMALL)
    convert = PARTS.convert

    def newer(chunk: object, converter: object) -> Converted:
        old: Converted = convert(chunk, converter=converter)
        slices = [
            Slice(pc.replace_substring(s.lines, "CEF:0|", "CEF:1|"), s.ordinals, s.partitions)
            for s in old.slices
        ]
        return dataclasses.replace(old, slices=slices)

    monkeypatch.setattr(PARTS, "convert", newer)
    monkeypatch.setattr(PARTS, "TEXT_FORMAT", {"cado": "2-abcdef"})
    with caplog.at_level(logging.WARNING, "cefline"):
        report = place.one("a.jsonl", **SMALL)
    assert report.outcome == "delivered"
    assert "has other parts" in caplog.text
    assert place.events() == each("a")
    assert [line[:5] for line in place.lines()] == ["CEF:0"] * 2 + ["CEF:1"] * 4
    assert place.manifest(report.delivery)["text_format"] == "2-abcdef"


def test_events_that_can_t_be_told_apart_are_not_guessed_at(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A version that finds another number of events where some are out can't go on with it."""
    place.write("a.jsonl", events("a"))
    place.killed("-000001.cef", "a.jsonl", **SMALL)
    convert = PARTS.convert

    def fewer(chunk: object, converter: object) -> Converted:
        old: Converted = convert(chunk, converter=converter)
        slices = [Slice(s.lines[1:], s.ordinals[1:], s.partitions[1:]) for s in old.slices]
        return dataclasses.replace(old, slices=slices, read=old.read - 1)

    monkeypatch.setattr(PARTS, "convert", fewer)
    monkeypatch.setattr(PARTS, "TEXT_FORMAT", {"cado": "2-abcdef"})
    report = place.one("a.jsonl", **SMALL)
    assert report.error is not None
    assert "finds other events" in str(report.error)
    assert place.events() == {"a0": 1, "a1": 1}


# A reader that removes what it has read.


def read_and_removed(place: Place) -> list[str]:
    """Let a reader take the events of all parts."""
    lines = place.lines()
    for key in place.listed():
        (place.out / key).unlink()
    return lines


@pytest.mark.parametrize("put", [False, True])
def test_a_part_that_may_have_been_read_is_asked_for(place: Place, *, put: bool) -> None:
    """The run ends in 1 and names both answers; with the right one each event came once."""
    place.write("a.jsonl", events("a"))
    place.killed("-000002.cef", "a.jsonl", done=put, **SMALL)
    taken = read_and_removed(place)
    for _ in range(2):  # it is asked again and again, and nothing is put out
        report = place.run("a.jsonl", **SMALL)
        assert report.exit_code == 1
        assert "--assume-delivered" in str(report.sources[0].error)
        assert place.listed() == []
    last = place.one("a.jsonl", **SMALL, assume="delivered" if put else "lost")
    assert last.outcome == "delivered"
    assert Counter(line.rpartition("msg=")[2] for line in taken) + place.events() == each("a")
    assert any("a reader has removed" in note for note in last.notes)


def test_a_reader_that_removes_parts_is_noted(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was there when it was put out, and is gone before the check, is no error."""
    place.write("a.jsonl", events("a"))
    delivery = import_module("cefline.deliver.delivery")
    check = delivery.check_listing

    def removing(*arguments: object) -> object:
        read_and_removed(place)
        return check(*arguments)

    monkeypatch.setattr(delivery, "check_listing", removing)
    report = place.one("a.jsonl", **SMALL)
    assert report.outcome == "delivered"
    assert "a reader has removed 3 parts already" in report.notes
    assert place.one("a.jsonl").outcome == "known"


# The same bytes, the same evidence.


def test_the_same_bytes_under_another_name_are_known(place: Place, fetches: list[str]) -> None:
    """Their rows say of which evidence they are: a note, and they are not read a third time."""
    place.write("a.jsonl", events("a", evidence_id=3))
    place.write("copy.jsonl", events("a", evidence_id=3))
    assert place.one("a.jsonl").outcome == "delivered"
    report = place.one("copy.jsonl")
    assert (report.outcome, report.error) == ("known", None)
    assert report.notes == (f"the same bytes were delivered as {place.root / 'a.jsonl'}",)
    assert place.one("copy.jsonl").outcome == "known"
    assert fetches == ["a.jsonl", "copy.jsonl"]
    assert place.events() == each("a")


def test_the_same_bytes_without_evidence_are_asked_for(place: Place) -> None:
    """Two machines can have equal exports: exit code 2, and what to say."""
    for name in ("a.jsonl", "copy.jsonl"):
        place.write(name, events("a"))
    assert place.one("a.jsonl").outcome == "delivered"
    report = place.run("copy.jsonl")
    assert report.exit_code == 2
    (source,) = report.sources
    assert isinstance(source.error, UsageError)
    assert "--evidence-id" in str(source.error)
    assert "--redeliver" in str(source.error)
    assert place.events() == each("a")
    assert place.one("copy.jsonl", evidence_id=2).outcome == "delivered"
    assert place.events() == each("a") + each("a")
    assert place.one("a.jsonl").outcome == "known"


def test_an_evidence_that_was_given_fills_those_without(place: Place) -> None:
    """Events that have one keep it; parts, manifest and plan say the same."""
    content = events("a", 2) + events("b", 2, evidence_id=3)
    place.write("a.jsonl", content)
    report = place.one("a.jsonl", evidence_id=7)
    assert sorted(line.partition("evidence_id=")[2][0] for line in place.lines()) == list("3377")
    assert {key.split("/")[2] for key in place.listed()} == {"evidence_id-3", "evidence_id-7"}
    assert place.manifest(report.delivery)["evidence"] == [3, 7]
    assert place.manifest(report.delivery)["variant"]["evidence_id"] == 7
    assert place.one("a.jsonl", evidence_id=7).outcome == "known"


def test_evidence_zero_is_another_evidence(place: Place) -> None:
    """Delivered before without an evidence, now with number 0."""
    place.write("a.jsonl", events("a"))
    assert place.one("a.jsonl").outcome == "delivered"
    assert place.one("a.jsonl", evidence_id=0).outcome == "delivered"


def test_each_token_delivers_once_more(place: Place) -> None:
    """Asked for again with the same word it is known; without one nothing comes again."""
    place.write("a.jsonl", events("a"))
    for number, token in enumerate((None, "INC-1", "INC-1", None, "INC-2", "INC-1", "INC-2")):
        report = place.one("a.jsonl", redeliver=token)
        assert report.outcome == ("delivered" if number in {0, 1, 4} else "known")
    assert place.events() == each("a") + each("a") + each("a")
    assert len(place.listed("manifests")) == 3


def test_a_redelivery_that_was_killed_is_finished_with_its_token(place: Place) -> None:
    """And is not begun again with the next."""
    place.write("a.jsonl", events("a"))
    place.one("a.jsonl", **SMALL)
    place.killed("00000002-000001.cef", "a.jsonl", **SMALL, redeliver="x")
    assert place.one("a.jsonl", **SMALL, redeliver="x").outcome == "delivered"
    assert place.events() == each("a") + each("a")


def test_an_evidence_that_came_before_is_told(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    """From other content: a note and a warning, and it is delivered."""
    place.write("a.jsonl", events("a", evidence_id=3))
    place.write("b.jsonl", events("b", evidence_id=3))
    first = place.one("a.jsonl")
    assert first.notes == ()
    with caplog.at_level(logging.WARNING, "cefline"):
        report = place.one("b.jsonl")
    assert report.outcome == "delivered"
    (note,) = report.notes
    assert f"3 (delivery {first.delivery})" in note
    assert note in caplog.text


def test_an_evidence_that_came_before_is_refused_where_that_is_asked_for(place: Place) -> None:
    """Nothing of it is put out; that flag says how to deliver it."""
    place.write("a.jsonl", events("a", evidence_id=3))
    place.write("b.jsonl", events("b", evidence_id=3))
    place.write("c.jsonl", events("c", evidence_id=4))
    report = place.run("a.jsonl", "b.jsonl", "c.jsonl", known="refuse")
    assert [s.outcome for s in report.sources] == ["delivered", "failed", "delivered"]
    assert report.exit_code == 1
    assert "--known deliver" in str(report.sources[1].error)
    assert place.events() == each("a", "c")
    assert place.one("b.jsonl").outcome == "delivered"


@pytest.mark.parametrize("known", ["deliver", "refuse"])
def test_a_delivery_is_no_evidence_of_its_own_that_came_before(place: Place, known: str) -> None:
    """A rerun after a kill goes on without a note."""
    place.write("a.jsonl", events("a", evidence_id=3))
    place.killed("-000001.cef", "a.jsonl", **SMALL, known=known)
    report = place.one("a.jsonl", known=known)
    assert (report.outcome, report.error) == ("delivered", None)
    assert not any("delivered before" in note for note in report.notes)


# A destination and its state.


def test_a_destination_that_has_lost_its_state_is_adopted(place: Place) -> None:
    """Without the flag 78 and nothing done; with it the next turn follows the last key."""
    place.write("a.jsonl", events("a"))
    place.write("b.jsonl", events("b"))
    place.run("a.jsonl", **SMALL)
    before = place.listed()
    place.state.rename(place.root / "lost")
    with pytest.raises(ConfigError, match="has objects already") as caught:
        place.run("b.jsonl")
    assert caught.value.exit_code == 78
    assert not place.state.exists()
    assert place.one("b.jsonl", adopt=True).outcome == "delivered"
    assert place.listed()[: len(before)] == before
    assert place.listed()[-1].endswith("/00000002-000001.cef.gz")
    assert place.one("b.jsonl").outcome == "known"
    place.write("c.jsonl", events("c"))
    assert place.one("c.jsonl").outcome == "delivered"
    assert place.events() == each("a", "b", "c")


def test_a_destination_that_was_moved_keeps_its_state(place: Place) -> None:
    """What was delivered stays known, and keys go on rising."""
    place.write("a.jsonl", events("a"))
    place.write("b.jsonl", events("b"))
    place.run("a.jsonl")
    place.out.rename(place.root / "moved")
    where: dict[str, Any] = {"dest": str(place.root / "moved"), "state": str(place.state)}
    with pytest.raises(ConfigError, match="belongs to"):
        place.run("b.jsonl", **where)
    report = place.run("a.jsonl", "b.jsonl", **where, adopt=True)
    assert [s.outcome for s in report.sources] == ["known", "delivered"]
    names = sorted(p.name for p in (place.root / "moved").rglob("*.gz"))
    assert names == ["00000001-000001.cef.gz", "00000002-000001.cef.gz"]


# Staging.


def test_nothing_is_converted_twice(
    place: Place, conversions: list[object], fetches: list[str]
) -> None:
    """A run that was killed as it made its plan had staged it all: the next one goes on there."""
    place.write("a.jsonl", events("a"))
    place.killed("plans/", "a.jsonl", done=False, **SMALL)
    count = len(conversions)
    assert count > 0
    report = place.one("a.jsonl", **SMALL)
    assert report.outcome == "delivered"
    assert (len(conversions), fetches) == (count, ["a.jsonl"])
    assert (report.tally.read, report.tally.delivered, report.format) == (6, 6, "ndjson")
    assert place.events() == each("a")


def test_a_source_on_s3_is_not_fetched_twice(
    place: Place,
    s3: S3,
    monkeypatch: pytest.MonkeyPatch,
    fetches: list[str],
    conversions: list[object],
) -> None:
    """What was brought here is there; another version of it would be another folder."""
    for name, value in s3.env.items():
        monkeypatch.setenv(name, value)
    url = s3.put("a.jsonl", events("a"))
    place.killed("turns/", url, **SMALL)
    assert place.one(url, **SMALL).outcome == "delivered"
    assert (fetches, len(conversions)) == (["a.jsonl"], 1)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b"\0" + path.read_bytes()[1:]),
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.unlink(),
    ],
    ids=["changed", "cut", "gone"],
)
@pytest.mark.parametrize("name", ["000001", "staged.json"])
def test_a_damaged_staged_file_is_made_again(
    place: Place, staging_root: Path, conversions: list[object], name: str, damage: object
) -> None:
    """A disk that lost power: the source is converted once more, and all is whole."""
    place.write("a.jsonl", events("a"))
    place.killed("plans/", "a.jsonl", done=False, **SMALL)
    (path,) = staging_root.glob(f"*/{name}")
    assert callable(damage)
    damage(path)
    assert place.one("a.jsonl", **SMALL).outcome == "delivered"
    assert len(conversions) == 2
    assert place.events() == each("a")


@pytest.mark.parametrize("settings", [{"part_size": 999}, {"lists": "json"}, {"evidence_id": 1}])
def test_other_settings_are_other_parts(
    place: Place, conversions: list[object], settings: dict[str, Any]
) -> None:
    """Nothing was planned yet: the new ones count, and what was staged does not fit them."""
    place.write("a.jsonl", events("a"))
    place.killed("plans/", "a.jsonl", done=False, **SMALL)
    report = place.one("a.jsonl", **{**SMALL, **settings})
    assert report.outcome == "delivered"
    assert len(conversions) == 2
    assert place.events() == each("a")


def staged_folders(root: Path) -> list[Path]:
    return list(root.iterdir()) if root.is_dir() else []


@pytest.mark.parametrize(
    ("content", "settings", "code", "kept"),
    [
        (events("a"), {}, 0, False),
        (b"<html>", {}, 1, False),
        (b"{}\n" * 20, {}, 3, False),
        (events("a"), {"staging_max": 1}, 75, True),
    ],
    ids=["delivered", "unreadable", "rejects", "too much"],
)
def test_staging_is_left_as_it_must_be(
    place: Place,
    staging_root: Path,
    content: bytes,
    settings: dict[str, Any],
    code: int,
    *,
    kept: bool,
) -> None:
    """Evidence stays on this disk only where the next run goes on with it."""
    place.write("a.jsonl", content)
    assert place.run("a.jsonl", **settings).exit_code == code
    assert bool(staged_folders(staging_root)) is kept
    assert (place.listed() == []) is (code != 0)


def test_what_a_kill_left_goes_when_its_source_is_done(place: Place, staging_root: Path) -> None:
    """By the run that finishes it."""
    place.write("a.jsonl", events("a"))
    place.killed("-000001.cef", "a.jsonl", **SMALL)
    assert len(staged_folders(staging_root)) == 1
    place.run("a.jsonl")
    assert staged_folders(staging_root) == []


def test_a_bound_of_staging_is_told(place: Place) -> None:
    """Exit code 75 and the setting; with more room the next run delivers."""
    place.write("a.jsonl", events("a"))
    report = place.one("a.jsonl", staging_max=1)
    assert isinstance(report.error, TryAgainError)
    assert "staging_max" in str(report.error)
    assert place.one("a.jsonl").outcome == "delivered"


def test_a_disk_that_is_full_is_told(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 75 with the bytes that are free; nothing was put out, and the next run delivers."""
    stage = import_module("cefline.deliver.stage")

    def full(*_: object) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    place.write("a.jsonl", events("a"))
    with monkeypatch.context() as patch:
        patch.setattr(stage, "_File", full)
        report = place.one("a.jsonl")
    assert isinstance(report.error, TryAgainError)
    assert "bytes are free" in str(report.error)
    assert place.listed() == []
    assert place.one("a.jsonl").outcome == "delivered"


@pytest.fixture
def public(tmp_path: Path) -> Iterator[str]:
    """Return a folder that others can enter."""
    folder = tmp_path / "public"
    folder.mkdir()
    folder.chmod(0o755)
    yield str(folder)
    assert list(folder.iterdir()) == []


def test_staging_that_others_can_enter_is_refused(place: Place, public: str) -> None:
    """Exit code 78 and nothing written there; a private one is taken, wherever it is."""
    place.write("a.jsonl", events("a"))
    report = place.run("a.jsonl", staging=public)
    assert report.exit_code == 78
    assert "0700" in str(report.sources[0].error)
    assert place.one("a.jsonl", staging=f"{public}/../private").outcome == "delivered"


# Settings of the plan.


def test_a_rerun_goes_by_the_plan(place: Place) -> None:
    """Its own settings are for the next source, and a note names those that differ."""
    place.write("a.jsonl", events("a", evidence_id=3))
    place.killed("-000001.cef", "a.jsonl", **SMALL)
    report = place.one("a.jsonl", partition_by=(), compression="none")
    assert "compression, part_size, partition_by" in report.notes[0]
    assert place.events() == each("a")
    assert {key.rpartition(".")[2] for key in place.listed()} == {"gz"}


def test_a_plan_of_another_version_is_told(place: Place) -> None:
    """Settings that this one does not know: nothing is guessed, and nothing is put out."""
    place.write("a.jsonl", events("a"))
    place.killed("-000001.cef", "a.jsonl", **SMALL)
    (name,) = place.listed("plans")
    path = place.state / "plans" / name
    plan = json.loads(path.read_bytes())
    plan["settings"]["novelty"] = True
    path.write_text(json.dumps(plan))
    report = place.one("a.jsonl")
    assert report.error is not None
    assert "novelty" in str(report.error)
    assert place.events() == {"a0": 1, "a1": 1}


# What only several runs show.


def test_impatient_runs_side_by_side_deliver_each_event_once(place: Place) -> None:
    """They take each other's turns over at once, and put the same parts under the same keys."""
    for name in "abcdef":
        place.write(f"in/{name}.jsonl", events(name))

    def run(number: int) -> Report:
        names = [f"in/{name}.jsonl" for name in "abcdef"[number:] + "abcdef"[:number]]
        staging = str(place.root / f"staging{number}")
        return place.run(*names, **SMALL, staging=staging, turn_timeout=0.0)

    with ThreadPoolExecutor(3) as pool:
        reports = list(pool.map(run, (0, 2, 4)))
    assert [str(s.error) for r in reports for s in r.sources if s.error is not None] == []
    assert place.events() == each(*"abcdef")
    assert len(place.listed("manifests")) == 6


def test_what_is_gone_on_with_has_its_rejects(place: Place, conversions: list[object]) -> None:
    """Counts, reasons and the objects that keep them are those of the run that converted."""
    content = events("a") + b"nonsense\n" + events("b", 1)
    place.write("whole.jsonl", content)
    whole = place.one("whole.jsonl", redeliver="x")
    place.write("a.jsonl", content)
    place.killed("plans/", "a.jsonl", done=False)
    count = len(conversions)
    report = place.one("a.jsonl")
    assert len(conversions) == count
    assert report.tally == whole.tally
    assert (report.format, report.unknown) == (whole.format, whole.unknown)
    manifest = place.manifest(report.delivery)
    assert manifest["events_rejected"] == 1
    assert [row["count"] for row in manifest["rejects"]] == [1]
    assert all((place.state / key).is_file() for key in manifest["reject_objects"])
    assert len(manifest["reject_objects"]) == 1


def test_many_segments_of_one_delivery_are_each_event_once(place: Place) -> None:
    """Fenced again and again by runs that lack its source, it still ends."""
    path = place.write("a.jsonl", events("a", 8))
    for number, name in enumerate("bcd", 1):
        place.killed(f"{2 * number - 1:08d}-000001.cef", "a.jsonl", **SMALL)
        path.rename(place.root / "away")
        place.write(f"{name}.jsonl", events(name))
        assert place.one(f"{name}.jsonl").outcome == "delivered"
        (place.root / "away").rename(path)
    last = place.one("a.jsonl", **SMALL)
    assert last.outcome == "delivered"
    assert place.events() == each("b", "c", "d") + each("a", count=8)
    manifest = place.manifest(last.delivery)
    assert manifest["segment"] == 4
    assert [entry["first"] for entry in manifest["parts"]] == [0, 2, 4, 6]
    assert place.fences() == 3


def test_an_evidence_of_which_nothing_came_is_not_refused(place: Place) -> None:
    """The first export of it was never put out; a corrected one comes in its place."""
    place.write("a.jsonl", events("a", evidence_id=3))
    place.killed("plans/", "a.jsonl", done=False)
    place.write("a.jsonl", events("b", evidence_id=3))
    assert place.one("a.jsonl", known="refuse").outcome == "delivered"


def test_a_bound_of_staging_is_of_what_is_fetched_too(
    place: Place, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A source on S3 takes room in the same folder."""
    for name, value in s3.env.items():
        monkeypatch.setenv(name, value)
    url = s3.put("a.jsonl", events("a", 2000))
    assert place.run(url, staging_max=20_000).exit_code == 75


# What is selected.

EVEN: dict[str, Any] = {"where": "msg not matches '[13579]$'", "part_size": 130}


def even(name: str, count: int = 12) -> Counter[str]:
    return Counter(f"{name}{n}" for n in range(0, count, 2))


@pytest.mark.parametrize("later", [{}, {"where": "msg = 'a1'"}, {"drop": ("msg",)}], ids=str)
def test_a_killed_selection_is_ended_as_it_was_planned(place: Place, later: dict[str, Any]) -> None:
    """Whatever is selected now: half of one and half of another would lose or double events."""
    place.write("a.jsonl", events("a", 12))
    place.killed("-000002.cef", "a.jsonl", **EVEN)
    report = place.one("a.jsonl", **later)
    assert report.outcome == "delivered"
    (note,) = report.notes
    assert "goes on as it was planned" in note
    assert "where" in note
    assert place.events() == even("a")
    assert (report.tally.filtered, place.manifest(report.delivery)["events_filtered"]) == (6, 6)


def test_a_run_with_a_selection_ends_one_without_as_it_was_planned(place: Place) -> None:
    """A plan that says nothing of a selection has none."""
    place.write("a.jsonl", events("a"))
    place.killed("-000001.cef", "a.jsonl", **SMALL)
    report = place.one("a.jsonl", where="msg = 'a1'", since="2026-01-01", drop=("short",))
    assert "settings of this run that differ: drop, part_size, since, where" in report.notes[0]
    assert place.events() == each("a")
    assert report.tally.filtered == 0


def test_a_selection_in_segments_is_each_event_once(place: Place) -> None:
    """Cuts are by the source's ordinals."""
    path = place.write("a.jsonl", events("a", 12))
    place.killed("-000001.cef", "a.jsonl", **EVEN)
    path.rename(place.root / "away")
    place.write("b.jsonl", events("b"))
    assert place.one("b.jsonl").outcome == "delivered"
    (place.root / "away").rename(path)
    last = place.one("a.jsonl", **EVEN)
    assert place.events() == each("b") + even("a")
    manifest = place.manifest(last.delivery)
    assert (manifest["segment"], manifest["events_filtered"]) == (2, 6)
    assert [(entry["first"], entry["last"]) for entry in manifest["parts"]] == [
        (0, 2),
        (4, 6),
        (8, 10),
    ]


def test_a_source_of_which_nothing_is_selected_is_delivered(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    """With no events, as an empty one; under another name it is known, whatever evidence it is."""
    for name in ("a.jsonl", "copy.jsonl"):
        place.write(name, events("a"))
    report = place.one("a.jsonl", where="msg = 'x'")
    assert (report.outcome, report.parts) == ("delivered", ())
    assert (report.tally.read, report.tally.filtered, report.delivered) == (6, 6, 0)
    assert "a.jsonl has no event that is selected" in caplog.text
    assert place.listed() == []
    assert place.one("a.jsonl").outcome == "known"
    assert place.one("copy.jsonl").outcome == "known"


def test_what_was_not_selected_comes_with_a_token(place: Place) -> None:
    """What is delivered stays so; the rest is another delivery, said on purpose."""
    place.write("a.jsonl", events("a"))
    place.one("a.jsonl", where="msg = 'a1'")
    assert place.one("a.jsonl", where="msg != 'a1'").outcome == "known"
    place.one("a.jsonl", where="msg != 'a1'", redeliver="rest")
    assert place.events() == each("a")


def test_evidence_of_which_nothing_is_selected_did_not_come(place: Place) -> None:
    """Another export of it is its first."""
    place.write("a.jsonl", events("a", evidence_id=1) + events("b", evidence_id=2))
    report = place.one("a.jsonl", where="evidence_id = 1")
    assert place.manifest(report.delivery)["evidence"] == [1]
    place.write("b.jsonl", events("b", evidence_id=2))
    assert place.one("b.jsonl", known="refuse").outcome == "delivered"
    assert place.events() == each("a", "b")


def test_a_dry_run_counts_what_is_filtered(place: Place) -> None:
    place.write("a.jsonl", events("a", 12))
    report = place.run("a.jsonl", dry_run=True, **EVEN)
    assert report.as_json()["events_filtered"] == 6
    assert report.as_json()["sources"][0]["events_filtered"] == 6
    assert "12 events read, 6 would be delivered, 0 rejected, 6 filtered" in [*report.lines()]
    assert "  6 events filtered: not selected" in [*report.lines()]
    assert place.listed() == []
