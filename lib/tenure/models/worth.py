"""What it is worth to keep customers who would have churned: the one place that says so.

Every report that advises asks here, so that they rank alike. The population is the customers who started in
the last 12 months (a thousand new ones where dates are not known); a customer who is kept goes on paying
their own price for as long as others of that age stay; the money is margin within one horizon, discounted
to the start of the subscription. Levers overlap, so they are ranked and never added up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tenure.economics import Economics
from tenure.errors import InputError
from tenure.result import NAN, Estimate, Table

Array = NDArray[Any]

# Months in a period of life.
MONTHS = {"month": 1.0, "week": 12 / 52, "day": 12 / 365}
_DRAWS = 2000


@dataclass(frozen=True, eq=False)
class Churned:
    """Churned customers in periods 1, 2, ..., horizon, and what they paid.

    Attributes:
        events: How many.
        price: What one of them paid a month: the mean, in minor units.
        error: The standard error of that mean.
    """

    events: Array
    price: Array
    error: Array

    def within(self, periods: Array) -> Churned:
        """Return those of some periods, the others as nobody."""
        return Churned(np.where(periods, self.events, 0.0), self.price, self.error)


@dataclass(frozen=True, eq=False)
class Losses:
    """Who churns in which period of life and what they paid, ready to be valued.

    Attributes:
        at_risk: Customers at risk in periods 1, 2, ..., horizon.
        churned: All who churned.
        reached: By lever, those whom it can reach.
        starters: For how many new customers the worth is counted.
        dated: Whether these are the customers who started in the last 12 months; else a round number.
        period: The unit of a period.
        currency: The currency of the prices.
        notes: What a reader should know, in sentences.
    """

    at_risk: Array
    churned: Churned
    reached: Mapping[str, Churned]
    starters: int
    dated: bool
    period: str
    currency: str
    notes: tuple[str, ...] = ()


def losses(
    life: pd.DataFrame,
    churned: pd.DataFrame,
    *,
    horizon: int,
    starters: int | None,
    factors: Mapping[str, float],
    currency: str,
    renewals: tuple[int, ...] = (),
    period: str = "month",
) -> Losses:
    """Lay out who churned and what they paid, by period of life and lever.

    Args:
        life: The life table of everybody, as from `tenure.measures.subscriptions.life_table`.
        churned: Who churned and what they paid, as from `tenure.measures.subscriptions.churned_value`.
        horizon: Whole periods of life that count.
        starters: Customers who started in the last 12 months; None: a thousand, as dates are not known.
        factors: Minor units of `currency` for a minor unit of each currency; customers who paid in others are
            counted at the price of the rest, and a note says so.
        currency: The reporting currency.
        renewals: The periods of life in which terms end, which a lever of its own can reach.
        period: The unit of a period: day, week or month.

    Raises:
        InputError: The horizon is no whole number from 1 up.
    """
    if horizon < 1:
        raise InputError(f"The horizon is {horizon}, but it must be at least 1 {period}.")
    own = life.groupby("period")[["events", "entered", "censored"]].sum()
    rows = own.reindex(range(1, max(int(own.index.max()), horizon) + 1), fill_value=0)
    leaving = rows["events"] + rows["censored"] - rows["entered"]
    at_risk = leaving[::-1].cumsum()[::-1].loc[1:horizon].to_numpy(float)
    events = rows["events"].loc[1:horizon].to_numpy(float)

    place = np.arange(1, horizon + 1)
    everybody = _churned(churned, place, factors)
    everybody = Churned(events, everybody.price, everybody.error)
    reached = {
        f"customers who leave in their first {period}": everybody.within(place == 1),
        "customers who leave at a renewal": everybody.within(np.isin(place, renewals)),
        "customers lost to failed payments": _churned(
            churned[churned["cause"] == "involuntary"], place, factors
        ),
    }
    others = sorted(set(churned["currency"]) - set(factors))
    notes = (
        (f"There is no exchange rate for {', '.join(others)}: who paid in it counts at the others' price.",)
        if others
        else ()
    )
    return Losses(
        at_risk,
        everybody,
        {name: some for name, some in reached.items() if some.events.sum() > 0},
        1000 if starters is None else int(starters),
        starters is not None,
        period,
        currency,
        notes,
    )


def of_groups(lost: Losses, churned: pd.DataFrame, factors: Mapping[str, float]) -> Losses:
    """Return the losses with each group of customers as a lever of its own.

    Args:
        lost: As from `losses`.
        churned: As for `losses`, with a column group; "unknown" is no lever.
        factors: As for `losses`.
    """
    place = np.arange(1, len(lost.at_risk) + 1)
    groups = churned[churned["group"] != "unknown"].groupby("group")
    reached = {str(name): _churned(rows, place, factors) for name, rows in groups}
    return replace(lost, reached={name: some for name, some in reached.items() if some.events.sum() > 0})


def _churned(rows: pd.DataFrame, place: Array, factors: Mapping[str, float]) -> Churned:
    rate = rows["currency"].map(dict(factors)).astype(float)
    paid = rows.assign(
        known=rows["customers"].where(rate.notna(), 0),
        monthly=(rows["monthly_minor"] * rate).fillna(0.0),
        squares=(rows["squares"] * rate**2).fillna(0.0),
    )
    sums = (
        paid.groupby("period")[["customers", "known", "monthly", "squares"]]
        .sum()
        .reindex(place, fill_value=0)
    )
    events, n, total, squares = (sums[name].to_numpy(float) for name in sums)
    nobody = np.zeros(len(place))
    price = np.divide(total, n, out=nobody.copy(), where=n > 0)
    spread = np.divide(squares - n * price**2, n - 1, out=nobody.copy(), where=n > 1)
    error = np.sqrt(np.divide(np.maximum(spread, 0.0), n, out=nobody.copy(), where=n > 0))
    return Churned(events, price, error)


@dataclass(frozen=True, eq=False)
class Levers:
    """What keeping some of the customers that a lever reaches is worth.

    Attributes:
        table: A row a lever, the one worth most first: `lever`, `churned` (observed, within the horizon),
            `share` (of all who churned within it), `worth` with its limits (minor units).
        losses: What it was made from.
        economics: The company's economics.
        kept: The share of those reached who are kept.
    """

    table: Table
    losses: Losses
    economics: Economics
    kept: float

    def best(self) -> Estimate:
        """The lever worth most, with its worth; its case is "none" where no lever has any worth.

        Words: lever, starters, horizon; the case is "dated" where the population is the customers who started
        in the last 12 months, and "undated" where it is a thousand new ones.
        """
        told = self.losses
        unit = f"money:{told.currency}"
        horizon = Estimate(len(told.at_risk), unit=f"{told.period}s")
        if self.table.frame.empty or self.table.frame["worth"].iloc[0] <= 0:
            return Estimate(NAN, unit=unit, case="none", words={"horizon": horizon})
        top = self.table.frame.iloc[0]
        return Estimate(
            top["worth"],
            top["worth_low"],
            top["worth_high"],
            n=int(top["churned"]),
            of="churned customer",
            unit=unit,
            case="dated" if told.dated else "undated",
            words={"lever": top["lever"], "starters": told.starters, "horizon": horizon},
        )


def of_keeping(lost: Losses, economics: Economics, *, kept: float = 0.1, level: float = 0.95) -> Levers:
    """Estimate the worth of keeping a share of those whom each lever reaches.

    With e of the n at risk in period k reached by a lever, the hazard falls by kept e/n. One who is kept pays
    their own price p_k on, for V_k expected and discounted periods within the horizon,

        V_k = sum over j > k of v(j - 1) S(j - 1) / S(k),

    where v(t) is the discount factor after t periods, so that the worth is

        starters x sum over k of S'(k - 1) (kept e_k / n_k) m(p_k) V_k,

    where S' is survival with the lever and m what is left of a price (`Economics.left_of`, with a charge a
    month). With one price for all and no discount this is the rise in expected paid periods, times the price.
    Intervals come from resampled counts of each period (multinomial) and resampled mean prices, with a fixed
    seed; they speak of sampling, not of whether a lever works.

    Args:
        lost: As from `losses`.
        economics: Margin, fees and discount rate.
        kept: The share of those reached who are kept: 0.1 is one in ten.
        level: Level of the intervals.

    Raises:
        InputError: `kept` does not lie between 0 and 1.

    Example:
        >>> life = pd.DataFrame(dict(period=[1, 6], events=[100, 0], entered=0, censored=[0, 100]))
        >>> gone = pd.DataFrame(dict(period=[1], cause="unknown", currency="EUR", customers=100,
        ...                          monthly_minor=910_000, squares=90 * 10_000.0**2 + 10 * 1_000.0**2))
        >>> lost = losses(life, gone, horizon=6, starters=None, factors={"EUR": 1.0}, currency="EUR")
        >>> facts = Economics(margin=1.0, fee_share=0.0, fee_fixed=0.0, discount_rate=0.0)
        >>> float(of_keeping(lost, facts).best().value / 100)
        22750.0
    """
    if not 0 <= kept <= 1:
        raise InputError(f"`kept` must lie between 0 and 1, such as 0.1 for one in ten; it is {kept!r}.")
    rng = np.random.default_rng(0)
    all_events = lost.churned.events
    rows = []
    for name, some in lost.reached.items():
        share = np.divide(some.events, all_events, out=np.zeros_like(all_events), where=all_events > 0)
        events, price = _draws(lost.at_risk, all_events, some, rng)
        own = rng.binomial(events.astype(int), share)
        value = _worth(lost, economics, all_events, some.events, some.price, kept)
        drawn = _worth(lost, economics, events, own, price, kept)
        low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
        rows.append((name, int(some.events.sum()), some.events.sum() / all_events.sum(), value, low, high))
    columns = ["lever", "churned", "share", "worth", "worth_low", "worth_high"]
    frame = pd.DataFrame(rows, columns=columns)
    frame = frame.sort_values(["worth", "lever"], ascending=[False, True], ignore_index=True)
    units, notes = {"share": "percent", "worth": f"money:{lost.currency}"}, list(lost.notes)
    near = frame["lever"][1:][frame["worth_high"][1:] >= frame["worth_low"].iloc[:1].max()]
    if len(near):
        notes.append(f"Not clearly worth less than the first: {', '.join(near)}.")
    return Levers(Table(frame, units, notes), lost, economics, kept)


def of_lower_churn(lost: Losses, economics: Economics, *, level: float = 0.95) -> Estimate:
    """Estimate the worth of a point less churn a month, all hazards falling in proportion.

    The average churn is (1 - S(h)) / (S(0) + ... + S(h - 1)); where it is under two points a month, a tenth
    of a point is taken off. The worth is that of `of_keeping`, reaching everybody alike.

    Args:
        lost: As from `losses`.
        economics: Margin, fees and discount rate.
        level: Level of the interval.

    Returns:
        The worth; words: step (in points a month), starters, horizon; cases as for `Levers.best`, and "none"
        where churn is too low to take anything off.
    """
    horizon = Estimate(len(lost.at_risk), unit=f"{lost.period}s")
    unit, words = f"money:{lost.currency}", {"starters": lost.starters, "horizon": horizon}
    n, some = lost.at_risk, lost.churned
    average = _average_churn(n, some.events)
    for points in (0.01, 0.001):
        step = points * MONTHS[lost.period]
        if average > 2 * step:
            break
    else:
        return Estimate(NAN, unit=unit, case="none", words=words)
    events, price = _draws(n, some.events, some, np.random.default_rng(0))
    kept = _share_kept(n, some.events, step)
    value = _worth(lost, economics, some.events, some.events, some.price, kept)
    drawn = _worth(lost, economics, events, events, price, _share_kept(n, events, step))
    low, high = np.nanquantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(
        float(value),
        low,
        high,
        n=int(some.events.sum()),
        of="churned customer",
        unit=unit,
        case="dated" if lost.dated else "undated",
        words={**words, "step": Estimate(points, unit="points")},
    )


def _draws(n: Array, d: Array, some: Churned, rng: np.random.Generator) -> tuple[Array, Array]:
    """Resampled churned customers and mean prices, a row a draw."""
    chance = np.divide(d, n, out=np.zeros_like(d), where=n > 0)
    events = rng.binomial(n.astype(int), chance, (_DRAWS, len(n)))
    return events, np.maximum(rng.normal(some.price, some.error, (_DRAWS, len(n))), 0.0)


def _worth(
    lost: Losses, economics: Economics, d: Array, reached: Array, price: Array, kept: float | Array
) -> Any:
    n, months = lost.at_risk, MONTHS[lost.period]
    hazard, fewer = (np.divide(rows, n, out=np.zeros(np.shape(rows)), where=n > 0) for rows in (d, reached))
    fewer = fewer * (kept if np.ndim(kept) == 0 else np.asarray(kept)[:, None])
    before = _survival(hazard - fewer)[..., :-1]
    # V_k backwards: v(k) for the period after k, which one who is kept pays for sure, then those who stay.
    discount = economics.discount(months * np.arange(hazard.shape[-1] + 1))
    ahead = np.zeros(hazard.shape)
    for k in range(hazard.shape[-1] - 2, -1, -1):
        ahead[..., k] = discount[k + 1] + (1 - hazard[..., k + 1]) * ahead[..., k + 1]
    left = economics.left_of(price * months, lost.currency, charges=months, months=months)
    return lost.starters * (before * fewer * np.where(price > 0, left, 0.0) * ahead).sum(axis=-1)


def _survival(hazard: Array) -> Array:
    """S(0), S(1), ..., S(horizon)."""
    start = np.ones((*hazard.shape[:-1], 1))
    return np.concatenate([start, np.cumprod(1 - hazard, axis=-1)], axis=-1)


def _average_churn(n: Array, d: Array, kept: float | Array = 0.0) -> Any:
    share = (1 - kept) if np.ndim(kept) == 0 else (1 - np.asarray(kept))[:, None]
    curve = _survival(share * np.divide(d, n, out=np.zeros(np.shape(d)), where=n > 0))
    return (1 - curve[..., -1]) / curve[..., :-1].sum(axis=-1)


def _share_kept(n: Array, d: Array, step: float) -> Any:
    """The share of all churned customers to keep so that the average churn falls by a step; by bisection."""
    aim = _average_churn(n, d) - step
    low, high = np.zeros(np.shape(aim)), np.ones(np.shape(aim))
    for _ in range(50):
        middle = (low + high) / 2
        above = _average_churn(n, d, middle if np.ndim(aim) else float(middle)) > aim
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    found = np.where(aim > 0, (low + high) / 2, NAN)
    return found if np.ndim(aim) else float(found)
