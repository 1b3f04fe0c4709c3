"""Exactly once, whatever happens: kills, faults, and other runs at the worst moment."""

from __future__ import annotations

import shutil
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from cefline.deliver import turns
from cefline.deliver.publish import is_fence
from cefline.pack import compressed
from tests import chaos

if TYPE_CHECKING:
    from collections.abc import Callable
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
