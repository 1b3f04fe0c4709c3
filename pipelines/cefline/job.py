"""A run: what is new among the sources goes the straight line; what is known is only said.

Nothing here imports what converts: a run with nothing to do, every five minutes, must be cheap.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import TYPE_CHECKING

from cefline import s3
from cefline.deliver import seen as seens
from cefline.deliver import staging, state
from cefline.deliver.store import LocalStore
from cefline.errors import UsageError, failed_before
from cefline.places import found, stores
from cefline.progress import Progress, Silent
from cefline.report import Report, SourceReport

if TYPE_CHECKING:
    from collections.abc import Callable

    from cefline.config import Config
    from cefline.deliver.seen import Seen
    from cefline.deliver.store import Store
    from cefline.sources import Source


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
    places = stores(config, connect)
    if not dry_run:
        state.bind(places[1], places[0], hive=config.hive, adopt=config.adopt)
    known = seens.load(places[1])
    told = {source.url: _told(source, known, config, places[1]) for source in sources}
    new = [source for source in sources if told[source.url] is None]
    floor = max((seen.numbers[0] for seen in known.values() if seen.outcome == "done"), default=0)
    if not dry_run:
        _sweep(config, places, {key for key, seen in known.items() if seen.outcome != "failed"})
    for report in _exported(
        new, config, places, connect, progress or Silent(), dry_run=dry_run, floor=floor
    ):
        told[report.url] = report
    reports = [report for report in told.values() if report is not None]
    return Report((*missing, *reports), time.monotonic() - began, dry_run)


def _told(
    source: Source, known: dict[str, Seen], config: Config, state: Store
) -> SourceReport | None:
    """Return what there is to say of a source without reading it; None where it is new."""
    seen = known.get(source.key(config.variant()))
    if seen is None:
        return _left(source, config.settle)
    if seen.outcome != "failed":
        return SourceReport(source.url, "known", delivery=seen.delivery)
    if config.retry_failed:
        return None
    error = failed_before(seens.error(state, seen), seen.numbers[0])
    return SourceReport(source.url, "failed", delivery=seen.delivery, error=error)


def _left(source: Source, settle: float) -> SourceReport | None:
    """Return the report of a file that may still be written, or None."""
    local = not source.url.startswith("s3://")
    if local and source.scanned and source.age(time.time()) < settle:
        note = f"written less than {settle:g} s ago: left for the next run (--settle)"
        return SourceReport(source.url, "left", notes=(note,))
    return None


def _exported(
    sources: list[Source],
    config: Config,
    places: tuple[Store, Store],
    connect: Callable[[], s3.Client],
    progress: Progress,
    *,
    dry_run: bool,
    floor: int,
) -> list[SourceReport]:
    if not sources:
        return []
    from cefline.line import Run, run_source

    threads, root = config.threads or _cores(), staging.root(config.staging)
    with ThreadPoolExecutor(threads) as pool:
        run = Run(config, *places, connect, pool, threads, root, progress, dry_run, floor)
        return [run_source(source, run) for source in sources]


def _sweep(config: Config, places: tuple[Store, Store], done: set[str]) -> None:
    """Remove what killed runs left on this machine."""
    staging.sweep(staging.root(config.staging), done)
    for store in places:
        if isinstance(store, LocalStore):
            store.sweep()


def _cores() -> int:
    """Return the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
