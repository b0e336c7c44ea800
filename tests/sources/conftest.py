"""A small clean company, and ways to write it down."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
import yaml

FIRST = pd.Timestamp("2023-01-02")
LAST = pd.Timestamp("2024-06-30")


def _company() -> dict[str, pd.DataFrame]:
    """120 customers over 18 months: monthly plans, some ended, some switched, with payments and events."""
    rng = np.random.default_rng(7)
    n = 120
    start = (
        FIRST
        + pd.to_timedelta(np.sort(rng.integers(0, 480, n)), "D")
        + pd.to_timedelta(rng.integers(1, 86_000, n), "s")
    )
    life = pd.to_timedelta(rng.integers(20, 700, n) * 86_400 + rng.integers(1, 80_000, n), "s")
    ids = np.array([f"C-{i:03d}" for i in range(n)])
    end = (start + life).floor("s")
    customers = pd.DataFrame(
        {
            "customer_id": ids,
            "created_at": start,
            "country": rng.choice(["IT", "FR"], n),
            "birth_year": rng.integers(1950, 2000, n),
            "city": rng.choice(["Rome", "Lyon"], n),
            "members": rng.integers(1, 6, n),
            "zip": [f"{i:05d}" for i in range(n)],
        }
    )
    spans = pd.DataFrame(
        {
            "subscription_id": [f"S-{i:03d}" for i in range(n)],
            "customer_id": ids,
            "plan": rng.choice(["Basic", "Plus"], n),
            "billing_interval": "month",
            "unit_amount_minor": rng.choice([999, 1999], n),
            "currency": "EUR",
            "status": "active",
            "started_at": start,
            "ended_at": end.where(end <= LAST),
        }
    )
    spans["end_reason"] = np.where(spans["ended_at"].isna(), None, "voluntary")
    # The first ten go on to another plan after their first span.
    later = spans.iloc[:10].copy()
    later["started_at"] = later["started_at"] + pd.Timedelta(days=10)
    later["plan"] = "Family"
    spans.loc[spans.index[:10], "ended_at"] = later["started_at"].to_numpy()
    spans.loc[spans.index[:10], "end_reason"] = "switched"
    spans = pd.concat([spans, later], ignore_index=True)
    payments = pd.DataFrame(
        {
            "payment_id": [f"P-{i:03d}" for i in range(n)],
            "customer_id": ids,
            "attempted_at": start,
            "amount_minor": 999,
            "currency": "EUR",
            "kind": "recurring",
            "status": "paid",
        }
    )
    events = pd.DataFrame(
        {
            "customer_id": np.append(ids, ids[-1]),
            "occurred_at": np.append(
                (start + pd.Timedelta(hours=1)).to_numpy(), (LAST + pd.Timedelta(hours=9)).to_numpy()
            ),
            "event": "play",
            "duration_s": 60,
        }
    )
    frames = {"customers": customers, "subscriptions": spans, "payments": payments, "events": events}
    for frame in frames.values():
        for column in frame.select_dtypes("datetime"):
            frame[column] = frame[column].astype("datetime64[us]")  # room for the year 9999
    return frames


def _write(folder: Path, frames: dict[str, pd.DataFrame], kind: str = "parquet") -> str:
    """Write tables as .parquet, .csv or one .duckdb file; return what open_source is given."""
    folder.mkdir(parents=True, exist_ok=True)
    if kind == "duckdb":
        file = folder / "company.duckdb"
        with duckdb.connect(str(file)) as connection:
            for name, frame in frames.items():
                connection.register("frame", frame)
                connection.execute(f"CREATE TABLE {name} AS SELECT * FROM frame")
        return str(file)
    for name, frame in frames.items():
        if kind == "csv":
            frame.to_csv(folder / f"{name}.csv", index=False)
        else:
            frame.to_parquet(folder / f"{name}.parquet", index=False)
    return str(folder)


@pytest.fixture
def company():
    return _company()


@pytest.fixture
def write(tmp_path):
    """Write frames into a folder of the test's own."""

    def written(frames, kind="parquet", folder="company"):
        return _write(tmp_path / folder, frames, kind)

    return written


@pytest.fixture
def mapping(tmp_path):
    """Write a mapping, given as keys or as text; return its path."""

    def written(content):
        file = tmp_path / "mapping.yml"
        file.write_text(content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False))
        return str(file)

    return written


@pytest.fixture
def last_day():
    return dt.date(2024, 6, 30)
