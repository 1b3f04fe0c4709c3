"""Real timelines, exported whole: to a local folder and to a real S3 server."""

import gzip
import json
import re
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

import cefline
from tests.seaweed import S3

EVENTS = {
    "real_small.jsonl": 2966,
    "real_small.parquet": 2966,
    "real_alarms.jsonl": 1969,
    "real_alarms.parquet": 1969,
    "real_5k.parquet": 5000,
}
SCRIPT = """
import atexit, pathlib, re, sys
from cefline.cli import main
status = pathlib.Path('/proc/self/status')
peak = lambda: re.search(r'VmHWM:\\s+(\\d+)', status.read_text())[1]
atexit.register(lambda: print(peak(), file=sys.stderr))
main()
"""


def exported(source: Path, dest: str, state: str | None = None) -> cefline.Report:
    """Export a timeline, and check its balance."""
    report = cefline.export(cefline.Config(sources=(str(source),), dest=dest, state=state))
    assert report.exit_code == 0
    assert report.rejected == 0
    assert report.read == report.delivered == EVENTS[source.name]
    return report


def lines(text: bytes) -> list[bytes]:
    """Return the lines of CEF text, each one ended by LF."""
    assert text.endswith(b"\n")
    assert text.splitlines() == text.removesuffix(b"\n").split(b"\n")
    return text.removesuffix(b"\n").split(b"\n")


def local_lines(folder: Path) -> list[bytes]:
    """Return the lines of all parts below a folder, in the order of their keys."""
    parts = sorted(path for path in folder.rglob("*") if path.is_file())
    return [line for path in parts for line in lines(gzip.decompress(path.read_bytes()))]


@pytest.mark.parametrize("name", EVENTS)
def test_a_real_timeline_arrives_in_a_folder(data: Path, tmp_path: Path, name: str) -> None:
    """Events read are delivered, none is rejected, one LF ends each."""
    exported(data / name, str(tmp_path / "out"))
    assert len(local_lines(tmp_path / "out")) == EVENTS[name]


@pytest.mark.parametrize("name", EVENTS)
def test_a_real_timeline_arrives_on_s3(
    data: Path, tmp_path: Path, s3: S3, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """What lies on S3 is what lies in a folder: keys but for the stamp, and bytes."""
    for variable, value in s3.env.items():
        monkeypatch.setenv(variable, value)
    exported(data / name, f"{s3.url}/siem")
    exported(data / name, str(tmp_path / "out"))
    on_s3 = {key: s3.get(key) for key in s3.sizes(f"{s3.prefix}/siem/")}
    found = [line for key in sorted(on_s3) for line in lines(gzip.decompress(on_s3[key].body))]
    assert found == local_lines(tmp_path / "out")
    assert {stored.content_type for stored in on_s3.values()} == {"application/x-gzip"}


@pytest.mark.parametrize("name", ["real_small", "real_alarms"])
def test_both_forms_of_a_real_timeline_give_the_same_lines(data: Path, name: str) -> None:
    """NDJSON and Parquet differ in nothing, but for notes that one has as text, one as a list."""
    frames = [
        pl.concat(cefline.read(data / f"{name}.{suffix}"), how="diagonal").sort("eventId")
        for suffix in ("jsonl", "parquet")
    ]
    texts = [frame.drop("notes", strict=False) for frame in frames]
    assert cefline.render(texts[0]).to_list() == cefline.render(texts[1]).to_list()
    notes = [frame.get_column("notes", default=None) for frame in frames]
    if notes[0] is not None and notes[1] is not None:
        differ = notes[0].ne_missing(notes[1])
        assert (notes[1].filter(differ) == "[{'note': '" + notes[0].filter(differ) + "'}]").all()


@pytest.mark.slow
def test_the_whole_real_corpus_is_exported_in_bounded_memory(data: Path, tmp_path: Path) -> None:
    """759,828 events, 1.8 GB of CEF text, arrive whole with a peak below 1 GiB."""
    command = ["export", str(data / "real.parquet"), str(tmp_path / "out"), "--json", "--quiet"]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *command], capture_output=True, check=True, text=True
    )
    report = json.loads(done.stdout)
    peak = int(re.findall(r"\d+", done.stderr)[-1])
    assert report["events_read"] == report["events_delivered"] == 759_828
    assert sum(part["text_bytes"] for part in report["parts"]) == sum(
        len(gzip.decompress(path.read_bytes())) for path in (tmp_path / "out").rglob("*.gz")
    )
    assert peak < 1 << 20
