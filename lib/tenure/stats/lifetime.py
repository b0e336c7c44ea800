"""Discounted lifetimes: what a survival curve still promises, in payments or in money.

S(t) is the share still there after t periods and m(t) what a customer who is there pays at the start of
the period that follows, so that S(0) m(0) is the first payment. Later amounts are worth v^t today, with
v = 1 / (1 + rate).

`survival` is S(0), S(1), ..., one curve or one a row; what lies beyond does not count. `amounts` are m(0),
m(1), ..., of the same shape, or 1 to count payments. `rate` is the discount rate per period.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tenure.stats.lifetable import Array, ratio


def period_rate(yearly_rate: float, years: float) -> float:
    """Return the rate of a period of so many years: (1 + yearly rate)^years - 1.

    Example:
        >>> round(period_rate(0.10, 1 / 12), 5)
        0.00797
    """
    return float((1 + yearly_rate) ** years - 1)


def discount_weights(periods: int, rate: float) -> Array:
    """Return v^0, v^1, ..., v^(periods - 1).

    Example:
        >>> discount_weights(3, 0.25).tolist()
        [1.0, 0.8, 0.64]
    """
    return np.asarray((1.0 + rate) ** -np.arange(periods, dtype=float))


def discounted_lifetime(survival: Any, rate: float, amounts: Any = 1.0) -> Any:
    """Return the discounted expected lifetime (DEL) of a new customer: the sum over t >= 0 of S(t) m(t) v^t.

    Example:
        >>> round(discounted_lifetime([0.5**t for t in range(60)], 0.1), 3)
        1.833
    """
    survival = np.asarray(survival, dtype=float)
    total = (survival * amounts * discount_weights(survival.shape[-1], rate)).sum(axis=-1)
    return float(total) if total.ndim == 0 else total


def residual_lifetime(survival: Any, rate: float, amounts: Any = 1.0, *, within: int | None = None) -> Array:
    """Return discounted expected residual lifetimes (DERL), at each renewal (Fader and Hardie 2010).

    A customer about to decide on renewal n = 1, 2, ... is worth the sum over t >= n of
    S(t) / S(n - 1) m(t) v^(t - n): the payment at that renewal is not discounted. It is added up backwards,
    E(n) = S(n) / S(n - 1) (m(n) + v E(n + 1)).

    Args:
        within: Count only so many payments from each renewal on; None: all.

    Returns:
        The values for n = 1, 2, ...; one fewer than the curve has points.

    Example:
        >>> residual_lifetime([0.5**t for t in range(60)], 0.1)[:2].round(3).tolist()
        [0.917, 0.917]
        >>> residual_lifetime([1.0, 0.5, 0.4, 0.3], 0.0, within=2).round(2).tolist()
        [0.9, 1.4, 0.75]
    """
    survival = np.asarray(survival, dtype=float)
    amounts = np.broadcast_to(np.asarray(amounts, dtype=float), survival.shape)
    renewed = ratio(survival[..., 1:], survival[..., :-1], 0.0)
    values, later = np.zeros_like(renewed), np.zeros(survival.shape[:-1])
    size, v = renewed.shape[-1], 1.0 / (1.0 + rate)
    for n in range(size - 1, -1, -1):
        later = renewed[..., n] * (amounts[..., n + 1] + v * later)
        values[..., n] = later
    if within is not None and within < size:
        # Less what lies beyond, for those still there then.
        there = ratio(survival[..., within:-1], survival[..., : size - within], 0.0)
        values[..., : size - within] -= there * values[..., within:] * v**within
    return values
