"""BG/NBD on a million customers against `lifetimes`, and the CLV report from two million subscriptions.

`lifetimes` (and PyMC-Marketing, where TENURE_BENCHMARK_PYMC is set) is installed into a throw-away environment
of its own. Both sides read the same Parquet file of payments and fit the same model; what counts is the ratio of
the time that each takes beyond its imports.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

CUSTOMERS = int(os.environ.get("TENURE_BENCHMARK_CUSTOMERS", 1_000_000))
SUBSCRIPTIONS = int(os.environ.get("TENURE_BENCHMARK_SUBSCRIPTIONS", 2_000_000))
LAW = (0.55, 12.0, 0.8, 2.5)

MEASURE = """
import json, sys, time
def peak():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) / 1024
def begin():
    global start, memory
    memory, start = peak(), time.perf_counter()
def step(name):
    steps[name] = time.perf_counter() - start
def end(parameters):
    steps["all"] = time.perf_counter() - start
    print(json.dumps(dict(seconds=steps, mib=peak() - memory, parameters=[float(p) for p in parameters])))
steps = {}
"""

OURS = """
import datetime as dt
import tenure
from tenure.measures import purchases as measures
from tenure.models import purchases
source = tenure.open_source(sys.argv[1])
begin()
everybody = measures.histories(source, as_of=dt.date(2026, 10, 31))
counts = tenure.collect(measures.grouped_counts(everybody))
step("counting")
fit = purchases.fit_purchases(counts)
end(fit.values())
"""

LIFETIMES = """
import warnings
warnings.filterwarnings("ignore")
import numpy as np, pandas as pd
from lifetimes import BetaGeoFitter
begin()
paid = pd.read_parquet(sys.argv[1] + "/payments.parquet", columns=["customer_id", "attempted_at"])
days = (paid["attempted_at"].dt.normalize() - pd.Timestamp("2020-01-01")).dt.days
days = pd.DataFrame({"customer_id": paid["customer_id"], "day": days}).drop_duplicates()
each = days.groupby("customer_id")["day"].agg(["min", "max", "count"])
end_day = (pd.Timestamp("2026-11-01") - pd.Timestamp("2020-01-01")).days
frame = pd.DataFrame({"x": each["count"] - 1, "t": (each["max"] - each["min"]) / 7, "T": (end_day - each["min"]) / 7})
step("counting")
if len(sys.argv) > 2:  # weekly groups, which its likelihood can weigh
    frame = frame.round(0)
    frame["T"] = frame["T"].clip(lower=1)
    frame = frame.groupby(["x", "t", "T"]).size().rename("n").reset_index()
    fit = BetaGeoFitter().fit(frame["x"], frame["t"], frame["T"], weights=frame["n"])
else:
    fit = BetaGeoFitter().fit(frame["x"], frame["t"], frame["T"])
end([fit.params_[name] for name in ("r", "alpha", "a", "b")])
"""

PYMC = """
import warnings
warnings.filterwarnings("ignore")
import numpy as np, pandas as pd
from pymc_marketing import clv
begin()
frame = pd.read_parquet(sys.argv[1] + "/triples.parquet")
fit = clv.BetaGeoModel(frame)
fit.fit(method="map")
found = fit.fit_result
end([float(found[name].mean()) for name in ("r", "alpha", "a", "b")])
"""


def write_buyers(folder: Path, size: int) -> None:
    """Payments of customers who follow the BG/NBD law, by seconds, over three years."""
    rng = np.random.default_rng(7)
    r, alpha, a, b = LAW
    rate, stop = rng.gamma(r, 1 / alpha, size), rng.beta(a, b, size)
    end = np.datetime64("2026-11-01", "s").astype(np.int64)
    at = end - rng.integers(1, 1095 * 86_400, size)
    who, alive, ids, moments = np.arange(size), np.arange(size), [], []
    first = True
    while len(alive):
        ids.append(who[alive])
        moments.append(at[alive])
        alive = alive if first else alive[rng.random(len(alive)) >= stop[alive]]
        wait = rng.exponential(1.0, len(alive)) / np.maximum(rate[alive], 1e-9)
        at[alive] += (np.minimum(wait, 10_000) * 604_800).astype(np.int64)
        alive, first = alive[at[alive] < end], False
    customer, moment = np.concatenate(ids), np.concatenate(moments)
    connection = duckdb.connect()
    table = pa.table({"customer": customer, "moment": moment})
    connection.register("drawn", table)
    connection.execute(
        f"""copy (select 'p' || row_number() over () as payment_id, 'c' || customer as customer_id,
          make_timestamp(moment * 1000000) as attempted_at, 1000::bigint as amount_minor, 'EUR' as currency,
          'one_off' as kind, 'paid' as status from drawn) to '{folder}/payments.parquet'"""
    )
    connection.execute(
        f"""copy (select distinct customer_id, timestamp '2022-01-01' as created_at
        from '{folder}/payments.parquet') to '{folder}/customers.parquet'"""
    )
    subscription = {
        "subscription_id": "s", "customer_id": "c0", "plan": "Plus", "billing_interval": "month",
        "unit_amount_minor": 1, "currency": "EUR", "status": "active",
        "started_at": np.datetime64("2026-10-01", "us"), "ended_at": None,
    }  # fmt: skip
    schema = pa.schema(
        [(name, pa.int64() if name.endswith("minor") else pa.timestamp("us") if name.endswith("_at") else pa.string())
         for name in subscription]
    )  # fmt: skip
    pq.write_table(pa.Table.from_pylist([subscription], schema=schema), folder / "subscriptions.parquet")


def environment(folder: Path, *packages: str) -> Path:
    """A throw-away environment with these packages, or the test is skipped."""
    uv = shutil.which(os.environ.get("UV") or "uv")
    python = folder / "bin" / "python"
    if uv:
        make = [uv, "venv", "--quiet", "--python", sys.executable, str(folder)]
        install = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(folder), *packages]
    else:
        make = [sys.executable, "-m", "venv", str(folder)]
        install = [str(python), "-m", "pip", "install", "--quiet", *packages]
    commands = (make, install)
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"{packages[0]} could not be installed: {done.stderr.strip().splitlines()[-1]}")
    return python


def measured(python: Path | str, code: str, *arguments: str) -> dict:
    command = [str(python), "-c", MEASURE + code, *arguments]
    # One thread for linear algebra on both sides: on vectors of this size more of them wait for each other.
    quiet = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=3600, env=quiet)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


linux = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="Peak memory is read from /proc, as Linux has it."
)


@linux
@pytest.mark.benchmark
def test_bg_nbd_on_grouped_counts_beats_lifetimes(tmp_path):
    write_buyers(tmp_path, CUSTOMERS)
    python = environment(tmp_path / "theirs", "lifetimes==0.11.3", "pandas<3", "pyarrow", "setuptools")
    runs = {
        "lifetimes": measured(python, LIFETIMES, str(tmp_path)),
        "lifetimes, by week": measured(python, LIFETIMES, str(tmp_path), "grouped"),
        "tenure": measured(sys.executable, OURS, str(tmp_path)),
    }
    if os.environ.get("TENURE_BENCHMARK_PYMC"):
        write_triples(tmp_path)
        other = environment(tmp_path / "pymc", "pymc-marketing", "pyarrow")
        runs["PyMC-Marketing, MAP, 10,000 customers"] = measured(other, PYMC, str(tmp_path))
    report(f"BG/NBD, {CUSTOMERS:,} customers", runs, "lifetimes")
    ours, theirs = runs["tenure"], runs["lifetimes"]
    fitting = {name: run["seconds"]["all"] - run["seconds"]["counting"] for name, run in runs.items() if "counting" in run["seconds"]}  # fmt: skip
    assert fitting["tenure"] < fitting["lifetimes"] / 5
    assert ours["seconds"]["all"] < theirs["seconds"]["all"] / 4
    assert ours["mib"] < theirs["mib"]
    for run in (ours, theirs):
        assert run["parameters"] == pytest.approx(LAW, rel=0.15 if CUSTOMERS >= 500_000 else 0.5)


def write_triples(folder: Path) -> None:
    """Ten thousand customers as PyMC-Marketing wants them: it knows no weights."""
    duckdb.execute(
        f"""copy (select customer_id, count(*) - 1 as frequency,
          date_diff('second', min(attempted_at), max(attempted_at)) / 604800.0 as recency,
          date_diff('second', min(attempted_at), timestamp '2026-11-01') / 604800.0 as "T"
          from '{folder}/payments.parquet' group by 1 limit 10000) to '{folder}/triples.parquet'"""
    )


def report(title: str, runs: dict[str, dict], against: str) -> None:
    print(f"\n{title}")
    for name, run in runs.items():
        seconds, ratio = run["seconds"]["all"], run["seconds"]["all"] / runs[against]["seconds"]["all"]
        counting = run["seconds"].get("counting", 0.0)
        print(
            f"{name:38s} {seconds:7.1f} s ({ratio:.3f}), fitting {seconds - counting:6.2f} s, "
            f"{run['mib']:6.0f} MiB extra; " + " ".join(f"{p:.3f}" for p in run["parameters"])
        )


def write_company(folder: Path, subscriptions: int) -> None:
    """Customers on three plans over three years, a third of whom came back, with a payment a month."""
    connection = duckdb.connect()
    connection.execute("set preserve_insertion_order = false")
    connection.execute(
        f"""create table lives as select i,
          'c' || (case when i % 4 = 0 then i - 1 else i end) as customer_id, i % 4 = 0 as again,
          ['Basic', 'Standard', 'Annual'][1 + i % 3] as plan, i % 3 = 2 as yearly,
          timestamp '2023-11-01' + to_days((hash(i) % (case when i % 4 in (0, 3) then 300 else 1090 end))::int) as begun,
          (1 + ln(1 - (hash(i * 31) % 1000000) / 1000001.0)
            / ln(1 - (0.02 + 0.2 * pow((hash(i * 17) % 1000) / 1000.0, 3))))::int as lasted
        from range(1, {subscriptions} + 1) r(i)"""
    )
    connection.execute(
        f"""copy (select 's' || i as subscription_id, customer_id, plan,
          case when yearly then 'year' else 'month' end as billing_interval, 1::bigint as billing_interval_count,
          1::bigint as quantity, (case when yearly then 9900 else 999 + 400 * (i % 3) end)::bigint as unit_amount_minor,
          0::bigint as discount_minor, null::varchar as discount_duration, 'EUR' as currency, 'active' as status, start as started_at,
          case when finish < timestamp '2026-11-01' then finish end as ended_at,
          case when finish < timestamp '2026-11-01' then
            case when i % 6 = 0 then 'involuntary' else 'voluntary' end end as end_reason
        from (select *, begun + to_days(case when again then 700 else 0 end) as start,
          begun + to_days(case when again then 700 else 0 end)
            + to_months((lasted * case when yearly then 12 else 1 end)::int) as finish from lives)
        where not again or lasted > 0) to '{folder}/subscriptions.parquet' (row_group_size 250000)"""
    )
    connection.execute(
        f"""copy (select customer_id, min(started_at) as created_at,
          ['ads', 'web', 'shop'][1 + (hash(customer_id) % 3)::int] as channel
        from '{folder}/subscriptions.parquet' group by customer_id) to '{folder}/customers.parquet'"""
    )
    connection.execute(
        f"""copy (select 'p' || row_number() over () as payment_id, customer_id, subscription_id,
          started_at + to_months((k * case when billing_interval = 'year' then 12 else 1 end)::int) as attempted_at,
          unit_amount_minor as amount_minor, currency, 'recurring' as kind, 'paid' as status
        from '{folder}/subscriptions.parquet', range(0, 36) r(k)
        where started_at + to_months((k * case when billing_interval = 'year' then 12 else 1 end)::int)
          < least(coalesce(ended_at, timestamp '2026-11-01'), timestamp '2026-11-01')
        ) to '{folder}/payments.parquet' (row_group_size 250000)"""
    )


@linux
@pytest.mark.benchmark
def test_the_report_from_millions_of_subscriptions(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    write_company(data, SUBSCRIPTIONS)
    rows = duckdb.execute(f"select count(*) from '{data}/payments.parquet'").fetchone()
    code = """
import resource, sys, time
from pathlib import Path
from tenure.runs.execute import execute
from tenure.runs.kernels import Kernels
if __name__ == "__main__":
    with Kernels() as kernels:
        begun = time.perf_counter()
        done = execute(Path(sys.argv[1]), {"data": sys.argv[2]}, kernels,
                       environment={"TENURE_OUTPUT": sys.argv[3]}, log=Path(sys.argv[3]) / "log.txt", timeout=3000)
        print(done.state, done.reason or "-", round(time.perf_counter() - begun, 1), sep="|")
"""
    script = tmp_path / "run.py"
    script.write_text(code)
    from tenure.paths import project_root

    notebook = project_root() / "notebooks" / "40_clv.ipynb"
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, str(script), str(notebook), str(data), str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    state, reason, seconds = done.stdout.splitlines()[-1].split("|")
    assert state == "ok", reason
    exported = duckdb.execute(f"select count(*) from '{tmp_path}/clv_customers.csv'").fetchone()
    print(
        f"\nThe CLV report from {SUBSCRIPTIONS:,} subscriptions and {rows[0]:,} payments: {seconds} s, "
        f"{exported[0]:,} customers scored and exported; with start-up {time.perf_counter() - begun:.1f} s"
    )
    assert exported[0] > 0
