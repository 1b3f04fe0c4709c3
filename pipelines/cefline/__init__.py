"""Bulk forensic timeline exports in, partitioned CEF text on S3 out, each event exactly once.

The names in `__all__` are imported when they are first asked for: polars, pyarrow and s3fs take a
second, which `cefline --help` does not have.
"""

import sys
from importlib import import_module
from importlib.metadata import version
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cefline.api import parse, profile, read, render
    from cefline.config import Config
    from cefline.errors import CeflineError
    from cefline.job import export
    from cefline.report import Report
    from cefline.settings import load as load_config

__all__ = [
    "CeflineError",
    "Config",
    "Report",
    "export",
    "load_config",
    "parse",
    "profile",
    "read",
    "render",
]
__version__ = version("cefline")

_HOMES = {
    "CeflineError": ("errors", "CeflineError"),
    "Config": ("config", "Config"),
    "Report": ("report", "Report"),
    "export": ("job", "export"),
    "load_config": ("settings", "load"),
    "parse": ("api", "parse"),
    "profile": ("api", "profile"),
    "read": ("api", "read"),
    "render": ("api", "render"),
}


class _Package(ModuleType):
    """A package whose functions `read`, `render` and `parse` stay what they are.

    Importing a module of the same name would put the module in the function's place.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever is asked for
    if name not in _HOMES:
        message = f"module 'cefline' has no attribute {name!r}"
        raise AttributeError(message)
    module, attribute = _HOMES[name]
    return getattr(import_module(f"cefline.{module}"), attribute)
