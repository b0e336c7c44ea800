"""One table of purchases and nothing else, as a shop or a payment provider lists them: no vendor's layout.

transactions.csv has a row a purchase or refund: `order_id`, `bought_at` (in the time of New York, without a zone), `email`
(the customer, in capitals or not), `product`, `months` (how long what was bought lasts; empty for what is bought once),
`amount` (what was charged, tax included), `tax`, `currency`, `type` (purchase or refund), `refund_of`, `discount_code`
and `test` (true for purchases of the company's own).

A purchase for some months lasts from its day to the same day that many months later, or to the customer's next such
purchase, if that comes first. Who buys again on the day on which it is over goes on. A refund gives money back and ends
nothing.

What the layout lacks: requests to cancel and reasons, failed payments and pauses (who buys again after some weeks had
left and come back), trials, quantities, more than one subscription of a customer at a time, and for how long a coupon was
granted, so that it lowers the price of what was bought with it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

from exports.making import major, mixed, ordinary, terms, write_csv
from exports.truth import Life, Span, Truth, truth_of

Row = dict[str, Any]
AS_OF = dt.date(2026, 5, 27)
TAX = {"USD": Fraction(8, 100), "EUR": Fraction(22, 100), "JPY": Fraction(10, 100)}


def plan(name: str, price: int, **more: Any) -> Span:
    """What is bought for a month, unless said otherwise, at its price before tax; its days come later."""
    return Span(AS_OF, None, price, plan=name, subscription="1", **more)


MONTH, QUARTER, YEAR = (
    plan("Monthly", 1200),
    plan("Quarterly, gift wrapped", 3300, count=3),
    plan("Yearly", 11000, count=12),
)
DOLLARS, YEN = plan("Monthly", 1300, currency="USD"), plan("Monthly", 1500, currency="JPY")


def _on(span: Span, start: dt.date, end: dt.date | None = None, **more: Any) -> Span:
    return replace(span, start=start, end=end, **more)


def _chosen() -> Iterator[Life]:
    day = dt.date

    def life(*spans: Span, test: bool = False, **facts: Any) -> Life:
        return Life("", spans, test, facts)

    yield life(_on(MONTH, day(2024, 6, 3)))
    yield life(_on(MONTH, day(2024, 6, 3)), test=True)
    yield life(_on(MONTH, day(2025, 3, 4), day(2025, 6, 4), off=300), _on(MONTH, day(2025, 6, 4)))
    yield life(_on(DOLLARS, day(2024, 5, 9), off=130))
    # Before a month is over, a year; after a year, months; with days between.
    yield life(_on(MONTH, day(2025, 2, 6), day(2025, 9, 19)), _on(YEAR, day(2025, 9, 19)))
    yield life(_on(YEAR, day(2024, 8, 8), day(2025, 8, 8)), _on(MONTH, day(2025, 8, 8)))
    yield life(_on(MONTH, day(2025, 1, 9), day(2025, 7, 9)), _on(MONTH, day(2025, 9, 12)))
    yield life(_on(MONTH, day(2025, 1, 4), day(2025, 7, 4)), _on(MONTH, day(2025, 7, 11)))
    yield life(_on(YEAR, day(2024, 3, 5), day(2025, 3, 5)), _on(YEAR, day(2025, 3, 12)))
    yield life(_on(QUARTER, day(2024, 5, 6), day(2024, 11, 6)), _on(QUARTER, day(2025, 9, 8)))
    yield life(_on(MONTH, day(2025, 4, 3)), refunds={day(2025, 9, 3): day(2025, 9, 10)})
    yield life(_on(YEN, day(2025, 4, 3), day(2025, 12, 3)), refunds={day(2025, 11, 3): day(2025, 11, 5)})
    yield life(_on(MONTH, day(2025, 2, 10)), sold=day(2025, 6, 20))
    yield life(sold=day(2025, 6, 21))


def told() -> list[Life]:
    """The lives, as the export tells of them."""
    rng = Random(21)
    lives = list(_chosen())
    for offer, leave, count in (
        (MONTH, 0.08, 28),
        (DOLLARS, 0.08, 20),
        (YEN, 0.08, 12),
        (QUARTER, 0.2, 10),
        (YEAR, 0.4, 12),
    ):
        for _ in range(count):
            lives.append(Life("", (ordinary(rng, offer, dt.date(2024, 1, 1), AS_OF, leave),)))
    return [replace(life, customer=f"zoe.{n}+club@example.com") for n, life in enumerate(lives)]


def write(folder: Path) -> Truth:
    """Write transactions.csv."""
    rng, lives = Random(121), told()
    rows = [row for life in lives for row in _of_life(life, rng)]
    for number, row in enumerate(rows):
        row["order_id"] = 700_100 + number
        if row["type"] == "refund":
            row["refund_of"] = row["order_id"] - 1
    write_csv(folder / "transactions.csv", mixed(rng, rows, 8))
    return truth_of([life for life in lives if life.spans], AS_OF)


def _of_life(life: Life, rng: Random) -> Iterator[Row]:
    """The purchases and refunds of a customer."""

    def row(day: dt.date, product: str, months: int | None, net: int, currency: str, **more: Any) -> Row:
        tax = round(net * TAX[currency])
        return {
            "order_id": None,
            "bought_at": f"{day} {rng.choice([0, *range(3, 24)]):02d}:{rng.randint(0, 59):02d}:{rng.randint(0, 59):02d}",
            "email": life.customer.upper() if rng.random() < 0.1 else life.customer, "product": product,
            "months": months, "amount": major(net + tax, currency), "tax": major(tax, currency),
            "currency": currency, "type": "purchase", "refund_of": None, "discount_code": None,
            "test": "true" if life.test else "false", "note": 'left, "at the door"' if rng.random() < 0.05 else None, **more,
        }  # fmt: skip

    for span in life.spans:
        for start, _ in terms(span, AS_OF):
            code = {"discount_code": "SPRING" if span.end else "FRIEND"} if span.off else {}
            bought = (span.plan, span.count, span.price - span.off, span.currency)
            yield row(start, *bought, **code)
            back = life.facts.get("refunds", {}).get(start)
            if back:
                yield row(back, *bought, type="refund")
    if "sold" in life.facts:
        yield row(life.facts["sold"], "Poster, A2", None, 2500, "EUR")
