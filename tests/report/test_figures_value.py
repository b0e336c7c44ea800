"""Figures of value: they draw what they are given, and refuse what they cannot draw."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tenure.errors import InputError
from tenure.report import figures_value

MONTHS = np.arange(25)
CURVES = pd.concat(
    [
        pd.DataFrame({"channel": name, "month": MONTHS, "value": pay * MONTHS + pay}).assign(
            low=lambda rows: rows["value"] * 0.9, high=lambda rows: rows["value"] * 1.1
        )
        for name, pay in (
            ("ads", 500.0),
            ("web", 300.0),
            ("a channel with a very long name", 100.0),
            ("tv", 50.0),
        )
    ]
)
COSTS = pd.DataFrame(
    {
        "channel": ["ads", "web", "a channel with a very long name", "tv"],
        "cost": [2000.0, 0.0, np.nan, 90_000.0],
        "payback": [3.0, 0.0, np.nan, np.nan],
    }
)
RETENTION = pd.DataFrame(
    {
        "group": np.repeat(["Plus", "other", "Annual"], 25),
        "month": np.tile(MONTHS, 3),
        "fitted": np.tile(0.95**MONTHS, 3),
        "seen": np.tile(np.where(MONTHS < 12, 0.95**MONTHS, np.nan), 3),
    }
)
PAYMENTS = pd.DataFrame(
    {
        "group": ["Plus", "Plus", "Annual", "other"],
        "month": [0.0, 3.0, 0.0, 0.0],
        "value": [900.0, 1200.0, 990.0, 0.0],
    }
)
FORETOLD = pd.DataFrame(
    {
        "start": ["2025 Q1", "2025 Q2"],
        "expected": [100, 80],
        "low": [90, 70],
        "high": [110, 90],
        "stayed": [105, 60],
    }
)
VALUES = pd.DataFrame(
    {"label": ["Plus", "Year"], "wrong": [100.0, np.nan], "right": [150.0, 90.0], "low": [140.0, 80.0], "high": [160.0, 99.0]}
)  # fmt: skip

DRAWN = {
    "projection": lambda: figures_value.projection(RETENTION, title="Retention"),
    "payments": lambda: figures_value.payments(PAYMENTS, unit="money:EUR", title="Payments"),
    "payback": lambda: figures_value.payback(
        CURVES, COSTS, by="channel", unit="money:EUR", watched=12, title="Payback"
    ),
    "calibration": lambda: figures_value.calibration(
        FORETOLD, label="start", seen="stayed", unit="count", title="Foretold"
    ),
    "right_and_wrong": lambda: figures_value.right_and_wrong(
        VALUES, unit="money:EUR", wrong="a formula", right="retention", title="Value"
    ),
}


@pytest.fixture(scope="module", params=DRAWN)
def figure(request):
    return DRAWN[request.param]()


def words(figure):
    return [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]


def test_nothing_is_cut_off_and_no_labels_of_an_axis_overlap(figure):
    canvas = figure.bbox
    renderer = figure.canvas.get_renderer()
    for axes in figure.axes:
        if not axes.get_visible():
            continue
        box = axes.get_tightbbox(renderer)
        assert min(box.x0, box.y0) >= -1
        assert box.x1 <= canvas.x1 + 1
        assert box.y1 <= canvas.y1 + 1
    labels = [
        label.get_window_extent(renderer)
        for axes in figure.axes
        for label in axes.get_xticklabels()
        if axes.get_visible()
        and label.get_text()
        and label.get_visible()
        and axes.xaxis.get_tick_params().get("labelbottom", True)
    ]
    for place, one in enumerate(labels):
        assert not any(one.padded(4).overlaps(other.padded(4)) for other in labels[place + 1 :])


def test_payback_says_when_a_channel_has_earned_its_cost():
    said = words(DRAWN["payback"]())
    assert "ads: month 3" in said
    assert "web: free" in said
    assert "tv: not covered" in said


def test_what_lies_outside_its_range_is_named():
    assert any("outside the range" in text for text in words(DRAWN["calibration"]()))
    inside = figures_value.calibration(FORETOLD[:1], label="start", seen="stayed", unit="count")
    assert not any("outside the range" in text for text in words(inside))


def test_payments_hold_from_the_last_age_on():
    axes = DRAWN["payments"]().axes[0]
    plus = next(line for line in axes.lines if line.get_ydata()[0] == 900.0)
    assert list(plus.get_xdata()) == [0.0, 3.0, 12.0]
    assert list(plus.get_ydata()) == [900.0, 1200.0, 1200.0]


@pytest.mark.parametrize(
    ("draw", "words_"),
    [
        (lambda: figures_value.payments(PAYMENTS[:0], unit="money:EUR"), "has no rows"),
        (lambda: figures_value.projection(RETENTION.drop(columns="seen")), "needs the column seen"),
        (lambda: figures_value.payments(PAYMENTS, unit="euro"), "euro"),
    ],
)
def test_tables_that_cannot_be_drawn_are_refused(draw, words_):
    with pytest.raises(InputError, match=words_):
        draw()
