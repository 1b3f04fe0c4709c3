"""Sources: what names stand for, what identifies a file, and that it stays the one it was."""

import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from cefline.errors import CeflineError, SourceError, UsageError
from cefline.sources import Local, Source, check_unchanged, fetch, find


def unconnected() -> NoReturn:
    """Stand for the S3 client where none may be asked for."""
    message = "local sources need no S3"
    raise AssertionError(message)


def urls(*names: str | Path) -> list[str]:
    """Return what names stand for."""
    return [source.url for source in find(map(str, names), unconnected)]


def local(path: Path) -> Local:
    """Find a file and identify it."""
    [source] = find([str(path)], unconnected)
    return fetch(source, path.parent, unconnected)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with timelines, and with files that are none."""
    made = tmp_path / "exports"
    for name in (
        "b.parquet",
        "a.jsonl",
        "C.JSON.GZ",
        "sub/d.ndjson.zst",
        "sub/deep/e.pq",
        ".hidden.json",
        "_temporary.parquet",
        "sub/.git/f.json",
        "_delta_log/0.json",
        "notes.txt",
        "json",
        "x.json.bz2",
        "y.parquet.crc",
    ):
        path = made / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (made / "folder.json").mkdir()
    return made


def test_a_folder_stands_for_its_timelines(folder: Path) -> None:
    """Files named as timelines are found at any depth, in one order; hidden ones are left out."""
    names = ["C.JSON.GZ", "a.jsonl", "b.parquet", "sub/d.ndjson.zst", "sub/deep/e.pq"]
    assert urls(folder) == [str(folder / name) for name in names]


def test_hidden_parents_of_a_folder_do_not_matter(tmp_path: Path) -> None:
    """Only what is below the named folder can be hidden."""
    path = tmp_path / ".cache" / "_run" / "a.json"
    path.parent.mkdir(parents=True)
    path.touch()
    assert urls(path.parent) == [str(path)]


@pytest.mark.parametrize("name", ["notes.txt", ".hidden.json", "json", "_delta_log/0.json"])
def test_an_exact_name_is_taken_as_it_is(folder: Path, name: str) -> None:
    """Whoever names a file means it, whatever it is called."""
    assert urls(folder / name) == [str(folder / name)]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*.parquet", ["_temporary.parquet", "b.parquet"]),
        ("[ab].*", ["a.jsonl", "b.parquet"]),
        ("?.jsonl", ["a.jsonl"]),
        ("**/*.pq", ["sub/deep/e.pq"]),
        ("*.json", []),
        ("no-such-*", []),
    ],
)
def test_a_glob_stands_for_the_files_it_matches(
    folder: Path, pattern: str, names: list[str]
) -> None:
    """A glob gives files only, in order; one that matches nothing is nothing to do."""
    assert urls(folder / pattern) == [str(folder / name) for name in names]


def test_a_name_with_brackets_is_a_file_where_it_exists(tmp_path: Path) -> None:
    """A file may be called like a pattern."""
    path = tmp_path / "export [1]*.json"
    path.touch()
    assert urls(path) == [str(path)]


def test_each_source_comes_once(folder: Path) -> None:
    """A file that several names stand for is found once, at its first place."""
    first = folder / "b.parquet"
    found = urls(first, folder, folder / "*.parquet", f"file://{first}")
    assert found[0] == str(first)
    assert len(found) == len(set(found))


def test_names_keep_their_order(folder: Path) -> None:
    """Sources are taken in the order they were named."""
    names = [folder / "b.parquet", folder / "a.jsonl"]
    assert urls(*names) == [str(name) for name in names]


def test_relative_names_become_absolute(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is reported is a whole path, wherever the run was started."""
    monkeypatch.chdir(folder)
    assert urls("a.jsonl") == [str(folder / "a.jsonl")]


@pytest.mark.parametrize("name", ["absent.json", "absent/", "absent/a.json", "file:///absent/a"])
def test_a_missing_source_is_an_error(tmp_path: Path, name: str) -> None:
    """A name without a pattern must stand for something."""
    with pytest.raises(SourceError, match="there is no such file"):
        urls(name if name.startswith("file:") else tmp_path / name)


def test_a_folder_without_timelines_is_an_error(tmp_path: Path) -> None:
    """An empty folder is more likely a wrong one; the hint lists the suffixes."""
    (tmp_path / "a.txt").touch()
    with pytest.raises(SourceError, match=r"\.parquet, \.pq, \.json, \.jsonl, \.ndjson"):
        urls(tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "http://169.254.169.254/latest/meta-data",
        "https://example.com/a.json",
        "filecache::s3://bucket/a.json",
        "simplecache::http://169.254.169.254/",
        "zip://a.json::s3://bucket/a.zip",
        "memory://a",
        "ftp://example.com/a.json",
        "gs://bucket/a",
        "S3://bucket/a",
        "s3://bucket/a::file:///etc/passwd",
    ],
)
def test_other_schemes_and_chains_are_refused(name: str) -> None:
    """Nothing but local files and S3 is ever opened, and the refusal is a usage error."""
    with pytest.raises(UsageError, match="sources are local files or s3:// objects"):
        urls(name)


@pytest.mark.parametrize("name", ["git+https://example.com/a", "s3a-x://b/c", "//host/share", ""])
def test_odd_names_are_never_a_traceback(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is no scheme of ours is at most a local name that does not exist."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CeflineError):
        urls(name)


def test_identity_is_independent_of_name_and_place(tmp_path: Path) -> None:
    """The same bytes under another name, in another folder, later, are the same source."""
    one, other = tmp_path / "a.json", tmp_path / "sub" / "b.parquet"
    other.parent.mkdir()
    one.write_bytes(b"{}\n")
    other.write_bytes(b"{}\n")
    os.utime(other, (0, 0))
    assert local(one).sha256 == local(other).sha256


@pytest.mark.parametrize("content", [b"", b"a", b"ab", b"a" * 100])
def test_identity_is_the_digest_of_digests(
    tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SHA-256 over the digests of the chunks, so that an S3 source can be hashed in ranges."""
    monkeypatch.setattr(sys.modules["cefline.sources"], "DIGEST_CHUNK", 7)
    path = tmp_path / "a"
    path.write_bytes(content)
    chunks = [content[n : n + 7] for n in range(0, len(content), 7)]
    digests = b"".join(hashlib.sha256(chunk).digest() for chunk in chunks)
    assert local(path).sha256 == hashlib.sha256(digests).hexdigest()


def test_one_byte_makes_another_identity(tmp_path: Path) -> None:
    """Another content of the same length is another source."""
    one, other = tmp_path / "a", tmp_path / "b"
    one.write_bytes(b"{}\n ")
    other.write_bytes(b"{}\n\t")
    assert local(one).sha256 != local(other).sha256


def test_an_unchanged_source_passes(tmp_path: Path) -> None:
    """A file that is as it was found is let through."""
    path = tmp_path / "a.json"
    path.write_bytes(b"{}\n")
    check_unchanged(local(path))


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_bytes(b"{}\n{}\n"),
        lambda path: os.utime(path, ns=(0, path.stat().st_mtime_ns + 1)),
        lambda path: path.with_name("new").rename(path),
        lambda path: path.unlink(),
    ],
    ids=["grown", "touched", "replaced", "gone"],
)
def test_a_changed_source_is_an_error(tmp_path: Path, change: Callable[[Path], object]) -> None:
    """A file that grew, was touched, replaced or removed while it was read fails."""
    path = tmp_path / "a.json"
    path.write_bytes(b"{}\n")
    path.with_name("new").write_bytes(b"[]\n")
    found = local(path)
    change(path)
    with pytest.raises(SourceError, match="changed while it was read"):
        check_unchanged(found)


def test_a_source_that_is_gone_before_it_is_read_is_an_error(tmp_path: Path) -> None:
    """Between finding and reading a file may go; the message names it."""
    source = Source(str(tmp_path / "gone.json"), 1, "")
    with pytest.raises(SourceError, match=r"gone\.json can't be read: No such file"):
        fetch(source, tmp_path, unconnected)


@pytest.mark.parametrize(
    ("name", "scanned"), [("", True), ("*.jsonl", True), ("**/*.pq", True), ("a.jsonl", False)]
)
def test_files_that_were_found_are_told_from_those_that_were_named(
    folder: Path, name: str, *, scanned: bool
) -> None:
    """Whoever names a file knows that it is whole; one that is found may be being written."""
    found = find([str(folder / name)], unconnected)
    assert found
    assert {source.scanned for source in found} == {scanned}


@pytest.mark.parametrize("age", [0.0, 59.5, 3600.0, -10.0])
def test_a_file_has_the_age_of_its_last_change(tmp_path: Path, age: float) -> None:
    """In seconds; a clock that is behind makes it negative, which is young."""
    path = tmp_path / "a.jsonl"
    path.touch()
    os.utime(path, (1_600_000_000 - age,) * 2)
    [source] = find([str(path)], unconnected)
    assert source.age(1_600_000_000) == pytest.approx(age, abs=1e-6)


def test_a_source_that_was_found_and_read_is_unchanged(folder: Path) -> None:
    """How it was found makes no difference to what it is."""
    for source in find([str(folder)], unconnected):
        check_unchanged(fetch(source, folder, unconnected))
