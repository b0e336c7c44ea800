"""Small companies at the edge, as CSV files, and what a run of a notebook said."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd


def words(outcome):
    """All that the notebook showed."""
    return " ".join(str(output) for cell in outcome.notebook.cells for output in cell.get("outputs", []))


def company(folder, customers, stay, payments=()):
    """CSV files of customers who begin from 2022 on and stay some days; None: to the end."""
    rows = []
    for number in range(customers):
        begin, days = dt.date(2022, 1, 1) + dt.timedelta(days=number % 500), stay(number)
        rows.append(
            {
                "subscription_id": f"s{number}", "customer_id": f"c{number}", "plan": "AB"[number % 2],
                "billing_interval": "month", "unit_amount_minor": 1000, "currency": "EUR", "status": "active",
                "started_at": begin, "ended_at": begin + dt.timedelta(days=days) if days else None,
                "end_reason": "voluntary" if days else None,
            }
        )  # fmt: skip
    spans = pd.DataFrame(rows)
    spans.to_csv(folder / "subscriptions.csv", index=False)
    people = spans[["customer_id", "started_at"]].rename(columns={"started_at": "created_at"})
    people.to_csv(folder / "customers.csv", index=False)
    if payments:
        pd.DataFrame(payments).to_csv(folder / "payments.csv", index=False)
    return str(folder)


def one_cohort(folder):
    """400 customers who all began on one day, some of whom bought once."""
    rng = np.random.default_rng(3)
    lives = rng.geometric(rng.beta(1.2, 8, 400))
    paid = [
        {"payment_id": f"p{n}", "customer_id": f"c{n}", "attempted_at": "2023-07-15", "amount_minor": 500,
         "currency": "EUR", "kind": "one_off", "status": "paid"}
        for n in range(50)
    ]  # fmt: skip
    data = company(folder, 400, lambda n: int(lives[n]) * 30 if lives[n] < 18 else None, paid)
    for file in ("subscriptions.csv", "customers.csv"):
        frame = pd.read_csv(folder / file)
        column = "started_at" if "started_at" in frame else "created_at"
        if file == "subscriptions.csv":
            length = pd.to_datetime(frame["ended_at"]) - pd.to_datetime(frame["started_at"])
            frame["ended_at"] = (pd.Timestamp("2022-01-31") + length).dt.date
        frame[column] = dt.date(2022, 1, 31)
        frame.to_csv(folder / file, index=False)
    return data
