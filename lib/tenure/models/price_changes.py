"""Changes of price for existing customers: commitments, usage-based plans, and a price increase.

Prices and money are in minor units. `price` is what one unit costs today for each charge, `rise` what is
added to it, `earned` what a paid period leaves and how often customers pay, `horizon` how many months to
look ahead, `currency` that of written amounts (empty: they stay as they are), `unit` the unit of money and
`level` the intervals' level.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tenure import privacy
from tenure.economics import Economics
from tenure.errors import InputError, NotApplicable
from tenure.models.visitor import Earnings, discounted_curve, earnings
from tenure.money import minor_units
from tenure.result import NAN, Estimate, Table
from tenure.stats.comparison import compare_shares
from tenure.stats.lifetable import Array, check_horizon, check_level, hazards, spelled, validate, z_value
from tenure.stats.survival import kaplan_meier

# --- commitment --------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class TermDiscounts:
    """What a longer commitment may cost.

    Attributes:
        table: A row per term: `term`, `at_risk` (subscribers observed in its last month), `paid_months` (by
            the month, within the term), `largest_discount` with its interval (NaN where nobody was observed
            that long). Below 0: no discount pays.
        longest: That of the longest term that is known; its word `term` is how long.
    """

    table: Table
    longest: Estimate


def term_discounts(
    life: pd.DataFrame,
    earned: Earnings,
    *,
    price: float,
    terms: Sequence[int] = (3, 6, 12, 24),
    level: float = 0.95,
) -> TermDiscounts:
    """Estimate what a longer commitment, paid in advance, may cost.

    Who pays by the month leaves m sum over t < T of S(t) v(t) within a term of T months, m being what a month
    leaves and v the discount; one who commits pays T x (1 - d) at once, with one fee, and is served for T
    months at c each. They leave the same within the term at
    d = 1 - (m sum S(t) v(t) + c sum v(t) + fee_fixed) / ((1 - fee_share) T x). It is the largest discount for
    people who would have stayed like those by the month; those who would have stayed anyway get it for
    nothing. Where customers pay every so many months or weeks, t counts these payments; terms that are no
    longer, or that such payments do not fill, are left out. The life table is in `earned`'s periods, and of
    subscribers who pay that often. Where none of the terms is left, they are of two and three payments.

    Example:
        >>> from tenure.economics import Economics
        >>> free = Earnings(Economics(margin=1, fee_share=0, fee_fixed=0, discount_rate=0))
        >>> life = pd.DataFrame(dict(period=[1, 12], at_risk=[1000, 900], events=[100, 0], censored=[0, 900]))
        >>> found = term_discounts(life, free, price=10, terms=[12]).table.frame
        >>> found[["paid_months", "largest_discount"]].round(4).to_numpy().tolist()
        [[10.9, 0.0917]]
    """
    check_level(level)
    if price <= 0:
        raise InputError(f"`price` must be above 0; it is {price!r}.")
    curves, rows, margin = kaplan_meier(life).table.frame, [], float(earned.left(price))
    # What one payment of x leaves is x (margin - fee_share) less the fee.
    fee = -float(earned.economics.left_of(0.0, earned.currency))
    share = earned.rate * earned.quantity * (earned.economics.margin - earned.economics.fee_share)
    for term in terms:
        check_horizon(term)
    longer = [t for t in terms if not earned.periods(t) % earned.every and earned.periods(t) > earned.every]
    for term in (terms if earned.every == 1 else longer) or [2 * earned.every, 3 * earned.every]:
        periods = earned.periods(term)
        # A charge pays for the periods up to the next one.
        weights = earned.discount(periods) * earned.every * (np.arange(periods) % earned.every == 0)
        curve, variance, _ = discounted_curve(curves, weights)
        whole = share * (periods // earned.every) * price
        value = 1 - (margin * float(curve @ weights) + earned.service * float(weights.sum()) + fee) / whole
        half = z_value(level) * margin * float(np.sqrt(variance)) / whole
        observed = curves.loc[curves["period"] == min(periods, curves["period"].max()), "at_risk"]
        at_risk = int(observed.iloc[0]) if np.isfinite(value) else 0
        months = float(curve.sum()) * term / periods
        rows.append((int(term), at_risk, months, value, value - half, value + half))
    names = ["term", "at_risk", "paid_months", "largest_discount"]
    table = pd.DataFrame(rows, columns=[*names, "largest_discount_low", "largest_discount_high"])
    units = {"term": "months", "paid_months": "months", "largest_discount": "percent", "at_risk": "count"}
    found = Table(table, units)
    known = table.dropna(subset="largest_discount")["term"]
    if known.empty:
        return TermDiscounts(found, Estimate(NAN, unit="percent", level=level))
    about = {"n": int(life["at_risk"].max()), "of": "subscriber", "level": level}
    longest = found.estimate(known.max(), "largest_discount", **about)
    return TermDiscounts(found, longest.saying(term=Estimate(int(known.max()), unit="months", exact=True)))


# A bill counts as more expensive, or cheaper, if it moves by more than this share.
TOLERANCE = 0.2

# --- usage -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class UsagePlan:
    """A way to charge for use: a base that covers some units, a rate for each further one, and a cap."""

    name: str
    base: float
    included: float = 0.0
    rate: float = 0.0
    cap: float = float("inf")

    def bill(self, units: Array) -> Array:
        """Return the charge for so many units."""
        over = np.maximum(np.asarray(units, dtype=float) - self.included, 0)
        return np.minimum(self.base + self.rate * over, self.cap)


def read_plans(plans: Sequence[str], currency: str = "") -> list[UsagePlan]:
    """Read plans such as "hybrid: base 6.99, included 5, rate 0.8, cap 24.99".

    Raises:
        InputError: A plan cannot be read.

    Example:
        >>> read_plans(["metered: rate 0.5"], "EUR")
        [UsagePlan(name='metered', base=0.0, included=0.0, rate=50.0, cap=inf)]
    """
    found, one = [], minor_units(currency)
    for plan in plans:
        name, colon, rest = str(plan).partition(":")
        pairs = [pair.split() for pair in rest.split(",")]
        try:
            numbers = {key: float(value) for key, value in pairs}
            numbers |= {key: one * numbers[key] for key in ("base", "rate", "cap") if key in numbers}
            if not colon or not name.strip() or min(numbers.values()) < 0:
                raise ValueError
            found.append(UsagePlan(name.strip(), **{"base": 0.0, **numbers}))
        except (TypeError, ValueError):
            raise InputError(
                f"The parameter `plans` has the entry {plan!r}. Fix: write name: base 5, included 2, rate "
                "0.5, "
                "cap 20, none below 0, of which all but one may be left out."
            ) from None
    return found


@dataclass(frozen=True, eq=False)
class UsageBills:
    """What usage-based plans would bring on current usage.

    Attributes:
        table: A row per plan, today's first: `plan`, `revenue` (of a customer-month) and `change` (against
            today), each with its interval, `lowest` and `highest` (the 10th and the 90th percentile of
            bills), `more_expensive` and `cheaper` (shares of customer-months whose bill moves by more than
            the tolerance), `top_tenth` (share of revenue from the largest tenth of bills).
        best: The change by the plan that brings most; its word `plan` is which. NaN without plans.
    """

    table: Table
    best: Estimate


def usage_bills(
    usage: pd.DataFrame,
    plans: Sequence[UsagePlan],
    *,
    months: int = 1,
    unit: str = "number",
    level: float = 0.95,
) -> UsageBills:
    """Bill real usage by plans that nobody is on yet.

    Args:
        usage: A row per kind of customer-month: `units` (used), `paid` (for it, today) and `n` (how many).
        months: How many months there may be of one customer. They are alike, so intervals are as wide as if
            all of them were one.

    Raises:
        InputError: Units, payments or counts are missing or negative.
        NotApplicable: There is no customer-month.

    Example:
        >>> usage = pd.DataFrame({"units": [0, 10, 40], "paid": 10.0, "n": [50, 30, 20]})
        >>> bills = usage_bills(usage, [UsagePlan("metered", base=4, rate=0.5)]).table.frame
        >>> bills[["plan", "revenue", "more_expensive", "cheaper"]].values.tolist()
        [['today', 10.0, 0.0, 0.0], ['metered', 9.5, 0.2, 0.5]]
    """
    check_level(level)
    units, paid, n = (usage[c].to_numpy(dtype=float) for c in ("units", "paid", "n"))
    total = n.sum()
    if not total:
        raise NotApplicable("There is no customer-month to bill.")
    if not (np.isfinite(units) & np.isfinite(paid) & np.isfinite(n)).all() or min(units.min(), n.min()) < 0:
        raise InputError("Usage must have units, payments and counts from 0 up in every row: recount it.")

    def estimated(name: str, x: Array) -> dict[str, float]:
        mean = float((n * x).sum() / total)
        spread = float((n * (x - mean) ** 2).sum() / max(total - 1, 1) / total * months)
        half = z_value(level) * float(np.sqrt(spread))
        return {name: mean, f"{name}_low": mean - half, f"{name}_high": mean + half}

    rows = []
    for name, bill in [("today", paid), *((plan.name, plan.bill(units)) for plan in plans)]:
        order = np.argsort(bill, kind="stable")
        upto, bills = np.cumsum(n[order]) / total, bill[order]
        lowest, highest = (float(bills[np.searchsorted(upto, q - 1e-12)]) for q in (0.1, 0.9))
        top = float((np.clip(upto - np.maximum(np.r_[0, upto[:-1]], 0.9), 0, None) * bills).sum())
        found = estimated("revenue", bill) | estimated("change", bill - paid)
        found |= {"lowest": lowest, "highest": highest}
        found |= {"more_expensive": float(n[bill > paid * (1 + TOLERANCE)].sum() / total)}
        found |= {"cheaper": float(n[bill < paid * (1 - TOLERANCE)].sum() / total)}
        found |= {"top_tenth": top / found["revenue"] if found["revenue"] else NAN}
        rows.append({"plan": name} | found)
    table = pd.DataFrame(rows)
    units_of = dict.fromkeys(("revenue", "change", "lowest", "highest"), unit)
    units_of |= dict.fromkeys(("more_expensive", "cheaper", "top_tenth"), "percent")
    billed = Table(table, units_of)
    if not plans:
        return UsageBills(billed, Estimate(NAN, unit=unit, level=level))
    plan = str(table["plan"].iloc[1 + int(table["change"].iloc[1:].argmax())])
    best = billed.estimate(plan, "change", n=int(total), of="customer-month", level=level)
    return UsageBills(billed, best.saying(plan=plan))


# --- a price increase for existing customers ---------------------------------------------------------


def break_even_churn(earned: Earnings, price: float, rise: float) -> float:
    """Return the share of customers who may leave at once before a price increase loses money.

    (m(x + rise) - m(x)) / m(x + rise), m being what a month leaves: customers who stay then bring as much
    more as those who leave would have brought.

    Raises:
        InputError: A month at the new price leaves nothing.

    Example:
        >>> from tenure.economics import Economics
        >>> company = Economics(margin=1, fee_share=0, fee_fixed=0, cost_to_serve=4)
        >>> round(break_even_churn(Earnings(company), 1000, 100), 4)
        0.1429
    """
    after = float(earned.left(price + rise))
    if after <= 0:
        raise InputError(f"The new price {price + rise!r} does not cover the cost of a month.")
    return (after - float(earned.left(price))) / after


def price_increase(
    life: pd.DataFrame,
    earned: Earnings,
    *,
    customers: float,
    price: float,
    rise: float,
    horizon: int = 12,
    leave: Sequence[float] = (0.0, 0.02, 0.05, 0.1),
    waves: int = 1,
    wave_gap: int = 2,
) -> Table:
    """Estimate what a price increase earns if a share of customers leaves at it, at once or in waves.

    Today's customers go on to leave by the hazards of the ages ahead of them, averaged over their ages: they
    are assumed to be spread over ages as the numbers at risk n_k of the life table are. At once: everybody
    pays (price + rise) from their next payment, and the share x leaves at it. In waves: a `waves`-th part
    gets the rise every `wave_gap` months; if the first wave shows that it loses money (x above the
    break-even), the others are spared.

    Args:
        life: The life table of these customers, in `earned`'s periods, all as one group.
        leave: Shares who leave because of it, beside those who would have left anyway.
        waves: In how many parts.
        wave_gap: Months between them.

    Returns:
        A row per share: `leave`, `at_once` and `staged` (gain over doing nothing within the horizon), and
        `waiting_costs` (what is lost by going in waves; below 0: what it saves).

    Example:
        >>> from tenure.economics import Economics
        >>> free = Earnings(Economics(margin=1, fee_share=0, fee_fixed=0, discount_rate=0))
        >>> life = pd.DataFrame(dict(period=[1], at_risk=[100], events=[0], censored=[100]))
        >>> gain = price_increase(life, free, customers=100, price=10, rise=1, horizon=1, leave=[0, 0.1])
        >>> gain.frame["at_once"].round(2).tolist()
        [100.0, -10.0]
    """
    check_horizon(horizon)
    if waves < 1 or wave_gap < 1:
        raise InputError(
            f"`waves` and `wave_gap` must be whole numbers from 1 up; they are {waves!r}, {wave_gap!r}."
        )
    even = break_even_churn(earned, price, rise)
    periods, gap = earned.periods(horizon), earned.periods(wave_gap)
    kept = _future_of_base(life, periods) * earned.discount(periods)
    before, after = float(earned.left(price)), float(earned.left(price + rise))
    rows = []
    for share in leave:
        a_period = customers * ((1 - share) * after - before)
        at_once = float(a_period * kept.sum())
        made = range(1 if share > even else waves)
        staged = float(sum(a_period / waves * kept[wave * gap :].sum() for wave in made))
        rows.append((share, at_once, staged, at_once - staged))
    names = ["leave", "at_once", "staged", "waiting_costs"]
    units = {"leave": "percent", **dict.fromkeys(names[1:], earned.unit)}
    return Table(pd.DataFrame(rows, columns=names), units)


def _future_of_base(life: pd.DataFrame, horizon: int) -> Array:
    """Share of today's customers still there after 0, 1, ... horizon - 1 periods, over their ages."""
    counts = validate(life)
    if len(counts.groups) > 1:
        raise InputError("A price increase looks at one group at a time: pass one group of the life table.")
    at_risk, hazard = counts.at_risk[0], hazards(counts)[0]
    last = hazard[at_risk > 0][-6:]
    long = np.concatenate([hazard, np.full(horizon, last.mean() if len(last) else 0.0)])
    ages = at_risk / at_risk.sum()
    curves = np.array([np.r_[1, np.cumprod(1 - long[k : k + horizon - 1])] for k in range(len(ages))])
    return ages @ curves


def last_rise(rises: pd.DataFrame, *, smallest: int = 100) -> dt.date | None:
    """Return the first day of the month in which the prices of most subscriptions rose, `smallest` at least.

    Args:
        rises: What `measures.research.price_rises` gives.

    Example:
        >>> last_rise(pd.DataFrame({"month": [24290, 24302], "raised": [3, 400]}))
        datetime.date(2025, 3, 1)
    """
    if rises.empty or rises["raised"].max() < smallest:
        return None
    month = int(rises["month"].iloc[int(rises["raised"].argmax())])
    return dt.date(month // 12, month % 12 + 1, 1)


def rise_response(seen: pd.DataFrame, *, days: int = 35) -> tuple[Estimate, Estimate]:
    """Return the shares that left, and that moved to a cheaper plan, after a rise against before it.

    The windows follow one another and only customers who are still there can leave in the second, so that
    their shares are uncorrelated, as those of successive periods of a life table are. Differences, in points,
    have Newcombe's interval (1998; see `compare_shares`).

    Args:
        seen: What `measures.research.rise_response` gives.
        days: How long each window is.
    """

    def compared(column: str) -> Estimate:
        counts = seen.rename(columns={column: "s_converted"})
        found = compare_shares(counts, control="before")
        return found.against_control("after", "as many days before", of="subscription")

    return compared("left"), compared("cheaper")


def exposed(paid: pd.DataFrame) -> pd.DataFrame:
    """Return how many pay less than new subscribers do for the same, and how much less.

    The list price of a plan is the one that most of the recent subscribers pay; without recent ones, the
    one that most pay.

    Args:
        paid: What `measures.research.prices_paid` gives.

    Returns:
        A row per plan, currency and billing: `plan`, `currency`, `billing`, `list_minor`, `subscriptions`,
        `seats` (units they pay for), `monthly_minor` (of all together), `below` (subscriptions that pay
        less than the list price), `share_below`, `gap_minor` (what they would pay
        more per interval at the list price, on average).

    Example:
        >>> paid = pd.DataFrame(dict(plan="A", currency="EUR", billing="1 month", recent=[0, 9],
        ...                          unit_amount_minor=[900, 1000], subscriptions=[30, 70], seats=[30, 70],
        ...                          monthly_minor=[27_000, 70_000]))
        >>> exposed(paid)[["list_minor", "subscriptions", "below", "gap_minor"]].values.tolist()
        [[1000.0, 100.0, 30.0, 100.0]]
    """
    keys = ["plan", "currency", "billing"]
    ranked = paid.sort_values([*keys, "recent", "subscriptions", "unit_amount_minor"])
    listed = ranked.groupby(keys)["unit_amount_minor"].transform("last")
    less = ranked["subscriptions"].where(ranked["unit_amount_minor"] < listed, 0)
    gap = less * (listed - ranked["unit_amount_minor"])
    rows = ranked.assign(list_minor=listed, below=less, gap_minor=gap).groupby(keys, as_index=False)
    sums = dict.fromkeys(("subscriptions", "seats", "monthly_minor", "below", "gap_minor"), "sum")
    found = rows.agg({"list_minor": "first", **sums})
    found.insert(8, "share_below", found["below"] / found["subscriptions"])
    return found.assign(gap_minor=found["gap_minor"] / found["below"].clip(lower=1))


def prices_in(base: pd.DataFrame, currency: str) -> Table:
    """Return the plans of `exposed` in one currency, as shown: with seats where there are several."""
    names = {"list_minor": "list_price", "monthly_minor": "revenue_a_month", "gap_minor": "mean_gap"}
    shown = base[base["currency"] == currency].drop(columns="currency").rename(columns=names)
    shown = shown.drop(columns="seats") if shown["seats"].eq(shown["subscriptions"]).all() else shown
    units = {**dict.fromkeys(names.values(), f"money:{currency}"), "share_below": "percent"}
    return Table(shown, units, people=[*shown.columns[3:]])


def choose_plan(base: pd.DataFrame, plan: str = "", billing: str = "") -> pd.Series:
    """Return the row of `exposed` to price; the one with the most subscriptions where nothing is named.

    Args:
        base: As from `exposed`.
        plan: The plan's name.
        billing: How often it is billed, such as "1 month", "3 month" or "1 year".

    Raises:
        NotApplicable: There is no active subscription with a price.
        InputError: There is no such plan, or none that is billed so.
    """
    if base.empty:
        raise NotApplicable("No active subscription has a price, so there is none to change.")
    rows = base
    for name, value in (("plan", plan), ("billing", billing)):
        if value and value not in set(rows[name]):
            raise InputError(
                f"The parameter `{name}` is {value!r}, which no active subscription has. Fix: use one of "
                f"{spelled(sorted(set(rows[name])))}."
            )
        rows = rows[rows[name] == value] if value else rows
    if rows["subscriptions"].max() < privacy.smallest_group and len(base) > 1:
        raise NotApplicable(f"Fewer than {privacy.smallest_group} subscriptions are of that price.")
    return rows.sort_values(["subscriptions", "plan"], ascending=[False, True], kind="stable").iloc[0]


def earnings_of(
    chosen: pd.Series, economics: Economics, *, unit_cost: float = 0.0, per_seat: bool = False
) -> Earnings:
    """Return what a period of a plan leaves, by its list price, how often it is billed and its seats.

    Args:
        chosen: As from `choose_plan`.
        economics: The company's.
        unit_cost: As for `visitor.earnings`, like `per_seat`.
        per_seat: Whether that is the cost of a seat.

    Example:
        >>> from tenure.economics import Economics
        >>> row = dict(billing="1 year", currency="EUR", list_minor=12_000, subscriptions=2, seats=10)
        >>> earned = earnings_of(pd.Series(row), Economics(margin=0.5))  # five seats, 120 a year
        >>> earned.every, float(earned.left(12_000))
        (12, 2500.0)
    """
    count, unit = str(chosen["billing"]).split()
    every = int(count) * (12 if unit == "year" else 1)
    return earnings(
        economics,
        str(chosen["currency"]),
        price=float(chosen["list_minor"]),
        unit_cost=unit_cost,
        per_seat=per_seat,
        period="month" if unit == "year" else unit,  # type: ignore[arg-type]
        every=every,
        quantity=float(chosen["seats"] / chosen["subscriptions"]),
    )
