"""What a notebook asks of its engine is counted, and tables that several measures share are made once."""

from __future__ import annotations

import datetime as dt
import json
import os

import pandas as pd
import pytest

import tenure
from tenure import MetricPolicy
from tenure.errors import InputError
from tenure.measures import revenue, subscriptions
from tenure.sources import counters
from tenure.sources.address import Address
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
    # The ledger is there already, of which spells are made; they, and whose need joining up, are settled for
    # the first to ask.
    assert counters()["settled"] == settled + 2
    tenure.collect(subscriptions.churned_value(source, as_of=DAY))
    assert counters()["settled"] == settled + 2


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


def test_what_is_shared_is_of_this_company_alone(source, tmp_path, monkeypatch):
    """Two companies whose files have the same names, sizes and times, as links to tables that lie elsewhere."""
    monkeypatch.setenv("TENURE_SHARED", str(tmp_path / "shared"))
    totals = []
    for name, price in {"acme": 999, "bolt": 555}.items():
        tables, company = tmp_path / "lake" / name, tmp_path / name
        company.mkdir()
        for table in ("customers", "subscriptions"):
            (tables / table).mkdir(parents=True)
            rows = pd.read_parquet(tmp_path / f"{table}.parquet")
            rows = rows.assign(unit_amount_minor=price) if table == "subscriptions" else rows
            rows.to_csv(tables / table / "rows.csv", index=False)
            os.utime(tables / table / "rows.csv", (1.7e9, 1.7e9))
            (company / table).symlink_to(tables / table)
        totals.append(tenure.collect(revenue.mrr_movements(tenure.open_source(company), as_of=DAY)))
    acme, bolt = (rows.loc[rows["kind"] == "new", "amount_minor"].sum() for rows in totals)
    assert (acme, bolt) == (2 * 999, 2 * 555)
    before = tenure.open_source(tmp_path / "acme").mark
    os.utime(tmp_path / "lake" / "acme" / "customers" / "rows.csv", (1.8e9, 1.8e9))
    assert tenure.open_source(tmp_path / "acme").mark != before


def test_a_report_does_without_what_cannot_be_shared(source, tmp_path, monkeypatch):
    alone = tenure.collect(revenue.mrr_movements(source, as_of=DAY))
    (tmp_path / "file").touch()
    monkeypatch.setenv("TENURE_SHARED", str(tmp_path / "file"))
    own = tenure.open_source(tmp_path / source.url)
    pd.testing.assert_frame_equal(tenure.collect(revenue.mrr_movements(own, as_of=DAY)), alone)
    monkeypatch.setenv("TENURE_SHARED", str(tmp_path / "shared"))
    monkeypatch.setattr("tenure.sources.connect.save", no_room)
    own = tenure.open_source(tmp_path / source.url)
    pd.testing.assert_frame_equal(tenure.collect(revenue.mrr_movements(own, as_of=DAY)), alone)
    assert not list((tmp_path / "shared").glob("*.parquet"))


def no_room(*_):
    raise InputError("There is no room.")


def test_files_that_change_while_they_are_read_have_no_mark(source, tmp_path, monkeypatch):
    kept = Address.mark
    marks = iter(["before", "after"])
    monkeypatch.setattr(Address, "mark", lambda _: next(marks))
    assert tenure.open_source(tmp_path / source.url).mark is None
    monkeypatch.setattr(Address, "mark", kept)
    assert tenure.open_source(tmp_path / source.url).mark == source.mark
