"""Publishing: each part once, in order, and a turn that is closed stays closed."""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import itertools
import random
import re
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from cefline.deliver import plans, publish, turns
from cefline.deliver.fences import fence
from cefline.deliver.publish import FencedError
from cefline.deliver.store import LocalStore, Store
from cefline.errors import CeflineError, DeliveryError, TryAgainError
from cefline.pack import compressed, text_of
from cefline.s3 import UnsureError
from tests.parts import (
    SETTINGS,
    TEXT,
    KilledError,
    kill_at,
    lines_of,
    local_store,
    part_text,
    plan_of,
    s3_store,
    staged,
    texts_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cefline.deliver.publish import Assume, Published, Readers
    from cefline.deliver.staging import Staged
    from cefline.deliver.turns import Turn
    from cefline.pack import Compression
    from tests.seaweed import S3

COMPRESSIONS: list[Compression] = ["gzip", "zstd", "none"]
READERS: list[Readers] = ["delete", "keep"]


@dataclasses.dataclass
class Case:
    """A segment that has its turn."""

    dest: Store
    state: Store
    plan: dict[str, Any]
    parts: list[Staged]
    turn: Turn

    @property
    def places(self) -> tuple[Store, Store]:
        """Return destination and state."""
        return self.dest, self.state

    @property
    def texts(self) -> list[bytes]:
        """Return what the parts hold."""
        return [text_of(part.path.read_bytes()) for part in self.parts]

    def publish(
        self, *, pace: float = 0.0, assume: Assume | None = None, readers: Readers = "delete"
    ) -> list[Published]:
        """Put the parts out."""
        return publish.publish(
            self.plan,
            self.parts,
            self.turn,
            self.places,
            pace=pace,
            assume=assume,
            readers=readers,
        )

    def fence(self, assume: Assume | None = None) -> int:
        """Close the turn."""
        return fence(self.plan, self.turn, self.places, assume)

    def key(self, number: int) -> str:
        """Return the key of a part."""
        return publish.key_of(self.plan, self.turn, number)

    def listed(self) -> list[str]:
        """Return what is at the destination."""
        return [key for key, _ in self.dest.list()]

    def interrupted(self, parts: int, *, put: bool) -> None:
        """Put some parts out as a run does that is killed just before or after the last PUT."""
        assert isinstance(self.dest, LocalStore)
        with pytest.MonkeyPatch.context() as patch:
            kill_at(patch, f"-{parts:06d}.cef", done=put)
            with pytest.raises(KilledError):
                self.publish()

    def freed(self, *numbers: int) -> None:
        """Let a reader remove parts that it has read."""
        assert isinstance(self.dest, LocalStore)
        for number in numbers:
            (self.dest.root / self.key(number)).unlink()


def case(
    folder: Path,
    places: tuple[Store, Store] | None = None,
    parts: int = 3,
    compression: Compression = "gzip",
    name: str = "a",
) -> Case:
    """Plan a segment of some parts, and take its turn."""
    dest, state = places or (local_store(folder / "dest"), local_store(folder / "state"))
    made = staged(
        folder / f"staged-{name}", [part_text(f"{name}{n}") for n in range(parts)], compression
    )
    plan = plan_of(made, name * 32, settings={**SETTINGS, "compression": compression})
    plans.make_plan(state, plan)
    return Case(dest, state, plan, made, turns.take(plan, state, dest))


@pytest.fixture(params=["local", "s3"])
def either(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Case]:
    """Return what makes a case, on a disk and on S3."""
    places: tuple[Store, Store] = local_store(tmp_path / "dest"), local_store(tmp_path / "state")
    if request.param == "s3":
        s3: S3 = request.getfixturevalue("s3")
        places = s3_store(s3, monkeypatch), s3_store(s3, monkeypatch, f"{s3.url}/state")
    return lambda **how: case(tmp_path, places, **how)


# In order, once.


@pytest.mark.parametrize("readers", READERS)
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_parts_are_put_out_in_key_order(
    either: Callable[..., Case], compression: Compression, readers: Readers
) -> None:
    """As they were staged, and the record of each is what is there."""
    one = either(compression=compression)
    published = one.publish(readers=readers)
    assert [part.key for part in published] == one.listed() == sorted(one.listed())
    assert [one.dest.read(p.key) for p in published] == [p.path.read_bytes() for p in one.parts]
    assert [p.stored_bytes for p in published] == [size for _, size in one.dest.list()]
    for part, number in zip(published, range(1, 4), strict=True):
        entry = part.entry()
        assert entry["key"] == one.key(number)
        assert entry["text_blake3"] == one.plan["parts"][number - 1]["text_blake3"]
        assert part.url == f"{one.dest.url}/{part.key}"


def test_an_object_tells_what_it_is(
    s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Delivery, turn, ordinals, events and the digest of its text are in the metadata."""
    places = s3_store(s3, monkeypatch), s3_store(s3, monkeypatch, f"{s3.url}/state")
    one = case(tmp_path, places)
    one.publish()
    stored = s3.get(f"{s3.prefix}/dest/{one.key(2)}")
    assert stored.metadata == {
        "cefline-delivery": "a" * 32,
        "cefline-turn": "1",
        "cefline-ordinals": "2-3",
        "cefline-events": "2",
        "cefline-text-blake3": one.parts[1].text_blake3,
    }
    assert (stored.content_type, stored.content_encoding) == ("application/x-gzip", "")


@pytest.mark.parametrize("relevelled", [False, True])
def test_publishing_again_changes_nothing(either: Callable[..., Case], *, relevelled: bool) -> None:
    """A part is known by its text: another host may have compressed it otherwise."""
    one = either()
    first = one.publish()
    if relevelled:
        for part in one.parts:
            text = text_of(part.path.read_bytes())
            part.path.unlink()  # as staging does: the object may be linked to it
            part.path.write_bytes(gzip.compress(text, 1))
    before = [one.dest.read(key) for key in one.listed()]
    assert one.publish() == first
    assert [one.dest.read(key) for key in one.listed()] == before


@pytest.mark.parametrize("runs", [["delete"] * 4, ["keep"] * 4, ["delete", "keep"] * 2])
def test_two_runs_of_one_turn_put_out_the_same(tmp_path: Path, runs: list[Readers]) -> None:
    """Side by side, in any order: each part once, and both have the same records."""
    one = case(tmp_path, parts=12)
    ready = threading.Barrier(4)

    def run(readers: Readers) -> list[Published]:
        ready.wait()
        return one.publish(readers=readers)

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(run, runs))
    assert texts_of(one.dest) == one.texts
    assert all(records == found[0] for records in found)


@pytest.mark.parametrize(
    "body",
    [
        gzip.compress(b"CEF:0|other\n"),
        b"CEF:0|other\n",
        gzip.compress(b"x" * 999)[:-9],
        gzip.compress(b"x") + b"more",
        b"\x1f\x8b",
        b"\x28\xb5\x2f\xfd broken",
        b"\x28\xb5\x2f\xfd",
        b"\0",
    ],
    ids=["gzip", "text", "cut", "followed", "head", "zstd", "zstd head", "nul"],
)
def test_another_object_in_the_place_of_a_part_stops_the_run(
    either: Callable[..., Case], body: bytes
) -> None:
    """It is left as it is, no part follows it, and the error names it."""
    one = either()
    one.dest.create(one.key(2), body, TEXT, {})
    with pytest.raises(DeliveryError, match="its text is not the part's") as caught:
        one.publish()
    assert one.key(2) in str(caught.value)
    assert one.dest.read(one.key(2)) == body
    assert one.listed() == [one.key(1), one.key(2)]


def test_each_part_is_noted_before_it_is_put_out(tmp_path: Path) -> None:
    """So that whoever comes after a kill knows which part may be out."""
    one = case(tmp_path)
    one.interrupted(2, put=False)
    assert turns.intended(one.state, one.turn) == 2
    assert one.listed() == [one.key(1)]


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("put", [False, True])
def test_a_killed_run_is_gone_on_with(tmp_path: Path, *, number: int, put: bool) -> None:
    """Where nobody removes parts nothing has to be asked."""
    one = case(tmp_path)
    one.interrupted(number, put=put)
    published = one.publish()
    assert texts_of(one.dest) == one.texts
    assert all(part.stored_sha256 for part in published)


@pytest.mark.parametrize("readers", READERS)
def test_a_pace_is_kept_between_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, readers: Readers
) -> None:
    """Not before the first one, nor after the last."""
    events: list[object] = []
    create = LocalStore.create

    def noted(store: LocalStore, key: str, *rest: Any, **more: Any) -> bool:  # noqa: ANN401 - passed on
        if ".cef" in key:
            events.append("part")
        return create(store, key, *rest, **more)

    one = case(tmp_path)
    monkeypatch.setattr(LocalStore, "create", noted)
    monkeypatch.setattr(time, "sleep", events.append)
    one.publish(pace=1.5, readers=readers)
    assert events == ["part", 1.5, "part", 1.5, "part"]


@pytest.mark.parametrize("readers", READERS)
def test_a_lost_reply_is_resolved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, readers: Readers
) -> None:
    """The object is there though the store says that another one was first."""
    create = LocalStore.create

    def lost(store: LocalStore, key: str, *rest: Any, **more: Any) -> bool:  # noqa: ANN401 - passed on
        return create(store, key, *rest, **more) and ".cef" not in key

    one = case(tmp_path)
    monkeypatch.setattr(LocalStore, "create", lost)
    published = one.publish(readers=readers)
    assert texts_of(one.dest) == one.texts
    assert [part.stored_bytes for part in published] == [size for _, size in one.dest.list()]


# A reader that removes what it has read.


def unsure(patch: pytest.MonkeyPatch, one: Case, what: str) -> None:
    """Let nothing tell what became of the second part, the first time that it is put out."""
    create, met = LocalStore.create, 0

    def lost(store: LocalStore, key: str, *rest: Any, sure: bool = False) -> bool:  # noqa: ANN401 - passed on
        nonlocal met
        met += key == one.key(2)
        if key != one.key(2) or met > 1:
            return create(store, key, *rest)
        assert sure
        if what != "never there":
            create(store, key, *rest)
        if what.startswith("gone"):
            one.freed(1, 2)
        if what == "gone after 412":
            return False
        raise UnsureError(key)

    patch.setattr(LocalStore, "create", lost)


@pytest.mark.parametrize("readers", READERS)
@pytest.mark.parametrize("what", ["never there", "still there"])
def test_what_nothing_tells_of_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, readers: Readers
) -> None:
    """The part before it is still there, so nobody removes any: it is there, or never was."""
    one = case(tmp_path)
    unsure(monkeypatch, one, what)
    published = one.publish(readers=readers)
    assert texts_of(one.dest) == one.texts
    assert all(part.stored_sha256 for part in published)


@pytest.mark.parametrize("what", ["gone", "gone after 412"])
def test_what_may_have_been_read_and_removed_is_not_put_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """A reply was lost, and a reader was faster than the next try: it is asked for, or assumed."""
    one = case(tmp_path)
    unsure(monkeypatch, one, what)
    with pytest.raises(DeliveryError, match="may have been delivered and removed"):
        one.publish()
    assert one.listed() == []
    one.publish(assume="delivered")
    assert texts_of(one.dest) == one.texts[2:]


@pytest.mark.parametrize("assume", ["delivered", "lost"])
def test_what_to_assume_can_be_said_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, assume: Assume
) -> None:
    """So that nobody has to be asked at night."""
    one = case(tmp_path)
    unsure(monkeypatch, one, "gone")
    one.publish(assume=assume)
    assert texts_of(one.dest) == one.texts[1 if assume == "lost" else 2 :]


def test_what_nothing_ever_tells_of_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After some tries, with the error of the last one: the next run goes on."""
    one = case(tmp_path)
    create = LocalStore.create

    def lost(store: LocalStore, key: str, *rest: Any, sure: bool = False) -> bool:  # noqa: ANN401 - passed on
        if sure:
            raise UnsureError(key)
        return create(store, key, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(LocalStore, "create", lost)
        with pytest.raises(UnsureError) as caught:
            one.publish()
    assert caught.value.exit_code == 75
    one.publish()
    assert texts_of(one.dest) == one.texts


def test_a_fence_that_comes_and_goes_is_not_guessed_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was there, and is gone before it is read, may have been the holder's part: 75."""
    one = case(tmp_path)
    one.interrupted(1, put=True)
    create = LocalStore.create

    def taken(store: LocalStore, key: str, *rest: Any, **more: Any) -> bool:  # noqa: ANN401 - passed on
        return key != one.key(2) and create(store, key, *rest, **more)

    with monkeypatch.context() as patch:
        patch.setattr(LocalStore, "create", taken)
        with pytest.raises(TryAgainError, match="came and went"):
            one.fence()
    assert one.fence() == 1


@pytest.mark.parametrize("put", [False, True])
def test_a_part_that_may_have_been_read_and_removed_is_asked_for(
    tmp_path: Path, *, put: bool
) -> None:
    """After a kill nothing tells whether it was out; putting it out again could double it."""
    one = case(tmp_path)
    one.interrupted(2, put=put)
    one.freed(*([1, 2] if put else [1]))
    with pytest.raises(DeliveryError, match="may have been delivered and removed") as caught:
        one.publish()
    assert all(text in str(caught.value) for text in ("--assume-delivered", "--assume-lost"))
    assert one.key(2) in str(caught.value)
    assert one.listed() == []


def test_assumed_as_delivered_it_is_not_put_out_again(tmp_path: Path) -> None:
    """Nor is any before it; the rest is, and what is gone has no digest of its bytes."""
    one = case(tmp_path)
    one.interrupted(2, put=True)
    one.freed(1, 2)
    published = one.publish(assume="delivered")
    assert texts_of(one.dest) == one.texts[2:]
    assert [bool(part.stored_sha256) for part in published] == [False, False, True]
    assert [part.events for part in published] == [2, 2, 2]


def test_assumed_as_lost_it_is_put_out(tmp_path: Path) -> None:
    """It alone: what was noted as out before it is not asked for, and never comes again."""
    one = case(tmp_path)
    one.interrupted(2, put=False)
    one.freed(1)
    published = one.publish(assume="lost")
    assert texts_of(one.dest) == one.texts[1:]
    assert [bool(part.stored_sha256) for part in published] == [False, True, True]


def test_parts_that_were_out_are_never_put_out_again(tmp_path: Path) -> None:
    """All of them read and removed before the rerun, but the last, which is there."""
    one = case(tmp_path)
    one.interrupted(3, put=True)
    one.freed(1, 2)
    one.publish()
    assert texts_of(one.dest) == one.texts[2:]


def after_another(tmp_path: Path, end: str) -> Case:
    """Return a case whose turn follows that of a delivery which has ended, and its parts gone."""
    first = case(tmp_path, name="a")
    if end == "fenced":
        first.interrupted(2, put=True)
        assert first.fence() == 2
        first.freed(3)  # the fence itself
        first.freed(1, 2)
    else:
        first.publish()
        entries = [{"key": first.key(number)} for number in (1, 2, 3)]
        said = {"delivery": "a" * 32, "turn": 1, "source": {}, "parts": entries}
        plans.make_manifest(first.state, said)
        turns.close(first.state, first.turn, 3)
        if end == "removed":
            first.freed(1, 2, 3)
    second = case(tmp_path, name="b")
    assert second.turn.number == 2
    return second


def test_the_first_part_of_a_turn_is_asked_for_by_the_turn_before(tmp_path: Path) -> None:
    """Its last part is gone: somebody removes parts."""
    second = after_another(tmp_path, "removed")
    second.interrupted(1, put=True)
    second.freed(1)
    with pytest.raises(DeliveryError, match="may have been delivered and removed"):
        second.publish()
    second.publish(assume="delivered")
    assert texts_of(second.dest) == second.texts[1:]


def test_the_first_part_of_a_turn_is_put_out_where_nobody_removes_parts(tmp_path: Path) -> None:
    """The last part of the turn before is still there."""
    second = after_another(tmp_path, "kept")
    second.interrupted(1, put=False)
    second.publish()
    assert texts_of(second.dest)[3:] == second.texts


def test_the_first_part_after_a_fenced_turn_is_asked_for(tmp_path: Path) -> None:
    """Its parts are gone, so somebody removes parts, and this one may have been read."""
    second = after_another(tmp_path, "fenced")
    second.interrupted(1, put=True)
    second.freed(1)
    with pytest.raises(DeliveryError, match="may have been delivered and removed"):
        second.publish()


def test_before_the_first_part_of_all_nothing_is_asked(tmp_path: Path) -> None:
    """Nothing tells whether it was read; a run killed there must not need anyone to go on."""
    one = case(tmp_path, parts=1)
    one.interrupted(1, put=False)
    assert len(one.publish()) == 1


def test_the_first_turn_of_an_adopted_destination_is_gone_on_with(tmp_path: Path) -> None:
    """Turn 8 follows the keys of turn 7, of which the state knows nothing."""
    dest, state = local_store(tmp_path / "dest"), local_store(tmp_path / "state")
    old = "2026-01-01/20260101T000000Z-00000007/p/00000007-000001.cef.gz"
    dest.create(old, compressed(b"CEF:0|old\n", "gzip"), TEXT, {})
    one = case(tmp_path, (dest, state))
    assert one.turn.number == 8
    one.interrupted(1, put=False)
    one.publish()
    assert texts_of(dest)[1:] == one.texts


# Readers that keep parts: note and part are under way at once, and a run may die between any two.


def die(
    patch: pytest.MonkeyPatch, one: Case, made: int, first: str, readers: Readers = "keep"
) -> None:
    """Let a run be killed after so many creations; note or part of each number comes first."""
    create, lock, begun = LocalStore.create, threading.Lock(), turns.intended(one.state, one.turn)
    if readers == "delete":
        first = "note"
    over = [threading.Event() for _ in range(len(one.parts) + 1)]

    def ordered(store: LocalStore, key: str, *rest: Any, **more: Any) -> bool:  # noqa: ANN401 - passed on
        nonlocal made
        kind = "note" if key.startswith("progress/") else "part"
        number = int(re.findall(r"\d{6}(?=$|\.cef)", key)[0])
        if kind != first and number > begun:
            assert over[number].wait(10)
        try:
            with lock:
                if not made:
                    raise KilledError
                made -= 1
                return create(store, key, *rest, **more)
        finally:
            if kind == first:
                over[number].set()

    patch.setattr(LocalStore, "create", ordered)


def killed(one: Case, made: int, first: str, readers: Readers = "keep") -> None:
    """Put parts out as a run does that is killed after so many creations."""
    with pytest.MonkeyPatch.context() as patch:
        die(patch, one, made, first, readers)
        with pytest.raises(KilledError):
            one.publish(readers=readers)


AT_ONCE = pytest.mark.parametrize("first", ["note", "part"])


def test_where_readers_keep_parts_each_is_noted_as_it_is_put_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both at once: neither waits for the other, and no part begins before both are there."""
    one = case(tmp_path)
    create, together, ended = LocalStore.create, threading.Barrier(2), list[str]()

    def met(store: LocalStore, key: str, *rest: Any, **more: Any) -> bool:  # noqa: ANN401 - passed on
        before = len(ended)
        together.wait(10)
        assert before % 2 == 0
        created = create(store, key, *rest, **more)
        ended.append(key)
        return created

    monkeypatch.setattr(LocalStore, "create", met)
    one.publish(readers="keep")
    monkeypatch.undo()
    keys = [{f"progress/00000001/{n:06d}", one.key(n)} for n in (1, 2, 3)]
    assert [set(ended[n : n + 2]) for n in (0, 2, 4)] == keys
    assert texts_of(one.dest) == one.texts


@AT_ONCE
@pytest.mark.parametrize("made", range(6))
@pytest.mark.parametrize("then", READERS)
@pytest.mark.parametrize("alone", [False, True])
def test_a_run_whose_readers_keep_parts_is_gone_on_with(
    tmp_path: Path, made: int, first: str, then: Readers, *, alone: bool
) -> None:
    """By one of its kind or of the other, wherever it was killed; also in a later turn."""
    one = case(tmp_path) if alone else after_another(tmp_path, "kept")
    killed(one, made, first)
    published = one.publish(readers=then)
    assert texts_of(one.dest)[-3:] == one.texts
    assert len(one.listed()) == (3 if alone else 6)
    assert all(part.stored_sha256 for part in published)
    assert turns.intended(one.state, one.turn) == 3


@pytest.mark.parametrize("made", range(6))
def test_a_run_whose_readers_delete_parts_is_gone_on_with_where_they_keep_them(
    tmp_path: Path, made: int
) -> None:
    """The setting was changed after a kill."""
    one = case(tmp_path)
    killed(one, made, "note", "delete")
    published = one.publish(readers="keep")
    assert texts_of(one.dest) == one.texts
    assert all(part.stored_sha256 for part in published)


@AT_ONCE
@pytest.mark.parametrize("made", range(6))
@pytest.mark.parametrize("assume", [None, "lost"])
def test_a_turn_whose_readers_keep_parts_is_closed_after_its_last_part(
    tmp_path: Path, made: int, first: str, assume: Assume | None
) -> None:
    """A part may be out that was not noted, or noted and not out: its key decides, and counts."""
    one = case(tmp_path)
    killed(one, made, first)
    out = len(one.listed())
    assert out == (made // 2 if first == "note" else (made + 1) // 2)
    assert [one.fence(assume) for _ in range(2)] == [out] * 2
    for readers in READERS if out < 3 else []:
        with pytest.raises(FencedError):
            one.publish(readers=readers)
    bodies = [one.dest.read(key) for key in one.listed()]
    assert [publish.is_fence(body) for body in bodies] == [False] * out + [True] * (out < 3)
    assert lines_of_bodies(bodies) == b"".join(one.texts[:out])


@AT_ONCE
@pytest.mark.parametrize("point", ["progress/", ".cef", "fenced/", ".closed"])
@pytest.mark.parametrize("done", [False, True])
def test_closing_such_a_turn_may_be_killed_as_well(
    tmp_path: Path, first: str, point: str, *, done: bool
) -> None:
    """Whatever of it was done, the next one comes to what the first would have."""
    one = case(tmp_path, parts=5)
    killed(one, 3, first)
    out = len(one.listed())
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, point, done=done)
        with pytest.raises(KilledError):
            one.fence("lost")
    for readers in READERS:
        with contextlib.suppress(FencedError):
            publish.publish(one.plan, one.parts[:out], one.turn, one.places, readers=readers)
    assert one.fence() == out
    assert [text for text in texts_of(one.dest) if text] == one.texts[:out]


def test_kills_again_and_again_lose_and_double_nothing(tmp_path: Path) -> None:
    """Of runs of both kinds in turn, each after some creations; in the end one is not killed."""
    draw = random.Random(11)
    for number in range(20):
        one = case(tmp_path / str(number), parts=6)
        for _ in range(draw.randrange(1, 6)):
            readers = draw.choice(READERS)
            with pytest.MonkeyPatch.context() as patch, contextlib.suppress(KilledError):
                die(patch, one, draw.randrange(5), draw.choice(["note", "part"]), readers)
                one.publish(readers=readers)
        closed = draw.random() < 0.5
        out = one.fence(draw.choice([None, "lost"])) if closed else 6
        if not closed:
            one.publish(readers=draw.choice(READERS))
        assert [text for text in texts_of(one.dest) if text] == one.texts[:out]


def test_a_part_that_fails_is_told_after_its_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of the run is under way any more when its error is told."""
    one, create = case(tmp_path), LocalStore.create
    one.dest.create(one.key(2), b"CEF:0|other\n", TEXT, {})

    def slow(store: LocalStore, key: str, *rest: Any, **more: Any) -> bool:  # noqa: ANN401 - passed on
        time.sleep(0.1 if key.startswith("progress/") else 0)
        return create(store, key, *rest, **more)

    monkeypatch.setattr(LocalStore, "create", slow)
    with pytest.raises(DeliveryError, match="its text is not the part's"):
        one.publish(readers="keep")
    assert turns.intended(one.state, one.turn) == 2
    assert one.listed() == [one.key(1), one.key(2)]


@pytest.mark.parametrize("both", [False, True])
def test_a_note_that_fails_is_told_after_its_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, both: bool
) -> None:
    """Of two that fail the part is told; either way the next run goes on."""
    one, create = case(tmp_path), LocalStore.create

    def failing(store: LocalStore, key: str, *rest: Any, **more: Any) -> bool:  # noqa: ANN401 - passed on
        if key.endswith("progress/00000001/000002"):
            raise TryAgainError("no note", hint="")
        if key == one.key(2):
            time.sleep(0.05)
            if both:
                raise TryAgainError("no part", hint="")
        return create(store, key, *rest, **more)

    with monkeypatch.context() as patch:
        patch.setattr(LocalStore, "create", failing)
        with pytest.raises(TryAgainError, match="no part" if both else "no note"):
            one.publish(readers="keep")
    assert texts_of(one.dest) == one.texts[: 1 if both else 2]
    assert turns.intended(one.state, one.turn) == 1
    one.publish(readers="keep")
    assert texts_of(one.dest) == one.texts


def test_where_readers_keep_parts_nothing_is_asked(tmp_path: Path) -> None:
    """Who removes them all the same gets them twice after a kill, as the README says."""
    one = after_another(tmp_path, "removed")
    one.interrupted(2, put=True)
    one.freed(1, 2)
    published = one.publish(readers="keep")
    assert texts_of(one.dest) == one.texts
    assert all(part.stored_sha256 for part in published)


# Fences.


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("out", [0, 1, 2, 3])
def test_a_turn_is_closed_after_its_last_part(
    either: Callable[..., Case], out: int, compression: Compression
) -> None:
    """Its next key is taken by a part of no events; what is out is said, and stands."""
    one = either(compression=compression)
    publish.publish(one.plan, one.parts[:out], one.turn, one.places)
    assert one.fence() == out
    assert not turns.is_open(one.state, one.turn)
    assert plans.fenced(one.state, "a" * 32, 1) == {
        "turn": 1,
        "stamp": one.turn.stamp,
        "published": out,
    }
    bodies = [one.dest.read(key) for key in one.listed()]
    assert [publish.is_fence(body) for body in bodies] == [False] * out + [True] * (out < 3)
    assert lines_of_bodies(bodies) == b"".join(one.texts[:out])


def lines_of_bodies(bodies: list[bytes]) -> bytes:
    return b"".join(map(text_of, bodies))


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("out", [0, 1, 2])
def test_a_holder_that_comes_back_stops(
    either: Callable[..., Case], out: int, compression: Compression
) -> None:
    """It meets the part of no events, and puts nothing out behind it."""
    one = either(compression=compression)
    publish.publish(one.plan, one.parts[:out], one.turn, one.places)
    one.fence()
    before = one.listed()
    for _ in range(2):
        with pytest.raises(FencedError, match=r"turn 1 .* was closed by another run") as caught:
            one.publish()
    assert caught.value.exit_code == 75
    assert one.listed() == before


@pytest.mark.parametrize("out", [0, 1, 3])
def test_closing_a_turn_again_comes_to_the_same(either: Callable[..., Case], out: int) -> None:
    """By the same run or another one, now or later."""
    one = either()
    publish.publish(one.plan, one.parts[:out], one.turn, one.places)
    assert [one.fence() for _ in range(3)] == [out] * 3
    assert len(one.listed()) == out + (out < 3)


@pytest.mark.parametrize("put", [False, True])
def test_a_part_under_way_is_out_or_is_not(tmp_path: Path, *, put: bool) -> None:
    """A run was killed as it put it out: its key decides."""
    one = case(tmp_path)
    one.interrupted(2, put=put)
    assert one.fence() == 1 + put
    assert lines_of_bodies([one.dest.read(k) for k in one.listed()]) == b"".join(
        one.texts[: 1 + put]
    )


@pytest.mark.parametrize("point", [".cef", "fenced/", ".closed"])
@pytest.mark.parametrize("done", [False, True])
def test_closing_that_was_killed_is_finished(tmp_path: Path, point: str, *, done: bool) -> None:
    """Whatever of it was done, the next one comes to what the first would have."""
    one = case(tmp_path)
    publish.publish(one.plan, one.parts[:1], one.turn, one.places)
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, point, done=done)
        with pytest.raises(KilledError):
            one.fence()
    assert one.fence() == 1
    assert not turns.is_open(one.state, one.turn)
    assert len(one.listed()) == 2


def test_two_that_close_a_turn_agree(tmp_path: Path) -> None:
    """However they meet, both say the same."""
    for number in range(20):
        one = case(tmp_path / str(number))
        publish.publish(one.plan, one.parts[: number % 4], one.turn, one.places)
        ready = threading.Barrier(4)

        def fence(_: int, one: Case = one, ready: threading.Barrier = ready) -> int:
            ready.wait()
            return one.fence()

        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(fence, range(4))) == [number % 4] * 4


@pytest.mark.parametrize("out", [0, 1, 2])
def test_who_closes_a_turn_as_another_does_ends_at_the_same_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: int
) -> None:
    """Between its look at the next key and at the progress, another closes the turn."""
    one = case(tmp_path)
    publish.publish(one.plan, one.parts[:out], one.turn, one.places)
    exists, awaited = LocalStore.exists, [one.key(out + 1)]

    def meanwhile(store: LocalStore, key: str) -> bool:
        found = exists(store, key)
        if key in awaited:
            awaited.clear()
            assert one.fence() == out
        return found

    monkeypatch.setattr(LocalStore, "exists", meanwhile)
    assert one.fence() == out
    assert not awaited
    assert len(one.listed()) == out + 1


@pytest.mark.parametrize("look", ["list", "exists"])
@pytest.mark.parametrize("nth", range(1, 4))
def test_two_who_close_a_turn_say_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, look: str, nth: int
) -> None:
    """Also where one does all of it between two looks of the other."""
    one = case(tmp_path, parts=6)
    looked = getattr(LocalStore, look)
    looks, said = itertools.count(1), list[int]()

    def meanwhile(store: LocalStore, *rest: Any) -> Any:  # noqa: ANN401 - passed on
        if next(looks) == nth:
            said.append(one.fence())
        return looked(store, *rest)

    monkeypatch.setattr(LocalStore, look, meanwhile)
    said.append(one.fence())
    assert said in ([0, 0], [0])  # it has fewer looks than that
    assert len(one.listed()) == 1


@pytest.mark.parametrize("readers", READERS)
@pytest.mark.parametrize("fencers", [1, 2])
def test_a_holder_and_those_who_close_its_turn_agree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fencers: int, readers: Readers
) -> None:
    """At whatever moment: what the fence says is out is exactly what a reader gets."""
    create = LocalStore.create
    draw = random.Random(fencers)

    def slowed(store: LocalStore, key: str, body: bytes | Path, *rest: Any, **more: Any) -> bool:  # noqa: ANN401 - passed on
        time.sleep(draw.random() * (0.004 if isinstance(body, bytes) else 0.012))
        return create(store, key, body, *rest, **more)

    monkeypatch.setattr(LocalStore, "create", slowed)
    outcomes = set()
    for number in range(40):
        one = case(tmp_path / str(number), parts=6)
        ready = threading.Barrier(1 + fencers)

        def hold(one: Case = one, ready: threading.Barrier = ready) -> int:
            ready.wait()
            try:
                return len(one.publish(readers=readers))
            except FencedError:
                return -1

        def fence(delay: float, one: Case = one, ready: threading.Barrier = ready) -> int:
            ready.wait()
            time.sleep(delay)
            return one.fence()

        with ThreadPoolExecutor(3) as pool:
            holder = pool.submit(hold)
            closers = [pool.submit(fence, draw.random() * 0.04) for _ in range(fencers)]
            said = {future.result() for future in closers}
        assert len(said) == 1
        (out,) = said
        got = [text for text in texts_of(one.dest) if text]
        assert got == one.texts[:out]
        assert holder.result() == (6 if out == 6 else -1)
        outcomes.add(out)
    assert len(outcomes) > 2  # they met at several moments


@pytest.mark.parametrize(("assume", "out"), [("delivered", 2), ("lost", 1)])
def test_closing_asks_for_a_part_that_may_have_been_removed(
    tmp_path: Path, assume: Assume, out: int
) -> None:
    """As going on does: the rest would hold it, or miss it."""
    one = case(tmp_path)
    one.interrupted(2, put=assume == "delivered")
    one.freed(*range(1, out + 1))
    with pytest.raises(DeliveryError, match="may have been delivered and removed"):
        one.fence()
    assert turns.is_open(one.state, one.turn)
    assert one.fence(assume) == out
    assert [publish.is_fence(one.dest.read(key)) for key in one.listed()] == [True]


def test_a_damaged_object_does_not_end_in_a_traceback(tmp_path: Path) -> None:
    """What is no part of ours has no events of ours; an error of ours tells, or it is passed."""
    for number, body in enumerate((b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\x1f\x8bxxxxxxxx")):
        one = case(tmp_path / str(number))
        one.dest.create(one.key(1), body, TEXT, {})
        try:
            one.fence()
        except CeflineError as err:
            assert one.key(1) in str(err)  # noqa: PT017 - either is right


# What is there.


def test_what_earlier_runs_put_out_is_read_back(either: Callable[..., Case]) -> None:
    """With sizes and digests of the objects; what is gone has neither."""
    one = either()
    published = one.publish()
    entries = publish.read_back(one.plan, one.turn, 2, one.dest)
    assert entries == [part.entry() for part in published[:2]]


def test_what_is_gone_is_read_back_by_its_plan(tmp_path: Path) -> None:
    """Its text is known, its bytes are not."""
    one = case(tmp_path)
    one.publish()
    one.freed(1)
    entries = publish.read_back(one.plan, one.turn, 2, one.dest)
    assert [entry["stored_bytes"] > 0 for entry in entries] == [False, True]
    assert [entry["events"] for entry in entries] == [2, 2]


def test_reading_back_finds_what_is_not_ours(either: Callable[..., Case]) -> None:
    """A manifest never vouches for the text of another."""
    one = either()
    one.dest.create(one.key(1), gzip.compress(b"CEF:0|other\n"), TEXT, {})
    with pytest.raises(DeliveryError, match="its text is not the part's"):
        publish.read_back(one.plan, one.turn, 1, one.dest)


def test_a_listing_is_compared_with_the_parts(either: Callable[..., Case]) -> None:
    """Right after publishing nothing is missing, and there is nothing else."""
    one = either()
    published = one.publish()
    assert publish.check_listing(one.plan, one.turn, published, one.dest) == []
    larger = [dataclasses.replace(published[0], stored_bytes=1), *published[1:]]
    with pytest.raises(DeliveryError, match="has another size than its part"):
        publish.check_listing(one.plan, one.turn, larger, one.dest)
    with pytest.raises(DeliveryError, match="is no part of its turn") as caught:
        publish.check_listing(one.plan, one.turn, published[:2], one.dest)
    assert one.key(3) in str(caught.value)


def test_a_listing_tells_what_a_reader_has_removed(tmp_path: Path) -> None:
    """That is no error; other turns are not looked at."""
    one = case(tmp_path)
    published = one.publish()
    one.freed(2)
    one.dest.create("2020-01-01/other", b"x", TEXT, {})
    assert publish.check_listing(one.plan, one.turn, published, one.dest) == [one.key(2)]


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize(
    "text", [b"", b"a\n", b"CEF:0|x\n" * 50_000], ids=["empty", "short", "long"]
)
def test_the_text_of_an_object_comes_back(compression: Compression, text: bytes) -> None:
    """However it is compressed; only one without text is a fence."""
    body = compressed(text, compression)
    assert text_of(body) == text
    assert publish.is_fence(body) is (text == b"")


@pytest.mark.parametrize(
    "body",
    [
        compressed(b"a\n" * 99, "gzip")[:-1],
        compressed(b"a\n" * 99, "gzip") + b"\0",
        compressed(b"a\n", "gzip") * 2,
        b"\x1f\x8b",
        compressed(b"a\n" * 99, "zstd")[:-1],
        compressed(b"a\n" * 99, "zstd")[:6],
    ],
    ids=["cut", "followed", "two members", "head", "zstd cut", "zstd head"],
)
def test_a_damaged_object_has_no_text(body: bytes) -> None:
    """What is cut off or followed by more is no part, though its text may seem whole."""
    with pytest.raises((zlib.error, pa.ArrowException, OSError)):
        text_of(body)


def test_keys_rise_over_parts_turns_and_partitions(tmp_path: Path) -> None:
    """What a reader that keeps the last key relies on."""
    dest, state = local_store(tmp_path / "dest"), local_store(tmp_path / "state")
    keys = []
    for number, name in enumerate("abcd"):
        one = case(tmp_path / name, (dest, state), parts=number + 1, name=name)
        keys += [part.key for part in one.publish()]
        turns.close(state, one.turn, number + 1)
    assert all(a < b for a, b in itertools.pairwise(keys))
    assert len(lines_of(dest)) == 2 * len(keys)


def test_a_fence_that_a_reader_has_removed_still_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state knows that the turn is closed; what is left went out under another one."""
    one = case(tmp_path)
    create = LocalStore.create

    def stalled(store: LocalStore, key: str, *rest: Any, **more: Any) -> bool:  # noqa: ANN401 - passed on
        if key.endswith("progress/00000001/000002"):
            monkeypatch.setattr(LocalStore, "create", create)
            assert one.fence() == 1
            one.freed(1, 2)
        return create(store, key, *rest, **more)

    monkeypatch.setattr(LocalStore, "create", stalled)
    with pytest.raises(FencedError):
        one.publish()
    assert one.listed() == []
