"""What it takes to acquire customers: spend, new customers, and trials that convert."""

from __future__ import annotations

import datetime as dt

from ibis import _, ir

from tenure.measures.calendar import civil, day_index, day_of, month_index
from tenure.measures.groups import grouped
from tenure.measures.spans import Tables, real
from tenure.measures.subscriptions import spells
from tenure.policy import MetricPolicy


def spend(source: Tables, *, as_of: dt.date, lag_days: int) -> ir.Table:
    """Add up acquisition spend by month and channel.

    Args:
        lag_days: Days from spending to a first payment (`tenure.economics.Economics.spend_lag`): money spent
            on a day counts in the month in which the customers it acquired are expected to pay. Money whose
            customers are yet to come is left out.

    Returns:
        A row per month, channel and currency: month (index), channel, currency, amount_minor.
    """
    rows = source["spend"]
    rows = rows.mutate(day=day_index(rows.date) + lag_days).filter(_.day <= day_of(as_of).index)
    return (
        rows.mutate(month=civil(rows.day).month)
        .group_by("month", "channel", "currency")
        .agg(amount_minor=_.amount_minor.sum().cast("int64"))
        .order_by("month", "channel", "currency")
    )


def customers_won(
    source: Tables,
    *,
    as_of: dt.date,
    by: str | None = None,
    currency: str = "",
    policy: MetricPolicy = MetricPolicy(),
) -> ir.Table:
    """Count customers by the month of their first payment; a returning customer is not new.

    Returns:
        A row per month and group: month (index), group, customers.
    """
    stays = spells(source, as_of=as_of, currency=currency, policy=policy).filter(_.spell == 1)
    stays = grouped(source, stays, by)
    return (
        stays.group_by("group", month=month_index(stays.start))
        .agg(customers=_.count().cast("int64"))
        .select("month", "group", "customers")
        .order_by("month", "group")
    )


def trials(
    source: Tables,
    *,
    as_of: dt.date,
    by: str | None = None,
    ripe_days: int = 7,
    currency: str = "",
    policy: MetricPolicy = MetricPolicy(),
) -> ir.Table:
    """Count the trials of customers who had never paid, and those that led to a payment.

    A trial is mature when it ended at least `ripe_days` before the data does; only of mature trials can it be
    said whether they converted, which is to pay for the first time until then. The trial of a further
    subscription by someone who pays already is none.

    Args:
        ripe_days: Days after the trial's end within which a payment counts.

    Returns:
        A row per month of the trials' start and group: month (index), group, trials, ripe (the mature ones),
        converted (of those).
    """
    spans = source["subscriptions"].filter(_.status == "trialing")
    if currency:
        spans = spans.filter(_.currency == currency)
    spans = real(source, spans)
    today = day_of(as_of).index
    spans = spans.mutate(began=day_index(spans.started_at)).filter(_.began <= today)
    spans = spans.mutate(ended=day_index(spans.ended_at).fill_null(today + 1))
    first = spells(source, as_of=as_of, currency=currency, policy=policy).filter(_.spell == 1)
    first = first.select("customer_id", paid=day_index(first.start))
    rows = spans.left_join(first, "customer_id").drop("customer_id_right")
    rows = rows.filter((rows.paid.isnull() | (rows.paid >= rows.began)).fill_null(True))
    each = rows.group_by("customer_id").agg(began=_.began.min(), ended=_.ended.max(), paid=_.paid.min())
    each = each.mutate(
        ripe=each.ended + ripe_days <= today,
        converted=(each.paid <= each.ended + ripe_days).fill_null(False),
        month=civil(each.began).month,
    )
    return (
        grouped(source, each, by)
        .group_by("month", "group")
        .agg(
            trials=_.count().cast("int64"),
            ripe=_.ripe.sum().cast("int64"),
            converted=(_.ripe & _.converted).sum().cast("int64"),
        )
        .order_by("month", "group")
    )
