"""The tasks of a delivery as a group of a DAG; this is read whenever Airflow parses the DAG.

Plan, identify (mapped), splits, convert (mapped), publish; then verify and outcome.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any

from airflow.sdk import TaskGroup, get_current_context, task

from cefline.airflow import tasks
from cefline.airflow.batches import Item, name
from cefline.airflow.tasks import Given
from cefline.values import size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from airflow.sdk import Asset


def deliver(
    config: Mapping[str, Any] | str,
    *,
    conn_id: str | None = None,
    sources: Any = None,  # noqa: ANN401 - names, a template, or what another task returns
    asset: Asset | None = None,
    verify: bool = True,
    batch_size: str = "256MiB",
    max_tasks: int | None = None,
    max_active: int | None = None,
    group_id: str = "deliver",
    default_args: dict[str, Any] | None = None,
) -> TaskGroup:
    """Return a group of tasks that delivers what is new among the sources, each event once.

    Where nothing is new, all tasks but the first are skipped, and no Asset event is emitted. Where
    a source fails, the others are delivered, and `outcome` fails.

    Args:
        config: settings, by the names of the command line's file, or the path of such a TOML file
            on the workers. `CEFLINE_*` variables don't count.
        conn_id: an Airflow Connection of type `aws`; None leaves credentials to the worker.
        sources: instead of the config's: names, text with commas between them, or what is known at
            run time only, a template or what another task returns. The latter must lie below the
            config's `allowed_sources`.
        asset: gets an event with the counts and manifests of what was delivered.
        verify: whether parts are read back and compared with their sources.
        batch_size: sources, or pieces of one, are put together to tasks of so many bytes.
        max_tasks: mapped tasks at most; as many as `core.max_map_length` allows by default.
        max_active: mapped tasks at a time, in one run of the DAG.
        group_id: the name of the group, and what its tasks' names begin with.
        default_args: of its tasks, such as `retries` and `pool`.

    Raises:
        ValueError: a size or a number can't be what it says.
    """
    if max_tasks is not None and max_tasks < 1:
        raise ValueError(f"max_tasks is {max_tasks}: expected 1 or more")
    if sources is None and isinstance(config, Mapping):
        sources = config.get("sources")
    given = Given(config, conn_id, size(batch_size), max_tasks, _from_outside(sources))
    with TaskGroup(group_id, default_args=default_args or {}) as group:
        pieces = _planned(given)(sources)
        identified = _mapped("identify", tasks.identify, given, max_active).expand(batch=pieces)
        splits = _split(given)(identified)
        converted = _mapped("convert", tasks.convert, given, max_active).expand(batch=splits)
        published = _published(given)(converted)
        _verified(given, asset, check=verify)(published)
        task(task_id="outcome")(tasks.outcome)(published)
    return group


def _from_outside(sources: Any) -> bool:  # noqa: ANN401 - as above
    """Whether only a run knows the sources, so that who starts it could name any."""
    if sources is None:
        return False
    names = [sources] if isinstance(sources, str) else sources
    if not isinstance(names, list | tuple):
        return True
    return not all(isinstance(n, str) and "{{" not in n and "{%" not in n for n in names)


def _planned(given: Given) -> Any:  # noqa: ANN401 - Airflow's own, here and below
    @task(task_id="plan")
    def plan(sources: Any) -> list[list[Item]]:  # noqa: ANN401 - as above
        return tasks.plan(given, sources)

    return plan


def _mapped(
    task_id: str, work: Callable[..., list[Item]], given: Given, max_active: int | None
) -> Any:  # noqa: ANN401
    @task(
        task_id=task_id,
        map_index_template="{{ cefline_batch }}",
        max_active_tis_per_dagrun=max_active,
    )
    def mapped(batch: list[Item]) -> list[Item]:
        get_current_context()["cefline_batch"] = name(batch)
        return work(given, batch, last=_is_last())

    return mapped


def _split(given: Given) -> Any:  # noqa: ANN401
    @task(task_id="splits")
    def splits(identified: Iterable[list[Item]]) -> list[list[Item]]:
        return tasks.splits(given, chain.from_iterable(identified))

    return splits


def _published(given: Given) -> Any:  # noqa: ANN401
    @task(task_id="publish", multiple_outputs=False)
    def publish(converted: Iterable[list[Item]]) -> dict[str, Any]:
        items = list(chain.from_iterable(converted))
        return tasks.publish(given, items, last=_is_last())

    return publish


def _verified(given: Given, asset: Asset | None, *, check: bool) -> Any:  # noqa: ANN401
    @task(task_id="verify", outlets=[] if asset is None else [asset], multiple_outputs=False)
    def verify(published: dict[str, Any]) -> dict[str, Any]:
        told = tasks.verify(given, published, check=check)
        if asset is not None:
            get_current_context()["outlet_events"][asset].extra = told
        return told

    return verify


def _is_last() -> bool:
    """Whether the task will not be tried again."""
    own = get_current_context()["ti"]
    return bool(own.try_number > own.max_tries)
