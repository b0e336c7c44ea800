"""Figures of prices: what is drawn, that words stay within the frame, and what is not known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Annotation
from report_sample import HOSTILE, assert_within_frame

from tenure.errors import InputError
from tenure.report import figures_pricing as figures

EFFECTS = pd.DataFrame(
    {
        "label": ["price_1499", HOSTILE, "a variant with a name that goes on for ever"],
        "difference": [-28.0, np.nan, 120.0],
        "low": [-97.0, np.nan, 60.0],
        "high": [41.0, np.nan, 180.0],
    }
)
CURVE = pd.DataFrame({"price": [1799.0, 999.0, 1299.0], "value": [1300.0, 1350.0, 1600.0], "naive": 1500.0})
CURVE["low"], CURVE["high"] = CURVE["value"] - 100, CURVE["value"] + 100
POINTS = pd.DataFrame(
    {"price": [999, 1299], "value": [1363, 1609], "low": [1240, 1445], "high": [1486, 1773]}
)
METER = pd.DataFrame({"price": [5.0, 10.0, 15.0]})
METER["too_cheap"], METER["cheap"] = [0.9, 0.1, 0.0], [1.0, 0.4, 0.0]
METER["expensive"], METER["too_expensive"] = [0.0, 0.5, 1.0], [0.0, 0.1, 0.8]
CROSSINGS = pd.DataFrame(
    {"point": ["optimal price", "lowest"], "price": [9.2, np.nan], "low": 8.9, "high": 9.6}
)

DRAWN = {
    "differences": lambda: figures.differences(EFFECTS, unit="money:EUR", worthwhile=77.0, title="T"),
    "sections": lambda: figures.differences(EFFECTS.assign(section=HOSTILE), unit="money:EUR", title="T"),
    "one price": lambda: figures.price_curve(
        CURVE.head(1), price_unit="money:EUR", unit="percent", title="T"
    ),
    "price curve": lambda: figures.price_curve(
        CURVE,
        price_unit="money:EUR",
        unit="money:EUR",
        lines={"value": "with churn", "naive": "churn ignored"},
        points=POINTS,
        marks={"best": 1331.0, "churn ignored": 1570.0},
        best=(1331.0, 1228.0, 1481.0),
        title="T",
    ),
    "meter": lambda: figures.price_meter(METER, CROSSINGS, price_unit="money:EUR", title="T"),
}


def words(figure):
    return [text.get_text() for text in figure.findobj(Annotation)]


@pytest.mark.parametrize("name", DRAWN)
def test_every_figure_is_drawn_within_its_frame(name):
    assert_within_frame(DRAWN[name]())


def test_a_difference_that_is_not_known_is_not_drawn_as_none():
    figure = DRAWN["differences"]()
    shown = [line for line in figure.axes[0].get_lines() if line.get_marker() == "o"]
    assert [line.get_xdata()[0] for line in shown] == [-28.0, 120.0]
    said = words(figure)
    assert {"not available", "\N{MINUS SIGN}€0.28", "+€1.20"} <= set(said)
    # Only what its interval tells apart from none is filled.
    assert [line.get_markerfacecolor() == "white" for line in shown] == [True, False]
    dashed = [line for line in figure.axes[0].get_lines() if list(line.get_xdata()) == [77.0, 77.0]]
    assert len(dashed) == 1


def test_a_curve_is_drawn_by_price_with_what_is_best_marked():
    figure = DRAWN["price curve"]()
    curve = figure.axes[0].get_lines()[0]
    assert list(curve.get_xdata()) == [999.0, 1299.0, 1799.0]
    assert list(curve.get_ydata()) == [1350.0, 1600.0, 1300.0]
    assert {"best €13.31", "churn ignored €15.70"} <= set(words(figure))
    low, high = figure.axes[0].get_ylim()
    assert low < 1200
    assert high > 1773


def test_crossings_that_are_not_there_are_not_marked():
    lines = DRAWN["meter"]().axes[0].get_lines()
    upright = [line.get_xdata()[0] for line in lines if len(set(line.get_xdata())) == 1]
    assert upright == [9.2]


@pytest.mark.parametrize(
    ("draw", "said"),
    [
        (lambda: figures.differences(EFFECTS.drop(columns="low"), unit="percent"), "needs the column low"),
        (lambda: figures.differences(EFFECTS.head(0), unit="percent"), "no rows"),
        (
            lambda: figures.price_curve(CURVE, price_unit="percent", unit="percent", lines={"x": ""}),
            "column x",
        ),
        (lambda: figures.price_meter(CURVE, CROSSINGS, price_unit="percent"), "column too_cheap"),
    ],
)
def test_a_table_that_cannot_be_drawn_is_refused_in_a_sentence(draw, said):
    with pytest.raises(InputError, match=said):
        draw()
