"""Sources become Arrow batches; it knows formats, nothing after it does."""

from cefline.read.batch import EXPANSION_FREE, SMALL, Batch, Chunk, Limits, Opened
from cefline.read.content import open_source

__all__ = ["EXPANSION_FREE", "SMALL", "Batch", "Chunk", "Limits", "Opened", "open_source"]
