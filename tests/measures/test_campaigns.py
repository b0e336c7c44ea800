"""Campaigns, counted by hand: who was paying, who was kept, for how long, at which price."""

from __future__ import annotations

import datetime as dt

import ibis
import pandas as pd
import pytest

from measures.test_subscriptions import span
from measures.test_subscriptions import tables as tables_of
from tenure import collect
from tenure.economics import Economics
from tenure.measures import campaigns
from tenure.measures.spans import instead
from tenure.periods import DAYS_A_MONTH

AS_OF = dt.date(2024, 6, 30)
CONTACT = dt.date(2024, 3, 1)


def contact(customer, arm="treatment", campaign="stay", at=CONTACT, **more):
    row = {"campaign": campaign, "customer_id": customer, "arm": arm, "contacted_at": pd.Timestamp(at)}
    return {**row, "offer": None, "cost_minor": 0, "incentive_minor": 0, **more}


SPANS = [
    span("1", "stays", dt.date(2023, 12, 2)),
    span("2", "leaves", dt.date(2024, 1, 1), dt.date(2024, 3, 31), "voluntary", unit_amount_minor=3000),
    span("3", "left before", dt.date(2024, 1, 1), dt.date(2024, 2, 1), "voluntary"),
    span("4", "begins on the day", dt.date(2024, 3, 1)),
    span("5", "leaves at the horizon", dt.date(2024, 1, 1), dt.date(2024, 5, 31), "voluntary"),
    span("6", "comes back", dt.date(2024, 1, 1), dt.date(2024, 3, 11), "voluntary"),
    span("7", "comes back", dt.date(2024, 5, 1)),
    span("8", "dear", dt.date(2024, 1, 1), currency="USD"),
    span("9", "dear", dt.date(2024, 2, 1), plan="Extra"),
]  # fmt: skip
CONTACTS = [
    contact("stays", cost_minor=20, incentive_minor=300, offer="tips"),
    contact("leaves", "control"),
    contact("left before"),
    contact("begins on the day"),
    contact("leaves at the horizon", "control", cost_minor=20),
    contact("comes back"),
    contact("dear", "control"),
    contact("leaves", campaign="soon after", at=dt.date(2024, 3, 20)),
    contact("stays", campaign="late", at=dt.date(2024, 5, 1)),
    contact("dear", campaign="tomorrow", at=dt.date(2024, 7, 1)),
]


@pytest.fixture(scope="module")
def source():
    plain = tables_of(SPANS)
    events = pd.DataFrame(
        {
            "customer_id": ["stays", "stays", "leaves"],
            "occurred_at": pd.to_datetime(["2024-02-02", "2024-03-01", "2024-02-29"]),
        }
    )
    return instead(
        plain, {"contacts": ibis.memtable(pd.DataFrame(CONTACTS)), "events": ibis.memtable(events)}
    )


@pytest.fixture(scope="module")
def units(source):
    return campaigns.units(source, as_of=AS_OF, rates={"EUR": 1.0, "USD": 0.5})


@pytest.fixture(scope="module")
def rows(units):
    found = collect(units)
    return found.set_index(["campaign", "customer_id"]).sort_index()


def test_customers_count_who_were_paying_on_the_day_before(rows):
    of = rows.loc["stay"]
    assert of["eligible"].to_dict() == {
        "begins on the day": 0, "comes back": 1, "dear": 1, "leaves": 1, "leaves at the horizon": 1,
        "left before": 0, "stays": 1,
    }  # fmt: skip
    assert of.loc["stays", ["tenure_days", "monthly", "events", "cost", "incentive"]].tolist() == [
        90,
        1000,
        1,
        20,
        300,
    ]
    assert of.loc["leaves", ["tenure_days", "monthly", "events"]].tolist() == [60, 3000, 1]
    # Two subscriptions, one in dollars.
    assert of.loc["dear", "monthly"] == 1500


def test_who_is_paying_on_the_last_day_was_kept(rows):
    """The horizon of 91 days after 1 March is 31 May: who leaves on that day is not paying then."""
    of = rows.loc["stay"]
    assert of["kept"].to_dict() == {
        "begins on the day": 1, "comes back": 1, "dear": 1, "leaves": 0, "leaves at the horizon": 0,
        "left before": 0, "stays": 1,
    }  # fmt: skip
    assert of["paid_days"].to_dict() == {
        "begins on the day": 91, "comes back": 10 + 30, "dear": 91, "leaves": 30, "leaves at the horizon": 91,
        "left before": 0, "stays": 91,
    }  # fmt: skip


def test_leaks_other_campaigns_and_days_that_are_not_over_are_seen(rows):
    assert rows["leaked"].to_dict()["stay", "leaves at the horizon"] == 1
    assert rows["leaked"].sum() == 1
    # One who was held out was reached by another campaign 19 days later.
    assert rows["elsewhere"].to_dict()["stay", "leaves"] == 1
    assert rows.loc["stay", "elsewhere"].sum() == 2
    assert rows["ripe"].groupby("campaign").min().to_dict() == {"late": 0, "soon after": 1, "stay": 1}
    assert "tomorrow" not in rows.index
    assert set(rows["fold"]) <= set(range(5))


def test_arms_are_counted_and_the_eligible_are_compared(source, units):
    found = collect(campaigns.overview(units))
    stay = found[found["campaign"] == "stay"].set_index(["arm", "offer"])
    columns = ["customers", "eligible", "ripe", "kept", "leaked", "free"]
    assert stay.loc[("control", ""), columns].tolist() == [3, 3, 3, 1, 1, 0]
    assert stay.loc[("treatment", ""), columns].tolist() == [3, 1, 1, 1, 0, 1]
    assert stay.loc[("treatment", "tips"), columns].tolist() == [1, 1, 1, 1, 0, 0]
    rows = campaigns.compared(source, units, "stay", ["channel"])
    found = collect(rows).set_index("customer_id")
    assert found["variant"].to_dict() == {
        "comes back": "contacted", "dear": "control", "leaves": "control", "leaves at the horizon": "control",
        "stays": "tips",
    }  # fmt: skip
    assert found["channel"].unique().tolist() == ["web"]
    twice = collect(campaigns.in_segments(rows, ["channel"]))
    assert twice.groupby(["by", "segment"]).size().to_dict() == {("", ""): 5, ("channel", "web"): 5}


def test_profit_is_margin_and_what_the_kept_bring_less_what_was_spent(source, units):
    facts = Economics(margin=0.5, fee_share=0.0, fee_fixed=0.0)
    rows = campaigns.with_profit(campaigns.compared(source, units, "stay"), facts, "EUR", 10.0)
    found = collect(rows).set_index("customer_id")
    stays, leaves = found.loc["stays"], found.loc["leaves"]
    margin = round(91 / DAYS_A_MONTH * 1000 * 0.5)
    assert (stays["worth"], stays["margin"], stays["spent"]) == (5000, margin, 320)
    assert stays["profit"] == margin + 5000 - 320
    assert leaves["profit"] == leaves["margin"] == round(30 / DAYS_A_MONTH * 3000 * 0.5)


def test_campaigns_without_offers_or_events_are_read(source):
    bare = ibis.memtable(pd.DataFrame(CONTACTS).astype({"offer": "string"}))
    plain = instead(tables_of(SPANS), {"contacts": bare})
    found = collect(campaigns.units(plain, as_of=AS_OF))
    assert found["events"].sum() == 0
    assert len(found) == len(CONTACTS) - 1
