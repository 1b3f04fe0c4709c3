"""DuckDB making the CEF text of profile `cado` in SQL: the peer that cefline is measured against.

It is what a person would write in SQL for this job, from the same field table. It does less than
cefline: no character is replaced by its code, Name is not cut to its limit and keeps a backslash at
its end, `type` is left out by a simpler rule, nothing is counted or rejected (a value of the wrong
type ends the run), and it writes one file instead of parts that are published once.

Run as: `python benchmarks/duckdb_cef.py SOURCE OUT --compression gzip|zstd|none --threads 2`
"""

import argparse
from pathlib import Path

import duckdb

from cefline_schemas.cef import (
    EXTENSION_ESCAPES,
    HEADER_ESCAPES,
    NAME_FALLBACKS,
    NAME_LAST,
    SEVERITY,
    SEVERITY_ABOVE,
    SEVERITY_ALARM,
    SEVERITY_NONE,
    Device,
    Escapes,
)
from cefline_schemas.timeline import Field
from lists import EXPORTED, LITERAL_ESCAPES, MEMBERS

QUOTE_ESCAPES: Escapes = (("'", "''"), *(pair for pair in LITERAL_ESCAPES if pair[0] != "'"))
"""What an SQL literal escapes."""

NUMBERS = {"int": "BIGINT", "time": "BIGINT", "bool": "BOOLEAN", "text": "VARCHAR"}
"""DuckDB's type for a field's, lists aside."""


def quote(text: str) -> str:
    """Return an SQL literal, line breaks and tabs escaped."""
    for raw, escaped in QUOTE_ESCAPES:
        text = text.replace(raw, escaped)
    return f"e'{text}'"


def escape(sql: str, escapes: Escapes) -> str:
    """Return the SQL that replaces each raw text by its escaped one, in order."""
    for raw, escaped in escapes:
        sql = f"replace({sql}, {quote(raw)}, {quote(escaped)})"
    return sql


def some(sql: str) -> str:
    """Return the condition that a text is not blank."""
    # Its first character decides nearly always, and costs less to look at than the whole text.
    return f"(unicode({sql}) > 32 OR regexp_matches({sql}, '\\S'))"


def literal(sql: str, members: dict[str, str]) -> str:
    """Return the SQL for a list's Python literal."""
    inner = _object("x", members) if members else _text("x")
    return f"'[' || array_to_string([coalesce({inner}, 'None') FOR x IN {sql}], ', ') || ']'"


def _text(sql: str) -> str:
    return f"'''' || {escape(sql, LITERAL_ESCAPES)} || ''''"


def _object(sql: str, members: dict[str, str]) -> str:
    pairs = ", ".join(_pair(sql, *member) for member in members.items())
    return f"CASE WHEN {sql} IS NOT NULL THEN '{{' || concat_ws(', ', {pairs}) || '}}' END"


def _pair(sql: str, name: str, kind: str) -> str:
    member = f"{sql}.{name}"
    return f"'''{name}'': ' || {_text(member) if kind == 'VARCHAR' else member}"


def name() -> str:
    """Return the SQL for the header's Name, not yet escaped."""
    columns = ("type", *NAME_FALLBACKS)
    whens = " ".join(f"WHEN {some(column)} THEN {column}" for column in columns)
    return f"CASE {whens} ELSE {quote(NAME_LAST)} END"


def severity() -> str:
    """Return the SQL for the header's severity."""
    steps = " ".join(f"WHEN alarm_severity <= {upto} THEN '{n}'" for upto, n in SEVERITY)
    return (
        f"CASE {steps} WHEN alarm_severity IS NOT NULL THEN '{SEVERITY_ABOVE}' "
        f"WHEN alarm THEN '{SEVERITY_ALARM}' ELSE '{SEVERITY_NONE}' END"
    )


def value(field: Field, *, json: bool) -> str:
    """Return the SQL for a field's text, escaped, null where the key is left out."""
    column = field.name
    match field.type:
        case "bool":
            return f"CASE {column} WHEN true THEN 'True' WHEN false THEN 'False' END"
        case "int" | "time":
            return f"{column}::VARCHAR"
        case "list":
            return f"CASE WHEN {_listed(column, json=json)} END"
        case _:
            # Name says it already; the simple half of the rule when `type` is written too.
            repeated = " AND type <> name" if column == "type" else ""
            return f"CASE WHEN {some(column)}{repeated} THEN {_escaped(column)} END"


def _escaped(sql: str) -> str:
    return escape(sql, EXTENSION_ESCAPES)


def _listed(column: str, *, json: bool) -> str:
    members = MEMBERS.get(column, {})
    nested = f"len({column}) > 0 THEN {_escaped(literal(column, members))}"
    if not json:
        return nested
    text = f"({column} ->> '$')"
    typed = f"from_json({column}, '{_shape(members)}')"
    return (
        f"json_type({column}) = 'VARCHAR' AND {some(text)} THEN {_escaped(text)} "
        f"WHEN json_array_length({column}) > 0 THEN {_escaped(literal(typed, members))}"
    )


def _shape(members: dict[str, str]) -> str:
    pairs = ",".join(f'"{name}":"{kind}"' for name, kind in members.items())
    return f"[{{{pairs}}}]" if members else '["VARCHAR"]'


def relation(source: str) -> str:
    """Return the SQL table function that reads the source."""
    if source.endswith(".parquet"):
        return f"read_parquet({quote(source)})"
    columns = ", ".join(
        f"{field.name}: '{NUMBERS.get(field.type, 'JSON')}'" for field in EXPORTED
    )  # a list may be text instead, which only JSON takes
    return f"read_ndjson({quote(source)}, columns={{{columns}}}, maximum_object_size={64 << 20})"


def query(source: str) -> str:
    """Return the SQL that makes one CEF line of each event."""
    json = not source.endswith(".parquet")
    device = Device()
    parts = (device.vendor, device.product, device.version, device.signature_id)
    head = quote(f"CEF:0|{'|'.join(parts)}|")
    safe_name = escape("translate(name, e'\\n\\r', '  ')", HEADER_ESCAPES)
    pairs = ",\n  ".join(
        f"{quote(field.cado.prefix)} || {value(field, json=json)}" for field in EXPORTED
    )
    return (
        f"SELECT {head} || {safe_name} || '|' || {severity()} || '|' || concat_ws(' ',\n  {pairs})"
        f" AS line\nFROM (SELECT *, {name()} AS name FROM {relation(source)})"
    )


def copy(source: str, out: str, compression: str) -> str:
    """Return the SQL that writes the lines and nothing else.

    Without a quote character nothing is quoted, and no line holds the delimiter.
    """
    form = "FORMAT csv, HEADER false, QUOTE '', ESCAPE '', DELIMITER e'\\n'"
    return f"COPY (\n{query(source)}\n) TO {quote(out)} ({form}, COMPRESSION {compression})"


def main() -> None:
    """Convert the source named on the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--compression", choices=("gzip", "zstd", "none"), default="gzip")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    with duckdb.connect(config={"threads": args.threads}) as connection:
        connection.execute(copy(str(args.source), str(args.out), args.compression))


if __name__ == "__main__":
    main()
