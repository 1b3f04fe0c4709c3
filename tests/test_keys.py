"""Keys: whatever a value holds, it stays in its place, is short, and is told from any other."""

from __future__ import annotations

import itertools
import re
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cefline import keys
from cefline_schemas.timeline import FIELDS

VALUES = st.text(st.characters(codec="utf-8")) | st.text("./\\_-=%2EaA\0", min_size=1, max_size=120)
STAMPS = st.datetimes(datetime(1970, 1, 1), datetime(9998, 1, 1))  # noqa: DTZ001 - hypothesis adds the zone
FOLDERS = VALUES.map(lambda value: f"evidence_id-{keys.encode(value)}") | st.just("")
S3_KEY_BYTES = 1024


def stamp(time: datetime) -> str:
    return time.replace(tzinfo=UTC).strftime("%Y%m%dT%H%M%SZ").rjust(16, "0")


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        ("2", "2"),
        ("aws_compromise.zip", "aws_5Fcompromise.zip"),
        (None, "_"),
        ("", "_"),
        ("_", "_5F"),
        (".", "_2E"),
        ("..", "_2E."),
        ("../../etc", "_2E._2F.._2Fetc"),
        ("a/b", "a_2Fb"),
        ("a=b&c", "a_3Db_26c"),
        ("é", "_C3_A9"),
        ("\0\n", "_00_0A"),
        (" ", "_20"),
        ("x" * 100, "x" * 100),
    ],
)
def test_a_value_is_encoded(value: str | None, encoded: str) -> None:
    """Every byte but letters, digits, `.` and `-` is written as `_XX`, and a leading dot too."""
    assert keys.encode(value) == encoded


@given(VALUES)
def test_no_value_leaves_its_place(value: str) -> None:
    """What a value becomes is one harmless name of a file or folder, at most 100 bytes long."""
    encoded = keys.encode(value)
    assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}", encoded)


@given(VALUES)
def test_what_is_not_shortened_can_be_read_back(value: str) -> None:
    """The encoding loses nothing, so no two short values can meet."""
    encoded = keys.encode(value)
    if value and "__" not in encoded:
        raw = re.sub(rb"_([0-9A-F]{2})", lambda m: bytes.fromhex(m[1].decode()), encoded.encode())
        assert raw.decode() == value


@given(st.lists(VALUES, unique=True))
@example(["a" * 101, "a" * 102, "a" * 82 + "b" * 30])
@example([keys.encode("a" * 200), "a" * 200])
@example(["é" * 60, "é" * 61, keys.encode("é" * 60)])
def test_no_two_values_collide(values: list[str]) -> None:
    """Values that differ get names that differ, those that spell another's name included."""
    assert len({keys.encode(value) for value in values}) == len(values)


@given(st.text("ab/_", max_size=3).map(lambda end: "x" * 98 + end), st.text(max_size=3))
def test_values_that_are_cut_at_any_place_do_not_collide(one: str, end: str) -> None:
    """The cut may fall into an escape; the digest still tells values apart."""
    other = one + end
    assert (keys.encode(one) == keys.encode(other)) is (one == other)


@pytest.mark.parametrize(
    ("folder", "hive", "key"),
    [
        ("", False, "2026-01-12/20260112T101500Z-00000042/00000042-000001.cef.gz"),
        (
            "evidence_id-2",
            False,
            "2026-01-12/20260112T101500Z-00000042/evidence_id-2/00000042-000001.cef.gz",
        ),
        (
            "evidence_id=2",
            True,
            "dt=2026-01-12/20260112T101500Z-00000042/evidence_id=2/00000042-000001.cef.gz",
        ),
    ],
)
def test_a_part_has_the_key_that_the_design_shows(folder: str, *, hive: bool, key: str) -> None:
    """Day and time of publication, the turn, the partition, and a name unique in all folders."""
    assert keys.part("20260112T101500Z", 42, folder, 1, ".cef.gz", hive=hive) == key


@given(
    stamps=st.lists(STAMPS.map(stamp), min_size=2, max_size=2, unique=True).map(sorted),
    turns=st.lists(st.integers(1, 10**8 - 1), min_size=2, max_size=2, unique=True).map(sorted),
    folders=st.tuples(FOLDERS, FOLDERS),
    numbers=st.tuples(st.integers(1, 999_999), st.integers(1, 999_999)),
    hive=st.booleans(),
)
def test_keys_rise_from_turn_to_turn(
    stamps: list[str],
    turns: list[int],
    folders: tuple[str, str],
    numbers: tuple[int, int],
    *,
    hive: bool,
) -> None:
    """Any key of a later turn follows any key of an earlier one, whatever the partitions."""
    first, second = (
        keys.part(*which, ".cef.gz", hive=hive)
        for which in zip(stamps, turns, folders, numbers, strict=True)
    )
    assert first.encode() < second.encode()


@pytest.mark.parametrize(
    "numbers",
    [
        (1, 2),
        (9, 10),
        (99_999, 100_000),
        (999_998, keys.MAX_PARTS),
    ],
)
def test_keys_rise_in_a_partition(numbers: tuple[int, int]) -> None:
    """A reader that keeps the last key misses no part, however many there are."""
    first, second = (keys.part("20260112T101500Z", 1, "", n, ".cef") for n in numbers)
    assert first < second


@pytest.mark.parametrize(
    "columns",
    [
        1,
        5,
    ],
)
def test_no_key_is_longer_than_s3_takes(columns: int) -> None:
    """The longest values under as many partition columns leave 256 bytes to the prefix."""
    names = [field.name for field in itertools.islice(FIELDS, columns)]
    folder = "/".join(f"{name}-{keys.encode('é' * 300)}" for name in names)
    key = keys.part("20260112T101500Z", 99_999_999, folder, 999_999, ".cef.zst", hive=True)
    assert len(key.encode()) <= S3_KEY_BYTES - 256
