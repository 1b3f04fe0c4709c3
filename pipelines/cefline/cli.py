"""The command line: the only module that reads arguments and the environment, and exits."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cefline import __version__
from cefline.errors import CeflineError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cefline.config import Config, Settings
    from cefline.progress import Progress
    from cefline.report import Report

_EXIT_CODES = """\b
Exit codes:
  0    done, or nothing to do
  1    failed
  2    the call is wrong
  3    too many rejects: nothing of that source was published
  75   try again: network, throttling, expired token, disk full, an open turn
  78   configuration, credentials or rights are wrong
  130, 143   interrupted, terminated
"""

_SETTINGS = {
    "profile": "Which CEF keys fields become: cado.",
    "partition_by": "Fields, or `day`, separated by commas, or `none`.  [default: evidence_id]",
    "part_size": "Text of a part at most.  [default: 64MiB]",
    "compression": "gzip, zstd or none.  [default: gzip]",
    "compression_level": "0 to 3 for gzip, 1 to 22 for zstd.  [default: 2, 1]",
    "state": "Where plans, manifests and rejects go.  [default: _cefline/<name> beside DEST]",
    "max_rejects": "Rows, a share, or the greater of both.  [default: 10 or 0.1%]",
    "max_partitions": "A source with more partitions fails.  [default: 200]",
    "time_unit": "Unit of numbers in eventTime: s, ms, us or ns.  [default: s, if they can be]",
    "timezone": "Zone of times in text that have none, such as UTC.",
    "unknown": "Columns that no field takes: drop, carry or fail.  [default: drop]",
    "lists": "Form of lists and objects: python, as in the standard, or json.  [default: python]",
    "staging": "Where sources are converted.  [default: a private folder in /var/tmp]",
    "settle": "Files found in folders must be untouched so long.  [default: 60s]",
    "turn_timeout": "Take over from a run without progress after this.  [default: 10m]",
    "pace": "Wait between two parts.  [default: 0s]",
    "known": "Evidence that came before from other content: deliver, refuse.  [default: deliver]",
    "evidence_id": "The evidence_id of events that have none.",
    "redeliver": "Deliver once more what was delivered, once for each TOKEN.",
    "threads": "How many cores to use.  [default: all]",
}


_ASSUME = "What became of a part that may have been put out and removed by a reader."


def main() -> None:
    """Run a command and exit with its code; a problem of the user's never shows a traceback."""
    # Parallel over batches instead: must be set before polars is imported.
    os.environ.setdefault("POLARS_MAX_THREADS", "1")
    # A tenth less memory than the default pool over a whole run; where it is, that is on Linux.
    if sys.platform == "linux":
        os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "jemalloc")
    signal.signal(signal.SIGTERM, _terminated)
    try:
        code = commands.main(standalone_mode=False)
    except click.ClickException as err:
        err.show()
        code = err.exit_code
    except (KeyboardInterrupt, click.Abort):
        _say("interrupted; the next run goes on")
        code = 130
    except CeflineError as err:
        _say(str(err))
        code = err.exit_code
    except OSError as err:
        _say(f"{err.strerror}: {err.filename or 'standard output'}")
        code = 1
    sys.exit(code or 0)


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=_EXIT_CODES,
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def commands() -> None:
    """Bulk forensic timeline exports in, CEF text on S3 out, each event exactly once."""


def _with_settings(names: list[str]) -> Callable[[Any], Any]:
    def decorate(command: Any) -> Any:  # noqa: ANN401 - click's own
        for name in reversed(names):
            flag = f"--{name.replace('_', '-')}"
            command = click.option(flag, name, metavar="TEXT", help=_SETTINGS[name])(command)
        option = click.option(
            "--config",
            "file",
            type=click.Path(path_type=Path),
            envvar="CEFLINE_CONFIG",
            help="A TOML file of settings; flags and CEFLINE_* variables win over it.",
        )
        return option(command)

    return decorate


@commands.command(epilog=_EXIT_CODES)
@click.argument("places", nargs=-1, metavar="SOURCE... [DEST]")
@_with_settings(list(_SETTINGS))
@click.option("--hive", is_flag=True, help="Name folders dt=... and evidence_id=... .")
@click.option("--subseconds", is_flag=True, help="Add eventTimeMicros to each event.")
@click.option("--accept-truncated", is_flag=True, help="Keep what is whole of cut-off sources.")
@click.option("--retry-failed", is_flag=True, help="Try sources that failed before.")
@click.option("--adopt", is_flag=True, help="Take over a destination that has parts, or its state.")
@click.option("--assume-delivered", "assume", flag_value="delivered", help=_ASSUME)
@click.option("--assume-lost", "assume", flag_value="lost", help=_ASSUME)
@click.option("--dry-run", is_flag=True, help="Read and convert everything, write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as one line of JSON.")
@click.option("--quiet", is_flag=True, help="No progress, no log but errors, no summary.")
def export(places: tuple[str, ...], file: Path | None, **options: Any) -> int:  # noqa: ANN401 - click's own
    """Deliver timelines to a folder or an S3 prefix as CEF text.

    SOURCE is a file, a folder or a glob, local or s3://: Parquet, or NDJSON or a JSON array,
    plain, .gz or .zst. DEST is a local folder or s3://bucket/prefix. Where the configuration has a
    destination, DEST is left out and every argument is a SOURCE.
    """
    dry_run, as_json, quiet = (bool(options.pop(n)) for n in ("dry_run", "as_json", "quiet"))
    settings = _settings(file, options)
    if not settings.config.enabled:
        _disabled(settings, as_json=as_json)
        return 0
    config = _placed(settings, places)
    progress = _progress(quiet=quiet)

    from cefline.job import export as run

    report = run(config, progress=progress, dry_run=dry_run)
    _print_report(report, as_json=as_json, quiet=quiet)
    return report.exit_code


@commands.command()
@click.argument("source")
@click.option("-n", "count", type=click.IntRange(min=1), default=10, show_default=True)
@_with_settings(["time_unit", "timezone"])
@click.option("--subseconds", is_flag=True, help="Add eventTimeMicros to each event.")
def preview(source: str, count: int, file: Path | None, **options: Any) -> None:  # noqa: ANN401 - click's own
    """Print the CEF lines of the first events of SOURCE; write nothing."""
    settings = _settings(file, options)
    _progress(quiet=True)

    from cefline.look import preview as lines

    for text in lines(source, settings.config, count):
        if not _write(text):
            break


@commands.command()
@click.argument("dest", required=False)
@click.option("--delivery", default="", metavar="ID", help="Of this delivery only.")
@click.option("--json", "as_json", is_flag=True, help="Print each as one line of JSON, in full.")
@_with_settings(["state"])
def rejects(dest: str | None, file: Path | None, **options: Any) -> None:  # noqa: ANN401 - click's own
    """Show what could not be delivered to DEST as it was: rows, values, replaced characters."""
    delivery, as_json = options.pop("delivery"), options.pop("as_json")
    config = _settings(file, options).config
    if dest:
        config = _with_dest(config, dest)
    if not config.dest:
        message = "Give DEST, or set `dest` (or `bucket`) in the configuration."
        raise click.UsageError(message)

    from cefline.look import rejects as kept
    from cefline.report import reject_text

    for record in kept(config, delivery):
        text = json.dumps(record, ensure_ascii=False) if as_json else reject_text(record)
        if not _print(text):
            break


@commands.command()
@click.option("--markdown", is_flag=True, help="As a Markdown table.")
def fields(*, markdown: bool) -> None:
    """Show the field table: input names, types, CEF keys."""
    from cefline import fieldtable

    click.echo(fieldtable.markdown() if markdown else fieldtable.plain(), nl=False)


@commands.command(name="config")
@_with_settings(list(_SETTINGS))
def config_command(file: Path | None, **options: Any) -> None:  # noqa: ANN401 - click's own
    """Show the settings in force and where each one comes from; secrets are masked."""
    from cefline.config import shown

    for name, value, origin in shown(_settings(file, options)):
        click.echo(f"{name} = {value}  ({origin})")


def _settings(file: Path | None, options: dict[str, Any]) -> Settings:
    from cefline.config import load

    given = {
        n: str(v).lower() if v is True else v for n, v in options.items() if v not in {None, False}
    }
    return load(given, os.environ, file)


def _placed(settings: Settings, places: tuple[str, ...]) -> Config:
    from dataclasses import replace

    config = settings.config
    if config.dest:
        return replace(config, sources=places or config.sources)
    if len(places) < 2:  # noqa: PLR2004 - a source and a destination
        message = (
            "Give at least one SOURCE and DEST, or set `dest` (or `bucket`) in the configuration."
        )
        raise click.UsageError(message)
    return replace(_with_dest(config, places[-1]), sources=places[:-1])


def _with_dest(config: Config, dest: str) -> Config:
    from dataclasses import replace

    from cefline.values import place

    try:
        return replace(config, dest=place(dest))
    except ValueError as err:
        message = f"DEST {dest!r}: {err}"
        raise click.UsageError(message) from err


def _progress(*, quiet: bool) -> Progress:
    from cefline.progress import Bar, Logged, Silent

    terminal = sys.stderr.isatty()
    logging.Formatter.converter = time.gmtime
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.WARNING,
        format="%(asctime)sZ %(levelname)s %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%S",
    )
    logging.getLogger("cefline").setLevel(logging.WARNING if quiet or terminal else logging.INFO)
    if quiet:
        return Silent()
    return Bar() if terminal else Logged()


def _print_report(report: Report, *, as_json: bool, quiet: bool) -> None:
    for source in report.sources:
        if source.error is not None:
            _say(str(source.error))
    if as_json:
        _print(json.dumps(report.as_json(), ensure_ascii=False))
    elif not quiet:
        _print("\n".join(report.lines()))


def _disabled(settings: Settings, *, as_json: bool) -> None:
    if as_json:
        from cefline.report import Report

        click.echo(json.dumps({**Report((), 0.0).as_json(), "enabled": False}))
    else:
        click.echo(f"Nothing was done: enabled = false ({settings.origins['enabled']})")


def _print(text: str) -> bool:
    return _write(f"{text}\n".encode(errors="backslashreplace"))


def _write(text: bytes | memoryview) -> bool:
    """Write to standard output; False where its reader has seen enough, which is no error."""
    try:
        sys.stdout.buffer.write(text)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True


def _say(text: str) -> None:
    click.echo(f"cefline: {text}", err=True)


def _terminated(_signal: int, _frame: object) -> None:
    _say("terminated; the next run goes on")
    sys.exit(143)
