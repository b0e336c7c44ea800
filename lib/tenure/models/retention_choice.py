"""Which retention curve, which characteristics, and how well they predict: contests, backtests, resampling.

`stays`, `life` and `fit` are as in `tenure.models.retention` and `tenure.models.renewals`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tenure.errors import InputError, NotApplicable
from tenure.models.renewals import KEYS, Terms, interval_years, life_table, numbered
from tenure.models.retention import MODELS, Cells, Retention, binomial, fit_retention
from tenure.result import Estimate, Table, from_ends
from tenure.stats.lifetable import Array, chi2_p, validate, z_value
from tenure.stats.lifetime import discount_weights, residual_lifetime
from tenure.stats.survival import kaplan_meier

_COUNTS = ["at_risk", "events", "censored", "entered"]


@dataclass(frozen=True, eq=False)
class Contest:
    """How well models predicted counts that they were not fitted to.

    Attributes:
        table: A row a model that could be fitted, the best score first: `model` (in words), `score` (the
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


def compare_models(
    train: pd.DataFrame,
    test: pd.DataFrame,
    *,
    models: Sequence[str] = tuple(MODELS),
    covariates: Sequence[str] = (),
) -> Contest:
    """Fit each model to some counts, and ask how well it predicted others.

    The counts of `test` are those of held-out cohorts, or what happened to everybody after the last day of
    `train`. A model's score is the log-likelihood of who left and who stayed: it rewards chances that were
    right, neither too bold nor too timid.

    One model is chosen. Of those that the test cannot tell from the best (their lag is within 1.96 of its
    standard errors; Vuong 1989), one with a separate involuntary hazard is preferred, because failures
    strike everybody alike and go on for ever, while choice sorts the inclined to leave out: models that
    agree in what was observed differ in the tail. After that, fewer parameters are preferred.

    Args:
        train: A life table to fit to.
        test: A life table of other customers or of a later time, with the same columns.
        models: The models to try; each with failed payments together and, where causes are known, separate.
        covariates: Characteristics, as columns of both tables.

    Raises:
        NotApplicable: No model could be fitted.
    """
    rows, chances, reason, n = [], [], "", np.zeros(0)
    for apart in [False, True] if _causes_known(train) else [False]:
        for model in models:
            try:
                fit = fit_retention(train, model, covariates=covariates, apart=apart)
            except NotApplicable as why:
                reason = str(why)
                continue
            known = fit.known(test)
            cells, place = numbered(known, fit.cells)
            rates = -np.diff(fit.log_survival(cells, int(known["period"].max())), axis=1)
            rate = rates[place, known["period"].to_numpy(dtype=int) - 1]
            n, left = known["at_risk"].to_numpy(dtype=float), known["events"].to_numpy(dtype=float)
            score = float(binomial(rate, left, n - left)[0].sum())
            expected = float(-np.expm1(-rate) @ n)
            rows.append((model, apart, fit.label, score, expected, left.sum(), len(fit.estimate)))
            chances.append(rate)
    if not rows:
        raise NotApplicable(reason)
    names = ["name", "apart", "model", "score", "expected", "left", "parameters"]
    table = pd.DataFrame(rows, columns=names)
    best = chances[int(np.argmax(table["score"].to_numpy()))]
    table["lag"] = table["score"].max() - table["score"]
    table["lag_error"] = [_score_error(rate, best, n) for rate in chances]
    table["error"] = table["expected"] / table["left"].where(table["left"] > 0) - 1
    table["close"] = table["lag"] <= 1.96 * table["lag_error"] + 1e-9
    close = table[table["close"]].sort_values(["apart", "parameters", "lag"], ascending=[False, True, True])
    table["chosen"] = table.index == close.index[0]
    columns = ["model", "score", "lag", "lag_error", "expected", "left", "error", "close", "chosen"]
    units = dict.fromkeys(("score", "lag", "lag_error"), "number")
    units |= {"expected": "count", "left": "count", "error": "percent"}
    return Contest(
        Table(table.sort_values("score", ascending=False, ignore_index=True)[columns], units),
        str(close["name"].iloc[0]),
        bool(close["apart"].iloc[0]),
    )


@dataclass(frozen=True, eq=False)
class Choice:
    """The curves that were chosen, and what spoke for them.

    Attributes:
        fit: The curves, fitted to all that is known.
        past: The same model, fitted to what was known on an earlier day; None: there is no such day.
        contest: How well models predicted what came after that day; None likewise.
        life: The life table of `fit`.
        notes: What a reader should know, in sentences.
    """

    fit: Retention
    past: Retention | None
    contest: Contest | None
    life: pd.DataFrame
    notes: tuple[str, ...]

    def others(self) -> list[Retention]:
        """Other curves than the chosen ones, fitted to the same counts."""
        chosen, found, names = (self.fit.model, self.fit.apart), [], list(self.fit.covariates)
        tried = [
            ("bdw", chosen[1]),
            ("geometric", chosen[1]),
            ("sbg", False),
            ("sbg", _causes_known(self.life)),
        ]
        for model, apart in dict.fromkeys(other for other in tried if other != chosen):
            try:
                found.append(fit_retention(self.life, model, covariates=names, apart=apart))
            except NotApplicable:
                continue
        return found


def choose_fit(
    stays: pd.DataFrame,
    covariates: Sequence[str] = (),
    *,
    before: pd.DataFrame | None = None,
    after: pd.DataFrame | None = None,
) -> Choice:
    """Choose a model by what it would have predicted, and fit it to all that is known.

    Args:
        stays: Counts of stays.
        covariates: Characteristics, as columns of the counts.
        before: Counts as they were known on an earlier day; None: then the likeliest model is taken.
        after: What happened after that day.

    Raises:
        NotApplicable: No model could be fitted.
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
    return Choice(fit, past, contest, life, (*(() if contest else (why,)), *fit.notes))


def _causes_known(life: pd.DataFrame) -> bool:
    return "involuntary" in life and bool(0 < life["involuntary"].sum() < life["events"].sum())


def _score_error(rate: Array, best: Array, n: Array) -> float:
    """The standard error of the difference of two scores, at the mean of both chances to leave."""
    h, g = -np.expm1(-np.maximum(rate, 1e-300)), -np.expm1(-np.maximum(best, 1e-300))
    middle = (h + g) / 2
    return float(np.sqrt((n * middle * (1 - middle) * (np.log(h / g) + (rate - best)) ** 2).sum()))


def likeliest_model(
    life: pd.DataFrame, *, models: Sequence[str] = tuple(MODELS), covariates: Sequence[str] = ()
) -> tuple[str, bool]:
    """Choose a model where there is no later time to judge it by: the least Bayesian information criterion.

    Returns:
        The model, and whether failed payments are separate: wherever causes are known.

    Raises:
        NotApplicable: No model could be fitted.
    """
    known, found, reason = _causes_known(life), [], ""
    for model in models:
        try:
            fit = fit_retention(life, model, covariates=covariates, apart=known)
        except NotApplicable as why:
            reason = str(why)
            continue
        penalty = np.log(max(life["events"].sum(), 2)) * len(fit.estimate)
        found.append((penalty - 2 * fit.log_likelihood, model))
    if not found:
        raise NotApplicable(reason)
    return min(found)[1], known


def choose_covariates(stays: pd.DataFrame, *, model: str = "sbg", most: int = 3) -> tuple[list[str], Table]:
    """Choose the characteristics that tell who stays longer, by the Bayesian information criterion.

    Each is tried alone beside the groups, with the same groups in all: twice the gain in log-likelihood is
    compared with the number of levels less one times the logarithm of the number of churned customers
    (Volinsky and Raftery 2000). So a characteristic that only looks useful by chance is left out.

    Args:
        stays: Counts of stays by each characteristic in turn (name and level), as
            `tenure.measures.value.split_counts` gives them.
        model: The model of choice.
        most: At most so many are chosen.

    Returns:
        The chosen ones, the strongest first, and a row for each tried: `covariate`, `levels`, `chi2`, `p`,
        `gain` (by the criterion; chosen if above 0), `chosen`.
    """
    rows, alone = [], None
    for name, part in stays.groupby("name"):
        life = life_table(part, [*KEYS, "level"])
        try:
            if alone is None:
                alone = fit_retention(life.groupby([*KEYS, "period"], as_index=False)[_COUNTS].sum(), model)
            own = life[[*KEYS, "level", "period", *_COUNTS]]
            fit = fit_retention(own, model, covariates=["level"], start=alone)
        except NotApplicable:
            continue
        freedom = len(fit.covariates["level"]) - 1
        chi2 = max(2 * (fit.log_likelihood - alone.log_likelihood), 0.0)
        gain = chi2 - freedom * np.log(max(life["events"].sum(), 1))
        rows.append((name, freedom + 1, chi2, chi2_p(chi2, freedom), gain))
    table = pd.DataFrame(rows, columns=["covariate", "levels", "chi2", "p", "gain"])
    table = table.sort_values(["gain", "covariate"], ascending=[False, True], ignore_index=True)
    table["chosen"] = (table["gain"] > 0) & (np.arange(len(table)) < most)
    units = {"levels": "count", "chi2": "number", "p": "p", "gain": "number"}
    return list(table.loc[table["chosen"], "covariate"]), Table(table, units)


# --- what was observed, and what is predicted -----------------------------------------------------------


def projection(fit: Retention, stays: pd.DataFrame, *, months: int = 0) -> Table:
    """Put what was observed beside what the curves predict, by group, over months since the start.

    Args:
        fit: Retention curves.
        stays: The counts of stays that they were fitted to.
        months: How far to look; 0: twice as far as was observed, three years at least.

    Returns:
        A row for each group and renewal: `group` (with the interval, where a group has several), `month`,
        `fitted` (the mean of its customers' curves), and `seen`, `seen_low`, `seen_high` (Kaplan and
        Meier's; NaN beyond what was observed).
    """
    rows, months = [], months or max(2 * int(fit.groups["last_period"].max()), 36)
    several = fit.groups["group"].duplicated(keep=False)
    for key, twice in zip(fit.groups[list(KEYS)].to_dict("records"), several, strict=True):
        mine = stays[(stays["group"] == key["group"]) & (stays["interval"] == key["interval"])]
        length = interval_years(key["interval"]) * 12
        periods = max(int(np.floor(months / length + 1e-9)), 1)
        starts = mine[mine["entry"] == 0] if (mine["entry"] == 0).any() else mine
        cells, place = numbered(starts, fit.cells)
        weight = np.bincount(place, starts["n"].to_numpy(dtype=float))
        table = pd.DataFrame({"month": np.arange(periods + 1) * length})
        table["fitted"] = weight / weight.sum() @ fit.curves(cells, periods)
        life = life_table(mine, KEYS).drop(columns=list(KEYS))
        seen = kaplan_meier(life, level=fit.level).table.frame.set_index("period").reindex(range(periods + 1))
        table[["seen", "seen_low", "seen_high"]] = seen[
            ["survival", "survival_low", "survival_high"]
        ].to_numpy()
        table.insert(0, "group", f"{key['group']}, {key['interval']}" if twice else key["group"])
        rows.append(table)
    return Table(
        pd.concat(rows, ignore_index=True), {"month": "months", "fitted": "percent", "seen": "percent"}
    )


def lifetimes(fit: Retention, stays: pd.DataFrame, terms: Terms, *, renewals: Sequence[int]) -> Table:
    """Estimate discounted expected residual lifetimes (DERL) of groups, as customers get older.

    A group is the mixture of its customers' curves, weighted by who began; those inclined to leave drop out
    of it, so that the lifetime to expect grows.

    Args:
        fit: Retention curves.
        stays: The counts of stays that they were fitted to.
        terms: Discount rate and years.
        renewals: The renewals that customers are about to decide on, from 1 up.

    Returns:
        A row a group and renewal: the keys, `renewal`, `n` (customers who began), `value`, `value_low`,
        `value_high` (payments to expect from that renewal on; see `stats.lifetime.residual_lifetime`).
    """
    tables, rows = [], fit.known(stays)
    for key, part in rows.groupby(list(fit.keys)):
        named = dict(zip(fit.keys, map(str, key), strict=True))
        labels, place = numbered(part, fit.cells)
        weight, cells = np.bincount(place, part["n"].to_numpy(dtype=float)), fit.place(labels)
        size, rate = terms.periods(named["interval"]) + max(renewals), terms.rate(named["interval"])

        def expected(theta: Array, weight=weight, cells=cells, size=size, rate=rate) -> Array:  # type: ignore[no-untyped-def]
            curve = weight / weight.sum() @ np.exp(fit.log_survival(cells, size, theta))
            return residual_lifetime(curve, rate)[np.array(renewals) - 1]

        value, slopes = fit.delta(expected)
        half = np.exp(z_value(fit.level) * fit.standard_errors(slopes) / value)
        table = pd.DataFrame({**named, "renewal": list(renewals), "n": int(weight.sum()), "value": value})
        tables.append(table.assign(value_low=value / half, value_high=value * half))
    return Table(pd.concat(tables, ignore_index=True), {"value": "number", "n": "count"})


@dataclass(frozen=True, eq=False)
class Backtest:
    """What curves predicted, beside what happened.

    Attributes:
        table: A row each of the columns it is reported by: those, `n` (customers), `expected`,
            `expected_low`, `expected_high` (where it should lie, by chance and by the uncertainty of the
            curves), `happened` and `error` (expected / happened - 1).
        total: One row of all.
        unit: The unit of what is compared.
        level: Level of the ranges.
    """

    table: Table
    total: pd.Series
    unit: str
    level: float

    @property
    def error(self) -> Estimate:
        """How far the prediction was off: above 0, too high; its case is "high" or "low"."""
        row, happened = self.total, float(self.total["happened"])
        off = (
            [float(row[f"expected{end}"]) / happened - 1 for end in ("", "_low", "_high")]
            if happened > 0
            else [np.nan] * 3
        )
        return from_ends(
            off,
            n=int(row["n"]),
            of="customer",
            unit="percent",
            level=self.level,
            case="low" if off[0] < 0 else "high",
        )


def calibration(fit: Retention, stays: pd.DataFrame, by: Sequence[str] = ()) -> Backtest:
    """Compare how many were predicted to stay with how many did.

    Args:
        fit: Curves fitted to what was known earlier.
        stays: Counts of stays observed from `entry` on, with `ripe` (the renewals that had passed by the
            last day).
        by: Columns of `stays` to report by.
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
    stayed = n * (rows["event"].to_numpy(dtype=int) == 0)

    def compared(by: Sequence[str]) -> pd.DataFrame:
        labels, where = numbered(rows, by)
        size = len(labels)
        expected, slopes = fit.delta(lambda theta: np.bincount(where, n * chance(theta), size))
        variance = np.bincount(where, n * share * (1 - share), size) + fit.standard_errors(slopes) ** 2
        table = against(
            np.bincount(where, n, size), expected, variance, np.bincount(where, stayed, size), fit.level
        )
        table["expected_high"] = np.minimum(table["expected_high"], table["n"])
        return pd.concat([labels, table], axis=1)

    units = {"n": "count", "expected": "count", "happened": "count", "error": "percent"}
    return Backtest(Table(compared(by), units), compared(()).iloc[0], "count", fit.level)


def against(n: Array, expected: Array, variance: Array, happened: Array, level: float) -> pd.DataFrame:
    """Lay out a backtest's columns from expectations, their variances and what happened."""
    half = z_value(level) * np.sqrt(variance)
    return pd.DataFrame(
        {
            "n": n.astype("int64"),
            "expected": expected,
            "expected_low": np.maximum(expected - half, 0),
            "expected_high": expected + half,
            "happened": happened,
            "error": expected / np.where(happened > 0, happened, np.nan) - 1,
        }
    )


# --- intervals by resampling, and without a model ------------------------------------------------------


def bootstrap(
    stays: pd.DataFrame,
    fit: Retention,
    function: Callable[[Retention], Array],
    *,
    draws: int = 200,
    seed: int = 0,
) -> Array:
    """Resample customers, fit again and apply a function: a check on the intervals of the likelihood.

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
        life = life_table(sample[sample["n"] > 0], fit.cells)
        try:
            again = fit_retention(
                life, fit.model, covariates=list(fit.covariates), apart=fit.apart, keys=fit.keys, start=fit
            )
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


def semi_parametric(life: pd.DataFrame, fit: Retention, terms: Terms, *, smallest: int = 30) -> Table:
    """Estimate discounted lifetimes from Kaplan and Meier's curves, continued by the fitted ones.

    As far as at least `smallest` customers were at risk, the observed curve is taken as it is; beyond, the
    fitted one is attached to its end. So the model matters only for the tail, whose share is given.

    Args:
        life: The life table by group, without characteristics.
        fit: Curves fitted to it, without characteristics.
        terms: Discount rate and years.
        smallest: The fewest at risk for which the observed curve is used.

    Returns:
        A row a group: the keys, `value`, `value_low`, `value_high` (discounted lifetime of a new customer, in
        payments), `tail` (the share of it that lies beyond what was observed), `tail_from` (the first renewal
        that is predicted), and `model` (the same lifetime by the fitted curve alone).

    Raises:
        InputError: `fit` has characteristics.
    """
    if fit.covariates:
        raise InputError("The semi-parametric curve is made by group: fit without covariates for it.")
    rows = []
    for key in fit.groups[list(fit.keys)].to_dict("records"):
        mine = np.logical_and.reduce([life[name].astype(str) == value for name, value in key.items()])
        counts = validate(life.loc[mine, ["period", *_COUNTS]])
        size, cells = terms.periods(key["interval"]), fit.place(pd.DataFrame([key]))
        enough = counts.at_risk[0] >= smallest
        until = min(len(enough) if enough.all() else int(np.argmin(enough)), size)
        n, d = counts.at_risk[0, :until], counts.events[0, :until]
        hazard, weight = d / n, discount_weights(size + 1, terms.rate(key["interval"]))
        seen = np.r_[0.0, np.cumsum(np.log1p(-np.minimum(hazard, 1 - 1e-12)))]

        def curve(theta: Array | None, cells: Cells = cells, seen: Array = seen, size: int = size) -> Array:
            """S that is known up to the end of `seen`, and fitted from there on."""
            log_s, known = fit.log_survival(cells, size, theta)[0], len(seen)
            return np.exp(np.r_[seen, seen[-1] + log_s[known:] - log_s[known - 1]])

        value, slopes = fit.delta(lambda theta, weight=weight, curve=curve: curve(theta) @ weight)  # type: ignore[misc]
        later = (curve(None) * weight)[::-1].cumsum()[::-1]
        # dS(j)/dh(k) = -S(j) / (1 - h(k)) for j >= k.
        by_hazard = -later[1 : until + 1] / np.maximum(1 - hazard, 1e-12)
        variance = fit.standard_errors(slopes)[0] ** 2 + (by_hazard**2 * hazard * (1 - hazard) / n).sum()
        half = np.exp(z_value(fit.level) * np.sqrt(variance) / value[0])
        tail = later[until + 1] / value[0] if until < size else 0.0
        alone = float(fit.curves(cells, size)[0] @ weight)
        rows.append((*key.values(), value[0], value[0] / half, value[0] * half, tail, until + 1, alone))
    columns = [*fit.keys, "value", "value_low", "value_high", "tail", "tail_from", "model"]
    units = {"value": "number", "tail": "percent", "tail_from": "count", "model": "number"}
    return Table(pd.DataFrame(rows, columns=columns), units)
