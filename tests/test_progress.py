"""Progress: what a run tells of where it stands, and how it is shown; never on standard output."""

from __future__ import annotations

import json
import logging
import os
import pty
import re
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from unittest.mock import Mock

import pytest

from cefline.cli.logs import TextLines
from cefline.cli.standing import drawn
from cefline.config import Config
from cefline.heartbeat import logged
from cefline.job import export
from cefline.progress import Progress
from cefline.shown import printable
from tests import sample

if TYPE_CHECKING:
    from collections.abc import Iterator
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
    assert progress.total()[0].rate() == 0.0
    assert progress.total()[0].left() is None
    progress.leave("a")
    progress.leave("never begun")


def test_rate_and_time_left_are_of_converting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither of fetching nor of waiting before it, of a source and of all."""
    clock = Mock(monotonic=Mock(return_value=0.0))
    monkeypatch.setattr("cefline.progress.time", clock)
    progress = Progress()
    progress.begin([("a", 100), ("b", 100)])
    for name, now in (("fetch", 10.0), ("convert", 1_000.0)):
        clock.monotonic.return_value = now
        progress.step("a", name)
        assert (progress.sources()[0][1].rate(), progress.total()[0].rate()) == (0.0, 0.0)
    clock.monotonic.return_value = 1_010.0
    progress.advance("a", 500, 1, 0.5)
    (_, one), (total, _, _) = progress.sources()[0], progress.total()
    assert (one.rate(), one.left()) == (50.0, 10.0)
    assert (total.rate(), total.left()) == (50.0, 30.0)
    clock.monotonic.return_value = 5_000.0
    progress.step("b", "fetch")
    progress.advance("b", 0, 0, 0.0)  # of workers, which take no steps here
    clock.monotonic.return_value = 5_001.0
    progress.advance("b", 100, 1, 0.5)
    assert (progress.sources()[1][1].rate(), progress.sources()[1][1].left()) == (100.0, 1.0)


@pytest.mark.parametrize(("done", "told"), [(0.0, False), (0.5, True), (1.0, False)])
def test_time_left_is_logged_where_it_can_be_told(
    caplog: pytest.LogCaptureFixture, *, done: float, told: bool
) -> None:
    """While a source is converted; neither before nor after it."""
    progress = Progress()
    progress.begin([("a", 1000)])
    progress.step("a", "convert")
    progress.advance("a", 5, 5, done)
    with caplog.at_level(logging.INFO, "cefline"), logged(progress, 0.01):
        while len(caplog.records) < 2:
            time.sleep(0.01)
    for record in caplog.records[:2]:
        assert ("seconds_left" in record.__dict__["said"]) is told
        assert ("s left" in record.getMessage()) is told


@pytest.mark.parametrize("url", NAMES)
def test_log_lines_come_while_nothing_moves(
    url: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of each source under way, and of all."""
    progress = Progress()
    progress.begin([(url, 1000), ("b", 1000)])
    progress.step(url, "convert")
    progress.advance(url, 2000, 3_000_000, 0.5)
    before = set(threading.enumerate())
    with caplog.at_level(logging.INFO, "cefline"), logged(progress, 0.01):
        (thread,) = set(threading.enumerate()) - before
        while len(caplog.records) < 6:
            time.sleep(0.01)
    one, every = (record.__dict__["said"] for record in caplog.records[:2])
    assert (one["source"], one["step"], one["done"], one["events"]) == (url, "convert", 0.5, 2000)
    assert (every["sources"], every["sources_through"], every["done"]) == (2, 0, 0.25)
    assert "convert, 50%, 2,000 events, 3 MB of text, " in caplog.records[0].getMessage()
    assert capsys.readouterr().out == ""
    assert not thread.is_alive()


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


def test_log_lines_stand_above_the_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole, in order and as they are, whatever is in them; bars are taken away below them."""
    names = [*NAMES, "https://cef/12:smile:" + "x" * 300]
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    log, written = logging.getLogger("cefline"), list[bytes]()
    with terminal(written) as end, os.fdopen(end, "w", encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        handler = logging.StreamHandler(stream)
        handler.setFormatter(TextLines())
        monkeypatch.setattr(logging.getLogger(), "handlers", [handler])
        with drawn(begun()):
            for name in names:
                time.sleep(0.3)
                log.warning("%s failed", name)
            time.sleep(0.3)
        log.warning("after it")
        assert handler.stream is stream
    drawing = b"".join(written).decode()
    assert drawing.count("1 of 3 sources") > len(names)
    expected = [f" WARNING {printable(name)} failed" for name in names] + [" WARNING after it"]
    assert [line[24:] for line in seen(drawing)] == expected


@pytest.mark.parametrize("form", ["json", "auto"])
def test_json_on_a_terminal_is_a_line_for_each_step(form: str, tmp_path: Path) -> None:
    """There are no bars where JSON was asked for; else they say it alone."""
    source, dest, written = str(sample.DATA / "sample.jsonl"), str(tmp_path), list[bytes]()
    command = [sys.executable, "-m", "cefline", "export", source, dest, "--log-format", form]
    with terminal(written) as end, os.fdopen(end, "wb") as stream:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=stream)
    shown = b"".join(written).decode()
    if form == "json":
        steps = [json.loads(line).get("event") for line in shown.splitlines()]
        assert {"fetch", "convert", "publish", "source", "run"} <= set(steps)
    else:
        assert "\x1b[2K" in shown
        assert "{" not in shown


@contextmanager
def terminal(written: list[bytes]) -> Iterator[int]:
    """Yield the end of a terminal that a program has; what is written there is taken note of."""
    ours, theirs = pty.openpty()

    def read() -> None:
        with suppress(OSError):  # there is no more once the other end is closed
            while piece := os.read(ours, 1 << 16):
                written.append(piece)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield theirs
    finally:
        reader.join(60)
        os.close(ours)


def seen(drawing: str) -> list[str]:
    """Return the lines that a terminal of any width shows in the end."""
    lines, row, column = [""], 0, 0
    for piece in re.findall(r"\x1b\[[?0-9;]*[A-Za-z]|[\r\n]|[^\x1b\r\n]+", drawing):
        if piece == "\n":
            row += 1
            lines += [""] * (row == len(lines))
        elif piece == "\r":
            column = 0
        elif piece == "\x1b[2K":
            lines[row] = ""
        elif up := re.fullmatch(r"\x1b\[(\d+)A", piece):
            row -= int(up[1])
        elif piece[0] != "\x1b":
            lines[row] = (
                lines[row][:column].ljust(column) + piece + lines[row][column + len(piece) :]
            )
            column += len(piece)
        else:
            assert re.fullmatch(r"\x1b\[(\?25[lh]|[0-9;]*m)", piece), piece
    return [line for line in lines if line]
