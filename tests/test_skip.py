"""What is out already is left out of what is left: by partition and ordinal, and counted."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cefline.errors import DeliveryError
from cefline.pack import Slice, pack
from cefline.tally import check_skipped, unpublished

if TYPE_CHECKING:
    from collections.abc import Iterable

ROWS = st.lists(st.sampled_from("pqr"), max_size=40)


def slices(partitions: Iterable[str], size: int = 7) -> list[Slice]:
    """Make lines, one for each event of these partitions; ordinals have gaps, as rejects leave."""
    rows = [(3 * n, name, f"{name}{3 * n}\n") for n, name in enumerate(partitions)]
    return [
        Slice(
            pa.array([line for _, _, line in some], pa.large_string()),
            pl.Series([ordinal for ordinal, _, _ in some], dtype=pl.Int64),
            pa.array([name for _, name, _ in some]).dictionary_encode(),
        )
        for some in (rows[at : at + size] for at in range(0, len(rows), size))
    ]


def text(found: Iterable[Slice]) -> list[str]:
    return [line.as_py() for one in found for line in one.lines]


def test_nothing_is_skipped_where_nothing_is_out() -> None:
    """The slices are passed on as they are."""
    made = slices("ppq")
    assert [id(one) for one in unpublished(made, {}, Counter())] == [id(one) for one in made]


def test_events_of_parts_that_are_out_are_left_out() -> None:
    """Of their partition alone; those between them stay, over all slices."""
    made = slices("pqppqpqp", 3)
    skip = {"p": [(0, 6, 2), (15, 15, 1)], "q": [(12, 12, 1)]}
    assert text(unpublished(made, skip, Counter())) == ["q3\n", "p9\n", "q18\n", "p21\n"]


@given(ROWS, st.integers(4, 40), st.data())
def test_parts_that_are_out_and_the_rest_are_each_event_once(
    partitions: list[str], part_size: int, data: st.DataObject
) -> None:
    """Whatever the cuts were, and whichever parts are out."""
    planned: dict[tuple[str, int], list[tuple[int, int, int, bytes]]] = {}
    for piece in pack(slices(partitions), part_size, 9):
        entry = (piece.first, piece.last, piece.events, bytes(piece.text))
        planned.setdefault((piece.partition, piece.part), []).append(entry)
    skip: dict[str, list[tuple[int, int, int]]] = {}
    out = []
    for (partition, _), pieces in sorted(planned.items()):
        if data.draw(st.booleans()):
            events = sum(count for _, _, count, _ in pieces)
            skip.setdefault(partition, []).append((pieces[0][0], pieces[-1][1], events))
            out += b"".join(one for *_, one in pieces).decode().splitlines(keepends=True)
    skipped = Counter[str]()
    rest = text(unpublished(slices(partitions, 5), skip, skipped))
    check_skipped(skip, skipped)
    assert Counter(out + rest) == Counter(text(slices(partitions)))


@pytest.mark.parametrize(
    "skip",
    [
        {"p": [(0, 6, 3)]},
        {"p": [(0, 6, 1)]},
        {"x": [(0, 0, 1)]},
        {"p": [(100, 200, 1)]},
        {"p": [(0, 6, 2)], "q": [(3, 3, 2)]},
    ],
)
def test_another_number_of_events_than_is_out_is_told(
    skip: dict[str, list[tuple[int, int, int]]],
) -> None:
    """It is unclear then which of them are out: nothing is guessed."""
    skipped = Counter[str]()
    list(unpublished(slices("pqpp"), skip, skipped))
    with pytest.raises(DeliveryError, match="finds other events") as caught:
        check_skipped(skip, skipped)
    assert "cefline abandon" in str(caught.value)
