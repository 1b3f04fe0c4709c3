"""Sources become Arrow batches; it knows formats, nothing after it does."""

from cefline.read.batch import EXPANSION_FREE, Batch, Chunk, Limits, Opened
from cefline.read.content import open_source
from cefline.read.source import Local, Source, check_unchanged, fetch, find

__all__ = [
    "EXPANSION_FREE",
    "Batch",
    "Chunk",
    "Limits",
    "Local",
    "Opened",
    "Source",
    "check_unchanged",
    "fetch",
    "find",
    "open_source",
]
