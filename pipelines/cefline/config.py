"""Settings: flags over `CEFLINE_*` variables over a TOML file; all problems told at once."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tomllib
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from cefline import __version__, values
from cefline.errors import ConfigError, DeliveryError
from cefline.moments import micros
from cefline.s3 import S3Settings
from cefline.values import PARSERS
from cefline_schemas.cef import SEVERITY, Device
from cefline_schemas.targets import BY_TARGET

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from cefline.after import After
    from cefline.deliver.delivery import Check
    from cefline.deliver.publish import Assume, Readers
    from cefline.literal import Form
    from cefline.pack import Compression
    from cefline.read.carry import Unknown
    from cefline.read.dialect import Wanted
    from cefline.render import Format
    from cefline.times import Unit
    from cefline_schemas.cef import Framing
    from cefline_schemas.dictionary import ProfileName


@dataclass(frozen=True, slots=True)
class Config:
    """All settings of a run."""

    enabled: bool = True
    sources: tuple[str, ...] = ()
    dest: str | None = None
    state: str | None = None
    target: str | None = None
    format: Format = "cef"
    profile: ProfileName = "cado"
    max_line: int | None = None
    max_value: int | None = None
    time_window: str | None = None
    escapes: Literal["standard", "extended"] = "standard"
    omit: tuple[str, ...] = ()
    crlf: Literal["keep", "lf"] = "keep"
    partition_by: tuple[str, ...] = ("evidence_id",)
    hive: bool = False
    part_size: int = 64 << 20
    compression: Compression = "gzip"
    compression_level: int | None = None
    max_rejects: values.MaxRejects = field(default_factory=lambda: values.MaxRejects(10, 0.001))
    max_partitions: int = 200
    max_event: int = 16 << 20
    max_expansion: int = 250
    dialect: Wanted = "auto"
    events_key: str = "events"
    unknown: Unknown = "drop"
    lists: Form = "python"
    accept_truncated: bool = False
    allowed_sources: tuple[str, ...] = ()
    subseconds: bool = False
    time_unit: Unit | None = None
    timezone: str | None = None
    where: str | None = None
    min_severity: int | None = None
    since: str | None = None
    until: str | None = None
    fields: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    constants: tuple[str, ...] = ()
    stamp: bool = False
    framing: Framing = "none"
    cef_version: int = 0
    threads: int | None = None
    memory: Literal["normal", "small"] = "normal"
    staging: str | None = None
    staging_max: int | None = None
    settle: float = 60.0
    turn_timeout: float = 600.0
    pace: float = 0.0
    readers: Readers = "delete"
    check: Check = "listing"
    known: Literal["deliver", "refuse"] = "deliver"
    evidence_id: int | None = None
    redeliver: str | None = None
    retry_failed: bool = False
    assume: Assume | None = None
    adopt: bool = False
    after: After = "none"
    after_to: str | None = None
    header: Device = field(default_factory=Device)
    severity: tuple[tuple[int, int], ...] = SEVERITY
    s3: S3Settings = field(default_factory=S3Settings)

    def __post_init__(self) -> None:
        """Take a part that is not there for one that was never put out, where readers keep all."""
        if self.readers == "keep":
            object.__setattr__(self, "assume", "lost")  # frozen, and not handed out yet

    def planned(self) -> dict[str, Any]:
        """Return the settings that decide on the text and the keys of parts; JSON's types only."""
        header = {f.name: getattr(self.header, f.name) for f in fields(self.header)}
        plain = {name: getattr(self, name) for name in _PLANNED}
        plain |= {name: v for name in _ADDED if (v := getattr(self, name)) != _DEFAULTS[name]}
        lists = {n: list(v) if isinstance(v, tuple) else v for n, v in plain.items()}
        return {**lists, "severity": [list(pair) for pair in self.severity], "header": header}

    @property
    def tables(self) -> str:
        """Return which tables decide on the text: a name in `pack.TEXT_FORMAT`."""
        return f"{self.profile}+keys" if self.keys else self.profile

    def judgement(self) -> str:
        """Return a digest of what decides on whether a source fails: others, another try."""
        limits = {name: str(getattr(self, name)) for name in _LIMITS}
        said = json.dumps([__version__, self.planned(), limits], sort_keys=True)
        return hashlib.sha256(said.encode()).hexdigest()[:16]

    def variant(self) -> dict[str, Any]:
        """Return what makes a delivery of its own of bytes that were delivered before."""
        return {"evidence_id": self.evidence_id, "redeliver": self.redeliver}

    def with_variant(self, variant: Mapping[str, Any]) -> Config:
        """Return the config with the variant of a delivery."""
        return replace(self, evidence_id=variant["evidence_id"], redeliver=variant["redeliver"])

    def with_planned(self, settings: Mapping[str, Any]) -> Config:
        """Return the config with the settings of a plan.

        Raises:
            DeliveryError: they are not the settings of this version.
        """
        try:
            return self._with_planned(settings)
        except (KeyError, TypeError, ValueError) as err:
            message = f"its plan has settings that cefline {__version__} does not know: {err}"
            raise DeliveryError(message, hint="Finish it with the version that planned it") from err

    def _with_planned(self, settings: Mapping[str, Any]) -> Config:
        plain: dict[str, Any] = {
            n: tuple(v) if isinstance(v, list) else v for n, v in {**_DEFAULTS, **settings}.items()
        }
        plain |= {n: PARSERS[n](v) for n, v in settings.items() if n in _ADDED}
        plain["severity"] = tuple((int(a), int(b)) for a, b in settings["severity"])
        plain["header"] = Device(**settings["header"])
        PARSERS["profile"](settings["profile"])
        for told in _of_keys(settings, dict.fromkeys(_ADDED, "its plan")):
            raise ValueError(told)
        return replace(self, **plain)


_PLANNED = (
    "format",
    "profile",
    "partition_by",
    "hive",
    "part_size",
    "compression",
    "max_event",
    "dialect",
    "events_key",
    "unknown",
    "lists",
    "accept_truncated",
    "subseconds",
    "time_unit",
    "timezone",
)


_ADDED = (
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
    "max_line",
    "max_value",
    "time_window",
    "escapes",
    "omit",
    "crlf",
)
"""Planned as well, but said only where they are set: a plan of before they were there is one
without them, whatever this run's are."""

_OF_CEF = (
    *("profile", "framing", "cef_version", "keys", "constants"),
    *("max_line", "max_value", "time_window", "escapes", "omit", "crlf"),
)

_DEFAULTS = {f.name: f.default for f in fields(Config) if f.name in {*_ADDED, *_OF_CEF}}

_LIMITS = ("max_rejects", "max_partitions", "max_expansion", "known")


class Settings(NamedTuple):
    """The settings in force, and where each one comes from."""

    config: Config
    origins: Mapping[str, str]
    """By full name (`part_size`, `s3.endpoint`): `--part-size`, a variable, the file, `default`."""


def load(flags: Mapping[str, str], env: Mapping[str, str], file: Path | None) -> Settings:
    """Return the settings in force.

    Args:
        flags: name to the text given on the command line.
        env: the environment.
        file: a TOML file, or None.

    Raises:
        ConfigError: a name is unknown or a value can't be what it says; it lists them all.
    """
    layers = [*_file_values(file), *_env_values(env)]
    layers += [(name, value, f"--{name.replace('_', '-')}") for name, value in flags.items()]
    layers = [*_preset(layers), *layers]
    given: dict[str, Any] = {}
    origins = dict.fromkeys(PARSERS, "default")
    problems = []
    for name, value, origin in layers:
        if name not in PARSERS:
            problems.append(f"{origin}: {_unknown(name)}")
            continue
        try:
            given[name], origins[name] = PARSERS[name](value), origin
        except (TypeError, ValueError) as err:
            problems.append(f"{origin}: {name} = {_shown(name, value)}: {err}")
    problems += [*_contradictions(given), *_of_selection(given), *_of_keys(given, origins)]
    if problems:
        raise ConfigError(_listed(problems), hint="`cefline config` shows what is in force")
    if "bucket" in given:
        origins["dest"] = origins["bucket"]
    if given.get("readers") == "keep":
        origins["assume"] = origins["readers"]
    return Settings(_config(given), origins)


def shown(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """Yield name, value and origin of every setting that is in force; secrets are masked."""
    for name in PARSERS:
        if name in {"bucket", "folder"}:  # what they say is in dest
            continue
        table, _, inner = name.rpartition(".")
        value = getattr(getattr(settings.config, table) if table else settings.config, inner)
        yield name, _value_text(name, value), settings.origins[name]


_SIZES = {"part_size", "max_event", "staging_max"}
"""Shown in units; limits of readers are shown to the byte."""


def _value_text(name: str, value: object) -> str:
    if value is None:
        return "not set"
    if name in _SIZES:
        return values.size_text(int(str(value)))
    if name == "severity" and isinstance(value, tuple):
        return ", ".join(f"up to {up_to}: {severity}" for up_to, severity in value)
    if isinstance(value, tuple) and not isinstance(value, values.MaxRejects):
        return ", ".join(value) or "none"
    return "***" if name in SECRET else str(value)


def default_state(dest: str) -> str:
    """Return the state's place: `_cefline/<name>` beside the destination, never below it.

    Raises:
        ConfigError: the destination has no beside: the root of a bucket or of the file system.
    """
    scheme = (re.match(r"\w+://", dest) or [""])[0]
    path = dest.removeprefix(scheme) if scheme else os.path.abspath(dest)  # noqa: PTH100 - `..` too
    parent, _, name = path.rstrip("/").rpartition("/")
    if not name or (scheme and not parent):
        root = "root of a bucket" if scheme else "root of the file system"
        message = f"{dest} is the {root}: there is no place for the state beside it"
        hint = f"Say where: --state {scheme or 's3://'}another-bucket/cefline"
        raise ConfigError(message, hint=hint)
    return f"{scheme}{parent}/_cefline/{name}"


def _file_values(file: Path | None) -> Iterator[tuple[str, object, str]]:
    if file is None:
        return
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as err:
        message = f"{file} can't be read: {err.strerror}"
        raise ConfigError(message, hint="Check --config and CEFLINE_CONFIG") from err
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as err:
        message = f"{file} is no TOML: {err}"
        raise ConfigError(message) from err
    for name, value in data.items():
        if isinstance(value, dict) and name not in {"severity", "keys", "constants"}:
            yield from ((f"{name}.{inner}", v, str(file)) for inner, v in value.items())
        else:
            yield name, value, str(file)


def _preset(layers: list[tuple[str, object, str]]) -> Iterator[tuple[str, object, str]]:
    """Yield the settings of the target in force: all others win over them."""
    last = {name: str(value) for name, value, _ in layers if name in {"target", "format"}}
    if last.get("target") in BY_TARGET:
        for fact in BY_TARGET[last["target"]].facts:
            if last.get("format") != "json" or fact.setting not in _OF_CEF:
                yield fact.setting, fact.value, f"target {last['target']}"


_NO_SETTINGS = {"CEFLINE_CONFIG", "CEFLINE_DATA", "CEFLINE_SOAK", "CEFLINE_STORES"}


def _env_values(env: Mapping[str, str]) -> Iterator[tuple[str, object, str]]:
    for variable in sorted(env):
        if variable.startswith("CEFLINE_") and variable not in _NO_SETTINGS:
            name = variable.removeprefix("CEFLINE_").lower()
            for table in ("s3", "header"):
                name = re.sub(rf"^{table}_", f"{table}.", name)
            yield name, env[variable], variable


def _unknown(name: str) -> str:
    near = get_close_matches(name, PARSERS, 1)
    return f"there is no setting {name}" + (f"; did you mean {near[0]}?" if near else "")


def _shown(name: str, value: object) -> str:
    return "***" if name in SECRET else re.sub("//.*@", "//***@", repr(value))


SECRET = frozenset({"s3.sse_kms_key_id"})
"""Settings whose values are masked wherever they are shown."""


def _contradictions(given: Mapping[str, Any]) -> Iterator[str]:
    if "folder" in given and "bucket" not in given:
        yield "folder is set and bucket is not"
    if "dest" in given and "bucket" in given:
        yield "dest and bucket are both set: one of them is enough"
    if "s3.sse_kms_key_id" in given and not str(given.get("s3.sse", "")).startswith("aws:kms"):
        yield "s3.sse_kms_key_id is set and s3.sse is not aws:kms"
    if "compression_level" in given and given.get("compression", "gzip") != "gzip":
        yield "compression_level is set and compression is not gzip"
    if given.get("readers") == "keep" and given.get("assume") == "delivered":
        yield "assume is delivered and readers is keep: then what is not there was never delivered"
    if given.get("format") == "json":
        for name in _OF_CEF:
            if given.get(name, _DEFAULTS[name]) != _DEFAULTS[name]:
                yield f"{name} is {given[name]} and format is json: it is about CEF"


def _of_keys(given: Mapping[str, Any], origins: Mapping[str, str]) -> Iterator[str]:
    names = [name for name in ("keys", "constants") if given.get(name)]
    if names:
        from cefline.given import problems  # imports polars

        own = (given.get(name, ()) for name in ("keys", "constants"))
        for name, what in problems(given.get("profile", "cado"), *own):
            yield f"{origins[name.partition('.')[0]]}: {name}: {what}"


def _of_selection(given: Mapping[str, Any]) -> Iterator[str]:
    if given.get("fields") and given.get("drop"):
        yield "fields and drop are both set: one of them is enough"
    since, until = given.get("since"), given.get("until")
    if since is not None and until is not None and micros(since) >= micros(until):
        yield f"since ({since}) is not before until ({until})"


def _listed(problems: list[str]) -> str:
    if len(problems) == 1:
        return problems[0]
    return "\n  ".join([f"{len(problems)} settings are wrong:", *problems])


def _config(given: dict[str, Any]) -> Config:
    if "bucket" in given and "dest" not in given:
        folder = str(given.get("folder", "")).strip("/")
        given["dest"] = f"s3://{given['bucket']}/{folder}".rstrip("/")
    plain = {n: v for n, v in given.items() if "." not in n and n not in {"bucket", "folder"}}
    return Config(
        **plain, header=Device(**_table(given, "header")), s3=S3Settings(**_table(given, "s3"))
    )


def _table(given: Mapping[str, Any], table: str) -> dict[str, Any]:
    prefix = f"{table}."
    return {n.removeprefix(prefix): v for n, v in given.items() if n.startswith(prefix)}
