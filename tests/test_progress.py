"""Progress: never on standard output, seldom in logs, and safe whatever a source is called."""

from __future__ import annotations

import logging
from importlib import import_module

import pytest

from cefline.progress import Bar, Logged, Progress, Silent


def go(progress: Progress, url: str = "s3://cef/in/a.jsonl", steps: int = 3) -> None:
    for _ in range(2):
        progress.begin(url, 1000)
        for step in range(1, steps + 1):
            progress.advance(10, 100, step / steps)
        progress.end()


@pytest.mark.parametrize("kind", [Silent, Logged, Bar])
@pytest.mark.parametrize(
    "url", ["s3://cef/a.jsonl", "", "/", "[bold]x[/nothing]", "a\x1b[31m\n\0", "\udce9" * 99]
)
def test_progress_writes_nothing_to_standard_output(
    kind: type[Silent | Logged | Bar], url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It belongs to the result; and no name of a source disturbs the terminal."""
    go(kind(), url)
    out, err = capsys.readouterr()
    assert out == ""
    assert "\x1b[31m" not in err


@pytest.mark.parametrize("kind", [Silent, Logged, Bar])
def test_a_source_without_events_has_progress_too(kind: type[Silent | Logged | Bar]) -> None:
    """Nothing is divided by nothing."""
    progress = kind()
    progress.begin("a.jsonl", 0)
    progress.advance(0, 0, 0.0)
    progress.end()


def test_a_log_line_comes_now_and_then(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """At most one in 30 seconds, with the events so far and the seconds that are left."""
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr(import_module("cefline.progress").time, "monotonic", lambda: next(clock))
    with caplog.at_level(logging.INFO, "cefline"):
        go(Logged(), steps=4)
    assert [record.getMessage() for record in caplog.records] == [
        "s3://cef/in/a.jsonl: 75 %, 30 events, 300 bytes of text, 10 s left"
    ] * 2
