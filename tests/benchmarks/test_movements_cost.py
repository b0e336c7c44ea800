"""Movements of revenue of two million customers over 36 months, in the engine against pandas.

Both sides run in processes of their own, one after the other, on the same Parquet files, and must agree to
the minor unit. The pandas side does the least that can be done: a cumulative sum over sorted changes, no
pauses, no grace, no gaps, no reasons.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

CUSTOMERS = int(os.environ.get("TENURE_BENCHMARK_ROWS", 2_000_000))

OURS = """
import datetime as dt, sys
import tenure
from tenure.measures import revenue
begin()
source = tenure.open_source(sys.argv[1])
moves = tenure.collect(revenue.mrr_movements(source, as_of=dt.date(2026, 10, 31)))
table = moves.groupby(["month", "kind"])[["amount_minor", "n"]].sum()
end({f"{month} {kind}": [int(row.amount_minor), int(row.n)] for (month, kind), row in table.iterrows()})
"""

THEIRS = """
import sys
import numpy as np
import pandas as pd
begin()
columns = ["customer_id", "billing_interval", "unit_amount_minor", "started_at", "ended_at"]
spans = pd.read_parquet(sys.argv[1] + "/subscriptions.parquet", columns=columns)
cut = pd.Timestamp("2026-11-01")
spans = spans[spans["started_at"] < cut]
yearly = spans["billing_interval"] == "year"
monthly = np.where(yearly, (spans["unit_amount_minor"] * 2 + 12) // 24, spans["unit_amount_minor"])
month = lambda at: at.dt.year * 12 + at.dt.month - 1
ended = spans["ended_at"].notna() & (spans["ended_at"] < cut)
changes = pd.concat([
    pd.DataFrame({"customer": spans["customer_id"], "month": month(spans["started_at"]), "amount": monthly}),
    pd.DataFrame({"customer": spans["customer_id"], "month": month(spans["ended_at"]), "amount": -monthly})[ended],
])
changes = changes.groupby(["customer", "month"], as_index=False, sort=True)["amount"].sum()
changes["after"] = changes.groupby("customer")["amount"].cumsum()
before = changes["after"] - changes["amount"]
first = ~changes["customer"].duplicated()
changes["kind"] = np.select(
    [(before == 0) & (changes["after"] > 0) & first, (before == 0) & (changes["after"] > 0),
     (before > 0) & (changes["after"] == 0), changes["amount"] > 0, changes["amount"] < 0],
    ["new", "reactivation", "churn", "expansion", "contraction"], "none",
)
table = changes[changes["kind"] != "none"].groupby(["month", "kind"])["amount"].agg(["sum", "count"])
end({f"{int(month)} {kind}": [int(row["sum"]), int(row["count"])] for (month, kind), row in table.iterrows()})
"""

MEASURE = """
import json, time
def peak():
    # Not ru_maxrss, which a child inherits from its parent.
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) / 1024
def begin():
    global start, memory
    memory, start = peak(), time.perf_counter()
def end(table):
    seconds, mib = time.perf_counter() - start, peak() - memory
    print(json.dumps(dict(seconds=seconds, mib=mib, table=table)))
"""


def write_company(folder: Path, customers: int) -> None:
    """Two million customers, of whom some switch to a dearer plan, come back or pay by the year."""
    connection = duckdb.connect()
    connection.execute("set preserve_insertion_order = false")
    connection.execute(
        f"""create table lives as select i, 'c' || lpad(i::varchar, 9, '0') as customer_id,
          timestamp '2023-11-01 09:30:00' + to_days((hash(i) % 1090)::int) as first_at,
          (20 - ln(1 - (hash(i * 31) % 1000000) / 1000000.0) * 350)::int as length,
          hash(i + 5) % 100 as kind from range({customers}) r(i)"""
    )
    row = """select 's' || customer_id || '{n}' as subscription_id, customer_id, {plan} as plan,
          case when kind < 15 then 'year' else 'month' end as billing_interval,
          1::bigint as billing_interval_count, 1::bigint as quantity,
          (case when kind < 15 then 9999 else 1099 end + {more})::bigint as unit_amount_minor,
          0::bigint as discount_minor, 'EUR' as currency, 'active' as status, {start} as started_at,
          case when {end} < timestamp '2026-11-01' then {end} end as ended_at,
          case when {end} < timestamp '2026-11-01' then '{why}' end as end_reason
        from lives where {which} and {start} < timestamp '2026-11-01'"""
    full, half = "first_at + to_days(length)", "first_at + to_days(length // 2)"
    later = "first_at + to_days(length + 60)"
    parts = [
        row.format(n=1, plan="'Basic'", more=0, start="first_at", end=full, why="voluntary", which="kind >= 30"),
        row.format(n=1, plan="'Basic'", more=0, start="first_at", end=half, why="switched", which="kind < 30"),
        row.format(n=1, plan="'Pro'", more=400, start=half, end=full, why="voluntary", which="kind < 30"),
        row.format(n=2, plan="'Basic'", more=0, start=later, end=later + " + to_days(90)", why="voluntary",
                   which="kind % 10 = 0"),
    ]  # fmt: skip
    union = " union all ".join(parts)
    connection.execute(f"copy ({union}) to '{folder}/subscriptions.parquet' (row_group_size 500000)")
    connection.execute(
        f"""copy (select customer_id, first_at as created_at from lives)
        to '{folder}/customers.parquet' (row_group_size 500000)"""
    )


def run(code: str, folder: Path) -> dict:
    done = subprocess.run(
        [sys.executable, "-c", MEASURE + code, str(folder)], capture_output=True, text=True, timeout=1800
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.benchmark
def test_movements_against_pandas(tmp_path, capsys):
    write_company(tmp_path, CUSTOMERS)
    ours, theirs = run(OURS, tmp_path), run(THEIRS, tmp_path)
    assert ours["table"] == theirs["table"]
    with capsys.disabled():
        print(
            f"\nMovements of {CUSTOMERS:,} customers over 36 months: {ours['seconds']:.1f} s and "
            f"{ours['mib']:.0f} MiB in the engine, {theirs['seconds']:.1f} s and {theirs['mib']:.0f} MiB in pandas "
            f"({theirs['seconds'] / ours['seconds']:.2f} and {theirs['mib'] / ours['mib']:.2f} times)."
        )
    assert ours["seconds"] < theirs["seconds"] * 1.5
    assert ours["mib"] < theirs["mib"]
