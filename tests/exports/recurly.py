"""Recurly's objects as a connector syncs them to a warehouse: a CSV file a table, with every version of what changes.

Fields are those of Recurly's API v2021-02-25 and of the seeds of the open dbt package for Recurly: tables named _history hold a row for
each version of an object, told apart by `updated_at`. Amounts are in major units, times ISO 8601 in UTC.

What it says of history: a version of a subscription holds its plan, unit amount, quantity and state from `updated_at` on, and
states are active (also in a trial, which lies between trial_started_at and trial_ends_at, and while a bill is not paid), paused,
canceled (still paid for, until expires_at) and expired. A subscription takes part in a coupon by what its line items say:
`discount` of the line, in the line's start_date to end_date; the coupon's redemption is the account's. A coupon's duration is forever,
single_use or temporal. Bills that are past_due or failed are unpaid from their line's start; one paid late has a later version
with `closed_at`. A subscription that ended since nobody paid has the expiration_reason nonpayment. Lines of origin setup_fee and
one_time are no subscription's revenue, and lines of type credit give back. What it lacks: tests, which live on another site.
"""

from __future__ import annotations

import random
from pathlib import Path

from exports.lives import AS_OF, PLANS, at_utc, bills, days, later, lives, own_spans
from exports.making import major, mixed, write_csv
from exports.truth import Life, Truth, truth_of

ZONE = "Europe/Paris"
COUPONS = {
    "coupon for three": ("c_three", "temporal", "percent", 20),
    "coupon for ever": ("c_ever", "forever", "percent", 10),
    "coupon once": ("c_once", "single_use", "fixed", 5),
}


def told() -> list[Life]:
    """The lives as this layout can tell them: all but the tests."""
    return lives("acct{:04d}q".format, "s{:05d}uu".format, without=("test",))


def write(folder: Path) -> Truth:
    rng = random.Random(19)
    names = (
        "account_history",
        "subscription_history",
        "invoice_history",
        "line_item_history",
        "transaction",
        "coupon_redemption_history",
    )
    made: dict[str, list[dict]] = {name: [] for name in names}
    for life in told():
        _account(made, life)
        for own in own_spans(life).values():
            _versions(made, life, own)
            _bills(made, life, own)
    for name, rows in made.items():
        twice = 2 if name in ("account_history", "subscription_history", "line_item_history") else 0
        write_csv(folder / f"{name}.csv", mixed(rng, rows, twice))
    _catalogue(folder)
    return truth_of(told(), AS_OF)


def _at(life, day):
    return "" if day is None else f"{at_utc(day, life.facts['at'], ZONE):%Y-%m-%dT%H:%M:%SZ}"


def _account(made, life):
    first = _at(life, min(span.start for span in life.spans))
    row = {
        "id": life.customer, "created_at": first, "updated_at": first, "deleted_at": "", "code": f"user-{life.customer[4:8]}",
        "state": "active", "account_first_name": "", "account_last_name": life.facts["name"], "email": life.facts["email"].upper(),
        "company": "", "account_country": life.facts["country"], "vat_number": "", "_fivetran_synced": "2026-04-18T02:00:00Z",
    }  # fmt: skip
    made["account_history"].append(row)
    if life.facts["what"] == "plain":  # a later version
        made["account_history"].append(row | {"updated_at": _at(life, AS_OF), "email": life.facts["email"]})


def _plan(span):
    return f"plan{[plan.name for plan in PLANS].index(span.plan)}"


def _catalogue(folder):
    write_csv(folder / "plan_history.csv", [
        {
            "id": f"plan{n}", "created_at": "2024-01-01T00:00:00Z", "updated_at": updated, "deleted_at": "",
            "code": plan.name.lower().replace(", ", "-"), "state": "active", "name": name, "interval_unit": "months",
            "interval_length": plan.count * (12 if plan.interval == "year" else 1), "trial_unit": "days", "trial_length": 14,
        }
        for n, plan in enumerate(PLANS)
        for updated, name in (("2024-01-01T00:00:00Z", f"{plan.name} (old)"), ("2024-01-09T00:00:00Z", plan.name))
    ])  # fmt: skip
    write_csv(folder / "coupon_history.csv", [
        {
            "id": name, "updated_at": "2024-01-02T00:00:00Z", "created_at": "2024-01-02T00:00:00Z", "code": name, "name": name,
            "state": "redeemable", "duration": duration, "temporal_unit": "month" if duration == "temporal" else "",
            "temporal_amount": 3 if duration == "temporal" else "", "applies_to_all_plans": "true",
        }
        for name, duration, _, _ in COUPONS.values()
    ])  # fmt: skip
    write_csv(folder / "coupon_discount.csv", [
        {
            "coupon_id": name, "type": kind, "percentage": amount if kind == "percent" else "",
            "amount": "" if kind == "percent" else f"{amount:.1f}", "currency": "" if kind == "percent" else "EUR",
        }
        for name, _, kind, amount in COUPONS.values()
    ])  # fmt: skip


def _versions(made, life, own):
    """The versions of a subscription: begun, renewed, switched, paused, resumed, canceled, expired."""
    at = lambda day: _at(life, day)  # noqa: E731
    first, last = own[0], own[-1]
    tried = first if first.status == "trialing" else None
    lines = list(bills(own))
    trial_end = tried and (tried.end or days(tried.start, 14))
    periods = [(bill.start, bill.end) for bill in lines if bill.kind in ("full", "trial")]
    row = {
        "id": last.subscription, "created_at": at(first.start), "activated_at": at(first.start), "canceled_at": "", "expires_at": "",
        "account_id": life.customer, "object": "subscription", "uuid": last.subscription + "uuid", "trial_started_at": at(tried and tried.start),
        "trial_ends_at": at(trial_end), "remaining_billing_cycles": 0, "auto_renew": "true", "paused_at": "", "remaining_pause_cycles": "",
        "currency": first.currency, "add_ons_total": "0.0", "collection_method": "automatic", "expiration_reason": "",
        "started_with_gift": "false",
    }  # fmt: skip
    changes = sorted({start for start, _ in periods} | {s.start for s in own if s.status != "past_due" and s.reason != ""} |
                     {s.start for s in own if s.status == "paused"} | {b.start for b in lines if b.kind == "prorated"})  # fmt: skip
    end = last.end
    asked = max(first.start, days(end or AS_OF, -4)) if last.reason in ("voluntary", "asked") else None
    stopped = next((end for start, end in reversed(periods) if start < (end or AS_OF)), None)
    for day in changes:
        if end is not None and day >= end:
            continue
        span = next(s for s in own if s.start <= day and (s.end is None or s.end > day))
        start, until = next(p for p in reversed(periods) if p[0] <= day)
        amount = span.price * span.quantity
        made["subscription_history"].append(row | {
            "updated_at": at(day), "plan_id": _plan(span), "state": "paused" if span.status == "paused" else "active",
            "current_period_started_at": at(start), "current_period_ends_at": at(until), "current_term_started_at": at(start),
            "current_term_ends_at": at(until), "unit_amount": _major(span.price, span), "quantity": span.quantity,
            "subtotal": _major(amount, span), "paused_at": at(span.start) if span.status == "paused" else "",
            "remaining_pause_cycles": 1 if span.status == "paused" else "",
        })  # fmt: skip
    latest = made["subscription_history"][-1]
    if asked and asked > days(changes[-1], 0) and end != asked:
        latest = latest | {
            "updated_at": at(asked),
            "state": "canceled",
            "canceled_at": at(asked),
            "expires_at": at(end or stopped),
            "auto_renew": "false",
        }
        made["subscription_history"].append(latest)
    if end:
        reason = {"involuntary": "nonpayment"}.get(last.reason, "canceled")
        made["subscription_history"].append(
            latest
            | {"updated_at": at(end), "state": "expired", "expires_at": at(end), "expiration_reason": reason}
        )


def _major(minor, span):
    return major(minor, span.currency) + (".0" if span.currency == "JPY" else "")


def _bills(made, life, own):
    what, at = life.facts["what"], lambda day: _at(life, day)
    coupon = next((terms for key, terms in COUPONS.items() if what.startswith(key)), None)
    if coupon:
        start = own[0].start
        gone = {"temporal": later(start, 3), "single_use": days(start, 0)}.get(coupon[1])
        redeemed = {
            "id": f"red{own[0].subscription}", "updated_at": at(start), "account_id": life.customer, "coupon_id": coupon[0],
            "created_at": at(start), "currency": own[0].currency, "discounted": "0.0", "removed_at": "", "state": "active",
        }  # fmt: skip
        made["coupon_redemption_history"].append(redeemed)
        if gone:
            made["coupon_redemption_history"].append(
                redeemed | {"updated_at": at(days(gone, 1)), "removed_at": at(gone), "state": "inactive"}
            )
    by_day: dict = {}
    for bill in bills(own, once=500 if what == "coupon once" else 0):
        if bill.state != "void":
            by_day.setdefault(bill.billed, []).append(bill)
    for place, (day, lines) in enumerate(sorted(by_day.items())):
        first = lines[0]
        span, number = first.span, f"{own[0].subscription}{place:03d}"
        extra = 9900 if what == "quarters" and place == 0 else 0
        amount, off = sum(bill.amount for bill in lines) + extra, sum(bill.off for bill in lines)
        tax = round(amount * 0.19) if life.facts["country"] == "DE" else 0
        lost = first.state == "open" and span.end
        state = "failed" if lost else "past_due" if first.state == "open" else "paid"
        paid = first.paid or (day if state == "paid" else None)
        invoice = {
            "id": "inv" + number, "created_at": at(day), "updated_at": at(paid or day), "due_at": at(day), "closed_at": at(paid or (lost or None)),
            "account_id": life.customer, "type": "charge", "origin": "purchase" if place == 0 else "renewal", "state": state,
            "number": 1000 + len(made["invoice_history"]), "collection_method": "automatic", "currency": span.currency,
            "balance": _major(0 if paid else amount + tax, span), "paid": _major(amount + tax if paid else 0, span),
            "total": _major(amount + tax, span), "subtotal": _major(amount + off, span), "discount": _major(off, span), "tax": _major(tax, span),
        }  # fmt: skip
        made["invoice_history"].append(invoice)
        if paid and paid > day:  # its first version
            made["invoice_history"].append(
                invoice | {"updated_at": at(days(day, 1)), "closed_at": "", "state": "past_due"}
            )
        for n, bill in enumerate(lines):
            part = bill.kind in ("credit", "prorated")
            made["line_item_history"].append({
                "id": f"li{number}{n}", "created_at": at(day), "updated_at": at(day), "account_id": life.customer, "plan_id": _plan(bill.span),
                "invoice_id": "inv" + number, "subscription_id": bill.span.subscription, "type": "credit" if bill.amount < 0 else "charge",
                "state": "invoiced", "plan_code": bill.span.plan.lower().replace(", ", "-"),
                "origin": {"trial": "plan_trial"}.get(bill.kind, "credit" if bill.amount < 0 else "plan"), "currency": bill.span.currency,
                "amount": _major(bill.amount, bill.span), "description": bill.span.plan + (", for a part" if part else ""),
                "quantity": bill.span.quantity, "unit_amount": _major(0 if bill.kind == "trial" else bill.span.price, bill.span),
                "subtotal": _major(bill.list_price, bill.span), "discount": _major(bill.off, bill.span), "tax": "0.0",
                "proration_rate": f"{bill.list_price / (bill.span.price * bill.span.quantity):.6f}" if part else "", "refund": "false",
                "start_date": at(bill.start), "end_date": at(bill.end),
            })  # fmt: skip
        if extra:
            made["line_item_history"].append(made["line_item_history"][-1] | {
                "id": f"li{number}x", "origin": "setup_fee", "amount": _major(extra, span), "subtotal": _major(extra, span),
                "unit_amount": _major(extra, span), "quantity": 1, "discount": "0.0", "end_date": "", "description": "Set-up",
            })  # fmt: skip
        _charged(made, life, place, number, span, day, paid, amount + tax)


def _charged(made, life, place, number, span, day, paid, whole):
    if whole <= 0:
        return
    row = {
        "id": "t" + number, "created_at": _at(life, paid or day), "account_id": life.customer, "invoice_id": "inv" + number,
        "uuid": "tu" + number, "type": "purchase", "origin": "recurring", "currency": span.currency, "amount": _major(whole, span),
        "status": "success", "success": "true", "refunded": "false", "original_transaction_id": "", "status_message": "",
    }  # fmt: skip
    if paid is None or paid > day:
        made["transaction"].append(
            row
            | {
                "id": row["id"] + "f",
                "created_at": _at(life, day),
                "status": "declined",
                "success": "false",
                "status_message": "No, card declined",
            }
        )
    if paid:
        back = (
            {"refunded": whole, "refunded in part": whole // 2}.get(life.facts["what"], 0)
            if place == 0
            else 0
        )
        made["transaction"].append(row | {"refunded": str(back == whole).lower()})
        if back:
            made["transaction"].append(
                row
                | {
                    "id": row["id"] + "r",
                    "type": "refund",
                    "created_at": _at(life, days(day, 7)),
                    "amount": _major(back, span),
                    "original_transaction_id": row["id"],
                }
            )
