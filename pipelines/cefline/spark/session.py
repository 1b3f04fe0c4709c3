"""A Spark session, and what its errors mean."""

from __future__ import annotations

import os
import re
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from cefline.errors import CeflineError, ConfigError, TryAgainError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyspark.sql import SparkSession

SHIP = "Every worker needs cefline in the driver's version: docs/spark.md says how to ship it"


@contextmanager
def session() -> Iterator[Callable[[], SparkSession]]:
    """Give what makes a session, or gets the one there is, with Spark's own settings.

    It is ended where all goes well. Otherwise, and above all after a signal, Spark is left alone:
    it ends when this process does, and to end it in the middle of its work takes long.

    Raises:
        ConfigError: there is no pyspark, or it does not start.
    """
    made: list[SparkSession] = []

    def started() -> SparkSession:
        made.append(_started())
        return made[-1]

    yield started
    for spark in made:
        with suppress(Exception):  # whatever it says: what was delivered is delivered
            spark.stop()


def _started() -> SparkSession:
    try:
        from pyspark.sql import SparkSession
    except ImportError as err:
        message = f"pyspark can't be imported: {err}"
        hint = "pip install 'cefline[spark]', or start it with spark-submit: docs/spark.md"
        raise ConfigError(message, hint=hint) from err
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # local workers are as the driver is
    with told_apart("Spark does not start"):
        return SparkSession.builder.appName("cefline").getOrCreate()


_PROBLEMS: tuple[tuple[str, str, type[CeflineError], str], ...] = (
    (
        r"No module named '(?:cefline|polars|pyarrow|s3fs|blake3|isal|lark)[\w.]*'",
        "on a worker there is {}",
        ConfigError,
        SHIP,
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
        "Spark 3.5 needs Java 8, 11 or 17, Spark 4 Java 17 or later; JAVA_HOME says where it is",
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
def told_apart(what: str) -> Iterator[None]:
    """Turn errors of Spark within the block into ours.

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
        raise of_spark(str(err), what) from err


def of_spark(text: str, what: str) -> CeflineError:
    """Return our error for the text of one of Spark's."""
    for pattern, said, kind, hint in _PROBLEMS:
        if found := re.search(pattern, text):
            return kind(f"{what}: {said.format(found[0])}", hint=hint)
    first = next((line for line in text.splitlines() if line.strip()), "it did not say why")
    hint = "The logs of driver and executors say more; the next run goes on where this one stopped"
    return TryAgainError(f"{what}: {first.strip()[:300]}", hint=hint)
