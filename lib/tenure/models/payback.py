"""What new customers cost and bring: the cost of one (CAC), its payback, the margin within months (LTV).

`cohorts` are as from `tenure.measures.revenue.revenue_cohorts` (cohort, group, currency, month, change_minor,
change_paying, joined), `spend` as from `tenure.measures.acquisition.spend` (month, channel, currency,
amount_minor; None: it is not known); `currency` is the reporting currency, `factors` its minor units for one
of each currency, `until` the last whole month. Margin, payment fees, cost to serve and discount rate are the
company's (`tenure.economics`), with one charge per month for each paying customer. A margin is that within
the months named, never that of a lifetime.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from tenure.economics import Economics
from tenure.models.cohorts import matrix
from tenure.models.metrics import Metrics, compared
from tenure.models.rates import acquisition_cost
from tenure.privacy import few
from tenure.result import NAN, Estimate, Table
from tenure.stats.intervals import NOTHING
from tenure.stats.lifetable import Array

ALL, PAID = "all channels", "paid channels"

_LEAST = 3  # cohorts that must be mature at an age
_WINDOW = 12  # months whose spend and new customers make the cost of one
_RESAMPLES = 999
_LEVEL = 0.95


@dataclass(frozen=True, eq=False)
class UnitEconomics:
    """What a new customer costs and brings, by channel.

    Attributes:
        table: A row per channel of enough people to be named, the most expensive first, then the paid
            channels together (where others cost nothing) and all channels: channel, customers, spend, cac,
            ltv, ratio (ltv over cac) and payback (months; infinite where not within `horizon`), each with its
            limits.
        curve: A row per channel and month of life: channel, month (1, 2, ...), customers (in mature cohorts)
            and margin (so far, per customer).
        horizon: Months that were observed of at least three cohorts, at most those asked for.
        why: Why nothing can be said, in a sentence; empty otherwise.
        metrics: acquisition.ltv_cac and acquisition.payback of all channels, beside what they were. Words:
            horizon and, where customers of other channels cost nothing, paid: the ratio of the paid channels
            alone. Cases of the ratio: "some cost nothing"; of payback: "reached", "not reached"; of both:
            "not available".
    """

    table: Table
    curve: Table
    horizon: int
    metrics: Metrics
    why: str = ""

    def slowest(self) -> Estimate:
        """Return the payback of the channel that is earned back last.

        Words: channel, horizon; cases: "reached", "not reached", and "not available" where there are not two.
        """
        rows = pd.DataFrame({"channel": []}) if self.why else self.table.frame.dropna(subset="cac")
        rows = rows[~rows["channel"].isin([ALL, PAID])]
        if len(rows) < 2:
            return replace(NOTHING, unit="months", case="not available")
        rows = rows.sort_values("payback", kind="stable")
        channel, payback = rows["channel"].iloc[-1], float(rows["payback"].iloc[-1])
        case = "reached" if np.isfinite(payback) else "not reached"
        words = {"channel": channel, "horizon": Estimate(self.horizon, unit="months")}
        return Estimate(payback, unit="months", case=case, words=words)


def unit_economics(
    cohorts: pd.DataFrame,
    spend: pd.DataFrame | None,
    economics: Economics,
    *,
    currency: str,
    factors: Mapping[str, float],
    until: int,
    horizon: int | None = None,
) -> UnitEconomics:
    """Compare what customers bring with what they cost, by channel and for all channels together.

    The margin of a month of life is that of all cohorts that were old enough for it by `until`, over all
    their customers, churned ones included: immature cohorts do not count in months that they have not lived.
    Nothing is extrapolated beyond the ages that were observed. Cost is that of the last twelve months.
    Payback is the first month in which the margin so far covers the cost; it is not discounted, while the
    margin within the horizon (LTV) is. Intervals come from 999 resamples of cohorts (a bootstrap by
    clusters), their spend with them. The month before and a year ago rest on the same cohorts, so the same
    resamples give the interval of each difference. Months of life are
    counted up to `horizon`; None: as `horizon_of` the company's.

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
    if spend is None:
        return _nothing("Spend on these customers is not known, so neither is what one costs.")
    value = _valued(cohorts[cohorts["cohort"] <= until], "change_minor", factors)
    cost = _valued(spend, "amount_minor", factors)
    if value.empty:
        return _nothing("No customers have been acquired whose revenue could be set against their cost.")
    horizon = horizon or horizon_of(cohorts, until=until, longest=economics.horizon_months)
    months = np.arange(int(value["cohort"].min()), until + 1)
    reach = _reach(len(months), horizon)
    if reach == 0:
        return _nothing(f"Unit economics need {_LEAST} months of new customers; there are {len(months)}.")
    draws = np.random.default_rng(0).multinomial(
        len(months), np.full(len(months), 1 / len(months)), size=_RESAMPLES
    )
    # The first row is the estimate itself: every cohort counts once.
    weights = np.vstack([np.ones((1, len(months)), dtype=int), draws])
    unit = f"money:{currency}"
    by_channel = set(cohorts["group"]) if economics.commission_by == "channel" else set()

    rows, curves, channels = [], [], {}
    for name, (own, paid) in _by_channel(value, cost, months).items():
        joined = _by_month(own.groupby("cohort")["joined"].sum(), months)
        if joined.sum() == 0:
            continue
        revenue, paying = (
            _triangle(own, column, months, reach) for column in ("change_minor", "change_paying")
        )
        spent = _by_month(paid.groupby("month")["amount_minor"].sum(), months)
        facts = economics.of(name) if name in by_channel else economics
        margin = facts.left_of(revenue, currency, charges=paying, months=paying)
        channels[name] = margin, joined, spent
        found, so_far, size = _outcomes(*channels[name], economics, weights)
        acquired, money = int(joined[-_WINDOW:].sum()), float(spent[-_WINDOW:].sum())
        row = {"channel": name, "customers": acquired, "spend": money}
        cac = acquisition_cost(money, acquired, unit=unit) if money else NOTHING
        for part, one in {"cac": cac, **{part: _estimate(found[part]) for part in found}}.items():
            row |= {part: one.value, f"{part}_low": one.low, f"{part}_high": one.high}
        rows.append(row)
        ages = range(1, reach + 1)
        curves.append(pd.DataFrame({"channel": name, "month": ages, "customers": size, "margin": so_far}))
    frame = pd.DataFrame(rows)
    last = frame["channel"].isin([ALL, PAID])
    named = frame[~last][~few(frame[~last], "customers")]
    frame = pd.concat([named.sort_values("cac", ascending=False, kind="stable"), frame[last]])
    units = {**dict.fromkeys(("spend", "cac", "ltv"), unit), "ratio": "ratio", "payback": "months"}

    def at(back: int, name: str = ALL) -> dict[str, Array]:
        """The samples as they were some months before, over as many months of life."""
        known = len(months) - back
        own = min(reach, _reach(known, reach))
        if own == 0:
            return {}
        margin, joined, spent = (part[:known] for part in channels[name])
        found, *_ = _outcomes(margin[:, :own], joined, spent, economics, weights[:, :known])
        # Within fewer months the margin is another number; a month in which the cost was covered is not.
        return found if own == reach else {"payback": found["payback"]}

    why = f"Nobody was acquired in the last {_WINDOW} months at a cost that is known."
    n, now = int(frame["customers"].iloc[-1]), at(0)
    words: dict[str, Any] = {"horizon": Estimate(reach, unit="months"), "why": why}
    if PAID in channels:
        words["paid"] = _estimate(at(0, PAID)["ratio"], unit="ratio")
    sides: list[dict[str, Estimate]] = []
    for then, label in ((at(1), "the month before"), (at(12), "a year ago")):
        side = {}
        for part, name, case in (
            ("ratio", "acquisition.ltv_cac", "some cost nothing" if PAID in channels else ""),
            ("payback", "acquisition.payback", "reached"),
        ):
            one = _estimate(now[part], n=n, of="new customer", unit=units[part])
            if part in then:
                with np.errstate(invalid="ignore"):
                    paired = _estimate(now[part] - then[part], unit=units[part])
                one = compared(one, _estimate(then[part], unit=units[part]), label, paired)
            case = "not available" if np.isnan(one.value) else case if one.known else "not reached"
            side[name] = one.saying(case, **words)
        sides.append(side)
    every = pd.concat(curves, ignore_index=True)
    curve = Table(every[every["channel"].isin(frame["channel"])].reset_index(drop=True), {"margin": unit})
    return UnitEconomics(Table(frame.reset_index(drop=True), units), curve, reach, Metrics(*sides))


def _nothing(why: str) -> UnitEconomics:
    nothing = replace(NOTHING, case="not available", words={"why": why})
    found = {"acquisition.ltv_cac": nothing, "acquisition.payback": replace(nothing, unit="months")}
    return UnitEconomics(Table(pd.DataFrame()), Table(pd.DataFrame()), 0, Metrics(found, found), why)


def horizon_of(cohorts: pd.DataFrame, *, until: int, longest: int = 24) -> int:
    """Return for how many months of life customers are valued: `longest`, or a year where that is too many.

    It is too many where a year ago too few cohorts had been observed to that age, so that there would be
    nothing to compare with.

    Example:
        >>> [horizon_of(pd.DataFrame({"cohort": [first]}), until=40) for first in (0, 9)]
        [24, 12]
    """
    seen = until - 12 - int(cohorts["cohort"].min()) + 1 if len(cohorts) else 0
    return longest if seen >= longest + _LEAST - 1 else min(12, longest)


def cost_per_customer(
    spend: pd.DataFrame | None,
    acquired: pd.DataFrame,
    month: int,
    *,
    currency: str,
    factors: Mapping[str, float],
) -> Metrics:
    """Estimate what a customer cost in a month, over all channels, beside what one cost before.

    Returns:
        acquisition.cac, from spend and `customers_won`; nothing where nothing was spent.

    Example:
        >>> spend = pd.DataFrame(dict(month=[24321], channel="ads", currency="EUR", amount_minor=[1000]))
        >>> acquired = pd.DataFrame({"month": [24321], "group": "all", "customers": [10]})
        >>> found = cost_per_customer(spend, acquired, 24321, currency="EUR", factors={"EUR": 1.0})
        >>> found["acquisition.cac"].value
        100.0
    """
    if spend is None:
        return Metrics({}, {})
    paid = _valued(spend, "amount_minor", factors).groupby("month")["amount_minor"].sum()
    people, found = acquired.groupby("month")["customers"].sum(), {}
    for then in (month, month - 1, month - 12):
        money, n = float(paid.get(then, 0.0)), int(people.get(then, 0))
        one = acquisition_cost(money, n, unit=f"money:{currency}") if money else NOTHING
        found[then] = {"acquisition.cac": replace(one, sample=(then, then))}
    return Metrics.of(found, month)


def revenue_matrix(
    cohorts: pd.DataFrame, *, until: int, factors: Mapping[str, float], since: dt.date | None = None
) -> Table:
    """Lay out what cohorts still pay per month, as a share of what they paid at the end of their first month.

    Cohorts of months that had begun by the day `since` are left out: not all of them were observed.

    Returns:
        As from `tenure.models.cohorts.matrix`: the newest 24 cohorts up to the age of twelve months.

    Example:
        >>> cohorts = pd.DataFrame({"cohort": [24320, 24320, 24321], "group": "all", "currency": "EUR",
        ...     "month": [24320, 24321, 24321], "change_minor": [1000, -300, 500], "joined": [2, 0, 1]})
        >>> revenue_matrix(cohorts, until=24321, factors={"EUR": 1.0}).frame.round(2).to_dict("list")
        {'cohort': ['2026-09', '2026-10'], '0': [1.0, 1.0], '1': [0.7, nan]}
    """
    value = _valued(cohorts[cohorts["cohort"] <= until], "change_minor", factors)
    if since is not None:
        first = since.year * 12 + since.month - (since.day == 1)
        value = value[value["cohort"] >= first]
    months = np.arange(int(value["cohort"].min()), until + 1) if len(value) else np.arange(0)
    revenue = _triangle(value, "change_minor", months, len(months))
    row, age = np.nonzero(_mature(len(months), len(months)) & (revenue[:, :1] > 0))
    triangle = pd.DataFrame(
        {"cohort": months[row], "period": age, "size": revenue[row, 0], "stayed": revenue[row, age]}
    )
    return matrix(triangle, until=12, newest=24)


def _reach(months: int, horizon: int) -> int:
    """The ages that at least three cohorts of so many months have lived."""
    return max(min(horizon, months - _LEAST + 1), 0)


def _mature(months: int, ages: int) -> Array:
    return np.arange(months)[:, None] + np.arange(ages)[None, :] < months


def _valued(frame: pd.DataFrame, column: str, factors: Mapping[str, float]) -> pd.DataFrame:
    factor = frame["currency"].map(dict(factors)).astype(float).fillna(0.0)
    return frame.assign(**{column: frame[column] * factor})


def _by_channel(
    value: pd.DataFrame, cost: pd.DataFrame, months: Array
) -> dict[str, tuple[pd.DataFrame, pd.DataFrame]]:
    """Each channel's cohorts and spend, those of the paid channels where some are not, and all."""
    recent = cost[cost["month"].isin(months[-_WINDOW:]) & (cost["amount_minor"] > 0)]
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


def _triangle(value: pd.DataFrame, column: str, months: Array, ages: int) -> Array:
    """What the changes of a column have added up to, by cohort (rows) and age (columns)."""
    changes = value.assign(age=value["month"] - value["cohort"]).pivot_table(
        index="cohort", columns="age", values=column, aggfunc="sum", fill_value=0.0
    )
    changes = changes.reindex(index=months, columns=range(ages), fill_value=0.0)
    return changes.to_numpy(dtype=float).cumsum(axis=1)


def _outcomes(
    margin: Array, joined: Array, spent: Array, economics: Economics, weights: Array
) -> tuple[dict[str, Array], Array, Array]:
    """LTV, LTV:CAC and payback for each row of weights of cohorts; margin and size by age of the first."""
    months, ages = margin.shape
    mature = _mature(months, ages)
    recent = np.arange(months) >= months - _WINDOW
    size = weights @ (joined[:, None] * mature)
    with np.errstate(divide="ignore", invalid="ignore"):
        monthly = np.where(size > 0, weights @ (margin * mature) / size, NAN)
        # A resample without a cohort of that age takes the age before.
        monthly = np.nan_to_num(pd.DataFrame(monthly).ffill(axis=1).to_numpy())
        cost = (weights * recent) @ spent / ((weights * recent) @ joined)
        cost = cost if spent[recent].any() else np.full(len(weights), NAN)
        value = (monthly * economics.discount(np.arange(ages))).sum(axis=1)
        so_far = np.cumsum(monthly, axis=1)
        covered = so_far >= cost[:, None]
        first = np.where(covered.any(axis=1), covered.argmax(axis=1) + 1.0, np.inf)
        found = {"ltv": value, "ratio": value / cost, "payback": np.where(np.isnan(cost), NAN, first)}
    return found, so_far[0], size[0].astype(np.int64)


def _estimate(samples: Array, **about: Any) -> Estimate:
    """The first sample with the limits of the others."""
    known = np.sort(samples[1:][~np.isnan(samples[1:])])
    if len(known) == 0 or np.isnan(samples[0]):
        return Estimate(float(samples[0]), **about)
    low, high = (
        float(known[min(int(share * len(known)), len(known) - 1)])
        for share in ((1 - _LEVEL) / 2, (1 + _LEVEL) / 2)
    )
    return Estimate(float(samples[0]), low, high, **about)
