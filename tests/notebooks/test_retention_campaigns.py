"""The workbook on retention campaigns: the demo company's, their opposites, and campaigns that cannot be read."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from notebooks.companies import words
from notebooks.running import findings

NAME = "70_retention_campaigns.ipynb"
ID = "retention_campaigns."
CONTACT = dt.date(2024, 3, 1)


@pytest.fixture(scope="module")
def ran(run, demo):
    return run(NAME)


def company(folder, n=3000, lift=None, cost=20, incentive=100, until=dt.date(2024, 6, 30), **change):
    """Customers of three devices, half of whom were contacted on 1 March 2024.

    `lift` is what a contact adds to the chance of 0.80 to be there after 91 days, by device.
    """
    rng = np.random.default_rng(9)
    number, lift = np.arange(n), {"phone": 0.0, "tv": 0.0, "web": 0.0, **(lift or {})}
    device = np.array(["phone", "tv", "web"])[rng.integers(3, size=n)]
    treated = rng.random(n) < 0.5
    started = [dt.date(2023, 1, 1) + dt.timedelta(days=int(day)) for day in rng.integers(400, size=n)]
    if change.get("by_score"):
        treated = np.array(started) > dt.date(2023, 7, 15)
    stays = rng.random(n) < 0.8 + np.where(treated, [lift[name] for name in device], 0)
    gone = [CONTACT + dt.timedelta(days=int(day)) for day in rng.integers(5, 90, size=n)]
    ids = [f"c{i}" for i in number]
    people = pd.DataFrame({"customer_id": ids, "created_at": started, "device": device})
    spans = pd.DataFrame(
        {
            "subscription_id": [f"s{i}" for i in number], "customer_id": ids, "plan": "Plus",
            "billing_interval": "month", "unit_amount_minor": 1000, "currency": "EUR", "status": "active",
            "started_at": started, "ended_at": np.where(stays, None, gone), "end_reason": np.where(stays, None, "voluntary"),
        }
    )  # fmt: skip
    more = {"subscription_id": "last", "started_at": until, "ended_at": None, "end_reason": None}
    spans = pd.concat([spans, spans.tail(1).assign(**more, customer_id="new")])
    people = pd.concat([people, people.tail(1).assign(customer_id="new", created_at=until)])
    contacts = pd.DataFrame(
        {
            "campaign": "stay", "customer_id": ids, "arm": np.where(treated, "treatment", "control"),
            "contacted_at": CONTACT, "cost_minor": np.where(treated, cost, 0),
            "incentive_minor": np.where(treated, incentive, 0),
        }
    )  # fmt: skip
    contacts = change.get("contacts", lambda rows: rows)(contacts)
    for name, table in {"customers": people, "subscriptions": spans, "contacts": contacts}.items():
        table.to_csv(folder / f"{name}.csv", index=False)
    return str(folder)


def test_the_demo_campaign_has_the_effect_that_was_planted(ran, truth):
    found, law = findings(ran), truth["retention_campaign"]
    kept = found[f"{ID}kept"]
    assert kept["low"] < law["all"]["uplift"] < kept["high"]
    assert kept["sentence"].startswith("Campaign stay_2026: 85")
    parts = pd.read_csv(ran.exports / "campaign_effects_by_segment.csv")
    parts = parts[parts["by"] == "signup_device"].set_index("segment")
    for device, expected in law["segments"].items():
        row = parts.loc[device]
        assert row["shrunk_low"] < expected["uplift"] < row["shrunk_high"], device
    assert "harms those with signup device “tv”" in words(ran)
    assert found[f"{ID}subsidy"]["low"] < found[f"{ID}subsidy"]["value"] < found[f"{ID}subsidy"]["high"]


def test_not_television_is_the_rule_that_keeps_most(ran):
    whom = findings(ran)[f"{ID}whom"]
    assert "contact all but those with signup device “tv”: 1.6 points more" in whom["sentence"]
    assert whom["low"] > 0
    # The incentive is expensive: in money, contacting everybody lost.
    profit, advice = (findings(ran)[f"{ID}{name}"] for name in ("profit", "advice"))
    assert profit["high"] < 0
    assert "Do not contact everybody again like this" in advice["sentence"]
    assert advice["value"] == profit["value"]


def test_what_was_published_is_what_was_counted(ran):
    rows = pd.read_parquet(ran.exports / "campaign_effects.parquet")
    everyone = rows[rows["by"] == ""].iloc[0]
    assert everyone[["campaign", "horizon_days"]].tolist() == ["stay_2026", 91]
    effect = everyone["kept_treated"] / everyone["treated"] - everyone["kept_control"] / everyone["control"]
    assert effect == pytest.approx(findings(ran)[f"{ID}kept"]["value"])
    for _, part in rows[rows["by"] != ""].groupby("by"):
        assert part["treated"].sum() == everyone["treated"]


def test_of_two_offers_the_one_that_pays_is_looked_at(run, demo, truth):
    outcome = run(NAME, campaign="offers_2025", characteristics=["signup_device", "plan"])
    found, law = findings(outcome), truth["offers_campaign"]["arms"]
    said = words(outcome)
    assert "60 of 1,271 held out were contacted all the same" in said
    assert "offer tips:" in found[f"{ID}kept"]["sentence"]
    rows = pd.read_parquet(outcome.exports / "campaign_effects.parquet")
    for offer, row in rows[rows["offer"].notna()].set_index("offer").iterrows():
        p, q = row["kept_treated"] / row["treated"], row["kept_control"] / row["control"]
        error = np.sqrt(p * (1 - p) / row["treated"] + q * (1 - q) / row["control"])
        mixed = 0.95 * law["held out"]["probability"] + 0.05 * law["free month"]["probability"]
        assert abs(p - q - (law[offer]["probability"] - mixed)) < 4 * error, offer


def test_where_contacting_helps_nobody_the_page_says_stop(run, tmp_path):
    outcome = run(NAME, data=company(tmp_path, 8000, incentive=500))
    found = findings(outcome)
    assert found[f"{ID}advice"]["sentence"].startswith("Stop: contacting everybody loses")
    assert "In no segment does contacting clearly harm" in words(outcome)


def test_where_everybody_gains_the_page_says_contact_all(run, tmp_path):
    outcome = run(NAME, data=company(tmp_path, 8000, {"phone": 0.1, "tv": 0.1, "web": 0.1}))
    found = findings(outcome)
    assert found[f"{ID}advice"]["sentence"].startswith("Contact everybody: that brings")
    assert found[f"{ID}kept"]["low"] > 0
    assert found[f"{ID}profit"]["low"] > 0


def test_where_television_gains_and_phones_lose_phones_are_left_out(run, tmp_path):
    outcome = run(NAME, data=company(tmp_path, 8000, {"phone": -0.15, "tv": 0.12, "web": 0.12}))
    found = findings(outcome)
    assert "all but those with device “phone”" in found[f"{ID}whom"]["sentence"]
    assert "all but those with device “phone”" in found[f"{ID}advice"]["sentence"]


def only(arm):
    return lambda rows: rows[rows["arm"] == arm]


@pytest.mark.parametrize(
    ("change", "state", "sentence"),
    [
        ({"contacts": only("treatment")}, "refused", "nobody was held out of stay"),
        ({"n": 190}, "refused", "an arm of stay has fewer than 100 paying customers"),
        ({"until": dt.date(2024, 5, 1)}, "refused", "the 91 days after the contacts of stay are not over"),
        ({"contacts": lambda rows: rows.head(0)}, "refused", "needs the table contacts"),
        ({"contacts": lambda rows: rows.assign(contacted_at="2023-01-01")}, "refused", "a win-back campaign"),
        ({"by_score": True}, "ok", "Do not decide on the campaign stay"),
        ({"cost": 0, "incentive": 0}, "ok", "have neither cost nor incentive"),
        ({"contacts": lambda rows: rows.assign(cost_minor=20)}, "ok", "Do not decide on the campaign stay"),
        (
            {
                "contacts": lambda rows: rows.assign(
                    cost_minor=np.where(np.arange(len(rows)) % 15, rows["cost_minor"], 20)
                )
            },
            "ok",
            "held out were contacted all the same",
        ),
    ],
    ids=[
        "no control",
        "few",
        "immature",
        "no campaign",
        "win-back",
        "by a score",
        "no costs",
        "leaked",
        "leaks",
    ],
)
def test_a_campaign_that_cannot_be_read_gets_a_sentence(run, tmp_path, change, state, sentence):
    outcome = run(NAME, data=company(tmp_path, **change))
    said = words(outcome) + str(outcome.reason)
    assert sentence in said, said[-2000:]
    assert (outcome.state == "ok") == (state == "ok"), outcome.reason
    assert "Traceback" not in said
    if "Do not decide" in sentence:
        assert not (outcome.exports / "campaign_effects.parquet").exists()
        assert "fix what failed" in findings(outcome)[f"{ID}advice"]["sentence"]


@pytest.mark.parametrize(
    ("parameters", "wanted"),
    [
        ({"campaign": "stay_2027"}, ["`campaign`", "stay_2026"]),
        ({"offer": "roses"}, ["`offer`", "contacted"]),
        ({"horizon_days": 1}, ["`horizon_days`", "7"]),
        ({"budget": -1}, ["`budget`", "at least 0"]),
        ({"characteristics": ["shoe size"]}, ["shoe size"]),
        ({"planned_split": {"control": 1, "treated": 1}}, ["planned split", "treated"]),
    ],
)
def test_a_bad_parameter_gets_one_sentence(run, demo, parameters, wanted):
    outcome = run(NAME, **parameters)
    assert outcome.state == "failed"
    assert all(word in outcome.reason for word in wanted), outcome.reason
    assert "\n" not in outcome.reason


def test_a_budget_and_months_ahead_can_be_given(run, demo):
    outcome = run(NAME, budget=1000, months_ahead=40.0, characteristics=["signup_device"])
    found = findings(outcome)
    # Customers who pay for so long are worth more: now a part of them pays.
    assert found[f"{ID}advice"]["value"] > 0
    rules = pd.read_csv(outcome.exports / "campaign_rules.csv").set_index("rule")
    assert rules["contacted"].iloc[-1] < 0.1
