"""Parts reach the destination, each event once; the only room that writes there or to the state."""

from cefline.deliver.delivery import Delivery, deliver
from cefline.deliver.publish import Published
from cefline.deliver.rejects import keep_rejects, kept_rejects, spill
from cefline.deliver.stage import Staged, stage
from cefline.deliver.state import bind, check_turn, delivery_id, manifest, manifests, plan
from cefline.deliver.store import LocalStore, S3Store, Store, open_store

__all__ = [
    "Delivery",
    "LocalStore",
    "Published",
    "S3Store",
    "Staged",
    "Store",
    "bind",
    "check_turn",
    "deliver",
    "delivery_id",
    "keep_rejects",
    "kept_rejects",
    "manifest",
    "manifests",
    "open_store",
    "plan",
    "spill",
    "stage",
]
