"""A delivery on Spark: its tasks spread over executors, published in turn by the driver.

Spark gets a small table of items, never rows of a source: one item a task. What a task does is in
`work.py`; each may be tried again, or run twice at once, so that retries, speculation and lost
executors change nothing. Workers get the settings, which hold no credentials: those are where each
worker finds its own.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from cefline import __version__
from cefline.job import afterwards, begin, known, oldest
from cefline.observer import observed
from cefline.progress import Progress
from cefline.report import Report, SourceReport
from cefline.settings import load
from cefline.spark.spread import spread, task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pyspark.sql import SparkSession

    from cefline.config import Config
    from cefline.errors import CeflineError
    from cefline.items import Item
    from cefline.observer import Observer

log = logging.getLogger("cefline")


def export(
    spark: SparkSession,
    sources: str | Iterable[str],
    dest: str,
    **settings: Any,  # noqa: ANN401 - each has its own type
) -> Report:
    """Deliver sources to a destination, with the executors of a Spark session.

    Args:
        spark: the session, classic or Connect.
        sources: files, folders or globs, as of `cefline export`; all workers must reach them.
        dest: `s3://bucket/prefix`, or a folder that all workers share.
        settings: by name, with the values and tables that the TOML file takes, such as
            `s3={"region": "eu-west-1"}`; `split_size` decides into how many tasks a large source
            is cut. The environment is not read.

    Returns:
        What became of the sources, as of `cefline.export`: the same plan, parts and manifest.

    Raises:
        CeflineError: the run as a whole can't be carried out.
    """
    names = (sources,) if isinstance(sources, str) else tuple(sources)
    config = replace(load({}, {}, {**settings, "dest": dest}).config, sources=names)
    return run(config, lambda: spark)


def run(
    config: Config, session: Callable[[], SparkSession], progress: Progress | None = None
) -> Report:
    """Deliver the sources of a config; the session is asked for where something is new.

    What is published is told to `progress`; of what executors do, Spark itself tells.

    Raises:
        CeflineError: the run as a whole can't be carried out.
    """
    if not config.enabled:
        return Report((), 0.0)
    with observed(config) as observer:
        return _delivered(config, session, observer, progress or Progress())


def _delivered(
    config: Config, session: Callable[[], SparkSession], observer: Observer, progress: Progress
) -> Report:
    began = time.monotonic()
    job = begin(config, observer)
    told, missing = known(job)
    old = {url: (source, report) for url, (source, report) in told.items() if report is not None}
    reports = afterwards(
        {url: source for url, (source, _) in old.items()}, [r for _, r in old.values()], job
    )
    if len(old) < len(told):
        apart = {*old, *(report.url for report in missing)}
        reports += _new(config, session(), apart, observer, progress)
    observer.report = Report((*missing, *reports), time.monotonic() - began)
    observer.oldest = oldest([source for source, _ in told.values()], reports)
    return observer.report


def _new(
    config: Config, spark: SparkSession, apart: set[str], observer: Observer, progress: Progress
) -> list[SourceReport]:
    """Deliver what is new; the sources in `apart` are told of already."""
    from cefline import work

    if config.split_size is None:
        log.info("split_size is not set: each source is one task")
    failed: dict[str, CeflineError] = {}

    def left(items: Iterable[Item]) -> list[Item]:
        return [item for item in items if item["url"] not in apart | failed.keys()]

    def each(step: str, items: list[Item]) -> list[Item]:
        log.info("%s: %d tasks for the executors", step, len(items))
        began = time.monotonic()
        done = spread(spark, partial(task, step, config, __version__), items)
        failed.update({item["url"]: error for item, error in done if error is not None})
        log.info("%s: %d tasks, %.1f s", step, len(items), time.monotonic() - began)
        return left(item for item, _ in done)

    identified = each("identify", left(work.pieces(config)))
    converted = each("convert", work.splits(config, identified))
    done = work.published(config, left(converted), observer, progress).sources
    return [*done, *(SourceReport(u, "failed", error=e.about(u)) for u, e in failed.items())]
