"""Rejects are kept as NDJSON, one object a line, in bounded objects of the state."""

import base64
import json
from pathlib import Path
from typing import Any

import polars as pl

from cefline.deliver.store import Store

OBJECT_BYTES = 16 << 20


def spill(records: pl.DataFrame, path: Path) -> None:
    """Append rejects to a local file; they are many where a source is bad."""
    if records.height:
        with path.open("a") as file:
            for row in records.drop("row").iter_rows(named=True):
                file.write(f"{json.dumps(_record(row), ensure_ascii=False)}\n")


def keep_rejects(state: Store, delivery: str, path: Path) -> None:
    """Put what was spilled into the state; a rerun finds it there."""
    if not path.exists():
        return
    with path.open("rb") as file:
        number = 1
        while lines := file.readlines(OBJECT_BYTES):
            key = f"rejects/{delivery}/{number:06d}.ndjson"
            state.create(key, b"".join(lines), "application/x-ndjson", {})
            number += 1


def _record(row: dict[str, Any]) -> dict[str, Any]:
    """Return a reject for JSON; what is no UTF-8 in base64."""
    raw = row.pop("raw")
    try:
        row["raw"] = None if raw is None else raw.decode()
    except UnicodeDecodeError:
        row["raw_base64"] = base64.b64encode(raw).decode()
    return {name: value for name, value in row.items() if value is not None}
