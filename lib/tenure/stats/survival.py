"""How long subscribers stay: survival curves, their comparison and their mean, from a life table of counts.

The life table is described in `tenure.stats.lifetable`. With d events among n at risk in period k, the
survival curve S(k) estimates P(T > k), the share that stays for more than k periods.

Curves come from lifelines' Kaplan-Meier fitter, which a result hands over. It takes the life table as it is:
its counts are weights, and late entrants weigh minus one until they enter, so that the fitter's numbers at
risk are right too (lifelines' own `entry` counts a late entrant at risk a period too early). Closed forms
are kept where lifelines has none or is wrong on counts: it knows no limit where S is still 1 or has come to
0, its log-rank test knows no late entry, and its variance of the restricted mean is that of one subscriber.
`tests/stats` shows each.

`level` is the level of intervals, which hold for a period each and are no band for a whole curve. `period` is
the unit of a period of life: "day", "week" or "month". A `horizon` is a number of whole periods.

A life table or an option that is not as it should be raises InputError.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import special

from tenure.errors import InputError
from tenure.result import NAN, Estimate, Table, counted, from_row, interval
from tenure.stats.lifetable import (
    A_YEAR,
    Array,
    Counts,
    check_horizon,
    check_level,
    check_period,
    greenwood,
    group_table,
    holm,
    known_ends,
    long_table,
    product_limit,
    ratio,
    spelled,
    validate,
    z_value,
)

if TYPE_CHECKING:
    from lifelines import KaplanMeierFitter, NelsonAalenFitter

_ROUNDING = 1e-10


# --- survival curves ----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Curve:
    """The survival curve of one group.

    Attributes:
        name: The group.
        rows: A row for each period start, ..., last: `period`, `at_risk`, `events`, `censored`, `survival`
            with its interval and `standard_error`.
        counts: Its life table.

    Where too few were at risk in the first periods (`Counts.start`), the curve begins after them and is that
    of those who stay so long: times and durations count from there, the word `start` says from where, and the
    case begins with "late". An estimate's n are those at risk in the periods that it rests on.
    """

    name: str
    rows: pd.DataFrame
    counts: Counts
    period: str
    level: float

    @property
    def start(self) -> int:
        """The period after which the curve begins."""
        return int(self.counts.start[0])

    @property
    def n(self) -> int:
        """Subscribers ever at risk."""
        return int((self.counts.events + self.counts.censored).sum())

    @property
    def events(self) -> int:
        """Those of them who left."""
        return int(self.counts.events.sum())

    @property
    def last(self) -> int:
        """The last period in which anybody was at risk."""
        return int(self.counts.last[0])

    def observed(self) -> Estimate:
        """Return how many were ever at risk; words: customers, events, fewest (where a curve begins)."""
        words = {"customers": self.n, "events": self.events, "fewest": self.counts.fewest}
        return self._told(counted(self.n, of="customer"), **words)

    def at(self, time: int | str) -> Estimate:
        """Return the share still there after so many periods, or "1 year", or as much of it as was observed.

        Its word is time. Beyond the last period observed it is not available, unless the curve has come to 0.
        """
        if time == "1 year":
            time = min(A_YEAR[self.period], self.last - self.start)
        if isinstance(time, bool) or not isinstance(time, int | np.integer) or time < 0:
            raise InputError(
                f"A time must be a whole number of periods from 0 up, or '1 year'; it is {time!r}."
            )
        row = self.rows.iloc[min(int(time), self.last - self.start)]
        there = time <= self.last - self.start or row["survival"] == 0
        return self._estimate(row if there else {}, "survival", "percent", time, time=self._duration(time))

    def percentile(self, left: float) -> Estimate:
        """Return the period by which the share `left` has left, such as 0.25 for the first quarter.

        The first period k with S(k) <= 1 - left; its limits are the first periods in which the lower and
        the upper limit of S come that low (Brookmeyer and Crowley 1982). Where the curve, or its upper
        limit, does not come that low while it is observed, there is no value.

        Returns:
            A number of periods; case: "reached" or "not reached"; words: observed, the longest observed.
        """
        if not 0 < left < 1:
            raise InputError(f"`left` must lie between 0 and 1, such as 0.5 for the median; it is {left!r}.")
        low_enough = self.rows.filter(regex="^survival").to_numpy() <= 1 - left + _ROUNDING
        ends, last = np.where(low_enough.any(axis=0), low_enough.argmax(axis=0), NAN), self.last - self.start
        until = last if np.isnan(ends[0]) else int(ends[0])
        found = self._estimate(
            interval("period", *ends), "period", f"{self.period}s", until, observed=self._duration(last)
        )
        case = "reached" if found.known else "not reached"
        return found.saying(f"late {case}" if self.start else case)

    def median(self) -> Estimate:
        """Return the period by which half have left: `percentile(0.5)`."""
        return self.percentile(0.5)

    def restricted_mean(self, horizon: int) -> Estimate:
        """Return the mean number of periods within a horizon, as `restricted_mean`; words: horizon.

        Where the curve was not observed so long, the horizon is as long as it was.
        """
        check_horizon(horizon)
        gone = self.rows["survival"].iloc[-1] == 0
        horizon = horizon if gone else min(horizon, max(self.last - self.start, 1))
        row = _restricted_means(self.counts.since(self.start), horizon, self.level).iloc[0]
        return self._estimate(row, "mean", f"{self.period}s", horizon, horizon=self._duration(horizon))

    def naive_mean(self) -> Estimate:
        """Return the mean tenure of those who have left, a figure that is often quoted.

        sum k d_k / sum d_k, over the d_k who left in period k. They left early on the whole, so it is too
        short in any company that still has subscribers. The interval is normal.

        Returns:
            A number of periods; words: share, of those who have not left; case: "nobody left", "all left"
            (it is then the true mean) or none.
        """
        events, k = self.counts.events[0], self.counts.periods
        left = self.events
        share = Estimate(1 - left / self.n if self.n else NAN, n=self.n, of="customer", unit="percent")
        about: dict[str, Any] = {"n": left, "of": "churned customer", "unit": f"{self.period}s"}
        about |= {"level": self.level, "words": {"share": share}}
        if not left:
            return Estimate(NAN, case="nobody left", **about)
        mean = float(events @ k / left)
        spread = float(events @ (k - mean) ** 2)
        half = z_value(self.level) * np.sqrt(spread / (left - 1) / left) if left > 1 else NAN
        case = "all left" if left == self.n else ""
        return Estimate(mean, mean - half, mean + half, case=case, **about)

    def _duration(self, periods: int) -> Estimate:
        return counted(periods, unit=f"{self.period}s")

    def _told(self, found: Estimate, **words: Estimate | int) -> Estimate:
        """Say where the curve begins."""
        return found.saying("late" if self.start else None, start=self._duration(self.start), **words)

    def _estimate(
        self, row: Mapping[Any, Any] | pd.Series, column: str, unit: str, until: int, /, **words: Estimate
    ) -> Estimate:
        sample, n = (
            None if self.name == "everybody" else self.name,
            int(self.counts.until(self.start + until)[0]),
        )
        about = {"n": n, "of": "customer", "unit": unit, "level": self.level, "sample": sample}
        return self._told(from_row(row, column, **about), **words)


@dataclass(frozen=True, eq=False)
class SurvivalCurves:
    """Survival curves with intervals.

    Attributes:
        table: A row for each group and period 0, 1, ..., last (or from where the curve begins, see `Curve`):
            `group`, `period`, `at_risk`, `events`, `censored`, `survival` (P(T > period)) with its interval
            and `standard_error` (NaN where it has none).
        groups: A row for each group: `group`, `n` (subscribers ever at risk), `events`, `censored`, `entered`
            (observed only from later on), `last_period`.
        counts: The life table.
        fitters: lifelines' fitter of each group.
        notes: What a reader should know, in sentences.
    """

    table: Table
    groups: pd.DataFrame
    counts: Counts
    fitters: Mapping[str, KaplanMeierFitter]
    period: str
    level: float
    notes: tuple[str, ...]

    @cached_property
    def everybody(self) -> Curve:
        """The curve of all groups together."""
        counts = self.counts.together()
        rows = _curves(counts, self.level)[0].drop(columns="group")
        return Curve("everybody", rows, counts, self.period, self.level)

    def group(self, name: str) -> Curve:
        """Return a group's curve."""
        if name not in self.counts.groups:
            raise InputError(f"There is no group {name!r}; there are {spelled(self.counts.groups)}.")
        rows = self.table.frame[self.table.frame["group"] == name].drop(columns="group")
        counts = self.counts.only(self.counts.groups.index(name))
        return Curve(name, rows.reset_index(drop=True), counts, self.period, self.level)

    def cumulative_hazard(self, name: str) -> NelsonAalenFitter:
        """Return lifelines' Nelson-Aalen fitter of a group: the sum over periods of events over at risk.

        Example:
            >>> life = pd.DataFrame(dict(period=[1, 2], at_risk=[10, 8], events=[2, 4], censored=[0, 4]))
            >>> kaplan_meier(life).cumulative_hazard("all").cumulative_hazard_.iloc[-1].item()
            0.7
        """
        from lifelines import NelsonAalenFitter

        # Smoothing would treat tied events as if one came after another.
        fitter = NelsonAalenFitter(alpha=1 - self.level, nelson_aalen_smoothing=False)
        return _fit(fitter, self.counts, self.counts.groups.index(name))

    def horizon(self, most: int) -> int:
        """The longest horizon, up to `most`, to which groups with four in five subscribers were observed."""
        return min(most, _longest(self._compared, 0.8))

    @cached_property
    def _start(self) -> int:
        """The first period after which groups with four in five subscribers can be compared."""
        return int(_reached(-self.counts.start, group_table(self.counts)["n"].to_numpy(), 0.8) * -1)

    @property
    def _compared(self) -> Counts:
        return self.counts.since(self._start)

    def overview(self, horizon: int) -> Table:
        """Return customers, left, median and mean within a horizon of each group, the longest mean first."""
        mean = self.restricted_mean(horizon)
        medians = [self.group(name).median() for name in self.counts.groups]
        ends = zip(*((one.value, one.low, one.high) for one in medians), strict=True)
        frame = self.groups.rename(columns={"n": "customers", "events": "left"})[
            ["group", "customers", "left"]
        ]
        frame = frame.assign(**interval("median", *ends)).join(mean.table.frame.filter(regex="^mean"))
        frame = frame.sort_values("mean", ascending=False, kind="stable", ignore_index=True)
        units = dict.fromkeys(("median", "mean"), f"{self.period}s")
        units |= dict.fromkeys(("customers", "left"), "count")
        note = f"The mean is within {mean.horizon} {self.period}s; a value without a number was not reached."
        return Table(frame, units, (note, *mean.notes))

    def restricted_mean(self, horizon: int) -> RestrictedMean:
        """Return the mean within a horizon of each group, the horizon cut to what was observed of most."""
        counts, notes = self._compared, self.notes
        found = _restricted_mean(counts, self.horizon(horizon), self.period, self.level)
        return replace(found, notes=tuple(dict.fromkeys((*notes, *found.notes))), start=self._start)

    def widest_difference(self, horizon: int) -> Estimate:
        """Return how much longer customers stay in the group that stays longest than in the shortest."""
        return self.restricted_mean(horizon).widest_difference()


def kaplan_meier(
    life: pd.DataFrame, *, period: str = "month", level: float = 0.95, min_at_risk: int = 0
) -> SurvivalCurves:
    """Estimate the share that stays, by period of life and group, with lifelines.

    S(k) is the product over j <= k of 1 - d_j / n_j (Kaplan and Meier 1958). The interval is Greenwood's
    on the scale log(-log S), exp(-exp(log(-log S) +- z sqrt(G) / |log S|)) with G the sum over j <= k of
    d_j / (n_j (n_j - d_j)) (Kalbfleisch and Prentice 2002, 1.4). That has no value at S = 1 or S = 0:
    with no event yet the lower limit is the exact binomial one, (alpha/2)^(1/m) for the fewest m at risk so
    far; once all have left, the lower limit is 0 and the upper one stays as it was.

    With late entrants the curve is right if those who enter late are like those of the same age who are
    already there. It begins where at least `min_at_risk` are at risk (see `tenure.stats.lifetable.begun`).

    Example:
        >>> life = pd.DataFrame(dict(period=[1, 2, 3], at_risk=[100, 90, 40], events=[10, 45, 4],
        ...                          censored=[0, 5, 36]))
        >>> curves = kaplan_meier(life)
        >>> curves.table.frame[["period", "at_risk", "survival", "survival_low", "survival_high"]].round(3)
           period  at_risk  survival  survival_low  survival_high
        0       0      100     1.000         1.000          1.000
        1       1      100     0.900         0.822          0.945
        2       2       90     0.450         0.351          0.544
        3       3       40     0.405         0.308          0.500
        >>> half = curves.everybody.median()
        >>> half.value, half.low, half.unit, half.n, half.case
        (2.0, 2.0, 'months', 100, 'reached')
    """
    check_level(level)
    check_period(period)
    counts = validate(life, min_at_risk=min_at_risk)
    table, fitters = _curves(counts, level)
    units = {"period": f"{period}s", "survival": "percent", "standard_error": "points"}
    units |= dict.fromkeys(("at_risk", "events", "censored"), "count")
    notes = late_start_notes(counts)
    return SurvivalCurves(Table(table, units), group_table(counts), counts, fitters, period, level, notes)


def _fit(fitter: Any, counts: Counts, row: int) -> Any:
    """Fit to a group's counts; those who enter late weigh minus one before."""
    k = counts.periods
    time, event = np.tile(k, 3), np.repeat([1, 0, 0], len(k))
    weight = np.concatenate([counts.events[row], counts.censored[row], -counts.entered[row]])
    used = weight != 0
    return fitter.fit(time[used], event[used], timeline=np.r_[0, k], weights=weight[used])


def _curves(counts: Counts, level: float) -> tuple[pd.DataFrame, dict[str, KaplanMeierFitter]]:
    from lifelines import KaplanMeierFitter

    fitters, parts = {}, []
    for row, name in enumerate(counts.groups):
        fitter = _fit(KaplanMeierFitter(alpha=1 - level, label=name), counts, row)
        fitters[name] = fitter
        # lifelines has no value where nobody was at risk; the curve stays what it was.
        curve = pd.concat([fitter.survival_function_, fitter.confidence_interval_], axis="columns")
        parts.append(curve.ffill().fillna(1.0).to_numpy()[1:].T)
    survival, low, high = (np.array(part) for part in zip(*parts, strict=True))
    low, high = known_ends(survival, low, high, counts.at_risk, level)
    variance = np.cumsum(greenwood(counts), axis=1)
    columns = {"at_risk": counts.at_risk, "events": counts.events, "censored": counts.censored}
    columns |= interval("survival", survival, low, high)
    columns["standard_error"] = np.where(survival < 1, survival * np.sqrt(variance), np.nan)
    start = dict.fromkeys(columns, 0.0) | interval("survival", 1.0, 1.0, 1.0)
    return long_table(counts, columns, start=start), fitters


def late_start_notes(counts: Counts) -> tuple[str, ...]:
    """Say where nobody, or too few, were observed before others were."""
    notes = []
    for row, group in enumerate(counts.groups):
        start = int(counts.start[row])
        unobserved = np.flatnonzero(counts.at_risk[row, start : counts.last[row]] == 0) + start + 1
        if start:
            notes.append(
                f"In group {group}, fewer than {counts.fewest} were at risk in the first {start} periods, so "
                "its curve begins after them and is that of those who stay so long."
            )
        if len(unobserved):
            notes.append(
                f"In group {group}, nobody was observed in {len(unobserved)} of the first {counts.last[row]} "
                f"periods, such as period {unobserved[0]}; the curve assumes that nobody left in them."
            )
    return tuple(notes)


# --- restricted mean ----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class RestrictedMean:
    """Mean number of periods within a horizon.

    Attributes:
        table: A row for each group: `group`, `n`, `events` (within the horizon), `mean` (periods) with its
            interval and `standard_error`. NaN where the group was not observed up to the horizon.
        notes: What a reader should know, in sentences.
        start: The period after which the horizon begins; all are those who stay so long.
    """

    table: Table
    horizon: int
    period: str
    level: float
    notes: tuple[str, ...]
    start: int = 0

    def differences(self) -> Table:
        """Compare all pairs of groups.

        It has a row for each pair: `group`, `against`, `difference` (how many periods more than the group
        that it is compared with) with its interval and `standard_error`, sqrt(se_a^2 + se_b^2), `p` (normal),
        `p_adjusted` (Holm 1979). A group in which nobody left adds to the error as far as its exact lower
        limit lies below its mean.
        """
        rows = self.table.frame
        value, error = rows["mean"].to_numpy(), rows["standard_error"].to_numpy()
        # Where nobody left, what there is to know of the error is how far down the exact limit lies.
        error = np.where(np.isnan(error), (value - rows["mean_low"]) / z_value(self.level), error)
        a, b = np.array(list(combinations(range(len(rows)), 2)), dtype=int).reshape(-1, 2).T
        difference, spread = value[a] - value[b], np.hypot(error[a], error[b])
        z = ratio(difference, spread)
        p = 2 * special.ndtr(-np.abs(z))
        half = z_value(self.level) * spread
        names = rows["group"].to_numpy()
        ends = interval("difference", difference, difference - half, difference + half)
        columns = {"group": names[a], "against": names[b], **ends, "standard_error": spread, "p": p}
        units = dict.fromkeys(("difference", "standard_error"), f"{self.period}s")
        return Table(pd.DataFrame({**columns, "p_adjusted": holm(p)}), units | {"p": "p", "p_adjusted": "p"})

    def widest_difference(self) -> Estimate:
        """Return how much longer customers stay in the group that stays longest than in the shortest.

        The widest of many differences is wide by chance too, so the interval is Tukey and Kramer's, which
        holds for all pairs of groups at once: -+ q / sqrt(2) standard errors, with q the studentized range of
        the groups.

        Returns:
            Periods, from 0 up; words: longer and shorter (groups), horizon and start; case: "clear" where the
            interval excludes 0, "not clear" (after "late " where the horizon begins later than life), or "one
            group" where there is nothing to compare.
        """
        from scipy.stats import studentized_range

        pairs = self.differences().frame.dropna(subset="difference")
        n, unit = int(self.table.frame["n"].sum()), f"{self.period}s"
        if pairs.empty or not self.table.frame["events"].sum():
            return Estimate(NAN, n=n, of="customer", unit=unit, level=self.level, case="one group")
        pair = pairs.iloc[int(pairs["difference"].abs().to_numpy().argmax())]
        compared, value = int(self.table.frame["mean"].notna().sum()), abs(pair["difference"])
        half = studentized_range.ppf(self.level, compared, np.inf) / np.sqrt(2) * pair["standard_error"]
        longer, shorter = pair["group"], pair["against"]
        if pair["difference"] < 0:
            longer, shorter = shorter, longer
        words = {"longer": longer, "shorter": shorter, "horizon": counted(self.horizon, unit=unit)}
        words["start"] = counted(self.start, unit=unit)
        found = Estimate(value, value - half, value + half, n, "customer", unit, self.level, words=words)
        case = "clear" if found.low > 0 else "not clear"
        return found.saying(f"late {case}" if self.start else case)


def longest_horizon(life: pd.DataFrame, *, share: float = 1.0) -> int:
    """The longest horizon to which groups were observed: the last period in which anybody was at risk.

    A group in which everybody has left is observed for ever. `share` is that of subscribers whose groups must
    be observed that long: less than 1 keeps a few recent groups from cutting all the others short; two groups
    at least are counted in.

    Example:
        >>> life = pd.DataFrame(dict(group=["a", "b", "new"], period=[24, 18, 2], at_risk=[60, 35, 5],
        ...                          events=[9, 8, 1], censored=[51, 27, 4]))
        >>> longest_horizon(life), longest_horizon(life, share=0.8)
        (2, 18)
    """
    return _longest(validate(life), share)


def _longest(counts: Counts, share: float) -> int:
    gone = product_limit(counts)[:, -1] == 0
    observed = np.where(gone, counts.last.max(), counts.last)
    return max(_reached(observed, group_table(counts)["n"].to_numpy(), share), 1)


def _reached(values: Array, size: Array, share: float) -> int:
    """The largest value that groups with such a share of subscribers reach; two groups at least."""
    order = np.argsort(-values, kind="stable")
    enough = int((np.cumsum(size[order]) >= share * size.sum() - _ROUNDING).argmax())
    return int(values[order][max(enough, min(1, len(size) - 1))])


def restricted_mean(
    life: pd.DataFrame, horizon: int, *, period: str = "month", level: float = 0.95
) -> RestrictedMean:
    """Estimate the mean number of periods within a horizon (restricted mean survival time).

    The area under the step function S from 0 to the horizon h, that is S(0) + S(1) + ... + S(h - 1). Its
    variance is the sum over periods j < h of A_j^2 d_j / (n_j (n_j - d_j)), A_j being the area from j to h
    (Uno et al. 2014; R package survRM2). Where nobody left, there is no standard error, and the lower limit
    is the exact one of the survival curve.

    Since S drops at the *end* of the period in which somebody leaves, this is the mean number of periods
    *begun*, the periods paid for where payment is in advance. Integer days with the event on the day itself
    are the usual restricted mean. For lifetimes measured continuously and rounded up to whole months it is
    about half a month too long for each customer who leaves.

    Example:
        >>> life = pd.DataFrame(dict(period=[1, 2, 3], at_risk=[100, 90, 40], events=[10, 45, 4],
        ...                          censored=[0, 5, 36]))
        >>> mean = restricted_mean(life, 3).table.frame
        >>> mean[["n", "events", "mean", "mean_low", "mean_high"]].round(3)
             n  events  mean  mean_low  mean_high
        0  100      55  2.35     2.222      2.478
    """
    check_level(level)
    check_horizon(horizon)
    check_period(period)
    return _restricted_mean(validate(life), horizon, period, level)


def _restricted_mean(counts: Counts, horizon: int, period: str, level: float) -> RestrictedMean:
    frame = _restricted_means(counts, horizon, level)
    notes = late_start_notes(counts)
    if frame["mean"].isna().any():
        short = spelled(frame.loc[frame["mean"].isna(), "group"])
        notes += (f"Not observed for {horizon} {period}s: {short}.",)
    units = {"mean": f"{period}s", "standard_error": f"{period}s", "n": "count", "events": "count"}
    return RestrictedMean(Table(frame, units, notes), int(horizon), period, level, notes)


def _restricted_means(counts: Counts, horizon: int, level: float) -> pd.DataFrame:
    curve = np.ones((len(counts.groups), horizon))
    observed = product_limit(counts)
    for k in range(1, horizon):
        curve[:, k] = observed[:, min(k, observed.shape[1]) - 1]
    short = (counts.last < horizon - 1) & (observed[:, -1] > 0)
    right = np.where(short[:, None], np.nan, curve)[:, ::-1].cumsum(axis=1)[:, ::-1]
    terms = np.nan_to_num(greenwood(counts))[:, : horizon - 1]
    value, variance = right[:, 0], (right[:, 1 : 1 + terms.shape[1]] ** 2 * terms).sum(axis=1)

    events = counts.events[:, : horizon - 1].sum(axis=1)
    error = np.where(events > 0, np.sqrt(variance), np.nan)
    half = z_value(level) * error
    early = np.where(counts.at_risk > 0, counts.at_risk, np.inf)[:, : max(horizon - 1, 1)].min(axis=1)
    exact = 1 + (horizon - 1) * ((1 - level) / 2) ** (1 / early)
    untouched = (events == 0) & ~np.isnan(value)
    low = np.where(untouched, exact, np.maximum(value - half, 1))
    high = np.where(untouched, horizon, np.minimum(value + half, horizon))
    table = pd.DataFrame({"group": counts.groups, "n": counts.until(horizon).astype("int64")})
    table = table.assign(events=events.astype("int64"), standard_error=error)
    return table.assign(**interval("mean", value, low, high))
