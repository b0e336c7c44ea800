"""Rates, means, sums, ratios and medians with their intervals.

What is unavailable (a share of nobody, a ratio to nothing) is NaN, never 0. What an estimate knows besides
its numbers is handed through by name: `of` (what n counts: "customer"), `unit`, `sample` (which things were
drawn), `case` and `words`, as `tenure.result.Estimate` describes them. `level` is the interval's level.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any, TypedDict, Unpack

import numpy as np
import pandas as pd
from scipy import stats
from scipy.special import expit, logit

from tenure.errors import InputError
from tenure.result import NAN, Estimate
from tenure.stats.lifetable import Array, check_level, ratio, z_value

NOTHING = Estimate(NAN, n=0)


class About(TypedDict, total=False):
    """What an estimate knows besides its numbers."""

    of: str
    unit: str
    sample: Hashable
    case: str
    words: Mapping[str, Any]


def proportion(events: int, n: int, *, level: float = 0.95, **about: Unpack[About]) -> Estimate:
    """Estimate a share of n by Wilson's score interval (Wilson 1927); of none there is no share.

    Raises:
        InputError: There are more events than things they could happen to, or fewer than none.

    Example:
        >>> churn = proportion(40, 1000, of="customer")
        >>> round(churn.value, 3), round(churn.low, 4), round(churn.high, 4), churn.unit
        (0.04, 0.0295, 0.054, 'percent')
    """
    check_level(level)
    if not 0 <= events <= max(n, 0):
        raise InputError(f"There are {events} events among {n}: `events` must lie between 0 and `n`.")
    share = events / n if n else NAN
    return _share(share, wilson(share, n, level), n, level, about)


def pooled(
    frame: pd.DataFrame, events: str, n: str, *, level: float = 0.95, **about: Unpack[About]
) -> Estimate:
    """Estimate a share from counts in several rows.

    Example:
        >>> pooled(pd.DataFrame({"converted": [3, 5], "ripe": [10, 10]}), "converted", "ripe").value
        0.4
    """
    return proportion(int(frame[events].sum()), int(frame[n].sum()), level=level, **about)


def wilson(share: Any, n: Any, level: float) -> tuple[Array, Array]:
    """Wilson's limits (1927) of shares of n, which need not be whole; NaN where n is 0.

    Example:
        >>> wilson(0.04, 1000, 0.95)[0].round(4)
        np.float64(0.0295)
    """
    from statsmodels.stats.proportion import proportion_confint

    share, n = np.broadcast_arrays(np.asarray(share, dtype=float), np.asarray(n, dtype=float))
    low, high = np.full(n.shape, NAN), np.full(n.shape, NAN)
    known = n > 0
    if known.any():
        low[known], high[known] = proportion_confint(
            share[known] * n[known], n[known], alpha=1 - level, method="wilson"
        )
    # Rounding may leave a limit a hair on the wrong side of a share of 0 or 1.
    return np.minimum(low, share)[()], np.maximum(high, share)[()]


def expects_few(events: Array, n: Array) -> bool:
    """Whether fewer than five events, or five others, are expected in an arm at the common share."""
    common = np.nansum(events) / np.nansum(n) if np.nansum(n) else NAN
    return bool(np.nanmin(np.minimum(common, 1 - common) * n, initial=np.inf) < 5)


def share_limits(events: Any, n: Any, level: float) -> tuple[Array, Array]:
    """Limits of the shares of several arms that are to be compared, honest where events are rare.

    They are Wilson's, or the exact ones (Clopper and Pearson 1934) where at the arms' common share fewer than
    five events, or five without one, are to be expected in an arm. NaN where n is 0.

    Example:
        >>> low, high = share_limits([12, 0], [235, 15], 0.95)
        >>> low.round(3).tolist(), high.round(3).tolist()
        ([0.027, 0.0], [0.087, 0.218])
    """
    events, n = np.asarray(events, dtype=float), np.asarray(n, dtype=float)
    if not expects_few(events, n):
        return wilson(ratio(events, n), n, level)
    tail = (1 - level) / 2
    low = np.where(events > 0, stats.beta.ppf(tail, events, n - events + 1), 0.0)
    high = np.where(events < n, stats.beta.isf(tail, events + 1, n - events), 1.0)
    return np.where(n > 0, low, NAN), np.where(n > 0, high, NAN)


def log_limits(value: Array, error: Array, level: float) -> tuple[Array, Array]:
    """Return limits from standard errors on the scale of the logarithm; of what is not above 0, on its own.

    Example:
        >>> low, high = log_limits(np.array([100.0]), np.array([10.0]), 0.95)
        >>> low.round(1).tolist(), high.round(1).tolist()
        ([82.2], [121.7])
    """
    z, positive = z_value(level), value > 0
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        factor = np.exp(np.where(positive, np.minimum(z * error / np.where(positive, value, 1), 700), 0))
    low = np.where(positive, value / factor, value - z * error)
    return low, np.where(positive, value * factor, value + z * error)


def bounded_limits(value: Array, error: Array, most: Array, level: float) -> tuple[Array, Array]:
    """Return limits between 0 and the most that is possible, from standard errors, on the scale of log-odds.

    A discounted lifetime at one chance theta to leave, 1 / (1 - (1 - theta) v), is at most 1 / (1 - v), and
    the log-odds of their ratio are a line in log(theta): its limits are those of theta. Where the most is not
    above the value, or the value not above 0, limits are those of `log_limits`.

    Example:
        >>> low, high = bounded_limits(np.array([90.0]), np.array([5.0]), np.array([100.0]), 0.95)
        >>> low.round(1).tolist(), high.round(1).tolist()
        ([75.2], [96.4])
    """
    low, high = log_limits(value, error, level)
    within = (value > 0) & (most > value * (1 + 1e-9))
    share = np.where(within, value / np.where(within, most, 1), 0.5)
    odds, half = logit(share), z_value(level) * error / np.where(within, value * (1 - share), 1)
    low, high = (
        np.where(within, most * expit(at), end) for at, end in ((odds - half, low), (odds + half, high))
    )
    return low, high


def together(value: Any, *ends: Any) -> tuple[Array, Array]:
    """Return limits for independent errors at once, from the limits (low, high) by each of them.

    Distances from the value add up as squares: on the scale of the logarithm, or on its own where the value
    is not above 0.

    Example:
        >>> low, high = together(np.array([100.0]), ([80.0], [125.0]), ([50.0], [200.0]))
        >>> low.round(1).tolist(), high.round(1).tolist()
        ([48.3], [207.1])
    """
    value = np.asarray(value, dtype=float)
    positive = value > 0
    safe, found = np.where(positive, value, 1.0), []
    for sign, limits in zip((-1, 1), zip(*ends, strict=True), strict=True):
        gaps = [np.maximum(sign * (np.asarray(end) - value), 0) for end in limits]
        logs = [np.log(np.clip(np.asarray(end) / safe, 1e-9, 1e300)) for end in limits]
        away = np.exp(sign * np.hypot.reduce([np.maximum(sign * log, 0) for log in logs]))
        found.append(np.where(positive, safe * away, value + sign * np.hypot.reduce(gaps)))
    return found[0], found[1]


def poisson_limits(events: int, level: float) -> tuple[float, float]:
    """Exact limits of the mean of a Poisson count (Garwood 1936).

    Example:
        >>> [round(limit, 2) for limit in poisson_limits(10, 0.95)]
        [4.8, 18.39]
    """
    tail = (1 - level) / 2
    low = float(stats.chi2.ppf(tail, 2 * events) / 2) if events else 0.0
    return low, float(stats.chi2.ppf(1 - tail, 2 * events + 2) / 2)


def weighted_share(
    amount: float, base: float, effective: float, n: int, *, level: float = 0.95, **about: Unpack[About]
) -> Estimate:
    """Estimate the share of a base that was lost, or kept, where customers weigh differently.

    The interval is Wilson's for as many customers of equal weight as carry the same information: the
    effective number ``(sum of weights)^2 / sum of squared weights`` of n customers (Kish 1965). It allows
    for what the sample may not show, that a large customer could have left.

    Example:
        >>> lost = weighted_share(5_000, 100_000, 400, 1_000)
        >>> round(lost.value, 3), round(lost.low, 4), round(lost.high, 4)
        (0.05, 0.0326, 0.076)
    """
    check_level(level)
    if base <= 0 or effective <= 0:
        return _share(NAN, (NAN, NAN), n, level, about)
    share = float(amount) / float(base)
    ends = wilson(min(max(share, 0.0), 1.0), float(effective), level)
    return _share(share, ends, n, level, about)


def effective_number(n: float, total: float, variance: float) -> float:
    """Return Kish's effective number from the count, the sum and the sample variance of weights.

    Example:
        >>> effective_number(10, 100.0, 0.0)
        10.0
    """
    squares = max((n - 1) * (0.0 if math.isnan(variance) else variance), 0.0) + total**2 / n if n else 0.0
    return total**2 / squares if squares > 0 else 0.0


def money_share(
    amount: float, squares: float, base: float, n: int, *, level: float = 0.95, **about: Unpack[About]
) -> Estimate:
    """Estimate the share of a base that n customers moved, such as the revenue that churned.

    Each customer's leaving is chance, so the lost amount varies by the sum of the squared amounts times
    the share that stayed; the interval is symmetric on the logarithm. It is NaN where the base is 0; where
    nothing moved there is no upper end.

    Example:
        >>> lost = money_share(5_000, 50 * 100**2, 100_000, 50)
        >>> round(lost.value, 3), round(lost.low, 4), round(lost.high, 4)
        (0.05, 0.0382, 0.0655)
    """
    check_level(level)
    amount, squares, base = float(amount), float(squares), float(base)
    if base <= 0:
        return _share(NAN, (NAN, NAN), n, level, about)
    share = amount / base
    if share <= 0:
        return _share(share, (0.0, NAN), n, level, about)
    relative = math.sqrt(max(squares * (1 - min(share, 1.0)), 0.0)) / amount
    factor = math.exp(z_value(level) * relative)
    return _share(share, (share / factor, share * factor), n, level, about)


def money_sum(
    amount: float, squares: float, n: int, *, level: float = 0.95, **about: Unpack[About]
) -> Estimate:
    """Estimate the sum of chance movements, such as a month's net new revenue (compound Poisson).

    Example:
        >>> money_sum(900, 10_000, 25, unit="money:EUR").low.__round__()
        704
    """
    half = z_value(level) * math.sqrt(squares)
    return Estimate(float(amount), amount - half, amount + half, n=int(n), level=level, **about)


def quick_ratio(
    gains: float, gain_squares: float, losses: float, loss_squares: float, n: int, *,
    level: float = 0.95, **about: Unpack[About],
) -> Estimate:  # fmt: skip
    """Estimate how many times what was lost has been gained, by n movements; NaN where nothing was lost.

    Gains are new, reactivated and expanded revenue, losses churned and contracted revenue, both positive and
    with their sums of squares. The interval is symmetric on the logarithm.

    Example:
        >>> ratio = quick_ratio(400, 4_000, 200, 2_000, 60)
        >>> round(ratio.value, 2), round(ratio.low, 2), round(ratio.high, 2)
        (2.0, 1.15, 3.48)
    """
    about.setdefault("unit", "ratio")
    if losses <= 0:
        return Estimate(NAN, n=int(n), level=level, **about)
    ratio = gains / losses
    if gains <= 0:
        return Estimate(ratio, 0.0, NAN, n=int(n), level=level, **about)
    # The squares are estimates themselves, and poor ones where a few movements make up the sum: hence
    # Student's t, with Satterthwaite's degrees of freedom from the effective numbers of movements.
    up, down = gain_squares / gains**2, loss_squares / losses**2
    freedom = max((up + down) ** 2 / (up**3 + down**3), 1.0)
    factor = math.exp(float(stats.t.ppf(0.5 + level / 2, freedom)) * math.sqrt(up + down))
    return Estimate(ratio, ratio / factor, ratio * factor, n=int(n), level=level, **about)


def mean(value: float, spread: float, n: int, *, level: float = 0.95, **about: Unpack[About]) -> Estimate:
    """Give a mean its interval from the standard deviation and the count (Student's t).

    Example:
        >>> average = mean(1000.0, 300.0, 100)
        >>> round(average.low, 1), round(average.high, 1)
        (940.5, 1059.5)
    """
    if n < 2 or math.isnan(spread):
        return Estimate(value if n else NAN, n=int(n), level=level, **about)
    half = float(stats.t.ppf(0.5 + level / 2, n - 1)) * spread / math.sqrt(n)
    return Estimate(value, value - half, value + half, n=int(n), level=level, **about)


def paired_means(
    now: tuple[float, float, float],
    then: tuple[float, float, float],
    both: tuple[float, float, float, float],
    *,
    level: float = 0.95,
    **about: Unpack[About],
) -> Estimate:
    """Estimate the difference of two means that partly rest on the same customers.

    With m2 the mean of those counted now and m1 of those counted then, each customer adds to it
    ``d = (x2 - m2) / n2 - (x1 - m1) / n1``, a part being 0 where the customer is not counted; its variance is
    the sum of the squares of d (linearized, Cochran 1977, section 6.5). `now` and `then` are the number of
    customers, the sum of x and that of its squares; `both`, of those counted both times, their number, the
    sums of x now and then, and the sum of products.

    Example:
        >>> same = paired_means((100, 50.0, 50.0), (100, 40.0, 40.0), (100, 50.0, 40.0, 40.0))
        >>> alone = paired_means((100, 50.0, 50.0), (100, 40.0, 40.0), (0, 0.0, 0.0, 0.0))
        >>> round(same.value, 2), round(same.low, 3), round(alone.low, 3)
        (0.1, 0.041, -0.037)
    """
    if now[0] < 2 or then[0] < 2:
        return Estimate(NAN, level=level, **about)
    (n2, sum2, squares2), (n1, sum1, squares1) = now, then
    m2, m1 = sum2 / n2, sum1 / n1
    shared = both[3] - m1 * both[1] - m2 * both[2] + m1 * m2 * both[0]
    variance = (squares2 - n2 * m2**2) / n2**2 + (squares1 - n1 * m1**2) / n1**2 - 2 * shared / (n1 * n2)
    half = z_value(level) * math.sqrt(max(variance, 0.0))
    return Estimate(m2 - m1, m2 - m1 - half, m2 - m1 + half, level=level, **about)


def median_of_counts(
    values: Any, counts: Any, n: int | None = None, *, level: float = 0.95, **about: Unpack[About]
) -> Estimate:
    """Estimate the median of values, each with its count, with the interval of its order statistics.

    Where fewer independent things are counted than the counts add up to, as sessions of the same user are
    alike, `n` is their number.

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
        return Estimate(NAN, n=0, level=level, **about)
    size = total if n is None else min(n, total)
    half = z_value(level) / (2 * math.sqrt(max(size, 1.0)))

    def at(share: float) -> float:
        place = int(np.searchsorted(reached, min(max(share, 0.0), 1.0) * total, side="left"))
        return float(values[min(place, len(values) - 1)])

    return Estimate(at(0.5), at(0.5 - half), at(0.5 + half), n=int(size), level=level, **about)


def _share(value: float, ends: tuple[Any, Any], n: int, level: float, about: About) -> Estimate:
    about.setdefault("unit", "percent")
    return Estimate(value, float(ends[0]), float(ends[1]), n=int(n), level=level, **about)
