"""A row a subscription and a column a month with what it paid in it: a spreadsheet, no vendor's layout.

wide_months.csv has `Customer`, `Currency`, and a column for each month of 2025 (`Jan 2025`). Who was not there in a month
has an empty cell, a dash or 0 in it; who changed has another amount. What the layout lacks is what customer_months lacks,
and free months, which are months away.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path
from random import Random

from exports.making import later, major, ordinary, terms, write_csv
from exports.truth import Life, Span, Truth, truth_of

AS_OF = dt.date(2025, 12, 31)
OFFERS = [Span(AS_OF, None, 2900), Span(AS_OF, None, 2417), Span(AS_OF, None, 4300, currency="JPY")]


def write(folder: Path) -> Truth:
    """Write wide_months.csv."""
    rng, lives, rows = Random(23), [], []
    months = [dt.date(2025, month, 1) for month in range(1, 13)]
    for number in range(60):
        span = ordinary(rng, rng.choice(OFFERS), months[0], AS_OF, 0.09)
        start, end = span.start.replace(day=1), span.end.replace(day=1) if span.end else None
        spans = [replace(span, start=start, end=end)]
        if number % 5 == 0 and end and (back := later(end, 2)) <= months[-1]:
            spans.append(replace(span, start=back, end=None))  # came back
        if number % 7 == 0 and not end and (raised := later(start, 3)) <= months[-1]:
            spans = [replace(spans[0], end=raised), replace(spans[0], start=raised, price=2 * span.price)]
        lives.append(Life(f"{100 + number}", tuple(spans)))
        paid = {first: major(one.monthly, one.currency) for one in spans for first, _ in terms(one, AS_OF)}
        cells = {f"{first:%b %Y}": paid.get(first, rng.choice([None, "-", "0"])) for first in months}
        rows.append({"Customer": lives[-1].customer, "Currency": span.currency, **cells})
    write_csv(folder / "wide_months.csv", rows)
    return truth_of(lives, AS_OF)
