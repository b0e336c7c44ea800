"""Whether groups leave at the same rate: log-rank tests from a life table of counts."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from tenure.errors import InputError
from tenure.result import NAN, Table
from tenure.stats.lifetable import (
    Array,
    chi2_p,
    group_names,
    holm,
    quadratic_form,
    ratio,
    spelled,
    validate_cause,
)


@dataclass(frozen=True, eq=False)
class LogRank:
    """A log-rank test.

    Attributes:
        chi2: The statistic.
        df: Its degrees of freedom; 0 where there is nothing to compare.
        p: Its p-value.
        table: A row for each group: `group`, `n`, `observed`, `expected` (events, were there no
            difference) and `ratio` (observed / expected; NaN where none are expected).
        pairs: A row for each pair: `group`, `against`, `chi2`, `p`, `p_adjusted` (Holm). Pairs that were
            never at risk together have NaN.
    """

    chi2: float
    df: int
    p: float
    table: Table
    pairs: Table


def log_rank(life: pd.DataFrame, *, cause: str | None = None, strata: str | None = None) -> LogRank:
    """Test whether groups leave at the same rate.

    In each period the d events are shared out among the groups by their numbers at risk, n_g / n; the
    differences of observed and expected are summed, with the hypergeometric covariance
    d (n - d) / (n - 1) (delta_gh n_g / n - n_g n_h / n^2), which is exact with ties (Mantel 1966). Late
    entrants count from their entry on.

    For all groups together it is lifelines' test where nobody enters late and there are no strata, which
    lifelines does not know, and this closed form elsewhere; for pairs it is Mantel and Haenszel's test of
    statsmodels, which is the same. With one group only, the test is not available.

    Args:
        cause: Count only those who left for this cause, a column of `life`; the others are censored. It
            compares rates among those still there, and does not tell which group has lost more to the cause
            in the end, since a group that loses many to one cause has fewer left to lose to another.
        strata: A further column of `life`; groups are then compared only within its values.

    Raises:
        InputError: The life table is not as it should be, or has no such column.

    Example:
        >>> life = pd.DataFrame(dict(group=["a", "a", "b", "b"], period=[1, 2, 1, 2], events=[20, 10, 40, 10],
        ...                          at_risk=[100, 80, 100, 60], censored=[0, 70, 0, 50]))
        >>> test = log_rank(life)
        >>> round(test.chi2, 3), test.df, round(test.p, 4)
        (8.836, 1, 0.003)
    """
    if strata is not None and strata not in life.columns:
        raise InputError(
            f"`strata` is {strata!r}, and the life table has no such column; it has {spelled(life.columns)}."
        )
    names = group_names(life)[0]
    parts = [life] if strata is None else [part for _, part in life.groupby(strata, dropna=False)]
    n, late, slices = np.zeros(len(names)), False, []
    for part in parts:
        counts = validate_cause(part, cause)
        place = [names.index(name) for name in counts.groups]
        at_risk = np.zeros((len(names), counts.events.shape[1]))
        events = np.zeros_like(at_risk)
        at_risk[place] = counts.at_risk
        events[place] = counts.events
        n[place] += counts.at_risk[:, 0] + counts.entered.sum(axis=1)
        late |= bool(counts.entered.any())
        slices.append((at_risk, events))

    chi2, df = _lifelines(*slices[0]) if strata is None and not late else _statistic(slices)
    pairs = [
        (names[a], names[b], *_pair([(n[[a, b]], d[[a, b]]) for n, d in slices]))
        for a, b in combinations(range(len(names)), 2)
    ]
    compared = pd.DataFrame(pairs, columns=["group", "against", "chi2", "p"]).astype({"p": float})
    compared["p_adjusted"] = holm(compared["p"].to_numpy())
    table = pd.DataFrame({"group": names, "n": n.astype("int64")})
    table["observed"] = sum(d.sum(axis=1) for _, d in slices).astype("int64")
    table["expected"] = sum(_expected(at_risk, d).sum(axis=1) for at_risk, d in slices)
    table["ratio"] = table["observed"] / table["expected"].where(table["expected"] > 0)
    units = {"n": "count", "observed": "count", "expected": "number", "ratio": "ratio"}
    told = Table(compared, {"chi2": "number", "p": "p", "p_adjusted": "p"})
    return LogRank(chi2, df, chi2_p(chi2, df), Table(table, units), told)


def _lifelines(at_risk: Array, events: Array) -> tuple[float, int]:
    """Lifelines' test of all groups, from numbers at risk that only fall."""
    from lifelines.statistics import multivariate_logrank_test

    groups, last = at_risk.shape
    left = events.sum(axis=0)
    telling = (at_risk > 0).all(axis=0) & (left > 0) & (left < at_risk.sum(axis=0))
    if groups < 2 or not telling.any():
        return _statistic([(at_risk, events)])  # of fewer degrees of freedom, perhaps of none
    ended = at_risk - np.hstack([at_risk[:, 1:], np.zeros((groups, 1))]) - events
    group, period = np.indices(at_risk.shape)
    # Arrays, not series: lifelines aligns weights by index and the rest by place.
    time, who = np.tile(period.ravel() + 1, 2), np.tile(group.ravel(), 2)
    event, n = np.repeat([1, 0], groups * last), np.concatenate([events.ravel(), ended.ravel()])
    test = multivariate_logrank_test(time[n > 0], who[n > 0], event[n > 0], weights=n[n > 0])
    return float(test.test_statistic), int(test.degrees_of_freedom)


def _statistic(slices: list[tuple[Array, Array]]) -> tuple[float, int]:
    """Chi-squared and degrees of freedom of all groups, over all strata."""
    difference, covariance = np.zeros(len(slices[0][0])), np.zeros((1, 1))
    for at_risk, events in slices:
        n, d = at_risk.sum(axis=0), events.sum(axis=0)
        difference += (events - _expected(at_risk, events)).sum(axis=1)
        factor = ratio(d * (n - d), (n - 1) * n * n, 0.0)
        covariance = covariance + np.diag((at_risk * factor * n).sum(axis=1)) - (at_risk * factor) @ at_risk.T
    return quadratic_form(difference, covariance)


def _pair(slices: list[tuple[Array, Array]]) -> tuple[float, float]:
    """Chi-squared and p-value of two groups; NaN where they were never at risk together."""
    from statsmodels.stats.contingency_tables import StratifiedTable

    at_risk, events = (np.hstack(part) for part in zip(*slices, strict=True))
    # A period is informative where both are at risk and some leave but not all.
    left = events.sum(axis=0)
    used = (at_risk.min(axis=0) > 0) & (left > 0) & (left < at_risk.sum(axis=0))
    if not used.any():
        return NAN, NAN
    test = StratifiedTable(np.array([events, at_risk - events])[..., used]).test_null_odds()
    return float(test.statistic), float(test.pvalue)


def _expected(at_risk: Array, events: Array) -> Array:
    return at_risk * ratio(events.sum(axis=0), at_risk.sum(axis=0), 0.0)
