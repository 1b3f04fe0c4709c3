"""Every field of every event that was delivered against what the source says."""

import gzip
import io
import re
import tempfile
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple, Self

import polars as pl
import pyarrow as pa

from cefline import literal
from cefline.cadojson import rendering
from cefline.config import Config
from cefline.conform import conform
from cefline.convert import Converter, converter, limits
from cefline.deliver.store import Store
from cefline.escape import visible
from cefline.origins import COPIES, MILLIS
from cefline.pack import TEXT_FORMAT
from cefline.parse import HEADER, parse
from cefline.partition import partition
from cefline.read import Chunk, open_source
from cefline.records import Columns, apply, as_series
from cefline.render import TEXT, Profile
from cefline.selection import select, written
from cefline.sources import Local
from cefline.taken import taken
from cefline.verify.findings import Finding, Verified
from cefline_schemas.cef import STAMP
from cefline_schemas.demands import mark
from cefline_schemas.dictionary import Spelling
from cefline_schemas.timeline import Field, Type

_SHOWN = 20
"""So many differences are told one by one."""


class _Rows(NamedTuple):
    """Events of a batch that were delivered."""

    columns: Columns
    ordinals: pl.Series
    folders: pl.Series
    lines: pl.Series
    """As this version writes them."""
    filtered: int
    """Events of the batch that were not wanted."""

    def of(self, folder: str) -> Self:
        """Return those of a partition."""
        here = self.folders == folder
        columns = {name: c.filter(here.to_arrow()) for name, c in self.columns.items()}
        ordinals, folders, lines = (column.filter(here) for column in self[1:4])
        return self._replace(columns=columns, ordinals=ordinals, folders=folders, lines=lines)


def compare(
    manifest: Mapping[str, Any], local: Local, config: Config, dest: Store, found: Verified
) -> None:
    """Compare what was delivered with its source; `found` gets what differs.

    Args:
        manifest: of the delivery; all its parts are there, and whole.
        local: its source.
        config: with the settings of its plan.
        dest: where its parts are.
        found: what is known of it.
    """
    opened = open_source(local.path, local.source.url, limits(config))
    made = converter(config, opened.carried, opened.dialect, manifest["delivery"])
    delivered = {name: _lines(parts, dest) for name, parts in _by_partition(manifest).items()}
    found.compared = filtered = 0
    same = manifest["text_format"] == TEXT_FORMAT[config.tables] and manifest["segment"] == 1
    for chunk in opened.chunks:
        rows = _rows(chunk, made)
        filtered += rows.filtered
        for name in rows.folders.unique(maintain_order=True):
            here, place = rows.of(name), f"partition {name or '(all)'}"
            lines = list(islice(delivered.get(name, iter(())), len(here.ordinals)))
            if len(lines) < len(here.ordinals):
                what = "events of the source are not in it"
                found.findings.append(Finding("different", place, what))
                return
            found.compared += len(lines)
            differ = _differences(here, lines, made.profile, place, whole=same)
            found.findings += islice(differ, max(_SHOWN - len(found.findings), 0))
    for name, rest in delivered.items():
        if next(rest, None) is not None:
            what = "events are in it that the source does not have"
            found.findings.append(Finding("different", f"partition {name or '(all)'}", what))
    told = manifest.get("events_filtered", 0)
    if filtered != told:
        what = f"{filtered} of its events are not selected, and {told} were filtered"
        found.findings.append(Finding("balance", local.source.url, what))


def _rows(chunk: Chunk, made: Converter) -> _Rows:
    conformed = conform(chunk.load(), made.rules)
    filtered, columns = 0, conformed.columns
    if made.selection is not None:
        conformed, filtered = select(conformed, made.selection, made.profile)
        columns = written(conformed.columns, made.selection, len(conformed.ordinals))
    height = len(conformed.ordinals)
    none = pl.Series(dtype=pl.String)
    if not height:
        return _Rows({}, conformed.ordinals, none, none, filtered)
    rendered = rendering(made.profile)(columns, made.profile)
    kept = rendered.rows  # all but the lines that are too long
    lines = pl.concat([none, *(pl.Series(text) for _, text in rendered.slices())])
    folders = partition(conformed.columns, made.partition_by, height, hive=made.hive)
    said, _ = taken(columns, made.profile.demands)
    columns = {n: c.take(kept.to_arrow()) for n, c in said.items()}
    ordinals = conformed.ordinals.gather(kept)
    return _Rows(columns, ordinals, as_series(folders).gather(kept), lines, filtered)


def _by_partition(manifest: Mapping[str, Any]) -> dict[str, list[Mapping[str, Any]]]:
    grouped: dict[str, list[Mapping[str, Any]]] = {}
    for part in sorted(manifest["parts"], key=lambda part: part["first"]):
        grouped.setdefault(part["partition"], []).append(part)
    return grouped


def _lines(parts: list[Mapping[str, Any]], dest: Store) -> Iterator[bytes]:
    """Yield the lines of a partition's parts; its compressed bytes wait on disk."""
    for part in parts:
        with tempfile.TemporaryFile() as file:
            file.write(dest.read(part["key"]))
            magic = _beginning(file)
            file.seek(0)
            if magic.startswith(b"\x1f\x8b"):
                text: Any = gzip.GzipFile(fileobj=file)
            elif magic.startswith(b"\x28\xb5\x2f\xfd"):
                stream = pa.CompressedInputStream(pa.PythonFile(file, "r"), "zstd")
                text = io.BufferedReader(stream)
            else:
                text = file
            yield from text


def _beginning(file: Any) -> bytes:  # noqa: ANN401 - what tempfile gives
    file.seek(0)
    return bytes(file.read(4))


def _differences(
    rows: _Rows, lines: list[bytes], profile: Profile, place: str, *, whole: bool
) -> Iterator[Finding]:
    """Yield what differs, field by field; with `whole` also lines that differ elsewhere."""
    texts = pl.Series([line.decode() for line in lines])
    parsed = parse(texts.str.strip_suffix("\n"), profile)
    cut = _with_cuts(rows.lines, profile)
    nothing = pl.repeat(None, len(lines), dtype=pl.String, eager=True)
    other = texts != rows.lines if whole else pl.repeat(False, len(lines), eager=True)
    for row in profile.fields:
        column, (key, form) = rows.columns.get(row.name), _read_as(row, profile)
        said = nothing if column is None else _said(column, row, form, profile)
        if row.free and row.name in cut.columns:
            said = _as_cut(said, cut[row.name])
        read = nothing
        if key in parsed.columns:
            read = apply(parsed[key], _READ.get(form, TEXT[form])).cast(pl.String)
        differ = said.ne_missing(read)
        other &= ~differ
        for n in differ.arg_true():
            what = f"event {rows.ordinals[n] + 1}: {row.name} is not what the source says"
            yield Finding("different", place, what)
    says = {STAMP: "does not say the delivery"}
    says |= {key: "is not what the settings say" for key, _ in profile.constants}
    for key, value in ((STAMP, profile.stamp or None), *profile.constants):
        wanted = pl.repeat(value, len(lines), dtype=pl.String, eager=True)
        differ = wanted.ne_missing(parsed[key] if key in parsed.columns else nothing)
        other &= ~differ
        for n in differ.arg_true():
            what = f"event {rows.ordinals[n] + 1}: {key} {says[key]}"
            yield Finding("different", place, what)
    for n in other.arg_true():
        what = f"event {rows.ordinals[n] + 1}: its header or keys are not what the source gives"
        yield Finding("different", place, what)
    known = {*HEADER, *(row.name for row in profile.fields), "eventTimeMicros", STAMP}
    known |= {key for key, _ in profile.constants}
    known |= set() if profile.name == "cado" else {MILLIS, *COPIES}
    for name in parsed.columns:
        if name not in known:
            yield Finding("different", place, f"{name} is no field of the source")


_MARK, _ = mark("\n").split("\n")
_MARKED = "(?s)^(.*)" + re.escape(mark("\n")).replace("\\\n", "([0-9]+)") + "$"


def _with_cuts(lines: pl.Series, profile: Profile) -> pl.DataFrame:
    """Return the fields of lines as they are to be, where limits may have cut some."""
    if profile.demands.limited and lines.str.contains(_MARK, literal=True).any():
        return parse(lines.str.strip_suffix("\n"), profile)
    return pl.DataFrame()


def _as_cut(said: pl.Series, written: pl.Series) -> pl.Series:
    """Return what a source says, cut where it is to be cut and the cut is of that very text."""
    frame = pl.DataFrame({"said": said, "written": written})
    groups = frame.select("said", "written", kept=pl.col("written").str.extract(_MARKED, 1))
    gone = pl.col("written").str.extract(_MARKED, 2).cast(pl.Int64, strict=False)
    whole = pl.col("kept").str.len_bytes() + gone == pl.col("said").str.len_bytes()
    right = (whole & pl.col("said").str.starts_with(pl.col("kept"))).fill_null(value=False)
    return groups.select(pl.when(right).then("written").otherwise("said")).to_series()


def _read_as(row: Field, profile: Profile) -> tuple[str, Type | Spelling]:
    """Return where parsing has a field, and how it is spelled there: times as fine as can be."""
    fine = profile.name == "dictionary" and all(field.name != MILLIS for field in profile.fields)
    return (MILLIS, "millis") if row.type == "time" and fine else (row.name, row.type)


def _said(column: pa.Array, row: Field, form: Type | Spelling, profile: Profile) -> pl.Series:
    """Return what the source says of a field, as it is read back."""
    text = apply(as_series(column), TEXT[form])
    if profile.format == "cef":
        return visible(text)
    return literal.of_json(text, row.members, "value") if row.type == "list" else text


_READ: Mapping[Type | Spelling, pl.Expr] = dict.fromkeys(
    ("time", "millis"), pl.col("").cast(pl.String)
)
"""Where a field is read back in another unit than it has in the canonical columns."""
