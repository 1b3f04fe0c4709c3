"""Runs DAGs as it is told; by Airflow's own Python, so it imports nothing of the tests.

The wait before a retry is cut, all else is as the DAGs have it.
"""

import json
import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

from airflow.dag_processing.dagbag import DagBag
from airflow.models.asset import AssetEvent, AssetModel
from airflow.models.dagrun import get_or_create_dagrun
from sqlalchemy import select


def main() -> None:
    """Take the files of settings, of orders, and of what is told."""
    settings, asked, told = map(Path, sys.argv[1:])
    bag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
    if bag.import_errors:
        raise SystemExit(str(bag.import_errors))
    ran = []
    for order in json.loads(asked.read_text(encoding="utf-8")):
        settings.write_text(order.pop("settings", ""), encoding="utf-8")
        ran.append(run(bag, **order))
    told.write_text(json.dumps(ran), encoding="utf-8")


def run(
    bag: Any,  # noqa: ANN401 - Airflow's own
    dag: str,
    conf: dict[str, Any] | None = None,
    env: dict[str, str] | None = None,
    consumes: str = "",
) -> dict[str, str]:
    """Run a DAG, and return what tells its run in the database."""
    found = bag.dags[dag]
    for task in found.tasks:
        task.retry_delay = timedelta(seconds=0)

    def created(**given: Any) -> Any:  # noqa: ANN401 - Airflow's own
        made = get_or_create_dagrun(**given)
        if consumes:
            consume(made, consumes, given["session"])
        return made

    with (
        patch.dict(os.environ, env or {}),
        patch("airflow.models.dagrun.get_or_create_dagrun", created),
    ):
        done = found.test(run_conf=conf)
    return {"dag": dag, "run": done.run_id, "state": done.state.value}


def consume(made: Any, asset: str, session: Any) -> None:  # noqa: ANN401 - Airflow's own
    """Give a run the events of an Asset, as the scheduler does with runs that these start."""
    of_asset = select(AssetEvent).join(AssetEvent.asset).where(AssetModel.name == asset)
    made.consumed_asset_events.extend(session.scalars(of_asset))
    session.commit()


if __name__ == "__main__":
    main()
