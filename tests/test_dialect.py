"""Dialects: what a source is told to be, and what its names and units become."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cefline
from cefline.config import Config
from cefline.conform import Rules
from cefline.errors import SourceError
from cefline.read import Limits, open_source
from cefline.read.dialect import told
from cefline_schemas.dialects import CADO, DIALECTS
from cefline_schemas.timeline import BY_NAME, FIELDS
from tests.commands import Result

PLASO = {
    "__container_type__": "event",
    "__type__": "AttributeContainer",
    "data_type": "linux:utmp:event",
    "date_time": {"__class_name__": "PosixTimeInMicroseconds", "timestamp": 1600000100999999},
    "display_name": "OS:/var/log/wtmp",
    "hostname": "10.0.0.7",
    "message": "User: alice",
    "parser": "utmp",
    "pathspec": {"__type__": "PathSpec", "location": "/var/log/wtmp", "type_indicator": "OS"},
    "sha256_hash": "a08069",
    "timestamp": 1600000100999999,
    "timestamp_desc": "Content Modification Time",
    "username": "alice",
    "version": 7,
}
TIMESKETCH = {
    "_id": "aB3",
    "comment": [{"comment": "seen", "username": "dev"}],
    "data_type": "linux:utmp:event",
    "datetime": "2020-09-13T12:28:20.999999+00:00",
    "display_name": "OS:/var/log/wtmp",
    "message": "User: alice",
    "parser": "utmp",
    "source_long": "UTMP session",
    "source_short": "LOG",
    "tag": ["login", "remote"],
    "timestamp": 1600000100999999,
    "timestamp_desc": "Content Modification Time",
}
CADO_API = {
    "timestamp": 1600000100.5,
    "evidence_id": 3,
    "id": "x1",
    "filename": "/var/log/wtmp",
    "alarm_information": [
        {"description": "Odd login", "severity": 3, "attack": ["T1078"]},
        {"description": "Known bad", "severity": 1, "attack": []},
        {"description": "Odd login", "severity": 3, "attack": []},
    ],
}
MOMENT = datetime(2020, 9, 13, 12, 28, 20, 999999, UTC)


def written(path: Path, *events: Mapping[str, object]) -> Path:
    path.write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")
    return path


def read(path: Path, limits: Limits | None = None, rules: Rules | None = None) -> pl.DataFrame:
    frames = cefline.read(path, rules or Rules(), limits or Limits())
    return pl.concat(frames, how="diagonal")


def dialect(path: Path) -> str:
    return open_source(path, "the source", Limits()).dialect.name


@pytest.mark.parametrize(
    ("event", "name"),
    [
        (PLASO, "plaso"),
        (TIMESKETCH, "timesketch"),
        ({"message": "m", "timestamp_desc": "t", "timestamp": 1}, "timesketch"),
        ({"message": "m", "timestamp_desc": "t", "datetime": "2020-01-01T00:00:00Z"}, "timesketch"),
        (CADO_API, "cado"),
        ({"timestamp": 1, "message": "m"}, "cado"),
        ({"macb": "M...", "type": "t", "sha256": "9", "eventTime": 1610559005}, "cado"),
    ],
)
def test_json_and_parquet_tell_their_dialect(
    event: dict[str, object], name: str, tmp_path: Path
) -> None:
    """By the names alone: the file's own name says nothing."""
    assert dialect(written(tmp_path / "plaso.parquet", event)) == name
    pl.DataFrame([event]).write_parquet(tmp_path / "cado.json")
    assert dialect(tmp_path / "cado.json") == name


def test_an_event_of_plaso_becomes_canonical(tmp_path: Path) -> None:
    """Its microseconds are kept; what only has the name of a field is not taken for it."""
    frame = read(written(tmp_path / "x", PLASO))
    assert frame.row(0, named=True) == {
        "eventTime": MOMENT,
        "filePath": "OS:/var/log/wtmp",
        "type": "Content Modification Time",
        "format": "utmp",
        "data_type": "linux:utmp:event",
        "sha256": "a08069",
        "host": "10.0.0.7",
        "suser": "alice",
        "msg": "User: alice",
    }
    opened = open_source(tmp_path / "x", "the source", Limits())
    assert opened.unknown == ("__container_type__", "__type__", "date_time", "pathspec", "version")


def test_an_event_of_timesketch_becomes_canonical(tmp_path: Path) -> None:
    frame = read(written(tmp_path / "x", TIMESKETCH))
    assert frame.row(0, named=True) == {
        "source": "LOG",
        "sourcetype": "UTMP session",
        "eventTime": MOMENT,
        "filePath": "OS:/var/log/wtmp",
        "type": "Content Modification Time",
        "tag": "['login', 'remote']",
        "format": "utmp",
        "data_type": "linux:utmp:event",
        "eventId": "aB3",
        "notes": "[{'comment': 'seen', 'username': 'dev'}]",
        "msg": "User: alice",
    }


def parquet(path: Path, *events: dict[str, object]) -> Path:
    pl.DataFrame(events).write_parquet(path)
    return path


@pytest.mark.parametrize("write", [written, parquet])
def test_alarms_of_the_api_are_told_by_their_list(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    """The gravest severity, each description once; the list itself is delivered as well."""
    frame = read(write(tmp_path / "x", CADO_API))
    assert frame.select("alarm", "alarm_severity", "alarm_description").row(0) == (
        True,
        1,
        "Odd login; Known bad",
    )
    assert frame["alarm_information"][0].startswith(
        "[{'description': 'Odd login', 'severity': 3, 'attack': ['T1078']}, {"
    )
    assert cefline.render(frame)[0].split("|")[6] == "10"


def test_alarms_of_an_events_own_win_over_its_list(tmp_path: Path) -> None:
    frame = read(written(tmp_path / "x", CADO_API | {"alarm_severity": 10}, CADO_API))
    assert frame["alarm_severity"].to_list() == [10, 1]


@pytest.mark.parametrize("listed", [[], None, "none", [1], "[{"])
def test_a_list_without_alarms_tells_of_none(listed: object, tmp_path: Path) -> None:
    frame = read(written(tmp_path / "x", {"id": "1", "alarm_information": listed}))
    assert not {"alarm", "alarm_severity", "alarm_description"} & {
        name for name in frame.columns if frame[name].null_count() < frame.height
    }


def test_a_severity_that_is_no_number_is_a_reject(
    command: Callable[..., Result], tmp_path: Path
) -> None:
    """The alarm is told all the same, and its list is delivered whole."""
    said = {"alarm_information": [{"severity": "Malicious"}]}
    written(tmp_path / "x", {"id": "1", **said}, *({"id": str(n)} for n in range(5)))
    frame = read(tmp_path / "x")
    assert frame["alarm"].to_list() == [True, *[None] * 5]
    assert frame["alarm_information"][0] == "[{'severity': 'Malicious'}]"
    result = command(
        "export", "--dry-run", "--json", "--max-rejects", "9", str(tmp_path / "x"), "o"
    )
    (reject,) = result.lines[0]["sources"][0]["rejects"]
    assert (reject["field"], reject["kind"], reject["count"]) == ("alarm_severity", "value", 1)


# Units.


@given(st.integers(-11_644_473_600_000_000, 4_102_444_800_000_000))
def test_times_of_plaso_are_exact(tmp_path_factory: pytest.TempPathFactory, micros: int) -> None:
    """From 1601 to 2100, zero and negative ones too: floored to seconds in a line."""
    path = tmp_path_factory.mktemp("plaso") / "x"
    many = [PLASO | {"timestamp": n} for n in (micros, 1_600_000_000_000_000, 10**15)]
    frame = read(written(path, *many))
    assert frame["eventTime"].to_physical()[0] == micros
    assert cefline.parse(cefline.render(frame))["eventTime"][0] == micros // 10**6


@pytest.mark.parametrize(
    "number", [1_600_000_000, 1_600_000_000_000, 1_600_000_000_000_000_000, "1600000000"]
)
@pytest.mark.parametrize("event", [PLASO, TIMESKETCH])
def test_numbers_of_another_unit_fail_the_source(
    event: dict[str, object], number: object, command: Callable[..., Result], tmp_path: Path
) -> None:
    """Seconds, milliseconds and nanoseconds are no microseconds of a timeline."""
    path = written(tmp_path / "x", event | {"timestamp": number})
    result = command("export", str(path), str(tmp_path / "out"))
    assert result.code == 1
    assert f"the numbers in timestamp are no microseconds: {number} for one" in result.err
    assert "--time-unit" in result.err
    assert not (tmp_path / "out").exists()


def test_a_unit_that_is_said_is_taken(command: Callable[..., Result], tmp_path: Path) -> None:
    path = written(tmp_path / "x", PLASO | {"timestamp": 1_600_000_100})
    result = command("preview", "--time-unit", "s", str(path))
    assert "eventTime=1600000100 " in result.out


def test_names_of_two_dialects_need_the_option(
    command: Callable[..., Result], tmp_path: Path
) -> None:
    """Units would be a guess; the option says whose names are meant."""
    event = TIMESKETCH | {"timestamp": None, "eventTime": 1_600_000_100, "evidence_id": 3}
    path = written(tmp_path / "x", event)
    result = command("export", str(path), str(tmp_path / "out"))
    assert result.code == 1
    assert "dialects cado and timesketch" in result.err
    assert "--dialect cado" in result.err
    shown = command("preview", "--dialect", "timesketch", str(path)).out
    assert "eventTime=1600000100 filePath=OS:/var/log/wtmp " in shown
    assert "evidence_id" not in shown
    shown = command("preview", "--dialect", "cado", str(path)).out
    assert "evidence_id=3 eventTime=1600000100 " in shown


@pytest.mark.parametrize(
    ("said", "exact", "kept"),
    [
        ("2020-09-13T12:28:20+00:00", 1600000100999999, 1600000100999999),
        ("2020-09-13T12:28:20.999Z", 1600000100999999, 1600000100999999),
        ("2020-09-13T14:28:20.999999+02:00", 1600000100999999, 1600000100999999),
        ("2020-09-13T12:28:20.5+00:00", 1600000100999999, 1600000100500000),
        ("2020-09-13T12:28:21+00:00", 1600000100999999, 1600000101000000),
        ("1960-01-01T00:00:00+00:00", -315619199999999, -315619199999999),
        ("0000-00-00T00:00:00.000000+00:00", 1600000100999999, 1600000100999999),
        (None, 1600000100999999, 1600000100999999),
        ("2020-09-13T12:28:20+00:00", None, 1600000100000000),
    ],
)
def test_datetime_wins_and_timestamp_is_finer(
    said: str | None, exact: int | None, kept: int, tmp_path: Path
) -> None:
    event = TIMESKETCH | {"datetime": said, "timestamp": exact}
    others = [TIMESKETCH] * 3
    frame = read(written(tmp_path / "x", event, *others))
    assert frame["eventTime"].to_physical()[0] == kept


def test_times_that_contradict_are_rejects(command: Callable[..., Result], tmp_path: Path) -> None:
    """`datetime` is delivered; the number is kept."""
    odd = TIMESKETCH | {"timestamp": 1_500_000_000_000_000}
    path = written(tmp_path / "x", odd, TIMESKETCH)
    result = command("export", "--json", "--evidence-id", "1", str(path), str(tmp_path / "out"))
    (source,) = result.lines[0]["sources"]
    (reject,) = source["rejects"]
    assert (reject["field"], reject["kind"], reject["count"]) == ("eventTime", "value", 1)
    assert "differs" in reject["reason"]
    (part,) = result.lines[0]["parts"]
    assert cefline.parse(Path(part["url"]))["eventTime"].to_list() == [1600000100] * 2


# The option, the report and the plan.


def test_a_dialect_that_is_said_is_not_told(tmp_path: Path) -> None:
    assert told(["timestamp_desc", "message", "eventTime"], "x", "plaso") is DIALECTS["plaso"]
    with pytest.raises(SourceError, match="cado and timesketch"):
        told(["timestamp_desc", "message", "eventTime"], "x", "auto")
    with pytest.raises(SourceError, match="no column of a timeline"):
        open_source(parquet(tmp_path / "x", {"eventTime": 1}), "x", Limits(dialect="plaso"))


def test_each_dialect_names_fields_of_the_table_alone() -> None:
    """No input name stands for two fields; each dialect has a time."""
    for one in DIALECTS.values():
        assert [field.name for field in one.fields] == [field.name for field in FIELDS]
        names = [name for field in one.fields for name in field.names]
        assert len(names) == len(set(names))
        assert one.known.keys() == set(names)
        assert "eventTime" in one.known.values()
        assert all(part.field in BY_NAME and part.column in one.known for part in one.parts)
    assert CADO.fields is FIELDS


def test_the_report_and_the_manifest_have_the_dialect(
    command: Callable[..., Result], tmp_path: Path
) -> None:
    """So do the settings that a rerun takes."""
    path, out = written(tmp_path / "x", PLASO), tmp_path / "out"
    run = "export", str(path), str(out), "--evidence-id", "1"
    assert "  dialect: plaso\n" in command(*run).out
    (manifest,) = (tmp_path / "_cefline" / "out" / "manifests").iterdir()
    said = json.loads(manifest.read_text(encoding="utf-8"))
    assert said["source"]["dialect"] == "plaso"
    assert said["settings"]["dialect"] == "auto"
    planned = Config(dialect="timesketch").with_planned(said["settings"])
    assert planned.dialect == "auto"
    again = command(*run, "--json", "--redeliver", "again", "--dialect", "plaso")
    assert again.lines[0]["sources"][0]["dialect"] == "plaso"


def test_the_verifier_reads_a_source_in_its_dialect(
    command: Callable[..., Result], tmp_path: Path
) -> None:
    events = [
        PLASO | {"timestamp": 1_600_000_000_000_000 + n, "message": f"m{n}"} for n in range(9)
    ]
    path, out = written(tmp_path / "x", *events), tmp_path / "out"
    assert (
        command("export", str(path), str(out), "--unknown", "carry", "--evidence-id", "1").code == 0
    )
    checked = command("verify", str(out), "--json")
    assert checked.code == 0, checked.out
    assert '"compared": 9' in checked.out


def test_columns_of_no_field_are_carried_beside_a_dialects_own(
    command: Callable[..., Result], tmp_path: Path
) -> None:
    """`version` is an attribute of plaso's: under a key that is not the table's."""
    path = written(tmp_path / "x", PLASO)
    line = command("preview", str(path)).out
    assert "version" not in line
    out = tmp_path / "out"
    assert (
        command("export", str(path), str(out), "--unknown", "carry", "--evidence-id", "1").code == 0
    )
    (part,) = out.rglob("*.cef.gz")
    frame = cefline.parse(part)
    assert frame["version_2"].to_list() == ["7"]
    assert "'location': '/var/log/wtmp'" in frame["pathspec"][0]


def test_a_dialect_that_is_none_is_told(command: Callable[..., Result]) -> None:
    result = command("preview", "--dialect", "plasma", "x")
    assert result.code == 78
    assert "did you mean plaso?" in result.err
