"""How often the 95 % intervals of residual lifetimes and of the customer base's value hold the truth.

    python tests/simulations/coverage_value.py --write docs/validation.md

Each simulated company is the demo company with another seed: its laws, its plans, channels and households,
its price experiment and its retention campaign, observed for 36 months. Curves are fitted as the workbook
does (shifted beta-geometric by plan, a separate involuntary hazard, channel and household as characteristics), and
the intervals are compared with what the laws say.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd

from tenure.economics import Economics
from tenure.models import payments, renewals, retention, retention_choice, value
from tenure.stats.lifetime import period_rate, residual_lifetime
from tenure_demo import company, lives
from tenure_demo.company import Window

PLANS = [plan.name for plan in company.BASE_PLANS]
RENEWALS = (1, 3, 6, 12)
YEARS = 60
CHUNK = 5_000


def customers(seed: int, size: int, window: Window) -> pd.DataFrame:
    """First lifetimes of one simulated company, with what shapes them, how long they last and are observed."""
    frames = []
    for number in range(-(-size // CHUNK)):
        chunk = lives.Chunk(seed, number, min(CHUNK, size - number * CHUNK), window)
        people, _ = lives.make_people(chunk)
        lives.live_first(chunk, people)
        here = people.paying
        # Of the months begun, all but the last have passed.
        passed = company.months_started(people.paid_from[here], window.end) - 1
        frames.append(
            pd.DataFrame(
                {
                    "plan": people.plan[here],
                    "channel": np.array(company.CHANNELS)[people.channel[here]],
                    "household": np.array(company.HOUSEHOLDS)[people.household[here]],
                    "hazard": people.hazard[here],
                    "life": people.life[here],
                    "months": passed,
                    "cause": np.where(people.cause[here] == lives.VOLUNTARY, "voluntary", "involuntary"),
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def stay_counts(people: pd.DataFrame) -> pd.DataFrame:
    """Counts of lifetimes by renewal, as `measures.value.stay_counts` makes them."""
    length = company.INTERVAL[people["plan"]]
    ripe, lasted = people["months"] // length, people["life"] // length
    left = lasted <= ripe
    rows = people.assign(
        group=np.array(PLANS)[people["plan"]],
        interval=[f"{n} month{'s' if n > 1 else ''}" for n in length],
        entry=0,
        exit=np.where(left, lasted, ripe),
        ripe=ripe,
        event=left.astype(int),
        cause=people["cause"].where(left),
        n=1,
    )
    keys = ["group", "interval", "channel", "household", "entry", "exit", "ripe", "event", "cause"]
    return rows[rows["exit"] > 0].groupby(keys, dropna=False, as_index=False)["n"].sum()


def true_lifetimes(people: pd.DataFrame, rate: float) -> dict[str, np.ndarray]:
    """DERL by plan for renewals 1, 2, ..., of the customers that were drawn."""
    found = {}
    for number, name in enumerate(PLANS):
        length = company.PLANS[number].interval
        hazards, counts = np.unique(people.loc[people["plan"] == number, "hazard"], return_counts=True)
        stays = company.incidence(number, hazards, YEARS * 12)[0][:, ::length]
        curve = counts @ stays / counts.sum()
        found[name] = residual_lifetime(curve, period_rate(rate, length / 12))
    return found


def true_base_value(people: pd.DataFrame, rate: float) -> float:
    """The value at the next renewal of all who are still on, each by their own law, at their plan's price."""
    total = 0.0
    for number in range(len(PLANS)):
        length, price = company.PLANS[number].interval, company.PLANS[number].raised
        mine = people[(people["plan"] == number) & (people["life"] > people["months"])]
        hazards, place = np.unique(mine["hazard"], return_inverse=True)
        stays = company.incidence(number, hazards, YEARS * 12)[0][:, ::length]
        worth = residual_lifetime(stays, period_rate(rate, length / 12))
        tenure = np.minimum(mine["months"].to_numpy() // length, worth.shape[1] - 1)
        total += float(worth[place, tenure].sum()) * price
    return total


def one_company(seed: int, size: int, rate: float = 0.10) -> dict[str, tuple[float, float, float]]:
    """Truth and limits of each quantity in one simulated company."""
    window = Window.of(36)
    people = customers(seed, size, window)
    stays = stay_counts(people)
    dims = ["channel", "household"]
    life = renewals.life_table(stays, [*renewals.KEYS, *dims])
    fit = retention.fit_retention(life, "sbg", covariates=dims, apart=True)
    facts = Economics(discount_rate=rate, margin=1.0, fee_share=0.0, fee_fixed=0.0)
    terms = renewals.Terms(facts, years=YEARS)
    found = {}
    truth = true_lifetimes(people, rate)
    everybody = people.assign(
        group=np.array(PLANS)[people["plan"]],
        interval=[f"{n} month{'s' if n > 1 else ''}" for n in company.INTERVAL[people["plan"]]],
        n=1,
    )
    for row in retention_choice.lifetimes(fit, everybody, terms, renewals=RENEWALS).frame.itertuples():
        wanted = truth[row.group][row.renewal - 1]
        found[f"DERL, {row.group}, renewal {row.renewal}"] = (wanted, row.value_low, row.value_high)
    on = people[people["life"] > people["months"]]
    base = on.assign(
        group=np.array(PLANS)[on["plan"]],
        interval=[f"{n} month{'s' if n > 1 else ''}" for n in company.INTERVAL[on["plan"]]],
        tenure=on["months"] // company.INTERVAL[on["plan"]],
        currency="EUR",
        customers=1,
        billed_minor=np.array([plan.raised for plan in company.BASE_PLANS])[on["plan"]],
    )
    keys = ["group", "interval", *dims, "tenure", "currency"]
    base = base.groupby(keys, as_index=False)[["customers", "billed_minor"]].sum()
    base["waited_minor"] = base["billed_minor"]  # the next renewal is now
    pays = payments.payments_by_tenure(None, None, terms, base=base, smallest=1)
    total = value.value_base(fit, base, pays).total
    found["value of the customer base"] = (true_base_value(people, rate), total.low, total.high)
    return found


def simulate(first_seed: int, companies: int, size: int) -> pd.DataFrame:
    """A row per quantity: in how many of the companies its interval held the truth, and its relative width."""
    hits: dict[str, list[bool]] = {}
    width: dict[str, list[float]] = {}
    for seed in range(first_seed, first_seed + companies):
        for name, (truth, low, high) in one_company(seed, size).items():
            hits.setdefault(name, []).append(low <= truth <= high)
            width.setdefault(name, []).append((high - low) / truth)
    return pd.DataFrame(
        {
            "quantity": list(hits),
            "coverage": [float(np.mean(values)) for values in hits.values()],
            "width": [float(np.median(values)) for values in width.values()],
        }
    )


def report(table: pd.DataFrame, companies: int, size: int, seed: int) -> str:
    """The results as a table for the documentation."""
    derl = table[table["quantity"].str.startswith("DERL")]
    lines = [
        f"Seeds {seed} to {seed + companies - 1}, {size:,} sign-ups each. All DERL intervals together: "
        f"{derl['coverage'].mean():.1%}.",
        "",
        "| interval of | companies | covers the truth in | median width, share of the truth |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {row.quantity} | {companies} | {row.coverage:.1%} | {row.width:.1%} |"
        for row in table.itertuples()
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--companies", type=int, default=400)
    parser.add_argument("--size", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=10_001)
    parser.add_argument("--write", type=Path, help="Markdown file whose marked part is replaced")
    options = parser.parse_args()
    started = time.process_time()
    table = simulate(options.seed, options.companies, options.size)
    text = report(table, options.companies, options.size, options.seed)
    print(text, f"\n{time.process_time() - started:.0f} s of CPU")
    if options.write:
        page = options.write.read_text(encoding="utf-8")
        begin, end = "<!-- coverage_value -->", "<!-- /coverage_value -->"
        before, after = page.partition(begin)[0], page.partition(end)[2]
        options.write.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
