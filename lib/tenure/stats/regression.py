"""Which characteristics are associated with leaving: proportional hazards on counts, in grouped time.

The input is a small table of counts: a row for each combination of covariates, `entry`, `exit` and `event`,
with the number `n` of subscribers it stands for.

=========  ==========================================================================================
covariates strings, categories or booleans (compared level by level) or numbers (a hazard ratio for 1 unit)
`entry`    periods completed when first observed; 0 for nearly all, and if the column is absent
`exit`     the period of leaving, or the periods completed when last seen; more than `entry`
`event`    1 left, 0 still on
`n`        subscribers; 1 if the column is absent
=========  ==========================================================================================

Whole periods make nearly every event a tie. Cox's partial likelihood has corrections for ties, but the best
of them, Efron's, is biased towards no difference where a period takes half or more, as a yearly renewal does.
The binomial likelihood with the complementary log-log link has no ties: it is that of the same hazard ratios
when events are only known by the period (Prentice and Gloeckler 1978). statsmodels' GLM maximizes it, with a
column for each period and a row for each period and combination: 30 levels in 36 periods take it 14 s and
900 MB. Here the baseline of each period is solved for by itself, which takes a tenth of a second;
`tests/stats` holds it to the GLM's estimates and standard errors, and shows where Cox's differ.

`level` is the level of intervals, and `period` the unit of a period of life: "day", "week" or "month".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd
from scipy import special

from tenure.errors import InputError, NotApplicable
from tenure.result import NAN, Estimate, Table
from tenure.stats.lifetable import (
    Array,
    check_level,
    check_period,
    chi2_p,
    holm,
    spelled,
    whole_numbers,
    z_value,
)

_TABLE = "table of counts"
_COUNTS = ("entry", "exit", "event", "n")
# A chance to leave is 1 beyond exp(30); no finite hazard ratio is as large as exp(300).
_SURE, _STEEPEST = 30.0, 300.0
# Periods are taken so many at a time that no matrix has more cells than this.
_CELLS = 2_000_000
_RATIO = {"hazard_ratio": "ratio", "n": "count", "events": "count", "p": "p"}

# The suffixes of an estimate and its interval.
_ENDS = ("", "_low", "_high")

Transform = Literal["km", "rank", "identity", "log"]


# --- the data -----------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Column:
    """A column of the design: a level of a covariate against the reference, or a number."""

    covariate: str
    level: str
    x: Array

    @property
    def name(self) -> str:
        return f"{self.covariate} {self.level}".strip()


@dataclass(frozen=True, eq=False)
class _Stratum:
    """Risk sets of a stratum: `at_risk` and `events` have a row an event time, a column a row of `x`."""

    times: Array
    x: Array
    at_risk: Array
    events: Array


def _read(counts: pd.DataFrame, covariates: Sequence[str], strata: Sequence[str]) -> pd.DataFrame:
    """The columns that are used, checked, with equal rows added up; `_`-names cannot clash."""
    wanted = [*covariates, *strata]
    if not covariates or len(set(wanted)) < len(wanted):
        raise InputError(
            f"`covariates` and `strata` must name columns, each once; they are {list(covariates)!r} "
            f"and {list(strata)!r}."
        )
    absent = [c for c in (*wanted, "exit", "event") if c not in counts.columns]
    if absent:
        raise InputError(
            f"The {_TABLE} has no column {spelled(absent)}; it has {spelled(counts.columns)}: "
            "count by all covariates."
        )
    if counts.empty:
        raise InputError(f"The {_TABLE} has no rows: widen the cohort window or check the filters.")
    for column in wanted:
        gaps = counts[column].isna()
        if gaps.any():
            raise InputError(
                f"Column {column} of the {_TABLE} is empty in {int(gaps.sum())} of {len(counts)} rows: give "
                "those subscribers a level of their own, such as 'unknown', or leave them out."
            )
    frame = counts[wanted].copy()
    frame["_entry"] = _number(counts, "entry") if "entry" in counts.columns else 0.0
    frame["_exit"] = _number(counts, "exit")
    frame["_event"] = whole_numbers(counts, "event", smallest=0, table=_TABLE)
    frame["_n"] = whole_numbers(counts, "n", smallest=0, table=_TABLE) if "n" in counts.columns else 1
    if (frame["_event"] > 1).any():
        raise InputError(
            f"Column event of the {_TABLE} must be 0 or 1; it goes up to {frame['_event'].max()}."
        )
    wrong = frame["_exit"] <= frame["_entry"]
    if wrong.any():
        row = frame[wrong].iloc[0]
        raise InputError(
            f"Column exit of the {_TABLE} is not after entry in {int(wrong.sum())} of {len(frame)} rows, "
            f"such as entry {row['_entry']:g}, exit {row['_exit']:g}: leave out who was never at risk."
        )
    frame = frame[frame["_n"] > 0]
    keys = [c for c in frame.columns if c != "_n"]
    return frame.groupby(keys, observed=True, sort=True)["_n"].sum().reset_index()


def _number(frame: pd.DataFrame, column: str) -> Array:
    values = pd.to_numeric(frame[column], errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    bad = ~np.isfinite(values)
    if bad.any():
        example = frame[column].iloc[int(np.flatnonzero(bad)[0])]
        raise InputError(
            f"Column {column} of the {_TABLE} must hold numbers; {int(bad.sum())} of {len(frame)} rows do "
            f"not, such as {example!r}: fix or leave out those rows."
        )
    return values


def _is_number(values: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)


def _is_ordered(values: pd.Series) -> bool:
    return isinstance(values.dtype, pd.CategoricalDtype) or pd.api.types.is_bool_dtype(values)


def _level_counts(frame: pd.DataFrame, covariate: str) -> pd.DataFrame:
    """`n` and `events` of each level (index, as text), in the order of the categories or the alphabet."""
    left = frame["_n"] * frame["_event"]
    table = pd.DataFrame({"n": frame["_n"], "events": left}).groupby(frame[covariate], observed=True).sum()
    if not isinstance(frame[covariate].dtype, pd.CategoricalDtype):
        table = table.sort_index()
    return table.set_axis(table.index.map(str), axis="index")


def _reference_level(
    frame: pd.DataFrame, covariate: str, levels: pd.DataFrame, asked: str | None, notes: list[str]
) -> str:
    if asked is not None:
        if asked not in levels.index:
            raise InputError(
                f"`reference` names level {asked!r} of {covariate}, which has only {spelled(levels.index)}."
            )
        if levels.loc[asked, "events"] == 0:
            raise InputError(
                f"`reference` names level {asked!r} of {covariate}, in which nobody left, so nothing can be "
                "compared with it: choose another level."
            )
        return asked
    with_events = levels[levels["events"] > 0]
    if _is_ordered(frame[covariate]):
        usual, chosen = str(levels.index[0]), str(with_events.index[0])
    else:
        usual, chosen = str(levels["n"].idxmax()), str(with_events["n"].idxmax())
    if chosen != usual:
        notes.append(f"{covariate}: nobody left in {usual}, so the others are compared with {chosen}.")
    return chosen


def _strata(
    frame: pd.DataFrame, covariates: list[str], columns: list[_Column], strata: Sequence[str]
) -> list[_Stratum]:
    """Risk sets by stratum, from equal covariates added up.

    A period in which all at risk left says nothing: it has the same chance, 1, whatever the ratios.
    """
    x = np.column_stack([column.x for column in columns])
    whole = np.zeros(len(frame), dtype=int)
    key = frame.groupby(list(strata), observed=True).ngroup().to_numpy() if strata else whole
    sets = []
    for stratum in np.unique(key):
        rows = key == stratum
        part = frame[rows]
        alike = part.groupby(covariates, observed=True).ngroup().to_numpy()
        _, example, pattern = np.unique(alike, return_index=True, return_inverse=True)
        n, left = part["_n"].to_numpy(dtype=float), part["_event"].to_numpy() == 1
        start, end = part["_entry"].to_numpy(), part["_exit"].to_numpy()
        times = np.unique(end[left])
        change = np.zeros((len(times) + 1, len(example)))
        # At risk at time t: entry < t <= exit. Column 0 of the slots stands for "before every event".
        np.add.at(change, (np.searchsorted(times, end, side="right"), pattern), n)
        np.add.at(change, (np.searchsorted(times, start, side="right"), pattern), -n)
        at_risk = change[::-1].cumsum(axis=0)[::-1][1:]
        events = np.zeros_like(at_risk)
        np.add.at(events, (np.searchsorted(times, end[left]), pattern[left]), n[left])
        some = events.sum(axis=1) < at_risk.sum(axis=1)
        if some.any():
            sets.append(_Stratum(times[some], x[rows][example], at_risk[some], events[some]))
    return sets


# --- the likelihood -----------------------------------------------------------------------------------


def _profile(part: _Stratum, beta: Array) -> tuple[float, Array, Array, Array]:
    """Log-likelihood, score and information, the baseline being at its best for `beta`.

    Of n at risk with covariates x in period t, d ~ Binomial(n, 1 - exp(-exp(a_t + x beta))) leave. The
    baseline a_t is solved for by Fisher scoring in each period on its own. With s the derivative of the
    log-likelihood by the linear predictor and w its expected information, the score is X' s and the
    information X' W X - X' w (1' w)^-1 w' X: what Fisher scoring of all parameters at once comes to, without
    a matrix that has a column a period.

    Returns:
        The log-likelihood; scores of shape (periods, p); and of the information the weights w, of shape
        (periods, combinations), and the root of what is subtracted, of shape (periods, p).
    """
    eta = part.x @ beta
    size = max(_CELLS // len(part.x), 1)
    likelihood, weights, scores = 0.0, [], []
    for first in range(0, len(part.times), size):
        n, d = (rows[first : first + size] for rows in (part.at_risk, part.events))
        some, slope, weight = _baseline(n, d, eta)
        likelihood += some
        weights.append(weight)
        scores.append(slope @ part.x)
    weight = np.concatenate(weights)
    taken = weight @ part.x / np.sqrt(weight.sum(axis=1, keepdims=True))
    return likelihood, np.concatenate(scores), weight, taken


def _baseline(n: Array, d: Array, eta: Array) -> tuple[float, Array, Array]:
    """The log-likelihood at the best baseline, and its derivatives by the linear predictor."""
    left = d.sum(axis=1) / n.sum(axis=1)
    eta = np.clip(eta, -_STEEPEST, _STEEPEST)
    baseline = np.log(-np.log1p(-left)) - np.log(n @ np.exp(eta) / n.sum(axis=1))
    for _ in range(200):
        rate = np.exp(np.clip(baseline[:, None] + eta, -_STEEPEST, _SURE))
        share = -np.expm1(-rate)
        slope = (d - n * share) * rate / share
        weight = n * rate**2 * np.exp(-rate) / share
        step = np.clip(slope.sum(axis=1) / np.maximum(weight.sum(axis=1), 1e-300), -2, 2)
        if np.abs(step).max() < 1e-10:
            break
        baseline = baseline + step
    return float((d * np.log(share) - (n - d) * rate).sum()), slope, weight


def _total(sets: list[_Stratum], beta: Array) -> tuple[float, Array, Array]:
    """Log-likelihood, score and information of all strata and periods."""
    value, score, information = 0.0, np.zeros(len(beta)), np.zeros((len(beta), len(beta)))
    for part in sets:
        likelihood, scores, weight, taken = _profile(part, beta)
        value += likelihood
        score += scores.sum(axis=0)
        information += (part.x.T * weight.sum(axis=0)) @ part.x - taken.T @ taken
    return value, score, information


def _independent(information: Array) -> Array:
    """Which columns say something that those before them do not (pivots of a Cholesky factorization)."""
    rest = information.copy()
    kept = np.zeros(len(rest), dtype=bool)
    for j in range(len(rest)):
        if information[j, j] > 1e-12 and rest[j, j] > 1e-9 * information[j, j]:
            kept[j] = True
            rest = rest - np.outer(rest[:, j], rest[j]) / rest[j, j]
    return kept


def _newton(sets: list[_Stratum], p: int) -> tuple[Array, Array, float]:
    """Fisher scoring with halved steps: coefficients, which of them are finite, log-likelihood."""
    beta = np.zeros(p)
    value, score, information = _total(sets, beta)
    at_start = np.diag(information).copy()
    step = np.zeros(p)
    for _ in range(40):
        step = np.linalg.lstsq(information, score, rcond=1e-13)[0]
        size = np.abs(step).max()
        if size > 5:
            step = step * 5 / size
        for _ in range(30):
            trial = _total(sets, beta + step)
            if trial[0] >= value - 1e-9 * (1 + abs(value)):
                break
            step = step / 2
        rise = trial[0] - value
        beta = beta + step
        value, score, information = trial
        if np.abs(step).max() < 1e-8 or (abs(rise) < 1e-11 * (1 + abs(value)) and np.abs(step).max() < 1e-5):
            break
    # Towards an infinite maximum the steps do not vanish, until the information has.
    finite = (np.abs(step) < 1e-3) & (np.diag(information) > 1e-7 * at_start)
    return beta, finite, value


# --- regression ---------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class HazardRatios:
    """Hazard ratios of proportional hazards in grouped time.

    Attributes:
        table: A row for each level of a covariate, or for a number: `covariate`, `level` (empty for a
            number), `reference`, `n`, `events`, `coefficient`, `standard_error`, `hazard_ratio` (1 for
            the reference), `hazard_ratio_low`, `hazard_ratio_high`, `z`, `p`. NaN where it cannot be
            estimated; `notes` says why.
        tests: A row for each covariate: `covariate`, `chi2`, `df`, `p` (Wald's test of all its levels).
        n: Subscribers.
        events: Those who left.
        log_likelihood: The log-likelihood, but for a constant, and
        log_likelihood_null: the same with all hazard ratios 1; their comparison is
        chi2: the likelihood ratio statistic, with
        df: degrees of freedom and
        p: p-value.
        strata: Columns within whose values subscribers are compared.
        reference: The reference levels that were asked for.
        period: The unit of a period.
        level: The intervals' level.
        notes: What a reader should know, in sentences.
        covariance: Covariance of the estimated coefficients, in the order of `table`.
        empty: Why there is nothing to compare; empty where there is.
    """

    table: Table
    tests: Table
    n: int
    events: int
    log_likelihood: float
    log_likelihood_null: float
    chi2: float
    df: int
    p: float
    strata: tuple[str, ...]
    reference: Mapping[str, str]
    period: str
    level: float
    notes: tuple[str, ...]
    covariance: Array
    empty: str = ""
    _sets: list[_Stratum] = field(default_factory=list, repr=False)
    _columns: list[_Column] = field(default_factory=list, repr=False)
    _frame: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)

    def strongest(self) -> Estimate:
        """Return the hazard ratio furthest from 1 of those whose interval excludes 1.

        Returns:
            The ratio, of the customers of the level; words: name (of the characteristic), kind (its level),
            reference and period; case: "clear", "clear number" (for one unit of a number), "none clear" or
            "nothing to compare".
        """
        nothing = Estimate(NAN, unit="ratio", level=self.level, words={"period": self.period})
        if self.empty:
            return nothing.saying("nothing to compare", reason=self.empty)
        rows = self.table.frame
        clear = rows[(rows["hazard_ratio_low"] > 1) | (rows["hazard_ratio_high"] < 1)]
        if clear.empty:
            return nothing.saying("none clear")
        top = clear.iloc[int(clear["coefficient"].abs().to_numpy().argmax())]
        against = rows.loc[rows["reference"] & (rows["covariate"] == top["covariate"]), "level"]
        value, low, high = (float(top[f"hazard_ratio{end}"]) for end in _ENDS)
        found = Estimate(value, low, high, int(top["n"]), "customer", "ratio", self.level)
        return found.saying(
            "clear" if top["level"] else "clear number",
            name=top["covariate"], kind=top["level"], reference=next(iter(against), ""), period=self.period,
        )  # fmt: skip

    def proportionality(self, *, transform: Transform = "km") -> Table:
        """Test whether the hazard ratios change with age.

        The score test of the terms x g(t) added to the fit, the baseline profiled out (Grambsch and Therneau
        1994 in the exact form of R's `cox.zph` since version 3.0, with this likelihood in place of Cox's):
        with U(t) and I(t) the score and the information of a period at the estimates, the statistic is
        U' (I_gg - I_g I^-1 I_g)^-1 U for U = sum g U(t), I_gg = sum g^2 I(t), I_g = sum g I(t),
        I = sum I(t).

        With many subscribers a slight change is significant too: what matters is its size, which `split`
        shows. If it matters, report early and late hazard ratios, or give the covariate to
        `hazard_ratios(strata=...)` to adjust for it without a hazard ratio of its own.

        Args:
            transform: The scale g of time: "km" 1 - S(t-) of everybody together, "rank", "identity" or "log".

        Returns:
            A row for each covariate and one for "all together": `covariate`, `chi2`, `df`, `p`, `p_adjusted`
            (Holm, over the covariates).

        Raises:
            InputError: `transform` is none of these.
        """
        units = {"chi2": "number", "p": "p", "p_adjusted": "p"}
        columns = ["covariate", "chi2", "df", "p", "p_adjusted"]
        if self.empty:
            return Table(pd.DataFrame(columns=columns), units, (self.empty,))
        times = np.concatenate([part.times for part in self._sets])
        events = np.concatenate([part.events.sum(axis=1) for part in self._sets])
        g = _time_scale(self._frame, times, events, transform)
        g = g - np.average(g, weights=events)
        estimates = self.table.frame.set_index(["covariate", "level"])["coefficient"]
        beta = np.array([estimates[(column.covariate, column.level)] for column in self._columns])
        finite = ~np.isnan(beta)
        scores, informations = [], []
        for part in self._sets:
            _, score, weight, taken = _profile(part, np.nan_to_num(beta))
            scores.append(score[:, finite])
            x, taken = part.x[:, finite], taken[:, finite]
            informations += [(x.T * w) @ x - np.outer(t, t) for w, t in zip(weight, taken, strict=True)]
        score, information = np.concatenate(scores), np.array(informations)
        u, once = g @ score, np.tensordot(g, information, axes=1)
        spread = np.tensordot(g**2, information, axes=1)
        spread = spread - once @ np.linalg.lstsq(information.sum(axis=0), once, rcond=None)[0]

        names = np.array([column.covariate for column in self._columns])[finite]
        rows = []
        for covariate in (*dict.fromkeys(self.table.frame["covariate"]), None):
            own = np.flatnonzero((names == covariate) | (covariate is None))
            block, chi2, df = spread[np.ix_(own, own)], NAN, 0
            if len(own) and np.linalg.matrix_rank(block, hermitian=True) == len(own):
                chi2, df = float(u[own] @ np.linalg.solve(block, u[own])), len(own)
            rows.append((covariate or "all together", chi2, df, chi2_p(chi2, df)))
        table = pd.DataFrame(rows, columns=columns[:-1])
        table["p_adjusted"] = np.r_[holm(table["p"].to_numpy()[:-1]), NAN]
        return Table(table, units)

    def changing(self) -> Table:
        """Return early and late hazard ratios of the covariates whose ratios change with age.

        These are the ones whose adjusted p-value in `proportionality` is below 1 less the intervals' level.
        """
        drift = self.proportionality().frame.iloc[:-1]
        names = drift.loc[drift["p_adjusted"] < 1 - self.level, "covariate"]
        if names.empty:
            return Table(pd.DataFrame(columns=["covariate", "level"]))
        split = split_hazard_ratios(
            self._frame.rename(columns=lambda name: name.removeprefix("_")),
            list(dict.fromkeys(self.table.frame["covariate"])),
            reference=self.reference,
            strata=self.strata,
            period=self.period,
            level=self.level,
        )
        columns = ["covariate", "level", *(f"{at}{end}" for at in ("early", "late") for end in _ENDS)]
        note = f"Early is up to {self.period} {split.at:g}."
        rows = split.table.frame.loc[split.table.frame["covariate"].isin(names), columns]
        return Table(rows.reset_index(drop=True), split.table.units, (note, *split.notes))


def hazard_ratios(
    counts: pd.DataFrame,
    covariates: Sequence[str] | None = None,
    *,
    reference: Mapping[str, str] | None = None,
    strata: Sequence[str] = (),
    period: str = "month",
    level: float = 0.95,
) -> HazardRatios:
    """Estimate how the rate of leaving differs with each covariate, the others being equal.

    Of those at risk in period t with covariates x, the share 1 - exp(-exp(a_t + x beta)) leaves: hazards
    h0(t) exp(x beta) seen by the period (Prentice and Gloeckler 1978), with a baseline of its own in each
    stratum; those at risk at t have entry < t <= exit. Intervals are Wald's on the log scale, from the
    expected information.

    A level is compared with the reference: the one asked for; else the first category of a categorical
    column, False of a boolean, and otherwise the most common level. A level in which nobody left has
    no finite estimate: it gets NaN and a note, and its rows are left out, which is where the estimates of
    the others tend. The same goes for what says nothing new beside the covariates before it, or has one
    level only.

    Args:
        counts: A table of counts (see the head of this module).
        covariates: Columns to compare; None: all but those of the counts and strata.
        reference: Reference levels, as {covariate: level}.
        strata: Columns whose values have baselines of their own, for those that fail `proportionality`.
        period: The unit of a period.
        level: Level of the intervals.

    Returns:
        Hazard ratios with intervals, tests and likelihoods; `empty` where nobody left, or no covariate has
        two levels to compare.

    Raises:
        InputError: The table or an option is not as it should be.

    Example:
        >>> counts = pd.DataFrame(dict(plan=["basic", "basic", "basic", "pro", "pro", "pro"],
        ...                            exit=[1, 2, 2, 1, 2, 2], event=[1, 1, 0, 1, 1, 0],
        ...                            n=[20, 16, 64, 10, 9, 81]))
        >>> fit = hazard_ratios(counts, ["plan"], reference={"plan": "basic"})
        >>> shown = fit.table.frame[["level", "n", "hazard_ratio", "hazard_ratio_low", "hazard_ratio_high"]]
        >>> shown.round(3)
           level    n  hazard_ratio  hazard_ratio_low  hazard_ratio_high
        0  basic  100         1.000               NaN                NaN
        1    pro  100         0.472             0.271              0.824
        >>> fit.strongest().words["kind"], fit.strongest().case
        ('pro', 'clear')
    """
    check_level(level)
    check_period(period)
    strata = (strata,) if isinstance(strata, str) else tuple(strata)
    known = {*_COUNTS, *strata}
    covariates = [c for c in counts.columns if c not in known] if covariates is None else list(covariates)
    asked = {str(key): str(value) for key, value in (reference or {}).items()}
    frame = _read(counts, covariates, strata)
    unknown = [name for name in asked if name not in covariates or _is_number(frame[name])]
    if unknown:
        raise InputError(f"`reference` names {spelled(unknown)}, not among the covariates with levels.")
    try:
        return _fit(frame, covariates, asked, strata, period, level)
    except NotApplicable as why:
        columns = ["covariate", "level", "reference", "n", "events", "coefficient", "standard_error"]
        columns += [f"hazard_ratio{end}" for end in _ENDS]
        nothing = Table(pd.DataFrame(columns=[*columns, "z", "p"]), _RATIO, (str(why),))
        tests = Table(pd.DataFrame(columns=["covariate", "chi2", "df", "p"]))
        return HazardRatios(
            nothing, tests, int(frame["_n"].sum()), int((frame["_n"] * frame["_event"]).sum()),
            NAN, NAN, NAN, 0, NAN, strata, asked, period, level, (str(why),), np.empty((0, 0)), str(why),
        )  # fmt: skip


def _fit(
    frame: pd.DataFrame,
    covariates: list[str],
    asked: Mapping[str, str],
    strata: tuple[str, ...],
    period: str,
    level: float,
) -> HazardRatios:
    if not (frame["_n"] * frame["_event"]).sum():
        raise NotApplicable("Nobody left in these data, so there is nothing to compare.")
    notes: list[str] = []
    rows: list[dict[str, object]] = []
    kept = np.ones(len(frame), dtype=bool)
    levels = {c: _level_counts(frame, c) for c in covariates if not _is_number(frame[c])}
    references = {c: _reference_level(frame, c, levels[c], asked.get(c), notes) for c in levels}
    for covariate, table in levels.items():
        empty = table.index[table["events"] == 0]
        if len(table) == 1:
            notes.append(f"{covariate}: there is only {table.index[0]}, so there is nothing to compare.")
        for name in empty:
            notes.append(
                f"{covariate}: nobody left in {name} ({table.loc[name, 'n']} subscribers), so it has no "
                "hazard ratio."
            )
        kept &= ~frame[covariate].astype(str).isin(empty).to_numpy()
    total = pd.Series({"n": frame["_n"].sum(), "events": (frame["_n"] * frame["_event"]).sum()})
    used = frame[kept].reset_index(drop=True)

    columns = []
    for covariate in covariates:
        if covariate not in levels:
            rows.append({"covariate": covariate, "level": "", "reference": False, **total})
            columns.append(_Column(covariate, "", used[covariate].to_numpy(dtype=float)))
            continue
        text = used[covariate].astype(str).to_numpy(dtype=object)
        for name, numbers in levels[covariate].iterrows():
            is_reference = name == references[covariate]
            rows.append({"covariate": covariate, "level": name, "reference": is_reference, **numbers})
            if not is_reference and numbers["events"] > 0:
                columns.append(_Column(covariate, str(name), (text == name).astype(float)))
    if not columns:
        raise NotApplicable(
            f"None of the covariates {spelled(covariates)} has two levels in which somebody left, so there "
            "is nothing to compare."
        )

    weight = used["_n"].to_numpy(dtype=float)
    scaled, spread = [], []
    for column in columns:
        mean = np.average(column.x, weights=weight)
        deviation = np.sqrt(np.average((column.x - mean) ** 2, weights=weight)) or 1.0
        scaled.append(_Column(column.covariate, column.level, (column.x - mean) / deviation))
        spread.append(deviation)
    sets = _strata(used, covariates, scaled, strata)
    nothing = np.zeros(len(scaled))
    independent = _independent(_total(sets, nothing)[2]) if sets else nothing.astype(bool)
    for column in (columns[place] for place in np.flatnonzero(~independent)):
        if len(levels.get(column.covariate, [0, 0])) > 1:
            notes.append(f"{column.name}: it does not vary, or the covariates before it already say it.")
    chosen = np.flatnonzero(independent)
    if not len(chosen):
        raise NotApplicable(
            f"None of the covariates {spelled(covariates)} varies among those at risk together."
        )
    sets = [_Stratum(s.times, s.x[:, chosen], s.at_risk, s.events) for s in sets]
    columns, scale = [columns[i] for i in chosen], np.array(spread)[chosen]

    log_likelihood_null = _total(sets, np.zeros(len(chosen)))[0]
    beta, finite, log_likelihood = _newton(sets, len(chosen))
    notes += [
        f"{columns[i].name}: it tells exactly who left first, so it has no finite hazard ratio."
        for i in np.flatnonzero(~finite)
    ]
    information = _total(sets, beta)[2]
    covariance = np.full_like(information, np.nan)
    covariance[np.ix_(finite, finite)] = np.linalg.inv(information[np.ix_(finite, finite)])
    covariance = covariance / np.outer(scale, scale)
    coefficient = np.where(finite, beta / scale, np.nan)
    chi2 = 2 * (log_likelihood - log_likelihood_null)
    return HazardRatios(
        table=Table(
            _coefficient_table(rows, columns, coefficient, np.sqrt(np.diag(covariance)), level), _RATIO, notes
        ),
        tests=Table(_wald_tests(covariates, columns, coefficient, covariance), {"p": "p"}),
        n=int(total["n"]),
        events=int(total["events"]),
        log_likelihood=log_likelihood,
        log_likelihood_null=log_likelihood_null,
        chi2=chi2,
        df=len(columns),
        p=chi2_p(chi2, len(columns)),
        strata=strata,
        reference=asked,
        period=period,
        level=level,
        notes=tuple(notes),
        covariance=covariance,
        _sets=[_Stratum(s.times, s.x * scale, s.at_risk, s.events) for s in sets],
        _columns=columns,
        _frame=used,
    )


def _coefficient_table(
    rows: list[dict[str, object]], columns: list[_Column], coefficient: Array, error: Array, level: float
) -> pd.DataFrame:
    estimates = pd.DataFrame(
        {
            "covariate": [column.covariate for column in columns],
            "level": [column.level for column in columns],
            "coefficient": coefficient,
            "standard_error": error,
        }
    )
    table = pd.DataFrame(rows).merge(estimates, on=["covariate", "level"], how="left")
    table.loc[table["reference"].astype(bool), "coefficient"] = 0.0
    half = z_value(level) * table["standard_error"]
    with np.errstate(over="ignore"):
        for end, sign in zip(_ENDS, (0, -1, 1), strict=True):
            table[f"hazard_ratio{end}"] = np.exp(table["coefficient"] + (sign * half if sign else 0))
    table["z"] = table["coefficient"] / table["standard_error"]
    table["p"] = 2 * special.ndtr(-table["z"].abs().to_numpy())
    return table.astype({"n": "int64", "events": "int64", "reference": bool})


def _wald_tests(
    covariates: list[str], columns: list[_Column], coefficient: Array, covariance: Array
) -> pd.DataFrame:
    names, known, tests = np.array([column.covariate for column in columns]), ~np.isnan(coefficient), []
    for covariate in covariates:
        own = np.flatnonzero((names == covariate) & known)
        block = covariance[np.ix_(own, own)]
        chi2 = float(coefficient[own] @ np.linalg.solve(block, coefficient[own])) if len(own) else NAN
        tests.append((covariate, chi2, len(own), chi2_p(chi2, len(own))))
    return pd.DataFrame(tests, columns=["covariate", "chi2", "df", "p"])


# --- when hazard ratios change ------------------------------------------------------------------------


def _time_scale(used: pd.DataFrame, times: Array, events: Array, transform: str) -> Array:
    if transform == "identity":
        return times
    if transform == "log":
        return np.log(times)
    unique, place = np.unique(times, return_inverse=True)
    tied = np.bincount(place, weights=events)
    if transform == "rank":
        return (np.cumsum(tied) - tied + (tied + 1) / 2)[place]
    if transform == "km":
        n, start, end = (used[c].to_numpy(dtype=float) for c in ("_n", "_entry", "_exit"))
        at_risk = np.array([n[(start < t) & (end >= t)].sum() for t in unique])
        after = np.cumprod(1 - tied / at_risk)
        return (1 - np.r_[1.0, after[:-1]])[place]
    raise InputError(f"`transform` must be one of km, rank, identity, log; it is {transform!r}.")


@dataclass(frozen=True, eq=False)
class SplitHazardRatios:
    """Hazard ratios early and late in life.

    Attributes:
        table: A row for each level or number: `covariate`, `level`, `early` and `late` (hazard ratios),
            `ratio` (late / early), each with its interval, `p` (of no change), `p_adjusted` (Holm).
        at: Early is up to this period, late after it.
        early: The fit of the early part.
        late: The fit of the late part.
        notes: What a reader should know, in sentences.
    """

    table: Table
    at: float
    early: HazardRatios
    late: HazardRatios
    notes: tuple[str, ...]


def split_hazard_ratios(
    counts: pd.DataFrame,
    covariates: Sequence[str],
    *,
    at: float | None = None,
    reference: Mapping[str, str] | None = None,
    strata: Sequence[str] = (),
    period: str = "month",
    level: float = 0.95,
) -> SplitHazardRatios:
    """Estimate hazard ratios up to a period of life and after it.

    Everybody is observed up to `at` in the early fit; those still there enter the late one at `at`. Since
    no risk set lies in both, the two fits are independent, and together they are the regression with every
    covariate's effect changing at `at`.

    Args:
        counts: A table of counts (see the head of this module).
        covariates: Columns to compare.
        at: The last early period; None: the period by which half of those who left had left.
        reference: Reference levels, as {covariate: level}; else the most common with events in both parts.
        strata: Columns whose values have baselines of their own.
        period: The unit of a period.
        level: Level of the intervals.

    Raises:
        InputError: The table or an option is not as it should be, or nobody left before or after `at`.
        NotApplicable: Nobody left, or no covariate has two levels to compare in a part.
    """
    check_level(level)
    covariates, strata = list(covariates), tuple([strata] if isinstance(strata, str) else strata)
    frame = _read(counts, covariates, strata)
    left = frame[frame["_event"] == 1].sort_values("_exit", kind="stable")
    if left.empty:
        raise NotApplicable("Nobody left in these data, so there is nothing to compare.")
    if at is None:
        share = left["_n"].cumsum() / left["_n"].sum()
        at = float(left["_exit"].to_numpy()[int((share >= 0.5).to_numpy().argmax())])
        last = float(left["_exit"].max())
        if at >= last and (left["_exit"] < last).any():
            at = float(left.loc[left["_exit"] < last, "_exit"].max())
    if not (left["_exit"] <= at).any() or not (left["_exit"] > at).any():
        raise InputError(
            f"`at` is {at:g}, but people left only from {left['_exit'].min():g} to {left['_exit'].max():g}: "
            "somebody must have left both up to it and after it."
        )
    early = frame[frame["_entry"] < at].copy()
    early["_event"] = early["_event"].where(early["_exit"] <= at, 0)
    early["_exit"] = early["_exit"].clip(upper=at)
    late = frame[frame["_exit"] > at].copy()
    late["_entry"] = late["_entry"].clip(lower=at)

    asked = {str(key): str(value) for key, value in (reference or {}).items()}
    for covariate in covariates:
        if _is_number(frame[covariate]) or covariate in asked:
            continue
        both = _level_counts(early, covariate).join(
            _level_counts(late, covariate), rsuffix="_late", how="inner"
        )
        both = both[(both["events"] > 0) & (both["events_late"] > 0)]
        if both.empty:
            raise InputError(
                f"No level of {covariate} has people who left both up to period {at:g} and after it: "
                "choose another `at`, or leave it out."
            )
        asked[covariate] = str(both.index[0] if _is_ordered(frame[covariate]) else both["n"].idxmax())
    fits = [_fit(part, covariates, asked, strata, period, level) for part in (early, late)]

    keys = ["covariate", "level"]
    shown = [fit.table.frame.loc[~fit.table.frame["reference"]].set_index(keys) for fit in fits]
    both = pd.concat([part.reset_index()[keys] for part in shown]).drop_duplicates()
    both = both.sort_values("covariate", key=lambda names: names.map(covariates.index), kind="stable")
    index = pd.MultiIndex.from_frame(both)
    now, then = (part.reindex(index) for part in shown)
    result = pd.DataFrame(index=index)
    for name, part in (("early", now), ("late", then)):
        for end in _ENDS:
            result[name + end] = part[f"hazard_ratio{end}"]
    change = then["coefficient"] - now["coefficient"]
    error = np.hypot(now["standard_error"], then["standard_error"])
    for end, sign in zip(_ENDS, (0, -1, 1), strict=True):
        result[f"ratio{end}"] = np.exp(change + sign * z_value(level) * error)
    result["p"] = 2 * special.ndtr(-(change / error).abs().to_numpy())
    result["p_adjusted"] = holm(result["p"].to_numpy())
    units = dict.fromkeys(("early", "late", "ratio"), "ratio") | {"p": "p", "p_adjusted": "p"}
    notes = [f"Up to {period} {at:g}: {note}" for note in fits[0].notes]
    notes += [f"After {period} {at:g}: {note}" for note in fits[1].notes]
    return SplitHazardRatios(Table(result.reset_index(), units), float(at), *fits, tuple(notes))
