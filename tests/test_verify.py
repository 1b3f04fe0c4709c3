"""Verification: what is wrong with a destination is found and named, and nothing else is."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from blake3 import blake3

from cefline.config import Config
from cefline.deliver.publish import is_fence
from cefline.errors import UsageError
from cefline.job import export
from cefline.pack import compressed, text_of
from cefline.verify.run import verify
from cefline_schemas.timeline import FIELDS
from tests import sample
from tests.parts import KilledError, kill_at

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cefline.pack import Compression
    from cefline.report import SourceReport
    from cefline.verify.findings import Verified
    from tests.commands import Result
    from tests.seaweed import S3

COMPRESSIONS: list[Compression] = ["gzip", "zstd", "none"]
SAMPLE = (sample.DATA / "sample.jsonl").read_bytes().splitlines(keepends=True)
Found = tuple[str, str, str]
"""Delivery (none where it is about the destination), verdict and place."""


@dataclass(frozen=True, slots=True)
class Site:
    """A destination and its state, in a folder or on S3, and a folder with sources."""

    root: Path
    s3: S3 | None = None

    @property
    def top(self) -> str:
        """Return where destination and state are."""
        return self.s3.url if self.s3 else str(self.root)

    @property
    def dest(self) -> str:
        """Return the destination."""
        return f"{self.top}/out"

    def write(self, name: str, content: bytes) -> str:
        """Write a source on disk, and return its name."""
        path = self.root / "in" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        return str(path)

    def deliver(self, *sources: str, **settings: Any) -> list[SourceReport]:  # noqa: ANN401 - as Config has them
        """Deliver sources, all of which must go well."""
        given = {"dest": self.dest, "threads": 1, "turn_timeout": 0.0, "part_size": 250}
        report = export(Config(sources=sources, **{**given, **settings}))
        assert report.exit_code == 0, [*report.lines()]
        return list(report.sources)

    def one(self, name: str, content: bytes, **settings: Any) -> str:  # noqa: ANN401 - as Config has them
        """Deliver one source of this content, and return its delivery."""
        (report,) = self.deliver(self.write(name, content), **settings)
        assert report.outcome == "delivered"
        return report.delivery

    def killed(self, point: str, *sources: str, **settings: Any) -> None:  # noqa: ANN401 - as Config has them
        """Deliver until an object is created."""
        with pytest.MonkeyPatch.context() as patch:
            kill_at(patch, point, done=True)
            with pytest.raises(KilledError):
                self.deliver(*sources, **settings)

    def objects(self, below: str = "out") -> list[str]:
        """Return the keys at the destination, or below another place."""
        if self.s3:
            start = f"{self.s3.prefix}/{below}/"
            return [key.removeprefix(start) for key in self.s3.sizes(start)]
        folder = self.root / below
        return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())

    def read(self, key: str, below: str = "out") -> bytes:
        """Return an object."""
        if self.s3:
            return self.s3.get(f"{self.s3.prefix}/{below}/{key}").body
        return (self.root / below / key).read_bytes()

    def put(self, key: str, body: bytes, below: str = "out") -> None:
        """Put an object, in the place of another perhaps: what nothing of cefline's does."""
        if self.s3:
            self.s3.put(f"{below}/{key}", body)
            return
        path = self.root / below / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)

    def remove(self, key: str) -> None:
        """Remove an object."""
        if self.s3:
            self.s3.client.delete_object(Bucket=self.s3.bucket, Key=f"{self.s3.prefix}/out/{key}")
            return
        (self.root / "out" / key).unlink()

    def manifest(self, delivery: str) -> dict[str, Any]:
        """Return a manifest."""
        found: dict[str, Any] = json.loads(self.read(f"{delivery}.json", "_cefline/out/manifests"))
        return found

    def forge(self, manifest: dict[str, Any]) -> None:
        """Put another manifest in the place of the one that was made."""
        body = json.dumps(manifest).encode()
        self.put(f"{manifest['delivery']}.json", body, "_cefline/out/manifests")

    def parts(self, delivery: str) -> list[str]:
        """Return the keys of a delivery's parts."""
        return [part["key"] for part in self.manifest(delivery)["parts"]]

    def verify(self, **asked: str) -> list[Verified]:
        """Verify the destination."""
        return list(verify(Config(dest=self.dest), **asked))

    def found(self, **asked: str) -> list[Found]:
        """Return what is found."""
        return [(v.delivery, f.verdict, f.place) for v in self.verify(**asked) for f in v.findings]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Return a site in a folder."""
    return Site(tmp_path)


@pytest.fixture
def on_s3(tmp_path: Path, s3: S3, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Return a site on S3."""
    for name, value in s3.env.items():
        monkeypatch.setenv(name, value)
    return Site(tmp_path, s3)


@pytest.fixture(params=["folder", "s3"])
def either(request: pytest.FixtureRequest) -> Site:
    """Return a site of each kind."""
    name = "site" if request.param == "folder" else "on_s3"
    found: Site = request.getfixturevalue(name)
    return found


def events(name: str, /, count: int = 9, **values: object) -> bytes:
    """Return events of two evidences, in turn."""
    rows = ({"msg": f"{name}{n}", "evidence_id": 1 + n % 2, **values} for n in range(count))
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def sound(found: list[Verified], compared: int) -> None:
    """Make sure that nothing was found, and that so many events were compared."""
    assert [[*one.lines()] for one in found if one.findings] == []
    assert sum(one.events for one in found) == compared
    assert sum(one.compared or 0 for one in found) == compared


# Nothing is found where nothing is wrong.

TWO = {"partition_by": ("evidence_id", "day")}
SETTINGS: list[dict[str, Any]] = [
    {},
    {"compression": "zstd"},
    {"compression": "none"},
    {"hive": True, **TWO},
    TWO,
    {"partition_by": ()},
    {"partition_by": ("source",), "part_size": 1 << 20},
    {"unknown": "carry"},
    {"lists": "json"},
    {"subseconds": True},
    {"evidence_id": 7},
    {"compression_level": 0},
]


def odd_source() -> bytes:
    """Return events with all that makes comparing hard."""
    rows: list[dict[str, object]] = [
        {"msg": "a\x07b\x1b[31m c", "type": "bell\x07", "evidence_id": 1},
        {"msg": "line\u2028separator\x85", "filePath": "C:\\u0007\\x", "type": "a|b\\"},
        {"msg": "a=b \\= \r\n\t|", "eventTime": 1595194940.123456, "custom col": {"a": [1, None]}},
        {"notes": [{"note": "a=b", "author": None}], "highlights": ["x", "y"], "custom col": "t"},
        {"alarm": True, "alarm_severity": 3, "isFolder": False, "eventTime": -1.5},
        {"type": "  padded ", "short": "s", "super_short": "'quoted'"},
        {"eventTime": "2020-07-19T21:42:20.999999Z", "evidence_id": -(2**63)},
        {"msg": "\u202eabc", "extra": "é中\U0001f600", "Custom Col": 3, "eventtimemicros": "7"},
        {"type": "t" * 700, "msg": "type=x msg=y eventTimeMicros=3"},
        {"msg": "None", "source": "-", "type": "Timeline Event"},
    ]
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_nothing_is_found_where_nothing_is_wrong(site: Site, settings: dict[str, Any]) -> None:
    """Of several sources in several forms, every event is read back and compared."""
    large = {"part_size": 1 << 15, **settings}
    site.one("a.jsonl", b"".join(SAMPLE[:120]), **large)
    site.one("odd.jsonl", odd_source(), **settings)
    site.one("empty.jsonl", b"", **settings)
    site.one("b.parquet", (sample.DATA / "sample.parquet").read_bytes(), **large)
    found = site.verify()
    assert len(found) == 4
    sound(found, 120 + 10 + 300)


@pytest.mark.parametrize("settings", SETTINGS[:4], ids=str)
def test_nothing_is_found_on_s3_where_nothing_is_wrong(
    on_s3: Site, settings: dict[str, Any]
) -> None:
    """Whether sources are on S3 or on disk."""
    assert on_s3.s3 is not None
    settings = {**settings, "part_size": 1 << 15}
    on_s3.deliver(on_s3.s3.put("in/a b+ü.jsonl", b"".join(SAMPLE[:60])), **settings)
    on_s3.one("odd.jsonl", odd_source(), **settings)
    on_s3.one("empty.jsonl", b"", **settings)
    sound(on_s3.verify(), 70)


def test_rejected_rows_and_values_are_no_difference(site: Site) -> None:
    """Lines that are too long, values that don't fit, rows of nothing and what is no JSON."""
    content = (
        events("a", 20, alarm=True)
        + events("b", 5, extra="x" * 300)
        + events("c", 5, alarm="perhaps")
    )
    content += b"{}\nnonsense\n" + events("d", 5)
    (report,) = site.deliver(site.write("a.jsonl", content), max_event=300)
    assert report.tally.rejected == 7
    sound(site.verify(), 30)


def test_a_source_that_is_cut_off_is_compared_as_it_was_taken(site: Site) -> None:
    """What is whole of it was delivered."""
    content = gzip.compress(b"".join(SAMPLE))[:-4000]
    (report,) = site.deliver(site.write("a.jsonl.gz", content), accept_truncated=True)
    assert report.delivered > 0
    sound(site.verify(), report.delivered)


def test_a_destination_without_deliveries_is_right(
    site: Site, command: Callable[..., Result]
) -> None:
    """There is nothing to be wrong."""
    assert site.verify() == []
    result = command("verify", site.dest)
    assert (result.code, result.out) == (0, "0 deliveries, all right\n")


def fenced(site: Site) -> tuple[str, str]:
    """Leave a delivery whose turn others closed after its first part; return its source."""
    path = site.write("a.jsonl", events("a"))
    site.killed("-000001.cef", path)
    os.rename(path, f"{path}.away")  # noqa: PTH104 - these are names
    other = site.one("b.jsonl", events("b"))
    os.rename(f"{path}.away", path)  # noqa: PTH104
    assert sum(is_fence(site.read(key)) for key in site.objects()) == 1
    return path, other


def test_what_closed_a_turn_is_not_extra(site: Site) -> None:
    """Nor are the parts of a delivery that is not done."""
    fenced(site)
    sound(site.verify(), 9)


def test_a_delivery_in_segments_is_right(site: Site) -> None:
    """Its rest went out later, behind another delivery: in the order of turns, as it must be."""
    path, _ = fenced(site)
    site.deliver(path)
    sound(site.verify(), 18)


def test_each_delivery_in_segments_is_right(site: Site) -> None:
    """Both segments are compared as one."""
    path, other = fenced(site)
    (report,) = site.deliver(path)
    sound(site.verify(delivery=report.delivery), 9)
    sound(site.verify(delivery=other), 9)


@pytest.mark.parametrize("point", ["plans/", "turns/00000001.json", "-000002.cef", "manifests/"])
def test_a_delivery_under_way_is_no_finding(site: Site, point: str) -> None:
    """Its parts are known by its turn until it has a manifest."""
    path = site.write("a.jsonl", events("a"))
    site.killed(point, path)
    sound(site.verify(), 9 if point == "manifests/" else 0)
    site.deliver(path)
    sound(site.verify(), 9)


# What is wrong is found and named.


def mutate_missing(site: Site, delivery: str, rng: random.Random) -> list[Found]:
    """Remove a part."""
    key = rng.choice(site.parts(delivery))
    site.remove(key)
    return [(delivery, "missing", key)]


def mutate_byte(site: Site, delivery: str, rng: random.Random) -> list[Found]:
    """Change a byte of a part, behind the magic number (see the test of every byte)."""
    key = rng.choice(site.parts(delivery))
    body = bytearray(site.read(key))
    body[rng.randrange(4, len(body))] ^= rng.randrange(1, 256)
    site.put(key, bytes(body))
    return [(delivery, "changed", key)]


def mutate_truncated(site: Site, delivery: str, rng: random.Random) -> list[Found]:
    """Cut a part off."""
    key = rng.choice(site.parts(delivery))
    body = site.read(key)
    site.put(key, body[: rng.randrange(len(body))])
    return [(delivery, "truncated", key)]


def mutate_swapped(site: Site, delivery: str, rng: random.Random) -> list[Found]:
    """Put a part in the place of another one, or exchange the two."""
    one, other = sorted(rng.sample(site.parts(delivery), 2))
    first, second = site.read(one), site.read(other)
    site.put(one, second)
    if rng.random() < 0.5:
        return [(delivery, "swapped", one)]
    site.put(other, first)
    return [(delivery, "swapped", one), (delivery, "swapped", other)]


def mutate_extra(site: Site, delivery: str, rng: random.Random) -> list[Found]:
    """Put an object beside the parts."""
    key = site.parts(delivery)[-1]
    folder, _, name = key.rpartition("/")
    turn, _, rest = name.partition("-")
    suffix = rest[6:]
    names = [
        "notes.txt",
        "0.cef.gz",
        f"{folder}/{turn}-000099{suffix}",
        f"{folder}/copy-{name}",
        "2026-01-12/20260112T000000Z-00000099/evidence_id-1/00000099-000001.cef.gz",
    ]
    extra = rng.choice(names)
    site.put(extra, rng.choice([b"", site.read(key), b"x\n"]))
    return [("", "extra", extra)]


def mutate_source(site: Site, delivery: str, rng: random.Random) -> list[Found]:
    """Change the source: its size may stay."""
    url = site.manifest(delivery)["source"]["url"]
    name = url.rpartition("/")[2]
    body = bytearray((site.root / "in" / name).read_bytes())
    if rng.random() < 0.5:
        body[rng.randrange(len(body))] ^= 1
    else:
        del body[rng.randrange(len(body)) :]
    site.write(name, bytes(body))
    return [(delivery, "source", url)]


MUTATIONS = [
    mutate_missing,
    mutate_byte,
    mutate_truncated,
    mutate_swapped,
    mutate_extra,
    mutate_source,
]


@pytest.mark.parametrize("seed", range(20))
def test_a_mutation_is_found_and_named(
    seed: int, request: pytest.FixtureRequest, command: Callable[..., Result]
) -> None:
    """Twenty seeded ones, twenty found: verdict, key and delivery, and exit code 1."""
    rng = random.Random(seed)
    site: Site = request.getfixturevalue("on_s3" if rng.random() < 0.3 else "site")
    how = {"compression": rng.choice(COMPRESSIONS), "hive": rng.random() < 0.3}
    deliveries = [site.one(f"{n}.jsonl", events(n, 12), **how) for n in "abc"]
    sound(site.verify(), 36)
    expected = MUTATIONS[seed % len(MUTATIONS)](site, rng.choice(deliveries), rng)
    assert site.found() == expected
    result = command("verify", site.dest, "--json")
    assert result.code == 1
    told = [
        (one["delivery"], finding["verdict"], finding["place"])
        for one in result.lines
        for finding in one["findings"]
    ]
    assert told == expected
    assert [one["delivery"] for one in result.lines if not one["ok"]] == [expected[0][0]]


def test_all_mutations_at_once_are_found(site: Site) -> None:
    """One hides no other, but for the comparison of a delivery whose parts are not whole."""
    deliveries = [site.one(f"{n}.jsonl", events(n, 12)) for n in "abcdef"]
    expected = []
    for seed, (mutate, one) in enumerate(zip(MUTATIONS, deliveries, strict=True)):
        expected += mutate(site, one, random.Random(seed))
    assert sorted(site.found()) == sorted(expected)


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_every_cut_of_a_part_is_found(site: Site, compression: Compression) -> None:
    """At whatever byte."""
    delivery = site.one("a.jsonl", events("a", 1), compression=compression)
    (key,) = site.parts(delivery)
    body = site.read(key)
    for size in range(len(body)):
        site.put(key, body[:size])
        assert site.found() == [(delivery, "truncated", key)], size


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_every_changed_byte_of_a_part_is_found(site: Site, compression: Compression) -> None:
    """Wherever it is; a checksum need not be in the format."""
    delivery = site.one("a.jsonl", events("a", 1), compression=compression)
    (key,) = site.parts(delivery)
    body = site.read(key)
    for place in range(len(body)):
        site.put(key, body[:place] + bytes([body[place] ^ 0x15]) + body[place + 1 :])
        ((one, verdict, where),) = site.found()
        assert (one, where) == (delivery, key)
        assert verdict in {"changed", "truncated"}


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_a_changed_byte_is_not_called_a_cut(site: Site, compression: Compression) -> None:
    """The object has all its bytes: also where its magic number is the one that changed."""
    delivery = site.one("a.jsonl", events("a", 8), compression=compression)
    key = site.parts(delivery)[0]
    body = site.read(key)
    site.put(key, bytes([body[0] ^ 1]) + body[1:])
    assert site.found() == [(delivery, "changed", key)]


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("tail", [b"\0", b"\n", b"CEF:0|"])
def test_what_follows_a_part_is_found(site: Site, compression: Compression, tail: bytes) -> None:
    """Something appended to it."""
    delivery = site.one("a.jsonl", events("a"), compression=compression)
    key = site.parts(delivery)[0]
    site.put(key, site.read(key) + tail)
    assert site.found() == [(delivery, "changed", key)]


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_part_with_a_second_member_is_found(site: Site, compression: Compression) -> None:
    """Readers differ on whether they read it."""
    delivery = site.one("a.jsonl", events("a"), compression=compression)
    key = site.parts(delivery)[0]
    site.put(key, site.read(key) + compressed(b"CEF:0|a|b|c|0|d|1|msg=x\n", compression))
    assert site.found() == [(delivery, "changed", key)]


@pytest.mark.parametrize("stored", ["gzip -9", "plain", "zstd"])
def test_a_part_that_was_stored_otherwise_is_found(site: Site, stored: str) -> None:
    """Its text is right, and that is said."""
    delivery = site.one("a.jsonl", events("a"))
    key = site.parts(delivery)[0]
    text = text_of(site.read(key))
    bodies = {"gzip -9": gzip.compress(text, 9), "plain": text, "zstd": compressed(text, "zstd")}
    site.put(key, bodies[stored])
    (found,) = [finding for one in site.verify() for finding in one.findings]
    assert (found.verdict, found.place) == ("changed", key)
    assert found.what == "its text is right, its stored bytes are not"


def test_a_part_of_another_delivery_is_named(site: Site) -> None:
    """It is swapped, wherever it comes from."""
    one, other = (site.one(f"{n}.jsonl", events(n)) for n in "ab")
    key = site.parts(one)[0]
    site.put(key, site.read(site.parts(other)[0]))
    assert site.found() == [(one, "swapped", key)]


def test_no_part_is_missed_where_all_are(either: Site) -> None:
    """Each is named."""
    delivery = either.one("a.jsonl", events("a"))
    keys = either.objects()
    for key in keys:
        either.remove(key)
    assert len(keys) == 4
    assert either.found() == [(delivery, "missing", key) for key in keys]


@pytest.mark.parametrize("body", [b"", b"\0", compressed(b"", "gzip")], ids=["0", "1", "fence"])
def test_an_object_beside_the_parts_is_extra(either: Site, body: bytes) -> None:
    """One without bytes as well, one that closes no turn, and one named as a part is."""
    delivery = either.one("a.jsonl", events("a"))
    last = either.parts(delivery)[-1]
    keys = ["a", last.replace(".cef", "9.cef"), last.replace("-0000", "-0001"), f"{last}.tmp"]
    for key in keys:
        either.put(key, body)
    assert sorted(either.found()) == sorted(("", "extra", key) for key in keys)


def test_an_object_in_place_of_the_one_that_closed_a_turn_is_not_taken_for_another(
    site: Site,
) -> None:
    """What is beside that object is extra."""
    path, _ = fenced(site)
    site.deliver(path)
    (fence,) = [key for key in site.objects() if is_fence(site.read(key))]
    extra = fence.replace("-000002.cef", "-000003.cef")
    site.put(extra, site.read(fence))
    found = [one for one in site.found() if one[1] != "order"]  # as the segments' test expects
    assert found == [("", "extra", extra)]


def test_parts_out_of_order_are_found(site: Site) -> None:
    """A reader that keeps the last key would miss one."""
    delivery = site.one("a.jsonl", events("a"))
    manifest = site.manifest(delivery)
    first, second = (part["key"] for part in manifest["parts"][:2])
    manifest["parts"][0]["key"], manifest["parts"][1]["key"] = second, first
    one, other = site.read(first), site.read(second)
    site.put(first, other)
    site.put(second, one)
    site.forge(manifest)
    assert (delivery, "order", first) in site.found()


def test_deliveries_out_of_order_are_found(site: Site) -> None:
    """Where a turn ends behind the beginning of the next."""
    one, other = (site.one(f"{n}.jsonl", events(n)) for n in "ab")
    manifest = site.manifest(one)
    key = manifest["parts"][-1]["key"]
    moved = "/".join(["2099-01-01/20990101T000000Z-00000001", *key.split("/")[2:]])
    manifest["parts"][-1]["key"] = moved
    site.put(moved, site.read(key))
    site.remove(key)
    site.forge(manifest)
    assert site.found() == [("", "order", site.parts(other)[0])]


# What a reader, a lifecycle or an erasure removed.


def day(offset: int) -> str:
    """Return a day, as the option takes it."""
    return (datetime.now(UTC) + timedelta(days=offset)).strftime("%Y%m%d")


def test_what_was_removed_before_a_day_is_no_fault(
    either: Site, command: Callable[..., Result]
) -> None:
    """Its verdict is its own; what is younger is missing."""
    delivery = either.one("a.jsonl", events("a"))
    keys = either.objects()
    either.remove(keys[0])
    assert either.found(removed_before=day(1)) == [(delivery, "removed", keys[0])]
    assert either.found(removed_before=day(-1)) == [(delivery, "missing", keys[0])]
    result = command("verify", either.dest, "--removed-before", day(1))
    assert result.code == 0
    assert f"removed: {keys[0]}" in result.out
    assert result.out.endswith("1 deliveries, all right\n")
    assert command("verify", either.dest, "--removed-before", day(-1)).code == 1


def test_what_is_removed_hides_no_fault(site: Site, command: Callable[..., Result]) -> None:
    """Another part of the same delivery is damaged."""
    delivery = site.one("a.jsonl", events("a"))
    keys = site.objects()
    site.remove(keys[0])
    site.put(keys[1], b"")
    assert site.found(removed_before=day(1)) == [
        (delivery, "removed", keys[0]),
        (delivery, "truncated", keys[1]),
    ]
    assert command("verify", site.dest, "--removed-before", day(1)).code == 1


def test_a_part_that_was_gone_before_its_manifest_was_made_is_removed(site: Site) -> None:
    """A reader was quick; the manifest says that it could not be read back."""
    path = site.write("a.jsonl", events("a"))
    site.killed("-000002.cef", path)
    taken = site.objects()
    for key in taken:
        site.remove(key)
    (report,) = site.deliver(path, assume="delivered")
    assert site.found() == [(report.delivery, "removed", key) for key in taken]


@pytest.mark.parametrize("text", ["2026-01-12", "yesterday", "x"])
def test_a_day_that_is_none_is_refused(
    site: Site, command: Callable[..., Result], text: str
) -> None:
    """Compared as it is, it would call faults removed, or what was removed a fault."""
    site.one("a.jsonl", events("a"))
    assert command("verify", site.dest, "--removed-before", text).code == 2


# Events that differ from the source, in a manifest that says otherwise.


def forged(site: Site, delivery: str, edit: Callable[[list[bytes]], list[bytes]]) -> None:
    """Edit the lines of the first part, and let the manifest agree."""
    manifest = site.manifest(delivery)
    part = manifest["parts"][0]
    lines = edit(text_of(site.read(part["key"])).splitlines(keepends=True))
    text = b"".join(lines)
    body = compressed(text, manifest["settings"]["compression"])
    more = len(lines) - part["events"]
    manifest |= {n: manifest[n] + more for n in ("events_read", "events_delivered")}
    part |= {"events": len(lines), "text_bytes": len(text), "stored_bytes": len(body)}
    part["text_blake3"] = blake3(text).hexdigest()
    part["stored_sha256"] = hashlib.sha256(body).hexdigest()
    site.put(part["key"], body)
    site.forge(manifest)


def differences(site: Site) -> list[str]:
    """Return what differs, all of it in the one partition."""
    findings = [finding for one in site.verify() for finding in one.findings]
    assert {(f.verdict, f.place) for f in findings} <= {("different", "partition evidence_id-1")}
    return [finding.what for finding in findings]


VALUES: dict[str, tuple[object, object]] = {
    "text": ("one", "two"),
    "list": (["one"], ["two"]),
    "int": (1, 2),
    "bool": (True, False),
    "time": (1595194940, 1595194941),
}


def full(values: int) -> dict[str, object]:
    """Return an event with all fields."""
    return {field.name: VALUES[field.type][values] for field in FIELDS} | {"evidence_id": 1}


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_a_field_that_differs_is_named(site: Site, field: Any) -> None:  # noqa: ANN401 - a Field
    """Its event, too; every field of the table is compared."""
    rows = [full(0), full(0) | {"type": "other"}, full(0)]
    content = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    delivery = site.one("a.jsonl", content, part_size=1 << 20)
    old, new = (str(value) for value in VALUES[field.type])

    def edit(lines: list[bytes]) -> list[bytes]:
        line = lines[1].decode()
        if field.name == "type":
            changed = line.replace("|other|", "|another|")
        else:
            changed = line.replace(f" {field.name}={old}", f" {field.name}={new}")
            changed = changed.replace(f"|{field.name}={old}", f"|{field.name}={new}")
        assert changed != line
        return [lines[0], changed.encode(), lines[2]]

    forged(site, delivery, edit)
    assert differences(site) == [f"event 2: {field.name} is not what the source says"]


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_a_field_of_json_that_differs_is_named(site: Site, field: Any) -> None:  # noqa: ANN401 - a Field
    """As of CEF, where the type is only in the header."""
    content = b"".join(json.dumps(full(0)).encode() + b"\n" for _ in range(3))
    delivery = site.one("a.jsonl", content, part_size=1 << 20, format="json")
    old, new = (json.dumps(value) for value in VALUES[field.type])

    def edit(lines: list[bytes]) -> list[bytes]:
        pair = f'"{field.name}":{old}'.encode()
        assert lines[1].count(pair) == 1
        return [lines[0], lines[1].replace(pair, f'"{field.name}":{new}'.encode()), lines[2]]

    forged(site, delivery, edit)
    assert differences(site) == [f"event 2: {field.name} is not what the source says"]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (',"msg":"a2"', "", ["event 3: msg is not what the source says"]),
        ('"a2"', '"a2 "', ["event 3: msg is not what the source says"]),
        ('"tag":"t",', '"tag":"t","host":"h",', ["event 3: host is not what the source says"]),
        (
            '"tag":"t",',
            '"tag":"t","zz":1,',
            [
                "event 3: its header or keys are not what the source gives",
                "zz is no field of the source",
            ],
        ),
        (
            '"tag":"t",',
            '"tag": "t",',
            ["event 3: its header or keys are not what the source gives"],
        ),
    ],
)
def test_a_line_of_json_that_differs_is_named(
    site: Site, old: str, new: str, expected: list[str]
) -> None:
    content = events("a", 5, evidence_id=1, tag="t")
    delivery = site.one("a.jsonl", content, part_size=1 << 20, format="json")
    forged(site, delivery, text_edit(old, new))
    assert differences(site) == expected


def test_a_part_of_json_whose_line_is_none_is_changed(site: Site) -> None:
    content = events("a", 5, evidence_id=1)
    delivery = site.one("a.jsonl", content, part_size=1 << 20, format="json")
    forged(site, delivery, text_edit('"msg":"a2"', '"msg":a2'))
    (finding, *_) = [f for one in site.verify() for f in one.findings]
    assert finding.verdict == "changed"
    assert "line 3 is no line of CadoJson" in finding.what


def text_edit(old: str, new: str) -> Callable[[list[bytes]], list[bytes]]:
    """Return what changes the third line."""

    def edit(lines: list[bytes]) -> list[bytes]:
        assert lines[2].count(old.encode()) == 1
        return [*lines[:2], lines[2].replace(old.encode(), new.encode()), *lines[3:]]

    return edit


MSG, TAG = (f"event 3: {name} is not what the source says" for name in ("msg", "tag"))
KEYS = "event 3: its header or keys are not what the source gives"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (" msg=a2", "", [MSG]),
        (" tag=t", " tag=T", [TAG]),
        (" tag=t", "", [TAG]),
        (" tag=t", " tag=t ", [TAG]),
        (" tag=t", " tag=t host=h", ["event 3: host is not what the source says"]),
        (" tag=t", " tag=t bogus=1", [KEYS, "bogus is no field of the source"]),
        (" tag=t msg=a2", " tag=u msg=b2", [TAG, MSG]),
        ("|Timeline Event|", "|a|", ["event 3: type is not what the source says"]),
    ],
)
def test_a_line_that_differs_is_named(
    either: Site, old: str, new: str, expected: list[str]
) -> None:
    """A value that is gone, that is there too much, that differs in a letter or a space."""
    delivery = either.one("a.jsonl", events("a", 5, evidence_id=1, tag="t"), part_size=1 << 20)
    forged(either, delivery, text_edit(old, new))
    assert differences(either) == expected


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("|Timeline Event|1|", "|Timeline Event|9|"),
        ("CEF:0|CadoSecurity|", "CEF:0|Somebody|"),
        ("|0|Timeline Event|", "|1|Timeline Event|"),
        ("eventTimeMicros=1500000", "eventTimeMicros=1500001"),
    ],
    ids=["severity", "vendor", "signature", "microseconds"],
)
def test_what_is_made_of_fields_is_compared(site: Site, old: str, new: str) -> None:
    """SIEMs alert on the severity, and index the microseconds."""
    content = events("a", 5, evidence_id=1, eventTime=1.5)
    delivery = site.one("a.jsonl", content, part_size=1 << 20, subseconds=True)
    forged(site, delivery, text_edit(old, new))
    assert differences(site) != []


def test_events_that_changed_places_are_named(site: Site) -> None:
    """Their bytes are all there."""
    delivery = site.one("a.jsonl", events("a", 6, evidence_id=1), part_size=1 << 20)
    forged(site, delivery, lambda lines: [*lines[:2], lines[3], lines[2], *lines[4:]])
    assert differences(site) == [
        f"event {number}: msg is not what the source says" for number in (3, 4)
    ]


def test_events_that_are_not_the_source_s_are_told(site: Site) -> None:
    """One too few, one too many."""
    delivery = site.one("a.jsonl", events("a", 3, evidence_id=1), part_size=1 << 20)
    forged(site, delivery, lambda lines: lines[:2])
    assert differences(site) == ["events of the source are not in it"]
    forged(site, delivery, lambda lines: [*lines, lines[0].replace(b"a0", b"a2")])
    assert differences(site) == []
    forged(site, delivery, lambda lines: [*lines, lines[0]])
    assert differences(site) == ["events are in it that the source does not have"]


def test_only_so_many_differences_are_told(site: Site) -> None:
    """All of a million events could differ."""
    delivery = site.one("a.jsonl", events("a", 100, evidence_id=1), part_size=1 << 20)
    forged(site, delivery, lambda lines: [line.replace(b"msg=a", b"msg=b") for line in lines])
    assert len(differences(site)) == 20


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"CEF:0", b"CEF"),
        (b"msg=a2", b"msg=a2 msg=a2"),
        (b"evidence_id=1", b"evidence_id=one"),
        (b"msg=a2", b"msg=\xff2"),
        (b"msg=a2", b"msg=a\r2"),
        (b"msg=a2\n", b"msg=a2"),
    ],
    ids=["header", "twice", "number", "utf-8", "cr", "lf"],
)
def test_a_line_that_no_reader_takes_is_found(site: Site, old: bytes, new: bytes) -> None:
    """Whatever the manifest says of it."""
    delivery = site.one("a.jsonl", events("a", 3, evidence_id=1), part_size=1 << 20)
    forged(site, delivery, lambda lines: [*lines[:2], lines[2].replace(old, new)])
    (key,) = site.parts(delivery)
    assert set(site.found()) == {(delivery, "changed", key)}


@pytest.mark.parametrize("name", ["name", "severity", "device_vendor"])
def test_columns_named_as_the_header_are_verified(site: Site, name: str) -> None:
    """A column `name` is common; parsing must not fail on it."""
    values: dict[str, Any] = {name: "x"}
    site.one("a.jsonl", events("a", **values), unknown="carry")
    sound(site.verify(), 9)


# The source.


def test_a_source_that_is_gone_is_said(site: Site, command: Callable[..., Result]) -> None:
    """That is no fault: sources are removed. What was delivered is read back all the same."""
    delivery = site.one("a.jsonl", events("a"))
    (site.root / "in/a.jsonl").unlink()
    (found,) = site.verify()
    assert (found.delivery, found.events, found.compared, found.findings) == (delivery, 9, None, [])
    result = command("verify", site.dest)
    assert result.code == 0
    assert "source not at hand" in result.out


def test_a_source_that_was_moved_is_named(site: Site, command: Callable[..., Result]) -> None:
    """With its delivery; elsewhere it is what it was, or it is not."""
    delivery = site.one("a.jsonl", events("a"))
    moved = site.root / "moved"
    (site.root / "in/a.jsonl").rename(moved)
    (found,) = site.verify(delivery=delivery, source=str(moved))
    assert (found.compared, found.findings) == (9, [])
    arguments = ("verify", site.dest, "--source", str(moved), "--delivery", delivery)
    assert command(*arguments).code == 0
    moved.write_bytes(events("b"))
    assert site.found(delivery=delivery, source=str(moved)) == [(delivery, "source", str(moved))]
    assert command(*arguments).code == 1
    moved.unlink()
    result = command(*arguments)
    assert result.code == 1
    assert "it is not at hand" in result.out


def test_a_source_on_s3_is_compared(on_s3: Site) -> None:
    """Where it is, where it was moved to, and where it was changed."""
    assert on_s3.s3 is not None
    url = on_s3.s3.put("in/a.jsonl", events("a"))
    (report,) = on_s3.deliver(url)
    delivery = report.delivery
    sound(on_s3.verify(), 9)
    moved = on_s3.s3.put("moved/a.jsonl", events("a"))
    on_s3.s3.put("in/a.jsonl", events("b"))
    assert on_s3.found() == [(delivery, "source", url)]
    sound(on_s3.verify(delivery=delivery, source=moved), 9)
    on_s3.s3.client.delete_object(Bucket=on_s3.s3.bucket, Key=f"{on_s3.s3.prefix}/in/a.jsonl")
    (found,) = on_s3.verify()
    assert (found.compared, found.findings) == (None, [])


def test_a_source_whose_name_is_a_folder_s_now_is_not_taken_for_it(site: Site) -> None:
    """What is in it is another matter."""
    site.one("a.jsonl", events("a"))
    path = site.root / "in/a.jsonl"
    path.unlink()
    path.mkdir()
    for name in "xy":
        (path / f"{name}.jsonl").write_bytes(events(name))
    (found,) = site.verify()
    assert (found.compared, found.findings) == (None, [])


def test_nothing_is_left_in_staging(site: Site, staging_root: Path) -> None:
    """Whether a source is compared or was changed."""
    site.one("a.jsonl", events("a"))
    site.verify()
    site.write("a.jsonl", events("b"))
    site.verify()
    assert list(staging_root.iterdir()) == []


# One delivery, JSON, and what people see.


def test_one_delivery_is_asked_for(site: Site, command: Callable[..., Result]) -> None:
    """Others, and what no delivery knows, are left out."""
    one, other = (site.one(f"{n}.jsonl", events(n)) for n in "ab")
    site.remove(site.parts(other)[0])
    site.put("extra", b"")
    assert [found.delivery for found in site.verify(delivery=one)] == [one]
    asked = Config(dest=site.dest)
    assert [found.delivery for found in verify(asked, [other, one])] == [other, one]
    with pytest.raises(UsageError, match="knows no delivery zz"):
        list(verify(asked, [one, "zz"]))
    assert command("verify", site.dest, "--delivery", one).code == 0
    assert command("verify", site.dest, "--delivery", other).code == 1


def test_a_delivery_that_is_not_there_is_a_wrong_call(
    site: Site, command: Callable[..., Result]
) -> None:
    """So is a source without its delivery."""
    site.one("a.jsonl", events("a"))
    result = command("verify", site.dest, "--delivery", "0" * 32)
    assert result.code == 2
    assert "cefline status" in result.err
    result = command("verify", site.dest, "--source", "a.jsonl")
    assert result.code == 2
    assert "--delivery" in result.err
    assert command("verify").code == 2


def test_the_json_has_a_line_for_each_delivery(
    either: Site, command: Callable[..., Result]
) -> None:
    """And one for what no delivery knows."""
    deliveries = [either.one(f"{n}.jsonl", events(n)) for n in "ab"]
    either.put("extra", b"")
    result = command("verify", either.dest, "--json")
    assert result.code == 1
    by_id = {one["delivery"]: one for one in result.lines}
    for name, delivery in zip("ab", deliveries, strict=True):
        assert by_id[delivery] == {
            "delivery": delivery,
            "source": str(either.root / f"in/{name}.jsonl"),
            "parts": len(either.parts(delivery)),
            "events": 9,
            "compared": 9,
            "ok": True,
            "findings": [],
        }
    extra = {"verdict": "extra", "place": "extra", "what": "no delivery knows it"}
    assert by_id[""] == {
        "delivery": "",
        "source": either.dest,
        "parts": 0,
        "events": 0,
        "compared": None,
        "ok": False,
        "findings": [extra],
    }


def test_people_see_a_table(site: Site, command: Callable[..., Result]) -> None:
    """A line for each delivery, below it what is wrong, and a line at the end."""
    one, other = (site.one(f"{n}.jsonl", events(n)) for n in "ab")
    key = site.parts(other)[0]
    site.remove(key)
    result = command("verify", site.dest)
    lines = result.out.splitlines()
    assert len(lines) == 4
    assert f"ok     {one}  {site.root}/in/a.jsonl  4 parts, 9 events, 9 compared" in lines
    wrong = lines.index(f"WRONG  {other}  {site.root}/in/b.jsonl  4 parts, 6 events, not compared")
    assert lines[wrong + 1].strip().startswith(f"missing: {key}: it should hold 3 events")
    assert lines[-1] == "2 deliveries, NOT all right"


def test_hostile_names_can_t_steer_a_terminal(site: Site, command: Callable[..., Result]) -> None:
    """Those of sources and of objects: they are shown as escapes, in JSON as well."""
    site.one("a\x1b[31m\n\u202e.jsonl", events("a"))
    (site.root / "out/x\x1b]0;\r\n").write_bytes(b"")
    os.close(os.open(os.fsencode(site.root / "out") + b"/\xff\xfe", os.O_CREAT))
    result = command("verify", site.dest)
    assert result.code == 1
    assert all(line.isprintable() for line in result.out.splitlines())
    assert "a\\x1b[31m\\n\\u202e.jsonl" in result.out
    assert "extra: x\\x1b]0;\\r\\n" in result.out
    assert "extra: \\udcff\\udcfe" in result.out
    result = command("verify", site.dest, "--json")
    assert len(result.lines) == 2
    assert {finding["place"] for finding in result.lines[1]["findings"]} == {
        "x\x1b]0;\r\n",
        "\udcff\udcfe",
    }
    assert all(line.replace("\t", "").isprintable() for line in result.out.splitlines())


def test_a_manifest_that_is_none_is_told(site: Site, command: Callable[..., Result]) -> None:
    """Something else wrote into the state."""
    delivery = site.one("a.jsonl", events("a"))
    site.put(f"{delivery}.json", b"[]", "_cefline/out/manifests")
    result = command("verify", site.dest)
    assert result.code == 1
    assert "is no object of cefline's" in result.err


# What is selected.

SELECTIONS: list[dict[str, Any]] = [
    {"where": "source = 'REG' or msg contains '='"},
    {"where": "eventTime is null"},
    {"min_severity": 4},
    {"since": "2020-07-19T11:00:00Z", "until": "2020-07-19T12:00:00Z"},
    {"drop": ("msg", "short", "super_short", "extra")},
    {"fields": ("msg", "host"), "unknown": "carry", "subseconds": True},
    {"where": "eventId = 'none'"},
    {"where": "not type contains 't'", "fields": ("short",), "partition_by": ("host", "day")},
]


@pytest.mark.parametrize("settings", SELECTIONS, ids=str)
def test_what_is_selected_is_compared_by_the_plan_s_settings(
    site: Site, settings: dict[str, Any]
) -> None:
    """`verify` is not told of them; what is read is delivered, rejected or filtered."""
    content = {"a.jsonl": b"".join(SAMPLE) + b"{}\n", "odd.jsonl": odd_source()}
    sources = [site.write(name, text) for name, text in content.items()]
    reports = site.deliver(*sources, **{"part_size": 1 << 15, **settings})
    assert [report.tally.read for report in reports] == [301, 10]
    for report in reports:
        tally = report.tally
        assert tally.read == tally.delivered + tally.rejected + tally.filtered
        assert (tally.filtered > 0) == bool(settings.keys() & {"where", "since", "min_severity"})
        manifest = site.manifest(report.delivery)
        assert manifest["events_filtered"] == tally.filtered
        assert sum(part["events"] for part in manifest["parts"]) == tally.delivered
    sound(site.verify(), sum(report.tally.delivered for report in reports))


@pytest.mark.parametrize(
    ("name", "change"),
    [("events_filtered", 1), ("events_read", 1), ("events_rejected", -1), ("events_delivered", 1)],
)
def test_what_does_not_add_up_is_told(
    site: Site, command: Callable[..., Result], name: str, change: int
) -> None:
    """Events read are delivered, rejected or filtered; those delivered are in the parts."""
    (report,) = site.deliver(site.write("a.jsonl", events("a", 9)), where="msg != 'a3'")
    sound(site.verify(), 8)
    manifest = site.manifest(report.delivery)
    site.forge(manifest | {name: manifest[name] + change})
    found = site.found()
    assert {one[:2] for one in found} == {(report.delivery, "balance")}
    assert command("verify", site.dest).code == 1


def test_another_number_of_filtered_events_is_told(site: Site) -> None:
    """Where the sum holds, but not what the settings give."""
    (report,) = site.deliver(site.write("a.jsonl", events("a", 9) + b"{}\n"), where="msg != 'a3'")
    manifest = site.manifest(report.delivery)
    site.forge(manifest | {"events_filtered": 2, "events_rejected": 0})
    assert [one[1] for one in site.found()] == ["balance"]


def test_a_field_that_was_dropped_is_not_in_a_line(site: Site) -> None:
    """One that is there all the same is told."""
    delivery = site.one(
        "a.jsonl", events("a", 5, evidence_id=1, tag="t"), part_size=1 << 20, drop=("tag",)
    )
    forged(site, delivery, text_edit(" msg=a2", " tag=t msg=a2"))
    assert differences(site) == [TAG]


def test_a_manifest_of_before_anything_was_filtered_is_right(site: Site) -> None:
    delivery = site.one("a.jsonl", events("a"))
    manifest = site.manifest(delivery)
    del manifest["events_filtered"]
    site.forge(manifest)
    sound(site.verify(), 9)


# Stamps.


def test_stamped_lines_are_compared(either: Site) -> None:
    """Of each delivery with its own."""
    either.one("a.jsonl", events("a"), stamp=True)
    either.one("b.jsonl", events("b"))
    either.one("odd.jsonl", odd_source(), stamp=True, unknown="carry", where="type is not null")
    sound(either.verify(), 18 + 5)


@pytest.mark.parametrize(
    ("stamp", "old", "new"),
    [
        (True, "CadoResponseDelivery=", "CadoResponseDelivery=0"),
        (True, "CadoResponseDelivery=", "cadoResponseDelivery="),
        (False, " msg=a2", " msg=a2 CadoResponseDelivery=x"),
    ],
    ids=["other", "none", "forged"],
)
def test_a_stamp_that_is_not_the_delivery_s_is_told(
    site: Site, old: str, new: str, *, stamp: bool
) -> None:
    content = events("a", 5, evidence_id=1)
    delivery = site.one("a.jsonl", content, part_size=1 << 20, stamp=stamp)
    forged(site, delivery, text_edit(old, new))
    found = differences(site)
    assert found[0] == "event 3: CadoResponseDelivery does not say the delivery"
    assert len(found) == 1 + new.startswith("cado")


# Syslog headers.


@pytest.mark.parametrize("framing", ["rfc3164", "rfc5424"])
def test_framed_lines_are_compared(either: Site, framing: Any) -> None:  # noqa: ANN401 - one of its literals
    """With or without a time, a host and a stamp."""
    more = {"framing": framing, "subseconds": True, "cef_version": 1}
    either.one("a.jsonl", b"".join(SAMPLE[:60]), **more, part_size=1 << 15)
    either.one("odd.jsonl", odd_source(), **more, stamp=True, unknown="carry")
    sound(either.verify(), 70)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<134>1 ", "<130>1 "),
        ("T00:00:01Z h ", "T00:00:02Z h "),
        ("Z h ", "Z x "),
        ("CEF:0", "CEF:1"),
    ],
    ids=["priority", "time", "host", "version"],
)
def test_a_syslog_header_that_differs_is_told(site: Site, old: str, new: str) -> None:
    """SIEMs date events by it."""
    content = events("a", 5, evidence_id=1, eventTime=1.5, host="h")
    delivery = site.one("a.jsonl", content, part_size=1 << 20, framing="rfc5424")
    forged(site, delivery, text_edit(old, new))
    assert differences(site) == [KEYS]
