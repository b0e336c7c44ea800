"""Rates and their intervals against published numbers and other libraries."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tenure import report
from tenure.economics import Economics
from tenure.errors import InputError
from tenure.models import engagement, metrics, payback, rates
from tenure.models.metrics import Metrics
from tenure.result import Estimate, counted
from tenure.stats.intervals import NOTHING, money_share, proportion


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


def test_rates_without_a_denominator_are_missing_not_zero():
    assert math.isnan(rates.acquisition_cost(5000, 0).value)
    assert rates.acquisition_cost(5000, 0).low > 0
    nothing = dict.fromkeys(("n", "paid_then", "kept", "added", "var_then", "var_added", "cov_added"), 0)
    assert math.isnan(rates.gross_retention(nothing).value)
    assert math.isnan(rates.net_retention(nothing).value)
    assert rates.satisfaction(None) == {}
    assert rates.retention(pd.DataFrame(columns=["month"]), 24321)["mrr.net_retention"].n == 0


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


NOW = 2026 * 12 + 9


def month(events, n, at):
    return proportion(events, n, of="customer", sample=(at, at))


def test_the_scorecard_judges_by_intervals_and_targets():
    october = {
        "churn.monthly": month(50, 1000, NOW), "mrr.quick_ratio": NOTHING, "mrr.arpa": counted(101, 9)
    }  # fmt: skip
    september = {"churn.monthly": month(60, 1000, NOW - 1), "mrr.arpa": counted(100, 9)}
    known = Metrics.of(
        {NOW: october, NOW - 1: september, NOW - 12: {"churn.monthly": month(100, 1000, NOW - 12)}}, NOW
    )
    card = metrics.scorecard(known, {"churn.monthly": 0.06})
    rows = card.frame.set_index("metric")
    assert rows.loc["Logo churn", ["against_before", "against_year_ago", "met"]].tolist() == [
        "no clear change", "better", "yes",
    ]  # fmt: skip
    # What is counted has no interval: any difference is one. What is not known has no row.
    arpa = rows.loc["Revenue per customer (ARPA)", ["against_before", "against_year_ago"]]
    assert arpa.tolist() == ["better", ""]
    assert "Quick ratio" not in rows.index
    found = metrics.shifts(card)
    assert (found.value, found.n, found.words["which"]) == (1, 1, ["Logo churn (better)"])
    alone = Metrics.of({NOW: {"churn.monthly": month(50, 1000, NOW)}}, NOW)
    assert metrics.shifts(metrics.scorecard(alone, {})).case == "unknown"
    # Where nothing is known at all, as of a company without usage, spend and trials, the card is empty.
    nothing = metrics.scorecard(Metrics.of({NOW: {"mrr.quick_ratio": NOTHING}}, NOW), {})
    report.scorecard(nothing, caption="The numbers")
    assert metrics.shifts(nothing).case == "unknown"


def test_card_and_scorecard_agree_where_an_end_is_open():
    """A share of revenue that fell to nothing has no upper end: not clear in either."""
    now = replace(money_share(0, 0, 100_000, 0), sample=(NOW, NOW))
    then = replace(money_share(1_000, 50 * 20**2, 100_000, 50), sample=(NOW - 1, NOW - 1))
    known = Metrics.of({NOW: {"mrr.contraction": now}, NOW - 1: {"mrr.contraction": then}}, NOW)
    assert known["mrr.contraction"].verdict("down") == "no clear change"
    assert metrics.scorecard(known, {}).frame["against_before"].tolist() == ["no clear change"]


def test_months_that_overlap_are_not_judged_unless_the_pairs_are_known():
    now, then = (replace(month(k, 1000, m), sample=(m - 11, m)) for k, m in ((50, 12), (100, 11)))
    assert metrics.compared(now, then, "the month before").change == ""
    assert metrics.compared(now, then, "the month before").compare == then
    assert metrics.compared(now, replace(then, sample=(-11, 0)), "a year ago").change == "fell"
    paired = Estimate(-0.05, -0.09, -0.01, unit="points")
    assert metrics.compared(now, then, "the month before", paired).change == "fell"
    assert metrics.compared(now, NOTHING, "the month before").compare is None
    nobody = Metrics({}, {})
    assert not nobody["churn.at_renewal"].known
    assert not nobody.yearly("churn.at_renewal").known


def test_a_target_of_the_month_takes_precedence_over_that_of_the_year():
    goals = pd.DataFrame({"metric": ["a"], "period": ["2025"], "target": [1.0]})
    assert metrics.targets_of(goals, 24321) == {}
    assert metrics.targets_of(None, 24321) == {}


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


def make_cohorts(months=30, monthly=1000, stay=0.9, heads=50, channel="ads"):
    rows = []
    for cohort in range(months):
        level = paying = 0.0
        for age in range(months - cohort):
            left = heads * stay**age
            now = left * monthly
            rows.append(
                (cohort, channel, "EUR", cohort + age, now - level, left - paying, heads if age == 0 else 0)
            )
            level, paying = now, left
    columns = ["cohort", "group", "currency", "month", "change_minor", "change_paying", "joined"]
    return pd.DataFrame(rows, columns=columns)


def spent(months, amount, channel="ads"):
    return pd.DataFrame(
        {"month": range(months), "channel": channel, "currency": "EUR", "amount_minor": amount}
    )


EURO = {"currency": "EUR", "factors": {"EUR": 1.0}}
FACTS = Economics(margin=0.8, fee_share=0.0, fee_fixed=0.0, discount_rate=0.0)


def test_payback_and_value_match_simulated_cohorts():
    cohorts, spend = make_cohorts(), spent(30, 100_000)
    found = payback.unit_economics(cohorts, spend, FACTS, until=29, horizon=24, **EURO)
    row = found.table.frame.iloc[0]
    assert row["cac"] == pytest.approx(2000)
    assert row["ltv"] == pytest.approx(800 * sum(0.9**k for k in range(24)))
    # 800 + 720 + 648 = 2168 covers 2000 in the third month.
    assert row[["payback", "payback_low", "payback_high"]].tolist() == [3, 3, 3]
    ratio = found.metrics["acquisition.ltv_cac"]
    assert (ratio.value, ratio.case) == (pytest.approx(row["ltv"] / 2000), "")
    shuffled = payback.unit_economics(
        cohorts.sample(frac=1, random_state=1),
        spend.sample(frac=1, random_state=1),
        FACTS,
        until=29,
        horizon=24,
        **EURO,
    )
    pd.testing.assert_frame_equal(found.table.frame, shuffled.table.frame)


def test_fees_cost_to_serve_and_discount_are_the_companys():
    """A customer of 10.00 a month, a tenth of whom leave: 8.00 less 0.20 and 0.30 fees and 0.50 of service."""
    facts = Economics(margin=0.8, fee_share=0.02, fee_fixed=0.3, cost_to_serve=0.5, discount_rate=0.1)
    found = payback.unit_economics(make_cohorts(), spent(30, 100_000), facts, until=29, horizon=12, **EURO)
    left = 1000 * (0.8 - 0.02) - 30 - 50
    expected = sum(left * 0.9**k * 1.1 ** (-k / 12) for k in range(12))
    assert found.table.frame["ltv"].iloc[0] == pytest.approx(expected)
    assert found.curve.frame["margin"].iloc[0] == pytest.approx(left)


def test_customers_who_cost_nothing_are_counted_and_mentioned():
    """Organic customers halve the cost of all: 2 × what one costs over all channels is 1 × over the paid ones."""
    cohorts = pd.concat([make_cohorts(), make_cohorts(channel="organic")])
    found = payback.unit_economics(cohorts, spent(30, 100_000), FACTS, until=29, horizon=24, **EURO)
    rows = found.table.frame.set_index("channel")
    assert rows.loc[payback.ALL, "ratio"] == pytest.approx(2 * rows.loc[payback.PAID, "ratio"])
    assert math.isnan(rows.loc["organic", "ratio"])
    one = found.metrics["acquisition.ltv_cac"]
    assert one.case == "some cost nothing"
    assert one.words["paid"].value == pytest.approx(rows.loc[payback.PAID, "ratio"])
    assert one.words["horizon"].value == 24
    alone = payback.unit_economics(make_cohorts(), spent(30, 100_000), FACTS, until=29, **EURO)
    assert payback.PAID not in set(alone.table.frame["channel"])


def test_unreached_payback_is_infinite_and_young_cohorts_do_not_count_as_lost():
    cohorts = make_cohorts(months=6)
    found = payback.unit_economics(cohorts, spent(6, 500_000), FACTS, until=5, **EURO)
    assert found.horizon == 4
    back = found.metrics["acquisition.payback"]
    assert (back.value, back.case) == (math.inf, "not reached")
    assert found.curve.frame["margin"].iloc[3] == pytest.approx(800 * sum(0.9**k for k in range(4)))
    matrix = payback.revenue_matrix(cohorts, until=5, factors={"EUR": 1.0}).frame
    assert matrix.loc[5, ["cohort", "0"]].tolist() == ["0-06", 1]
    assert matrix.isna().to_numpy().sum() == 15


def test_cost_and_margin_are_compared_with_their_earlier_values():
    cohorts, spend = make_cohorts(), spent(30, 100_000)
    assert payback.horizon_of(cohorts, until=29) == 12
    assert payback.horizon_of(cohorts, until=37) == 24
    assert payback.unit_economics(cohorts, spend, FACTS, until=29, **EURO).horizon == 12
    now = payback.unit_economics(cohorts, spend, FACTS, until=29, horizon=12, **EURO)
    alone = payback.unit_economics(
        cohorts[cohorts["month"] <= 17], spend[spend["month"] <= 17], FACTS, until=17, horizon=12, **EURO
    )
    for name in ("acquisition.ltv_cac", "acquisition.payback"):
        assert now.metrics.year[name].compare.value == alone.metrics[name].value
    # So old an age had been observed of too few cohorts: no margin to compare, but when the cost was covered is known.
    young = payback.unit_economics(cohorts, spend, FACTS, until=20, horizon=12, **EURO)
    assert young.metrics.year["acquisition.ltv_cac"].compare is None
    assert young.metrics.year["acquisition.payback"].compare.value == 3
    young = payback.unit_economics(cohorts, spend, FACTS, until=12, horizon=12, **EURO)
    assert young.metrics.year["acquisition.payback"].compare is None


def test_the_same_cohorts_are_compared_with_themselves():
    """Cohorts differ by much, yet one month more changes little: by pairs that is known, by intervals not."""
    rng = np.random.default_rng(0)
    cohorts = make_cohorts()
    size = rng.lognormal(0, 0.8, 30)
    for column in ("change_minor", "change_paying"):
        cohorts[column] *= size[cohorts["cohort"]]
    found = payback.unit_economics(cohorts, spent(30, 100_000), FACTS, until=29, horizon=12, **EURO)
    one = found.metrics["acquisition.ltv_cac"]
    width = one.high - one.low
    assert one.difference.high - one.difference.low < 0.7 * width
    assert one.difference.low <= one.difference.value <= one.difference.high


def test_missing_costs_are_explained():
    nothing = payback.unit_economics(make_cohorts(), None, FACTS, until=29, **EURO)
    assert nothing.metrics["acquisition.ltv_cac"].words["why"].startswith("Spend on these customers")
    assert nothing.slowest().case == "not available"
    assert not payback.cost_per_customer(None, pd.DataFrame(), 24321, **EURO).recent
    young = payback.unit_economics(make_cohorts(months=2), spent(2, 1), FACTS, until=1, **EURO)
    assert "3 months of new customers" in young.why
    none = payback.unit_economics(make_cohorts()[:0], spent(2, 1), FACTS, until=1, **EURO)
    assert "No customers have been acquired" in none.why


def test_users_who_are_in_both_windows_are_compared_with_themselves():
    # A hundred users, all active 7 of 28 days in both windows but ten who doubled theirs.
    days = pd.DataFrame(
        {"window": ["now", "now", "before"], "active_days": [7, 14, 7], "users": [90, 10, 100],
         "users_now": [90, 10, 100], "days_now": [630, 140, 770]}
    )  # fmt: skip
    one = engagement.stickiness_by_window(days)["engagement.stickiness"]
    assert one.change == "rose"
    assert one.difference.value == pytest.approx(70 / 28 / 100)
    assert "engagement.stickiness" in engagement.stickiness_by_window(days).year
    # Of a hundred payers twenty are silent, ten of them were 28 days ago; nobody else was.
    quiet = pd.DataFrame(
        {"back": [0, 0, 28, 28], "last_use": ["a", "c", "a", "c"], "currency": "EUR", "mrr_minor": 100,
         "customers": [80, 20, 90, 10], "paying_now": [80, 20, 90, 10], "silent_now": [0, 20, 10, 10]}
    )  # fmt: skip
    last_use = engagement.silence(quiet, ["a", "b", "c"], {"EUR": 1.0}, "EUR")
    found = engagement.silent_payers(quiet, last_use, "EUR")
    silent = found["engagement.silent_payers"]
    assert (silent.value, silent.change, silent.words["silent"]) == (0.2, "rose", 20)
    assert found.year["engagement.silent_payers"].compare is None
    alone = proportion(20, 100, sample=1).against(proportion(10, 100, sample=2), "").difference
    assert silent.difference.low > alone.low


def test_intervals_hold_the_truth():
    from simulations.coverage_metrics import coverage

    table = coverage(companies=400, customers=(400,), seed=5)
    low, high = 0.95 - 3.3 * math.sqrt(0.95 * 0.05 / 400), 0.95 + 3.3 * math.sqrt(0.95 * 0.05 / 400)
    outside = table[~table["covered"].between(low, min(high, 1))]
    assert outside.empty, outside
