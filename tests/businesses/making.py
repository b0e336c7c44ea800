"""What the made-up companies share: lives, spans, bills, and the worth of chances to stay.

All observe the days up to 30 June 2026. Money is in minor units of EUR; times are whole days.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

UNTIL = np.datetime64("2026-07-01")
ECONOMICS = {"margin": 0.7, "fee_share": 0.015, "fee_fixed": 0.25, "discount_rate": 0.1}
YEARS = 30  # how long payments count
MONTHS = {"week": 12 / 52, "month": 1, "year": 12}


@dataclass(frozen=True)
class Company:
    """Tables, what is true of them, and what has to be said so that it comes out.

    Attributes:
        tables: The contract's tables.
        truth: What is right, by name (see each company).
        settings: Keys that company.yml needs beside the usual ones.
        columns: Optional columns that the mapping or the extract must bring, by table.
    """

    tables: dict[str, pd.DataFrame]
    truth: dict[str, float]
    settings: dict[str, object] = field(default_factory=dict)
    columns: dict[str, list[str]] = field(default_factory=dict)

    def write(self, folder: Path, *, told: bool = True) -> str:
        """Write CSV files and a company.yml; unless `told`, without the settings and columns it needs."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, frame in self.tables.items():
            left_out = [] if told else self.columns.get(name, [])
            frame.drop(columns=left_out).to_csv(folder / f"{name}.csv", index=False)
        facts = ECONOMICS | (self.settings if told else {})
        (folder / "company.yml").write_text(yaml.safe_dump(facts))
        return str(folder)


def margin(price, **own):
    """What a charge leaves, by the usual facts or a company's own."""
    facts = ECONOMICS | own
    return price * (facts["margin"] - facts["fee_share"]) - 100 * facts["fee_fixed"]


def factor(months):
    """Today's worth of 1 after some months."""
    return (1 + ECONOMICS["discount_rate"]) ** (-np.asarray(months) / 12)


def worth(price, leave, months=1.0, wait=None, **own):
    """What a life of equal payments is worth: from the first one on, or, of a customer there, after a wait.

    Args:
        price: Of one term.
        leave: The chance not to go on at the end of a term.
        months: A term's length.
        wait: Months to the end of the running term; None: a new customer, who pays at once.
        own: Facts of the company that differ from the usual ones.
    """
    term = np.arange(int(12 * YEARS / months))
    new = wait is None
    times = term * months + (0 if new else np.asarray(wait)[..., None])
    return (margin(price, **own) * (1 - leave) ** (term + (not new)) * factor(times)).sum(axis=-1)


def next_bill(begin, months=1):
    """The first day ahead on which those who began then pay again."""
    due = np.ceil((UNTIL.astype("M8[M]") - begin.astype("M8[M]")).astype(int) / months).astype(int)
    day = later(begin, months * due)
    return np.where(day < UNTIL, later(begin, months * (due + 1)), day)


def until(days):
    """Months from the last day to days ahead."""
    return (np.asarray(days, dtype="M8[D]") - UNTIL).astype(int) / 30.4375


def starts(rng, size, years=3.0):
    """Days on which customers begin: never after the 28th, so that every month has them."""
    months = np.datetime64("2026-07") - rng.integers(1, int(12 * years) + 1, size)
    return months.astype("M8[D]") + rng.integers(1, 28, size)


def later(days, count, unit="month"):
    """The same day after some months, years or weeks."""
    if unit == "week":
        return days + 7 * np.asarray(count)
    months = days.astype("M8[M]")
    return (months + np.asarray(count) * (12 if unit == "year" else 1)).astype("M8[D]") + (days - months)


def waiting(spans):
    """Months until the running term ends, of spans that are on at the end."""
    begun = spans["started_at"].to_numpy("M8[D]")
    unit, count = spans["billing_interval"].iloc[0], spans["billing_interval_count"].to_numpy()
    days = {"week": 7, "month": 30.4375, "year": 365.25}[unit] * count
    return (days - ((UNTIL - begun).astype(int) % days)) / 30.4375


def spans(customer, plan, price, begin, end, unit="month", count=1, quantity=1, **more):
    """Rows of `subscriptions`, one per life; an end after the last day is none."""
    known = np.isnat(end) | (end >= UNTIL)
    rows = {
        "subscription_id": [f"{one}s" for one in customer], "customer_id": customer, "plan": plan,
        "billing_interval": unit, "billing_interval_count": count, "quantity": quantity,
        "unit_amount_minor": price, "currency": "EUR", "status": "active", "started_at": begin,
        "ended_at": np.where(known, np.datetime64("NaT"), end),
        "end_reason": np.where(known, None, "voluntary"),
    }  # fmt: skip
    return pd.DataFrame(rows | more)


def bills(rows, kind="recurring"):
    """The payments of spans: one at the start of each billing interval that has begun."""
    parts = []
    for unit, part in rows[rows["status"] == "active"].groupby("billing_interval"):
        begin = part["started_at"].to_numpy("M8[D]")
        end = part["ended_at"].fillna(pd.Timestamp(UNTIL)).to_numpy("M8[D]")
        price = (part["unit_amount_minor"] * part["quantity"]).to_numpy()
        number, due = 0, np.ones(len(part), dtype=bool)
        while due.any() and (unit != "once" or not number):
            count = number * part["billing_interval_count"].to_numpy()
            day = begin if unit == "once" else later(begin, count, unit)
            due = (day < np.minimum(end, UNTIL)) & (price > 0)
            made = part[["customer_id", "subscription_id"]].assign(attempted_at=day, amount_minor=price)
            parts.append(made[due])
            number += 1
    paid = pd.concat(parts, ignore_index=True).assign(currency="EUR", kind=kind, status="paid")
    return paid.assign(payment_id=[f"p{number}" for number in range(len(paid))])


def tables(rows, paid=None, **columns):
    """The three tables of a company; `columns` are further ones of customers, by customer."""
    first = rows.groupby("customer_id")["started_at"].min()
    people = pd.DataFrame({"customer_id": first.index, "created_at": first.to_numpy()})
    people = people.assign(**{name: people["customer_id"].map(values) for name, values in columns.items()})
    return {"customers": people, "subscriptions": rows, "payments": bills(rows) if paid is None else paid}


def kept(rows, rate, months=12):
    """Gross retention in the last year: of what customers paid a month then, what they still pay now.

    Args:
        rows: Spans.
        rate: What each pays a month.
        months: How long ago then is.
    """
    then = (UNTIL.astype("M8[M]") - months).astype("M8[D]")
    end = rows["ended_at"].fillna(pd.Timestamp("2100-01-01")).to_numpy("M8[D]")
    begin, who = rows["started_at"].to_numpy("M8[D]"), rows["customer_id"].to_numpy()
    was, now = (pd.Series(rate * ((begin < day) & (end >= day))).groupby(who).sum() for day in (then, UNTIL))
    return float(np.minimum(was, now).sum() / was.sum())
