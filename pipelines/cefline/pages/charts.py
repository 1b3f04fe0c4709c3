"""Charts as SVG that stands in a page: drawn by pygal, styled by the page's own style sheet.

pygal puts a script, a style and the day into what it draws: all of that is taken out again.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import pygal
from markupsafe import Markup
from pygal.etree import etree
from pygal.style import Style

from cefline.shown import printable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from xml.etree.ElementTree import Element

# pygal looks for plug-ins of its own in every import of the process, in a way that Python no longer
# has: later imports would warn of it.
sys.meta_path[:] = [f for f in sys.meta_path if type(f).__module__ != "pygal"]

_STYLE = Style(label_font_size=12, major_label_font_size=12, font_family="sans-serif")
_COMMON = {
    "css": (),
    "js": (),
    "no_prefix": True,
    "show_legend": False,
    "style": _STYLE,
    "truncate_label": -1,
    "margin": 6,
    "margin_right": 24,
    "print_values": False,
}
_WIDTH = 960
_HEIGHT = 260
_BAR = 24
_PLOT, _LETTER = 850, 8
"""Pixels that the bars of an axis of times have, and those of a letter below them."""
_LABEL = 34
_STEPS = 4


class Series(NamedTuple):
    """One colour of a chart."""

    name: str
    style: str
    """The class of its bars."""
    values: Sequence[int]


def over_time(times: Sequence[str], series: Sequence[Series]) -> Markup:
    """Return bars stacked on an axis of times."""
    labels = [_edge(time) for time in times]
    room = _PLOT // (_LETTER * (max(map(len, labels), default=0) + 2))
    every = -(-len(times) // room)
    top = max((sum(column) for column in zip(*(s.values for s in series), strict=True)), default=0)
    chart = pygal.StackedBar(
        **_COMMON, width=_WIDTH, height=_HEIGHT, show_minor_x_labels=False, **_axis(top)
    )
    chart.x_labels = labels
    chart.x_labels_major = labels[every // 2 :: every]
    return _drawn(chart, series)


def ranked(names: Sequence[str], series: Sequence[Series]) -> Markup:
    """Return bars that lie, the first name on top."""
    top = max((sum(column) for column in zip(*(s.values for s in series), strict=True)), default=0)
    height = 50 + _BAR * len(names)
    chart = pygal.HorizontalStackedBar(**_COMMON, width=_WIDTH, height=height, **_axis(top))
    chart.x_labels = [_short(name) for name in reversed(names)]
    return _drawn(chart, [s._replace(values=s.values[::-1]) for s in series])


def _short(name: str) -> str:
    """Return a name as an axis has it: XML can't hold all characters, and space is short."""
    text = printable(name)
    return text if len(text) <= _LABEL else f"{text[: _LABEL - 1]}…"


def _edge(time: str) -> str:
    """Return a time as an axis has it; what is beyond its ends is told by the table."""
    return {"before": "earlier", "after": "later"}.get(time.partition(" ")[0], time)


def _axis(top: int) -> dict[str, Any]:
    """Return whole numbers for the axis of values: four steps at most."""
    steps = (digit * 10**tens for tens in range(19) for digit in (1, 2, 5))
    step = next(step for step in steps if step * _STEPS >= top)
    ticks = [step * n for n in range(max(-(-top // step), 1) + 1)]
    return {"y_labels": ticks, "range": (0, ticks[-1]), "value_formatter": "{:,.0f}".format}


def _drawn(chart: Any, series: Sequence[Series]) -> Markup:  # noqa: ANN401 - pygal has no types
    for one in series:
        chart.add("", [value or None for value in one.values])
    root = chart.render_tree()
    _clean(root, [one.style for one in series])
    root.attrib.pop("id", None)
    root.set("aria-hidden", "true")  # the table below it says the same, and more
    text = etree.tostring(root, encoding="unicode")
    return Markup(text)  # noqa: S704 - made by a serialiser of XML, which escapes


_LEFT_OUT = {"defs", "title", "desc"}
_EMPTY = ("overlay", "titles", "legends")


def _clean(element: Element, styles: list[str]) -> None:
    """Leave out scripts, styles, comments and what only scripts use; name colours by series."""
    for child in list(element):
        tag = str(child.tag)  # that of a comment is a function
        kind = child.get("class", "")
        if tag.startswith("<") or tag.rpartition("}")[2] in _LEFT_OUT or kind.endswith(_EMPTY):
            element.remove(child)
            continue
        child.attrib.pop("id", None)
        child.attrib.pop("style", None)
        if kind.startswith("series serie-"):
            child.set("class", styles[int(kind.rpartition("-")[2])])
        title = _said(child) if kind == "bar" else ""
        _clean(child, styles)
        if title:
            etree.SubElement(child, "title").text = title


def _said(bar: Element) -> str:
    """Return what a bar stands for, which is shown where something points at it."""
    said = {part.get("class"): part.text for part in bar}
    return f"{said.get('x_label')}: {said.get('value')}"
