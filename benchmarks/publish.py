"""Publishing to S3 beside plain boto3, and whether fetching overlaps it, on an endpoint of our own.

The endpoint answers each request late, as S3 does, and discards what is put. What is compared is
the time from the first part's arrival there to the last part's answer, not the whole of a run.

Run as: `python benchmarks/publish.py [SOURCE.parquet] [--rounds 5] [--keep] [--json FILE]`
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

import overlap
from inputs import REAL, made
from service import BUCKET, DEST, HERE, STATE, entries, export, parts, run, serving

if TYPE_CHECKING:
    from collections.abc import Sequence

    from endpoint import Entry

MB = 1_000_000
BAR = 1.2
"""How much longer than boto3 publishing may take."""


@dataclass(frozen=True, slots=True)
class Publishing:
    """What the rounds gave."""

    parts: int
    stored_bytes: int
    cefline_seconds: list[float]
    keep_seconds: list[float]
    """With `--readers keep`; none where that was not asked for."""
    boto3_seconds: list[float]
    in_span: dict[str, int]
    """Requests by kind while the last round's parts went out."""
    in_run: dict[str, int]

    @property
    def ways(self) -> dict[str, float]:
        """Return the seconds of each way."""
        kept = {"cefline --readers keep": self.keep_seconds} if self.keep_seconds else {}
        ways = {"cefline": self.cefline_seconds, **kept, "boto3": self.boto3_seconds}
        return {way: median(seconds) for way, seconds in ways.items()}

    @property
    def ratios(self) -> dict[str, float]:
        """Return how much longer each way takes than boto3."""
        return {way: seconds / self.ways["boto3"] for way, seconds in self.ways.items()}


def kind(entry: Entry) -> str:
    """Return what a request does, and to what."""
    where = entry.key.split("/")
    area = "/".join(where[:2]) if where[0] == "state" and len(where) > 2 else where[0]
    return f"{entry.method} {'a part' if area == 'out' and entry.method == 'PUT' else area}"


def span(log: Sequence[Entry]) -> tuple[float, float]:
    """Return when the first part came in, and when the last one was answered."""
    out = parts(log)
    return out[0].began, max(part.ended for part in out)


class Part(NamedTuple):
    """A part as it was staged."""

    path: Path
    text_blake3: str
    stored_sha256: str


def staged(source: Path, folder: Path, part_size: str) -> list[Part]:
    """Return the parts that a source gives, in key order."""
    export(str(source), str(folder / "out"), str(folder / "state"), part_size)
    (manifest,) = (folder / "state" / "manifests").iterdir()
    return [
        Part(folder / "out" / part["key"], part["text_blake3"], part["stored_sha256"])
        for part in json.loads(manifest.read_bytes())["parts"]
    ]


def by_cefline(
    source: Path, folder: Path, part_size: str, latency: float, *options: str
) -> list[Entry]:
    """Deliver a source, and return the endpoint's log."""
    with serving(folder / "log", latency) as endpoint:
        export(str(source), DEST, STATE, part_size, endpoint, *options)
    return entries(folder / "log")


def by_boto3(pairs: Sequence[tuple[str, Path]], folder: Path, latency: float) -> list[Entry]:
    """Put files under their keys, and return the endpoint's log."""
    listed = folder / "listed.json"
    listed.write_text(json.dumps([(key, str(path)) for key, path in pairs]))
    command = [sys.executable, str(HERE / "boto3_put.py"), BUCKET, str(listed)]
    with serving(folder / "log", latency) as endpoint:
        run(command, endpoint)
    return entries(folder / "log")


def paired(files: Sequence[Part], out: Sequence[Entry]) -> list[tuple[str, Path]]:
    """Return key and file of the parts that went out.

    Raises:
        SystemExit: these are not the parts that were staged.
    """
    if [part.about["cefline-text-blake3"] for part in out] != [part.text_blake3 for part in files]:
        raise SystemExit("the parts that went out are not those that were staged")
    other = sum(part.sha256 != file.stored_sha256 for part, file in zip(out, files, strict=True))
    if other:
        print(f"{other} parts of {len(out)} were compressed otherwise than staged", file=sys.stderr)
    return [(part.key, file.path) for part, file in zip(out, files, strict=True)]


def check(files: Sequence[Part], pairs: Sequence[tuple[str, Path]], out: Sequence[Entry]) -> None:
    """Make sure of what boto3 put out.

    Raises:
        SystemExit: it is something else.
    """
    told = [(key, file.stored_sha256) for (key, _), file in zip(pairs, files, strict=True)]
    if [(part.key, part.sha256) for part in out] != told:
        raise SystemExit("boto3 put out other objects")


def seconds(log: Sequence[Entry]) -> float:
    """Return how long the parts took."""
    began, ended = span(log)
    return ended - began


def compare(
    source: Path, part_size: str, latency: float, rounds: int, *, keep: bool = False
) -> Publishing:
    """Let cefline and boto3 put the same objects in turn; with `keep` cefline in both its ways."""
    ours, kept, theirs = [], list[float](), []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = staged(source, folder, part_size)
        stored = sum(part.path.stat().st_size for part in files)
        for number in range(rounds):
            log = by_cefline(source, folder, part_size, latency)
            pairs = paired(files, parts(log))
            peer = by_boto3(pairs, folder, latency)
            check(files, pairs, parts(peer))
            ours.append(seconds(log))
            theirs.append(seconds(peer))
            said = f"round {number + 1}: cefline {ours[-1]:.2f} s, boto3 {theirs[-1]:.2f} s"
            if keep:
                other = by_cefline(source, folder, part_size, latency, "--readers", "keep")
                paired(files, parts(other))
                kept.append(seconds(other))
                said += f", cefline --readers keep {kept[-1]:.2f} s"
            print(said, file=sys.stderr)
    began, ended = span(log)
    within = Counter(kind(entry) for entry in log if began <= entry.began < ended)
    whole = Counter(map(kind, log))
    return Publishing(len(files), stored, ours, kept, theirs, dict(within), dict(whole))


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table, whose numbers are to the right."""
    lines = [head, ("---", *("---:" for _ in head[1:])), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def shown(found: Publishing) -> str:
    """Return the two tables of publishing."""
    head = ("way", "parts", "MB", "span s", "ms a part", "ratio")
    rows = [
        (
            way,
            str(found.parts),
            f"{found.stored_bytes / MB:.1f}",
            f"{seconds:.2f}",
            f"{seconds / found.parts * 1000:.0f}",
            f"{found.ratios[way]:.2f}",
        )
        for way, seconds in found.ways.items()
    ]
    asked = [
        (name, str(inside), f"{inside / found.parts:.2f}", str(count))
        for name, count in sorted(found.in_run.items())
        for inside in [found.in_span.get(name, 0)]
    ]
    told = (
        f"{'held' if ratio <= BAR else 'missed'} by {way}"
        for way, ratio in found.ratios.items()
        if way != "boto3"
    )
    verdict = f"The bar of {BAR} is {', and '.join(told)}."
    requests = table(("request", "in the span", "a part", "in the run"), asked)
    return f"{table(head, rows)}\n\n{verdict}\n\n{requests}"


def main() -> None:
    """Measure what the command line asks for, and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("source", type=Path, nargs="?", help="Parquet")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--latency", type=float, default=30, help="ms to each answer")
    parser.add_argument("--part-size", help="default: 64MiB, and 2MiB of the sample timeline")
    parser.add_argument("--events", type=int, default=200_000, help="where there is no source")
    parser.add_argument("--sources", type=int, default=4, help="so many lie on S3, for overlap")
    parser.add_argument("--rate", type=float, default=20, help="MB/s of these together")
    parser.add_argument("--only", choices=("publishing", "overlap"))
    parser.add_argument("--keep", action="store_true", help="measure --readers keep as well")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    names = ("cefline", "s3fs", "aiobotocore", "boto3", "botocore")
    about = {"latency_ms": args.latency, **{name: version(name) for name in names}}
    results: dict[str, object] = {}
    print(", ".join(f"{key} {value}" for key, value in about.items()))
    with tempfile.TemporaryDirectory() as name:
        at_hand = args.source or (REAL if REAL.exists() else None)
        source = at_hand or made("1x.parquet", Path(name), args.events).path
        part_size, latency = args.part_size or ("64MiB" if at_hand else "2MiB"), args.latency / 1000
        print(f"{source.name}, parts of {part_size}")
        if args.only != "overlap":
            found = compare(source, part_size, latency, args.rounds, keep=args.keep)
            results["publishing"] = {**asdict(found), "ratios": found.ratios}
            print(f"\n{shown(found)}")
        if args.only != "publishing":
            seen = overlap.measure(source, args.sources, part_size, latency, args.rate)
            results["overlap"] = asdict(seen)
            print(f"\n{overlap.shown(seen)}")
    if args.json:
        args.json.write_text(json.dumps({**about, "source": source.name, **results}) + "\n")


if __name__ == "__main__":
    main()
