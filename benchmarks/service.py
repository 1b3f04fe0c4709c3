"""The endpoint as a process of its own, what is run against it, and what its log says then."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from endpoint import Entry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

HERE = Path(__file__).resolve().parent
BUCKET = "bench"
DEST, STATE = f"s3://{BUCKET}/out", f"s3://{BUCKET}/state"


@contextmanager
def serving(
    log: Path, latency: float, rate: float | None = None, sources: Mapping[str, Path] | None = None
) -> Iterator[str]:
    """Serve an empty bucket, but for sources, and give its address.

    Args:
        log: where its log goes.
        latency: seconds to each answer.
        rate: MB/s of all sources together.
        sources: files by key.
    """
    command = [sys.executable, str(HERE / "endpoint.py"), str(log), "--latency", str(latency)]
    command += ["--rate", str(rate)] if rate else []
    for key, path in (sources or {}).items():
        command += ["--source", f"{key}={path}"]
    with subprocess.Popen(
        command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        yield child.stdout.readline().strip()


def run(command: Sequence[str], endpoint: str = "") -> str:
    """Run a command against an endpoint, and return what it says.

    Raises:
        SystemExit: it failed.
    """
    own = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "CEFLINE_"))}
    aws = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "NO_PROXY": "127.0.0.1",
    }
    done = subprocess.run(command, env={**own, **aws}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\nended with {done.returncode}:\n{done.stderr}")
    return done.stdout


def export(
    source: str, dest: str, state: str, part_size: str, endpoint: str = "", *options: str
) -> dict[str, Any]:
    """Deliver with cefline, in a process of its own, and return its report."""
    program = str(Path(sys.executable).parent / "cefline")
    how = ["--state", state, "--part-size", part_size, "--quiet", "--json", *options]
    return dict(json.loads(run([program, "export", source, dest, *how], endpoint)))


def entries(log: Path) -> list[Entry]:
    """Return an endpoint's log, in the order in which requests came in."""
    lines = log.read_text(encoding="utf-8").splitlines()
    return sorted((Entry(**json.loads(line)) for line in lines), key=lambda entry: entry.began)


def parts(log: Sequence[Entry]) -> list[Entry]:
    """Return the requests that put parts out.

    Raises:
        SystemExit: one was not carried out.
    """
    found = [entry for entry in log if entry.method == "PUT" and entry.key.startswith("out/")]
    if any(entry.status != 200 for entry in found):
        raise SystemExit("a part was refused or put twice")
    return found
