"""Deliver what is new every quarter of an hour, in the environment of Airflow's workers.

Needs the extra `airflow` on the workers, a file of settings there, and a Connection of type `aws`.
"""

from datetime import UTC, datetime, timedelta

from airflow.sdk import Asset, dag

from cefline.airflow import deliver

CONFIG = "/etc/cefline.toml"
CEF = Asset(name="cefline_cado", uri="s3://acme-siem/cado")


@dag(
    schedule="*/15 * * * *",
    start_date=datetime(2026, 11, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,  # runs that overlap are safe, and do work twice
    default_args={"retries": 3, "retry_delay": timedelta(minutes=1)},
    tags=["cefline"],
)
def cefline_simple() -> None:
    """Deliver the sources that the file names."""
    deliver(config=CONFIG, conn_id="cefline_s3", asset=CEF, max_active=4)


cefline_simple()
