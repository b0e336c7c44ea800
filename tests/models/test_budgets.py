"""Budgets to acquire and to keep customers, against sums by hand and a simulation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from models.customers import fitted, flat, terms
from tenure.errors import InputError
from tenure.models import budgets, payback, retention, retention_seen, value


def test_a_retention_budget_is_what_an_offer_brings_in_a_simulation():
    rng = np.random.default_rng(8)
    size, share, renewal = 400_000, 0.25, 2
    fit = fitted()
    alpha, beta = fit.parameters().frame.query("group == 'Plus'")["value"]
    theta = rng.beta(alpha, beta, size)
    own = terms(discount_rate=0.5, years=20)
    v = 1 / (1 + own.rate("1 month"))
    there = rng.random(size) < (1 - theta) ** (renewal - 1)
    leaves = rng.random(size) < theta
    kept = there & leaves & (rng.random(size) < share)
    # Whoever is kept pays now, and goes on to renew by their own chance.
    brings = 1000 / (1 - (1 - theta[kept]) * v)
    intake = pd.DataFrame({"group": ["Plus"], "interval": "1 month", "customers": [3]})
    offer = budgets.retention_budget(fit, intake, flat(own), renewals=[renewal], kept=share)
    found = offer.table.frame.iloc[0]
    assert found["budget"] == pytest.approx(brings.sum() / there.sum(), rel=0.02)
    assert found["leave"] == pytest.approx(leaves[there].mean(), rel=0.02)
    assert found["kept_value"] < found["average_value"]
    assert found["budget"] < found["budget_naive"]
    assert found["budget_low"] < found["budget"] < found["budget_high"]
    assert found["needed"] == pytest.approx(100 / (found["leave"] * found["kept_value"]))
    best = offer.largest()
    assert (best.value, best.n, best.case) == (found["budget"], 3, "pays")
    assert best.words["times"].value == pytest.approx(found["budget_naive"] / found["budget"])
    with pytest.raises(InputError, match="`kept` must be a share"):
        budgets.retention_budget(fit, intake, flat(own), renewals=[1], kept=0)


def test_payback_and_channels_are_those_of_a_sum_by_hand():
    """A customer pays 10.00 a month, of which 5.00 is left; one in two is gone after the first month.

    Margins so far are 5.00, 7.50, 10.00, ...: a cost of 9.00 is covered in the third month, one of 900 never.
    """
    own = terms(margin=0.5)
    rows = [
        (
            cohort,
            group,
            cohort + age,
            -5_000 if age == 1 else 10_000,
            -5 if age == 1 else 10,
            0 if age else 10,
        )
        for group in ("ads", "tv")
        for cohort in range(24)
        for age in (0, 1)
        if cohort + age < 24
    ]
    columns = ["cohort", "group", "month", "change_minor", "change_paying", "joined"]
    cohorts = pd.DataFrame(rows, columns=columns).assign(currency="EUR")
    spend = pd.concat(pd.DataFrame({"month": range(24), "channel": name, "amount_minor": 10 * cost})
                      for name, cost in (("ads", 900), ("tv", 90_000))).assign(currency="EUR")  # fmt: skip
    costs = payback.unit_economics(
        cohorts, spend, own.economics, currency="EUR", factors={"EUR": 1.0}, until=23, horizon=6
    )
    table = costs.table.frame.set_index("channel")
    assert table.loc[["ads", "tv"], "cac"].tolist() == [900, 90_000]
    assert table.loc[["ads", "tv"], "payback"].tolist() == [3, np.inf]
    intake = pd.DataFrame({"group": "Plus", "interval": "1 month", "customers": 5, "channel": ["ads", "tv"]})
    new = value.value_new(fitted(), intake, flat(own))
    found = budgets.channel_budgets(costs, new, target=3.0)
    worth = new.each.value
    rows = found.table.frame.set_index("channel")
    assert rows.index.tolist() == ["ads", "tv"]
    assert rows["lifetime_ratio"].tolist() == pytest.approx([worth / 900, worth / 90_000])
    assert rows["most"].tolist() == pytest.approx([worth / 3] * 2)
    weakest, advice = found.weakest(), found.advice()
    assert (weakest.case, weakest.words["channel"], weakest.n) == ("", "tv", 120)
    assert weakest.value == pytest.approx(worth / 90_000)
    assert (weakest.words["cost"].value, weakest.words["most"].value) == (90_000, pytest.approx(worth / 3))
    assert (advice.value, advice.case, advice.words["channels"]) == (1, "spend less", ["tv"])


def test_without_margin_no_offer_pays():
    fit = fitted(apart=True)
    intake = pd.DataFrame({"group": ["Plus"], "interval": "1 month", "customers": [3]})
    nothing = flat(terms(margin=0.0), margin=0.0)
    offer = budgets.retention_budget(fit, intake, nothing, renewals=[1], kept=0.1)
    row = offer.table.frame.iloc[0]
    assert row[["budget", "budget_low", "budget_high"]].tolist() == [0, 0, 0]
    assert np.isnan(row["needed"])
    assert offer.largest().case == "does not pay"


@pytest.mark.parametrize("model", list(retention.MODELS))
@pytest.mark.parametrize("apart", [False, True])
def test_budgets_come_from_every_model(model, apart):
    fit = fitted(model, apart, ("channel",))
    intake = pd.DataFrame(
        {"group": ["Plus", "Year"], "interval": ["1 month", "12 months"], "customers": [3, 2]}
    )
    intake["channel"] = ["ads", "web"]
    table = budgets.retention_budget(fit, intake, flat(), renewals=[1, 6], kept=0.2).table.frame
    assert len(table) == 4
    assert (table["budget"] > 0).all()
    assert (table["kept_value"] <= table["average_value"] * 1.0000001).all()
    if model == "geometric" and not apart:
        assert table["budget"].to_numpy() == pytest.approx(table["budget_naive"].to_numpy(), rel=0.02)


def test_who_is_kept_stays_no_longer_than_who_renews_where_no_model_fits():
    life = pd.DataFrame({"group": "Year", "interval": "12 months", "period": range(1, 9), "entered": 0})
    life["at_risk"], life["events"] = [621, 224, 204, 149, 116, 82, 50, 28], [246, 0, 22, 13, 12, 10, 8, 0]
    life["censored"] = life["at_risk"] - life["events"] - [*life["at_risk"][1:], 0]
    fit = retention_seen.anchored(retention.fit_retention(life, "bdw"), life)[0]
    assert fit.seen
    intake = pd.DataFrame({"group": ["Year"], "interval": "12 months", "customers": [100]})
    table = budgets.retention_budget(fit, intake, flat(), renewals=[1, 2, 3], kept=0.2).table.frame
    rows = table.set_index("renewal")
    assert not (rows["kept_value"] > rows["average_value"] * 1.0000001).any()
    assert rows.loc[1, "budget"] > 0
    # Nobody left at the second, and nothing that rounds to a minor unit is an offer.
    assert np.isnan(rows.loc[2, "budget"])


def test_an_offer_never_costs_more_than_customers_pay_and_none_is_made_where_nobody_can_leave():
    life = pd.DataFrame({"group": "Year", "interval": "12 months", "period": [1, 2, 3, 4]})
    life = life.assign(
        at_risk=[400, 400, 400, 250], events=[0, 0, 150, 40], censored=[0, 0, 0, 210], entered=0
    )
    fit = retention.fit_retention(life, "sbg")
    intake = pd.DataFrame({"group": ["Year"], "interval": "12 months", "customers": [400]})
    offer = budgets.retention_budget(fit, intake, flat(), renewals=[1, 2, 3], kept=1.0)
    rows = offer.table.frame.set_index("renewal")
    assert rows.loc[[1, 2], "budget"].isna().all()
    assert (rows.loc[[1, 2], "leave"] == 0).all()
    assert 0 < rows.loc[3, "budget"] <= flat().profile("Year", "12 months", 3, "revenue")[3]
    best = offer.largest()
    assert (best.words["renewal"].value, best.case) == (3, "pays")
