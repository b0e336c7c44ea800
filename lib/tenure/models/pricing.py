"""Demand and lifetimes by price, and the price that earns most.

Prices and money are in minor units of `currency`; empty: in any unit. `earned` is what a paid month leaves,
`level` that of the intervals, `draws` how many draws they are made of.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import optimize, special

from tenure.errors import InputError, NotApplicable
from tenure.models.visitor import DIFFERENCES, Earnings
from tenure.money import minor_units, unit_of
from tenure.result import NAN, Estimate, Table, from_ends
from tenure.stats.comparison import compare_shares
from tenure.stats.lifetable import Array, check_horizon, check_level, chi2_p, spelled, validate, z_value

DRAWS = 4000
SEED = 20260


# --- demand and lifetimes by price ---------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Demand:
    """Conversion by price: p(x) = 1 / (1 + exp(-(a - b x))).

    Attributes:
        a: The intercept.
        b: The slope: how fast demand falls.
        covariance: Of (a, b), shape (2, 2).
        table: A row per price: `price`, `n`, `converted`.
        lack_of_fit: P-value of the deviance against one conversion for each price; NaN with two prices.
    """

    a: float
    b: float
    covariance: Array
    table: pd.DataFrame
    lack_of_fit: float


def logit_demand(counts: pd.DataFrame) -> Demand:
    """Fit conversion to price, by logistic regression on counts (statsmodels).

    Args:
        counts: Columns `price`, `n`, `converted`.

    Returns:
        The demand curve. A slope that is not clearly above 0 means that the experiment cannot tell how
        demand responds to price.

    Raises:
        NotApplicable: There are fewer than two prices, or one price separates all who subscribed from the
            others.

    Example:
        >>> counts = pd.DataFrame({"price": [5., 10., 15.], "n": [1000] * 3, "converted": [735, 496, 270]})
        >>> demand = logit_demand(counts)
        >>> round(demand.a, 2), round(demand.b, 2)
        (2.02, 0.2)
    """
    import statsmodels.api as sm

    table = counts[["price", "n", "converted"]].astype(float).groupby("price").sum().reset_index()
    table = table[table["n"] > 0].reset_index(drop=True)
    if len(table) < 2:
        raise NotApplicable(
            f"Demand by price needs two prices or more, with visitors; there are {len(table)}."
        )
    price, n, x = (table[name].to_numpy() for name in ("price", "n", "converted"))
    bought, left = price[x > 0], price[x < n]
    if not (len(bought) and len(left)) or bought.max() <= left.min() or left.max() <= bought.min():
        raise NotApplicable(
            "Demand by price needs prices at which some subscribed and some did not; "
            f"{x.sum():.0f} of {n.sum():.0f} visitors did."
        )
    weight, outcome = np.r_[x, n - x], np.repeat([1.0, 0.0], len(table))
    design = np.column_stack([np.ones(len(weight)), -np.tile(price, 2)])
    there = weight > 0
    model = sm.GLM(outcome[there], design[there], sm.families.Binomial(), freq_weights=weight[there])
    fit = model.fit(tol=1e-12)
    fitted = special.expit(fit.params[0] - fit.params[1] * price)
    deviance = 2 * (special.xlogy(x, x / n / fitted) + special.xlogy(n - x, (1 - x / n) / (1 - fitted))).sum()
    return Demand(
        a=float(fit.params[0]),
        b=float(fit.params[1]),
        covariance=np.asarray(fit.cov_params()),
        table=table,
        lack_of_fit=chi2_p(float(deviance), len(table) - 2),
    )


@dataclass(frozen=True, eq=False)
class Staying:
    """Survival by price: S(t | x) = exp(-sum over k <= t of exp(alpha_k + g (x - center))).

    Attributes:
        g: What a unit of price adds to the logarithm of the hazard.
        standard_error: Of g.
        alpha: Baseline of the periods with events, shape (events,).
        periods: Those periods.
        last: The last period observed.
        center: The price of the baseline.
        covariance: Of (alpha, g).
        n: How many subscribers.
        lack_of_fit: P-value of the deviance against one effect for each price; NaN with two prices.
    """

    g: float
    standard_error: float
    alpha: Array
    periods: Array
    last: int
    center: float
    covariance: Array
    n: int
    lack_of_fit: float

    def hazard_ratio(self, step: float = 1.0, *, level: float = 0.95) -> Estimate:
        """Return how many times as likely to leave subscribers are at a price higher by a step."""
        half = z_value(level) * self.standard_error
        ends = (float(np.exp(step * x)) for x in (self.g, self.g - half, self.g + half))
        return from_ends(ends, n=self.n, of="subscriber", unit="ratio", level=level)


def _survival(alpha: Array, g: Array, staying: Staying, price: Array, horizon: int) -> Array:
    """Curves of draws of the parameters: shape (draws, prices, horizon)."""
    if horizon > staying.last + 1:
        raise InputError(
            f"`horizon` is {horizon} periods, but subscribers were observed for {staying.last} only: a value "
            f"beyond {staying.last + 1} would be extrapolated. Choose a shorter horizon, or wait."
        )
    base = np.zeros((len(alpha), max(horizon, staying.last + 1)))
    base[:, staying.periods] = np.exp(alpha)
    cumulative = np.cumsum(base, axis=1)[:, :horizon]
    ratio = np.exp(g[:, None] * (np.asarray(price, dtype=float)[None] - staying.center))
    return np.exp(-ratio[:, :, None] * cumulative[:, None, :])


def hazard_by_price(life: pd.DataFrame, prices: Mapping[str, float]) -> Staying:
    """Fit how the hazard of churn in a period depends on the price, hazards being proportional.

    A binomial regression of events on numbers at risk with the complementary log-log link: a separate
    baseline for each period and one slope for price, which is Cox's model seen in whole periods
    (Prentice and Gloeckler 1978). Periods in which nobody left have hazard 0. The life table has a group for
    each variant, `prices` the price of each.

    Raises:
        InputError: A group has no price.
        NotApplicable: There is one price only, or nobody left.
    """
    import statsmodels.api as sm

    counts = validate(life)
    unknown = [name for name in counts.groups if name not in prices]
    if unknown:
        raise InputError(f"The variants {spelled(unknown)} have no price: give one to each.")
    price = np.array([float(prices[name]) for name in counts.groups])
    if len(set(price)) < 2:
        raise NotApplicable("How lifetimes depend on price needs two prices or more; there is one.")
    cells = pd.MultiIndex.from_product([price, counts.periods], names=["price", "period"]).to_frame(
        index=False
    )
    cells = cells.assign(events=counts.events.ravel(), at_risk=counts.at_risk.ravel())
    cells = cells.groupby(["price", "period"], as_index=False).sum().query("at_risk > 0")
    last, left = int(cells["period"].max()), cells.groupby("period")["events"].sum()
    periods = left.index[left > 0].to_numpy()
    if len(periods) == 0:
        raise NotApplicable("How lifetimes depend on price cannot be said: nobody has left yet.")
    cells = cells[cells["period"].isin(periods)]
    x, n = cells["price"].to_numpy(), cells["at_risk"].to_numpy()
    # A period in which all left has an infinite baseline; half an event keeps it finite.
    events = np.minimum(cells["events"], n - np.where(n == cells["events"], 0.5, 0))
    outcome, center = np.column_stack([events, n - events]), float((x * n).sum() / n.sum())
    baseline = (cells["period"].to_numpy()[:, None] == periods[None]).astype(float)
    family = sm.families.Binomial(link=sm.families.links.CLogLog())
    fit = sm.GLM(outcome, np.column_stack([baseline, x - center]), family=family).fit()
    p, levels = NAN, np.unique(x)
    if len(levels) > 2 and len(cells) > len(periods) + 1:
        each = np.column_stack([baseline, x[:, None] == levels[None, 1:]])
        lack = fit.deviance - sm.GLM(outcome, each, family=family).fit().deviance
        p = chi2_p(float(lack), len(levels) - 2)
    return Staying(
        g=float(fit.params[-1]),
        standard_error=float(fit.bse[-1]),
        alpha=np.asarray(fit.params[:-1]),
        periods=periods,
        last=last,
        center=center,
        covariance=np.asarray(fit.cov_params()),
        n=int((counts.events + counts.censored).sum()),
        lack_of_fit=p,
    )


# --- the best price ----------------------------------------------------------------------------------


def best_price(value: Callable[[float], float], low: float, high: float) -> tuple[float, float]:
    """Return the price between two that is worth most, and what it is worth.

    At its best a worth hardly changes with the price, so that the last digits of a processor decide where a
    search ends. A polynomial through seven prices around it, whose ends are apart, does not depend on them.

    Example:
        >>> price, worth = best_price(lambda x: x * (10 - x), 0, 10)
        >>> round(price, 4), round(worth, 4)
        (5.0, 25.0)
    """
    if not low < high:
        raise InputError(f"The lowest price {low!r} must lie below the highest, {high!r}.")
    grid = np.linspace(low, high, 201)
    worth = np.array([value(float(x)) for x in grid])
    k = int(worth.argmax())
    found = optimize.minimize_scalar(
        lambda x: -value(float(x)),
        bounds=(grid[max(k - 1, 0)], grid[min(k + 1, 200)]),
        method="bounded",
        options={"xatol": 1e-9 * (high - low)},
    )
    at, step = float(found.x), 1e-3 * (high - low)
    if low + 3 * step < at < high - 3 * step:
        near = at + step * np.arange(-3, 4)
        curve = np.polynomial.Polynomial.fit(near, [value(float(x)) for x in near], 6)
        tops = [float(x) for x in np.real(curve.deriv().roots()) if abs(float(x) - at) < step]
        at = min(tops, key=lambda x: abs(x - at), default=at)
    return max((float(grid[k]), float(worth[k])), (at, value(at)), key=lambda best: best[1])


@dataclass(frozen=True, eq=False)
class ProfitCurve:
    """What a visitor is worth at each price.

    Attributes:
        table: A row per price: `price`, `conversion`, `months` (discounted, paid by a subscriber), `value`
            (margin of a visitor) with its interval, and `value_churn_ignored`.
        best: The best price, compared with today's; its case is "edge" where it may lie beyond the range.
        value: A visitor's value at the best price.
        cost_of_naive: What each visitor loses by the price that would be best if churn did not depend on
            price: its word `naive`.
        hazard_ratio: How many times as likely to leave subscribers are at a price higher by a unit of its
            currency; its case is "fits" or "does not fit".
        at_edge: The share of draws whose best price lies at an end of the range.
        draws: Prices' worth in each draw of the parameters, shape (draws, prices), for comparisons.
        horizon: The horizon, in months.
        level: The intervals' level.
    """

    table: Table
    best: Estimate
    value: Estimate
    cost_of_naive: Estimate
    hazard_ratio: Estimate
    at_edge: float
    draws: Array
    horizon: int
    level: float

    def value_at(self, price: float) -> float:
        """Return a visitor's value at a price within the curve's range."""
        return float(np.interp(price, self.table.frame["price"], self.table.frame["value"]))

    def differences(self, prices: Mapping[str, float], control: str) -> pd.DataFrame:
        """Return by variant the value at its price less that at the control's, by the fitted curves.

        `prices` has the price of each variant, within the curve's range.
        """
        grid, rows, today = self.table.frame["price"].to_numpy(), [], prices[control]
        for name, price in prices.items():
            if name != control:
                moved = _interpolate(grid, self.draws, price) - _interpolate(grid, self.draws, today)
                ends = np.quantile(moved, [(1 - self.level) / 2, (1 + self.level) / 2])
                rows.append((name, self.value_at(price) - self.value_at(today), *ends, moved.std(ddof=1)))
        return pd.DataFrame(rows, columns=DIFFERENCES)


def profit_curve(
    demand: Demand,
    staying: Staying,
    earned: Earnings,
    *,
    horizon: int,
    low: float | None = None,
    high: float | None = None,
    today: float | None = None,
    currency: str = "",
    level: float = 0.95,
    draws: int = DRAWS,
) -> ProfitCurve:
    """Estimate what a visitor is worth at each price, and which price is worth most.

    Value = conversion(x) m(x) sum over t < horizon of S(t | x) v(t), m(x) being what a paid month leaves and
    v the discount. Intervals are percentiles over draws of the parameters from their normal distributions
    (Krinsky and Robb 1986), with a fixed seed; those of the best price say where it may lie *within the
    range*.

    Args:
        horizon: Months from 1 up, no more than were observed, plus one.
        low: The lowest price; None: the lowest tested. Beyond the tested ones is extrapolation.
        high: The highest price; None: the highest tested.
        today: Today's price, to compare the best one with; None: it is not compared.

    Raises:
        InputError: The horizon was not observed, or the range is empty.
    """
    check_level(level)
    check_horizon(horizon)
    tested = demand.table["price"]
    low, high = float(tested.min() if low is None else low), float(tested.max() if high is None else high)
    weights = earned.discount(horizon)

    def worth(price: Array, a: Array, b: Array, alpha: Array, g: Array) -> tuple[Array, Array]:
        kept = _survival(alpha, g, staying, price, horizon) @ weights
        return special.expit(a[:, None] - b[:, None] * price) * earned.left(price) * kept, kept

    point = (np.array([demand.a]), np.array([demand.b]), staying.alpha[None], np.array([staying.g]))
    flat = (*point[:3], np.zeros(1))
    best, value = best_price(lambda x: float(worth(np.array([x]), *point)[0][0, 0]), low, high)
    naive, _ = best_price(lambda x: float(worth(np.array([x]), *flat)[0][0, 0]), low, high)
    rng = np.random.default_rng(SEED)
    ab = normal_draws(rng, np.array([demand.a, demand.b]), demand.covariance, draws)
    ag = normal_draws(rng, np.array([*staying.alpha, staying.g]), staying.covariance, draws)
    grid = np.linspace(low, high, 121)
    parts = np.array_split(np.arange(draws), max(draws // 500, 1))
    sampled = np.concatenate(
        [worth(grid, ab[k, 0], ab[k, 1], ag[k, :-1], ag[k, -1])[0] for k in parts if len(k)]
    )
    best_draws, step = _parabola(grid, sampled), grid[1] - grid[0]
    at_best = _interpolate(grid, sampled, best)
    at_edge = float(((best_draws <= low + step / 2) | (best_draws >= high - step / 2)).mean())
    curve, kept = worth(grid, *point)
    band = np.quantile(sampled, [(1 - level) / 2, (1 + level) / 2], axis=0)
    table = {"price": grid, "conversion": special.expit(demand.a - demand.b * grid), "months": kept[0]}
    table |= {"value": curve[0], "value_low": band[0], "value_high": band[1]}
    table |= {"value_churn_ignored": worth(grid, *flat)[0][0]}
    price_unit = unit_of(currency)
    units = {"price": price_unit, "conversion": "percent", "months": "months"}
    units |= dict.fromkeys(("value", "value_churn_ignored"), earned.unit)

    def estimate(value: float, rows: Array, unit: str, case: str = "") -> Estimate:
        low, high = map(float, np.quantile(rows, [(1 - level) / 2, (1 + level) / 2]))
        about: dict[str, Any] = {"n": int(demand.table["n"].sum()), "of": "visitor", "sample": "visitors"}
        return Estimate(value, low, high, unit=unit, level=level, case=case, **about)

    lost = value - float(worth(np.array([naive]), *point)[0][0, 0])
    cost = estimate(lost, at_best - _interpolate(grid, sampled, naive), earned.unit)
    found = estimate(best, best_draws, price_unit, "edge" if at_edge > 1 - level else "")
    found = found.saying(months=Estimate(horizon, unit="months", exact=True))
    if today is not None:
        found = found.against(Estimate(today, unit=price_unit, exact=True, sample="today"), "the control")
    fits = not (demand.lack_of_fit <= 0.05 or staying.lack_of_fit <= 0.05)
    ratio = staying.hazard_ratio(minor_units(currency), level=level)
    return ProfitCurve(
        table=Table(pd.DataFrame(table), units),
        best=found,
        value=estimate(value, at_best, earned.unit),
        cost_of_naive=cost.saying(naive=Estimate(naive, unit=price_unit)),
        at_edge=at_edge,
        draws=sampled,
        horizon=int(horizon),
        hazard_ratio=ratio.saying("fits" if fits else "does not fit"),
        level=level,
    )


def price_curve(
    offered: pd.DataFrame,
    life: pd.DataFrame,
    earned: Earnings,
    control: str,
    extrapolate: float = 0.0,
    *,
    horizon: int,
    currency: str = "",
    level: float = 0.95,
) -> ProfitCurve:
    """Fit demand and lifetimes by price, and return what a visitor is worth at each price.

    Conversion is a logit of the price (`logit_demand`), the hazard proportional in it (`hazard_by_price`);
    for the worth, in the prices' unit, see `profit_curve`.

    Args:
        offered: Columns `variant`, `price`, `n`, `converted`.
        life: As for `hazard_by_price`.
        control: The variant with today's price.
        horizon: Months; where less was observed, up to the longest observed.
        extrapolate: How far above the tested prices to look, as a share of the highest.

    Raises:
        NotApplicable: Demand or lifetimes by price cannot be told.
    """
    prices = dict(zip(offered["variant"], offered["price"], strict=True))
    staying = hazard_by_price(life, prices)
    within, high = min(horizon, staying.last + 1), max(prices.values()) * (1 + extrapolate)
    about: dict[str, Any] = {"today": float(prices[control]), "currency": currency, "level": level}
    return profit_curve(logit_demand(offered), staying, earned, horizon=within, high=high, **about)


def normal_draws(rng: np.random.Generator, mean: Array, covariance: Array, draws: int) -> Array:
    """Draw from a multivariate normal distribution, the same in whatever unit its variables are.

    The covariance has the shape (k, k), the result (draws, k).
    """
    scale = np.sqrt(np.diag(covariance))
    scale = np.where(scale > 0, scale, 1.0)
    # The triangular factor of the correlations stays the same when a variable is measured in cents.
    factor = np.linalg.cholesky(covariance / np.outer(scale, scale) + 1e-12 * np.eye(len(scale)))
    return mean + (rng.standard_normal((draws, len(scale))) @ factor.T) * scale


def _interpolate(grid: Array, rows: Array, price: float) -> Array:
    k = int(np.clip(np.searchsorted(grid, price), 1, len(grid) - 1))
    w = (price - grid[k - 1]) / (grid[k] - grid[k - 1])
    return (1 - w) * rows[:, k - 1] + w * rows[:, k]


def _parabola(grid: Array, rows: Array) -> Array:
    """Where each row is largest, between the points of the grid."""
    k = rows.argmax(axis=1)
    inside = (k > 0) & (k < len(grid) - 1)
    at = np.clip(k, 1, len(grid) - 2)
    i = np.arange(len(rows))
    left, middle, right = rows[i, at - 1], rows[i, at], rows[i, at + 1]
    bend = left - 2 * middle + right
    shift = np.divide(0.5 * (left - right), bend, out=np.zeros_like(bend), where=bend < 0)
    return np.where(inside, grid[at] + np.clip(shift, -1, 1) * (grid[1] - grid[0]), grid[k])


# --- two prices --------------------------------------------------------------------------------------


def arc_elasticity(price: Sequence[float] | Array, demand: Sequence[float] | Array) -> Array:
    """Return the elasticity between neighbouring prices, on their means.

    ((q2 - q1) / (q1 + q2)) / ((p2 - p1) / (p1 + p2)) for ascending prices p and the share or number who buy
    at each, q; NaN where nobody buys at either.

    Example:
        >>> arc_elasticity([5, 7.5, 10], [0.80, 0.66, 0.50]).round(6).tolist()
        [-0.479452, -0.965517]
    """
    p, q = np.asarray(price, dtype=float), np.asarray(demand, dtype=float)
    if (np.diff(p) <= 0).any():
        raise InputError(f"Prices must ascend for an arc elasticity; they are {spelled(p.tolist())}.")
    both = q[1:] + q[:-1]
    share = np.divide(np.diff(q), both, out=np.full(len(both), np.nan), where=both != 0)
    return np.asarray(share / (np.diff(p) / (p[1:] + p[:-1])))


def elasticity_of_two(arms: pd.DataFrame, control: str, *, level: float = 0.95) -> Estimate:
    """Estimate the arc elasticity of conversion between two prices, and the break-even drop.

    With the ratio R of the conversions it is (R - 1) / (R + 1) over the same of the prices; its interval is
    made from that of R (`tenure.stats.comparison.compare_shares`). The break-even is where margin per visitor
    is alike: conversion may change by m_old E_old / (m_new E_new) - 1, m being the margin of a month and E
    the paid months.

    Args:
        arms: Rows of `VisitorValue.table`: variant, price, n, converted, margin, months_of_a_subscriber.
        control: The variant with the old price; the new one is that of the variant whose price is furthest.

    Returns:
        The elasticity; its words are `even` and `seen`: the relative change of conversion at which the new
        price earns as much as the old, and the one observed.

    Raises:
        NotApplicable: The prices are alike, or nobody subscribed at one of them.

    Example:
        >>> arms = pd.DataFrame(dict(variant=["old", "new"], price=[10, 12], n=1000, converted=[200, 170],
        ...                          margin=[6, 8], months_of_a_subscriber=[8, 7.5]))
        >>> found = elasticity_of_two(arms, "old")
        >>> round(found.value, 2), round(found.words["even"].value, 2), round(found.words["seen"].value, 2)
        (-0.89, -0.2, -0.15)
    """
    arms = arms.set_index("variant")
    old = arms.loc[control]
    new = arms.iloc[int((arms["price"] - old["price"]).abs().to_numpy().argmax())]
    if old["price"] == new["price"]:
        raise NotApplicable("All variants have the same price, so how demand depends on it cannot be said.")
    if min(old["converted"], new["converted"]) == 0:
        raise NotApplicable("An elasticity needs subscribers at both prices; one of them has none.")
    run = (new["price"] - old["price"]) / (new["price"] + old["price"])
    two = pd.DataFrame([old, new]).rename(columns={"converted": "s_converted"}).assign(variant=["old", "new"])
    lift = compare_shares(two, control="old", level=level).table.frame.iloc[0]
    value, *ends = (
        float(lift[f"lift{end}"] / (lift[f"lift{end}"] + 2) / run) for end in ("", "_low", "_high")
    )
    earned = [side["margin"] * side["months_of_a_subscriber"] for side in (old, new)]
    changes = {"even": earned[0] / earned[1] - 1, "seen": lift["lift"]}
    return from_ends(
        (value, *sorted(ends)),
        n=int(old["n"] + new["n"]),
        of="visitor",
        level=level,
        words={name: Estimate(float(change), unit="percent") for name, change in changes.items()},
    )
