"""The tables, as Markdown."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from checked import Verdict

MIB = 1 << 20
MB = 1_000_000
HEAD = (
    "way",
    "wall s",
    "best s",
    "CPU s",
    "peak MiB",
    "MB/s of text",
    "stored MB",
    "wrong events",
    "runs",
    "wall / cefline's",
)
PACKAGES = ("cefline", "polars", "pyarrow", "isal", "duckdb", "tenzir", "orjson")


@dataclass(frozen=True, slots=True)
class Run:
    """One way that was taken once."""

    source: str
    way: str
    compression: str
    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int
    events: int
    lines: int
    text_bytes: int
    stored_bytes: int


@dataclass(frozen=True, slots=True)
class Result:
    """What the runs of a way come to."""

    way: str
    compression: str
    wall_seconds: float
    """The median, as those of CPU and memory."""
    best_seconds: float
    cpu_seconds: float
    peak_bytes: float
    events: int
    lines: int
    text_bytes: int
    stored_bytes: int
    runs: int
    verdict: Verdict


def result(runs: Sequence[Run], verdict: Verdict) -> Result:
    """Return what the runs of one way come to."""
    last = runs[-1]
    return Result(
        last.way,
        last.compression,
        median(run.wall_seconds for run in runs),
        min(run.wall_seconds for run in runs),
        median(run.cpu_seconds for run in runs),
        median(run.peak_bytes for run in runs),
        last.events,
        last.lines,
        last.text_bytes,
        last.stored_bytes,
        len(runs),
        verdict,
    )


def _row(found: Result, walls: dict[str, float]) -> tuple[str, ...]:
    ours = walls.get(found.compression)
    return (
        found.way.replace("|", "\\|"),
        f"{found.wall_seconds:.2f}",
        f"{found.best_seconds:.2f}",
        f"{found.cpu_seconds:.2f}",
        f"{found.peak_bytes / MIB:.0f}",
        f"{found.text_bytes / MB / found.wall_seconds:.0f}",
        f"{found.stored_bytes / MB:.1f}",
        _wrong(found),
        f"{found.runs}",
        f"{found.wall_seconds / ours:.2f}" if ours else "-",
    )


def _wrong(found: Result) -> str:
    share = found.verdict.differ * found.verdict.share / max(found.verdict.compared, 1)
    if found.verdict.differ == 0:
        return "0"
    return f"{share:.2%}" if share else "0 of other bytes"


def table(results: Iterable[Result]) -> str:
    """Return the results of one source as a table; ratios are to cefline's own compression."""
    found = list(results)
    walls = {r.compression: r.wall_seconds for r in found if r.way == f"cefline {r.compression}"}
    return markdown([HEAD, *(_row(r, walls) for r in found)])


def scaling(pairs: dict[str, tuple[float, float]], cores: int) -> str:
    """Return the table of cefline on one core and on all, by source."""
    head = ("source", "1 core, wall s", f"{cores} cores, wall s", "times as fast", "of the ideal")
    rows = [
        (name, f"{one:.2f}", f"{more:.2f}", f"{one / more:.2f}", f"{one / more / cores:.0%}")
        for name, (one, more) in pairs.items()
    ]
    return markdown([head, *rows])


def markdown(rows: Sequence[tuple[str, ...]]) -> str:
    """Return a Markdown table of a head and rows."""
    lines = [rows[0], ("---",) + ("---:",) * (len(rows[0]) - 1), *rows[1:]]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def notes(results: Iterable[Result]) -> list[str]:
    """Return what the table has no column for; ways of which the same is to be said together."""
    ways: dict[str, list[str]] = {}
    for found in results:
        for said in _notes(found):
            ways.setdefault(said, []).append(found.way)
    return [f"{', '.join(names)}: {said}" for said, names in ways.items()]


def _notes(found: Result) -> Iterator[str]:
    compared, differ, missing, examined, wrong = found.verdict
    if compared != found.events:
        yield f"compared by their ids, of which {compared:,} of {found.events:,} events have one"
    if found.lines != found.events:
        yield f"{found.lines:,} lines of {found.events:,} events"
    if differ:
        yield (
            f"{differ:,} events whose line is not the same bytes, {missing:,} of them missing; "
            f"of {examined:,} that were parsed {wrong:,} have other fields"
        )


def machine(cores: int) -> dict[str, str]:
    """Return what the numbers depend on."""
    pandas = "in the environment" if find_spec("pandas") else "not in the environment"
    return {
        "cores": f"{cores} of {_processor()}",
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "memory": f"{_memory() / (1 << 30):.0f} GiB",
        "python": platform.python_version(),
        **{name: _version(name) for name in PACKAGES},
        "pandas": pandas,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((x.partition(": ")[2] for x in lines if x.startswith("model name")), "unknown")


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def as_json(found: Result) -> dict[str, object]:
    """Return a result as JSON takes it."""
    return {**asdict(found), "verdict": found.verdict._asdict()}
