"""The log: one line a record, for people or machines, whatever is in it."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given

from cefline.cli import logs
from tests import hostile

if TYPE_CHECKING:
    from pathlib import Path

    from cefline.config import LogFormat

FORMATS = [logs.TextLines(), logs.JsonLines(asked=False)]
COMMAND = [sys.executable, "-m", "cefline"]


def record(message: str, *arguments: object, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("cefline", logging.INFO, "", 0, message, arguments, None)
    made.__dict__.update(extra)
    return made


@given(hostile.text)
def test_a_record_is_one_line_of_printable_text(text: str) -> None:
    """No name of a file begins another line, or steers a terminal."""
    for formatter in FORMATS:
        line = formatter.format(record("%s: delivered", text, said={"source": text}))
        assert line.isprintable()
    assert json.loads(line)["source"] == text


def test_json_has_what_is_said_beside() -> None:
    line = FORMATS[1].format(record("%s events", 3, said={"event": "end", "events": 3}))
    found = json.loads(line)
    assert found.pop("time").endswith("Z")
    assert found == {"level": "INFO", "message": "3 events", "event": "end", "events": 3}


def test_no_traceback_of_a_library_is_logged() -> None:
    """Its error is named; the text of an error may hold anything."""
    try:
        int("secret")
    except ValueError:
        made = record("failed")
        made.exc_info = sys.exc_info()
    lines = [formatter.format(made) for formatter in FORMATS]
    assert all("secret" not in line and "Traceback" not in line for line in lines)
    assert json.loads(lines[1])["error"] == "ValueError"


@pytest.mark.parametrize(("form", "expected"), [("auto", True), ("json", True), ("text", False)])
def test_lines_are_json_where_there_is_no_terminal(form: LogFormat, *, expected: bool) -> None:
    assert logs.is_json(form) is expected


def test_all_is_json_where_that_is_asked_for(tmp_path: Path) -> None:
    """Errors that end a run, too, unless it ended before its settings were read."""
    command = [*COMMAND, "export", "missing.jsonl", "out", "--json", "--log-format", "json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, text=True)
    assert done.returncode == 1
    found = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["level"] for line in found][-1] == "ERROR"
    assert "there is no such file" in found[-1]["message"]


TELL_TALES = {
    "bytes": b"password=hunter2",
    "array": b'[{"msg": "a"}] hunter2',
    "no_zone": b'{"msg": "a", "eventTime": "2026-01-12T10:11:12"}\n' * 2,
    "unit": b'{"msg": "a", "eventTime": 1783111222333}\n' * 9,
}


@pytest.mark.parametrize("name", TELL_TALES)
def test_no_sample_of_a_source_is_logged(tmp_path: Path, name: str) -> None:
    """Neither at first nor later; the report and words for people have it."""
    (tmp_path / "a.jsonl").write_bytes(TELL_TALES[name])
    marks = ("hunter2", "10:11:12", "1783111222333")
    command = [*COMMAND, "export", "a.jsonl", "out", "--json"]
    for form, before in (("json", False), ("json", True), ("text", True)):
        done = subprocess.run(
            [*command, "--log-format", form],
            cwd=tmp_path,
            capture_output=True,
            check=False,
            text=True,
        )
        assert done.returncode == 1
        assert any(mark in done.stdout for mark in marks)
        assert any(mark in done.stderr for mark in marks) is (form == "text")
        assert f"{tmp_path / 'a.jsonl'}" in done.stderr
        assert ("failed before" in done.stderr) is before
