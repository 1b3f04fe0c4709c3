"""What is asked of an event: tests of its fields, and how they belong together."""

from typing import Literal, NamedTuple

How = Literal[
    "present", "=", "<", "<=", ">", ">=", "in", "contains", "startswith", "endswith", "matches"
]
Value = str | int | bool


class Condition(NamedTuple):
    """What a field's value is asked; false where there is none."""

    field: str
    how: How
    values: tuple[Value, ...] = ()
    """Of the field's type (times in microseconds); of a text field numbers, too."""


class Group(NamedTuple):
    """Terms that belong together; `not` has one."""

    how: Literal["and", "or", "not"]
    terms: tuple["Term", ...]


Term = Condition | Group


def both(*terms: Term | None) -> Term | None:
    """Return what says that all terms hold; None where there are none."""
    given = tuple(term for term in terms if term is not None)
    return Group("and", given) if len(given) > 1 else next(iter(given), None)
