"""The seam for those who watch a run: they are told of each step, and of what came of it.

    run -> source (each) -> fetch, convert, publish -> verify (within publish)

Steps of one source follow each other; sources go side by side, each in a thread of its own.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

Name = Literal["run", "source", "fetch", "convert", "publish", "verify"]

Fact = str | bool | int | float
"""Counts and names that are ours: no values of events, no secrets."""


class Tell(Protocol):
    """Takes what there is to say of a step, while it goes on."""

    def __call__(self, **facts: Fact) -> None:
        """Take more of what there is to say."""


class Watch(Protocol):
    """Gives what brackets a step; an error that ends the step comes by it."""

    def __call__(self, name: Name, source: str = "") -> AbstractContextManager[Tell]:
        """Begin a step of a source, which is named by its URL, or of the run."""


def _unheard(**facts: Fact) -> None:
    """Take it, and tell nobody."""


def unwatched(name: Name, source: str = "") -> AbstractContextManager[Tell]:  # noqa: ARG001 - a Watch
    """Bracket a step that nobody watches."""
    return nullcontext(_unheard)
