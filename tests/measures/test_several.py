"""A workbook asks one question of several days, or under several policies, in one query."""

from __future__ import annotations

import datetime as dt

import pandas as pd
import pytest

import tenure
from tenure.economics import Economics
from tenure.measures import revenue
from tenure.policy import MetricPolicy, stripe_like
from tenure.workbook import Workbook


@pytest.fixture
def book(tmp_path):
    dates = pd.to_datetime(["2026-01-10"] * 2)
    pd.DataFrame({"customer_id": ["a", "b"], "created_at": dates}).to_parquet(tmp_path / "customers.parquet")
    pd.DataFrame(
        {"subscription_id": ["a", "b"], "customer_id": ["a", "b"], "plan": "A", "billing_interval": "month",
         "unit_amount_minor": 1000, "discount_minor": [0, 200], "currency": "EUR", "status": ["active", "past_due"],
         "started_at": pd.to_datetime(["2026-01-10", "2026-03-20"]), "ended_at": pd.to_datetime([None, None])}
    ).to_parquet(tmp_path / "subscriptions.parquet")  # fmt: skip
    last = dt.date(2026, 5, 31)
    return Workbook(
        tenure.open_source(str(tmp_path)), last, {"as_of": last, "policy": MetricPolicy()}, Economics(), 24
    )


def test_several_days_are_each_as_the_data_was_known_then(book):
    days = [dt.date(2026, 5, 31), dt.date(2026, 3, 31)]
    found = book.ask(revenue.customers_by_month, on=days)
    last = found.groupby("on").tail(1).set_index("on")["paying"]
    # In March b was past due within the grace; in May it is known that b never paid.
    assert last.to_dict() == {"2026-05-31": 1, "2026-03-31": 2}
    alone = book.ask(revenue.customers_by_month, as_of=days[1])
    pd.testing.assert_frame_equal(
        found[found["on"] == "2026-03-31"].drop(columns="on").reset_index(drop=True), alone
    )


def test_each_day_of_several_answers_as_if_asked_alone(book):
    days = [dt.date(2026, 5, 31), dt.date(2026, 3, 31)]
    for measure, more in ((revenue.retention_moments, {"back": 1}), (revenue.mrr_movements, {})):
        found = book.ask(measure, on=days, **more)
        assert set(found["on"]) == {str(day) for day in days}
        for day in days:
            rows = found[found["on"] == str(day)].drop(columns="on").reset_index(drop=True)
            pd.testing.assert_frame_equal(rows, book.ask(measure, as_of=day, **more))


def test_several_policies_stand_one_below_the_other(book):
    found = book.ask(revenue.mrr_balances, policies={"tenure": MetricPolicy(), "stripe_like": stripe_like()})
    may = found[found["month"] == 2026 * 12 + 4].set_index("policy")["mrr_minor"]
    assert may.to_dict() == {"tenure": 1000, "stripe_like": 2000}
