"""Who watches a run: its metrics are written and sent at its end, however it ends."""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cefline import metrics
from cefline.errors import ConfigError, of_system
from cefline.metrics import Ended
from cefline.steplog import logged
from cefline.steps import unwatched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from cefline.config import Config
    from cefline.report import Report
    from cefline.steps import Watch

    Send = Callable[[Mapping[str, float]], None]

log = logging.getLogger("cefline")


def _nothing() -> None:
    """Do nothing."""


def _unsent(_: Mapping[str, float]) -> None:
    """Send nothing."""


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
    send: Send = _unsent
    try:
        watch, send = _telemetry(config)
        observer.watch = logged(watch)
        with observer.watch("run") as tell:
            yield observer
            if observer.report is not None:
                code = observer.report.exit_code
                tell(**metrics.said(observer.report), s3_retries=len(retries))
    except BaseException as err:
        code = _exit_code(err)
        raise
    finally:
        seconds = time.monotonic() - began
        told = (observer.report, observer.oldest)
        ended = Ended(time.time(), seconds, code, len(retries), *told)
        send({} if dry_run else _recorded(config, ended))


def _exit_code(err: BaseException) -> int:
    """Return the code that a run exits with after an error, or a signal."""
    interrupted = isinstance(err, KeyboardInterrupt)
    return int(getattr(err, "exit_code", 130 if interrupted else 1))


def _telemetry(config: Config) -> tuple[Watch, Send]:
    """Return who watches the run, and what sends its metrics.

    Raises:
        ConfigError: it can't be sent as the config asks.
    """
    if not config.otel:
        return unwatched, _unsent
    try:
        from cefline import otel  # imports the SDK
    except ImportError as err:
        message = f"otel is set, and its libraries are not here ({err.name})"
        hint = "pip install 'cefline[otel]', or set otel = false"
        raise ConfigError(message, hint=hint) from err
    try:
        return otel.start(config.dest or "")
    except Exception:  # noqa: BLE001 - no run fails by whatever the SDK and its plugins raise
        # Without its message, which may hold what is in a variable.
        log.warning("no traces: OpenTelemetry's SDK does not take the values of OTEL_* variables")
        return unwatched, _unsent


def _recorded(config: Config, ended: Ended) -> dict[str, float]:
    """Return the values of metrics; with those of runs before, where there is a file of them."""
    if config.metrics_file is None:
        return metrics.values(ended, {})
    from cefline import textfile

    path, dest = Path(config.metrics_file), config.dest or ""
    found = metrics.values(ended, textfile.before(path, dest, ended.at))
    try:
        textfile.write(path, textfile.text(found, dest))
    except OSError as err:
        log.warning("no metrics: %s", of_system(err, str(path)))
    return found
