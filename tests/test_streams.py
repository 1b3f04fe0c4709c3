"""Standard streams that are closed or full change nothing of a run, nor how it ends."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cefline.cli.lock import held
from cefline.config import Config
from tests import sample

if TYPE_CHECKING:
    from subprocess import CompletedProcess

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")

SOURCE = sample.DATA / "sample.jsonl"
BROKEN = ["2>&-", "2>/dev/full"]


def run(streams: str, *arguments: object) -> CompletedProcess[bytes]:
    """Run the command in a shell, which closes or turns its streams."""
    words = [sys.executable, "-m", "cefline", *map(str, arguments)]
    return subprocess.run(
        ["/bin/sh", "-c", f"exec {shlex.join(words)} {streams}"], capture_output=True, check=False
    )


def parts(dest: Path) -> int:
    return len(list(dest.rglob("*.cef.gz")))


@pytest.mark.parametrize("streams", [*BROKEN, "<&- 2>&-"])
@pytest.mark.parametrize("form", ["auto", "json", "text"])
def test_a_run_without_standard_error_delivers_and_reports(
    tmp_path: Path, streams: str, form: str
) -> None:
    dest = tmp_path / "out"
    done = run(streams, "export", SOURCE, dest, "--json", "--log-format", form)
    assert (done.returncode, parts(dest)) == (0, 3)
    assert json.loads(done.stdout)["events_delivered"] == 300


@pytest.mark.parametrize("streams", BROKEN)
@pytest.mark.parametrize("form", ["auto", "json"])
def test_a_source_that_fails_is_reported_without_standard_error(
    tmp_path: Path, streams: str, form: str
) -> None:
    (tmp_path / "bad.jsonl").write_bytes(b"<html>")
    dest = tmp_path / "out"
    sources = [tmp_path / "bad.jsonl", SOURCE]
    done = run(streams, "export", *sources, dest, "--json", "--log-format", form)
    assert (done.returncode, parts(dest)) == (1, 3)
    report = json.loads(done.stdout)
    assert [one["outcome"] for one in report["sources"]] == ["failed", "delivered"]
    assert (report["exit_code"], "is no timeline" in report["sources"][0]["error"]) == (1, True)


@pytest.mark.parametrize("streams", BROKEN)
def test_exit_codes_are_the_same_without_standard_error(tmp_path: Path, streams: str) -> None:
    dest = str(tmp_path / "out")
    with held(Config(dest=dest)):
        refused = run(streams, "export", SOURCE, dest, "--json")
    assert (refused.returncode, json.loads(refused.stdout)["exit_code"]) == (75, 75)
    assert run(streams, "export", SOURCE).returncode == 2
    assert run(streams, "export", SOURCE, dest, "--part-size", "none").returncode == 78
    assert run(streams, "preview", tmp_path / "none.jsonl").returncode == 1


def test_a_run_whose_standard_output_is_closed_ends_as_it_would_have(tmp_path: Path) -> None:
    for number, streams in enumerate([">&-", ">&- 2>&-", "<&- >&- 2>&-"]):
        dest = tmp_path / f"out{number}"
        done = run(streams, "export", SOURCE, dest, "--json")
        assert (done.returncode, parts(dest)) == (0, 3)
        assert b"Traceback" not in done.stderr
        assert run(streams, "fields").returncode == 0


@pytest.mark.parametrize("streams", [">/dev/full", ">/dev/full 2>/dev/full", ">&- 2>/dev/full"])
def test_a_run_that_is_refused_ends_with_75_wherever_it_can_be_told(
    tmp_path: Path, streams: str
) -> None:
    """The log and the report may be on the disk that is full."""
    dest = str(tmp_path / "out")
    with held(Config(dest=dest)):
        done = run(streams, "export", SOURCE, dest, "--json")
    assert done.returncode == 75
    assert (b"another run" in done.stderr) is (streams == ">/dev/full")


def test_a_report_that_can_not_be_printed_hides_no_error(tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_bytes(b"<html>")
    done = run(">/dev/full", "export", tmp_path / "bad.jsonl", tmp_path / "out", "--quiet")
    assert done.returncode == 1
    done = run(">/dev/full", "export", tmp_path / "bad.jsonl", tmp_path / "out", "--json")
    assert done.returncode == 1
    assert b"is no timeline" in done.stderr
    assert b"standard output" in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("form", ["--json", "--log-format=text"])
def test_what_became_of_the_sources_counts_for_more_than_a_report(
    tmp_path: Path, form: str
) -> None:
    (tmp_path / "bad.jsonl").write_bytes(b'{"msg": "m"}\n{"x": 1}\n')
    given = (tmp_path / "bad.jsonl", tmp_path / "out", "--max-rejects", 0, form)
    assert run("", "export", *given).returncode == 3
    done = run(">/dev/full", "export", *given)
    assert done.returncode == 3
    assert b"standard output" in done.stderr


def test_a_child_of_a_run_has_the_streams_that_were_closed() -> None:
    """Else the first file that Spark's Java opens would be its standard output."""
    child = "subprocess.run(['/bin/sh', '-c', 'echo told'], check=True)"
    code = f"import subprocess; from cefline.cli.output import open_closed; open_closed(); {child}"
    shell = f"exec {shlex.join([sys.executable, '-c', code])} >&-"
    done = subprocess.run(["/bin/sh", "-c", shell], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
