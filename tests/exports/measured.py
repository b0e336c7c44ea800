"""What the library's measures say of a source, in the form of a `Truth`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

import tenure
from exports.truth import Life, Truth
from tenure.measures import acquisition, revenue, subscriptions


def measured(source, as_of: dt.date) -> Truth:
    """Ask the measures all that a truth holds."""
    balances = tenure.collect(revenue.mrr_balances(source, as_of=as_of))
    customers = tenure.collect(revenue.customers_by_month(source, as_of=as_of))
    moves = tenure.collect(revenue.mrr_movements(source, as_of=as_of))
    spells = tenure.collect(subscriptions.spells(source, as_of=as_of))
    trials = tenure.collect(acquisition.trials(source, as_of=as_of))
    left = moves[moves["kind"] == "churn"].groupby("month")["logos"].sum()
    lives = {}
    for who, own in spells.sort_values("spell").groupby("customer_id"):
        first, last = own["start"].iloc[0], own["end"].iloc[-1]
        lives[who] = (_day(first), None if pd.isna(last) else _day(last))
    return Truth(
        as_of,
        {(_month(r.month), r.currency): int(r.mrr_minor) for r in balances.itertuples() if r.mrr_minor},
        {_month(r.month): int(r.paying) for r in customers.itertuples() if r.paying},
        {_month(month): int(-count) for month, count in left.items() if count},
        lives,
        (int(trials["trials"].sum()), int(trials["converted"].sum())),
    )


def differences(found: Truth, truth: Truth) -> list[str]:
    """Each number that is not as it should be, one a line."""
    wrong = []
    for name in ("mrr", "paying", "churned", "lives"):
        one, other = getattr(found, name), getattr(truth, name)
        keys = sorted(one.keys() | other.keys())
        wrong += [
            f"{name} {key}: {one.get(key)}, not {other.get(key)}"
            for key in keys
            if one.get(key) != other.get(key)
        ]
    return wrong + ([f"trials: {found.trials}, not {truth.trials}"] if found.trials != truth.trials else [])


def write_contract(lives: Iterable[Life], folder: Path) -> None:
    """Write lives as contract tables, so that a truth can be compared with the measures before there is a recipe."""
    folder.mkdir(parents=True, exist_ok=True)
    lives = list(lives)
    customers = [
        {"customer_id": one.customer, "created_at": min(s.start for s in one.spans), "is_test": one.test}
        for one in lives
        if one.spans
    ]
    spans = [
        {
            "subscription_id": f"{one.customer} {span.subscription}", "customer_id": one.customer, "plan": span.plan or "Plan",
            "billing_interval": span.interval, "billing_interval_count": span.count, "quantity": span.quantity,
            "unit_amount_minor": span.price, "discount_minor": span.off, "discount_duration": "repeating" if span.off else "",
            "currency": span.currency, "status": span.status, "started_at": span.start, "ended_at": span.end,
            "end_reason": span.reason if span.reason in ("voluntary", "involuntary", "switched") else "",
        }
        for one in lives
        for span in one.spans
    ]  # fmt: skip
    pd.DataFrame(customers).to_csv(folder / "customers.csv", index=False)
    pd.DataFrame(spans).to_csv(folder / "subscriptions.csv", index=False)


def _month(index: int) -> str:
    return f"{index // 12}-{index % 12 + 1:02d}"


def _day(value) -> dt.date:
    return pd.Timestamp(value).date()
