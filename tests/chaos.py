"""Helpers of the tests of exactly once: timelines whose events can be told apart, runs, kills."""

from __future__ import annotations

import contextlib
import itertools
import re
import signal
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cefline.config import Config
from cefline.deliver.store import LocalStore
from cefline.job import export
from cefline.s3 import S3Settings
from tests import pollers, sample, seaweed
from tests.children import Child, Order, Outcome, Stop
from tests.pollers import text_ids

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator, Mapping

    from cefline.report import Report

PART_SIZE = 2_000
BIG = 42
PARTS = 20
"""A timeline of `BIG` events has at least so many parts of that size."""
SMALL = 12
RUN_SECONDS = 0.8
"""So long a delivery takes, about."""


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

    def create(self: LocalStore, key: str, *rest: Any, **more: Any) -> bool:  # noqa: ANN401 - passed on
        nonlocal met
        met += match(key)
        if met == number and match(key):
            raise KilledError
        return real(self, key, *rest, **more)

    LocalStore.create = create  # type: ignore[method-assign]
    try:
        yield
    except KilledError:
        pass
    else:
        raise AssertionError(f"it ended before number {number}")
    finally:
        LocalStore.create = real  # type: ignore[method-assign]


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
    own: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What a host has set otherwise."""
    server: str = ""
    """Address of the S3 server, where runs reach it through a proxy."""
    expected: Counter[str] = field(default_factory=Counter)
    found: dict[str, list[str]] = field(default_factory=dict)
    """IDs by key."""

    @cached_property
    def shelf(self) -> pollers.Shelf:
        """Return the destination as readers see it."""
        if self.url.startswith("s3://"):
            prefix = self.url.removeprefix(f"s3://{seaweed.BUCKET}/")
            server = self.server or self.env["AWS_ENDPOINT_URL"]
            return pollers.S3Shelf(server, f"{prefix}/out/")
        return pollers.FolderShelf(Path(self.url) / "out")

    def source(self, name: str, count: int, seed: int = 1) -> Path:
        """Write a timeline whose events are expected from now on."""
        path = self.root / f"{name}.jsonl"
        self.expected.update(timeline(path, count, seed))
        return path

    def order(
        self,
        host: str,
        *sources: Path,
        stop: Stop | None = None,
        newer: str | None = None,
        **settings: Any,  # noqa: ANN401 - any setting
    ) -> Order:
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
        config = replace(plain, **{**self.settings, **self.own.get(host, {}), **settings})
        return Order(config, self.env, self.skews.get(host, 0.0), stop, newer)

    def deliver(self, host: str, *sources: Path, **how: Any) -> Outcome:  # noqa: ANN401 - as above
        """Run once on a host, to its end or until it stops."""
        return Child(self.order(host, *sources, **how)).wait()

    def check(self) -> None:
        """Make sure that what was expected is there once, and that nothing is left over."""
        for listed in self.shelf.listed():
            if listed.key not in self.found:
                self.found[listed.key] = text_ids(self.shelf.read(listed.key))
        events = Counter(one for ids in self.found.values() for one in ids)
        assert events - self.expected == Counter()
        assert self.expected - events == Counter()
        assert list(self.root.glob("staging-*/*")) == []
        assert self.shelf.uploads() == []


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


def _killed(world: World, name: str, stop: Stop | None, rng: random.Random, other: Path) -> Path:
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
    """Kill reruns as well, also of others, for whom the killed source is out of reach."""
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
    orders = [world.order(host, *rng.sample(sources, 10), turn_timeout=patience) for host in "abcd"]
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


def _deliver_knowing(world: World, cleaner: pollers.Cleaner, host: str, *sources: Path) -> None:
    """Run, and where it asks whether a part was delivered, say what the reader knows."""
    outcome = world.deliver(host, *sources)
    for _ in range(10):
        asked = re.search(r"/out/(\S+) may have been delivered", " ".join(outcome.errors))
        if not asked:
            break
        known = "delivered" if cleaner.found.get(asked[1]) else "lost"
        outcome = world.deliver(host, *sources, assume=known)
    succeed(outcome)
