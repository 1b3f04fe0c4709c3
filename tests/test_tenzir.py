"""Tenzir's own binary reads a destination from S3 by the pipeline of its page."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import cefline
from cefline.render import Profile
from cefline_schemas.cef import EXTENDED_ESCAPES
from cefline_schemas.demands import Demands
from tests import dictionary, sample
from tests.test_siem_readers import block, header, undone

if TYPE_CHECKING:
    from tests.seaweed import S3

PACKAGE = "tenzir>=6.20"
NAMES = ("device_vendor", "device_product", "device_version", "signature_id", "name", "severity")


@pytest.fixture(scope="session")
def tenzir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the binary: the one on PATH, or that of the package, which takes 560 MB."""
    found = shutil.which("tenzir")
    if found:
        return Path(found)
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        pytest.skip("Tenzir's package is for Linux on x86_64 alone")
    folder = tmp_path_factory.mktemp("tenzir")
    install: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        folder,
    ]
    subprocess.run([*install, PACKAGE], check=True)
    return folder / "tenzir" / "bundled" / "bin" / "tenzir"


def read(tenzir: Path, s3: S3, address: str, search: str = "") -> list[dict[str, Any]]:
    """Return what the page's pipeline reads from S3, or what one of its searches finds of it."""
    pipeline = block("tenzir", "tql", "from_s3")
    service = s3.endpoint.removeprefix("http://")
    options = f"?endpoint_override={service}&scheme=http"
    assert '"s3://acme-siem/cado/**.cef.gz"' in pipeline
    own = pipeline.replace("s3://acme-siem/cado/**.cef.gz", f"{address}/**.cef.gz{options}")
    assert own.endswith("import\n")
    own = own.removesuffix("import\n") + search.removeprefix("export\n") + "write_ndjson\n"
    run = subprocess.run(
        [tenzir, "--bare-mode", own],
        env={**os.environ, **s3.env},
        capture_output=True,
        check=True,
    )
    return [json.loads(line) for line in run.stdout.splitlines()]


def standard(line: str) -> str:
    """Return a line with the standard's escapes alone in its values."""
    found = re.fullmatch(r"(CEF:0\|(?:(?:[^|\\]|\\.)*\|){6})(.*)", line)
    assert found, line
    return found[1] + re.sub(r"\\(.)", lambda m: m[1] if m[1] in '|"' else m[0], found[2])


def expected(line: str) -> dict[str, str]:
    """Return what Tenzir makes of a line; each of its faults stands by itself."""
    found = {}
    for key, value in dictionary.pairs(standard(line)):
        found[key] = undone(value.strip(" \t"))  # fault: blanks at the edges are lost
    fields = dict(zip(NAMES, header(line), strict=True))
    # Fault: of the header only `\|` is undone, backslashes stay doubled.
    return {**{f"header.{n}": v.replace("\\|", "|") for n, v in fields.items()}, **found}


def as_read(event: dict[str, Any]) -> dict[str, str]:
    """Return an event of Tenzir's as `expected` has it."""
    cef = event["cef"]
    pairs = {key: value for key, value in cef["extension"].items() if value is not None}
    return {**{f"header.{name}": cef[name] for name in NAMES}, **pairs}


def counted(events: list[dict[str, str]]) -> Counter[str]:
    """Count events; parts may be read in any order."""
    return Counter(json.dumps(event, sort_keys=True) for event in events)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sample", "real_5k", "real_alarms"])
def test_tenzir_reads_every_event_from_s3(
    request: pytest.FixtureRequest, tenzir: Path, s3: S3, name: str
) -> None:
    """All of them, and every field is the source's but for what is named above."""
    for variable, value in s3.env.items():
        request.getfixturevalue("monkeypatch").setenv(variable, value)
    folder: Path = sample.DATA if name == "sample" else request.getfixturevalue("data")
    source = str(folder / f"{name}.parquet")
    places = {"dest": f"{s3.url}/out", "state": f"{s3.url}/state"}
    flags = {"target": "tenzir", "part_size": "1MiB", **places}
    config = replace(cefline.load_config(flags, {}, None).config, sources=(source,))
    report = cefline.export(config)
    assert report.exit_code == 0
    events = read(tenzir, s3, places["dest"])
    assert len(events) == report.delivered > 0
    assert all(event["cef"] is not None for event in events)
    asked = Demands(escapes=EXTENDED_ESCAPES, crlf_as_lf=True)
    profile = Profile(name="dictionary", demands=asked)
    lines = [line for f in cefline.read(source) for line in cefline.render(f, profile) if line]
    found, told = counted(list(map(as_read, events))), counted(list(map(expected, lines)))
    assert [*(found - told)][:3] == [*(told - found)][:3] == []
    times = [e["time"] for e in events if e["cef"]["extension"].get("rt") is not None]
    assert len(times) == sum(
        " rt=" in f" {line}" for line in lines if re.search(r"[ |]rt=\d", line)
    )
    severities = read(tenzir, s3, places["dest"], block("tenzir", "text", "summarize"))
    assert {row["cef"]["severity"]: row["events"] for row in severities} == Counter(
        header(line)[5] for line in lines
    )
    hosts = Counter(re.findall(r" dvchost=([A-Za-z0-9.-]+)(?= )", "\n".join(lines)))
    ((host, count),) = hosts.most_common(1)
    search = block("tenzir", "text", "dvchost").replace("WKS-1", host)
    assert len(read(tenzir, s3, places["dest"], search)) == count > 1
