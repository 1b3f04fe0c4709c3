"""Deliver by cefline in an environment of its own: Airflow's needs none of its packages.

Needs `python -m venv /opt/cefline && /opt/cefline/bin/pip install -r requirements.lock …` on the
workers, and credentials where AWS tools look there: a role of the machine, or variables.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import Asset, dag, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException

CONFIG = "/etc/cefline.toml"
PYTHON = "/opt/cefline/bin/python"
CEF = Asset(name="cefline_cado", uri="s3://acme-siem/cado")


@dag(
    schedule="@hourly",
    start_date=datetime(2026, 11, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=1)},
    tags=["cefline"],
)
def cefline_external_python() -> None:
    """Deliver the sources that the file names, in one task on one machine."""

    @task.external_python(python=PYTHON, expect_airflow=False)
    def last_turn(file: str) -> int:
        from pathlib import Path

        import cefline
        from cefline.status import status

        config = cefline.load_config({}, {}, Path(file)).config
        return max((one.turn or 0 for one in status(config)), default=0)

    @task.external_python(python=PYTHON, expect_airflow=False, multiple_outputs=False)
    def export(file: str, last: int) -> dict[str, Any]:
        from pathlib import Path

        import cefline
        from cefline.errors import TEMPORARY
        from cefline.status import status

        try:
            config = cefline.load_config({}, {}, Path(file)).config
            report = cefline.export(config)
        except cefline.CeflineError as err:
            if err.exit_code == TEMPORARY:  # it may work again later: the task is tried again
                raise
            return {"exit_code": err.exit_code, "failed": [str(err)]}
        failed = [str(source.error) for source in report.sources if source.error]
        if report.exit_code == TEMPORARY:
            raise RuntimeError("\n".join(failed))
        done = [one for one in status(config) if (one.turn or 0) > last]  # by earlier tries, too
        return {
            "exit_code": report.exit_code,
            "failed": failed,
            "events_delivered": sum(one.events or 0 for one in done),
            "deliveries": [one.delivery for one in done],
        }

    @task
    def outcome(report: dict[str, Any]) -> None:
        if report["exit_code"]:
            raise AirflowFailException("\n".join(report["failed"]))

    @task.short_circuit(ignore_downstream_trigger_rules=False)
    def anything(report: dict[str, Any]) -> bool:
        return bool(report.get("deliveries"))

    @task(outlets=[CEF])
    def announce(report: dict[str, Any]) -> None:
        get_current_context()["outlet_events"][CEF].extra = report

    report = export(CONFIG, last_turn(CONFIG))
    outcome(report)
    anything(report) >> announce(report)


cefline_external_python()
