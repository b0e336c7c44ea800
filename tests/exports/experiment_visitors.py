"""A row a visitor of an experiment with prices, as a testing tool exports them: no subscriptions, no vendor's layout.

visitors.csv has `Visitor`, `Experiment`, `Variant`, `Day` (on which the visitor came first, in the company's zone),
`Price shown`, `Currency`, `Converted` (Yes or No), `Revenue` (what the visitor paid until the end of the experiment,
before tax; empty for nothing), and the visitor's `Country` and `Device`.

The truth is what each variant shows, without rows that are there twice: there are no lives in this layout, so no MRR.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from random import Random

from exports.making import major, mixed, write_csv
from exports.truth import DAY

FIRST, DAYS = dt.date(2026, 3, 2), 28
PRICES = {"Control": 2900, "Higher, yearly first": 3900}


@dataclass(frozen=True)
class Shown:
    """What is true of a variant: its visitors, those of them who converted, and what they paid, in minor units."""

    visitors: int
    converted: int
    revenue: int


def write(folder: Path) -> dict[str, Shown]:
    """Write visitors.csv; return the truth by variant."""
    rng = Random(22)
    rows, counts = [], {variant: [0, 0, 0] for variant in PRICES}
    for number in range(1400):
        variant = rng.choice(list(PRICES))
        bought = rng.random() < (0.12 if variant == "Control" else 0.1)
        # Some buy for two people, and some have their money back.
        paid = PRICES[variant] * rng.choice([1, 1, 1, 1, 2, 0]) if bought else 0
        counts[variant] = [a + b for a, b in zip(counts[variant], (1, bought, paid), strict=True)]
        rows.append({
            "Visitor": f"v-{number * 7919 % 100_003:06d}", "Experiment": "Spring prices, 2026", "Variant": variant,
            "Day": FIRST + rng.randrange(DAYS) * DAY, "Price shown": major(PRICES[variant], "EUR"), "Currency": "EUR",
            "Converted": "Yes" if bought else "No", "Revenue": major(paid, "EUR") if paid else None,
            "Country": rng.choice(["IT", "NO", "FR", ""]), "Device": rng.choice(["phone", "desktop"]),
        })  # fmt: skip
    write_csv(folder / "visitors.csv", mixed(rng, rows, 11))
    return {variant: Shown(*count) for variant, count in counts.items()}
