"""What a run is told: one frozen value. Where its settings come from is in `settings.py`."""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Literal

from cefline import __version__, values
from cefline.errors import ConfigError, DeliveryError
from cefline.s3 import S3Settings
from cefline.values import PARSERS
from cefline_schemas.cef import SEVERITY, Device

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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


LogFormat = Literal["auto", "text", "json"]


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
    split_size: int | None = None
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
    lock: bool = True
    log_format: LogFormat = "auto"
    metrics_file: str | None = None
    otel: bool = False
    reports: bool = True
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
        for told in of_keys(settings, dict.fromkeys(_ADDED, "its plan")):
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
    "split_size",
)
"""Planned as well, but said only where they are set: a plan of before they were there is one
without them, whatever this run's are."""

_DEFAULTS = {f.name: f.default for f in fields(Config) if f.name in _ADDED}

_ABOUT_CEF = {"profile", "framing", "cef_version", "keys", "constants", "max_line", "max_value"}
_ABOUT_CEF |= {"time_window", "escapes", "omit", "crlf"}
OF_CEF = {f.name: f.default for f in fields(Config) if f.name in _ABOUT_CEF}
"""Settings that say nothing of CadoJson, and what they are by default."""

_LIMITS = ("max_rejects", "max_partitions", "max_expansion", "known")


def of_keys(given: Mapping[str, Any], origins: Mapping[str, str]) -> Iterator[str]:
    """Yield what contradicts each other in keys and constants."""
    names = [name for name in ("keys", "constants") if given.get(name)]
    if names:
        from cefline.given import problems  # imports polars

        own = (given.get(name, ()) for name in ("keys", "constants"))
        for name, what in problems(given.get("profile", "cado"), *own):
            yield f"{origins[name.partition('.')[0]]}: {name}: {what}"


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
