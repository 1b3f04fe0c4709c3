"""A bucket that keeps of most objects only size and SHA-256, and what it answers to requests.

It speaks as much S3 as cefline and boto3 need in measurements, and looks at no credentials.
"""

from __future__ import annotations

import base64
import re
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Mapping

ERRORS = {
    "BadDigest": 400,
    "NoSuchKey": 404,
    "PreconditionFailed": 412,
    "InvalidRange": 416,
    "NotImplemented": 501,
}
XML = {"Content-Type": "application/xml"}


class Span(NamedTuple):
    """Bytes of a file."""

    path: Path
    start: int
    size: int


class Answer(NamedTuple):
    """What is answered."""

    status: int = 200
    headers: Mapping[str, str] = {}
    body: bytes | Span = b""


class Stored(NamedTuple):
    """What is kept of an object."""

    size: int
    etag: str
    body: bytes | Path | None = None
    """None where it was discarded."""


class Request(NamedTuple):
    """What is asked of a bucket."""

    method: str
    key: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """Names in small letters."""
    body: bytes
    sha256: str
    """Of the body."""


@dataclass(slots=True)
class Bucket:
    """Objects by key."""

    keep: str
    """How keys begin whose bytes are kept."""
    objects: dict[str, Stored] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, key: str, path: Path) -> None:
        """Add an object whose bytes lie in a file."""
        stat = path.stat()
        self.objects[key] = Stored(stat.st_size, f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"', path)

    def answer(self, request: Request) -> Answer:
        """Carry out a request."""
        with self.lock:
            if "list-type" in request.query:
                return Answer(200, XML, self._listing(request.query))
            if set(request.query) - {"x-id"}:
                return failed("NotImplemented")
            if request.method == "PUT":
                return self._put(request)
            if request.method == "DELETE":
                self.objects.pop(request.key, None)
                return Answer(204)
            return self._get(request)

    def _put(self, request: Request) -> Answer:
        if request.headers.get("if-none-match") == "*" and request.key in self.objects:
            return failed("PreconditionFailed")
        told = request.headers.get("x-amz-checksum-sha256")
        if told and base64.b64decode(told).hex() != request.sha256:
            return failed("BadDigest")
        kept = request.body if request.key.startswith(self.keep) else None
        made = Stored(len(request.body), f'"{request.sha256[:32]}"', kept)
        self.objects[request.key] = made
        sums = {n: v for n, v in request.headers.items() if n.startswith("x-amz-checksum-")}
        return Answer(200, {"ETag": made.etag, **sums})

    def _get(self, request: Request) -> Answer:
        found = self.objects.get(request.key)
        if found is None:
            return failed("NoSuchKey")
        if request.headers.get("if-match", found.etag) != found.etag:
            return failed("PreconditionFailed")
        if found.body is None and request.method == "GET":
            return failed("NotImplemented")
        headers = {"ETag": found.etag, "Accept-Ranges": "bytes"}
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
        if wanted is None:
            return Answer(200, headers, cut(found, 0, found.size))
        start, end = int(wanted[1]), min(int(wanted[2] or found.size) + 1, found.size)
        if start >= end:
            return failed("InvalidRange")
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{found.size}"
        return Answer(206, headers, cut(found, start, end))

    def _listing(self, asked: Mapping[str, str]) -> bytes:
        prefix, most = asked.get("prefix", ""), int(asked.get("max-keys", 1000))
        after = asked.get("continuation-token") or asked.get("start-after", "")
        keys = sorted(k for k in self.objects if k.startswith(prefix) and k > after)
        url, page = asked.get("encoding-type") == "url", keys[:most]
        listed, folders = grouped(page, prefix, asked.get("delimiter", ""))
        body = "".join(contents(shown(key, url=url), self.objects[key]) for key in listed)
        for one in folders:
            body += f"<CommonPrefixes><Prefix>{shown(one, url=url)}</Prefix></CommonPrefixes>"
        body += f"<IsTruncated>{str(len(keys) > most).lower()}</IsTruncated>"
        if len(keys) > most:
            body += f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>"
        body += "<EncodingType>url</EncodingType>" if url else ""
        return f"<ListBucketResult>{body}</ListBucketResult>".encode()


def cut(stored: Stored, start: int, end: int) -> bytes | Span:
    """Return a range of an object's bytes; of what was discarded, only their number tells."""
    if isinstance(stored.body, bytes):
        return stored.body[start:end]
    return Span(stored.body or Path(), start, end - start)


def failed(code: str) -> Answer:
    """Return the answer that says what failed."""
    body = f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()
    return Answer(ERRORS[code], XML, body)


def grouped(keys: list[str], prefix: str, delimiter: str) -> tuple[list[str], dict[str, None]]:
    """Return the keys that are listed, and the folders that stand for the others."""
    listed: list[str] = []
    folders: dict[str, None] = {}
    for key in keys:
        below, found, _ = key.removeprefix(prefix).partition(delimiter or "\0")
        if found:
            folders[f"{prefix}{below}{found}"] = None
        else:
            listed.append(key)
    return listed, folders


def shown(key: str, *, url: bool) -> str:
    """Return a key as a listing has it."""
    return quote(key) if url else escape(key)


def contents(key: str, stored: Stored) -> str:
    """Return what a listing says of an object."""
    said = f"<Key>{key}</Key><Size>{stored.size}</Size><ETag>{escape(stored.etag)}</ETag>"
    return f"<Contents>{said}<StorageClass>STANDARD</StorageClass></Contents>"
