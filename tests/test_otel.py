"""OpenTelemetry: a run is a trace whose numbers are its report's; it fails by no collector."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from cefline import otel, textfile
from cefline.config import Config
from cefline.errors import ConfigError
from cefline.job import export
from cefline.metrics import KEPT, METRICS, counts
from cefline.s3 import S3Settings
from cefline.settings import load
from cefline.values import MaxRejects
from tests.collector import Collector, attributes, collecting

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cefline.report import Report
    from tests.seaweed import S3

ERROR = 2
"""A span's status in OTLP."""


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """Return a collector that the environment names."""
    with collecting() as found:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", found.endpoint)
        yield found


def write(folder: Path, name: str, *messages: str) -> Path:
    folder.mkdir(exist_ok=True)
    lines = (json.dumps({"msg": one, "evidence_id": 1}) for one in messages)
    path = folder / name
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    os.utime(path, (1_600_000_000, 1_600_000_000))
    return path


def run(tmp_path: Path, *, dry_run: bool = False, **more: Any) -> Report:  # noqa: ANN401 - as Config has them
    given = {"sources": (str(tmp_path / "in"),), "dest": str(tmp_path / "out"), "threads": 2}
    return export(Config(**{**given, "otel": True, **more}), dry_run=dry_run)


def tree(spans: list[Any]) -> Counter[tuple[str, ...]]:
    """Return the path of names from the root to each span."""
    by_id = {span.span_id: span for span in spans}
    assert len(by_id) == len(spans)
    assert len({span.trace_id for span in spans}) == 1

    def path(span: Any) -> tuple[str, ...]:  # noqa: ANN401 - protobuf's
        above = path(by_id[span.parent_span_id]) if span.parent_span_id else ()
        return (*above, span.name.removeprefix("cefline."))

    return Counter(path(span) for span in spans)


def within(inner: Any, outer: Any) -> bool:  # noqa: ANN401 - protobuf's
    starts = outer.start_time_unix_nano <= inner.start_time_unix_nano
    return bool(starts and inner.end_time_unix_nano <= outer.end_time_unix_nano)


def numbers(attributes: dict[str, Any]) -> dict[str, int]:
    return {name: attributes[f"cefline.{name}"] for name in counts(())}


def test_spans_nest_and_count_as_the_report_does(tmp_path: Path, collector: Collector) -> None:
    """One of the run, in it one of each source, in these one of each step."""
    for name in "abcde":
        write(tmp_path / "in", f"{name}.jsonl", *(f"{name}{n}" for n in range(ord(name) - 94)))
    report = run(tmp_path, check="full", where="msg != 'c1'")
    source = ("run", "source")
    assert tree(collector.spans) == {
        ("run",): 1,
        source: 5,
        (*source, "fetch"): 5,
        (*source, "convert"): 5,
        (*source, "publish"): 5,
        (*source, "publish", "verify"): 5,
    }
    by_id = {span.span_id: span for span in collector.spans}
    children = [(s, by_id[s.parent_span_id]) for s in collector.spans if s.parent_span_id]
    assert all(within(span, parent) for span, parent in children)
    (whole,) = [s for s in collector.spans if s.name == "cefline.run"]
    assert numbers(attributes(whole)) == counts(report.sources)
    assert attributes(whole)["cefline.exit_code"] == 0
    told = [attributes(s) for s in collector.spans if s.name == "cefline.source"]
    by_url = {one["cefline.source"]: one for one in told}
    for one in report.sources:
        assert numbers(by_url[one.url]) == counts([one])
        assert by_url[one.url]["cefline.delivery"] == one.delivery
    assert counts(report.sources)["events_filtered"] == 1


def test_steps_of_a_source_follow_each_other(tmp_path: Path, collector: Collector) -> None:
    """Each says what it handled: bytes fetched, events read, parts put out."""
    path = write(tmp_path / "in", "a.jsonl", "x", "y")
    run(tmp_path)
    steps = {s.name.removeprefix("cefline."): s for s in collector.spans}
    order = [steps[name] for name in ("fetch", "convert", "publish")]
    ends = [(s.start_time_unix_nano, s.end_time_unix_nano) for s in order]
    assert ends == sorted(ends)
    assert all(one[1] <= following[0] for one, following in pairwise(ends))
    assert attributes(steps["fetch"])["cefline.bytes"] == path.stat().st_size
    assert numbers(attributes(steps["convert"]))["events_read"] == 2
    assert numbers(attributes(steps["publish"]))["parts"] == 1


def test_metrics_are_those_of_the_file(tmp_path: Path, collector: Collector) -> None:
    """Under the same names, with the same values, units and help."""
    write(tmp_path / "in", "a.jsonl", "x", "y")
    (tmp_path / "in" / "b.jsonl").write_text("<html>")
    os.utime(tmp_path / "in" / "b.jsonl", (1_500_000_000, 1_500_000_000))
    file, dest = tmp_path / "a.prom", str(tmp_path / "out")
    run(tmp_path, metrics_file=str(file))
    points = {m.name: m.gauge.data_points for m in collector.metrics}
    assert {len(each) for each in points.values()} == {1}
    assert {attributes(each[0])["dest"] for each in points.values()} == {dest}
    sent = {name: each[0].as_double or each[0].as_int for name, each in points.items()}
    kept = {name for name in KEPT if name not in sent}
    assert textfile.text(sent, dest) == file.read_bytes()
    assert kept == {"cefline_last_success_timestamp_seconds"}  # it is 0 in the file
    about = {m.name: (m.unit, m.description) for m in collector.metrics}
    assert about == {m.name: (m.unit, m.help) for m in METRICS if m.name in about}
    assert set(about) == {m.name for m in METRICS} - kept


def test_a_failure_is_told_by_its_kind_alone(tmp_path: Path, collector: Collector) -> None:
    """Its message may hold a sample."""
    path = write(tmp_path / "in", "a.jsonl", "x")
    path.write_bytes(
        path.read_bytes() + b'{"msg": "y", "eventTime": "tell-tale"}\nno tell-tale\n' * 9
    )
    report = run(tmp_path, settle=0.0, max_rejects=MaxRejects(0, 0.0))
    assert report.exit_code == 3
    by_name = {span.name: span for span in collector.spans}
    for name in ("cefline.run", "cefline.source"):
        assert by_name[name].status.code == ERROR
        told = attributes(by_name[name])
        assert (told["error.type"], told["cefline.exit_code"]) == ("TooManyRejectsError", 3)
    assert not any(span.events or span.status.message for span in collector.spans)


def test_a_run_that_can_t_begin_is_a_span_with_an_error(
    tmp_path: Path, collector: Collector
) -> None:
    with pytest.raises(ConfigError):
        run(tmp_path, after="move")
    (span,) = collector.spans
    assert (span.name, span.status.code) == ("cefline.run", ERROR)
    assert attributes(span)["error.type"] == "ConfigError"
    (code,) = [m for m in collector.metrics if m.name == "cefline_last_run_exit_code"]
    assert code.gauge.data_points[0].as_int == 78


def test_a_dry_run_sends_a_trace_and_no_metrics(tmp_path: Path, collector: Collector) -> None:
    """It delivers nothing, and says so."""
    write(tmp_path / "in", "a.jsonl", "x")
    run(tmp_path, dry_run=True)
    (whole,) = [s for s in collector.spans if s.name == "cefline.run"]
    assert attributes(whole)["cefline.dry_run"] is True
    assert collector.metrics == []


@pytest.mark.parametrize(("signal", "sent"), [("TRACES", "metrics"), ("METRICS", "traces")])
def test_one_of_the_two_can_be_left_out(
    tmp_path: Path, collector: Collector, monkeypatch: pytest.MonkeyPatch, signal: str, sent: str
) -> None:
    """A store of traces takes no metrics."""
    monkeypatch.setenv(f"OTEL_{signal}_EXPORTER", "none")
    write(tmp_path / "in", "a.jsonl", "x")
    assert run(tmp_path).exit_code == 0
    assert {path for path, _ in collector.bodies} == {f"/v1/{sent}"}


def test_nothing_of_an_event_and_no_secret_is_sent(
    tmp_path: Path, s3: S3, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither delivered, nor rejected, replaced, cut or filtered; sources are named."""
    for name, value in s3.env.items():
        monkeypatch.setenv(name, value)
    rows = [
        {"msg": "tell-tale\0", "short": "tell-tale" * 400, "evidence_id": 1},
        {"msg": "tell-tale", "evidence_id": "tell-tale"},
        {"msg": "tell-tale", "user": "tell-tale"},
    ]
    body = "".join(f"{json.dumps(row)}\n" for row in rows) + "tell-tale\n"
    s3.put("in/a.jsonl", body.encode())
    report = run(
        tmp_path,
        sources=(f"{s3.url}/in/",),
        dest=f"{s3.url}/out",
        max_value=2048,
        where="suser is null",
        s3=S3Settings(endpoint=s3.endpoint),
    )
    assert (report.read, report.delivered, report.rejected, report.filtered) == (4, 2, 1, 1)
    sent = b"".join(body for _, body in collector.bodies)
    assert b"in/a.jsonl" in sent
    assert b"tell-tale" not in sent
    assert s3.secret.encode() not in sent
    assert s3.key.encode() not in sent


# A collector that fails.


@pytest.mark.parametrize("kind", ["gone", "refuses", "denies", "silent", "no_certificate"])
def test_a_collector_that_fails_costs_a_warning_and_little_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    """All is delivered. Without a bound, the SDK tries again for ten seconds and more."""
    write(tmp_path / "in", "a.jsonl", "x", "y")
    how: dict[str, dict[str, Any]] = {
        "refuses": {"status": 503},
        "denies": {"status": 401},
        "silent": {"silent": True},
    }
    with collecting(**how.get(kind, {})) as collector, socket.create_server(("127.0.0.1", 0)) as s:
        port = s.getsockname()[1]
        s.close()
        endpoint = f"http://127.0.0.1:{port}" if kind == "gone" else collector.endpoint
        if kind == "no_certificate":
            endpoint = endpoint.replace("http:", "https:")
            monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", str(tmp_path / "gone.pem"))
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        began = time.monotonic()
        report = run(tmp_path)
        spent = time.monotonic() - began - report.seconds
    assert (report.exit_code, report.delivered) == (0, 2)
    assert spent < otel.PATIENCE + 3  # imports of the SDK, on a busy machine
    (told,) = [r for r in caplog.records if r.name == "cefline" and r.levelname == "WARNING"]
    assert told.message.startswith("metrics and traces of this run did not reach the collector")
    assert told.exc_info is None


def test_a_value_that_the_sdk_does_not_take_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "-1742")
    write(tmp_path / "in", "a.jsonl", "x")
    assert run(tmp_path).exit_code == 0
    (told,) = [r.message for r in caplog.records if r.levelname == "WARNING"]
    assert "OTEL_*" in told
    assert "1742" not in told


def test_an_error_of_any_kind_as_the_sdk_is_set_up_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Newer ones raise RuntimeError where a provider of credentials is not there."""

    def missing(*_: object) -> None:
        message = "component tell-tale is not there"
        raise RuntimeError(message)

    monkeypatch.setattr(otel._Spans, "__init__", missing)  # noqa: SLF001 - where it is raised
    write(tmp_path / "in", "a.jsonl", "x")
    report = run(tmp_path)
    assert (report.exit_code, report.delivered) == (0, 1)
    (told,) = [r.message for r in caplog.records if r.levelname == "WARNING"]
    assert "OTEL_*" in told
    assert "tell-tale" not in told


def test_a_signal_is_not_held_up_by_a_collector(tmp_path: Path) -> None:
    """The bound holds there as well; the command says what it says without a collector."""
    write(tmp_path / "in", "a.jsonl", *"abcdefgh")
    out = tmp_path / "out"
    command = [sys.executable, "-m", "cefline", "export", str(tmp_path / "in"), str(out)]
    command += ["--part-size=100", "--pace=60s", "--quiet"]
    with collecting(silent=True) as collector:
        env = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint}
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env) as process:
            while not list(out.rglob("*.cef.gz")):
                assert process.poll() is None
                time.sleep(0.05)
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=60)
            spent = time.monotonic() - began
    assert process.returncode == 143
    assert "Traceback" not in err
    assert "terminated; the next run goes on" in err
    assert spent < 10


# What switches it on.


def test_the_environment_switches_it_on(tmp_path: Path, collector: Collector) -> None:
    """Name, headers and all else are the SDK's variables; nothing of it is shown."""
    write(tmp_path / "in", "a.jsonl", "x")
    more = {
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20tell-tale,no header",
        "OTEL_SERVICE_NAME": "exports",
    }
    command = [sys.executable, "-m", "cefline", "export", str(tmp_path / "in")]
    done = subprocess.run(
        [*command, str(tmp_path / "out")],
        env={**os.environ, **more},
        capture_output=True,
        check=True,
        text=True,
    )
    assert len(collector.spans) == 6
    assert {one["service.name"] for one in collector.resources} == {"exports"}
    assert {h["authorization"] for h in collector.headers} == {"Bearer tell-tale"}
    assert "tell-tale" not in done.stdout + done.stderr


def test_without_a_name_it_is_cefline(tmp_path: Path, collector: Collector) -> None:
    write(tmp_path / "in", "a.jsonl", "x")
    run(tmp_path)
    assert {one["service.name"] for one in collector.resources} == {"cefline"}


@pytest.mark.parametrize(
    ("env", "on"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        ({"OTEL_SERVICE_NAME": "x"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "x", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "x", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "x", "CEFLINE_OTEL": "false"}, False),
        ({"CEFLINE_OTEL": "true"}, True),
    ],
)
def test_a_collector_in_the_environment_is_a_setting(env: dict[str, str], *, on: bool) -> None:
    """With its origin; cefline's own win."""
    found = load({}, env, None)
    assert found.config.otel is on
    assert found.origins["otel"] in {"default", *env}


def test_a_file_wins_over_the_environment(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("otel = false\n")
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    assert not load({}, env, tmp_path / "a.toml").config.otel


def test_libraries_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked for by a setting, they are told, with what installs them; by the environment, not."""
    for name in [name for name in sys.modules if name.startswith("opentelemetry")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "cefline.otel", raising=False)
    monkeypatch.delattr("cefline.otel", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    assert not load({}, {"OTEL_EXPORTER_OTLP_ENDPOINT": "x"}, None).config.otel
    with pytest.raises(ConfigError, match=r"cefline\[otel\]") as told:
        run(tmp_path)
    assert told.value.exit_code == 78
