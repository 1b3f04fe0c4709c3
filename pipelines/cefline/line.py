"""The straight line of one source, from its bytes to its manifest.

fetch -> read -> conform -> render -> pack -> stage -> plan -> turn -> publish -> manifest
         ------------- cefline.parts -----------
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from cefline import __version__
from cefline.deliver import plans, staging, turns
from cefline.deliver.delivery import Delivery, How, deliver
from cefline.deliver.fences import fence
from cefline.deliver.patience import Patience
from cefline.deliver.publish import FencedError
from cefline.deliver.stage import check_space
from cefline.errors import CeflineError, DeliveryError, SourceError, of_system
from cefline.lanes import Lane
from cefline.memory import known, remember_delivery, remember_failure, with_evidence
from cefline.metrics import facts
from cefline.parts import Ready, Work, staged
from cefline.places import found
from cefline.progress import Progress
from cefline.report import PartReport, SourceReport, counted
from cefline.reports import kept, published
from cefline.sources import Local, Source, check_unchanged, fetch
from cefline.steps import unwatched
from cefline.tally import refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Executor
    from pathlib import Path

    from cefline import s3
    from cefline.config import Config
    from cefline.deliver.plans import Segment
    from cefline.deliver.staging import Staged
    from cefline.deliver.store import Store
    from cefline.deliver.turns import Turn
    from cefline.lanes import Step
    from cefline.steps import Tell, Watch

log = logging.getLogger("cefline")

_SEGMENTS = 20
"""So often a delivery may be taken out of this run's hands before it gives up."""


@dataclass(frozen=True, slots=True)
class Run:
    """What the sources of a run share."""

    config: Config
    dest: Store
    state: Store
    connect: Callable[[], s3.Client]
    pool: Executor
    threads: int
    staging: Path
    progress: Progress
    dry_run: bool = False
    floor: int = 0
    """A turn that is known to be closed."""
    lane: Lane = field(default_factory=Lane)
    """When this source may take its steps: a run's sources go side by side."""
    identity: str = ""
    """Of a source that workers have converted: what it is, so that it is not fetched again."""
    gather: Callable[[Work], Ready] | None = None
    """Brings the parts here that workers have staged."""
    watch: Watch = unwatched
    """Is told of each source, and of its steps."""

    @contextmanager
    def step(self, name: Step, source: Source) -> Iterator[Tell]:
        """Take a step of a source, once its lane lets it."""
        with self.lane.step(name), self.watch(name, source.url) as tell:
            self.progress.step(source.url, name)
            yield tell


def run_source(source: Source, run: Run, expected: str = "") -> SourceReport:
    """Deliver one source and report what became of it; an error of its own is in the report.

    Args:
        source: what to deliver.
        run: what the sources share.
        expected: id that the delivery must have; none where the source decides.
    """
    with run.watch("source", source.url) as tell:
        report = _reported(source, run, expected)
        tell(**facts(report))
    run.progress.leave(source.url)
    return report


def _reported(source: Source, run: Run, expected: str) -> SourceReport:
    report = SourceReport(source.url, "converted")
    try:
        with staging.folder(run.staging, source.key(run.config.variant())) as folder:
            report = _deliver(source, run, folder, expected)
            if report.error is not None:
                raise report.error  # what is staged stays where it can be tried again
    except CeflineError as err:
        report = replace(report, outcome="failed", error=err.about(source.url))
    except OSError as err:
        report = replace(report, outcome="failed", error=of_system(err, source.url))
    return report


def _deliver(source: Source, run: Run, folder: Path, expected: str) -> SourceReport:
    with run.step("fetch", source) as tell:
        tell(bytes=source.size)
        local = _fetched(source, folder, run)
    delivery = plans.delivery_id(local.sha256, run.config.evidence_id, run.config.redeliver)
    if expected not in {"", delivery}:
        message = f"{source.url} is no longer what it was when its delivery was begun"
        raise SourceError(message, hint="The rest of it goes out when its content is back")
    for _ in range(_SEGMENTS):
        if plans.is_done(run.state, delivery):
            return known(source, delivery, run)
        try:
            return _segment(local, delivery, run, folder)
        except FencedError as err:
            log.warning("%s", err)
        except SourceError as err:
            remember_failure(source, delivery, err, run)
            raise
    message = f"{source.url} was taken out of this run's hands {_SEGMENTS} times"
    raise DeliveryError(message, hint="Are turn_timeout and the clocks right on all hosts?")


def _fetched(source: Source, folder: Path, run: Run) -> Local:
    """Bring a source here, or take what an earlier try brought: the folder is of its version."""
    if run.identity:
        return Local(source, source.local_path, run.identity)
    known, path = folder / "identity", folder / "source"
    if source.url.startswith("s3://"):
        here = path if path.exists() else None
    else:
        here = source.local_path
    if here is not None and known.exists():
        return Local(source, here, known.read_text(encoding="utf-8"))
    if here is None and source.url.startswith("s3://"):
        check_space(folder, source.size, run.config.staging_max)
    local = fetch(source, folder, run.connect)
    (folder / "identity.new").write_text(local.sha256, encoding="utf-8")
    (folder / "identity.new").replace(known)
    return local


def _segment(local: Local, delivery: str, run: Run, folder: Path) -> SourceReport:
    """Stage what is left of a source, and publish it."""
    segment = plans.current(run.state, delivery)
    config, notes = planned(run.config, segment)
    work = Work(local, delivery, segment, config, folder)
    with run.step("convert", local.source) as tell:
        ready = staged(work, run)
        check_unchanged(local)
        tell(**facts(replace(ready.report, parts=_would_be(ready.parts, run))))
    report = replace(ready.report, notes=notes)
    error = report.error or refusal(report.tally, config.max_rejects)
    if error is not None:
        remember_failure(local.source, delivery, error, run)
        return replace(report, outcome="failed", error=error.about(local.source.url))
    if run.dry_run:
        return replace(report, parts=_would_be(ready.parts, run))
    try:
        with run.step("publish", local.source) as tell:
            if plans.is_done(run.state, delivery):  # the same content, in a source before this one
                return known(local.source, delivery, run)
            if segment.number == 1:
                report = with_evidence(report, run)
            report = _publish(work, Ready(ready.parts, report), run)
            tell(**facts(report))
            return report
    except (FencedError, SourceError):
        raise
    except CeflineError as err:  # what was counted is told all the same
        return replace(report, outcome="failed", error=err)
    except OSError as err:
        return replace(report, outcome="failed", error=of_system(err, local.source.url))


def planned(config: Config, segment: Segment) -> tuple[Config, tuple[str, ...]]:
    """Return the settings of the plan, where one was made: parts of it may be out already."""
    if segment.plan is None or segment.plan["settings"] == config.planned():
        return config, ()
    own, made = config.planned(), segment.plan["settings"]
    differ = sorted(name for name in own.keys() | made if made.get(name) != own.get(name))
    note = f"goes on as it was planned; settings of this run that differ: {', '.join(differ)}"
    return config.with_planned(made), (note,)


def _would_be(parts: list[Staged], run: Run) -> tuple[PartReport, ...]:
    """Return parts as a dry run knows them: without the turn, their keys have no names yet."""
    return tuple(
        PartReport(f"{run.dest.url}/{p.partition}", p.events, p.text_bytes, p.stored_bytes)
        for p in parts
    )


def _publish(work: Work, ready: Ready, run: Run) -> SourceReport:
    source, config, report = work.local.source, work.config, ready.report
    about = {"url": source.url, "size": source.size, "version": source.version}
    about |= {"sha256": work.local.sha256, "format": report.format, "dialect": report.dialect}
    what = (config.planned(), __version__, work.text_format, config.variant())
    told: list[str] = []
    done = deliver(
        Delivery(work.delivery, about, *what),
        work.segment,
        ready.parts,
        (run.dest, run.state),
        said=counted(replace(report, outcome="delivered")),
        wait=Patience(run.state, config.turn_timeout, partial(_rescue, run=run)),
        how=How(config.pace, config.assume, config.check, run.floor, config.readers),
        begun=lambda: told.extend(kept(report, run)),
        verifying=partial(run.watch, "verify", source.url),
    )
    if done is None:
        return known(source, work.delivery, run)
    told = told or published(report, run)
    remember_delivery(source, report, done, run)  # last: what is remembered is not looked at again
    if not done.entries:
        nothing = "has no event that is selected" if report.tally.filtered else "holds no events"
        log.warning("%s %s", source.url, nothing)
    parts = (PartReport(p.url, p.events, p.text_bytes, p.stored_bytes) for p in done.published)
    removed = [f"a reader has removed {len(done.removed)} parts already"] if done.removed else []
    notes = (*report.notes, *removed, *told)
    return replace(report, outcome="delivered", parts=tuple(parts), notes=notes)


def _rescue(turn: Turn, run: Run) -> None:
    """Finish the delivery that holds an open turn, or close the turn: nobody waits for ever."""
    plan = plans.segments(run.state, turn.delivery)[turn.segment - 1]
    config = run.config.with_variant(plan["variant"])
    sources, _ = found((turn.source,), config.allowed_sources, run.connect)
    if sources:
        run = replace(run, lane=Lane(), identity="", gather=None)
        own = replace(run, config=config, progress=Progress())
        report = run_source(sources[0], own, turn.delivery)
        log.warning("%s: %s", turn, report.said if report.error is None else report.error.logged())
    if turns.is_open(run.state, turn):
        published = fence(plan, turn, (run.dest, run.state), config.assume)
        log.warning("%s was closed after %d of its parts", turn, published)
