"""Recurring revenue as a ledger: what it was, what moved it, what it is, and that this adds up.

`movements` come from `tenure.measures.revenue.mrr_movements`; the balances that they must lead to, from
`mrr_balances`, which counts them independently. Amounts are whole minor units; a month is an index counted
from January of year 0; `rates` are exchange rates (currency, month, rate), `currency` the reporting currency;
`book` is a ledger.

A customer past due counts until the grace is over, and is then lost from the day on which paid service ended.
The newest month therefore still holds customers whom earlier months have given up by now. To compare months
fairly, each is counted from the data as it was known at that month's end (`as_known`); what has become known
since is a correction (`explained`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from tenure import money, privacy
from tenure.errors import NotApplicable, TenureError
from tenure.models.metrics import Metrics
from tenure.models.months import month_date, month_label, month_of
from tenure.periods import MONTHS, Every
from tenure.policy import MetricPolicy
from tenure.result import NAN, Estimate, Table, counted
from tenure.stats.intervals import (
    NOTHING,
    money_share,
    money_sum,
    proportion,
    quick_ratio,
    weighted_share,
    wilson,
)  # fmt: skip

GAINS = ("new", "reactivation", "expansion")
LOSSES = ("contraction", "churn")
REST = ("ended", "resume", "pause", "transfer", "fx")
KINDS = (*GAINS, *LOSSES, *REST)
CAUSES = ("voluntary", "involuntary", "unknown")

_WORDS = {"fx": "exchange rates", "ended": "ended by design", "pause": "paused", "resume": "resumed"}
GAIN_WORDS = {
    "subscription_added": "further subscriptions",
    "term_change": "switches to more expensive terms",
    "plan_change": "switches to more expensive plans",
    "quantity_change": "more seats or units",
    "price_change": "higher prices",
    "discount_change": "discounts that ended",
    "usage": "more usage",
}
_SUMS = ["amount_minor", "customers"]


class IdentityError(TenureError):
    """The movements of a month do not lead from one balance to the next; the sentence shows where."""


@dataclass(frozen=True, eq=False)
class Ledger:
    """Revenue by month in one currency.

    Attributes:
        lines: A row per month, group, kind and reason: month, group, kind, reason, amount_minor, customers,
            n, squares. The kind `fx` is what exchange rates did to the balance of the month before.
        balances: A row per month and group: month, group, opening, closing (minor units), customers_before,
            customers.
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
        """A row per month of a ledger that is not split by group.

        Indexed by month: opening, each of KINDS, closing, customers_before, new_customers, churned (positive)
        and customers.
        """
        return _roll_forward(self.lines, self.balances, "month")

    def at(self, month: int) -> dict[str, float]:
        """Return a month of `flow`; zeros where there is none."""
        row = self.flow.reindex([month], fill_value=0).iloc[0]
        return {str(name): float(value) for name, value in row.items()}


def check_identity(
    movements: pd.DataFrame,
    balances: pd.DataFrame,
    customers: pd.DataFrame | None = None,
    *,
    example: Callable[[], pd.DataFrame] | None = None,
) -> int:
    """Refuse movements that do not lead from each month's balance to the next, to the minor unit.

    The revenue and the customers of every month, currency and group are checked, and the customers over all
    of them: ``MRR_now = MRR_before + all movements`` and ``customers_now = customers_before + new +
    reactivated - churned - ended by design``, with transfers between groups.

    Args:
        movements: The movements.
        balances: Columns month, currency, group, mrr_minor, customers, counted without the movements.
        customers: Columns month and customers: each counted once, over all currencies and groups.
        example: Called only where something does not add up: returns the customers that it does not add up
            for, the smallest difference first (`tenure.measures.revenue.mismatches`).

    Returns:
        The number of months checked.

    Raises:
        IdentityError: Something does not add up; the sentence names the smallest example.

    Example:
        >>> moved = pd.DataFrame({"month": [1, 2], "currency": "EUR", "group": "all",
        ...     "amount_minor": [100, -40], "customers": [2, -1], "logos": [2, -1]})
        >>> sums = pd.DataFrame({"month": [1, 2], "currency": "EUR", "group": "all",
        ...     "mrr_minor": [100, 60], "customers": [2, 1]})
        >>> check_identity(moved, sums)
        2
    """
    if movements.empty and balances.empty:
        return 0
    months = pd.concat([movements["month"], balances["month"]]).astype(int)
    span = range(months.min(), months.max() + 1)
    moved, stood = _spread(movements, _SUMS, span).cumsum().align(
        _spread(balances.rename(columns={"mrr_minor": "amount_minor"}), _SUMS, span), fill_value=0
    )  # fmt: skip
    off = (moved - stood).abs().T.melt(ignore_index=False, var_name="month")
    off = off[off["value"] > 0].sort_values("value", kind="stable")
    if len(off):
        place, month = off.index[0], off["month"].iloc[0]
        sums = [int(frame.loc[month, place]) for frame in (stood, moved)]
        raise IdentityError(_violation(month, place, sums, example() if example else None))
    if customers is not None:
        there = customers.groupby("month")["customers"].sum().reindex(span, fill_value=0)
        led_to = movements.groupby("month")["logos"].sum().reindex(span, fill_value=0).cumsum()
        for month in there.index[there != led_to]:
            raise IdentityError(
                f"At the end of {month_label(month)} there are {there[month]} customers, but those who came, "
                f"came back and left since the beginning add up to {led_to[month]}: please report this."
            )
    return len(span)


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

    Raises:
        InputError: There are several currencies and no rate for one of them.
        NotApplicable: Nobody ever paid.

    Example:
        >>> moved = pd.DataFrame({"month": [1, 2], "currency": "USD", "group": "all",
        ...     "kind": ["new", "churn"], "reason": ["", "voluntary"], "amount_minor": [1000, -400],
        ...     "customers": [2, -1], "logos": [2, -1], "n": [2, 1], "squares": [5e5, 1.6e5]})
        >>> rates = pd.DataFrame({"currency": "USD", "month": [1, 2], "rate": [0.9, 0.8]})
        >>> book = ledger(moved, rates, currency="EUR", until=2)
        >>> book.lines[["month", "kind", "amount_minor"]].values.tolist()
        [[1, 'new', 900], [2, 'churn', -360], [2, 'fx', -60]]
        >>> book.flow[["opening", "churn", "fx", "closing", "churned"]].values.tolist()
        [[0, 0, 0, 900, 0], [900, -360, -60, 480, 1]]
    """
    if movements.empty:
        raise NotApplicable(
            "There is no recurring revenue in this data: nobody ever paid for a subscription."
        )
    frame = movements[movements["month"] <= until]
    months = range(int(movements["month"].min()), until + 1)
    factors = money.factors_by_month(rates, sorted(frame["currency"].unique()), currency, months)
    # A customer with two currencies is one customer; with two groups, one of each.
    if set(frame["group"]) == {"all"}:
        frame = frame.assign(customers=frame["logos"])

    native = _spread(frame, _SUMS, months).cumsum()
    amounts, people = (native[[name]].droplevel(0, axis=1) for name in _SUMS)
    value = amounts.mul(factors, level="currency").T.groupby(level="group").sum().T
    closing = (value + 0.5).floordiv(1).astype("int64")
    customers = people.T.groupby(level="group").sum().T
    parts: dict[str, pd.DataFrame] = {
        "opening": closing.shift(1).fillna(0).astype("int64"),
        "closing": closing,
        "customers_before": customers.shift(1).fillna(0).astype("int64"),
        "customers": customers,
    }
    balances = pd.concat(
        pd.DataFrame({"group": group, **{name: part[group] for name, part in parts.items()}})
        for group in closing.columns
    ).reset_index()

    before = factors.shift(1).fillna(factors.iloc[:1]).reset_index()
    lines = frame.merge(before.melt("month", var_name="currency", value_name="rate"), how="left")
    lines = lines.assign(
        value=lines["amount_minor"] * lines["rate"], squares=lines["squares"] * lines["rate"] ** 2
    )
    keys = ["month", "group", "kind", "reason"]
    lines = lines.groupby(keys, as_index=False)[["value", "customers", "n", "squares"]].sum()
    lines["amount_minor"] = np.floor(lines["value"] + 0.5).astype(np.int64)
    moved = lines.groupby(["group", "month"])["amount_minor"].sum()
    ends = balances.set_index(["group", "month"])
    rest = (ends["closing"] - ends["opening"]).sub(moved, fill_value=0)
    fx = rest[rest != 0].rename("amount_minor").reset_index()
    fx = fx.assign(kind="fx", reason="", customers=0, n=0, squares=0.0)
    lines = pd.concat([lines, fx], ignore_index=True)
    lines = lines.astype(dict.fromkeys(("month", "amount_minor", "customers", "n"), "int64"))
    lines["kind"] = pd.Categorical(lines["kind"], KINDS)
    lines = lines.sort_values(["month", "group", "kind", "reason"], ignore_index=True)
    lines = lines.astype({"kind": str})[[*keys, "amount_minor", "customers", "n", "squares"]]
    return Ledger(lines, balances, currency)


def as_known(movements: pd.DataFrame, rates: pd.DataFrame | None, currency: str) -> dict[int, Ledger]:
    """Return for each month the ledger as it was known at its end; movements are asked `on` the last days."""
    parts = {month_of(day): part for day, part in movements.groupby("on")}
    return {month: ledger(part, rates, currency=currency, until=month) for month, part in parts.items()}


def effective_customers(balances: pd.DataFrame, factors: Mapping[str, float]) -> dict[int, float]:
    """Return for each month how many customers of equal revenue would carry as much information (Kish 1965).

    Args:
        balances: As from `tenure.measures.revenue.mrr_balances`, not split by group.
        factors: Minor units of the reporting currency for one of each currency.

    Example:
        >>> sums = pd.DataFrame({"month": [1], "currency": "EUR", "mrr_minor": [1000], "paying": [10],
        ...                       "spread": [0.0]})
        >>> effective_customers(sums, {"EUR": 1.0})
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
    policy: MetricPolicy = MetricPolicy(),
    effective: Mapping[int, float] | None = None,
    lines: pd.DataFrame | None = None,
) -> dict[str, Estimate]:
    """Estimate a month's rates from the ledger, by the names of `tenure.models.metrics.LABELS`.

    Customers are those with a subscription, paying or paused. Churn by cause adds up to logo churn: what is
    unknown stays unknown.

    Args:
        book: A ledger that is not split by group.
        month: The month.
        policy: Says whether churned customers are divided by those at the start, or new ones are added.
        effective: As from `effective_customers`; None: as if all customers paid the same.
        lines: As from `tenure.measures.revenue.revenue_lines` at the ends of months. Where more customers may
            still renew within the gap than left, the case of churn.monthly is "waiting", with their number.

    Returns:
        mrr.net_new (of what customers did, without fx; words: gained, lost), mrr.growth (net new over the
        opening), churn.monthly, churn.voluntary, churn.involuntary, churn.unknown, mrr.churn,
        mrr.contraction and mrr.quick_ratio; nothing where the month is not in the ledger.

    Example:
        >>> moved = pd.DataFrame({"month": [1, 2], "currency": "EUR", "group": "all",
        ...     "kind": ["new", "churn"], "reason": ["", "voluntary"], "amount_minor": [1000, -400],
        ...     "customers": [2, -1], "logos": [2, -1], "n": [2, 1], "squares": [5e5, 1.6e5]})
        >>> found = month_rates(ledger(moved, currency="EUR", until=2), 2)
        >>> found["churn.monthly"].value, found["mrr.churn"].value, found["churn.voluntary"].value
        (0.5, 0.4, 0.5)
    """
    if month not in book.flow.index:
        return {}
    row, own = book.at(month), book.lines[book.lines["month"] == month]
    squares = own.groupby("kind")["squares"].sum().reindex(KINDS, fill_value=0.0)
    about: dict[str, Any] = {"of": "customer", "sample": (month, month)}
    opening, before, after = row["opening"], int(row["customers_before"]), int(row["customers"])
    base = before + (int(row["new_customers"]) if policy.churn_base == "start_and_new" else 0)
    gained, lost = (sum(row[kind] for kind in kinds) for kinds in (GAINS, LOSSES))
    gain_squares, loss_squares = squares[list(GAINS)].sum(), squares[list(LOSSES)].sum()
    beside = ["ended", "pause", "resume"]
    changes = [gained, lost, *(row[kind] for kind in beside)]
    net = sum(changes)
    sides = {"gained": sum(x for x in changes if x > 0), "lost": -sum(x for x in changes if x < 0)}
    told = {side: counted(amount, unit=book.unit) for side, amount in sides.items()}
    all_squares = gain_squares + loss_squares + squares[beside].sum()
    new = money_sum(net, all_squares, after or before, unit=book.unit, **about)
    churned = own[own["kind"] == "churn"]
    causes = {"monthly": int(row["churned"]), **(-churned.groupby("reason")["customers"].sum()).to_dict()}
    size = (effective or {}).get(month - 1, before)
    waiting = 0
    if lines is not None and len(lines):
        mine = (lines["line"] == "waiting") & (lines["on"].map(month_of) == month)
        waiting = int(lines.loc[mine, "customers"].sum())
    found = {
        "mrr.net_new": new.saying("gain" if net >= 0 else "loss", **told),
        "mrr.growth": new.scaled(1 / opening, "percent") if opening else NOTHING,
        **{
            f"churn.{cause}": proportion(min(causes.get(cause, 0), base), base, **about)
            for cause in ("monthly", *CAUSES)
        },
        "mrr.churn": weighted_share(-row["churn"], opening, size, before, **about),
        "mrr.contraction": money_share(-row["contraction"], squares["contraction"], opening, before, **about),
        "mrr.quick_ratio": quick_ratio(
            gained, gain_squares, -lost, loss_squares, after or before, **about
        ).saying(gains=counted(gained, unit=book.unit), losses=counted(-lost, unit=book.unit)),
    }
    if base and waiting > causes["monthly"]:
        found["churn.monthly"] = found["churn.monthly"].saying("waiting", waiting=waiting)
    return found


def group_table(book: Ledger, month: int) -> Table:
    """Lay out a month of a ledger that is split by group, with the share of each group's customers who left.

    Returns:
        A row per group, the largest first: group, opening, gained (new and back), grown (expansion less
        contraction), churn, transfer, other (pauses and exchange rates), closing, left with its limits
        (Wilson 1927), and customers (at the start).
    """
    lines, balances = (part[part["month"] == month] for part in (book.lines, book.balances))
    flow = _roll_forward(lines, balances, "group")
    n = flow["customers_before"]
    left = (flow["churned"].clip(upper=n) / n).where(n > 0)
    low, high = wilson(left, n, 0.95)
    amounts = {
        "opening": flow["opening"],
        "gained": flow["new"] + flow["reactivation"],
        "grown": flow["expansion"] + flow["contraction"],
        "churn": flow["churn"],
        "transfer": flow["transfer"],
        "other": flow["ended"] + flow["pause"] + flow["resume"] + flow["fx"],
        "closing": flow["closing"],
    }
    frame = pd.DataFrame({**amounts, "left": left, "left_low": low, "left_high": high, "customers": n})
    frame = frame.sort_values("closing", ascending=False, kind="stable").reset_index()
    note = "Gained: new and back. Grown: expansion less contraction. Other: pauses, rates, designed ends."
    return Table(frame, {**dict.fromkeys(amounts, book.unit), "left": "percent"}, (note,))


def furthest_apart(groups: Table) -> Estimate:
    """Say whether a group stands out by churn: the highest lower end against the lowest upper end.

    All pairs of `group_table` were looked at to find these two, so the bar is high: their intervals must not
    touch.

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
    """Name groups *other* that never held `min_group` customers, or are not among the `most` largest.

    Example:
        >>> moved = pd.DataFrame({"month": 1, "currency": "EUR", "group": ["a", "b"], "kind": "new",
        ...     "reason": "", "amount_minor": [9, 1], "customers": [90, 2], "logos": [90, 2], "n": [90, 2],
        ...     "squares": [1.0, 1.0]})
        >>> fold_groups(moved, min_group=10)["group"].tolist()
        ['a', 'other']
    """
    sizes = movements.pivot_table(
        index="month", columns="group", values="customers", aggfunc="sum", fill_value=0
    )
    held = sizes.cumsum()
    largest = held.max().sort_values(ascending=False, kind="stable")
    kept = largest.index[largest >= min_group][:most]
    # A group that was large may be too small to be named by now.
    rest = held.drop(columns=kept).sum(axis=1)
    lately = held[kept].assign(**{privacy.OTHER: rest}).tail(3).T
    few = lately.apply(lambda people: privacy.few(people.to_frame("n"), "n")).any(axis=1)
    kept = kept.difference(few.index[few], sort=False)
    folded = movements.assign(group=movements["group"].where(movements["group"].isin(kept), "other"))
    keys = ["month", "currency", "group", "kind", "reason"]
    return folded.groupby(keys, as_index=False)[["amount_minor", "customers", "logos", "n", "squares"]].sum()


def reasons(book: Ledger, month: int) -> Table:
    """List what moved revenue in a month, and why, in words: kind, reason, amount, movements.

    Example:
        >>> moved = pd.DataFrame({"month": [1], "currency": "EUR", "group": "all", "kind": "expansion",
        ...     "reason": "plan_change", "amount_minor": 900, "customers": 0, "logos": 0, "n": 2,
        ...     "squares": 1e4})
        >>> reasons(ledger(moved, currency="EUR", until=1), 1).frame.values.tolist()
        [['expansion', 'plan change', 900, 2]]
    """
    own = book.lines[book.lines["month"] == month].reset_index(drop=True)
    own = own.assign(kind=own["kind"].replace(_WORDS), reason=own["reason"].str.replace("_", " "))
    table = Table(own[["kind", "reason", "amount_minor", "n"]], {"amount_minor": book.unit})
    return table.renamed(amount_minor="amount", n="movements")


def bridge(book: Ledger, month: int) -> Table:
    """Lay out how a month's opening became its closing, as `tenure.report.figures.waterfall` draws it.

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


def story(book: Ledger, newest: int, every: Every = MONTHS) -> Table:
    """Lay out what was gained and lost in the newest months: date, GAINS, LOSSES and other, the rest.

    The numbers of the ledger's months may be those of other periods, of which the date is the first day.
    """
    flow = book.flow.tail(newest)
    frame = flow[[*GAINS, *LOSSES]].assign(other=flow[list(REST)].sum(axis=1))
    units = {"date": "date" if every.unit == "week" else "month", **dict.fromkeys(map(str, frame), book.unit)}
    frame.insert(0, "date", [every.first(number) for number in flow.index])
    return Table(frame.reset_index(drop=True), units)


def by_period(book: Ledger, every: Every, as_of: dt.date, newest: int = 12) -> Table:
    """Lay out how the newest periods of a ledger lead from one balance to the next, the last first.

    Returns:
        A row per period: begins (its first day), state ("so far" while it runs), opening, GAINS, LOSSES,
        other, closing (opening and all that moved it), customers (at its start) and left, the share who left.
    """
    told, flow = story(book, newest, every), book.flow.tail(newest).reset_index(drop=True)
    n = flow["customers_before"]
    left = (flow["churned"].clip(upper=n) / n).where(n > 0)
    low, high = wilson(left, n, 0.95)
    frame = told.frame.rename(columns={"date": "begins"}).assign(
        closing=flow["closing"], customers=n, left=left, left_low=low, left_high=high
    )
    frame.insert(1, "state", ["so far" if every.runs(as_of) else ""] * len(frame))
    frame.loc[frame.index[:-1], "state"] = ""
    frame.insert(2, "opening", flow["opening"])
    units = {**told.units, "begins": told.units["date"], "left": "percent"}
    units |= dict.fromkeys(("opening", "closing"), book.unit)
    return Table(frame.iloc[::-1].reset_index(drop=True), units)


def explained(known: Metrics, books: Mapping[int, Ledger], month: int) -> Estimate:
    """Return a month's revenue with all that moved it from what the month before was at its own end.

    Returns:
        The revenue. Words: gained, lost, fx, corrected (what has become known since of the month before) and
        before (that month). Cases: "rose" or "fell", and behind it "converted" where exchange rates moved
        revenue, else "corrected" where a correction did.

    Example:
        >>> was = pd.DataFrame({"on": ["2026-10-31", "2026-09-30"], "month": 24320, "currency": "EUR",
        ...     "group": "all", "kind": "new", "reason": "", "amount_minor": [900, 1000],
        ...     "customers": [9, 10], "logos": [9, 10], "n": [9, 10], "squares": 1.0})
        >>> then, now = (counted(amount, unit="money:EUR") for amount in (1000, 900))
        >>> known = Metrics({"mrr.total": now.against(then, ""), "mrr.net_new": counted(0)}, {})
        >>> found = explained(known, as_known(was, None, "EUR"), 24321)
        >>> found.case, found.words["corrected"].value
        ('fell corrected', -100.0)
    """
    total = known["mrr.total"]
    if month - 1 not in books or month - 1 not in books[month].flow.index:
        return total
    was, now = (books[seen].at(month - 1)["closing"] for seen in (month - 1, month))
    parts = {"fx": books[month].at(month)["fx"], "corrected": now - was}
    words = {name: counted(amount, unit=books[month].unit) for name, amount in parts.items()}
    kind = "converted" if parts["fx"] else "corrected" if parts["corrected"] else ""
    words |= known["mrr.net_new"].words
    return total.saying(f"{total.change} {kind}".strip(), before=(month_date(month - 1), "month"), **words)


def added(book: Ledger, month: int, kept: Metrics) -> Estimate:
    """Return what customers of a year ago have added to what they paid: net less gross retention.

    Gross and net retention can diverge only by it. Where they do, a sentence names the reason of expansion
    whose share of the revenue at the beginning of the twelve months has changed most.

    Args:
        book: The ledger as known now.
        month: The month.
        kept: Gross and net retention of the month, as from `tenure.models.rates.retention`.

    Returns:
        Its share of what they paid, compared with that of a year ago. Cases: "apart" (one retention rose, the
        other fell), "together" and, where a year ago is not known, "not available". Words: reason.
    """
    gross, net = (kept.yearly(f"mrr.{name}_retention") for name in ("gross", "net"))
    if gross.compare is None or net.compare is None:
        return Estimate(NAN, unit="percent", case="not available")
    now = Estimate(net.value - gross.value, n=net.n, of="customer", unit="percent")
    then = Estimate(net.compare.value - gross.compare.value, unit="percent")
    shares = [_expansion(book, last) for last in (month, month - 12)]
    change = shares[0].sub(shares[1], fill_value=0.0)
    reason = GAIN_WORDS.get(str(change.abs().idxmax()), "") if len(change) else ""
    apart = {gross.change, net.change} == {"rose", "fell"}
    found = now.versus(then, Estimate(now.value - then.value, unit="points"), "a year ago")
    return found.saying("apart" if apart else "together", reason=reason or "other changes")


def _expansion(book: Ledger, month: int) -> pd.Series:
    """Expansion of twelve months by reason, over the revenue at their beginning."""
    own = book.lines[(book.lines["kind"] == "expansion") & book.lines["month"].between(month - 11, month)]
    opening = book.flow["opening"].get(month - 11, 0)
    sums = own.groupby("reason")["amount_minor"].sum()
    return sums / opening if opening else sums.iloc[:0].astype(float)


def _roll_forward(lines: pd.DataFrame, balances: pd.DataFrame, by: str) -> pd.DataFrame:
    """A row per month, or per group of one month, as `Ledger.flow` has them."""

    def by_kind(column: str) -> pd.DataFrame:
        wide = lines.pivot_table(index=by, columns="kind", values=column, aggfunc="sum", fill_value=0)
        return wide.reindex(index=flow.index, columns=list(KINDS), fill_value=0).astype("int64")

    flow = balances.set_index(by)[["opening", "closing", "customers_before", "customers"]]
    people = by_kind("customers")
    return flow.join(by_kind("amount_minor")).assign(new_customers=people["new"], churned=-people["churn"])


def _spread(frame: pd.DataFrame, values: list[str], months: Sequence[int]) -> pd.DataFrame:
    """A row per month, a column for each value, currency and group; 0 where there is nothing."""
    wide = frame.pivot_table(
        index="month", columns=["currency", "group"], values=values, aggfunc="sum", fill_value=0
    )
    return wide.reindex(list(months), fill_value=0).astype("int64")


def _violation(month: int, place: Any, sums: list[int], example: pd.DataFrame | None) -> str:
    (column, currency, group), (balance, led_to) = place, sums
    what = "customers" if column == "customers" else f"minor units of {currency}"
    sentence = (
        f"The movements do not add up: at the end of {month_label(month)} group {group!r} in {currency} has "
        f"{balance} {what}, but its movements lead to {led_to}."
    )
    if example is not None and len(example):
        first = example.iloc[0]
        sentence += (
            f" The smallest example is customer {first['customer_id']} in {month_label(first['month'])}: "
            f"the balance changes by {first['balance_minor']}, the movements say {first['moved_minor']}."
        )
    return sentence + " No number of this report can be trusted until that is fixed."
