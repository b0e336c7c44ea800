"""How long subscribers stay: survival curves, their comparison and their mean, from a life table of counts.

The life table is described in `tenure.stats.lifetable`. With d events among n at risk in period k, the
survival curve S(k) estimates P(T > k), the share that stays for more than k periods.

The closed forms are written out here, because on counts they are a line or two each, import nothing
heavy, and count subscribers who enter late exactly: at risk in period k are those with
entry < k <= exit. lifelines, which they are tested against, counts a late entrant as at risk already in
the period of entry, has no log-rank test with late entry, moves tied events apart at random for
cumulative incidence, and has the variance of the restricted mean wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import special

from tenure.errors import InputError, NotApplicable
from tenure.stats.lifetable import (
    Array,
    Counts,
    check_horizon,
    check_level,
    chi2_p,
    greenwood,
    group_names,
    group_table,
    hazards,
    holm,
    log_log_band,
    long_table,
    product_limit,
    quadratic_form,
    spelled,
    validate,
    whole_numbers,
    z_value,
)

_ROUNDING = 1e-10


# --- survival curves ----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class SurvivalCurves:
    """Survival curves with intervals.

    Attributes:
        table: A row for each group and period 0, 1, ..., last: `group`, `period`, `at_risk`, `events`,
            `censored`, `survival` (P(T > period)), `standard_error` (NaN where it has no value), `low`,
            `high`.
        groups: A row for each group: `group`, `n` (subscribers ever at risk), `events`, `censored`,
            `entered` (watched only from later on), `last_period`.
        level: The intervals' level.
        notes: What a reader should know, in sentences.
    """

    table: pd.DataFrame
    groups: pd.DataFrame
    level: float
    notes: tuple[str, ...]

    def median(self) -> pd.DataFrame:
        """The period by which half have left: `percentile(0.5)`."""
        return self.percentile(0.5)

    def percentile(self, left: float) -> pd.DataFrame:
        """The period by which the share `left` has left, by group.

        The first period k with S(k) <= 1 - left; its limits are the first periods in which the lower and
        the upper limit of S come that low (Brookmeyer and Crowley 1982). Where the curve, or its upper
        limit, does not come that low while it is watched, the value is NaN: not reached.

        Args:
            left: A share between 0 and 1: 0.25 asks when the first quarter had left.

        Returns:
            A row for each group: `group`, `n`, `events`, `value`, `low`, `high` (periods), `reached`.

        Raises:
            InputError: `left` does not lie between 0 and 1.
        """
        if not 0 < left < 1:
            raise InputError(f"`left` must lie between 0 and 1, such as 0.5 for the median; it is {left!r}.")
        by_group = {str(name): part for name, part in self.table.groupby("group", sort=False, observed=True)}
        rows = []
        for group in self.groups.itertuples():
            part = by_group[str(group.group)]
            value, low, high = (
                _first(part["period"], part[column] <= 1 - left + _ROUNDING)
                for column in ("survival", "low", "high")
            )
            rows.append((group.group, group.n, group.events, value, low, high, not np.isnan(value)))
        return pd.DataFrame(rows, columns=["group", "n", "events", "value", "low", "high", "reached"])

    def at(self, periods: Sequence[int]) -> pd.DataFrame:
        """The curves after given numbers of periods.

        Args:
            periods: Whole numbers of periods from 0 up.

        Returns:
            A row for each group and period: `group`, `period`, `at_risk`, `survival`, `low`, `high`. Beyond
            the last period watched they are NaN with 0 at risk, unless the curve has come to 0.

        Raises:
            InputError: A period is no whole number from 0 up.
        """
        wanted = whole_numbers(
            pd.DataFrame({"periods": list(periods)}), "periods", smallest=0, table="list of periods"
        )
        columns = ["period", "at_risk", "survival", "low", "high"]
        parts = []
        for name, part in self.table[["group", *columns]].groupby("group", sort=False, observed=True):
            found = part.set_index("period").reindex(wanted)
            beyond = wanted > part["period"].iloc[-1]
            found.loc[beyond, "at_risk"] = 0
            if part["survival"].iloc[-1] == 0:
                found.loc[beyond, ["survival", "low", "high"]] = (
                    part[["survival", "low", "high"]].iloc[-1].to_numpy()
                )
            parts.append(found.assign(group=name).reset_index())
        table = pd.concat(parts, ignore_index=True)[["group", *columns]]
        return table.astype({"at_risk": "int64"})


def _first(periods: pd.Series, reached: pd.Series) -> float:
    hits = np.flatnonzero(reached.to_numpy())
    return float(periods.iloc[hits[0]]) if len(hits) else float("nan")


def _late_start_notes(counts: Counts) -> tuple[str, ...]:
    notes = []
    for row, group in enumerate(counts.groups):
        unwatched = np.flatnonzero(counts.at_risk[row, : counts.last[row]] == 0) + 1
        if len(unwatched):
            notes.append(
                f"In group {group}, nobody was watched in {len(unwatched)} of the first {counts.last[row]} "
                f"periods, such as period {unwatched[0]}; the curve takes it that nobody left in them."
            )
    return tuple(notes)


def kaplan_meier(life: pd.DataFrame, *, level: float = 0.95) -> SurvivalCurves:
    """Estimate the share that stays, by period of life and group.

    S(k) is the product over j <= k of 1 - d_j / n_j (Kaplan and Meier 1958). The interval is Greenwood's
    on the scale log(-log S), exp(-exp(log(-log S) +- z sqrt(G) / |log S|)) with G the sum over j <= k of
    d_j / (n_j (n_j - d_j)) (Kalbfleisch and Prentice 2002, 1.4). That has no value at S = 1 or S = 0:
    with no event yet the lower limit is the exact binomial one, (alpha/2)^(1/m) for the fewest m at risk so
    far; once all have left, the lower limit is 0 and the upper one stays as it was.

    With late entrants the curve is right if those who enter late are like those of the same age who are
    already there.

    Args:
        life: A life table (see the head of this module).
        level: Level of the intervals; each is for its own period, they are no band for the whole curve.

    Returns:
        The curves, with medians and values at given periods.

    Raises:
        InputError: The life table or `level` is not as it should be.

    Example:
        >>> life = pd.DataFrame(dict(period=[1, 2, 3], at_risk=[100, 90, 40], events=[10, 45, 4],
        ...                          censored=[0, 5, 36]))
        >>> curves = kaplan_meier(life)
        >>> curves.table[["period", "at_risk", "survival", "low", "high"]].round(3)
           period  at_risk  survival    low   high
        0       0      100     1.000  1.000  1.000
        1       1      100     0.900  0.822  0.945
        2       2       90     0.450  0.351  0.544
        3       3       40     0.405  0.308  0.500
        >>> curves.median()[["n", "events", "value", "low", "high"]]
             n  events  value  low  high
        0  100      59    2.0  2.0   NaN
    """
    check_level(level)
    counts = validate(life)
    survival = product_limit(counts)
    variance = np.cumsum(greenwood(counts), axis=1)
    low, high = log_log_band(survival, variance, counts.at_risk, level)
    columns = {
        "at_risk": counts.at_risk,
        "events": counts.events,
        "censored": counts.censored,
        "survival": survival,
        "standard_error": np.where(survival < 1, survival * np.sqrt(variance), np.nan),
        "low": low,
        "high": high,
    }
    start = {
        "at_risk": 0,
        "events": 0,
        "censored": 0,
        "survival": 1.0,
        "standard_error": 0.0,
        "low": 1.0,
        "high": 1.0,
    }
    return SurvivalCurves(
        table=long_table(counts, columns, start=start),
        groups=group_table(counts),
        level=level,
        notes=_late_start_notes(counts),
    )


# --- comparing curves ---------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class LogRank:
    """A log-rank test.

    Attributes:
        chi2: The statistic.
        df: Its degrees of freedom.
        p: Its p-value.
        table: A row for each group: `group`, `n`, `observed`, `expected` (events, were there no
            difference) and `ratio` (observed / expected; NaN where none are expected).
        pairwise: A row for each pair: `group_a`, `group_b`, `chi2`, `p`, `p_adjusted` (Holm). Pairs that
            were never at risk together have NaN.
    """

    chi2: float
    df: int
    p: float
    table: pd.DataFrame
    pairwise: pd.DataFrame


def log_rank(life: pd.DataFrame, *, strata: str | None = None) -> LogRank:
    """Test whether groups leave at the same rate.

    In each period the d events are shared out among the groups by their numbers at risk, n_g / n; the
    differences of observed and expected are summed, with the hypergeometric covariance
    d (n - d) / (n - 1) (delta_gh n_g / n - n_g n_h / n^2), which is exact with ties (Mantel 1966). Late
    entrants count from their entry on.

    Args:
        life: A life table of two or more groups (see the head of this module).
        strata: A further column of `life`; groups are then compared only within its values.

    Returns:
        The overall test, observed and expected events, and all pairs with Holm's adjustment.

    Raises:
        InputError: The life table is not as it should be.
        NotApplicable: There is only one group.

    Example:
        >>> life = pd.DataFrame(dict(group=["a", "a", "b", "b"], period=[1, 2, 1, 2], events=[20, 10, 40, 10],
        ...                          at_risk=[100, 80, 100, 60], censored=[0, 70, 0, 50]))
        >>> test = log_rank(life)
        >>> round(test.chi2, 3), test.df, round(test.p, 4)
        (8.836, 1, 0.003)
    """
    return log_rank_of(life, cause=None, strata=strata)


def log_rank_of(life: pd.DataFrame, *, cause: str | None, strata: str | None) -> LogRank:
    """The log-rank test of the events of one cause, or of all."""
    if strata is not None and strata not in life.columns:
        raise InputError(
            f"`strata` is {strata!r}, and the life table has no such column: {spelled(life.columns)}."
        )
    groups = group_names(life)[0]
    if len(groups) < 2:
        raise NotApplicable(f"A log-rank test needs two groups or more; there is only {spelled(groups)}.")
    parts = (
        [life] if strata is None else [part for _, part in life.groupby(strata, observed=True, dropna=False)]
    )
    size = len(groups)
    n_all, observed, expected = np.zeros(size), np.zeros(size), np.zeros(size)
    slices: list[tuple[Array, Array]] = []
    for part in parts:
        counts = validate(part)
        place = [groups.index(name) for name in counts.groups]
        at_risk = np.zeros((size, counts.events.shape[1]))
        events = np.zeros_like(at_risk)
        at_risk[place] = counts.at_risk
        events[place] = counts.events if cause is None else _cause(part, counts, cause)
        n_all[place] += counts.events.sum(axis=1) + counts.censored.sum(axis=1)
        slices.append((at_risk, events))
    everybody = list(range(size))
    chi2, df = _log_rank_statistic(slices, everybody)
    for at_risk, events in slices:
        observed += events.sum(axis=1)
        expected += _expected(at_risk, events).sum(axis=1)
    pairs = []
    for a, b in combinations(everybody, 2):
        statistic, freedom = _log_rank_statistic(slices, [a, b])
        pairs.append((groups[a], groups[b], statistic, chi2_p(statistic, freedom)))
    pairwise = pd.DataFrame(pairs, columns=["group_a", "group_b", "chi2", "p"])
    pairwise["p_adjusted"] = holm(pairwise["p"].to_numpy())
    table = pd.DataFrame(
        {
            "group": groups,
            "n": n_all.astype("int64"),
            "observed": observed.astype("int64"),
            "expected": expected,
            "ratio": np.divide(observed, expected, out=np.full(size, np.nan), where=expected > 0),
        }
    )
    return LogRank(chi2=chi2, df=df, p=chi2_p(chi2, df), table=table, pairwise=pairwise)


def _cause(part: pd.DataFrame, counts: Counts, cause: str) -> Array:
    events = np.zeros_like(counts.events)
    events[group_names(part)[1], part["period"].to_numpy(dtype=int) - 1] = part[cause].to_numpy(dtype=float)
    return events


def _expected(at_risk: Array, events: Array) -> Array:
    n = at_risk.sum(axis=0)
    return at_risk * np.divide(events.sum(axis=0), n, out=np.zeros_like(n), where=n > 0)


def _log_rank_statistic(slices: list[tuple[Array, Array]], rows: list[int]) -> tuple[float, int]:
    """Chi-squared and degrees of freedom of the groups `rows`, over all strata."""
    difference = np.zeros(len(rows))
    covariance = np.zeros((len(rows), len(rows)))
    for all_at_risk, all_events in slices:
        at_risk, events = all_at_risk[rows], all_events[rows]
        n, d = at_risk.sum(axis=0), events.sum(axis=0)
        difference += (events - _expected(at_risk, events)).sum(axis=1)
        factor = np.divide(d * (n - d), (n - 1) * n * n, out=np.zeros_like(n), where=n > 1)
        covariance += np.diag((at_risk * factor * n).sum(axis=1)) - (at_risk * factor) @ at_risk.T
    return quadratic_form(difference, covariance)


# --- restricted mean ----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class RestrictedMean:
    """Mean number of periods within a horizon.

    Attributes:
        table: A row for each group: `group`, `n`, `events` (within the horizon), `value` (periods),
            `standard_error`, `low`, `high`. NaN where the group was not watched up to the horizon.
        horizon: The horizon, in periods.
        level: The intervals' level.
        notes: What a reader should know, in sentences.
    """

    table: pd.DataFrame
    horizon: int
    level: float
    notes: tuple[str, ...]

    def differences(self) -> pd.DataFrame:
        """Compare all pairs of groups.

        Returns:
            A row for each pair: `group_a`, `group_b`, `difference` (b less a, in periods),
            `standard_error`, `low`, `high`, `p` (normal), `p_adjusted` (Holm). A group in which nobody left
            adds to the error as far as its exact lower limit lies below its mean.
        """
        value, error = self.table["value"].to_numpy(), self.table["standard_error"].to_numpy()
        # Where nobody left, what there is to know of the error is how far down the exact limit lies.
        exact = (value - self.table["low"].to_numpy()) / z_value(self.level)
        error = np.where(np.isnan(error), exact, error)
        names = self.table["group"].to_numpy()
        pairs = np.array(list(combinations(range(len(names)), 2)), dtype=int).reshape(-1, 2)
        a, b = pairs[:, 0], pairs[:, 1]
        difference, spread = value[b] - value[a], np.hypot(error[a], error[b])
        z = np.divide(difference, spread, out=np.full(len(a), np.nan), where=spread > 0)
        p = 2 * special.ndtr(-np.abs(z))
        half = z_value(self.level) * spread
        return pd.DataFrame(
            {
                "group_a": names[a],
                "group_b": names[b],
                "difference": difference,
                "standard_error": spread,
                "low": difference - half,
                "high": difference + half,
                "p": p,
                "p_adjusted": holm(p),
            }
        )

    def widest(self) -> pd.Series:
        """The pair of groups that lie furthest apart, the longer first.

        Returns:
            `longer`, `shorter` (groups), `difference` (from 0 up), `low`, `high` and `p_adjusted`. NaN and
            empty where no pair can be compared. The widest of many differences is wide by chance too, so
            the interval is Tukey and Kramer's, which holds for all pairs of groups at once.
        """
        from scipy.stats import studentized_range

        pairs = self.differences().dropna(subset="difference")
        if pairs.empty:
            nothing = float("nan")
            return pd.Series(
                {"longer": "", "shorter": ""}
                | dict.fromkeys(["difference", "low", "high", "p_adjusted"], nothing)
            )
        pair = pairs.iloc[int(pairs["difference"].abs().to_numpy().argmax())]
        names = [pair["group_b"], pair["group_a"]]
        compared = int(self.table["value"].notna().sum())
        half = studentized_range.ppf(self.level, compared, np.inf) / np.sqrt(2) * pair["standard_error"]
        return pd.Series(
            {
                "longer": names[int(pair["difference"] < 0)],
                "shorter": names[int(pair["difference"] >= 0)],
                "difference": abs(pair["difference"]),
                "low": abs(pair["difference"]) - half,
                "high": abs(pair["difference"]) + half,
                "p_adjusted": pair["p_adjusted"],
            }
        )


def longest_horizon(life: pd.DataFrame, *, share: float = 1.0) -> int:
    """The longest horizon to which groups were watched: the last period in which anybody was at risk.

    A group in which everybody has left is watched for ever.

    Args:
        life: A life table (see the head of this module).
        share: Of all subscribers, those whose groups must be watched that long. Less than 1 keeps a few
            groups that began lately from cutting all the others short; two groups at least are counted in.

    Returns:
        Periods.

    Raises:
        InputError: The life table is not as it should be.

    Example:
        >>> life = pd.DataFrame(dict(group=["a", "b", "new"], period=[24, 18, 2], at_risk=[60, 35, 5],
        ...                          events=[9, 8, 1], censored=[51, 27, 4]))
        >>> longest_horizon(life), longest_horizon(life, share=0.8)
        (2, 18)
    """
    counts = validate(life)
    gone = product_limit(counts)[:, -1] == 0
    watched = np.where(gone, counts.last.max(), counts.last)
    order = np.argsort(-watched, kind="stable")
    size = group_table(counts)["n"].to_numpy()[order]
    enough = int((np.cumsum(size) >= share * size.sum() - _ROUNDING).argmax())
    return max(int(watched[order][max(enough, min(1, len(size) - 1))]), 1)


def restricted_mean(life: pd.DataFrame, horizon: int, *, level: float = 0.95) -> RestrictedMean:
    """Estimate the mean number of periods within a horizon (restricted mean survival time).

    The area under the step function S from 0 to the horizon h, that is S(0) + S(1) + ... + S(h - 1). Its
    variance is the sum over periods j < h of A_j^2 d_j / (n_j (n_j - d_j)), A_j being the area from j to h
    (Uno et al. 2014; R package survRM2).

    What it means: since S drops at the *end* of the period in which somebody leaves, this is the mean
    number of periods *begun*, the periods paid for where payment is in advance. Integer days with the
    event on the day itself are the usual restricted mean. For stays measured continuously and rounded up
    to whole months it is about half a month too long for each who leaves.

    Args:
        life: A life table (see the head of this module).
        horizon: Whole periods from 1 up.
        level: Level of the intervals.

    Returns:
        A mean for each group, with differences between groups. Where nobody left, there is no standard
        error, and the lower limit is the exact one of the survival curve.

    Raises:
        InputError: The life table, `horizon` or `level` is not as it should be.

    Example:
        >>> life = pd.DataFrame(dict(period=[1, 2, 3], at_risk=[100, 90, 40], events=[10, 45, 4],
        ...                          censored=[0, 5, 36]))
        >>> restricted_mean(life, 3).table[["n", "events", "value", "low", "high"]].round(3)
             n  events  value    low   high
        0  100      55   2.35  2.222  2.478
    """
    check_level(level)
    check_horizon(horizon)
    counts = validate(life)
    value, variance = _area(counts, horizon)
    events = counts.events[:, : horizon - 1].sum(axis=1)
    error = np.where(events > 0, np.sqrt(variance), np.nan)
    half = z_value(level) * error
    low, high = np.maximum(value - half, 1), np.minimum(value + half, horizon)

    untouched = (events == 0) & ~np.isnan(value)
    if untouched.any():
        early = np.where(counts.at_risk > 0, counts.at_risk, np.inf)[:, : max(horizon - 1, 1)].min(axis=1)
        exact = 1 + (horizon - 1) * ((1 - level) / 2) ** (1 / early)
        low, high = np.where(untouched, exact, low), np.where(untouched, horizon, high)
    unwatched = [name for name, mean in zip(counts.groups, value, strict=True) if np.isnan(mean)]
    notes = _late_start_notes(counts)
    if unwatched:
        notes += (f"Not watched for {horizon} periods: {spelled(unwatched)}.",)
    table = pd.DataFrame(
        {
            "group": counts.groups,
            "n": group_table(counts)["n"],
            "events": events.astype("int64"),
            "value": value,
            "standard_error": error,
            "low": low,
            "high": high,
        }
    )
    return RestrictedMean(table=table, horizon=int(horizon), level=level, notes=notes)


def _curve_to(counts: Counts, hazards: Array, horizon: int) -> Array:
    """S(0), ..., S(horizon - 1) from hazards; NaN for a group not watched that long, unless all have left."""
    width = max(horizon - 1, hazards.shape[1])
    padded = np.zeros((len(hazards), width))
    padded[:, : hazards.shape[1]] = hazards
    curve = np.hstack([np.ones((len(hazards), 1)), np.cumprod(1 - padded, axis=1)])[:, :horizon]
    short = (counts.last < horizon - 1) & (product_limit(counts)[:, -1] > 0)
    return np.where(short[:, None], np.nan, curve)


def _area(counts: Counts, horizon: int) -> tuple[Array, Array]:
    """The restricted mean and its variance, each of shape (groups,)."""
    curve = _curve_to(counts, hazards(counts), horizon)
    right = curve[:, ::-1].cumsum(axis=1)[:, ::-1]
    terms = np.nan_to_num(greenwood(counts))[:, : horizon - 1]
    return right[:, 0], (right[:, 1 : 1 + terms.shape[1]] ** 2 * terms).sum(axis=1)


# --- the naive answer, and what retention is worth ----------------------------------------------------


def naive_mean_tenure(life: pd.DataFrame, *, horizon: int | None = None, level: float = 0.95) -> pd.DataFrame:
    """Compare the mean tenure of those who left with the mean tenure to expect.

    The mean of leavers counts only those who have gone already, mostly early, and so is too short in any
    company that still has subscribers. It is shown because it is what is commonly computed.

    Args:
        life: A life table.
        horizon: Periods for the restricted mean; None: as far as every group was watched.
        level: Level of the intervals.

    Returns:
        A row for each group: `group`, `leavers`, `naive`, `naive_low`, `naive_high` (mean period of
        leaving, with a normal interval; NaN with fewer than 2 leavers), `n`, `horizon`, `restricted_mean`,
        `low`, `high` (of `restricted_mean`, in periods), `median` (NaN: not reached).

    Raises:
        InputError: The life table, `horizon` or `level` is not as it should be.

    Example:
        >>> life = pd.DataFrame(dict(period=[1, 12], at_risk=[100, 70], events=[30, 10], censored=[0, 60]))
        >>> naive_mean_tenure(life)[["leavers", "naive", "n", "horizon", "restricted_mean"]].round(2)
           leavers  naive    n  horizon  restricted_mean
        0       40   3.75  100       12              8.7
    """
    horizon = longest_horizon(life) if horizon is None else horizon
    mean = restricted_mean(life, horizon, level=level).table
    counts = validate(life)
    leavers = counts.events.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        naive = counts.events @ counts.periods / leavers
        spread = (counts.events * (counts.periods - naive[:, None]) ** 2).sum(axis=1)
        half = z_value(level) * np.sqrt(np.where(leavers > 1, spread / (leavers - 1) / leavers, np.nan))
    return pd.DataFrame(
        {
            "group": counts.groups,
            "leavers": leavers.astype("int64"),
            "naive": naive,
            "naive_low": naive - half,
            "naive_high": naive + half,
            "n": mean["n"],
            "horizon": horizon,
            "restricted_mean": mean["value"],
            "low": mean["low"],
            "high": mean["high"],
            "median": kaplan_meier(life, level=level).median()["value"],
        }
    )


@dataclass(frozen=True, eq=False)
class RetentionValue:
    """What better retention is worth.

    Attributes:
        table: A row for each group: `group`, `n`, `events` (within the horizon), `churn` (average per
            paid period), `churn_improved`, `periods` (paid periods to expect of a new subscriber),
            `periods_improved`, `gain`, `gain_low`, `gain_high` (paid periods gained), `money`, `money_low`,
            `money_high` (gain times the value of a period). NaN where it cannot be said; `notes` says why.
        horizon: The horizon, in periods.
        improvement: Points taken off the average churn, as a share.
        value_per_period: Money a subscriber brings in a period.
        level: The intervals' level.
        notes: What a reader should know, in sentences.
    """

    table: pd.DataFrame
    horizon: int
    improvement: float
    value_per_period: float
    level: float
    notes: tuple[str, ...]


def retention_value(
    life: pd.DataFrame,
    *,
    value_per_period: float,
    horizon: int,
    improvement: float = 0.01,
    level: float = 0.95,
) -> RetentionValue:
    """Estimate what taking some points off the churn is worth for each new subscriber.

    A new subscriber begins, and pays for, E = S(0) + ... + S(h - 1) periods within the horizon h; the
    average churn is c = (1 - S(h)) / E, those lost for each period paid. All hazards are lowered in the
    same proportion, to lambda h_j, such that c falls by `improvement`; the gain is the rise of E. (Taking
    the points off each period's own hazard, but not below 0, would make little of annual plans, and its
    estimate is badly biased where a period has few events.) The hazards are independent with variance
    h_j (1 - h_j) / n_j; the delta method gives the interval, with the derivative of lambda from
    c(lambda h) = c(h) - improvement. It speaks of sampling only: that the improvement can be had, and at
    what cost, is another question. Nothing is discounted.

    Args:
        life: A life table.
        value_per_period: Money a subscriber brings in a period, such as the margin, in any unit.
        horizon: Whole periods from 1 up.
        improvement: Points off the average churn, as a share: 0.01 is one point.
        level: Level of the intervals.

    Returns:
        Paid periods and money gained for each new subscriber, by group.

    Raises:
        InputError: The life table or an option is not as it should be.

    Example:
        >>> life = pd.DataFrame(dict(period=[1, 2, 3, 4], at_risk=[1000, 900, 810, 729],
        ...                          events=[100, 90, 81, 73], censored=[0, 0, 0, 656]))
        >>> value = retention_value(life, value_per_period=10.0, horizon=4)
        >>> value.table[["churn", "periods", "periods_improved", "gain", "money"]].round(4)
           churn  periods  periods_improved    gain   money
        0    0.1    3.439            3.4917  0.0527  0.5266
    """
    check_level(level)
    check_horizon(horizon)
    if not 0 < improvement < 1:
        raise InputError(
            f"`improvement` must be a share between 0 and 1, such as 0.01 for a point; it is {improvement!r}."
        )
    if not np.isfinite(value_per_period):
        raise InputError(f"`value_per_period` must be an amount of money; it is {value_per_period!r}.")
    counts = validate(life)
    hazard = _padded(hazards(counts), horizon)
    unwatched = (counts.last < horizon) & (product_limit(counts)[:, -1] > 0)
    now = _paid(hazard)
    too_low = ~unwatched & (now.churn <= improvement)
    known = ~(unwatched | too_low)

    # The factor lambda by bisection: the average churn grows with it, from 0 to what it is.
    low, high = np.zeros(len(hazard)), np.ones(len(hazard))
    for _ in range(60):
        middle = (low + high) / 2
        above = _paid(hazard * middle[:, None]).churn > now.churn - improvement
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    factor = high[:, None]
    then = _paid(hazard * factor)
    # d lambda / dh_j, with sums over all periods of the derivatives at the lowered hazards.
    churn_rise = (then.churn_slope * hazard).sum(axis=1, keepdims=True)
    falls = now.churn_slope - factor * then.churn_slope
    factor_slope = np.divide(falls, churn_rise, out=np.zeros_like(falls), where=churn_rise > 0)
    slope = factor * then.slope - now.slope + (then.slope * hazard).sum(axis=1, keepdims=True) * factor_slope
    n = _padded(counts.at_risk, horizon)
    variance = (slope**2 * hazard * (1 - hazard) / np.where(n > 0, n, np.inf)).sum(axis=1)

    gain = np.where(known, then.periods - now.periods, np.nan)
    half = z_value(level) * np.sqrt(np.where(known, variance, np.nan))
    bounds = np.maximum(gain - half, 0), gain + half
    table = pd.DataFrame(
        {
            "group": counts.groups,
            "n": group_table(counts)["n"],
            "events": counts.events[:, :horizon].sum(axis=1).astype("int64"),
            "churn": np.where(unwatched, np.nan, now.churn),
            "churn_improved": np.where(known, now.churn - improvement, np.nan),
            "periods": np.where(unwatched, np.nan, now.periods),
            "periods_improved": np.where(known, then.periods, np.nan),
            "gain": gain,
            "gain_low": bounds[0],
            "gain_high": bounds[1],
            "money": gain * value_per_period,
            "money_low": bounds[0] * value_per_period,
            "money_high": bounds[1] * value_per_period,
        }
    )
    notes = _late_start_notes(counts)
    for which, sentence in (
        (unwatched, f"Not watched for {horizon} periods"),
        (too_low, f"Average churn is no more than the improvement of {improvement:g}"),
    ):
        if which.any():
            names = spelled(name for name, marked in zip(counts.groups, which, strict=True) if marked)
            notes += (f"{sentence}: {names}.",)
    return RetentionValue(
        table=table,
        horizon=int(horizon),
        improvement=float(improvement),
        value_per_period=float(value_per_period),
        level=level,
        notes=notes,
    )


def _padded(rows: Array, width: int) -> Array:
    """The first `width` columns, with zeros where there are fewer."""
    return np.pad(rows, ((0, 0), (0, max(width - rows.shape[1], 0))))[:, :width]


@dataclass(frozen=True, eq=False)
class _Paid:
    """Paid periods E and average churn c = (1 - S(h)) / E of hazards, with their derivatives."""

    periods: Array
    churn: Array
    slope: Array
    churn_slope: Array


def _paid(hazard: Array) -> _Paid:
    stay = 1 - hazard
    after = np.cumprod(stay, axis=1)
    before = np.hstack([np.ones((len(hazard), 1)), after[:, :-1]])
    periods, left = before.sum(axis=1), 1 - after[:, -1]
    # dE/dh_j = -(S(j) + ... + S(h - 1)) / (1 - h_j); a hazard of 1 has variance 0 and needs no slope.
    right = periods[:, None] - np.cumsum(before, axis=1)
    inverse = np.divide(1, stay, out=np.zeros_like(stay), where=stay > 0)
    slope = -right * inverse
    left_slope = after[:, -1:] * inverse
    churn = left / periods
    churn_slope = (left_slope - churn[:, None] * slope) / periods[:, None]
    return _Paid(periods=periods, churn=churn, slope=slope, churn_slope=churn_slope)
