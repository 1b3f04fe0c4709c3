"""What became of each version of a source, in names alone: one listing tells what is new."""

import hashlib
import re
from dataclasses import dataclass, replace
from typing import Any, Literal

from cefline.deliver import state as states
from cefline.deliver.store import Store
from cefline.errors import CeflineError, of_told

Outcome = Literal["done", "known", "failed", "tagged"]
_RANK = {"known": 1, "done": 2}


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of a version of a source."""

    key: str
    delivery: str
    outcome: Outcome
    """`known` has the bytes of another source, which was delivered; `tagged` is said beside."""
    numbers: tuple[int, ...] = ()
    """Of what was delivered: turn, events, rejected rows, parts, stored bytes; of what failed: the
    exit code."""
    stamp: str = ""
    """Of what was delivered: its turn's; of what failed: the settings under which it did."""
    tagged: bool = False
    """Whether it was tagged after its delivery."""


def source_key(url: str, size: int, version: str, variant: str) -> str:
    """Return the name of a version of a source.

    Args:
        url: where it is.
        size: its bytes.
        version: what changes with its content.
        variant: what makes a delivery of its own of the same bytes.
    """
    whole = "\0".join((url, str(size), version, variant))
    return hashlib.sha256(whole.encode(errors="surrogatepass")).hexdigest()[:32]


def remember(state: Store, seen: Seen, said: dict[str, Any]) -> None:
    """Remember what became of a source; `said` is for those who look."""
    states.create(state, _name(seen), said)


def _name(seen: Seen) -> str:
    numbers = "_".join(map(str, seen.numbers)) or "0"
    end = f"-{seen.stamp}" if seen.stamp else ""
    return f"seen/{seen.key}-{seen.delivery}-{seen.outcome}-{numbers}{end}"


def load(state: Store) -> dict[str, Seen]:
    """Return what is known: of what was delivered by source key, of failures by `failure_key`."""
    found: dict[str, Seen] = {}
    tagged = set()
    for key, _ in state.list("seen/"):
        seen = _parsed(key.removeprefix("seen/"))
        if seen is None:
            continue
        if seen.outcome == "tagged":
            tagged.add(seen.key)
        elif seen.outcome == "failed":
            found[failure_key(seen.key, seen.stamp)] = seen
        elif seen.key not in found or _RANK[seen.outcome] >= _RANK[found[seen.key].outcome]:
            found[seen.key] = seen
    return found | {key: replace(found[key], tagged=True) for key in tagged & found.keys()}


def failure_key(source: str, judgement: str) -> str:
    """Return the key under which a failure is known: other settings may end otherwise."""
    return f"{source}-{judgement}"


def error(state: Store, seen: Seen) -> CeflineError:
    """Return the error with which a source failed."""
    name = _name(seen)
    said: dict[str, Any] = {"error": ""}
    if state.exists(name):
        said = states.load(state, name, "error")
    # What an earlier version kept may have a sample anywhere in it.
    old = {"message": "told by an earlier version", "sample": said["error"]}
    return of_told({**old, "exit_code": seen.numbers[0], **said.get("told", {})})


def _parsed(name: str) -> Seen | None:
    """Return what a name says, if it is ours."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    outcome: Outcome = match["outcome"]  # type: ignore[assignment]  # the pattern has no other
    numbers = tuple(map(int, match["numbers"].split("_")))
    return Seen(match["key"], match["delivery"], outcome, numbers, match["stamp"] or "")


_NAME = re.compile(
    r"(?P<key>[0-9a-f]{32})-(?P<delivery>[0-9a-f]{32})-(?P<outcome>done|known|failed|tagged)"
    r"-(?P<numbers>\d+(?:_\d+)*)(?:-(?P<stamp>\w+))?"
)
