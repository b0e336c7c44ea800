"""Means and shares of an experiment's arms compared, on sums alone.

A table of *sums* has a row for each variant, or for each variant and segment: `n`, for a column a its sum
`s_a` and sum of squares `q_a`, perhaps `k_a`, of how many units it is not 0, and for a pair of columns the
sum of their products `c_a_b`. The engine computes them (`tenure.measures.experiments.moments`), so estimates
depend neither on the order of rows nor on how they were cut into chunks. The closed forms are written out,
because on sums they are a few lines each; the tests check them against tea-tasting, gbstats and published
numbers.

`control` is the variant to compare with, `measure` the column and `unit` its unit, `level` that of the
intervals; `covariate` is a column of before the experiment, `denominator` the measure below the line of a
ratio. With `planned_n`, the units of both arms for which to be tight, intervals are confidence sequences,
which hold however often one looks; None: one look (see `compare`).

A sample variance says nothing where hardly anybody converted, and is 0 where nobody did. Where fewer than 30
units of an arm have any of a measure (by `k_a`), its mean is the share of those that have any, with limits
that hold for rare events (`tenure.stats.intervals.share_limits`), times what they have on average; where an
arm has none, what those of all arms have. Limits of differences and ratios are recovered from both arms' (Zou
and Donner 2008); p is 1 less the highest level at which the interval of the difference does not hold 0.

A table or an option that is not as it should be raises InputError.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from scipy import special
from scipy.optimize import brentq

from tenure.errors import InputError, NotApplicable
from tenure.privacy import few
from tenure.result import Estimate, Table, interval
from tenure.stats.intervals import expects_few, share_limits
from tenure.stats.lifetable import Array, check_level, chi2_p, holm, ratio, spelled, z_value


def add_up(sums: pd.DataFrame, by: Sequence[str] = ("variant",)) -> pd.DataFrame:
    """Add sums up to coarser groups, such as variants over all segments.

    Example:
        >>> rows = pd.DataFrame({"variant": ["a", "a"], "channel": ["x", "y"], "n": [2, 3], "s_y": [1., 4.]})
        >>> add_up(rows).to_dict("records")
        [{'variant': 'a', 'n': 5, 's_y': 5.0}]
    """
    numbers = [c for c in sums.columns if c == "n" or c[:2] in ("s_", "q_", "c_", "k_")]
    return sums.groupby(list(by), sort=True, observed=True)[numbers].sum().reset_index()


FEW = 30
Limits = Callable[[float], tuple[Array, Array]]


class Arms(NamedTuple):
    """Each variant's mean, the control first; NaN where it is not available.

    Attributes:
        mean: Means, adjusted or divided: see `compare`.
        variance: Variance of a unit's contribution, so that the mean's is variance / n.
        rare: Limits of the means at a level, where few units of an arm have any of the measure.
    """

    names: tuple[str, ...]
    n: Array
    mean: Array
    variance: Array
    rare: Limits | None = None

    @property
    def error(self) -> Array:
        """Standard errors of the means."""
        return np.sqrt(self.variance / self.n)


def arm_means(
    sums: pd.DataFrame,
    measure: str,
    control: str,
    covariate: str | None = None,
    denominator: str | None = None,
) -> Arms:
    """Return each variant's mean, adjusted by a covariate or divided by a denominator: see `compare`.

    With a covariate x: mean y - theta (mean x - mean x of all), with variance v_y - 2 theta c + theta^2 v_x
    and theta = sum (n - 1) c / sum (n - 1) v_x over arms (Deng and others 2013). With a denominator x: r =
    sum y / sum x, with variance (v_y - 2 r c + r^2 v_x) / (mean x)^2 (the delta method). Units are those of
    the measure, or its unit a unit of x.

    Raises:
        InputError: A column is absent, or no variant is the control.

    Example:
        >>> sums = pd.DataFrame({"variant": ["a", "b"], "n": 4, "s_y": [8, 12], "q_y": [20, 44],
        ...                      "s_x": [4, 8], "q_x": [6, 20], "c_y_x": [10, 28]})
        >>> arm_means(sums, "y", "a", denominator="x").mean
        array([2. , 1.5])
    """
    columns = [a for a in (measure, covariate, denominator) if a]
    pairs = [f"c_{measure}_{other}" for other in columns[1:]]
    wanted = ["n", *(f"{kind}_{a}" for a in columns for kind in "sq"), *pairs]
    wanted += [name for name in (f"k_{measure}", f"k_{denominator}") if name in sums.columns]
    absent = [c for c in wanted if c not in sums.columns]
    if absent:
        raise InputError(
            f"The table of sums has no column {absent[0]}; it has {spelled(sums.columns)}: name the "
            "measure, its covariate and its denominator when making it with measures.experiments.moments."
        )
    rows = sums["variant"].astype(str).to_numpy()
    names = sorted(set(rows.tolist()))
    if control not in names:
        raise InputError(
            f"There is no variant {control!r} in the experiment; it has {spelled(names) or 'none'}."
        )
    names = [control, *(name for name in names if name != control)]
    values = sums[wanted].to_numpy(dtype=float)
    s = dict(zip(wanted, np.array([values[rows == name].sum(axis=0) for name in names]).T, strict=True))
    n = np.where(s["n"] > 0, s["n"], np.nan)

    def covariance(a: str, b: str) -> Array:
        product = s[f"q_{a}"] if a == b else s[f"c_{a}_{b}"]
        value = (product - s[f"s_{a}"] * s[f"s_{b}"] / n) / np.where(n > 1, n - 1, np.nan)
        return np.maximum(value, 0) if a == b else value

    mean, variance = s[f"s_{measure}"] / n, covariance(measure, measure)
    if denominator:
        below = np.where(s[f"s_{denominator}"] != 0, s[f"s_{denominator}"], np.nan)
        mean = s[f"s_{measure}"] / below
        spread = mean**2 * covariance(denominator, denominator)
        variance = variance - 2 * mean * covariance(measure, denominator) + spread
        variance = np.maximum(variance, 0) / (below / n) ** 2
        if f"k_{denominator}" in s:
            # Those below the line are the sample, and a few that are alike tell nothing of the others.
            few = s[f"k_{denominator}"]
            alike = (few < 2) | (variance <= 1e-12 * mean**2)
            more = np.where(alike, np.nan, few / np.maximum(few - 1, 1))
            variance = variance * np.where(few < FEW, more, 1)
        return Arms(tuple(names), s["n"], mean, variance)
    rare = None
    if f"k_{measure}" in s and (s[f"k_{measure}"] < FEW).any():
        rare = _rare(s[f"k_{measure}"], n, s[f"s_{measure}"], s[f"q_{measure}"], variance)
    if covariate:
        before, shared = covariance(covariate, covariate), covariance(measure, covariate)
        within = np.nansum(before * (n - 1))
        theta = np.nansum(shared * (n - 1)) / within if within > 0 else 0.0
        mean = mean - theta * (s[f"s_{covariate}"] / n - s[f"s_{covariate}"].sum() / s["n"].sum())
        variance = np.maximum(variance - 2 * theta * shared + theta**2 * before, 0)
    return Arms(tuple(names), s["n"], mean, variance, rare)


def _rare(k: Array, n: Array, s: Array, q: Array, variance: Array) -> Limits:
    """Limits of means s / n at a level, where k units have any of the measure; see the head of the module."""
    some, total = np.where(k > 0, k, np.nan), k.sum()
    each = np.where(k > 0, s / some, s.sum() / total if total else np.nan)
    df = max(total - (k > 0).sum(), 1)
    within = max(float(np.nansum(q - s**2 / some)), 0) / df
    mean, error = s / n, np.where(k > 0, k / n * np.sqrt(within / some), 0)

    def limits(level: float) -> tuple[Array, Array]:
        ends = np.sort([each * end for end in share_limits(k, n, level)], axis=0)
        half = special.stdtrit(df, 0.5 + level / 2) * error
        wald = special.stdtrit(np.maximum(n - 1, 1), 0.5 + level / 2) * np.sqrt(variance / n)
        low, high = np.hypot(mean - ends[0], half), np.hypot(ends[1] - mean, half)
        return np.where(k < FEW, low, wald), np.where(k < FEW, high, wald)

    return limits


@dataclass(frozen=True, eq=False)
class Comparison:
    """Variants compared with a control.

    Attributes:
        table: A row per variant other than the control: `variant`, `n`, `control_n`, `control` and `value`
            (means), `difference` and `lift` (difference / control; NaN where the control's mean is not above
            0), each with `_low` and `_high`, `standard_error` of the difference, `p`, `p_adjusted` (Holm).
        arms: A row per variant, the control first: `variant`, `n`, `value` with its interval,
        `standard_error`.
        control: The control.
        level: The intervals' level.
    """

    table: Table
    arms: Table
    control: str
    level: float

    def arm(self, variant: str, *, of: str = "visitor") -> Estimate:
        """Return a variant's mean of so many `of` something; arms are samples of their own."""
        n = int(self.arms.estimate(variant, "n").value)
        return self.arms.estimate(variant, "value", n=n, of=of, level=self.level, sample=variant)

    def against_control(self, variant: str, label: str = "the control", *, of: str = "visitor") -> Estimate:
        """Return a variant's mean, compared with the control's by their difference."""
        difference = self.table.estimate(variant, "difference", level=self.level)
        return self.arm(variant, of=of).versus(self.arm(self.control, of=of), difference, label)

    def differences(self, control: str) -> pd.DataFrame:
        """Return differences from the control, as `tenure.models.decision.decide` takes them."""
        return self.table.frame

    def furthest(self) -> str:
        """Return the variant that is furthest from the control."""
        away = self.table.frame["difference"].abs().fillna(-1).to_numpy()
        return str(self.table.frame["variant"].iloc[int(away.argmax())])


def compare(
    sums: pd.DataFrame,
    measure: str,
    *,
    control: str,
    unit: str = "number",
    covariate: str | None = None,
    denominator: str | None = None,
    lift: Literal["log", "linear"] = "log",
    planned_n: int | None = None,
    level: float = 0.95,
) -> Comparison:
    """Compare the mean of a measure in each variant with the control's.

    Welch's interval and test for means. With a `covariate` of before the experiment the means are
    adjusted by CUPED, theta being the pooled within-arm regression coefficient (Deng and others 2013);
    the lift still divides by the *unadjusted* control mean. With a `denominator` the measure is a ratio
    of means and its variance that of the delta method.

    With `planned_n` the intervals are asymptotic confidence sequences, valid however often one looks and
    tightest about that many units in both arms together (Waudby-Smith and others 2024,
    doi:10.1214/24-AOS2408): half-width sqrt(v) sqrt(2 (n r^2 + 1) / (n r)^2 log(sqrt(n r^2 + 1) / alpha)),
    v the variance times n and r^2 = (-2 log alpha + log(1 - 2 log alpha)) / planned_n; p is then the
    smallest alpha whose interval excludes 0.

    Args:
        sums: Sums by variant, or by variant and segment.
        lift: The scale of the relative interval: the logarithm of the ratio of means, or the ratio itself.

    Returns:
        The comparisons. Where an arm has fewer than two units, its comparison is NaN.

    Example:
        >>> sums = pd.DataFrame({"variant": ["a", "b"], "n": [3407, 3461], "s_revenue": [1396.87, 2422.7],
        ...                      "q_revenue": [52377.9767, 134698.29]})
        >>> row = compare(sums, "revenue", control="a", lift="linear").table.frame.iloc[0]
        >>> [round(float(row[x]), 4) for x in ("difference_low", "difference_high", "p", "lift")]
        [0.0454, 0.5346, 0.0202, 0.7073]
    """
    check_level(level)
    if planned_n is not None and planned_n < 1:
        raise InputError(f"`planned_n` must be a number of units from 1 up; it is {planned_n!r}.")
    arms = arm_means(sums, measure, control, covariate, denominator)
    divisor = arm_means(sums, measure, control, None, denominator).mean[0] if covariate else arms.mean[0]
    n, error = arms.n[0] + arms.n[1:], np.hypot(arms.error[0], arms.error[1:])
    difference = np.where(np.isfinite(error), arms.mean[1:] - arms.mean[0], np.nan)
    if arms.rare:
        return _comparison(arms, *_compare_rare(arms, arms.rare, n, planned_n, level), unit, level)
    low, high, p = _interval(difference, error, _welch_df(arms), n, planned_n, level)
    lifts = difference / (divisor if divisor > 0 and arms.mean[0] > 0 else np.nan)
    if lift == "linear":
        relative = np.hypot(arms.error[1:] / divisor, arms.error[0] / divisor * (1 + lifts))
        lift_low, lift_high, _ = _interval(lifts, relative, _welch_df(arms), n, planned_n, level)
    else:
        above = np.where(arms.mean > 0, arms.mean, np.nan)
        logs = arms._replace(mean=np.log(above), variance=arms.variance / above**2)
        relative = np.hypot(logs.error[0], logs.error[1:])
        ends = _interval(logs.mean[1:] - logs.mean[0], relative, _welch_df(logs), n, planned_n, level)
        # Adjusted means have moved from the raw one that the lift divides by.
        lift_low, lift_high = (np.expm1(end) * above[0] / divisor for end in ends[:2])
    half = special.stdtrit(np.maximum(arms.n - 1, 1), 0.5 + level / 2) * arms.error
    columns = interval("difference", difference, low, high) | {"standard_error": error, "p": p}
    columns |= interval("lift", lifts, lift_low, lift_high)
    return _comparison(arms, columns, (arms.mean - half, arms.mean + half), unit, level)


def _compare_rare(
    arms: Arms, rare: Limits, n: Array, planned_n: int | None, level: float, p: Array | None = None
) -> tuple[dict[str, Array], tuple[Array, Array]]:
    """Columns of differences and lifts, and limits of the means, of which few units have a part."""
    mean, gap, z = arms.mean, arms.mean[1:] - arms.mean[0], z_value(level)
    if planned_n is not None:
        z = float(np.nanmax(sequence_half_width(n, n, planned_n, level)))

    def apart(z: float) -> tuple[Array, Array]:
        below, above = rare(1 - 2 * float(special.ndtr(-z)))
        return gap - np.hypot(below[1:], above[0]), gap + np.hypot(above[1:], below[0])

    def clear(i: int) -> float:  # up to how many standard errors an interval does not hold 0
        end = (lambda z: apart(z)[0][i]) if gap[i] > 0 else (lambda z: -apart(z)[1][i])
        return 0.0 if not end(0.0) > 0 else 8.0 if end(8.0) > 0 else float(brentq(end, 0, 8, xtol=1e-6))

    low, high = apart(z)
    if p is None:
        p = _p(np.array([clear(i) for i in range(len(gap))]), np.inf, n, planned_n)
    found = interval("difference", gap, low, high) | {"standard_error": (high - low) / 2 / z}
    below, above = rare(1 - 2 * float(special.ndtr(-z)))
    ends = np.array([mean, np.maximum(mean - below, 0), mean + above])
    found |= interval("lift", *_ratio_of_shares(ends[:, 0], ends[:, 1:]))
    below, above = rare(level)
    return found | {"p": np.where(np.isnan(high - low), np.nan, p)}, (mean - below, mean + above)


def _comparison(
    arms: Arms, columns: dict[str, Array], limits: tuple[Array, Array], unit: str, level: float
) -> Comparison:
    n, gap = arms.n.astype(int), "points" if unit == "percent" else unit
    compared = {"variant": arms.names[1:], "n": n[1:], "control_n": n[0]}
    compared |= {"control": arms.mean[0], "value": arms.mean[1:], **columns}
    units = {"n": "count", "control_n": "count", "control": unit, "value": unit, "difference": gap}
    units |= {"standard_error": gap, "p": "p", "p_adjusted": "p", "lift": "percent"}
    singles = {
        "variant": arms.names,
        "n": n,
        **interval("value", arms.mean, *limits),
        "standard_error": arms.error,
    }
    table = Table(pd.DataFrame({**compared, "p_adjusted": holm(columns["p"])}), units)
    return Comparison(table, Table(pd.DataFrame(singles), units), arms.names[0], level)


def _welch_df(arms: Arms) -> Array:
    a, b = arms.variance[0] / arms.n[0], arms.variance[1:] / arms.n[1:]
    below = a**2 / (arms.n[0] - 1) + b**2 / (arms.n[1:] - 1)
    return np.divide((a + b) ** 2, below, out=arms.n[0] + arms.n[1:] - 2, where=below > 0)


def _interval(
    value: Array, error: Array, df: Array, n: Array, planned_n: int | None, level: float
) -> tuple[Array, Array, Array]:
    """Low, high and p of values that are normal, or near to it; NaN where the error is."""
    if planned_n is None:
        half = special.stdtrit(df, 0.5 + level / 2) * error
    else:
        half = sequence_half_width(error**2 * n, n, planned_n, level)
    return value - half, value + half, _p(ratio(np.abs(value), error), df, n, planned_n)


def _p(z: Array, df: Array | float, n: Array, planned_n: int | None) -> Array:
    """P-values of so many standard errors; of a sequence, tuned for 0.95, the least alpha that excludes 0."""
    if planned_n is None:
        return np.asarray(2 * special.stdtr(df, -z))
    r2 = _tuning(planned_n, 0.95)
    return np.minimum(1, np.exp(0.5 * np.log(n * r2 + 1) - z**2 * n * r2 / (2 * (n * r2 + 1))))


def sequence_half_width(
    variance: Array | float, n: Array | float, planned_n: float, level: float = 0.95
) -> Array:
    """Return half the width of an asymptotic confidence sequence after n units; see `compare`.

    `variance` is that of the estimate, times n.

    Example:
        >>> round(float(sequence_half_width(1.0, 10_000, 10_000)) / (1.96 * 0.01), 2)
        1.55
    """
    n, r2 = np.asarray(n, dtype=float), _tuning(planned_n, level)
    return np.sqrt(variance * 2 * (n * r2 + 1) / (n**2 * r2) * np.log(np.sqrt(n * r2 + 1) / (1 - level)))


def _tuning(planned_n: float, level: float) -> float:
    alpha = 1 - level
    return float((-2 * np.log(alpha) + np.log(1 - 2 * np.log(alpha))) / planned_n)


def compare_shares(
    counts: pd.DataFrame, *, control: str, planned_n: int | None = None, level: float = 0.95
) -> Comparison:
    """Compare the share of units that converted in each variant with the control's.

    Differences have Newcombe's interval (1998, method 10) and ratios that of Donner and Zou (2012), both
    made from the score intervals of the two shares; p is the score test's, pooled under no difference. Where
    fewer than five conversions are to be expected in an arm, limits are exact, as is p. With
    `planned_n` they are confidence sequences for means.
    `counts` has the columns `variant`, `n` and `s_converted` (units that converted).

    Example:
        >>> counts = pd.DataFrame({"variant": ["old", "new"], "n": [574, 550], "s_converted": [22, 14]})
        >>> round(float(compare_shares(counts, control="old").table.frame["p"].iloc[0]), 4)
        0.2205
    """
    check_level(level)
    if (counts["s_converted"] > counts["n"]).any():
        raise InputError("More units converted than there were in a variant: count each unit once.")
    squares = counts.assign(q_converted=counts["s_converted"], k_converted=counts["s_converted"])
    if planned_n is not None:
        return compare(
            squares, "converted", control=control, unit="percent", planned_n=planned_n, level=level
        )
    arms = arm_means(squares, "converted", control)
    n, p = np.where(arms.n > 0, arms.n, np.nan), arms.mean
    # Shares have the variance p (1 - p).
    arms = arms._replace(variance=p * (1 - p))

    def limits(level: float) -> tuple[Array, Array]:
        low, high = share_limits(n * p, n, level)
        return p - low, high - p

    pooled = (n[0] * p[0] + n[1:] * p[1:]) / (n[0] + n[1:])
    score = ratio(np.abs(p[1:] - p[0]), np.sqrt(pooled * (1 - pooled) * (1 / n[0] + 1 / n[1:])))
    exact = expects_few(n * p, n) and not np.isnan(score).any()
    found = _compare_rare(arms, limits, n, None, level, None if exact else 2 * special.ndtr(-score))
    return _comparison(arms, *found, "percent", level)


def _ratio_of_shares(below: Array, above: Array) -> Array:
    """The relative difference of shares or means, each with its limits; NaN where there is none."""
    (p0, l0, u0), (p1, l1, u1) = below, above
    if not p0 > 0:
        return np.full(above.shape, np.nan)
    product = p0 * p1

    def limit(top: Array, bottom: float, sign: int) -> Array:
        root = np.sqrt(np.maximum(product**2 - top * bottom, 0))
        if abs(bottom) < 1e-12:
            return ratio(top, 2 * product, 0.0) if sign < 0 else np.full(len(product), np.nan)
        return (product + sign * root) / bottom

    low = limit(l1 * (2 * p1 - l1), u0 * (2 * p0 - u0), -1)
    high = limit(u1 * (2 * p1 - u1), l0 * (2 * p0 - l0), 1)
    return np.array([p1 / p0 - 1, np.maximum(low, 0) - 1, high - 1])


@dataclass(frozen=True, eq=False)
class SegmentEffects:
    """A variant's effect by segment.

    Attributes:
        table: A row per segment: `segment`, `n`, `difference` and `shrunk`, each with `_low` and `_high`,
            `standard_error`, `p`, `p_adjusted` (Holm).
        spread: The standard deviation of true effects between segments.
        p: The p-value of Cochran's test of no interaction.
    """

    table: Table
    spread: float
    p: float

    def interaction(self, alpha: float = 0.05) -> Estimate:
        """Return the spread; its case is "differ" or "cannot be told apart"."""
        case = "differ" if self.p < alpha else "cannot be told apart"
        return Estimate(self.spread, unit=self.table.units["difference"], case=case)


def segment_effects(
    sums: pd.DataFrame,
    measure: str,
    *,
    segment: str,
    control: str,
    variant: str,
    unit: str = "number",
    level: float = 0.95,
) -> SegmentEffects:
    """Compare a variant with the control within segments, and shrink what chance has spread.

    Effects of segments scatter by chance alone. Cochran's Q tests whether they scatter more; the variance
    between them is DerSimonian and Laird's, and each effect is shrunk towards their mean by the share of
    its variance that is chance (empirical Bayes; Morris 1983). The interval of a shrunk effect includes
    the uncertainty of the mean it is shrunk towards.

    Args:
        sums: Sums by variant and segment.
        segment: The column of segments; those in which an arm has fewer than two units are left out, and
            those of too few units to be named (see `tenure.privacy`).
    """
    if segment not in sums:
        raise NotApplicable(f"{segment} is not known of those who did not convert, so effects by it are not.")
    sizes = sums.groupby(segment, observed=True)[["n"]].sum().reset_index()
    hidden, parts = set(sizes.loc[few(sizes, "n"), segment]), []
    for value, part in sums[sums["variant"].isin([control, variant])].groupby(segment, observed=True):
        if part["variant"].nunique() == 2 and part["n"].min() > 1 and value not in hidden:
            found = compare(part, measure, control=control, unit=unit, level=level).table
            parts.append(found.frame.assign(segment=str(value), n=part["n"].sum()))
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame({"standard_error": []})
    table = table[table["standard_error"] > 0].reset_index(drop=True)
    if len(table) < 2:
        raise NotApplicable(
            f"Effects by {segment} need two segments with units in both arms; there are {len(table)}."
        )
    effect, error = table["difference"].to_numpy(), table["standard_error"].to_numpy()
    weight = error**-2
    fixed = (weight * effect).sum() / weight.sum()
    q, df = float((weight * (effect - fixed) ** 2).sum()), len(effect) - 1
    between = max(0.0, (q - df) / (weight.sum() - (weight**2).sum() / weight.sum()))
    total = 1 / (error**2 + between)
    mean = (total * effect).sum() / total.sum()
    kept = between / (between + error**2)
    shrunk = mean + kept * (effect - mean)
    half = z_value(level) * np.sqrt(kept * error**2 + (1 - kept) ** 2 / total.sum())
    names = ["segment", "n", "difference", "difference_low", "difference_high", "standard_error", "p"]
    table = table[names].assign(p_adjusted=holm(table["p"].to_numpy()))
    table = table.assign(**interval("shrunk", shrunk, shrunk - half, shrunk + half))
    units = {**found.units, "shrunk": found.units["difference"]}
    return SegmentEffects(Table(table, units), float(np.sqrt(between)), chi2_p(q, df))
