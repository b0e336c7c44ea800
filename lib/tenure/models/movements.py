"""Recurring revenue as a ledger: what it was, what moved it, what it is, and that this adds up.

The movements come from `tenure.measures.revenue.mrr_movements`, the balances they must lead to from
`mrr_balances`, which counts them anew. Amounts are whole minor units throughout.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tenure.errors import InputError, NotApplicable, TenureError
from tenure.result import Estimate
from tenure.result import counted as exact
from tenure.stats.intervals import (
    NOTHING,
    effective_number,
    mean,
    money_share,
    money_sum,
    pooled,
    proportion,
    quick_ratio,
    weighted_share,
)

GAINS = ("new", "reactivation", "expansion")
LOSSES = ("contraction", "churn")
KINDS = (*GAINS, *LOSSES, "resume", "pause", "transfer", "fx")

_LOSSES = {
    ("churn", "voluntary"): "customers who chose to leave",
    ("churn", "involuntary"): "failed payments",
    ("churn", "unknown"): "customers who left for an unknown reason",
    ("contraction", "term_change"): "switches to cheaper terms",
    ("contraction", "plan_change"): "switches to cheaper plans",
    ("contraction", "subscription_ended"): "further subscriptions that ended",
    ("contraction", "quantity_change"): "fewer seats or units",
    ("contraction", "price_change"): "lower prices",
    ("contraction", "discount_change"): "new discounts",
    ("contraction", "usage"): "less usage",
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


def month_label(month: int) -> str:
    """Return a month's name from its index.

    Example:
        >>> month_label(24321)
        '2026-10'
    """
    year, number = divmod(int(month), 12)
    return f"{year}-{number + 1:02d}"


def month_date(month: int) -> dt.date:
    """Return a month's first day from its index.

    Example:
        >>> month_date(24321)
        datetime.date(2026, 10, 1)
    """
    year, number = divmod(int(month), 12)
    return dt.date(year, number + 1, 1)


def complete_month(as_of: dt.date) -> int:
    """Return the index of the last month that was over at the end of a day.

    Example:
        >>> [month_label(complete_month(dt.date(2026, 10, day))) for day in (30, 31)]
        ['2026-09', '2026-10']
    """
    tomorrow = as_of + dt.timedelta(days=1)
    return tomorrow.year * 12 + tomorrow.month - 2


def is_running(as_of: dt.date) -> bool:
    """Say whether the month of a day was not yet over at its end.

    Example:
        >>> is_running(dt.date(2026, 10, 30)), is_running(dt.date(2026, 10, 31))
        (True, False)
    """
    return as_of.year * 12 + as_of.month - 1 > complete_month(as_of)


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
        told = movements.groupby("month")["logos"].sum().reindex(span, fill_value=0).cumsum()
        wrong = heads.index[heads.to_numpy() != told.to_numpy()]
        if len(wrong):
            month = wrong[0]
            raise IdentityError(
                f"At the end of {month_label(month)} there are {heads[month]} customers, but those new, "
                f"back and gone since the beginning add up to {told[month]}: please report this."
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
        rates: Columns currency, month, rate: units of the reporting currency for one, at each month's end;
            months without a rate keep the one before.
        currency: The reporting currency.
        until: The last month.

    Raises:
        InputError: There are several currencies and no rate for one of them.

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
    first = int(movements["month"].min())
    months = range(first, until + 1)
    used = sorted(frame["currency"].unique())
    single = len(used) == 1 and used[0] == currency
    table = None if single else rate_table(rates, used, currency, months)
    groups = sorted(frame["group"].unique())

    native = _spread(frame, ["amount_minor", "customers", "logos"], months).cumsum()
    balances, closings = [], {}
    for group in groups:
        closing = np.zeros(len(months))
        count = np.zeros(len(months), dtype=np.int64)
        for name in used:
            if ("amount_minor", name, group) not in native.columns:
                continue
            amount = native[("amount_minor", name, group)].to_numpy(dtype=float)
            closing += amount if table is None else amount * table[name].to_numpy()
            head = "logos" if groups == ["all"] else "customers"
            count += native[(head, name, group)].to_numpy(dtype=np.int64)
        closings[group] = np.floor(closing + 0.5).astype(np.int64)
        balances.append(
            pd.DataFrame(
                {
                    "month": months,
                    "group": group,
                    "opening": np.r_[0, closings[group][:-1]],
                    "closing": closings[group],
                    "customers_before": np.r_[0, count[:-1]],
                    "customers": count,
                }
            )
        )
    book = pd.concat(balances, ignore_index=True)

    lines = frame.assign(
        customers=frame["logos"] if groups == ["all"] else frame["customers"],
        value=frame["amount_minor"].astype(float),
        squares=frame["squares"].astype(float),
    )
    if table is not None:
        before = table.shift(1)
        before.iloc[0] = table.iloc[0]
        row = before.index.get_indexer(pd.Index(lines["month"]))
        rate = before.to_numpy()[row, before.columns.get_indexer(pd.Index(lines["currency"]))]
        lines = lines.assign(value=lines["value"] * rate, squares=lines["squares"] * rate**2)
    keys = ["month", "group", "kind", "reason"]
    lines = lines.groupby(keys, as_index=False)[["value", "customers", "n", "squares"]].sum()
    lines["amount_minor"] = np.floor(lines["value"] + 0.5).astype(np.int64)
    if table is not None:
        told = lines.groupby(["month", "group"])["amount_minor"].sum()
        moved = book.set_index(["month", "group"])
        rest = moved["closing"] - moved["opening"] - told.reindex(moved.index, fill_value=0)
        fx = rest[rest != 0].rename("amount_minor").reset_index()
        fx = fx.assign(kind="fx", reason="", customers=0, n=0, squares=0.0)
        lines = pd.concat([lines, fx], ignore_index=True)
    lines["place"] = lines["kind"].map({kind: place for place, kind in enumerate(KINDS)})
    lines = lines.sort_values(["month", "group", "place", "reason"], ignore_index=True)
    columns = [*keys, "amount_minor", "customers", "n", "squares"]
    whole = dict.fromkeys(("month", "amount_minor", "customers", "n"), "int64")
    return Ledger(lines[columns].astype(whole), book, currency)


def rate_table(
    rates: pd.DataFrame | None, used: Sequence[str], currency: str, months: Sequence[int]
) -> pd.DataFrame:
    """Spread month-end rates over all months and currencies, to the reporting currency.

    Returns:
        A row a month, a column a currency.

    Raises:
        InputError: A currency has no rate.

    Example:
        >>> rates = pd.DataFrame({"currency": ["USD"], "month": [1], "rate": [0.9]})
        >>> rate_table(rates, ["EUR", "USD"], "EUR", range(1, 3)).values.tolist()
        [[1.0, 0.9], [1.0, 0.9]]
    """
    known = pd.DataFrame(index=pd.Index(months, name="month"))
    given = pd.DataFrame(columns=["currency", "month", "rate"]) if rates is None else rates
    every = sorted({*given["month"].astype(int), *months})
    base = _base(given)
    for name in {*used, currency}:
        own = given[given["currency"] == name].set_index("month")["rate"].astype(float)
        if own.empty and name == currency and base in ("", currency):
            own = pd.Series({every[0]: 1.0})
        if own.empty:
            raise InputError(_no_rate(name, currency, base))
        known[name] = own.reindex(every).ffill().bfill().reindex(list(months))
    columns = sorted(used)
    return known[columns].div(known[currency], axis=0).rename_axis(columns="currency")


def rates_at(rates: pd.DataFrame | None, used: Sequence[str], currency: str, month: int) -> dict[str, float]:
    """Return the value of one unit of each currency in the reporting currency at a month's end.

    Raises:
        InputError: A currency has no rate.

    Example:
        >>> rates_at(None, ["EUR"], "EUR", 24321)
        {'EUR': 1.0}
    """
    row = rate_table(rates, sorted(set(used)), currency, [month]).iloc[0]
    return {str(name): float(rate) for name, rate in row.items()}


def reporting_currency(
    movements: pd.DataFrame, rates: pd.DataFrame | None = None, *, wanted: str = ""
) -> str:
    """Return the currency to report in: the one asked for, that of the rates, or that of most revenue.

    The table of rates holds units of the reporting currency, so the currency whose own rate is always 1
    is it.

    Example:
        >>> moved = pd.DataFrame({"currency": ["EUR", "USD"], "amount_minor": [5, 9]})
        >>> rates = pd.DataFrame({"currency": ["EUR", "USD"], "rate": [1.0, 0.9]})
        >>> reporting_currency(moved, rates), reporting_currency(moved)
        ('EUR', 'USD')
    """
    if wanted:
        return wanted
    totals = movements.groupby("currency")["amount_minor"].sum()
    if totals.empty:
        return ""
    if len(totals) > 1 and rates is not None and len(rates):
        base = _base(rates)
        if base in totals.index:
            return base
    return str(totals.sort_index().idxmax())


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


def effective_customers(balances: pd.DataFrame, rates: Mapping[str, float] | None = None) -> dict[int, float]:
    """Return for each month how many customers of equal revenue would tell as much (Kish 1965).

    Args:
        balances: As from `tenure.measures.revenue.mrr_balances`, not split by group.
        rates: Value of one unit of each currency in the reporting currency; None: all are one.

    Example:
        >>> stood = pd.DataFrame({"month": [1], "currency": "EUR", "mrr_minor": [1000], "paying": [10],
        ...                       "spread": [0.0]})
        >>> effective_customers(stood)
        {1: 10.0}
    """
    found = {}
    for month in sorted(set(balances["month"].astype(int))):
        n, center, spread = _pool(balances, month, rates)
        found[month] = effective_number(n, n * center, spread**2) if n else 0.0
    return found


def month_metrics(
    flow: pd.DataFrame,
    month: int,
    *,
    churn_base: str = "start",
    effective: Mapping[int, float] | None = None,
    level: float = 0.95,
) -> dict[str, Estimate]:
    """Estimate a month's rates from the ledger.

    Args:
        flow: As from `roll_forward`.
        month: The month.
        churn_base: Divide lost customers by those at the "start", or by "start_and_new".
        effective: As from `effective_customers`; None: as if all customers paid the same.
        level: Level of the intervals.

    Returns:
        mrr (counted), net_new (of what customers did, without fx), growth (net_new over the opening),
        logo_churn, mrr_churn, mrr_contraction, quick_ratio; each NaN where the month is not in the ledger.

    Example:
        >>> moved = pd.DataFrame({"month": [1, 2], "currency": "EUR", "group": "all",
        ...     "kind": ["new", "churn"], "reason": ["", "voluntary"], "amount_minor": [1000, -400],
        ...     "customers": [2, -1],
        ...     "logos": [2, -1], "n": [2, 1], "squares": [5e5, 1.6e5]})
        >>> flow = roll_forward(ledger(moved, currency="EUR", until=2))
        >>> month_metrics(flow, 2)["logo_churn"].value, month_metrics(flow, 2)["mrr_churn"].value
        (0.5, 0.4)
    """
    if month not in flow.index:
        names = ("mrr", "net_new", "growth", "logo_churn", "mrr_churn", "mrr_contraction", "quick_ratio")
        return dict.fromkeys(names, NOTHING)
    row = _month(flow, month)
    opening, before = row["opening"], int(row["customers_before"])
    base = before + (int(row["new_customers"]) if churn_base == "start_and_new" else 0)
    lost = min(int(row["churned"]), base)
    net = sum(row[kind] for kind in (*GAINS, *LOSSES, "pause", "resume"))
    n = int(row["customers"])
    new = money_sum(net, float(row["squares"]), n, level=level)
    contracted = row["loss_squares"] - row["churn_squares"]
    return {
        "mrr": exact(row["closing"], n),
        "net_new": new,
        "growth": Estimate(new.value / opening, new.low / opening, new.high / opening, n, level=level)
        if opening
        else NOTHING,
        "logo_churn": proportion(lost, base, level=level),
        "mrr_churn": weighted_share(
            -row["churn"], opening, (effective or {}).get(month - 1, before), before, level=level
        ),
        "mrr_contraction": money_share(-row["contraction"], contracted, opening, before, level=level),
        "quick_ratio": quick_ratio(
            sum(row[kind] for kind in GAINS),
            row["gain_squares"],
            -sum(row[kind] for kind in LOSSES),
            row["loss_squares"],
            n,
            level=level,
        ),
    }


def churn_by_cause(
    flow: pd.DataFrame, book: Ledger, month: int, *, churn_base: str = "start", level: float = 0.95
) -> dict[str, Estimate]:
    """Split a month's logo churn by why customers left; what is unknown stays unknown.

    Args:
        flow: As from `roll_forward` of the book.
        book: The ledger, not split by group.
        month: The month.
        churn_base: Divide lost customers by those at the "start", or by "start_and_new".
        level: Level of the intervals.

    Returns:
        For voluntary, involuntary and unknown the share of customers that left so.

    Example:
        >>> moved = pd.DataFrame({"month": [1, 2], "currency": "EUR", "group": "all",
        ...     "kind": ["new", "churn"], "reason": ["", "voluntary"], "amount_minor": [1000, -400],
        ...     "customers": [2, -1],
        ...     "logos": [2, -1], "n": [2, 1], "squares": [5e5, 1.6e5]})
        >>> book = ledger(moved, currency="EUR", until=2)
        >>> {cause: found.value for cause, found in churn_by_cause(roll_forward(book), book, 2).items()}
        {'voluntary': 0.5, 'involuntary': 0.0, 'unknown': 0.0}
    """
    n = month_metrics(flow, month, churn_base=churn_base, level=level)["logo_churn"].n or 0
    lost = book.lines[(book.lines["month"] == month) & (book.lines["kind"] == "churn")]
    heads = (-lost.groupby("reason")["customers"].sum()).to_dict()
    return {
        cause: proportion(min(int(heads.get(cause, 0)), n), n, level=level)
        for cause in ("voluntary", "involuntary", "unknown")
    }


def revenue_per_customer(
    balances: pd.DataFrame, month: int, rates: Mapping[str, float] | None = None, *, level: float = 0.95
) -> Estimate:
    """Estimate the average revenue of a paying customer (ARPA) at a month's end.

    Args:
        balances: As from `tenure.measures.revenue.mrr_balances`, not split by group.
        month: The month.
        rates: Value of one unit of each currency in the reporting currency; None: all are one.
        level: Level of the interval.

    Example:
        >>> stood = pd.DataFrame({"month": 1, "currency": ["EUR", "USD"], "mrr_minor": [1000, 2000],
        ...                       "paying": [10, 10], "spread": [0.0, 0.0]})
        >>> revenue_per_customer(stood, 1).value
        150.0
    """
    n, center, spread = _pool(balances, month, rates)
    return mean(center, spread, n, level=level) if n else NOTHING


def lines_in(lines: pd.DataFrame, rates: Mapping[str, float] | None = None) -> pd.DataFrame:
    """Add the lines beside recurring revenue up over currencies.

    Args:
        lines: As from `tenure.measures.revenue.revenue_lines`.
        rates: Value of one unit of each currency in the reporting currency; None: all are one.

    Returns:
        Indexed by line, all of them: amount and customers.

    Example:
        >>> lines = pd.DataFrame({"line": ["mrr"], "currency": "EUR", "customers": 3, "amount_minor": 900})
        >>> lines_in(lines).loc[["mrr", "trial"], "amount"].tolist()
        [900.0, 0.0]
    """
    rate = 1.0 if rates is None else lines["currency"].map(dict(rates)).astype(float)
    sums = lines.assign(amount=lines["amount_minor"] * rate).groupby("line")[["amount", "customers"]].sum()
    return sums.reindex(["mrr", "leaving", "past_due", "paused", "trial", "usage"], fill_value=0)


def line_table(lines: pd.DataFrame) -> pd.DataFrame:
    """Lay out what stands beside recurring revenue, and what of it is committed.

    Args:
        lines: As from `lines_in`.

    Returns:
        A row a line: line, amount (minor units a month), customers (NaN for what is a difference) and
        counted, whether it is part of recurring revenue.

    Example:
        >>> lines = lines_in(pd.DataFrame({"line": ["mrr", "leaving"], "currency": "EUR", "customers": [3, 1],
        ...                                "amount_minor": [900, 200]}))
        >>> line_table(lines)[["line", "amount"]].head(3).values.tolist()
        [['recurring revenue', 900.0], ['asked to leave', 200.0], ['committed revenue', 700.0]]
    """
    amount, heads = lines["amount"], lines["customers"].astype(float)
    rows = [
        ("recurring revenue", amount["mrr"], heads["mrr"], "yes"),
        ("asked to leave", amount["leaving"], heads["leaving"], "yes"),
        ("committed revenue", amount["mrr"] - amount["leaving"], np.nan, "yes"),
        ("past due, within its grace", amount["past_due"], heads["past_due"], "yes"),
        ("running trials, at their price", amount["trial"], heads["trial"], "no"),
        ("paused", amount["paused"], heads["paused"], "no"),
        ("usage, a mean of three months", amount["usage"], heads["usage"], "no"),
    ]
    return pd.DataFrame(rows, columns=["line", "amount", "customers", "counted"])


def counted_line(lines: pd.DataFrame, name: str) -> Estimate:
    """Return a line beside recurring revenue as a number that is counted.

    Args:
        lines: As from `lines_in`.
        name: One of its lines, or "committed": recurring revenue without that of who asked to leave.

    Returns:
        The amount and the customers it rests on; NaN where there was no recurring revenue at all.

    Example:
        >>> lines = lines_in(pd.DataFrame({"line": ["mrr", "leaving"], "currency": "EUR", "customers": [3, 1],
        ...                                "amount_minor": [900, 200]}))
        >>> counted_line(lines, "committed").value, counted_line(lines, "trial").value
        (700.0, 0.0)
    """
    if not lines.loc["mrr", "customers"]:
        return NOTHING
    if name == "committed":
        return exact(lines["amount"]["mrr"] - lines["amount"]["leaving"], int(lines["customers"]["mrr"]))
    return exact(lines["amount"][name], int(lines["customers"][name]))


def renewal_rates(
    due: pd.DataFrame, month: int, *, level: float = 0.95
) -> dict[str, tuple[Estimate, Estimate]]:
    """Estimate, for each term, the share that was not renewed within a year, and within the year before.

    Args:
        due: As from `tenure.measures.revenue.renewals`.
        month: The last month of the year.
        level: Level of the intervals.

    Returns:
        By term (such as "1 year" or "3 months"), those of years first, then those with most renewals.

    Example:
        >>> due = pd.DataFrame({"month": [12, 24], "billing": "1 year", "due": [10, 20], "lost": [4, 10]})
        >>> now, then = renewal_rates(due, 24)["1 year"]
        >>> now.value, then.value
        (0.5, 0.4)
    """
    year, earlier = (due[due["month"].between(month - 11 - back, month - back)] for back in (0, 12))
    counts = year.groupby("billing")["due"].sum()
    terms = sorted(counts.index, key=lambda term: (not term.endswith("year"), -counts[term], term))
    return {
        (term if term.startswith("1 ") else f"{term}s"): tuple(  # type: ignore[misc]
            pooled(part[part["billing"] == term], "lost", "due", level=level) for part in (year, earlier)
        )
        for term in terms
    }


def group_table(book: Ledger, month: int, *, level: float = 0.95) -> pd.DataFrame:
    """Lay out a month by group, with the share of each group's customers that left.

    Args:
        book: A ledger that is split by group.
        month: The month.
        level: Level of the intervals.

    Returns:
        A row a group, the largest first: group, opening, won (new and back), grown (expansion less
        contraction), churn, transfer, other (pauses and exchange rates), closing, left, low, high, n
        (customers at the start).
    """
    rows = []
    for group in sorted(book.balances["group"].unique()):
        flow = roll_forward(book, group=group)
        row, left = _month(flow, month), month_metrics(flow, month, level=level)["logo_churn"]
        rows.append(
            {
                "group": group,
                "opening": row["opening"],
                "won": row["new"] + row["reactivation"],
                "grown": row["expansion"] + row["contraction"],
                "churn": row["churn"],
                "transfer": row["transfer"],
                "other": row["pause"] + row["resume"] + row["fx"],
                "closing": row["closing"],
                "left": left.value,
                "low": left.low,
                "high": left.high,
                "n": left.n,
            }
        )
    return pd.DataFrame(rows).sort_values("closing", ascending=False, kind="stable", ignore_index=True)


def reasons(book: Ledger, month: int) -> pd.DataFrame:
    """List what moved revenue in a month, and why, in words.

    Returns:
        A row a kind and reason: kind, reason, amount (minor units), movements.

    Example:
        >>> moved = pd.DataFrame({"month": [1], "currency": "EUR", "group": "all", "kind": "expansion",
        ...     "reason": "plan_change", "amount_minor": 900, "customers": 0, "logos": 0, "n": 2,
        ...     "squares": 1e4})
        >>> reasons(ledger(moved, currency="EUR", until=1), 1).values.tolist()
        [['expansion', 'plan change', 900, 2]]
    """
    own = book.lines[book.lines["month"] == month]
    return pd.DataFrame(
        {
            "kind": own["kind"].replace({"fx": "exchange rates", "pause": "paused", "resume": "pause over"}),
            "reason": own["reason"].str.replace("_", " "),
            "amount": own["amount_minor"],
            "movements": own["n"],
        }
    ).reset_index(drop=True)


def renewal_table(rates: Mapping[str, tuple[Estimate, Estimate]]) -> pd.DataFrame:
    """Lay renewals out by term.

    Args:
        rates: As from `renewal_rates`.

    Returns:
        A row a term: term, due, not_renewed, low, high, year_before.

    Example:
        >>> renewal_table({"1 year": (proportion(4, 10), proportion(5, 10))})["due"].tolist()
        [10]
    """
    return pd.DataFrame(
        [
            {
                "term": term,
                "due": now.n,
                "not_renewed": now.value,
                "low": now.low,
                "high": now.high,
                "year_before": then.value,
            }
            for term, (now, then) in rates.items()
        ]
    )


def furthest_apart(table: pd.DataFrame) -> tuple[str, str] | None:
    """Return the groups with the highest and the lowest share that left, where they clearly differ.

    Args:
        table: Columns group, left, low, high, n.

    Example:
        >>> furthest_apart(pd.DataFrame({"group": ["a", "b"], "left": [0.1, 0.2], "low": [0.05, 0.1],
        ...                              "high": [0.2, 0.4], "n": [50, 30]})) is None
        True
    """
    known = table.dropna(subset=["left", "low", "high"])
    if len(known) < 2:
        return None
    rows = known.to_dict("records")
    most, least = max(rows, key=lambda row: row["low"]), min(rows, key=lambda row: row["high"])
    # All pairs were looked at to find these two, so the bar is higher: their intervals must not touch.
    return (str(most["group"]), str(least["group"])) if most["low"] > least["high"] else None


def story(flow: pd.DataFrame) -> pd.DataFrame:
    """Return what was gained and lost, month by month, as `figures_metrics.movements_over_time` draws it.

    Returns:
        A row a month: date, new, reactivation, expansion, contraction, churn and other, the rest.
    """
    rest = flow[["pause", "resume", "transfer", "fx"]].sum(axis=1)
    dates = [month_date(month) for month in flow.index]
    return flow[[*GAINS, *LOSSES]].assign(other=rest).reset_index(drop=True).assign(date=dates)


def trend(lines: Mapping[str, Mapping[int, Estimate]]) -> pd.DataFrame:
    """Lay estimates by month out as `tenure.report.figures.line_with_interval` draws them.

    Args:
        lines: For each group its estimates by month; months without one are left out.

    Returns:
        A row a group and month: date, group, value, low, high.

    Example:
        >>> trend({"all": {24321: proportion(5, 10)}})["date"].tolist()
        [datetime.date(2026, 10, 1)]
    """
    rows = [
        (month_date(month), group, found.value, found.low, found.high)
        for group, months in lines.items()
        for month, found in sorted(months.items())
        if found.n and not np.isnan(found.value)
    ]
    return pd.DataFrame(rows, columns=["date", "group", "value", "low", "high"])


def paying(customers: pd.DataFrame, month: int) -> Estimate:
    """Return how many customers paid at a month's end, as a number that is counted.

    Args:
        customers: As from `tenure.measures.revenue.customers_by_month`.
        month: The month.

    Example:
        >>> paying(pd.DataFrame({"month": [1], "customers": [12], "paying": [10]}), 1).value
        10.0
    """
    rows = customers[customers["month"] == month]
    return NOTHING if rows.empty else exact(int(rows["paying"].iloc[0]), int(rows["paying"].iloc[0]))


def losses(book: Ledger, months: Sequence[int], *, level: float = 0.95) -> pd.DataFrame:
    """List what took revenue away, as a mean of some months, the largest first.

    Args:
        book: The ledger.
        months: The months.
        level: Level of the intervals (compound Poisson).

    Returns:
        A row a kind and reason that took something: loss, monthly, low, high (minor units a month,
        positive), n (movements in all the months).

    Example:
        >>> moved = pd.DataFrame({"month": [1, 2], "currency": "EUR", "group": "all",
        ...     "kind": ["new", "churn"], "reason": ["", "voluntary"], "amount_minor": [1000, -400],
        ...     "customers": [2, -1], "logos": [2, -1], "n": [2, 1], "squares": [5e5, 1.6e5]})
        >>> losses(ledger(moved, currency="EUR", until=2), [2])[["loss", "monthly"]].values.tolist()
        [['customers who chose to leave', 400.0]]
    """
    own = book.lines[book.lines["month"].isin(list(months)) & book.lines["kind"].isin(LOSSES)]
    sums = own.groupby(["kind", "reason"], as_index=False)[["amount_minor", "n", "squares"]].sum()
    rows = []
    for row in sums.to_dict("records"):
        found = money_sum(-float(row["amount_minor"]), float(row["squares"]), int(row["n"]), level=level)
        parts = [end / len(months) for end in (found.value, max(found.low, 0.0), found.high)]
        name = _LOSSES.get((row["kind"], row["reason"]), str(row["reason"]).replace("_", " "))
        rows.append((name, *parts, found.n))
    table = pd.DataFrame(rows, columns=["loss", "monthly", "low", "high", "n"])
    return table.sort_values("monthly", ascending=False, ignore_index=True)


def leaks(
    book: Ledger, months: Sequence[int], *, churn: float, share: float = 0.1, level: float = 0.95
) -> pd.DataFrame:
    """List what takes revenue away, and what it would bring within a year to keep a share of it.

    Args:
        book: The ledger.
        months: The months that the losses are a mean of.
        churn: The share of revenue that leaves in a month.
        share: The share that could be kept.
        level: Level of the intervals.

    Returns:
        As from `losses`, with worth, worth_low and worth_high (minor units).
    """
    known = [month for month in months if month in set(book.balances["month"])]
    found = losses(book, known or list(months), level=level)
    unit = worth_of_keeping(1.0, churn, share=share)
    return found.assign(
        worth=found["monthly"] * unit, worth_low=found["low"] * unit, worth_high=found["high"] * unit
    )


def worth_of_keeping(monthly: float, churn: float, *, share: float = 0.1, months: int = 12) -> float:
    """Return what it brings within some months to keep a share of what is lost in each of them.

    What is kept goes on to leave at the same rate as everything else.

    Args:
        monthly: What is lost a month.
        churn: The share of revenue that leaves in a month.
        share: The share that is kept.
        months: How many months are looked at.

    Example:
        >>> worth_of_keeping(100.0, 0.0, share=0.1, months=3)
        60.0
    """
    stay = 1 - (0.0 if np.isnan(churn) else churn)
    return float(monthly * share * sum(stay**k for m in range(months) for k in range(months - m)))


def waterfall_rows(flow: pd.DataFrame, months: Sequence[int]) -> pd.DataFrame:
    """Return the bridge over some months, from the first opening to the last closing.

    Returns:
        Columns label and amount: the total before, the kinds that moved anything, the total after.

    Example:
        >>> moved = pd.DataFrame({"month": [24320, 24321], "currency": "EUR", "group": "all",
        ...     "kind": ["new", "churn"], "reason": ["", "voluntary"], "amount_minor": [1000, -400],
        ...     "customers": [2, -1], "logos": [2, -1], "n": [2, 1], "squares": [5e5, 1.6e5]})
        >>> waterfall_rows(roll_forward(ledger(moved, currency="EUR", until=24321)), [24321]).values.tolist()
        [['2026-09', 1000.0], ['Churn', -400.0], ['2026-10', 600.0]]
    """
    part = flow.loc[list(months)]
    rows = [(month_label(int(part.index[0]) - 1), float(part["opening"].iloc[0]))]
    rows += [
        (kind.capitalize() if kind != "fx" else "Exchange rates", float(part[kind].sum()))
        for kind in KINDS
        if part[kind].any()
    ]
    rows.append((month_label(int(part.index[-1])), float(part["closing"].iloc[-1])))
    return pd.DataFrame(rows, columns=["label", "amount"])


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
    kept = list(largest.index[largest >= min_group][:most])
    folded = movements.assign(group=movements["group"].where(movements["group"].isin(kept), "other"))
    keys = [*_PLACE, "kind", "reason"]
    return folded.groupby(keys, as_index=False)[["amount_minor", "customers", "logos", "n", "squares"]].sum()


def policy_table(books: Mapping[str, tuple[Ledger, str]], month: int) -> pd.DataFrame:
    """Lay out what several policies make of a month.

    Args:
        books: For each policy its ledger and what it divides churn by.
        month: The month.

    Returns:
        A row a policy: rules, mrr, customers, churned, logo_churn, mrr_churn.
    """
    rows = []
    for name, (book, base) in books.items():
        flow = roll_forward(book)
        row, rates = _month(flow, month), month_metrics(flow, month, churn_base=base)
        rows.append(
            {
                "rules": name,
                "mrr": int(row["closing"]),
                "customers": int(row["customers"]),
                "churned": int(row["churned"]),
                "logo_churn": rates["logo_churn"].value,
                "mrr_churn": rates["mrr_churn"].value,
            }
        )
    return pd.DataFrame(rows)


def policy_bridge(books: Sequence[tuple[str, Ledger, str]], month: int) -> pd.DataFrame:
    """Explain, rule by rule, how one policy's numbers become another's.

    Args:
        books: The first policy's name, ledger and churn base; then, after each rule that was changed, the
            rule's name and the ledger and churn base under it. The last are the other policy's.
        month: The month to compare.

    Returns:
        A row a rule: rule, mrr, customers, churned and logo_churn (what the rule adds to each). The first
        row is what the first policy says and the last what the other does; the rows between add up to
        their difference exactly.

    Example:
        >>> def book(amount):
        ...     return ledger(pd.DataFrame({"month": [1], "currency": "EUR", "group": "all", "kind": "new",
        ...         "reason": "", "amount_minor": [amount], "customers": 1, "logos": 1, "n": 1,
        ...         "squares": 1.0}), currency="EUR", until=1)
        >>> steps = policy_bridge([("ours", book(100), "start"), ("trials", book(130), "start")], 1)
        >>> steps[["rule", "mrr"]].values.tolist()
        [['ours', 100], ['trials', 30], ['all of them', 130]]
    """
    told = [policy_table({rule: (book, base)}, month) for rule, book, base in books]
    table = pd.concat(told, ignore_index=True)
    columns = ["mrr", "customers", "churned", "logo_churn"]
    steps = table[columns].diff()
    steps.iloc[0] = table[columns].iloc[0]
    whole = pd.concat([steps, table[columns].iloc[[-1]]], ignore_index=True)
    whole.insert(0, "rule", [*table["rules"], "all of them"])
    return whole.astype({name: table[name].dtype for name in columns})


def without_effect(steps: pd.DataFrame, *, unit: float = 100.0) -> pd.Series:
    """Say for each step of a bridge whether it changes nothing that a reader would see.

    That is less than half a unit of money, no customer, and less than half a hundredth of a point of churn.

    Args:
        steps: As from `policy_bridge`.
        unit: Minor units in a unit of the currency: 1 for yen.

    Example:
        >>> steps = pd.DataFrame({"mrr": [3, 0], "customers": 0, "churned": [0, 1], "logo_churn": 0.0})
        >>> without_effect(steps).tolist()
        [True, False]
    """
    same = (steps[["customers", "churned"]] == 0).all(axis=1)
    return same & (steps["mrr"].abs() < unit / 2) & (steps["logo_churn"].abs() < 5e-5)


def restatement(
    published: pd.DataFrame | None,
    current: pd.DataFrame,
    *,
    grace_days: int | None,
    policy: str,
) -> pd.DataFrame:
    """List past months that an earlier run published otherwise, with why that may be.

    Args:
        published: What the earlier run exported: month (such as 2026-09), kind, amount_minor, customers,
            currency, as_of (its last day) and policy (its digest); None: there was none.
        current: The same of this run.
        grace_days: Days that unpaid time may still be paid; None: without end.
        policy: Digest of the policy now.

    Returns:
        A row a month and kind that differs: month, kind, published, now, change (minor units), customers
        (change of their number) and why. Only months that were over when the earlier run was made count.

    Raises:
        InputError: The earlier export is not of this kind.

    Example:
        >>> old = pd.DataFrame({"month": ["2026-08", "2026-09"], "kind": "churn", "amount_minor": [-5, -7],
        ...     "customers": [-1, -1], "currency": "EUR", "as_of": "2026-09-30", "policy": "a"})
        >>> new = old.assign(amount_minor=[-5, -9], customers=[-1, -2])
        >>> found = restatement(old, new, grace_days=30, policy="a")
        >>> found[["month", "published", "now", "change"]].values.tolist()
        [['2026-09', -7, -9, -2]]
    """
    nothing = pd.DataFrame(columns=["month", "kind", "published", "now", "change", "customers", "why"])
    if published is None:
        return nothing
    needed = ["month", "kind", "amount_minor", "customers", "currency", "as_of", "policy"]
    absent = [name for name in needed if name not in published.columns]
    if absent:
        raise InputError(
            f"What the earlier run exported has no column {absent[0]}; it has "
            f"{', '.join(published.columns)}. Fix: name a folder that this report exported its tables to."
        )
    if published.empty:
        return nothing
    then = dt.date.fromisoformat(str(published["as_of"].iloc[0]))
    over = month_label(complete_month(then))
    keys = ["month", "kind"]
    sums = ["amount_minor", "customers"]
    both = (
        published.groupby(keys)[sums]
        .sum()
        .join(current.groupby(keys)[sums].sum(), how="outer", lsuffix="_then", rsuffix="_now")
        .fillna(0)
        .astype("int64")
        .reset_index()
    )
    both = both[both["month"].astype(str) <= over]
    both["change"] = both["amount_minor_now"] - both["amount_minor_then"]
    both["heads"] = both["customers_now"] - both["customers_then"]
    moved = both[(both["change"] != 0) | (both["heads"] != 0)]
    rules = str(published["policy"].iloc[0]) != policy
    money = str(published["currency"].iloc[0]) != str(current["currency"].iloc[0])
    ripe = then - dt.timedelta(days=36_500 if grace_days is None else grace_days)
    recent = f"{ripe.year}-{ripe.month:02d}"
    why = [
        _why(kind, month >= recent, rules, money)
        for kind, month in zip(moved["kind"].astype(str), moved["month"].astype(str), strict=True)
    ]
    return pd.DataFrame(
        {
            "month": moved["month"].astype(str),
            "kind": moved["kind"],
            "published": moved["amount_minor_then"],
            "now": moved["amount_minor_now"],
            "change": moved["change"],
            "customers": moved["heads"],
            "why": why,
        }
    ).reset_index(drop=True)


def history(book: Ledger, *, as_of: dt.date, policy: str) -> pd.DataFrame:
    """Return a ledger as it is exported, for later runs to compare themselves with.

    Returns:
        A row a month and kind, closing balances among them: month, kind, amount_minor, customers, currency,
        as_of, policy.
    """
    lines = book.lines.groupby(["month", "kind"], as_index=False)[["amount_minor", "customers"]].sum()
    closing = book.balances.groupby("month", as_index=False)[["closing", "customers"]].sum()
    closing = closing.rename(columns={"closing": "amount_minor"}).assign(kind="balance")
    table = pd.concat([lines, closing[lines.columns]], ignore_index=True)
    table["place"] = table["kind"].map({kind: place for place, kind in enumerate((*KINDS, "balance"))})
    table = table.sort_values(["month", "place"], ignore_index=True).drop(columns="place")
    return table.assign(
        month=[month_label(month) for month in table["month"]],
        currency=book.currency,
        as_of=as_of.isoformat(),
        policy=policy,
    )


def targets_of(targets: pd.DataFrame | None, month: int) -> Mapping[str, float]:
    """Return what was aimed for in a month, by metric; the year's target where the month has none.

    Example:
        >>> goals = pd.DataFrame({"metric": ["a", "a", "b"], "period": ["2026", "2026-10", "2026"],
        ...                       "target": [1.0, 2.0, 3.0]})
        >>> targets_of(goals, 24321)
        {'a': 2.0, 'b': 3.0}
    """
    if targets is None or targets.empty:
        return {}
    label = month_label(month)
    found: dict[str, float] = {}
    for period in (label[:4], label):
        own = targets[targets["period"].astype(str) == period]
        found |= dict(zip(own["metric"].astype(str), own["target"].astype(float), strict=True))
    return found


def _pool(balances: pd.DataFrame, month: int, rates: Mapping[str, float] | None) -> tuple[int, float, float]:
    """Count, mean and standard deviation of the paying customers' revenue, over currencies."""
    rows = balances[(balances["month"] == month) & (balances["paying"] > 0)]
    n = rows["paying"].to_numpy(dtype=float)
    size = int(n.sum())
    if size == 0:
        return 0, float("nan"), float("nan")
    rate = np.array([1.0 if rates is None else rates.get(name, 0.0) for name in rows["currency"]])
    means = rows["mrr_minor"].to_numpy(dtype=float) * rate / n
    spread = rows["spread"].fillna(0.0).to_numpy(dtype=float) * rate
    center = float((means * n).sum() / size)
    square = float(((n - 1) * spread**2 + n * (means - center) ** 2).sum())
    return size, center, float(np.sqrt(square / max(size - 1, 1)))


def _no_rate(name: str, currency: str, base: str) -> str:
    if name == currency:
        return (
            f"There is no exchange rate of {currency} to {base}, the currency of the table fx_rates. "
            f"Fix: put its rates in, or report in {base}."
        )
    return (
        f"There are amounts in {name} and no exchange rate of it to {currency}. Fix: put its rates into the "
        f"table fx_rates, or look at one currency only with currency='{name}'."
    )


def _base(rates: pd.DataFrame) -> str:
    """The currency that rates are to: the one whose own is always 1; empty where none is."""
    if rates.empty:
        return ""
    own = rates.assign(one=rates["rate"] == 1).groupby("currency")["one"].all()
    ones = sorted(str(name) for name in own.index[own])
    return ones[0] if ones else ""


def _month(flow: pd.DataFrame, month: int) -> dict[str, float]:
    """A month of a ledger; zeros where it has none."""
    if month not in flow.index:
        return dict.fromkeys(flow.columns, 0.0)
    return {str(name): float(value) for name, value in flow.loc[month].to_dict().items()}


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
    balance, told = (int(frame.to_numpy()[rows[at], columns[at]]) for frame in (stood, moved))
    sentence = (
        f"The movements do not add up: at the end of {month} group {group!r} in {currency} has "
        f"{balance} {what}, but its movements lead to {told}."
    )
    found = example() if example is not None else None
    if found is not None and len(found):
        first = found.iloc[0]
        sentence += (
            f" The smallest example is customer {first['customer_id']} in {month_label(first['month'])}: "
            f"the balance changes by {first['balance_minor']}, the movements say {first['moved_minor']}."
        )
    return sentence + " No number of this report can be trusted until that is mended."


def _why(kind: str, recent: bool, rules: bool, money: bool) -> str:
    if rules:
        return "the policy has changed since"
    if money:
        return "it was published in another currency"
    if kind == "fx":
        return "exchange rates have been corrected, or other lines have changed"
    if kind in ("churn", "balance", "contraction", "resume") and recent:
        return "who was past due then has not paid since: churn is dated when paid service ended"
    return "rows of that time have been added, changed or removed since"
