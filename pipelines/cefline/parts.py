"""A source becomes parts on local disk: read -> conform -> render -> pack -> stage."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from cefline import __version__
from cefline.convert import Converted, convert, converter, in_order, limits
from cefline.counts import Tally
from cefline.deliver import rejects, staging
from cefline.deliver.stage import stage
from cefline.errors import TooManyRejectsError
from cefline.pack import TEXT_FORMAT, pack
from cefline.read import EXPANSION_FREE, WHOLE, cut, open_source
from cefline.read.splits import counted, ends_between
from cefline.report import SourceReport
from cefline.tally import check_skipped, tallied, unpublished

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from cefline.config import Config
    from cefline.convert import Converter
    from cefline.deliver.plans import Segment
    from cefline.deliver.staging import Staged
    from cefline.line import Run
    from cefline.read import Chunk, Split
    from cefline.sources import Local

REJECTS = "rejects.ndjson"


@dataclass(frozen=True, slots=True)
class Work:
    """A source on its way."""

    local: Local
    delivery: str
    segment: Segment
    config: Config
    """The plan's settings, where one was made."""
    folder: Path
    """Where its parts are staged."""

    @property
    def text_format(self) -> str:
        """Return the version of its text."""
        return TEXT_FORMAT[self.config.tables]

    @property
    def most_text(self) -> int:
        """Return the bytes of text that it may become."""
        return max(self.local.source.size * self.config.max_expansion, EXPANSION_FREE)

    def basis(self, *more: str) -> str:
        """Return a digest of what its parts depend on: another basis, other parts."""
        depends = [self.local.sha256, self.config.planned(), self.text_format, __version__]
        said = json.dumps([*depends, self.segment.skip, *more], sort_keys=True)
        return hashlib.sha256(said.encode()).hexdigest()


class Ready(NamedTuple):
    """A source on local disk, in parts."""

    parts: list[Staged]
    report: SourceReport


def staged(work: Work, run: Run) -> Ready:
    """Convert a source, or take what an earlier run has converted in the same way.

    Raises:
        CeflineError: it can't be converted; what ends in too many rejects is in the report.
    """
    basis = work.basis(*(["measured"] if run.dry_run else []))
    found = staging.saved(work.folder, basis)
    if found is not None:
        parts, said = found
        tally, unknown = Tally.of_json(said["tally"]), tuple(said["unknown"])
        is_ = said["format"], said["dialect"]
        return Ready(parts, with_rejects(_report(work, is_, unknown, tally), work, run))
    staging.clear(work.folder)
    parts, report = run.gather(work) if run.gather else converted(work, run, splits_of(work))
    report = with_rejects(report, work, run)
    if report.error is None:
        staging.save(work.folder, basis, parts, said_of(report))
    return Ready(parts, report)


def said_of(report: SourceReport) -> dict[str, object]:
    """Return what is to be said of parts, in JSON's types."""
    said = {"format": report.format, "dialect": report.dialect, "unknown": list(report.unknown)}
    return {**said, "tally": report.tally.as_json()}


def splits_of(work: Work) -> list[Split]:
    """Return the splits of a source that is here as a whole.

    Raises:
        SourceError: it can't be read.
    """
    path, size = work.local.path, work.config.split_size
    if size is None:
        return [WHOLE]
    splits = cut(path, work.local.source.url, size, limits(work.config))
    if splits[0].kind != "lines":
        return splits
    return counted(splits, [ends_between(path, split.begin, split.end) for split in splits])


def converted(work: Work, run: Run, splits: Sequence[Split]) -> Ready:
    """Convert splits of a source, all of them or one, to parts in its folder.

    Raises:
        CeflineError: they can't be converted; what ends in too many rejects is in the report.
    """
    config, source, tally = work.config, work.local.source, Tally()
    bounds, path = limits(config), work.local.path
    opened = open_source(path, source.url, bounds, splits[0])
    own = converter(config, opened.carried, opened.dialect, work.delivery, measured=run.dry_run)
    later = (open_source(path, source.url, bounds, split).chunks for split in splits[1:])
    each = zip(splits, chain([opened.chunks], later), strict=True)
    batches = chain.from_iterable(_of_split(chunks, own, run, split) for split, chunks in each)
    spill = partial(rejects.spill, path=work.folder / REJECTS, source=source.url)
    whole = len(splits) == splits[0].of
    slices = tallied(_shown(batches, source.url, run), tally, spill, work.most_text, judged=whole)
    rest = unpublished(slices, work.segment.skip, tally.skipped)
    pieces = pack(rest, config.part_size, config.max_partitions)
    fetched = source.size if path.parent == work.folder else 0
    most = None if config.staging_max is None else config.staging_max - fetched
    error, parts = None, []
    try:
        level = config.compression_level
        parts = stage(pieces, work.folder, config.compression, run.pool, level=level, most=most)
    except TooManyRejectsError as err:
        error = err
    if whole and error is None:
        check_skipped(work.segment.skip, tally.skipped)
    report = _report(work, (opened.format, opened.dialect.name), opened.unknown, tally)
    return Ready(parts, replace(report, error=error))


def _of_split(
    chunks: Iterator[Chunk], own: Converter, run: Run, split: Split
) -> Iterator[Converted]:
    function = partial(convert, converter=replace(own, split=split.number))
    for batch in in_order(run.pool, function, chunks, run.threads):
        yield replace(batch, done=(split.number - 1 + batch.done) / split.of)


def _shown(batches: Iterator[Converted], url: str, run: Run) -> Iterator[Converted]:
    for batch in batches:
        run.lane.check()
        run.progress.advance(url, batch.read, batch.text_bytes, batch.done)
        yield batch


def _report(
    work: Work, is_: tuple[str, str], unknown: tuple[str, ...], tally: Tally
) -> SourceReport:
    """Return the report of a source that was converted; `is_` is its format and its dialect."""
    return SourceReport(work.local.source.url, "converted", *is_, work.delivery, tally, unknown)


def with_rejects(report: SourceReport, work: Work, run: Run) -> SourceReport:
    """Keep the rejects of a source in the state, and say where."""
    if run.dry_run:
        return report
    kept = rejects.keep(run.state, f"rejects/{work.delivery}", work.folder / REJECTS)
    return replace(report, reject_objects=tuple(kept))
