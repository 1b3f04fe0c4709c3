"""The command line: results on standard output, the rest on standard error, and exit codes."""

from __future__ import annotations

import dataclasses
import errno
import gzip
import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cefline import cli
from cefline.errors import worst
from tests import sample, seaweed
from tests.parts import KilledError, kill_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tests.seaweed import S3

JSONL, PARQUET = sample.DATA / "sample.jsonl", sample.DATA / "sample.parquet"
SAMPLE_LINE = (
    b"CEF:0|CadoSecurity|CadoResponse|1.0.2|0|Content Modification Time|10|alarm=True evidence_id=2"
    b" evidence_name=aws_compromise.zip macb=M... source=FILE eventTime=1595194940"
    b" filePath=/tmp/file.txt eventId=Q5FBqHwBX9dvp1T5IsHT"
    b" msg=Malicious File Detected: cryptomining_malware_wannamine\n"
)
COMMAND = [sys.executable, "-m", "cefline"]


@dataclass(frozen=True, slots=True)
class Result:
    """What a call gave."""

    code: int
    out: bytes
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """Return the one line of JSON on standard output."""
        assert self.out.count(b"\n") == 1
        assert self.out.endswith(b"\n")
        report: dict[str, Any] = json.loads(self.out)
        return report


@pytest.fixture
def call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> Iterator[Callable[..., Result]]:
    """Return what calls the command in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("POLARS_MAX_THREADS", "1")
    handler = signal.getsignal(signal.SIGTERM)

    def called(*arguments: object, env: Mapping[str, str] | None = None) -> Result:
        capsysbinary.readouterr()
        with pytest.MonkeyPatch.context() as patch:
            for name, value in (env or {}).items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["cefline", *map(str, arguments)])
            with pytest.raises(SystemExit) as exited:
                cli.main()
        out, err = capsysbinary.readouterr()
        return Result(int(exited.value.code or 0), out, err.decode())

    yield called
    signal.signal(signal.SIGTERM, handler)


def files(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def delivered(folder: Path) -> list[bytes]:
    """Return the lines of all parts, in the order of their keys."""
    return [
        line
        for name in files(folder)
        for line in gzip.decompress((folder / name).read_bytes()).splitlines(keepends=True)
    ]


def events(count: int, **values: object) -> bytes:
    rows = ({"msg": f"event {n}", "evidence_id": 1 + n % 2, **values} for n in range(count))
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


# What a run gives.


@pytest.mark.parametrize("source", [JSONL, PARQUET], ids=lambda path: path.suffix)
def test_preview_prints_the_standard_s_line(call: Callable[..., Result], source: Path) -> None:
    """The sample line of the standard, byte for byte, and nothing else on standard output."""
    result = call("preview", source, "-n", 1)
    assert (result.code, result.out, result.err) == (0, SAMPLE_LINE, "")


def test_preview_prints_as_many_lines_as_asked_for(
    call: Callable[..., Result], tmp_path: Path
) -> None:
    """Over batches and sources, raw, and it writes nothing."""
    for name in "ab":
        write(tmp_path / f"{name}.jsonl", events(3))
    lines = call("preview", tmp_path, "-n", 5).out.splitlines()
    assert [line.rsplit(b"=", 1)[1] for line in lines] == [b"event %d" % n for n in (0, 1, 2, 0, 1)]
    assert len(call("preview", JSONL).out.splitlines()) == 10
    assert len(call("preview", JSONL, "-n", 5000).out.splitlines()) == 300
    assert files(tmp_path) == ["a.jsonl", "b.jsonl"]


def test_export_delivers_to_a_folder(call: Callable[..., Result], tmp_path: Path) -> None:
    """Under the destination there is nothing but parts; the state is beside it."""
    result = call("export", JSONL, "out", "--json")
    assert result.code == 0
    keys = files(tmp_path / "out")
    pattern = r"\d{4}-\d\d-\d\d/\d{8}T\d{6}Z-00000001/evidence_id-\d/00000001-00000\d\.cef\.gz"
    assert all(re.fullmatch(pattern, key) for key in keys)
    assert len(keys) == 3
    assert [p["url"] for p in result.json["parts"]] == [str(tmp_path / "out" / k) for k in keys]
    delivery = result.json["sources"][0]["delivery"]
    state = [name for name in files(tmp_path / "_cefline/out") if "rejects" not in name]
    (seen,) = [name for name in state if name.startswith("seen/")]
    assert re.fullmatch(
        rf"seen/[0-9a-f]{{32}}-{delivery}-done-1_300_0_3_\d+-\d{{8}}T\d{{6}}Z", seen
    )
    assert state == [
        *(f"evidence/{number}/{delivery}" for number in (1, 2, 3)),
        f"manifests/{delivery}.json",
        f"plans/{delivery}-01.json",
        *(f"progress/00000001/00000{number}" for number in (1, 2, 3)),
        f"reports/{delivery}.html",
        f"reports/{delivery}.json",
        seen,
        "state.json",
        "turns/00000001.closed",
        "turns/00000001.json",
    ]
    assert sorted(delivered(tmp_path / "out")) == sorted(
        call("preview", JSONL, "-n", 300).out.splitlines(keepends=True)
    )


def test_export_delivers_to_s3(call: Callable[..., Result], tmp_path: Path, s3: S3) -> None:
    """The same parts as in a folder, as gzip without a Content-Encoding, with their digests."""
    there = call("export", PARQUET, f"{s3.url}/siem", "--json", env=s3.env)
    here = call("export", PARQUET, "out", "--json")
    assert (there.code, here.code) == (0, 0)
    keys = [key for key in s3.sizes() if key.startswith(f"{s3.prefix}/siem/")]
    assert [f"s3://{s3.bucket}/{key}" for key in keys] == [p["url"] for p in there.json["parts"]]
    assert [s3.get(key).body for key in keys] == [
        (tmp_path / "out" / name).read_bytes() for name in files(tmp_path / "out")
    ]
    for key, part in zip(keys, there.json["parts"], strict=True):
        stored = s3.get(key)
        assert (stored.content_type, stored.content_encoding) == ("application/x-gzip", "")
        assert stored.metadata["cefline-events"] == str(part["events"])
        assert stored.metadata["cefline-turn"] == "1"
    state = {key.removeprefix(f"{s3.prefix}/").split("/")[0] for key in s3.sizes()}
    assert state == {"siem", "_cefline"}


def test_sources_on_s3_give_what_local_ones_give(
    call: Callable[..., Result], tmp_path: Path, s3: S3
) -> None:
    """As a file, a prefix or a glob: the same lines and the same deliveries."""
    for path in (JSONL, PARQUET):
        s3.put(f"in/{path.name}", path.read_bytes())
    local = call("export", sample.DATA, "local", "--json").json
    for number, name in enumerate(("in", "in/*.*", "in/sample.jsonl in/sample.parquet")):
        sources = [f"{s3.url}/{one}" for one in name.split()]
        remote = call("export", *sources, f"dest{number}", "--json", env=s3.env).json
        assert delivered(tmp_path / f"dest{number}") == delivered(tmp_path / "local")
        for ours, theirs in zip(local["sources"], remote["sources"], strict=True):
            named = {"url": "", "reject_objects": []}  # which have the name of the source
            assert ours | named == theirs | named


def test_both_forms_of_the_sample_give_the_same_lines(
    call: Callable[..., Result], tmp_path: Path
) -> None:
    """Where an event comes from does not show in its line."""
    call("export", JSONL, "json", "--quiet")
    call("export", PARQUET, "parquet", "--quiet")
    assert delivered(tmp_path / "json") == delivered(tmp_path / "parquet")


@pytest.mark.parametrize(
    ("options", "folder", "suffix"),
    [
        (["--partition-by", "none"], "", ".cef.gz"),
        (
            ["--partition-by", "evidence_id,day", "--hive"],
            "evidence_id=2/day=2020-07-19",
            ".cef.gz",
        ),
        (["--compression", "zstd"], "evidence_id-2", ".cef.zst"),
        (["--compression", "none"], "evidence_id-2", ".cef"),
        (["--part-size", "4KiB"], "evidence_id-2", ".cef.gz"),
        (["--compression-level", "0"], "evidence_id-2", ".cef.gz"),
    ],
    ids=lambda value: "-".join(value).strip("-") if isinstance(value, list) else "",
)
def test_options_decide_on_the_parts(
    call: Callable[..., Result], tmp_path: Path, options: list[str], folder: str, suffix: str
) -> None:
    """Partition, compression and size show in key and content; the events are all there."""
    report = call("export", JSONL, "out", "--json", *options).json
    names = files(tmp_path / "out")
    assert len(names) == len(report["parts"])
    assert all(name.endswith(suffix) for name in names)
    assert any(name.split("/", 2)[2].rpartition("/")[0] == folder for name in names)
    assert sum(part["events"] for part in report["parts"]) == 300
    if "--part-size" in options:
        assert all(p["text_bytes"] <= 4096 or p["events"] == 1 for p in report["parts"])


def test_the_report_has_the_shape_that_was_agreed(call: Callable[..., Result]) -> None:
    """One line of JSON: sources, counts, parts and seconds."""
    report = call("export", JSONL, "out", "--json").json
    assert list(report)[:6] == [
        "sources",
        "events_read",
        "events_delivered",
        "events_rejected",
        "parts",
        "seconds",
    ]
    assert (report["events_read"], report["events_delivered"]) == (300, 300)
    assert report["events_rejected"] == 0
    assert isinstance(report["seconds"], float)
    (source,) = report["sources"]
    assert source["url"] == str(JSONL)
    assert source["outcome"] == "delivered"
    for part in report["parts"]:
        assert list(part) == ["url", "events", "text_bytes", "stored_bytes"]
        body = Path(part["url"]).read_bytes()
        text = gzip.decompress(body)
        assert (part["stored_bytes"], part["text_bytes"]) == (len(body), len(text))
        assert part["events"] == text.count(b"\n")


@pytest.mark.parametrize("form", [[], ["--log-format", "text"], ["--log-format", "json"]])
@pytest.mark.parametrize("quiet", [False, True])
def test_logs_go_to_standard_error(tmp_path: Path, form: list[str], *, quiet: bool) -> None:
    """Standard output carries the result alone; with --quiet there is no log either."""
    command = [*COMMAND, "export", str(JSONL), "out", "--json", *form, *["--quiet"] * quiet]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, text=True)
    assert done.returncode == 0
    assert json.loads(done.stdout)["events_read"] == 300
    if quiet:
        assert done.stderr == ""
    elif "text" in form:
        assert re.match(r"\d{4}-\d\d-\d\dT[\d:]{8}\.\d{3}Z INFO ", done.stderr)
    else:
        assert {json.loads(line)["level"] for line in done.stderr.splitlines()} == {"INFO"}


def test_the_summary_is_for_people(call: Callable[..., Result]) -> None:
    """Counts, sizes and what was replaced; nothing with --quiet."""
    result = call("export", JSONL, "out")
    assert b"300 events read, 300 delivered, 0 rejected\n3 parts, " in result.out
    assert call("export", JSONL, "other", "--quiet").out == b""


def test_a_second_run_delivers_nothing(call: Callable[..., Result], tmp_path: Path) -> None:
    """The same bytes are known, under another name too; that is no error."""
    call("export", JSONL, "out")
    before = {name: (tmp_path / name).stat().st_mtime_ns for name in files(tmp_path)}
    write(tmp_path / "renamed.json", JSONL.read_bytes())
    result = call("export", JSONL, "renamed.json", "out", "--json")
    assert result.code == 0
    assert [s["outcome"] for s in result.json["sources"]] == ["known", "known"]
    assert (result.json["events_delivered"], result.json["parts"]) == (0, [])
    after = {name: (tmp_path / name).stat().st_mtime_ns for name in files(tmp_path)}
    assert before.items() <= after.items()
    new = sorted(after.keys() - before.keys())
    assert [re.sub(r"[0-9a-f]{32}", "x", name) for name in new] == [
        "_cefline/out/seen/x-x-known-0",  # so that it need not be read again
        "renamed.json",
    ]
    assert result.json["sources"][1]["notes"] == [f"the same bytes were delivered as {JSONL}"]
    assert b"delivered before" in call("export", JSONL, "out").out


@pytest.mark.parametrize("remote", [False, True])
def test_a_dry_run_writes_nothing(
    call: Callable[..., Result], tmp_path: Path, s3: S3, *, remote: bool
) -> None:
    """Neither parts nor state nor folders, though everything was converted; no rights to write."""
    reader = dataclasses.replace(s3, key=seaweed.READER.key, secret=seaweed.READER.secret)
    dest = f"{s3.url}/siem" if remote else "out"
    result = call("export", JSONL, dest, "--dry-run", "--json", env=reader.env)
    assert result.code == 0
    assert result.json["events_read"] == 300
    assert result.json["sources"][0]["outcome"] == "converted"
    assert sum(part["events"] for part in result.json["parts"]) == 300
    assert list(tmp_path.iterdir()) == []
    assert s3.sizes() == {}


def test_a_dry_run_delivers_nothing_in_its_report(call: Callable[..., Result]) -> None:
    """Who reads the report must not take it for a delivery."""
    assert call("export", JSONL, "out", "--dry-run", "--json").json["events_delivered"] == 0


def test_a_dry_run_of_a_bad_source_ends_as_the_run_would(
    call: Callable[..., Result], tmp_path: Path
) -> None:
    """Exit code 3, and still nothing is written."""
    write(tmp_path / "bad.jsonl", b"{}\nnonsense\n" * 20)
    assert call("export", "bad.jsonl", "out", "--dry-run").code == 3
    assert files(tmp_path) == ["bad.jsonl"]


@pytest.mark.skipif(sys.platform != "linux", reason="jemalloc is in Arrow and polars there")
def test_huge_pages_are_for_machines_with_memory(
    call: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JE_ARROW_MALLOC_CONF", "narenas:1")
    call("export", str(JSONL), str(tmp_path / "small"), "--memory", "small")
    assert os.environ["JE_ARROW_MALLOC_CONF"] == "narenas:1"
    call("export", str(JSONL), str(tmp_path / "normal"))
    assert os.environ["JE_ARROW_MALLOC_CONF"] == "narenas:1,thp:always"
    monkeypatch.setenv("JE_ARROW_MALLOC_CONF", "narenas:4")
    call("export", str(JSONL), str(tmp_path / "own"))
    assert os.environ["JE_ARROW_MALLOC_CONF"] == "narenas:4"  # what the user says stands


def test_disabled_does_nothing_and_says_so(call: Callable[..., Result], tmp_path: Path) -> None:
    """The standard's settings page has a switch: exit code 0, in words or as JSON."""
    write(tmp_path / "c.toml", b"enabled = false\n")
    result = call("export", "nothing.jsonl", "out", "--config", "c.toml")
    assert result.code == 0
    assert b"enabled = false" in result.out
    report = call("export", JSONL, "out", "--json", env={"CEFLINE_ENABLED": "false"}).json
    assert (report["enabled"], report["sources"], report["events_read"]) == (False, [], 0)
    assert files(tmp_path) == ["c.toml"]


def test_a_destination_of_the_configuration_makes_every_argument_a_source(
    call: Callable[..., Result], tmp_path: Path
) -> None:
    """As flags or variables or a file have it; the sources may stand there, too."""
    write(tmp_path / "a.jsonl", events(2))
    write(tmp_path / "b.jsonl", events(3))
    write(tmp_path / "c.toml", b"dest = 'out'\nsources = ['b.jsonl']\nmax_rejects = 0\n")
    report = call("export", "a.jsonl", "--config", "c.toml", "--json").json
    assert [Path(s["url"]).name for s in report["sources"]] == ["a.jsonl"]
    report = call("export", "--json", env={"CEFLINE_CONFIG": "c.toml"}).json
    assert [Path(s["url"]).name for s in report["sources"]] == ["b.jsonl"]
    assert len(delivered(tmp_path / "out")) == 5


def test_turns_order_the_deliveries_of_a_destination(
    call: Callable[..., Result], tmp_path: Path
) -> None:
    """Each source has a turn of its own, and keys rise from one to the next, in one second too."""
    for name in "abc":
        write(tmp_path / f"{name}.jsonl", events(4, source=name))
    parts = [
        p["url"] for p in call("export", tmp_path, "out", "--json", "--settle", 0).json["parts"]
    ]
    assert len(parts) == 6
    assert parts == sorted(parts)
    assert [re.findall(r"-0000000(\d)/", url)[0] for url in parts] == list("112233")


def test_the_fields_are_shown(call: Callable[..., Result]) -> None:
    """As text and as a Markdown table."""
    assert b"evidence_id" in call("fields").out
    assert call("fields", "--markdown").out.startswith(b"|")


def test_the_configuration_is_shown(call: Callable[..., Result]) -> None:
    """Each setting with its origin; the KMS key is masked."""
    env = {"CEFLINE_S3_SSE": "aws:kms", "CEFLINE_S3_SSE_KMS_KEY_ID": "hunter2"}
    out = call("config", "--part-size", "1MiB", env=env).out.decode()
    assert "part_size = 1MiB  (--part-size)" in out
    assert "s3.sse_kms_key_id = ***  (CEFLINE_S3_SSE_KMS_KEY_ID)" in out
    assert "hunter2" not in out


# What goes wrong.


@pytest.mark.parametrize(
    ("codes", "code"),
    [
        ([], 0),
        ([1], 1),
        ([3], 3),
        ([3, 1], 1),
        ([1, 75, 3], 75),
        ([75, 78, 1], 78),
        ([2], 2),
    ],
)
def test_the_worst_outcome_is_the_exit_code(codes: list[int], code: int) -> None:
    """Configuration before try-again before failed before rejects."""
    assert worst(codes) == code


@pytest.mark.parametrize(
    "arguments",
    [
        ["export"],
        ["export", "one"],
        ["export", "--no-such-option"],
        ["exprt"],
        ["preview"],
        ["preview", "x", "-n", "0"],
        ["export", "x", "ftp://b/x"],
        ["export", "ftp://b/x", "out"],
    ],
)
def test_a_wrong_call_is_exit_code_2(call: Callable[..., Result], arguments: list[str]) -> None:
    """It says what is wrong on standard error, and does nothing."""
    result = call(*arguments)
    assert result.code == 2
    assert "Traceback" not in result.err
    assert result.err


def broken_parquet(folder: Path) -> Path:
    return write(folder / "x.parquet", PARQUET.read_bytes()[:-100])


def parquet_of_a_damaged_page(folder: Path) -> Path:
    body = PARQUET.read_bytes()
    return write(folder / "x.parquet", body[:5000] + bytes(4000) + body[9000:])


def parquet_of_other_columns(folder: Path) -> Path:
    pq.write_table(pa.table({"x": [1]}), folder / "x.parquet")
    return folder / "x.parquet"


def parquet_of_one_column_twice(folder: Path) -> Path:
    table = pa.table([pa.array(["a"]), pa.array(["b"])], names=["msg", "msg"])
    pq.write_table(table, folder / "x.parquet")
    return folder / "x.parquet"


def parquet_of_a_name_that_is_no_text(folder: Path) -> Path:
    pq.write_table(pa.table({"msg": ["x"], "zzzzqq": ["y"]}), folder / "x.parquet")
    body = (folder / "x.parquet").read_bytes()
    return write(folder / "x.parquet", body.replace(b"zzzzqq", b"\xff\xfezzqq"))


def empty_folder(folder: Path) -> Path:
    (folder / "in").mkdir()
    write(folder / "in" / "readme.txt", b"nothing here")
    return folder / "in"


def named_pipe(folder: Path) -> Path:
    os.mkfifo(folder / "in")
    return folder / "in"


def loop_of_links(folder: Path) -> Path:
    (folder / "in").symlink_to("in")
    return folder / "in"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda folder: folder / "missing.jsonl", "no such file"),
        (empty_folder, "nor a folder with a timeline"),
        (broken_parquet, "can't be opened"),
        (parquet_of_a_damaged_page, "is damaged"),
        (parquet_of_other_columns, "no column of a timeline"),
        (lambda folder: write(folder / "x", gzip.compress(events(999))[:-20]), "cut off"),
        (lambda folder: write(folder / "x", gzip.compress(events(999))[:20]), "cut off"),
        (lambda folder: write(folder / "x", b"<html>"), "is no timeline"),
        (lambda folder: write(folder / "x", b"\x00\x01\x02"), "is no timeline"),
        (lambda folder: write(folder / "x", events(3)[:-5]), "ends in the middle of line 3"),
        (lambda folder: write(folder / "x", b"[" + events(1)), "breaks off"),
        (loop_of_links, "no such file"),
        (lambda folder: folder / ("x" * 300), ""),
        (parquet_of_one_column_twice, "twice"),
        (parquet_of_a_name_that_is_no_text, ""),
    ],
)
@pytest.mark.parametrize("command", ["export", "preview"])
def test_a_source_that_can_t_be_read_is_told(
    call: Callable[..., Result],
    tmp_path: Path,
    *,
    make: Callable[[Path], Path],
    says: str,
    command: str,
) -> None:
    """Exit code 1 with the file's name and no traceback, and nothing is published."""
    source = make(tmp_path)
    result = call(command, source, *["out"] * (command == "export"))
    assert result.code == 1
    assert source.name in result.err
    assert says in result.err
    assert "Traceback" not in result.err
    assert not (tmp_path / "out").exists()


def test_a_run_that_could_not_begin_says_so_in_json(
    call: Callable[..., Result], tmp_path: Path
) -> None:
    """One object, as for any other run; and the message on standard error."""
    write(tmp_path / "x", events(2))
    result = call("export", tmp_path / "x", "s3://bucket", "--json")
    assert (result.code, result.json["exit_code"]) == (78, 78)
    assert "root of a bucket" in result.json["error"]
    assert "root of a bucket" in result.err


@pytest.mark.parametrize("command", ["export", "preview"])
def test_numbers_that_are_no_seconds_are_told(
    call: Callable[..., Result], tmp_path: Path, command: str
) -> None:
    """Milliseconds would become dates far away; the option that says so is named."""
    write(tmp_path / "x", events(2, eventTime=1595194940000))
    result = call(command, "x", *["out"] * (command == "export"))
    assert result.code == 1
    assert "--time-unit" in result.err


@pytest.mark.parametrize("command", ["export", "preview"])
def test_times_without_a_zone_are_told(
    call: Callable[..., Result], tmp_path: Path, command: str
) -> None:
    """No zone is made up: the file, a sample and the option are named."""
    write(tmp_path / "local.jsonl", events(2, eventTime="2026-01-12T10:00:00"))
    result = call(command, "local.jsonl", *["out"] * (command == "export"))
    assert result.code == 1
    assert "local.jsonl" in result.err
    assert "'2026-01-12T10:00:00' for one" in result.err
    assert "--timezone" in result.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_source_without_rights_is_told(call: Callable[..., Result], tmp_path: Path) -> None:
    """Exit code 1, and what to check."""
    write(tmp_path / "a.jsonl", events(1)).chmod(0)
    result = call("export", "a.jsonl", "out")
    assert result.code == 1
    assert "can't be read: Permission denied" in result.err


def test_a_source_that_the_system_does_not_give_is_told(
    call: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 1 with the system's own words, and the sources after it are delivered."""
    opened = Path.open

    def refusing(path: Path, *arguments: Any, **more: Any) -> Any:  # noqa: ANN401 - as open has them
        if path.name == "a.jsonl":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return opened(path, *arguments, **more)

    write(tmp_path / "a.jsonl", events(1))
    write(tmp_path / "b.jsonl", events(2))
    monkeypatch.setattr(Path, "open", refusing)
    result = call("export", "a.jsonl", "b.jsonl", "out", "--json")
    assert result.code == 1
    assert "a.jsonl can't be read: Permission denied" in result.err
    assert [s["outcome"] for s in result.json["sources"]] == ["failed", "delivered"]


def test_a_bad_source_stops_no_other(call: Callable[..., Result], tmp_path: Path) -> None:
    """Its error is in the report and on standard error; the exit code is the worst."""
    write(tmp_path / "a.jsonl", b"<html>")
    write(tmp_path / "b.jsonl", events(4))
    write(tmp_path / "c.jsonl", b"{}\n" * 20)
    result = call("export", tmp_path, "out", "--json", "--settle", 0)
    assert result.code == 1
    assert [s["outcome"] for s in result.json["sources"]] == ["failed", "delivered", "failed"]
    assert (result.json["events_delivered"], result.json["exit_code"]) == (4, 1)
    assert "a.jsonl is no timeline" in result.err
    assert "c.jsonl: 20 of 20 rows rejected" in result.err
    assert len(delivered(tmp_path / "out")) == 4


def test_a_missing_source_stops_no_other(call: Callable[..., Result], tmp_path: Path) -> None:
    """One export that did not arrive must not hold back the others."""
    write(tmp_path / "b.jsonl", events(4))
    assert call("export", "missing.jsonl", "b.jsonl", "out").code == 1
    assert len(delivered(tmp_path / "out")) == 4


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_too_many_rejects_publish_nothing(call: Callable[..., Result], tmp_path: Path) -> None:
    """Exit code 3; the rejects are kept in the state, and a higher bound delivers the rest."""
    write(tmp_path / "a.jsonl", events(5) + b"{}\n[]\nnonsense\n")
    result = call("export", "a.jsonl", "out", "--max-rejects", "2", "--json")
    assert result.code == 3
    assert "3 of 8 rows rejected" in result.err
    assert (result.json["events_delivered"], result.json["parts"]) == (0, [])
    assert not (tmp_path / "out").exists()
    (kept,) = [name for name in files(tmp_path / "_cefline/out") if "rejects" in name]
    rows = records(tmp_path / "_cefline/out" / kept)
    assert sorted(row["ordinal"] for row in rows) == [5, 6, 7]
    assert call("export", "a.jsonl", "out", "--max-rejects", "2").code == 3
    report = call("export", "a.jsonl", "out", "--max-rejects", "3", "--json").json
    assert (report["events_read"], report["events_delivered"]) == (8, 5)
    assert report["events_rejected"] == 3
    assert len(delivered(tmp_path / "out")) == 5


def test_a_source_that_failed_is_tried_again_where_that_is_asked_for(
    call: Callable[..., Result], tmp_path: Path
) -> None:
    """Without the flag its error is told again, with the same exit code, and how to try."""
    write(tmp_path / "a.jsonl", b"<html>")
    first = call("export", "a.jsonl", "out")
    again = call("export", "a.jsonl", "out")
    assert (first.code, again.code) == (1, 1)
    assert "failed before" not in first.err
    assert "failed before" in again.err
    assert "--retry-failed" in again.err
    assert "failed before" not in call("export", "a.jsonl", "out", "--retry-failed").err


@pytest.mark.parametrize("flag", ["--assume-delivered", "--assume-lost"])
def test_a_part_that_a_reader_may_have_removed_is_asked_for(
    call: Callable[..., Result], tmp_path: Path, flag: str
) -> None:
    """Exit code 1 with both answers; either flag ends it."""
    write(tmp_path / "a.jsonl", events(6))
    export_killed("-000002.cef", "a.jsonl", "out", done=flag == "--assume-delivered")
    taken = delivered(tmp_path / "out")
    for name in files(tmp_path / "out"):
        (tmp_path / "out" / name).unlink()
    asked = call("export", "a.jsonl", "out")
    assert asked.code == 1
    assert flag in asked.err
    assert call("export", "a.jsonl", "out", flag).code == 0
    assert len(taken + delivered(tmp_path / "out")) == 6


def test_where_readers_keep_parts_a_killed_run_asks_for_nothing(
    call: Callable[..., Result], tmp_path: Path
) -> None:
    """What is missing was never put out; here readers did remove it, and so get it once more."""
    write(tmp_path / "a.jsonl", events(6))
    export_killed("-000002.cef", "a.jsonl", "out", done=True)
    for name in files(tmp_path / "out"):
        (tmp_path / "out" / name).unlink()
    assert call("export", "a.jsonl", "out").code == 1
    assert call("export", "a.jsonl", "out", "--readers", "keep").code == 0
    assert len(delivered(tmp_path / "out")) == 6


def test_a_file_that_was_just_written_is_left(call: Callable[..., Result], tmp_path: Path) -> None:
    """In a folder; exit code 0, and it is said. `--settle 0` takes it."""
    write(tmp_path / "a.jsonl", events(6))
    result = call("export", tmp_path, "out")
    assert result.code == 0
    assert b"left for the next run" in result.out
    assert call("export", tmp_path, "out", "--settle", "0", "--json").json["events_delivered"] == 6


def test_a_destination_with_objects_is_adopted(call: Callable[..., Result], tmp_path: Path) -> None:
    """Exit code 78 without the flag, which names it."""
    write(tmp_path / "a.jsonl", events(6))
    (tmp_path / "out").mkdir()
    write(tmp_path / "out" / "x.cef.gz", gzip.compress(b"CEF:0|x\n"))
    refused = call("export", "a.jsonl", "out")
    assert refused.code == 78
    assert "--adopt" in refused.err
    assert call("export", "a.jsonl", "out", "--adopt").code == 0
    assert call("export", "a.jsonl", "out").code == 0


def test_rejects_are_those_of_what_was_delivered(
    call: Callable[..., Result], tmp_path: Path
) -> None:
    """A run that failed with other settings leaves no records of its own in the delivery's."""
    write(tmp_path / "a.jsonl", events(30) + b"nonsense\n")
    assert call("export", "a.jsonl", "out", env={"CEFLINE_MAX_EVENT": "60B"}).code == 3
    assert call("export", "a.jsonl", "out").code == 0
    state = tmp_path / "_cefline/out"
    (name,) = files(state / "manifests")
    manifest = json.loads((state / "manifests" / name).read_bytes())
    assert [row["reason"][:14] for row in manifest["rejects"]] == ["no JSON object"]
    own = [r for n in files(state / "rejects") for r in records(state / "rejects" / n)]
    assert 30 in [row["ordinal"] for row in own if row["reason"].startswith("no JSON object")]
    assert len(files(state / "rejects")) == 2  # one of each run


def test_too_many_partitions_publish_nothing(call: Callable[..., Result], tmp_path: Path) -> None:
    """A column of many values would make a part of each event."""
    env = {"CEFLINE_MAX_PARTITIONS": "5"}
    result = call("export", JSONL, "out", "--partition-by", "eventId", env=env)
    assert result.code == 1
    assert "more than 5 partitions" in result.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"part_size = ", "is no TOML"), (b"part_sise = 1", "did you mean part_size?")],
)
@pytest.mark.parametrize("command", ["export", "preview", "config"])
def test_a_wrong_configuration_is_exit_code_78(
    call: Callable[..., Result], tmp_path: Path, content: bytes, says: str, command: str
) -> None:
    """Whatever is run with it."""
    write(tmp_path / "c.toml", content)
    places: dict[str, list[object]] = {"export": [JSONL, "out"], "preview": [JSONL], "config": []}
    result = call(command, *places[command], "--config", "c.toml")
    assert (result.code, result.out) == (78, b"")
    assert says in result.err


@pytest.mark.parametrize(
    ("dest", "state", "says"),
    [
        ("file", None, "can't be written"),
        ("file/out", None, "can't be written"),
        ("out", "file", "can't be written"),
        ("out", "out/state", "below the destination"),
        ("out", "out", "below the destination"),
        ("s3://cef", None, "root of a bucket"),
    ],
)
def test_a_place_that_can_t_be_is_exit_code_78(
    call: Callable[..., Result], tmp_path: Path, dest: str, state: str | None, says: str
) -> None:
    """A file in the way, or a state where a SIEM would read it."""
    write(tmp_path / "file", b"mine")
    env = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}
    result = call("export", JSONL, dest, *(["--state", state] if state else []), env=env)
    assert result.code == 78
    assert says in result.err
    assert "Traceback" not in result.err
    assert (tmp_path / "file").read_bytes() == b"mine"
    assert not (tmp_path / "out").exists()


def test_a_state_of_another_destination_is_refused(
    call: Callable[..., Result], tmp_path: Path
) -> None:
    """Its deliveries would pass for delivered here."""
    call("export", JSONL, "out", "--state", "state")
    result = call("export", JSONL, "other", "--state", "state")
    assert result.code == 78
    assert str(tmp_path / "out") in result.err
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("wrong", "code", "says"),
    [
        ({"secret": "not-the-secret"}, 78, "secret key is wrong"),
        ({"bucket": "missing", "key": "testkey", "secret": "testsecret"}, 78, "no such bucket"),
        ({"key": "readerkey", "secret": "readersecret"}, 78, "access denied"),
        ({"endpoint": "http://127.0.0.1:1"}, 75, "can't be reached"),
        ({"endpoint": "http://s3.example.invalid"}, 78, "not encrypted"),
    ],
    ids=["secret", "bucket", "denied", "refused", "http"],
)
def test_s3_that_refuses_is_told(
    call: Callable[..., Result], s3: S3, *, wrong: dict[str, str], code: int, says: str
) -> None:
    """78 where the user has to act, 75 where time may heal; and never the secret."""
    other = dataclasses.replace(s3, **wrong)
    env = {**other.env, "CEFLINE_S3_ATTEMPTS": "1"}
    result = call("export", JSONL, f"{other.url}/siem", "--json", env=env)
    assert result.code == code
    assert says in result.err
    assert other.secret not in result.err
    assert "Traceback" not in result.err
    assert s3.sizes() == {}


def forget_the_end(state: Path) -> None:
    """Leave a state as a kill just after the last part does."""
    for name in files(state):
        if name.startswith(("manifests/", "seen/")) or name.endswith(".closed"):
            (state / name).unlink()


@pytest.mark.parametrize("timeout", ["0", "0.3s"])
def test_an_open_turn_is_finished_first(
    call: Callable[..., Result], tmp_path: Path, timeout: str
) -> None:
    """The run that left it makes no progress: this one finishes it, and then takes its own."""
    first = call("export", JSONL, "out", "--json").json["parts"]
    write(tmp_path / "b.jsonl", events(1))
    forget_the_end(tmp_path / "_cefline/out")
    result = call("export", "b.jsonl", "out", "--json", "--turn-timeout", timeout)
    assert result.code == 0
    (source,) = result.json["sources"]
    assert (Path(source["url"]).name, source["outcome"]) == ("b.jsonl", "delivered")
    parts = [*first, *result.json["parts"]]
    assert [part["url"] for part in parts] == [
        str(tmp_path / "out" / n) for n in files(tmp_path / "out")
    ]
    assert len(files(tmp_path / "_cefline/out/manifests")) == 2
    again = call("export", JSONL, "out", "--json")
    assert (again.code, again.json["sources"][0]["outcome"]) == (0, "known")


def test_another_object_in_the_place_of_a_part_is_told(
    call: Callable[..., Result], tmp_path: Path
) -> None:
    """It is never overwritten, and the run fails loudly."""
    call("export", JSONL, "out")
    forget_the_end(tmp_path / "_cefline/out")
    first = tmp_path / "out" / files(tmp_path / "out")[0]
    first.write_bytes(gzip.compress(b"CEF:0|other\n"))
    result = call("export", JSONL, "out")
    assert result.code == 1
    assert "its text is not the part's" in result.err
    assert gzip.decompress(first.read_bytes()) == b"CEF:0|other\n"


@pytest.mark.parametrize(
    "content",
    [b'{"\\ud800": 1, "msg": "x"}\n', b'{"\\u0000\\n": 1, "msg": "x"}\n'],
    ids=["surrogate", "control characters"],
)
def test_a_hostile_column_name_harms_nothing(
    call: Callable[..., Result], tmp_path: Path, content: bytes
) -> None:
    """The events are delivered, with a manifest, and the terminal gets no control characters."""
    write(tmp_path / "a.jsonl", content)
    result = call("export", "a.jsonl", "out")
    assert result.code == 0
    assert len(delivered(tmp_path / "out")) == 1
    assert any(name.startswith("manifests/") for name in files(tmp_path / "_cefline/out"))
    assert not re.search(rb"[\0-\x09\x0b-\x1f]", result.out)
    assert all(re.match(rb"  \S|/|\d", line) for line in result.out.splitlines())


def test_a_file_name_that_is_no_text_harms_nothing(tmp_path: Path) -> None:
    """Evidence comes from machines of any encoding."""
    (tmp_path / os.fsdecode(b"caf\xe9.jsonl")).write_bytes(events(2))
    command = [*COMMAND, "export", str(tmp_path), "out", "--settle", "0"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0
    assert b"Traceback" not in done.stderr
    assert len(delivered(tmp_path / "out")) == 2


@pytest.mark.parametrize("command", ["export", "preview"])
def test_a_pipe_is_read_or_refused(tmp_path: Path, command: str) -> None:
    """`zcat x | cefline export /dev/stdin out` must not end in a traceback, nor in silence."""
    done = subprocess.run(
        [*COMMAND, command, "/dev/stdin", *["out"] * (command == "export")],
        cwd=tmp_path,
        input=events(3),
        capture_output=True,
        check=False,
    )
    assert b"Traceback" not in done.stderr
    assert done.returncode != 0 or b"event 2" in done.stdout + b"".join(delivered(tmp_path / "out"))


def test_a_damaged_state_is_told(call: Callable[..., Result], tmp_path: Path) -> None:
    """With the object's name, and without a traceback."""
    (tmp_path / "_cefline/out").mkdir(parents=True)
    write(tmp_path / "_cefline/out/state.json", b"")
    result = call("export", JSONL, "out")
    assert result.code in {1, 78}
    assert "state.json" in result.err


def test_nothing_but_parts_is_below_the_folder_that_one_is_in(
    call: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `.` as the destination there is no beside; the state is elsewhere by --state."""
    (tmp_path / "dest").mkdir()
    call("fields")
    monkeypatch.chdir(tmp_path / "dest")
    assert call("export", JSONL, ".", "--state", tmp_path / "state").code == 0
    assert [p.name for p in (tmp_path / "dest").iterdir() if p.name.startswith("_")] == []


# Kills: whatever was done, the next run ends in each event once.


POINTS = [
    "plans/",
    "turns/00000001.json",
    "progress/00000001/000001",
    "-000001.cef",
    "progress/00000001/000002",
    "-000002.cef",
    "manifests/",
    ".closed",
    "seen/",
]


def export_killed(point: str, *arguments: str, done: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, point, done=done)
        with pytest.raises(KilledError):
            run(*arguments)


def run(*arguments: str) -> None:
    cli.commands.main(["export", *arguments, "--quiet"], standalone_mode=False)


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("point", POINTS)
def test_a_killed_run_is_finished_by_the_next(
    call: Callable[..., Result], tmp_path: Path, point: str, *, done: bool
) -> None:
    """What a reader that keeps the last key has read at the end is each event once."""
    write(tmp_path / "a.jsonl", events(6))
    export_killed(point, "a.jsonl", "out", done=done)
    seen = files(tmp_path / "out")
    bodies = {name: (tmp_path / "out" / name).read_bytes() for name in seen}
    result = call("export", "a.jsonl", "out")
    assert result.code == 0
    after = files(tmp_path / "out")
    assert after[: len(seen)] == seen
    assert {name: (tmp_path / "out" / name).read_bytes() for name in seen} == bodies
    lines = delivered(tmp_path / "out")
    assert sorted(line.rsplit(b"=", 1)[1] for line in lines) == [
        b"event %d\n" % n for n in range(6)
    ]
    assert [name for name in files(tmp_path / "_cefline/out") if len(Path(name).parts) == 1] == [
        "state.json"
    ]


@pytest.mark.parametrize(
    ("point", "done"),
    [
        ("plans/", True),
        ("-000001.cef", True),
        (".closed", False),
        (".closed", True),
        ("manifests/", False),
        ("manifests/", True),
    ],
)
def test_a_killed_run_is_finished_after_another_one(
    call: Callable[..., Result], tmp_path: Path, point: str, *, done: bool
) -> None:
    """A delivery of another source between the kill and the rerun doubles nothing."""
    write(tmp_path / "a.jsonl", events(6))
    write(tmp_path / "b.jsonl", events(2, source="b"))
    export_killed(point, "a.jsonl", "out", done=done)
    assert call("export", "b.jsonl", "out", "--turn-timeout", "0").code == 0
    for _ in range(2):
        assert call("export", "a.jsonl", "b.jsonl", "out").code == 0
    assert len(delivered(tmp_path / "out")) == 8


def test_two_runs_at_once_deliver_each_event_once(
    call: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one converts a source, another may deliver it, and a second one after it."""
    write(tmp_path / "a.jsonl", events(6))
    write(tmp_path / "b.jsonl", events(2, source="b"))
    line = import_module("cefline.line")
    check = line.check_unchanged

    def other_run(local: object) -> None:
        monkeypatch.setattr(line, "check_unchanged", check)
        run("a.jsonl", "b.jsonl", "out")
        check(local)

    monkeypatch.setattr(line, "check_unchanged", other_run)
    call("export", "a.jsonl", "b.jsonl", "out")
    call("export", "a.jsonl", "b.jsonl", "out")
    assert len(delivered(tmp_path / "out")) == 8


def test_a_rerun_with_other_settings_goes_on_as_planned(
    call: Callable[..., Result], tmp_path: Path
) -> None:
    """Parts of the plan are out; the new settings are named, and wait for the next source."""
    write(tmp_path / "a.jsonl", events(6))
    export_killed("-000002.cef", "a.jsonl", "out", done=False)
    options = ["--partition-by", "none", "--compression", "none"]
    report = call("export", "a.jsonl", "out", "--json", *options).json
    (note,) = report["sources"][0]["notes"]
    assert "compression, partition_by" in note
    assert len(delivered(tmp_path / "out")) == 6


def test_a_lost_reply_is_resolved_on_s3(call: Callable[..., Result], s3: S3) -> None:
    """A part that is there already is ours if its text is, though its stored bytes differ."""
    first = call("export", JSONL, f"{s3.url}/siem", "--json", env=s3.env)
    for key in s3.sizes():
        if "/manifests/" in key or "/seen/" in key or key.endswith(".closed"):
            s3.client.delete_object(Bucket=s3.bucket, Key=key)
    again = call(
        "export", JSONL, f"{s3.url}/siem", "--json", "--compression-level", "1", env=s3.env
    )
    assert again.code == 0
    assert again.json["parts"] == first.json["parts"]


# The process.


def test_help_is_light() -> None:
    """`--help` imports none of the heavy packages, so that it is there at once."""
    heavy = (
        "polars",
        "pyarrow",
        "s3fs",
        "fsspec",
        "botocore",
        "rich",
        "isal",
        "asyncio",
        "jinja2",
        "pygal",
    )
    script = (
        "import sys\n"
        "from cefline.cli import main\n"
        f"sys.argv = ['cefline', *sys.argv[1:]]\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n"
        f"    found = [n for n in {heavy} if n in sys.modules]\n"
        "    sys.exit(end.code or (found and str(found)) or 0)\n"
    )
    for arguments in (["--help"], ["export", "--help"], ["--version"]):
        done = subprocess.run(
            [sys.executable, "-c", script, *arguments], capture_output=True, check=False, text=True
        )
        assert (done.returncode, done.stderr) == (0, "")
    assert "cefline" in done.stdout


@pytest.mark.parametrize(
    ("name", "code"), [("SIGTERM", 143), ("SIGINT", 130)], ids=["terminate", "interrupt"]
)
def test_a_signal_has_its_exit_code(tmp_path: Path, name: str, code: int) -> None:
    """Without a traceback: the next run goes on."""
    script = (
        "import sys, time, cefline.job\n"
        "def export(*_, **__):\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(60)\n"
        "cefline.job.export = export\n"
        "from cefline.cli import main\n"
        "main()\n"
    )
    command = [sys.executable, "-c", script, "export", str(JSONL), "out"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(getattr(signal, name))
        _, err = process.communicate()
    assert process.returncode == code
    assert "the next run goes on" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "content", "code"),
    [
        (["preview", "a.jsonl"], events(9), 0),
        (["export", "a.jsonl", "out"], events(9), 0),
        (["export", "a.jsonl", "out"], b"<html>", 1),
        (["export", "a.jsonl", "out"], b"{}\n" * 20, 3),
    ],
    ids=["preview", "delivered", "failed", "rejected"],
)
def test_a_reader_that_has_seen_enough_changes_nothing(
    tmp_path: Path, arguments: list[str], content: bytes, code: int
) -> None:
    """`cefline preview x | head -1` ends quietly, and an export as it would have."""
    write(tmp_path / "a.jsonl", content)
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*COMMAND, *arguments],
        cwd=tmp_path,
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writer)
    assert done.returncode == code
    assert b"Traceback" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_an_output_that_is_full_is_told() -> None:
    """Lines that can't be written are an error in words."""
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*COMMAND, "preview", str(JSONL)], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode != 0
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["export", "preview", "fields", "config"])
def test_every_command_has_help(call: Callable[..., Result], command: str) -> None:
    """Each option with a sentence."""
    out = call(command, "--help").out.decode()
    assert out.startswith(f"Usage: cefline {command}")
    assert isinstance(cli.commands, click.Group)
    for option in cli.commands.commands[command].params:
        assert (
            isinstance(option, click.Argument)
            or option.name in {"count", "markdown"}
            or (isinstance(option, click.Option) and option.help)
        )


# What is selected.


def test_a_selection_is_previewed_and_delivered_alike(call: Callable[..., Result]) -> None:
    """The same lines, the same fields; and the run says what was left out."""
    chosen = ["--where", "source = 'REG' and not alarm", "--drop", "extra,msg"]
    chosen += ["--since", "2020-07-19", "--min-severity", "1"]
    lines = call("preview", JSONL, "-n", 300, *chosen).out.splitlines(keepends=True)
    assert 0 < len(lines) < 300
    assert all(b" source=REG " in line and b" extra=" not in line for line in lines)
    result = call("export", JSONL, "out", "--partition-by", "none", *chosen)
    assert result.code == 0
    assert delivered(Path("out")) == lines
    filtered = 300 - len(lines)
    assert f"{len(lines)} delivered, 0 rejected, {filtered} filtered".encode() in result.out
    assert call("verify", "out").code == 0


@pytest.mark.parametrize("command", ["export", "preview", "config"])
def test_an_expression_that_is_none_is_told_with_its_place(
    call: Callable[..., Result], command: str
) -> None:
    """Before anything is read; the sign stands below what is wrong."""
    places = {"export": (JSONL, "out"), "preview": (JSONL,), "config": ()}[command]
    result = call(command, *places, "--where", "alarm and hst = 'x\x1b[31m'")
    assert result.code == 78
    assert "there is no field hst; did you mean host?" in result.err
    lines = result.err.splitlines()
    (shown,) = (n for n, line in enumerate(lines) if line.endswith("x\\x1b[31m'"))
    assert lines[shown + 1].index("^") == lines[shown].index("hst")
    assert files(Path()) == []


def test_half_a_character_in_an_expression_is_told(call: Callable[..., Result]) -> None:
    """As Python makes it of a byte that is no UTF-8."""
    result = call("export", JSONL, "out", "--where", "msg = '\udcff'")
    assert result.code == 78
    assert "no UTF-8" in result.err
