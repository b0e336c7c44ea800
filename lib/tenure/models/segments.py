"""Segments of customers: by recency, frequency and value, and by how they use the product.

RFM scores come from quantile edges, which are frozen so that a later run can score by the same ones.
Segments by use are fitted on a sample, tested against data in which there is nothing to find, and handed over
as plain numbers: the query engine applies them to everybody (`tenure.measures.features.assigned`).

A `sample` has a row per customer: events, and columns of `FEATURES` and of `labels`, which maps a column that
holds a share to its kind and level (`tenure.measures.features.share_columns`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tenure.errors import InputError, NotApplicable
from tenure.privacy import folded
from tenure.result import NAN, Estimate, Table, counted
from tenure.stats import clusters
from tenure.stats.lifetable import z_value

Array = NDArray[Any]
Labels = Mapping[str, tuple[str, str]]

# Customers without any event in the days looked at; "silent" customers pay and had none for 28 days.
NO_USE, OTHER = "no use", "other"

# How a column of `tenure.measures.features.usage` is read: its transform, and its words for more and less.
FEATURES: dict[str, tuple[str, str, str]] = {
    "events_a_month": ("log", "heavy use", "light use"),
    "minutes": ("log", "long sessions", "short sessions"),
    "weekend": ("sqrt", "weekends", "weekdays"),
    "daytime": ("sqrt", "daytime", "evenings"),
    "trend": ("none", "rising use", "fading use"),
    "breadth": ("none", "broad use", "narrow use"),
    "tenure_days": ("log", "long-standing", "new"),
    "tickets_a_year": ("log", "asks for help", ""),
}

_CLIP = 4.0
_LEAST = 60


# --- recency, frequency, value ------------------------------------------------------------------------


# The segments of the RFM map: who is in each, and what to do.
RFM_SEGMENTS: dict[str, tuple[str, str]] = {
    "champions": (
        "used it recently, use it often, pay much", "Ask them to refer; show what is new first."
    ),
    "loyal": ("use it often, pay less than champions", "Offer the next plan or the yearly term."),
    "growing": ("used it recently, now and then", "Show what regular users do next."),
    "paying for little": ("pay much, use it little", "Fit the plan to the use before they do."),
    "casual": ("used it recently, seldom, pay little", "Help them to a second habit."),
    "slipping": ("use has become rare", "Remind them with what is new for them."),
    "must not lose": ("used it often and pay much, but not recently", "Call or write in person now."),
    "at risk": ("used it or pay well, but not recently", "Win back with a reason to return."),
    "drowsy": ("little use, none recently, pay little", "Send one cheap reminder."),
    "asleep": ("no use for long, pay little", "Spend nothing; make leaving and returning easy."),
}  # fmt: skip


def rfm_cells() -> dict[str, str]:
    """Return the segment of each of the 125 cells: three digits for recency, frequency, value, 5 the best.

    Example:
        >>> cells = rfm_cells()
        >>> len(cells), cells["555"], cells["111"]
        (125, 'champions', 'asleep')
    """
    scores = range(1, 6)
    return {f"{r}{f}{m}": _rfm_name(r, f, m) for r in scores for f in scores for m in scores}


def _rfm_name(r: int, f: int, m: int) -> str:
    if r <= 2:
        if f >= 4 and m >= 4:
            return "must not lose"
        if f >= 3 or m >= 4:
            return "at risk"
        return "drowsy" if r == 2 else "asleep"
    if f >= 4:
        return "champions" if r >= 4 and m >= 4 else "loyal"
    if f == 3 and r >= 4:
        return "growing"
    if m >= 4:
        return "paying for little"
    return "casual" if r >= 4 else "slipping"


def rfm_edges(counts: pd.DataFrame) -> dict[str, tuple[float, ...]]:
    """Return the edges that cut each quantity into groups as equal in size as ties allow.

    The edges are the quantiles at 1/5, 2/5, ... (Hyndman and Fan's type 7, as in R and numpy); a value
    equal to an edge belongs below it, so that equal values always have equal scores.

    Args:
        counts: Columns column (recency, frequency, value), value and n.

    Raises:
        NotApplicable: There is nobody to score.

    Example:
        >>> counts = pd.DataFrame({"column": "value", "value": [1, 2, 3, 4, 5], "n": 20})
        >>> rfm_edges(counts)["value"]
        (1.8, 2.6, 3.4, 4.2)
    """
    if counts.empty:
        raise NotApplicable("Nobody is subscribed, so there is nobody to score.")
    edges = {}
    for name, part in counts.groupby("column", sort=True):
        ordered = part.groupby("value")["n"].sum().sort_index()
        values, upto = ordered.index.to_numpy(dtype=float), np.cumsum(ordered.to_numpy())
        place = (upto[-1] - 1) * np.arange(1, 5) / 5
        low = values[np.searchsorted(upto, np.floor(place), side="right")]
        high = values[np.searchsorted(upto, np.ceil(place), side="right")]
        between = np.round(low + (high - low) * (place - np.floor(place)), 9)
        edges[str(name)] = tuple(between.tolist())
    return edges


def rfm_overview(totals: pd.DataFrame) -> Table:
    """Return each segment's share of customers and of value_minor, who is in it, and what to do."""
    named = totals.assign(segment=folded(totals["segment"], totals["customers"]))
    totals = named.groupby("segment", sort=False, as_index=False)[["customers", "value_minor"]].sum()
    about = totals["segment"].map(RFM_SEGMENTS)
    frame = totals[["segment", "customers"]].assign(
        share=totals["customers"] / totals["customers"].sum(),
        value_share=totals["value_minor"] / max(totals["value_minor"].sum(), 1),
        who=about.str[0].fillna("segments of few customers"),
        what_to_do=about.str[1].fillna(""),
    )
    return Table(frame, {"share": "percent", "value_share": "percent"})


# --- how the product is used --------------------------------------------------------------------------


def base_shares(levels: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Choose the levels of each kind to look at: at most 8, of 1 % or more; with everybody's share of each.

    Args:
        levels: Columns kind, level and n.

    Example:
        >>> levels = pd.DataFrame({"kind": "platform", "level": ["tv", "phone"], "n": [60, 40]})
        >>> base_shares(levels)
        {'platform': {'tv': 0.6, 'phone': 0.4}}
    """
    shares: dict[str, dict[str, float]] = {}
    for kind, part in levels.groupby("kind", sort=True):
        part = part.sort_values(["n", "level"], ascending=[False, True])
        part = part.assign(share=part["n"] / part["n"].sum()).head(8)
        part = part[part["share"] >= 0.01]
        if len(part) > 1:
            shares[str(kind)] = dict(zip(part["level"].astype(str), part["share"].round(6), strict=True))
    return shares


@dataclass(frozen=True, eq=False)
class Rule:
    """A fitted segmentation as plain numbers.

    Each feature is transformed, centered, scaled and clipped; components are weighted sums of them; and of
    the segments the one with the highest score c + b y + y Q y wins.

    Attributes:
        features: Name, transform, center, scale and mean (after scaling) of each feature.
        clip: Scaled features are cut at this many scales from the center.
        weights: A row per feature, a column per component.
        segments: Name, constant, linear and quadratic part of each segment's score.
    """

    features: tuple[dict[str, Any], ...]
    clip: float
    weights: Array
    segments: tuple[dict[str, Any], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The segments' names."""
        return tuple(segment["name"] for segment in self.segments)

    @property
    def columns(self) -> list[str]:
        """The features' columns."""
        return [feature["name"] for feature in self.features]

    def components(self, frame: pd.DataFrame) -> Array:
        """Return the components of some customers; a feature that is missing is at the center."""
        return _scaled(frame, self.features, self.clip) @ self.weights

    def places(self, y: Array) -> Array:
        """Return the number of the segment in which each row of components is."""
        scores = [
            s["constant"]
            + y @ s["linear"]
            + (((y @ s["quadratic"]) * y).sum(axis=1) if s["quadratic"] else 0)
            for s in self.segments
        ]
        return np.column_stack(scores).argmax(axis=1)

    def assign(self, frame: pd.DataFrame) -> Array:
        """Return the segment of each customer; `NO_USE` for those without events."""
        found = np.asarray(self.names, dtype=object)[self.places(self.components(frame))]
        return np.where(frame["events"].to_numpy() == 0, NO_USE, found)

    def to_dict(self) -> dict[str, Any]:
        """Return the rule as numbers and words that JSON can hold."""
        return {
            "features": [dict(feature) for feature in self.features],
            "clip": self.clip,
            "weights": self.weights.tolist(),
            "segments": [dict(segment) for segment in self.segments],
        }

    @classmethod
    def from_dict(cls, rule: Mapping[str, Any]) -> Rule:
        """Return the rule that `to_dict` wrote.

        Raises:
            InputError: It is no such rule.
        """
        try:
            weights = np.asarray(rule["weights"], dtype=float)
            segments = tuple(dict(s) for s in rule["segments"])
            features = tuple(dict(f) for f in rule["features"])
            shape = len(features), len(segments[0]["linear"])
            if weights.shape != shape or any(len(s["linear"]) != shape[1] or not s["name"] for s in segments):
                raise ValueError
            return cls(features, float(rule["clip"]), weights, segments)
        except (KeyError, TypeError, ValueError, IndexError):
            raise InputError(
                "The frozen segmentation cannot be read: its numbers do not fit together. "
                "Fix: use the file segmentation.json as a run published it."
            ) from None


def _nothing() -> Table:
    return Table(pd.DataFrame())


@dataclass(frozen=True, eq=False)
class Segmentation:
    """What was found, and how certain it is.

    Attributes:
        reason: Why there are groups beyond what data without groups shows, or none; a sentence.
        n: Customers in the sample that did anything.
        rule: The fitted rule; None where there is no structure.
        family: The chosen family.
        k: The chosen number of groups.
        evidence: A row per family and number of groups, as `tenure.stats.clusters.evidence` returns them.
        nulls: A row per kind of data without groups: compared_with, found, expected, highest_of_all, p.
        stability: A row per segment: segment, customers, overlap (mean Jaccard over bootstrap samples),
            at_least (its 5 % quantile), verdict.
        agreement: How far other fits agree with it, by the adjusted Rand index: those that start elsewhere,
            and one made of customers of an earlier day.
    """

    reason: str
    n: int
    rule: Rule | None = None
    family: str = ""
    k: int = 1
    evidence: Table = field(default_factory=_nothing)
    nulls: Table = field(default_factory=_nothing)
    stability: Table = field(default_factory=_nothing)
    agreement: Table = field(default_factory=_nothing)

    @property
    def number(self) -> Estimate:
        """How many groups there are; its case: "groups" or "no structure"."""
        if self.rule is None:
            return Estimate(NAN, n=self.n, of="customer", unit="count", case="no structure")
        rows = self.stability.frame
        stable, first = int((rows["verdict"] == "stable").sum()), rows.iloc[0]
        share = Estimate(first["customers"] / self.n, unit="percent")
        return counted(self.k, self.n, of="customer").saying(
            "groups", stable=counted(stable), name=first["segment"], share=share
        )


def find_segments(
    sample: pd.DataFrame,
    labels: Labels | None = None,
    *,
    most: int = 8,
    earlier: pd.DataFrame | None = None,
    sample_size: int = 2000,
    null_draws: int = 39,
    bootstrap_draws: int = 20,
) -> Segmentation:
    """Look for groups in how customers use the product, and test how certain they are.

    1. Features are transformed, scaled robustly (median and interquartile range), cut at 4 scales and
       brought to equal variance; what hardly varies is left out.
    2. Components are kept as far as they vary more than in shuffled data (Horn's parallel analysis 1965).
    3. Family and number of groups: the most groups whose prediction strength (Tibshirani and Walther 2005)
       is at least 0.85 by a standard error, and closer to 1 than to that of one normal cloud; at equal
       number the stronger family. Between any two groups there must be a gap: along the line that separates
       them best, customers are distributed as no single cluster would be; else fewer groups are tried.
    4. The fit is compared with the same fit on two kinds of data without groups: each feature shuffled by
       itself, and one cloud with the same distributions and correlations of features (a Gaussian copula).
       If either does as well in more than 5 of 100 cases, the verdict is that there is no structure.
    5. Stability: mean Jaccard similarity of each group over bootstrap samples (Hennig 2007), and the
       adjusted Rand index (Hubert and Arabie 1985) between runs that start elsewhere.

    Args:
        sample: The sample.
        labels: Columns that hold shares.
        most: The most groups to look for.
        earlier: Customers of an earlier day, to compare a fit of the same family and number with.
        sample_size: Choice and tests use at most so many customers; the rule is fitted on all.
        null_draws: Data sets without groups, of each kind.
        bootstrap_draws: Bootstrap samples.

    Returns:
        The segmentation; without a rule where there is no structure.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> two = rng.permutation(np.repeat([0.0, 1.0], 200))
        >>> sample = pd.DataFrame({"events": 9, "weekend": 0.3 + 0.4 * two + rng.normal(0, 0.05, 400),
        ...     "daytime": 0.7 - 0.5 * two + rng.normal(0, 0.05, 400),
        ...     "minutes": 20 + 40 * two + rng.normal(0, 4, 400)})
        >>> find_segments(sample, most=3, null_draws=19, bootstrap_draws=3).number.value
        2.0
    """
    labels, rng = labels or {}, np.random.default_rng(0)
    active = sample[sample["events"] > 0]
    n = len(active)
    if n < _LEAST:
        return Segmentation(
            f"Only {n} customers did anything in the time looked at, too few to look for groups "
            f"among (at least {_LEAST} are needed).",
            n,
        )
    features = _features(active, labels)
    if len(features) < 2:
        return Segmentation("All customers use the product alike: fewer than two of the features vary.", n)
    whole = _scaled(active, features, _CLIP)
    few = whole[rng.permutation(n)[:sample_size]]
    with clusters.one_thread():
        weights, _share = clusters.components(few, rng)
        size = weights.shape[1]
        if size == 0:
            return Segmentation(
                "The features are no more related to each other than in shuffled data: there is no "
                "structure.",
                n,
            )
        y = few @ weights
        evidence = clusters.evidence(y, most, 0)
        choices = clusters.choices(evidence)
        found = Segmentation("", n, evidence=Table(evidence))
        spread = clusters.untied(few) @ weights
        for family, k in choices:
            if clusters.all_apart(spread, clusters.fit(family, k, y, 0, starts=5).predict(y)):
                break
        else:
            merged = "Groups that are found again merge into each other without a gap: there is no structure."
            none = "No division into groups was found again in another half of the customers."
            return replace(found, reason=merged if choices else none)
        nulls = clusters.nulls(few, size, family, k, null_draws, rng)
        found = replace(found, family=family, k=k, nulls=Table(nulls, {"p": "p"}))
        worst = nulls.sort_values("p", kind="stable").iloc[-1]
        if worst["p"] > 0.05:
            reason = (
                f"Groups as clear as these are found in {worst['compared_with']} too (p = {worst['p']:.2f}): "
                "there is no structure."
            )
            return replace(found, reason=reason)
        rule = _named(_fitted(family, k, whole, features, weights), active, labels)
        jaccard = clusters.stability(rule.places(y), family, k, y, bootstrap_draws, rng)
        starts = clusters.agreement_of_starts(family, k, y, 0)
    past = None if earlier is None else refit(earlier, labels, found)
    indices = {
        "fits that start elsewhere": starts,
        "a fit of the earlier day": agreement(rule, past, sample),
    }
    sizes = np.bincount(rule.places(whole @ weights), minlength=k)
    overlap = jaccard.mean(axis=0)
    levels = [overlap >= clusters.STABLE, overlap >= clusters.PATTERN]
    stability = pd.DataFrame(
        {
            "segment": rule.names,
            "customers": sizes,
            "overlap": overlap,
            "at_least": np.quantile(jaccard, 0.05, axis=0),
            "verdict": np.select(levels, ["stable", "a pattern"], "doubtful"),
        }
    )
    return replace(
        found,
        reason="Each of them is found again in other halves of the customers, and neither shuffled data nor "
        "one cloud without groups does as well.",
        rule=rule,
        stability=Table(stability),
        agreement=Table(pd.DataFrame({"fit": indices.keys(), "adjusted_Rand_index": indices.values()})),
    )


def refit(sample: pd.DataFrame, labels: Labels, like: Segmentation) -> Rule | None:
    """Fit the same family and number of groups to other customers, such as those of an earlier day.

    Returns:
        The rule; None where too few did anything, or the features are not related to each other.
    """
    active = sample[sample["events"] > 0]
    features = _features(active, labels) if len(active) >= _LEAST else ()
    if not features:
        return None
    z = _scaled(active, features, _CLIP)
    with clusters.one_thread():
        weights, _share = clusters.components(z, np.random.default_rng(0))
        return _fitted(like.family, like.k, z, features, weights) if weights.shape[1] else None


def agreement(rule: Rule | None, other: Rule | None, sample: pd.DataFrame) -> float:
    """Return the adjusted Rand index of what two rules find in a sample; NaN where there is no rule."""
    if rule is None or other is None:
        return NAN
    pairs = pd.DataFrame({"segment": rule.assign(sample), "other": other.assign(sample)})
    return clusters.rand_index(pairs.value_counts().rename("n").reset_index())


def has_history(first: pd.DataFrame, before: dt.date, days: int) -> bool:
    """Return whether use was recorded early enough to see how customers used the product by an earlier day.

    It was if the first event of all lies before the days looked at, or not more than a month after the first
    subscription.

    Args:
        first: As from `tenure.measures.features.first_event`.
        before: The earlier day.
        days: How many days of use are looked at.
    """
    event, subscription = first.iloc[0][["event", "subscription"]]
    window = pd.Timestamp(before) - pd.Timedelta(days=days)
    return bool(event < pd.Timestamp(before) and event <= max(window, subscription + pd.Timedelta(days=31)))


def check_frozen(frozen: Mapping[str, Any], **given: Any) -> None:
    """Check that an earlier run froze its cut points with the parameters of this run: days, currency.

    Raises:
        InputError: One of them has changed.

    Example:
        >>> check_frozen({"days": 180, "currency": "EUR"}, days=180, currency="EUR")
    """
    for name, value in given.items():
        if name in frozen and frozen[name] != value:
            raise InputError(
                f"The frozen segmentation was made with `{name}` {frozen[name]}, and this run has {value}: "
                f"its cut points would mean something else. Fix: set `{name}` to {frozen[name]}, or leave "
                "`frozen` empty."
            )


def effects(frame: pd.DataFrame, segments: Array, columns: Sequence[str]) -> pd.DataFrame:
    """Measure how each segment differs from everybody else, feature by feature.

    The size of a difference is Hedges' g: the difference of the means in pooled standard deviations,
    corrected for small samples (Hedges 1981), with the interval g +- z sqrt((a + b) / ab + g^2 / 2(a + b))
    for groups of a and b customers. (statsmodels' interval divides by 2(a + b - 3.94).)

    Args:
        frame: A row per customer.
        segments: The segment of each row.
        columns: The features; missing values are left out.

    Returns:
        A row per segment and feature: segment, feature, inside and outside (medians), g, g_low, g_high, n.

    Example:
        >>> frame = pd.DataFrame({"use": [1.0, 2, 3, 7, 8, 9]})
        >>> effects(frame, np.array(["a"] * 3 + ["b"] * 3), ["use"])[["segment", "inside", "g"]].round(1)
          segment  inside    g
        0       a     2.0 -4.8
        1       b     8.0  4.8
    """
    from statsmodels.stats.meta_analysis import effectsize_smd

    values, z, parts = frame[list(columns)].astype(float), z_value(0.95), []
    for segment in sorted(set(segments)):
        ours, others = values[segments == segment], values[segments != segment]
        a, b = ours.count().astype(float), others.count().astype(float)
        means = (ours.mean(), ours.std(), a, others.mean(), others.std(), b)
        g = effectsize_smd(*means)[0].where(ours.std() + others.std() > 0)
        error = z * np.sqrt((a + b) / (a * b) + g**2 / (2 * (a + b)))
        part = {"inside": ours.median(), "outside": others.median()}
        part |= {"g": g, "g_low": g - error, "g_high": g + error, "n": a.astype(int)}
        parts.append(pd.DataFrame({"segment": segment, **part}).rename_axis("feature").reset_index())
    order = ["segment", "feature", "inside", "outside", "g", "g_low", "g_high", "n"]
    return pd.concat(parts, ignore_index=True)[order]


def profile(rule: Rule | None, sample: pd.DataFrame) -> pd.DataFrame:
    """Return the `effects` of a rule's segments among those who did anything, in the rule's order."""
    active = sample[sample["events"] > 0]
    if rule is None or active.empty:
        return pd.DataFrame()
    found = effects(active, rule.assign(active), rule.columns)
    place = {name: number for number, name in enumerate(rule.names)}
    return found.sort_values("segment", key=lambda names: names.map(place), kind="stable")


def _fitted(family: str, k: int, z: Array, features: tuple[dict[str, Any], ...], weights: Array) -> Rule:
    """Fit the groups; largest segment first, so that the order does not depend on where the fit started."""
    y = z @ weights
    model = clusters.fit(family, k, y, 0, starts=10)
    rule = Rule(features, _CLIP, weights, _score_functions(model, family))
    sizes = np.bincount(rule.places(y), minlength=len(rule.segments))
    order = sorted(range(len(sizes)), key=lambda place: (-sizes[place], place))
    return replace(rule, segments=tuple(rule.segments[place] for place in order))


def _score_functions(model: Any, family: str) -> tuple[dict[str, Any], ...]:
    """The score of each group: of k-means its distance, of a mixture its log density, both as polynomials."""
    if family == "k-means":
        parts = [(-0.5 * center @ center, center, np.empty(0)) for center in model.cluster_centers_]
    else:
        parts = [
            (
                np.log(weight) + 0.5 * np.linalg.slogdet(precision)[1] - 0.5 * mean @ precision @ mean,
                precision @ mean,
                -0.5 * precision,
            )
            for weight, mean, precision in zip(model.weights_, model.means_, model.precisions_, strict=True)
        ]
    return tuple(
        {
            "name": str(place),
            "constant": float(constant),
            "linear": linear.tolist(),
            "quadratic": quadratic.tolist(),
        }
        for place, (constant, linear, quadratic) in enumerate(parts)
    )


def _named(rule: Rule, frame: pd.DataFrame, labels: Labels) -> Rule:
    """Name each segment by the two features that set it apart most; no two have the same name."""
    places = rule.places(rule.components(frame))
    table = effects(frame, places, rule.columns)
    chosen: list[str] = []
    for place in range(len(rule.segments)):
        mine = table[table["segment"] == place].assign(size=lambda t: t["g"].abs())
        mine = mine[mine["size"] > 0.2].sort_values(["size", "feature"], ascending=[False, True])
        found_words = (_word(r["feature"], r["g"], labels) for r in mine.to_dict("records"))
        words = list(dict.fromkeys(word for word in found_words if word))
        # Customers who use it little use little of it: of the two words the plainer one is enough.
        for plain, other in (("light use", "narrow use"), ("heavy use", "broad use")):
            if plain in words and other in words:
                words.remove(plain)
                words[words.index(other)] = plain
        words = words or ["average"]
        sizes = range(min(2, len(words)), len(words) + 1)
        tries = [", ".join(sorted(words[:size], key=_in_order(labels))) for size in sizes]
        chosen.append(next((name for name in tries if name not in chosen), f"{tries[0]} {place + 1}"))
    named = zip(rule.segments, chosen, strict=True)
    return replace(rule, segments=tuple({**segment, "name": name} for segment, name in named))


def _in_order(labels: Labels) -> Callable[[str], int]:
    """Sort words by what is looked at, then with what, then how."""
    kinds = {level.replace("_", " "): kind for kind, level in labels.values()}
    order = {"category": 0, "feature": 1, "platform": 2}
    return lambda word: order.get(kinds.get(word, ""), 3)


def _word(feature: str, g: float, labels: Labels) -> str:
    """What a difference in a feature is called; nothing where few of a share says nothing."""
    if feature in labels:
        return labels[feature][1].replace("_", " ") if g > 0 else ""
    return FEATURES[feature][1 if g > 0 else 2]


_TRANSFORMS = {
    "sqrt": lambda values: np.sqrt(np.maximum(values, 0.0)),
    "log": lambda values: np.log1p(np.maximum(values, 0.0)),
    "none": lambda values: values,
}


def _numbers(frame: pd.DataFrame, name: str) -> Array:
    return pd.to_numeric(frame[name]).to_numpy(dtype=float, na_value=np.nan)


def _scaled(frame: pd.DataFrame, features: Sequence[Mapping[str, Any]], clip: float) -> Array:
    columns = []
    for feature in features:
        if feature["name"] not in frame.columns:
            raise InputError(
                f"The frozen segmentation needs the feature {feature['name']!r}, which is not there."
            )
        values = _TRANSFORMS[feature["transform"]](_numbers(frame, feature["name"]))
        values = (values - feature["center"]) / feature["scale"]
        values = np.clip(np.where(np.isfinite(values), values, 0.0), -clip, clip)
        columns.append(values - feature["mean"])
    return np.column_stack(columns)


def _features(frame: pd.DataFrame, labels: Labels) -> tuple[dict[str, Any], ...]:
    """Features that vary and are known of at least half of the customers, with center, scale and mean."""
    chosen = []
    for name in [*FEATURES, *labels]:
        if name not in frame.columns:
            continue
        transform = "sqrt" if name in labels else FEATURES[name][0]
        raw = _numbers(frame, name)
        values = _TRANSFORMS[transform](raw[np.isfinite(raw)])
        if len(values) < len(frame) / 2:
            continue
        low, center, high = np.quantile(values, [0.25, 0.5, 0.75])
        spread = (high - low) / 1.349
        spread = spread if spread > 1e-9 else float(values.std())
        if not spread > 1e-9:
            continue
        feature = {"name": name, "transform": transform, "center": float(center), "scale": float(spread)}
        clipped = _scaled(frame, [{**feature, "mean": 0.0}], _CLIP)[:, 0]
        if clipped.std() > 1e-9:
            chosen.append({**feature, "mean": float(clipped.mean()), "spread": float(clipped.std())})
    return tuple(chosen)
