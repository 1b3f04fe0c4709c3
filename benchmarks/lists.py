"""What the peers know of the sources: their fields, the members of lists, a literal's escapes."""

from cefline_schemas.cef import Escapes
from cefline_schemas.timeline import FIELDS

EXPORTED = [f for f in FIELDS if f.name not in {"alarm_information", "data_type", "sha256"}]
"""The fields of the sources: SQL can't name a column that is not there."""

LITERAL_ESCAPES: Escapes = (
    ("\\", "\\\\"),
    ("'", "\\'"),
    ("\n", "\\n"),
    ("\r", "\\r"),
    ("\t", "\\t"),
)
"""What a Python literal escapes in a text, the backslash first."""

MEMBERS = {
    "notes": {"author": "VARCHAR", "note": "VARCHAR", "created": "BIGINT"},
    "query_suggestions": {"str_detected": "VARCHAR", "url": "VARCHAR"},
}
"""Members of the objects in a list, with SQL's type; a list that is not named here holds texts."""
