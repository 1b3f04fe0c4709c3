"""Hostile values for property tests: what attackers and broken tools put into events."""

import polars as pl
from hypothesis import strategies as st

from cefline_schemas.timeline import FIELDS

LINE_BREAKS = "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"

SIGNS = [
    *"\\=|\"' \t[]{},:;#%",
    *LINE_BREAKS,
    *"\x00\x07\x1b\x1f\x7f\x80\x9f",
    *"\u202e\ufeff\ufffd\ue000",
    *"é中\U0001f600a1",
    "\\n",
    "\\\\",
    "\\=",
    " key=value",
    "suser=root ",
    "CEF:0|a|b|c|0|d|10|alarm=True",
    "\\u0007",
    "Timeline Event",
    "None",
    "-",
]

text = st.one_of(
    st.lists(st.sampled_from(SIGNS), max_size=12).map("".join),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    st.builds(lambda t, n: t * n, st.sampled_from(SIGNS), st.integers(1, 700)),
)

_VALUES = {
    "text": text,
    "list": text,
    "int": st.integers(-(2**63), 2**63 - 1),
    "bool": st.booleans(),
    "time": st.integers(-(2**53), 2**53).map(lambda micros: micros * 1000),
}
_DTYPES: dict[str, pl.DataType | type[pl.DataType]] = {
    "text": pl.String,
    "list": pl.String,
    "int": pl.Int64,
    "bool": pl.Boolean,
    "time": pl.Int64,
}


@st.composite
def frames(draw: st.DrawFn) -> pl.DataFrame:
    """Draw canonical frames: some of the fields, with hostile values and nulls."""
    # The few that decide on Name and on the header come more often than the others.
    special = st.sampled_from(["type", "super_short", "short", "alarm", "alarm_severity"])
    names = draw(st.sets(st.one_of(special, st.sampled_from([f.name for f in FIELDS])), min_size=1))
    height = draw(st.integers(1, 5))
    columns = []
    for field in FIELDS:
        if field.name in names:
            values = st.one_of(st.none(), _VALUES[field.type])
            drawn = draw(st.lists(values, min_size=height, max_size=height))
            column = pl.Series(field.name, drawn, _DTYPES[field.type])
            columns.append(
                column.cast(pl.Datetime("us", "UTC")) if field.type == "time" else column
            )
    return pl.DataFrame(columns)
