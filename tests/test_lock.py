"""One run at a time on a host, for each destination."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from cefline.cli import lock
from cefline.cli.lock import held, path_of
from cefline.config import Config
from cefline.errors import ConfigError, TryAgainError
from cefline.s3 import S3Settings
from tests import sample

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.commands import Result

SOURCE = str(sample.DATA / "sample.jsonl")
ONE, TWO = "https://one.example.com", "https://two.example.com"


def test_a_second_run_ends_with_75_and_says_who_is_at_it(
    command: Callable[..., Result], tmp_path: Path
) -> None:
    dest = str(tmp_path / "out")
    with held(Config(dest=dest)):
        result = command("export", SOURCE, dest)
        assert result.code == 75
        assert f"another run is delivering to {dest}: process {os.getpid()}, since 20" in result.err
        assert "--no-lock" in result.err
        assert not (tmp_path / "out").exists()
        assert command("export", SOURCE, dest, "--dry-run").code == 0
        assert command("export", SOURCE, str(tmp_path / "other")).code == 0
        assert command("export", SOURCE, dest, "--no-lock").code == 0
    assert command("export", SOURCE, dest).code == 0


def test_a_state_of_its_own_is_another_destination(tmp_path: Path) -> None:
    """The default state, said or not, is the same."""
    plain = Config(dest=str(tmp_path / "out"))
    said = replace(plain, state=str(tmp_path / "_cefline" / "out"))
    other = replace(plain, state=str(tmp_path / "state"))
    with held(plain), held(other), pytest.raises(TryAgainError), held(said):
        pass


def test_a_killed_run_lets_go(tmp_path: Path) -> None:
    script = (
        "import sys, time; from cefline.cli.lock import held; from cefline.config import Config;"
        "lock = held(Config(dest=sys.argv[1])); lock.__enter__(); print('held', flush=True);"
        "time.sleep(60)"
    )
    dest = str(tmp_path / "out")
    child = subprocess.Popen([sys.executable, "-c", script, dest], stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"held\n"
    with pytest.raises(TryAgainError, match=f"process {child.pid}"), held(Config(dest=dest)):
        pass
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    ends = time.monotonic() + 5
    while True:
        try:
            with held(Config(dest=dest)):
                return
        except TryAgainError:
            assert time.monotonic() < ends
            time.sleep(0.01)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"pid": "x\\ny", "since": 1}', b"\xff"])
def test_whatever_is_in_the_file_is_no_message(tmp_path: Path, content: bytes) -> None:
    config = Config(dest=str(tmp_path / "out"))
    with held(config):
        path_of(config).write_bytes(content)
        with pytest.raises(TryAgainError, match="it has just begun"), held(config):
            pass


def test_a_destination_has_one_lock_however_it_is_spelt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x" / "y").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "x")
    monkeypatch.chdir(tmp_path)
    spelt = ["x/out", "./x/out", "x/y/../out", "x/out/", str(tmp_path / "x" / "out"), "link/out"]
    assert len({path_of(Config(dest=dest)) for dest in spelt}) == 1
    state = {path_of(Config(dest="x/out", state=s)) for s in ["s", "./s", str(tmp_path / "s")]}
    assert len(state) == 1
    assert len({path_of(Config(dest=d)) for d in ["s3://b/x", "s3://b/x/"]}) == 1
    assert path_of(Config(dest="s3://b/x")) != path_of(Config(dest="s3://b/y"))


def test_buckets_of_one_name_on_two_services_have_two_locks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whether the endpoint is a setting or, as botocore takes it, a variable."""
    plain = path_of(Config(dest="s3://b/x"))
    given = {path_of(Config(dest="s3://b/x", s3=S3Settings(endpoint=url))) for url in (ONE, TWO)}
    assert len({plain, *given}) == 3
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        with monkeypatch.context() as patch:
            patch.setenv(name, f"{ONE}/")
            assert path_of(Config(dest="s3://b/x")) in given
            assert path_of(Config(dest="s3://b/x", s3=S3Settings(endpoint=TWO))) in given
            assert path_of(Config(dest="out")) == path_of(Config(dest="./out"))


def test_the_lock_is_in_one_place_whatever_tmpdir_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = Config(dest=str(tmp_path / "out"))
    path = path_of(config)
    for folder in ("a", "b"):
        monkeypatch.setenv("TMPDIR", str(tmp_path / folder))
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / folder))
        assert path_of(config) == path
    monkeypatch.setattr(lock, "PLACES", (tmp_path / "none",))
    assert path_of(config).is_relative_to(tmp_path / "b")  # where there is no other


def test_a_lock_that_was_removed_while_it_was_opened_is_not_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who ends removes the file; whoever has opened it by then takes the next one."""
    config = Config(dest=str(tmp_path / "out"))
    first, opened = held(config), os.open
    first.__enter__()

    def slow(*arguments: Any) -> int:  # noqa: ANN401 - as open has them
        descriptor = opened(*arguments)
        monkeypatch.setattr(os, "open", opened)
        first.__exit__(None, None, None)
        return descriptor

    monkeypatch.setattr(os, "open", slow)
    with held(config), pytest.raises(TryAgainError), held(config):
        pass
    assert not path_of(config).exists()


@pytest.mark.parametrize("call", ["open", "ftruncate", "pwrite"])
def test_a_full_disk_is_told_with_the_lock_s_path(
    command: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    dest = str(tmp_path / "out")
    path = path_of(Config(dest=dest))
    real = getattr(os, call)

    def full(*arguments: Any) -> Any:  # noqa: ANN401 - as the real one
        if call == "open" and arguments[0] != path:
            return real(*arguments)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, full)
    result = command("export", SOURCE, dest)
    assert result.code == 75
    assert f"{path}: the disk is full" in result.err
    assert not (tmp_path / "out").exists()


def test_a_file_system_without_locks_is_told(
    command: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refused)
    result = command("export", SOURCE, str(tmp_path / "out"))
    assert result.code == 1
    assert f"{path_of(Config(dest=str(tmp_path / 'out')))}: No locks available" in result.err


def test_a_folder_that_others_can_write_to_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "PLACES", (tmp_path,))
    config = Config(dest=str(tmp_path / "out"))
    folder = path_of(config).parent
    folder.mkdir(parents=True, mode=0o700)
    folder.parent.chmod(0o700)
    folder.chmod(0o777)
    with pytest.raises(ConfigError, match="private"), held(config):
        pass
