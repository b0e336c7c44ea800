"""Billing intervals, terms, and what customers pay by tenure, against sums by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from models.customers import base_of, fitted, terms
from tenure.errors import InputError, NotApplicable
from tenure.models.payments import customers_by_tenure, payments_by_tenure
from tenure.models.renewals import interval_years

# --- counts ---------------------------------------------------------------------------------------------


def test_parts_that_number_their_rows_alike_are_counted_apart():
    part = pd.DataFrame({"group": "a", "interval": "1 month", "first": [0, 1], "last": [1, 2], "n": [5, 3]})
    both = customers_by_tenure(pd.concat([part, part.assign(group="b")]))["customers"]
    assert both["a"].tolist() == both["b"].tolist() == [5, 8, 3]


# --- terms ----------------------------------------------------------------------------------------------


def test_a_yearly_rate_is_the_same_whatever_the_interval():
    own = terms(discount_rate=0.12, years=7)
    for interval, times in (("1 month", 12), ("3 months", 4), ("12 months", 1), ("24 months", 0.5)):
        assert (1 + own.rate(interval)) ** times == pytest.approx(1.12)
    assert own.periods("3 months") == 28
    assert own.periods("7 days") == int(np.ceil(7 * 365.25 / 7))


@pytest.mark.parametrize("years", [0, 101, True])
def test_a_lifetime_out_of_range_is_refused(years):
    with pytest.raises(InputError, match="`years` must lie between 1 and 100"):
        terms(years=years)


def test_service_costs_each_month_that_an_interval_holds():
    left = terms(margin=0.5, fee_share=0.1, fee_fixed=0.2, cost_to_serve=3.0)
    assert left.contribution(12_000, refunded=1_000, charges=1, months=12) == pytest.approx(
        0.5 * 11_000 - 1_200 - 20 - 12 * 300
    )


@pytest.mark.parametrize("text", ["", "months", "0 months", "1.5 months", "2 weeks", "x days"])
def test_an_interval_is_a_number_of_months_or_days(text):
    with pytest.raises(InputError, match="is no number of months or days"):
        interval_years(text)


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
    own = terms(margin=0.8, fee_share=0.02, fee_fixed=0.1, factors={"EUR": 1.0, "USD": 0.5})
    found = payments_by_tenure(paid, begun, own, smallest=1, precision=1)
    net, gross = 85_000 + 5_000, 90_000 + 5_000
    revenue = [net / 100, 60_000 / 50]
    margin = [(0.8 * net - 0.02 * gross - 10 * 105) / 100, (0.8 * 60_000 - 0.02 * 60_000 - 10 * 50) / 50]
    assert found.table["revenue"].tolist() == pytest.approx(revenue)
    assert found.profile("a", "1 month", 4).tolist() == pytest.approx([margin[0], *[margin[1]] * 4])
    level = found.levels.frame.iloc[0]
    assert level["refunded"] == pytest.approx(5_000 / 155_000)
    assert level["fees"] == pytest.approx((0.02 * 155_000 + 10 * 155) / 155_000)
    assert level["revenue"] == pytest.approx(150_000 / 150)
    assert (found.table["relative_error"] > 0).all()
    # Later tenures that few have reached are taken together with those before, until there are enough.
    few = payments_by_tenure(paid, begun, own, smallest=60)
    assert few.profile("a", "1 month", 2).tolist() == pytest.approx(
        [(margin[0] * 100 + margin[1] * 50) / 150] * 3
    )
    with pytest.raises(NotApplicable, match="Nobody began a billing interval"):
        payments_by_tenure(paid, begun.iloc[:0], own)
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
    found = payments_by_tenure(paid, begun, terms(), smallest=1, precision=0.1).table
    # About (0.9 / 0.1)^2 = 81 customers a mean: 400, then 60 + 50, then what is left with those before.
    later = (72_000 + 60_000 + 40_000 + 12_000) / 156
    assert found["revenue"].tolist() == pytest.approx([1000, later])
    assert found["customers"].tolist() == [400, 156]
    finer = payments_by_tenure(paid, begun, terms(), smallest=1, precision=1).table
    assert finer["revenue"].tolist() == pytest.approx([1000, 1200, 112_000 / 96])
    # Nobody new: what the older pay stands in for the first interval.
    old = payments_by_tenure(paid[1:], begun[1:], terms(), smallest=1, precision=1)
    assert old.profile("a", "1 month", 2).tolist() == pytest.approx([1200, 1200, 1200])


@pytest.mark.long
def test_the_error_of_payments_is_that_of_resampled_customers():
    # Customers keep what they pay: 60 at a time begin in each month, and pay in each month until they leave.
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
        pays = payments_by_tenure(paid, begun, terms())
        profile = pays.profile("Plus", "1 month", 40)
        weight = fit.curves(rows[["group", "interval"]], 40)[0][5:] @ profile[5:]
        found.append(weight)
        errors.append(pays.profile("Plus", "1 month", 5, "relative_error")[5])
    assert np.std(found) / np.mean(found) == pytest.approx(np.mean(errors), rel=0.3)


def test_without_payments_everybody_pays_what_they_are_billed():
    base = base_of(
        [("Plus", "1 month", 0, "EUR", 10, 9_000, 15.0), ("Plus", "1 month", 3, "EUR", 4, 4_400, 15.0)]
    )
    found = payments_by_tenure(None, None, terms(margin=0.5), base=base, smallest=1, precision=1)
    assert found.table["revenue"].tolist() == [900, 1100]
    assert found.table["margin"].tolist() == [450, 550]
    assert "no payments for subscriptions" in found.notes[0]
    with pytest.raises(NotApplicable, match="Nobody is subscribed on the last day"):
        payments_by_tenure(None, None, terms(), base=base[:0])
