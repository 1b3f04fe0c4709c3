"""What the README shows is what the program does: tables, examples and commands."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import cefline
from cefline import cli, fieldtable
from cefline.render import Profile

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
SETTINGS = cefline.load_config({}, {}, None)


def blocks(language: str) -> list[str]:
    """Return the fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def between(name: str) -> str:
    """Return what stands between two markers."""
    _, text, _ = re.split(rf"<!-- /?{name} -->\n", README)
    return text


def cells(table: str) -> list[list[str]]:
    """Return the rows of a table without its head."""
    rows = [line.strip("|").split("|") for line in table.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def section(title: str) -> str:
    """Return the text under a heading."""
    return README.split(f"## {title}\n", 1)[1].split("\n#", 1)[0]


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be in a folder with the sample timeline where a clone has it, and the file with keys."""
    shutil.copytree(ROOT / "tests" / "data", tmp_path / "tests" / "data")
    (keys,) = (block for block in blocks("toml") if "[keys]" in block)
    (tmp_path / "siem.toml").write_text(keys, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_first_sentence_is_the_packages_description() -> None:
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'description = "{README.splitlines()[2]}"' in pyproject


def test_field_table_is_the_generated_one() -> None:
    assert between("fields") == fieldtable.markdown()


def test_table_of_the_dictionary_is_the_generated_one() -> None:
    assert between("dictionary") == fieldtable.markdown(Profile(name="dictionary"))


def test_names_of_dialects_are_the_generated_ones() -> None:
    assert between("dialects") == fieldtable.dialects()


def test_table_of_targets_is_the_generated_one() -> None:
    assert between("targets") == fieldtable.targets_markdown()


def test_settings_table_lists_every_setting() -> None:
    assert [row[0].strip("`") for row in cells(between("settings"))] == list(SETTINGS.origins)


def test_settings_table_names_every_flag() -> None:
    options = {option for param in cli.commands.commands["export"].params for option in param.opts}
    told = {row[1].strip("`") for row in cells(between("settings"))} - {""}
    of_settings = {f"--{name.replace('_', '-')}" for name in SETTINGS.origins}
    assert told == options & of_settings
    assert all(f"`{option}`" in README for option in options - of_settings if option[0] == "-")


def test_exit_codes_are_those_of_the_help() -> None:
    told = [row[:2] for row in cells(section("Exit codes"))]
    helped = re.findall(r"^  (\d[\d, ]*?) {2,}(.+)$", cli.commands.epilog or "", re.MULTILINE)
    assert told == [list(row) for row in helped]


@pytest.mark.parametrize("block", blocks("toml"))
def test_configuration_example_loads(block: str, tmp_path: Path) -> None:
    file = tmp_path / "cefline.toml"
    file.write_text(block, encoding="utf-8")
    assert str(file) in cefline.load_config({}, {}, file).origins.values()


@pytest.mark.parametrize("block", blocks("python"))
@pytest.mark.usefixtures("clone")
def test_library_example_runs(block: str) -> None:
    exec(compile(block, "README.md", "exec"), {})  # noqa: S102 - our own text


def commands(block: str) -> Iterator[tuple[str, str]]:
    """Yield each command of a console block, and what it prints there."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, printed = part.partition("\n")
        yield command, printed


@pytest.mark.parametrize("block", [b for b in blocks("console") if "$ cefline preview" in b])
def test_preview_prints_what_is_shown(block: str, clone: Path) -> None:
    path = f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"  # noqa: PTH120 - unresolved
    for command, printed in commands(block):
        run = subprocess.run(
            ["bash", "-c", command],
            cwd=clone,
            env={**os.environ, "PATH": path},
            capture_output=True,
            check=True,
        )
        assert run.stdout.decode() == printed


def test_export_prints_what_is_shown(clone: Path) -> None:
    shown = [pair for b in blocks("console") for pair in commands(b) if "cefline export" in pair[0]]
    assert shown
    for command, printed in shown:
        arguments = command.removeprefix("cefline export ").split()
        *sources, dest = (str(clone / argument) for argument in arguments)
        config = cefline.Config(sources=tuple(sources), dest=dest)
        told = "".join(f"{line}\n" for line in cefline.export(config).lines())
        assert timeless(told.replace(f"{clone}", "/srv/cefline")) == timeless(printed)


def timeless(text: str) -> str:
    """Return a summary without the seconds it took."""
    return re.sub(r"in \d+\.\d s$", "", text, flags=re.MULTILINE)


def test_policy_allows_no_more_than_is_called() -> None:
    (policy,) = [json.loads(b) for b in blocks("json") if "Statement" in b]
    actions = {a for s in policy["Statement"] for a in [s["Action"]] for a in listed(a)}
    assert actions == {"s3:GetObject", "s3:PutObject", "s3:ListBucket"}


def listed(action: str | list[str]) -> list[str]:
    return [action] if isinstance(action, str) else action


def test_every_link_leads_somewhere() -> None:
    titles = re.findall(r"^##+ (.+)$", README, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
    links = re.findall(r"\]\(([^)]+)\)", README)
    inside = {link[1:] for link in links if link.startswith("#")}
    files = {link for link in links if not link.startswith(("#", "https://"))}
    assert inside - anchors == set()
    assert {name for name in files if not (ROOT / name).exists()} == set()
