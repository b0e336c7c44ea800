"""Budgets to acquire and to keep customers, against sums by hand and a simulation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from models.customers import fitted, flat, terms
from tenure.errors import InputError
from tenure.models import budgets, retention


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
    best = offer.largest(renewal)
    assert (best.value, best.n, best.case) == (found["budget"], 3, "pays")
    assert best.words["times"].value == pytest.approx(found["budget_naive"] / found["budget"])
    with pytest.raises(InputError, match="`kept` must be a share"):
        budgets.retention_budget(fit, intake, flat(own), renewals=[1], kept=0)


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
