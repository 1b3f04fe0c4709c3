"""What can go wrong, with the exit code it ends in.

A message says what, where and what was expected; `hint` says what to do.
"""

import errno
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

TEMPORARY = 75
CONFIGURATION = 78
_WORST_FIRST = (CONFIGURATION, TEMPORARY, 1, 2, 3)


LATER = "It may work again later: the next run goes on where this one stopped"

_UNCHANGED = "It has not changed, and was not read again; --retry-failed does"

_CUT = "Export or copy it again; --accept-truncated keeps what is whole"


class CeflineError(Exception):
    """A problem the user can understand and act on; never shown with a traceback."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "", sample: str = "") -> None:
        """Take what and where, in `hint` what to do, in `sample` what of the source shows it."""
        super().__init__(message)
        self.bare = message
        self.message = f"{message}: {sample}" if sample else message
        self.hint = hint
        self.sample = sample

    def about(self, place: str) -> Self:
        """Return the same error with the place it is about, if it does not name it yet."""
        if place in self.message:
            return self
        error = type(self)(f"{place}: {self.bare}", hint=self.hint, sample=self.sample)
        error.__cause__ = self
        return error

    def told(self) -> dict[str, Any]:
        """Return it as JSON, for another machine or a later run: `of_told` reads it."""
        kind = next(kind.__name__ for kind in type(self).__mro__ if kind.__name__ in _KINDS)
        said = {"kind": kind, "message": self.bare, "hint": self.hint, "sample": self.sample}
        return {**said, "exit_code": self.exit_code}

    def logged(self) -> str:
        """Return message and hint without the sample: no log has what is in an event."""
        return self._hinted(self.bare)

    def __str__(self) -> str:
        """Return message, sample and hint as one text."""
        return self._hinted(self.message)

    def _hinted(self, said: str) -> str:
        end = "\n" if "\n" in said else ". "
        return f"{said}{end}{self.hint}" if self.hint else said


class UsageError(CeflineError):
    """The call can't be carried out as it was written."""

    exit_code = 2


class SourceError(CeflineError):
    """A source can't be read as a whole; nothing of it is published."""


class TruncatedError(SourceError):
    """A source breaks off; what is whole before that place could be kept."""

    def __init__(self, message: str, *, hint: str = "", sample: str = "") -> None:
        """Take what and where."""
        super().__init__(message, hint=hint or _CUT, sample=sample)


class TooManyRejectsError(CeflineError):
    """More rows were rejected than allowed; nothing of the source is published."""

    exit_code = 3


class DeliveryError(CeflineError):
    """Something at the destination or in the state is not as it must be; nothing is overwritten."""


class TryAgainError(CeflineError):
    """Network, throttling, an expired token, a full disk, a lock: the next run may succeed."""

    exit_code = TEMPORARY


class ConfigError(CeflineError):
    """Settings, credentials or rights are wrong; a retry will not help."""

    exit_code = CONFIGURATION


_KINDS = {
    kind.__name__: kind
    for kind in (
        SourceError,
        TruncatedError,
        CeflineError,
        UsageError,
        TooManyRejectsError,
        DeliveryError,
        TryAgainError,
        ConfigError,
    )
}


def of_told(said: Mapping[str, Any]) -> CeflineError:
    """Return the error that was told so; one without a kind is of its exit code's."""
    of_code = (kind for kind in _KINDS.values() if kind.exit_code == said["exit_code"])
    kind = _KINDS.get(said.get("kind", "")) or next(of_code, SourceError)
    return kind(said["message"], hint=said.get("hint", ""), sample=said.get("sample", ""))


def failed_before(err: CeflineError) -> CeflineError:
    """Return the error of a source that failed in an earlier run and has not changed since."""
    kind = TooManyRejectsError if err.exit_code == TooManyRejectsError.exit_code else SourceError
    hint = f"{err.hint}. {_UNCHANGED}" if err.hint else _UNCHANGED
    return kind(f"failed before: {err.bare}", hint=hint, sample=err.sample)


def of_system(err: OSError, place: str) -> CeflineError:
    """Return the error for one of the system's: a full disk may be emptied, others stay."""
    if err.errno in {errno.ENOSPC, errno.EDQUOT}:
        hint = "Free some space; for staged parts, --staging names a place on another file system"
        return TryAgainError(f"{place}: the disk is full{_free(place)}", hint=hint)
    return CeflineError(
        f"{place}: {err.strerror or err}", hint="Check that it is there, and its rights"
    )


def _free(place: str) -> str:
    with suppress(OSError):
        above = next(p for p in (Path(place), *Path(place).parents) if p.exists())
        return f", {shutil.disk_usage(above).free} bytes are free"
    return ""


def worst(codes: list[int]) -> int:
    """Return the exit code of a run whose sources ended in these."""
    return next((code for code in _WORST_FIRST if code in codes), 0)
