"""cefline on Airflow 3: a group of tasks that delivers what is new, and what exit codes mean.

Importing this, or a DAG file that uses it, imports neither polars, pyarrow nor an S3 client: what
converts is imported in the tasks.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cefline.airflow.errors import outcome
    from cefline.airflow.group import deliver

__all__ = ["deliver", "outcome"]

_HOMES = {"deliver": "group", "outcome": "errors"}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever is asked for
    if name not in _HOMES:
        message = f"module 'cefline.airflow' has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(f"cefline.airflow.{_HOMES[name]}"), name)
