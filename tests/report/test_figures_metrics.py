"""The figures of the metrics workbook: the month that still runs is pale, and bridges read alike."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from tenure.errors import InputError
from tenure.report import figures, figures_metrics, scorecard

STORY = pd.DataFrame(
    {"date": pd.to_datetime(["2026-08-01", "2026-09-01", "2026-10-01"]), "new": [900, 800, 300],
     "reactivation": 10, "expansion": [50, 60, 20], "contraction": -5, "churn": [-400, -420, -100], "other": 0}
)  # fmt: skip


@pytest.mark.parametrize("partial", [True, False])
def test_only_the_month_that_still_runs_is_pale(partial):
    figure = figures_metrics.movements_over_time(STORY, unit="money:EUR", partial=partial, title="Moved")
    bars = [bar for bar in figure.axes[0].patches if bar.get_height()]
    pale = {round(bar.get_x()) for bar in bars if bar.get_alpha() == 0.45}
    assert pale == ({max(round(bar.get_x()) for bar in bars)} if partial else set())
    # Gains stand on the axis, losses hang from it.
    assert max(bar.get_y() + bar.get_height() for bar in bars) == 960
    with pytest.raises(InputError, match="no rows"):
        figures_metrics.movements_over_time(STORY[:0], unit="money:EUR")


def test_a_bridge_writes_its_amounts_with_the_same_decimals():
    table = pd.DataFrame({"label": ["before", "new", "after"], "amount": [9_174_200, 20_583, 9_194_783]})
    words = {text.get_text() for text in figures.waterfall(table, unit="money:EUR").drawn().axes[0].texts}
    assert {"€91,742", "+€206", "€91,948"} <= words


def test_a_value_and_its_interval_are_written_alike_and_open_ends_are_said():
    frame = pd.DataFrame(
        {"cac": [61_369.0, math.nan, 5_631.0], "cac_low": [51_273.0, math.nan, 5_215.0],
         "cac_high": [71_464.0, math.nan, math.inf]}
    )  # fmt: skip
    found = scorecard.with_intervals(frame, {"cac": "money:EUR"})["cac"].tolist()
    assert found == ["€613.69 (€512.73 to €714.64)", "not available", "€56.31 (€52.15 or more)"]
