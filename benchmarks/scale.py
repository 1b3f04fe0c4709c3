"""How cost grows with size: timelines of 1, 2, 4 and 8 GB of text, and an estimate for a cluster.

    python benchmarks/scale.py                                 # some 20 minutes and 15 GB of disk
    python benchmarks/scale.py --gigabytes 1 2 --keep inputs
    python benchmarks/scale.py --estimate --cpu-seconds 6 --stored-mb 90 --latency-ms 60

The timeline of a million events of `inputs.py` is made once; larger ones repeat its row groups,
each time with other ids. A gigabyte is 10^9 bytes of uncompressed CEF text.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from inputs import EVENTS, made, warm
from process import Command, Spent, apart, timed
from table import markdown

GB = 10**9
PART = 64 << 20
"""Bytes of text of a part."""


class Made(NamedTuple):
    """What a run wrote, by its manifest."""

    events: int
    parts: int
    text_bytes: int
    stored_bytes: int


@dataclass(frozen=True, slots=True)
class Cluster:
    """What the estimate takes for granted. Prices are in US dollars; look up your own."""

    executors: int
    cores: int
    """Of an executor."""
    cpu_seconds: float
    """To convert a GB of text on one core."""
    stored_mb: float
    """Compressed, for a GB of text."""
    latency_ms: float
    """Of a small PUT, or of the first byte of a large one."""
    mb_per_second: float
    """Of one PUT that is under way."""
    round_trips: int
    """Of the publisher for a part, one after the other: 2, or 1 with `readers = "keep"`."""
    core_hour: float
    thousand_puts: float
    thousand_gets: float


def repeat(base: Path, path: Path, events: int) -> None:
    """Write so many events: those of a Parquet file again and again, each time with other ids."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    unfinished, left = path.with_suffix(".part"), events
    with pq.ParquetFile(base) as source, pq.ParquetWriter(unfinished, source.schema_arrow) as file:
        for again in itertools.count():
            for group in range(source.num_row_groups):
                table = source.read_row_group(group)[:left]
                place = table.column_names.index("eventId")
                ids = pc.binary_join_element_wise(table["eventId"], f"{again:03d}", "")
                table = table.set_column(place, table.schema.field(place), ids.cast(pa.string()))
                file.write_table(table)
                left -= table.num_rows
                if not left:
                    unfinished.rename(path)
                    return


def delivered(path: Path, folder: Path) -> tuple[Spent, Made]:
    """Deliver a timeline to a fresh folder; return what it took, and what was written."""
    warm(path)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        dest, state = Path(name) / "out", Path(name) / "state"
        command: Command = [str(Path(sys.executable).parent / "cefline"), "export", "--quiet"]
        spent = timed([[*command, "--state", str(state), str(path), str(dest)]])
        (manifest,) = (json.loads(p.read_bytes()) for p in (state / "manifests").glob("*.json"))
    parts = manifest["parts"]
    text, stored = (sum(p[n] for p in parts) for n in ("text_bytes", "stored_bytes"))
    return spent, Made(manifest["events_delivered"], len(parts), text, stored)


def measured(gigabytes: list[float], folder: Path, kept: Path) -> list[tuple[Spent, Made]]:
    """Deliver timelines of so much text each; those that are there already are not made again."""
    base = made("10x.parquet", kept, EVENTS).path
    _, first = delivered(base, folder)
    found = []
    for size in gigabytes:
        events = round(first.events * size * GB / first.text_bytes)
        path = kept / f"scale-{events}.parquet"
        if not path.exists():
            print(f"making {path.name}", file=sys.stderr)
            apart(repeat, base, path, events)
        spent, written = delivered(path, folder)
        if written.events != events:
            raise SystemExit(f"{path.name}: {written.events} of {events} events were delivered")
        found.append((spent, written))
    return found


def growth(found: list[tuple[Spent, Made]]) -> str:
    """Return the table of what was measured."""
    head = ("text, GB", "events", "parts", "stored MB", "wall s", "CPU s", "peak MiB", "CPU s a GB")
    rows = [
        (
            f"{wrote.text_bytes / GB:.2f}",
            f"{wrote.events:,}",
            f"{wrote.parts:,}",
            f"{wrote.stored_bytes / 1e6:,.0f}",
            f"{spent.wall_seconds:.1f}",
            f"{spent.cpu_seconds:.1f}",
            f"{spent.peak_bytes / 2**20:,.0f}",
            f"{spent.cpu_seconds * GB / wrote.text_bytes:.2f}",
        )
        for spent, wrote in found
    ]
    return markdown([head, *rows])


def estimate(gigabytes: list[float], cluster: Cluster) -> str:
    """Return the table of what a day's text takes on a cluster."""
    head = (
        *("text a day, GB", "parts", "core hours", "all executors convert in", "staging, PUT/s"),
        *("one publishes in", "PUTs", "compute $", "requests $"),
    )
    return markdown([head, *(_estimated(size, cluster) for size in gigabytes)])


def _estimated(size: float, of: Cluster) -> tuple[str, ...]:
    cores = of.executors * of.cores
    parts = size * GB / PART
    convert = size * of.cpu_seconds / cores
    stored = size * of.stored_mb / parts
    publish = parts * (of.round_trips * of.latency_ms / 1000 + stored / of.mb_per_second)
    puts, gets = 3 * parts, 2 * parts  # staged, noted and put out; source and staged part read
    hours = size * of.cpu_seconds / 3600
    requests = puts * of.thousand_puts / 1000 + gets * of.thousand_gets / 1000
    return (
        f"{size:,.0f}",
        f"{parts:,.0f}",
        f"{hours:,.1f}",
        _time(convert),
        f"{parts / convert:,.0f}",
        _time(publish),
        f"{puts:,.0f}",
        f"{hours * of.core_hour:,.2f}",
        f"{requests:,.2f}",
    )


def _time(seconds: float) -> str:
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:,.1f} s"


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--gigabytes", nargs="+", type=float, default=[1, 2, 4, 8])
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where inputs are kept")
    parser.add_argument("--estimate", action="store_true", help="the estimate alone")
    parser.add_argument("--days", nargs="+", type=float, default=[1, 10, 100, 1000, 10_000])
    parser.add_argument("--executors", type=int, default=100)
    parser.add_argument("--cores", type=int, default=4, help="of an executor")
    parser.add_argument("--cpu-seconds", type=float, help="for a GB of text; else as measured")
    parser.add_argument("--stored-mb", type=float, help="for a GB of text; else as measured")
    parser.add_argument("--latency-ms", type=float, default=45)
    parser.add_argument("--mb-per-second", type=float, default=80, help="of one PUT")
    parser.add_argument("--round-trips", type=int, default=2)
    parser.add_argument("--core-hour", type=float, default=0.05, help="in $")
    parser.add_argument("--thousand-puts", type=float, default=0.005, help="in $")
    parser.add_argument("--thousand-gets", type=float, default=0.0004, help="in $")
    return parser.parse_args()


def main() -> None:
    """Measure, and estimate from what was measured."""
    args = arguments()
    cpu_seconds, stored_mb = args.cpu_seconds, args.stored_mb
    if not args.estimate:
        with tempfile.TemporaryDirectory(prefix="cefline-scale-") as name:
            kept = args.keep or Path(name)
            kept.mkdir(parents=True, exist_ok=True)
            found = measured(args.gigabytes, Path(name), kept)
        print(growth(found), end="\n\n")
        spent, wrote = found[-1]
        cpu_seconds = cpu_seconds or spent.cpu_seconds * GB / wrote.text_bytes
        stored_mb = stored_mb or wrote.stored_bytes / 1e6 * GB / wrote.text_bytes
    if not (cpu_seconds and stored_mb):
        raise SystemExit("--estimate needs --cpu-seconds and --stored-mb")
    names = ("executors", "cores", "latency_ms", "mb_per_second", "round_trips")
    prices = ("core_hour", "thousand_puts", "thousand_gets")
    taken = {name: getattr(args, name) for name in (*names, *prices)}
    cluster = Cluster(cpu_seconds=cpu_seconds, stored_mb=stored_mb, **taken)
    print(estimate(args.days, cluster))


if __name__ == "__main__":
    main()
