"""The size of an experiment: which effect it can find, and the price of looking early.

Sample sizes of means and shares are those of `statsmodels.stats.power`. `alpha` is the two-sided error of a
single look, and `power` the chance to find the effect.
"""

from __future__ import annotations

import numpy as np
from scipy import optimize, special

from tenure.errors import InputError
from tenure.result import NAN


def detectable_hazard_ratio(
    events: float, *, alpha: float = 0.05, power: float = 0.8, share: float = 0.5
) -> float:
    """Return the smallest hazard ratio above 1 that so many events find (Schoenfeld 1981).

    log ratio = (z_(1 - alpha/2) + z_power) / sqrt(share (1 - share) events), with the share of units in one
    of the two arms.

    Example:
        >>> round(detectable_hazard_ratio(65.35), 2)
        2.0
    """
    if not events > 0:
        return NAN
    return float(np.exp(z_sum(alpha, power) / np.sqrt(share * (1 - share) * events)))


def z_sum(alpha: float, power: float) -> float:
    """Return z_(1 - alpha/2) + z_power, the distance in standard errors that an effect must have."""
    return float(special.ndtri(1 - alpha / 2) + special.ndtri(power))


def peeking_error(
    looks: int, critical: float | None = None, *, alpha: float = 0.05, drift: float = 0.0
) -> float:
    """Return the chance to find a difference at any of several equally spaced looks.

    The recursion of Armitage, McPherson and Rowe (1969): the density of the sum of k normal increments
    that has stayed inside +-c sqrt(k) so far, carried from look to look by Gauss-Legendre quadrature.

    Args:
        looks: How many looks, from 1 up.
        critical: The critical value c at each look; None: the one of a single look at `alpha`.
        drift: Expected value of the statistic at the last look; 0: there is no difference.

    Returns:
        A probability: the rate of false alarms if `drift` is 0, the power otherwise.

    Example:
        >>> [round(peeking_error(k), 3) for k in (1, 5, 10, 20)]
        [0.05, 0.142, 0.193, 0.248]
    """
    if looks < 1:
        raise InputError(f"`looks` must be a whole number from 1 up; it is {looks!r}.")
    c = float(special.ndtri(1 - alpha / 2)) if critical is None else critical
    mu = drift / np.sqrt(looks)
    nodes, weights = np.polynomial.legendre.leggauss(80)
    bound = c
    x, w = bound * nodes, bound * weights
    density = np.exp(-((x - mu) ** 2) / 2) / np.sqrt(2 * np.pi)
    for k in range(2, looks + 1):
        bound = c * np.sqrt(k)
        y, v = bound * nodes, bound * weights
        step = np.exp(-((y[:, None] - x[None, :] - mu) ** 2) / 2) / np.sqrt(2 * np.pi)
        density = step @ (w * density)
        x, w = y, v
    return float(1 - w @ density)


def peeking_critical(looks: int, *, alpha: float = 0.05) -> float:
    """Return the critical value for each of several looks that keeps the error at alpha (Pocock 1977).

    Example:
        >>> round(peeking_critical(5), 3)
        2.413
    """
    return float(optimize.brentq(lambda c: peeking_error(looks, c) - alpha, 1.0, 6.0))


def peeking_price(looks: int, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """Return how many times the units are needed, at most, to look several times (Pocock).

    Example:
        >>> round(peeking_price(5), 2)
        1.23
    """
    critical = peeking_critical(looks, alpha=alpha)
    drift = optimize.brentq(lambda d: peeking_error(looks, critical, drift=d) - power, 0.5, 8.0)
    return float((drift / z_sum(alpha, power)) ** 2)
