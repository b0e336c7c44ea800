"""What writers of exports share: days and terms, ordinary lives, money, and CSV files as messy as real ones."""

from __future__ import annotations

import csv
import datetime as dt
from collections.abc import Iterable
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from random import Random
from typing import Any

from exports.truth import DAY, Span

NO_MINOR_UNITS = {"JPY", "KRW"}


def later(day: dt.date, count: int, interval: str = "month") -> dt.date:
    """The same day after some intervals; days are never after the 28th, so that every month has them."""
    if interval in ("week", "day"):
        return day + count * (7 if interval == "week" else 1) * DAY
    months = day.year * 12 + day.month - 1 + count * (12 if interval == "year" else 1)
    return day.replace(year=months // 12, month=months % 12 + 1)


def terms(span: Span, as_of: dt.date) -> list[tuple[dt.date, dt.date]]:
    """The terms that a span is billed for: their first days and, exclusive, the days on which they are over.

    The last of a span that ends within a term is over after the span is.
    """
    last, found, day = min(span.end or dt.date.max, as_of + DAY), [], span.start
    while day < last:
        following = later(span.start, (len(found) + 1) * span.count, span.interval)
        found.append((day, following))
        day = following
    return found


def ordinary(rng: Random, offer: Span, first: dt.date, as_of: dt.date, leave: float) -> Span:
    """A span that begins on some day up to the 12th of a month and ends after whole terms, or is still on.

    Args:
        rng: Chance.
        offer: What is bought; its days are replaced.
        first: The month in which the earliest may begin.
        as_of: The last day; nothing ends in the 15 days before it, in which a term might still go on.
        leave: The chance to leave after each term.
    """
    months = (as_of.year - first.year) * 12 + as_of.month - first.month
    start = later(first.replace(day=rng.randint(1, 12)), rng.randrange(months))
    count = 1
    while rng.random() > leave and later(start, count * offer.count, offer.interval) <= as_of:
        count += 1
    end = later(start, count * offer.count, offer.interval)
    return replace(offer, start=start, end=end if end <= as_of - 15 * DAY else None)


def cents(amount: Decimal, currency: str) -> int:
    """An amount in minor units, rounded half up."""
    minor = amount if currency in NO_MINOR_UNITS else amount * 100
    return int(minor.quantize(Decimal(1), ROUND_HALF_UP))


def major(minor: int, currency: str) -> str:
    """Minor units as a vendor writes them: 9.99, or 1200 where a currency has no smaller unit."""
    return str(minor) if currency in NO_MINOR_UNITS else f"{Decimal(minor) / 100:.2f}"


def write_csv(file: Path, rows: Iterable[dict[str, Any]], *, delimiter: str = ",") -> None:
    """Write rows, in the columns of the first; None is an empty field."""
    rows = list(rows)
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", encoding="utf-8", newline="") as lines:
        out = csv.DictWriter(lines, list(rows[0]), delimiter=delimiter)
        out.writeheader()
        out.writerows(rows)


def mixed(rng: Random, rows: list[dict[str, Any]], twice: int) -> list[dict[str, Any]]:
    """The rows in no order, some of them twice, as where exports were merged by hand."""
    rows = rows + rng.sample(rows, twice)
    rng.shuffle(rows)
    return rows
