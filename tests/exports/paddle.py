"""Paddle Billing's entities as its API names them, a CSV file each, nested fields joined by _.

Fields as in "Paddle API reference" (Customers, Prices, Products, Discounts, Subscriptions, Transactions with their line items and
payments, Adjustments); headings of Paddle's reports mirror them. Amounts are text in the currency's lowest unit, times RFC 3339.

What it says of history: a subscription's status, items and discount are today's, but every transaction is there. `billing_period` says
what it is for. A line's `totals_subtotal` is before discount and tax, also where the price includes tax (tax_mode internal):
MRR is before tax, and Paddle's fee is not taken off it. A prorated line has a `proration_rate`, and its totals are the part that
is charged; what is taken back is an adjustment (action credit). A trial is a completed transaction of 0. While a subscription is
paused there is no transaction: time without one, within a subscription that goes on, is a pause, and `paused_at` is
there only while it lasts. A transaction past due is unpaid from its period's start; one paid late has a payment captured
later. What it lacks: reasons for leaving, but that the last transaction of who never paid is past_due; and tests, which live
in a sandbox.
"""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

from exports.lives import AS_OF, BASIC, PLANS, at_utc, bills, days, later, lives, own_spans
from exports.making import mixed, write_csv
from exports.truth import Life, Span, Truth, truth_of

ZONE = "Australia/Sydney"
RATES = {"DE": "0.19", "FR": "0.2", "JP": "0.1", "NO": "0.25"}
DISCOUNTS = {"coupon for three": "dsc_three", "coupon for ever": "dsc_ever", "coupon once": "dsc_once"}


def told() -> list[Life]:
    """The lives as this layout can tell them: all but the tests, at prices before tax."""
    made = lives("ctm_01h{:05d}".format, "sub_01h{:05d}".format, without=("test",))
    return [replace(life, spans=tuple(_net(life, span) for span in life.spans)) for life in made]


def _rate(life) -> float:
    return float(RATES.get(life.facts["country"], "0"))


def _net(life, span: Span) -> Span:
    """A span before tax: Basic's prices include it."""
    if span.plan != BASIC.name:
        return span
    off = lambda amount: round(amount / (1 + _rate(life)))  # noqa: E731
    return replace(span, price=off(span.price), off=off(span.off))


def write(folder: Path) -> Truth:
    rng = random.Random(18)
    names = (
        "customers",
        "subscriptions",
        "subscription_items",
        "transactions",
        "transaction_line_items",
        "transaction_payments",
        "adjustments",
    )
    made: dict[str, list[dict]] = {name: [] for name in names}
    for life in told():
        first = _at(life, min(span.start for span in life.spans))
        made["customers"].append({
            "id": life.customer, "status": "active", "name": life.facts["name"], "email": life.facts["email"],
            "address_country_code": life.facts["country"], "marketing_consent": "false", "locale": "en",
            "created_at": first, "updated_at": first, "custom_data": '{"plan": "a, b"}',
        })  # fmt: skip
        for own in own_spans(life).values():
            _subscription(made, life, own)
    _abandoned(made)
    for name, rows in made.items():
        twice = 2 if name in ("customers", "subscriptions", "transactions", "transaction_line_items") else 0
        write_csv(folder / f"{name}.csv", mixed(rng, rows, twice))
    write_csv(
        folder / "products.csv",
        [{"id": f"pro_{n}", "name": p.name, "status": "active"} for n, p in enumerate(PLANS)],
    )
    write_csv(folder / "prices.csv", _prices())
    write_csv(folder / "discounts.csv", _discounts())
    return truth_of(told(), AS_OF)


def _at(life, day):
    return (
        ""
        if day is None
        else f"{at_utc(day, life.facts['at'], ZONE):%Y-%m-%dT%H:%M:%S}.{life.customer[-3:]}Z"
    )


def _price(span):
    place = [plan.name for plan in PLANS].index(span.plan)
    return f"pri_{place}_{span.currency.lower()}"


def _prices():
    made = [
        {
            "id": f"pri_{n}_{currency.lower()}", "product_id": f"pro_{n}", "type": "standard", "description": plan.name,
            "name": f"{plan.name} ({currency})", "billing_cycle_interval": plan.interval, "billing_cycle_frequency": plan.count,
            "trial_period_interval": "", "trial_period_frequency": "", "tax_mode": "internal" if plan is BASIC else "external",
            "unit_price_amount": price, "unit_price_currency_code": currency, "status": "active",
        }
        for n, plan in enumerate(PLANS)
        for currency, price in plan.prices.items()
    ]  # fmt: skip
    setup = {
        "id": "pri_setup",
        "product_id": "pro_setup",
        "billing_cycle_interval": "",
        "billing_cycle_frequency": "",
    }
    return [
        *made,
        made[0]
        | setup
        | {"description": "Set-up", "name": "Set-up", "unit_price_amount": 9900, "tax_mode": "external"},
    ]


def _discounts():
    shape = {"currency_code": "", "status": "active", "maximum_recurring_intervals": "", "code": ""}
    return [
        {"id": "dsc_three", "description": "Welcome, 20 %", "type": "percentage", "amount": "20", "recur": "true"} | shape | {"maximum_recurring_intervals": 3},
        {"id": "dsc_ever", "description": "Friends", "type": "percentage", "amount": "10", "recur": "true"} | shape,
        {"id": "dsc_once", "description": "Once", "type": "flat", "amount": "500", "recur": "false"} | shape | {"currency_code": "EUR"},
    ]  # fmt: skip


def _subscription(made, life, own):
    what, first, last = life.facts["what"], own[0], own[-1]
    at = lambda day: _at(life, day)  # noqa: E731
    lines = [bill for bill in bills(own, once=500 if what == "coupon once" else 0) if bill.state != "void"]
    tried = first if first.status == "trialing" else None
    period = next(bill for bill in reversed(lines) if bill.kind in ("full", "trial"))
    status = {"trialing": "trialing", "paused": "paused", "past_due": "past_due"}.get(last.status, "active")
    status = "canceled" if last.end else status
    on = status in ("active", "trialing", "past_due")
    discount = next((name for key, name in DISCOUNTS.items() if what.startswith(key)), "")
    over = (
        later(first.start, 3)
        if discount == "dsc_three"
        else later(first.start, 1)
        if discount == "dsc_once"
        else None
    )
    made["subscriptions"].append({
        "id": last.subscription, "status": status, "customer_id": life.customer, "address_id": "add_1", "business_id": "",
        "currency_code": last.currency, "collection_mode": "automatic", "created_at": at(first.start), "updated_at": at(period.start),
        "started_at": at(first.start), "first_billed_at": at(next((b.billed for b in lines if b.kind == "full"), None)),
        "next_billed_at": at(period.end) if on and last.reason != "asked" else "", "paused_at": at(last.start) if status == "paused" else "",
        "canceled_at": at(last.end), "current_billing_period_starts_at": at(period.start) if on else "",
        "current_billing_period_ends_at": at(period.end) if on else "", "billing_cycle_interval": last.interval,
        "billing_cycle_frequency": last.count, "scheduled_change_action": "cancel" if last.reason == "asked" else "",
        "scheduled_change_effective_at": at(period.end) if last.reason == "asked" else "",
        "discount_id": discount if over is None or over > AS_OF else "", "discount_starts_at": at(first.start) if discount == "dsc_ever" else "",
        "discount_ends_at": "", "custom_data": "",
    })  # fmt: skip
    made["subscription_items"].append({
        "subscription_id": last.subscription, "price_id": _price(last), "product_id": _price(last)[:5].replace("pri", "pro"),
        "status": "trialing" if status == "trialing" else "inactive" if status == "canceled" else "active", "quantity": last.quantity,
        "recurring": "true", "trial_dates_starts_at": at(tried and tried.start), "trial_dates_ends_at": at(tried and (tried.end or days(tried.start, 14))),
    })  # fmt: skip
    for place, bill in enumerate(lines):
        if bill.kind == "credit":
            _adjust(
                made,
                life,
                f"adj_{last.subscription[4:]}{place}",
                f"txn_{last.subscription[4:]}{place - 1:03d}",
                bill,
                "credit",
                -bill.amount,
            )
        else:
            _transaction(made, life, bill, place, discount if bill.off else "")


def _transaction(made, life, bill, place, discount):
    what, span = life.facts["what"], bill.span
    at = lambda day: _at(life, day)  # noqa: E731
    number = f"{span.subscription[4:]}{place:03d}"
    rate = _rate(life)
    tax = round(bill.amount * rate)
    extra = 9900 if what == "quarters" and place == 0 else 0
    total = bill.amount + tax + extra
    origin = {"prorated": "subscription_update"}.get(
        bill.kind, "web" if place == 0 else "subscription_recurring"
    )
    made["transactions"].append({
        "id": "txn_" + number, "status": "completed" if bill.state == "paid" else "past_due", "customer_id": life.customer,
        "subscription_id": span.subscription, "origin": origin, "collection_mode": "automatic", "currency_code": span.currency,
        "invoice_number": f"77-{number[-6:]}", "discount_id": discount, "billing_period_starts_at": at(bill.start),
        "billing_period_ends_at": at(bill.end), "created_at": at(bill.billed), "billed_at": at(bill.billed), "updated_at": at(bill.paid or bill.billed),
        "details_totals_subtotal": bill.list_price + extra, "details_totals_discount": bill.off, "details_totals_tax": tax,
        "details_totals_total": total, "details_totals_grand_total": total,
        "details_totals_fee": round(total * 0.05) + 50 if bill.paid and total else "",
        "details_totals_earnings": total - tax - round(total * 0.05) - 50 if bill.paid and total else "",
    })  # fmt: skip
    part = bill.kind == "prorated"
    made["transaction_line_items"].append({
        "id": "txnitm_" + number, "transaction_id": "txn_" + number, "price_id": _price(span),
        "product_id": _price(span)[:5].replace("pri", "pro"), "quantity": span.quantity,
        "proration_rate": f"{bill.list_price / (span.price * span.quantity):.6f}" if part else "",
        "proration_billing_period_starts_at": at(bill.start) if part else "", "proration_billing_period_ends_at": at(bill.end) if part else "",
        "tax_rate": f"{rate:g}", "unit_totals_subtotal": round(bill.list_price / span.quantity), "unit_totals_discount": round(bill.off / span.quantity),
        "unit_totals_tax": round(tax / span.quantity), "unit_totals_total": round((bill.amount + tax) / span.quantity),
        "totals_subtotal": bill.list_price, "totals_discount": bill.off, "totals_tax": tax, "totals_total": bill.amount + tax,
    })  # fmt: skip
    if extra:  # a set-up fee: a price without a billing cycle
        made["transaction_line_items"].append(made["transaction_line_items"][-1] | {
            "id": f"txnitm_{number}x", "price_id": "pri_setup", "product_id": "pro_setup", "quantity": 1,
            "unit_totals_subtotal": extra, "unit_totals_tax": 0, "unit_totals_total": extra, "totals_subtotal": extra,
            "totals_tax": 0, "totals_total": extra, "tax_rate": "0",
        })  # fmt: skip
    if not total:
        return
    payment = {"transaction_id": "txn_" + number, "amount": total, "status": "captured", "error_code": "", "method_details_type": "card",
               "created_at": at(bill.paid), "captured_at": at(bill.paid)}  # fmt: skip
    if bill.paid != bill.billed:
        made["transaction_payments"].append(
            payment
            | {"status": "error", "error_code": "declined", "created_at": at(bill.billed), "captured_at": ""}
        )
    if bill.paid:
        made["transaction_payments"].append(payment)
    back = {"refunded": total, "refunded in part": total // 2}.get(what, 0) if place == 0 else 0
    if back:
        _adjust(made, life, "adj_" + number, "txn_" + number, bill, "refund", back)


def _adjust(made, life, name, transaction, bill, action, amount):
    made["adjustments"].append({
        "id": name, "action": action, "type": "partial", "transaction_id": transaction, "subscription_id": bill.span.subscription,
        "customer_id": life.customer, "reason": "unhappy, says the customer" if action == "refund" else "update",
        "currency_code": bill.span.currency, "status": "approved", "totals_total": amount,
        "created_at": _at(life, days(bill.billed, 3 if action == "refund" else 0)),
    })  # fmt: skip


def _abandoned(made):
    """A checkout that nobody finished: a draft, of no customer and no subscription."""
    made["transactions"].append(dict.fromkeys(made["transactions"][0], "") | {
        "id": "txn_draft", "status": "draft", "origin": "web", "currency_code": "EUR", "created_at": "2025-05-05T05:05:05.5Z",
        "updated_at": "2025-05-05T05:05:05.5Z", "details_totals_subtotal": 4950, "details_totals_total": 4950,
    })  # fmt: skip
    made["transaction_line_items"].append(
        made["transaction_line_items"][0] | {"id": "txnitm_draft", "transaction_id": "txn_draft"}
    )
