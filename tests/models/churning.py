"""Companies drawn as what is known of customers on some days, by a law that is known; and one more measure."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats
from scipy.special import expit

DAYS = ["2024-10-31", "2025-01-31", "2025-04-30", "2025-07-31", "2025-10-31", "2026-01-31", "2026-04-30"]


def landmarks(rng, n=1500, base=-1.6, use=-0.6, answer=0.0, bill=1200.0, drift=0.0):
    """Rows as `tenure.measures.risk.landmarks` returns them, with the true chance of each in `truth`.

    `drift` moves the mix of channels from day to day, `answer` makes a column tell what happened.
    """
    parts = []
    for number, day in enumerate(DAYS):
        plan = rng.choice(["Basic", "Plus", "Annual"], n, p=[0.5, 0.35, 0.15])
        annual = plan == "Annual"
        channel = np.where(rng.random(n) < 0.3 + drift * number, "social", "search")
        level = rng.gamma(2.0, 3.0, n)
        used, before = rng.poisson(level), rng.poisson(3 * level)
        tenure = rng.geometric(0.12, n)
        z = base + use * (np.log1p(used) - 1.6) + 0.5 * (channel == "social") - 0.25 * np.log(tenure)
        truth = expit(z + 0.5 * annual)
        draw = rng.random(n)
        outcome = np.where(draw < truth, "voluntary", np.where(draw > 0.98, "involuntary", "stayed"))
        known = pd.DataFrame({
            "on": day, "customer_id": [f"c{number}-{k:05d}" for k in range(n)], "outcome": outcome,
            "plan": plan, "interval": np.where(annual, "12 months", "1 month"), "channel": channel,
            "tenure": np.where(annual, tenure // 12, tenure), "wait_days": rng.integers(1, 30, n),
            "ahead_days": 92, "notice": 0, "bill": np.where(annual, 10 * bill, bill), "used": used,
            "used_before": before, "unused_days": np.where(used > 0, rng.integers(0, 60, n), 60),
            "tickets": rng.poisson(0.2, n), "failed": rng.poisson(0.05, n),
            "nps": np.where(rng.random(n) < 0.3, rng.integers(0, 11, n), np.nan), "truth": truth,
            "gender": rng.choice(["f", "m"], n), "birth_year": rng.integers(1950, 2005, n),
            "country": rng.choice(["IT", "FR", "DE", "ES", "NL", "US"], n), "draw": draw,
        })  # fmt: skip
        known["churn_score"] = (
            np.where(rng.random(n) < answer, outcome == "voluntary", 0).astype(int).astype(str)
        )
        parts.append(known)
    rows = pd.concat(parts, ignore_index=True)
    rows["outcome"] = rows["outcome"].where(rows["on"] != DAYS[-1])
    return rows


def empc(left, p, prior, worth, incentive, cost):
    """The expected maximum profit a customer, and the share to contact (Verbraken and others 2013).

    Everybody is worth the same, and all who would have stayed take the incentive. The best share follows the
    convex hull of the ROC curve as the share saved, with its beta distribution, rises.
    """
    left, place = np.asarray(left), np.unique(-np.asarray(p), return_inverse=True)[1]
    gone, stay = (
        np.append(0.0, np.cumsum(np.bincount(place, part)) / len(left)) for part in (left, 1 - left)
    )
    hull = [0]
    for i in range(1, len(gone)):
        while len(hull) > 1:
            a, b = hull[-2:]
            if (gone[b] - gone[a]) * (stay[i] - stay[b]) > (gone[i] - gone[b]) * (stay[b] - stay[a]):
                break
            hull.pop()
        hull.append(i)
    gone, stay = gone[hull], stay[hull]
    with np.errstate(divide="ignore"):
        slope = np.diff(stay) / np.diff(gone)
    ends = np.clip((slope * (incentive + cost) + cost) / (worth - incentive), 0.0, 1.0)
    edges, (a, b) = np.concatenate([[0.0], ends, [1.0]]), prior
    first = np.diff(stats.beta.cdf(edges, a + 1, b)) * a / (a + b)
    mass = np.diff(stats.beta.cdf(edges, a, b))
    profit = (worth - incentive) * gone * first - cost * gone * mass - (incentive + cost) * stay * mass
    return profit.sum(), ((gone + stay) * mass).sum()
