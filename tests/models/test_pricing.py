"""Prices: published numbers, known truth, and every way in which there is nothing to say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, special

from reference import prices as published
from simulations import coverage_experiments as simulation
from tenure.economics import Economics
from tenure.errors import InputError, NotApplicable
from tenure.models import price_changes, pricing
from tenure.models import price_research as research
from tenure.models.visitor import earnings

# --- what a month leaves --------------------------------------------------------------------------------

COMPANY = Economics(margin=0.7, fee_share=0.02, fee_fixed=0.25, cost_to_serve=1.0, discount_rate=0.1)


def test_what_serving_somebody_costs_does_not_rise_with_the_price():
    found = earnings(COMPANY, "EUR", price=1000)
    # 30 % of 10.00 and 1.00 a month, whatever the price; fees rise with it.
    assert found.left([1000, 2000]).tolist() == pytest.approx(
        [1000 * 0.98 - 25 - 400, 2000 * 0.98 - 25 - 400]
    )
    own = earnings(COMPANY, "EUR", price=1000, unit_cost=4.5)
    assert float(own.left(1000)) == pytest.approx(980 - 25 - 450)
    assert found.discount(13)[[0, 12]].tolist() == pytest.approx([1, 1 / 1.1])
    with pytest.raises(InputError, match="`unit_cost`"):
        earnings(COMPANY, "EUR", price=1000, unit_cost=-1)


def test_without_a_price_costs_are_the_companys_share():
    found = earnings(COMPANY, "EUR", price=None)
    assert float(found.left(1000)) == pytest.approx(700 - 20 - 25 - 100)


def test_prices_in_two_currencies_leave_what_their_mix_is_worth():
    # Half of the subscribers pay 1,500 yen at 0.006 (900 cents), half pay 15.00 euros (1,500 cents).
    rate = (1500 / 1500 + 900 / 1500) / 2
    found = earnings(COMPANY.model_copy(update={"margin": 1.0}), "EUR", price=1500, rate=rate)
    assert float(found.left(1500)) == pytest.approx(1200 * 0.98 - 25 - 100)


# --- the best price -----------------------------------------------------------------------------------


def logit_best_price(a, b, cost):
    """The price that maximizes (x - cost) / (1 + exp(-(a - b x))), by Lambert's function."""
    return float(cost + (1 + special.lambertw(np.exp(a - b * cost - 1)).real) / b)


def test_the_best_price_of_a_sale_is_lamberts():
    for (a, b, cost), price in published.LOGIT_BEST_PRICES:
        assert logit_best_price(a, b, cost) == pytest.approx(price, abs=1e-7)
        found, _ = pricing.best_price(lambda x: (x - cost) / (1 + np.exp(b * x - a)), cost, cost + 60)  # noqa: B023
        assert found == pytest.approx(price, abs=1e-4)


def test_the_best_price_of_a_subscription_and_what_ignoring_churn_costs():
    known = published.SUBSCRIPTION

    def value(x):
        converts = 1 / (1 + np.exp(known["b"] * x - known["a"]))
        return (
            converts
            * (x - known["cost"])
            / (known["hazard"] * np.exp(known["slope"] * x) + known["discount"])
        )

    best, worth = pricing.best_price(value, 2, 40)
    assert best == pytest.approx(published.SUBSCRIPTION_BEST, abs=1e-4)
    assert worth == pytest.approx(published.SUBSCRIPTION_VALUE, abs=1e-3)
    naive = logit_best_price(known["a"], known["b"], known["cost"])
    assert naive == pytest.approx(published.SUBSCRIPTION_NAIVE, abs=1e-4)
    assert value(naive) == pytest.approx(published.SUBSCRIPTION_NAIVE_VALUE, abs=1e-3)
    assert naive / best - 1 == pytest.approx(0.18, abs=0.005)


def expected_experiment(n=1_000_000):
    """Counts and the life table without chance."""
    counts, parts = [], []
    for name, price in simulation.PRICES.items():
        share = 1 / (1 + np.exp(-(simulation.A - simulation.B * price)))
        there = round(n * share)
        counts.append({"variant": name, "n": n, "converted": there, "price": price})
        h = simulation.base_hazard() * np.exp(simulation.G * (price - 13))
        at_risk = np.round(there * np.exp(-np.r_[0, np.cumsum(h)])).astype(int)
        events = at_risk[:-1] - at_risk[1:]
        parts.append(
            pd.DataFrame(
                {
                    "group": name,
                    "period": np.arange(1, 13),
                    "at_risk": at_risk[:-1],
                    "events": events,
                    "censored": np.r_[np.zeros(11, dtype=int), at_risk[-1]],
                }
            )
        )
    return pd.DataFrame(counts), pd.concat(parts, ignore_index=True)


def test_without_chance_the_curve_is_the_truth():
    counts, life = expected_experiment()
    demand, staying = pricing.logit_demand(counts), pricing.hazard_by_price(life, simulation.PRICES)
    assert (demand.a, demand.b) == pytest.approx((simulation.A, simulation.B), abs=1e-4)
    assert staying.g == pytest.approx(simulation.G, abs=1e-4)
    curve = pricing.profit_curve(demand, staying, simulation.earned(4), horizon=12)
    truth = optimize.minimize_scalar(lambda p: -simulation.true_value(p), bounds=(10, 18), method="bounded")
    best, naive = curve.best.value, curve.cost_of_naive.words["naive"].value
    assert best == pytest.approx(truth.x, abs=0.01)
    assert curve.value.value == pytest.approx(-truth.fun, rel=1e-3)
    assert curve.best.low < best < curve.best.high
    assert naive > best + 1
    lost = simulation.true_value(best) - simulation.true_value(naive)
    assert curve.cost_of_naive.value == pytest.approx(lost, rel=0.05)
    assert curve.best.case == ""
    gap = simulation.true_value(15) - simulation.true_value(13)
    row = curve.differences(simulation.PRICES, "b").set_index("variant").loc["c"]
    assert row["difference"] == pytest.approx(gap, abs=0.01)


def test_money_may_be_in_any_unit():
    counts, life = simulation.price_experiment(np.random.default_rng(4), 1600)
    minor = {name: 100 * price for name, price in simulation.PRICES.items()}
    found = [
        pricing.profit_curve(
            pricing.logit_demand(counts.assign(price=counts["price"] * unit)),
            pricing.hazard_by_price(life, prices),
            simulation.earned(4 * unit, fee_fixed=0.2 * unit),
            horizon=12,
        )
        for unit, prices in ((1, simulation.PRICES), (100, minor))
    ]
    for name in ("best", "value", "cost_of_naive"):
        one, hundred = (getattr(curve, name) for curve in found)
        for end in ("value", "low", "high"):
            assert getattr(hundred, end) == pytest.approx(100 * getattr(one, end), rel=1e-3)


def test_the_order_of_rows_does_not_matter():
    counts, life = simulation.price_experiment(np.random.default_rng(4), 1600)
    curves = []
    for seed in (0, 1):
        demand = pricing.logit_demand(counts.sample(frac=1, random_state=seed))
        staying = pricing.hazard_by_price(life.sample(frac=1, random_state=seed), simulation.PRICES)
        curves.append(pricing.profit_curve(demand, staying, simulation.earned(4), horizon=12))
    assert curves[0].best.value == pytest.approx(curves[1].best.value, rel=1e-9)
    assert curves[0].best.low == pytest.approx(curves[1].best.low, rel=1e-6)


def test_no_price_is_looked_at_beyond_those_tested_unless_asked():
    counts, life = expected_experiment(20_000)
    counts, life = counts[counts["price"] > 14], life[life["group"].isin(["c", "d"])]
    demand, staying = pricing.logit_demand(counts), pricing.hazard_by_price(life, simulation.PRICES)
    inside = pricing.profit_curve(demand, staying, simulation.earned(4, monthly=0), horizon=12)
    assert inside.table.frame["price"].min() == 15
    assert inside.best.value == 15
    assert inside.at_edge > 0.5
    assert inside.best.case == "edge"
    beyond = pricing.profit_curve(demand, staying, simulation.earned(4, monthly=0), horizon=12, low=8)
    assert beyond.best.value < 15


def test_a_horizon_that_was_not_observed_is_refused():
    counts, life = expected_experiment(10_000)
    demand, staying = pricing.logit_demand(counts), pricing.hazard_by_price(life, simulation.PRICES)
    pricing.profit_curve(demand, staying, simulation.earned(4), horizon=13, draws=100)
    with pytest.raises(InputError, match="12 only"):
        pricing.profit_curve(demand, staying, simulation.earned(4), horizon=14)


def test_a_lack_of_fit_is_seen():
    counts = pd.DataFrame({"price": [10.0, 12.0, 14.0, 16.0], "n": 4000, "converted": [1200, 400, 1200, 400]})
    assert pricing.logit_demand(counts).lack_of_fit < 1e-6
    counts, life = simulation.price_experiment(np.random.default_rng(1), 4000)
    assert pricing.logit_demand(counts).lack_of_fit > 0.01
    assert pricing.hazard_by_price(life, simulation.PRICES).lack_of_fit > 0.01


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ({"price": [10.0], "n": 100, "converted": [10]}, "two prices"),
        ({"price": [10.0, 12.0], "n": 100, "converted": [0, 0]}, "0 of 200"),
        ({"price": [10.0, 12.0], "n": [100, 0], "converted": [10, 0]}, "two prices"),
        # Every buyer was shown a lower price than everybody who did not buy: no slope is steep enough.
        ({"price": [10.0, 12.0, 14.0], "n": 100, "converted": [100, 40, 0]}, "some did not"),
    ],
)
def test_demand_that_cannot_be_told_ends_in_a_sentence(counts, words):
    with pytest.raises(NotApplicable, match=words):
        pricing.logit_demand(pd.DataFrame(counts))


def test_staying_that_cannot_be_told_ends_in_a_sentence():
    life = pd.DataFrame({"group": ["a", "b"], "period": 1, "at_risk": 10, "events": 0, "censored": 10})
    with pytest.raises(NotApplicable, match="nobody has left"):
        pricing.hazard_by_price(life, {"a": 1, "b": 2})
    with pytest.raises(NotApplicable, match="two prices"):
        pricing.hazard_by_price(life, {"a": 1, "b": 1})
    with pytest.raises(InputError, match="b have no price"):
        pricing.hazard_by_price(life, {"a": 1})


# --- two prices ---------------------------------------------------------------------------------------


def test_arc_elasticities():
    found = pricing.arc_elasticity(published.GABOR_GRANGER_PRICES, published.GABOR_GRANGER_SHARES)
    assert found == pytest.approx(published.ARC_ELASTICITIES, abs=1e-6)
    with pytest.raises(InputError, match="ascend"):
        pricing.arc_elasticity([2, 1], [0.5, 0.6])


@pytest.mark.long
def test_an_elasticity_of_two_covers_the_truth_and_knows_its_break_even():
    rng = np.random.default_rng(2)
    p = np.array([0.3, 0.24])
    truth = (p[1] - p[0]) / p.sum() / (2 / 22)
    held = 0
    for _ in range(400):
        x = rng.binomial(2000, p)
        sides = [
            {"price": price, "n": 2000, "converted": count, "margin": price - 4, "months_of_a_subscriber": 8}
            for price, count in zip((10, 12), x, strict=True)
        ]
        found = pricing.elasticity_of_two(pd.DataFrame(sides, index=[0, 1]).assign(variant=["a", "b"]), "a")
        held += found.low <= truth <= found.high
    assert 0.92 <= held / 400 <= 0.98
    assert found.words["even"].value == pytest.approx(6 / 8 - 1)
    arms = pd.DataFrame(sides).assign(variant=["a", "b"])
    back = pricing.elasticity_of_two(arms, "b")
    assert back.value == pytest.approx(found.value)
    assert (back.low, back.high) == pytest.approx((found.low, found.high), rel=0.02)
    with pytest.raises(NotApplicable, match="none"):
        pricing.elasticity_of_two(arms.assign(converted=[200, 0]), "a")
    with pytest.raises(NotApplicable, match="same price"):
        pricing.elasticity_of_two(arms.assign(price=10), "a")


def test_an_elasticity_is_that_of_the_price_furthest_from_the_control():
    arms = pd.DataFrame({"variant": ["a", "b", "c"], "price": [10, 10, 12], "converted": [200, 190, 170]})
    arms = arms.assign(n=1000, margin=6.0, months_of_a_subscriber=8.0)
    assert pricing.elasticity_of_two(arms, "a").words["seen"].value == pytest.approx(-0.15)


# --- what people say ----------------------------------------------------------------------------------


def answers_of(rng, people, medians=(5.0, 8.0, 12.5, 16.5), spread=0.19, round_to=0.01):
    taste = rng.normal(0, spread, (people, 1))
    values = np.sort(np.array(medians) * np.exp(taste + rng.normal(0, 0.1, (people, 4))), axis=1)
    values = np.round(values / round_to) * round_to
    return pd.DataFrame(values, columns=list(research.QUESTIONS)).assign(n=1)


def crossings(answers):
    """The four crossings by brute force, a fine grid of prices."""
    grid = np.arange(1, 30, 0.002)
    a = answers[list(research.QUESTIONS)].to_numpy()
    too_cheap, cheap = ((a[:, k][None] >= grid[:, None]).mean(axis=1) for k in (0, 1))
    expensive, too_expensive = ((a[:, k][None] <= grid[:, None]).mean(axis=1) for k in (2, 3))
    pairs = [
        (too_cheap, 1 - cheap),
        (cheap, expensive),
        (too_cheap, too_expensive),
        (1 - expensive, too_expensive),
    ]
    return [grid[(rises >= falls).argmax()] for falls, rises in pairs]


def test_the_price_meter_is_where_the_lines_cross():
    answers = answers_of(np.random.default_rng(0), 800)
    found = research.van_westendorp(answers, draws=200)
    assert found.points.frame["first"].tolist() == pytest.approx(crossings(answers), abs=0.05)
    assert found.points.frame["price"].between(found.points.frame["first"], found.points.frame["last"]).all()
    truth = crossings(answers_of(np.random.default_rng(1), 20_000))
    assert (found.points.frame["price_low"] - 0.05 <= truth).all()
    assert (truth <= found.points.frame["price_high"] + 0.05).all()


def test_where_lines_lie_together_the_price_meter_gives_a_range():
    """Nobody's answers meet: 3 to 5 is too cheap, 6 to 9 cheap, 10 to 14 expensive, from 20 on too expensive."""
    rng = np.random.default_rng(3)
    asked = zip(research.QUESTIONS, ([3, 4, 5], [6, 7, 8, 9], [10, 12, 14], [20, 22, 25]), strict=True)
    meter = research.van_westendorp(
        pd.DataFrame({q: rng.choice(p, 60) for q, p in asked}).assign(n=1), draws=100
    )
    ranges = {
        "lowest acceptable": (5, 6),
        "indifference": (9, 10),
        "optimal": (5, 20),
        "highest acceptable": (14, 20),
    }
    for name, (first, last) in ranges.items():
        point = meter.point(f"{name} price")
        assert (point.words["first"].value, point.words["last"].value, point.case) == (
            first,
            last,
            "together",
        )
        assert point.value == (first + last) / 2
        assert point.low <= first < last <= point.high
    apart = research.van_westendorp(answers_of(rng, 401), draws=50).point("optimal price")
    assert apart.low < apart.value < apart.high


@pytest.mark.long
def test_the_price_meters_intervals_hold_what_a_large_survey_finds():
    truth = research.van_westendorp(answers_of(np.random.default_rng(1), 50_000, round_to=0.5), draws=2)
    held = np.zeros(4)
    for seed in range(60):
        answers = answers_of(np.random.default_rng(seed + 10), 100, round_to=0.5)
        found = research.van_westendorp(answers, draws=150).points.frame
        held += found["price_low"].le(truth.points.frame["price"]) & found["price_high"].ge(
            truth.points.frame["price"]
        )
    assert (held >= 52).all(), held  # 57 are expected, and fewer than 52 in one of a hundred


def test_the_price_meter_names_the_question_that_nobody_answered():
    answers = answers_of(np.random.default_rng(0), 50)
    with pytest.raises(NotApplicable, match=r"nobody answered too_cheap\."):
        research.van_westendorp(answers.assign(too_cheap=np.nan))
    with pytest.raises(NotApplicable, match="nobody answered too_cheap, "):
        research.van_westendorp(answers.head(0))
    gaps = pd.concat([answers, answers.head(7).assign(expensive=np.nan)])
    found, clean = (research.van_westendorp(table, draws=50) for table in (gaps, answers))
    assert (found.incomplete, clean.incomplete, found.incoherent.n) == (7, 0, 50)
    assert found.points.frame.equals(clean.points.frame)
    with pytest.raises(
        NotApplicable, match="there are 20, beside 0 who answered out of order and 30 who left"
    ):
        research.van_westendorp(pd.concat([answers.head(20), answers.tail(30).assign(cheap=np.nan)]))
    with pytest.raises(NotApplicable, match="one price as all four"):
        research.van_westendorp(pd.DataFrame([[9.0] * 4], columns=list(research.QUESTIONS)).assign(n=40))


def test_a_group_without_a_price_meter_of_its_own_leaves_the_others_theirs():
    answers = answers_of(np.random.default_rng(0), 100).assign(group="a")
    backwards = answers.set_axis([*research.QUESTIONS[::-1], "n", "group"], axis=1).assign(group="b")
    found = research.price_meter_by(pd.concat([answers, backwards])).frame
    assert set(found["group"]) == {"a"}


def test_the_price_meter_leaves_out_and_counts_who_answered_out_of_order():
    answers = answers_of(np.random.default_rng(0), 400, round_to=0.5)
    mixed = pd.concat([answers, answers.head(20).set_axis([*research.QUESTIONS[::-1], "n"], axis=1)])
    found, clean = (research.van_westendorp(table, draws=50) for table in (mixed, answers))
    assert (found.incoherent.n, found.incoherent.words["coherent"]) == (420, 400)
    assert found.incoherent.value == pytest.approx(20 / 420)
    assert found.points.frame["price"].tolist() == clean.points.frame["price"].tolist()
    counted = (
        mixed.groupby(list(research.QUESTIONS), as_index=False)["n"].sum().sample(frac=1, random_state=1)
    )
    again = research.van_westendorp(counted, draws=50)
    assert again.points.frame["price"].tolist() == clean.points.frame["price"].tolist()


def test_too_few_answers_and_bad_ones_end_in_a_sentence():
    answers = answers_of(np.random.default_rng(0), 20)
    with pytest.raises(NotApplicable, match="30 people who answered all four"):
        research.van_westendorp(answers)
    with pytest.raises(InputError, match="no price"):
        research.van_westendorp(answers.assign(cheap=-1.0))
    with pytest.raises(NotApplicable, match="60 people"):
        research.price_meter_by(answers.assign(group="x"))


def test_gabor_and_granger():
    shares = np.array(published.GABOR_GRANGER_SHARES)
    table = pd.DataFrame({"price": published.GABOR_GRANGER_PRICES, "n": 500, "would_buy": 500 * shares})
    found = research.gabor_granger(table)
    assert found.table.frame["revenue"].tolist() == pytest.approx(published.GABOR_GRANGER_REVENUE)
    assert found.table.frame["elasticity"].iloc[1:].tolist() == pytest.approx(
        published.ARC_ELASTICITIES, abs=1e-6
    )
    assert found.best.words["price"].value == 10
    risen = research.gabor_granger(table.assign(would_buy=[400, 200, 300, 100, 50]))
    assert risen.table.frame["smoothed"].is_monotonic_decreasing
    assert risen.table.frame["smoothed"].iloc[1] == pytest.approx(0.5)
    with pytest.raises(NotApplicable, match="two prices"):
        research.gabor_granger(table.head(1))


# --- choices ------------------------------------------------------------------------------------------

TASTE = {"price": -0.3, "term": {"month": 0.0, "year": -0.6}, "ads": {"no": 0.0, "yes": -0.9}, "none": -3.0}


def choices_of(rng, people, tasks=8, spread=0.0):
    rows = []
    for person in range(people):
        lean = rng.normal(0, spread)
        for task in range(tasks):
            offers = [
                {
                    "price": rng.choice([5.0, 8.0, 11.0, 14.0]),
                    "term": rng.choice(["month", "year"]),
                    "ads": ads,
                }
                for ads in rng.choice(["no", "yes"], 3)
            ]
            v = [
                TASTE["price"] * o["price"] + TASTE["term"][o["term"]] + TASTE["ads"][o["ads"]] + lean
                for o in offers
            ]
            picked = int(np.argmax(np.r_[TASTE["none"], v] + rng.gumbel(size=4)))
            shown = [{"price": 0.0, "term": "", "ads": ""}, *offers]
            for k, offer in enumerate(shown):
                rows.append(
                    {
                        "respondent": f"p{person}",
                        "task": f"t{task}",
                        "alternative": k,
                        "chosen": int(k == picked),
                    }
                    | offer
                )
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def choices():
    return choices_of(np.random.default_rng(0), 250)


def test_choices_give_back_the_tastes_they_were_made_of(choices):
    found = research.conjoint(choices)
    truth = [TASTE["price"], TASTE["ads"]["yes"], TASTE["term"]["year"], TASTE["none"]]
    table = found.table.set_index("attribute").loc[["price", "ads", "term", "none"]]
    assert (table["coefficient_low"] <= truth).all()
    assert (truth <= table["coefficient_high"]).all()
    worth = found.willingness_to_pay().frame.set_index("attribute")
    assert worth.loc["ads", "worth_low"] < -3 < worth.loc["ads", "worth_high"]
    assert worth.loc["term", "worth_low"] < -2 < worth.loc["term", "worth_high"]
    assert worth.loc["ads", ["level", "reference"]].tolist() == ["yes", "no"]
    told = found.most_telling()
    assert (told.value, told.low) == tuple(worth.loc["ads", ["worth", "worth_low"]])
    assert told.words == {"attribute": "ads", "kind": "yes", "reference": "no"}


def test_choices_are_those_of_statsmodels(choices):
    from statsmodels.discrete.conditional_models import ConditionalLogit

    few = choices[choices["respondent"].isin([f"p{i}" for i in range(30)])]
    design = np.column_stack(
        [few["price"], few["term"] == "year", few["ads"] == "yes", few["alternative"] == 0]
    ).astype(float)
    other = ConditionalLogit(few["chosen"], design, groups=few["respondent"] + few["task"]).fit(disp=False)
    found = research.conjoint(few)
    assert found.coefficients.tolist() == pytest.approx(np.asarray(other.params).tolist(), abs=1e-3)
    assert found.log_likelihood == pytest.approx(float(other.llf), abs=1e-3)


def test_the_order_of_choices_does_not_matter(choices):
    mixed = research.conjoint(choices.sample(frac=1, random_state=1))
    assert mixed.coefficients.tolist() == pytest.approx(research.conjoint(choices).coefficients.tolist())


def test_errors_grow_where_a_persons_choices_are_alike():
    found = research.conjoint(choices_of(np.random.default_rng(3), 150, spread=2.0))
    none = found.table.index[found.table["attribute"] == "none"][0]
    alike = research.conjoint(choices_of(np.random.default_rng(3), 150, spread=0.0))
    assert found.table["standard_error"][none] > 1.2 * alike.table["standard_error"][none]


def test_shares_add_up_and_hold_the_truth(choices):
    offers = research.read_offers(["a: price=8; term=month; ads=no", "b: price=5; term=year; ads=yes"])
    found = research.conjoint(choices).shares(offers).frame.set_index("offer")
    assert found["share"].sum() == pytest.approx(1)
    v = np.exp([-0.3 * 8, -0.3 * 5 - 0.6 - 0.9, -3.0])
    truth = v / v.sum()
    assert (found["share_low"] <= truth).all()
    assert (truth <= found["share_high"]).all()
    with pytest.raises(InputError, match="'week'"):
        research.conjoint(choices).shares(offers.assign(term="week"))


def test_choices_are_read_out_of_survey_questions(choices):
    rows = []
    for (person, task), part in choices.head(400).groupby(["respondent", "task"]):
        shown = " | ".join(
            f"price={r['price']}; term={r['term']}; ads={r['ads']}" if r["alternative"] else "none"
            for r in part.to_dict("records")[::-1]
        )
        chosen = part.loc[part["chosen"] == 1, "alternative"].iloc[0]
        # Offers were written from the last to the first.
        rows.append((person, f"choice {task}: {shown}", str(4 - chosen) if chosen else "none"))
    read = research.read_choices(pd.DataFrame(rows, columns=["customer_id", "question", "answer"]))
    few = research.conjoint(choices.head(400))
    assert research.conjoint(read).coefficients.tolist() == pytest.approx(few.coefficients.tolist())


@pytest.mark.parametrize(
    ("question", "answer", "words"),
    [
        ("choice 1: price=5; ads=no | price=7; ads=yes", "3", "is no offer"),
        ("choice 1: price=5; ads=no | price=7; ads=yes", "0", "is no offer"),
        ("choice 1: price=five; ads=no | price=7; ads=yes", "1", "cannot be read"),
        ("choice 1: price=5; ads=no | price=7; term=year", "1", "cannot be read"),
    ],
)
def test_choices_that_cannot_be_read_are_refused(question, answer, words):
    with pytest.raises(InputError, match=words):
        research.read_choices(
            pd.DataFrame({"customer_id": ["c"], "question": [question], "answer": [answer]})
        )


def test_choices_that_tell_nothing_end_in_a_sentence(choices):
    with pytest.raises(InputError, match="exactly one"):
        research.conjoint(choices.assign(chosen=0))
    alike = choices[choices["alternative"] > 0].assign(price=5.0)
    answered = alike.groupby(["respondent", "task"])["chosen"].transform("sum") == 1
    with pytest.raises(NotApplicable, match="same price"):
        research.conjoint(alike[answered])
    rng = np.random.default_rng(0)
    blind = choices[choices["alternative"] > 0].copy()
    pick = rng.integers(1, 4, len(blind) // 3)
    blind["chosen"] = (blind["alternative"].to_numpy() == np.repeat(pick, 3)).astype(int)
    model = research.conjoint(blind)
    if model.table["coefficient_high"].iloc[0] >= 0:
        with pytest.raises(NotApplicable, match="Price does not clearly lower"):
            model.willingness_to_pay()


# --- commitment, usage, increases -----------------------------------------------------------------------


@given(st.lists(st.floats(0.01, 0.4), min_size=6, max_size=6), st.floats(0, 6), st.floats(0, 0.03))
@settings(max_examples=25, deadline=None)
def test_at_the_largest_discount_a_commitment_is_worth_the_same(hazards, cost, rate):
    at_risk = np.round(1e6 * np.r_[1, np.cumprod(1 - np.array(hazards))]).astype(int)
    life = pd.DataFrame(
        {
            "period": range(1, 7),
            "at_risk": at_risk[:-1],
            "events": at_risk[:-1] - at_risk[1:],
            "censored": [0] * 5 + [at_risk[-1]],
        }
    )
    free = simulation.earned(cost, monthly=rate)
    row = price_changes.term_discounts(life, free, price=10, terms=[6]).table.frame.iloc[0]
    v = (1 + rate) ** -np.arange(6)
    monthly = (10 - cost) * (at_risk[:6] / 1e6 * v).sum()
    assert 60 * (1 - row["largest_discount"]) - cost * v.sum() == pytest.approx(monthly, abs=1e-3)
    assert row["largest_discount_low"] <= row["largest_discount"] <= row["largest_discount_high"]
    # With fees: six payments of 10 against one, each with a fee of 0.3 and 2 % of what is charged.
    paid = simulation.earned(cost, monthly=rate, fee_share=0.02, fee_fixed=0.3)
    row = price_changes.term_discounts(life, paid, price=10, terms=[6]).table.frame.iloc[0]
    monthly = (9.8 - 0.3 - cost) * (at_risk[:6] / 1e6 * v).sum()
    once = 60 * (1 - row["largest_discount"]) * 0.98 - 0.3 - cost * v.sum()
    assert once == pytest.approx(monthly, abs=1e-3)


def test_terms_in_which_nobody_was_observed_are_missing():
    life = pd.DataFrame({"period": [1, 2], "at_risk": [100, 80], "events": [20, 10], "censored": [0, 70]})
    found = price_changes.term_discounts(life, simulation.earned(), price=10, terms=[12, 2])
    assert found.table.frame["largest_discount"].isna().tolist() == [True, False]
    assert (found.longest.words["term"].value, found.longest.n) == (2, 100)
    none = price_changes.term_discounts(life, simulation.earned(), price=10, terms=[12])
    assert not none.longest.known


def test_bills_are_those_of_each_customer_month():
    rng = np.random.default_rng(0)
    months = pd.DataFrame({"units": rng.poisson(4, 3000), "paid": rng.choice([8.0, 13.0], 3000)})
    plan = price_changes.UsagePlan("hybrid", base=5, included=2, rate=1.5, cap=14)
    each = np.minimum(5 + 1.5 * np.maximum(months["units"] - 2, 0), 14)
    usage = months.groupby(["units", "paid"]).size().rename("n").reset_index().sample(frac=1, random_state=1)
    row = price_changes.usage_bills(usage, [plan]).table.frame.iloc[1]
    assert row["revenue"] == pytest.approx(each.mean())
    change = each - months["paid"]
    half = 1.959964 * change.sem()
    assert (row["change_low"], row["change_high"]) == pytest.approx(
        (change.mean() - half, change.mean() + half)
    )
    assert row["more_expensive"] == pytest.approx((each > 1.2 * months["paid"]).mean())
    top = np.sort(each)[-300:].sum() / each.sum()
    assert row["top_tenth"] == pytest.approx(top)
    best = price_changes.usage_bills(usage, [plan]).best
    assert (best.value, best.words["plan"], best.n) == (row["change"], "hybrid", 3000)
    wide = price_changes.usage_bills(usage, [plan], months=4).table.frame.iloc[1]
    assert wide["change_high"] - wide["change"] == pytest.approx(2 * half)


def test_usage_that_is_no_usage_is_refused():
    with pytest.raises(NotApplicable, match="no customer-month"):
        price_changes.usage_bills(pd.DataFrame({"units": [], "paid": [], "n": []}), [])
    with pytest.raises(InputError, match="from 0 up"):
        price_changes.usage_bills(pd.DataFrame({"units": [-1], "paid": [1], "n": [1]}), [])
    for plan in ("metered", "metered: rate x", ": rate 1", "metered: tarif 1", "metered: rate -1"):
        with pytest.raises(InputError, match="`plans`"):
            price_changes.read_plans([plan])


def test_at_the_break_even_a_price_increase_neither_earns_nor_loses():
    life = pd.DataFrame(
        {"period": [1, 2, 3], "at_risk": [100, 80, 40], "events": [10, 10, 5], "censored": [10, 30, 35]}
    )
    earned = simulation.earned(4, monthly=0)
    even = price_changes.break_even_churn(earned, 10, 2)
    assert even == pytest.approx(2 / 8)
    found = price_changes.price_increase(
        life, earned, customers=1000, price=10, rise=2, horizon=12, leave=[0, even, 0.4], waves=3
    ).frame
    assert found["at_once"].iloc[1] == pytest.approx(0, abs=1e-9)
    assert found["at_once"].iloc[0] > found["staged"].iloc[0] > 0
    assert found["at_once"].iloc[2] < found["staged"].iloc[2] < 0
    with pytest.raises(InputError, match="does not cover"):
        price_changes.break_even_churn(simulation.earned(5), 3, 1)


def test_the_last_rise_is_that_of_most_subscriptions():
    assert price_changes.last_rise(pd.DataFrame({"month": [], "raised": []})) is None
    assert price_changes.last_rise(pd.DataFrame({"month": [24_290], "raised": [99]})) is None
    seen = pd.DataFrame(
        {"variant": ["after", "before"], "n": [2000, 2100], "left": [170, 190], "cheaper": [66, 9]}
    )
    left, cheaper = price_changes.rise_response(seen)
    assert (left.value, left.compare.value, left.change) == (0.085, 190 / 2100, "no clear change")
    assert (cheaper.change, cheaper.of, cheaper.n) == ("rose", "subscription", 2000)


def test_who_pays_less_than_new_subscribers():
    paid = pd.DataFrame(
        {
            "plan": ["A", "A", "A", "B"],
            "currency": "EUR",
            "billing": ["1 month", "1 month", "1 month", "1 year"],
            "unit_amount_minor": [900, 1000, 1200, 9000],
            "subscriptions": [50, 200, 10, 5],
            "seats": [50, 200, 10, 15],
            "monthly_minor": [45_000, 200_000, 12_000, 3750],
            "recent": [0, 3, 9, 0],
        }
    )
    found = price_changes.exposed(paid).set_index("plan")
    assert found.loc["A", ["list_minor", "below"]].tolist() == [1200, 250]
    assert found.loc["A", "gap_minor"] == pytest.approx((50 * 300 + 200 * 200) / 250)
    assert price_changes.choose_plan(price_changes.exposed(paid))["plan"] == "A"
    shown = price_changes.prices_in(price_changes.exposed(paid), "EUR")
    assert (shown.units["mean_gap"], len(shown)) == ("money:EUR", 2)
    assert shown.frame["seats"].tolist() == [260, 15]
    assert price_changes.choose_plan(price_changes.exposed(paid), "B")["billing"] == "1 year"
    for named in ({"plan": "C"}, {"plan": "A", "billing": "1 year"}):
        with pytest.raises(InputError, match="no active subscription has"):
            price_changes.choose_plan(price_changes.exposed(paid), **named)
    with pytest.raises(NotApplicable, match="No active subscription"):
        price_changes.choose_plan(price_changes.exposed(paid.head(0)))


@pytest.mark.parametrize(("billing", "months"), [("1 week", 12 / 52), ("3 month", 3), ("1 year", 12)])
def test_prices_of_weeks_quarters_and_years_and_of_seats_count_as_they_are_charged(billing, months):
    economics = Economics(margin=0.7, fee_share=0.02, fee_fixed=0.5, discount_rate=0.0)
    row = pd.Series(
        {"billing": billing, "currency": "EUR", "list_minor": 9_000, "subscriptions": 10, "seats": 40}
    )
    earned = price_changes.earnings_of(row, economics)
    # Four seats at 90: one charge leaves 360 less 2 %, a fee of 0.50, and 30 % for service.
    charge = 36_000 * 0.68 - 50
    assert float(earned.left(9_000)) * earned.every == pytest.approx(charge)
    by_seat = price_changes.earnings_of(row, economics, unit_cost=3.0, per_seat=True)
    served = 4 * 300 * months
    assert float(by_seat.left(9_000)) * earned.every == pytest.approx(36_000 * 0.98 - 50 - served)
    even = price_changes.break_even_churn(earned, 9_000, 900)
    assert even == pytest.approx(4 * 900 * 0.98 / (charge + 4 * 900 * 0.98))
    # Nobody leaves: all pay the rise with every charge of two years.
    periods = earned.periods(24)
    life = pd.DataFrame({"period": [periods], "at_risk": [90], "events": [0], "censored": [90]})
    gain = price_changes.price_increase(
        life, earned, customers=10, price=9_000, rise=900, horizon=24, leave=[0.0]
    ).frame
    charges = 24 / months
    assert gain["at_once"].iloc[0] == pytest.approx(10 * 4 * 900 * 0.98 * charges, rel=0.001)
    # A commitment of two years saves nothing but fees: all of them but one.
    found = price_changes.term_discounts(life, earned, price=9_000, terms=[24]).table.frame.iloc[0]
    whole = 36_000 * 0.98 * charges
    assert found["largest_discount"] == pytest.approx(50 * (charges - 1) / whole, rel=0.01)


def test_terms_no_longer_than_a_payment_give_way_to_two_and_three_payments():
    row = pd.Series(
        {"billing": "1 year", "currency": "EUR", "list_minor": 9_000, "subscriptions": 9, "seats": 9}
    )
    earned = price_changes.earnings_of(row, Economics(discount_rate=0.0))
    life = pd.DataFrame({"period": [12, 36], "at_risk": [90, 45], "events": [45, 0], "censored": [0, 45]})
    found = price_changes.term_discounts(life, earned, price=9_000, terms=[3, 6, 12]).table.frame
    # Half leave after a year: of two years' payments one and a half are made, of three years' two.
    assert found["term"].tolist() == [24, 36]
    assert found["paid_months"].tolist() == [18, 24]
    kept = [0.7 * 1.5 + 0.3 * 2, 0.7 * 2 + 0.3 * 3]
    assert found["largest_discount"].tolist() == pytest.approx([1 - kept[0] / 2, 1 - kept[1] / 3])
