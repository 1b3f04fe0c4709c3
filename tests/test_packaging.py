"""What is shipped: two typed packages, and files that name no registry and no folder of ours."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {"cefline": "pipelines", "cefline_schemas": "schemas"}

# In pieces, so that this file holds none of them.
REGISTRIES = [
    ".".join(pieces)
    for pieces in (
        ("py" + "pi", "org"),
        ("py" + "pi", "python", "org"),
        ("python" + "hosted", "org"),
        ("ana" + "conda", "org"),
        ("npm" + "js", "org"),
        ("npm" + "js", "com"),
        ("yarn" + "pkg", "com"),
        ("cra" + "tes", "io"),
        ("proxy", "go" + "lang", "org"),
        ("deb" + "ian", "org"),
        ("ubu" + "ntu", "com"),
        ("dock" + "er", "io"),
        ("dock" + "er", "com"),
        ("gh" + "cr", "io"),
        ("qu" + "ay", "io"),
        ("jit" + "pack", "io"),
        ("ma" + "ven", "org"),
        ("ruby" + "gems", "org"),
    )
]
INDEX_OPTION = re.compile(r"(?:index-url|index_url|find-links|find_links|\[\[tool\.uv\.index)")
OURS_ANYWHERE = re.compile(r"(?<![\w.*~-])/(?:wo" + r"rk|bui" + r"lds|workspace)/")
HOMES = re.compile(r"(?<![\w.*~-])/(?:ho" + r"me|ro" + r"ot|Us" + r"ers)/")
LOCKS_WITH_ADDRESSES = {"uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock", "pylock.toml"}


def ours() -> list[Path]:
    """List the files that are tracked, and those that would be."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, text=True)
    if run.returncode:
        pytest.skip(f"this is no clone: {run.stderr.strip()}")
    names = sorted(set(run.stdout.split("\0")) - {""})
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def texts() -> dict[str, str]:
    return {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8", errors="replace")
        for path in ours()
    }


def holding(pattern: re.Pattern[str], files: dict[str, str]) -> list[str]:
    """Name each place that a pattern matches, as file:line."""
    return [
        f"{name}:{text.count(chr(10), 0, match.start()) + 1}"
        for name, text in files.items()
        for match in pattern.finditer(text)
    ]


def any_of(words: set[str]) -> re.Pattern[str]:
    inner = "|".join(re.escape(word) for word in sorted(words))
    return re.compile(f"(?:{inner})(?![\\w-])", re.IGNORECASE) if words else re.compile("(?!)")


def indexes_of_this_machine() -> set[str]:
    """Return hosts and folders of the package indexes that pip uses here."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    run = subprocess.run(command, capture_output=True, check=True, text=True)
    settings = [line.split("=", 1)[1] for line in run.stdout.splitlines() if "-url" in line]
    parts = [urlsplit(url) for value in settings for url in value.strip("'\"").split()]
    found = {part.hostname or part.path.rstrip("/") for part in parts}
    return found - {"", "localhost", "127.0.0.1"}


def test_no_file_names_a_registry() -> None:
    assert holding(any_of(set(REGISTRIES) | indexes_of_this_machine()), texts()) == []


def test_no_setting_names_an_index() -> None:
    files = {name: text for name, text in texts().items() if not name.startswith("tests/")}
    allowed = re.compile(r"--no-emit-(?:index-url|find-links)")
    assert holding(INDEX_OPTION, {n: allowed.sub("", text) for n, text in files.items()}) == []


def test_no_lock_file_holds_addresses() -> None:
    assert LOCKS_WITH_ADDRESSES & {path.name for path in ours()} == set()


def test_no_file_holds_a_path_of_this_machine() -> None:
    here = {str(path) for path in (ROOT, Path.home(), Path(sys.prefix)) if len(path.parts) > 2}
    files = texts()
    assert holding(any_of(here), files) == []
    assert holding(OURS_ANYWHERE, files) == []


def test_no_file_but_evidence_holds_a_home_folder() -> None:
    evidence = ("tests/", "schemas/", "benchmarks/")  # timelines are full of home folders
    files = {
        name: text
        for name, text in texts().items()
        if not name.startswith(evidence) and not name.endswith(".md")
    }
    assert holding(HOMES, files) == []


@pytest.mark.parametrize(
    "line",
    [
        "--extra-index" + "-url https://example/simple",
        "https://files.python" + "hosted.org/packages",
        "cd /wo" + "rk/main",
    ],
)
def test_checks_find_what_they_look_for(line: str) -> None:
    patterns = [any_of(set(REGISTRIES)), INDEX_OPTION, OURS_ANYWHERE]
    assert [place for pattern in patterns for place in holding(pattern, {"x": f"\n{line}"})] == [
        "x:2"
    ]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Build the wheel and return the names in it."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--no-index", "--no-deps", "--quiet"]
    command += ["--no-build-isolation", "--wheel-dir", str(folder), str(ROOT)]
    run = subprocess.run(command, capture_output=True, check=False, text=True)
    assert run.returncode == 0, run.stderr
    (built,) = folder.iterdir()
    with zipfile.ZipFile(built) as archive:
        return archive.namelist()


def test_wheel_holds_the_two_packages_and_nothing_else(wheel: list[str]) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "version"
    ]
    assert {name.split("/")[0] for name in wheel} == {*PACKAGES, f"cefline-{version}.dist-info"}


def test_wheel_holds_every_module_and_template(wheel: list[str]) -> None:
    files = {
        path.relative_to(ROOT / folder).as_posix()
        for package, folder in PACKAGES.items()
        for path in (ROOT / folder / package).rglob("*.*")
        if path.suffix in {".py", ".html", ".css"}
    }
    assert files - set(wheel) == set()


@pytest.mark.parametrize("package", PACKAGES)
def test_wheel_is_typed(wheel: list[str], package: str) -> None:
    assert f"{package}/py.typed" in wheel
