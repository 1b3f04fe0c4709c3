"""Helpers of the tests of exactly once: timelines whose events can be told apart, runs, kills."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import re
import signal
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cached_property
from multiprocessing import util
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cefline.config import Config
from cefline.deliver.store import LocalStore, S3Store
from cefline.job import export
from cefline.s3 import S3Settings
from tests import pollers, sample, seaweed
from tests.pollers import text_ids

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator, Mapping
    from multiprocessing.connection import Connection

    from cefline.deliver.store import Store
    from cefline.report import Report

PART_SIZE = 2_000
PARTS = 20
"""A timeline of `BIG` events has at least so many parts of that size."""
BIG = 100
SMALL = 12
RUN_SECONDS = 0.8
"""So long a delivery takes, about."""

util.get_temp_dir()  # now: later, tests put their temporary files where they end before this does
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["cefline.line", "polars", "pyarrow", "s3fs", "tests.seaweed"])


class KilledError(BaseException):
    """Stands for `kill -9` inside of one process: nothing that catches errors catches it."""


def timeline(path: Path, count: int, seed: int = 1) -> list[str]:
    """Write a timeline and return the IDs of its events, which no other file's events have."""
    made = sample.events(count, seed)
    ids = [f"{path.stem}-{number:06d}" for number in range(count)]
    for event, one in zip(made, ids, strict=True):
        event["eventId"] = one
    path.write_bytes(sample.lines(made))
    return ids


def delivered(folder: Path) -> Counter[str]:
    """Count the events below a folder by their ID."""
    objects = (path for path in folder.rglob("*.cef.gz") if path.is_file())
    return Counter(one for path in objects for one in text_ids(path.read_bytes()))


def run(root: Path, *sources: Path, host: str = "a", **settings: Any) -> Report:  # noqa: ANN401 - any setting
    """Export to `out` below a folder, as a host with a staging folder of its own does."""
    quick = Config(
        sources=tuple(str(source) for source in sources),
        dest=str(root / "out"),
        state=str(root / "state"),
        staging=str(root / f"staging-{host}"),
        part_size=8192,
        threads=1,
        turn_timeout=0.2,
    )
    return export(replace(quick, **settings))


@contextlib.contextmanager
def killed(match: Callable[[str], bool], number: int = 1) -> Iterator[None]:
    """Kill the run in this block as it is about to create the n-th object of such a key."""
    real, met = LocalStore.create, 0

    def create(
        self: LocalStore, key: str, body: bytes, content_type: str, metadata: Mapping[str, str]
    ) -> bool:
        nonlocal met
        met += match(key)
        if met == number and match(key):
            raise KilledError
        return real(self, key, body, content_type, metadata)

    LocalStore.create = create  # type: ignore[method-assign]
    try:
        yield
    except KilledError:
        pass
    else:
        raise AssertionError(f"it ended before number {number}")
    finally:
        LocalStore.create = real  # type: ignore[method-assign]


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
    newer: str = ""
    """Text at the end of every line of a newer text format; none keeps the format."""


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
    if order.newer:
        _change_format(order.newer)
    answers.send("begun")
    report = export(order.config)
    errors = tuple(str(one.error) for one in report.sources if one.error is not None)
    answers.send(Outcome(report.exit_code, errors, len(report.parts)))


def _shift_clock(seconds: float) -> None:
    from datetime import timedelta

    now, clock = LocalStore.now, time.time
    LocalStore.now = lambda self: now(self) + timedelta(seconds=seconds)  # type: ignore[method-assign]
    time.time = lambda: clock() + seconds


def _stop_at(stop: Stop) -> None:
    met = 0

    def wrapped(real: Callable[..., bool]) -> Callable[..., bool]:
        def create(store: Store, key: str, *args: object) -> bool:
            nonlocal met
            met += not stop.parts_only or key.endswith(".cef.gz")
            due = met == stop.number
            met += due  # it stops but once
            if due and not stop.after:
                os.kill(os.getpid(), stop.signal)
            created = real(store, key, *args)
            if due and stop.after:
                os.kill(os.getpid(), stop.signal)
            return created

        return create

    for kind in (LocalStore, S3Store):
        kind.create = wrapped(kind.create)  # type: ignore[method-assign]


def _change_format(end: str) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    from cefline import line

    real = line.pack

    def pack(slices: Any, *args: Any) -> Any:  # noqa: ANN401 - as the real one
        changed = (
            one._replace(
                lines=pc.replace_substring(one.lines, "\n", f"{end}\n").cast(pa.large_string())
            )
            for one in slices
        )
        return real(changed, *args)

    line.pack = pack
    line.TEXT_FORMAT = "999-newer"


@dataclass(frozen=True)
class World:
    """A destination, its state, the hosts that deliver to it, and what must be there in the end."""

    root: Path
    url: str
    """Below it are destination and state."""
    env: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    skews: Mapping[str, float] = field(default_factory=dict)
    """Seconds by which the clock of a host is ahead."""
    expected: Counter[str] = field(default_factory=Counter)
    found: dict[str, list[str]] = field(default_factory=dict)
    """IDs by key."""

    @cached_property
    def shelf(self) -> pollers.Shelf:
        """Return the destination as readers see it."""
        if self.url.startswith("s3://"):
            prefix = self.url.removeprefix(f"s3://{seaweed.BUCKET}/")
            return pollers.S3Shelf(self.env["AWS_ENDPOINT_URL"], f"{prefix}/out/")
        return pollers.FolderShelf(Path(self.url) / "out")

    def source(self, name: str, count: int, seed: int = 1) -> Path:
        """Write a timeline whose events are expected from now on."""
        path = self.root / f"{name}.jsonl"
        self.expected.update(timeline(path, count, seed))
        return path

    def order(self, host: str, *sources: Path, stop: Stop | None = None, **settings: Any) -> Order:  # noqa: ANN401 - any setting
        """Return the order for a host to deliver sources."""
        plain = Config(
            sources=tuple(map(str, sources)),
            dest=f"{self.url}/out",
            state=f"{self.url}/state",
            staging=str(self.root / f"staging-{host}"),
            part_size=PART_SIZE,
            threads=1,
            turn_timeout=0.6,
            s3=S3Settings(read_timeout=10),
        )
        config = replace(plain, **{**self.settings, **settings})
        return Order(config, self.env, self.skews.get(host, 0.0), stop)

    def deliver(self, host: str, *sources: Path, stop: Stop | None = None, **settings: Any) -> Outcome:  # noqa: ANN401, E501
        """Run once on a host, to its end or until it stops."""
        return Child(self.order(host, *sources, stop=stop, **settings)).wait()

    def check(self) -> None:
        """Make sure that what was expected is there once, and that nothing is left over."""
        for listed in self.shelf.list():
            if listed.key not in self.found:
                self.found[listed.key] = text_ids(self.shelf.read(listed.key))
        events = Counter(one for ids in self.found.values() for one in ids)
        assert events - self.expected == Counter()
        assert self.expected - events == Counter()
        left = [path for path in self.root.glob("staging-*/*")]
        assert left == []


def succeed(outcome: Outcome) -> None:
    """Make sure that a run ended well."""
    assert outcome.code == 0, outcome


def kill_and_rerun(world: World, name: str, stop: Stop | None, rng: random.Random) -> None:
    """Kill the run of a large source, let something else happen, and run again."""
    others = [world.source(f"{name}-{n}", SMALL, rng.randrange(1000)) for n in range(2)]
    big = _killed(world, name, stop, rng, others[0])
    then = rng.choice([_rerun, _deliver_other, _fence, _kill_again, _race])
    then(world, [big, others[0]], others[1], rng)
    for host in rng.sample("ab", 2):
        succeed(world.deliver(host, big, *others))
    world.check()


def _killed(
    world: World, name: str, stop: Stop | None, rng: random.Random, other: Path
) -> Path:
    """Return a large source whose delivery was killed at a step, or at a random time."""
    seconds, host = rng.uniform(0.0, RUN_SECONDS), rng.choice("ab")
    for number in itertools.count():
        source = world.source(f"{name}-big{number}", BIG, rng.randrange(1000))
        child = Child(world.order(host, source, other, stop=stop))
        outcome = child.wait() if stop else child.kill_after(seconds)
        if outcome.code == -signal.SIGKILL:
            return source
        assert stop is None, outcome
        succeed(outcome)
        seconds *= 0.8
    raise AssertionError


def _rerun(world: World, sources: list[Path], _other: Path, rng: random.Random) -> None:
    """Run again, on the same host or another."""
    succeed(world.deliver(rng.choice("ab"), *sources))


def _deliver_other(world: World, _sources: list[Path], other: Path, rng: random.Random) -> None:
    """Deliver another source, which waits for the turn of the killed run and finishes it."""
    succeed(world.deliver(rng.choice("ab"), other))


def _fence(world: World, sources: list[Path], other: Path, rng: random.Random) -> None:
    """Deliver another source where the killed one is out of reach, so that its turn is closed."""
    with hidden(sources[0]):
        succeed(world.deliver(rng.choice("ab"), other))


def _kill_again(world: World, sources: list[Path], other: Path, rng: random.Random) -> None:
    """Kill reruns as well, of the same sources and of others; the killed one may be out of reach."""
    for _ in range(rng.randrange(1, 4)):
        stop = Stop(rng.randrange(1, 40), after=rng.random() < 0.5)
        mine = rng.choice([sources, [other], [other, *sources]])
        with hidden(sources[0]) if mine == [other] else contextlib.nullcontext():
            outcome = world.deliver(rng.choice("ab"), *mine, stop=stop)
        assert outcome.code in {0, -signal.SIGKILL}, outcome


def _race(world: World, sources: list[Path], other: Path, rng: random.Random) -> None:
    """Run again on both hosts at once, beside another source's run."""
    mixed = [rng.sample([*sources, other], 3) for _ in range(3)]
    children = [Child(world.order(host, *mine)) for host, mine in zip("aba", mixed, strict=True)]
    for child in children:
        succeed(child.wait())


@contextlib.contextmanager
def hidden(path: Path) -> Iterator[None]:
    """Put a source out of reach."""
    away = path.rename(path.with_suffix(".away"))
    try:
        yield
    finally:
        away.rename(path)


def kill_who_closes(world: World, name: str, stop: Stop, rng: random.Random) -> None:
    """Kill a run whose source is out of reach then, and at a step the run that closes its turn."""
    big = world.source(f"{name}-big", BIG, rng.randrange(1000))
    other = world.source(f"{name}-other", SMALL, rng.randrange(1000))
    middle = Stop(rng.randrange(1, PARTS), after=rng.random() < 0.5, parts_only=True)
    assert world.deliver("a", big, stop=middle).code == -signal.SIGKILL
    with hidden(big):
        outcome = world.deliver("b", other, stop=stop)
        assert outcome.code in {0, -signal.SIGKILL}, outcome
        if rng.random() < 0.7:  # else the killed run's own source comes back first
            succeed(world.deliver("b", other))
    for host in rng.sample("ab", 2):
        succeed(world.deliver(host, big, other))
    world.check()


def stop_and_go_on(world: World, name: str, rng: random.Random) -> None:
    """Let a run stand still, others finish or close its turn, and the run go on."""
    big = world.source(f"{name}-big", BIG, rng.randrange(1000))
    other = world.source(f"{name}-other", SMALL, rng.randrange(1000))
    stop = Stop(rng.randrange(1, 55), after=rng.random() < 0.3, signal=signal.SIGSTOP)
    child = Child(world.order("a", big, stop=stop))
    if child.stopped():
        with hidden(big) if rng.random() < 0.7 else contextlib.nullcontext():
            succeed(world.deliver("b", other))
        if rng.random() < 0.5:
            succeed(world.deliver("b", big))
        child.go_on()
    succeed(child.wait())
    for host in rng.sample("ab", 2):
        succeed(world.deliver(host, big, other))
    world.check()


def race(world: World, name: str, rng: random.Random) -> None:
    """Deliver ten sources on four hosts at once, in different orders; some take turns over."""
    sources = [world.source(f"{name}-{n}", SMALL, rng.randrange(1000)) for n in range(10)]
    patience = rng.choice([0.05, 0.3, 30.0])
    orders = [
        world.order(host, *rng.sample(sources, 10), turn_timeout=patience) for host in "abcd"
    ]
    for child in [Child(order) for order in orders]:
        succeed(child.wait())
    world.check()


def kill_beside_cleaner(world: World, name: str, stop: Stop, rng: random.Random) -> None:
    """Kill a run beside a reader that removes what it has read, and run again."""
    big = world.source(f"{name}-big", BIG, rng.randrange(1000))
    other = world.source(f"{name}-other", SMALL, rng.randrange(1000))
    with pollers.Cleaner(world.shelf, rng.choice([0.0, 0.05, 0.3])) as cleaner:
        assert world.deliver("a", big, stop=stop).code == -signal.SIGKILL
        if rng.random() < 0.8:
            cleaner.catch_up()
        if rng.random() < 0.5:
            with hidden(big) if rng.random() < 0.7 else contextlib.nullcontext():
                _deliver_knowing(world, cleaner, "b", other)
        for host in rng.sample("ab", 2):
            _deliver_knowing(world, cleaner, host, big, other)
        cleaner.finish()
        world.found.update(cleaner.found)
    world.check()


def _deliver_knowing(
    world: World, cleaner: pollers.Cleaner, host: str, *sources: Path
) -> None:
    """Run, and where it asks whether a part was delivered, say what the reader knows."""
    outcome = world.deliver(host, *sources)
    for _ in range(10):
        asked = re.search(r"/out/(\S+) may have been delivered", " ".join(outcome.errors))
        if not asked:
            break
        known = "delivered" if cleaner.found.get(asked[1]) else "lost"
        outcome = world.deliver(host, *sources, assume=known)
    succeed(outcome)
