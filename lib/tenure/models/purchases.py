"""Customers who buy without a contract: whether they are still there, how often they will buy, for how much.

The counts that the likelihoods need are those of equal customers: `frequency` x (purchases after the first),
`recency` t_x (time from the first purchase to the last), `T` (time from the first purchase to the end of the
data) and `n`, how many customers share them. A million customers are a few thousand rows.

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

What they spend is gamma-gamma: amounts vary around a customer's mean, means vary between customers, and both
are independent of how often they buy (Fader and Hardie 2013), which `spend_independence` tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import special

from tenure.errors import InputError, NotApplicable
from tenure.stats.lifetable import Array, check_level, spelled, z_value
from tenure.stats.newton import minimize

MODELS: Mapping[str, tuple[str, ...]] = {
    "bgnbd": ("r", "alpha", "a", "b"),
    "mbgnbd": ("r", "alpha", "a", "b"),
    "pareto": ("r", "alpha", "s", "beta"),
    "bgbb": ("alpha", "beta", "gamma", "delta"),
}
NAMES: Mapping[str, str] = {
    "bgnbd": "BG/NBD",
    "mbgnbd": "MBG/NBD",
    "pareto": "Pareto/NBD",
    "bgbb": "BG/BB",
}

_COUNTS = ("frequency", "recency", "T", "n")
_BOUND = 12.0
_MANY = 3_000


@dataclass(frozen=True, eq=False)
class Purchasing:
    """A fitted model of purchases.

    Attributes:
        model: One of `MODELS`.
        parameters: A row a parameter: `parameter`, `value`, `low`, `high`.
        estimate: The logarithms of the parameters, times in the units of the data.
        covariance: Their covariance.
        log_likelihood: The log-likelihood.
        customers: Customers behind it.
        repeaters: Those of them who bought again.
        level: Level of the intervals.
    """

    model: str
    parameters: pd.DataFrame
    estimate: Array
    covariance: Array
    log_likelihood: float
    customers: int
    repeaters: int
    level: float

    def values(self) -> tuple[float, ...]:
        """The parameters in the order of `MODELS`."""
        return tuple(float(value) for value in np.exp(self.estimate))

    def probability_alive(self, counts: pd.DataFrame) -> Array:
        """The chance that customers with these counts will ever buy again unless prevented: still there.

        Args:
            counts: Columns frequency, recency and T.
        """
        x, tx, T = _columns(counts)
        return _ALIVE[self.model](self.values(), x, tx, T)

    def expected_purchases(self, counts: pd.DataFrame, time: float) -> Array:
        """How many purchases customers with these counts will make in a time to come.

        Args:
            counts: Columns frequency, recency and T.
            time: How far to look ahead, in the data's units (whole chances for BG/BB).
        """
        x, tx, T = _columns(counts)
        return _EXPECTED[self.model](self.values(), x, tx, T, float(time))

    def purchases_of_new(self, time: float | Array) -> Array:
        """How many purchases a customer makes within a time after the first, E[X(t)]."""
        return _NEW[self.model](self.values(), np.atleast_1d(np.asarray(time, dtype=float)))

    def total(self, counts: pd.DataFrame, weight: Array, time: float) -> tuple[float, float, float]:
        """Expected purchases in a time to come, weighted and added up, with an interval for the expectation.

        Args:
            counts: Columns frequency, recency and T.
            weight: What a purchase of each row counts for, such as customers times mean spend.
            time: How far to look ahead.
        """
        x, tx, T = _columns(counts)

        def function(theta: Array) -> float:
            return float(weight @ _EXPECTED[self.model](tuple(np.exp(theta)), x, tx, T, float(time)))

        value, step = function(self.estimate), 1e-4
        shifts = np.eye(len(self.estimate)) * step
        slope = np.array(
            [(function(self.estimate + s) - function(self.estimate - s)) / (2 * step) for s in shifts]
        )
        error = np.sqrt(max(slope @ self.covariance @ slope, 0.0))
        half = np.exp(z_value(self.level) * error / value) if value > 0 else 1.0
        return value, value / half, value * half


def fit_purchases(counts: pd.DataFrame, model: str = "bgnbd", *, level: float = 0.95) -> Purchasing:
    """Fit a model of purchases by maximum likelihood to grouped counts.

    Args:
        counts: Columns frequency, recency, T and n; for BG/BB, recency and T count chances.
        model: One of `MODELS`.
        level: Level of the intervals.

    Raises:
        InputError: The counts are not as they should be.
        NotApplicable: Nobody has bought again, or the counts cannot tell the parameters.

    Example:
        >>> counts = pd.DataFrame({"frequency": [0, 1, 2, 4], "recency": [0, 10, 25, 30.0], "T": 38.0,
        ...                        "n": [600, 150, 80, 60]})
        >>> fit = fit_purchases(counts)
        >>> fit.parameters["parameter"].tolist(), bool(fit.probability_alive(counts)[2] > 0.5)
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
    likelihood = _LIKELIHOODS[model](x, tx * scale, T * scale, n)

    def loss(q: Array) -> tuple[float, Array]:
        value, slope = likelihood(q)
        return -value / n.sum(), -slope / n.sum()

    best = None
    for start in _STARTS[model]:
        theta, square = minimize(loss, np.log(start), bound=_BOUND)
        if best is None or loss(theta)[0] < loss(best[0])[0] - 1e-10:
            best = theta, square
        if len(n) > _MANY:
            break  # many counts have one hill to climb; few may have several
    assert best is not None
    theta, information = best[0], best[1] * n.sum()
    covariance = np.linalg.pinv(information, rcond=1e-12, hermitian=True)
    value = -loss(theta)[0] * n.sum()
    estimate = theta.copy()
    for place in _TIMES[model]:
        estimate[place] -= np.log(scale)
    value += (x @ n) * np.log(scale)
    error = z_value(level) * np.sqrt(np.maximum(np.diag(covariance), 0))
    with np.errstate(over="ignore"):
        table = pd.DataFrame(
            {
                "parameter": MODELS[model],
                "value": np.exp(estimate),
                "low": np.exp(estimate - error),
                "high": np.exp(estimate + error),
            }
        )
    return Purchasing(
        model=model,
        parameters=table,
        estimate=estimate,
        covariance=covariance,
        log_likelihood=float(value),
        customers=int(n.sum()),
        repeaters=int(n[x > 0].sum()),
        level=level,
    )


def likeliest_purchases(
    counts: pd.DataFrame, *, models: tuple[str, ...] = ("bgnbd", "mbgnbd", "pareto")
) -> Purchasing:
    """Fit each model, and return the likeliest: they have as many parameters.

    Args:
        counts: Grouped counts: frequency, recency, T, n.
        models: The models to try.

    Raises:
        NotApplicable: Nobody has bought again.
    """
    fits = [fit_purchases(counts, model) for model in models]
    return max(fits, key=lambda fit: fit.log_likelihood)


def compare_purchases(
    train: pd.DataFrame,
    test: pd.DataFrame,
    time: float,
    *,
    models: tuple[str, ...] = ("bgnbd", "mbgnbd", "pareto"),
) -> pd.DataFrame:
    """Fit each model to the purchases up to a day, and ask how well it foretold those after it.

    Args:
        train: Grouped counts up to the day: frequency, recency, T, n.
        test: The same rows with `later`, the purchases that these customers made in the time after.
        time: That time.
        models: The models to try.

    Returns:
        A row a model, the likeliest first: `model`, `label`, `log_likelihood` (on `train`), `expected` and
        `bought` (purchases foretold and made), `error` (expected / bought - 1), `correlation` (of both by
        row, weighted by customers).

    Raises:
        NotApplicable: No model could be fitted.
    """
    rows, reason = [], ""
    n, later = test["n"].to_numpy(dtype=float), test["later"].to_numpy(dtype=float)
    for model in models:
        try:
            fit = fit_purchases(train, model)
        except NotApplicable as why:
            reason = str(why)
            continue
        each = fit.expected_purchases(test, time)
        bought, expected = later.sum(), float(each @ n)
        rows.append(
            {
                "model": model,
                "label": NAMES[model],
                "log_likelihood": fit.log_likelihood,
                "expected": expected,
                "bought": bought,
                "error": expected / bought - 1 if bought else np.nan,
                "correlation": _correlation(each, later / n, n),
            }
        )
    if not rows:
        raise NotApplicable(reason)
    return pd.DataFrame(rows).sort_values("log_likelihood", ascending=False, ignore_index=True)


def calibration_by_frequency(
    fit: Purchasing, test: pd.DataFrame, time: float, *, most: int = 7
) -> pd.DataFrame:
    """Compare purchases foretold and made, by how often customers had bought before.

    Args:
        fit: The model, fitted to the counts before.
        test: Columns frequency, recency, T, n and later, the purchases made in the time after.
        time: That time.
        most: Higher frequencies are taken together.

    Returns:
        A row a frequency: `frequency` (text), `n`, `expected` and `bought` (each customer), `low` and `high`
        (where `bought` should lie, by chance).
    """
    x = np.minimum(test["frequency"].to_numpy(dtype=int), most)
    n, later = test["n"].to_numpy(dtype=float), test["later"].to_numpy(dtype=float)
    mean, alive = fit.expected_purchases(test, time), fit.probability_alive(test)
    # A customer is gone, or buys at a rate that is known only from x purchases (gamma, shape r + x).
    shape = fit.values()[0] + test["frequency"].to_numpy(dtype=float)
    variance = mean + mean**2 * ((1 + 1 / shape) / np.maximum(alive, 1e-12) - 1)
    size = np.bincount(x, n)
    kept = size > 0
    expected, bought = np.bincount(x, mean * n), np.bincount(x, later)
    half = z_value(fit.level) * np.sqrt(np.bincount(x, variance * n)[kept]) / size[kept]
    label = [f"{k}" if k < most else f"{most} or more" for k in np.flatnonzero(kept)]
    return pd.DataFrame(
        {
            "frequency": label,
            "n": size[kept].astype("int64"),
            "expected": expected[kept] / size[kept],
            "bought": bought[kept] / size[kept],
            "low": np.maximum(expected[kept] / size[kept] - half, 0),
            "high": expected[kept] / size[kept] + half,
        }
    )


# --- spend --------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Spend:
    """A fitted gamma-gamma model.

    Attributes:
        p, q, gamma: The parameters; gamma in the units of the amounts.
        log_likelihood: The log-likelihood.
        customers: Customers behind it, all of whom bought again.
        mean: What purchases cost on average over customers, p gamma / (q - 1); infinite if q <= 1.
        low, high: Limits of the mean.
    """

    p: float
    q: float
    gamma: float
    log_likelihood: float
    customers: int
    mean: float
    low: float
    high: float

    def conditional_mean(self, frequency: Array, mean_spend: Array) -> Array:
        """A customer's expected amount a purchase, from how often they bought again and the mean amount.

        p (gamma + x z) / (p x + q - 1): their own mean, drawn towards everybody's the more the less they
        bought.
        """
        x = np.asarray(frequency, dtype=float)
        z = np.where(x > 0, np.asarray(mean_spend, dtype=float), 0)
        return self.p * (self.gamma + x * z) / (self.p * x + self.q - 1)


def fit_spend(spend: pd.DataFrame, *, level: float = 0.95) -> Spend:
    """Fit the gamma-gamma model of spend by maximum likelihood.

    Args:
        spend: Columns frequency (purchases after the first, 1 or more), mean_spend (their mean amount) and
            n (customers).
        level: Level of the interval of the mean.

    Raises:
        InputError: The amounts are not above 0.
        NotApplicable: Fewer than 10 customers bought again.

    Example:
        >>> rng = np.random.default_rng(1)
        >>> x = rng.integers(1, 6, 4000)
        >>> z = rng.gamma(6 * x, 1 / (x * rng.gamma(4, 1 / 15, 4000)))
        >>> fit = fit_spend(pd.DataFrame({"frequency": x, "mean_spend": z, "n": 1}))
        >>> bool(abs(fit.mean - 6 * 15 / 3) < 1.5)
        True
    """
    check_level(level)
    rows = spend[spend["frequency"] > 0]
    n = rows["n"].to_numpy(dtype=float)
    if n.sum() < 10:
        raise NotApplicable(
            f"Only {n.sum():,.0f} customers bought again, too few to say how spend differs between them."
        )
    x, z = rows["frequency"].to_numpy(dtype=float), rows["mean_spend"].to_numpy(dtype=float)
    if not (z > 0).all():
        raise InputError(
            f"Column mean_spend must be above 0; {int((~(z > 0)).sum())} of {len(z)} rows are not: leave "
            "free purchases out."
        )
    unit = float(np.average(z, weights=n))
    z = z / unit
    total = x * z

    def loss(theta: Array) -> tuple[float, Array]:
        p, q, g = np.exp(theta)
        px, log_sum = p * x, np.log(g + total)
        value = (
            special.gammaln(px + q)
            - special.gammaln(px)
            - special.gammaln(q)
            + q * theta[2]
            + px * np.log(total)
            - np.log(z)
            - (px + q) * log_sum
        )
        digamma = special.digamma(px + q)
        slope = np.array(
            [
                p * (n @ (x * (digamma - special.digamma(px) + np.log(total) - log_sum))),
                q * (n @ (digamma - special.digamma(q) + theta[2] - log_sum)),
                n @ (q - g * (px + q) / (g + total)),
            ]
        )
        return -float(n @ value) / n.sum(), -slope / n.sum()

    found = [minimize(loss, np.log(start), bound=_BOUND) for start in ((3.0, 3.0, 1.0), (8.0, 5.0, 0.5))]
    theta, square = min(found, key=lambda pair: loss(pair[0])[0])
    covariance = np.linalg.pinv(square * n.sum(), rcond=1e-12, hermitian=True)
    p, q, g = np.exp(theta)
    mean = p * g / (q - 1) * unit if q > 1 else np.inf
    slope = np.array([1.0, -q / (q - 1), 1.0]) if q > 1 else np.zeros(3)
    half = np.exp(z_value(level) * np.sqrt(max(slope @ covariance @ slope, 0)))
    return Spend(
        p=float(p),
        q=float(q),
        gamma=float(g * unit),
        log_likelihood=-loss(theta)[0] * float(n.sum()) - float(n.sum()) * np.log(unit),
        customers=int(n.sum()),
        mean=float(mean),
        low=float(mean / half),
        high=float(mean * half),
    )


@dataclass(frozen=True)
class Independence:
    """Whether spend goes with frequency.

    Attributes:
        correlation: Of the mean amount and the number of repeat purchases.
        low, high: Its limits.
        p: The p-value of no correlation.
        customers: Customers behind it.
    """

    correlation: float
    low: float
    high: float
    p: float
    customers: int


def spend_independence(spend: pd.DataFrame, *, level: float = 0.95) -> Independence:
    """Test whether customers who buy more often also pay more, or less, a purchase.

    The gamma-gamma model takes it that they do not. The mean of few purchases varies more than that of many,
    so the standard error is White's (1980), which allows for it. (Logarithms would not do: that of a mean of
    few is lower on average than that of a mean of many.)

    Args:
        spend: As for `fit_spend`.
        level: Level of the interval.

    Raises:
        NotApplicable: There are too few customers, or all bought equally often or paid the same.
    """
    check_level(level)
    rows = spend[spend["frequency"] > 0]
    n = rows["n"].to_numpy(dtype=float)
    x, z = rows["frequency"].to_numpy(dtype=float), rows["mean_spend"].to_numpy(dtype=float)
    if n.sum() < 10 or np.ptp(x) == 0 or np.ptp(z) == 0:
        raise NotApplicable(
            "Too few customers bought again, or all of them alike, to tell whether spend goes with frequency."
        )
    r = _correlation(x, z, n)
    x, z = x - np.average(x, weights=n), z - np.average(z, weights=n)
    rest = z - x * (n @ (x * z)) / (n @ x**2)
    error = np.sqrt((n @ (x * rest) ** 2) / ((n @ x**2) * (n @ z**2)))
    half = z_value(level) * error
    return Independence(
        correlation=r,
        low=float(max(r - half, -1)),
        high=float(min(r + half, 1)),
        p=float(2 * special.ndtr(-abs(r) / error)) if error > 0 else 0.0,
        customers=int(n.sum()),
    )


# --- BG/NBD and MBG/NBD ---------------------------------------------------------------------------------

Likelihood = Callable[[Array], tuple[float, Array]]
Parameters = tuple[float, ...]


def _bg_likelihood(modified: bool) -> Callable[[Array, Array, Array, Array], Likelihood]:
    def prepare(x: Array, tx: Array, T: Array, n: Array) -> Likelihood:
        # The gamma functions hang on the frequency alone, and there are few of them.
        frequency, where = np.unique(x, return_inverse=True)
        size = np.bincount(where, n)
        stops = modified | (x > 0)
        past = np.maximum(x - (0 if modified else 1), 0)
        shift = 1.0 if modified else 0.0

        def likelihood(theta: Array) -> tuple[float, Array]:
            r, alpha, a, b = np.exp(theta)
            log_end, log_last = np.log(alpha + T), np.log(alpha + tx)
            base = size @ (
                special.gammaln(r + frequency)
                - special.gammaln(r)
                + r * theta[1]
                + special.gammaln(a + b)
                + special.gammaln(b + frequency + shift)
                - special.gammaln(b)
                - special.gammaln(a + b + frequency + shift)
            )
            on = -(r + x) * log_end
            off = np.where(stops, theta[2] - np.log(b + past) - (r + x) * log_last, -np.inf)
            both = np.logaddexp(on, off)
            chance_on = np.exp(on - both)
            chance_off = 1 - chance_on
            weighted_on, weighted_off = n * chance_on, n * chance_off
            slope = np.array(
                [
                    size @ (special.digamma(r + frequency) - special.digamma(r) + theta[1])
                    - weighted_on @ log_end
                    - weighted_off @ log_last,
                    size.sum() * r / alpha
                    - (r + x) @ (weighted_on / (alpha + T) + weighted_off / (alpha + tx)),
                    size @ (special.digamma(a + b) - special.digamma(a + b + frequency + shift))
                    + weighted_off.sum() / a,
                    size
                    @ (
                        special.digamma(a + b)
                        + special.digamma(b + frequency + shift)
                        - special.digamma(b)
                        - special.digamma(a + b + frequency + shift)
                    )
                    - weighted_off @ (1 / (b + past)),
                ]
            )
            return float(base + n @ both), slope * np.array([r, alpha, a, b])

        return likelihood

    return prepare


def _bg_alive(modified: bool) -> Callable[[Parameters, Array, Array, Array], Array]:
    def alive(parameters: Parameters, x: Array, tx: Array, T: Array) -> Array:
        r, alpha, a, b = parameters
        past = b + np.maximum(x - (0 if modified else 1), 0)
        log_odds = np.log(a / past) + (r + x) * np.log((alpha + T) / (alpha + tx))
        stopped = 1 / (1 + np.exp(np.minimum(log_odds, 700)))
        return stopped if modified else np.where(x > 0, stopped, 1.0)

    return alive


def _bg_expected(modified: bool) -> Callable[[Parameters, Array, Array, Array, float], Array]:
    def expected(parameters: Parameters, x: Array, tx: Array, T: Array, time: float) -> Array:
        r, alpha, a, b = parameters
        shift = 1 if modified else 0
        left = (alpha + T) / (alpha + T + time)
        tail = special.hyp2f1(r + x, b + x + shift, a + b + x + shift - 1, 1 - left)
        each = (a + b + x + shift - 1) / (a - 1) * (1 - left ** (r + x) * tail)
        # Where hardly anybody ever stops, the formula has no digits left: purchases go on at their rate.
        each = np.where(np.isfinite(each) & (each >= 0), each, (r + x) / (alpha + T) * time)
        return each * _bg_alive(modified)(parameters, x, tx, T)

    return expected


def _bg_new(modified: bool) -> Callable[[Parameters, Array], Array]:
    def new(parameters: Parameters, time: Array) -> Array:
        r, alpha, a, b = parameters
        shrink = (alpha / (alpha + time)) ** r
        if modified:
            return b / (a - 1) * (1 - shrink * special.hyp2f1(r, b + 1, a + b, time / (alpha + time)))
        return (a + b - 1) / (a - 1) * (1 - shrink * special.hyp2f1(r, b, a + b - 1, time / (alpha + time)))

    return new


# --- Pareto/NBD -----------------------------------------------------------------------------------------


def _pareto_terms(parameters: Parameters, x: Array, tx: Array, T: Array) -> tuple[Array, Array]:
    """Logarithms of the two terms of the likelihood: still there at T, or stopped before.

    The second is s / (r + s + x) (F(t_x) - F(T)) with F(t) a Gauss hypergeometric function over a power,
    written around the larger of alpha and beta so that its argument lies between 0 and 1.
    """
    r, alpha, s, beta = parameters
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


def _pareto_likelihood(x: Array, tx: Array, T: Array, n: Array) -> Likelihood:
    frequency, where = np.unique(x, return_inverse=True)
    size = np.bincount(where, n)

    def value(theta: Array) -> float:
        r, alpha, s, beta = np.exp(theta)
        there, stopped = _pareto_terms((r, alpha, s, beta), x, tx, T)
        base = size @ (special.gammaln(r + frequency) - special.gammaln(r) + r * theta[1] + s * theta[3])
        return float(base + n @ np.logaddexp(there, stopped))

    return _with_slope(value)


def _pareto_alive(parameters: Parameters, x: Array, tx: Array, T: Array) -> Array:
    there, stopped = _pareto_terms(parameters, x, tx, T)
    return 1 / (1 + np.exp(np.minimum(stopped - there, 700)))


def _pareto_expected(parameters: Parameters, x: Array, tx: Array, T: Array, time: float) -> Array:
    r, alpha, s, beta = parameters
    rate = (r + x) * (beta + T) / ((alpha + T) * (s - 1))
    return rate * (1 - ((beta + T) / (beta + T + time)) ** (s - 1)) * _pareto_alive(parameters, x, tx, T)


def _pareto_new(parameters: Parameters, time: Array) -> Array:
    r, alpha, s, beta = parameters
    return r * beta / (alpha * (s - 1)) * (1 - (beta / (beta + time)) ** (s - 1))


# --- BG/BB ----------------------------------------------------------------------------------------------


def _bgbb_rows(parameters: Parameters, x: Array, tx: Array, T: Array) -> tuple[Array, Array]:
    """Logarithms of the two terms: still there after the T-th chance, or stopped at one after the last."""
    alpha, beta, gamma, delta = parameters
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


def _bgbb_likelihood(x: Array, tx: Array, T: Array, n: Array) -> Likelihood:
    def value(theta: Array) -> float:
        return float(n @ np.logaddexp(*_bgbb_rows(tuple(np.exp(theta)), x, tx, T)))

    return _with_slope(value)


def _bgbb_alive(parameters: Parameters, x: Array, tx: Array, T: Array) -> Array:
    """The chance to be there at chance T + 1."""
    alpha, beta, gamma, delta = parameters
    there, stopped = _bgbb_rows(parameters, x, tx, T)
    whole = special.betaln(alpha, beta) + special.betaln(gamma, delta)
    goes_on = special.betaln(alpha + x, beta + T - x) + special.betaln(gamma, delta + T + 1) - whole
    return np.exp(goes_on - np.logaddexp(there, stopped))


def _bgbb_expected(parameters: Parameters, x: Array, tx: Array, T: Array, time: float) -> Array:
    alpha, beta, gamma, delta = parameters
    there, stopped = _bgbb_rows(parameters, x, tx, T)
    whole = special.betaln(alpha, beta) + special.betaln(gamma, delta)
    buys = special.betaln(alpha + x + 1, beta + T - x) - whole - np.logaddexp(there, stopped)
    chances = np.arange(1, int(time) + 1)
    stays = np.exp(special.betaln(gamma, delta + T[:, None] + chances[None])).sum(axis=1)
    return np.exp(buys) * stays


def _bgbb_new(parameters: Parameters, time: Array) -> Array:
    alpha, beta, gamma, delta = parameters
    whole = special.betaln(gamma, delta)
    return np.array(
        [
            alpha
            / (alpha + beta)
            * np.exp(special.betaln(gamma, delta + np.arange(1, int(t) + 1)) - whole).sum()
            for t in time
        ]
    )


# --- tables of the models, and helpers --------------------------------------------------------------------


def _with_slope(value: Callable[[Array], float], step: float = 1e-5) -> Likelihood:
    def likelihood(theta: Array) -> tuple[float, Array]:
        shifts = np.eye(len(theta)) * step
        slope = np.array([(value(theta + s) - value(theta - s)) / (2 * step) for s in shifts])
        return value(theta), slope

    return likelihood


_LIKELIHOODS: Mapping[str, Callable[[Array, Array, Array, Array], Likelihood]] = {
    "bgnbd": _bg_likelihood(False),
    "mbgnbd": _bg_likelihood(True),
    "pareto": _pareto_likelihood,
    "bgbb": _bgbb_likelihood,
}
_ALIVE = {
    "bgnbd": _bg_alive(False),
    "mbgnbd": _bg_alive(True),
    "pareto": _pareto_alive,
    "bgbb": _bgbb_alive,
}
_EXPECTED = {
    "bgnbd": _bg_expected(False),
    "mbgnbd": _bg_expected(True),
    "pareto": _pareto_expected,
    "bgbb": _bgbb_expected,
}
_NEW = {"bgnbd": _bg_new(False), "mbgnbd": _bg_new(True), "pareto": _pareto_new, "bgbb": _bgbb_new}
_STARTS: Mapping[str, tuple[tuple[float, ...], ...]] = {
    "bgnbd": ((0.5, 1.0, 0.8, 2.5), (1.0, 5.0, 0.3, 3.0)),
    "mbgnbd": ((0.5, 1.0, 0.8, 2.5), (1.0, 5.0, 0.3, 3.0)),
    "pareto": ((0.6, 2.0, 0.6, 2.5), (1.0, 5.0, 1.5, 8.0)),
    "bgbb": ((1.0, 1.0, 1.0, 3.0), (0.5, 2.0, 0.3, 2.0)),
}
_TIMES: Mapping[str, tuple[int, ...]] = {"bgnbd": (1,), "mbgnbd": (1,), "pareto": (1, 3), "bgbb": ()}


def _columns(counts: pd.DataFrame) -> tuple[Array, Array, Array]:
    x, tx, T = (counts[name].to_numpy(dtype=float) for name in _COUNTS[:3])
    return x, tx, T


def _checked(counts: pd.DataFrame, *, whole: bool) -> pd.DataFrame:
    absent = [name for name in _COUNTS if name not in counts.columns]
    if absent:
        raise InputError(
            f"The purchases have no column {spelled(absent)}; they have {spelled(map(str, counts.columns))}: "
            "make them with measures.purchases.grouped_counts."
        )
    counts = counts[counts["n"] > 0]
    if counts.empty:
        raise NotApplicable("Nobody has bought anything, so there is nothing to say about purchases.")
    x, tx, T = _columns(counts)
    bad = ~(
        np.isfinite(tx)
        & np.isfinite(T)
        & (x >= 0)
        & (x == np.round(x))
        & (tx >= 0)
        & (tx <= T)
        & (T > 0)
        & ((x > 0) | (tx == 0))
    )
    if whole:
        bad |= (x > tx) | (tx != np.round(tx)) | (np.round(T) != T)
    if bad.any():
        example = counts.iloc[int(np.flatnonzero(bad)[0])][list(_COUNTS[:3])].to_dict()
        raise InputError(
            f"{int(bad.sum())} of {len(counts)} rows of purchases contradict themselves, such as {example}: "
            "frequency counts purchases after the first, and 0 <= recency <= T, with recency 0 for those who "
            "bought once."
        )
    # Equal customers are one row: that is what makes a million of them cheap.
    return counts.groupby(list(_COUNTS[:3]))["n"].sum().reset_index()


def _correlation(x: Array, y: Array, weight: Array) -> float:
    x, y = x - np.average(x, weights=weight), y - np.average(y, weights=weight)
    scale = np.sqrt((weight @ x**2) * (weight @ y**2))
    return float(weight @ (x * y) / scale) if scale > 0 else float("nan")
