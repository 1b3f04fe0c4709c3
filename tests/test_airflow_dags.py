"""Airflow itself: the example DAGs run on it, and deliver to S3."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import cefline
from tests import seaweed
from tests.airflow_home import EXAMPLES, Home, Run
from tests.faults import Proxy, Request

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

SOURCES = 12
EVENTS = 40
SPREAD = """
import os
from airflow.sdk import Asset, dag
from cefline.airflow import deliver

top = os.environ["TOP"]

@dag(schedule=None, default_args={"retries": 2}, params={"top": top})
def spread():
    deliver(
        config={
            "sources": ["{{ params.top }}/in/"],
            "allowed_sources": [f"{top}/in/"],
            "dest": f"{top}/spread",
            "state": f"{top}/state-spread",
            "split_size": "3KiB",
            "part_size": "4KiB",
        },
        conn_id="cefline_s3",
        asset=Asset(name="spread", uri=f"{top}/spread"),
        batch_size="6MiB",
        max_active=2,
    )

spread()
"""
EXPORTING = """
import os
from airflow.sdk import Asset, dag, get_current_context, task

EXPORTS = Asset(name="cado_exports", uri="s3://acme-exports/cado")

@dag(schedule=None)
def exporting():
    @task(outlets=[EXPORTS])
    def exported():
        extra = {"sources": [f"{os.environ['TOP']}/more/good.jsonl"]}
        get_current_context()["outlet_events"][EXPORTS].extra = extra

    exported()

exporting()
"""
FILE = """
sources = ["{top}/in/"]
dest = "{top}/{name}"
state = "{top}/state-{name}"
allowed_sources = ["{top}/in/", "{top}/more/"]
turn_timeout = "1s"
"""


@dataclass(frozen=True, slots=True)
class Ran:
    """What was run, and where it delivered to."""

    s3: seaweed.S3
    home: Home
    runs: dict[str, Run]
    refused: list[str]

    def manifests(self, name: str) -> list[dict[str, Any]]:
        """Return what was delivered to a destination."""
        start = f"{self.s3.prefix}/state-{name}/manifests/"
        return [json.loads(self.s3.get(key).body) for key in self.s3.sizes(start)]


class Expiring:
    """Says once for each destination that a token has expired: what only a retry heals."""

    def __init__(self) -> None:
        """Begin with none."""
        self.said: list[str] = []

    def __call__(self, request: Request) -> str:
        """Refuse the first object that is staged, or else the first part."""
        found = re.search(r"/state-([a-z]+)/staged/|/([a-z]+)/\d{4}-", request.key)
        name = found[1] or found[2] if found and request.method == "PUT" else ""
        if not name or name in self.said or not request.create_only:
            return ""
        self.said.append(name)
        return "ExpiredToken"


def event(source: int, number: int) -> dict[str, object]:
    return {"msg": f"event {number} of {source}", "evidence_id": source, "eventTime": 1_600_000_000}


def put_sources(s3: seaweed.S3) -> None:
    """Put a dozen of them, of which the first is cut into splits."""
    more = {"short": "x" * 99}
    table = pa.Table.from_pylist([event(0, n) | more for n in range(EVENTS)])
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, row_group_size=10, compression="none", use_dictionary=False)
    s3.put("in/00.parquet", sink.getvalue().to_pybytes())
    for source in range(1, SOURCES):
        s3.put(f"in/{source:02}.jsonl", lines(source))
    s3.put("more/good.jsonl", lines(100))
    s3.put("more/bad.jsonl", b'{"msg": 1}\n{')
    s3.put("secret/other.jsonl", lines(101))


def lines(source: int) -> bytes:
    return b"".join(json.dumps(event(source, n)).encode() + b"\n" for n in range(EVENTS))


@pytest.fixture(scope="module")
def ran(s3_server: seaweed.Server, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Run all DAGs, each with an expired token in its midst, and each once more."""
    who = seaweed.WRITER
    s3 = seaweed.S3(s3_server.endpoint, seaweed.BUCKET, "airflow", who.key, who.secret)
    put_sources(s3)
    home = Home.made(tmp_path_factory.mktemp("airflow"))
    for name, text in (("spread", SPREAD), ("exporting", EXPORTING)):
        (home.folder / "dags" / f"{name}.py").write_text(text, encoding="utf-8")
    expiring = Expiring()
    with Proxy(s3_server.endpoint, refuse=expiring) as proxy:
        orders = dict(ordered(s3.url, proxy.endpoint))
        runs = home.run(list(orders.values()), {"TOP": s3.url})
    return Ran(s3, home, dict(zip(orders, runs, strict=True)), expiring.said)


def ordered(top: str, endpoint: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what is run, by name."""
    connection = {
        "conn_type": "aws",
        "login": seaweed.WRITER.key,
        "password": seaweed.WRITER.secret,
        "extra": {"endpoint_url": endpoint, "region_name": "us-east-1"},
    }
    by_connection = {"AIRFLOW_CONN_CEFLINE_S3": json.dumps(connection)}
    ambient = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": seaweed.RENEWED.key,
        "AWS_SECRET_ACCESS_KEY": seaweed.RENEWED.secret,
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    for name, dag, env in (
        ("spread", "spread", by_connection),
        ("simple", "cefline_simple", by_connection),
        ("external", "cefline_external_python", ambient),
        ("bash", "cefline_bash", ambient),
    ):
        order = {"dag": dag, "env": env, "settings": FILE.format(top=top, name=name)}
        yield name, order
        yield f"{name} again", order
    events = {"dag": "cefline_event_driven", "settings": FILE.format(top=top, name="events")}
    yield "exporting", {"dag": "exporting"}
    yield "one", {**events, "env": by_connection, "consumes": "cado_exports"}
    sources = {
        "bad": ["more/bad.jsonl", "in/"],
        "outside": ["in/01.jsonl", "secret/other.jsonl"],
    }
    for name, names in sources.items():
        conf = {"sources": [f"{top}/{one}" for one in names]}
        yield name, {**events, "env": by_connection, "conf": conf}
    yield "no connection", {**events, "conf": {"sources": [f"{top}/in/"]}}
    yield "delivered", {"dag": "cefline_delivered", "consumes": "cefline_cado"}
    wrong = FILE.format(top=top, name="wrong") + 'part_size = "much"'
    yield "wrong", {"dag": "cefline_simple", "env": by_connection, "settings": wrong}
    yield "wrong bash", {"dag": "cefline_bash", "settings": wrong}


def delivered(ran: Ran, name: str) -> list[str]:
    """Return what the events at a destination say, in order."""
    start = f"{ran.s3.prefix}/{name}/"
    texts = (gzip.decompress(ran.s3.get(key).body).decode() for key in ran.s3.sizes(start))
    found = (line for text in texts for line in text.splitlines())
    return sorted(re.search(r" msg=(.*?)(?: \w+=|$)", line)[1] for line in found)  # type: ignore[index]


def expected(*sources: int) -> list[str]:
    return sorted(str(event(source, n)["msg"]) for source in sources for n in range(EVENTS))


def tries(run: Run) -> dict[str, int]:
    """Return how often tasks were tried, but for those that went well at once."""
    most = {name: max(task.tries for task in own) for name, own in run.tasks.items()}
    return {name: count for name, count in most.items() if count > 1}


@pytest.mark.parametrize("name", ["spread", "simple", "external", "bash"])
def test_each_event_is_delivered_once_though_a_token_expires(ran: Ran, name: str) -> None:
    """The task that met it is tried again; a second run has nothing to do."""
    assert name in ran.refused
    assert ran.runs[name].state == ran.runs[f"{name} again"].state == "success"
    task = "deliver.convert" if name in {"spread", "simple"} else "export"
    assert tries(ran.runs[name]) == {task: 2}
    assert tries(ran.runs[f"{name} again"]) == {}
    assert delivered(ran, name) == expected(*range(SOURCES))
    assert len(ran.manifests(name)) == SOURCES


@pytest.mark.parametrize("name", ["spread", "simple"])
def test_the_assets_event_says_what_the_manifests_say(ran: Ran, name: str) -> None:
    (told,) = ran.runs[name].events
    made = ran.manifests(name)
    for count in ("events_read", "events_delivered", "events_rejected", "events_filtered"):
        assert told[count] == sum(manifest[count] for manifest in made)
    assert told["parts"] == sum(len(manifest["parts"]) for manifest in made) >= SOURCES
    assert told["events_delivered"] == SOURCES * EVENTS
    top = f"{ran.s3.url}/state-{name}/manifests"
    assert told["manifests"] == sorted(f"{top}/{one['delivery']}.json" for one in made)
    assert told["destination"] == f"{ran.s3.url}/{name}"
    assert ran.runs[name].xcoms["deliver.verify"] == told


def test_a_run_by_another_python_says_what_all_its_tries_delivered(ran: Ran) -> None:
    (told,) = ran.runs["external"].events
    assert told["events_delivered"] == SOURCES * EVENTS
    assert sorted(told["deliveries"]) == [one["delivery"] for one in ran.manifests("external")]
    assert ran.runs["external again"].states()["announce"] == {"skipped"}


@pytest.mark.parametrize("name", ["spread again", "simple again", "external again", "bash again"])
def test_nothing_to_do_is_no_event(ran: Ran, name: str) -> None:
    assert ran.runs[name].events == []


def test_nothing_to_do_is_one_task(ran: Ran) -> None:
    states = ran.runs["simple again"].states()
    assert states.pop("deliver.plan") == {"success"}
    assert set.union(*states.values()) == {"skipped"}


def test_work_is_mapped_in_batches_with_names(ran: Ran) -> None:
    """A source that is cut into splits is in several."""
    converted = ran.runs["spread"].tasks["deliver.convert"]
    names = [task.name for task in ran.runs["spread"].tasks["deliver.identify"]]
    assert names == ["00.parquet and 5 more", "06.jsonl and 5 more"]
    assert [task.name for task in converted] == [
        "00.parquet 1/4 and 5 more",
        "03.jsonl and 5 more",
        "09.jsonl and 2 more",
    ]


def test_files_that_an_event_names_are_delivered(ran: Ran) -> None:
    """An event of the DAG that exports; who waits for what is delivered is told in turn."""
    (told,) = ran.runs["one"].events
    assert (told["events_delivered"], len(told["manifests"])) == (EVENTS, 1)
    events = [event for run in ran.runs.values() for event in run.events]
    cado = [one for one in events if one.get("events_delivered") and "spread" not in str(one)]
    total = sum(one["events_delivered"] for one in cado)
    assert ran.runs["delivered"].xcoms["arrived"] == total > EVENTS


def test_a_source_that_fails_stops_no_other(ran: Ran) -> None:
    """They are published, verified and announced, and the run fails without another try."""
    run = ran.runs["bad"]
    assert run.state == "failed"
    states = run.states()
    assert states.pop("deliver.outcome") == {"failed"}
    assert set.union(*states.values()) == {"success"}
    assert tries(run) == {}
    (told,) = run.events
    assert told["events_delivered"] == SOURCES * EVENTS
    (failed,) = run.xcoms["deliver.publish"]["failed"]
    assert (failed["source"], failed["exit_code"]) == (f"{ran.s3.url}/more/bad.jsonl", 1)
    assert delivered(ran, "events") == expected(*range(SOURCES), 100)


@pytest.mark.parametrize(
    ("name", "task", "says"),
    [
        ("outside", "deliver.plan", "secret/other.jsonl' lies below none of the places allowed"),
        ("no connection", "deliver.plan", "there is no Airflow Connection 'cefline_s3'"),
        ("wrong", "deliver.plan", "part_size = 'much': expected a size"),
        ("wrong bash", "export", "part_size = 'much': expected a size"),
    ],
)
def test_what_no_retry_heals_is_tried_once(ran: Ran, name: str, task: str, says: str) -> None:
    run = ran.runs[name]
    assert run.state == "failed"
    assert [(one.state, one.tries) for one in run.tasks[task]] == [("failed", 1)]
    assert says in ran.home.texts()
    assert ran.s3.sizes(f"{ran.s3.prefix}/wrong/") == {}


def test_no_secret_and_no_event_is_stored_or_logged(ran: Ran) -> None:
    """In Airflow's database, XComs and templates among it, nor in its logs."""
    texts = ran.home.texts()
    assert ran.s3.url in texts
    for secret in (seaweed.WRITER.secret, seaweed.RENEWED.secret):
        assert secret not in texts
    assert "event 7 of" not in texts


def test_all_examples_are_read(ran: Ran) -> None:
    """The one for pods, too, which can't run here."""
    names = set(re.findall(r"^ *def (cefline_\w+)", EXAMPLE_TEXTS, re.MULTILINE))
    assert len(names) == 6
    assert names <= ran.home.dags()


EXAMPLE_TEXTS = "".join(p.read_text(encoding="utf-8") for p in EXAMPLES.glob("cefline_*.py"))

HEAVY = """
import json, runpy, sys
from airflow.sdk import Asset, dag, get_current_context, task, TaskGroup

@dag(schedule="@daily")
def plain():
    task(outlets=[Asset(name="a", uri="s3://a/b")])(lambda x: x).expand(x=[1])

if __name__ == "__main__":  # Airflow may start processes that import this
    plain()
    before = set(sys.modules)
    runpy.run_path(sys.argv[1])
    print(json.dumps(sorted({name.partition(".")[0] for name in set(sys.modules) - before})))
"""


def test_reading_a_dag_imports_nothing_heavy(ran: Ran) -> None:
    """Of what Airflow itself has not imported, only cefline's own modules, and Python's."""
    told = ran.home.python("-c", HEAVY, str(ran.home.folder / "dags" / "cefline_simple.py"))
    new = set(json.loads(told.splitlines()[-1]))
    assert {"cefline", "cefline_schemas"} <= new
    assert new - {"cefline", "cefline_schemas"} <= sys.stdlib_module_names


def test_airflow_lists_the_provider(ran: Ran) -> None:
    listed = json.loads(ran.home.command("providers", "list", "--output", "json"))
    (own,) = (one for one in listed if one["package_name"] == "cefline")
    assert own["version"] == cefline.__version__
    assert "each event exactly once" in own["description"]


ALLOWED = """
import sys
from cefline import CeflineError, Config
from cefline.airflow.tasks import _check_allowed
for name in sys.argv[1:]:
    try:
        _check_allowed(Config(sources=(name,), allowed_sources=("s3://a/in/", "/data/in")))
        print(True)
    except CeflineError:
        print(False)
"""


def test_names_from_outside_stay_below_the_places_allowed(ran: Ran) -> None:
    good = ["s3://a/in/x", "s3://a/in", "s3://a/in/*", "/data/in/x", "/data/in/../in/x"]
    bad = ["s3://a/in2/x", "s3://a/", "s3://a/*/x", "/data/in/../x", "/data/*/x", "in/x"]
    bad += ["file:///data/in/x", "gs://a/in/x", "", "s3://A/in/x"]
    told = ran.home.python("-c", ALLOWED, *good, *bad).splitlines()
    assert told[-len(good + bad) :] == ["True"] * len(good) + ["False"] * len(bad)


OUTCOMES = """
from cefline.airflow.errors import failure, outcome
for code in (1, 2, 3, 75, 78):
    print(code, type(failure(code, "x")).__name__)
for report in (None, "", "no JSON", '{"exit_code": 75, "error": "later"}', {"exit_code": 3}):
    try:
        outcome(report)
    except Exception as err:
        print(type(err).__name__, err)
"""


def test_only_exit_code_75_is_tried_again(ran: Ran) -> None:
    assert ran.home.python("-c", OUTCOMES).splitlines()[-10:] == [
        "1 AirflowFailException",
        "2 AirflowFailException",
        "3 AirflowFailException",
        "75 AirflowException",
        "78 AirflowFailException",
        *["AirflowFailException cefline printed no report: its log says what is wrong"] * 3,
        "AirflowException later (exit code 75)",
        "AirflowFailException cefline failed (exit code 3)",
    ]


POD = """
import sys
from airflow.dag_processing.dagbag import DagBag
task = DagBag(sys.argv[1]).dags["cefline_pod"].task_dict["export"]
print("SCRIPT" + task.arguments[0])
"""


def test_the_pods_script_tells_what_a_retry_heals(ran: Ran, tmp_path: Path) -> None:
    """By the exit code of the shell; what went wrong for good is in the report."""
    dags, file, told = ran.home.folder / "dags", tmp_path / "x.toml", tmp_path / "return.json"
    script = ran.home.python("-c", POD, str(dags)).partition("SCRIPT")[2]
    for path, own in (("/etc/cefline/cefline.toml", file), ("/airflow/xcom/return.json", told)):
        assert path in script
        script = script.replace(path, str(own))
    (tmp_path / "in.jsonl").write_bytes(lines(1))
    unreachable = 'dest = "s3://a/b"\n[s3]\nattempts = 1\nendpoint = "http://127.0.0.1:9"'
    for dest, code, exit_code in (
        (f'dest = "{tmp_path}/out"', 0, 0),
        ('dest = ""', 0, 78),
        (unreachable, 75, None),
    ):
        told.unlink(missing_ok=True)
        file.write_text(f'sources = ["{tmp_path}/in.jsonl"]\n{dest}', encoding="utf-8")
        env = {"PATH": f"{sys.prefix}/bin:{os.environ['PATH']}", "TMPDIR": str(tmp_path)}
        keys = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
        done = subprocess.run(
            ["sh", "-c", script], check=False, capture_output=True, env={**env, **keys}
        )
        assert done.returncode == code, done.stderr.decode()
        text = told.read_text(encoding="utf-8")
        assert (json.loads(text)["exit_code"] if text else None) == exit_code
