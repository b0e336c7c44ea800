"""Personas: the typical member of each segment, a rule in plain words, and what to do for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tenure.models.composition import SegmentValues, is_protected
from tenure.models.segments import OTHER, RFM_SEGMENTS, Array, Labels, Rule, effects
from tenure.result import Estimate
from tenure.stats.intervals import proportion

# With fewer members than this in each half of the sample, a rule's accuracy would be a guess.
_LEAST = 20


@dataclass(frozen=True)
class Condition:
    """One condition of a rule: a feature above (or at most) a threshold."""

    feature: str
    above: bool
    threshold: float

    def holds(self, frame: pd.DataFrame) -> Array:
        """Return for each customer whether it holds; where the feature is missing, it does not."""
        values = pd.to_numeric(frame[self.feature]).to_numpy(dtype=float, na_value=np.nan)
        with np.errstate(invalid="ignore"):
            return values > self.threshold if self.above else values <= self.threshold


@dataclass(frozen=True)
class PlainRule:
    """A rule of at most three conditions that finds a segment.

    Attributes:
        conditions: All must hold.
        precision: Of those for whom they hold, the share in the segment.
        recall: Of the segment, the share for whom they hold.
    """

    conditions: tuple[Condition, ...]
    precision: Estimate
    recall: Estimate


def plain_rules(sample: pd.DataFrame, segments: Array, features: Sequence[str]) -> dict[str, PlainRule]:
    """Find for each segment up to three conditions that tell its members from others.

    A decision tree of depth three is grown for each segment on half of the sample. Of its branches, with
    thresholds rounded to two digits, the one with the best F1 is taken and tested on the other half, which
    the tree has not seen. Protected characteristics are not offered to the tree.

    Args:
        sample: A row per customer.
        segments: The segment of each row.
        features: Columns that the rule may use.

    Returns:
        By segment its rule; segments with too few members have none.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> use = rng.uniform(0, 10, 400)
        >>> rules = plain_rules(pd.DataFrame({"use": use}), np.where(use > 7, "heavy", "light"), ["use"])
        >>> rules["heavy"].conditions[0].above, rules["heavy"].precision.value > 0.95
        (True, True)
    """
    from sklearn.tree import DecisionTreeClassifier

    allowed = [name for name in features if not is_protected(name)]
    known = sample[allowed].apply(pd.to_numeric).astype(float)
    # A missing value holds no condition, so the tree may not split by it: it sees the middle one instead.
    values = known.fillna(known.median()).fillna(0.0).to_numpy()
    half = np.random.default_rng(0).permutation(len(sample)) % 2 == 0
    train, test = sample[half], sample[~half]
    rules = {}
    for segment in sorted(set(segments)):
        mine = segments == segment
        if min(mine[half].sum(), mine[~half].sum()) < _LEAST or mine.all() or not allowed:
            continue
        leaf = max(_LEAST // 2, int(mine[half].sum() * 0.2))
        tree = DecisionTreeClassifier(
            max_depth=3, min_samples_leaf=leaf, class_weight="balanced", random_state=0
        )
        tree.fit(values[half], mine[half])
        scored = [(_f1(rule, train, mine[half]), rule) for rule in _branches(tree.tree_, allowed)]
        best, conditions = max(scored, key=lambda pair: (pair[0], -len(pair[1])), default=(0.0, ()))
        if best > 0:
            hit = _hold(conditions, test)
            true, there = int((hit & mine[~half]).sum()), int(mine[~half].sum())
            rules[str(segment)] = PlainRule(
                conditions,
                precision=proportion(true, int(hit.sum()), of="customer"),
                recall=proportion(true, there, of="customer"),
            )
    return rules


def medoids(points: Array, segments: Array) -> dict[str, int]:
    """Return for each segment the row of its most typical member: the one nearest to the others on average.

    The others are represented by up to 500 members, drawn evenly.

    Example:
        >>> medoids(np.array([[0.0], [1.0], [2.0], [9.0]]), np.array(["a", "a", "a", "b"]))
        {'a': 1, 'b': 3}
    """
    from scipy.spatial.distance import cdist

    found = {}
    for segment in sorted(set(segments)):
        rows = np.flatnonzero(segments == segment)
        some = rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), 500)).astype(int))]
        found[str(segment)] = int(rows[cdist(points[rows], points[some]).sum(axis=1).argmin()])
    return found


@dataclass(frozen=True, eq=False)
class Personas:
    """What the members of each segment are like, and what to do for them.

    Attributes:
        worth: What each segment pays and is worth.
        effects: What sets them apart, as `tenure.models.segments.effects` returns it.
        rules: By segment a rule of up to three conditions.
        typical: Indexed by segment, its most typical member.
        common: Rows of a `Representation` that may be used to target.
        actions: By segment what to do.
        labels: The columns that hold shares, with their kind and level.
    """

    worth: SegmentValues
    effects: pd.DataFrame
    rules: Mapping[str, PlainRule]
    typical: pd.DataFrame
    common: pd.DataFrame
    actions: Mapping[str, str]
    labels: Labels


def personas(
    values: SegmentValues, sample: pd.DataFrame, labels: Labels, rule: Rule | None, *, common: pd.DataFrame
) -> Personas:
    """Describe each segment by its differences, a rule and a typical member.

    Args:
        values: What each segment pays and is worth.
        sample: A row per customer: customer_id, segment and features.
        labels: The features that hold shares.
        rule: The rule of the segments by use, whose features describe them; None: segments by recency,
            frequency and value, described by these.
        common: What is more common among their members.
    """
    names = values.table.frame["segment"]
    segments = np.where(sample["segment"].isin(names), sample["segment"], OTHER)
    features = rule.columns if rule else ["recency", "frequency", "value"]
    known = [name for name in features if pd.to_numeric(sample[name]).notna().any()]
    if rule:
        points = rule.components(sample)
        rows = values.table.frame.to_dict("records")
        actions = {str(row["segment"]): advice(row, values.averages) for row in rows}
    else:
        points = sample[known].apply(pd.to_numeric).rank(pct=True).fillna(0.5).to_numpy(dtype=float)
        actions = {name: action for name, (_who, action) in RFM_SEGMENTS.items()}
    places = medoids(points, segments)
    typical = sample.iloc[list(places.values())].set_index(pd.Index(places, name="segment"))
    table, rules = effects(sample, segments, known), plain_rules(sample, segments, known)
    return Personas(values, table, rules, typical, common, actions, labels)


def advice(row: Mapping[Any, Any], average: Mapping[str, float]) -> str:
    """Recommend what to do for a segment, by how fast it leaves and what it pays against the average.

    Only differences that their intervals support count.

    Args:
        row: churn_low, churn_high, arpa_low and arpa_high of the segment.
        average: churn and arpa of all customers.

    Example:
        >>> advice({"churn_low": 0.06, "churn_high": 0.08, "arpa_low": 1200, "arpa_high": 1300},
        ...        {"churn": 0.04, "arpa": 1000})
        'Keep: they pay more than others and leave sooner, so effort to keep them pays most here.'
    """
    churn, arpa = (
        int(row[f"{name}_low"] > average[name]) - int(row[f"{name}_high"] < average[name])
        for name in ("churn", "arpa")
    )
    return _ADVICE[churn, arpa]


_ADVICE = {
    (1, 1): "Keep: they pay more than others and leave sooner, so effort to keep them pays most here.",
    (1, 0): "Keep: they leave sooner than others; find out what they miss and test one remedy.",
    (1, -1): "Automate: they leave sooner and pay less; use cheap reminders and yearly terms, not discounts.",
    (0, 1): "Look after: they pay more than others; watch their use and act when it falls.",
    (0, 0): "Treat like everybody: they neither pay nor leave differently from the average.",
    (0, -1): "Grow: they pay less than others without leaving sooner; offer what the next plan adds.",
    (-1, 1): "Thank: they pay more and stay longer; ask them to refer, and do not discount.",
    (-1, 0): "Build on: they stay longer than others; offer yearly terms and ask them to refer.",
    (-1, -1): "Grow: they stay longer and pay less than others; offer the next plan.",
}


def _branches(nodes: Any, features: Sequence[str]) -> list[tuple[Condition, ...]]:
    """The conditions that lead to each node of a tree but its root."""
    found: list[tuple[Condition, ...]] = []

    def walk(node: int, path: dict[tuple[str, bool], float]) -> None:
        if path:
            found.append(tuple(Condition(*place, float(f"{t:.2g}")) for place, t in path.items()))
        if nodes.children_left[node] < 0:
            return
        feature, threshold = features[nodes.feature[node]], float(nodes.threshold[node])
        # Further down a threshold is always stricter than those above it on the same side.
        walk(nodes.children_left[node], {**path, (feature, False): threshold})
        walk(nodes.children_right[node], {**path, (feature, True): threshold})

    walk(0, {})
    return found


def _hold(conditions: Sequence[Condition], frame: pd.DataFrame) -> Array:
    return np.logical_and.reduce([condition.holds(frame) for condition in conditions])


def _f1(conditions: Sequence[Condition], frame: pd.DataFrame, mine: Array) -> float:
    hit = _hold(conditions, frame)
    true = float((hit & mine).sum())
    return 2 * true / max(float(hit.sum() + mine.sum()), 1.0)
