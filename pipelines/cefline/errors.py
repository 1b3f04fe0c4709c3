"""What can go wrong, with the exit code it ends in.

A message says what, where and what was expected; `hint` says what to do.
"""

import errno
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Self

TEMPORARY = 75
CONFIGURATION = 78
_WORST_FIRST = (CONFIGURATION, TEMPORARY, 1, 2, 3)


LATER = "It may work again later: the next run goes on where this one stopped"

_CUT = "Export or copy it again; --accept-truncated keeps what is whole"


class CeflineError(Exception):
    """A problem the user can understand and act on; never shown with a traceback."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        """Take what and where, and in `hint` what to do."""
        super().__init__(message)
        self.message = message
        self.hint = hint

    def about(self, place: str) -> Self:
        """Return the same error with the place it is about, if it does not name it yet."""
        if place in self.message:
            return self
        error = type(self)(f"{place}: {self.message}", hint=self.hint)
        error.__cause__ = self
        return error

    def __str__(self) -> str:
        """Return message and hint as one text."""
        end = "\n" if "\n" in self.message else ". "
        return f"{self.message}{end}{self.hint}" if self.hint else self.message


class UsageError(CeflineError):
    """The call can't be carried out as it was written."""

    exit_code = 2


class SourceError(CeflineError):
    """A source can't be read as a whole; nothing of it is published."""


class TruncatedError(SourceError):
    """A source breaks off; what is whole before that place could be kept."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        """Take what and where."""
        super().__init__(message, hint=hint or _CUT)


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


def of_exit_code(exit_code: int, message: str, hint: str) -> CeflineError:
    """Return an error that was told as its parts, perhaps on another machine."""
    kinds = (UsageError, TooManyRejectsError, TryAgainError, ConfigError)
    kind = next((kind for kind in kinds if kind.exit_code == exit_code), SourceError)
    return kind(message, hint=hint)


def failed_before(said: str, exit_code: int) -> CeflineError:
    """Return the error of a source that failed in an earlier run and has not changed since."""
    kind = TooManyRejectsError if exit_code == TooManyRejectsError.exit_code else SourceError
    hint = "It has not changed, and was not read again; --retry-failed does"
    return kind(f"failed before: {said}", hint=hint)


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
