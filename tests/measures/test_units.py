"""A life is a customer's, an account's or a subscription's: the tables are told anew by it."""

from __future__ import annotations

import datetime as dt

import ibis
import pandas as pd

from measures.test_subscriptions import add_months, span
from measures.test_subscriptions import tables as tables_of
from tenure.measures import revenue, subscriptions
from tenure.measures.units import by_unit
from tenure.policy import Gaps, MetricPolicy

CUSTOMERS = {
    "customer_id": ["a", "b", "c", "d", "e"], "parent_id": ["", "a", "b", "d", "nobody"], "country": ["IT"] * 5,
}  # fmt: skip
SPANS = {
    "subscription_id": ["1", "1", "2", "3", "4"], "customer_id": ["a", "a", "c", "c", "d"],
    "started_at": [dt.date(2024, 1, 1), dt.date(2024, 2, 1), *(dt.date(2024, 1, day) for day in (5, 4, 1))],
    "ended_at": [dt.date(2024, 2, 1), dt.date(2024, 3, 1), None, None, None],
    "plan": ["Plus"] * 5, "billing_interval": ["month"] * 5, "billing_interval_count": [1] * 5,
}  # fmt: skip
PAID = {"customer_id": ["a", "c", "c"], "subscription_id": ["1", "2", None], "amount_minor": [1, 2, 3]}
SEEN = {"customer_id": ["a", "c"], "event": ["play", "play"]}
VISITS = {"visitor_id": ["v"], "customer_id": ["c"]}


def tables():
    rows = {
        "customers": CUSTOMERS,
        "subscriptions": SPANS,
        "payments": PAID,
        "events": SEEN,
        "visits": VISITS,
    }
    return {name: ibis.memtable(columns) for name, columns in rows.items()}


def of(table, *columns):
    return sorted(table.select(columns).execute().itertuples(index=False, name=None))


def test_an_account_is_the_top_parent_with_all_below_it():
    found = by_unit(tables(), "account")
    assert of(found["customers"], "customer_id") == [("a",), ("d",), ("e",)]
    assert of(found["subscriptions"], "subscription_id", "customer_id") == [
        ("1", "a"), ("1", "a"), ("2", "a"), ("3", "a"), ("4", "d"),
    ]  # fmt: skip
    assert of(found["payments"], "customer_id") == [("a",), ("a",), ("a",)]


def test_a_subscription_takes_its_payments_and_the_customers_characteristics():
    found = by_unit(tables(), "subscription")
    assert of(found["customers"], "customer_id", "country") == [(i, "IT") for i in "1234"]
    assert of(found["payments"], "customer_id", "amount_minor") == [("1", 1), ("2", 2)]
    assert of(found["visits"], "visitor_id", "customer_id") == [("v", "3")]
    assert found["events"] is None


def test_a_subscription_goes_on_under_a_new_number_within_the_gap():
    """Renewed the next day, of another plan, after five days, and beside one that is still on."""
    spans = [
        ("1", "Plus", dt.date(2024, 1, 1), dt.date(2024, 2, 1)), ("2", "Plus", dt.date(2024, 2, 2), dt.date(2024, 3, 1)),
        ("3", "Print", dt.date(2024, 3, 1), None), ("4", "Plus", dt.date(2024, 3, 6), None),
        ("5", "Plus", dt.date(2024, 3, 7), None),
    ]  # fmt: skip
    rows = pd.DataFrame(spans, columns=["subscription_id", "plan", "started_at", "ended_at"])
    rows = rows.assign(customer_id="a", billing_interval="month", billing_interval_count=1)
    source = {**tables(), "subscriptions": ibis.memtable(rows)}
    for gaps, lives in ((Gaps(), ["1", "1", "3", "4", "5"]), (Gaps(5, 14), ["1", "1", "3", "1", "5"])):
        found = by_unit(source, "subscription", gaps)
        assert of(found["subscriptions"], "subscription_id", "customer_id") == [(x, x) for x in sorted(lives)]
        assert of(found["customers"], "customer_id") == sorted({(life,) for life in lives})


def test_a_customer_is_the_unit_where_none_is_named():
    assert by_unit(tables(), "customer") == {}


def test_whose_unit_is_the_subscription_renews_under_a_new_number():
    """Three terms back to back, under a policy that judges each subscription: nobody is new or lost in between."""
    starts = [dt.date(2024, 1, 1), dt.date(2024, 4, 1), dt.date(2024, 7, 1)]
    rows = [span(str(n), "a", day, add_months(day, 3), "unknown", billing_interval_count=3)
            for n, day in enumerate(starts)]  # fmt: skip
    source = tables_of(rows)
    told = source.instead(by_unit(source, "subscription"))
    policy = MetricPolicy(unit="subscription")
    moves = revenue.mrr_movements(told, as_of=dt.date(2024, 9, 29), policy=policy).to_pandas()
    assert moves["kind"].tolist() == ["new"]
    assert (
        subscriptions.life_table(told, as_of=dt.date(2024, 9, 29), policy=policy).to_pandas()["events"].sum()
        == 0
    )
