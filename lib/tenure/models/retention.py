"""How long customers on a contract will stay: retention curves that reach beyond what was observed.

A customer can leave at each renewal k = 1, 2, ... of the billing interval. The likelihood needs no more than
the counts of those at risk, n_k, and of those who left, d_k; customers who are still there, and those
observed only from later on, are counted exactly. With h(k) the chance to leave at renewal k,

    LL = sum over k of d_k log h(k) + (n_k - d_k) log(1 - h(k)).

=============  =======================================================================================
`geometric`    the same chance for everybody, always: h = theta
`first`        a chance of its own at the first renewal, and the same chance at each later one
`sbg`          shifted beta-geometric: each customer has a chance of their own, constant over time, and the
               chances are beta(alpha, beta) distributed: S(k) = B(alpha, beta + k) / B(alpha, beta)
               (Fader and Hardie 2007)
`bdw`          beta-discrete-Weibull: a customer's own chance also rises (c > 1) or falls (c < 1) with
               tenure: S(k) = B(gamma, delta + k^c) / B(gamma, delta) (Fader, Hardie, Liu, Davin and
               Steenburgh 2018)
=============  =======================================================================================

Failed payments can have a separate involuntary hazard: then S is the product of a curve for choice, of one of
these models, and of one for failures, whose chance is constant. Characteristics multiply the hazard, in
discrete time exactly: S(k | x) = S(k) to the power exp(x b), with the same b in all groups.

Shared arguments: a `life` table is by renewal, as `renewals.life_table` makes it, with the columns that
identify a group (its keys) and those of characteristics; `cells` are rows of keys and characteristics;
`model` is one of `MODELS`, which has the names of its `parameters`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import pairwise

import numpy as np
import pandas as pd
from scipy import special
from scipy.linalg import block_diag

from tenure.errors import InputError, NotApplicable
from tenure.models.renewals import KEYS, numbered
from tenure.result import Table
from tenure.stats.lifetable import FEWEST, Array, Counts, check_level, spelled, validate, z_value
from tenure.stats.newton import derivatives, minimize

MODELS: Mapping[str, tuple[str, ...]] = {
    "geometric": ("theta",),
    "first": ("first", "theta"),
    "sbg": ("alpha", "beta"),
    "bdw": ("gamma", "delta", "c"),
}
NAMES: Mapping[str, str] = {
    "geometric": "geometric",
    "first": "geometric after the first renewal",
    "sbg": "shifted beta-geometric",
    "bdw": "beta-discrete-Weibull",
}
PARTS = ("choice", "failure")
_CHANCES = ("geometric", "first")  # parameters are chances to leave, the same for everybody

# With less gain in log-likelihood than this, customers cannot be told from being all alike.
_SAME = 0.01
# The highest power of time: with it everybody leaves at one renewal, and higher ones have no digits left.
_STEEPEST = 40.0


# --- the models ---------------------------------------------------------------------------------------


def survival(model: str, parameters: Sequence[float] | Array, periods: int) -> Array:
    """Return the share still there after 0, 1, ..., `periods` renewals.

    Example:
        >>> survival("sbg", [0.6681, 3.8061], 9)[8:].round(3).tolist()
        [0.46, 0.436]
    """
    _check_model(model)
    p = np.asarray(parameters, dtype=float)
    free = np.log(-np.log1p(-np.minimum(p, 1 - 1e-15))) if model in _CHANCES else np.log(p)
    return np.exp(-np.r_[0.0, np.cumsum(_baseline(model, free, periods)[0])])


def kept_survival(model: str, parameters: Sequence[float] | Array, renewal: int, periods: int) -> Array:
    """Return the share still there 0, 1, ..., `periods` renewals after the one at which they were kept.

    Customers who leave by choice are more inclined to leave than those who stay, so a customer kept by an
    incentive is worth less than one who renews unprompted. For the shifted beta-geometric model their chance
    is beta(alpha + 1, beta + renewal - 1) distributed; for the beta-discrete-Weibull model the same argument
    gives a ratio of differences of beta functions.

    Example:
        >>> kept = kept_survival("sbg", [1.0, 9.0], 1, 2)
        >>> kept.round(3).tolist(), survival("sbg", [1.0, 9.0], 3)[1:].round(3).tolist()
        ([1.0, 0.818, 0.682], [0.9, 0.818, 0.75])
    """
    _check_model(model)
    after = np.arange(periods + 1, dtype=float)
    if model in _CHANCES:
        return survival("geometric", parameters[-1:], periods)
    if model == "sbg":
        alpha, beta = parameters
        start = beta + renewal - 1
        return np.exp(special.betaln(alpha + 1, start + after) - special.betaln(alpha + 1, start))
    gamma, delta, c = parameters
    before, at, later = (renewal - 1.0) ** c, float(renewal) ** c, (renewal + after) ** c
    # B(gamma, x) - B(gamma, y) for x < y, up to one factor, without loss of digits.
    high = special.betaln(gamma, delta + before + later - at)
    stays = np.exp(high - high[0]) * -np.expm1(special.betaln(gamma, delta + later) - high)
    return np.asarray(stays / stays[0])


def _check_model(model: str) -> None:
    if model not in MODELS:
        raise InputError(f"`model` is {model!r}; it may be {spelled(MODELS)}.")


def _natural(model: str, q: Array) -> Array:
    """Parameters as they are usually given; free ones are logarithms, theta's that of -log(1 - theta)."""
    return np.asarray(-np.expm1(-np.exp(q)) if model in _CHANCES else np.exp(q))


def _baseline(model: str, q: Array, periods: int) -> tuple[Array, Array]:
    """Rates H(k) = -log(1 - h(k)) for k = 1..periods, and their derivatives by `q` in rows."""
    k = np.arange(1, periods + 1, dtype=float)
    if model == "geometric":
        rate = np.full(periods, np.exp(q[0]))
        return rate, rate[None]
    if model == "first":
        slopes = np.exp(q)[:, None] * np.stack([k == 1, k > 1])
        return slopes.sum(axis=0), slopes
    if model == "sbg":
        a, b = np.exp(q)
        rate = np.log1p(a / (b + k - 1))
        return rate, np.stack([a / (a + b + k - 1), -a * b / ((a + b + k - 1) * (b + k - 1))])
    gamma, delta, c = np.minimum(np.exp(q), [np.inf, np.inf, _STEEPEST])
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


def _pulled(model: str, periods: int, pull: Array, q: Array) -> Array:
    """The derivatives of the rates, weighted."""
    return _baseline(model, q, periods)[1] @ pull


def binomial(rate: Array, left: Array, stayed: Array) -> tuple[Array, Array, Array]:
    """log-likelihood, 1 - h = exp(-rate), and two derivatives by the rate; 0 where nobody was there."""
    safe, some = np.maximum(rate, 1e-300), left > 0
    with np.errstate(over="ignore"):
        odds = 1 / np.expm1(safe)
        value = np.where(some, left * np.log(-np.expm1(-safe)), 0.0) - stayed * rate
        slope = np.where(some, left * odds, 0.0) - stayed
        return value, slope, np.where(some, -left * odds * (1 + odds), 0.0)


# --- fitted curves ------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Cells:
    """Rows of like customers: the place of each one's group, and ones and zeros for its levels."""

    group: Array
    power: Array

    def of(self, group: int, counts: Array) -> Array:
        """Add up the counts of a group's rows, by period."""
        return counts[self.group == group].sum(axis=0)


@dataclass(frozen=True, eq=False)
class Part:
    """A fitted curve for one way of leaving.

    Attributes:
        name: "choice" or "failure"; "choice" also where there is no separate involuntary hazard.
        models: The model of each group; `sbg` becomes `geometric` where customers cannot be told apart, and a
            group in which nobody left this way has none.
        places: Where each group's parameters are; those of the levels follow.
        cells: The cells that it was fitted to.
        at_risk: Who was at risk, by cell and renewal.
        events: Who left this way, alike.
        estimate: The free parameters, as logarithms.
        covariance: Their covariance.
    """

    name: str
    models: tuple[str, ...]
    places: tuple[slice, ...]
    cells: Cells
    at_risk: Array
    events: Array
    estimate: Array = field(default_factory=lambda: np.zeros(0))
    covariance: Array = field(default_factory=lambda: np.zeros((0, 0)))

    def rates(self, theta: Array, cells: Cells, periods: int) -> Array:
        """Rates H(k), k = 1..periods, a row per cell."""
        base = np.zeros((len(self.models), periods))
        for g in np.unique(cells.group):
            if self.models[g]:
                base[g] = _baseline(self.models[g], theta[self.places[g]], periods)[0]
        return base[cells.group] * self.ratio(theta, cells.power)[:, None]

    def ratio(self, theta: Array, power: Array) -> Array:
        """The hazard ratio of each row of levels."""
        size = power.shape[1]
        return np.exp(power @ theta[len(theta) - size :]) if size and len(theta) else np.ones(len(power))

    def natural(self, theta: Array, group: int) -> Array:
        """The parameters of a group, as they are usually given."""
        return _natural(self.models[group], theta[self.places[group]])

    def likelihood(self, theta: Array, *, curved: bool = False) -> tuple[float, Array, Array]:
        """The log-likelihood at some parameters, its gradient and, if `curved`, its second derivatives.

        sum d log(1 - exp(-r)) - (n - d) r over cells and renewals: d of n leave, at the rate r of the group's
        curve times the hazard ratio of the cell.
        """
        size, periods, extra = len(theta), self.events.shape[1], self.cells.power.shape[1]
        levels = slice(size - extra, size)
        ratio = self.ratio(theta, self.cells.power)
        total, gradient, square = 0.0, np.zeros(size), np.zeros((size, size))
        for g, model in enumerate(self.models):
            if not model:
                continue
            mine, own = self.cells.group == g, self.places[g]
            x, times = self.cells.power[mine], ratio[mine][:, None]
            rate, slopes = _baseline(model, theta[own], periods)
            left = self.events[mine]
            value, slope, bend = binomial(rate * times, left, self.at_risk[mine] - left)
            total, pull, each = total + value.sum(), (slope * times).sum(axis=0), slope * rate * times
            gradient[own] = slopes @ pull
            gradient[levels] += each.sum(axis=1) @ x
            if curved:
                square[own, own] = (slopes * (bend * times**2).sum(axis=0)) @ slopes.T
                square[own, own] += derivatives(partial(_pulled, model, periods, pull), theta[own])
                square[levels, levels] += (x * (each + bend * (rate * times) ** 2).sum(axis=1)[:, None]).T @ x
                cross = slopes @ (slope * times + bend * rate * times**2).T @ x
                square[own, levels], square[levels, own] = cross, cross.T
        return float(total), gradient, square


@dataclass(frozen=True, eq=False)
class Seen:
    """A group's curve as it was observed (see `tenure.models.retention_seen`).

    Attributes:
        group: The place of the group.
        start: The renewals before those observed.
        rates: The observed rates -log(1 - h) of the renewals after.
        variance: Their variances.
        tail: A curve that continues them; its renewal 1 is the one after renewal `begin`.
        begin: The renewal after which the tail was fitted.
    """

    group: int
    start: int
    rates: Array
    variance: Array
    tail: Retention
    begin: int

    @property
    def estimate(self) -> Array:
        """The free parameters: the rates, and those of the tail."""
        return np.concatenate([self.rates, self.tail.estimate])

    def ratio(self, fitted: Array, theta: Array) -> Array:
        """What the rates of a fitted curve are to be multiplied by."""
        size, found = len(self.rates), np.array(fitted)
        until, one = self.start + size, Cells(np.zeros(1, dtype=int), np.zeros((1, 0)))
        known = min(until, len(found))
        found[self.start : known] = theta[: known - self.start] if known > self.start else 0.0
        if len(found) > until:
            later = self.tail.log_survival(one, len(found) - self.begin, theta[size:])[0]
            found[until:] = -np.diff(later)[until - self.begin :]
        return found / np.maximum(fitted, 1e-300)


@dataclass(frozen=True, eq=False)
class Retention:
    """Fitted retention curves.

    Attributes:
        model: The model of choice.
        apart: Whether failed payments have a separate hazard.
        keys: The columns that identify a group.
        groups: A row per group: the keys, `n` (customer-periods at risk), `events`, `last_period`, `enough`
            (the last with enough at risk), `model`.
        covariates: Levels of each characteristic, the reference first.
        parts: The fitted curves for choice and, where separate, for failed payments.
        level: Level of the intervals.
        notes: What a reader should know, in sentences.
        seen: The groups whose curves are as observed, since fitted ones do not follow them.
        others: The same curves with other tails that fit as well: intervals reach over them.
    """

    model: str
    apart: bool
    keys: tuple[str, ...]
    groups: pd.DataFrame
    covariates: Mapping[str, tuple[str, ...]]
    parts: tuple[Part, ...]
    log_likelihood: float
    level: float
    notes: tuple[str, ...] = ()
    seen: tuple[Seen, ...] = ()
    others: tuple[Retention, ...] = ()

    @cached_property
    def estimate(self) -> Array:
        """All free parameters, as logarithms; those of observed curves come last."""
        return np.concatenate(self._pieces)

    @property
    def _pieces(self) -> list[Array]:
        return [part.estimate for part in self.parts] + [one.estimate for one in self.seen]

    @cached_property
    def covariance(self) -> Array:
        """Their covariance; choice and failures do not depend on each other."""
        blocks = [part.covariance for part in self.parts]
        blocks += [block for one in self.seen for block in (np.diag(one.variance), one.tail.covariance)]
        return np.asarray(block_diag(*blocks))

    @property
    def label(self) -> str:
        """The model in words."""
        return NAMES[self.model] + (" with a separate involuntary hazard" if self.apart else "")

    @property
    def cells(self) -> list[str]:
        """The columns that tell customers apart: keys and characteristics."""
        return [*self.keys, *self.covariates]

    def parameters(self) -> Table:
        """The parameters: the keys, `part`, `parameter` and `value` with its interval.

        Limits are Wald's on the logarithm, those of a chance theta on log(-log(1 - theta)).
        """
        z, rows = z_value(self.level), []
        for part in self.parts:
            half = z * np.sqrt(np.maximum(np.diag(part.covariance), 0))
            for key, model, at in zip(
                self.groups[list(self.keys)].to_numpy(), part.models, part.places, strict=True
            ):
                if model:
                    free = part.estimate[at]
                    ends = (_natural(model, end) for end in (free, free - half[at], free + half[at]))
                    rows += [(*key, part.name, *row) for row in zip(MODELS[model], *ends, strict=True)]
        columns = [*self.keys, "part", "parameter", "value", "value_low", "value_high"]
        return Table(pd.DataFrame(rows, columns=columns), {"value": "number"})

    def place(self, cells: pd.DataFrame | Cells) -> Cells:
        """Find the group and the levels of each row of `cells`, which must be known, for repeated use."""
        if isinstance(cells, Cells):
            return cells
        return _locate(cells, self.keys, self.groups, self.covariates)

    def log_survival(self, cells: pd.DataFrame | Cells, periods: int, theta: Array | None = None) -> Array:
        """Logarithms of S(0), ..., S(periods), a row per cell, by the estimate or by other parameters."""
        return -np.sum(list(self.part_rates(cells, periods, theta).values()), axis=0)

    def part_rates(
        self, cells: pd.DataFrame | Cells, periods: int, theta: Array | None = None
    ) -> dict[str, Array]:
        """Cumulated rates of each part, -log S after 0, ..., `periods` renewals, a row per cell."""
        placed = self.place(cells)
        theta, rates = self.estimate if theta is None else theta, {}
        ahead = np.split(theta, np.cumsum([len(piece) for piece in self._pieces])[:-1])
        for part, own in zip(self.parts, ahead, strict=False):
            rates[part.name] = part.rates(own, placed, periods)
        for seen, own in zip(self.seen, ahead[len(self.parts) :], strict=True):
            mine = placed.group == seen.group
            if mine.any():
                ratio = seen.ratio(self._together(seen.group, periods, ahead), own)
                rates = {name: np.where(mine[:, None], each * ratio, each) for name, each in rates.items()}
        zero = np.zeros((len(placed.group), 1))
        return {name: np.hstack([zero, np.cumsum(each, axis=1)]) for name, each in rates.items()}

    def _together(self, group: int, periods: int, theta: Sequence[Array]) -> Array:
        """The fitted rates of a group's customers together, as those inclined to leave drop out."""
        whole = self.parts[0]
        own = np.flatnonzero(whole.cells.group == group)
        cells = Cells(whole.cells.group[own], whole.cells.power[own])
        rates = np.sum([p.rates(t, cells, periods) for p, t in zip(self.parts, theta, strict=False)], axis=0)
        stay = np.exp(-np.hstack([np.zeros((len(own), 1)), np.cumsum(rates, axis=1)]))
        return -np.diff(np.log(whole.at_risk[own].max(axis=1) @ stay))

    def curves(self, cells: pd.DataFrame | Cells, periods: int) -> Array:
        """S(0), ..., S(periods) for each row of `cells`."""
        return np.exp(self.log_survival(cells, periods))

    def delta(self, function: Callable[[Array], Array]) -> tuple[Array, Array]:
        """A function of the parameters at the estimate, and its derivatives, shape (values, parameters)."""
        value = np.atleast_1d(function(self.estimate))
        return value, derivatives(lambda theta: np.atleast_1d(function(theta)), self.estimate)

    def standard_errors(self, slopes: Array) -> Array:
        """Standard errors of values with these derivatives."""
        return np.sqrt(np.maximum(np.einsum("vi,ij,vj->v", slopes, self.covariance, slopes), 0))

    def known(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The rows whose group and levels the curves know.

        Raises:
            NotApplicable: There are none.
        """
        rows = rows.astype(dict.fromkeys(self.cells, str))
        known = rows.merge(self.groups[list(self.keys)], on=list(self.keys), how="inner")
        for name, levels in self.covariates.items():
            known = known[known[name].isin(levels)]
        if known.empty:
            raise NotApplicable("The curves know none of these groups, so nothing can be compared.")
        return known.reset_index(drop=True)


def fit_retention(
    life: pd.DataFrame,
    model: str = "sbg",
    *,
    covariates: Sequence[str] = (),
    apart: bool = False,
    level: float = 0.95,
    start: Retention | None = None,
) -> Retention:
    """Fit retention curves to a life table by maximum likelihood.

    Each group has parameters of its own; characteristics multiply the hazard by the same ratio in all groups.
    Gradient and second derivatives are exact; several starts are made. In a group whose hazard does not fall
    with tenure, the shifted beta-geometric model has no estimate (alpha and beta grow without bound while
    the curve becomes geometric), so the group gets the geometric model, as `notes` report.

    Args:
        life: A life table: `period`, `at_risk`, `events`, `censored`, perhaps `entered`, and with `apart`
            also `involuntary`. `group` and, where it is there, `interval` identify a group.
        model: The model of choice.
        covariates: Characteristics, as columns of text.
        apart: Whether failed payments (involuntary) get a constant hazard of their own.
        level: Level of the intervals.
        start: Curves of the same groups and levels, fitted to similar counts: their parameters are where the
            search begins, and their models are kept.

    Raises:
        InputError: The life table or an option is not as it should be.
        NotApplicable: The data cannot identify the model: nobody left, or everybody at the first renewal, or
            too few renewals were observed.

    Example:
        >>> there = np.array([1000, 869, 743, 653, 593, 551, 517, 491])
        >>> life = pd.DataFrame({"period": range(1, 8), "at_risk": there[:-1], "events": -np.diff(there),
        ...                      "censored": [0] * 6 + [491]})
        >>> fit = fit_retention(life, "sbg")
        >>> fit.parameters().frame[["parameter", "value"]].round(3).to_dict("list")
        {'parameter': ['alpha', 'beta'], 'value': [0.668, 3.806]}
        >>> round(fit.log_likelihood, 2)
        -1611.16
    """
    _check_model(model)
    check_level(level)
    life = life if "group" in life.columns else life.assign(group="all")
    keys = [name for name in KEYS if name in life.columns]
    cells, counts = _read(life, [*keys, *covariates])
    groups = numbered(cells, keys)[0]
    start = start if start is not None and groups.equals(start.groups[list(keys)]) else None
    levels = {name: _levels(cells[name], counts.at_risk) for name in covariates}
    levels |= start.covariates if start else {}
    placed = _locate(cells, keys, groups, levels)
    per_group = [(placed.of(g, counts.at_risk), placed.of(g, counts.events)) for g in range(len(groups))]
    names = [" ".join(map(str, key)) for key in groups.itertuples(index=False)]
    _identify(names, per_group, model)
    if apart and "involuntary" not in counts.causes:
        raise InputError(
            "The life table has no column involuntary, so failed payments cannot have a separate hazard: "
            "pass apart=False."
        )
    failed = counts.causes["involuntary"] if apart else np.zeros_like(counts.events)
    events = {"choice": counts.events - failed, "failure": failed}
    remaining, parts, notes, total = counts.at_risk, [], [], 0.0
    for name in PARTS:
        if events[name].any():
            known = next((part for part in start.parts if part.name == name), None) if start else None
            wanted = "geometric" if name == "failure" else model
            part, best, said = _fit_part(name, placed, remaining, events[name], wanted, names, known)
            parts.append(part)
            notes += said
            total += best
        remaining = remaining - events[name]
    summary = groups.assign(
        n=[int(n.sum()) for n, _ in per_group],
        events=[int(d.sum()) for _, d in per_group],
        last_period=[int(np.flatnonzero(n > 0)[-1]) + 1 for n, _ in per_group],
        enough=[int(np.flatnonzero(n >= min(FEWEST, n.max()))[-1]) + 1 for n, _ in per_group],
        model=[NAMES.get(m, "") for m in parts[0].models],
    )
    return Retention(model, apart, tuple(keys), summary, levels, tuple(parts), total, level, tuple(notes))


def _read(life: pd.DataFrame, names: list[str]) -> tuple[pd.DataFrame, Counts]:
    """Check a life table and spread it over cells, which some columns name, and periods."""
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
    cells, place = numbered(life.astype(dict.fromkeys(names, str)), names)
    table = life.drop(columns=names).assign(group=pd.Categorical(place, categories=range(len(cells))))
    if "involuntary" not in table:
        return cells, validate(table)
    table["other"] = table["events"] - table["involuntary"]
    return cells, validate(table, causes=("involuntary", "other"))


def _locate(
    cells: pd.DataFrame, keys: Sequence[str], groups: pd.DataFrame, levels: Mapping[str, tuple[str, ...]]
) -> Cells:
    """The group of each cell, and a row of ones and zeros for its levels."""
    known, wanted = (pd.MultiIndex.from_frame(rows[list(keys)].astype(str)) for rows in (groups, cells))
    place = known.get_indexer(wanted)
    if (place < 0).any():
        missing = " ".join(wanted.to_list()[int(np.argmin(place))])
        raise InputError(
            f"The retention curves know no group {missing}; they know {spelled(map(' '.join, known))}."
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
    return Cells(place, np.stack(columns, axis=1) if columns else np.zeros((len(cells), 0)))


def _levels(column: pd.Series, at_risk: Array) -> tuple[str, ...]:
    """The levels of a characteristic, the most frequent first: it is the reference."""
    weight = pd.Series(at_risk.sum(axis=1)).groupby(column.to_numpy()).sum()
    return tuple(weight.sort_values(ascending=False, kind="stable").index)


def _identify(names: Sequence[str], counts: Sequence[tuple[Array, Array]], model: str) -> None:
    """Refuse groups whose counts do not determine a curve."""
    seen = [int((n > 0).sum()) for n, _ in counts]
    for name, (n, d) in zip(names, counts, strict=True):
        if not d.any():
            raise NotApplicable(
                f"Nobody left in group {name} in {n.sum():,.0f} renewals, so how long they stay cannot "
                "be estimated: fold the group into another, or wait until some have left."
            )
        if (n == d)[n > 0].all():
            raise NotApplicable(
                f"Everybody in group {name} left at the first renewal observed, so there is "
                "no retention to project."
            )
    if max(seen) < len(MODELS[model]):
        raise NotApplicable(
            f"Group {names[0]} was observed at {seen[0]} renewal{'s' if seen[0] > 1 else ''}, and the "
            f"{NAMES[model]} model needs {len(MODELS[model])} or more: use the geometric model, or wait."
        )


def _fit_part(
    name: str,
    cells: Cells,
    at_risk: Array,
    events: Array,
    model: str,
    names: Sequence[str],
    known: Part | None,
) -> tuple[Part, float, list[str]]:
    """Fit one way of leaving: each group by itself, then all together; the part, its likelihood and notes."""
    models, starts, notes = [], [], []
    for g, label in enumerate(names):
        n, d = cells.of(g, at_risk), cells.of(g, events)
        seen = int((n > 0).sum())
        simplest = "geometric" if seen < len(MODELS[model]) else model
        if known is not None and d.any():
            own, start = known.models[g], known.estimate[known.places[g]]
        else:
            own, start = _fit_group(simplest, n, d)
        if known is None and simplest != model:
            notes.append(
                f"Group {label} was observed at {seen} renewal{'s' if seen > 1 else ''} only, so it has one "
                "constant chance to leave."
            )
        elif known is None and own and own != model:
            notes.append(
                f"In group {label} nothing shows a chance to leave that falls with tenure, so it is constant."
            )
        models.append(own)
        starts.append(start)
    ends = np.cumsum([0, *map(len, starts)])
    places = tuple(slice(a, b) for a, b in pairwise(ends))
    theta = np.concatenate([*starts, np.zeros(cells.power.shape[1])])
    if known is not None and len(known.estimate) == len(theta):
        theta = known.estimate
    part = Part(name, tuple(models), places, cells, at_risk, events)
    theta, information, best = _optimum(part, theta)
    covariance = np.linalg.pinv(information, rcond=1e-12, hermitian=True)
    return replace(part, estimate=theta, covariance=covariance), best, notes


def _fit_group(model: str, n: Array, d: Array) -> tuple[str, Array]:
    """Fit one group without characteristics; "" where nobody left this way."""
    total = float(d.sum())
    if not total:
        return "", np.zeros(0)
    alike = np.array([np.log(-np.log1p(-min(total / n.sum(), 1 - 1e-12)))])
    # Who left at the first renewal alone says nothing of later ones.
    if model == "geometric" or not d[1:].any():
        return "geometric", alike
    if model == "first":
        left, due = np.array([d[0], d[1:].sum()]), np.array([n[0], n[1:].sum()])
        known = left[0] > 0 and (left < due).all()
        return (model, np.log(-np.log1p(-left / due))) if known else ("geometric", alike)
    one = Cells(np.zeros(1, dtype=int), np.zeros((1, 0)))
    part = Part("", (model,), (slice(0, len(MODELS[model])),), one, n[None], d[None])
    first = np.clip(d[:2].sum() / max(n[:2].sum(), 1), 1e-4, 0.9)
    found = []
    for spread in (0.02, 0.2, 1.0):
        for c in (1.0, 0.6, 1.5) if model == "bdw" else (1.0,):
            start = [first / spread, (1 - first) / spread, c]
            q, _, best = _optimum(part, np.log(start[: len(MODELS[model])]))
            found.append((-best, tuple(q)))
    value, estimate = min(found)
    same = float(binomial(np.full(len(n), np.exp(alike[0])), d, n - d)[0].sum())
    if model == "sbg" and -value - same < _SAME:
        return "geometric", alike
    return model, np.array(estimate)


def _optimum(part: Part, start: Array) -> tuple[Array, Array, float]:
    """The likeliest parameters of a part, the information there, and the log-likelihood."""
    total = float(part.events.sum())

    def loss(theta: Array) -> tuple[float, Array]:
        value, slope, _ = part.likelihood(theta)
        return -value / total, -slope / total

    theta, square = minimize(
        loss, start, square=lambda theta: -part.likelihood(theta, curved=True)[2] / total
    )
    return theta, square * total, part.likelihood(theta)[0]
