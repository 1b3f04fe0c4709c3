"""Verification of a destination: all deliveries, or one."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from cefline import s3
from cefline.deliver import plans, staging, turns
from cefline.deliver.publish import folder_of, key_of
from cefline.errors import CeflineError, UsageError
from cefline.places import stores
from cefline.sources import fetch, find
from cefline.verify.events import compare
from cefline.verify.findings import Finding, Verified
from cefline.verify.parts import check_parts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from cefline.config import Config
    from cefline.deliver.store import Store


def verify(
    config: Config, delivery: str = "", source: str = "", removed_before: str = ""
) -> Iterator[Verified]:
    """Yield what is found of each delivery, and at last of what no delivery knows.

    Args:
        config: destination, state, and how to reach them.
        delivery: only this one; all where empty.
        source: the source to compare with; that of the manifest, if it is at hand, where empty.
        removed_before: stamp (`20260112`); parts of turns before it may have been removed.

    Raises:
        CeflineError: destination or state can't be read, or there is no such delivery.
    """
    connect = cache(partial(s3.connect, config.s3))
    dest, state = stores(config, connect)
    listed, known = dict(dest.list()), plans.manifests(state)
    if delivery and delivery not in known:
        message = f"{state.url} knows no delivery {delivery} that is done"
        raise UsageError(message, hint="`cefline status DEST` lists them")
    extra, spans = dict(listed), []
    for one in known:
        manifest = plans.manifest(state, one)
        if manifest["parts"]:
            keys = [part["key"] for part in manifest["parts"]]
            spans.append((min(keys), max(keys)))
        for part in manifest["parts"]:
            extra.pop(part["key"], None)
        if delivery in {"", one}:
            yield _one(manifest, (config, source, removed_before), dest, listed, connect)
    if not delivery:
        yield from _unknown(extra, dest, state)
        yield from _overlaps(sorted(spans), dest)


def _overlaps(spans: list[tuple[str, str]], dest: Store) -> Iterator[Verified]:
    """Yield what is out of order over deliveries: readers keep the last key."""
    found = Verified("", dest.url)
    for (_, last), (first, _) in pairwise(spans):
        if first <= last:
            found.findings.append(Finding("order", first, f"another delivery has {last}"))
    if found.findings:
        yield found


def _one(
    manifest: Mapping[str, Any],
    asked: tuple[Config, str, str],
    dest: Store,
    listed: Mapping[str, int],
    connect: Callable[[], s3.Client],
) -> Verified:
    config, source, removed_before = asked
    found = check_parts(manifest, dest, listed, removed_before)
    if found.findings or manifest.get("abandoned"):
        return found  # what is not there, or not whole, can't be compared
    url = source or manifest["source"]["url"]
    try:
        (at_hand,) = find([url], connect)
    except (CeflineError, ValueError) as err:
        if source:
            found.findings.append(Finding("source", url, f"it is not at hand: {err}"))
        return found
    own = config.with_variant(manifest["variant"]).with_planned(manifest["settings"])
    with staging.folder(staging.root(config.staging), f"verify-{found.delivery}") as folder:
        local = fetch(replace(at_hand, scanned=False), folder, connect)
        if local.sha256 != manifest["source"]["sha256"]:
            what = "its content is no longer what was delivered"
            found.findings.append(Finding("source", url, what))
            return found
        compare(manifest, local, own, dest, found)
    return found


def _unknown(extra: Mapping[str, int], dest: Store, state: Store) -> Iterator[Verified]:
    """Yield what no manifest knows, but parts of open deliveries and what closed a turn."""
    found = Verified("", dest.url)
    folders, fences = _begun(state)
    for key in extra:
        if key not in fences and not any(key.startswith(folder) for folder in folders):
            found.findings.append(Finding("extra", key, "no delivery knows it"))
    if found.findings:
        yield found


def _begun(state: Store) -> tuple[list[str], set[str]]:
    """Return how the keys of an open turn begin, and the keys that closed turns."""
    folders, fences = [], set()
    for delivery, segment in plans.all_fenced(state):
        plan = plans.segments(state, delivery)[segment - 1]
        closed = plans.fenced(state, delivery, segment)
        if closed is not None and closed["published"] < len(plan["parts"]):
            turn = turns.of_number(state, closed["turn"])
            fences.add(key_of(plan, turn, closed["published"] + 1))
            folders += [] if plans.is_done(state, delivery) else [f"{folder_of(plan, turn)}/"]
    last = turns.last(state)
    if last is not None and turns.is_open(state, last):
        plan = plans.segments(state, last.delivery)[last.segment - 1]
        folders.append(f"{folder_of(plan, last)}/")
    return folders, fences
