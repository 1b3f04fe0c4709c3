"""An S3 endpoint for measurements: it answers late, discards parts, and logs when what was asked.

An answer leaves a fixed time after its request was in, whatever else is asked meanwhile; only the
bytes of sources may take longer, over a line of limited bandwidth that they share.

Run as: `python benchmarks/endpoint.py LOG [--latency S] [--rate MB/S] [--source KEY=FILE]...`
It prints its address, and ends when its standard input does: with the process that started it.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import sys
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple
from urllib.parse import parse_qsl, unquote

from bucket import Answer, Bucket, Request, Span

if TYPE_CHECKING:
    from collections.abc import Iterator

MB = 1_000_000
PIECE = 1 << 18
"""Bytes that are sent at once where the line is limited."""


class Entry(NamedTuple):
    """A line of the log: one request, with times of the system's monotonic clock."""

    method: str
    """LIST for a listing."""
    key: str
    """The prefix, of a listing."""
    began: float
    """When its first line was in."""
    ended: float
    """When its answer was out."""
    status: int
    size: int
    """Of the body, of question and answer together."""
    sha256: str
    """Of what was put."""
    about: dict[str, str]
    """The metadata that came with it."""


@dataclass(slots=True)
class Line:
    """A line that all sources share on their way out."""

    rate: float | None
    """Bytes in a second, None for no limit."""
    free: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def wait(self, size: int) -> None:
        """Wait until so many bytes would have gone through."""
        if self.rate is None:
            return
        with self.lock:
            self.free = max(self.free, time.monotonic()) + size / self.rate
            until = self.free
        time.sleep(max(0.0, until - time.monotonic()))


class Endpoint(ThreadingHTTPServer):
    """Serves one bucket, whatever its name, with a thread for each connection."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, bucket: Bucket, log: Path, latency: float, line: Line) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.bucket, self.latency, self.line = bucket, latency, line
        self._lock = threading.Lock()
        self._log = log.open("w", encoding="utf-8")

    def note(self, entry: Entry) -> None:
        """Add a line to the log."""
        with self._lock:
            self._log.write(f"{json.dumps(entry._asdict())}\n")
            self._log.flush()


class Handler(BaseHTTPRequestHandler):
    """Answers the requests of one connection."""

    server: Endpoint
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body leave together
    began = 0.0

    def parse_request(self) -> bool:
        """Note when a request came in."""
        self.began = time.monotonic()
        return super().parse_request()

    def handle_expect_100(self) -> bool:
        """Send what is written, since the client waits for it."""
        going_on = super().handle_expect_100()
        self.wfile.flush()
        return going_on

    def log_request(self, *_: object) -> None:
        """Say nothing: there is a log."""

    def serve(self) -> None:
        """Answer one request, at its time."""
        content = self._content()
        at = time.monotonic() + self.server.latency
        request = self._request(content)
        answer = self.server.bucket.answer(request)
        time.sleep(max(0.0, at - time.monotonic()))
        size = self._send(answer) + len(content)
        # Before the last bytes leave: who has them may end this process.
        self.server.note(entry(request, self.began, answer.status, size))
        self.wfile.flush()

    do_GET = do_HEAD = do_PUT = do_DELETE = serve  # noqa: N815 - the names that are looked for

    def _content(self) -> bytes:
        """Return the body, without the frames that it may be sent in."""
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            body = b"".join(unframed(self.rfile))
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if "aws-chunked" in self.headers.get("Content-Encoding", ""):
            return b"".join(unframed(io.BytesIO(body)))
        return body

    def _request(self, content: bytes) -> Request:
        path, _, query = self.path.partition("?")
        key = unquote(path).lstrip("/").partition("/")[2]
        asked = dict(parse_qsl(query, keep_blank_values=True))
        headers = {name.lower(): value for name, value in self.headers.items()}
        digest = hashlib.sha256(content).hexdigest()
        return Request(self.command, key, asked, headers, content, digest)

    def _send(self, answer: Answer) -> int:
        """Send an answer, and return the size of its body."""
        body = answer.body
        size = body.size if isinstance(body, Span) else len(body)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status != 204:
            self.send_header("Content-Length", str(size))
        self.end_headers()
        if self.command == "HEAD":
            return 0
        for piece in self._pieces(body) if isinstance(body, Span) else [body]:
            self.wfile.write(piece)
        return size

    def _pieces(self, span: Span) -> Iterator[bytes]:
        with span.path.open("rb") as file:
            file.seek(span.start)
            for start in range(0, span.size, PIECE):
                piece = file.read(min(PIECE, span.size - start))
                self.server.line.wait(len(piece))
                yield piece


def entry(request: Request, began: float, status: int, size: int) -> Entry:
    """Return the log's line of a request that is answered now."""
    listing = "list-type" in request.query
    method = "LIST" if listing else request.method
    key = request.query.get("prefix", "") if listing else request.key
    mark = "x-amz-meta-"
    about = {n.removeprefix(mark): v for n, v in request.headers.items() if n.startswith(mark)}
    return Entry(method, key, began, time.monotonic(), status, size, request.sha256, about)


def unframed(file: BinaryIO | io.BufferedIOBase) -> Iterator[bytes]:
    """Yield the data of a body in chunks: HTTP's and S3's look alike."""
    while size := int(file.readline().partition(b";")[0], 16):
        yield file.read(size)
        file.readline()
    while file.readline().strip():  # trailers
        pass


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("log", type=Path, help="where to write a line of JSON for each request")
    parser.add_argument("--latency", type=float, default=0.03, help="seconds to each answer")
    parser.add_argument("--keep", default="state/", help="prefix of what is read back")
    parser.add_argument("--rate", type=float, help="MB/s of all sources together")
    parser.add_argument("--source", action="append", default=[], metavar="KEY=FILE")
    args = parser.parse_args()
    bucket, line = Bucket(args.keep), Line(args.rate * MB if args.rate else None)
    for given in args.source:
        key, _, path = given.partition("=")
        bucket.add(key, Path(path))
    endpoint = Endpoint(bucket, args.log, args.latency, line)
    threading.Thread(target=endpoint.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{endpoint.server_address[1]}", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        sys.stdin.read()


if __name__ == "__main__":
    main()
