"""The endpoint of the benchmarks does to cefline and boto3 what S3 does."""

from __future__ import annotations

import base64
import time
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError

from endpoint import unframed
from service import BUCKET, entries, serving
from tests import seaweed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from botocore.client import BaseClient

LATENCY = 0.05


@pytest.fixture
def client(tmp_path: Path) -> Iterator[BaseClient]:
    source = tmp_path / "source"
    source.write_bytes(b"0123456789")
    with serving(tmp_path / "log", LATENCY, sources={"in/a": source}) as endpoint:
        yield seaweed.client(endpoint, "key", "secret")


def status(raised: pytest.ExceptionInfo[ClientError]) -> int:
    return int(raised.value.response["ResponseMetadata"]["HTTPStatusCode"])


def test_an_object_is_created_once(client: BaseClient) -> None:
    client.put_object(Bucket=BUCKET, Key="state/a", Body=b"first", IfNoneMatch="*")
    with pytest.raises(ClientError) as raised:
        client.put_object(Bucket=BUCKET, Key="state/a", Body=b"second", IfNoneMatch="*")
    assert status(raised) == 412
    assert client.get_object(Bucket=BUCKET, Key="state/a")["Body"].read() == b"first"


def test_a_part_is_discarded_and_logged(client: BaseClient, tmp_path: Path) -> None:
    client.put_object(Bucket=BUCKET, Key="out/a", Body=b"text", Metadata={"cefline-turn": "1"})
    assert client.head_object(Bucket=BUCKET, Key="out/a")["ContentLength"] == 4
    put, head = entries(tmp_path / "log")
    assert (put.method, put.key, put.status, put.size) == ("PUT", "out/a", 200, 4)
    assert (put.about, head.method) == ({"cefline-turn": "1"}, "HEAD")
    assert put.ended - put.began >= LATENCY


def test_a_damaged_body_is_refused(client: BaseClient) -> None:
    digest = base64.b64encode(bytes(32)).decode()
    with pytest.raises(ClientError) as raised:
        client.put_object(Bucket=BUCKET, Key="out/a", Body=b"text", ChecksumSHA256=digest)
    assert status(raised) == 400


def test_a_range_of_a_source_is_of_one_version(client: BaseClient) -> None:
    etag = client.head_object(Bucket=BUCKET, Key="in/a")["ETag"]
    what = {"Bucket": BUCKET, "Key": "in/a", "Range": "bytes=2-4"}
    assert client.get_object(**what, IfMatch=etag)["Body"].read() == b"234"
    with pytest.raises(ClientError) as raised:
        client.get_object(**what, IfMatch='"other"')
    assert status(raised) == 412


def test_keys_are_listed_in_pages_and_folders(client: BaseClient) -> None:
    for key in ("state/a b", "state/c/1", "state/c/2", "state/d"):
        client.put_object(Bucket=BUCKET, Key=key, Body=b"x")
    page = client.list_objects_v2(Bucket=BUCKET, Prefix="state/", MaxKeys=1)
    assert ([one["Key"] for one in page["Contents"]], page["IsTruncated"]) == (["state/a b"], True)
    more = {"ContinuationToken": page["NextContinuationToken"], "Delimiter": "/"}
    rest = client.list_objects_v2(Bucket=BUCKET, Prefix="state/", **more)
    assert [one["Key"] for one in rest["Contents"]] == ["state/d"]
    assert [one["Prefix"] for one in rest["CommonPrefixes"]] == ["state/c/"]


def test_a_body_in_chunks_is_put_together(tmp_path: Path) -> None:
    path = tmp_path / "body"
    path.write_bytes(b"3;chunk-signature=0\r\nabc\r\n2\r\nde\r\n0\r\nx-amz-checksum: 1\r\n\r\n")
    with path.open("rb") as file:
        assert b"".join(unframed(file)) == b"abcde"


def test_it_ends_with_who_started_it(tmp_path: Path) -> None:
    began = time.monotonic()
    with serving(tmp_path / "log", LATENCY) as endpoint:
        assert endpoint.startswith("http://127.0.0.1:")
    assert time.monotonic() - began < 10
