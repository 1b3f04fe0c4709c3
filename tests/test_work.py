"""A delivery as tasks: whatever order, repetition and host, the same parts as by one machine."""

from __future__ import annotations

import errno
import gzip
import json
import random
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from cefline import work
from cefline.config import Config
from cefline.convert import Converted, Converter, convert
from cefline.deliver import plans
from cefline.errors import ConfigError, DeliveryError, TryAgainError
from cefline.job import export
from cefline.progress import Progress
from tests import sample
from tests.parts import KilledError, kill_at
from tests.test_verify import Site, either, events, on_s3, site

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cefline.read import Chunk
    from cefline.report import Report

__all__ = ["either", "on_s3", "site"]

SETTINGS: dict[str, Any] = {"part_size": 9000, "split_size": 30_000, "turn_timeout": 0.0}


def told(item: Any) -> Any:  # noqa: ANN401 - JSON
    """Return an item as another process gets it."""
    return json.loads(json.dumps(item))


def each_twice(task: Callable[[Config, Any], Any], config: Config, items: list[Any]) -> list[Any]:
    """Do a task of each item twice, in an order of its own; return what came of it last."""
    order = [*range(len(items))] * 2
    random.Random(len(items)).shuffle(order)
    found = {n: told(task(config, told(items[n]))) for n in order}
    return [found[n] for n in dict.fromkeys(reversed(order))]


def spread(config: Config) -> Report:
    """Deliver as an engine does."""
    identified = each_twice(work.identify, config, work.pieces(config))
    return work.publish(config, each_twice(work.convert, config, work.splits(config, identified)))


def timeline(folder: Path, name: str) -> Path:
    """Write the sample timeline in a form, in row groups of 40 events."""
    path = folder / name
    if name.endswith("parquet"):
        table = pq.read_table(sample.DATA / "sample.parquet")
        pq.write_table(table, path, row_group_size=40)
        return path
    lines = (sample.DATA / "sample.jsonl").read_bytes()
    bad = b'{"msg": 1\n' + lines.replace(b'"alarm":false', b'"alarm":"perhaps"', 3)
    path.write_bytes(gzip.compress(bad) if name.endswith("gz") else bad)
    return path


def parts(site: Site, below: str) -> list[tuple[str, bytes]]:
    """Return the parts at a destination: their folders and texts, as their keys rise."""
    keys = site.objects(below)
    return [(key.split("/")[2], gzip.decompress(site.read(key, below))) for key in keys]


def by_one_machine(site: Site, config: Config) -> list[tuple[str, bytes]]:
    """Return the parts that one machine makes of the sources of a config, at another place."""
    export(replace(config, dest=f"{site.top}/whole"))
    return parts(site, "whole")


def placed(site: Site, path: Path) -> str:
    """Return the name of a source: on S3, where the site is."""
    return site.s3.put(f"in/{path.name}", path.read_bytes()) if site.s3 else str(path)


def count_of_splits(config: Config) -> int:
    """Return the splits that tasks make of the sources of a config, delivered once more."""
    again = replace(config, redeliver="again")
    identified = [work.identify(again, piece) for piece in work.pieces(again)]
    return len(work.splits(again, identified))


@pytest.mark.parametrize(("name", "splits"), [("a.parquet", 5), ("a.jsonl", 0), ("a.jsonl.gz", 1)])
def test_tasks_make_the_parts_of_one_machine(
    either: Site, tmp_path: Path, name: str, splits: int
) -> None:
    """From disk and from S3; rejects and counts are the same as well."""
    path = timeline(tmp_path, name)
    splits = splits or -(-path.stat().st_size // SETTINGS["split_size"])
    one = Config(sources=(placed(either, path),), dest=either.dest, **SETTINGS)
    two = replace(one, dest=f"{either.top}/spread")
    (alone,), (shared,) = export(one).sources, spread(two).sources
    assert (alone.error, shared.error, shared.outcome) == (None, None, "delivered")
    assert parts(either, "spread") == parts(either, "out")
    assert shared.tally == alone.tally
    assert sorted(rejects(either, "spread")) == sorted(rejects(either, "out"))
    assert name == "a.parquet" or rejects(either, "spread")
    assert count_of_splits(two) == splits
    staged = any(key.startswith("staged/") for key in either.objects("_cefline/spread"))
    assert staged is bool(either.s3)  # there a lifecycle rule removes it


def rejects(site: Site, below: str) -> list[str]:
    """Return the rejects that are kept."""
    state = f"_cefline/{below}"
    keys = [key for key in site.objects(state) if key.startswith("rejects/")]
    return [line for key in keys for line in site.read(key, state).decode().splitlines()]


def test_nothing_is_done_twice(site: Site) -> None:
    config = Config(sources=(site.write("a.jsonl", events("a")),), dest=site.dest)
    assert spread(config).delivered == 9
    assert work.pieces(config) == []
    assert export(config).sources[0].outcome == "known"


def test_the_same_bytes_under_another_name_are_known(site: Site) -> None:
    """They are not converted again."""
    one = site.write("a.jsonl", events("a"))
    export(Config(sources=(one,), dest=site.dest))
    other = Config(sources=(site.write("b.jsonl", events("a")),), dest=site.dest)
    (item,) = work.splits(other, [work.identify(other, piece) for piece in work.pieces(other)])
    assert item["split"] is None
    (report,) = work.publish(other, [work.convert(other, item)]).sources
    assert (report.outcome, report.notes) == ("known", (f"the same bytes were delivered as {one}",))


def test_a_source_that_fails_stops_no_other(site: Site) -> None:
    """It is reported as by one machine, and remembered."""
    bad, good = site.write("a.jsonl", b'{"msg": 1}\n{'), site.write("b.jsonl", events("b"))
    config = Config(sources=(bad, good, f"{site.root}/missing"), dest=site.dest)
    report = spread(config)
    missing, failed, delivered = report.sources
    assert "there is no such file" in str(missing.error)
    assert "a.jsonl" in str(failed.error)
    assert delivered.outcome == "delivered"
    alone = export(replace(config, dest=f"{site.top}/alone"))
    assert [str(source.error) for source in alone.sources] == [str(s.error) for s in report.sources]
    assert alone.exit_code == report.exit_code == 1
    again = spread(replace(config, sources=(bad,)))
    assert "failed before" in str(again.sources[0].error)


@pytest.mark.parametrize("exit_code", [1, 3, 75, 78])
def test_what_may_pass_is_not_remembered(site: Site, exit_code: int) -> None:
    """An engine gave up on a worker's task, whose disk was broken: the next run does it."""
    config = Config(sources=(site.write("a.jsonl", events("a")),), dest=site.dest)
    identified = [work.identify(config, piece) for piece in work.pieces(config)]
    said = {"message": "no way", "hint": "", "exit_code": exit_code}
    items = [{**item, "error": said} for item in work.splits(config, identified)]
    assert work.publish(config, items).exit_code == exit_code
    assert spread(config).delivered == 9


def test_a_source_is_judged_as_a_whole(site: Site) -> None:
    """Rejects of all splits count together, and the unit of all times."""
    lines = [b'{"msg": "x%d"}\n' % n for n in range(200)] + [b"x\n"] * 11
    config = Config(
        sources=(site.write("a.jsonl", b"".join(lines)),), dest=site.dest, split_size=200
    )
    report = spread(config)
    assert report.exit_code == 3
    assert report.sources[0].tally.rejected == 11
    millis = b"".join(b'{"msg": "a", "eventTime": %d}\n' % (10**12 + n) for n in range(90))
    config = replace(config, sources=(site.write("b.jsonl", millis),))
    assert "--time-unit" in str(spread(config).sources[0].error)
    assert site.objects() == []


def test_a_source_that_changes_is_not_delivered(site: Site) -> None:
    """Neither between the tasks nor in one."""
    source = site.write("a.jsonl", events("a"))
    config = Config(sources=(source,), dest=site.dest)
    identified = [work.identify(config, piece) for piece in work.pieces(config)]
    site.write("a.jsonl", events("b", 12))
    items = [work.convert(config, item) for item in work.splits(config, identified)]
    assert "changed" in str(work.publish(config, items).sources[0].error)
    assert site.objects() == []


@pytest.mark.parametrize("first", [export, spread])
def test_what_one_began_another_finishes(site: Site, first: Callable[[Config], Report]) -> None:
    """One machine or workers, whichever was killed after its first part."""
    source = str(timeline(site.root, "a.jsonl"))
    config = Config(sources=(source,), dest=site.dest, **SETTINGS)
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, "-000002.cef", done=True)
        with pytest.raises(KilledError):
            first(config)
    assert len(site.objects()) == 2
    (report,) = (spread if first is export else export)(config).sources
    assert report.outcome == "delivered"
    assert parts(site, "out") == by_one_machine(site, config)


def half(config: Config, first: Callable[[Config], Report], staging: Path) -> None:
    """Let a run be killed after its second part, on a host that is gone with what it staged."""
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, "-000002.cef", done=True)
        with pytest.raises(KilledError):
            first(config)
    shutil.rmtree(staging)


@pytest.mark.parametrize("first", [export, spread])
@pytest.mark.parametrize("size", [None, 60_000, 1 << 30])
def test_a_delivery_goes_on_with_the_splits_of_its_plan(
    site: Site, staging_root: Path, first: Callable[[Config], Report], size: int | None
) -> None:
    """Whatever this run would cut it into, and whatever was staged in the meantime."""
    source = str(timeline(site.root, "a.parquet"))
    config = Config(sources=(source,), dest=site.dest, **{**SETTINGS, "split_size": size})
    half(config, first, staging_root)
    other = replace(config, split_size=30_000)
    identified = [work.identify(other, piece) for piece in work.pieces(other)]
    for item in work.splits(other, identified):
        work.convert(other, item)
    (report,) = spread(other).sources
    assert (report.error, report.outcome) == (None, "delivered")
    assert parts(site, "out") == by_one_machine(site, config)


def test_lines_are_cut_as_planned_or_not_at_all(site: Site, staging_root: Path) -> None:
    """Nobody has counted the lines of other splits: the run says with what it goes on."""
    source = str(timeline(site.root, "a.jsonl"))
    config = Config(sources=(source,), dest=site.dest, **SETTINGS)
    half(config, spread, staging_root)
    report = spread(replace(config, split_size=60_000))
    assert report.exit_code == 78
    assert "was begun with split_size = 30000" in str(report.sources[0].error)
    assert len(site.objects()) == 2
    assert spread(config).sources[0].outcome == "delivered"
    assert parts(site, "out") == by_one_machine(site, config)


def test_a_plan_that_is_made_meanwhile_is_heeded(site: Site, staging_root: Path) -> None:
    """By a run with other splits, between two tasks of this one."""
    source = str(timeline(site.root, "a.parquet"))
    config = Config(sources=(source,), dest=site.dest, **SETTINGS)
    identified = [work.identify(config, piece) for piece in work.pieces(config)]
    items = work.splits(config, identified)
    half(replace(config, split_size=None), export, staging_root)
    with pytest.raises(TryAgainError, match="planned with other splits"):
        work.convert(config, items[0])


def test_a_long_first_line_tells_the_dialect(on_s3: Site) -> None:
    """Workers see the beginning of an object alone: all of its first line."""
    known = {
        "timestamp": 1_600_000_000_000_000,
        "timestamp_desc": "t",
        "parser": "p",
        "data_type": "d",
    }
    lines = [json.dumps({"message": "x" * size, **known}) for size in (5 << 20, 9, 1 << 20)]
    assert on_s3.s3 is not None
    source = on_s3.s3.put("in/a.jsonl", "\n".join(lines).encode())
    one = Config(sources=(source,), dest=on_s3.dest, memory="small", split_size=1 << 20)
    two = replace(one, dest=f"{on_s3.top}/spread")
    (alone,), (shared,) = export(one).sources, spread(two).sources
    assert (alone.error, alone.dialect, shared.dialect) == (None, "timesketch", "timesketch")
    assert parts(on_s3, "spread") == parts(on_s3, "out")


def test_a_worker_that_fails_leaves_nothing_on_its_disk(
    site: Site, staging_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No later task goes on with it, and a full disk must not stay full."""
    config = Config(sources=(site.write("a.jsonl", events("a")),), dest=site.dest)
    identified = [work.identify(config, piece) for piece in work.pieces(config)]

    def full(_pieces: object, folder: Path, *_rest: object, **_more: object) -> None:
        (folder / "000000").write_bytes(b"evidence")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("cefline.parts.stage", full)
    with pytest.raises(TryAgainError, match="disk is full"):
        work.convert(config, work.splits(config, identified)[0])
    assert list(staging_root.iterdir()) == []


def test_what_was_staged_goes_when_its_source_is_delivered(site: Site) -> None:
    """Not with the run, which may be killed; what is left of the same content goes with a run."""
    names = [site.write(name, events(name[0])) for name in ("a.jsonl", "b.jsonl")]
    config = Config(sources=tuple(names), dest=site.dest)
    identified = [work.identify(config, piece) for piece in work.pieces(config)]
    items = [work.convert(config, item) for item in work.splits(config, identified)]
    staged = site.root / "_cefline" / "out" / "staged"
    assert len(list(staged.iterdir())) == 2
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, "/00000002-000001.cef", done=False)
        with pytest.raises(KilledError):
            work.publish(config, items)
    (left,) = staged.iterdir()
    assert work.publish(config, items).exit_code == 0
    assert list(staged.iterdir()) == []
    (staged / left.name).mkdir()  # its run was killed before it removed this
    (staged / ("f" * 32)).mkdir()
    assert export(config).exit_code == 0
    assert [path.name for path in staged.iterdir()] == ["f" * 32]


def test_the_same_content_twice_is_brought_here_twice(site: Site) -> None:
    """What was staged of the first one is there for the second."""
    names = [site.write(name, events("a")) for name in ("a.jsonl", "b.jsonl")]
    report = spread(Config(sources=tuple(names), dest=site.dest, evidence_id=1))
    assert [one.outcome for one in report.sources] == ["delivered", "known"]
    assert list((site.root / "_cefline" / "out" / "staged").iterdir()) == []


def test_a_state_that_can_t_be_read_ends_the_run(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no fault of a source."""
    config = Config(sources=(site.write("a.jsonl", events("a")),), dest=site.dest)
    identified = [work.identify(config, piece) for piece in work.pieces(config)]

    def denied(*_: object) -> bool:
        raise ConfigError("access denied")

    monkeypatch.setattr(plans, "is_done", denied)
    with pytest.raises(ConfigError, match="access denied"):
        work.splits(config, identified)


def test_what_was_staged_and_is_gone_is_converted_again(site: Site) -> None:
    """A run beside this one has removed it, as all was delivered, or a lifecycle rule has."""
    config = Config(sources=(site.write("a.jsonl", events("a")),), dest=site.dest)
    identified = [work.identify(config, piece) for piece in work.pieces(config)]
    items = [work.convert(config, item) for item in work.splits(config, identified)]
    (part,) = (site.root / "_cefline" / "out" / "staged").rglob("000001")
    part.unlink()
    report = work.publish(config, items)
    assert report.exit_code == 75
    assert "was staged, and is gone" in str(report.sources[0].error)


def test_what_is_out_is_left_out_of_splits(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A newer text of the rest goes out as the next segment, each event once."""
    source = site.write("a.jsonl", events("a", 40))
    config = Config(sources=(source,), dest=site.dest, part_size=400, split_size=300)
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, "-000003.cef", done=True)
        with pytest.raises(KilledError):
            export(config)
    old = convert

    def newer(chunk: Chunk, converter: Converter) -> Converted:
        made = old(chunk, converter)
        text = [pc.replace_substring(one.lines, "CEF:0|", "CEF:1|") for one in made.slices]
        slices = [one._replace(lines=t) for one, t in zip(made.slices, text, strict=True)]
        return replace(made, slices=slices)

    monkeypatch.setattr("cefline.parts.convert", newer)
    monkeypatch.setattr("cefline.parts.TEXT_FORMAT", {"cado": "2-abcdef"})
    report = spread(config)  # closes the segment: what is left is another basis
    assert (report.exit_code, report.delivered) == (75, 0)
    assert spread(config).exit_code == 0
    lines = [line for _, text in parts(site, "out") for line in text.decode().splitlines()]
    assert sorted(line.rpartition("msg=")[2] for line in lines) == sorted(
        f"a{n}" for n in range(40)
    )
    assert {line[:5] for line in lines} == {"CEF:0", "CEF:1"}


def test_pieces_of_a_large_source_are_identified_apart(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its identity is that of one machine; without one piece there is none."""
    monkeypatch.setattr("cefline.sources.DIGEST_CHUNK", 500)
    monkeypatch.setattr(work, "DIGEST_CHUNK", 500)
    monkeypatch.setattr(work, "_PIECE", 1000)
    source = str(timeline(site.root, "a.jsonl"))
    config = Config(sources=(source,), dest=site.dest, split_size=1300, part_size=4000)
    identified = [told(work.identify(config, piece)) for piece in work.pieces(config)]
    assert len(identified) > 100
    random.Random(1).shuffle(identified)
    items = work.splits(config, identified)
    two = replace(config, dest=f"{site.top}/two")
    assert work.publish(config, [work.convert(config, item) for item in items]).exit_code == 0
    (report,) = export(two).sources
    assert parts(site, "out") == parts(site, "two")
    (manifest,) = site.objects("_cefline/out/manifests")
    assert manifest == f"{report.delivery}.json"
    with pytest.raises(DeliveryError, match="only some of its pieces"):
        work.splits(config, identified[1:])


def test_parts_that_are_not_what_was_staged_are_not_published(site: Site) -> None:
    config = Config(sources=(site.write("a.jsonl", events("a")),), dest=site.dest)
    identified = [work.identify(config, piece) for piece in work.pieces(config)]
    items = [work.convert(config, item) for item in work.splits(config, identified)]
    state = "_cefline/out"
    (part,) = (k for k in site.objects(state) if k.startswith("staged/") and k.endswith("/000001"))
    site.put(part, b"x", state)
    assert "is not what was staged" in str(work.publish(config, items).sources[0].error)
    assert site.objects() == []


def test_a_split_that_is_not_staged_is_asked_for(site: Site) -> None:
    config = Config(sources=(site.write("a.jsonl", events("a")),), dest=site.dest)
    identified = [work.identify(config, piece) for piece in work.pieces(config)]
    report = work.publish(config, work.splits(config, identified))
    assert report.exit_code == 75
    assert "is not staged" in str(report.sources[0].error)


def test_tasks_tell_where_they_stand(site: Site) -> None:
    """Of the split that is converted, and of all sources that are published."""
    source = site.write("a.jsonl", events("a", 40))
    config = Config(sources=(source,), dest=site.dest, split_size=300)
    identified = [work.identify(config, piece) for piece in work.pieces(config)]
    converting, publishing = Progress(), Progress()
    items = [work.convert(config, item, converting) for item in work.splits(config, identified)]
    ((url, one),) = converting.sources()
    assert (url, one.done, one.events) == (source, 1.0, 40)
    work.publish(config, items, publishing)
    total, through, whole = publishing.total()
    assert (total.done, through, whole) == (1.0, 1, 1)
