"""When in their life subscribers leave: hazards by period, from a life table of counts.

The life table is that of `tenure.stats.lifetable`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from tenure.errors import InputError
from tenure.stats.lifetable import Array, Counts, check_level, hazards, holm, long_table, validate, z_value


@dataclass(frozen=True, eq=False)
class Hazard:
    """Hazards with intervals.

    Attributes:
        table: A row for each group and period 1, 2, ..., last: `group`, `period`, `at_risk`, `events`,
            `hazard` (the chance that one who is still there leaves in the period), `low`, `high`. NaN where
            nobody was at risk.
        level: The intervals' level.
        bandwidth: Periods over which the hazard is smoothed; None: not at all.
    """

    table: pd.DataFrame
    level: float
    bandwidth: int | None


def hazard(life: pd.DataFrame, *, cause: str | None = None, level: float = 0.95) -> Hazard:
    """Estimate the hazard of each period: those who left among those at risk.

    The interval is Wilson's (1927), which keeps within 0 and 1 and has a value where nobody left.

    Args:
        life: A life table.
        cause: Count only those who left for this cause, a column of `life`.
        level: Level of the intervals.

    Returns:
        The hazards.

    Raises:
        InputError: The life table, `cause` or `level` is not as it should be.

    Example:
        >>> life = pd.DataFrame(dict(period=[1, 2, 3], at_risk=[100, 90, 40], events=[10, 45, 4],
        ...                          censored=[0, 5, 36]))
        >>> hazard(life).table.drop(columns="group").round(3)
           period  at_risk  events  hazard    low   high
        0       1      100      10     0.1  0.055  0.174
        1       2       90      45     0.5  0.399  0.601
        2       3       40       4     0.1  0.040  0.231
    """
    check_level(level)
    counts, events = _counts_of(life, cause)
    n = counts.at_risk
    share = np.divide(events, n, out=np.full_like(n, np.nan), where=n > 0)
    low, high = _wilson(share, n, level)
    columns = {"at_risk": n, "events": events, "hazard": share, "low": low, "high": high}
    return Hazard(table=long_table(counts, columns), level=level, bandwidth=None)


def smoothed_hazard(
    life: pd.DataFrame, *, bandwidth: int = 3, cause: str | None = None, level: float = 0.95
) -> Hazard:
    """Smooth the hazard over neighbouring periods.

    The ratio of kernel-weighted events to kernel-weighted numbers at risk, with Epanechnikov weights
    w = 1 - ((k - j) / bandwidth)^2 for periods j nearer than `bandwidth` (a local constant fit, Loader
    1999). Its interval is Wilson's with the effective number (sum w n)^2 / (sum w^2 n). It covers the
    smoothed hazard: a renewal spike is spread over its neighbours, and near the ends, where neighbours
    are on one side only, the curve leans towards them.

    Args:
        life: A life table.
        bandwidth: Periods; 1 smooths nothing, 3 takes in two periods on either side.
        cause: Count only those who left for this cause, a column of `life`.
        level: Level of the intervals.

    Returns:
        The smoothed hazards, beside each period's own counts.

    Raises:
        InputError: The life table, `bandwidth`, `cause` or `level` is not as it should be.

    Example:
        >>> life = pd.DataFrame(dict(period=[1, 2, 3], at_risk=[100, 90, 40], events=[10, 45, 4],
        ...                          censored=[0, 5, 36]))
        >>> smoothed_hazard(life, bandwidth=2).table["hazard"].round(3).tolist()
        [0.261, 0.285, 0.351]
    """
    check_level(level)
    if isinstance(bandwidth, bool) or not isinstance(bandwidth, (int, np.integer)) or bandwidth < 1:
        raise InputError(
            f"`bandwidth` must be a whole number of periods from 1 up, such as 3; it is {bandwidth!r}."
        )
    counts, events = _counts_of(life, cause)
    offsets = np.arange(1 - bandwidth, bandwidth)
    weight = 1 - (offsets / bandwidth) ** 2
    smooth_events = _convolve(events, weight)
    smooth_n = _convolve(counts.at_risk, weight)
    squares = _convolve(counts.at_risk, weight**2)
    share = np.divide(smooth_events, smooth_n, out=np.full_like(smooth_n, np.nan), where=smooth_n > 1e-9)
    effective = np.divide(smooth_n**2, squares, out=np.zeros_like(squares), where=squares > 1e-9)
    low, high = _wilson(share, effective, level)
    columns = {"at_risk": counts.at_risk, "events": events, "hazard": share, "low": low, "high": high}
    return Hazard(table=long_table(counts, columns), level=level, bandwidth=int(bandwidth))


def _counts_of(life: pd.DataFrame, cause: str | None) -> tuple[Counts, Array]:
    if cause is None:
        counts = validate(life)
        return counts, counts.events
    if cause not in life.columns or "events" not in life.columns:
        raise InputError(f"`cause` is {cause!r}, and the life table has no such column.")
    counts = validate(life.assign(_other=life["events"] - life[cause]), causes=(cause, "_other"))
    return counts, counts.causes[cause]


def _convolve(rows: Array, weight: Array) -> Array:
    """Weighted sums over neighbouring periods, of the same shape."""
    reach = len(weight) // 2
    padded = np.pad(rows, ((0, 0), (reach, reach)))
    return sum(w * padded[:, i : i + rows.shape[1]] for i, w in enumerate(weight))


def _wilson(share: Array, n: Array, level: float) -> tuple[Array, Array]:
    """Wilson's limits of a share of n; NaN where n is 0."""
    z2 = z_value(level) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        middle = (share + z2 / (2 * n)) / (1 + z2 / n)
        half = np.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    low = np.where(share == 0, 0, np.maximum(middle - half, 0))
    high = np.where(share == 1, 1, np.minimum(middle + half, 1))
    unknown = ~(n > 0)
    return np.where(unknown, np.nan, low), np.where(unknown, np.nan, high)


# --- renewal spikes -----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class RenewalSpikes:
    """Periods whose hazard stands out.

    Attributes:
        table: A row for each group and period with neighbours on both sides: `group`, `period`,
            `at_risk`, `events`, `hazard`, `low`, `high`, `neighbors` (their hazard), `ratio` (hazard over the
            neighbours', NaN where none of them left), `p`, `p_adjusted` (Holm, within the group), `spike`.
        level: The intervals' level, and 1 less the chance of any false spike in a group.
        notes: What a reader should know, in sentences.
    """

    table: pd.DataFrame
    level: float
    notes: tuple[str, ...] = ()

    @property
    def spikes(self) -> pd.DataFrame:
        """The rows of `table` that are spikes."""
        return self.table[self.table["spike"]].reset_index(drop=True)


def renewal_spikes(
    life: pd.DataFrame, *, neighbors: int = 2, smallest_ratio: float = 1.2, level: float = 0.95
) -> RenewalSpikes:
    """Find periods in which more leave than in those before *and* in those after.

    The events of a period are compared with those of the `neighbors` periods before it, and with those
    after it, by Fisher's exact test (one-sided: given how many left in all, the number in this period is
    hypergeometric if the hazard is the same). The larger of the two p-values counts, so a hazard that
    only falls or only rises has no spike, and neither has the first period, whose loss is a matter of its
    own. Holm's adjustment, over the periods of a group, bounds the chance of any false spike by 1 - level.
    With millions of subscribers anything is significant, so a spike must also be `smallest_ratio` times
    its neighbours.

    Args:
        life: A life table.
        neighbors: Periods to compare with on either side.
        smallest_ratio: The least ratio of hazards worth calling a spike.
        level: Level of the intervals of the hazards, and 1 less the chance of a false spike.

    Returns:
        The comparisons, and which of them are spikes.

    Raises:
        InputError: The life table or an option is not as it should be.

    Example:
        >>> left = [30, 29, 28, 27, 27, 26, 25, 24, 24, 23, 22, 140, 19, 18]
        >>> at_risk = [1000 - sum(left[:k]) for k in range(14)]
        >>> still_on = [0] * 13 + [538]
        >>> life = pd.DataFrame(dict(period=range(1, 15), at_risk=at_risk, events=left, censored=still_on))
        >>> renewal_spikes(life).spikes[["period", "hazard", "neighbors", "ratio"]].round(3)
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
    counts = validate(life)
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
    low, high = _wilson(share, n, level)
    around_n = left_n + right_n
    around = np.divide(left_d + right_d, around_n, out=np.full_like(n, np.nan), where=around_n > 0)
    adjusted = np.vstack([holm(row) for row in p])
    with np.errstate(invalid="ignore"):
        spike = (adjusted <= 1 - level) & (share >= smallest_ratio * around)
    columns = {
        "at_risk": n,
        "events": d,
        "hazard": share,
        "low": low,
        "high": high,
        "neighbors": around,
        "ratio": np.divide(share, around, out=np.full_like(n, np.nan), where=around > 0),
        "p": p,
        "p_adjusted": adjusted,
        "spike": spike,
    }
    table = long_table(counts, columns)
    table = table[table["p"].notna()].reset_index(drop=True)
    return RenewalSpikes(table=table, level=level)


def _fisher(d: Array, n: Array, other_d: Array, other_n: Array) -> Array:
    """P(as many events here or more | events in all), if both hazards are the same."""
    from scipy.stats import hypergeom

    return np.asarray(hypergeom.sf(d - 1, n + other_n, d + other_d, n))
