"""Commands that look and write nothing: preview, rejects, fields, config."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from cefline.cli import logs
from cefline.cli.options import SELECTION, SETTINGS, TEXT, at_dest, settings, with_settings
from cefline.cli.output import say, write

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@click.argument("source")
@click.option("-n", "count", type=click.IntRange(min=1), default=10, show_default=True)
@with_settings([*TEXT, *SELECTION, "dialect", "time_unit", "timezone"])
@click.option("--subseconds", is_flag=True, help="Add eventTimeMicros to each event.")
@click.option("--stamp", is_flag=True, help="Say the delivery in each line.")
def preview(source: str, count: int, file: Path | None, **options: Any) -> None:  # noqa: ANN401 - click's own
    """Print the lines of the first events of SOURCE; write nothing."""
    found = settings(file, options)
    logs.configure("text", quiet=True)

    from cefline.look import preview as lines

    for text in lines(source, found.config, count):
        if not write(text):
            break


@click.command()
@click.argument("dest", required=False)
@click.option("--delivery", default="", metavar="ID", help="Of this delivery only.")
@click.option("--json", "as_json", is_flag=True, help="Print each as one line of JSON, in full.")
@with_settings(["state"])
def rejects(dest: str | None, file: Path | None, **options: Any) -> None:  # noqa: ANN401 - click's own
    """Show what could not be delivered to DEST as it was: rows, values, replaced characters."""
    delivery, as_json = options.pop("delivery"), options.pop("as_json")
    config = at_dest(dest, file, options)

    from cefline.look import rejects as kept
    from cefline.report import reject_text

    for record in kept(config, delivery):
        text = json.dumps(record, ensure_ascii=False) if as_json else reject_text(record)
        if not say(text):
            break


@click.command()
@click.option("--markdown", is_flag=True, help="As a Markdown table.")
@click.option("--targets", is_flag=True, help="What --target sets for each SIEM, and why.")
@click.option(
    "--signatures", metavar="SOURCE", help="The ids that profile dictionary gives its events."
)
@with_settings(["profile", "time_unit", "timezone"])
def fields(
    *,
    markdown: bool,
    targets: bool,
    signatures: str | None,
    file: Path | None,
    **options: Any,  # noqa: ANN401 - click's own
) -> None:
    """Show the field table of a profile: input names, types, CEF keys."""
    config = settings(file, options).config

    from cefline import fieldtable
    from cefline.convert import profile

    if targets:
        shown = fieldtable.targets_markdown if markdown else fieldtable.targets_plain
        click.echo(shown(), nl=False)
        return
    if signatures is None:
        table = fieldtable.markdown if markdown else fieldtable.plain
        click.echo(table(profile(config)), nl=False)
        return

    logs.configure("text", quiet=True)

    from cefline.look import signatures as found
    from cefline.shown import printable

    told = found(signatures, config)
    rows = [(one, f"{count:,}", printable(name)) for one, count, name in told]
    say(fieldtable.columns([("Signature id", "Events", "Name of the first"), *rows]).rstrip("\n"))


@click.command(name="config")
@with_settings(list(SETTINGS))
def config_command(file: Path | None, **options: Any) -> None:  # noqa: ANN401 - click's own
    """Show the settings in force and where each one comes from; secrets are masked."""
    from cefline.settings import shown

    for name, value, origin in shown(settings(file, options)):
        click.echo(f"{name} = {value}  ({origin})")
