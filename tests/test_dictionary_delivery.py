"""Profile `dictionary` delivered: planned, verified field by field, and shown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import polars as pl
import pytest

import cefline
from cefline.pack import TEXT_FORMAT, text_of
from cefline.verify.run import verify
from tests import dictionary, sample
from tests.lines import of_lines, written
from tests.test_verify import Site, differences, forged, text_edit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.commands import Result

EVENT = {
    "evidence_id": 1,
    "source": "EVT",
    "sourcetype": "WinEVTX",
    "tag": "Execution",
    "type": "Creation Time",
    "eventTime": 1595194940.123456,
    "filePath": "/a/b.evtx",
    "isFolder": False,
    "host": "192.0.2.1",
    "source_port": "TCP 80",
    "format": "winevtx",
    "eventId": "e1",
}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Return an empty place of its own."""
    return Site(tmp_path)


def lines(site: Site) -> list[str]:
    """Return the lines at a destination."""
    texts = (text_of(site.read(key)).decode() for key in site.objects())
    return [line for text in texts for line in text.splitlines()]


@pytest.mark.parametrize("name", ["sample", "real_5k", "real_alarms"])
def test_a_delivery_is_verified_field_by_field(
    request: pytest.FixtureRequest, site: Site, name: str
) -> None:
    """Every event is compared with its source, by settings that the run does not have."""
    folder: Path = sample.DATA if name == "sample" else request.getfixturevalue("data")
    settings = {"profile": "dictionary", "subseconds": True, "part_size": 1 << 20}
    (report,) = site.deliver(str(folder / f"{name}.parquet"), unknown="carry", **settings)
    (found,) = verify(cefline.Config(dest=site.dest))
    assert found.is_right, [*found.lines()]
    assert found.compared == found.events == report.tally.delivered > 0
    manifest = site.manifest(report.delivery)
    assert manifest["text_format"] == TEXT_FORMAT["dictionary"] != TEXT_FORMAT["cado"]
    assert manifest["settings"]["profile"] == "dictionary"
    assert [problem for line in lines(site) for problem in dictionary.wrong(line)] == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("externalId=e1", "externalId=e2", "event 3: eventId is not what the source says"),
        ("dvc=192.0.2.1", "dvc=192.0.2.2", "event 3: host is not what the source says"),
        ("dvc=192.0.2.1", "dvchost=a", "event 3: host is not what the source says"),
        ("cs2=winevtx", "cs2=other", "event 3: format is not what the source says"),
        ("cat=Execution", "cat=WinEVTX", "event 3: tag is not what the source says"),
        ("fileType=file", "fileType=folder", "event 3: isFolder is not what the source says"),
        (
            "rt=1595194940123 start=1595194940123",
            "rt=1595194940124 start=1595194940124",
            "event 3: eventTime is not what the source says",
        ),
        ("|evt-creation-time|", "|evt-other|", "event 3: its header or keys are not"),
        ("fname=b.evtx", "fname=c.evtx", "event 3: its header or keys are not"),
        ("dvc=192.0.2.1", "dvchost=192.0.2.1", "event 3: its header or keys are not"),
        ("dvc=192.0.2.1", "dvc=192.0.2.1 bogus=1", "bogus is no field of the source"),
    ],
)
def test_what_differs_is_named_by_its_field(site: Site, old: str, new: str, expected: str) -> None:
    """Not by the key that it has."""
    content = of_lines([EVENT] * 4)
    delivery = site.one("a.jsonl", content, profile="dictionary", part_size=1 << 20)
    assert differences(site) == []
    forged(site, delivery, text_edit(old, new))
    assert any(found.startswith(expected) for found in differences(site))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("cs2Label=Parser ", ""),
        ("start=1595194940123", "start=1"),
        ("rt=1595194940123 start", "eventTime=1 start"),
    ],
)
def test_a_line_that_is_not_of_the_profile_is_found(site: Site, old: str, new: str) -> None:
    """It can't be parsed, or holds what no field has."""
    content = of_lines([EVENT] * 4)
    delivery = site.one("a.jsonl", content, profile="dictionary", part_size=1 << 20)
    forged(site, delivery, text_edit(old, new))
    (found,) = verify(cefline.Config(dest=site.dest))
    assert not found.is_right


def test_a_rerun_takes_the_profile_of_the_plan(site: Site) -> None:
    """What is out stays, and the rest follows under the same keys."""
    path = site.write("a.jsonl", of_lines([{**EVENT, "eventId": f"e{n}"} for n in range(9)]))
    site.killed("-000001.cef", path, profile="dictionary", part_size=600)
    (report,) = site.deliver(path, profile="cado", part_size=600)
    assert "settings of this run that differ: profile" in " ".join(report.notes)
    ids = [dict(dictionary.pairs(line))["externalId"] for line in lines(site)]
    assert ids == [f"e{n}" for n in range(9)]
    (found,) = verify(cefline.Config(dest=site.dest))
    assert found.is_right
    assert found.compared == 9


def test_both_profiles_may_be_in_one_destination(site: Site) -> None:
    """Each delivery is verified by its own."""
    site.one("a.jsonl", of_lines([EVENT]), profile="dictionary")
    site.one("b.jsonl", of_lines([{**EVENT, "eventId": "e2"}]), profile="cado")
    found = list(verify(cefline.Config(dest=site.dest)))
    assert [(one.is_right, one.compared) for one in found] == [(True, 1)] * 2


def test_a_plan_with_a_profile_of_another_version_is_told() -> None:
    """It can't be finished, nor verified, by this one."""
    settings = {**cefline.Config().planned(), "profile": "other"}
    with pytest.raises(cefline.CeflineError, match=r"settings that cefline .* does not know"):
        cefline.Config().with_planned(settings)


# Columns that no field takes.


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("md5", "CadoResponseMd5"),
        ("process_user", "CadoResponseProcessUser"),
        ("a b", "CadoResponseAB"),
        ("", "CadoResponse2"),
        ("Evidence Name", "CadoResponseEvidenceName2"),
        ("event_Time.Micros", "CadoResponseEventTimeMicros2"),
        ("diskLabel", "CadoResponseDiskLabel2"),
        ("rt", "CadoResponseRt"),
        ("cs1", "CadoResponseCs1"),
    ],
)
def test_a_carried_column_has_a_conformant_key(name: str, key: str) -> None:
    """Letters and digits behind the product's name, and none of the table's."""
    made = written(of_lines([{"msg": "m", name: "x"}]), unknown="carry", profile="dictionary")
    assert list(dictionary.wrong(made.lines[0])) == []
    assert dict(dictionary.pairs(made.lines[0])) == {key: "x", "msg": "m"}


def test_carried_columns_are_verified(site: Site) -> None:
    """Also those whose names are like what parsing adds."""
    event = {**EVENT, "md5": "ab", "eventTimeMillis": "x", "fname": "y", "a_b": "1", "aB": "2"}
    settings = {"profile": "dictionary", "unknown": "carry", "part_size": 1 << 20}
    delivery = site.one("a.jsonl", of_lines([event] * 4), **settings)
    assert differences(site) == []
    forged(site, delivery, text_edit("CadoResponseMd5=ab", "CadoResponseMd5=ac"))
    assert "event 3: md5 is not what the source says" in differences(site)


# The command line.


def test_the_keys_of_the_profile_are_shown(command: Callable[..., Result]) -> None:
    """As text and as a Markdown table, with what fits and why."""
    told = command("fields", "--profile", "dictionary").out
    (host,) = re.findall("^host .*", told, re.MULTILINE)
    assert "dvc (IPv4), c6a1 (IPv6, label DeviceIPv6Address), dvchost (100)" in host
    assert all(f"\n{name} " in told for name in ("alarm", "eventTime", "extra"))
    assert command("fields", "--profile", "dictionary", "--markdown").out.startswith("| Field |")


def test_preview_has_the_profile(command: Callable[..., Result]) -> None:
    """Its lines keep to the dictionary."""
    path = str(sample.DATA / "sample.parquet")
    shown = command("preview", path, "--profile", "dictionary", "-n", "300").out
    assert [problem for line in shown.splitlines() for problem in dictionary.wrong(line)] == []
    assert shown.count("\n") == 300


def test_signature_ids_are_those_of_the_lines(command: Callable[..., Result]) -> None:
    """Each one, with the number of its events; a value that steers terminals does not."""
    path = str(sample.DATA / "sample.parquet")
    told = command("fields", "--signatures", path).out.splitlines()
    found = {line.split()[0]: int(line.split()[1].replace(",", "")) for line in told[1:]}
    frames = list(cefline.read(path))
    ids = pl.concat(
        [cefline.parse(cefline.render(f, "dictionary"))["signature_id"] for f in frames]
    )
    assert found == dict(ids.value_counts().rows())
    assert all(line.isprintable() for line in told)


def test_signature_ids_of_a_source_that_is_not_there_are_an_error(
    command: Callable[..., Result], tmp_path: Path
) -> None:
    """One line, no traceback."""
    result = command("fields", "--signatures", str(tmp_path / "none.parquet"))
    assert result.code == 1
    assert "Traceback" not in result.err


@pytest.mark.parametrize("framing", ["none", "rfc3164", "rfc5424"])
def test_selection_stamp_and_framing_go_with_the_profile(site: Site, framing: str) -> None:
    """Each event that is wanted is compared with its source, beside the others' count."""
    events = [{**EVENT, "eventId": f"e{n}", "inode": str(n)} for n in range(9)]
    settings = {"framing": framing, "stamp": True, "cef_version": 1, "drop": ("sourcetype",)}
    path = site.write("a.jsonl", of_lines(events))
    (report,) = site.deliver(path, profile="dictionary", where="inode > 3", **settings)
    assert (report.tally.delivered, report.tally.filtered) == (5, 4)
    (found,) = verify(cefline.Config(dest=site.dest))
    assert found.is_right, [*found.lines()]
    assert found.compared == 5
    for line in lines(site):
        header, found_version, rest = line.partition("CEF:1|")
        assert found_version
        assert bool(header) == (framing != "none")
        pairs = dict(dictionary.pairs(f"CEF:0|{rest}"))
        assert pairs["CadoResponseDelivery"] == report.delivery
        assert "WinEVTX" not in pairs.values()
