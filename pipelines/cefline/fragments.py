"""What fields add to lines, and how lines are joined of it.

A fragment stays a dictionary as long as it can; the last join's buffer is the text itself.
"""

from collections.abc import Iterator
from typing import NamedTuple

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from cefline.escape import Escaped
from cefline.records import decoded

SLICE_BYTES = 16 << 20
"""Lines are joined in slices of at most this much text, however far a small input expands."""


class Fragment(NamedTuple):
    """What one column adds to the lines of a batch; where its text is null, nothing."""

    prefix: str
    """What stands before the text of each row, ASCII. Long texts are not copied for it."""
    text: pa.Array
    """Large string, plain or as a dictionary, however far that would expand."""


def fragment(
    prefix: pa.LargeStringArray | str, column: pa.Array, said: Escaped, end: str = ""
) -> tuple[Fragment, Escaped]:
    """Return what a column adds to lines, and what was found in it; a dictionary stays one.

    Args:
        prefix: what stands before all texts, or before each.
        column: the column, plain or as a dictionary.
        said: its texts, escaped; of a dictionary, those of its values.
        end: what stands behind all texts.
    """
    text = concat(said.text, end) if end else said.text
    if not isinstance(prefix, str):
        prefix, text = "", concat(prefix, text)
    if not isinstance(column, pa.DictionaryArray):
        return Fragment(prefix, text), said
    whole = concat(prefix, text) if prefix else text
    spread = pa.DictionaryArray.from_arrays(column.indices, whole)
    return Fragment("", spread), said.spread(pl.Series(column.indices))


def constant(text: str, height: int) -> Fragment:
    """Return what is the same in each line."""
    indices = pa.repeat(pa.scalar(0, pa.int32()), height)
    values = pa.array([text], pa.large_string())
    return Fragment("", pa.DictionaryArray.from_arrays(indices, values))


def length(part: Fragment) -> pa.Int64Array:
    """Bytes that a fragment adds to each line; none for null."""
    is_dictionary = isinstance(part.text, pa.DictionaryArray)
    found = pc.binary_length(part.text.dictionary if is_dictionary else part.text)
    found = pc.add(found.cast(pa.int64()), len(part.prefix))
    return pc.fill_null(found.take(part.text.indices) if is_dictionary else found, 0)


def cuts(lengths: pl.Series) -> Iterator[tuple[int, int]]:
    """Yield start and number of the lines of each slice."""
    ends = lengths.cum_sum()
    start, done = 0, 0
    while start < len(lengths):
        stop = max(int(ends.search_sorted(done + SLICE_BYTES, side="right")), start + 1)
        yield start, stop - start
        start, done = stop, int(ends[stop - 1])


def joined(parts: list[Fragment], ended: str) -> pa.LargeStringArray:
    """Return the lines that fragments make, each with what ends it."""
    lead, rest = _lead(parts[0].text, parts[1:])
    end, nothing = (pa.scalar(text, pa.large_string()) for text in (ended, ""))
    texts = (text for part in rest for text in _texts(part))
    return pc.binary_join_element_wise(lead, *texts, end, nothing, null_handling="skip")


def _texts(part: Fragment) -> Iterator[pa.Array | pa.Scalar]:
    """Yield what is to be joined: prefix and text, with nulls in the same rows."""
    if part.prefix:
        prefix = pa.scalar(part.prefix, pa.large_string())
        if part.text.null_count:
            prefix = pc.if_else(pc.is_valid(part.text), prefix, pa.scalar(None, prefix.type))
        yield prefix
    yield decoded(part.text)


def concat(*parts: pa.Array | str) -> pa.LargeStringArray:
    """Return what texts and constants make together; null where one is."""
    texts = [pa.scalar(p, pa.large_string()) if isinstance(p, str) else p for p in parts]
    empty = pa.scalar("", pa.large_string())
    return pc.binary_join_element_wise(*texts, empty, null_handling="emit_null")


def _lead(header: pa.Array, pairs: list[Fragment]) -> tuple[pa.Array, list[Fragment]]:
    """Join the header and the first pair of each row, which no space separates."""
    lead, rest = pa.nulls(len(header), pa.large_string()), []
    for pair in pairs:
        if lead.null_count == 0:
            rest.append(pair)
            continue
        whole = concat(pair.prefix, decoded(pair.text))
        later = pc.if_else(pc.is_null(lead), pa.scalar(None, pa.large_string()), whole)
        lead = pc.coalesce(lead, whole)
        if later.null_count < len(later):
            rest.append(Fragment("", later))
    without_space = pc.utf8_slice_codeunits(pc.fill_null(lead, ""), 1)
    return concat(header, without_space), rest
