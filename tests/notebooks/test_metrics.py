"""The metrics workbook: the truth of the demo company, what is not there, and what the last run published."""

from __future__ import annotations

import datetime as dt
import json

import duckdb
import pandas as pd
import pytest

import tenure
from notebooks.running import findings
from tenure.measures import revenue
from tenure.models import movements
from tenure.paths import project_root

NAME = "10_metrics.ipynb"


@pytest.fixture(scope="module")
def outcome(run, demo):
    return run(NAME)


@pytest.fixture(scope="module")
def found(outcome):
    return findings(outcome)


@pytest.fixture(scope="module")
def truth(demo):
    return json.loads((demo / "truth.json").read_text())


def ask(demo, query):
    return duckdb.sql(query.format(**{p.stem: f"'{p}'" for p in demo.glob("*.parquet")})).fetchall()


def said(outcome):
    return " ".join(
        str(output.get("data", {}).get("text/html", ""))
        for cell in outcome.notebook.cells
        for output in cell.get("outputs", [])
    )


def test_the_page_says_everything_the_issue_asks_for(found):
    assert set(found) == {
        "mrr.total", "mrr.net_new", "customers.paying", "churn.monthly", "mrr.churn", "mrr.quick_ratio",
        "churn.at_renewal", "mrr.gross_retention", "mrr.net_retention", "trials.conversion",
        "acquisition.cac", "acquisition.payback", "acquisition.ltv_cac", "engagement.stickiness",
        "engagement.session", "engagement.silent_payers", "nps.score", "nps.response_rate",
        "metrics.first_leak",
    }  # fmt: skip
    counted = {"mrr.total", "customers.paying"}
    for id, record in found.items():
        assert record["value"] is not None, id
        assert id in counted or record["low"] <= record["value"] <= record["high"], id
        assert id == "customers.paying" or record["n"] > 0, id
    compared = set(found) - {"acquisition.payback", "acquisition.ltv_cac", "engagement.silent_payers",
                             "nps.response_rate", "metrics.first_leak"}  # fmt: skip
    assert all(found[id]["compare"] is not None for id in compared)
    assert all(found[id]["target"] for id in ("mrr.total", "churn.monthly", "nps.score", "customers.paying"))


def test_what_it_says_is_what_a_count_by_hand_says(found, demo):
    at = "timestamp '2026-11-01'"
    paying = f"""from {{subscriptions}} s join {{customers}} c using (customer_id)
        where not c.is_test and s.started_at < {at} and (s.ended_at is null or s.ended_at >= {at})
        and (s.status = 'active' or (s.status = 'past_due' and {at}::date - s.started_at::date <= 30))
        and s.unit_amount_minor * s.quantity > s.discount_minor"""
    ((customers,),) = ask(demo, "select count(distinct customer_id) " + paying)
    assert found["customers.paying"]["value"] == customers
    rows = ask(
        demo,
        """select s.currency, sum(floor((unit_amount_minor * quantity - discount_minor)
        * case billing_interval when 'year' then 1 else 12 end / (12.0 * billing_interval_count) + 0.5)) """
        + paying + " group by 1",
    )  # fmt: skip
    (usd,) = ask(demo, "select rate from {fx_rates} where currency = 'USD' order by date desc limit 1")[0]
    assert found["mrr.total"]["value"] == round(sum(a * (usd if c == "USD" else 1) for c, a in rows))


def test_findings_contain_the_truth_of_the_demo_company(found, outcome, demo, truth):
    trials = truth["trials"]
    conversions = [trials[kind]["conversion"] for kind in ("7_days", "14_days")]
    assert found["trials.conversion"]["low"] <= max(conversions)
    assert found["trials.conversion"]["high"] >= min(conversions)
    # Spend of the last year over the customers of the last year, against all years' spend a customer.
    channels = pd.read_csv(outcome.exports / "metrics_channels.csv").set_index("channel")
    for name, told in truth["acquisition"].items():
        if isinstance(told, dict) and told.get("spend_minor", 0) > 0:
            per_customer = told["cac_minor"]
            assert channels.loc[name, "cac"] == pytest.approx(per_customer, rel=0.15), name
    # Of annual contracts at their first renewal 1 - S(12) go; at later ones fewer do.
    annual = truth["survival"]["Annual"]
    assert 1 - annual[23] / annual[11] < found["churn.at_renewal"]["value"] < 1 - annual[11] + 0.02
    score = ask(
        demo,
        """select 100.0 * (count(*) filter (where score >= 9) - count(*) filter (where score <= 6)) / count(*)
        from {surveys} where survey = 'nps' and score is not null and sent_at >= timestamp '2026-10-01'""",
    )[0][0]
    assert found["nps.score"]["value"] == pytest.approx(float(score), abs=1.5)
    assert found["nps.score"]["low"] <= truth["nps"]["who_answered"] <= found["nps.score"]["high"]


def test_what_is_not_there_is_left_out_and_what_was_published_is_compared(run, demo, tmp_path):
    for name in ("customers", "subscriptions"):
        # An extract in the middle of a month, with nothing but what is required, in one currency.
        rows = "where currency = 'EUR'" if name == "subscriptions" else ""
        duckdb.sql(f"copy (from '{demo}/{name}.parquet' {rows}) to '{tmp_path}/{name}.parquet'")
    # What an earlier run would have published, with less new revenue in a month that was over.
    source = tenure.open_source(tmp_path)
    moved = tenure.collect(revenue.mrr_movements(source, as_of=dt.date(2026, 8, 19)))
    book = movements.ledger(moved, currency="EUR", until=2026 * 12 + 7)
    past = movements.history(book, as_of=dt.date(2026, 8, 19), policy=tenure.MetricPolicy().digest())
    assert {"2026-07", "2026-08"} <= set(past["month"])
    row = past.index[(past["month"] == "2026-03") & (past["kind"] == "new")][0]
    past.loc[row, "amount_minor"] -= 12_345
    past.to_csv(tmp_path / "metrics_history.csv", index=False)
    outcome = run(
        NAME,
        data=str(tmp_path),
        as_of="2026-08-19",
        by="channel",
        largest=3,
        compare_with="tenure",
        previous=str(tmp_path),
    )
    found = findings(outcome)
    assert found["mrr.total"]["unit"] == "money:EUR"
    assert "Jul 2026" in found["mrr.total"]["sentence"]
    assert not {id for id in found if id.split(".")[0] in ("acquisition", "engagement", "nps")}
    words = said(outcome)
    for sentence in (
        "no table of spend",
        "no table of events",
        "Nobody was asked",
        "is partial",
        "The largest movements",
        "Past months that read otherwise",
        "2026-03",
        "added, changed or removed",
    ):
        assert sentence in words, sentence
    exported = pd.read_csv(outcome.exports / "metrics_history.csv", keep_default_na=False)
    assert (exported["amount_minor"] != past["amount_minor"]).sum() == 1


def test_a_young_company_gets_what_can_be_said(run, demo, tmp_path):
    duckdb.sql(f"copy (from '{demo}/customers.parquet') to '{tmp_path}/customers.parquet'")
    duckdb.sql(
        f"copy (from '{demo}/subscriptions.parquet' where started_at < timestamp '2024-01-15' "
        f"and currency = 'EUR') to '{tmp_path}/subscriptions.parquet'"
    )
    outcome = run(NAME, data=str(tmp_path), as_of="2024-01-14", by="", compare_with="tenure")
    found = findings(outcome)
    assert found["mrr.total"]["value"] > 0
    assert "mrr.gross_retention" not in found
    assert "Nobody paid a year ago" in said(outcome)
    assert "No earlier run has published" in said(outcome)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"bye": "channel"}, ["`bye`", "did you mean `by`"]),
        ({"policy": "stripe"}, ["`policy`", "stripe_like"]),
        ({"by": "chanel"}, ["'chanel'", "did you mean 'channel'"]),
        ({"gross_margin": 75.0}, ["`gross_margin`", "75"]),
        ({"currency": "GBP"}, ["GBP", "EUR"]),
        ({"reporting_currency": "GBP"}, ["GBP", "fx_rates"]),
        ({"previous": "data"}, ["metrics_history.csv"]),
        ({"as_of": "2019-01-01"}, ["2019-01-01", "before the data"]),
    ],
)
def test_a_bad_parameter_gets_one_sentence(run, demo, parameters, words):
    outcome = run(NAME, **parameters)
    assert outcome.state == "failed"
    assert all(word in outcome.reason for word in words), outcome.reason
    assert "\n" not in outcome.reason


def test_a_snapshot_without_dates_is_not_applicable(run):
    telco = project_root().parent / "shared" / "data" / "telco" / "Telco-Customer-Churn.csv"
    if not telco.is_file():
        pytest.skip("The telco data is not there.")
    outcome = run(NAME, data=str(telco), mapping="data/mappings/telco.yml")
    assert outcome.state == "not_applicable"
    assert "real dates" in outcome.reason
