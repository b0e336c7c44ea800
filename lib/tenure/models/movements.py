"""Recurring revenue as a ledger: what it was, what moved it, what it is, and that this adds up.

The movements come from `tenure.measures.revenue.mrr_movements`, the balances they must lead to from
`mrr_balances`, which counts them anew. Amounts are whole minor units throughout; months are indices counted
from January of year 0.

What is summed or counted (revenue, customers, revenue a customer) is known exactly. Rates rest on chance, and
their `sample` is the months in which what they count could happen (see `tenure.models.rates`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from tenure import money
from tenure.errors import NotApplicable, TenureError
from tenure.models.months import month_date, month_label
from tenure.result import NAN, Estimate, Table
from tenure.stats.intervals import (
    NOTHING,
    money_share,
    money_sum,
    proportion,
    quick_ratio,
    weighted_share,
)

GAINS = ("new", "reactivation", "expansion")
LOSSES = ("contraction", "churn")
KINDS = (*GAINS, *LOSSES, "resume", "pause", "transfer", "fx")
CAUSES = ("voluntary", "involuntary", "unknown")

_WORDS = {"fx": "exchange rates", "pause": "paused", "resume": "pause over"}
GAIN_WORDS = {
    "subscription_added": "further subscriptions",
    "term_change": "switches to more expensive terms",
    "plan_change": "switches to more expensive plans",
    "quantity_change": "more seats or units",
    "price_change": "higher prices",
    "discount_change": "discounts that ended",
    "usage": "more usage",
}
_PLACE = ["month", "currency", "group"]


class IdentityError(TenureError):
    """The movements of a month do not lead from one balance to the next; the sentence shows where."""


@dataclass(frozen=True)
class Identity:
    """What the identity of movements was checked on, and held for.

    Attributes:
        months: How many months.
        cells: How many balances, over months, currencies and groups.
        customers: The customers at the end.
    """

    months: int
    cells: int
    customers: int


@dataclass(frozen=True, eq=False)
class Ledger:
    """Revenue by month in one currency.

    Attributes:
        lines: A row a month, group, kind and reason: month, group, kind, reason, amount_minor, customers, n,
            squares. The kind `fx` is what exchange rates did to the balance of the month before.
        balances: A row a month and group: month, group, opening, closing (minor units),
            customers_before, customers.
        currency: The currency of all amounts.
    """

    lines: pd.DataFrame
    balances: pd.DataFrame
    currency: str

    @property
    def unit(self) -> str:
        """The unit of its amounts."""
        return f"money:{self.currency}"

    @cached_property
    def flow(self) -> pd.DataFrame:
        """Its months laid out by `roll_forward`, where it is not split by group."""
        return roll_forward(self)

    def at(self, month: int) -> dict[str, float]:
        """Return a month of `flow`; zeros where there is none."""
        return _row(self.flow, month)


def check_identity(
    movements: pd.DataFrame,
    balances: pd.DataFrame,
    customers: pd.DataFrame | None = None,
    *,
    example: Callable[[], pd.DataFrame] | None = None,
) -> Identity:
    """Refuse movements that do not lead from each month's balance to the next, to the minor unit.

    Checked are the revenue and the customers of every month, currency and group, and the customers over
    all of them: ``MRR_now = MRR_before + all movements`` and ``customers_now = customers_before + new +
    reactivated - churned``, with transfers between groups.

    Args:
        movements: Columns month, currency, group, amount_minor, customers, logos.
        balances: Columns month, currency, group, mrr_minor, customers, counted without the movements.
        customers: Columns month and customers: each counted once, over all currencies and groups.
        example: Asked only where something does not add up: the customers it does not add up for, the
            smallest difference first (`tenure.measures.revenue.mismatches`).

    Returns:
        What was checked.

    Raises:
        IdentityError: Something does not add up; the sentence names the smallest example.

    Example:
        >>> moved = pd.DataFrame({"month": [1, 2], "currency": "EUR", "group": "all",
        ...                       "kind": ["new", "churn"], "amount_minor": [100, -40],
        ...     "customers": [2, -1], "logos": [2, -1]})
        >>> stood = pd.DataFrame({"month": [1, 2], "currency": "EUR", "group": "all",
        ...                       "mrr_minor": [100, 60], "customers": [2, 1]})
        >>> check_identity(moved, stood).months
        2
    """
    columns = {"amount_minor": "mrr_minor", "customers": "customers"}
    if movements.empty and balances.empty:
        return Identity(0, 0, 0)
    months = pd.concat([movements["month"], balances["month"]]).astype(int)
    span = range(months.min(), months.max() + 1)
    moved = _spread(movements, list(columns), span).cumsum()
    counted = _spread(balances, list(columns.values()), span)
    stood = counted.reindex(
        columns=pd.MultiIndex.from_tuples([(columns[at[0]], at[1], at[2]) for at in moved.columns]),
        fill_value=0,
    )
    more = sorted(set(counted.columns) - set(stood.columns))
    if more:
        currency, group = more[0][1], more[0][2]
        raise IdentityError(
            f"The revenue of {group} in {currency} has a balance that no movement ever led to: "
            "this is an error of the data or the engine, please report it."
        )
    off = moved.to_numpy() - stood.to_numpy()
    if off.any():
        raise IdentityError(_violation(moved, stood, off, example))
    total = 0
    if customers is not None:
        heads = customers.groupby("month")["customers"].sum().reindex(span, fill_value=0)
        said = movements.groupby("month")["logos"].sum().reindex(span, fill_value=0).cumsum()
        wrong = heads.index[heads.to_numpy() != said.to_numpy()]
        if len(wrong):
            month = wrong[0]
            raise IdentityError(
                f"At the end of {month_label(month)} there are {heads[month]} customers, but those new, "
                f"back and gone since the beginning add up to {said[month]}: please report this."
            )
        total = int(heads.iloc[-1])
    return Identity(len(span), int(stood.size // 2), total)


def ledger(
    movements: pd.DataFrame,
    rates: pd.DataFrame | None = None,
    *,
    currency: str,
    until: int,
) -> Ledger:
    """Turn movements into a ledger in one currency.

    Movements are valued at the rate of the previous month's end, so that they say what customers did; what
    the rates did to the balance is a line of its own, `fx`. Lines are rounded to the minor unit, and what
    rounding leaves (a few minor units) is in `fx` too. With one currency only nothing is converted.

    Args:
        movements: As from `tenure.measures.revenue.mrr_movements`.
        rates: Columns currency, month, rate, as `tenure.money.factors_by_month` takes them.
        currency: The reporting currency.
        until: The last month.

    Raises:
        InputError: There are several currencies and no rate for one of them.
        NotApplicable: Nobody ever paid.

    Example:
        >>> moved = pd.DataFrame({"month": [1, 2], "currency": "USD", "group": "all",
        ...     "kind": ["new", "churn"], "reason": ["", "voluntary"], "amount_minor": [1000, -400],
        ...     "customers": [2, -1],
        ...     "logos": [2, -1], "n": [2, 1], "squares": [5e5, 1.6e5]})
        >>> rates = pd.DataFrame({"currency": "USD", "month": [1, 2], "rate": [0.9, 0.8]})
        >>> book = ledger(moved, rates, currency="EUR", until=2)
        >>> book.lines[["month", "kind", "amount_minor"]].values.tolist()
        [[1, 'new', 900], [2, 'churn', -360], [2, 'fx', -60]]
        >>> book.balances["closing"].tolist()
        [900, 480]
    """
    if movements.empty:
        raise NotApplicable(
            "There is no recurring revenue in this data: nobody ever paid for a subscription."
        )
    frame = movements[movements["month"] <= until]
    months = range(int(movements["month"].min()), until + 1)
    used = sorted(frame["currency"].unique())
    factors = money.factors_by_month(rates, used, currency, months)
    groups = sorted(frame["group"].unique())
    heads = "logos" if groups == ["all"] else "customers"

    native = _spread(frame, ["amount_minor", heads], months).cumsum()
    places = native["amount_minor"].columns
    value = (native["amount_minor"] * factors[places.get_level_values("currency")].to_numpy()).T
    closing = np.floor(value.groupby(level="group").sum().T + 0.5).astype(np.int64)
    count = native[heads].T.groupby(level="group").sum().T
    book = pd.concat(
        [
            pd.DataFrame(
                {
                    "month": months,
                    "group": group,
                    "opening": np.r_[0, closing[group].iloc[:-1]],
                    "closing": closing[group].to_numpy(),
                    "customers_before": np.r_[0, count[group].iloc[:-1]],
                    "customers": count[group].to_numpy(),
                }
            )
            for group in groups
        ],
        ignore_index=True,
    )

    before = factors.shift(1).fillna(factors.iloc[:1])
    row = before.index.get_indexer(pd.Index(frame["month"]))
    rate = before.to_numpy()[row, before.columns.get_indexer(pd.Index(frame["currency"]))]
    lines = frame.assign(
        customers=frame[heads], value=frame["amount_minor"] * rate, squares=frame["squares"] * rate**2
    )
    keys = ["month", "group", "kind", "reason"]
    lines = lines.groupby(keys, as_index=False)[["value", "customers", "n", "squares"]].sum()
    lines["amount_minor"] = np.floor(lines["value"] + 0.5).astype(np.int64)
    said = lines.groupby(["month", "group"])["amount_minor"].sum()
    moved = book.set_index(["month", "group"])
    rest = moved["closing"] - moved["opening"] - said.reindex(moved.index, fill_value=0)
    fx = rest[rest != 0].rename("amount_minor").reset_index()
    fx = fx.assign(kind="fx", reason="", customers=0, n=0, squares=0.0)
    lines = pd.concat([lines, fx], ignore_index=True)
    lines["place"] = lines["kind"].map({kind: place for place, kind in enumerate(KINDS)})
    lines = lines.sort_values(["month", "group", "place", "reason"], ignore_index=True)
    columns = [*keys, "amount_minor", "customers", "n", "squares"]
    whole = dict.fromkeys(("month", "amount_minor", "customers", "n"), "int64")
    return Ledger(lines[columns].astype(whole), book, currency)


def roll_forward(book: Ledger, *, group: str = "all") -> pd.DataFrame:
    """Lay a ledger out with a row a month: opening, each kind, closing, and customers.

    Returns:
        Indexed by month: opening, a column for each of KINDS, closing, customers_before, new_customers,
        reactivated, churned (positive), moved (customers from and to other groups), customers, and
        gain_squares, loss_squares, churn_squares, squares.

    Example:
        >>> moved = pd.DataFrame({"month": [1, 2], "currency": "EUR", "group": "all",
        ...     "kind": ["new", "churn"], "reason": ["", "voluntary"], "amount_minor": [1000, -400],
        ...     "customers": [2, -1],
        ...     "logos": [2, -1], "n": [2, 1], "squares": [5e5, 1.6e5]})
        >>> flow = roll_forward(ledger(moved, currency="EUR", until=3))
        >>> flow[["opening", "new", "churn", "closing", "churned"]].values.tolist()
        [[0, 1000, 0, 1000, 0], [1000, 0, -400, 600, 1], [600, 0, 0, 600, 0]]
    """
    own = book.lines[book.lines["group"] == group]
    flow = book.balances[book.balances["group"] == group].set_index("month").drop(columns="group")

    def by_kind(column: str) -> pd.DataFrame:
        wide = own.pivot_table(index="month", columns="kind", values=column, aggfunc="sum", fill_value=0)
        return wide.reindex(index=flow.index, columns=list(KINDS), fill_value=0)

    amounts, heads, squares = by_kind("amount_minor"), by_kind("customers"), by_kind("squares")
    flow = pd.concat([flow[["opening"]], amounts.astype("int64"), flow.drop(columns="opening")], axis=1)
    return flow.assign(
        new_customers=heads["new"].astype("int64"),
        reactivated=heads["reactivation"].astype("int64"),
        churned=-heads["churn"].astype("int64"),
        moved=heads["transfer"].astype("int64"),
        gain_squares=squares[list(GAINS)].sum(axis=1),
        loss_squares=squares[list(LOSSES)].sum(axis=1),
        churn_squares=squares["churn"],
        squares=squares[[*GAINS, *LOSSES, "pause", "resume"]].sum(axis=1),
    )


def effective_customers(balances: pd.DataFrame, factors: Mapping[str, float]) -> dict[int, float]:
    """Return for each month how many customers of equal revenue would tell as much (Kish 1965).

    Args:
        balances: As from `tenure.measures.revenue.mrr_balances`, not split by group.
        factors: Minor units of the reporting currency for one of each currency.

    Example:
        >>> stood = pd.DataFrame({"month": [1], "currency": "EUR", "mrr_minor": [1000], "paying": [10],
        ...                       "spread": [0.0]})
        >>> effective_customers(stood, {"EUR": 1.0})
        {1: 10.0}
    """
    rows = balances[balances["paying"] > 0]
    factor = rows["currency"].map(dict(factors)).fillna(0.0).astype(float)
    n, total = rows["paying"].astype(float), rows["mrr_minor"] * factor
    squares = (n - 1) * (rows["spread"].fillna(0.0) * factor) ** 2 + total**2 / n
    sums = pd.DataFrame({"total": total, "squares": squares}).groupby(rows["month"].astype(int)).sum()
    equal = (sums["total"] ** 2 / sums["squares"]).fillna(0.0)
    return dict(zip(equal.index.tolist(), equal.tolist(), strict=True))


def month_rates(
    book: Ledger,
    month: int,
    *,
    churn_base: str = "start",
    effective: Mapping[int, float] | None = None,
    level: float = 0.95,
) -> dict[str, Estimate]:
    """Estimate a month's rates from the ledger, by the names of `tenure.models.rates.METRICS`.

    Customers are those with a subscription, paying or paused. Churn by cause adds up to logo churn: what is
    unknown stays unknown.

    Args:
        book: The ledger, not split by group.
        month: The month.
        churn_base: Divide churned customers by those at the "start", or by "start_and_new".
        effective: As from `effective_customers`; None: as if all customers paid the same.
        level: Level of the intervals.

    Returns:
        mrr.net_new (of what customers did, without fx), mrr.growth (net new over the opening),
        churn.monthly, churn.voluntary, churn.involuntary, churn.unknown, mrr.churn, mrr.contraction and
        mrr.quick_ratio; nothing where the month is not in the ledger.

    Example:
        >>> moved = pd.DataFrame({"month": [1, 2], "currency": "EUR", "group": "all",
        ...     "kind": ["new", "churn"], "reason": ["", "voluntary"], "amount_minor": [1000, -400],
        ...     "customers": [2, -1],
        ...     "logos": [2, -1], "n": [2, 1], "squares": [5e5, 1.6e5]})
        >>> found = month_rates(ledger(moved, currency="EUR", until=2), 2)
        >>> found["churn.monthly"].value, found["mrr.churn"].value, found["churn.voluntary"].value
        (0.5, 0.4, 0.5)
    """
    if month not in book.flow.index:
        return {}
    row = book.at(month)
    about: dict[str, Any] = {"level": level, "sample": (month, month)}
    opening, before, after = row["opening"], int(row["customers_before"]), int(row["customers"])
    base = before + (int(row["new_customers"]) if churn_base == "start_and_new" else 0)
    net = sum(row[kind] for kind in (*GAINS, *LOSSES, "pause", "resume"))
    new = money_sum(net, row["squares"], after, of="customer", unit=book.unit, **about)
    lost = book.lines[(book.lines["month"] == month) & (book.lines["kind"] == "churn")]
    causes = {"monthly": int(row["churned"]), **(-lost.groupby("reason")["customers"].sum()).to_dict()}
    return {
        "mrr.net_new": new.saying("gain" if net >= 0 else "loss"),
        "mrr.growth": new.scaled(1 / opening, "percent") if opening else NOTHING,
        **{
            f"churn.{cause}": proportion(min(causes.get(cause, 0), base), base, of="customer", **about)
            for cause in ("monthly", *CAUSES)
        },
        "mrr.churn": weighted_share(
            -row["churn"], opening, (effective or {}).get(month - 1, before), before, of="customer", **about
        ),
        "mrr.contraction": money_share(
            -row["contraction"], row["loss_squares"] - row["churn_squares"], opening, before,
            of="customer", **about,
        ),
        "mrr.quick_ratio": quick_ratio(
            sum(row[kind] for kind in GAINS), row["gain_squares"],
            -sum(row[kind] for kind in LOSSES), row["loss_squares"], after, of="customer", **about,
        ),
    }  # fmt: skip


def group_table(book: Ledger, month: int, *, level: float = 0.95) -> Table:
    """Lay out a month by group, with the share of each group's customers that left.

    Args:
        book: A ledger that is split by group.
        month: The month.
        level: Level of the intervals.

    Returns:
        A row a group, the largest first: group, opening, gained (new and back), grown (expansion less
        contraction), churn, transfer, other (pauses and exchange rates), closing, left with its limits, and
        customers (at the start).
    """
    rows = []
    for group in sorted(book.balances["group"].unique()):
        row = _row(roll_forward(book, group=group), month)
        n = int(row["customers_before"])
        left = proportion(min(int(row["churned"]), n), n, level=level)
        rows.append(
            {
                "group": group,
                "opening": row["opening"],
                "gained": row["new"] + row["reactivation"],
                "grown": row["expansion"] + row["contraction"],
                "churn": row["churn"],
                "transfer": row["transfer"],
                "other": row["pause"] + row["resume"] + row["fx"],
                "closing": row["closing"],
                "left": left.value,
                "left_low": left.low,
                "left_high": left.high,
                "customers": n,
            }
        )
    frame = pd.DataFrame(rows).sort_values("closing", ascending=False, kind="stable", ignore_index=True)
    amounts = ("opening", "gained", "grown", "churn", "transfer", "other", "closing")
    note = "Gained: new and back. Grown: expansion less contraction. Other: pauses and exchange rates."
    return Table(frame, {**dict.fromkeys(amounts, book.unit), "left": "percent"}, (note,))


def furthest_apart(groups: Table) -> Estimate:
    """Say whether a group stands out by churn: the highest lower end against the lowest upper end.

    All pairs were looked at to find these two, so the bar is high: their intervals must not touch.

    Args:
        groups: As from `group_table`.

    Returns:
        The difference of the two shares. Words: most, least; cases: "apart", "together" and, where there are
        not two groups, "unknown".

    Example:
        >>> rows = {"group": ["a", "b"], "left": [0.1, 0.3], "left_low": [0, 0.25], "left_high": [0.2, 1.0]}
        >>> found = furthest_apart(Table(pd.DataFrame(rows)))
        >>> found.case, found.words["most"]
        ('apart', 'b')
    """
    known = groups.frame.dropna(subset=["left_low", "left_high"])
    if len(known) < 2:
        return Estimate(NAN, unit="points", case="unknown")
    most, least = known.nlargest(1, "left_low").iloc[0], known.nsmallest(1, "left_high").iloc[0]
    case = "apart" if most["left_low"] > least["left_high"] else "together"
    words = {"most": str(most["group"]), "least": str(least["group"])}
    return Estimate(float(most["left"] - least["left"]), unit="points", case=case, words=words)


def fold_groups(movements: pd.DataFrame, *, min_group: int, most: int = 8) -> pd.DataFrame:
    """Name groups *other* that never held `min_group` customers, or are not among the largest.

    Args:
        movements: As from `tenure.measures.revenue.mrr_movements`.
        min_group: Smaller groups are folded.
        most: So are the smallest beyond this many.

    Example:
        >>> moved = pd.DataFrame({"month": 1, "currency": "EUR", "group": ["a", "b"], "kind": "new",
        ...     "reason": "", "amount_minor": [9, 1], "customers": [90, 2], "logos": [90, 2], "n": [90, 2],
        ...     "squares": [1.0, 1.0]})
        >>> fold_groups(moved, min_group=10)["group"].tolist()
        ['a', 'other']
    """
    heads = movements.pivot_table(
        index="month", columns="group", values="customers", aggfunc="sum", fill_value=0
    )
    largest = heads.cumsum().max().sort_values(ascending=False, kind="stable")
    kept = largest.index[largest >= min_group][:most]
    folded = movements.assign(group=movements["group"].where(movements["group"].isin(kept), "other"))
    keys = [*_PLACE, "kind", "reason"]
    return folded.groupby(keys, as_index=False)[["amount_minor", "customers", "logos", "n", "squares"]].sum()


def reasons(book: Ledger, month: int) -> Table:
    """List what moved revenue in a month, and why, in words.

    Returns:
        A row a kind and reason: kind, reason, amount, movements.

    Example:
        >>> moved = pd.DataFrame({"month": [1], "currency": "EUR", "group": "all", "kind": "expansion",
        ...     "reason": "plan_change", "amount_minor": 900, "customers": 0, "logos": 0, "n": 2,
        ...     "squares": 1e4})
        >>> reasons(ledger(moved, currency="EUR", until=1), 1).frame.values.tolist()
        [['expansion', 'plan change', 900, 2]]
    """
    own = book.lines[book.lines["month"] == month].rename(
        columns={"amount_minor": "amount", "n": "movements"}
    )
    own = own.assign(kind=own["kind"].replace(_WORDS), reason=own["reason"].str.replace("_", " "))
    columns = ["kind", "reason", "amount", "movements"]
    return Table(own[columns].reset_index(drop=True), {"amount": book.unit})


def bridge(book: Ledger, month: int) -> Table:
    """Lay out how a month's opening became its closing, as `tenure.report.figures.waterfall` draws it.

    Returns:
        Columns label and amount: the total before, the kinds that moved anything, the total after.

    Example:
        >>> moved = pd.DataFrame({"month": [24320, 24321], "currency": "EUR", "group": "all",
        ...     "kind": ["new", "churn"], "reason": ["", "voluntary"], "amount_minor": [1000, -400],
        ...     "customers": [2, -1], "logos": [2, -1], "n": [2, 1], "squares": [5e5, 1.6e5]})
        >>> bridge(ledger(moved, currency="EUR", until=24321), 24321).frame.values.tolist()
        [['2026-09', 1000.0], ['Churn', -400.0], ['2026-10', 600.0]]
    """
    row = book.at(month)
    rows = [(month_label(month - 1), row["opening"])]
    rows += [(_WORDS.get(kind, kind).capitalize(), row[kind]) for kind in KINDS if row[kind]]
    rows.append((month_label(month), row["closing"]))
    return Table(pd.DataFrame(rows, columns=["label", "amount"]), {"amount": book.unit})


def story(book: Ledger, months: int) -> Table:
    """Lay out what was gained and lost in the last months.

    Returns:
        A row a month: date, new, reactivation, expansion, contraction, churn and other, the rest.
    """
    flow = book.flow.tail(months)
    rest = flow[["pause", "resume", "transfer", "fx"]].sum(axis=1)
    frame = flow[[*GAINS, *LOSSES]].assign(other=rest)
    frame.insert(0, "date", [month_date(month) for month in flow.index])
    units = dict.fromkeys((*GAINS, *LOSSES, "other"), book.unit)
    return Table(frame.reset_index(drop=True), {"date": "month", **units})


def _row(flow: pd.DataFrame, month: int) -> dict[str, float]:
    """A month of a ledger; zeros where it has none."""
    if month not in flow.index:
        return dict.fromkeys(flow.columns, 0.0)
    return {str(name): float(value) for name, value in flow.loc[[month]].iloc[0].items()}


def _spread(frame: pd.DataFrame, values: list[str], months: Sequence[int]) -> pd.DataFrame:
    """A row a month, a column for each value, currency and group; 0 where there is nothing."""
    wide = frame.pivot_table(
        index="month", columns=["currency", "group"], values=values, aggfunc="sum", fill_value=0
    )
    return wide.reindex(list(months), fill_value=0).astype("int64")


def _violation(
    moved: pd.DataFrame, stood: pd.DataFrame, off: np.ndarray, example: Callable[[], pd.DataFrame] | None
) -> str:
    rows, columns = np.nonzero(off)
    size = np.abs(off[rows, columns])
    at = np.lexsort((columns, rows, size))[0]
    name, currency, group = moved.columns[columns[at]]
    month = month_label(moved.index[rows[at]])
    what = "customers" if name == "customers" else f"minor units of {currency}"
    balance, said = (int(frame.to_numpy()[rows[at], columns[at]]) for frame in (stood, moved))
    sentence = (
        f"The movements do not add up: at the end of {month} group {group!r} in {currency} has "
        f"{balance} {what}, but its movements lead to {said}."
    )
    found = example() if example is not None else None
    if found is not None and len(found):
        first = found.iloc[0]
        sentence += (
            f" The smallest example is customer {first['customer_id']} in {month_label(first['month'])}: "
            f"the balance changes by {first['balance_minor']}, the movements say {first['moved_minor']}."
        )
    return sentence + " No number of this report can be trusted until that is fixed."
