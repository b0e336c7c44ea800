"""Prices: demand, the price that earns most, what people say they would pay, and changes of price.

Prices, costs and values are in one unit of money, whichever it is, unless a name ends in `_minor`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import optimize, special

from tenure.errors import InputError, NotApplicable
from tenure.models.decision import discounted_curve
from tenure.stats.lifetable import Array, check_horizon, check_level, chi2_p, spelled, validate, z_value
from tenure.stats.survival import kaplan_meier

DRAWS = 4000
SEED = 20260


# --- demand and staying by price ---------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Demand:
    """Conversion by price: p(x) = 1 / (1 + exp(-(a - b x))).

    Attributes:
        a: The intercept.
        b: The slope: how fast demand falls.
        covariance: Of (a, b), shape (2, 2).
        table: A row a price: `price`, `n`, `converted`, `conversion`, `fitted`.
        lack_of_fit: P-value of the deviance against one conversion for each price; NaN with two prices.
    """

    a: float
    b: float
    covariance: Array
    table: pd.DataFrame
    lack_of_fit: float

    def conversion(self, price: Array | float) -> Array:
        """Return the share of visitors that subscribe at a price."""
        return special.expit(self.a - self.b * np.asarray(price, dtype=float))


def logit_demand(counts: pd.DataFrame) -> Demand:
    """Fit conversion to price, by logistic regression on counts (statsmodels).

    Args:
        counts: Columns `price`, `n`, `converted`; a row a price.

    Returns:
        The demand curve. A slope that is not clearly above 0 means that the experiment cannot tell how
        demand answers to price.

    Raises:
        NotApplicable: There are fewer than two prices, or all converted, or none.

    Example:
        >>> counts = pd.DataFrame({"price": [5., 10., 15.], "n": [1000] * 3, "converted": [735, 496, 270]})
        >>> demand = logit_demand(counts)
        >>> round(demand.a, 2), round(demand.b, 2)
        (2.02, 0.2)
    """
    import statsmodels.api as sm

    table = counts[["price", "n", "converted"]].astype(float).groupby("price").sum().reset_index()
    table = table[table["n"] > 0]
    if len(table) < 2:
        raise NotApplicable(
            f"Demand by price needs two prices or more, with visitors; there are {len(table)}."
        )
    total = table["converted"].sum()
    if total == 0 or total == table["n"].sum():
        raise NotApplicable(
            f"Demand by price needs some who subscribed and some who did not; {total:.0f} of "
            f"{table['n'].sum():.0f} visitors did."
        )
    outcome = np.column_stack([table["converted"], table["n"] - table["converted"]])
    design = np.column_stack([np.ones(len(table)), -table["price"]])
    with warnings.catch_warnings(), np.errstate(divide="ignore", invalid="ignore"):
        # Two prices are fitted exactly, which statsmodels takes for perfect separation.
        warnings.simplefilter("ignore")
        fit = sm.GLM(outcome, design, family=sm.families.Binomial()).fit()
    df = len(table) - 2
    return Demand(
        a=float(fit.params[0]),
        b=float(fit.params[1]),
        covariance=np.asarray(fit.cov_params()),
        table=table.assign(conversion=table["converted"] / table["n"], fitted=fit.fittedvalues).reset_index(
            drop=True
        ),
        lack_of_fit=chi2_p(float(fit.deviance), df) if df else float("nan"),
    )


@dataclass(frozen=True, eq=False)
class Staying:
    """Survival by price: S(t | x) = exp(-sum over k <= t of exp(alpha_k + g (x - center))).

    Attributes:
        g: What a unit of price adds to the logarithm of the hazard.
        standard_error: Of g.
        alpha: Baseline of the periods with events, shape (events,).
        periods: Those periods.
        last: The last period watched.
        center: The price of the baseline.
        covariance: Of (alpha, g).
        lack_of_fit: P-value of the deviance against one effect for each price; NaN with two prices.
    """

    g: float
    standard_error: float
    alpha: Array
    periods: Array
    last: int
    center: float
    covariance: Array
    lack_of_fit: float

    @property
    def hazard_ratio(self) -> float:
        """How much likelier to leave with a price one unit higher."""
        return float(np.exp(self.g))

    def survival(self, price: Array | float, horizon: int) -> Array:
        """Return S(0), ..., S(horizon - 1) at each price, shape (prices, horizon)."""
        return _survival(self.alpha[None], np.array([self.g]), self, np.atleast_1d(price), horizon)[0]


def _survival(alpha: Array, g: Array, staying: Staying, price: Array, horizon: int) -> Array:
    """Curves of draws of the parameters: shape (draws, prices, horizon)."""
    if horizon > staying.last + 1:
        raise InputError(
            f"`horizon` is {horizon} periods, but subscribers were watched for {staying.last} only: a value "
            f"beyond {staying.last + 1} would be extrapolated. Choose a shorter horizon, or wait."
        )
    base = np.zeros((len(alpha), max(horizon, staying.last + 1)))
    base[:, staying.periods] = np.exp(alpha)
    cumulative = np.cumsum(base, axis=1)[:, :horizon]
    ratio = np.exp(g[:, None] * (np.asarray(price, dtype=float)[None] - staying.center))
    return np.exp(-ratio[:, :, None] * cumulative[:, None, :])


def hazard_by_price(life: pd.DataFrame, prices: Mapping[str, float]) -> Staying:
    """Fit how the chance to leave in a period depends on the price, hazards being proportional.

    A binomial regression of events on numbers at risk with the complementary log-log link: an own
    baseline for each period and one slope for price, which is Cox's model seen in whole periods
    (Prentice and Gloeckler 1978). Periods in which nobody left have hazard 0.

    Args:
        life: A life table, a group for each variant.
        prices: The price of each group.

    Returns:
        Survival by price.

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
        raise NotApplicable("How staying depends on price needs two prices or more; there is one.")
    together = pd.DataFrame(
        {
            "price": np.repeat(price, counts.events.shape[1]),
            "period": np.tile(counts.periods, len(price)),
            "events": counts.events.ravel(),
            "at_risk": counts.at_risk.ravel(),
        }
    )
    together = together.groupby(["price", "period"], as_index=False).sum()
    together = together[together["at_risk"] > 0]
    left = together.groupby("period")["events"].sum()
    periods = left.index[left > 0].to_numpy()
    if len(periods) == 0:
        raise NotApplicable("How staying depends on price cannot be said: nobody has left yet.")
    rows = together[together["period"].isin(periods)]
    # A period in which all left has an infinite baseline; half an event keeps it finite.
    events = np.minimum(rows["events"], rows["at_risk"] - np.where(rows["at_risk"] == rows["events"], 0.5, 0))
    center = float((rows["price"] * rows["at_risk"]).sum() / rows["at_risk"].sum())
    dummies = (rows["period"].to_numpy()[:, None] == periods[None]).astype(float)
    design = np.column_stack([dummies, rows["price"] - center])
    outcome = np.column_stack([events, rows["at_risk"] - events])
    family = sm.families.Binomial(link=sm.families.links.CLogLog())
    fit = sm.GLM(outcome, design, family=family).fit()
    levels = rows["price"].nunique()
    df = len(rows) - design.shape[1]
    full = np.column_stack(
        [dummies, *(rows["price"].to_numpy() == value for value in sorted(rows["price"].unique())[1:])]
    )
    more = sm.GLM(outcome, full, family=family).fit() if levels > 2 and df > 0 else None
    return Staying(
        g=float(fit.params[-1]),
        standard_error=float(fit.bse[-1]),
        alpha=np.asarray(fit.params[:-1]),
        periods=periods,
        last=int(together["period"].max()),
        center=center,
        covariance=np.asarray(fit.cov_params()),
        lack_of_fit=chi2_p(float(fit.deviance - more.deviance), levels - 2) if more else float("nan"),
    )


# --- the best price ----------------------------------------------------------------------------------


def logit_best_price(a: float, b: float, cost: float) -> float:
    """Return the price that maximizes (x - cost) / (1 + exp(-(a - b x))).

    x = c + (1 + W(exp(a - b c - 1))) / b, W being Lambert's function.

    Args:
        a: The intercept.
        b: The slope, above 0.
        cost: What a sale costs.

    Example:
        >>> round(logit_best_price(3, 0.25, 4), 9), round(logit_best_price(2, 0.1, 5), 6)
        (12.0, 22.662486)
    """
    if b <= 0:
        raise InputError(f"`b` must be above 0, or demand rises with price without end; it is {b!r}.")
    return float(cost + (1 + special.lambertw(np.exp(a - b * cost - 1)).real) / b)


def best_price(value: Callable[[float], float], low: float, high: float) -> tuple[float, float]:
    """Return the price between two that is worth most, and what it is worth.

    Args:
        value: Worth of a price.
        low: The lowest price to consider.
        high: The highest.

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
    if -found.fun > worth[k]:
        return float(found.x), float(-found.fun)
    return float(grid[k]), float(worth[k])


@dataclass(frozen=True, eq=False)
class ProfitCurve:
    """What a visitor is worth at each price.

    Attributes:
        table: A row a price: `price`, `conversion`, `periods` (discounted paid periods of a subscriber),
            `value` (margin of a visitor), `low`, `high`, and `value_churn_ignored`.
        best: The best price.
        low: Lower limit of the best price.
        high: Upper limit.
        value: A visitor's value at the best price, with `value_low` and `value_high`.
        value_low: Its lower limit.
        value_high: Its upper limit.
        naive: The best price if churn did not depend on price.
        cost_of_naive: What that would cost for each visitor, with `cost_low` and `cost_high`.
        cost_low: Its lower limit.
        cost_high: Its upper limit.
        at_edge: The share of draws whose best price lies at an end of the range: it may lie beyond.
        level: The intervals' level.
        draws: Prices' worth in each draw of the parameters, shape (draws, prices), for comparisons.
        horizon: The horizon, in periods.
        fits: Whether both models fit the prices tested (p above 0.05, or no more than two prices).
        hazard_ratio: How much likelier to leave with a price one unit higher.
    """

    table: pd.DataFrame
    best: float
    low: float
    high: float
    value: float
    value_low: float
    value_high: float
    naive: float
    cost_of_naive: float
    cost_low: float
    cost_high: float
    at_edge: float
    level: float
    draws: Array
    horizon: int
    fits: bool
    hazard_ratio: float

    def interval(self, what: str) -> dict[str, float]:
        """Return `value`, `low`, `high` of the best price ("best") or the cost of ignoring churn ("cost")."""
        names = {"best": ("best", "low", "high"), "cost": ("cost_of_naive", "cost_low", "cost_high")}[what]
        return dict(zip(("value", "low", "high"), (getattr(self, name) for name in names), strict=True))

    def value_at(self, price: float) -> float:
        """Return a visitor's value at a price within the curve's range."""
        return float(np.interp(price, self.table["price"], self.table["value"]))

    def differences(self, prices: Mapping[str, float], control: str) -> pd.DataFrame:
        """Return the value at tested prices less that of the control's, by the fitted curves.

        Args:
            prices: The price of each variant; within the curve's range.
            control: The variant to compare with.

        Returns:
            A row a variant: `variant`, `price`, `value`, `difference`, `standard_error`, `low`, `high`.
        """
        grid = self.table["price"].to_numpy()

        def at(price: float) -> tuple[float, Array]:
            k = int(np.clip(np.searchsorted(grid, price), 1, len(grid) - 1))
            w = (price - grid[k - 1]) / (grid[k] - grid[k - 1])
            worth = self.table["value"].to_numpy()
            return (
                float((1 - w) * worth[k - 1] + w * worth[k]),
                (1 - w) * self.draws[:, k - 1] + w * self.draws[:, k],
            )

        base, base_draws = at(prices[control])
        tail = (1 - self.level) / 2
        rows = []
        for name, price in prices.items():
            if name == control:
                continue
            value, draws = at(price)
            moved = draws - base_draws
            low, high = np.quantile(moved, [tail, 1 - tail])
            rows.append(
                {
                    "variant": name,
                    "price": price,
                    "value": value,
                    "difference": value - base,
                    "standard_error": float(moved.std(ddof=1)),
                    "low": float(low),
                    "high": float(high),
                }
            )
        return pd.DataFrame(rows)


def profit_curve(
    demand: Demand,
    staying: Staying,
    *,
    horizon: int,
    unit_cost: float = 0.0,
    fee_share: float = 0.0,
    fee: float = 0.0,
    margin: float = 1.0,
    discount_rate: float = 0.0,
    low: float | None = None,
    high: float | None = None,
    level: float = 0.95,
    draws: int = DRAWS,
) -> ProfitCurve:
    """Estimate what a visitor is worth at each price, and which price is worth most.

    Value = conversion(x) m(x) sum over t < horizon of S(t | x) / (1 + discount_rate)^t, with the margin of
    a period m(x) = margin (x (1 - fee_share) - fee) - unit_cost. Intervals are percentiles over draws of the
    parameters from their normal distributions (Krinsky and Robb 1986), with a fixed seed; those of the
    best price say where it may lie *within the range*.

    Args:
        demand: Conversion by price.
        staying: Survival by price.
        horizon: Periods from 1 up, no more than were watched, plus one.
        unit_cost: Cost of serving a subscriber for a period.
        fee_share: Share of the price that payment takes.
        fee: What each payment takes besides.
        margin: Share of revenue, after fees, that is left by costs in proportion to it.
        discount_rate: Of a period.
        low: The lowest price; None: the lowest tested. Beyond the tested ones is extrapolation.
        high: The highest price; None: the highest tested.
        level: The intervals' level.
        draws: How many draws.

    Returns:
        The curve and the best price.

    Raises:
        InputError: The horizon was not watched, or the range is empty.
    """
    check_level(level)
    check_horizon(horizon)
    tested = demand.table["price"]
    low, high = float(tested.min() if low is None else low), float(tested.max() if high is None else high)
    if not low < high:
        raise InputError(f"The lowest price {low!r} must lie below the highest, {high!r}.")
    weights = (1 + discount_rate) ** -np.arange(horizon)

    def worth(price: Array, a: Array, b: Array, alpha: Array, g: Array) -> tuple[Array, Array]:
        converts = special.expit(a[:, None] - b[:, None] * price)
        earned = margin * (price * (1 - fee_share) - fee) - unit_cost
        kept = _survival(alpha, g, staying, price, horizon) @ weights
        return converts * earned * kept, kept

    point = (np.array([demand.a]), np.array([demand.b]), staying.alpha[None], np.array([staying.g]))
    flat = (*point[:3], np.zeros(1))
    best, value = best_price(lambda x: float(worth(np.array([x]), *point)[0][0, 0]), low, high)
    naive, _ = best_price(lambda x: float(worth(np.array([x]), *flat)[0][0, 0]), low, high)
    rng = np.random.default_rng(SEED)
    ab = normal_draws(rng, np.array([demand.a, demand.b]), demand.covariance, draws)
    ag = normal_draws(rng, np.array([*staying.alpha, staying.g]), staying.covariance, draws)
    grid = np.linspace(low, high, 121)
    sampled = np.concatenate(
        [
            worth(grid, ab[k, 0], ab[k, 1], ag[k, :-1], ag[k, -1])[0]
            for k in np.array_split(np.arange(draws), max(draws // 500, 1))
        ]
    )
    tail = (1 - level) / 2
    best_draws = _parabola(grid, sampled)
    naive_value = float(worth(np.array([naive]), *point)[0][0, 0])
    at_naive = _interpolate(grid, sampled, naive)
    at_best = _interpolate(grid, sampled, best)
    curve, kept = worth(grid, *point)
    band = np.quantile(sampled, [tail, 1 - tail], axis=0)
    table = pd.DataFrame(
        {
            "price": grid,
            "conversion": demand.conversion(grid),
            "periods": kept[0],
            "value": curve[0],
            "low": band[0],
            "high": band[1],
            "value_churn_ignored": worth(grid, *flat)[0][0],
        }
    )
    limits = np.quantile(best_draws, [tail, 1 - tail])
    value_limits = np.quantile(at_best, [tail, 1 - tail])
    cost_limits = np.quantile(at_best - at_naive, [tail, 1 - tail])
    step = grid[1] - grid[0]
    return ProfitCurve(
        table=table,
        best=best,
        low=float(limits[0]),
        high=float(limits[1]),
        value=value,
        value_low=float(value_limits[0]),
        value_high=float(value_limits[1]),
        naive=naive,
        cost_of_naive=value - naive_value,
        cost_low=float(cost_limits[0]),
        cost_high=float(cost_limits[1]),
        at_edge=float(((best_draws <= low + step / 2) | (best_draws >= high - step / 2)).mean()),
        level=level,
        draws=sampled,
        horizon=int(horizon),
        fits=not (demand.lack_of_fit <= 0.05 or staying.lack_of_fit <= 0.05),
        hazard_ratio=staying.hazard_ratio,
    )


def normal_draws(rng: np.random.Generator, mean: Array, covariance: Array, draws: int) -> Array:
    """Draw from a multivariate normal distribution, alike in whatever unit its variables are.

    Args:
        rng: The source of chance.
        mean: Shape (k,).
        covariance: Shape (k, k).
        draws: How many.

    Returns:
        Shape (draws, k).
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

    ((q2 - q1) / (q1 + q2)) / ((p2 - p1) / (p1 + p2)).

    Args:
        price: Prices, ascending.
        demand: Share or number who buy at each.

    Returns:
        One fewer than prices; NaN where neither price sells.

    Example:
        >>> arc_elasticity([5, 7.5, 10], [0.80, 0.66, 0.50]).round(6).tolist()
        [-0.479452, -0.965517]
    """
    p, q = np.asarray(price, dtype=float), np.asarray(demand, dtype=float)
    if (np.diff(p) <= 0).any():
        raise InputError(f"Prices must ascend for an arc elasticity; they are {spelled(p.tolist())}.")
    with np.errstate(divide="ignore", invalid="ignore"):
        return (np.diff(q) / (q[1:] + q[:-1])) / (np.diff(p) / (p[1:] + p[:-1]))


@dataclass(frozen=True)
class Elasticity:
    """An arc elasticity with its interval, and the break-even.

    Attributes:
        value: The elasticity.
        low: Its lower limit.
        high: Its upper limit.
        break_even: The relative change of conversion at which the new price earns as much as the old.
        observed: The relative change that was seen.
    """

    value: float
    low: float
    high: float
    break_even: float
    observed: float

    def interval(self) -> dict[str, float]:
        """Return `value`, `low` and `high`."""
        return {"value": self.value, "low": self.low, "high": self.high}


def elasticity_of_two(
    old: Mapping[str, float] | pd.Series, new: Mapping[str, float] | pd.Series, *, level: float = 0.95
) -> Elasticity:
    """Estimate the arc elasticity of conversion between two prices, and the break-even drop.

    The interval is by the delta method. The break-even is where margin per visitor is alike: conversion
    may change by m_old E_old / (m_new E_new) - 1, m being the margin of a period and E the paid periods.

    Args:
        old: `price`, `n`, `converted`, `margin` (of a period) and `periods` (paid by a subscriber).
        new: The same at the new price.
        level: The interval's level.

    Raises:
        NotApplicable: The prices are alike, or nobody subscribed at one of them.

    Example:
        >>> old = {"price": 10, "n": 1000, "converted": 200, "margin": 6, "periods": 8}
        >>> new = {"price": 12, "n": 1000, "converted": 170, "margin": 8, "periods": 7.5}
        >>> found = elasticity_of_two(old, new)
        >>> round(found.value, 2), round(found.break_even, 2), round(found.observed, 2)
        (-0.89, -0.2, -0.15)
    """
    check_level(level)
    if old["price"] == new["price"]:
        raise NotApplicable("An elasticity needs two different prices; both are the same.")
    if min(old["converted"], new["converted"]) == 0:
        raise NotApplicable("An elasticity needs subscribers at both prices; one of them has none.")
    q1, q2 = old["converted"] / old["n"], new["converted"] / new["n"]
    run = (new["price"] - old["price"]) / (new["price"] + old["price"])
    value = (q2 - q1) / (q2 + q1) / run
    # d/dq2 (q2 - q1)/(q2 + q1) = 2 q1 / (q1 + q2)^2, and the same with the other sign for q1.
    errors = [np.sqrt(q * (1 - q) / side["n"]) for q, side in ((q1, old), (q2, new))]
    half = z_value(level) * 2 * np.hypot(q2 * errors[0], q1 * errors[1]) / (q1 + q2) ** 2 / abs(run)
    return Elasticity(
        value=float(value),
        low=float(value - half),
        high=float(value + half),
        break_even=float(old["margin"] * old["periods"] / (new["margin"] * new["periods"]) - 1),
        observed=float(q2 / q1 - 1),
    )


# --- commitment --------------------------------------------------------------------------------------


def term_discounts(
    life: pd.DataFrame,
    *,
    price: float,
    unit_cost: float = 0.0,
    terms: Sequence[int] = (3, 6, 12, 24),
    discount_rate: float = 0.0,
    level: float = 0.95,
) -> pd.DataFrame:
    """Estimate what a longer commitment, paid in advance, may cost.

    A subscriber by the month brings (x - c) sum over t < T of S(t) v^t within a term of T months; one who
    commits pays T x (1 - d) at once and is served for T months. They are worth the same within the term at
    d = 1 - (sum (x - c) S(t) v^t + c sum v^t) / (T x). It is a largest discount for people who would have
    stayed like those by the month: who would have stayed anyway gets it for nothing.

    Args:
        life: The life table of subscribers by the month, in months.
        price: Price of a month.
        unit_cost: Cost of serving a month.
        terms: Months of commitment.
        discount_rate: Of a month.
        level: The intervals' level.

    Returns:
        A row a term: `term`, `at_risk` (subscribers watched in its last month), `paid_months` (by the month,
        within the term), `largest_discount`, `low`, `high` (NaN where nobody was watched that long). Below 0:
        no discount pays.

    Raises:
        InputError: The life table or an option is not as it should be.

    Example:
        >>> life = pd.DataFrame(dict(period=[1, 12], at_risk=[1000, 900], events=[100, 0], censored=[0, 900]))
        >>> term_discounts(life, price=10, terms=[12])[["paid_months", "largest_discount"]].round(4)
           paid_months  largest_discount
        0         10.9            0.0917
    """
    check_level(level)
    if price <= 0:
        raise InputError(f"`price` must be above 0; it is {price!r}.")
    curves = kaplan_meier(life).table.frame
    rows = []
    for term in terms:
        check_horizon(term)
        curve, variance, _ = discounted_curve(curves, term, discount_rate, None)
        weights = (1 + discount_rate) ** -np.arange(term)
        monthly = (price - unit_cost) * float(curve @ weights)
        value = 1 - (monthly + unit_cost * float(weights.sum())) / (term * price)
        half = z_value(level) * (price - unit_cost) * np.sqrt(variance) / (term * price)
        watched = curves.loc[curves["period"] == min(term, curves["period"].max()), "at_risk"]
        known = np.isfinite(value)
        rows.append(
            {
                "term": int(term),
                "at_risk": int(watched.iloc[0]) if known else 0,
                "paid_months": float(curve.sum()),
                "largest_discount": value,
                "low": value - half,
                "high": value + half,
            }
        )
    return pd.DataFrame(rows)


# --- usage -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class UsagePlan:
    """A way to charge for use.

    Attributes:
        name: Its name.
        base: Charged in any case.
        included: Units that the base covers.
        rate: Charged for each further unit.
        cap: The most that is charged; infinite for none.
    """

    name: str
    base: float
    included: float = 0.0
    rate: float = 0.0
    cap: float = float("inf")

    def bill(self, units: Array) -> Array:
        """Return the charge for so many units."""
        over = np.maximum(np.asarray(units, dtype=float) - self.included, 0)
        return np.minimum(self.base + self.rate * over, self.cap)


def usage_bills(
    usage: pd.DataFrame,
    plans: Sequence[UsagePlan],
    *,
    tolerance: float = 0.2,
    months: int = 1,
    level: float = 0.95,
) -> pd.DataFrame:
    """Bill real usage by plans that nobody is on yet.

    Args:
        usage: A row a kind of customer-month: `units` (used), `paid` (for it, today) and `n` (how many).
        plans: The plans.
        tolerance: A bill counts as dearer, or cheaper, if it moves by more than this share.
        months: How many months there may be of one customer. They are alike, so intervals are as wide as if
            all of them were one.
        level: The intervals' level.

    Returns:
        A row a plan, today's first: `plan`, `revenue` (of a customer-month), `low`, `high`, `change` (against
        today), `change_low`, `change_high`, `lowest` and `highest` (bills of the 10th and the 90th in a
        hundred), `dearer` and `cheaper` (shares of customer-months whose bill moves by more than
        `tolerance`), `top_tenth` (share of revenue from the dearest tenth of bills).

    Raises:
        InputError: Units, payments or counts are missing or negative.
        NotApplicable: There is no customer-month.

    Example:
        >>> usage = pd.DataFrame({"units": [0, 10, 40], "paid": 10.0, "n": [50, 30, 20]})
        >>> bills = usage_bills(usage, [UsagePlan("metered", base=4, rate=0.5)])
        >>> bills[["plan", "revenue", "dearer", "cheaper"]].values.tolist()
        [['today', 10.0, 0.0, 0.0], ['metered', 9.5, 0.2, 0.5]]
    """
    check_level(level)
    units, paid, n = (usage[c].to_numpy(dtype=float) for c in ("units", "paid", "n"))
    if len(n) == 0 or n.sum() == 0:
        raise NotApplicable("There is no customer-month to bill.")
    if not (np.isfinite(units) & np.isfinite(paid) & np.isfinite(n)).all() or min(units.min(), n.min()) < 0:
        raise InputError("Usage must have units, payments and counts from 0 up in every row: recount it.")
    total = n.sum()

    def mean_and_half(x: Array) -> tuple[float, float]:
        mean = float((n * x).sum() / total)
        spread = float((n * (x - mean) ** 2).sum() / max(total - 1, 1) / total * months)
        return mean, z_value(level) * float(np.sqrt(spread))

    rows = []
    for name, bill in [("today", paid), *((plan.name, plan.bill(units)) for plan in plans)]:
        revenue, half = mean_and_half(bill)
        change, change_half = mean_and_half(bill - paid)
        order = np.argsort(bill, kind="stable")
        upto = np.cumsum(n[order]) / total
        bills = bill[order]
        lowest, highest = (float(bills[np.searchsorted(upto, q - 1e-12)]) for q in (0.1, 0.9))
        before = np.r_[0, upto[:-1]]
        top = np.clip(upto - np.maximum(before, 0.9), 0, None) * bills
        rows.append(
            {
                "plan": name,
                "revenue": revenue,
                "low": revenue - half,
                "high": revenue + half,
                "change": change,
                "change_low": change - change_half,
                "change_high": change + change_half,
                "lowest": lowest,
                "highest": highest,
                "dearer": float(n[bill > paid * (1 + tolerance)].sum() / total),
                "cheaper": float(n[bill < paid * (1 - tolerance)].sum() / total),
                "top_tenth": float(top.sum() / revenue) if revenue else float("nan"),
            }
        )
    return pd.DataFrame(rows)


# --- a price increase for those who are there --------------------------------------------------------


def break_even_churn(price: float, rise: float, unit_cost: float = 0.0) -> float:
    """Return the share of customers that may leave at once before a price increase loses money.

    rise / (price + rise - unit_cost): margin of those who stay covers the margin of those who leave.

    Example:
        >>> round(break_even_churn(10, 1, 4), 4)
        0.1429
    """
    if price + rise <= unit_cost:
        raise InputError(f"The new price {price + rise!r} does not cover the cost {unit_cost!r} of a month.")
    return rise / (price + rise - unit_cost)


def price_increase(
    life: pd.DataFrame,
    *,
    customers: float,
    price: float,
    rise: float,
    unit_cost: float = 0.0,
    horizon: int = 12,
    discount_rate: float = 0.0,
    leave: Sequence[float] = (0.0, 0.02, 0.05, 0.1),
    waves: int = 1,
    wave_gap: int = 2,
) -> pd.DataFrame:
    """Estimate what a price increase earns if a share of customers leaves at it, at once or in waves.

    Customers who are there today go on to leave by the hazards they have left to live through, averaged
    over their ages: with n_k at risk in period k, today's customers are taken to be spread over ages as those
    at risk are. All at once: everybody pays (price + rise) from the next month, and the share x leaves at the
    rise. In waves: a `waves`-th part has the rise every `wave_gap` months; if the first wave shows that it
    loses money (x above the break-even), the others are spared.

    Args:
        life: The life table of these customers, in months, all as one group.
        customers: Who is there today.
        price: What they pay a month.
        rise: What is added.
        unit_cost: Cost of serving a month.
        horizon: Months to look ahead.
        discount_rate: Of a month.
        leave: Shares who leave because of it, beside those who would have left anyway.
        waves: In how many parts.
        wave_gap: Months between them.

    Returns:
        A row a share: `leave`, `at_once` and `staged` (gain over doing nothing within the horizon, in the
        unit of price), and `waiting_costs` (what is lost by going in waves; below 0: what it saves).

    Raises:
        InputError: The life table or an option is not as it should be.

    Example:
        >>> life = pd.DataFrame(dict(period=[1], at_risk=[100], events=[0], censored=[100]))
        >>> gain = price_increase(life, customers=100, price=10, rise=1, horizon=1, leave=[0, 0.1])
        >>> gain["at_once"].round(2).tolist()
        [100.0, -10.0]
    """
    check_horizon(horizon)
    if waves < 1 or wave_gap < 1:
        raise InputError(
            f"`waves` and `wave_gap` must be whole numbers from 1 up; they are {waves!r}, {wave_gap!r}."
        )
    even = break_even_churn(price, rise, unit_cost)
    kept = _future_of_base(life, horizon)
    weights = kept * (1 + discount_rate) ** -np.arange(horizon)
    margin = price - unit_cost
    rows = []
    for share in leave:
        per_month = customers * ((1 - share) * (margin + rise) - margin)
        at_once = float(per_month * weights.sum())
        staged = 0.0
        for wave in range(waves):
            if wave and share > even:
                break
            staged += float(per_month / waves * weights[wave * wave_gap :].sum())
        rows.append({"leave": share, "at_once": at_once, "staged": staged, "waiting_costs": at_once - staged})
    return pd.DataFrame(rows)


def _future_of_base(life: pd.DataFrame, horizon: int) -> Array:
    """Share of today's customers still there after 0, 1, ... horizon - 1 months, over their ages."""
    counts = validate(life)
    if len(counts.groups) > 1:
        raise InputError("A price increase looks at one group at a time: pass one group of the life table.")
    at_risk, events = counts.at_risk[0], counts.events[0]
    hazard = np.divide(events, at_risk, out=np.zeros_like(events), where=at_risk > 0)
    last = hazard[at_risk > 0][-6:]
    long = np.concatenate([hazard, np.full(horizon, last.mean() if len(last) else 0.0)])
    ages = at_risk / at_risk.sum()
    curves = np.array([np.r_[1, np.cumprod(1 - long[k : k + horizon - 1])] for k in range(len(ages))])
    return ages @ curves


def exposed(paid: pd.DataFrame) -> pd.DataFrame:
    """Say who pays how much less than new subscribers do for the same.

    The list price of a plan is the one that most of the recent subscribers pay; without recent ones, the
    one that most pay.

    Args:
        paid: What `measures.research.prices_paid` gives.

    Returns:
        A row a plan, currency and billing: `plan`, `currency`, `billing`, `list_minor`, `subscriptions`,
        `monthly_minor` (of all together), `below` (subscriptions that pay less than the list price),
        `share_below`, `gap_minor` (what they would pay more an interval at the list price, on average).

    Example:
        >>> paid = pd.DataFrame(dict(plan="A", currency="EUR", billing="1 month", recent=[0, 9],
        ...                          unit_amount_minor=[900, 1000], subscriptions=[30, 70],
        ...                          monthly_minor=[27_000, 70_000]))
        >>> exposed(paid)[["list_minor", "subscriptions", "below", "gap_minor"]].values.tolist()
        [[1000.0, 100.0, 30.0, 100.0]]
    """
    rows = []
    for key, part in paid.groupby(["plan", "currency", "billing"], sort=True):
        price, count = part["unit_amount_minor"].to_numpy(), part["subscriptions"].to_numpy()
        order = np.lexsort((price, count, part["recent"].to_numpy()))
        listed = int(price[order[-1]])
        less = price < listed
        below = int(count[less].sum())
        rows.append(
            {
                **dict(zip(("plan", "currency", "billing"), key, strict=True)),
                "list_minor": listed,
                "subscriptions": int(count.sum()),
                "monthly_minor": int(part["monthly_minor"].sum()),
                "below": below,
                "share_below": below / count.sum(),
                "gap_minor": float((count * (listed - price))[less].sum() / below) if below else 0.0,
            }
        )
    return pd.DataFrame(rows)


def read_plans(plans: Sequence[str], unit: float = 1.0) -> list[UsagePlan]:
    """Read plans such as "hybrid: base 6.99, included 5, rate 0.8, cap 24.99".

    Args:
        plans: The plans.
        unit: What amounts are multiplied by, such as 100 for minor units.

    Raises:
        InputError: A plan cannot be read.

    Example:
        >>> read_plans(["metered: rate 0.5"])
        [UsagePlan(name='metered', base=0.0, included=0.0, rate=0.5, cap=inf)]
    """
    found = []
    for plan in plans:
        name, colon, rest = str(plan).partition(":")
        pairs = [pair.split() for pair in rest.split(",")]
        try:
            numbers = {key: float(value) for key, value in pairs}
            numbers |= {key: unit * numbers[key] for key in ("base", "rate", "cap") if key in numbers}
            if not colon or not name.strip() or min(numbers.values()) < 0:
                raise ValueError
            found.append(UsagePlan(name.strip(), **{"base": 0.0, **numbers}))
        except (TypeError, ValueError):
            raise InputError(
                f"The parameter `plans` has the entry {plan!r}: write name: base 5, included 2, rate 0.5, "
                "cap 20 with amounts from 0 up, of which all but one may be left out."
            ) from None
    return found


def choose_plan(base: pd.DataFrame, plan: str = "") -> pd.Series:
    """Return the row of a plan billed by the month; the one with the most subscriptions where none is named.

    Args:
        base: What `exposed` gives.
        plan: The plan; empty for the largest.

    Raises:
        NotApplicable: No plan is billed by the month.
        InputError: There is no such plan billed by the month.
    """
    monthly = base[base["billing"] == "1 month"] if len(base) else base
    if monthly.empty:
        raise NotApplicable("No active subscription is billed by the month, so there is no price of a month.")
    if plan and plan not in set(monthly["plan"]):
        raise InputError(
            f"The parameter `plan` is {plan!r}, which has no active subscription billed by the month; there "
            "are: "
            f"{spelled(sorted(set(monthly['plan'])))}."
        )
    rows = monthly[monthly["plan"] == plan] if plan else monthly
    return rows.sort_values(["subscriptions", "plan"], ascending=[False, True], kind="stable").iloc[0]
