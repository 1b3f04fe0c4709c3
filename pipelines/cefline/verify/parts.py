"""The parts of a delivery against its manifest: presence, bytes, text, events, order."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import polars as pl

from cefline.deliver.store import MissingError, Store
from cefline.errors import CeflineError, SourceError
from cefline.given import keyed
from cefline.pack import BROKEN, text_digest, text_of
from cefline.parse import parse
from cefline.verify.findings import Finding, Verdict, Verified
from cefline_schemas.timeline import FIELDS


def check_parts(
    manifest: Mapping[str, Any],
    dest: Store,
    listed: Mapping[str, int],
    digests: Mapping[str, str],
    removed_before: str,
) -> Verified:
    """Read back every part of a delivery.

    Args:
        manifest: the delivery's.
        dest: where its parts are.
        listed: keys and sizes below the destination.
        digests: keys of all parts of the destination, by the digest of their text.
        removed_before: stamp; parts of turns before it may have been removed.
    """
    found = Verified(manifest["delivery"], manifest["source"]["url"], len(manifest["parts"]))
    found.findings += _order(manifest["parts"])
    profile = manifest["settings"]["profile"]
    table = keyed(FIELDS, manifest["settings"].get("keys", ()))
    read = partial(parse, profile=profile, fields=table)
    for part in manifest["parts"]:
        if part["key"] not in listed:
            found.findings.append(_missing(part, removed_before))
            continue
        try:
            problem, events = _part(part, dest, listed[part["key"]], digests, read)
        except MissingError:  # since the listing
            found.findings.append(_missing(part, removed_before))
            continue
        found.events += events
        found.findings += problem
    return found


def _order(parts: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    for before, part in pairwise(parts):
        if part["key"] <= before["key"]:
            yield Finding("order", part["key"], f"it does not follow {before['key']}")


def balance(manifest: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield what does not add up; of an abandoned delivery nothing was counted."""
    if "events_read" not in manifest:
        return
    read, delivered, rejected = (manifest[f"events_{n}"] for n in ("read", "delivered", "rejected"))
    filtered = manifest.get("events_filtered", 0)  # of before anything could be
    told = f"{delivered} delivered, {rejected} rejected, {filtered} filtered"
    if read != delivered + rejected + filtered:
        yield Finding("balance", manifest["source"]["url"], f"{read} events read, but {told}")
    events = sum(part["events"] for part in manifest["parts"])
    if events != delivered:
        yield Finding("balance", manifest["source"]["url"], f"{events} events in parts, but {told}")


def _missing(part: Mapping[str, Any], removed_before: str) -> Finding:
    stamp = part["key"].partition("/")[2][:16]
    if stamp < removed_before or not part["stored_sha256"]:
        return Finding("removed", part["key"], f"{part['events']} events were delivered in it")
    return Finding("missing", part["key"], f"it should hold {part['events']} events")


def _part(
    part: Mapping[str, Any],
    dest: Store,
    size: int,
    digests: Mapping[str, str],
    read: Callable[[pl.Series], object],
) -> tuple[list[Finding], int]:
    key = part["key"]
    try:
        body = dest.read(key)
        text = text_of(body)
    except MissingError:
        raise
    except CeflineError as err:
        return [Finding("missing", key, f"it can't be read: {err}")], 0
    except BROKEN as err:
        what = f"{size} bytes of {part['stored_bytes']}: {err}"
        return [Finding(_cut(size, part["stored_bytes"]), key, what)], 0
    digest = text_digest(text)
    if digest != part["text_blake3"]:
        if digest in digests:
            return [Finding("swapped", key, f"it holds the text of {digests[digest]}")], 0
        what = f"{len(text)} bytes of text, of {part['text_bytes']}"
        return [Finding(_cut(size, part["stored_bytes"]), key, what)], 0
    problems = []
    if part["stored_sha256"] != hashlib.sha256(body).hexdigest():
        problems.append(Finding("changed", key, "its text is right, its stored bytes are not"))
    return [*problems, *_lines(key, text, part["events"], read)], text.count(b"\n")


def _cut(size: int, expected: int) -> Verdict:
    return "truncated" if size < expected else "changed"


def _lines(
    key: str, text: bytes, events: int, read: Callable[[pl.Series], object]
) -> Iterator[Finding]:
    count = text.count(b"\n")
    if count != events or not text.endswith(b"\n") or len(text.splitlines()) != count:
        yield Finding("changed", key, f"{count} lines for {events} events")
    try:
        read(pl.Series(text.decode().removesuffix("\n").split("\n")))
    except (SourceError, UnicodeDecodeError) as err:
        yield Finding("changed", key, str(err))
