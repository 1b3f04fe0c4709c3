"""Deliver what another DAG has exported, as soon as it says so, and tell who waits for it.

Whoever exports ends with an Asset event whose `extra` has the names of the files:

    @task(outlets=[EXPORTS])
    def exported():
        get_current_context()["outlet_events"][EXPORTS].extra = {"sources": ["s3://…/a.parquet"]}

An event of Airflow's REST API does as well. Who can make such events, or start the DAG, can name
files: so they must lie below the `allowed_sources` of the file of settings.
"""

from datetime import UTC, datetime, timedelta

from airflow.sdk import Asset, Param, dag, get_current_context, task

from cefline.airflow import deliver

CONFIG = "/etc/cefline.toml"
EXPORTS = Asset(name="cado_exports", uri="s3://acme-exports/cado")
CEF = Asset(name="cefline_cado", uri="s3://acme-siem/cado")


@dag(
    schedule=[EXPORTS],
    start_date=datetime(2026, 11, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=1)},
    params={"sources": Param([], type="array", items={"type": "string"})},
    tags=["cefline"],
)
def cefline_event_driven() -> None:
    """Deliver the files of the events that started the run, or those of its parameters."""

    @task
    def named() -> list[str]:
        context = get_current_context()
        events = context["triggering_asset_events"]
        told = [name for event in events[EXPORTS] for name in event.extra["sources"]]
        return told or list(context["params"]["sources"])

    deliver(config=CONFIG, conn_id="cefline_s3", sources=named(), asset=CEF)


@dag(
    schedule=[CEF],
    start_date=datetime(2026, 11, 1, tzinfo=UTC),
    catchup=False,
    params={"least": Param(1, type="integer", description="Events that a delivery should have")},
    tags=["cefline"],
)
def cefline_delivered() -> None:
    """Look at each delivery of the DAGs above: the place for a search in the SIEM."""

    @task
    def arrived() -> int:
        context = get_current_context()
        events = context["triggering_asset_events"][CEF]
        delivered = sum(int(event.extra["events_delivered"]) for event in events)
        if events and delivered < context["params"]["least"]:
            raise ValueError(f"only {delivered} events were delivered")
        return delivered

    arrived()


cefline_event_driven()
cefline_delivered()
