"""The policies of the README, as it has them: each is enough for its option, and none too much.

A proxy before the server enforces them; the credentials behind it may do anything.
"""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from cefline import s3 as s3_module
from cefline.deliver.store import S3Store
from cefline.errors import TryAgainError
from tests import faults, iam, pollers, seaweed
from tests.parts import KilledError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.commands import Result
    from tests.iam import Statement
    from tests.seaweed import S3

SECTION = (
    (Path(__file__).resolve().parent.parent / "README.md")
    .read_text(encoding="utf-8")
    .split("\n### S3 permissions\n", 1)[1]
    .split("\n## ", 1)[0]
)
_BLOCK = r"^([^\n]+)\n\n```json\n(.*?)^```$"
BLOCKS = [
    (told, json.loads(text)) for told, text in re.findall(_BLOCK, SECTION, re.MULTILINE | re.DOTALL)
]
(BASE,) = [block["Statement"] for _, block in BLOCKS if isinstance(block, dict)]
ADDED = {told: block for told, block in BLOCKS if isinstance(block, list)}


class Option(NamedTuple):
    """Settings, and what the README says before the statements that they need."""

    settings: dict[str, Any]
    told: tuple[str, ...] = ()
    failing: bool = False
    """Whether copies in parts fail at first."""

    @property
    def added(self) -> list[Statement]:
        """Return the statements that are added for it."""
        return [one for start in self.told for one in _told(start)]


def _told(start: str) -> list[Statement]:
    (found,) = [block for told, block in ADDED.items() if told.startswith(start)]
    return list(found)


MOVE = {"after": "move", "after_to": "{exports}/done", "sources": ["{exports}/cado/*.jsonl"]}
OPTIONS = {
    "base": Option({}),
    "no more": Option({"s3.storage_class": "STANDARD_IA", "s3.sse": "AES256", "check": "full"}),
    "tags": Option({"s3.tags": "team=dfir&case=7"}, ("With `s3.tags`",)),
    "acl": Option({"s3.acl": "bucket-owner-full-control"}, ("With `s3.acl`",)),
    "tag": Option({"after": "tag"}, ('With `after = "tag"`',)),
    "move": Option(MOVE, ('With `after = "move"` and `after_to',)),
    "move in parts": Option(
        MOVE, ('With `after = "move"` and `after_to', 'With `after = "move"` and sources'), True
    ),
}
UNTESTED = ('With `s3.sse = "aws:kms"`',)


def without(statements: list[Statement], left_out: Statement) -> list[Statement]:
    """Return the statements, one for each action and resource, but one of them."""
    return [one for one in iam.single(statements) if one != left_out]


@dataclass
class World:
    """The three buckets of the README below a test's corner, and a host that exports."""

    s3: S3
    folder: Path
    command: Callable[..., Result]
    monkeypatch: pytest.MonkeyPatch
    log: list[faults.Request] = field(default_factory=list)

    @property
    def shelf(self) -> pollers.S3Shelf:
        """Return the destination as readers see it."""
        return pollers.S3Shelf(self.s3.endpoint, f"{self.s3.prefix}/acme-siem/cado/")

    def below(self, place: str) -> list[str]:
        """Return the keys below a place."""
        return list(self.s3.sizes(f"{self.s3.prefix}/{place}/"))

    def call(self, statements: list[Statement], *arguments: str) -> Result:
        """Call the command with what a policy allows."""
        policy = iam.Policy(statements, f"{self.s3.bucket}/{self.s3.prefix}")
        with faults.Proxy(self.s3.endpoint, refuse=policy.refuse) as proxy:
            self.monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
            try:
                return self.command(*arguments)
            finally:
                self.log += proxy.log

    def config(self, settings: dict[str, Any]) -> str:
        """Write a configuration, and return the name of its file."""
        exports, folder = f"{self.s3.url}/acme-exports", self.folder / "cefline.toml"
        plain = {
            "sources": ["{exports}/cado/"],
            "dest": f"{self.s3.url}/acme-siem/cado",
            "state": f"{self.s3.url}/acme-cefline/cado",
            "staging": str(self.folder / "staging"),
            "threads": 1,
            "turn_timeout": "0.2s",  # a run that was killed is one without progress
        }
        lines = (f"{name} = {json.dumps(value)}" for name, value in {**plain, **settings}.items())
        folder.write_text("\n".join(lines).replace("{exports}", exports), encoding="utf-8")
        return str(folder)

    def runs(self, statements: list[Statement], option: Option) -> Iterator[Result]:
        """Yield a run that goes on after another was killed, and one that has nothing to do.

        Where the first is refused something before it can be killed, it is yielded instead.
        """
        order = ("export", "--config", self.config(option.settings))
        with contextlib.suppress(KilledError), pytest.MonkeyPatch.context() as patch:
            _kill_after_a_part(patch)
            refused = self.call(statements, *order)
            patch.undo()
            yield refused
            return
        with pytest.MonkeyPatch.context() as patch:
            if option.failing:
                _copy_in_parts(patch)
            goes_on = self.call(statements, *order)
        yield goes_on
        yield self.call(statements, *order)

    def fails(self, statements: list[Statement], option: Option) -> str:
        """Return how some run fails with a policy, or leaves something undone; else nothing."""
        for result in self.runs(statements, option):
            if result.code or ("but not" in result.out and "throttled" not in result.out):
                return f"{result.code}: {result.err or result.out}"
        uploads = [key for key in self.shelf.uploads() if key.startswith(f"{self.s3.prefix}/")]
        return "\n".join(uploads)


def _kill_after_a_part(patch: pytest.MonkeyPatch) -> None:
    create = S3Store.create

    def killed(store: S3Store, key: str, *rest: Any, **more: Any) -> bool:  # noqa: ANN401 - passed on
        created = create(store, key, *rest, **more)
        if key.endswith(".cef.gz"):
            raise KilledError
        return created

    patch.setattr(S3Store, "create", killed)


def _copy_in_parts(patch: pytest.MonkeyPatch) -> None:
    """Copy whatever is moved in parts; after a first one has failed, which ends its upload."""
    patch.setattr(import_module("cefline.after"), "_COPIED_AT_ONCE", 1)
    call, copies = s3_module.call, ["first"]

    def called(client: s3_module.Client, name: str, url: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - passed on
        if name == "upload_part_copy" and copies:
            copies.pop()
            raise TryAgainError("throttled")
        return call(client, name, url, **more)

    patch.setattr(s3_module, "call", called)


@pytest.fixture
def world(
    s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Callable[..., Result]
) -> World:
    """Return a world with two sources that have tags, two evidences and a reject each."""
    admin = replace(s3, key=seaweed.ADMIN.key, secret=seaweed.ADMIN.secret)
    for name, value in admin.env.items():
        monkeypatch.setenv(name, value)
    for name in ("a", "b"):
        rows = ({"msg": "m", "evidence_id": n % 2, "eventId": f"{name}{n}"} for n in range(6))
        body = b"".join(b"%s\n" % json.dumps(row).encode() for row in rows)
        s3.put(f"acme-exports/cado/{name}.jsonl", body + b"no json\n")
        hold = {"TagSet": [{"Key": "legal-hold", "Value": "case-7"}]}
        key = f"{s3.prefix}/acme-exports/cado/{name}.jsonl"
        admin.client.put_object_tagging(Bucket=s3.bucket, Key=key, Tagging=hold)
    return World(admin, tmp_path, command, monkeypatch)


def delivered(world: World) -> list[str]:
    """Return the IDs of the events that are out."""
    shelf = world.shelf
    return sorted(one for at in shelf.listed() for one in pollers.text_ids(shelf.read(at.key)))


ALL = sorted(f"{name}{n}" for name in "ab" for n in range(6))


def test_every_policy_of_the_readme_is_tested() -> None:
    """But that of KMS, which it says."""
    tested = {start for option in OPTIONS.values() for start in option.told}
    matched = [[one for one in tested | {*UNTESTED} if told.startswith(one)] for told in ADDED]
    assert [len(found) for found in matched] == [1] * len(ADDED)
    assert {one for found in matched for one in found} == tested | {*UNTESTED}
    (kms,) = [told for told in ADDED if told.startswith(UNTESTED)]
    assert "has not been tested" in kms


@pytest.mark.parametrize("name", OPTIONS)
def test_a_policy_is_enough(world: World, name: str) -> None:
    """A run that is killed, one that goes on, and one that has nothing to do."""
    option = OPTIONS[name]
    goes_on, again = world.runs([*BASE, *option.added], option)
    copied = "throttled" if option.failing else ""
    assert goes_on.code == again.code == 0, (goes_on, again)
    assert copied in goes_on.out
    assert ("but not" in goes_on.out) == bool(copied)
    assert "but not" not in again.out
    assert "0 delivered" in again.out
    assert delivered(world) == ALL
    moved = option.settings.get("after") == "move"
    assert len(world.below("acme-exports/done")) == len(ALL[:2]) * moved
    assert bool(world.below("acme-exports/cado")) != moved
    assert [request for request in world.log if request.status in {0, 404}] == []


@pytest.mark.parametrize("name", ["tags", "acl"])
def test_an_option_is_refused_by_the_base_alone(world: World, name: str) -> None:
    """Before anything is put out: exit code 78, and where to look."""
    (refused,) = world.runs(BASE, OPTIONS[name])
    assert refused.code == 78
    assert "access denied" in refused.err
    assert "see the policy in the README" in refused.err
    assert delivered(world) == []


@pytest.mark.parametrize(("name", "done"), [("tag", "tagged"), ("move", "moved")])
def test_what_is_delivered_is_told_where_the_base_alone_refuses_the_rest(
    world: World, name: str, done: str
) -> None:
    """With each run, until it can be done."""
    for result in world.runs(BASE, OPTIONS[name]):
        assert result.code == 0
        assert result.out.count(f"it was delivered, but not {done}: ") == 2
        assert result.out.count("access denied") == 2
        assert delivered(world) == ALL
    assert len(world.below("acme-exports/cado")) == 2
    assert world.fails([*BASE, *OPTIONS[name].added], OPTIONS[name]) == ""


def left_out() -> Iterator[tuple[str, Statement]]:
    """Yield each action on each resource of base and additions, with the option it is for."""
    for name, option in OPTIONS.items():
        block = BASE if name == "base" else _told(option.told[-1]) if option.told else []
        for one in iam.single(block):
            yield name, one


CASES = [*left_out()]
IDS = [f"{name} {one['Sid']} {one['Action'].removeprefix('s3:')}" for name, one in CASES]


@pytest.mark.parametrize(("name", "one"), CASES, ids=IDS)
def test_each_action_is_needed(world: World, name: str, one: Statement) -> None:
    """Without it some run fails, or leaves something undone: an upload that was begun, in parts."""
    option = OPTIONS[name]
    failed = world.fails(without([*BASE, *option.added], one), option)
    if name == "move in parts":
        assert failed.startswith(f"{world.s3.prefix}/acme-exports/done/")
    else:
        assert "access denied" in failed


def test_looking_needs_no_right_to_write(world: World) -> None:
    """Nor does a dry run."""
    config = world.config({})
    reading = [one for one in iam.single(BASE) if one["Action"] != "s3:PutObject"]
    assert len(reading) == 6
    dry = world.call(reading, "export", "--dry-run", "--config", config)
    assert (dry.code, dry.out.count("not delivered (dry run)")) == (0, 2)
    assert world.call(reading, "export", "--config", config).code == 78
    assert world.call(BASE, "export", "--config", config).code == 0
    verified = world.call(reading, "verify", "--config", config)
    assert (verified.code, verified.out.count("all right")) == (0, 1)
    status = world.call(reading, "status", "--json", "--config", config)
    assert [one["state"] for one in status.lines] == ["done", "done"]
    rejects = world.call(reading, "rejects", "--json", "--config", config)
    assert [one["raw"] for one in rejects.lines] == ["no json"] * 2


def test_a_prefix_without_its_slash_is_refused(world: World) -> None:
    """Its listing would show what only begins likewise."""
    config = world.config({"sources": ["{exports}/cado"]})
    refused = world.call(BASE, "export", "--config", config)
    assert (refused.code, "access denied" in refused.err) == (78, True)


# The evaluation itself.

ELSEWHERE = iam.Policy(BASE, "cef/corner")


def asked(
    method: str, path: str, query: str = "", status: int = 0, **headers: str
) -> faults.Request:
    """Return a request below the corner."""
    parameters = dict(pair.split("=") for pair in query.split("&")) if query else {}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    bucket_and_key = f"cef/{path}".strip("/")
    return faults.Request(method, bucket_and_key, parameters, False, "none", status, named)


@pytest.mark.parametrize(
    ("request_", "refused"),
    [
        (asked("GET", "corner/acme-exports/cado/a"), False),
        (asked("GET", "corner/acme-exports/cado/a", "x-id=GetObject"), False),
        (asked("HEAD", "corner/acme-cefline/cado/a"), False),
        (asked("GET", "corner/acme-exports/cadox/a"), True),
        (asked("GET", "other/acme-exports/cado/a"), True),
        (asked("GET", "corner/acme-exports/cado/a", "versionId=7"), True),
        (asked("GET", "corner/acme-exports/cado/a", "tagging="), True),
        (asked("PUT", "corner/acme-siem/cado/a"), False),
        (asked("PUT", "corner/acme-exports/cado/a"), True),
        (asked("PUT", "corner/acme-siem/cado/a", "tagging="), True),
        (asked("PUT", "corner/acme-siem/cado/a", X_Amz_Tagging="a=b"), True),
        (asked("PUT", "corner/acme-siem/cado/a", x_amz_acl="private"), True),
        (asked("PUT", "corner/acme-siem/cado/a", "acl="), True),
        (asked("DELETE", "corner/acme-siem/cado/a"), True),
        (asked("POST", "corner/acme-siem/cado/a", "uploads="), False),
        (asked("POST", "", "delete="), True),
        (asked("GET", "", "list-type=2&prefix=corner/acme-siem/cado/"), False),
        (asked("GET", "", "list-type=2&prefix=corner/acme-siem/cado/2026"), False),
        (asked("GET", "", "list-type=2&prefix=corner/acme-siem/cado"), True),
        (asked("GET", "", "list-type=2&prefix=corner/acme-siem/"), True),
        (asked("GET", "", "list-type=2&prefix=cado/"), True),
        (asked("GET", "", "list-type=2"), True),
        (asked("GET", "", "prefix=corner/acme-siem/cado/"), True),
        (asked("GET", "corner/acme-exports/cado/a", status=404), True),
        (asked("HEAD", "corner/acme-exports/cado/a", status=404), True),
        (asked("PUT", "corner/acme-siem/cado/a", status=404), False),
        (asked("GET", "corner/acme-exports/cado/a", status=206), False),
    ],
    ids=lambda value: None if isinstance(value, bool) else " ".join(map(str, value[:3])),
)
def test_requests_are_refused_as_s3_does(request_: faults.Request, *, refused: bool) -> None:
    """By the policy of the README; those with a status have been answered."""
    assert ELSEWHERE.refuse(request_) == ("AccessDenied" if refused else "")


def test_what_is_not_there_is_told_to_those_who_may_list() -> None:
    """All of the bucket, that is."""
    listing = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::b"}
    missing = asked("GET", "corner/b/a", status=404)
    assert iam.Policy([listing], "cef/corner").refuse(missing) == ""
    below = {**listing, "Condition": {"StringLike": {"s3:prefix": "a*"}}}
    assert iam.Policy([below], "cef/corner").refuse(missing) == "AccessDenied"


@pytest.mark.parametrize(
    ("operation", "query", "tags"), [("PUT", "", True), ("PUT", "partNumber=1&uploadId=2", False)]
)
def test_a_copy_needs_rights_on_both_sides(operation: str, query: str, *, tags: bool) -> None:
    """Of the tags as well, which a copy in parts leaves behind."""
    copy = asked(operation, "corner/to/b", query, x_amz_copy_source="cef/corner/from/a%20%2B")
    source, target = "arn:aws:s3:::from/a +", "arn:aws:s3:::to/b"
    needed = [("s3:GetObject", source), ("s3:PutObject", target)]
    needed += [("s3:GetObjectTagging", source), ("s3:PutObjectTagging", target)] * tags
    allowed = [{"Effect": "Allow", "Action": a, "Resource": r} for a, r in needed]
    assert iam.Policy(allowed, "cef/corner").refuse(copy) == ""
    for one in allowed:
        less = [other for other in allowed if other != one]
        assert iam.Policy(less, "cef/corner").refuse(copy) == "AccessDenied"
