"""How often the intervals of a new customer's and the base's value hold the truth, by business model.

    python tests/simulations/coverage_businesses.py --companies 500

Companies are counts, not pages: those of a publisher with two subscriptions a customer, of accounts that pay by the
year and of weekly boxes leave with a constant chance; curves, payments and values are made as the workbook does.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd

from tenure.economics import Economics
from tenure.models import payments, renewals, retention_choice, value

# By model: for each group its interval, chance to leave, price; then customers and intervals watched.
MODELS = {
    "publisher": ([("Digital", "1 month", 0.04, 1000), ("Print", "1 month", 0.02, 2000)], 900, 36),
    "accounts by the year": ([("Team", "12 months", 0.12, 60_000)], 300, 6),
    "weekly boxes": ([("Box", "7 days", 0.016, 6000)], 300, 78),
}


def one_company(model: str, seed: int) -> dict[str, bool]:
    """Whether each interval of one company holds its truth."""
    rng, (groups, size, watched) = np.random.default_rng(seed), MODELS[model]
    terms = renewals.Terms(Economics(discount_rate=0.1, margin=0.7, fee_share=0.0, fee_fixed=0.0), years=30)
    parts, base, truth = [], [], {"new": 0.0, "base": 0.0}
    for group, length, leave, price in groups:
        ripe, life = rng.integers(1, watched + 1, size), rng.geometric(leave, size)
        left = life <= ripe
        rows = pd.DataFrame({"ripe": ripe, "exit": np.minimum(life, ripe), "event": left.astype(int)})
        rows = rows.assign(
            group=group, interval=length, entry=0, n=1, cause=np.where(left, "voluntary", None)
        )
        parts.append(rows)
        there = rows.loc[~left].groupby("ripe").size()
        base.append(
            pd.DataFrame({"tenure": there.index, "customers": there.to_numpy(), "group": group, "interval": length})
            .assign(model_group=group, currency="EUR", billed_minor=there.to_numpy() * price)
        )  # fmt: skip
        curve = (1 - leave) ** np.arange(terms.periods(length) + 1)
        each = 0.7 * price * (curve / (1 + terms.rate(length)) ** np.arange(len(curve))).sum()
        truth["new"] += size * each
        truth["base"] += there.sum() * (1 - leave) * each
    fit = retention_choice.choose_fit(pd.concat(parts, ignore_index=True)).fit
    now = pd.concat(base, ignore_index=True)
    now["waited_minor"] = now["billed_minor"].astype(float)
    pays = payments.payments_by_tenure(None, None, terms, base=now, smallest=1)
    intake = pd.DataFrame(
        {"group": [g[0] for g in groups], "interval": [g[1] for g in groups], "customers": size}
    )
    found = {"new": value.value_new(fit, intake, pays).total, "base": value.value_base(fit, now, pays).total}
    return {name: bool(one.low <= truth[name] <= one.high) for name, one in found.items()}


def simulate(companies: int) -> pd.DataFrame:
    """The share of companies whose interval holds the truth, by model and value."""
    rows = {model: pd.DataFrame([one_company(model, s) for s in range(companies)]).mean() for model in MODELS}
    return pd.DataFrame(rows).T.assign(companies=companies)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--companies", type=int, default=500)
    print(simulate(parser.parse_args().companies).to_string())
