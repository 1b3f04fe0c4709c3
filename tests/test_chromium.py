"""What a real browser shows of a report: its numbers, its colours, hostile text as text."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from cefline.spread import short
from tests import chromium
from tests.pages import Page
from tests.test_reports import EVIL, SOURCES, TIMES, number
from tests.test_verify import Site, site

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["site"]

pytestmark = pytest.mark.slow

ACTS = (
    "</script><img src=x onerror=\"document.title='executed'\">"
    "<script>document.title='executed'</script>"
    "<link rel=stylesheet href=//example.com/a.css><svg onload=\"document.title='executed'\">"
    "<style>@import '//example.com/b.css';</style><base href=//example.com>"
)
"""What would act, and fetch, if it were more than text."""

VALUES = [f"{EVIL}{ACTS}", "' onfocus=alert(1) autofocus x='", "javascript:alert(1)", "{{ 7 * 7 }}"]
CUT = short(VALUES[0])
WORST = (0xC9, 0x30, 0x3E)
"""The colour of the highest severity, in light."""


def hostile(site: Site) -> str:
    """Deliver events with hostile values in a file of a hostile name; return the delivery."""
    events = [
        {
            "msg": "m",
            "host": VALUES[n % 4],
            "source": VALUES[n % 3],
            "type": VALUES[n % 2],
            "alarm": n < 5,
            "eventTime": 1_600_000_000 + n * 60,
        }
        for n in range(40)
    ]
    lines = "".join(f"{json.dumps(event)}\n" for event in events)
    return site.one("<img src=x onerror=alert(1)>.jsonl", lines.encode())


def html_of(site: Site, delivery: str) -> str:
    return site.read(f"reports/{delivery}.html", "_cefline/out").decode()


def test_numbers_shown_are_the_manifests(site: Site) -> None:
    delivery = hostile(site)
    manifest = site.manifest(delivery)
    document, _ = chromium.opened(html_of(site, delivery), "--dump-dom")
    page = Page(document)
    for what in ("read", "delivered", "rejected", "filtered"):
        assert number(page.totals[f"events {what}"]) == manifest[f"events_{what}"]
    head, *rows = page.tables[TIMES]
    sums = {h.split()[0]: sum(number(row[n]) for row in rows) for n, h in enumerate(head) if n}
    assert sums == {**manifest["severities"], "all": manifest["events_delivered"]}
    assert sum(number(row[-1]) for row in page.rows(SOURCES)) == manifest["events_delivered"]
    assert page.numbers("Top values of type") == {VALUES[1]: 20, CUT: 20}
    parts = {row[0]: number(row[1]) for row in page.rows("Parts")}
    assert parts == {part["key"]: part["events"] for part in manifest["parts"]}


def test_hostile_text_is_text(site: Site) -> None:
    """Nothing runs, and nothing but the page itself is asked for."""
    html = html_of(site, hostile(site))
    document, asked = chromium.opened(html, "--dump-dom")
    page = Page(document)
    assert asked == [chromium.PATH]
    assert "executed" not in document.partition("<style>")[0]
    assert not page.tags & {"script", "img", "link", "base", "iframe"}
    hosts = page.numbers("Top values of host")
    assert hosts == {**dict.fromkeys(VALUES[1:], 10), CUT: 10}
    assert "<img src=x onerror=alert(1)>.jsonl" in page.text


def test_policy_holds_where_escaping_would_fail(site: Site) -> None:
    """With the values as they are in the page nothing runs, either; without the policy all does."""
    html = html_of(site, hostile(site)).replace("<main>", f"<main>{ACTS}")
    document, asked = chromium.opened(html, "--dump-dom")
    assert asked == [chromium.PATH]
    assert "executed" not in document.partition("<style>")[0]
    before, _, after = html.partition('<meta http-equiv="Content-Security-Policy"')
    document, asked = chromium.opened(before + after.partition(">")[2], "--dump-dom")
    assert "<title>executed" in document
    assert len(asked) > 1


def test_a_picture_shows_style_and_colours(site: Site, tmp_path: Path) -> None:
    """So the policy lets the page's own style in."""
    picture = tmp_path / "page.png"
    html = html_of(site, hostile(site))
    chromium.screenshot(html, picture, 700, 900)
    shown = chromium.colours(picture.read_bytes())
    assert WORST in shown
    chromium.screenshot(html.replace("<style>", "<style> "), picture, 700, 900)
    assert WORST not in chromium.colours(picture.read_bytes())


def test_the_readmes_picture_is_small() -> None:
    picture = (chromium.ROOT / "docs" / "report.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) < 200_000
