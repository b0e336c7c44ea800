"""Which characteristics go with leaving: Cox regression on counts.

The input is a small table of counts: a row for each combination of covariates, `entry`, `exit` and `event`,
with the number `n` of subscribers it stands for.

=========  ==========================================================================================
covariates strings, categories or booleans (compared level by level) or numbers (a hazard ratio for 1 unit)
`entry`    periods completed when first watched; 0 for nearly all, and if the column is absent
`exit`     the period of leaving, or the periods completed when last seen; more than `entry`
`event`    1 left, 0 still on
`n`        subscribers; 1 if the column is absent
=========  ==========================================================================================

Whole periods make nearly every event a tie. lifelines takes weights, but its Efron correction then counts
*rows*, not subscribers: tied subscribers who share a row are treated as if one left before all others.
So the fit is written out here, with Efron's sums over the subscribers themselves: it equals the fit on
the table with each row repeated n times, at the cost of the small table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd
from scipy import special

from tenure.errors import InputError, NotApplicable
from tenure.stats.lifetable import Array, check_level, chi2_p, holm, spelled, whole_numbers, z_value

_TABLE = "table of counts"


# --- the data -----------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Column:
    """A column of the design: a level of a covariate against the reference, or a number."""

    covariate: str
    level: str
    x: Array


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
            f"not, such as {example!r}: mend or leave out those rows."
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


def _strata(frame: pd.DataFrame, columns: list[_Column], strata: Sequence[str]) -> list[_Stratum]:
    """Risk sets by stratum, from equal covariates added up."""
    x = np.column_stack([column.x for column in columns])
    key = (
        frame.groupby(list(strata), observed=True).ngroup().to_numpy()
        if strata
        else np.zeros(len(frame), int)
    )
    sets = []
    for stratum in np.unique(key):
        rows = key == stratum
        part = frame[rows]
        patterns, pattern = np.unique(x[rows], axis=0, return_inverse=True)
        pattern = pattern.reshape(-1)
        n, left = part["_n"].to_numpy(dtype=float), part["_event"].to_numpy() == 1
        start, end = part["_entry"].to_numpy(), part["_exit"].to_numpy()
        times = np.unique(end[left])
        if not len(times):
            continue
        change = np.zeros((len(times) + 1, len(patterns)))
        # At risk at time t: entry < t <= exit. Column 0 of the slots stands for "before every event".
        np.add.at(change, (np.searchsorted(times, end, side="right"), pattern), n)
        np.add.at(change, (np.searchsorted(times, start, side="right"), pattern), -n)
        at_risk = change[::-1].cumsum(axis=0)[::-1][1:]
        events = np.zeros_like(at_risk)
        np.add.at(events, (np.searchsorted(times, end[left]), pattern[left]), n[left])
        sets.append(_Stratum(times=times, x=patterns, at_risk=at_risk, events=events))
    return sets


# --- the likelihood -----------------------------------------------------------------------------------


def _efron(part: _Stratum, beta: Array) -> tuple[float, Array, Array]:
    """Log-likelihood, score and information of each event time, by Efron's handling of ties.

    With d events at a time, S0, S1, S2 the sums of w, w x, w x x' over those at risk (w = exp(x beta)) and
    D0, D1, D2 the same over the d: log-likelihood = sum of x beta over the d - sum over l < d of
    log(S0 - l/d D0), and score and information are its derivatives (Efron 1977).

    Returns:
        The log-likelihood, scores of shape (times, p) and informations of shape (times, p, p).
    """
    p = part.x.shape[1]
    eta = part.x @ beta
    shift = eta.max()
    w = np.exp(eta - shift)
    squares = (part.x[:, :, None] * part.x[:, None, :]).reshape(len(part.x), p * p)
    risk, dead = part.at_risk * w, part.events * w
    s0, s1, s2 = risk.sum(axis=1), risk @ part.x, risk @ squares
    d0, d1, d2 = dead.sum(axis=1), dead @ part.x, dead @ squares
    d = part.events.sum(axis=1).astype(int)
    sums = np.zeros((len(d), 5))
    log_likelihood = float((part.events @ eta).sum() - shift * d.sum())
    for i, tied in enumerate(d):
        fraction = np.arange(tied) / tied
        total = s0[i] - fraction * d0[i]
        log_likelihood -= float(np.log(total).sum())
        inverse = 1 / total
        weighted = fraction * inverse
        sums[i] = (
            inverse.sum(),
            weighted.sum(),
            inverse @ inverse,
            weighted @ inverse,
            weighted @ weighted,
        )
    a, b, aa, ab, bb = sums.T[:, :, None]
    score = part.events @ part.x - (s1 * a - d1 * b)
    mixed = s1[:, :, None] * d1[:, None, :]
    information = (
        (s2 * a - d2 * b).reshape(-1, p, p)
        - aa[:, :, None] * s1[:, :, None] * s1[:, None, :]
        + ab[:, :, None] * (mixed + mixed.transpose(0, 2, 1))
        - bb[:, :, None] * d1[:, :, None] * d1[:, None, :]
    )
    return log_likelihood, score, information


def _total(sets: list[_Stratum], beta: Array) -> tuple[float, Array, Array]:
    parts = [_efron(part, beta) for part in sets]
    return (
        sum(part[0] for part in parts),
        np.sum([part[1].sum(axis=0) for part in parts], axis=0),
        np.sum([part[2].sum(axis=0) for part in parts], axis=0),
    )


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
    """Newton's method with halved steps: coefficients, which of them are finite, log-likelihood."""
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
    # Towards an infinite maximum Newton's steps do not vanish, until the information has.
    finite = (np.abs(step) < 1e-3) & (np.diag(information) > 1e-7 * at_start)
    return beta, finite, value


# --- regression ---------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class CoxRegression:
    """A Cox regression.

    Attributes:
        table: A row for each level of a covariate, or for a number: `covariate`, `level` (empty for a
            number), `reference`, `n`, `events`, `coefficient`, `standard_error`, `hazard_ratio` (1 for
            the reference), `low`, `high`, `z`, `p`. NaN where it cannot be estimated; `notes` says why.
        tests: A row for each covariate: `covariate`, `chi2`, `df`, `p` (Wald's test of all its levels).
        n: Subscribers.
        events: Those who left.
        log_likelihood: Partial log-likelihood, and
        log_likelihood_null: the same with all hazard ratios 1; their comparison is
        chi2: the likelihood ratio statistic, with
        df: degrees of freedom and
        p: p-value.
        strata: Columns within whose values subscribers are compared.
        level: The intervals' level.
        notes: What a reader should know, in sentences.
        covariance: Covariance of the estimated coefficients, in the order of `table`.
    """

    table: pd.DataFrame
    tests: pd.DataFrame
    n: int
    events: int
    log_likelihood: float
    log_likelihood_null: float
    chi2: float
    df: int
    p: float
    strata: tuple[str, ...]
    level: float
    notes: tuple[str, ...]
    covariance: Array
    _sets: list[_Stratum] = field(repr=False)
    _columns: list[_Column] = field(repr=False)
    _frame: pd.DataFrame = field(repr=False)


def cox_regression(
    counts: pd.DataFrame,
    covariates: Sequence[str],
    *,
    reference: Mapping[str, str] | None = None,
    strata: Sequence[str] = (),
    level: float = 0.95,
) -> CoxRegression:
    """Estimate how the rate of leaving goes with each covariate, the others being equal.

    The hazard is h0(t) exp(x beta) (Cox 1972), with a baseline h0 of its own in each stratum; ties are
    Efron's, counted in subscribers; those at risk at t have entry < t <= exit. Intervals are Wald's on the
    log scale.

    A level is compared with the reference: the one asked for; else the first category of a categorical
    column, False of a boolean, and otherwise the most common level. A level in which nobody left has
    no finite estimate: it gets NaN and a note, and its rows are left out, which is where the estimates of
    the others tend. The same goes for what says nothing new beside the covariates before it, or has one
    level only.

    Args:
        counts: A table of counts (see the head of this module).
        covariates: Columns to compare.
        reference: Reference levels, as {covariate: level}.
        strata: Columns whose values have baselines of their own, for those that fail `proportionality`.
        level: Level of the intervals.

    Returns:
        Hazard ratios with intervals, tests and likelihoods.

    Raises:
        InputError: The table or an option is not as it should be.
        NotApplicable: Nobody left, or no covariate has two levels to compare.

    Example:
        >>> counts = pd.DataFrame(dict(plan=["basic", "basic", "basic", "pro", "pro", "pro"],
        ...                            exit=[1, 2, 2, 1, 2, 2], event=[1, 1, 0, 1, 1, 0],
        ...                            n=[20, 16, 64, 10, 9, 81]))
        >>> fit = cox_regression(counts, ["plan"], reference={"plan": "basic"})
        >>> fit.table[["level", "n", "events", "hazard_ratio", "low", "high"]].round(3)
           level    n  events  hazard_ratio    low   high
        0  basic  100      36         1.000    NaN    NaN
        1    pro  100      19         0.474  0.272  0.826
    """
    check_level(level)
    covariates, strata = list(covariates), tuple([strata] if isinstance(strata, str) else strata)
    asked = {str(key): str(value) for key, value in (reference or {}).items()}
    frame = _read(counts, covariates, strata)
    unknown = [name for name in asked if name not in covariates or _is_number(frame[name])]
    if unknown:
        raise InputError(f"`reference` names {spelled(unknown)}, not among the covariates with levels.")
    if not (frame["_n"] * frame["_event"]).sum():
        raise NotApplicable("Nobody left in these data, so there is nothing to compare.")
    return _fit(frame, covariates, asked, strata, level)


def _fit(
    frame: pd.DataFrame,
    covariates: list[str],
    asked: Mapping[str, str],
    strata: tuple[str, ...],
    level: float,
) -> CoxRegression:
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
    sets = _strata(used, scaled, strata)
    log_likelihood_null, _, information = _total(sets, np.zeros(len(scaled)))
    independent = _independent(information)
    for column in np.array(columns, dtype=object)[~independent]:
        what = f"{column.covariate} {column.level}".strip()
        if len(levels.get(column.covariate, [0, 0])) > 1:
            notes.append(f"{what}: it does not vary, or the covariates before it already say it.")
    chosen = np.flatnonzero(independent)
    if not len(chosen):
        raise NotApplicable(
            f"None of the covariates {spelled(covariates)} varies among those at risk together."
        )
    sets = [_Stratum(s.times, s.x[:, chosen], s.at_risk, s.events) for s in sets]
    columns, scale = [columns[i] for i in chosen], np.array(spread)[chosen]

    beta, finite, log_likelihood = _newton(sets, len(chosen))
    for i in np.flatnonzero(~finite):
        what = f"{columns[i].covariate} {columns[i].level}".strip()
        notes.append(f"{what}: it tells exactly who left first, so it has no finite hazard ratio.")
    information = _total(sets, beta)[2]
    covariance = np.full_like(information, np.nan)
    covariance[np.ix_(finite, finite)] = np.linalg.inv(information[np.ix_(finite, finite)])
    covariance = covariance / np.outer(scale, scale)
    coefficient = np.where(finite, beta / scale, np.nan)

    table = _coefficient_table(rows, columns, coefficient, np.sqrt(np.diag(covariance)), level)
    chi2 = 2 * (log_likelihood - log_likelihood_null)
    return CoxRegression(
        table=table,
        tests=_wald_tests(covariates, columns, coefficient, covariance),
        n=int(total["n"]),
        events=int(total["events"]),
        log_likelihood=log_likelihood,
        log_likelihood_null=log_likelihood_null,
        chi2=chi2,
        df=len(columns),
        p=chi2_p(chi2, len(columns)),
        strata=strata,
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
        table["hazard_ratio"] = np.exp(table["coefficient"])
        table["low"] = np.exp(table["coefficient"] - half)
        table["high"] = np.exp(table["coefficient"] + half)
    table["z"] = table["coefficient"] / table["standard_error"]
    table["p"] = 2 * special.ndtr(-table["z"].abs().to_numpy())
    return table.astype({"n": "int64", "events": "int64", "reference": bool})


def _wald_tests(
    covariates: list[str], columns: list[_Column], coefficient: Array, covariance: Array
) -> pd.DataFrame:
    tests = []
    for covariate in covariates:
        own = [
            i
            for i, column in enumerate(columns)
            if column.covariate == covariate and not np.isnan(coefficient[i])
        ]
        chi2 = float("nan")
        if own:
            chi2 = float(coefficient[own] @ np.linalg.solve(covariance[np.ix_(own, own)], coefficient[own]))
        tests.append((covariate, chi2, len(own), chi2_p(chi2, len(own))))
    return pd.DataFrame(tests, columns=["covariate", "chi2", "df", "p"])


# --- proportionality ----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Proportionality:
    """A test whether hazard ratios stay the same through life.

    Attributes:
        table: A row for each covariate: `covariate`, `chi2`, `df`, `p`, `p_adjusted` (Holm).
        chi2: The statistic for all covariates together, with
        df: degrees of freedom and
        p: p-value.
        transform: The scale of time.
    """

    table: pd.DataFrame
    chi2: float
    df: int
    p: float
    transform: str


def proportionality(
    fit: CoxRegression, *, transform: Literal["km", "rank", "identity", "log"] = "km"
) -> Proportionality:
    """Test whether the hazard ratios of a Cox regression change with time.

    The score test of the terms x g(t) added to the fit (Grambsch and Therneau 1994, in the exact form that
    `cox.zph` of R's survival package has had since version 3.0): with U(t) and I(t) the score and the
    information of an event time at the estimates, the statistic is U' (I_gg - I_g I^-1 I_g)^-1 U for
    U = sum g U(t), I_gg = sum g^2 I(t), I_g = sum g I(t), I = sum I(t).

    With many subscribers a slight change is significant too: what matters is its size, which
    `split_hazard_ratios` shows. If it matters, report early and late hazard ratios, or give the
    covariate to `cox_regression(strata=...)` to adjust for it without a hazard ratio of its own.

    Args:
        fit: A Cox regression.
        transform: The scale g of time: "km" 1 - S(t-) of everybody together, "rank", "identity" or "log".

    Returns:
        A test for each covariate and one for all.

    Raises:
        InputError: `transform` is none of these.
    """
    sets = fit._sets
    times = np.concatenate([part.times for part in sets])
    events = np.concatenate([part.events.sum(axis=1) for part in sets])
    g = _time_scale(fit, times, events, transform)
    g = g - np.average(g, weights=events)
    estimates = fit.table.set_index(["covariate", "level"])["coefficient"]
    beta = np.array([estimates[(column.covariate, column.level)] for column in fit._columns])
    finite = ~np.isnan(beta)
    pieces = [_efron(part, np.nan_to_num(beta)) for part in sets]
    score = np.concatenate([piece[1] for piece in pieces])[:, finite]
    information = np.concatenate([piece[2] for piece in pieces])[:, finite][:, :, finite]
    u = g @ score
    once = np.tensordot(g, information, axes=1)
    twice = np.tensordot(g**2, information, axes=1)
    base = information.sum(axis=0)
    spread = twice - once @ np.linalg.solve(base, once)

    def test(own: list[int]) -> tuple[float, int, float]:
        if not own:
            return float("nan"), 0, float("nan")
        block = spread[np.ix_(own, own)]
        if np.linalg.matrix_rank(block, hermitian=True) < len(own):
            return float("nan"), 0, float("nan")
        chi2 = float(u[own] @ np.linalg.solve(block, u[own]))
        return chi2, len(own), chi2_p(chi2, len(own))

    names = [column.covariate for column, there in zip(fit._columns, finite, strict=True) if there]
    rows = []
    for covariate in dict.fromkeys(fit.table["covariate"]):
        rows.append((covariate, *test([i for i, name in enumerate(names) if name == covariate])))
    table = pd.DataFrame(rows, columns=["covariate", "chi2", "df", "p"])
    table["p_adjusted"] = holm(table["p"].to_numpy())
    chi2, df, p = test(list(range(len(names))))
    return Proportionality(table=table, chi2=chi2, df=df, p=p, transform=transform)


def _time_scale(fit: CoxRegression, times: Array, events: Array, transform: str) -> Array:
    if transform == "identity":
        return times
    if transform == "log":
        return np.log(times)
    unique, place = np.unique(times, return_inverse=True)
    tied = np.bincount(place, weights=events)
    if transform == "rank":
        return (np.cumsum(tied) - tied + (tied + 1) / 2)[place]
    if transform == "km":
        n = fit._frame["_n"].to_numpy(dtype=float)
        start, end = fit._frame["_entry"].to_numpy(), fit._frame["_exit"].to_numpy()
        at_risk = np.array([n[(start < t) & (end >= t)].sum() for t in unique])
        after = np.cumprod(1 - tied / at_risk)
        return (1 - np.r_[1.0, after[:-1]])[place]
    raise InputError(f"`transform` must be one of km, rank, identity, log; it is {transform!r}.")


@dataclass(frozen=True, eq=False)
class SplitHazardRatios:
    """Hazard ratios early and late in life.

    Attributes:
        table: A row for each level or number: `covariate`, `level`, `early`, `early_low`, `early_high`,
            `late`, `late_low`, `late_high` (hazard ratios), `ratio` (late / early), `ratio_low`,
            `ratio_high`, `p` (of no change), `p_adjusted` (Holm).
        at: Early is up to this period, late after it.
        early: The fit of the early part.
        late: The fit of the late part.
        notes: What a reader should know, in sentences.
    """

    table: pd.DataFrame
    at: float
    early: CoxRegression
    late: CoxRegression
    notes: tuple[str, ...]


def split_hazard_ratios(
    counts: pd.DataFrame,
    covariates: Sequence[str],
    *,
    at: float | None = None,
    reference: Mapping[str, str] | None = None,
    strata: Sequence[str] = (),
    level: float = 0.95,
) -> SplitHazardRatios:
    """Estimate hazard ratios up to a period of life and after it.

    Everybody is watched up to `at` in the early fit; those still there enter the late one at `at`. Since
    no risk set lies in both, the two fits are independent, and together they are the Cox
    regression with every covariate's effect changing at `at`.

    Args:
        counts: A table of counts (see the head of this module).
        covariates: Columns to compare.
        at: The last early period; None: the period by which half of those who left had left.
        reference: Reference levels, as {covariate: level}; else the most common with events in both parts.
        strata: Columns whose values have baselines of their own.
        level: Level of the intervals.

    Returns:
        Early and late hazard ratios and their ratio.

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
    fits = [_fit(part, covariates, asked, strata, level) for part in (early, late)]

    keys = ["covariate", "level"]
    names = ["hazard_ratio", "low", "high", "coefficient", "standard_error"]
    shown = [fit.table.loc[~fit.table["reference"], keys + names] for fit in fits]
    order = pd.concat([part[keys] for part in shown]).drop_duplicates()
    order = order.sort_values("covariate", key=lambda c: c.map(covariates.index), kind="stable")
    table = order.merge(shown[0], on=keys, how="left")
    table = table.merge(shown[1], on=keys, how="left", suffixes=("_a", "_b"))
    change = table["coefficient_b"] - table["coefficient_a"]
    error = np.hypot(table["standard_error_a"], table["standard_error_b"])
    half = z_value(level) * error
    result = table[keys].copy()
    for name, suffix in (("early", "_a"), ("late", "_b")):
        result[name] = table["hazard_ratio" + suffix]
        result[f"{name}_low"] = table["low" + suffix]
        result[f"{name}_high"] = table["high" + suffix]
    result["ratio"] = np.exp(change)
    result["ratio_low"] = np.exp(change - half)
    result["ratio_high"] = np.exp(change + half)
    result["p"] = 2 * special.ndtr(-(change / error).abs().to_numpy())
    result["p_adjusted"] = holm(result["p"].to_numpy())
    notes = tuple(f"Up to period {at:g}: {n}" for n in fits[0].notes) + tuple(
        f"After period {at:g}: {n}" for n in fits[1].notes
    )
    return SplitHazardRatios(table=result, at=float(at), early=fits[0], late=fits[1], notes=notes)
