"""Recharge as it is synced to a warehouse: customers, subscriptions as they are now, charges and their lines.

Tables and columns are those of Recharge's API ("Charges", "Subscriptions" and "Discounts" in its reference) under the
names of Fivetran's connector (dbt_recharge): customer, subscription, charge, charge_line_item, charge_discount
and discount, with the charge's currency. Times are UTC.

What the layout gives: a line of a charge has the title, price and quantity of its subscription at the time, so that
switches and changes of quantity are known from lines alone: a subscription only has those of today. Prices are before
tax and shipping. A charge covers the time from the day it was scheduled on to the next; what a term is, is said by
`charge_interval_frequency` in units of `order_interval_unit` (a prepaid subscription is charged for several orders
at once). One that failed is tried again under the same id, so that `processed_at` comes after `scheduled_at`
where it was paid late, and the next is due a term after it was paid. A skipped charge is a pause of one term. A line
without a subscription is sold once. How long a coupon lasts is said by its `duration`: single_use, usage_limit or forever.

What it lacks: an interval that has changed, trials, accounts for tests, and the day on which paid service ended: a
cancelled subscription is served for the term of its last charge.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from exports.making import later, major, mixed, ordinary, terms, write_csv
from exports.truth import DAY, Life, Span, Truth, truth_of

Row = dict[str, Any]
AS_OF = dt.date(2026, 3, 28)
COUPONS = {
    "TEN4EVER": ("forever", None, "percentage", "10"),
    "QUARTER3": ("usage_limit", 3, "percentage", "25"),
    "WELCOME": ("single_use", 1, "fixed_amount", "5.00"),
}
NAMES = [("Zoë", "O'Neil"), ("Anna", 'Rossi, "Annina"'), ("Ken", "Tanaka"), ("Lee", "")]


def box(price: int = 2400, currency: str = "USD", **more: Any) -> Span:
    """A box a month, unless said otherwise; its days come later."""
    return Span(AS_OF, None, price, currency, subscription="1", **({"plan": "Coffee, 250 g"} | more))


def _on(span: Span, start: dt.date, end: dt.date | None = None, **more: Any) -> Span:
    return replace(span, start=start, end=end, **more)


def _chosen() -> Iterator[Life]:
    day, one = dt.date, box()
    yen, euro = box(3200, "JPY"), box(1990, "EUR")
    big = box(3900, plan='Coffee "grand", 1 kg')

    def life(*spans: Span, **facts: Any) -> Life:
        return Life("", spans, facts=facts)

    yield life(
        _on(one, day(2025, 3, 4), day(2025, 6, 4), off=600), _on(one, day(2025, 6, 4)), coupon="QUARTER3"
    )
    yield life(_on(euro, day(2025, 1, 9), off=199), coupon="TEN4EVER")
    yield life(_on(one, day(2025, 2, 3)), coupon="WELCOME")
    yield life(_on(one, day(2024, 9, 6), day(2025, 4, 6)), _on(big, day(2025, 4, 6)))
    yield life(_on(big, day(2024, 7, 2), day(2025, 1, 2)), _on(one, day(2025, 1, 2)))
    yield life(_on(yen, day(2024, 8, 5), day(2025, 5, 5)), _on(yen, day(2025, 5, 5), quantity=3))
    skip = day(2025, 7, 9)
    yield life(
        _on(one, day(2025, 1, 9), skip),
        _on(one, skip, later(skip, 1), status="paused"),
        _on(one, later(skip, 1)),
    )
    skip = day(2025, 11, 11)
    yield life(
        _on(yen, day(2025, 4, 11), skip),
        _on(yen, skip, later(skip, 2), status="paused"),
        _on(yen, later(skip, 2)),
    )
    late = day(2025, 8, 27)
    yield life(
        _on(euro, day(2025, 1, 27), late),
        _on(euro, late, late + 10 * DAY, status="past_due"),
        _on(euro, late + 10 * DAY),
    )
    unpaid = day(2025, 10, 7)
    yield life(
        _on(one, day(2025, 2, 7), unpaid),
        _on(one, unpaid, unpaid + 21 * DAY, status="past_due", reason="involuntary"),
    )
    yield life(_on(one, day(2025, 5, 22), day(2026, 3, 22)), _on(one, day(2026, 3, 22), status="past_due"))
    yield life(_on(one, day(2025, 4, 3)), refunds={day(2025, 9, 3): ("refunded", "27.60")})
    yield life(
        _on(one, day(2025, 4, 8), day(2025, 12, 8), reason="voluntary"),
        refunds={day(2025, 11, 8): ("refunded", "27.60")},
    )
    yield life(_on(euro, day(2025, 6, 8)), refunds={day(2025, 10, 8): ("partially_refunded", "5.00")})
    yield life(
        _on(one, day(2024, 5, 6), day(2024, 11, 6), reason="voluntary"),
        _on(one, day(2025, 9, 8), subscription="2"),
    )
    yield life(
        _on(one, day(2025, 1, 5)),
        _on(big, day(2025, 3, 3), day(2025, 11, 3), reason="voluntary", subscription="2"),
    )
    # Cancelled, and paid for until April.
    yield life(_on(one, day(2025, 9, 2), day(2026, 4, 2), reason="voluntary"))
    yield life(_on(one, day(2025, 2, 10)), extra={day(2025, 6, 10): ("Mug, blue", 1500)})
    # Six boxes paid at once, one a month; and a box every four weeks.
    yield life(_on(box(13200, count=6, plan="Coffee, six months"), day(2024, 12, 4)), orders=1)
    yield life(_on(box(2100, interval="week", count=4), day(2025, 1, 6)))


def told() -> list[Life]:
    """The lives, as the export tells of them."""
    rng = Random(17)
    lives = list(_chosen())
    offers = [
        box(),
        box(),
        box(1990, "EUR"),
        box(3200, "JPY"),
        box(2100, interval="week", count=4),
        box(6600, count=3),
    ]
    for _ in range(72):
        offer = rng.choice(offers)
        leave = 0.3 if offer.count == 3 else 0.09
        span = ordinary(rng, offer, dt.date(2024, 1, 1), AS_OF, leave)
        lives.append(Life("", (replace(span, reason="voluntary"),)))
    return [replace(life, customer=str(90_000_001 + 13 * n)) for n, life in enumerate(lives)]


def write(folder: Path) -> Truth:
    """Write customer, subscription, charge, charge_line_item, charge_discount and discount."""
    rng, lives = Random(117), told()
    made: dict[str, list[Row]] = {
        "customer": [],
        "subscription": [],
        "charge": [],
        "charge_line_item": [],
        "charge_discount": [],
    }
    for life in lives:
        _add(made, life, rng)
    for name, rows in made.items():
        write_csv(folder / f"{name}.csv", mixed(rng, rows, 0 if name == "customer" else 3))
    write_csv(folder / "discount.csv", [
        {"id": 500 + n, "created_at": "2024-01-01T00:00:00Z", "code": code, "value": value, "discount_type": kind,
         "status": "enabled", "times_used": 1, "duration": lasts, "duration_usage_limit": limit, "once_per_customer": "FALSE"}
        for n, (code, (lasts, limit, kind, value)) in enumerate(COUPONS.items())
    ])  # fmt: skip
    return truth_of(lives, AS_OF)


def _add(made: dict[str, list[Row]], life: Life, rng: Random) -> None:
    """Add a customer's rows."""
    first, last = rng.choice(NAMES)
    begun = min(span.start for span in life.spans)
    made["customer"].append({
        "id": life.customer, "external_customer_id_ecommerce": None, "email": f"c{life.customer}@example.com",
        "created_at": _time(begun, 9), "updated_at": _time(AS_OF, 4), "first_charge_processed_at": _time(begun, 10),
        "first_name": first, "last_name": last, "subscriptions_active_count": 1, "has_valid_payment_method": "TRUE",
        "tax_exempt": "FALSE", "_fivetran_deleted": "FALSE", "_fivetran_synced": _time(AS_OF, 5),
    })  # fmt: skip
    for name in sorted({span.subscription for span in life.spans}):
        spans = [span for span in life.spans if span.subscription == name]
        number = f"6{life.customer}{name}"
        due = None
        for span in spans:
            due = _charge(made, life, span, number, rng)
        final = spans[-1]
        gone = bool(final.reason and final.end)
        asked = max(final.start, min(final.end - 6 * DAY, AS_OF)) if gone and final.end else None
        made["subscription"].append({
            "id": number, "address_id": f"3{life.customer}", "customer_id": life.customer,
            "created_at": _time(spans[0].start, 9), "cancelled_at": _time(asked, 15) if asked else None,
            "next_charge_scheduled_at": None if gone else _time(due, 0) if due else None,
            "price": major(final.price, final.currency), "quantity": final.quantity,
            "cancellation_reason": {"": None, "voluntary": "I have too much", "involuntary": "Max number of charge attempts was reached"}[final.reason if gone else ""],
            "cancellation_reason_comments": 'Too strong, "burnt"' if gone and rng.random() < 0.2 else None,
            "status": "cancelled" if gone else "active", "product_title": final.plan, "variant_title": None,
            "sku": "C250", "order_interval_unit": final.interval,
            "order_interval_frequency": life.facts.get("orders", final.count), "charge_interval_frequency": final.count,
            "expire_after_specific_number_of_charges": None, "is_prepaid": "TRUE" if "orders" in life.facts else "FALSE",
            "updated_at": _time(AS_OF, 4), "_fivetran_deleted": "FALSE", "_fivetran_synced": _time(AS_OF, 5),
        })  # fmt: skip


def _charge(made: dict[str, list[Row]], life: Life, span: Span, number: str, rng: Random) -> dt.date | None:
    """Add the charges of a span; return the day on which the next one is due."""
    bought = terms(span, AS_OF)
    following = bought[-1][1]
    if span.status == "past_due":
        # It is the failed charge, unless it is paid: then it is the next span's first one, under the same id.
        paid = any(other.start == span.end and other.status == "active" for other in life.spans)
        bought = [] if paid else bought[:1]
    for start, _over in bought:
        late = next((s.start for s in life.spans if s.status == "past_due" and s.end == start), None)
        status, back = life.facts.get("refunds", {}).get(start, ("success", None))
        status = {"paused": "skipped", "past_due": "error"}.get(span.status, status)
        code = _coupon(life, span, start)
        bill, off = span.price * span.quantity, span.off
        if code == "WELCOME":
            off = 500
        extra = life.facts.get("extra", {}).get(start)
        sold = bill + (extra[1] if extra else 0)
        tax, shipping = round((sold - off) * 15 / 100), 500 if span.currency != "JPY" else 600
        charge = f"4{len(made['charge']):07d}"
        day = late or start
        made["charge"].append({
            "id": charge, "address_id": f"3{life.customer}", "customer_id": life.customer,
            "created_at": _time(day - 3 * DAY, 3), "updated_at": _time(start, 10),
            "processed_at": None if status in ("error", "skipped") else _time(start, 10),
            "scheduled_at": _time(day, 0), "orders_count": 1,
            "subtotal_price": major(sold - off, span.currency), "tags": "Subscription, Subscription Recurring Order",
            "total_discounts": major(off, span.currency), "total_line_items_price": major(sold, span.currency),
            "total_price": major(sold - off + tax + shipping, span.currency), "total_tax": major(tax, span.currency),
            "type": "checkout" if start == life.spans[0].start else "recurring", "status": status,
            "total_refunds": back, "currency": span.currency, "payment_processor": "stripe",
            "retry_date": _time(start + 8 * DAY, 0) if status == "error" and span.end is None else None,
            "error_type": "CARD_DECLINED" if status == "error" else None,
            "charge_attempts": 4 if late or status == "error" else 1,
            "_fivetran_deleted": "FALSE", "_fivetran_synced": _time(AS_OF, 5),
        })  # fmt: skip
        lines = [(number, span.plan, span.quantity, span.price)] + (
            [(None, extra[0], 1, extra[1])] if extra else []
        )
        made["charge_line_item"] += [
            {"charge_id": charge, "index": index, "subscription_id": of, "title": title, "variant_title": None,
             "quantity": quantity, "grams": 250, "price": major(price, span.currency), "sku": "C250", "vendor": None,
             "_fivetran_synced": _time(AS_OF, 5)}
            for index, (of, title, quantity, price) in enumerate(lines)
        ]  # fmt: skip
        if code:
            kind, value = COUPONS[code][2:]
            made["charge_discount"].append({
                "charge_id": charge, "index": 0, "id": 500 + list(COUPONS).index(code), "code": code,
                "value": value, "value_type": kind,
            })  # fmt: skip
    return following


def _coupon(life: Life, span: Span, start: dt.date) -> str:
    """The coupon on a charge: one for some time or ever lowers the span, one on a single bill is on the first."""
    code = str(life.facts.get("coupon", ""))
    return code if span.off or (code == "WELCOME" and start == span.start) else ""


def _time(day: dt.date, hour: int) -> str:
    return f"{day}T{hour:02d}:25:07Z"
