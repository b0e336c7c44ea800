"""Figures and cards of segments: what is drawn, for which tables, and that nothing from the data is run."""

from __future__ import annotations

import html
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from report_sample import HOSTILE, assert_within_frame

from tenure.errors import InputError
from tenure.models.composition import LEFT
from tenure.report import cards, exporter
from tenure.report import figures_segments as figures

EVIDENCE = pd.DataFrame(
    {
        "family": ["k-means"] * 3 + ["Gaussian mixture"] * 2,
        "k": [2, 3, 4, 2, 3],
        "strength": [0.9, 0.95, 0.4, 0.5, 0.6],
        "standard_error": 0.02,
        "cloud": 0.5,
    }
)
GRID = pd.DataFrame([[1.5, -0.3], [np.nan, 6.8]], index=["use", HOSTILE], columns=["a", HOSTILE])
CURVE = pd.DataFrame({"customers": [0, 0.5, 1.0], "value": [0, 0.3, 1.0]})
PAIRS = pd.DataFrame({"label": ["a", HOSTILE], "share": [0.2, 0.8], "value": [0.5, 0.5]})
VALUES = pd.DataFrame({"segment": ["a", HOSTILE], "arpa": [1000.0, np.nan], "arpa_high": 1100.0})
VALUES["arpa_low"] = [900.0, np.nan]
MATRIX = pd.DataFrame([[50, 3, 10], [0, 20, 5]], index=["a", HOSTILE], columns=["a", HOSTILE, LEFT])

DRAWN = {
    "evidence": lambda: figures.evidence(EVIDENCE, family="k-means", k=3, title="T"),
    "no evidence": lambda: figures.evidence(EVIDENCE.head(1), title="T"),
    "heatmap": lambda: figures.heatmap(GRID, title="T"),
    "shares": lambda: figures.heatmap(GRID.clip(0, 1), unit="percent", diverging=False, title="T"),
    "lorenz": lambda: figures.lorenz(CURVE, top=0.2, title="T"),
    "pairs": lambda: figures.pairs(PAIRS, first="share", second="value", labels=("x", "y"), title="T"),
    "panels": lambda: figures.panels(
        VALUES, [("arpa", "Pays", "money:EUR")] * 3, averages={"arpa": 950}, title="T"
    ),
    "flows": lambda: figures.flows(MATRIX, before="then", after="now", apart=[LEFT], title="T"),
}


@pytest.mark.parametrize("name", DRAWN)
def test_every_figure_is_drawn_within_its_frame(name):
    assert_within_frame(DRAWN[name]())


def test_bands_are_as_thick_as_the_number_of_customers():
    figure = figures.flows(MATRIX, before="then", after="now", apart=[LEFT])
    axes = figure.axes[0]
    bands = [patch.get_path().vertices for patch in axes.patches if len(patch.get_path().vertices) == 9]
    thick = sorted(round(abs(v[7][1] - v[0][1])) for v in bands)
    assert thick == sorted(MATRIX.to_numpy()[MATRIX.to_numpy() > 0].tolist())


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (lambda: figures.flows(MATRIX * 0, before="a", after="b"), "nobody moved"),
        (lambda: figures.heatmap(GRID.head(0)), "nothing to draw"),
        (lambda: figures.pairs(PAIRS, first="share", second="nope", labels=("a", "b")), "nope"),
    ],
)
def test_what_cannot_be_drawn_is_a_sentence(draw, words):
    with pytest.raises(InputError, match=words):
        draw()


@dataclass(frozen=True)
class Guess:
    value: float = 0.9
    low: float = 0.8
    high: float = 0.95


@dataclass(frozen=True)
class Condition:
    feature: str
    above: bool
    threshold: float


@dataclass(frozen=True)
class Rule:
    conditions: tuple
    precision: Guess = Guess()
    recall: Guess = Guess()


@pytest.fixture
def persona(monkeypatch):
    """The HTML of one persona's card, some of what it is given changed."""
    shown = []
    monkeypatch.setattr(cards, "show", shown.append)

    def draw(**changes):
        values, given = card()
        cards.personas(values, **{**given, **changes})
        return shown[-1]["text/html"]

    return draw


def card():
    """The values of a segment with a hostile name, and all else that its card says."""
    values = pd.DataFrame({"segment": [HOSTILE], "customers": [120], "share": [0.4], "value_share": [0.5]})
    values["value_minor"] = 120_000
    for name, value in {"arpa": 1000.0, "churn": 0.05, "retained": 0.8, "worth": 9000.0}.items():
        values = values.assign(**{name: value, f"{name}_low": value * 0.9, f"{name}_high": value * 1.1})
    effects = pd.DataFrame(
        {
            "segment": HOSTILE,
            "feature": ["platform_1", "minutes", "trend"],
            "inside": [0.4, 60.0, 0.1],
            "outside": [0.1, 30.0, 0.0],
            "g": [2.0, -0.8, 0.05],
            "low": [1.8, -1.0, -0.1],
            "high": [2.2, -0.6, 0.2],
        }
    )
    given = {
        "money": "money:EUR",
        "effects": effects,
        "rules": {HOSTILE: Rule((Condition("platform_1", True, 0.25), Condition("minutes", False, 40.0)))},
        "typical": pd.DataFrame({"customer_id": [HOSTILE], "platform_1": [0.5]}, index=[HOSTILE]),
        "curves": pd.DataFrame({"group": HOSTILE, "period": [1, 2], "survival": [0.9, 0.8]}),
        "actions": {HOSTILE: "Do this."},
        "labels": {"platform_1": ("platform", HOSTILE)},
    }
    return values, given


def test_a_card_says_who_what_sets_apart_how_to_find_and_what_to_do(persona):
    page = persona()
    assert "120 customers, 40% of all, pay €1,200 a month, 50% of the revenue" in page
    assert "€10.00" in page
    assert "40% against 10% of others (effect +2.0, 1.8 to 2.2)" in page
    assert "Trend" not in page  # its interval holds zero
    assert "above 25% and minutes at a time at most 40" in page
    assert "Do this." in page
    assert "Still there after 2 months: 80%" in page


def test_nothing_from_the_data_reaches_a_card_as_markup(persona):
    page = persona()
    assert HOSTILE not in page
    assert page.count(html.escape(HOSTILE)) == 5  # name, trait, member twice, rule
    assert "<script" not in page.lower()


def test_the_page_keeps_the_curve_of_a_card(persona):
    clean = exporter._safe(persona())
    assert '<polyline points="0.0,0.0 120.0,4.8 240.0,9.6"' in clean
    assert 'viewbox="0 0 240 48"' in clean.lower()
    assert "onload" not in exporter._safe(
        '<svg onload="alert(1)"><line x1="0" onclick="x" href="y"></line></svg>'
    )


def test_a_card_without_numbers_curve_or_rule_is_still_a_card(persona):
    nothing = pd.DataFrame(columns=["group", "period", "survival"])
    page = persona(curves=nothing, rules={}, actions={}, effects=pd.DataFrame(columns=["segment"]))
    assert "<svg" not in page
    assert "How to find them" not in page
    with pytest.raises(InputError, match="no name"):
        cards.cards([{"name": " "}])
