"""Runs in processes of their own, which can be killed or stopped at any step."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing import util
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from cefline.deliver.store import LocalStore, S3Store
from cefline.errors import CeflineError
from cefline.job import export

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from multiprocessing.connection import Connection

    from cefline.config import Config
    from cefline.deliver.store import Store

util.get_temp_dir()  # now: later, tests put their temporary files where they end before this does
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["cefline.line", "polars", "pyarrow", "s3fs", "tests.seaweed"])


class Stop(NamedTuple):
    """What stops a process: a signal as it creates its n-th object, before or after."""

    number: int
    after: bool = False
    signal: int = signal.SIGKILL
    parts_only: bool = False
    """Whether only parts count."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a process of its own is to do."""

    config: Config
    env: Mapping[str, str]
    skew: float = 0.0
    """Seconds by which its host's clock is ahead."""
    stop: Stop | None = None
    newer: str | None = None
    """Text at the end of every line in a newer text format; an empty one changes its name alone."""


class Outcome(NamedTuple):
    """How a process ended."""

    code: int
    """Of the run; negative is the signal."""
    errors: tuple[str, ...] = ()
    parts: int = 0


class Child:
    """A run in a process of its own, which can be killed."""

    def __init__(self, order: Order) -> None:
        """Start it."""
        self._answers, theirs = PROCESSES.Pipe(duplex=False)
        self.process = PROCESSES.Process(target=_carry_out, args=(order, theirs), daemon=True)
        self.process.start()
        theirs.close()

    def begun(self) -> None:
        """Wait until it is about to export."""
        with contextlib.suppress(EOFError):
            self._answers.recv()

    def kill_after(self, seconds: float) -> Outcome:
        """Kill it some time after it began; it may have ended by then."""
        self.begun()
        if not self._answers.poll(seconds):
            self.process.kill()
        return self._ended()

    def stopped(self) -> bool:
        """Wait until it has stopped itself; False where it ends first."""
        while self.process.is_alive():
            status = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="utf-8")
            if status.rpartition(")")[2].split()[0] == "T":
                return True
            time.sleep(0.01)
        return False

    def go_on(self) -> None:
        """Let it go on after it has stopped."""
        os.kill(self.process.pid or 0, signal.SIGCONT)

    def wait(self) -> Outcome:
        """Wait for its end."""
        self.begun()
        return self._ended()

    def _ended(self) -> Outcome:
        try:
            outcome = self._answers.recv() if self._answers.poll(120) else None
        except EOFError:
            outcome = None
        if outcome is None:
            self.process.kill()
        self.process.join()
        self._answers.close()
        code = self.process.exitcode or 0
        self.process.close()
        return outcome if isinstance(outcome, Outcome) else Outcome(code)


def _carry_out(order: Order, answers: Connection) -> None:
    """Do in this process what is ordered; what is changed here ends with it."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "CEFLINE_"))]:
        del os.environ[name]
    os.environ |= order.env
    _shift_clock(order.skew)
    if order.stop is not None:
        _stop_at(order.stop)
    if order.newer is not None:
        _change_format(order.newer)
    answers.send("begun")
    try:
        report = export(order.config)
    except CeflineError as err:  # of the run as a whole, as the command line has it
        answers.send(Outcome(err.exit_code, (str(err),)))
        return
    errors = tuple(str(one.error) for one in report.sources if one.error is not None)
    answers.send(Outcome(report.exit_code, errors, len(report.parts)))


def _shift_clock(seconds: float) -> None:
    now, clock = LocalStore.now, time.time
    LocalStore.now = lambda self: now(self) + timedelta(seconds=seconds)  # type: ignore[method-assign]
    time.time = lambda: clock() + seconds


def _stop_at(stop: Stop) -> None:
    met, lock = 0, threading.Lock()

    def wrapped(real: Callable[..., bool]) -> Callable[..., bool]:
        def create(store: Store, key: str, *args: object, **more: object) -> bool:
            nonlocal met
            with lock:  # a note may be made beside its part
                met += not stop.parts_only or key.endswith(".cef.gz")
                due = met == stop.number
                met += due  # it stops but once
            if due and not stop.after:
                os.kill(os.getpid(), stop.signal)
            created = real(store, key, *args, **more)
            if due and stop.after:
                os.kill(os.getpid(), stop.signal)
            return created

        return create

    for kind in (LocalStore, S3Store):
        kind.create = wrapped(kind.create)  # type: ignore[method-assign]


def _change_format(end: str) -> None:
    from cefline import parts  # late: it imports what a run with nothing to do must not

    real = getattr(parts, "pack")  # noqa: B009 - a name that it has from elsewhere

    def pack(slices: Any, *args: Any) -> Any:  # noqa: ANN401 - as the real one
        changed = (
            one._replace(
                lines=pc.replace_substring(one.lines, "\n", f"{end}\n").cast(pa.large_string())
            )
            for one in slices
        )
        return real(changed, *args)

    setattr(parts, "pack", pack)  # noqa: B010 - a name that it has from elsewhere
    setattr(parts, "TEXT_FORMAT", {"cado": "999-newer"})  # noqa: B010 - the same
