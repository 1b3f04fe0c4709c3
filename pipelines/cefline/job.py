"""A run: what is new among the sources goes the straight line; what is known is only said.

Nothing here imports what converts: a run with nothing to do, every five minutes, must be cheap.
"""

from __future__ import annotations

import logging
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING, NamedTuple

from cefline import after, s3
from cefline.deliver import plans, staging
from cefline.deliver import seen as seens
from cefline.deliver.seen import Seen
from cefline.deliver.state import bind
from cefline.deliver.store import LocalStore
from cefline.errors import UsageError, failed_before
from cefline.places import found, stores
from cefline.progress import Progress, Silent
from cefline.report import Report, SourceReport

if TYPE_CHECKING:
    from collections.abc import Callable

    from cefline.config import Config
    from cefline.deliver.store import Store
    from cefline.sources import Source


log = logging.getLogger("cefline")


class _Job(NamedTuple):
    """What is the same for all sources."""

    config: Config
    dest: Store
    state: Store
    connect: Callable[[], s3.Client]
    known: dict[str, Seen]


def export(config: Config, *, progress: Progress | None = None, dry_run: bool = False) -> Report:
    """Deliver the sources of a config to its destination; one that fails stops no other.

    Raises:
        CeflineError: the run as a whole can't be carried out.
    """
    began = time.monotonic()
    if not config.sources or not config.dest:
        message = "there is no source" if config.dest else "there is no destination"
        raise UsageError(message, hint="cefline export SOURCE... DEST")
    after.check(config)
    connect = cache(partial(s3.connect, config.s3))
    emptied = config.after == "move"
    sources, missing = found(config.sources, config.allowed_sources, connect, emptied=emptied)
    dest, state = stores(config, connect)
    if not dry_run:
        bind(state, dest, hive=config.hive, adopt=config.adopt)
    job = _Job(config, dest, state, connect, seens.load(state))
    if not dry_run:
        _sweep(job)
    told = {source.url: _told(source, job) for source in sources}
    new = [source for source in sources if told[source.url] is None]
    told |= {one.url: one for one in _exported(new, job, progress or Silent(), dry_run=dry_run)}
    if config.after != "none" and not dry_run:
        given_up = set(plans.abandoned(state))
        told |= {
            source.url: _afterwards(source, report, job)
            for source in sources
            if (report := told[source.url]) is not None and report.delivery not in given_up
        }
    reports = [report for report in told.values() if report is not None]
    return Report((*missing, *reports), time.monotonic() - began, dry_run)


def _told(source: Source, job: _Job) -> SourceReport | None:
    """Return what there is to say of a source without reading it; None where it is new."""
    key = source.key(job.config.variant())
    seen = job.known.get(key)
    if seen is not None:
        return SourceReport(source.url, "known", delivery=seen.delivery)
    failed = job.known.get(seens.failure_key(key, job.config.judgement()))
    if failed is None or job.config.retry_failed:
        return _left(source, job.config.settle)
    error = failed_before(seens.error(job.state, failed), failed.numbers[0])
    return SourceReport(source.url, "failed", delivery=failed.delivery, error=error)


def _left(source: Source, settle: float) -> SourceReport | None:
    """Return the report of a file that may still be written, or None."""
    local = not source.url.startswith("s3://")
    if local and source.scanned and source.age(time.time()) < settle:
        note = f"written less than {settle:g} s ago: left for the next run (--settle)"
        return SourceReport(source.url, "left", notes=(note,))
    return None


def _exported(
    sources: list[Source], job: _Job, progress: Progress, *, dry_run: bool
) -> list[SourceReport]:
    if not sources:
        return []
    from cefline.deliver.probe import prove
    from cefline.lanes import Lane, side_by_side
    from cefline.line import Run, run_source

    if not dry_run:
        prove(job.dest, job.state)
    config, done = job.config, (seen for seen in job.known.values() if seen.outcome == "done")
    floor = max((seen.numbers[0] for seen in done), default=0)
    threads, root = config.threads or _cores(), staging.root(config.staging)
    with ThreadPoolExecutor(threads) as pool:
        where = (job.dest, job.state, job.connect)
        run = Run(config, *where, pool, threads, root, progress, dry_run, floor)

        def along(source: Source, lane: Lane) -> SourceReport:
            return run_source(source, replace(run, lane=lane))

        return side_by_side(sources, along)


def _afterwards(source: Source, report: SourceReport, job: _Job) -> SourceReport:
    """Tag or move a source that is delivered, now or before, where that was not done."""
    key = source.key(job.config.variant())
    tagged = key in job.known and job.known[key].tagged
    if report.outcome not in {"delivered", "known"} or tagged:
        return report
    trouble = after.told(source, job.config, job.connect)
    if trouble:
        log.warning("%s: %s", source.url, trouble)
        return replace(report, notes=(*report.notes, trouble))
    if job.config.after == "tag":
        seens.remember(job.state, Seen(key, report.delivery, "tagged"), {"url": source.url})
    return report


def _sweep(job: _Job) -> None:
    """Remove what killed runs left on this machine."""
    done = {key for key, seen in job.known.items() if seen.outcome != "failed"}
    staging.sweep(staging.root(job.config.staging), done)
    for store in (job.dest, job.state):
        if isinstance(store, LocalStore):
            store.sweep()


def _cores() -> int:
    """Return the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
