"""Tenure: who your subscribers are, how long they stay, and what they are worth.

The rooms, from the ground up: `sources` opens somebody's data as contract tables; `measures` reduces
them inside the query engine to small tables of counts; `models` estimates on the counts; `report` shows
what was found. A notebook is where the four meet.
"""

from __future__ import annotations

# The command begins here: whatever takes time to import is imported when it is asked for.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tenure.errors import InputError, NotApplicable, TenureError
    from tenure.policy import MetricPolicy

__version__ = "0.1.0"

__all__ = [
    "InputError",
    "MetricPolicy",
    "NotApplicable",
    "TenureError",
    "__version__",
    "collect",
    "open_source",
    "open_workbook",
    "read_numbers",
]


def __getattr__(name: str) -> Any:
    if name in ("InputError", "NotApplicable", "TenureError"):
        from tenure import errors

        return getattr(errors, name)
    if name in ("open_source", "collect"):
        from tenure.sources import connect

        return getattr(connect, name)
    if name == "read_numbers":
        from tenure.sources import published

        return published.read_numbers
    if name == "MetricPolicy":
        from tenure.policy import MetricPolicy

        return MetricPolicy
    if name == "open_workbook":
        from tenure import workbook

        return workbook.open_workbook
    raise AttributeError(f"module 'tenure' has no attribute {name!r}")
