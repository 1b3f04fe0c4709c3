"""Plaso itself: what log2timeline finds in real files is delivered, and read back, whole."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import cefline
from tests import plaso
from tests.commands import Result

pytestmark = pytest.mark.slow

COLUMNS = "datetime,timestamp_desc,parser,display_name,data_type,message"


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return what psort writes of one evidence, as JSON lines and as CSV."""
    folder = tmp_path_factory.mktemp("plaso")
    source = plaso.evidence(folder / "evidence")
    lines, table = plaso.timeline(
        plaso.installed(),
        source,
        folder / "work",
        ("-o", "json_line"),
        ("-o", "dynamic", "--fields", COLUMNS),
    )
    return lines, table


def events(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def delivered(
    command: Callable[..., Result], source: Path, out: Path, *options: str
) -> pl.DataFrame:
    """Deliver a source, let it be verified, and return what was delivered."""
    run = "export", str(source), str(out), "--evidence-id", "5", "--json", *options
    result = command(*run)
    assert result.code == 0, result.err
    assert command("verify", str(out)).code == 0
    return pl.concat(map(cefline.parse, sorted(out.rglob("*.cef.gz"))), how="diagonal")


def test_every_event_of_plaso_is_delivered_whole(
    command: Callable[..., Result], exports: tuple[Path, Path], tmp_path: Path
) -> None:
    """Time, message, file, parser and kind of each, in psort's order."""
    made = events(exports[0])
    parsers = {event["parser"] for event in made}
    assert parsers == set(plaso.PARSERS.split(","))
    assert any("\n" in e["message"] or "=" in e["message"] for e in made)
    assert any(e["timestamp"] < 0 for e in made)
    frame = delivered(command, exports[0], tmp_path / "out", "--subseconds")
    assert_told(frame, made)


def test_attributes_of_plaso_are_carried(
    command: Callable[..., Result], exports: tuple[Path, Path], tmp_path: Path
) -> None:
    """Each attribute that no field takes, as it was."""
    made = events(exports[0])
    frame = delivered(command, exports[0], tmp_path / "out", "--unknown", "carry")
    for name in ("command", "url", "reporter", "message_body", "terminal"):
        assert any(name in event for event in made)
        assert frame[name].to_list() == [e.get(name) or None for e in made], name
    assert all("eventTimeMicros" not in frame.columns for _ in made)


def test_every_row_of_plasos_csv_is_delivered_whole(
    command: Callable[..., Result], exports: tuple[Path, Path], tmp_path: Path
) -> None:
    """It writes no quotes for commas, it replaces them: so a plain split is an oracle."""
    made = events(exports[0])
    head, *lines = exports[1].read_text(encoding="utf-8").split("\n")[:-1]
    assert head == COLUMNS
    rows = [dict(zip(COLUMNS.split(","), line.split(","), strict=True)) for line in lines]
    assert len(rows) == len(made)
    frame = delivered(command, exports[1], tmp_path / "out", "--subseconds", "--max-rejects", "9")
    for key, name in (("msg", "message"), ("filePath", "display_name"), ("format", "parser")):
        assert frame[key].to_list() == [row[name] for row in rows], key
    micros = [None if m is None else int(m) for m in frame["eventTimeMicros"]]
    assert micros == [of_iso(row["datetime"]) for row in rows]


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_every_event_of_timesketch_is_delivered_whole(
    form: str, command: Callable[..., Result], exports: tuple[Path, Path], tmp_path: Path
) -> None:
    """What plaso stores for Timesketch, exported as Timesketch does."""
    made = plaso.documents(plaso.installed(), exports[0].parent)
    assert len(made) == len(events(exports[0]))
    source = tmp_path / "source"
    if form == "csv":
        plaso.by_timesketch(made, source)
    else:
        source.write_text("".join(json.dumps(e) + "\n" for e in made), encoding="utf-8")
    frame = delivered(command, source, tmp_path / "out", "--subseconds")
    assert_told(frame, made)
    for key, name in (
        ("source", "source_short"),
        ("sourcetype", "source_long"),
        ("eventId", "_id"),
    ):
        assert frame[key].to_list() == [e.get(name) for e in made], key


def assert_told(frame: pl.DataFrame, made: list[dict[str, Any]]) -> None:
    """Compare what was delivered with plaso's events: times to the microsecond, and the rest."""
    assert frame["eventTime"].to_list() == [e["timestamp"] // 10**6 for e in made]
    assert frame["eventTimeMicros"].cast(pl.Int64).to_list() == [e["timestamp"] for e in made]
    for key, name in (
        ("msg", "message"),
        ("filePath", "display_name"),
        ("format", "parser"),
        ("type", "timestamp_desc"),
        ("data_type", "data_type"),
        ("sha256", "sha256_hash"),
        ("host", "hostname"),
    ):
        assert frame[key].to_list() == [e.get(name) for e in made], key


def of_iso(text: str) -> int | None:
    """Return microseconds; plaso writes a date that is none where it has no time."""
    if text.startswith("0000"):
        return None
    return (datetime.fromisoformat(text) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta.resolution
