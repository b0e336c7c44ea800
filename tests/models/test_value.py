"""Customers' value against closed forms, plain loops and simulated customers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.customers import base_of, fitted, flat, pay, terms
from tenure.economics import Economics
from tenure.errors import InputError, NotApplicable
from tenure.models import budgets, payments, renewals, value
from tenure.models.retention import Retention, fit_retention
from tenure.models.retention_choice import Backtest, against, calibration_by_group
from tenure.result import Table

TWO = {"EUR": 1.0, "USD": 0.5}


def test_a_constant_chance_has_a_closed_form():
    fit = fitted("geometric")
    theta = fit.parameters().frame.set_index("group")["value"]
    own = terms(years=100)
    base = base_of(
        [("Plus", "1 month", 5, "EUR", 10, 10_000, 30.4375), ("Year", "12 months", 1, "EUR", 4, 36_000, 0.0)]
    )
    found = value.value_base(fit, base, flat(own)).rows.set_index("group")["value"]
    for group, interval, wait in (("Plus", "1 month", 1 / 12), ("Year", "12 months", 0.0)):
        d, stay = own.rate(interval), 1 - theta[group]
        each = {"Plus": 1000, "Year": 9000}[group] * stay * (1 + d) / (d + theta[group])
        count = {"Plus": 10, "Year": 4}[group]
        assert found[group] == pytest.approx(count * each * 1.1**-wait, rel=1e-4)
    new = value.value_new(
        fit, pd.DataFrame({"group": ["Plus"], "interval": "1 month", "customers": [7]}), flat(own)
    )
    d = own.rate("1 month")
    wanted = 1000 * (1 + d) / (d + theta["Plus"])
    assert new.each.value == pytest.approx(wanted, rel=1e-4)
    assert new.total.value == pytest.approx(7 * wanted, rel=1e-4)
    assert (new.total.n, new.total.of, new.total.unit) == (7, "new customer", "money:EUR")


def test_where_few_left_a_values_limits_are_those_of_the_chance_to_leave():
    keys = {"group": "Year", "interval": "12 months", "entry": 0, "cause": None}
    stays = pd.DataFrame({**keys, "exit": [1, 3], "event": [1, 0], "n": [1, 20]})
    own, intake = (
        terms(years=100),
        pd.DataFrame({"group": ["Year"], "interval": "12 months", "customers": [3]}),
    )
    fit = fit_retention(renewals.life_table(stays), "geometric")
    chance = fit.parameters().frame.iloc[0]
    each = value.value_new(fit, intake, flat(own)).each
    ends = [9000 * 1.1 / (0.1 + chance[name]) for name in ("value", "value_high", "value_low")]
    assert [each.value, each.low, each.high] == pytest.approx(ends, rel=0.02)
    assert each.low < 0.6 * each.value < each.high < 9000 * 11


def test_value_follows_the_payments_of_those_who_are_older():
    fit = fitted()
    own = terms(discount_rate=0.2, factors={"EUR": 1.0, "USD": 1.0})
    grows = pay({"Plus": [500.0, 800.0, 1000.0], "Year": [9000.0]}, on=own)
    intake = pd.DataFrame({"group": ["Plus"], "interval": "1 month", "customers": [1]})
    curve = fit.curves(intake[["group", "interval"]], 360)[0]
    v = (1 + own.rate("1 month")) ** -np.arange(361.0)
    m = np.r_[500, 800, np.full(359, 1000)]
    assert value.value_new(fit, intake, grows).total.value == pytest.approx((curve * v * m).sum(), rel=1e-6)
    # A customer of tenure 0 who is billed twice the usual amount is worth twice as much.
    rows = [("Plus", "1 month", 0, "EUR", 1, 500, 0.0), ("Plus", "1 month", 0, "USD", 1, 1000, 0.0)]
    worth = value.value_base(fit, base_of(rows), grows).rows
    assert worth["value"].iloc[1] == pytest.approx(2 * worth["value"].iloc[0])
    later = (curve[1:] * m[1:] * (1 + own.rate("1 month")) ** -np.arange(360.0)).sum()
    # Amounts are shared out by what each is billed; together they pay what such customers paid.
    assert worth["value"].sum() == pytest.approx(2 * later, rel=1e-6)


def test_sums_are_sums_and_intervals_shrink_with_what_is_added_up():
    fit = fitted(covariates=("channel",), apart=True)
    rows = base_of(
        [("Plus", "1 month", 0, "EUR", 9, 9_000, 3.0), ("Plus", "1 month", 7, "EUR", 5, 4_000, 9.0),
         ("Year", "12 months", 1, "EUR", 3, 27_000, 100.0)]
    )  # fmt: skip
    rows = pd.concat([rows.assign(channel="ads"), rows.assign(channel="web")], ignore_index=True)
    worth = value.value_base(fit, rows, flat(errors=0.01))
    total, parts = worth.total, worth.by("group", "channel").frame
    assert parts["value"].sum() == pytest.approx(total.value)
    assert parts["customers"].sum() == total.n == 34
    top = worth.largest("group")
    assert top.value == pytest.approx(worth.by("group").frame["value"].max() / total.value)
    assert top.words["customers"].value == pytest.approx(top.n / 34)
    width = (parts["value_high"] / parts["value_low"]).min()
    assert total.high / total.low < width
    assert parts["each"].to_numpy() == pytest.approx((parts["value"] / parts["customers"]).to_numpy())
    assert parts["value"].is_monotonic_decreasing
    with pytest.raises(InputError, match="cannot be added up by plan"):
        worth.by("plan")
    shuffled = value.value_base(fit, rows.sample(frac=1, random_state=1), flat()).by("group", "channel").frame
    pd.testing.assert_frame_equal(
        shuffled[["group", "channel", "value"]], parts[["group", "channel", "value"]], rtol=1e-9
    )


def test_what_changed_is_surer_than_what_all_are_worth():
    fit = fitted()
    money = flat(errors=0.01)
    rows = [("Plus", "1 month", k, "EUR", 20, 20_000, 5.0) for k in range(5)]
    before = value.value_base(fit, base_of(rows), money)
    later = base_of([*rows[1:], ("Year", "12 months", 0, "EUR", 5, 45_000, 5.0)])
    after = value.value_base(fit, later, money)
    row = {"before": 5.0, "new": 2.0, "lost": -1.0, "revalued": 1.0, "after": 7.0, "customers_new": 3}
    counted = pd.DataFrame([{**row, "customers_lost": 2, "customers_late": 0}])
    moved = value.movement(counted, before, after)
    change, bridge = moved.change, moved.table.frame
    assert bridge["amount"].tolist() == [5, 2, -1, 1, 7]
    assert change.words == {"came": 3, "left": 2, "late": 0}
    late = value.movement(counted.assign(customers_late=1), before, after).change
    assert (late.case, late.words["late"]) == (f"{change.case} given up", 1)
    assert change.value == pytest.approx(after.total.value - before.total.value)
    assert 0 < change.high - change.low < after.total.high - after.total.low
    same = value.movement(counted, before, before).change
    assert (same.value, same.low, same.high, same.case) == (0, 0, 0, "no clear change")
    back = value.movement(counted, after, before).change
    assert back.case == {"rose": "fell", "fell": "rose"}.get(change.case, change.case)
    # All parameters as they might be: the change follows them within its interval in 95 of 100 cases.
    rng = np.random.default_rng(1)
    drawn = rng.multivariate_normal(fit.estimate, fit.covariance, 4000) - fit.estimate
    moved = drawn @ (after.slopes.sum(axis=0) - before.slopes.sum(axis=0))
    assert 2 * 1.96 * moved.std() <= (change.high - change.low) * 1.03


def test_payments_predicted_are_those_of_customers_drawn_one_by_one():
    fit = fitted(covariates=("channel",), apart=True)
    pays = pay({"Plus": [500.0, 800.0, 1000.0], "Year": [9000.0]})
    stays = pd.DataFrame(
        {"group": ["Plus", "Plus", "Year", "Year"], "interval": ["1 month", "1 month", "12 months", "12 months"],
         "channel": ["ads", "web", "ads", "web"], "entry": [0, 7, 1, 0], "ripe": [6, 13, 2, 0],
         "cohort": [1, 0, 0, 1], "n": [40, 30, 20, 10]}
    )  # fmt: skip
    bills = pd.DataFrame({"cohort": [0, 1, 0], "currency": ["EUR", "EUR", "XXX"], "refunded_minor": [0, 5, 0],
                         "paid_minor": [150_000, 50_005, 9]})  # fmt: skip
    found = value.expected_payments(fit, stays, pays, bills, ["cohort"])
    total, parts = found.total, found.table.frame
    assert parts["expected"].sum() == pytest.approx(total["expected"])
    assert parts["happened"].tolist() == [150_000, 50_000]
    assert found.error.value == pytest.approx(total["expected"] / 200_000 - 1)
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
    sure = value.expected_payments(known_exactly(fit), stays, pays, bills).total
    half = (sure["expected_high"] - sure["expected"]) / 1.96
    assert half == pytest.approx(sums.std(), rel=0.06)


def known_exactly(fit: Retention) -> Retention:
    """The same curves, as if they were known exactly."""
    parts = tuple(replace(part, covariance=np.zeros_like(part.covariance)) for part in fit.parts)
    return replace(fit, parts=parts)


def test_scores_give_each_row_its_value_back():
    fit = fitted(covariates=("channel",))
    rows = base_of(
        [("Plus", "1 month", 2, "EUR", 9, 9_500, 3.0), ("Year", "12 months", 1, "USD", 3, 27_000, 100.0)]
    )
    rows = rows.assign(channel="ads", note="kept")
    worth = value.value_base(fit, rows, flat(terms(factors=TWO)))
    scores = worth.scores(["group", "interval", "channel", "tenure", "currency", "note"])
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
    worth = value.value_base(fit, rows, flat()).by("group").frame
    assert worth["group"].tolist() == ["Plus", "Rare"]
    assert worth["value"].tolist() == [worth.loc[0, "value"]] * 2
    with pytest.raises(NotApplicable, match="No customer has both"):
        value.value_base(fit, rows.iloc[[2]], flat())


def test_without_errors_values_are_the_same():
    fit = fitted()
    rows = base_of([("Plus", "1 month", 0, "EUR", 1, 1000, 0.0)])
    one = value.value_base(fit, rows, flat())
    two = value.value_base(fit, rows, flat(), with_errors=False)
    assert two.rows["value"].tolist() == one.rows["value"].tolist()
    assert not two.slopes.any()


def test_zero_margin_and_extreme_discount_end_well():
    fit = fitted(apart=True)
    nothing = flat(terms(margin=0.0), margin=0.0)
    rows = base_of([("Plus", "1 month", 0, "EUR", 5, 5000, 9.0)])
    intake = pd.DataFrame({"group": ["Plus"], "interval": "1 month", "customers": [3], "channel": "ads"})
    total = value.value_base(fit, rows, nothing).total
    assert (total.value, total.low, total.high) == (0, 0, 0)
    assert value.value_new(fit, intake, nothing).total.value == 0
    at_once = terms(discount_rate=100.0)
    found = value.value_new(fit, intake, flat(at_once)).each
    assert 1000 < found.value < 1000 * (1 + 1.1 / at_once.rate("1 month") + 2)
    patient = value.value_new(fit, intake, flat(terms(discount_rate=0.0, years=5))).each
    curve = fit.curves(intake[["group", "interval"]], 60)[0]
    assert patient.value == pytest.approx(1000 * curve.sum(), rel=1e-6)


def test_cohorts_add_what_they_brought_to_what_is_to_come():
    brought = pd.DataFrame(
        {"cohort": [24_000, 24_000, 24_003], "currency": ["EUR", "USD", "EUR"], "customers": [4, 2, 3],
         "charges": [10, 4, 3], "paid_minor": [1000, 500, 300], "refunded_minor": [100, 0, 0]}
    )  # fmt: skip
    to_come = pd.DataFrame(
        {"cohort": [24_000], "customers": [3], "value": [900.0], "low": [800.0], "high": [1000.0]}
    )
    own = terms(margin=0.5, fee_share=0.1, fee_fixed=0.01, factors={"EUR": 1.0, "USD": 2.0})
    table = value.cohort_values(brought, to_come, own).frame
    first = (0.5 * 900 - 100 - 10) + (0.5 * 1000 - 100 - 4)
    assert table["so_far"].tolist() == [pytest.approx(first), pytest.approx(0.5 * 300 - 30 - 3)]
    assert table["each"].tolist() == [pytest.approx((first + 900) / 6), pytest.approx((0.5 * 300 - 33) / 3)]
    assert table["still_on"].tolist() == [3, 0]


def test_the_usual_formula_is_the_sum_by_hand():
    fit, own = fitted(), terms(discount_rate=0.10)
    pays = flat(own)
    intake = pd.DataFrame(
        {"group": ["Plus", "Year"], "interval": ["1 month", "12 months"], "customers": [3, 2]}
    )
    new = value.value_new(fit, intake, pays)
    # 20 of 200 and 9 of 90 leave in months 1 and 2: 29 of 290. Of those paying by the year 1 in 5.
    life = pd.DataFrame(
        {"group": ["Plus", "Plus", "Year"], "interval": ["1 month", "1 month", "12 months"],
         "period": [1, 2, 1], "at_risk": [200, 90, 50], "events": [20, 9, 10]}
    )  # fmt: skip
    found = value.usual_formula(life, pays, new)
    table = found.table.frame.set_index("group")
    assert table["churn"].to_dict() == pytest.approx({"Plus": 0.1, "Year": 0.2})
    assert table["formula"].to_dict() == pytest.approx({"Plus": 1000 / 0.1, "Year": 9000 / 0.2})
    d = 1.1 ** (1 / 12) - 1
    discounted = {"Plus": 1000 * (1 + d) / (d + 0.1), "Year": 9000 * 1.1 / 0.3}
    assert table["formula_discounted"].to_dict() == pytest.approx(discounted)
    assert table["duration"].to_dict() == pytest.approx({"Plus": 1000 * (20 + 2 * 9) / 29, "Year": 9000})
    assert (table["formula_low"] < table["formula"]).all()
    assert (table["formula"] < table["formula_high"]).all()
    said = 3 * 10_000 + 2 * 45_000
    assert found.error.value == pytest.approx(abs(said - new.total.value))
    assert found.error.case == ("high" if said > new.total.value else "low")
    assert found.error.words["share"].value == pytest.approx(abs(said / new.total.value - 1))
    # The limits are those of both, in quadrature: Wilson's of churn in each group, and what is right.
    low, high = (
        float(np.hypot.reduce((table["formula"] - table[f"formula_{end}"]) * table["customers"]))
        for end in ("low", "high")
    )
    right, error = new.total, found.error
    assert (error.low, error.high) == pytest.approx(
        (said - right.value - np.hypot(low, right.high - right.value),
         said - right.value + np.hypot(high, right.value - right.low))
    )  # fmt: skip
    assert (error.n, error.of) == (39, "churned customer")
    share = error.words["share"]
    assert share.low < share.value < share.high
    assert (table["error_low"] < table["error"]).all()
    assert (table["duration_low"]["Plus"], table["duration_high"]["Plus"]) == pytest.approx(
        tuple(1000 * (38 / 29 + sign * 2.0484 * np.sqrt((38 / 29 - 1) * (2 - 38 / 29) * 29 / 28 / 29))
              for sign in (-1, 1)), rel=1e-4
    )  # fmt: skip


def test_few_churned_customers_leave_the_error_of_the_usual_formula_wide():
    fit, pays = fitted(), flat(terms(discount_rate=0.10))
    new = value.value_new(
        fit, pd.DataFrame({"group": ["Plus"], "interval": "1 month", "customers": [9]}), pays
    )
    life = pd.DataFrame({"group": ["Plus"], "interval": "1 month", "period": 1, "at_risk": [9000]})
    few, many = (
        value.usual_formula(life.assign(at_risk=at_risk, events=left), pays, new).error
        for at_risk, left in ((9_000, 48), (9_000_000, 48_000))
    )
    assert few.value == pytest.approx(many.value)
    # 48 churned customers leave churn uncertain by about 28 %, and with it what is said.
    width = few.high - few.low
    assert width > 0.5 * 9 * 1000 * 9_000 / 48
    assert width > 2 * (new.total.high - new.total.low)
    assert few.words["share"].high - few.words["share"].low > 0.5 * (1 + few.words["share"].value)
    assert many.high - many.low < 0.1 * width


def test_without_churn_the_formula_gives_no_value_but_a_lower_bound():
    pays = flat()
    intake = pd.DataFrame({"group": ["Plus"], "interval": "1 month", "customers": [3]})
    life = pd.DataFrame({"group": ["Plus"], "interval": "1 month", "period": 1, "at_risk": 100, "events": 0})
    row = value.usual_formula(life, pays, value.value_new(fitted(), intake, pays)).table.frame.iloc[0]
    assert np.isnan([row["formula"], row["formula_high"], row["duration"], row["error"]]).all()
    # Wilson: none of 100 may be z^2 / (100 + z^2).
    assert row["formula_low"] == pytest.approx(1000 * (100 + 1.959964**2) / 1.959964**2, rel=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 40), st.floats(0, 5), st.integers(1, 60))
def test_any_tenure_discount_and_horizon_give_a_finite_value(tenure, rate, years):
    rows = base_of([("Plus", "1 month", tenure, "EUR", 2, 2000, 11.0)], rate)
    found = value.value_base(FIT, rows, flat(terms(discount_rate=rate, years=years))).total
    assert 0 < found.low < found.value < found.high
    assert np.isfinite(found.high)


FIT = fitted()


def test_new_customers_are_valued_at_what_they_pay_and_not_at_what_older_ones_do():
    """Twelve old accounts pay 50,000, all newer ones 1,000: no new one is worth 30 years of more than 1,000."""
    keys = {"group": "Year", "interval": "12 months", "currency": "EUR"}
    paid = pd.DataFrame(
        {**keys, "tenure": [0, 3], "payers": [12, 12], "charges": [12, 12], "paid_minor": [12_000, 600_000],
         "refunded_minor": 0, "squares": [12e6, 12 * 50_000.0**2]}
    )  # fmt: skip
    begun = pd.DataFrame({**keys, "first": [0, 3], "last": [0, 3], "n": [12, 12]})
    base = pd.DataFrame(
        {"group": ["Year"], "model_group": "Year", "interval": "12 months", "tenure": 0, "currency": "EUR",
         "customers": [24], "billed_minor": [99_000], "newer": [12], "newer_minor": [12_000]}
    )  # fmt: skip
    everybody = payments.payments_by_tenure(paid, begun, terms(), smallest=100)
    own = payments.new_payments(paid[:1], begun[:1], everybody, base=base, smallest=100)
    assert own.profile("Year", "12 months", 2).tolist() == [1000.0] * 3
    intake = pd.DataFrame({"group": ["Year"], "interval": "12 months", "customers": [12], "channel": "ads"})
    assert value.value_new(fitted(), intake, own).each.value < 1000 * 30
    assert (
        value.value_new(fitted(), intake, everybody).each.value
        > 25 * value.value_new(fitted(), intake, own).each.value * 0.9
    )
    # Without payments, it is what they are billed.
    billed = payments.new_payments(None, None, everybody, base=base, smallest=100)
    assert billed.profile("Year", "12 months", 0).tolist() == [1000.0]


def test_customers_who_have_given_notice_are_valued_to_that_day():
    fit, own = fitted(), terms(discount_rate=0.1)
    rows = base_of([("Plus", "1 month", 4, "EUR", 2, 2000, 0.0)] * 3).assign(bills_left=[-1, 0, 3])
    found = value.value_base(fit, rows, flat(own))
    v = 1 / (1 + own.rate("1 month"))
    values, there = found.rows["value"].tolist(), found.rows["stays_a_year"].tolist()
    assert values[1:] == pytest.approx([0.0, 2000 * (1 + v + v**2)])
    assert values[0] > values[2]
    assert there[1:] == [0.0, 0.0]
    assert 0 < there[0] < 1


def test_a_value_that_few_carry_has_an_interval_from_resampled_customers():
    fit = fitted()
    intake = pd.DataFrame({"group": ["Plus"], "interval": "1 month", "customers": [20], "channel": "ads"})
    new = value.value_new(fit, intake, flat())
    paid = pd.DataFrame({"group": "Plus", "interval": "1 month", "currency": "EUR"}, index=range(2))
    few = value.carried(new, paid.assign(paid_minor=[100, 5000], n=[17, 3]), terms())
    assert few.largest.value == pytest.approx(15_000 / 16_700)
    assert few.largest.case == "few"
    assert few.each.low < 0.6 * few.each.value < 1.4 * few.each.value < few.each.high
    many = value.carried(new, paid.assign(paid_minor=[100, 120], n=[17, 3]), terms())
    assert (many.largest.case, many.each) == ("many", new.each)


def test_groups_that_end_by_design_and_those_nobody_left_are_left_out_with_their_size():
    stays = pd.DataFrame(
        {"group": ["Gift", "Monthly", "Monthly", "Deal"], "exit": [1, 3, 4, 2], "event": [1, 1, 0, 0], "entry": 0,
         "interval": ["12 months", "1 month", "1 month", "36 months"], "n": [80, 150, 150, 30]}
    )  # fmt: skip
    found = renewals.folding(stays, smallest=100)
    known = found.dropna()
    assert known[["group", "model_group"]].to_numpy().tolist() == [["Monthly", "Monthly"]]
    out = {one.words["group"]: one for one in renewals.left_out(stays, found)}
    assert (out["Gift"].case, out["Gift"].words["customers"]) == ("all left", 80)
    assert (out["Deal"].case, out["Deal"].value) == ("none left", 60)
    with pytest.raises(NotApplicable, match="no retention to project"):
        renewals.folding(stays[stays["group"] != "Monthly"], smallest=100)


def test_a_backtest_fails_where_a_group_lies_outside_its_range():
    table = against(*(np.array(x, dtype=float) for x in ([90, 90], [50, 60], [25, 25], [52, 85])), 0.95)
    rows = pd.concat([pd.DataFrame({"group": ["Print", "Digital"]}), table], axis=1)
    found = Backtest(Table(rows, {"expected": "count"}), rows.iloc[0], 0.95).failed
    assert (found.value, found.case, found.words["group"]) == (1, "failed", "Digital")
    assert Backtest(Table(rows[:1], {"expected": "count"}), rows.iloc[0], 0.95).failed.case == "passed"


def test_the_backtest_is_by_number_of_subscriptions_too():
    fit = fitted()
    there = float(
        np.exp(fit.log_survival(fit.place(pd.DataFrame({"group": ["Plus"], "interval": "1 month"})), 12))[
            0, 12
        ]
    )
    rows = [(held, event, n) for held, share in (("one", there - 0.2), ("two", there + 0.2))
            for event, n in ((0, round(500 * share)), (1, 500 - round(500 * share)))]  # fmt: skip
    stays = pd.DataFrame(rows, columns=["held", "event", "n"]).assign(
        group="Plus", interval="1 month", entry=0, exit=12, ripe=12, later=False, cause=None
    )
    later = stays[:1].assign(later=True, held="none", ripe=0, exit=0)
    found = calibration_by_group(fit, pd.concat([stays, later]))
    assert found.table.frame["group"].tolist() == ["Plus", "one", "two"]
    assert (found.failed.value, found.failed.n) == (2, 1000)
    same = calibration_by_group(fit, stays.assign(held="one"))
    assert (same.table.frame["group"].tolist(), same.failed.case) == (["Plus"], "passed")


def test_each_customer_pays_the_commission_of_their_own_store():
    facts = Economics(margin=0.7, commission={"app_store": 0.3, "web": 0.03}).after_commission(
        {"app_store": 600.0, "web": 400.0}, "store"
    )
    own = renewals.Terms(facts)
    paid = pd.DataFrame(
        {"group": ["Plus"], "interval": "1 month", "currency": "EUR", "tenure": 0, "payers": 500,
         "charges": 500, "paid_minor": 500_000, "refunded_minor": 50_000, "squares": 500e6}
    )  # fmt: skip
    begun = pd.DataFrame(
        {"group": ["Plus"], "interval": "1 month", "currency": "EUR", "first": 0, "last": 0, "n": 500}
    )
    fit, pays = fitted(), payments.payments_by_tenure(paid, begun, own)
    stores = ["app_store", "web", "unknown", "partner"]
    intake = pd.DataFrame({"group": "Plus", "interval": "1 month", "customers": 10, "store": stores})
    each = value.value_new(fit, intake, pays).by("store").frame.set_index("store")["each"]
    # Of 1,000 paid 100 are refunded: 70 % of 900 is left, less the commission on 1,000; nobody keeps any of a partner's.
    left = {"app_store": 630 - 300, "web": 630 - 30, "unknown": 630 - 192, "partner": 630}
    assert (each / each["web"] * left["web"]).to_dict() == pytest.approx(left)
    rows = base_of([("Plus", "1 month", 4, "EUR", 10, 10_000, 0.0)] * 4).assign(store=stores)
    base = value.value_base(fit, rows, pays).by("store").frame.set_index("store")["value"]
    assert (base / base["web"] * left["web"]).to_dict() == pytest.approx(left)
    offers = budgets.retention_budget(fit, intake, pays, renewals=[1], kept=0.1).table.frame
    budget = offers.set_index("group")["budget"]
    assert budget["Plus, app_store"] / budget["Plus, web"] == pytest.approx(left["app_store"] / left["web"])
