"""How often the curve of returns, the months of a second life and what asking brings lie in their intervals.

    python tests/simulations/verdict_returns.py --write docs/validation.md

Returns are drawn by the law of the demo company: 15 % come back, 26 days and then exponentially, 80 on average;
they are seen for as long as they have been away, and some only until they are asked. Campaigns are drawn as the
counts that the workbook reads, of as many customers as the demo company's.
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tenure.economics import Economics
from tenure.models import campaigns, returns
from tenure.stats.comparison import add_up

BY, AT = ["cause", "days_since_end"], (90, 180, 365)
BANDS, BAND_SHARE = ("0-30", "31-90", "91-180"), np.array([0.14, 0.34, 0.52])
CAUSES, CAUSE_SHARE = ("voluntary", "involuntary"), np.array([0.88, 0.12])
# The chance to come back within sixty days of those held out and of those asked: by cause, and by band.
WINBACK_2025 = np.array([[[0.04] * 3, [0.06] * 3], [[0.08] * 3, [0.16] * 3]])
NOTHING = np.repeat(WINBACK_2025[:1], 2, axis=0)
REVERSED = np.array([[[0.04] * 3, [0.06] * 3], [[0.12] * 3, [0.06] * 3]])
COST, INCENTIVE, WORTH = 35, 800, np.array([4200, 6400, 8600])


def by_band(u: tuple[float, float, float], base: tuple[float, float, float]) -> np.ndarray:
    """Chances that asking moves up, and holding out down, by a share that depends on the band."""
    p, cause = np.array(base), np.array([1.0, 1.6])[:, None]
    return np.array([(1 - np.array(u)) * p * cause, (1 + np.array(u)) * p * cause])


SOON = by_band((0.6, 0.35, 0.0), (0.08, 0.06, 0.025))
LATE = by_band((0.0, 0.35, 0.6), (0.08, 0.06, 0.06))


@dataclass
class Drawn:
    """A campaign's sums, its cells, and what asking truly brings for each customer."""

    sums: pd.DataFrame
    cells: pd.DataFrame
    profit: float


def draw(rng: np.random.Generator, n: int, chances: np.ndarray) -> Drawn:
    """Draw a campaign, half of it asked."""
    cause, band = rng.choice(2, n, p=CAUSE_SHARE), rng.choice(3, n, p=BAND_SHARE)
    asked, price, fold = rng.integers(2, size=n), rng.integers(3, size=n), rng.integers(5, size=n)
    back = rng.random(n) < chances[asked, cause, band]
    spent = asked * (COST + INCENTIVE * back)
    profit = back * WORTH[price] - spent
    rows = pd.DataFrame(
        {
            "variant": np.where(asked, "contacted", "control"), "fold": fold, "cause": np.array(CAUSES)[cause],
            "days_since_end": np.array(BANDS)[band], "n": 1, "s_kept": back, "s_worth": WORTH[price],
            "s_spent": spent, "s_profit": profit, "q_kept": back, "q_profit": profit.astype(float) ** 2,
        }
    )  # fmt: skip
    rows[[c for c in rows if c[1:2] == "_"]] = rows[[c for c in rows if c[1:2] == "_"]].astype(float)
    cells = rows.groupby(["variant", "fold", *BY]).sum().reset_index()
    parts = [
        add_up(cells, ["variant", name]).rename(columns={name: "segment"}).assign(by=name) for name in BY
    ]
    sums = pd.concat([add_up(cells, ["variant"]).assign(by="", segment=""), *parts], ignore_index=True)
    share = CAUSE_SHARE[:, None] * BAND_SHARE
    lift, came = float((share * (chances[1] - chances[0])).sum()), float((share * chances[1]).sum())
    return Drawn(sums, cells, lift * WORTH.mean() - COST - INCENTIVE * came)


def judged(drawn: Drawn) -> tuple[pd.DataFrame, campaigns.Policies]:
    cells = campaigns.scored(drawn.cells, BY, "contacted")
    return cells, campaigns.policies(cells, BY, "number")


def verdicts(n: int, companies: int, chances: np.ndarray, seed: int = 1) -> pd.DataFrame:
    """What the page says of each company, and whether the truth agrees."""
    rng, rows = np.random.default_rng(seed), []
    for _ in range(companies):
        drawn = draw(rng, n, chances)
        found = judged(drawn)[1].everybody
        cause = returns.apart(drawn.sums, "contacted", "cause", "involuntary", "voluntary")
        days = returns.soon_or_late(drawn.sums, "contacted")
        right = found.value * drawn.profit > 0
        wrong = found.case != "unclear" and not right
        rows.append((cause.value > 0, cause.case, days.value > 0, days.case, found.case, right, wrong))
    names = ["more_involuntary", "cause", "more_soon", "days", "profit", "right", "wrong"]
    return pd.DataFrame(rows, columns=names)


def profit_coverage(n: int, draws: int, chances: np.ndarray, seed: int = 2) -> int:
    """How many intervals hold what asking truly brings."""
    rng, hits = np.random.default_rng(seed), 0
    for _ in range(draws):
        drawn = draw(rng, n, chances)
        found = judged(drawn)[1].everybody
        hits += found.low <= drawn.profit <= found.high
    return hits


def list_worth(n: int, draws: int, chances: np.ndarray, seed: int = 5) -> pd.DataFrame:
    """What the list of those to ask is said to bring and what it truly brings, wherever a list is advised.

    Those who have left since are 2,000, of the same bands and causes; a list is advised where asking everybody,
    everybody but a segment, or those whom a score chooses was found to pay.
    """
    rng, rows, many = np.random.default_rng(seed), [], 2_000
    brings = (chances[1] - chances[0]) * WORTH.mean() - COST - INCENTIVE * chances[1]
    for _ in range(draws):
        cells, found = judged(draw(rng, n, chances))
        if found.advice.case not in ("all", "without", "score"):
            continue
        cause, band = rng.choice(2, many, p=CAUSE_SHARE), rng.choice(3, many, p=BAND_SHARE)
        gone = pd.DataFrame({"customer_id": [str(number) for number in range(many)], "away": 10})
        gone = gone.assign(monthly=1000, cause=np.array(CAUSES)[cause], days_since_end=np.array(BANDS)[band])
        listed = returns.ask_next(cells, gone, BY, found, "number", 60)
        asked = listed.table.frame["customer_id"].astype(int).to_numpy()
        truth = float(brings[cause[asked], band[asked]].sum())
        rows.append((listed.total.value, truth, listed.total.low <= truth <= listed.total.high))
    return pd.DataFrame(rows, columns=["said", "truth", "held"])


def away(rng: np.random.Generator, n: int) -> pd.DataFrame:
    """The life table of n customers who left over two years, a fifth of whom were asked at some time."""
    back = np.where(rng.random(n) < 0.15, np.ceil(26 + rng.exponential(80, n)), np.inf)
    seen = np.where(rng.random(n) < 0.2, rng.integers(2, 400, n), 10_000)
    seen = np.minimum(rng.integers(1, 730, n), seen)
    period = np.minimum(back, seen).astype(int)
    rows = pd.DataFrame({"period": period, "events": (back <= seen).astype(int)})
    rows["censored"] = 1 - rows["events"]
    life = rows.groupby("period", as_index=False).sum()
    leaving = (life["events"] + life["censored"]).to_numpy()
    life = life.assign(at_risk=leaving[::-1].cumsum()[::-1], returned=life["events"], entered=0)
    return life.assign(by="", group="everybody")


def curve_coverage(n: int, draws: int, seed: int = 3) -> dict[int, int]:
    """How many intervals of the curve hold the share that truly comes back, by day."""
    rng, hits = np.random.default_rng(seed), dict.fromkeys(AT, 0)
    truth = {day: 0.15 * (1 - np.exp(-(day - 26) / 80)) for day in AT}
    for _ in range(draws):
        found = returns.curve(away(rng, n))
        for day in AT:
            one = returns.came_back(found, day)
            hits[day] += one.low <= truth[day] <= one.high
    return hits


def months_coverage(n: int, draws: int, seed: int = 4) -> int:
    """How many intervals hold the months for which second lives pay, within two years."""
    rng, facts, hits = np.random.default_rng(seed), Economics(), 0
    hazard = np.r_[0.16, 0.12, 0.10, 0.08, np.full(20, 0.06)]
    stays = np.r_[1.0, np.cumprod(1 - hazard)][:24]
    truth = float(stays @ facts.discount(np.arange(24)))
    for _ in range(draws):
        last, lost = rng.integers(1, 25, n), (rng.random((n, 24)) < hazard)
        left = np.where(lost.any(axis=1), lost.argmax(axis=1) + 1, 99)
        period = np.minimum(left, last)
        events = np.bincount(period[left <= last], minlength=25)[1:]
        at_risk = np.bincount(period, minlength=25)[1:][::-1].cumsum()[::-1]
        life = pd.DataFrame({"period": np.arange(1, 25), "events": events, "at_risk": at_risk})
        found = returns.months_again(life, facts, 24)
        hits += found.low <= truth <= found.high
    return hits


def tables(draws: int, companies: int) -> str:
    lines = ["| interval | of | draws | holds the truth in |", "|---|---|---:|---:|"]
    for n in (500, 2_000, 10_000):
        for day, hits in curve_coverage(n, draws).items():
            lines.append(f"| share back by day {day} | {n:,} who left | {draws:,} | {hits / draws:.1%} |")
    hits = months_coverage(1_200, draws)
    lines.append(f"| months of a second life | 1,200 who came back | {draws:,} | {hits / draws:.1%} |")
    for name, chances in (("as winback_2025", WINBACK_2025), ("asking changes nothing", NOTHING)):
        hits = profit_coverage(1_740, draws, chances)
        lines.append(f"| profit of asking, {name} | 1,740 in it | {draws:,} | {hits / draws:.1%} |")
    print("\n".join(lines), flush=True)
    lines += [
        "",
        "| campaign | in it | effect larger after failed payments (clear) | larger soon (clear) | sign of profit "
        "right | clear and wrong | asking paid: said |",
        "|---|---:|---:|---:|---:|---:|---|",
    ]
    cases = [
        ("as winback_2025", 1_740, WINBACK_2025),
        ("as winback_2025, four times as many", 6_960, WINBACK_2025),
        ("asking changes nothing", 1_740, NOTHING),
        ("asking helps only those who chose to leave", 6_960, REVERSED),
        ("the sooner the better", 1_740, SOON),
        ("the later the better", 1_740, LATE),
    ]
    for name, n, chances in cases:
        found = verdicts(n, companies, chances)
        said = ", ".join(f"{case} {k}" for case, k in Counter(found["profit"]).most_common())
        lines.append(
            f"| {name} | {n:,} | {found['more_involuntary'].sum()} ({(found['cause'] == 'larger').sum()}) of "
            f"{companies} | {found['more_soon'].sum()} ({(found['days'] == 'larger').sum()}) | "
            f"{found['right'].sum()} | {found['wrong'].sum()} | {said} |"
        )
        print(lines[-1], flush=True)
    lines += [
        "",
        "| the list of whom to ask next | in the campaign | lists advised | said to bring / truly brings | "
        "interval holds the truth in |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, n, chances in (
        *cases[:2],
        cases[4],
        ("the sooner the better, four times as many", 6_960, SOON),
    ):
        found = list_worth(n, draws, chances)
        ratio = found["said"].sum() / found["truth"].sum()
        lines.append(
            f"| {name} | {n:,} | {len(found):,} of {draws:,} | {ratio:.2f} | {found['held'].mean():.1%} |"
        )
        print(lines[-1], flush=True)
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=2_000)
    parser.add_argument("--companies", type=int, default=200)
    parser.add_argument("--write", type=Path)
    arguments = parser.parse_args()
    text = tables(arguments.draws, arguments.companies)
    if arguments.write:
        page = arguments.write.read_text(encoding="utf-8")
        begin, end = "<!-- verdict_returns -->\n", "\n<!-- /verdict_returns -->"
        before, after = page.partition(begin)[0], page.partition(end)[2]
        arguments.write.write_text(f"{before}{begin}{text}{end}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
