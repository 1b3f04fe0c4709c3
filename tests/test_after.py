"""What becomes of a source once it was delivered: a tag, another place, and both only once."""

from __future__ import annotations

import json
import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

from cefline import s3 as s3_module
from cefline.after import check
from cefline.config import Config
from cefline.errors import ConfigError, TryAgainError
from cefline.job import export
from cefline.status import abandon, status
from cefline.values import MaxRejects
from cefline.verify.run import verify
from tests.parts import KilledError, kill_at

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cefline.report import Report
    from tests.seaweed import S3

AFTER = import_module("cefline.after")
SHUTIL = import_module("shutil")


@pytest.fixture
def settled(tmp_path: Path) -> Callable[[str, bytes], Path]:
    """Return what writes a local source that has settled."""

    def write(name: str, content: bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (1_600_000_000, 1_600_000_000))
        return path

    return write


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Report]:
    """Return what exports sources to a folder."""

    def exported(*sources: object, **settings: Any) -> Report:  # noqa: ANN401 - as Config has them
        names = tuple(map(str, sources))
        return export(Config(sources=names, dest=str(tmp_path / "out"), threads=1, **settings))

    return exported


@pytest.fixture
def s3_env(s3: S3, monkeypatch: pytest.MonkeyPatch) -> S3:
    """Return the server's corner, with its credentials in the environment."""
    for name, value in s3.env.items():
        monkeypatch.setenv(name, value)
    return s3


def events(name: str, count: int = 3, **values: object) -> bytes:
    rows = ({"msg": f"{name}{n}", "evidence_id": 1, **values} for n in range(count))
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def outcomes(report: Report) -> list[str]:
    return [source.outcome for source in report.sources]


def notes(report: Report) -> str:
    return "\n".join(note for source in report.sources for note in source.notes)


def files(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def tags_of(s3: S3, name: str) -> dict[str, str]:
    """Return the tags of an object, as the client reads them."""
    key = f"{s3.prefix}/{name}"
    answer = s3.client.get_object_tagging(Bucket=s3.bucket, Key=key)
    return {tag["Key"]: tag["Value"] for tag in answer["TagSet"]}


def below(s3: S3, place: str) -> list[str]:
    """Return the keys below a place."""
    start = f"{s3.prefix}/{place}/"
    return [key.removeprefix(start) for key in s3.sizes(start)]


def failing_once(patch: pytest.MonkeyPatch, method: str) -> list[str]:
    """Let the first request of a kind fail; return the methods that were called."""
    made: list[str] = []
    call = s3_module.call

    def called(client: s3_module.Client, name: str, url: str, **arguments: Any) -> dict[str, Any]:  # noqa: ANN401 - passed on
        made.append(name)
        if name == method and made.count(name) == 1:
            raise TryAgainError("throttled")
        return call(client, name, url, **arguments)

    patch.setattr(s3_module, "call", called)
    return made


TAGGED = {"cefline": "delivered"}


# Tags.


def test_what_was_delivered_is_tagged(s3_env: S3, run: Callable[..., Report]) -> None:
    """And what was delivered before without it; what failed is not."""
    for name in ("a.jsonl", "b+c d.jsonl", "bad.jsonl"):
        s3_env.put(f"in/{name}", b"<html>" if name == "bad.jsonl" else events(name))
    run(f"{s3_env.url}/in/a.jsonl")
    assert tags_of(s3_env, "in/a.jsonl") == {}
    report = run(f"{s3_env.url}/in", after="tag")
    assert outcomes(report) == ["known", "delivered", "failed"]
    assert tags_of(s3_env, "in/a.jsonl") == tags_of(s3_env, "in/b+c d.jsonl") == TAGGED
    assert tags_of(s3_env, "in/bad.jsonl") == {}
    assert s3_env.get(f"{s3_env.prefix}/in/a.jsonl").body == events("a.jsonl")


def test_a_tag_is_set_once(
    s3_env: S3, run: Callable[..., Report], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Later runs remember it: cron must not ask for each source every five minutes."""
    s3_env.put("in/a.jsonl", events("a"))
    made = failing_once(monkeypatch, "nothing")
    for _ in range(3):
        assert run(f"{s3_env.url}/in", after="tag").exit_code == 0
    assert made.count("put_object_tagging") == 1


def test_a_tag_is_set_again_where_it_failed(
    s3_env: S3, run: Callable[..., Report], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The delivery is done all the same, the failure is told, and the next run does it."""
    s3_env.put("in/a.jsonl", events("a"))
    made = failing_once(monkeypatch, "put_object_tagging")
    report = run(f"{s3_env.url}/in", after="tag")
    assert (outcomes(report), report.exit_code) == (["delivered"], 0)
    assert "it was delivered, but not tagged" in notes(report)
    assert "throttled" in notes(report)
    assert tags_of(s3_env, "in/a.jsonl") == {}
    report = run(f"{s3_env.url}/in", after="tag")
    assert (outcomes(report), notes(report)) == (["known"], "")
    assert tags_of(s3_env, "in/a.jsonl") == TAGGED
    assert made.count("put_object_tagging") == 2


def test_a_new_version_is_tagged_anew(s3_env: S3, run: Callable[..., Report]) -> None:
    """What has replaced an object has none of its tags."""
    for count in (3, 4):
        s3_env.put("in/a.jsonl", events("a", count))
        assert tags_of(s3_env, "in/a.jsonl") == {}
        assert outcomes(run(f"{s3_env.url}/in", after="tag")) == ["delivered"]
        assert tags_of(s3_env, "in/a.jsonl") == TAGGED


def test_a_delivery_that_was_given_up_leaves_its_source_alone(
    s3_env: S3, run: Callable[..., Report], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not delivered, so neither a tag nor another place says so; now or later."""
    s3_env.put("in/a.jsonl", events("a"))
    with monkeypatch.context() as patch:
        kill_at(patch, "000001.cef", done=True)
        with pytest.raises(KilledError):
            run(f"{s3_env.url}/in")
    config = Config(dest=str(tmp_path / "out"))
    (delivery,) = [one.delivery for one in status(config)]
    abandon(config, delivery)
    for _ in range(2):
        assert outcomes(run(f"{s3_env.url}/in", after="tag")) == ["known"]
        assert tags_of(s3_env, "in/a.jsonl") == {}


def test_the_tags_of_others_stay(s3_env: S3, run: Callable[..., Report]) -> None:
    """Rules of retention and of access go by them."""
    s3_env.put("in/a.jsonl", events("a"))
    hold = {"TagSet": [{"Key": "legal-hold", "Value": "case-7"}]}
    key = f"{s3_env.prefix}/in/a.jsonl"
    s3_env.client.put_object_tagging(Bucket=s3_env.bucket, Key=key, Tagging=hold)
    run(f"{s3_env.url}/in", after="tag")
    assert tags_of(s3_env, "in/a.jsonl") == {**TAGGED, "legal-hold": "case-7"}


def test_a_local_file_can_t_be_tagged(
    settled: Callable[[str, bytes], Path], run: Callable[..., Report]
) -> None:
    """That is told, and what can be done instead; it was delivered all the same."""
    path = settled("in/a.jsonl", events("a"))
    for outcome in ("delivered", "known"):
        report = run(path.parent, after="tag")
        assert (outcomes(report), report.exit_code) == ([outcome], 0)
        assert "is a local file: it can't be tagged" in notes(report)
        assert "after = move" in notes(report)
        assert "can't be tagged" in "\n".join(report.lines())
    assert path.exists()


def test_a_dry_run_leaves_sources_alone(
    s3_env: S3, settled: Callable[[str, bytes], Path], run: Callable[..., Report], tmp_path: Path
) -> None:
    """Known ones as well."""
    path = settled("in/a.jsonl", events("a"))
    s3_env.put("in/b.jsonl", events("b"))
    run(path, f"{s3_env.url}/in")
    sources = (str(path), f"{s3_env.url}/in")
    for how in ({"after": "tag"}, {"after": "move", "after_to": f"{s3_env.url}/done"}):
        config = Config(sources=sources, dest=str(tmp_path / "out"), **how)  # type: ignore[arg-type]  # literals
        assert outcomes(export(config, dry_run=True)) == ["known", "known"]
    assert path.exists()
    assert tags_of(s3_env, "in/b.jsonl") == {}


# Another place.


@pytest.mark.parametrize("name", ["a.jsonl", "b+c d.jsonl", "é=%20&.jsonl", "x/y/z.jsonl"])
def test_an_object_is_moved(s3_env: S3, run: Callable[..., Report], name: str) -> None:
    """The same bytes are there under its name, and it is gone; the next run finds nothing."""
    s3_env.put(f"in/{name}", events("a"))
    how: dict[str, Any] = {"after": "move", "after_to": f"{s3_env.url}/done"}
    report = run(f"{s3_env.url}/in", **how)
    assert (outcomes(report), report.exit_code, notes(report)) == (["delivered"], 0, "")
    assert below(s3_env, "in") == []
    (moved,) = below(s3_env, "done")
    assert moved.endswith(f"-{name.rpartition('/')[2]}")
    assert s3_env.get(f"{s3_env.prefix}/done/{moved}").body == events("a")
    s3_env.put("in/b.jsonl", events("b"))
    assert outcomes(run(f"{s3_env.url}/in", **how)) == ["delivered"]
    assert len(below(s3_env, "done")) == 2


@pytest.mark.parametrize("fails", ["", "upload_part_copy", "complete_multipart_upload"])
def test_an_object_too_large_for_one_copy_is_moved(
    s3_env: S3, run: Callable[..., Report], monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    """CopyObject ends at 5 GiB: it is copied in parts, and no upload stays open."""
    monkeypatch.setattr(AFTER, "_COPIED_AT_ONCE", 12 << 20)
    monkeypatch.setattr(AFTER, "_COPIED_PART", 5 << 20)
    body = b"".join(b'{"msg": "%d %s"}\n' % (n, b"x" * (1 << 20)) for n in range(12))
    s3_env.put("in/a.jsonl", body)
    how: dict[str, Any] = {"after": "move", "after_to": f"{s3_env.url}/done"}
    if fails:
        with monkeypatch.context() as patch:
            failing_once(patch, fails)
            report = run(f"{s3_env.url}/in", **how)
        assert "it was delivered, but not moved" in notes(report)
        assert (below(s3_env, "in"), below(s3_env, "done")) == (["a.jsonl"], [])
        uploads = s3_env.client.list_multipart_uploads(Bucket=s3_env.bucket, Prefix=s3_env.prefix)
        assert "Uploads" not in uploads
    run(f"{s3_env.url}/in", **how)
    (moved,) = below(s3_env, "done")
    assert s3_env.get(f"{s3_env.prefix}/done/{moved}").body == body
    assert below(s3_env, "in") == []


def test_a_file_is_moved(
    settled: Callable[[str, bytes], Path], run: Callable[..., Report], tmp_path: Path
) -> None:
    """Into a folder that need not be there; it is verified from there."""
    path = settled("in/a.jsonl", events("a"))
    report = run(path.parent, after="move", after_to=str(tmp_path / "done/deep"))
    assert (outcomes(report), notes(report)) == (["delivered"], "")
    assert not path.exists()
    (name,) = files(tmp_path / "done/deep")
    moved = tmp_path / "done/deep" / name
    assert name.endswith("-a.jsonl")
    assert moved.read_bytes() == events("a")
    config = Config(dest=str(tmp_path / "out"))
    (found,) = verify(config, report.sources[0].delivery, str(moved))
    assert (found.compared, found.findings) == (3, [])


def test_a_file_of_an_odd_name_is_moved(
    settled: Callable[[str, bytes], Path], run: Callable[..., Report], tmp_path: Path
) -> None:
    """Of one that is no text, its escapes are the name."""
    settled("in/a\x1b[1m\n.jsonl", events("a", evidence_id=2))
    os.rename(  # noqa: PTH104 - a name of bytes
        settled("in/b.jsonl", events("b")), os.fsencode(tmp_path / "in") + b"/\xff.jsonl"
    )
    report = run(tmp_path / "in", after="move", after_to=str(tmp_path / "done"))
    assert (outcomes(report), notes(report)) == (["delivered"] * 2, "")
    assert files(tmp_path / "in") == []
    names = sorted(name.partition("-")[2] for name in files(tmp_path / "done"))
    assert names == ["\\udcff.jsonl", "a\\x1b[1m\\n.jsonl"]


def test_sources_of_one_name_don_t_meet(
    s3_env: S3, settled: Callable[[str, bytes], Path], run: Callable[..., Report], tmp_path: Path
) -> None:
    """They are of different folders; nor do two versions of one."""
    for n in range(3):
        settled(f"in/{n}/a.jsonl", events(f"{n}-"))
        s3_env.put(f"in/{n}/a.jsonl", events(f"{n}-on-s3-"))
    local = run(tmp_path / "in", after="move", after_to=str(tmp_path / "done"))
    there = run(f"{s3_env.url}/in", after="move", after_to=f"{s3_env.url}/done")
    assert outcomes(local) == outcomes(there) == ["delivered"] * 3
    settled("in/0/a.jsonl", events("later"))
    run(tmp_path / "in", after="move", after_to=str(tmp_path / "done"))
    bodies = {(tmp_path / "done" / name).read_bytes() for name in files(tmp_path / "done")}
    assert bodies == {*(events(f"{n}-") for n in range(3)), events("later")}
    moved = {s3_env.get(f"{s3_env.prefix}/done/{key}").body for key in below(s3_env, "done")}
    assert moved == {events(f"{n}-on-s3-") for n in range(3)}


@pytest.mark.parametrize("method", ["copy_object", "head_object", "delete_object"])
def test_an_object_is_moved_later_where_that_failed(
    s3_env: S3, run: Callable[..., Report], monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """At whatever step; it is there twice at worst until then, and never not at all."""
    s3_env.put("in/a.jsonl", events("a"))
    how: dict[str, Any] = {"after": "move", "after_to": f"{s3_env.url}/done"}
    failing_once(monkeypatch, method)
    report = run(f"{s3_env.url}/in", **how)
    assert (outcomes(report), report.exit_code) == (["delivered"], 0)
    assert "it was delivered, but not moved" in notes(report)
    assert below(s3_env, "in") == ["a.jsonl"]
    assert len(below(s3_env, "done")) == (method != "copy_object")
    report = run(f"{s3_env.url}/in", **how)
    assert (outcomes(report), notes(report)) == (["known"], "")
    assert below(s3_env, "in") == []
    (moved,) = below(s3_env, "done")
    assert s3_env.get(f"{s3_env.prefix}/done/{moved}").body == events("a")


def test_a_file_is_moved_later_where_that_failed(
    settled: Callable[[str, bytes], Path],
    run: Callable[..., Report],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """The disk was full for a while."""
    path = settled("in/a.jsonl", events("a"))
    how: dict[str, Any] = {"after": "move", "after_to": str(tmp_path / "done")}

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(SHUTIL, "move", full)
        report = run(path.parent, **how)
    assert (outcomes(report), report.exit_code) == (["delivered"], 0)
    assert "not moved" in notes(report)
    assert "disk is full" in notes(report)
    assert path.exists()
    assert outcomes(run(path.parent, **how)) == ["known"]
    assert not path.exists()
    assert len(files(tmp_path / "done")) == 1


@pytest.mark.parametrize("where", ["folder", "prefix"])
def test_a_place_that_was_emptied_is_nothing_to_do(
    s3_env: S3,
    settled: Callable[[str, bytes], Path],
    run: Callable[..., Report],
    tmp_path: Path,
    where: str,
) -> None:
    """Under cron each run finds an empty place once all is moved: no error, unlike a wrong name."""
    s3_env.put("in/a.jsonl", events("a"))
    place = f"{s3_env.url}/in/" if where == "prefix" else settled("in/a.jsonl", events("a")).parent
    to = f"{s3_env.url}/done" if where == "prefix" else str(tmp_path / "done")
    codes = [run(place, after="move", after_to=to).exit_code for _ in range(2)]
    assert codes == [0, 0]
    assert run(place).exit_code == 1
    assert run(f"{place}missing", after="move", after_to=to).exit_code == 1


def test_an_object_that_was_replaced_stays(
    s3_env: S3, run: Callable[..., Report], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it was delivered: the new one has yet to be."""
    s3_env.put("in/a.jsonl", events("a"))
    how: dict[str, Any] = {"after": "move", "after_to": f"{s3_env.url}/done"}
    apply = AFTER.apply

    def replaced(*arguments: object) -> None:
        s3_env.put("in/a.jsonl", events("b"))
        apply(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(AFTER, "apply", replaced)
        report = run(f"{s3_env.url}/in", **how)
    assert outcomes(report) == ["delivered"]
    assert below(s3_env, "in") == ["a.jsonl"]
    assert below(s3_env, "done") == []
    assert outcomes(run(f"{s3_env.url}/in", **how)) == ["delivered"]
    assert below(s3_env, "in") == []


def test_a_file_that_was_replaced_stays(
    settled: Callable[[str, bytes], Path],
    run: Callable[..., Report],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Moved away, its events would never be delivered."""
    path = settled("in/a.jsonl", events("a"))
    how: dict[str, Any] = {"after": "move", "after_to": str(tmp_path / "done")}
    apply = AFTER.apply

    def replaced(*arguments: object) -> None:
        settled("in/a.jsonl", events("b", 4))
        apply(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(AFTER, "apply", replaced)
        run(path.parent, **how)
    assert path.exists()
    assert outcomes(run(path.parent, **how)) == ["delivered"]
    assert not path.exists()


def test_what_was_not_delivered_stays_where_it_is(
    s3_env: S3, settled: Callable[[str, bytes], Path], run: Callable[..., Report], tmp_path: Path
) -> None:
    """What failed, now or before, and what is left for the next run."""
    for n, content in enumerate((b"<html>", b"{}\n" * 20, events("good"))):
        settled(f"in/{n}.jsonl", content)
        s3_env.put(f"in/{n}.jsonl", content)
    os.utime(settled("in/3.jsonl", events("fresh")))
    for _ in range(2):
        report = run(
            tmp_path / "in",
            after="move",
            after_to=str(tmp_path / "done"),
            max_rejects=MaxRejects(1, 0),
        )
        assert report.exit_code in {1, 3}
        assert files(tmp_path / "in") == ["0.jsonl", "1.jsonl", "3.jsonl"]
        run(
            f"{s3_env.url}/in",
            after="move",
            after_to=f"{s3_env.url}/done",
            max_rejects=MaxRejects(1, 0),
            redeliver="on-s3",
        )
        assert below(s3_env, "in") == ["0.jsonl", "1.jsonl"]
    assert len(files(tmp_path / "done")) == len(below(s3_env, "done")) == 1


def test_the_same_bytes_are_moved_as_well(
    settled: Callable[[str, bytes], Path], run: Callable[..., Report], tmp_path: Path
) -> None:
    """Their events were delivered under another name."""
    settled("in/a.jsonl", events("a"))
    settled("in/copy.jsonl", events("a"))
    report = run(tmp_path / "in", after="move", after_to=str(tmp_path / "done"))
    assert outcomes(report) == ["delivered", "known"]
    assert files(tmp_path / "in") == []
    assert len(files(tmp_path / "done")) == 2


@pytest.mark.parametrize("place", ["file", "object"])
def test_a_place_of_another_kind_is_told(
    s3_env: S3,
    settled: Callable[[str, bytes], Path],
    run: Callable[..., Report],
    tmp_path: Path,
    place: str,
) -> None:
    """Files go to folders, objects to S3; nothing is made of the other's name."""
    if place == "file":
        source, target = str(settled("in/a.jsonl", events("a"))), f"{s3_env.url}/done"
    else:
        source, target = s3_env.put("in/a.jsonl", events("a")), str(tmp_path / "done")
    report = run(source, after="move", after_to=target)
    assert (outcomes(report), report.exit_code) == (["delivered"], 0)
    assert "can't be moved to" in notes(report)
    assert not (tmp_path / "done").exists()
    assert below(s3_env, "done") == []
    assert outcomes(run(source)) == ["known"]


# Never where sources are looked for.


@pytest.mark.parametrize(
    ("sources", "target"),
    [
        (["in"], "in"),
        (["in"], "in/done"),
        (["in/"], "in/done/deep"),
        (["in"], "other/../in/done"),
        (["other/../in"], "in/done"),
        (["elsewhere", "in"], "in/done"),
        (["in/*.jsonl"], "in/done"),
        (["in/**/*.jsonl"], "in/done"),
        (["s3://b/in"], "s3://b/in/done"),
        (["s3://b/in/"], "s3://b/in"),
        (["s3://b/in/*.jsonl"], "s3://b/in/done"),
        (["s3://b"], "s3://b/done"),
        (["s3://b/"], "s3://b/done"),
    ],
)
def test_sources_are_not_moved_where_they_are_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sources: list[str], target: str
) -> None:
    """Exit code 78, before anything is read."""
    monkeypatch.chdir(tmp_path)
    for after in (target, target if "://" in target else str(tmp_path / target)):
        config = Config(sources=tuple(sources), dest="out", after="move", after_to=after)
        with pytest.raises(ConfigError, match="lies below the source") as raised:
            export(config)
        assert raised.value.exit_code == 78
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("in?/*.jsonl", "in1"),
        ("in[12]/*.jsonl", "in1"),
        ("in*/*.jsonl", "in-done"),
        ("in/day*/*.jsonl", "in/days-done"),
        ("file://{here}/in", "in/done"),
        ("s3://b/in?/*.jsonl", "s3://b/in1"),
        ("s3://b/in*/*.jsonl", "s3://b/in-done"),
    ],
)
def test_sources_are_not_moved_where_a_glob_finds_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, source: str, target: str
) -> None:
    """Each run would find them under a new name, and move them again."""
    monkeypatch.chdir(tmp_path)
    sources = (source.replace("{here}", str(tmp_path)),)
    with pytest.raises(ConfigError):
        check(Config(sources=sources, dest="out", after="move", after_to=target))


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("in", "in-done"),
        ("in", "done/in"),
        ("in/a.jsonl", "in"),
        ("in/a.jsonl", "in/done"),
        ("in/x/*.jsonl", "in/done"),
        ("s3://b/in", "s3://b/in-done"),
        ("s3://b/in", "s3://c/in/done"),
        ("s3://b/in", "in/done"),
    ],
)
def test_sources_are_moved_beside_where_they_are_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, source: str, target: str
) -> None:
    """A name that begins likewise is another one."""
    monkeypatch.chdir(tmp_path)
    check(Config(sources=(source,), dest="out", after="move", after_to=target))


def test_moving_needs_a_place(run: Callable[..., Report], tmp_path: Path) -> None:
    """It is not guessed."""
    with pytest.raises(ConfigError, match="where to") as raised:
        run(tmp_path / "in", after="move")
    assert raised.value.exit_code == 78
    check(Config(sources=("in",), after_to="in/done"))
    check(Config(sources=("in",), after="tag", after_to="in/done"))
