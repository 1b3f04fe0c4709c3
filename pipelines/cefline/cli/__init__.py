"""The command line: the only room that reads arguments and the environment, and exits."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from typing import NoReturn

import click

from cefline import __version__, allocators
from cefline.cli.deliver import export
from cefline.cli.look import config_command, fields, preview, rejects
from cefline.cli.options import EXIT_CODES
from cefline.cli.output import complain, open_closed
from cefline.cli.prove import abandon, status, verify
from cefline.cli.report import report
from cefline.errors import CeflineError


def main() -> None:
    """Run a command and exit with its code; a problem of the user's never shows a traceback."""
    open_closed()
    # Parallel over batches instead: must be set before polars is imported.
    os.environ.setdefault("POLARS_MAX_THREADS", "1")
    allocators.sparing()
    signal.signal(signal.SIGTERM, _terminated)
    try:
        code = commands.main(standalone_mode=False)
    except click.ClickException as err:
        with suppress(OSError):
            err.show()
        code = err.exit_code
    except (KeyboardInterrupt, click.Abort):
        complain("interrupted; the next run goes on")
        _end(130)
    except _TerminatedError:
        complain("terminated; the next run goes on")
        _end(_TerminatedError.exit_code)
    except CeflineError as err:
        complain(err)
        code = err.exit_code
    except OSError as err:
        complain(f"{err.strerror}: {err.filename or 'standard output'}")
        code = 1
    sys.exit(code or 0)


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=EXIT_CODES,
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def commands() -> None:
    """Bulk forensic timeline exports in, CEF text on S3 out, each event exactly once."""


for _command in (
    export,
    preview,
    rejects,
    verify,
    status,
    report,
    abandon,
    fields,
    config_command,
):
    commands.add_command(_command)


class _TerminatedError(BaseException):
    """A signal asked for the end."""

    exit_code = 143


def _terminated(_signal: int, _frame: object) -> None:
    raise _TerminatedError


def _end(code: int) -> NoReturn:
    """Exit without waiting for threads: a delivery may end at any point, and the next goes on."""
    with suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)
