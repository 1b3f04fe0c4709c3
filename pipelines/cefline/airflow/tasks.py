"""What the tasks do: the functions of `cefline.work` for batches, with settings and credentials.

Each may be tried again, or run twice: what is staged or published already is found so.
"""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from cefline.airflow.batches import Item, batches
from cefline.airflow.connection import connected
from cefline.airflow.errors import failure, translated
from cefline.errors import TEMPORARY, CeflineError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from cefline.config import Config
    from cefline.report import SourceReport

log = logging.getLogger("cefline")

_EVER = "99991231"
"""A day that no turn is after: where readers delete what they read, they may have been faster."""


@dataclass(frozen=True, slots=True)
class Given:
    """What the author of a DAG gave; the same for all tasks of a group."""

    config: Mapping[str, Any] | str
    conn_id: str | None
    size: int
    """Bytes that are worth a mapped task."""
    most: int | None
    """Mapped tasks at most."""
    from_outside: bool
    """Whether the sources are known at run time only."""


def plan(given: Given, sources: Any) -> list[list[Item]]:  # noqa: ANN401 - whatever a template gave
    """Return what is new, in batches; none where there is nothing to do.

    Raises:
        AirflowSkipException: the config says `enabled = false`.
        AirflowFailException: a source from outside may not be read.
    """
    with _ready(given, sources) as config:
        if not config.enabled:
            raise AirflowSkipException("Nothing is done: enabled = false")
        if given.from_outside:
            _check_allowed(config)
        from cefline.work import pieces

        return _batches(given, pieces(config))


def identify(given: Given, batch: list[Item], *, last: bool) -> list[Item]:
    """Return what is known of the pieces of a batch; `last` says that there is no other try."""
    from cefline.work import identify as task

    with _ready(given) as config:
        return [_done(task, config, item, last=last) for item in batch]


def splits(given: Given, identified: Iterable[Item]) -> list[list[Item]]:
    """Return what is to be converted, in batches."""
    from cefline.work import splits as found

    with _ready(given) as config:
        return _batches(given, found(config, identified))


def convert(given: Given, batch: list[Item], *, last: bool) -> list[Item]:
    """Stage the splits of a batch; `last` says that there is no other try."""
    from cefline.heartbeat import logged
    from cefline.progress import Progress
    from cefline.work import convert as task

    progress = Progress()
    progress.begin((item["url"], item["source"]["size"]) for item in batch if "source" in item)
    told = partial(task, progress=progress)
    with _ready(given) as config, logged(progress):
        return [_done(told, config, item, last=last) for item in batch]


def publish(given: Given, items: list[Item], *, last: bool) -> dict[str, Any]:
    """Publish all sources, each in its turn.

    Returns:
        `deliveries`: ids of those whose content was new; also of an earlier try. `failed`: of each
        source that failed `source`, `exit_code` and `error`.

    Raises:
        AirflowException: some may be published by another try.
    """
    from cefline.heartbeat import logged
    from cefline.progress import Progress
    from cefline.work import publish as published

    progress = Progress()
    with _ready(given) as config, logged(progress):
        urls = tuple(dict.fromkeys(item["url"] for item in items))
        report = published(replace(config, sources=urls), items, progress)
    for line in report.lines():
        log.info("%s", line)
    errors = [(source, source.error) for source in report.sources if source.error is not None]
    failed = [
        {"source": source.url, "exit_code": error.exit_code, "error": str(error)}
        for source, error in errors
    ]
    given_up = {item["url"] for item in items if "error" in item}
    later = [one for one in failed if one["exit_code"] == TEMPORARY]
    if not last and (again := [one for one in later if one["source"] not in given_up]):
        raise failure(TEMPORARY, _told(again))
    new = {item["url"] for item in items if item.get("split")}
    return {"deliveries": list(_delivered(report.sources, new)), "failed": failed}


def verify(given: Given, published: Mapping[str, Any], *, check: bool) -> dict[str, Any]:
    """Read back what was delivered, and return what there is to say of it: the manifests' counts.

    Raises:
        AirflowSkipException: nothing was delivered.
        AirflowFailException: what lies there is not what it should be.
    """
    deliveries = published["deliveries"]
    if not deliveries:
        raise AirflowSkipException("Nothing was delivered")
    with _ready(given) as config:
        if check:
            _check(config, deliveries)
        return _announced(config, deliveries)


def outcome(published: Mapping[str, Any]) -> None:
    """Fail where a source failed.

    Raises:
        AirflowFailException: one did; the tasks before had their tries.
    """
    if published["failed"]:
        raise AirflowFailException(_told(published["failed"]))


@contextmanager
def _ready(given: Given, sources: Any = None) -> Iterator[Config]:  # noqa: ANN401 - as above
    """Yield the settings in force, with credentials in place; errors become Airflow's."""
    from cefline.settings import load

    with translated():
        file = Path(given.config) if isinstance(given.config, str) else given.config
        config = load({}, {}, file).config  # workers' variables could differ: they don't count
        if sources is not None:
            config = replace(config, sources=_names(sources))
        if given.conn_id is not None and config.s3.profile:
            message = f"conn_id is {given.conn_id!r} and s3.profile is {config.s3.profile!r}"
            raise ConfigError(message, hint="Both say whose credentials: leave one of them out")
        with connected(given.conn_id) as place:
            own, there = config.s3, place.get
            endpoint, region = own.endpoint or there("endpoint"), own.region or there("region")
            yield replace(config, s3=replace(own, endpoint=endpoint, region=region))


def _names(sources: Any) -> tuple[str, ...]:  # noqa: ANN401 - as above
    from cefline.values import names

    try:
        return names(list(sources) if not isinstance(sources, str) else sources)
    except (TypeError, ValueError) as err:
        message = f"sources: {err}"
        raise ConfigError(message, hint="Give a list of names, or text with commas") from None


def _check_allowed(config: Config) -> None:
    """Make sure that names from outside stay below the places allowed, before any is looked at.

    Raises:
        ConfigError: one does, or no place is.
    """
    if not config.allowed_sources:
        message = "the sources come from outside the DAG, and no place is allowed"
        raise ConfigError(message, hint="Set allowed_sources to the prefixes they may lie below")
    folders = tuple(f"{place.rstrip('/')}/" for place in config.allowed_sources)
    for name in config.sources:
        place = name if "://" in name else os.path.abspath(name)  # noqa: PTH100 - `..` too
        if not f"{place.rstrip('/')}/".startswith(folders):
            message = f"{name!r} lies below none of the places allowed"
            hint = f"allowed_sources = {', '.join(config.allowed_sources)}"
            raise ConfigError(message, hint=hint)


def _batches(given: Given, items: list[Item]) -> list[list[Item]]:
    from airflow.sdk import conf

    most = conf.getint("core", "max_map_length")
    return batches(items, given.size, min(given.most or most, most))


def _done(task: Callable[[Config, Item], Item], config: Config, item: Item, *, last: bool) -> Item:
    """Do the task of an item; one that fails for good stops no other.

    Raises:
        CeflineError: another try may do it.
    """
    try:
        return task(config, item)
    except CeflineError as err:
        if err.exit_code == TEMPORARY and not last:
            raise
        log.warning("%s", err.logged())
        return {**item, "error": err.told()}


def _delivered(reports: Iterable[SourceReport], new: set[str]) -> Iterator[str]:
    """Yield the deliveries of sources whose content was new, each once."""
    found = {r.delivery for r in reports if r.error is None and r.delivery and r.url in new}
    yield from sorted(found)


def _told(failed: list[dict[str, Any]]) -> str:
    count = "1 source" if len(failed) == 1 else f"{len(failed)} sources"
    lines = sorted(f"{one['error']} (exit code {one['exit_code']})" for one in failed)
    return "\n".join([f"{count} failed:", *lines])


def _check(config: Config, deliveries: list[str]) -> None:
    from cefline.verify.run import verify as verified

    removed_before = _EVER if config.readers == "delete" else ""
    wrong = []
    for found in verified(config, deliveries, removed_before=removed_before):
        for line in found.lines():
            log.log(logging.INFO if found.is_right else logging.ERROR, "%s", line)
        wrong += [] if found.is_right else [found.delivery]
    if wrong:
        message = f"{len(wrong)} deliveries are not what they should be: {', '.join(wrong)}"
        raise AirflowFailException(f"{message}. The log says what; `cefline verify` says it again")


_COUNTS = ("events_read", "events_delivered", "events_rejected", "events_filtered")


def _announced(config: Config, deliveries: list[str]) -> dict[str, Any]:
    """Return the sums of the manifests' counts, and where the manifests are."""
    from cefline import s3
    from cefline.deliver import plans
    from cefline.places import stores

    dest, state = stores(config, cache(partial(s3.connect, config.s3)))
    made = [plans.manifest(state, delivery) for delivery in deliveries]
    return {
        "destination": dest.url,
        **{name: sum(one.get(name, 0) for one in made) for name in _COUNTS},
        "parts": sum(len(one["parts"]) for one in made),
        "manifests": [f"{state.url}/manifests/{delivery}.json" for delivery in deliveries],
    }
