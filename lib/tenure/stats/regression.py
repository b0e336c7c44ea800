"""Which characteristics are associated with leaving: proportional hazards on counts, in grouped time.

The input is a small table of counts: a row for each combination of covariates, `entry`, `exit` and `event`,
with the number `n` of such subscribers.

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
when events are only known by the period. statsmodels' GLM maximizes it, with a column for each period and a
row for each period and combination: 30 levels in 36 periods take it 14 s and 900 MB. Here the baseline of
each period is solved for by itself (`tenure.stats.grouped`), which takes a second; `tests/stats` holds it to
the GLM's estimates and standard errors, and shows where Cox's differ.

`level` is the level of intervals, and `period` the unit of a period of life: "day", "week" or "month".

A table or an option that is not as it should be raises InputError.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import pandas as pd
from scipy import special

from tenure.errors import InputError, NotApplicable
from tenure.result import NAN, Estimate, Table, from_row
from tenure.stats import grouped
from tenure.stats.lifetable import (
    Array,
    check_level,
    check_period,
    chi2_p,
    holm,
    numbers,
    spelled,
    z_value,
)

_TABLE = "table of counts"
_COUNTS = ("entry", "exit", "event", "n")
# The suffixes of an estimate and its interval, and the sign of the distance from the estimate.
_ENDS = {"": 0, "_low": -1, "_high": 1}
_KEYS = ["covariate", "level"]

Transform = Literal["km", "identity"]


@dataclass(frozen=True, eq=False)
class HazardRatios:
    """Hazard ratios of proportional hazards in grouped time.

    Attributes:
        table: A row for each level of a covariate, or for a number: `covariate`, `level` (empty for a
            number), `reference`, `n`, `events`, `coefficient`, `standard_error`, `hazard_ratio` with its
            interval (1 for the reference), `z`, `p`. NaN where it cannot be estimated, as `notes` explain.
        n: Subscribers.
        events: Those who left.
        asked: Reference levels, strata, `period` and `level`, as asked for.
        notes: What a reader should know, in sentences.
        covariance: Covariance of the estimated coefficients, in the order of `table`.
        log_likelihood: The log-likelihood, up to a constant; `log_likelihood_null` with all hazard ratios 1.
        chi2: The likelihood ratio statistic, with `df` degrees of freedom and the p-value `p`.
        empty: Why there is nothing to compare; empty where there is.
    """

    table: Table
    n: int
    events: int
    asked: _Asked
    notes: tuple[str, ...]
    covariance: Array
    log_likelihood: float = NAN
    log_likelihood_null: float = NAN
    chi2: float = NAN
    df: int = 0
    p: float = NAN
    empty: str = ""
    _sets: list[grouped.Stratum] = field(default_factory=list, repr=False)
    _columns: list[_Column] = field(default_factory=list, repr=False)
    _frame: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)

    def strongest(self) -> Estimate:
        """Return the hazard ratio furthest from 1 of those whose interval excludes 1.

        Its words are name (of the characteristic), kind (its level), reference and period; its case is
        "clear", "clear number" (for one unit of a number), "none clear" or "nothing to compare".
        """
        nothing = Estimate(NAN, unit="ratio", level=self.asked.level, words={"period": self.asked.period})
        if self.empty:
            return nothing.saying("nothing to compare", reason=self.empty)
        rows = self.table.frame
        clear = rows[(rows["hazard_ratio_low"] > 1) | (rows["hazard_ratio_high"] < 1)]
        if clear.empty:
            return nothing.saying("none clear")
        top = clear.iloc[int(clear["coefficient"].abs().to_numpy().argmax())]
        against = rows.loc[rows["reference"] & (rows["covariate"] == top["covariate"]), "level"]
        about = {"of": "customer", "unit": "ratio", "level": self.asked.level}
        found = from_row(top, "hazard_ratio", n=int(top["n"]), **about)
        words = {"kind": top["level"], "reference": next(iter(against), ""), "period": self.asked.period}
        return found.saying("clear" if top["level"] else "clear number", name=top["covariate"], **words)

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
            transform: The scale g of time: "km", 1 - S(t-) of everybody together, or "identity".

        Returns:
            A row for each covariate and one for "all together": `covariate`, `chi2`, `df`, `p`, `p_adjusted`
            (Holm, over the covariates).
        """
        units = {"chi2": "number", "p": "p", "p_adjusted": "p"}
        columns = ["covariate", "chi2", "df", "p", "p_adjusted"]
        if self.empty:
            return Table(pd.DataFrame(columns=columns), units, (self.empty,))
        times = np.concatenate([part.times for part in self._sets])
        events = np.concatenate([part.events.sum(axis=1) for part in self._sets])
        g = _time_scale(self._frame, times, events, transform)
        g = g - np.average(g, weights=events)
        named = pd.DataFrame([(column.covariate, column.level) for column in self._columns], columns=_KEYS)
        beta = named.merge(self.table.frame, on=_KEYS, how="left")["coefficient"].to_numpy(float)
        finite = ~np.isnan(beta)
        scores, informations = [], []
        for part in self._sets:
            _, score, weight, taken = grouped.profile(part, np.nan_to_num(beta))
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

        Their adjusted p-value in `proportionality` is below 1 less the intervals' level.
        """
        drift = self.proportionality().frame.iloc[:-1]
        names = drift.loc[drift["p_adjusted"] < 1 - self.asked.level, "covariate"]
        if names.empty:
            return Table(pd.DataFrame(columns=_KEYS))
        try:
            both = self.split()
        except (InputError, NotApplicable) as why:
            return Table(pd.DataFrame(columns=_KEYS), notes=(str(why),))
        columns = [*_KEYS, *(time + end for time in ("early", "late") for end in _ENDS)]
        return both.pipe(lambda rows: rows.loc[rows["covariate"].isin(names), columns].reset_index(drop=True))

    def split(self, at: float | None = None) -> Table:
        """Estimate hazard ratios up to a period of life and after it.

        Everybody is observed up to `at` in the early fit; those still there enter the late one at `at`. Since
        no risk set lies in both, the two fits are independent, and together they are the regression with
        every covariate's effect changing at `at` (Therneau and Grambsch 2000). The ratio is
        exp(b_late - b_early), with Wald's interval and test from the standard error
        sqrt(se_early^2 + se_late^2). The reference level is the one asked for, else the most common with
        events in both parts.

        Args:
            at: The last early period; None: the period by which half of those who left had left.

        Returns:
            A row for each level or number: `covariate`, `level`, `early` and `late` (hazard ratios) and
            `ratio` (late over early), each with its interval, `p` (of no change), `p_adjusted` (Holm).

        Raises:
            NotApplicable: There is nothing to compare.
            InputError: Nobody left up to `at` or after it, or no level of a covariate has events in both.

        Example:
            >>> rows = pd.DataFrame(dict(plan=["A"] * 3 + ["B"] * 3, exit=[1, 2, 2] * 2, event=[1, 1, 0] * 2,
            ...                          n=[10, 9, 81, 30, 7, 63]))
            >>> parts = hazard_ratios(rows, ["plan"]).split(at=1).frame
            >>> parts[["level", "early", "late", "ratio"]].round(3).values.tolist()
            [['B', 3.385, 1.0, 0.295]]
        """
        frame, asked = self._frame, self.asked
        left = frame[frame["_event"] == 1].sort_values("_exit", kind="stable")
        if left.empty:
            raise NotApplicable(self.empty)
        if at is None:
            share = left["_n"].cumsum() / left["_n"].sum()
            half, last = left.loc[share >= 0.5, "_exit"].iloc[0], left["_exit"].max()
            before = left.loc[left["_exit"] < last, "_exit"]
            at = float(before.max() if half == last and len(before) else half)
        if not (left["_exit"] <= at).any() or not (left["_exit"] > at).any():
            raise InputError(
                f"`at` is {at:g}, but people left only from {left['_exit'].min():g} to "
                f"{left['_exit'].max():g}: somebody must have left both up to it and after it."
            )
        early, late = frame[frame["_entry"] < at], frame[frame["_exit"] > at]
        early = early.assign(
            _event=early["_event"].where(early["_exit"] <= at, 0), _exit=early["_exit"].clip(upper=at)
        )
        late = late.assign(_entry=late["_entry"].clip(lower=at))

        reference = dict(asked.reference)
        covariates = list(dict.fromkeys(self.table.frame["covariate"]))
        for covariate in covariates:
            if _is_number(frame[covariate]) or covariate in reference:
                continue
            parts = [_level_counts(part, covariate) for part in (early, late)]
            both = parts[0].join(parts[1], rsuffix="_late", how="inner")
            both = both[(both["events"] > 0) & (both["events_late"] > 0)]
            if both.empty:
                raise InputError(
                    f"No level of {covariate} has people who left both up to period {at:g} and after it: "
                    "choose another `at`, or leave it out."
                )
            reference[covariate] = str(both.index[0] if _is_ordered(frame[covariate]) else both["n"].idxmax())
        fits = [_fit(part, covariates, replace(asked, reference=reference)) for part in (early, late)]

        shown = [fit.table.frame.loc[~fit.table.frame["reference"]].set_index(_KEYS) for fit in fits]
        rows = pd.concat([part.reset_index()[_KEYS] for part in shown]).drop_duplicates()
        rows = rows.sort_values("covariate", key=lambda names: names.map(covariates.index), kind="stable")
        now, then = (part.reindex(pd.MultiIndex.from_frame(rows)) for part in shown)
        names, result = ("early", "late"), pd.DataFrame(index=now.index)
        for name, part in zip(names, (now, then), strict=True):
            result[[f"{name}{end}" for end in _ENDS]] = part[[f"hazard_ratio{end}" for end in _ENDS]]
        change = then["coefficient"] - now["coefficient"]
        error = np.hypot(now["standard_error"], then["standard_error"])
        for end, sign in _ENDS.items():
            result[f"ratio{end}"] = np.exp(change + sign * z_value(asked.level) * error)
        result["p"] = 2 * special.ndtr(-(change / error).abs().to_numpy())
        result["p_adjusted"] = holm(result["p"].to_numpy())
        units = dict.fromkeys(("early", "late", "ratio"), "ratio") | {"p": "p", "p_adjusted": "p"}
        notes = [f"Early is up to {asked.period} {at:g}."]
        for name, fit in zip(names, fits, strict=True):
            notes += [f"{name[:1].upper()}{name[1:]}: {note}" for note in fit.notes]
        return Table(result.reset_index(), units, tuple(notes))


@dataclass(frozen=True)
class _Asked:
    """What a fit was asked for."""

    reference: Mapping[str, str]
    strata: tuple[str, ...]
    period: str
    level: float


@dataclass(frozen=True, eq=False)
class _Column:
    """A column of the design: a level of a covariate against the reference, or a number."""

    covariate: str
    level: str
    x: Array

    @property
    def name(self) -> str:
        return f"{self.covariate} {self.level}".strip()


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
    the others tend. The same goes for what adds nothing to the covariates before it, or has one
    level only.

    Args:
        covariates: Columns to compare; None: all but those of the counts and strata.
        reference: Reference levels, as {covariate: level}.
        strata: Columns whose values have baselines of their own, for those that fail `proportionality`.

    Returns:
        Hazard ratios with intervals, tests and likelihoods; `empty` where nobody left, or no covariate has
        two levels to compare.

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
    how = _Asked(asked, strata, period, level)
    try:
        return _fit(frame, covariates, how)
    except NotApplicable as why:
        columns = [*_KEYS, "reference", "n", "events", *(f"hazard_ratio{end}" for end in _ENDS)]
        table = Table(pd.DataFrame(columns=columns), {}, (str(why),))
        n, events = int(frame["_n"].sum()), int((frame["_n"] * frame["_event"]).sum())
        return HazardRatios(table, n, events, how, (str(why),), np.empty((0, 0)), empty=str(why))


def _fit(frame: pd.DataFrame, covariates: list[str], asked: _Asked) -> HazardRatios:
    if not covariates:
        raise NotApplicable("No characteristic of customers has two values, so nothing can be compared.")
    if not (frame["_n"] * frame["_event"]).sum():
        raise NotApplicable("Nobody left in these data, so there is nothing to compare.")
    notes: list[str] = []
    rows: list[dict[str, object]] = []
    kept = np.ones(len(frame), dtype=bool)
    levels = {c: _level_counts(frame, c) for c in covariates if not _is_number(frame[c])}
    references = {c: _reference_level(frame, c, levels[c], asked.reference.get(c), notes) for c in levels}
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
        for name, counted in levels[covariate].iterrows():
            is_reference = name == references[covariate]
            rows.append({"covariate": covariate, "level": name, "reference": is_reference, **counted})
            if not is_reference and counted["events"] > 0:
                columns.append(_Column(covariate, str(name), (text == name).astype(float)))
    if not columns:
        raise NotApplicable(
            f"No characteristic ({spelled(covariates)}) has two values with customers who left, so nothing "
            "can be compared."
        )

    weight = used["_n"].to_numpy(dtype=float)
    x = np.column_stack([column.x for column in columns])
    mean = np.average(x, axis=0, weights=weight)
    spread = np.sqrt(np.average((x - mean) ** 2, axis=0, weights=weight))
    spread[spread == 0] = 1.0
    sets = grouped.risk_sets(used, covariates, (x - mean) / spread, asked.strata)
    chosen = grouped.independent(grouped.total(sets, np.zeros(len(columns)))[2])
    for place in np.flatnonzero(~chosen):
        if len(levels.get(columns[place].covariate, (0, 0))) > 1:
            name = columns[place].name
            notes.append(f"{name}: it does not vary, or follows from the characteristics before it.")
    if not chosen.any():
        raise NotApplicable(f"No characteristic ({spelled(covariates)}) varies among those at risk together.")
    sets = [replace(part, x=part.x[:, chosen]) for part in sets]
    columns, scale = [columns[place] for place in np.flatnonzero(chosen)], spread[chosen]

    log_likelihood_null = grouped.total(sets, np.zeros(len(columns)))[0]
    beta, finite, log_likelihood = grouped.scoring(sets, len(columns))
    notes += [
        f"{columns[place].name}: it tells exactly who left first, so it has no finite hazard ratio."
        for place in np.flatnonzero(~finite)
    ]
    information = grouped.total(sets, beta)[2]
    covariance = np.full_like(information, np.nan)
    covariance[np.ix_(finite, finite)] = np.linalg.inv(information[np.ix_(finite, finite)])
    covariance = covariance / np.outer(scale, scale)
    coefficient = np.where(finite, beta / scale, np.nan)
    table = _coefficient_table(rows, columns, coefficient, np.sqrt(np.diag(covariance)), asked.level)
    chi2 = 2 * (log_likelihood - log_likelihood_null)
    units = {"hazard_ratio": "ratio", "n": "count", "events": "count", "p": "p"}
    return HazardRatios(
        Table(table, units, tuple(notes)),
        int(total["n"]), int(total["events"]), asked, tuple(notes), covariance,
        log_likelihood, log_likelihood_null, chi2, len(columns), chi2_p(chi2, len(columns)),
        _sets=[replace(part, x=part.x * scale) for part in sets], _columns=columns, _frame=used,
    )  # fmt: skip


def _coefficient_table(
    rows: list[dict[str, object]], columns: list[_Column], coefficient: Array, error: Array, level: float
) -> pd.DataFrame:
    estimates = pd.DataFrame([(column.covariate, column.level) for column in columns], columns=_KEYS)
    estimates = estimates.assign(coefficient=coefficient, standard_error=error)
    table = pd.DataFrame(rows).merge(estimates, on=_KEYS, how="left")
    table.loc[table["reference"].astype(bool), "coefficient"] = 0.0
    half = z_value(level) * table["standard_error"]
    with np.errstate(over="ignore"):
        for end, sign in _ENDS.items():
            table[f"hazard_ratio{end}"] = np.exp(table["coefficient"] + (sign * half if sign else 0))
    table["z"] = table["coefficient"] / table["standard_error"]
    table["p"] = 2 * special.ndtr(-table["z"].abs().to_numpy())
    return table.astype({"n": "int64", "events": "int64", "reference": bool})


def _time_scale(used: pd.DataFrame, times: Array, events: Array, transform: str) -> Array:
    if transform == "identity":
        return times
    if transform != "km":
        raise InputError(f"`transform` must be km or identity; it is {transform!r}.")
    unique, place = np.unique(times, return_inverse=True)
    n, start, end = (used[c].to_numpy(dtype=float) for c in ("_n", "_entry", "_exit"))
    at_risk = np.array([n[(start < t) & (end >= t)].sum() for t in unique])
    after = np.cumprod(1 - np.bincount(place, weights=events) / at_risk)
    return (1 - np.r_[1.0, after[:-1]])[place]


def _read(counts: pd.DataFrame, covariates: Sequence[str], strata: Sequence[str]) -> pd.DataFrame:
    """The columns that are used, checked, with equal rows added up; `_`-names cannot clash."""
    wanted = [*covariates, *strata]
    if len(set(wanted)) < len(wanted):
        raise InputError(
            f"`covariates` and `strata` must name each column once; they are {list(covariates)!r} "
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
    frame["_entry"] = numbers(counts, "entry", table=_TABLE) if "entry" in counts.columns else 0.0
    frame["_exit"] = numbers(counts, "exit", table=_TABLE)
    frame["_event"] = numbers(counts, "event", smallest=0, table=_TABLE)
    frame["_n"] = numbers(counts, "n", smallest=0, table=_TABLE) if "n" in counts.columns else 1
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
