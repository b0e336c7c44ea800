"""Which cause takes how many: cumulative incidence by cause, from a life table of counts.

The life table is described in `tenure.stats.lifetable`; here its columns by cause are needed. The estimate is
written out: lifelines moves tied events apart at random, and statsmodels knows no late entry and has no
standard errors of counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from tenure.errors import InputError
from tenure.result import NAN, Estimate, Table, counted, from_row, interval
from tenure.stats.lifetable import (
    CAUSES,
    Array,
    Counts,
    check_horizon,
    check_level,
    check_period,
    greenwood,
    log_log_band,
    long_table,
    product_limit,
    ratio,
    spelled,
    validate,
)


@dataclass(frozen=True, eq=False)
class CumulativeIncidence:
    """Shares lost to each cause.

    Attributes:
        table: A row for each group, cause and period 0, 1, ..., last: `group`, `cause`, `period`, `at_risk`,
            `events` (of the cause), `incidence` (share lost to the cause within `period` periods) with its
            interval and `standard_error` (NaN where nobody was lost to it).
        counts: The life table.
    """

    table: Table
    counts: Counts
    period: str
    level: float

    @cached_property
    def everybody(self) -> CumulativeIncidence:
        """The shares of all groups together."""
        return _of(self.counts.together(), self.period, self.level)

    def share(self, cause: str, horizon: int) -> Estimate:
        """Return the share of everybody lost to a cause within a horizon, or as long as they were observed.

        It is the cumulative incidence of Aalen and Johansen (1978) at the horizon, in periods. Its words are
        horizon, start and for each cause its share; its case is "known" ("late" where the shares begin after
        `start`), "none" where nobody was lost to it but others to another known cause, or "unknown" where the
        data does not say why customers left.
        """
        check_horizon(horizon)
        if cause not in self.counts.causes:
            raise InputError(f"There is no cause {cause!r}; there are {spelled(self.counts.causes)}.")
        rows, counts = self.everybody.table.frame, self.everybody.counts
        start = int(counts.start[0])
        until = min(start + horizon, int(counts.last[0]))
        words = {"horizon": counted(until - start, unit=f"{self.period}s")}
        words["start"] = counted(start, unit=f"{self.period}s")
        about: dict[str, Any] = {"n": int(counts.until(until)[0]), "of": "customer", "unit": "percent"}
        ends = rows[rows["period"] == until].to_dict("records")
        shares = {str(row["cause"]): from_row(row, "incidence", level=self.level, **about) for row in ends}
        left = {name: events.sum() for name, events in counts.causes.items()}
        known = sum(events for name, events in left.items() if name != "unknown")
        case = ("late" if start else "known") if left[cause] else "none" if known else "unknown"
        found = Estimate(NAN, **about) if case == "unknown" else shares[cause]
        return found.saying(case, **words, **shares)


def cumulative_incidence(
    life: pd.DataFrame,
    *,
    causes: Sequence[str] = CAUSES,
    period: str = "month",
    level: float = 0.95,
    min_at_risk: int = 0,
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
        causes: Columns that split the events by cause and add up to them.
        min_at_risk: Shares begin where so many are at risk, and are of those who stay so long; see
            `tenure.stats.lifetable.begun`.

    Raises:
        InputError: The life table or an option is not as it should be.

    Example:
        >>> life = pd.DataFrame(dict(period=[1, 2], at_risk=[100, 80], events=[20, 40], censored=[0, 40],
        ...                          voluntary=[15, 10], involuntary=[5, 30]))
        >>> lost = cumulative_incidence(life, causes=["voluntary", "involuntary"])
        >>> failed = lost.share("involuntary", 24)
        >>> round(failed.value, 2), round(failed.low, 3), round(failed.high, 3), failed.words["horizon"].value
        (0.35, 0.265, 0.452, 2.0)
    """
    check_level(level)
    check_period(period)
    if not causes or len(set(causes)) < len(causes):
        raise InputError(f"`causes` must name one column or more, each once; it is {list(causes)!r}.")
    return _of(validate(life, causes=causes, min_at_risk=min_at_risk), period, level)


def _of(counts: Counts, period: str, level: float) -> CumulativeIncidence:
    parts = []
    for cause, events in counts.causes.items():
        incidence, variance = _incidence(counts, events)
        # Where the cause has taken everybody, 1 - F is 0 and the band stays where it was.
        rest = np.where(incidence > 1 - 1e-12, 0, 1 - incidence)
        relative = ratio(variance, rest**2, 0.0)
        low, high = log_log_band(rest, relative, counts.at_risk, level)
        columns = {
            "at_risk": counts.at_risk,
            "events": events,
            **interval("incidence", incidence, 1 - high, 1 - low),
            "standard_error": np.where(incidence > 0, np.sqrt(variance), np.nan),
        }
        part = long_table(counts, columns, start=dict.fromkeys(columns, 0.0))
        part.insert(1, "cause", cause)
        parts.append(part)
    table = pd.concat(parts, ignore_index=True)
    order = pd.Categorical(table["group"], counts.groups)
    table = table.iloc[np.argsort(order.codes, kind="stable")].reset_index(drop=True)
    units = {"period": f"{period}s", "at_risk": "count", "events": "count", "incidence": "percent"}
    return CumulativeIncidence(Table(table, units | {"standard_error": "points"}), counts, period, level)


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
