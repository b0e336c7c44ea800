"""A row a customer and month with what the customer paid a month: a spreadsheet, no vendor's layout.

customer_months.csv has `Customer`, `Customer name`, `Month` (its first day), `Plan`, `MRR` (before tax, at the month's
end), `Currency`, `Seats` and `Test` (yes or empty). Somebody with two plans in a month has two rows. An `MRR` of 0 is a
customer who paid nothing for a time (a free month, a pause: the sheet does not say which), who is on hold for up to 90
days and goes on if paid months follow; an empty one is the same.

What the layout lacks: days, so that a paid month is paid from its first day to its last; trials, terms (a yearly plan
is in it with a twelfth a month), unpaid bills, refunds, coupons and reasons. Who has no row in a month had left by its
end, and has come back if there are rows again.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from exports.making import later, major, mixed, ordinary, terms, write_csv
from exports.truth import Life, Span, Truth, truth_of

AS_OF = dt.date(2026, 4, 30)
NAMES = ["Bäcker & Söhne, GmbH", 'Studio "Nove"', "Kyoto Tea K.K.", "O'Brien Ltd, Dublin", ""]


def plan(name: str, price: int, **more: Any) -> Span:
    return Span(AS_OF, None, price, plan=name, subscription=name, **more)


STARTER, TEAM, YEN = (
    plan("Starter", 2900),
    plan("Team, with support", 1500),
    plan("Starter", 4300, currency="JPY"),
)
YEARLY = plan("Starter, yearly", 2417)  # 290.00 a year


def _on(span: Span, first: dt.date, until: dt.date | None = None, **more: Any) -> Span:
    return replace(span, start=first, end=until, **more)


def _chosen() -> Iterator[Life]:
    def month(year: int, number: int) -> dt.date:
        return dt.date(year, number, 1)

    def life(*spans: Span, test: bool = False) -> Life:
        return Life("", spans, test)

    def free(span: Span) -> Span:
        return replace(span, price=0)

    yield life(_on(STARTER, month(2024, 3)))
    yield life(_on(STARTER, month(2024, 3)), test=True)
    # A price for three months, and one for ever.
    yield life(
        _on(replace(STARTER, price=1450), month(2025, 2), month(2025, 5)), _on(STARTER, month(2025, 5))
    )
    yield life(_on(replace(STARTER, price=2320), month(2024, 8)))
    yield life(_on(TEAM, month(2024, 5), month(2025, 6), quantity=3), _on(TEAM, month(2025, 6), quantity=8))
    yield life(_on(TEAM, month(2024, 9), month(2025, 3), quantity=9), _on(TEAM, month(2025, 3), quantity=4))
    yield life(_on(STARTER, month(2025, 1), month(2025, 9)), _on(replace(TEAM, quantity=5), month(2025, 9)))
    yield life(_on(YEARLY, month(2024, 7)))
    # Nothing for a month, for two, for five; and at the end of a life.
    for gone in (1, 2, 5):
        stop = month(2025, 6)
        back = later(stop, gone)
        yield life(_on(STARTER, month(2024, 11), stop), _on(free(STARTER), stop, back), _on(STARTER, back))
    yield life(_on(YEN, month(2024, 12), month(2025, 8)), _on(free(YEN), month(2025, 8), month(2025, 10)))
    yield life(_on(STARTER, month(2024, 6), month(2024, 12)), _on(STARTER, month(2025, 7)))
    yield life(_on(STARTER, month(2025, 1)), _on(TEAM, month(2025, 4), month(2025, 11), quantity=2))
    # Free from the start: a trial, or an account that never paid.
    yield life(_on(free(STARTER), month(2025, 3), month(2025, 4)), _on(STARTER, month(2025, 4)))
    yield life(_on(free(STARTER), month(2025, 3)))


def told() -> list[Life]:
    """The lives, as the export tells of them."""
    rng = Random(19)
    lives = list(_chosen())
    for _ in range(80):
        offer = rng.choice([STARTER, STARTER, TEAM, YEN, YEARLY])
        offer = replace(offer, quantity=rng.randint(1, 6)) if offer is TEAM else offer
        span = ordinary(rng, offer, dt.date(2024, 1, 1), AS_OF, 0.07)
        end = span.end.replace(day=1) if span.end else None
        lives.append(Life("", (replace(span, start=span.start.replace(day=1), end=end),)))
    return [replace(life, customer=f"{1000 + 7 * n}") for n, life in enumerate(lives)]


def write(folder: Path) -> Truth:
    """Write customer_months.csv."""
    rng, lives = Random(119), told()
    rows = []
    for life in lives:
        name = rng.choice(NAMES)
        for span in life.spans:
            for first, _ in terms(span, AS_OF):
                rows.append({
                    "Customer": life.customer, "Customer name": name, "Month": first, "Plan": span.plan,
                    "MRR": major(span.monthly, span.currency) if span.monthly or first.month % 2 else None,
                    "Currency": span.currency, "Seats": span.quantity, "Test": "yes" if life.test else None,
                    "Account manager": 'Carla, "CC"',
                })  # fmt: skip
    write_csv(folder / "customer_months.csv", mixed(rng, rows, 7))
    return truth_of(lives, AS_OF)
