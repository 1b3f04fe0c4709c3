"""A run: each source goes the straight line from its bytes to published parts.

fetch -> read -> conform -> render -> pack -> stage -> plan -> turn -> publish -> manifest
"""

from __future__ import annotations

import logging
import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from cefline import __version__, deliver, s3
from cefline.convert import Converted, convert, converter, in_order, limits
from cefline.errors import (
    CeflineError,
    TooManyRejectsError,
    UsageError,
    of_system,
)
from cefline.pack import TEXT_FORMAT, pack
from cefline.places import found, stores
from cefline.progress import Progress, Silent
from cefline.read import (
    EXPANSION_FREE,
    Local,
    Source,
    check_unchanged,
    fetch,
    open_source,
)
from cefline.report import PartReport, Report, SourceReport, counted
from cefline.tally import Tally, check_rejects, tallied

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Executor

    import s3fs

    from cefline.config import Config

log = logging.getLogger("cefline")


@dataclass(frozen=True, slots=True)
class _Run:
    """What the sources of a run share."""

    config: Config
    dest: deliver.Store
    state: deliver.Store
    done: set[str]
    """Ids of the deliveries that are done."""
    connect: Callable[[], s3fs.S3FileSystem]
    pool: Executor
    threads: int
    progress: Progress
    dry_run: bool


def export(config: Config, *, progress: Progress | None = None, dry_run: bool = False) -> Report:
    """Deliver the sources of a config to its destination; one that fails stops no other.

    Raises:
        CeflineError: the run as a whole can't be carried out.
    """
    began = time.monotonic()
    if not config.sources or not config.dest:
        message = "there is no source" if config.dest else "there is no destination"
        raise UsageError(message, hint="cefline export SOURCE... DEST")
    connect = cache(partial(s3.connect, config.s3))
    sources, missing = found(config.sources, config.allowed_sources, connect)
    threads = config.threads or _cores()
    dest, state = stores(config, connect)
    if not dry_run:
        deliver.bind(state, dest.url, hive=config.hive)
    with ThreadPoolExecutor(threads) as pool:
        done = deliver.manifests(state)
        run = _Run(config, dest, state, done, connect, pool, threads, progress or Silent(), dry_run)
        reports = [_source(source, run) for source in sources]
    return Report((*missing, *reports), time.monotonic() - began, dry_run)


def _cores() -> int:
    """Return the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _source(source: Source, run: _Run) -> SourceReport:
    began = time.monotonic()
    run.progress.begin(source.url, source.size)
    report = SourceReport(source.url, "converted")
    try:
        with tempfile.TemporaryDirectory(prefix="cefline-") as folder:
            report = _deliver(source, run, Path(folder))
    except CeflineError as err:
        report = replace(report, outcome="failed", error=err.about(source.url))
    except OSError as err:
        report = replace(report, outcome="failed", error=of_system(err, source.url))
    finally:
        run.progress.end()
    log.info(
        "%s: %s, %d events in %d parts, %d rejected, %.1f s",
        source.url,
        report.said,
        report.tally.delivered,
        len(report.parts),
        report.tally.rejected,
        time.monotonic() - began,
    )
    return report


def _deliver(source: Source, run: _Run, folder: Path) -> SourceReport:
    """Take one source from its bytes to its manifest."""
    local = fetch(source, folder, run.connect)
    delivery = deliver.delivery_id(local.sha256)
    if delivery in run.done:
        return _known(source, delivery, run)
    if not run.dry_run:
        deliver.check_turn(run.state, delivery)
    config, notes = _planned(run, delivery)
    opened = open_source(local.path, source.url, limits(config))
    tally, rejects = Tally(), folder / "rejects.ndjson"
    report = SourceReport(
        source.url, "converted", opened.format, delivery, tally, opened.unknown, notes=notes
    )

    converted = partial(convert, converter=converter(config, opened.carried))  # conform, render
    batches = in_order(run.pool, converted, opened.chunks, run.threads)
    spill = partial(deliver.spill, path=rejects, source=source.url)
    most = max(source.size * config.max_expansion, EXPANSION_FREE)
    slices = tallied(_shown(batches, run), tally, spill, most)
    pieces = pack(slices, config.part_size, config.max_partitions)
    try:
        parts = deliver.stage(
            pieces, folder, config.compression, config.compression_level, run.pool
        )
        check_unchanged(local)
        check_rejects(tally, config.max_rejects)
    except TooManyRejectsError as err:
        report = _with_rejects(report, rejects, run)
        return replace(report, outcome="failed", error=err.about(source.url))
    report = _with_rejects(report, rejects, run)
    if run.dry_run:
        return replace(report, parts=tuple(_would_be(part, run) for part in parts))
    return _publish(local, parts, config, run, report)


def _with_rejects(report: SourceReport, rejects: Path, run: _Run) -> SourceReport:
    """Keep the rejects of a source in the state."""
    if run.dry_run:
        return report
    kept = deliver.keep_rejects(run.state, report.delivery, rejects)
    return replace(report, reject_objects=tuple(kept))


def _known(source: Source, delivery: str, run: _Run) -> SourceReport:
    """Return the report of a source whose bytes were delivered before, under whatever name."""
    url = deliver.manifest(run.state, delivery)["source"]["url"]
    notes = () if url == source.url else (f"the same bytes were delivered as {url}",)
    return SourceReport(source.url, "known", delivery=delivery, notes=notes)


def _planned(run: _Run, delivery: str) -> tuple[Config, tuple[str, ...]]:
    """Return the settings of the plan, where one was made: parts of it may be out already."""
    made = deliver.plan(run.state, delivery)
    if made is None or made["settings"] == run.config.planned():
        return run.config, ()
    own = run.config.planned()
    differ = sorted(name for name in own if made["settings"].get(name) != own[name])
    note = f"goes on as it was planned; settings of this run that differ: {', '.join(differ)}"
    return run.config.with_planned(made["settings"]), (note,)


def _shown(batches: Iterator[Converted], run: _Run) -> Iterator[Converted]:
    for batch in batches:
        run.progress.advance(batch.read, batch.text_bytes, batch.done)
        yield batch


def _would_be(part: deliver.Staged, run: _Run) -> PartReport:
    """Return a part as a dry run knows it: without the turn, its key has no name yet."""
    url = f"{run.dest.url}/{part.partition}"
    return PartReport(url, part.events, part.text_bytes, part.path.stat().st_size)


def _publish(
    local: Local,
    parts: list[deliver.Staged],
    config: Config,
    run: _Run,
    report: SourceReport,
) -> SourceReport:
    source = {**asdict(local.source), "sha256": local.sha256, "format": report.format}
    del source["path"]
    delivery = deliver.Delivery(report.delivery, source, config.planned(), __version__, TEXT_FORMAT)
    published = deliver.deliver(
        delivery, parts, run.dest, run.state, counted(replace(report, outcome="delivered"))
    )
    run.done.add(delivery.id)
    if published is None:
        return _known(local.source, delivery.id, run)
    if not published:
        log.warning("%s holds no events", local.source.url)
    parts_out = (
        PartReport(p.url, p.staged.events, p.staged.text_bytes, p.stored_bytes) for p in published
    )
    return replace(report, outcome="delivered", parts=tuple(parts_out))
