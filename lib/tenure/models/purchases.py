"""Customers who buy without a contract: whether they are still there, how often they will buy.

The counts that the likelihoods need are those of equal customers: `frequency` x (purchases after the first),
`recency` t_x (time from the first purchase to the last), `T` (time from the first purchase to the end of the
data) and `n`, how many customers share them. A million customers are a few thousand rows. What they spend is
in `tenure.models.spend`.

=============  =======================================================================================
`bgnbd`        BG/NBD: purchases are Poisson with a gamma rate (r, alpha); after each purchase but the first
               a customer may stop for ever, with a beta chance (a, b) (Fader, Hardie and Lee 2005)
`mbgnbd`       MBG/NBD: a customer may also stop after the first (Batislam, Denizel and Filiztekin 2007)
`pareto`       Pareto/NBD: customers stop at any time, at a gamma rate (s, beta) (Schmittlein, Morrison and
               Colombo 1987)
`bgbb`         BG/BB: at each of n chances a customer buys with a beta chance (alpha, beta), and may stop
               before each with a beta chance (gamma, delta); t_x and T count chances (Fader, Hardie and
               Shang 2010)
=============  =======================================================================================

`model` is one of these and `models` several; `time` is how far to look ahead, and `later` a column of the
purchases that customers made in the time after.

Counts that are not as they should be raise InputError; where nobody bought again, or no model can be
fitted, NotApplicable is raised.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import special

from tenure.errors import InputError, NotApplicable
from tenure.models.retention_choice import Backtest, against
from tenure.models.spend import correlation
from tenure.result import Estimate, Table, from_ends, interval
from tenure.stats.intervals import log_limits
from tenure.stats.lifetable import Array, check_level, spelled, z_value
from tenure.stats.newton import derivatives, minimize

# Of one-off purchases at any time; BG/BB is for chances that are counted.
CONTINUOUS = ("bgnbd", "mbgnbd", "pareto")

_COUNTS = ["frequency", "recency", "T"]
_BOUND = 12.0
# Many counts have one hill to climb; few may have several.
_MANY = 3_000

Likelihood = Callable[[Array], tuple[float, Array]]
Parameters = tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Purchasing:
    """A fitted model of purchases.

    Attributes:
        model: One of `MODELS`.
        parameters: A row per parameter: `parameter` and `value` with its interval.
        estimate: The logarithms of the parameters, times in the units of the data.
        covariance: Their covariance.
        log_likelihood: The log-likelihood.
        customers: Customers behind it.
        level: Level of the intervals.
        left_out: The models that could not be fitted beside it.
    """

    model: str
    parameters: Table
    estimate: Array
    covariance: Array
    log_likelihood: float
    customers: int
    level: float
    left_out: tuple[str, ...] = ()

    def values(self) -> Parameters:
        """The parameters in the order of `MODELS`."""
        return tuple(float(value) for value in np.exp(self.estimate))

    def probability_alive(self, counts: pd.DataFrame) -> Array:
        """The chance that customers with these counts are still there, and so may buy again."""
        return _alive(self.model, self.values(), *_columns(counts))

    def expected_purchases(self, counts: pd.DataFrame, time: float) -> Array:
        """How many purchases customers with these counts will make in a time to come."""
        return MODELS[self.model].expected(self.values(), *_columns(counts), float(time))

    def purchases_of_new(self, time: float | Array) -> Array:
        """How many purchases a customer makes within a time after the first, E[X(t)]."""
        return MODELS[self.model].new(self.values(), np.atleast_1d(np.asarray(time, dtype=float)))

    def scores(self, counts: pd.DataFrame, time: float) -> pd.DataFrame:
        """Counts with probability_alive and expected_purchases, to score customers by."""
        alive, ahead = self.probability_alive(counts), self.expected_purchases(counts, time)
        return counts[_COUNTS].assign(probability_alive=alive, expected_purchases=ahead)

    def total(self, counts: pd.DataFrame, time: float, *, each: float = 1.0, unit: str = "count") -> Estimate:
        """Estimate what all customers will buy in a time to come; the interval is that of the expectation.

        The sum of n E[X(t)] over customers with equal histories, with limits on the logarithm by the delta
        method; `time` is in the unit of the counts. `each` is what a purchase counts for, in a unit. The
        sum's word `alive` is the share of customers who are still buying.
        """
        columns, n = _columns(counts), counts["n"].to_numpy(dtype=float)

        def purchases(theta: Array) -> Array:
            ahead = MODELS[self.model].expected(tuple(np.exp(theta)), *columns, float(time))
            return np.atleast_1d(each * (n @ ahead))

        value, slope = purchases(self.estimate), derivatives(purchases, self.estimate)[0]
        low, high = log_limits(value, np.sqrt(max(slope @ self.covariance @ slope, 0.0)), self.level)
        words = {"alive": Estimate(float(self.probability_alive(counts) @ n / n.sum()), unit="percent")}
        ends = (float(end[0]) for end in (value, low, high))
        return from_ends(ends, n=int(n.sum()), of="customer", unit=unit, level=self.level, words=words)

    def backtest(self, test: pd.DataFrame, time: float, *, most: int = 7) -> Backtest:
        """Compare a customer's purchases predicted and made, by how often customers had bought before.

        Limits allow for chance: of a customer with m expected purchases, P alive and r + x the shape of what
        is known of the rate after x purchases, the variance is m + m^2 ((1 + 1 / (r + x)) / P - 1).

        Args:
            test: Grouped counts with later.
            most: Higher frequencies are taken together.
        """
        x = np.minimum(test["frequency"].to_numpy(dtype=int), most)
        n, later = test["n"].to_numpy(dtype=float), test["later"].to_numpy(dtype=float)
        mean, alive = self.expected_purchases(test, time), self.probability_alive(test)
        # A customer is gone, or buys at a rate that is known only from x purchases (gamma, shape r + x).
        shape = self.values()[0] + test["frequency"].to_numpy(dtype=float)
        variance = mean + mean**2 * ((1 + 1 / shape) / np.maximum(alive, 1e-12) - 1)

        def compared(place: Array) -> pd.DataFrame:
            size = np.bincount(place, n)
            kept = np.flatnonzero(size > 0)
            sums = (np.bincount(place, values)[kept] for values in (mean * n, variance * n, later))
            size = size[kept]
            expected, spread, bought = (
                total / over for total, over in zip(sums, (size, size**2, size), strict=True)
            )
            table = against(size, expected, spread, bought, self.level)
            return table.assign(frequency=[f"{k}" if k < most else f"{most} or more" for k in kept])

        table = compared(x)[["frequency", "n", "expected", "expected_low", "expected_high", "happened"]]
        units = {"n": "count", "expected": "number", "happened": "number"}
        return Backtest(Table(table, units), compared(np.zeros(len(x), dtype=int)).iloc[0], self.level)


def fit_purchases(counts: pd.DataFrame, model: str = "bgnbd", *, level: float = 0.95) -> Purchasing:
    """Fit a model of purchases by maximum likelihood to grouped counts.

    Args:
        counts: Columns frequency, recency, T and n; for BG/BB, recency and T count chances.
        model: One of `MODELS`.
        level: Level of the intervals.

    Example:
        >>> counts = pd.DataFrame({"frequency": [0, 1, 2, 4], "recency": [0, 10, 25, 30.0], "T": 38.0,
        ...                        "n": [600, 150, 80, 60]})
        >>> fit = fit_purchases(counts)
        >>> fit.parameters.frame["parameter"].tolist(), bool(fit.probability_alive(counts)[2] > 0.5)
        (['r', 'alpha', 'a', 'b'], True)
    """
    check_level(level)
    if model not in MODELS:
        raise InputError(f"`model` is {model!r}; it may be {spelled(MODELS)}.")
    counts = _checked(counts, whole=model == "bgbb")
    x, tx, T = _columns(counts)
    n = counts["n"].to_numpy(dtype=float)
    if not (n[x > 0]).sum():
        raise NotApplicable(
            f"None of the {n.sum():,.0f} customers who bought has bought again, so nothing can be said about "
            "further purchases: wait until some have."
        )
    # Times near 1 make the parameters of rates as well scaled as the others.
    scale = 1.0 if model == "bgbb" else 10.0 / T.max()
    likelihood = _likelihood(model, x, tx * scale, T * scale, n)

    def loss(q: Array) -> tuple[float, Array]:
        value, slope = likelihood(q)
        return -value / n.sum(), -slope / n.sum()

    found = []
    for start in MODELS[model].starts[: 1 if len(n) > _MANY else None]:
        try:
            with np.errstate(all="ignore"):
                theta, square = minimize(loss, np.log(start), bound=_BOUND)
                covariance = np.linalg.pinv(square * n.sum(), rcond=1e-12, hermitian=True)
                found.append((loss(theta)[0], theta, covariance))
        except np.linalg.LinAlgError:
            continue
    found = [one for one in found if np.isfinite(one[0])]
    if not found:
        raise NotApplicable(
            f"The purchases of {n.sum():,.0f} customers do not determine the parameters of the "
            f"{MODELS[model].name} model: they run away."
        )
    least, theta, covariance = min(found, key=lambda one: round(one[0], 10))
    estimate = theta.copy()
    estimate[list(MODELS[model].times)] -= np.log(scale)
    half = z_value(level) * np.sqrt(np.maximum(np.diag(covariance), 0))
    with np.errstate(over="ignore"):
        ends = interval("value", *(np.exp(end) for end in (estimate, estimate - half, estimate + half)))
    parameters = Table(pd.DataFrame({"parameter": MODELS[model].parameters, **ends}), {"value": "number"})
    log_likelihood = float(-least * n.sum() + (x @ n) * np.log(scale))
    return Purchasing(model, parameters, estimate, covariance, log_likelihood, int(n.sum()), level)


def likeliest_purchases(counts: pd.DataFrame, *, models: tuple[str, ...] = CONTINUOUS) -> Purchasing:
    """Fit each model to grouped counts, and return the likeliest: they have as many parameters."""
    fits = _fitted(counts, models)
    left_out = [MODELS[name].name for name in models if name not in {fit.model for fit in fits}]
    return replace(max(fits, key=lambda fit: fit.log_likelihood), left_out=tuple(left_out))


def _fitted(counts: pd.DataFrame, models: tuple[str, ...]) -> list[Purchasing]:
    found, reason = [], ""
    for model in models:
        try:
            found.append(fit_purchases(counts, model))
        except NotApplicable as why:
            reason = reason or str(why)
    if not found:
        raise NotApplicable(reason)
    return found


def compare_purchases(counts: pd.DataFrame, time: float, *, models: tuple[str, ...] = CONTINUOUS) -> Table:
    """Fit each model to the purchases up to a day, and ask how well it predicted those after it.

    Args:
        counts: Grouped counts up to the day, with later.

    Returns:
        A row per model, the likeliest first: `model`, `log_likelihood`, `expected` and `bought` (purchases
        predicted and made), `error` (expected / bought - 1), `correlation` (of both by row, weighted by
        customers).
    """
    rows, bought = [], counts["later"].sum()
    n, later = counts["n"].to_numpy(dtype=float), counts["later"].to_numpy(dtype=float)
    for fit in _fitted(counts, models):
        each = fit.expected_purchases(counts, time)
        off = float(each @ n) / bought - 1 if bought else np.nan
        tied = correlation(each, later / n, n)
        rows.append((MODELS[fit.model].name, fit.log_likelihood, float(each @ n), bought, off, tied))
    columns = ["model", "log_likelihood", "expected", "bought", "error", "correlation"]
    units = dict.fromkeys(("log_likelihood", "correlation"), "number") | {"error": "percent"}
    units |= dict.fromkeys(("expected", "bought"), "count")
    table = pd.DataFrame(rows, columns=columns).sort_values("log_likelihood", ascending=False)
    return Table(table.reset_index(drop=True), units)


def backtest(
    counts: pd.DataFrame, time: float, model: str, *, models: tuple[str, ...] = CONTINUOUS
) -> tuple[Backtest | None, Table]:
    """Judge a model, and its rivals, by purchases that were made after a day; None where it cannot be fitted.

    Args:
        counts: Grouped counts up to the day, with later.
        model: The model that is judged.
        models: Those that it is compared with.
    """
    try:
        fit, rivals = fit_purchases(counts, model), compare_purchases(counts, time, models=models)
    except NotApplicable:
        return None, Table(pd.DataFrame())
    return fit.backtest(counts, time), rivals


# --- BG/NBD and MBG/NBD ---------------------------------------------------------------------------------


def _bg_terms(p: Parameters, x: Array, tx: Array, T: Array, *, modified: bool) -> tuple[Array, Array]:
    r, alpha, a, b = p
    past = np.maximum(x - (not modified), 0)
    stopped = np.log(a) - np.log(b + past) - (r + x) * np.log(alpha + tx)
    return -(r + x) * np.log(alpha + T), np.where(modified | (x > 0), stopped, -np.inf)


def _bg_likelihood(x: Array, tx: Array, T: Array, n: Array, *, modified: bool) -> Likelihood:
    # The gamma functions depend on the frequency alone, and there are few of them.
    frequency, where = np.unique(x, return_inverse=True)
    size, later = np.bincount(where, n), frequency + modified
    past = np.maximum(x - (not modified), 0)

    def likelihood(theta: Array) -> tuple[float, Array]:
        r, alpha, a, b = np.exp(theta)
        on, off = _bg_terms((r, alpha, a, b), x, tx, T, modified=modified)
        both = np.logaddexp(on, off)
        there = n * np.exp(on - both)
        gone = n - there
        gamma, digamma = special.gammaln, special.digamma
        base = gamma(r + frequency) - gamma(r) + r * theta[1]
        base += gamma(a + b) + gamma(b + later) - gamma(b) - gamma(a + b + later)
        whole = digamma(a + b) - digamma(a + b + later)
        slope = np.array(
            [
                size @ (digamma(r + frequency) - digamma(r) + theta[1])
                - there @ np.log(alpha + T)
                - gone @ np.log(alpha + tx),
                size.sum() * r / alpha - (r + x) @ (there / (alpha + T) + gone / (alpha + tx)),
                size @ whole + gone.sum() / a,
                size @ (whole + digamma(b + later) - digamma(b)) - gone @ (1 / (b + past)),
            ]
        )
        return float(size @ base + n @ both), slope * np.array([r, alpha, a, b])

    return likelihood


def _bg_expected(p: Parameters, x: Array, tx: Array, T: Array, time: float, *, modified: bool) -> Array:
    r, alpha, a, b = p
    left = (alpha + T) / (alpha + T + time)
    with np.errstate(all="ignore"):
        tail = special.hyp2f1(r + x, b + x + modified, a + b + x + modified - 1, 1 - left)
        each = (a + b + x + modified - 1) / (a - 1) * (1 - left ** (r + x) * tail)
    # Where hardly anybody ever stops, the formula has no digits left: purchases go on at their rate.
    each = np.where(np.isfinite(each) & (each >= 0), each, (r + x) / (alpha + T) * time)
    return np.asarray(each * _alive("mbgnbd" if modified else "bgnbd", p, x, tx, T))


def _bg_new(p: Parameters, time: Array, *, modified: bool) -> Array:
    r, alpha, a, b = p
    whole = a + b - (not modified)
    tail = special.hyp2f1(r, b + modified, whole, time / (alpha + time))
    return np.asarray((b if modified else whole) / (a - 1) * (1 - (alpha / (alpha + time)) ** r * tail))


# --- Pareto/NBD -----------------------------------------------------------------------------------------


def _pareto_terms(p: Parameters, x: Array, tx: Array, T: Array) -> tuple[Array, Array]:
    """Logarithms of the two terms of the likelihood: still there at T, or stopped before.

    The second is s / (r + s + x) (F(t_x) - F(T)) with F(t) a Gauss hypergeometric function over a power,
    written around the larger of alpha and beta so that its argument lies between 0 and 1.
    """
    r, alpha, s, beta = p
    total, larger, gap = r + s + x, max(alpha, beta), abs(alpha - beta)
    second = s + 1 if alpha >= beta else r + x

    def log_f(time: Array) -> Array:
        return np.log(special.hyp2f1(total, second, total + 1, gap / (larger + time))) - total * np.log(
            larger + time
        )

    at_last, at_end = log_f(tx), log_f(T)
    with np.errstate(divide="ignore"):
        stopped = at_last + np.log(-np.expm1(np.minimum(at_end - at_last, 0.0)))
    there = -(r + x) * np.log(alpha + T) - s * np.log(beta + T)
    return there, np.log(s) - np.log(total) + stopped


def _pareto_expected(p: Parameters, x: Array, tx: Array, T: Array, time: float) -> Array:
    r, alpha, s, beta = p
    rate = (r + x) * (beta + T) / ((alpha + T) * (s - 1))
    return rate * (1 - ((beta + T) / (beta + T + time)) ** (s - 1)) * _alive("pareto", p, x, tx, T)


def _pareto_new(p: Parameters, time: Array) -> Array:
    r, alpha, s, beta = p
    return r * beta / (alpha * (s - 1)) * (1 - (beta / (beta + time)) ** (s - 1))


# --- BG/BB ----------------------------------------------------------------------------------------------


def _bgbb_terms(p: Parameters, x: Array, tx: Array, T: Array) -> tuple[Array, Array]:
    """Logarithms of the two terms: still there after the T-th chance, or stopped at one after the last."""
    alpha, beta, gamma, delta = p
    whole = special.betaln(alpha, beta) + special.betaln(gamma, delta)
    there = special.betaln(alpha + x, beta + T - x) + special.betaln(gamma, delta + T) - whole
    stopped = np.full(len(x), -np.inf)
    for i in range(int((T - tx).max())):
        counts = i < T - tx
        term = (
            special.betaln(alpha + x, beta + np.where(counts, tx - x + i, 1))
            + special.betaln(gamma + 1, delta + tx + i)
            - whole
        )
        stopped = np.where(counts, np.logaddexp(stopped, term), stopped)
    return there, stopped


def _bgbb_expected(p: Parameters, x: Array, tx: Array, T: Array, time: float) -> Array:
    alpha, beta, gamma, delta = p
    whole = special.betaln(alpha, beta) + special.betaln(gamma, delta)
    buys = special.betaln(alpha + x + 1, beta + T - x) - whole - np.logaddexp(*_bgbb_terms(p, x, tx, T))
    chances = np.arange(1, int(time) + 1)
    return np.exp(buys) * np.exp(special.betaln(gamma, delta + T[:, None] + chances)).sum(axis=1)


def _bgbb_new(p: Parameters, time: Array) -> Array:
    alpha, beta, gamma, delta = p
    stays = [special.beta(gamma, delta + np.arange(1, int(t) + 1)).sum() for t in time]
    return alpha / (alpha + beta) * np.array(stays) / special.beta(gamma, delta)


# --- the models, and helpers ------------------------------------------------------------------------------


class Model(NamedTuple):
    """A model of purchases.

    Attributes:
        name: Its name.
        parameters: The names of its parameters.
        terms: The logarithms of the two terms of the likelihood: still there at T, or stopped before.
        expected: The purchases to expect of customers with some counts in a time to come.
        new: The same of a new customer.
        starts: Where the search for the likeliest parameters begins.
        times: The places of the parameters that are measured in time.
    """

    name: str
    parameters: tuple[str, ...]
    terms: Callable[..., tuple[Array, Array]]
    expected: Callable[..., Array]
    new: Callable[..., Array]
    starts: tuple[tuple[float, ...], ...]
    times: tuple[int, ...]


def _bg(name: str, modified: bool) -> Model:
    return Model(
        name, ("r", "alpha", "a", "b"), partial(_bg_terms, modified=modified),
        partial(_bg_expected, modified=modified), partial(_bg_new, modified=modified),
        ((0.5, 1.0, 0.8, 2.5), (1.0, 5.0, 0.3, 3.0)), (1,),
    )  # fmt: skip


MODELS: Mapping[str, Model] = {
    "bgnbd": _bg("BG/NBD", modified=False),
    "mbgnbd": _bg("MBG/NBD", modified=True),
    "pareto": Model(
        "Pareto/NBD", ("r", "alpha", "s", "beta"), _pareto_terms, _pareto_expected, _pareto_new,
        ((0.6, 2.0, 0.6, 2.5), (1.0, 5.0, 1.5, 8.0)), (1, 3),
    ),
    "bgbb": Model(
        "BG/BB", ("alpha", "beta", "gamma", "delta"), _bgbb_terms, _bgbb_expected, _bgbb_new,
        ((1.0, 1.0, 1.0, 3.0), (0.5, 2.0, 0.3, 2.0)), (),
    ),
}  # fmt: skip


def _likelihood(model: str, x: Array, tx: Array, T: Array, n: Array) -> Likelihood:
    """The log-likelihood and its gradient, as a function of the parameters' logarithms."""
    if model in ("bgnbd", "mbgnbd"):
        return _bg_likelihood(x, tx, T, n, modified=model == "mbgnbd")
    frequency, where = np.unique(x, return_inverse=True)
    size = np.bincount(where, n)

    def value(theta: Array) -> Array:
        p = np.exp(theta)
        found = n @ np.logaddexp(*MODELS[model].terms(tuple(p), x, tx, T))
        if model == "pareto":
            base = special.gammaln(p[0] + frequency) - special.gammaln(p[0])
            found += size @ (base + p[0] * theta[1] + p[2] * theta[3])
        return np.atleast_1d(found)

    return lambda theta: (float(value(theta)[0]), derivatives(value, theta, 1e-5)[0])


def _alive(model: str, p: Parameters, x: Array, tx: Array, T: Array) -> Array:
    """The chance to be still there, for BG/BB at chance T + 1."""
    there, stopped = MODELS[model].terms(p, x, tx, T)
    next_one = (p[3] + T) / (p[2] + p[3] + T) if model == "bgbb" else 1.0
    return np.asarray(next_one / (1 + np.exp(np.minimum(stopped - there, 700))))


def _columns(counts: pd.DataFrame) -> tuple[Array, Array, Array]:
    x, tx, T = (counts[name].to_numpy(dtype=float) for name in _COUNTS)
    return x, tx, T


def _checked(counts: pd.DataFrame, *, whole: bool) -> pd.DataFrame:
    absent = [name for name in (*_COUNTS, "n") if name not in counts.columns]
    if absent:
        raise InputError(
            f"The purchases have no column {spelled(absent)}; they have {spelled(counts.columns)}: "
            "make them with measures.purchases.grouped_counts."
        )
    counts = counts[counts["n"] > 0]
    if counts.empty:
        raise NotApplicable("Nobody has bought anything, so nothing can be said about further purchases.")
    x, tx, T = _columns(counts)
    good = np.isfinite(tx) & np.isfinite(T) & (x >= 0) & (x == np.round(x))
    bad = ~(good & (tx >= 0) & (tx <= T) & (T > 0) & ((x > 0) | (tx == 0)))
    if whole:
        bad |= (x > tx) | (tx != np.round(tx)) | (np.round(T) != T)
    if bad.any():
        example = counts.iloc[int(np.flatnonzero(bad)[0])][_COUNTS].to_dict()
        raise InputError(
            f"{int(bad.sum())} of {len(counts)} rows of purchases contradict themselves, such as {example}: "
            "frequency counts purchases after the first, and 0 <= recency <= T, with recency 0 for those who "
            "bought once."
        )
    # Equal customers are one row: that is what makes a million of them cheap.
    return counts.groupby(_COUNTS)["n"].sum().reset_index()
