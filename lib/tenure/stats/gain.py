"""What better retention is worth: hazards lowered in proportion, from a life table of counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from tenure.errors import InputError
from tenure.stats.lifetable import (
    Array,
    check_horizon,
    check_level,
    group_table,
    hazards,
    product_limit,
    spelled,
    validate,
    z_value,
)
from tenure.stats.survival import late_start_notes


@dataclass(frozen=True, eq=False)
class RetentionValue:
    """What better retention is worth.

    Attributes:
        table: A row for each group: `group`, `n`, `events` (within the horizon), `churn` (average per
            paid period), `churn_improved`, `periods` (paid periods to expect of a new subscriber),
            `periods_improved`, `gain`, `gain_low`, `gain_high` (paid periods gained), `money`, `money_low`,
            `money_high` (gain times the value of a period). NaN where it cannot be said; `notes` says why.
        horizon: The horizon, in periods.
        improvement: Points taken off the average churn, as a share.
        value_per_period: Money a subscriber brings in a period.
        level: The intervals' level.
        notes: What a reader should know, in sentences.
    """

    table: pd.DataFrame
    horizon: int
    improvement: float
    value_per_period: float
    level: float
    notes: tuple[str, ...]


def retention_value(
    life: pd.DataFrame,
    *,
    value_per_period: float,
    horizon: int,
    improvement: float = 0.01,
    level: float = 0.95,
) -> RetentionValue:
    """Estimate what taking some points off the churn is worth for each new subscriber.

    A new subscriber begins, and pays for, E = S(0) + ... + S(h - 1) periods within the horizon h; the
    average churn is c = (1 - S(h)) / E, those lost for each period paid. All hazards are lowered in the
    same proportion, to lambda h_j, such that c falls by `improvement`; the gain is the rise of E. (Taking
    the points off each period's own hazard, but not below 0, would make little of annual plans, and its
    estimate is badly biased where a period has few events.) The hazards are independent with variance
    h_j (1 - h_j) / n_j; the delta method gives the interval, with the derivative of lambda from
    c(lambda h) = c(h) - improvement. It speaks of sampling only: that the improvement can be had, and at
    what cost, is another question. Nothing is discounted.

    Args:
        life: A life table.
        value_per_period: Money a subscriber brings in a period, such as the margin, in any unit.
        horizon: Whole periods from 1 up.
        improvement: Points off the average churn, as a share: 0.01 is one point.
        level: Level of the intervals.

    Returns:
        Paid periods and money gained for each new subscriber, by group.

    Raises:
        InputError: The life table or an option is not as it should be.

    Example:
        >>> life = pd.DataFrame(dict(period=[1, 2, 3, 4], at_risk=[1000, 900, 810, 729],
        ...                          events=[100, 90, 81, 73], censored=[0, 0, 0, 656]))
        >>> value = retention_value(life, value_per_period=10.0, horizon=4)
        >>> value.table[["churn", "periods", "periods_improved", "gain", "money"]].round(4)
           churn  periods  periods_improved    gain   money
        0    0.1    3.439            3.4917  0.0527  0.5266
    """
    check_level(level)
    check_horizon(horizon)
    if not 0 < improvement < 1:
        raise InputError(
            f"`improvement` must be a share between 0 and 1, such as 0.01 for a point; it is {improvement!r}."
        )
    if not np.isfinite(value_per_period):
        raise InputError(f"`value_per_period` must be an amount of money; it is {value_per_period!r}.")
    counts = validate(life)
    hazard = _padded(hazards(counts), horizon)
    unobserved = (counts.last < horizon) & (product_limit(counts)[:, -1] > 0)
    now = _paid(hazard)
    too_low = ~unobserved & (now.churn <= improvement)
    known = ~(unobserved | too_low)

    # The factor lambda by bisection: the average churn grows with it, from 0 to what it is.
    low, high = np.zeros(len(hazard)), np.ones(len(hazard))
    for _ in range(60):
        middle = (low + high) / 2
        above = _paid(hazard * middle[:, None]).churn > now.churn - improvement
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    factor = high[:, None]
    then = _paid(hazard * factor)
    # d lambda / dh_j, with sums over all periods of the derivatives at the lowered hazards.
    churn_rise = (then.churn_slope * hazard).sum(axis=1, keepdims=True)
    falls = now.churn_slope - factor * then.churn_slope
    factor_slope = np.divide(falls, churn_rise, out=np.zeros_like(falls), where=churn_rise > 0)
    slope = factor * then.slope - now.slope + (then.slope * hazard).sum(axis=1, keepdims=True) * factor_slope
    n = _padded(counts.at_risk, horizon)
    variance = (slope**2 * hazard * (1 - hazard) / np.where(n > 0, n, np.inf)).sum(axis=1)

    gain = np.where(known, then.periods - now.periods, np.nan)
    half = z_value(level) * np.sqrt(np.where(known, variance, np.nan))
    bounds = np.maximum(gain - half, 0), gain + half
    table = pd.DataFrame(
        {
            "group": counts.groups,
            "n": group_table(counts)["n"],
            "events": counts.events[:, :horizon].sum(axis=1).astype("int64"),
            "churn": np.where(unobserved, np.nan, now.churn),
            "churn_improved": np.where(known, now.churn - improvement, np.nan),
            "periods": np.where(unobserved, np.nan, now.periods),
            "periods_improved": np.where(known, then.periods, np.nan),
            "gain": gain,
            "gain_low": bounds[0],
            "gain_high": bounds[1],
            "money": gain * value_per_period,
            "money_low": bounds[0] * value_per_period,
            "money_high": bounds[1] * value_per_period,
        }
    )
    notes = late_start_notes(counts)
    for which, sentence in (
        (unobserved, f"Not observed for {horizon} periods"),
        (too_low, f"Average churn is no more than the improvement of {improvement:g}"),
    ):
        if which.any():
            names = spelled(name for name, marked in zip(counts.groups, which, strict=True) if marked)
            notes += (f"{sentence}: {names}.",)
    return RetentionValue(
        table=table,
        horizon=int(horizon),
        improvement=float(improvement),
        value_per_period=float(value_per_period),
        level=level,
        notes=notes,
    )


def _padded(rows: Array, width: int) -> Array:
    """The first `width` columns, with zeros where there are fewer."""
    return np.pad(rows, ((0, 0), (0, max(width - rows.shape[1], 0))))[:, :width]


@dataclass(frozen=True, eq=False)
class _Paid:
    """Paid periods E and average churn c = (1 - S(h)) / E of hazards, with their derivatives."""

    periods: Array
    churn: Array
    slope: Array
    churn_slope: Array


def _paid(hazard: Array) -> _Paid:
    stay = 1 - hazard
    after = np.cumprod(stay, axis=1)
    before = np.hstack([np.ones((len(hazard), 1)), after[:, :-1]])
    periods, left = before.sum(axis=1), 1 - after[:, -1]
    # dE/dh_j = -(S(j) + ... + S(h - 1)) / (1 - h_j); a hazard of 1 has variance 0 and needs no slope.
    right = periods[:, None] - np.cumsum(before, axis=1)
    inverse = np.divide(1, stay, out=np.zeros_like(stay), where=stay > 0)
    slope = -right * inverse
    left_slope = after[:, -1:] * inverse
    churn = left / periods
    churn_slope = (left_slope - churn[:, None] * slope) / periods[:, None]
    return _Paid(periods=periods, churn=churn, slope=slope, churn_slope=churn_slope)
