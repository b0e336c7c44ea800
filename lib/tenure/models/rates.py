"""The business's rates: revenue retention, the net promoter score, what it costs to acquire a customer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from tenure.errors import InputError
from tenure.result import NAN, Estimate
from tenure.result import counted as exact
from tenure.stats.intervals import (
    NOTHING,
    effective_number,
    poisson_limits,
    weighted_share,
)
from tenure.stats.lifetable import check_level, z_value

__all__ = ["exact"]


def gross_retention(moments: Mapping[str, Any], *, level: float = 0.95) -> Estimate:
    """Estimate gross revenue retention: of what customers paid then, the share they still pay.

    What a customer pays counts up to what the same customer paid then, so it never passes 100 %. The
    interval is that of `weighted_share`, each customer weighing what was paid then.

    Args:
        moments: A row of `tenure.measures.revenue.retention_moments`.
        level: Level of the interval.

    Returns:
        The share and its interval; NaN where nobody paid then.

    Example:
        >>> kept = gross_retention(dict(n=100, paid_then=1000.0, kept=800.0, var_then=0.0))
        >>> round(kept.value, 2), round(kept.low, 3), round(kept.high, 3)
        (0.8, 0.711, 0.867)
    """
    n, then = int(moments["n"]), float(moments["paid_then"])
    size = effective_number(n, then, float(moments["var_then"]))
    return weighted_share(float(moments["kept"]), then, size, n, level=level, of="customer")


def net_retention(moments: Mapping[str, Any], *, level: float = 0.95) -> Estimate:
    """Estimate net revenue retention: what the same customers pay now over what they paid then.

    It is gross retention and, on top, what was added; its interval is made from both of theirs (Zou and
    Donner 2008), that of what was added from the variance of a ratio of means (Cochran 1977, section 6.5),
    symmetric on the logarithm.

    Args:
        moments: A row of `tenure.measures.revenue.retention_moments`.
        level: Level of the interval.

    Example:
        >>> row = dict(n=100, paid_then=1000.0, kept=800.0, added=200.0, var_then=0.0, var_added=25.0,
        ...            cov_added=0.0)
        >>> grown = net_retention(row)
        >>> round(grown.value, 2), round(grown.low, 3), round(grown.high, 3)
        (1.0, 0.882, 1.143)
    """
    kept = gross_retention(moments, level=level)
    if math.isnan(kept.value):
        return kept
    added, error = _ratio(moments, "added")
    value = kept.value + added
    if added <= 0:
        return kept
    if math.isnan(error):
        return replace(kept, value=value, low=NAN, high=NAN)
    factor = math.exp(z_value(level) * error / added)
    low = value - math.hypot(kept.value - kept.low, added - added / factor)
    high = value + math.hypot(kept.high - kept.value, added * factor - added)
    return replace(kept, value=value, low=low, high=high)


def retention(moments: pd.DataFrame, month: int, *, level: float = 0.95) -> tuple[Estimate, Estimate]:
    """Return gross and net revenue retention of a month; NaN where nobody paid so long ago.

    Args:
        moments: As from `tenure.measures.revenue.retention_moments`, not split by group.
        month: The month.
        level: Level of the intervals.

    Example:
        >>> nothing = pd.DataFrame(columns=["month"])
        >>> [estimate.n for estimate in retention(nothing, 24321)]
        [0, 0]
    """
    rows = moments[moments["month"] == month]
    if rows.empty:
        return NOTHING, NOTHING
    row = {str(name): value for name, value in rows.iloc[0].to_dict().items()}
    return gross_retention(row, level=level), net_retention(row, level=level)


def net_promoter_score(promoters: int, passives: int, detractors: int, *, level: float = 0.95) -> Estimate:
    """Estimate the net promoter score, 100 (promoters - detractors) / n.

    The interval is the adjusted Wald's: three answers are added, three quarters of one each to promoters
    and detractors, and it is kept within -100 and 100 (Rocks 2016, "Interval estimation for the net
    promoter score").

    Example:
        >>> score = net_promoter_score(50, 30, 20)
        >>> round(score.value, 1), round(score.low, 1), round(score.high, 1)
        (30.0, 14.1, 44.2)
    """
    check_level(level)
    if min(promoters, passives, detractors) < 0:
        raise InputError("Promoters, passives and detractors are counts and must not be negative.")
    n = promoters + passives + detractors
    if n == 0:
        return Estimate(NAN, n=0, unit="score", level=level)
    size = n + 3
    up, down = (promoters + 0.75) / size, (detractors + 0.75) / size
    half = z_value(level) * math.sqrt((up + down - (up - down) ** 2) / size)
    ends = (max(-100.0, 100 * (up - down - half)), min(100.0, 100 * (up - down + half)))
    return Estimate(100 * (promoters - detractors) / n, *ends, n=n, of="answer", unit="score", level=level)


def scores_by_month(answers: pd.DataFrame, *, level: float = 0.95) -> dict[int, Estimate]:
    """Return the net promoter score of each month.

    Args:
        answers: As from `tenure.measures.feedback.nps_counts`, not split by group.
        level: Level of the intervals.

    Example:
        >>> answers = pd.DataFrame({"month": [1], "promoters": [5], "passives": [3], "detractors": [2]})
        >>> scores_by_month(answers)[1].value
        30.0
    """
    columns = ["month", "promoters", "passives", "detractors"]
    counts = answers[columns].astype(int).itertuples(index=False, name=None)
    return {month: net_promoter_score(*rest, level=level) for month, *rest in counts}


def acquisition_cost(spend: float, customers: int, *, level: float = 0.95) -> Estimate:
    """Estimate what it costs to acquire a customer: money spent over customers acquired.

    The money is known; how many customers it acquires is chance (exact Poisson limits of the count).

    Example:
        >>> cost = acquisition_cost(100_000, 40)
        >>> round(cost.value), round(cost.low), round(cost.high)
        (2500, 1836, 3499)
    """
    if customers == 0:
        low = spend / poisson_limits(0, level)[1]
        return Estimate(NAN, low, n=0, of="customer", level=level)
    low, high = poisson_limits(customers, level)
    return Estimate(
        spend / customers, spend / high, spend / low, n=int(customers), of="customer", level=level
    )


def numbers(now: Estimate, then: Estimate | None = None) -> dict[str, Any]:
    """Return an estimate's numbers by name, beside those of what it is compared with.

    Example:
        >>> from tenure.stats.intervals import proportion
        >>> sorted(numbers(proportion(5, 10), proportion(4, 10)))
        ['compare', 'compare_high', 'compare_low', 'high', 'low', 'n', 'value']
    """
    own = {"value": now.value, "low": now.low, "high": now.high, "n": now.n or 0}
    if then is None:
        return own
    return {**own, "compare": then.value, "compare_low": then.low, "compare_high": then.high}


def verdict(now: Estimate, then: Estimate, better: str | None = None) -> str:
    """Say how an estimate compares: better, worse, higher, lower, no clear change, or nothing to compare.

    As if the two were independent: where the same customers are in both, the true interval is shorter, so a
    change called clear is.

    Example:
        >>> from tenure.stats.intervals import proportion
        >>> verdict(proportion(50, 1000), proportion(80, 1000), "down")
        'better'
        >>> verdict(exact(101), exact(100))
        'higher'
    """
    if not now.known or not then.known:
        return "nothing to compare"
    apart = replace(now, sample="now").against(replace(then, sample="then", unit=now.unit), "")
    return apart.verdict("up" if better == "up" else "down" if better else None)


def scorecard(
    rows: Mapping[str, tuple[str, str | None, Estimate, Estimate, Estimate, float | None]],
) -> pd.DataFrame:
    """Put metrics with their intervals, comparisons and targets into one table.

    Args:
        rows: For each metric its unit, which direction is better ("up", "down" or None), and its estimates
            now, in the period before and a year ago, and what was aimed for.

    Returns:
        A row a metric: metric, unit, now, low, high, counted, n, before, against_before, year_ago,
        against_year_ago, target, met ("yes", "no" or "").

    Example:
        >>> from tenure.stats.intervals import proportion
        >>> now, then = proportion(50, 1000), proportion(80, 1000)
        >>> card = scorecard({"churn": ("percent", "down", now, then, then, 0.045)})
        >>> card[["against_before", "met"]].values.tolist()
        [['better', 'no']]
    """
    table = []
    for name, (unit, better, now, before, year_ago, target) in rows.items():
        met = ""
        if target is not None and better and not math.isnan(now.value):
            met = "yes" if (now.value >= target if better == "up" else now.value <= target) else "no"
        table.append(
            {
                "metric": name,
                "unit": unit,
                "now": now.value,
                "low": now.low,
                "high": now.high,
                "counted": now.exact,
                "n": now.n,
                "before": before.value,
                "against_before": verdict(now, before, better),
                "year_ago": year_ago.value,
                "against_year_ago": verdict(now, year_ago, better),
                "target": NAN if target is None else target,
                "met": met,
            }
        )
    return pd.DataFrame(table)


def _ratio(moments: Mapping[str, Any], name: str) -> tuple[float, float]:
    """The ratio of an amount to what was paid then, and its standard error."""
    n, then = int(moments["n"]), float(moments["paid_then"])
    ratio = float(moments[name]) / then
    if n < 2:
        return ratio, NAN
    variance = (
        float(moments[f"var_{name}"])
        - 2 * ratio * float(moments[f"cov_{name}"])
        + ratio**2 * float(moments["var_then"])
    )
    return ratio, math.sqrt(max(variance, 0.0) * n) / then
