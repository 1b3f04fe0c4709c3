"""Who watches a run: its metrics are written at its end, however it ends."""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cefline import metrics
from cefline.errors import of_system
from cefline.metrics import Ended
from cefline.steps import unwatched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cefline.config import Config
    from cefline.report import Report
    from cefline.steps import Watch

log = logging.getLogger("cefline")


def _nothing() -> None:
    """Do nothing."""


@dataclass(slots=True)
class Observer:
    """What a run tells to those who watch it."""

    watch: Watch = unwatched
    retried: Callable[[], None] = _nothing
    """Is called for each request to S3 that is tried again."""
    report: Report | None = None
    """What the run did, once it is done."""
    oldest: float | None = None
    """When the oldest source that is not delivered was last written, in seconds since 1970."""


@contextmanager
def observed(config: Config, *, dry_run: bool = False) -> Iterator[Observer]:
    """Watch a run; what the config asks for is written at its end, also where it fails.

    A dry run writes no metrics. What can't be written is a warning: the run stays as it is.
    """
    began, retries, code = time.monotonic(), list[None](), 0  # appending is safe in threads
    observer = Observer(retried=partial(retries.append, None))
    try:
        yield observer
        code = observer.report.exit_code if observer.report else 0
    except BaseException as err:
        code = _exit_code(err)
        raise
    finally:
        seconds = time.monotonic() - began
        what = (observer.report, observer.oldest)
        if not dry_run:
            _record(config, Ended(time.time(), seconds, code, len(retries), *what))


def _exit_code(err: BaseException) -> int:
    """Return the code that a run exits with after an error, or a signal."""
    interrupted = isinstance(err, KeyboardInterrupt)
    return int(getattr(err, "exit_code", 130 if interrupted else 1))


def _record(config: Config, ended: Ended) -> None:
    if config.metrics_file is None:
        return
    from cefline import textfile

    path, dest = Path(config.metrics_file), config.dest or ""
    found = metrics.values(ended, textfile.before(path, dest, ended.at))
    try:
        textfile.write(path, textfile.text(found, dest))
    except OSError as err:
        log.warning("no metrics: %s", of_system(err, str(path)))
