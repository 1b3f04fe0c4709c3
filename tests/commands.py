"""The command, called in this process; tests/conftest.py gives it as a fixture."""

from __future__ import annotations

import json
import signal
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from cefline import cli

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(frozen=True, slots=True)
class Result:
    """What a call gave."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Return the objects of JSON on standard output."""
        return [json.loads(line) for line in self.out.splitlines()]


def calling(capture: pytest.CaptureFixture[bytes]) -> Iterator[Callable[..., Result]]:
    """Yield what calls the command."""
    handler = signal.getsignal(signal.SIGTERM)

    def called(*arguments: str) -> Result:
        capture.readouterr()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("POLARS_MAX_THREADS", "1")
            patch.setattr(sys, "argv", ["cefline", *arguments])
            with pytest.raises(SystemExit) as exited:
                cli.main()
        out, err = capture.readouterr()
        return Result(int(exited.value.code or 0), out.decode(), err.decode())

    yield called
    signal.signal(signal.SIGTERM, handler)
