"""How memory is asked for: read by the libraries as they are imported, so it is said before."""

import os
import sys

_ARROW, _POLARS = "JE_ARROW_MALLOC_CONF", "_RJEM_MALLOC_CONF"

_ONE_ARENA = "narenas:1"
"""With an arena for each core, what one thread frees is not what the next one takes."""


def sparing() -> None:
    """Ask for memory as sparingly as goes; on Linux, where jemalloc is in both libraries."""
    if sys.platform == "linux":
        os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "jemalloc")  # a quarter less
        for name in (_ARROW, _POLARS):
            os.environ.setdefault(name, _ONE_ARENA)


def huge_pages() -> None:
    """Let Arrow take fresh memory in pages of 2 MiB: a quarter of the faults, for some MiB more.

    polars has more small pieces than large ones: there they cost a tenth more memory.
    """
    if os.environ.get(_ARROW) == _ONE_ARENA:
        os.environ[_ARROW] = f"{_ONE_ARENA},thp:always"
