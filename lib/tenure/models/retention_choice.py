"""Which retention curve, which characteristics, and how well they predict: contests, backtests, resampling.

`stays`, `life` and `fit` are as in `tenure.models.retention` and `tenure.models.renewals`; `covariates` are
characteristics, as columns of the counts, and `by` columns to report by.

Where no model can be fitted, or the curves know none of the groups, NotApplicable is raised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from tenure.errors import InputError, NotApplicable
from tenure.models.renewals import KEYS, Terms, interval_years, life_table, numbered
from tenure.models.retention import MODELS, Cells, Retention, binomial, fit_retention
from tenure.models.retention_seen import anchored, widened
from tenure.privacy import OTHER, few
from tenure.result import NAN, Estimate, Table, from_ends, interval
from tenure.stats.intervals import bounded_limits
from tenure.stats.lifetable import FEWEST, Array, chi2_p, z_value
from tenure.stats.lifetime import residual_lifetime
from tenure.stats.survival import kaplan_meier

# Models whose criteria differ by less cannot be told apart (Raftery 1995 calls it weak evidence), and their
# tails may differ: intervals reach over them.
_WEAK = 2.0

_COUNTS = ["at_risk", "events", "censored", "entered"]


@dataclass(frozen=True, eq=False)
class Contest:
    """How well models predicted counts that they were not fitted to.

    Attributes:
        table: A row per model that could be fitted, the best score first: `model` (in words), `score` (the
            log-likelihood of who left and who stayed), `lag` (how far it lies behind the best), `lag_error`
            (the lag's standard error), `expected` and `left` (churned customers, predicted and observed),
            `error` (expected / left - 1), `close` (whether it cannot be told from the best) and `chosen`.
        model: The chosen model.
        apart: Whether failed payments have a separate hazard in it.
    """

    table: Table
    model: str
    apart: bool

    @property
    def rivals(self) -> list[str]:
        """The other models that predicted as well, in words."""
        rows = self.table.frame
        return list(rows.loc[rows["close"] & ~rows["chosen"], "model"])


def compare_models(train: pd.DataFrame, test: pd.DataFrame, *, covariates: Sequence[str] = ()) -> Contest:
    """Fit each model to a life table, and ask how well it predicted another one with the same columns.

    The counts of `test` are those of held-out cohorts, or what happened to everybody after the last day of
    `train`. Each model is tried with failed payments together and, where causes are known, separate. Its
    score is the log-likelihood of who left and who stayed: it rewards chances that were right, neither too
    bold nor too timid.

    One model is chosen. Of those that the test cannot tell from the best (their lag is within 1.96 of its
    standard errors; Vuong 1989), one with a separate involuntary hazard is preferred: payments of all kinds
    of customers fail, and go on failing, whereas choice removes those inclined to leave, so models that agree
    in what was observed differ in the tail. After that, the least Bayesian information criterion decides,
    over what a model was fitted to and what it predicted.
    """
    separate = [False, True] if _causes_known(train) else [False]
    fits, reason = _fitted(train, ((model, apart) for apart in separate for model in MODELS), covariates)
    if not fits:
        raise NotApplicable(reason)
    rows, rates, n = [], [], np.zeros(0)
    for fit in fits:
        known = fit.known(test)
        cells, place = numbered(known, fit.cells)
        rate = -np.diff(fit.log_survival(cells, int(known["period"].max())), axis=1)
        rate = rate[place, known["period"].to_numpy(dtype=int) - 1]
        n, left = known["at_risk"].to_numpy(dtype=float), known["events"].to_numpy(dtype=float)
        score, expected = float(binomial(rate, left, n - left)[0].sum()), float(-np.expm1(-rate) @ n)
        whole = _criterion(fit, left.sum(), score)
        rows.append((fit.model, fit.apart, fit.label, score, expected, left.sum(), whole))
        rates.append(rate)
    names = ["name", "apart", "model", "score", "expected", "left", "criterion"]
    table = pd.DataFrame(rows, columns=names)
    best = rates[int(np.argmax(table["score"].to_numpy()))]
    table["lag"] = table["score"].max() - table["score"]
    table["lag_error"] = [_score_error(rate, best, n) for rate in rates]
    table["error"] = table["expected"] / table["left"].where(table["left"] > 0) - 1
    table["close"] = table["lag"] <= 1.96 * table["lag_error"] + 1e-9
    close = table[table["close"]].sort_values(["apart", "criterion"], ascending=[False, True])
    table["chosen"] = table.index == close.index[0]
    columns = ["model", "score", "lag", "lag_error", "expected", "left", "error", "close", "chosen"]
    units = dict.fromkeys(("score", "lag", "lag_error"), "number")
    units |= {"expected": "count", "left": "count", "error": "percent"}
    table = table.sort_values("score", ascending=False, ignore_index=True)[columns]
    return Contest(Table(table, units), str(close["name"].iloc[0]), bool(close["apart"].iloc[0]))


@dataclass(frozen=True, eq=False)
class Choice:
    """The chosen curves, and the evidence for them.

    Attributes:
        fit: The curves, fitted to all that is known; `life` is their life table.
        past: The same model, fitted to what was known on an earlier day; None: there is no such day.
        contest: How well models predicted what came after that day; None likewise.
        tried: The other models that could be fitted to the same counts.
        notes: What a reader should know, in sentences.
    """

    fit: Retention
    past: Retention | None
    contest: Contest | None
    life: pd.DataFrame
    tried: tuple[Retention, ...]
    notes: tuple[str, ...]

    def others(self) -> list[Retention]:
        """Those tried, and one with failed payments separate where they are not, or not where they are."""
        kinds = [("sbg", not self.fit.apart)] if _causes_known(self.life) else []
        return [*self.tried, *_fitted(self.life, kinds, list(self.fit.covariates))[0]]


def choose_fit(
    stays: pd.DataFrame,
    covariates: Sequence[str] = (),
    *,
    before: pd.DataFrame | None = None,
    after: pd.DataFrame | None = None,
) -> Choice:
    """Choose a model by what it would have predicted, and fit it to all that is known.

    Intervals reach over models whose criterion, parameters log(churned customers) - 2 log L, is less than 2
    above the chosen one's (weak evidence, Raftery 1995); where curves are taken as observed, over the other
    tails that fit (see `anchored`).

    Args:
        before: Counts as they were known on an earlier day; None: then the likeliest model is taken.
        after: What happened after that day.
    """
    by = [*KEYS, *covariates]
    life, why = life_table(stays, by), "There is no earlier day to look back from, so there is no backtest."
    contest = past = None
    if before is not None and after is not None:
        try:
            train = life_table(before, by)
            contest = compare_models(train, life_table(after, by), covariates=covariates)
            past = fit_retention(train, contest.model, covariates=covariates, apart=contest.apart)
        except NotApplicable as reason:
            why = str(reason)
    named = (contest.model, contest.apart) if contest else likeliest_model(life, covariates=covariates)
    fit = fit_retention(life, named[0], covariates=covariates, apart=named[1])
    tried = _fitted(life, ((model, named[1]) for model in MODELS if model != named[0]), covariates)[0]
    most = _criterion(fit) + _WEAK
    fit, said = anchored(fit, life)
    if not fit.seen:
        unlike = (one for one in tried if one.parts[0].models != fit.parts[0].models)
        fit = replace(fit, others=tuple(one for one in unlike if _criterion(one) < most))
    return Choice(fit, past, contest, life, tuple(tried), (*(() if contest else (why,)), *fit.notes, *said))


def likeliest_model(life: pd.DataFrame, *, covariates: Sequence[str] = ()) -> tuple[str, bool]:
    """Choose a model where there is no later time to judge it by: the least Bayesian information criterion.

    Also returned is whether failed payments are separate: wherever causes are known.
    """
    known = _causes_known(life)
    fits, reason = _fitted(life, product(MODELS, [known]), covariates)
    if not fits:
        raise NotApplicable(reason)
    return min((_criterion(fit), fit.model) for fit in fits)[1], known


def _criterion(fit: Retention, more: float = 0.0, score: float = 0.0) -> float:
    """The Bayesian information criterion of what a model was fitted to and what it predicted."""
    left = max(fit.groups["events"].sum() + more, 2)
    return float(np.log(left) * len(fit.estimate) - 2 * (fit.log_likelihood + score))


def _fitted(
    life: pd.DataFrame, kinds: Iterable[tuple[str, bool]], covariates: Sequence[str]
) -> tuple[list[Retention], str]:
    """The models, with failures separate or not, that could be fitted; and why another could not."""
    found, reason = [], ""
    for model, apart in kinds:
        try:
            found.append(fit_retention(life, model, covariates=covariates, apart=apart))
        except NotApplicable as why:
            reason = str(why)
    return found, reason


def _causes_known(life: pd.DataFrame) -> bool:
    return "involuntary" in life and bool(0 < life["involuntary"].sum() < life["events"].sum())


def _score_error(rate: Array, best: Array, n: Array) -> float:
    """The standard error of the difference of two scores, at the mean of both chances to leave."""
    h, g = -np.expm1(-np.maximum(rate, 1e-300)), -np.expm1(-np.maximum(best, 1e-300))
    middle = (h + g) / 2
    return float(np.sqrt((n * middle * (1 - middle) * (np.log(h / g) + (rate - best)) ** 2).sum()))


def choose_covariates(stays: pd.DataFrame) -> tuple[list[str], Table]:
    """Choose up to three characteristics that predict who stays longer, by the Bayesian criterion.

    Each is tried alone beside the groups, with the same groups in all: twice the gain in log-likelihood is
    compared with the number of levels less one times the logarithm of the number of churned customers
    (Volinsky and Raftery 2000). So a characteristic that only looks useful by chance is left out.

    Args:
        stays: As from `tenure.measures.value.split_counts`, by each characteristic in turn (name and level).

    Returns:
        The chosen ones, the strongest first, and a row for each tried: `covariate`, `levels`, `chi2`, `p`,
        `gain` (by the criterion; chosen if above 0), `chosen`.
    """
    rows, alone = [], None
    for name, part in stays.groupby("name"):
        life = life_table(part, [*KEYS, "level"])
        try:
            if alone is None:
                alone = fit_retention(life.groupby([*KEYS, "period"], as_index=False)[_COUNTS].sum())
            own = life[[*KEYS, "level", "period", *_COUNTS]]
            fit = fit_retention(own, covariates=["level"], start=alone)
        except NotApplicable:
            continue
        freedom = len(fit.covariates["level"]) - 1
        chi2 = max(2 * (fit.log_likelihood - alone.log_likelihood), 0.0)
        gain = chi2 - freedom * np.log(max(life["events"].sum(), 1))
        rows.append((name, freedom + 1, chi2, chi2_p(chi2, freedom), gain))
    table = pd.DataFrame(rows, columns=["covariate", "levels", "chi2", "p", "gain"])
    table = table.sort_values(["gain", "covariate"], ascending=[False, True], ignore_index=True)
    table["chosen"] = (table["gain"] > 0) & (table.index < 3)
    units = {"levels": "count", "chi2": "number", "p": "p", "gain": "number"}
    return list(table.loc[table["chosen"], "covariate"]), Table(table, units)


# --- what was observed, and what is predicted -----------------------------------------------------------


def projection(fit: Retention, stays: pd.DataFrame) -> Table:
    """Put what was observed beside what the curves predict, by group, over months since the start.

    It looks twice as far ahead as was observed, and three years at least.

    Returns:
        A row for each group and renewal: `group` (with the interval, where a group has several), `month`,
        `fitted` (the mean of its customers' curves), and `seen`, `seen_low`, `seen_high` (Kaplan and
        Meier's, from the fitted curve on where too few were at risk before; NaN where it was not observed).
    """
    rows, months = [], max(2 * int(fit.groups["last_period"].max()), 36)
    several = fit.groups["group"].duplicated(keep=False)
    for (group, length), twice in zip(fit.groups[list(KEYS)].to_numpy(), several, strict=True):
        mine = stays[(stays["group"] == group) & (stays["interval"] == length)]
        each = interval_years(length) * 12
        periods = max(int(np.floor(months / each + 1e-9)), 1)
        starts = mine[mine["entry"] == 0] if (mine["entry"] == 0).any() else mine
        cells, place = numbered(starts, fit.cells)
        weight = np.bincount(place, starts["n"].to_numpy(dtype=float))
        life, fitted = life_table(mine, KEYS), weight / weight.sum() @ fit.curves(cells, periods)
        life = life.drop(columns=list(KEYS))
        seen = kaplan_meier(life, level=fit.level, min_at_risk=FEWEST).table.frame.set_index("period")
        # What was seen only from later on is drawn from the fitted curve on.
        seen = seen.filter(like="survival") * fitted[min(seen.index[0], periods)]
        seen = seen.reindex(range(periods + 1))
        table = seen.rename(columns=lambda name: name.replace("survival", "seen")).reset_index(drop=True)
        table.insert(0, "fitted", fitted)
        table.insert(0, "month", np.arange(periods + 1) * each)
        table.insert(0, "group", f"{group}, {length}" if twice else group)
        rows.append(table)
    units = {"month": "months", "fitted": "percent", "seen": "percent"}
    return Table(pd.concat(rows, ignore_index=True), units)


def lifetimes(fit: Retention, stays: pd.DataFrame, terms: Terms, *, renewals: Sequence[int]) -> Table:
    """Estimate discounted expected residual lifetimes (DERL) of groups, as customers get older.

    Before renewal n it is the sum over t >= n of S(t) / S(n - 1) v^(t - n) (Fader and Hardie 2010; see
    `tenure.stats.lifetime.residual_lifetime`), v being the discount of an interval. A group is the mixture of
    its customers' curves, weighted by who began; those inclined to leave drop out of it, so that the lifetime
    to expect grows.

    Returns:
        A row per group and renewal that customers are about to decide on: the keys, `renewal`, `n` (customers
        who began), `value` with its limits (payments to expect from that renewal on).
    """
    tables, rows = [], fit.known(stays)
    for key, part in rows.groupby(list(fit.keys)):
        named = dict(zip(fit.keys, map(str, key), strict=True))
        labels, place = numbered(part, fit.cells)
        weight, cells = np.bincount(place, part["n"].to_numpy(dtype=float)), fit.place(labels)
        size, rate = terms.periods(named["interval"]) + max(renewals), terms.rate(named["interval"])
        value, slopes = fit.delta(partial(_residual, fit, cells, weight, size, rate))
        at = np.array(renewals) - 1
        value, error, most = (
            value[at],
            fit.standard_errors(slopes[at]),
            residual_lifetime(np.ones(size + 1), rate),
        )
        ends = [bounded_limits(value, error, most[at], fit.level)]
        for other in fit.others:
            tail, slopes = other.delta(partial(_residual, other, cells, weight, size, rate))
            ends.append(bounded_limits(tail[at], other.standard_errors(slopes[at]), most[at], fit.level))
        limits = interval("value", value, *widened(ends))
        tables.append(pd.DataFrame({**named, "renewal": list(renewals), "n": int(weight.sum()), **limits}))
    return Table(pd.concat(tables, ignore_index=True), {"value": "number", "n": "count"})


def _residual(fit: Retention, cells: Cells, weight: Array, size: int, rate: float, theta: Array) -> Array:
    """Residual lifetimes of a mixture of customers, at each renewal."""
    return residual_lifetime(weight / weight.sum() @ np.exp(fit.log_survival(cells, size, theta)), rate)


@dataclass(frozen=True, eq=False)
class Backtest:
    """What curves predicted, beside what happened.

    Attributes:
        table: A row each of the columns it is reported by: those, `n` (customers), `expected`,
            `expected_low`, `expected_high` (where it should lie, by chance and by the uncertainty of the
            curves), `happened` and `error` (expected / happened - 1).
        total: One row of all.
        level: Level of the ranges.
    """

    table: Table
    total: pd.Series
    level: float

    @property
    def failed(self) -> Estimate:
        """How many rows lie outside where they should, all rows allowed for; case: "failed" or "passed".

        Of k rows, ranges are those of the level 1 - (1 - level) / k (Bonferroni).

        Its words are of the row that is furthest out: group, expected and happened.
        """
        rows, unit = self.table.frame, self.table.units["expected"]
        half = rows[["expected_low", "expected_high"]].sub(rows["expected"], axis=0).abs().max(axis=1)
        wider = z_value(1 - (1 - self.level) / max(len(rows), 1)) / z_value(self.level)
        out = (rows["happened"] - rows["expected"]).abs() / (half * wider).where(half > 0)
        worst = rows.iloc[int(np.argmax(out.fillna(0.0)))]
        count = int((out > 1).sum())
        words: dict[str, Any] = {
            name: Estimate(float(worst[name]), unit=unit) for name in ("expected", "happened")
        }
        words |= {"group": str(worst.iloc[0]), "groups": len(rows)}
        case = "failed" if count else "passed"
        return Estimate(count, n=int(self.total["n"]), of="customer", unit="count", case=case, words=words)

    @property
    def error(self) -> Estimate:
        """How far the prediction was off: above 0, too high; its case is "high" or "low"."""
        row, happened = self.total, float(self.total["happened"])
        happened = happened if happened > 0 else NAN
        off = (float(row[f"expected{end}"]) / happened - 1 for end in ("", "_low", "_high"))
        found = from_ends(off, n=int(row["n"]), of="customer", unit="percent", level=self.level)
        return found.saying("low" if found.value < 0 else "high")


def backtest(
    fit: Retention,
    rows: pd.DataFrame,
    by: Sequence[str],
    expected: Callable[[Array], Array],
    variance: Callable[[Array, int], Array],
    happened: pd.DataFrame,
    unit: str,
) -> Backtest:
    """Compare what curves predicted for rows of like customers with what happened.

    Ranges are expected -+ z sqrt(variance by chance + g' V g), with g the derivatives by the parameters and V
    their covariance (delta method); none is below 0.

    Args:
        rows: With `by` and n, how many customers.
        expected: Takes parameters of the curves; returns what is predicted for each row.
        variance: Takes the sum that each row belongs to, and how many sums there are; returns the sums'
            variances, apart from that of the curves.
        happened: With `by` and `happened`, what is to be added up.
        unit: The unit of what is compared.
    """

    def compared(by: Sequence[str]) -> pd.DataFrame:
        labels, where = numbered(rows, by)
        size = len(labels)
        value, slopes = fit.delta(lambda theta: np.bincount(where, expected(theta), size))
        spread = variance(where, size) + fit.standard_errors(slopes) ** 2
        found = happened.groupby(list(by))["happened"].sum() if by else happened["happened"].agg(["sum"])
        found = labels.join(found, on=list(by))["happened"].fillna(0.0) if by else found
        table = against(np.bincount(where, rows["n"], size), value, spread, found.to_numpy(float), fit.level)
        return pd.concat([labels, table], axis=1)

    units = {"n": "count", "expected": unit, "happened": unit, "error": "percent"}
    return Backtest(Table(compared(by), units), compared(()).iloc[0], fit.level)


def against(n: Array, expected: Array, variance: Array, happened: Array, level: float) -> pd.DataFrame:
    """Return a backtest's columns from expectations, their variances and what happened."""
    half = z_value(level) * np.sqrt(variance)
    ends = interval("expected", expected, np.maximum(expected - half, 0), expected + half)
    error = expected / np.where(happened > 0, happened, np.nan) - 1
    return pd.DataFrame({"n": n.astype("int64"), **ends, "happened": happened, "error": error})


def calibration(fit: Retention, stays: pd.DataFrame, by: Sequence[str] = ()) -> Backtest:
    """Compare how many were predicted to stay with how many did.

    Of n spells seen from `entry` on, n S(ripe) / S(entry) are expected, with a binomial variance.

    Args:
        fit: Curves fitted to what was known earlier.
        stays: Counts of spells observed from `entry` on, with `ripe` (the renewals that had passed by the
            last day).
    """
    rows = fit.known(stays[(stays["exit"] > stays["entry"]) & (stays["ripe"] > stays["entry"])])
    unlike, place = numbered(rows, fit.cells)
    cells = fit.place(unlike)
    entry, ripe = rows["entry"].to_numpy(dtype=int), rows["ripe"].to_numpy(dtype=int)
    n = rows["n"].to_numpy(dtype=float)

    def chance(theta: Array) -> Array:
        log_s = fit.log_survival(cells, int(ripe.max()), theta)
        return np.exp(log_s[place, ripe] - log_s[place, entry])

    share = chance(fit.estimate)
    happened = rows.assign(happened=n * (rows["event"].to_numpy(dtype=int) == 0))

    def variance(where: Array, size: int) -> Array:
        return np.bincount(where, n * share * (1 - share), size)

    found = backtest(fit, rows, by, lambda theta: n * chance(theta), variance, happened, "count")
    for table in (found.table.frame, found.total):
        table["expected_high"] = np.minimum(table["expected_high"], table["n"])
    return found


def calibration_by_group(fit: Retention, stays: pd.DataFrame) -> Backtest:
    """Compare as `calibration` does, by group and, where customers differ in it, by how many they held.

    `stays` has also `later` (whether it began after the day of the forecast) and `held` (how many
    subscriptions customers held on it), which names the rows below the groups'.
    """
    due = fit.known(stays[(stays["exit"] > stays["entry"]) & (stays["ripe"] > stays["entry"])])
    sizes = due.groupby(list(KEYS))[["n"]].sum().reset_index()
    small = due[[*KEYS]].merge(sizes.assign(small=few(sizes, "n")), how="left")["small"].to_numpy()
    named = due.assign(named=due["group"].mask(small, OTHER), length=due["interval"].mask(small, ""))
    whole = calibration(fit, named, ["named", "length"])
    table = whole.table.renamed(named="group", length="interval")
    whole, there = replace(whole, table=table), stays[~stays["later"]]
    if len(set(there["held"])) < 2:
        return whole
    rows = calibration(fit, there, ["held"]).table.frame.rename(columns={"held": "group"})
    rows = rows[~few(rows, "n")]
    both = pd.concat([whole.table.frame, rows.assign(interval="")], ignore_index=True)
    return replace(whole, table=Table(both, whole.table.units))


# --- intervals by resampling ---------------------------------------------------------------------


def bootstrap(
    stays: pd.DataFrame, fit: Retention, function: Callable[[Retention], Array], *, draws: int = 200
) -> Array:
    """Resample customers, with a fixed seed, fit the same model again and apply a function to the curves.

    Counts of like customers are multinomial, of as many customers in all. It checks the intervals of the
    likelihood. The values have a row for each sample that could be fitted; where fewer than half of the draws
    could, NotApplicable is raised.
    """
    rng, found, names = np.random.default_rng(0), [], list(fit.covariates)
    # An engine may hand the rows over in any order; the samples are the same.
    stays = stays.sort_values(list(stays.columns), ignore_index=True)
    n = stays["n"].to_numpy(dtype=np.int64)
    for _ in range(draws):
        sample = stays.assign(n=rng.multinomial(n.sum(), n / n.sum()))
        life = life_table(sample[sample["n"] > 0], fit.cells)
        try:
            again = fit_retention(life, fit.model, covariates=names, apart=fit.apart, start=fit)
            again = anchored(again, life, rivals=False)[0] if fit.seen else again
            found.append(np.atleast_1d(function(again)))
        except (NotApplicable, InputError):
            continue
    if len(found) < max(draws // 2, 2):
        raise NotApplicable(
            f"Only {len(found)} of {draws} resampled data sets could be fitted: too few customers churned."
        )
    return np.array(found)


def resampled_limits(value: float, draws: Array, level: float = 0.95) -> tuple[float, float]:
    """Return an interval from values of resampled data: the normal one on the logarithm, by their spread.

    A few dozen draws tell a spread well enough, but not the ends of a distribution.

    Example:
        >>> low, high = resampled_limits(100.0, np.array([90.0, 100.0, 110.0, 100.0]))
        >>> round(low), round(high)
        (85, 117)
    """
    good = draws[np.isfinite(draws) & (draws > 0)]
    if value <= 0 or len(good) < 2:
        return value, value
    half = np.exp(z_value(level) * float(np.log(good).std(ddof=1)))
    return value / half, value * half
