"""Prometheus' own checks: promtool, of the system or out of Debian's package."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

_HOME = ROOT / ".venv" / "prometheus"
"""Beside the environment of the tests: `make clean` removes both."""


def installed() -> str:
    """Return the command; its package (19 MB) is fetched by the first test that asks.

    Nothing is installed: the one file that is wanted is taken out of the package.
    """
    if found := shutil.which("promtool"):
        return found
    _HOME.mkdir(parents=True, exist_ok=True)
    tool = _HOME / "promtool"
    with (_HOME.parent / "prometheus.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run side by side
        if not tool.exists():
            _fetch(tool)
    return str(tool)


def _fetch(tool: Path) -> None:
    for command in (["apt-get", "download", "prometheus"], ["sh", "-c", "dpkg-deb -x *.deb all"]):
        done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tool.parent)
        if done.returncode:
            pytest.fail(f"promtool can't be had here: {done.stderr[-500:]}")
    (tool.parent / "all" / "usr" / "bin" / "promtool").replace(tool)
    shutil.rmtree(tool.parent / "all")
    for package in tool.parent.glob("*.deb"):
        package.unlink()


def run(*arguments: str, text: str = "") -> str:
    """Run promtool, and return what it says; where it finds something, the test fails."""
    command = [installed(), *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True, input=text)
    said = done.stdout + done.stderr
    if done.returncode:
        pytest.fail(f"promtool {' '.join(arguments)}: {said}")
    return said
