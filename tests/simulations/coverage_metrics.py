"""Do the intervals of the metrics workbook hold the truth 95 times in 100?

Companies with known laws are simulated: prices, chances to leave, to pay more and to pay less are drawn
for each customer; every company's month, or year, is estimated, and the truth compared with the interval.

    .venv/bin/python tests/simulations/coverage_metrics.py --write docs/validation.md
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
import pandas as pd

from tenure.models import engagement, rates
from tenure.result import Estimate
from tenure.stats import intervals

PRICES = np.array([799.0, 1299.0, 1699.0, 1000.0, 9900.0])
SHARES = np.array([0.28, 0.38, 0.15, 0.14, 0.05])
CHURN, GROW, SHRINK = 0.05, 0.06, 0.03
NPS = np.array([0.48, 0.40, 0.12])


def truth() -> dict[str, float]:
    """The values that the companies are drawn from."""
    price = float(PRICES @ SHARES)
    kept = 1 - CHURN
    return {
        "logo churn": CHURN,
        "revenue churn": CHURN,
        "gross retention": kept * (1 - SHRINK * 0.3),
        "net retention": kept * (1 - SHRINK * 0.3 + GROW * 0.4),
        "quick ratio": (0.07 + kept * GROW * 0.4) / (CHURN + kept * SHRINK * 0.3),
        "revenue per customer": price,
        "net promoter score": 100 * (NPS[0] - NPS[2]),
        "cost per customer acquired": 2000.0,
        "stickiness": 0.25,
        "change of stickiness, by pairs": 0.0,
        "change of the silent, by pairs": 0.0,
    }


def company(rng: np.random.Generator, size: int) -> dict[str, Estimate]:
    """One company's estimates."""
    then = rng.choice(PRICES, size, p=SHARES)
    left = rng.random(size) < CHURN
    change = np.where(rng.random(size) < GROW, 0.4, 0.0)
    change = np.where((rng.random(size) < SHRINK / (1 - GROW)) & (change == 0), -0.3, change)
    now = np.where(left, 0.0, then * (1 + change))
    kept = np.minimum(then, now)
    added = now - kept
    moments = {
        "n": size, "paid_then": then.sum(), "kept": kept.sum(), "added": added.sum(),
        "var_then": then.var(ddof=1), "var_added": added.var(ddof=1), "cov_added": np.cov(added, then)[0, 1],
    }  # fmt: skip
    effective = intervals.effective_number(size, then.sum(), then.var(ddof=1))
    new = rng.choice(PRICES, rng.poisson(0.07 * size), p=SHARES)
    gains = np.concatenate([new, np.maximum(now - then, 0)])
    losses = np.maximum(then - now, 0)
    answers = rng.multinomial(max(size // 3, 10), NPS)
    won = rng.poisson(size * 0.1)
    habit = rng.beta(2, 6, size)
    days = rng.binomial(28, habit)
    past = rng.binomial(28, habit)  # the same users in the window before, alike by habit
    # Only who was active at all is seen; the truth allows for it below.
    counts = np.bincount(days[days > 0], minlength=29)
    used, silent = paired(days, past), paired_shares(days, past)
    return {
        "logo churn": intervals.proportion(int(left.sum()), size),
        "revenue churn": intervals.weighted_share(then[left].sum(), then.sum(), effective, size),
        "gross retention": rates.gross_retention(moments),
        "net retention": rates.net_retention(moments),
        "quick ratio": intervals.quick_ratio(
            gains.sum(), (gains**2).sum(), losses.sum(), (losses**2).sum(), len(gains)
        ),
        "revenue per customer": intervals.mean(then.mean(), then.std(ddof=1), size),
        "net promoter score": rates.net_promoter_score(*map(int, answers)),
        "cost per customer acquired": rates.acquisition_cost(size * 0.1 * 2000.0, int(won)),
        "stickiness": engagement.stickiness(np.arange(29), counts),
        "change of stickiness, by pairs": used,
        "change of the silent, by pairs": silent,
    }


def paired(now: np.ndarray, then: np.ndarray) -> Estimate:
    """The change of a mean over those active at all, many of whom are so in both windows."""
    one, two = now[now > 0] / 28, then[then > 0] / 28
    both = (now > 0) & (then > 0)
    return intervals.paired_means(
        (len(one), one.sum(), (one**2).sum()), (len(two), two.sum(), (two**2).sum()),
        (both.sum(), now[both].sum() / 28, then[both].sum() / 28, (now[both] * then[both]).sum() / 28**2),
    )  # fmt: skip


def paired_shares(now: np.ndarray, then: np.ndarray) -> Estimate:
    """The change of a share of the same customers."""
    one, two = now < 3, then < 3
    n = len(now)
    return intervals.paired_means(
        (n, one.sum(), one.sum()), (n, two.sum(), two.sum()), (n, one.sum(), two.sum(), (one & two).sum())
    )


def coverage(companies: int, customers: tuple[int, ...], seed: int) -> pd.DataFrame:
    """How often each interval covers the truth.

    Returns:
        A row an estimate and size: estimate, customers, companies, covered.
    """
    rng = np.random.default_rng(seed)
    known = truth()
    days = np.arange(1, 29)
    chance = np.array(
        [math.exp(math.lgamma(29) - math.lgamma(k + 1) - math.lgamma(29 - k) + math.lgamma(2 + k)
                  + math.lgamma(34 - k) - math.lgamma(36) + math.lgamma(8) - math.lgamma(2) - math.lgamma(6))
         for k in days]
    )  # fmt: skip
    known["stickiness"] = float((days * chance).sum() / chance.sum() / 28)
    rows = []
    for size in customers:
        held = dict.fromkeys(known, 0)
        for _ in range(companies):
            for name, found in company(rng, size).items():
                held[name] += bool(found.low <= known[name] <= found.high)
        rows += [(name, size, companies, hits / companies) for name, hits in held.items()]
    return pd.DataFrame(rows, columns=["estimate", "customers", "companies", "covered"])


def main() -> None:
    """Run the whole simulation and print or write its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--companies", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--write", type=Path, help="a Markdown file whose table is replaced")
    given = parser.parse_args()
    table = coverage(given.companies, (150, 1000, 5000), given.seed)
    lines = [
        f"Seed {given.seed}, {given.companies} companies.",
        "",
        "| interval of | customers | covers the truth in |",
        "|---|---|---|",
        *(f"| {row.estimate} | {row.customers} | {100 * row.covered:.1f} % |" for row in table.itertuples()),
    ]
    text = "\n".join(lines) + "\n"
    if given.write is None:
        print(text)
        return
    mark = "<!-- coverage_metrics -->"
    head, _, rest = given.write.read_text().partition(mark)
    tail = rest.partition("<!-- end -->")[2]
    given.write.write_text(f"{head}{mark}\n{text}<!-- end -->{tail}")


if __name__ == "__main__":
    main()
