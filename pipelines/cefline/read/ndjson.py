"""Lines of JSON become a batch: parsed by polars, suspicious lines looked at one by one.

polars reads every value as text, which is fast and can't fail on mixed types, but loses what a
value was. So a line that holds a list, an object, a boolean or a float where text is expected is
read again by the standard library's parser; so is one with a surrogate escape (polars makes NUL of
a lone one), and one that polars refuses.

Of coercions, those are counted that change a value's text: whether a number stood in quotes is not
known of the lines that are not looked at.
"""

import io
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial

import polars as pl
import pyarrow as pa

from cefline.errors import TruncatedError
from cefline.read.batch import Batch
from cefline.read.byline import MAX_DEPTH, by_line, json_object
from cefline.read.carry import Carried
from cefline.read.frames import Lines, origin
from cefline.read.names import QUICK, Names, names
from cefline.records import REJECTS, apply, no_rejects, unchunked

_KEY = r'"[^"\\]*":'
_KEY_END = '":'
_WITHIN_TEXT = r'\\":'
"""What looks like the end of a key within a string."""

CUT_OFF = "cut off, what is whole was read"

_FEW = 64
"""So many lines at most are looked at because of one that polars refuses."""


def load(
    lines: Lines,
    url: str,
    carried: Carried = (),
    *,
    dialect: str = "cado",
    accept_truncated: bool = False,
) -> Batch:
    """Parse lines into a batch; lines that are no readable JSON object become rejects.

    Args:
        lines: whole lines.
        url: the source, for messages.
        carried: what is read beside the field table.
        dialect: whose names they have.
        accept_truncated: whether a last line that breaks off is a reject, too.

    Raises:
        TruncatedError: the source's last line is neither terminated nor readable.
    """
    table = names(carried, dialect)
    frame = _parsed(lines.text, table)
    try:
        if frame is not None:
            return _load_sound(frame, lines, table)
        batch = _load_checked(lines, table)
    except (ValueError, RecursionError):  # polars reads what we don't: deeper nesting, say
        batch = _load_checked(lines, table, block=1)
    cut = "" if lines.text.endswith(b"\n") else _cut(batch, lines, url)
    if cut and not accept_truncated:
        raise TruncatedError(cut)
    return replace(batch, notes=(f"{CUT_OFF}: {cut}",)) if cut else batch


def _cut(batch: Batch, lines: Lines, url: str) -> str:
    """Return what there is to say of a last line that breaks off, or nothing."""
    last = lines.first + lines.text.count(b"\n")
    cut = batch.rejects.filter(kind="row", ordinal=last)
    return f"{url} ends in the middle of line {last + 1}: {cut['reason'][0]}" if cut.height else ""


def _load_sound(frame: pl.DataFrame, lines: Lines, table: Names) -> Batch:
    texts = pl.read_lines(io.BytesIO(lines.text), name="line").to_series()
    ordinals = pl.int_range(lines.first, lines.first + len(texts), eager=True)
    if frame.height != len(texts):  # blank lines are no events
        filled = texts.str.strip_chars(" \t\r") != ""
        texts, ordinals = texts.filter(filled), ordinals.filter(filled)
    return _batch(lines, frame, texts, ordinals, no_rejects(), table=table)


def names_of(lines: Iterable[bytes]) -> list[str]:
    """Return the names that lines have, in the order in which they first do."""
    found: dict[str, None] = {}
    for line in lines:
        try:
            found.update(dict.fromkeys(json_object(line)))
        except (ValueError, RecursionError):
            continue  # it becomes a reject when its chunk is loaded
    return list(found)


def _load_checked(lines: Lines, table: Names, block: int = 512) -> Batch:
    """Find the bad lines of a chunk that polars refuses; let it parse those that are sound.

    Of the blocks of lines, those that polars refuses as well are looked at line by line; of blocks
    of one line, all are.
    """
    split = lines.text.removesuffix(b"\n").split(b"\n")
    checked = [
        c for n in range(0, len(split), block) for c in _checked(split[n : n + block], table)
    ]
    frames = [frame for frame, _ in checked]
    reasons = [reason for _, some in checked for reason in some]
    why = pl.Series(reasons, dtype=pl.String)
    ordinals = pl.int_range(lines.first, lines.first + len(split), eager=True)
    sound = why.is_null()
    texts = pl.Series("line", split, pl.Binary).filter(sound).cast(pl.String)
    known = [frame for frame in frames if frame is not None]
    # Some are sound, but not for polars (1e400, say): then all are looked at one by one.
    whole = pl.concat(known, rechunk=True) if len(known) == len(frames) else None
    return _batch(lines, whole, texts, ordinals.filter(sound), _bad(lines, why), table=table)


def _checked(
    lines: list[bytes], table: Names
) -> Iterator[tuple[pl.DataFrame | None, list[str | None]]]:
    """Yield what polars makes of the sound lines, and why each of the others can't be read."""
    frame = _parsed(b"\n".join(lines), table) if len(lines) > 1 else None
    if frame is not None:
        yield frame, [None if line.strip() else "" for line in lines]
    elif len(lines) > _FEW:
        for start in range(0, len(lines), _FEW):
            yield from _checked(lines[start : start + _FEW], table)
    else:
        troubles = [_trouble(line) for line in lines]
        sound = [line for line, trouble in zip(lines, troubles, strict=True) if trouble is None]
        yield _parsed(b"\n".join(sound), table), troubles


def _trouble(line: bytes) -> str | None:
    """Return why a line can't be read; "" for a blank one, None for a sound one."""
    if not line.strip():
        return ""
    try:
        json_object(line)
    except (ValueError, RecursionError) as err:
        return f"no JSON object: {err}"
    return None


def _bad(lines: Lines, reasons: pl.Series) -> pl.DataFrame:
    """Return the rejects of lines that have a reason."""
    every = pl.int_range(lines.first, lines.first + len(reasons), eager=True)
    bad = origin(every, lines).with_columns(reason=reasons, kind=pl.lit("row"))
    bad = bad.filter(pl.col("reason") != "")
    return pl.concat([no_rejects(), bad], how="diagonal").select(REJECTS.names())


def _parsed(text: bytes, table: Names) -> pl.DataFrame | None:
    try:
        frame = pl.read_ndjson(io.BytesIO(text), schema=table.schema)
    except pl.exceptions.PolarsError:
        return None
    frame.columns = table.columns.names()
    return frame


def _suspicious(frame: pl.DataFrame, lines: pl.Series, table: Names) -> pl.Series:
    """Return the rows of which polars can't tell what their values were.

    Each look is at what a quicker one has left.
    """
    looked = _looked(frame, lines, table).with_row_index("row")
    line = pl.col("line")
    signs = looked.filter(pl.col("signs") > 0)
    signs = signs.filter(pl.col("signs") > _count(line, rf"\\{QUICK}"))
    others = looked.filter(
        (pl.col("escaped") | pl.col("truth")) & ~pl.col("row").is_in(signs["row"].implode())
    )
    truth = pl.col("truth") & line.str.contains(r":\s*[tf]")
    deep = _count(line, r"[\[{]") > MAX_DEPTH
    found = pl.concat([signs, others]).filter(line.str.contains(table.suspicious) | truth | deep)
    # Where each key has a value of its own in the frame, there is none twice.
    more = looked.filter(pl.col("keys") != pl.col("filled"))
    more = more.filter(pl.col("keys") - _count(line, _WITHIN_TEXT) != pl.col("filled"))
    return pl.concat([found["row"], _twice(lines, more["row"])]).unique().sort()


def _looked(frame: pl.DataFrame, lines: pl.Series, table: Names) -> pl.DataFrame:
    """Return, beside each line, what looks at all of them find."""
    filled = [name for name in frame.columns if frame[name].null_count() < frame.height]
    truths = pl.col([n for n in table.texts if n in filled]).is_in(["true", "false"])
    line = pl.col("line")
    return frame.select(
        filled=pl.sum_horizontal(pl.lit(0), pl.col(filled).is_not_null()),
        truth=pl.any_horizontal(pl.lit(value=False), truths.fill_null(value=False)),
        line=lines,
    ).with_columns(
        keys=_count(line, _KEY_END),
        signs=_count(line, QUICK),
        escaped=line.str.contains(table.escaped),
    )


def _count(line: pl.Expr, pattern: str) -> pl.Expr:
    return line.str.count_matches(pattern).cast(pl.Int64)


def _twice(lines: pl.Series, rows: pl.Series) -> pl.Series:
    """Return those of some rows that have a key twice: polars takes the first, JSON the last."""
    keys = pl.col("").str.extract_all(_KEY)
    return rows.filter(apply(lines.gather(rows), keys.list.n_unique() < keys.list.len()))


def _batch(
    lines: Lines,
    frame: pl.DataFrame | None,
    texts: pl.Series,
    ordinals: pl.Series,
    bad: pl.DataFrame,
    *,
    table: Names,
) -> Batch:
    if frame is None:  # sound, but not for polars: 1e400, say
        frame = pl.DataFrame(schema=table.columns).clear(len(texts))
        suspicious = pl.int_range(len(texts), eager=True)
    else:
        suspicious = _suspicious(frame, texts, table)
    found = by_line(texts.gather(suspicious), suspicious, table)
    nested = None
    if len(suspicious):
        frame = _replaced(frame, suspicious, pl.DataFrame(found.texts, table.columns))
        filled = {n: values for n, values in found.structures.items() if any(values)}
        nothing = pl.repeat(None, frame.height, dtype=pl.String, eager=True)
        nested = pl.DataFrame(
            {n: nothing.clone().scatter(suspicious, v) for n, v in filled.items()}
        )
    return Batch(
        _present(frame, nested),
        ordinals,
        nested,
        typed=False,
        origin=partial(origin, lines=lines),
        rejects=pl.concat([bad, *found.replaced]),
        counts=found.counts,
    )


def _replaced(frame: pl.DataFrame, rows: pl.Series, by: pl.DataFrame) -> pl.DataFrame:
    """Return a frame with the values of some rows replaced; most are what they were."""
    were = frame.select(pl.all().gather(rows))
    changed = [n for n in frame.columns if were[n].ne_missing(by[n]).any()]
    return frame.with_columns(frame[n].clone().scatter(rows, by[n]) for n in changed)


def _present(frame: pl.DataFrame, nested: pl.DataFrame | None) -> pa.RecordBatch:
    """Return the columns that have a value, or a structure, in Arrow's form."""
    also = [] if nested is None else nested.columns
    filled = [n for n in frame.columns if n in also or frame[n].null_count() < frame.height]
    table = frame.select(filled).to_arrow(compat_level=pl.CompatLevel.oldest())
    return pa.RecordBatch.from_arrays([unchunked(c) for c in table.columns], filled)
