"""What customers pay in a billing interval if still there, by tenure: coupons end, usage grows, plans change.

The payments of a recent time are divided by the customers who began an interval in it, tenure by tenure, so
that today's prices count, not those of when old customers were new. Money is in minor units of the reporting
currency.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from tenure.errors import InputError, NotApplicable
from tenure.models.renewals import KEYS, Terms, interval_years, numbered
from tenure.result import Table
from tenure.stats.lifetable import Array


@dataclass(frozen=True, eq=False)
class Payments:
    """What a customer pays in an interval if still there, by tenure.

    Attributes:
        table: A row for each group, interval and tenure 0, 1, ..., as far as means are told apart: `group`,
            `interval`, `tenure`, `customers` (who began that interval), `revenue` (net of refunds, each),
            `gross` (before them), `margin` (after costs and fees, at the mean commission, each) and
            `relative_error` (standard error of what is paid from that tenure on, over it);
            the last row holds for all later tenures.
        levels: A row for each group and interval: `intervals` (begun), `revenue`, `margin` (of an average
            interval), `refunded` and `fees` (shares of what was paid).
        terms: The terms on which money is counted.
        notes: What a reader should know, in sentences.
    """

    table: pd.DataFrame
    levels: Table
    terms: Terms
    notes: tuple[str, ...] = ()

    def profile(self, group: str, interval: str, periods: int, column: str = "margin") -> Array:
        """Return what is expected in intervals 0, 1, ..., `periods`: beyond the last tenure, as in it.

        Raises:
            InputError: The group is not there.
        """
        if (group, interval) not in self._profiles:
            raise InputError(f"There are no payments of group {group} with interval {interval}.")
        values = self._profiles[group, interval][column].to_numpy(float)[: periods + 1]
        return np.concatenate([values, np.full(periods + 1 - len(values), values[-1])])

    @cached_property
    def _profiles(self) -> dict[tuple[str, str], pd.DataFrame]:
        groups = self.table.sort_values("tenure").groupby(list(KEYS))
        return {(str(group), str(length)): part for (group, length), part in groups}

    def apart(self, rows: pd.DataFrame) -> list[str]:
        """Return the column of the rows that says whose commission they pay, where there is one."""
        return [name for name in (self.terms.economics.commission_by,) if name in rows]

    def spared(self, rows: pd.DataFrame) -> Array:
        """Return how much less of each charge the stores of rows keep than the mean commission."""
        facts, by = self.terms.economics, self.apart(rows)
        names = [str(name) for name in rows[by[0]]] if by else []
        return np.array([facts.fee_share - facts.of(name).fee_share for name in names])

    def at(self, rows: pd.DataFrame, periods: int, column: str = "margin") -> Array:
        """Return the profiles of rows with `model_group` and `interval`, a row each.

        That of the row's own `group` is taken where it is known; margin is after its own commission.
        """
        names = [name for name in ("model_group", "group") if name in rows]
        labels, place = numbered(rows, list(dict.fromkeys([*names, "interval", *self.apart(rows)])))
        if column == "margin" and (spared := self.spared(labels)).any():
            plain = labels[[*names, "interval"]]
            own = self.at(plain, periods) + spared[:, None] * self.at(plain, periods, "gross")
            return np.asarray(own[place])
        found = []
        for row in labels.astype(str).to_dict("records"):
            keys = [(row[name], row["interval"]) for name in reversed(names)]
            known = next((key for key in keys if key in self._profiles), keys[-1])
            found.append(self.profile(known[0], known[1], periods, column))
        return np.array(found)[place]

    def level(self, group: str, interval: str, column: str) -> float:
        """Return a column of `levels` for a group."""
        rows = self.levels.frame
        return float(rows.loc[(rows["group"] == group) & (rows["interval"] == interval), column].iloc[0])

    def monthly(self) -> Table:
        """Return what a customer who is still there pays per month, by months since the start.

        Returns:
            A row for each row of `table`: `group` (with the interval, where a group has several), `month`,
            `customers` and `value` (net of refunds; a yearly payment counts a twelfth).
        """
        rows, months = self.table, self.table["interval"].map(interval_years) * 12
        several = rows.groupby("group")["interval"].transform("nunique") > 1
        found = rows[["group", "customers"]].assign(
            group=rows["group"].where(~several, rows["group"] + ", " + rows["interval"]),
            month=rows["tenure"] * months,
            value=rows["revenue"] / months,
        )[["group", "month", "customers", "value"]]
        return Table(found, {"month": "months", "customers": "count", "value": self.terms.unit})


def payments_by_tenure(
    paid: pd.DataFrame | None,
    begun: pd.DataFrame | None,
    terms: Terms,
    *,
    base: pd.DataFrame | None = None,
    smallest: int = 100,
    precision: float = 0.03,
) -> Payments:
    """Estimate what customers pay in an interval if still there, by tenure.

    Neighboring tenures are taken together until their mean rests on enough customers.

    Args:
        paid: As from `tenure.measures.value.paid_by_tenure`.
        begun: Columns group, interval, currency, first, last, n: n customers began the intervals from
            `first` to `last`.
        base: Today's customers (model_group, interval, tenure, currency, customers, billed_minor): where
            nothing was paid, everybody is assumed to pay what they are billed, once an interval.
        smallest: The fewest customers behind a mean.
        precision: The standard error that a mean may have at most, as a share of it.

    Raises:
        NotApplicable: Nobody began an interval in that time, or nobody is subscribed.

    Example:
        >>> from tenure.economics import Economics
        >>> paid = pd.DataFrame({"group": "a", "interval": "1 month", "currency": "EUR", "tenure": [0, 1],
        ...     "payers": [100, 80], "charges": [100, 80], "paid_minor": [50_000, 80_000],
        ...     "refunded_minor": 0, "squares": [2.5e7, 8e7]})
        >>> begun = pd.DataFrame({"group": "a", "interval": "1 month", "currency": "EUR", "first": 0,
        ...     "last": [0, 1], "n": [20, 80]})
        >>> free = Economics(margin=0.5, fee_share=0, fee_fixed=0)
        >>> payments_by_tenure(paid, begun, Terms(free), smallest=10).profile("a", "1 month", 3).tolist()
        [250.0, 500.0, 500.0, 500.0]
    """
    notes: tuple[str, ...] = ()
    if base is not None and base.empty:
        raise NotApplicable("Nobody is subscribed on the last day, so there is nobody to value.")
    if base is not None and (paid is None or not paid["paid_minor"].sum()):
        paid, begun = _bills(base)
        notes = (
            "There are no payments for subscriptions: everybody is assumed to pay what they are billed.",
        )
    if paid is None or begun is None:
        raise NotApplicable("Nobody paid or began a billing interval, so there is no mean payment.")
    begun, _ = terms.converted(begun)
    if begun.empty:
        raise NotApplicable("Nobody began a billing interval in that time, so there is no mean payment.")
    keys = list(KEYS)
    money, rate = terms.converted(
        paid.assign(gross=paid["paid_minor"], back=paid["refunded_minor"]), "gross", "back"
    )
    money["squares"] *= rate**2
    sums = money.groupby([*keys, "tenure"])[["payers", "charges", "gross", "back", "squares"]].sum()
    table = customers_by_tenure(begun).join(sums).fillna(0.0).reset_index()
    table["net"] = table["gross"] - table["back"]
    months = table["customers"] * table["interval"].map(interval_years) * 12
    table["kept"] = terms.contribution(table["gross"], table["back"], table["charges"], months)
    whole = table.groupby(keys, as_index=False).sum()
    out = whole["gross"].where(whole["gross"] != 0)
    margin = terms.economics.margin * whole["gross"]
    levels = whole[keys].assign(
        intervals=whole["customers"].astype("int64"),
        revenue=whole["net"] / whole["customers"],
        margin=whole["kept"] / whole["customers"],
        refunded=whole["back"] / out,
        fees=(margin - terms.contribution(whole["gross"], 0.0, whole["charges"])) / out,
    )
    rows = []
    for key, part in table.groupby(keys):
        group, length = map(str, key)
        mine = begun[(begun["group"] == group) & (begun["interval"] == length)]
        rows.append(_by_tenure(part, mine, smallest, precision).assign(group=group, interval=length))
    columns = [*keys, "tenure", "customers", "revenue", "gross", "margin", "relative_error"]
    units = {"intervals": "count", "revenue": terms.unit, "margin": terms.unit}
    units |= {"refunded": "percent", "fees": "percent"}
    said = ["Commission is the mean of all customers' here."] if terms.economics.commission else []
    return Payments(pd.concat(rows, ignore_index=True)[columns], Table(levels, units, said), terms, notes)


def new_payments(
    paid: pd.DataFrame | None,
    begun: pd.DataFrame | None,
    everybody: Payments,
    *,
    base: pd.DataFrame,
    smallest: int = 100,
) -> Payments:
    """Estimate what new customers pay in an interval, by tenure: as `payments_by_tenure`, from them alone.

    What older customers pay says little of it where prices, sizes or plans were others when they came. Groups
    of which nothing is known yet pay as everybody does. `base` are today's customers, with those of them who
    are new as newer and newer_minor.
    """
    there = base.assign(customers=base["newer"], billed_minor=base["newer_minor"])
    there = there[there["customers"] > 0].drop(columns="model_group", errors="ignore")
    try:
        own = payments_by_tenure(
            paid, begun, everybody.terms, base=there if len(there) else None, smallest=smallest
        )
    except NotApplicable:
        return everybody
    known = set(own.table[list(KEYS)].itertuples(index=False, name=None))
    rest = [key not in known for key in everybody.table[list(KEYS)].itertuples(index=False, name=None)]
    table = pd.concat([own.table, everybody.table[rest]], ignore_index=True)
    return Payments(table, own.levels, own.terms, own.notes)


def customers_by_tenure(begun: pd.DataFrame) -> pd.DataFrame:
    """Count those who began each interval: customers, by group, interval and tenure.

    Example:
        >>> begun = pd.DataFrame({"group": "a", "interval": "1 month", "first": [0, 1], "last": [1, 2],
        ...                       "n": [5, 3]})
        >>> customers_by_tenure(begun)["customers"].tolist()
        [5, 8, 3]
    """
    begun = begun.reset_index(drop=True)  # parts put together may number their rows alike
    lasts = (begun["last"] - begun["first"] + 1).to_numpy(dtype=int)
    rows = begun.loc[begun.index.repeat(lasts)]
    rows = rows.assign(tenure=rows["first"] + rows.groupby(level=0).cumcount())
    counts = rows.groupby([*KEYS, "tenure"])["n"].sum().to_frame("customers")
    return counts[counts["customers"] > 0]


def _by_tenure(part: pd.DataFrame, begun: pd.DataFrame, smallest: int, precision: float) -> pd.DataFrame:
    """Mean payments of a group by tenure, neighboring tenures taken together where they are few."""
    own = part.set_index("tenure")[["customers", "payers", "net", "gross", "kept", "squares"]]
    own = own.reindex(range(int(part["tenure"].max()) + 1), fill_value=0.0)
    mean, payers = own["net"].sum() / own["customers"].sum(), own["payers"].sum()
    within = (own["squares"] - own["net"] ** 2 / own["payers"].where(own["payers"] > 0)).sum()
    spread = np.sqrt(max(within, 0) / payers) / abs(mean) if payers and mean else 0.0
    customers = own["customers"].to_numpy(dtype=float)
    band = _bands(customers, max(smallest, (spread / precision) ** 2))
    pooled = own.groupby(band)[["customers", "net", "gross", "kept"]].transform("sum")
    size = int(np.flatnonzero(band == band[-1])[0]) + 1
    errors = [_relative_error(spread, customers, band, begun, tenure) for tenure in range(size)]
    return pd.DataFrame(
        {
            "tenure": range(size),
            "customers": np.r_[customers[: size - 1], customers[size - 1 :].sum()].astype("int64"),
            **{
                name: (pooled[of] / pooled["customers"])[:size]
                for name, of in (("revenue", "net"), ("gross", "gross"), ("margin", "kept"))
            },
            "relative_error": errors,
        }
    )


def _bands(customers: Array, fewest: float) -> Array:
    """Number the bands of neighboring tenures that hold enough customers each.

    Most of a customer's value depends on the last band, which holds a tenth of all customers at least.
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

    Customers differ by `spread` and keep what they pay, so one who was observed in many intervals counts
    once, by their weight in all of them.
    """
    ahead = np.where(np.arange(len(customers)) >= tenure, customers, 0.0)
    shares = np.bincount(band, ahead / ahead.sum()) / np.bincount(band, customers)
    weight = np.r_[0.0, np.cumsum(shares[band])]
    first, last = begun["first"].to_numpy(dtype=int), begun["last"].to_numpy(dtype=int)
    each = weight[last + 1] - weight[first]
    return float(spread * np.sqrt((begun["n"].to_numpy(dtype=float) * each**2).sum()))


def _bills(base: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Bills in the place of payments, and the intervals that they are for."""
    keys = [*KEYS, "currency", "tenure"]
    named = base.assign(group=base["model_group"]) if "model_group" in base else base
    sums = named.groupby(keys, as_index=False)[["customers", "billed_minor"]].sum()
    paid = sums[keys].assign(
        payers=sums["customers"],
        charges=sums["customers"],
        paid_minor=sums["billed_minor"],
        refunded_minor=0,
        squares=sums["billed_minor"] ** 2 / sums["customers"],
    )
    return paid, sums[keys[:3]].assign(first=sums["tenure"], last=sums["tenure"], n=sums["customers"])
