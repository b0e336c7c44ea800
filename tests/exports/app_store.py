"""App Store Connect's Subscriber Report: a row for every payment, trial and refund of a subscriber.

The layout is that of the page "Subscriber Report" (version 1_3) of App Store Connect's help: text with tabs, a file a
day, days of Pacific Time without a time of day, blanks as a space. Here the files of all days are one,
subscriber.csv. The Subscription Event Report of the same name counts events and names neither subscribers nor
prices, so that no life can be known from it.

What the layout gives: `Customer Price` is what was charged, with tax where a country's prices include it, and `Developer
Proceeds` what is paid out for it, after tax and commission. The commission is taken of the price before tax: 15 % where
`Proceeds Reason` says "Rate After One Year", else 30 % (of a developer in Apple's Small Business Program always 15 %,
which the report does not say). So the price before tax is the proceeds over 0.85 or 0.7. A row of a refund
has negative amounts, and the day of what is refunded in `Purchase Date`. Within a Subscription Group a subscriber
has one subscription at a time: a row of another product ends the one before.

What it lacks: when a subscription was cancelled or why it ended, pauses (the store has none), quantities of
subscriptions, and failed payments: where one is made good late, there is a gap between two payments, and this company
has none that reaches over a month's end. So the truth knows a paid time as over when what was bought is.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from random import Random
from typing import Any

from exports.making import NO_MINOR_UNITS, cents, later, mixed, ordinary, terms, write_csv
from exports.truth import DAY, Life, Span, Truth, truth_of

Row = dict[str, Any]
AS_OF = dt.date(2026, 4, 28)
TAX = {"USD": Decimal(1), "EUR": Decimal("1.22"), "JPY": Decimal("1.1")}
COUNTRIES = {"USD": "US", "EUR": "IT", "JPY": "JP"}
PRICES = {
    "USD": {"month": "9.99", "year": "79.99"},
    "EUR": {"month": "9.99", "year": "84.99"},
    "JPY": {"month": "1200", "year": "9800"},
}
BLANK = " "


def proceeds(charged: Decimal, currency: str, share: str) -> Decimal:
    """What Apple pays out, in whole cents or yen."""
    whole = Decimal(1) if currency in NO_MINOR_UNITS else Decimal("0.01")
    return (charged / TAX[currency] * Decimal(share)).quantize(whole, ROUND_HALF_UP)


def offered(interval: str, currency: str, price: str = "", **more: Any) -> Span:
    """A span at a store's price before tax, as the proceeds tell it; `plan` is what is charged."""
    charged = Decimal(price or PRICES[currency][interval])
    both = [cents(proceeds(charged, currency, share) / Decimal(share), currency) for share in ("0.7", "0.85")]
    span = Span(AS_OF, None, both[0], currency, interval, plan=str(charged), subscription="7001", **more)
    # Whichever commission was taken, a month comes to the same.
    assert span.monthly == replace(span, price=both[1]).monthly, (charged, both)
    return span


def _on(span: Span, start: dt.date, end: dt.date | None = None, **more: Any) -> Span:
    return replace(span, start=start, end=end, **more)


def _chosen() -> Iterator[Life]:
    day, month, year = dt.date, offered("month", "EUR"), offered("year", "EUR")
    dollars, yen = offered("month", "USD"), offered("month", "JPY")
    half, kept = offered("month", "EUR", "4.99"), offered("month", "USD", "7.99")
    ahead = offered("month", "USD", "19.99", count=3)

    def life(*spans: Span, **facts: Any) -> Life:
        return Life("", spans, facts=facts)

    def trial(span: Span, start: dt.date) -> Span:
        return _on(span, start, start + 7 * DAY, status="trialing")

    for span, start in [(month, day(2024, 5, 3)), (yen, day(2025, 1, 10)), (year, day(2025, 2, 5)), (dollars, day(2026, 3, 2))]:  # fmt: skip
        yield life(trial(span, start), _on(span, start + 7 * DAY))
        yield life(trial(span, start + DAY))
    yield life(trial(month, day(2026, 4, 25)))
    yield life(_on(half, day(2025, 3, 4), day(2025, 6, 4)), _on(month, day(2025, 6, 4)))
    yield life(_on(ahead, day(2025, 7, 9), day(2025, 10, 9)), _on(dollars, day(2025, 10, 9)))
    yield life(_on(kept, day(2024, 3, 11)))
    # An upgrade begins at once, a downgrade when what was paid is used up.
    yield life(_on(month, day(2025, 2, 6), day(2025, 9, 19)), _on(year, day(2025, 9, 19)))
    yield life(_on(year, day(2024, 8, 8), day(2025, 8, 8)), _on(month, day(2025, 8, 8)))
    # A payment that failed, and was made good five days late.
    yield life(_on(month, day(2025, 1, 12), day(2025, 8, 12)), _on(month, day(2025, 8, 17)))
    yield life(_on(dollars, day(2025, 2, 7), day(2025, 12, 7)))
    # Refunds: of a month long over, and of the last one after it was over.
    yield life(_on(month, day(2025, 4, 3)), refunds={day(2025, 10, 3): day(2025, 11, 17)})
    yield life(_on(yen, day(2025, 4, 3), day(2025, 12, 3)), refunds={day(2025, 11, 3): day(2025, 12, 9)})
    yield life(_on(dollars, day(2024, 5, 6), day(2024, 11, 6)), _on(dollars, day(2025, 9, 8)))
    yield life(_on(month, day(2025, 1, 5)), _on(year, day(2025, 3, 3), subscription="7002"))


def told() -> list[Life]:
    """The lives, as the export tells of them."""
    rng = Random(16)
    lives = list(_chosen())
    for interval, leave, count in (("month", 0.08, 56), ("year", 0.45, 16)):
        for _ in range(count):
            offer = offered(interval, rng.choice(["USD", "USD", "EUR", "JPY"]))
            lives.append(Life("", (ordinary(rng, offer, dt.date(2024, 1, 1), AS_OF, leave),)))
    return [replace(life, customer=str(30_100_000_000_000 + 917 * n)) for n, life in enumerate(lives)]


def write(folder: Path) -> Truth:
    """Write subscriber.csv."""
    rng, lives = Random(116), told()
    rows = [row for life in lives for row in _of_life(life)]
    write_csv(folder / "subscriber.csv", mixed(rng, rows, 6), delimiter="\t")
    return truth_of(lives, AS_OF)


def _of_life(life: Life) -> Iterator[Row]:
    """A row a payment, trial or refund."""
    for span in life.spans:
        trial = span.status == "trialing"
        charged = Decimal(0) if trial else Decimal(span.plan)
        paid_spans = [s for s in life.spans if s.subscription == span.subscription and s.status == "active"]
        began = min((s.start for s in paid_spans), default=span.start)
        for start, _over in [(span.start, span.end)] if trial else terms(span, AS_OF):
            old = start >= later(began, 1, "year")
            paid = proceeds(charged, span.currency, "0.85" if old else "0.7")
            row = _row(life, span, start, charged, paid, "Rate After One Year" if old else BLANK)
            yield row
            refunded = life.facts.get("refunds", {}).get(start)
            if refunded:
                back = {"Customer Price": -charged, "Developer Proceeds": -paid, "Units": -1}
                yield row | back | {"Event Date": refunded, "Refund": "Yes", "Purchase Date": start}


def _row(life: Life, span: Span, day: dt.date, charged: Decimal, paid: Decimal, why: str) -> Row:
    offer, lasts = {
        "4.99": ("Pay As You Go", "3 Months"),
        "19.99": ("Pay Up Front", "3 Months"),
    }.get(span.plan, (BLANK, BLANK))
    if span.status == "trialing":
        offer, lasts = "Free Trial", "7 Days"
    name = "Pro, yearly" if span.interval == "year" else 'Pro "monthly"'
    return {
        "Event Date": day,
        "App Name": "Made-up Recipes",
        "App Apple ID": 1_490_000_001,
        "Subscription Name": name,
        "Subscription Apple ID": 1_490_000_100 + (span.interval == "year"),
        "Subscription Group ID": f"2068{span.subscription}",
        "Standard Subscription Duration": "1 Year" if span.interval == "year" else "1 Month",
        "Subscription Offer Name": "Half for a quarter" if span.plan == "4.99" else BLANK,
        "Promotional Offer ID": BLANK,
        "Subscription Offer Type": offer,
        "Subscription Offer Duration": lasts,
        "Marketing Opt-In Duration": BLANK,
        "Customer Price": charged,
        "Customer Currency": span.currency,
        "Developer Proceeds": paid,
        "Proceeds Currency": span.currency,
        "Preserved Pricing": "Yes" if span.plan == "7.99" else BLANK,
        "Proceeds Reason": why,
        "Client": BLANK,
        "Device": "iPhone",
        "Country": COUNTRIES[span.currency],
        "Subscriber ID": life.customer,
        "Subscriber ID Reset": BLANK,
        "Refund": BLANK,
        "Purchase Date": BLANK,
        "Units": 1,
        "Report": "Subscriber_80012345",
    }
