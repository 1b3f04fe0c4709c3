"""Where a run reads from and writes to: the sources that names stand for, destination, state."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cefline.config import Config, default_state
from cefline.deliver.store import LocalStore, Store, open_store
from cefline.errors import CeflineError, ConfigError
from cefline.report import SourceReport
from cefline.shown import printable
from cefline.sources import Source, find

if TYPE_CHECKING:
    from collections.abc import Callable

    from cefline import s3


def found(
    names: tuple[str, ...],
    allowed: tuple[str, ...],
    connect: Callable[[], s3.Client],
    *,
    emptied: bool = False,
) -> tuple[list[Source], list[SourceReport]]:
    """Return the sources that the names stand for, each once, and the names that stand for none.

    Places to search are none of these where they may have been `emptied`.
    """
    found: dict[str, Source] = {}
    missing = []
    for name in names:
        try:
            sources = find([name], connect, emptied=emptied)
            _check_allowed(sources, allowed)
            found.update({source.url: source for source in sources})
        except CeflineError as err:
            missing.append(SourceReport(printable(name), "failed", error=err))
    return list(found.values()), missing


def _check_allowed(sources: list[Source], allowed: tuple[str, ...]) -> None:
    """Make sure that sources come from where they may.

    Raises:
        ConfigError: one lies below none of the places allowed.
    """
    folders = [f"{place.rstrip('/')}/" for place in allowed]
    for source in sources:
        if folders and not any(source.url.startswith(folder) for folder in folders):
            message = f"{source.url} lies below none of the places allowed"
            raise ConfigError(message, hint=f"allowed_sources = {', '.join(allowed)}")


def stores(config: Config, connect: Callable[[], s3.Client]) -> tuple[Store, Store]:
    """Return the stores of destination and state, neither of which lies in the other.

    Raises:
        ConfigError: they do, or can't be reached.
    """
    dest_url, put = str(config.dest), config.s3.put_arguments()
    state_url = config.state or default_state(dest_url)
    # The state is read again: it must not go where that takes hours.
    plain = {name: value for name, value in put.items() if name != "StorageClass"}
    http = config.s3.allow_http
    state = open_store(state_url, None, connect, plain, allow_http=http)
    scratch = None if "://" in dest_url else _scratch(dest_url, state)
    dest = open_store(dest_url, scratch, connect, put, allow_http=http)
    names = {"state": state.url, "destination": dest.url}
    for inner, outer in (("state", "destination"), ("destination", "state")):
        if f"{names[inner]}/".startswith(f"{names[outer]}/"):
            message = f"the {inner} {names[inner]} lies below the {outer} {names[outer]}"
            raise ConfigError(message, hint="Give the state a place of its own: --state")
    return dest, state


def _scratch(dest_url: str, state: Store) -> Path:
    """Return where the files of a local destination are written: on its own file system."""
    if isinstance(state, LocalStore) and _device(state.root) == _device(Path(dest_url)):
        return state.scratch
    return Path(default_state(dest_url)) / ".tmp"


def _device(path: Path) -> int:
    """Return the file system that a path is on, or will be."""
    path = path.absolute()
    return next(p.stat().st_dev for p in (path, *path.parents) if p.exists())
