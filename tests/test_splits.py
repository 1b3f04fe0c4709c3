"""Splits: cut in whichever way, a source has the same events in the same places."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cefline.conform import conform
from cefline.errors import SourceError
from cefline.read import WHOLE, Limits, Split, cut, open_source
from cefline.read.splits import counted, ends_between, span
from tests.inputs import RULES, URL, outcome

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.inputs import Outcome

LIMITS = Limits(rows=3, json_bytes=64)


def splits_of(path: Path, size: int, limits: Limits = LIMITS) -> list[Split]:
    """Cut a source, and count what is in the splits of lines."""
    splits = cut(path, URL, size, limits)
    if splits[0].kind != "lines":
        return splits
    return counted(splits, [ends_between(path, s.begin, s.end) for s in splits])


def read(path: Path, splits: Sequence[Split], limits: Limits = LIMITS) -> Outcome:
    """Read splits, one after the other."""
    chunks = (c for split in splits for c in open_source(path, URL, limits, split).chunks)
    return outcome(conform(chunk.load(), RULES) for chunk in chunks)


def told(path: Path, splits: Sequence[Split]) -> tuple[object, object] | str:
    """Return events and rejects, or why there are none."""
    try:
        found = read(path, splits)
    except SourceError as err:
        return str(err)
    return found.events, found.rejects.sort("ordinal", maintain_order=True).to_dicts()


LINE = st.one_of(
    st.sampled_from([b"", b"\r", b"{}", b"{", b"[1]", b"\xff", b'{"msg": "\\u2028"}']),
    st.integers(0, 90).map(lambda n: json.dumps({"msg": "x" * n, "evidence_id": n}).encode()),
)


@given(
    st.lists(LINE, max_size=30),
    st.integers(1, 200),
    st.sampled_from([b"", b"\xef\xbb\xbf"]),
    st.sampled_from([b"", b"\n"]),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_lines_are_read_once_wherever_they_are_cut(
    tmp_path: Path, lines: list[bytes], size: int, mark: bytes, end: bytes
) -> None:
    """With ordinals, line numbers and offsets as they are in the whole."""
    path = tmp_path / "source"
    path.write_bytes(mark + b'{"msg": "first"}\n' + b"\n".join(lines) + end)
    splits = splits_of(path, size)
    assert len(splits) == max(-(-path.stat().st_size // size), 1)
    assert told(path, splits) == told(path, [WHOLE])


def test_a_line_over_several_splits_is_in_one(tmp_path: Path) -> None:
    path = tmp_path / "source"
    path.write_bytes(b'{"msg": "a"}\n{"msg": "%b"}\n{"msg": "c"}\n' % (b"b" * 500))
    splits = splits_of(path, 100)
    assert len(splits) == 6
    assert [split.first for split in splits] == [0, 2, 2, 2, 2, 2]
    heights = [len(read(path, [split]).events) for split in splits]
    assert heights == [2, 0, 0, 0, 0, 1]


@pytest.mark.parametrize("groups", [1, 2, 7])
@pytest.mark.parametrize("size", [1, 2000, 1 << 30])
def test_row_groups_are_read_once(tmp_path: Path, groups: int, size: int) -> None:
    """Splits are runs of them, each as large as it may be; the first ordinal is the row's."""
    path = tmp_path / "source"
    rows = 35
    table = pa.table({"msg": [f"{n} {'x' * 50}" for n in range(rows)], "evidence_id": range(rows)})
    pq.write_table(table, path, row_group_size=-(-rows // groups))
    splits = splits_of(path, size)
    assert [s.begin for s in splits[1:]] == [s.end for s in splits[:-1]]
    found, whole = read(path, splits), read(path, [WHOLE])
    assert found.events == whole.events
    assert len(whole.events) == rows
    metadata = pq.read_metadata(path)
    if size == 1 and groups > 1:
        assert len(splits) == metadata.num_row_groups
        stored = [end - begin for begin, end in (span(metadata, n) for n in range(groups))]
        assert 0 < sum(stored) < path.stat().st_size


@pytest.mark.parametrize(
    "content",
    [
        b'[{"msg": "a"}, {"msg": "b"}]',
        b'{"events": [{"msg": "a"}]}',
        b"eventTime,msg,source\n1,a,b\n",
    ],
)
def test_what_has_no_lines_to_tell_is_one_split(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "source"
    path.write_bytes(content)
    assert cut(path, URL, 5, LIMITS) == [WHOLE]


@pytest.mark.parametrize("limits", [Limits(unknown="carry"), Limits(accept_truncated=True)])
def test_what_must_be_seen_whole_is_one_split(tmp_path: Path, limits: Limits) -> None:
    path = tmp_path / "source"
    path.write_bytes(b'{"msg": "a", "zz": 1}\n{"msg": "b", "yy": 1}\n')
    assert len(cut(path, URL, 5, LIMITS)) > 1
    assert cut(path, URL, 5, limits) == [WHOLE]


def test_a_split_is_of_the_dialect_of_the_first_lines(tmp_path: Path) -> None:
    """The lines in it may tell of none, or of another one."""
    path = tmp_path / "source"
    names = ("__container_type__", "timestamp_desc", "message")
    lines = [json.dumps(dict.fromkeys(names, "a"))] * 100 + ['{"message": "b"}'] * 100
    path.write_text("\n".join(lines), encoding="utf-8")
    splits = splits_of(path, 4000, Limits(rows=50))
    dialects = {open_source(path, URL, LIMITS, split).dialect.name for split in splits}
    assert len(splits) > 1
    assert dialects == {"plaso"}


def test_a_split_goes_through_json() -> None:
    split = Split("lines", 2, 3, 10, 20, 4, "plaso")
    assert Split.of_json(json.loads(json.dumps(split.as_json()))) == split


def test_ordinals_of_batches_are_those_of_the_source(tmp_path: Path) -> None:
    path = tmp_path / "source"
    path.write_bytes(b'{"msg": "a"}\n' * 20)
    ordinals = [
        chunk.load().ordinals
        for split in splits_of(path, 50)
        for chunk in open_source(path, URL, LIMITS, split).chunks
    ]
    assert pl.concat(ordinals).to_list() == list(range(20))
