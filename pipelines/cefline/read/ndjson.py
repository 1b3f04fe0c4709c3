"""Lines of JSON become a batch: parsed by polars, suspicious lines looked at one by one.

polars reads every value as text, which is fast and can't fail on mixed types, but loses what a
value was. So a line that holds a list, an object, a boolean or a float where text is expected is
read again by the standard library's parser; so is one with a surrogate escape (polars makes NUL of
a lone one), and one that polars refuses.

Of coercions, those are counted that change a value's text: whether a number stood in quotes is not
known of the lines that are not looked at.
"""

import io
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

import polars as pl
import pyarrow as pa

from cefline.errors import SourceError
from cefline.literal import float_text
from cefline.read.batch import Batch
from cefline.read.frames import Lines, origin
from cefline.records import REJECTS, REPLACED, Counts, no_rejects, printable, rejects
from cefline_schemas.timeline import BY_NAME, CANONICAL

_TEXTS = pl.Schema(dict.fromkeys(CANONICAL, pl.String()))
_TEXT_NAMES = [n for n, row in CANONICAL.items() if BY_NAME[row].type in {"text", "list"}]
_NOT_TEXT = r"\s*:\s*(?:[\[{]|-?[0-9]+[.eE])"
_ESCAPED = r"""\\u[dD][89a-fA-F]|\\u00[2-7][0-9a-fA-F]\w*"\s*:"""  # surrogates; names with escapes
_KEY = r'"[^"\\]*":'
_LOOSE = r'[^\\]"\s+:'  # a blank before the colon, which `_KEY` does not see
_MAYBE = rf'{_ESCAPED}|[^\\]"(?:{_NOT_TEXT}|\s+:)'  # any name: four times as fast as all names
_SUSPICIOUS = rf'{_ESCAPED}|{_LOOSE}|"(?:{"|".join(_TEXT_NAMES)})"{_NOT_TEXT}'
_SURROGATE = re.compile("[\ud800-\udfff]")
_BRACKET_OR_STRING = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]')

MAX_DEPTH = 200
"""A line that nests deeper is a reject: how deep Python can go differs between its versions."""

_FEW = 64
"""So many lines at most are looked at because of one that polars refuses."""

_LONGEST_INT = 4_000
"""Digits of an integer; the standard library refuses to read longer ones."""


def load(lines: Lines, url: str) -> Batch:
    """Parse lines into a batch; lines that are no readable JSON object become rejects.

    Raises:
        SourceError: the source's last line is neither terminated nor readable: it was cut off.
    """
    frame = _parsed(lines.text)
    try:
        return _load_checked(lines, url) if frame is None else _load_sound(frame, lines)
    except (ValueError, RecursionError):  # polars reads what we don't: deeper nesting, say
        return _load_checked(lines, url, block=1)


def _load_sound(frame: pl.DataFrame, lines: Lines) -> Batch:
    texts = pl.read_lines(io.BytesIO(lines.text), name="line").to_series()
    ordinals = pl.int_range(lines.first, lines.first + len(texts), eager=True)
    if frame.height != len(texts):  # blank lines are no events
        filled = texts.str.strip_chars(" \t\r") != ""
        texts, ordinals = texts.filter(filled), ordinals.filter(filled)
    return _batch(lines, frame, texts, ordinals, no_rejects())


def unknown_names(text: bytes, lines: int = 100) -> tuple[str, ...]:
    """Return the names that no field takes, as the first lines have them."""
    names: dict[str, None] = {}
    for line in text.split(b"\n", lines)[:lines]:
        try:
            names.update(dict.fromkeys(_object(line)))
        except (ValueError, RecursionError):
            continue  # it becomes a reject when its chunk is loaded
    return tuple(printable(name) for name in names if name not in CANONICAL)


def _load_checked(lines: Lines, url: str, block: int = 512) -> Batch:
    """Find the bad lines of a chunk that polars refuses; let it parse those that are sound.

    Of the blocks of lines, those that polars refuses as well are looked at line by line; of blocks
    of one line, all are.
    """
    split = lines.text.removesuffix(b"\n").split(b"\n")
    checked = [c for n in range(0, len(split), block) for c in _checked(split[n : n + block])]
    frames = [frame for frame, _ in checked]
    reasons = [reason for _, some in checked for reason in some]
    why = pl.Series(reasons, dtype=pl.String)
    ordinals = pl.int_range(lines.first, lines.first + len(split), eager=True)
    if why[-1] and not lines.text.endswith(b"\n"):
        message = f"{url} ends in the middle of line {ordinals[-1] + 1}: {why[-1]}"
        raise SourceError(message, hint="It was cut off: export or copy it again")
    sound = why.is_null()
    texts = pl.Series("line", split, pl.Binary).filter(sound).cast(pl.String)
    known = [frame for frame in frames if frame is not None]
    # Some are sound, but not for polars (1e400, say): then all are looked at one by one.
    whole = pl.concat(known, rechunk=True) if len(known) == len(frames) else None
    return _batch(lines, whole, texts, ordinals.filter(sound), _bad(lines, why))


def _checked(lines: list[bytes]) -> Iterator[tuple[pl.DataFrame | None, list[str | None]]]:
    """Yield what polars makes of the sound lines, and why each of the others can't be read."""
    frame = _parsed(b"\n".join(lines)) if len(lines) > 1 else None
    if frame is not None:
        yield frame, [None if line.strip() else "" for line in lines]
    elif len(lines) > _FEW:
        for start in range(0, len(lines), _FEW):
            yield from _checked(lines[start : start + _FEW])
    else:
        troubles = [_trouble(line) for line in lines]
        sound = [line for line, trouble in zip(lines, troubles, strict=True) if trouble is None]
        yield _parsed(b"\n".join(sound)), troubles


def _trouble(line: bytes) -> str | None:
    """Return why a line can't be read; "" for a blank one, None for a sound one."""
    if not line.strip():
        return ""
    try:
        _object(line)
    except (ValueError, RecursionError) as err:
        return f"no JSON object: {err}"
    return None


def _bad(lines: Lines, reasons: pl.Series) -> pl.DataFrame:
    """Return the rejects of lines that have a reason."""
    every = pl.int_range(lines.first, lines.first + len(reasons), eager=True)
    bad = origin(every, lines).with_columns(reason=reasons, kind=pl.lit("row"))
    bad = bad.filter(pl.col("reason") != "")
    return pl.concat([no_rejects(), bad], how="diagonal").select(REJECTS.names())


def _parsed(text: bytes) -> pl.DataFrame | None:
    try:
        return pl.read_ndjson(io.BytesIO(text), schema=_TEXTS)
    except pl.exceptions.PolarsError:
        return None


def _suspicious(frame: pl.DataFrame, lines: pl.Series) -> pl.Series:
    """Return the rows of which polars can't tell what their values were."""
    booleans = pl.any_horizontal(pl.col(n).is_in(["true", "false"]) for n in _TEXT_NAMES)
    boolean = frame.select(booleans.fill_null(value=False)).to_series()
    keys = lines.str.extract_all(_KEY)  # of equal ones polars takes the first, JSON the last
    twice = keys.list.n_unique() < keys.list.len()
    rows = (lines.str.contains(_MAYBE) | boolean).arg_true()
    maybe = lines.gather(rows)
    rows = rows.filter(maybe.str.contains(_SUSPICIOUS) | maybe.str.contains(r":\s*[tf]"))
    brackets = sum(lines.str.count_matches(sign, literal=True) for sign in "[{")
    other = twice | (brackets > MAX_DEPTH)
    return pl.concat([rows, other.arg_true()]).unique().sort() if other.any() else rows


def _batch(
    lines: Lines,
    frame: pl.DataFrame | None,
    texts: pl.Series,
    ordinals: pl.Series,
    bad: pl.DataFrame,
) -> Batch:
    if frame is None:  # sound, but not for polars: 1e400, say
        frame = pl.DataFrame(schema=_TEXTS).clear(len(texts))
        suspicious = pl.int_range(len(texts), eager=True)
    else:
        suspicious = _suspicious(frame, texts)
    found = _by_line(texts.gather(suspicious), suspicious)
    nested = None
    if len(suspicious):
        values = pl.DataFrame(found.texts, _TEXTS)
        structures = pl.DataFrame(found.structures, _TEXTS)
        frame = frame.with_columns(frame[n].scatter(suspicious, values[n]) for n in _TEXTS)
        nested = frame.clear(frame.height)
        nested = nested.with_columns(nested[n].scatter(suspicious, structures[n]) for n in _TEXTS)
    return Batch(
        _present(frame, *([] if nested is None else [nested])),
        ordinals,
        nested,
        typed=False,
        origin=partial(origin, lines=lines),
        rejects=pl.concat([bad, *found.replaced]),
        counts=found.counts,
    )


def _present(*frames: pl.DataFrame) -> pa.RecordBatch:
    """Return the first frame's columns that have a value in some frame, in Arrow's form."""
    names = [n for n in _TEXTS if any(f[n].null_count() < f.height for f in frames)]
    table = frames[0].select(names).to_arrow(compat_level=pl.CompatLevel.oldest())
    return pa.RecordBatch.from_arrays([c.combine_chunks() for c in table.columns], names)


@dataclass(frozen=True, slots=True)
class _Found:
    """What lines hold, value by value."""

    texts: dict[str, list[str | None]]
    structures: dict[str, list[str | None]]
    replaced: list[pl.DataFrame] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)


def _by_line(lines: pl.Series, rows: pl.Series) -> _Found:
    """Look at lines one by one; `rows` says which rows of the batch they are."""
    found = _Found(_nothing(len(lines)), _nothing(len(lines)))
    for place, (line, row) in enumerate(zip(lines, rows, strict=True)):
        for name, value in _object(line).items():
            if name in CANONICAL and value is not None:
                _take(found, place, row, name, value)
    return found


def _nothing(height: int) -> dict[str, list[str | None]]:
    return {name: [None] * height for name in _TEXTS}


def _take(found: _Found, place: int, row: int, name: str, value: object) -> None:
    canonical = BY_NAME[CANONICAL[name]]
    kept = found.texts
    if isinstance(value, str):
        text = value
    elif canonical.type not in {"text", "list"}:
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # as polars has it
        text = json.dumps(value)
    elif isinstance(value, list | dict):
        text, kept = json.dumps(value, ensure_ascii=False), found.structures
    else:
        text = float_text(value) if isinstance(value, float) else str(value)
    # In a list they stay JSON's own escapes: `literal.of_json` makes them visible.
    shown = _SURROGATE.sub(lambda m: f"\\u{ord(m[0]):04x}", text)
    kept[name][place] = shown
    if shown != text:
        reason = "lone surrogates, written as visible \\uXXXX"
        raw = pl.Series([text.encode(errors="surrogatepass")])
        record = rejects("replaced", pl.Series([row]), field=canonical.name, reason=reason, raw=raw)
        found.replaced.append(record)
        found.counts[canonical.name, REPLACED] += len(_SURROGATE.findall(text))
    # An integer's text is the number itself: lines with nothing else are not looked at.
    integer = isinstance(value, int) and not isinstance(value, bool)
    if canonical.type == "text" and not isinstance(value, str) and not integer:
        found.counts[canonical.name, "coerced"] += 1


def _object(line: str | bytes) -> dict[str, object]:
    text = line.decode() if isinstance(line, bytes) else line
    if text.count("[") + text.count("{") > MAX_DEPTH and _depth(text) > MAX_DEPTH:
        message = f"nested more than {MAX_DEPTH} deep"
        raise ValueError(message)
    value = json.loads(text, parse_int=_int, parse_float=_float, parse_constant=_constant)
    if not isinstance(value, dict):
        message = f"a {type(value).__name__}"
        raise ValueError(message)  # noqa: TRY004 - what every caller handles
    return value


def _depth(text: str) -> int:
    """Return how deep text nests, whatever this Python could parse."""
    depth = deepest = 0
    for sign in _BRACKET_OR_STRING.findall(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(sign, 0)
        deepest = max(deepest, depth)
    return deepest


def _int(text: str) -> int | str:
    return int(text) if len(text) <= _LONGEST_INT else text


def _float(text: str) -> float | str:
    value = float(text)
    return text if math.isinf(value) else value


def _constant(text: str) -> None:
    message = f"{text} is not JSON"
    raise ValueError(message)
