"""One run at a time on a host, for each destination."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from cefline.cli.lock import held, path_of
from cefline.config import Config
from cefline.errors import ConfigError, TryAgainError
from tests import sample

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.commands import Result

SOURCE = str(sample.DATA / "sample.jsonl")


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


def test_a_folder_that_others_can_write_to_is_refused(tmp_path: Path, staging_root: Path) -> None:
    (staging_root / "locks").mkdir(parents=True, mode=0o700)
    staging_root.chmod(0o700)
    (staging_root / "locks").chmod(0o777)
    with pytest.raises(ConfigError, match="private"), held(Config(dest=str(tmp_path / "out"))):
        pass
