"""Exactly once, whatever happens: kills, faults, and other runs at the worst moment."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import random
import shutil
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from cefline.deliver import turns
from cefline.deliver.publish import is_fence
from cefline.errors import TEMPORARY
from cefline.pack import compressed
from cefline.s3 import S3Settings
from tests import chaos, faults, pollers, seaweed
from tests.chaos import World
from tests.children import Child, Stop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cefline.deliver.turns import Turn
    from cefline.pack import Compression


def is_part(key: str) -> bool:
    return key.endswith(".cef.gz")


def between(monkeypatch: pytest.MonkeyPatch, action: Callable[[], object]) -> None:
    """Let something happen once, after a run has looked and before it takes its turn."""
    real, left = turns.take, [action]

    def take(*args: object, **kwargs: object) -> Turn:
        if left:
            left.pop()()
        return real(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(turns, "take", take)


def deliver_other(root: Path, hidden: Path) -> list[str]:
    """Deliver another source on a host that lacks the one whose turn is open: it closes it."""
    away = hidden.rename(root / "away")
    ids = chaos.timeline(root / "other.jsonl", 30, 2)
    report = chaos.run(root, root / "other.jsonl", host="b")
    away.rename(hidden)
    assert report.exit_code == 0
    return ids


def test_a_delivery_that_ends_as_another_run_takes_its_turn_is_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two runs of one source: one is done between the other's last look and its turn."""
    source = tmp_path / "a.jsonl"
    ids = chaos.timeline(source, 120)
    between(monkeypatch, lambda: chaos.run(tmp_path, source, host="b"))
    assert chaos.run(tmp_path, source).exit_code == 0
    assert chaos.delivered(tmp_path / "out") == Counter(ids)


def test_a_segment_that_is_closed_as_its_run_takes_the_turn_is_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A killed run is resumed, and its turn is closed by others between look and turn."""
    source = tmp_path / "a.jsonl"
    ids = chaos.timeline(source, 120)
    with chaos.killed(is_part, 6):
        chaos.run(tmp_path, source)
    between(monkeypatch, lambda: ids.extend(deliver_other(tmp_path, source)))
    assert chaos.run(tmp_path, source).exit_code == 0
    assert chaos.delivered(tmp_path / "out") == Counter(ids)


@pytest.mark.parametrize("step", ["fenced/", "turns/00000001.closed"])
def test_a_turn_whose_closing_was_interrupted_is_closed_at_the_same_part(
    tmp_path: Path, step: str
) -> None:
    """Who closes a turn is killed half-way; the run of the source itself goes on with it."""
    source = tmp_path / "a.jsonl"
    ids = chaos.timeline(source, 120)
    with chaos.killed(is_part, 6):
        chaos.run(tmp_path, source)
    away = source.rename(tmp_path / "away")
    ids += chaos.timeline(tmp_path / "other.jsonl", 30, 2)
    with chaos.killed(lambda key: key.startswith(step)):
        chaos.run(tmp_path, tmp_path / "other.jsonl", host="b")
    away.rename(source)
    assert chaos.run(tmp_path, source).exit_code == 0
    assert chaos.run(tmp_path, tmp_path / "other.jsonl", host="b").exit_code == 0
    assert chaos.delivered(tmp_path / "out") == Counter(ids)


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_a_part_of_no_events_is_known_as_what_closes_a_turn(compression: Compression) -> None:
    """Taken for a part, the events of that part would be lost."""
    assert is_fence(compressed(b"", compression))
    assert not is_fence(compressed(b"CEF:0|a|b|1|0|n|1|msg=x\n", compression))


def test_a_run_killed_as_it_cleans_up_leaves_no_staging_to_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The source is known by then, so that no run would open its folder again."""
    source = tmp_path / "a.jsonl"
    chaos.timeline(source, 120)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", lambda *_, **__: None)
        chaos.run(tmp_path, source)
    assert list((tmp_path / "staging-a").iterdir())
    assert chaos.run(tmp_path, source).exit_code == 0
    assert not list((tmp_path / "staging-a").iterdir())


KINDS: dict[str, dict[str, object]] = {
    "s3 by evidence": {},
    "s3 in one": {"partition_by": ()},
    "s3 hive": {"partition_by": ("source",), "hive": True, "part_size": 2000},
    "local": {},
    "s3 kept": {"readers": "keep"},
}
"""Five deliveries: each is delivered again and again, from other sources of its kind."""

MIXED = "local kept by one"
"""Of two hosts one says that readers keep parts, and the other one goes on with its turns."""


@pytest.fixture
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    """Return a destination, on S3 unless told else; host b's clock is 10 minutes ahead."""
    kind = getattr(request, "param", "s3 by evidence")
    skews, own = {"b": 600.0}, {"a": KINDS["s3 kept"]} if kind == MIXED else {}
    if kind.startswith("local"):
        return World(tmp_path, str(tmp_path / "store"), {}, KINDS["local"], skews, own)
    s3: seaweed.S3 = request.getfixturevalue("s3")
    return World(tmp_path, s3.url, s3.env, KINDS[kind], skews)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("world", [*KINDS, MIXED], indirect=True)
def test_kills_at_any_instant_lose_and_double_nothing(
    world: World, request: pytest.FixtureRequest, *, soak: bool
) -> None:
    """50 kills of each kind, at every step and at random times (5 in CI); readers read along."""
    campaign = [*KINDS, MIXED].index(request.node.callspec.params["world"])
    count = 50 if soak else 5
    rng = random.Random(f"{campaign}")
    steps = range(campaign % 4, 120, 4)  # before and after each of 60 objects: all that a run makes
    instants = [*steps] if soak else rng.sample(steps, 3)
    stops: list[Stop | None] = [Stop(1 + n // 2, after=bool(n % 2)) for n in instants]
    stops += [None] * (count - len(stops))
    rng.shuffle(stops)
    with reading(world):
        for number, stop in enumerate(stops):
            chaos.kill_and_rerun(world, f"r{number}", stop, rng)


@contextlib.contextmanager
def reading(world: World) -> Iterator[None]:
    """Let one reader of each kind read along; each must have read every event once."""
    with contextlib.ExitStack() as stack:
        readers = [stack.enter_context(one) for one in pollers.readers(world.shelf)]
        yield
        world.check()
        for reader in readers:
            assert reader.finish() == world.expected, type(reader).__name__
            assert len(reader.keys) == len(set(reader.keys))


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("world", ["s3 by evidence", "local", "s3 kept", MIXED], indirect=True)
def test_who_closes_a_turn_may_be_killed_as_well(world: World, *, soak: bool) -> None:
    """The killed run's source is out of reach: others close its turn, and are killed at each step.

    A closing run makes 20 objects: its plan, three of the turn it closes, and its own delivery's.
    """
    rng = random.Random(3)
    steps = range(40) if soak else rng.sample(range(6, 22), 3)
    with reading(world):
        for step in steps:
            chaos.kill_who_closes(world, f"f{step}", Stop(1 + step // 2, after=bool(step % 2)), rng)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("world", ["s3 by evidence", "local", "s3 kept", MIXED], indirect=True)
def test_who_comes_back_after_its_turn_was_closed_stops(world: World, *, soak: bool) -> None:
    """A run stands still at some step, while others finish or close its turn, and goes on."""
    rng = random.Random(4)
    with reading(world):
        for number in range(40 if soak else 4):
            chaos.stop_and_go_on(world, f"s{number}", rng)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("world", ["s3 by evidence", "local"], indirect=True)
def test_a_reader_that_removes_what_it_has_read_doubles_nothing(
    world: World, *, soak: bool
) -> None:
    """Runs are killed; where nothing tells whether a part was out, whoever knows the reader says.

    Only of the very first part nothing tells, and nothing asks: it is not killed here.
    """
    rng = random.Random(5)
    chaos.succeed(world.deliver("a", world.source("first", chaos.SMALL)))
    count = 60 if soak else 6
    numbers = [*range(1, 21)] * 3 if soak else [1, *rng.sample(range(2, 21), count - 1)]
    for number, part in enumerate(numbers[:count]):
        stop = Stop(part, after=rng.random() < 0.7, parts_only=True)
        chaos.kill_beside_cleaner(world, f"c{number}", stop, rng)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("world", ["s3 by evidence", "local"], indirect=True)
def test_four_runs_side_by_side_deliver_each_source_once(world: World, *, soak: bool) -> None:
    """Of the same ten sources in different orders, again and again; a reader keeps a key marker."""
    rng = random.Random(6)
    with reading(world):
        for number in range(20 if soak else 2):
            chaos.race(world, f"p{number}", rng)


NEWER = {"newer": " cs6=newer"}
CHANGES: list[dict[str, Any]] = [
    {"part_size": 700},
    {"part_size": 9000},
    {"partition_by": ("source",)},
    {"newer": ""},
    NEWER,
    {**NEWER, "part_size": 900, "partition_by": ("source",)},
]


@pytest.mark.slow
@pytest.mark.parametrize("fresh", [False, True], ids=["staged", "staging lost"])
@pytest.mark.parametrize(
    ("world", "change"),
    [*(("local", change) for change in CHANGES), ("s3 by evidence", CHANGES[-1])],
    indirect=["world"],
    ids=str,
)
def test_what_was_begun_goes_on_under_other_settings(
    world: World, change: dict[str, Any], *, fresh: bool
) -> None:
    """A run is killed at half; the next has other settings, or writes another text format."""
    with reading(world):
        source = world.source("big", chaos.BIG)
        half = Stop(chaos.PARTS // 2, after=True, parts_only=True)
        assert world.deliver("a", source, stop=half).code < 0
        if fresh:
            shutil.rmtree(world.root / "staging-a")
        chaos.succeed(world.deliver("a", source, **change))
    newer = str(change.get("newer") or "")
    texts = [gzip.decompress(world.shelf.read(key)) for key in world.found]
    marked = sum(text.count(f"{newer}\n".encode()) for text in texts)
    assert 0 < marked < chaos.BIG if newer else marked == chaos.BIG


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_deliveries_through_a_network_that_fails_are_right_in_the_end(
    tmp_path: Path, s3: seaweed.S3, *, soak: bool
) -> None:
    """One request in four meets a reset, a lost or cut reply, 503, 500, 409 or a stall.

    50 deliveries (6 in CI), at least 9 of 10 right in the first run.
    """
    count = 50 if soak else 6
    patient = S3Settings(read_timeout=2.0, attempts=5)
    with faults.Proxy(s3.endpoint, faults.random_faults(7, 0.25)) as proxy:
        env = {**s3.env, "AWS_ENDPOINT_URL": proxy.endpoint}
        world = World(tmp_path, s3.url, env, {"s3": patient}, server=s3.endpoint)
        with reading(world):
            runs = [_runs(world, world.source(f"n{n}", 30, n)) for n in range(count)]
        _check_requests(proxy, world)
    assert runs.count(1) >= count * 9 // 10 - (not soak), runs
    assert {request.fault for request in proxy.log} >= {"reset", "lost", "503", "stall", "409"}


def _runs(world: World, source: Path) -> int:
    """Deliver a source, again where it is to be tried again; return how many runs it took."""
    for number in itertools.count(1):
        outcome = world.deliver("a", source)
        if outcome.code == 0:
            world.check()
            return number
        assert outcome.code == TEMPORARY, outcome
        assert number < 6, outcome
    raise AssertionError


def _check_requests(proxy: faults.Proxy, world: World) -> None:
    """Make sure that nothing but lists, gets and create-only puts were asked for; no delete."""
    dest = f"{world.url}/out".removeprefix("s3://cef/")
    under = [request for request in proxy.log if request.key.startswith(dest)]
    assert {request.kind for request in under} == {"list", "get", "create"}
    assert {request.kind for request in proxy.log} == {"list", "get", "create"}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_runs_do_nothing_but_list_get_and_create(tmp_path: Path, s3: seaweed.S3) -> None:
    """Over whole runs, with kills, turns that are taken over or closed, and reruns."""
    rng = random.Random(8)
    with faults.Proxy(s3.endpoint) as proxy:
        env = {**s3.env, "AWS_ENDPOINT_URL": proxy.endpoint}
        world = World(tmp_path, s3.url, env, server=s3.endpoint)
        for number in range(2):
            chaos.kill_who_closes(world, f"k{number}", Stop(30), rng)
        chaos.race(world, "r", rng)
        _check_requests(proxy, world)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_server_that_dies_and_comes_back_loses_and_doubles_nothing(
    tmp_path: Path, temporary: Path, *, soak: bool
) -> None:
    """It is killed in the middle of a delivery, which waits for it, or is done by a rerun."""
    rng = random.Random(9)
    folder = temporary / "weed"
    server = seaweed.start(folder)
    try:
        env = _corner(server).env
        world = World(tmp_path, _corner(server).url, env)
        with pollers.QRadar(world.shelf) as reader:
            for number in range(12 if soak else 2):
                child = Child(world.order("a", world.source(f"w{number}", chaos.BIG)))
                _wait_for_parts(world, len(world.found) + rng.randrange(1, chaos.PARTS - 2))
                seaweed.kill(server)
                time.sleep(rng.uniform(0.0, 2.0))
                server = seaweed.start(folder, server.ports)
                outcome = child.wait()
                if outcome.code == TEMPORARY:
                    outcome = world.deliver("a", world.root / f"w{number}.jsonl")
                chaos.succeed(outcome)
                world.check()
            assert reader.finish() == world.expected
    finally:
        seaweed.stop(server)


def _corner(server: seaweed.Server) -> seaweed.S3:
    writer = seaweed.WRITER
    return seaweed.S3(server.endpoint, seaweed.BUCKET, "corner", writer.key, writer.secret)


def _wait_for_parts(world: World, count: int) -> None:
    ends = time.monotonic() + 60
    while len(world.shelf.listed()) < count:
        assert time.monotonic() < ends
        time.sleep(0.01)
