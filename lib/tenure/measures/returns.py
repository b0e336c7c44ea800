"""Customers who come back: how long after they left, to what, and who of those who have left has not.

A customer has left whose first spell as a paying customer ended, and comes back with the next: what the
policy bridges, or what is paid within the grace, is no end and so no return. Ends by design, and those that
may yet go on within the gap, do not count.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

import ibis
from ibis import _, ir

from tenure.measures import campaigns, subscriptions
from tenure.measures.calendar import day_index
from tenure.measures.groups import group_column, nameable
from tenure.measures.ledger import settled_spans
from tenure.measures.spans import Lens, Tables, converted, lenses, people, real, settle, stacked
from tenure.policy import MetricPolicy

_LONG = {91: "up to 3 months", 365: "up to a year"}


def durations(
    source: Tables,
    covariates: Sequence[str] = (),
    *,
    as_of: dt.date,
    currency: str = "",
    policy: MetricPolicy = MetricPolicy(),
) -> ir.Table:
    """Count those who left by how many days it took until they came back by themselves.

    Who is in a campaign after they left, asked or held out, is followed until the day before it, so that what
    is counted is what happens without one.

    Args:
        covariates: What they are counted by: cause (of the end), how_long (they had been customers), or as
            for `group_column`.

    Returns:
        A row per combination: the covariates, entry (0), exit (the day on which they came back, the first
        without service being 0, or the last one observed), event (1: came back) and n.
    """
    key = ("returns", as_of, currency, policy)
    rows = settle(source, key, lambda: _departures(source, Lens(as_of, policy), currency))
    rows = group_column(source, rows, *(name for name in covariates if name not in ("cause", "how_long")))
    if "cause" in covariates:
        rows = nameable(rows, "cause")
    rows = rows.group_by(*covariates, entry=ibis.literal(0, "int64"), exit=rows.exit, event=rows.event)
    return rows.agg(n=_.count().cast("int64")).order_by(*covariates, "exit", "event")


def life_table(
    source: Tables,
    by: Sequence[str] = (),
    *,
    as_of: dt.date,
    currency: str = "",
    policy: MetricPolicy = MetricPolicy(),
) -> ir.Table:
    """Count, for each day since they left, who had not come back, and who came back on it.

    Args:
        by: Characteristics, as for `durations`.

    Returns:
        A row per characteristic (first that of everybody, empty), group and day: by, group, period, at_risk,
        events, returned, censored and entered, as in `tenure.stats.lifetable`.
    """
    parts = []
    for name in ("", *by):
        counts = durations(source, [name] if name else [], as_of=as_of, currency=currency, policy=policy)
        how = (counts.event == 1).ifelse("returned", ibis.null("string"))
        counts = counts.mutate(group=counts[name] if name else ibis.literal("everybody"), how=how)
        counts = counts.select("group", "entry", "exit", "event", "n", cause="how")
        parts.append(subscriptions.tabulated(counts, ["returned"]).mutate(by=ibis.literal(name)))
    return stacked(parts).order_by("by", "group", "period")


def _departures(source: Tables, lens: Lens, currency: str) -> ir.Table:
    """Those who left: exit, event, cause and how_long, as in `durations`, and what the spell began with."""
    stays = subscriptions.spells(source, as_of=lens.as_of, currency=currency, policy=lens.policy)
    first = stays.filter((_.spell == 1) & _.cause.isin(subscriptions.CAUSES))
    lasted = day_index(first.end) - day_index(first.start)
    long = ibis.cases(*((lasted <= most, name) for most, name in _LONG.items()), else_="over a year")
    columns = ("customer_id", "plan", "currency", "billing", "start", "cause")
    first = first.select(*columns, how_long=long, end_day=day_index(first.end))
    second = stays.filter(_.spell == 2)
    rows = _joined(first, second.select("customer_id", back_day=day_index(second.start)))
    rows = rows.mutate(asked_day=ibis.null("int64"))
    if "contacts" in source:
        asked = real(source, source["contacts"].filter(_.contacted_at < lens.cut))
        asked = asked.select("customer_id", at=day_index(asked.contacted_at)).inner_join(first, "customer_id")
        asked = asked.filter(_["at"] > _.end_day).group_by("customer_id").agg(asked_day=_["at"].min())
        rows = _joined(rows.drop("asked_day"), asked)
    until = ibis.least(rows.asked_day.fill_null(lens.cut_day), lens.cut_day) - 1
    back = (rows.back_day <= until).fill_null(False)
    rows = rows.mutate(
        exit=(back.ifelse(rows.back_day, until) - rows.end_day).cast("int64"),
        event=back.ifelse(1, 0).cast("int64"),
    )
    return rows.drop("back_day", "asked_day", "end_day").filter(_.exit > 0)


def _joined(rows: ir.Table, found: ir.Table) -> ir.Table:
    return rows.left_join(found, "customer_id").drop("customer_id_right")


def gone(
    source: Tables,
    by: Sequence[str] = (),
    *,
    as_of: dt.date,
    horizon_days: int = 60,
    rates: Mapping[str, float] | None = None,
    currency: str = "",
    policy: MetricPolicy = MetricPolicy(),
) -> ir.Table:
    """Return those who have left and could be asked tomorrow, described as `campaigns.units` does.

    Who has been in a campaign within the last `horizon_days`, asked or held out, is left out.

    Returns:
        A row per customer: customer_id, away, tenure_days, monthly, events, `by`, and the bands how_long and
        how_much.
    """
    lens = Lens(as_of, policy)
    who = real(source, source["subscriptions"].select("customer_id").distinct())
    if "contacts" in source:
        day = day_index(source["contacts"].contacted_at)
        lately = source["contacts"].filter(day.between(lens.cut_day - horizon_days, lens.cut_day - 1))
        who = who.anti_join(lately, "customer_id")
    day = ibis.literal(lens.cut_day, "int64")
    rows = who.mutate(campaign=ibis.literal("next"), day=day, horizon=day + horizon_days)
    rows = campaigns.followed(source, rows, lens, left=True, rates=rates, currency=currency)
    rows = campaigns.described(source, rows.filter(_.eligible == 1), by)
    columns = dict.fromkeys(["customer_id", "away", "tenure_days", "monthly", "events", *by])
    return rows.select(*columns, "how_long", "how_much").order_by("customer_id")


def prices(
    source: Tables,
    *,
    as_of: dt.date,
    rates: Mapping[str, float],
    currency: str = "",
    policy: MetricPolicy = MetricPolicy(),
) -> ir.Table:
    """Compare what customers pay who came back with what the same ones paid before they left.

    Returns:
        One row: customers, then and now (sums of what they paid a month when they left, and of the price
        at which they came back, both without discounts; minor units), product, squares_then and squares_now
        (sums of the product and of the squares of what each paid).
    """
    stays = subscriptions.spells(source, as_of=as_of, currency=currency, policy=policy)
    first, second = stays.filter(_.spell == 1), stays.filter(_.spell == 2)
    second = second.select("customer_id", back_day=day_index(second.start))
    who = second.inner_join(first.select("customer_id", end_day=day_index(first.end)), "customer_id")
    spans = settled_spans(source, lenses(as_of, policy), currency).inner_join(people(source), "customer")
    paid = (converted(spans, spans.list_minor, rates) + 0.5).floor().cast("int64")
    spans = spans.select("customer_id", "start_day", to_day="end_day", paid=paid)
    on = who.inner_join(spans, "customer_id")
    then = (on.start_day < on.end_day) & (on.end_day <= on.to_day)
    now = (on.start_day <= on.back_day) & (on.back_day < on.to_day)
    each = on.group_by("customer_id").agg(
        then=on.paid.sum(where=then).fill_null(0), now=on.paid.sum(where=now).fill_null(0)
    )
    each = each.filter((_.then > 0) & (_.now > 0))
    each = each.mutate(then=_.then.cast("float64"), now=_.now.cast("float64"))
    sums = {"then": _.then, "now": _.now, "product": _.then * _.now}
    sums |= {"squares_then": _.then**2, "squares_now": _.now**2}
    return each.aggregate(
        customers=_.count().cast("int64"), **{name: x.sum().fill_null(0.0) for name, x in sums.items()}
    )
