"""Settings: the order of their places, what each takes, and problems told all at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cefline.config import Config, default_state
from cefline.errors import CeflineError, ConfigError
from cefline.settings import Settings, load, shown
from cefline.values import MaxRejects, place, size, size_text
from cefline_schemas.cef import Device

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def toml(tmp_path: Path) -> Callable[..., Settings]:
    """Return what loads a text of TOML, with variables and flags over it."""

    def loaded(
        text: str = "", env: dict[str, str] | None = None, flags: dict[str, str] | None = None
    ) -> Settings:
        path = tmp_path / "cefline.toml"
        path.write_text(text, encoding="utf-8")
        return load(flags or {}, env or {}, path)

    return loaded


def problem(toml: Callable[..., Settings], *args: Any, **more: Any) -> str:  # noqa: ANN401 - as toml takes
    with pytest.raises(ConfigError) as caught:
        toml(*args, **more)
    assert caught.value.exit_code == 78
    return str(caught.value)


def test_without_anything_the_defaults_are_in_force() -> None:
    """Nothing has to be set but a source and a destination."""
    config, origins = load({}, {}, None)
    assert config == Config()
    assert set(origins.values()) == {"default"}


def test_flags_win_over_variables_and_these_over_the_file(toml: Callable[..., Settings]) -> None:
    """Each setting says where it comes from."""
    config, origins = toml(
        'part_size = "1MiB"\ncompression = "zstd"\nmax_partitions = 7',
        {"CEFLINE_PART_SIZE": "2MiB", "CEFLINE_COMPRESSION": "none"},
        {"part_size": "3MiB"},
    )
    assert (config.part_size, config.compression, config.max_partitions) == (3 << 20, "none", 7)
    assert origins["part_size"] == "--part-size"
    assert origins["compression"] == "CEFLINE_COMPRESSION"
    assert origins["max_partitions"].endswith("cefline.toml")
    assert origins["profile"] == "default"


def test_what_a_file_would_hold_can_be_given() -> None:
    given = {"part_size": "1MiB", "sources": ["a", "b"], "s3": {"region": "eu-central-1"}}
    config, origins = load({}, {}, {**given, "severity": {"1": 10}})
    assert (config.part_size, config.sources) == (1 << 20, ("a", "b"))
    assert (config.s3.region, config.severity) == ("eu-central-1", ((1, 10),))
    assert origins["s3.region"] == "config"
    with pytest.raises(ConfigError, match=r"config: there is no setting s3\.regoin"):
        load({}, {}, {"s3": {"regoin": "x"}})


def test_a_wrong_value_is_told_though_another_place_wins(toml: Callable[..., Settings]) -> None:
    """A file that is broken is found before the day on which its setting counts."""
    assert "part_size = 'big'" in problem(toml, 'part_size = "big"', {}, {"part_size": "1MiB"})


@pytest.mark.parametrize(
    ("text", "env", "says"),
    [
        ("part_sise = 1", {}, "no setting part_sise; did you mean part_size?"),
        ("[s3]\nendpont = 'x'", {}, "no setting s3.endpont; did you mean s3.endpoint?"),
        ("[header]\nvender = 'x'", {}, "no setting header.vender; did you mean header.vendor?"),
        ("", {"CEFLINE_COMPRESION": "gzip"}, "did you mean compression?"),
        ("", {"CEFLINE_S3_PROFIL": "x"}, "no setting s3.profil; did you mean s3.profile?"),
        ("zzz = 1", {}, "no setting zzz"),
        ("s3 = 1", {}, "no setting s3"),
        ("[s4]\nx = 1", {}, "no setting s4.x"),
        ("[part_size]\nx = 1", {}, "no setting part_size.x"),
    ],
)
def test_a_misspelt_name_is_told_with_the_nearest(
    toml: Callable[..., Settings], text: str, env: dict[str, str], says: str
) -> None:
    """A setting that is not known is never passed over, wherever it stands."""
    assert says in problem(toml, text, env)


def test_all_problems_are_told_at_once(toml: Callable[..., Settings]) -> None:
    """Each with its place, so that one look is enough."""
    text = problem(
        toml,
        'part_size = "x"\npart_sise = 1\nfolder = "f"\n[s3]\nsse_kms_key_id = "k"',
        {"CEFLINE_THREADS": "0"},
        {"compression": "gz"},
    )
    assert text.startswith("6 settings are wrong:")
    for one in (
        "part_size = 'x'",
        "part_sise",
        "CEFLINE_THREADS: threads = '0'",
        "--compression: compression = 'gz'",
        "folder is set and bucket is not",
        "s3.sse_kms_key_id is set and s3.sse is not aws:kms",
    ):
        assert one in text


@pytest.mark.parametrize(
    ("written", "count"),
    [
        ("1", 1),
        ("1B", 1),
        ("200KiB", 200 << 10),
        ("64MiB", 64 << 20),
        ("64 MiB", 64 << 20),
        ("2GiB", 2 << 30),
        (1048576, 1 << 20),
    ],
)
def test_a_size_has_a_binary_unit(written: object, count: int) -> None:
    """Sizes are written as `64MiB`, `200KiB`, or as bytes."""
    assert size(written) == count


@pytest.mark.parametrize(
    "written",
    ["", "0", "0MiB", "-1", "1.5MiB", "64MB", "64M", "64mib", "MiB", "1e6", " 1", True, None, 1.0],
)
def test_what_is_no_size_is_refused(written: object) -> None:
    """Nothing is guessed: `64MB` could be either."""
    with pytest.raises(ValueError, match="expected a size above zero"):
        size(written)


@given(st.integers(1, 1023), st.sampled_from([0, 10, 20]))
def test_a_size_is_shown_as_it_is_written(count: int, shift: int) -> None:
    """What is shown can be given back."""
    assert size(size_text(count << shift)) == count << shift


@pytest.mark.parametrize("name", ["part_size", "max_event"])
def test_a_size_above_what_one_put_takes_is_refused(
    toml: Callable[..., Settings], name: str
) -> None:
    """S3 takes 5 GiB at most in one request, and that fails only after everything was staged."""
    assert name in problem(toml, f'{name} = "99999999999GiB"')


@pytest.mark.parametrize(
    ("written", "rows", "share"),
    [
        ("0", 0, 0.0),
        ("100", 100, 0.0),
        (100, 100, 0.0),
        ("0%", 0, 0.0),
        ("0.1%", 0, 0.001),
        ("5%", 0, 0.05),
        ("10 or 0.1%", 10, 0.001),
    ],
)
def test_max_rejects_are_rows_or_a_share(
    toml: Callable[..., Settings], written: object, rows: int, share: float
) -> None:
    """One of the two; the default has both."""
    config = toml(f"max_rejects = {written!r}").config
    assert config.max_rejects.rows == rows
    assert config.max_rejects.share == pytest.approx(share)
    assert Config().max_rejects == MaxRejects(10, 0.001)


@pytest.mark.parametrize(
    "written",
    [
        "'-1'",
        "'1.5'",
        "'x'",
        "'%'",
        "'1,5%'",
        "''",
        "' or 1%'",
        "true",
        "1.5",
        "[]",
        "'10 or '",
    ],
)
def test_what_is_no_max_rejects_is_refused(toml: Callable[..., Settings], written: str) -> None:
    """The message shows both forms."""
    text = problem(toml, f"max_rejects = {written}")
    assert "such as 100" in text
    assert "such as 0.1%" in text


@pytest.mark.parametrize(
    "limit", [MaxRejects(100, 0.0), MaxRejects(0, 0.05), MaxRejects(10, 0.001)]
)
def test_max_rejects_are_shown_as_they_are_given(
    toml: Callable[..., Settings], limit: MaxRejects
) -> None:
    """What `cefline config` shows can be copied into the configuration."""
    assert toml(f"max_rejects = '{limit}'").config.max_rejects == limit


@pytest.mark.parametrize(
    ("text", "dest"),
    [
        ("bucket = 'b'\nfolder = 'siem/cef'", "s3://b/siem/cef"),
        ("bucket = 'b'\nfolder = '/siem/'", "s3://b/siem"),
        ("bucket = 'b'", "s3://b"),
        ("bucket = 'b'\nfolder = '/'", "s3://b"),
        ("dest = 's3://b/c/'", "s3://b/c"),
        ("dest = 'out/'", "out"),
        ("dest = '/'", "/"),
    ],
)
def test_bucket_and_folder_are_a_destination(
    toml: Callable[..., Settings], text: str, dest: str
) -> None:
    """The standard's settings page names them so."""
    assert toml(text).config.dest == dest


def test_bucket_and_dest_together_are_told(toml: Callable[..., Settings]) -> None:
    """Two destinations are one too many, and a variable must not lose to the file."""
    assert "bucket" in problem(toml, "dest = 'out'", {"CEFLINE_BUCKET": "b"})


@pytest.mark.parametrize(
    "value",
    [
        "ftp://b/x",
        "http://h/x",
        "simplecache::s3://b",
        "",
        None,
        3,
        "s3://",
        "s3:/b/x",
        "s3:///x",
    ],
)
def test_what_is_no_destination_is_refused(value: object) -> None:
    """A slip in the address must not put evidence into a folder of that name."""
    with pytest.raises(ValueError, match="expected"):
        place(value)


@pytest.mark.parametrize(("written", "enabled"), [("false", False), ("true", True)])
def test_enabled_is_a_setting(
    toml: Callable[..., Settings], written: str, *, enabled: bool
) -> None:
    """As in the standard's settings page; in the file or in a variable."""
    assert toml(f"enabled = {written}").config.enabled is enabled
    assert toml("", {"CEFLINE_ENABLED": written}).config.enabled is enabled


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("enabled = 'yes'", "expected true or false"),
        ("compression = 'zst'", "did you mean zstd?"),
        ("profile = 'arcsight'", "expected cado, dictionary"),
        ("partition_by = 'evidenceid'", "did you mean evidence_id?"),
        ("partition_by = ['day', 'nothing_like_it']", "nothing_like_it is no field"),
        ("time_unit = 'sec'", "expected s, ms, us, ns"),
        ("timezone = 'Berlin'", "expected a time zone"),
        ("threads = 0", "from 1 to 256"),
        ("threads = 1.5", "whole number"),
        ("threads = true", "whole number"),
        ("compression_level = 4", "from 0 to 3"),
        ("severity = 3", "expected a table"),
        ("severity = {1 = 11}", "expected a table"),
        ("severity = {x = 1}", "severity"),
        ("severity = {1 = [1]}", "severity"),
        ("[header]\nvendor = 3", "expected text"),
        ("[header]\nvendor = ''", "expected text"),
        ("[s3]\nsse = 'aes256'", "expected AES256"),
        ("[s3]\nconnect_timeout = 'soon'", "connect_timeout"),
        ("[s3]\nconnect_timeout = nan", "expected seconds"),
        ("[s3]\nread_timeout = 0", "expected seconds"),
        ("[s3]\nattempts = 0", "from 1 to 20"),
        ("[s3]\nallow_http = 'maybe'", "expected true or false"),
        ("dest = 'ftp://b'", "expected a local folder or s3://"),
        ("where = 'hst is null'", "did you mean host?"),
        ("where = ''", "expected text"),
        ("min_severity = 11", "from 0 to 10"),
        ("since = 'soon'", "expected a time such as"),
        ("since = true", "expected a time such as"),
        ("until = 1595194940000", "too great for seconds"),
        ("framing = 'rfc5425'", "did you mean rfc5424?"),
        ("cef_version = 2", "from 0 to 1"),
        ("fields = 'mesg'", "mesg is no field; did you mean msg?"),
        ("drop = ['msg', 'eventId']", "eventId is always written"),
        ("readers = 'keeps'", "expected delete, keep; did you mean keep?"),
    ],
)
def test_a_value_that_can_t_be_is_told(toml: Callable[..., Settings], text: str, says: str) -> None:
    """With the file, the name, the value and what was expected."""
    told = problem(toml, text)
    assert says in told
    assert "cefline.toml" in told


@pytest.mark.parametrize(
    "level",
    [
        "compression = 'gzip'\ncompression_level = 9",
        "compression = 'none'\ncompression_level = 1",
    ],
)
def test_a_level_that_the_compression_does_not_have_is_told(
    toml: Callable[..., Settings], level: str
) -> None:
    """It does not silently become another one."""
    assert "compression_level" in problem(toml, level)


def test_where_readers_keep_parts_nothing_has_to_be_asked(toml: Callable[..., Settings]) -> None:
    """What is not there was never put out, whoever made the settings; and it is shown so."""
    assert Config().assume is None
    assert Config(readers="keep").assume == "lost"
    assert replace(Config(), readers="keep").assume == "lost"
    rows = {name: row for name, *row in shown(toml(env={"CEFLINE_READERS": "keep"}))}
    assert rows["readers"] == ["keep", "CEFLINE_READERS"]
    assert rows["assume"] == ["lost", "CEFLINE_READERS"]


def test_what_readers_keep_was_not_delivered_and_removed(toml: Callable[..., Settings]) -> None:
    """The two contradict each other; what wins in the end is what counts."""
    told = problem(toml, "readers = 'keep'", flags={"assume": "delivered"})
    assert "assume is delivered and readers is keep" in told
    flags = {"assume": "delivered", "readers": "delete"}
    config = toml("readers = 'keep'", flags=flags).config
    assert (config.readers, config.assume) == ("delete", "delivered")


def test_a_plan_says_nothing_of_readers() -> None:
    """They decide on no text and no key: a rerun may say otherwise."""
    assert Config(readers="keep").planned() == Config().planned()
    assert Config(readers="keep").judgement() == Config().judgement()


def test_tables_and_lists_are_read(toml: Callable[..., Settings]) -> None:
    """All that a file can say that a flag can't."""
    config = toml(
        "sources = ['a.jsonl', 's3://b/c']\npartition_by = ['evidence_id', 'day']\n"
        "severity = {5 = 8, 1 = 10}\n[header]\nvendor = 'V'\nsignature_id = '7'\n"
        "[s3]\nendpoint = 'https://h'\nattempts = 2\nallow_http = true"
    ).config
    assert config.sources == ("a.jsonl", "s3://b/c")
    assert config.partition_by == ("evidence_id", "day")
    assert config.severity == ((1, 10), (5, 8))
    assert config.header == Device(vendor="V", signature_id="7")
    assert (config.s3.endpoint, config.s3.attempts, config.s3.allow_http) == ("https://h", 2, True)


@pytest.mark.parametrize("written", ["none", "", " , "])
def test_partitions_can_be_left_out(written: str) -> None:
    """`none` says so; nothing says so, too."""
    assert load({"partition_by": written}, {}, None).config.partition_by == ()


def test_variables_reach_the_tables() -> None:
    """`CEFLINE_S3_SSE_KMS_KEY_ID` is `s3.sse_kms_key_id`."""
    env = {
        "CEFLINE_S3_SSE": "aws:kms",
        "CEFLINE_S3_SSE_KMS_KEY_ID": "k",
        "CEFLINE_HEADER_SIGNATURE_ID": "7",
        "CEFLINE_CONFIG": "elsewhere.toml",
        "OTHER": "x",
    }
    config = load({}, env, None).config
    assert (config.s3.sse_kms_key_id, config.header.signature_id) == ("k", "7")


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"part_size = ", "is no TOML"), (b"\xff", "is no TOML"), (None, "can't be read")],
)
def test_a_file_that_is_no_toml_is_told(tmp_path: Path, content: bytes | None, says: str) -> None:
    """A missing file is no empty one, and neither is a damaged one."""
    path = tmp_path / "cefline.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=says) as caught:
        load({}, {}, path)
    assert str(path) in str(caught.value)
    with pytest.raises(ConfigError, match="can't be read"):
        load({}, {}, tmp_path)


SECRET = "arn:aws:kms:eu-west-1:1:key/hunter2"


def test_secrets_are_masked(toml: Callable[..., Settings]) -> None:
    """Neither what is shown nor what is told of a wrong value has them."""
    settings = toml(f"[s3]\nsse = 'aws:kms'\nsse_kms_key_id = '{SECRET}'")
    lines = {name: value for name, value, _ in shown(settings)}
    assert lines["s3.sse_kms_key_id"] == "***"
    assert "hunter2" not in str(lines)
    assert "hunter2" not in problem(toml, f"[s3]\nsse_kms_key_id = ['{SECRET}']")


def test_a_password_in_the_endpoint_is_masked(toml: Callable[..., Settings]) -> None:
    """An address may hold one: it is refused, and not shown."""
    text = problem(toml, "[s3]\nendpoint = 'https://me:hunter2@h'")
    assert "without credentials" in text
    assert "hunter2" not in text


def test_every_setting_is_shown_once(toml: Callable[..., Settings]) -> None:
    """With its value in words and its place; bucket and folder as the destination they make."""
    rows = list(shown(toml("bucket = 'b'\nfolder = 'f'\npartition_by = 'none'")))
    names = [name for name, _, _ in rows]
    assert len(set(names)) == len(names)
    assert {"dest", "part_size", "header.vendor", "s3.endpoint", "severity"} <= set(names)
    values = {name: value for name, value, _ in rows}
    assert values["dest"] == "s3://b/f"
    assert values["part_size"] == "64MiB"
    assert values["partition_by"] == "none"
    assert values["severity"] == "up to 1: 10, up to 3: 7, up to 9: 4"


def test_a_destination_of_bucket_and_folder_has_their_origin(
    toml: Callable[..., Settings],
) -> None:
    """`dest = s3://b/f  (default)` is not where it comes from."""
    origins = {name: origin for name, _, origin in shown(toml("bucket = 'b'\nfolder = 'f'"))}
    assert origins["dest"] != "default"


@pytest.mark.parametrize(
    ("dest", "state"),
    [
        ("s3://b/siem", "s3://b/_cefline/siem"),
        ("s3://b/a/siem", "s3://b/a/_cefline/siem"),
        ("s3://b/a/siem/", "s3://b/a/_cefline/siem"),
        ("out", "{here}/_cefline/out"),
        ("./out", "{here}/_cefline/out"),
        ("/data/out", "/data/_cefline/out"),
        ("/out", "/_cefline/out"),
        ("a/b/", "{here}/a/_cefline/b"),
    ],
)
def test_the_state_is_beside_the_destination(dest: str, state: str) -> None:
    """Never below it: a SIEM would read it."""
    assert default_state(dest) == state.format(here=Path.cwd())


@pytest.mark.parametrize("dest", ["s3://b", "s3://b/"])
def test_a_bucket_s_root_has_no_beside(dest: str) -> None:
    """The state has to be named then."""
    with pytest.raises(ConfigError, match="root of a bucket") as caught:
        default_state(dest)
    assert "--state" in str(caught.value)


def test_the_state_of_a_folder_above_is_not_below_it(tmp_path: Path) -> None:
    """`..` names a folder; its state must not land in the one that the run is in."""
    here = tmp_path / "a" / "b"
    state = (here / default_state("..")).resolve()
    assert tmp_path / "a" not in state.parents


def test_a_plan_s_settings_come_back() -> None:
    """What decides on text and keys is in the plan, and only that."""
    import json

    config = Config(
        partition_by=("day", "source"),
        hive=True,
        part_size=7,
        severity=((1, 9),),
        header=Device(vendor="V"),
        subseconds=True,
        time_unit="ms",
        timezone="Europe/Berlin",
        compression="zstd",
        where="alarm",
        min_severity=4,
        since="2026-01-01T00:00:00Z",
        until="2026-01-02T00:00:00Z",
        drop=("msg", "extra"),
        stamp=True,
        framing="rfc5424",
        cef_version=1,
    )
    planned = json.loads(json.dumps(config.planned()))
    assert Config().with_planned(planned) == config
    assert planned == config.planned()
    assert replace(Config(), threads=3, state="x", dest="y").planned() == Config().planned()
    assert "s3" not in planned


@pytest.mark.parametrize(
    "change",
    [
        {"new_setting": 1},
        {"severity": None},
        {"header": {"x": 1}},
        {"where": "new_field = 1"},
        {"framing": "rfc9999"},
        {"drop": ["new_field"]},
    ],
)
def test_a_plan_of_another_version_is_told(change: dict[str, object]) -> None:
    """Settings that are not known here are an error of ours, no traceback."""
    with pytest.raises(CeflineError):
        Config().with_planned({**Config().planned(), **change})


def test_too_many_partition_columns_are_refused(toml: Callable[..., Settings]) -> None:
    """Five leave 256 bytes of a key to the prefix, whatever their values; six would not."""
    names = "alarm,host,source,macb,suser,domain"
    assert "at most 5 columns" in problem(toml, f"partition_by = '{names}'")
    assert "each once" in problem(toml, "partition_by = 'host,host'")


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("'2026-01-12T10:15:00+02:00'", "2026-01-12T08:15:00Z"),
        ("'2026-01-12'", "2026-01-12T00:00:00Z"),
        ("2026-01-12", "2026-01-12T00:00:00Z"),
        ("2026-01-12T10:15:00.5Z", "2026-01-12T10:15:00.500000Z"),
        ("0", "1970-01-01T00:00:00Z"),
        ("'-0.5'", "1969-12-31T23:59:59.500000Z"),
        ("-99999999999", "-99999999999"),
    ],
)
def test_a_moment_is_shown_as_it_is_meant(
    toml: Callable[..., Settings], written: str, moment: str
) -> None:
    """TOML's own times as well; in UTC, so that two spellings are one setting."""
    found = toml(f"since = {written}").config.since
    assert found == moment
    assert toml(f"since = '{found}'").config.since == moment


def test_a_selection_is_set_by_variables_and_flags(toml: Callable[..., Settings]) -> None:
    env = {"CEFLINE_WHERE": "alarm", "CEFLINE_FIELDS": "msg, host", "CEFLINE_MIN_SEVERITY": "7"}
    config = toml(env=env, flags={"where": "host = 'a,b'", "until": "5"}).config
    assert (config.where, config.fields, config.min_severity) == (
        "host = 'a,b'",
        ("msg", "host"),
        7,
    )
    assert config.until == "1970-01-01T00:00:05Z"


def test_what_is_not_selected_is_in_no_plan() -> None:
    """So plans, and what is remembered of failures, are what they were before it could be."""
    new = {
        "where",
        "min_severity",
        "since",
        "until",
        "fields",
        "drop",
        "keys",
        "constants",
        "stamp",
        "framing",
        "cef_version",
    }
    assert new & Config().planned().keys() == set()
    assert Config(where="alarm").planned() == Config().planned() | {"where": "alarm"}
    assert Config(where="alarm").with_planned(Config().planned()) == Config()
    assert Config(where="alarm").judgement() != Config().judgement()


def test_selections_that_contradict_each_other_are_told(toml: Callable[..., Settings]) -> None:
    assert "fields and drop are both set" in problem(toml, "fields = 'msg'\ndrop = 'host'")
    told = problem(toml, "since = '2026-01-02'\nuntil = '2026-01-02T00:00Z'")
    assert "since (2026-01-02T00:00:00Z) is not before until" in told
