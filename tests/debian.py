"""Programs of Debian's that tests need, unpacked beside the environment of the tests."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
_HOME = ROOT / ".venv" / "debian"


def unpacked(package: str) -> Path:
    """Return the folder that a package was unpacked to: nothing of it is set up or started."""
    folder = _HOME / package
    _HOME.mkdir(parents=True, exist_ok=True)
    with (_HOME / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run side by side
        if not folder.exists():
            _download(package)
            (archive,) = _HOME.glob(f"{package}_*.deb")
            made = folder.with_suffix(".new")
            shutil.rmtree(made, ignore_errors=True)
            subprocess.run(["dpkg", "-x", archive, made], check=True)
            made.rename(folder)
            archive.unlink()
    return folder


def _download(package: str) -> None:
    """Fetch a package; the lists of packages first, where there are none."""
    for update in (False, True):
        if update:
            subprocess.run(["apt-get", "-q", "update"], check=False, capture_output=True)
        done = subprocess.run(
            ["apt-get", "-q", "download", package],
            cwd=_HOME,
            check=False,
            capture_output=True,
            text=True,
        )
        if not done.returncode:
            return
    pytest.fail(f"{package} can't be had here: {done.stderr[-500:]}")


def systemd_analyze() -> tuple[str, dict[str, str]]:
    """Return systemd's checker and the environment that it runs in."""
    plain = {"PATH": os.environ["PATH"], "SYSTEMD_LOG_TARGET": "console"}
    if found := shutil.which("systemd-analyze"):
        return found, plain
    folder = unpacked("systemd")
    libraries = ":".join(map(str, folder.glob("**/systemd")))
    return str(folder / "usr" / "bin" / "systemd-analyze"), {**plain, "LD_LIBRARY_PATH": libraries}
