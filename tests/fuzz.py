"""Coverage-guided fuzzing of reading, rendering and parsing: `make fuzz`.

Each target runs in a process of its own, as libFuzzer ends the one that it runs in. What it finds
lands in a temporary folder, never in the tree; `python -m tests.fuzz --replay FILE TARGET` shows
a finding again.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CORPUS = ROOT / "tests" / "data" / "fuzz"
OURS = ["cefline", "cefline_schemas"]
SECONDS = 600
OPTIONS = [
    "-len_control=10",
    "-timeout=20",
    "-rss_limit_mb=2048",
    "-max_len=1024",
    "-print_final_stats=1",
]
_EXECUTED = re.compile(r"stat::number_of_executed_units:\s*(\d+)")
_TAIL = 40
_GRACE = 120

_JSON = [
    *'{}[],:" \t\r\n\\',
    *("null", "true", "false", "NaN", "Infinity", "-0", "1e400", "1.50", "0.1", "1E5", "[[[["),
    *("9223372036854775808", "18446744073709551616", "890430600", '"2026-01-12T10:15:00Z"'),
    *("\\ud800", "\\udc00", "\\ud83d\\ude00", "\\u0000", "\\u006dsg", "\\/", '\\"', "\\\\"),
    *("\ufeff", "\u2028", "\x85", "\x0b", "\x0c", "\x1c", "\x7f", "\U0001f600", "},{", "}\n{"),
    *('{"a":[1,{"b":null}]}', '{"url":"u","str_detected":"s"}', '"msg":"a","msg":[1],'),
]
_CEF = [
    "CEF:0|a|b|c|0|Name|1|",
    *("\\", "\\\\", "\\=", "\\n", "\\r", "\\|", "|", "=", " ", " key=", " msg=", " =", "= "),
    *("\n", "\r", "\x85", "\u2028", "\x0b", "\x0c", "\x1c", "\x00", "\x1b", "\u202e", "\u3000"),
    *("Timeline Event", "True", "False", "9223372036854775808", "\\u0007", "\U0001f600", '"'),
]


def tokens(target: str) -> list[str]:
    """Return what a target's inputs are made of."""
    from cefline_schemas.timeline import BY_NAME, CANONICAL

    if target in {"ndjson", "array"}:
        return [*_JSON, *(f'"{name}":' for name in CANONICAL)]
    return [*_CEF, *(f" {name}=" for name in BY_NAME)]


def inside(target: str, arguments: list[str]) -> None:
    """Fuzz one target in this process, until libFuzzer ends it."""
    import atheris

    with atheris.instrument_imports(include=OURS):
        from tests.invariants import CHECKS

    atheris.Setup([sys.argv[0], *arguments], CHECKS[target])
    atheris.Fuzz()


def start(target: str, arguments: list[str], seconds: float) -> subprocess.CompletedProcess[str]:
    """Run one target in a process of its own."""
    command = [sys.executable, "-m", "tests.fuzz", "--inside", target, *arguments]
    return subprocess.run(
        command,
        check=False,
        cwd=ROOT,
        env={**os.environ, "POLARS_MAX_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        timeout=seconds + _GRACE,
    )


def fuzz(target: str, seconds: int, seed: int, folder: Path) -> tuple[int, int]:
    """Fuzz one target and return the number of executions and of findings."""
    grown, findings, words = folder / "corpus", folder / "findings", folder / "words"
    for new in (grown, findings):
        new.mkdir(parents=True)
    words.write_text("".join(f"{_word(token)}\n" for token in tokens(target)), encoding="ascii")
    arguments = [*OPTIONS, f"-seed={seed}", f"-max_total_time={seconds}", f"-dict={words}"]
    arguments += [f"-artifact_prefix={findings}{os.sep}", str(grown), str(CORPUS / target)]
    run = start(target, arguments, seconds)
    executed = _EXECUTED.search(run.stdout)
    found = len(list(findings.iterdir()))
    if run.returncode or not executed:
        tail = "\n".join(run.stdout.splitlines()[-_TAIL:])
        sys.stdout.write(f"{tail}\n{target}: exit code {run.returncode}, see {findings}\n")
        found = max(found, 1)
    return int(executed[1]) if executed else 0, found


def _word(token: str) -> str:
    return '"' + "".join(f"\\x{byte:02x}" for byte in token.encode()) + '"'


def main(arguments: list[str]) -> int:
    """Fuzz some targets, or all, one after the other, and sum up."""
    if arguments[:1] == ["--inside"]:
        inside(arguments[1], arguments[2:])
    targets = sorted(path.name for path in CORPUS.iterdir())
    parser = argparse.ArgumentParser(prog="fuzz", description="Fuzz reading and parsing.")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(targets)}")
    parser.add_argument("--seconds", type=int, help="in total; FUZZ_SECONDS, or 600")
    parser.add_argument("--seed", type=int, default=1, help="of all targets; 1")
    parser.add_argument("--replay", metavar="FILE", help="run one input once")
    given = parser.parse_args(arguments)
    if unknown := set(given.targets) - set(targets):
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    chosen = given.targets or targets
    if given.replay:
        inside(chosen[0], [given.replay])
    seconds = given.seconds or int(os.environ.get("FUZZ_SECONDS") or SECONDS)
    share = max(seconds // len(chosen), 1)
    folder = Path(tempfile.mkdtemp(prefix="cefline-fuzz-"))
    executions = findings = 0
    for target in chosen:
        executed, found = fuzz(target, share, given.seed, folder / target)
        sys.stdout.write(f"fuzz {target}: {executed} executions, {found} findings\n")
        sys.stdout.flush()
        executions, findings = executions + executed, findings + found
    if not findings:
        shutil.rmtree(folder)
    sys.stdout.write(f"fuzz: {executions} executions, {findings} findings\n")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
