"""Spans of subscriptions: what each pays a month, whether it counts, and the numbers of its customers.

Tables that several measures are made from are settled once for a source (see `settle`). A measure may be
asked for several days and policies at once; each pair of them is a `Lens`, and rows say by which they were
seen in a column `lens`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import ibis
from ibis import _, ir

from tenure.contract import BY_NAME
from tenure.measures.calendar import day_of, end_of
from tenure.policy import DISCOUNTS, MetricPolicy

Tables = Mapping[str, ir.Table]

# Numbers of customers lie below it; what several lenses see of one is numbered apart.
_APART = 2**40
# Days of a term of one, to compare terms by.
TERMS = {"day": 1, "week": 7, "month": 30, "year": 360}


@dataclass(frozen=True)
class Lens:
    """A way to look at the data: as known at the end of a day, by a policy."""

    as_of: dt.date
    policy: MetricPolicy = MetricPolicy()

    @property
    def cut(self) -> dt.datetime:
        """The first moment that is not known yet."""
        return end_of(self.as_of)

    @property
    def month(self) -> int:
        """The index of the day's month."""
        return day_of(self.as_of).month

    @property
    def cut_day(self) -> int:
        """The index of the first day that is not known yet."""
        return day_of(self.as_of).index + 1


@dataclass(frozen=True)
class Lenses:
    """The lenses that a question is asked through: each of some days with each of some policies."""

    days: tuple[dt.date, ...]
    policies: tuple[MetricPolicy, ...] = (MetricPolicy(),)
    by_day: bool = False  # whether a result says which day it is of
    names: tuple[str, ...] = ()  # of the policies, where a result says which one it follows

    @property
    def all(self) -> tuple[Lens, ...]:
        """Every day with every policy."""
        return tuple(Lens(day, policy) for day, policy in product(self.days, self.policies))

    @property
    def several(self) -> bool:
        """Whether there are several, so that rows have a column `lens`."""
        return len(self.all) > 1

    def rule(self, rows: ir.Table, ask: Callable[[Lens], Any]) -> Any:
        """Return what the rows' lenses say: a plain value where they agree, else a column."""
        answers = [ask(lens) for lens in self.all]
        if all(answer == answers[0] for answer in answers):
            return answers[0]
        *most, last = enumerate(answers)
        return ibis.cases(*((rows.lens == place, answer) for place, answer in most), else_=last[1])

    def any(self, ask: Callable[[Lens], bool]) -> bool:
        """Whether any lens says so."""
        return any(ask(lens) for lens in self.all)

    def seen(self, rows: ir.Table) -> ir.Table:
        """Rows once for each lens, in the column `lens`."""
        if not self.several:
            return rows
        rows = rows.mutate(lens=ibis.range(len(self.all)).unnest())
        return rows.mutate(lens=rows.lens.cast("int64"))

    def apart(self, rows: ir.Table, customer: ir.IntegerValue) -> ir.IntegerValue:
        """The numbers of customers, which differ between lenses, so that no lens sees another's rows."""
        return (customer + rows.lens * _APART).cast("int64") if self.several else customer

    def of(self, customer: ir.IntegerValue) -> dict[str, ir.IntegerValue]:
        """The column `lens` again, from the numbers that `apart` made."""
        return {"lens": (customer // _APART).cast("int64")} if self.several else {}

    def plain(self, rows: ir.Table) -> ir.Table:
        """Rows with the customers' own numbers again, and the column `lens`."""
        if not self.several:
            return rows
        return rows.mutate(**self.of(rows.customer), customer=(rows.customer % _APART).cast("int64"))

    def told(self, table: ir.Table, *order: str) -> ir.Table:
        """A result in order, with the columns `on` and `policy` where several were asked for."""
        place = table.lens if self.several else ibis.literal(0, "int64")
        width = len(self.policies)
        told = {"on": map(str, self.days) if self.by_day else (), "policy": self.names}
        columns = {
            name: ibis.cases(
                *(
                    (place // width == n if name == "on" else place % width == n, label)
                    for n, label in enumerate(labels)
                ),
                else_="",
            )
            for name, labels in ((name, tuple(labels)) for name, labels in told.items())
            if labels
        }
        table = table.select(**columns, **{name: table[name] for name in table.columns if name != "lens"})
        return table.order_by(*columns, *order)


def lenses(
    as_of: dt.date,
    policy: MetricPolicy = MetricPolicy(),
    on: Iterable[dt.date] = (),
    policies: Mapping[str, MetricPolicy] | None = None,
) -> Lenses:
    """Return the lenses of a question: its lists where it gave any, else its day and its policy."""
    days = tuple(dict.fromkeys(on))
    rules = dict(policies or {})
    return Lenses(days or (as_of,), tuple(rules.values()) or (policy,), bool(days), tuple(rules))


def settle(source: Tables, key: Hashable, make: Callable[[], ir.Table], *, share: bool = False) -> ir.Table:
    """Have the engine compute a table once for all measures of a `Source`; of another mapping, each time."""
    settled = getattr(source, "settle", None)
    return settled(key, make, share=share) if settled else make()


def stage(source: Tables, key: Hashable, make: Callable[[], ir.Table]) -> ir.Table:
    """Give an expression a name in the engine, so that what is built on it is short; nothing runs yet."""
    staged = getattr(source, "stage", None)
    return staged(key, make) if staged else make()


def term_days(spans: ir.Table) -> ir.IntegerValue:
    """Return the length of a span's term in days, of which a month has 30; 0 where it is paid once."""
    unit = ibis.cases(*((spans.billing_interval == name, days) for name, days in TERMS.items()), else_=0)
    return (unit * spans.billing_interval_count).cast("int64")


def bridged_days(
    term: ir.IntegerValue, short: int | ir.IntegerValue, year: int | ir.IntegerValue
) -> ir.IntegerValue:
    """Return the days of a gap that is bridged: `year` after a year's term, in proportion down to `short`."""
    return ibis.greatest(short, ibis.least(term * year // TERMS["year"], year)).cast("int64")


def some(source: Tables, key: Hashable, make: Callable[[], Mapping[str, ir.Table]]) -> Collection[str]:
    """Return which tables have any rows, asked once of a `Source`; all, unasked, of another mapping."""
    asked = getattr(source, "some", None)
    return asked(key, make) if asked else make()


def instead(source: Tables, tables: Tables) -> Tables:
    """Return contract tables of which some are others; what is settled of them is settled apart."""
    other = getattr(source, "instead", None)
    return other(tables) if other else {**source, **tables}


def people(source: Tables) -> ir.Table:
    """Number all customers by their id, so that joins, windows and counts have whole numbers to compare.

    Returns:
        A row per customer of the tables customers and subscriptions: customer_id and customer, from 1 on in
        the order of the ids, so that nothing depends on how an engine lays rows out.
    """
    return settle(source, "people", lambda: _people(source))


def _people(source: Tables) -> ir.Table:
    ids = ibis.union(
        source["customers"].select("customer_id"),
        source["subscriptions"].select("customer_id"),
        distinct=True,
    )
    place = ibis.row_number().over(ibis.window(order_by="customer_id"))
    return ids.mutate(customer=(place + 1).cast("int64"))


def real(source: Tables, rows: ir.Table) -> ir.Table:
    """Leave out the rows of test accounts."""
    return rows.anti_join(source["customers"].filter(_.is_test).select("customer_id"), "customer_id")


def recent(source: Tables, *, month: int, policies: Mapping[str, MetricPolicy]) -> Tables:
    """Leave out the customers who had left long before a month, which no balance since is made of.

    However a policy ends or bridges spans, who has none for longer than its longest gap and a month is gone.
    Those who stay keep all their spans, so that movements and balances add up as ever.

    Args:
        source: The tables.
        month: The index of the first month whose balances are wanted.
        policies: By which the balances are wanted.
    """
    longest = max(max(policy.gap_days) for policy in policies.values())
    day = dt.date(month // 12, month % 12 + 1, 1) - dt.timedelta(days=longest + 31)

    def left() -> ir.Table:
        ends = (
            source["subscriptions"]
            .group_by("customer_id")
            .agg(on=_.ended_at.isnull().any(), began=_.started_at.max(), until=_.ended_at.max())
        )
        before = end_of(day)
        return ends.filter(~_.on & (_.until < before) & (_.began < before)).select("customer_id")

    gone = settle(source, ("gone", day), left)
    tables = {name: source[name] for name in ("subscriptions", "payments") if name in source}
    tables = {name: rows.anti_join(gone, "customer_id") for name, rows in tables.items()}
    return source.instead(tables) if hasattr(source, "instead") else {**source, **tables}


def stacked(parts: Sequence[ir.Table]) -> ir.Table:
    """Return the rows of all parts, one below the other."""
    return ibis.union(*parts) if len(parts) > 1 else parts[0]


def converted(rows: ir.Table, amount: ir.NumericValue, rates: Mapping[str, float]) -> ir.FloatingValue:
    """Return amounts in the reporting currency; 0 for currencies without a rate."""
    known = ((rows.currency == name, float(rate)) for name, rate in sorted(rates.items()))
    return amount.cast("float64") * ibis.cases(*known, else_=0.0)


def runs(
    rows: ir.Table, keys: Sequence[str], order: Sequence[Any], begins: str, ends: str, gap: int = 0
) -> ir.Table:
    """Number the runs of rows that touch, overlap or leave a gap of at most `gap`, from 1 in `order`.

    Adds the columns first (1 where a run begins) and run. `begins` and `ends` name the columns of the rows'
    beginning and end; only rows that are equal may be equal in `order`.
    """
    earlier = ibis.window(group_by=keys, order_by=order, preceding=(None, 1))
    # By range, so that equal rows are in one run whichever an engine takes for the first.
    so_far = ibis.range_window(group_by=keys, order_by=order, preceding=None, following=0)
    rows = rows.mutate(reached=_[ends].max().over(earlier))
    joins = (rows[begins] <= rows.reached + gap).fill_null(False)
    rows = rows.mutate(first=joins.ifelse(0, 1).cast("int64"))
    return rows.mutate(run=_.first.sum().over(so_far).cast("int64")).drop("reached")


def monthly_amount(subscriptions: ir.Table, policy: MetricPolicy = MetricPolicy()) -> ir.IntegerValue:
    """Return what a span pays a month, in minor units: (amount x quantity - discount) x k.

    k is 1/n for n months, 1/(12 n) for n years, 52/(12 n) for n weeks and 365/(12 n) for n days. The
    result is rounded half up to the minor unit, span by span, so that sums are exact.
    """
    return monthly(subscriptions, Lenses((dt.date.min,), (policy,)))


def monthly(s: ir.Table, seen: Lenses, *, discounted: bool = True) -> ir.IntegerValue:
    """Return `monthly_amount` by the policies of the spans' lenses; not discounted: at the list price."""
    once, forever, repeating = (
        ibis.ifelse(seen.rule(s, partial(_takes_off, duration)), s.discount_minor, 0)
        for duration in ("once", "forever", "repeating")
    )
    off = s.discount_duration.cases(("once", once), ("forever", forever), else_=repeating)
    off = off if discounted else ibis.literal(0)
    interval = ibis.greatest(s.unit_amount_minor * s.quantity - off, 0)
    per_year = ibis.cases(
        (s.billing_interval == "year", 1),
        (s.billing_interval == "month", 12),
        (s.billing_interval == "week", seen.rule(s, lambda lens: lens.policy.weeks_per_year)),
        else_=seen.rule(s, lambda lens: lens.policy.days_per_year),
    ).cast("int64")
    months = s.billing_interval_count * 12
    # What is paid once is never recurring.
    interval = (s.billing_interval == "once").ifelse(0, interval)
    return ((interval * per_year * 2 + months) // (months * 2)).cast("int64")


def complete(rows: ir.Table) -> ir.Table:
    """Rows of subscriptions with the contract's optional columns that they lack, filled as it says."""
    absent = [c for c in BY_NAME["subscriptions"].columns if not c.required and c.name not in rows.columns]
    filled = {c.name: ibis.null(c.type) if c.default is None else ibis.literal(c.default) for c in absent}
    return rows.mutate(**filled) if filled else rows


def _takes_off(duration: str, lens: Lens) -> bool:
    return duration in DISCOUNTS[lens.policy.discounts]


def limit_days(days: int | None) -> int:
    """Return a number of days that a policy allows; None, never: a hundred years."""
    return 36_500 if days is None else days
