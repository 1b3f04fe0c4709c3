"""What needs no Airflow of the tasks for it: batches, and what it reads of the package."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cefline
from cefline.airflow.batches import batches, name

MIB = 1 << 20
ROOT = Path(__file__).resolve().parent.parent


def piece(size: int, url: str = "s3://b/a.parquet") -> dict[str, Any]:
    return {"order": 1, "url": url, "source": {"size": size}, "begin": 0, "end": size}


def split(size: int, number: int = 1, of: int = 1) -> dict[str, Any]:
    return {
        "url": "s3://b/a.parquet",
        "source": {"size": size},
        "split": {"number": number, "of": of},
    }


items = st.lists(
    st.one_of(
        st.integers(0, 1 << 40).map(piece),
        st.builds(split, st.integers(0, 1 << 40), of=st.integers(1, 9)),
        st.just({"url": "a", "error": {}}),
        st.just({"url": "a", "split": None}),
    )
)


@given(items, st.integers(1, 1 << 40), st.integers(1, 9))
def test_batches_hold_all_in_order_and_are_not_too_many(
    items: list[dict[str, Any]], size: int, most: int
) -> None:
    found = batches(items, size, most)
    assert [item for batch in found for item in batch] == items
    assert all(found)
    assert len(found) <= most


def test_batches_are_as_large_as_is_worth_a_task() -> None:
    """Small sources count for a mebibyte, and what is no work for nothing."""
    sizes = [3 * MIB, 10, 10, 0, 4 * MIB, 9 * MIB, 1]
    known = {"url": "a", "split": None}
    found = batches([piece(size) for size in sizes] + [known], 4 * MIB, 1024)
    assert [[item.get("end") for item in batch] for batch in found] == [
        [3 * MIB, 10],
        [10, 0, 4 * MIB],
        [9 * MIB],
        [1, None],
    ]
    assert len(batches([split(64 * MIB, n, 16) for n in range(16)], 4 * MIB, 1024)) == 16
    assert len(batches([split(64 * MIB, n, 16) for n in range(16)], 4 * MIB, 3)) == 3


@pytest.mark.parametrize(
    ("batch", "shown"),
    [
        ([piece(1)], "a.parquet"),
        ([piece(1), piece(2)], "a.parquet and 1 more"),
        ([split(9, 2, 7)], "a.parquet 2/7"),
        ([piece(1, "s3://b/" + "x" * 300)], "x" * 60),
        ([piece(1, "/in/a\x1b[31m.json")], "a\\x1b[31m.json"),
    ],
)
def test_a_batch_is_called_by_its_first_file(batch: list[dict[str, Any]], shown: str) -> None:
    assert name(batch) == shown


def test_airflow_finds_the_provider() -> None:
    (entry,) = entry_points(group="apache_airflow_provider", name="provider_info")
    told = entry.load()()
    assert (told["package-name"], told["versions"]) == ("cefline", [cefline.__version__])
    assert told["name"]
    assert told["description"]


def test_its_lock_has_what_cefline_needs() -> None:
    """In the versions that all else is tested with."""
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {re.match(r"[\w-]+", one)[0] for one in needed["dependencies"]}  # type: ignore[index]
    own, airflows = (
        dict(re.findall(r"^([\w-]+)==([\w.]+)", (ROOT / file).read_text("utf-8"), re.MULTILINE))
        for file in ("requirements.lock", "requirements-airflow.lock")
    )
    assert {name: airflows.get(name) for name in names} == {name: own[name] for name in names}


def test_importing_it_imports_nothing_else() -> None:
    """Neither Airflow, which looks for providers at each start, nor what converts."""
    program = "import sys, cefline.airflow.provider; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    modules = {module.partition(".")[0] for module in done.stdout.split()}
    assert not modules & {"airflow", "botocore", "fsspec", "polars", "pyarrow", "s3fs"}
