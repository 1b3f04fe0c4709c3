"""Every damaged or hostile source of the corpus comes to what is expected of it."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

import cefline
from cefline import Config
from cefline.values import MaxRejects
from tests import damage
from tests.damage import Case, Delivered, Failed, Rejected

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cefline.report import SourceReport

CASES = damage.cases()
PARAMETERS = [pytest.param(case, id=case.name) for case in CASES]
COMPANION = b'{"eventId":"companion","msg":"is delivered whatever stands beside it"}\n'
PART = re.compile(
    r"(dt=)?\d{4}-\d\d-\d\d/\d{8}T\d{6}Z-\d{8}/([A-Za-z0-9._=-]+/){0,5}\d{8}-\d{6}\.cef\.gz"
)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder for sources, with a place of its own for what is staged."""
    (tmp_path / "staging").mkdir()
    (tmp_path / "in").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "staging"))
    (tmp_path / "companion.jsonl").write_bytes(COMPANION)
    return tmp_path


def test_the_corpus_is_large_and_its_names_are_its_own() -> None:
    """At least 160 cases, none of which hides another; a folder can have each one's name."""
    names = [case.name for case in CASES]
    assert len(names) == len(set(names)) >= 160
    assert all(re.fullmatch(r"[\w.-]+", name) for name in names)


@pytest.mark.parametrize("case", PARAMETERS)
def test_damage(case: Case, place: Path) -> None:
    """Delivered, rejected or failed as it must be; what stands beside it is delivered."""
    settings = dict(case.settings)
    if "max_rejects" in settings:
        settings["max_rejects"] = MaxRejects(*settings["max_rejects"])
    sources = (case.write(place / "in"), str(place / "companion.jsonl"))
    config = Config(sources=sources, dest=str(place / "out"), **settings)
    report = cefline.export(config)
    assert not list((place / "staging").glob("*/*"))
    _check_shown(report)
    source, companion = report.sources
    assert companion.outcome == "delivered"
    assert companion.tally.delivered == 1
    assert [part.events for part in companion.parts] == [1]
    keys = sorted(_files(place / "out"))
    urls = sorted(part.url for part in report.parts)
    assert [str(place / "out" / key) for key in keys] == urls
    assert all(PART.fullmatch(key) and len(key) < 1024 for key in keys)
    assert not any(re.fullmatch(r"\.+", name) for key in keys for name in key.split("/"))
    if isinstance(case.expected, Failed):
        _check_failed(source, case.expected, place)
        assert report.exit_code == case.expected.exit_code
    else:
        assert report.exit_code == 0, source.error
        _check_delivered(source, case.expected, place)


def _check_shown(report: cefline.Report) -> None:
    """Nothing that is shown holds a control character, nor one that turns the text around."""
    shown = [*report.lines(), json.dumps(report.as_json(), ensure_ascii=False)]
    for source in report.sources:
        shown += str(source.error or "").split("\n")
    for text in shown:
        assert text.isprintable(), ascii(text)


def _check_failed(source: SourceReport, expected: Failed, place: Path) -> None:
    assert source.outcome == "failed"
    assert source.error is not None
    assert source.error.exit_code == expected.exit_code
    assert expected.text in source.error.message
    assert source.parts == ()
    assert source.delivered == 0
    kept = list(_rejects(place))
    if expected.exit_code == 3:
        assert source.tally.read == source.tally.delivered + source.tally.rejected
        assert len(kept) == sum(source.tally.reasons.values()) > 0
    else:
        assert kept == []
        assert source.reject_objects == ()
        plans = [p.stem for p in (_state(place) / "plans").glob("*.json")]
        assert len(plans) == 1  # the companion's


def _check_delivered(source: SourceReport, expected: Delivered | Rejected, place: Path) -> None:
    tally = source.tally
    assert source.outcome == "delivered"
    if isinstance(expected, Rejected):
        rows, expected = expected.rows, Delivered(expected.events)
    else:
        rows = ()
    assert tally.read == tally.delivered + tally.rejected
    assert (tally.delivered, tally.rejected) == (expected.events, len(rows))
    assert sum(part.events for part in source.parts) == expected.events
    if expected.partitions is not None:
        folders = {Path(part.url).parent for part in source.parts}
        assert len(folders) == expected.partitions
    _check_rejects(list(_rejects(place)), rows, expected)
    assert len(expected.values) == tally.rejects_of("value")
    assert expected.replaced == tally.rejects_of("replaced")
    _check_text(source, expected)


def _check_rejects(
    kept: list[dict[str, Any]], rows: tuple[damage.Row, ...], expected: Delivered
) -> None:
    found = [r for r in kept if r["kind"] == "row"]
    assert [r["ordinal"] for r in found] == [row.ordinal for row in rows]
    for record, row in zip(found, rows, strict=True):
        assert row.reason in record["reason"]
        assert row.offset in {None, record.get("offset")}
    values = [(r["ordinal"], r["field"]) for r in kept if r["kind"] == "value"]
    assert values == [(value.ordinal, value.field) for value in expected.values]
    reasons = [r["reason"] for r in kept if r["kind"] == "value"]
    assert all(v.reason in told for v, told in zip(expected.values, reasons, strict=True))
    assert len(kept) == len(found) + len(values) + expected.replaced


def _check_text(source: SourceReport, expected: Delivered) -> None:
    """One LF for each event and no other line break, and the values as they must be."""
    frames = []
    for part in source.parts:
        text = cefline.parse.__globals__["_stored_text"](Path(part.url))
        assert text.count(b"\n") == part.events
        assert text.endswith(b"\n")
        assert len(text) == part.text_bytes
        assert text.count(b"\r") == 0
        if len(text) < 30 << 20:
            assert len(text.splitlines()) == part.events
            assert len(text.decode().splitlines()) == part.events
            assert all(line.startswith(b"CEF:0|") for line in text.splitlines())
        if expected.holds:
            frames.append(cefline.parse(Path(part.url)))
    if expected.holds:
        frame = pl.concat(frames, how="diagonal")
        for name, values in expected.holds.items():
            held = frame[name].to_list() if name in frame.columns else [None] * frame.height
            assert held == list(values), name


@pytest.mark.parametrize("case", PARAMETERS[::80])
def test_damage_on_the_command_line(case: Case, place: Path) -> None:
    """The exit code and the report say the same, and there is no traceback."""
    source = case.write(place / "in")
    settings = {n: v for n, v in case.settings.items() if isinstance(v, str | int)}
    options = [f"--{n.replace('_', '-')}={v}" for n, v in settings.items()]
    command = [sys.executable, "-m", "cefline", "export", "--json", *options, "--"]
    done = subprocess.run(
        [*command, source, "companion.jsonl", "out"], cwd=place, capture_output=True, check=False
    )
    assert b"Traceback" not in done.stderr
    report = json.loads(done.stdout)
    assert report["sources"][-1]["outcome"] == "delivered"
    match case.expected:
        case Failed(code, text):
            assert (done.returncode, report["exit_code"]) == (code, code)
            assert text in done.stderr.decode()
            assert report["events_delivered"] == 1
        case Delivered(events) | Rejected(events=events):
            assert done.returncode == 0
            assert report["events_delivered"] == events + 1


def test_the_script_writes_the_corpus(tmp_path: Path) -> None:
    """Each case in a folder of its own, and what is expected of it in one file."""
    script = [sys.executable, damage.__file__, str(tmp_path / "corpus")]
    subprocess.run(script, check=True)
    index = (tmp_path / "corpus" / "expected.ndjson").read_text(encoding="utf-8")
    told = [json.loads(line) for line in index.splitlines()]
    assert [entry["name"] for entry in told] == [case.name for case in CASES]
    for case in CASES:
        written = [p for p in (tmp_path / "corpus" / case.name).rglob("*") if p.is_file()]
        assert len(written) == (case.content is not None)


def _files(folder: Path) -> list[str]:
    return [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()]


def _state(place: Path) -> Path:
    return place / "_cefline" / "out"


def _rejects(place: Path) -> Iterator[dict[str, Any]]:
    for path in sorted((_state(place) / "rejects").rglob("*.ndjson")):
        for line in path.read_bytes().removesuffix(b"\n").split(b"\n"):
            record = json.loads(line)
            if "raw_base64" in record:
                base64.b64decode(record["raw_base64"], validate=True)
            yield record
