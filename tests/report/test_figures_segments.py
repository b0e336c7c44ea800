"""Figures and cards of segments: what is drawn, for which tables, and that nothing from the data is run."""

from __future__ import annotations

import datetime as dt
import html
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from report_sample import HOSTILE, assert_within_frame

from tenure.models import composition, latent
from tenure.models.composition import LEFT
from tenure.models.personas import Condition, Personas, PlainRule
from tenure.models.segments import Segmentation
from tenure.report import cards, exporter
from tenure.report import figures_segments as figures
from tenure.result import Estimate, Table

EVIDENCE = pd.DataFrame(
    {
        "family": ["k-means"] * 3 + ["Gaussian mixture"] * 2,
        "k": [2, 3, 4, 2, 3],
        "strength": [0.9, 0.95, 0.4, 0.5, 0.6],
        "standard_error": 0.02,
        "cloud": 0.5,
    }
)
FOUND = Segmentation("", 100, family="k-means", k=3, evidence=Table(EVIDENCE))
EFFECTS = pd.DataFrame(
    {
        "segment": ["a", "a", HOSTILE],
        "feature": ["minutes", HOSTILE, "minutes"],
        "inside": 1.0,
        "outside": 2.0,
        "g": [1.5, -0.3, 6.8],
        "g_low": 0.1,
        "g_high": 7.0,
        "n": 10,
    }
)
CLASSES = latent.LatentClasses(
    "",
    k=2,
    classes=Table(pd.DataFrame({"segment": ["a", HOSTILE], "share": [0.6, 0.4]})),
    profile=Table(
        pd.DataFrame(
            {
                "question": ["likes_films", HOSTILE] * 2,
                "answer": ["agrees", HOSTILE] * 2,
                "segment": ["a", "a", HOSTILE, HOSTILE],
                "chance": [0.2, 0.3, 0.8, 0.9],
                "base": 0.5,
            }
        )
    ),
)
CURVE = Table(pd.DataFrame({"customers": [0, 0.5, 1.0], "value": [0, 0.3, 1.0]}))
SPREAD = composition.Concentration(CURVE, Estimate(0.2), Estimate(0.2))
SHARES = Table(pd.DataFrame({"segment": ["a", HOSTILE], "share": [0.2, 0.8], "value_share": [0.5, 0.5]}))
MOVES = pd.DataFrame(
    {
        "before": ["a", "a", "a", HOSTILE, HOSTILE],
        "after": ["a", HOSTILE, LEFT, HOSTILE, LEFT],
        "customers": [50, 3, 10, 20, 5],
        "then_minor": 100,
        "now_minor": 100,
        "change_squares": 1.0,
    }
)
DAYS = (dt.date(2026, 4, 30), dt.date(2026, 10, 31))
COUNTS = pd.DataFrame(
    {
        "characteristic": "household",
        "level": ["family", HOSTILE] * 2,
        "segment": ["a", "a", HOSTILE, HOSTILE],
        "n": [90, 10, 20, 80],
    }
)


def worths(name=HOSTILE, **changed):
    """What two segments pay and are worth."""
    frame = pd.DataFrame({"segment": [name, "b"], "customers": [120, 30], "share": [0.8, 0.2]})
    frame["value_minor"] = 120_000
    for column, value in {
        "value_share": 0.5, "arpa": 1000.0, "churn": 0.05, "retained": 0.8, "worth": 9000.0, "active_days": 2.0,
        **changed,
    }.items():  # fmt: skip
        frame = frame.assign(**{column: value, f"{column}_low": value * 0.9, f"{column}_high": value * 1.1})
    units = {"arpa": "money:EUR", "worth": "money:EUR", "value_minor": "money:EUR", "active_days": "number"}
    units |= dict.fromkeys(("share", "value_share", "churn", "retained"), "percent")
    life = pd.DataFrame({"group": name, "period": [1, 2], "at_risk": [10, 9], "events": [1, 1]})
    life = life.assign(censored=[0, 8])
    return composition.SegmentValues(Table(frame, units), life, 6, {"arpa": 950.0})


DRAWN = {
    "evidence": lambda: figures.evidence(FOUND),
    "no evidence": lambda: figures.evidence(replace(FOUND, k=1, evidence=Table(EVIDENCE.head(1)))),
    "traits": lambda: figures.traits(EFFECTS, {}),
    "answers": lambda: figures.answers(CLASSES),
    "lorenz": lambda: figures.lorenz(SPREAD),
    "shares": lambda: figures.shares(SHARES),
    "values": lambda: figures.values(worths(), 24),
    "unknown values": lambda: figures.values(worths(churn=np.nan, worth=np.nan), 24),
    "moves": lambda: figures.moves(composition.migration(MOVES, "EUR"), *DAYS),
    "unusual": lambda: figures.unusual(composition.representation(COUNTS)),
}


@pytest.mark.parametrize("name", DRAWN)
def test_every_figure_is_drawn_within_its_frame(name):
    picture = DRAWN[name]()
    assert picture.title
    assert picture.alt
    assert len(picture.data)
    assert_within_frame(picture.drawn())


def test_bands_are_as_thick_as_the_number_of_customers():
    axes = DRAWN["moves"]().drawn().axes[0]
    bands = [patch.get_path().vertices for patch in axes.patches if len(patch.get_path().vertices) == 9]
    thick = sorted(round(abs(v[7][1] - v[0][1])) for v in bands)
    assert thick == sorted(MOVES["customers"])


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (figures.moves(composition.migration(MOVES.assign(before=LEFT), "EUR"), *DAYS), "no earlier day"),
        (figures.evidence(Segmentation("Too few.", 3)), "Too few."),
        (figures.answers(latent.LatentClasses("Nobody was asked.")), "Nobody was asked."),
        (figures.traits(pd.DataFrame(), {}), "no groups"),
        (figures.unusual(composition.representation()), "no characteristic"),
        (figures.unusual(composition.representation(COUNTS.assign(n=50))), "No kind of customer"),
        (
            figures.values(replace(worths(), table=worths().table.pipe(lambda t: t.head(1))), 24),
            "one segment",
        ),
    ],
)
def test_what_cannot_be_drawn_is_a_sentence(picture, words):
    assert picture.draw is None
    assert words in picture.empty


@pytest.fixture
def persona(monkeypatch):
    """The HTML of one persona's card, some of what it is given changed."""
    shown = []
    monkeypatch.setattr(cards, "show", shown.append)

    def draw(**changes):
        cards.personas(replace(someone(), **changes), 24)
        return shown[-1]["text/html"]

    return draw


def someone():
    """A segment with a hostile name, and all else that its card says."""
    worth = worths()
    worth = replace(worth, table=worth.table.pipe(lambda rows: rows.head(1).assign(share=0.4)))
    effects = pd.DataFrame(
        {
            "segment": HOSTILE,
            "feature": ["platform_1", "minutes", "trend"],
            "inside": [0.4, 60.0, 0.1],
            "outside": [0.1, 30.0, 0.0],
            "g": [2.0, -0.8, 0.05],
            "g_low": [1.8, -1.0, -0.1],
            "g_high": [2.2, -0.6, 0.2],
        }
    )
    sure = Estimate(0.9, 0.8, 0.95, unit="percent")
    conditions = (Condition("platform_1", True, 0.25), Condition("minutes", False, 40.0))
    return Personas(
        worth,
        effects,
        rules={HOSTILE: PlainRule(conditions, sure, sure)},
        typical=pd.DataFrame({"customer_id": [HOSTILE], "platform_1": [0.5]}, index=[HOSTILE]),
        common=pd.DataFrame(),
        actions={HOSTILE: "Do this."},
        labels={"platform_1": ("platform", HOSTILE)},
    )


def test_a_card_has_size_differences_a_rule_and_an_action(persona):
    page = persona()
    assert "120 customers, 40% of all, pay €1,200 per month, 50% of the revenue" in page
    assert "€10.00" in page
    assert "40% against 10% of others (effect +2.0, 1.8 to 2.2)" in page
    assert "Trend" not in page  # its interval holds zero
    assert "above 25% and minutes at a time at most 40" in page
    assert "Do this." in page
    assert "Still there after 2 months: 80%" in page


def test_nothing_from_the_data_reaches_a_card_as_markup(persona):
    page = persona()
    assert HOSTILE not in page
    assert page.count(html.escape(HOSTILE)) == 5  # name, trait, member, rule
    assert "<script" not in page.lower()


def test_the_page_keeps_the_curve_of_a_card(persona):
    clean = exporter._safe(persona())
    assert '<polyline points="0.0,0.0 120.0,4.8 240.0,9.6"' in clean
    assert 'viewbox="0 0 240 48"' in clean.lower()
    assert "onload" not in exporter._safe(
        '<svg onload="alert(1)"><line x1="0" onclick="x" href="y"></line></svg>'
    )


def test_a_card_without_numbers_curve_or_rule_is_still_a_card(persona):
    nothing = replace(
        someone().worth, life=pd.DataFrame(columns=["group", "period", "at_risk", "events", "censored"])
    )
    page = persona(worth=nothing, rules={}, actions={}, effects=someone().effects.head(0))
    assert "<svg" not in page
    assert "How to find them" not in page
