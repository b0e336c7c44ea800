"""What a visitor is worth at a price, from conversion, lifetimes and what a paid month leaves.

The value of a visitor is what a price should be judged by: conversion falls with the price, and so does the
time that subscribers stay, while each paid month brings more. Money is in minor units; `level` is that of the
intervals.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from tenure.economics import Economics
from tenure.errors import InputError, NotApplicable
from tenure.models.worth import MONTHS
from tenure.money import minor_units, unit_of
from tenure.result import NAN, Estimate, Table
from tenure.stats.comparison import FEW
from tenure.stats.intervals import share_limits
from tenure.stats.lifetable import Array, check_level, pooled, z_value
from tenure.stats.survival import kaplan_meier

# What `decide` takes.
DIFFERENCES = ["variant", "difference", "difference_low", "difference_high", "standard_error"]


@dataclass(frozen=True)
class Earnings:
    """What a paid period at a price leaves, in minor units of the reporting currency.

    Attributes:
        economics: The company's, with costs as `earnings` sees them.
        currency: The reporting currency.
        rate: Minor units of it for one minor unit of a price.
        period: The unit of time: month, week or day.
        every: Periods between two charges: 12 months where customers pay by the year.
        quantity: Seats or units that a customer pays for.
    """

    economics: Economics
    currency: str = "EUR"
    rate: float = 1.0
    period: Literal["month", "week", "day"] = "month"
    every: int = 1
    quantity: float = 1.0

    def left(self, price: Array | float) -> Array:
        """Return what a period leaves at a price of one unit for one charge, fees spread over its periods."""
        charged = np.asarray(price, dtype=float) * self.rate * self.quantity
        months = self.every * MONTHS[self.period]
        return np.asarray(self.economics.left_of(charged, self.currency, months=months) / self.every)

    def discount(self, periods: int) -> Array:
        """Return the weights of payments after 0, 1, ..., periods - 1 periods."""
        return np.asarray(self.economics.discount(np.arange(periods) * MONTHS[self.period]))

    def periods(self, months: float) -> int:
        """Return the number of periods in some months."""
        return round(months / MONTHS[self.period])

    @property
    def service(self) -> float:
        """The cost of serving somebody for a period."""
        return float(-self.economics.left_of(0.0, self.currency, charges=0, months=MONTHS[self.period]))

    @property
    def unit(self) -> str:
        """The unit of what it leaves."""
        return unit_of(self.currency)


def earnings(
    economics: Economics,
    currency: str,
    *,
    price: float | None,
    unit_cost: float = 0.0,
    per_seat: bool = False,
    rate: float = 1.0,
    period: Literal["month", "week", "day"] = "month",
    every: int = 1,
    quantity: float = 1.0,
) -> Earnings:
    """Return what a period leaves at another price: the cost of serving somebody does not rise with it.

    Serving a subscriber for a month costs `unit_cost` (of each seat, if `per_seat`) or, if that is 0, what
    the company's margin takes off today's price of a month, (1 - margin) price, and its cost to serve. A
    charge of q seats at x for k months leaves q x (1 - fee_share) - fee_fixed - k times that cost.

    Args:
        economics: The company's.
        currency: The reporting currency.
        price: Today's price, in minor units of the currency of prices; None: unknown, so that costs are the
            company's share of revenue.
        unit_cost: Cost of serving a subscriber for a month, in the reporting currency; 0: the company's.
        per_seat: Whether `unit_cost` is of a seat.
        rate: Minor units of the reporting currency for one minor unit of a price.
        period: As in `Earnings`, like `every` and `quantity`.
        every: Periods for which a charge is.
        quantity: Seats or units that a customer pays for.

    Raises:
        InputError: The cost is negative.

    Example:
        >>> company = Economics(margin=0.7, fee_share=0.02, fee_fixed=0.25)
        >>> [round(float(earnings(company, "EUR", price=1000).left(x))) for x in (1000, 1500)]
        [655, 1145]
    """
    if unit_cost < 0:
        raise InputError(
            f"The parameter `unit_cost` must be from 0 up; it is {unit_cost!r}. Fix: correct it."
        )
    if not unit_cost and price is None:
        return Earnings(economics, currency, rate, period, every, quantity)
    a_month = (price or 0) * rate / minor_units(currency) * quantity / (every * MONTHS[period])
    served = unit_cost * (quantity if per_seat else 1)
    served = served or (1 - economics.margin) * a_month + economics.cost_to_serve
    costs = {"margin": 1.0, "cost_to_serve": served}
    return Earnings(economics.model_copy(update=costs), currency, rate, period, every, quantity)


@dataclass(frozen=True, eq=False)
class VisitorValue:
    """What a visitor is worth up to a horizon, by variant.

    Attributes:
        table: A row per variant: `variant`, `price`, `n`, `converted`, `conversion`, `margin` (of a paid
            month), `months_of_a_subscriber` (paid within the horizon, discounted), `months_of_a_visitor` (not
            discounted), `value` (of a visitor) with its interval, and `tail`, the share of it that lies
            beyond what was observed, by a model. NaN where it cannot be said; its notes say why.
        horizon: The horizon, in months.
        level: The intervals' level.
    """

    table: Table
    horizon: int
    level: float

    def arm(self, variant: str) -> Estimate:
        """Return what a visitor shown the variant is worth; arms are samples of their own.

        Raises:
            InputError: There is no such variant.
        """
        n = int(self.table.estimate(variant, "n").value)
        return self.table.estimate(variant, "value", n=n, of="visitor", level=self.level, sample=variant)

    def differences(self, control: str) -> pd.DataFrame:
        """Return differences from the control, each with its `standard_error`, as `decide` takes them."""
        base, rows = self.arm(control), []
        for variant in self.table.frame["variant"].drop_duplicates():
            gap = self.arm(variant).against(base, "the control").difference if variant != control else None
            if gap is not None:
                error = (gap.high - gap.low) / 2 / z_value(self.level)
                rows.append((variant, gap.value, gap.low, gap.high, error))
        return pd.DataFrame(rows, columns=DIFFERENCES)


def visitor_value(
    counts: pd.DataFrame,
    life: pd.DataFrame,
    earned: Earnings,
    *,
    horizon: int,
    tail: Mapping[str, Array] | None = None,
    currency: str = "",
    level: float = 0.95,
) -> VisitorValue:
    """Estimate the margin per visitor up to a horizon, censored subscribers included.

    The value is c m E: the conversion c, the margin m of a paid month, and the discounted paid months
    E = S(0) + S(1) v + ... + S(h-1) v^(h-1) of a subscriber, with S the product-limit curve, which counts
    subscribers for as long as they were observed. Conversion and lifetimes are estimated from different
    events, so the variance is (m E)^2 var(c) + (m c)^2 var(E), that of E by Greenwood's sum weighted with the
    discounted area to the right. Where fewer than 30 of a variant subscribed, c has the limits that hold for
    rare events (`tenure.stats.intervals.share_limits`), and E no less variance than so many subscribers of
    all variants would have; where nobody did, E is that of all.

    Args:
        counts: Columns `variant`, `n`, `converted` and `price` (of a month).
        life: The life table of subscribers, its `group` being the variant.
        horizon: Months from 1 up.
        tail: For a variant, its curve S(0), S(1), ... from a model, used beyond what was observed; None:
            a variant not observed up to the horizon has no value.

    Example:
        >>> counts = pd.DataFrame(dict(variant=["a"], n=1000, converted=200, price=1000))
        >>> life = pd.DataFrame(dict(group="a", period=[1, 2], at_risk=[200, 150], events=[50, 30],
        ...                          censored=[0, 120]))
        >>> free = Economics(margin=1, fee_share=0, fee_fixed=0, discount_rate=0, cost_to_serve=4)
        >>> worth = visitor_value(counts, life, Earnings(free), horizon=2).table.frame
        >>> worth[["conversion", "months_of_a_subscriber", "value"]].round(3).to_numpy().tolist()
        [[0.2, 1.75, 210.0]]
    """
    check_level(level)
    everybody = pooled(life)
    curves, weights, rows, notes = kaplan_meier(life).table.frame, earned.discount(horizon), [], []
    last, z = curves.groupby("group")["period"].max(), z_value(level)
    anybody = np.mean(list(tail.values()), axis=0) if tail else None
    among = discounted_curve(kaplan_meier(everybody).table.frame, weights, anybody)
    joined = float((everybody["events"] + everybody["censored"]).sum())
    rare = np.transpose(share_limits(counts["converted"], counts["n"], level))
    for row, limits in zip(counts.to_dict("records"), rare, strict=True):
        name, n, x = str(row["variant"]), float(row["n"]), float(row["converted"])
        own, margin = curves[curves["group"] == name], float(earned.left(row["price"]))
        curve, variance, beyond = discounted_curve(own, weights, (tail or {}).get(name)) if x else among
        c = x / n if n else NAN
        if x == 0 and n:
            notes.append(f"Nobody in {name} subscribed.")
        elif np.isnan(curve).any():
            notes.append(
                f"Subscribers of {name} were observed for {last.get(name, 0):.0f} months, not up to the "
                f"horizon of {horizon}: choose a shorter horizon, or wait."
            )
        months = float(curve @ weights)
        half = z * np.sqrt(c * (1 - c) / n if n else NAN)
        below, above = (c - limits[0], limits[1] - c) if x < FEW else (half, half)
        if x < FEW:
            variance = max(variance, among[1] * joined / max(x, 1))
        value, lifetimes = c * margin * months, z * margin * c * np.sqrt(variance)
        ends = np.hypot(margin * months * np.array([below, above]), lifetimes)[:: 1 if margin > 0 else -1]
        found = {"price": row["price"], "n": int(n), "converted": int(x), "conversion": c, "margin": margin}
        found |= {"months_of_a_subscriber": months if x else NAN}
        found |= {"months_of_a_visitor": float(c * curve.sum())}
        found |= {"value": value, "value_low": value - ends[0], "value_high": value + ends[1]}
        rows.append({"variant": name} | found | {"tail": beyond * c * margin / value if value else 0.0})
    units = {"price": unit_of(currency), "n": "count", "converted": "count"}
    units |= dict.fromkeys(("conversion", "tail"), "percent")
    units |= dict.fromkeys(("months_of_a_subscriber", "months_of_a_visitor"), "months")
    units |= dict.fromkeys(("margin", "value"), earned.unit)
    return VisitorValue(Table(pd.DataFrame(rows), units, tuple(notes)), int(horizon), level)


def model_tail(life: pd.DataFrame, horizon: int) -> dict[str, Array]:
    """Return by variant S(0), ..., S(horizon) of the shifted beta-geometric model, for beyond the data.

    The life table has a group for each variant; where it cannot tell the model, there are none.
    """
    from tenure.models.retention import fit_retention

    try:
        fit = fit_retention(life, "sbg")
    except NotApplicable:
        return {}
    return dict(zip(fit.groups["group"].astype(str), fit.curves(fit.groups, horizon), strict=True))


def discounted_curve(
    own: pd.DataFrame, weights: Array, tail: Array | None = None
) -> tuple[Array, float, float]:
    """Return S(0), ..., S(horizon - 1), the variance of its discounted sum, and the part beyond the data.

    The sum is that of w(t) S(t). Its variance, by Greenwood's terms, is the sum over k > 0 of
    R(k)^2 d_k / (n_k (n_k - d_k)), with R(k) the sum of w(t) S(t) over t >= k.

    Args:
        own: One group of the table of `tenure.stats.survival.kaplan_meier`.
        weights: What payments after 0, 1, ... periods are worth today, up to the horizon.
        tail: A model's curve S(0), S(1), ... to go on with beyond what was observed; None: NaN there.
    """
    horizon = len(weights)
    curve = np.full(horizon, np.nan)
    if own.empty:
        return curve, NAN, 0.0
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
