"""Lanes: sources go side by side, each step takes one at a time, in order."""

from __future__ import annotations

from threading import Event, Lock
from typing import TYPE_CHECKING, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cefline.errors import TryAgainError
from cefline.lanes import Lane, Step, side_by_side

if TYPE_CHECKING:
    from collections.abc import Sequence

STEPS: tuple[Step, ...] = get_args(Step)


def walked(ends: Sequence[int]) -> list[tuple[int, Step, str]]:
    """Let sources take as many steps as said; return when each began and left its steps."""
    seen: list[tuple[int, Step, str]] = []
    lock = Lock()

    def note(*what: object) -> None:
        with lock:
            seen.append(what)  # type: ignore[arg-type]  # as the caller gives them

    def go(number: int, lane: Lane) -> int:
        for step in STEPS[: ends[number]]:
            with lane.step(step):
                note(number, step, "begun")
                note(number, step, "left")
        return number

    assert side_by_side(range(len(ends)), go) == list(range(len(ends)))
    return seen


@given(st.lists(st.integers(0, 3), max_size=8))
def test_each_step_takes_one_source_at_a_time_in_order(ends: list[int]) -> None:
    """Whichever sources end early, the others pass each step one after the other."""
    seen = walked(ends)
    for place, step in enumerate(STEPS):
        of_step = [(number, what) for number, name, what in seen if name == step]
        passing = [number for number, steps in enumerate(ends) if steps > place]
        assert of_step == [(number, what) for number in passing for what in ("begun", "left")]


def test_the_next_source_is_converted_while_one_is_published() -> None:
    """Each waits for the other here: one after the other they would wait for ever."""
    converted, published = Event(), Event()

    def go(number: int, lane: Lane) -> bool:
        with lane.step("convert"):
            if number:
                assert published.wait(30)
                converted.set()
        with lane.step("publish"):
            published.set()
            return converted.wait(30)

    assert side_by_side([0, 1], go) == [True, True]


def test_an_error_of_no_source_ends_those_under_way() -> None:
    """They stop at their next step, and tell the run that follows to go on."""
    begun, raised, ended = Event(), Event(), Event()

    def go(number: int, lane: Lane) -> None:
        if number == 0:
            assert begun.wait(30)
            raise ArithmeticError
        begun.set()
        assert raised.wait(30)
        try:
            with lane.step("publish"):
                pass
        except TryAgainError:
            ended.set()

    with pytest.raises(ArithmeticError):
        side_by_side([0, 1], go)
    raised.set()
    assert ended.wait(30)


def test_an_interrupted_lane_goes_no_further() -> None:
    """Conversion asks between batches, so that an interrupt need not wait for a source."""
    stop = Event()
    lane = Lane(None, stop)
    with lane.step("fetch"):
        lane.check()
    stop.set()
    with pytest.raises(TryAgainError, match="interrupted"):
        lane.check()
    with pytest.raises(TryAgainError), lane.step("convert"):
        pass
