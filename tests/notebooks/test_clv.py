"""The CLV workbook: the truth of the demo company, real data, and companies at the edge."""

from __future__ import annotations

import re

import pandas as pd
import pytest

from notebooks.companies import company, one_cohort, words
from notebooks.running import findings, run_notebook
from tenure.paths import project_root

NAME = "40_clv.ipynb"
TELCO = project_root().parent / "shared" / "data" / "telco" / "Telco-Customer-Churn.csv"


@pytest.fixture(scope="module")
def ran(run, demo):
    return run(NAME, years=60)


def test_residual_lifetimes_contain_the_truth_of_the_demo_company(ran, of_demo, truth):
    table = pd.read_csv(ran.exports / "clv_lifetimes.csv")
    for row in table[table["group"] != "came back"].itertuples():
        true = truth["expected_residual_lifetime"][row.group]["drawn_all_causes"][row.renewal - 1]
        # Five plans at once: with Bonferroni's adjustment all of them hold in 95 of 100 companies.
        wider = (row.value_high / row.value_low) ** (2.58 / 1.96 / 2)
        assert row.value / wider <= true <= row.value * wider, row


def test_the_true_characteristics_and_model_are_chosen(ran, of_demo):
    said = words(ran)
    assert "shifted beta-geometric with a separate involuntary hazard" in said
    assert "channel and household" in said


def test_value_is_shown_by_plan_segment_channel_and_cohort_and_rates_are_said(ran):
    said = words(ran)
    for caption in (
        "Value by group",
        "customers by segment (",
        "customers by channel (on file)",
        "by the quarter in which",
        "What one of each other currency counts as",
        "Payment per month by months since the start",
    ):
        assert caption in said, caption
    assert "discounted by 10% a year, which is 0.80% a month" in said
    assert "payment fees of 1.5% and €0.25 a charge" in said
    # The model that predicted as well is named with what it would make of it.
    assert "beta-discrete-Weibull" in said
    assert "predicted_as_well" in said


def test_findings_have_intervals_and_say_what_holds(of_demo):
    for id in ("clv.base_value", "clv.new_customer", "clv.base_change"):
        record = of_demo[id]
        assert record["low"] < record["value"] < record["high"], id
        assert record["n"] > 0, id
    backtest = of_demo["clv.backtest"]
    assert backtest["low"] <= backtest["value"] <= backtest["high"]
    assert abs(backtest["value"]) < 0.05
    paid = of_demo["clv.backtest_revenue"]
    assert paid["low"] <= paid["value"] <= paid["high"]
    assert abs(paid["value"]) < 0.1
    # Some lines of a finding are its number; none of them is a broken one.
    assert not any("not available" in record["sentence"] for record in of_demo.values())


def test_every_customer_is_scored_once_and_the_scores_add_up(ran, of_demo, demo):
    table = pd.read_csv(ran.exports / "clv_customers.csv")
    assert table["customer_id"].is_unique
    subscribers = table[table["value"].notna()]
    assert len(subscribers) == of_demo["clv.base_value"]["n"]
    assert subscribers["value"].sum() == pytest.approx(of_demo["clv.base_value"]["value"], rel=1e-9)
    assert (subscribers["low"] <= subscribers["value"]).all()
    assert (subscribers["value"] <= subscribers["high"]).all()
    assert subscribers["stays_a_year"].between(0, 1).all()
    assert (table["currency"] == "EUR").all()
    groups = pd.read_csv(ran.exports / "clv_groups.csv")
    assert groups["value"].sum() == pytest.approx(of_demo["clv.base_value"]["value"], rel=1e-9)
    # One total, whatever table it is read from.
    bridge = pd.read_csv(ran.exports / "clv_base_change.csv").set_index("label")["amount"]
    assert bridge["after"] == pytest.approx(of_demo["clv.base_value"]["value"], rel=1e-9)
    assert bridge["after"] - bridge["before"] == pytest.approx(of_demo["clv.base_change"]["value"], rel=1e-9)
    assert bridge[["before", "new", "lost", "revalued"]].sum() == pytest.approx(bridge["after"], rel=1e-9)


def test_two_runs_say_how_the_value_moved_between_them(run, demo, monkeypatch):
    quick = {"by": "", "adjust": ["channel"], "holdout": 6}
    first = run(NAME, as_of="2026-08-31", **quick)
    before = findings(first)["clv.base_value"]
    monkeypatch.setenv("TENURE_PREVIOUS", str(first.exports))
    second = run(NAME, **quick)
    found, said = findings(second), words(second)
    assert found["clv.base_change"]["sentence"].startswith(
        "Since Aug 31, 2026 the value of all customers has"
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
    # Who was past due at the end of August and is not any more: what is known now ends in August or before.
    spans = pd.read_parquet(demo / "subscriptions.parquet")
    spans["paid_until"] = spans["ended_at"].fillna(pd.Timestamp.max).mask(spans["status"] == "past_due")
    late = spans.groupby("customer_id")["paid_until"].max().loc[left].lt("2026-09-01").sum()
    assert 0 < late < len(left)
    assert (
        f"{len(came):,} came, {len(left):,} left, {late:,} of whom had stopped paying by that day and not "
        "come back since." in found["clv.base_change"]["sentence"]
    )


def test_telco_gives_a_sound_report(run):
    if not TELCO.is_file():
        pytest.skip("The telco data is not there.")
    outcome = run(NAME, data=str(TELCO), mapping="data/mappings/telco.yml", by="contract")
    found = findings(outcome)
    said = words(outcome)
    assert "There is no earlier day to look back from" in said
    assert "There are no payments for subscriptions" in said
    assert found["clv.base_value"]["unit"] == "money:USD"
    groups = pd.read_csv(outcome.exports / "clv_groups.csv").set_index("group")
    assert groups["each_new_customer"].idxmax() == "Two year"
    assert groups["each_new_customer"].idxmin() == "Month-to-month"


def test_companies_that_nobody_or_everybody_left_are_not_applicable(run, tmp_path):
    (tmp_path / "none").mkdir()
    stays = company(tmp_path / "none", 200, lambda n: None)
    outcome = run(NAME, data=stays)
    assert outcome.state == "not_applicable"
    assert "renewals observed 0 were not renewed" in outcome.reason
    (tmp_path / "all").mkdir()
    gone = company(tmp_path / "all", 200, lambda n: 20 + n % 90)
    outcome = run(NAME, data=gone)
    assert outcome.state == "not_applicable"
    assert "Nobody is subscribed on the last day" in outcome.reason


def test_one_cohort_little_margin_and_an_extreme_discount_end_well(run, tmp_path):
    data = one_cohort(tmp_path)
    found = findings(run(NAME, data=data, min_group=20))
    assert found["clv.base_value"]["value"] > 0
    # Nobody's payments fail, so that nobody who left had stopped paying before.
    assert re.search(r"; \d+ came, \d+ left\.$", found["clv.base_change"]["sentence"])
    # Nothing is left where fees take all: the models' own tests have margins of 0.
    found = findings(run(NAME, data=data, margin=0.01, fee_share=0.01, fee_fixed=0.0))
    assert found["clv.base_value"]["value"] == pytest.approx(0, abs=1e-6)
    assert found["clv.new_customer"]["value"] == pytest.approx(0, abs=1e-6)
    found = findings(run(NAME, data=data, discount_rate=1.0, by=""))
    assert 0 < found["clv.base_value"]["value"] < found["clv.base_value"]["n"] * 20_000


@pytest.mark.parametrize(
    ("parameters", "wanted"),
    [
        ({"margins": 0.5}, ["`margins`", "did you mean `margin`"]),
        ({"margin": 1.5}, ["`margin`", "less than or equal to 1"]),
        ({"discount_rate": -0.5}, ["`discount_rate`"]),
        ({"by": "chanel"}, ["'chanel'", "did you mean 'channel'"]),
        ({"adjust": ["chanel"]}, ["'chanel'", "did you mean 'channel'"]),
        ({"min_group": 0}, ["`min_group`", "at least 1"]),
        ({"since": "yesterday"}, ["`since`", "year-month-day"]),
        ({"years": 0}, ["`years`", "from 1 to 100"]),
    ],
)
def test_a_bad_parameter_gets_one_sentence(run, demo, parameters, wanted):
    outcome = run(NAME, **parameters)
    assert outcome.state == "failed"
    assert all(word in outcome.reason for word in wanted), outcome.reason
    assert "\n" not in outcome.reason


def test_published_segments_are_valued_and_named_and_those_of_another_company_are_not(kernels, tmp_path):
    (tmp_path / "data").mkdir()
    data = company(tmp_path / "data", 240, lambda n: None if n % 3 else 90)
    people = pd.read_csv(tmp_path / "data" / "customers.csv")
    people["segment"] = ["old", "older"] * 120
    people.to_csv(tmp_path / "data" / "customers.csv", index=False)
    used = pd.DataFrame({"customer_id": people["customer_id"].astype(str), "scheme": "behavior"})
    used = used.assign(segment=["fans", "others", "fans"] * 80, as_of=pd.Timestamp("2026-01-01").date())
    folder = tmp_path / "exports" / "segmentation"
    folder.mkdir(parents=True)
    for published, caption, absent in (
        (used, "customers by segment (behavior, as published)", "older"),
        (used.assign(customer_id="x" + used["customer_id"]), "customers by segment (on file)", "fans"),
    ):
        published.to_parquet(folder / "segments.parquet")
        out = tmp_path / "exports" / "clv"
        out.mkdir(exist_ok=True)
        said = words(run_notebook(NAME, {"data": data, "min_group": 20}, kernels, out))
        assert caption in said
        assert absent not in said
