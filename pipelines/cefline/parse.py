"""CEF lines become a frame: `render` backwards."""

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

import polars as pl
import pyarrow as pa

from cefline.errors import SourceError
from cefline.escape import unescape
from cefline.homes import check_profile
from cefline.name import fallback_name
from cefline.origins import fields_of, forms
from cefline.records import apply, as_text
from cefline.render import Profile
from cefline_schemas import cef
from cefline_schemas.dictionary import ProfileName, Spelling
from cefline_schemas.timeline import BY_NAME, FIELDS, Field, Type

Forms = Mapping[str, Type | Spelling]
"""How the value of each key is spelled; that of any other key is text."""

HEADER = (
    "cef_version",
    "device_vendor",
    "device_product",
    "device_version",
    "signature_id",
    "name",
    "severity",
)
"""Columns of the header, in its order; all String."""

_FIELD = r"\|((?:[^\\|]|\\.)*)"
_HEADER = rf"^(?:{cef.SYSLOG_HEADER})?CEF:(\d+)" + _FIELD * 6 + r"\|"
_PIECE = r"(?:[^\\=]|\\.)*="  # all up to and with the next unescaped equal sign
_ROWS = 50_000

_TYPED: dict[Type | Spelling, pl.Expr] = {
    "text": pl.col(""),
    "list": pl.col(""),
    "int": pl.col("").cast(pl.Int64, strict=False),
    "bool": pl.col("").replace_strict({"True": True, "False": False}, default=None),
    "time": pl.col("").cast(pl.Int64, strict=False),
    "millis": pl.col("").cast(pl.Int64, strict=False),
    "folder": pl.col("").replace_strict({"folder": True, "file": False}, default=None),
}


def parse(
    lines: pl.Series | Iterable[str] | bytes | str | Path,
    profile: Profile | ProfileName = "cado",
    fields: tuple[Field, ...] = FIELDS,
) -> pl.DataFrame:
    """Parse CEF lines into a frame with a row for each line; lines of CadoJson likewise.

    Args:
        lines: lines without LF, or CEF text (bytes), or the path of a part (plain, gzip or zstd).
        profile: the one that they were written with, or its name; one has its own table.
        fields: the table, with what is carried where that is known.

    Returns:
        The header's columns (String), then a column for each key that occurs: first the fields of
        the table, in its order (text and list String, int Int64, bool Boolean, time Int64 whole
        seconds), then other keys as String. `type` is Name where the extension leaves it out.
        Profile `dictionary` has the same fields, and times in milliseconds in `eventTimeMillis`.
        A syslog header before `CEF:`, as `framing` writes it, is left off.
        CadoJson has no header; its lists and other keys are JSON.

    Raises:
        SourceError: a line is not CEF, or a value not of its field's type; with the line's number.
        UsageError: there is no such profile.
    """
    name, table = (profile, fields) if isinstance(profile, str) else (profile.name, profile.fields)
    check_profile(name)
    text = _lines(lines)
    if len(text) and text[0].startswith("{"):
        from cefline.cadojson import parse_json

        return parse_json(text)
    starts = range(0, max(len(text), 1), _ROWS)
    parsed = (_parse(text.slice(n, _ROWS), n, name, table) for n in starts)
    frame = pl.concat(list(parsed), how="diagonal")
    known = [f.name for f in FIELDS if f.name in frame.columns]
    other = [c for c in frame.columns if c not in known and c not in HEADER]
    return frame.select(*HEADER, *known, *other)


def _lines(lines: pl.Series | Iterable[str] | bytes | str | Path) -> pl.Series:
    try:
        if isinstance(lines, str | Path):
            lines = _stored_text(Path(lines))
        if isinstance(lines, bytes):
            lines = lines.decode().removesuffix("\n").split("\n") if lines else []
    except (pa.ArrowException, OSError, UnicodeDecodeError) as err:
        message = f"this is no CEF text: {err}"
        raise SourceError(message, hint="Expected UTF-8, plain, gzip or zstd, and whole") from err
    return pl.Series("line", lines, pl.String)


def _stored_text(path: Path) -> bytes:
    with pa.OSFile(str(path)) as file:
        codec = {b"\x1f\x8b": "gzip", b"\x28\xb5": "zstd"}.get(file.read(2))
    with pa.input_stream(str(path), compression=codec) as stream:
        return bytes(stream.read())


def _parse(
    lines: pl.Series, before: int, profile: ProfileName, table: tuple[Field, ...]
) -> pl.DataFrame:
    names = dict(zip(map(str, range(1, 8)), HEADER, strict=True))
    header = lines.str.extract_groups(_HEADER).struct.unnest().rename(names)
    _refuse(lines, header["severity"].is_null(), before, "is no CEF line")
    extension = lines.str.replace(_HEADER, "")
    if profile == "cado" and not any(row.given for row in table):
        fields = _fields(lines, extension, before, _CADO)
    else:
        fields = _fields(lines, extension, before, forms(table, profile))
        fields = fields_of(fields, table, profile, partial(_refuse_rows, lines, before))
    if "type" not in fields:
        fields["type"] = pl.repeat(None, len(lines), dtype=pl.String, eager=True)
    fields["type"] = _type(header["name"], fields)
    raw = (unescape(header[name], cef.HEADER_ESCAPES).alias(name) for name in HEADER)
    return pl.DataFrame([*raw, *(column.alias(key) for key, column in fields.items())])


_CADO: Forms = {name: row.type for name, row in BY_NAME.items()}


def _fields(
    lines: pl.Series, extension: pl.Series, before: int, spelled: Forms
) -> dict[str, pl.Series]:
    """Return the column of each key, in the order in which they turn up."""
    # With a space before and ` =` behind, every token is a value, a space, a key and `=`; the
    # key's own value is in the next token, and each row's last key is empty.
    tokens = (
        pl.DataFrame(
            {"row": pl.int_range(len(lines), dtype=pl.UInt32, eager=True), "token": extension}
        )
        .filter(pl.col("token") != "")
        .with_columns(pl.format(" {} =", "token").str.extract_all(_PIECE))
        .explode("token")
        .with_columns(key=pl.col("token").str.extract(r" ([^ =]*)=$"))
        .with_columns(value=pl.col("token").str.strip_suffix(pl.format(" {}=", "key")))
    )
    _refuse(
        lines,
        _marked(lines, tokens.filter(pl.col("key").is_null())),
        before,
        "has a `=` that is not escaped",
    )
    first = tokens.filter(pl.col("row").is_first_distinct() & (pl.col("value") != ""))
    _refuse(lines, _marked(lines, first), before, "has text before its first key")
    pairs = tokens.with_columns(pl.col("value").shift(-1)).filter(pl.col("key") != "")
    named = pairs.filter(pl.col("key").is_in(HEADER))
    _refuse(lines, _marked(lines, named), before, "has a key named as a header field is here")
    columns = {}
    for part in pairs.partition_by("key", maintain_order=True):
        key = str(part["key"][0])
        _refuse(
            lines,
            _marked(lines, part.filter(pl.col("row").diff() == 0)),
            before,
            f"has {key} twice",
        )
        columns[key] = _column(lines, part, before, spelled)
    return columns


def _column(lines: pl.Series, part: pl.DataFrame, before: int, spelled: Forms) -> pl.Series:
    key = str(part["key"][0])
    value = unescape(part["value"], cef.EXTENDED_ESCAPES)
    typed = apply(value, _TYPED[spelled.get(key, "text")])
    _refuse(lines, _marked(lines, part.filter(typed.is_null())), before, f"has an unreadable {key}")
    return pl.repeat(None, len(lines), dtype=typed.dtype, eager=True).scatter(part["row"], typed)


def _type(name: pl.Series, fields: dict[str, pl.Series]) -> pl.Series:
    texts = {n: as_text(fields[n]) for n in cef.NAME_FALLBACKS if n in fields}
    said = name.set(name == fallback_name(texts, len(name)), None)
    given = fields["type"]
    return given.zip_with(given.is_not_null(), unescape(said, cef.HEADER_ESCAPES))


def _marked(lines: pl.Series, rows: pl.DataFrame) -> pl.Series:
    return pl.repeat(False, len(lines), eager=True).scatter(rows["row"], True)


def _refuse_rows(lines: pl.Series, before: int, bad: pl.Series, what: str) -> None:
    _refuse(lines, bad.fill_null(value=False), before, what)


def _refuse(lines: pl.Series, bad: pl.Series, before: int, what: str) -> None:
    if (first := bad.arg_max()) is not None and bad[first]:
        message = f"line {before + first + 1} {what}"
        hint = "Expected CEF as the field table and its escapes describe it"
        raise SourceError(message, hint=hint, sample=repr(lines[first][:80]))
