"""Verification of a destination: all deliveries, or one."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from cefline import s3
from cefline.deliver import plans, staging, turns
from cefline.deliver.publish import folder_of, key_of
from cefline.errors import CeflineError, SourceError, UsageError
from cefline.places import stores
from cefline.sources import fetch, find
from cefline.verify.events import compare
from cefline.verify.findings import Finding, Verified
from cefline.verify.parts import balance, check_parts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from cefline.config import Config
    from cefline.deliver.store import Store


def verify(
    config: Config,
    delivery: str | Sequence[str] = "",
    source: str = "",
    removed_before: str = "",
) -> Iterator[Verified]:
    """Yield what is found of each delivery, and at last of what no delivery knows.

    Args:
        config: destination, state, and how to reach them.
        delivery: only this one, or these; all where empty.
        source: the source to compare with; that of the manifest, if it is at hand, where empty.
        removed_before: stamp (`20260112`); parts of turns before it may have been removed.

    Raises:
        CeflineError: destination or state can't be read, or there is no such delivery.
    """
    connect = cache(partial(s3.connect, config.s3))
    dest, state = stores(config, connect)
    listed, known = dict(dest.list()), plans.manifests(state)
    only = [delivery] if isinstance(delivery, str) and delivery else list(delivery)
    for one in only:
        if one not in known:
            message = f"{state.url} knows no delivery {one} that is done"
            raise UsageError(message, hint="`cefline status DEST` lists them")
    manifests = (plans.manifest(state, one) for one in known)
    parts = [(part["key"], part["text_blake3"]) for made in manifests for part in made["parts"]]
    digests = {digest: key for key, digest in parts}
    for one in only or known:
        asked = (config, source, removed_before)
        yield _one(plans.manifest(state, one), asked, dest, (listed, digests), connect)
    if not only:
        keys = {key for key, _ in parts}
        yield from _unknown([key for key in listed if key not in keys], dest, state)
        yield from _overlaps(keys, dest)


def _overlaps(keys: set[str], dest: Store) -> Iterator[Verified]:
    """Yield what is out of order over turns: readers keep the last key."""
    found = Verified("", dest.url)
    numbered = sorted((int(key.rpartition("/")[2][:8]), key) for key in keys)
    for (before, last), (turn, first) in pairwise(numbered):
        if turn > before and first <= last:
            found.findings.append(Finding("order", first, f"the turn before has {last}"))
    if found.findings:
        yield found


def _one(
    manifest: Mapping[str, Any],
    asked: tuple[Config, str, str],
    dest: Store,
    there: tuple[Mapping[str, int], Mapping[str, str]],
    connect: Callable[[], s3.Client],
) -> Verified:
    config, source, removed_before = asked
    found = check_parts(manifest, dest, *there, removed_before)
    whole = not found.findings
    found.findings += balance(manifest)
    if not whole or manifest.get("abandoned"):
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
        try:
            compare(manifest, local, own, dest, found)
        except SourceError as err:
            found.findings.append(Finding("source", url, f"it can't be read any more: {err}"))
    return found


def _unknown(extra: list[str], dest: Store, state: Store) -> Iterator[Verified]:
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
