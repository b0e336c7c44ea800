"""The workbook on who is about to leave: the demo company against its law, the reverse, and companies at the edge."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from notebooks.companies import company, words
from notebooks.running import findings, run_notebook
from tenure.contract import BY_NAME
from tenure.models.risk import auc
from tenure.paths import project_root

NAME = "35_churn_risk.ipynb"
TELCO = project_root().parent / "shared" / "data" / "telco" / "Telco-Customer-Churn.csv"
GROUPS = ["gender", "birth_year", "country"]


@pytest.fixture(scope="module")
def ran(run, demo):
    return run(NAME, fairness_by=GROUPS)


@pytest.fixture(scope="module")
def chances(ran):
    return pd.read_parquet(ran.exports / "churn_risk.parquet")


def test_findings_are_sound(of_demo):
    for name in ("worth", "found", "ranking", "true", "expected"):
        record = of_demo[f"churn_risk.{name}"]
        assert record["low"] < record["value"] < record["high"], name
        assert record["n"] > 0, name
    assert of_demo["churn_risk.worth"]["lead"]
    assert of_demo["churn_risk.worth"]["unless"]
    assert not any("not available" in record["sentence"] for record in of_demo.values())


def test_chances_are_true_and_better_than_the_rule(of_demo):
    true = of_demo["churn_risk.true"]
    assert abs(true["value"] - 1) <= 0.05
    assert true["low"] < 1 < true["high"]
    # This sentence is said only where the list clearly finds more than the rule.
    found = of_demo["churn_risk.found"]
    rule = re.search(
        r", [\d.]+% were among .* named by the rule “not used for 30 days”, ([\d.]+)%", found["sentence"]
    )
    assert rule is not None, found["sentence"]
    assert found["low"] > float(rule[1]) / 100


def test_chances_beat_the_law_which_does_not_see_what_customers_do(run, demo):
    """As of the day on which the law was written down, three months before the end."""
    then = pd.read_parquet(run(NAME, as_of="2026-07-31").exports / "churn_risk.parquet")
    risk = pd.read_parquet(demo / "_truth" / "risk.parquet")
    risk = risk[risk["as_of"].astype(str) == "2026-07-31"].merge(then, on="customer_id")
    spans = pd.read_parquet(demo / "subscriptions.parquet")
    ends = spans[spans["end_reason"].eq("voluntary") & (spans["ended_at"] >= "2026-08-01")]
    left = risk["customer_id"].isin(ends.loc[ends["plan"] != "Sports", "customer_id"]).to_numpy(float)
    assert left.sum() > 700
    assert auc(left, risk["chance"]) > auc(left, risk["risk"]) + 0.04
    assert risk["chance"].mean() == pytest.approx(left.mean(), rel=0.1)
    assert np.corrcoef(risk["chance"], risk["risk"])[0, 1] > 0.5


def test_no_group_is_treated_unlike_the_others(of_demo):
    assert of_demo["churn_risk.groups"]["value"] == 0
    assert of_demo["churn_risk.groups"]["n"] >= 12


def test_what_is_exported_keeps_the_contract(ran, of_demo, chances):
    assert list(chances.columns) == list(BY_NAME["churn_risk"].column_names)
    assert chances["customer_id"].is_unique
    assert chances["chance"].between(0, 1, inclusive="neither").all()
    assert chances["chance"].mean() == pytest.approx(of_demo["churn_risk.expected"]["value"])
    listed = pd.read_csv(ran.exports / "churn_risk_contacts.csv")
    assert len(listed) == of_demo["churn_risk.worth"]["n"]
    assert listed["worth"].sum() == pytest.approx(of_demo["churn_risk.worth"]["value"])
    assert (listed["chance_low"] < listed["chance"]).all()
    assert listed["reason"].notna().mean() > 0.9


def test_who_has_given_notice_is_not_on_the_list(chances, demo):
    spans = pd.read_parquet(demo / "subscriptions.parquet")
    on = spans[spans["ended_at"].isna() & (spans["status"] != "trialing")]
    base = on[~on["customer_id"].duplicated(keep=False)]  # who holds another goes on with that
    asked = base.loc[base["cancel_requested_at"].notna(), "customer_id"]
    assert len(asked) > 50
    assert not chances["customer_id"].isin(asked).any()


def test_it_pays_where_an_offer_is_cheap_and_works(run, demo):
    found = findings(run(NAME, saved=[60, 60], contact_cost=0.1, incentive=1.0, taken=0.5))
    worth = found["churn_risk.worth"]
    assert worth["low"] > 0
    assert "brings" in worth["sentence"]
    assert "may as well cost more" not in worth["sentence"]


def test_nobody_is_contacted_where_no_offer_can_pay(run, demo):
    outcome = run(NAME, saved=[1, 99], contact_cost=5.0)
    assert findings(outcome)["churn_risk.worth"]["n"] == 0
    assert "It pays to contact nobody" in words(outcome)


def test_a_measured_campaign_replaces_the_assumption(kernels, demo, tmp_path):
    place = tmp_path / "exports" / "retention_campaigns"
    place.mkdir(parents=True)
    row = {"campaign": "stay_2026", "offer": None, "by": "", "segment": "", "horizon_days": 91, "treated": 2700,
           "control": 2700, "kept_treated": 2400, "kept_control": 2300, "as_of": pd.Timestamp("2026-10-31").date()}  # fmt: skip
    pd.DataFrame([row]).to_parquet(place / "campaign_effects.parquet")
    folder = tmp_path / "exports" / "churn_risk"
    folder.mkdir()
    outcome = run_notebook(NAME, {}, kernels, folder)
    said = words(outcome)
    assert outcome.state == "ok", outcome.reason
    assert "The campaign “stay_2026” kept 25" in said
    assert "A contact costs €0.20, the incentive €3.00" in said


def test_columns_that_are_not_permitted_are_named_and_not_used(run, demo):
    outcome = run(NAME)
    assert "since `fairness_by` names no column; the data have birth_year, gender" in words(outcome)
    assert "churn_risk.groups" not in findings(outcome)


@pytest.mark.parametrize(("parameters", "reason"), [
    ({"months_ahead": 12}, "It takes four days, as many months apart as are looked ahead"),
    ({"only": "country = 'NL' and household = 'family'"}, "customers left by choice at a renewal"),
])  # fmt: skip
def test_what_cannot_be_told_is_said_in_a_sentence(run, demo, parameters, reason):
    outcome = run(NAME, **parameters)
    assert outcome.state == "not_applicable", outcome.reason
    assert reason in outcome.reason


@pytest.mark.parametrize(("parameters", "reason"), [
    ({"saved": [6]}, "`saved` must be two numbers above 0"),
    ({"characteristics": ["shoe_size"]}, "`characteristics` is 'shoe_size', which is not available"),
    ({"landmarks": 3}, "landmarks"),
])  # fmt: skip
def test_parameters_that_make_no_sense_are_refused(run, demo, parameters, reason):
    outcome = run(NAME, **parameters)
    assert outcome.state == "failed"
    assert reason in outcome.reason


def test_a_company_without_events_or_reasons(run, tmp_path):
    rng = np.random.default_rng(1)
    lives = rng.geometric(rng.beta(1.2, 6, 900))
    data = company(tmp_path, 900, lambda n: int(lives[n]) * 30 if lives[n] < 30 else None)
    found = findings(run(NAME, data=data, as_of="2023-06-30", landmarks=6))
    assert "churn_risk.found" not in found
    assert found["churn_risk.ranking"]["value"] > 0.5
    spans = pd.read_csv(tmp_path / "subscriptions.csv")
    spans.drop(columns="end_reason").to_csv(tmp_path / "subscriptions.csv", index=False)
    outcome = run(NAME, data=data, as_of="2023-06-30")
    assert outcome.state == "not_applicable"
    assert "Fix: map end_reason" in outcome.reason


def test_a_column_that_was_written_after_they_left_is_refused(run, tmp_path):
    rng = np.random.default_rng(1)
    lives = rng.geometric(rng.beta(1.2, 6, 900))
    data = company(tmp_path, 900, lambda n: int(lives[n]) * 30 if lives[n] < 30 else None)
    people, spans = (pd.read_csv(tmp_path / f"{name}.csv") for name in ("customers", "subscriptions"))
    people["account"] = np.where(spans["ended_at"] < "2023-06-30", "closed", "open")
    people.to_csv(tmp_path / "customers.csv", index=False)
    outcome = run(NAME, data=data, as_of="2023-06-30", landmarks=6)
    assert outcome.state == "failed"
    assert "The column account looks like the answer" in outcome.reason
    assert "Fix: leave it out of `characteristics`" in outcome.reason


def test_telco_knows_no_dates(run):
    if not TELCO.is_file():
        pytest.skip("The telco data is not there.")
    outcome = run(NAME, data=str(TELCO), mapping="data/mappings/telco.yml")
    assert outcome.state == "not_applicable"
    assert "needs real dates" in outcome.reason
