"""The dialects of timeline exports: which input names, and which unit, stand for which field.

Sources: `cado` is the Cado Response CEF standard, CadoJson (the standard's names and `sha256`) and
the Cado API (2.324); `plaso` is what `psort -o json_line` of plaso 20260720 writes, run and looked
at; `timesketch` is Timesketch's guide "Create timeline from JSON/CSV file", its
`api/v1/export.py`, and the fields that plaso's `opensearch_ts` output puts there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from cefline_schemas.timeline import FIELDS, Field


@dataclass(frozen=True, slots=True)
class Part:
    """A field whose value stands in the objects of a list that is another column."""

    field: str
    column: str
    member: str
    take: Literal["any", "least", "all"]
    """`any`: true where the list has an object; `least`: the least number among the members;
    `all`: their distinct texts, `; ` between them."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """One way of naming the fields of a timeline."""

    name: str
    doc: str
    fields: tuple[Field, ...]
    """The field table with this dialect's input names, the one that wins first; those that it has
    no name for have none."""
    marks: tuple[frozenset[str], ...]
    """A source that has all names of one of these is of this dialect."""
    unless: frozenset[str] = frozenset()
    """Names that tell of another dialect in spite of the marks."""
    unit: Literal["s", "us"] = "s"
    """What numbers in its times are."""
    finer: bool = False
    """Whether a further name of the time has its fraction where the first has whole seconds or
    milliseconds; such names don't differ."""
    parts: tuple[Part, ...] = ()

    @property
    def known(self) -> dict[str, str]:
        """Return input name to canonical name."""
        return {alias: field.name for field in self.fields for alias in field.names}


def _named(names: Mapping[str, str]) -> tuple[Field, ...]:
    """Return the field table with other input names."""
    return tuple(replace(f, names=tuple(names.get(f.name, "").split())) for f in FIELDS)


_OF_PLASO = {
    "eventTime": "timestamp",
    "type": "timestamp_desc",
    "msg": "message",
    "filePath": "display_name",
    "format": "parser",
    "data_type": "data_type",
    "source": "source_short",
    "sourcetype": "source_long",
    "host": "hostname",
    "suser": "username",
    "inode": "inode",
    "tag": "tag",
    "sha256": "sha256_hash",
}
"""Plaso's attributes. `hostname` and `username` are what its own l2tcsv output has as host and
user. Attributes that only have the name of a field (`version`, `source`, `extra`, ...) are each
parser's own, so they are not taken for it; nor is `filename`, which is not always the file that was
parsed: `display_name` is."""

DIALECTS: Mapping[str, Dialect] = {
    dialect.name: dialect
    for dialect in (
        Dialect(
            "cado",
            "Cado Response: the standard, CadoJson, the API",
            FIELDS,
            marks=tuple(
                frozenset({name})
                for name in ("eventTime", "eventId", "evidence_id", "alarm", "alarm_information")
            ),
            parts=(
                Part("alarm", "alarm_information", "", "any"),
                Part("alarm_severity", "alarm_information", "severity", "least"),
                Part("alarm_description", "alarm_information", "description", "all"),
            ),
        ),
        Dialect(
            "plaso",
            "plaso: `psort -o json_line`",
            _named(_OF_PLASO),
            marks=(frozenset({"__container_type__", "timestamp_desc"}),),
            unit="us",
        ),
        Dialect(
            "timesketch",
            "Timesketch: exports as CSV and JSONL",
            _named(
                _OF_PLASO
                | {"eventTime": "datetime timestamp", "eventId": "_id", "notes": "comment"}
            ),
            marks=(
                frozenset({"timestamp_desc", "datetime"}),
                frozenset({"timestamp_desc", "message"}),
            ),
            unless=frozenset({"__container_type__"}),
            unit="us",
            finer=True,
        ),
    )
}
"""All dialects by name; the first one is that of a source that tells of none."""

CADO = DIALECTS["cado"]
