"""The truth of small companies, counted by hand."""

from __future__ import annotations

import datetime as dt

from exports.truth import Life, Span, truth_of

DAY = dt.date


def month(start, end=None, price=1000, **more):
    return Span(start, end, price, subscription="s", **more)


def test_a_trial_a_discount_and_a_switch_to_a_year():
    life = Life("a", (
        month(DAY(2025, 1, 20), DAY(2025, 2, 3), status="trialing"),
        month(DAY(2025, 2, 3), DAY(2025, 5, 3), off=250),
        month(DAY(2025, 5, 3), DAY(2025, 6, 1), quantity=3),
        month(DAY(2025, 6, 1), None, price=10_000, interval="year"),
    ))  # fmt: skip
    truth = truth_of([life], DAY(2025, 7, 15))
    assert truth.mrr == {
        ("2025-02", "EUR"): 750, ("2025-03", "EUR"): 750, ("2025-04", "EUR"): 750,
        ("2025-05", "EUR"): 3000, ("2025-06", "EUR"): 833, ("2025-07", "EUR"): 833,
    }  # fmt: skip
    assert (truth.lives, truth.churned, truth.trials) == ({"a": (DAY(2025, 2, 3), None)}, {}, (1, 1))


def test_unpaid_time_counts_if_it_is_paid_within_the_grace():
    paid = Life("paid", (
        month(DAY(2025, 1, 5), DAY(2025, 3, 5)),
        month(DAY(2025, 3, 5), DAY(2025, 4, 2), status="past_due"),
        month(DAY(2025, 4, 2)),
    ))  # fmt: skip
    lost = Life("lost", (
        month(DAY(2025, 1, 5), DAY(2025, 3, 5)),
        month(DAY(2025, 3, 5), DAY(2025, 3, 20), status="past_due", reason="involuntary"),
    ))  # fmt: skip
    owing = Life(
        "owing", (month(DAY(2025, 1, 5), DAY(2025, 4, 5)), month(DAY(2025, 4, 5), status="past_due"))
    )
    truth = truth_of([paid, lost, owing], DAY(2025, 4, 30))
    assert truth.paying == {"2025-01": 3, "2025-02": 3, "2025-03": 2, "2025-04": 2}
    assert truth.churned == {"2025-03": 1}
    assert truth.lives["lost"] == (DAY(2025, 1, 5), DAY(2025, 3, 5))


def test_a_pause_keeps_a_customer_for_90_days_and_a_free_month_in_between_keeps_them_too():
    short = Life("short", (
        month(DAY(2025, 1, 5), DAY(2025, 2, 10)),
        month(DAY(2025, 2, 10), DAY(2025, 4, 10), status="paused"),
        month(DAY(2025, 4, 10)),
    ))  # fmt: skip
    long = Life("long", (month(DAY(2025, 1, 5), DAY(2025, 2, 10)), month(DAY(2025, 2, 10), status="paused")))
    free = Life("free", (
        month(DAY(2025, 1, 5), DAY(2025, 3, 5)), month(DAY(2025, 3, 5), DAY(2025, 4, 5), off=1000), month(DAY(2025, 4, 5)),
    ))  # fmt: skip
    truth = truth_of([short, long, free], DAY(2025, 6, 30))
    assert truth.paying == {"2025-01": 3, "2025-02": 1, "2025-04": 2, "2025-05": 2, "2025-06": 2}
    assert truth.churned == {"2025-05": 1}
    assert truth.lives["long"] == (DAY(2025, 1, 5), DAY(2025, 5, 11))


def test_the_end_is_exclusive_and_a_day_between_two_subscriptions_is_bridged():
    ends = Life("ends", (month(DAY(2025, 1, 1), DAY(2025, 4, 1)),))
    again = Life("again", (
        Span(DAY(2025, 1, 1), DAY(2025, 2, 1), 1000, subscription="x"), Span(DAY(2025, 2, 2), None, 1000, subscription="y"),
    ))  # fmt: skip
    tested = Life("tested", (month(DAY(2025, 1, 1)),), test=True)
    truth = truth_of([ends, again, tested], DAY(2025, 4, 30))
    assert truth.paying == {"2025-01": 2, "2025-02": 2, "2025-03": 2, "2025-04": 1}
    assert truth.churned == {"2025-04": 1}
