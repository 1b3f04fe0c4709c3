"""Tenzir making the CEF text of profile `cado` with `print_cef`, in TQL.

`print_cef` escapes nothing: line breaks, `=` and backslashes go out as they are; it writes `key=`
for a null, nothing for a list, and loses an event whose Name holds a `|`, escaped or not. So there
are two pipelines. With `--escape` it is what a careful user would write: escapes, lists as Python
literals and blank text by expressions of TQL, nulls dropped, `/` for a `|` in Name. Without, the
values go to `print_cef` as they are, but for nulls, `True` and `False`, and a `|` in Name.

Run as: `python benchmarks/tenzir_cef.py SOURCE OUT --tenzir PATH [--escape] [--compression gzip]`
"""

import argparse
import json
import os
from pathlib import Path

from cefline_schemas.cef import (
    EXTENSION_ESCAPES,
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

NAME_REPLACED: Escapes = (("\n", " "), ("\r", " "), ("\\", "\\\\"), ("|", "/"))
"""`print_cef` refuses a `|` in Name, an escaped one, too."""


def quote(text: str) -> str:
    """Return a literal of TQL, whose escapes are those of JSON."""
    return json.dumps(text, ensure_ascii=False)


def escape(tql: str, escapes: Escapes) -> str:
    """Return the expression that replaces each raw text by its escaped one, in order."""
    return tql + "".join(f".replace({quote(raw)}, {quote(written)})" for raw, written in escapes)


def some(tql: str) -> str:
    """Return the condition that a text is not null and not blank."""
    return rf'{tql} != null and {tql}.match_regex(r#"\S"#)'


def name() -> str:
    """Return the expression for the header's Name, not yet escaped."""
    found = quote(NAME_LAST)
    for column in reversed(("type", *NAME_FALLBACKS)):
        found = f"{column} if {some(column)} else ({found})"
    return found


def severity() -> str:
    """Return the expression for the header's severity."""
    found = f'"{SEVERITY_ABOVE}"'
    for upto, written in reversed(SEVERITY):
        found = f'"{written}" if alarm_severity <= {upto} else ({found})'
    missing = f'"{SEVERITY_ALARM}" if alarm == true else "{SEVERITY_NONE}"'
    return f"({missing}) if alarm_severity == null else ({found})"


def literal(tql: str, members: dict[str, str]) -> str:
    """Return the expression for a list's Python literal."""
    inner = _object(members) if members else _text("x")
    return f'"[" + {tql}.map(x => ({inner} if x != null else "None")).join(", ") + "]"'


def _text(tql: str) -> str:
    return f'"\'" + {escape(tql, LITERAL_ESCAPES)} + "\'"'


def _object(members: dict[str, str]) -> str:
    pairs = ", ".join(f"({_pair(*m)} if x.{m[0]} != null)" for m in members.items())
    return f'"{{" + [{pairs}].where(y => y != null).join(", ") + "}}"'


def _pair(member: str, kind: str) -> str:
    value = _text(f"x.{member}") if kind == "VARCHAR" else f"string(x.{member})"
    return f"\"'{member}': \" + {value}"


def value(field: Field) -> str:
    """Return the expression for a field's text, escaped, null where the key is left out."""
    column = field.name
    match field.type:
        case "bool":
            return f'("True" if {column} else "False") if {column} != null'
        case "int" | "time":
            return column
        case "list":
            text = escape(f"({literal(column, MEMBERS.get(column, {}))})", EXTENSION_ESCAPES)
            return f"({text} if {column}.length() > 0) if {column} != null"
        case _:
            # Name says it already; the simple half of the rule when `type` is written too.
            repeated = " and type != name" if column == "type" else ""
            return f"{escape(column, EXTENSION_ESCAPES)} if {some(column)}{repeated}"


def pipeline(source: Path, out: Path, compression: str, *, careful: bool) -> str:
    """Return the pipeline that makes one CEF line of each event."""
    pairs = ",\n  ".join(
        f"{f.name}: {value(f) if careful or f.type == 'bool' else f.name}" for f in EXPORTED
    )
    device = Device()
    packed = "\n  compress_gzip" if compression == "gzip" else ""
    return f"""from_file {quote(str(source))} {{ read_parquet }}
name = {name()}
line = drop_null_fields({{
  {pairs}
}}).print_cef(cef_version="0", device_vendor={quote(device.vendor)},
  device_product={quote(device.product)}, device_version={quote(device.version)},
  signature_id={quote(device.signature_id)},
  name={escape("name", NAME_REPLACED)}, severity={severity()})
select line
to_file {quote(str(out))} {{
  write_lines{packed}
}}
"""


def main() -> None:
    """Become Tenzir, converting the source named on the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--tenzir", required=True, metavar="PATH", help="the binary")
    parser.add_argument("--compression", choices=("gzip", "none"), default="none")
    parser.add_argument("--escape", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    tql = pipeline(args.source, args.out, args.compression, careful=args.escape)
    own = ["--bare-mode", f"--parallelism={args.threads}", tql]
    os.execv(args.tenzir, [args.tenzir, *own])  # noqa: S606 - no shell is what is meant


if __name__ == "__main__":
    main()
