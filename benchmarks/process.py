"""Processes: what is measured, and what is done apart so that the measuring one stays small."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import IO, TYPE_CHECKING, NamedTuple, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

P = ParamSpec("P")
T = TypeVar("T")

Command = list[str]


class Spent(NamedTuple):
    """What a pipeline of processes took."""

    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int
    """The sum of the peaks of its processes."""


@contextmanager
def on(cores: int | None) -> Iterator[int]:
    """Keep this process, and those it starts, on so many cores; say how many they are.

    Args:
        cores: how many, of those that this process may use; None for all.
    """
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:cores])
    try:
        yield len(os.sched_getaffinity(0))
    finally:
        os.sched_setaffinity(0, before)


def apart(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *args, **kwargs).result()


def timed(commands: Sequence[Command]) -> Spent:
    """Run a pipeline of commands, and return what it took.

    The system takes this process's own memory for the least that a child's peak can be, so what
    needs large libraries is done `apart`.

    Raises:
        SystemExit: a command failed.
    """
    with tempfile.TemporaryFile() as said:
        began = time.perf_counter()
        children = _started(commands, said)
        usages = [os.wait4(child.pid, 0)[1:] for child in children]
        wall = time.perf_counter() - began
        for child, (status, _) in zip(children, usages, strict=True):
            child.returncode = os.waitstatus_to_exitcode(status)  # reaped here, not by subprocess
        _check(commands, children, said)
    cpu = sum(usage.ru_utime + usage.ru_stime for _, usage in usages)
    return Spent(wall, cpu, sum(usage.ru_maxrss for _, usage in usages) * 1024)


def _started(commands: Sequence[Command], said: IO[bytes]) -> list[subprocess.Popen[bytes]]:
    children: list[subprocess.Popen[bytes]] = []
    source: IO[bytes] | None = None
    for command in commands:
        last = command is commands[-1]
        child = subprocess.Popen(
            command,
            stdin=source or subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if last else subprocess.PIPE,
            stderr=said,
            env=_environment(),
        )
        if source is not None:
            source.close()  # the reader has it: where it ends early, the writer is told
        source = child.stdout
        children.append(child)
    return children


def _environment() -> dict[str, str]:
    """Return this process's environment, without what would set up cefline or its Python."""
    ours = ("CEFLINE_", "PYTHON", "POLARS_", "ARROW_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def _check(
    commands: Sequence[Command], children: list[subprocess.Popen[bytes]], said: IO[bytes]
) -> None:
    for command, child in zip(commands, children, strict=True):
        if child.returncode:
            said.seek(0)
            text = said.read().decode(errors="replace")
            raise SystemExit(f"{' '.join(command)}\nended with {child.returncode}:\n{text}")
