"""Pages for people, of what the state of a destination says: all deliveries, or one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache, partial
from threading import Lock
from typing import TYPE_CHECKING

from cefline import s3
from cefline.deliver import plans, reports
from cefline.errors import UsageError
from cefline.places import stores
from cefline.spread import Spread
from cefline.status import status

if TYPE_CHECKING:
    from cefline.config import Config
    from cefline.deliver.store import Store
    from cefline.pages.overview import Told
    from cefline.status import Status

_AT_ONCE = 16
"""Manifests that are read at once: as many connections as the S3 client has."""


def overview(config: Config) -> str:
    """Return the page of all deliveries of a destination.

    Raises:
        CeflineError: the state can't be read.
    """
    from cefline.pages.overview import overview_page

    dest, state = stores(config, cache(partial(s3.connect, config.s3)))
    kept = {key for key, _ in state.list("reports/") if key.endswith(".json")}
    whole, lock = Spread(), Lock()

    def tell(one: Status) -> Told:
        told, spread = _told(one, state, kept)
        with lock:  # at once: there may be many, and each is as large as their sum
            whole.add(spread)
        return told

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        told = list(pool.map(tell, status(config)))
    return overview_page(dest.url, told, whole)


def delivery_report(config: Config, delivery: str) -> str:
    """Return the page of one delivery, made of what the state keeps of it.

    Raises:
        UsageError: it is not done, or was abandoned.
        CeflineError: the state can't be read.
    """
    from cefline.pages.delivery import delivery_page

    _, state = stores(config, cache(partial(s3.connect, config.s3)))
    if not plans.is_done(state, delivery):
        message = f"{state.url} knows no delivery {delivery} that is done"
        raise UsageError(message, hint="`cefline status DEST` lists them")
    manifest = plans.manifest(state, delivery)
    if manifest.get("abandoned"):
        message = f"delivery {delivery} was abandoned: there is no report of it"
        raise UsageError(message, hint="`cefline verify` says which of its parts are there")
    return delivery_page(manifest, reports.spread(state, delivery) or Spread())


def _told(one: Status, state: Store, kept: set[str]) -> tuple[Told, Spread]:
    """Return what there is to tell of a delivery, and how its events are spread."""
    from cefline.pages.overview import Told

    if one.state not in {"done", "abandoned"}:
        return Told(one), Spread()
    manifest = plans.manifest(state, one.delivery)
    told = Told(
        one, str(manifest["source"]["url"]), manifest.get("counts", {}), manifest.get("rejects", [])
    )
    if one.state == "abandoned":  # what is kept is of all its parts, and only some are out
        return told, Spread()
    if one.events is None:  # a run was killed before it remembered them
        told = told._replace(status=replace(one, events=manifest.get("events_delivered")))
    is_kept = f"reports/{one.delivery}.json" in kept
    return told, (reports.spread(state, one.delivery) if is_kept else None) or Spread()
