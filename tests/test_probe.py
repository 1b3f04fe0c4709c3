"""The proof that each object gets what it is to get, before the first part is put out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from cefline import s3 as s3_module
from cefline.config import Config
from cefline.deliver.probe import prove
from cefline.errors import ConfigError
from cefline.job import export
from cefline.s3 import S3Settings
from tests.parts import KilledError, local_store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cefline.report import Report
    from tests.seaweed import S3

AES = S3Settings(sse="AES256")
TAGS = "team=dfir&case=a%20b&empty="
"""As S3 takes them: a space, and a tag without a value."""


@pytest.fixture
def siem(s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Report]:
    """Return what delivers a source of a name to S3, with the rights of a writer."""
    for name, value in s3.env.items():
        monkeypatch.setenv(name, value)

    def deliver(name: str, settings: S3Settings, **more: Any) -> Report:  # noqa: ANN401 - as Config has them
        path = tmp_path / f"{name}.jsonl"
        if not path.exists():
            rows = (b'{"msg": "%s%d"}\n' % (name.encode(), n) for n in range(6))
            path.write_bytes(b"".join(rows))
        return export(
            Config(sources=(str(path),), dest=f"{s3.url}/out", s3=settings, threads=1, **more)
        )

    return deliver


def below(s3: S3, place: str) -> list[str]:
    """Return the keys below a place."""
    start = f"{s3.prefix}/{place}/"
    return [key.removeprefix(start) for key in s3.sizes(start)]


Answer = dict[str, Any]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Return a list that grows with each request: its operation and its URL."""
    made: list[tuple[str, str]] = []
    call = s3_module.call

    def counted(client: s3_module.Client, method: str, url: str, **arguments: Any) -> Answer:  # noqa: ANN401 - passed on
        made.append((method, url))
        return call(client, method, url, **arguments)

    monkeypatch.setattr(s3_module, "call", counted)
    return made


def faked(
    patch: pytest.MonkeyPatch, method: str, where: str, fake: Callable[[Answer], Answer]
) -> None:
    """Change the answers to an operation on URLs that hold some text."""
    call = s3_module.call

    def answered(client: s3_module.Client, name: str, url: str, **arguments: Any) -> Answer:  # noqa: ANN401 - passed on
        answer = call(client, name, url, **arguments)
        return fake(answer) if name == method and where in url else answer

    patch.setattr(s3_module, "call", answered)


def without(name: str) -> Callable[[Answer], Answer]:
    """Return what takes an entry out of an answer."""
    return lambda answer: {key: value for key, value in answer.items() if key != name}


def test_encryption_is_proven_once(
    s3: S3, siem: Callable[..., Report], calls: list[tuple[str, str]]
) -> None:
    """On an object in the state, and on the reply to each part; later runs need no proof."""
    assert siem("a", AES).exit_code == 0
    (probe,) = below(s3, "_cefline/out/probes")
    puts = [url for method, url in calls if method == "put_object"]
    parts = [url for url in puts if f"{s3.prefix}/out/" in url]
    proof = f"{s3.url}/_cefline/out/probes/{probe}"
    assert puts.count(proof) == 1
    assert puts.index(proof) < puts.index(parts[0])
    assert siem("b", AES).exit_code == 0
    assert below(s3, "_cefline/out/probes") == [probe]
    assert len(below(s3, "out")) == 2
    for key in below(s3, "out"):
        head = s3.client.head_object(Bucket=s3.bucket, Key=f"{s3.prefix}/out/{key}")
        assert head["ServerSideEncryption"] == "AES256"


def test_other_arguments_are_another_proof(s3: S3, siem: Callable[..., Report]) -> None:
    """What was proven of one says nothing of another."""
    for name, settings in (("a", AES), ("b", S3Settings(sse="AES256", tags="x=y"))):
        assert siem(name, settings).exit_code == 0
    assert len(below(s3, "_cefline/out/probes")) == 2


def test_nothing_is_proven_where_nothing_is_asked(s3: S3, siem: Callable[..., Report]) -> None:
    """Nor by a run with nothing to do."""
    assert siem("a", S3Settings()).exit_code == 0
    assert siem("a", AES).exit_code == 0
    assert below(s3, "_cefline/out/probes") == []


def test_a_dry_run_proves_nothing(s3: S3, tmp_path: Path, siem: Callable[..., Report]) -> None:
    """It writes nothing at all."""
    siem("a", S3Settings())
    before = s3.sizes()
    (tmp_path / "b.jsonl").write_bytes(b'{"msg": "b"}\n')
    config = Config(sources=(str(tmp_path / "b.jsonl"),), dest=f"{s3.url}/out", s3=AES, threads=1)
    assert export(config, dry_run=True).exit_code == 0
    assert s3.sizes() == before


def test_local_stores_need_no_proof(tmp_path: Path) -> None:
    """S3's arguments mean nothing to them."""
    dest, state = (local_store(tmp_path / name) for name in ("dest", "state"))
    prove(dest, state)
    assert list(state.list()) == []


@pytest.mark.parametrize("where", ["state.json", "probes/"])
def test_a_reply_without_encryption_stops_before_the_first_part(
    s3: S3, siem: Callable[..., Report], where: str
) -> None:
    """Some stores ignore what they don't know: exit code 78, run after run."""
    with pytest.MonkeyPatch.context() as patch:
        faked(patch, "put_object", where, without("ServerSideEncryption"))
        with pytest.raises(ConfigError, match="did not encrypt") as raised:
            siem("a", AES)
        assert raised.value.exit_code == 78
        assert "s3.sse" in str(raised.value)
    assert below(s3, "out") == []


def test_a_store_that_never_encrypts_gets_no_part(s3: S3, siem: Callable[..., Report]) -> None:
    """However often it is tried: the plan is an object, too."""
    with pytest.MonkeyPatch.context() as patch:
        faked(patch, "put_object", "", without("ServerSideEncryption"))
        codes = []
        for _ in range(4):
            try:
                codes.append(siem("a", AES).exit_code)
            except ConfigError as err:
                codes.append(err.exit_code)
    assert codes == [78] * 4
    assert below(s3, "out") == []
    assert siem("a", AES).exit_code == 0


def test_a_reply_with_another_encryption_stops(s3: S3, siem: Callable[..., Report]) -> None:
    """KMS was asked for with a key of ours, and S3's own was taken."""
    with pytest.MonkeyPatch.context() as patch:
        faked(patch, "put_object", "probes/", lambda a: {**a, "ServerSideEncryption": "aws:kms"})
        with pytest.raises(ConfigError, match="ServerSideEncryption"):
            siem("a", AES)
    assert below(s3, "out") == []


def test_a_part_without_encryption_is_told(s3: S3, siem: Callable[..., Report]) -> None:
    """The proof held and a part's reply does not: someone changed the bucket in between."""
    with pytest.MonkeyPatch.context() as patch:
        faked(patch, "put_object", "/out/2", without("ServerSideEncryption"))
        report = siem("a", AES)
    assert report.exit_code == 78
    assert "did not encrypt" in str(report.sources[0].error)
    assert siem("a", AES).exit_code == 0
    assert len(below(s3, "out")) == 1


@pytest.mark.parametrize(
    ("found", "asked", "right"),
    [
        ("1234-abcd", "1234-abcd", True),
        ("arn:aws:kms:eu-west-1:1:key/1234-abcd", "1234-abcd", True),
        ("arn:aws:kms:eu-west-1:1:key/1234", "arn:aws:kms:eu-west-1:1:key/1234", True),
        ("arn:aws:kms:eu-west-1:1:key/9999", "1234-abcd", False),
        ("", "1234-abcd", False),
    ],
)
def test_the_key_is_proven(*, found: str, asked: str, right: bool) -> None:
    """S3 tells its ARN where its id was given."""
    put = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": asked}
    answer = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": found}
    if right:
        s3_module.check_encryption(answer, put, "s3://b/k")
        return
    with pytest.raises(ConfigError, match="SSEKMSKeyId"):
        s3_module.check_encryption(answer, put, "s3://b/k")


# Tags and storage class are looked at.


def tags_of(s3: S3, key: str) -> dict[str, str]:
    """Return the tags of an object."""
    answer = s3.client.get_object_tagging(Bucket=s3.bucket, Key=key)
    return {tag["Key"]: tag["Value"] for tag in answer["TagSet"]}


def test_tags_are_proven(s3: S3, siem: Callable[..., Report], calls: list[tuple[str, str]]) -> None:
    """With the rights of a writer; each part has them."""
    settings = S3Settings(tags=TAGS)
    assert siem("a", settings).exit_code == 0
    assert siem("b", settings).exit_code == 0
    looked = [url for method, url in calls if method == "get_object_tagging"]
    assert len(set(looked)) == 1
    assert "/probes/" in looked[0]
    for key in below(s3, "out"):
        assert tags_of(s3, f"{s3.prefix}/out/{key}") == {"team": "dfir", "case": "a b", "empty": ""}


@pytest.mark.parametrize("found", [[], [{"Key": "team", "Value": "x"}]], ids=["none", "other"])
def test_tags_that_are_not_there_stop_before_the_first_part(
    s3: S3, siem: Callable[..., Report], found: list[dict[str, str]]
) -> None:
    """A lifecycle rule may go by them."""
    with pytest.MonkeyPatch.context() as patch:
        faked(patch, "get_object_tagging", "probes/", lambda a: {**a, "TagSet": found})
        with pytest.raises(ConfigError, match="tags") as raised:
            siem("a", S3Settings(tags="team=dfir"))
    assert raised.value.exit_code == 78
    assert "dfir" in str(raised.value)
    assert below(s3, "out") == []


def test_a_storage_class_that_is_not_there_stops_before_the_first_part(
    s3: S3, siem: Callable[..., Report]
) -> None:
    """Evidence would cost more than was thought, or lie where it may not."""
    with pytest.MonkeyPatch.context() as patch:
        faked(patch, "head_object", "probes/", without("StorageClass"))
        with pytest.raises(ConfigError, match="storage class STANDARD, not STANDARD_IA") as raised:
            siem("a", S3Settings(storage_class="STANDARD_IA"))
    assert raised.value.exit_code == 78
    assert below(s3, "out") == []


@pytest.mark.parametrize("name", ["STANDARD", "STANDARD_IA"])
def test_a_storage_class_is_proven(s3: S3, siem: Callable[..., Report], name: str) -> None:
    """The probe has it, and the rest of the state has not: it is read again."""
    with pytest.MonkeyPatch.context() as patch:
        faked(patch, "head_object", "probes/", lambda a: {**a, "StorageClass": name})
        assert siem("a", S3Settings(storage_class=name)).exit_code == 0
    assert len(below(s3, "_cefline/out/probes")) == 1


@pytest.mark.parametrize(
    ("settings", "method", "fake"),
    [
        (S3Settings(tags="team=dfir"), "get_object_tagging", lambda a: {**a, "TagSet": []}),
        (S3Settings(storage_class="STANDARD_IA"), "head_object", without("StorageClass")),
    ],
    ids=["tags", "class"],
)
def test_a_proof_that_failed_is_asked_for_again(
    s3: S3,
    siem: Callable[..., Report],
    settings: S3Settings,
    method: str,
    fake: Callable[[Answer], Answer],
) -> None:
    """Cron comes back after five minutes, and nothing is another then."""
    with pytest.MonkeyPatch.context() as patch:
        faked(patch, method, "probes/", fake)
        for _ in range(2):
            with pytest.raises(ConfigError):
                siem("a", settings)
    assert below(s3, "out") == []
    with pytest.MonkeyPatch.context() as patch:
        faked(patch, "head_object", "probes/", lambda a: {**a, "StorageClass": "STANDARD_IA"})
        assert siem("a", settings).exit_code == 0


def test_a_proof_that_was_killed_is_no_proof(siem: Callable[..., Report]) -> None:
    """The run ended between the object and the look at it."""

    def killed(_: Answer) -> Answer:
        raise KilledError

    settings = S3Settings(tags="team=dfir")
    with pytest.MonkeyPatch.context() as patch:
        faked(patch, "get_object_tagging", "probes/", killed)
        with pytest.raises(KilledError):
            siem("a", settings)
    with pytest.MonkeyPatch.context() as patch:
        faked(patch, "get_object_tagging", "probes/", lambda a: {**a, "TagSet": []})
        with pytest.raises(ConfigError):
            siem("a", settings)


def test_the_proof_leaves_nothing_where_readers_look(s3: S3, siem: Callable[..., Report]) -> None:
    """It lies in the state, with nothing from any event in it."""
    assert siem("a", S3Settings(sse="AES256", tags="team=dfir")).exit_code == 0
    assert [key for key in below(s3, "out") if not key.endswith("-000001.cef.gz")] == []
    (probe,) = below(s3, "_cefline/out/probes")
    assert s3.get(f"{s3.prefix}/_cefline/out/probes/{probe}").body == b"cefline"
    plans = below(s3, "_cefline/out/plans")
    plan = s3.get(f"{s3.prefix}/_cefline/out/plans/{plans[0]}").body
    assert "team" not in json.dumps(json.loads(plan))
