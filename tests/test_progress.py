"""Progress: what a run tells of where it stands, and how it is shown; never on standard output."""

from __future__ import annotations

import logging
import os
import pty
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from cefline.cli.standing import drawn
from cefline.config import Config
from cefline.heartbeat import logged
from cefline.job import export
from cefline.progress import Progress
from tests import sample

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ["s3://cef/a.jsonl", "", "/", "[bold]x[/nothing]", "a\x1b[31m\n\0"]


def begun() -> Progress:
    """Return where a run stands: of three sources one is through and one is half done."""
    progress = Progress()
    progress.begin([("a", 100), ("b", 200), ("c", 100)])
    progress.step("a", "convert")
    progress.advance("a", 10, 1000, 1.0)
    progress.leave("a")
    progress.step("b", "fetch")
    progress.advance("b", 5, 500, 0.5)
    progress.step("b", "publish")
    return progress


def test_the_whole_is_told_by_bytes() -> None:
    total, through, whole = begun().total()
    assert (total.done, total.events, total.text_bytes) == (0.5, 15, 1500)
    assert (through, whole) == (1, 3)
    ((url, one),) = begun().sources()
    assert (url, one.step, one.done, one.events) == ("b", "publish", 0.5, 5)


def test_a_run_ends_at_the_whole(tmp_path: Path) -> None:
    """Each source is begun and left, also those that fail."""
    bad = tmp_path / "bad.jsonl"
    bad.write_bytes(b"{")
    progress = Progress()
    sources = (str(sample.DATA / "sample.parquet"), str(bad), str(sample.DATA / "sample.jsonl"))
    export(Config(sources=sources, dest=str(tmp_path / "out")), progress=progress)
    total, through, whole = progress.total()
    assert (through, whole, progress.sources()) == (3, 3, [])
    assert total.done == 1.0
    assert total.events >= 300


def test_nothing_is_divided_by_nothing() -> None:
    progress = Progress()
    assert progress.total()[0].done == 0.0
    progress.begin([("a", 0)])
    progress.step("a", "fetch")
    assert progress.total()[0].left() >= 0
    progress.leave("a")
    progress.leave("never begun")


@pytest.mark.parametrize("url", NAMES)
def test_log_lines_come_while_nothing_moves(
    url: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of each source under way, and of all."""
    progress = Progress()
    progress.begin([(url, 1000), ("b", 1000)])
    progress.step(url, "convert")
    progress.advance(url, 2000, 3_000_000, 0.5)
    with caplog.at_level(logging.INFO, "cefline"), logged(progress, 0.01):
        while len(caplog.records) < 6:
            time.sleep(0.01)
    one, every = (record.__dict__["said"] for record in caplog.records[:2])
    assert (one["source"], one["step"], one["done"], one["events"]) == (url, "convert", 0.5, 2000)
    assert (every["sources"], every["sources_through"], every["done"]) == (2, 0, 0.25)
    assert "convert, 50%, 2,000 events, 3 MB of text, " in caplog.records[0].getMessage()
    assert capsys.readouterr().out == ""
    assert [thread for thread in threading.enumerate() if thread.name == "progress"] == []


@pytest.mark.parametrize("url", [*NAMES, "\udce9" * 99])
def test_bars_are_drawn_on_a_terminal(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On standard error, and taken away at the end; no name of a source steers it."""
    ours, theirs = pty.openpty()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    with os.fdopen(theirs, "w", encoding="utf-8") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        progress = Progress()
        progress.begin([(url, 1000)])
        progress.step(url, "convert")
        progress.advance(url, 2000, 3_000_000, 0.5)
        with drawn(progress):
            time.sleep(0.5)
        shown = os.read(ours, 1 << 16).decode(errors="replace")
    os.close(ours)
    assert "0 of 1 sources" in shown
    assert "convert" in shown
    assert "2,000" in shown
    assert "\x1b[31m" not in shown
    assert capsys.readouterr().out == ""
