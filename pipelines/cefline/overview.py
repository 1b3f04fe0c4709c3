"""Pages for people, of what the state of a destination says: all deliveries, or one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
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
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        told = list(pool.map(partial(_told, state=state, kept=kept), status(config)))
    return overview_page(dest.url, told)


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


def _told(one: Status, state: Store, kept: set[str]) -> Told:
    from cefline.pages.overview import Told

    if one.state not in {"done", "abandoned"}:
        return Told(one)
    manifest = plans.manifest(state, one.delivery)
    key = f"reports/{one.delivery}.json"
    spread = reports.spread(state, one.delivery) if key in kept else None
    counted = manifest.get("counts", {}), manifest.get("rejects", [])
    return Told(one, str(manifest["source"]["url"]), *counted, spread)
