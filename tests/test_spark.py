"""On real Spark: the same parts as by one machine, whatever becomes of workers."""

from __future__ import annotations

import json
import os
import runpy
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cefline import __version__, work
from cefline.config import Config
from cefline.errors import ConfigError
from cefline.job import export
from cefline.spark import export as spread_export
from cefline.spark.session import of_spark
from cefline.spark.spread import task
from tests import sample, spark
from tests.test_verify import Site, events, on_s3, site

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.commands import Result
    from tests.seaweed import S3

__all__ = ["on_s3", "site"]

MIB = 1 << 20

versions = pytest.mark.parametrize("version", spark.VERSIONS)


def run(
    version: str, folder: Path, command: list[str], conf: dict[str, str], env: dict[str, str]
) -> subprocess.Popen[str]:
    """Start a command with a version of Spark, whose own settings are in a file."""
    (folder / "conf").mkdir()
    (folder / "log").mkdir()
    conf = {
        "spark.master": "local[2,4]",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.local.dir": str(folder / "local"),
        "spark.eventLog.enabled": "true",
        "spark.eventLog.compress": "false",
        "spark.eventLog.rolling.enabled": "false",
        "spark.eventLog.dir": (folder / "log").as_uri(),
    } | conf
    lines = "".join(f"{name} {value}\n" for name, value in conf.items())
    (folder / "conf" / "spark-defaults.conf").write_text(lines, encoding="utf-8")
    return subprocess.Popen(
        command,
        env={**os.environ, **spark.environment(version), **env, "SPARK_CONF_DIR": f"{folder}/conf"},
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    try:
        out, err = process.communicate(timeout=300)
    finally:
        process.kill()
    return process.returncode, out, err


def logged(folder: Path) -> tuple[str, list[dict[str, Any]]]:
    """Return the event log that Spark left: as text, and its ends of tasks."""
    (path,) = (path for path in (folder / "log").iterdir() if not path.name.startswith("."))
    text = path.read_text(encoding="utf-8")
    entries = map(json.loads, text.splitlines())
    return text, [entry for entry in entries if entry["Event"] == "SparkListenerTaskEnd"]


def timeline(path: Path, times: int) -> Path:
    """Write the sample timeline many times over, in row groups of 1,500 events."""
    table = pa.concat_tables([pq.read_table(sample.DATA / "sample.parquet")] * times)
    inodes = pa.array([f"inode-{n}" for n in range(table.num_rows)])
    place = table.column_names.index("inode")
    table = table.set_column(place, "inode", inodes)
    pq.write_table(table, path, row_group_size=1500, compression="none", use_dictionary=False)
    return path


def parts(s3: S3, below: str) -> list[tuple[str, bytes]]:
    """Return the parts under a destination: their folders and stored bytes, as their keys rise."""
    keys = list(s3.sizes(f"{s3.prefix}/{below}/"))
    return [(key.split("/")[-2], s3.get(key).body) for key in keys]


def workers(pid: int) -> Iterator[int]:
    """Yield the Python workers below a process that are converting a split."""
    below = {pid}
    for _ in range(8):  # driver, Java, executors, their daemons, workers
        below |= {int(p.name) for p in Path("/proc").glob("[0-9]*") if parent(p) in below}
    for one in below - {pid}:
        with suppress(OSError):
            held = [file.readlink() for file in Path(f"/proc/{one}/fd").iterdir()]
            if any("-split-" in str(path) for path in held):
                yield one


def parent(process: Path) -> int:
    with suppress(OSError, ValueError):
        return int((process / "stat").read_text("utf-8").rpartition(")")[2].split()[1])
    return 0


@pytest.mark.slow
@versions
def test_two_workers_deliver_what_one_machine_does(
    version: str, s3: S3, tmp_path: Path, *, soak: bool
) -> None:
    """One is killed in the middle of a split, others are run twice: each event goes out once."""
    real = Path(os.environ.get("CEFLINE_DATA", "")) / "real.parquet"
    path = real if soak and real.exists() else timeline(tmp_path / "a.parquet", 200)
    source = s3.put("in/a.parquet", path.read_bytes())
    settings: dict[str, Any] = {"split_size": path.stat().st_size // 10, "part_size": 4 * MIB}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in s3.env.items():
            patch.setenv(name, value)
        (alone,) = export(Config(sources=(source,), dest=f"{s3.url}/one", **settings)).sources
    assert alone.error is None
    options = [f"--split-size={settings['split_size']}", f"--part-size={settings['part_size']}"]
    arguments = [
        sys.executable,
        "-m",
        "cefline",
        "export",
        "--on",
        "spark",
        "--json",
        *options,
        source,
    ]
    conf = {
        "spark.master": "local-cluster[2,1,1024]",
        "spark.speculation": "true",
        "spark.speculation.multiplier": "1.01",
        "spark.speculation.quantile": "0.1",
    }
    process = run(version, tmp_path, [*arguments, f"{s3.url}/two"], conf, s3.env)
    killed = kill_one(process, s3)
    code, out, err = ended(process)
    assert code == 0, err
    (report,) = json.loads(out.splitlines()[-1])["sources"]
    assert report["events_delivered"] == alone.delivered
    assert err.count('"event": "run"') == 1
    assert parts(s3, "two") == parts(s3, "one")
    text, tasks = logged(tmp_path)
    lost = [task for task in tasks if task["Task End Reason"]["Reason"] != "Success"]
    assert killed
    assert any("Python worker exited" in json.dumps(task) for task in lost), lost
    assert s3.secret not in text + err
    assert "inode-1" not in text + err
    again = run(version, folder(tmp_path, "again"), [*arguments, f"{s3.url}/two"], {}, s3.env)
    code, out, err = ended(again)
    assert (code, json.loads(out)["sources"][0]["outcome"]) == (0, "known")
    assert "Spark" not in err
    assert len(parts(s3, "two")) == len(parts(s3, "one"))


def folder(above: Path, name: str) -> Path:
    (above / name).mkdir()
    return above / name


def kill_one(process: subprocess.Popen[str], s3: S3) -> int:
    """Kill a worker that converts a split, when another split is staged already."""
    until = time.monotonic() + 240
    while process.poll() is None and time.monotonic() < until:
        if any(key.endswith(".json") for key in s3.sizes(f"{s3.prefix}/_cefline/two/staged/")):
            for pid in workers(process.pid):
                os.kill(pid, signal.SIGKILL)
                return pid
        time.sleep(0.02)
    return 0


_DRIVER = """
import json, sys
from pyspark import TaskContext
from pyspark.sql import SparkSession
from cefline.spark import export
from cefline.spark.spread import once

def task(item):
    return json.dumps({"item": {**json.loads(item), "task": TaskContext.get().partitionId()}})

session = SparkSession.builder.getOrCreate()
done = once(session, task, [{"n": n} for n in range(37)])
print(json.dumps([one.item for one in done]))
report = export(session, sys.argv[1:-1], sys.argv[-1], split_size=20_000, part_size=9000)
print(json.dumps(report.as_json()))
"""


@pytest.mark.slow
@versions
def test_a_session_delivers_each_item_in_a_task_of_its_own(
    version: str, site: Site, tmp_path: Path
) -> None:
    """From a Python program; a source that fails stops no other, and is told as by one machine."""
    good = site.write("a.jsonl", (sample.DATA / "sample.jsonl").read_bytes())
    bad = site.write("b.jsonl", b'{"msg": 1}\n{')
    sources = (good, bad, f"{site.root}/missing")
    arguments = [sys.executable, "-c", _DRIVER, *sources, site.dest]
    code, out, err = ended(run(version, tmp_path, arguments, {}, {}))
    assert code == 0, err
    items, report = map(json.loads, out.splitlines()[-2:])
    assert items == [{"n": n, "task": n} for n in range(37)]
    one = Config(sources=sources, dest=f"{site.top}/one", split_size=20_000, part_size=9000)
    alone = export(one).as_json()
    assert by_source(report) == by_source(alone)
    assert report["exit_code"] == alone["exit_code"] == 1
    assert [site.read(key) for key in site.objects()] == [
        site.read(key, "one") for key in site.objects("one")
    ]


@pytest.mark.slow
def test_a_run_ends_at_once_when_it_is_terminated(site: Site, tmp_path: Path) -> None:
    """The next one delivers all, and leaves nothing staged."""
    source = str(timeline(tmp_path / "a.parquet", 200))
    options = ["--split-size=2MiB", f"--part-size={4 * MIB}", "--json"]
    command = [sys.executable, "-m", "cefline", "export", "--on", "spark", *options, source]
    process = run("3.5", folder(tmp_path, "a"), [*command, site.dest], {}, {})
    until = time.monotonic() + 240
    while not staged(site) and process.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    process.terminate()
    began = time.monotonic()
    code, out, err = ended(process)
    assert (code, out) == (143, ""), err
    assert time.monotonic() - began < 10
    assert staged(site)
    code, out, err = ended(run("3.5", folder(tmp_path, "b"), [*command, site.dest], {}, {}))
    assert code == 0, err
    assert json.loads(out)["events_delivered"] == 200 * sample.EVENTS
    assert staged(site) == []


def staged(site: Site) -> list[str]:
    """Return the splits that are staged."""
    keys = site.objects("_cefline/out/staged")
    return [key for key in keys if key.endswith(".json")]


@pytest.mark.slow
def test_the_job_file_delivers_with_spark_submit(site: Site, tmp_path: Path) -> None:
    source = site.write("a.jsonl", (sample.DATA / "sample.jsonl").read_bytes())
    submit = f"{spark.environment('3.5')['PYTHONPATH']}/pyspark/bin/spark-submit"
    job = str(spark.ROOT / "docs" / "spark" / "cefline_job.py")
    arguments = [
        "--sources",
        source,
        "--dest",
        site.dest,
        "--set",
        "split_size=20KiB",
        "--JOB_ID=1",
    ]
    code, out, err = ended(run("3.5", tmp_path, [submit, job, *arguments], {}, {}))
    assert code == 0, err
    assert json.loads(out.splitlines()[-1])["events_delivered"] == sample.EVENTS
    assert "ignored: --JOB_ID=1" in out  # spark-submit joins the two
    wrong = ["--sources", source, "--dest", site.dest, "--set", "split_sise=20KiB"]
    again = run("3.5", folder(tmp_path, "b"), [submit, job, *wrong], {}, {})
    code, out, err = ended(again)
    assert (code, "did you mean split_size?" in out) == (78, True)


def by_source(report: dict[str, Any]) -> dict[str, tuple[Any, ...]]:
    names = ("outcome", "error", "events_delivered", "rejects", "counts")
    return {one["url"]: tuple(one[name] for name in names) for one in report["sources"]}


@pytest.mark.slow
def test_what_workers_lack_is_said_as_any_error(s3: S3, tmp_path: Path) -> None:
    """Credentials, or cefline itself: no trace of Java or Python, and nothing is delivered."""
    source = s3.put("in/a.jsonl", events("a"))
    arguments = [
        sys.executable,
        "-m",
        "cefline",
        "export",
        "--on",
        "spark",
        "--quiet",
        source,
        f"{s3.url}/out",
    ]
    conf = {
        "spark.executorEnv.AWS_SECRET_ACCESS_KEY": "wrong",
        "spark.master": "local-cluster[1,1,1024]",
    }
    process = run("3.5", folder(tmp_path, "a"), arguments, conf, s3.env)
    code, out, err = ended(process)
    assert (code, out) == (78, ""), err
    assert "(on worker " in err
    assert "Traceback" not in err
    bare = {**s3.env, "PYSPARK_PYTHON": str(Path(sys.base_prefix) / "bin" / "python3")}
    code, out, err = ended(run("3.5", folder(tmp_path, "b"), arguments, {}, bare))
    assert (code, out) == (78, ""), err
    assert "No module named 'cefline'" in err.splitlines()[-1]
    assert "docs/spark.md" in err.splitlines()[-1]
    assert not parts(s3, "out")


def test_without_pyspark_it_says_what_to_install(
    command: Callable[..., Result], site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run with nothing to do does not need it."""
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)
    source = site.write("a.jsonl", events("a"))
    result = command("export", "--on", "spark", source, site.dest)
    assert result.code == 78
    assert "pip install 'cefline[spark]'" in result.err
    assert command("export", source, site.dest).code == 0
    again = command("export", "--on", "spark", "--json", source, site.dest)
    assert (again.code, again.lines[0]["sources"][0]["outcome"]) == (0, "known")
    result = command("export", "--on", "spark", "--dry-run", source, site.dest)
    assert (result.code, "leave out --on spark" in result.err) == (2, True)


def test_a_task_tells_errors_and_hides_what_events_hold(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spark keeps the text of what a worker raises."""
    source = site.write("a.jsonl", events("a"))
    config = Config(sources=(source,), dest=site.dest)
    (piece,) = (json.dumps(piece) for piece in work.pieces(config))
    worked = json.loads(task("identify", config, __version__, piece))
    assert worked["item"]["digests"]
    told = json.loads(task("identify", config, "0.0.0", piece))["failed"]
    assert (told["exit_code"], "0.0.0" in told["message"]) == (78, True)
    Path(source).unlink()
    told = json.loads(task("identify", config, __version__, piece))["failed"]
    assert "a.jsonl: No such file" in told["message"]

    def faulty(*_: object) -> None:
        raise ValueError("of an event")

    monkeypatch.setattr(work, "identify", faulty)
    with pytest.raises(RuntimeError, match=r"ValueError at test_spark.py:\d+") as caught:
        task("identify", config, __version__, piece)
    assert caught.value.__context__ is None
    error = of_spark(f"org.apache.spark: {caught.value!r}", "Spark gave up")
    assert (error.exit_code, "ValueError at test_spark.py" in str(error)) == (1, True)


def configured(monkeypatch: pytest.MonkeyPatch, **settings: Any) -> Config:  # noqa: ANN401 - as export has them
    """Return the config that settings of `cefline.spark.export` come to."""
    configs: list[Config] = []
    monkeypatch.setattr("cefline.spark.run", lambda config, _: configs.append(config))
    spread_export(cast("Any", None), "s3://b/in/", "s3://b/out", **settings)
    return configs[0]


def test_settings_are_those_of_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables, full names, text, numbers, and lists as tuples, too."""
    config = configured(
        monkeypatch,
        s3={"region": "eu-west-1", "connect_timeout": 3},
        partition_by=("day",),
        allowed_sources=("s3://b/in/",),
        hive=True,
        severity={"1": 10},
        **{"header.vendor": "Acme", "part_size": "1MiB"},
    )
    assert (config.s3.region, config.s3.connect_timeout, config.header.vendor) == (
        "eu-west-1",
        3.0,
        "Acme",
    )
    assert (config.partition_by, config.allowed_sources) == (("day",), ("s3://b/in/",))
    assert (config.hive, config.severity, config.part_size) == (True, ((1, 10),), 1 << 20)
    assert (config.sources, config.dest) == (("s3://b/in/",), "s3://b/out")


@pytest.mark.parametrize(
    ("settings", "name"),
    [({"s3": {"regio": "x"}}, "s3.regio"), ({"part_size": 0}, "part_size"), ({"s3": 1}, "s3")],
)
def test_a_wrong_setting_is_told_by_its_name(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], name: str
) -> None:
    """No flag is named: there was none."""
    with pytest.raises(ConfigError, match=rf"\b{name}\b") as caught:
        configured(monkeypatch, **settings)
    assert "--" not in caught.value.message


@pytest.mark.parametrize("given", ["dest=s3://b/x", "sources=a", "hive=true spark=x", "hive"])
def test_the_job_s_settings_are_settings_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], given: str
) -> None:
    """The call is wrong, and is not carried out."""
    module = ModuleType("pyspark.sql")
    setattr(module, "SparkSession", None)  # noqa: B010 - nothing of it is used
    monkeypatch.setitem(sys.modules, "pyspark", ModuleType("pyspark"))
    monkeypatch.setitem(sys.modules, "pyspark.sql", module)
    job = str(spark.ROOT / "docs" / "spark" / "cefline_job.py")
    monkeypatch.setattr(sys, "argv", [job, "--sources", "a", "--dest", "b", "--set", given])
    with pytest.raises(SystemExit) as exited:
        runpy.run_path(job, run_name="__main__")
    assert exited.value.code == 2
    assert "is no NAME=VALUE of a setting; --sources and --dest" in capsys.readouterr().err
