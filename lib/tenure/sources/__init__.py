"""From somebody's data to contract tables: open, map, check."""

from tenure.sources.checks import CheckReport, Problem, check, check_as_of
from tenure.sources.connect import Source, collect, fingerprint, open_source
from tenure.sources.mapping import load_mapping

__all__ = [
    "CheckReport",
    "Problem",
    "Source",
    "check",
    "check_as_of",
    "collect",
    "fingerprint",
    "load_mapping",
    "open_source",
]
