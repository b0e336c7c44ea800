"""How often groups are called groups where there are some, and where there are none.

    python tests/simulations/verdict_segments.py --write docs/validation.md

Customers are simulated with groups, with none and with things that look like groups; each sample gets the
verdict of the segmentation workbook. Latent classes and their covariates are simulated too. At last the groups
planted in the demo company are looked for, as they are and with every feature shuffled by itself.
"""

from __future__ import annotations

import argparse
import datetime as dt
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

import tenure
from tenure.measures import features, feedback
from tenure.models import latent, segments
from tenure.paths import project_root
from tenure.stats import clusters

LABELS = {f"category_{i}": ("category", name) for i, name in enumerate("abcd", 1)}
FEATURES = ["events_a_month", "minutes", "weekend", "daytime", "trend", *LABELS]
TASTES = np.array([[0.55, 0.2, 0.15, 0.1], [0.1, 0.6, 0.2, 0.1], [0.15, 0.15, 0.2, 0.5]])


def groups(rng: np.random.Generator, n: int, gap: float) -> tuple[pd.DataFrame, np.ndarray]:
    """Three groups with tastes of their own, `gap` times as far apart as the widest."""
    kind = rng.integers(0, 3, n)
    events = rng.poisson(rng.gamma(3.0, 8.0, n)) + 1
    taste = TASTES.mean(axis=0) + gap * (TASTES - TASTES.mean(axis=0))
    counts = np.array([rng.multinomial(k, taste[g]) for k, g in zip(events, kind, strict=True)])
    shares = (counts + 4 * counts.sum(axis=0) / counts.sum()) / (events + 4)[:, None]
    shift = gap * np.array([-1.0, 0.0, 1.2])[kind]
    frame = pd.DataFrame(shares, columns=list(LABELS)).assign(
        events=events,
        events_a_month=events / 6.0,
        minutes=np.exp(3.5 + 0.6 * shift + rng.normal(0, 0.4, n)),
        weekend=1 / (1 + np.exp(-(0.2 + shift + rng.normal(0, 0.6, n)))),
        daytime=1 / (1 + np.exp(-(0.1 - shift + rng.normal(0, 0.6, n)))),
        trend=rng.normal(0, 0.3, n),
    )
    return frame, kind


def shuffled(rng: np.random.Generator, n: int) -> tuple[pd.DataFrame, None]:
    """Groups, of which each feature is shuffled by itself."""
    frame = groups(rng, n, 1.0)[0]
    return frame.assign(**{name: rng.permutation(frame[name].to_numpy()) for name in FEATURES}), None


def alike(rng: np.random.Generator, n: int) -> tuple[pd.DataFrame, None]:
    """The same taste for all, seen through few or many events."""
    return groups(rng, n, 0.0)[0], None


def cloud(rng: np.random.Generator, n: int) -> tuple[pd.DataFrame, None]:
    """Features that rise together with how much a customer likes the product: long and skewed, no gap."""
    liking = rng.gamma(2.0, 1.0, n)[:, None] - 2.0
    values = 0.7 * liking + rng.normal(size=(n, len(FEATURES)))
    frame = pd.DataFrame(1 / (1 + np.exp(-values)), columns=FEATURES)
    return frame.assign(events=9, events_a_month=np.exp(1 + 0.5 * values[:, 0])), None


WORLDS: dict[str, Callable[[np.random.Generator, int], tuple[pd.DataFrame, np.ndarray | None]]] = {
    "three groups": lambda rng, n: groups(rng, n, 1.0),
    "three groups, half as far apart": lambda rng, n: groups(rng, n, 0.5),
    "none: shuffled": shuffled,
    "none: alike, seen unevenly": alike,
    "none: one long cloud": cloud,
}


def agreement(a: np.ndarray, b: np.ndarray) -> float:
    """Adjusted Rand index of two labelings."""
    pairs = pd.DataFrame({"segment": a, "other": b, "n": 1})
    return clusters.rand_index(pairs.groupby(["segment", "other"]).sum().reset_index())


def verdicts(samples: int, sizes: tuple[int, ...], seed: int) -> pd.DataFrame:
    """Share of samples called groups, with three of them, and how well the planted ones are recovered."""
    rows = []
    for name, world in WORLDS.items():
        for n in sizes:
            rng = np.random.default_rng([seed, n])
            found = []
            for _ in range(samples):
                frame, kind = world(rng, n)
                verdict = segments.find_segments(frame, LABELS, most=6, null_draws=19, bootstrap_draws=2)
                index = (
                    agreement(verdict.rule.assign(frame), kind)
                    if verdict.rule and kind is not None
                    else np.nan
                )
                called = verdict.rule is not None
                found.append((called, called and verdict.k == 3, index))
            called, three, index = np.array(found, dtype=float).T
            recovered = float(np.nanmean(index)) if np.isfinite(index).any() else np.nan
            rows.append((name, n, called.mean(), three.mean(), recovered))
    return pd.DataFrame(rows, columns=["world", "customers", "called groups", "three", "adjusted Rand"])


CHANCES = np.array([[0.9, 0.85, 0.1, 0.2, 0.8, 0.3], [0.15, 0.3, 0.85, 0.8, 0.3, 0.7]])
TRUTH = 0.8


def survey(rng: np.random.Generator, n: int, classes: bool) -> tuple[latent.Items, pd.DataFrame]:
    """Answers of two classes, or of one; a characteristic raises the odds of the second class."""
    having = rng.random(n) < 0.5
    second = rng.random(n) < 1 / (1 + np.exp(0.3 - TRUTH * having))
    chances = CHANCES[second.astype(int)] if classes else np.full((n, 6), 0.5)
    answers = (rng.random((n, 6)) < chances).astype(float)
    answers[rng.random((n, 6)) < 0.1] = np.nan
    names = [f"q{i}" for i in range(6)]
    frame = pd.DataFrame(answers, columns=names)
    frame.index.name = "customer_id"
    items = latent.Items(frame[frame.notna().any(axis=1)], dict.fromkeys(names, ("does not agree", "agrees")))
    return items, pd.DataFrame({"has": np.where(having, "yes", "no")}, index=frame.index)


def classes_found(samples: int, sizes: tuple[int, ...], seed: int) -> pd.DataFrame:
    """How often the right number of classes is found, and the truth is in the interval of a covariate."""
    rows = []
    for name, classes in (("two classes", True), ("none: answers by chance", False)):
        for n in sizes:
            rng = np.random.default_rng([seed, n, 1])
            right, held = [], []
            for _ in range(samples):
                items, traits = survey(rng, n, classes)
                found = latent.find_classes(items, most=3, starts=2)
                right.append(found.k == (2 if classes else 1))
                if classes and found.k == 2:
                    row = latent.class_covariates(found, traits).frame.iloc[0]
                    asked = found.profile.frame.query("answer == 'agrees' and question == 'q2'")
                    agree = asked.set_index("segment")
                    first, other = found.classes.frame["segment"]
                    sign = 1 if agree.loc[other, "chance"] > agree.loc[first, "chance"] else -1
                    truth = np.exp(sign * TRUTH * (1 if row["level"] == "yes" else -1))
                    held.append(row["ratio_low"] <= truth <= row["ratio_high"])
            rows.append((name, n, np.mean(right), np.mean(held) if held else np.nan))
    return pd.DataFrame(rows, columns=["world", "customers", "right number", "interval holds"])


def of_demo(as_of: dt.date = dt.date(2026, 10, 31), days: int = 180) -> pd.DataFrame:
    """Agreement of what is found in the demo company with what was planted there."""
    folder = project_root() / "data" / "demo"
    truth = pd.read_parquet(folder / "_truth" / "groups.parquet").set_index("customer_id")
    source = tenure.open_source(folder)
    events = ["play", "download"]
    shares = segments.base_shares(
        tenure.collect(features.usage_levels(source, as_of=as_of, days=days, events=events))
    )
    labels = features.share_columns(shares)
    sample = tenure.collect(features.usage(source, as_of=as_of, days=days, shares=shares, events=events))
    sample = sample.sort_values("customer_id", ignore_index=True)
    names = [name for name in sample if name in segments.FEATURES or name in labels]
    rng = np.random.default_rng(1)
    mixed = sample.assign(**{name: rng.permutation(sample[name].to_numpy()) for name in names})
    rows = []
    for what, frame in (("use, as it is", sample), ("use, shuffled", mixed)):
        found = segments.find_segments(frame, labels)
        known = truth.loc[frame["customer_id"], "behavior"].to_numpy()
        active = (frame["events"] > 0).to_numpy()
        index = agreement(found.rule.assign(frame)[active], known[active]) if found.rule else np.nan
        rows.append((what, int(active.sum()), found.k if found.rule else "none", index))
    asked = tenure.collect(feedback.questions(source, as_of=as_of))
    replies = tenure.collect(feedback.answers(source, asked["question"], as_of=as_of))
    items = latent.encode(replies.sort_values("customer_id", ignore_index=True), asked)
    shuffle = items.codes.apply(lambda column: rng.permutation(column.to_numpy()))
    for what, codes in (("answers, as they are", items.codes), ("answers, shuffled", shuffle)):
        classes = latent.find_classes(latent.Items(codes, items.levels))
        known = truth.loc[classes.members["customer_id"], "psychographic"].to_numpy()
        index = agreement(classes.members["segment"].to_numpy(), known) if classes.structure else np.nan
        rows.append((what, classes.n, classes.k if classes.structure else "none", index))
    return pd.DataFrame(rows, columns=["demo company", "customers", "groups found", "adjusted Rand"])


def table(frame: pd.DataFrame) -> str:
    """Return a frame as Markdown."""
    head = "| " + " | ".join(frame.columns) + " |\n|" + "---|" * len(frame.columns)
    lines = []
    for row in frame.itertuples(index=False):
        cells = [
            "–" if isinstance(cell, float) and np.isnan(cell)
            else f"{cell:.2f}" if isinstance(cell, float) and name == "adjusted Rand"
            else f"{cell:.0%}".replace("%", " %") if isinstance(cell, float)
            else str(cell)
            for name, cell in zip(frame.columns, row, strict=True)
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([head, *lines])


def main() -> None:
    """Simulate, print and, if asked, write the tables between their marks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=60, help="of use, for each line")
    parser.add_argument("--surveys", type=int, default=60, help="of answers, for each line")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    text = (
        f"Seed {given.seed}, {given.samples} samples of use and {given.surveys} of answers.\n\n"
        + table(verdicts(given.samples, (300, 1500), given.seed))
        + "\n\n"
        + table(classes_found(given.surveys, (400, 1500), given.seed))
        + "\n\n"
        + table(of_demo())
    )
    print(text)
    if given.write:
        page = given.write.read_text(encoding="utf-8")
        begin, end = "<!-- verdict_segments -->", "<!-- end verdict_segments -->"
        before, rest = page.split(begin)
        page = before + begin + "\n" + text + "\n" + end + rest.split(end)[1]
        given.write.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
