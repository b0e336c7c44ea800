"""Curves that no model fits: as observed, with a tail, and intervals that hold the truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from models.customers import base_of, flat, terms
from tenure.models import renewals, retention_choice, value
from tenure.models.retention_seen import anchored

MONTHS = np.arange(1, 361)
# Many leave at once, then hardly anybody for three years, then many again; and a yearly cliff.
LAWS = {
    "late": np.where(MONTHS <= 3, 0.2, np.where(MONTHS < 40, 0.005, 0.05)),
    "cliffs": np.where(MONTHS % 12 == 0, 0.3, 0.015),
    "nobody at the end": np.where(MONTHS <= 12, 0.15 * (MONTHS % 2), 0.0),
    "geometric": np.full(360, 0.03),
    "heterogeneous": 0.7 / (0.7 + 10 + MONTHS - 1),
}


def company(law, seed=1, starters=200, months=60, group="Plus"):
    """Lifetimes of so many starters a month, each observed to the last day."""
    rng, rows = np.random.default_rng(seed), []
    for watched in range(1, months + 1):
        n = starters
        for k in range(1, watched + 1):
            left = rng.binomial(n, LAWS[law][k - 1])
            rows.append((k, 1, left))
            n -= left
        rows.append((watched, 0, n))
    stays = (
        pd.DataFrame(rows, columns=["exit", "event", "n"]).groupby(["exit", "event"], as_index=False).sum()
    )
    stays = stays[stays["n"] > 0].assign(entry=0, group=group, interval="1 month")
    return stays.assign(cause=np.where(stays["event"] == 1, "voluntary", None))


def truth(law, own):
    curve = np.r_[1.0, np.cumprod(1 - LAWS[law])]
    return 1000 * float((curve * (1 + own.rate("1 month")) ** -np.arange(361.0)).sum())


def of_a_new_one(fit, own):
    intake = pd.DataFrame({"group": ["Plus"], "interval": "1 month", "customers": [1]})
    return value.value_new(fit, intake, flat(own))


@pytest.mark.parametrize("law", ["late", "cliffs"])
def test_a_curve_that_does_not_fit_is_taken_as_observed_and_its_interval_knows_it(law):
    own, stays = terms(discount_rate=0.10), company(law)
    choice = retention_choice.choose_fit(stays)
    assert "lay outside what was observed at" in choice.notes[-1]
    life = renewals.life_table(stays)
    observed = np.cumprod(1 - life["events"] / life["at_risk"])[life["at_risk"] >= 30]
    cells = pd.DataFrame({"group": ["Plus"], "interval": "1 month"})
    curve = choice.fit.curves(cells, 300)[0]
    assert curve[1 : len(observed) + 1] == pytest.approx(observed.to_numpy())
    assert (np.diff(curve) <= 0).all()
    found = of_a_new_one(choice.fit, own)
    plain = of_a_new_one(replace(choice.fit, seen=(), others=()), own)
    assert found.each.low < truth(law, own) < found.each.high
    assert found.each.high - found.each.low > plain.each.high - plain.each.low
    for other in found.others:
        assert found.each.low <= other.each.low <= other.each.high <= found.each.high
    # Today's customers, the stages of life and resampled customers follow the same curves.
    base = base_of([("Plus", "1 month", 3, "EUR", 5, 5_000, 9.0)]).assign(model_group="Plus")
    worth = value.value_base(choice.fit, base, flat(own))
    assert len(worth.others) == len(found.others) > 0
    assert worth.scores(["group"])["low"].iloc[0] == pytest.approx(
        worth.total.low / worth.rows["waited_minor"].sum()
    )
    stages = retention_choice.lifetimes(choice.fit, stays, own, renewals=[1, 12]).frame
    assert (stages["value_low"] < stages["value"]).all()
    drawn = value.resampled_total(worth, stays, base, flat(own), draws=2)
    assert drawn.low < drawn.value < drawn.high


@pytest.mark.parametrize("seed", [0, 3])
def test_whole_years_belong_to_the_ends_that_a_tail_may_follow(seed):
    # A last third of 20 months holds one cliff or two of a yearly pattern: by it alone both intervals missed.
    own = terms(discount_rate=0.10)
    found = of_a_new_one(retention_choice.choose_fit(company("cliffs", seed)).fit, own).each
    assert found.low < truth("cliffs", own) < found.high


def test_a_curve_that_nobody_leaves_at_its_end_goes_on_as_those_who_left_last():
    own, stays = terms(discount_rate=0.10), company("nobody at the end", starters=2_000)
    fit = retention_choice.choose_fit(stays).fit
    assert fit.seen
    found = of_a_new_one(fit, own).each
    assert 0 < found.low < found.value < found.high
    assert found.high / truth("nobody at the end", own) > 0.5


@pytest.mark.parametrize("law", ["geometric", "heterogeneous"])
def test_a_curve_that_fits_stays_as_it_is(law):
    life = renewals.life_table(company(law))
    fit = retention_choice.fit_retention(life, "sbg")
    same, notes = anchored(fit, life)
    assert (same.seen, same.others, notes) == ((), (), ())


def test_what_lies_beyond_the_lives_observed_is_said():
    own = terms(discount_rate=0.10)
    stays = company("geometric", months=24)
    new = of_a_new_one(retention_choice.choose_fit(stays).fit, own)
    until = int(new.fit.groups["enough"].iloc[0])
    curve = new.fit.curves(pd.DataFrame({"group": ["Plus"], "interval": "1 month"}), 360)[0]
    worth = curve * (1 + own.rate("1 month")) ** -np.arange(361.0)
    assert until == 24
    assert new.beyond.value == pytest.approx(worth[until + 1 :].sum() / worth.sum(), rel=1e-6)
    assert 0.3 < new.beyond.value < 0.5


def test_characteristics_keep_their_ratios_where_the_curve_is_as_observed():
    stays = pd.concat([company("late", seed).assign(channel=name) for seed, name in ((1, "ads"), (2, "web"))])
    choice = retention_choice.choose_fit(stays, ["channel"])
    assert choice.fit.seen
    cells = pd.DataFrame({"group": "Plus", "interval": "1 month", "channel": ["ads", "web"]})
    curves = choice.fit.curves(cells, 50)
    life = renewals.life_table(stays).groupby("period")[["at_risk", "events"]].sum()
    observed = np.cumprod(1 - life["events"] / life["at_risk"]).to_numpy()[:50]
    assert curves.mean(axis=0)[1:] == pytest.approx(observed, rel=0.01)
    ratio = choice.fit.parts[0].ratio(choice.fit.parts[0].estimate, np.array([[0.0], [1.0]]))
    assert np.log(curves[1, 50]) / np.log(curves[0, 50]) == pytest.approx(ratio[1] / ratio[0])
