"""The header's signature id in profile `dictionary`: the same for every event of a kind."""

import polars as pl
import pyarrow as pa

from cefline.records import Columns, apply, as_series
from cefline_schemas.dictionary import ALARM_SIGNATURE, SIGNATURE_MOST


def signature(columns: Columns, height: int, otherwise: str) -> pl.Series:
    """Return the signature id of each event (String, never null).

    It is the slugs of `source` and `type` with a hyphen between them; of an alarm, `alarm-` and the
    slug of `alarm_description`. A slug is what is left in lower case of ASCII letters and digits,
    each run of anything else a hyphen: no reader has to unescape it.

    Args:
        columns: canonical columns.
        height: their length.
        otherwise: what events get that have neither.
    """
    frame = pl.DataFrame(
        {
            "source": _slugs(columns.get("source"), height),
            "type": _slugs(columns.get("type"), height),
            "about": _slugs(columns.get("alarm_description"), height),
            "alarm": _alarm(columns.get("alarm"), height),
        }
    )
    kind = pl.concat_str("source", "type", separator="-", ignore_nulls=True)
    alarm = pl.concat_str(pl.lit(ALARM_SIGNATURE), "about", separator="-", ignore_nulls=True)
    given = pl.when("alarm").then(alarm).when(kind != "").then(kind).otherwise(pl.lit(otherwise))
    return frame.select(given.alias("signature")).to_series()


def _alarm(column: pa.Array | None, height: int) -> pl.Series:
    if column is None:
        return pl.repeat(False, height, dtype=pl.Boolean, eager=True)
    return as_series(column).fill_null(value=False)


def _slugs(column: pa.Array | None, height: int) -> pl.Series:
    """Return the slug of each value, once for each distinct one; null where nothing is left."""
    if column is None:
        return pl.repeat(None, height, dtype=pl.String, eager=True)
    encoded = column if isinstance(column, pa.DictionaryArray) else column.dictionary_encode()
    slug = pl.col("").str.to_lowercase().str.replace_all("[^a-z0-9]+", "-")
    slug = slug.str.strip_chars("-").str.head(SIGNATURE_MOST).str.strip_chars_end("-")
    slugs = apply(pl.Series(encoded.dictionary), pl.when(slug != "").then(slug))
    return slugs.gather(pl.Series(encoded.indices))
