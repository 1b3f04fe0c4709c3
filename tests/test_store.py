"""Stores: an object appears whole or not at all, once, and errors say what to do."""

from __future__ import annotations

import dataclasses
import errno
import os
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from cefline.deliver.remote import RemoteStore
from cefline.deliver.store import LocalStore, MissingError, S3Store, Store, open_store
from cefline.errors import CeflineError, ConfigError, TryAgainError
from cefline.s3 import DeniedError, S3Settings
from tests import seaweed
from tests.parts import FakeFs, answered, as_client, s3_store

if TYPE_CHECKING:
    from tests.seaweed import S3

TEXT = "text/plain"


@pytest.fixture
def local(tmp_path: Path) -> LocalStore:
    """Return a local store whose folders don't exist yet."""
    return LocalStore(str(tmp_path / "dest"), tmp_path / "dest", tmp_path / "scratch")


OTHERS = os.environ.get("CEFLINE_STORES", "").split()
"""Prefixes of real GCS and Azure stores, or of their emulators, to be tested as well."""


@pytest.fixture(params=["local", "s3", "memory", *OTHERS])
def store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Return an empty store of each kind."""
    if request.param == "local":
        local: LocalStore = request.getfixturevalue("local")
        return local
    if request.param == "s3":
        return s3_store(request.getfixturevalue("s3"), monkeypatch)
    if request.param == "memory":
        return RemoteStore(
            f"memory://{uuid4().hex}/dest", MemoryFileSystem(skip_instance_cache=True)
        )
    return open_store(f"{request.param}/{uuid4().hex}", None, pytest.fail, {})


def files(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_an_object_is_created_once(store: Store) -> None:
    """A second one of the same name is refused, and the first stays what it is."""
    assert store.create("a/b", b"first", TEXT, {}) is True
    assert store.create("a/b", b"second", TEXT, {}) is False
    assert store.read("a/b") == b"first"


def test_one_of_many_creators_wins(store: Store) -> None:
    """Of creators at the same time exactly one is told that it was the first."""
    if isinstance(store, RemoteStore) and store.url.startswith("memory:"):
        pytest.skip("fsspec's memory looks and writes in two steps")
    bodies = [bytes([n]) * 1000 for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda body: store.create("turn", body, TEXT, {}), bodies))
    assert sum(won) == 1
    assert store.read("turn") == bodies[won.index(True)]


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")  # of aiohttp, at others
@pytest.mark.parametrize("body", [b"", b"x" * (5 << 20)], ids=["empty", "5 MiB"])
def test_an_object_of_any_size_is_whole(store: Store, body: bytes) -> None:
    """Empty ones are created only once, too."""
    assert store.create("part", body, TEXT, {})
    assert not store.create("part", b"other", TEXT, {})
    assert store.read("part") == body
    assert list(store.list()) == [("part", len(body))]


def test_an_object_may_come_from_a_file(store: Store, tmp_path: Path) -> None:
    """A second one is refused, and the object stays when the file goes."""
    part = tmp_path / "000000"
    part.write_bytes(b"staged")
    assert store.create("a/part", part, TEXT, {})
    assert not store.create("a/part", part, TEXT, {})
    part.unlink()
    assert store.read("a/part") == b"staged"


@pytest.mark.parametrize("code", [errno.EXDEV, errno.EPERM, errno.EMLINK])
def test_a_file_of_another_file_system_is_copied(
    local: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """Into the draft, which is linked into place; on the same one it is the file itself."""
    part = tmp_path / "000000"
    part.write_bytes(b"staged")
    local.create("linked", part, TEXT, {})
    assert (local.root / "linked").samefile(part)
    link = Path.hardlink_to

    def refused(path: Path, target: Path) -> None:
        if target == part:
            raise OSError(code, os.strerror(code))
        link(path, target)

    monkeypatch.setattr(Path, "hardlink_to", refused)
    assert local.create("copied", part, TEXT, {})
    assert not (local.root / "copied").samefile(part)
    assert local.read("copied") == b"staged"
    assert files(local.scratch) == []


def test_objects_are_listed_by_how_their_key_begins(store: Store) -> None:
    """A prefix may end inside a name; the order is that of the keys' bytes, with their sizes."""
    names = ["turns/2.json", "turns/10.json", "turns-x", "turns/1.json", "turns/3/deep", "plans/a"]
    for size, name in enumerate(names):
        store.create(name, b"x" * size, TEXT, {})
    assert list(store.list("turns/")) == [
        ("turns/1.json", 3),
        ("turns/10.json", 1),
        ("turns/2.json", 0),
        ("turns/3/deep", 4),
    ]
    assert [key for key, _ in store.list("turns/1.")] == ["turns/1.json"]
    # Sorted: unlike S3 itself, the server of the tests takes a folder's `/` for the lowest sign.
    assert sorted(key for key, _ in store.list("turns")) == sorted(n for n in names if n[0] == "t")
    assert sorted(key for key, _ in store.list()) == sorted(names)
    assert list(store.list("nothing/")) == []


def test_an_empty_store_lists_nothing(store: Store) -> None:
    """Nothing has to be there before the first object."""
    assert list(store.list()) == []
    assert list(store.list("turns/")) == []


def test_a_store_tells_the_time_with_its_zone(store: Store) -> None:
    """Stamps are made from it, in UTC."""
    now = store.now()
    assert now.tzinfo is not None
    assert now.utcoffset() is not None
    assert now.year >= 2024


def test_a_local_store_leaves_nothing_but_the_object(local: LocalStore) -> None:
    """Drafts go, whether the object was created or was there already."""
    local.create("2026/part", b"x", TEXT, {})
    local.create("2026/part", b"y", TEXT, {})
    assert files(local.root) == ["2026/part"]
    assert files(local.scratch) == []


def test_drafts_are_never_below_the_destination(
    local: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader of the folder sees the object only when it is whole."""
    seen: list[tuple[list[str], list[str]]] = []

    def watched(descriptor: int) -> None:
        if not os.path.isdir(f"/proc/self/fd/{descriptor}"):  # noqa: PTH112 - follows the link
            seen.append((files(local.root), files(local.scratch)))

    monkeypatch.setattr(os, "fsync", watched)
    local.create("part", b"x", TEXT, {})
    assert [(len(dest), len(drafts)) for dest, drafts in seen] == [(0, 1)]


def test_a_file_and_its_folder_are_synced(
    local: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is said to be delivered survives a loss of power: the file's bytes and its name."""
    synced = synced_by(local, "2026/part", monkeypatch)
    assert len(synced) >= 2
    assert synced[-1] == local.root / "2026"


def test_new_folders_are_synced_too(local: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new folder whose own name is lost takes its parts with it."""
    synced = synced_by(local, "2026/turn/part", monkeypatch)
    assert {local.root / "2026" / "turn", local.root / "2026", local.root} <= set(synced)


def synced_by(local: LocalStore, key: str, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    synced: list[Path] = []

    def noted(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())

    monkeypatch.setattr(os, "fsync", noted)
    local.create(key, b"x", TEXT, {})
    return synced


@pytest.mark.parametrize(
    ("code", "error", "exit_code"),
    [
        (errno.ENOSPC, TryAgainError, 75),
        (errno.EDQUOT, TryAgainError, 75),
        (errno.EACCES, ConfigError, 78),
        (errno.EROFS, ConfigError, 78),
    ],
)
def test_a_failed_write_leaves_nothing(
    local: LocalStore,
    monkeypatch: pytest.MonkeyPatch,
    code: int,
    error: type[CeflineError],
    exit_code: int,
) -> None:
    """A full disk asks for another try, missing rights for another setting; no draft stays."""

    def failing(_: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(error) as caught:
        local.create("a/part", b"x", TEXT, {})
    assert caught.value.exit_code == exit_code
    assert str(local.root / "a/part") in str(caught.value)
    assert files(local.root) == []
    assert files(local.scratch) == []


@pytest.mark.parametrize("blocked", ["dest", "dest/a", "dest/a/part", "scratch"])
def test_what_is_in_the_way_is_told(local: LocalStore, blocked: str) -> None:
    """A file where a folder must be, or a folder where the file must be, is a wrong setting."""
    way = local.root.parent / blocked
    way.parent.mkdir(parents=True, exist_ok=True)
    if blocked == "dest/a/part":
        way.mkdir()
    else:
        way.write_bytes(b"mine")
    with pytest.raises(ConfigError, match="can't be written") as caught:
        local.create("a/part", b"x", TEXT, {})
    assert caught.value.exit_code == 78
    assert way.is_dir() or way.read_bytes() == b"mine"


def test_a_file_that_can_t_be_read_is_told(local: LocalStore) -> None:
    """Reading back has errors of ours, as writing has."""
    (local.root / "state.json").mkdir(parents=True)
    with pytest.raises(CeflineError):
        local.read("state.json")


def test_a_store_is_opened_by_its_url(
    tmp_path: Path, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A local folder gives an absolute URL, and needs no S3 client."""

    def none() -> Any:  # noqa: ANN401 - never called
        raise AssertionError

    monkeypatch.chdir(tmp_path)
    local = open_store("here/out", None, none, {})
    assert local.url == str(tmp_path / "here/out")
    remote = s3_store(s3, monkeypatch)
    assert open_store(remote.url, None, lambda: remote.client, {}).url == remote.url


def test_type_and_metadata_go_with_the_object(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    """No Content-Encoding: a client that undoes it would store what no reader expects."""
    store = s3_store(s3, monkeypatch)
    store.create("part.cef.gz", b"\x1f\x8b", "application/x-gzip", {"cefline-turn": "1"})
    stored = s3.get(f"{s3.prefix}/dest/part.cef.gz")
    assert stored.content_type == "application/x-gzip"
    assert stored.content_encoding == ""
    assert stored.metadata == {"cefline-turn": "1"}


def test_arguments_of_every_put_are_sent() -> None:
    """What the settings ask for goes with each object, and none of it is dropped on the way."""
    settings = S3Settings(
        sse="aws:kms",
        sse_kms_key_id="k",
        acl="bucket-owner-full-control",
        storage_class="GLACIER",
        tags="team=dfir&case=7",
    )
    fs = FakeFs({"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "arn:aws:kms:x:1:key/k"})
    store = S3Store("s3://cef/siem", as_client(fs), settings.put_arguments())
    assert store.create("a", b"x", TEXT, {"m": "1"})
    assert fs.calls == [
        {
            "method": "put_object",
            "Bucket": "cef",
            "Key": "siem/a",
            "Body": b"x",
            "IfNoneMatch": "*",
            "ChecksumSHA256": "LXEWQrcmsEQBYnyp+6wy9chTD7GQPMTbAiWHF5IaSIE=",
            "ContentType": TEXT,
            "Metadata": {"m": "1"},
            "ServerSideEncryption": "aws:kms",
            "SSEKMSKeyId": "k",
            "ACL": "bucket-owner-full-control",
            "StorageClass": "GLACIER",
            "Tagging": "team=dfir&case=7",
        }
    ]


@pytest.mark.parametrize(
    "answer",
    [{}, {"ServerSideEncryption": "AES256"}, {"ServerSideEncryption": "aws:kms"}],
    ids=["nothing", "another", "no key"],
)
def test_an_object_that_is_not_encrypted_as_asked_is_told(answer: dict[str, str]) -> None:
    """Some services ignore what they don't know: the answer has to say it. Exit code 78."""
    put = S3Settings(sse="aws:kms", sse_kms_key_id="k").put_arguments()
    store = S3Store("s3://cef/siem", as_client(FakeFs(dict(answer))), put)
    with pytest.raises(ConfigError, match="did not encrypt") as caught:
        store.create("a", b"x", TEXT, {})
    assert caught.value.exit_code == 78


@pytest.mark.parametrize(
    ("listed", "kind"), [([], MissingError), ([{"Key": "siem/a", "Size": 1}], DeniedError)]
)
def test_a_missing_key_is_not_taken_for_missing_rights(
    listed: list[dict[str, object]], kind: type[CeflineError]
) -> None:
    """S3 answers 403 for a missing key to those who may list only some prefixes."""
    fs = FakeFs(answered("AccessDenied", 403), {"Contents": listed})
    with pytest.raises(kind) as caught:
        S3Store("s3://cef/siem", as_client(fs)).read("a")
    assert type(caught.value) is kind
    assert "s3://cef/siem/a" in str(caught.value)


def test_tags_are_on_the_object(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lifecycle rules and rights can go by them."""
    s3_store(s3, monkeypatch, put=S3Settings(tags="team=dfir").put_arguments()).create(
        "part", b"x", TEXT, {}
    )
    answer = s3.client.get_object_tagging(Bucket=s3.bucket, Key=f"{s3.prefix}/dest/part")
    assert answer["TagSet"] == [{"Key": "team", "Value": "dfir"}]


@pytest.mark.parametrize("names", [["a", "ab", "b"], [f"{n:08d}.json" for n in range(12)]])
def test_a_listing_begins_beyond_a_key(store: Store, names: list[str]) -> None:
    """What is known need not be listed again; the key itself is left out."""
    for name in names:
        store.create(f"turns/{name}", b"", TEXT, {})
    for number, name in enumerate(names):
        listed = [key for key, _ in store.list("turns/", f"turns/{name}")]
        assert listed == [f"turns/{one}" for one in names[number + 1 :]]


def test_existence_is_of_the_whole_key(store: Store) -> None:
    """Neither a longer key nor one of another folder stands for it."""
    store.create("a/part-2", b"", TEXT, {})
    assert store.exists("a/part-2")
    for name in ("a/part", "a/part-22", "part-2", "a"):
        assert not store.exists(name)


def test_no_put_of_s3_is_left_open(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each object is one request: no upload in parts that a kill could leave behind."""
    s3_store(s3, monkeypatch).create("part", b"x" * (12 << 20), TEXT, {})
    uploads = s3.client.list_multipart_uploads(Bucket=s3.bucket, Prefix=s3.prefix)
    assert "Uploads" not in uploads
    assert s3.sizes() == {f"{s3.prefix}/dest/part": 12 << 20}


def test_drafts_of_killed_runs_are_swept(local: LocalStore) -> None:
    """Old ones go, one that may be being written stays, and so does every object."""
    local.sweep()
    local.create("part", b"x", TEXT, {})
    for name in ("old", "new"):
        (local.scratch / name).touch()
    os.utime(local.scratch / "old", (0, 0))
    os.utime(local.root / "part", (0, 0))
    local.sweep()
    assert (files(local.scratch), files(local.root)) == (["new"], ["part"])


def test_an_object_that_goes_while_it_is_listed_is_no_error(
    local: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader of a local destination removes what it has read."""
    for name in "ab":
        local.create(name, b"x", TEXT, {})
    is_file = Path.is_file

    def gone(path: Path) -> bool:
        found = is_file(path)
        (local.root / "a").unlink(missing_ok=True)
        return found or path.name == "a"

    monkeypatch.setattr(Path, "is_file", gone)
    assert [key for key, _ in local.list()] == ["b"]


@pytest.mark.parametrize("operation", ["create", "list", "read", "now"])
@pytest.mark.parametrize(
    ("wrong", "says", "advice"),
    [
        ({"secret": "wrong-and-secret"}, "secret key is wrong", "AWS_SECRET_ACCESS_KEY"),
        ({"key": "nobody"}, "access key is not known", "AWS_ACCESS_KEY_ID"),
        ({"bucket": "missing", **dataclasses.asdict(seaweed.ADMIN)}, "no such bucket", "Create it"),
    ],
    ids=["secret", "key", "bucket"],
)
def test_wrong_settings_are_told_with_what_to_do(
    s3: S3,
    monkeypatch: pytest.MonkeyPatch,
    *,
    operation: str,
    wrong: dict[str, Any],
    says: str,
    advice: str,
) -> None:
    """Exit code 78, the place, what is wrong, what to do; and never the secret."""
    known = {name: value for name, value in wrong.items() if name in {"key", "secret", "bucket"}}
    other = dataclasses.replace(s3, **known)
    store = s3_store(other, monkeypatch)
    with pytest.raises(ConfigError, match=says) as caught:
        attempt(store, operation)
    assert caught.value.exit_code == 78
    assert advice in str(caught.value)
    assert f"s3://{other.bucket}/" in str(caught.value)
    assert_no_secret(caught.value, other)


def test_missing_rights_are_told(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who may only read is told so at the first object; nothing is tried again."""
    reader = dataclasses.replace(s3, key=seaweed.READER.key, secret=seaweed.READER.secret)
    with pytest.raises(ConfigError, match="access denied") as caught:
        attempt(s3_store(reader, monkeypatch), "create")
    assert caught.value.exit_code == 78
    assert "policy" in str(caught.value)
    assert_no_secret(caught.value, reader)


@pytest.mark.parametrize("operation", ["create", "list", "read", "now"])
def test_a_server_that_is_not_there_is_a_reason_to_try_again(
    s3: S3, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    """A refused connection may work the next time: exit code 75, with the endpoint."""
    (port,) = seaweed.free_ports(1)
    away = dataclasses.replace(s3, endpoint=f"http://127.0.0.1:{port}")
    with pytest.raises(TryAgainError, match="can't be reached") as caught:
        attempt(s3_store(away, monkeypatch), operation)
    assert caught.value.exit_code == 75
    assert str(port) in str(caught.value)
    assert_no_secret(caught.value, away)


def attempt(store: Store, operation: str) -> None:
    if operation == "create":
        store.create("part", b"x", TEXT, {})
    elif operation == "read":
        store.read("part")
    elif operation == "list":
        list(store.list())
    else:
        store.now()


def assert_no_secret(err: CeflineError, s3: S3) -> None:
    shown = "".join(traceback.format_exception(err)) + repr(err) + repr(err.__dict__)
    assert s3.secret not in shown
