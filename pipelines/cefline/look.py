"""Looking without writing: the first lines of a source, the rejects that a state keeps."""

from __future__ import annotations

import logging
import tempfile
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from cefline import s3, times
from cefline.conform import conform
from cefline.convert import convert, converter, limits
from cefline.deliver import plans
from cefline.deliver.rejects import kept
from cefline.errors import CeflineError
from cefline.name import name as names
from cefline.pack import line_text
from cefline.places import stores
from cefline.read import open_source
from cefline.signature import signature
from cefline.sources import Source, fetch, find

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow as pa

    from cefline.config import Config

log = logging.getLogger("cefline")


def rejects(config: Config, delivery: str = "") -> Iterator[dict[str, object]]:
    """Yield the rejects that the state of a destination keeps, of one delivery or of all.

    Raises:
        CeflineError: the state can't be read.
    """
    connect = cache(partial(s3.connect, config.s3))
    _, state = stores(config, connect)
    yield from kept(state, delivery)


def preview(name: str, config: Config, count: int) -> Iterator[memoryview]:
    """Yield the text of the first lines of the sources that a name stands for; write nothing.

    Raises:
        CeflineError: a source can't be read.
    """
    connect = cache(partial(s3.connect, config.s3))
    for source in find([name], connect):
        with tempfile.TemporaryDirectory(prefix="cefline-") as folder:
            try:
                for lines in _previewed(source, config, Path(folder), connect):
                    yield line_text(lines.slice(0, count))
                    count -= min(count, len(lines))
                    if not count:
                        return
            except CeflineError as err:
                raise err.about(source.url) from err


def _previewed(
    source: Source, config: Config, folder: Path, connect: Callable[[], s3.Client]
) -> Iterator[pa.LargeStringArray]:
    local = fetch(source, folder, connect)
    opened = open_source(local.path, source.url, limits(config))
    delivery = plans.delivery_id(local.sha256, config.evidence_id, config.redeliver)
    for chunk in opened.chunks:
        made = converter(config, opened.carried, opened.dialect, delivery)
        converted = convert(chunk, made)
        times.check_unit(converted.seen)
        if rejected := converted.rejects.filter(pl.col("kind") == "row").height:
            log.warning("%s: %d rows can't be read and are left out", source.url, rejected)
        for one in converted.slices:
            yield one.lines


def signatures(name: str, config: Config) -> list[tuple[str, int, str]]:
    """Return the signature ids that profile `dictionary` gives the events of sources.

    Returns:
        For each one, in their order: the id, its events, and the Name of the first of them.

    Raises:
        CeflineError: a source can't be read.
    """
    connect = cache(partial(s3.connect, config.s3))
    found: dict[str, tuple[int, str]] = {}
    for source in find([name], connect):
        with tempfile.TemporaryDirectory(prefix="cefline-") as folder:
            try:
                for counted in _signed(source, config, Path(folder), connect):
                    for one, count, named in counted.rows():
                        before, first = found.get(one, (0, named))
                        found[one] = before + count, first
            except CeflineError as err:
                raise err.about(source.url) from err
    return [(one, *told) for one, told in sorted(found.items())]


def _signed(
    source: Source, config: Config, folder: Path, connect: Callable[[], s3.Client]
) -> Iterator[pl.DataFrame]:
    """Yield signature id, number of events and first Name of each batch."""
    local = fetch(source, folder, connect)
    opened = open_source(local.path, source.url, limits(config))
    for chunk in opened.chunks:
        conformed = conform(chunk.load(), converter(config, opened.carried).rules)
        height = len(conformed.ordinals)
        ids = signature(conformed.columns, height, config.header.signature_id)
        data = pl.DataFrame({"id": ids, "name": names(conformed.columns, height).text})
        grouped = data.group_by("id", maintain_order=True)
        yield grouped.agg(pl.len(), pl.col("name").first()).select("id", "len", "name")
