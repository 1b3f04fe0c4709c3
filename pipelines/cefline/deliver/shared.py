"""Parts that workers staged, in the state: whoever publishes brings them to local disk.

    staged/<delivery>/<basis>/00002.json      split 2 is staged: its parts, what there is to say
    staged/<delivery>/<basis>/00002/<try>/    parts and rejects, of each worker that tried

A try that was not the first to end is as if it had not been: the first one's JSON stays. What is
staged is not needed once its delivery is done. In a folder it is removed then; on S3, where cefline
has no right to delete, that is for a lifecycle rule.
"""

from __future__ import annotations

import hashlib
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from cefline.deliver import plans
from cefline.deliver import state as states
from cefline.deliver.staging import Staged
from cefline.deliver.store import LocalStore, MissingError
from cefline.errors import DeliveryError, TryAgainError, of_system

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from cefline.deliver.store import Store

_AT_ONCE = 4
_BASIS = 16


def place(delivery: str, basis: str, number: int) -> str:
    """Return where a split is staged."""
    return f"staged/{delivery}/{basis[:_BASIS]}/{number:05d}"


def is_staged(state: Store, place: str) -> bool:
    """Whether a split is staged."""
    return state.exists(f"{place}.json")


def put(
    state: Store, place: str, parts: Sequence[Staged], said: Mapping[str, Any], spilled: Path
) -> None:
    """Stage a split; where one is staged already, it stays.

    Args:
        state: the state's place.
        place: of the split.
        parts: in key order.
        said: what is to be said of them.
        spilled: file of the rejects, if there are any.
    """
    from cefline.deliver import rejects  # it loads polars, for those who have converted

    own = f"{place}/{uuid4().hex}"

    def created(numbered: tuple[int, Staged]) -> dict[str, Any]:
        number, part = numbered
        key = f"{own}/{number:06d}"
        state.create(key, part.path, "application/octet-stream", {})
        return {**asdict(part), "path": key}

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        listed = list(pool.map(created, enumerate(parts, 1)))
    kept = rejects.keep(state, f"{own}/rejects", spilled)
    states.create(state, f"{place}.json", {"parts": listed, "said": said, "rejects": kept})


def said(state: Store, place: str) -> dict[str, Any]:
    """Return what was staged of a split: `parts`, `said` and `rejects`.

    Raises:
        TryAgainError: nothing was.
    """
    try:
        return states.load(state, f"{place}.json", "parts", "said", "rejects")
    except MissingError as err:
        message = f"{state.url}/{place}.json is not there: that split is not staged"
        hint = "What is out, or the settings, changed in the meantime: convert it again"
        raise TryAgainError(message, hint=hint) from err


def get(state: Store, listed: Sequence[Mapping[str, Any]], folder: Path) -> list[Staged]:
    """Bring the parts of a split to local disk.

    Raises:
        DeliveryError: one is not what was staged.
        TryAgainError: there is no space, or it is gone.
    """
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(partial(_got, state, folder), listed))


def _got(state: Store, folder: Path, listed: Mapping[str, Any]) -> Staged:
    key = str(listed["path"])
    _, *_, number, own, name = key.split("/")
    part = replace(Staged(**listed), path=folder / f"{number}-{own[:8]}-{name}")
    body = _read(state, key)
    if hashlib.sha256(body).hexdigest() != part.stored_sha256:
        message = f"{state.url}/{key} is not what was staged there"
        raise DeliveryError(message, hint="Something else wrote there: remove what is below it")
    try:
        part.path.write_bytes(body)
    except OSError as err:
        raise of_system(err, str(folder)) from err
    return part


def drop(state: Store, delivery: str) -> None:
    """Remove what was staged of a delivery that is done, where the state is a folder."""
    if isinstance(state, LocalStore):
        shutil.rmtree(state.root / "staged" / delivery, ignore_errors=True)


def sweep(state: Store) -> None:
    """Remove what was staged of deliveries whose run was killed once they were done."""
    if isinstance(state, LocalStore):
        for path in (state.root / "staged").glob("*"):
            if plans.is_done(state, path.name):
                drop(state, path.name)


def rejects_of(state: Store, keys: Sequence[str]) -> Iterator[bytes]:
    """Yield the lines of the rejects of a split.

    Raises:
        TryAgainError: they are gone.
    """
    for key in keys:
        yield from _read(state, key).splitlines(keepends=True)


def _read(state: Store, key: str) -> bytes:
    try:
        return state.read(key)
    except MissingError as err:
        message = f"{state.url}/{key} was staged, and is gone"
        hint = "Run again: another run has delivered it, or it is converted anew"
        raise TryAgainError(message, hint=hint) from err
