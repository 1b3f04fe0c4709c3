"""Targets: presets that are settings, and lines that keep to what each reader takes."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cefline
from cefline.conform import Rules, conform
from cefline.convert import demands
from cefline.read import Batch
from cefline.render import Profile
from cefline.render import render as render_columns
from cefline.verify.run import verify
from cefline_schemas.targets import TARGETS, Target
from cefline_schemas.timeline import FIELDS
from tests import dictionary, sample
from tests.lines import of_lines
from tests.test_limit import ANY_LENGTH, check, frames, parsed, rendered, texts
from tests.test_verify import Site

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.commands import Result

NAMES = [
    "splunk",
    "elastic",
    "logstash",
    "qradar",
    "logscale",
    "secops",
    "sentinel",
    "graylog",
    "sumo",
    "cribl",
    "datadog",
    "vector",
    "tenzir",
    "arcsight",
]
NEVER_CUT = {f.name for f in FIELDS if not f.free}

targets = pytest.mark.parametrize("target", TARGETS, ids=NAMES)


def config(name: str, **flags: str) -> cefline.Config:
    """Return the settings of a target."""
    return cefline.load_config({"target": name, **flags}, {}, None).config


def profile(name: str) -> Profile:
    """Return how lines are written for a target."""
    made = config(name)
    return Profile(name=made.profile, demands=demands(made))


def test_there_is_a_row_for_each_siem() -> None:
    """Those that people use."""
    assert [target.name for target in TARGETS] == NAMES


@targets
def test_a_target_sets_what_its_row_says(target: Target) -> None:
    """Each fact is a setting in force, and says that the target set it."""
    found = cefline.load_config({"target": target.name}, {}, None)
    asked = {fact.setting: fact.value for fact in target.facts}
    assert {n for n, origin in found.origins.items() if origin == f"target {target.name}"} == {
        *asked
    }
    assert len(asked) == len(target.facts)
    alone = cefline.load_config(asked, {}, None)
    assert replace(found.config, target=None) == alone.config
    assert asked.keys() >= {"profile", "compression"}


def test_a_setting_of_ones_own_wins(tmp_path: Path) -> None:
    """From wherever it comes, and from wherever the target does."""
    file = tmp_path / "c.toml"
    file.write_text("max_line = 5000\ncompression = 'zstd'\n", encoding="utf-8")
    found = cefline.load_config({"target": "splunk"}, {"CEFLINE_CRLF": "keep"}, file)
    assert (found.config.max_line, found.config.compression) == (5000, "zstd")
    assert (found.config.crlf, found.config.profile) == ("keep", "dictionary")
    file.write_text("target = 'qradar'\n", encoding="utf-8")
    assert cefline.load_config({}, {}, file).config.max_line == 4096
    assert cefline.load_config({"target": "splunk"}, {}, file).config.max_line == 10_000
    assert cefline.load_config({"max_line": "9000"}, {}, file).config.max_line == 9000


def test_a_target_of_json_sets_nothing_of_cef() -> None:
    """Its lines have no keys to shorten texts of; what is asked for by oneself is refused."""
    found = cefline.load_config({"target": "logstash", "format": "json"}, {}, None).config
    assert (found.pace, found.compression, found.profile) == (1.0, "gzip", "cado")
    assert demands(found) == demands(cefline.Config())
    with pytest.raises(cefline.CeflineError, match="max_line is 4096 and format is json"):
        cefline.load_config({"max_line": "4096", "format": "json"}, {}, None)


def test_an_unknown_target_is_told() -> None:
    """With what it may have been."""
    with pytest.raises(cefline.CeflineError, match="did you mean splunk"):
        cefline.load_config({"target": "splnk"}, {}, None)


@targets
def test_the_plan_has_settings_and_no_target(target: Target) -> None:
    """A rerun and `verify` need none."""
    made = config(target.name)
    planned = json.loads(json.dumps(made.planned()))
    assert "target" not in planned
    assert demands(cefline.Config().with_planned(planned)) == demands(made)


def test_a_plan_of_before_has_no_demands() -> None:
    """What this run asks for does not change a delivery that was planned without it."""
    before = cefline.Config().planned()
    assert not before.keys() & {"max_line", "max_value", "time_window", "escapes", "omit", "crlf"}
    later = config("splunk").with_planned(before)
    assert demands(later) == demands(cefline.Config())


@pytest.mark.parametrize("name", ["sample", "real_alarms", "real_5k"])
@targets
def test_a_timeline_arrives_whole(
    request: pytest.FixtureRequest, target: Target, name: str
) -> None:
    """No line or value exceeds a limit, what is cut adds up, and identity is whole in all."""
    folder: Path = sample.DATA if name == "sample" else request.getfixturevalue("data")
    for frame in cefline.read(folder / f"{name}.parquet"):
        compared(frame, target.name, most_refused=2)


def compared(frame: pl.DataFrame, name: str, most_refused: int) -> None:
    """Compare lines for a target with what they are without its limits."""
    own = replace(profile(name), max_event=ANY_LENGTH)
    free = replace(own, demands=replace(own.demands, max_line=None, max_value=None))
    wholes, made = texts(rendered(frame, free)), rendered(frame, own)
    cuts = texts(made)
    before, after = parsed(wholes, own), parsed(cuts, own)
    counted = dict[str, int]()
    for row, line in cuts.items():
        gone = check(wholes[row], line, own.demands, (before[row], after[row]))
        counted = {n: counted.get(n, 0) + gone.get(n, 0) for n in counted | gone}
        for field in NEVER_CUT & before[row].keys():
            assert after[row][field] == before[row][field]
    assert {f: n for (f, kind), n in made.counts.items() if kind == "cut_bytes"} == counted
    refused = made.rejects.filter(kind="row")
    assert set(refused["row"]) == wholes.keys() - cuts.keys()
    assert refused["reason"].str.starts_with("line_limit: ").all()
    assert refused.height <= most_refused


@given(frame=frames(), name=st.sampled_from(NAMES))
def test_hostile_events_arrive_whole(frame: pl.DataFrame, name: str) -> None:
    """As real ones do."""
    compared(frame, name, most_refused=frame.height)


@given(frame=frames(), name=st.sampled_from(NAMES))
def test_lines_for_a_target_keep_to_the_dictionary(frame: pl.DataFrame, name: str) -> None:
    """Types and lengths hold of what is cut, too."""
    own = profile(name)
    plain = replace(own, demands=replace(own.demands, escapes=Profile().demands.escapes))
    for line in texts(rendered(frame, plain)).values():
        assert list(dictionary.wrong(line)) == []


@targets
def test_an_event_has_its_id_and_category_where_readers_look(target: Target) -> None:
    """`externalId` and `cat`: several delete `eventId` and `type`."""
    event = {"eventId": "nEqI5n", "tag": "Execution", "type": "Last Time Executed"}
    data = pl.DataFrame([event]).to_arrow(compat_level=pl.CompatLevel.oldest())
    columns = conform(Batch(data.to_batches()[0], pl.int_range(1, eager=True)), Rules()).columns
    ((_, lines),) = render_columns(columns, profile(target.name)).slices()
    found = dict(dictionary.pairs(lines[0].as_py().removesuffix("\n")))
    assert found["externalId"] == "nEqI5n"
    assert found["cat"] == "Execution"
    assert not found.keys() & {"eventId", "type"}


@targets
def test_a_delivery_for_a_target_is_verified(tmp_path: Path, target: Target) -> None:
    """By what its plan says, with cuts, windows and all."""
    site = Site(tmp_path)
    event = {"evidence_id": 1, "msg": 'a|"\r\n' * 9000, "host": "-", "extra": "x" * 500_000}
    content = of_lines([{**event, "eventTime": t, "eventId": str(t)} for t in (1, 10**9, 2**31)])
    made = replace(
        config(target.name), sources=(site.write("a.jsonl", content),), dest=site.dest, pace=0
    )
    report = cefline.export(made)
    assert (report.exit_code, report.delivered) == (0, 3)
    (found,) = verify(cefline.Config(dest=site.dest))
    assert found.is_right, [*found.lines()]
    assert found.compared == 3


def test_a_line_for_datadog_fits_as_json() -> None:
    """The Forwarder drops an item above 512,000 bytes, its tags and the key of the part within."""
    frame = pl.DataFrame({"msg": ['\\"\t' * 500_000]})
    (line,) = texts(rendered(frame, profile("datadog"))).values()
    assert 240_000 < len(line) < 250_000
    item = {"message": line, "aws": {"s3": {"key": "k" * 1024}}, "ddtags": "t" * 8192}
    assert len(json.dumps(item, ensure_ascii=False).encode()) <= 512_000


def test_what_a_target_sets_is_shown(command: Callable[..., Result]) -> None:
    """With the settings in force, and for all targets as a table."""
    told = command("config", "--target", "splunk").out
    assert "max_line = 10000  (target splunk)" in told
    assert "part_size = 64MiB  (default)" in told
    table = command("fields", "--targets").out
    assert all(f"\n{name} " in table for name in NAMES)
    assert command("fields", "--targets", "--markdown").out.startswith("| Target |")


def test_preview_has_the_target(command: Callable[..., Result]) -> None:
    """Its lines are those that would be delivered."""
    path = str(sample.DATA / "sample.parquet")
    lines = command("preview", path, "--target", "qradar", "-n", "300").out.splitlines()
    assert max(len(line.encode()) for line in lines) < 4096
    assert len(lines) >= 298
