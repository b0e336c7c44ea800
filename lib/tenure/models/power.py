"""The design of an experiment: which effect the units there are can find, and what a smaller one takes.

`alpha` is the two-sided error, `power` the chance to find a difference, `control` what is compared with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from tenure.result import NAN, Estimate, Table
from tenure.stats.comparison import add_up, arm_means
from tenure.stats.power import detectable_hazard_ratio, peeking_error, peeking_price, z_sum
from tenure.stats.survival import longest_horizon, restricted_mean


def detectable_effect(
    sums: pd.DataFrame,
    measure: str,
    *,
    control: str,
    n_arm: float,
    alpha: float,
    power: float,
) -> float:
    """Return the smallest lift that so many units per arm find with the given power.

    (z_alpha/2 + z_power) sqrt(2 v / n) / mean, with the control's mean and variance v; NaN where the mean is
    not above 0.

    Example:
        >>> sums = pd.DataFrame({"variant": ["a"], "n": [1000], "s_paid": [100], "q_paid": [100]})
        >>> about = {"control": "a", "n_arm": 10_000, "alpha": 0.05, "power": 0.8}
        >>> round(detectable_effect(sums, "paid", **about), 3)
        0.119
    """
    base = arm_means(sums, measure, control)
    if not base.mean[0] > 0 or not n_arm > 0:
        return NAN
    return float(z_sum(alpha, power) * np.sqrt(2 * base.variance[0] / n_arm) / base.mean[0])


def looking_early(looks: int, *, alpha: float = 0.05) -> Estimate:
    """Return how often a test made for one look raises a false alarm at any of several.

    Its words are `looks`, and `price`: how many times the units buy so many looks (Pocock).

    Example:
        >>> found = looking_early(5)
        >>> round(found.value, 3), round(found.words["price"].value, 2)
        (0.142, 1.23)
    """
    price = Estimate(peeking_price(looks, alpha=alpha), unit="ratio", exact=True)
    error = Estimate(peeking_error(looks, alpha=alpha), unit="percent", exact=True)
    return error.saying(looks=looks, price=price)


def weekly_pace(daily: pd.DataFrame) -> Estimate:
    """Return how many units come in a week; NaN where they came on fewer than seven days.

    `daily` has a row per day and variant: `day`, `n`. Its word `days` is on how many days units came.

    Example:
        >>> weekly_pace(pd.DataFrame({"day": range(14), "n": 100})).value
        700.0
        >>> weekly_pace(pd.DataFrame({"day": [1], "n": [64_000]})).value
        nan
    """
    days, total = daily["day"].unique(), int(daily["n"].sum())
    pace = 7 * total / (days.max() - days.min() + 1) if len(days) >= 7 else NAN
    return Estimate(float(pace), n=total, of="visitor", unit="count", exact=True).saying(days=len(days))


def design(
    sums: pd.DataFrame,
    measures: Sequence[str],
    *,
    control: str,
    weekly_units: float,
    smallest_lift: float,
    life: pd.DataFrame | None = None,
    facts: pd.DataFrame | None = None,
    horizon: int = 1,
    looks: int = 1,
    alpha: float = 0.05,
    power: float = 0.8,
) -> Table:
    """Return what an experiment can find, and how long it would have to run to find what matters.

    With a life table also how long subscribers stay. The chance to leave is compared by the log-rank test,
    which needs events and not units (Schoenfeld 1981); months paid within a horizon by the restricted mean,
    whose error falls with the square root of the units. Both assume that units subscribe, and leave while
    they are observed, as those of the control have so far.

    Args:
        sums: Sums by variant.
        weekly_units: Units that come in a week, over all variants.
        smallest_lift: The smallest relative difference that matters.
        life: A life table with a group for each variant (see `tenure.stats.lifetable`); None: without.
        facts: Units by `variant`, whether they subscribed or not, for `life`; None: those of `sums`.
        horizon: Months of the restricted mean; where the control was observed for less, so long.
        looks: How often results are looked at; more than once needs more units (Pocock).

    Returns:
        A row per measure, `chance to leave` and `months paid by a subscriber`: `measure`, `detectable`
        (smallest lift found with the units there are), `units` (an arm needs to find `smallest_lift`),
        `weeks` (whole ones until all arms have them). NaN where the control's mean is not above 0, or nobody
        has left yet.

    Example:
        >>> life = pd.DataFrame(dict(group="control", period=[1, 2], at_risk=[500, 300], events=[100, 60],
        ...                          censored=[100, 240]))
        >>> sums = pd.DataFrame({"variant": ["control", "new"], "n": 5000})
        >>> plan = design(sums, [], life=life, horizon=2, control="control", weekly_units=1000,
        ...               smallest_lift=0.25)
        >>> plan.frame.round(3).to_numpy().tolist()
        [['chance to leave', 0.368, 9852.0, 20.0], ['months paid by a subscriber', 0.039, 125.0, 1.0]]
    """
    whole = add_up(sums).set_index("variant")["n"]
    price = peeking_price(looks, alpha=alpha, power=power) if looks > 1 else 1.0
    rows: list[tuple[str, float, float, float]] = []

    def plan(measure: str, found: float, sizes: pd.Series, scale: Callable[[float], float] = float) -> None:
        # What is found falls with the square root of the units, on the scale given.
        needed = float(sizes.min()) * (scale(found) / scale(smallest_lift)) ** 2 if smallest_lift > 0 else NAN
        weeks = needed * len(sizes) / weekly_units if weekly_units > 0 else NAN
        rows.append((measure, found, float(np.ceil(needed)), float(np.ceil(weeks))))

    about = {"alpha": alpha, "power": power}
    for measure in measures:
        n_arm = float(whole.min()) / price
        found = detectable_effect(sums, measure, control=control, n_arm=n_arm, **about)
        plan(measure.replace("_", " "), found, whole)
    if life is not None:
        sizes = whole if facts is None else facts.set_index("variant")["units"]
        n_arm, own = float(sizes.min()), life[life["group"] == control]
        events, months = float(own["events"].sum()) / float(sizes[control]), NAN  # of a unit
        if events:
            mean = restricted_mean(own, min(horizon, longest_horizon(own))).table.frame.iloc[0]
            error = mean["standard_error"] * np.sqrt(sizes[control] / n_arm)
            months = float(z_sum(alpha, power) * np.sqrt(2 * price) * error / mean["mean"])
        # Errors of hazard ratios are those of their logarithms.
        ratio = detectable_hazard_ratio(2 * n_arm * events / price, **about)
        plan("chance to leave", ratio - 1, sizes, np.log1p)
        plan("months paid by a subscriber", months, sizes)
    table = pd.DataFrame(rows, columns=["measure", "detectable", "units", "weeks"])
    return Table(table, {"detectable": "percent", "units": "count", "weeks": "count"})
