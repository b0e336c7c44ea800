"""Chargebee's objects, as its data catalogue and API v2 name them (Product Catalog 2.0): a CSV file a table.

Columns as in "Chargebee Data Catalog" (customers, subscriptions, invoices, invoice_line_items, …) and the API's reference.
Amounts are in minor units, times UTC.

What it says of history: a subscription's status, pause and term are today's, but every invoice is there. `date_from` and `date_to` of a
line say what it is for. Its `amount` is before discounts and tax, which stand beside it; `unit_amount` of a prorated
charge is the part that is charged, so that the price is that of the item price in `entity_id`; what is taken back
is a credit note, not a line. Coupons are limited_period, forever or one_time. A trial has no invoice. While a
subscription is paused, no invoice is written: time without one, within a subscription that goes on, is a pause, and
`pause_date` is there only while it lasts. An invoice that is payment_due or not_paid is unpaid from its line's start; one
paid late has a later `paid_at`; a subscription cancelled in the end has the reason not_paid. `cancelled_at` of what is
non_renewing lies ahead. A line of entity_type adhoc is no subscription's revenue. A deleted customer is one no more. What it
lacks: test customers, who live on another site.
"""

from __future__ import annotations

import random
from pathlib import Path

from exports.lives import AS_OF, PLANS, at_utc, bills, days, lives, own_spans
from exports.making import mixed, write_csv
from exports.truth import Life, Truth, truth_of

ZONE = "Asia/Tokyo"
COUPONS = {
    "coupon for three": ("SUMMER20", "percentage", "20.0", "limited_period"),
    "coupon for ever": ("FRIENDS10", "percentage", "10.0", "forever"),
    "coupon once": ("MINUS5", "fixed_amount", "", "one_time"),
}


def told() -> list[Life]:
    """The lives as this layout can tell them: all but the tests."""
    return lives("AzZ{:04d}cb".format, "169lj{:05d}".format, without=("test",))


def write(folder: Path) -> Truth:
    rng = random.Random(17)
    names = ("customers", "subscriptions", "subscription_items", "invoices", "invoice_line_items", "invoice_line_item_discounts",
             "credit_notes", "transactions")  # fmt: skip
    made: dict[str, list[dict]] = {name: [] for name in names}
    for life in told():
        first = min(span.start for span in life.spans)
        made["customers"].append({
            "id": life.customer, "first_name": life.facts["name"], "last_name": "", "email": life.facts["email"],
            "company": "", "created_at": _at(life, first), "auto_collection": "on", "preferred_currency_code": life.spans[0].currency,
            "billing_address_country": life.facts["country"], "channel": "web", "deleted": "false", "cf_how_found": "a friend, at work",
        })  # fmt: skip
        for own in own_spans(life).values():
            _subscription(made, life, own)
    made["customers"].append(
        made["customers"][0] | {"id": "AzZdeleted", "email": "", "first_name": "", "deleted": "true"}
    )
    for name, rows in made.items():
        twice = 2 if name in ("customers", "subscriptions", "invoices", "invoice_line_items") else 0
        write_csv(folder / f"{name}.csv", mixed(rng, rows, twice))
    write_csv(folder / "item_prices.csv", _prices())
    write_csv(folder / "coupons.csv", _coupons())
    return truth_of(told(), AS_OF)


def _at(life, day):
    return "" if day is None else f"{at_utc(day, life.facts['at'], ZONE):%Y-%m-%d %H:%M:%S}"


def _price(span):
    return f"{span.plan.split(',')[0].replace(' ', '-')}-{span.currency}-{span.count}-{span.interval}"


def _prices():
    return [
        {
            "id": f"{plan.name.split(',')[0].replace(' ', '-')}-{currency}-{plan.count}-{plan.interval}", "name": plan.name,
            "item_id": plan.name.split(",")[0].replace(" ", "-"), "item_type": "plan", "pricing_model": "per_unit",
            "price": price, "currency_code": currency, "period": plan.count, "period_unit": plan.interval,
            "trial_period": 14, "trial_period_unit": "day", "is_taxable": "true", "status": "active",
        }
        for plan in PLANS
        for currency, price in plan.prices.items()
    ]  # fmt: skip


def _coupons():
    return [
        {
            "id": name, "name": name.title(), "discount_type": kind, "discount_percentage": share,
            "discount_amount": "" if share else 500, "currency_code": "" if share else "EUR", "duration_type": duration,
            "period": 3 if duration == "limited_period" else "", "period_unit": "month" if duration == "limited_period" else "",
            "apply_on": "invoice_amount", "status": "active",
        }
        for name, kind, share, duration in COUPONS.values()
    ]  # fmt: skip


def _subscription(made, life, own):
    what, first, last = life.facts["what"], own[0], own[-1]
    at = lambda day: _at(life, day)  # noqa: E731
    tried = first if first.status == "trialing" else None
    paid = [bill for bill in bills(own, once=500 if what == "coupon once" else 0) if bill.kind != "trial"]
    begun = next((bill.start for bill in paid), None)
    status = {"trialing": "in_trial", "paused": "paused"}.get(last.status, "active")
    lost = last.end
    status = "cancelled" if lost else "non_renewing" if last.reason == "asked" else status
    billed = [bill for bill in paid if bill.state != "void"]
    period = next((bill for bill in reversed(billed) if bill.kind == "full"), None)
    owes = [bill for bill in billed if bill.state == "open"]
    made["subscriptions"].append({
        "id": last.subscription, "customer_id": life.customer, "status": status, "currency_code": last.currency,
        "billing_period": last.count, "billing_period_unit": last.interval, "created_at": at(first.start),
        "started_at": at(first.start), "activated_at": at(begun), "trial_start": at(tried and tried.start),
        "trial_end": at(tried and (tried.end or days(tried.start, 14))),
        "current_term_start": at(period and period.start) if status != "cancelled" else "",
        "current_term_end": at(period and period.end) if status != "cancelled" else "",
        "next_billing_at": at(period and period.end) if status == "active" else "",
        "cancelled_at": at(lost or (period.end if status == "non_renewing" else None)),
        "cancel_reason": {"involuntary": "not_paid"}.get(last.reason, ""),
        "cancel_reason_code": "Too expensive, now" if last.reason == "voluntary" else "",
        "pause_date": at(last.start) if status == "paused" else "", "resume_date": "",
        "due_invoices_count": len(owes), "due_since": at(owes[0].billed) if owes else "",
        "total_dues": sum(bill.amount for bill in owes), "mrr": 0 if lost else last.monthly, "deleted": "false",
    })  # fmt: skip
    made["subscription_items"].append({
        "subscription_id": last.subscription, "item_price_id": _price(last), "item_type": "plan", "quantity": last.quantity,
        "unit_price": last.price, "amount": last.price * last.quantity,
    })  # fmt: skip
    for place, bill in enumerate(billed):
        if bill.kind == "credit":
            made["credit_notes"].append({
                "id": f"CN-{last.subscription}-{place}", "customer_id": life.customer, "subscription_id": last.subscription,
                "reference_invoice_id": f"INV-{last.subscription}-{place - 1}", "type": "adjustment",
                "reason_code": "subscription_change", "status": "adjusted", "date": at(bill.billed), "total": -bill.amount,
                "currency_code": last.currency, "price_type": "tax_exclusive",
            })  # fmt: skip
        else:
            _invoice(made, life, bill, place)


def _invoice(made, life, bill, place):
    what, span = life.facts["what"], bill.span
    at = lambda day: _at(life, day)  # noqa: E731
    number, line = f"INV-{span.subscription}-{place}", f"li_{span.subscription}{place:03d}"
    extra = 9900 if what == "quarters" and place == 0 else 0
    rate = 19.0 if life.facts["country"] == "DE" else 0.0
    tax = round(bill.amount * rate / 100)
    whole = bill.amount + tax + extra
    status = "paid" if bill.state == "paid" else "not_paid" if span.end else "payment_due"
    made["invoices"].append({
        "id": number, "customer_id": life.customer, "subscription_id": span.subscription, "recurring": "true", "status": status,
        "price_type": "tax_exclusive", "date": at(bill.billed), "due_date": at(bill.billed), "paid_at": at(bill.paid),
        "currency_code": span.currency, "sub_total": bill.list_price + extra, "tax": tax, "total": whole,
        "amount_paid": whole if bill.paid else 0, "amount_due": 0 if bill.paid else whole, "first_invoice": str(place == 0).lower(),
        "dunning_status": {"not_paid": "exhausted", "payment_due": "in_progress"}.get(status, ""), "voided_at": "", "deleted": "false",
    })  # fmt: skip
    part = bill.kind == "prorated"
    made["invoice_line_items"].append({
        "id": line, "invoice_id": number, "subscription_id": span.subscription, "customer_id": life.customer,
        "date_from": at(bill.start), "date_to": at(bill.end),
        "unit_amount": bill.list_price // span.quantity if part else span.price, "quantity": span.quantity,
        "amount": bill.list_price, "pricing_model": "per_unit", "is_taxed": str(tax > 0).lower(), "tax_amount": tax,
        "tax_rate": rate or "", "discount_amount": bill.off, "item_level_discount_amount": 0,
        "description": f"{span.plan} - Prorated Charges" if part else span.plan, "entity_type": "plan_item_price", "entity_id": _price(span),
    })  # fmt: skip
    if extra:
        made["invoice_line_items"].append(made["invoice_line_items"][-1] | {
            "id": line + "x", "date_from": at(bill.billed), "date_to": at(bill.billed), "unit_amount": extra, "quantity": 1,
            "amount": extra, "tax_amount": 0, "is_taxed": "false", "tax_rate": "", "description": "Set-up, by phone",
            "entity_type": "adhoc", "entity_id": "",
        })  # fmt: skip
    if bill.off:
        coupon = next(terms[0] for key, terms in COUPONS.items() if what.startswith(key))
        made["invoice_line_item_discounts"].append({
            "invoice_id": number, "line_item_id": line, "discount_type": "document_level_coupon", "coupon_id": coupon,
            "entity_id": coupon, "discount_amount": bill.off,
        })  # fmt: skip
    row = {
        "id": f"txn_{span.subscription}{place:03d}", "customer_id": life.customer, "subscription_id": span.subscription,
        "type": "payment", "status": "success", "date": at(bill.paid), "amount": whole, "currency_code": span.currency,
        "payment_method": "card", "gateway": "stripe", "invoice_id": number, "error_code": "",
    }  # fmt: skip
    if bill.paid != bill.billed:
        made["transactions"].append(
            row
            | {
                "id": row["id"] + "f",
                "status": "failure",
                "date": at(bill.billed),
                "error_code": "card_declined",
            }
        )
    if bill.paid:
        made["transactions"].append(row)
    back = {"refunded": whole, "refunded in part": whole // 2}.get(what, 0) if place == 0 else 0
    if back:
        made["transactions"].append(
            row | {"id": row["id"] + "r", "type": "refund", "date": at(days(bill.billed, 8)), "amount": back}
        )
        made["credit_notes"].append(made["credit_notes"][-1] | {
            "id": f"CN-{number}", "customer_id": life.customer, "subscription_id": span.subscription, "reference_invoice_id": number,
            "type": "refundable", "reason_code": "product_unsatisfactory", "status": "refunded", "date": at(days(bill.billed, 8)),
            "total": back, "currency_code": span.currency,
        })  # fmt: skip
