"""The S3 server of the tests behaves as S3 does where deliveries depend on it."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError

from tests import seaweed

if TYPE_CHECKING:
    from tests.seaweed import S3


def create(s3: S3, key: str, *, bucket: str = "", body: bytes = b"x") -> None:
    s3.client.put_object(Bucket=bucket or s3.bucket, Key=key, Body=body, IfNoneMatch="*")


def refusal(s3: S3, key: str, *, bucket: str = "") -> tuple[int, str]:
    with pytest.raises(ClientError) as caught:
        create(s3, key, bucket=bucket)
    reply = caught.value.response
    return reply["ResponseMetadata"]["HTTPStatusCode"], reply["Error"]["Code"]


def test_create_only_put_is_taken_once(s3: S3) -> None:
    key = f"{s3.prefix}/part"
    create(s3, key, body=b"first")
    assert refusal(s3, key) == (412, "PreconditionFailed")
    assert s3.get(key).body == b"first"


def test_wrong_secret_is_refused(s3: S3) -> None:
    stranger = dataclasses.replace(s3, secret="wrong")
    assert refusal(stranger, f"{s3.prefix}/part") == (403, "SignatureDoesNotMatch")


def test_unknown_key_is_refused(s3: S3) -> None:
    stranger = dataclasses.replace(s3, key="nobody")
    assert refusal(stranger, f"{s3.prefix}/part") == (403, "InvalidAccessKeyId")


def test_reader_may_not_write(s3: S3) -> None:
    reader = dataclasses.replace(s3, key=seaweed.READER.key, secret=seaweed.READER.secret)
    assert refusal(reader, f"{s3.prefix}/part") == (403, "AccessDenied")


def test_missing_bucket_is_named(s3: S3) -> None:
    admin = dataclasses.replace(s3, key=seaweed.ADMIN.key, secret=seaweed.ADMIN.secret)
    assert refusal(admin, "part", bucket="missing") == (404, "NoSuchBucket")


def test_corner_is_empty_and_lists_what_is_put(s3: S3) -> None:
    assert s3.sizes() == {}
    assert s3.put("b/2", b"two") == f"{s3.url}/b/2"
    s3.put("a", b"")
    assert list(s3.sizes().items()) == [(f"{s3.prefix}/a", 0), (f"{s3.prefix}/b/2", 3)]


def test_metadata_and_type_are_kept(s3: S3) -> None:
    key = f"{s3.prefix}/part"
    s3.client.put_object(
        Bucket=s3.bucket,
        Key=key,
        Body=b"x",
        ContentType="application/x-gzip",
        Metadata={"turn": "1"},
    )
    assert s3.get(key) == seaweed.Stored(b"x", "application/x-gzip", "", {"turn": "1"})


@pytest.mark.slow
def test_objects_survive_a_kill(tmp_path: Path) -> None:
    first = seaweed.start(tmp_path)
    corner = seaweed.S3(first.endpoint, "cef", "kept", seaweed.WRITER.key, seaweed.WRITER.secret)
    corner.put("part", b"x")
    seaweed.kill(first)
    again = seaweed.start(tmp_path, first.ports)
    try:
        assert corner.get("kept/part").body == b"x"
    finally:
        seaweed.stop(again)


@pytest.mark.slow
def test_server_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    script = (
        "import os, pathlib, sys; from tests import seaweed\n"
        "print(seaweed.start(pathlib.Path(sys.argv[1])).process.pid, flush=True); os._exit(9)"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, tmp_path],
        check=False,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent.parent,
        env={**os.environ, "PYTHONPATH": "."},
    )
    assert run.returncode == 9, run.stderr
    deadline = time.monotonic() + 15
    while running(int(run.stdout)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not running(int(run.stdout))


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").split()[2] != "Z"
    except FileNotFoundError:
        return False
