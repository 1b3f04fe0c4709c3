"""What IAM says to requests to S3: what each operation needs, and what a policy's text allows.

Policies stay as they are written for buckets of their own, though the test server has only one:
there a bucket is a folder.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests import faults

Statement = dict[str, Any]

_ARN = "arn:aws:s3:::"


class Request(NamedTuple):
    """What is asked of S3, with the names that the policy knows."""

    method: str
    bucket: str
    key: str
    query: Mapping[str, str]
    headers: Mapping[str, str]

    @property
    def resource(self) -> str:
        """Return the object."""
        return f"{_ARN}{self.bucket}/{self.key}"

    @property
    def operation(self) -> str:
        """Return the method and the parameters that make an operation another one."""
        told = sorted(set(self.query) & _TELLING)
        return "?".join([self.method, "&".join(told)]) if told else self.method


class Need(NamedTuple):
    """An action on a resource that has to be allowed."""

    action: str
    resource: str
    prefix: str | None = None
    """The condition key `s3:prefix`, which listings alone have."""


_TELLING = {"list-type", "tagging", "acl", "uploads", "uploadId", "partNumber", "versionId"}

_NEEDED = {
    "GET": ("s3:GetObject",),
    "HEAD": ("s3:GetObject",),
    "PUT": ("s3:PutObject",),
    "DELETE": ("s3:DeleteObject",),
    "GET?tagging": ("s3:GetObjectTagging",),
    "PUT?tagging": ("s3:PutObjectTagging",),
    "POST?uploads": ("s3:PutObject",),
    "PUT?partNumber&uploadId": ("s3:PutObject",),
    "POST?uploadId": ("s3:PutObject",),
    "DELETE?uploadId": ("s3:AbortMultipartUpload",),
}
_BY_HEADER = {"x-amz-tagging": "s3:PutObjectTagging", "x-amz-acl": "s3:PutObjectAcl"}


def needs(asked: Request) -> list[Need]:
    """Return all that a request needs; what is not known here needs what nobody has."""
    if asked.operation == "GET?list-type":
        return [Need("s3:ListBucket", f"{_ARN}{asked.bucket}", asked.query.get("prefix"))]
    actions = list(_NEEDED.get(asked.operation, ("unknown",)))
    if asked.method == "PUT":
        actions += [action for name, action in _BY_HEADER.items() if name in asked.headers]
    needed = [Need(action, asked.resource) for action in actions]
    return [*needed, *_copied(asked)]


def _copied(asked: Request) -> list[Need]:
    """Return what a copy needs beside: CopyObject takes the tags along, parts have none."""
    copied = unquote(asked.headers.get("x-amz-copy-source", "")).lstrip("/")
    if not copied:
        return []
    needed = [Need("s3:GetObject", f"{_ARN}{copied}")]
    if asked.operation == "PUT":
        needed.append(Need("s3:GetObjectTagging", f"{_ARN}{copied}"))
        needed.append(Need("s3:PutObjectTagging", asked.resource))
    return needed


def denied(statements: Sequence[Statement], asked: Request) -> list[Need]:
    """Return what a request needs and no statement allows."""
    return [one for one in needs(asked) if not any(_allows(s, one) for s in statements)]


def denied_missing(statements: Sequence[Statement], asked: Request) -> list[Need]:
    """Return what is not allowed of asking for an object that is not there.

    S3 tells that to those who may list the bucket; a condition on `s3:prefix` does not hold, as
    the request has none.
    """
    listing = Need("s3:ListBucket", f"{_ARN}{asked.bucket}")
    return [] if any(_allows(one, listing) for one in statements) else [listing]


def _allows(statement: Statement, need: Need) -> bool:
    assert set(statement) <= {"Sid", "Effect", "Action", "Resource", "Condition"}
    assert statement["Effect"] == "Allow"
    return (
        any(_like(need.action, pattern) for pattern in listed(statement["Action"]))
        and any(_like(need.resource, pattern) for pattern in listed(statement["Resource"]))
        and _holds(statement.get("Condition", {}), need)
    )


def _holds(condition: Mapping[str, Mapping[str, str | list[str]]], need: Need) -> bool:
    if not condition:
        return True
    assert condition.keys() == {"StringLike"}
    assert condition["StringLike"].keys() == {"s3:prefix"}
    patterns = listed(condition["StringLike"]["s3:prefix"])
    return need.prefix is not None and any(_like(need.prefix, pattern) for pattern in patterns)


def _like(text: str, pattern: str) -> bool:
    """Whether text is as a pattern says: `*` for any text, `?` for one character."""
    expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(expression, text, re.DOTALL) is not None


def listed(value: str | list[str]) -> list[str]:
    """Return what may stand alone or in a list as a list."""
    return [value] if isinstance(value, str) else value


def single(statements: Sequence[Statement]) -> Iterator[Statement]:
    """Yield statements of one action on one resource that come to the same."""
    for statement in statements:
        for action in listed(statement["Action"]):
            for resource in listed(statement["Resource"]):
                yield {**statement, "Action": action, "Resource": resource}


@dataclass(frozen=True, slots=True)
class Policy:
    """What a proxy before the test server lets through."""

    statements: Sequence[Statement]
    below: str
    """The server's folder (with its bucket) whose folders are the buckets of the policy."""

    def refuse(self, asked: faults.Request) -> str:
        """Return the code of a refusal, or nothing; it is asked again when the server answered."""
        request = self._request(asked)
        if asked.status and not (asked.status == 404 and asked.method in {"GET", "HEAD"}):
            return ""
        find = denied_missing if asked.status else denied
        return "AccessDenied" if find(self.statements, request) else ""

    def _request(self, asked: faults.Request) -> Request:
        headers = {name.lower(): value for name, value in asked.headers.items()}
        query, path = dict(asked.query), asked.path
        if "list-type" in query:
            path = f"{path}/{query.get('prefix', '')}"
        bucket, _, key = self._inside(path).partition("/")
        if "list-type" in query:
            query["prefix"], key = key, ""
        if "x-amz-copy-source" in headers:
            headers["x-amz-copy-source"] = self._inside(unquote(headers["x-amz-copy-source"]))
        return Request(asked.method, bucket, key, query, headers)

    def _inside(self, path: str) -> str:
        """Return bucket and key as the policy knows them; what lies elsewhere is in no bucket."""
        start, below = f"{self.below}/", path.lstrip("/")
        return below.removeprefix(start) if below.startswith(start) else f"elsewhere/{below}"
