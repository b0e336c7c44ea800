"""What customers buy without a contract, reduced to the counts that models of purchases need.

A purchase is a day on which a customer paid; several payments on one day are one. Times are whole days in
`histories` and steps of `unit_days` in the grouped counts, rounded to the nearest step: a million customers
become a few thousand rows. `customers` is the table that `histories` or `with_later` returned;
`unit_days` are the days in a step.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import ibis
from ibis import _, ir

from tenure.measures.calendar import day_index, day_of, end_of
from tenure.measures.spans import Tables, real

KINDS = ("one_off",)


def histories(
    source: Tables, *, as_of: dt.date, kinds: Sequence[str] = KINDS, currency: str = ""
) -> ir.Table:
    """Return each customer's history of purchases in a currency.

    Args:
        kinds: Kinds of payments that are purchases.

    Returns:
        A row per customer and currency: customer_id, currency, frequency (purchases after the first),
        recency_days (from the first to the last), T_days (from the first to the end of `as_of`), and
        spend_minor (what the purchases after the first cost). Test accounts, refunds and free purchases do
        not count.
    """
    paid = _purchases(source, as_of, kinds, currency)
    days = paid.group_by("customer_id", "currency", "day").agg(amount=_.amount_minor.sum().cast("int64"))
    each = days.group_by("customer_id", "currency").agg(
        frequency=(_.count() - 1).cast("int64"), first=_.day.min(), last=_.day.max(), total=_.amount.sum()
    )
    first = days.rename(first="day", first_amount="amount")
    joined = each.inner_join(first, ["customer_id", "currency", "first"])
    end = day_of(as_of).index + 1
    return joined.select(
        "customer_id",
        "currency",
        "frequency",
        recency_days=(_.last - _.first).cast("int64"),
        T_days=(end - _.first).cast("int64"),
        spend_minor=(_.total - _.first_amount).cast("int64"),
    )


def with_later(
    source: Tables,
    earlier: ir.Table,
    *,
    after: dt.date,
    as_of: dt.date,
    kinds: Sequence[str] = KINDS,
    currency: str = "",
) -> ir.Table:
    """Add how many purchases the customers of earlier histories made afterwards.

    Returns:
        The histories with `later`, the number of purchases after that day.
    """
    paid = _purchases(source, as_of, kinds, currency).filter(_.day > day_of(after).index)
    counts = paid.group_by("customer_id", "currency").agg(later=_.day.nunique().cast("int64"))
    joined = earlier.left_join(counts, ["customer_id", "currency"])
    return joined.select(*earlier.columns, later=joined.later.fill_null(0))


def grouped_counts(customers: ir.Table, *, unit_days: int = 7) -> ir.Table:
    """Count customers by frequency, recency and T.

    Returns:
        A row per combination: frequency, recency and T (in steps), n, and `later` (the sum) where the
        histories have it.
    """
    rows = _in_steps(customers, unit_days)
    sums = {"later": _.later.sum().cast("int64")} if "later" in customers.columns else {}
    return (
        rows.group_by("frequency", "recency", "T")
        .agg(n=_.count().cast("int64"), **sums)
        .order_by("frequency", "recency", "T")
    )


def spend_counts(customers: ir.Table, *, parts: int = 100) -> ir.Table:
    """Count customers who bought again by frequency and by their mean amount, in narrow classes.

    Args:
        parts: Classes for a factor of 2.7 in the mean amount: 100 makes them 1 % wide. Within a class the
            mean of the means is given, so what is lost is below a ten-thousandth of the likelihood.

    Returns:
        A row per combination: frequency, currency, class, n and mean_spend (minor units).
    """
    rows = customers.filter((_.frequency > 0) & (_.spend_minor > 0))
    rows = rows.mutate(mean=_.spend_minor.cast("float64") / _.frequency.cast("float64"))
    rows = rows.mutate(class_=(_.mean.ln() * parts).floor().cast("int64"))
    return (
        rows.group_by("frequency", "currency", "class_")
        .agg(n=_.count().cast("int64"), mean_spend=_["mean"].mean())
        .order_by("frequency", "currency", "class_")
    )


def score(
    customers: ir.Table,
    scores: ir.Table,
    rates: ir.Table,
    *,
    unit_days: int = 7,
    spend: tuple[float, float, float] | None = None,
) -> ir.Table:
    """Give each customer the chance to be still there, the purchases to expect and their amount.

    Args:
        scores: A row for each frequency, recency and T (in steps): probability_alive and
            expected_purchases.
        rates: A row per currency: currency and factor, what its minor unit is in the reporting currency's.
        spend: p, q and gamma of the gamma-gamma model in the reporting currency; None: no amounts.

    Returns:
        A row per customer and currency: customer_id, probability_alive, expected_purchases and
        purchase_value (minor units of the reporting currency; null without `spend`).
    """
    rows = _in_steps(customers, unit_days).inner_join(rates, "currency")
    joined = rows.inner_join(scores, ["frequency", "recency", "T"])
    value: ir.Value = ibis.null("float64")
    if spend:
        p, q, gamma = spend
        x, total = joined.frequency.cast("float64"), joined.spend_minor.cast("float64") * joined.factor
        value = joined.expected_purchases * ((total + gamma) * p) / (x * p + (q - 1))
    return joined.select("customer_id", "probability_alive", "expected_purchases", purchase_value=value)


def by_customer(scored: ir.Table) -> ir.Table:
    """Add up the currencies of a customer.

    Returns:
        A row per customer: customer_id, probability_alive (the largest), expected_purchases, purchase_value.
    """
    return scored.group_by("customer_id").agg(
        probability_alive=_.probability_alive.max(),
        expected_purchases=_.expected_purchases.sum(),
        purchase_value=_.purchase_value.sum(),
    )


def _purchases(source: Tables, as_of: dt.date, kinds: Sequence[str], currency: str) -> ir.Table:
    paid = source["payments"].filter(
        (_.status == "paid")
        & _.kind.isin(list(kinds))
        & (_.amount_minor > 0)
        & (_.attempted_at < end_of(as_of))
    )
    if currency:
        paid = paid.filter(_.currency == currency)
    return real(source, paid).select(
        "customer_id", "currency", "amount_minor", day=day_index(paid.attempted_at)
    )


def _in_steps(customers: ir.Table, unit_days: int) -> ir.Table:
    """Histories with recency and T in the nearest number of steps; T is at least one."""
    half = unit_days // 2
    return customers.mutate(
        recency=((_.recency_days + half) // unit_days).cast("int64"),
        T=ibis.greatest((_.T_days + half) // unit_days, 1).cast("int64"),
    )
