"""The rules of profile `cado` in plain polars: no dictionaries, no slices, no short cuts.

Slow and easy to check against the standard; `render` must give the same bytes.
"""

import polars as pl

ORDER = [
    "alarm",
    "alarm_severity",
    "alarm_description",
    "evidence_id",
    "evidence_name",
    "macb",
    "source",
    "sourcetype",
    "eventTime",
    "filePath",
    "type",
    "tag",
    "format",
    "data_type",
    "version",
    "isFolder",
    "first_day",
    "inode",
    "sha256",
    "host",
    "domain",
    "suser",
    "source_hostname",
    "source_port",
    "destination_hostname",
    "destination_port",
    "service_name",
    "executed_process",
    "process_cwd",
    "file_access",
    "super_short",
    "parent",
    "filename_stripped",
    "eventId",
    "short",
    "process_arguments",
    "alarm_help_text",
    "alarm_information",
    "highlights",
    "query_suggestions",
    "notes",
    "msg",
    "extra",
]

_UNSAFE = [*range(0x09), 0x0B, 0x0C, *range(0x0E, 0x20), *range(0x7F, 0xA0), 0x2028, 0x2029]


LAST = "Timeline Event"


def _replaced(text: pl.Expr, pairs: list[tuple[str, str]]) -> pl.Expr:
    for raw, written in pairs:
        text = text.str.replace_all(raw, written, literal=True)
    return text


VISIBLE = [(chr(code), f"\\\\u{code:04x}") for code in _UNSAFE]
_EXTENSION = [("\\", "\\\\"), ("=", "\\="), ("\n", "\\n"), ("\r", "\\r"), *VISIBLE]
_HEADER = [("\n", " "), ("\r", " "), ("\\", "\\\\"), ("|", "\\|"), *VISIBLE]


def _name(column: str) -> pl.Expr:
    """Return a Name; cut in Python, byte by byte, where it is too long."""
    text = _replaced(pl.col(column), _HEADER)
    long = text.str.len_bytes() > 512
    cut = pl.when(long).then(text).map_elements(_cut, pl.String, skip_nulls=True)
    bare = pl.when(long).then(cut).otherwise(text).str.strip_chars_end("\\")
    return pl.when(bare.str.strip_chars() != "").then(bare)


def _cut(text: str) -> str:
    return text.encode()[:512].decode(errors="ignore")


def oracle(frame: pl.DataFrame) -> pl.Series:
    """Render a canonical frame (as `cefline.read` yields it) as CEF lines."""
    frame = frame.with_columns(
        pl.lit(None).alias(name) for name in ORDER if name not in frame.columns
    )
    frame = frame.cast(dict.fromkeys(("type", "super_short", "short"), pl.String))
    frame = frame.cast({"alarm": pl.Boolean, "alarm_severity": pl.Int64})
    if isinstance(frame.schema["eventTime"], pl.Datetime):
        frame = frame.with_columns(pl.col("eventTime").to_physical() // 1_000_000)
    frame = frame.with_columns(_name(c).alias(f"N {c}") for c in ("type", "super_short", "short"))
    frame = frame.with_columns(fallback=pl.coalesce("N super_short", "N short", pl.lit(LAST)))
    frame = frame.with_columns(name=pl.coalesce("N type", "fallback"))
    said = (pl.col("N type") == pl.col("type")) & (pl.col("name") != pl.col("fallback"))
    changed = pl.col("type").str.contains(r"""^[\s"']|[\s"']$""")
    frame = frame.with_columns(type=pl.when((said & ~changed).fill_null(False).not_()).then("type"))
    severity = pl.col("alarm_severity")
    level = (
        pl.when(severity <= 1).then(10).when(severity <= 3).then(7).when(severity <= 9).then(4)
        .when(severity > 9).then(1).when(pl.col("alarm")).then(10).otherwise(1)
    )  # fmt: skip
    texts = {True: "True", False: "False"}
    pairs = [
        pl.format(f"{key}={{}}", pl.col(key).replace_strict(texts, return_dtype=pl.String))
        if frame.schema[key] == pl.Boolean
        else pl.format(f"{key}={{}}", _replaced(pl.col(key).cast(pl.String), _EXTENSION))
        for key in ORDER
        if frame[key].null_count() < frame.height
    ]
    header = pl.format("CEF:0|CadoSecurity|CadoResponse|1.0.2|0|{}|{}|", "name", level)
    extension = pl.concat_str(pl.lit(None, pl.String), *pairs, separator=" ", ignore_nulls=True)
    return frame.select(pl.concat_str(header, extension).alias("line")).to_series()
