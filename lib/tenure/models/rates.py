"""Rates with their intervals, and whether a change is more than chance.

Each estimate says its value, its interval and what it rests on. What cannot be had (a share of nobody, a
ratio to nothing) is NaN, never 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from tenure.errors import InputError
from tenure.models.lifetable import check_level, z_value

NAN = float("nan")


@dataclass(frozen=True)
class Estimate:
    """A number with its interval.

    Attributes:
        value: The estimate; NaN where there is none.
        low: The interval's lower end; NaN where there is none or it is open.
        high: The upper end; NaN likewise.
        n: How many things it rests on.
        level: The interval's level.
        counted: Whether it is a count or a sum that is known exactly, and so has no interval.
    """

    value: float
    low: float
    high: float
    n: int
    level: float = 0.95
    counted: bool = False

    @property
    def numbers(self) -> dict[str, float]:
        """Value, interval and count by name."""
        return {"value": self.value, "low": self.low, "high": self.high, "n": self.n}

    def against(self, then: Estimate) -> dict[str, float]:
        """Return its numbers beside those of what it is compared with.

        Example:
            >>> sorted(proportion(5, 10).against(proportion(4, 10)))
            ['compare', 'compare_high', 'compare_low', 'high', 'low', 'n', 'value']
        """
        return {
            **self.numbers,
            "compare": then.value,
            "compare_low": then.low,
            "compare_high": then.high,
        }


NOTHING = Estimate(NAN, NAN, NAN, 0)


@dataclass(frozen=True)
class Change:
    """How an estimate differs from another one.

    Attributes:
        difference: The first less the second.
        low: The lower end of its interval.
        high: The upper end.
        clear: Whether the interval excludes no difference: the change is more than chance.
    """

    difference: float
    low: float
    high: float
    clear: bool


def proportion(events: int, n: int, *, level: float = 0.95) -> Estimate:
    """Estimate a share by Wilson's score interval (Wilson 1927).

    Args:
        events: How many had it.
        n: Of how many; 0: there is no share.
        level: Level of the interval.

    Raises:
        InputError: There are more events than things they could happen to, or fewer than none.

    Example:
        >>> churn = proportion(40, 1000)
        >>> round(churn.value, 3), round(churn.low, 4), round(churn.high, 4)
        (0.04, 0.0295, 0.054)
    """
    check_level(level)
    if not 0 <= events <= max(n, 0):
        raise InputError(f"There are {events} events among {n}: `events` must lie between 0 and `n`.")
    if n == 0:
        return Estimate(NAN, NAN, NAN, 0, level)
    share = events / n
    low, high = _wilson(share, n, level)
    return Estimate(share, low, high, int(n), level)


def pooled(frame: pd.DataFrame, events: str, n: str, *, level: float = 0.95) -> Estimate:
    """Estimate a share from counts in several rows.

    Example:
        >>> pooled(pd.DataFrame({"converted": [3, 5], "ripe": [10, 10]}), "converted", "ripe").value
        0.4
    """
    return proportion(int(frame[events].sum()), int(frame[n].sum()), level=level)


def poisson_rate(events: int, exposure: float, *, level: float = 0.95) -> Estimate:
    """Estimate events per unit of exposure, such as a customer-month, exactly (Garwood 1936).

    Example:
        >>> rate = poisson_rate(10, 200)
        >>> round(rate.value, 3), round(rate.low, 4), round(rate.high, 4)
        (0.05, 0.024, 0.092)
    """
    check_level(level)
    if events < 0 or exposure < 0:
        raise InputError(f"`events` ({events}) and `exposure` ({exposure}) must not be negative.")
    if exposure == 0:
        return Estimate(NAN, NAN, NAN, int(events), level)
    low, high = _poisson_limits(events, level)
    return Estimate(events / exposure, low / exposure, high / exposure, int(events), level)


def rescale(rate: float, periods: float) -> float:
    """Return a churn rate over another length of time, ``1 - (1 - rate) ** periods``.

    Example:
        >>> round(rescale(0.10, 1 / 3), 5), round(rescale(0.10, 4), 4)
        (0.03451, 0.3439)
    """
    return 1 - (1 - rate) ** periods


def weighted_share(amount: float, base: float, effective: float, n: int, *, level: float = 0.95) -> Estimate:
    """Estimate the share of an amount that was lost, or kept, where customers weigh differently.

    The interval is Wilson's for as many customers of equal weight as tell as much: the effective number
    ``(sum of weights)^2 / sum of squared weights`` (Kish 1965). It allows for what the sample may not show,
    that a large customer could have left.

    Args:
        amount: What was lost or kept, between 0 and the base.
        base: What could have been.
        effective: The effective number of customers.
        n: The number of customers.
        level: Level of the interval.

    Example:
        >>> lost = weighted_share(5_000, 100_000, 400, 1_000)
        >>> round(lost.value, 3), round(lost.low, 4), round(lost.high, 4)
        (0.05, 0.0326, 0.076)
    """
    check_level(level)
    if base <= 0 or effective <= 0:
        return Estimate(NAN, NAN, NAN, int(n), level)
    share = float(amount) / float(base)
    low, high = _wilson(min(max(share, 0.0), 1.0), float(effective), level)
    return Estimate(share, low, high, int(n), level)


def effective_number(n: float, total: float, variance: float) -> float:
    """Return Kish's effective number from the count, the sum and the sample variance of weights.

    Example:
        >>> effective_number(10, 100.0, 0.0)
        10.0
    """
    squares = max((n - 1) * (0.0 if math.isnan(variance) else variance), 0.0) + total**2 / n if n else 0.0
    return total**2 / squares if squares > 0 else 0.0


def money_share(amount: float, squares: float, base: float, n: int, *, level: float = 0.95) -> Estimate:
    """Estimate the share of an amount that moved, such as the revenue that churned.

    Each customer's leaving is chance, so the lost amount varies by the sum of the squared amounts times
    the share that stayed; the interval is symmetric on the logarithm.

    Args:
        amount: What moved, positive.
        squares: Sum over customers of its squares.
        base: What could have moved.
        n: How many moved.
        level: Level of the interval.

    Returns:
        The share; NaN where the base is 0. Where nothing moved there is no upper end.

    Example:
        >>> lost = money_share(5_000, 50 * 100**2, 100_000, 50)
        >>> round(lost.value, 3), round(lost.low, 4), round(lost.high, 4)
        (0.05, 0.0382, 0.0655)
    """
    check_level(level)
    amount, squares, base = float(amount), float(squares), float(base)
    if base <= 0:
        return Estimate(NAN, NAN, NAN, int(n), level)
    share = amount / base
    if share <= 0:
        return Estimate(share, 0.0, NAN, int(n), level)
    relative = math.sqrt(max(squares * (1 - min(share, 1.0)), 0.0)) / amount
    factor = math.exp(z_value(level) * relative)
    return Estimate(share, share / factor, share * factor, int(n), level)


def money_sum(amount: float, squares: float, n: int, *, level: float = 0.95) -> Estimate:
    """Estimate the sum of chance movements, such as a month's net new revenue (compound Poisson).

    Example:
        >>> money_sum(900, 10_000, 25).low.__round__()
        704
    """
    half = z_value(level) * math.sqrt(squares)
    return Estimate(float(amount), amount - half, amount + half, int(n), level)


def quick_ratio(
    gains: float, gain_squares: float, losses: float, loss_squares: float, n: int, *, level: float = 0.95
) -> Estimate:
    """Estimate how many times what was lost has been gained.

    Args:
        gains: New, reactivated and expanded revenue.
        gain_squares: Sum over movements of its squares.
        losses: Churned and contracted revenue, positive.
        loss_squares: Sum of its squares.
        n: How many movements.
        level: Level of the interval.

    Returns:
        The ratio with an interval symmetric on the logarithm; NaN where nothing was lost.

    Example:
        >>> ratio = quick_ratio(400, 4_000, 200, 2_000, 60)
        >>> round(ratio.value, 2), round(ratio.low, 2), round(ratio.high, 2)
        (2.0, 1.15, 3.48)
    """
    if losses <= 0:
        return Estimate(NAN, NAN, NAN, int(n), level)
    ratio = gains / losses
    if gains <= 0:
        return Estimate(ratio, 0.0, NAN, int(n), level)
    # The squares are estimates themselves, and poor ones where a few movements make up the sum: hence
    # Student's t, with Satterthwaite's degrees of freedom from the effective numbers of movements.
    up, down = gain_squares / gains**2, loss_squares / losses**2
    freedom = max((up + down) ** 2 / (up**3 + down**3), 1.0)
    factor = math.exp(float(stats.t.ppf(0.5 + level / 2, freedom)) * math.sqrt(up + down))
    return Estimate(ratio, ratio / factor, ratio * factor, int(n), level)


def mean(value: float, spread: float, n: int, *, level: float = 0.95) -> Estimate:
    """Give a mean its interval from the standard deviation and the count (Student's t).

    Example:
        >>> average = mean(1000.0, 300.0, 100)
        >>> round(average.low, 1), round(average.high, 1)
        (940.5, 1059.5)
    """
    if n < 2 or math.isnan(spread):
        return Estimate(value if n else NAN, NAN, NAN, int(n), level)
    half = float(stats.t.ppf(0.5 + level / 2, n - 1)) * spread / math.sqrt(n)
    return Estimate(value, value - half, value + half, int(n), level)


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
    return weighted_share(float(moments["kept"]), then, size, n, level=level)


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
        return Estimate(kept.value, kept.low, kept.high, kept.n, level)
    if math.isnan(error):
        return Estimate(value, NAN, NAN, kept.n, level)
    factor = math.exp(z_value(level) * error / added)
    low = value - math.hypot(kept.value - kept.low, added - added / factor)
    high = value + math.hypot(kept.high - kept.value, added * factor - added)
    return Estimate(value, low, high, kept.n, level)


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
        return Estimate(NAN, NAN, NAN, 0, level)
    size = n + 3
    up, down = (promoters + 0.75) / size, (detractors + 0.75) / size
    half = z_value(level) * math.sqrt((up + down - (up - down) ** 2) / size)
    ends = (max(-100.0, 100 * (up - down - half)), min(100.0, 100 * (up - down + half)))
    return Estimate(100 * (promoters - detractors) / n, *ends, int(n), level)


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
    """Estimate what it costs to win a customer: money spent over customers won.

    The money is known; how many customers it wins is chance (exact Poisson limits of the count).

    Example:
        >>> cost = acquisition_cost(100_000, 40)
        >>> round(cost.value), round(cost.low), round(cost.high)
        (2500, 1836, 3499)
    """
    if customers == 0:
        low = spend / _poisson_limits(0, level)[1]
        return Estimate(NAN, low, NAN, 0, level)
    low, high = _poisson_limits(customers, level)
    return Estimate(spend / customers, spend / high, spend / low, int(customers), level)


def median_of_counts(values: Any, counts: Any, n: int | None = None, *, level: float = 0.95) -> Estimate:
    """Estimate the median of counted values, with the interval of its order statistics.

    Args:
        values: The values, in any order.
        counts: How often each occurs.
        n: How many independent things there are, where fewer than the counts add up to (sessions of the
            same user are alike); None: all are.
        level: Level of the interval.

    Example:
        >>> length = median_of_counts([10, 20, 30], [25, 50, 25])
        >>> length.value, length.low, length.high
        (20.0, 20.0, 20.0)
    """
    order = np.argsort(np.asarray(values, dtype=float), kind="stable")
    values = np.asarray(values, dtype=float)[order]
    reached = np.cumsum(np.asarray(counts, dtype=float)[order])
    total = reached[-1] if len(reached) else 0.0
    if total == 0:
        return Estimate(NAN, NAN, NAN, 0, level)
    size = total if n is None else min(n, total)
    half = z_value(level) / (2 * math.sqrt(max(size, 1.0)))

    def at(share: float) -> float:
        place = int(np.searchsorted(reached, min(max(share, 0.0), 1.0) * total, side="left"))
        return float(values[min(place, len(values) - 1)])

    return Estimate(at(0.5), at(0.5 - half), at(0.5 + half), int(size), level)


def change(now: Estimate, then: Estimate) -> Change:
    """Compare two estimates by the interval of their difference.

    It is made from their own intervals by the method of variance estimates recovery (Zou and Donner 2008),
    as if they were independent; for two rates with Wilson's intervals it is Newcombe's (1998). Where the
    same customers are in both, the true interval is shorter, so a change called clear is.

    Example:
        >>> better = change(proportion(50, 1000), proportion(80, 1000))
        >>> round(better.difference, 3), round(better.low, 4), round(better.high, 4), better.clear
        (-0.03, -0.052, -0.0084, True)
    """
    difference = now.value - then.value
    low = difference - math.hypot(now.value - now.low, then.high - then.value)
    high = difference + math.hypot(now.high - now.value, then.value - then.low)
    clear = (low > 0 or high < 0) and not math.isnan(difference)
    return Change(difference, low, high, clear)


def verdict(now: Estimate, then: Estimate, better: str | None = None) -> str:
    """Say how an estimate compares: better, worse, higher, lower, no clear change, or nothing to compare.

    What is counted is known exactly, so that any difference of two counts is one.

    Example:
        >>> verdict(proportion(50, 1000), proportion(80, 1000), "down")
        'better'
        >>> verdict(exact(101), exact(100))
        'higher'
    """
    if math.isnan(now.value) or math.isnan(then.value):
        return "nothing to compare"
    found = change(now, then)
    if not found.clear and not (now.counted and then.counted and found.difference):
        return "no clear change"
    if better is None:
        return "higher" if found.difference > 0 else "lower"
    return "better" if (found.difference > 0) == (better == "up") else "worse"


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
                "counted": now.counted,
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


def exact(value: float, n: int = 0) -> Estimate:
    """Return a number that is counted, not estimated: it has no interval.

    Example:
        >>> exact(5.0).low
        nan
    """
    return Estimate(float(value), NAN, NAN, int(n), counted=True)


def _wilson(share: float, n: float, level: float) -> tuple[float, float]:
    z = z_value(level)
    center = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, center - half), min(1.0, center + half)


def _poisson_limits(events: int, level: float) -> tuple[float, float]:
    tail = (1 - level) / 2
    low = float(stats.chi2.ppf(tail, 2 * events) / 2) if events else 0.0
    return low, float(stats.chi2.ppf(1 - tail, 2 * events + 2) / 2)


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
