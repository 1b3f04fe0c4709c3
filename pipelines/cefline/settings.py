"""Settings: flags over `CEFLINE_*` variables over a TOML file; all problems told at once."""

from __future__ import annotations

import re
import tomllib
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cefline import values
from cefline.config import OF_CEF, Config, of_keys
from cefline.errors import ConfigError
from cefline.moments import micros
from cefline.s3 import S3Settings
from cefline.values import PARSERS
from cefline_schemas.cef import Device
from cefline_schemas.targets import BY_TARGET

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class Settings(NamedTuple):
    """The settings in force, and where each one comes from."""

    config: Config
    origins: Mapping[str, str]
    """By full name (`part_size`, `s3.endpoint`): `--part-size`, a variable, the file, `default`."""


def load(
    flags: Mapping[str, str], env: Mapping[str, str], file: Path | Mapping[str, Any] | None
) -> Settings:
    """Return the settings in force.

    Args:
        flags: name to the text given on the command line.
        env: the environment.
        file: a TOML file, what one would hold, or None.

    Raises:
        ConfigError: a name is unknown or a value can't be what it says; it lists them all.
    """
    layers = [*_of_collector(env), *_file_values(file), *_env_values(env)]
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
    problems += [*_contradictions(given), *_of_selection(given), *of_keys(given, origins)]
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


def _file_values(file: Path | Mapping[str, Any] | None) -> Iterator[tuple[str, object, str]]:
    origin = str(file) if isinstance(file, Path) else "config"
    for name, value in _read(file).items():
        if isinstance(value, dict) and name not in {"severity", "keys", "constants"}:
            yield from ((f"{name}.{inner}", v, origin) for inner, v in value.items())
        else:
            yield name, value, origin


def _read(file: Path | Mapping[str, Any] | None) -> Mapping[str, Any]:
    if not isinstance(file, Path):
        return file or {}
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as err:
        message = f"{file} can't be read: {err.strerror}"
        raise ConfigError(message, hint="Check --config and CEFLINE_CONFIG") from err
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as err:
        message = f"{file} is no TOML: {err}"
        raise ConfigError(message) from err


def _preset(layers: list[tuple[str, object, str]]) -> Iterator[tuple[str, object, str]]:
    """Yield the settings of the target in force: all others win over them."""
    last = {name: str(value) for name, value, _ in layers if name in {"target", "format"}}
    if last.get("target") in BY_TARGET:
        for fact in BY_TARGET[last["target"]].facts:
            if last.get("format") != "json" or fact.setting not in OF_CEF:
                yield fact.setting, fact.value, f"target {last['target']}"


_NO_SETTINGS = {"CEFLINE_CONFIG", "CEFLINE_DATA", "CEFLINE_SOAK", "CEFLINE_STORES"}


def _env_values(env: Mapping[str, str]) -> Iterator[tuple[str, object, str]]:
    for variable in sorted(env):
        if variable.startswith("CEFLINE_") and variable not in _NO_SETTINGS:
            name = variable.removeprefix("CEFLINE_").lower()
            for table in ("s3", "header"):
                name = re.sub(rf"^{table}_", f"{table}.", name)
            yield name, env[variable], variable


_COLLECTOR = "OTEL_EXPORTER_OTLP_ENDPOINT"


def _of_collector(env: Mapping[str, str]) -> Iterator[tuple[str, object, str]]:
    """Switch OpenTelemetry on where the environment names a collector, and it can be had.

    Others on this host may use what is named by gRPC, which cefline does not speak.
    """
    off = env.get("OTEL_SDK_DISABLED", "").lower() == "true"
    http = env.get("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf") == "http/protobuf"
    named = env.get(_COLLECTOR) and http and not off
    if named and _is_installed("opentelemetry.exporter.otlp.proto.http"):
        yield "otel", True, _COLLECTOR


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of what is above it
        return False


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
        for name, default in OF_CEF.items():
            if given.get(name, default) != default:
                yield f"{name} is {given[name]} and format is json: it is about CEF"


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
