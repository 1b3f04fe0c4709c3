"""The ways from a source to CEF text: the commands of cefline, of its peers, and of the floor."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from process import Command
    from text import Compression

HERE = Path(__file__).resolve().parent
BOTH = ("parquet", "ndjson")


class Job(NamedTuple):
    """What a command is to do."""

    source: Path
    folder: Path
    """A fresh one. The text goes to `out` in it."""
    threads: int
    text: Path
    """The text that cefline made of the source, for the floor."""

    @property
    def out(self) -> str:
        """Return the file of a way that writes one."""
        (self.folder / "out").mkdir(exist_ok=True)
        return str(self.folder / "out" / "events")


@dataclass(frozen=True, slots=True)
class Way:
    """One way to make the text."""

    name: str
    compression: Compression
    commands: Callable[[Job], list[Command]]
    """A pipeline: each reads what the one before it writes."""
    formats: tuple[str, ...] = BOTH
    slow: bool = False
    """Whether it is run in the first round only."""
    whole: bool = True
    """Whether its output must hold each event on one line."""
    cores: int | None = None
    """How many cores it may use; None for all."""


def _cefline(job: Job, *options: str) -> list[Command]:
    places = [str(job.source), str(job.folder / "out"), "--state", str(job.folder / "state")]
    return [[cefline_program(), "export", *places, "--quiet", "--json", *options]]


def cefline_program() -> str:
    """Return the command of this environment."""
    return str(Path(sys.executable).parent / "cefline")


def _script(name: str, job: Job, *options: str) -> Command:
    return [sys.executable, str(HERE / name), str(job.source), *options]


def _duckdb(job: Job, compression: str) -> list[Command]:
    options = ["--compression", compression, "--threads", str(job.threads)]
    return [_script("duckdb_cef.py", job, job.out, *options)]


def _duckdb_igzip(job: Job) -> list[Command]:
    options = ["--compression", "none", "--threads", str(job.threads)]
    packing = [sys.executable, "-m", "isal.igzip", "-2", "-n", "-o", job.out]
    return [_script("duckdb_cef.py", job, "/dev/stdout", *options), packing]


def _tenzir(job: Job, *options: str) -> list[Command]:
    own = ["--tenzir", str(tenzir()), "--threads", str(job.threads), *options]
    return [_script("tenzir_cef.py", job, job.out, *own)]


def _row_loop(job: Job, compression: str) -> list[Command]:
    return [_script("rowloop_cef.py", job, job.out, "--compression", compression)]


def _floor(job: Job) -> list[Command]:
    return [_script("floor.py", job, str(job.text), job.out, "--threads", str(job.threads))]


@cache
def tenzir() -> Path | None:
    """Return the binary of Tenzir: that of the package, or one on PATH."""
    spec = find_spec("tenzir")
    for folder in (spec and spec.submodule_search_locations) or ():
        if (binary := Path(folder) / "bundled" / "bin" / "tenzir").exists():
            return binary
    found = shutil.which("tenzir")
    return Path(found) if found else None


@cache
def _knows(option: str) -> bool:
    command = [cefline_program(), "export", "--help"]
    said = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    return option in said


def _with(command: Callable[..., list[Command]], *options: str) -> Callable[[Job], list[Command]]:
    return lambda job: command(job, *options)


def _cefline_way(compression: Compression) -> Way:
    return Way(f"cefline {compression}", compression, _with(_cefline, "--compression", compression))


_GZIP = _cefline_way("gzip")
_SMALL = "cefline gzip --memory small"
_PARQUET = ("parquet",)

WAYS = (
    _GZIP,
    replace(_GZIP, name=_SMALL, commands=_with(_cefline, "--memory", "small")),
    Way("duckdb gzip", "gzip", _with(_duckdb, "gzip")),
    Way("duckdb | igzip", "gzip", _duckdb_igzip),
    Way("tenzir gzip", "gzip", _with(_tenzir, "--escape", "--compression", "gzip"), _PARQUET),
    Way("row loop gzip", "gzip", _with(_row_loop, "gzip"), slow=True),
    Way("floor gzip", "gzip", _floor, _PARQUET),
    _cefline_way("zstd"),
    Way("duckdb zstd", "zstd", _with(_duckdb, "zstd")),
    _cefline_way("none"),
    Way("duckdb none", "none", _with(_duckdb, "none")),
    Way("tenzir none", "none", _with(_tenzir, "--escape"), _PARQUET),
    Way("tenzir none, unescaped", "none", _with(_tenzir), _PARQUET, whole=False),
    Way("row loop none", "none", _with(_row_loop, "none"), slow=True),
)
"""All ways, those of one compression together, cefline's first."""

ONE_CORE = replace(_GZIP, name="cefline gzip, 1 core", cores=1)


def available(only: list[str], cores: int) -> tuple[list[Way], list[str]]:
    """Return the ways that can be taken here, and what there is to say of the others.

    Args:
        only: names of ways, or how they begin; empty for all.
        cores: how many there are.

    Raises:
        SystemExit: a name is that of no way.
    """
    every = (*WAYS, ONE_CORE)
    if unknown := [o for o in only if not any(way.name.startswith(o) for way in every)]:
        raise SystemExit(f"no way is called {unknown[0]}; there are {[w.name for w in every]}")
    found = [way for way in every if not only or any(way.name.startswith(o) for o in only)]
    notes = {way.name: _missing(way, cores) for way in found}
    ready = [way for way in found if not notes[way.name]]
    return ready, [f"{name}: left out, {note}" for name, note in notes.items() if note]


def _missing(way: Way, cores: int) -> str:
    if way.name.startswith("tenzir") and tenzir() is None:
        return "Tenzir is not here (`make bench` installs it; Linux on x86_64 only)"
    if way.name == _SMALL and not _knows("--memory"):
        return "this cefline has no --memory"
    if way == ONE_CORE and cores < 2:
        return "there is one core anyway"
    return ""
