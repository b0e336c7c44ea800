"""Life table, Kaplan-Meier and log-rank over ten million subscriptions, against pandas and lifelines.

Both sides run in processes of their own, one after the other, on the same Parquet files, join each customer's
spans into stays, and come to the same statistic: what counts is the ratio of the time and of the memory that
each takes beyond its imports.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

ROWS = int(os.environ.get("TENURE_BENCHMARK_ROWS", 10_000_000))

OURS = """
import datetime as dt, sys
import tenure
from tenure.measures import subscriptions
from tenure.stats import logrank, survival
begin()
source = tenure.open_source(sys.argv[1])
life = tenure.collect(subscriptions.life_table(source, by="plan", as_of=dt.date(2026, 10, 31)))
curves, test = survival.kaplan_meier(life), logrank.log_rank(life)
end(curves.groups["n"].sum(), test.chi2)
"""

THEIRS = """
import sys
import pandas as pd
from lifelines import KaplanMeierFitter
from lifelines.statistics import multivariate_logrank_test
begin()
columns = ["customer_id", "subscription_id", "plan", "started_at", "ended_at"]
spans = pd.read_parquet(sys.argv[1] + "/subscriptions.parquet", columns=columns)
cut = pd.Timestamp("2026-11-01")
left = spans["ended_at"] <= cut
spans = spans.assign(
    customer=pd.factorize(spans.pop("customer_id"))[0],
    start=spans.pop("started_at").dt.normalize(),
    end=spans.pop("ended_at").where(left, pd.Timestamp("2200-01-01")).dt.normalize(),
)
# A customer's spans are one stay if the next begins the day after it ended at the latest; most customers have one.
several = spans["customer"].duplicated(keep=False)
some = spans[several].sort_values(["customer", "start", "subscription_id"])
reach = (some["end"] + pd.Timedelta(days=1)).groupby(some["customer"]).cummax()
begins = ~(some["start"] <= reach.groupby(some["customer"]).shift())
first = some[begins.groupby(some["customer"]).cumsum() == 1].groupby("customer")
joined = first.agg(plan=("plan", "first"), start=("start", "first"), end=("end", "max"))
stays = pd.concat([spans.loc[~several, ["plan", "start", "end"]], joined], ignore_index=True)
since, until = stays["start"], stays["end"]
month, day = since.dt.year * 12 + since.dt.month, since.dt.day
ripe = cut.year * 12 + cut.month - month - (day > cut.day)
lasted = (until.dt.year * 12 + until.dt.month - month + (until.dt.day > day)).clip(lower=1)
event = (until <= cut) & (lasted <= ripe)
months = lasted.where(event, ripe)
seen = months > 0
months, event, plan = months[seen], event[seen], stays.loc[seen, "plan"]
for _, rows in months.groupby(plan):
    KaplanMeierFitter().fit(rows, event[rows.index])
end(len(months), multivariate_logrank_test(months, plan, event).test_statistic)
"""

MEASURE = """
import json, time
def peak():
    # Not ru_maxrss, which a child inherits from its parent.
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) / 1024
def begin():
    global start, memory
    memory, start = peak(), time.perf_counter()
def end(n, chi2):
    seconds, mib = time.perf_counter() - start, peak() - memory
    print(json.dumps(dict(seconds=seconds, mib=mib, n=int(n), chi2=float(chi2))))
"""


def write_company(folder: Path, rows: int) -> None:
    """Subscriptions of random length, one customer in nineteen with two of them."""
    connection = duckdb.connect()
    connection.execute("set preserve_insertion_order = false")
    connection.execute(
        f"""copy (
        select 's' || lpad(i::varchar, 9, '0') as subscription_id,
          'c' || lpad((case when i % 20 = 0 then i - 1 else i end)::varchar, 9, '0') as customer_id,
          ['Basic', 'Standard', 'Premium'][1 + i % 3] as plan, 'month' as billing_interval,
          1::bigint as billing_interval_count, 1::bigint as quantity, 999::bigint as unit_amount_minor,
          0::bigint as discount_minor, null::varchar as discount_duration, 'EUR' as currency, 'active' as status,
          timestamp '2022-01-01' + to_days((hash(i) % 1400)::int) + to_seconds((hash(i + 7) % 80000)::int)
            as started_at,
          case when length < 2000 then started_at + to_days(length) end as ended_at,
          case when length >= 2000 then null when i % 7 = 0 then 'involuntary' else 'voluntary' end
            as end_reason
        from (select i, (-ln(1 - (hash(i * 31) % 1000000) / 1000000.0) * (400 + 100 * (i % 3)))::int as length
              from range({rows}) r(i))
        ) to '{folder}/subscriptions.parquet' (row_group_size 500000)"""
    )
    connection.execute(
        f"""copy (select distinct customer_id, timestamp '2022-01-01' as created_at
        from '{folder}/subscriptions.parquet') to '{folder}/customers.parquet'"""
    )


def measured(code: str, folder: Path, **environment: str) -> dict[str, float]:
    command = [sys.executable, "-c", MEASURE + code, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment})
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.benchmark
@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="Peak memory is read from /proc, as Linux has it."
)
def test_counting_in_the_engine_beats_reading_everything(tmp_path):
    write_company(tmp_path, ROWS)
    theirs = measured(THEIRS, tmp_path)
    ours = measured(OURS, tmp_path)
    tight = measured(OURS, tmp_path, TENURE_MEMORY_LIMIT="256MB")
    print(f"\n{ROWS:,} subscriptions: life table, Kaplan-Meier and log-rank")
    for name, run in (("pandas and lifelines", theirs), ("tenure", ours), ("tenure within 256 MB", tight)):
        time, memory = run["seconds"] / theirs["seconds"], run["mib"] / theirs["mib"]
        print(f"{name:22s} {run['seconds']:6.1f} s ({time:.2f})  {run['mib']:6.0f} MiB extra ({memory:.2f})")
    for run in (ours, tight):
        assert (run["n"], run["chi2"]) == (theirs["n"], pytest.approx(theirs["chi2"], rel=1e-12))
    assert ours["seconds"] < theirs["seconds"] * 0.9
    assert tight["mib"] < theirs["mib"] / 5
