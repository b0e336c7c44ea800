"""Recurring revenue beside what another system reports of it (the table mrr_elsewhere), customer by customer.

`rates` are those of one month, by which all amounts are told; currencies without one are left out.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import ibis
from ibis import _, ir

from tenure.measures.calendar import day_of, month_index
from tenure.measures.ledger import named
from tenure.measures.revenue import balances
from tenure.measures.spans import Tables, converted, lenses, people, real
from tenure.policy import MetricPolicy

_KEYS = ("customer_id", "currency")


def reported(source: Tables, *, currency: str = "") -> ir.Table:
    """Add up what another system reports: customer_id, currency, month (its index) and theirs_minor."""
    rows = source["mrr_elsewhere"]
    rows = rows.filter(rows.currency == currency) if currency else rows
    rows = rows.group_by(*_KEYS, month=month_index(rows.month))
    return rows.agg(theirs_minor=_.amount_minor.sum().cast("int64")).filter(_.theirs_minor > 0)


def reported_months(source: Tables, *, currency: str = "") -> ir.Table:
    """Add up what another system reports: month (its index), currency and mrr_minor."""
    rows = reported(source, currency=currency).group_by("month", "currency")
    return rows.agg(mrr_minor=_.theirs_minor.sum().cast("int64")).order_by("month", "currency")


def differences(
    source: Tables,
    *,
    as_of: dt.date,
    currency: str = "",
    policy: MetricPolicy = MetricPolicy(),
    policies: Mapping[str, MetricPolicy],
    rates: Mapping[str, float],
) -> ir.Table:
    """Say of each customer why another system reports other revenue at the end of the month of `as_of`.

    Args:
        policies: Rules that it may follow; the first by which its very number comes out is why.

    Returns:
        A row per customer and currency with revenue here or there: customer_id, currency, ours, theirs and
        rule: "equal"; "another currency" or "id in other letters" where its other half is another row; "not a
        customer here"; "test account here"; "rounding" (a minor unit); one of `policies`; or "not explained".
    """
    month, none = day_of(as_of).month, ibis.literal(0, "int64")
    seen = lenses(as_of, policies={"": policy, **policies})
    mine = named(source, balances(source, seen, months=[month], currency=currency), seen)
    mine = mine.select(*_KEYS, "lens", mine="mrr_minor")
    theirs = reported(source, currency=currency).filter(_.month == month).drop("month")
    # By a rule that leaves a customer out nothing is counted.
    zero = seen.seen(mine.select(*_KEYS).union(theirs.select(*_KEYS), distinct=True))
    tried = mine.union(zero.select(*_KEYS, "lens", mine=none))
    tried = tried.group_by(*_KEYS, "lens").agg(mine=_.mine.sum().cast("int64"))
    tried = tried.left_join(theirs, _KEYS).select(tried, other=_.theirs_minor.fill_null(0))
    rows = tried.group_by(*_KEYS).agg(
        mine=_.mine.max(where=_.lens == 0), other=_.other.max(), first=_.lens.min(where=_.mine == _.other)
    )
    rows = rows.filter((_.mine > 0) | (_.other > 0)).mutate(letters=_.customer_id.strip().lower())
    counts = real(source, people(source)).select("customer_id", real=ibis.literal(True))
    known = people(source).left_join(counts, "customer_id").select("customer_id", test=_.real.isnull())
    rows = rows.left_join(known, "customer_id").drop("customer_id_right")
    rule = ibis.cases(
        (rows["first"] == 0, "equal"),
        (_halved(rows, "customer_id"), "another currency"),
        (_halved(rows, "letters"), "id in other letters"),
        (rows.test.isnull(), "not a customer here"),
        (rows.test, "test account here"),
        ((rows.mine - rows.other).abs() == 1, "rounding"),
        *((rows["first"] == place, name) for place, name in enumerate(policies, start=1)),
        else_="not explained",
    )
    amounts = {"ours": converted(rows, rows.mine, rates), "theirs": converted(rows, rows.other, rates)}
    return rows.select(*_KEYS, **amounts, rule=rule).filter(_.currency.isin(list(rates)))


def by_rule(rows: ir.Table) -> ir.Table:
    """Add up `differences`: rule, customers, of them only_here and only_elsewhere (rows), ours and theirs."""
    return (
        rows.group_by("rule")
        .agg(
            customers=_.customer_id.nunique().cast("int64"),
            only_here=(_.theirs == 0).ifelse(1, 0).sum().cast("int64"),
            only_elsewhere=(_.ours == 0).ifelse(1, 0).sum().cast("int64"),
            ours=_.ours.sum(),
            theirs=_.theirs.sum(),
        )
        .order_by("rule")
    )


def largest(rows: ir.Table, limit: int) -> ir.Table:
    """Return those of `differences` who differ most, with the difference instead of the currency."""
    rows = rows.filter(_.rule != "equal").mutate(difference=_.theirs - _.ours)
    rows = rows.order_by(rows["difference"].abs().desc(), *_KEYS).limit(limit)
    return rows.select("customer_id", "ours", "theirs", "difference", "rule")


def _halved(rows: ir.Table, by: str) -> ir.BooleanValue:
    """Whether a row has revenue on one side only, and another one of the same has it on the other."""
    sides = [(amount == 0).ifelse(1, 0) for amount in (rows.mine, rows.other)]
    both = [side.max().over(ibis.window(group_by=by)) for side in sides]
    return (sides[0] + sides[1] == 1) & (both[0] + both[1] == 2)
