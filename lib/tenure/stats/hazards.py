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
from tenure.result import NAN, Estimate, Table, interval
from tenure.stats.intervals import proportion, wilson
from tenure.stats.lifetable import (
    Array,
    Counts,
    check_level,
    check_period,
    check_whole,
    holm,
    long_table,
    ratio,
    validate_cause,
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
        """The periods whose hazard stands out: the rows of `neighbors` that are spikes."""
        found = self.neighbors().frame
        return found[found["spike"]].reset_index(drop=True)

    @property
    def smoothed(self) -> Hazard | None:
        """The smoothed hazard; None where periods stand out, which smoothing would draw as humps."""
        return None if len(self.spikes) else self.smooth()

    def first(self) -> Estimate:
        """Return the share of new subscribers that leaves in the first period; of the first group."""
        n, events = int(self.counts.at_risk[0, 0]), int(self.counts.events[0, 0])
        return proportion(events, n, level=self.level, of="customer", words={"period": self.period})

    def peaks(self, most: int = 3, *, until: int | None = None) -> list[Estimate]:
        """Return the hazards that stand out up to a period, at most so many, those with most churn first.

        Where none does up to it, those that do later are taken. They are d / n of those at risk in the
        period, with Wilson's limits (1927).
        Their words are group, period (its unit), k (which one) and around (the hazard around it); the case is
        "of a group" or "of everybody". Where none stands out, there is one that is not available, of the case
        "none".
        """
        near = self.spikes[self.spikes["period"] <= (until or np.inf)]
        spikes = near if len(near) else self.spikes
        spikes = spikes.sort_values("events", ascending=False, kind="stable").head(most)
        case, words = (
            "of everybody" if len(self.counts.groups) == 1 else "of a group",
            {"period": self.period},
        )
        found = []
        for row in spikes.to_dict("records"):
            one = proportion(row["events"], row["at_risk"], level=self.level, of="customer", words=words)
            around = Estimate(row["neighbors"], unit="percent")
            found.append(one.saying(case, k=row["period"], group=row["group"], around=around))
        return found or [Estimate(NAN, unit="percent", case="none", words=words)]

    def smooth(self, bandwidth: int = 3) -> Hazard:
        """Smooth the hazard over neighboring periods, beside each period's own counts.

        The ratio of kernel-weighted events to kernel-weighted numbers at risk, with Epanechnikov weights
        w = 1 - ((k - j) / bandwidth)^2 for periods j nearer than `bandwidth` (a local constant fit, Loader
        1999): 1 smooths nothing, 3 takes in two periods on either side. Its interval is Wilson's with the
        effective number (sum w n)^2 / (sum w^2 n). It covers the smoothed hazard: a renewal spike is spread
        over its neighbors, and near the ends, where neighbors are on one side only, the curve leans towards
        them.

        Example:
            >>> life = pd.DataFrame(dict(period=[1, 2, 3], at_risk=[100, 90, 40], events=[10, 45, 4],
            ...                          censored=[0, 5, 36]))
            >>> hazard(life).smooth(2).table.frame["hazard"].round(3).tolist()
            [0.261, 0.285, 0.351]
        """
        check_whole("bandwidth", bandwidth, 3)
        weight = 1 - (np.arange(1 - bandwidth, bandwidth) / bandwidth) ** 2
        events, n = _convolve(self.counts.events, weight), _convolve(self.counts.at_risk, weight)
        squares = _convolve(self.counts.at_risk, weight**2)
        effective = np.divide(n**2, squares, out=np.zeros_like(n), where=squares > 1e-9)
        table = _table(
            self.counts, ratio(events, np.where(n > 1e-9, n, 0)), effective, self.period, self.level
        )
        return replace(self, table=table, bandwidth=int(bandwidth))

    def neighbors(self, either: int = 2, *, smallest_ratio: float = 1.2) -> Table:
        """Find periods in which more leave than in those before *and* in those after.

        The events of a period are compared with those of `either` periods before it, and with those of as
        many after it, by Fisher's exact test (one-sided: given how many left in all, the number in this
        period is hypergeometric if the hazard is the same). The larger of the two p-values counts, so a
        hazard that only falls or only rises has no spike, and neither has the first period, whose loss is a
        matter of its own. Holm's adjustment, over the periods of a group, bounds the chance of any false
        spike by 1 - level. With millions of subscribers anything is significant, so a spike must also be
        `smallest_ratio` times its neighbors.

        Returns:
            A row for each group and period with neighbors on both sides: `group`, `period`, `at_risk`,
            `events`, `hazard` with its interval, `neighbors` (their hazard), `ratio` (hazard over the
            neighbors', NaN where none of them left), `p`, `p_adjusted` (Holm, within the group), `spike`.

        Example:
            >>> left = [30, 29, 28, 27, 27, 26, 25, 24, 24, 23, 22, 140, 19, 18]
            >>> at_risk = [1000 - sum(left[:k]) for k in range(14)]
            >>> life = pd.DataFrame(dict(period=range(1, 15), at_risk=at_risk, events=left,
            ...                          censored=[0] * 13 + [538]))
            >>> hazard(life).spikes[["period", "hazard", "neighbors", "ratio"]].round(3)
               period  hazard  neighbors  ratio
            0      12   0.196      0.031  6.275
        """
        check_whole("either", either, 2)
        if not smallest_ratio >= 1:
            raise InputError(f"`smallest_ratio` must be 1 or more, such as 1.2; it is {smallest_ratio!r}.")
        n, d = self.counts.at_risk, self.counts.events
        before = np.r_[np.ones(either), np.zeros(either + 1)]
        sides = [(_convolve(n, side), _convolve(d, side)) for side in (before, before[::-1])]
        known = (n > 0) & (sides[0][0] > 0) & (sides[1][0] > 0)
        p = np.full_like(n, NAN)
        p[known] = np.maximum(
            *(_fisher(d[known], n[known], left[known], there[known]) for there, left in sides)
        )
        share, around = ratio(d, n), ratio(sides[0][1] + sides[1][1], sides[0][0] + sides[1][0])
        adjusted = np.vstack([holm(row) for row in p])
        columns = {
            "at_risk": n,
            "events": d,
            **interval("hazard", share, *wilson(share, n, self.level)),
            "neighbors": around,
            "ratio": ratio(share, around),
            "p": p,
            "p_adjusted": adjusted,
            "spike": (adjusted <= 1 - self.level) & (share >= smallest_ratio * around),
        }
        table = long_table(self.counts, columns).dropna(subset="p").reset_index(drop=True)
        units = {"hazard": "percent", "neighbors": "percent", "ratio": "ratio", "p": "p", "p_adjusted": "p"}
        return Table(table, units)


def hazard(
    life: pd.DataFrame,
    *,
    cause: str | None = None,
    period: str = "month",
    level: float = 0.95,
    min_at_risk: int = 0,
) -> Hazard:
    """Estimate the hazard of each period: those who left, perhaps for one cause, among those at risk.

    The first periods are left out where fewer than `min_at_risk` were at risk, see `lifetable.begun`.

    The interval is Wilson's (1927), which keeps within 0 and 1 and has a value where nobody left.

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
    return _observed(validate_cause(life, cause, min_at_risk=min_at_risk), period, level)


def _observed(counts: Counts, period: str, level: float) -> Hazard:
    share = ratio(counts.events, counts.at_risk)
    return Hazard(_table(counts, share, counts.at_risk, period, level), counts, period, level)


def _table(counts: Counts, share: Array, n: Array, period: str, level: float) -> Table:
    columns = {"at_risk": counts.at_risk, "events": counts.events}
    frame = long_table(counts, columns | interval("hazard", share, *wilson(share, n, level)))
    units = {"period": f"{period}s", "at_risk": "count", "events": "count", "hazard": "percent"}
    return Table(frame, units)


def _convolve(rows: Array, weight: Array) -> Array:
    """Weighted sums over neighboring periods, of the same shape."""
    reach = len(weight) // 2
    padded = np.pad(rows, ((0, 0), (reach, reach)))
    return sum(w * padded[:, i : i + rows.shape[1]] for i, w in enumerate(weight))


def _fisher(d: Array, n: Array, other_d: Array, other_n: Array) -> Array:
    """P(as many events here or more | events in all), if both hazards are the same."""
    from scipy.stats import hypergeom

    return np.asarray(hypergeom.sf(d - 1, n + other_n, d + other_d, n))
