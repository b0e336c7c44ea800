"""Cohorts: whether customers who came later stay longer than those who came before.

A `triangle` has columns cohort (index of the first month), period (age in months), size and stayed, for
mature cells only; it is None where customers cannot be followed by the month in which they started.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from tenure import privacy
from tenure.errors import InputError
from tenure.models.months import month_date, month_label
from tenure.result import NAN, Estimate, Table
from tenure.stats.intervals import pooled

_RECENT = 3  # cohorts that are compared with those of the same months a year before


def matrix(triangle: pd.DataFrame | None, *, until: int | None = None, newest: int | None = None) -> Table:
    """Lay a retention triangle out with a row per cohort and a column per age.

    Args:
        triangle: The triangle.
        until: The last age; None: all.
        newest: How many of the newest cohorts; None: all.

    Returns:
        The cohort and, by age, the share still there; NaN where a cohort is too young.

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
    frame = wide.rename(index=month_label, columns=str).rename_axis(columns=None).reset_index()
    return Table(frame, dict.fromkeys(frame.columns[1:], "percent"))


def newest(triangle: pd.DataFrame | None, age: int) -> Estimate:
    """Compare the three newest mature cohorts with those of a year before, at the same age.

    The share of each is a Wilson interval on the pooled counts; that of the difference is Newcombe's
    hybrid score interval (Newcombe 1998, method 10): the cohorts are samples of their own. A year takes the
    season out.

    Args:
        triangle: The triangle.
        age: The age to compare at, in months.

    Returns:
        The share still there, compared; words: first, last (cohort) and age. Where there are not enough
        mature cohorts it is not available.

    Example:
        >>> triangle = pd.DataFrame({"cohort": range(24288, 24303), "period": 1, "size": 100,
        ...                          "stayed": [70] * 12 + [80] * 3})
        >>> change = newest(triangle, 1).difference
        >>> round(change.value, 2), round(change.low, 3), round(change.high, 3)
        (0.1, 0.031, 0.168)
    """
    nothing = Estimate(NAN, unit="percent", words={"age": Estimate(age, unit="months"), "needed": _RECENT})
    if triangle is None:
        return nothing
    mature = triangle[triangle["period"] == age].sort_values("cohort")
    later = mature.tail(_RECENT)
    before = mature[mature["cohort"].isin(later["cohort"] - 12)]
    if len(later) < _RECENT or len(before) < _RECENT:
        return nothing
    names = [" to ".join(map(month_label, part["cohort"].iloc[[0, -1]])) for part in (later, before)]
    now, then = (
        pooled(part, "stayed", "size", of="customer", sample=name)
        for part, name in zip((later, before), names, strict=True)
    )
    first, last = ((month_date(int(later["cohort"].iloc[end])), "month") for end in (0, -1))
    return now.against(then, "a year earlier").saying(**nothing.words, first=first, last=last)


def fold_levels(counts: pd.DataFrame, columns: Sequence[str], *, min_group: int) -> pd.DataFrame:
    """Name levels smaller than `min_group` *other*, column by column, and add up rows that become alike.

    Args:
        counts: A row per combination, with how many there are in n.
        columns: Columns whose levels are folded.
        min_group: The smallest level that keeps its name.

    Raises:
        InputError: A column is missing.

    Example:
        >>> counts = pd.DataFrame({"plan": ["a", "b", "c"], "event": [1, 1, 1], "n": [50, 2, 3]})
        >>> fold_levels(counts, ["plan"], min_group=10).to_dict("list")
        {'plan': ['a', 'other'], 'event': [1, 1], 'n': [50, 5]}
    """
    for name in columns:
        if name not in counts:
            raise InputError(
                f"The table of counts has no column '{name}'; it has {', '.join(counts.columns)}."
            )
    folded = counts.copy()
    for name in columns:
        sizes = counts.groupby(name)["n"].transform("sum")
        large = counts[name].mask(sizes < min_group, privacy.OTHER)
        folded[name] = privacy.folded(large, counts["n"])
    keys = [name for name in counts.columns if name != "n"]
    return folded.groupby(keys, dropna=False)["n"].sum().reset_index()[list(counts.columns)]
