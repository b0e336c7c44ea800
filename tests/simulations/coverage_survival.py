"""How often the 95 % intervals of survival analysis hold the truth, by simulation.

    python tests/simulations/coverage_survival.py --write docs/validation.md

Companies with a known hazard are simulated, month by month: a high first month, a slow decline, renewal
spikes at 12 and 24 months. Subscribers start over 36 months and are observed to the end of them
(administrative censoring); in part of the runs some are observed only from later in their life (left
truncation). Each company is a group of one life table, so all are estimated at once.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd

from tenure.stats import regression
from tenure.stats.incidence import cumulative_incidence
from tenure.stats.lifetable import greenwood, log_log_band, product_limit, validate
from tenure.stats.survival import restricted_mean

MONTHS = 36
SHARES = {"voluntary": 0.7, "involuntary": 0.3}


def monthly_hazard() -> np.ndarray:
    """The true chance of leaving in months 1..36."""
    month = np.arange(1, MONTHS + 1)
    hazard = 0.02 + 0.05 / month
    hazard[[11, 23]] += 0.12
    return hazard


def durations(rng: np.random.Generator, hazard: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Periods of leaving; one more than there are hazards for those who outlast them."""
    return np.searchsorted(-np.cumprod(1 - hazard), -rng.random(shape), side="left") + 1


def life_table(
    exit_: np.ndarray, event: np.ndarray, entry: np.ndarray, voluntary: np.ndarray
) -> pd.DataFrame:
    """The life table of many companies, each a row of the arrays."""
    size, width = len(exit_), int(exit_.max())
    company = np.arange(size)[:, None] * (width + 1)

    def count(period: np.ndarray, which: np.ndarray) -> np.ndarray:
        tally = np.bincount((company + period)[which], minlength=size * (width + 1))
        return tally.reshape(size, width + 1)[:, 1:]

    seen = exit_ > entry
    by_cause = {
        "voluntary": count(exit_, seen & event & voluntary),
        "involuntary": count(exit_, seen & event & ~voluntary),
    }
    events = by_cause["voluntary"] + by_cause["involuntary"]
    censored, entered = count(exit_, seen & ~event), count(entry, seen)
    at_risk = (events + censored - entered)[:, ::-1].cumsum(axis=1)[:, ::-1]
    columns = {"at_risk": at_risk, "events": events, **by_cause, "censored": censored, "entered": entered}
    table = pd.DataFrame({name: values.ravel() for name, values in columns.items()})
    table.insert(0, "period", np.tile(np.arange(1, width + 1), size))
    table.insert(0, "group", np.repeat([f"{i:05d}" for i in range(size)], width))
    return table


def companies(
    rng: np.random.Generator,
    replications: int,
    customers: int,
    *,
    truncated: bool = False,
    per_month: int = 1,
) -> pd.DataFrame:
    """Life tables of simulated companies, by month, or in finer periods (`per_month` of them)."""
    hazard = 1 - (1 - np.repeat(monthly_hazard(), per_month)) ** (1 / per_month)
    shape = (replications, customers)
    leaving = durations(rng, hazard, shape)
    watched = rng.integers(1, MONTHS * per_month + 1, shape)
    entry = np.zeros(shape, dtype=int)
    if truncated:
        late = rng.random(shape) < 0.4
        entry = np.where(late, rng.integers(1, MONTHS * per_month, shape), 0)
        watched = np.minimum(entry + watched, MONTHS * per_month)
    event = leaving <= watched
    voluntary = rng.random(shape) < SHARES["voluntary"]
    return life_table(np.minimum(leaving, watched), event, entry, voluntary)


def truth() -> dict[str, np.ndarray]:
    """The true curves: survival after 0..36 months and incidence of each cause."""
    hazard = monthly_hazard()
    survival = np.r_[1, np.cumprod(1 - hazard)]
    return {"survival": survival, **{cause: share * (1 - survival) for cause, share in SHARES.items()}}


def bands(life: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Survival curves and their limits, a row per company, by the closed forms that lifelines' fitter equals.

    NaN beyond the last month observed. The fitter itself takes some milliseconds a company.
    """
    counts = validate(life)
    survival = product_limit(counts)
    ends = log_log_band(survival, np.cumsum(greenwood(counts), axis=1), counts.at_risk, 0.95)
    beyond = (counts.periods > counts.last[:, None]) & (survival > 0)
    return tuple(np.where(beyond, np.nan, rows) for rows in (survival, *ends))


def covered(low: pd.Series, high: pd.Series, value: float) -> float:
    """The share of intervals that hold the value; an open end (NaN) counts as infinite."""
    return float(((low.fillna(-np.inf) <= value) & (value <= high.fillna(np.inf))).mean())


def first_below(curve: np.ndarray, level: float) -> float:
    """The first period in which the curve is at most `level`."""
    return float((curve <= level).argmax())


def curves(seed: int, replications: int, customers: int, *, truncated: bool) -> list[tuple[str, float]]:
    """Coverage of survival, incidence and restricted mean, by month."""
    rng = np.random.default_rng(seed)
    life = companies(rng, replications, customers, truncated=truncated)
    true = truth()
    rows = []
    _, low, high = bands(life)
    for month in (1, 3, 6, 12, 18, 24, 30, 35):
        ends = (pd.Series(end[:, month - 1]).dropna() for end in (low, high))
        rows.append((f"S({month})", covered(*ends, true["survival"][month])))
    incidence = cumulative_incidence(life, causes=list(SHARES)).table.frame
    for cause in SHARES:
        for month in (3, 12, 24):
            at = incidence[(incidence["period"] == month) & (incidence["cause"] == cause)]
            rows.append(
                (
                    f"incidence, {cause}, {month} months",
                    covered(at["incidence_low"], at["incidence_high"], true[cause][month]),
                )
            )
    for horizon in (12, 24):
        mean = restricted_mean(life, horizon).table.frame
        rows.append(
            (
                f"restricted mean, {horizon} months",
                covered(mean["mean_low"], mean["mean_high"], true["survival"][:horizon].sum()),
            )
        )
    return rows


def medians(seed: int, replications: int, customers: int) -> list[tuple[str, float]]:
    """Coverage of the median, in whole months and in 30 parts of a month."""
    rng = np.random.default_rng(seed)
    rows = []
    for name, per_month in (("months", 1), ("days (30 to a month)", 30)):
        life = companies(rng, replications, customers, per_month=per_month)
        hazard = 1 - (1 - np.repeat(monthly_hazard(), per_month)) ** (1 / per_month)
        curve = np.r_[1, np.cumprod(1 - hazard)]
        _, low, high = bands(life)
        for what, left in (("first quarter", 0.25), ("median", 0.5)):
            # As `Curve.percentile`: the first periods in which the limits come that low.
            below = [end <= 1 - left + 1e-10 for end in (low, high)]
            ends = [pd.Series(np.where(b.any(axis=1), b.argmax(axis=1) + 1, np.nan)) for b in below]
            rows.append((f"{what}, in {name}", covered(*ends, first_below(curve, 1 - left))))
    return rows


def hazard_ratios(
    seed: int, replications: int, customers: int, *, renewal: float = 0.0
) -> list[tuple[str, float]]:
    """Coverage of hazard ratios: proportional hazards in continuous time seen in whole months.

    Args:
        seed: Of the random numbers.
        replications: How many companies.
        customers: Of each.
        renewal: The share of those still there that month 12 takes besides; Efron's ties cannot bear much.
    """
    rng = np.random.default_rng(seed)
    truth_ = {"plan": 0.5, "age": -0.1}
    hazard = monthly_hazard()
    hazard[11] += renewal
    base, hits = np.cumsum(-np.log1p(-hazard)), dict.fromkeys(truth_, 0)
    for _ in range(replications):
        plan, age = rng.integers(0, 2, customers), rng.integers(0, 5, customers)
        rate = np.exp(truth_["plan"] * plan + truth_["age"] * age)
        leaving = np.searchsorted(base, rng.exponential(size=customers) / rate) + 1
        entry = np.where(rng.random(customers) < 0.3, rng.integers(1, 18, customers), 0)
        watched = np.minimum(entry + rng.integers(1, MONTHS + 1, customers), MONTHS)
        frame = pd.DataFrame(
            {
                "plan": plan,
                "age": age,
                "entry": entry,
                "exit": np.minimum(leaving, watched),
                "event": (leaving <= watched).astype(int),
            }
        )
        fit = regression.hazard_ratios(frame[frame["exit"] > frame["entry"]], list(truth_))
        table = fit.table.frame.set_index("covariate")
        for name, value in truth_.items():
            low, high = table.loc[name, ["hazard_ratio_low", "hazard_ratio_high"]]
            hits[name] += bool(low <= np.exp(value) <= high)
    what = f"hazard ratio, {name_of(renewal)}"
    return [(f"{what}{name}", count / replications) for name, count in hits.items()]


def name_of(renewal: float) -> str:
    """What stands before a covariate's name in the table."""
    return f"a renewal that takes {renewal:.0%} more, " if renewal else ""


def report(replications: int, seed: int) -> str:
    """The coverages as a Markdown table, with the range that chance allows."""
    half = max(replications // 2, 1)
    parts = []
    for step, customers in enumerate((1000, 150)):
        for late, how in ((False, "censored"), (True, "censored, 40 % late entrants")):
            rows = curves(seed + 2 * step + late, replications, customers, truncated=late)
            parts.append((customers, how, replications, rows))
    parts.append((1000, "censored", half, medians(seed + 4, half, 1000)))
    fits = min(replications, 2000)
    for step, (customers, renewal) in enumerate(((300, 0.0), (1000, 0.0), (300, 0.6))):
        rows = hazard_ratios(seed + 5 + step, fits, customers, renewal=renewal)
        parts.append((customers, "censored, 30 % late entrants", fits, rows))
    spread = 196 * (0.95 * 0.05 / replications) ** 0.5
    lines = [
        f"Seed {seed}. With {replications} companies, a coverage of exactly 95 % comes out as "
        f"{95 - spread:.1f} to {95 + spread:.1f} %.",
        "",
        "| interval of | subscribers | companies | covers the truth in |",
        "|---|---|---|---|",
    ]
    for customers, how, runs, rows in parts:
        lines += [f"| {name} | {customers}, {how} | {runs} | {100 * share:.1f} % |" for name, share in rows]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--replications", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--write", type=Path, help="put the table between the marks of this file")
    options = parser.parse_args()
    started = time.perf_counter()
    table = report(options.replications, options.seed)
    print(table, f"\n{time.perf_counter() - started:.0f} s")
    if options.write:
        text = options.write.read_text(encoding="utf-8")
        start, end = "<!-- coverage_survival -->", "<!-- /coverage_survival -->"
        before, rest = text.split(start, 1)
        after = rest.split(end, 1)[1]
        options.write.write_text(f"{before}{start}\n{table}\n{end}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
