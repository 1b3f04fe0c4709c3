"""Metrics: a file for Prometheus at the end of every run, with the numbers of its report."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cefline import textfile, work
from cefline.config import Config
from cefline.deliver.store import LocalStore
from cefline.errors import CeflineError, TryAgainError
from cefline.job import export
from cefline.metrics import KEPT, METRICS, label
from cefline.s3 import S3Settings
from cefline.values import PARSERS, MaxRejects
from tests import promtool
from tests.faults import Proxy

if TYPE_CHECKING:
    from collections.abc import Callable

    from cefline.report import Report
    from tests.commands import Result
    from tests.faults import Fault
    from tests.seaweed import S3

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
RULES = ROOT / "docs" / "cefline.rules.yml"

EVERY = [metric.name for metric in METRICS]
OF_RUN = {"timestamp_seconds", "duration_seconds", "exit_code", "s3_retries"}
SAMPLE = re.compile(r'(?P<name>[a-z][a-z0-9_]*)\{dest="(?P<dest>[^"]*)"\} (?P<value>[0-9.e+-]+)')


class Place:
    """A folder with sources, a destination, and a file of metrics."""

    def __init__(self, root: Path) -> None:
        """Take the folder."""
        self.root, self.file = root, root / "metrics" / "cefline.prom"
        self.file.parent.mkdir()

    def write(self, name: str, content: bytes, seconds: float = 1_600_000_000) -> Path:
        """Write a source that was last written at a time."""
        path = self.root / "in" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (seconds, seconds))
        return path

    def run(self, *, dry_run: bool = False, **more: Any) -> Report:  # noqa: ANN401 - as Config has them
        """Export all sources."""
        given = {"sources": (str(self.root / "in"),), "dest": str(self.root / "out"), "threads": 2}
        config = Config(**{**given, "metrics_file": str(self.file), **more})
        return export(config, dry_run=dry_run)

    def read(self) -> dict[str, float]:
        """Return the values in the file by name, without their prefix; each has one sample."""
        lines = [line for line in self.file.read_text().splitlines() if not line.startswith("#")]
        matches = [SAMPLE.fullmatch(line) for line in lines]
        found = {m["name"].removeprefix("cefline_"): float(m["value"]) for m in matches if m}
        assert len(found) == len(lines)
        return found


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Return a place without sources."""
    return Place(tmp_path)


def events(*messages: str) -> bytes:
    return b"".join(json.dumps({"msg": one, "evidence_id": 1}).encode() + b"\n" for one in messages)


def of_run(found: dict[str, float]) -> dict[str, float]:
    """Return the counts of a run: what is about no time and no outcome of its own."""
    counts = {name.removeprefix("last_run_"): n for name, n in found.items() if "last_run_" in name}
    return {name: n for name, n in counts.items() if name not in OF_RUN}


# What is written.


def test_counts_are_those_of_the_report(place: Place) -> None:
    """Of all sources: delivered, known, left, failed; each kind of loss has a number."""
    place.write("known.jsonl", events("k"))
    place.run()
    lines = events("a\0\0b", "drop", "m" * 4000)
    wrong = b'{"msg": "x", "evidence_id": "none"}\n'
    place.write("a.jsonl", lines + wrong + b"no json\n")
    place.write("left.jsonl", events("l"), time.time())
    place.write("failed.jsonl", b"<html>", 1_500_000_000)
    report = place.run(where="msg != 'drop'", max_value=2048, max_rejects=MaxRejects(1, 0.0))
    found = place.read()
    parts = report.parts
    assert {part.events for part in parts} == {1, 2}
    cut = sum(s.tally.counts["msg", "cut_bytes"] for s in report.sources)
    assert cut > 1900
    assert of_run(found) == {
        "events_read": report.read,
        "events_delivered": report.delivered,
        "events_rejected": report.rejected,
        "events_filtered": report.filtered,
        "values_rejected": 1,
        "replaced_characters": 2,
        "cut_bytes": cut,
        "text_bytes": sum(part.text_bytes for part in parts),
        "stored_bytes": sum(part.stored_bytes for part in parts),
        "parts": len(parts),
        "sources_delivered": 1,
        "sources_known": 1,
        "sources_left": 1,
        "sources_failed": 1,
    }
    assert (report.read, report.delivered, report.rejected, report.filtered) == (5, 3, 1, 1)
    assert found["last_run_exit_code"] == report.exit_code == 1
    assert found["oldest_undelivered_source_timestamp_seconds"] == 1_500_000_000
    assert found["last_run_duration_seconds"] >= report.seconds


def test_every_metric_is_written_with_its_help_and_type(place: Place) -> None:
    """In the order of the table, once; per-run values are gauges, so none is a `_total`."""
    place.write("a.jsonl", b"<html>")
    place.run()
    said = [
        line.split(" ", 3)[1:] for line in place.file.read_text().splitlines() if line[0] == "#"
    ]
    each = [(("HELP", m.name, m.help), ("TYPE", m.name, "gauge")) for m in METRICS]
    assert [tuple(words) for words in said] == [row for pair in each for row in pair]
    assert not [name for name in EVERY if name.endswith("_total")]


def test_a_run_with_nothing_to_do_is_a_success_and_no_delivery(place: Place) -> None:
    place.write("a.jsonl", events("a"))
    place.run()
    first = place.read()
    place.run()
    second = place.read()
    kept = "last_delivery_timestamp_seconds"
    assert first[kept] == first["last_run_timestamp_seconds"] == second[kept]
    assert second["last_success_timestamp_seconds"] == second["last_run_timestamp_seconds"]
    assert second["last_run_timestamp_seconds"] > first["last_run_timestamp_seconds"]
    assert not any(of_run(second)[name] for name in ("events_read", "parts", "sources_delivered"))
    assert second["last_run_sources_known"] == 1


def test_a_failed_run_keeps_the_last_success(place: Place) -> None:
    place.write("a.jsonl", events("a"))
    place.run()
    good = place.read()
    place.write("b.jsonl", b"<html>")
    place.run()
    bad = place.read()
    names = [name.removeprefix("cefline_") for name in KEPT]
    assert [bad[name] for name in names] == [good[name] for name in names]
    assert (good["last_run_exit_code"], bad["last_run_exit_code"]) == (0, 1)
    assert "oldest_undelivered_source_timestamp_seconds" not in good
    place.run(sources=(str(place.root / "in" / "a.jsonl"),))
    assert place.read()[names[0]] > good[names[0]]


@pytest.mark.parametrize("error", [TryAgainError("gone"), OSError(errno.EIO, "broken")])
def test_events_of_a_source_that_fails_as_it_is_published_were_read(
    place: Place, staging_root: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Two of its parts are out, and none of them counts before it is delivered."""
    place.write("a.jsonl", events("a", "b", "c", "d") + b"no event\n")
    more: dict[str, Any] = {"part_size": 1, "max_rejects": MaxRejects(1, 0.0)}
    with monkeypatch.context() as patch:
        create = LocalStore.create

        def failing(store: LocalStore, key: str, *rest: Any, **also: Any) -> bool:  # noqa: ANN401 - passed on
            if "-000003.cef" in key:
                raise error
            return create(store, key, *rest, **also)

        patch.setattr(LocalStore, "create", failing)
        report = place.run(**more)
    found = of_run(place.read())
    assert report.exit_code == (75 if isinstance(error, TryAgainError) else 1)
    counted = [found[name] for name in ("events_read", "events_rejected", "events_delivered")]
    assert (counted, found["parts"], found["sources_failed"]) == ([5, 1, 0], 0, 1)
    assert any(staging_root.rglob("staged.json")) is (report.exit_code == 75)
    place.run(**more)
    found = of_run(place.read())
    assert (found["events_read"], found["events_delivered"], found["parts"]) == (5, 4, 4)


def test_what_never_was_is_zero(place: Place) -> None:
    """Else an alert on its age would have nothing to fire on."""
    place.write("b.jsonl", b"<html>")
    place.run()
    found = place.read()
    assert [found[name.removeprefix("cefline_")] for name in KEPT] == [0, 0]


def test_a_run_that_can_t_begin_has_an_exit_code_and_no_counts(place: Place) -> None:
    """Nothing was counted, so nothing is said to be zero."""
    place.write("a.jsonl", events("a"))
    with pytest.raises(CeflineError) as told:
        place.run(after="move")
    found = place.read()
    assert found["last_run_exit_code"] == told.value.exit_code
    assert of_run(found) == {}


def test_a_dry_run_writes_no_metrics(place: Place) -> None:
    place.write("a.jsonl", events("a"))
    assert place.run(dry_run=True).read == 1
    assert list(place.file.parent.iterdir()) == []


def test_publishing_what_workers_have_staged_writes_metrics(place: Place) -> None:
    """As one run of the command line would."""
    place.write("a.jsonl", events("a", "b"))
    given: dict[str, Any] = {"sources": (str(place.root / "in"),), "dest": str(place.root / "out")}
    config = Config(**given, metrics_file=str(place.file))
    cut = work.splits(config, [work.identify(config, piece) for piece in work.pieces(config)])
    assert not place.file.exists()
    work.publish(config, [work.convert(config, split) for split in cut])
    assert place.read()["last_run_events_delivered"] == 2


# How it is written.


def test_the_file_is_readable_by_all_and_nothing_is_left_beside_it(place: Place) -> None:
    """node_exporter runs as another user, whatever the umask of the run."""
    place.write("a.jsonl", events("a"))
    before = os.umask(0o077)
    try:
        place.run()
    finally:
        os.umask(before)
    assert stat.S_IMODE(place.file.stat().st_mode) == 0o644
    assert list(place.file.parent.iterdir()) == [place.file]


def test_a_reader_meets_whole_files_alone(tmp_path: Path) -> None:
    """Each is one of those that were written, and none but them ends in .prom."""
    path, contents = tmp_path / "a.prom", [bytes([n]) * (1 << 18) for n in (65, 66)]
    textfile.write(path, contents[0])
    done, wrong = threading.Event(), set[str]()

    def read() -> None:
        while not done.is_set():
            wrong.update(p.name for p in tmp_path.glob("*.prom") if p.read_bytes() not in contents)

    reader = threading.Thread(target=read)
    reader.start()
    for turn in range(100):
        textfile.write(path, contents[turn % 2])
    done.set()
    reader.join()
    assert wrong == set()


@pytest.mark.parametrize("kind", ["folder_is_missing", "folder", "no_rights"])
def test_what_can_t_be_written_changes_nothing_but_is_told(
    place: Place, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    """The events are delivered; monitoring must not stop that."""
    place.write("a.jsonl", events("a"))
    if kind == "folder_is_missing":
        place.file = place.root / "gone" / "cefline.prom"
    elif kind == "folder":
        place.file.mkdir()
    elif os.geteuid() == 0:
        place.file = Path("/proc/cefline.prom")  # root writes everywhere else
    else:
        place.file.parent.chmod(0o500)
    assert place.run().exit_code == 0
    (record,) = [r for r in caplog.records if "no metrics" in r.message]
    assert str(place.file) in record.message
    assert record.exc_info is None
    assert [p for p in place.root.rglob(".cefline.prom*") if p.is_file()] == []


DEST = 's3://b/"x"\\n\nz'
WHOLE = textfile.text(dict.fromkeys(EVERY, 1_700_000_000.0), DEST)
edits = st.lists(
    st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 30), st.binary(max_size=8)), max_size=6
)


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    """Of this destination alone, whatever its name."""
    (tmp_path / "a.prom").write_bytes(WHOLE)
    now = 1_700_000_001.0
    assert textfile.before(tmp_path / "a.prom", DEST, now) == dict.fromkeys(KEPT, 1_700_000_000.0)
    assert textfile.before(tmp_path / "a.prom", "s3://other", now) == {}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits)
def test_a_damaged_file_is_no_failure(tmp_path: Path, damage: list[tuple[int, int, bytes]]) -> None:
    """What is read of it are times that can be."""
    content = bytearray(WHOLE)
    for at, length, piece in damage:
        content[at : at + length] = piece
    (tmp_path / "a.prom").write_bytes(content)
    found = textfile.before(tmp_path / "a.prom", DEST, 1_700_000_001.0)
    assert set(found) <= set(KEPT)
    assert all(0 < value < 1_700_090_000 for value in found.values())


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-1", "0", "4e9", "x"])
def test_a_time_that_can_t_be_is_not_kept(tmp_path: Path, value: str) -> None:
    """A success in the far future would keep an alert silent for as long."""
    path = tmp_path / "a.prom"
    path.write_text(f'{KEPT[0]}{{dest="d"}} {value}\n')
    assert textfile.before(path, "d", 1_700_000_000.0) == {}


def test_a_file_that_is_none_is_not_waited_for(tmp_path: Path) -> None:
    """Reading a pipe would never end."""
    os.mkfifo(tmp_path / "a.prom")
    assert textfile.before(tmp_path / "a.prom", "d", 1.0) == {}
    assert textfile.before(tmp_path / "gone.prom", "d", 1.0) == {}
    assert textfile.before(tmp_path, "d", 1.0) == {}


def test_a_label_is_masked_and_bounded() -> None:
    """Long ones stay apart."""
    assert label("s3://user:secret@b/x") == "s3://***@b/x"
    assert label("a\nb") == "a\\nb"
    long = [label(f"s3://b/{'x' * 500}{n}") for n in range(2)]
    assert len(set(long)) == 2
    assert {len(one) for one in long} == {200}


@pytest.mark.parametrize(
    "given", ["", "cefline.txt", ".prom", "s3://b/a.prom", "a/.prom", "a\0b.prom"]
)
def test_a_file_that_is_not_collected_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match=r"expected (text|a local file that ends in \.prom)"):
        PARSERS["metrics_file"](given)


def test_a_name_that_no_file_has_is_a_problem_of_the_config(
    place: Place, command: Callable[..., Result]
) -> None:
    """TOML can say it; it is found before anything is delivered."""
    place.write("a.jsonl", events("a"))
    config = place.root / "cefline.toml"
    config.write_text('metrics_file = "a\\u0000b.prom"\n')
    arguments = [str(place.root / "in"), str(place.root / "out"), "--settle", "0"]
    done = command("export", *arguments, "--config", str(config))
    assert (done.code, "Traceback" in done.err) == (78, False)
    assert "metrics_file" in done.err
    assert not (place.root / "out").exists()


# Where it comes from, and what it costs.


def test_tries_of_requests_to_s3_are_counted(place: Place, s3: S3, monkeypatch: Any) -> None:  # noqa: ANN401 - pytest's
    """As many as the server's failures: each of these is answered by another try."""
    for name, value in s3.env.items():
        monkeypatch.setenv(name, value)
    seen = {"PUT": 0, "GET": 0}

    def choose(method: str) -> tuple[Fault, float]:
        seen[method] = seen.get(method, 0) + 1
        return ("503" if seen[method] in {2, 3} else "none"), 0.0

    place.write("a.jsonl", events("a"))
    with Proxy(s3.endpoint, choose) as proxy:
        endpoint = S3Settings(endpoint=proxy.endpoint)
        assert place.run(dest=f"{s3.url}/out", s3=endpoint).exit_code == 0
        failed = sum(request.fault == "503" for request in proxy.log)
    assert failed == 4
    assert place.read()["last_run_s3_retries"] == 4


def test_the_flag_names_the_file(place: Place, command: Callable[..., Result]) -> None:
    source = place.write("a.jsonl", events("a"))
    out, file = str(place.root / "out"), str(place.file)
    assert command("export", str(source), out, "--metrics-file", file).code == 0
    assert place.read()["last_run_events_delivered"] == 1
    (dest,) = {match["dest"] for match in SAMPLE.finditer(place.file.read_text())}
    assert dest == out


def test_a_run_that_is_terminated_says_so(place: Place) -> None:
    """Its exit code is in the file, whatever it was about."""
    place.write("a.jsonl", events(*"abcdefgh"))
    out = place.root / "out"
    command = [sys.executable, "-m", "cefline", "export", str(place.root / "in"), str(out)]
    command += ["--part-size=100", "--pace=60s", "--metrics-file", str(place.file), "--quiet"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while not list(out.rglob("*.cef.gz")):
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=30)
    assert (process.returncode, "Traceback" in err) == (143, False)
    assert place.read()["last_run_exit_code"] == 143
    assert place.read()["last_success_timestamp_seconds"] == 0


def test_nothing_is_imported_that_is_not_needed(place: Place) -> None:
    """A run without the file imports no prometheus_client; one with it nothing that converts."""
    place.write("a.jsonl", events("a"))
    place.run()
    code = (
        "import sys\n"
        "from cefline.config import Config\n"
        "from cefline.job import export\n"
        "given = dict(sources=(sys.argv[1],), dest=sys.argv[2])\n"
        "export(Config(**given, metrics_file=sys.argv[3] or None))\n"
        "print([n for n in ('polars', 'pyarrow', 's3fs', 'prometheus_client', 'opentelemetry')"
        " if n in sys.modules])\n"
    )
    paths = [str(place.root / "in"), str(place.root / "out")]
    for file, told in (("", []), (str(place.file), ["prometheus_client"])):
        command = [sys.executable, "-c", code, *paths, file]
        run = subprocess.run(command, check=True, capture_output=True, text=True)
        assert run.stdout == f"{told}\n"


@pytest.mark.slow
def test_promtool_takes_the_file(place: Place) -> None:
    """Prometheus' own check of form and of naming has nothing to say."""
    place.write("a.jsonl", b"<html>")
    place.run(dest=str(place.root / 'o"u\\t'))
    assert promtool.run("check", "metrics", text=place.file.read_text()) == ""


# The page.


UNITS = {"s": "seconds", "By": "bytes", "": "code"}


def test_the_page_explains_every_metric() -> None:
    table = re.split(r"<!-- /?metrics -->\n", PAGE)[1].splitlines()[2:]
    rows = [(m.name, UNITS.get(m.unit, m.unit.strip("{}")), m.help) for m in METRICS]
    assert table == [f"| `{name}` | {unit} | {text} |" for name, unit, text in rows]


def test_alerts_name_metrics_that_are_there() -> None:
    named = set(re.findall(r"\bcefline_\w+", RULES.read_text(encoding="utf-8")))
    assert len(named) == 6
    assert named <= set(EVERY)


def series(name: str, values: str) -> dict[str, str]:
    return {"series": f'cefline_{name}{{dest="d"}}', "values": values}


HEALTHY = {
    "last_run_timestamp_seconds": "0+300x400",
    "last_delivery_timestamp_seconds": "0+300x400",
    "last_run_exit_code": "0x400",
    "last_run_events_rejected": "0x400",
    "last_run_values_rejected": "0x400",
}
"""A run each five minutes, for a day and nine hours."""

SICK = {
    "CeflineNoDelivery": {"last_delivery_timestamp_seconds": "0x400"},
    "CeflineFailing": {"last_run_exit_code": "0x380 75x19"},
    "CeflineNotRunning": {"last_run_timestamp_seconds": "0+300x300 90000x99"},
    "CeflineNoMetrics": dict.fromkeys(HEALTHY, "0x10"),
    "CeflineRejects": {"last_run_values_rejected": "0x394 3 0x4"},
    "CeflineSourceWaits": {"oldest_undelivered_source_timestamp_seconds": "60x400"},
}
"""By the alert that is to fire at the end of it, alone."""


def scenario(changed: dict[str, str], firing: str) -> dict[str, Any]:
    """Return a test of rules, as promtool has it."""
    expected = [{"labels": f'{{alertname="{firing}"}}', "value": 1}] if firing else []
    asked = 'count by (alertname) (ALERTS{alertstate="firing"})'
    return {
        "interval": "5m",
        "input_series": [series(*pair) for pair in {**HEALTHY, **changed}.items()],
        "promql_expr_test": [{"expr": asked, "eval_time": "2000m", "exp_samples": expected}],
    }


@pytest.mark.slow
def test_alerts_fire_when_they_should(tmp_path: Path) -> None:
    """Evaluated by Prometheus' own engine: each alone, and none where all is well."""
    tests = [scenario({}, ""), *(scenario(changed, name) for name, changed in SICK.items())]
    file = tmp_path / "test.yml"
    file.write_text(json.dumps({"rule_files": [str(RULES)], "tests": tests}))  # JSON is YAML
    assert "SUCCESS" in promtool.run("test", "rules", str(file))
    assert f"SUCCESS: {len(SICK)} rules" in promtool.run("check", "rules", str(RULES))
