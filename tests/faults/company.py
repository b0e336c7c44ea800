"""A small company as text, to be spoiled a value at a time."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd


def _tables() -> dict[str, pd.DataFrame]:
    """Twelve customers of two plans over a year; a quarter have churned."""
    n, text = 12, {"dtype": "str"}
    ids = [f"C{i:02d}" for i in range(n)]
    start = [f"2024-{i % 6 + 1:02d}-05 10:00:00" for i in range(n)]
    end = [f"2024-{i % 6 + 2:02d}-01 10:00:00" if i % 4 == 0 else "" for i in range(n)]
    money = {"currency": "EUR"}
    customers = {
        "customer_id": ids,
        "created_at": start,
        "country": "IT",
        "channel": "search",
        "birth_year": "1980",
    }
    spans = {
        "subscription_id": [f"S{i:02d}" for i in range(n)], "customer_id": ids, "plan": "Basic",
        "billing_interval": "month", "billing_interval_count": "1", "quantity": "1", "unit_amount_minor": "999",
        "discount_minor": "0", **money, "status": "active", "started_at": start, "ended_at": end,
        "end_reason": ["voluntary" if e else "" for e in end],
    }  # fmt: skip
    payments = {
        "payment_id": [f"P{i:02d}" for i in range(n)], "customer_id": ids, "attempted_at": start,
        "amount_minor": "999", **money, "kind": "recurring", "status": "paid",
    }  # fmt: skip
    events = {"customer_id": ids, "occurred_at": start, "event": "play", "duration_s": "60"}
    rates = {"date": ["2024-01-31", "2024-12-31"], **money, "rate": "1"}
    tables = {
        "customers": customers,
        "subscriptions": spans,
        "payments": payments,
        "events": events,
        "fx_rates": rates,
    }
    return {name: pd.DataFrame(columns, **text) for name, columns in tables.items()}


@dataclass
class Company:
    """Its tables as text, the folder they are written to, and files that are put beside them."""

    folder: Path
    tables: dict[str, pd.DataFrame] = field(default_factory=_tables)

    def put(self, table: str, column: str, value: str, rows: int = 2) -> None:
        """Put a value into the first rows of a column, which may be a new one."""
        frame = self.tables[table]
        if column not in frame:
            frame[column] = ""
        frame.loc[frame.index[:rows], column] = value

    def write(self, kind: str = "csv") -> str:
        """Write the tables that are not there yet; return the folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for name, frame in self.tables.items():
            place = self.folder / f"{name}.{kind}"
            if any(self.folder.glob(f"{name}.*")) or (self.folder / name).exists():
                continue
            if kind == "csv":
                frame.to_csv(place, index=False, quoting=csv.QUOTE_MINIMAL, lineterminator="\n")
            else:
                frame.replace("", None).to_parquet(place, index=False)
        return str(self.folder)

    def text(self, name: str, content: str | bytes) -> None:
        """Write a file beside the tables."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
