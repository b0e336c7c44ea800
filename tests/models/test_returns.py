"""Who comes back: against lifelines, sums by hand, published counts, and companies on which all is the opposite."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from lifelines import KaplanMeierFitter

from simulations import verdict_returns as simulation
from tenure.economics import Economics
from tenure.errors import InputError, NotApplicable
from tenure.models import campaigns, returns
from tenure.result import Estimate, Table


@pytest.fixture(scope="module")
def life():
    return simulation.away(np.random.default_rng(1), 2_000)


def test_the_curve_is_one_less_kaplan_and_meiers(life):
    found = returns.curve(life)
    fitter = KaplanMeierFitter().fit(
        np.repeat(life["period"], 2), np.tile([1, 0], len(life)),
        weights=life[["events", "censored"]].to_numpy().ravel(),
    )  # fmt: skip
    for day in (30, 90, 365):
        one = returns.came_back(found, day)
        assert one.value == pytest.approx(1 - fitter.predict(day))
        assert one.low < one.value < one.high
    assert returns.came_back(found, 365).case == "some"
    assert returns.came_back(found, 10_000).words["time"].value == life["period"].max()


def test_where_nobody_came_back_the_share_has_an_upper_limit():
    life = pd.DataFrame(
        {"by": "", "group": "everybody", "period": [40], "at_risk": 50, "events": 0, "returned": 0,
         "censored": 50, "entered": 0}
    )  # fmt: skip
    found = returns.came_back(returns.curve(life), 365)
    assert (found.case, found.value, found.words["time"].value) == ("nobody", 0, 40)
    assert found.high == pytest.approx(1 - 0.025 ** (1 / 50))
    assert returns.half_back(returns.curve(life)).case == "few"
    with pytest.raises(NotApplicable, match="Nobody has left"):
        returns.curve(life.head(0))


def test_half_of_those_who_come_back_are_back_when_the_curve_is_half_up(life):
    found = returns.half_back(returns.curve(life))
    assert found.low < 26 + 80 * np.log(2) < found.high
    assert found.n == life.loc[life["period"] <= 365, "events"].sum()


def test_rates_are_returns_over_days_at_risk():
    life = pd.DataFrame(
        {"by": "", "period": [3, 8, 10], "at_risk": [100, 90, 50], "events": [10, 40, 0],
         "censored": [0, 0, 50], "group": "everybody", "entered": 0, "returned": [10, 40, 0]}
    )  # fmt: skip
    rows = returns.weekly(life).frame
    # Week 1: three days of a hundred, four of ninety. Week 2: one day of ninety, two of fifty.
    assert rows["rate"].tolist() == pytest.approx([10 / (300 + 360) * 7000, 40 / (90 + 100) * 7000])
    assert rows[["week", "at_risk", "came_back"]].to_numpy().tolist() == [[1, 100, 10], [2, 90, 40]]
    assert (rows["rate_low"] < rows["rate"]).all()


def test_shares_of_a_public_campaign_by_how_long_customers_had_been_away():
    """500 customers of a telephone company (R package SMCRM): returned of each quarter of days away."""
    known = {"up to 64": (107, 129), "up to 101": (83, 124), "up to 136": (73, 125), "up to 199": (32, 122)}
    life = pd.DataFrame(
        [
            {"by": "away", "group": name, "period": 30, "at_risk": n, "events": k, "returned": k,
             "censored": n - k, "entered": 0}
            for name, (k, n) in known.items()
        ]
    )  # fmt: skip
    rows = returns.shares(life).frame.set_index("group")
    for name, (k, n) in known.items():
        assert rows.loc[name, "within_30_days"] == pytest.approx(k / n)
        assert rows.loc[name, "within_30_days_low"] < k / n < rows.loc[name, "within_30_days_high"]
    assert rows["came_back"].sum() == 295
    # The sooner the more: no interval of the last quarter meets one of the first.
    assert rows.loc["up to 199", "within_30_days_high"] < rows.loc["up to 136", "within_30_days_low"]


def sums(counts):
    """Sums by group and arm, from {group: (back of those asked, asked, back of those held out, held out)}."""
    rows = [
        {"by": by, "segment": group, "variant": arm, "n": n, "s_kept": float(k), "q_kept": float(k)}
        for (by, group), (a, b, c, d) in counts.items()
        for arm, k, n in (("contacted", a, b), ("control", c, d))
    ]
    return pd.DataFrame(rows)


def test_effects_are_held_against_each_other_with_their_limits_recovered():
    rows = sums({("cause", "involuntary"): (40, 200, 10, 200), ("cause", "voluntary"): (60, 800, 40, 800)})
    found = returns.apart(rows, "contacted", "cause", "involuntary", "voluntary")
    one, other = campaigns.difference(40, 200, 10, 200), campaigns.difference(60, 800, 40, 800)
    assert found.value == pytest.approx(0.15 - 0.025)
    low = np.hypot(one.value - one.low, other.high - other.value)
    assert found.low == pytest.approx(found.value - low)
    assert (found.case, found.n) == ("larger", 2000)
    back = returns.apart(rows, "contacted", "cause", "voluntary", "involuntary")
    assert (back.case, back.low) == ("smaller", pytest.approx(-found.high))
    assert returns.apart(rows, "contacted", "cause", "voluntary", "unknown").case == "unknown"


def test_the_first_and_the_last_band_with_enough_in_it_are_compared():
    bands = {"0-30": (3, 9, 2, 8), "31-90": (90, 400, 20, 400), "91-180": (40, 400, 20, 400)}
    rows = sums({("days_since_end", name): counts for name, counts in bands.items()})
    found = returns.soon_or_late(rows, "contacted")
    assert (found.case, found.words["soon"], found.words["late"]) == ("larger", "31-90", "91-180")
    alone = rows[rows["segment"] == "31-90"]
    assert returns.soon_or_late(alone, "contacted").case == "unknown"


def test_who_would_have_come_anyway_is_the_share_of_those_held_out_over_that_of_those_asked():
    def anyway(back):
        rows = sums({("", ""): (back, 1000, 50, 1000)}).assign(s_converted=lambda x: x["s_kept"])
        return returns.anyway(campaigns.compare_shares(rows, control="control"), "contacted")

    found = anyway(100)
    assert (found.value, found.case) == (pytest.approx(0.5), "some")
    assert 0.3 < found.low < 0.5 < found.high < 0.75
    assert (anyway(40).value, anyway(40).case) == (pytest.approx(1.25), "all")


def test_the_price_on_coming_back_is_a_ratio_of_sums():
    rng = np.random.default_rng(2)
    then = rng.choice([700.0, 1100.0, 1500.0], 400)
    now = np.where(rng.random(400) < 0.3, 700.0, then)

    def of(a, b):
        row = {"customers": len(a), "then": a.sum(), "now": b.sum(), "product": a @ b}
        return returns.price_again(pd.DataFrame([{**row, "squares_then": a @ a, "squares_now": b @ b}]))

    found = of(then, now)
    assert found.value == pytest.approx(now.sum() / then.sum())
    drawn = rng.integers(400, size=(4000, 400))
    low, high = np.quantile(now[drawn].sum(axis=1) / then[drawn].sum(axis=1), [0.025, 0.975])
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.006)
    nobody = of(then[:0], now[:0])
    assert (nobody.value, nobody.case) == (1, "assumed")


def test_months_of_a_second_life_are_those_of_simulated_ones():
    facts, rng = Economics(discount_rate=0.1), np.random.default_rng(3)
    lives = np.minimum(rng.geometric(0.12, 60_000), 24)
    paid = np.cumsum(facts.discount(np.arange(24)))[lives - 1].mean()
    events = np.bincount(lives, minlength=25)[1:24]
    at_risk = 60_000 - np.r_[0, np.cumsum(events)[:-1]]
    life = pd.DataFrame({"period": np.arange(1, 24), "events": events, "at_risk": at_risk})
    found = returns.months_again(life, facts, 24)
    assert found.value == pytest.approx(paid, rel=0.005)
    # Of a year alone: the hazard goes on.
    short = returns.months_again(life.head(12), facts, 24)
    assert short.value == pytest.approx(paid, rel=0.02)
    assert returns.months_again(life, facts, 24, 7.0) == Estimate(
        7.0, unit="months", exact=True, words=found.words
    )
    with pytest.raises(NotApplicable, match="Fewer than 30 customers have come back"):
        returns.months_again(life.assign(at_risk=20, events=1), facts, 24)
    with pytest.raises(NotApplicable, match="Fewer than 30"):
        returns.months_again(life.head(0), facts, 24)


def lives(hazard, n=600, seed=4):
    rng = np.random.default_rng(seed)
    rows = []
    for plan, factor in (("Basic", 1.5), ("Extra", 1.0)):
        left, seen = rng.geometric(min(hazard * factor, 1), n), rng.integers(1, 25, n)
        rows.append(pd.DataFrame({"plan": plan, "exit": np.minimum(left, seen), "event": (left <= seen) * 1}))
    counts = pd.concat(rows).groupby(["plan", "exit", "event"]).size().reset_index(name="n")
    return counts.assign(entry=0, cause="voluntary")


def test_second_lives_are_shorter_or_longer_or_neither():
    first = lives(0.08, 3000)
    assert returns.second_against_first(first, lives(0.12)).case == "shorter"
    assert returns.second_against_first(first, lives(0.04)).case == "longer"
    alike = returns.second_against_first(first, lives(0.08))
    assert alike.low < 1 < alike.high
    assert alike.case == "unclear"
    few = lives(0.12).head(3).assign(n=5)
    assert returns.second_against_first(first, few).case == "unknown"


def test_what_is_known_only_after_the_return_is_refused():
    known = sums({("plan", "a"): (40, 300, 10, 300), ("plan", "b"): (30, 300, 20, 300)})
    returns.check_known(known)
    after = sums({("months again", "0"): (0, 560, 0, 570), ("months again", "3"): (70, 70, 30, 30)})
    with pytest.raises(
        InputError, match=r"The column months again tells alone in 100.0% .* Fix: leave it out"
    ):
        returns.check_known(pd.concat([known, after]))


@pytest.fixture(scope="module")
def asked():
    """A campaign in which asking soon pays and asking late does not, judged; and who is gone today."""
    drawn = simulation.draw(np.random.default_rng(5), 6_000, simulation.SOON)
    cells, rules = simulation.judged(drawn)
    rng, n = np.random.default_rng(6), 500
    gone = pd.DataFrame(
        {
            "customer_id": [f"c{i:03}" for i in range(n)], "away": rng.integers(1, 400, n),
            "monthly": rng.choice([700, 1100], n), "cause": rng.choice(["voluntary", "involuntary"], n),
        }
    )  # fmt: skip
    gone["days_since_end"] = pd.cut(
        gone["away"], [0, 30, 90, 180, 999], labels=[*simulation.BANDS, "181+"]
    ).astype(str)
    return cells, rules, gone


def listed(asked, case="all", gone=None):
    cells, rules, known = asked
    rules = rules._replace(advice=rules.advice.saying(case))
    return returns.ask_next(cells, known if gone is None else gone, simulation.BY, rules, "money:EUR", 60)


def test_the_list_adds_up_to_what_was_measured_in_bands_that_paid(asked):
    found = listed(asked)
    rows, gone = found.table.frame, asked[2].set_index("customer_id")
    paid = set(rows["days_since_end"])
    # What was not in the campaign is not on the list.
    assert "181+" not in paid
    assert "0-30" in paid
    assert found.total.value == pytest.approx(rows["expected"].sum(), abs=len(rows) / 2)
    assert found.total.words["customers"] + found.total.words["others"] == len(gone)
    assert (found.total.case, len(rows)) == ("pays", found.total.n)
    # In a band, who paid more is expected to bring more.
    soon = rows[rows["days_since_end"] == "0-30"].set_index("customer_id")["expected"]
    prices = gone.loc[soon.index, "monthly"]
    assert (soon / prices).std() < 0.01
    assert rows["reason"].str.contains("come back unasked within 60 days").all()
    assert isinstance(found.table, Table)


def test_the_order_of_customers_does_not_matter(asked):
    again = listed(asked, gone=asked[2].sample(frac=1, random_state=1))
    pd.testing.assert_frame_equal(again.table.frame, listed(asked).table.frame)


def test_a_list_follows_the_rule_that_is_advised(asked):
    for case in ("stop", "unclear", "not all", "failed"):
        found = listed(asked, case)
        assert (found.total.case, len(found.table)) == ("nobody", 0)
    by_score = listed(asked, "score")
    assert 0 < len(by_score.table) <= len(listed(asked).table)
    cells, rules, gone = asked
    rules = rules._replace(rule="all but those with cause “involuntary”")
    without = listed((cells, rules, gone), "without").table.frame
    assert not without["reason"].str.contains("failed payments").any()


def test_verdicts_turn_round_where_the_opposite_holds():
    soon = simulation.verdicts(9_000, 5, simulation.SOON)
    late = simulation.verdicts(9_000, 5, simulation.LATE)
    assert soon["more_soon"].all()
    assert not late["more_soon"].any()
    turned = simulation.verdicts(9_000, 5, simulation.REVERSED)
    assert not turned["more_involuntary"].any()
    assert (simulation.verdicts(20_000, 3, simulation.NOTHING)["profit"] != "more").all()


@pytest.mark.long
def test_verdicts_of_a_hundred_companies():
    found = simulation.verdicts(1_740, 100, simulation.WINBACK_2025)
    assert found["more_involuntary"].sum() >= 90
    assert found["right"].sum() >= 95
    assert not found["wrong"].any()


@pytest.mark.long
def test_intervals_hold_the_truth():
    for day, hits in simulation.curve_coverage(2_000, 2_000).items():
        assert 0.935 <= hits / 2_000 <= 0.965, day
    assert 0.935 <= simulation.months_coverage(1_200, 2_000) / 2_000 <= 0.965
