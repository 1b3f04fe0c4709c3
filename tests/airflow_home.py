"""Real Airflow, in an environment and a home of its own, and DAGs that run there."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import venv
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "pipelines" / "cefline" / "airflow" / "example_dags"

_ENVIRONMENT = ROOT / ".venv" / "airflow"
"""Beside the environment of the tests: `make clean` removes both."""


_TASKS = """SELECT task_id, state, try_number, rendered_map_index FROM task_instance
    WHERE dag_id = ? AND run_id = ? ORDER BY task_id, map_index"""
_EVENTS = "SELECT extra FROM asset_event WHERE source_dag_id = ? AND source_run_id = ?"
_XCOMS = """SELECT task_id, value FROM xcom
    WHERE dag_id = ? AND run_id = ? AND map_index < 0 AND key = 'return_value'"""


class Task(NamedTuple):
    """How an instance of a task ended."""

    state: str
    tries: int
    name: str
    """Of a mapped one."""


@dataclass(frozen=True, slots=True)
class Run:
    """How a run of a DAG ended."""

    state: str
    tasks: dict[str, list[Task]]
    events: list[dict[str, Any]]
    """What the Asset events that it emitted say."""
    xcoms: dict[str, Any]
    """What the tasks gave that are not mapped."""

    def states(self) -> dict[str, set[str]]:
        """Return the states of the instances of each task."""
        return {name: {task.state for task in own} for name, own in self.tasks.items()}


def installed() -> Path:
    """Return the folder of Airflow's commands; they are installed by the first test that asks."""
    lock = ROOT / "requirements-airflow.lock"
    packages, own = (_ENVIRONMENT / _digest(file) for file in (lock, ROOT / "pyproject.toml"))
    _ENVIRONMENT.parent.mkdir(exist_ok=True)
    with (_ENVIRONMENT.parent / "airflow.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # tests run side by side
        if not packages.exists():
            shutil.rmtree(_ENVIRONMENT, ignore_errors=True)
            venv.create(_ENVIRONMENT, with_pip=True)
            _pip("--requirement", str(lock))
            packages.touch()
        if not own.exists():
            _pip("--editable", str(ROOT))
            own.touch()
    return _ENVIRONMENT / "bin"


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16]


def _pip(*arguments: str) -> None:
    pip = [str(_ENVIRONMENT / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-deps"]
    done = subprocess.run([*pip, *arguments], check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.fail(f"Airflow can't be installed here: {done.stderr[-500:]}")


@dataclass(frozen=True, slots=True)
class Home:
    """Where Airflow keeps its database, its logs and its DAGs."""

    folder: Path

    @classmethod
    def made(cls, folder: Path) -> Home:
        """Return a new one that has the example DAGs, told where cefline and its settings are."""
        home = cls(folder)
        (folder / "dags").mkdir()
        for example in EXAMPLES.glob("cefline_*.py"):
            text = example.read_text(encoding="utf-8").replace(
                "/opt/cefline/bin", sys.prefix + "/bin"
            )
            text = text.replace('"/etc/cefline.toml"', repr(str(home.settings)))
            (folder / "dags" / example.name).write_text(text, encoding="utf-8")
        home.command("db", "migrate")
        return home

    @property
    def settings(self) -> Path:
        """Return the file of settings."""
        return self.folder / "cefline.toml"

    @property
    def env(self) -> dict[str, str]:
        """Return the environment of Airflow's processes: of this one only what they need."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "TMPDIR": os.environ.get("TMPDIR", str(self.folder)),
            "AIRFLOW_HOME": str(self.folder),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.folder / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def command(self, *arguments: str) -> str:
        """Return what a command of Airflow prints."""
        return self._run([str(installed() / "airflow"), *arguments], {})

    def python(self, *arguments: str, env: Mapping[str, str] | None = None) -> str:
        """Return what a program prints in Airflow's environment."""
        return self._run([str(installed() / "python"), *arguments], env or {})

    def run(self, orders: list[dict[str, Any]], env: Mapping[str, str]) -> list[Run]:
        """Run DAGs one after another, in one process: importing Airflow takes seconds.

        Args:
            orders: of each run `dag`, `conf`, `env`, and the `settings` that the file has then.
            env: of all of them.
        """
        asked, told = self.folder / "orders.json", self.folder / "told.json"
        asked.write_text(json.dumps(orders), encoding="utf-8")
        script = str(ROOT / "tests" / "airflow_run.py")
        self.python(script, *map(str, (self.settings, asked, told)), env=env)
        ran = json.loads(told.read_text(encoding="utf-8"))
        return [self._told(**one) for one in ran]

    def dags(self) -> set[str]:
        """Return the DAGs that Airflow has read."""
        with closing(sqlite3.connect(self.folder / "airflow.db")) as database:
            return {name for (name,) in database.execute("SELECT dag_id FROM serialized_dag")}

    def texts(self) -> str:
        """Return all that Airflow stored and logged."""
        files = [p for p in self.folder.rglob("*") if p.suffix in {".db", ".log"}]
        return "".join(p.read_text(encoding="utf-8", errors="replace") for p in sorted(files))

    def _run(self, command: list[str], env: Mapping[str, str]) -> str:
        log = self.folder / "output.log"
        with log.open("ab") as file:
            done = subprocess.run(
                command,
                check=False,
                stdout=subprocess.PIPE,
                stderr=file,
                env={**self.env, **env},
                cwd=self.folder,
                timeout=600,
            )
            file.write(done.stdout)
        said = log.read_text(encoding="utf-8", errors="replace")
        assert done.returncode == 0, said[-5000:]
        return done.stdout.decode()

    def _told(self, dag: str, run: str, state: str) -> Run:
        key = (dag, run)
        with closing(sqlite3.connect(self.folder / "airflow.db")) as database:
            tasks: dict[str, list[Task]] = {}
            for name, *rest in database.execute(_TASKS, key):
                tasks.setdefault(name, []).append(Task(*rest))
            events = [json.loads(extra) for (extra,) in database.execute(_EVENTS, key)]
            given = {name: json.loads(str(v)) for name, v in database.execute(_XCOMS, key)}
        return Run(state, tasks, events, given)
