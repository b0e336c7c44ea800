"""What a notebook asks of its engine is counted, and tables that several measures share are made once."""

from __future__ import annotations

import datetime as dt
import json

import pandas as pd
import pytest

import tenure
from tenure import MetricPolicy
from tenure.measures import revenue, subscriptions
from tenure.sources import counters
from tenure.sources.checks import check

DAY = dt.date(2026, 5, 31)


@pytest.fixture
def source(tmp_path):
    began = pd.to_datetime(["2026-01-10", "2026-02-20"])
    people = pd.DataFrame({"customer_id": ["a", "b"], "created_at": began})
    spans = people.assign(
        subscription_id=["a", "b"], plan="A", billing_interval="month", unit_amount_minor=1000, currency="EUR",
        status="active", started_at=began, ended_at=pd.to_datetime([None, "2026-04-01"]),
    ).drop(columns="created_at")  # fmt: skip
    people.to_parquet(tmp_path / "customers.parquet")
    spans.to_parquet(tmp_path / "subscriptions.parquet")
    return tenure.open_source(tmp_path)


def test_queries_rows_and_seconds_are_counted_and_written_down(source, tmp_path, monkeypatch):
    monkeypatch.setenv("TENURE_COUNTERS", str(tmp_path / "counters.json"))
    before = counters()
    moved = tenure.collect(revenue.mrr_movements(source, as_of=DAY))
    tenure.collect(revenue.mrr_balances(source, as_of=DAY))
    after = counters()
    # One for each measure, one for what few companies have, and one whether anybody pays nothing for a while.
    assert after["queries"] - before["queries"] == 4
    assert after["rows"] - before["rows"] >= len(moved) == 3
    assert all(after[what] > before[what] for what in ("building", "compiling", "running"))
    assert json.loads((tmp_path / "counters.json").read_text()) == after


def test_queries_of_checks_are_counted_apart(source):
    before = counters()
    check(source)
    after = counters()
    assert after["queries"] == before["queries"]
    assert after["checks"] > before["checks"]


def test_measures_share_what_is_settled(source):
    for measure in (revenue.mrr_movements, revenue.mrr_balances, revenue.renewals, revenue.revenue_cohorts):
        tenure.collect(measure(source, as_of=DAY))
    settled = counters()["settled"]
    tenure.collect(revenue.customers_by_month(source, as_of=DAY))
    tenure.collect(subscriptions.life_table(source, as_of=DAY))
    tenure.collect(subscriptions.new_customers(source, since=DAY, as_of=DAY))
    # The ledger is there already, of which spells are made; they are settled for the first to ask.
    assert counters()["settled"] == settled + 1
    tenure.collect(subscriptions.churned_value(source, as_of=DAY))
    assert counters()["settled"] == settled + 1


def test_reports_of_a_run_share_what_is_settled_of_the_same_data(source, tmp_path, monkeypatch):
    def asked(source, **options):
        return [tenure.collect(measure(source, as_of=DAY, **options)) for measure in measures]

    def stored():
        return set(shared.glob("*.parquet"))

    measures = revenue.mrr_movements, subscriptions.life_table
    alone, shared = asked(source), tmp_path / "shared"
    assert not stored()
    monkeypatch.setenv("TENURE_SHARED", str(shared))
    folder = tmp_path / source.url
    for _ in range(2):  # the first writes it down, the second reads it
        for told, expected in zip(asked(tenure.open_source(folder)), alone, strict=True):
            pd.testing.assert_frame_equal(told, expected)
        first = stored()
    assert first
    assert {file.suffix for file in shared.iterdir()} == {".parquet", ".lock"}
    # Of some customers, and by another policy, it is other time.
    some = tenure.open_source(folder)
    some = some.instead({"subscriptions": some["subscriptions"].filter(lambda rows: rows.customer_id == "b")})
    movements, _ = asked(some)
    assert movements["customers"].sum() < alone[0]["customers"].sum()
    assert stored() == first
    asked(tenure.open_source(folder), policy=MetricPolicy(gap_days=90))
    other = stored()
    assert other > first
    # Of data that has changed since, too.
    spans = pd.read_parquet(tmp_path / "subscriptions.parquet")
    spans.assign(unit_amount_minor=2000).to_parquet(tmp_path / "subscriptions.parquet")
    movements, _ = asked(tenure.open_source(folder))
    assert movements["amount_minor"].abs().sum() == 2 * alone[0]["amount_minor"].abs().sum()
    assert stored() > other
