"""Movements of revenue of two million customers over 36 months, in the engine against pandas on the same work.

Both sides run in processes of their own, one after the other, on the same Parquet files, follow the default
policy (trials, test accounts, grace, pauses, gaps, two currencies, reasons), and must agree in every amount,
every number of customers and every movement. Time is that of the processors, since others may use them too.
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
TIGHT = f"{max(CUSTOMERS // 2_000, 200)}MB"

OURS = """
import datetime as dt, sys
import tenure
from tenure.measures import revenue
begin()
source = tenure.open_source(sys.argv[1])
moves = tenure.collect(revenue.mrr_movements(source, as_of=dt.date(2026, 10, 31)))
end(moves.drop(columns="group"))
"""

THEIRS = """
import sys
import numpy as np
import pandas as pd
begin()
day = lambda at: (at.dt.normalize() - pd.Timestamp(0)).dt.days
month = lambda at: at.dt.year * 12 + at.dt.month - 1
month_of_day = lambda days: month(pd.Series(pd.to_datetime(days, unit="D"), index=days.index))
CUT, ON = pd.Timestamp("2026-11-01"), 99_999
people = pd.read_parquet(sys.argv[1] + "/customers.parquet", columns=["customer_id", "is_test"])
spans = pd.read_parquet(sys.argv[1] + "/subscriptions.parquet")
spans = spans[(spans["started_at"] < CUT) & (spans["status"] != "trialing")]
spans = spans[~spans["customer_id"].isin(people.loc[people["is_test"], "customer_id"])]
for name in ("customer_id", "subscription_id", "plan"):
    spans[name] = pd.factorize(spans[name], sort=True)[0]  # whole numbers sort and group several times faster
per_year = spans["billing_interval"].map({"year": 1, "month": 12, "week": 52, "day": 365})
whole = spans["unit_amount_minor"] * spans["quantity"]
twelfths = spans["billing_interval_count"] * 12
spans["amount"] = ((whole - spans["discount_minor"]).clip(lower=0) * per_year * 2 + twelfths) // (2 * twelfths)
spans["list_minor"] = (whole * per_year * 2 + twelfths) // (2 * twelfths)
spans["term"] = spans["billing_interval"].map({"day": 1, "week": 7, "month": 30, "year": 360})
spans["term"] *= spans["billing_interval_count"]
spans = spans[spans["amount"] > 0]
on = spans["ended_at"].isna() | (spans["ended_at"] >= CUT)
spans["rank"] = np.where(on, 0, spans["end_reason"].map({"switched": 0, "voluntary": 2, "involuntary": 3}).fillna(1))
spans["start"], spans["end"] = spans["started_at"], spans["ended_at"].where(~on)
spans["start_day"], spans["end_day"] = day(spans["start"]), day(spans["end"]).fillna(99_999_999)
spans["start_month"], spans["end_month"] = month(spans["start"]), month(spans["end"])
spans = spans[["subscription_id", "customer_id", "plan", "currency", "status", "quantity", "amount", "list_minor",
               "term", "rank", "start", "end", "start_day", "end_day", "start_month", "end_month"]]

# Runs of unpaid and of paused time, cut short where the policy says so.
held = spans[spans["status"].isin(["past_due", "paused"])].sort_values(["subscription_id", "status", "start", "end"])
key = [held["subscription_id"], held["status"]]
reached = held.groupby(["subscription_id", "status"])["end_day"].cummax().groupby(key).shift()
held["run"] = (~(held["start_day"] <= reached)).astype(int).groupby(key).cumsum()
run = held.assign(last=held["end_day"] * 10 + held["rank"]).groupby(["subscription_id", "status", "run"])
first, reach, last = (run[c].transform(f) for c, f in (("start_day", "min"), ("end_day", "max"), ("last", "max")))
lasted = reach.clip(upper=(CUT - pd.Timestamp(0)).days) - first
late = held["status"] == "past_due"
over = np.where(late, (lasted > 30) | (last % 10 > 0), lasted > 90)
cap = first.where(late, first + 90)
held["cap_rank"] = np.where(late & (last % 10 != 2), 3, 2)
gone, cut_short = over & (held["start_day"] >= cap), over & (held["end_day"] >= cap)
at = pd.Series(pd.to_datetime(cap, unit="D"), index=held.index)
held.loc[gone, "start"], held.loc[gone, "start_day"] = at[gone], cap[gone]
held.loc[gone, "start_month"] = month(at[gone])
held.loc[cut_short, "end"], held.loc[cut_short, "end_day"] = at[cut_short], cap[cut_short]
held.loc[cut_short, "end_month"], held.loc[cut_short, "rank"] = month(at[cut_short]), held.loc[cut_short, "cap_rank"]
spans = pd.concat([spans[~spans["status"].isin(["past_due", "paused"])], held[spans.columns]], ignore_index=True)
still = spans["end"].isna()
spans["last"] = np.where(still, 0, spans["end_day"] * 10 + spans["rank"])
spans["end_month"] = np.where(still, ON, np.maximum(spans["end_month"].fillna(0), spans["start_month"]))

# Bridges over a month end, where something else begins within a day.
alive = spans[still | (spans["end"] > spans["start"])]
goes_on = pd.MultiIndex.from_frame(alive[["subscription_id", "start"]]).isin(
    pd.MultiIndex.from_frame(alive.loc[alive["end"].notna(), ["subscription_id", "end"]])
)
starters = alive.loc[~goes_on, ["customer_id", "start", "start_day"]]
starters = starters.rename(columns={"start": "next", "start_day": "next_day"})
enders = alive[alive["end"].notna()].reset_index()
pairs = enders.merge(starters, on="customer_id")
pairs = pairs[(pairs["end"] <= pairs["next"]) & (pairs["next_day"] - pairs["end_day"] <= 1)]
next_day = pairs.groupby("index")["next_day"].min()
bridges = spans.loc[next_day.index].assign(next_month=month_of_day(next_day), last=0)
bridges = bridges[bridges["next_month"] > bridges["end_month"]]
bridges = bridges.assign(start_month=bridges["end_month"], end_month=bridges["next_month"])
# Who left without a reason on the last day may yet go on.
waits = (enders["last"] % 10 == 1) & (enders["end_day"] == (CUT - pd.Timestamp(0)).days - 1)
waiting = enders[waits & ~enders["index"].isin(pairs["index"])]
waiting = waiting.assign(start_month=waiting["end_month"], end_month=ON, last=0)
spans = pd.concat([spans, bridges[spans.columns], waiting[spans.columns]], ignore_index=True)

# Changes by customer, month and currency.
spans["paused"], spans["spans"] = spans["amount"].where(spans["status"] == "paused", 0), 1
sums = ["amount", "paused", "spans", "term", "quantity", "list_minor"]
ends = spans[spans["end_month"] < ON]
ends = ends.assign(month=ends["end_month"], **{name: -ends[name] for name in sums})
rows = pd.concat([spans.assign(month=spans["start_month"], last=0), ends])
rows["month"] = rows["month"].astype(int)
groups = rows.groupby(["customer_id", "month", "currency"], sort=True)
changes = groups[sums].sum()
changes["last"], changes["switched"] = groups["last"].max(), groups["plan"].min() != groups["plan"].max()
changes = changes.reset_index()
whole = changes.groupby(["customer_id", "month"], sort=True).agg(amount=("amount", "sum"), last=("last", "max"))
mine = whole.groupby(level=0)
whole["after"], whole["last"] = mine["amount"].cumsum(), mine["last"].cummax()
whole["before"], whole["fresh"] = whole["after"] - whole["amount"], ~whole.index.get_level_values(0).duplicated()
before, after = whole["before"] == 0, whole["after"] == 0
whole["whole"] = np.select([before & after, before & whole["fresh"], before, after],
                           ["none", "new", "reactivation", "churn"], "change")
changes = changes.drop(columns="last").merge(whole[["whole", "last"]].reset_index(), on=["customer_id", "month"])
own_after = changes.groupby(["customer_id", "currency"])["amount"].cumsum()
own_before = own_after - changes["amount"]
lead = ~changes.duplicated(["customer_id", "month"])
entered = ((own_before == 0) & (own_after > 0)).astype(int) - ((own_before > 0) & (own_after == 0))
change, churn = changes["whole"] == "change", changes["whole"] == "churn"
# What a pause has taken out cannot be lost once more.
paused = changes["paused"].mask(churn, 0)
amount = changes["amount"] - (changes["paused"] - paused)
reason = np.select([changes["spans"] > 0, changes["spans"] < 0, changes["term"] != 0, changes["switched"],
                    changes["quantity"] != 0, changes["list_minor"] != 0],
                   ["subscription_added", "subscription_ended", "term_change", "plan_change", "quantity_change",
                    "price_change"], "discount_change")
cause = (changes["last"] % 10).map({2: "voluntary", 3: "involuntary"}).fillna("unknown")
once = np.where(lead, changes["whole"].isin(["new", "reactivation"]).astype(int) - churn, 0)
moved = np.select([~change, amount > 0, amount < 0], [changes["whole"], "expansion", "contraction"], "none")
base = changes[["month", "currency"]]
parts = [
    base.assign(kind=moved, reason=np.select([churn, change & (amount != 0)], [cause, reason], ""),
                amount_minor=amount, customers=entered.where(~change, 0), logos=once)[moved != "none"],
    base.assign(kind="transfer", reason="", amount_minor=0, customers=entered, logos=0)[change & (entered != 0)],
    base.assign(kind=np.where(paused > 0, "pause", "resume"), reason="",
                amount_minor=-paused, customers=0, logos=0)[paused != 0],
]
moves = pd.concat(parts)
moves["n"], moves["squares"] = 1, moves["amount_minor"].astype(float) ** 2
end(moves.groupby(["month", "currency", "kind", "reason"], as_index=False).sum())
"""

MEASURE = """
import json, time
def peak():
    # Not ru_maxrss, which a child inherits from its parent.
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) / 1024
def begin():
    global start, memory
    memory, start = peak(), time.process_time()
def end(table):
    seconds, mib = time.process_time() - start, peak() - memory
    keys = ["month", "currency", "kind", "reason"]
    table = table.sort_values(keys)[keys + ["amount_minor", "customers", "logos", "n", "squares"]]
    print(json.dumps(dict(seconds=seconds, mib=mib, table=table.astype({"month": int}).values.tolist())))
"""

# A span of a life, its first and its last moment in days from the first payment.
_SPAN = """select 's' || customer_id || '{which}' as subscription_id, customer_id, {plan} as plan,
    case when kind < 15 then 'year' else 'month' end as billing_interval,
    1::bigint as billing_interval_count, 1 + (kind % 9 = 0)::bigint as quantity,
    (case when kind < 15 then 9999 else 1099 end + {more})::bigint as unit_amount_minor,
    (case when kind % 11 = 0 then 100 else 0 end)::bigint as discount_minor, null::varchar as discount_duration,
    case when kind % 4 = 0 then 'USD' else 'EUR' end as currency, '{status}' as status,
    first_at + to_days(({start})::int) as started_at,
    case when first_at + to_days(({end})::int) < timestamp '2026-11-01' then first_at + to_days(({end})::int) end
      as ended_at,
    case when first_at + to_days(({end})::int) < timestamp '2026-11-01' then {why} end as end_reason
  from lives where {where} and first_at + to_days(({start})::int) < timestamp '2026-11-01'"""
_LEFT = "case when kind % 13 = 0 then 'involuntary' when kind % 17 = 0 then null else 'voluntary' end"


def _span(start: str, end: str, where: str, why: str = _LEFT, **other: str) -> str:
    given = {"which": "1", "plan": "'Basic'", "more": "0", "status": "active"} | other
    return _SPAN.format(start=start, end=end, where=where, why=why, **given)


def write_company(folder: Path, customers: int) -> None:
    """Customers who stay on one plan, switch to a more expensive one, pause, fall past due, return, or try first."""
    connection = duckdb.connect()
    connection.execute("set preserve_insertion_order = false")
    connection.execute(
        f"""create table lives as select i, 'c' || lpad(i::varchar, 9, '0') as customer_id,
          timestamp '2023-11-01 09:30:00' + to_days((hash(i) % 1090)::int) as first_at,
          (20 - ln(1 - (hash(i * 31) % 1000000) / 1000000.0) * 350)::int as length,
          hash(i + 5) % 100 as kind, 5 + hash(i + 9) % 60 as days from range({customers}) r(i)"""
    )
    switched, half = "'switched'", "length // 2"
    parts = [
        _span("0", "length", "kind >= 40"),
        _span("0", half, "kind < 30", switched),
        _span(half, "length", "kind < 30", plan="'Pro'", more="400"),
        # Past due, some within and some beyond the grace, and paid again; paused, some for too long.
        *(
            part
            for status, low, high, times in (("past_due", 30, 36, 1), ("paused", 36, 40, 3))
            for part in (
                _span("0", half, f"kind >= {low} and kind < {high}", switched),
                _span(
                    half,
                    f"{half} + days * {times}",
                    f"kind >= {low} and kind < {high}",
                    switched,
                    status=status,
                ),
                _span(
                    f"{half} + days * {times}", f"length + days * {times}", f"kind >= {low} and kind < {high}"
                ),
            )
        ),
        # Back after two months, or with another subscription on the next day.
        _span("length + 60", "length + 150", "kind % 10 = 1", which="2"),
        _span("length + 1", "length + 90", "kind % 10 = 2 and kind >= 40", which="2", plan="'Pro'"),
        _span("-14", "0", "kind % 10 = 3", switched, status="trialing"),
    ]
    union = " union all ".join(parts)
    connection.execute(f"copy ({union}) to '{folder}/subscriptions.parquet' (row_group_size 500000)")
    connection.execute(
        f"""copy (select customer_id, first_at - interval 15 day as created_at, i % 500 = 0 as is_test from lives)
        to '{folder}/customers.parquet' (row_group_size 500000)"""
    )


def run(code: str, folder: Path, **environment: str) -> dict:
    command = [sys.executable, "-c", MEASURE + code, str(folder)]
    environment = {**os.environ, **environment}
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.benchmark
@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="Peak memory is read from /proc, as Linux has it."
)
def test_movements_against_pandas(tmp_path):
    write_company(tmp_path, CUSTOMERS)
    theirs, ours = run(THEIRS, tmp_path), run(OURS, tmp_path)
    tight = run(OURS, tmp_path, TENURE_MEMORY_LIMIT=TIGHT)
    assert len(ours["table"]) > 300
    assert {row[2] for row in ours["table"]} == {
        "new", "reactivation", "expansion", "contraction", "churn", "pause", "resume",
    }  # fmt: skip
    assert ours["table"] == theirs["table"] == tight["table"]
    print(f"\nMovements of revenue of {CUSTOMERS:,} customers over 36 months")
    for name, found in (("pandas", theirs), ("tenure", ours), (f"tenure within {TIGHT}", tight)):
        time, memory = found["seconds"] / theirs["seconds"], found["mib"] / theirs["mib"]
        print(
            f"{name:22s} {found['seconds']:6.1f} s of CPU ({time:.2f})  {found['mib']:6.0f} MiB extra ({memory:.2f})"
        )
    assert ours["seconds"] < theirs["seconds"] * 0.7
    assert ours["mib"] < theirs["mib"] / 2
    assert tight["mib"] < theirs["mib"] / 3
