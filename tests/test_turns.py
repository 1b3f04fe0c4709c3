"""Turns: a log that many write at once, and that orders what all of them publish."""

from __future__ import annotations

import itertools
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cefline.deliver import turns
from cefline.deliver.plans import make_manifest
from cefline.deliver.store import LocalStore, Store
from cefline.errors import DeliveryError
from tests.parts import TEXT, local_store, plan_of, s3_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cefline.deliver.turns import Turn

NOW = datetime(2026, 1, 12, 10, 15, tzinfo=UTC)


@pytest.fixture(params=["local", "s3"])
def state(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Return an empty state of either kind."""
    if request.param == "s3":
        return s3_store(request.getfixturevalue("s3"), monkeypatch)
    return local_store(request.getfixturevalue("tmp_path") / "state")


@pytest.fixture
def dest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalStore:
    """Return a destination whose clock stands still."""
    at(monkeypatch, NOW)
    return local_store(tmp_path / "dest")


def at(patch: pytest.MonkeyPatch, now: datetime) -> None:
    patch.setattr(LocalStore, "now", lambda _: now)


def take(state: Store, dest: Store, name: str, segment: int = 1, floor: int = 0) -> Turn:
    return turns.take(plan_of([], name * 32, segment), state, dest, floor)


def finish(state: Store, turn: Turn) -> None:
    make_manifest(state, {"delivery": turn.delivery, "source": {}, "parts": []})
    turns.close(state, turn, 0)


def log(state: Store) -> list[str]:
    return [key for key, _ in state.list("turns/") if key.endswith(".json")]


def test_turns_are_numbered_and_stamped(state: Store, dest: LocalStore) -> None:
    """The first has the clock's time; each one says who took it, and can be read again."""
    assert turns.last(state) is None
    turn = take(state, dest, "a", 3)
    assert (turn.number, turn.stamp) == (1, "20260112T101500Z")
    assert (turn.delivery, turn.segment, turn.source) == ("a" * 32, 3, "a.jsonl")
    content = json.loads(state.read("turns/00000001.json"))
    assert {"turn", "stamp", "delivery", "segment", "source", "host", "process"} == set(content)
    assert turns.last(state) == turns.of_number(state, 1) == turn
    assert all(text in str(turn) for text in ("turn 1", "a.jsonl", turn.host))


@pytest.mark.parametrize("later", [timedelta(), timedelta(milliseconds=900), timedelta(days=-1)])
def test_a_turn_in_the_same_second_is_a_second_later(
    state: Store, dest: LocalStore, monkeypatch: pytest.MonkeyPatch, later: timedelta
) -> None:
    """Stamps have whole seconds, and each has one turn, though the clock goes back."""
    turns.close(state, take(state, dest, "a"), 1)
    at(monkeypatch, NOW + later)
    assert take(state, dest, "b").stamp == "20260112T101501Z"


@given(st.lists(st.datetimes(datetime(1980, 1, 1), datetime(2100, 1, 1)), min_size=2, max_size=6))  # noqa: DTZ001 - hypothesis adds the zone
def test_stamps_rise_whatever_the_clock_does(
    tmp_path_factory: pytest.TempPathFactory, clock: list[datetime]
) -> None:
    """A clock that stands still or goes back puts no delivery before an earlier one."""
    state = local_store(tmp_path_factory.mktemp("state"))
    taken = []
    for number, now in enumerate(clock):
        with pytest.MonkeyPatch.context() as patch:
            at(patch, now.replace(tzinfo=UTC))
            taken.append(take(state, state, "abcdef"[number], floor=number - 1))
        turns.close(state, taken[-1], 1)
    assert [turn.number for turn in taken] == list(range(1, len(clock) + 1))
    assert all(a.stamp < b.stamp for a, b in itertools.pairwise(taken))


def test_the_eleventh_turn_follows_the_tenth(state: Store, dest: LocalStore) -> None:
    """The last turn is the greatest, not the one that a listing happens to end with."""
    for number in range(1, 12):
        turn = take(state, dest, "ab"[number % 2])
        assert turn.number == number
        turns.close(state, turn, 1)


def test_an_open_turn_is_returned_to_whoever_asks(state: Store, dest: LocalStore) -> None:
    """Its parts may appear at any time; a turn beside it could have lower keys."""
    turn = take(state, dest, "a")
    for name in "baab":
        assert take(state, dest, name) == turn
    assert take(state, dest, "a", 2) == turn
    assert turns.is_open(state, turn)
    assert log(state) == ["turns/00000001.json"]


def test_a_closed_turn_is_followed_by_the_next(state: Store, dest: LocalStore) -> None:
    """Also for the same delivery: what is left of it goes out under a later one."""
    turn = take(state, dest, "a")
    turns.close(state, turn, 1)
    turns.close(state, turn, 7)
    assert not turns.is_open(state, turn)
    assert json.loads(state.read("turns/00000001.closed"))["published"] == 1
    assert take(state, dest, "a", 2).number == 2


def test_a_turn_with_a_manifest_blocks_nobody(state: Store, dest: LocalStore) -> None:
    """A run that was killed between its manifest and the close has nothing left to do."""
    turn = take(state, dest, "a")
    make_manifest(state, {"delivery": turn.delivery})
    assert not turns.is_open(state, turn)
    assert take(state, dest, "b").number == 2


@pytest.mark.parametrize("floor", [0, 1, 4, 5])
def test_turns_that_are_known_to_be_closed_are_not_listed(
    dest: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, floor: int
) -> None:
    """The next one has the number and the stamp that it would have had."""
    state = local_store(tmp_path / "state")
    for number in range(5):
        turns.close(state, take(state, dest, "ab"[number % 2]), 1)
    listed: list[str] = []
    original = LocalStore.list

    def spied(store: LocalStore, prefix: str = "", after: str = "") -> Iterator[tuple[str, int]]:
        found = list(original(store, prefix, after))
        listed.extend(key for key, _ in found if key.startswith("turns/") and "json" in key)
        return iter(found)

    monkeypatch.setattr(LocalStore, "list", spied)
    turn = take(state, dest, "c", floor=floor)
    assert (turn.number, turn.stamp) == (6, "20260112T101505Z")
    assert len(listed) == 5 - max(floor - 2, 0)


def test_of_many_that_ask_at_once_one_gets_the_turn(state: Store, dest: LocalStore) -> None:
    """The others get the one it took, to wait for it."""
    ready = threading.Barrier(6)

    def asked(name: str) -> Turn:
        ready.wait()
        return take(state, dest, name)

    with ThreadPoolExecutor(6) as pool:
        taken = list(pool.map(asked, "abcdef"))
    assert len(set(taken)) == 1
    assert log(state) == ["turns/00000001.json"]


def test_many_that_publish_at_once_have_turns_one_after_the_other(
    dest: LocalStore, tmp_path: Path
) -> None:
    """No turn begins before the one before it is closed, and none is taken twice."""
    state = local_store(tmp_path / "state")
    inside: list[str] = []
    overlaps: list[list[str]] = []
    rounds = 5

    def publishes(name: str) -> list[int]:
        numbers = []
        for number in range(rounds):
            turn = take(state, dest, name, number + 1)
            while (turn.delivery, turn.segment) != (name * 32, number + 1):
                turn = take(state, dest, name, number + 1)
            inside.append(name)
            if len(inside) > 1:
                overlaps.append(list(inside))
            inside.remove(name)
            turns.close(state, turn, 1)
            numbers.append(turn.number)
        return numbers

    with ThreadPoolExecutor(4) as pool:
        taken = list(pool.map(publishes, "abcd"))
    assert overlaps == []
    assert sorted(itertools.chain(*taken)) == list(range(1, 4 * rounds + 1))
    stamps = [turns.of_number(state, number + 1).stamp for number in range(4 * rounds)]
    assert all(a < b for a, b in itertools.pairwise(stamps))


def test_progress_is_noted_part_by_part(state: Store, dest: LocalStore) -> None:
    """Each once, and of each turn alone; the last one tells how far a run came."""
    turn = take(state, dest, "a")
    assert turns.intended(state, turn) == 0
    for part in (1, 2, 10):
        assert turns.intend(state, turn, part)
        assert not turns.intend(state, turn, part)
        assert turns.intended(state, turn) == part
    turns.close(state, turn, 10)
    assert turns.intended(state, take(state, dest, "b")) == 0


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"turn": 1}'])
def test_a_turn_that_is_not_ours_is_told(state: Store, dest: LocalStore, body: bytes) -> None:
    """Nobody publishes past an object that tells nothing."""
    state.create("turns/00000001.json", body, TEXT, {})
    with pytest.raises(DeliveryError, match=r"turns/00000001\.json"):
        take(state, dest, "a")


@pytest.mark.parametrize(
    ("keys", "number", "stamp"),
    [
        ([], 1, "20260112T101500Z"),
        (["readme.txt", "2026-01-12/x.cef.gz"], 1, "20260112T101500Z"),
        (["2026-01-11/20260111T000000Z-00000041/p/00000041-000001.cef.gz"], 42, "20260112T101500Z"),
        (["dt=2026-01-11/20260111T000000Z-00000041/00000041-000001.cef"], 42, "20260112T101500Z"),
        (
            [
                "2030-01-01/20300101T000000Z-00000007/p/00000007-000001.cef.gz",
                "2030-01-01/20300101T000000Z-00000007/p/00000007-000002.cef.gz",
                "2026-01-11/20260111T000000Z-00000006/p/00000006-000001.cef.gz",
            ],
            8,
            "20300101T000001Z",
        ),
    ],
    ids=["empty", "foreign", "parts", "hive", "a clock ahead"],
)
def test_the_first_turn_follows_the_parts_that_are_there(
    state: Store, dest: LocalStore, keys: list[str], number: int, stamp: str
) -> None:
    """A destination whose state was lost is adopted: its reader's marker is not behind it."""
    for key in keys:
        dest.create(key, b"x", TEXT, {})
    turn = take(state, dest, "a")
    assert (turn.number, turn.stamp) == (number, stamp)
    turns.close(state, turn, 1)
    assert take(state, dest, "b").number == number + 1
