"""Reports in the state: for people, beside the manifest, and evidence like the rejects.

    reports/<delivery>.json     how the events of a delivery are spread, after its plan
    reports/<delivery>.html     the page that shows it, after its manifest

A delivery does not depend on them: they are made once, as well as can be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cefline.deliver import state as states
from cefline.deliver.store import MissingError
from cefline.spread import Spread

if TYPE_CHECKING:
    from cefline.deliver.store import Store


def keep(state: Store, delivery: str, spread: Spread) -> None:
    """Keep how the events of a delivery are spread."""
    content = {"version": 1, "delivery": delivery, "spread": spread.as_json()}
    states.create(state, f"reports/{delivery}.json", content)


def spread(state: Store, delivery: str) -> Spread | None:
    """Return how the events of a delivery are spread, if that was kept.

    Raises:
        DeliveryError: something else is there.
    """
    key = f"reports/{delivery}.json"
    try:
        return Spread.of_json(states.load(state, key, "spread")["spread"])
    except MissingError:
        return None
    except (AttributeError, KeyError, TypeError, ValueError) as err:
        raise states.not_ours(state, key) from err


def is_due(state: Store, delivery: str) -> bool:
    """Whether a report has its numbers, and no page."""
    found = {key.rpartition(".")[2] for key, _ in state.list(f"reports/{delivery}.")}
    return found == {"json"}


def publish(state: Store, delivery: str, page: str) -> None:
    """Put out the page of a delivery."""
    body = page.encode(errors="backslashreplace")
    state.create(f"reports/{delivery}.html", body, "text/html; charset=utf-8", {})
