"""The figures of the reports, drawn from small tables.

Each function takes a frame of a few hundred rows and returns a figure of its own that no global state knows.
Give it to :func:`tenure.report.figure` with an alternative text. Titles are statements; `subtitle` says what
is measured. Groups keep their colors from figure to figure; pass `colors` to choose them.
"""

from tenure.report.charts import (
    bars_with_intervals,
    forest,
    line_with_interval,
    retention_heatmap,
    waterfall,
)
from tenure.report.curves import cumulative_incidence, hazard, survival
from tenure.report.style import colors, theme

__all__ = [
    "bars_with_intervals",
    "colors",
    "cumulative_incidence",
    "forest",
    "hazard",
    "line_with_interval",
    "retention_heatmap",
    "survival",
    "theme",
    "waterfall",
]
