"""Counting what was read, delivered, rejected and filtered of a source, as its batches come by."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from math import floor

import polars as pl

from cefline import times
from cefline.convert import Converted
from cefline.counts import PRESENT, Tally
from cefline.deliver.plans import Skip
from cefline.errors import DeliveryError, SourceError, TooManyRejectsError
from cefline.pack import Slice
from cefline.records import as_series
from cefline.values import MaxRejects

MAX_REPLACED = 10_000
"""So many replaced values of a source are kept in their original form, and as many that were cut;
the others are counted."""


BOUNDED = ("replaced", "cut")
"""Kinds of rejects that there may be many of in a good source."""

MAX_EVIDENCE = 1_000
"""So many evidences of a source are remembered."""

HOPELESS = 100_000
"""With so many rejected rows, and more than half of them, a source is not read to its end."""


def tallied(
    batches: Iterable[Converted],
    tally: Tally,
    keep: Callable[[pl.DataFrame], None],
    most: int,
    *,
    judged: bool = True,
) -> Iterator[Slice]:
    """Yield the lines of batches, and count them.

    Args:
        batches: in the order of the source.
        tally: what is counted into.
        keep: what is called with the rejects of each batch.
        most: bytes of text that the source may become.
        judged: whether they are all of the source's, so that what they say of it counts; else the
            numbers of their times are kept in the tally.

    Raises:
        SourceError: the numbers in `eventTime` are no seconds, or the text is too much.
        TooManyRejectsError: most rows are bad, and they are so many that the rest won't help.
    """
    seen: list[times.Seen] = []
    text = 0
    for batch in batches:
        if not times.is_enough(seen):
            seen += batch.seen
            if judged and times.is_enough(seen):
                times.check_unit(seen)
        _count(batch, tally)
        keep(_bounded(batch.rejects, tally))
        if judged:
            _stop_early(tally)
        for one in batch.slices:
            text += one.lines.nbytes
            check_expansion(text, most)
            tally.delivered += len(one.lines)
            yield one
    if not judged:
        tally.times = [times.as_json(one) for one in seen]
    elif not times.is_enough(seen):
        times.check_unit(seen)
    if tally.read != tally.delivered + tally.rejected + tally.filtered:
        told = f"{tally.delivered} and {tally.rejected} and {tally.filtered}"
        message = f"{tally.read} events read, but {told} delivered, rejected and filtered"
        raise AssertionError(message)


def check_expansion(text: int, most: int) -> None:
    """Make sure that a source becomes no more bytes of text than it may.

    Raises:
        SourceError: it does.
    """
    if text > most:
        message = f"it becomes more than {most} bytes of CEF text"
        raise SourceError(message, hint="If that is right, raise max_expansion")


def check_rejects(tally: Tally, allowed: MaxRejects) -> None:
    """Make sure that no more was rejected than may be.

    Raises:
        TooManyRejectsError: too many rows, or most values of a field.
    """
    most = max(allowed.rows, floor(allowed.share * tally.read + 1e-9))  # 0.29 of 100 is 29
    if tally.rejected > most:
        message = f"{tally.rejected} of {tally.read} rows rejected, {_most_often(tally)}"
        hint = f"Look at them: cefline rejects DEST; at most {most} are allowed (--max-rejects)"
        raise TooManyRejectsError(message, hint=hint)
    for (name, kind), present in tally.counts.items():
        bad = tally.rejects_of("value", name)
        if kind == PRESENT and bad * 2 > present:
            message = f"{bad} of {present} values of {name} can't be read"
            raise TooManyRejectsError(message, hint="Look at them: cefline rejects DEST")


def refusal(tally: Tally, allowed: MaxRejects) -> TooManyRejectsError | None:
    """Return why a source must not be published, or None."""
    try:
        check_rejects(tally, allowed)
    except TooManyRejectsError as err:
        return err
    return None


def unpublished(slices: Iterable[Slice], skip: Skip, skipped: Counter[str]) -> Iterator[Slice]:
    """Leave out the events of parts that are out already.

    Args:
        slices: lines in row order.
        skip: ordinals of those parts, by partition.
        skipped: what is counted into, by partition.
    """
    if not skip:
        yield from slices
        return
    for one in slices:
        out = pl.repeat(False, len(one.ordinals), eager=True)
        folders = as_series(one.partitions)
        for name, ranges in skip.items():
            for first, last, _ in ranges:
                here = one.ordinals.is_between(first, last) & (folders == name)
                skipped[name] += int(here.sum())
                out |= here
        keep = (~out).to_arrow()
        kept = (one.lines.filter(keep), one.ordinals.filter(~out), one.partitions.filter(keep))
        yield Slice(*kept, one.split)


def check_skipped(skip: Skip, skipped: Counter[str]) -> None:
    """Make sure that as many events were left out as are out.

    Raises:
        DeliveryError: it were others, so it is unclear which events are out.
    """
    if any(skipped[name] != sum(n for *_, n in ranges) for name, ranges in skip.items()):
        message = "this version of cefline finds other events in what was published than it holds"
        hint = "Finish it with the version that began it, or `cefline abandon` the delivery"
        raise DeliveryError(message, hint=hint)


def _stop_early(tally: Tally) -> None:
    if tally.rejected > HOPELESS and tally.rejected * 2 > tally.read:
        message = f"{tally.rejected} of the first {tally.read} rows rejected, {_most_often(tally)}"
        raise TooManyRejectsError(message, hint="Look at them: cefline rejects DEST")


def _count(batch: Converted, tally: Tally) -> None:
    kinds = batch.rejects.select("kind", pl.col("field").fill_null(""), "reason")
    reasons = kinds.group_by("kind", "field", "reason").len().iter_rows()
    tally.add(
        Tally(
            read=batch.read,
            rejected=int((batch.rejects["kind"] == "row").sum()),
            filtered=batch.filtered,
            counts=batch.counts,
            reasons=Counter({(kind, name, why): n for kind, name, why, n in reasons}),
            evidence=set(batch.evidence) if len(tally.evidence) < MAX_EVIDENCE else set(),
            notes=list(batch.notes),
            sizes=batch.sizes,
            found=batch.found,
            spread=batch.spread,
        )
    )


def _bounded(rejects: pl.DataFrame, tally: Tally) -> pl.DataFrame:
    """Leave out replaced and cut values above the bound of each; they are counted already."""
    for kind in BOUNDED:
        own = rejects["kind"] == kind
        if own.any():
            left = max(MAX_REPLACED - tally.rejects_of(kind) + int(own.sum()), 0)
            rejects = rejects.filter(~own | (own.cum_sum() <= left))
    return rejects


def _most_often(tally: Tally) -> str:
    rows = Counter({reason: n for (kind, _, reason), n in tally.reasons.items() if kind == "row"})
    return "; ".join(f"{n} times: {reason}" for reason, n in rows.most_common(1))
