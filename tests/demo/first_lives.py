"""Lives read from the demo company's spans, and their survival, by methods apart from the library's."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

from tenure import contract

# The demo company has no second system that reports its revenue.
# Effects of campaigns are what a report publishes.
TABLES = [
    table
    for table in contract.TABLES
    if not table.name.endswith("_elsewhere") and table.name not in ("campaign_effects", "churn_risk")
]
END = pd.Timestamp("2026-11-01")


def place_of(folder: Path, table: str) -> str:
    single = folder / f"{table}.parquet"
    return str(single if single.is_file() else folder / table / "*.parquet")


def _months_between(start: pd.Series, end: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Whole calendar months from day to day, and whether the end is exactly an anniversary."""
    months = (end.dt.year - start.dt.year) * 12 + end.dt.month - start.dt.month
    day = np.minimum(start.dt.day, end.dt.days_in_month)
    return months - (end.dt.day < day), end.dt.day == day


def first_spells(database: duckdb.DuckDBPyConnection, among: str = "true") -> pd.DataFrame:
    """First paid spells straight from the spans, by a method of its own: a running maximum of ends."""
    spans = database.execute(
        f"""
        select s.*, c.channel, c.household, c.signup_device, g.behavior
        from subscriptions s join customers c using (customer_id) join groups g using (customer_id)
        where {among} and not is_test and status <> 'trialing' and unit_amount_minor > 0
        """
    ).df()
    lost = (spans["status"] == "past_due") & (spans["end_reason"] == "involuntary")
    spans["stop"] = spans["ended_at"].where(~lost, spans["started_at"]).fillna(END)
    spans = spans.sort_values(["customer_id", "started_at", "stop"])
    reached = spans.groupby("customer_id")["stop"].cummax().groupby(spans["customer_id"]).shift()
    gap = (spans["started_at"] - reached) > pd.Timedelta(days=1)
    spans = spans[gap.groupby(spans["customer_id"]).cumsum() == 0]
    # The base subscription and an add-on may end together: the add-on's reason does not count.
    last = spans.assign(addon=spans["plan"] == "Sports").sort_values(["customer_id", "stop", "addon"])
    last = last.sort_values(["customer_id", "stop", "addon"], ascending=[True, True, False])
    first = spans.groupby("customer_id").first()
    final = last.groupby("customer_id").agg(stop=("stop", "last"), reason=("end_reason", "last"))
    final["open"] = last.groupby("customer_id")["ended_at"].agg(lambda ends: ends.isna().any())
    spell = first[
        ["started_at", "plan", "unit_amount_minor", "channel", "household", "signup_device", "behavior"]
    ]
    spell = spell.join(final)
    whole, exact = _months_between(
        spell["started_at"], spell["stop"].where(~spell["open"], END - pd.Timedelta(days=1))
    )
    spell["months"] = np.where(spell["open"] | exact, whole, whole + 1)
    return spell


def kaplan_meier(spells: pd.DataFrame, horizon: int = 36) -> pd.DataFrame:
    """Survival after each month with its standard error (Greenwood), one month at a time."""
    rows, survival, variance = [], 1.0, 0.0
    for month in range(1, horizon + 1):
        at_risk = int((spells["months"] >= month).sum())
        left = int(((spells["months"] == month) & ~spells["open"]).sum())
        if at_risk < 30:
            break
        survival *= 1 - left / at_risk
        variance += left / (at_risk * (at_risk - left))
        rows.append((month, survival, survival * np.sqrt(variance), at_risk))
    return pd.DataFrame(rows, columns=["month", "survival", "error", "at_risk"])


def largest_deviation(spells: pd.DataFrame, truth: list[float]) -> float:
    estimate = kaplan_meier(spells)
    expected = np.array(truth[: len(estimate)])
    error = estimate["error"].to_numpy()
    difference = estimate["survival"].to_numpy() - expected
    # Before the first renewal nobody can leave, and nothing may differ.
    assert np.allclose(difference[error == 0], 0, atol=1e-6)
    return float(np.abs(difference[error > 0] / error[error > 0]).max(initial=0))
