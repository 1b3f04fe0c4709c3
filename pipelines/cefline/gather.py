"""What workers staged of a source, split by split, becomes one source in parts again."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from cefline import times
from cefline.counts import Tally
from cefline.deliver import shared
from cefline.deliver.stage import check_space
from cefline.pack import check_partitions
from cefline.parts import REJECTS, Ready
from cefline.report import SourceReport
from cefline.tally import BOUNDED, MAX_REPLACED, check_expansion, check_skipped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cefline.deliver.staging import Staged
    from cefline.deliver.store import Store
    from cefline.parts import Work


def gather(work: Work, state: Store, count: int) -> Ready:
    """Bring the parts of all splits to the folder of a source, and sum up what was counted.

    The same parts, rejects and counts as where one machine converts all of it.

    Args:
        work: the source.
        state: where the splits are staged.
        count: how many there are.

    Raises:
        TryAgainError: one is not staged on this basis.
        CeflineError: the source can't be delivered as a whole.
    """
    basis, config = work.basis(), work.config
    places = [shared.place(work.delivery, basis, number) for number in range(1, count + 1)]
    each = [shared.said(state, place) for place in places]
    tally = Tally()
    for one in each:
        tally.add(Tally.of_json(one["said"]["tally"]))
    listed = [part for one in each for part in one["parts"]]
    _check(work, tally, listed)
    check_space(work.folder, sum(p["stored_bytes"] for p in listed), config.staging_max)
    parts = shared.get(state, listed, work.folder)
    _keep_rejects(work, state, each)
    said = each[0]["said"]
    is_ = (said["format"], said["dialect"])
    url, unknown = work.local.source.url, tuple(said["unknown"])
    report = SourceReport(url, "converted", *is_, work.delivery, tally, unknown)
    return Ready(_in_key_order(parts), report)


def _check(work: Work, tally: Tally, listed: list[dict[str, Any]]) -> None:
    """Judge the source as a whole, as is done while one machine converts it."""
    times.check_unit([times.of_json(seen) for seen in tally.times])
    tally.times = []
    check_expansion(sum(part["text_bytes"] for part in listed), work.most_text)
    check_partitions(len({part["partition"] for part in listed}), work.config.max_partitions)
    check_skipped(work.segment.skip, tally.skipped)


def _in_key_order(parts: list[Staged]) -> list[Staged]:
    """Sort parts as their keys will: by partition, then as they come in the source."""
    return sorted(parts, key=lambda part: f"{part.partition}/")  # stable


def _keep_rejects(work: Work, state: Store, each: list[dict[str, Any]]) -> None:
    keys = [key for one in each for key in one["rejects"]]
    if keys:
        with (work.folder / REJECTS).open("wb") as file:
            file.writelines(_bounded(shared.rejects_of(state, keys)))


def _bounded(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Leave out what is beyond the bounds of a source: each split was within them."""
    seen = Counter[str]()
    for line in lines:
        kind = json.loads(line)["kind"]
        seen[kind] += 1
        if kind not in BOUNDED or seen[kind] <= MAX_REPLACED:
            yield line
