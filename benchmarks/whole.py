"""Whole processes side by side: cefline and its peers making the same CEF text from one source.

Each way is a fresh process with a fresh destination; rounds go over all ways in turn, so that what
else the machine does hits all of them. A time is believed only if its output holds every event on
one line; and what a way wrote is compared with cefline's, once.

Run as: `python benchmarks/whole.py [--inputs 1x real.parquet] [--only cefline duckdb]
[--rounds 5] [--cores 1] [--keep FOLDER] [--json FILE]`
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from checked import verdict, write_index
from inputs import EVENTS, Input, count, made, names, warm
from process import apart, on, timed
from table import MB, Result, Run, as_json, machine, notes, result, scaling, table
from text import sizes
from ways import ONE_CORE, WAYS, Job, Way, available

if TYPE_CHECKING:
    from checked import Verdict

CEFLINE = WAYS[0]


@dataclass(frozen=True, slots=True)
class Reference:
    """What cefline made of a source, once, before anything is timed."""

    events: int
    text: Path
    index: Path


@dataclass(slots=True)
class Measured:
    """What is known of a source's ways so far."""

    source: Input
    events: int
    runs: dict[str, list[Run]] = field(default_factory=lambda: defaultdict(list))
    verdicts: dict[str, Verdict] = field(default_factory=dict)

    def results(self) -> list[Result]:
        """Return what the ways come to, in the order in which they were taken."""
        return [result(runs, self.verdicts[way]) for way, runs in self.runs.items()]


def reference(source: Input, folder: Path) -> Reference:
    """Let cefline make the plain text that every way's output is compared with.

    Both forms of a timeline have one, made from Parquet.
    """
    path = source.parquet or source.path
    found = Reference(
        apart(count, path), folder / f"{path.name}.cef", folder / f"{path.name}.index"
    )
    if not found.text.exists():
        print(f"making the text of {path.name}", file=sys.stderr)
        plain = next(way for way in WAYS if way.name == "cefline none")
        with tempfile.TemporaryDirectory(dir=folder) as name, on(None) as cores:
            timed(plain.commands(Job(path, Path(name), cores, found.text)))
            joined(Path(name) / "out", found.text)
        apart(write_index, found.text, "none", found.index)
    return found


def joined(folder: Path, out: Path) -> None:
    """Join the files of a folder to one."""
    with out.open("wb") as whole:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            with path.open("rb") as part:
                shutil.copyfileobj(part, whole, MB)


def measure(way: Way, measured: Measured, made_of: Reference, folder: Path) -> Run:
    """Take a way once, and read back what it wrote.

    Raises:
        SystemExit: a process failed, or the output does not hold each event on one line.
    """
    source, events = measured.source, measured.events
    with tempfile.TemporaryDirectory(dir=folder) as name:
        with on(way.cores) as cores:
            commands = way.commands(Job(source.path, Path(name), cores, made_of.text))
            spent = timed(commands)
        out = Path(name) / "out"
        found = apart(sizes, out, way.compression)
        if way.whole and found.lines != events:
            raise SystemExit(f"{way.name}: {found.lines} lines of {events} events in {source.name}")
        if way.name not in measured.verdicts:
            of = (out, way.compression, made_of.index, made_of.text)
            measured.verdicts[way.name] = apart(verdict, *of)
    return Run(source.name, way.name, way.compression, *spent, events, *found)


def compare(source: Input, ways: list[Way], rounds: int, folder: Path) -> Measured:
    """Take every way in every round, the slow ones in the first."""
    made_of = reference(source, folder)
    measured = Measured(source, made_of.events)
    warm(source.path)
    for number in range(rounds):
        for way in ways:
            if source.format in way.formats and not (way.slow and number):
                run = measure(way, measured, made_of, folder)
                measured.runs[way.name].append(run)
                said = f"{source.name}, round {number + 1}: {way.name} {run.wall_seconds:.2f} s"
                print(said, file=sys.stderr, flush=True)
    return measured


def report(measured: Measured) -> str:
    """Return the section of a source."""
    every = measured.results()
    found = [r for r in every if r.way != ONE_CORE.name]
    text = next((r.text_bytes for r in every if r.way.startswith("cefline")), 0)
    size = measured.source.path.stat().st_size / MB
    about = f"{measured.events:,} events, {size:,.0f} MB"
    about += f", {text / MB:,.0f} MB of CEF text" if text else ""
    said = "".join(f"\n- {note}" for note in notes(found))
    tabled = f"\n\n{table(found)}" if found else ""
    return f"### {measured.source.name}: {about}{tabled}\n{said}".rstrip() + "\n"


def scaled(every: list[Measured], cores: int) -> str:
    """Return the section on one core against all, where both were measured."""
    walls = {}
    for measured in every:
        found = {r.way: r.wall_seconds for r in measured.results()}
        if CEFLINE.name in found and ONE_CORE.name in found:
            walls[measured.source.name] = (found[ONE_CORE.name], found[CEFLINE.name])
    head = f"### {CEFLINE.name} on 1 and {cores} cores"
    return f"{head}\n\n{scaling(walls, cores)}\n" if walls else ""


def heading(about: dict[str, str], rounds: int) -> str:
    """Return the line on machine and versions."""
    day = datetime.now(UTC).strftime("%d %B %Y").lstrip("0")
    of = ", ".join(f"{name} {value}" for name, value in about.items())
    return f"{day}, medians of {rounds} rounds: {of}.\n"


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--inputs", nargs="+", default=[], metavar="NAME", help="or how it begins")
    parser.add_argument("--only", nargs="+", default=[], metavar="WAY", help="or how it begins")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--events", type=int, default=EVENTS, help="of the timeline 1x")
    parser.add_argument("--cores", type=int, help="keep everything on so many")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where inputs are kept")
    parser.add_argument("--json", type=Path, metavar="FILE")
    return parser.parse_args()


def chosen(asked: list[str]) -> list[str]:
    """Return the names of the sources that are meant; what is no name is a path."""
    if not asked:
        return names()
    return [n for a in asked for n in ([m for m in names() if m.startswith(a)] or [a])]


def run(args: argparse.Namespace, cores: int, folder: Path) -> None:
    """Compare what the command line asks for, and print the tables."""
    ways, left_out = available(args.only, cores)
    for note in left_out:
        print(note, file=sys.stderr)
    about = machine(cores)
    print(heading(about, args.rounds))
    kept = args.keep or folder
    kept.mkdir(parents=True, exist_ok=True)
    every = []
    for name in chosen(args.inputs):
        every.append(compare(made(name, kept, args.events), ways, args.rounds, folder))
        print(report(every[-1]), flush=True)
    print(scaled(every, cores))
    if args.json:
        found = {m.source.name: [as_json(r) for r in m.results()] for m in every}
        runs = [asdict(r) for m in every for of_way in m.runs.values() for r in of_way]
        said = {**about, "rounds": args.rounds, "results": found, "runs": runs}
        args.json.write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Measure on the cores and in the folder that the command line allows."""
    args = arguments()
    with on(args.cores) as cores, tempfile.TemporaryDirectory(prefix="cefline-bench-") as name:
        run(args, cores, Path(name))


if __name__ == "__main__":
    main()
