"""The state: one destination, plans that stand, and turns that order all deliveries."""

from __future__ import annotations

import contextlib
import itertools
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cefline.deliver import LocalStore
from cefline.deliver.state import (
    bind,
    close_turn,
    delivery_id,
    make_manifest,
    make_plan,
    manifests,
    plan,
    take_turn,
)
from cefline.errors import CeflineError, ConfigError, DeliveryError, TryAgainError

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 1, 12, 10, 15, tzinfo=UTC)
PLAN: dict[str, Any] = {
    "cefline": "0.1.0",
    "text_format": 1,
    "settings": {"part_size": 64, "partition_by": ["evidence_id"]},
    "source": {"url": "a.jsonl"},
    "parts": [{"partition": "evidence_id-2", "events": 3, "text_sha256": "00"}],
}


@pytest.fixture
def state(tmp_path: Path) -> LocalStore:
    """Return a state without anything in it."""
    return local(tmp_path)


def local(folder: Path) -> LocalStore:
    return LocalStore(str(folder), folder, folder / ".tmp")


def test_a_state_belongs_to_its_first_destination(state: LocalStore) -> None:
    """Two destinations in one state would hide each other's deliveries."""
    bind(state, "s3://cef/siem", hive=False)
    bind(state, "s3://cef/siem", hive=False)
    with pytest.raises(ConfigError, match=r"belongs to s3://cef/siem, not to s3://cef/other"):
        bind(state, "s3://cef/other", hive=False)
    assert json.loads(state.read("state.json"))["dest"] == "s3://cef/siem"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"\xff"])
def test_a_state_that_is_not_ours_is_told(state: LocalStore, content: bytes) -> None:
    """A damaged or foreign object in its place is an error with a name, no traceback."""
    state.create("state.json", content, "application/json", {})
    with pytest.raises(CeflineError, match=r"state\.json"):
        bind(state, "s3://cef/siem", hive=False)


def test_a_delivery_is_named_after_its_content() -> None:
    """The same bytes are the same delivery, whatever the file is called."""
    assert delivery_id("ab" * 32) == "ab" * 16


def test_deliveries_with_a_manifest_are_done(state: LocalStore) -> None:
    """Only they: a plan is a promise."""
    assert manifests(state) == set()
    make_plan(state, "a" * 32, PLAN)
    make_manifest(state, "b" * 32, PLAN)
    make_manifest(state, "b" * 32, {**PLAN, "other": 1})
    assert manifests(state) == {"b" * 32}
    assert "other" not in json.loads(state.read(f"manifests/{'b' * 32}.json"))


def test_a_plan_is_found_by_its_whole_name(state: LocalStore) -> None:
    """Neither the plan of another delivery nor one whose name begins alike."""
    make_plan(state, "a" * 32, PLAN)
    make_plan(state, "a" * 31, {**PLAN, "other": 1})
    assert plan(state, "a" * 32) == PLAN
    assert plan(state, "b" * 32) is None
    assert plan(state, "a" * 30) is None


def test_the_same_plan_may_be_made_again(state: LocalStore) -> None:
    """Two honest writers may differ in what does not matter, and the first one's stands."""
    make_plan(state, "a", PLAN)
    make_plan(state, "a", {**PLAN, "source": {"url": "elsewhere.jsonl"}, "cefline": "9"})
    assert plan(state, "a") == PLAN


@pytest.mark.parametrize("name", ["settings", "parts", "text_format"])
def test_another_plan_of_a_delivery_is_refused(state: LocalStore, name: str) -> None:
    """Parts of the first may be out already; going on by another one would double events."""
    make_plan(state, "a", PLAN)
    with pytest.raises(DeliveryError, match=r"made by cefline 0\.1\.0") as caught:
        make_plan(state, "a", {**PLAN, name: None})
    assert caught.value.exit_code == 1
    assert plan(state, "a") == PLAN


def test_turns_are_numbered_and_stamped(state: LocalStore) -> None:
    """The first has the clock's time; each one says who took it."""
    turn = take_turn(state, "a", "a.jsonl", NOW)
    assert (turn.number, turn.stamp) == (1, "20260112T101500Z")
    content = json.loads(state.read("turns/00000001.json"))
    assert content["delivery"] == "a"
    assert content["source"] == "a.jsonl"
    assert {"turn", "stamp", "host", "process"} <= set(content)


@given(st.lists(st.datetimes(datetime(1980, 1, 1), datetime(2100, 1, 1)), min_size=2, max_size=6))  # noqa: DTZ001 - hypothesis adds the zone
def test_stamps_rise_whatever_the_clock_does(
    tmp_path_factory: pytest.TempPathFactory, clock: list[datetime]
) -> None:
    """A clock that stands still or goes back puts no delivery before an earlier one."""
    state = local(tmp_path_factory.mktemp("state"))
    turns = []
    for number, now in enumerate(clock):
        turns.append(take_turn(state, f"d{number}", "x", now.replace(tzinfo=UTC)))
        close_turn(state, turns[-1], f"d{number}")
    assert [turn.number for turn in turns] == list(range(1, len(clock) + 1))
    assert all(a.stamp < b.stamp for a, b in itertools.pairwise(turns))


@pytest.mark.parametrize("later", [timedelta(), timedelta(milliseconds=900), timedelta(days=-1)])
def test_a_turn_in_the_same_second_is_a_second_later(state: LocalStore, later: timedelta) -> None:
    """Stamps have whole seconds, and each has one turn."""
    close_turn(state, take_turn(state, "a", "x", NOW), "a")
    assert take_turn(state, "b", "x", NOW + later).stamp == "20260112T101501Z"


def test_the_hundredth_turn_follows_the_ninety_ninth(state: LocalStore) -> None:
    """The last turn is the greatest, not the one that a listing happens to end with."""
    for number in range(1, 12):
        turn = take_turn(state, f"d{number}", "x", NOW)
        close_turn(state, turn, f"d{number}")
    assert turn.number == 11


def test_an_open_turn_of_another_delivery_is_waited_for(state: LocalStore) -> None:
    """Its parts may appear at any time; keys between them would be missed. It says whose it is."""
    take_turn(state, "a", "s3://cef/a.jsonl", NOW)
    for _ in range(2):
        with pytest.raises(TryAgainError, match="turn 1 is still open") as caught:
            take_turn(state, "b", "b.jsonl", NOW)
        assert caught.value.exit_code == 75
        assert "s3://cef/a.jsonl" in str(caught.value)
    assert [key for key, _ in state.list("turns/")] == ["turns/00000001.json"]


def test_a_delivery_goes_on_with_its_own_turn(state: LocalStore) -> None:
    """A rerun puts the same parts under the same keys, whatever the time is now."""
    turn = take_turn(state, "a", "x", NOW)
    assert take_turn(state, "a", "x", NOW + timedelta(days=1)) == turn
    close_turn(state, turn, "a")
    close_turn(state, turn, "a")
    assert take_turn(state, "a", "x", NOW) == turn


def test_a_delivery_never_has_two_turns(state: LocalStore) -> None:
    """Another run may have finished it, and a delivery after it, while this one converted."""
    for delivery in "ab":
        turn = take_turn(state, delivery, "x", NOW)
        make_manifest(state, delivery, PLAN)
        close_turn(state, turn, delivery)
    with contextlib.suppress(CeflineError):
        take_turn(state, "a", "x", NOW)
    assert [key for key, _ in state.list("turns/") if key.endswith(".json")] == [
        "turns/00000001.json",
        "turns/00000002.json",
    ]


def test_a_turn_with_a_manifest_blocks_nobody(state: LocalStore) -> None:
    """A run that was killed between its manifest and the close has nothing left to do."""
    take_turn(state, "a", "x", NOW)
    make_manifest(state, "a", PLAN)
    assert take_turn(state, "b", "y", NOW).number == 2


def test_keys_of_both_kinds_don_t_meet(state: LocalStore) -> None:
    """`dt=2026-01-12` sorts behind `2026-01-13`: a destination has keys of one kind."""
    bind(state, "s3://cef/siem", hive=False)
    with pytest.raises(ConfigError, match="hive"):
        bind(state, "s3://cef/siem", hive=True)


def test_a_turn_that_was_just_taken_is_not_taken_again(
    state: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two runs that see the same last turn, one gets the next; the other tries again."""
    before = list(state.list("turns/"))
    take_turn(state, "a", "x", NOW)
    monkeypatch.setattr(LocalStore, "list", lambda _, __="": iter(before))
    with pytest.raises(TryAgainError, match="just now"):
        take_turn(state, "b", "y", NOW)
