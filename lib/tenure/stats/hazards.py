"""When in their life subscribers leave: hazards by period, from a life table of counts.

The life table is that of `tenure.stats.lifetable`. `level` is the level of intervals, and `period` the unit
of a period of life: "day", "week" or "month".
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from tenure.errors import InputError
from tenure.result import NAN, Estimate, Table
from tenure.stats.intervals import proportion, wilson
from tenure.stats.lifetable import (
    Array,
    Counts,
    check_level,
    check_period,
    hazards,
    holm,
    long_table,
    validate,
)


@dataclass(frozen=True, eq=False)
class Hazard:
    """Hazards with intervals.

    Attributes:
        table: A row for each group and period 1, 2, ..., last: `group`, `period`, `at_risk`, `events`,
            `hazard` (the chance that one who is still there leaves in the period), `hazard_low`,
            `hazard_high`. NaN where nobody was at risk.
        counts: The life table, its events being those of the cause.
        level: The intervals' level.
        bandwidth: Periods over which the hazard is smoothed; None: not at all.
    """

    table: Table
    counts: Counts
    period: str
    level: float
    bandwidth: int | None = None

    @cached_property
    def everybody(self) -> Hazard:
        """The hazard of all groups together, not smoothed."""
        return _observed(self.counts.together(), self.period, self.level)

    @cached_property
    def spikes(self) -> pd.DataFrame:
        """The periods whose hazard stands out: the rows of `renewal_spikes` that are spikes."""
        found = _spikes(self.counts, 2, 1.2, self.level).frame
        return found[found["spike"]].reset_index(drop=True)

    @property
    def smoothed(self) -> Hazard | None:
        """It smoothed; None where periods stand out, which smoothing would draw as humps."""
        return None if len(self.spikes) else _smoothed(self.counts, 3, self.period, self.level)

    def first(self) -> Estimate:
        """Return the share of new subscribers that leaves in the first period; of the first group."""
        n, events = int(self.counts.at_risk[0, 0]), int(self.counts.events[0, 0])
        return proportion(events, n, level=self.level, of="customer", words={"period": self.period})

    def peaks(self, most: int = 3, *, until: int | None = None) -> list[Estimate]:
        """Return the hazards that stand out, those that take most customers first.

        Args:
            most: At most so many.
            until: The last period to look at; None: all.

        Returns:
            Hazards; words: group, period (its unit), k (which one) and around (the hazard around it); case:
            "of a group" or "of everybody". Where none stands out, one that is not available, of the case
            "none".
        """
        spikes = self.spikes[self.spikes["period"] <= (until or np.inf)]
        spikes = spikes.sort_values("events", ascending=False, kind="stable").head(most)
        words = {"period": self.period}
        found = []
        for row in spikes.to_dict("records"):
            around = Estimate(row["neighbors"], unit="percent")
            about = words | {"k": row["period"], "group": row["group"], "around": around}
            one = proportion(row["events"], row["at_risk"], level=self.level, of="customer", words=about)
            found.append(one.saying("of everybody" if len(self.counts.groups) == 1 else "of a group"))
        return found or [Estimate(NAN, unit="percent", case="none", words=words)]


def hazard(
    life: pd.DataFrame, *, cause: str | None = None, period: str = "month", level: float = 0.95
) -> Hazard:
    """Estimate the hazard of each period: those who left among those at risk.

    The interval is Wilson's (1927), which keeps within 0 and 1 and has a value where nobody left.

    Args:
        cause: Count only those who left for this cause, a column of `life`.

    Raises:
        InputError: The life table or an option is not as it should be.

    Example:
        >>> life = pd.DataFrame(dict(period=[1, 2, 3], at_risk=[100, 90, 40], events=[10, 45, 4],
        ...                          censored=[0, 5, 36]))
        >>> rate = hazard(life)
        >>> rate.table.frame.drop(columns="group").round(3)
           period  at_risk  events  hazard  hazard_low  hazard_high
        0       1      100      10     0.1       0.055        0.174
        1       2       90      45     0.5       0.399        0.601
        2       3       40       4     0.1       0.040        0.231
        >>> rate.everybody.first().value
        0.1
    """
    check_level(level)
    check_period(period)
    return _observed(_counts_of(life, cause), period, level)


def smoothed_hazard(
    life: pd.DataFrame,
    *,
    bandwidth: int = 3,
    cause: str | None = None,
    period: str = "month",
    level: float = 0.95,
) -> Hazard:
    """Smooth the hazard over neighboring periods.

    The ratio of kernel-weighted events to kernel-weighted numbers at risk, with Epanechnikov weights
    w = 1 - ((k - j) / bandwidth)^2 for periods j nearer than `bandwidth` (a local constant fit, Loader
    1999). Its interval is Wilson's with the effective number (sum w n)^2 / (sum w^2 n). It covers the
    smoothed hazard: a renewal spike is spread over its neighbors, and near the ends, where neighbors
    are on one side only, the curve leans towards them.

    Args:
        bandwidth: Periods; 1 smooths nothing, 3 takes in two periods on either side.
        cause: Count only those who left for this cause, a column of `life`.

    Returns:
        The smoothed hazards, beside each period's own counts.

    Raises:
        InputError: The life table or an option is not as it should be.

    Example:
        >>> life = pd.DataFrame(dict(period=[1, 2, 3], at_risk=[100, 90, 40], events=[10, 45, 4],
        ...                          censored=[0, 5, 36]))
        >>> smoothed_hazard(life, bandwidth=2).table.frame["hazard"].round(3).tolist()
        [0.261, 0.285, 0.351]
    """
    check_level(level)
    check_period(period)
    if isinstance(bandwidth, bool) or not isinstance(bandwidth, (int, np.integer)) or bandwidth < 1:
        raise InputError(
            f"`bandwidth` must be a whole number of periods from 1 up, such as 3; it is {bandwidth!r}."
        )
    return _smoothed(_counts_of(life, cause), int(bandwidth), period, level)


def _observed(counts: Counts, period: str, level: float) -> Hazard:
    n = counts.at_risk
    share = np.divide(counts.events, n, out=np.full_like(n, NAN), where=n > 0)
    return Hazard(_table(counts, share, n, period, level), counts, period, level)


def _smoothed(counts: Counts, bandwidth: int, period: str, level: float) -> Hazard:
    weight = 1 - (np.arange(1 - bandwidth, bandwidth) / bandwidth) ** 2
    events, n = _convolve(counts.events, weight), _convolve(counts.at_risk, weight)
    squares = _convolve(counts.at_risk, weight**2)
    share = np.divide(events, n, out=np.full_like(n, NAN), where=n > 1e-9)
    effective = np.divide(n**2, squares, out=np.zeros_like(squares), where=squares > 1e-9)
    return Hazard(_table(counts, share, effective, period, level), counts, period, level, bandwidth)


def _table(counts: Counts, share: Array, n: Array, period: str, level: float) -> Table:
    low, high = wilson(share, n, level)
    columns = {"at_risk": counts.at_risk, "events": counts.events, "hazard": share}
    frame = long_table(counts, {**columns, "hazard_low": low, "hazard_high": high})
    units = {"period": f"{period}s", "at_risk": "count", "events": "count", "hazard": "percent"}
    return Table(frame, units)


def _counts_of(life: pd.DataFrame, cause: str | None) -> Counts:
    """The life table's counts, its events being those of the cause."""
    if cause is None:
        return validate(life)
    if cause not in life.columns or "events" not in life.columns:
        raise InputError(f"`cause` is {cause!r}, and the life table has no such column.")
    counts = validate(life.assign(_other=life["events"] - life[cause]), causes=(cause, "_other"))
    return replace(counts, events=counts.causes[cause])


def _convolve(rows: Array, weight: Array) -> Array:
    """Weighted sums over neighbouring periods, of the same shape."""
    reach = len(weight) // 2
    padded = np.pad(rows, ((0, 0), (reach, reach)))
    return sum(w * padded[:, i : i + rows.shape[1]] for i, w in enumerate(weight))


# --- renewal spikes -----------------------------------------------------------------------------------


def renewal_spikes(
    life: pd.DataFrame, *, neighbors: int = 2, smallest_ratio: float = 1.2, level: float = 0.95
) -> Table:
    """Find periods in which more leave than in those before *and* in those after.

    The events of a period are compared with those of the `neighbors` periods before it, and with those
    after it, by Fisher's exact test (one-sided: given how many left in all, the number in this period is
    hypergeometric if the hazard is the same). The larger of the two p-values counts, so a hazard that
    only falls or only rises has no spike, and neither has the first period, whose loss is a matter of its
    own. Holm's adjustment, over the periods of a group, bounds the chance of any false spike by 1 - level.
    With millions of subscribers anything is significant, so a spike must also be `smallest_ratio` times
    its neighbors.

    Args:
        neighbors: Periods to compare with on either side.
        smallest_ratio: The least ratio of hazards worth calling a spike.
        level: Level of the intervals of the hazards, and 1 less the chance of a false spike.

    Returns:
        A row for each group and period with neighbors on both sides: `group`, `period`, `at_risk`,
        `events`, `hazard` with its interval, `neighbors` (their hazard), `ratio` (hazard over the neighbors',
        NaN where none of them left), `p`, `p_adjusted` (Holm, within the group), `spike`.

    Raises:
        InputError: The life table or an option is not as it should be.

    Example:
        >>> left = [30, 29, 28, 27, 27, 26, 25, 24, 24, 23, 22, 140, 19, 18]
        >>> at_risk = [1000 - sum(left[:k]) for k in range(14)]
        >>> still_on = [0] * 13 + [538]
        >>> life = pd.DataFrame(dict(period=range(1, 15), at_risk=at_risk, events=left, censored=still_on))
        >>> hazard(life).spikes[["period", "hazard", "neighbors", "ratio"]].round(3)
           period  hazard  neighbors  ratio
        0      12   0.196      0.031  6.275
    """
    check_level(level)
    if isinstance(neighbors, bool) or not isinstance(neighbors, (int, np.integer)) or neighbors < 1:
        raise InputError(
            f"`neighbors` must be a whole number of periods from 1 up, such as 2; it is {neighbors!r}."
        )
    if not smallest_ratio >= 1:
        raise InputError(f"`smallest_ratio` must be 1 or more, such as 1.2; it is {smallest_ratio!r}.")
    return _spikes(validate(life), neighbors, smallest_ratio, level)


def _spikes(counts: Counts, neighbors: int, smallest_ratio: float, level: float) -> Table:
    n, d = counts.at_risk, counts.events
    before = np.r_[np.ones(neighbors), np.zeros(neighbors + 1)]
    after = before[::-1]
    left_n, left_d = _convolve(n, before), _convolve(d, before)
    right_n, right_d = _convolve(n, after), _convolve(d, after)
    comparable = (n > 0) & (left_n > 0) & (right_n > 0)

    p = np.full_like(n, np.nan)
    p[comparable] = np.maximum(
        _fisher(d[comparable], n[comparable], left_d[comparable], left_n[comparable]),
        _fisher(d[comparable], n[comparable], right_d[comparable], right_n[comparable]),
    )
    share = np.where(n > 0, hazards(counts), np.nan)
    low, high = wilson(share, n, level)
    around_n = left_n + right_n
    around = np.divide(left_d + right_d, around_n, out=np.full_like(n, np.nan), where=around_n > 0)
    adjusted = np.vstack([holm(row) for row in p])
    with np.errstate(invalid="ignore"):
        spike = (adjusted <= 1 - level) & (share >= smallest_ratio * around)
    columns = {
        "at_risk": n,
        "events": d,
        "hazard": share,
        "hazard_low": low,
        "hazard_high": high,
        "neighbors": around,
        "ratio": np.divide(share, around, out=np.full_like(n, np.nan), where=around > 0),
        "p": p,
        "p_adjusted": adjusted,
        "spike": spike,
    }
    table = long_table(counts, columns)
    units = {"hazard": "percent", "neighbors": "percent", "ratio": "ratio", "p": "p", "p_adjusted": "p"}
    return Table(table[table["p"].notna()].reset_index(drop=True), units)


def _fisher(d: Array, n: Array, other_d: Array, other_n: Array) -> Array:
    """P(as many events here or more | events in all), if both hazards are the same."""
    from scipy.stats import hypergeom

    return np.asarray(hypergeom.sf(d - 1, n + other_n, d + other_d, n))
