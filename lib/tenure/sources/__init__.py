"""From somebody's data to contract tables: open, map, check."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tenure.sources.checks import CheckReport, Problem, check, check_as_of
    from tenure.sources.connect import Source, collect, open_source
    from tenure.sources.counting import counters
    from tenure.sources.mapping import load_mapping

__all__ = [
    "CheckReport",
    "Problem",
    "Source",
    "check",
    "check_as_of",
    "collect",
    "counters",
    "load_mapping",
    "open_source",
]


def __getattr__(name: str) -> Any:
    # Reading an address needs no query engine, which takes seconds to import.
    for module in ("checks", "connect", "counting", "mapping") if name in __all__ else ():
        found = import_module(f"tenure.sources.{module}")
        if hasattr(found, name):
            return getattr(found, name)
    raise AttributeError(f"module 'tenure.sources' has no attribute {name!r}")
