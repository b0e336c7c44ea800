"""How often the intervals of a new customer's and the base's value hold the truth, by business model.

    python tests/simulations/coverage_businesses.py --companies 500

Companies are counts, not pages: each model has the chances to leave of the made-up company of its name
(tests/businesses), at each renewal. Model choice, curves, payments, values and the backtest of a year ago are made as
the workbook makes them. A backtest that fails although the model holds is a false alarm.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd

from tenure.economics import Economics
from tenure.errors import NotApplicable
from tenure.models import payments, renewals, retention_choice, value

# By model: for each group its interval, chances to leave (the last ones over and over), price, and spread of it
# between customers (of the logarithm); then customers, intervals observed, and intervals in a year.
MODELS = {
    "seats, by the year": ([("Team", "12 months", [0.12], 60_000, 0.5)], 60, 6, 1),
    "accounts, by the year": ([("Team", "12 months", [0.12], 60_000, 0)], 300, 6, 1),
    "club, by the term": ([("Box", "3 months", [0.35, 0.08], 9_000, 0)], 400, 10, 4),
    "terms under new numbers": ([("Contract", "3 months", [0.08], 9_000, 0)], 300, 10, 4),
    "publisher, two each": (
        [("Digital", "1 month", [0.04], 1000, 0), ("Print", "1 month", [0.02], 2000, 0)], 900, 36, 12,
    ),
    "monthly beside gifts": ([("Monthly", "1 month", [0.04], 1000, 0)], 300, 30, 12),
    "weekly boxes": ([("Box", "7 days", [0.016], 6000, 0)], 300, 78, 52),
    "deals of three years": ([("Deal", "12 months", [0, 0, 0.3] * 20, 120_000, 0)], 400, 7, 1),
    "usage": ([("API", "1 month", [0.04], 3750, 0.6)], 800, 36, 12),
    "app": ([("Monthly", "1 month", [0.05], 800, 0)], 530, 24, 12),
}  # fmt: skip


def _lives(rng, size: int, watched: int, leave: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many renewals each has passed by the last day, and at which they leave."""
    drawn = rng.random((size, len(leave))) < leave
    return rng.integers(1, watched + 1, size), np.where(drawn.any(axis=1), drawn.argmax(axis=1) + 1, 10**6)


def one_company(model: str, seed: int) -> dict[str, float]:
    """Whether each interval of one company holds its truth, how far its value is off, and the backtest."""
    rng, (groups, size, watched, year) = np.random.default_rng(seed), MODELS[model]
    terms = renewals.Terms(Economics(discount_rate=0.1, margin=0.7, fee_share=0.0, fee_fixed=0.0), years=30)
    parts, base, bills, begun, truth = [], [], [], [], {"new": 0.0, "base": 0.0}
    for group, length, chances, price, spread in groups:
        many = terms.periods(length) + watched
        leave = np.r_[chances, np.full(max(many - len(chances), 0), chances[-1])][:many]
        ripe, life = _lives(rng, size, watched, leave)
        each = price * np.exp(rng.normal(0, spread, size) - spread**2 / 2) if spread else np.full(size, price)
        left = life <= ripe
        parts.append(
            pd.DataFrame({"ripe": ripe, "exit": np.minimum(life, ripe), "event": left.astype(int), "entry": 0})
            .assign(group=group, interval=length, cause=np.where(left, "voluntary", None))
        )  # fmt: skip
        last = np.where(left, life - 1, ripe)  # of the intervals that each has begun, and paid
        keys = {"group": group, "interval": length, "currency": "EUR"}
        ever = pd.Series(last).value_counts()
        begun.append(pd.DataFrame({**keys, "first": 0, "last": ever.index, "n": ever.to_numpy()}))
        for tenure in range(watched + 1):
            paid = np.rint(each[last >= tenure])
            bills.append({
                **keys, "tenure": tenure, "payers": len(paid), "charges": len(paid),
                "paid_minor": paid.sum(), "refunded_minor": 0, "squares": float((paid**2).sum()),
            })  # fmt: skip
        now = pd.DataFrame({"tenure": ripe, "billed_minor": np.rint(each)})[~left]
        base.append(now.assign(group=group, interval=length, model_group=group, currency="EUR", customers=1))
        curve, v = np.r_[1.0, np.cumprod(1 - leave)], 1 / (1 + terms.rate(length))
        ahead = v ** np.arange(terms.periods(length))
        rest = [
            (curve[k + 1 :][: len(ahead)] / curve[k] * ahead[: many - k]).sum() for k in range(watched + 1)
        ]
        truth["new"] += size * 0.7 * price * (1 + v * rest[0])
        truth["base"] += float(0.7 * (now["billed_minor"] * np.array(rest)[now["tenure"]]).sum())
    stays = pd.concat(parts, ignore_index=True)
    cut = stays.assign(ripe=stays["ripe"] - year)
    before = cut.assign(
        exit=np.minimum(cut["exit"], cut["ripe"]), event=cut["event"] * (cut["exit"] <= cut["ripe"])
    )
    after = stays.assign(entry=np.maximum(cut["ripe"], 0))
    rows = ["group", "interval", "entry", "exit", "event", "cause", "ripe"]
    counted = [one.groupby(rows, dropna=False).size().rename("n").reset_index() for one in (
        stays, before[before["ripe"] > 0], after[(after["exit"] > after["entry"]) & (cut["ripe"] > 0)],
    )]  # fmt: skip
    found = retention_choice.choose_fit(counted[0], before=counted[1], after=counted[2])
    fit, now = found.fit, pd.concat(base, ignore_index=True)
    now["waited_minor"] = now["billed_minor"].astype(float)
    by = [*("tenure", "group", "interval", "model_group", "currency")]
    spread = any(group[4] for group in groups)
    now = now if spread else now.groupby(by, as_index=False).sum()
    paid = pd.DataFrame([one for one in bills if one["payers"]])
    pays = payments.payments_by_tenure(paid, pd.concat(begun, ignore_index=True), terms, base=now, smallest=1)
    intake = pd.DataFrame(
        {"group": [g[0] for g in groups], "interval": [g[1] for g in groups], "customers": size}
    )
    values = {"new": value.value_new(fit, intake, pays).total, "base": value.value_base(fit, now, pays).total}
    said = {name: float(one.low <= truth[name] <= one.high) for name, one in values.items()}
    said |= {f"off_{name}": one.value / truth[name] - 1 for name, one in values.items()}
    if found.past is not None:
        seen = retention_choice.calibration(found.past, counted[2], ["group"]).failed
        said["false_alarm"] = float(seen.case == "failed")
    return said


def simulate(companies: int, names: list[str], first: int = 0) -> pd.DataFrame:
    """The share of companies whose interval holds the truth, by model and value."""
    rows = {}
    for model in names:
        made = []
        for seed in range(first, first + companies):
            try:
                made.append(one_company(model, seed))
            except NotApplicable:
                made.append({"no_value": 1.0})
        rows[model] = pd.DataFrame(made).mean()
        print(rows[model].rename(model).to_frame().T.assign(companies=companies).to_string(), flush=True)
    return pd.DataFrame(rows).T.assign(companies=companies)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--companies", type=int, default=500)
    parser.add_argument("--first", type=int, default=0, help="The first seed.")
    parser.add_argument("--models", nargs="*", default=list(MODELS))
    options = parser.parse_args()
    simulate(options.companies, options.models, options.first)
