"""How often the one verdict calls a change that is none, and its interval holds the true difference.

    python tests/simulations/verdict_change.py --write docs/validation.md

Shares of customers are compared in three ways: of independent samples, by both intervals (`Estimate.against`);
of the same customers in two months, and of a group with everybody, who contain it, by those who are in both
(`paired_means`). What is left unsaid for the second and third is what `against` refuses.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from tenure.result import Estimate
from tenure.stats.intervals import paired_means, proportion


def independent(rng: np.random.Generator, n: int, share: float, gap: float) -> Estimate:
    """A month's share against that of other customers."""
    now = proportion(rng.binomial(n, share + gap), n, sample="now")
    return now.against(proportion(rng.binomial(n, share), n, sample="then"), "then")


def paired(rng: np.random.Generator, n: int, share: float, gap: float) -> Estimate:
    """The same customers in two months; nine of ten who had it then have it again."""
    stays = 0.9 * share
    chances = [stays, share + gap - stays, share - stays]  # both, only now, only then
    both, more, less, _ = rng.multinomial(n, [*chances, 1 - sum(chances)])
    return compared((n, both + more), (n, both + less), (n, both + more, both + less, both), "then")


def nested(rng: np.random.Generator, n: int, share: float, gap: float) -> Estimate:
    """A third of the customers against everybody; `gap` is between the two."""
    part = n // 3
    low = share - gap * part / (n - part)  # of the others, so that everybody has `share`
    own, others = rng.binomial(part, share + gap), rng.binomial(n - part, low)
    return compared((part, own), (n, own + others), (part, own, own, own), "everybody")


def compared(
    one: tuple[int, int], other: tuple[int, int], both: tuple[int, int, int, int], label: str
) -> Estimate:
    """Two shares, each of customers and those who have it, by the moments of those who are in both."""
    difference = paired_means((*one, one[1]), (*other, other[1]), both, unit="points")
    return proportion(*one[::-1]).versus(proportion(*other[::-1]), difference, label)


HOW = {"independent": independent, "paired": paired, "nested": nested}


def rates(how: str, n: int, share: float, draws: int, seed: int) -> dict[str, float]:
    """The rate of false alarms without a difference, by intervals as if independent too, and the coverage."""
    rng = np.random.default_rng(seed)
    alarms = naive = held = 0
    for _ in range(draws):
        found = HOW[how](rng, n, share, 0.0)
        alarms += found.change != "no clear change"
        apart = replace(found, sample="a").against(replace(found.compare, sample="b"), "")
        naive += apart.change != "no clear change"
        difference = HOW[how](rng, n, share, 0.25 * share).difference
        held += difference.low <= 0.25 * share <= difference.high
    return {"alarms": alarms / draws, "naive": naive / draws, "held": held / draws}


def table(draws: int, seed: int) -> str:
    """The rates as a Markdown table, with the range that chance allows."""
    spread = 196 * (0.95 * 0.05 / draws) ** 0.5
    lines = [
        f"Seed {seed}, {draws} draws: exactly 5 % comes out as {5 - spread:.1f} to {5 + spread:.1f} %.",
        "",
        "| samples | customers | share | a change is reported where there is none | if taken as independent "
        "| the interval covers a rise by a quarter |",
        "|---|---|---|---|---|---|",
    ]
    for how in HOW:
        for n, share in ((300, 0.1), (1000, 0.05), (10_000, 0.02)):
            found = rates(how, n, share, draws, seed)
            lines.append(
                f"| {how} | {n:,} | {share:.0%} | {found['alarms']:.1%} | {found['naive']:.1%} "
                f"| {found['held']:.1%} |"
            )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--write", type=Path, help="put the table between the marks of this file")
    options = parser.parse_args()
    found = table(options.draws, options.seed)
    print(found)
    if options.write:
        text = options.write.read_text(encoding="utf-8")
        start, end = "<!-- verdict_change -->", "<!-- /verdict_change -->"
        before, rest = text.split(start, 1)
        after = rest.split(end, 1)[1]
        options.write.write_text(f"{before}{start}\n{found}\n{end}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
