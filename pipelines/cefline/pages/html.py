"""Templates become pages: every value is escaped, and the page allows itself nothing but its style.

The policy stands in the page itself, since nobody knows which server, or none, it comes from.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from typing import Any

import jinja2
from markupsafe import Markup

from cefline.shown import printable


def page(template: str, **values: Any) -> str:  # noqa: ANN401 - a template's own
    """Return a page.

    Args:
        template: name of a file beside this one, in `templates`.
        values: what it shows; text is escaped, and all that is not printable is told as escapes.
    """
    return _environment().get_template(template).render(values)


@cache
def _environment() -> jinja2.Environment:
    loader = jinja2.PackageLoader("cefline.pages")
    environment = jinja2.Environment(
        autoescape=True,
        finalize=_shown,
        loader=loader,
        lstrip_blocks=True,
        trim_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    style = loader.get_source(environment, "style.css")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    environment.globals |= {
        "style": Markup(style),  # noqa: S704 - a file of ours
        "policy": f"default-src 'none'; style-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'",
    }
    environment.filters["number"] = _number
    return environment


def _number(value: int | str) -> str:
    """Return a cell: counts by thousands, all else as it is."""
    return value if isinstance(value, str) else f"{value:,}"


def _shown(value: Any) -> Any:  # noqa: ANN401 - whatever a template gives
    """Return a text as what can be seen of it; a page's own markup as it is."""
    return printable(value) if type(value) is str else value
