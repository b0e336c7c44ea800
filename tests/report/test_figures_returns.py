"""Figures of coming back: what their titles and words say, and that they can be drawn as wide as a page and a phone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from simulations import verdict_returns as simulation
from tenure.models import returns
from tenure.report import figures, figures_campaigns
from tenure.result import Table


@pytest.fixture(scope="module")
def life():
    rng, parts = np.random.default_rng(2), []
    for name in ("involuntary", "unknown", "voluntary"):
        parts.append(simulation.away(rng, 800).assign(by="cause", group=name))
    return pd.concat([simulation.away(rng, 2_400), *parts])


def drawn(picture):
    for width in (7.6, 3.6):
        assert picture.drawn(width).axes
    return picture


def test_the_curve_of_one_group_says_how_many_are_back(life):
    picture = drawn(figures.returns(returns.curve(life)))
    assert picture.title.endswith("have come back 365 days after they left")
    assert "365 days after they left: everybody" in picture.alt


def test_curves_of_groups_are_compared_but_for_those_of_unknown_cause(life):
    picture = drawn(figures.returns(returns.curve(life, "cause").table))
    assert "unknown" not in picture.title
    assert {"voluntary", "involuntary"} <= set(picture.title.replace(":", "").split())
    assert "unknown" in picture.alt


def test_the_week_in_which_most_come_back_is_named(life):
    table = returns.weekly(life)
    picture = drawn(figures.return_rates(table))
    week = int(table.frame.loc[table.frame["rate"].idxmax(), "week"])
    assert picture.title == f"Returns are commonest in week {week} after the end"
    assert f"come back in week {week}," in picture.alt


def test_the_group_whom_asking_helps_most_is_named():
    rows = pd.DataFrame(
        {
            "by": "days_since_end", "segment": ["0-30", "31-90"], "n": 900, "shrunk": [0.066, 0.01],
            "shrunk_low": [0.02, -0.01], "shrunk_high": [0.11, 0.03], "p_adjusted": [0.01, 0.5],
        }
    )  # fmt: skip
    table = Table(rows, {"shrunk": "points", "p_adjusted": "p"})
    picture = drawn(figures_campaigns.by_segment(table, left=True))
    assert "asking helps most, 6.6 points more come back" in picture.title
    nothing = table.pipe(lambda frame: frame.assign(shrunk_low=-0.1, p_adjusted=1.0))
    assert figures_campaigns.by_segment(nothing, left=True).title == (
        "In no group is there a clear effect of asking"
    )
