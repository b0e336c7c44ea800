"""How often experiments without an effect raise an alarm, and how often intervals hold the truth.

    python tests/simulations/coverage_experiments.py --write docs/validation.md

Visitors subscribe or not; those who do pay an amount that is skewed, as revenue is, and that is associated with what
they paid before. Subscribers leave month by month and are observed for different times.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd

from tenure.economics import Economics
from tenure.models import experiments
from tenure.models.decision import decide
from tenure.models.pricing import hazard_by_price, logit_demand, profit_curve
from tenure.models.visitor import Earnings, visitor_value
from tenure.stats import comparison

CONVERSION = 0.2
LOOKS = 20
CHUNK = 200  # experiments held in memory at a time


def visitors(rng: np.random.Generator, arms: tuple[int, ...], lift: float = 0.0) -> dict[str, np.ndarray]:
    """Conversion, revenue and revenue before, of experiments (rows) and visitors (columns)."""
    before = rng.gamma(2.0, 5.0, arms)
    converted = rng.random(arms) < CONVERSION * (1 + lift)
    amount = rng.lognormal(2.5, 0.6, arms) * (0.5 + before / 20)
    return {"converted": converted.astype(float), "revenue": converted * amount, "before": before}


def sums(arms: dict[str, dict[str, np.ndarray]], row: int, upto: int | None = None) -> pd.DataFrame:
    """The sums of one experiment, of the first `upto` visitors of each arm."""
    table = []
    for name, columns in arms.items():
        part = {c: v[row, :upto] for c, v in columns.items()}
        entry = {"variant": name, "n": len(part["revenue"])}
        for c, v in part.items():
            entry |= {f"s_{c}": v.sum(), f"q_{c}": (v * v).sum()}
        entry["c_revenue_before"] = (part["revenue"] * part["before"]).sum()
        entry["c_revenue_converted"] = (part["revenue"] * part["converted"]).sum()
        table.append(entry)
    return pd.DataFrame(table)


def mean_amount() -> float:
    """The true revenue of a subscriber."""
    return float(np.exp(2.5 + 0.18) * (0.5 + 10 / 20))


def fixed(seed: int, replications: int, n: int) -> list[tuple[str, float]]:
    """One look: false alarms without an effect, and coverage with one."""
    rng = np.random.default_rng(seed)
    parts = [_fixed(rng, min(CHUNK, replications - done), n) for done in range(0, replications, CHUNK)]
    return [(name, sum(part[name] for part in parts) / replications) for name in parts[0]]


def _fixed(rng: np.random.Generator, replications: int, n: int) -> dict[str, int]:
    """Counts of false alarms and of intervals that hold the truth."""
    alike = {v: visitors(rng, (replications, n)) for v in "ab"}
    differ = {"a": visitors(rng, (replications, n)), "b": visitors(rng, (replications, n), lift=0.3)}
    truth = 0.3 * CONVERSION * mean_amount()
    alarms = dict.fromkeys(["conversion", "revenue", "revenue, CUPED", "revenue of a subscriber"], 0)
    held = dict.fromkeys(
        [
            "conversion",
            "lift of conversion",
            "revenue",
            "revenue, CUPED",
            "lift of revenue",
            "revenue of a subscriber",
        ],
        0,
    )
    for row in range(replications):
        table = sums(alike, row)
        found = {
            "conversion": comparison.compare_shares(table, control="a"),
            "revenue": comparison.compare(table, "revenue", control="a"),
            "revenue, CUPED": comparison.compare(table, "revenue", control="a", covariate="before"),
            "revenue of a subscriber": comparison.compare(
                table, "revenue", control="a", denominator="converted"
            ),
        }
        for name, effect in found.items():
            alarms[name] += effect.table.frame["p"].iloc[0] < 0.05
        table = sums(differ, row)
        shares = comparison.compare_shares(table, control="a").table.frame.iloc[0]
        plain = comparison.compare(table, "revenue", control="a").table.frame.iloc[0]
        adjusted = comparison.compare(table, "revenue", control="a", covariate="before").table.frame.iloc[0]
        ratio = comparison.compare(table, "revenue", control="a", denominator="converted").table.frame.iloc[0]
        held["conversion"] += shares["difference_low"] <= 0.3 * CONVERSION <= shares["difference_high"]
        held["lift of conversion"] += shares["lift_low"] <= 0.3 <= shares["lift_high"]
        held["revenue"] += plain["difference_low"] <= truth <= plain["difference_high"]
        held["revenue, CUPED"] += adjusted["difference_low"] <= truth <= adjusted["difference_high"]
        held["lift of revenue"] += plain["lift_low"] <= 0.3 <= plain["lift_high"]
        held["revenue of a subscriber"] += ratio["difference_low"] <= 0 <= ratio["difference_high"]
    return {f"false alarms, {name}": count for name, count in alarms.items()} | held


def rare(seed: int, replications: int, expected: float, share: float = 0.06) -> list[tuple[str, float]]:
    """So many conversions expected in the small arm, and in the other at the same rate, with skewed amounts."""
    rng, total = np.random.default_rng(seed), 20_000
    n = {"a": total - int(share * total), "b": int(share * total)}
    alarms = dict.fromkeys(["conversion", "revenue", "decision to ship", "value of a visitor"], 0)
    earns, truth = earned(4), expected / n["b"] * np.exp(2.5 + 0.18)
    held = 0
    for _ in range(replications):
        rows = []
        for name, size in n.items():
            x = int(rng.binomial(size, expected / n["b"]))
            amounts = rng.lognormal(2.5, 0.6, x)
            each = {"s_revenue": amounts.sum(), "q_revenue": (amounts**2).sum(), "k_revenue": x}
            rows.append({"variant": name, "n": size, "s_converted": x, "converted": x, "price": 13.0} | each)
        table = pd.DataFrame(rows)
        shares = comparison.compare_shares(table, control="a").table.frame.iloc[0]
        money = comparison.compare(table, "revenue", control="a")
        row = money.table.frame.iloc[0]
        alarms["conversion"] += shares["p"] < 0.05
        alarms["revenue"] += row["p"] < 0.05
        own = money.arms.frame.set_index("variant").loc["b"]
        held += own["value_low"] <= truth <= own["value_high"]
        if row["standard_error"] > 0:
            scale = {"control_value": row["control"], "visitors": 1e6, "n": total}
            alarms["decision to ship"] += decide(money.table.frame, **scale).verdict == "ship"
        life = [(v, k, x) for v, x in zip("ab", table["converted"], strict=True) for k in (1, 2) if x]
        life = pd.DataFrame(life, columns=["group", "period", "at_risk"])
        life = life.assign(events=0, censored=np.where(life["period"] == 2, life["at_risk"], 0))
        if len(life):
            gap = visitor_value(table, life, earns, horizon=2).differences("a").iloc[0]
            alarms["value of a visitor"] += gap["difference_low"] > 0 or gap["difference_high"] < 0
    found = [(f"false alarms, {name}", count / replications) for name, count in alarms.items()]
    return [*found, ("revenue of the small arm", held / replications)]


def sequential(seed: int, replications: int, n: int) -> list[tuple[str, float]]:
    """Twenty looks without an effect: false alarms at any of them, by always-valid intervals."""
    rng = np.random.default_rng(seed)
    arms = {v: visitors(rng, (replications, n)) for v in "ab"}
    looks = np.linspace(n / LOOKS, n, LOOKS).astype(int)
    names = ("conversion", "revenue", "sample ratio", "decision to ship")
    alarms = dict.fromkeys(names, 0)
    for row in range(replications):
        seen = dict.fromkeys(names, False)
        for upto in looks:
            table = sums(arms, row, upto)
            options = {"control": "a", "planned_n": 2 * n}
            seen["conversion"] |= comparison.compare_shares(table, **options).table.frame["p"].iloc[0] < 0.05
            effect = comparison.compare(table, "revenue", **options).table.frame
            seen["revenue"] |= bool(
                effect["difference_low"].iloc[0] > 0 or effect["difference_high"].iloc[0] < 0
            )
            verdict = decide(
                effect, control_value=effect["control"].iloc[0], visitors=1e6, n=2 * upto, planned_n=2 * n
            ).verdict
            seen["decision to ship"] |= verdict == "ship"
        split = rng.binomial(200, 0.5, LOOKS)
        split = np.column_stack([split, 200 - split])
        looked = experiments.sequential_sample_ratio(split, concentration=100)
        seen["sample ratio"] = bool((looked["p"] <= 0.05).any())
        for name in names:
            alarms[name] += bool(seen[name])
    return [(f"false alarms in {LOOKS} looks, {k}", v / replications) for k, v in alarms.items()]


PRICES = {"a": 10.0, "b": 13.0, "c": 15.0, "d": 18.0}
A, B, G = 0.0, 0.095, 0.05


def base_hazard(months: int = 12) -> np.ndarray:
    """The true cumulative hazard of each month at a price of 13."""
    return 0.05 + 0.05 / np.arange(1, months + 1)


def earned(unit_cost: float = 0.0, *, monthly: float = 0.01, **fees: float) -> Earnings:
    """What a month at a price leaves, in whole units of a currency without minor ones."""
    facts = {
        "margin": 1.0,
        "fee_share": 0.0,
        "fee_fixed": 0.0,
        "discount_rate": (1 + monthly) ** 12 - 1,
    } | fees
    return Earnings(Economics(cost_to_serve=unit_cost, **facts), "JPY")


def true_value(price: float, horizon: int = 12, rate: float = 0.01, cost: float = 4.0) -> float:
    """The true value of a visitor at a price."""
    h = base_hazard() * np.exp(G * (price - 13))
    curve = np.exp(-np.r_[0, np.cumsum(h)])[:horizon]
    return float(
        (price - cost) / (1 + np.exp(-(A - B * price))) * (curve * (1 + rate) ** -np.arange(horizon)).sum()
    )


def price_experiment(rng: np.random.Generator, n: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Counts and the life table of an experiment of four prices, observed for 6 to 14 months."""
    counts, parts = [], []
    for name, price in PRICES.items():
        converted = int(rng.binomial(n, 1 / (1 + np.exp(-(A - B * price)))))
        h = np.r_[base_hazard(), np.full(8, 0.055)] * np.exp(G * (price - 13))
        left = np.searchsorted(np.cumsum(h), rng.exponential(size=converted)) + 1
        watched = rng.integers(6, 15, converted)
        exits, event = np.minimum(left, watched), left <= watched
        d = np.bincount(exits[event], minlength=16)[1:]
        c = np.bincount(exits[~event], minlength=16)[1:]
        at_risk = (d + c)[::-1].cumsum()[::-1]
        part = pd.DataFrame(
            {"group": name, "period": np.arange(1, 16), "at_risk": at_risk, "events": d, "censored": c}
        )
        parts.append(part[part["at_risk"] > 0])
        counts.append({"variant": name, "n": n, "converted": converted, "price": price})
    return pd.DataFrame(counts), pd.concat(parts, ignore_index=True)


def prices(seed: int, replications: int, n: int) -> list[tuple[str, float]]:
    """Coverage of a visitor's value, of differences of values, of the best price and its value."""
    rng = np.random.default_rng(seed)
    grid = np.linspace(10, 18, 8001)
    worth = np.array([true_value(p) for p in grid])
    best = grid[worth.argmax()]
    names = (
        "value of a visitor",
        "difference of values, each by itself",
        "difference of values, by the models",
    )
    held = dict.fromkeys([*names, "value at the best price", "best price", "demand slope", "hazard slope"], 0)
    for _ in range(replications):
        counts, life = price_experiment(rng, n)
        value = visitor_value(counts, life, earned(4), horizon=12)
        arm = value.arm("b")
        held["value of a visitor"] += arm.low <= true_value(13) <= arm.high
        gap = true_value(15) - true_value(13)
        row = value.differences("b").set_index("variant").loc["c"]
        held["difference of values, each by itself"] += row["difference_low"] <= gap <= row["difference_high"]
        demand, staying = logit_demand(counts), hazard_by_price(life, PRICES)
        curve = profit_curve(demand, staying, earned(4), horizon=12, draws=1000)
        row = curve.differences(PRICES, "b").set_index("variant").loc["c"]
        held["difference of values, by the models"] += row["difference_low"] <= gap <= row["difference_high"]
        held["best price"] += curve.best.low <= best <= curve.best.high
        held["value at the best price"] += curve.value.low <= worth.max() <= curve.value.high
        held["demand slope"] += abs(demand.b - B) <= 1.96 * np.sqrt(demand.covariance[1, 1])
        held["hazard slope"] += abs(staying.g - G) <= 1.96 * staying.standard_error
    return [(name, count / replications) for name, count in held.items()]


def report(replications: int, seed: int) -> str:
    """The shares as a Markdown table."""
    parts = [
        ("400 per arm", replications, fixed(seed, replications, 400)),
        ("4,000 per arm", replications, fixed(seed + 1, replications, 4000)),
        ("2,000 per arm", replications // 2, sequential(seed + 2, replications // 2, 2000)),
        ("1,600 at each of 4 prices", 2 * replications, prices(seed + 3, 2 * replications, 1600)),
    ]
    few = [(f"{m:g} conversions expected in 6 %", m) for m in (0.5, 2, 5, 10, 20)]
    parts += [(size, replications // 10, rare(seed + 4, replications // 10, m)) for size, m in few]
    lines = [f"Seed {seed}.", "", "| what | visitors | experiments | share |", "|---|---|---|---|"]
    for size, runs, rows in parts:
        lines += [f"| {name} | {size} | {runs} | {100 * share:.1f} % |" for name, share in rows]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--replications", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--write", type=Path, help="put the table between the marks of this file")
    options = parser.parse_args()
    started = time.perf_counter()
    table = report(options.replications, options.seed)
    print(table, f"\n{time.perf_counter() - started:.0f} s")
    if options.write:
        text = options.write.read_text(encoding="utf-8")
        start, end = "<!-- experiments -->", "<!-- /experiments -->"
        before, rest = text.split(start, 1)
        after = rest.split(end, 1)[1]
        options.write.write_text(f"{before}{start}\n{table}\n{end}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
