"""What became of each delivery, by listing; and deliveries that are closed as they are."""

from __future__ import annotations

import gzip
import json
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from cefline import s3 as s3_module
from cefline.config import Config
from cefline.deliver import plans, turns
from cefline.deliver.publish import is_fence
from cefline.deliver.store import LocalStore
from cefline.errors import DeliveryError, UsageError
from cefline.job import export
from cefline.status import Status, abandon, status
from cefline.values import MaxRejects
from cefline.verify.run import verify
from tests.commands import Result
from tests.parts import KilledError, kill_at

if TYPE_CHECKING:
    from collections.abc import Callable

    from cefline.report import Report, SourceReport
    from tests.seaweed import S3


@dataclass(frozen=True, slots=True)
class Site:
    """A destination and its state, in a folder or on S3, and a folder with sources."""

    root: Path
    top: str

    @property
    def config(self) -> Config:
        """Return what names the destination."""
        return Config(dest=f"{self.top}/out")

    def write(self, name: str, content: bytes) -> str:
        """Write a source, and return its name."""
        path = self.root / name
        path.write_bytes(content)
        return str(path)

    def run(self, *names: str, **settings: Any) -> Report:  # noqa: ANN401 - as Config has them
        """Deliver sources by name, three parts each."""
        given = {"threads": 1, "turn_timeout": 0.0, "part_size": 130, **settings}
        sources = tuple(str(self.root / name) for name in names)
        return export(Config(sources=sources, dest=f"{self.top}/out", **given))

    def one(self, name: str, **settings: Any) -> SourceReport:  # noqa: ANN401 - as Config has them
        """Deliver one source, and return its report."""
        (report,) = self.run(name, **settings).sources
        return report

    def killed(self, point: str, name: str, *, done: bool = True) -> None:
        """Deliver a source until an object is created."""
        with pytest.MonkeyPatch.context() as patch:
            kill_at(patch, point, done=done)
            with pytest.raises(KilledError):
                self.run(name)

    def status(self) -> list[Status]:
        """Return the deliveries."""
        return list(status(self.config))

    def states(self) -> list[tuple[str, str]]:
        """Return state and delivery."""
        return [(one.state, one.delivery) for one in self.status()]

    def planned(self) -> list[str]:
        """Return the deliveries that were planned."""
        folder = self.root / "_cefline/out/plans"
        return sorted({path.name[:32] for path in folder.iterdir()})

    def objects(self) -> list[str]:
        """Return what is at the destination."""
        folder = self.root / "out"
        return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())

    def fences(self) -> int:
        """Return how many objects hold no events."""
        return sum(is_fence((self.root / "out" / key).read_bytes()) for key in self.objects())

    def events(self) -> Counter[str]:
        """Return the messages at the destination, and how often each is there."""
        texts = [gzip.decompress((self.root / "out" / key).read_bytes()) for key in self.objects()]
        lines = [line for text in texts for line in text.decode().splitlines()]
        return Counter(line.rpartition("msg=")[2] for line in lines)

    def is_sound(self) -> bool:
        """Whether verification finds nothing."""
        return not [finding for one in verify(self.config) for finding in one.findings]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Return a site in a folder."""
    return Site(tmp_path, str(tmp_path))


@pytest.fixture
def on_s3(tmp_path: Path, s3: S3, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Return a site on S3, whose sources are on disk."""
    for name, value in s3.env.items():
        monkeypatch.setenv(name, value)
    return Site(tmp_path, s3.url)


def events(name: str, count: int = 6, **values: object) -> bytes:
    rows = ({"msg": f"{name}{n}", **values} for n in range(count))
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def each(*names: str, count: int = 6) -> Counter[str]:
    return Counter(f"{name}{n}" for name in names for n in range(count))


# Each state, with its numbers.


def test_a_delivery_that_is_done_has_its_numbers(site: Site) -> None:
    """As its run reported them; in the order of their turns."""
    expected = []
    for number, name in enumerate("cab", 1):
        site.write(name, events(name, 4 + number) + b"{}\n" * number)
        report = site.one(name)
        stored = sum(part.stored_bytes for part in report.parts)
        numbers = (4 + number, number, len(report.parts), stored)
        expected.append(Status("done", report.delivery, number, *numbers))
    found = site.status()
    stamps = [one.stamp for one in found]
    assert stamps == sorted(stamps)
    assert [Status(*(getattr(s, n) for n in s.__slots__[:-1])) for s in found] == expected
    assert [one.parts for one in found] == [3, 3, 4]


def test_a_source_without_events_is_done(site: Site) -> None:
    """It has no turn, and no parts."""
    site.write("a", b"")
    report = site.one("a")
    assert site.status() == [Status("done", report.delivery, 0, 0, 0, 0, 0)]


def test_a_delivery_that_was_asked_for_again_is_another(site: Site) -> None:
    """One of the same bytes under another name is none."""
    for name in ("a", "copy"):
        site.write(name, events("a", evidence_id=1))
    deliveries = [site.one("a", redeliver=token).delivery for token in (None, "X")]
    assert site.one("copy").outcome == "known"
    assert site.states() == [("done", delivery) for delivery in deliveries]


@pytest.mark.parametrize("point", ["plans/", "turns/00000001.json", "-000001.cef", "-000003.cef"])
def test_a_delivery_that_was_begun_is_open(site: Site, point: str) -> None:
    """Until it is finished."""
    site.write("a", events("a"))
    site.killed(point, "a")
    (delivery,) = site.planned()
    assert site.status() == [Status("open", delivery)]
    assert site.one("a").outcome == "delivered"
    assert site.states() == [("done", delivery)]


@pytest.mark.parametrize("point", ["manifests/", ".closed"])
def test_a_run_that_was_killed_before_it_remembered_has_delivered(site: Site, point: str) -> None:
    """The manifest decides; its numbers are in it, and no listing has them."""
    site.write("a", events("a"))
    site.write("b", events("b"))
    site.killed(point, "a")
    (delivery,) = site.planned()
    assert site.status() == [Status("done", delivery)]
    assert site.one("a").outcome == "known"
    assert site.status() == [Status("done", delivery)]
    other = site.one("b").delivery
    assert site.states() == [("done", other), ("done", delivery)]


def test_a_segment_that_others_closed_is_open(site: Site) -> None:
    """Its rest goes out later."""
    path = Path(site.write("a", events("a")))
    site.write("b", events("b"))
    site.killed("-000001.cef", "a")
    (delivery,) = site.planned()
    path.rename(site.root / "away")
    other = site.one("b").delivery
    assert site.states() == [("done", other), ("open", delivery)]
    (site.root / "away").rename(path)
    site.one("a")
    assert site.states() == [("done", other), ("done", delivery)]
    assert [(one.turn, one.parts, one.events) for one in site.status()] == [(2, 3, 6), (3, 3, 6)]


@pytest.mark.parametrize("content", [b"<html>", b"{}\n" * 20], ids=["unreadable", "rejects"])
def test_a_source_that_failed_is_failed(site: Site, content: bytes) -> None:
    """Until its content goes out."""
    site.write("a", content)
    assert site.run("a").exit_code in {1, 3}
    ((state, delivery),) = site.states()
    assert state == "failed"
    assert len(delivery) == 32
    if content.startswith(b"{}"):
        site.run("a", max_rejects=MaxRejects(100, 1.0), retry_failed=True)
        assert site.states() == [("done", delivery)]


@pytest.mark.parametrize("again", ["settings", "name"])
def test_a_failed_delivery_is_told_once(site: Site, again: str) -> None:
    """Of whatever name its bytes are, and however often they were tried."""
    site.write("a", b"<html>")
    site.write("b", b"<html>")
    site.run("a")
    site.run("b" if again == "name" else "a", max_rejects=MaxRejects(1, 0.5))
    assert len(site.status()) == 1


def test_a_failure_that_may_pass_is_not_there(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk was full."""
    site.write("a", events("a"))
    monkeypatch.setattr(LocalStore, "create", full)
    with pytest.raises(OSError, match="full"):
        site.run("a")
    assert site.status() == []


def full(*_: object) -> NoReturn:
    raise OSError("full")


def test_all_states_stand_side_by_side(site: Site) -> None:
    """Done, abandoned, open, failed."""
    for name in "abcd":
        site.write(name, b"<html>" if name == "d" else events(name))
    done = site.one("a").delivery
    site.killed("-000001.cef", "b")
    (given_up,) = set(site.planned()) - {done}
    abandon(site.config, given_up)
    site.killed("plans/", "c")
    (begun,) = set(site.planned()) - {done, given_up}
    failed = site.one("d").delivery
    failed = failed or next(s.delivery for s in site.status() if s.state == "failed")
    assert site.states() == [
        ("done", done),
        ("abandoned", given_up),
        ("open", begun),
        ("failed", failed),
    ]


# By listing alone.


def test_no_object_is_read(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many deliveries there are, whatever their state."""
    for number in range(5):
        site.write(f"{number}", events(f"{number}-", 2))
    site.write("bad", b"<html>")
    site.run(*map(str, range(4)), "bad")
    site.killed("plans/", "4")
    reads: list[str] = []
    read = LocalStore.read

    def counted(store: LocalStore, key: str) -> bytes:
        reads.append(key)
        return read(store, key)

    monkeypatch.setattr(LocalStore, "read", counted)
    assert Counter(one.state for one in site.status()) == {"done": 4, "open": 1, "failed": 1}
    assert reads == []


def test_no_object_is_read_on_s3(on_s3: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few listings, and as many for more deliveries."""
    methods: list[str] = []
    called, get = s3_module.call, s3_module.get

    def counted(client: s3_module.Client, method: str, url: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - passed on
        methods.append(method)
        return called(client, method, url, **more)

    def got(client: s3_module.Client, url: str, **more: Any) -> bytes:  # noqa: ANN401 - passed on
        methods.append("get_object")
        return get(client, url, **more)

    counts = []
    for number in range(1, 4):
        on_s3.write(f"{number}", events(f"{number}-", 2))
        assert on_s3.one(f"{number}").outcome == "delivered"
        with monkeypatch.context() as patch:
            patch.setattr(s3_module, "call", counted)
            patch.setattr(s3_module, "get", got)
            assert [one.turn for one in on_s3.status()] == list(range(1, number + 1))
        counts.append(Counter(methods))
        methods.clear()
    assert set(counts[0]) == {"list_objects_v2"}
    assert counts == counts[:1] * 3


# What people and programs see.


def test_a_destination_that_nothing_was_delivered_to_has_none(
    site: Site, command: Callable[..., Result]
) -> None:
    """That is no error."""
    result = command("status", f"{site.top}/out")
    assert (result.code, result.out.count("\n")) == (0, 1)
    assert command("status", f"{site.top}/out", "--json") == Result(0, "", "")
    assert not (site.root / "_cefline").exists()


def test_the_table_has_a_line_for_each(site: Site, command: Callable[..., Result]) -> None:
    """Columns stand below their headings."""
    site.write("a", events("a"))
    site.write("b", events("b"))
    report = site.one("a")
    site.killed("plans/", "b")
    result = command("status", f"{site.top}/out")
    assert result.code == 0
    heading, done, begun = result.out.splitlines()
    words = done.split()
    assert words[:6] == ["done", report.delivery, "1", "6", "0", "3"]
    assert words[6].endswith("B")
    assert words[7].endswith(("s", "m"))
    assert begun.split() == ["open", *(set(site.planned()) - {report.delivery})]
    for name in ("turn", "events", "rejected", "parts", "stored", "age"):
        end = heading.index(name) + len(name)
        assert done[end - 1] != " "
        assert done[end : end + 1] in {" ", ""}


def test_the_json_has_a_line_for_each(site: Site, command: Callable[..., Result]) -> None:
    """With the same numbers; those that are not known are null."""
    site.write("a", events("a") + b"{}\n")
    site.write("b", events("b"))
    report = site.one("a")
    site.killed("plans/", "b")
    result = command("status", f"{site.top}/out", "--json")
    done, begun = (json.loads(line) for line in result.out.splitlines())
    stamp = done.pop("stamp")
    taken = datetime.strptime(f"{stamp}+0000", "%Y%m%dT%H%M%SZ%z")
    assert abs(datetime.now(UTC) - taken) < timedelta(minutes=5)
    assert done == {
        "state": "done",
        "delivery": report.delivery,
        "turn": 1,
        "events": 6,
        "rejected": 1,
        "parts": 3,
        "stored_bytes": sum(part.stored_bytes for part in report.parts),
    }
    assert begun["state"] == "open"
    numbers = ("turn", "events", "rejected", "parts", "stored_bytes")
    assert {begun[name] for name in numbers} == {None}


@pytest.mark.parametrize(
    ("seconds", "age"),
    [(-5, "0s"), (0, "0s"), (59, "59s"), (60, "1m"), (3600, "1h"), (86_400 * 3, "3d")],
)
def test_the_age_is_told_in_one_unit(
    monkeypatch: pytest.MonkeyPatch, seconds: int, age: str
) -> None:
    """A host whose clock is behind has no deliveries of the future."""
    monkeypatch.setattr(time, "time", lambda: 1_768_212_000.0 + seconds)
    line = Status("done", "d" * 32, 1, 1_234_567, 0, 2, 3, "20260112T100000Z").line()
    assert line.split()[-1] == age
    assert " 1,234,567 " in line


def test_a_state_of_its_own_is_named(site: Site, command: Callable[..., Result]) -> None:
    """As it was for the run."""
    site.write("a", events("a"))
    place = str(site.root / "elsewhere")
    site.run("a", state=place)
    assert command("status", f"{site.top}/out").out.count("\n") == 1
    assert command("status", f"{site.top}/out", "--state", place).out.count("\n") == 2
    assert command("status").code == 2


# A delivery is closed as it is.


def begun(site: Site, point: str = "-000002.cef") -> str:
    """Leave a delivery as a kill does, and return its id."""
    site.write("a", events("a"))
    before = set(site.planned()) if (site.root / "_cefline/out/plans").exists() else set[str]()
    site.killed(point, "a")
    (delivery,) = set(site.planned()) - before
    return delivery


@pytest.mark.parametrize(
    ("point", "parts"),
    [
        ("turns/00000001.json", 0),
        ("progress/00000001/000001", 0),
        ("-000001.cef", 1),
        ("progress/00000001/000002", 1),
        ("-000002.cef", 2),
        ("-000003.cef", 3),
    ],
)
def test_an_open_turn_is_abandoned(
    site: Site, command: Callable[..., Result], point: str, parts: int
) -> None:
    """What is out is listed and stays; nothing more goes out, and others go on at once."""
    delivery = begun(site, point)
    out = site.objects()
    result = command("abandon", f"{site.top}/out", delivery)
    assert result.code == 0
    *listed, last = result.out.splitlines()
    assert listed == out
    assert last == f"{delivery} is abandoned; {parts} parts of it were published"
    assert site.states() == [("abandoned", delivery)]
    assert site.fences() == (parts < 3)
    report = site.one("a")
    assert (report.outcome, report.notes) == ("known", ("its delivery was abandoned",))
    assert site.one("a").outcome == "known"
    assert site.states() == [("abandoned", delivery)]
    site.write("b", events("b"))
    assert site.run("b", turn_timeout=600.0).exit_code == 0
    assert site.events() == Counter(f"a{n}" for n in range(2 * parts)) + each("b")
    assert site.objects()[:parts] == out
    assert site.is_sound()


def test_where_readers_keep_parts_an_abandoned_turn_asks_for_nothing(site: Site) -> None:
    """It counts what is there; where they may remove parts nothing tells."""
    delivery = begun(site)
    for key in site.objects():
        (site.root / "out" / key).unlink()
    with pytest.raises(DeliveryError, match="may have been delivered and removed"):
        abandon(site.config, delivery)
    assert abandon(replace(site.config, readers="keep"), delivery) != []
    assert site.states() == [("abandoned", delivery)]


def test_a_plan_without_a_turn_is_abandoned(site: Site) -> None:
    """Nothing of it is out."""
    delivery = begun(site, "plans/")
    assert abandon(site.config, delivery) == []
    assert site.states() == [("abandoned", delivery)]
    assert site.one("a").notes == ("its delivery was abandoned",)
    assert site.objects() == []
    site.write("b", events("b"))
    assert site.one("b").outcome == "delivered"
    assert site.events() == each("b")
    assert site.is_sound()


def test_the_turn_of_another_is_left_alone(site: Site) -> None:
    """The plan waited for it."""
    delivery = begun(site)
    (site.root / "a").rename(site.root / "away")
    site.write("b", events("b"))
    site.killed("plans/", "b")
    (other,) = set(site.planned()) - {delivery}
    assert abandon(site.config, other) == []
    assert site.states() == [("abandoned", other), ("open", delivery)]
    assert site.fences() == 0
    (site.root / "away").rename(site.root / "a")
    assert site.one("a").outcome == "delivered"
    assert site.events() == each("a")


def test_a_delivery_that_others_closed_is_abandoned(site: Site) -> None:
    """Between its segments."""
    delivery = begun(site)
    out = site.objects()
    (site.root / "a").rename(site.root / "away")
    site.write("b", events("b"))
    site.one("b")
    assert abandon(site.config, delivery) == out
    (site.root / "away").rename(site.root / "a")
    assert site.one("a").outcome == "known"
    assert site.events() == Counter(f"a{n}" for n in range(4)) + each("b")
    assert site.is_sound()


def test_what_is_abandoned_is_delivered_again_where_that_is_asked_for(site: Site) -> None:
    """All of it, under a delivery of its own."""
    delivery = begun(site)
    abandon(site.config, delivery)
    report = site.one("a", redeliver="INC-1")
    assert report.outcome == "delivered"
    assert site.states() == [("done", report.delivery), ("abandoned", delivery)]
    assert site.events() == each("a") + Counter(f"a{n}" for n in range(4))


@pytest.mark.parametrize("which", ["unknown", "done", "abandoned", "failed", "part", "path"])
def test_there_must_be_something_to_abandon(
    site: Site, command: Callable[..., Result], which: str
) -> None:
    """Exit code 2, and nothing changes."""
    begun_one = begun(site)
    names = {"unknown": "0" * 32, "part": begun_one[:8], "path": f"../{begun_one}"}
    if which == "abandoned":
        names[which] = begun_one
        abandon(site.config, begun_one)
    elif which == "done":
        names[which] = site.one("a").delivery
    elif which == "failed":
        site.write("bad", b"<html>")
        site.run("bad")
        names[which] = next(one.delivery for one in site.status() if one.state == "failed")
    before = site.states(), site.objects()
    result = command("abandon", f"{site.top}/out", names[which])
    assert result.code == 2
    assert names[which] in result.err
    assert (site.states(), site.objects()) == before


def abandoning(patch: pytest.MonkeyPatch, site: Site, point: str) -> list[list[str]]:
    """Abandon the one delivery just before an object is created; return what was listed."""
    create = LocalStore.create
    listed: list[list[str]] = []

    def created(store: LocalStore, key: str, *rest: Any, **more: Any) -> bool:  # noqa: ANN401 - passed on
        if point in key and not listed:
            listed.append([])
            (delivery,) = site.planned()
            listed[0] += abandon(site.config, delivery)
        return create(store, key, *rest, **more)

    patch.setattr(LocalStore, "create", created)
    return listed


@pytest.mark.parametrize(
    ("point", "parts"),
    [
        ("progress/00000001/000001", 0),
        ("out/2", 0),
        ("progress/00000001/000002", 1),
        ("-000002.cef", 1),
        ("-000003.cef", 2),
    ],
)
def test_a_run_that_holds_the_turn_stops(
    site: Site, monkeypatch: pytest.MonkeyPatch, point: str, parts: int
) -> None:
    """It meets what closed its turn, and publishes nothing from then on."""
    site.write("a", events("a"))
    with monkeypatch.context() as patch:
        listed = abandoning(patch, site, point.replace("out/2", "-000001.cef"))
        report = site.one("a")
    assert [len(keys) for keys in listed] == [parts]
    assert (report.outcome, report.notes) == ("known", ("its delivery was abandoned",))
    assert site.events() == Counter(f"a{n}" for n in range(2 * parts))
    assert [key for key in site.objects() if key not in listed[0]] == site.objects()[parts:]
    assert site.fences() == 1
    assert site.is_sound()
    site.write("b", events("b"))
    assert site.one("b").outcome == "delivered"


def test_a_run_that_has_put_everything_out_ends_well(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is abandoned in the last instant: all parts are out, in whichever manifest it is."""
    site.write("a", events("a"))
    with monkeypatch.context() as patch:
        listed = abandoning(patch, site, "manifests/")
        assert site.run("a").exit_code == 0
    assert [len(keys) for keys in listed] == [3]
    assert site.events() == each("a")
    assert site.fences() == 0
    assert site.is_sound()
    assert site.one("a").outcome == "known"


@pytest.mark.parametrize("point", ["turns/00000001.json", "plans/"])
def test_a_run_that_is_about_to_take_its_turn_stops(
    site: Site, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    """It asks again once it has it."""
    site.write("a", events("a"))
    if point == "plans/":
        site.killed(point, "a")
    with monkeypatch.context() as patch:
        listed = abandoning(patch, site, "turns/00000001.json")
        assert site.one("a").outcome == "known"
    assert listed == [[]]
    assert site.events() == Counter()
    site.write("b", events("b"))
    assert site.run("b", turn_timeout=600.0).exit_code == 0
    assert site.is_sound()


def test_a_turn_that_is_taken_meanwhile_is_closed_as_well(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run takes it, and puts two parts out, while the delivery is being abandoned."""
    delivery = begun(site, "plans/")
    last = turns.last
    taken: list[str] = []

    def meanwhile(*arguments: Any) -> Any:  # noqa: ANN401 - passed on
        found = last(*arguments)
        if not taken:
            taken.append(delivery)
            kill_at(patch, "-000002.cef", done=True)
            with suppress(KilledError):  # or it sees what is said, and stops
                site.run("a")
            patch.undo()
        return found

    with monkeypatch.context() as patch:
        patch.setattr(import_module("cefline.deliver.delivery").turns, "last", meanwhile)
        listed = abandon(site.config, delivery)
    assert site.one("a").outcome == "known"
    assert len(listed) == len(site.objects()) - site.fences()
    assert site.events() == Counter(f"a{n}" for n in range(2 * len(listed)))
    assert site.is_sound()


def test_a_run_that_waits_goes_on(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """It waited for the turn of a run that won't come back, and has no patience to lose."""
    delivery = begun(site)
    site.write("b", events("b"))
    waits: list[float] = []

    def slept(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            abandon(site.config, delivery)

    monkeypatch.setattr(import_module("cefline.deliver.patience").time, "sleep", slept)
    assert site.run("b", turn_timeout=600.0).exit_code == 0
    assert len(waits) == 2
    assert site.events() == Counter(f"a{n}" for n in range(4)) + each("b")


def test_abandoning_again_after_a_kill_comes_to_the_same(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it was killed at."""
    delivery = begun(site)
    out = site.objects()
    for point in ("-000003.cef", "fenced/", ".closed", "abandoned/"):
        with monkeypatch.context() as patch:
            kill_at(patch, point, done=True)
            with pytest.raises(KilledError):
                abandon(site.config, delivery)
    assert abandon(site.config, delivery) == out
    assert site.states() == [("abandoned", delivery)]
    assert site.fences() == 1
    assert site.is_sound()


def test_parts_that_a_reader_removed_are_listed(site: Site) -> None:
    """They were published."""
    delivery = begun(site, "-000003.cef")
    out = site.objects()
    (site.root / "out" / out[0]).unlink()
    assert abandon(site.config, delivery) == out
    findings = [finding for one in verify(site.config) for finding in one.findings]
    assert [(f.verdict, f.place) for f in findings] == [("removed", out[0])]


def test_a_delivery_on_s3_is_abandoned(on_s3: Site, s3: S3, command: Callable[..., Result]) -> None:
    """With the rights of a writer, by creating alone."""
    on_s3.write("a", events("a"))
    report = on_s3.one("a")
    for key in s3.sizes():
        last = key.endswith("-000003.cef.gz") or "/seen/" in key
        if last or "/manifests/" in key or key.endswith(".closed"):
            s3.client.delete_object(Bucket=s3.bucket, Key=key)
    assert on_s3.states() == [("open", report.delivery)]
    result = command("abandon", f"{on_s3.top}/out", report.delivery)
    assert result.code == 0
    parts = [part.url.removeprefix(f"{on_s3.top}/out/") for part in report.parts[:2]]
    assert result.out.splitlines()[:-1] == parts
    assert on_s3.states() == [("abandoned", report.delivery)]
    assert on_s3.one("a").outcome == "known"
    assert on_s3.is_sound()


def test_a_wrong_id_is_told_where_it_is_called(site: Site) -> None:
    """As an error of the call, with what lists the right ones."""
    begun(site)
    with pytest.raises(UsageError, match="cefline status"):
        abandon(site.config, "0" * 32)
    assert plans.abandoned(LocalStore("", site.root / "_cefline/out", site.root / "tmp")) == []
