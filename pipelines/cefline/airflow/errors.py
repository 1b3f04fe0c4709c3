"""What becomes of a task whose work failed: tried again, or not, by its exit code."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException

from cefline.errors import TEMPORARY, CeflineError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def failure(exit_code: int, said: str) -> AirflowException:
    """Return what to raise: only what may pass is tried again."""
    text = f"{said} (exit code {exit_code})"
    return AirflowException(text) if exit_code == TEMPORARY else AirflowFailException(text)


@contextmanager
def translated() -> Iterator[None]:
    """Give Airflow the errors of cefline as its own.

    Raises:
        AirflowException: it may work again later.
        AirflowFailException: no retry heals it.
    """
    try:
        yield
    except CeflineError as err:
        raise failure(err.exit_code, str(err)) from None  # the cause says nothing to a user


def outcome(report: str | Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what the report of `cefline export --json` sums up to, if all went well.

    Args:
        report: as JSON, a dict, or text whose last line is JSON.

    Returns:
        The report's counts, the number of `parts`, and the ids of the `deliveries` that were made.

    Raises:
        AirflowException: exit code 75, it may work again later.
        AirflowFailException: any other exit code, or there is no report.
    """
    found = _of_text(report) if isinstance(report, str) else dict(report or {})
    code = found.get("exit_code")
    if not isinstance(code, int):
        raise AirflowFailException("cefline printed no report: its log says what is wrong")
    if code:
        raise failure(code, _problems(found))
    made = [one["delivery"] for one in found["sources"] if one["outcome"] == "delivered"]
    counts = {name: found[name] for name in found if name.startswith("events_")}
    return {**counts, "parts": len(found["parts"]), "deliveries": made}


def _of_text(text: str) -> dict[str, Any]:
    try:
        found = json.loads((text.strip().splitlines() or [""])[-1])
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _problems(report: Mapping[str, Any]) -> str:
    """Return what a report says went wrong."""
    told = [report["error"]] if report.get("error") else []
    told += [source["error"] for source in report.get("sources", ()) if source["error"]]
    return "\n".join(told) or "cefline failed"
