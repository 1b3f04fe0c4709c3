"""What `airflow providers` shows; imported by Airflow at each start, so it imports nothing heavy.

The names are those of Airflow's schema `provider_info.schema.json`.
"""

from importlib.metadata import metadata
from typing import Any


def provider_info() -> dict[str, Any]:
    """Return what Airflow asks of a package at the entry point `apache_airflow_provider`."""
    told = metadata("cefline")
    return {
        "package-name": told["Name"],
        "name": "cefline",
        "description": told["Summary"],
        "versions": [told["Version"]],
    }
