"""Customers who come back, counted by hand: when, who was asked, who could be, and at which price."""

from __future__ import annotations

import datetime as dt

import ibis
import pandas as pd
import pytest

from measures.test_campaigns import contact
from measures.test_subscriptions import span
from measures.test_subscriptions import tables as tables_of
from tenure import collect
from tenure.economics import Economics
from tenure.measures import campaigns, returns, subscriptions
from tenure.measures.spans import instead

AS_OF = dt.date(2024, 6, 30)
CONTACT = dt.date(2024, 4, 1)


def day(month, number, year=2024):
    return dt.date(year, month, number)


def left(number, customer, end, reason="voluntary", **rest):
    return span(number, customer, day(1, 1), end, reason, **rest)


SPANS = [
    left("1", "by itself", day(2, 1)),
    span("2", "by itself", day(3, 2), unit_amount_minor=500, plan="Extra"),
    left("3", "within the gap", day(2, 1)),
    span("4", "within the gap", day(2, 2)),
    left("5", "repaid", day(2, 1), None),
    span("5", "repaid", day(2, 1), day(2, 11), status="past_due"),
    span("5", "repaid", day(2, 11)),
    left("6", "away", day(3, 1), "involuntary", unit_amount_minor=2000, currency="USD"),
    left("7", "asked", day(2, 1)),
    span("8", "asked", day(4, 10), day(5, 10), "voluntary", unit_amount_minor=1500, discount_minor=750),
    left("9", "held out", day(2, 1)),
    span("10", "held out", day(4, 10)),
    left("11", "left yesterday", day(3, 31)),
    left("12", "may yet pay", day(3, 20), "involuntary"),
    left("13", "left lately", day(3, 20)),
    left("14", "comes late", day(2, 1)),
    span("15", "comes late", day(6, 1)),
    span("16", "stays", day(1, 1)),
    left("17", "may go on", day(6, 30), None),
    left("18", "a gift", day(3, 1), "expired"),
]
PEOPLE = sorted({row["customer_id"] for row in SPANS})
CONTACTS = [
    contact(who, "control" if who == "held out" else "treatment", "back", CONTACT, cost_minor=35 * asked,
            incentive_minor=800 * asked)
    for who in PEOPLE if who not in ("by itself", "away", "a gift", "may go on")
    for asked in [int(who != "held out")]
]  # fmt: skip


@pytest.fixture(scope="module")
def source():
    return instead(tables_of(SPANS), {"contacts": ibis.memtable(pd.DataFrame(CONTACTS))})


@pytest.fixture(scope="module")
def units(source):
    return campaigns.units(source, as_of=AS_OF, horizon_days=60, left=True, rates={"EUR": 1.0, "USD": 0.5})


def test_the_clock_runs_from_the_end_until_the_return_or_the_day_before_the_contact(source):
    found = collect(returns.durations(source, ["cause"], as_of=AS_OF))
    assert found[["cause", "exit", "event", "n"]].to_numpy().tolist() == [
        ["involuntary", 11, 0, 1],  # may yet pay: until the contact
        ["involuntary", 121, 0, 1],  # away: from 1 March to the last day
        ["voluntary", 11, 0, 1],  # left lately
        ["voluntary", 30, 1, 1],  # by itself
        ["voluntary", 59, 0, 3],  # in the campaign, held out or not: what came after it does not count
    ]


def test_the_life_table_counts_each_group(source):
    found = collect(returns.life_table(source, ["how_long"], as_of=AS_OF))
    whole = found[found["by"] == ""]
    assert whole[["period", "at_risk", "returned", "censored"]].to_numpy().tolist() == [
        [11, 7, 0, 2], [30, 5, 1, 0], [59, 4, 0, 3], [121, 1, 0, 1],
    ]  # fmt: skip
    assert set(found.loc[found["by"] == "how_long", "group"]) == {"up to 3 months"}
    alone = collect(returns.life_table({k: source[k] for k in ("customers", "subscriptions")}, as_of=AS_OF))
    # Without contacts all who are back came by themselves.
    assert alone["returned"].sum() == 4


def test_who_may_yet_go_on_or_is_paying_is_not_eligible(units):
    rows = collect(units).set_index("customer_id")
    assert rows["eligible"].to_dict() == {
        "asked": 1, "comes late": 1, "held out": 1, "left lately": 1, "left yesterday": 0, "may yet pay": 0,
        "repaid": 0, "stays": 0, "within the gap": 0,
    }  # fmt: skip
    columns = ["away", "days_since_end", "cause", "tenure_days", "monthly", "kept", "paid_days"]
    assert rows.loc["asked", columns].tolist() == [60, "31-90", "voluntary", 31, 1000, 1, 30]
    assert rows.loc["held out", columns].tolist() == [60, "31-90", "voluntary", 31, 1000, 1, 51]
    assert rows.loc["left lately", columns].tolist() == [12, "0-30", "voluntary", 79, 1000, 0, 0]
    # Back after the sixty days, on the sixty-first: 1 June.
    assert rows.loc["comes late", "kept"] == 0


def test_worth_counts_from_the_return_and_an_incentive_goes_to_who_comes_back(source, units):
    facts = Economics(margin=0.5)
    rows = campaigns.compared(source, units, "back", ["cause", "days_since_end", "channel"])
    found = collect(campaigns.with_profit(rows, facts, "EUR", 10.0, again=0.8)).set_index("customer_id")
    assert found["worth"].unique().tolist() == [4000]
    assert found["spent"].to_dict() == {"asked": 835, "comes late": 35, "held out": 0, "left lately": 35}
    assert found["profit"].to_dict() == {
        "asked": 3165, "comes late": -35, "held out": 4000, "left lately": -35,
    }  # fmt: skip
    assert found[["channel", "how_long"]].drop_duplicates().to_numpy().tolist() == [["web", "0"]]


def test_those_who_are_gone_today_can_be_asked_if_they_were_not_lately(source):
    rates = {"EUR": 1.0, "USD": 0.5}
    found = collect(returns.gone(source, ["cause"], as_of=AS_OF, horizon_days=60, rates=rates))
    found = found.set_index("customer_id")
    assert found["away"].to_dict() == {
        "a gift": 122, "asked": 52, "away": 122, "left lately": 103, "left yesterday": 92, "may yet pay": 103,
    }  # fmt: skip
    assert found.loc["away", ["cause", "monthly"]].tolist() == ["involuntary", 1000]
    # Ninety-one days before tomorrow they were asked.
    rested = collect(returns.gone(source, as_of=AS_OF, horizon_days=92, rates=rates))
    assert set(rested["customer_id"]) == {"away", "a gift"}


def test_prices_are_compared_of_the_same_customers(source):
    """1,000 each before; then 500 without a discount, 1,500 before half of it is taken off, and 1,000 twice."""
    row = collect(returns.prices(source, as_of=AS_OF, rates={"EUR": 1.0, "USD": 0.5})).iloc[0]
    assert row[["customers", "then", "now"]].tolist() == [4, 4000, 4000]
    assert row[["squares_then", "squares_now", "product"]].tolist() == [4e6, 0.25e6 + 2.25e6 + 2e6, 4e6]


def test_second_spells_are_counted_as_first_ones_are(source):
    found = collect(subscriptions.life_table(source, as_of=AS_OF, spell=2))
    assert found[["period", "at_risk", "events", "censored"]].to_numpy().tolist() == [
        [1, 4, 1, 1], [2, 2, 0, 1], [3, 1, 0, 1],
    ]  # fmt: skip
    counts = collect(subscriptions.duration_counts(source, ["plan"], as_of=AS_OF, spell=2))
    assert counts.groupby("plan")["n"].sum().to_dict() == {"Basic": 3, "Extra": 1}


def test_the_order_of_rows_does_not_matter(source):
    """Spans and contacts backwards, and twice the same question."""
    back = instead(tables_of(SPANS[::-1]), {"contacts": ibis.memtable(pd.DataFrame(CONTACTS[::-1]))})
    rates = {"EUR": 1.0, "USD": 0.5}
    for ask in (
        lambda s: returns.durations(s, ["cause", "plan"], as_of=AS_OF),
        lambda s: returns.gone(s, ["cause"], as_of=AS_OF, rates=rates).drop("how_much"),
        lambda s: returns.prices(s, as_of=AS_OF, rates=rates),
        lambda s: campaigns.overview(campaigns.units(s, as_of=AS_OF, horizon_days=60, left=True)),
    ):
        pd.testing.assert_frame_equal(collect(ask(source)), collect(ask(back)))


def test_where_nobody_came_back_there_are_no_prices():
    source = tables_of([left("1", "away", day(2, 1))])
    row = collect(returns.prices(source, as_of=AS_OF, rates={"EUR": 1.0})).iloc[0]
    assert (row["customers"], row["then"]) == (0, 0)
    assert collect(returns.life_table(source, as_of=AS_OF))["events"].sum() == 0
