"""Plans: what a delivery is, what of it is out, and that it is done."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from cefline.deliver import plans
from cefline.deliver.plans import Segment, delivery_id
from cefline.deliver.store import LocalStore
from cefline.errors import DeliveryError
from tests.parts import TEXT, local_store, part_text, plan_of, s3_store, staged

if TYPE_CHECKING:
    from pathlib import Path

    from cefline.deliver.store import Store

A, B = "a" * 32, "b" * 32


@pytest.fixture(params=["local", "s3"])
def state(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Return an empty state of either kind."""
    if request.param == "s3":
        return s3_store(request.getfixturevalue("s3"), monkeypatch)
    return local_store(request.getfixturevalue("tmp_path") / "state")


def test_a_delivery_is_named_after_its_content() -> None:
    """The same bytes are the same delivery, whatever the file is called."""
    assert delivery_id("ab" * 32) == "ab" * 16


def test_a_delivery_is_told_apart_by_what_was_said_of_it() -> None:
    """Another evidence or another token is another delivery, the same ones are the same."""
    ids = [
        delivery_id("ab" * 32, number, token)
        for number in (None, 0, 1)
        for token in (None, "x", "1")
    ]
    assert len(set(ids)) == len(ids)
    assert all(len(one) == 32 for one in ids)
    assert delivery_id("ab" * 32, 1, "x") == delivery_id("ab" * 32, 1, "x")


def test_a_token_is_never_taken_for_none() -> None:
    """Whatever word was chosen."""
    assert delivery_id("ab" * 32, 1, "None") != delivery_id("ab" * 32, 1)


def test_deliveries_with_a_manifest_are_done(state: Store) -> None:
    """Only they: a plan is a promise. The first manifest stands."""
    assert plans.manifests(state) == []
    plans.make_plan(state, plan_of([], A))
    plans.make_manifest(state, plan_of([], B))
    plans.make_manifest(state, {**plan_of([], B), "other": 1})
    assert plans.manifests(state) == [B]
    assert (plans.is_done(state, A), plans.is_done(state, B)) == (False, True)
    assert plans.manifest(state, B) == plan_of([], B)
    assert plans.planned_ids(state) == [A]


def test_a_plan_is_found_by_its_whole_name(state: Store) -> None:
    """Neither the plan of another delivery nor one whose name begins alike."""
    plans.make_plan(state, plan_of([], A))
    plans.make_plan(state, plan_of([], f"{'a' * 31}b"))
    assert plans.segments(state, A) == [plan_of([], A)]
    assert plans.segments(state, B) == []
    assert plans.segments(state, "a" * 31) == []


@pytest.mark.parametrize("name", ["settings", "parts", "text_format", "source"])
def test_the_first_plan_of_a_segment_stands(state: Store, name: str) -> None:
    """Parts of it may be out already: whoever makes another one is given the first."""
    first = plan_of([], A)
    assert plans.make_plan(state, first) == first
    assert plans.make_plan(state, {**first, name: {}}) == first


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"cefline": 1, "settings": {}}'])
def test_a_plan_that_is_not_ours_is_told(state: Store, body: bytes) -> None:
    """With its name; it is never taken for a plan without parts."""
    state.create(f"plans/{A}-01.json", body, TEXT, {})
    with pytest.raises(DeliveryError, match=rf"plans/{A}-01\.json"):
        plans.current(state, A)
    with pytest.raises(DeliveryError, match=rf"plans/{A}-01\.json"):
        plans.make_plan(state, plan_of([], A))


def test_a_new_delivery_begins_with_its_first_segment(state: Store) -> None:
    """Nothing is planned, nothing is out."""
    assert plans.current(state, A) == Segment(1, None, {})


def test_a_planned_segment_is_gone_on_with(state: Store, tmp_path: Path) -> None:
    """As long as nobody closed it."""
    plan = plan_of(staged(tmp_path / "s", [part_text("x")]), A)
    plans.make_plan(state, plan)
    assert plans.current(state, A) == Segment(1, plan, {})


@pytest.mark.parametrize("published", [0, 1, 3])
def test_a_segment_that_was_closed_leaves_its_rest_to_the_next(
    state: Store, tmp_path: Path, published: int
) -> None:
    """What of it is out is to be skipped, by the ordinals of its parts."""
    plan = plan_of(staged(tmp_path / "s", [part_text(name) for name in "xyz"]), A)
    plans.make_plan(state, plan)
    plans.mark_fenced(state, A, 1, {"turn": 4, "stamp": "s", "published": published})
    ranges = [(0, 1, 2), (2, 3, 2), (4, 5, 2)][:published]
    assert plans.current(state, A) == Segment(2, plan, {"p": ranges} if published else {})


def test_each_segment_adds_to_what_is_skipped(state: Store, tmp_path: Path) -> None:
    """By partition; and a segment that is planned goes by its own plan."""
    one = plan_of(staged(tmp_path / "1", [part_text(n) for n in "xy"], partition="p"), A)
    two = plan_of(staged(tmp_path / "2", [part_text(n) for n in "uv"], partition="q"), A, 2)
    two |= {"skip": {"p": [[0, 1, 2]]}}
    plans.make_plan(state, one)
    plans.mark_fenced(state, A, 1, {"turn": 1, "stamp": "s", "published": 1})
    plans.make_plan(state, two)
    assert plans.current(state, A) == Segment(2, two, {"p": [(0, 1, 2)]})
    plans.mark_fenced(state, A, 2, {"turn": 3, "stamp": "s", "published": 1})
    third = plans.current(state, A)
    assert (third.number, third.plan) == (3, two)
    assert third.skip == {"p": [(0, 1, 2)], "q": [(0, 1, 2)]}


def test_the_first_to_close_a_segment_says_how_much_is_out(state: Store) -> None:
    """Two that close it have seen the same keys; what one of them noted stands."""
    assert plans.fenced(state, A, 1) is None
    plans.mark_fenced(state, A, 1, {"turn": 1, "published": 2})
    plans.mark_fenced(state, A, 1, {"turn": 1, "published": 3})
    assert plans.fenced(state, A, 1) == {"turn": 1, "published": 2}
    assert plans.fenced(state, A, 11) is None


def test_an_evidence_that_came_before_is_found(state: Store) -> None:
    """In another delivery, by its whole number; a delivery's own notes don't count."""
    plans.mark_evidence(state, A, [1, 22])
    plans.mark_evidence(state, A, [1, 22])
    assert plans.other_deliveries(state, A, [1, 2, 22]) == {}
    assert plans.other_deliveries(state, B, [1, 2, 22, 3]) == {1: A, 22: A}
    plans.mark_evidence(state, B, [1])
    assert plans.other_deliveries(state, A, [1]) == {1: B}
    assert json.loads(state.read(f"evidence/1/{A}")) == {}


def test_many_evidences_are_noted_and_found(state: Store) -> None:
    """Each once, whatever came first; what is found is in the order in which it was asked for."""
    ids = [*range(60, 0, -1)]
    plans.mark_evidence(state, A, ids)
    assert len(list(state.list("evidence/"))) == len(ids)
    found = plans.other_deliveries(state, B, [*ids, 61])
    assert found == dict.fromkeys(ids, A)
    assert list(found) == ids


def test_evidences_are_noted_some_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as there are connections: each note waits here until all of these are under way."""
    together, create = threading.Barrier(16), LocalStore.create

    def waiting(store: LocalStore, *args: Any, **more: Any) -> bool:  # noqa: ANN401 - passed on
        together.wait(10)
        return create(store, *args, **more)

    monkeypatch.setattr(LocalStore, "create", waiting)
    plans.mark_evidence(local_store(tmp_path / "state"), A, [*range(48)])


@pytest.mark.parametrize("ids", [[], [7]])
def test_a_single_evidence_needs_no_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ids: list[int]
) -> None:
    """Most sources have one."""
    monkeypatch.setattr(plans, "ThreadPoolExecutor", None)
    state = local_store(tmp_path / "state")
    plans.mark_evidence(state, A, ids)
    assert plans.other_deliveries(state, B, ids) == dict.fromkeys(ids, A)


def test_of_evidences_that_fail_the_first_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though another one failed earlier; the same error with every run."""
    create = LocalStore.create

    def failing(store: LocalStore, key: str, *args: Any, **more: Any) -> bool:  # noqa: ANN401 - passed on
        number = int(key.split("/")[1])
        if number in {3, 5}:
            time.sleep(0.05 if number == 3 else 0.0)
            raise DeliveryError(key)
        return create(store, key, *args, **more)

    monkeypatch.setattr(LocalStore, "create", failing)
    with pytest.raises(DeliveryError, match=f"evidence/3/{A}"):
        plans.mark_evidence(local_store(tmp_path / "state"), A, [*range(20)])
