"""Settings: flags over `CEFLINE_*` variables over a TOML file; all problems told at once."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NamedTuple

from cefline.errors import ConfigError
from cefline.s3 import S3Settings
from cefline_schemas.cef import SEVERITY, Device
from cefline_schemas.timeline import BY_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from cefline.pack import Compression
    from cefline.times import Unit

_UNITS = {"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


class MaxRejects(NamedTuple):
    """How many rejected rows a source may have: the greater of the two."""

    rows: int
    share: float

    def __str__(self) -> str:
        """Return it as the option takes it."""
        return f"{self.rows} or {self.share * 100:g}%" if self.share else str(self.rows)


@dataclass(frozen=True, slots=True)
class Config:
    """All settings of a run."""

    enabled: bool = True
    sources: tuple[str, ...] = ()
    dest: str | None = None
    state: str | None = None
    profile: str = "cado"
    partition_by: tuple[str, ...] = ("evidence_id",)
    hive: bool = False
    part_size: int = 64 << 20
    compression: Compression = "gzip"
    compression_level: int | None = None
    max_rejects: MaxRejects = field(default_factory=lambda: MaxRejects(10, 0.001))
    max_partitions: int = 200
    max_event: int = 16 << 20
    subseconds: bool = False
    time_unit: Unit | None = None
    timezone: str | None = None
    threads: int | None = None
    header: Device = field(default_factory=Device)
    severity: tuple[tuple[int, int], ...] = SEVERITY
    s3: S3Settings = field(default_factory=S3Settings)

    def planned(self) -> dict[str, Any]:
        """Return the settings that decide on the text and the keys of parts; JSON's types only."""
        header = {f.name: getattr(self.header, f.name) for f in fields(self.header)}
        plain = {name: getattr(self, name) for name in _PLANNED}
        lists = {n: list(v) if isinstance(v, tuple) else v for n, v in plain.items()}
        return {**lists, "severity": [list(pair) for pair in self.severity], "header": header}

    def with_planned(self, settings: Mapping[str, Any]) -> Config:
        """Return the config with the settings of a plan."""
        plain: dict[str, Any] = {
            n: tuple(v) if isinstance(v, list) else v for n, v in settings.items()
        }
        plain["severity"] = tuple((int(a), int(b)) for a, b in settings["severity"])
        plain["header"] = Device(**settings["header"])
        return replace(self, **plain)


_PLANNED = (
    "profile",
    "partition_by",
    "hive",
    "part_size",
    "compression",
    "max_event",
    "subseconds",
    "time_unit",
    "timezone",
)


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
    values: dict[str, Any] = {}
    origins = dict.fromkeys(_PARSERS, "default")
    problems = []
    for name, given, origin in layers:
        if name not in _PARSERS:
            problems.append(f"{origin}: {_unknown(name)}")
            continue
        try:
            values[name], origins[name] = _PARSERS[name](given), origin
        except (TypeError, ValueError) as err:
            problems.append(f"{origin}: {name} = {_shown(name, given)}: {err}")
    problems += _contradictions(values)
    if problems:
        raise ConfigError(_listed(problems), hint="`cefline config` shows what is in force")
    return Settings(_config(values), origins)


def size(text: object) -> int:
    """Return the bytes that a size like `64MiB` or `200KiB` says."""
    match = re.fullmatch(r"(\d+) ?(B|KiB|MiB|GiB|)", str(text))
    if not match or int(match[1]) == 0:
        message = "expected a size above zero, such as 64MiB or 200KiB"
        raise ValueError(message)
    return int(match[1]) * _UNITS[match[2]]


def size_text(count: int) -> str:
    """Return bytes as a size."""
    for unit, factor in reversed(_UNITS.items()):
        if unit and count >= factor:
            return f"{count / factor:.1f}".removesuffix(".0") + unit
    return "0B"


def shown(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """Yield name, value and origin of every setting that is in force; secrets are masked."""
    for name in _PARSERS:
        if name in {"bucket", "folder"}:  # what they say is in dest
            continue
        table, _, inner = name.rpartition(".")
        value = getattr(getattr(settings.config, table) if table else settings.config, inner)
        yield name, _value_text(name, value), settings.origins[name]


def _value_text(name: str, value: object) -> str:
    if value is None:
        return "not set"
    if name in {"part_size", "max_event"}:
        return size_text(int(str(value)))
    if name == "severity" and isinstance(value, tuple):
        return ", ".join(f"up to {up_to}: {severity}" for up_to, severity in value)
    if isinstance(value, tuple) and not isinstance(value, MaxRejects):
        return ", ".join(value) or "none"
    return "***" if name in SECRET else str(value)


def default_state(dest: str) -> str:
    """Return the state's place: `_cefline/<name>` beside the destination, never below it.

    Raises:
        ConfigError: the destination is a bucket's root, which has no beside.
    """
    scheme, path = ("s3://", dest[5:]) if dest.startswith("s3://") else ("", dest)
    parent, _, name = path.rstrip("/").rpartition("/")
    if scheme and not parent:
        message = f"{dest} is the root of a bucket, and the state must not lie below it"
        raise ConfigError(message, hint="Say where: --state s3://another-bucket/cefline")
    return (
        f"{scheme}{parent}/_cefline/{name}"
        if parent or path.startswith("/")
        else f"_cefline/{name}"
    )


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        message = "expected text"
        raise ValueError(message)
    return value


def _names(value: object) -> tuple[str, ...]:
    names = value if isinstance(value, list) else str(value).split(",")
    return tuple(_text(str(name).strip()) for name in names if str(name).strip())


def _partitions(value: object) -> tuple[str, ...]:
    names = _names([] if value == "none" else value)
    for name in names:
        if name not in BY_NAME and name != "day":
            near = get_close_matches(name, [*BY_NAME, "day"], 1)
            message = f"{name} is no field" + (f"; did you mean {near[0]}?" if near else "")
            raise ValueError(message)
    return names


def _truth(value: object) -> bool:
    found = {"true": True, "false": False, "1": True, "0": False}.get(str(value).lower())
    if found is None:
        message = "expected true or false"
        raise ValueError(message)
    return found


def _count(least: int, most: int = 2**63) -> Callable[[object], int]:
    def parse(value: object) -> int:
        if (
            isinstance(value, bool)
            or not re.fullmatch(r"\d+", str(value))
            or not least <= int(str(value)) <= most
        ):
            message = f"expected a whole number from {least}" + (
                f" to {most}" if most < 2**63 else ""
            )
            raise ValueError(message)
        return int(str(value))

    return parse


def _choice(*allowed: str) -> Callable[[object], str]:
    def parse(value: object) -> str:
        if value not in allowed:
            near = get_close_matches(str(value), allowed, 1)
            message = f"expected {', '.join(allowed)}" + (
                f"; did you mean {near[0]}?" if near else ""
            )
            raise ValueError(message)
        return str(value)

    return parse


def _max_rejects(value: object) -> MaxRejects:
    if match := re.fullmatch(r"(?:(\d+) or )?(\d+(?:\.\d+)?)%", str(value)):
        return MaxRejects(int(match[1] or 0), float(match[2]) / 100)
    try:
        return MaxRejects(_count(0)(value), 0)
    except ValueError:
        message = "expected rows, such as 100, or a share, such as 0.1%, or both: 10 or 0.1%"
        raise ValueError(message) from None


def _timezone(value: object) -> str:
    import zoneinfo

    if value != "UTC" and value not in zoneinfo.available_timezones():
        message = "expected a time zone, such as UTC or Europe/Berlin"
        raise ValueError(message)
    return str(value)


def _severity(value: object) -> tuple[tuple[int, int], ...]:
    if not isinstance(value, dict) or not all(0 <= int(v) <= 10 for v in value.values()):  # noqa: PLR2004 - CEF's scale
        message = (
            "expected a table of alarm_severity up to and CEF severity (0 to 10), such as 1 = 10"
        )
        raise ValueError(message)
    return tuple(sorted((int(k), int(v)) for k, v in value.items()))


def _seconds(value: object) -> float:
    number = float(str(value))
    if not 0 < number < 3600:  # noqa: PLR2004 - an hour
        message = "expected seconds"
        raise ValueError(message)
    return number


def place(value: object) -> str:
    """Return a destination: a local folder or an `s3://` URL, without a slash at its end."""
    text = _text(value)
    if "::" in text or ("://" in text and not text.startswith("s3://")):
        message = "expected a local folder or s3://bucket/prefix"
        raise ValueError(message)
    return text.rstrip("/") or text


_PARSERS: dict[str, Callable[[object], Any]] = {
    "enabled": _truth,
    "sources": _names,
    "dest": place,
    "bucket": _text,
    "folder": _text,
    "state": place,
    "profile": _choice("cado"),
    "partition_by": _partitions,
    "hive": _truth,
    "part_size": size,
    "compression": _choice("gzip", "zstd", "none"),
    "compression_level": _count(0, 22),
    "max_rejects": _max_rejects,
    "max_partitions": _count(1),
    "max_event": size,
    "subseconds": _truth,
    "time_unit": _choice("s", "ms", "us", "ns"),
    "timezone": _timezone,
    "threads": _count(1, 256),
    "severity": _severity,
    **{f"header.{f.name}": _text for f in fields(Device)},
    "s3.endpoint": _text,
    "s3.profile": _text,
    "s3.region": _text,
    "s3.sse": _choice("AES256", "aws:kms", "aws:kms:dsse"),
    "s3.sse_kms_key_id": _text,
    "s3.acl": _text,
    "s3.storage_class": _text,
    "s3.connect_timeout": _seconds,
    "s3.read_timeout": _seconds,
    "s3.attempts": _count(1, 20),
    "s3.allow_http": _truth,
}
"""Every setting by its full name, and what reads its value."""


def _file_values(file: Path | None) -> Iterator[tuple[str, object, str]]:
    if file is None:
        return
    try:
        data = tomllib.loads(file.read_text())
    except OSError as err:
        message = f"{file} can't be read: {err.strerror}"
        raise ConfigError(message, hint="Check --config and CEFLINE_CONFIG") from err
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as err:
        message = f"{file} is no TOML: {err}"
        raise ConfigError(message) from err
    for name, value in data.items():
        if isinstance(value, dict) and name != "severity":
            yield from ((f"{name}.{inner}", v, str(file)) for inner, v in value.items())
        else:
            yield name, value, str(file)


_NO_SETTINGS = {"CEFLINE_CONFIG", "CEFLINE_DATA", "CEFLINE_SOAK"}


def _env_values(env: Mapping[str, str]) -> Iterator[tuple[str, object, str]]:
    for variable in sorted(env):
        if variable.startswith("CEFLINE_") and variable not in _NO_SETTINGS:
            name = variable.removeprefix("CEFLINE_").lower()
            for table in ("s3", "header"):
                name = re.sub(rf"^{table}_", f"{table}.", name)
            yield name, env[variable], variable


def _unknown(name: str) -> str:
    near = get_close_matches(name, _PARSERS, 1)
    return f"there is no setting {name}" + (f"; did you mean {near[0]}?" if near else "")


def _shown(name: str, value: object) -> str:
    return "***" if name in SECRET else repr(value)


SECRET = frozenset({"s3.sse_kms_key_id"})
"""Settings whose values are masked wherever they are shown."""


def _contradictions(values: Mapping[str, Any]) -> Iterator[str]:
    if "folder" in values and "bucket" not in values:
        yield "folder is set and bucket is not"
    if "s3.sse_kms_key_id" in values and not str(values.get("s3.sse", "")).startswith("aws:kms"):
        yield "s3.sse_kms_key_id is set and s3.sse is not aws:kms"


def _listed(problems: list[str]) -> str:
    if len(problems) == 1:
        return problems[0]
    return "\n  ".join([f"{len(problems)} settings are wrong:", *problems])


def _config(values: dict[str, Any]) -> Config:
    if "bucket" in values and "dest" not in values:
        folder = str(values.get("folder", "")).strip("/")
        values["dest"] = f"s3://{values['bucket']}/{folder}".rstrip("/")
    plain = {n: v for n, v in values.items() if "." not in n and n not in {"bucket", "folder"}}
    return Config(
        **plain, header=Device(**_table(values, "header")), s3=S3Settings(**_table(values, "s3"))
    )


def _table(values: Mapping[str, Any], table: str) -> dict[str, Any]:
    prefix = f"{table}."
    return {n.removeprefix(prefix): v for n, v in values.items() if n.startswith(prefix)}
