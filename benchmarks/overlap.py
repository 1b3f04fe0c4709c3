"""Whether a run fetches its next source while it converts and publishes the one before.

The sources lie on the endpoint, which has a line of limited bandwidth; its log tells what a run
did when.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from service import BUCKET, DEST, STATE, entries, export, parts, serving

if TYPE_CHECKING:
    from collections.abc import Sequence

    from endpoint import Entry


@dataclass(frozen=True, slots=True)
class Timeline:
    """What became of a source, in seconds from the start of the run."""

    name: str
    first_get: float
    last_get: float
    """When its last byte was sent."""
    planned: float
    """When its plan came in: it is converted then, and staged."""
    first_part: float
    last_part: float
    done: float
    """When its manifest was there."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """One run over several sources."""

    rate: float | None
    """MB/s of all sources together."""
    wall_seconds: float
    sources: list[Timeline]

    @property
    def phases(self) -> dict[str, float]:
        """Return the seconds of each phase, over all sources.

        Converting counts from the last byte, or from the end of the source before where that is
        later: a source may wait for its turn.
        """
        ends = [0.0, *(one.done for one in self.sources)]
        free = [max(one.last_get, end) for one, end in zip(self.sources, ends, strict=False)]
        return {
            "fetching": sum(one.last_get - one.first_get for one in self.sources),
            "converting": sum(o.planned - f for o, f in zip(self.sources, free, strict=True)),
            "publishing": sum(one.done - one.planned for one in self.sources),
        }

    @property
    def early(self) -> float:
        """Return the seconds of fetching in which the source before was worked on."""
        return sum(
            max(0.0, min(one.last_get, before.done) - max(one.first_get, before.last_get))
            for before, one in zip(self.sources, self.sources[1:], strict=False)
        )


def split(source: Path, count: int, folder: Path) -> list[Path]:
    """Cut a timeline into so many of about the same number of events."""
    table = pq.read_table(source)
    size = -(-table.num_rows // count)
    paths = [folder / f"{number + 1:02d}.parquet" for number in range(count)]
    for number, path in enumerate(paths):
        pq.write_table(table.slice(number * size, size), path, row_group_size=50_000)
    return paths


def measure(source: Path, count: int, part_size: str, latency: float, rate: float) -> Overlap:
    """Deliver the pieces of a source from the endpoint in one run."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        keys = {f"in/{path.name}": path for path in split(source, count, folder)}
        with serving(folder / "log", latency, rate, keys) as endpoint:
            began = time.monotonic()
            report = export(f"s3://{BUCKET}/in/", DEST, STATE, part_size, endpoint)
            wall = time.monotonic() - began
        log = entries(folder / "log")
    return Overlap(rate, wall, [timeline(said, log, began) for said in report["sources"]])


def timeline(said: dict[str, Any], log: Sequence[Entry], began: float) -> Timeline:
    """Return when what was done to a source, of which the report says so."""
    delivery, name = said["delivery"], said["url"].removeprefix(f"s3://{BUCKET}/")
    gets = [entry for entry in log if (entry.method, entry.key) == ("GET", name)]
    out = [part for part in parts(log) if part.about["cefline-delivery"] == delivery]
    puts = {entry.key: entry for entry in log if entry.method == "PUT"}
    plan = puts[f"state/plans/{delivery}-01.json"]
    times = (
        gets[0].began,
        max(entry.ended for entry in gets),
        plan.began,
        out[0].began,
        max(part.ended for part in out),
        puts[f"state/manifests/{delivery}.json"].ended,
    )
    return Timeline(name, *(moment - began for moment in times))


HEAD = ("source", "first GET", "last GET", "converted", "first part", "last part", "done")


def shown(found: Overlap) -> str:
    """Return the table of what was when, and what it comes to."""
    rows = [HEAD, ("---", *("---:" for _ in HEAD[1:]))]
    for one in found.sources:
        moments = (one.first_get, one.last_get, one.planned, one.first_part, one.last_part)
        rows.append((one.name, *(f"{moment:.2f}" for moment in (*moments, one.done))))
    lines = [f"| {' | '.join(cells)} |" for cells in rows]
    phases = found.phases
    told = " + ".join(f"{name} {seconds:.2f} s" for name, seconds in phases.items())
    fetched = phases["fetching"] - (found.sources[0].last_get - found.sources[0].first_get)
    sums = f"Wall {found.wall_seconds:.2f} s; {told} = {sum(phases.values()):.2f} s."
    early = f"{found.early:.2f} s overlap work on the source before."
    rest = f"Of {fetched:.2f} s of fetching all but the first source, {early}"
    return "\n".join((*lines, "", sums, rest))
