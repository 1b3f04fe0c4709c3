"""OpenTelemetry: a run as a trace, and its metrics, sent by OTLP over HTTP.

Where to, with which headers, certificates and timeouts: the SDK reads it from `OTEL_*` variables.
Whatever the collector does, a run neither fails by it nor waits for it longer than a bound.
"""

from __future__ import annotations

import logging
import math
import os
import time
from contextlib import contextmanager, suppress
from functools import partial
from threading import Thread
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExportResult, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.trace import Status, StatusCode

from cefline import __version__
from cefline.metrics import METRICS, label

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from opentelemetry.context import Context
    from opentelemetry.sdk.metrics.export import MetricReader
    from opentelemetry.trace import Span, Tracer

    from cefline.steps import Fact, Name, Tell, Watch

log = logging.getLogger("cefline")

PATIENCE = 3.0
"""Seconds that a run waits at its end, at most, until what it tells is sent."""


class Telemetry(NamedTuple):
    """What tells of a run."""

    watch: Watch
    send: Callable[[Mapping[str, float]], None]
    """Takes the values of metrics, by name, and sends all that is left; it never raises."""


class _Spans(OTLPSpanExporter):
    """The SDK's, which tells nobody but its log what it could not send."""

    def __init__(self, failed: Callable[[str], None]) -> None:
        super().__init__()
        self._tell_failure = failed

    def export(self, *args: Any, **more: Any) -> SpanExportResult:  # noqa: ANN401 - the SDK's
        result = SpanExportResult.FAILURE
        try:
            result = super().export(*args, **more)
        finally:
            if result is not SpanExportResult.SUCCESS:
                self._tell_failure("traces")
        return result


class _Metrics(OTLPMetricExporter):
    """Likewise."""

    def __init__(self, failed: Callable[[str], None]) -> None:
        super().__init__()
        self._tell_failure = failed

    def export(self, *args: Any, **more: Any) -> MetricExportResult:  # noqa: ANN401 - the SDK's
        result = MetricExportResult.FAILURE
        try:
            result = super().export(*args, **more)
        finally:
            if result is not MetricExportResult.SUCCESS:
                self._tell_failure("metrics")
        return result


def start(dest: str) -> Telemetry:
    """Return what tells of a run; providers are its own, those of the process stay as they are.

    Args:
        dest: destination of the run.

    Raises:
        ValueError: a variable of the SDK has a value that can't be.
    """
    ours = {"service.name": "cefline", "service.version": __version__}
    resource = Resource.create(ours).merge(OTELResourceDetector().detect())
    failures: list[str] = []  # appending is safe in threads
    exporters: list[_Spans | _Metrics] = []
    readers: list[MetricReader] = []
    tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
    if not _is_off("TRACES"):
        exporters.append(spans := _Spans(failures.append))
        tracers.add_span_processor(BatchSpanProcessor(spans))
    if not _is_off("METRICS"):
        exporters.append(points := _Metrics(failures.append))
        readers.append(PeriodicExportingMetricReader(points, math.inf))
    meters = MeterProvider(readers, resource, shutdown_on_exit=False)
    meter = meters.get_meter("cefline", __version__)

    def send(values: Mapping[str, float]) -> None:
        for metric in METRICS:
            if metric.name in values:
                gauge = meter.create_gauge(metric.name, metric.unit, metric.help)
                gauge.set(values[metric.name], {"dest": label(dest)})
        late = _within(PATIENCE, {"traces": tracers.shutdown, "metrics": meters.force_flush})
        for exporter in exporters if late else ():
            exporter.shutdown()  # else it tries again beside whatever comes after the run
        if lost := " and ".join(sorted({*failures, *late})):
            hint = "Is it there, and are the variables OTEL_EXPORTER_OTLP_* right?"
            log.warning("%s of this run did not reach the collector. %s", lost, hint)

    return Telemetry(_watch(tracers.get_tracer("cefline", __version__), dest), send)


def _is_off(signal: str) -> bool:
    """Whether a variable of the SDK's own set-up, which is not used here, says so."""
    return os.environ.get(f"OTEL_{signal}_EXPORTER") == "none"


def _within(seconds: float, calls: Mapping[str, Callable[[], object]]) -> list[str]:
    """Do calls side by side, and name those that have not ended well in time; they are left."""
    done: list[str] = []

    def do(name: str) -> None:
        with suppress(Exception):  # whatever the SDK raises, it is not done
            calls[name]()
            done.append(name)

    threads = [Thread(target=do, args=(name,), daemon=True) for name in calls]
    for thread in threads:
        thread.start()
    ends = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(ends - time.monotonic(), 0.0))
    return [name for name in calls if name not in done]


def _watch(tracer: Tracer, dest: str) -> Watch:
    """Return what makes spans of steps."""
    root: Context | None = None

    @contextmanager
    def watch(name: Name, source: str = "") -> Iterator[Tell]:
        nonlocal root
        # A source has a thread of its own, which knows nothing of the run's span.
        inside = trace.get_current_span().get_span_context().is_valid
        about = {"cefline.source": label(source)} if source else {"cefline.dest": label(dest)}
        with tracer.start_as_current_span(
            f"cefline.{name}",
            None if inside else root,
            attributes=about,
            record_exception=False,  # a message may hold a sample
            set_status_on_exception=False,
        ) as span:
            if name == "run":
                root = trace.set_span_in_context(span)
            try:
                yield partial(_told, span)
            except BaseException as err:
                _told(span, error=type(err).__name__)
                raise

    return watch


def _told(span: Span, **facts: Fact) -> None:
    for name, fact in facts.items():
        if fact != "":
            span.set_attribute("error.type" if name == "error" else f"cefline.{name}", fact)
    if facts.get("error"):
        span.set_status(Status(StatusCode.ERROR))
