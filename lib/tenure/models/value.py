"""What customers are worth: margin times retention, discounted, from fitted curves and small tables of money.

Times are counted in billing intervals. A customer pays at the start of each; one who has passed k renewals
(tenure k) pays next at renewal k + 1. With S the retention curve, m(j) the margin expected of a customer who
is there in the interval after renewal j, and v = 1 / (1 + d) the discount factor of an interval,

    a new customer is worth                     m(0) + v E(0),
    a customer of tenure k, at the next renewal, E(k) = S(k + 1) / S(k) (m(k + 1) + v E(k + 1)).

Intervals come from the curvature of the likelihood (the delta method on the log-odds of a value against what
it would be if nobody left), with the uncertainty of the mean payment beside that of retention. Rows are of
`group`, `interval`, the characteristics of the curves, and what else they are to be added up by;
`model_group`, where there is one, names the group whose curve holds. `fit` are the curves, `payments` what
customers pay by tenure, for the groups of the curves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from tenure.errors import InputError, NotApplicable
from tenure.models.payments import Payments
from tenure.models.renewals import KEYS, Terms, by_quarter, interval_years, numbered
from tenure.models.retention import Retention
from tenure.models.retention_choice import Backtest, Choice, backtest, bootstrap, resampled_limits
from tenure.models.retention_seen import widened
from tenure.privacy import folded
from tenure.result import NAN, Estimate, Table, from_ends, from_row, interval
from tenure.stats.intervals import bounded_limits, log_limits, mean, proportion, together
from tenure.stats.lifetable import Array, ratio, spelled, z_value
from tenure.stats.lifetime import discount_weights, residual_lifetime

_CURVE = ["model_group", "interval"]
_SUBSCRIBED = "subscribed customer"


@dataclass(frozen=True, eq=False)
class Valuation:
    """The expected value of groups of customers, and how it depends on what was estimated.

    Attributes:
        rows: A row per group of like customers: the columns it was made from, `customers`, `value` (of all of
            them, minor units) and `relative_error` (of their mean payment).
        slopes: Derivatives of the values by the curves' parameters, shape (rows, parameters).
        of: Who they are, one of them.
        seen: What of the values lies within the lives observed, by row.
        most: What they would be worth if nobody left, by row.
        others: The same by other tails of the curves that fit as well: intervals reach over them.
    """

    rows: pd.DataFrame
    slopes: Array
    fit: Retention
    unit: str
    of: str = "customer"
    seen: Array = field(default_factory=lambda: np.zeros(0))
    most: Array = field(default_factory=lambda: np.zeros(0))
    others: tuple[Valuation, ...] = ()

    @property
    def total(self) -> Estimate:
        """What all of them are worth together."""
        return self._whole("value")

    @property
    def each(self) -> Estimate:
        """What one of them is worth."""
        return self._whole("each")

    @property
    def beyond(self) -> Estimate:
        """The share of the value that lies beyond the lives observed, and so rests on the curves alone."""
        whole = float(self.rows["value"].sum())
        share = 1 - float(self.seen.sum()) / whole if whole else NAN
        return Estimate(share, n=int(self.rows["customers"].sum()), of=self.of, unit="percent")

    def _whole(self, column: str) -> Estimate:
        row = self.by().frame.iloc[0]
        n = int(row["customers"])
        if column == "each" and "owners" in self.rows:
            more = n / float(self.rows["owners"].sum())
            row = row.copy()
            row[["each", "each_low", "each_high"]] *= more
            n = round(n / more)
        return from_row(row, column, n=n, of=self.of, unit=self.unit, level=self.fit.level)

    def by(self, *columns: str) -> Table:
        """Add up by some columns; none: everybody. Of one column, too small groups are *other*.

        Returns:
            A row each, the most valuable first: `columns`, `customers`, `value` (of all) and `each` (per
            customer), with their limits.

        Raises:
            InputError: There is no such column.
        """
        absent = [name for name in columns if name not in self.rows.columns]
        if absent:
            raise InputError(
                f"The values cannot be added up by {spelled(absent)}; the rows have "
                f"{spelled(self.rows.columns)}."
            )
        rows = self.rows
        if len(columns) == 1:
            rows = rows.assign(**{columns[0]: folded(rows[columns[0]], rows["customers"])})
        labels, place = numbered(rows, columns)
        value, customers = (np.bincount(place, self.rows[name]) for name in ("value", "customers"))
        ends = value, *widened([one._limits(place) for one in (self, *self.others)])
        each = (end / np.where(customers > 0, customers, np.nan) for end in ends)
        table = labels.assign(
            customers=customers.astype("int64"), **interval("value", *ends), **interval("each", *each)
        )
        table = table.sort_values("value", ascending=False, kind="stable", ignore_index=True)
        return Table(table, {"customers": "count", "value": self.unit, "each": self.unit})

    def _limits(self, place: Array) -> tuple[Array, Array]:
        """The limits of sums of rows."""
        value, most = np.bincount(place, self.rows["value"]), np.bincount(place, self.most)
        slopes = np.zeros((len(value), self.slopes.shape[1]))
        np.add.at(slopes, place, self.slopes)
        money = self.rows["value"] * self.rows["relative_error"]
        stays = bounded_limits(value, self.fit.standard_errors(slopes), most, self.fit.level)
        paid = log_limits(value, np.sqrt(_money_variance(self.rows, "group", money, place)), self.fit.level)
        return together(value, stays, paid)

    def largest(self, by: str) -> Estimate:
        """The share of the value that the most valuable group holds; words: group, customers (its share)."""
        rows, whole = self.by(by).frame, self.total
        share = float(rows["value"].iloc[0]) / whole.value if whole.value else NAN
        customers = Estimate(rows["customers"].iloc[0] / whole.n if whole.n else NAN, unit="percent")
        words = {"group": str(rows[by].iloc[0]), "customers": customers}
        return Estimate(share, n=int(rows["customers"].iloc[0]), of=_SUBSCRIBED, unit="percent", words=words)

    def scores(self, keys: Sequence[str]) -> pd.DataFrame:
        """Return multipliers of a customer's discounted bill, with limits, and stays_a_year, by `keys`."""
        value, unit = (self.rows[name].to_numpy(dtype=float) for name in ("value", "waited_minor"))
        low, high = widened([one._limits(np.arange(len(value))) for one in (self, *self.others)])
        ends = {"multiplier": value, "low": low, "high": high}
        shares = {name: ratio(end, unit, 0.0) for name, end in ends.items()}
        return self.rows[list(keys)].assign(**shares, stays_a_year=self.rows["stays_a_year"])


def side_by_side(today: Valuation, new: Valuation, by: str = "group") -> Table:
    """Put what today's customers and a new one are worth in one table, by a column.

    It has a row each: `by`, `customers`, `value` (of all of today's) with its limits, `each_today` and
    `each_new_customer`.
    """
    table = today.by(by).frame.drop(columns=["each_low", "each_high"]).rename(columns={"each": "each_today"})
    fresh = new.by(by).frame[[by, "each"]].rename(columns={"each": "each_new_customer"})
    units = dict.fromkeys(("value", "each_today", "each_new_customer"), today.unit)
    return Table(table.merge(fresh, on=by, how="left"), {"customers": "count", **units})


@dataclass(frozen=True, eq=False)
class Movement:
    """How the value of the customer base moved between two days.

    Attributes:
        table: The rows of a bridge: `label` (before, new, lost, revalued, after) and `amount`.
        change: By how much; its case is "rose", "fell" or "no clear change", and behind it "given up" where
            some who left had stopped paying by the earlier day; its words are how many customers `came` and
            `left`, and how many of these are `late` in that way.
    """

    table: Table
    change: Estimate


def movement(moved: pd.DataFrame, before: Valuation, after: Valuation) -> Movement:
    """Return how the value of the customer base moved, by the same curves and payments on both days.

    What makes both values too high or too low cancels out of the change: its variance is g' V g, with g the
    difference of the days' derivatives by the parameters and V their covariance, and that of mean payments.
    Steps are in reporting minor units. `moved` is as from `tenure.measures.value.movement`.
    """
    row = moved.iloc[0]
    change = after.total.value - before.total.value
    slopes = after.slopes.sum(axis=0) - before.slopes.sum(axis=0)
    sums = [
        (rows["value"] * rows["relative_error"]).groupby([rows["group"], rows["interval"]]).sum()
        for rows in (before.rows, after.rows)
    ]
    money = float((sums[1].sub(sums[0], fill_value=0.0) ** 2).sum())
    half = z_value(after.fit.level) * float(np.sqrt(after.fit.standard_errors(slopes[None])[0] ** 2 + money))
    others = [movement(moved, *pair).change for pair in zip(before.others, after.others, strict=True)]
    low = min(change - half, *(other.low for other in others), change)
    high = max(change + half, *(other.high for other in others), change)
    late, moves = int(row["customers_late"]), "rose" if low > 0 else "fell" if high < 0 else "no clear change"
    steps = ["before", "new", "lost", "revalued", "after"]
    bridge = pd.DataFrame({"label": steps, "amount": row[steps].to_numpy(float)})
    found = Estimate(
        change, low, high,
        n=after.total.n, of=_SUBSCRIBED, unit=after.unit, level=after.fit.level,
        case=f"{moves} given up" if late else moves,
        words={"came": int(row["customers_new"]), "left": int(row["customers_lost"]), "late": late},
    )  # fmt: skip
    return Movement(Table(bridge, {"amount": after.unit}), found)


def value_base(
    fit: Retention, base: pd.DataFrame, payments: Payments, *, with_errors: bool = True
) -> Valuation:
    """Value today's customers from today on: the residual value of the customer base.

    Each customer follows the payments and the retention of their group from their own tenure on; one who is
    billed more than others of the group pays more in proportion. Payments already made do not count; the
    next one is discounted by the wait for it. At tenure k a row is worth w q E(k + 1) / m(k) in reporting
    minor units: w are its bills, discounted by the wait, q what the group pays for each unit billed, m(k) its
    mean payment, and E the residual lifetime in margin (Fader and Hardie 2010); where the end is known, what
    comes until then stands for E. Customers whose currency has no rate, or whose interval has no curve, are
    left out.

    Args:
        base: As from `tenure.measures.value.base_counts`.
        with_errors: False leaves the derivatives out, which are most of the work, as in a bootstrap.
    """
    rows = known_rows(fit, base, payments.terms)
    rate = rows["currency"].map(payments.terms.factors).to_numpy(dtype=float)
    billed, tenure = rows["billed_minor"].to_numpy(dtype=float) * rate, rows["tenure"].to_numpy(dtype=int)
    engine = _Engine(fit, rows, payments, int(tenure.max()))
    revenue = payments.at(rows, int(tenure.max()), "revenue")[np.arange(len(rows)), tenure]
    place = numbered(rows, _CURVE)[1]
    expected = np.bincount(place, revenue * rows["customers"])[place]
    # What a group pays against what it is billed: usage, refunds and failures make the difference.
    paid = ratio(np.bincount(place, billed)[place], expected, 0.0)
    unit = ratio(rows["waited_minor"].to_numpy(dtype=float) * rate, revenue * paid, 0.0)

    # Of customers whose end is known, the bills until then come for certain, and none after.
    left = rows["bills_left"].to_numpy(dtype=int) if "bills_left" in rows else np.full(len(rows), -1)
    certain = engine.certain(tenure, left)

    def values(theta: Array | None, *, seen: bool = False) -> Array:
        open_ended = engine.residual(theta, seen=seen)[engine.cell, tenure]
        return np.asarray(unit * np.where(left < 0, open_ended, certain))

    flat = np.zeros((len(rows), len(fit.estimate)))
    value, slopes = fit.delta(values) if with_errors else (values(fit.estimate), flat)
    error, there = _relative_errors(payments, rows, tenure + 1), engine.stays_a_year(tenure, left)
    rows = rows.assign(value=value, relative_error=error, stays_a_year=there)
    seen = values(fit.estimate, seen=True)
    others = tuple(value_base(other, base, payments) for other in fit.others if with_errors)
    return Valuation(rows, slopes, fit, payments.terms.unit, _SUBSCRIBED, seen, values(None), others)


def value_new(fit: Retention, intake: pd.DataFrame, payments: Payments) -> Valuation:
    """Value new customers, as from `tenure.measures.value.intake`, from their first payment on.

    Of each it is c(0) + v E(1), with c the margin of a payment, v the discount of an interval and E the
    residual lifetime (`tenure.stats.lifetime.residual_lifetime`). What it cost to acquire them is not taken
    off. `payments` are best those of new customers alone: what older ones pay may be another price. Where
    rows have owners, `each` is what one of these is worth.
    """
    rows = known_rows(fit, intake)
    engine = _Engine(fit, rows, payments, 0)
    counted = rows["customers"].to_numpy(dtype=float)

    def values(theta: Array | None) -> Array:
        return np.asarray(counted * (engine.first + engine.v * engine.residual(theta)[:, 0])[engine.cell])

    value, slopes = fit.delta(values)
    rows = rows.assign(value=value, relative_error=_relative_errors(payments, rows))
    later = engine.residual(fit.estimate, seen=True)[:, 0]
    seen = counted * (engine.first + engine.v * later)[engine.cell]
    others = tuple(value_new(other, intake, payments) for other in fit.others)
    return Valuation(rows, slopes, fit, payments.terms.unit, "new customer", seen, values(None), others)


def known_rows(fit: Retention, rows: pd.DataFrame, terms: Terms | None = None) -> pd.DataFrame:
    """The rows that have a curve and an exchange rate."""
    if "model_group" not in rows.columns:
        rows = rows.assign(model_group=rows["group"])
    known = fit.groups[["group", "interval"]].rename(columns={"group": "model_group"})
    rows = rows.merge(known, on=_CURVE, how="inner")
    for name, levels in fit.covariates.items():
        rows = rows[rows[name].isin(levels)]
    rows = rows if terms is None else terms.converted(rows)[0]
    if rows.empty:
        raise NotApplicable(
            "No customer has both a retention curve and an exchange rate, so none has a value."
        )
    return rows.reset_index(drop=True)


def _relative_errors(payments: Payments, rows: pd.DataFrame, tenure: Array | int = 0) -> Array:
    """The relative error of what each row's customers pay from a tenure on."""
    tenures = np.broadcast_to(tenure, len(rows))
    return payments.at(rows, int(tenures.max()), "relative_error")[np.arange(len(rows)), tenures]


def _money_variance(rows: pd.DataFrame, group: str, money: Array | pd.Series, place: Array) -> Array:
    """The variance of sums of money: payments of one group move together, those of others do not."""
    sums = pd.Series(np.asarray(money)).groupby([place, rows[group].to_numpy(), rows["interval"].to_numpy()])
    return (sums.sum() ** 2).groupby(level=0).sum().to_numpy()


class _Engine:
    """Curves, margins and discount factors of the cells that rows are made of."""

    def __init__(self, fit: Retention, rows: pd.DataFrame, payments: Payments, oldest: int) -> None:
        keys = dict.fromkeys(["group", *_CURVE, *fit.covariates, *payments.apart(rows)])
        cells, self.cell = numbered(rows, list(keys))
        self.fit, self.oldest, self.size, terms = fit, oldest, len(cells), payments.terms
        self.parts, self.first, self.v = [], np.zeros(len(cells)), np.zeros(len(cells))
        for key, part in cells.groupby("interval"):
            length, at = str(key), part.index.to_numpy()
            within, rate = terms.periods(length), terms.rate(length)
            money = payments.at(part, within + oldest + 1)
            placed = fit.place(part.drop(columns="group").rename(columns={"model_group": "group"}))
            until = fit.groups["enough"].to_numpy()[placed.group]
            self.parts.append((at, placed, length, within, money, rate, until))
            self.first[at], self.v[at] = money[:, 0], 1 / (1 + rate)

    def residual(self, theta: Array | None, *, seen: bool = False) -> Array:
        """E(k + 1) for k = 0, ..., oldest, a row per cell; if `seen`, what of it lies within lives observed.

        Without parameters it is what E(k) would be if nobody left.
        """
        found = np.zeros((self.size, self.oldest + 1))
        for at, cells, _, within, money, rate, until in self.parts:
            money = money * (np.arange(money.shape[1]) <= until[:, None]) if seen else money
            curve = np.ones(money.shape)
            if theta is not None:
                curve = np.exp(self.fit.log_survival(cells, money.shape[1] - 1, theta))
            found[at] = residual_lifetime(curve, rate, money, within=within)[:, : self.oldest + 1]
        return found

    def certain(self, tenure: Array, left: Array) -> Array:
        """What the next `left` bills are worth at the next renewal if all of them are paid."""
        found = np.zeros(len(tenure))
        for at, _, _, _, money, rate, _ in self.parts:
            mine = np.flatnonzero(np.isin(self.cell, at) & (left > 0))
            for row in mine:
                due = money[np.searchsorted(at, self.cell[row]), tenure[row] + 1 :][: left[row]]
                found[row] = due @ discount_weights(len(due), rate)
        return found

    def stays_a_year(self, tenure: Array, left: Array) -> Array:
        """The chance that each row's customers are still there a year on.

        Of those with `left` bills to come (-1: no end is known), who has a year of them is still there.
        """
        found = np.zeros(len(tenure))
        for at, cells, length, *_ in self.parts:
            ahead = max(round(1 / interval_years(length)), 1)
            log_s = self.fit.log_survival(cells, self.oldest + ahead)
            mine = np.isin(self.cell, at)
            row = np.searchsorted(at, self.cell[mine])
            found[mine] = np.exp(log_s[row, tenure[mine] + ahead] - log_s[row, tenure[mine]])
            found = np.where(mine & (left >= 0), (left >= ahead).astype(float), found)
        return found


def expected_payments(
    fit: Retention, stays: pd.DataFrame, payments: Payments, paid: pd.DataFrame, by: Sequence[str] = ()
) -> Backtest:
    """Predict what customers who are on will pay until a later day, undiscounted, beside what they paid.

    Expected of one who has passed k renewals, of m due: the sum over k < j <= m of S(j) / S(k) pay(j), in
    reporting minor units. Ranges allow for who leaves, the curves and the mean payments.

    Args:
        fit: Curves fitted to what was known on the first day.
        stays: Counts of spells that were on at the end of that day: `entry` (renewals passed by then), `ripe`
            (renewals due by the later day), `n`, and `by`.
        payments: Payments by tenure, as known on the first day.
        paid: What they paid: currency, paid_minor, refunded_minor and `by`.
    """
    terms = payments.terms
    rows = known_rows(fit, stays[stays["ripe"] > stays["entry"]])
    last = int(rows["ripe"].max())
    cells, place = numbered(rows, [*_CURVE, *fit.covariates])
    placed = fit.place(cells.rename(columns={"model_group": "group"}))
    entry, ripe = (rows[name].to_numpy(dtype=int)[:, None] for name in ("entry", "ripe"))
    renewal = np.arange(last + 1)[None]
    pays = np.where((renewal > entry) & (renewal <= ripe), payments.at(rows, last, "revenue"), 0.0)
    n = rows["n"].to_numpy(dtype=float)

    def there(theta: Array) -> Array:
        log_s = fit.log_survival(placed, last, theta)[place]
        return np.exp(np.where(renewal > entry, log_s - np.take_along_axis(log_s, entry, axis=1), 0.0))

    mean = (there(fit.estimate) * pays).sum(axis=1)
    # What one customer will have paid after m payments is their sum so far, M: E[M^2] adds up M^2's steps.
    squares = np.diff(np.cumsum(pays, axis=1) ** 2, axis=1, prepend=0.0)
    chance = n * ((there(fit.estimate) * squares).sum(axis=1) - mean**2)
    money = n * mean * _relative_errors(payments, rows, entry[:, 0] + 1)
    got, _ = terms.converted(paid, "paid_minor", "refunded_minor")

    def variance(where: Array, size: int) -> Array:
        by_chance = np.maximum(np.bincount(where, chance, size), 0)
        return by_chance + _money_variance(rows, "model_group", money, where)

    return backtest(
        fit, rows, by, lambda theta: n * (there(theta) * pays).sum(axis=1), variance,
        got.assign(happened=got["paid_minor"] - got["refunded_minor"]), terms.unit,
    )  # fmt: skip


def cohort_values(brought: pd.DataFrame, to_come: pd.DataFrame, terms: Terms) -> Table:
    """Put what cohorts have brought so far beside what their customers are still expected to bring.

    Args:
        brought: Columns cohort, currency, customers, charges, paid_minor and refunded_minor.
        to_come: Columns cohort, customers (still on), value, low and high.

    Returns:
        A row per quarter in which customers joined: `quarter`, `customers`, `still_on`, `so_far` (margin, not
        discounted), `to_come` with its limits (of all), and `each` (so far and to come, per customer).
    """
    known, _ = terms.converted(brought, "paid_minor", "refunded_minor")
    margin = terms.contribution(known["paid_minor"], known["refunded_minor"], known["charges"])
    sums = known.assign(so_far=margin).groupby("cohort", as_index=False)[["customers", "so_far"]].sum()
    names = {"customers": "still_on", "value": "to_come", "low": "to_come_low", "high": "to_come_high"}
    table = sums.merge(to_come.rename(columns=names), on="cohort", how="left")
    table = table.fillna(dict.fromkeys(names.values(), 0)).astype({"still_on": "int64"})
    table["each"] = (table["so_far"] + table["to_come"]) / table["customers"]
    table = by_quarter(table.sort_values("cohort", ignore_index=True))
    columns = ["quarter", "customers", "still_on", "so_far", "to_come", "to_come_low", "to_come_high", "each"]
    units = dict.fromkeys(("customers", "still_on"), "count")
    return Table(table[columns], units | dict.fromkeys(("so_far", "to_come", "each"), terms.unit))


# --- the formula that everyone uses ---------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class UsualFormula:
    """What the usual formulas give for new customers, beside their value by retention.

    - `formula`: margin / churn (ARPA x margin / churn), the margin of an average interval over the share
      who leave in one, discounting nothing: it assumes that everybody leaves at the average rate for ever.
      Its limits are those of churn (Wilson); where nobody left there is no value, but a lower limit.
    - `formula_discounted`: m (1 + d) / (d + churn), with d the discount rate of an interval.
    - `duration`: margin times the mean duration of those who have left, most of whom left early. Its limits
      are those of the mean (normal).

    Attributes:
        table: A row per group and interval: `group`, `interval`, `customers`, `left` (churned customers),
            `churn` (per interval), `margin`, the three of one customer, `right` with its limits (what a
            customer is worth) and `error` (formula / right - 1) with its limits.
        new: The new customers, valued by retention.
    """

    table: Table
    new: Valuation

    @property
    def error(self) -> Estimate:
        """How far margin / churn is off for all of them; its case is "high" or "low", its word the share."""
        return self._gap("formula")

    @property
    def duration_error(self) -> Estimate:
        """The same of margin times mean duration."""
        return self._gap("duration")

    def _gap(self, column: str) -> Estimate:
        """The difference of both sums, with the limits of both as if independent, which is wide enough."""
        rows, right, customers = self.table.frame, self.new.total, self.table.frame["customers"]
        ends = (rows[column] - rows[f"{column}_low"], rows[f"{column}_high"] - rows[column])
        below, above = (float(np.sqrt(((end * customers) ** 2).sum(skipna=False))) for end in ends)
        said = float((rows[column] * customers).sum(skipna=False))
        formula = Estimate(said, said - below, said + above, unit=right.unit, sample=column)
        size = formula.against(replace(right, sample="right"), "right").difference or formula
        sign, share = 1 if said > right.value else -1, from_ends(_off(formula, right), unit="percent")
        case = "high" if sign > 0 else "low" if said <= right.value else ""
        about: dict[str, Any] = {
            "n": int(rows["left"].sum()),
            "of": "churned customer",
            "level": right.level,
            "case": case,
        }
        return replace(size.scaled(sign), words={"share": share.scaled(sign)}, **about)


def _off(said: Estimate, right: Estimate) -> tuple[float, float, float]:
    """How far one is off as a share of the other, with limits by the logarithms, as if independent."""
    with np.errstate(all="ignore"):
        a, b = (np.array([one.value, one.low, one.high]) for one in (said, right))
        fall = np.hypot(np.log(a[0] / a[1]), np.log(b[2] / b[0]))
        rise = np.hypot(np.log(a[2] / a[0]), np.log(b[0] / b[1]))
        value, low, high = a[0] / b[0] * np.exp([0.0, -fall, rise]) - 1
    return float(value), float(low), float(high)


def usual_formula(life: pd.DataFrame, payments: Payments, new: Valuation) -> UsualFormula:
    """Compare margin / churn, by a life table of groups and intervals, with what new customers are worth.

    Churn is events / at risk of an interval, with Wilson's limits; discounted at the rate d of an interval
    the formula is margin (1 + d) / (d + churn). `duration` is margin times the mean intervals of those who
    left. The error is formula / right - 1, its limits by the logarithms, as if both were independent.
    """
    rows, terms = [], payments.terms
    for row in new.by(*_CURVE).frame.to_dict("records"):
        key = str(row["model_group"]), str(row["interval"])
        own = life[(life["group"] == key[0]) & (life["interval"] == key[1])]
        left, rate, margin = int(own["events"].sum()), terms.rate(key[1]), payments.level(*key, "margin")
        mine = new.rows[(new.rows["model_group"] == key[0]) & (new.rows["interval"] == key[1])]
        gross = payments.level(*key, "revenue") / (1 - payments.level(*key, "refunded"))
        if (spared := payments.spared(mine)).any():
            margin += gross * float(np.average(spared, weights=mine["customers"]))
        churn = proportion(left, int(own["at_risk"].sum()))
        low, usual, high = (margin / c if c else NAN for c in (churn.high, churn.value, churn.low))
        gone = own["period"].to_numpy(float).repeat(own["events"].astype(int))
        stayed = mean(gone.mean(), gone.std(ddof=1), left) if left > 1 else mean(gone.sum(), NAN, left)
        said = interval("formula", usual, low, high) | {
            "formula_discounted": margin * (1 + rate) / (rate + churn.value) if rate + churn.value else NAN,
            **interval("duration", *(margin * end for end in (stayed.value, stayed.low, stayed.high))),
        }
        right = interval("right", row["each"], row["each_low"], row["each_high"])
        off = _off(from_row(said, "formula"), from_row(right, "right"))
        known = dict(zip(("group", "interval"), key, strict=True)) | {"customers": row["customers"]}
        known |= {"left": left, "churn": churn.value, "margin": margin}
        rows.append(known | said | right | interval("error", *off))
    table = pd.DataFrame(rows)
    units = dict.fromkeys(("margin", "formula", "formula_discounted", "duration", "right"), terms.unit)
    units |= {"churn": "percent", "error": "percent"}
    return UsualFormula(Table(table, units, people=("customers", "left", "churn")), new)


def other_models(choice: Choice, base: pd.DataFrame, payments: Payments, worth: Valuation) -> Table:
    """Value today's customers by other curves than the chosen ones.

    It has a row per model: `model`, `value`, `difference` from the chosen one's, and `predicted_as_well`
    (whether the held-out months cannot tell it from the best).
    """
    fits, rivals = choice.others(), choice.contest.rivals if choice.contest else []
    values = [value_base(fit, base, payments, with_errors=False).total.value for fit in fits]
    table = pd.DataFrame({"model": [fit.label for fit in fits], "value": values})
    table["difference"] = table["value"] / worth.total.value - 1 if worth.total.value else np.nan
    table["predicted_as_well"] = table["model"].isin(rivals)
    units = {"value": worth.unit, "difference": "percent"}
    return Table(table.sort_values("value", ignore_index=True), units)


def resampled_total(
    worth: Valuation, stays: pd.DataFrame, base: pd.DataFrame, payments: Payments, *, draws: int = 20
) -> Estimate:
    """Return what the customers are worth, with an interval from resampled customers (see `bootstrap`).

    Limits are value exp(-+ z s), s being the spread of the draws' logarithms (see `resampled_limits`).

    `stays` are the counts that the curves were fitted to, `base` is what `worth` was made from.
    """
    ends = [name for name in ("bills_left",) if name in base]
    apart = set(payments.apart(base)) - {"group", *worth.fit.covariates}
    keys = [*_CURVE, *worth.fit.covariates, *apart, "tenure", "currency", *ends]
    sums = ["customers", "billed_minor", "waited_minor"]
    alike = base.groupby(keys, as_index=False)[sums].sum()
    alike["group"] = alike["model_group"]

    def total(again: Retention) -> Array:
        return np.array([value_base(again, alike, payments, with_errors=False).total.value])

    drawn = bootstrap(stays, worth.fit, total, draws=draws)
    low, high = resampled_limits(worth.total.value, drawn[:, 0], worth.fit.level)
    return replace(worth.total, low=low, high=high)


@dataclass(frozen=True, eq=False)
class Carried:
    """What new customers are worth, where few of them may carry what all pay.

    Attributes:
        each: What one is worth, with an interval from resampled customers where the three who paid most hold
            over a third of what all paid.
        largest: The share that these three hold; its case is "few" (over a third) or "many".
    """

    each: Estimate
    largest: Estimate


def carried(new: Valuation, paid: pd.DataFrame | None, terms: Terms, *, draws: int = 1000) -> Carried:
    """Say how much of what new customers pay the largest three hold, and resample customers if it is much.

    Each draw resamples the customers of a group and moves the group's value with their mean, in proportion;
    the curves' interval is added on the logarithm. The variance of resampled means of n customers is too
    small by (n - 1) / n, which is made good.

    Args:
        paid: As from `tenure.measures.value.payers`; None: there are no payments.
    """
    if paid is None or paid.empty:
        return Carried(new.each, Estimate(NAN, unit="percent", case="not known"))
    rows, _ = terms.converted(paid, "paid_minor")
    n, sums = rows["n"].to_numpy(dtype=int), rows["paid_minor"].to_numpy(dtype=float)
    each = np.sort(np.repeat(sums, n))[::-1]
    share = float(each[:3].sum() / each.sum()) if len(each) and each.sum() > 0 else NAN
    few = len(each) > 3 and share > 1 / 3
    largest = Estimate(share, n=len(each), of="new customer", unit="percent", case="few" if few else "many")
    whole = new.each
    if not few:
        return Carried(whole, largest)
    rng, values = np.random.default_rng(0), new.by(*KEYS).frame.set_index(list(KEYS))["value"]
    drawn = np.zeros(draws)
    for (group, length), value in zip(values.index.to_list(), values.to_numpy(float), strict=True):
        mine = (rows["group"].astype(str) == group) & (rows["interval"].astype(str) == length)
        own = np.repeat(sums[mine], n[mine])
        if len(own) < 2 or not own.mean():
            drawn += value
            continue
        means = rng.choice(own, (draws, len(own))).mean(axis=1) / own.mean()
        drawn += value * np.maximum(1 + (means - 1) * np.sqrt(len(own) / (len(own) - 1)), 0.0)
    total = float(values.sum())
    ends = np.quantile(drawn, [(1 - new.fit.level) / 2, (1 + new.fit.level) / 2]) / total
    flat = replace(new, rows=new.rows.assign(relative_error=0.0)).each
    low, high = together(whole.value, whole.value * ends, (flat.low, flat.high))
    return Carried(replace(whole, low=float(low), high=float(high)), largest)
