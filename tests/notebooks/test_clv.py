"""The CLV workbook: the truth of the demo company, real data, and companies at the edge."""

from __future__ import annotations

import datetime as dt
import json

import numpy as np
import pandas as pd
import pytest

from notebooks.running import findings
from tenure.paths import project_root

NAME = "40_clv.ipynb"
TELCO = project_root().parent / "shared" / "data" / "telco" / "Telco-Customer-Churn.csv"


@pytest.fixture(scope="module")
def ran(run, demo):
    return run(NAME, years=60)


@pytest.fixture(scope="module")
def of_demo(ran):
    return findings(ran)


@pytest.fixture(scope="module")
def truth(demo):
    return json.loads((demo / "truth.json").read_text())


def words(outcome):
    return " ".join(str(output) for cell in outcome.notebook.cells for output in cell.get("outputs", []))


def test_residual_lifetimes_contain_the_truth_of_the_demo_company(ran, of_demo, truth):
    table = pd.read_csv(ran.exports / "clv_lifetimes.csv")
    for row in table[table["group"] != "came back"].itertuples():
        true = truth["expected_residual_lifetime"][row.group]["drawn_all_causes"][row.renewal - 1]
        # Five plans at once: with Bonferroni's adjustment all of them hold in 95 of 100 companies.
        wider = (row.high / row.low) ** (2.58 / 1.96 / 2)
        assert row.value / wider <= true <= row.value * wider, row


def test_the_true_characteristics_and_model_are_chosen(ran, of_demo):
    said = words(ran)
    assert "shifted beta-geometric, failed payments apart" in said
    assert "channel and household" in said


def test_value_is_shown_by_plan_segment_channel_and_cohort_and_rates_are_said(ran):
    said = words(ran)
    for caption in (
        "Value by plan",
        "customers by segment",
        "customers by channel",
        "by the quarter in which",
    ):
        assert caption in said, caption
    assert "discounted by 10% a year, which is 0.80% a month" in said
    assert "payment fees of 1.5% and €0.25 a charge" in said
    assert "$1.00 counts as €0." in said
    assert "What a customer who is still there pays a month" in said or "Payment a month by months" in said
    # The model that foretold as well is named with what it would make of it.
    assert "hangs on the choice of model, not only on chance" in said


def test_costs_and_the_order_of_channels_are_the_true_ones(ran, of_demo, truth):
    table = pd.read_csv(ran.exports / "clv_channels.csv").set_index("channel")
    for channel, row in table.iterrows():
        known = truth["acquisition"][channel]["cac_minor"]
        # The table is of the last twelve months, the truth of all three years.
        assert row["cost"] == pytest.approx(known or 0, rel=0.12), channel
    ratios = truth["hazard_ratios"]["channel"]
    assert table["value"].idxmin() == max(ratios, key=ratios.get)
    assert table["value"].idxmax() == min(ratios, key=ratios.get)
    assert (table["most"] * 3).to_numpy() == pytest.approx(table["most_break_even"].to_numpy())


def test_findings_have_intervals_and_say_what_holds(of_demo):
    for id in (
        "clv.base_value",
        "clv.new_customer",
        "clv.weakest_channel",
        "clv.retention_budget",
        "clv.purchases",
    ):
        record = of_demo[id]
        assert record["low"] < record["value"] < record["high"], id
        assert record["n"] > 0, id
    backtest = of_demo["clv.backtest"]
    assert backtest["low"] <= backtest["value"] <= backtest["high"]
    assert abs(backtest["value"]) < 0.05
    paid = of_demo["clv.backtest_revenue"]
    assert paid["low"] <= paid["value"] <= paid["high"]
    assert abs(paid["value"]) < 0.1
    for id in ("clv.formula_error", "clv.base_change"):
        assert of_demo[id]["low"] < of_demo[id]["value"] < of_demo[id]["high"], id
    # Some lines of a finding are its number; none of them is a broken one.
    assert not any("not available" in record["sentence"] for record in of_demo.values())


def test_every_customer_is_scored_once_and_the_scores_add_up(ran, of_demo, demo):
    table = pd.read_csv(ran.exports / "clv_customers.csv")
    assert table["customer_id"].is_unique
    subscribers = table[table["value"].notna()]
    assert len(subscribers) == of_demo["clv.base_value"]["n"]
    # The waits for the next payment are averaged in the one sum and not in the other.
    assert subscribers["value"].sum() == pytest.approx(of_demo["clv.base_value"]["value"], rel=2e-3)
    assert (subscribers["low"] <= subscribers["value"]).all()
    assert (subscribers["value"] <= subscribers["high"]).all()
    assert subscribers["stays_a_year"].between(0, 1).all()
    assert (subscribers["probability_alive"] == 1).all()
    assert (table["currency"] == "EUR").all()
    buyers = table[table["still_buying"].notna()]
    assert len(buyers) == of_demo["clv.purchases"]["n"]
    assert (buyers["purchase_value"] > 0).all()
    gone = buyers[buyers["value"].isna()]
    assert (gone["probability_alive"] == gone["still_buying"]).all()
    assert buyers["purchase_value"].sum() == pytest.approx(of_demo["clv.purchases"]["value"], rel=0.05)
    assert table["probability_alive"].notna().all()
    groups = pd.read_csv(ran.exports / "clv_groups.csv")
    assert groups["value"].sum() == pytest.approx(of_demo["clv.base_value"]["value"])


def test_two_runs_say_how_the_value_moved_between_them(run, demo, monkeypatch):
    quick = {"by": "", "adjust": ["channel"], "holdout": 6}
    first = run(NAME, as_of="2026-08-31", **quick)
    before = findings(first)["clv.base_value"]
    monkeypatch.setenv("TENURE_PREVIOUS", str(first.exports))
    second = run(NAME, **quick)
    found, said = findings(second), words(second)
    assert found["clv.base_change"]["sentence"].startswith(
        "Since Aug 31, 2026 the value of the customer base has"
    )
    after = found["clv.base_value"]
    # Two months are valued by later curves, so the earlier value is near, not the same.
    assert after["value"] - found["clv.base_change"]["value"] == pytest.approx(before["value"], rel=0.05)
    assert f"had put the value on that day at {before['shown']['value']}" in said
    old, new = (
        pd.read_csv(outcome.exports / "clv_customers.csv")
        .dropna(subset="value")
        .set_index("customer_id")["value"]
        for outcome in (first, second)
    )
    came, left = new.index.difference(old.index), old.index.difference(new.index)
    assert f"{len(came):,} customers came and {len(left):,} left" in found["clv.base_change"]["sentence"]


def test_telco_gives_a_sound_report(run):
    if not TELCO.is_file():
        pytest.skip("The telco data is not there.")
    outcome = run(NAME, data=str(TELCO), mapping="data/mappings/telco.yml", by="contract")
    found = findings(outcome)
    said = words(outcome)
    assert "A snapshot has no dates to look back from" in said
    assert "There are no payments for subscriptions" in said
    assert found["clv.base_value"]["unit"] == "money:USD"
    groups = pd.read_csv(outcome.exports / "clv_groups.csv").set_index("group")
    assert groups["each_new_customer"].idxmax() == "Two year"
    assert groups["each_new_customer"].idxmin() == "Month-to-month"


def company(folder, customers, stay, payments=()):
    """CSV files of customers who begin from 2022 on and stay some days; None: to the end."""
    rows = []
    for number in range(customers):
        begin, days = dt.date(2022, 1, 1) + dt.timedelta(days=number % 500), stay(number)
        rows.append(
            {
                "subscription_id": f"s{number}", "customer_id": f"c{number}", "plan": "AB"[number % 2],
                "billing_interval": "month", "unit_amount_minor": 1000, "currency": "EUR", "status": "active",
                "started_at": begin, "ended_at": begin + dt.timedelta(days=days) if days else None,
                "end_reason": "voluntary" if days else None,
            }
        )  # fmt: skip
    spans = pd.DataFrame(rows)
    spans.to_csv(folder / "subscriptions.csv", index=False)
    people = spans[["customer_id", "started_at"]].rename(columns={"started_at": "created_at"})
    people.to_csv(folder / "customers.csv", index=False)
    if payments:
        pd.DataFrame(payments).to_csv(folder / "payments.csv", index=False)
    return str(folder)


def test_companies_that_nobody_or_everybody_left_are_not_applicable(run, tmp_path):
    (tmp_path / "none").mkdir()
    stays = company(tmp_path / "none", 200, lambda n: None)
    outcome = run(NAME, data=stays)
    assert outcome.state == "not_applicable"
    assert "Nobody left in group" in outcome.reason
    (tmp_path / "all").mkdir()
    gone = company(tmp_path / "all", 200, lambda n: 20 + n % 90)
    outcome = run(NAME, data=gone)
    assert outcome.state == "not_applicable"
    assert "Nobody is subscribed at the end of" in outcome.reason


def test_one_cohort_no_repeat_buyers_zero_margin_and_extreme_discount_end_well(run, tmp_path):
    rng = np.random.default_rng(3)
    lives = rng.geometric(rng.beta(1.2, 8, 400))
    paid = [
        {"payment_id": f"p{n}", "customer_id": f"c{n}", "attempted_at": "2023-07-15", "amount_minor": 500,
         "currency": "EUR", "kind": "one_off", "status": "paid"}
        for n in range(50)
    ]  # fmt: skip
    data = company(tmp_path, 400, lambda n: int(lives[n]) * 30 if lives[n] < 18 else None, paid)
    for file in ("subscriptions.csv", "customers.csv"):
        frame = pd.read_csv(tmp_path / file)
        column = "started_at" if "started_at" in frame else "created_at"
        if file == "subscriptions.csv":
            length = pd.to_datetime(frame["ended_at"]) - pd.to_datetime(frame["started_at"])
            frame["ended_at"] = (pd.Timestamp("2022-01-31") + length).dt.date
        frame[column] = dt.date(2022, 1, 31)
        frame.to_csv(tmp_path / file, index=False)
    outcome = run(NAME, data=data, min_group=20)
    found = findings(outcome)
    assert found["clv.base_value"]["value"] > 0
    assert "has bought again" in words(outcome)
    found = findings(run(NAME, data=data, margin=0.0, fee_share=0.0, fee_fixed=0.0))
    assert found["clv.base_value"]["value"] == 0
    assert found["clv.new_customer"]["value"] == 0
    found = findings(run(NAME, data=data, yearly_rate=50.0, by=""))
    assert 0 < found["clv.base_value"]["value"] < found["clv.base_value"]["n"] * 2000


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
    assert sentence.startswith("A customer won by tv brings")
    assert "not paid back within" in sentence
    table = pd.read_csv(outcome.exports / "clv_channels.csv").set_index("channel")
    assert np.isnan(table.loc["tv", "payback"])
    assert table.loc["tv", "foretold"]
    assert table.loc["web", "payback"] == 0
    assert table.loc["ads", "payback_low"] <= table.loc["ads", "payback"] <= table.loc["ads", "payback_high"]
    assert "Spend less to win a customer: tv costs" in words(outcome)
    assert "Value of today's customers by plan" in words(outcome)


@pytest.mark.parametrize(
    ("parameters", "wanted"),
    [
        ({"margins": 0.5}, ["`margins`", "did you mean `margin`"]),
        ({"margin": 1.5}, ["`margin`", "between 0 and 1"]),
        ({"yearly_rate": -0.5}, ["`yearly_rate`"]),
        ({"by": "chanel"}, ["'chanel'", "did you mean 'channel'"]),
        ({"adjust": ["chanel"]}, ["'chanel'", "did you mean 'channel'"]),
        ({"min_group": 0}, ["`min_group`", "at least 1"]),
        ({"since": "yesterday"}, ["`since`", "year-month-day"]),
        ({"kept": 0.0}, ["`kept`", "share"]),
    ],
)
def test_a_bad_parameter_gets_one_sentence(run, demo, parameters, wanted):
    outcome = run(NAME, **parameters)
    assert outcome.state == "failed"
    assert all(word in outcome.reason for word in wanted), outcome.reason
    assert "\n" not in outcome.reason
