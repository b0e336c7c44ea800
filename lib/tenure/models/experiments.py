"""Experiments: is the comparison sound, what is the effect, and should we decide now?

Everything works on small tables of sums that `tenure.measures.experiments` makes in the engine: `n`, for a
column a its sum `s_a` and sum of squares `q_a`, and for a pair of columns their sum of products `c_a_b`.
So estimates depend neither on the order of rows nor on how they were cut into chunks.

The closed forms are written out, because on sums they are a few lines each; the tests check them against
tea-tasting, gbstats and published numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy import special

from tenure.errors import InputError, NotApplicable
from tenure.stats.lifetable import Array, check_level, chi2_p, holm, spelled, z_value

SRM_ALPHA = 0.001


# --- sums --------------------------------------------------------------------------------------------


def add_up(moments: pd.DataFrame, by: Sequence[str] = ("variant",)) -> pd.DataFrame:
    """Add sums up to coarser groups, such as variants over all segments.

    Args:
        moments: Sums by finer groups.
        by: The columns to keep apart.

    Returns:
        A row a group in order.

    Example:
        >>> rows = pd.DataFrame({"variant": ["a", "a"], "channel": ["x", "y"], "n": [2, 3], "s_y": [1., 4.]})
        >>> add_up(rows).to_dict("records")
        [{'variant': 'a', 'n': 5, 's_y': 5.0}]
    """
    numbers = [c for c in moments.columns if c == "n" or c[:2] in ("s_", "q_", "c_")]
    return moments.groupby(list(by), sort=True, observed=True)[numbers].sum().reset_index()


@dataclass(frozen=True)
class Arm:
    """Mean and variance of what one arm did.

    Attributes:
        n: Units.
        mean: The mean, or the ratio of means.
        variance: Variance of one unit's contribution, so that the mean's is variance / n.
    """

    n: float
    mean: float
    variance: float

    @property
    def error(self) -> float:
        """Standard error of the mean."""
        return float(np.sqrt(self.variance / self.n)) if self.n > 1 else float("nan")


def _sums(moments: pd.DataFrame, control: str) -> dict[str, dict[str, float]]:
    """Each variant's sums over all its rows, the control first."""
    if control not in set(moments["variant"]):
        raise InputError(
            f"There is no variant {control!r} in the experiment; it has "
            f"{spelled(sorted(set(moments['variant']))) or 'none'}."
        )
    columns = [c for c in moments.columns if c == "n" or c[:2] in ("s_", "q_", "c_")]
    values = moments[columns].to_numpy(dtype=float)
    found: dict[str, dict[str, float]] = {control: dict.fromkeys(columns, 0.0)}
    for name in sorted(set(moments["variant"])):
        row = values[(moments["variant"] == name).to_numpy()].sum(axis=0)
        found[str(name)] = dict(zip(columns, row.tolist(), strict=True))
    return found


def _covariance(sums: Mapping[str, float], a: str, b: str) -> float:
    """Sample covariance of two columns (their variance where they are the same)."""
    n = sums["n"]
    if n < 2:
        return float("nan")
    names = [f"q_{a}"] if a == b else [f"c_{a}_{b}", f"c_{b}_{a}"]
    product = next(sums[name] for name in names if name in sums)
    value = (product - sums[f"s_{a}"] * sums[f"s_{b}"] / n) / (n - 1)
    return float(max(value, 0.0)) if a == b else float(value)


def _need(moments: pd.DataFrame, *columns: str) -> None:
    absent = [c for c in columns if c not in moments.columns]
    if absent:
        raise InputError(
            f"The table of sums has no column {absent[0]}; it has {spelled(moments.columns)}: name the "
            "measure, its covariate and its denominator when making it with measures.experiments.moments."
        )


def is_share(moments: pd.DataFrame, measure: str) -> bool:
    """Say whether a measure is 0 or 1 for each unit."""
    _need(moments, f"s_{measure}", f"q_{measure}")
    return bool((moments[f"s_{measure}"] == moments[f"q_{measure}"]).all())


def arm_means(
    moments: pd.DataFrame,
    measure: str,
    control: str,
    covariate: str | None = None,
    denominator: str | None = None,
) -> dict[str, Arm]:
    """Return each variant's mean and variance, the control first: see `compare`."""
    _need(moments, "variant", "n", f"s_{measure}", f"q_{measure}")
    sums = _sums(moments, control)
    if denominator:
        _need(moments, f"s_{denominator}", f"q_{denominator}")
        return {name: _ratio(s, measure, denominator) for name, s in sums.items()}
    if covariate is None:
        return {
            name: Arm(
                s["n"], s[f"s_{measure}"] / s["n"] if s["n"] else np.nan, _covariance(s, measure, measure)
            )
            for name, s in sums.items()
        }
    _need(moments, f"s_{covariate}", f"q_{covariate}", f"c_{measure}_{covariate}")
    return _adjusted(sums, measure, covariate)


def _ratio(s: Mapping[str, float], top: str, bottom: str) -> Arm:
    if s[f"s_{bottom}"] == 0:
        return Arm(s["n"], np.nan, np.nan)
    mean = s[f"s_{bottom}"] / s["n"]
    ratio = s[f"s_{top}"] / s[f"s_{bottom}"]
    variance = (
        _covariance(s, top, top)
        - 2 * ratio * _covariance(s, top, bottom)
        + ratio**2 * _covariance(s, bottom, bottom)
    )
    return Arm(s["n"], ratio, max(variance, 0) / mean**2)


def _adjusted(sums: Mapping[str, Mapping[str, float]], measure: str, covariate: str) -> dict[str, Arm]:
    within = sum(_covariance(s, covariate, covariate) * (s["n"] - 1) for s in sums.values() if s["n"] > 1)
    shared = sum(_covariance(s, measure, covariate) * (s["n"] - 1) for s in sums.values() if s["n"] > 1)
    theta = shared / within if within > 0 else 0.0
    center = sum(s[f"s_{covariate}"] for s in sums.values()) / sum(s["n"] for s in sums.values())
    arms = {}
    for name, s in sums.items():
        mean = s[f"s_{measure}"] / s["n"] - theta * (s[f"s_{covariate}"] / s["n"] - center)
        variance = (
            _covariance(s, measure, measure)
            - 2 * theta * _covariance(s, measure, covariate)
            + theta**2 * _covariance(s, covariate, covariate)
        )
        arms[name] = Arm(s["n"], mean, max(variance, 0))
    return arms


def variance_reduction(moments: pd.DataFrame, measure: str, covariate: str) -> float:
    """Return the share of a measure's variance within arms that a covariate explains.

    Args:
        moments: Sums by variant.
        measure: The measure.
        covariate: What was known before the experiment.

    Returns:
        The squared correlation within arms; 0 where the covariate is the same for all.
    """
    _need(moments, f"c_{measure}_{covariate}")
    sums = list(_sums(moments, moments["variant"].iloc[0]).values())
    pooled = {
        pair: sum(_covariance(s, *pair) * (s["n"] - 1) for s in sums if s["n"] > 1)
        for pair in ((measure, measure), (covariate, covariate), (measure, covariate))
    }
    scale = pooled[measure, measure] * pooled[covariate, covariate]
    return float(pooled[measure, covariate] ** 2 / scale) if scale > 0 else 0.0


# --- sample ratio ------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class SampleRatio:
    """A test of whether units were split as planned.

    Attributes:
        chi2: Pearson's statistic.
        df: Its degrees of freedom.
        p: Its p-value.
        table: A row a variant: `variant`, `n`, `expected`, `share`, `planned`.
    """

    chi2: float
    df: int
    p: float
    table: pd.DataFrame

    def mismatch(self, alpha: float = SRM_ALPHA) -> bool:
        """Whether the split is not what was planned."""
        return bool(self.p < alpha)


def planned_shares(variants: Sequence[str], planned: Mapping[str, float] | Sequence[float] = ()) -> Array:
    """Return the planned share of each variant; equal ones where none are given.

    Raises:
        InputError: The plan does not fit the variants or has a share that is not positive.

    Example:
        >>> planned_shares(["a", "b"], {"a": 3, "b": 1}).tolist()
        [0.75, 0.25]
    """
    if not planned:
        return np.full(len(variants), 1 / len(variants))
    if isinstance(planned, Mapping):
        absent = sorted(set(variants) ^ set(planned))
        if absent:
            raise InputError(
                f"The planned split and the experiment differ in the variants {spelled(absent)}: "
                "name each variant that units were put into, as it is spelt in the data."
            )
        shares = [planned[name] for name in variants]
    else:
        shares = list(planned)
    values = np.asarray(shares, dtype=float)
    if len(values) != len(variants) or not (values > 0).all() or not np.isfinite(values).all():
        raise InputError(
            f"The planned split {shares!r} must give a positive share to each of {len(variants)} variants: "
            f"{spelled(variants)}."
        )
    return values / values.sum()


def sample_ratio(
    counts: pd.DataFrame,
    planned: Mapping[str, float] | Sequence[float] = (),
    *,
    correction: bool = False,
) -> SampleRatio:
    """Test whether units were split over the variants as planned.

    Pearson's chi-squared against the planned shares. A split that is not as planned means that units
    were lost or added in some arms, and then no comparison can be trusted, however large.

    Args:
        counts: Columns `variant` and `n`.
        planned: Shares or weights by variant, or in the order of `counts`; empty for an even split.
        correction: Take half a unit off each deviation (Yates), for two arms.

    Returns:
        The test; chi-squared is NaN where there is only one variant or no unit.

    Raises:
        InputError: The plan does not fit the variants.

    Example:
        >>> round(sample_ratio(pd.DataFrame({"variant": ["a", "b"], "n": [44_000, 45_000]})).p, 6)
        0.000802
    """
    names = counts["variant"].astype(str).tolist()
    shares = planned_shares(names, planned)
    n = counts["n"].to_numpy(dtype=float)
    expected = n.sum() * shares
    away = np.abs(n - expected)
    away = np.maximum(away - 0.5, 0) if correction else away
    known = len(n) > 1 and n.sum() > 0
    chi2 = float((away**2 / expected).sum()) if known else float("nan")
    df = len(n) - 1 if known else 0
    table = pd.DataFrame(
        {
            "variant": names,
            "n": counts["n"].to_numpy(dtype="int64"),
            "expected": expected,
            "share": n / n.sum() if n.sum() else np.full(len(n), np.nan),
            "planned": shares,
        }
    )
    return SampleRatio(chi2=chi2, df=df, p=chi2_p(chi2, df), table=table)


def sample_ratio_by_segment(
    counts: pd.DataFrame, segment: str, planned: Mapping[str, float] | Sequence[float] = ()
) -> pd.DataFrame:
    """Test the split within each value of a segment, adjusted for the number of tests (Holm).

    Args:
        counts: Columns `variant`, `n` and the segment.
        segment: The column.
        planned: As for `sample_ratio`.

    Returns:
        A row a value: `segment`, `value`, `n`, `chi2`, `p`, `p_adjusted`.
    """
    wide = counts.pivot_table(index=segment, columns="variant", values="n", aggfunc="sum", fill_value=0)
    rows = []
    for value, row in wide.iterrows():
        test = sample_ratio(pd.DataFrame({"variant": row.index, "n": row.to_numpy()}), planned)
        rows.append((segment, str(value), int(row.sum()), test.chi2, test.p))
    table = pd.DataFrame(rows, columns=["segment", "value", "n", "chi2", "p"])
    return table.assign(p_adjusted=holm(table["p"].to_numpy()))


@dataclass(frozen=True, eq=False)
class SequentialRatio:
    """A sample ratio test that may be looked at as often as one likes.

    Attributes:
        p: The p-value, valid at any time: the smallest so far.
        stopped: The place of the first look at which p was at most alpha; None if there is none.
        table: A row a look: `n` (so far), `log_bayes_factor`, `p` (smallest so far).
    """

    p: float
    stopped: int | None
    table: pd.DataFrame


def sequential_sample_ratio(
    counts: Array | pd.DataFrame,
    planned: Sequence[float] = (),
    *,
    concentration: float = 10_000.0,
    alpha: float = SRM_ALPHA,
) -> SequentialRatio:
    """Test the split after every look, without inflating the rate of false alarms.

    The Bayes factor of a Dirichlet(k theta0) alternative against the planned shares theta0 is a
    martingale under the plan, so 1 / (its largest so far) is a p-value at any time: with n_i units so
    far and a = k theta0,
    log B = lgamma(sum a) - lgamma(sum a + n) + sum(lgamma(a_i + n_i) - lgamma(a_i)) - sum n_i log theta0_i
    (Lindon & Malek 2022, "Anytime-valid inference for multinomial count data").

    Args:
        counts: A row a look, such as a day, a column a variant: units that came since the last look.
        planned: Shares or weights in the order of the columns; empty for an even split.
        concentration: k: the larger, the smaller the deviations that are looked for.
        alpha: The rate of false alarms.

    Returns:
        The test after each look.

    Raises:
        InputError: The plan does not fit.

    Example:
        >>> test = sequential_sample_ratio(np.array([[100, 100], [300, 420]]), concentration=100)
        >>> test.table["p"].round(4).tolist()
        [1.0, 0.0027]
    """
    values = np.asarray(counts, dtype=float)
    shares = planned_shares([str(i) for i in range(values.shape[1])], list(planned))
    so_far = values.cumsum(axis=0)
    a = concentration * shares
    log_b = (
        special.gammaln(a.sum())
        - special.gammaln(a.sum() + so_far.sum(axis=1))
        + (special.gammaln(a + so_far) - special.gammaln(a)).sum(axis=1)
        - (so_far * np.log(shares)).sum(axis=1)
    )
    p = np.exp(-np.maximum(np.maximum.accumulate(log_b), 0)) if len(log_b) else np.ones(0)
    hits = np.flatnonzero(p <= alpha)
    table = pd.DataFrame({"n": so_far.sum(axis=1).astype("int64"), "log_bayes_factor": log_b, "p": p})
    return SequentialRatio(
        p=float(p[-1]) if len(p) else 1.0, stopped=int(hits[0]) if len(hits) else None, table=table
    )


# --- effects -----------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Effects:
    """Differences of variants from the control.

    Attributes:
        table: A row a variant other than the control: `variant`, `n`, `control_n`, `control` and `value`
            (means), `difference`, `standard_error`, `low`, `high`, `p`, `p_adjusted` (Holm), `lift`
            (difference / control), `lift_low`, `lift_high` (NaN where the control's mean, or the
            variant's, is not above 0).
        arms: A row a variant: `variant`, `n`, `value`, `standard_error`, `low`, `high`.
        measure: The measure.
        level: The intervals' level.
        always_valid: Whether the intervals hold at any number of looks.
    """

    table: pd.DataFrame
    arms: pd.DataFrame
    measure: str
    level: float
    always_valid: bool

    def widest(self) -> str:
        """Return the variant that is furthest from the control."""
        away = self.table["difference"].abs().fillna(-1).to_numpy()
        return str(self.table["variant"].iloc[int(away.argmax())])


def lift_table(effects: Mapping[str, Effects]) -> pd.DataFrame:
    """Put the lifts of several measures into one table, variant by variant.

    Args:
        effects: Comparisons by measure.

    Returns:
        A row a variant and measure: `variant`, `label` (the measure), `name` (both), `control`, `value`,
        `lift`,
        `lift_low`, `lift_high`, `p`, `p_adjusted`, and as ratios to the control `ratio`, `low`, `high`.
    """
    parts = []
    for measure, effect in effects.items():
        words = measure.replace("_", " ")
        part = effect.table[
            ["variant", "control", "value", "lift", "lift_low", "lift_high", "p", "p_adjusted"]
        ]
        named = part["variant"] + ": " + words
        ratio = {"ratio": 1 + part["lift"], "low": 1 + part["lift_low"], "high": 1 + part["lift_high"]}
        parts.append(part.assign(label=words, name=named, **ratio))
    return pd.concat(parts).sort_values("variant", kind="stable").reset_index(drop=True)


def compare(
    moments: pd.DataFrame,
    measure: str,
    *,
    control: str,
    covariate: str | None = None,
    denominator: str | None = None,
    lift: Literal["log", "linear"] = "log",
    planned_n: int | None = None,
    level: float = 0.95,
) -> Effects:
    """Compare the mean of a measure in each variant with the control's.

    Welch's interval and test for means. With a `covariate` of before the experiment the means are
    adjusted by CUPED, theta being the pooled within-arm regression coefficient (Deng and others 2013);
    the lift still divides by the *unadjusted* control mean. With a `denominator` the measure is a ratio
    of means and its variance that of the delta method. Lifts: on the scale of the logarithm of the ratio
    of means ("log"), or of the ratio itself ("linear").

    With `planned_n` the intervals are asymptotic confidence sequences, valid however often one looks and
    tightest about that many units in both arms together (Waudby-Smith and others 2024,
    doi:10.1214/24-AOS2408): half-width sqrt(v) sqrt(2 (n r^2 + 1) / (n r)^2 log(sqrt(n r^2 + 1) / alpha)),
    v the variance times n and r^2 = (-2 log alpha + log(1 - 2 log alpha)) / planned_n; p is then the
    smallest alpha whose interval excludes 0.

    Args:
        moments: Sums by variant.
        measure: The measure.
        control: The variant to compare with.
        covariate: A column of before the experiment.
        denominator: The measure below the line of a ratio.
        lift: The scale of the relative interval.
        planned_n: Units of both arms for which to be tight, if looked at early; None for one look.
        level: The intervals' level.

    Returns:
        The comparisons. Where an arm has fewer than two units, its comparison is NaN.

    Raises:
        InputError: A variant or a column is absent, or `level` is no share.

    Example:
        >>> sums = pd.DataFrame({"variant": ["a", "b"], "n": [3407, 3461], "s_revenue": [1396.87, 2422.7],
        ...                      "q_revenue": [52377.9767, 134698.29]})
        >>> effect = compare(sums, "revenue", control="a", lift="linear").table.iloc[0]
        >>> [round(float(effect[name]), 4) for name in ("difference", "low", "high", "p", "lift")]
        [0.29, 0.0454, 0.5346, 0.0202, 0.7073]
    """
    check_level(level)
    if planned_n is not None and planned_n < 1:
        raise InputError(f"`planned_n` must be a number of units from 1 up; it is {planned_n!r}.")
    arms = arm_means(moments, measure, control, covariate, denominator)
    raw = arm_means(moments, measure, control, None, denominator)
    base = arms[control]
    rows = []
    for name, arm in arms.items():
        if name == control:
            continue
        divisor = raw[control].mean
        rows.append(
            {
                "variant": name,
                "n": int(arm.n),
                "control_n": int(base.n),
                "control": base.mean,
                "value": arm.mean,
                **_difference(base, arm, planned_n, level),
                **_lift(base, arm, divisor, lift, planned_n, level),
            }
        )
    columns = ["variant", "n", "control_n", "control", "value", "difference", "standard_error", "low", "high"]
    table = pd.DataFrame(rows, columns=[*columns, "p", "lift", "lift_low", "lift_high"])
    table.insert(10, "p_adjusted", holm(table["p"].to_numpy(dtype=float)))
    singles = []
    for name, arm in arms.items():
        half = _t(level, max(arm.n - 1, 1)) * arm.error
        singles.append((name, int(arm.n), arm.mean, arm.error, arm.mean - half, arm.mean + half))
    return Effects(
        table=table,
        arms=pd.DataFrame(singles, columns=["variant", "n", "value", "standard_error", "low", "high"]),
        measure=measure,
        level=level,
        always_valid=planned_n is not None,
    )


def _t(level: float, df: float) -> float:
    return float(special.stdtrit(df, 0.5 + level / 2))


def _welch_df(a: Arm, b: Arm) -> float:
    va, vb = a.variance / a.n, b.variance / b.n
    below = va**2 / (a.n - 1) + vb**2 / (b.n - 1)
    return float((va + vb) ** 2 / below) if below > 0 else a.n + b.n - 2


def _interval(
    value: float, error: float, df: float, n: float, planned_n: int | None, level: float
) -> tuple[float, float, float]:
    """Low, high and p of a value that is normal, or near to it."""
    if not np.isfinite(error):
        return float("nan"), float("nan"), float("nan")
    if planned_n is None:
        half = _t(level, df) * error
        p = 2 * float(special.stdtr(df, -abs(value) / error)) if error > 0 else float("nan")
    else:
        half = sequence_half_width(error**2 * n, n, planned_n, level)
        p = _sequence_p(value, error**2 * n, n, planned_n)
    return value - half, value + half, p


def _difference(base: Arm, arm: Arm, planned_n: int | None, level: float) -> dict[str, float]:
    nothing = dict.fromkeys(("difference", "standard_error", "low", "high", "p"), float("nan"))
    if min(base.n, arm.n) < 2:
        return nothing
    error = float(np.hypot(base.error, arm.error))
    difference = arm.mean - base.mean
    low, high, p = _interval(difference, error, _welch_df(base, arm), base.n + arm.n, planned_n, level)
    return {"difference": difference, "standard_error": error, "low": low, "high": high, "p": p}


def _lift(
    base: Arm, arm: Arm, divisor: float, scale: str, planned_n: int | None, level: float
) -> dict[str, float]:
    if min(base.n, arm.n) < 2 or not divisor > 0 or not base.mean > 0:
        return dict.fromkeys(("lift", "lift_low", "lift_high"), float("nan"))
    df, n = _welch_df(base, arm), base.n + arm.n
    difference = arm.mean - base.mean
    value = difference / divisor
    if scale == "linear":
        slope = (divisor + difference) / divisor
        error = float(np.hypot(arm.error / divisor, base.error / divisor * slope))
        low, high, _ = _interval(value, error, df, n, planned_n, level)
    else:
        if not arm.mean > 0:
            return {"lift": value, "lift_low": float("nan"), "lift_high": float("nan")}
        logs = [Arm(side.n, side.mean, side.variance / side.mean**2) for side in (base, arm)]
        error, df = float(np.hypot(logs[0].error, logs[1].error)), _welch_df(*logs)
        low, high, _ = _interval(np.log(arm.mean / base.mean), error, df, n, planned_n, level)
        low, high = np.expm1(low), np.expm1(high)
        # Adjusted means have moved from the raw ones that the lift divides by.
        value, low, high = (
            x * base.mean / divisor for x in (np.expm1(np.log(arm.mean / base.mean)), low, high)
        )
    return {"lift": value, "lift_low": float(low), "lift_high": float(high)}


def sequence_half_width(variance: float, n: float, planned_n: float, level: float = 0.95) -> float:
    """Return half the width of an asymptotic confidence sequence; see `compare`.

    Args:
        variance: Variance of the estimate, times n.
        n: Units so far.
        planned_n: Units at which to be tightest.
        level: The level.

    Example:
        >>> round(sequence_half_width(1.0, 10_000, 10_000) / (1.96 * 0.01), 2)
        1.55
    """
    alpha = 1 - level
    r2 = _tuning(planned_n, level)
    return float(
        np.sqrt(variance) * np.sqrt(2 * (n * r2 + 1) / (n**2 * r2) * np.log(np.sqrt(n * r2 + 1) / alpha))
    )


def _tuning(planned_n: float, level: float) -> float:
    alpha = 1 - level
    return float((-2 * np.log(alpha) + np.log(1 - 2 * np.log(alpha))) / planned_n)


def _sequence_p(value: float, variance: float, n: float, planned_n: float, level: float = 0.95) -> float:
    """The smallest alpha whose confidence sequence, tuned for `level`, excludes 0."""
    if variance <= 0:
        return float("nan")
    r2 = _tuning(planned_n, level)
    log_alpha = 0.5 * np.log(n * r2 + 1) - value**2 / variance * n**2 * r2 / (2 * (n * r2 + 1))
    return float(min(1.0, np.exp(log_alpha)))


# --- conversion --------------------------------------------------------------------------------------


def wilson(successes: Array, n: Array, level: float = 0.95) -> tuple[Array, Array]:
    """Return the score interval of shares (Wilson 1927); NaN where n is 0.

    Example:
        >>> [round(float(x), 4) for x in np.ravel(wilson(np.array([0]), np.array([50])))]
        [0.0, 0.0713]
    """
    check_level(level)
    z = z_value(level)
    x, n = np.asarray(successes, dtype=float), np.asarray(n, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = x / n
        center = (p + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
        low, high = np.where(x == 0, 0.0, center - half), np.where(x == n, 1.0, center + half)
    empty = n <= 0
    return np.where(empty, np.nan, np.maximum(low, 0)), np.where(empty, np.nan, np.minimum(high, 1))


def compare_shares(
    counts: pd.DataFrame,
    *,
    control: str,
    planned_n: int | None = None,
    level: float = 0.95,
) -> Effects:
    """Compare the share of units that converted in each variant with the control's.

    Differences have Newcombe's interval (1998, method 10) and ratios that of Donner and Zou (2012), both
    made from the score intervals of the two shares, so that they hold with few conversions or none; p is
    the score test's, pooled under no difference. With `planned_n` they are confidence sequences for
    means, as in `compare`.

    Args:
        counts: Columns `variant`, `n` and `s_converted` (units that converted).
        control: The variant to compare with.
        planned_n: As for `compare`.
        level: The intervals' level.

    Returns:
        As for `compare`, with score intervals.

    Raises:
        InputError: A variant is absent, or more converted than there were.

    Example:
        >>> counts = pd.DataFrame({"variant": ["old", "new"], "n": [574, 550], "s_converted": [22, 14]})
        >>> round(float(compare_shares(counts, control="old").table["p"].iloc[0]), 4)
        0.2205
    """
    check_level(level)
    sums = _sums(counts, control)
    names = list(sums)
    if any(s["s_converted"] > s["n"] for s in sums.values()):
        raise InputError("More units converted than there were in a variant: count each unit once.")
    if planned_n is not None:
        squares = counts.assign(q_converted=counts["s_converted"])
        return compare(squares, "converted", control=control, planned_n=planned_n, level=level)
    x0, n0 = sums[control]["s_converted"], sums[control]["n"]
    rows = []
    for name in names[1:]:
        x1, n1 = sums[name]["s_converted"], sums[name]["n"]
        rows.append(
            {"variant": name, "n": int(n1), "control_n": int(n0), **_two_shares(x0, n0, x1, n1, level)}
        )
    columns = ["variant", "n", "control_n", "control", "value", "difference", "standard_error", "low", "high"]
    table = pd.DataFrame(rows, columns=[*columns, "p", "lift", "lift_low", "lift_high"])
    table.insert(10, "p_adjusted", holm(table["p"].to_numpy(dtype=float)))
    x = np.array([sums[name]["s_converted"] for name in names])
    n = np.array([sums[name]["n"] for name in names])
    low, high = wilson(x, n, level)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = x / n
        error = np.sqrt(share * (1 - share) / n)
    arms = pd.DataFrame(
        {
            "variant": names,
            "n": n.astype("int64"),
            "value": share,
            "standard_error": error,
            "low": low,
            "high": high,
        }
    )
    return Effects(table=table, arms=arms, measure="converted", level=level, always_valid=False)


def _two_shares(x0: float, n0: float, x1: float, n1: float, level: float) -> dict[str, float]:
    nothing = dict.fromkeys(("lift", "lift_low", "lift_high"), float("nan"))
    if min(n0, n1) < 1:
        names = ("control", "value", "difference", "standard_error", "low", "high", "p")
        return dict.fromkeys(names, float("nan")) | nothing
    p0, p1 = x0 / n0, x1 / n1
    (l0, l1), (u0, u1) = wilson(np.array([x0, x1]), np.array([n0, n1]), level)
    pooled = (x0 + x1) / (n0 + n1)
    spread = np.sqrt(pooled * (1 - pooled) * (1 / n0 + 1 / n1))
    return {
        "control": p0,
        "value": p1,
        "difference": p1 - p0,
        "standard_error": float(np.sqrt(p0 * (1 - p0) / n0 + p1 * (1 - p1) / n1)),
        "low": float(p1 - p0 - np.hypot(p1 - l1, u0 - p0)),
        "high": float(p1 - p0 + np.hypot(u1 - p1, p0 - l0)),
        "p": 2 * float(special.ndtr(-abs(p1 - p0) / spread)) if spread > 0 else float("nan"),
        **(nothing if x0 == 0 else _share_ratio((p0, l0, u0), (p1, l1, u1))),
    }


def _share_ratio(below: tuple[float, float, float], above: tuple[float, float, float]) -> dict[str, float]:
    """The relative difference of two shares, its limits recovered from theirs."""
    (p0, l0, u0), (p1, l1, u1) = below, above
    product = p1 * p0

    def limit(top: float, bottom: float, sign: int) -> float:
        root = np.sqrt(max(product**2 - top * bottom, 0))
        if abs(bottom) < 1e-12:
            return float(top / (2 * product)) if product > 0 else 0.0
        return float((product + sign * root) / bottom)

    low = limit(l1 * (2 * p1 - l1), u0 * (2 * p0 - u0), -1)
    high = limit(u1 * (2 * p1 - u1), l0 * (2 * p0 - l0), 1)
    return {"lift": p1 / p0 - 1, "lift_low": max(low, 0) - 1, "lift_high": high - 1}


# --- segments ----------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class SegmentEffects:
    """A variant's effect by segment.

    Attributes:
        table: A row a segment: `segment`, `n`, `difference`, `standard_error`, `low`, `high`, `p`,
            `p_adjusted` (Holm), `shrunk`, `shrunk_low`, `shrunk_high`.
        overall: The mean of the effects that they are shrunk to.
        spread: The standard deviation of true effects between segments.
        chi2: Cochran's statistic of no interaction.
        df: Its degrees of freedom.
        p: Its p-value.
        level: The intervals' level.
    """

    table: pd.DataFrame
    overall: float
    spread: float
    chi2: float
    df: int
    p: float
    level: float


def segment_effects(
    moments: pd.DataFrame,
    measure: str,
    *,
    segment: str,
    control: str,
    variant: str,
    level: float = 0.95,
) -> SegmentEffects:
    """Compare a variant with the control within segments, and shrink what chance has spread.

    Effects of segments scatter by chance alone. Cochran's Q tests whether they scatter more; the variance
    between them is DerSimonian and Laird's, and each effect is moved towards their mean by the share of
    its variance that is chance (empirical Bayes; Morris 1983). The interval of a shrunk effect includes
    the uncertainty of the mean it is shrunk to.

    Args:
        moments: Sums by variant and segment.
        measure: The measure.
        segment: The column of segments.
        control: The control.
        variant: The variant.
        level: The intervals' level.

    Returns:
        Effects by segment; segments in which an arm has fewer than two units are left out.

    Raises:
        NotApplicable: Fewer than two segments can be compared.
    """
    rows = []
    for value, part in moments.groupby(segment, sort=True, observed=True):
        present = set(part["variant"])
        if not {control, variant} <= present or part["n"].min() < 2:
            continue
        row = compare(part[part["variant"].isin([control, variant])], measure, control=control, level=level)
        first = row.table.iloc[0]
        if np.isfinite(first["standard_error"]) and first["standard_error"] > 0:
            rows.append(
                (
                    str(value),
                    int(first["n"] + first["control_n"]),
                    *first[["difference", "standard_error", "low", "high", "p"]],
                )
            )
    if len(rows) < 2:
        raise NotApplicable(
            f"Effects by {segment} need two segments with units in both arms; there are {len(rows)}."
        )
    table = pd.DataFrame(rows, columns=["segment", "n", "difference", "standard_error", "low", "high", "p"])
    table["p_adjusted"] = holm(table["p"].to_numpy(dtype=float))
    effect, error = table["difference"].to_numpy(dtype=float), table["standard_error"].to_numpy(dtype=float)
    weight = error**-2
    fixed = (weight * effect).sum() / weight.sum()
    q, df = float((weight * (effect - fixed) ** 2).sum()), len(effect) - 1
    between = max(0.0, (q - df) / (weight.sum() - (weight**2).sum() / weight.sum()))
    total = 1 / (error**2 + between)
    mean = (total * effect).sum() / total.sum()
    kept = between / (between + error**2)
    shrunk = mean + kept * (effect - mean)
    spread = np.sqrt(kept * error**2 + (1 - kept) ** 2 / total.sum())
    half = z_value(level) * spread
    return SegmentEffects(
        table=table.assign(shrunk=shrunk, shrunk_low=shrunk - half, shrunk_high=shrunk + half),
        overall=float(mean),
        spread=float(np.sqrt(between)),
        chi2=q,
        df=df,
        p=chi2_p(q, df),
        level=level,
    )
