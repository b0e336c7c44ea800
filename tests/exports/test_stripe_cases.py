"""What Stripe documents and the made-up export of its API has none of, a few bills each, with what is right by hand."""

from __future__ import annotations

import datetime as dt

import pandas as pd
import pytest

import tenure
from tenure.measures import revenue
from tenure.sources import collect

RECIPE = "data/mappings/recipes/stripe_api.yml"
AS_OF = dt.date(2025, 6, 20)
FREE = {"trial_start": None, "trial_end": None, "canceled_at": None, "ended_at": None}


def seconds(day: dt.date | None) -> int | None:
    return None if day is None else int(pd.Timestamp(day).timestamp()) + 3600


def month(number: int, day: int = 10) -> dt.date:
    return dt.date(2025, number, day)


@pytest.fixture
def opened(tmp_path):
    """Open one customer's subscription with its bills: (price, number of the first month, …)."""

    def open_bills(bills, *, coupon=None, behavior="exclusive", **subscription):
        made = {
            key: seconds(value) if isinstance(value, dt.date) else value
            for key, value in subscription.items()
        }
        over = made.get("ended_at") is not None
        tables = {
            "customer": [{"id": "c", "created": seconds(month(1))}],
            "subscription": [{"id": "s", "customer_id": "c", "status": "canceled" if over else "active", **FREE, **made}],
            "subscription_item": [{"id": "i1", "subscription_id": "s", "price_id": "p1", "quantity": 1}],
            "product": [{"id": "q", "name": "Box"}],
            "price": [
                {"id": f"p{n}", "product_id": "q", "currency": "eur", "unit_amount": amount, "tax_behavior": behavior,
                 "recurring_interval": "month", "recurring_interval_count": 1}
                for n, amount in ((1, 1220), (2, 500))
            ],
            "invoice": [], "invoice_line_item": [],
            "discount": [{"customer_id": "c", "subscription_id": None, "coupon_id": "k", "start": seconds(month(1)), "end": None}],
            "coupon": [{"id": "k", "percent_off": None, "amount_off": coupon, "duration": "forever"}],
        }  # fmt: skip
        for number, (item, first, *more) in enumerate(bills):
            facts = {"status": "paid", "amount": 1220, "total": 1220, "tax": 220, **(more[0] if more else {})}
            days = {"starts": month(first), "ends": month(first + 1), **facts}
            status, began = facts["status"], seconds(days["starts"])
            tables["invoice"].append({
                "id": f"n{number}", "subscription_id": "s", "status": status, "created": began, "total": facts["total"],
                "tax": facts["tax"], "status_transitions_paid_at": began if status == "paid" else None,
            })  # fmt: skip
            tables["invoice_line_item"].append({
                "id": f"l{number}", "invoice_id": f"n{number}", "subscription_id": "s", "subscription_item_id": f"i{item}",
                "price_id": f"p{item}", "amount": facts["amount"], "quantity": 1, "period_start": began,
                "period_end": seconds(days["ends"]),
            })  # fmt: skip
        if coupon is None:
            del tables["discount"], tables["coupon"]
        for name, rows in tables.items():
            pd.DataFrame(rows).astype({"amount_off": "Int64"} if name == "coupon" else {}).to_parquet(
                tmp_path / f"{name}.parquet"
            )
        return tenure.open_source(tmp_path, RECIPE)

    return open_bills


def mrr(source) -> list[int]:
    """Recurring revenue at the ends of January to June."""
    rows = collect(revenue.mrr_balances(source, as_of=AS_OF)).set_index("month")["mrr_minor"]
    return [int(rows.get(2025 * 12 + number, 0)) for number in range(6)]


def test_of_two_prices_one_is_given_up(opened):
    bills = [(1, n) for n in range(1, 7)] + [(2, n, {"amount": 500}) for n in range(2, 4)]
    assert mrr(opened(bills)) == [1220, 1720, 1720, 1220, 1220, 1220]


def test_voided_bills_are_a_pause_and_one_that_another_replaced_is_none(opened):
    void = {"status": "void"}
    source = opened([(1, 1), (1, 2, void), (1, 2), (1, 3, void), (1, 4, void), (1, 5), (1, 6)])
    assert mrr(source) == [1220, 1220, 0, 0, 1220, 1220]
    moves = collect(revenue.mrr_movements(source, as_of=AS_OF))
    assert set(moves["kind"]) & {"pause", "resume", "churn"} == {"pause", "resume"}


def test_a_draft_of_the_last_hour_is_no_pause_and_those_that_stay_drafts_are_one(opened):
    draft = {"status": "draft"}
    assert (
        mrr(opened([(1, 1), (1, 2, draft), (1, 3), (1, 4), (1, 5), (1, 6, draft)])) == [1220, 0] + [1220] * 4
    )
    held = opened([(1, 5), (1, 6, draft)], pause_collection_behavior="keep_as_draft")
    assert mrr(held)[4:] == [1220, 0]


def test_who_never_paid_the_last_bill_left_when_it_began_even_if_it_was_voided(opened):
    bills = [(1, 1), (1, 2), (1, 3), (1, 4, {"status": "void"})]
    source = opened(bills, ended_at=month(4, 28), cancellation_details_reason="payment_failed")
    assert mrr(source) == [1220, 1220, 1220, 0, 0, 0]
    last = collect(source["subscriptions"]).sort_values("started_at").iloc[-1]
    assert (last["status"], last["end_reason"]) == ("past_due", "involuntary")


def test_a_price_that_includes_tax_is_reduced_by_it(opened):
    assert mrr(opened([(1, n) for n in range(1, 7)], behavior="inclusive")) == [1000] * 6


def test_a_customers_own_discount_of_an_amount_never_makes_a_price_negative(opened):
    bills = [(1, n) for n in range(1, 7)]
    assert mrr(opened(bills, coupon=220)) == [1000] * 6
    assert mrr(opened(bills, coupon=5000)) == [0] * 6


def test_a_change_within_a_term_counts_from_its_day_and_what_is_given_back_does_not(opened):
    change = {"starts": month(3, 25), "amount": 250}
    back = {"starts": month(3, 25), "amount": -600}
    bills = [(1, 1), (1, 2), (1, 3), (1, 3, {**back, "ends": month(4)}), (1, 4)]
    source = opened([*bills, (2, 3, {**change, "ends": month(4)})])
    # Another item beside the first, for the rest of the term; the credit alone ends nothing.
    assert mrr(source) == [1220, 1220, 1720, 1220, 1220, 1220]


def test_a_trial_that_goes_on_is_no_payment(opened):
    free = {"starts": month(6, 6), "ends": month(6, 26), "amount": 0, "total": 0, "tax": 0}
    source = opened([(1, 6, free)], trial_start=month(6, 6), trial_end=month(6, 26), status="trialing")
    spans = collect(source["subscriptions"])
    assert spans["status"].tolist() == ["trialing"]
    assert mrr(source) == [0] * 6


SUBSCRIPTION = {
    "id": "s", "Customer ID": "c", "Product": "Box", "Quantity": 2, "Currency": "eur", "Interval": "month", "Amount": "10.00",
    "Status": "active", "Created (UTC)": "2025-01-10 08:00", "Start Date (UTC)": "2025-01-10 08:00",
    "Current Period Start (UTC)": "2025-06-10 08:00", "Trial Start (UTC)": "", "Trial End (UTC)": "", "Coupon": "k",
    "Canceled At (UTC)": "", "Ended At (UTC)": "", "Cancellation Reason": "",
}  # fmt: skip
COUPON = {
    "id": "k",
    "Percent Off": "25",
    "Amount Off": "",
    "Duration": "repeating",
    "Duration in Months": "3",
}


@pytest.mark.parametrize(
    ("coupon", "changes", "right"),
    [
        (COUPON, {}, [1500, 1500, 1500, 2000, 2000, 2000]),
        ({**COUPON, "Duration": "forever"}, {}, [1500] * 6),
        ({**COUPON, "Duration": "once"}, {}, [2000] * 6),
        ({**COUPON, "Percent Off": "", "Amount Off": "3.50"}, {}, [1650] * 3 + [2000] * 3),
        (COUPON, {"Trial Start (UTC)": "2025-01-10 08:00", "Trial End (UTC)": "2025-02-09 08:00"},
         [0, 1500, 1500, 1500, 2000, 2000]),
        (COUPON, {"Status": "canceled", "Ended At (UTC)": "2025-03-20 08:00"}, [1500, 1500, 0, 0, 0, 0]),
        (COUPON, {"Status": "past_due", "Current Period Start (UTC)": "2025-04-10 08:00"}, [1500, 1500, 1500, 0, 0, 0]),
        (None, {"Status": "incomplete_expired"}, [0] * 6),
    ],
)  # fmt: skip
def test_what_a_coupon_of_the_dashboards_takes_off_and_until_when(coupon, changes, right, tmp_path):
    # Somebody else pays throughout, so that there is a company to speak of.
    other = SUBSCRIPTION | {"id": "o", "Customer ID": "o", "Coupon": "", "Amount": "1.00", "Quantity": 1}
    pd.DataFrame([SUBSCRIPTION | changes, other]).to_csv(tmp_path / "subscriptions.csv", index=False)
    customers = [{"id": one, "Created (UTC)": "2025-01-10 08:00"} for one in "co"]
    pd.DataFrame(customers).to_csv(tmp_path / "customers.csv", index=False)
    if coupon:
        pd.DataFrame([coupon]).to_csv(tmp_path / "coupons.csv", index=False)
    source = tenure.open_source(tmp_path, "data/mappings/recipes/stripe_dashboard.yml")
    assert mrr(source) == [100 + amount for amount in right]
