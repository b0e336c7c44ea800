"""What it is worth to keep customers who would have churned: the one place where it is estimated.

Every report that advises asks here, so that they rank alike. The population is the customers who started in
the last 12 months (a thousand new ones where dates are not known); a customer who is kept goes on paying
their own price for as long as others of that age stay; the money is margin within one horizon, discounted
to the start of the subscription. Levers overlap, so they are ranked and never added up.

Intervals come from resampled counts of each period (multinomial) and resampled mean prices, with a fixed
seed; they speak of sampling, not of whether a lever works. `factors` are minor units of the reporting
currency for a minor unit of each, `economics` the company's margin, fees and discount rate.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from tenure.economics import Economics
from tenure.errors import InputError
from tenure.result import NAN, Estimate, Table, counted, interval
from tenure.stats.comparison import compare_shares
from tenure.stats.lifetable import FEWEST, Array, first_enough, ratio

# Whom an action can reach, whatever the groups.
REACHED = (
    "customers who leave in their first {period}",
    "customers who leave at a renewal",
    "customers lost to failed payments",
)
# What would change a decision for the action that is worth most.
UNLESS = "An offer that keeps fewer than one in ten, or that costs more than {value} in all."
# Months in a period of life.
MONTHS = {"month": 1.0, "week": 12 / 52, "day": 12 / 365}
_DRAWS = 2000
# Of whom no action is advised, since nothing could have kept them.
_FATES = {
    "plan ended": "Churned customers whose plan ended for all who had it are in no action: {n}.",
    "free plan": "Churned customers who moved to a free plan are in no action: {n}.",
    "one term": "Churned customers of plans that nobody had for longer than a term are in no action: {n}. "
    "If these end by design, as gifts do, map `renews: false` for them.",
}


@dataclass(frozen=True, eq=False)
class Churned:
    """Churned customers in periods 1, 2, ..., horizon, and what they paid.

    Attributes:
        events: How many.
        price: What one of them paid per month: the mean, in minor units.
        error: The standard error of that mean.
    """

    events: Array
    price: Array
    error: Array

    def within(self, periods: Array) -> Churned:
        """Return those of some periods, the others as nobody."""
        return replace(self, events=np.where(periods, self.events, 0.0))


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
        notes: What a reader should know, in sentences.
        start: The period after which the horizon begins, since too few were at risk before.
    """

    at_risk: Array
    churned: Churned
    reached: Mapping[str, Churned]
    starters: int
    dated: bool
    period: str
    currency: str
    notes: tuple[str, ...] = ()
    start: int = 0

    def told(self, ends: tuple[float, float, float], n: int | None = None, **words: object) -> Estimate:
        """Return a worth that rests on n churned customers; words: starters, horizon, start and others.

        Its case is "dated" where the population is the customers who started in the last 12 months, "undated"
        where it is a thousand new ones, "late" where it is a thousand who have stayed for `start` periods,
        and "none" where there is no worth.
        """
        case = "late" if self.start else "dated" if self.dated else "undated"
        case = "none" if np.isnan(ends[0]) else case
        times = {"horizon": len(self.at_risk), "start": self.start}
        words |= {name: Estimate(number, unit=f"{self.period}s") for name, number in times.items()}
        words["starters"] = self.starters
        unit = f"money:{self.currency}"
        return Estimate(*ends, n=n, of="churned customer", unit=unit, case=case, words=words)


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
    min_at_risk: int = FEWEST,
) -> Losses:
    """Count who churned and what they paid, by period of life and lever.

    Args:
        life: The life table of everybody, as from `tenure.measures.subscriptions.life_table`.
        churned: Who churned and what they paid, as from `tenure.measures.subscriptions.churned_value`;
            customers who paid in a currency without a rate count at the others' price, as a note says.
        horizon: Whole periods of life that count.
        starters: Customers who started in the last 12 months; None: a thousand, as dates are not known.
        currency: The reporting currency.
        renewals: The periods of life in which terms end, which a lever of its own can reach.
        period: The unit of a period: day, week or month.
        min_at_risk: The horizon begins where so many are at risk (see `tenure.stats.lifetable.begun`); it is
            then worked out for a thousand customers who have stayed so long.

    Raises:
        InputError: The horizon is no whole number from 1 up.
    """
    if horizon < 1:
        raise InputError(f"The horizon is {horizon}, but it must be at least 1 {period}.")
    own = life.groupby("period")[["events", "entered", "censored"]].sum()
    rows = own.reindex(range(1, max([horizon, *own.index.astype(int)]) + 1), fill_value=0)
    leaving = rows["events"] + rows["censored"] - rows["entered"]
    whole = leaving[::-1].cumsum()[::-1]
    start = int(first_enough(whole.to_numpy(float)[None], min_at_risk)[0])
    place = np.arange(start + 1, start + horizon + 1)
    at_risk, events = (part.reindex(place, fill_value=0).to_numpy(float) for part in (whole, rows["events"]))

    everybody = replace(_churned(churned, place, factors), events=events)
    fate = churned.groupby(churned.get("fate", pd.Series("", churned.index)))["customers"].sum()
    churned = within_reach(churned)
    some = _churned(churned, place, factors)
    unpaid = _churned(churned[churned["cause"] == "involuntary"], place, factors)
    names = [name.format(period=period) for name in REACHED]
    parts = some.within(place == 1), some.within(np.isin(place, renewals)), unpaid
    reached = dict(zip(names, parts, strict=True))
    others = ", ".join(sorted(set(churned["currency"]) - set(factors)))
    notes = [
        f"There is no exchange rate for {others}: customers who paid in them count at the others' price."
    ]
    notes = (notes if others else []) + [
        _FATES[str(name)].format(n=f"{n:,}") for name, n in fate.items() if name
    ]
    return Losses(
        at_risk,
        everybody,
        {name: some for name, some in reached.items() if some.events.sum() > 0},
        1000 if starters is None or start else int(starters),
        starters is not None and not start,
        period,
        currency,
        tuple(notes),
        start,
    )


def within_reach(churned: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of churned customers whom something might have kept."""
    return churned[churned["fate"] == ""] if "fate" in churned else churned


def of_groups(lost: Losses, churned: pd.DataFrame, factors: Mapping[str, float]) -> Losses:
    """Return the losses with each group of customers as a lever of its own.

    Args:
        lost: As from `losses`.
        churned: As for `losses`, with a column group; "unknown" is no lever.
    """
    churned = within_reach(churned)
    place = lost.start + np.arange(1, len(lost.at_risk) + 1)
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
    sums = paid.groupby("period")[["customers", "known", "monthly", "squares"]].sum()
    sums = sums.reindex(place, fill_value=0)
    events, n, total, squares = (sums[name].to_numpy(float) for name in sums)
    price = ratio(total, n, 0.0)
    spread = np.where(n > 1, ratio(squares - n * price**2, n - 1, 0.0), 0.0)
    return Churned(events, price, np.sqrt(ratio(np.maximum(spread, 0.0), n, 0.0)))


@dataclass(frozen=True, eq=False)
class Levers:
    """What keeping some of the customers that a lever reaches is worth.

    Attributes:
        table: A row per lever, the one worth most first: `lever`, `churned` (observed, within the horizon),
            `share` (of all who churned within it), `worth` with its limits (minor units).
        losses: What it was made from.
    """

    table: Table
    losses: Losses

    def best(self, but: Collection[str] = ()) -> Estimate:
        """The lever worth most, but for some (its word `lever`), with its worth; as from `Losses.told`."""
        rows = self.table.frame[~self.table.frame["lever"].isin(list(but))]
        for row in rows.head(1).to_dict("records"):
            if row["worth"] > 0:
                ends = row["worth"], row["worth_low"], row["worth_high"]
                return self.losses.told(ends, row["churned"], lever=row["lever"])
        return self.losses.told((NAN, NAN, NAN))


def of_keeping(lost: Losses, economics: Economics, *, kept: float = 0.1, level: float = 0.95) -> Levers:
    """Estimate the worth of keeping a share of those whom each lever reaches.

    With e of the n at risk in period k reached by a lever, the hazard falls by kept e/n. A customer who is
    kept pays their own price p_k on, for V_k expected and discounted periods within the horizon,

        V_k = sum over j > k of v(j - 1) S(j - 1) / S(k),

    where v(t) is the discount factor after t periods, so that the worth is

        starters x sum over k of S'(k - 1) (kept e_k / n_k) m(p_k) V_k,

    where S' is survival with the lever and m what is left of a price (`Economics.left_of`, with a charge a
    month). With one price for all and no discount this is the rise in expected paid periods, times the price.

    Args:
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
    everybody, rows = lost.churned.events, []
    for name, some in lost.reached.items():
        rng = np.random.default_rng(0)
        events, price = _draws(lost, some, rng)
        share = ratio(some.events, everybody, 0.0)
        reached = np.vstack([some.events, rng.binomial(events[1:].astype(int), share)])
        ends = _limits(_worth(lost, economics, events, reached * kept, price), level)
        churned = some.events.sum()
        rows.append(
            {
                "lever": name,
                "churned": int(churned),
                "share": churned / everybody.sum(),
                **interval("worth", *ends),
            }
        )
    frame = pd.DataFrame(rows, columns=["lever", "churned", "share", "worth", "worth_low", "worth_high"])
    frame = frame.sort_values(["worth", "lever"], ascending=[False, True], ignore_index=True)
    units, notes = {"share": "percent", "worth": f"money:{lost.currency}"}, list(lost.notes)
    near = frame["lever"][1:][frame["worth_high"][1:] >= frame["worth_low"].iloc[:1].max()]
    if len(near):
        notes.append(f"Not clearly worth less than the first: {', '.join(near)}.")
    return Levers(Table(frame, units, notes), lost)


def of_lower_churn(lost: Losses, economics: Economics, *, level: float = 0.95) -> Estimate:
    """Estimate the worth of a point less churn per month, all hazards falling in proportion.

    The average churn is (1 - S(h)) / (S(0) + ... + S(h - 1)); where it is under two points a month, a tenth
    of a point is taken off. All hazards are multiplied by the factor that lowers it by so much; the worth is
    that of `of_keeping`, reaching everybody alike, in minor units.

    Returns:
        The worth, as from `Losses.told`; word: step (in points a month). It has none where churn is too low
        to take anything off.
    """
    average = float(_average_churn(lost.churned.events / np.maximum(lost.at_risk, 1)))
    for points in (0.01, 0.001):
        step = points * MONTHS[lost.period]
        if average > 2 * step:
            break
    else:
        return lost.told((NAN, NAN, NAN))
    events, price = _draws(lost, lost.churned, np.random.default_rng(0))
    kept = _share_kept(ratio(events, lost.at_risk, 0.0), step)
    ends = _limits(_worth(lost, economics, events, events * kept, price), level)
    return lost.told(ends, int(lost.churned.events.sum()), step=Estimate(points, unit="points"))


def save_rate(effects: pd.DataFrame | None, given: float | None = None, assumed: float = 0.2) -> Estimate:
    """Return the share of those about to leave whom an offer keeps: given, as measured, or assumed.

    Measured on everybody of the latest campaign with a hold-out it is 1 less the ratio of those who left
    (Donner and Zou 2012). Its case says which it is; a measured one has the words campaign and days.

    Args:
        effects: Rows of the contract table `campaign_effects`; None: nothing was measured.

    Example:
        >>> seen = dict(campaign="a", offer=None, by="", as_of="2026-10-31", horizon_days=90, treated=2000,
        ...             control=2000, kept_treated=1700, kept_control=1600)
        >>> round(save_rate(pd.DataFrame([seen])).value, 2), save_rate(None).case
        (0.25, 'assumed')
    """
    rows = None if effects is None else effects[(effects["by"] == "") & effects["offer"].isna()]
    if given is not None or rows is None or rows.empty:
        case = "assumed" if given is None else "given"
        return Estimate(assumed if given is None else given, unit="percent", exact=True, case=case)
    row = rows.sort_values(["as_of", "campaign"]).iloc[-1]
    arms = pd.DataFrame({"variant": ["control", "treated"], "n": [row["control"], row["treated"]]})
    left = [row[arm] - row[f"kept_{arm}"] for arm in arms["variant"]]
    found = compare_shares(arms.assign(s_converted=left), control="control").table.estimate("treated", "lift")
    words = {"campaign": row["campaign"], "days": Estimate(int(row["horizon_days"]), unit="days")}
    about: dict[str, Any] = {"n": int(arms["n"].sum()), "of": "customer", "case": "measured", "words": words}
    return replace(found.scaled(-1.0, "percent"), **about)


@dataclass(frozen=True, eq=False)
class Brought:
    """What customers bring who have left, of what all bring.

    Attributes:
        lost: The share; words: left (customers), unknown (customers without an amount); its case is "total"
            (of what was paid in all), "price" (of monthly prices) or "dated", where there is no such share.
        free: Customers who have never had a price above 0; its case is "some" or "none".
    """

    lost: Estimate
    free: Estimate


def brought(
    states: pd.DataFrame, factors: Mapping[str, float], *, total: bool = False, dated: bool = False
) -> Brought:
    """Return the share of revenue that those who have left brought.

    Args:
        states: As from `tenure.measures.value.brought`.
        total: Whether amounts are what customers have paid in all.
        dated: Whether there are dates: then monthly prices of many years do not add up, and there is no share
            of them.

    Example:
        >>> states = pd.DataFrame({"state": ["free", "left", "still on"], "currency": "EUR",
        ...                        "customers": [4, 90, 110], "known": [4, 90, 110],
        ...                        "amount": [0.0, 9000.0, 2000.0]})
        >>> found = brought(states, {"EUR": 1.0})
        >>> round(found.lost.value, 3), found.lost.case, int(found.free.value)
        (0.818, 'price', 4)
    """
    free = int(states.loc[states["state"] == "free", "customers"].sum())
    rows = states[states["state"] != "free"]
    money = rows["amount"] * rows["currency"].map(dict(factors))
    gone, whole = money[rows["state"] == "left"].sum(), money.sum()
    n, known = (int(rows[name].sum()) for name in ("customers", "known"))
    left = int(rows.loc[rows["state"] == "left", "customers"].sum())
    case = "total" if total else "dated" if dated or not whole else "price"
    about: dict[str, Any] = {"of": "customer", "unit": "percent", "exact": True, "case": case}
    lost = Estimate(
        float(gone / whole) if whole else NAN, n=known, words={"left": left, "unknown": n - known}, **about
    )
    nothing = counted(free, of="customer").saying("some" if free else "none", customers=free)
    return Brought(lost, nothing)


def _draws(lost: Losses, some: Churned, rng: np.random.Generator) -> tuple[Array, Array]:
    """Churned customers and mean prices as observed, and resampled: a row each."""
    n, d = lost.at_risk, lost.churned.events
    events = rng.binomial(n.astype(int), ratio(d, n, 0.0), (_DRAWS, len(n)))
    prices = np.maximum(rng.normal(some.price, some.error, (_DRAWS, len(n))), 0.0)
    return np.vstack([d, events]), np.vstack([some.price, prices])


def _limits(values: Array, level: float) -> tuple[float, float, float]:
    """The first value, with the quantiles of the others."""
    low, high = np.nanquantile(values[1:], [(1 - level) / 2, (1 + level) / 2])
    return float(values[0]), float(low), float(high)


def _worth(lost: Losses, economics: Economics, d: Array, kept: Array, price: Array) -> Array:
    """The worth of keeping some of those who churn, a row per draw."""
    hazard, fewer, months = ratio(d, lost.at_risk, 0.0), ratio(kept, lost.at_risk, 0.0), MONTHS[lost.period]
    before = _survival(hazard - fewer)[:, :-1]
    # V_k backwards: v(k) for the period after k, which one who is kept pays for sure, then those who stay.
    discount = economics.discount(months * np.arange(hazard.shape[1] + 1))
    ahead = np.zeros(hazard.shape)
    for k in range(hazard.shape[1] - 2, -1, -1):
        ahead[:, k] = discount[k + 1] + (1 - hazard[:, k + 1]) * ahead[:, k + 1]
    left = economics.left_of(price * months, lost.currency, charges=months, months=months)
    return lost.starters * (before * fewer * np.where(price > 0, left, 0.0) * ahead).sum(axis=1)


def _survival(hazard: Array) -> Array:
    """S(0), S(1), ..., S(horizon)."""
    start = np.ones((*hazard.shape[:-1], 1))
    return np.concatenate([start, np.cumprod(1 - hazard, axis=-1)], axis=-1)


def _average_churn(hazard: Array) -> Array:
    curve = _survival(hazard)
    return (1 - curve[..., -1]) / curve[..., :-1].sum(axis=-1)


def _share_kept(hazard: Array, step: float) -> Array:
    """The share of churned customers to keep so that the average churn falls by a step; by bisection."""
    aim = _average_churn(hazard)[:, None] - step
    low, high = np.zeros(aim.shape), np.ones(aim.shape)
    for _ in range(50):
        middle = (low + high) / 2
        above = _average_churn(hazard * (1 - middle))[:, None] > aim
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return np.where(aim > 0, (low + high) / 2, NAN)
