"""Rejects are kept as NDJSON, one object a line, in bounded objects of the state."""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import polars as pl

from cefline.deliver.store import Store

OBJECT_BYTES = 16 << 20


def spill(records: pl.DataFrame, path: Path) -> None:
    """Append rejects to a local file; they are many where a source is bad."""
    if records.height:
        with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            for row in records.drop("row").iter_rows(named=True):
                file.write(f"{json.dumps(_record(row), ensure_ascii=False)}\n")


def keep_rejects(state: Store, delivery: str, path: Path) -> list[str]:
    """Put what was spilled into the state, and return the keys.

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
            keys.append(f"rejects/{delivery}/{len(keys) + 1:06d}-{digest}.ndjson")
            state.create(keys[-1], body, "application/x-ndjson", {})
    return keys


def _record(row: dict[str, Any]) -> dict[str, Any]:
    """Return a reject for JSON; what is no UTF-8 in base64."""
    raw = row.pop("raw")
    try:
        row["raw"] = None if raw is None else raw.decode()
    except UnicodeDecodeError:
        row["raw_base64"] = base64.b64encode(raw).decode()
    return {name: value for name, value in row.items() if value is not None}
