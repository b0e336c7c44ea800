"""Customers' value against closed forms, plain loops and simulated customers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenure.errors import InputError, NotApplicable
from tenure.models import retention, value
from tenure.models.retention import fit_retention, life_table
from tenure.models.value import Terms

EUR = {"EUR": 1.0}


def fitted(model: str = "sbg", apart: bool = False, covariates: tuple[str, ...] = ()) -> retention.Retention:
    """Curves of two plans, paid monthly and yearly, with a characteristic."""
    rng = np.random.default_rng(4)
    size = 6000
    level = rng.integers(0, 2, size)
    plan = rng.integers(0, 2, size)
    theta = rng.beta(1.2, np.where(plan == 0, 9.0, 2.0))
    chosen = rng.geometric(np.clip(1 - (1 - theta) ** np.where(level == 1, 1.4, 1.0), 1e-9, 1))
    failed = rng.geometric(np.where(plan == 0, 0.01, 0.1))
    watched = rng.integers(1, 30, size)
    left = np.minimum(chosen, failed) <= watched
    stays = pd.DataFrame(
        {
            "group": np.array(["Plus", "Year"])[plan],
            "interval": np.array(["1 month", "12 months"])[plan],
            "channel": np.array(["ads", "web"])[level],
            "entry": 0,
            "exit": np.minimum(np.minimum(chosen, failed), watched),
            "event": left.astype(int),
            "cause": np.where(left, np.where(chosen <= failed, "voluntary", "involuntary"), None),
            "n": 1,
        }
    )
    life = life_table(stays, [*retention.KEYS, *covariates])
    return fit_retention(life, model, covariates=list(covariates), apart=apart)


def pay(amounts: dict[str, list[float]], errors: float = 0.0) -> value.Margins:
    """Payments by tenure for the two plans, with their margin the same as their revenue."""
    intervals = {"Plus": "1 month", "Year": "12 months"}
    rows = [
        (group, intervals[group], k, 500, amount, amount)
        for group, levels in amounts.items()
        for k, amount in enumerate(levels)
    ]
    table = pd.DataFrame(rows, columns=["group", "interval", "tenure", "customers", "revenue", "margin"])
    levels = table.groupby(["group", "interval"], as_index=False)[["revenue", "margin"]].mean()
    return value.Margins(table.assign(relative_error=errors), levels.assign(refunded=0.0, fees=0.0))


FLAT = pay({"Plus": [1000.0], "Year": [9000.0]})


def base_of(rows: list[tuple]) -> pd.DataFrame:
    columns = ["group", "interval", "tenure", "currency", "customers", "billed_minor", "wait_days"]
    return pd.DataFrame(rows, columns=columns)


# --- terms and currencies -------------------------------------------------------------------------------


def test_a_yearly_rate_is_the_same_whatever_the_interval():
    terms = Terms(yearly_rate=0.12, years=7)
    for interval, times in (("1 month", 12), ("3 months", 4), ("12 months", 1), ("24 months", 0.5)):
        assert (1 + terms.rate(interval)) ** times == pytest.approx(1.12)
    assert terms.periods("3 months") == 28
    assert terms.periods("7 days") == int(np.ceil(7 * 365.25 / 7))


@pytest.mark.parametrize("wrong", [{"yearly_rate": -0.1}, {"margin": 1.2}, {"margin": -0.1}, {"fee_share": 2},
                                   {"years": 0}, {"fee_minor": -1}, {"margin": "0.5"}])  # fmt: skip
def test_terms_out_of_range_are_refused(wrong):
    with pytest.raises(InputError, match=f"`{next(iter(wrong))}` must lie between"):
        Terms(**wrong)


def test_currencies_without_a_rate_are_left_out_and_minor_units_kept_apart():
    factors = value.currency_factors(
        ["EUR", "USD", "JPY", "CHF"],
        "USD",
        {"EUR": 1.0, "USD": 0.9, "JPY": 0.006},
        {"EUR": 2, "USD": 2, "JPY": 0, "CHF": 2},
    )
    assert factors == pytest.approx({"EUR": 1 / 0.9, "USD": 1.0, "JPY": 0.006 / 0.9 * 100})


@pytest.mark.parametrize("text", ["", "months", "0 months", "1.5 months", "2 weeks", "x days"])
def test_an_interval_is_a_number_of_months_or_days(text):
    with pytest.raises(InputError, match="is no number of months or days"):
        retention.interval_years(text)


# --- payments by tenure -----------------------------------------------------------------------------------


def test_margins_are_what_was_paid_by_those_who_were_there():
    paid = pd.DataFrame(
        {
            "group": "a", "interval": "1 month", "currency": ["EUR", "EUR", "USD", "XXX"],
            "tenure": [0, 1, 0, 0], "payers": [90, 50, 10, 9], "charges": [95, 50, 10, 9],
            "paid_minor": [90_000, 60_000, 10_000, 9_000], "refunded_minor": [5_000, 0, 0, 0],
            "squares": [9e7, 7.2e7, 1e7, 1],
        }
    )  # fmt: skip
    begun = pd.DataFrame(
        {"group": "a", "interval": "1 month", "currency": ["EUR", "EUR", "USD"], "first": [0, 0, 0],
         "last": [0, 1, 0], "n": [40, 50, 10]}
    )  # fmt: skip
    terms = Terms(margin=0.8, fee_share=0.02, fee_minor=10)
    found = value.margins(paid, begun, terms, {"EUR": 1.0, "USD": 0.5}, smallest=1, precision=1)
    net, gross = 85_000 + 5_000, 90_000 + 5_000
    revenue = [net / 100, 60_000 / 50]
    margin = [(0.8 * net - 0.02 * gross - 10 * 105) / 100, (0.8 * 60_000 - 0.02 * 60_000 - 10 * 50) / 50]
    assert found.table["revenue"].tolist() == pytest.approx(revenue)
    assert found.profile("a", "1 month", 4).tolist() == pytest.approx([margin[0], *[margin[1]] * 4])
    level = found.levels.iloc[0]
    assert level["refunded"] == pytest.approx(5_000 / 155_000)
    assert level["revenue"] == pytest.approx(150_000 / 150)
    assert (found.table["relative_error"] > 0).all()
    # Later tenures that few have reached are taken together with those before, until there are enough.
    few = value.margins(paid, begun, terms, {"EUR": 1.0, "USD": 0.5}, smallest=60)
    assert few.profile("a", "1 month", 2).tolist() == pytest.approx(
        [(margin[0] * 100 + margin[1] * 50) / 150] * 3
    )
    with pytest.raises(NotApplicable, match="Nobody began a billing interval"):
        value.margins(paid, begun.iloc[:0], terms, EUR)
    with pytest.raises(InputError, match="no payments of group b"):
        found.profile("b", "1 month", 2)


def test_neighboring_tenures_are_taken_together_until_their_mean_is_known_well_enough():
    paid = pd.DataFrame(
        {
            "group": "a", "interval": "1 month", "currency": "EUR", "tenure": [0, 1, 2, 3, 5], "charges": 1,
            "payers": [400, 60, 50, 40, 6], "refunded_minor": 0,
            "paid_minor": [400_000, 72_000, 60_000, 40_000, 12_000],
            "squares": [8e8, 1.2e8, 1e8, 8e7, 1e7],
        }
    )  # fmt: skip
    begun = pd.DataFrame(
        {"group": "a", "interval": "1 month", "currency": "EUR", "first": [0, 1, 2, 3, 5],
         "last": [0, 1, 2, 3, 5], "n": [400, 60, 50, 40, 6]}
    )  # fmt: skip
    found = value.margins(paid, begun, Terms(), EUR, smallest=1, precision=0.1).table
    # About (0.9 / 0.1)^2 = 81 customers a mean: 400, then 60 + 50, then what is left with those before.
    later = (72_000 + 60_000 + 40_000 + 12_000) / 156
    assert found["revenue"].tolist() == pytest.approx([1000, later])
    assert found["customers"].tolist() == [400, 156]
    finer = value.margins(paid, begun, Terms(), EUR, smallest=1, precision=1).table
    assert finer["revenue"].tolist() == pytest.approx([1000, 1200, 112_000 / 96])
    # Nobody new: what the older pay stands in for the first interval.
    old = value.margins(paid[1:], begun[1:], Terms(), EUR, smallest=1, precision=1)
    assert old.profile("a", "1 month", 2).tolist() == pytest.approx([1200, 1200, 1200])


def test_the_error_of_payments_is_that_of_customers_drawn_anew():
    # Customers keep what they pay: 60 at a time begin in each month, and pay in each month until they leave.
    terms = Terms(margin=1.0, yearly_rate=0.0, years=2)
    fit = fitted()
    rows = base_of([("Plus", "1 month", 4, "EUR", 1, 1000, 0.0)])
    found, errors = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        start = np.repeat(np.arange(-12, 12), 60)
        life, own = rng.geometric(0.15, len(start)), rng.gamma(2, 500, len(start))
        first, last = np.maximum(-start, 0), np.minimum(11 - start, life - 1)
        here = last >= first
        each = pd.DataFrame({"first": first, "last": last, "own": own})[here]
        begun = each.groupby(["first", "last"], as_index=False).size().rename(columns={"size": "n"})
        begun = begun.assign(group="Plus", interval="1 month", currency="EUR")
        paid = pd.DataFrame(
            [
                (k, len(there), len(there), there.sum(), (there**2).sum())
                for k in range(24)
                if len(there := each.loc[(each["first"] <= k) & (k <= each["last"]), "own"])
            ],
            columns=["tenure", "payers", "charges", "paid_minor", "squares"],
        ).assign(group="Plus", interval="1 month", currency="EUR", refunded_minor=0)
        pays = value.margins(paid, begun, terms, EUR)
        profile = pays.profile("Plus", "1 month", 40)
        weight = fit.curves(rows[["group", "interval"]], 40)[0][5:] @ profile[5:]
        found.append(weight)
        errors.append(pays.profile("Plus", "1 month", 5, "relative_error")[5])
    assert np.std(found) / np.mean(found) == pytest.approx(np.mean(errors), rel=0.3)


def test_without_payments_everybody_pays_what_they_are_billed():
    base = base_of(
        [("Plus", "1 month", 0, "EUR", 10, 9_000, 15.0), ("Plus", "1 month", 3, "EUR", 4, 4_400, 15.0)]
    )
    found = value.margins(*value.payments_of_base(base), Terms(margin=0.5), EUR, smallest=1, precision=1)
    assert found.table["revenue"].tolist() == [900, 1100]
    assert found.table["margin"].tolist() == [450, 550]


# --- value --------------------------------------------------------------------------------------------------


@given(
    st.lists(st.floats(0.01, 0.6), min_size=3, max_size=15),
    st.lists(st.floats(0, 100), min_size=16, max_size=16),
    st.floats(0, 3),
    st.integers(1, 20),
)
def test_renewal_values_equal_a_plain_sum(hazards, money, rate, intervals):
    s = np.r_[1, np.cumprod(1 - np.array(hazards))]
    m = np.array(money[: len(s)])
    found = value.renewal_values(np.log(s)[None], m[None], rate, intervals=intervals)[0]
    for k in range(len(s) - 1):
        ahead = range(k + 1, min(len(s), k + intervals + 1))
        wanted = sum(s[j] / s[k] * m[j] / (1 + rate) ** (j - k - 1) for j in ahead)
        # Towards the curve's own end nothing beyond it can be counted, with or without a limit.
        if k + intervals < len(s) or intervals >= len(s):
            assert found[k] == pytest.approx(wanted, abs=1e-6)


def test_a_constant_chance_has_a_closed_form():
    fit = fitted("geometric")
    theta = fit.parameters().set_index("group")["value"]
    terms = Terms(yearly_rate=0.1, years=100)
    base = base_of(
        [("Plus", "1 month", 5, "EUR", 10, 10_000, 30.4375), ("Year", "12 months", 1, "EUR", 4, 36_000, 0.0)]
    )
    found = value.value_base(fit, base, FLAT, terms, EUR).rows.set_index("group")["value"]
    for group, interval, wait in (("Plus", "1 month", 1 / 12), ("Year", "12 months", 0.0)):
        d, stay = terms.rate(interval), 1 - theta[group]
        each = {"Plus": 1000, "Year": 9000}[group] * stay * (1 + d) / (d + theta[group])
        count = {"Plus": 10, "Year": 4}[group]
        assert found[group] == pytest.approx(count * each * 1.1**-wait, rel=1e-4)
    new = value.value_new(
        fit, pd.DataFrame({"group": ["Plus"], "interval": "1 month", "customers": [7]}), FLAT, terms
    )
    d = terms.rate("1 month")
    wanted = 1000 * (1 + d) / (d + theta["Plus"])
    assert new.by().loc[0, "each"] == pytest.approx(wanted, rel=1e-4)
    assert new.by().loc[0, "value"] == pytest.approx(7 * wanted, rel=1e-4)


def test_value_follows_the_payments_of_those_who_are_older():
    fit = fitted()
    terms = Terms(yearly_rate=0.2, years=30)
    grows = pay({"Plus": [500.0, 800.0, 1000.0], "Year": [9000.0]})
    intake = pd.DataFrame({"group": ["Plus"], "interval": "1 month", "customers": [1]})
    curve = fit.curves(intake[["group", "interval"]], 360)[0]
    v = (1 + terms.rate("1 month")) ** -np.arange(361.0)
    m = np.r_[500, 800, np.full(359, 1000)]
    assert value.value_new(fit, intake, grows, terms).by().loc[0, "value"] == pytest.approx(
        (curve * v * m).sum(), rel=1e-6
    )
    # A customer of tenure 0 who is billed twice the usual amount is worth twice as much.
    rows = [("Plus", "1 month", 0, "EUR", 1, 500, 0.0), ("Plus", "1 month", 0, "USD", 1, 1000, 0.0)]
    worth = value.value_base(fit, base_of(rows), grows, terms, {"EUR": 1.0, "USD": 1.0}).rows
    assert worth["value"].iloc[1] == pytest.approx(2 * worth["value"].iloc[0])
    later = (curve[1:] * m[1:] * (1 + terms.rate("1 month")) ** -np.arange(360.0)).sum()
    # Amounts are shared out by what each is billed; together they pay what such customers paid.
    assert worth["value"].sum() == pytest.approx(2 * later, rel=1e-6)


def test_sums_are_sums_and_intervals_shrink_with_what_is_added_up():
    fit = fitted(covariates=("channel",), apart=True)
    rows = base_of(
        [("Plus", "1 month", 0, "EUR", 9, 9_000, 3.0), ("Plus", "1 month", 7, "EUR", 5, 4_000, 9.0),
         ("Year", "12 months", 1, "EUR", 3, 27_000, 100.0)]
    )  # fmt: skip
    rows = pd.concat([rows.assign(channel="ads"), rows.assign(channel="web")], ignore_index=True)
    worth = value.value_base(fit, rows, pay({"Plus": [1000.0], "Year": [9000.0]}, 0.01), Terms(), EUR)
    total, parts = worth.by().iloc[0], worth.by("group", "channel")
    assert parts["value"].sum() == pytest.approx(total["value"])
    assert parts["customers"].sum() == total["customers"] == 34
    width = (parts["high"] / parts["low"]).min()
    assert total["high"] / total["low"] < width
    assert parts["value"].is_monotonic_decreasing
    with pytest.raises(InputError, match="cannot be added up by plan"):
        worth.by("plan")
    shuffled = value.value_base(fit, rows.sample(frac=1, random_state=1), FLAT, Terms(), EUR).by(
        "group", "channel"
    )
    pd.testing.assert_frame_equal(
        shuffled[["group", "channel", "value"]], parts[["group", "channel", "value"]], rtol=1e-9
    )


def test_what_changed_is_surer_than_what_all_are_worth():
    fit = fitted()
    money = pay({"Plus": [1000.0], "Year": [9000.0]}, 0.01)
    rows = [("Plus", "1 month", k, "EUR", 20, 20_000, 5.0) for k in range(5)]
    before = value.value_base(fit, base_of(rows), money, Terms(), EUR)
    after = value.value_base(fit, base_of([*rows[1:], ("Year", "12 months", 0, "EUR", 5, 45_000, 5.0)]), money,
                             Terms(), EUR)  # fmt: skip
    change, low, high = value.value_change(before, after)
    assert change == pytest.approx(after.by().loc[0, "value"] - before.by().loc[0, "value"])
    total = after.by().iloc[0]
    assert 0 < high - low < total["high"] - total["low"]
    assert value.value_change(before, before) == (0, 0, 0)
    # All parameters as they might be: the change follows them within its interval in 95 of 100 cases.
    rng = np.random.default_rng(1)
    drawn = rng.multivariate_normal(fit.estimate, fit.covariance, 4000) - fit.estimate
    moved = drawn @ (after.slopes.sum(axis=0) - before.slopes.sum(axis=0))
    assert 2 * 1.96 * moved.std() <= (high - low) * 1.03


def test_payments_foretold_are_those_of_customers_drawn_one_by_one():
    fit = fitted(covariates=("channel",), apart=True)
    pays = pay({"Plus": [500.0, 800.0, 1000.0], "Year": [9000.0]})
    stays = pd.DataFrame(
        {"group": ["Plus", "Plus", "Year", "Year"], "interval": ["1 month", "1 month", "12 months", "12 months"],
         "channel": ["ads", "web", "ads", "web"], "entry": [0, 7, 1, 0], "ripe": [6, 13, 2, 0],
         "cohort": [1, 0, 0, 1], "n": [40, 30, 20, 10]}
    )  # fmt: skip
    total = value.expected_payments(fit, stays, pays).iloc[0]
    parts = value.expected_payments(fit, stays, pays, ["cohort"])
    assert parts["expected"].sum() == pytest.approx(total["expected"])
    assert total["n"] == 90  # nobody whose next renewal lies beyond
    rng = np.random.default_rng(2)
    sums = np.zeros(2000)
    for row in stays.to_dict("records"):
        curve = fit.curves(pd.DataFrame([row]), 20)[0]
        money = pays.profile(row["group"], row["interval"], 20, "revenue")
        for _ in range(row["n"]):
            # The renewal at which a customer leaves, given that they were there at `entry`.
            stay = curve[row["entry"] : row["ripe"] + 1] / curve[row["entry"]]
            lasts = (rng.random((2000, 1)) < stay[None, 1:]).sum(axis=1)
            paid = np.r_[0.0, np.cumsum(money[row["entry"] + 1 : row["ripe"] + 1])]
            sums += paid[lasts]
    assert total["expected"] == pytest.approx(sums.mean(), rel=0.01)
    sure = value.expected_payments(known_exactly(fit), stays, pays).iloc[0]
    half = (sure["high"] - sure["low"]) / 2 / 1.96
    assert half == pytest.approx(sums.std(), rel=0.06)


def known_exactly(fit: retention.Retention) -> retention.Retention:
    """The same curves, as if they were known exactly."""
    parts = tuple(replace(part, covariance=np.zeros_like(part.covariance)) for part in fit.parts)
    return replace(fit, parts=parts)


def test_scores_give_each_row_its_value_back():
    fit = fitted(covariates=("channel",))
    rows = base_of(
        [("Plus", "1 month", 2, "EUR", 9, 9_500, 3.0), ("Year", "12 months", 1, "USD", 3, 27_000, 100.0)]
    )
    rows = rows.assign(channel="ads", note="kept")
    worth = value.value_base(fit, rows, FLAT, Terms(yearly_rate=0.1), {"EUR": 1.0, "USD": 0.5})
    scores = worth.scores()
    again = scores["multiplier"] * rows["billed_minor"] * 1.1 ** -(rows["wait_days"] / 365.25)
    assert again.to_numpy() == pytest.approx(worth.rows["value"].to_numpy())
    assert ((scores["low"] < scores["multiplier"]) & (scores["multiplier"] < scores["high"])).all()
    curve = fit.curves(rows[["group", "interval", "channel"]], 20)
    assert scores["stays_a_year"].tolist() == pytest.approx(
        [curve[0, 14] / curve[0, 2], curve[1, 2] / curve[1, 1]]
    )
    assert {"group", "interval", "channel", "tenure", "currency", "note"} <= set(scores.columns)


def test_groups_without_a_curve_borrow_one_or_are_left_out():
    fit = fitted()
    kinds = [
        ("Plus", "1 month", "EUR"),
        ("Rare", "1 month", "EUR"),
        ("Odd", "6 months", "EUR"),
        ("Plus", "1 month", "XXX"),
    ]
    rows = base_of([(group, interval, 0, code, 1, 1000, 0.0) for group, interval, code in kinds])
    rows["model_group"] = ["Plus", "Plus", "Odd", "Plus"]
    worth = value.value_base(fit, rows, FLAT, Terms(), EUR).by("group")
    assert worth["group"].tolist() == ["Plus", "Rare"]
    assert worth["value"].tolist() == [worth.loc[0, "value"]] * 2
    with pytest.raises(NotApplicable, match="No customer has both"):
        value.value_base(fit, rows.iloc[[2]], FLAT, Terms(), EUR)


def test_without_errors_values_are_the_same():
    fit = fitted()
    rows = base_of([("Plus", "1 month", 0, "EUR", 1, 1000, 0.0)])
    one = value.value_base(fit, rows, FLAT, Terms(), EUR)
    two = value.value_base(fit, rows, FLAT, Terms(), EUR, with_errors=False)
    assert two.rows["value"].tolist() == one.rows["value"].tolist()
    assert not two.slopes.any()


def test_zero_margin_and_extreme_discount_end_well():
    fit = fitted(apart=True)
    nothing = value.Margins(FLAT.table.assign(margin=0.0), FLAT.levels.assign(margin=0.0))
    rows = base_of([("Plus", "1 month", 0, "EUR", 5, 5000, 9.0)])
    intake = pd.DataFrame({"group": ["Plus"], "interval": "1 month", "customers": [3], "channel": "ads"})
    total = value.value_base(fit, rows, nothing, Terms(), EUR).by().iloc[0]
    assert total[["value", "low", "high"]].tolist() == [0, 0, 0]
    new = value.value_new(fit, intake, nothing, Terms())
    assert new.by().loc[0, "value"] == 0
    budget = value.retention_budget(fit, intake, nothing, Terms(), renewals=[1], cut=0.1)
    assert budget.loc[0, ["budget", "low", "high"]].tolist() == [0, 0, 0]
    assert np.isnan(budget.loc[0, "needed"])
    usual = value.formula_values(LIFE, nothing, Terms(), new.by("model_group", "interval"))
    assert np.isnan(usual.loc[0, "error"])
    assert usual.loc[0, "error_money"] == 0
    at_once = Terms(yearly_rate=100.0)
    found = value.value_new(fit, intake, FLAT, at_once).by().iloc[0]
    assert 1000 < found["each"] < 1000 * (1 + 1.1 / at_once.rate("1 month") + 2)
    patient = value.value_new(fit, intake, FLAT, Terms(yearly_rate=0.0, years=5)).by().iloc[0]
    curve = fit.curves(intake[["group", "interval"]], 60)[0]
    assert patient["each"] == pytest.approx(1000 * curve.sum(), rel=1e-6)


# --- the formula, channels, offers --------------------------------------------------------------------

LIFE = retention.cohort_life_table([[1000, 600, 450, 380]]).assign(group="Plus", interval="1 month")


def test_the_formula_is_the_formula():
    right = pd.DataFrame({"model_group": ["Plus"], "interval": "1 month", "customers": [10], "each": [5000.0],
                          "each_low": [4000.0], "each_high": [6000.0]})  # fmt: skip
    row = value.formula_values(LIFE, FLAT, Terms(yearly_rate=0.1), right).iloc[0]
    churn, d = 620 / 2050, 1.1 ** (1 / 12) - 1
    assert row["churn"] == pytest.approx(churn)
    assert row["formula"] == pytest.approx(1000 / churn)
    assert row["formula_discounted"] == pytest.approx(1000 * (1 + d) / (d + churn))
    assert row["duration"] == pytest.approx(1000 * (400 + 300 + 210) / 620)
    assert row["error_money"] == pytest.approx(10 * (1000 / churn - 5000))


def test_payback_is_the_first_month_in_which_the_margin_covers_the_cost():
    fit = fitted()
    intake = pd.DataFrame(
        {"group": ["Plus", "Year", "Plus"], "interval": ["1 month", "12 months", "1 month"],
         "customers": [6, 2, 5], "channel": ["ads", "ads", "web"]}
    )  # fmt: skip
    brought = value.cumulative_margin(fit, intake, FLAT, by="channel", months=30)
    plus, year = (fit.curves(intake[["group", "interval"]].iloc[[i]], 40)[0] for i in (0, 1))
    for month in (0, 1, 11, 12, 25):
        wanted = (6 * 1000 * plus[: month + 1].sum() + 2 * 9000 * year[: month // 12 + 1].sum()) / 8
        own = brought[(brought["channel"] == "ads") & (brought["month"] == month)].iloc[0]
        assert own["value"] == pytest.approx(wanted)
        assert own["low"] <= wanted <= own["high"]
    new = value.value_new(fit, intake, FLAT, Terms())
    spend = pd.DataFrame({"channel": ["ads", "web", "free"], "spent": [40_000.0, 0.0, 5.0], "won": [8, 5, 0]})
    table = value.acquisition_table(spend, brought, new.by("channel"), target=3.0, watched=3)
    ads, web = (table.set_index("channel").loc[name] for name in ("ads", "web"))
    assert ads["cost"] == 5000
    curve = brought[brought["channel"] == "ads"]
    assert ads["payback"] == curve.loc[curve["value"] >= 5000, "month"].min()
    assert ads["payback_low"] <= ads["payback"] <= ads["payback_high"]
    assert ads["ratio"] == pytest.approx(ads["value"] / 5000)
    assert ads["most"] == pytest.approx(ads["value"] / 3)
    assert ads["foretold"] == (ads["payback"] > 3)
    assert np.isnan(web["ratio"])
    assert web["payback"] == 0
    dear = value.acquisition_table(spend.assign(spent=1e9), brought, new.by("channel"), target=3.0, watched=3)
    assert dear["payback"].isna().all()
    assert dear["foretold"].all()
    with pytest.raises(NotApplicable, match="No channel"):
        value.acquisition_table(spend.iloc[[2]], brought, new.by("channel"), target=3.0, watched=3)


def test_a_retention_budget_is_what_an_offer_brings_in_a_simulation():
    rng = np.random.default_rng(8)
    size, cut, renewal = 400_000, 0.25, 2
    fit = fitted()
    alpha, beta = fit.parameters().query("group == 'Plus'")["value"]
    theta = rng.beta(alpha, beta, size)
    terms = Terms(yearly_rate=0.5, years=20)
    v = 1 / (1 + terms.rate("1 month"))
    there = rng.random(size) < (1 - theta) ** (renewal - 1)
    leaves = rng.random(size) < theta
    kept = there & leaves & (rng.random(size) < cut)
    # Whoever is kept pays now, and goes on to renew by their own chance.
    brings = 1000 / (1 - (1 - theta[kept]) * v)
    intake = pd.DataFrame({"group": ["Plus"], "interval": "1 month", "customers": [3]})
    found = value.retention_budget(fit, intake, FLAT, terms, renewals=[renewal], cut=cut).iloc[0]
    assert found["budget"] == pytest.approx(brings.sum() / there.sum(), rel=0.02)
    assert found["leave"] == pytest.approx(leaves[there].mean(), rel=0.02)
    assert found["kept_value"] < found["average_value"]
    assert found["budget"] < found["budget_naive"]
    assert found["low"] < found["budget"] < found["high"]
    assert found["needed"] == pytest.approx(100 / (found["leave"] * found["kept_value"]))
    with pytest.raises(InputError, match="`cut` must be a share"):
        value.retention_budget(fit, intake, FLAT, terms, renewals=[1], cut=0)


@pytest.mark.parametrize("model", list(retention.MODELS))
@pytest.mark.parametrize("apart", [False, True])
def test_budgets_come_from_every_model(model, apart):
    fit = fitted(model, apart, ("channel",))
    intake = pd.DataFrame(
        {"group": ["Plus", "Year"], "interval": ["1 month", "12 months"], "customers": [3, 2]}
    )
    intake["channel"] = ["ads", "web"]
    table = value.retention_budget(fit, intake, FLAT, Terms(), renewals=[1, 6], cut=0.2)
    assert len(table) == 4
    assert (table["budget"] > 0).all()
    assert (table["kept_value"] <= table["average_value"] * 1.0000001).all()
    if model == "geometric" and not apart:
        assert table["budget"].to_numpy() == pytest.approx(table["budget_naive"].to_numpy(), rel=0.02)


def test_cohorts_add_what_they_brought_to_what_is_to_come():
    brought = pd.DataFrame(
        {"cohort": [24_000, 24_000, 24_003], "currency": ["EUR", "USD", "EUR"], "customers": [4, 2, 3],
         "charges": [10, 4, 3], "paid_minor": [1000, 500, 300], "refunded_minor": [100, 0, 0]}
    )  # fmt: skip
    to_come = pd.DataFrame(
        {"cohort": [24_000], "customers": [3], "value": [900.0], "low": [800.0], "high": [1000.0]}
    )
    terms = Terms(margin=0.5, fee_share=0.1, fee_minor=1)
    table = value.cohort_values(brought, to_come, terms, {"EUR": 1.0, "USD": 2.0})
    first = (0.5 * 900 - 100 - 10) + (0.5 * 1000 - 100 - 4)
    assert table["so_far"].tolist() == [pytest.approx(first), pytest.approx(0.5 * 300 - 30 - 3)]
    assert table["each"].tolist() == [pytest.approx((first + 900) / 6), pytest.approx((0.5 * 300 - 33) / 3)]
    assert table["still_on"].tolist() == [3, 0]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 40), st.floats(0, 5), st.integers(1, 60))
def test_any_tenure_discount_and_horizon_give_a_finite_value(tenure, rate, years):
    rows = base_of([("Plus", "1 month", tenure, "EUR", 2, 2000, 11.0)])
    found = value.value_base(FIT, rows, FLAT, Terms(yearly_rate=rate, years=years), EUR).by().iloc[0]
    assert 0 < found["low"] < found["value"] < found["high"]
    assert np.isfinite(found["high"])


FIT = fitted()
