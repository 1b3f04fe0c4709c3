"""Sources become Arrow batches; it knows formats, nothing after it does."""

from cefline.read.batch import EXPANSION_FREE, SMALL, Batch, Chunk, Limits, Opened
from cefline.read.content import cut, open_source
from cefline.read.splits import WHOLE, Split

__all__ = [
    "EXPANSION_FREE",
    "SMALL",
    "WHOLE",
    "Batch",
    "Chunk",
    "Limits",
    "Opened",
    "Split",
    "cut",
    "open_source",
]
