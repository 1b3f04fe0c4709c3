"""The README's line for cron, and the units for systemd, as they stand there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cefline.cli.lock import held
from cefline.config import Config
from tests import debian, sample

ROOT = Path(__file__).resolve().parent.parent
UNITS = ROOT / "docs" / "systemd"
SOURCE = sample.DATA / "sample.parquet"
(LINE,) = re.findall(r"^\*/5 .*$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
COMMAND = LINE.removeprefix("*/5 * * * * ").replace(
    "/opt/cefline/bin/cefline", str(Path(sys.executable).with_name("cefline"))
)
assert "cefline export" in COMMAND != LINE


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a home with a configuration, and a source that has settled."""
    shutil.copy(SOURCE, tmp_path / "a.parquet")
    os.utime(tmp_path / "a.parquet", (1_600_000_000,) * 2)
    config = f'sources = ["{tmp_path}"]\ndest = "{tmp_path}/out"\nstate = "{tmp_path}/state"\n'
    (tmp_path / "cefline.toml").write_text(config, encoding="utf-8")
    return tmp_path


def called(home: Path) -> str:
    """Run the line as cron does: by sh, with HOME and PATH alone; return what is mailed."""
    done = subprocess.run(
        ["/bin/sh", "-c", COMMAND],
        cwd=home,
        env={"HOME": str(home), "PATH": "/usr/bin:/bin"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
        text=True,
    )
    return done.stdout + done.stderr


def reports(home: Path) -> list[int]:
    """Return the events delivered by each run."""
    lines = (home / "cefline.json").read_text(encoding="utf-8").splitlines()
    return [json.loads(line).get("events_delivered", -1) for line in lines]


def test_the_line_delivers_and_then_has_nothing_to_do(home: Path) -> None:
    assert [called(home), called(home)] == ["", ""]
    assert reports(home) == [300, 0]
    log = (home / "cefline.log").read_text(encoding="utf-8").splitlines()
    assert {json.loads(line)["level"] for line in log} == {"INFO"}


def test_a_failure_is_mailed(home: Path) -> None:
    """And the report and the log say what it was."""
    (home / "b.jsonl").write_bytes(b'{"msg": 1}\n{')
    os.utime(home / "b.jsonl", (1_600_000_000,) * 2)
    assert called(home) == "cefline ended with 1: see cefline.log\n"
    assert reports(home) == [300]
    assert "b.jsonl" in (home / "cefline.log").read_text(encoding="utf-8").splitlines()[-1]


def test_an_overlap_is_mailed_as_75(home: Path) -> None:
    """The line's environment has no TMPDIR, and this one has."""
    with held(Config(dest=f"{home}/out", state=f"{home}/state")):
        assert called(home) == "cefline ended with 75: see cefline.log\n"
    log = (home / "cefline.log").read_text(encoding="utf-8")
    assert f"process {os.getpid()}" in log
    assert reports(home) == [-1]


_CRON = """
set -e
mount -t tmpfs none /var/spool
mkdir -p /var/spool/cron/crontabs
install -m 600 "$1" /var/spool/cron/crontabs/root
mount -t tmpfs none /run
mkdir -p /etc/cron.d && mount -t tmpfs none /etc/cron.d
if [ -e /etc/crontab ]; then mount --bind /dev/null /etc/crontab; fi
exec "$2" -f
"""
"""Cron with a table of its own: what this machine has in its tables is not run."""


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="cron reads its tables as root")
def test_cron_itself_runs_the_line(home: Path) -> None:
    """Every minute, so that it need not be waited for."""
    table = home / "table"
    table.write_text(f'HOME={home}\nMAILTO=""\n* * * * * {COMMAND}\n', encoding="utf-8")
    cron = debian.unpacked("cron") / "usr" / "sbin" / "cron"
    arguments = ["unshare", "--mount", "sh", "-c", _CRON, "sh", str(table), str(cron)]
    running = subprocess.Popen(arguments, env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin"})
    try:
        ends = time.monotonic() + 90
        while not (home / "cefline.json").exists() or not reports(home):
            assert running.poll() is None
            assert time.monotonic() < ends
            time.sleep(0.5)
    finally:
        running.terminate()
        running.wait()
    assert reports(home) == [300]


def test_a_stopped_service_is_no_failure_and_its_files_can_be_listed() -> None:
    """What can be written beside the state directory is for the user to say."""
    lines = (UNITS / "cefline.service").read_text(encoding="utf-8").splitlines()
    assert "SuccessExitStatus=75 143" in lines
    assert any(line.startswith("#ReadWritePaths=/var/lib/node_exporter ") for line in lines)


@pytest.mark.slow
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    """Each setting is known, and the service has few rights."""
    analyze, env = debian.systemd_analyze()
    for name in ("cefline.service", "cefline.timer"):
        text = (UNITS / name).read_text(encoding="utf-8")
        command = str(Path(sys.executable).with_name("cefline"))
        text = text.replace("/opt/cefline/bin/cefline", command).replace("User=cefline\n", "")
        text = text.replace("#ReadWritePaths=", "ReadWritePaths=")  # as where it is needed
        (tmp_path / name).write_text(text, encoding="utf-8")
    units = [str(tmp_path / name) for name in ("cefline.service", "cefline.timer")]
    done = subprocess.run(
        [analyze, "verify", "--man=no", "--recursive-errors=no", *units],
        env=env,
        capture_output=True,
        check=False,
        text=True,
    )
    assert (done.returncode, [line for line in done.stderr.splitlines() if "cefline" in line]) == (
        0,
        [],
    )
    threshold = [analyze, "security", "--offline=yes", "--threshold=25", units[0]]
    done = subprocess.run(threshold, env=env, capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stdout[-300:]
