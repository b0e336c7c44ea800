"""Do the intervals of the reasons for leaving cover, and does each company get the verdict it deserves?

.venv/bin/python tests/simulations/coverage_reasons.py --write docs/validation.md
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1]))

from models.test_reasons import EUR, answers, at_lags, months, renewals
from tenure.models import reasons as r

SEED, DRAWS, COMPANIES = 2026, 2000, 100


def covers(found: pd.Series, name: str, truth: float) -> bool:
    return bool(found[f"{name}_low"] <= truth <= found[f"{name}_high"])


def stated(rng: np.random.Generator, n: int) -> list[bool]:
    """Answers of two plans of unequal price and response: counted, by revenue, and reweighted."""
    says, pays, responds = np.array([0.6, 0.25]), np.array([500.0, 3000.0]), np.array([0.5, 0.2])
    plan = (rng.random(n) < 0.4).astype(int)
    price, there = rng.random(n) < says[plan], rng.random(n) < responds[plan]
    amount = pays[plan] * rng.lognormal(0, 0.4, n)
    rows = pd.DataFrame(
        {
            "answer": np.where(there, np.where(price, "price", "other"), None),
            "plan": np.where(plan, "B", "A"),
            "amount_minor": amount,
            "squares": amount**2,
        }
    ).assign(cause="voluntary", asked=1, band=0, currency="EUR", n=1)
    found = r.stated(rows, EUR).table.frame.set_index("reason").loc["price"]
    share = np.array([0.6, 0.4]) * responds
    worth = share * pays
    return [
        covers(found, "share", float(share @ says / share.sum())),
        covers(found, "of_revenue", float(worth @ says / worth.sum())),
        covers(found, "reweighted", float(np.array([0.6, 0.4]) @ says)),
    ]


LAWS = np.array([[0.035, 0.004, 0.012], [0.02, 0.006, 0.03]])  # a day: recovered, left by choice, given up


def charges(rng: np.random.Generator, n: int) -> pd.DataFrame:
    """Episodes of large and small charges with constant risks by day; some are seen for a few days only."""
    large = (rng.random(n) < 0.3).astype(int)
    risk = LAWS[large]
    day = rng.geometric(risk.sum(axis=1))
    kind = (rng.random(n)[:, None] > np.cumsum(risk / risk.sum(axis=1)[:, None], axis=1)).sum(axis=1)
    until = np.where(rng.random(n) < 0.3, rng.integers(1, 28, n), 28)
    outcome = np.array(["recovered", "voluntary", "involuntary"])[kind]
    amount = np.where(large, 9000, 1000)
    rows = pd.DataFrame({"day": np.minimum(day, until), "outcome": np.where(day <= until, outcome, "open")})
    rows = rows.assign(
        n=1, amount_minor=amount, squares=amount.astype(float) ** 2, currency="EUR", failures=1
    )
    return rows.groupby(["day", "outcome", "currency", "failures"], as_index=False).sum()


def recovered(day: int) -> tuple[float, float]:
    whole = LAWS.sum(axis=1)
    by_kind = LAWS[:, 0] / whole * (1 - (1 - whole) ** day)
    weight = np.array([0.7, 0.3])
    worth = weight * np.array([1000, 9000])
    return float(weight @ by_kind), float(worth @ by_kind / worth.sum())


def recovery(rng: np.random.Generator, n: int, days: tuple[int, ...]) -> list[bool]:
    table = r.recovery(charges(rng, n), EUR)[0].frame.set_index("day")
    truth = {day: recovered(day) for day in days}
    return [
        covers(table.loc[day], name, truth[day][place])
        for place, name in enumerate(("episodes", "money"))
        for day in days
    ]


def verdicts(rng: np.random.Generator) -> list[bool]:
    """A company with one cause, an unresolved request, and one without; a rise that matters, and one not."""
    fades = {1: 3.0, 3: 1.4, 6: 1.0}
    planted = r.signs(at_lags({lag: months(rng, lag, use=use, n=60_000) for lag, use in fades.items()}))
    none = {lag: months(rng, lag, unresolved=1.0, use=use, n=60_000) for lag, use in fades.items()}
    nothing = r.signs(at_lags(none))
    lasting = {
        name: set(t.frame.loc[t.frame["verdict"] == "lasting", "sign"])
        for name, t in (("yes", planted), ("no", nothing))
    }
    dear = r.stated(answers({"too expensive": 60, "bugs": 40}), EUR)
    seen = [r.price_evidence(dear, r.at_rise(renewals(rng, ratio))).case for ratio in (1.0, 1.5)]
    return [
        "an unresolved support request" in lasting["yes"],
        lasting["yes"] <= {"an unresolved support request"},
        not lasting["no"],
        seen[0] == "said, not seen",
        seen[1] == "said and seen",
    ]


def main() -> None:
    rng = np.random.default_rng(SEED)
    rows = []
    names = ("answers", "answers, by revenue", "answers, reweighted by plan")
    for n in (300, 2000):
        hits = np.mean([stated(rng, n) for _ in range(DRAWS)], axis=0)
        rows += [
            (f"share of {name}", f"{n} asked", DRAWS, hit) for name, hit in zip(names, hits, strict=True)
        ]
    days = (3, 7, 14, 28)
    for n in (100, 1000):
        hits = np.mean([recovery(rng, n, days) for _ in range(DRAWS)], axis=0)
        what = [f"recovered within {day} days, {name}" for name in ("episodes", "money") for day in days]
        rows += [(name, f"{n} episodes", DRAWS, hit) for name, hit in zip(what, hits, strict=True)]
    what = [
        "the planted cause is found to last", "no other sign is", "without a cause none is",
        "a rise that matters to nobody: said, not seen", "a rise of 1.5 times the risk: said and seen",
    ]  # fmt: skip
    hits = np.mean([verdicts(rng) for _ in range(COMPANIES)], axis=0)
    rows += [
        (name, "60,000 months, 4,000 renewals", COMPANIES, hit) for name, hit in zip(what, hits, strict=True)
    ]
    table = ["| interval or verdict | of | draws | right in |", "|---|---|---|---|"]
    table += [f"| {name} | {of} | {draws} | {hit:.1%} |".replace("%", " %") for name, of, draws, hit in rows]
    told = f"Seed {SEED}.\n\n" + "\n".join(table)
    print(told)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, help="put the table between the marks of this file")
    if file := parser.parse_args().write:
        start, end = "<!-- coverage_reasons -->", "<!-- /coverage_reasons -->"
        before, rest = file.read_text(encoding="utf-8").split(start, 1)
        file.write_text(f"{before}{start}\n{told}\n{end}{rest.split(end, 1)[1]}", encoding="utf-8")


if __name__ == "__main__":
    main()
