"""A collector of OpenTelemetry that takes what is sent by OTLP over HTTP, and keeps it."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class Collector:
    """What came."""

    endpoint: str = ""
    status: int = 200
    """What it answers."""
    silent: bool = False
    """Whether it takes requests and never answers."""
    bodies: list[tuple[str, bytes]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def _messages(self, path: str, kind: type[Any]) -> list[Any]:
        return [kind.FromString(body) for asked, body in self.bodies if asked == path]

    @property
    def spans(self) -> list[Any]:
        """Return the spans, as protobuf has them."""
        sent = self._messages("/v1/traces", ExportTraceServiceRequest)
        scopes = [scope for one in sent for r in one.resource_spans for scope in r.scope_spans]
        return [span for scope in scopes for span in scope.spans]

    @property
    def resources(self) -> list[dict[str, Any]]:
        """Return the attributes of who sent spans and metrics."""
        traces = self._messages("/v1/traces", ExportTraceServiceRequest)
        metrics = self._messages("/v1/metrics", ExportMetricsServiceRequest)
        sent = [r for one in traces for r in one.resource_spans]
        sent += [r for one in metrics for r in one.resource_metrics]
        return [attributes(one.resource) for one in sent]

    @property
    def metrics(self) -> list[Any]:
        """Return the metrics, as protobuf has them."""
        sent = self._messages("/v1/metrics", ExportMetricsServiceRequest)
        scopes = [scope for one in sent for r in one.resource_metrics for scope in r.scope_metrics]
        return [metric for scope in scopes for metric in scope.metrics]


def attributes(message: Any) -> dict[str, Any]:  # noqa: ANN401 - protobuf's
    """Return the attributes of a message."""
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in message.attributes}


@contextmanager
def collecting(**how: Any) -> Iterator[Collector]:  # noqa: ANN401 - as Collector has them
    """Listen on a free port of 127.0.0.1."""
    collector = Collector(**how)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            collector.bodies.append((self.path, body))
            collector.headers.append(dict(self.headers))
            if collector.silent:
                collector.over.wait()
            self.send_response(collector.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    collector.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread.start()
    try:
        yield collector
    finally:
        collector.over.set()
        server.shutdown()
        server.server_close()
        thread.join()
