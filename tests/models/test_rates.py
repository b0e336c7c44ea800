"""Rates and their intervals against published numbers and other libraries."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from tenure.errors import InputError
from tenure.models import engagement, payback, rates
from tenure.stats.intervals import NOTHING, proportion


@pytest.mark.parametrize(
    ("counts", "score", "low", "high"),
    [((15, 10, 5), 33.3, 4.8, 55.8), ((60, 25, 15), 45, 29.3, 58.0), ((300, 150, 50), 50, 43.8, 55.6),
     ((50, 30, 20), 30, 14.1, 44.2)],
)  # fmt: skip
def test_net_promoter_score_has_the_published_intervals(counts, score, low, high):
    found = rates.net_promoter_score(*counts)
    assert [round(x, 1) for x in (found.value, found.low, found.high)] == [score, low, high]


def test_net_promoter_score_keeps_within_its_scale_and_needs_answers():
    assert rates.net_promoter_score(40, 0, 0).high == 100
    assert rates.net_promoter_score(0, 0, 3).low == -100
    assert math.isnan(rates.net_promoter_score(0, 0, 0).value)


def test_what_cannot_be_had_is_missing_and_never_nothing():
    assert math.isnan(rates.acquisition_cost(5000, 0).value)
    assert rates.acquisition_cost(5000, 0).low > 0
    nothing = dict.fromkeys(("n", "paid_then", "kept", "added", "var_then", "var_added", "cov_added"), 0)
    assert math.isnan(rates.gross_retention(nothing).value)
    assert math.isnan(rates.net_retention(nothing).value)
    naive = payback.naive_value(1000.0, 0.8, proportion(0, 500))
    assert math.isnan(naive.value)
    assert naive.low > 0
    assert rates.verdict(proportion(1, 2), NOTHING, "up") == "nothing to compare"


def test_negative_counts_are_refused():
    with pytest.raises(InputError, match="must not be negative"):
        rates.net_promoter_score(-1, 0, 0)


def test_retention_agrees_with_a_bootstrap_over_customers():
    rng = np.random.default_rng(1)
    then = rng.choice([700, 1100, 1500, 1000], 800).astype(float)
    now = np.where(rng.random(800) < 0.4, 0, np.where(rng.random(800) < 0.2, then * 1.5, then))
    kept = np.minimum(then, now)
    added = now - kept
    row = {
        "n": 800, "paid_then": then.sum(), "kept": kept.sum(), "added": added.sum(),
        "var_then": then.var(ddof=1), "var_added": added.var(ddof=1), "cov_added": np.cov(added, then)[0, 1],
    }  # fmt: skip
    draw = rng.integers(0, 800, (4000, 800))
    for found, part in ((rates.gross_retention(row), kept), (rates.net_retention(row), now)):
        boot = part[draw].sum(axis=1) / then[draw].sum(axis=1)
        assert (found.low, found.high) == pytest.approx(np.quantile(boot, [0.025, 0.975]), abs=0.004)


def test_the_scorecard_judges_by_intervals_and_targets():
    now, then, far = (proportion(k, 1000) for k in (50, 60, 100))
    card = rates.scorecard(
        {
            "churn": ("percent", "down", now, then, far, 0.06),
            "ratio": ("ratio", "up", NOTHING, then, far, None),
        }
    ).set_index("metric")
    assert card.loc["churn", ["against_before", "against_year_ago", "met"]].tolist() == [
        "no clear change", "better", "yes",
    ]  # fmt: skip
    assert card.loc["ratio", "against_before"] == "nothing to compare"
    assert card.loc["ratio", "met"] == ""


def test_active_users_equal_a_count_of_distinct_users():
    rng = np.random.default_rng(3)
    seen = {(int(u), int(d)) for u, d in zip(rng.integers(0, 40, 400), rng.integers(0, 90, 400), strict=True)}
    frame = pd.DataFrame(sorted(seen), columns=["user", "day"])
    gap = frame.groupby("user")["day"].diff(-1).mul(-1).fillna(28).clip(upper=28).astype(int)
    counts = frame.assign(gap=gap).groupby(["day", "gap"], as_index=False)["user"].count()
    found = engagement.active_users(counts.rename(columns={"user": "users"}), first=40, last=89)
    for row in found.itertuples():
        for name, window in engagement.WINDOWS.items():
            users = {u for u, d in seen if row.day - window < d <= row.day}
            assert getattr(row, name) == len(users)
    # Stickiness is the mean of daily over monthly users of the same days.
    days = pd.Series([u for u, d in seen if d >= 62]).value_counts().value_counts()
    sticky = engagement.stickiness(days.index, days.to_numpy())
    daily = [len({u for u, d in seen if d == day}) for day in range(62, 90)]
    assert sticky.value == pytest.approx(np.mean(daily) / len({u for u, d in seen if d >= 62}))
    assert sticky.low < sticky.value < sticky.high


def make_cohorts(months=30, monthly=1000, stay=0.9, heads=50):
    rows = []
    for cohort in range(months):
        level = 0.0
        for age in range(months - cohort):
            now = heads * monthly * stay**age
            rows.append((cohort, "ads", "EUR", cohort + age, now - level, heads if age == 0 else 0))
            level = now
    columns = ["cohort", "group", "currency", "month", "change_minor", "joined"]
    return pd.DataFrame(rows, columns=columns)


def test_payback_and_value_are_those_of_the_law_the_cohorts_follow():
    cohorts = make_cohorts()
    spend = pd.DataFrame({"month": range(30), "channel": "ads", "currency": "EUR", "amount_minor": 100_000})
    found = payback.unit_economics(cohorts, spend, margin=0.8, until=29, horizon=24)
    row = found.table.iloc[0]
    assert row["cac"] == pytest.approx(2000)
    assert row["ltv"] == pytest.approx(800 * sum(0.9**k for k in range(24)))
    # 800 + 720 + 648 = 2168 covers 2000 in the third month.
    assert row[["payback", "payback_low", "payback_high"]].tolist() == [3, 3, 3]
    assert found.whole.ratio.value == pytest.approx(row["ltv"] / 2000)
    shuffled = payback.unit_economics(
        cohorts.sample(frac=1, random_state=1), spend.sample(frac=1, random_state=1), margin=0.8, until=29
    )
    pd.testing.assert_frame_equal(found.table, shuffled.table)


def test_payback_that_was_not_reached_is_open_and_young_cohorts_do_not_count_as_lost():
    cohorts = make_cohorts(months=6)
    spend = pd.DataFrame({"month": range(6), "channel": "ads", "currency": "EUR", "amount_minor": 500_000})
    found = payback.unit_economics(cohorts, spend, margin=0.8, until=5)
    assert found.horizon == 4
    assert found.whole.payback.value == math.inf
    assert found.curve["margin"].iloc[3] == pytest.approx(800 * sum(0.9**k for k in range(4)))
    matrix = payback.revenue_matrix(cohorts, until=5)
    assert matrix.loc["0-06", 0] == 1
    assert matrix.isna().to_numpy().sum() == 15


def test_what_a_customer_cost_and_brought_is_known_as_it_stood_earlier():
    cohorts = make_cohorts()
    spend = pd.DataFrame({"month": range(30), "channel": "ads", "currency": "EUR", "amount_minor": 100_000})
    assert payback.horizon_of(cohorts, until=29) == 12
    assert payback.horizon_of(cohorts, until=37) == 24
    now = payback.unit_economics(cohorts, spend, margin=0.8, until=29, horizon=12)
    then = payback.earlier_economics(cohorts, spend, now, until=17, margin=0.8)
    alone = payback.unit_economics(
        cohorts[cohorts["month"] <= 17], spend[spend["month"] <= 17], margin=0.8, until=17, horizon=12
    )
    assert then == alone.whole
    assert then.ratio.value == pytest.approx(now.whole.ratio.value)
    # So old an age had been seen of too few cohorts: no margin to compare, but when the cost was covered is known.
    early = payback.earlier_economics(cohorts, spend, now, until=8, margin=0.8)
    assert math.isnan(early.ratio.value)
    assert early.payback.value == 3
    assert math.isnan(payback.earlier_economics(cohorts, spend, now, until=0, margin=0.8).payback.value)


def test_a_margin_that_is_none_is_refused():
    with pytest.raises(InputError, match="`margin`"):
        payback.unit_economics(make_cohorts(), pd.DataFrame(), margin=75, until=5)


def test_intervals_hold_the_truth(capsys):
    from simulations.coverage_metrics import coverage

    table = coverage(companies=400, customers=(400,), seed=5)
    low, high = 0.95 - 3.3 * math.sqrt(0.95 * 0.05 / 400), 0.95 + 3.3 * math.sqrt(0.95 * 0.05 / 400)
    outside = table[~table["covered"].between(low, min(high, 1))]
    assert outside.empty, outside
