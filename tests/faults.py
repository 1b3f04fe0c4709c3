"""A proxy before the S3 server that does to requests what networks and S3 do, and keeps a log."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import threading
import urllib.parse
from typing import TYPE_CHECKING, Literal, NamedTuple, Self

from aiohttp import ClientError, ClientSession, TCPConnector, web
from yarl import URL

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aiohttp import ClientResponse
    from multidict import CIMultiDictProxy

Fault = Literal["none", "reset", "reset_mid", "lost", "cut", "503", "500", "409", "stall"]

_CODES = {"503": "SlowDown", "500": "InternalError", "409": "ConditionalRequestConflict"}
_REFUSED = {"AccessDenied": 403, "ExpiredToken": 400}
_BY_HAND = ("Transfer-Encoding", "Connection", "Content-Length", "Keep-Alive")
_BODY = "<Error><Code>{}</Code><Message>injected</Message><RequestId>x</RequestId></Error>"


class Request(NamedTuple):
    """What a client asked for."""

    method: str
    path: str
    query: dict[str, str]
    create_only: bool
    fault: Fault
    status: int
    """The server's own; 0 where it was not asked."""
    headers: Mapping[str, str]

    @property
    def key(self) -> str:
        """Return key or prefix, after the bucket."""
        return self.path.partition("/")[2] or self.query.get("prefix", "")

    @property
    def kind(self) -> str:
        """Return what it does, in one word."""
        if self.method == "PUT" and self.create_only and not self.query:
            return "create"
        if self.method == "GET" and "list-type" in self.query:
            return "list"
        return "get" if self.method == "GET" and set(self.query) <= {"x-id"} else str(self)


def random_faults(
    seed: int, share: float, stall: float = 2.5
) -> Callable[[str], tuple[Fault, float]]:
    """Return a choice of faults for a share of the requests; a conflict comes to PUT alone."""
    rng = random.Random(seed)
    faults: list[Fault] = ["reset", "reset_mid", "lost", "cut", "503", "500", "stall"]

    def choose(method: str) -> tuple[Fault, float]:
        fault: Fault = "none"
        if rng.random() < share:
            fault = rng.choice([*faults, "409"] if method == "PUT" else faults)
        return fault, stall

    return choose


class Proxy(threading.Thread):
    """Listens on a free port of 127.0.0.1 in a thread and an event loop of its own."""

    def __init__(
        self,
        upstream: str,
        choose: Callable[[str], tuple[Fault, float]] | None = None,
        refuse: Callable[[Request], str] | None = None,
    ) -> None:
        """Take the server's address, and what decides on requests.

        Args:
            upstream: the server.
            choose: gives the fault of a request by its method.
            refuse: gives the code with which S3 refuses a request, or nothing; it is asked before
                the server is, and again with the server's status.
        """
        super().__init__(daemon=True)
        self.log: list[Request] = []
        self._upstream, self._choose = upstream, choose or (lambda _: ("none", 0.0))
        self._refuse = refuse or (lambda _: "")
        self._loop = asyncio.new_event_loop()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def __enter__(self) -> Self:
        """Serve."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._loop.call_soon_threadsafe(self._done.set)
        self.join()

    def run(self) -> None:
        """Serve until it is stopped."""
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._done = asyncio.Event()
        application = web.Application(client_max_size=0)
        application.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(
            application, auto_decompress=False, access_log=None, shutdown_timeout=0.1
        )
        await runner.setup()
        skipped = ("Content-Type", "Accept", "Accept-Encoding", "User-Agent")
        async with ClientSession(
            auto_decompress=False, connector=TCPConnector(limit=0), skip_auto_headers=skipped
        ) as self._session:
            await web.SockSite(runner, self._socket).start()
            await self._done.wait()
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        fault, seconds = self._choose(request.method)
        status, answer = 0, None
        if fault == "reset":
            pass
        elif fault == "reset_mid":
            await request.content.read(1)
        else:
            body = await request.read()
            await asyncio.sleep(seconds if fault == "stall" else 0)
            if fault in _CODES:
                answer = _error(int(fault), _CODES[fault])
            else:
                status, answer = await self._asked(request, body)
        self.log.append(_logged(request, fault, status))
        if answer is None or fault == "lost":
            return self._abort(request)
        if fault == "cut":
            return await self._cut(request, answer)
        return answer

    async def _asked(self, request: web.Request, body: bytes) -> tuple[int, web.Response | None]:
        """Ask the server what may be asked; that something is not there, not all may know."""
        status, answer = 0, None
        code = self._refuse(_logged(request, "none", 0))
        if not code:
            status, answer = await self._forwarded(request, body)
            code = self._refuse(_logged(request, "none", status)) if status else ""
        return status, _error(_REFUSED[code], code) if code else answer

    async def _forwarded(
        self, request: web.Request, body: bytes
    ) -> tuple[int, web.Response | None]:
        """Ask the server; a server that is down is a connection that breaks."""
        url = URL(f"{self._upstream}{request.raw_path}", encoded=True)
        with contextlib.suppress(ClientError, OSError):
            async with self._session.request(
                request.method, url, headers=request.headers, data=body, allow_redirects=False
            ) as reply:
                return reply.status, _copied(reply, await reply.read())
        return 0, None

    @staticmethod
    def _abort(request: web.Request) -> web.Response:
        if request.transport is not None:
            request.transport.abort()
        return web.Response()

    async def _cut(self, request: web.Request, answer: web.Response) -> web.StreamResponse:
        """Send half of an answer."""
        body = answer.body if isinstance(answer.body, bytes) else b""
        cut = web.StreamResponse(status=answer.status, headers=answer.headers)
        cut.content_length = len(body) or None
        await cut.prepare(request)
        await cut.write(body[: len(body) // 2])
        self._abort(request)
        return cut


def _error(status: int, code: str) -> web.Response:
    text = _BODY.format(code)
    return web.Response(status=status, text=text, content_type="application/xml")


def _copied(reply: ClientResponse, body: bytes) -> web.Response:
    headers: CIMultiDictProxy[str] = reply.headers
    kept = [(name, value) for name, value in headers.items() if name not in _BY_HAND]
    return web.Response(status=reply.status, headers=dict(kept), body=body)


def _logged(request: web.Request, fault: Fault, status: int) -> Request:
    path, _, query = request.raw_path.partition("?")
    asked = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
    create_only = request.headers.get("If-None-Match") == "*"
    bucket_and_key = urllib.parse.unquote(path).strip("/")
    return Request(
        request.method, bucket_and_key, asked, create_only, fault, status, request.headers
    )
