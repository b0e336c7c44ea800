"""Campaigns to keep customers: against published numbers, sums by hand, single customers, and simulations."""

from __future__ import annotations

import datetime as dt
from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.proportion import confint_proportions_2indep

from simulations import verdict_campaigns as simulation
from tenure.economics import Economics
from tenure.errors import InputError, NotApplicable
from tenure.models import campaigns
from tenure.result import Table

# Contacted, kept and score of eight customers; three groups of equal scores.
T, Y = np.array([1, 0, 1, 0, 1, 0, 1, 0]), np.array([1, 0, 1, 1, 0, 0, 0, 1])
SCORE = np.array([3, 3, 2, 2, 2, 2, 1, 1])


def curve(order, score=SCORE, t=T, y=Y):
    t, y, score = (pd.Series(values[list(order)]) for values in (t, y, score))
    return campaigns.qini(score, t, y * t, 1 - t, y * (1 - t))


def test_ties_come_together_so_that_the_curve_is_one():
    points = curve(range(8))
    assert points.to_numpy().tolist() == [[0, 0], [2, 1], [6, 1], [8, 0]]
    assert campaigns.area(points) == 6.0
    # Counted row by row, the order within ties would decide: 3.33 to 9.67.
    orders = [
        np.array([*a, *b, *c])
        for a in permutations((0, 1)) for b in permutations((2, 3, 4, 5)) for c in permutations((6, 7))
    ]  # fmt: skip
    apart = [campaigns.area(curve(range(8), np.arange(8, 0, -1), T[order], Y[order])) for order in orders]
    assert (round(min(apart), 2), round(max(apart), 2)) == (3.33, 9.67)


@pytest.mark.long
def test_the_curve_is_the_same_in_all_orders_of_rows():
    found = {campaigns.area(curve(order)) for order in permutations(range(8))}
    assert found == {6.0}


def test_the_area_is_that_of_scikit_uplift_where_it_is_normalized():
    """Response [0, 1], score [0.1, 0.3], contacted [1, 0]: the area of scikit-uplift 0.5 is 1.0."""
    t, y = np.array([1, 0]), np.array([0, 1])
    found = campaigns.area(curve([0, 1], np.array([0.1, 0.3]), t, y))
    perfect = campaigns.area(curve([0, 1], y * t - y * (1 - t), t, y))
    assert found / perfect == 1.0


def test_the_interval_of_a_difference_is_newcombes():
    for counts in ((56, 70, 48, 80), (2338, 2732, 2336, 2783), (10, 10, 0, 20)):
        a, n, b, m = counts
        low, high = confint_proportions_2indep(a, n, b, m, method="newcomb", compare="diff")
        found = campaigns.difference(*counts)
        assert (found.low, found.high) == pytest.approx((low, high))


def arms(**changes):
    """An overview of one campaign with two arms."""
    rows = pd.DataFrame(
        {
            "campaign": "stay", "arm": ["control", "treatment"], "offer": "", "customers": 400, "eligible": 400,
            "ripe": 400, "free": 0, "leaked": 0, "elsewhere": 0, "kept": [300, 320], "cost": [0, 8000],
            "incentive": [0, 120_000], "first_day": 20_000, "last_day": 20_010,
        }
    )  # fmt: skip
    return rows.assign(**changes)


def test_the_latest_campaign_that_can_be_measured_is_chosen():
    two = pd.concat([arms(), arms(campaign="later", first_day=20_100, ripe=0)])
    listed = campaigns.listed(two)
    assert listed.frame["campaign"].tolist() == ["later", "stay"]
    assert listed.frame["why_not"].tolist() == ["days not over", ""]
    assert campaigns.choose(listed, "", 91) == "stay"
    row = listed.frame.iloc[1]
    assert (row["kept"], row["first_day"]) == (pytest.approx(0.05), dt.date(2024, 10, 4))
    with pytest.raises(NotApplicable, match="the 91 days after the contacts of later are not over"):
        campaigns.choose(listed, "later", 91)
    with pytest.raises(InputError, match=r"`campaign` is .stray.*use one of"):
        campaigns.choose(listed, "stray", 91)


@pytest.mark.parametrize(
    ("changes", "why", "sentence"),
    [
        ({"arm": "treatment"}, "nobody held out", "nobody was held out of stay"),
        ({"eligible": [40, 30]}, "had left", "a win-back campaign"),
        ({"ripe": [99, 400], "eligible": [99, 400]}, "too few", "fewer than 100 paying customers"),
        ({"ripe": 0}, "days not over", "are not over"),
    ],
)
def test_what_cannot_be_measured_says_why(changes, why, sentence):
    listed = campaigns.listed(arms(**changes))
    assert listed.frame["why_not"].tolist() == [why]
    with pytest.raises(NotApplicable, match=f"{sentence}.*Fix: hold 100 or more"):
        campaigns.choose(listed, "", 91)


def test_without_campaigns_there_is_a_sentence():
    with pytest.raises(NotApplicable, match="no rows, so there is no campaign"):
        campaigns.choose(campaigns.listed(arms().head(0)), "", 91)


def test_months_ahead_are_those_of_a_simulated_life():
    """A month costs what it costs at its beginning; they leave at the rate of the 91 days."""
    facts = Economics(discount_rate=0.1, horizon_months=24)
    monthly, rng = (300 / 400) ** (365 / 12 / 91), np.random.default_rng(1)
    first = 91 / (365 / 12)
    lives = np.minimum(rng.geometric(1 - monthly, 200_000), round(24 - first))
    worth = np.concatenate([[0], np.cumsum(facts.discount(first + np.arange(30)))])
    assert campaigns.months_ahead(arms(), facts, 91) == pytest.approx(worth[lives].mean(), rel=0.01)


def sums(n=(400, 400), kept=(300, 320), by="", segment="", **columns):
    """Sums by arm as the engine gives them; what is known before is alike in both."""
    rows = pd.DataFrame({"variant": ["control", "contacted"], "by": by, "segment": segment, "n": n})
    rows = rows.assign(s_kept=kept, q_kept=kept)
    plain = {"paid_days": 80, "margin": 2000, "profit": 9000, "worth": 8000, "spent": 0}
    for name, mean in {**plain, "tenure_days": 300, "monthly": 1000, "events": 9, **columns}.items():
        mean = np.broadcast_to(mean, 2)
        rows[f"s_{name}"], rows[f"q_{name}"] = mean * n, (mean**2 * 1.5) * n
    rows["c_profit_monthly"] = rows["s_profit"] * rows["s_monthly"] / rows["n"]
    return rows.astype(dict.fromkeys([c for c in rows if c[1:2] == "_"], float))


def test_a_subsidy_goes_to_those_who_would_have_stayed():
    found = campaigns.subsidy(sums(spent=(0, 320)), "contacted", "money:EUR")
    assert found.words["spent"].value == 400 * 320
    assert found.value == pytest.approx(0.75 * 400 * 320)
    assert found.low < found.value < found.high
    # A customer kept costs what was spent on one, over the effect.
    each = found.words["each"]
    assert each.value == pytest.approx(320 / 0.05)
    assert each.low < each.value
    nobody = campaigns.subsidy(sums(kept=(300, 290), spent=(0, 320)), "contacted", "money:EUR")
    assert nobody.words["each"].case == "none"
    assert campaigns.subsidy(sums(), "contacted", "money:EUR").case == "none"


def results(found):
    return dict(zip(found.table.frame["check"], found.table.frame["result"], strict=True))


def test_a_fair_campaign_passes_and_an_unfair_one_does_not():
    assert not campaigns.check(arms(), sums(), {}).failed
    # Nine in ten contacted is a plan; fewer than planned, who had been customers for longer, is not.
    assert not campaigns.check(arms(), sums(n=(300, 2710)), {}).failed
    assert results(campaigns.check(arms(), sums(n=(300, 400)), {}))["sample ratio"] == "failed"
    chosen = campaigns.check(arms(), sums(tenure_days=(250, 350), events=(12, 5)), {})
    assert results(chosen)["before: days as a customer"] == results(chosen)["before: use"] == "failed"
    assert "days as a customer was +40.0% in contacted" in " ".join(chosen.failed)
    by = pd.concat(
        [
            sums(),
            *(sums(n=n, by="device", segment=s) for s, n in {"tv": (100, 300), "web": (300, 100)}.items()),
        ]
    )
    assert results(campaigns.check(arms(), by, {}))["sample ratio by device"] == "failed"


def test_leaks_and_missing_costs_are_looked_at_and_too_many_leaks_fail():
    found = campaigns.check(arms(leaked=[20, 0], free=[0, 400], elsewhere=[3, 0]), sums(), {})
    assert not found.failed
    assert [results(found)[name] for name in ("leaked", "elsewhere", "costs")] == ["look"] * 3
    said = " ".join(found.table.frame["what"])
    assert "20 of 400 held out were contacted all the same" in said
    assert "400 of 400 contacted have neither cost nor incentive" in said
    assert results(campaigns.check(arms(leaked=[81, 0]), sums(), {}))["leaked"] == "failed"


def test_effects_are_compared_in_every_measure():
    found = campaigns.effects(sums(kept=(300, 340), profit=(9000, 9800)), "money:EUR")
    kept = campaigns.changed(found["kept"], "contacted")
    assert (kept.case, kept.n, round(kept.value, 3)) == ("more", 800, 0.1)
    assert kept.low == pytest.approx(campaigns.difference(340, 400, 300, 400).low)
    assert campaigns.changed(found["paid_days"], "contacted").case == "unclear"
    assert campaigns.best(found) == "contacted"


def test_p_values_allow_for_all_segments():
    parts = [sums(by="device", segment=s, kept=k) for s, k in {"tv": (340, 290), "web": (300, 330)}.items()]
    parts += [sums(by="color", segment=s) for s in ("red", "blue")]
    parts += [sums(by="shape", segment="round")]
    found = campaigns.by_segment(pd.concat([sums(), *parts]), "contacted")
    rows = found.frame
    assert rows["by"].tolist() == ["device", "device", "color", "color"]
    assert rows["interaction"].iloc[0] < 0.001 < rows["interaction"].iloc[2]
    tv = rows.iloc[0]
    assert tv["difference"] < tv["shrunk"] < 0 < tv["p_adjusted"]
    assert campaigns.harmed(found).words["names"] == ["device “tv”"]
    with pytest.raises(NotApplicable, match="two segments in both arms"):
        campaigns.by_segment(sums(), "contacted")


@pytest.fixture(scope="module")
def drawn():
    return simulation.draw(np.random.default_rng(5), 4_000)


@pytest.fixture(scope="module")
def cells(drawn):
    return campaigns.scored(drawn.cells, simulation.BY, "contacted")


def test_a_score_is_learned_from_other_folds(drawn, cells):
    mine = drawn.cells["fold"] == 2
    changed = drawn.cells.copy()
    changed.loc[mine, ["s_kept", "s_profit"]] = 0.0
    other = campaigns.scored(changed, simulation.BY, "contacted")
    own, before = (rows[rows["fold"] == 2][["lift", "gain"]] for rows in (other, cells))
    assert np.allclose(own, before)
    assert not np.allclose(other["gain"], cells["gain"])


def test_the_order_of_rows_and_how_they_are_cut_do_not_matter(drawn, cells):
    half = drawn.cells.copy()
    numbers = [c for c in half if c == "n" or c[:2] in ("s_", "q_")]
    half[numbers] = half[numbers] / 2
    again = pd.concat([half, half]).sample(frac=1, random_state=1)
    found = campaigns.scored(again, simulation.BY, "contacted")
    pd.testing.assert_frame_equal(found, cells, check_dtype=False)
    for outcome in ("kept", "profit"):
        a, b = (
            campaigns.policies(rows, simulation.BY, "number", outcome=outcome).table.frame
            for rows in (cells, found.sample(frac=1, random_state=2))
        )
        pd.testing.assert_frame_equal(a, b)
    a, b = (campaigns.ranking(rows, "kept", "number", draws=2).curve.frame for rows in (cells, found[::-1]))
    pd.testing.assert_frame_equal(a[["share", "gained"]], b[["share", "gained"]])


def test_a_rule_is_worth_the_mean_of_doubly_robust_scores_of_single_customers():
    """Customers one by one, against the sums of their cells."""
    rng = np.random.default_rng(3)
    each = simulation.draw(rng, 600).cells
    # Repeat cells' customers with the cell's mean, so that sums of squares are known.
    each["s_profit"] = each["s_profit"] / each["n"]
    rows = each.loc[each.index.repeat(each["n"])].reset_index(drop=True).assign(n=1)
    for name in ("s_kept", "s_worth", "s_spent"):
        rows[name] = rows[name] / each.loc[each.index.repeat(each["n"]), "n"].to_numpy()
    rows["q_profit"] = rows["s_profit"] ** 2
    cells = campaigns.scored(rows, simulation.BY, "contacted")
    found = campaigns.policies(cells, simulation.BY, "number").table.frame.set_index("rule")
    whole = rows.merge(cells[["fold", *simulation.BY, "brings_t", "brings_c"]], on=["fold", *simulation.BY])
    t, y = (whole["variant"] == "contacted").to_numpy(), whole["s_profit"]
    p = t.mean()
    score = whole["brings_t"] - whole["brings_c"]
    score += np.where(t, (y - whole["brings_t"]) / p, -(y - whole["brings_c"]) / (1 - p))
    half = 1.959964 * score.std(ddof=0) / np.sqrt(len(score))
    row = found.loc["everybody"]
    assert row["value"] == pytest.approx(score.mean())
    assert (row["value_low"], row["value_high"]) == pytest.approx((score.mean() - half, score.mean() + half))


def test_a_budget_goes_to_those_with_the_highest_scores(cells):
    free = campaigns.policies(cells, simulation.BY, "number").table.frame["contacted"].iloc[-1]
    tight = campaigns.policies(cells, simulation.BY, "number", budget=50.0).table.frame["contacted"].iloc[-1]
    # Contacting costs 320: 50 a customer there is are enough for one in six.
    assert tight == pytest.approx(50 / simulation.SPENT, abs=0.06)
    assert tight < free
    nothing = campaigns.policies(cells, simulation.BY, "number", budget=0.0).table.frame
    assert nothing["contacted"].iloc[-1] < 0.01


def test_a_curve_ends_where_contacting_everybody_does(cells):
    found = campaigns.ranking(cells, "profit", "number", draws=50)
    rows = found.curve.frame
    assert len(rows) <= 101
    assert rows[["share", "gained"]].iloc[0].tolist() == [0, 0]
    last = rows.iloc[-1]
    assert (last["share"], last["gained"]) == (1, pytest.approx(last["by_chance"]))
    assert last["by_chance_low"] == pytest.approx(last["by_chance_high"])
    assert found.better.low < found.better.value < found.better.high


def test_television_is_left_out_and_nobody_or_everybody_where_that_is_better():
    kept = simulation.verdicts(27_500, 3, simulation.DEMO, outcome="kept")
    assert (kept["rule"] == simulation.RULE).all()
    assert (simulation.verdicts(27_500, 3, simulation.DEMO * 0)["advice"] == "stop").all()
    alike = simulation.verdicts(27_500, 3, simulation.DEMO * 0 + 0.04, simulation.SPENT // 10)
    assert (alike["advice"] == "all").all()


@pytest.mark.long
def test_verdicts_of_a_hundred_companies():
    for outcome in ("kept", "profit"):
        found = simulation.verdicts(27_500, 100, simulation.DEMO, outcome=outcome)
        assert (found["rule"] == simulation.RULE).sum() >= 95, outcome
        assert found["wrong"].sum() <= 5
    nobody = simulation.verdicts(27_500, 100, simulation.DEMO * 0)
    assert (nobody["advice"] == "stop").sum() >= 95
    assert not nobody["wrong"].any()
    alike = simulation.verdicts(27_500, 100, simulation.DEMO * 0 + 0.04, simulation.SPENT // 10)
    assert (alike["advice"] == "all").sum() >= 95


@pytest.mark.long
def test_intervals_of_rules_hold_what_they_are_worth():
    for name, (hits, total) in simulation.coverage(5_500, 2_000).items():
        assert total < 500 or 0.935 <= hits / total <= 0.965, (name, hits, total)


def test_the_next_hold_out_finds_twice_what_pays():
    """From a share of 0.75, an effect of 4 points pays; 8 are found four times out of five."""
    whole = sums(spent=(0, 320))
    found = campaigns.next_holdout(whole, "contacted", 8000.0)
    assert found.words["pays"].value == pytest.approx(0.04)
    n, rng = int(found.value), np.random.default_rng(4)
    a, b = rng.binomial(n, 0.83, 20_000) / n, rng.binomial(n, 0.75, 20_000) / n
    z = (a - b - 0.04) / np.sqrt((a * (1 - a) + b * (1 - b)) / n)
    assert (z > 1.96).mean() == pytest.approx(0.8, abs=0.02)
    assert campaigns.next_holdout(sums(), "contacted", 8000.0).case == "none"
    assert campaigns.worth_of_one(whole, 11.4, 91) == pytest.approx(8000 * (1 + 91 / 30.4375 / 2 / 11.4))


def test_what_is_published_adds_up():
    parts = [sums(by="device", segment=s, n=(200, 200), kept=(150, 160)) for s in ("tv", "web")]
    found = campaigns.published("stay", arms(), pd.concat([sums(), *parts]), 91)
    assert found[["by", "segment", "treated", "control", "kept_treated", "kept_control"]].to_numpy().tolist() == [
        ["", "", 400, 400, 320, 300], ["device", "tv", 200, 200, 160, 150], ["device", "web", 200, 200, 160, 150],
    ]  # fmt: skip
    assert found["as_of"].unique().tolist() == [dt.date(1970, 1, 1) + dt.timedelta(days=20_010 + 91)]
    offers = sums().replace({"variant": {"contacted": "tips"}})
    offers = pd.concat([offers, sums().tail(1).replace({"variant": {"contacted": "free month"}})])
    several = campaigns.published("stay", arms(), offers, 91)
    assert several["offer"].fillna("any").tolist() == ["any", "free month", "tips"]
    assert several["treated"].tolist() == [800, 400, 400]
    assert isinstance(campaigns.listed(arms()), Table)
