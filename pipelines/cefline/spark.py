"""A delivery on Spark: its tasks spread over executors, published in turn by the driver.

Spark gets a small table of items, never rows of a source: one item a task. What a task does is in
`work.py`; each may be tried again, or run twice at once, so that retries, speculation and lost
executors change nothing. Workers get the settings, which hold no credentials: those are where each
worker finds its own.
"""

from __future__ import annotations

import json
import logging
import os
import re
import socket
import sys
import time
import traceback
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from cefline import __version__, allocators
from cefline.errors import CeflineError, ConfigError, TryAgainError, of_exit_code
from cefline.job import afterwards, begin, known
from cefline.report import Report, SourceReport
from cefline.settings import load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pyspark.sql import SparkSession

    from cefline.config import Config
    from cefline.work import Item

log = logging.getLogger("cefline")

_TRIES = 3
"""How often an item is worked on where that may succeed later; Spark's own retries not counted."""

_SHIP = "Every worker needs cefline in the driver's version: docs/spark.md says how to ship it"


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
        settings: by name, with the values that the TOML file takes; `split_size` decides into how
            many tasks a large source is cut. The environment is not read.

    Returns:
        What became of the sources, as of `cefline.export`: the same plan, parts and manifest.

    Raises:
        CeflineError: the run as a whole can't be carried out.
    """
    names = (sources,) if isinstance(sources, str) else tuple(sources)
    config = replace(load({**settings, "dest": dest}, {}, None).config, sources=names)
    return run(config, lambda: spark)


def run(config: Config, session: Callable[[], SparkSession]) -> Report:
    """Deliver the sources of a config; the session is asked for where something is new.

    Raises:
        CeflineError: the run as a whole can't be carried out.
    """
    began = time.monotonic()
    if not config.enabled:
        return Report((), 0.0)
    job = begin(config)
    told, missing = known(job)
    old = {url: (source, report) for url, (source, report) in told.items() if report is not None}
    reports = afterwards(
        {url: source for url, (source, _) in old.items()}, [r for _, r in old.values()], job
    )
    if len(old) < len(told):
        reports += _new(config, session(), {*old, *(report.url for report in missing)})
    return Report((*missing, *reports), time.monotonic() - began)


@contextmanager
def session() -> Iterator[Callable[[], SparkSession]]:
    """Give what makes a session, or gets the one there is, with Spark's own settings; end it.

    Raises:
        ConfigError: there is no pyspark, or it does not start.
    """
    made: list[SparkSession] = []

    def started() -> SparkSession:
        made.append(_started())
        return made[-1]

    try:
        yield started
    finally:
        for spark in made:
            spark.stop()


def _started() -> SparkSession:
    try:
        from pyspark.sql import SparkSession
    except ImportError as err:
        message = f"pyspark can't be imported: {err}"
        hint = "pip install 'cefline[spark]', or start it with spark-submit: docs/spark.md"
        raise ConfigError(message, hint=hint) from err
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # local workers are as the driver is
    with _told_apart("Spark does not start"):
        return SparkSession.builder.appName("cefline").getOrCreate()


def _new(config: Config, spark: SparkSession, apart: set[str]) -> list[SourceReport]:
    """Deliver what is new; the sources in `apart` are told of already."""
    from cefline import work

    if config.split_size is None:
        log.info("split_size is not set: each source is one task")
    failed: dict[str, CeflineError] = {}

    def left(items: Iterable[Item]) -> list[Item]:
        return [item for item in items if item["url"] not in apart | failed.keys()]

    def each(step: str, items: list[Item]) -> list[Item]:
        began = time.monotonic()
        done = _each(spark, partial(_task, step, config, __version__), items)
        failed.update({item["url"]: error for item, error in done if error is not None})
        log.info("%s: %d tasks, %.1f s", step, len(items), time.monotonic() - began)
        return left(item for item, _ in done)

    identified = each("identify", left(work.pieces(config)))
    converted = each("convert", work.splits(config, identified))
    done = work.publish(config, left(converted)).sources
    return [*done, *(SourceReport(u, "failed", error=e.about(u)) for u, e in failed.items())]


class _Done(NamedTuple):
    """What a task gave: its item, or as it was with the error."""

    item: Item
    error: CeflineError | None


def _each(spark: SparkSession, task: Callable[[str], str], items: list[Item]) -> list[_Done]:
    """Work on each item; on those that may succeed later again, when the others are through."""
    done: list[_Done] = []
    for attempt in range(1, _TRIES + 1):
        again: list[Item] = []
        for result in _spread(spark, task, items):
            if isinstance(result.error, TryAgainError) and attempt < _TRIES:
                log.warning("tried again: %s", result.error)
                again.append(result.item)
            else:
                done.append(result)
        if not again:
            break
        items = again
    return done


def _spread(spark: SparkSession, task: Callable[[str], str], items: list[Item]) -> list[_Done]:
    """Work on each item in a task of its own.

    A range has one number in each of its partitions, which a broadcast join keeps so;
    `repartition` does not promise it. A function of text needs neither pandas nor Arrow, which
    `mapInArrow` asks for.
    """
    from pyspark.sql.functions import broadcast, col, udf

    if not items:
        return []
    told = [(number, json.dumps(item)) for number, item in enumerate(items)]
    with _told_apart("Spark gave up"):
        table = spark.createDataFrame(told, "number long, item string")
        each = spark.range(0, len(told), 1, len(told)).withColumnRenamed("id", "number")
        worked = udf(task, "string", useArrow=False).asNondeterministic()  # never worked out twice
        rows = each.join(broadcast(table), "number").select("number", worked(col("item")))
        found = {number: json.loads(text) for number, text in rows.collect()}
    return [_done(item, found[number]) for number, item in enumerate(items)]


def _done(item: Item, told: dict[str, Any]) -> _Done:
    if "failed" in told:
        return _Done(item, of_exit_code(**told["failed"]))
    return _Done(told["item"], None)


def _task(step: str, config: Config, version: str, item: str) -> str:
    """Do a task, on a worker: return its item, or what is to be said of an error, as JSON.

    Raises:
        RuntimeError: there is a fault in cefline. It is told without its text: Spark keeps that in
            its logs, and it may hold values of events.
    """
    try:
        return json.dumps({"item": _worked(step, config, version, json.loads(item))})
    except CeflineError as err:
        message = f"{err.message} (on worker {socket.gethostname()})"
        failed = {"message": message, "hint": err.hint, "exit_code": err.exit_code}
        return json.dumps({"failed": failed})
    except Exception as err:  # noqa: BLE001 - its text must not be in Spark's logs
        last = traceback.extract_tb(err.__traceback__)[-1]
        where = f"{os.path.basename(last.filename)}:{last.lineno}"  # noqa: PTH119 - no file is touched
        fault = f"cefline has a fault: {type(err).__name__} at {where}"
    raise RuntimeError(fault)


def _worked(step: str, config: Config, version: str, item: Item) -> Item:
    if version != __version__:
        message = f"cefline is of version {__version__} here, and {version} at the driver"
        raise ConfigError(message, hint=_SHIP)
    os.environ.setdefault("POLARS_MAX_THREADS", "1")  # before polars is imported
    allocators.sparing()

    from cefline import work

    own = replace(config, threads=config.threads or 1)  # Spark runs a worker for each core
    tasks = {"identify": work.identify, "convert": work.convert}
    return tasks[step](own, item)


_PROBLEMS: tuple[tuple[str, str, type[CeflineError], str], ...] = (
    (
        r"No module named '(?:cefline\w*|polars|pyarrow|s3fs|blake3|isal|lark)",
        "a worker fails with {}'",
        ConfigError,
        _SHIP,
    ),
    (
        "PYTHON_VERSION_MISMATCH|different (?:minor )?version[s]? .*driver",
        "workers have another Python than the driver",
        ConfigError,
        "PYSPARK_PYTHON (or spark.pyspark.python) names the Python of the workers",
    ),
    (
        "JAVA_GATEWAY_EXITED|JAVA_HOME",
        "its Java process ends at once",
        ConfigError,
        "Spark 3.5 needs Java 8, 11 or 17, Spark 4 needs 17 or 21; JAVA_HOME says where it is",
    ),
    ("Could not parse Master URL[^\n]*", "{}", ConfigError, "Check spark.master"),
    (
        r"cefline has a fault: \w+ at [\w.:]+",
        "{}",
        CeflineError,
        "It was told without its text; `cefline export` of that source alone shows it",
    ),
    (
        "Python worker exited unexpectedly|ExecutorLostFailure|OutOfMemoryError",
        "workers were lost again and again",
        TryAgainError,
        'Out of memory? Raise spark.executor.memoryOverhead, or set memory = "small"',
    ),
)
"""What Spark's errors tell (a pattern), what is said of it, as what error, and what to do."""


@contextmanager
def _told_apart(what: str) -> Iterator[None]:
    """Turn errors of Spark into ours.

    Raises:
        CeflineError: Spark could not do it.
    """
    from pyspark.errors import PySparkException

    kinds: list[type[Exception]] = [PySparkException]
    with suppress(ImportError):  # Connect's client alone has no py4j
        from py4j.protocol import Py4JError

        kinds.append(Py4JError)
    try:
        yield
    except tuple(kinds) as err:
        raise _of_spark(str(err), what) from err


def _of_spark(text: str, what: str) -> CeflineError:
    for pattern, said, kind, hint in _PROBLEMS:
        if found := re.search(pattern, text):
            return kind(f"{what}: {said.format(found[0])}", hint=hint)
    first = next((line for line in text.splitlines() if line.strip()), "it did not say why")
    hint = "The logs of driver and executors say more; the next run goes on where this one stopped"
    return TryAgainError(f"{what}: {first.strip()[:300]}", hint=hint)
