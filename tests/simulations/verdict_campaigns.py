"""How often the right customers are found for the next campaign, and intervals of rules hold what they are worth.

    python tests/simulations/verdict_campaigns.py --write docs/validation.md

Campaigns are drawn as the counts that the workbook reads: customers of four devices, of whom contacting helps
some and harms others as in the demo company, of three prices, and of five channels that change nothing.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tenure.models import campaigns

DEVICES, SHARES = ("web", "phone", "tv", "tablet"), np.array([0.38, 0.34, 0.20, 0.08])
STAYS = np.array([0.8305, 0.8077, 0.8722, 0.8470])
DEMO = np.array([0.0304, 0.0655, -0.0655, 0.0])
WORTH, MARGIN, SPENT = np.array([7000, 9000, 13000]), np.array([1500, 2000, 2800]), 320
BY = ["device", "channel", "price"]
RULE = "all but those with device “tv”"


@dataclass
class Drawn:
    """A campaign as drawn, and the true worth of each device's contact in customers and money."""

    cells: pd.DataFrame
    kept: np.ndarray
    profit: np.ndarray

    def true(self, outcome: str, rule: str = campaigns.EVERYBODY) -> float:
        on = np.array([f"all but those with device “{name}”" != rule for name in DEVICES]) & (
            rule != campaigns.NOBODY
        )
        # A rule about what changes nothing leaves out as many of each device.
        part = {"channel": 0.8, "price": 2 / 3}.get(
            rule.removeprefix("all but those with ").partition(" ")[0], 1.0
        )
        return part * float((SHARES * on) @ getattr(self, outcome))


def draw(rng: np.random.Generator, n: int, lifts: np.ndarray = DEMO, spent: int = SPENT) -> Drawn:
    """Draw a campaign, half of it contacted: sums by arm, fold and what is known of customers."""
    device, price = rng.choice(4, n, p=SHARES), rng.integers(3, size=n)
    treated = rng.random(n) < 0.5
    stays = STAYS - lifts / 2
    kept = rng.random(n) < stays[device] + np.where(treated, lifts[device], 0)
    worth = WORTH[price]
    margin = np.where(kept, MARGIN[price], (MARGIN[price] * rng.random(n)).astype(int))
    cost = np.where(treated, spent, 0)
    rows = pd.DataFrame(
        {
            "variant": np.where(treated, "contacted", "control"), "fold": rng.integers(5, size=n),
            "device": np.array(DEVICES)[device], "channel": rng.integers(5, size=n).astype(str),
            "price": price.astype(str), "n": 1, "s_kept": kept.astype(float), "s_worth": worth.astype(float),
            "s_spent": cost.astype(float), "s_profit": (margin + worth * kept - cost).astype(float),
        }
    )  # fmt: skip
    rows["q_profit"] = rows["s_profit"] ** 2
    cells = rows.groupby(["variant", "fold", *BY]).sum().reset_index()
    profit = lifts * float((WORTH + MARGIN / 2).mean()) - spent
    return Drawn(cells, lifts, profit)


def judged(drawn: Drawn, outcome: str = "profit") -> campaigns.Policies:
    """The rules of a campaign, valued."""
    cells = campaigns.scored(drawn.cells, BY, "contacted")
    return campaigns.policies(cells, BY, "number", outcome=outcome)


def verdicts(
    n: int, companies: int, lifts: np.ndarray, spent: int = SPENT, outcome: str = "profit", seed: int = 1
) -> pd.DataFrame:
    """The simple rule and the advice of each company, and whether the sign of its worth is the true one."""
    rng, rows = np.random.default_rng(seed), []
    for _ in range(companies):
        drawn = draw(rng, n, lifts, spent)
        found = judged(drawn, outcome)
        true = drawn.true(outcome)
        clear = found.everybody.case != "unclear"
        rows.append((found.rule, found.advice.case, clear, clear and found.everybody.value * true < 0))
    return pd.DataFrame(rows, columns=["rule", "advice", "clear", "wrong"])


def coverage(n: int, draws: int, seed: int = 2) -> dict[tuple[str, str], tuple[int, int]]:
    """How many intervals hold the true worth, of how many: of everybody, of the rule, and of what was chosen.

    Rules and scores know the device alone, so that many campaigns can be drawn.
    """
    rng = np.random.default_rng(seed)
    held: dict[tuple[str, str], tuple[int, int]] = {}
    for _ in range(draws):
        drawn = draw(rng, n)
        cells = campaigns.scored(drawn.cells, BY[:1], "contacted")
        for outcome in ("kept", "profit"):
            found = campaigns.policies(cells, BY[:1], "number", outcome=outcome)
            rows = found.table.frame.set_index("rule")
            # What was chosen is one rule where all folds agree on it.
            chosen = found.rule if found.agreed == 5 else ""
            for name, of, rule in (
                (campaigns.EVERYBODY, campaigns.EVERYBODY, campaigns.EVERYBODY),
                (RULE, RULE, RULE),
                ("chosen", campaigns.CHOSEN, chosen),
            ):
                if of in rows.index and rule:
                    hits, total = held.get((outcome, name), (0, 0))
                    low, high = rows.loc[of, "value_low"], rows.loc[of, "value_high"]
                    held[outcome, name] = hits + int(low <= drawn.true(outcome, rule) <= high), total + 1
    return held


def tables(draws: int, companies: int) -> str:
    lines = [
        "| campaign | customers in it | judged by | rule most often | in | sign of everybody's worth wrong |"
    ]
    lines += ["|---|---:|---|---|---:|---:|"]
    cases = [
        ("as in the demo company", 5_500, DEMO, SPENT, "kept"),
        ("as in the demo company", 27_500, DEMO, SPENT, "kept"),
        ("as in the demo company", 5_500, DEMO, SPENT, "profit"),
        ("as in the demo company", 27_500, DEMO, SPENT, "profit"),
        ("helps nobody", 27_500, DEMO * 0, SPENT, "profit"),
        ("helps everybody alike, at a tenth of the cost", 27_500, DEMO * 0 + 0.04, SPENT // 10, "profit"),
    ]
    advice = []
    for name, n, lifts, spent, outcome in cases:
        found = verdicts(n, companies, lifts, spent, outcome)
        top = found["rule"].value_counts()
        lines.append(
            f"| {name} | {n:,} | {outcome} | {top.index[0]} | {top.iloc[0]} of {companies} | "
            f"{found['wrong'].sum()} of {companies} |"
        )
        said = ", ".join(f"{case} {k}" for case, k in found["advice"].value_counts().items())
        advice.append(f"| {name} | {n:,} | {outcome} | {said} |")
        print(lines[-1], advice[-1], flush=True)
    lines += [
        "",
        "| campaign | customers in it | judged by | advice, in how many campaigns |",
        "|---|---:|---|---|",
    ]
    lines += [
        *advice,
        "",
        "| customers in it | worth of | in | intervals that hold it |",
        "|---:|---|---|---:|",
    ]
    for (outcome, name), (hits, total) in coverage(5_500, draws).items():
        lines.append(f"| 5,500 | {name} | {outcome} | {hits / total:.1%} of {total:,} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=2_000)
    parser.add_argument("--companies", type=int, default=100)
    parser.add_argument("--write", type=Path)
    arguments = parser.parse_args()
    text = tables(arguments.draws, arguments.companies)
    print(text)
    if arguments.write:
        page = arguments.write.read_text(encoding="utf-8")
        begin, end = "<!-- verdict_campaigns -->\n", "\n<!-- /verdict_campaigns -->"
        before, after = page.partition(begin)[0], page.partition(end)[2]
        arguments.write.write_text(f"{before}{begin}{text}{end}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
