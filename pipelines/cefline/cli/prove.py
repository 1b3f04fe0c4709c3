"""Commands about what was delivered: verify, status, abandon."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import click

from cefline.cli import logs
from cefline.cli.options import at_dest, with_settings
from cefline.cli.output import say

if TYPE_CHECKING:
    from pathlib import Path

    from cefline.config import Config


def _day(_context: click.Context, _option: click.Parameter, given: str) -> str:
    if not re.fullmatch(r"(\d{8})?", given):
        message = f"{given!r} is no day; expected one such as 20260112"
        raise click.BadParameter(message)
    return given


@click.command()
@click.argument("dest", required=False)
@click.option("--delivery", default="", metavar="ID", help="This delivery only.")
@click.option("--source", default="", metavar="URL", help="Compare with this source.")
@click.option(
    "--removed-before",
    default="",
    metavar="YYYYMMDD",
    callback=_day,
    help="Parts of turns before this day may have been removed.",
)
@click.option(
    "--expect",
    type=click.Choice(["siem"]),
    help="Print what a search in the SIEM must find, from the manifests; reads no part.",
)
@click.option("--json", "as_json", is_flag=True, help="Print each delivery as one line of JSON.")
@with_settings(["state", "staging"])
def verify(dest: str | None, file: Path | None, **options: Any) -> int:  # noqa: ANN401 - click's own
    """Read back what lies under DEST, and compare it with manifests and sources.

    Each part must be there, whole, and hold its events, one a line; each line is parsed; where the
    source is at hand, every field of every event is compared. Exit code 0 or 1.

    With --expect siem no part is read: the counts that a search in the SIEM must find are printed.
    """
    names = ("delivery", "source", "removed_before")
    asked = {name: options.pop(name) for name in names}
    as_json, expected = options.pop("as_json"), options.pop("expect")
    if expected and (asked["source"] or asked["removed_before"]):
        message = "--expect reads no part: it takes neither --source nor --removed-before"
        raise click.UsageError(message)
    if asked["source"] and not asked["delivery"]:
        message = "--source needs --delivery: which delivery is it the source of?"
        raise click.UsageError(message)
    config = at_dest(dest, file, options)
    logs.configure("text", quiet=True)
    if expected:
        return _expect(config, asked["delivery"], as_json=as_json)

    from cefline.verify.run import verify as run

    right, count = True, 0
    for found in run(config, **asked):
        right, count = right and found.is_right, count + bool(found.delivery)
        lines = [json.dumps(found.as_json(), ensure_ascii=False)] if as_json else found.lines()
        say("\n".join(lines))
    if not as_json:
        say(f"{count} deliveries, {'all right' if right else 'NOT all right'}")
    return 0 if right else 1


def _expect(config: Config, delivery: str, *, as_json: bool) -> int:
    from cefline.verify.expect import expect

    for one in expect(config, delivery):
        text = json.dumps(one.as_json()) if as_json else "\n".join(one.lines())
        if not say(text):
            break
    return 0


@click.command()
@click.argument("dest", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print each delivery as one line of JSON.")
@with_settings(["state"])
def status(dest: str | None, file: Path | None, **options: Any) -> None:  # noqa: ANN401 - click's own
    """Show the deliveries of DEST: done, open, failed or abandoned, with events, rejects, bytes."""
    as_json = options.pop("as_json")
    config = at_dest(dest, file, options)

    from cefline.status import HEADING
    from cefline.status import status as deliveries

    if not as_json:
        say(HEADING)
    for one in deliveries(config):
        if not say(json.dumps(one.as_json()) if as_json else one.line()):
            break


@click.command()
@click.argument("dest", required=False)
@click.argument("delivery")
@with_settings(["state"])
def abandon(dest: str | None, delivery: str, file: Path | None, **options: Any) -> None:  # noqa: ANN401 - click's own
    """Close an unfinished DELIVERY of DEST as it is, and list what of it was published."""
    config = at_dest(dest, file, options)

    from cefline.status import abandon as close

    keys = close(config, delivery)
    say("\n".join([*keys, f"{delivery} is abandoned; {len(keys)} parts of it were published"]))
