"""Rejects are kept as NDJSON, one object a line, in bounded objects of the state."""

import base64
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from cefline.deliver.store import Store
from cefline.errors import DeliveryError

OBJECT_BYTES = 16 << 20
"""Text of an object, about."""

RAW_BYTES = 64_000
"""Raw bytes that are kept of a value or row; of a longer one also its length and digest."""


def spill(records: pl.DataFrame, path: Path, source: str) -> None:
    """Append rejects of a source to a local file; they are many where a source is bad."""
    if records.height:
        with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            for row in records.drop("row").iter_rows(named=True):
                record = {"source": source, **_record(row)}
                file.write(f"{json.dumps(record, ensure_ascii=False)}\n")


def keep(state: Store, prefix: str, path: Path) -> list[str]:
    """Put what was spilled into the state, below a prefix, and return the keys.

    Names have the digest of the content: another try with other settings has other rejects, and
    both are kept.
    """
    keys: list[str] = []
    if not path.exists():
        return keys
    with path.open("rb") as file:
        while lines := file.readlines(OBJECT_BYTES):
            body = b"".join(lines)
            digest = hashlib.sha256(body).hexdigest()[:16]
            keys.append(f"{prefix}/{len(keys) + 1:06d}-{digest}.ndjson")
            state.create(keys[-1], body, "application/x-ndjson", {})
    return keys


def kept(state: Store, delivery: str = "") -> Iterator[dict[str, Any]]:
    """Yield the rejects that the state keeps, of one delivery or of all.

    Raises:
        DeliveryError: an object is not what was kept.
    """
    for key, _ in state.list(f"rejects/{delivery}"):
        try:
            yield from map(json.loads, state.read(key).splitlines())
        except ValueError as err:
            message = f"{state.url}/{key} holds no rejects of cefline's"
            raise DeliveryError(message, hint="Something else wrote there") from err


def _record(row: dict[str, Any]) -> dict[str, Any]:
    """Return a reject for JSON: what is no UTF-8 in base64, of what is long the beginning."""
    raw = row.pop("raw")
    if raw is not None:
        if len(raw) > RAW_BYTES:
            row["raw_bytes"], row["raw_sha256"] = len(raw), hashlib.sha256(raw).hexdigest()
            raw = raw[:RAW_BYTES]
        try:
            row["raw"] = raw.decode(errors="strict" if "raw_bytes" not in row else "ignore")
        except UnicodeDecodeError:
            row["raw_base64"] = base64.b64encode(raw).decode()
    return {name: value for name, value in row.items() if value is not None}
