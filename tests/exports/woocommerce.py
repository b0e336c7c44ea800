"""WooCommerce Subscriptions, as its CSV exporter writes them: one row a subscription.

Columns as in the "WooCommerce Subscriptions Importer and Exporter" (its README and exporter): dates are GMT and a
date that is not set is 0; statuses have the prefix wc-; amounts have two decimals whatever the currency; `order_items` holds each
item's name, quantity and total, which is for the whole line, after discounts and without tax; `order_total` is with tax
and shipping.

What it lacks: history. Items, prices, quantities and coupons are today's, since it began, and pauses that are
over are unknown; a subscription that was switched to another billing period ends as wc-switched, and a new one begins.
A status is today's. On hold is what waits for a payment, or was put there by hand; the layout tells neither which nor since
when, but a renewal order that failed is the last order, so it is taken for unpaid since `last_payment_date` (here, where
nobody puts any on hold by hand). A subscription that was cancelled in the end since nobody paid cannot be told
from one that its customer cancelled: it ends with `end_date`. One cancelled that is still paid for is wc-pending-cancel, with an
`end_date` ahead. wc-pending never began. The truth is what can be known.
"""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

from exports.lives import AS_OF, at_utc, bills, days, lives, own_spans, settled
from exports.making import write_csv
from exports.truth import Life, Span, Truth, truth_of

ZONE = "Europe/Berlin"
LEFT_OUT = ("test", "pause going on")


def _rows() -> list[tuple[Life, list[tuple[list[Span], list[Span]]]]]:
    """Each life, with its subscriptions as they were and as rows tell them."""
    made = []
    for life in lives(lambda n: str(100 + n), lambda n: str(5000 + 3 * n), without=LEFT_OUT):
        subs = []
        for own in own_spans(life).values():
            if life.facts["what"] == "switch to a year":
                subs += [([own[0]], [own[0]])]
                own = [replace(own[1], subscription=str(int(own[1].subscription) + 1))]
            told = settled(own)
            if own[-1].reason == "involuntary":  # as if a customer had cancelled
                told = [*told[:-2], replace(told[-2], end=own[-1].end)]
            told = [replace(s, off=own[-1].off) if s.status == "active" else s for s in told]
            if life.facts["what"] == "seats" and own[0].currency == "EUR":  # two items in one subscription
                told = [
                    *told,
                    *(
                        replace(s, price=1900, quantity=1, plan="Basic", subscription=s.subscription + "+")
                        for s in told
                    ),
                ]
            subs.append((own, told))
        made.append((life, subs))
    return made


def told() -> list[Life]:
    """The lives as this layout can tell them."""
    return [replace(life, spans=tuple(s for _, spans in subs for s in spans)) for life, subs in _rows()]


def write(folder: Path) -> Truth:
    rng = random.Random(15)
    rows = [_row(life, own, spans) for life, subs in _rows() for own, spans in subs]
    rows.append(rows[0] | {"subscription_id": "9999", "subscription_status": "wc-pending", "customer_id": "999",
                           "trial_end_date": "0", "last_payment_date": "0"})  # fmt: skip
    rows += rng.sample(rows, 2)
    rng.shuffle(rows)
    write_csv(folder / "subscriptions.csv", rows)
    return truth_of(told(), AS_OF)


def _row(life, own, spans):
    last, first = own[-1], own[0]
    tried = first if first.status == "trialing" else None
    at = lambda day: f"{at_utc(day, life.facts['at'], ZONE):%Y-%m-%d %H:%M:%S}" if day else "0"  # noqa: E731
    paid = [bill for bill in bills(own) if bill.kind == "full"]
    status, end = "wc-active", None
    if last.reason == "switched":
        status, end = "wc-switched", last.end
    elif last.end:
        status, end = "wc-cancelled", last.end
    elif last.reason == "asked":
        status, end = "wc-pending-cancel", paid[-1].end
    elif last.status == "past_due":
        status = "wc-on-hold"
    trial_end = tried and (tried.end or days(tried.start, 14))
    following = paid[-1].end if paid else trial_end
    items = [s for s in spans if s.status == "active" and s.start == spans[-1].start] or [last]
    total = sum(s.price * s.quantity - s.off for s in items)
    tax = round(total * 0.19) if life.facts["country"] == "DE" else 0
    return {
        "subscription_id": last.subscription, "subscription_status": status, "customer_id": life.customer,
        "start_date": at(first.start), "trial_end_date": at(trial_end),
        "next_payment_date": at(following) if status == "wc-active" else "0",
        "last_payment_date": at(paid[-1].billed if paid else first.start), "end_date": at(end),
        "billing_period": last.interval, "billing_interval": last.count, "order_shipping": "0", "order_shipping_tax": "0",
        "fee_total": "0", "fee_tax_total": "0", "order_tax": _money(tax, last), "cart_discount": _money(sum(s.off for s in items), last),
        "cart_discount_tax": "0", "order_total": _money(total + tax, last), "order_currency": last.currency,
        "payment_method": "stripe", "payment_method_title": "Credit card, saved", "billing_first_name": life.facts["name"],
        "billing_last_name": "", "billing_email": life.facts["email"], "billing_country": life.facts["country"],
        "customer_note": 'Please call: "Bo"' if life.customer == "107" else "",
        "order_items": ";".join(
            f"product_id:{20 + n}|name:{s.plan}|quantity:{s.quantity}|total:{_money(s.price * s.quantity - s.off, s)}|meta:|tax:0.00"
            for n, s in enumerate(items)
        ),
        "coupon_items": f"code:friends|description:|amount:{_money(last.off, last)}" if last.off else "",
        "fee_items": "", "tax_items": "", "download_permissions_granted": "1", "newsletter": "yes",
    }  # fmt: skip


def _money(minor, span):
    return f"{minor:.2f}" if span.currency == "JPY" else f"{minor / 100:.2f}"
