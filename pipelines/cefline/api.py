"""What Python programs use beside `export`: frames in and frames out, nothing written."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl
import pyarrow as pa

from cefline.cadojson import rendering
from cefline.conform import Conformed, Rules, conform
from cefline.convert import profile
from cefline.homes import check_profile
from cefline.parse import parse
from cefline.read import Batch, Limits, open_source
from cefline.records import as_series
from cefline.render import Profile
from cefline_schemas.dictionary import ProfileName

__all__ = ["parse", "profile", "read", "render"]


_RULES, _LIMITS, _PROFILE = Rules(), Limits(), Profile()


def read(
    path: str | Path, rules: Rules = _RULES, limits: Limits = _LIMITS
) -> Iterator[pl.DataFrame]:
    """Yield the events of a local timeline as canonical frames, bounded in rows and bytes.

    Args:
        path: Parquet, or NDJSON, a JSON array or CSV, plain, gzip or zstd; known by its content.
        rules: what only the user can know of the source.
        limits: bounds of a frame.

    Returns:
        Frames with a column for each field that occurs, under its canonical name: text and lists
        (as Python literals) String, int Int64, bool Boolean, time Datetime (microseconds, UTC).
        Values that don't fit their field are null; rows that can't be read are left out.

    Raises:
        SourceError: it can't be read as a whole.
    """
    opened = open_source(Path(path), str(path), limits)
    if opened.dialect.name != rules.dialect.name:
        rules = replace(rules, fields=opened.dialect.fields, dialect=opened.dialect)
    for chunk in opened.chunks:
        yield _frame(conform(chunk.load(), rules))


def render(
    frame: pl.DataFrame, profile: Profile | ProfileName = _PROFILE, rules: Rules = _RULES
) -> pl.Series:
    """Render events as lines of CEF, or of CadoJson, without their LF.

    Args:
        frame: a row for each event; columns under any of the names and types of the field table.
        profile: constants and choices of the lines (`cefline.profile` makes it of a config), or the
            name of a profile with the defaults;
            with `format` "json" they are CadoJson.
        rules: what only the user can know of the frame.

    Returns:
        Series `line` of String, a value for each row; null where a row has no usable field, or a
        line longer than the profile's `max_event` bytes or than its reader's limits when it is cut.

    Raises:
        UsageError: there is no profile of that name.
    """
    if isinstance(profile, str):
        check_profile(profile)
        profile = Profile(name=profile)
    data = frame.to_arrow(compat_level=pl.CompatLevel.oldest()).combine_chunks()
    batch = data.to_batches()[0] if data.num_rows else pa.RecordBatch.from_pylist([], data.schema)
    if profile.format == "json":
        rules = replace(rules, lists="value")
    conformed = conform(Batch(batch, pl.int_range(frame.height, eager=True)), rules)
    lines = pl.repeat(None, frame.height, dtype=pl.String, eager=True).alias("line")
    if conformed.ordinals.is_empty():
        return lines
    rendered = rendering(profile)(conformed.columns, profile)
    text = pl.concat([pl.Series(part) for _, part in rendered.slices()]).str.strip_suffix("\n")
    return lines.scatter(conformed.ordinals.gather(rendered.rows), text)


def _frame(conformed: Conformed) -> pl.DataFrame:
    frame = pl.DataFrame({name: as_series(column) for name, column in conformed.columns.items()})
    if "eventTime" in frame.columns:
        frame = frame.with_columns(pl.from_epoch("eventTime", "us").dt.replace_time_zone("UTC"))
    return frame
