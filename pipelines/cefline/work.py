"""The steps of a delivery as tasks, for engines that spread them over workers.

    pieces -> identify (each) -> splits -> convert (each) -> publish

What goes in and comes out, but for the config, is JSON. Each task may fail, be tried again, or run
twice at once, on any host: workers only create what is not there, and one task publishes. Sources
that can't be delivered go along as items with an `error`: they stop no others.
"""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from functools import cache, partial
from itertools import chain
from typing import TYPE_CHECKING

from cefline import s3
from cefline.convert import limits
from cefline.deliver import plans, shared
from cefline.deliver.probe import prove
from cefline.errors import (
    CeflineError,
    ConfigError,
    DeliveryError,
    SourceError,
    TryAgainError,
    of_system,
    of_told,
)
from cefline.gather import gather
from cefline.items import by_source, delivery_of, failed_as, folder_of, is_remote, path_of
from cefline.job import Job, afterwards, begin, known, run_of, threads_of
from cefline.lanes import Lane, side_by_side
from cefline.line import planned, run_source
from cefline.memory import remember_failure
from cefline.observer import Observer, observed
from cefline.parts import REJECTS, Work, converted, said_of, with_rejects
from cefline.places import stores
from cefline.progress import Progress
from cefline.read import WHOLE, Split, cut
from cefline.read.splits import counted, ends_between
from cefline.report import Report, SourceReport
from cefline.sources import (
    DIGEST_CHUNK,
    Local,
    Source,
    check_unchanged,
    chunk_digests,
    download,
    identity,
)
from cefline.sparse import fetch_ends, fetch_split

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from cefline.config import Config
    from cefline.deliver.store import Store
    from cefline.items import Item
    from cefline.line import Run

_PIECE = 8 * DIGEST_CHUNK
"""Bytes of a source that one task hashes."""

_HEAD = 1 << 20
"""Bytes that are fetched, beyond a batch, to see how a source can be cut."""


def pieces(config: Config) -> list[Item]:
    """Return what is to be identified: the bytes of each source that is new, in pieces.

    Returns:
        Items with `order` and `source`, `begin` and `end` of the piece, and where LFs are to be
        counted. The first of a source has its `splits`.

    Raises:
        CeflineError: the run as a whole can't be carried out.
    """
    job = begin(config)
    told, missing = known(job)
    new = [source for source, report in told.values() if report is None]
    if new:
        prove(job.dest, job.state)
    failed = [report for _, report in told.values() if report and report.error]
    items = [failed_as({"order": 0, "url": r.url}, r.error) for r in (*missing, *failed) if r.error]
    for order, source in enumerate(new, 1):
        items += _pieces({"order": order, "url": source.url, "source": asdict(source)}, job)
    return items


def identify(config: Config, piece: Item) -> Item:
    """Return a piece with the `digests` of its chunks, and the LFs (`ends`) in each of its splits.

    Raises:
        CeflineError: it can't be read now, or not by this worker.
    """
    if "error" in piece:
        return piece
    source, begin_, end = Source(**piece["source"]), piece["begin"], piece["end"]
    with folder_of(config, source, f"piece-{begin_}") as folder:
        try:
            path = path_of(source, folder)
            if is_remote(source):
                download(source, path, s3.connect(config.s3), [(begin_, end)])
            digests = [digest.hex() for digest in chunk_digests(path, begin_, end)]
            ends = [[number, ends_between(path, a, b)] for number, a, b in piece["count"]]
            check_unchanged(Local(source, path, ""))
        except SourceError as err:
            return failed_as(piece, err)
        except OSError as err:
            raise of_system(err, source.url) from err
    return {**piece, "count": [], "digests": digests, "ends": ends}


def splits(config: Config, identified: Iterable[Item]) -> list[Item]:
    """Return what is to be converted: the splits of each source that is not delivered yet.

    Args:
        config: all settings.
        identified: the pieces of all sources, in any order.

    Returns:
        Items with `order` and `source`, its identity (`sha256`), and a `split`; None where the same
        bytes were delivered before.

    Raises:
        CeflineError: the state can't be read.
    """
    connect = cache(partial(s3.connect, config.s3))
    _, state = stores(config, connect)
    items: list[Item] = []
    for own in by_source(identified):
        first: Item = {name: own[0][name] for name in ("order", "url", "source") if name in own[0]}
        errors = [item["error"] for item in own if "error" in item]
        if errors:
            items.append({**first, "error": errors[0]})
            continue
        first["sha256"] = _identity(own)
        items += _of_plan(first, own, config, state, connect)
    return items


def _of_plan(
    first: Item,
    own: list[Item],
    config: Config,
    state: Store,
    connect: Callable[[], s3.Client],
) -> list[Item]:
    """Return the splits of a source, cut as its plan says where one was made."""
    delivery, source = delivery_of(config, first["sha256"]), Source(**first["source"])
    if plans.is_done(state, delivery):
        return [{**first, "split": None}]
    size = planned(config, plans.current(state, delivery))[0].split_size
    if size == config.split_size:
        cut_ = _counted(own)
    else:
        try:
            cut_ = _cut(source, replace(config, split_size=size), connect)
        except SourceError as err:
            return [failed_as(first, err)]
        if cut_[0].kind == "lines":  # nobody has counted the ordinals of these
            message = f"{source.url}: its delivery was begun with split_size = {size}"
            hint = "Run with that until it is delivered, or finish it by `cefline export`"
            return [failed_as(first, ConfigError(message, hint=hint))]
    return [{**first, "split": split.as_json(), "split_size": size} for split in cut_]


def convert(config: Config, item: Item, progress: Progress | None = None) -> Item:
    """Convert a split, and stage its parts to the state; return the item.

    Args:
        config: all settings.
        item: of `splits`.
        progress: is told how far it is.

    Raises:
        CeflineError: it can't be done now, or not by this worker.
    """
    if "error" in item or item["split"] is None:
        return item
    source, split = Source(**item["source"]), Split.of_json(item["split"])
    with folder_of(config, source, f"split-{split.number}") as folder:
        try:
            local = Local(source, path_of(source, folder), item["sha256"])
            sized = replace(config, split_size=item["split_size"])
            error = _convert(sized, local, split, folder, progress or Progress())
        except SourceError as err:
            error = err
        except OSError as err:
            raise of_system(err, source.url) from err
    return item if error is None else {**failed_as(item, error), "lasting": True}


def publish(config: Config, items: Iterable[Item], progress: Progress | None = None) -> Report:
    """Publish the sources whose splits are staged, in order, each in its turn.

    The same plan, parts and manifest as by `export`.

    Args:
        config: all settings.
        items: what `convert` gave of all splits, in any order.
        progress: is told how far it is.

    Returns:
        What became of the sources; those that were known to be delivered are not among them.

    Raises:
        CeflineError: the run as a whole can't be carried out.
    """
    with observed(config) as observer:
        observer.report = published(config, items, observer, progress or Progress())
        return observer.report


def published(
    config: Config, items: Iterable[Item], observer: Observer, progress: Progress
) -> Report:
    """Publish as `publish` does, as a step of a run that is watched already."""
    began = time.monotonic()
    job, each = begin(config, observer), list(by_source(items))
    if any("sha256" in own[0] for own in each):
        prove(job.dest, job.state)
    sources = {own[0]["url"]: Source(**own[0]["source"]) for own in each if "source" in own[0]}
    progress.begin((source.url, source.size) for source in sources.values())
    last = {own[0].get("sha256"): own[0]["url"] for own in each}
    with ThreadPoolExecutor(threads_of(config)) as pool:
        run = run_of(job, pool, progress=progress)
        reports = side_by_side(each, partial(_source, run=run, last=set(last.values())))
    missing = [report for report in reports if report.url not in sources]
    told = [report for report in reports if report.url in sources]
    return Report((*missing, *afterwards(sources, told, job)), time.monotonic() - began)


def _pieces(item: Item, job: Job) -> list[Item]:
    source = Source(**item["source"])
    try:
        cut_ = _cut(source, job.config, job.connect)
    except SourceError as err:
        return [failed_as(item, err)]
    lines = [split for split in cut_ if split.kind == "lines"]
    found = []
    for begin_ in range(0, max(source.size, 1), _PIECE):
        end = min(begin_ + _PIECE, source.size)
        bounds = [(s.number, max(s.begin, begin_), min(s.end, end)) for s in lines]
        count = [[number, a, b] for number, a, b in bounds if a < b]
        found.append({**item, "begin": begin_, "end": end, "count": count})
    found[0]["splits"] = [split.as_json() for split in cut_]
    return found


def _cut(source: Source, config: Config, connect: Callable[[], s3.Client]) -> list[Split]:
    size, bounds = config.split_size, limits(config)
    if size is None or source.size <= size:
        return [WHOLE]
    with folder_of(config, source, "cut") as folder:
        path = path_of(source, folder)
        if is_remote(source):
            fetch_ends(source, path, connect(), bounds.json_bytes + _HEAD)
        return cut(path, source.url, size, bounds)


def _identity(own: list[Item]) -> str:
    """Return what a source is, of its pieces in order.

    Raises:
        DeliveryError: not all of them are there.
    """
    digests = {item["begin"]: item["digests"] for item in own}
    found = [bytes.fromhex(digest) for digest in chain.from_iterable(digests.values())]
    if len(found) != -(-own[0]["source"]["size"] // DIGEST_CHUNK):
        message = f"{own[0]['url']}: only some of its pieces were identified"
        raise DeliveryError(message, hint="Give `splits` what `identify` gave of all pieces")
    return identity(found)


def _counted(own: list[Item]) -> list[Split]:
    """Return the splits of a source, those of lines with their first ordinals."""
    cut_ = [Split.of_json(split) for split in own[0]["splits"]]
    if cut_[0].kind != "lines":
        return cut_
    ends = Counter[int]()
    for counts in {item["begin"]: item["ends"] for item in own}.values():
        ends.update(dict(counts))
    return counted(cut_, [ends[split.number] for split in cut_])


def _convert(
    config: Config, local: Local, split: Split, folder: Path, progress: Progress
) -> CeflineError | None:
    """Convert and stage a split, or return why its source can't be delivered."""
    connect = cache(partial(s3.connect, config.s3))
    job = Job(config, *stores(config, connect), connect, {})
    delivery = delivery_of(config, local.sha256)
    segment = plans.current(job.state, delivery)
    own, _ = planned(config, segment)
    if own.split_size != config.split_size:
        message = f"{local.source.url} was planned with other splits in the meantime"
        raise TryAgainError(message, hint="Run again: it is cut as its plan says")
    work = Work(local, delivery, segment, own, folder)
    place = shared.place(delivery, work.basis(), split.number)
    if shared.is_staged(job.state, place):
        return None
    if is_remote(local.source):
        fetch_split(local.source, local.path, connect(), split)
    with ThreadPoolExecutor(threads_of(config)) as pool:
        run = run_of(job, pool, progress=progress)
        parts, report = converted(work, run, [split])
        check_unchanged(local)
        if report.error is not None:
            return with_rejects(report, work, run).error
    shared.put(job.state, place, parts, said_of(report), folder / REJECTS)
    return None


def _source(own: list[Item], lane: Lane, run: Run, last: set[str]) -> SourceReport:
    """Publish a source; what was staged goes with the `last` one of the same content."""
    first, failed = own[0], [item for item in own if "error" in item]
    if failed:
        lasting = [item["error"] for item in failed if item.get("lasting")]
        error = of_told((lasting or [failed[0]["error"]])[0]).about(first["url"])
        if lasting:  # until it or the settings change, it fails again
            delivery = delivery_of(run.config, first["sha256"])
            remember_failure(Source(**first["source"]), delivery, error, run)
        return SourceReport(first["url"], "failed", error=error)
    source, count = Source(**first["source"]), (first["split"] or {}).get("of", 0)
    brought = partial(gather, state=run.state, count=count)
    run = replace(run, lane=lane, identity=first["sha256"], gather=brought)
    report = run_source(source, run)
    if report.error is None and source.url in last:
        shared.drop(run.state, report.delivery)
    return report
