"""A delivery from its plan to its manifest, with others before, beside and after it."""

from __future__ import annotations

import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from cefline.deliver import plans, turns
from cefline.deliver.delivery import Done, How, deliver
from cefline.deliver.fences import fence
from cefline.deliver.patience import Patience
from cefline.deliver.publish import FencedError, is_fence
from cefline.deliver.store import LocalStore, Store
from cefline.errors import DeliveryError
from tests.parts import (
    SETTINGS,
    KilledError,
    delivery_of,
    kill_at,
    lines_of,
    local_store,
    part_text,
    plan_of,
    s3_store,
    staged,
    texts_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from cefline.deliver.staging import Staged
    from cefline.deliver.turns import Turn
    from tests.seaweed import S3

SAID = {"events_read": 6, "evidence": [3]}
POINTS = [
    "plans/",
    "turns/00000001.json",
    "evidence/",
    "progress/00000001/000001",
    "-000001.cef",
    "progress/00000001/000002",
    "-000003.cef",
    "manifests/",
    ".closed",
]


@pytest.fixture
def places(tmp_path: Path) -> tuple[Store, Store]:
    """Return an empty destination and its state."""
    return local_store(tmp_path / "dest"), local_store(tmp_path / "state")


@pytest.fixture(params=["local", "s3"])
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[Store, Store]:
    """Return an empty destination and its state, on a disk and on S3."""
    if request.param == "s3":
        s3: S3 = request.getfixturevalue("s3")
        return s3_store(s3, monkeypatch), s3_store(s3, monkeypatch, f"{s3.url}/state")
    found: tuple[Store, Store] = request.getfixturevalue("places")
    return found


def never(turn: Turn) -> NoReturn:
    """Stand for the wait where no other turn is open."""
    raise AssertionError(str(turn))


def made(folder: Path, name: str = "a", count: int = 3, mark: str = "") -> list[Staged]:
    """Stage parts of a source; another mark is another text of the same events."""
    return staged(folder / f"{name}{mark}", [part_text(f"{name}{n}{mark}") for n in range(count)])


def run(
    parts: list[Staged],
    places: tuple[Store, Store],
    name: str = "a",
    wait: Callable[[Turn], None] = never,
    **how: Any,  # noqa: ANN401 - passed on
) -> Done | None:
    """Deliver parts as what is left of a source."""
    segment = plans.current(places[1], name * 32)
    return deliver(delivery_of(name), segment, parts, places, said=SAID, wait=wait, how=How(**how))


def expected(name: str, count: int = 3) -> list[bytes]:
    return b"".join(part_text(f"{name}{n}") for n in range(count)).splitlines()


def test_a_delivery_is_planned_published_and_said_to_be_done(
    either: tuple[Store, Store], tmp_path: Path
) -> None:
    """With all that is known of it, and its turn closed."""
    dest, state = either
    parts = made(tmp_path)
    done = run(parts, either)
    assert done is not None
    assert done.turn is not None
    assert texts_of(dest) == [part_text(f"a{n}") for n in range(3)]
    assert not turns.is_open(state, done.turn)
    manifest = plans.manifest(state, "a" * 32)
    assert manifest["parts"] == done.entries
    assert [entry["key"] for entry in done.entries] == [key for key, _ in dest.list()]
    assert [entry["stored_bytes"] for entry in done.entries] == [size for _, size in dest.list()]
    assert (manifest["turn"], manifest["stamp"]) == (1, done.turn.stamp)
    assert (manifest["events_read"], manifest["settings"]) == (6, SETTINGS)
    assert (done.removed, len(done.published)) == ([], 3)


@pytest.mark.parametrize("check", ["listing", "full"])
def test_parts_are_read_back_where_asked(
    places: tuple[Store, Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, check: str
) -> None:
    """A part of the right size and other bytes is found before the delivery is said to be done."""
    dest, create = places[0], LocalStore.create
    assert isinstance(dest, LocalStore)

    def damaged(store: LocalStore, key: str, body: bytes | Path, *rest: Any, **more: Any) -> bool:  # noqa: ANN401 - passed on
        if key.endswith("2.cef.gz"):
            assert isinstance(body, Path)
            whole = body.read_bytes()
            body = bytes([*whole[:20], whole[20] ^ 1, *whole[21:]])
        return create(store, key, body, *rest, **more)

    monkeypatch.setattr(LocalStore, "create", damaged)
    parts = made(tmp_path)
    if check == "full":
        with pytest.raises(DeliveryError, match=r"000002\.cef\.gz exists, and its text is not"):
            run(parts, places, check=check)
    else:
        run(parts, places, check=check)
    assert plans.is_done(places[1], "a" * 32) is (check == "listing")


def test_everything_happens_in_its_order(
    places: tuple[Store, Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plan before the turn, progress before each part, the manifest before the close."""
    created: list[str] = []
    create = LocalStore.create

    def noted(store: LocalStore, key: str, *rest: Any, **more: Any) -> bool:  # noqa: ANN401 - passed on
        created.append(key[-11:] if ".cef" in key else key)
        return create(store, key, *rest, **more)

    monkeypatch.setattr(LocalStore, "create", noted)
    run(made(tmp_path, count=2), places)
    assert created == [
        f"plans/{'a' * 32}-01.json",
        "turns/00000001.json",
        f"evidence/3/{'a' * 32}",
        "progress/00000001/000001",
        "0001.cef.gz",
        "progress/00000001/000002",
        "0002.cef.gz",
        f"manifests/{'a' * 32}.json",
        "turns/00000001.closed",
    ]


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("point", POINTS)
def test_a_killed_delivery_is_finished(
    places: tuple[Store, Store], tmp_path: Path, point: str, *, done: bool
) -> None:
    """Wherever it was killed, the same parts are under the same keys in the end."""
    parts = made(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, point, done=done)
        with pytest.raises(KilledError):
            run(parts, places)
    before = {key: places[0].read(key) for key, _ in places[0].list()}
    run(parts, places)
    assert texts_of(places[0]) == [part_text(f"a{n}") for n in range(3)]
    assert before.items() <= {key: places[0].read(key) for key, _ in places[0].list()}.items()
    assert plans.is_done(places[1], "a" * 32)
    last = turns.last(places[1])
    assert last is not None
    assert last.number == 1
    assert not turns.is_open(places[1], last)


def test_what_is_done_is_not_done_again(either: tuple[Store, Store], tmp_path: Path) -> None:
    """Another run has finished it while this one converted: nothing is put out."""
    parts = made(tmp_path)
    run(parts, either)
    assert run(parts, either) is None
    assert len(list(either[0].list())) == 3
    last = turns.last(either[1])
    assert last is not None
    assert last.number == 1


def test_a_source_without_events_has_no_turn(either: tuple[Store, Store]) -> None:
    """There is no key to order; it is done all the same, also while another turn is open."""
    turns.take(plan_of([], "b" * 32), either[1], either[0])
    done = run([], either)
    assert done is not None
    assert (done.turn, done.entries) == (None, [])
    assert plans.is_done(either[1], "a" * 32)
    assert list(either[0].list()) == []


def test_more_parts_than_keys_can_number_are_refused(
    places: tuple[Store, Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is planned; what to change is said."""
    monkeypatch.setattr("cefline.keys.MAX_PARTS", 2)
    with pytest.raises(DeliveryError, match="it has 3 parts") as caught:
        run(made(tmp_path), places)
    assert "part_size" in str(caught.value)
    assert list(places[1].list()) == []


# Others.


def test_the_turn_of_another_delivery_is_waited_for(
    either: tuple[Store, Store], tmp_path: Path
) -> None:
    """Again and again, until it is closed; the own one comes after it."""
    other = turns.take(plan_of([], "b" * 32), either[1], either[0])
    waited: list[Turn] = []

    def wait(turn: Turn) -> None:
        assert list(either[0].list()) == []
        waited.append(turn)
        if len(waited) == 3:
            turns.close(either[1], turn, 0)

    done = run(made(tmp_path), either, wait=wait)
    assert waited == [other] * 3
    assert done is not None
    assert done.turn is not None
    assert (done.turn.number, done.turn.stamp > other.stamp) == (2, True)


def test_a_delivery_that_is_done_while_it_waits_is_not_done_again(
    places: tuple[Store, Store], tmp_path: Path
) -> None:
    """The run that held the turn, or one after it, did both."""
    turns.take(plan_of([], "b" * 32), places[1], places[0])
    parts = made(tmp_path)

    def wait(turn: Turn) -> None:
        turns.close(places[1], turn, 0)
        run(parts, places)

    assert run(parts, places, wait=wait) is None
    assert lines_of(places[0]) == expected("a")


def test_deliveries_side_by_side_come_one_after_the_other(
    places: tuple[Store, Store], tmp_path: Path
) -> None:
    """Each event once, each turn whole before the next: a reader by the last key misses none."""
    names = "abcdabcd"  # each of them twice
    ready = threading.Barrier(len(names))
    seen: list[str] = []

    def publishes(place: int) -> None:
        name = names[place]
        parts = staged(tmp_path / str(place), [part_text(f"{name}{n}") for n in range(3)])
        ready.wait()
        run(parts, places, name, wait=lambda _: time.sleep(0.001))

    def polls(stop: threading.Event) -> None:
        while not stop.is_set():
            marker = seen[-1] if seen else ""
            seen.extend(key for key, _ in places[0].list("", marker))

    stop = threading.Event()
    with ThreadPoolExecutor(1) as reader:
        reading = reader.submit(polls, stop)
        with ThreadPoolExecutor(len(names)) as pool:
            list(pool.map(publishes, range(len(names))))
        stop.set()
        reading.result()
    keys = [key for key, _ in places[0].list()]
    seen.extend(key for key in keys if key > seen[-1])
    assert seen == keys
    assert sorted(lines_of(places[0])) == sorted(itertools.chain(*map(expected, "abcd")))


# Segments.


def test_other_parts_than_planned_go_out_as_the_next_segment(
    places: tuple[Store, Store], tmp_path: Path
) -> None:
    """The text has changed: what is out stands, the rest is planned anew, nothing is doubled."""
    old, new = made(tmp_path), made(tmp_path, mark="'")
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, "-000001.cef", done=True)
        with pytest.raises(KilledError):
            run(old, places)
    with pytest.raises(FencedError, match="has other parts"):
        run(new, places)
    segment = plans.current(places[1], "a" * 32)
    assert (segment.number, segment.skip) == (2, {"p": [(0, 1, 2)]})
    rest = staged(tmp_path / "rest", [part_text(f"a{n}'") for n in (1, 2)], first=2)
    done = run(rest, places)
    assert done is not None
    texts = texts_of(places[0])
    assert texts == [part_text("a0"), b"", part_text("a1'"), part_text("a2'")]
    assert [(entry["first"], entry["last"]) for entry in done.entries] == [(0, 1), (2, 3), (4, 5)]
    manifest = plans.manifest(places[1], "a" * 32)
    assert [entry["key"] for entry in manifest["parts"]] == [
        key for key, _ in places[0].list() if not is_fence(places[0].read(key))
    ]
    assert manifest["turn"] == 2


def test_a_segment_that_others_closed_is_not_gone_on_with(
    places: tuple[Store, Store], tmp_path: Path
) -> None:
    """It puts nothing out and takes no turn; the next one does."""
    parts = made(tmp_path)
    plan = plan_of(parts, "a" * 32)
    plans.make_plan(places[1], plan)
    turn = turns.take(plan, places[1], places[0])
    segment = plans.current(places[1], "a" * 32)
    assert fence(plan, turn, places) == 0
    with pytest.raises(FencedError, match=r"segment 1 of delivery a+ was closed"):
        deliver(delivery_of(), segment, parts, places, said=SAID, wait=never, how=How())
    assert texts_of(places[0]) == [b""]
    done = run(parts, places)
    assert done is not None
    assert done.turn is not None
    assert (done.turn.number, done.turn.segment) == (2, 2)
    assert texts_of(places[0]) == [b"", *(part_text(f"a{n}") for n in range(3))]


@pytest.mark.parametrize("point", ["fenced/", ".closed"])
@pytest.mark.parametrize("done", [False, True])
def test_a_turn_that_a_killed_run_half_closed_is_closed(
    places: tuple[Store, Store], tmp_path: Path, point: str, *, done: bool
) -> None:
    """By the run that goes on with the delivery, before it takes the next turn."""
    parts = made(tmp_path)
    plan = plan_of(parts, "a" * 32)
    plans.make_plan(places[1], plan)
    turn = turns.take(plan, places[1], places[0])
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, point, done=done)
        with pytest.raises(KilledError):
            fence(plan, turn, places)
    for _ in range(2):
        try:
            run(parts, places)
        except FencedError:
            continue
        break
    assert plans.is_done(places[1], "a" * 32)
    assert lines_of(places[0]) == expected("a")
    assert not turns.is_open(places[1], turn)


def test_a_segment_that_was_out_as_a_whole_leaves_an_empty_one(
    places: tuple[Store, Store], tmp_path: Path
) -> None:
    """It needs no turn: the manifest lists the parts of the one before it."""
    parts = made(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, "manifests/", done=False)
        with pytest.raises(KilledError):
            run(parts, places)
    (plan,) = plans.segments(places[1], "a" * 32)
    assert fence(plan, turns.of_number(places[1], 1), places) == 3
    done = run([], places)
    assert done is not None
    assert (done.turn, len(done.entries), done.published) == (None, 3, [])
    assert lines_of(places[0]) == expected("a")


# Patience.


class Clock:
    """A clock that only sleep moves, and what happens at its times."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.plan: dict[float, Callable[[], object]] = {}
        patch.setattr(time, "monotonic", lambda: self.now)
        patch.setattr(time, "sleep", self.sleep)

    def sleep(self, seconds: float) -> None:
        assert 0 < seconds <= 2
        self.now += seconds
        for due in sorted(at for at in self.plan if at <= self.now):
            self.plan.pop(due)()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return a clock that only sleep moves."""
    return Clock(monkeypatch)


def waited(
    places: tuple[Store, Store], clock: Clock, timeout: float, turn: Turn, until: float
) -> list[float]:
    """Return when rescue was called, in a wait up to some time."""
    calls: list[float] = []
    wait = Patience(places[1], timeout, lambda _: calls.append(clock.now))
    while clock.now < until and not calls:
        wait(turn)
    return calls


@pytest.mark.parametrize("timeout", [0.0, 0.3, 10.0, 600.0])
def test_a_turn_without_progress_is_taken_over_after_a_while(
    places: tuple[Store, Store], clock: Clock, timeout: float
) -> None:
    """Not sooner, and not much later."""
    turn = turns.take(plan_of([], "b" * 32), places[1], places[0])
    (called,) = waited(places, clock, timeout, turn, 10_000)
    assert timeout <= called <= timeout * 1.1 + 2


def test_a_turn_that_moves_is_waited_for(places: tuple[Store, Store], clock: Clock) -> None:
    """However long it takes: each part gives it another while."""
    turn = turns.take(plan_of([], "b" * 32), places[1], places[0])
    for number in range(1, 21):
        clock.plan[number * 9.0] = partial(turns.intend, places[1], turn, number)
    (called,) = waited(places, clock, 10.0, turn, 10_000)
    assert 190 <= called <= 193


def test_another_turn_has_a_while_of_its_own(places: tuple[Store, Store], clock: Clock) -> None:
    """A run that waits long behind many that do their work takes nothing over."""
    calls: list[float] = []
    wait = Patience(places[1], 10.0, lambda _: calls.append(clock.now))
    for name in "bcdefgh":
        turn = turns.take(plan_of([], name * 32), places[1], places[0])
        ends = clock.now + 9
        while clock.now < ends:
            wait(turn)
        turns.close(places[1], turn, 0)
    assert calls == []


def test_after_a_rescue_it_waits_again(places: tuple[Store, Store], clock: Clock) -> None:
    """Where that did not help it is no busy loop."""
    turn = turns.take(plan_of([], "b" * 32), places[1], places[0])
    calls: list[float] = []
    wait = Patience(places[1], 10.0, lambda _: calls.append(clock.now))
    while clock.now < 35:
        wait(turn)
    assert len(calls) == 3
