"""What SIEMs read of both profiles: rule sets, Vector's own parser, and the pages' patterns.

Each reader's own faults are named where its view of a value is computed; all else must be equal.
"""

from __future__ import annotations

import configparser
import json
import re
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given

import cefline
from tests import dictionary, hostile, sample
from tests.readers import LostError, beats, logstash, splunk

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

    from cefline_schemas.dictionary import ProfileName

PROFILES: list[ProfileName] = ["cado", "dictionary"]
CORPORA = ["sample", "real_alarms", "real_5k"]
BLANKS = " \t\r\n\f\v"
DOCS = Path(__file__).resolve().parent.parent / "docs" / "siem"


def page(name: str) -> str:
    """Return the text of a page."""
    return (DOCS / f"{name}.md").read_text(encoding="utf-8")


def block(name: str, language: str, within: str) -> str:
    """Return the only fenced block of a page in which something stands."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", page(name), re.MULTILINE | re.DOTALL)
    (one,) = [text for text in found if within in text]
    return str(one)


def settings(name: str, within: str) -> dict[str, dict[str, str]]:
    """Return a configuration of a page, by section."""
    parser = configparser.RawConfigParser(delimiters=("=",), comment_prefixes=("#",), strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign] # case counts
    parser.read_string(block(name, "ini", within))
    return {section: dict(parser[section]) for section in parser.sections()}


@pytest.fixture(params=CORPORA)
def corpus(request: pytest.FixtureRequest) -> Path:
    """Return a timeline; the real ones where they are at hand."""
    if request.param == "sample":
        return sample.DATA / "sample.parquet"
    folder: Path = request.getfixturevalue("data")
    return folder / f"{request.param}.parquet"


def lines(frame: pl.DataFrame, profile: ProfileName) -> Iterator[str]:
    """Yield the lines of a frame."""
    yield from (line for line in cefline.render(frame, profile) if line is not None)


def all_lines(path: Path, profile: ProfileName) -> list[str]:
    """Return the lines of a source."""
    return [line for frame in cefline.read(path) for line in lines(frame, profile)]


def undone(value: str) -> str:
    """Return a value without its escapes."""
    return re.sub(r"\\(.)", lambda m: {"n": "\n", "r": "\r"}.get(m[1], m[1]), value)


def values(line: str) -> dict[str, str]:
    """Return the values of a line, by a pattern that no reader has."""
    return {key: undone(value) for key, value in dictionary.pairs(line)}


def extension(found: dict[str, str]) -> dict[str, str]:
    """Return what is no header's."""
    return {key: value for key, value in found.items() if not key.startswith("header.")}


def header(line: str) -> list[str]:
    """Return the header's fields after the version of CEF, as they are written."""
    found = re.match(r"CEF:0\|((?:(?:[^|\\]|\\.)*\|){6})", line)
    assert found, line
    return re.findall(r"((?:[^|\\]|\\.)*)\|", found[1])


# Logstash.


def assert_logstash_reads(line: str, *, ecs: bool) -> None:
    """Fault: blanks at the end of each value are lost."""
    read = logstash.read(line, ecs=ecs)
    assert extension(read) == {k: undone(v.rstrip(BLANKS)) for k, v in dictionary.pairs(line)}
    assert read["header.severity"] == header(line)[5]
    assert read["header.name"] == re.sub(r"\\([\\|])", r"\1", header(line)[4])


@pytest.mark.parametrize("profile", PROFILES)
def test_logstash_reads_every_event(corpus: Path, profile: ProfileName) -> None:
    for line in all_lines(corpus, profile):
        assert_logstash_reads(line, ecs=False)


def test_logstash_in_ecs_mode_loses_no_event_of_the_dictionary(corpus: Path) -> None:
    for line in all_lines(corpus, "dictionary"):
        assert_logstash_reads(line, ecs=True)


@pytest.mark.parametrize(("name", "lost"), [("real_alarms", 1683), ("real_5k", 659)])
def test_logstash_in_ecs_mode_loses_what_the_codec_itself_loses(
    data: Path, name: str, lost: int
) -> None:
    """Of profile `cado`, events with both `source` and `suser`: as many as its own code lost."""
    count = 0
    for line in all_lines(data / f"{name}.parquet", "cado"):
        try:
            logstash.read(line, ecs=True)
        except LostError:
            count += 1
    assert count == lost


@given(hostile.frames())
def test_logstash_reads_hostile_events(frame: pl.DataFrame) -> None:
    """Neither text nor a time loses an event, or moves into another field."""
    for profile in PROFILES:
        for line in lines(frame, profile):
            assert_logstash_reads(line, ecs=profile == "dictionary")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("CEF:0|a|b|c|d|e|1", "header"),
        ("CEF:0|a|b|c|d|e|1|text a=b", "keyless"),
        ("CEF:0|a|b|c|d|e|1|source=REG suser=x", "below"),
        ("CEF:0|a|b|c|d|e|1|rt=0", "no time"),
        ("CEF:0|a|b|c|d|e|1|start=-5", "no time"),
    ],
)
def test_logstash_loses_what_it_is_said_to_lose(line: str, why: str) -> None:
    with pytest.raises(LostError, match=why):
        logstash.read(line, ecs=True)


def test_logstash_takes_what_is_not_escaped_for_a_key() -> None:
    read = logstash.read("CEF:0|a|b|c|d|e|1|msg=x y=1\\=2  z=\\q ", ecs=False)
    assert extension(read) == {"msg": "x", "y": "1=2", "z": "\\q"}


# Beats.


def assert_beats_reads(line: str, profile: ProfileName) -> None:
    """Faults: blanks at the end of the line; of profile `cado` the two names with a type."""
    told = values(line)
    last = list(told)[-1] if told else ""
    expected = {key: value.rstrip(" ") if key == last else value for key, value in told.items()}
    typed = set() if profile == "dictionary" else {"type", "eventId"} & set(told)
    read = beats.read(line)
    found = extension(read.found)
    assert {k: v for k, v in found.items() if k not in typed} == {
        k: v for k, v in expected.items() if k not in typed and v
    }
    assert len(read.errors) == sum(key not in found and bool(expected[key]) for key in typed)
    assert read.found["header.severity"] == header(line)[5]


@pytest.mark.parametrize("profile", PROFILES)
def test_beats_reads_every_event(corpus: Path, profile: ProfileName) -> None:
    """Of the dictionary without one error."""
    for line in all_lines(corpus, profile):
        assert_beats_reads(line, profile)


@given(hostile.frames())
def test_beats_reads_hostile_events(frame: pl.DataFrame) -> None:
    for profile in PROFILES:
        for line in lines(frame, profile):
            assert_beats_reads(line, profile)


def test_beats_deletes_what_it_is_said_to_delete() -> None:
    line = "CEF:0|a|b|c|d|e|1|type=text EVENTID=x spt=a src=host rt=x msg=a\\tb cs1=a=b act=ok  "
    read = beats.read(line)
    assert extension(read.found) == {"act": "ok"}
    assert len(read.errors) == 7
    assert extension(beats.read("CEF:0|a|b|c|d|e|1|cn1=0755 spt=65536").found) == {
        "cn1": "0755",
        "spt": "65536",
    }
    with pytest.raises(LostError):
        beats.read("CEF:0|a|b|c|d|e\\=f|1|a=b")


# Splunk.

PROPS = settings("splunk", "TIME_PREFIX")["cefline"]
TRANSFORMS = settings("splunk", "SOURCE_KEY")


def assert_splunk_reads(line: str) -> None:
    """Faults: no escape is undone, and blanks before the end of the line are lost."""
    told = dict(dictionary.pairs(line))
    last = list(told)[-1] if told else ""
    read = splunk.read(line, TRANSFORMS)
    names = ("vendor", "product", "version", "signature", "name", "severity")
    assert [read.pop(f"cef_{name}") for name in names] == header(line)
    trimmed = read.pop(last).rstrip() if last else ""
    assert trimmed == told.pop(last, "").rstrip()
    assert read == told
    assert splunk.time(line, PROPS) == told.get("rt", None if last != "rt" else trimmed)


def test_splunk_reads_every_event_by_our_settings(corpus: Path) -> None:
    """All keys with their values as they are written, and the time of the event and no other."""
    for line in all_lines(corpus, "dictionary"):
        assert_splunk_reads(line)
        assert re.split(PROPS["LINE_BREAKER"], line) == [line]


@given(hostile.frames())
def test_splunk_reads_hostile_events_by_our_settings(frame: pl.DataFrame) -> None:
    for line in lines(frame, "dictionary"):
        assert_splunk_reads(line)


def test_a_forged_time_in_name_is_not_taken_by_splunk() -> None:
    line = "CEF:0|a|b|c|d|x rt=1 \\|1\\| y rt=2|1|msg=a rt\\=3 rt=4 start=4"
    assert splunk.time(line, PROPS) == "4"
    assert splunk.time("CEF:0|a|b|c|d|x rt=1|1|msg=a", PROPS) is None


@pytest.mark.parametrize("profile", PROFILES)
def test_the_add_on_keeps_identity_and_time(corpus: Path, profile: ProfileName) -> None:
    r"""Its faults: `\r` is deleted, a pipe in Name shifts the header, no escape is undone."""
    names = ("externalId", "rt", "start", "cn1", "eventId", "eventTime", "evidence_id")
    for line in all_lines(corpus, profile):
        if "\\|" in header(line)[4]:
            continue
        read, told = splunk.add_on(line), dict(dictionary.pairs(line))
        assert read["header.severity"] == header(line)[5]
        assert {name: read.get(name) for name in names} == {n: told.get(n) for n in names}
        known = {key: value.replace("\\r", "") for key, value in told.items()}
        assert extension(read) == {key: value for key, value in known.items() if value}


def test_the_add_on_does_what_it_is_said_to_do() -> None:
    read = splunk.add_on(r"CEF:0|a|b|c|d|x \| y|1|a=1 filePath=C:\\recycle msg=a\=b empty= z=1")
    assert read["header.severity"] == " y"
    assert (read["filePath"], read["msg"]) == (r"C:\ecycle", r"a\=b")
    assert "empty" not in read


# The patterns of other pages.


def test_cribl_reads_every_event_by_our_patterns(corpus: Path) -> None:
    told = block("cribl", "text", "_NAME_0").splitlines()
    first, second = (re.sub(r"\(\?<(?=\w)", "(?P<", line[1 : line.rindex("/")]) for line in told)
    rules = json.loads(block("cribl", "json", "eventBreakerRegex"))["rules"][0]
    anchor = rules["timestampAnchorRegex"][1:-1]
    for line in all_lines(corpus, "dictionary"):
        whole = re.search(first, line)
        assert whole is not None
        assert [whole["signature"], whole["name"], whole["severity"]] == header(line)[3:]
        found = {m["_NAME_0"]: m["_VALUE_0"] for m in re.finditer(second, whole["pairs"])}
        pairs = {key: value.rstrip() for key, value in dictionary.pairs(line)}
        assert {key: value.rstrip() for key, value in found.items()} == pairs
        at = re.search(anchor, line)
        assert (line[at.end() :].split(" ")[0] if at else None) == pairs.get("rt")
        assert re.split(rules["eventBreakerRegex"][1:-1], line) == [line]


def test_sumo_reads_every_event_by_our_patterns(corpus: Path) -> None:
    patterns = re.findall(r'parse regex "(.*)"', block("sumo", "text", "externalId"))
    head, *keys = (re.sub(r"\(\?<(?=[a-zA-Z])", "(?P<", pattern) for pattern in patterns)
    for line in all_lines(corpus, "dictionary"):
        found: dict[str, str] = {}
        for pattern in (head, *keys):
            match = re.search(pattern, line)
            found |= match.groupdict() if match else {}
        told = dict(dictionary.pairs(line))
        named = {"rt": "rt", "externalId": "externalId", "evidence": "deviceExternalId"}
        assert [found.pop(name) for name in ("signature", "name", "severity")] == header(line)[3:]
        assert found == {ours: told[key] for ours, key in named.items() if key in told}


def test_secops_reads_every_event_by_our_parser(corpus: Path) -> None:
    """Its header and its time, for which values with blanks are no obstacle."""
    parser = block("secops", "ruby", "not_cef").replace("\\\\", "\\")
    first, second = re.findall(r'"(?:message|pairs)" => "(.*)"', parser)
    for line in all_lines(corpus, "dictionary"):
        whole = re.search(first, line)
        assert whole is not None
        assert [whole["signature"], whole["name"], whole["severity"]] == header(line)[3:]
        found = re.search(second, whole["pairs"])
        assert (found and found["rt"]) == dict(dictionary.pairs(line)).get("rt")


@given(hostile.frames())
def test_no_rule_of_python_splits_a_line(frame: pl.DataFrame) -> None:
    """As Datadog's Forwarder does."""
    for profile in PROFILES:
        for line in lines(frame, profile):
            assert line.splitlines() == [line]
            assert line.encode().splitlines() == [line.encode()]


# Vector, by its own library.


@cache
def vrl(name: str) -> Any:  # noqa: ANN401 - it has no types
    """Return the program of a page."""
    if sys.version_info >= (3, 13):
        pytest.skip("pyvrl has no wheel for this Python")
    import pyvrl  # missing elsewhere, it fails the tests

    return pyvrl.Transform(block(name, "coffee", "parse_cef") + _SHOW)


_SHOW = """
if exists(.timestamp) {
  .at = to_unix_timestamp!(.timestamp, unit: "milliseconds")
}
del(.timestamp)
.
"""
"""The library gives the last expression, and can't give a time that Python has none for."""


def as_vector_reads(value: str, *, last: bool = False) -> str:
    """Return a value as `parse_cef` gives it."""
    text = value.replace("\r", "\n")  # fault: both \n and \r decode to LF
    if last:
        text = text.rstrip(" ")  # fault: blanks at the end of the line are lost
    if len(text) > 1 and text.startswith('"') and text.endswith('"'):
        text = text[1:-1]  # fault: paired quotes are taken off
    return text


def translated(line: str) -> dict[str, str]:
    """Return the values of a line, those with a label under it."""
    told = values(line)
    last = list(told)[-1] if told else ""
    read = {key: as_vector_reads(value, last=key == last) for key, value in told.items()}
    labels = {key: read.pop(f"{key}Label") for key in list(told) if f"{key}Label" in told}
    return {labels.get(key, key): value for key, value in read.items()}


def assert_vector_reads(line: str) -> None:
    """By the programs of both pages."""
    event = {"message": line, "object": "cado/2026-11-24/x.cef.gz"}
    whole = vrl("vector").remap(dict(event))
    read = whole["cef"]
    names = ("cefVersion", "deviceVendor", "deviceProduct", "deviceVersion")
    rest = [read.pop(name) for name in (*names, "deviceEventClassId", "name", "severity")]
    assert [rest[4], rest[6]] == [header(line)[3], header(line)[5]]
    expected = translated(line)
    assert read == expected
    assert whole.get("at") == (int(expected["rt"]) if "rt" in expected else None)
    flat = vrl("graylog").remap(dict(event))
    assert (flat["s3_key"], flat["short_message"]) == (event["object"], flat["name"])
    assert {key: flat[key] for key in expected} == expected
    assert flat.get("at") == whole.get("at")


def test_vector_reads_every_event_by_our_programs(corpus: Path) -> None:
    for line in all_lines(corpus, "dictionary"):
        assert_vector_reads(line)


@given(hostile.frames())
def test_vector_reads_hostile_events_by_our_programs(frame: pl.DataFrame) -> None:
    """A time that none of its clocks knows leaves the event without a time stamp."""
    for line in lines(frame, "dictionary"):
        told = values(line)
        if "rt" in told and int(told["rt"]) > 8 * 10**15:
            continue  # checked below
        assert_vector_reads(line)


def test_our_programs_keep_an_event_of_the_far_future() -> None:
    line = f"CEF:0|a|b|c|d|e|1|rt={2**63 - 1} msg=x"
    for name in ("vector", "graylog"):
        read = vrl(name).remap({"message": line, "object": "k"})
        assert "at" not in read
        assert read.get("cef", read)["msg"] == "x"


def test_our_programs_let_go_of_what_is_no_cef() -> None:
    """It goes to `unread`."""
    for name in ("vector", "graylog"):
        with pytest.raises(Exception, match=r"(?i)abort"):
            vrl(name).remap({"message": "no CEF", "object": "k"})
