"""Which dialect a source is of, by the names it has: the name of its file says nothing."""

from collections.abc import Iterable
from typing import Literal

from cefline.errors import SourceError
from cefline_schemas.dialects import CADO, DIALECTS, Dialect

Wanted = Literal["auto", "cado", "plaso", "timesketch"]


def told(names: Iterable[str], url: str, wanted: Wanted) -> Dialect:
    """Return the dialect that is wanted, or the one that names tell of; Cado's if they don't.

    Raises:
        SourceError: they tell of several, so the units of its times are not known.
    """
    if wanted != "auto":
        return DIALECTS[wanted]
    marked = [dialect for dialect in DIALECTS.values() if is_marked(names, dialect)]
    if len(marked) > 1:
        found = " and ".join(dialect.name for dialect in marked)
        message = f"{url} has names of the dialects {found}, whose times have different units"
        raise SourceError(message, hint=f"Say which it is: --dialect {marked[0].name}, or another")
    return marked[0] if marked else CADO


def is_marked(names: Iterable[str], dialect: Dialect) -> bool:
    """Whether names tell of a dialect."""
    found = set(names)
    return dialect.unless.isdisjoint(found) and any(mark <= found for mark in dialect.marks)
