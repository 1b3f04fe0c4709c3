"""Profile `dictionary`: keys, types and lengths of the standard, and all of it back."""

from __future__ import annotations

import ipaddress
import random
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cefline
from cefline.render import Profile
from cefline_schemas.dictionary import FITS, PLACES
from cefline_schemas.timeline import FIELDS
from tests import dictionary, hostile
from tests.events import hostile_lines
from tests.lines import of_lines, written
from tests.test_parse import as_parsed, assert_holds
from tests.test_readers import HEADER as VECTORS
from tests.test_readers import as_vector_reads, vector

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CORPORA = ["real_5k.parquet", "real_alarms.parquet"]
SEED = 20261112


def extension(**values: object) -> dict[str, str]:
    """Render one event and return its keys and values as they are written."""
    frame = pl.DataFrame([{"type": "x", **values}])
    (line,) = cefline.render(frame, "dictionary")
    assert list(dictionary.wrong(line)) == []
    return dict(dictionary.pairs(line))


def signature(**values: object) -> str:
    """Render one event and return its signature id."""
    (line,) = cefline.render(pl.DataFrame([values]), "dictionary")
    assert list(dictionary.wrong(line)) == []
    return str(line.split("|")[4])


# Homes.


@pytest.mark.parametrize(
    ("values", "pairs"),
    [
        ({"evidence_id": 7}, {"cn1Label": "EvidenceId", "cn1": "7"}),
        ({"evidence_name": "a.dd"}, {"deviceExternalId": "a.dd"}),
        ({"eventId": "e" * 40}, {"externalId": "e" * 40}),
        ({"eventId": "e" * 41}, {"CadoResponseEventId": "e" * 41}),
        ({"eventId": "é" * 21}, {"CadoResponseEventId": "é" * 21}),  # 42 bytes
        ({"eventId": "\\" * 20}, {"externalId": "\\\\" * 20}),
        ({"eventId": "\\" * 21}, {"CadoResponseEventId": "\\\\" * 21}),  # 42 as they are written
        ({"host": "h" * 100}, {"dvchost": "h" * 100}),
        ({"host": "h" * 101}, {"CadoResponseHost": "h" * 101}),
        ({"host": "192.0.2.1"}, {"dvc": "192.0.2.1"}),
        ({"host": "192.0.2.01"}, {"dvchost": "192.0.2.01"}),
        ({"host": "192.0.2.1\n"}, {"dvchost": "192.0.2.1\\n"}),
        ({"host": "fe80::1"}, {"c6a1Label": "DeviceIPv6Address", "c6a1": "fe80::1"}),
        ({"host": "fe80::1%eth0"}, {"dvchost": "fe80::1%eth0"}),
        ({"source_hostname": "192.0.2.1"}, {"src": "192.0.2.1"}),
        ({"source_hostname": "a.example"}, {"shost": "a.example"}),
        ({"source_hostname": "::"}, {"c6a2Label": "SourceIPv6Address", "c6a2": "::"}),
        ({"destination_hostname": "192.0.2.1"}, {"dst": "192.0.2.1"}),
        ({"destination_hostname": "a"}, {"dhost": "a"}),
        ({"destination_hostname": "::1"}, {"c6a3Label": "DestinationIPv6Address", "c6a3": "::1"}),
        ({"source_port": "65535"}, {"spt": "65535"}),
        ({"source_port": "65536"}, {"CadoResponseSourcePort": "65536"}),
        ({"source_port": "080"}, {"CadoResponseSourcePort": "080"}),  # octal to Beats
        ({"destination_port": "TCP 443"}, {"CadoResponseDestinationPort": "TCP 443"}),
        ({"destination_port": "0"}, {"dpt": "0"}),
        ({"domain": "example.com"}, {"sourceDnsDomain": "example.com"}),
        ({"domain": "NT AUTHORITY"}, {"sntdom": "NT AUTHORITY"}),
        ({"domain": "a." * 128}, {"CadoResponseDomain": "a." * 128}),
        ({"version": "2"}, {"cn3Label": "FormatVersion", "cn3": "2"}),
        ({"version": "2.0"}, {"CadoResponseVersion": "2.0"}),
        ({"isFolder": True}, {"fileType": "folder"}),
        ({"isFolder": False}, {"fileType": "file"}),
        ({"alarm": False}, {"CadoResponseAlarm": "False"}),
        ({"msg": "m" * 1023}, {"msg": "m" * 1023}),
        ({"msg": "m" * 1024}, {"CadoResponseMsg": "m" * 1024}),
        ({"extra": "=" * 2001}, {"CadoResponseExtra": "\\=" * 2001}),
        ({"filePath": "/a/b.txt"}, {"filePath": "/a/b.txt", "fname": "b.txt"}),
        ({"filePath": "C:\\a\\b.txt"}, {"filePath": "C:\\\\a\\\\b.txt", "fname": "b.txt"}),
        ({"filePath": "/a/b/"}, {"filePath": "/a/b/", "fname": "b"}),
        ({"filePath": "/"}, {"filePath": "/"}),
        ({"filePath": "/a/ "}, {"filePath": "/a/ "}),
        (
            {"filePath": "/" + "a" * 1023},
            {"CadoResponseFilePath": "/" + "a" * 1023, "fname": "a" * 1023},
        ),
        ({"filePath": "/a\u2028b"}, {"filePath": "/a\\\\u2028b", "fname": "a\\\\u2028b"}),
        ({"eventTime": 1.5}, {"rt": "1500", "start": "1500"}),
        ({"eventTime": 0}, {"CadoResponseEventTime": "0"}),
        ({"eventTime": -1}, {"CadoResponseEventTime": "-1000"}),
        ({"notes": ["a"]}, {"CadoResponseNotes": "['a']"}),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_value_is_under_the_key_that_it_fits(
    values: dict[str, object], pairs: dict[str, str]
) -> None:
    """Whole, under the dictionary's key where it has its type and length, else under ours."""
    assert extension(**values) == pairs


@pytest.mark.parametrize(
    ("values", "pairs"),
    [
        ({"tag": "t"}, {"cat": "t"}),
        ({"sourcetype": "s"}, {"cs5": "s", "cat": "s"}),
        ({"sourcetype": "s", "tag": "t"}, {"cs5": "s", "cat": "t"}),
        ({"sourcetype": "s", "tag": "s"}, {"cs5": "s", "cat": "s", "CadoResponseTag": "s"}),
        ({"sourcetype": "s", "tag": "t" * 1024}, {"cs5": "s", "CadoResponseTag": "t" * 1024}),
        (
            {"sourcetype": "\x07", "tag": "\\u0007"},  # the same, as they are written
            {"cs5": "\\\\u0007", "cat": "\\\\u0007", "CadoResponseTag": "\\\\u0007"},
        ),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_the_category_is_the_tag_or_else_the_source_type(
    values: dict[str, object], pairs: dict[str, str]
) -> None:
    """Where both are the same, `cat` alone would not tell that there is a tag."""
    found = extension(**values)
    found.pop("cs5Label", None)
    assert found == pairs
    parsed = cefline.parse(cefline.render(pl.DataFrame([values]), "dictionary"), "dictionary")
    wanted = {name: str(value).replace("\x07", "\\u0007") for name, value in values.items()}
    assert {n: parsed[n][0] for n in ("tag", "sourcetype") if n in parsed.columns} == wanted


def test_values_of_one_column_go_each_under_its_own_key() -> None:
    """Plain or as a dictionary, with nulls and repetitions."""
    values = ["10.0.0.1", "h", None, "10.0.0.1", "::1", "h" * 200, "h"]
    keys = ["dvc", "dvchost", None, "dvc", "c6a1", "CadoResponseHost", "dvchost"]
    for dtype in (pl.String, pl.Categorical):
        frame = pl.DataFrame({"msg": "m", "host": pl.Series(values, dtype=dtype)})
        lines = cefline.render(frame, "dictionary")
        found = [dict(dictionary.pairs(line)) for line in lines]
        for pairs, key, value in zip(found, keys, values, strict=True):
            assert key is None or pairs[key] == value
            assert len(pairs) == 1 + (key is not None) + (key == "c6a1")


def test_microseconds_are_under_a_key_of_their_own() -> None:
    """And come back as profile `cado` has them."""
    frame = pl.DataFrame({"eventTime": [1.5]})
    lines = cefline.render(frame, Profile(name="dictionary", subseconds=True))
    assert dict(dictionary.pairs(lines[0]))["CadoResponseEventTimeMicros"] == "1500000"
    parsed = cefline.parse(lines, "dictionary")
    names = ["eventTime", "eventTimeMillis", "eventTimeMicros"]
    assert parsed.select(names).row(0) == (1, 1500, "1500000")


@given(st.one_of(st.ip_addresses().map(str), st.text("0123456789abf:.%", max_size=20)))
def test_addresses_are_what_python_takes_for_them(text: str) -> None:
    """No more, and no less."""
    is_v4 = dictionary.CHECKS["ipv4"](text)
    is_v6 = dictionary.CHECKS["ipv6"](text)
    assert bool(re.search(FITS["ipv4"], text)) == is_v4
    assert bool(re.search(FITS["ipv6"], text)) == is_v6


def shortened(address: ipaddress.IPv6Address) -> str:
    """Return an address with its last two groups as an IPv4 address."""
    last = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    groups, _, _ = str(ipaddress.IPv6Address(int(address) >> 32 << 32 | 0x10001)).rpartition(":1:1")
    return f"{groups}:{last}" if groups else f"::{last}"


SPELLINGS = [lambda a: a.exploded, str, shortened]


@given(st.builds(lambda spell, a: spell(a), st.sampled_from(SPELLINGS), st.ip_addresses(v=6)))
def test_every_spelling_of_an_ipv6_address_is_one(text: str) -> None:
    """Exploded, compressed, with an IPv4 address at its end."""
    assert extension(host=text) == {"c6a1Label": "DeviceIPv6Address", "c6a1": text}


# The table.


def test_each_key_and_label_is_one_fields() -> None:
    """No key twice, whatever a reader thinks of case; labels become keys in some readers."""
    homes = [home for field in FIELDS for home in field.homes("dictionary")]
    copies = [copy.home for field in FIELDS for copy in field.dictionary.copies if not copy.unless]
    keys = Counter(home.key.name.casefold() for home in (*homes, *copies))
    labels = [home.key.label.casefold() for home in homes if home.key.label]
    assert max(keys.values()) == 1
    assert len(set(labels)) == len(labels)
    known = {key.casefold() for key in (*dictionary.KEYS, *dictionary.FORBIDDEN.split())}
    assert not set(labels) & {*known, *dictionary.ECS.split(), *keys}


def test_homes_are_within_the_dictionarys_types_and_lengths() -> None:
    """Each row of the table against the standard's, and a fallback for each field."""
    for field in FIELDS:
        *_, last = homes = field.homes("dictionary")
        assert last.takes_all
        for home in homes:
            limit = dictionary.KEYS.get(home.key.name)
            if limit is None:
                assert home.key.name.startswith("CadoResponse")
            elif isinstance(limit, int) and not home.takes_all:
                assert home.most == limit or home.fits in {"ipv4", "ipv6"}


def test_every_place_is_of_a_field() -> None:
    assert set(PLACES) <= {field.name for field in FIELDS}


# Signature ids.


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"source": "FILE", "type": "Last Access Time"}, "file-last-access-time"),
        ({"source": "App Launch", "type": "A; B"}, "app-launch-a-b"),
        ({"source": "REG"}, "reg"),
        ({"type": " x| "}, "x"),
        ({"type": "x", "alarm": True, "alarm_description": "Service installed"}, None),
        ({"alarm": True, "source": "EVT"}, "alarm"),
        ({"alarm": False, "source": "EVT", "alarm_description": "d"}, "evt"),
        ({"msg": "m"}, "0"),
        ({"source": "日本", "type": "é"}, "0"),
        ({"source": "s" * 9999, "type": "t" * 9999}, f"{'s' * 500}-{'t' * 500}"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_signature_is_of_the_kind_of_event(values: dict[str, object], expected: str | None) -> None:
    """Source and type, or what an alarm is about."""
    assert signature(**values) == (expected or "alarm-service-installed")


def test_signature_of_profile_cado_stays() -> None:
    line = cefline.render(pl.DataFrame([{"source": "FILE", "type": "x"}]), "cado")[0]
    assert line.split("|")[4] == "0"


# There and back.


def assert_comes_back(frame: pl.DataFrame) -> None:
    """Parse what a frame renders to, and compare all of its values; the lines keep the rules."""
    expected = as_parsed(frame)
    usable = pl.any_horizontal(pl.all().is_not_null())
    lines = cefline.render(frame, "dictionary").drop_nulls()
    assert [problem for line in lines for problem in dictionary.wrong(line)] == []
    parsed = cefline.parse(lines, "dictionary")
    if "eventTime" in frame.columns:
        kept = frame.filter(expected.select(usable).to_series())
        millis = kept["eventTime"].to_physical() // 1000
        none = pl.repeat(None, len(kept), dtype=pl.Int64, eager=True)
        assert parsed.get_column("eventTimeMillis", default=none).to_list() == millis.to_list()
    assert_holds(parsed, expected.filter(usable), "eventTimeMillis", "fname")


@given(hostile.frames())
def test_hostile_events_come_back(frame: pl.DataFrame) -> None:
    """Whatever the values, each fits its key, and comes back under its field."""
    assert_comes_back(frame)


@pytest.mark.parametrize("name", CORPORA)
def test_real_events_come_back(data: Path, name: str) -> None:
    """Every value of the real timelines."""
    for frame in cefline.read(data / name):
        assert_comes_back(frame)


def test_parsing_gives_both_profiles_the_same_fields(data: Path) -> None:
    """A frame is the same, but for the signature id and what only one of them says."""
    for frame in cefline.read(data / "real_alarms.parquet"):
        one = cefline.parse(cefline.render(frame, "dictionary"), "dictionary")
        other = cefline.parse(cefline.render(frame))
        same = [name for name in other.columns if name != "signature_id"]
        assert one.select(same).equals(other.select(same))


HEAD = "CEF:0|CadoSecurity|CadoResponse|1.0.2|0|Name|1|"


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ("cs2=x", "has cs2 that is not labelled Parser"),
        ("cs2Label=Other cs2=x", "has cs2 that is not labelled Parser"),
        ("cs2Label=Parser", ""),
        ("externalId=a CadoResponseEventId=b", "has eventId under two keys"),
        ("cat=a CadoResponseTag=b", "has tag under two keys"),
        ("rt=1 start=2", "has a start that is not its time"),
        ("start=2", "has a start that is not its time"),
        ("host=h", ""),
        ("dvchost=a host=h", "has host, which is a field and no key of this profile"),
        ("rt=x", "has an unreadable rt"),
        ("fileType=pipe", "has an unreadable fileType"),
    ],
)
def test_what_can_t_be_of_the_profile_is_refused(bad: str, why: str) -> None:
    """With its line's number; a key that is no field's stays what it is."""
    lines = [f"{HEAD}msg=m", f"{HEAD}{bad}"]
    if not why:
        key, _, value = bad.partition("=")
        assert cefline.parse(lines, "dictionary")[key].to_list() == [None, value]
        return
    with pytest.raises(cefline.CeflineError, match="line 2 ") as caught:
        cefline.parse(lines, "dictionary")
    assert why in str(caught.value)


def test_a_profile_that_does_not_exist_is_refused() -> None:
    """By name, and with the names that exist."""
    with pytest.raises(cefline.CeflineError, match="cado and dictionary"):
        cefline.render(pl.DataFrame({"msg": ["m"]}), "other")  # type: ignore[arg-type]  # the same
    with pytest.raises(cefline.CeflineError, match="no profile 'other'"):
        cefline.parse([], "other")  # type: ignore[arg-type]  # what a caller may do


@pytest.mark.parametrize(
    ("pairs", "what"),
    [
        ("rt=0", "rt is no timestamp: '0'"),
        ("spt=65536", "spt is no port: '65536'"),
        ("src=::1", "src is no ipv4: '::1'"),
        ("cn1Label=EvidenceId cn1=9223372036854775808", "cn1 is no long: '9223372036854775808'"),
        (f"externalId={'e' * 41}", "externalId has 41 of 40"),
        (f"dvchost={chr(233) * 51}", "dvchost has 102 of 100"),
        ("msg=", "msg has 0 of 1023"),
        ("msg=a MSG=b", "msg twice"),
        ("cs1=a", "cs1 has no label"),
        ("cs1Label=A msg=a cs1=a", "cs1 has no label"),
        ("cs1Label=A", "cs1Label labels nothing"),
        ("type=1", "type is none of ours"),
        ("host=h", "host is none of ours"),
        ("evidence_id=1", "evidence_id is in no dictionary, and no conformant name"),
        ("CadoResponseXLabel=1", "CadoResponseXLabel is in no dictionary, and no conformant name"),
    ],
)
def test_the_rules_find_what_is_wrong(pairs: str, what: str) -> None:
    """What the lines of this profile are checked with would tell."""
    assert what in list(dictionary.wrong(f"CEF:0|v|p|1|id|n|1|{pairs}"))


# Vector, strict, with custom fields translated.


def assert_vector_reads(lines: list[str]) -> None:
    """Let Vector's strict parser read lines: each pair is there, a label's under its label."""
    for line in lines:
        assert list(dictionary.wrong(line)) == [], line
        read: dict[str, Any] = vector(translate=True).remap({"line": line})
        found = dict(dictionary.pairs(line))
        last = dictionary.pairs(line)[-1:]
        wanted = {}
        for key, value in found.items():
            if f"{key}Label" not in found and not key.endswith("Label"):
                wanted[key] = as_read(value, last=(key, value) in last)
            elif not key.endswith("Label"):
                wanted[found[f"{key}Label"]] = as_read(value, last=(key, value) in last)
        assert {k: v for k, v in read.items() if k not in VECTORS} == wanted


def as_read(value: str, *, last: bool) -> str:
    """Return a written value as Vector gives it."""
    raw = re.sub(r"\\(.)", lambda m: {"n": "\n", "r": "\r"}.get(m[1], m[1]), value)
    return as_vector_reads(raw, last=last)


@pytest.mark.parametrize("name", CORPORA)
def test_vector_reads_every_real_event(data: Path, name: str) -> None:
    """All lines, and all of their values."""
    for frame in cefline.read(data / name):
        lines = cefline.render(frame, "dictionary").to_list()
        assert_vector_reads(lines)


def test_vector_reads_hostile_events(*, soak: bool) -> None:
    """100,000 of them in a soak run."""
    lines = hostile_cef(100_000 if soak else 3_000)
    assert_vector_reads(lines)
    homes = [home for field in FIELDS for home in field.homes("dictionary")]
    seen = {key for line in lines for key, _ in dictionary.pairs(line)}
    assert {home.key.name for home in homes} <= seen, "each key was tried"


def hostile_cef(count: int) -> list[str]:
    """Return hostile events as lines, with values that fit their keys, nearly, or not at all."""
    content = b"".join(line + b"\n" for line in hostile_lines(SEED, count // 2))
    made = written(content, profile="dictionary", subseconds=True, unknown="carry", timezone="UTC")
    near = written(of_lines(list(near_misses(count // 2))), profile="dictionary")
    assert len(made.lines) + made.rejects.filter(kind="row").height == made.read
    assert len(near.lines) == near.read
    return [*made.lines, *near.lines]


def near_misses(count: int) -> Iterator[dict[str, object]]:
    """Yield events whose values are about the limits of their keys."""
    dice = random.Random(SEED)
    texts = [
        lambda: str(ipaddress.IPv4Address(dice.getrandbits(32))),
        lambda: str(ipaddress.IPv6Address(dice.getrandbits(128) >> dice.randrange(128))),
        lambda: f"{dice.randrange(300)}.{dice.randrange(300)}.{dice.randrange(300)}.0",
        lambda: str(dice.randrange(-10, 70_000)),
        lambda: str(dice.choice([2**63 - 1, 2**63, 10**18, -(10**18), "-0", "0x1F", "1e3", "١"])),
        lambda: (
            dice.choice(["a", "é", "\\", "=", "\u2028", "\U0001f600"])
            * (dice.choice([40, 100, 255, 1023, 4000]) // dice.choice([1, 2, 3, 4, 7]) + 1)
        ),
        lambda: dice.choice(["a.b", "a..b", ".", "a b.c", "cs1Label=x cs1=y", "a|b", '"q"', " a "]),
    ]
    names = [field.name for field in FIELDS if field.type == "text"]
    numbers = [field.name for field in FIELDS if field.type == "int"]
    yield dict.fromkeys(names, "x" * 5000)  # of no key but our own
    yield dict.fromkeys(numbers, 7) | {f.name: ["a"] for f in FIELDS if f.type == "list"}
    for number in range(count - 2):
        picked = dice.sample(names, dice.randrange(1, 8))
        event: dict[str, object] = {name: dice.choice(texts)() for name in picked}
        event["eventTime"] = dice.choice([0, -1, 1, 0.0004, 1595194940.123, 2**40, -(2**40)])
        if dice.random() < 0.3:
            event["tag"] = event["sourcetype"] = dice.choice(texts)()
        yield {"msg": f"m{number}", **event, "alarm": dice.random() < 0.3}
