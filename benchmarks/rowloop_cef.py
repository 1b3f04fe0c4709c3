"""A plain loop over rows making the CEF text of profile `cado`: what a script in Python would do.

It follows all rules of the text: escapes, characters that no reader can carry, Name and its limit.
JSON is read line by line by orjson, Parquet in batches by pyarrow; gzip is that of the standard
library at its own default level. One thread, as such a script has. Nothing is counted or rejected,
and there is one file.

Run as: `python benchmarks/rowloop_cef.py SOURCE OUT --compression gzip|none`
"""

from __future__ import annotations

import argparse
import gzip
import io
import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from cefline_schemas.cef import (
    EXTENSION_ESCAPES,
    HEADER_ESCAPES,
    NAME_FALLBACKS,
    NAME_LAST,
    NAME_MAX_BYTES,
    NEEDS_ESCAPE,
    SEVERITY,
    SEVERITY_ABOVE,
    SEVERITY_ALARM,
    SEVERITY_NONE,
    UNSAFE,
    Device,
    Escapes,
)
from cefline_schemas.timeline import FIELDS
from lists import LITERAL_ESCAPES

if TYPE_CHECKING:
    from collections.abc import Iterator

Event = dict[str, Any]

ROWS = 10_000
_DIRTY = {escapes: re.compile(pattern) for escapes, pattern in NEEDS_ESCAPE.items()}
_UNSAFE = re.compile(UNSAFE)
_CHANGED = re.compile(r"""^[\s"']|[\s"']$""")
_PAIRS = [(field.name, field.cado.prefix, field.type) for field in FIELDS]
_DEVICE = Device()
_HEAD = f"CEF:0|{_DEVICE.vendor}|{_DEVICE.product}|{_DEVICE.version}|{_DEVICE.signature_id}|"


def escaped(text: str, escapes: Escapes) -> str:
    """Escape a text, and make the characters visible that no reader can carry."""
    if _DIRTY[escapes].search(text):
        text = replaced(text, escapes)
    if text.isascii() and text.isprintable():
        return text
    return _UNSAFE.sub(lambda found: f"{escapes[0][1]}u{ord(found[0]):04x}", text)


def replaced(text: str, escapes: Escapes) -> str:
    """Replace each raw text by its escaped one, in order."""
    for raw, written in escapes:
        text = text.replace(raw, written)
    return text


@lru_cache(4096)
def header(text: str | None) -> str:
    """Return a text as the header's Name, empty where nothing is left of it."""
    if text is None or not text.strip():
        return ""
    name = escaped(text.replace("\n", " ").replace("\r", " "), HEADER_ESCAPES)
    name = name.encode()[:NAME_MAX_BYTES].decode(errors="ignore").rstrip("\\")
    return name if name.strip() else ""


def severity(event: Event) -> int:
    """Return the header's severity."""
    given = event.get("alarm_severity")
    if given is None:
        return SEVERITY_ALARM if event.get("alarm") else SEVERITY_NONE
    return next((written for upto, written in SEVERITY if given <= upto), SEVERITY_ABOVE)


def literal(value: Any) -> str:  # noqa: ANN401 - whatever JSON holds
    """Return a value as a Python literal; members without a value are left out."""
    match value:
        case str():
            return f"'{replaced(value, LITERAL_ESCAPES)}'"
        case list():
            return f"[{', '.join(map(literal, value))}]"
        case dict():
            there = ((k, v) for k, v in value.items() if v is not None)
            return f"{{{', '.join(f'{literal(k)}: {literal(v)}' for k, v in there)}}}"
    return str(value)


def pairs(event: Event) -> Iterator[str]:
    """Yield the pairs of an event's extension."""
    for name, prefix, kind in _PAIRS:
        value = event.get(name)
        if value is None or value == []:
            continue
        if kind in {"text", "list"}:
            text = value if isinstance(value, str) else literal(value)
            if text.strip():
                yield prefix + escaped(text, EXTENSION_ESCAPES)
        else:
            yield f"{prefix}{value}"


def line(event: Event) -> str:
    """Return the CEF line of an event."""
    kind = event.get("type")
    typed = header(kind)
    fallback = next(filter(None, (header(event.get(n)) for n in NAME_FALLBACKS)), NAME_LAST)
    if typed == kind and typed != fallback and not _CHANGED.search(typed):
        event["type"] = None
    return f"{_HEAD}{typed or fallback}|{severity(event)}|{' '.join(pairs(event))}\n"


def events(source: Path) -> Iterator[Event]:
    """Yield a source's events."""
    if source.suffix == ".parquet":
        import pyarrow.parquet as pq

        for batch in pq.ParquetFile(source).iter_batches(ROWS):
            yield from batch.to_pylist()
        return
    with source.open("rb") as file:
        for text in file:
            yield orjson.loads(text)


def opened(out: Path, compression: str) -> io.BufferedWriter:
    """Open the destination, with a buffer before gzip, too: Python 3.11 has none there."""
    return io.BufferedWriter(gzip.open(out, "wb")) if compression == "gzip" else out.open("wb")


def main() -> None:
    """Convert the source named on the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--compression", choices=("gzip", "none"), default="gzip")
    args = parser.parse_args()
    with opened(args.out, args.compression) as file:
        for event in events(args.source):
            file.write(line(event).encode())


if __name__ == "__main__":
    main()
