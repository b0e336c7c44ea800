"""Cohorts: whether those who came later stay longer than those who came before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from tenure.errors import InputError, NotApplicable


@dataclass(frozen=True)
class CohortChange:
    """Retention at one age, of the newest ripe cohorts and of as many before them.

    Attributes:
        period: The age, in periods.
        recent_cohorts: Labels of the newest cohorts that are ripe at that age.
        earlier_cohorts: Labels of those they are compared with.
        recent: Share still there after `period`, with `recent_low`, `recent_high` and `recent_n`.
        earlier: The same for the earlier cohorts, with `earlier_low`, `earlier_high` and `earlier_n`.
        difference: recent - earlier, with `low` and `high`.
        level: The intervals' level.
    """

    period: int
    recent_cohorts: tuple[str, ...]
    earlier_cohorts: tuple[str, ...]
    recent: float
    recent_low: float
    recent_high: float
    recent_n: int
    earlier: float
    earlier_low: float
    earlier_high: float
    earlier_n: int
    difference: float
    low: float
    high: float
    level: float


def cohort_label(month: int, cohort: str = "month") -> str:
    """Return a cohort's name from the index of its first month.

    Example:
        >>> [cohort_label(24291, cohort) for cohort in ("month", "quarter", "year")]
        ['2024-04', '2024 Q2', '2024']
    """
    year, number = divmod(int(month), 12)
    return {"month": f"{year}-{number + 1:02d}", "quarter": f"{year} Q{number // 3 + 1}", "year": str(year)}[
        cohort
    ]


def retention_matrix(triangle: pd.DataFrame, *, cohort: str = "month") -> pd.DataFrame:
    """Lay a retention triangle out with a row a cohort and a column an age.

    Args:
        triangle: Columns cohort (index of the first month), period, size, stayed; ripe cells only.
        cohort: What a cohort is: month, quarter or year.

    Returns:
        Shares still there, indexed by the cohort's label; NaN where a cohort is too young.

    Example:
        >>> triangle = pd.DataFrame({"cohort": [24288, 24288, 24289], "period": [0, 1, 0],
        ...                          "size": [10, 10, 8], "stayed": [10, 7, 8]})
        >>> retention_matrix(triangle).to_dict("list")
        {0: [1.0, 1.0], 1: [0.7, nan]}
    """
    shares = triangle.assign(share=triangle["stayed"] / triangle["size"])
    matrix = shares.pivot_table(index="cohort", columns="period", values="share").sort_index()
    matrix.index = pd.Index([cohort_label(month, cohort) for month in matrix.index], name="cohort")
    return matrix


def cohort_change(
    triangle: pd.DataFrame,
    *,
    period: int,
    recent: int = 3,
    back: int = 12,
    cohort: str = "month",
    level: float = 0.95,
) -> CohortChange:
    """Compare the newest ripe cohorts with those of some time before, at the same age.

    The share of each is a Wilson interval on the pooled counts; that of the difference is Newcombe's
    hybrid score interval (Newcombe 1998, method 10).

    Args:
        triangle: Columns cohort, period, size, stayed; ripe cells only.
        period: The age to compare at, in periods.
        recent: How many of the newest ripe cohorts.
        back: How many cohorts earlier the others are: 12 months is a year, which takes the season out.
        cohort: What a cohort is: month, quarter or year.
        level: Level of the intervals.

    Raises:
        NotApplicable: There are not enough cohorts that are ripe at this age.

    Example:
        >>> triangle = pd.DataFrame({"cohort": range(24288, 24301), "period": 1, "size": 100,
        ...                          "stayed": [70] * 12 + [80]})
        >>> change = cohort_change(triangle, period=1, recent=1)
        >>> round(change.difference, 2), round(change.low, 3), round(change.high, 3)
        (0.1, -0.02, 0.217)
    """
    from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

    ripe = triangle[triangle["period"] == period].sort_values("cohort")
    months = {"month": 1, "quarter": 3, "year": 12}[cohort]
    newest = ripe.tail(recent)
    before = ripe[ripe["cohort"].isin(newest["cohort"] - back * months)]
    if len(newest) < recent or len(before) < recent:
        raise NotApplicable(
            f"Cohorts cannot be compared at age {period}: {recent} ripe cohorts are needed, and {recent} "
            f"that began {back} {cohort}s before them; there are {len(newest)} and {len(before)}."
        )
    counts = [(int(part["stayed"].sum()), int(part["size"].sum())) for part in (newest, before)]
    (a, n), (b, m) = counts
    own = [proportion_confint(k, size, alpha=1 - level, method="wilson") for k, size in counts]
    low, high = confint_proportions_2indep(a, n, b, m, method="newcomb", compare="diff", alpha=1 - level)
    return CohortChange(
        period=period,
        recent_cohorts=tuple(cohort_label(c, cohort) for c in newest["cohort"]),
        earlier_cohorts=tuple(cohort_label(c, cohort) for c in before["cohort"]),
        recent=a / n,
        recent_low=float(own[0][0]),
        recent_high=float(own[0][1]),
        recent_n=n,
        earlier=b / m,
        earlier_low=float(own[1][0]),
        earlier_high=float(own[1][1]),
        earlier_n=m,
        difference=a / n - b / m,
        low=float(low),
        high=float(high),
        level=level,
    )


def fold_levels(
    counts: pd.DataFrame, columns: Sequence[str], *, min_group: int, n: str = "n"
) -> pd.DataFrame:
    """Name levels smaller than `min_group` *other*, column by column, and add up what falls together.

    Args:
        counts: A row a combination, with a column of counts.
        columns: Columns whose levels are folded.
        min_group: The smallest level that keeps its name.
        n: The column of counts.

    Raises:
        InputError: A column is missing.

    Example:
        >>> counts = pd.DataFrame({"plan": ["a", "b", "c"], "event": [1, 1, 1], "n": [50, 2, 3]})
        >>> fold_levels(counts, ["plan"], min_group=10).to_dict("list")
        {'plan': ['a', 'other'], 'event': [1, 1], 'n': [50, 5]}
    """
    missing = [name for name in (*columns, n) if name not in counts]
    if missing:
        raise InputError(
            f"The table of counts has no column '{missing[0]}'; it has {', '.join(counts.columns)}."
        )
    folded = counts.copy()
    for name in columns:
        sizes = counts.groupby(name)[n].sum()
        small = sizes.index[sizes < min_group]
        folded[name] = folded[name].where(~folded[name].isin(small), "other")
    keys = [name for name in counts.columns if name != n]
    totals = folded.groupby(keys, dropna=False, sort=True)[n].sum().reset_index()
    return totals[list(counts.columns)]
