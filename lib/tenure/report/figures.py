"""The figures that several reports share: each takes a result or its table, and returns a Picture to show."""

from tenure.report.charts import (
    bars_with_intervals,
    forest,
    line_with_interval,
    retention_heatmap,
    waterfall,
)
from tenure.report.curves import cumulative_incidence, hazard, return_rates, returns, survival
from tenure.report.style import colors, theme

__all__ = [
    "bars_with_intervals",
    "colors",
    "cumulative_incidence",
    "forest",
    "hazard",
    "line_with_interval",
    "retention_heatmap",
    "return_rates",
    "returns",
    "survival",
    "theme",
    "waterfall",
]
