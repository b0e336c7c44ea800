"""Whose life is one life: a customer's, an account's with all that belong to it, or a subscription's.

Contract tables are told anew with the unit in the place of the customer, so that every measure counts by it.
"""

from __future__ import annotations

import datetime as dt

import ibis
from ibis import _, ir

from tenure.measures.calendar import day_index, end_of
from tenure.measures.ledger import NEVER, metered
from tenure.measures.spans import Tables, bridged_days, settle, term_days
from tenure.policy import Gaps

_ONE_EACH = ("segments", "contacts")  # tables with a row per customer, of which the account's own remains
_FIRST = ("visits", "assignments")  # what led to a customer led to the first subscription
_STEPS = 4  # doublings: chains of up to sixteen parents
_GAPS = Gaps()


def by_unit(source: Tables, unit: str, gaps: Gaps = _GAPS) -> dict[str, ir.Table | None]:
    """Return the tables of a source with another unit in the place of the customer.

    Args:
        source: The contract tables.
        unit: "customer" leaves all as it is; "account" is the top parent of a customer; "subscription" makes
            each subscription a customer, with the characteristics of who pays, the `owner`; one of the same
            plan that begins within `gaps` of another's end continues it, under its number, as a renewal.

    Returns:
        The tables that differ; None for those that say nothing of a single subscription, such as events.

    Example:
        >>> tables = {
        ...     "customers": ibis.memtable({"customer_id": ["a", "b"], "parent_id": ["", "a"]}),
        ...     "subscriptions": ibis.memtable({"subscription_id": ["1", "2"], "customer_id": ["a", "b"]}),
        ... }
        >>> by_unit(tables, "account")["subscriptions"].execute()["customer_id"].tolist()
        ['a', 'a']
    """
    if unit == "account":
        return _by_account(source)
    return _by_subscription(source, gaps) if unit == "subscription" else {}


def running(source: Tables, as_of: dt.date) -> ir.Table:
    """Return the spans that are on at the end of a day, but for trials."""
    cut, spans = end_of(as_of), source["subscriptions"]
    on = (spans.started_at < cut) & (spans.ended_at.isnull() | (spans.ended_at >= cut)).fill_null(True)
    return spans.filter(on & (spans.status != "trialing"))


def subscriptions_held(source: Tables, *, as_of: dt.date) -> ir.Table:
    """Count customers with running subscriptions, and those of them who hold several.

    Returns:
        One row: customers and several.
    """
    return _held(source, as_of, "customer_id").aggregate(
        customers=_.count().cast("int64"), several=(_.n > 1).sum().fill_null(0).cast("int64")
    )


def with_held(stays: ir.Table, source: Tables, *, at: dt.date) -> ir.Table:
    """Add how many subscriptions each customer, or the owner of each, held at the end of a day: held."""
    whose = "owner" if "owner" in stays.columns else "customer_id"
    each = _held(source, at, whose).rename(of=whose)
    rows = stays.left_join(each, stays[whose] == each["of"])
    words = {1: "customers with one subscription", 2: "customers with two subscriptions"}
    named = ((rows.n == n, name) for n, name in words.items())
    more = (rows.n > 2, "customers with more subscriptions")
    return rows.mutate(held=ibis.cases(*named, more, else_="other customers")).drop("n", "of")


def _held(source: Tables, as_of: dt.date, whose: str) -> ir.Table:
    """Count the running subscriptions with a price, or paid for by usage, of each customer or owner, as n."""
    spans = running(source, as_of)
    priced = spans.filter(spans.unit_amount_minor > 0)
    if (alone := metered(source)) is not None:
        priced = ibis.union(priced, spans.semi_join(alone, "customer_id"))
    if whose == "owner":
        priced = priced.inner_join(source["customers"].select("customer_id", "owner"), "customer_id")
    return priced.group_by(whose).agg(n=_.subscription_id.nunique())


def by_owner(scored: ir.Table, source: Tables) -> ir.Table:
    """Add up the scored subscriptions of each owner; stays_a_year is the chance that any is still on.

    Of customers who are valued as they are, nothing changes. The group is the first by name.
    """
    columns = ["customer_id", "group", "tenure", "value", "low", "high", "stays_a_year"]
    if "owner" not in source["customers"].columns:
        return scored.select(*columns)
    rows = scored.inner_join(source["customers"].select("customer_id", "owner"), "customer_id")
    gone = 1.0 - _.stays_a_year
    return (
        rows.group_by("owner")
        .agg(
            group=_.group.min(),
            tenure=_.tenure.max(),
            **{name: _[name].sum() for name in ("value", "low", "high")},
            stays_a_year=1.0 - (ibis.greatest(gone, 1e-12)).ln().sum().exp(),
        )
        .rename(customer_id="owner")
        .select(*columns)
    )


def _by_account(source: Tables) -> dict[str, ir.Table | None]:
    tops = settle(source, "accounts", lambda: _tops(source["customers"]))
    found: dict[str, ir.Table | None] = {}
    for name, table in source.items():
        if "customer_id" not in table.columns:
            continue
        rows = table.left_join(tops, table.customer_id == tops.of).drop("of")
        if name == "customers" or name in _ONE_EACH:
            rows = rows.filter(rows.customer_id == rows.top.fill_null(rows.customer_id))
        found[name] = rows.mutate(customer_id=rows.top.fill_null(rows.customer_id)).select(table.columns)
    return found


def _tops(customers: ir.Table) -> ir.Table:
    """The top parent of each customer who has one."""
    known = customers.select(at="customer_id")
    own = customers.filter((_.parent_id != "") & (_.parent_id != _.customer_id))
    own = own.semi_join(known, own.parent_id == known["at"]).select(of="customer_id", top="parent_id")
    for _step in range(_STEPS):
        above = own.select(at="of", higher="top")
        own = own.left_join(above, own.top == above["at"])
        own = own.select("of", top=own.higher.fill_null(own.top))
    return own


def _renewed(spans: ir.Table, gaps: Gaps) -> ir.Table:
    """Subscriptions, with the least number of those that they are one with, and when these began."""
    found = spans.select(
        "subscription_id", "customer_id", "plan", "started_at", start=day_index(spans.started_at),
        end=day_index(spans.ended_at).fill_null(NEVER),
        term=term_days(spans),
    ).group_by("subscription_id").agg(
        owner=_.customer_id.min(), plan=_.plan.min(), began=_.started_at.min(), start=_.start.min(),
        end=_.end.max(), term=_.term.max(),
    )  # fmt: skip
    ordered = ibis.window(group_by=["owner", "plan"], order_by=["began", "subscription_id"])
    reach = found.end + bridged_days(found.term, gaps.month, gaps.year)
    found = found.mutate(last=_.end.lag().over(ordered), reach=reach.lag().over(ordered))
    fresh = ((_.start >= _.last) & (_.start <= _.reach)).fill_null(False).ifelse(0, 1)
    so_far = ibis.window(
        group_by=["owner", "plan"], order_by=["began", "subscription_id"], preceding=None, following=0
    )
    found = found.mutate(fresh=fresh.cast("int64")).mutate(life=_.fresh.sum().over(so_far))
    whole = ibis.window(group_by=["owner", "plan", "life"])
    return found.mutate(of=_.subscription_id.min().over(whole), began=_.began.min().over(whole)).select(
        "subscription_id", "owner", "began", "of"
    )


def _by_subscription(source: Tables, gaps: Gaps) -> dict[str, ir.Table | None]:
    customers, every = source["customers"], _renewed(source["subscriptions"], gaps)
    keys = every.group_by("of").agg(owner=_.owner.min(), began=_.began.min())
    lives = every.select(one="subscription_id", of="of")

    def told(table: ir.Table) -> ir.Table:
        rows = table.inner_join(lives, table.subscription_id == lives.one)
        # What judges by subscription, as a policy may, is to see one that goes on under a new number as one.
        return rows.mutate(customer_id=rows.of, subscription_id=rows.of).select(table.columns)

    each = keys.inner_join(customers, keys.owner == customers.customer_id)
    first = ibis.row_number().over(ibis.window(group_by="owner", order_by=["began", "of"]))
    firsts = keys.mutate(place=first).filter(_.place == 0).select("owner", "of")
    found: dict[str, ir.Table | None] = {
        name: None for name, table in source.items() if "customer_id" in table.columns
    }
    found["customers"] = each.mutate(customer_id=each.of).select(*customers.columns, "owner")
    for name in ("subscriptions", "payments"):
        if name in source:
            found[name] = told(source[name])
    for name in _FIRST:
        if name in source:
            rows = source[name].left_join(firsts, source[name].customer_id == firsts.owner)
            found[name] = rows.mutate(customer_id=rows.of).select(source[name].columns)
    return found
