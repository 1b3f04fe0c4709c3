"""Whole processes side by side: cefline and DuckDB making the same CEF text from one source.

Each way is a fresh process with a fresh destination; rounds go over all ways in turn, so that what
else the machine does hits all of them. A time is believed only if its output holds every event.

Run as: `python benchmarks/whole.py [SOURCE] [--rounds 3] [--only cefline|duckdb] [--json FILE]`
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from multiprocessing import get_context
from pathlib import Path
from typing import BinaryIO, ParamSpec, TypeVar, cast

HERE = Path(__file__).resolve().parent
SAMPLE = HERE.parent / "tests" / "sample.py"
REAL = Path(os.environ.get("CEFLINE_DATA") or HERE.parents[1] / "shared" / "data") / "real.parquet"
COMPRESSIONS = ("gzip", "zstd", "none")
CHUNK = 1 << 20
P = ParamSpec("P")
T = TypeVar("T")
MIB = 1 << 20
MB = 1_000_000
HEAD = ("way", "wall s", "CPU s", "peak MiB", "MB/s of text", "stored MB", "wall / cefline's")


@dataclass(frozen=True, slots=True)
class Run:
    """One process that ended well."""

    tool: str
    compression: str
    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int
    events: int
    text_bytes: int
    stored_bytes: int


Command = Callable[[Path, Path, str], list[str]]


def cefline(source: Path, folder: Path, compression: str) -> list[str]:
    """Return the command that exports to a new destination, with a state of its own."""
    program = str(Path(sys.executable).parent / "cefline")
    places = [str(source), str(folder / "out"), "--state", str(folder / "state")]
    return [program, "export", *places, "--compression", compression, "--quiet", "--json"]


def duckdb(source: Path, folder: Path, compression: str) -> list[str]:
    """Return the command that makes one file in SQL, on as many threads as there are CPUs."""
    (folder / "out").mkdir()
    program = [sys.executable, str(HERE / "duckdb_cef.py")]
    out = folder / "out" / "events.cef"
    threads = str(len(os.sched_getaffinity(0)))
    return [*program, str(source), str(out), "--compression", compression, "--threads", threads]


TOOLS: dict[str, Command] = {"cefline": cefline, "duckdb": duckdb}


def timed(command: list[str]) -> tuple[float, float, int]:
    """Run a command and return its wall seconds, CPU seconds and peak memory.

    The system takes this process's own memory for the least that a child's peak can be, so what
    needs large libraries is done `apart`.
    """
    with tempfile.TemporaryFile() as said:
        began = time.perf_counter()
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said)
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - began
        child.returncode = os.waitstatus_to_exitcode(status)  # reaped here, not by subprocess
        if child.returncode:
            said.seek(0)
            text = said.read().decode(errors="replace")
            raise SystemExit(f"{' '.join(command)}\nended with {child.returncode}:\n{text}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def apart(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *args, **kwargs).result()


def opened(path: Path, compression: str) -> BinaryIO:
    """Open a file of CEF text for reading its text."""
    if compression == "gzip":
        from isal import igzip

        file = igzip.open(path, "rb")  # type: ignore[no-untyped-call]  # isal types only its rest
        return cast("BinaryIO", file)  # by its mode
    if compression == "zstd":
        import pyarrow as pa

        return cast("BinaryIO", pa.input_stream(str(path), compression="zstd"))  # untyped
    return path.open("rb")


def chunks(path: Path, compression: str) -> Iterator[bytes]:
    """Yield a file's text in bounded pieces."""
    with opened(path, compression) as file:
        while chunk := file.read(CHUNK):
            yield chunk


def tally(folder: Path, compression: str) -> tuple[int, int, int]:
    """Return the lines, text bytes and stored bytes of a folder's files."""
    lines = size = stored = 0
    for path in folder.rglob("*"):
        if path.is_file():
            stored += path.stat().st_size
            for chunk in chunks(path, compression):
                lines += chunk.count(b"\n")
                size += len(chunk)
    return lines, size, stored


def measure(tool: str, source: Path, compression: str, events: int) -> Run:
    """Run one way once, and read back what it wrote.

    Raises:
        SystemExit: the process failed, or its output does not hold each event on one line.
    """
    with tempfile.TemporaryDirectory() as name:
        wall, cpu, peak = timed(TOOLS[tool](source, Path(name), compression))
        lines, size, stored = apart(tally, Path(name) / "out", compression)
    if lines != events:
        raise SystemExit(f"{tool} {compression}: {lines} lines of {events} events in {source}")
    return Run(tool, compression, wall, cpu, peak, lines, size, stored)


def count(source: Path) -> int:
    """Count a source's events."""
    if source.suffix == ".parquet":
        import pyarrow.parquet as pq

        return int(pq.read_metadata(source).num_rows)
    with source.open("rb") as file:
        return sum(1 for line in file if line.strip())


def warm(source: Path) -> None:
    """Read a source once, so that no way pays for the disk alone."""
    with source.open("rb") as file:
        while file.read(CHUNK):
            pass


def best(runs: list[Run]) -> list[Run]:
    """Return the quickest run of each way, in the order of the first round."""
    quickest: dict[tuple[str, str], Run] = {}
    for run in runs:
        way = run.tool, run.compression
        if way not in quickest or run.wall_seconds < quickest[way].wall_seconds:
            quickest[way] = run
    return list(quickest.values())


def row(run: Run, walls: dict[str, float]) -> tuple[str, ...]:
    """Return a run's cells; `walls` are cefline's by compression."""
    ours = walls.get(run.compression)
    return (
        f"{run.tool} {run.compression}",
        f"{run.wall_seconds:.2f}",
        f"{run.cpu_seconds:.2f}",
        f"{run.peak_bytes / MIB:.0f}",
        f"{run.text_bytes / MB / run.wall_seconds:.0f}",
        f"{run.stored_bytes / MB:.1f}",
        f"{run.wall_seconds / ours:.2f}" if ours else "-",
    )


def table(runs: list[Run]) -> str:
    """Return the runs as a Markdown table."""
    walls = {run.compression: run.wall_seconds for run in runs if run.tool == "cefline"}
    rows = [HEAD, ("---",) + ("---:",) * (len(HEAD) - 1), *(row(run, walls) for run in runs)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def machine() -> dict[str, str]:
    """Return what the numbers depend on."""
    return {
        "cpus": str(len(os.sched_getaffinity(0))),
        "python": platform.python_version(),
        **{name: _version(name) for name in ("cefline", "polars", "pyarrow", "isal", "duckdb")},
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def generated(folder: Path, events: int) -> Path:
    """Make a larger sample timeline, in a process of its own to keep this one small."""
    command = [sys.executable, str(SAMPLE), str(folder), "--events", str(events)]
    subprocess.run(command, check=True)
    return folder / "sample.parquet"


def compare(source: Path, tools: list[str], rounds: int) -> list[Run]:
    """Run every way in every round, and return the quickest run of each."""
    events = apart(count, source)
    warm(source)
    ways = [(tool, compression) for compression in COMPRESSIONS for tool in tools]
    runs = []
    for number in range(rounds):
        for tool, compression in ways:
            runs.append(measure(tool, source, compression, events))
            wall = runs[-1].wall_seconds
            print(f"round {number + 1}: {tool} {compression} {wall:.2f} s", file=sys.stderr)
    return best(runs)


def main() -> None:
    """Compare the ways that the command line asks for, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("source", type=Path, nargs="?", help="Parquet or NDJSON")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=TOOLS)
    parser.add_argument("--events", type=int, default=200_000, help="where there is no source")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    tools = [args.only] if args.only else list(TOOLS)
    with tempfile.TemporaryDirectory() as name:
        source = args.source or (REAL if REAL.exists() else generated(Path(name), args.events))
        runs = compare(source, tools, args.rounds)
        about = {"source": source.name, "source_bytes": source.stat().st_size, **machine()}
    print(", ".join(f"{key} {value}" for key, value in about.items()))
    print(f"{runs[0].events:,} events, {runs[0].text_bytes / MB:,.0f} MB of CEF text\n")
    print(table(runs))
    if args.json:
        args.json.write_text(json.dumps({**about, "runs": [asdict(run) for run in runs]}) + "\n")


if __name__ == "__main__":
    main()
