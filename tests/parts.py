"""What tests of the delivery are made of: stores, staged parts, runs that are killed, a fake S3."""

from __future__ import annotations

import gzip
import hashlib
from typing import TYPE_CHECKING, Any, cast

import fsspec.asyn
from botocore.exceptions import ClientError

from cefline import s3 as s3_module
from cefline.deliver.delivery import Delivery
from cefline.deliver.publish import planned
from cefline.deliver.staging import Staged
from cefline.deliver.store import LocalStore, S3Store, Store
from cefline.pack import compressed, text_digest
from cefline.s3 import S3Settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pytest

    from cefline.pack import Compression
    from tests.seaweed import S3

TEXT = "text/plain"
SETTINGS: dict[str, Any] = {"compression": "gzip", "hive": False, "part_size": 64}


class FakeFs:
    """A filesystem each of whose calls fails in one way, or gives what it was made with."""

    def __init__(self, *answers: Exception | dict[str, Any]) -> None:
        self.answers = list(answers)
        self.calls: list[dict[str, Any]] = []
        self.loop = fsspec.asyn.get_loop()

    async def _call_s3(self, method: str, **arguments: Any) -> dict[str, Any]:  # noqa: ANN401 - any
        self.calls.append({"method": method, **arguments})
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, ClientError):
            raise OSError("as s3fs translates it") from answer
        if isinstance(answer, Exception):
            raise answer
        return answer


def as_client(fs: FakeFs, attempts: int = 8, deadline: float = 600.0) -> s3_module.Client:
    """Return a client that calls a fake filesystem."""
    return s3_module.Client(cast("Any", fs), attempts, deadline)


def answered(code: str, status: int) -> ClientError:
    """Return the error that botocore makes of an answer of S3."""
    reply: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(reply, "PutObject")


def local_store(folder: Path) -> LocalStore:
    """Return a store in a folder that need not exist, its drafts beside it."""
    return LocalStore(str(folder), folder, folder.with_name(f"{folder.name}.tmp"))


def s3_store(
    s3: S3, monkeypatch: pytest.MonkeyPatch, url: str = "", put: Mapping[str, str] | None = None
) -> S3Store:
    """Return a store on the test's server."""
    for name, value in s3.env.items():
        monkeypatch.setenv(name, value)
    return S3Store(url or f"{s3.url}/dest", s3_module.connect(S3Settings(attempts=3)), put or {})


def part_text(name: str, events: int = 2) -> bytes:
    """Return some lines, different ones for each name."""
    return b"".join(f"CEF:0|{name} {n}\n".encode() for n in range(events))


def staged(
    folder: Path,
    texts: Sequence[bytes],
    compression: Compression = "gzip",
    partition: str = "p",
    first: int = 0,
) -> list[Staged]:
    """Put texts into parts on disk, as staging does."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for number, text in enumerate(texts):
        path = folder / f"{number:06d}"
        stored, events = compressed(text, compression), text.count(b"\n")
        path.write_bytes(stored)
        last = first + events - 1
        told = (len(text), text_digest(text), len(stored), hashlib.sha256(stored).hexdigest())
        parts.append(Staged(partition, path, events, first, last, *told))
        first = last + 1
    return parts


def plan_of(
    parts: Sequence[Staged],
    delivery: str = "a" * 32,
    segment: int = 1,
    settings: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the plan of a segment with these parts."""
    return {
        "version": 1,
        "delivery": delivery,
        "segment": segment,
        "source": {"url": f"{delivery[:1]}.jsonl"},
        "cefline": "0.1.0",
        "text_format": "1",
        "settings": dict(settings or SETTINGS),
        "variant": {"evidence_id": None, "redeliver": None},
        "skip": {},
        "parts": [planned(part) for part in parts],
    }


def delivery_of(name: str = "a", settings: Mapping[str, Any] | None = None) -> Delivery:
    """Return a delivery whose id is one letter again and again."""
    variant = {"evidence_id": None, "redeliver": None}
    source = {"url": f"{name}.jsonl", "size": 1, "version": "1", "sha256": name, "format": "ndjson"}
    return Delivery(name * 32, source, settings or SETTINGS, "0.1.0", "1", variant)


def texts_of(store: Store) -> list[bytes]:
    """Return the text of the objects of a destination, in key order."""
    bodies = [store.read(key) for key, _ in store.list()]
    return [gzip.decompress(b) if b.startswith(b"\x1f\x8b") else b for b in bodies]


def lines_of(store: Store) -> list[bytes]:
    """Return the events of a destination, in key order."""
    return [line for text in texts_of(store) for line in text.splitlines()]


class KilledError(BaseException):
    """Nothing catches it, as nothing catches a kill."""


def kill_at(patch: pytest.MonkeyPatch, point: str, *, done: bool) -> None:
    """Let the creation of an object be the last thing that a run does, or almost does."""
    create = LocalStore.create

    def killed(store: LocalStore, key: str, *rest: Any, **more: Any) -> bool:  # noqa: ANN401 - passed on
        hit = point in key
        if hit and not done:
            raise KilledError
        created = create(store, key, *rest, **more)
        if hit:
            raise KilledError
        return created

    patch.setattr(LocalStore, "create", killed)
