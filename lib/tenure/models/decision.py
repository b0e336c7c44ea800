"""From stays and effects to a decision: what a visitor is worth, what is believed, ship or keep.

The value of a visitor is what a price should be judged by: conversion falls with the price, and so does the
time that subscribers stay, while each paid month brings more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy import special

from tenure.errors import InputError, NotApplicable
from tenure.models.experiments import arm_means, is_share, sequence_half_width
from tenure.stats.lifetable import Array, check_level, spelled, z_value
from tenure.stats.survival import kaplan_meier

# --- stays and value by variant ----------------------------------------------------------------------


def life_tables(counts: pd.DataFrame, by: str = "variant") -> pd.DataFrame:
    """Add up counts of stays to a life table for each value of a column.

    Args:
        counts: What `measures.experiments.stay_counts` gives: the column, `entry`, `exit`, `event`, `n`.
        by: The column whose values become the groups.

    Returns:
        A life table as `tenure.stats.survival` takes it: `group`, `period`, `at_risk`, `events`,
        `censored`, `entered`.

    Raises:
        NotApplicable: Nobody was watched for a whole period.

    Example:
        >>> counts = pd.DataFrame(dict(variant="a", entry=0, exit=[1, 2], event=[1, 0], n=[3, 7]))
        >>> life_tables(counts)[["group", "period", "at_risk", "events", "censored"]].to_numpy().tolist()
        [['a', 1, 10, 3, 0], ['a', 2, 7, 0, 7]]
    """
    if counts.empty:
        raise NotApplicable(
            "Nobody who was assigned has been subscribed for a whole period yet, so stays cannot be "
            "compared: wait, or use a shorter period."
        )
    leaves = counts.assign(
        group=counts[by].astype(str),
        events=counts["n"] * (counts["event"] == 1),
        censored=counts["n"] * (counts["event"] != 1),
    )
    exits = leaves.groupby(["group", "exit"])[["events", "censored"]].sum()
    entries = leaves[leaves["entry"] > 0].groupby(["group", "entry"])["n"].sum()
    exits.index.names = entries.index.names = ["group", "period"]
    table = exits.join(entries.rename("entered"), how="outer").fillna(0).astype("int64").reset_index()
    change = table["events"] + table["censored"] - table["entered"]
    table["at_risk"] = change[::-1].groupby(table["group"][::-1]).cumsum()[::-1]
    return table[["group", "period", "at_risk", "events", "censored", "entered"]]


@dataclass(frozen=True, eq=False)
class VisitorValue:
    """What a visitor is worth up to a horizon, by variant.

    Attributes:
        table: A row a variant: `variant`, `price`, `n`, `converted`, `conversion`, `periods`
            (paid periods of a subscriber within the horizon, discounted), `paid_periods` (of a visitor,
            not discounted), `margin` (of a paid period), `value` (of a visitor), `standard_error`, `low`,
            `high`, and `tail` (the share of the value that lies beyond
            what was watched, by a model). NaN where it cannot be said.
        horizon: The horizon, in periods.
        level: The intervals' level.
        notes: What a reader should know, in sentences.
    """

    table: pd.DataFrame
    horizon: int
    level: float
    notes: tuple[str, ...]

    def of(self, variant: str) -> float:
        """Return what a visitor shown the variant is worth."""
        return float(self.table.loc[self.table["variant"] == variant, "value"].iloc[0])

    def compare(self, control: str) -> pd.DataFrame:
        """Return differences from the control: `variant`, `difference`, `standard_error`, `low`, `high`."""
        names = self.table["variant"].tolist()
        if control not in names:
            raise InputError(f"There is no variant {control!r}; there are {spelled(names)}.")
        own = names.index(control)
        n, value, error = (self.table[c].to_numpy() for c in ("n", "value", "standard_error"))
        difference, spread = value - value[own], np.hypot(error, error[own])
        half = z_value(self.level) * spread
        table = pd.DataFrame(
            {
                "variant": names,
                "n": n + n[own],
                "difference": difference,
                "standard_error": spread,
                "low": difference - half,
                "high": difference + half,
            }
        )
        return table.drop(index=own).reset_index(drop=True)


def visitor_value(
    counts: pd.DataFrame,
    life: pd.DataFrame,
    *,
    horizon: int,
    unit_cost: float = 0.0,
    fee_share: float = 0.0,
    fee: float = 0.0,
    margin: float = 1.0,
    discount_rate: float = 0.0,
    tail: Mapping[str, Array] | None = None,
    level: float = 0.95,
) -> VisitorValue:
    """Estimate the margin of a visitor up to a horizon, with those still subscribed counted rightly.

    The value is c m E: the conversion c, the margin m of a paid period, and the discounted paid periods
    E = S(0) + S(1) v + ... + S(h-1) v^(h-1) of a subscriber, with v = 1 / (1 + discount_rate) and S the
    product-limit curve, which counts subscribers for as long as they were watched. Conversion and
    staying are estimated from different events, so the variance is (m E)^2 var(c) + (m c)^2 var(E), that
    of E by Greenwood's sum weighted with the discounted area to the right.

    Args:
        counts: Columns `variant`, `n`, `converted` and `price` (of a period, in any unit of money).
        life: The life table of subscribers, its `group` being the variant.
        horizon: Periods from 1 up.
        unit_cost: Cost of serving a subscriber for a period, in the unit of price.
        fee_share: Share of the price that payment takes.
        fee: What each payment takes besides.
        margin: Share of revenue, after fees, that is left by costs in proportion to it.
        discount_rate: Of a period, such as 0.01.
        tail: For a variant, its curve S(0), S(1), ... from a model, used beyond what was watched; None:
            a variant not watched up to the horizon has no value.
        level: The intervals' level.

    Returns:
        The values. A variant without conversions is worth 0, without an interval from below.

    Raises:
        InputError: The counts, the life table or an option is not as it should be.

    Example:
        >>> counts = pd.DataFrame(dict(variant=["a"], n=1000, converted=200, price=1000))
        >>> life = pd.DataFrame(dict(group="a", period=[1, 2], at_risk=[200, 150], events=[50, 30],
        ...                          censored=[0, 120]))
        >>> worth = visitor_value(counts, life, horizon=2, unit_cost=400)
        >>> worth.table[["conversion", "periods", "value"]].round(3)
           conversion  periods  value
        0         0.2     1.75  210.0
    """
    check_level(level)
    if discount_rate <= -1:
        raise InputError(f"`discount_rate` must be above -1, such as 0.01; it is {discount_rate!r}.")
    curves = kaplan_meier(life).table.frame
    rows, notes = [], []
    for row in counts.to_dict("records"):
        name, n, x, price = str(row["variant"]), float(row["n"]), float(row["converted"]), float(row["price"])
        earned = margin * (price * (1 - fee_share) - fee) - unit_cost
        own = curves[curves["group"] == name]
        watched = int(own["period"].max()) if len(own) else 0
        curve, variance, beyond = discounted_curve(own, horizon, discount_rate, (tail or {}).get(name))
        c = x / n if n else float("nan")
        spread = c * (1 - c) / n if n else float("nan")
        if x == 0 and n:
            periods = paid = value = error = 0.0
            curve = np.zeros(horizon)
            notes.append(f"Nobody in {name} subscribed.")
        else:
            weights = (1 + discount_rate) ** -np.arange(horizon)
            periods, paid = float(curve @ weights), float(c * curve.sum())
            value = c * earned * periods
            error = float(abs(earned) * np.sqrt(periods**2 * spread + c**2 * variance))
            if np.isnan(value) and watched < horizon - 1:
                notes.append(
                    f"Subscribers of {name} were watched for {watched} periods, not up to the horizon of "
                    f"{horizon}: choose a shorter horizon, or wait."
                )
        half = z_value(level) * error
        share = beyond * c * earned / value if value else 0.0
        rows.append(
            (
                name,
                row["price"],
                int(n),
                int(x),
                c,
                periods,
                paid,
                margin,
                value,
                error,
                value - half,
                value + half,
                share,
            )
        )
    columns = ["variant", "price", "n", "converted", "conversion", "periods", "paid_periods", "margin"]
    columns += ["value", "standard_error", "low", "high", "tail"]
    return VisitorValue(
        table=pd.DataFrame(rows, columns=columns), horizon=int(horizon), level=level, notes=tuple(notes)
    )


def model_tail(life: pd.DataFrame, horizon: int) -> dict[str, Array]:
    """Return curves of the shifted beta-geometric model to go on with where watching ended.

    Args:
        life: The life table, a group for each variant.
        horizon: Periods.

    Returns:
        For each variant S(0), ..., S(horizon); none where the data cannot tell the model.
    """
    from tenure.models.retention import fit_retention

    try:
        fit = fit_retention(life, "sbg", keys=["group"])
    except NotApplicable:
        return {}
    return dict(zip(fit.groups["group"].astype(str), fit.curves(fit.groups, horizon), strict=True))


def discounted_curve(
    own: pd.DataFrame, horizon: int, discount_rate: float, tail: Array | None
) -> tuple[Array, float, float]:
    """Return a curve up to a horizon, the variance of its discounted sum, and the part beyond the data.

    Args:
        own: One group of the table of `tenure.stats.survival.kaplan_meier`.
        horizon: Periods.
        discount_rate: Of a period.
        tail: A model's curve S(0), S(1), ... to go on with beyond what was watched; None: NaN there.

    Returns:
        S(0), ..., S(horizon - 1); the variance; the discounted sum beyond what was watched.
    """
    weights = (1 + discount_rate) ** -np.arange(horizon)
    curve = np.full(horizon, np.nan)
    if own.empty:
        return curve, float("nan"), 0.0
    own = own.set_index("period").reindex(range(int(own["period"].max()) + 1))
    seen = own["survival"].ffill().to_numpy()[:horizon]
    curve[: len(seen)] = seen
    beyond = 0.0
    if len(seen) < horizon:
        if seen[-1] == 0:
            curve[len(seen) :] = 0
        elif tail is not None:
            k = len(seen) - 1
            curve[len(seen) :] = seen[-1] * np.asarray(tail)[k + 1 : horizon] / tail[k]
            beyond = float((curve * weights)[len(seen) :].sum())
    d, n = own["events"].fillna(0).to_numpy(), own["at_risk"].fillna(0).to_numpy()
    terms = np.divide(d, n * (n - d), out=np.zeros(len(d)), where=(n > d) & (d > 0))
    right = np.cumsum((curve * weights)[::-1])[::-1]
    upto = min(horizon, len(terms))
    return curve, float((right[1:upto] ** 2 * terms[1:upto]).sum()), beyond


# --- Bayesian reading and decision -------------------------------------------------------------------


@dataclass(frozen=True)
class Posterior:
    """What is believed of a difference.

    Attributes:
        mean: Its mean.
        sd: Its standard deviation.
        chance: The probability that it is above 0.
        loss_ship: What shipping loses on average: E[max(-difference, 0)].
        loss_keep: What keeping loses on average: E[max(difference, 0)].
    """

    mean: float
    sd: float
    chance: float
    loss_ship: float
    loss_keep: float


def posterior(
    difference: float, standard_error: float, *, prior_mean: float = 0.0, prior_sd: float = float("inf")
) -> Posterior:
    """Return the posterior of a difference with a normal likelihood and prior.

    With d the mean and s the standard deviation of the posterior, z = d/s: the chance is Phi(z) and the
    expected losses are s phi(z) + d Phi(z) of keeping and s phi(z) - d Phi(-z) of shipping.

    Args:
        difference: The estimate.
        standard_error: Its standard error.
        prior_mean: The prior's mean.
        prior_sd: The prior's standard deviation; infinite for a flat prior.

    Example:
        >>> found = posterior(0.040816, 0.147253)
        >>> round(found.chance, 4), round(found.loss_keep, 4), round(found.loss_ship, 4)
        (0.6092, 0.0814, 0.0406)
    """
    precision = 1 / standard_error**2 if standard_error > 0 else np.inf
    prior = 0.0 if np.isinf(prior_sd) else 1 / prior_sd**2
    if np.isinf(precision):
        mean, sd = difference, 0.0
    else:
        mean = (difference * precision + prior_mean * prior) / (precision + prior)
        sd = float((precision + prior) ** -0.5)
    if sd == 0:
        return Posterior(float(mean), 0.0, float(mean > 0), max(-mean, 0.0), max(mean, 0.0))
    z = mean / sd
    density = float(np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi))
    up, down = float(special.ndtr(z)), float(special.ndtr(-z))
    return Posterior(float(mean), sd, up, float(sd * density - mean * down), float(sd * density + mean * up))


def lift_posterior(moments: pd.DataFrame, measure: str, *, control: str, variant: str) -> Posterior:
    """Return the posterior of a lift, flat prior, by the delta method (as gbstats does).

    A share's variance is p (1 - p), for a measure that is 0 or 1.

    Args:
        moments: Sums by variant.
        measure: The measure.
        control: The control.
        variant: The variant.
    """
    arms = arm_means(moments, measure, control)
    base, arm = arms[control], arms[variant]
    if base.mean <= 0:
        nan = float("nan")
        return Posterior(nan, nan, nan, nan, nan)
    share = is_share(moments, measure)
    errors = [np.sqrt(a.mean * (1 - a.mean) / a.n) if share else a.error for a in (base, arm)]
    lift = arm.mean / base.mean - 1
    return posterior(lift, float(np.hypot(errors[1] / base.mean, errors[0] * arm.mean / base.mean**2)))


def chance_to_be_best(means: Array, errors: Array) -> Array:
    """Return each arm's probability to have the largest mean, the arms being independent and normal.

    Args:
        means: Means, shape (arms,).
        errors: Standard errors, shape (arms,).

    Returns:
        Probabilities that sum to 1, by Gauss-Hermite quadrature.

    Example:
        >>> chance_to_be_best(np.array([0.0, 0.0]), np.array([1.0, 1.0])).round(3).tolist()
        [0.5, 0.5]
    """
    m, s = np.asarray(means, dtype=float), np.asarray(errors, dtype=float)
    nodes, weights = np.polynomial.hermite_e.hermegauss(201)
    x = m[:, None] + s[:, None] * nodes
    beats = special.ndtr((x[:, None, :] - m[None, :, None]) / s[None, :, None])
    beats[np.arange(len(m)), np.arange(len(m))] = 1
    chance = (beats.prod(axis=1) * weights).sum(axis=1)
    return chance / chance.sum()


@dataclass(frozen=True, eq=False)
class Decision:
    """Whether to ship, to keep or to keep running.

    Attributes:
        verdict: "ship", "keep" or "keep running".
        variant: The variant to ship, or the one that comes nearest to it.
        reason: Why, as the second half of a sentence.
        table: A row a variant other than the control: `variant`, `difference`, `low`, `high` (of a visitor's
            value), `chance` (to be better than the control), `chance_worthwhile` (to be so by what is worth a
            change), `loss_ship` and `loss_keep` (expected, over all visitors of the planning horizon),
            `waiting` (what waiting brings over them, net), `more` (units to wait for), `needed` (further
            units until the interval would leave 0 if the difference stays as it is) and `verdict`.
        worthwhile: The smallest difference of a visitor's value that is worth a change.
        level: The level at which the intervals hold together.
        always_valid: Whether they hold at any number of looks.
    """

    verdict: Literal["ship", "keep", "keep running"]
    variant: str
    reason: str
    table: pd.DataFrame
    worthwhile: float
    level: float
    always_valid: bool

    def size(self) -> dict[str, float]:
        """Return the size of the difference that the verdict is about: `value` from 0 up, `low`, `high`."""
        row = self.table[self.table["variant"] == self.variant].iloc[0]
        value, low, high = (float(row[name]) for name in ("difference", "low", "high"))
        low, high = (low, high) if value >= 0 else (-high, -low)
        return {"value": abs(value), "low": low, "high": high}

    def needed_in_words(self) -> str:
        """Say after how many more units the interval would leave zero, if the difference stays as it is."""
        needed = float(self.table.loc[self.table["variant"] == self.variant, "needed"].iloc[0])
        if np.isnan(needed):
            return "with the difference seen so far it will not"
        return f"with the difference seen so far after {needed:,.0f} more units" if needed else "it does"

    def headline(self, label: str) -> str:
        """Return the verdict in a few words, the variant being called `label`."""
        return {"ship": f"ship {label}", "keep": "keep the control"}.get(self.verdict, self.verdict)


_REASONS = {
    "ship": "its interval lies above no difference at all",
    "keep running": "the data allow for a gain worth a change, and for none",
    "too small": "even the top of the interval is less than a change is worth",
    "unlikely": "a gain worth a change is not to be expected, and making sure costs more than it is worth",
}


def decide(
    differences: pd.DataFrame,
    *,
    control_value: float,
    visitors: float,
    n: float,
    smallest_lift: float = 0.05,
    planned_n: int | None = None,
    level: float = 0.95,
) -> Decision:
    """Decide on the value of a visitor: ship, keep or keep running.

    Let w be the smallest difference worth a change. A variant is *shipped* if its interval lies above 0. The
    control is *kept* if the interval lies below w, or if a difference of w is not expected and waiting costs
    more than it brings. Otherwise the experiment *keeps running*. Of several variants the one goes first
    that is to be shipped, then the one with the largest difference; intervals hold for all variants
    together (Bonferroni), and at any number of looks with `planned_n` (see `compare`).

    Waiting for r n further units moves the posterior mean m of the difference less w by a variance
    s^2 r / (1 + r). Over V visitors it brings (V - r n) E[max(m', 0)] + r n m / 2 - V max(m, 0): those who
    come after decide better, half of those who come meanwhile get the variant (value of sample information;
    Raiffa and Schlaifer 1961). The best of a few r counts.

    Args:
        differences: Columns `variant`, `difference`, `standard_error` (of a visitor's value).
        control_value: A visitor's value under the control.
        visitors: Visitors of the planning horizon, V.
        n: Units of the experiment so far.
        smallest_lift: w as a share of the control's value.
        planned_n: Units at which the intervals should be tightest, if looked at early; None: one look.
        level: The level at which the intervals hold together.

    Returns:
        The decision.

    Raises:
        InputError: `smallest_lift` is negative or `visitors` is not above 0.
        NotApplicable: No variant has a difference.

    Example:
        >>> new = pd.DataFrame(dict(variant=["new"], difference=0.0535, standard_error=0.0446))
        >>> decide(new, control_value=0.0972, visitors=100_000, n=1124).verdict
        'keep running'
    """
    check_level(level)
    if smallest_lift < 0 or not visitors > 0:
        raise InputError(
            f"`smallest_lift` must be from 0 up and `visitors` above 0; they are {smallest_lift!r} and "
            f"{visitors!r}."
        )
    known = differences.dropna(subset=["difference", "standard_error"])
    known = known[known["standard_error"] > 0]
    if known.empty or np.isnan(control_value):
        raise NotApplicable(
            "There is nothing to decide on: no variant's value can be compared with the control's at this "
            "horizon. Choose a shorter horizon, or wait until more have been watched for that long."
        )
    worthwhile = smallest_lift * abs(control_value)
    each = 1 - (1 - level) / len(known)
    rows = []
    for row in known.to_dict("records"):
        difference, error = float(row["difference"]), float(row["standard_error"])
        half = (
            z_value(each) * error
            if planned_n is None
            else sequence_half_width(error**2 * n, n, planned_n, each)
        )
        belief, net = posterior(difference, error), posterior(difference - worthwhile, error)
        waiting, more = _waiting(net, visitors, n)
        if difference - half > 0:
            verdict, reason = "ship", "ship"
        elif difference + half < worthwhile:
            verdict, reason = "keep", "too small"
        elif net.mean <= 0 and waiting <= 0:
            verdict, reason = "keep", "unlikely"
        else:
            verdict, reason = "keep running", "keep running"
        rows.append(
            {
                "variant": row["variant"],
                "difference": difference,
                "low": difference - half,
                "high": difference + half,
                "chance": belief.chance,
                "chance_worthwhile": net.chance,
                "loss_ship": belief.loss_ship * visitors,
                "loss_keep": belief.loss_keep * visitors,
                "waiting": waiting,
                "more": more,
                "needed": n * max((half / difference) ** 2 - 1, 0) if difference > 0 else float("nan"),
                "verdict": verdict,
                "reason": reason,
            }
        )
    table = pd.DataFrame(rows)
    order = {"ship": 0, "keep running": 1, "keep": 2}
    first = table.assign(rank=table["verdict"].map(order)).sort_values(
        ["rank", "difference"], ascending=[True, False], kind="stable"
    )
    best = first.iloc[0]
    return Decision(
        verdict=best["verdict"],
        variant=str(best["variant"]),
        reason=_REASONS[best["reason"]],
        table=table.drop(columns="reason"),
        worthwhile=float(worthwhile),
        level=level,
        always_valid=planned_n is not None,
    )


def _waiting(net: Posterior, visitors: float, n: float) -> tuple[float, int]:
    """The best net value of waiting over some numbers of further units, and that number; 0 where none."""
    best = (0.0, 0)
    for share in (0.25, 0.5, 1.0, 2.0, 4.0):
        more = share * n
        if more >= visitors:
            continue
        moved = posterior(net.mean, net.sd * float(np.sqrt(share / (1 + share))))
        later = (visitors - more) * moved.loss_keep + more * net.mean / 2
        best = max(best, (later - visitors * max(net.mean, 0.0), round(more)))
    return best
