"""Keys and constants of the user's own: they fit, they are once, and events come back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cefline
from cefline.errors import ConfigError
from cefline.given import problems, split
from cefline.pack import TEXT_FORMAT
from cefline.parse import HEADER
from cefline.verify.run import verify
from cefline_schemas.arcsight import LABELLED, OBJECTS, REFUSED, TAKES
from cefline_schemas.targets import TARGETS
from cefline_schemas.timeline import ALWAYS, BY_NAME, FIELDS
from tests import dictionary, hostile
from tests.lines import of_lines, written
from tests.test_dictionary_delivery import lines as delivered
from tests.test_parse import as_parsed
from tests.test_verify import Site, differences, forged, text_edit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from cefline_schemas.dictionary import ProfileName
    from tests.commands import Result

BASES: tuple[ProfileName, ...] = ("cado", "dictionary")


def profile(**settings: Any) -> Any:  # noqa: ANN401 - a config's own
    return cefline.profile(cefline.Config(**settings))


def extension(event: Mapping[str, object], **settings: Any) -> dict[str, str]:  # noqa: ANN401 - a config's own
    """Render one event, see that it comes back, and return its keys and values as written."""
    frame, own = pl.DataFrame([event]), profile(**settings)
    (line,) = cefline.render(frame, own)
    parsed = cefline.parse([line], own)
    assert {name: parsed[name][0] for name in event} == event
    return dict(dictionary.pairs(line))


# What a table may say.


def test_the_table_of_keys_is_the_dictionary_s() -> None:
    """Against the copy that tests have: each key once, with its type or its length."""
    kinds = {"ipv4": "ipv4", "ipv6": "ipv6", "port": "port", "instant": "timestamp"}
    for key, home in TAKES.items():
        kind = dictionary.KEYS[key]
        if home.fits is None:
            assert home.most == kind
        elif home.fits == "number":
            assert kind == ("integer" if home.most else "long")
        else:
            assert kind == kinds[home.fits]
    labels = {key for key in dictionary.KEYS if key.endswith("Label")}
    assert TAKES.keys() | REFUSED | labels == dictionary.KEYS.keys() | {
        *dictionary.FORBIDDEN.split()
    }
    assert not TAKES.keys() & REFUSED
    assert {*dictionary.ECS.split()} == OBJECTS
    assert {key for key in TAKES if LABELLED.fullmatch(key)} <= {key[:-5] for key in labels}


@pytest.mark.parametrize(
    ("event", "keys", "pairs"),
    [
        ({"host": "h"}, ["host=deviceProcessName"], {"deviceProcessName": "h"}),
        ({"host": "h" * 64}, ["host=act"], {"CadoResponseHost": "h" * 64}),
        ({"host": "h"}, ["host=CadoResponseX"], {"CadoResponseX": "h"}),
        ({"host": "::1"}, ["host=c6a4:Machine"], {"c6a4Label": "Machine", "c6a4": "::1"}),
        ({"evidence_id": 999_999_999}, ["evidence_id=cnt"], {"cnt": "999999999"}),
        ({"evidence_id": 2**31}, ["evidence_id=cnt"], {"CadoResponseEvidenceId": str(2**31)}),
        ({"inode": "12"}, ["inode=suid"], {"suid": "12"}),
    ],
    ids=lambda value: str(value)[:40],
)
@pytest.mark.parametrize("base", BASES)
def test_a_field_has_the_key_that_it_is_given(
    base: ProfileName, event: dict[str, object], keys: list[str], pairs: dict[str, str]
) -> None:
    """With its label; a value that does not fit is whole under the field's own one."""
    assert extension(event, profile=base, keys=keys) == pairs


def test_fields_may_change_their_places() -> None:
    """One gets the key of another, that one a key of its own; labels go with the keys."""
    keys = ["extra=CadoResponseExtra", "alarm_help_text=cs6:Help", "format=cs2:Reader"]
    event = {"extra": "e", "alarm_help_text": "a", "format": "f"}
    assert extension(event, profile="dictionary", keys=keys) == {
        "CadoResponseExtra": "e",
        "cs6Label": "Help",
        "cs6": "a",
        "cs2Label": "Reader",
        "cs2": "f",
    }


@pytest.mark.parametrize(
    ("keys", "pairs"),
    [
        (["tag=act"], {"cs5Label": "SourceType", "cs5": "t", "act": "t"}),
        (["tag=act", "sourcetype=cat"], {"cat": "t", "act": "t"}),
        (["sourcetype=app"], {"app": "t", "cat": "t", "CadoResponseTag": "t"}),
    ],
)
def test_a_key_that_two_fields_share_goes_with_the_first(
    keys: list[str], pairs: dict[str, str]
) -> None:
    """Each comes back, the same or not."""
    event = {"sourcetype": "t", "tag": "t"}
    assert extension(event, profile="dictionary", keys=keys) == pairs
    extension({"sourcetype": "t", "tag": "u"}, profile="dictionary", keys=keys)
    extension({"tag": "u"}, profile="dictionary", keys=keys)


def test_a_key_that_repeats_another_one_yields() -> None:
    """`fname` and `start` are given to fields, and are no copies then."""
    event = {"filePath": "/a/b", "filename_stripped": "a b"}
    found = extension(event, profile="dictionary", keys=["filename_stripped=fname"])
    assert found == {"filePath": "/a/b", "fname": "a b"}
    frame, own = (
        pl.DataFrame({"eventTime": [5]}),
        profile(profile="dictionary", keys=["eventTime=start"]),
    )
    (line,) = cefline.render(frame, own)
    assert line.endswith("|start=5000")
    assert cefline.parse([line], own)["eventTime"][0] == 5


def test_constants_come_first_and_are_escaped_once() -> None:
    """In every line, even in one that has nothing else; before them the stamp alone."""
    constants = ["deviceProcessName=a\\=b|", "c6a4:Place=2001:db8::1"]
    own = profile(profile="dictionary", constants=constants)
    frame = pl.DataFrame({"type": ["x", "x"], "msg": [None, "m"]})
    bare, full = cefline.render(frame, own)
    assert bare.endswith(r"|deviceProcessName=a\\\=b| c6a4Label=Place c6a4=2001:db8::1")
    assert full == f"{bare} msg=m"
    parsed = cefline.parse([bare, full], own)
    assert parsed["deviceProcessName"].to_list() == ["a\\=b|"] * 2
    assert parsed["msg"].to_list() == [None, "m"]


@pytest.mark.parametrize(
    ("base", "given", "told"),
    [
        ("cado", {"keys": ["hots=cs1"]}, "keys.hots: hots is no field; did you mean host?"),
        ("cado", {"keys": ["host=a b"]}, "keys.host: expected a key of letters, digits and `_`"),
        ("cado", {"keys": ["host=cs1Label"]}, "that does not end in `Label`"),
        ("cado", {"keys": ["host=é"]}, "keys.host: expected a key of letters"),
        ("cado", {"keys": ["host=dvchost:A"]}, "keys.host: dvchost has no label"),
        ("cado", {"keys": ["host=mine:A"]}, "keys.host: mine has no label"),
        ("cado", {"keys": ["host=cs1:A B"]}, "keys.host: cs1 needs a label of letters and digits"),
        ("cado", {"keys": ["host=cs1"]}, "keys.host: cs1 needs a label of letters"),
        ("cado", {"keys": ["host=Domain"]}, "keys.host: Domain is the name of a field"),
        ("cado", {"keys": ["host=Name"]}, "keys.host: Name means something else"),
        ("cado", {"keys": ["host=CadoResponseDelivery"]}, "means something else"),
        ("cado", {"keys": ["host=eventTimeMicros"]}, "means something else"),
        ("cado", {"keys": ["host=dmac"]}, "keys.host: dmac is a key that nothing of ours fits"),
        ("cado", {"keys": ["host=agt"]}, "keys.host: agt is a key that nothing of ours fits"),
        ("cado", {"keys": ["host=DvcHost"]}, "in case alone: dvchost"),
        ("cado", {"keys": ["eventTime=rt"]}, "keys.eventTime: rt takes no value that eventTime"),
        ("cado", {"keys": ["alarm=cn1"]}, "keys.alarm: cn1 takes no value that alarm can have"),
        ("dictionary", {"keys": ["host=type"]}, "keys.host: type is the name of a field"),
        ("dictionary", {"keys": ["type=type"]}, "keys.type: type is a key that nothing"),
        ("dictionary", {"keys": ["host=host"]}, "keys.host: host is neither"),
        ("dictionary", {"keys": ["host=process"]}, "keys.host: process is neither"),
        ("dictionary", {"keys": ["host=dvchosts"]}, "CadoResponseName; did you mean dvchost?"),
        ("dictionary", {"keys": ["host=cs6:Machine"]}, "`extra = 'CadoResponseExtra'`"),
        ("dictionary", {"keys": ["host=CadoResponsemsg"]}, "msg has CadoResponsemsg already"),
        ("dictionary", {"keys": ["host=c6a4:Parser"]}, "format has Parser already"),
        ("cado", {"keys": ["host=cs1:Host"]}, "host is a key, or an object"),
        ("cado", {"keys": ["tag=cs1:User"]}, "user is a key, or an object"),
        ("dictionary", {"keys": ["host=c6a4:dvchost"]}, "dvchost is a key, or an object"),
        ("cado", {"keys": ["host=cs1:A", "msg=cs1:B"]}, "host has cs1 already"),
        ("cado", {"keys": ["host=cs1:A", "msg=cs2:a"]}, "host has a already"),
        ("cado", {"constants": ["cs1=x"]}, "constants.cs1: cs1 needs a label of"),
        ("cado", {"constants": ["cn1:A=x"]}, "constants.cn1:A: cn1 takes no such value"),
        ("cado", {"constants": ["act=" + "=" * 32]}, "constants.act: act takes 63 bytes at most"),
        ("cado", {"constants": ["act=a\nb"]}, "constants.act: expected text that can be printed"),
        ("cado", {"constants": ["act= a"]}, "constants.act: expected text that can be printed"),
        ("cado", {"constants": ["msg=a"]}, "constants.msg: msg is the name of a field"),
        ("cado", {"constants": ["act=a"], "keys": ["tag=act"]}, "constants.act: tag has act"),
        ("dictionary", {"constants": ["deviceFacility=a"]}, "source has deviceFacility already"),
        (
            "cado",
            {"constants": [f"x{n}=" + "|" * 160 for n in "1234"]},
            "constants: expected 1,000 bytes at most in each line, and these take 1,296",
        ),
        ("dictionary", {"constants": ["environment=a"]}, "constants.environment: environment is"),
    ],
    ids=str,
)
def test_what_can_t_be_is_told(base: ProfileName, given: dict[str, Any], told: str) -> None:
    """Where it stands, and what would be right; a library's caller is told as well."""
    with pytest.raises(ConfigError) as caught:
        profile(profile=base, **given)
    assert told in str(caught.value)


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    """With the file that they are in, and those of other settings."""
    file = tmp_path / "cefline.toml"
    text = "part_size = 0\n[keys]\nhots = 'a'\nhost = 'spt'\n[constants]\ncs1 = 'x'\nact = 1.5\n"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        cefline.load_config({"profile": "dictionary"}, {}, file)
    told = str(caught.value)
    assert "4 settings are wrong" in told
    assert f"{file}: keys.hots: hots is no field; did you mean host?" in told
    assert f"{file}: keys.host: source_port has spt already" in told
    assert "constants = " in told
    assert "expected text for each name" in told


def test_keys_come_from_the_file_or_a_variable(tmp_path: Path) -> None:
    """A table there, a list with commas here."""
    file = tmp_path / "cefline.toml"
    file.write_text(
        "[keys]\nmsg = 'cs2:M'\nhost = 'cs1:H'\n[constants]\ncnt = 7\n", encoding="utf-8"
    )
    config = cefline.load_config({}, {}, file).config
    assert (config.keys, config.constants) == (("host=cs1:H", "msg=cs2:M"), ("cnt=7",))
    config = cefline.load_config({}, {"CEFLINE_KEYS": "msg=cs2:M, host=cs1:H"}, file).config
    assert (config.keys, config.constants) == (("host=cs1:H", "msg=cs2:M"), ("cnt=7",))
    file.write_text('[constants]\n"act=a" = "b"\n', encoding="utf-8")
    with pytest.raises(ConfigError, match="without `=` in it"):
        cefline.load_config({}, {}, file)
    for wrong in ("msg", "msg=", "msg=cs2,msg=cs3"):
        with pytest.raises(ConfigError, match="CEFLINE_KEYS: keys = "):
            cefline.load_config({}, {"CEFLINE_KEYS": wrong}, file)


@pytest.mark.parametrize("name", ["keys", "constants"])
def test_json_has_no_keys_of_cef(name: str, tmp_path: Path) -> None:
    file = tmp_path / "cefline.toml"
    file.write_text(f"format = 'json'\n[{name}]\nmsg = 'cs2'\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=f"{name} is .* and format is json"):
        cefline.load_config({}, {}, file)


# Whatever is given.

OWN = st.from_regex("[A-Za-z][A-Za-z0-9_]{0,5}|CadoResponse[A-Za-z]{1,4}", fullmatch=True)
LABEL = st.from_regex(":[A-Za-z0-9]{1,4}", fullmatch=True)
SAID = st.one_of(
    st.builds(
        "{}{}".format, st.sampled_from(sorted(k for k in TAKES if LABELLED.fullmatch(k))), LABEL
    ),
    st.sampled_from(sorted(TAKES)),
    OWN,
)
VALUE = st.one_of(
    st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=20).map(str.strip),
    st.sampled_from(["5", "192.0.2.1", "::1", "a=b", "\\", "x" * 256]),
)
NEAR = ["192.0.2.1", "::1", "80", "65536", "999999999", "-1", "1" * 10, "1" * 18, "a.b", "\\" * 16]
NEAR += ["x" * n for n in (31, 32, 63, 64, 255, 256, 1023, 1024, 4000, 4001)]


@st.composite
def settings(draw: st.DrawFn) -> dict[str, Any]:
    """Draw keys and constants without problems, on top of either profile."""
    base = draw(st.sampled_from(BASES))
    keys = draw(st.dictionaries(st.sampled_from(sorted(BY_NAME)), SAID, max_size=12))
    constants = draw(st.dictionaries(SAID, VALUE, max_size=3))
    given = {f"keys.{name}": f"{name}={key}" for name, key in keys.items()}
    given |= {f"constants.{key}": f"{key}={value}" for key, value in constants.items()}

    def entries(table: str) -> tuple[str, ...]:
        return tuple(sorted(v for n, v in given.items() if n.startswith(f"{table}.")))

    while wrong := {n for n, _ in problems(base, entries("keys"), entries("constants"))}:
        given = {name: entry for name, entry in given.items() if name not in wrong}
    return {"profile": base, "keys": entries("keys"), "constants": entries("constants")}


@st.composite
def events(draw: st.DrawFn, keys: list[str]) -> pl.DataFrame:
    """Draw hostile events, and values of fields with given keys that nearly fit or do."""
    frame = draw(hostile.frames())
    for name in keys:
        if BY_NAME[name].type == "text":
            values = draw(st.lists(st.sampled_from(NEAR), min_size=len(frame), max_size=len(frame)))
            frame = frame.with_columns(pl.Series(name, values))
    return frame.select(f.name for f in FIELDS if f.name in frame.columns)


@given(settings(), st.data())
def test_events_come_back_whatever_is_given(given: dict[str, Any], data: st.DataObject) -> None:
    """Each value under its field; the lines keep to the dictionary where they did before."""
    own = profile(**given)
    frame = data.draw(events([name for name, _ in split(given["keys"])]))
    expected = as_parsed(frame)
    expected = expected.filter(pl.any_horizontal(pl.all().is_not_null()))
    lines = cefline.render(frame, own).drop_nulls()
    for line in lines:
        assert_kept(line, given)
    parsed = cefline.parse(lines, own)
    for key, value in own.constants:
        assert parsed[key].to_list() == [value] * len(lines) if len(lines) else True
    filled = [name for name in expected.columns if expected[name].null_count() < expected.height]
    constants = {key for key, _ in own.constants}
    extra = {*HEADER, "type", "eventTimeMillis", "fname", *constants}
    assert {*parsed.columns} - extra == {*filled} - {"type"}
    for name in filled:
        assert parsed[name].to_list() == expected[name].to_list()


def assert_kept(line: str, settings: dict[str, Any]) -> None:
    """Check a line by the rules that share nothing with what wrote it."""
    found = dictionary.pairs(line)
    if settings["profile"] == "dictionary":
        assert list(dictionary.wrong(line)) == []
    keys = [key.casefold() for key, _ in found]
    assert len(set(keys)) == len(keys)
    written = {said.partition(":")[0] for _, said in split(settings["keys"])}
    written |= {said.partition(":")[0] for said, _ in split(settings["constants"])}
    for (key, value), before in zip(found, [("", ""), *found], strict=False):
        if key in written & dictionary.KEYS.keys():
            assert list(dictionary.unfit(key, value)) == []
            assert not LABELLED.fullmatch(key) or before[0] == f"{key}Label"


# Delivered.

EVENT: dict[str, object] = {
    "evidence_id": 1,
    "type": "t",
    "host": "h1",
    "tag": "Execution",
    "format": "winevtx",
    "short": "s",
    "eventTime": 1595194940.5,
    "eventId": "e1",
    "mine": "carried",
    "CadoResponseHost": "carried as well",
    "act": "and this",
}
GIVEN: dict[str, Any] = {
    "keys": (
        "format=cs4:By",  # in profile `dictionary` these two change places
        "host=destinationServiceName",
        "msg=CadoResponseText",
        "short=cs2:Text",
        "tag=c6a4:Kind",
    ),
    "constants": ("CadoResponseSite=a=b", "act=imported"),
}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Return an empty place of its own."""
    return Site(tmp_path)


@pytest.mark.parametrize("base", BASES)
def test_a_delivery_is_verified_by_what_was_given(site: Site, base: ProfileName) -> None:
    """By settings that `verify` does not have; carried columns get other keys."""
    settings = {"profile": base, "unknown": "carry", "part_size": 1 << 20, **GIVEN}
    delivery = site.one("a.jsonl", of_lines([EVENT] * 4), **settings)
    (found,) = verify(cefline.Config(dest=site.dest))
    assert found.is_right, [*found.lines()]
    assert found.compared == 4
    manifest = site.manifest(delivery)
    assert manifest["settings"]["keys"] == list(GIVEN["keys"])
    assert manifest["text_format"] == TEXT_FORMAT[f"{base}+keys"] != TEXT_FORMAT[base]
    for line in delivered(site):
        keys = dict(dictionary.pairs(line))
        assert (keys["destinationServiceName"], keys["CadoResponseSite"]) == ("h1", "a\\=b")
        assert keys["act"] == "imported"
        assert sorted(v for v in keys.values() if "carried" in v) == ["carried", "carried as well"]
        if base == "dictionary":
            assert list(dictionary.wrong(line)) == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("ServiceName=h1", "ServiceName=h2", "event 3: host is not what the source says"),
        ("act=imported", "act=other", "event 3: act is not what the settings say"),
        ("act=imported ", "", "event 3: act is not what the settings say"),
        ("ServiceName=h1", "ServiceName=h1 bogus=1", "bogus is no field of the source"),
    ],
)
@pytest.mark.parametrize("base", BASES)
def test_what_differs_is_named(
    site: Site, base: ProfileName, old: str, new: str, expected: str
) -> None:
    """By its field, or as a constant."""
    settings = {"profile": base, "part_size": 1 << 20, **GIVEN}
    delivery = site.one("a.jsonl", of_lines([EVENT] * 4), **settings)
    assert differences(site) == []
    forged(site, delivery, text_edit(old, new))
    assert any(found.startswith(expected) for found in differences(site))


@pytest.mark.parametrize("target", [target.name for target in TARGETS])
def test_each_target_takes_what_is_given(site: Site, target: str) -> None:
    """Beside its limits, its window and its escapes; a constant is escaped as values are."""
    env = {"CEFLINE_KEYS": "evidence_name=oldFileName,tag=act,eventTime=CadoResponseWhen"}
    env |= {"CEFLINE_CONSTANTS": 'CadoResponseSite="a|b",c6a4:Collector=::1'}
    config = cefline.load_config({"target": target, "evidence_id": "1"}, env, None).config
    content = of_lines([{**EVENT, "extra": "x" * 50_000, "msg": 'm|"'}, *([EVENT] * 3)])
    path = site.write("a.jsonl", content)
    settings = {name: getattr(config, name) for name in config.planned().keys() - {"severity"}}
    (report,) = site.deliver(path, **settings)
    (found,) = verify(cefline.Config(dest=site.dest))
    assert found.is_right, [*found.lines()]
    assert found.compared == report.tally.delivered == 4
    said = r"\"a\|b\"" if config.escapes == "extended" else '"a|b"'
    for line in delivered(site):
        assert f"|CadoResponseSite={said} c6a4Label=Collector c6a4=::1 " in line


def test_a_rerun_takes_what_was_given_to_the_plan(site: Site) -> None:
    """What is out stays, and the rest follows under the same keys."""
    path = site.write("a.jsonl", of_lines([{**EVENT, "eventId": f"e{n}"} for n in range(9)]))
    site.killed("-000001.cef", path, part_size=600, **GIVEN)
    (report,) = site.deliver(path, part_size=600)
    assert "settings of this run that differ: constants, keys" in " ".join(report.notes)
    assert all("act=imported" in line for line in delivered(site))
    (found,) = verify(cefline.Config(dest=site.dest))
    assert (found.is_right, found.compared) == (True, 9)


def test_a_plan_with_keys_of_another_version_is_told() -> None:
    settings = {**cefline.Config().planned(), "keys": ["host=spt2", "hosts=a"]}
    with pytest.raises(cefline.CeflineError, match=r"settings that cefline .* does not know"):
        cefline.Config().with_planned(settings)


def test_without_any_the_text_is_what_it_was() -> None:
    """Not a byte is another one, and the plan does not speak of them."""
    for base in BASES:
        assert profile(profile=base) == cefline.profile(cefline.Config(profile=base, keys=()))
        assert profile(profile=base).fields == FIELDS
    assert {"keys", "constants"}.isdisjoint(cefline.Config().planned())


def test_what_constants_take_is_told(site: Site) -> None:
    """In a dry run, beside the fields."""
    path = site.write("a.jsonl", of_lines([EVENT]))
    config = cefline.Config(sources=(path,), dest=site.dest, threads=1, **GIVEN)
    sizes = cefline.export(config, dry_run=True).sources[0].tally.sizes
    assert sizes["(constants)"] == len(" CadoResponseSite=a\\=b act=imported")
    assert sizes["host"] == len(" destinationServiceName=h1")


def test_tables_show_what_is_given(command: Callable[..., Result], tmp_path: Path) -> None:
    """Of both profiles, in columns and as Markdown."""
    file = tmp_path / "cefline.toml"
    text = "[keys]\nhost = 'c6a4:Kind'\nmsg = 'CadoResponseText'\n[constants]\nact = 'imported'\n"
    file.write_text(text, encoding="utf-8")
    for base in BASES:
        for more in ([], ["--markdown"]):
            out = command("fields", "--config", str(file), "--profile", base, *more).out
            bare = out.replace("`", "")
            assert "c6a4 (IPv6, label Kind), CadoResponseHost" in bare
            assert "CadoResponseText" in bare
            assert "imported" in bare


def test_what_identifies_an_event_can_t_be_dropped() -> None:
    """Renamed, it is still always written."""
    for name in ALWAYS:
        with pytest.raises(ConfigError, match=f"{name} is always written"):
            cefline.load_config({"drop": name}, {"CEFLINE_KEYS": f"{name}=CadoResponseX"}, None)


def test_preview_takes_what_is_given(command: Callable[..., Result], tmp_path: Path) -> None:
    file, source = tmp_path / "cefline.toml", tmp_path / "a.jsonl"
    file.write_text("[keys]\nhost = 'cs1:Machine'\n", encoding="utf-8")
    source.write_bytes(of_lines([EVENT]))
    (line,) = command("preview", str(source), "--config", str(file)).out.splitlines()
    assert " cs1Label=Machine cs1=h1 " in line
    assert written(of_lines([EVENT]), keys=("host=cs1:Machine",)).lines == [line]
