"""Segments of subscribers: by recency, frequency and value, and by how they use the product.

RFM scores come from quantile edges, which are frozen so that a later run can score by the same ones.
Behavioral segments are fitted on a sample (k-means and Gaussian mixtures, by scikit-learn), tested against
data in which there is nothing to find, and handed over as plain numbers: the query engine applies them to
everybody (`tenure.measures.features.assigned`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tenure.errors import InputError, NotApplicable

Array = NDArray[Any]
Family = Literal["k-means", "Gaussian mixture"]
FAMILIES: tuple[Family, ...] = ("k-means", "Gaussian mixture")

NO_USE = "no use"

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

_AMOUNTS = ("recency", "frequency", "value")

# Prediction strength from which on groups count as found again (Tibshirani and Walther 2005: 0.8 to 0.9).
STRENGTH = 0.85
# Mean bootstrap Jaccard from which on a group is stable, and from which on it is a pattern (Hennig 2007).
STABLE, PATTERN = 0.75, 0.6
# What `_gap` exceeds in 5 of 100 samples of a uniform distribution (300 samples each of 60 to 2000 draws).
_NO_GAP = 0.84

_CLIP = 4.0
_LEAST = 60


# --- recency, frequency, value ------------------------------------------------------------------------


@dataclass(frozen=True)
class RfmSegment:
    """A segment of the RFM map.

    Attributes:
        name: Its name.
        meaning: Who is in it.
        action: What to do.
    """

    name: str
    meaning: str
    action: str


RFM_SEGMENTS: tuple[RfmSegment, ...] = (
    RfmSegment(
        "champions", "used it lately, use it often, pay much", "Ask them to refer; show what is new first."
    ),
    RfmSegment("loyal", "use it often, pay less than champions", "Offer the next plan or the yearly term."),
    RfmSegment("growing", "used it lately, now and then", "Show what regular users do next."),
    RfmSegment("paying for little", "pay much, use it little", "Fit the plan to the use before they do."),
    RfmSegment("casual", "used it lately, seldom, pay little", "Help to a second habit."),
    RfmSegment("slipping", "use has become rare", "Remind with what is new for them."),
    RfmSegment("must not lose", "used it often and pay much, but not lately", "Call or write in person now."),
    RfmSegment("at risk", "used it or pay well, but not lately", "Win back with a reason to return."),
    RfmSegment("drowsy", "little use, none lately, pay little", "Send one cheap reminder."),
    RfmSegment("asleep", "no use for long, pay little", "Spend nothing; make leaving and returning easy."),
)


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


def rfm_edges(counts: pd.DataFrame, *, scores: int = 5) -> dict[str, tuple[float, ...]]:
    """Return the edges that cut each quantity into as many customers as near as ties allow.

    The edges are the quantiles at 1/5, 2/5, ... (Hyndman and Fan's type 7, as in R and numpy); a value
    equal to an edge belongs below it, so that equal values always have equal scores.

    Args:
        counts: Columns column (recency, frequency, value), value and n.
        scores: How many scores there are.

    Raises:
        InputError: There is nobody to score.

    Example:
        >>> counts = pd.DataFrame({"column": "value", "value": [1, 2, 3, 4, 5], "n": 20})
        >>> rfm_edges(counts)["value"]
        (1.8, 2.6, 3.4, 4.2)
    """
    if counts.empty:
        raise InputError("There is nobody to score: the counts by recency, frequency and value have no rows.")
    edges = {}
    for name, part in counts.groupby("column", sort=True):
        ordered = part.groupby("value")["n"].sum().sort_index()
        values, upto = ordered.index.to_numpy(dtype=float), np.cumsum(ordered.to_numpy())
        place = (upto[-1] - 1) * np.arange(1, scores) / scores
        low = values[np.searchsorted(upto, np.floor(place), side="right")]
        high = values[np.searchsorted(upto, np.ceil(place), side="right")]
        between = np.round(low + (high - low) * (place - np.floor(place)), 9)
        edges[str(name)] = tuple(between.tolist())
    return edges


def rfm_scores(values: Sequence[float] | Array, edges: Sequence[float], *, reverse: bool = False) -> Array:
    """Score values from 1 by fixed edges; `reverse` for recency, of which little is good.

    Example:
        >>> rfm_scores([1, 3, 3, 9], [2.0, 3.0, 5.0, 7.0]).tolist()
        [1, 2, 2, 5]
    """
    above = np.searchsorted(np.asarray(edges, dtype=float), np.asarray(values, dtype=float), side="left")
    return len(edges) + 1 - above if reverse else above + 1


# --- how the product is used --------------------------------------------------------------------------


def base_shares(levels: pd.DataFrame, *, most: int = 8, least: float = 0.01) -> dict[str, dict[str, float]]:
    """Choose the levels of each kind to look at, with everybody's share of each.

    Args:
        levels: Columns kind, level and n.
        most: At most so many levels of a kind.
        least: Levels with a smaller share are left out.

    Example:
        >>> levels = pd.DataFrame({"kind": "platform", "level": ["tv", "phone"], "n": [60, 40]})
        >>> base_shares(levels)
        {'platform': {'tv': 0.6, 'phone': 0.4}}
    """
    shares: dict[str, dict[str, float]] = {}
    for kind, part in levels.groupby("kind", sort=True):
        part = part.sort_values(["n", "level"], ascending=[False, True])
        part = part.assign(share=part["n"] / part["n"].sum()).head(most)
        part = part[part["share"] >= least]
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
        weights: A row a feature, a column a component.
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

    def scaled(self, frame: pd.DataFrame) -> Array:
        """Return the features of some customers, scaled; what is missing is at the center."""
        return _scaled(frame, self.features, self.clip)

    def components(self, frame: pd.DataFrame) -> Array:
        """Return the components of some customers."""
        return self.scaled(frame) @ self.weights

    def scores(self, frame: pd.DataFrame) -> Array:
        """Return the segments' scores, a row a customer."""
        y = self.components(frame)
        return np.column_stack(
            [
                s["constant"]
                + y @ np.asarray(s["linear"])
                + (np.einsum("na,ab,nb->n", y, np.asarray(s["quadratic"]), y) if s["quadratic"] else 0.0)
                for s in self.segments
            ]
        )

    def assign(self, frame: pd.DataFrame) -> Array:
        """Return the segment of each customer; `NO_USE` for those without events."""
        found = np.asarray(self.names, dtype=object)[self.scores(frame).argmax(axis=1)]
        return np.where(frame["events"].to_numpy() == 0, NO_USE, found)

    def renamed(self, names: Sequence[str]) -> Rule:
        """Return the rule with other names for its segments, in order."""
        parts = zip(self.segments, names, strict=True)
        return Rule(self.features, self.clip, self.weights, tuple({**s, "name": n} for s, n in parts))

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
            fits = weights.shape[0] == len(features) and all(
                len(s["linear"]) == weights.shape[1] and s["name"] for s in segments
            )
            if not fits or not segments:
                raise ValueError
            return cls(features, float(rule["clip"]), weights, segments)
        except (KeyError, TypeError, ValueError, IndexError):
            raise InputError(
                "The frozen segmentation cannot be read: its numbers do not fit together. "
                "Fix: use the file segmentation.json as a run published it."
            ) from None


@dataclass(frozen=True, eq=False)
class Segmentation:
    """What was found, and how sure it is.

    Attributes:
        structure: Whether there are groups beyond what shuffled and clump-free data show.
        reason: Why, in a sentence.
        rule: The fitted rule; None where there is no structure.
        family: The chosen family.
        k: The chosen number of groups.
        evidence: A row a family and k: family, k, strength, standard_error, cloud (the strength of the same
            in one normal cloud), bic (mixtures only).
        components: How many components vary more than in shuffled data, and their share of the variance.
        nulls: A row a null: null, found, expected, highest, p.
        stability: A row a segment: segment, n, jaccard (mean over bootstrap samples), low (the 5 % quantile),
            verdict.
        seeds: Mean adjusted Rand index between runs that start elsewhere.
        n: Customers in the sample that did anything.
    """

    structure: bool
    reason: str
    rule: Rule | None = None
    family: str = ""
    k: int = 1
    evidence: pd.DataFrame = field(default_factory=pd.DataFrame)
    components: tuple[int, float] = (0, 0.0)
    nulls: pd.DataFrame = field(default_factory=pd.DataFrame)
    stability: pd.DataFrame = field(default_factory=pd.DataFrame)
    seeds: float = float("nan")
    n: int = 0


def find_segments(
    sample: pd.DataFrame,
    labels: Mapping[str, tuple[str, str]] | None = None,
    *,
    most: int = 8,
    sample_size: int = 2000,
    null_draws: int = 39,
    bootstrap_draws: int = 20,
    seed: int = 0,
) -> Segmentation:
    """Look for groups in how customers use the product, and say how sure they are.

    1. Features are transformed, scaled robustly (median and interquartile range), cut at 4 scales and
       brought to equal variance; what hardly varies is left out.
    2. Components are kept as far as they vary more than in shuffled data (Horn's parallel analysis 1965).
    3. Family and number of groups: the most groups whose prediction strength (Tibshirani and Walther 2005)
       is at least 0.85 by a standard error, and closer to 1 than to that of one normal cloud; at equal
       number the stronger family. Between any two groups there must be a gap: along the line that tells them
       apart best, customers lie as no single heap would have it (in the manner of Hartigan and Hartigan's dip
       1985, as Hennig 2010 uses it); else fewer groups are tried.
    4. The fit is compared with the same fit on two kinds of data without groups: each feature shuffled by
       itself, and one cloud with the same distributions and correlations of features (a Gaussian copula).
       If either does as well in more than 5 of 100 cases, the verdict is that there is no structure.
    5. Stability: mean Jaccard similarity of each group over bootstrap samples (Hennig 2007), and the
       adjusted Rand index (Hubert and Arabie 1985) between runs that start elsewhere.

    Args:
        sample: A row a customer: events, and columns of `FEATURES` and of `labels`.
        labels: Columns that hold shares, with their kind and level.
        most: The most groups to look for.
        sample_size: Choice and tests use at most so many customers; the rule is fitted on all.
        null_draws: Data sets without groups, of each kind.
        bootstrap_draws: Bootstrap samples.
        seed: The random seed.

    Returns:
        The segmentation; without a rule where there is no structure.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> two = rng.permutation(np.repeat([0.0, 1.0], 200))
        >>> sample = pd.DataFrame({"events": 9, "weekend": 0.3 + 0.4 * two + rng.normal(0, 0.05, 400),
        ...     "daytime": 0.7 - 0.5 * two + rng.normal(0, 0.05, 400),
        ...     "minutes": 20 + 40 * two + rng.normal(0, 4, 400)})
        >>> found = find_segments(sample, most=3, null_draws=19, bootstrap_draws=3)
        >>> found.structure, found.k
        (True, 2)
    """
    import sklearn.cluster
    import sklearn.mixture  # noqa: F401 - only what is loaded can be limited
    from threadpoolctl import threadpool_limits

    # Fits this small are slower on several threads, and the last digits would depend on their number.
    with threadpool_limits(1):
        return _find_segments(
            sample, dict(labels or {}), most, sample_size, null_draws, bootstrap_draws, seed
        )


def _find_segments(
    sample: pd.DataFrame,
    labels: dict[str, tuple[str, str]],
    most: int,
    sample_size: int,
    null_draws: int,
    bootstrap_draws: int,
    seed: int,
) -> Segmentation:
    rng = np.random.default_rng(seed)
    active = sample[sample["events"] > 0]
    if len(active) < _LEAST:
        return Segmentation(
            False,
            f"Only {len(active)} customers did anything in the time looked at, too few to look for groups "
            f"among (at least {_LEAST} are needed).",
            n=len(active),
        )
    features = _features(active, labels)
    if len(features) < 2:
        return Segmentation(
            False, "All customers use the product alike: fewer than two of the features vary.", n=len(active)
        )
    whole = _scaled(active, features, _CLIP)
    few = whole[rng.permutation(len(whole))[:sample_size]]
    weights, share = _components(few, rng)
    size = weights.shape[1]
    if size == 0:
        return Segmentation(
            False,
            "The features are no more related to each other than in shuffled data: there is no structure.",
            n=len(active),
        )
    y = few @ weights
    evidence = _evidence(y, most, seed)
    again = _choices(evidence)
    apart = (choice for choice in again if _all_apart(y, _fit(*choice, y, seed, starts=5).predict(y)))
    family, k = next(apart, ("", 1))
    if k < 2:
        return Segmentation(
            False,
            "Groups that are found again go over into each other without a gap: there is no structure."
            if again
            else "No division into groups was found again in another half of the customers.",
            evidence=evidence,
            components=(size, share),
            n=len(active),
        )
    nulls = _nulls(few, size, family, k, null_draws, rng)
    base: dict[str, Any] = {
        "family": family,
        "k": k,
        "evidence": evidence,
        "components": (size, share),
        "nulls": nulls,
        "n": len(active),
    }
    worst = nulls.sort_values("p", kind="stable").iloc[-1]
    if worst["p"] > 0.05:
        return Segmentation(
            False,
            f"Groups as clear as these are found in {worst['null']} too (p = {worst['p']:.2f}): there is no "
            "structure.",
            **base,
        )
    model = _fit(family, k, whole @ weights, seed, starts=10)
    rule = Rule(features, _CLIP, weights, _score_functions(model, family))
    rule = _ordered(rule, active)
    rule = rule.renamed(segment_names(rule, active, labels))
    assigned = rule.assign(active)
    stability = _stability(rule, family, k, y, few, bootstrap_draws, rng)
    counts = pd.Series(assigned).value_counts()
    stability.insert(1, "n", [int(counts.get(name, 0)) for name in rule.names])
    return Segmentation(
        True,
        "Each of them is found again in other halves of the customers, and neither shuffled data nor one "
        "cloud without groups does as well.",
        rule=rule,
        stability=stability,
        seeds=_seeds(family, k, y, seed),
        **base,
    )


def refit(
    sample: pd.DataFrame, labels: Mapping[str, tuple[str, str]], like: Segmentation, seed: int = 0
) -> Rule:
    """Fit the same kind and number of groups to other customers, such as those of an earlier day.

    Args:
        sample: A row a customer, as for `find_segments`.
        labels: Columns that hold shares.
        like: What was found before, with a rule.
        seed: The random seed.

    Raises:
        NotApplicable: Too few of them did anything.
    """
    import sklearn.cluster
    import sklearn.mixture  # noqa: F401 - only what is loaded can be limited
    from threadpoolctl import threadpool_limits

    active = sample[sample["events"] > 0]
    if len(active) < _LEAST:
        raise NotApplicable(
            f"Only {len(active)} customers did anything by the earlier day, too few to compare."
        )
    features = _features(active, labels)
    with threadpool_limits(1):
        z = _scaled(active, features, _CLIP)
        weights, _share = _components(z, np.random.default_rng(seed))
        if not weights.shape[1]:
            raise NotApplicable("By the earlier day the features were not related to each other.")
        model = _fit(like.family, like.k, z @ weights, seed, starts=10)
    return Rule(features, _CLIP, weights, _score_functions(model, like.family))


def check_frozen(frozen: Mapping[str, Any], **given: Any) -> None:
    """Check that frozen cut points were made the way that this run looks at its customers.

    Args:
        frozen: What an earlier run froze; empty where nothing is used again.
        **given: What this run has: days, currency.

    Raises:
        InputError: One of them is not what it was.

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


def rand_index(counts: pd.DataFrame) -> float:
    """Return the adjusted Rand index of two ways of segmenting (Hubert and Arabie 1985).

    Args:
        counts: Columns segment, other and n: how many customers are in both.

    Returns:
        1 where they are the same, 0 where they agree as by chance; NaN where either has one segment only.

    Example:
        >>> same = pd.DataFrame({"segment": ["a", "b"], "other": ["x", "y"], "n": [5, 7]})
        >>> rand_index(same)
        1.0
    """
    table = counts.pivot_table(index="segment", columns="other", values="n", aggfunc="sum", fill_value=0)
    cells = table.to_numpy(dtype=float)
    if min(cells.shape, default=0) < 2:
        return float("nan")
    pairs = lambda n: float((n * (n - 1) / 2).sum())  # noqa: E731
    both, rows, columns = pairs(cells), pairs(cells.sum(axis=1)), pairs(cells.sum(axis=0))
    chance = rows * columns / pairs(cells.sum().reshape(1))
    if rows + columns == 0:
        return 1.0  # everybody is alone in both
    return (both - chance) / ((rows + columns) / 2 - chance)


def effects(
    frame: pd.DataFrame,
    segments: Array,
    columns: Sequence[str],
    shares: Collection[str] = (),
    *,
    level: float = 0.95,
) -> pd.DataFrame:
    """Say how each segment differs from everybody else, feature by feature.

    The size of a difference is Hedges' g: the difference of the means in pooled standard deviations,
    corrected for small samples (Hedges 1981), with its large-sample interval; of counts on the scale of
    logarithms, of shares on that of roots.

    Args:
        frame: A row a customer.
        segments: The segment of each row.
        columns: The features; missing values are left out.
        shares: Columns that hold shares.
        level: Level of the intervals.

    Returns:
        A row a segment and feature: segment, feature, inside and outside (medians), g, low, high, n.

    Example:
        >>> frame = pd.DataFrame({"use": [1.0, 2, 3, 7, 8, 9]})
        >>> effects(frame, np.array(["a"] * 3 + ["b"] * 3), ["use"])[["segment", "inside", "g"]].round(1)
          segment  inside    g
        0       a     2.0 -4.8
        1       b     8.0  4.8
    """
    from tenure.stats.lifetable import z_value

    z, rows = z_value(level), []
    for segment in sorted(set(segments)):
        mine = segments == segment
        for column in columns:
            values = frame[column].to_numpy(dtype=float)
            known = np.isfinite(values)
            a, b = values[mine & known], values[~mine & known]
            row: dict[str, Any] = {"segment": segment, "feature": column, "n": len(a)}
            row |= {"inside": _median(a), "outside": _median(b), "g": np.nan, "low": np.nan, "high": np.nan}
            degrees = len(a) + len(b) - 2
            if min(len(a), len(b)) > 1:
                pooled = np.sqrt(((len(a) - 1) * a.var(ddof=1) + (len(b) - 1) * b.var(ddof=1)) / degrees)
                if pooled > 0:
                    g = (a.mean() - b.mean()) / pooled * (1 - 3 / (4 * degrees - 1))
                    error = np.sqrt((len(a) + len(b)) / (len(a) * len(b)) + g * g / (2 * (degrees + 2)))
                    row |= {"g": g, "low": g - z * error, "high": g + z * error}
            rows.append(row)
    return pd.DataFrame(rows)[["segment", "feature", "inside", "outside", "g", "low", "high", "n"]]


def segment_names(rule: Rule, frame: pd.DataFrame, labels: Mapping[str, tuple[str, str]]) -> list[str]:
    """Name each segment by the two features that set it apart most; no two have the same name."""
    found = rule.scores(frame).argmax(axis=1)
    names = [feature["name"] for feature in rule.features]
    table = effects(frame, found, names, labels)
    chosen: list[str] = []
    for place in range(len(rule.segments)):
        mine = table[table["segment"] == place].assign(size=lambda t: t["g"].abs())
        mine = mine[mine["size"] > 0.2].sort_values(["size", "feature"], ascending=[False, True])
        found_words = (_word(r["feature"], r["g"], labels) for r in mine.to_dict("records"))
        words = list(dict.fromkeys(word for word in found_words if word))
        # Who uses it little uses little of it: of the two words the plainer one is enough.
        for plain, other in (("light use", "narrow use"), ("heavy use", "broad use")):
            if plain in words and other in words:
                words.remove(plain)
                words[words.index(other)] = plain
        words = words or ["average"]
        sizes = range(min(2, len(words)), len(words) + 1)
        tries = [", ".join(sorted(words[:size], key=_in_order(labels))) for size in sizes]
        name = next((name for name in tries if name not in chosen), f"{tries[0]} {place + 1}")
        chosen.append(name)
    return chosen


def _in_order(labels: Mapping[str, tuple[str, str]]) -> Any:
    """What is looked at first, then with what, then how."""
    kinds = {level.replace("_", " "): kind for kind, level in labels.values()}
    order = {"category": 0, "feature": 1, "platform": 2}
    return lambda word: order.get(kinds.get(word, ""), 3)


def _word(feature: str, g: float, labels: Mapping[str, tuple[str, str]]) -> str:
    if feature in labels:
        return labels[feature][1].replace("_", " ") if g > 0 else ""
    words = FEATURES.get(feature, ("", feature, ""))
    return words[1] if g > 0 else words[2]


def _median(values: Array) -> float:
    return float(np.median(values)) if len(values) else float("nan")


def _transform_of(name: str, shares: Collection[str]) -> str:
    if name in shares:
        return "sqrt"
    return FEATURES[name][0] if name in FEATURES else "log" if name in _AMOUNTS else "none"


def _transform(values: Array, transform: str) -> Array:
    if transform == "sqrt":
        return np.sqrt(np.maximum(values, 0.0))
    if transform == "log":
        return np.log1p(np.maximum(values, 0.0))
    return values


def _scaled(frame: pd.DataFrame, features: Sequence[Mapping[str, Any]], clip: float) -> Array:
    columns = []
    for feature in features:
        if feature["name"] not in frame.columns:
            raise InputError(
                f"The frozen segmentation needs the feature {feature['name']!r}, which is not there."
            )
        raw = pd.to_numeric(frame[feature["name"]]).to_numpy(dtype=float, na_value=np.nan)
        values = (_transform(raw, feature["transform"]) - feature["center"]) / feature["scale"]
        values = np.clip(np.where(np.isfinite(values), values, 0.0), -clip, clip)
        columns.append(values - feature["mean"])
    return np.column_stack(columns)


def _features(frame: pd.DataFrame, labels: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    """Features that vary, with center, scale and mean; scales make the clipped variance one."""
    chosen = []
    for name in [*FEATURES, *labels]:
        if name not in frame.columns:
            continue
        raw = pd.to_numeric(frame[name]).to_numpy(dtype=float, na_value=np.nan)
        values = _transform(raw[np.isfinite(raw)], _transform_of(name, labels))
        if len(values) < len(frame) / 2:
            continue  # known of fewer than half of the customers
        low, center, high = np.quantile(values, [0.25, 0.5, 0.75])
        spread = (high - low) / 1.349
        spread = spread if spread > 1e-9 else float(values.std())
        if not spread > 1e-9:
            continue
        feature = {
            "name": name,
            "transform": _transform_of(name, labels),
            "center": float(center),
            "scale": float(spread),
            "mean": 0.0,
        }
        clipped = _scaled(frame, [feature], _CLIP)[:, 0]
        if clipped.std() > 1e-9:
            chosen.append({**feature, "mean": float(clipped.mean()), "spread": float(clipped.std())})
    return tuple(chosen)


def _components(z: Array, rng: np.random.Generator, draws: int = 10) -> tuple[Array, float]:
    """Weights of the components that vary more than the same one of shuffled data ever did."""
    spread = z.std(axis=0)
    spread = np.where(spread > 1e-9, spread, 1.0)
    unit = (z - z.mean(axis=0)) / spread
    values, vectors = np.linalg.eigh(np.cov(unit.T))
    values, vectors = values[::-1], vectors[:, ::-1]
    shuffled = np.max(
        [np.linalg.eigvalsh(np.cov(rng.permuted(unit, axis=0).T))[::-1] for _ in range(draws)], axis=0
    )
    more = values > shuffled
    size = len(values) if more.all() else int(np.argmin(more))
    # The sign of a component is arbitrary: the largest weight is made positive.
    signs = np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(len(values))])
    return (vectors * signs)[:, :size] / spread[:, None], float(values[:size].sum() / values.sum())


def _fit(family: str, k: int, y: Array, seed: int, *, starts: int) -> Any:
    import warnings

    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        # Fewer distinct points than groups: then the groups are not found again, which is the answer.
        warnings.simplefilter("ignore", ConvergenceWarning)
        if family == "k-means":
            from sklearn.cluster import KMeans

            return KMeans(k, n_init=starts, random_state=seed).fit(y)
        from sklearn.mixture import GaussianMixture

        mixture = GaussianMixture(k, n_init=min(starts, 2), random_state=seed, reg_covar=1e-3, max_iter=200)
        return mixture.fit(y)


def _evidence(y: Array, most: int, seed: int, repeats: int = 4) -> pd.DataFrame:
    """Prediction strength of each family and number of groups, in the data and in one normal cloud."""
    rng = np.random.default_rng(seed)
    clouds = [rng.standard_normal(y.shape) * y.std(axis=0) for _ in range(2)]
    rows = []
    for family in FAMILIES:
        weak = 0
        for k in range(2, min(most, len(y) // 20) + 1):
            found = [_strength(family, k, y, seed + repeat) for repeat in range(repeats)]
            strength, error = float(np.mean(found)), float(np.std(found, ddof=1) / np.sqrt(repeats))
            by_chance = float(np.mean([_strength(family, k, cloud, seed) for cloud in clouds]))
            bic = np.nan
            if family == "Gaussian mixture":
                bic = float(_fit(family, k, y, seed, starts=1).bic(y))
            rows.append((family, k, strength, error, by_chance, bic))
            weak = weak + 1 if strength < 0.7 else 0
            if weak == 3:  # beyond this, more groups have never been found again
                break
    return pd.DataFrame(rows, columns=["family", "k", "strength", "standard_error", "cloud", "bic"])


def _strength(family: str, k: int, y: Array, seed: int) -> float:
    """Of pairs together in one half's own groups, the share that the other half's groups keep together.

    The least over the groups (Tibshirani and Walther 2005).
    """
    order = np.random.default_rng(seed).permutation(len(y))
    half = len(y) // 2
    first, second = y[order[:half]], y[order[half:]]
    theirs = _fit(family, k, first, seed, starts=5).predict(second)
    own = _fit(family, k, second, seed, starts=5).predict(second)
    shares = []
    for group in range(k):
        counts = np.bincount(theirs[own == group]).astype(float)
        n = counts.sum()
        shares.append(float((counts * (counts - 1)).sum() / (n * (n - 1))) if n > 1 else 0.0)
    return min(shares)


def _choices(evidence: pd.DataFrame) -> list[tuple[str, int]]:
    """Families and numbers of groups that are found again, the most groups first."""
    # A cloud cut in few pieces is cut alike in both halves: strength must lie well above what that gives.
    above = (evidence["strength"] - evidence["cloud"]) / (1 - evidence["cloud"]).clip(lower=1e-9)
    sure = evidence["strength"] - evidence["standard_error"]
    enough = evidence[(sure >= STRENGTH) & (above >= 0.5)]
    ordered = enough.sort_values(["k", "strength"], ascending=False)
    return [(str(row["family"]), int(row["k"])) for row in ordered.to_dict("records")]


def _all_apart(y: Array, groups: Array) -> bool:
    """Whether there is a gap between any two groups, along Fisher's line between them."""
    parts = [y[groups == group] for group in np.unique(groups)]
    if len(parts) < 2 or min(map(len, parts)) < 10:
        return False
    for place, first in enumerate(parts):
        for second in parts[:place]:
            within = [(len(part) - 1) * np.atleast_2d(np.cov(part.T)) for part in (first, second)]
            spread = sum(within) / (len(first) + len(second) - 2) + 1e-6 * np.eye(y.shape[1])
            line = np.linalg.solve(spread, second.mean(axis=0) - first.mean(axis=0))
            if _gap(np.concatenate([first, second]) @ line) <= _NO_GAP:
                return False
    return True


def _gap(values: Array, points: int = 200) -> float:
    """How far values are from lying in a single heap, in units of 1/sqrt(n).

    The distribution function of a single heap bends up before its top and down after it. For every place of
    the top, the worst violation of either is taken, and of these the least: at most twice Hartigan's dip.
    """
    n = len(values)
    upto = (np.arange(min(n, points)) + 0.5) / min(n, points)
    at = np.quantile(values, upto) + 1e-12 * np.arange(len(upto))
    low, high, least = 0, len(upto) - 1, 1.0
    while low <= high:  # the violation before the top grows with its place, that after it shrinks
        top = (low + high) // 2
        before = _bend(at[: top + 1], upto[: top + 1])
        after = _bend(-at[top:][::-1], 1 - upto[top:][::-1])
        least = min(least, max(before, after))
        low, high = (top + 1, high) if before < after else (low, top - 1)
    return float(least * np.sqrt(n))


def _bend(x: Array, y: Array) -> float:
    """How far a curve lies above the greatest convex curve below it, at most."""
    kept = [0]
    for new in range(1, len(x)):
        while len(kept) > 1:
            a, b = kept[-2:]
            if (y[b] - y[a]) * (x[new] - x[b]) < (y[new] - y[b]) * (x[b] - x[a]):
                break
            kept.pop()
        kept.append(new)
    return float((y - np.interp(x, x[kept], y[kept])).max())


def _clarity(z: Array, size: int, family: str, k: int, seed: int) -> float:
    """How clear the groups are: the share of the variance that lies between them.

    The likelihood of a mixture would not do: customers who are seen less often are spread more widely, and
    a mixture makes groups of that.
    """
    spread = z.std(axis=0)
    unit = (z - z.mean(axis=0)) / np.where(spread > 1e-9, spread, 1.0)
    _values, vectors = np.linalg.eigh(np.cov(unit.T))
    y = unit @ vectors[:, ::-1][:, :size]
    found = _fit(family, k, y, seed, starts=4).predict(y)
    sizes = np.bincount(found, minlength=k).astype(float)
    sums = np.zeros((k, size))
    np.add.at(sums, found, y)
    between = float((sums**2).sum(axis=1) @ (1 / np.maximum(sizes, 1)))
    total = float((y**2).sum())
    return between / total if total > 0 else 0.0


def _nulls(z: Array, size: int, family: str, k: int, draws: int, rng: np.random.Generator) -> pd.DataFrame:
    found = _clarity(z, size, family, k, 0)
    ranks = z.argsort(axis=0, kind="stable").argsort(axis=0)
    normal = _normal_scores(ranks)
    root = _root(np.corrcoef(normal.T))
    ordered = np.sort(z, axis=0)
    rows = []
    for name in ("shuffled data", "one cloud without groups"):
        values = []
        for draw in range(draws):
            if name == "shuffled data":
                other = rng.permuted(z, axis=0)
            else:
                cloud = rng.standard_normal(z.shape) @ root
                other = np.take_along_axis(ordered, cloud.argsort(axis=0).argsort(axis=0), axis=0)
            values.append(_clarity(other, size, family, k, draw))
        p = (1 + sum(value >= found for value in values)) / (draws + 1)
        rows.append((name, found, float(np.mean(values)), float(np.max(values)), p))
    return pd.DataFrame(rows, columns=["null", "found", "expected", "highest", "p"])


def _normal_scores(ranks: Array) -> Array:
    from scipy import special

    return special.ndtri((ranks + 0.5) / len(ranks))


def _root(correlation: Array) -> Array:
    values, vectors = np.linalg.eigh(np.nan_to_num(correlation))
    return (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T


def _score_functions(model: Any, family: str) -> tuple[dict[str, Any], ...]:
    parts = []
    if family == "k-means":
        for place, center in enumerate(model.cluster_centers_):
            constant = -0.5 * float(center @ center)
            parts.append(
                {"name": str(place), "constant": constant, "linear": center.tolist(), "quadratic": []}
            )
        return tuple(parts)
    for place, (weight, mean, precision) in enumerate(
        zip(model.weights_, model.means_, model.precisions_, strict=True)
    ):
        _sign, log_determinant = np.linalg.slogdet(precision)
        constant = np.log(weight) + 0.5 * log_determinant - 0.5 * mean @ precision @ mean
        parts.append(
            {
                "name": str(place),
                "constant": float(constant),
                "linear": (precision @ mean).tolist(),
                "quadratic": (-0.5 * precision).tolist(),
            }
        )
    return tuple(parts)


def _ordered(rule: Rule, frame: pd.DataFrame) -> Rule:
    """Largest segment first, so that the order does not depend on where the fit started."""
    sizes = np.bincount(rule.scores(frame).argmax(axis=1), minlength=len(rule.segments))
    order = sorted(range(len(sizes)), key=lambda place: (-sizes[place], place))
    return Rule(rule.features, rule.clip, rule.weights, tuple(rule.segments[place] for place in order))


def _stability(
    rule: Rule, family: str, k: int, y: Array, z: Array, draws: int, rng: np.random.Generator
) -> pd.DataFrame:
    own = _best(rule, y)
    found = np.zeros((draws, k))
    for draw in range(draws):
        rows = rng.integers(0, len(y), len(y))
        other = _fit(family, k, y[rows], draw, starts=3).predict(y)
        table = np.zeros((k, k))
        np.add.at(table, (own, other), 1)
        either = table.sum(axis=1)[:, None] + table.sum(axis=0)[None, :] - table
        found[draw] = (table / np.maximum(either, 1)).max(axis=1)
    mean = found.mean(axis=0)
    verdicts = ["stable" if m >= STABLE else "a pattern" if m >= PATTERN else "doubtful" for m in mean]
    return pd.DataFrame(
        {
            "segment": rule.names,
            "jaccard": mean,
            "low": np.quantile(found, 0.05, axis=0),
            "verdict": verdicts,
        }
    )


def _best(rule: Rule, y: Array) -> Array:
    scores = [
        s["constant"]
        + y @ np.asarray(s["linear"])
        + (np.einsum("na,ab,nb->n", y, np.asarray(s["quadratic"]), y) if s["quadratic"] else 0.0)
        for s in rule.segments
    ]
    return np.column_stack(scores).argmax(axis=1)


def _seeds(family: str, k: int, y: Array, seed: int, starts: int = 5) -> float:
    from sklearn.metrics import adjusted_rand_score

    runs = [_fit(family, k, y, seed + 100 + start, starts=1).predict(y) for start in range(starts)]
    pairs = [adjusted_rand_score(a, b) for i, a in enumerate(runs) for b in runs[:i]]
    return float(np.mean(pairs))
