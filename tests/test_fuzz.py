"""Fuzzing: the corpus and past findings hold, and a short run finds nothing new."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

import cefline
from cefline.errors import SourceError
from tests.fuzz import CORPUS, ROOT
from tests.inputs import read, read_text
from tests.invariants import CHECKS

SECONDS = 30
SEEDS = sorted(path for path in CORPUS.rglob("*") if path.is_file())


@pytest.mark.parametrize("path", SEEDS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_corpus_holds(path: Path) -> None:
    """What the fuzzer starts from breaks none of the invariants."""
    CHECKS[path.parent.name](path.read_bytes())


def test_each_target_has_a_small_corpus() -> None:
    """A target without seeds would begin with nothing, one with many would bloat the tree."""
    assert {path.parent.name for path in SEEDS} == set(CHECKS)
    assert sum(path.stat().st_size for path in SEEDS) < 100_000


# Findings: each stays as a test.


@pytest.mark.parametrize(
    "line",
    [
        b'{"sourcetype":"first","sourcetype":"last"}',
        b'{"zz":1,"sourcetype":"first","sourcetype" :"last"}',
        b'{"sourcetype":"first", "sourcetype":"last"}',
    ],
)
def test_equal_keys_are_found_wherever_they_stand(line: bytes) -> None:
    """The first key of an object, and one with blanks around it, equal the same key elsewhere."""
    assert read_text(line + b"\n").events[0] == {"sourcetype": "last"}


@pytest.mark.parametrize("name", ["zz", "alarm", "alarm_severity"])
def test_deep_lines_are_rejected_whatever_is_around_them(name: str) -> None:
    """A line that nests too deep is a reject alone as in the company of a bad line."""
    line = f'{{"eventId":"1","{name}":{"[" * 250}{"]" * 250}}}\n'.encode()
    for company in (b"", b"bad\n"):
        assert read_text(line + company).events == {}


def test_a_second_array_of_events_is_not_lost(tmp_path: Path) -> None:
    """An object with two arrays of events is refused, or both are read."""
    with pytest.raises(SourceError):
        read(tmp_path, b'{"events":[{"eventId":"1"}],"events":[{"eventId":"2"}]}')


@pytest.mark.parametrize("blanks", [2 << 20, 12 << 20])
def test_nothing_is_lost_behind_many_blanks(tmp_path: Path, blanks: int) -> None:
    """What follows the object around the events is found behind any number of blanks."""
    whole = b'{"events":[{"eventId":"1"}]}'
    with pytest.raises(SourceError):
        read(tmp_path, whole + b" " * blanks + whole)


def test_the_array_is_found_behind_a_nested_one(tmp_path: Path) -> None:
    """A key of the same name inside another member does not hide the array."""
    out = read(tmp_path, b'{"meta":{"events":[1]},"events":[{"eventId":"2"}]}')
    assert out.column("eventId") == ["2"]


@pytest.mark.parametrize("content", [b"CEF:0|a|b|c|0|N|1|msg=\xff\n", b"\x1f\x8b", b"\x28\xb5"])
def test_what_is_no_text_is_refused(tmp_path: Path, content: bytes) -> None:
    """Damaged parts and bytes that are no UTF-8 are errors in words, too."""
    path = tmp_path / "part"
    path.write_bytes(content)
    with pytest.raises(SourceError):
        cefline.parse(path)


@pytest.mark.slow
def test_a_short_run_finds_nothing(tmp_path: Path) -> None:
    """All targets run, none finds anything, and nothing is left behind in the temporary folder."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        pytest.skip("atheris has no wheel for this machine")
    command = [sys.executable, "-m", "tests.fuzz", "--seconds", str(SECONDS)]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    run = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, check=False, text=True
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.splitlines()[-1].endswith(" executions, 0 findings")
    assert list(tmp_path.iterdir()) == []
