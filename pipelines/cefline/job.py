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
from cefline.deliver import plans, shared, staging
from cefline.deliver import seen as seens
from cefline.deliver.seen import Seen
from cefline.deliver.state import bind
from cefline.deliver.store import LocalStore
from cefline.errors import UsageError, failed_before
from cefline.observer import Observer, observed
from cefline.places import found, stores
from cefline.progress import Progress
from cefline.report import Report, SourceReport
from cefline.steps import unwatched

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Executor

    from cefline.config import Config
    from cefline.deliver.store import Store
    from cefline.line import Run
    from cefline.sources import Source
    from cefline.steps import Watch


log = logging.getLogger("cefline")


class Job(NamedTuple):
    """What is the same for all sources of a run."""

    config: Config
    dest: Store
    state: Store
    connect: Callable[[], s3.Client]
    known: dict[str, Seen]
    watch: Watch = unwatched


def export(config: Config, *, progress: Progress | None = None, dry_run: bool = False) -> Report:
    """Deliver the sources of a config to its destination; one that fails stops no other.

    Raises:
        CeflineError: the run as a whole can't be carried out.
    """
    with observed(config, dry_run=dry_run) as observer:
        return _export(config, progress or Progress(), observer, dry_run=dry_run)


def _export(config: Config, progress: Progress, observer: Observer, *, dry_run: bool) -> Report:
    began = time.monotonic()
    job = begin(config, observer, dry_run=dry_run)
    told, missing = known(job)
    new = [source for source, report in told.values() if report is None]
    reports = {url: report for url, (_, report) in told.items()}
    reports |= {one.url: one for one in _exported(new, job, progress, dry_run=dry_run)}
    listed = [report for report in reports.values() if report is not None]
    if not dry_run:
        listed = afterwards({url: source for url, (source, _) in told.items()}, listed, job)
    observer.report = Report((*missing, *listed), time.monotonic() - began, dry_run)
    observer.oldest = oldest([source for source, _ in told.values()], listed)
    return observer.report


def oldest(sources: list[Source], reports: list[SourceReport]) -> float | None:
    """Return when the oldest source that is not delivered was last written, if there is one."""
    waiting = {report.url for report in reports if report.outcome in {"left", "failed"}}
    return min((s.modified for s in sources if s.url in waiting and s.modified), default=None)


def begin(config: Config, observer: Observer | None = None, *, dry_run: bool = False) -> Job:
    """Check what a run needs, and read what is known from runs before.

    Raises:
        CeflineError: the run as a whole can't be carried out.
    """
    if not config.sources or not config.dest:
        message = "there is no source" if config.dest else "there is no destination"
        raise UsageError(message, hint="cefline export SOURCE... DEST")
    after.check(config)
    observer = observer or Observer()
    connect = cache(partial(s3.connect, config.s3, observer.retried))
    dest, state = stores(config, connect)
    if not dry_run:
        bind(state, dest, hive=config.hive, adopt=config.adopt)
    job = Job(config, dest, state, connect, seens.load(state), observer.watch)
    if not dry_run:
        _sweep(job)
    return job


def known(job: Job) -> tuple[dict[str, tuple[Source, SourceReport | None]], list[SourceReport]]:
    """Return the sources by URL, with what there is to say without reading them, None of new ones.

    And what there is to say of names that no source has.
    """
    config = job.config
    names = (config.sources, config.allowed_sources)
    sources, missing = found(*names, job.connect, emptied=config.after == "move")
    return {source.url: (source, _told(source, job)) for source in sources}, missing


def run_of(job: Job, pool: Executor, *, progress: Progress, dry_run: bool = False) -> Run:
    """Return what the sources of a run share, to take the straight line."""
    from cefline.line import Run

    done = (seen for seen in job.known.values() if seen.outcome == "done")
    return Run(
        job.config,
        job.dest,
        job.state,
        job.connect,
        pool,
        threads_of(job.config),
        staging.root(job.config.staging),
        progress,
        dry_run,
        floor=max((seen.numbers[0] for seen in done), default=0),
        watch=job.watch,
    )


def afterwards(
    sources: Mapping[str, Source], reports: list[SourceReport], job: Job
) -> list[SourceReport]:
    """Tag or move the sources that are delivered, as the config says; what fails is a note."""
    if job.config.after == "none":
        return reports
    given_up = set(plans.abandoned(job.state))
    return [
        report if report.delivery in given_up else _afterwards(sources[report.url], report, job)
        for report in reports
    ]


def _told(source: Source, job: Job) -> SourceReport | None:
    """Return what there is to say of a source without reading it; None where it is new."""
    key = source.key(job.config.variant())
    seen = job.known.get(key)
    if seen is not None:
        return SourceReport(source.url, "known", delivery=seen.delivery)
    failed = job.known.get(seens.failure_key(key, job.config.judgement()))
    if failed is None or job.config.retry_failed:
        return _left(source, job.config.settle)
    error = failed_before(seens.error(job.state, failed))
    return SourceReport(source.url, "failed", delivery=failed.delivery, error=error)


def _left(source: Source, settle: float) -> SourceReport | None:
    """Return the report of a file that may still be written, or None."""
    local = not source.url.startswith("s3://")
    if local and source.scanned and source.age(time.time()) < settle:
        note = f"written less than {settle:g} s ago: left for the next run (--settle)"
        return SourceReport(source.url, "left", notes=(note,))
    return None


def _exported(
    sources: list[Source], job: Job, progress: Progress, *, dry_run: bool
) -> list[SourceReport]:
    if not sources:
        return []
    from cefline.deliver.probe import prove
    from cefline.lanes import Lane, side_by_side
    from cefline.line import run_source

    if not dry_run:
        prove(job.dest, job.state)
    progress.begin((source.url, source.size) for source in sources)
    with ThreadPoolExecutor(threads_of(job.config)) as pool:
        run = run_of(job, pool, progress=progress, dry_run=dry_run)

        def along(source: Source, lane: Lane) -> SourceReport:
            return run_source(source, replace(run, lane=lane))

        return side_by_side(sources, along)


def _afterwards(source: Source, report: SourceReport, job: Job) -> SourceReport:
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


def _sweep(job: Job) -> None:
    """Remove what killed runs left on this machine."""
    done = {key for key, seen in job.known.items() if seen.outcome != "failed"}
    staging.sweep(staging.root(job.config.staging), done)
    shared.sweep(job.state)
    for store in (job.dest, job.state):
        if isinstance(store, LocalStore):
            store.sweep()


def threads_of(config: Config) -> int:
    """Return the threads that a config asks for, or the cores that this process may use."""
    if config.threads:
        return config.threads
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
