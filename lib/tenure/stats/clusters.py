"""Groups in points: how many there are, whether they are real, and how surely.

k-means and Gaussian mixtures (scikit-learn) are fitted to a matrix y, a row per point and a column a
component. Groups count as real if they are found again in other points (prediction strength), if there is a
gap between any two, and if neither shuffled data nor one cloud without groups does as well.

`family` is one of `FAMILIES`, `k` a number of groups and `own` the group of each point, from 0 to k - 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from tenure.stats.lifetable import Array, ratio

FAMILIES = ("k-means", "Gaussian mixture")
# Prediction strength from which on groups count as found again (Tibshirani and Walther 2005: 0.8 to 0.9).
STRENGTH = 0.85
# Mean bootstrap Jaccard from which on a group is stable, and from which on it is a pattern (Hennig 2007).
STABLE, PATTERN = 0.75, 0.6
# What `gap` exceeds in 5 of 100 samples of a uniform distribution (300 samples each of 60 to 2000 draws).
NO_GAP = 0.84


@contextmanager
def one_thread() -> Iterator[None]:
    """Fit on one thread: small fits are slower on several, and last digits would depend on their number."""
    import sklearn.cluster
    import sklearn.mixture  # noqa: F401 - only what is loaded can be limited
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield


def fit(family: str, k: int, y: Array, seed: int, *, starts: int) -> Any:
    """Fit k groups, fewer where there are fewer distinct points, by the best of so many starts."""
    k = min(k, len(np.unique(y, axis=0)))
    if family == "k-means":
        from sklearn.cluster import KMeans

        return KMeans(k, n_init=starts, random_state=seed).fit(y)
    from sklearn.mixture import GaussianMixture

    mixture = GaussianMixture(k, n_init=min(starts, 2), random_state=seed, reg_covar=1e-3, max_iter=200)
    return mixture.fit(y)


def components(z: Array, rng: np.random.Generator, draws: int = 10) -> tuple[Array, float]:
    """Keep the principal components that vary more than the same one of shuffled data ever did (Horn 1965).

    Returns:
        Their weights, a row per column of z, and the share of the variance that they hold.
    """
    unit, spread = standardized(z)
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


def standardized(z: Array) -> tuple[Array, Array]:
    """Return columns of mean 0 and variance 1, and the standard deviations (1 where nothing varies)."""
    spread = np.where(z.std(axis=0) > 1e-9, z.std(axis=0), 1.0)
    return (z - z.mean(axis=0)) / spread, spread


def evidence(y: Array, most: int, seed: int, repeats: int = 4) -> pd.DataFrame:
    """Measure how surely each number of groups is found again, and how surely in one normal cloud.

    Strength is the mean of `repeats` prediction strengths (Tibshirani and Walther 2005), each of a random
    split into halves, from 0 to 1. The clouds, two of them, have independent normal columns with the spread
    of those of y. A family is given up after three numbers in a row with a strength below 0.7.

    Returns:
        A row per family and number: family, k, strength, standard_error, cloud (the strength in a cloud).
    """
    rng = np.random.default_rng(seed)
    clouds = [rng.standard_normal(y.shape) * y.std(axis=0) for _ in range(2)]
    rows = []
    for family in FAMILIES:
        weak = 0
        for k in range(2, min(most, len(y) // 20) + 1):
            found = [prediction_strength(family, k, y, seed + repeat) for repeat in range(repeats)]
            strength, error = float(np.mean(found)), float(np.std(found, ddof=1) / np.sqrt(repeats))
            by_chance = float(np.mean([prediction_strength(family, k, cloud, seed) for cloud in clouds]))
            rows.append((family, k, strength, error, by_chance))
            weak = weak + 1 if strength < 0.7 else 0
            if weak == 3:  # beyond this, more groups have never been found again
                break
    return pd.DataFrame(rows, columns=["family", "k", "strength", "standard_error", "cloud"])


def prediction_strength(family: str, k: int, y: Array, seed: int) -> float:
    """Of pairs together in one half's own groups, the share that the other half's groups keep together.

    The least over the groups (Tibshirani and Walther 2005).
    """
    order = np.random.default_rng(seed).permutation(len(y))
    half = len(y) // 2
    first, second = y[order[:half]], y[order[half:]]
    theirs = fit(family, k, first, seed, starts=5).predict(second)
    own = fit(family, k, second, seed, starts=5).predict(second)
    both = _crossed(own, theirs, k)
    n = both.sum(axis=1)
    return float(ratio((both * (both - 1)).sum(axis=1), n * (n - 1), 0.0).min())


def _crossed(own: Array, other: Array, k: int) -> Array:
    """How many points are in each of two ways of k groups."""
    return np.bincount(own * k + other, minlength=k * k).reshape(k, k).astype(float)


def choices(evidence: pd.DataFrame) -> list[tuple[str, int]]:
    """Return the families and numbers of groups that are found again, the most groups first."""
    # A cloud cut in few pieces is cut alike in both halves: strength must lie well above what that gives.
    above = (evidence["strength"] - evidence["cloud"]) / (1 - evidence["cloud"]).clip(lower=1e-9)
    sure = evidence["strength"] - evidence["standard_error"]
    enough = evidence[(sure >= STRENGTH) & (above >= 0.5)]
    ordered = enough.sort_values(["k", "strength"], ascending=False)
    return [(str(row["family"]), int(row["k"])) for row in ordered.to_dict("records")]


def all_apart(y: Array, groups: Array) -> bool:
    """Say whether there is a gap between any two groups, along Fisher's line between them.

    In the manner of Hennig (2010), who uses Hartigan and Hartigan's dip (1985).
    """
    y = untied(y)
    parts = [y[groups == group] for group in np.unique(groups)]
    if len(parts) < 2 or min(map(len, parts)) < 10:
        return False
    for place, first in enumerate(parts):
        for second in parts[:place]:
            within = [(len(part) - 1) * np.atleast_2d(np.cov(part.T)) for part in (first, second)]
            spread = sum(within) / (len(first) + len(second) - 2) + 1e-6 * np.eye(y.shape[1])
            line = np.linalg.solve(spread, second.mean(axis=0) - first.mean(axis=0))
            if gap(np.concatenate([first, second]) @ line) <= NO_GAP:
                return False
    return True


def gap(values: Array, points: int = 200) -> float:
    """Return how far values are from lying in a single heap, in units of 1/sqrt(n).

    The distribution function of a single heap bends up before its top and down after it. For every place of
    the top, the worst violation of either is taken, and of these the least: at most twice Hartigan's dip.
    Ties are no gaps: counts and rounded values are spread as in `untied`.

    Example:
        >>> one, two = np.linspace(0, 1, 400), np.r_[np.linspace(0, 1, 200), np.linspace(4, 5, 200)]
        >>> gap(one) < NO_GAP, gap(two) > NO_GAP, gap(np.round(5 * one)) < NO_GAP
        (True, True, True)
    """
    n, values = len(values), untied(values[:, None])[:, 0]
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


def untied(y: Array) -> Array:
    """Spread the equal values of each column evenly, as far as their neighbors leave room.

    A value reaches half way to the next one on either side, but at most as far as to the one on its other
    side: so the steps of a grid are filled, and a gap between two groups on it stays.

    Example:
        >>> np.sort(untied(np.array([[1.0], [1.0], [2.0], [2.0], [9.0], [10.0]])), axis=0)[:, 0].tolist()
        [0.75, 1.25, 1.875, 2.625, 8.75, 10.0]
    """
    rng, spread = np.random.default_rng(0), np.array(y, dtype=float)
    for column in spread.T:
        at, place, n = np.unique(column, return_inverse=True, return_counts=True)
        if len(at) < 2 or len(at) == len(column):
            continue
        step = np.diff(at)
        # At an end, the next step but one stands for the side that has none.
        ends = np.r_[step[1:2], step], np.r_[step, step[-2:-1]]
        below, above = (np.resize(side, len(at)) for side in ends)
        low, high = np.minimum(below, 2 * above) / 2, np.minimum(above, 2 * below) / 2
        low[0], high[-1] = high[0], low[-1]
        order = np.lexsort((rng.random(len(column)), column))
        rank = np.empty(len(column))
        rank[order] = np.arange(len(column)) - np.repeat(np.cumsum(n) - n, n)
        column[:] = (at - low)[place] + (low + high)[place] * (rank + 0.5) / n[place]
    return spread


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


def clarity(z: Array, size: int, family: str, k: int, seed: int) -> float:
    """Return how clear k groups are: the share of the variance of `size` components that lies between them.

    The likelihood of a mixture would not do: points that are known less well are spread more widely, and a
    mixture makes groups of that.
    """
    unit, _spread = standardized(z)
    _values, vectors = np.linalg.eigh(np.cov(unit.T))
    y = unit @ vectors[:, ::-1][:, :size]
    groups = pd.DataFrame(y).groupby(fit(family, k, y, seed, starts=4).predict(y))
    between = groups.size().to_numpy() @ (groups.mean().to_numpy() ** 2).sum(axis=1)
    return float(between / (y**2).sum()) if y.any() else 0.0


def nulls(z: Array, size: int, family: str, k: int, draws: int, rng: np.random.Generator) -> pd.DataFrame:
    """Compare the clarity of k groups with that in data without groups.

    One kind has each column shuffled by itself; the other is one cloud with the same distributions and
    rank correlations of columns (a Gaussian copula of normal scores). Each is reduced to its own first
    `size` components. p = (1 + data sets at least as clear) / (1 + draws), which is never 0 (Phipson and
    Smyth 2010); `clarity` is a share of variance, from 0 to 1.

    Returns:
        A row per kind: compared_with, found, expected, highest_of_all (draws) and p, the share of data sets
        as clear, with the one found among them.
    """
    found = clarity(z, size, family, k, 0)
    ranks = z.argsort(axis=0, kind="stable").argsort(axis=0)
    values, vectors = np.linalg.eigh(np.nan_to_num(np.corrcoef(special.ndtri((ranks + 0.5) / len(ranks)).T)))
    root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    ordered = np.sort(z, axis=0)

    def cloud() -> Array:
        places = (rng.standard_normal(z.shape) @ root).argsort(axis=0).argsort(axis=0)
        return np.take_along_axis(ordered, places, axis=0)

    kinds = {"shuffled data": lambda: rng.permuted(z, axis=0), "one cloud without groups": cloud}
    rows = []
    for name, drawn in kinds.items():
        values = np.array([clarity(drawn(), size, family, k, draw) for draw in range(draws)])
        p = (1 + int((values >= found).sum())) / (draws + 1)
        rows.append((name, found, float(values.mean()), float(values.max()), p))
    return pd.DataFrame(rows, columns=["compared_with", "found", "expected", "highest_of_all", "p"])


def stability(own: Array, family: str, k: int, y: Array, draws: int, rng: np.random.Generator) -> Array:
    """Return the Jaccard similarity of each group with the nearest one of bootstrap samples (Hennig 2007).

    It has a row per sample and a column a group.
    """
    found = np.zeros((draws, k))
    for draw in range(draws):
        rows = rng.integers(0, len(y), len(y))
        other = fit(family, k, y[rows], draw, starts=3).predict(y)
        table = _crossed(own, other, k)
        either = table.sum(axis=1)[:, None] + table.sum(axis=0)[None, :] - table
        found[draw] = (table / np.maximum(either, 1)).max(axis=1)
    return found


def agreement_of_starts(family: str, k: int, y: Array, seed: int, starts: int = 5) -> float:
    """Return the mean adjusted Rand index between fits that start elsewhere."""
    from sklearn.metrics import adjusted_rand_score

    runs = [fit(family, k, y, seed + 100 + start, starts=1).predict(y) for start in range(starts)]
    return float(np.mean([adjusted_rand_score(a, b) for i, a in enumerate(runs) for b in runs[:i]]))


def rand_index(counts: pd.DataFrame) -> float:
    """Return the adjusted Rand index of two ways of grouping (Hubert and Arabie 1985).

    1 where they are the same, 0 where they agree as by chance; NaN where either has one group only. `counts`
    has the columns segment, other and n: how many are in both.

    Example:
        >>> same = pd.DataFrame({"segment": ["a", "b"], "other": ["x", "y"], "n": [5, 7]})
        >>> rand_index(same)
        1.0
    """
    table = counts.pivot_table(index="segment", columns="other", values="n", aggfunc="sum", fill_value=0)
    cells = table.to_numpy(dtype=float)
    if min(cells.shape, default=0) < 2:
        return float("nan")
    both, rows, columns, every = (
        float((n * (n - 1) / 2).sum()) for n in (cells, cells.sum(axis=1), cells.sum(axis=0), cells.sum())
    )
    if rows + columns == 0:
        return 1.0  # everybody is alone in both
    chance = rows * columns / every
    return (both - chance) / ((rows + columns) / 2 - chance)
