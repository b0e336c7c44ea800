"""The design of an experiment: what it can find, and for how long it would have to run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from tenure.models.experiments import arm_means
from tenure.stats.power import detectable_hazard_ratio, peeking_error, peeking_price, z_sum
from tenure.stats.survival import restricted_mean


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
    return float(z_sum(alpha, power) * np.sqrt(2 * base.variance / n_arm) / base.mean)


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
        life: A life table with a group for each variant (see `tenure.stats.survival`).
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
        mean = restricted_mean(own, horizon).table.frame.iloc[0]
        error = mean["standard_error"] * np.sqrt(units[control] / n_arm)
        months = float(z_sum(alpha, power) * np.sqrt(2 * price) * error / mean["mean"])
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
