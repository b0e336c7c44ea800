"""The ledger of revenue: that it adds up, in one currency, under two policies, and over time."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from tenure.errors import InputError, NotApplicable
from tenure.models import movements

COLUMNS = [
    "month",
    "currency",
    "group",
    "kind",
    "reason",
    "amount_minor",
    "customers",
    "logos",
    "n",
    "squares",
]


def moved(*rows):
    full = [
        (month, currency, group, kind, reason, amount, heads, heads, max(abs(heads), 1), float(amount) ** 2)
        for month, currency, group, kind, reason, amount, heads in rows
    ]
    return pd.DataFrame(full, columns=COLUMNS)


def simple():
    return moved(
        (24320, "EUR", "all", "new", "", 3000, 3),
        (24320, "USD", "all", "new", "", 1000, 1),
        (24321, "EUR", "all", "expansion", "plan_change", 500, 0),
        (24321, "EUR", "all", "churn", "involuntary", -1000, -1),
        (24321, "USD", "all", "churn", "voluntary", -1000, -1),
        (24321, "USD", "all", "new", "", 2001, 2),
    )


def stood(frame):
    """Balances of every month, currency and group, by adding up row by row."""
    rows = []
    for month in (24320, 24321):
        for (currency, group), part in frame[frame["month"] <= month].groupby(["currency", "group"]):
            rows.append((month, currency, group, part["amount_minor"].sum(), part["customers"].sum()))
    return pd.DataFrame(rows, columns=["month", "currency", "group", "mrr_minor", "customers"])


def test_the_identity_is_a_gate_to_the_minor_unit():
    frame = simple()
    heads = pd.DataFrame({"month": [24320, 24321], "customers": [4, 4]})
    found = movements.check_identity(frame, stood(frame), heads)
    assert (found.months, found.cells, found.customers) == (2, 4, 4)
    for column, off in (("mrr_minor", 1), ("customers", -1)):
        wrong = stood(frame)
        wrong.loc[wrong.index[-1], column] += off
        with pytest.raises(movements.IdentityError, match=r"2026-10.*'all' in USD") as caught:
            movements.check_identity(frame, wrong)
        assert "\n" not in str(caught.value)
    with pytest.raises(movements.IdentityError, match="5 customers"):
        movements.check_identity(frame, stood(frame), heads.assign(customers=[4, 5]))
    more = pd.concat([stood(frame), stood(frame).assign(group="ghost")])
    with pytest.raises(movements.IdentityError, match="no movement ever led to"):
        movements.check_identity(frame, more)


def test_the_smallest_example_is_shown_and_asked_for_only_then():
    frame = simple()
    calls = []

    def example():
        calls.append(1)
        return pd.DataFrame(
            {"customer_id": ["c7"], "month": [24321], "balance_minor": [5], "moved_minor": [4]}
        )

    movements.check_identity(frame, stood(frame), example=example)
    assert not calls
    wrong = stood(frame).assign(mrr_minor=lambda t: t["mrr_minor"] + 1)
    with pytest.raises(movements.IdentityError, match="customer c7 in 2026-10: the balance changes by 5"):
        movements.check_identity(frame, wrong, example=example)


def test_exchange_rates_are_a_line_of_their_own_and_the_rest_is_what_customers_did():
    rates = pd.DataFrame(
        {"currency": ["EUR", "EUR", "USD", "USD"], "month": [24320, 24321] * 2, "rate": [1, 1, 0.9, 0.8]}
    )
    book = movements.ledger(simple(), rates, currency="EUR", until=24321)
    flow = movements.roll_forward(book)
    october = flow.loc[24321]
    assert flow.loc[24320, "closing"] == 3000 + 900
    assert october["closing"] == round(2500 + 2001 * 0.8)
    # Customers' movements are valued at September's rate.
    assert october["new"] == round(2001 * 0.9)
    assert october["churn"] == -1000 - 900
    kinds = list(movements.KINDS)
    assert (flow["opening"] + flow[kinds].sum(axis=1) == flow["closing"]).all()
    assert october["fx"] == october["closing"] - october["opening"] - october[kinds[:-1]].sum()
    assert abs(october["fx"] - 2001 * (0.8 - 0.9)) < 2
    # In US dollars the same business: all rates are turned round.
    dollars = movements.roll_forward(movements.ledger(simple(), rates, currency="USD", until=24321))
    assert dollars.loc[24321, "closing"] == round(2500 / 0.8 + 2001)


def test_rates_that_are_missing_keep_the_last_one_and_an_unknown_currency_is_refused():
    rates = pd.DataFrame({"currency": ["USD"], "month": [24318], "rate": [0.9]})
    table = movements.rate_table(rates, ["EUR", "USD"], "EUR", range(24317, 24322))
    assert table["USD"].tolist() == [0.9] * 5
    with pytest.raises(InputError, match=r"USD and no exchange rate.*currency='USD'"):
        movements.ledger(simple(), None, currency="EUR", until=24321)
    known = pd.DataFrame({"currency": ["EUR", "USD"], "month": 24320, "rate": [1.0, 0.9]})
    with pytest.raises(InputError, match="no exchange rate of GBP to EUR"):
        movements.ledger(simple(), known, currency="GBP", until=24321)
    with pytest.raises(NotApplicable, match="nobody ever paid"):
        movements.ledger(simple()[:0], None, currency="EUR", until=24321)


def test_the_month_that_runs_is_known():
    assert movements.complete_month(dt.date(2026, 10, 31)) == 24321
    assert movements.complete_month(dt.date(2026, 10, 30)) == 24320
    assert movements.is_running(dt.date(2024, 2, 28))
    assert not movements.is_running(dt.date(2024, 2, 29))


def test_the_rates_of_a_month():
    book = movements.ledger(simple().query("currency == 'EUR'"), currency="EUR", until=24322)
    flow = movements.roll_forward(book)
    october = movements.month_metrics(flow, 24321)
    assert october["logo_churn"].value == pytest.approx(1 / 3)
    assert october["logo_churn"].n == 3
    assert october["mrr_churn"].value == pytest.approx(1000 / 3000)
    assert october["quick_ratio"].value == pytest.approx(0.5)
    assert october["net_new"].value == -500
    # None at the start of the first month: not available, never 0.
    assert np.isnan(movements.month_metrics(flow, 24320)["logo_churn"].value)
    assert np.isnan(movements.month_metrics(flow, 24322)["quick_ratio"].value)
    assert np.isnan(movements.month_metrics(flow, 20000)["mrr"].value)
    both = movements.month_metrics(flow, 24320, churn_base="start_and_new")
    assert both["logo_churn"].value == 0
    assert movements.waterfall_rows(flow, [24320, 24321])["amount"].tolist() == [0, 3000, 500, -1000, 2500]


def test_causes_add_up_to_logo_churn_and_what_is_unknown_stays_unknown():
    frame = moved(
        (24320, "EUR", "all", "new", "", 9000, 9),
        (24321, "EUR", "all", "churn", "involuntary", -1000, -1),
        (24321, "EUR", "all", "churn", "voluntary", -2000, -2),
        (24321, "EUR", "all", "churn", "unknown", -1000, -1),
    )
    book = movements.ledger(frame, currency="EUR", until=24321)
    flow = movements.roll_forward(book)
    parts = movements.churn_by_cause(flow, book, 24321)
    assert {cause: found.value * 9 for cause, found in parts.items()} == pytest.approx(
        {"voluntary": 2, "involuntary": 1, "unknown": 1}
    )
    assert sum(found.value for found in parts.values()) == pytest.approx(
        movements.month_metrics(flow, 24321)["logo_churn"].value
    )
    assert all(np.isnan(found.value) for found in movements.churn_by_cause(flow, book, 24320).values())


def test_lines_beside_revenue_are_counted_and_nothing_is_not_zero():
    rows = [("mrr", 900, 3), ("leaving", 200, 1), ("past_due", 100, 1), ("trial", 50, 2)]
    lines = pd.DataFrame(rows, columns=["line", "amount_minor", "customers"]).assign(currency="USD")
    lines = movements.lines_in(lines, {"USD": 2.0})
    assert movements.counted_line(lines, "committed").value == 1400
    assert movements.counted_line(lines, "trial").n == 2
    table = movements.line_table(lines).set_index("line")
    assert table.loc["committed revenue", "amount"] == 1400
    assert table.loc["paused", ["amount", "counted"]].tolist() == [0, "no"]
    assert np.isnan(
        movements.counted_line(
            movements.lines_in(lines.iloc[:0].reset_index().assign(amount_minor=0, currency="EUR")),
            "committed",
        ).value
    )


def test_groups_fold_and_what_they_swap_adds_up_to_nothing():
    frame = moved(
        (1, "EUR", "a", "new", "", 90, 9),
        (1, "EUR", "b", "new", "", 10, 1),
        (2, "EUR", "a", "transfer", "", -10, -1),
        (2, "EUR", "b", "transfer", "", 10, 1),
    )
    table = movements.group_table(movements.ledger(frame, currency="EUR", until=2), 2).set_index("group")
    assert table["transfer"].tolist() == [-10, 10]
    assert table["closing"].tolist() == [80, 20]
    folded = movements.fold_groups(frame, min_group=5)
    assert set(folded["group"]) == {"a", "other"}
    assert folded["amount_minor"].sum() == frame["amount_minor"].sum()
    assert set(movements.fold_groups(frame, min_group=1, most=1)["group"]) == {"a", "other"}
    assert movements.furthest_apart(table.reset_index()) is None


def test_a_restatement_lists_what_changed_and_why_it_may_have():
    book = movements.ledger(simple().query("currency == 'EUR'"), currency="EUR", until=24321)
    past = movements.history(book, as_of=dt.date(2026, 10, 31), policy="abc")
    assert movements.restatement(past, past, grace_days=30, policy="abc").empty
    assert movements.restatement(None, past, grace_days=30, policy="abc").empty
    later = past.copy()
    later.loc[later["kind"] == "churn", "amount_minor"] = -1500
    later.loc[(later["kind"] == "new"), "amount_minor"] += 5
    found = movements.restatement(past, later, grace_days=30, policy="abc").set_index("kind")
    assert found.loc["churn", ["published", "now", "change"]].tolist() == [-1000, -1500, -500]
    assert "past due" in found.loc["churn", "why"]
    assert "added, changed or removed" in found.loc["new", "why"]
    assert set(movements.restatement(past, later, grace_days=30, policy="x")["why"]) == {
        "the policy has changed since"
    }
    # A month that still ran when it was published may grow.
    running = past.assign(as_of="2026-10-15")
    months = movements.restatement(running, later, grace_days=30, policy="abc")["month"]
    assert "2026-10" not in set(months)
    with pytest.raises(InputError, match="has no column policy"):
        movements.restatement(past.drop(columns="policy"), past, grace_days=30, policy="abc")


def test_renewals_losses_and_targets():
    due = pd.DataFrame(
        {"month": [1, 13, 13, 14], "billing": ["1 year", "1 year", "3 month", "1 year"],
         "due": [10, 20, 50, 0], "lost": [4, 10, 9, 0]}
    )  # fmt: skip
    found = movements.renewal_rates(due, 13)
    assert list(found) == ["1 year", "3 months"]
    assert [e.value for e in found["1 year"]] == [0.5, 0.4]
    book = movements.ledger(simple().query("currency == 'EUR'"), currency="EUR", until=24321)
    leaks = movements.leaks(book, [24320, 24321], churn=0.0)
    assert leaks["loss"].tolist() == ["failed payments"]
    assert leaks["monthly"].tolist() == [500]
    assert leaks["worth"].tolist() == [pytest.approx(500 * 0.1 * 78)]
    goals = pd.DataFrame({"metric": ["a"], "period": ["2025"], "target": [1.0]})
    assert movements.targets_of(goals, 24321) == {}
    assert movements.targets_of(None, 24321) == {}


def test_the_reporting_currency_is_the_one_of_the_rates_or_of_most_revenue():
    frame = simple()
    assert movements.reporting_currency(frame) == "EUR"
    rates = pd.DataFrame({"currency": ["EUR", "USD"], "rate": [1.1, 1.0]})
    assert movements.reporting_currency(frame, rates) == "USD"
    assert movements.reporting_currency(frame, rates, wanted="EUR") == "EUR"
    assert movements.rates_at(rates.assign(month=1), ["EUR", "EUR", "USD"], "USD", 1) == {
        "EUR": 1.1,
        "USD": 1.0,
    }
