"""The page of one delivery: what its manifest says, and how its events are spread."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cefline import __version__
from cefline.config import Config
from cefline.pages import sections
from cefline.pages.html import page
from cefline.values import size_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cefline.pages.sections import Section
    from cefline.spread import Spread


def delivery_page(manifest: Mapping[str, Any], spread: Spread) -> str:
    """Return a page of HTML.

    Args:
        manifest: of a delivery that was not abandoned.
        spread: of its events.
    """
    told = {name: manifest[f"events_{name}"] for name in ("read", "delivered", "rejected")}
    filtered, parts = manifest.get("events_filtered", 0), manifest["parts"]
    text, stored = (sum(p[f"{kind}_bytes"] for p in parts) for kind in ("text", "stored"))
    counted = {**told, "filtered": filtered}
    totals = [(f"events {name}", f"{count:,}") for name, count in counted.items()]
    totals += [("parts", f"{len(parts):,}"), ("text", size_text(text))]
    read, *ends = counted.values()
    url = str(manifest["source"]["url"])
    return page(
        "delivery.html",
        name=url.rpartition("/")[2] or url,
        delivery=manifest["delivery"],
        stamp=stamp_text(manifest.get("stamp", "")),
        totals=[*totals, ("stored", size_text(stored))],
        adds_up=read == sum(ends),
        equation=" + ".join(f"{n:,} {k}" for k, n in list(counted.items())[1:])
        + f" = {read:,} read",
        sections=list(_sections(manifest, spread)),
        facts=[
            ("Source", _source(manifest)),
            ("Settings that differ from the defaults", _set(manifest)),
        ],
        version=manifest.get("cefline", __version__),
    )


def stamp_text(stamp: str) -> str:
    """Return a turn's stamp for people."""
    if not stamp:
        return ""
    return f"{datetime.strptime(stamp, '%Y%m%dT%H%M%SZ').replace(tzinfo=UTC):%Y-%m-%d %H:%M:%S} UTC"


def _sections(manifest: Mapping[str, Any], spread: Spread) -> Iterator[Section]:
    yield from sections.spread_out(spread, manifest["events_delivered"])
    yield from sections.problems(manifest.get("counts", {}), manifest.get("rejects", []))
    yield from sections.parts(manifest["parts"])


def _source(manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    source = manifest["source"]
    size = f"{source['size']:,} bytes" if isinstance(source.get("size"), int) else ""
    evidence = ", ".join(map(str, manifest.get("evidence", [])))
    facts = {
        "URL": source["url"],
        "size": size,
        "SHA-256 of chunks": source.get("sha256", ""),
        "format": source.get("format", ""),
        "dialect": source.get("dialect", ""),
        "evidence": evidence,
        "columns that no field takes": ", ".join(manifest.get("unknown_columns", [])),
        "notes": "; ".join(manifest.get("notes", [])),
        "destination": manifest["dest"],
        "turn": str(manifest.get("turn", "")),
        "text format": manifest.get("text_format", ""),
    }
    return [(name, str(value)) for name, value in facts.items() if value]


def _set(manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the settings that are not as they are by default."""
    usual = Config().planned()
    told = {**manifest["settings"], **manifest.get("variant", {})}
    return [
        (name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
        for name, value in told.items()
        if value != usual.get(name)
    ] or [("none", "all are the defaults")]
