"""Items spread over Spark's tasks, and what a task does on a worker."""

from __future__ import annotations

import json
import logging
import os
import socket
import traceback
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from cefline import __version__, allocators
from cefline.errors import CeflineError, ConfigError, TryAgainError, of_told
from cefline.spark.session import SHIP, told_apart

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.sql import SparkSession

    from cefline.config import Config
    from cefline.items import Item

log = logging.getLogger("cefline")

_TRIES = 3
"""How often an item is worked on where that may succeed later; Spark's own retries not counted."""


class Done(NamedTuple):
    """What a task gave: its item, or as it was with the error."""

    item: Item
    error: CeflineError | None


def spread(spark: SparkSession, task: Callable[[str], str], items: list[Item]) -> list[Done]:
    """Work on each item; on those that may succeed later again, when the others are through."""
    done: list[Done] = []
    for attempt in range(1, _TRIES + 1):
        again: list[Item] = []
        for result in once(spark, task, items):
            if isinstance(result.error, TryAgainError) and attempt < _TRIES:
                log.warning("tried again: %s", result.error.logged())
                again.append(result.item)
            else:
                done.append(result)
        if not again:
            break
        items = again
    return done


def once(spark: SparkSession, task: Callable[[str], str], items: list[Item]) -> list[Done]:
    """Work on each item in a task of its own.

    A range has one number in each of its partitions, which a broadcast join keeps so;
    `repartition` does not promise it. A function of text needs neither pandas nor Arrow, which
    `mapInArrow` asks for.
    """
    from pyspark.sql.functions import broadcast, col, udf

    if not items:
        return []
    told = [(number, json.dumps(item)) for number, item in enumerate(items)]
    with told_apart("Spark gave up"):
        table = spark.createDataFrame(told, "number long, item string")
        each = spark.range(0, len(told), 1, len(told)).withColumnRenamed("id", "number")
        worked = udf(task, "string", useArrow=False).asNondeterministic()  # never worked out twice
        rows = each.join(broadcast(table), "number").select("number", worked(col("item")))
        found = {number: json.loads(text) for number, text in rows.collect()}
    return [_told(item, found[number]) for number, item in enumerate(items)]


def _told(item: Item, told: dict[str, Any]) -> Done:
    if "failed" in told:
        return Done(item, of_told(told["failed"]))
    return Done(told["item"], None)


def task(step: str, config: Config, version: str, item: str) -> str:
    """Do a task, on a worker: return its item, or what is to be said of an error, as JSON.

    Raises:
        RuntimeError: there is a fault in cefline. It is told without its text: Spark keeps that in
            its logs, and it may hold values of events.
    """
    try:
        return json.dumps({"item": _worked(step, config, version, json.loads(item))})
    except CeflineError as err:
        message = f"{err.bare} (on worker {socket.gethostname()})"
        return json.dumps({"failed": {**err.told(), "message": message}})
    except Exception as err:  # noqa: BLE001 - its text must not be in Spark's logs
        last = traceback.extract_tb(err.__traceback__)[-1]
        where = f"{os.path.basename(last.filename)}:{last.lineno}"  # noqa: PTH119 - no file is touched
        fault = f"cefline has a fault: {type(err).__name__} at {where}"
    raise RuntimeError(fault)


def _worked(step: str, config: Config, version: str, item: Item) -> Item:
    if version != __version__:
        message = f"cefline is of version {__version__} here, and {version} at the driver"
        raise ConfigError(message, hint=SHIP)
    os.environ.setdefault("POLARS_MAX_THREADS", "1")  # before polars is imported
    allocators.sparing()

    from cefline import work

    own = replace(config, threads=config.threads or 1)  # Spark runs a worker for each core
    return work.identify(own, item) if step == "identify" else work.convert(own, item)
