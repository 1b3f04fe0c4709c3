"""What the peers know of lists: the members of their objects, and how a literal escapes a text."""

from cefline_schemas.cef import Escapes

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
