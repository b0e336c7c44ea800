"""What customers cost and bring: cost to win them, when it is earned back, and what they are worth."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tenure.errors import InputError, NotApplicable
from tenure.models.rates import acquisition_cost
from tenure.result import Estimate
from tenure.stats.intervals import NOTHING
from tenure.stats.lifetable import Array, check_level

_LEAST = 3  # cohorts that must be ripe at an age

# How columns of the table read.
TITLES = {
    f"{name}{end}": f"{title}{end}"
    for name, title in (("cac", "CAC"), ("ltv", "LTV"), ("ratio", "LTV:CAC"))
    for end in ("", "_low", "_high")
}


@dataclass(frozen=True)
class Whole:
    """What a new customer of any channel costs and brings.

    Attributes:
        cac: The cost, in minor units.
        ltv: The margin within the months that were seen, in minor units.
        ratio: The margin over the cost.
        payback: The first month in which the margin covers the cost.
    """

    cac: Estimate
    ltv: Estimate
    ratio: Estimate
    payback: Estimate


@dataclass(frozen=True, eq=False)
class UnitEconomics:
    """What a new customer costs and brings, by channel.

    Attributes:
        table: A row a channel, dearest first: channel, customers, spend, cac, cac_low, cac_high, ltv,
            ltv_low, ltv_high, ratio (ltv over cac), ratio_low, ratio_high, payback, payback_low, payback_high
            (months; infinite where not within `horizon`), money in minor units.
        curve: A row a channel and month of life: channel, month (1, 2, ...), customers (in ripe cohorts) and
            margin (so far, a customer).
        horizon: Months that were seen of at least three cohorts, at most those asked for.
        level: Level of the intervals.
    """

    table: pd.DataFrame
    curve: pd.DataFrame
    horizon: int
    level: float

    @property
    def whole(self) -> Whole:
        """The numbers of all channels together."""
        row = self.table[self.table["channel"] == "all channels"].iloc[0].drop("channel").to_dict()
        number = {str(name): float(value) for name, value in row.items()}
        ends = {
            name: Estimate(
                number[name],
                number[f"{name}_low"],
                number[f"{name}_high"],
                int(number["customers"]),
                level=self.level,
            )
            for name in ("cac", "ltv", "ratio", "payback")
        }
        return Whole(**ends)


def unit_economics(
    cohorts: pd.DataFrame,
    spend: pd.DataFrame,
    *,
    margin: float,
    until: int,
    rates: Mapping[str, float] | None = None,
    horizon: int = 24,
    window: int = 12,
    discount: float = 0.0,
    level: float = 0.95,
    resamples: int = 999,
    seed: int = 0,
) -> UnitEconomics:
    """Set what customers bring against what they cost, by channel and for all channels together.

    The revenue of a month of life is what all cohorts that were old enough for it by `until` paid a month,
    over all their customers, gone ones included: cohorts that are too young count in no month they have
    not lived. Nothing is extrapolated beyond the ages that were seen. Payback is the first month in which
    the margin so far covers the cost. Intervals of LTV, of its ratio to the cost and of payback come from
    drawing whole cohorts anew (a bootstrap by clusters), their spend with them.

    Args:
        cohorts: As from `tenure.measures.revenue.revenue_cohorts` by channel: cohort, group, currency,
            month, change_minor, joined.
        spend: As from `tenure.measures.acquisition.spend`: month, channel, currency, amount_minor.
        margin: Gross margin as a fraction of revenue.
        until: The last whole month.
        rates: Value of one unit of each currency in the reporting currency; None: all are one.
        horizon: Months of life to look at.
        window: The cost is that of the last so many months.
        discount: Discount rate a year, as a fraction.
        level: Level of the intervals.
        resamples: How many times cohorts are drawn anew.
        seed: Seed of the draws.

    Raises:
        InputError: The margin is no fraction above 0.
        NotApplicable: There is no cohort that is old enough.

    Example:
        >>> cohorts = pd.DataFrame({"cohort": [1, 2, 3, 4], "group": "ads", "currency": "EUR",
        ...     "month": [1, 2, 3, 4], "change_minor": 1000, "joined": 10})
        >>> spend = pd.DataFrame({"month": [1, 2, 3, 4], "channel": "ads", "currency": "EUR",
        ...     "amount_minor": 1500})
        >>> found = unit_economics(cohorts, spend, margin=1.0, until=4, horizon=2)
        >>> found.table[["cac", "ltv", "payback"]].head(1).values.tolist()
        [[150.0, 200.0, 2.0]]
    """
    check_level(level)
    if not 0 < margin <= 1:
        raise InputError(
            f"`margin` must be a fraction above 0 and at most 1, such as 0.75; it is {margin!r}."
        )
    value = _valued(cohorts, "change_minor", rates)
    cost = _valued(spend, "amount_minor", rates)
    value = value[value["cohort"] <= until]
    if value.empty:
        raise NotApplicable("No customers have been won yet whose revenue could be set against their cost.")
    first = int(value["cohort"].min())
    months = np.arange(first, until + 1)
    ages = np.arange(len(months))
    ripe = months[:, None] + ages[None, :] <= until
    reach = min(horizon, int((ripe.sum(axis=0) >= _LEAST).sum()))
    if reach == 0:
        raise NotApplicable(f"Unit economics need {_LEAST} months of new customers; there are {len(months)}.")
    ripe = ripe[:, :reach]
    kept = (1 + discount) ** (-np.arange(reach) / 12)
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(len(months), np.full(len(months), 1 / len(months)), size=resamples)
    recent = np.arange(len(months)) >= len(months) - window

    names = sorted(set(value["group"].astype(str)) | set(cost["channel"].astype(str)))
    rows, curves = [], []
    for name in [*names, "all channels"]:
        own = value if name == "all channels" else value[value["group"] == name]
        paid = cost if name == "all channels" else cost[cost["channel"] == name]
        joined = _by_month(own.groupby("cohort")["joined"].sum(), months)
        money = _by_month(paid.groupby("month")["value"].sum(), months)
        revenue = _triangle(own, months, reach)
        if joined.sum() == 0:
            continue
        monthly, heads = _monthly(revenue, joined, ripe, np.ones((1, len(months))))
        so_far = margin * np.cumsum(monthly[0])
        curves.append(
            pd.DataFrame(
                {"channel": name, "month": np.arange(1, reach + 1), "customers": heads[0], "margin": so_far}
            )
        )
        again, _ = _monthly(revenue, joined, ripe, draws)
        worth = margin * (monthly[0] * kept).sum()
        worths = margin * (again * kept).sum(axis=1)
        won, spent = int(joined[recent].sum()), float(money[recent].sum())
        price = (
            acquisition_cost(spent, won, level=level)
            if spent
            else Estimate(math.nan, math.nan, math.nan, won)
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            prices = (draws * recent) @ money / ((draws * recent) @ joined)
        backs = _payback(margin * np.cumsum(again, axis=1), prices)
        rows.append(
            {
                "channel": name,
                "customers": won,
                "spend": spent,
                "cac": price.value,
                "cac_low": price.low,
                "cac_high": price.high,
                "ltv": worth,
                **_ends("ltv", worths, level),
                "ratio": worth / price.value if spent and won else math.nan,
                **_ends("ratio", worths / prices if spent else np.full(resamples, math.nan), level),
                "payback": float(_payback(so_far[None, :], np.array([price.value]))[0])
                if spent
                else math.nan,
                **_ends("payback", backs if spent else np.full(resamples, math.nan), level),
            }
        )
    table = pd.DataFrame(rows)
    whole = table["channel"] == "all channels"
    table = pd.concat([table[~whole].sort_values("cac", ascending=False, kind="stable"), table[whole]])
    return UnitEconomics(table.reset_index(drop=True), pd.concat(curves, ignore_index=True), reach, level)


def horizon_of(cohorts: pd.DataFrame, *, until: int, longest: int = 24) -> int:
    """Return for how many months of life customers are valued: two years, or one where two are too many.

    It is too many where a year ago so old an age had not been seen of enough cohorts, so that there would be
    nothing to compare with.

    Args:
        cohorts: As from `tenure.measures.revenue.revenue_cohorts`.
        until: The last whole month.
        longest: The most months.

    Example:
        >>> [horizon_of(pd.DataFrame({"cohort": [first]}), until=40) for first in (0, 9)]
        [24, 12]
    """
    seen = until - 12 - int(cohorts["cohort"].min()) + 1 if len(cohorts) else 0
    return longest if seen >= longest + _LEAST - 1 else min(12, longest)


def earlier_economics(
    cohorts: pd.DataFrame,
    spend: pd.DataFrame,
    like: UnitEconomics,
    *,
    until: int,
    margin: float,
    rates: Mapping[str, float] | None = None,
    discount: float = 0.0,
) -> Whole:
    """Estimate what a new customer cost and brought as it stood at an earlier month.

    Args:
        cohorts: As for `unit_economics`.
        spend: As for `unit_economics`.
        like: What it is compared with, over as many months of life.
        until: The earlier month.
        margin: Gross margin as a fraction of revenue.
        rates: Value of one unit of each currency in the reporting currency; None: all are one.
        discount: Discount rate a year, as a fraction.

    Returns:
        The numbers of all channels; nothing where so old an age had not been seen by then.
    """
    terms = {"rates": rates, "discount": discount, "horizon": like.horizon, "level": like.level}
    paid = spend[spend["month"] <= until]
    try:
        found = unit_economics(cohorts, paid, margin=margin, until=until, **terms)  # type: ignore[arg-type]
    except NotApplicable:
        return Whole(NOTHING, NOTHING, NOTHING, NOTHING)
    whole = found.whole
    if found.horizon == like.horizon:
        return whole
    # Within fewer months the margin is another number; a month in which the cost was covered is not.
    covered = math.isfinite(whole.payback.value)
    return Whole(whole.cac, NOTHING, NOTHING, whole.payback if covered else NOTHING)


def cost_of_customer(
    spend: pd.DataFrame,
    won: pd.DataFrame,
    month: int,
    *,
    rates: Mapping[str, float] | None = None,
    level: float = 0.95,
) -> Estimate:
    """Estimate what a customer cost in a month, over all channels.

    Args:
        spend: As from `tenure.measures.acquisition.spend`.
        won: As from `tenure.measures.acquisition.customers_won`.
        month: The month.
        rates: Value of one unit of each currency in the reporting currency; None: all are one.
        level: Level of the interval.

    Example:
        >>> spend = pd.DataFrame({"month": [1], "channel": "ads", "currency": "EUR", "amount_minor": [1000]})
        >>> won = pd.DataFrame({"month": [1], "group": "all", "customers": [10]})
        >>> cost_of_customer(spend, won, 1).value
        100.0
    """
    paid = _valued(spend[spend["month"] == month], "amount_minor", rates)["value"].sum()
    heads = int(won.loc[won["month"] == month, "customers"].sum())
    return (
        acquisition_cost(float(paid), heads, level=level)
        if paid
        else Estimate(math.nan, math.nan, math.nan, 0)
    )


def naive_value(arpa: float, margin: float, churn: Estimate) -> Estimate:
    """Return ARPA x margin / churn, the customer value that is often quoted.

    It takes the churn of one month for everybody's for ever. Without churn it has no value, only a lower
    bound.

    Example:
        >>> naive_value(1000.0, 0.8, Estimate(0.04, 0.03, 0.05, 500)).value.__round__()
        20000
        >>> naive_value(1000.0, 0.8, Estimate(0.0, 0.0, 0.02, 200)).low.__round__()
        40000
    """
    money = arpa * margin
    value, low, high = (
        money / rate if rate and not math.isnan(rate) else math.nan
        for rate in (churn.value, churn.high, churn.low)
    )
    return Estimate(value, low, high, churn.n, level=churn.level)


def revenue_matrix(
    cohorts: pd.DataFrame,
    *,
    until: int,
    rates: Mapping[str, float] | None = None,
    since: dt.date | None = None,
    newest: int | None = None,
    ages: int | None = None,
) -> pd.DataFrame:
    """Lay out what cohorts still pay a month, as a share of what they paid at the end of their first month.

    Args:
        cohorts: As from `tenure.measures.revenue.revenue_cohorts`.
        until: The last whole month.
        rates: Value of one unit of each currency, the same in all months; None: all are one.
        since: Cohorts of months that had begun by this day are left out: not all of them were seen.
        newest: Keep this many of the newest cohorts; None: all.
        ages: Keep this many ages; None: all.

    Returns:
        A row a cohort (its month), a column a month of age; NaN where a cohort is too young.

    Example:
        >>> cohorts = pd.DataFrame({"cohort": [24320, 24320, 24321], "group": "all", "currency": "EUR",
        ...     "month": [24320, 24321, 24321], "change_minor": [1000, -300, 500], "joined": [2, 0, 1]})
        >>> revenue_matrix(cohorts, until=24321).round(2).to_dict("list")
        {0: [1.0, 1.0], 1: [0.7, nan]}
    """
    value = _valued(cohorts, "change_minor", rates)
    value = value[value["cohort"] <= until]
    if value.empty:
        return pd.DataFrame(index=pd.Index([], name="cohort"))
    months = np.arange(int(value["cohort"].min()), until + 1)
    revenue = _triangle(value, months, len(months))
    joined = _by_month(value.groupby("cohort")["joined"].sum(), months)
    ripe = months[:, None] + np.arange(len(months))[None, :] <= until
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = np.where(ripe & (revenue[:, :1] > 0), revenue / revenue[:, :1], np.nan)
    labels = [f"{month // 12}-{month % 12 + 1:02d}" for month in months]
    matrix = pd.DataFrame(shares, index=pd.Index(labels, name="cohort"), columns=range(len(months)))
    whole = joined > 0
    if since is not None:
        whole &= months > since.year * 12 + since.month - 1 - (since.day == 1)
    return matrix[whole].tail(newest or len(matrix)).iloc[:, :ages]


def _valued(frame: pd.DataFrame, column: str, rates: Mapping[str, float] | None) -> pd.DataFrame:
    rate = 1.0 if rates is None else frame["currency"].map(dict(rates)).astype(float).fillna(0.0)
    return frame.assign(value=frame[column].astype(float) * rate)


def _by_month(series: pd.Series, months: Array) -> Array:
    return series.reindex(months, fill_value=0).to_numpy(dtype=float)


def _triangle(value: pd.DataFrame, months: Array, reach: int) -> Array:
    """Monthly revenue by cohort (rows) and age (columns)."""
    changes = np.zeros((len(months), max(reach, 1)))
    age = (value["month"] - value["cohort"]).to_numpy(dtype=int)
    row = (value["cohort"] - months[0]).to_numpy(dtype=int)
    seen = age < changes.shape[1]
    np.add.at(changes, (row[seen], age[seen]), value["value"].to_numpy(dtype=float)[seen])
    return np.cumsum(changes, axis=1)


def _monthly(revenue: Array, joined: Array, ripe: Array, weights: Array) -> tuple[Array, Array]:
    """Revenue a customer by age, and the customers it rests on, for each row of weights of the cohorts."""
    heads = weights @ (joined[:, None] * ripe)
    with np.errstate(divide="ignore", invalid="ignore"):
        monthly = np.where(heads > 0, weights @ (revenue * ripe) / heads, np.nan)
    # A draw without a cohort of that age takes the age before.
    for age in range(1, monthly.shape[1]):
        monthly[:, age] = np.where(np.isnan(monthly[:, age]), monthly[:, age - 1], monthly[:, age])
    return np.nan_to_num(monthly), heads.astype(np.int64)


def _payback(margin: Array, prices: Array) -> Array:
    """The first month whose margin so far covers the price; infinite where none does, NaN without price."""
    covered = margin >= prices[:, None]
    months = np.where(covered.any(axis=1), covered.argmax(axis=1) + 1.0, np.inf)
    return np.where(np.isnan(prices), np.nan, months)


def _ends(name: str, draws: Array, level: float) -> dict[str, float]:
    known = np.sort(draws[~np.isnan(draws)])
    if len(known) == 0:
        return {f"{name}_low": math.nan, f"{name}_high": math.nan}
    tail = (1 - level) / 2
    at = [known[min(int(share * len(known)), len(known) - 1)] for share in (tail, 1 - tail)]
    return {f"{name}_low": float(at[0]), f"{name}_high": float(at[1])}
