"""The committed sample timeline is what its generator makes, in both of its forms."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq

from tests import sample

JSONL = sample.DATA / "sample.jsonl"
PARQUET = sample.DATA / "sample.parquet"


def test_jsonl_is_what_the_generator_makes() -> None:
    assert JSONL.read_bytes() == sample.lines(sample.events(sample.EVENTS))


def test_jsonl_holds_one_event_a_line() -> None:
    read = [json.loads(line) for line in JSONL.read_bytes().splitlines()]
    assert read == sample.events(sample.EVENTS)


def test_parquet_holds_the_same_events() -> None:
    made = pa.Table.from_pylist(sample.events(sample.EVENTS), schema=sample.SCHEMA)
    assert pq.read_table(PARQUET).equals(made)


def test_first_event_is_the_standards_sample() -> None:
    assert sample.events(1) == [sample.FIRST]


def test_longer_timelines_begin_with_the_shorter() -> None:
    assert sample.events(400)[:100] == sample.events(100)


def test_every_awkward_value_comes() -> None:
    made = sample.events(sample.EVENTS)
    for awkward in sample.AWKWARD:
        assert any(event | awkward == event for event in made), awkward


def test_event_ids_are_unique() -> None:
    ids = [event["eventId"] for event in sample.events(sample.EVENTS)]
    assert len(set(ids)) == len(ids)


def test_files_are_small() -> None:
    assert JSONL.stat().st_size + PARQUET.stat().st_size < 400_000
