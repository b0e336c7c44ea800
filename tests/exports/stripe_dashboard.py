"""Stripe's dashboard exports: Customers, Subscriptions and Payments, as CSV.

Columns as in Stripe's dashboard (Billing > Subscriptions > Export, Customers > Export, Payments > Export; Stripe
Support, "Exporting your data"). Times are UTC, amounts in major units; files that were exported at different times write
them with and without seconds.

What it lacks: a subscription is one row, so its plan, price and quantity are today's, since it began ("Start Date
(UTC)"; "Start (UTC)" is when the present plan began), and pauses that are over are unknown; a pause that goes on
leaves the status active. Of a coupon only the id is told, not what it takes off: prices are list prices. What
is past due, or was canceled since nobody paid ("Cancellation Reason" payment_failed), was paid until the present period
began. Subscriptions whose first bill was never paid (incomplete_expired) never began. The truth is what can be known.
"""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

from exports.lives import AS_OF, at_utc, bills, days, lives, own_spans, settled
from exports.making import major, mixed, write_csv
from exports.truth import Life, Truth, truth_of

ZONE = "America/New_York"
COUPONS = {"coupon for three": "WELCOME20", "coupon for ever": "FRIENDS10", "coupon once": "FIVE_ONCE"}


def told() -> list[Life]:
    """The lives as this layout can tell them."""
    made = lives("cus_{:04d}X".format, "sub_1{:04d}".format, without=("test", "quarters"))
    return [
        replace(life, spans=tuple(s for own in own_spans(life).values() for s in settled(own)))
        for life in made
    ]


def write(folder: Path) -> Truth:
    rng = random.Random(15)
    real = lives("cus_{:04d}X".format, "sub_1{:04d}".format, without=("test", "quarters"))
    subscriptions, payments = [], []
    for life in real:
        for own in own_spans(life).values():
            subscriptions.append(_subscription(life, own))
            payments += _payments(life, own)
    # A first bill that was never paid: no subscription ever began.
    subscriptions.append(subscriptions[0] | {
        "id": "sub_1none", "Customer ID": "cus_none", "Status": "incomplete_expired", "Trial Start (UTC)": "",
        "Trial End (UTC)": "", "Ended At (UTC)": "2024-03-13 09:00", "Canceled At (UTC)": "", "Coupon": "",
    })  # fmt: skip
    customers = [_customer(life) for life in real]
    customers.append(customers[0] | {"id": "cus_none", "Email": "", "Name": "", "Total Spend": "0.00"})
    write_csv(folder / "customers.csv", mixed(rng, customers, 1))
    write_csv(folder / "subscriptions.csv", mixed(rng, subscriptions, 2))
    write_csv(folder / "unified_payments.csv", mixed(rng, payments, 3))
    return truth_of(told(), AS_OF)


def _time(life, day, seconds=True):
    return (
        ""
        if day is None
        else f"{at_utc(day, life.facts['at'], ZONE):%Y-%m-%d %H:%M{':%S' if seconds else ''}}"
    )


def _customer(life):
    first = min(span.start for span in life.spans)
    return {
        "id": life.customer, "Description": "", "Email": life.facts["email"], "Name": life.facts["name"],
        "Created (UTC)": _time(life, first), "Delinquent": str(life.facts["what"] == "owed now").lower(),
        "Card Brand": "Visa", "Card Last4": "4242", "Card Address Country": life.facts["country"],
        "Currency": life.spans[0].currency.lower(), "Total Spend": "100.00", "Refunded Volume": "0.00",
        "utm_source (metadata)": "",
    }  # fmt: skip


def _subscription(life, own):
    what, last = life.facts["what"], own[-1]
    tried = own[0] if own[0].status == "trialing" else None
    lost = last.end if last.reason != "asked" else None
    left = last.end if last.reason == "voluntary" else None
    if last is tried:
        period = (tried.start, tried.end or days(tried.start, 14))
    else:
        lines = [bill for bill in bills(own) if bill.kind == "full"]
        period = (lines[-1].start, lines[-1].end)
    status = (
        "canceled" if lost else {"trialing": "trialing", "past_due": "past_due"}.get(last.status, "active")
    )
    reason = {
        "involuntary": "payment_failed",
        "voluntary": "cancellation_requested",
        "asked": "cancellation_requested",
    }
    asked = {"asked": days(AS_OF, -3)}.get(last.reason, left and days(left, -9))
    asked = asked if left is None else max(asked, own[0].start)
    if last.reason == "involuntary" or (lost and lost < period[1]):
        asked = lost
    at = lambda day: _time(life, day, seconds=False)  # noqa: E731
    return {
        "id": last.subscription, "Customer ID": life.customer, "Customer Description": "",
        "Customer Email": life.facts["email"], "Customer Name": life.facts["name"],
        "Plan": "price_" + last.plan.split(",")[0].lower().replace(" ", "_") + ("_year" if last.interval == "year" else ""),
        "Product": last.plan, "Quantity": last.quantity, "Currency": last.currency.lower(), "Interval": last.interval,
        "Amount": major(last.price, last.currency), "Status": status, "Created (UTC)": at(own[0].start),
        "Start (UTC)": at(last.start if what.startswith(("switch", "seats")) else own[0].start),
        "Start Date (UTC)": at(own[0].start), "Current Period Start (UTC)": at(period[0]),
        "Current Period End (UTC)": at(period[1]), "Trial Start (UTC)": at(tried and tried.start),
        "Trial End (UTC)": at(tried and period[1] if last is tried else tried and tried.end),
        "Application Fee Percent": "", "Coupon": next((c for k, c in COUPONS.items() if what.startswith(k)), ""),
        "Tax Percent": "", "Canceled At (UTC)": at(asked), "Cancel At Period End": str(last.reason == "asked").lower(),
        "Ended At (UTC)": at(lost), "Cancellation Reason": reason.get(last.reason, ""), "utm_source (metadata)": "ads, brand",
    }  # fmt: skip


def _payments(life, own):
    """A charge a bill, tax included, and the failed ones; the first of a refunded customer was given back."""
    by_day: dict = {}
    for bill in bills(own, once=500 if life.facts["what"] == "coupon once" else 0):
        if bill.state != "void":
            found = by_day.setdefault(bill.billed, [0, bill])
            found[0] += bill.amount
    rows = []
    for place, (day, (amount, bill)) in enumerate(sorted(by_day.items())):
        if amount <= 0:
            continue
        tax = round(amount * 0.19) if life.facts["country"] == "DE" else 0
        whole = amount + tax
        back = (
            {"refunded": whole, "refunded in part": whole // 2}.get(life.facts["what"], 0)
            if place == 0
            else 0
        )
        row = {
            "id": f"ch_{own[0].subscription[4:]}{place:03d}", "Created date (UTC)": _time(life, bill.paid or day),
            "Amount": major(whole, bill.span.currency), "Amount Refunded": major(back, bill.span.currency),
            "Currency": bill.span.currency.lower(), "Captured": str(bill.state == "paid").lower(),
            "Converted Amount": "", "Converted Currency": "eur", "Decline Reason": "" if bill.paid else "insufficient_funds",
            "Description": "Subscription creation" if place == 0 else "Subscription update", "Fee": "0.60",
            "Refunded date (UTC)": _time(life, days(day, 6)) if back else "",
            "Status": "Refunded" if back == whole else "Paid" if bill.paid else "Failed",
            "Customer ID": life.customer, "Customer Email": life.facts["email"], "Invoice ID": f"in_{own[0].subscription[4:]}{place:03d}",
        }  # fmt: skip
        rows.append(row)
        if bill.paid and bill.paid > day:  # the attempt that failed before
            rows.append(row | {"id": row["id"] + "f", "Created date (UTC)": _time(life, day), "Captured": "false",
                               "Status": "Failed", "Decline Reason": "insufficient_funds"})  # fmt: skip
    return rows
