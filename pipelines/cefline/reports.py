"""Reports of deliveries: made where they are asked for, and never in a delivery's way.

What is asked of the library, of the disk or of S3 may fail here, and so may we: then the delivery
goes on, and a note says that its report is missing.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from cefline.deliver import plans, reports
from cefline.errors import CeflineError

if TYPE_CHECKING:
    from cefline.line import Run
    from cefline.report import SourceReport

log = logging.getLogger("cefline")


def kept(report: SourceReport, run: Run) -> list[str]:
    """Keep how the events of a source are spread; return notes.

    Only once its plan is fixed: a run that is killed before that decides on nothing, and numbers
    that are kept stay.
    """
    if not run.config.reports:
        return []
    try:
        reports.keep(run.state, report.delivery, report.tally.spread)
    except Exception as err:  # noqa: BLE001 - a report must not fail a delivery, whatever happens
        return [_missing(report, err)]
    return []


def published(report: SourceReport, run: Run) -> list[str]:
    """Make the page of a delivery that is done; return notes."""
    if not run.config.reports:
        return []
    try:
        from cefline.pages.delivery import delivery_page

        manifest = plans.manifest(run.state, report.delivery)
        spread = report.tally.spread
        if spread.events != manifest["events_delivered"]:  # of what another run converted
            spread = reports.spread(run.state, report.delivery) or spread
        reports.publish(run.state, report.delivery, delivery_page(manifest, spread))
    except Exception as err:  # noqa: BLE001 - as above
        return [_missing(report, err)]
    return []


def caught_up(report: SourceReport, run: Run) -> SourceReport:
    """Make the page of a delivery that was done before, where a run was killed before it did."""
    if not run.config.reports:
        return report
    try:
        left = plans.is_abandoned(run.state, report.delivery)
        is_due = not left and reports.is_due(run.state, report.delivery)
    except CeflineError:  # whoever may not list it has no report to miss
        return report
    return replace(report, notes=(*report.notes, *published(report, run))) if is_due else report


def _missing(report: SourceReport, err: Exception) -> str:
    """Say that there is no report; what an error of ours or a library's tells may be evidence."""
    why = str(err) if isinstance(err, CeflineError) else type(err).__name__
    note = f"its report could not be made: {why}"
    log.warning("%s: %s", report.url, note)
    return note
