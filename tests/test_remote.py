"""Destinations but S3 and local ones: the whole delivery over fsspec, and errors that tell."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from cefline.config import Config
from cefline.deliver import remote
from cefline.deliver.remote import RemoteStore
from cefline.deliver.store import MissingError
from cefline.errors import CeflineError, ConfigError, TryAgainError
from cefline.job import export
from cefline.pack import text_of
from cefline.verify.run import verify
from tests.parts import KilledError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.commands import Result

FAKE = remote._Scheme("none", "none", {}, lambda *_: {}, lambda _: "")  # noqa: SLF001 - as the real ones


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Return a destination in this process's memory."""
    monkeypatch.setitem(remote.SCHEMES, "memory", FAKE)
    bucket = uuid4().hex
    yield f"memory://{bucket}/siem"
    fs = MemoryFileSystem(skip_instance_cache=True)
    if fs.exists(bucket):
        fs.rm(bucket, recursive=True)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return a source of 30 events."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"".join(b'{"msg": "event %d"}\n' % n for n in range(30)))
    return path


def messages(url: str) -> list[str]:
    """Return the lines below a destination, in the order of their keys."""
    fs = MemoryFileSystem(skip_instance_cache=True)
    texts = [text_of(fs.cat_file(name)).decode() for name in sorted(fs.find(url))]
    return [line.rpartition("msg=")[2] for text in texts for line in text.splitlines()]


def test_a_delivery_is_whole_and_done_once(memory: str, source: Path) -> None:
    """Parts, state, verify: all of it over fsspec, and the second run does nothing."""
    config = Config(sources=(str(source),), dest=memory, part_size=500)
    assert export(config).exit_code == 0
    assert messages(memory) == [f"event {n}" for n in range(30)]
    again = export(config)
    assert (again.exit_code, again.sources[0].outcome) == (0, "known")
    assert len(messages(memory)) == 30
    (proof,) = verify(config)
    assert (proof.is_right, proof.events, proof.compared) == (True, 30, 30)


@pytest.mark.parametrize("at", range(1, 12))
def test_a_killed_delivery_goes_on(
    memory: str, source: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """Killed after any of its objects, the next run delivers the rest."""
    create, made = RemoteStore.create, 0

    def killed(store: RemoteStore, key: str, *rest: Any, **more: Any) -> bool:  # noqa: ANN401 - passed on
        nonlocal made
        found = create(store, key, *rest, **more)
        made += 1
        if made == at:
            raise KilledError
        return found

    config = Config(sources=(str(source),), dest=memory, part_size=500, threads=1)
    with monkeypatch.context() as patch:
        patch.setattr(RemoteStore, "create", killed)
        with pytest.raises(KilledError):
            export(config)
    assert export(config).exit_code == 0
    assert sorted(messages(memory)) == sorted(f"event {n}" for n in range(30))


def test_a_service_that_overwrites_is_refused(
    memory: str, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each run of it, before anything is put out: what is delivered twice can't be taken back."""
    pipe = MemoryFileSystem.pipe_file

    def overwriting(
        fs: MemoryFileSystem,
        path: str,
        value: bytes,
        mode: str = "overwrite",  # noqa: ARG001 - is what it ignores
        **more: Any,  # noqa: ANN401 - passed on
    ) -> None:
        pipe(fs, path, value, mode="overwrite", **more)

    monkeypatch.setattr(MemoryFileSystem, "pipe_file", overwriting)
    for _ in range(2):
        with pytest.raises(ConfigError, match="overwrites objects") as caught:
            export(Config(sources=(str(source),), dest=memory))
        assert caught.value.exit_code == 78
    assert messages(memory) == []


class _AnswerError(Exception):
    """An error as the libraries have them: with a status and no base of their own."""

    def __init__(self, status: int) -> None:
        super().__init__("said //user:secret@host\nmore")
        self.status_code = status


class CredentialUnavailableError(Exception):
    """As azure-identity has it, by name."""


@pytest.mark.parametrize(
    ("raised", "kind", "code"),
    [
        (_AnswerError(403), ConfigError, 78),
        (_AnswerError(401), ConfigError, 78),
        (OSError("Forbidden: x"), ConfigError, 78),
        (CredentialUnavailableError("none"), ConfigError, 78),
        (_AnswerError(503), TryAgainError, 75),
        (_AnswerError(429), TryAgainError, 75),
        (ConnectionResetError("reset"), TryAgainError, 75),
        (FileNotFoundError("x"), MissingError, 1),
        (_AnswerError(400), CeflineError, 1),
        (ValueError("odd"), CeflineError, 1),
    ],
    ids=repr,
)
@pytest.mark.parametrize("operation", ["create", "read", "list"])
def test_what_goes_wrong_is_told(
    monkeypatch: pytest.MonkeyPatch,
    *,
    operation: str,
    raised: Exception,
    kind: type[CeflineError],
    code: int,
) -> None:
    """Rights are a setting, a service that is busy is a reason to try again; with the place."""

    def failing(*_: object, **__: object) -> None:
        raise raised

    for name in ("pipe_file", "cat_file", "find"):
        monkeypatch.setattr(MemoryFileSystem, name, failing)
    store = RemoteStore("memory://b/x", MemoryFileSystem(skip_instance_cache=True))
    attempts: dict[str, Callable[[], object]] = {
        "create": lambda: store.create("k", b"", "text/plain", {}),
        "read": lambda: store.read("k"),
        "list": lambda: list(store.list()),
    }
    with pytest.raises(kind) as caught:
        attempts[operation]()
    assert (type(caught.value), caught.value.exit_code) == (kind, code)
    assert "memory://b/x" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(("url", "extra"), [("gs://b/x", "gcs"), ("az://b/x", "azure")])
def test_a_library_that_is_missing_is_told(
    command: Callable[..., Result],
    source: Path,
    monkeypatch: pytest.MonkeyPatch,
    url: str,
    extra: str,
) -> None:
    """With the command that installs it; exit code 78."""
    for module in ("gcsfs", "adlfs"):
        monkeypatch.setitem(sys.modules, module, None)
    result = command("export", str(source), url)
    assert result.code == 78
    assert f"pip install 'cefline[{extra}]'" in result.err
    assert "Traceback" not in result.err


def test_an_endpoint_without_tls_is_refused(memory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it was set; s3.allow_http allows it."""
    plain = remote._Scheme("none", "none", {}, lambda *_: {}, lambda _: "http://other.example")  # noqa: SLF001
    monkeypatch.setitem(remote.SCHEMES, "memory", plain)
    with pytest.raises(ConfigError, match="not encrypted"):
        remote.connect(memory, allow_http=False)
    assert remote.connect(memory, allow_http=True).url == memory


def test_what_can_t_be_set_up_is_told(memory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong connection string is the user's to correct."""

    def failing(*_: object, **__: object) -> None:
        message = "Connection string is //x:secret@y"
        raise ValueError(message)

    monkeypatch.setattr(fsspec, "filesystem", failing)
    with pytest.raises(ConfigError, match="can't be set up") as caught:
        remote.connect(memory, allow_http=False)
    assert "secret" not in str(caught.value)


def test_state_keeps_what_it_is_given(memory: str) -> None:
    """An object of JSON comes back as it was created."""
    store = remote.connect(memory, allow_http=False)
    assert store.create("a/b.json", json.dumps({"x": 1}).encode(), "application/json", {})
    assert json.loads(store.read("a/b.json")) == {"x": 1}
