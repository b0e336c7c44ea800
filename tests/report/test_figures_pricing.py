"""Figures of prices: what is drawn, that words stay within the frame, and what is not known."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Annotation
from report_sample import HOSTILE, assert_within_frame

from tenure.report import figures_pricing as figures
from tenure.result import Estimate, Table
from tenure.stats import comparison

EUR = "money:EUR"
LABELS = {
    "price_1499": "price_1499",
    "hostile": HOSTILE,
    "long": "a variant with a name that goes on for ever",
}
EFFECTS = pd.DataFrame(
    {
        "variant": ["long", "price_1499", "hostile"],
        "difference": [120.0, -28.0, np.nan],
        "difference_low": [60.0, -97.0, np.nan],
        "difference_high": [180.0, 41.0, np.nan],
    }
)
DECIDED = SimpleNamespace(
    table=Table(EFFECTS, {"difference": EUR}), worthwhile=Estimate(77.0, unit=EUR), level=0.95
)
CURVE = pd.DataFrame({"price": [1799.0, 999.0, 1299.0], "value": [1300.0, 1350.0, 1600.0]})
CURVE = CURVE.assign(
    value_low=CURVE["value"] - 100, value_high=CURVE["value"] + 100, value_churn_ignored=1500.0
)
NAIVE = Estimate(12.0, unit=EUR, words={"naive": Estimate(1570.0, unit=EUR)})
PROFIT = SimpleNamespace(
    table=Table(CURVE, dict.fromkeys(("price", "value", "value_churn_ignored"), EUR)),
    best=Estimate(1331.0, 1228.0, 1481.0, unit=EUR),
    cost_of_naive=NAIVE,
    hazard_ratio=Estimate(1.07, unit="ratio", case="does not fit"),
    horizon=12,
    level=0.95,
)
ARMS = pd.DataFrame(
    {"price": [999, 1299], "value": [1363, 1609], "value_low": [1240, 1445], "value_high": [1486, 1773]}
)
VALUE = SimpleNamespace(table=Table(ARMS, {"price": EUR, "value": EUR}))
METER = pd.DataFrame({"price": [500.0, 1000.0, 1500.0]})
METER["too_cheap"], METER["not_cheap"] = [0.9, 0.1, 0.0], [0.0, 0.6, 1.0]
METER["not_expensive"], METER["too_expensive"] = [1.0, 0.5, 0.0], [0.0, 0.1, 0.8]
POINTS = pd.DataFrame({"point": ["optimal price", "lowest"], "price": [920.0, np.nan]})
CROSSINGS = SimpleNamespace(
    curves=Table(METER, {"price": EUR}),
    points=Table(POINTS, {"price": EUR}),
    point=lambda name: Estimate(920.0, unit=EUR),
)
STATED = SimpleNamespace(
    table=Table(
        pd.DataFrame(
            {"price": [999.0], "share": [0.8], "share_low": [0.7], "share_high": [0.9], "smoothed": [0.8]}
        ),
        {"price": EUR, "share": "percent", "smoothed": "percent"},
    ),
    best=Estimate(0.8, words={"price": Estimate(999.0, unit=EUR)}),
)
WORTH = Table(
    pd.DataFrame(
        {
            "attribute": ["ads", "ads", HOSTILE],
            "level": ["yes", "some", "yes"],
            "worth": [-314.0, -100.0, 50.0],
            "worth_low": [-330.0, -120.0, -10.0],
            "worth_high": [-290.0, -80.0, 110.0],
        }
    ),
    {"worth": EUR},
)
COUNTS = pd.DataFrame({"variant": list(LABELS), "n": [500, 400, 300], "s_converted": [100, 60, 0]})
SHARES = comparison.compare_shares(COUNTS, control="price_1499")

DRAWN = {
    "decision": lambda: figures.decision(DECIDED, LABELS, within=Estimate(12, unit="months")),
    "segments": lambda: figures.segment_effects(
        SimpleNamespace(
            table=Table(
                pd.DataFrame(
                    {
                        "segment": ["tv", HOSTILE],
                        "shrunk": [1.0, -2.0],
                        "shrunk_low": -3.0,
                        "shrunk_high": 4.0,
                    }
                ),
                {"shrunk": EUR},
            )
        ),
        title="New against old",
    ),
    "worth": lambda: figures.willingness_to_pay(WORTH),
    "one price": lambda: figures.stated_demand(STATED),
    "price curve": lambda: figures.value_by_price(PROFIT, VALUE),
    "meter": lambda: figures.price_meter(CROSSINGS),
    "arms": lambda: figures.arms(SHARES, LABELS, outcome="play", on_day=7),
}


def words(figure):
    return [text.get_text() for text in figure.findobj(Annotation)]


@pytest.mark.parametrize("name", DRAWN)
def test_every_figure_is_drawn_within_its_frame_wide_and_narrow(name):
    picture = DRAWN[name]()
    assert picture.title
    for width in (6.6, 4.0):
        assert_within_frame(picture.drawn(width))


def test_a_difference_that_is_not_known_is_not_drawn_as_none():
    picture = DRAWN["decision"]()
    figure = picture.drawn()
    shown = [line for line in figure.axes[0].get_lines() if line.get_marker() == "o"]
    # In the order of the labels.
    assert [line.get_xdata()[0] for line in shown] == [-28.0, 120.0]
    assert {"not available", "\N{MINUS SIGN}\u2060€0.28", "+\u2060€1.20"} <= set(words(figure))
    # Only what its interval tells apart from none is filled.
    assert [line.get_markerfacecolor() == "white" for line in shown] == [True, False]
    dashed = [line for line in figure.axes[0].get_lines() if list(line.get_xdata()) == [77.0, 77.0]]
    assert len(dashed) == 1
    assert "within 12 months" in picture.title
    assert "price_1499 \N{MINUS SIGN}\u2060€0.28" in picture.alt


def test_a_curve_is_drawn_by_price_with_what_is_best_marked():
    picture = DRAWN["price curve"]()
    figure = picture.drawn()
    curve = figure.axes[0].get_lines()[0]
    assert list(curve.get_xdata()) == [999.0, 1299.0, 1799.0]
    assert list(curve.get_ydata()) == [1350.0, 1600.0, 1300.0]
    assert {"best €13.30", "churn ignored €15.70"} <= set(words(figure))
    low, high = figure.axes[0].get_ylim()
    assert low < 1200
    assert high > 1773
    assert "do not fit" in picture.subtitle
    assert picture.title == "A visitor is worth most at €13.30, within 12 months"


def test_crossings_that_are_not_there_are_not_marked():
    lines = DRAWN["meter"]().drawn().axes[0].get_lines()
    upright = [line.get_xdata()[0] for line in lines if len(set(line.get_xdata())) == 1]
    assert upright == [920.0]


def test_what_a_level_is_worth_is_read_with_its_attribute():
    assert "ads yes \N{MINUS SIGN}\u2060€3.14, ads some \N{MINUS SIGN}\u2060€1.00" in DRAWN["worth"]().alt


def test_nothing_to_compare_is_said():
    none = SimpleNamespace(table=Table(EFFECTS.head(0), {"shrunk": EUR}))
    assert "nothing to compare" in figures.segment_effects(none, title="New against old").empty
