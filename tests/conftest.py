"""What all tests share: UTC, an environment of their own, the real corpora, and an S3 server."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

from tests import commands, seaweed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parent.parent
OURS = ("CEFLINE_DATA", "CEFLINE_SOAK", "CEFLINE_STORES")

for _name in [
    name for name in os.environ if name.startswith(("AWS_", "CEFLINE_", "FSSPEC_", "OTEL_"))
]:
    if _name not in OURS:
        del os.environ[_name]
os.environ |= {
    "TZ": "UTC",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",  # no look-up of credentials on the network
}
time.tzset()

hypothesis.settings.register_profile("quick", deadline=None)  # machines are busy at times
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, max_examples=50)
hypothesis.settings.register_profile("soak", deadline=None, max_examples=5000)
_SOAK, _CI = (os.environ.get(name) for name in ("CEFLINE_SOAK", "CI"))
hypothesis.settings.load_profile("soak" if _SOAK else "ci" if _CI else "quick")


@pytest.fixture(scope="session")
def data() -> Path:
    """Return the folder of the real corpora, or skip where they are not at hand."""
    folder = Path(os.environ.get("CEFLINE_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip("the real corpora are not here; CEFLINE_DATA names their folder")
    return folder


@pytest.fixture(scope="session")
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return the folder for temporary files of this process and those it starts.

    Its name is short, as names of sockets must be.
    """
    tmp_path_factory.getbasetemp()  # stays where pytest keeps it
    made = tempfile.TemporaryDirectory(prefix="cefline-")
    with made as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", folder)
        patch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


@pytest.fixture(autouse=True)
def staging_root(temporary: Path) -> Iterator[Path]:
    """Return the staging folder of this test alone: none goes on with what another has staged."""
    root = temporary / f"cefline-{os.getuid()}"
    yield root
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[seaweed.Server]:
    """Serve S3 for the whole session; each worker of a parallel run has its own server."""
    with seaweed.serving(tmp_path_factory.mktemp("seaweed")) as server:
        yield server


@pytest.fixture
def s3(s3_server: seaweed.Server, request: pytest.FixtureRequest) -> seaweed.S3:
    """Return an empty corner of the server, with the rights of a writer."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower())[:60].strip("-")
    return seaweed.S3(
        endpoint=s3_server.endpoint,
        bucket=seaweed.BUCKET,
        prefix=f"{name}-{uuid.uuid4().hex[:8]}",
        key=seaweed.WRITER.key,
        secret=seaweed.WRITER.secret,
    )


@pytest.fixture(scope="session")
def soak() -> bool:
    """Whether long checks run in full: `make soak`."""
    return bool(os.environ.get("CEFLINE_SOAK"))


@pytest.fixture
def command(
    capsysbinary: pytest.CaptureFixture[bytes],
) -> Iterator[Callable[..., commands.Result]]:
    """Return what calls the command in this process."""
    yield from commands.calling(capsysbinary)
