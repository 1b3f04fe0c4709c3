"""SIGTERM at any moment: the command ends within seconds, and the next run goes on."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests import chaos, faults, seaweed
from tests.chaos import BIG, SMALL, World, succeed
from tests.children import Stop
from tests.test_chaos import world

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["world"]

pytestmark = pytest.mark.slow

SECONDS = 10.0
"""In which a run that is asked to end has ended."""


def begin(world: World, *sources: Path, env: Mapping[str, str] | None = None, **more: str) -> Run:
    """Start the command as cron does."""
    settings = {
        "state": f"{world.url}/state",
        "staging": str(world.root / "staging-a"),
        "part_size": str(chaos.PART_SIZE),
        "threads": "1",
        "turn_timeout": "0.6s",
        "log_format": "text",
        **more,
    }
    options = [
        text for name, value in settings.items() for text in (f"--{name}".replace("_", "-"), value)
    ]
    places = [*map(str, sources), f"{world.url}/out"]
    plain = {n: v for n, v in os.environ.items() if not n.startswith(("AWS_", "CEFLINE_"))}
    return subprocess.Popen(
        [sys.executable, "-m", "cefline", "export", *options, *places],
        env={**plain, **world.env, **(env or {})},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


Run = subprocess.Popen[str]


def ended(run: Run, asked: int = signal.SIGTERM) -> tuple[int, str]:
    """Ask a run to end; return its exit code and what it said."""
    began = time.monotonic()
    run.send_signal(asked)
    _, said = run.communicate(timeout=60)
    assert time.monotonic() - began < SECONDS
    return run.returncode, said


def finish(world: World, *sources: Path) -> None:
    """Run to the end."""
    run = begin(world, *sources)
    _, said = run.communicate(timeout=120)
    assert run.returncode == 0, said
    world.check()


def said(run: Run, what: str) -> None:
    """Wait until a run has said something."""
    assert run.stderr is not None
    while what not in (line := run.stderr.readline()):
        assert line, f"it ended without saying {what!r}"


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("world", ["s3 by evidence", "local"], indirect=True)
def test_a_run_ends_within_seconds_at_any_moment(world: World, *, soak: bool) -> None:
    """20 moments (6 in CI), from its start to its end; each event comes once in the end."""
    rng = random.Random("SIGTERM")
    long = 2.0
    for number in range(20 if soak else 6):
        sources = [world.source(f"r{number}-{n}", count) for n, count in enumerate((BIG, SMALL))]
        run, began = begin(world, *sources), time.monotonic()
        time.sleep(rng.uniform(0.2, long))
        code, told = ended(run)
        assert code in {143, -signal.SIGTERM, 0}, told  # before Python has begun, and at its end
        assert "Traceback" not in told
        if code == 143:
            assert "terminated; the next run goes on" in told
        elif code == 0:
            long = 0.8 * (time.monotonic() - began)
        finish(world, *sources)


@pytest.mark.parametrize("asked", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_waits_for_a_turn_ends(world: World, asked: int) -> None:
    """The turn is another host's, which was killed; nobody takes it over for hours."""
    first, second = world.source("a", BIG), world.source("b", SMALL)
    stopped = world.deliver("b", first, stop=Stop(3, parts_only=True))
    assert stopped.code == -signal.SIGKILL
    run = begin(world, second, turn_timeout="1h")
    said(run, "waiting for")
    code, told = ended(run, asked)
    assert code == 128 + asked, told
    succeed(world.deliver("b", first))  # whose staging it is
    finish(world, first, second)


@pytest.mark.parametrize("fault", ["stall", "503"])
def test_a_run_whose_requests_hang_or_are_tried_again_ends(
    world: World, s3_server: seaweed.Server, fault: faults.Fault
) -> None:
    source = world.source("a", BIG)
    puts = 0

    def choose(method: str) -> tuple[faults.Fault, float]:
        nonlocal puts
        puts += method == "PUT"
        return (fault if puts > 20 else "none", 120.0)

    with faults.Proxy(s3_server.endpoint, choose) as proxy:
        run = begin(world, source, env={"AWS_ENDPOINT_URL": proxy.endpoint})
        ends = time.monotonic() + 60
        while puts <= 20:
            assert time.monotonic() < ends
            time.sleep(0.05)
        time.sleep(0.5)
        code, told = ended(run)
        assert code == 143, told
    finish(world, source)
