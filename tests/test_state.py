"""The state: objects that are created once, and one destination that they belong to."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from cefline.deliver.state import bind, create, load
from cefline.errors import CeflineError, ConfigError, DeliveryError
from tests.parts import TEXT, local_store

if TYPE_CHECKING:
    from pathlib import Path

    from cefline.deliver.store import LocalStore


@pytest.fixture
def state(tmp_path: Path) -> LocalStore:
    """Return a state without anything in it."""
    return local_store(tmp_path / "state")


@pytest.fixture
def dest(tmp_path: Path) -> LocalStore:
    """Return a destination without anything in it."""
    return local_store(tmp_path / "siem")


def other(tmp_path: Path, name: str = "other") -> LocalStore:
    return local_store(tmp_path / name)


def test_an_object_of_json_is_created_once(state: LocalStore) -> None:
    """The first one stands, and the second writer is told; names need not be text."""
    assert create(state, "plans/a.json", {"n": 1, "name": "caf\udce9"})
    assert not create(state, "plans/a.json", {"n": 2})
    assert load(state, "plans/a.json", "n", "name") == {"n": 1, "name": "caf\udce9"}


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'"text"', b"{}", b"\xff", b'{"a": 1}'])
def test_what_is_no_object_of_ours_is_told(state: LocalStore, content: bytes) -> None:
    """Something else wrote there: an error with its name, and no traceback."""
    state.create("plans/a.json", content, TEXT, {})
    with pytest.raises(DeliveryError, match=r"plans/a\.json is no object of cefline's"):
        load(state, "plans/a.json", "a", "b")


def test_a_state_belongs_to_its_first_destination(
    state: LocalStore, dest: LocalStore, tmp_path: Path
) -> None:
    """Two destinations in one state would hide each other's deliveries."""
    bind(state, dest, hive=False)
    bind(state, dest, hive=False)
    with pytest.raises(ConfigError, match=f"belongs to {dest.url}, not to .*other") as caught:
        bind(state, other(tmp_path), hive=False)
    assert caught.value.exit_code == 78
    assert "--adopt" in str(caught.value)
    assert json.loads(state.read("state.json"))["dest"] == dest.url


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"\xff"])
def test_a_state_that_is_not_ours_is_told(
    state: LocalStore, dest: LocalStore, content: bytes
) -> None:
    """A damaged or foreign object in its place is an error with a name, no traceback."""
    state.create("state.json", content, "application/json", {})
    with pytest.raises(CeflineError, match=r"state\.json"):
        bind(state, dest, hive=False)


def test_keys_of_both_kinds_don_t_meet(state: LocalStore, dest: LocalStore) -> None:
    """`dt=2026-01-12` sorts behind `2026-01-13`: a destination has keys of one kind."""
    bind(state, dest, hive=False)
    with pytest.raises(ConfigError, match="hive"):
        bind(state, dest, hive=True)
    with pytest.raises(ConfigError, match="hive"):
        bind(state, dest, hive=True, adopt=True)


def test_of_many_destinations_one_gets_the_state(state: LocalStore, tmp_path: Path) -> None:
    """Runs that begin at the same time don't share it either."""

    def bound(number: int) -> bool:
        try:
            bind(state, other(tmp_path, f"dest{number}"), hive=False)
        except ConfigError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(bound, range(8)))
    assert sum(won) == 1
    assert json.loads(state.read("state.json"))["dest"].endswith(f"dest{won.index(True)}")


@pytest.mark.parametrize("key", ["2026-01-12/x.cef.gz", "readme.txt"])
def test_a_destination_with_objects_needs_its_state(
    state: LocalStore, dest: LocalStore, key: str
) -> None:
    """With an empty one everything would be delivered again: 78, with the object's name."""
    dest.create(key, b"x", TEXT, {})
    with pytest.raises(ConfigError, match="has objects already") as caught:
        bind(state, dest, hive=False)
    assert caught.value.exit_code == 78
    assert key in str(caught.value)
    assert "--adopt" in str(caught.value)
    assert list(state.list()) == []


def test_an_adopted_destination_is_adopted_once(state: LocalStore, dest: LocalStore) -> None:
    """The next run finds a state, and needs no flag."""
    dest.create("x.cef.gz", b"x", TEXT, {})
    bind(state, dest, hive=False, adopt=True)
    bind(state, dest, hive=False)
    assert [key for key, _ in state.list()] == ["state.json"]


def test_a_state_follows_a_destination_that_was_moved(
    state: LocalStore, dest: LocalStore, tmp_path: Path
) -> None:
    """Said once; a third destination is refused as before, and nothing was overwritten."""
    bind(state, dest, hive=False)
    moved = other(tmp_path)
    bind(state, moved, hive=False, adopt=True)
    bind(state, moved, hive=False, adopt=True)
    bind(state, moved, hive=False)
    with pytest.raises(ConfigError, match="belongs to"):
        bind(state, other(tmp_path, "third"), hive=False)
    assert json.loads(state.read("state.json"))["dest"] == dest.url
