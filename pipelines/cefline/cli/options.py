"""Options that several commands share, and what they come to."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from cefline.config import Config
    from cefline.settings import Settings

EXIT_CODES = """\b
Exit codes:
  0    done, or nothing to do
  1    failed
  2    the call is wrong
  3    too many rejects: nothing of that source was published
  75   try again: network, throttling, expired token, disk full
  78   configuration, credentials or rights are wrong
  130, 143   interrupted, terminated
"""

SETTINGS = {
    "target": "A SIEM: settings that suit it, see `cefline fields --targets`.  [default: none]",
    "format": "Lines of cef, or of json: CadoJson.  [default: cef]",
    "profile": "Which CEF keys fields become: cado, dictionary.  [default: cado]",
    "max_line": "Bytes of a line: longer ones have free text cut, and marked.  [default: any]",
    "max_value": "Bytes of a value, likewise.  [default: any]",
    "partition_by": "Fields, or `day`, separated by commas, or `none`.  [default: evidence_id]",
    "part_size": "Text of a part at most.  [default: 64MiB]",
    "split_size": "Larger sources are cut into splits with parts of their own.  [default: any]",
    "compression": "gzip, zstd or none.  [default: gzip]",
    "compression_level": "0 to 3, of gzip alone.  [default: 2]",
    "state": "Where plans, manifests and rejects go.  [default: _cefline/<name> beside DEST]",
    "max_rejects": "Rows, a share, or the greater of both.  [default: 10 or 0.1%]",
    "max_partitions": "A source with more partitions fails.  [default: 200]",
    "dialect": "Names and units of sources: auto, cado, plaso, timesketch.  [default: auto]",
    "time_unit": "Unit of numbers in eventTime: s, ms, us or ns.  [default: s, if they can be]",
    "timezone": "Zone of times in text that have none, such as UTC.",
    "where": "Events that are wanted, such as \"source = 'REG' and not alarm\".  [default: all]",
    "min_severity": "Severity of the header, 0 to 10, that events have at least.",
    "since": "Events from this time on: ISO 8601 (UTC where it says no zone), or epoch seconds.",
    "until": "Events before this time; since and until leave out events without one.",
    "fields": "Fields that are written, separated by commas.  [default: all]",
    "drop": "Fields that are not written, separated by commas.",
    "framing": "Syslog header of each line: none, rfc3164 or rfc5424.  [default: none]",
    "cef_version": "0 or 1: lines begin with CEF:0 or CEF:1.  [default: 0]",
    "unknown": "Columns that no field takes: drop, carry or fail.  [default: drop]",
    "lists": "Form of lists and objects: python, as in the standard, or json.  [default: python]",
    "staging": "Where sources are converted.  [default: a private folder in /var/tmp]",
    "staging_max": "Bytes that a source may take there.  [default: all there are]",
    "settle": "Files found in folders must be untouched so long.  [default: 60s]",
    "turn_timeout": "Take over from a run without progress after this.  [default: 10m]",
    "pace": "Wait between two parts.  [default: 0s]",
    "readers": "What readers do with parts: delete, or keep all.  [default: delete]",
    "check": "Before a delivery is done: listing, or full: read all back.  [default: listing]",
    "known": "Evidence that came before from other content: deliver, refuse.  [default: deliver]",
    "evidence_id": "The evidence_id of events that have none.",
    "redeliver": "Deliver once more what was delivered, once for each TOKEN.",
    "after": "What becomes of delivered sources: none, tag, move (to after_to).  [default: none]",
    "log_format": "Log lines: text, json, or auto: text on a terminal.  [default: auto]",
    "metrics_file": "Metrics of the run, for Prometheus: a file that ends in .prom.",
    "reports": "Leave a report of each delivery in the state: true or false.  [default: true]",
    "threads": "How many cores to use.  [default: all]",
    "memory": "small: smaller batches, slower, for little machines.  [default: normal]",
}

SELECTION = ["where", "min_severity", "since", "until", "fields", "drop"]
TEXT = ["target", "format", "profile", "framing", "cef_version", "max_line", "max_value"]
"""What `preview` takes as well."""


def with_settings(names: list[str]) -> Callable[[Any], Any]:
    """Return what gives a command the flags of some settings, and `--config`."""

    def decorate(command: Any) -> Any:  # noqa: ANN401 - click's own
        for name in reversed(names):
            flag = f"--{name.replace('_', '-')}"
            command = click.option(flag, name, metavar="TEXT", help=SETTINGS[name])(command)
        option = click.option(
            "--config",
            "file",
            type=click.Path(path_type=Path),
            envvar="CEFLINE_CONFIG",
            help="A TOML file of settings; flags and CEFLINE_* variables win over it.",
        )
        return option(command)

    return decorate


def settings(file: Path | None, options: dict[str, Any]) -> Settings:
    """Return the settings in force: flags over variables over the file."""
    from cefline.settings import load

    given = {
        n: str(v).lower() if v is True else v for n, v in options.items() if v not in {None, False}
    }
    return load(given, os.environ, file)


def with_dest(config: Config, dest: str) -> Config:
    """Return the config with a destination of the command line.

    Raises:
        UsageError: it can't be one.
    """
    from dataclasses import replace

    from cefline.values import place

    try:
        return replace(config, dest=place(dest))
    except ValueError as err:
        message = f"DEST {dest!r}: {err}"
        raise click.UsageError(message) from err


def at_dest(dest: str | None, file: Path | None, options: dict[str, Any]) -> Config:
    """Return the settings in force, with the destination of the command line.

    Raises:
        UsageError: there is none.
    """
    config = settings(file, options).config
    if dest:
        config = with_dest(config, dest)
    if not config.dest:
        message = "Give DEST, or set `dest` (or `bucket`) in the configuration."
        raise click.UsageError(message)
    return config
