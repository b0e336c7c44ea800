"""What new customers cost and bring: the cost of one, when it is earned back, the margin within months.

`cohorts` are as from `tenure.measures.revenue.revenue_cohorts`, `spend` as from
`tenure.measures.acquisition.spend`; `factors` are minor units of the reporting currency for one of each
currency. Margin, payment fees, cost to serve and discount rate are the company's (`tenure.economics`), with a
charge a month of each customer who pays. A margin is that within the months named, never that of a lifetime.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from tenure.economics import Economics
from tenure.models.rates import Course, acquisition_cost, compared
from tenure.result import Estimate, Table
from tenure.stats.intervals import NOTHING
from tenure.stats.lifetable import Array, check_level

_LEAST = 3  # cohorts that must be mature at an age
ALL, PAID = "all channels", "paid channels"


@dataclass(frozen=True, eq=False)
class UnitEconomics:
    """What a new customer costs and brings, by channel.

    Attributes:
        table: A row a channel, the most expensive first, then the paid channels together (where others cost
            nothing) and all channels: channel, customers, spend, cac, ltv, ratio (ltv over cac) and payback
            (months; infinite where not within `horizon`), each with its limits.
        curve: A row a channel and month of life: channel, month (1, 2, ...), customers (in mature cohorts)
            and margin (so far, a customer).
        horizon: Months that were observed of at least three cohorts, at most those asked for.
        why: Why there is nothing to say, in a sentence; empty otherwise.
        course: acquisition.ltv_cac and acquisition.payback of all channels, beside what they were. Words:
            horizon and, where customers of other channels cost nothing, paid: the ratio of the paid channels
            alone. Cases of the ratio: "some cost nothing"; of payback: "reached", "not reached"; of both:
            "not available".
    """

    table: Table
    curve: Table
    horizon: int
    course: Course
    why: str = ""

    def slowest(self) -> Estimate:
        """Return the payback of the channel that is earned back last.

        Words: channel, horizon; cases: "reached", "not reached", and "not available" where there are not two.
        """
        if self.why:
            return replace(NOTHING, unit="months", case="not available")
        rows = self.table.frame.dropna(subset="cac")
        rows = rows[~rows["channel"].isin([ALL, PAID])].sort_values("payback", kind="stable")
        if len(rows) < 2:
            return replace(NOTHING, unit="months", case="not available")
        last = rows.iloc[-1]
        case = "reached" if np.isfinite(last["payback"]) else "not reached"
        words = {"channel": last["channel"], "horizon": Estimate(self.horizon, unit="months")}
        return Estimate(float(last["payback"]), unit="months", case=case, words=words)


def unit_economics(
    cohorts: pd.DataFrame,
    spend: pd.DataFrame | None,
    economics: Economics,
    *,
    currency: str,
    factors: Mapping[str, float],
    until: int,
    horizon: int = 24,
    window: int = 12,
    level: float = 0.95,
    resamples: int = 999,
    seed: int = 0,
) -> UnitEconomics:
    """Set what customers bring against what they cost, by channel and for all channels together.

    The margin of a month of life is that of all cohorts that were old enough for it by `until`, over all
    their customers, churned ones included: immature cohorts count in no month they have not lived. Nothing
    is extrapolated beyond the ages that were observed. Payback is the first month in which the margin so far
    covers the cost; it is not discounted, while the margin within the horizon (LTV) is. Intervals come from
    resampled cohorts (a bootstrap by clusters), their spend with them. The month before and a year ago rest
    on the same cohorts, so the same resamples give the interval of each difference.

    Args:
        cohorts: By channel: cohort, group, currency, month, change_minor, change_paying, joined.
        spend: month, channel, currency, amount_minor; None: it is not known.
        economics: The company's.
        currency: The reporting currency.
        factors: Its minor units for one of each currency.
        until: The last whole month.
        horizon: Months of life to look at.
        window: The cost is that of the last so many months.
        level: Level of the intervals.
        resamples: How many times cohorts are resampled.
        seed: Seed of the resampling.

    Example:
        >>> cohorts = pd.DataFrame({"cohort": [1, 2, 3, 4], "group": "ads", "currency": "EUR",
        ...     "month": [1, 2, 3, 4], "change_minor": 1000, "change_paying": 10, "joined": 10})
        >>> spend = pd.DataFrame({"month": [1, 2, 3, 4], "channel": "ads", "currency": "EUR",
        ...     "amount_minor": 1500})
        >>> facts = Economics(margin=1.0, fee_share=0.0, fee_fixed=0.0, discount_rate=0.0)
        >>> found = unit_economics(cohorts, spend, facts, currency="EUR", factors={"EUR": 1.0}, until=4,
        ...                        horizon=2)
        >>> found.table.frame[["cac", "ltv", "payback"]].head(1).values.tolist()
        [[150.0, 200.0, 2.0]]
    """
    check_level(level)
    if spend is None:
        return _nothing("The data has no table of spend, so it cannot be said what a customer costs.")
    value = _valued(cohorts[cohorts["cohort"] <= until], ["change_minor"], factors)
    cost = _valued(spend, ["amount_minor"], factors)
    if value.empty:
        return _nothing("No customers have been acquired whose revenue could be set against their cost.")
    months = np.arange(int(value["cohort"].min()), until + 1)
    reach = _reach(len(months), horizon)
    if reach == 0:
        return _nothing(f"Unit economics need {_LEAST} months of new customers; there are {len(months)}.")
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(len(months), np.full(len(months), 1 / len(months)), size=resamples)
    # The first row is the estimate itself: every cohort counts once.
    weights = np.vstack([np.ones((1, len(months)), dtype=int), draws])
    unit_of_money = f"money:{currency}"

    rows, curves, channels = [], [], {}
    for name, (own, paid) in _by_channel(value, cost, months, window).items():
        joined = _by_month(own.groupby("cohort")["joined"].sum(), months)
        if joined.sum() == 0:
            continue
        revenue, paying = (
            _triangle(own, column, months, reach) for column in ("change_minor", "change_paying")
        )
        spent = _by_month(paid.groupby("month")["amount_minor"].sum(), months)
        margin = economics.left_of(revenue, currency, charges=paying, months=paying)
        channels[name] = margin, joined, spent
        found, so_far, heads = _outcomes(*channels[name], reach, window, economics, weights)
        acquired, cac = int(joined[-window:].sum()), NOTHING
        if money := float(spent[-window:].sum()):
            cac = acquisition_cost(money, acquired, level=level, unit=unit_of_money)
        ends = {part: _estimate(samples, level) for part, samples in found.items()}
        row = {"channel": name, "customers": acquired, "spend": money}
        for part, one in {"cac": cac, **ends}.items():
            row |= {part: one.value, f"{part}_low": one.low, f"{part}_high": one.high}
        rows.append(row)
        ages = range(1, reach + 1)
        curves.append(pd.DataFrame({"channel": name, "month": ages, "customers": heads, "margin": so_far}))
    frame = pd.DataFrame(rows)
    last = frame["channel"].isin([ALL, PAID])
    frame = pd.concat([frame[~last].sort_values("cac", ascending=False, kind="stable"), frame[last]])
    units = {**dict.fromkeys(("spend", "cac", "ltv"), unit_of_money), "ratio": "ratio", "payback": "months"}

    def at(back: int, name: str = ALL) -> dict[str, Array]:
        """The samples as they stood some months before, over as many months of life."""
        known = len(months) - back
        own = min(reach, _reach(known, horizon))
        if own == 0:
            return {}
        margin, joined, spent = (part[:known] for part in channels[name])
        found, *_ = _outcomes(margin[:, :own], joined, spent, own, window, economics, weights[:, :known])
        # Within fewer months the margin is another number; a month in which the cost was covered is not.
        return found if own == reach else {"payback": found["payback"]}

    n, now, words = int(frame["customers"].iloc[-1]), at(0), {"horizon": Estimate(reach, unit="months")}
    if PAID in channels:
        words["paid"] = _estimate(at(0, PAID)["ratio"], level, unit="ratio")
    sides: list[dict[str, Estimate]] = []
    for back, label in ((1, "the month before"), (12, "a year ago")):
        then, side = at(back), {}
        for name, part, unit, case in (
            ("acquisition.ltv_cac", "ratio", "ratio", "some cost nothing" if PAID in channels else ""),
            ("acquisition.payback", "payback", "months", "reached"),
        ):
            one = _estimate(now[part], level, n=n, of="new customer", unit=unit)
            if part in then:
                with np.errstate(invalid="ignore"):
                    paired = _estimate(now[part] - then[part], level, unit=unit)
                one = compared(one, _estimate(then[part], level, unit=unit), label, paired)
            case = "not available" if np.isnan(one.value) else case if one.known else "not reached"
            side[name] = one.saying(case, **words)
        sides.append(side)
    curve = Table(pd.concat(curves, ignore_index=True), {"margin": unit_of_money})
    return UnitEconomics(Table(frame.reset_index(drop=True), units), curve, reach, Course(*sides))


def _nothing(why: str) -> UnitEconomics:
    said = replace(NOTHING, case="not available", words={"why": why})
    rates = {"acquisition.ltv_cac": said, "acquisition.payback": replace(said, unit="months")}
    return UnitEconomics(Table(pd.DataFrame()), Table(pd.DataFrame()), 0, Course(rates, rates), why)


def horizon_of(cohorts: pd.DataFrame, *, until: int, longest: int = 24) -> int:
    """Return for how many months of life customers are valued: `longest`, or a year where that is too many.

    It is too many where a year ago so old an age had not been observed of enough cohorts, so that there would
    be nothing to compare with.

    Example:
        >>> [horizon_of(pd.DataFrame({"cohort": [first]}), until=40) for first in (0, 9)]
        [24, 12]
    """
    seen = until - 12 - int(cohorts["cohort"].min()) + 1 if len(cohorts) else 0
    return longest if seen >= longest + _LEAST - 1 else min(12, longest)


def cost_course(
    spend: pd.DataFrame | None,
    acquired: pd.DataFrame,
    month: int,
    *,
    currency: str,
    factors: Mapping[str, float],
    level: float = 0.95,
) -> Course:
    """Estimate what a customer cost in a month, over all channels, beside what one cost before.

    Args:
        spend: month, channel, currency, amount_minor; None: it is not known.
        acquired: As from `tenure.measures.acquisition.customers_won`.
        month: The month.
        currency: The reporting currency.
        factors: Its minor units for one of each currency.
        level: Level of the intervals.

    Returns:
        acquisition.cac; nothing where nothing was spent.

    Example:
        >>> spend = pd.DataFrame(dict(month=[24321], channel="ads", currency="EUR", amount_minor=[1000]))
        >>> acquired = pd.DataFrame({"month": [24321], "group": "all", "customers": [10]})
        >>> found = cost_course(spend, acquired, 24321, currency="EUR", factors={"EUR": 1.0})
        >>> found["acquisition.cac"].value
        100.0
    """
    if spend is None:
        return Course({}, {})
    paid = _valued(spend, ["amount_minor"], factors).groupby("month")["amount_minor"].sum()
    heads = acquired.groupby("month")["customers"].sum()

    def at(then: int) -> dict[str, Estimate]:
        money, n = float(paid.get(then, 0.0)), int(heads.get(then, 0))
        one = acquisition_cost(money, n, level=level, unit=f"money:{currency}") if money else NOTHING
        return {"acquisition.cac": replace(one, sample=(then, then))}

    return Course.of(at(month), at(month - 1), at(month - 12), month=month)


def revenue_matrix(
    cohorts: pd.DataFrame,
    *,
    until: int,
    factors: Mapping[str, float],
    since: dt.date | None = None,
    newest: int = 24,
    ages: int = 13,
) -> Table:
    """Lay out what cohorts still pay a month, as a share of what they paid at the end of their first month.

    Args:
        cohorts: Not split by channel.
        until: The last whole month.
        factors: Minor units of the reporting currency for one of each currency, the same in all months.
        since: Cohorts of months that had begun by this day are left out: not all of them were observed.
        newest: Keep this many of the newest cohorts.
        ages: Keep this many ages.

    Returns:
        A row a cohort (its month), a column a month of age; NaN where a cohort is too young.

    Example:
        >>> cohorts = pd.DataFrame({"cohort": [24320, 24320, 24321], "group": "all", "currency": "EUR",
        ...     "month": [24320, 24321, 24321], "change_minor": [1000, -300, 500], "joined": [2, 0, 1]})
        >>> revenue_matrix(cohorts, until=24321, factors={"EUR": 1.0}).frame.round(2).to_dict("list")
        {0: [1.0, 1.0], 1: [0.7, nan]}
    """
    value = _valued(cohorts[cohorts["cohort"] <= until], ["change_minor"], factors)
    if value.empty:
        return Table(pd.DataFrame(index=pd.Index([], name="cohort")))
    months = np.arange(int(value["cohort"].min()), until + 1)
    revenue = _triangle(value, "change_minor", months, len(months))
    joined = _by_month(value.groupby("cohort")["joined"].sum(), months)
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = np.where(
            _mature(len(months), len(months)) & (revenue[:, :1] > 0), revenue / revenue[:, :1], np.nan
        )
    labels = [f"{month // 12}-{month % 12 + 1:02d}" for month in months]
    matrix = pd.DataFrame(shares, index=pd.Index(labels, name="cohort"), columns=range(len(months)))
    whole = joined > 0
    if since is not None:
        whole &= months > since.year * 12 + since.month - 1 - (since.day == 1)
    matrix = matrix[whole].tail(newest).iloc[:, :ages]
    return Table(matrix, dict.fromkeys(map(str, matrix.columns), "percent"))


def _reach(months: int, horizon: int) -> int:
    """The ages that at least three cohorts of so many months have lived."""
    return max(min(horizon, months - _LEAST + 1), 0)


def _mature(months: int, ages: int) -> Array:
    return np.arange(months)[:, None] + np.arange(ages)[None, :] < months


def _valued(frame: pd.DataFrame, columns: list[str], factors: Mapping[str, float]) -> pd.DataFrame:
    factor = frame["currency"].map(dict(factors)).astype(float).fillna(0.0)
    return frame.assign(**{name: frame[name] * factor for name in columns})


def _by_channel(
    value: pd.DataFrame, cost: pd.DataFrame, months: Array, window: int
) -> dict[str, tuple[pd.DataFrame, pd.DataFrame]]:
    """Each channel's cohorts and spend, those of the paid channels where some are not, and all."""
    recent = cost[cost["month"].isin(months[-window:]) & (cost["amount_minor"] > 0)]
    paid = set(recent["channel"].astype(str))
    names = sorted({*value["group"].astype(str), *cost["channel"].astype(str)})
    chosen: dict[str, set[str]] = {name: {name} for name in names}
    if paid and paid != set(value["group"].astype(str)):
        chosen[PAID] = paid
    chosen[ALL] = set(names)
    return {
        name: (value[value["group"].isin(some)], cost[cost["channel"].isin(some)])
        for name, some in chosen.items()
    }


def _by_month(series: pd.Series, months: Array) -> Array:
    return series.reindex(months, fill_value=0).to_numpy(dtype=float)


def _triangle(value: pd.DataFrame, column: str, months: Array, reach: int) -> Array:
    """What the changes of a column have added up to, by cohort (rows) and age (columns)."""
    changes = np.zeros((len(months), reach))
    age = (value["month"] - value["cohort"]).to_numpy(dtype=int)
    row = (value["cohort"] - months[0]).to_numpy(dtype=int)
    seen = age < reach
    np.add.at(changes, (row[seen], age[seen]), value[column].to_numpy(dtype=float)[seen])
    return np.cumsum(changes, axis=1)


def _outcomes(
    margin: Array, joined: Array, spent: Array, reach: int, window: int, economics: Economics, weights: Array
) -> tuple[dict[str, Array], Array, Array]:
    """LTV, LTV:CAC and payback for each row of weights of cohorts; margin so far and heads of the first."""
    mature = _mature(len(joined), reach)
    recent = np.arange(len(joined)) >= len(joined) - window
    heads = weights @ (joined[:, None] * mature)
    with np.errstate(divide="ignore", invalid="ignore"):
        monthly = np.where(heads > 0, weights @ (margin * mature) / heads, np.nan)
        # A resample without a cohort of that age takes the age before.
        monthly = np.nan_to_num(pd.DataFrame(monthly).ffill(axis=1).to_numpy())
        cost = (weights * recent) @ spent / ((weights * recent) @ joined)
        cost = cost if spent[recent].any() else np.full(len(weights), np.nan)
        value = (monthly * economics.discount(np.arange(reach))).sum(axis=1)
        so_far = np.cumsum(monthly, axis=1)
        covered = so_far >= cost[:, None]
        first = np.where(covered.any(axis=1), covered.argmax(axis=1) + 1.0, np.inf)
        found = {"ltv": value, "ratio": value / cost, "payback": np.where(np.isnan(cost), np.nan, first)}
    return found, so_far[0], heads[0].astype(np.int64)


def _estimate(samples: Array, level: float, **about: Any) -> Estimate:
    """The first sample with the limits of the others."""
    known = np.sort(samples[1:][~np.isnan(samples[1:])])
    if len(known) == 0 or np.isnan(samples[0]):
        return Estimate(float(samples[0]), level=level, **about)
    at = [min(int(share * len(known)), len(known) - 1) for share in ((1 - level) / 2, (1 + level) / 2)]
    return Estimate(float(samples[0]), float(known[at[0]]), float(known[at[1]]), level=level, **about)
