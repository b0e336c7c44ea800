"""How long customers on a contract will stay: retention curves that reach beyond what has been seen.

A customer can leave at each renewal k = 1, 2, ... of the billing interval. Counts of those at risk and of
those who left are all that the likelihood needs, whatever the number of customers, with customers who are
still there and customers watched only from later on counted exactly:
LL = sum over k of d_k log h(k) + (n_k - d_k) log(1 - h(k)), with h(k) the chance to leave at renewal k.

=============  =======================================================================================
`geometric`    the same chance for everybody, always: h = theta
`sbg`          shifted beta-geometric: each customer has a chance of their own, constant over time, and the
               chances are beta(alpha, beta) distributed: S(k) = B(alpha, beta + k) / B(alpha, beta)
               (Fader and Hardie 2007)
`bdw`          beta-discrete-Weibull: a customer's own chance also rises (c > 1) or falls (c < 1) with
               tenure: S(k) = B(gamma, delta + k^c) / B(gamma, delta) (Fader, Hardie, Liu, Davin and
               Steenburgh 2018)
=============  =======================================================================================

Failed payments can be kept apart from choice: then S is the product of a curve for choice, of one of these
models, and of one for failures, whose chance is constant. Characteristics multiply the hazard, in discrete
time exactly: S(k | x) = S(k) to the power exp(x b), with the same b in all groups.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

import numpy as np
import pandas as pd
from scipy import optimize, special

from tenure.errors import InputError, NotApplicable
from tenure.stats.lifetable import (
    Array,
    check_level,
    chi2_p,
    greenwood,
    log_log_band,
    product_limit,
    spelled,
    validate,
    z_value,
)
from tenure.stats.newton import minimize

MODELS: Mapping[str, tuple[str, ...]] = {
    "geometric": ("theta",),
    "sbg": ("alpha", "beta"),
    "bdw": ("gamma", "delta", "c"),
}
NAMES: Mapping[str, str] = {
    "geometric": "geometric",
    "sbg": "shifted beta-geometric",
    "bdw": "beta-discrete-Weibull",
}
KEYS = ("group", "interval")
PARTS = ("choice", "failure")

# The fewest renewals that tell the parameters apart.
_NEEDED = {"geometric": 1, "sbg": 2, "bdw": 3}

# With less gain in log-likelihood than this, customers cannot be told from being all alike.
_SAME = 0.01


# --- counts -------------------------------------------------------------------------------------------


def life_table(stays: pd.DataFrame, by: Sequence[str] = KEYS) -> pd.DataFrame:
    """Turn counts of stays into a life table by renewal.

    Args:
        stays: Columns `by`, and `entry`, `exit`, `event`, `cause` and `n`: n customers were watched from
            after renewal `entry` to renewal `exit`, and left there (`event` 1) or were still on (0).
        by: Columns that the table is made for.

    Returns:
        A row for each combination of `by` and renewal: those columns, `period`, `at_risk`, `events`,
        `voluntary`, `involuntary`, `unknown`, `censored` and `entered`.

    Raises:
        InputError: A column is absent.

    Example:
        >>> stays = pd.DataFrame({"group": "Plus", "entry": 0, "exit": [1, 2, 2], "event": [1, 1, 0],
        ...                       "cause": ["voluntary", "involuntary", None], "n": [20, 10, 70]})
        >>> life_table(stays, ["group"])[["period", "at_risk", "events", "involuntary", "censored"]]
           period  at_risk  events  involuntary  censored
        0       1      100      20            0         0
        1       2       80      10           10        70
    """
    by = list(by)
    absent = [c for c in (*by, "entry", "exit", "event", "cause", "n") if c not in stays.columns]
    if absent:
        raise InputError(
            f"The counts of stays have no column {spelled(absent)}; they have {spelled(stays.columns)}: "
            "make them with measures.value.stay_counts."
        )
    rows = stays[stays["exit"] > stays["entry"]]
    if rows.empty:
        raise NotApplicable(
            "Nobody was watched for a whole billing interval, so retention cannot be estimated: "
            "choose a later as-of date or a wider window."
        )
    keys = rows[by].drop_duplicates().sort_values(by, ignore_index=True)
    where = keys.reset_index().merge(rows[by], on=by, how="right")["index"].to_numpy()
    n = rows["n"].to_numpy(dtype=np.int64)
    exit_, entry = rows["exit"].to_numpy(dtype=int), rows["entry"].to_numpy(dtype=int)
    event = rows["event"].to_numpy(dtype=int) == 1
    cause = rows["cause"].to_numpy(dtype=object)
    shape = (len(keys), int(exit_.max()) + 1)

    def count(period: Array, which: Array) -> Array:
        table = np.zeros(shape, dtype=np.int64)
        np.add.at(table, (where[which], period[which]), n[which])
        return table[:, 1:]

    known = np.isin(cause, ("voluntary", "involuntary"))
    counts = {
        "voluntary": count(exit_, event & (cause == "voluntary")),
        "involuntary": count(exit_, event & (cause == "involuntary")),
        "unknown": count(exit_, event & ~known),
        "censored": count(exit_, ~event),
        "entered": count(entry, entry > 0),
    }
    events = counts["voluntary"] + counts["involuntary"] + counts["unknown"]
    at_risk = (events + counts["censored"] - counts["entered"])[:, ::-1].cumsum(axis=1)[:, ::-1]
    columns = {"at_risk": at_risk, "events": events, **counts}
    size = shape[1] - 1
    table = keys.loc[np.repeat(np.arange(len(keys)), size)].reset_index(drop=True)
    table["period"] = np.tile(np.arange(1, size + 1), len(keys))
    for name, values in columns.items():
        table[name] = values.ravel()
    seen = (table["at_risk"] > 0) | (table["entered"] > 0) | (table["events"] > 0) | (table["censored"] > 0)
    return table[seen].reset_index(drop=True)


def cohort_life_table(active: Sequence[Sequence[float]]) -> pd.DataFrame:
    """Turn cohorts' numbers of customers, year by year, into a life table.

    Args:
        active: For each cohort how many were active at first and after each renewal seen.

    Example:
        >>> cohort_life_table([[1000, 631, 468], [1000, 640]])[["period", "at_risk", "events", "censored"]]
           period  at_risk  events  censored
        0       1     2000     729       640
        1       2      631     163       468
    """
    stays = []
    for numbers in active:
        counts = np.asarray(numbers, dtype=float)
        stays += [(k, 1, count) for k, count in enumerate(-np.diff(counts), start=1)]
        stays.append((len(counts) - 1, 0, counts[-1]))
    frame = pd.DataFrame(stays, columns=["exit", "event", "n"]).assign(group="all", entry=0, cause=None)
    return life_table(frame.round({"n": 0}), ["group"])


def folding(stays: pd.DataFrame, *, smallest: int) -> pd.DataFrame:
    """Say which groups are large enough for a curve of their own, and which join others.

    Groups with fewer than `smallest` customers, or in which nobody left, are *other* among those with the
    same billing interval; where even these are too few, they join the largest group of the interval.

    Args:
        stays: Counts of stays with group, interval, event and n.
        smallest: The fewest customers that have a curve of their own.

    Returns:
        A row a group and interval: `group`, `interval`, `model_group`, whose curve holds.

    Example:
        >>> stays = pd.DataFrame({"group": ["a", "b", "c"], "interval": "1 month", "event": [1, 1, 0],
        ...                       "n": [900, 40, 30]})
        >>> folding(stays, smallest=50)["model_group"].tolist()
        ['a', 'other', 'other']
        >>> folding(stays, smallest=100)["model_group"].tolist()
        ['a', 'a', 'a']
    """
    rows = stays.assign(left=stays["n"] * stays["event"])
    sizes = rows.groupby(list(KEYS))[["n", "left"]].sum().reset_index()
    sizes["model_group"] = sizes["group"]
    for target in ("other", ""):
        whole = sizes.groupby(["model_group", "interval"])[["n", "left"]].transform("sum")
        small = (whole["n"] < smallest) | (whole["left"] == 0)
        largest = sizes.loc[sizes.groupby("interval")["n"].idxmax()].set_index("interval")["model_group"]
        joins = pd.Series(target, index=sizes.index) if target else sizes["interval"].map(largest)
        sizes["model_group"] = sizes["model_group"].where(~small, joins)
    return sizes[[*KEYS, "model_group"]]


def fold(stays: pd.DataFrame, mapping: pd.DataFrame) -> pd.DataFrame:
    """Give counts the groups that `folding` found; groups that it does not know are left out.

    Args:
        stays: Counts with group and interval.
        mapping: What `folding` returned.
    """
    folded = stays.merge(mapping, on=list(KEYS), how="inner")
    return folded.drop(columns="group").rename(columns={"model_group": "group"})


def interval_years(interval: str) -> float:
    """The length of a billing interval in years.

    Args:
        interval: A number of months or days, such as "3 months" or "7 days".

    Raises:
        InputError: It is no such text.

    Example:
        >>> interval_years("3 months"), round(interval_years("7 days"), 4)
        (0.25, 0.0192)
    """
    number, _, unit = str(interval).partition(" ")
    if not number.isdigit() or int(number) < 1 or unit.rstrip("s") not in ("month", "day"):
        raise InputError(f"The interval {interval!r} is no number of months or days, such as '3 months'.")
    return int(number) / 12 if unit.startswith("month") else int(number) / 365.25


# --- curves -------------------------------------------------------------------------------------------


def survival(model: str, parameters: Sequence[float] | Array, periods: int) -> Array:
    """The share still there after 0, 1, ..., `periods` renewals.

    Args:
        model: One of `MODELS`.
        parameters: theta; alpha and beta; or gamma, delta and c.
        periods: How many renewals.

    Returns:
        S(0), ..., S(periods).

    Example:
        >>> survival("sbg", [0.6681, 3.8061], 9)[8:].round(3).tolist()
        [0.46, 0.436]
    """
    _check_model(model)
    log_rate = _INVERSE[model](np.asarray(parameters, dtype=float))
    return np.exp(-np.r_[0.0, np.cumsum(_baseline(model, log_rate, periods)[0])])


def retention_rates(curve: Array) -> Array:
    """The share of those still there who renew, S(k) / S(k - 1) for k = 1, 2, ...

    Example:
        >>> retention_rates(survival("sbg", [1.0, 3.0], 3)).round(3).tolist()
        [0.75, 0.8, 0.833]
    """
    curve = np.asarray(curve, dtype=float)
    return np.divide(curve[1:], curve[:-1], out=np.full(len(curve) - 1, np.nan), where=curve[:-1] > 0)


def discounted_lifetime(curve: Array, rate: float) -> float:
    """Discounted expected lifetime of a new customer (DEL), in payments, the first included.

    The sum over t >= 0 of S(t) / (1 + rate)^t, as far as `curve` reaches.

    Args:
        curve: S(0), S(1), ...; long enough that what lies beyond does not matter.
        rate: Discount rate a renewal.

    Example:
        >>> round(discounted_lifetime(survival("sbg", [0.7041, 1.1820], 500), 0.1), 3)
        3.695
    """
    return float((np.asarray(curve) * (1 + rate) ** -np.arange(len(curve), dtype=float)).sum())


def residual_lifetimes(curve: Array, rate: float) -> Array:
    """Discounted expected residual lifetimes (DERL), in payments.

    Of a customer who is about to decide on the n-th renewal: the sum over t >= n of
    S(t) / S(n - 1) / (1 + rate)^(t - n); the payment at that renewal is not discounted (Fader and Hardie
    2010).

    Args:
        curve: S(0), S(1), ...; long enough that what lies beyond does not matter. One curve a row, or one.
        rate: Discount rate a renewal.

    Returns:
        The values for n = 1, 2, ...; one fewer than the curve has points.

    Example:
        >>> residual_lifetimes(survival("sbg", [3.80, 15.20], 500), 0.1)[:3].round(2).tolist()
        [3.31, 3.45, 3.59]
    """
    curve = np.asarray(curve, dtype=float)
    size = curve.shape[-1]
    # Backwards, so that no power of the discount factor is divided by: E(n) = r(n) (1 + v E(n + 1)).
    renew = np.divide(curve[..., 1:], curve[..., :-1], out=np.zeros_like(curve[..., 1:]),
                      where=curve[..., :-1] > 0)  # fmt: skip
    values = np.zeros_like(renew)
    later = np.zeros(curve.shape[:-1])
    for n in range(size - 2, -1, -1):
        later = renew[..., n] * (1 + later / (1 + rate))
        values[..., n] = later
    return values


def leavers_survival(model: str, parameters: Sequence[float] | Array, renewal: int, periods: int) -> Array:
    """How those would have stayed on who leave by choice at a renewal, had they been kept at it.

    Whoever leaves is more inclined to leave than those who stay, so a customer kept by an incentive is
    worth less than one who renews by themselves. For the shifted beta-geometric model their chance is
    beta(alpha + 1, beta + renewal - 1) distributed; for the beta-discrete-Weibull model the same argument
    gives a ratio of differences of beta functions.

    Args:
        model: One of `MODELS`.
        parameters: As for `survival`.
        renewal: The renewal at which they leave, from 1 up.
        periods: How many renewals after it.

    Returns:
        The share still there 0, 1, ..., `periods` renewals after the one at which they were kept.

    Example:
        >>> kept = leavers_survival("sbg", [1.0, 9.0], 1, 2)
        >>> kept.round(3).tolist(), survival("sbg", [1.0, 9.0], 3)[1:].round(3).tolist()
        ([1.0, 0.818, 0.682], [0.9, 0.818, 0.75])
    """
    _check_model(model)
    after = np.arange(periods + 1, dtype=float)
    if model == "geometric":
        return survival(model, parameters, periods)
    if model == "sbg":
        alpha, beta = parameters
        start = beta + renewal - 1
        return np.exp(special.betaln(alpha + 1, start + after) - special.betaln(alpha + 1, start))
    gamma, delta, c = parameters
    before, at, later = (renewal - 1.0) ** c, float(renewal) ** c, (renewal + after) ** c
    stays = _beta_difference(gamma, delta + before + later - at, delta + later)
    return stays / stays[0]


def _beta_difference(a: float, x: Array, y: Array) -> Array:
    """B(a, x) - B(a, y) for x < y, up to one factor, without loss of digits."""
    high = special.betaln(a, x)
    return np.exp(high - high[0]) * -np.expm1(special.betaln(a, y) - high)


def _check_model(model: str) -> None:
    if model not in MODELS:
        raise InputError(f"`model` is {model!r}; it may be {spelled(MODELS)}.")


# Parameters are handled as logarithms, and theta as the log of the rate -log(1 - theta).
_INVERSE: Mapping[str, Callable[[Array], Array]] = {
    "geometric": lambda p: np.log(-np.log1p(-np.minimum(p, 1 - 1e-15))),
    "sbg": np.log,
    "bdw": np.log,
}
_NATURAL: Mapping[str, Callable[[Array], Array]] = {
    "geometric": lambda q: -np.expm1(-np.exp(q)),
    "sbg": np.exp,
    "bdw": np.exp,
}


def _baseline(model: str, q: Array, periods: int) -> tuple[Array, Array]:
    """Rates H(k) = -log(1 - h(k)) for k = 1..periods, and their derivatives by `q` in rows."""
    k = np.arange(1, periods + 1, dtype=float)
    if model == "geometric":
        rate = np.full(periods, np.exp(q[0]))
        return rate, rate[None]
    if model == "sbg":
        a, b = np.exp(q)
        rate = np.log1p(a / (b + k - 1))
        return rate, np.stack([a / (a + b + k - 1), -a * b / ((a + b + k - 1) * (b + k - 1))])
    gamma, delta, c = np.exp(q)
    t = np.arange(periods + 1, dtype=float)
    power = t**c
    log_s = special.betaln(gamma, delta + power) - special.betaln(gamma, delta)
    total = special.digamma(gamma + delta + power)
    own = special.digamma(delta + power)
    log_t = np.log(np.maximum(t, 1))
    slopes = np.stack(
        [
            gamma * (total[0] - total),
            delta * (own - own[0] - total + total[0]),
            c * power * log_t * (own - total),
        ]
    )
    return -np.diff(log_s), -np.diff(slopes, axis=1)


# --- fitting ------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Cells:
    """Groups of like customers, by the place of their group and ones and zeros for their levels."""

    group: Array
    power: Array


@dataclass(frozen=True, eq=False)
class Part:
    """A fitted curve for one way of leaving.

    Attributes:
        name: "choice" or "failure"; "choice" also where the two are not kept apart.
        models: The model of each group; `sbg` becomes `geometric` where customers cannot be told apart, and
            a group in which nobody left this way has none.
        estimate: The free parameters, as logarithms: group by group, then one for each level.
        covariance: Their covariance.
        places: Where each group's parameters are.
        levels: For each characteristic and level but the first, where its parameter is.
        log_likelihood: The log-likelihood at the estimate.
        events: Customers who left this way.
    """

    name: str
    models: tuple[str, ...]
    estimate: Array
    covariance: Array
    places: tuple[slice, ...]
    levels: Mapping[tuple[str, str], int]
    log_likelihood: float
    events: int

    def rates(self, theta: Array, group: Array, power: Array, periods: int) -> Array:
        """Rates H(k), k = 1..periods, for cells given by group and by the rows of their levels."""
        base = np.zeros((len(self.models), periods))
        for g in np.unique(group):
            if self.models[g]:
                base[g] = _baseline(self.models[g], theta[self.places[g]], periods)[0]
        return base[group] * self.ratio(theta, power)[:, None]

    def ratio(self, theta: Array, power: Array) -> Array:
        """The hazard ratio of each row of levels."""
        size = power.shape[1]
        return np.exp(power @ theta[len(theta) - size :]) if size and len(theta) else np.ones(len(power))

    def natural(self, theta: Array, group: int) -> Array:
        """The parameters of a group, as they are usually given."""
        return _NATURAL[self.models[group]](theta[self.places[group]])


@dataclass(frozen=True, eq=False)
class Retention:
    """Fitted retention curves.

    Attributes:
        model: The model of choice.
        apart: Whether failed payments are kept apart.
        keys: The columns that identify a group.
        groups: A row a group: the keys, `n` (customer-periods at risk), `events`, `last_period`, `model`.
        covariates: Levels of each characteristic, the reference first.
        parts: The fitted curves for choice and, if kept apart, for failed payments.
        level: Level of the intervals.
        notes: What a reader should know, in sentences.
    """

    model: str
    apart: bool
    keys: tuple[str, ...]
    groups: pd.DataFrame
    covariates: Mapping[str, tuple[str, ...]]
    parts: tuple[Part, ...]
    level: float
    notes: tuple[str, ...] = ()
    data: tuple[_Counts, ...] = field(default=(), repr=False)

    @property
    def log_likelihood(self) -> float:
        """The log-likelihood, of choice and failures together."""
        return sum(part.log_likelihood for part in self.parts)

    @cached_property
    def estimate(self) -> Array:
        """All free parameters, as logarithms."""
        return np.concatenate([part.estimate for part in self.parts])

    @cached_property
    def covariance(self) -> Array:
        """Their covariance; choice and failures do not depend on each other."""
        size = len(self.estimate)
        whole, at = np.zeros((size, size)), 0
        for part in self.parts:
            step = len(part.estimate)
            whole[at : at + step, at : at + step] = part.covariance
            at += step
        return whole

    @property
    def label(self) -> str:
        """The model in words."""
        return NAMES[self.model] + (", failed payments apart" if self.apart else "")

    def parameters(self) -> pd.DataFrame:
        """The parameters with intervals: the keys, `part`, `parameter`, `value`, `low`, `high`."""
        z, rows = z_value(self.level), []
        for part in self.parts:
            error = np.sqrt(np.maximum(np.diag(part.covariance), 0))
            for g, key in enumerate(self.groups[list(self.keys)].itertuples(index=False)):
                place, model = part.places[g], part.models[g]
                if not model:
                    continue
                natural = (_NATURAL[model](part.estimate[place] + s * z * error[place]) for s in (0, -1, 1))
                for name, *values in zip(MODELS[model], *natural, strict=True):
                    rows.append((*key, part.name, name, *values))
        return pd.DataFrame(rows, columns=[*self.keys, "part", "parameter", "value", "low", "high"])

    def ratios(self) -> pd.DataFrame:
        """Hazard ratios of the characteristics with intervals; the references have 1 and no interval."""
        z, rows = z_value(self.level), []
        for part in self.parts:
            for name, levels in self.covariates.items():
                rows.append((part.name, name, levels[0], 1.0, np.nan, np.nan))
                for level in levels[1:]:
                    at = part.levels[name, level]
                    value, error = part.estimate[at], np.sqrt(part.covariance[at, at])
                    rows.append(
                        (part.name, name, level, *np.exp([value, value - z * error, value + z * error]))
                    )
        return pd.DataFrame(rows, columns=["part", "covariate", "level", "ratio", "low", "high"])

    def place(self, cells: pd.DataFrame | Cells) -> Cells:
        """Find the group and the levels of each row of `cells` once, to use them many times.

        Raises:
            InputError: A group or a level was not there when the curves were fitted.
        """
        if isinstance(cells, Cells):
            return cells
        return Cells(*_locate(cells, self.keys, self.groups, self.covariates))

    def log_survival(self, cells: pd.DataFrame | Cells, periods: int, theta: Array | None = None) -> Array:
        """Logarithms of S(0), ..., S(periods) for each row of `cells`: the keys and the characteristics.

        Args:
            cells: The rows, or what `place` found for them.
            periods: How many renewals.
            theta: Parameters to use instead of the estimate.
        """
        return -np.sum(list(self.part_rates(cells, periods, theta).values()), axis=0)

    def part_rates(
        self, cells: pd.DataFrame | Cells, periods: int, theta: Array | None = None
    ) -> dict[str, Array]:
        """Cumulated rates of each part, -log S after 0, ..., `periods` renewals, a row a cell."""
        placed = self.place(cells)
        theta, at, found = self.estimate if theta is None else theta, 0, {}
        for part in self.parts:
            step = len(part.estimate)
            rates = part.rates(theta[at : at + step], placed.group, placed.power, periods)
            found[part.name] = np.hstack([np.zeros((len(rates), 1)), np.cumsum(rates, axis=1)])
            at += step
        return found

    def curves(self, cells: pd.DataFrame | Cells, periods: int) -> Array:
        """S(0), ..., S(periods) for each row of `cells`."""
        return np.exp(self.log_survival(cells, periods))

    def delta(self, function: Callable[[Array], Array]) -> tuple[Array, Array]:
        """A function of the parameters at the estimate, and its derivatives, shape (values, parameters)."""
        theta = self.estimate
        value = np.atleast_1d(function(theta))
        slopes = np.zeros((len(value), len(theta)))
        step = 1e-4
        for i in range(len(theta)):
            shift = np.zeros(len(theta))
            shift[i] = step
            slopes[:, i] = (
                np.atleast_1d(function(theta + shift)) - np.atleast_1d(function(theta - shift))
            ) / (2 * step)
        return value, slopes

    def standard_errors(self, slopes: Array) -> Array:
        """Standard errors of values with these derivatives."""
        return np.sqrt(np.maximum(np.einsum("vi,ij,vj->v", slopes, self.covariance, slopes), 0))

    def likelihood_interval(self, function: Callable[[Array], float]) -> tuple[float, float]:
        """The interval of a function of the parameters that the likelihood allows.

        Its ends are the least and the greatest value over all parameters whose log-likelihood is within
        chi-squared / 2 (one degree of freedom) of the best: the profile likelihood interval.
        """
        theta, gap = self.estimate, special.chdtri(1, 1 - self.level) / 2
        scale = np.sqrt(np.maximum(np.diag(self.covariance), 1e-12))
        best = self.log_likelihood
        value, slopes = self.delta(lambda t: np.atleast_1d(function(t)))
        error = float(self.standard_errors(slopes)[0])
        if not error > 0:
            return float(value[0]), float(value[0])
        lean = self.covariance @ slopes[0] / error

        def slack(x: Array) -> float:
            return gap - (best - self.log_likelihood_at(theta + x * scale)[0])

        def slack_slope(x: Array) -> Array:
            return self.log_likelihood_at(theta + x * scale)[1] * scale

        ends = []
        for sign in (-1.0, 1.0):
            found = optimize.minimize(
                lambda x, sign=sign: -sign * (function(theta + x * scale) - value[0]) / error,
                sign * z_value(self.level) * lean / scale,
                jac=lambda x, sign=sign: -sign * _slope(function, theta + x * scale) * scale / error,
                constraints={"type": "ineq", "fun": slack, "jac": slack_slope},
                method="SLSQP",
                options={"maxiter": 60, "ftol": 1e-7},
            )
            ends.append(float(function(theta + found.x * scale)))
        return min(ends), max(ends)

    def log_likelihood_at(self, theta: Array) -> tuple[float, Array]:
        """The log-likelihood at other parameters, and its gradient."""
        total, at, gradient = 0.0, 0, []
        for part, counts in zip(self.parts, self.data, strict=True):
            step = len(part.estimate)
            value, slope = _log_likelihood(theta[at : at + step], counts, part.models, part.places)
            total, at = total + value, at + step
            gradient.append(slope)
        return total, np.concatenate(gradient)

    def score(self, life: pd.DataFrame) -> float:
        """The log-likelihood of who left and who stayed in other counts, such as held-out cohorts'."""
        counts = _read(life, self.keys, tuple(self.covariates))
        rates = np.diff(-self.log_survival(counts.cells, counts.events.shape[1]), axis=1)
        return float(_binomial(rates, counts.events, counts.at_risk - counts.events)[0].sum())


@dataclass(frozen=True, eq=False)
class _Counts:
    """Counts by cell and period, with each cell's group and levels."""

    cells: pd.DataFrame
    group: Array
    power: Array
    at_risk: Array
    events: Array
    involuntary: Array | None


def fit_retention(
    life: pd.DataFrame,
    model: str = "sbg",
    *,
    covariates: Sequence[str] = (),
    apart: bool = False,
    keys: Sequence[str] | None = None,
    level: float = 0.95,
    start: Retention | None = None,
) -> Retention:
    """Fit retention curves to a life table by maximum likelihood.

    Each group has parameters of its own; characteristics multiply the hazard by the same ratio in all
    groups. The gradient is exact; several starts are made. In a group whose hazard does not fall with
    tenure, the shifted beta-geometric model has no estimate (alpha and beta grow without bound while the
    curve becomes geometric), so the group gets the geometric model, which is said in `notes`.

    Args:
        life: A life table by renewal: the keys, the characteristics, `period`, `at_risk`, `events`,
            `censored`, perhaps `entered`, and with `apart` also `involuntary`.
        model: The model of choice: geometric, sbg or bdw.
        covariates: Characteristics, as columns of text.
        apart: Whether failed payments (involuntary) get a constant rate of their own.
        keys: The columns that identify a group; None: `group` and, where it is there, `interval`.
        level: Level of the intervals.
        start: Curves of the same groups and levels, fitted to similar counts: their parameters are where
            the search begins, and their models are kept.

    Raises:
        InputError: The life table or an option is not as it should be.
        NotApplicable: The data cannot identify the model: nobody left, or everybody at the first renewal,
            or too few renewals have been seen.

    Example:
        >>> life = cohort_life_table([[1000, 869, 743, 653, 593, 551, 517, 491]])
        >>> fit = fit_retention(life, "sbg")
        >>> fit.parameters()[["parameter", "value"]].round(3).to_dict("list")
        {'parameter': ['alpha', 'beta'], 'value': [0.668, 3.806]}
        >>> round(fit.log_likelihood, 2)
        -1611.16
    """
    _check_model(model)
    check_level(level)
    if keys is None:
        keys = [name for name in KEYS if name in life.columns] or ["group"]
        life = life if "group" in life.columns else life.assign(group="all")
    counts = _read(life, tuple(keys), tuple(covariates))
    groups = counts.cells[list(keys)].drop_duplicates().reset_index(drop=True)
    levels = {name: _levels(counts, name) for name in covariates}
    if start is not None and groups.equals(start.groups[list(keys)]):
        levels = dict(start.covariates)
    else:
        start = None
    group, power = _locate(counts.cells, keys, groups, levels)
    counts = replace(counts, group=group, power=power)
    _identify(counts, groups, model)
    parts, data, notes = [], [], []
    remaining = counts.at_risk
    for name in PARTS if apart else PARTS[:1]:
        left = _events(counts, name, apart)
        own = replace(counts, at_risk=remaining, events=left, involuntary=None)
        remaining = remaining - left
        known = [part for part in start.parts if part.name == name] if start else []
        part, said = _fit_part(name, own, "geometric" if name == "failure" else model, groups, levels, *known)
        if part.events == 0:
            continue
        parts.append(part)
        data.append(own)
        notes += said
    last = [
        int(np.flatnonzero(counts.at_risk[counts.group == g].sum(axis=0) > 0)[-1]) + 1
        for g in range(len(groups))
    ]
    summary = groups.assign(
        n=[int(counts.at_risk[counts.group == g].sum()) for g in range(len(groups))],
        events=[int(counts.events[counts.group == g].sum()) for g in range(len(groups))],
        last_period=last,
        model=[NAMES[m] if m else "" for m in parts[0].models],
    )
    return Retention(
        model=model,
        apart=apart,
        keys=tuple(keys),
        groups=summary,
        covariates=levels,
        parts=tuple(parts),
        level=level,
        notes=tuple(notes),
        data=tuple(data),
    )


def _read(life: pd.DataFrame, keys: tuple[str, ...], covariates: tuple[str, ...]) -> _Counts:
    """Check a life table and spread it over cells and periods."""
    names = [*keys, *covariates]
    absent = [name for name in names if name not in life.columns]
    if absent:
        raise InputError(
            f"The life table has no column {spelled(absent)}; it has {spelled(map(str, life.columns))}."
        )
    empty = [name for name in names if life[name].isna().any()]
    if empty:
        raise InputError(
            f"Column {empty[0]} of the life table is empty in {int(life[empty[0]].isna().sum())} of "
            f"{len(life)} rows: give those customers a value of their own, such as 'unknown'."
        )
    life = life.assign(**{name: life[name].astype(str) for name in names})
    cells = life[names].drop_duplicates().sort_values(names, ignore_index=True)
    place = cells.reset_index().merge(life[names], on=names, how="right")["index"].to_numpy()
    has_cause = "involuntary" in life.columns
    table = life.drop(columns=names).assign(group=pd.Categorical(place, categories=range(len(cells))))
    if has_cause:
        table = table.assign(_other=table["events"] - table["involuntary"])
    checked = validate(table, causes=("involuntary", "_other") if has_cause else ())
    return _Counts(
        cells=cells,
        group=np.zeros(0, dtype=int),
        power=np.zeros((0, 0)),
        at_risk=checked.at_risk,
        events=checked.events,
        involuntary=checked.causes["involuntary"] if has_cause else None,
    )


def _locate(
    cells: pd.DataFrame, keys: Sequence[str], groups: pd.DataFrame, levels: Mapping[str, tuple[str, ...]]
) -> tuple[Array, Array]:
    """The group of each cell, and a row of ones and zeros for its levels."""
    keys = list(keys)
    place = groups[keys].reset_index().merge(cells[keys].reset_index(drop=True), on=keys, how="right")
    if place["index"].isna().any():
        missing = place.loc[place["index"].isna(), keys].iloc[0]
        known = (" ".join(map(str, row)) for row in groups[keys].itertuples(index=False))
        raise InputError(
            f"The retention curves know no group {' '.join(missing)}; they know {spelled(known)}."
        )
    columns = []
    for name, values in levels.items():
        unknown = ~cells[name].isin(values)
        if unknown.any():
            raise InputError(
                f"The retention curves know no {name} {cells.loc[unknown, name].iloc[0]!r}; they know "
                f"{spelled(values)}."
            )
        columns += [(cells[name] == value).to_numpy(dtype=float) for value in values[1:]]
    power = np.stack(columns, axis=1) if columns else np.zeros((len(cells), 0))
    return place["index"].to_numpy(dtype=int), power


def _levels(counts: _Counts, name: str) -> tuple[str, ...]:
    """The levels of a characteristic, the most frequent first: it is the reference."""
    weight = pd.Series(counts.at_risk.sum(axis=1)).groupby(counts.cells[name].to_numpy()).sum()
    return tuple(weight.sort_values(ascending=False, kind="stable").index)


def _events(counts: _Counts, part: str, apart: bool) -> Array:
    if not apart:
        return counts.events
    if counts.involuntary is None:
        raise InputError(
            "The life table has no column involuntary, so failed payments cannot be kept apart: "
            "pass apart=False."
        )
    return counts.involuntary if part == "failure" else counts.events - counts.involuntary


def _identify(counts: _Counts, groups: pd.DataFrame, model: str) -> None:
    """Refuse groups whose counts cannot tell what their curve is."""
    short = []
    for g, key in enumerate(groups.itertuples(index=False)):
        mine = counts.group == g
        at_risk, events = counts.at_risk[mine].sum(axis=0), counts.events[mine].sum(axis=0)
        name, seen = " ".join(map(str, key)), int((at_risk > 0).sum())
        if not events.any():
            raise NotApplicable(
                f"Nobody left in group {name} in {at_risk.sum():,.0f} renewals, so how long they stay cannot "
                "be estimated: fold the group into another, or wait until some have left."
            )
        if (at_risk == events)[at_risk > 0].all():
            raise NotApplicable(
                f"Everybody in group {name} left at the first renewal at which they were seen, so there is "
                "no retention to project."
            )
        if seen < _NEEDED[model]:
            short.append((name, seen))
    if len(short) == len(groups):
        name, seen = short[0]
        raise NotApplicable(
            f"Group {name} was seen at {seen} renewal{'s' if seen > 1 else ''}, and the {NAMES[model]} model "
            f"needs {_NEEDED[model]} or more: use the geometric model, or wait."
        )


def _fit_part(
    name: str,
    counts: _Counts,
    model: str,
    groups: pd.DataFrame,
    levels: Mapping[str, tuple[str, ...]],
    known: Part | None = None,
) -> tuple[Part, list[str]]:
    """Fit one way of leaving: each group by itself, then all together if they share ratios."""
    models, starts, notes = [], [], []
    for g, key in enumerate(groups.itertuples(index=False)):
        mine = counts.group == g
        n, d = counts.at_risk[mine].sum(axis=0), counts.events[mine].sum(axis=0)
        if known is not None:
            models.append(known.models[g] if d.sum() else "")
            starts.append(known.estimate[known.places[g]] if d.sum() else np.zeros(0))
            continue
        seen = int((n > 0).sum())
        simplest = "geometric" if seen < _NEEDED[model] else model
        own, start = _fit_group(simplest, n, d)
        label = " ".join(map(str, key))
        if simplest != model:
            notes.append(
                f"Group {label} was seen at {seen} renewal{'s' if seen > 1 else ''} only, so it has one "
                "constant chance to leave."
            )
        elif own != model and own:
            notes.append(
                f"In group {label} the chance to leave does not fall with tenure, so it is constant."
            )
        models.append(own)
        starts.append(start)
    at, places = 0, []
    for start in starts:
        places.append(slice(at, at + len(start)))
        at += len(start)
    ratio_names = [(covariate, value) for covariate, values in levels.items() for value in values[1:]]
    theta = np.concatenate([*starts, np.zeros(len(ratio_names))]) if at else np.zeros(0)
    events = int(counts.events.sum())
    where = {key: at + i for i, key in enumerate(ratio_names)} if at else {}
    if not at:
        return Part(name, tuple(models), theta, np.zeros((0, 0)), tuple(places), where, 0.0, events), notes

    def loss(q: Array) -> tuple[float, Array]:
        value, slope = _log_likelihood(q, counts, tuple(models), tuple(places))
        return -value / events, -slope / events

    if known is not None and len(known.estimate) == len(theta):
        theta = known.estimate.copy()
    theta, information = minimize(loss, theta)
    information = information * events
    covariance = np.linalg.pinv(information, rcond=1e-12, hermitian=True)
    best = -loss(theta)[0] * events
    return Part(name, tuple(models), theta, covariance, tuple(places), where, best, events), notes


def _fit_group(model: str, n: Array, d: Array) -> tuple[str, Array]:
    """Fit one group without characteristics; "" where nobody left this way."""
    total = d.sum()
    if not total:
        return "", np.zeros(0)
    k = len(n)
    if model == "geometric":
        return model, np.array([np.log(-np.log1p(-min(total / n.sum(), 1 - 1e-12)))])
    first = np.clip(d[:2].sum() / max(n[:2].sum(), 1), 1e-4, 0.9)

    def loss(q: Array) -> tuple[float, Array]:
        rate, slopes = _baseline(model, q, k)
        value, slope = _binomial(rate, d, n - d)
        return -float(value.sum()) / total, -(slopes @ slope) / total

    found = []
    for spread in (0.02, 0.2, 1.0):
        for c in (1.0, 0.6, 1.5) if model == "bdw" else (1.0,):
            start = np.log([first / spread, (1 - first) / spread])
            q, _ = minimize(loss, np.r_[start, np.log(c)] if model == "bdw" else start)
            found.append((loss(q)[0], tuple(q)))
    value, best = min(found)
    if model == "sbg":
        same = _fit_group("geometric", n, d)
        rate = np.full(k, np.exp(same[1][0]))
        gain = -value * total - float(_binomial(rate, d, n - d)[0].sum())
        if gain < _SAME:
            return same
    return model, np.array(best)


def _log_likelihood(
    theta: Array, counts: _Counts, models: tuple[str, ...], places: tuple[slice, ...]
) -> tuple[float, Array]:
    """The log-likelihood of one way of leaving, and its gradient."""
    periods = counts.events.shape[1]
    extra = counts.power.shape[1]
    log_ratio = counts.power @ theta[len(theta) - extra :] if extra else np.zeros(len(counts.group))
    ratio = np.exp(log_ratio)[:, None]
    gradient = np.zeros(len(theta))
    total = 0.0
    for g, model in enumerate(models):
        if not model:
            continue
        mine = counts.group == g
        rate, slopes = _baseline(model, theta[places[g]], periods)
        value, slope = _binomial(
            rate * ratio[mine], counts.events[mine], counts.at_risk[mine] - counts.events[mine]
        )
        total += value.sum()
        gradient[places[g]] = slopes @ (slope * ratio[mine]).sum(axis=0)
        if extra:
            gradient[len(theta) - extra :] += (slope * rate * ratio[mine]).sum(axis=1) @ counts.power[mine]
    return float(total), gradient


def _binomial(rate: Array, left: Array, stayed: Array) -> tuple[Array, Array]:
    """log-likelihood with 1 - h = exp(-rate), and its derivative by the rate; 0 where nobody was there."""
    safe = np.maximum(rate, 1e-300)
    log_h = np.log(-np.expm1(-safe))
    with np.errstate(over="ignore"):
        odds = 1 / np.expm1(safe)
    value = np.where(left > 0, left * log_h, 0.0) - stayed * rate
    return value, np.where(left > 0, left * odds, 0.0) - stayed


def _slope(function: Callable[[Array], float], theta: Array, step: float = 1e-4) -> Array:
    shifts = np.eye(len(theta)) * step
    return np.array([(function(theta + s) - function(theta - s)) / (2 * step) for s in shifts])


# --- which model, which characteristics ---------------------------------------------------------------


def compare_models(
    train: pd.DataFrame,
    test: pd.DataFrame,
    *,
    models: Sequence[str] = ("geometric", "sbg", "bdw"),
    covariates: Sequence[str] = (),
) -> pd.DataFrame:
    """Fit each model to some counts, and ask how well it foretold others.

    The counts of `test` are those of held-out cohorts, or what happened to everybody after the last day of
    `train`. A model's score is the log-likelihood of who left and who stayed, given what it had foretold: it
    rewards chances that were right, neither too bold nor too timid.

    One model is chosen. Of those that the test cannot tell from the best (their lag is within 1.96 of its
    standard errors; Vuong 1989), one with failed payments apart is preferred, because failures strike
    everybody alike and go on for ever, while choice sorts the inclined to leave out: models that agree in
    what was seen differ in the tail. After that, fewer parameters are preferred.

    Args:
        train: A life table to fit to.
        test: A life table of other customers or of a later time, with the same columns.
        models: The models to try; each with failed payments together and, where causes are known, apart.
        covariates: Characteristics, as columns of both tables.

    Returns:
        A row a model that could be fitted, the best score first: `model`, `apart`, `label`, `score`, `lag`
        (how far its score lies behind the best), `lag_error` (the lag's standard error), `expected` and
        `left` (leavers foretold and seen), `error` (expected / left - 1), `chosen`.

    Raises:
        NotApplicable: No model could be fitted.
    """
    apart = [False]
    if "involuntary" in train.columns and 0 < train["involuntary"].sum() < train["events"].sum():
        apart.append(True)
    rows, chances, reason = [], [], ""
    for split in apart:
        for model in models:
            try:
                fit = fit_retention(train, model, covariates=covariates, apart=split)
            except NotApplicable as why:
                reason = str(why)
                continue
            known = _known_cells(fit, test)
            names = [*fit.keys, *covariates]
            cells = known[names].drop_duplicates().reset_index(drop=True)
            place = cells.reset_index().merge(known[names], on=names, how="right")["index"].to_numpy()
            rates = -np.diff(fit.log_survival(cells, int(known["period"].max())), axis=1)
            rate = rates[place, known["period"].to_numpy(dtype=int) - 1]
            n, left = known["at_risk"].to_numpy(dtype=float), known["events"].to_numpy(dtype=float)
            score = float(_binomial(rate, left, n - left)[0].sum())
            expected = float(-np.expm1(-rate) @ n)
            rows.append((model, split, fit.label, score, expected, left.sum(), len(fit.estimate)))
            chances.append(rate)
    if not rows:
        raise NotApplicable(reason)
    table = pd.DataFrame(rows, columns=["model", "apart", "label", "score", "expected", "left", "parameters"])
    best = int(np.argmax(table["score"].to_numpy()))
    table["lag"] = table["score"].max() - table["score"]
    table["lag_error"] = [_score_error(rate, chances[best], n) for rate in chances]
    table["error"] = table["expected"] / table["left"].where(table["left"] > 0) - 1
    close = table[table["lag"] <= 1.96 * table["lag_error"] + 1e-9]
    preferred = close.sort_values(["apart", "parameters", "lag"], ascending=[False, True, True])
    table["chosen"] = table.index == preferred.index[0]
    columns = ["model", "apart", "label", "score", "lag", "lag_error", "expected", "left", "error", "chosen"]
    return table.sort_values("score", ascending=False, ignore_index=True)[columns]


def _score_error(rate: Array, best: Array, n: Array) -> float:
    """The standard error of the difference of two scores, at the mean of both chances to leave."""
    h, g = -np.expm1(-np.maximum(rate, 1e-300)), -np.expm1(-np.maximum(best, 1e-300))
    middle = (h + g) / 2
    step = np.log(h / g) + (rate - best)
    return float(np.sqrt((n * middle * (1 - middle) * step**2).sum()))


def _known_cells(fit: Retention, life: pd.DataFrame) -> pd.DataFrame:
    """The rows whose group and levels the curves know."""
    life = life.astype(dict.fromkeys((*fit.keys, *fit.covariates), str))
    known = life.merge(fit.groups[list(fit.keys)], on=list(fit.keys), how="inner")
    for name, levels in fit.covariates.items():
        known = known[known[name].isin(levels)]
    if known.empty:
        raise NotApplicable("The two life tables have no group in common, so nothing can be compared.")
    return known.reset_index(drop=True)


def likeliest_model(
    life: pd.DataFrame, *, models: Sequence[str] = ("geometric", "sbg", "bdw"), covariates: Sequence[str] = ()
) -> tuple[str, bool]:
    """Choose a model where there is no later time to judge it by: the least Bayesian criterion.

    Failed payments are kept apart wherever causes are known.

    Args:
        life: The life table to fit to.
        models: The models to try.
        covariates: Characteristics, as columns of the table.

    Returns:
        The model, and whether failed payments are apart.

    Raises:
        NotApplicable: No model could be fitted.
    """
    known = "involuntary" in life.columns and 0 < life["involuntary"].sum() < life["events"].sum()
    found, reason = [], ""
    for model in models:
        try:
            fit = fit_retention(life, model, covariates=covariates, apart=known)
        except NotApplicable as why:
            reason = str(why)
            continue
        size = np.log(max(life["events"].sum(), 2)) * len(fit.estimate)
        found.append((size - 2 * fit.log_likelihood, model))
    if not found:
        raise NotApplicable(reason)
    return min(found)[1], bool(known)


def projection(fit: Retention, stays: pd.DataFrame, *, months: int) -> pd.DataFrame:
    """Put what was seen beside what the curves foretell, by group, over months since the start.

    Args:
        fit: Retention curves.
        stays: The counts of stays that they were fitted to.
        months: How far to look.

    Returns:
        A row for each group and renewal: `group` (with the interval, where a group has several), `month`,
        `fitted` (the mean of its customers' curves), and `seen`, `low`, `high` (Kaplan and Meier's; NaN
        beyond what was seen).
    """
    rows = []
    several = fit.groups["group"].duplicated(keep=False)
    for key, twice in zip(fit.groups[list(KEYS)].to_dict("records"), several, strict=True):
        mine = stays[(stays["group"] == key["group"]) & (stays["interval"] == key["interval"])]
        length = interval_years(key["interval"]) * 12
        periods = max(int(np.floor(months / length + 1e-9)), 1)
        starts = mine[mine["entry"] == 0].groupby([*KEYS, *fit.covariates])["n"].sum().reset_index()
        starts = starts if len(starts) else mine.groupby([*KEYS, *fit.covariates])["n"].sum().reset_index()
        weight = starts["n"].to_numpy(dtype=float)
        fitted = weight / weight.sum() @ fit.curves(starts, periods)
        life = life_table(mine, KEYS).drop(columns=list(KEYS))
        counts = validate(life)
        seen = product_limit(counts)
        low, high = log_log_band(seen, np.cumsum(greenwood(counts), axis=1), counts.at_risk, fit.level)
        reach = min(int(counts.last[0]), periods)
        table = pd.DataFrame({"month": np.arange(periods + 1) * length, "fitted": fitted})
        for name, values in (("seen", seen), ("low", low), ("high", high)):
            table[name] = np.r_[1.0, values[0, :reach], np.full(periods - reach, np.nan)]
        table.insert(0, "group", f"{key['group']}, {key['interval']}" if twice else key["group"])
        rows.append(table)
    return pd.concat(rows, ignore_index=True)


def lifetimes(
    fit: Retention,
    stays: pd.DataFrame,
    rates: Mapping[str, float],
    *,
    periods: Mapping[str, int],
    renewals: Sequence[int],
) -> pd.DataFrame:
    """Discounted expected residual lifetimes (DERL) of groups, as customers get older.

    A group is the mixture of its customers' curves, weighted by who began; those inclined to leave drop out
    of it, so that the lifetime to expect grows.

    Args:
        fit: Retention curves.
        stays: The counts of stays that they were fitted to.
        rates: Discount rate a renewal, for each interval.
        periods: How many renewals count, for each interval.
        renewals: The renewals that customers are about to decide on, from 1 up.

    Returns:
        A row a group and renewal: the keys, `renewal`, `n` (customers who began), `value`, `low`, `high`
        (payments to expect from that renewal on; see `residual_lifetimes`).
    """
    names, tables = [*fit.keys, *fit.covariates], []
    for key in fit.groups[list(fit.keys)].to_dict("records"):
        mine = np.logical_and.reduce([stays[name].astype(str) == value for name, value in key.items()])
        starts = stays[mine].groupby(names)["n"].sum().reset_index()
        weight, cells = starts["n"].to_numpy(dtype=float), fit.place(starts)
        size, rate = periods[key["interval"]] + max(renewals), rates[key["interval"]]
        expected = partial(_mixed_lifetimes, fit, cells, weight / weight.sum(), size, rate, list(renewals))
        value, slopes = fit.delta(expected)
        half = np.exp(z_value(fit.level) * fit.standard_errors(slopes) / value)
        table = pd.DataFrame({"renewal": list(renewals), "n": int(weight.sum()), "value": value})
        named = {str(name): text for name, text in key.items()}
        tables.append(table.assign(low=value / half, high=value * half, **named))
    return pd.concat(tables, ignore_index=True)[[*fit.keys, "renewal", "n", "value", "low", "high"]]


def _mixed_lifetimes(
    fit: Retention, cells: Cells, share: Array, size: int, rate: float, renewals: list[int], theta: Array
) -> Array:
    curve = share @ np.exp(fit.log_survival(cells, size, theta))
    return residual_lifetimes(curve, rate)[np.array(renewals) - 1]


def choose_covariates(
    lives: Mapping[str, pd.DataFrame], *, model: str = "sbg", most: int = 3
) -> tuple[tuple[str, ...], pd.DataFrame]:
    """Choose the characteristics that tell who stays longer, by the Bayesian information criterion.

    Each is tried alone beside the groups, with the same groups in all: twice the gain in log-likelihood is
    compared with the number of levels less one times the logarithm of the number of leavers (Volinsky and
    Raftery 2000). So a characteristic that only looks useful by chance is left out.

    Args:
        lives: For each characteristic a life table by group and the characteristic.
        model: The model of choice.
        most: At most so many are chosen.

    Returns:
        The chosen ones, the strongest first, and a row for each tried: `covariate`, `levels`, `chi2`, `p`,
        `gain` (by the criterion; chosen if above 0), `chosen`.
    """
    rows = []
    for name, life in lives.items():
        keys = [key for key in KEYS if key in life.columns]
        counts = [c for c in ("at_risk", "events", "censored", "entered") if c in life.columns]
        try:
            alone = fit_retention(life.groupby([*keys, "period"], as_index=False)[counts].sum(), model)
            fit = fit_retention(life[[*keys, name, "period", *counts]], model, covariates=[name])
        except NotApplicable:
            continue
        freedom = len(fit.covariates[name]) - 1
        chi2 = max(2 * (fit.log_likelihood - alone.log_likelihood), 0.0)
        gain = chi2 - freedom * np.log(max(life["events"].sum(), 1))
        rows.append((name, freedom + 1, chi2, chi2_p(chi2, freedom), gain))
    table = pd.DataFrame(rows, columns=["covariate", "levels", "chi2", "p", "gain"])
    table = table.sort_values(["gain", "covariate"], ascending=[False, True], ignore_index=True)
    table["chosen"] = (table["gain"] > 0) & (np.arange(len(table)) < most)
    return tuple(table.loc[table["chosen"], "covariate"]), table


def labeled(rows: pd.DataFrame, by: Sequence[str]) -> tuple[pd.DataFrame | None, Array]:
    """Number the combinations of some columns in order.

    Args:
        rows: A table.
        by: Columns of it; none: all rows together.

    Returns:
        The combinations, a row each (None without columns), and for each row of the table its place there.

    Example:
        >>> labels, where = labeled(pd.DataFrame({"plan": ["b", "a", "b"]}), ["plan"])
        >>> labels["plan"].tolist(), where.tolist()
        (['a', 'b'], [1, 0, 1])
    """
    if not by:
        return None, np.zeros(len(rows), dtype=int)
    labels = rows[list(by)].drop_duplicates().sort_values(list(by), ignore_index=True)
    return labels, labels.reset_index().merge(rows[list(by)], on=list(by), how="right")["index"].to_numpy()


def calibration(fit: Retention, stays: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Compare how many were foretold to stay with how many did.

    Args:
        fit: Curves fitted to what was known earlier.
        stays: Counts of stays watched from `entry` on, with the keys, the characteristics, `ripe` (the
            renewals that had passed by the last day), `event` and `n`.
        by: Columns of `stays` to report by; none: in total.

    Returns:
        A row each, and what they have in common: `by`, `n`, `stayed`, `expected`, `low`, `high` (where
        the number who stayed should lie, by chance and by the uncertainty of the curves), `error`
        (expected / stayed - 1).
    """
    rows = _known_cells(fit, stays[(stays["exit"] > stays["entry"]) & (stays["ripe"] > stays["entry"])])
    names = [*fit.keys, *fit.covariates]
    unlike = rows[names].drop_duplicates().reset_index(drop=True)
    place = unlike.reset_index().merge(rows[names], on=names, how="right")["index"].to_numpy()
    cells = fit.place(unlike)
    entry, ripe = rows["entry"].to_numpy(dtype=int), rows["ripe"].to_numpy(dtype=int)
    n = rows["n"].to_numpy(dtype=float)
    labels, where = labeled(rows, by)
    size = int(where.max()) + 1
    total = np.zeros((size, len(rows)))
    total[where, np.arange(len(rows))] = n

    def chance(theta: Array) -> Array:
        log_s = fit.log_survival(cells, int(ripe.max()), theta)
        return np.exp(log_s[place, ripe] - log_s[place, entry])

    share = chance(fit.estimate)
    expected, slopes = fit.delta(lambda theta: total @ chance(theta))
    spread = np.sqrt(total @ (share * (1 - share)) + fit.standard_errors(slopes) ** 2)
    stayed = total @ (rows["event"].to_numpy(dtype=int) == 0)
    half = z_value(fit.level) * spread
    table = pd.DataFrame(
        {
            "n": total.sum(axis=1).astype("int64"),
            "stayed": stayed.astype("int64"),
            "expected": expected,
            "low": np.maximum(expected - half, 0),
            "high": np.minimum(expected + half, total.sum(axis=1)),
            "error": np.where(stayed > 0, expected / np.where(stayed > 0, stayed, 1) - 1, np.nan),
        }
    )
    return table if labels is None else pd.concat([labels, table], axis=1)


# --- intervals by resampling, and without a model ------------------------------------------------------


def bootstrap(
    stays: pd.DataFrame,
    fit: Retention,
    function: Callable[[Retention], Array],
    *,
    draws: int = 200,
    seed: int = 0,
) -> Array:
    """Resample customers, fit anew and apply a function: a check on the intervals of the likelihood.

    Args:
        stays: The counts of stays that `fit` was made from.
        fit: The fitted curves; the same model is fitted to each sample.
        function: Takes curves and returns values.
        draws: How many samples.
        seed: Seed of the samples.

    Returns:
        The values, a row a sample in which the curves could be fitted.

    Raises:
        NotApplicable: Hardly any sample could be fitted.
    """
    rng = np.random.default_rng(seed)
    n = stays["n"].to_numpy(dtype=np.int64)
    found = []
    for _ in range(draws):
        sample = stays.assign(n=rng.multinomial(n.sum(), n / n.sum()))
        life = life_table(sample[sample["n"] > 0], [*fit.keys, *fit.covariates])
        try:
            again = fit_retention(
                life, fit.model, covariates=list(fit.covariates), apart=fit.apart, keys=fit.keys, start=fit
            )
            found.append(np.atleast_1d(function(again)))
        except (NotApplicable, InputError):
            continue
    if len(found) < max(draws // 2, 2):
        raise NotApplicable(
            f"Only {len(found)} of {draws} resampled data sets could be fitted: there are too few leavers."
        )
    return np.array(found)


@dataclass(frozen=True, eq=False)
class SemiParametric:
    """Observed curves, continued by fitted ones.

    Attributes:
        table: A row a group: the keys, `value`, `low`, `high` (discounted lifetime of a new customer, in
            payments), `tail` (the share of it that lies beyond what was observed), `tail_from` (the first
            renewal that is foretold), and `model` (the same lifetime by the fitted curve alone).
        level: The intervals' level.
    """

    table: pd.DataFrame
    level: float


def semi_parametric(
    life: pd.DataFrame,
    fit: Retention,
    rates: Mapping[str, float] | float,
    *,
    periods: Mapping[str, int] | int,
    smallest: int = 30,
) -> SemiParametric:
    """Discounted lifetimes from Kaplan and Meier's curves, continued by the fitted ones.

    As far as at least `smallest` customers were at risk, the observed curve is taken as it is; beyond, the
    fitted one is attached to its end. So the model matters only for the tail, whose share is given.

    Args:
        life: The life table by group, without characteristics.
        fit: Curves fitted to it, without characteristics.
        rates: Discount rate a renewal, or one for each interval.
        periods: How many renewals count, or how many for each interval.
        smallest: The fewest at risk for which the observed curve is used.

    Raises:
        InputError: `fit` has characteristics.
    """
    if fit.covariates:
        raise InputError("The semi-parametric curve is made by group: fit without covariates for it.")
    rows = []
    for key in fit.groups[list(fit.keys)].to_dict("records"):
        mine = np.logical_and.reduce([life[name].astype(str) == value for name, value in key.items()])
        counts = validate(life.loc[mine, [c for c in _COUNTS if c in life.columns]])
        rate = rates if isinstance(rates, (int, float)) else rates[key["interval"]]
        size = periods if isinstance(periods, int) else periods[key["interval"]]
        n, d = counts.at_risk[0], counts.events[0]
        enough = n >= smallest
        until = len(n) if enough.all() else int(np.argmin(enough))
        until = min(until, size)
        cells = fit.place(pd.DataFrame([key]))
        hazard = d[:until] / n[:until]
        weight = (1 + rate) ** -np.arange(size + 1, dtype=float)

        seen = np.r_[0.0, np.cumsum(np.log1p(-np.minimum(hazard, 1 - 1e-12)))]
        lifetime = partial(_continued_lifetime, fit, cells, seen, weight)
        value, slopes = fit.delta(lifetime)
        log_s = fit.log_survival(cells, size)[0]
        s = np.exp(np.r_[seen, seen[-1] + log_s[until + 1 :] - log_s[until]])
        later = (s * weight)[::-1].cumsum()[::-1]
        # dS(j)/dh(k) = -S(j) / (1 - h(k)) for j >= k.
        by_hazard = -later[1 : until + 1] / np.maximum(1 - hazard, 1e-12)
        variance = fit.standard_errors(slopes)[0] ** 2
        variance += (by_hazard**2 * hazard * (1 - hazard) / n[:until]).sum()
        half = z_value(fit.level) * np.sqrt(variance) / value[0]
        alone = float(fit.curves(cells, size)[0] @ weight)
        rows.append(
            (*key.values(), value[0], value[0] * np.exp(-half), value[0] * np.exp(half),
             later[until + 1] / value[0] if until < size else 0.0, until + 1, alone)
        )  # fmt: skip
    columns = [*fit.keys, "value", "low", "high", "tail", "tail_from", "model"]
    return SemiParametric(pd.DataFrame(rows, columns=columns), fit.level)


_COUNTS = ("period", "at_risk", "events", "censored", "entered")


def _continued_lifetime(fit: Retention, cells: Cells, seen: Array, weight: Array, theta: Array) -> Array:
    """The discounted lifetime on a curve that is known up to log S = `seen` and fitted from there on."""
    log_s = fit.log_survival(cells, len(weight) - 1, theta)[0]
    until = len(seen) - 1
    return np.atleast_1d(np.exp(np.r_[seen, seen[-1] + log_s[until + 1 :] - log_s[until]]) @ weight)
