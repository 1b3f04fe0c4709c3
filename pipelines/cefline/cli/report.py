"""`cefline report`."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import click

from cefline import wholefile
from cefline.cli import logs
from cefline.cli.options import at_dest, with_settings
from cefline.cli.output import write
from cefline.errors import of_system


@click.command()
@click.argument("dest", required=False)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file to write, instead of standard output.",
)
@click.option("--delivery", default="", metavar="ID", help="Of this delivery only.")
@with_settings(["state"])
def report(dest: str | None, file: Path | None, **options: Any) -> None:  # noqa: ANN401 - click's own
    """Make a page of HTML on all deliveries of DEST: events over time, sources, hosts, rejects.

    The page needs no network and no script. It holds values of events: treat it as evidence.
    """
    output, delivery = options.pop("output"), options.pop("delivery")
    config = at_dest(dest, file, options)
    logs.configure("text", quiet=True)

    from cefline.overview import delivery_report, overview

    page = delivery_report(config, delivery) if delivery else overview(config)
    body = page.encode(errors="backslashreplace")
    if output is None:
        write(body)
        return
    try:
        _put(output, body)
    except OSError as err:
        raise of_system(err, str(output)) from err


def _put(path: Path, body: bytes) -> None:
    """Write a page in the place of the one before it, whose owner and rights it gets."""
    place = Path(os.path.realpath(path))
    if not place.exists():
        wholefile.write(place, body, 0o600)  # it is evidence
    elif place.is_file() and os.access(place.parent, os.W_OK | os.X_OK):
        found = place.stat()
        wholefile.write(place, body, stat.S_IMODE(found.st_mode), (found.st_uid, found.st_gid))
    else:  # a pipe or a terminal, or a file that alone may be written
        path.write_bytes(body)
