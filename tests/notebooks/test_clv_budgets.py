"""The workbook on budgets: costs and channels of the demo company, offers, purchases, and companies at the edge."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from notebooks.companies import company, one_cohort, words
from notebooks.running import findings
from tenure.paths import project_root

NAME = "41_clv_budgets.ipynb"


@pytest.fixture(scope="module")
def ran(run, demo):
    return run(NAME, years=60)


def test_costs_and_the_order_of_channels_are_the_true_ones(ran, of_demo, truth):
    table = pd.read_csv(ran.exports / "clv_channels.csv").set_index("channel")
    for channel, row in table.iterrows():
        known = truth["acquisition"][channel]["cac_minor"]
        # The table is of the last twelve months, the truth of all three years.
        assert (0 if np.isnan(row["cost"]) else row["cost"]) == pytest.approx(known or 0, rel=0.12), channel
    ratios = truth["hazard_ratios"]["channel"]
    assert table["worth"].idxmin() == max(ratios, key=ratios.get)
    assert table["worth"].idxmax() == min(ratios, key=ratios.get)
    assert (table["most"] * 3).to_numpy() == pytest.approx(table["break_even"].to_numpy())


def test_findings_have_intervals_and_say_what_holds(of_demo):
    for id in ("clv.weakest_channel", "clv.retention_budget", "clv.purchases", "clv.formula_error"):
        record = of_demo[id]
        assert record["low"] < record["value"] < record["high"], id
        assert record["n"] > 0, id
    # Each names the base it stands on, so that no other report seems to contradict it.
    assert " over a lifetime " in of_demo["clv.weakest_channel"]["sentence"]
    assert "the lifetime worth" in of_demo["clv.formula_error"]["sentence"]
    assert not any("not available" in record["sentence"] for record in of_demo.values())


def test_every_buyer_is_scored_once_and_the_scores_add_up(ran, of_demo):
    buyers = pd.read_csv(ran.exports / "clv_buyers.csv")
    assert buyers["customer_id"].is_unique
    assert len(buyers) == of_demo["clv.purchases"]["n"]
    assert (buyers["purchase_value"] > 0).all()
    assert buyers["still_buying"].between(0, 1).all()
    assert buyers["purchase_value"].sum() == pytest.approx(of_demo["clv.purchases"]["value"], rel=0.05)
    assert (buyers["currency"] == "EUR").all()


def test_one_cohort_without_repeat_buyers_ends_well(run, tmp_path):
    outcome = run(NAME, data=one_cohort(tmp_path), min_group=20)
    assert "clv.retention_budget" in findings(outcome)
    assert "has bought again" in words(outcome)
    assert "Channels cannot be judged" in words(outcome)


def test_channels_can_be_the_groups_and_one_may_never_pay_back(run, tmp_path):
    rng = np.random.default_rng(5)
    lives = rng.geometric(rng.beta(1.2, 8, 400))
    data = company(tmp_path, 400, lambda n: int(lives[n]) * 30 if lives[n] < 24 else None)
    people = pd.read_csv(tmp_path / "customers.csv")
    people["channel"] = ["ads", "tv", "web"] * 133 + ["ads"]
    people.to_csv(tmp_path / "customers.csv", index=False)
    spent = {"ads": 200_00, "tv": 50_000_00, "web": 0}
    pd.DataFrame(
        [
            {"date": f"2023-0{month}-15", "channel": name, "amount_minor": amount, "currency": "EUR"}
            for name, amount in spent.items()
            for month in (1, 3, 5)
        ]
    ).to_csv(tmp_path / "spend.csv", index=False)
    outcome = run(NAME, data=data, by="channel", as_of="2023-07-31", min_group=20)
    found = findings(outcome)
    sentence = found["clv.weakest_channel"]["sentence"]
    assert sentence.startswith("The weakest channel is tv: ")
    table = pd.read_csv(outcome.exports / "clv_channels.csv").set_index("channel")
    assert table.loc["tv", "payback"] == np.inf
    assert np.isnan(table.loc["web", "payback"])
    assert table.loc["ads", "payback_low"] <= table.loc["ads", "payback"] <= table.loc["ads", "payback_high"]
    assert "Spend less to acquire a customer by tv" in words(outcome)


@pytest.mark.parametrize(
    ("parameters", "wanted"),
    [
        ({"kept": 0.0}, ["`kept`", "share"]),
        ({"kept": 1.5}, ["`kept`", "from 0 to 1"]),
        ({"target_ratio": 0}, ["`target_ratio`", "from 0.1 to 100"]),
        ({"spend_lag": -1}, ["`spend_lag`", "at least 0"]),
    ],
)
def test_a_bad_parameter_gets_one_sentence(run, demo, parameters, wanted):
    outcome = run(NAME, **parameters)
    assert outcome.state == "failed"
    assert all(word in outcome.reason for word in wanted), outcome.reason
    assert "\n" not in outcome.reason


def test_ordinary_one_off_sales_are_fitted_by_the_models_that_can(run):
    case = project_root().parent / "shared" / "cases" / "one_off_buyers"
    if not case.is_dir():
        pytest.skip("The case is not there.")
    outcome = run("41_clv_budgets.ipynb", data=str(case))
    found = findings(outcome)
    assert 0 < found["clv.purchases"]["low"] < found["clv.purchases"]["value"]
    error = found["clv.formula_error"]
    assert error["low"] < error["value"] < error["high"]
    said = words(outcome)
    assert "is due beyond the ages observed so far" in said
