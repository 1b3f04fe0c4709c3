"""One batch from input columns to lines: what runs on every core."""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace
from typing import TypeVar

import polars as pl
import pyarrow.compute as pc

from cefline import times
from cefline.cadojson import rendering
from cefline.census import census
from cefline.config import Config
from cefline.conform import Conformed, Rules, conform
from cefline.counts import Counts, Found, Sizes
from cefline.errors import ConfigError
from cefline.given import constant_pairs, keyed, problems, reserved
from cefline.moments import micros, span_micros
from cefline.pack import Slice
from cefline.partition import partition
from cefline.read import SMALL, Batch, Chunk, Limits
from cefline.read.carry import Carried
from cefline.records import REJECTS, Columns, as_series, placed
from cefline.render import Profile, Rendered
from cefline.selection import Selection, select, written
from cefline.spread import Spread
from cefline.terms import Condition, Term, both
from cefline_schemas.cef import EXTENDED_ESCAPES, EXTENSION_ESCAPES
from cefline_schemas.demands import Demands
from cefline_schemas.dialects import CADO, Dialect
from cefline_schemas.timeline import ALWAYS, BY_NAME, FIELDS, Field, with_carried

_EAGER = 128 << 20
"""Up to so much text of a batch is joined at once. A small input can expand without bounds (one
value of 1 MB in a dictionary, 50,000 rows): then each slice is joined when its turn has come."""

_EVIDENCE = 1_000
"""More values of `evidence_id` in a batch are none."""

A = TypeVar("A")
B = TypeVar("B")


@dataclass(frozen=True, slots=True)
class Converter:
    """What turns a batch into lines."""

    rules: Rules
    profile: Profile
    partition_by: tuple[str, ...]
    hive: bool = False
    selection: Selection | None = None
    """None where all is wanted."""
    measured: bool = False
    """Whether the bytes of each field are summed up."""
    surveyed: bool = False
    """Whether it is counted how events are spread: reports show it."""
    split: int = 1
    """Which split of the source it is for."""


@dataclass(frozen=True, slots=True)
class Converted:
    """The lines of a batch, and what there is to say about it."""

    slices: Iterable[Slice]
    read: int
    """Events read: rows, and rows that could not be read."""
    rejects: pl.DataFrame
    counts: Counts
    seen: tuple[times.Seen, ...]
    text_bytes: int
    done: float
    notes: tuple[str, ...] = ()
    """What there is to say of the source."""
    evidence: frozenset[int] = frozenset()
    """Values of `evidence_id`."""
    filtered: int = 0
    """Events that are not wanted."""
    sizes: Sizes = field(default_factory=Sizes)
    found: Found = field(default_factory=Found)
    """What a search among its events must find."""
    spread: Spread = field(default_factory=Spread)
    """How its events are spread over times and names, where that is asked."""


def limits(config: Config) -> Limits:
    """Return the bounds of reading that a config sets."""
    bounds = Limits() if config.memory == "normal" else SMALL
    return replace(
        bounds,
        expansion=config.max_expansion,
        events_key=config.events_key,
        unknown=config.unknown,
        accept_truncated=config.accept_truncated,
        dialect=config.dialect,
        reserved=reserved(config.keys, config.constants),
    )


def converter(
    config: Config,
    carried: Carried = (),
    dialect: Dialect = CADO,
    delivery: str = "",
    *,
    measured: bool = False,
) -> Converter:
    """Return what turns batches into lines as a config says.

    Args:
        config: all settings.
        carried: fields that unknown columns become.
        dialect: the source's.
        delivery: what lines are stamped with, where they are.
        measured: whether the bytes of each field are summed up.
    """
    fields = with_carried(tuple(row for _, row in carried), dialect.fields)
    stamp = delivery if config.stamp else ""
    lists = config.lists if config.format == "cef" else "value"
    given = (config.time_unit, config.timezone, lists)
    return Converter(
        Rules(*given, fields, config.evidence_id, dialect),
        profile(config, fields, stamp),
        config.partition_by,
        hive=config.hive,
        selection=selected(config) or None,
        measured=measured,
        surveyed=config.reports,
    )


def profile(config: Config, fields: tuple[Field, ...] = FIELDS, stamp: str = "") -> Profile:
    """Return what turns fields into lines as a config says; `render` and `parse` take it.

    Args:
        config: all settings.
        fields: the table, with what is carried.
        stamp: what each line says first, where it is not empty.

    Raises:
        ConfigError: keys or constants can't be as they are given.
    """
    own = (config.profile, config.keys, config.constants)
    if told := [f"{name}: {what}" for name, what in (problems(*own) if any(own[1:]) else ())]:
        raise ConfigError("\n  ".join(told))
    return Profile(
        config.header,
        config.severity,
        config.subseconds,
        config.max_event,
        keyed(fields, config.keys),
        config.profile,
        stamp,
        config.framing,
        config.cef_version,
        config.format,
        demands(config),
        constant_pairs(config.constants),
    )


def selected(config: Config) -> Selection:
    """Return what of a source is wanted, as a config says."""
    since, until = (None if t is None else micros(t) for t in (config.since, config.until))
    term = both(
        _where(config.where),
        None if since is None else Condition("eventTime", ">=", (since,)),
        None if until is None else Condition("eventTime", "<", (until,)),
    )
    unwritten = set(config.drop) | (BY_NAME.keys() - config.fields if config.fields else set())
    return Selection(term, config.min_severity, frozenset(unwritten - ALWAYS))


def _where(expression: str | None) -> Term | None:
    if expression is None:
        return None
    from cefline.where import parsed  # its parser is for those who need it

    return parsed(expression)


def demands(config: Config) -> Demands:
    """Return what a reader asks of lines, as a config says."""
    return Demands(
        config.max_value,
        config.max_line,
        None if config.time_window is None else span_micros(config.time_window),
        EXTENDED_ESCAPES if config.escapes == "extended" else EXTENSION_ESCAPES,
        config.omit,
        crlf_as_lf=config.crlf == "lf",
    )


def convert(chunk: Chunk, converter: Converter) -> Converted:
    """Read, conform and render a chunk.

    Raises:
        SourceError: it can't be read, or the source can't be as a whole.
    """
    batch = chunk.load()
    unread = (batch.rejects["kind"] == "row").sum()
    conformed = conform(batch, converter.rules)
    read, filtered = len(batch.ordinals) + int(unread), 0
    columns = conformed.columns
    if converter.selection is not None:
        conformed, filtered = select(conformed, converter.selection, converter.profile)
        columns = written(conformed.columns, converter.selection, len(conformed.ordinals))
    if conformed.ordinals.is_empty():
        said = (conformed.rejects, conformed.counts, conformed.seen)
        return Converted((), read, *said, 0, chunk.done, batch.notes, filtered=filtered)
    rendered = rendering(converter.profile)(columns, converter.profile)
    folders = partition(
        conformed.columns, converter.partition_by, len(conformed.ordinals), hive=converter.hive
    ).take(rendered.rows.to_arrow())
    ordinals = conformed.ordinals.gather(rendered.rows)
    slices = (
        Slice(
            lines,
            ordinals.slice(start, len(lines)),
            folders.slice(start, len(lines)),
            converter.split,
        )
        for start, lines in rendered.slices()
    )
    rejected = placed(rendered.rejects, conformed.ordinals, conformed.columns.get("eventId"))
    rejected = _with_raw(rejected, batch)
    text_bytes = int(rendered.lengths.sum())
    return Converted(
        list(slices) if text_bytes <= _EAGER else slices,
        read,
        pl.concat([conformed.rejects, rejected]).sort("ordinal", maintain_order=True),
        conformed.counts + rendered.counts,
        conformed.seen,
        text_bytes,
        chunk.done,
        batch.notes,
        frozenset(_evidence(conformed)),
        filtered,
        rendered.sizes() if converter.measured else Sizes(),
        _found(columns, rendered),
        census(columns, rendered.severities, rendered.rows) if converter.surveyed else Spread(),
    )


def _evidence(conformed: Conformed) -> list[int]:
    ids = conformed.columns.get("evidence_id")
    return [] if ids is None else pl.Series(ids).drop_nulls().unique().head(_EVIDENCE).to_list()


def _found(columns: Columns, rendered: Rendered) -> Found:
    """Return what a search among the rows that have a line must find."""
    severities, times = rendered.severities, columns.get("eventTime")
    stamps = pl.Series(dtype=pl.Int64) if times is None else as_series(times)
    if len(rendered.rows) < len(severities):
        severities = severities.gather(rendered.rows)
    if len(rendered.rows) < len(stamps):  # JSON has times, and no header
        stamps = stamps.gather(rendered.rows)
    counted = Counter(dict(severities.value_counts(name="events").rows()))
    first, last = pc.min_max(stamps.to_arrow()).as_py().values()
    return Found(counted, len(stamps) - stamps.null_count(), first, last)


def _with_raw(rejected: pl.DataFrame, batch: Batch) -> pl.DataFrame:
    """Give rejected rows the raw form that the source has of them."""
    rows = rejected.filter(kind="row")
    if rows.is_empty() or batch.origin is None:
        return rejected
    told = batch.origin(rows["ordinal"])
    whole = rows.drop(told.columns[1:]).hstack(told.drop("ordinal"))
    others = rejected.filter(pl.col("kind") != "row")
    return pl.concat([others, whole], how="diagonal").select(REJECTS.names())


def in_order(
    pool: Executor, function: Callable[[A], B], items: Iterable[A], ahead: int
) -> Iterator[B]:
    """Yield `function` of each item, in order, with `ahead` of them under way in the pool."""
    under_way: deque[Future[B]] = deque()
    try:
        for item in items:
            under_way.append(pool.submit(function, item))
            if len(under_way) > ahead:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    finally:
        for future in under_way:
            future.cancel()
