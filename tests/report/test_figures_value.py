"""Figures of value: they draw what they are given, say it aloud, and refuse what they cannot draw."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tenure.errors import InputError
from tenure.report import figures_value
from tenure.result import Table

MONTHS = np.arange(25)
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
PREDICTED = pd.DataFrame(
    {
        "quarter": ["2025 Q1", "2025 Q2"],
        "expected": [100, 80],
        "expected_low": [90, 70],
        "expected_high": [110, 90],
        "happened": [105, 60],
    }
)
VALUES = pd.DataFrame(
    {"group": ["Plus", "Year"], "wrong": [100.0, np.nan], "right": [150.0, 90.0], "right_low": [140.0, 80.0],
     "right_high": [160.0, 99.0]}
)  # fmt: skip

DRAWN = {
    "projection": lambda: figures_value.projection(RETENTION),
    "payments": lambda: figures_value.payments(Table(PAYMENTS, {"value": "money:EUR"})),
    "calibration": lambda: figures_value.calibration(Table(PREDICTED, {"expected": "count"}), "quarter"),
    "right_and_wrong": lambda: figures_value.right_and_wrong(
        Table(VALUES, {"right": "money:EUR"}), "a formula", "retention"
    ),
}
SAID = {
    "projection": "After 24 months, 29.2% of Plus are expected to still be there",
    "payments": "Customers who stay with Plus pay 33.3% more than when they began",
    "calibration": "What happened lies within the range of what was predicted in 1 of 2",
    "right_and_wrong": "a formula is 33.3% too low for Plus",
}


@pytest.fixture(scope="module", params=DRAWN)
def figure(request):
    return DRAWN[request.param]().drawn()


@pytest.mark.parametrize("name", DRAWN)
def test_a_figure_says_its_takeaway_its_data_and_what_a_reader_would_see(name):
    picture = DRAWN[name]()
    assert picture.title == SAID[name]
    assert len(picture.alt) > 40
    assert len(picture.data) > 0


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


def test_what_lies_outside_its_range_is_named():
    assert any("outside the range" in text for text in words(DRAWN["calibration"]().drawn()))
    inside = figures_value.calibration(Table(PREDICTED[:1], {"expected": "count"}), "quarter")
    assert not any("outside the range" in text for text in words(inside.drawn()))


def test_payments_that_hardly_change_are_not_said_to():
    table = Table(
        PAYMENTS.assign(value=PAYMENTS["month"].map(lambda month: 900.0 - month)), {"value": "money:EUR"}
    )
    said = "Customers who stay pay about what they paid when they began"
    assert figures_value.payments(table).title == said


def test_payments_hold_from_the_last_age_on():
    axes = DRAWN["payments"]().drawn().axes[0]
    plus = next(line for line in axes.lines if line.get_ydata()[0] == 900.0)
    assert list(plus.get_xdata()) == [0.0, 3.0, 12.0]
    assert list(plus.get_ydata()) == [900.0, 1200.0, 1200.0]


@pytest.mark.parametrize(
    ("draw", "words_"),
    [
        (lambda: figures_value.payments(PAYMENTS[:0]), "has no rows"),
        (lambda: figures_value.projection(RETENTION.drop(columns="seen")), "needs the column seen"),
        (lambda: figures_value.payments(Table(PAYMENTS, {"value": "euro"})), "euro"),
    ],
)
def test_tables_that_cannot_be_drawn_are_refused(draw, words_):
    with pytest.raises(InputError, match=words_):
        draw()
