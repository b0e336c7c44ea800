"""Cohorts: whether those who came later stay longer than those who came before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from tenure.errors import InputError
from tenure.result import NAN, Estimate, Table


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


def matrix(
    triangle: pd.DataFrame | None,
    *,
    cohort: str = "month",
    until: int | None = None,
    newest: int | None = None,
) -> Table:
    """Lay a retention triangle out with a row a cohort and a column an age.

    Args:
        triangle: Columns cohort (index of the first month), period, size, stayed; mature cells only. None:
        there
            is none, since customers cannot be followed by the month in which they started.
        cohort: What a cohort is: month, quarter or year.
        until: The last age; None: all.
        newest: How many of the newest cohorts; None: all.

    Returns:
        Shares still there, a column an age, below the cohort's name; NaN where a cohort is too young.

    Example:
        >>> triangle = pd.DataFrame({"cohort": [24288, 24288, 24289], "period": [0, 1, 0],
        ...                          "size": [10, 10, 8], "stayed": [10, 7, 8]})
        >>> matrix(triangle).frame.to_dict("list")
        {'cohort': ['2024-01', '2024-02'], '0': [1.0, 1.0], '1': [0.7, nan]}
    """
    if triangle is None or triangle.empty:
        needed = "Cohorts are compared by calendar month: that needs dates, months and a mature cohort."
        return Table(pd.DataFrame(), notes=(needed,))
    shares = triangle.assign(share=triangle["stayed"] / triangle["size"])
    wide = shares.pivot_table(index="cohort", columns="period", values="share").sort_index()
    wide = wide.tail(newest or len(wide)).loc[:, : wide.columns[-1] if until is None else until]
    wide.index = pd.Index([cohort_label(month, cohort) for month in wide.index], name="cohort")
    frame = wide.rename(columns=str).rename_axis(columns=None).reset_index()
    return Table(frame, dict.fromkeys(frame.columns[1:], "percent"))


def newest(
    triangle: pd.DataFrame | None,
    age: int,
    *,
    recent: int = 3,
    back: int = 12,
    cohort: str = "month",
    period: str = "month",
    level: float = 0.95,
) -> Estimate:
    """Compare the newest mature cohorts with those of some time before, at the same age.

    The share of each is a Wilson interval on the pooled counts; that of the difference is Newcombe's
    hybrid score interval (Newcombe 1998, method 10): the cohorts are samples of their own.

    Args:
        triangle: Columns cohort, period, size, stayed; mature cells only. None: there is none.
        age: The age to compare at, in periods.
        recent: How many of the newest mature cohorts.
        back: How many cohorts earlier the others are: 12 months is a year, which takes the season out.
        cohort: What a cohort is: month, quarter or year.
        period: The unit of age.
        level: Level of the intervals.

    Returns:
        The share still there, compared; words: recent, earlier (the cohorts' names) and age. Where there
        are not enough mature cohorts it is not available.

    Example:
        >>> triangle = pd.DataFrame({"cohort": range(24288, 24301), "period": 1, "size": 100,
        ...                          "stayed": [70] * 12 + [80]})
        >>> change = newest(triangle, 1, recent=1).difference
        >>> round(change.value, 2), round(change.low, 3), round(change.high, 3)
        (0.1, -0.02, 0.217)
    """
    words: dict[str, Any] = {"age": Estimate(age, unit=f"{period}s"), "needed": recent}
    nothing = Estimate(NAN, unit="percent", words=words)
    if triangle is None:
        return nothing
    mature = triangle[triangle["period"] == age].sort_values("cohort")
    months = {"month": 1, "quarter": 3, "year": 12}[cohort]
    later = mature.tail(recent)
    before = mature[mature["cohort"].isin(later["cohort"] - back * months)]
    if len(later) < recent or len(before) < recent:
        return nothing
    now, then = (_share(part, cohort, level) for part in (later, before))
    words |= {"recent": now.sample, "earlier": then.sample}
    return now.against(then, "a year earlier" if back * months == 12 else "earlier").saying(**words)


def _share(cohorts: pd.DataFrame, cohort: str, level: float) -> Estimate:
    from statsmodels.stats.proportion import proportion_confint

    stayed, n = int(cohorts["stayed"].sum()), int(cohorts["size"].sum())
    low, high = proportion_confint(stayed, n, alpha=1 - level, method="wilson")
    first, last = (cohort_label(cohorts["cohort"].iloc[place], cohort) for place in (0, -1))
    name = first if first == last else f"{first} to {last}"
    return Estimate(stayed / n, low, high, n=n, of="customer", unit="percent", level=level, sample=name)


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
