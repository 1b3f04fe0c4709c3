"""What a run remembers of its sources, and what it knows of them from runs before."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from cefline.deliver import plans
from cefline.deliver.seen import Seen, remember
from cefline.errors import CeflineError, DeliveryError, UsageError
from cefline.report import SourceReport
from cefline.reports import caught_up

if TYPE_CHECKING:
    from cefline.deliver.delivery import Done
    from cefline.line import Run
    from cefline.sources import Source

log = logging.getLogger("cefline")


def with_evidence(report: SourceReport, run: Run) -> SourceReport:
    """Say loudly which evidences of a delivery came before.

    Raises:
        DeliveryError: they may not come again.
    """
    ids = sorted(report.tally.evidence)
    before = plans.other_deliveries(run.state, report.delivery, ids)
    if before:
        listed = ", ".join(f"{number} (delivery {other})" for number, other in before.items())
        note = f"evidence that was delivered before from other content: {listed}"
        if run.config.known == "refuse":
            raise DeliveryError(note, hint="--known deliver delivers it all the same")
        log.warning("%s: %s", report.url, note)
        report = replace(report, notes=(*report.notes, note))
    return report


def known(source: Source, delivery: str, run: Run) -> SourceReport:
    """Return the report of a source whose bytes were delivered before, under whatever name.

    Raises:
        UsageError: they may be another evidence's: nothing in them tells.
    """
    manifest = plans.manifest(run.state, delivery)
    url, notes = manifest["source"]["url"], list[str]()
    if url != source.url:
        notes.append(f"the same bytes were delivered as {url}")
        nothing = manifest.get("events_filtered") and not manifest["events_delivered"]
        if not manifest.get("evidence") and not nothing:  # else no event of it came at all
            same = f"{source.url} has the same bytes as {url}, which was delivered"
            message = f"{same}, and no event says of which evidence it is"
            hint = "--evidence-id delivers it as another evidence, --redeliver TOKEN once more"
            raise UsageError(message, hint=hint)
    if manifest.get("abandoned"):
        notes.append("its delivery was abandoned")
    report = SourceReport(source.url, "known", delivery=delivery, notes=tuple(notes))
    if run.dry_run:
        return report
    report = caught_up(report, run)  # before it is remembered: then it is not looked at again
    seen = Seen(source.key(run.config.variant()), delivery, "known")
    remember(run.state, seen, {"url": source.url})
    return report


def remember_delivery(source: Source, report: SourceReport, done: Done, run: Run) -> None:
    """Remember that a source was delivered, with its numbers."""
    stored = sum(entry["stored_bytes"] for entry in done.entries)
    turn = (done.turn.number, done.turn.stamp) if done.turn else (0, "")
    tally = report.tally
    numbers = (turn[0], tally.delivered, tally.rejected, len(done.entries), stored)
    key = source.key(run.config.variant())
    seen = Seen(key, report.delivery, "done", numbers=numbers, stamp=turn[1])
    remember(run.state, seen, {"url": source.url})


def remember_failure(source: Source, delivery: str, err: CeflineError, run: Run) -> None:
    """Remember that a source failed, under the settings that decide on it."""
    if run.dry_run:
        return
    seen = Seen(source.key(run.config.variant()), delivery, "failed", numbers=(err.exit_code,))
    seen = replace(seen, stamp=run.config.judgement())
    err = err.about(source.url)
    remember(run.state, seen, {"url": source.url, "error": str(err), "told": err.told()})
