"""The life table that the estimates are made from.

It is what `tenure.measures` reduces in the engine: one row for a group and an
integer period of life, a few hundred rows whatever the number of subscribers.

=============  =======================================================================================
`group`        the group; may be absent (then everybody is in the group `all`)
`period`       k = 1, 2, ...: the k-th period of life; leaving in it means that the spell lasted
               more than k - 1 and at most k periods
`at_risk`      subscribers observed in period k
`events`       those of them who left in it
`voluntary`, `involuntary`, `unknown`
               the same by cause; needed only where causes are compared
`censored`     those last seen after completing period k, still on
`entered`      those first observed after completing period k (left truncation); may be absent
=============  =======================================================================================

Periods in which nothing happened may be absent. With d events among n at risk in period k, the survival
curve S(k) estimates P(T > k), the share that stays for more than k periods.

Groups come in alphabetical order, or in the order of the categories of a categorical column.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from tenure.errors import InputError, NotApplicable

CAUSES = ("voluntary", "involuntary", "unknown")

# How many periods a year has, by the unit of a period.
A_YEAR = {"day": 365, "week": 52, "month": 12}

_LONGEST = 100_000

# The fewest at risk from which a curve begins, where nothing else is asked for.
FEWEST = 30

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Counts:
    """A life table as matrices: a row for each group, a column for each period 1, 2, ..., K.

    Attributes:
        groups: The groups' names, in order.
        at_risk: Subscribers at risk.
        events: Those who left.
        censored: Those last seen still on.
        entered: Those first observed after the period.
        causes: The events by cause.
        last: The last period in which each group was observed, shape (groups,).
        start: The periods before those that count, as too few were at risk in them, shape (groups,).
        observed: All that was counted, where `start` leaves some of it out.
        fewest: The fewest at risk from which on periods count.
    """

    groups: tuple[str, ...]
    at_risk: Array
    events: Array
    censored: Array
    entered: Array
    causes: Mapping[str, Array]
    last: Array
    start: Array = field(default_factory=lambda: np.zeros(1, dtype=int))
    observed: Counts | None = None
    fewest: int = 0

    @property
    def periods(self) -> Array:
        """The periods 1..K."""
        return np.arange(1, self.events.shape[1] + 1)

    def only(self, row: int) -> Counts:
        """Return the counts of one group, by its row, up to its last period."""
        alone = self._summed(np.eye(len(self.groups))[[row]], (self.groups[row],))
        return replace(alone, start=self.start[[row]], fewest=self.fewest)

    def together(self) -> Counts:
        """Return the counts of all groups added up, as the group `everybody`."""
        whole = (self.observed or self)._summed(np.ones((1, len(self.groups))), ("everybody",))
        return begun(whole, self.fewest)

    def until(self, period: int) -> Array:
        """How many were ever at risk in the periods that count up to one, by group."""
        later = self.periods > self.start[:, None]
        there = np.take_along_axis(self.at_risk, np.minimum(self.start, len(self.periods) - 1)[:, None], 1)[
            :, 0
        ]
        return there + (self.entered * (later & (self.periods < period))).sum(axis=1)

    def since(self, start: int) -> Counts:
        """Count the periods from one on as 1, 2, ..., without the groups whose own ones begin later."""
        if not start:
            return self
        whole, known = self.observed or self, (self.start <= start)[:, None]
        cut = {name: getattr(whole, name)[:, start:] * known for name in _TABLES}
        causes = {cause: table[:, start:] * known for cause, table in whole.causes.items()}
        last = np.where(known[:, 0], np.maximum(whole.last - start, 0), 0)
        return replace(whole, **cut, causes=causes, last=last, start=np.zeros_like(self.start))

    def _summed(self, weight: Array, groups: tuple[str, ...]) -> Counts:
        last = max(int(self.last[weight[0] > 0].max()), 1)
        tables = (self.at_risk, self.events, self.censored, self.entered)
        at_risk, events, censored, entered = (weight @ table[:, :last] for table in tables)
        causes = {cause: weight @ table[:, :last] for cause, table in self.causes.items()}
        return Counts(groups, at_risk, events, censored, entered, causes, np.array([last]))


_TABLES = ("at_risk", "events", "censored", "entered")


def begun(counts: Counts, fewest: int) -> Counts:
    """Leave out the first periods of a group in which fewer than so many were at risk.

    Where customers are observed only from later on, the first periods can rest on a handful, who would decide
    the whole curve. It then begins where enough are at risk (or as many as there ever are), and is the curve
    of those who stay so long. Once it has begun it goes on through thinner periods, but for one with less
    than a third of that before most are there.
    """
    start = first_enough(counts.at_risk, fewest)
    if not start.any():
        return replace(counts, start=start, fewest=fewest)
    kept = counts.periods > start[:, None]
    cut = {name: getattr(counts, name) * kept for name in _TABLES}
    for row in np.flatnonzero(start):
        cut["entered"][row, start[row] - 1] = counts.at_risk[row, start[row]]
    causes = {cause: table * kept for cause, table in counts.causes.items()}
    return replace(counts, **cut, causes=causes, start=start, observed=counts, fewest=fewest)


def first_enough(at_risk: Array, fewest: int) -> Array:
    """How many first periods of each row have too few at risk, as in `begun`.

    Example:
        >>> first_enough(np.array([[2, 2, 40, 28, 90], [25, 20, 10, 5, 1], [50, 3, 60, 70, 70]]), 30).tolist()
        [2, 0, 2]
    """
    enough = np.minimum(fewest, at_risk.max(axis=1, keepdims=True))
    place = np.arange(at_risk.shape[1])
    hole = (at_risk < enough / 3) & (place < at_risk.argmax(axis=1)[:, None])
    after = np.where(hole, place + 1, 0).max(axis=1, keepdims=True)
    return np.asarray(((at_risk >= enough) & (place >= after)).argmax(axis=1))


def pooled(life: pd.DataFrame) -> pd.DataFrame:
    """Return the life table of all groups together; a group has no row where nothing happened to it.

    Example:
        >>> life = pd.DataFrame(dict(group=list("aab"), period=[1, 2, 2], at_risk=[9, 8, 5], events=[1, 1, 2],
        ...                          censored=[0, 7, 3]))
        >>> pooled(life)["at_risk"].tolist()
        [14, 13]
    """
    counts = [name for name in ("events", "censored", "entered") if name in life]
    rows = life.groupby("period", as_index=False)[counts].sum()
    leaving = rows["events"] + rows["censored"] - rows.get("entered", 0)
    return rows.assign(at_risk=leaving[::-1].cumsum()[::-1])


def validate(life: pd.DataFrame, *, causes: Sequence[str] = (), min_at_risk: int = 0) -> Counts:
    """Check a life table, in any order of rows, and spread it over all its periods.

    Args:
        life: The life table.
        causes: Columns that split the events by cause; together they must make up `events`.
        min_at_risk: The fewest at risk from which on periods count, see `begun`; 0: all do.

    Returns:
        The counts as matrices, with periods in which nothing happened filled in.

    Raises:
        InputError: A column is absent, a count is not a whole number from 0 up, a row is there twice,
            the causes do not add up, or `at_risk` contradicts the other counts.

    Example:
        >>> life = pd.DataFrame(dict(period=[1, 3], at_risk=[10, 7], events=[2, 3], censored=[1, 4]))
        >>> validate(life).at_risk
        array([[10.,  7.,  7.]])
    """
    absent = [c for c in ("period", "at_risk", "events", "censored", *causes) if c not in life.columns]
    if absent:
        raise InputError(
            f"The life table has no column {spelled(absent)}; it has {spelled(map(str, life.columns))}: "
            "make it with measures.life_table."
        )
    if life.empty:
        raise NotApplicable(
            "The life table has no rows, because no paying customer was observed for a whole period (trials, "
            "free and test subscriptions do not count): choose a shorter period, a later as_of or a wider "
            "cohort window (start_from, start_to)."
        )
    names, row = group_names(life)
    columns = {
        column: numbers(life, column, smallest=1 if column == "period" else 0)
        for column in ("period", "at_risk", "events", "censored", "entered", *causes)
        if column in life.columns
    }
    period = columns.pop("period")
    if period.max() > _LONGEST:
        raise InputError(
            f"Column period of the life table goes up to {period.max()}, more than {_LONGEST}: "
            "count in longer periods."
        )
    twice = pd.DataFrame({"group": row, "period": period}).duplicated()
    if twice.any():
        where = int(np.flatnonzero(twice)[0])
        raise InputError(
            f"The life table has {int(twice.sum())} rows whose group and period are there already, such as "
            f"group {names[row[where]]!r} period {period[where]}: add such rows up first."
        )

    shape = (len(names), int(period.max()))
    spread = {column: np.zeros(shape) for column in columns}
    for column, values in columns.items():
        spread[column][row, period - 1] = values
    entered = spread.get("entered", np.zeros(shape))
    leaving = spread["events"] + spread["censored"] - entered
    at_risk = leaving[:, ::-1].cumsum(axis=1)[:, ::-1]
    wrong = columns["at_risk"] != at_risk[row, period - 1]
    if wrong.any():
        where = int(np.flatnonzero(wrong)[0])
        raise InputError(
            f"Column at_risk of the life table contradicts its other counts in {int(wrong.sum())} of "
            f"{len(life)} rows, such as group {names[row[where]]!r} period {period[where]}: it is "
            f"{columns['at_risk'][where]}, but those who leave or are last seen from then on, less those who "
            f"enter from then on, are {at_risk[row[where], period[where] - 1]:.0f}: give all periods."
        )
    if (at_risk < spread["events"]).any():
        where, when = (int(i[0]) for i in np.nonzero(at_risk < spread["events"]))
        raise InputError(
            "The life table has more events than subscribers at risk "
            f"in group {names[where]!r} period {when + 1}: check that nobody leaves before they enter."
        )
    if causes:
        off = np.sum([spread[cause] for cause in causes], axis=0) != spread["events"]
        if off.any():
            where, when = (int(i[0]) for i in np.nonzero(off))
            raise InputError(
                f"The causes {spelled(causes)} do not add up to events in the life table, as in group "
                f"{names[where]!r} period {when + 1}: name every cause, with one for unknown."
            )
    here = (at_risk > 0) | (spread["events"] > 0)
    last = np.where(here.any(axis=1), shape[1] - here[:, ::-1].argmax(axis=1), 0)
    by_cause = {cause: spread[cause] for cause in causes}
    counts = Counts(names, at_risk, spread["events"], spread["censored"], entered, by_cause, last)
    return begun(counts, min_at_risk)


def validate_cause(life: pd.DataFrame, cause: str | None, *, min_at_risk: int = 0) -> Counts:
    """Check a life table as `validate` does; its events are those of a cause, None: all."""
    if cause is None:
        return validate(life, min_at_risk=min_at_risk)
    if cause not in life.columns or "events" not in life.columns:
        raise InputError(f"`cause` is {cause!r}, and the life table has no such column.")
    split = life.assign(_other=life["events"] - life[cause])
    counts = validate(split, causes=(cause, "_other"), min_at_risk=min_at_risk)
    observed = counts.observed and replace(counts.observed, events=counts.observed.causes[cause])
    return replace(counts, events=counts.causes[cause], observed=observed)


def group_names(life: pd.DataFrame) -> tuple[tuple[str, ...], Array]:
    """Names of the groups in order, and the number of its group for each row."""
    if "group" not in life.columns:
        return ("all",), np.zeros(len(life), dtype=int)
    column = life["group"]
    if column.isna().any():
        raise InputError(
            f"Column group of the life table is empty in {int(column.isna().sum())} of {len(life)} rows: "
            "give those subscribers a group of their own, such as 'unknown'."
        )
    if isinstance(column.dtype, pd.CategoricalDtype):
        used = column.cat.remove_unused_categories()
        return tuple(map(str, used.cat.categories)), used.cat.codes.to_numpy(dtype=int)
    names, row = np.unique(column.astype(str).to_numpy(dtype=object), return_inverse=True)
    return tuple(map(str, names)), row


def numbers(
    frame: pd.DataFrame, column: str, *, smallest: int | None = None, table: str = "life table"
) -> Array:
    """The column as numbers, where a smallest is given as whole ones from there up."""
    values = pd.to_numeric(frame[column], errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    good, kind = np.isfinite(values), "numbers"
    if smallest is not None:
        good &= (values == np.round(values)) & (values >= smallest)
        kind = f"whole numbers from {smallest} up"
    if not good.all():
        example = frame[column].iloc[int(np.flatnonzero(~good)[0])]
        raise InputError(
            f"Column {column} of the {table} must hold {kind}; {int((~good).sum())} of {len(frame)} rows do "
            f"not, such as {example!r}: fix or leave out those rows."
        )
    return values if smallest is None else values.astype(np.int64)


def spelled(names: Any) -> str:
    """Names as they stand in a sentence."""
    return ", ".join(map(str, names))


def check_level(level: float) -> None:
    """Refuse a level that is no share between 0 and 1."""
    if not 0 < level < 1:
        raise InputError(f"`level` must lie between 0 and 1, such as 0.95; it is {level!r}.")


def check_whole(name: str, value: int, example: int) -> None:
    """Refuse a number of periods that is no whole one from 1 up."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise InputError(
            f"`{name}` must be a whole number of periods from 1 up, such as {example}; it is {value!r}."
        )


def check_horizon(horizon: int) -> None:
    """Refuse a horizon that is no whole number of periods from 1 up."""
    check_whole("horizon", horizon, 24)


def check_period(period: str) -> None:
    """Refuse a unit of period that is none."""
    if period not in A_YEAR:
        raise InputError(f"`period` must be one of {spelled(A_YEAR)}; it is {period!r}.")


def z_value(level: float) -> float:
    """The normal quantile of a two-sided interval."""
    return float(special.ndtri(0.5 + level / 2))


def holm(p: Array) -> Array:
    """Adjust p-values so that the chance of any false finding keeps below the level (Holm 1979).

    NaN marks a test that could not be made; it stays NaN and does not count. statsmodels would count it, and
    collects the interpreter's garbage at each call, which takes a tenth of a second.

    Example:
        >>> holm(np.array([0.01, 0.04, np.nan, 0.03]))
        array([0.03, 0.06,  nan, 0.06])
    """
    adjusted = np.full(np.shape(p), np.nan)
    tests = np.flatnonzero(~np.isnan(p))
    order = tests[np.argsort(p[tests], kind="stable")]
    adjusted[order] = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)))
    return adjusted


def ratio(part: Array, whole: Array, empty: float = np.nan) -> Array:
    """Return a ratio, `empty` where the whole is not above 0.

    Example:
        >>> ratio(np.array([1.0, 2.0]), np.array([4.0, 0.0]))
        array([0.25,  nan])
    """
    out = np.full(np.broadcast(part, whole).shape, empty)
    return np.divide(part, whole, out=out, where=np.asarray(whole) > 0)


def hazards(counts: Counts) -> Array:
    """Events over numbers at risk, shape (groups, K); 0 where nobody was at risk."""
    return ratio(counts.events, counts.at_risk, 0.0)


def product_limit(counts: Counts) -> Array:
    """The product-limit estimate S(k), shape (groups, K)."""
    return np.cumprod(1 - hazards(counts), axis=1)


def greenwood(counts: Counts) -> Array:
    """The terms d / (n (n - d)) of Greenwood's sum; NaN where everybody left."""
    n, d = counts.at_risk, counts.events
    return np.where(d > 0, ratio(d, n * (n - d)), 0.0)


def log_log_band(
    survival: Array, relative_variance: Array, at_risk: Array, level: float
) -> tuple[Array, Array]:
    """Limits of S from log(-log S), and those of `known_ends` where that has no value."""
    inside = (survival > 0) & (survival < 1)
    log_s = np.log(survival, out=np.full_like(survival, -1.0), where=inside)
    half = np.where(inside, z_value(level) * np.sqrt(np.where(inside, relative_variance, 0)) / -log_s, 0)
    return known_ends(survival, np.exp(log_s * np.exp(half)), np.exp(log_s * np.exp(-half)), at_risk, level)


def known_ends(survival: Array, low: Array, high: Array, at_risk: Array, level: float) -> tuple[Array, Array]:
    """Return limits of S with exact ones where log(-log S) has no value.

    Where S is still 1, `m` being the fewest at risk so far, P(no event) <= S^m: the lower limit is
    (alpha/2)^(1/m), Clopper and Pearson's. Where S has come to 0 it can be no higher than it was, so the
    upper limit stays; if all left at once, it is Clopper and Pearson's again.
    """
    tail, low, high = (1 - level) / 2, low.copy(), high.copy()
    fewest = np.minimum.accumulate(np.where(at_risk > 0, at_risk, np.inf), axis=1)
    untouched = survival >= 1
    low[untouched] = np.where(np.isfinite(fewest), tail ** (1 / fewest), 0)[untouched]
    high[untouched] = 1

    for row in np.flatnonzero((survival <= 0).any(axis=1)):
        first = int((survival[row] <= 0).argmax())
        at_once = first == 0 or survival[row, first - 1] >= 1
        low[row, first:] = 0
        high[row, first:] = 1 - tail ** (1 / at_risk[row, first]) if at_once else high[row, first - 1]
    return low, high


def long_table(
    counts: Counts, columns: Mapping[str, Array], *, start: Mapping[str, float] | None = None
) -> pd.DataFrame:
    """Matrices as a long table of the periods that count; with `start`, a row for where they begin first."""
    width = counts.events.shape[1]
    group = np.repeat(np.arange(len(counts.groups)), width)
    period = np.tile(counts.periods, len(counts.groups))
    table = pd.DataFrame({"group": group, "period": period, **{k: v.ravel() for k, v in columns.items()}})
    table = table[(period <= counts.last[group]) & (period > counts.start[group])]
    if start is not None:
        each = np.arange(len(counts.groups))
        zero = pd.DataFrame({"group": each, "period": counts.start, **start})
        zero["at_risk"] = counts.at_risk[each, counts.start]
        table = pd.concat([zero[table.columns], table]).sort_values(["group", "period"], kind="stable")
    table["group"] = np.asarray(counts.groups, dtype=object)[table["group"].to_numpy()]
    whole = [c for c in ("at_risk", "events", "censored") if c in table.columns]
    return table.reset_index(drop=True).astype(dict.fromkeys(whole, "int64"))


def group_table(counts: Counts) -> pd.DataFrame:
    """A row for each group: `group`, `n`, `events`, `censored`, `entered`, `last_period`."""
    tables = {"events": counts.events, "censored": counts.censored, "entered": counts.entered}
    totals = pd.DataFrame({name: table.sum(axis=1) for name, table in tables.items()})
    totals.insert(0, "n", totals["events"] + totals["censored"])
    totals = totals.assign(last_period=counts.last).astype("int64")
    totals.insert(0, "group", counts.groups)
    return totals


def quadratic_form(score: Array, covariance: Array) -> tuple[float, int]:
    """The form score' covariance^- score and the covariance's rank; NaN and 0 where the rank is 0."""
    values, vectors = np.linalg.eigh(covariance)
    kept = values > 1e-10 * max(values.max(), 1e-300)
    if not kept.any() or values.max() <= 1e-12:
        return float("nan"), 0
    return float(((vectors[:, kept].T @ score) ** 2 / values[kept]).sum()), int(kept.sum())


def chi2_p(chi2: float, df: int) -> float:
    """The p-value of chi-squared; NaN where there is no degree of freedom."""
    return float(special.chdtrc(df, chi2)) if df and not np.isnan(chi2) else float("nan")
