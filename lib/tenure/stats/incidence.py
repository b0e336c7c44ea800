"""Which cause takes how many: cumulative incidence by cause, from a life table of counts.

The life table is described in `tenure.stats.lifetable`; here its columns by cause are needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tenure.errors import InputError
from tenure.stats.lifetable import (
    CAUSES,
    Array,
    Counts,
    check_level,
    greenwood,
    log_log_band,
    long_table,
    product_limit,
    spelled,
    validate,
    whole_numbers,
)
from tenure.stats.survival import LogRank, log_rank_of


@dataclass(frozen=True, eq=False)
class CumulativeIncidence:
    """Shares lost to each cause.

    Attributes:
        table: A row for each group, cause and period 0, 1, ..., last: `group`, `cause`, `period`,
            `at_risk`, `events` (of the cause), `incidence` (share lost to the cause within `period` periods),
            `standard_error` (NaN where nobody was lost to it), `low`, `high`.
        causes: The causes, in order.
        level: The intervals' level.
    """

    table: pd.DataFrame
    causes: tuple[str, ...]
    level: float

    def at(self, periods: Sequence[int]) -> pd.DataFrame:
        """The shares lost within given numbers of periods.

        Args:
            periods: Whole numbers of periods from 0 up.

        Returns:
            A row for each group, cause and period: `group`, `cause`, `period`, `at_risk`, `incidence`,
            `low`, `high`. Beyond the last period watched they are NaN with 0 at risk, unless all had left.

        Raises:
            InputError: A period is no whole number from 0 up.
        """
        listed = pd.DataFrame({"periods": list(periods)})
        wanted = whole_numbers(listed, "periods", smallest=0, table="list of periods")
        columns = ["at_risk", "incidence", "low", "high"]
        parts = []
        for group, of_group in self.table.groupby("group", sort=False):
            by_cause = {
                cause: of_group[of_group["cause"] == cause].set_index("period") for cause in self.causes
            }
            all_gone = sum(part["incidence"].iloc[-1] for part in by_cause.values()) > 1 - 1e-10
            for cause, part in by_cause.items():
                found = part[columns].reindex(wanted)
                beyond = wanted > part.index[-1]
                found.loc[beyond, "at_risk"] = 0
                if all_gone:
                    found.loc[beyond, columns[1:]] = part[columns[1:]].iloc[-1].to_numpy()
                parts.append(found.rename_axis("period").reset_index().assign(group=str(group), cause=cause))
        table = pd.concat(parts, ignore_index=True)[["group", "cause", "period", *columns]]
        return table.astype({"at_risk": "int64"})


def cumulative_incidence(
    life: pd.DataFrame, *, causes: Sequence[str] = CAUSES, level: float = 0.95
) -> CumulativeIncidence:
    """Estimate the share of new subscribers lost to each cause, by period of life and group.

    F_c(k) is the sum over j <= k of S(j - 1) d_cj / n_j (Aalen and Johansen 1978), with ties as they are;
    over the causes it sums to 1 - S(k) exactly. Taking 1 - S with the other causes as censored, as is
    commonly done, overstates every cause. The variance is the delta method's for multinomial counts in
    each period (Marubini and Valsecchi 1995, 10.2),

        sum over j <= k of  (F_c(k) - F_c(j))^2 d_j / (n_j (n_j - d_j))
                            + S(j - 1)^2 d_cj (n_j - d_cj) / n_j^3
                            - 2 (F_c(k) - F_c(j)) S(j - 1) d_cj / n_j^2,

    which for a single cause is Greenwood's. The interval is on the scale log(-log(1 - F_c)), so that with
    one cause it is the mirror of the survival curve's; where F_c is still 0 its upper limit is exact.

    Args:
        life: A life table.
        causes: Columns that split the events by cause and add up to them.
        level: Level of the intervals.

    Returns:
        The shares, by group, cause and period.

    Raises:
        InputError: The life table, `causes` or `level` is not as it should be.

    Example:
        >>> life = pd.DataFrame(dict(period=[1, 2], at_risk=[100, 80], events=[20, 40], censored=[0, 40],
        ...                          voluntary=[15, 10], involuntary=[5, 30]))
        >>> lost = cumulative_incidence(life, causes=["voluntary", "involuntary"])
        >>> lost.at([2])[["cause", "incidence", "low", "high"]].round(3)
                 cause  incidence    low   high
        0    voluntary       0.25  0.176  0.347
        1  involuntary       0.35  0.265  0.452
    """
    check_level(level)
    if not causes or len(set(causes)) < len(causes):
        raise InputError(f"`causes` must name one column or more, each once; it is {list(causes)!r}.")
    counts = validate(life, causes=causes)
    parts = []
    for order, cause in enumerate(causes):
        events = counts.causes[cause]
        incidence, variance = _incidence(counts, events)
        # Where the cause has taken everybody, 1 - F is 0 and the band stays where it was.
        rest = np.where(incidence > 1 - 1e-12, 0, 1 - incidence)
        relative = np.divide(variance, rest**2, out=np.zeros_like(rest), where=rest > 0)
        low, high = log_log_band(rest, relative, counts.at_risk, level)
        columns = {
            "at_risk": counts.at_risk,
            "events": events,
            "incidence": incidence,
            "standard_error": np.where(incidence > 0, np.sqrt(variance), np.nan),
            "low": 1 - high,
            "high": 1 - low,
        }
        start = {"at_risk": 0, "events": 0, "incidence": 0.0, "standard_error": 0.0, "low": 0.0, "high": 0.0}
        part = long_table(counts, columns, start=start)
        part.insert(1, "cause", cause)
        part["_order"] = order
        parts.append(part)
    table = pd.concat(parts, ignore_index=True)
    place = table["group"].map({name: i for i, name in enumerate(counts.groups)})
    table = table.assign(_place=place).sort_values(["_place", "_order", "period"], kind="stable")
    table = table.drop(columns=["_place", "_order"]).reset_index(drop=True)
    return CumulativeIncidence(table=table, causes=tuple(causes), level=level)


def _incidence(counts: Counts, events: Array) -> tuple[Array, Array]:
    """F_c(k) and its variance, each of shape (groups, K)."""
    n = np.where(counts.at_risk > 0, counts.at_risk, np.inf)
    before = np.hstack([np.ones((len(n), 1)), product_limit(counts)[:, :-1]])
    share = before * events / n
    incidence = np.cumsum(share, axis=1)
    # Expanding (F(k) - F(j))^2 turns the double sum over j <= k into running sums.
    spread = np.nan_to_num(greenwood(counts))
    cross = share / n
    own = before**2 * (events / n) * (1 - events / n) / n

    def running(x: Array) -> Array:
        return np.cumsum(x, axis=1)

    variance = (
        incidence**2 * running(spread)
        - 2 * incidence * running(incidence * spread)
        + running(incidence**2 * spread)
        + running(own)
        - 2 * incidence * running(cross)
        + 2 * running(incidence * cross)
    )
    return incidence, np.maximum(variance, 0)


def cause_specific_log_rank(life: pd.DataFrame, cause: str, *, strata: str | None = None) -> LogRank:
    """Test whether groups leave at the same rate for one cause, those who leave for another being censored.

    This compares rates among those still there. It does not say which group has lost more to the cause
    in the end, since a group that loses many to one cause has fewer left to lose to another.

    Args:
        life: A life table of two or more groups with a column named `cause`.
        cause: The cause, such as "involuntary".
        strata: A further column of `life`; groups are then compared only within its values.

    Returns:
        As `log_rank`, the observed and expected events being those of the cause.

    Raises:
        InputError: The life table is not as it should be, or has no column `cause`.
        NotApplicable: There is only one group.

    Example:
        >>> life = pd.DataFrame(dict(group=["a", "b"], period=[1, 1], at_risk=[100, 100], events=[40, 40],
        ...                          censored=[60, 60], voluntary=[30, 10], involuntary=[10, 30]))
        >>> round(cause_specific_log_rank(life, "voluntary").p, 5)
        0.00042
    """
    if cause not in life.columns:
        raise InputError(
            f"`cause` is {cause!r}, and the life table has no such column; it has {spelled(life.columns)}."
        )
    return log_rank_of(life, cause=cause, strata=strata)
