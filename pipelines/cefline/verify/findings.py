"""What `verify` finds, as values."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from cefline.shown import printable

Verdict = Literal[
    "missing",
    "removed",
    "truncated",
    "changed",
    "swapped",
    "extra",
    "source",
    "different",
    "order",
    "balance",
]
"""What is wrong with an object: `missing` it should be there; `removed` it was let go before the
date that the user gave, which is no fault; `truncated` its text or its gzip trailer is cut off;
`changed` bytes differ; `swapped` it holds another part; `extra` no delivery knows it; `source` the
source is no longer what was delivered; `different` an event's field is not what the source says;
`order` its key does not follow the key before; `balance` events read are not all delivered,
rejected or filtered."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it must be."""

    verdict: Verdict
    place: str
    """Key below the destination, or URL of a source."""
    what: str

    def as_json(self) -> dict[str, str]:
        """Return it in JSON's types."""
        return {"verdict": self.verdict, "place": self.place, "what": self.what}


@dataclass(slots=True)
class Verified:
    """What was found of one delivery."""

    delivery: str
    source: str
    parts: int = 0
    events: int = 0
    """Read back and parsed."""
    compared: int | None = None
    """Compared with the source, field by field; None where it is not at hand."""
    findings: list[Finding] = field(default_factory=list)

    @property
    def is_right(self) -> bool:
        """Whether nothing is wrong."""
        return all(finding.verdict == "removed" for finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        """Return it in JSON's types."""
        return {
            "delivery": self.delivery,
            "source": self.source,
            "parts": self.parts,
            "events": self.events,
            "compared": self.compared,
            "ok": self.is_right,
            "findings": [finding.as_json() for finding in self.findings],
        }

    def lines(self) -> Iterator[str]:
        """Yield it for people, line by line."""
        if self.compared is not None:
            compared = f"{self.compared:,} compared"
        else:
            compared = "not compared" if self.findings else "source not at hand"
        verdict = "ok" if self.is_right else "WRONG"
        name = printable(f"{self.delivery or 'destination'}  {self.source}")
        yield f"{verdict:5}  {name}  {self.parts:,} parts, {self.events:,} events, {compared}"
        for found in self.findings:
            yield printable(f"         {found.verdict}: {found.place}: {found.what}")
