"""Stripe's API objects as a connector syncs them to a warehouse: a Parquet file an object.

Fields are those of Stripe's API reference (Customers, Subscriptions, Subscription Items, Prices, Products, Coupons, Discounts,
Invoices, Invoice Line Items, Charges, Refunds), nested ones joined by _, references ending in _id as in open dbt packages for Stripe.
Times are epoch seconds, amounts in the currency's smallest unit.

What it says of history: subscriptions, items and `pause_collection` are today's, but every bill is there. A line's
`amount` is before discounts and tax; its price and quantity are those of its period, also where it is prorated (then type
invoiceitem, and negative for what is taken back). A discount has a start and, if its coupon is repeating, an end; a coupon
once is on one bill. Collection was paused (behavior void) in the periods whose renewal bills are void; a void
first bill belongs to a subscription that never began (incomplete_expired). A bill that is open or uncollectible is unpaid from its
period's start; one paid late has a later `status_transitions_paid_at`. Lines of a set-up fee or of consulting are no
subscription's revenue. `livemode` false is a test.
"""

from __future__ import annotations

import random
from pathlib import Path

import pandas as pd

from exports.lives import AS_OF, PLANS, at_utc, bills, days, later, lives, own_spans
from exports.making import mixed
from exports.truth import Life, Truth, truth_of

ZONE = "America/Los_Angeles"
COUPONS = {
    "coupon for three": (
        "WELCOME20",
        {"percent_off": 20.0, "duration": "repeating", "duration_in_months": 3},
    ),
    "coupon for ever": ("FRIENDS10", {"percent_off": 10.0, "duration": "forever"}),
    "coupon once": ("FIVE_ONCE", {"amount_off": 500, "currency": "eur", "duration": "once"}),
}


def told() -> list[Life]:
    """The lives as this layout can tell them: all of them."""
    return lives("cus_A{:04d}".format, "sub_A{:04d}".format)


def write(folder: Path) -> Truth:
    rng = random.Random(16)
    made: dict[str, list[dict]] = {
        name: []
        for name in (
            "customer",
            "subscription",
            "subscription_item",
            "discount",
            "invoice",
            "invoice_line_item",
            "charge",
            "refund",
        )
    }
    for life in told():
        _customer(made, life)
        for own in own_spans(life).values():
            _subscription(made, life, own)
    _never_begun(made)
    _sold_once(made)
    made |= _catalogue()
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in made.items():
        frame = pd.DataFrame(
            mixed(rng, rows, 1 if name in ("customer", "subscription", "invoice_line_item") else 0)
        )
        whole = [c for c in frame.columns if pd.api.types.is_float_dtype(frame[c]) and c != "percent_off"]
        frame.astype(dict.fromkeys(whole, "Int64")).to_parquet(folder / f"{name}.parquet", index=False)
    return truth_of(told(), AS_OF)


def _epoch(life, day):
    return (
        None if day is None else int((at_utc(day, life.facts["at"], ZONE) - pd.Timestamp(0)).total_seconds())
    )


def _price(span):
    return (
        f"price_{span.plan.split(',')[0].replace(' ', '')}{span.interval}{span.count}_{span.currency}".lower()
    )


def _catalogue():
    products = [{"id": f"prod_{n}", "name": plan.name, "active": True} for n, plan in enumerate(PLANS)]
    prices = [
        {
            "id": f"price_{plan.name.split(',')[0].replace(' ', '')}{plan.interval}{plan.count}_{currency}".lower(),
            "product_id": f"prod_{n}", "active": True, "currency": currency.lower(), "unit_amount": amount, "type": "recurring",
            "recurring_interval": plan.interval, "recurring_interval_count": plan.count, "recurring_usage_type": "licensed",
            "nickname": None, "tax_behavior": "exclusive", "livemode": True,
        }
        for n, plan in enumerate(PLANS)
        for currency, amount in plan.prices.items()
    ]  # fmt: skip
    once = {
        "id": "price_setup",
        "product_id": "prod_0",
        "currency": "eur",
        "unit_amount": 9900,
        "type": "one_time",
    }
    prices.append(
        dict.fromkeys(prices[0]) | once | {"active": True, "livemode": True, "tax_behavior": "exclusive"}
    )
    coupons = [
        {"id": name, "name": None, "percent_off": None, "amount_off": None, "currency": None, "duration_in_months": None,
         "valid": True, **terms}
        for name, terms in COUPONS.values()
    ]  # fmt: skip
    return {"product": products, "price": prices, "coupon": coupons}


def _customer(made, life):
    made["customer"].append({
        "id": life.customer, "object": "customer", "created": _epoch(life, min(s.start for s in life.spans)),
        "name": life.facts["name"] or None, "email": life.facts["email"], "address_country": life.facts["country"] or None,
        "currency": life.spans[0].currency.lower(), "delinquent": life.facts["what"] == "owed now",
        "livemode": not life.test, "description": None,
    })  # fmt: skip


def _subscription(made, life, own):
    what, last, first = life.facts["what"], own[-1], own[0]
    at = lambda day: _epoch(life, day)  # noqa: E731
    tried = first if first.status == "trialing" else None
    lines = list(bills(own))
    period = next(bill for bill in reversed(lines) if bill.kind in ("full", "trial"))
    lost, asked = last.end, None
    if last.reason in ("voluntary", "asked"):
        asked = lost if lost and lost < period.end else max(first.start, days(lost or AS_OF, -5))
    elif last.reason == "involuntary":
        asked = lost
    ahead = last.reason == "asked"
    made["subscription"].append({
        "id": last.subscription, "customer_id": life.customer,
        "status": "canceled" if lost else {"trialing": "trialing", "past_due": "past_due"}.get(last.status, "active"),
        "created": at(first.start), "start_date": at(first.start), "billing_cycle_anchor": at(first.start),
        "current_period_start": at(period.start), "current_period_end": at(period.end),
        "trial_start": at(tried and tried.start), "trial_end": at(tried and (tried.end or days(tried.start, 14))),
        "cancel_at_period_end": ahead, "cancel_at": at(period.end) if ahead else None,
        "canceled_at": at(asked), "ended_at": at(lost),
        "cancellation_details_reason": {"involuntary": "payment_failed"}.get(last.reason, "cancellation_requested" if asked else None),
        "pause_collection_behavior": "void" if last.status == "paused" else None, "pause_collection_resumes_at": None,
        "collection_method": "charge_automatically", "livemode": not life.test, "metadata": '{"source": "web, app"}',
    })  # fmt: skip
    item = "si_" + last.subscription[4:]
    made["subscription_item"].append({
        "id": item, "subscription_id": last.subscription, "price_id": _price(last), "quantity": last.quantity,
        "created": at(first.start),
    })  # fmt: skip
    coupon = next((terms for key, terms in COUPONS.items() if what.startswith(key)), None)
    if coupon:
        repeating = coupon[1]["duration"] == "repeating"
        made["discount"].append({
            "id": "di_" + last.subscription[4:], "coupon_id": coupon[0], "customer_id": life.customer,
            "subscription_id": last.subscription, "invoice_id": None, "start": at(first.start),
            "end": at(later(first.start, 3)) if repeating else None, "promotion_code": None,
        })  # fmt: skip
    by_day: dict = {}
    for bill in lines:
        by_day.setdefault(bill.billed, []).append(bill)
    for place, (day, own_lines) in enumerate(sorted(by_day.items())):
        _invoice(made, life, item, place, day, own_lines)


def _invoice(made, life, item, place, day, lines):
    """A bill with its lines, the attempts to charge it, and what was given back."""
    what, first = life.facts["what"], lines[0]
    at = lambda day: _epoch(life, day)  # noqa: E731
    number = f"{first.span.subscription[4:]}{place:03d}"
    full = next((bill for bill in lines if bill.kind in ("full", "trial")), None)
    reason = "subscription_create" if place == 0 else "subscription_cycle"
    reason = reason if full and full.billed == day and len(lines) == 1 else "subscription_update"
    total = sum(bill.amount for bill in lines) - (500 if what == "coupon once" and place == 0 else 0)
    fee = 9900 if what == "quarters" and place == 0 else 0
    tax = round((total + fee) * 0.19) if life.facts["country"] == "DE" else 0
    lost = first.state == "open" and first.span.end is not None
    status = "uncollectible" if lost else first.state
    currency = first.span.currency.lower()
    paid = first.paid or (day if status == "paid" else None)
    if status == "paid" and total + fee <= 0:
        paid = day
    made["invoice"].append({
        "id": "in_" + number, "customer_id": life.customer, "subscription_id": first.span.subscription, "status": status,
        "billing_reason": reason, "collection_method": "charge_automatically", "created": at(day), "currency": currency,
        "period_start": at(first.start), "period_end": at(first.end), "subtotal": sum(b.list_price for b in lines) + fee,
        "tax": tax, "total": total + fee + tax, "amount_due": max(total + fee + tax, 0),
        "amount_paid": max(total + fee + tax, 0) if status == "paid" else 0,
        "attempt_count": {"open": 3, "uncollectible": 4}.get(status, 1), "paid": status == "paid",
        "status_transitions_finalized_at": at(day), "status_transitions_paid_at": at(paid) if status == "paid" else None,
        "status_transitions_voided_at": at(day) if status == "void" else None, "livemode": not life.test,
    })  # fmt: skip
    for n, bill in enumerate(lines):
        made["invoice_line_item"].append({
            "id": f"il_{number}{n}", "invoice_id": "in_" + number, "subscription_id": bill.span.subscription,
            "subscription_item_id": item, "price_id": _price(bill.span),
            "type": "invoiceitem" if bill.kind in ("credit", "prorated") else "subscription", "amount": bill.list_price,
            "currency": currency, "quantity": bill.span.quantity, "proration": bill.kind in ("credit", "prorated"),
            "period_start": at(bill.start), "period_end": at(bill.end), "livemode": not life.test,
            "description": {"credit": "Unused time on ", "prorated": "Remaining time on ", "trial": "Trial period for "}.get(bill.kind, "1 × ") + bill.span.plan,
        })  # fmt: skip
    if fee:
        made["invoice_line_item"].append(made["invoice_line_item"][-1] | {
            "id": f"il_{number}fee", "subscription_item_id": None, "price_id": "price_setup", "type": "invoiceitem",
            "amount": fee, "quantity": 1, "period_end": at(day), "period_start": at(day), "description": "Set-up",
        })  # fmt: skip
    whole = total + fee + tax
    if status == "void" or whole <= 0:
        return
    charge = {
        "id": "ch_" + number, "customer_id": life.customer, "invoice_id": "in_" + number, "amount": whole, "amount_refunded": 0,
        "currency": currency, "status": "succeeded", "paid": True, "refunded": False, "created": at(paid or day),
        "failure_code": None, "livemode": not life.test,
    }  # fmt: skip
    failed = charge | {
        "id": charge["id"] + "f",
        "status": "failed",
        "paid": False,
        "created": at(day),
        "failure_code": "card_declined",
    }
    back = {"refunded": whole, "refunded in part": whole // 2}.get(what, 0) if place == 0 else 0
    if paid is None or paid > day:
        made["charge"].append(failed)
    if paid is not None:
        made["charge"].append(charge | {"amount_refunded": back, "refunded": back == whole})
    if back:
        made["refund"].append({
            "id": "re_" + number, "charge_id": "ch_" + number, "amount": back, "currency": currency, "created": at(days(day, 9)),
            "status": "succeeded", "reason": "requested_by_customer",
        })  # fmt: skip


def _never_begun(made):
    """A customer whose first bill was never paid, and so is void."""
    customer = made["customer"][0] | {"id": "cus_none", "email": "none@example.com"}
    made["customer"].append(customer)
    began = customer["created"]
    subscription = made["subscription"][0] | {
        "id": "sub_none", "customer_id": "cus_none", "status": "incomplete_expired", "trial_start": None, "trial_end": None,
        "current_period_start": began, "current_period_end": began + 30 * 86_400, "ended_at": began + 82_800, "canceled_at": None,
    }  # fmt: skip
    made["subscription"].append(subscription)
    made["subscription_item"].append(
        made["subscription_item"][0] | {"id": "si_none", "subscription_id": "sub_none"}
    )
    paid = next(
        row
        for row in made["invoice"]
        if row["billing_reason"] == "subscription_cycle" and row["status"] == "paid"
    )
    line = next(row for row in made["invoice_line_item"] if row["invoice_id"] == paid["id"])
    made["invoice"].append(paid | {
        "id": "in_none", "customer_id": "cus_none", "subscription_id": "sub_none", "status": "void", "billing_reason": "subscription_create",
        "created": began, "period_start": began, "period_end": began, "amount_paid": 0, "paid": False,
        "status_transitions_paid_at": None, "status_transitions_voided_at": began + 82_800,
    })  # fmt: skip
    made["invoice_line_item"].append(line | {
        "id": "il_none", "invoice_id": "in_none", "subscription_id": "sub_none", "subscription_item_id": "si_none",
        "period_start": began, "period_end": began + 30 * 86_400,
    })  # fmt: skip


def _sold_once(made):
    """Consulting, on a bill of its own that belongs to no subscription."""
    paid = next(
        row
        for row in made["invoice"]
        if row["billing_reason"] == "subscription_cycle" and row["status"] == "paid"
    )
    line = next(row for row in made["invoice_line_item"] if row["invoice_id"] == paid["id"])
    made["invoice"].append(
        paid
        | {
            "id": "in_once",
            "subscription_id": None,
            "billing_reason": "manual",
            "subtotal": 50_000,
            "total": 50_000,
        }
    )
    made["invoice_line_item"].append(line | {
        "id": "il_once", "invoice_id": "in_once", "subscription_id": None, "subscription_item_id": None, "price_id": None,
        "type": "invoiceitem", "amount": 50_000, "quantity": 1, "period_end": line["period_start"], "description": "Consulting",
    })  # fmt: skip
