"""The figures of the metrics workbook: the month that still runs is pale, and bridges read alike."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from tenure import report
from tenure.errors import InputError
from tenure.report import figures, figures_metrics
from tenure.result import Estimate, Table

STORY = pd.DataFrame(
    {"date": pd.to_datetime(["2026-08-01", "2026-09-01", "2026-10-01"]), "new": [900, 800, 300],
     "reactivation": 10, "expansion": [50, 60, 20], "contraction": -5, "churn": [-400, -420, -100], "other": 0}
)  # fmt: skip


UNITS = dict.fromkeys(STORY.columns.drop("date"), "money:EUR")


@pytest.mark.parametrize("partial", [True, False])
def test_only_the_month_that_still_runs_is_pale(partial):
    picture = figures_metrics.movements_over_time(Table(STORY, UNITS), partial=partial)
    bars = [bar for bar in picture.drawn().axes[0].patches if bar.get_height()]
    pale = {round(bar.get_x()) for bar in bars if bar.get_alpha() == 0.45}
    assert pale == ({max(round(bar.get_x()) for bar in bars)} if partial else set())
    # Gains are drawn above the axis, losses below it.
    assert max(bar.get_y() + bar.get_height() for bar in bars) == 960
    assert picture.title == "In 3 months new customers brought €20.00, and churned customers took €9.20"
    with pytest.raises(InputError, match="no rows"):
        figures_metrics.movements_over_time(Table(STORY[:0], UNITS))


def test_bars_are_as_wide_as_their_periods():
    weeks = STORY.assign(date=pd.to_datetime(["2026-10-12", "2026-10-19", "2026-10-26"]))
    picture = figures_metrics.movements_over_time(Table(weeks, UNITS), period="week")
    bars = [bar for bar in picture.drawn().axes[0].patches if bar.get_height()]
    assert {round(bar.get_width()) for bar in bars} == {5}
    assert picture.title.startswith("In 3 weeks new customers brought")
    years = STORY.assign(date=pd.to_datetime(["2024-04-01", "2025-04-01", "2026-04-01"]))
    picture = figures_metrics.movements_over_time(Table(years, UNITS), period="fiscal_year")
    assert picture.title.startswith("In 3 fiscal years new customers brought")


def test_a_bridge_writes_its_amounts_with_the_same_decimals():
    table = pd.DataFrame({"label": ["before", "new", "after"], "amount": [9_174_200, 20_583, 9_194_783]})
    picture = figures.waterfall(Table(table, {"amount": "money:EUR"}))
    words = {text.get_text() for text in picture.drawn().axes[0].texts}
    assert {"€91,742", "+€206", "€91,948"} <= words


def test_what_cannot_be_drawn_says_why():
    nothing = Table(pd.DataFrame())
    for picture in (figures_metrics.retention_lines(nothing), figures.retention_heatmap(nothing)):
        assert picture.draw is None
        assert picture.empty.endswith(".")
    groups = Table(pd.DataFrame({"group": ["a"], "left": [math.nan]}), {"left": "percent"})
    assert figures_metrics.churn_by_group(groups, Estimate(math.nan), Estimate(math.nan)).draw is None


def test_groups_are_called_different_only_where_their_intervals_do_not_touch():
    rows = {"group": ["a", "b"], "left": [0.1, 0.3], "left_low": [0.05, 0.25], "left_high": [0.2, 0.4]}
    groups = Table(pd.DataFrame({**rows, "customers": 90}), {"left": "percent"})
    everybody = Estimate(0.2, unit="percent")
    titles = [
        figures_metrics.churn_by_group(groups, Estimate(0.2, case=case, words=words), everybody).title
        for case, words in (("apart", {"most": "b", "least": "a"}), ("together", {}))
    ]
    assert titles == ["More customers of b left than of a", "No group stands out by churn"]


def test_a_scorecard_says_what_it_counts_and_leaves_open_what_is_not_judged(capsys):
    row = {"metric": "Gross retention", "unit": "percent", "now": 0.5, "low": 0.4, "high": 0.6, "counted": False,
           "n": 1, "of": "customer", "before": 0.6, "against_before": "", "year_ago": 0.7,
           "against_year_ago": "worse", "target": math.nan, "met": ""}  # fmt: skip
    shown = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tenure.report.tables.show", lambda bundle, *rest: shown.append(bundle["text/html"]))
        report.scorecard(Table(pd.DataFrame([row])), caption="The numbers")
    assert "1 customer<" in shown[0]
    assert ">60%<" in shown[0]
    assert "70% ▼ worse" in shown[0]
