"""The staging folder: private, on disk, locked, and gone on with where it is whole."""

from __future__ import annotations

import errno
import fcntl
import multiprocessing
import os
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

from cefline.deliver import staging
from cefline.deliver.stage import stage
from cefline.errors import CeflineError, ConfigError, SourceError, TryAgainError
from cefline.pack import Compression, Piece
from tests.parts import KilledError, part_text, staged

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cefline.deliver.staging import Staged

DAY = 86_400


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return where staging folders go; nothing is there."""
    return tmp_path / "staging" / "of-us"


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def entries(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir())


# Private.


def test_folders_are_of_this_user_alone(root: Path) -> None:
    """Evidence lies there in plain text, whatever the umask says."""
    old = os.umask(0)
    try:
        with staging.folder(root, "a") as path:
            assert (mode(root), mode(path)) == (0o700, 0o700)
    finally:
        os.umask(old)


@pytest.mark.parametrize("bits", [0o755, 0o770, 0o701, 0o710, 0o704, 0o777])
def test_a_folder_that_others_can_enter_is_refused(root: Path, bits: int) -> None:
    """Nothing is put there: exit code 78, and what was expected."""
    root.mkdir(parents=True)
    root.chmod(bits)
    with pytest.raises(ConfigError, match="is not a private folder") as caught:
        enter(root)
    assert caught.value.exit_code == 78
    assert all(text in str(caught.value) for text in (str(root), "0700", "--staging"))
    assert entries(root) == []


def enter(root: Path) -> None:
    with staging.folder(root, "a"):
        pass


def test_a_folder_of_another_user_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In /var/tmp anybody can make a folder of any name before us."""
    root.mkdir(parents=True, mode=0o700)
    monkeypatch.setattr(os, "getuid", lambda: root.stat().st_uid + 1)
    with pytest.raises(ConfigError, match="is not a private folder"):
        enter(root)
    assert entries(root) == []


@pytest.mark.parametrize("private", [True, False])
def test_a_link_is_refused(root: Path, tmp_path: Path, *, private: bool) -> None:
    """It may lead anywhere, and may lead elsewhere a moment later."""
    (tmp_path / "real").mkdir(mode=0o700 if private else 0o755)
    root.parent.mkdir()
    root.symlink_to(tmp_path / "real")
    with pytest.raises(ConfigError, match="is not a private folder"):
        enter(root)
    assert entries(tmp_path / "real") == []


def test_a_link_in_the_place_of_a_source_s_folder_is_refused(root: Path, tmp_path: Path) -> None:
    """Nothing is written through it, and nothing behind it is removed."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "mine").touch()
    root.mkdir(parents=True, mode=0o700)
    (root / "a").symlink_to(tmp_path / "real")
    with pytest.raises(CeflineError):
        enter(root)
    assert entries(tmp_path / "real") == ["mine"]


@pytest.mark.parametrize("blocked", ["staging", "staging/of-us", "staging/of-us/a"])
def test_a_file_in_the_way_is_told(root: Path, tmp_path: Path, blocked: str) -> None:
    """With its name, and without a traceback."""
    way = tmp_path / blocked
    way.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    way.write_bytes(b"mine")
    if blocked.endswith("a"):
        root.chmod(0o700)
    with pytest.raises(CeflineError, match="staging"):
        enter(root)
    assert way.read_bytes() == b"mine"


def test_a_full_disk_is_a_reason_to_try_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 75, with the bytes that are free and the flag that names another place."""
    root.mkdir(parents=True, mode=0o700)
    mkdir = Path.mkdir

    def full(
        path: Path, mode: int = 0o777, *, parents: bool = False, exist_ok: bool = False
    ) -> None:
        if path.name == "a":
            raise OSError(errno.ENOSPC, "No space left on device")
        mkdir(path, mode, parents=parents, exist_ok=exist_ok)

    monkeypatch.setattr(Path, "mkdir", full)
    with pytest.raises(TryAgainError, match=r"the disk is full, \d+ bytes are free") as caught:
        enter(root)
    assert caught.value.exit_code == 75
    assert "--staging" in str(caught.value)


# Kept where a later run can go on with it.


def test_what_a_run_left_that_was_killed_beside_another_goes_with_its_source(root: Path) -> None:
    """A source's own folders, not another one's."""
    with staging.folder(root, "a"):
        with pytest.raises(KilledError), staging.folder(root, "a"):
            raise KilledError
        with staging.folder(root, "b"):
            pass
        assert entries(root) == ["a", "a.2"]
    assert entries(root) == []


def test_a_folder_stays_while_a_run_works_in_it(root: Path) -> None:
    """Whatever becomes of the one beside it."""
    with ExitStack() as beside:
        with staging.folder(root, "a"):
            beside.enter_context(staging.folder(root, "a"))
        assert entries(root) == ["a.2"]
    assert entries(root) == []


@pytest.mark.parametrize(
    ("err", "kept"),
    [
        (None, False),
        (SourceError("damaged"), False),
        (ConfigError("denied"), False),
        (CeflineError("any"), False),
        (TryAgainError("throttled"), True),
        (KilledError(), True),
        (KeyboardInterrupt(), True),
        (SystemExit(143), True),
        (OSError("read error"), True),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_was_staged_is_kept_where_a_rerun_needs_it(
    root: Path, err: BaseException | None, *, kept: bool
) -> None:
    """Removed after success and final failure; kept after 75, a signal or a kill."""

    def worked() -> None:
        with staging.folder(root, "a") as path:
            (path / "source").touch()
            if err is not None:
                raise err

    if err is None:
        worked()
    else:
        with pytest.raises(type(err)):
            worked()
    assert entries(root) == (["a"] if kept else [])
    with staging.folder(root, "a") as path:  # it is not locked any more
        assert path.name == "a"
        assert (path / "source").exists() is kept


def test_each_source_has_a_folder_of_its_own(root: Path) -> None:
    """Side by side, by name."""
    with staging.folder(root, "a") as one, staging.folder(root, "b") as other:
        assert [one, other] == [root / "a", root / "b"]


def test_a_folder_that_another_run_works_in_is_left_to_it(root: Path) -> None:
    """A second run of the same source works beside it, and removes only its own."""
    with staging.folder(root, "a") as one:
        (one / "source").touch()
        with staging.folder(root, "a") as other:
            assert other == root / "a.2"
            with staging.folder(root, "a") as third:
                assert third == root / "a.3"
        assert entries(root) == ["a"]
        assert (one / "source").exists()


def hold(root: Path, ready: multiprocessing.synchronize.Event) -> None:
    with staging.folder(root, "a"):
        ready.set()
        time.sleep(60)


def test_a_killed_process_holds_no_lock(root: Path) -> None:
    """The system gives it back: the next run goes on in the same folder."""
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=hold, args=(root, ready), daemon=True)
    process.start()
    assert ready.wait(30)
    with staging.folder(root, "a") as path:
        assert path.name == "a.2"
    process.kill()
    process.join()
    with staging.folder(root, "a") as path:
        assert path.name == "a"


def test_a_folder_that_goes_as_it_is_opened_is_made_again(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run beside this was done with it, just between two looks."""
    mkdir = os.mkdir
    met: list[Path] = []

    def gone(path: Path, *mode: int) -> None:
        if path.name == "a" and not met:
            met.append(path)
            raise FileExistsError(errno.EEXIST, "File exists")
        mkdir(path, *mode)

    monkeypatch.setattr(os, "mkdir", gone)
    with staging.folder(root, "a") as path:
        assert path.is_dir()
    assert len(met) == 1


@contextmanager
def entered(root: Path) -> Iterator[Path]:
    """Enter a folder, and again where it just went, which is a test of its own."""
    with ExitStack() as stack:
        while True:
            try:
                path = stack.enter_context(staging.folder(root, "a"))
                break
            except CeflineError as err:
                assert "File exists" in str(err)  # noqa: PT017 - see the test above
        yield path


def test_no_two_runs_are_in_one_folder(root: Path) -> None:
    """Also where folders are removed just as others open them."""
    busy: list[Path] = []
    met: list[Path] = []
    lock = threading.Lock()

    def worked(_: int) -> None:
        with entered(root) as path:
            with lock:
                met.extend(other for other in busy if other == path)
                busy.append(path)
            (path / "source").write_bytes(b"x")
            assert (path / "source").read_bytes() == b"x"
            with lock:
                busy.remove(path)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(worked, range(200)))
    assert met == []
    assert entries(root) == []


# Swept.


A, B = "a" * 32, "b" * 32
"""Keys of sources."""


def left(root: Path, *names: str) -> None:
    """Make folders as runs left them that were killed."""
    root.mkdir(parents=True, mode=0o700)
    root.chmod(0o700)
    for name in names:
        (root / name).mkdir()


@pytest.mark.parametrize("name", [A, f"{A}.2", f"{A}-split-3"])
@pytest.mark.parametrize(("days", "kept"), [(0, True), (6.9, True), (7.1, False), (30, False)])
def test_what_killed_runs_left_is_swept_after_a_week(
    root: Path, name: str, days: float, *, kept: bool
) -> None:
    """Who goes on with a source has a week; then its evidence does not lie around."""
    left(root, name)
    (root / name / "source").touch()
    then = time.time() - days * DAY
    os.utime(root / name, (then, then))
    staging.sweep(root, ())
    assert entries(root) == ([name] if kept else [])


@pytest.mark.parametrize("private", [True, False])
def test_what_is_not_ours_is_not_swept(root: Path, *, private: bool) -> None:
    """A user may name a folder that holds more, or one that others use as well."""
    mine = ["case42", "locks", "a", f"{A}x", A.upper()]
    left(root, *mine, A)
    for name in (*mine, A):
        os.utime(root / name, (0, 0))
    root.chmod(0o700 if private else 0o755)
    staging.sweep(root, ())
    assert entries(root) == sorted(mine if private else [*mine, A])


@pytest.mark.parametrize("name", [A, f"{A}.2", f"{A}.13", f"{A}-piece-0"])
def test_what_is_left_of_a_source_that_is_done_is_swept_at_once(root: Path, name: str) -> None:
    """Another run or host finished it; nobody goes on with it, and others' work stays."""
    left(root, name, B)
    staging.sweep(root, {A})
    assert entries(root) == [B]


def test_a_folder_that_is_worked_in_is_not_swept(root: Path) -> None:
    """However old it is: a run that takes a week is no killed one."""
    with staging.folder(root, A) as path:
        os.utime(path, (0, 0))
        staging.sweep(root, {A})
        assert path.exists()


def test_going_on_makes_a_folder_young_again(root: Path) -> None:
    """Its week begins with the last run that worked in it."""
    left(root, A)
    os.utime(root / A, (0, 0))
    with pytest.raises(KilledError), staging.folder(root, A):
        raise KilledError
    staging.sweep(root, ())
    assert entries(root) == [A]


def test_sweeping_leaves_what_is_no_folder(root: Path, tmp_path: Path) -> None:
    """Nor does it need a root, nor follow a link."""
    staging.sweep(root, ())
    (tmp_path / "real").mkdir()
    left(root)
    (root / A).touch()
    (root / B).symlink_to(tmp_path / "real")
    for path in (root / A, tmp_path / "real"):
        os.utime(path, (0, 0))
    staging.sweep(root, ())
    assert entries(root) == [A, B]
    assert (tmp_path / "real").is_dir()


# Gone on with.


def saved(folder: Path, compression: Compression = "gzip") -> list[Staged]:
    parts = staged(folder, [part_text(name) for name in "xyz"], compression)
    staging.save(folder, "basis", parts, {"tally": {"read": 6}})
    return parts


def test_parts_that_were_saved_are_taken_again(tmp_path: Path) -> None:
    """With all that is known of them, wherever the folder is."""
    parts = saved(tmp_path / "s")
    assert staging.saved(tmp_path / "s", "basis") == (parts, {"tally": {"read": 6}})
    (tmp_path / "s").rename(tmp_path / "t")
    found = staging.saved(tmp_path / "t", "basis")
    assert found is not None
    assert [part.path for part in found[0]] == [tmp_path / "t" / p.path.name for p in parts]


def test_no_parts_can_be_saved_too(tmp_path: Path) -> None:
    """A source without events is not read twice either."""
    staging.save(tmp_path, "basis", [], {})
    assert staging.saved(tmp_path, "basis") == ([], {})


def test_parts_of_another_basis_are_not_taken(tmp_path: Path) -> None:
    """Other settings, another version, other events to leave out: other parts."""
    saved(tmp_path / "s")
    assert staging.saved(tmp_path / "s", "another") is None
    assert staging.saved(tmp_path / "t", "basis") is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(path.read_bytes() + b"\0"),
        lambda path: path.write_bytes(b"\0" + path.read_bytes()[1:]),
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
    ],
    ids=["cut", "longer", "changed", "gone", "empty"],
)
@pytest.mark.parametrize("name", ["000000", "000002", "staged.json"])
def test_damaged_parts_are_not_taken(tmp_path: Path, name: str, damage: object) -> None:
    """A disk that lost power may have lost blocks: digests tell, and they are made again."""
    saved(tmp_path)
    if name == "staged.json" and "longer" in str(damage):
        pytest.skip("blanks after JSON are no damage")
    assert callable(damage)
    damage(tmp_path / name)
    assert staging.saved(tmp_path, "basis") is None


@pytest.mark.parametrize(
    "text",
    ["", "[]", "null", "{}", '{"basis": "basis"}', '{"basis": "basis", "parts": [{}]}', "\xff"],
)
def test_a_list_of_parts_that_says_nothing_is_not_taken(tmp_path: Path, text: str) -> None:
    """Whatever is in it."""
    (tmp_path / "staged.json").write_text(text, encoding="latin-1")
    assert staging.saved(tmp_path, "basis") is None


def test_the_list_of_parts_appears_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill while it is written leaves none."""

    def killed(_: Path, __: object) -> NoReturn:
        raise KilledError

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KilledError):
        saved(tmp_path)
    assert staging.saved(tmp_path, "basis") is None


def test_clearing_leaves_what_was_fetched(tmp_path: Path) -> None:
    """Parts and rejects of an earlier try go: they would be mixed with the new ones."""
    saved(tmp_path)
    for name in ("source", "rejects.ndjson", "000009"):
        (tmp_path / name).touch()
    staging.clear(tmp_path)
    assert "source" in entries(tmp_path)
    assert not {"staged.json", "rejects.ndjson", "000000", "000009"} & set(entries(tmp_path))


# Where.


MOUNTS = (
    "/dev/vda / ext4 rw 0 0\n"
    "tmpfs /tmp tmpfs rw 0 0\n"
    "/dev/vdb /tmp/disk xfs rw 0 0\n"
    "ramfs /ram ramfs rw 0 0\n"
    "tmpfs /run/user tmpfs rw 0 0\n"
    "/dev/vdc /var ext4 rw 0 0\n"
)


@pytest.mark.parametrize(
    ("path", "in_memory"),
    [
        ("/tmp", True),  # noqa: S108 - a name in a table of mounts
        ("/tmp/x", True),  # noqa: S108 - the same
        ("/tmp/disk/x", False),  # noqa: S108 - the same
        ("/tmpx", False),  # noqa: S108 - the same
        ("/ram", True),
        ("/run/user/1/x", True),
        ("/run", False),
        ("/var/tmp", False),  # noqa: S108 - the same
        ("/", False),
    ],
)
def test_a_file_system_in_memory_is_known(
    monkeypatch: pytest.MonkeyPatch, path: str, *, in_memory: bool
) -> None:
    """By the mount that is nearest above; staging there would take what conversion needs."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(Path, "read_text", lambda _, __="": MOUNTS)
    monkeypatch.setattr(Path, "resolve", lambda path: path)
    assert staging.in_memory(Path(path)) is in_memory


SHARED = "/dev/shm"  # noqa: S108 - asked about, not written to


@pytest.mark.skipif(not Path(SHARED).is_dir(), reason="a file system of Linux")
def test_the_shared_memory_of_this_machine_is_in_memory(tmp_path: Path) -> None:
    """And a link to it is, too."""
    assert staging.in_memory(Path(SHARED))
    (tmp_path / "link").symlink_to(SHARED)
    assert staging.in_memory(tmp_path / "link")


def test_a_later_mount_hides_an_earlier_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two file systems at one place the last one is what is seen."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(Path, "resolve", lambda path: path)
    for last, in_memory in (("tmpfs", True), ("ext4", False)):
        first = "ext4" if in_memory else "tmpfs"
        table = f"x /tmp {first} rw 0 0\nx /tmp {last} rw 0 0\n"
        monkeypatch.setattr(Path, "read_text", lambda _, __="", table=table: table)
        assert staging.in_memory(Path("/tmp")) is in_memory  # noqa: S108 - a name


def test_the_default_is_a_folder_of_this_user_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In /var/tmp, which outlives a restart; where TMPDIR is set, there."""
    name = f"cefline-{os.getuid()}"
    monkeypatch.setattr(staging, "in_memory", lambda _: False)
    monkeypatch.delenv("TMPDIR")
    assert staging.default_root() == Path("/var/tmp", name)  # noqa: S108 - a private folder in it
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert staging.default_root() == tmp_path / name
    monkeypatch.setattr(staging, "in_memory", lambda path: path == tmp_path)
    assert staging.default_root() == Path("/var/tmp", name)  # noqa: S108 - the same


# Bounds.


def test_more_text_than_may_be_staged_is_a_reason_to_try_again(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 75 before the disk is full, and the folder is kept."""
    monkeypatch.setattr(import_module("cefline.deliver.stage"), "BLOCK", 64)

    def many() -> Iterator[Piece]:
        for number in range(1000):
            yield Piece("", 0, memoryview(os.urandom(64)), 1, number, number)

    def staged_too_much() -> None:
        with staging.folder(root, "a") as path, ThreadPoolExecutor(2) as pool:
            stage(many(), path, "gzip", pool, most=4096)

    with pytest.raises(TryAgainError, match="more than 4096 bytes") as caught:
        staged_too_much()
    assert caught.value.exit_code == 75
    assert "staging_max" in str(caught.value)
    assert sum(path.stat().st_size for path in (root / "a").iterdir()) < 8192


@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_as_much_as_may_be_staged_is_staged(tmp_path: Path, compression: Compression) -> None:
    """The bound is no smaller than it says."""
    text = os.urandom(1000)
    with ThreadPoolExecutor(2) as pool:
        (part,) = stage(
            [Piece("", 0, memoryview(text), 1, 0, 0)], tmp_path, compression, pool, most=1100
        )
    assert part.text_bytes == 1000


def test_a_lock_is_of_the_folder_itself(root: Path) -> None:
    """Who looks from outside with flock sees that it is in use."""
    with staging.folder(root, "a") as path:
        descriptor = os.open(path, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(descriptor)
