"""The same by hand in pandas or polars, in a process of its own: ``python others.py FOLDER QUESTION LIBRARY``.

Written as somebody would who knows the library well: only the columns needed are read, polars is lazy and streams.
"""

from __future__ import annotations

import datetime as dt
import json
import sys
import time
from pathlib import Path
from typing import Any

UNTIL = dt.datetime(2026, 11, 1)
SINCE = UNTIL - dt.timedelta(days=400)


def pandas_active_days(folder: Path) -> int:
    import numpy as np
    import pandas as pd

    rows = pd.read_parquet(folder / "events", columns=["customer_id", "occurred_at"])
    rows = rows[(rows["occurred_at"] >= SINCE) & (rows["occurred_at"] < UNTIL)]
    rows = rows[~rows["customer_id"].isin(_tests(folder))]
    days = rows["occurred_at"].to_numpy().astype("datetime64[D]").astype(np.int64)
    rows = pd.DataFrame({"customer": pd.factorize(rows["customer_id"])[0], "day": days}).drop_duplicates()
    rows = rows.sort_values(["customer", "day"])
    gap = (rows.groupby("customer")["day"].shift(-1) - rows["day"]).fillna(28).clip(upper=28)
    return len(rows.assign(gap=gap).groupby(["day", "gap"]).size())


def polars_active_days(folder: Path) -> int:
    import polars as pl

    rows = pl.scan_parquet(folder / "events" / "*.parquet").select("customer_id", "occurred_at")
    rows = rows.filter(pl.col("occurred_at").is_between(SINCE, UNTIL, closed="left"))
    rows = rows.join(_polars_tests(folder), on="customer_id", how="anti")
    rows = rows.select("customer_id", day=pl.col("occurred_at").dt.date()).unique().sort("customer_id", "day")
    after = (pl.col("day").shift(-1) - pl.col("day")).over("customer_id").dt.total_days()
    rows = rows.with_columns(gap=after.fill_null(28).clip(upper_bound=28))
    return len(rows.group_by("day", "gap").len().collect(engine="streaming"))


def pandas_days_used(folder: Path) -> int:
    import numpy as np
    import pandas as pd

    rows = pd.read_parquet(folder / "events", columns=["customer_id", "occurred_at"])
    days = rows["occurred_at"].to_numpy().astype("datetime64[D]").astype(np.int64)
    ago = (np.datetime64("2026-10-31").astype("datetime64[D]").astype(np.int64)) - days
    window = np.select(
        [(ago >= 0) & (ago < 28), (ago >= 28) & (ago < 56), (ago >= 364) & (ago < 392)], [1, 2, 3], 0
    )
    rows = pd.DataFrame({"customer_id": rows["customer_id"], "window": window, "ago": ago})[window > 0]
    rows = rows[~rows["customer_id"].isin(_tests(folder))]
    each = rows.groupby(["window", "customer_id"])["ago"].nunique()
    return len(each.reset_index().groupby(["window", "ago"]).size())


def polars_days_used(folder: Path) -> int:
    import polars as pl

    rows = pl.scan_parquet(folder / "events" / "*.parquet").select("customer_id", "occurred_at")
    ago = (pl.lit(dt.date(2026, 10, 31)) - pl.col("occurred_at").dt.date()).dt.total_days()
    rows = rows.select("customer_id", ago=ago)
    kind = pl.when(pl.col("ago").is_between(0, 27)).then(1)
    kind = (
        kind.when(pl.col("ago").is_between(28, 55)).then(2).when(pl.col("ago").is_between(364, 391)).then(3)
    )
    rows = rows.with_columns(window=kind).drop_nulls()
    rows = rows.join(_polars_tests(folder), on="customer_id", how="anti")
    each = rows.group_by("window", "customer_id").agg(days=pl.col("ago").n_unique())
    return len(each.group_by("window", "days").len().collect(engine="streaming"))


def pandas_purchases(folder: Path) -> int:
    import pandas as pd

    paid = pd.read_parquet(folder / "payments.parquet")
    paid = paid[(paid["status"] == "paid") & paid["kind"].isin(["recurring", "one_off"])]
    paid = paid[(paid["amount_minor"] > 0) & (paid["attempted_at"] < UNTIL)]
    paid = paid[~paid["customer_id"].isin(_tests(folder))]
    day = (paid["attempted_at"] - pd.Timestamp(0)).dt.days
    days = paid.assign(day=day)[["customer_id", "currency", "day"]].drop_duplicates()
    each = days.groupby(["customer_id", "currency"])["day"].agg(["min", "max", "count"])
    last = (UNTIL - dt.datetime(1970, 1, 1)).days
    recency, age = ((each["max"] - each["min"] + 3) // 7), ((last - each["min"] + 3) // 7).clip(lower=1)
    return len(pd.DataFrame({"x": each["count"] - 1, "t": recency, "T": age}).groupby(["x", "t", "T"]).size())


def polars_purchases(folder: Path) -> int:
    import polars as pl

    paid = pl.scan_parquet(folder / "payments.parquet").filter(
        (pl.col("status") == "paid")
        & pl.col("kind").is_in(["recurring", "one_off"])
        & (pl.col("amount_minor") > 0)
        & (pl.col("attempted_at") < UNTIL)
    )
    paid = paid.join(_polars_tests(folder), on="customer_id", how="anti")
    days = paid.select("customer_id", "currency", day=pl.col("attempted_at").dt.date().to_physical()).unique()
    each = days.group_by("customer_id", "currency").agg(
        first=pl.col("day").min(), last=pl.col("day").max(), n=pl.len()
    )
    last = (UNTIL - dt.datetime(1970, 1, 1)).days
    each = each.select(
        x=pl.col("n") - 1,
        t=(pl.col("last") - pl.col("first") + 3) // 7,
        T=((last - pl.col("first") + 3) // 7).clip(1),
    )
    return len(each.group_by("x", "t", "T").len().collect(engine="streaming"))


def _tests(folder: Path) -> Any:
    import pandas as pd

    people = pd.read_parquet(folder / "customers.parquet", columns=["customer_id", "is_test"])
    return people.loc[people["is_test"], "customer_id"]


def _polars_tests(folder: Path) -> Any:
    import polars as pl

    return pl.scan_parquet(folder / "customers.parquet").filter(pl.col("is_test")).select("customer_id")


BY_HAND = {
    "engagement.active_days": {"pandas": pandas_active_days, "polars": polars_active_days},
    "engagement.days_used": {"pandas": pandas_days_used, "polars": polars_days_used},
    "purchases.grouped_counts": {"pandas": pandas_purchases, "polars": polars_purchases},
}

if __name__ == "__main__":
    folder, name, library = sys.argv[1:]
    __import__(library)
    wall, cpu = time.perf_counter(), time.process_time()
    rows = BY_HAND[name][library](Path(folder))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    lines = Path("/proc/self/status").read_text().splitlines()
    mib = int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024
    print(json.dumps({"wall": wall, "cpu": cpu, "mib": mib, "rows": rows}))
