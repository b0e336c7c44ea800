"""The design of an experiment: how many units, which effect they can find, and the price of looking early."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import optimize, special

from tenure.errors import InputError
from tenure.models.experiments import arm_means
from tenure.models.survival import restricted_mean


def sample_size_means(
    effect_size: float, *, alpha: float = 0.05, power: float = 0.8, ratio: float = 1.0
) -> float:
    """Return the units an arm needs for a standardized difference, by the t test (statsmodels).

    Args:
        effect_size: Difference over standard deviation.
        alpha: Two-sided error.
        power: Chance to find the difference.
        ratio: Units of the other arm for each of this one.

    Example:
        >>> round(sample_size_means(0.5), 4)
        63.7656
    """
    from statsmodels.stats.power import TTestIndPower

    return float(TTestIndPower().solve_power(effect_size, power=power, alpha=alpha, ratio=ratio))


def sample_size_shares(
    control: float, variant: float, *, alpha: float = 0.05, power: float = 0.8, ratio: float = 1.0
) -> float:
    """Return the units an arm needs to tell two shares apart, on the arcsine scale (Cohen 1988).

    n = (z_alpha/2 + z_power)^2 (1 + 1/ratio) / h^2 with h = 2 asin sqrt(p1) - 2 asin sqrt(p0).

    Example:
        >>> round(sample_size_shares(0.10, 0.12), 1)
        3834.6
    """
    h = 2 * np.arcsin(np.sqrt(variant)) - 2 * np.arcsin(np.sqrt(control))
    return float(_z_sum(alpha, power) ** 2 * (1 + 1 / ratio) / h**2)


def schoenfeld_events(
    hazard_ratio: float, *, alpha: float = 0.05, power: float = 0.8, share: float = 0.5
) -> float:
    """Return the events needed to find a hazard ratio (Schoenfeld 1981).

    Args:
        hazard_ratio: The ratio to find.
        alpha: Two-sided error.
        power: Chance to find it.
        share: Share of units in one of the two arms.

    Example:
        >>> round(schoenfeld_events(0.5), 2)
        65.35
    """
    return float(_z_sum(alpha, power) ** 2 / (share * (1 - share) * np.log(hazard_ratio) ** 2))


def detectable_hazard_ratio(
    events: float, *, alpha: float = 0.05, power: float = 0.8, share: float = 0.5
) -> float:
    """Return the smallest hazard ratio above 1 that so many events find; the inverse of `schoenfeld_events`.

    Example:
        >>> round(detectable_hazard_ratio(schoenfeld_events(1.25)), 2)
        1.25
    """
    if not events > 0:
        return float("nan")
    return float(np.exp(_z_sum(alpha, power) / np.sqrt(share * (1 - share) * events)))


def detectable_effect(
    moments: pd.DataFrame,
    measure: str,
    *,
    control: str,
    n_arm: float,
    alpha: float = 0.05,
    power: float = 0.8,
) -> float:
    """Return the smallest lift that so many units an arm find with the given power.

    (z_alpha/2 + z_power) sqrt(2 v / n) / mean, with the control's mean and variance v.

    Returns:
        The relative difference; NaN where the control's mean is not above 0.
    """
    base = arm_means(moments, measure, control)[control]
    if not base.mean > 0 or not n_arm > 0:
        return float("nan")
    return float(_z_sum(alpha, power) * np.sqrt(2 * base.variance / n_arm) / base.mean)


def _z_sum(alpha: float, power: float) -> float:
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
        alpha: Two-sided error of a single look.
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
    return float((drift / _z_sum(alpha, power)) ** 2)


def looking_early(looks: int, *, alpha: float = 0.05) -> dict[str, str]:
    """Return in words what several looks do to a test made for one: `looks`, `error` and `price`.

    Example:
        >>> looking_early(5)
        {'looks': '5', 'error': '14.2%', 'price': '1.23'}
    """
    error, price = peeking_error(looks, alpha=alpha), peeking_price(looks, alpha=alpha)
    return {"looks": str(looks), "error": f"{error:.1%}", "price": f"{price:.2f}"}


def design_table(
    moments: pd.DataFrame,
    measures: Sequence[str],
    *,
    control: str,
    weekly_units: float,
    smallest_lift: float,
    looks: int = 1,
    alpha: float = 0.05,
    power: float = 0.8,
) -> pd.DataFrame:
    """Say what an experiment can find, and for how long it would have to run to find what matters.

    Args:
        moments: Sums by variant.
        measures: Measures.
        control: The control.
        weekly_units: Units that come in a week, over all variants.
        smallest_lift: The smallest relative difference that matters.
        looks: How often results are looked at; more than once needs more units (Pocock).
        alpha: Two-sided error.
        power: Chance to find a difference.

    Returns:
        A row a measure: `measure`, `detectable` (smallest lift found with the units there are), `units` (an
        arm needs to find `smallest_lift`), `weeks` (whole ones until all arms have them). NaN where the
        control's mean is not above 0.
    """
    n_arm, price = float(moments["n"].min()), _price_of_looks(looks, alpha, power)
    found = {
        measure.replace("_", " "): detectable_effect(
            moments, measure, control=control, n_arm=n_arm / price, alpha=alpha, power=power
        )
        for measure in measures
    }
    return _plan(found, n_arm, moments["variant"].nunique(), weekly_units, smallest_lift)


def staying_design(
    life: pd.DataFrame,
    units: pd.Series,
    *,
    control: str,
    horizon: int,
    weekly_units: float,
    smallest_lift: float,
    looks: int = 1,
    alpha: float = 0.05,
    power: float = 0.8,
) -> pd.DataFrame:
    """Say what an experiment can find of how long subscribers stay: the survival rows of `design_table`.

    The chance to leave is compared by the log-rank test, which needs events and not units (Schoenfeld 1981);
    months paid within a horizon by the restricted mean, whose error falls with the square root of the units.
    Both suppose that units subscribe, and leave while they are watched, as those of the control have so far.

    Args:
        life: A life table with a group for each variant (see `tenure.models.survival`).
        units: Units by variant, whether they subscribed or not.
        control: The control.
        horizon: Months of the restricted mean; no longer than the control was watched.
        weekly_units: Units that come in a week, over all variants.
        smallest_lift: The smallest relative difference that matters.
        looks: How often results are looked at; more than once needs more units (Pocock).
        alpha: Two-sided error.
        power: Chance to find a difference.

    Returns:
        Two rows, `chance to leave` and `months paid by a subscriber`, with the columns of `design_table`. NaN
        where nobody has left yet.

    Example:
        >>> life = pd.DataFrame(dict(group="control", period=[1, 2], at_risk=[500, 300], events=[100, 60],
        ...                          censored=[100, 240]))
        >>> plan = staying_design(life, pd.Series({"control": 5000, "new": 5000}), control="control",
        ...                       horizon=2, weekly_units=1000, smallest_lift=0.25)
        >>> plan.round(3).to_numpy().tolist()
        [['chance to leave', 0.368, 9852.0, 20.0], ['months paid by a subscriber', 0.039, 125.0, 1.0]]
    """
    n_arm, price = float(units.min()), _price_of_looks(looks, alpha, power)
    own = life[life["group"] == control]
    events = float(own["events"].sum()) / float(units[control])  # of a unit
    hazard_ratio = detectable_hazard_ratio(2 * n_arm * events / price, alpha=alpha, power=power)
    months = float("nan")
    if events:
        mean = restricted_mean(own, horizon).table.iloc[0]
        error = mean["standard_error"] * np.sqrt(units[control] / n_arm)
        months = float(_z_sum(alpha, power) * np.sqrt(2 * price) * error / mean["value"])
    # Errors of hazard ratios are those of their logarithms.
    leaving = _plan(
        {"chance to leave": hazard_ratio - 1}, n_arm, len(units), weekly_units, smallest_lift, np.log1p
    )
    staying = _plan({"months paid by a subscriber": months}, n_arm, len(units), weekly_units, smallest_lift)
    return pd.concat([leaving, staying], ignore_index=True)


def _price_of_looks(looks: int, alpha: float, power: float) -> float:
    return peeking_price(looks, alpha=alpha, power=power) if looks > 1 else 1.0


def _plan(
    detectable: Mapping[str, float],
    n_arm: float,
    arms: int,
    weekly_units: float,
    smallest_lift: float,
    scale: Callable[[float], float] = float,
) -> pd.DataFrame:
    """The rows of a design: what is found falls with the square root of the units, on the scale given."""
    rows = []
    for measure, found in detectable.items():
        units = n_arm * (scale(found) / scale(smallest_lift)) ** 2 if smallest_lift > 0 else float("nan")
        weeks = units * arms / weekly_units if weekly_units > 0 else float("nan")
        rows.append((measure, found, np.ceil(units), np.ceil(weeks)))
    return pd.DataFrame(rows, columns=["measure", "detectable", "units", "weeks"])
