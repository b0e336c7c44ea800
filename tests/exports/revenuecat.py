"""RevenueCat's Scheduled Data Export: a row for every transaction of an app's customers.

The layout is that of the page "Transactions feed" of RevenueCat's documentation: CSV with semicolons, times in UTC,
delivered in several files of which later ones repeat transactions that have changed since. Here are three: what
was known in a first full delivery, a second one with what is new or has changed since, and a part of it again.

What the layout gives: `purchase_price_in_purchased_currency` is what was charged, with tax where the store's prices
include it, and stays when it is refunded (`price_in_purchased_currency` does not); `tax_percentage` is the
part of it that is tax, so that the price before tax is the rest of it. The store's commission is not taken
off. `effective_end_time` is when access ends, grace periods, refunds and upgrades included. A renewal keeps
`original_store_transaction_id`, also after months away. `product_duration` is that of the standard product, and may be
empty: what a transaction bought is the time from `start_time` to `end_time`.

What it lacks: reasons for leaving but for `unsubscribe_detected_at` and `billing_issues_detected_at`; quantities; and
coupons, which show in the price alone. A pause (Google Play) is the time between two transactions of which the
earlier has an `auto_resume_time`. Test purchases, grants and purchases shared in a family are marked, and are no
customers' payments; access bought once is no subscription.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

from exports.making import cents, mixed, ordinary, terms, write_csv
from exports.truth import DAY, Life, Span, Truth, truth_of

Row = dict[str, Any]
AS_OF = dt.date(2026, 5, 28)
FIRST_DELIVERY = dt.date(2025, 10, 15)
GRACE = 16 * DAY
DURATION = {"week": "P1W", "month": "P1M", "year": "P1Y"}
COUNTRIES = {"USD": "US", "EUR": "IT", "JPY": "JP"}
TAX = {"USD": Decimal(0), "EUR": Decimal("0.1803"), "JPY": Decimal("0.0909")}
NAMES = {"week": "Pro, weekly", "month": 'Pro "monthly"', "year": None}
PRICES = {
    "USD": {"week": "2.99", "month": "9.99", "year": "79.99"},
    "EUR": {"week": "2.99", "month": "9.99", "year": "84.99"},
    "JPY": {"week": "350", "month": "1200", "year": "9800"},
}


def offered(interval: str, currency: str, price: str = "", **more: Any) -> Span:
    """A span at what is left of a store's price when its tax is taken off; `plan` is what is charged."""
    charged = Decimal(price or PRICES[currency][interval])
    net = cents(charged * (1 - TAX[currency]), currency)
    return Span(AS_OF, None, net, currency, interval, plan=str(charged), subscription="1", **more)


def _on(span: Span, start: dt.date, end: dt.date | None = None, **more: Any) -> Span:
    return replace(span, start=start, end=end, **more)


def _chosen() -> Iterator[Life]:
    day, month, year = dt.date, offered("month", "EUR"), offered("year", "EUR")
    half, early = offered("month", "EUR", "4.99"), offered("month", "USD", "7.99")
    ahead = offered("month", "EUR", "19.99", count=3)
    dollars, yen = offered("month", "USD"), offered("month", "JPY")

    def life(name: str, *spans: Span, **facts: Any) -> Life:
        return Life(name, spans, facts=facts)

    def trial(span: Span, start: dt.date, reason: str = "") -> Span:
        return _on(span, start, start + 7 * DAY, status="trialing", reason=reason)

    for number, (span, start) in enumerate(
        [
            (month, day(2024, 6, 3)),
            (yen, day(2025, 1, 10)),
            (year, day(2025, 2, 5)),
            (dollars, day(2026, 4, 2)),
        ]
    ):
        yield life(f"converted_{number}", trial(span, start), _on(span, start + 7 * DAY))
        yield life(f"declined_{number}", trial(span, start + DAY, "voluntary" if number % 2 else ""))
    yield life("trying_now", trial(month, day(2026, 5, 24)))
    yield life(
        "coupon_three_months", _on(half, day(2025, 3, 4), day(2025, 6, 4)), _on(month, day(2025, 6, 4))
    )
    yield life(
        "coupon_paid_ahead", _on(ahead, day(2025, 7, 9), day(2025, 10, 9)), _on(month, day(2025, 10, 9))
    )
    yield life("price_kept_for_ever", _on(early, day(2024, 3, 11)))
    yield life(
        "up", _on(month, day(2025, 2, 6), day(2025, 9, 19), reason="upgraded"), _on(year, day(2025, 9, 19))
    )
    yield life("down", _on(year, day(2024, 8, 8), day(2025, 8, 8)), _on(month, day(2025, 8, 8)))
    yield life(
        "late_but_paid",
        _on(month, day(2025, 1, 12), day(2025, 8, 12)),
        _on(month, day(2025, 8, 12), day(2025, 8, 22), status="past_due"),
        _on(month, day(2025, 8, 22)),
    )
    yield life(
        "late_over_a_month_end",
        _on(dollars, day(2025, 1, 24), day(2025, 10, 24)),
        _on(dollars, day(2025, 10, 24), day(2025, 11, 5), status="past_due"),
        _on(dollars, day(2025, 11, 5), day(2026, 3, 5)),
    )
    unpaid = day(2025, 12, 7)
    yield life(
        "never_paid",
        _on(month, day(2025, 2, 7), unpaid),
        _on(month, unpaid, unpaid + GRACE, status="past_due", reason="involuntary"),
    )
    yield life(
        "owing_now",
        _on(yen, day(2025, 5, 20), day(2026, 5, 20)),
        _on(yen, day(2026, 5, 20), status="past_due"),
    )
    refunded = day(2025, 10, 20)
    yield life(
        "refunded_and_left", _on(month, day(2025, 4, 3), refunded), refunds={day(2025, 10, 3): refunded}
    )
    yield life(
        "refunded_and_stayed", _on(dollars, day(2025, 6, 5)), refunds={day(2025, 12, 5): day(2026, 1, 9)}
    )
    yield life(
        "paused",
        _on(month, day(2025, 1, 9), day(2025, 7, 9)),
        _on(month, day(2025, 7, 9), day(2025, 8, 15), status="paused"),
        _on(month, day(2025, 8, 15)),
        store="play_store",
    )
    yield life(
        "paused_now",
        _on(yen, day(2025, 3, 2), day(2026, 5, 2)),
        _on(yen, day(2026, 5, 2), status="paused"),
        store="play_store",
    )
    yield life("came_back", _on(dollars, day(2024, 5, 6), day(2024, 11, 6)), _on(dollars, day(2025, 9, 8)))
    yield life("two_at_once", _on(month, day(2025, 1, 5)), _on(year, day(2025, 3, 3), subscription="2"))
    yield life("leaving", _on(month, day(2025, 9, 2), day(2026, 6, 2), reason="voluntary"))
    yield life("bill_that_failed_at_once", _on(dollars, day(2025, 1, 4), day(2025, 5, 4)), store="play_store")


def told() -> list[Life]:
    """The lives, as the export tells of them."""
    rng = Random(15)
    lives = list(_chosen())
    for interval, leave, count in (("month", 0.08, 48), ("year", 0.45, 14), ("week", 0.05, 5)):
        for number in range(count):
            offer = offered(interval, rng.choice(["USD", "EUR", "EUR", "JPY"]))
            span = ordinary(rng, offer, dt.date(2024, 1, 1), AS_OF, leave)
            told = "voluntary" if span.end and rng.random() < 0.8 else ""
            lives.append(Life(f"{interval}_{number}", (replace(span, reason=told),)))
    return [replace(life, customer=f"$RCAnonymousID:{life.customer}") for life in lives]


def write(folder: Path) -> Truth:
    """Write three deliveries."""
    rng, lives = Random(115), told()
    rows = [row for life in lives for row in _of_life(life, rng)] + _of_nobody(rng)
    for number, row in enumerate(rows):
        row["store_transaction_id"] = 480_000_000_000 + 7 * number
        row["original_store_transaction_id"] = rows[number + 1 - row["renewal_number"]][
            "store_transaction_id"
        ]
    early = [row for row in rows if row["start_time"].date() < FIRST_DELIVERY]
    first = [_as_of_the_first(row) for row in early]
    second = [row for row in rows if row not in first]
    for name, part in (("1", first), ("2", mixed(rng, second, 9)), ("3", rng.sample(second, 5))):
        write_csv(folder / "transactions" / f"transactions_{name}.csv", map(_written, part), delimiter=";")
    return truth_of(lives, AS_OF)


def _of_life(life: Life, rng: Random) -> list[Row]:
    """The transactions of a customer, subscription by subscription, each in the order of time."""
    clock = dt.time(rng.randint(1, 22), rng.randint(0, 59), rng.randint(0, 40))

    def at(day: dt.date) -> dt.datetime:
        return dt.datetime.combine(day, clock)

    found: list[Row] = []
    for name in sorted({span.subscription for span in life.spans}):
        rows: list[Row] = []
        for span in (span for span in life.spans if span.subscription == name):
            if span.status == "paused":
                rows[-1]["auto_resume_time"] = at(span.end or span.start + 60 * DAY)
            elif span.status == "past_due":
                over = at(span.start + GRACE)
                rows[-1] |= {"billing_issues_detected_at": at(span.start), "grace_period_end_time": over}
                rows[-1]["effective_end_time"] = over
            else:
                rows += _of_span(span, life, at, len(rows), rng)
            if span.reason == "voluntary":
                early, late = rows[-1]["start_time"], rows[-1]["effective_end_time"] - dt.timedelta(days=1)
                rows[-1]["unsubscribe_detected_at"] = late if late.date() <= AS_OF else early
        found += rows
    seen = at(min(span.start for span in life.spans) - rng.randint(0, 9) * DAY)
    return [{**row, "first_seen_time": seen} for row in found]


def _of_span(
    span: Span, life: Life, at: Callable[[dt.date], dt.datetime], before: int, rng: Random
) -> Iterator[Row]:
    """The transactions of paid time, or of a trial; `before` of the subscription there were already."""
    trial = span.status == "trialing"
    charged, refunds = Decimal(0 if trial else span.plan), life.facts.get("refunds", {})
    bought = [(span.start, span.end)] if trial else terms(span, AS_OF)
    for number, (start, over) in enumerate(bought, start=before + 1):
        upgraded = span.reason == "upgraded" and span.end and over > span.end
        refund = refunds.get(start)
        kept = Decimal("3.41") if upgraded else Decimal(0) if refund else charged
        # A renewal follows the term before within a minute.
        begin = at(start) + dt.timedelta(seconds=rng.randint(0, 15) if number > 1 else 0)
        yield {
            "rc_original_app_user_id": life.customer,
            "rc_last_seen_app_user_id_alias": life.customer,
            "country": COUNTRIES[span.currency],
            "country_source": "from_sdk",
            "product_identifier": f"pro_{span.interval}",
            "product_display_name": NAMES[span.interval],
            "product_duration": None if span.interval == "year" and number % 2 else DURATION[span.interval],
            "start_time": begin,
            "end_time": at(over),
            "grace_period_end_time": None,
            "effective_end_time": at(min(over, span.end or over)),
            "store": life.facts.get("store", "app_store"),
            "is_auto_renewable": True,
            "is_trial_period": trial,
            "is_in_intro_offer_period": span.plan in ("4.99", "19.99"),
            "is_sandbox": False,
            "price_in_usd": kept,
            "purchase_price_in_usd": charged,
            "takehome_percentage": 0.7,
            "tax_percentage": TAX[span.currency],
            "commission_percentage": (Decimal("0.3") * (1 - TAX[span.currency])).quantize(Decimal("0.0001")),
            "store_transaction_id": None,
            "original_store_transaction_id": None,
            "refunded_at": at(refund) if refund else None,
            "unsubscribe_detected_at": None,
            "billing_issues_detected_at": None,
            "purchased_currency": span.currency,
            "price_in_purchased_currency": kept,
            "purchase_price_in_purchased_currency": charged,
            "entitlement_identifiers": json.dumps(["pro", "full_access"]),
            "renewal_number": number,
            "is_trial_conversion": before == 1 and number == 2 and life.spans[0].status == "trialing",
            "presented_offering": 'Default, "spring"',
            "ownership_type": "PURCHASED",
            "reserved_subscriber_attributes": json.dumps(
                {"$ip": {"value": "203.0.113.7", "updated_at_ms": 1}}
            ),
            "custom_subscriber_attributes": None,
            "platform": "android" if life.facts.get("store") == "play_store" else "iOS",
            "updated_at": None,
            "offer": "half for three months" if span.plan == "4.99" else None,
            "offer_type": "introductory" if trial or span.plan in ("4.99", "19.99") else None,
            "first_seen_time": None,
            "auto_resume_time": None,
        }


def _of_nobody(rng: Random) -> list[Row]:
    """Transactions that are no subscription of a paying customer: each is one that would be, but for a mark."""
    span = replace(offered("month", "USD"), start=dt.date(2025, 6, 4), end=dt.date(2025, 7, 4))
    found = []
    for name, marks in (
        ("sandbox", {"is_sandbox": True}),
        ("granted", {"store": "promotional", "price_in_usd": None, "purchase_price_in_purchased_currency": None}),
        ("family", {"ownership_type": "FAMILY_SHARED", "purchase_price_in_purchased_currency": Decimal(0)}),
        ("bought_for_life", {"is_auto_renewable": False, "product_identifier": "pro_lifetime", "product_duration": None,
                             "end_time": None, "effective_end_time": None}),
        # Google's way to take back a purchase whose bill failed: it ends before it begins.
        ("taken_back", {"store": "play_store", "end_time": dt.datetime(2025, 6, 3), "effective_end_time": dt.datetime(2025, 6, 3)}),
    ):  # fmt: skip
        row = _of_life(Life(f"$RCAnonymousID:{name}", (span,)), rng)[0]
        found.append(row | marks)
    return found


def _as_of_the_first(row: Row) -> Row:
    """A transaction as the first delivery knew it: without what was detected after it."""
    known = dict(row)
    for name in ("refunded_at", "unsubscribe_detected_at", "billing_issues_detected_at"):
        if row[name] and row[name].date() >= FIRST_DELIVERY:
            known |= {name: None, "effective_end_time": row["end_time"]}
            known |= {"price_in_purchased_currency": row["purchase_price_in_purchased_currency"]}
            if name == "billing_issues_detected_at":
                known["grace_period_end_time"] = None
    if row["auto_resume_time"] and row["end_time"].date() >= FIRST_DELIVERY:
        known["auto_resume_time"] = None
    if row["end_time"] and row["effective_end_time"] < row["end_time"] and not row["refunded_at"]:
        known["effective_end_time"] = (
            row["end_time"]
            if row["effective_end_time"].date() >= FIRST_DELIVERY
            else row["effective_end_time"]
        )
    return known


def _written(row: Row) -> Row:
    """A row as it is delivered; `updated_at` is after all that it knows of."""
    detected = [
        row[name] for name in ("refunded_at", "unsubscribe_detected_at", "billing_issues_detected_at")
    ]
    row = row | {"updated_at": max(filter(None, [row["start_time"], *detected])) + dt.timedelta(minutes=3)}
    return {name: str(value).lower() if isinstance(value, bool) else value for name, value in row.items()}
