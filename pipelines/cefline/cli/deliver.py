"""`cefline export`."""

from __future__ import annotations

import json
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Any

import click

from cefline import allocators
from cefline.cli import logs
from cefline.cli.options import EXIT_CODES, SETTINGS, settings, with_dest, with_settings
from cefline.cli.output import complain, say
from cefline.errors import CeflineError

if TYPE_CHECKING:
    from pathlib import Path

    from cefline.config import Config
    from cefline.progress import Progress
    from cefline.report import Report
    from cefline.settings import Settings

_HEARS = 0.2
"""Seconds after which a signal is heard while Spark is at work."""

_ON = "Convert on this machine, or on the executors of Spark.  [default: local]"
_ASSUME = "What became of a part that may have been put out and removed by a reader."


@click.command(epilog=EXIT_CODES)
@click.argument("places", nargs=-1, metavar="SOURCE... [DEST]")
@with_settings(list(SETTINGS))
@click.option("--hive", is_flag=True, help="Name folders dt=... and evidence_id=... .")
@click.option("--subseconds", is_flag=True, help="Add eventTimeMicros to each event.")
@click.option("--stamp", is_flag=True, help="Say the delivery in each line.")
@click.option("--accept-truncated", is_flag=True, help="Keep what is whole of cut-off sources.")
@click.option("--retry-failed", is_flag=True, help="Try sources that failed before.")
@click.option("--adopt", is_flag=True, help="Take over a destination that has parts, or its state.")
@click.option("--assume-delivered", "assume", flag_value="delivered", help=_ASSUME)
@click.option("--assume-lost", "assume", flag_value="lost", help=_ASSUME)
@click.option("--dry-run", is_flag=True, help="Read and convert everything, write nothing.")
@click.option("--on", type=click.Choice(["local", "spark"]), default="local", help=_ON)
@click.option("--json", "as_json", is_flag=True, help="Print the report as one line of JSON.")
@click.option("--no-lock", "lock", flag_value="false", help="Also beside a run on this host.")
@click.option("--quiet", is_flag=True, help="No progress, no log but errors, no summary.")
def export(places: tuple[str, ...], file: Path | None, on: str, **options: Any) -> int:  # noqa: ANN401 - click's own
    """Deliver timelines to a folder or an S3 prefix as CEF text.

    SOURCE is a file, a folder or a glob, local or s3://: Parquet, or NDJSON, a JSON array or CSV,
    plain, .gz or .zst. DEST is a local folder or s3://bucket/prefix. Where the configuration has a
    destination, DEST is left out and every argument is a SOURCE.
    """
    dry_run, as_json, quiet = (bool(options.pop(n)) for n in ("dry_run", "as_json", "quiet"))
    if dry_run and on == "spark":
        message = "--dry-run stages nothing, as Spark's workers must: leave out --on spark"
        raise click.UsageError(message)
    try:
        found = settings(file, options)
        if not found.config.enabled:
            _disabled(found, as_json=as_json)
            return 0
        config = _placed(found, places)
        logs.configure(config.log_format, quiet=quiet)
        if config.memory == "normal":
            allocators.huge_pages()

        from cefline.cli.lock import held
        from cefline.cli.standing import shown
        from cefline.progress import Progress

        alone = held(config) if config.lock and not dry_run else nullcontext()
        told = Progress()
        with alone, shown(told, config.log_format, quiet=quiet):
            report = (
                _on_spark(config, told) if on == "spark" else _here(config, told, dry_run=dry_run)
            )
    except CeflineError as err:
        if as_json:
            with suppress(OSError):  # the error itself is told all the same, and its exit code
                say(json.dumps({"error": str(err), "exit_code": err.exit_code}, ensure_ascii=False))
        raise
    try:
        _print_report(report, as_json=as_json, quiet=quiet)
    except OSError as err:  # what became of the sources counts for more
        complain(f"{err.strerror}: standard output")
        return report.exit_code or 1
    return report.exit_code


def _here(config: Config, told: Progress, *, dry_run: bool) -> Report:
    from cefline.job import export as run

    return run(config, progress=told, dry_run=dry_run)


def _on_spark(config: Config, told: Progress) -> Report:
    """Deliver in a thread: one that waits for Spark without an end hears of no signal."""
    from concurrent.futures import ThreadPoolExecutor, wait

    from cefline.spark import run
    from cefline.spark.session import session

    def delivered() -> Report:
        with session() as spark:
            return run(config, spark, told)

    future = ThreadPoolExecutor(1).submit(delivered)
    while not future.done():
        wait([future], timeout=_HEARS)
    return future.result()


def _placed(found: Settings, places: tuple[str, ...]) -> Config:
    from dataclasses import replace

    config = found.config
    if config.dest:
        return replace(config, sources=places or config.sources)
    if len(places) < 2:  # noqa: PLR2004 - a source and a destination
        message = (
            "Give at least one SOURCE and DEST, or set `dest` (or `bucket`) in the configuration."
        )
        raise click.UsageError(message)
    return replace(with_dest(config, places[-1]), sources=places[:-1])


def _print_report(report: Report, *, as_json: bool, quiet: bool) -> None:
    """Print the report, and complain whatever becomes of it."""
    try:
        if as_json:
            say(json.dumps(report.as_json(), ensure_ascii=False))
        elif not quiet:
            say("\n".join(report.lines()))
    finally:
        for source in report.sources:
            if source.error is not None:
                complain(source.error)


def _disabled(found: Settings, *, as_json: bool) -> None:
    if as_json:
        from cefline.report import Report

        click.echo(json.dumps({**Report((), 0.0).as_json(), "enabled": False}))
    else:
        click.echo(f"Nothing was done: enabled = false ({found.origins['enabled']})")
