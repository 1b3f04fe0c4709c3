"""Readers that only poll, as SIEMs do: each keeps its place in its own way and reads all along.

What they list and read is the store itself, without any of our code.
"""

from __future__ import annotations

import gzip
import hashlib
import re
import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self

from botocore.exceptions import BotoCoreError, ClientError

from tests import seaweed

if TYPE_CHECKING:
    from pathlib import Path

    from botocore.client import BaseClient

CUTOFF = 3.0
"""Logstash leaves objects alone that are younger: others of the same second may still appear."""

_EVENT_ID = re.compile(rb"(?<!\\) eventId=(\S+)")  # a value's own text has `\=`


class Listed(NamedTuple):
    """An object as a listing tells it."""

    key: str
    etag: str
    modified: float


class Shelf(Protocol):
    """A place that readers poll."""

    def listed(self, after: str = "") -> list[Listed]:
        """Return the objects beyond a key, in key order."""

    def read(self, key: str) -> bytes:
        """Return the bytes of an object."""

    def delete(self, key: str) -> None:
        """Remove an object."""

    def uploads(self) -> list[str]:
        """Return the keys of uploads that were begun and not ended."""


@dataclass(frozen=True, slots=True)
class S3Shelf:
    """Objects below a prefix, `/` at its end, as the administrator sees them."""

    endpoint: str
    prefix: str

    @property
    def client(self) -> BaseClient:
        """Return a client that tries once."""
        return seaweed.client(self.endpoint, seaweed.ADMIN.key, seaweed.ADMIN.secret)

    def listed(self, after: str = "") -> list[Listed]:
        """Return the objects beyond a key, in key order."""
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=seaweed.BUCKET,
            Prefix=self.prefix,
            **({"StartAfter": f"{self.prefix}{after}"} if after else {}),
        )
        return [
            Listed(
                found["Key"].removeprefix(self.prefix),
                found["ETag"],
                found["LastModified"].timestamp(),
            )
            for page in pages
            for found in page.get("Contents", ())
        ]

    def read(self, key: str) -> bytes:
        """Return the bytes of an object."""
        answer = self.client.get_object(Bucket=seaweed.BUCKET, Key=f"{self.prefix}{key}")
        return bytes(answer["Body"].read())

    def delete(self, key: str) -> None:
        """Remove an object."""
        self.client.delete_object(Bucket=seaweed.BUCKET, Key=f"{self.prefix}{key}")

    def uploads(self) -> list[str]:
        """Return the keys of uploads in parts that were begun and not ended."""
        found = self.client.list_multipart_uploads(Bucket=seaweed.BUCKET)
        return [upload["Key"] for upload in found.get("Uploads") or ()]


@dataclass(frozen=True, slots=True)
class FolderShelf:
    """Files below a folder."""

    folder: Path

    def listed(self, after: str = "") -> list[Listed]:
        """Return the files beyond a key, in key order.

        A walk takes its time, and S3's listings none: what came while it went on is left out.
        """
        before = max(self._keys(), default="")
        found = []
        for key in self._keys():
            if after < key <= before:
                path = self.folder / key
                etag = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
                found.append(Listed(key, etag, path.stat().st_mtime))
        return found

    def _keys(self) -> list[str]:
        paths = (path for path in self.folder.rglob("*") if path.is_file())
        return sorted(path.relative_to(self.folder).as_posix() for path in paths)

    def read(self, key: str) -> bytes:
        """Return the bytes of a file."""
        return (self.folder / key).read_bytes()

    def delete(self, key: str) -> None:
        """Remove a file."""
        (self.folder / key).unlink()

    def uploads(self) -> list[str]:
        """Return nothing: drafts lie in the state, where runs remove them."""
        return []


def text_ids(body: bytes) -> list[str]:
    """Return the IDs of the events in an object, read without any of our code."""
    return [found.decode() for found in _EVENT_ID.findall(gzip.decompress(body))]


class Reader(threading.Thread):
    """Polls a shelf until it is stopped, and counts each event as often as it reads it."""

    def __init__(self, shelf: Shelf, every: float = 0.05) -> None:
        """Take the shelf and the seconds between two polls."""
        super().__init__(daemon=True)
        self.shelf, self.every = shelf, every
        self.events: Counter[str] = Counter()
        self.keys: list[str] = []
        self.failed: Exception | None = None
        self._stopped = threading.Event()

    def __enter__(self) -> Self:
        """Begin."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop without a last look."""
        self._stopped.set()
        self.join()

    def run(self) -> None:
        """Poll; a server that is down for a while is no reason to end."""
        while not self._stopped.wait(self.every):
            try:
                self.poll()
            except (BotoCoreError, ClientError):
                continue
            except Exception as err:  # noqa: BLE001 - told by whoever waits for the end
                self.failed = err
                return

    def finish(self) -> Counter[str]:
        """Take a last look, and return how often each event was read."""
        self._stopped.set()
        self.join()
        if self.failed is not None:
            raise self.failed
        self.poll()
        return self.events

    def poll(self) -> None:
        """List, and read what is new."""
        raise NotImplementedError

    def take(self, key: str) -> None:
        """Read an object."""
        found = text_ids(self.shelf.read(key))  # first: it may fail, and is read again then
        self.events.update(found)
        self.keys.append(key)


class Filebeat(Reader):
    """Knows what it has read by key, ETag and modification time."""

    def __init__(self, shelf: Shelf, every: float = 0.05) -> None:
        """Take the shelf and the seconds between two polls."""
        super().__init__(shelf, every)
        self.known: set[Listed] = set()

    def poll(self) -> None:
        """Read what is not known; an object in a second version would be read again."""
        for listed in self.shelf.listed():
            if listed not in self.known:
                self.take(listed.key)
                self.known.add(listed)


class Logstash(Reader):
    """Keeps the last modification time, and reads what is later and not too young."""

    watermark = 0.0

    def poll(self) -> None:
        """Read in order of modification time."""
        now = time.time()
        due = (
            listed
            for listed in self.shelf.listed()
            if listed.modified > self.watermark and now - listed.modified > CUTOFF
        )
        for listed in sorted(due, key=lambda one: one.modified):
            self.take(listed.key)
            self.watermark = listed.modified

    def finish(self) -> Counter[str]:
        """Wait until nothing is too young any more."""
        time.sleep(CUTOFF + 1.1)
        return super().finish()


class QRadar(Reader):
    """Keeps the last key, and reads what is beyond it."""

    marker = ""

    def poll(self) -> None:
        """Read in key order."""
        for listed in self.shelf.listed(self.marker):
            self.take(listed.key)
            self.marker = listed.key


class Cleaner(Reader):
    """Removes what it has read, at once."""

    def __init__(self, shelf: Shelf, every: float = 0.05) -> None:
        """Take the shelf and the seconds between two polls."""
        super().__init__(shelf, every)
        self.found: dict[str, list[str]] = {}
        self._looks = threading.Lock()

    def poll(self) -> None:
        """Read and remove in key order; it keeps no marker: what is there is new."""
        with self._looks:
            for listed in self.shelf.listed():
                ids = text_ids(self.shelf.read(listed.key))
                assert listed.key not in self.found, f"{listed.key} came again"
                self.found[listed.key] = ids
                self.events.update(ids)
                self.shelf.delete(listed.key)

    def catch_up(self) -> None:
        """Read and remove all that is there."""
        self.poll()


def readers(shelf: Shelf) -> tuple[Filebeat, Logstash, QRadar]:
    """Return one reader of each kind."""
    return Filebeat(shelf), Logstash(shelf), QRadar(shelf)
