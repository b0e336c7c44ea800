"""What customers are worth: margin times retention, discounted, from fitted curves and small tables of money.

Times are counted in billing intervals. A customer pays at the start of each; whoever has passed k renewals
(tenure k) pays next at renewal k + 1. With S the retention curve, m(j) the margin expected of a customer who
is there in the interval after renewal j, and v = 1 / (1 + d) the discount factor of an interval,

    a new customer is worth                     m(0) + v E(0),
    a customer of tenure k, at the next renewal, E(k) = S(k + 1) / S(k) (m(k + 1) + v E(k + 1)).

Money is in minor units of one reporting currency. Intervals come from the curvature of the likelihood (the
delta method on the logarithm), with the uncertainty of the mean payment beside that of retention.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tenure.errors import InputError, NotApplicable
from tenure.models.retention import Cells, Retention, interval_years, labeled, leavers_survival
from tenure.stats.lifetable import Array, spelled, z_value

_DAYS_A_YEAR = 365.25


@dataclass(frozen=True)
class Terms:
    """The terms on which money is counted.

    Attributes:
        yearly_rate: Discount rate a year: 0.1 makes 110 in a year worth 100 today.
        margin: The share of net revenue that is left after the cost of serving a customer.
        fee_share: The share of each charge that the payment provider keeps.
        fee_minor: What it keeps of each charge besides, in minor units of the reporting currency.
        years: Payments count up to so many years from now.

    Raises:
        InputError: A value is out of range.

    Example:
        >>> round(Terms(yearly_rate=0.10).rate("1 month"), 5)
        0.00797
    """

    yearly_rate: float = 0.10
    margin: float = 1.0
    fee_share: float = 0.0
    fee_minor: float = 0.0
    years: int = 30

    def __post_init__(self) -> None:
        for name, value, low, high in (
            ("yearly_rate", self.yearly_rate, 0, 100),
            ("margin", self.margin, 0, 1),
            ("fee_share", self.fee_share, 0, 1),
            ("fee_minor", self.fee_minor, 0, np.inf),
            ("years", self.years, 1, 100),
        ):
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
                raise InputError(f"`{name}` must lie between {low:g} and {high:g}; it is {value!r}.")

    def rate(self, interval: str) -> float:
        """The discount rate of a billing interval: (1 + yearly rate) to the power of its years, less 1."""
        return float((1 + self.yearly_rate) ** interval_years(interval) - 1)

    def periods(self, interval: str) -> int:
        """How many billing intervals the years hold."""
        return max(int(np.ceil(self.years / interval_years(interval))), 1)

    def contribution(self, paid: Any, refunded: Any = 0.0, charges: Any = 1.0) -> Any:
        """What is left of payments: margin on what is not paid back, less the provider's fees on all charges.

        Args:
            paid: What was paid, in minor units of the reporting currency; a number or a column.
            refunded: What of it was paid back; its fees are lost.
            charges: In how many charges it was paid.

        Example:
            >>> Terms(margin=0.5, fee_share=0.02, fee_minor=25).contribution(1000.0, refunded=100.0)
            405.0
        """
        return self.margin * (paid - refunded) - self.fee_share * paid - self.fee_minor * charges


def check_share(name: str, share: float) -> float:
    """Return a share of leavers if it is above 0 and at most 1.

    Raises:
        InputError: It is not.

    Example:
        >>> check_share("kept", 0.2)
        0.2
    """
    if not 0 < share <= 1:
        raise InputError(f"`{name}` must be a share of the leavers, above 0 and at most 1; it is {share!r}.")
    return share


def currency_factors(
    currencies: Sequence[str], reporting: str, rates: Mapping[str, float], exponents: Mapping[str, int]
) -> dict[str, float]:
    """What a minor unit of each currency is in minor units of the reporting currency.

    Args:
        currencies: The currencies.
        reporting: The reporting currency.
        rates: Units of the rates' own base currency for one unit of a currency.
        exponents: Digits of the minor unit, such as 2 for EUR and 0 for JPY.

    Returns:
        A factor for each currency that has one; others are left out.

    Example:
        >>> currency_factors(["EUR", "USD"], "EUR", {"EUR": 1.0, "USD": 0.92}, {"EUR": 2, "USD": 2})
        {'EUR': 1.0, 'USD': 0.92}
    """
    found = {}
    for currency in currencies:
        if currency == reporting:
            found[currency] = 1.0
        elif currency in rates and reporting in rates and rates[reporting] > 0:
            scale = 10.0 ** (exponents[reporting] - exponents[currency])
            found[currency] = rates[currency] / rates[reporting] * scale
    return found


# --- margin -------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Margins:
    """What a customer pays in an interval if still there, by tenure.

    Attributes:
        table: A row for each group, interval and tenure 0, 1, ..., as far as means are told apart: `group`,
            `interval`, `tenure`, `customers` (who began that interval), `revenue` (net of refunds, each),
            `margin` (after costs and fees, each) and `relative_error` (standard error of what is paid from
            that tenure on, over it); the last row holds for all later tenures.
        levels: A row for each group and interval: `customers` (intervals begun), `revenue`, `margin` (of an
            average interval), `refunded` and `fees` (shares of what was paid).
    """

    table: pd.DataFrame
    levels: pd.DataFrame

    def profile(self, group: str, interval: str, periods: int, column: str = "margin") -> Array:
        """What is expected in intervals 0, 1, ..., `periods`; beyond the last tenure seen it stays.

        Raises:
            InputError: The group is not there.
        """
        own = self.table[(self.table["group"] == group) & (self.table["interval"] == interval)]
        if own.empty:
            raise InputError(f"There are no payments of group {group} with interval {interval}.")
        values = own.sort_values("tenure")[column].to_numpy(dtype=float)[: periods + 1]
        return np.concatenate([values, np.full(periods + 1 - len(values), values[-1])])

    def profiles(self, groups: pd.Series, interval: str, periods: int, column: str = "margin") -> Array:
        """The profiles of several groups with one interval, a row each."""
        known = {name: self.profile(str(name), interval, periods, column) for name in groups.unique()}
        return np.array([known[name] for name in groups])

    def level(self, group: str, interval: str, column: str) -> float:
        """A column of `levels` for a group."""
        own = self.levels[(self.levels["group"] == group) & (self.levels["interval"] == interval)]
        return float(own[column].iloc[0])

    def monthly(self) -> pd.DataFrame:
        """What a customer who is still there pays a month, by months since the start.

        Returns:
            A row for each group, interval and tenure of `table`: `group` (with the interval, where a group
            has several), `month`, `customers` and `value` (net of refunds; a yearly payment counts a
            twelfth).
        """
        kinds = self.table[["group", "interval"]].drop_duplicates()
        several = set(kinds.loc[kinds["group"].duplicated(), "group"])
        months = self.table["interval"].map(interval_years) * 12
        names = self.table["group"].where(
            ~self.table["group"].isin(several), self.table["group"] + ", " + self.table["interval"]
        )
        return pd.DataFrame(
            {
                "group": names,
                "month": self.table["tenure"] * months,
                "customers": self.table["customers"],
                "value": self.table["revenue"] / months,
            }
        )


def customers_by_tenure(begun: pd.DataFrame) -> pd.DataFrame:
    """Spread stays over the intervals that they began.

    Args:
        begun: Columns group, interval, currency, first, last, n: n customers began the intervals from
            `first` to `last`.

    Returns:
        A row for each group, interval, currency and tenure: those columns and `customers`.

    Example:
        >>> begun = pd.DataFrame({"group": "a", "interval": "1 month", "currency": "EUR",
        ...                       "first": [0, 1], "last": [1, 2], "n": [5, 3]})
        >>> customers_by_tenure(begun)["customers"].tolist()
        [5, 8, 3]
    """
    keys = ["group", "interval", "currency"]
    steps = pd.concat(
        [
            begun[keys].assign(tenure=begun["first"], change=begun["n"]),
            begun[keys].assign(tenure=begun["last"] + 1, change=-begun["n"]),
        ]
    )
    changes = steps.groupby([*keys, "tenure"])["change"].sum().reset_index()
    rows = []
    for key, part in changes.groupby(keys):
        named = {name: str(value) for name, value in zip(keys, key, strict=True)}
        tenure = np.arange(part["tenure"].min(), part["tenure"].max() + 1)
        counts = part.set_index("tenure")["change"].reindex(tenure, fill_value=0).cumsum()
        rows.append(counts.rename("customers").reset_index().assign(**named))
    table = pd.concat(rows, ignore_index=True)
    return table.loc[table["customers"] > 0, [*keys, "tenure", "customers"]].reset_index(drop=True)


def margins(
    paid: pd.DataFrame,
    begun: pd.DataFrame,
    terms: Terms,
    factors: Mapping[str, float],
    *,
    smallest: int = 100,
    precision: float = 0.03,
) -> Margins:
    """Estimate what customers pay in an interval if still there, by tenure: discounts end, plans change.

    The payments of a recent time are divided by the customers who began an interval in it, tenure by
    tenure. So today's prices count, not those of when old customers were new. Neighboring tenures are taken
    together until their mean rests on enough customers.

    Args:
        paid: Columns group, interval, currency, tenure, payers, charges, paid_minor, refunded_minor, squares.
        begun: Columns group, interval, currency, first, last, n (see `customers_by_tenure`).
        terms: Margin and fees.
        factors: What a minor unit of each currency is in the reporting currency's.
        smallest: The fewest customers behind a mean.
        precision: The standard error that a mean may have at most, as a share of it.

    Raises:
        NotApplicable: Nobody began an interval in that time.

    Example:
        >>> paid = pd.DataFrame({"group": "a", "interval": "1 month", "currency": "EUR", "tenure": [0, 1],
        ...     "payers": [100, 80], "charges": [100, 80], "paid_minor": [50_000, 80_000],
        ...     "refunded_minor": 0, "squares": [2.5e7, 8e7]})
        >>> begun = pd.DataFrame({"group": "a", "interval": "1 month", "currency": "EUR", "first": 0,
        ...     "last": [0, 1], "n": [20, 80]})
        >>> found = margins(paid, begun, Terms(margin=0.5), {"EUR": 1.0}, smallest=10)
        >>> found.profile("a", "1 month", 3).tolist()
        [250.0, 500.0, 500.0, 500.0]
    """
    if begun.empty:
        raise NotApplicable("Nobody began a billing interval in that time, so there is no mean payment.")
    keys = ["group", "interval"]
    exposed = customers_by_tenure(begun)
    exposed = exposed[exposed["currency"].isin(list(factors))]
    money = paid[paid["currency"].isin(list(factors))]
    rate = money["currency"].map(factors).astype(float)
    money = money.assign(
        gross=money["paid_minor"] * rate,
        back=money["refunded_minor"] * rate,
        squares=money["squares"] * rate**2,
    )
    columns = ["payers", "charges", "gross", "back", "squares"]
    table = (
        exposed.groupby([*keys, "tenure"])["customers"]
        .sum()
        .to_frame()
        .join(money.groupby([*keys, "tenure"])[columns].sum())
        .fillna(0.0)
        .reset_index()
    )
    table["net"] = table["gross"] - table["back"]
    table["fees"] = terms.fee_share * table["gross"] + terms.fee_minor * table["charges"]
    table["kept"] = terms.contribution(table["gross"], table["back"], table["charges"])
    known = begun[begun["currency"].isin(list(factors))]
    rows, levels = [], []
    for key, part in table.groupby(keys):
        named = dict(zip(keys, map(str, key), strict=True))
        mine = (known["group"] == named["group"]) & (known["interval"] == named["interval"])
        rows.append(_by_tenure(part, known[mine], smallest, precision).assign(**named))
        whole = part[["customers", "gross", "back", "net", "fees", "kept"]].sum()
        paid_out = whole["gross"] or np.nan
        levels.append(
            named
            | {
                "customers": int(whole["customers"]),
                "revenue": whole["net"] / whole["customers"],
                "margin": whole["kept"] / whole["customers"],
                "refunded": whole["back"] / paid_out,
                "fees": whole["fees"] / paid_out,
            }
        )
    columns = [*keys, "tenure", "customers", "revenue", "margin", "relative_error"]
    return Margins(table=pd.concat(rows, ignore_index=True)[columns], levels=pd.DataFrame(levels))


def _by_tenure(part: pd.DataFrame, begun: pd.DataFrame, smallest: int, precision: float) -> pd.DataFrame:
    """Mean payments of a group by tenure, neighboring tenures taken together where they are few."""
    own = part.set_index("tenure").reindex(range(int(part["tenure"].max()) + 1), fill_value=0.0)
    mean, payers = own["net"].sum() / own["customers"].sum(), own["payers"].sum()
    within = (own["squares"] - own["net"] ** 2 / own["payers"].where(own["payers"] > 0)).sum()
    spread = np.sqrt(max(within, 0) / payers) / abs(mean) if payers and mean else 0.0
    customers = own["customers"].to_numpy(dtype=float)
    band = _bands(customers, max(smallest, (spread / precision) ** 2))
    pooled = own.groupby(band)[["customers", "net", "kept"]].transform("sum")
    size = int(np.flatnonzero(band == band[-1])[0]) + 1
    errors = [_relative_error(spread, customers, band, begun, tenure) for tenure in range(size)]
    return pd.DataFrame(
        {
            "tenure": range(size),
            "customers": np.r_[customers[: size - 1], customers[size - 1 :].sum()].astype("int64"),
            "revenue": (pooled["net"] / pooled["customers"])[:size],
            "margin": (pooled["kept"] / pooled["customers"])[:size],
            "relative_error": errors,
        }
    )


def _bands(customers: Array, fewest: float) -> Array:
    """Number the bands of neighboring tenures that hold enough customers each.

    Most of a customer's value hangs on the last band, which holds a tenth of all customers at least.
    """
    found, band, held = np.zeros(len(customers), dtype=int), 0, 0.0
    for tenure, number in enumerate(customers):
        found[tenure], held = band, held + number
        if held >= fewest:
            band, held = band + 1, 0.0
    last = int(found.max())
    while last > 0 and customers[found >= last].sum() < max(fewest, 0.1 * customers.sum()):
        last -= 1
    return np.minimum(found, last)


def _relative_error(spread: float, customers: Array, band: Array, begun: pd.DataFrame, tenure: int) -> float:
    """The relative standard error of payments from a tenure on, weighted by how many come to each.

    Customers differ by `spread` and keep what they pay, so one who was seen in many intervals counts once,
    by their weight in all of them.
    """
    ahead = np.where(np.arange(len(customers)) >= tenure, customers, 0.0)
    shares = np.bincount(band, ahead / ahead.sum()) / np.bincount(band, customers)
    weight = np.r_[0.0, np.cumsum(shares[band])]
    first, last = begun["first"].to_numpy(dtype=int), begun["last"].to_numpy(dtype=int)
    each = weight[last + 1] - weight[first]
    return float(spread * np.sqrt((begun["n"].to_numpy(dtype=float) * each**2).sum()))


def payments_of_base(base: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Stand in for payments where there are none: everybody pays once an interval what they are billed.

    Args:
        base: Columns group, interval, tenure, currency, customers, billed_minor.

    Returns:
        Tables as `margins` takes them: paid and begun.
    """
    keys = ["group", "interval", "currency", "tenure"]
    sums = base.groupby(keys, as_index=False)[["customers", "billed_minor"]].sum()
    paid = sums[keys].assign(
        payers=sums["customers"],
        charges=sums["customers"],
        failed=0,
        paid_minor=sums["billed_minor"],
        refunded_minor=0,
        squares=sums["billed_minor"] ** 2 / sums["customers"],
    )
    begun = sums[keys[:3]].assign(first=sums["tenure"], last=sums["tenure"], n=sums["customers"])
    return paid, begun


# --- value --------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Valuation:
    """The expected value of groups of customers, and how it hangs on what was estimated.

    Attributes:
        rows: A row a group of like customers: the columns it was made from, `customers`, `value` (of all of
            them, minor units) and `relative_error` (of their mean payment).
        slopes: Derivatives of the values by the curves' parameters, shape (rows, parameters).
        fit: The curves.
    """

    rows: pd.DataFrame
    slopes: Array
    fit: Retention

    def by(self, *columns: str) -> pd.DataFrame:
        """Add up by some columns; none: everybody.

        Returns:
            A row each, the most valuable first: `columns`, `customers`, `value`, `low`, `high` (of all), and
            `each`, `each_low`, `each_high` (a customer).

        Raises:
            InputError: There is no such column.
        """
        absent = [name for name in columns if name not in self.rows.columns]
        if absent:
            raise InputError(
                f"The values cannot be added up by {spelled(absent)}; the rows have "
                f"{spelled(self.rows.columns)}."
            )
        names = list(columns)
        labels = self.rows[names].drop_duplicates().reset_index(drop=True)
        place = (
            labels.reset_index().merge(self.rows[names], on=names, how="right")["index"].to_numpy()
            if names
            else np.zeros(len(self.rows), dtype=int)
        )
        size = len(labels) if names else 1
        value = np.bincount(place, self.rows["value"], size)
        customers = np.bincount(place, self.rows["customers"], size)
        slopes = np.zeros((size, self.slopes.shape[1]))
        np.add.at(slopes, place, self.slopes)
        # Payments of different groups are different customers'; those of one group move together.
        money = np.zeros(size)
        own = self.rows.assign(place=place).groupby(["place", "group", "interval"])
        for (at, _, _), part in own:
            money[int(str(at))] += float((part["value"] * part["relative_error"]).sum()) ** 2
        error = np.sqrt(self.fit.standard_errors(slopes) ** 2 + money)
        low, high = _limits(value, error, self.fit.level)
        share = np.where(customers > 0, customers, np.nan)
        table = pd.DataFrame(
            {
                "customers": customers,
                "value": value,
                "low": low,
                "high": high,
                "each": value / share,
                "each_low": low / share,
                "each_high": high / share,
            }
        )
        table = pd.concat([labels, table], axis=1) if names else table
        return table.sort_values("value", ascending=False, kind="stable", ignore_index=True)

    def scores(self, billed: str = "billed_minor") -> pd.DataFrame:
        """Multipliers to score customers by: value for each minor unit billed, with `low` and `high`."""
        value = self.rows["value"].to_numpy(dtype=float)
        error = np.hypot(self.fit.standard_errors(self.slopes), value * self.rows["relative_error"])
        low, high = _limits(value, error, self.fit.level)
        unit = self.rows[billed].to_numpy(dtype=float) * self.rows["waited"].to_numpy(dtype=float)
        known = unit > 0
        columns = [c for c in self.rows.columns if c in _SCORE_KEYS or c not in _SCORE_OUT]
        found = self.rows[columns].assign(
            multiplier=np.divide(value, unit, out=np.zeros_like(value), where=known),
            low=np.divide(low, unit, out=np.zeros_like(value), where=known),
            high=np.divide(high, unit, out=np.zeros_like(value), where=known),
            stays_a_year=self.rows["stays_a_year"],
        )
        return found.reset_index(drop=True)


def value_change(before: Valuation, after: Valuation) -> tuple[float, float, float]:
    """How much more the later customers are worth than the earlier ones, by the same curves and payments.

    Args:
        before: The earlier customers' values.
        after: The later customers' values, by the same curves.

    Returns:
        The change, and its limits. What makes both too high or too low cancels out.
    """
    change = float(after.rows["value"].sum() - before.rows["value"].sum())
    slopes = after.slopes.sum(axis=0) - before.slopes.sum(axis=0)
    keys = ["group", "interval"]
    sums = [
        rows.assign(money=rows["value"] * rows["relative_error"]).groupby(keys)["money"].sum()
        for rows in (before.rows, after.rows)
    ]
    money = float((sums[1].sub(sums[0], fill_value=0.0) ** 2).sum())
    half = z_value(after.fit.level) * np.sqrt(after.fit.standard_errors(slopes[None])[0] ** 2 + money)
    return change, change - half, change + half


_SCORE_KEYS = ("group", "interval", "tenure", "currency")
_SCORE_OUT = ("customers", "billed_minor", "wait_days", "value", "relative_error", "waited", "stays_a_year",
              "model_group")  # fmt: skip


def _limits(value: Array, error: Array, level: float) -> tuple[Array, Array]:
    """Limits on the scale of the logarithm; where a value is not above 0, on its own."""
    z = z_value(level)
    positive = value > 0
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        factor = np.exp(np.where(positive, np.minimum(z * error / np.where(positive, value, 1), 700), 0))
    low = np.where(positive, value / factor, value - z * error)
    return low, np.where(positive, value * factor, value + z * error)


def renewal_values(log_survival: Array, margin: Array, rate: float, *, intervals: int | None = None) -> Array:
    """E(k): what a customer of tenure k is worth at the next renewal, before deciding on it.

    Args:
        log_survival: Logarithms of S(0), ..., S(N), a row a cell.
        margin: m(0), ..., m(N), a row a cell.
        rate: Discount rate of an interval.
        intervals: Payments count for so many renewals only; None: as far as the curves reach.

    Returns:
        E(0), ..., E(N - 1), a row a cell.

    Example:
        >>> s = 0.5 ** np.arange(60.0)
        >>> renewal_values(np.log(s)[None], np.ones((1, 60)), 0.1)[0, :2].round(3).tolist()
        [0.917, 0.917]
    """
    renew = np.exp(np.diff(log_survival, axis=1))
    size = renew.shape[1]
    values = np.zeros_like(renew)
    later = np.zeros(len(renew))
    for k in range(size - 1, -1, -1):
        later = renew[:, k] * (margin[:, k + 1] + later / (1 + rate))
        values[:, k] = later
    if intervals is not None and intervals < size:
        # Less what lies beyond the horizon: E(k + intervals), if still there, discounted.
        beyond = np.exp(log_survival[:, intervals:-1] - log_survival[:, : size - intervals])
        values[:, : size - intervals] -= beyond * values[:, intervals:] / (1 + rate) ** intervals
    return values


def value_base(
    fit: Retention,
    base: pd.DataFrame,
    margins: Margins,
    terms: Terms,
    factors: Mapping[str, float],
    *,
    with_errors: bool = True,
) -> Valuation:
    """Value today's customers from today on: the residual value of the customer base.

    Each customer follows the payments and the retention of their group from their own tenure on; who is
    billed more than others of the group pays more in proportion. Payments already made do not count; the next
    one is discounted by the wait for it.

    Args:
        fit: Retention curves.
        base: Columns group, interval, the characteristics of the curves, tenure, currency, customers,
            billed_minor and wait_days; further columns are kept. `model_group`, where there is one, names
            the group whose curve holds.
        margins: Payments by tenure, for the groups of the curves.
        terms: Discount, margin, years.
        factors: What a minor unit of each currency is in the reporting currency's.
        with_errors: False leaves the derivatives out, which are most of the work; values are then all that
            counts, as in a bootstrap.

    Returns:
        The values. Customers whose currency has no rate, or whose interval has no curve, are left out.
    """
    rows = _known_rows(fit, base, factors)
    rate_of = rows["currency"].map(factors).to_numpy(dtype=float)
    billed = rows["billed_minor"].to_numpy(dtype=float) * rate_of
    waited = (1 + terms.yearly_rate) ** -(rows["wait_days"].to_numpy(dtype=float) / _DAYS_A_YEAR)
    tenure = rows["tenure"].to_numpy(dtype=int)
    engine = _Engine(fit, rows, margins, terms, int(tenure.max()) if len(rows) else 0)
    usual = np.zeros(len(rows))
    for (group, interval), part in rows.groupby(["model_group", "interval"]):
        at = part.index.to_numpy()
        revenue = margins.profile(str(group), str(interval), int(tenure.max()), "revenue")[tenure[at]]
        counted = rows["customers"].to_numpy(dtype=float)[at]
        expected = float((revenue * counted).sum())
        # What this group pays against what it is billed: usage, refunds and failures make the difference.
        usual[at] = revenue * (billed[at].sum() / expected if expected > 0 else 0.0)
    unit = np.divide(billed * waited, usual, out=np.zeros(len(rows)), where=usual > 0)

    def values(theta: Array) -> Array:
        return unit * engine.residual(theta)[engine.cell, tenure]

    if with_errors:
        value, slopes = fit.delta(values)
    else:
        value, slopes = values(fit.estimate), np.zeros((len(rows), len(fit.estimate)))
    error = _relative_errors(margins, rows, tenure + 1)
    return Valuation(
        rows.assign(
            value=value, relative_error=error, waited=waited, stays_a_year=engine.stays_a_year(tenure)
        ),
        slopes,
        fit,
    )


def value_new(fit: Retention, intake: pd.DataFrame, margins: Margins, terms: Terms) -> Valuation:
    """Value new customers from their first payment on, before what it cost to win them.

    Args:
        fit: Retention curves.
        intake: Columns group, interval, the characteristics of the curves and customers; further columns are
            kept.
        margins: Payments by tenure.
        terms: Discount, margin, years.
    """
    rows = _known_rows(fit, intake, None)
    engine = _Engine(fit, rows, margins, terms, 0)
    counted = rows["customers"].to_numpy(dtype=float)

    def values(theta: Array) -> Array:
        return counted * (engine.first + engine.discount * engine.residual(theta)[:, 0])[engine.cell]

    value, slopes = fit.delta(values)
    error = _relative_errors(margins, rows)
    return Valuation(rows.assign(value=value, relative_error=error), slopes, fit)


def _known_rows(fit: Retention, rows: pd.DataFrame, factors: Mapping[str, float] | None) -> pd.DataFrame:
    """The rows that have a curve and an exchange rate."""
    if "model_group" not in rows.columns:
        rows = rows.assign(model_group=rows["group"])
    known = fit.groups[["group", "interval"]].rename(columns={"group": "model_group"})
    rows = rows.merge(known, on=["model_group", "interval"], how="inner")
    for name, levels in fit.covariates.items():
        rows = rows[rows[name].isin(levels)]
    if factors is not None:
        rows = rows[rows["currency"].isin(list(factors))]
    if rows.empty:
        raise NotApplicable(
            "No customer has both a retention curve and an exchange rate, so none has a value."
        )
    return rows.reset_index(drop=True)


def _relative_errors(margins: Margins, rows: pd.DataFrame, tenure: Array | int = 0) -> Array:
    """The relative error of what each row's customers pay from a tenure on."""
    tenures = np.broadcast_to(tenure, len(rows))
    found = np.zeros(len(rows))
    for (group, interval), part in rows.reset_index(drop=True).groupby(["model_group", "interval"]):
        at = part.index.to_numpy()
        profile = margins.profile(str(group), str(interval), int(tenures[at].max()), "relative_error")
        found[at] = profile[tenures[at]]
    return found


class _Engine:
    """Curves, margins and discount factors of the cells that rows are made of."""

    def __init__(
        self, fit: Retention, rows: pd.DataFrame, margins: Margins, terms: Terms, oldest: int
    ) -> None:
        names = ["model_group", "interval", *fit.covariates]
        cells = rows[names].drop_duplicates().reset_index(drop=True)
        self.cell = cells.reset_index().merge(rows[names], on=names, how="right")["index"].to_numpy()
        self.cells = cells.rename(columns={"model_group": "group"})
        self.fit, self.oldest, self.terms = fit, oldest, terms
        self.parts = []
        self.first = np.zeros(len(cells))
        self.discount = np.zeros(len(cells))
        for key, part in self.cells.groupby("interval"):
            interval, at = str(key), part.index.to_numpy()
            intervals = terms.periods(interval)
            size = intervals + oldest + 1
            money = margins.profiles(part["group"], interval, size)
            self.parts.append((at, fit.place(part), interval, intervals, size, money, terms.rate(interval)))
            self.first[at] = money[:, 0]
            self.discount[at] = 1 / (1 + terms.rate(interval))

    def residual(self, theta: Array) -> Array:
        """E(k) for k = 0, ..., oldest, a row a cell."""
        found = np.zeros((len(self.cells), self.oldest + 1))
        for at, cells, _, intervals, size, money, rate in self.parts:
            log_s = self.fit.log_survival(cells, size, theta)
            found[at] = renewal_values(log_s, money, rate, intervals=intervals)[:, : self.oldest + 1]
        return found

    def stays_a_year(self, tenure: Array) -> Array:
        """The chance of each row's customers to be there a year on."""
        found = np.zeros(len(tenure))
        for at, cells, interval, *_ in self.parts:
            ahead = max(round(1 / interval_years(interval)), 1)
            log_s = self.fit.log_survival(cells, self.oldest + ahead)
            mine = np.isin(self.cell, at)
            row = np.searchsorted(at, self.cell[mine])
            found[mine] = np.exp(log_s[row, tenure[mine] + ahead] - log_s[row, tenure[mine]])
        return found


def expected_payments(
    fit: Retention, stays: pd.DataFrame, margins: Margins, by: Sequence[str] = ()
) -> pd.DataFrame:
    """What customers who are on will pay until a later day, to judge it by what they did pay.

    Args:
        fit: Curves fitted to what was known on the first day.
        stays: Counts of stays that were on at the end of that day: the keys and characteristics of the
            curves, `entry` (renewals passed by then), `ripe` (renewals due by the later day), `n`, and `by`.
        margins: Payments by tenure, as known on the first day.
        by: Columns of `stays` to report by; none: in total.

    Returns:
        A row each: `by`, `n`, `expected` (net of refunds), `low` and `high`: where the sum should lie by
        chance and by the uncertainty of curves and mean payments. Nothing is discounted.
    """
    rows = _known_rows(fit, stays[stays["ripe"] > stays["entry"]], None)
    last = int(rows["ripe"].max())
    names = ["model_group", "interval", *fit.covariates]
    cells = rows[names].drop_duplicates().reset_index(drop=True)
    place = cells.reset_index().merge(rows[names], on=names, how="right")["index"].to_numpy()
    placed = fit.place(cells.rename(columns={"model_group": "group"}))
    pays = np.array(
        [
            margins.profile(group, interval, last, "revenue")
            for group, interval in zip(cells["model_group"], cells["interval"], strict=True)
        ]
    )[place]
    entry, ripe = (rows[name].to_numpy(dtype=int)[:, None] for name in ("entry", "ripe"))
    renewal = np.arange(last + 1)[None]
    pays = np.where((renewal > entry) & (renewal <= ripe), pays, 0.0)
    n = rows["n"].to_numpy(dtype=float)
    labels, where = labeled(rows, by)
    size = int(where.max()) + 1

    def there(theta: Array) -> Array:
        log_s = fit.log_survival(placed, last, theta)[place]
        return np.exp(np.where(renewal > entry, log_s - np.take_along_axis(log_s, entry, axis=1), 0.0))

    def each(theta: Array) -> Array:
        return np.asarray((there(theta) * pays).sum(axis=1))

    expected, slopes = fit.delta(lambda theta: np.bincount(where, n * each(theta), size))
    # What one customer will have paid after m payments is their sum so far, M: E[M^2] adds up M^2's steps.
    squares = np.diff(np.cumsum(pays, axis=1) ** 2, axis=1, prepend=0.0)
    mean = each(fit.estimate)
    chance = np.bincount(where, n * ((there(fit.estimate) * squares).sum(axis=1) - mean**2), size)
    share = rows.assign(where=where, money=n * mean * _relative_errors(margins, rows, entry[:, 0] + 1))
    money = (share.groupby(["where", "model_group", "interval"])["money"].sum() ** 2).groupby("where").sum()
    half = z_value(fit.level) * np.sqrt(
        np.maximum(chance, 0) + fit.standard_errors(slopes) ** 2 + money.reindex(range(size)).to_numpy()
    )
    table = pd.DataFrame(
        {
            "n": np.bincount(where, n, size).astype("int64"),
            "expected": expected,
            "low": np.maximum(expected - half, 0.0),
            "high": expected + half,
        }
    )
    return table if labels is None else pd.concat([labels, table], axis=1)


def cohort_values(
    brought: pd.DataFrame, to_come: pd.DataFrame, terms: Terms, factors: Mapping[str, float]
) -> pd.DataFrame:
    """Put what cohorts have brought so far beside what their customers are still expected to bring.

    Args:
        brought: A row a cohort and currency: cohort, currency, customers, charges, paid_minor,
            refunded_minor.
        to_come: A row a cohort: cohort, customers (still on), value, low, high.
        terms: Margin and fees.
        factors: What a minor unit of each currency is in the reporting currency's.

    Returns:
        A row a cohort: `cohort`, `customers`, `still_on`, `so_far` (margin, not discounted), `to_come`,
        `low`, `high` (of all), and `each` (so far and to come, for each customer won).
    """
    known = brought[brought["currency"].isin(list(factors))]
    rate = known["currency"].map(factors).astype(float)
    margin = terms.contribution(known["paid_minor"] * rate, known["refunded_minor"] * rate, known["charges"])
    sums = known.assign(so_far=margin).groupby("cohort")[["customers", "so_far"]].sum().reset_index()
    later = to_come.rename(columns={"customers": "still_on", "value": "to_come"})
    table = sums.merge(later, on="cohort", how="left")
    columns = ["still_on", "to_come", "low", "high"]
    table[columns] = table[columns].fillna(0)
    table["each"] = (table["so_far"] + table["to_come"]) / table["customers"]
    columns = ["cohort", "customers", "still_on", "so_far", "to_come", "low", "high", "each"]
    return table[columns].astype({"still_on": "int64"}).sort_values("cohort", ignore_index=True)


def interval_of_draws(value: float, draws: Array, level: float = 0.95) -> tuple[float, float]:
    """An interval from values of resampled data: the normal one on the logarithm, by their spread.

    A few dozen draws tell a spread well enough, but not the ends of a distribution.

    Example:
        >>> low, high = interval_of_draws(100.0, np.array([90.0, 100.0, 110.0, 100.0]))
        >>> round(low), round(high)
        (85, 117)
    """
    good = draws[np.isfinite(draws) & (draws > 0)]
    if value <= 0 or len(good) < 2:
        return value, value
    half = np.exp(z_value(level) * float(np.log(good).std(ddof=1)))
    return value / half, value * half


# --- the formula that everyone uses ---------------------------------------------------------------------


def formula_values(
    life: pd.DataFrame,
    margins: Margins,
    terms: Terms,
    right: pd.DataFrame,
) -> pd.DataFrame:
    """What the usual formulas say of a new customer, beside the right answer.

    - margin / churn: the margin of an average interval over the share who leave in one, discounting
      nothing; it takes it that everybody leaves at the average rate for ever.
    - the same, discounted: m (1 + d) / (d + churn).
    - margin x mean duration: with the mean duration of those who have left, who are mostly early leavers.

    Args:
        life: A life table by group and interval.
        margins: Payments by tenure.
        terms: Discount rate.
        right: What `Valuation.by("model_group", "interval")` gives for new customers.

    Returns:
        A row a group and interval: `group`, `interval`, `customers`, `churn` (an interval), `margin`,
        `formula`, `formula_discounted`, `duration`, `right`, `low`, `high` (all for one customer), `error`
        (formula / right - 1), and `error_money` (formula less right, for all of `customers`).
    """
    rows = []
    for row in right.to_dict("records"):
        group, interval = str(row["model_group"]), str(row["interval"])
        own = life[(life["group"] == group) & (life["interval"] == interval)]
        left, rate = float(own["events"].sum()), terms.rate(interval)
        churn = left / float(own["at_risk"].sum())
        level = margins.level(group, interval, "margin")
        rows.append(
            {
                "group": group,
                "interval": interval,
                "customers": row["customers"],
                "churn": churn,
                "margin": level,
                "formula": level / churn if churn else np.nan,
                "formula_discounted": level * (1 + rate) / (rate + churn) if rate + churn else np.nan,
                "duration": level * float((own["events"] * own["period"]).sum()) / left if left else np.nan,
                "right": row["each"],
                "low": row["each_low"],
                "high": row["each_high"],
            }
        )
    table = pd.DataFrame(rows)
    table["error"] = table["formula"] / table["right"].where(table["right"] != 0) - 1
    table["error_money"] = (table["formula"] - table["right"]) * table["customers"]
    return table


# --- winning customers ----------------------------------------------------------------------------------


def cumulative_margin(
    fit: Retention, intake: pd.DataFrame, margins: Margins, *, by: str, months: int
) -> pd.DataFrame:
    """The margin that a new customer has brought by each month, on average, by groups of customers.

    It discounts nothing, as is usual for payback. Payments fall at the start of each billing interval.

    Args:
        fit: Retention curves.
        intake: As for `value_new`, with the column `by`.
        margins: Payments by tenure.
        by: The column to group by.
        months: How many months to look at.

    Returns:
        A row for each group and month 0, 1, ..., `months`: `by`, `month`, `customers`, `value`, `low`,
        `high`.
    """
    rows = _known_rows(fit, intake, None)
    labels = rows[by].drop_duplicates().sort_values(ignore_index=True)
    place = pd.Index(labels).get_indexer(rows[by])
    counted = rows["customers"].to_numpy(dtype=float)
    total = np.bincount(place, counted)
    names = list(fit.covariates)
    parts = []
    for key, part in rows.groupby("interval"):
        interval = str(key)
        length = interval_years(interval) * 12
        due = int(np.floor(months / length + 1e-9))
        money = margins.profiles(part["model_group"], interval, due)
        month = np.minimum(np.ceil(np.arange(due + 1) * length - 1e-9).astype(int), months)
        cells = part[["model_group", "interval", *names]].rename(columns={"model_group": "group"})
        parts.append((part.index.to_numpy(), fit.place(cells), due, money, month))

    def curve(theta: Array) -> Array:
        brought = np.zeros((len(labels), months + 1))
        for at, cells, due, money, month in parts:
            each = np.exp(fit.log_survival(cells, due, theta)) * money * counted[at, None]
            for j in range(due + 1):
                np.add.at(brought[:, month[j]], place[at], each[:, j])
        return (np.cumsum(brought, axis=1) / total[:, None]).ravel()

    value, slopes = fit.delta(curve)
    error = fit.standard_errors(slopes)
    shares = rows.assign(place=place, weight=counted * _relative_errors(margins, rows))
    squares = shares.groupby(["place", "model_group", "interval"])["weight"].sum() ** 2
    money_error = np.sqrt(squares.groupby("place").sum().to_numpy()) / total
    error = np.hypot(error, value * np.repeat(money_error, months + 1))
    low, high = _limits(value, error, fit.level)
    return pd.DataFrame(
        {
            by: np.repeat(labels.to_numpy(), months + 1),
            "month": np.tile(np.arange(months + 1), len(labels)),
            "customers": np.repeat(total, months + 1).astype("int64"),
            "value": value,
            "low": low,
            "high": high,
        }
    )


def acquisition_table(
    spend: pd.DataFrame, brought: pd.DataFrame, worth: pd.DataFrame, *, target: float, watched: int
) -> pd.DataFrame:
    """Compare what a customer is worth with what it cost to win one, by channel.

    Args:
        spend: A row a channel: `channel`, `spent` (minor units) and `won` (paying customers).
        brought: What `cumulative_margin` gives by channel.
        worth: What `Valuation.by("channel")` gives for new customers.
        target: The ratio of value to cost that is aimed for, such as 3.
        watched: Months for which customers were observed; a later payback is foretold.

    Returns:
        A row a channel, the best ratio first: `channel`, `won`, `spent`, `cost` (a customer), `value`, `low`,
        `high` (a new customer's), `ratio`, `ratio_low`, `ratio_high` (value to cost; NaN without cost),
        `payback`, `payback_low`, `payback_high` (months; NaN where the margin does not cover the cost within
        the months looked at; 0 without cost), `foretold` (whether payback lies beyond what was watched),
        `most` (the highest cost at which value is still `target` times it) and `most_break_even`.
    """
    rows = []
    table = spend.merge(worth[["channel", "each", "each_low", "each_high"]], on="channel", how="inner")
    for row in table.to_dict("records"):
        cost = float(row["spent"]) / float(row["won"]) if row["won"] else np.nan
        own = brought[brought["channel"] == row["channel"]].sort_values("month")
        back = _first_month(own, "value", cost)
        value, low, high = (float(row[name]) for name in ("each", "each_low", "each_high"))
        rows.append(
            {
                "channel": row["channel"],
                "won": row["won"],
                "spent": row["spent"],
                "cost": cost,
                "value": value,
                "low": low,
                "high": high,
                "ratio": value / cost if cost > 0 else np.nan,
                "ratio_low": low / cost if cost > 0 else np.nan,
                "ratio_high": high / cost if cost > 0 else np.nan,
                "payback": back,
                "payback_low": _first_month(own, "high", cost),
                "payback_high": _first_month(own, "low", cost),
                "foretold": not back <= watched,
                "most": value / target,
                "most_break_even": value,
            }
        )
    if not rows:
        raise NotApplicable(
            "No channel has both customers and a value, so none can be compared with its cost."
        )
    found = pd.DataFrame(rows)
    return found.sort_values("ratio", ascending=False, na_position="first", kind="stable", ignore_index=True)


def _first_month(curve: pd.DataFrame, column: str, cost: float) -> float:
    reached = curve.loc[curve[column] >= cost, "month"]
    return float(reached.iloc[0]) if len(reached) else float("nan")


# --- keeping customers ----------------------------------------------------------------------------------


def retention_budget(
    fit: Retention,
    intake: pd.DataFrame,
    margins: Margins,
    terms: Terms,
    *,
    renewals: Sequence[int],
    cut: float,
) -> pd.DataFrame:
    """The largest incentive worth offering to everybody who is about to decide on a renewal.

    An incentive that keeps the share `cut` of those who would have chosen to leave is worth, for each
    customer it is offered to, cut x chance to leave x what a kept customer brings. Whoever is kept is more
    inclined to leave later than those who renew by themselves, so they are worth less (see
    `retention.leavers_survival`); taking them for average customers pays too much.

    Args:
        fit: Retention curves.
        intake: As for `value_new`: whom a group is made of when it is new.
        margins: Payments by tenure.
        terms: Discount, margin, years.
        renewals: The renewals to look at, from 1 up.
        cut: The share of leavers by choice who stay because of the incentive.

    Returns:
        A row for each group and renewal: `group`, `interval`, `renewal`, `leave` (chance to leave by
        choice), `kept_value` (what one who is kept is worth from that renewal on), `average_value` (what one
        who renews is worth), `budget`, `low`, `high` (for each customer offered), `budget_naive` (with the
        average value), and `needed` (the cut that makes an incentive of a tenth of the interval's
        revenue worth its cost; above 1: it cannot pay).

    Raises:
        InputError: `cut` is no share.
    """
    check_share("cut", cut)
    rows = _known_rows(fit, intake, None).drop(columns="group").rename(columns={"model_group": "group"})
    groups = [
        part.groupby(["group", "interval", *fit.covariates])["customers"].sum().reset_index()
        for _, part in rows.groupby(["group", "interval"])
    ]
    placed = [fit.place(cells) for cells in groups]

    def worths(theta: Array) -> Array:
        return np.concatenate(
            [
                _kept_worth(fit, cells, own, margins, terms, renewals, theta)
                for cells, own in zip(groups, placed, strict=True)
            ]
        )

    value, slopes = fit.delta(worths)
    found = []
    for place, (cells, renewal) in enumerate((cells, k) for cells in groups for k in renewals):
        group, interval = str(cells["group"].iloc[0]), str(cells["interval"].iloc[0])
        leave, kept, average = value[3 * place : 3 * place + 3]
        by_leave, by_kept = slopes[3 * place : 3 * place + 2]
        budget, gain = cut * leave * kept, leave * kept
        error = np.hypot(
            fit.standard_errors(cut * (by_leave * kept + leave * by_kept)[None]),
            budget * margins.profile(group, interval, renewal, "relative_error")[-1],
        )
        low, high = _limits(np.array([budget]), error, fit.level)
        revenue = margins.profile(group, interval, renewal, "revenue")[-1]
        found.append(
            {
                "group": group,
                "interval": interval,
                "renewal": renewal,
                "leave": leave,
                "kept_value": kept,
                "average_value": average,
                "budget": budget,
                "low": low[0],
                "high": high[0],
                "budget_naive": cut * leave * average,
                "needed": 0.1 * revenue / gain if gain > 0 else np.nan,
            }
        )
    return pd.DataFrame(found)


def _kept_worth(
    fit: Retention,
    cells: pd.DataFrame,
    placed: Cells,
    margins: Margins,
    terms: Terms,
    renewals: Sequence[int],
    theta: Array,
) -> Array:
    """For each renewal: chance to leave by choice, value of those kept, value of those who renew."""
    group, interval = str(cells["group"].iloc[0]), str(cells["interval"].iloc[0])
    weight = cells["customers"].to_numpy(dtype=float)
    intervals = terms.periods(interval)
    money = margins.profile(group, interval, intervals + max(renewals))
    discount = (1 + terms.rate(interval)) ** -np.arange(intervals + 1, dtype=float)
    rates = fit.part_rates(placed, max(renewals) + intervals, theta)
    log_s = -np.sum(list(rates.values()), axis=0)
    choice, failing = (rates.get(name, np.zeros_like(log_s)) for name in ("choice", "failure"))
    found = []
    for renewal in renewals:
        span = slice(renewal, renewal + intervals + 1)
        pays = money[span] * discount
        there = weight * np.exp(log_s[:, renewal - 1])
        leave = there * -np.expm1(choice[:, renewal - 1] - choice[:, renewal])
        kept = _kept_curves(fit, placed, theta, renewal, intervals)
        kept = kept * np.exp(failing[:, renewal - 1 : renewal] - failing[:, span])
        renews = np.exp(log_s[:, span] - log_s[:, renewal - 1 : renewal])
        staying = there @ renews[:, 0]
        found += [
            leave.sum() / there.sum(),
            leave @ (kept @ pays) / leave.sum() if leave.sum() > 0 else np.nan,
            there @ (renews @ pays) / staying if staying > 0 else np.nan,
        ]
    return np.array(found, dtype=float)


def _kept_curves(fit: Retention, cells: Cells, theta: Array, renewal: int, periods: int) -> Array:
    """For each cell how those who would have left by choice stay on once kept, failures apart."""
    part, group = fit.parts[0], int(cells.group[0])
    if part.name != "choice" or not part.models[group]:
        return np.ones((len(cells.group), periods + 1))
    own = theta[: len(part.estimate)]
    baseline = np.log(leavers_survival(part.models[group], part.natural(own, group), renewal, periods))
    return np.exp(baseline[None] * part.ratio(own, cells.power)[:, None])
