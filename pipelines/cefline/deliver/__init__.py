"""Parts reach the destination, each event once; the only room that writes there or to the state."""

from cefline.deliver.publish import Published, planned, publish
from cefline.deliver.rejects import keep_rejects, spill
from cefline.deliver.stage import Staged, stage
from cefline.deliver.state import (
    Turn,
    bind,
    close_turn,
    delivery_id,
    make_manifest,
    make_plan,
    manifests,
    plan,
    take_turn,
)
from cefline.deliver.store import LocalStore, S3Store, Store, open_store

__all__ = [
    "LocalStore",
    "Published",
    "S3Store",
    "Staged",
    "Store",
    "Turn",
    "bind",
    "close_turn",
    "delivery_id",
    "keep_rejects",
    "make_manifest",
    "make_plan",
    "manifests",
    "open_store",
    "plan",
    "planned",
    "publish",
    "spill",
    "stage",
    "take_turn",
]
