"""Recurring revenue by customer and month end, what moved it, and how much of it stays.

A customer's revenue at a month end is the sum of what their running subscriptions pay a month, in minor
units and exact, since every span is rounded by itself. Only changes are kept, a row where a span begins or
ends, so that two million customers over three years are a few million rows and never seventy.

The month of an `as_of` within it is the running month: its balance is that of the end of `as_of`. Months
are indices counted from January of year 0 (`tenure.measures.calendar.month_index`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import ibis
from ibis import _, ir

from tenure.errors import InputError
from tenure.measures.calendar import (
    civil,
    day_index,
    day_of,
    month_index,
    month_start,
)
from tenure.measures.subscriptions import Tables, classified, group_column, limit_days, monthly_amount, settle
from tenure.policy import MetricPolicy

KINDS = (
    "new",
    "reactivation",
    "expansion",
    "contraction",
    "churn",
    "pause",
    "resume",
    "transfer",
)

_ON = 99_999  # the month in which a span ends that is still on
_NEVER = 99_999_999  # its day
_DAY = 86_400
_CAUSES = {1: "unknown", 2: "voluntary", 3: "involuntary"}
# Columns that a span carries, and that differ within a customer's life.
_OF_SPANS = ("plan", "billing", "currency")
_STARTS = ("start_year", "start_quarter", "start_month")
_HELD = ["past_due", "paused"]
_SUMS = ("amount", "paused", "spans", "term", "quantity", "list_minor", "usage")
_TERMS = {"day": 1, "week": 7, "month": 30, "year": 360}


def mrr(
    source: Tables,
    *,
    as_of: dt.date,
    by: str | None = None,
    months: Sequence[int] = (),
    currency: str = "",
    policy: MetricPolicy = MetricPolicy(),
) -> ir.Table:
    """Return each customer's recurring revenue at month ends.

    Args:
        source: Contract tables.
        as_of: The last day of the data; its month is the last.
        by: Split by this column, as `mrr_movements` does; None: everything as "all".
        months: Month indices to keep; empty: all.
        currency: Keep this currency only; empty keeps all.
        policy: What counts, and when.

    Returns:
        A row a customer, month, currency and group in which there is a subscription: customer_id, month,
        currency, group, mrr_minor (what is paid, in minor units) and paused_minor (what would be paid but
        for a pause).

    Raises:
        InputError: `by` is not available.
    """
    rows = _intervals(source, as_of=as_of, by=by, currency=currency, policy=policy)
    last = day_of(as_of).month
    if months:
        rows = rows.filter((_.start_month <= max(months)) & (_.end_month > min(months)))
    rows = rows.mutate(until=ibis.least(rows.end_month, last + 1)).filter(_.until > _.start_month)
    rows = rows.mutate(month=ibis.range(rows.start_month, rows.until).unnest())
    rows = rows.mutate(month=rows.month.cast("int64"))
    if months:
        rows = rows.filter(_.month.isin(list(months)))
    return rows.group_by("customer_id", "month", "currency", "group").agg(
        mrr_minor=(_.amount.sum() - _.paused.sum()).cast("int64"),
        paused_minor=_.paused.sum().cast("int64"),
    )


def mrr_balances(
    source: Tables,
    *,
    as_of: dt.date,
    by: str | None = None,
    months: Sequence[int] = (),
    currency: str = "",
    policy: MetricPolicy = MetricPolicy(),
) -> ir.Table:
    """Add up recurring revenue at each month end, counted from the subscriptions that are on at it.

    This knows nothing of movements: it is what they are checked against.

    Args:
        source: Contract tables.
        as_of: The last day of the data.
        by: Split by this column; None: everything as "all".
        months: Month indices to keep; empty: all.
        currency: Keep this currency only; empty keeps all.
        policy: What counts, and when.

    Returns:
        A row a month, currency and group: month, currency, group, customers (with a subscription, paused
        or not), paying (with revenue), mrr_minor, paused_minor, and spread, the standard deviation of the
        paying customers' revenue.

    Raises:
        InputError: `by` is not available.
    """
    rows = mrr(source, as_of=as_of, by=by, months=months, currency=currency, policy=policy)
    return (
        rows.group_by("month", "currency", "group")
        .agg(
            customers=_.count().cast("int64"),
            paying=(_.mrr_minor > 0).sum().cast("int64"),
            mrr_minor=_.mrr_minor.sum().cast("int64"),
            paused_minor=_.paused_minor.sum().cast("int64"),
            spread=_.mrr_minor.cast("float64").std(where=_.mrr_minor > 0, how="sample"),
        )
        .order_by("month", "currency", "group")
    )


def customers_by_month(
    source: Tables,
    *,
    as_of: dt.date,
    months: Sequence[int] = (),
    currency: str = "",
    policy: MetricPolicy = MetricPolicy(),
) -> ir.Table:
    """Count customers at each month end, once each, whatever they hold.

    Args:
        source: Contract tables.
        as_of: The last day of the data.
        months: Month indices to keep; empty: all.
        currency: Keep this currency only; empty keeps all.
        policy: What counts, and when.

    Returns:
        A row a month: month, customers (with a subscription, paused or not), paying (with revenue).
    """
    rows = mrr(source, as_of=as_of, months=months, currency=currency, policy=policy)
    each = rows.group_by("customer_id", "month").agg(paid=_.mrr_minor.max())
    return (
        each.group_by("month")
        .agg(customers=_.count().cast("int64"), paying=(_.paid > 0).sum().cast("int64"))
        .order_by("month")
    )


def mrr_movements(
    source: Tables,
    *,
    as_of: dt.date,
    by: str | None = None,
    currency: str = "",
    policy: MetricPolicy = MetricPolicy(),
) -> ir.Table:
    """Add up what moved recurring revenue from each month end to the next.

    Movements are judged for each customer over all their subscriptions, zero first: from nothing to
    something is *new* or, for who paid before, *reactivation*; from something to nothing is *churn*; else
    more is *expansion* and less is *contraction*. A pause takes the revenue out (*pause*) and not the
    customer, and gives it back when it ends (*resume*); where the customer then leaves instead, that is
    churn of a customer and of what they still paid, which may be nothing. Where groups are compared by
    something that changes in a life, such as the plan, what moves from group to group is *transfer* and
    adds up to nothing. Amounts in different currencies are never netted: who changes currency contracts in
    one and expands in the other.

    Args:
        source: Contract tables.
        as_of: The last day of the data; its month is the last.
        by: Split by this column: ``plan``, ``billing`` or ``currency`` of the subscription, ``start_year``,
            ``start_quarter`` or ``start_month`` of the customer's first, a column of the customers table,
            or ``segment``; None: everything as "all".
        currency: Keep this currency only; empty keeps all.
        policy: What counts, and when.

    Returns:
        A row a month, currency, group, kind and reason: month, currency, group, kind, reason, amount_minor
        (signed, so that a month's amounts add up to the change of the balance), customers (change of their
        number in the currency and group), logos (change of the number of customers, each counted once over
        all currencies and groups), n (movements) and squares (sum of the squared amounts). Reasons: of
        churn voluntary, involuntary or unknown; of expansion and contraction subscription_added,
        subscription_ended, term_change, plan_change, quantity_change, price_change, discount_change or
        usage.

    Raises:
        InputError: `by` is not available.
    """
    split = _split(source, as_of=as_of, by=by, currency=currency, policy=policy)
    # Added up before the three parts are set apart, so that the many rows are gone through once.
    sums = {
        f"{name}_{what}": value.sum()
        for name, part in _PARTS.items()
        for what, value in {
            "amount_minor": split[part.amount],
            "customers": split[part.customers],
            "logos": split[part.logos],
            "n": split[part.there].ifelse(1, 0),
            "squares": split[part.amount].cast("float64") * split[part.amount].cast("float64"),
        }.items()
    }
    labels = sorted({label for part in _PARTS.values() for label in (part.kind, part.reason)})
    table = split.group_by("month", "currency", "group", *labels).agg(**sums)
    totals = ("amount_minor", "customers", "logos", "n", "squares")
    parts = [
        table.select(
            "month",
            "currency",
            "group",
            kind=part.kind,
            reason=part.reason,
            **{total: f"{name}_{total}" for total in totals},
        ).filter(_.n > 0)
        for name, part in _PARTS.items()
    ]
    whole = ibis.union(*parts).group_by("month", "currency", "group", "kind", "reason")
    return whole.agg(
        **{total: _[total].sum().cast("int64") for total in totals[:-1]}, squares=_.squares.sum()
    ).order_by("month", "currency", "group", "kind", "reason")


def customer_movements(
    source: Tables,
    *,
    as_of: dt.date,
    by: str | None = None,
    currency: str = "",
    policy: MetricPolicy = MetricPolicy(),
) -> ir.Table:
    """Return the movements of `mrr_movements`, customer by customer; large, so filter before collecting.

    Args:
        source: Contract tables.
        as_of: The last day of the data.
        by: Split by this column; None: everything as "all".
        currency: Keep this currency only; empty keeps all.
        policy: What counts, and when.

    Returns:
        A row a movement: customer_id, month, currency, group, kind, reason, amount_minor, customers, logos.

    Raises:
        InputError: `by` is not available.
    """
    split = _split(source, as_of=as_of, by=by, currency=currency, policy=policy)
    parts = [
        split.filter(split[part.there]).select(
            *_KEYS,
            kind=part.kind,
            reason=part.reason,
            amount_minor=part.amount,
            customers=part.customers,
            logos=part.logos,
        )
        for part in _PARTS.values()
    ]
    return ibis.union(*parts)


_KEYS = ("customer_id", "month", "currency", "group")


def largest_movements(
    source: Tables,
    *,
    as_of: dt.date,
    month: int,
    limit: int,
    currency: str = "",
    policy: MetricPolicy = MetricPolicy(),
) -> ir.Table:
    """Return a month's largest movements of a single customer.

    Args:
        source: Contract tables.
        as_of: The last day of the data.
        month: The month's index.
        limit: How many.
        currency: Keep this currency only; empty keeps all.
        policy: What counts, and when.

    Returns:
        A row a movement, the largest first: customer_id, kind, reason, currency, amount_minor.
    """
    moves = customer_movements(source, as_of=as_of, currency=currency, policy=policy)
    moves = moves.filter(_.month == month).mutate(size=_.amount_minor.abs())
    return (
        moves.order_by(ibis.desc("size"), "customer_id", "kind")
        .limit(limit)
        .select("customer_id", "kind", "reason", "currency", "amount_minor")
    )


def mismatches(
    source: Tables,
    *,
    as_of: dt.date,
    by: str | None = None,
    currency: str = "",
    policy: MetricPolicy = MetricPolicy(),
) -> ir.Table:
    """Return customers whose movements do not lead from one month's balance to the next.

    There are none unless the data or the engine breaks a promise; it is asked only where the totals differ.

    Args:
        source: Contract tables.
        as_of: The last day of the data.
        by: Split by this column; None: everything as "all".
        currency: Keep this currency only; empty keeps all.
        policy: What counts, and when.

    Returns:
        A row a customer, month, currency and group, the smallest first: customer_id, month, currency,
        group, balance_minor (the change of the balance) and moved_minor (the sum of the movements).
    """
    balance = mrr(source, as_of=as_of, by=by, currency=currency, policy=policy)
    here = balance.select(*_KEYS, balance_minor="mrr_minor", moved_minor=ibis.literal(0, "int64"))
    gone = balance.select(
        "customer_id",
        "currency",
        "group",
        month=(_.month + 1).cast("int64"),
        balance_minor=-_.mrr_minor,
        moved_minor=ibis.literal(0, "int64"),
    ).filter(_.month <= day_of(as_of).month)
    moves = customer_movements(source, as_of=as_of, by=by, currency=currency, policy=policy)
    moved = moves.select(*_KEYS, balance_minor=ibis.literal(0, "int64"), moved_minor="amount_minor")
    columns = [*_KEYS, "balance_minor", "moved_minor"]
    rows = ibis.union(here.select(columns), gone.select(columns), moved.select(columns))
    return (
        rows.group_by(*_KEYS)
        .agg(balance_minor=_.balance_minor.sum().cast("int64"), moved_minor=_.moved_minor.sum().cast("int64"))
        .filter(_.balance_minor != _.moved_minor)
        .mutate(off=(_.balance_minor - _.moved_minor).abs())
        .order_by("off", "month", "customer_id")
        .drop("off")
    )


def retention_moments(
    source: Tables,
    *,
    as_of: dt.date,
    months: Sequence[int] = (),
    back: int = 12,
    by: str | None = None,
    rates: Mapping[str, float] | None = None,
    currency: str = "",
    policy: MetricPolicy = MetricPolicy(),
) -> ir.Table:
    """Reduce what customers pay now and paid some months ago to the moments of gross and net retention.

    Args:
        source: Contract tables.
        as_of: The last day of the data.
        months: Months to look back from, as indices; empty: that of `as_of`.
        back: How many months.
        by: Split by this column as it was then; None: everybody as "all".
        rates: For each currency the value of one unit in the reporting currency, the same then and now
            (constant currency); currencies without one are left out. None: amounts as they are.
        currency: Keep this currency only; empty keeps all.
        policy: What counts, and when.

    Returns:
        A row a month and group: month, group, n (customers who paid then), lost (of them, who pay nothing
        now), the sums paid_then, paid_now, kept (over customers, the lesser of then and now) and added (the
        rest of now), in minor units, and the sample moments var_then, var_added and cov_added (with then).

    Raises:
        InputError: `by` is not available.
    """
    months = months or [day_of(as_of).month]
    asked = sorted({*months, *(month - back for month in months)})
    rows = mrr(source, as_of=as_of, by=by, months=asked, currency=currency, policy=policy)
    rate = (
        ibis.literal(1.0)
        if rates is None
        else ibis.cases(
            *((rows.currency == name, float(value)) for name, value in sorted(rates.items())), else_=0.0
        )
    )
    rows = rows.mutate(value=rows.mrr_minor.cast("float64") * rate)
    then = rows.group_by("customer_id", "month", "group").agg(paid_then=_.value.sum())
    then = then.filter(_.paid_then > 0).mutate(month=(_.month + back).cast("int64"))
    then = then.filter(_.month.isin(list(months)))
    now = rows.group_by("customer_id", "month").agg(paid_now=_.value.sum())
    if by in _OF_SPANS:
        # A customer in two groups then cannot be told apart now: what is paid now goes with the larger.
        first = ibis.window(
            group_by=["customer_id", "month"], order_by=[ibis.desc("paid_then"), then["group"]]
        )
        whole = then.mutate(place=ibis.row_number().over(first))
        sums = then.group_by("customer_id", "month").agg(all_then=_.paid_then.sum())
        then = whole.filter(_.place == 0).join(sums, ["customer_id", "month"])
        then = then.select("customer_id", "month", "group", paid_then="all_then")
    both = then.left_join(now, ["customer_id", "month"]).select(
        "month", "group", "paid_then", paid_now=_.paid_now.fill_null(0.0)
    )
    both = both.mutate(kept=ibis.least(both.paid_then, both.paid_now))
    both = both.mutate(added=both.paid_now - both.kept)
    return (
        both.group_by("month", "group")
        .agg(
            n=_.count().cast("int64"),
            lost=(_.paid_now == 0).sum().cast("int64"),
            paid_then=_.paid_then.sum(),
            paid_now=_.paid_now.sum(),
            kept=_.kept.sum(),
            added=_.added.sum(),
            var_then=_.paid_then.var(how="sample"),
            var_added=_.added.var(how="sample"),
            cov_added=_.added.cov(_.paid_then, how="sample"),
        )
        .order_by("month", "group")
    )


def revenue_cohorts(
    source: Tables,
    *,
    as_of: dt.date,
    by: str | None = None,
    currency: str = "",
    policy: MetricPolicy = MetricPolicy(),
) -> ir.Table:
    """Follow the revenue of the customers who began to pay in the same month.

    Args:
        source: Contract tables.
        as_of: The last day of the data.
        by: Split by this column of the customers; None: everybody as "all".
        currency: Keep this currency only; empty keeps all.
        policy: What counts, and when.

    Returns:
        A row a cohort, group, currency and month in which the cohort's revenue changed: cohort (month of
        the first payment), group, currency, month, change_minor (of its monthly revenue), change_paying (of
        its paying customers, each in one currency a month, the first by name) and joined (its customers, in
        the row of its first month and their first currency; they count though they had left by the month's
        end).

    Raises:
        InputError: `by` is not available, or is no column of the customers.
    """
    if by in _OF_SPANS:
        raise InputError(
            f"Cohorts cannot be split by '{by}', which changes in a customer's life; "
            "choose a column of the customers, such as channel."
        )
    changes = _changes(source, as_of=as_of, by=by, currency=currency, policy=policy)
    whole = ibis.window(group_by="customer_id")
    changes = changes.mutate(cohort=changes.month.min().over(whole).cast("int64"))
    peers, until = (
        ibis.range_window(group_by="customer_id", order_by="month", preceding=reach, following=0)
        for reach in (0, None)
    )
    paid = changes.amount - changes.paused
    changes = changes.mutate(
        lead=changes.currency == changes.currency.min().over(peers),
        after=paid.sum().over(until),
        step=paid.sum().over(peers),
    )
    changes = changes.mutate(
        turned=((_.after > 0).ifelse(1, 0) - (_.after > _.step).ifelse(1, 0)).cast("int64")
    )
    return (
        changes.group_by("cohort", "group", "currency", "month")
        .agg(
            change_minor=(_.amount.sum() - _.paused.sum()).cast("int64"),
            change_paying=_.lead.ifelse(_.turned, 0).sum().cast("int64"),
            joined=((_.month == _.cohort) & _.lead).sum().cast("int64"),
        )
        .order_by("cohort", "group", "currency", "month")
    )


def revenue_lines(
    source: Tables,
    *,
    as_of: dt.date,
    currency: str = "",
    policy: MetricPolicy = MetricPolicy(),
) -> ir.Table:
    """Return the lines beside recurring revenue at the end of a day, by currency.

    Args:
        source: Contract tables.
        as_of: The day.
        currency: Keep this currency only; empty keeps all.
        policy: What counts, and when.

    Returns:
        A row a line and currency that has one: line, currency, customers, amount_minor a month. Lines: mrr;
        leaving (of it, who asked to leave and is still served); past_due (of it, unpaid within the grace);
        paused (not in it); trial (not in it, what running trials would pay); usage (not in it, a mean of
        the last three months).
    """
    last = day_of(as_of).month
    on = _intervals(source, as_of=as_of, by=None, currency=currency, policy=policy)
    on = on.filter((_.start_month <= last) & (_.end_month > last))
    paid = on.mutate(value=on.amount - on.paused)
    parts = [
        paid.filter(_.value > 0).mutate(line=ibis.literal("mrr")),
        paid.filter((_.value > 0) & _.leaving).mutate(line=ibis.literal("leaving")),
        paid.filter((_.value > 0) & (_.status == "past_due")).mutate(line=ibis.literal("past_due")),
        on.filter(_.paused > 0).mutate(line=ibis.literal("paused"), value=_.paused),
    ]
    columns = ["line", "currency", "customer_id", "value"]
    rows = [part.select(columns) for part in parts]
    full = replace(policy, trials="full")
    spans = classified(source, source["subscriptions"], as_of=as_of, currency=currency, policy=full)
    trials = spans.filter(_.excluded.isnull() & _.on & (_.status == "trialing"))
    rows.append(
        trials.select("currency", "customer_id", line=ibis.literal("trial"), value=_.monthly_minor).select(
            columns
        )
    )
    if "payments" in source:
        usage = _usage(source, as_of, currency, policy).filter((_.start_month <= last) & (_.end_month > last))
        rows.append(
            usage.select("currency", "customer_id", line=ibis.literal("usage"), value=_.amount).select(
                columns
            )
        )
    return (
        ibis.union(*rows)
        .group_by("line", "currency")
        .agg(customers=_.customer_id.nunique().cast("int64"), amount_minor=_.value.sum().cast("int64"))
        .order_by("line", "currency")
    )


def renewals(
    source: Tables,
    *,
    as_of: dt.date,
    currency: str = "",
    policy: MetricPolicy = MetricPolicy(),
) -> ir.Table:
    """Count the renewals that fell due for terms of more than a month, and those that did not come.

    A monthly rate hides them: few of a year's contracts can end in any one month. A term is due on its
    anniversaries for as long as the subscription has run until then, and is not renewed where it ended
    there (within the gap that is bridged) for another reason than a switch. Who left in the middle of a
    term is counted neither as due nor as lost.

    Args:
        source: Contract tables.
        as_of: The last day of the data.
        currency: Keep this currency only; empty keeps all.
        policy: What counts, and when.

    Returns:
        A row a month and term in which any was due: month, billing (such as "1 year"), due, lost,
        voluntary, involuntary (of those lost).
    """
    rows = _intervals(source, as_of=as_of, by="billing", currency=currency, policy=policy)
    rows = rows.filter((_.term > _TERMS["month"]) & ~_.bridge)
    rows = rows.mutate(key=rows.subscription_id + "|" + rows.billing, months=(rows.term // 30).cast("int64"))
    order = ["start_day", rows.end_day, rows.plan]
    earlier = ibis.window(group_by="key", order_by=order, preceding=(None, 1))
    so_far = ibis.window(group_by="key", order_by=order, preceding=None, following=0)
    rows = rows.mutate(reached=_.end_day.max().over(earlier))
    rows = rows.mutate(first=(rows.start_day <= rows.reached).fill_null(False).ifelse(0, 1).cast("int64"))
    rows = rows.mutate(island=_.first.sum().over(so_far).cast("int64"))
    terms = rows.group_by("key", "billing", "months", "island").agg(
        start_day=_.start_day.min(), end_day=_.end_day.max(), last=_.last.max()
    )
    cut = day_of(as_of + dt.timedelta(days=1)).index
    terms = terms.filter(_.end_day >= _.start_day)
    start = civil(terms.start_day)
    end = civil(ibis.least(terms.end_day + policy.gap_days, cut))
    terms = terms.mutate(
        from_month=start.month, of_month=start.day_of_month, times=(end.month - start.month) // terms.months
    ).filter(_.times >= 1)
    terms = terms.mutate(time=ibis.range(1, terms.times + 1).unnest())
    terms = terms.mutate(month=(_.from_month + _.time * _.months).cast("int64"))
    length = (month_start(terms.month + 1) - month_start(terms.month)).cast("int64")
    terms = terms.mutate(due_day=month_start(terms.month) + ibis.least(terms.of_month, length) - 1)
    terms = terms.filter((_.due_day < cut) & (_.due_day <= _.end_day + policy.gap_days))
    stops = (terms.end_day <= terms.due_day + policy.gap_days) & (terms.last % 10 > 0)
    terms = terms.mutate(stops=stops, rank=(terms.last % 10).cast("int64"))
    return (
        terms.group_by("month", "billing")
        .agg(
            due=_.count().cast("int64"),
            lost=_.stops.sum().cast("int64"),
            voluntary=(_.stops & (_.rank == 2)).sum().cast("int64"),
            involuntary=(_.stops & (_.rank == 3)).sum().cast("int64"),
        )
        .order_by("month", "billing")
    )


def month_rates(source: Tables, *, as_of: dt.date) -> ir.Table:
    """Return the last known exchange rate of each currency in each month.

    Args:
        source: Contract tables with fx_rates.
        as_of: Rates after this day are not used.

    Returns:
        A row a currency and month: currency, month, rate (units of the reporting currency for one unit).
    """
    rates = source["fx_rates"].filter(_.date <= ibis.literal(as_of))
    rates = rates.mutate(month=month_index(rates.date), day=day_index(rates.date))
    latest = rates.group_by("currency", "month").agg(day=_.day.max())
    return (
        rates.semi_join(latest, ["currency", "month", "day"])
        .select("currency", "month", "rate")
        .order_by("currency", "month")
    )


# From spans to changes.


def _intervals(
    source: Tables, *, as_of: dt.date, by: str | None, currency: str, policy: MetricPolicy
) -> ir.Table:
    """Spans that count, from the month at whose end they are first on to the month at whose end not.

    What the policy says of pauses, unpaid time, cancellations and gaps is settled here.
    """
    rows = settle(
        source, ("ledger", as_of, currency, policy), lambda: _ledger(source, as_of, currency, policy)
    )
    rows = _with_group(source, rows, by)
    return rows.mutate(customer_id=rows.subscription_id) if policy.unit == "subscription" else rows


def _ledger(source: Tables, as_of: dt.date, currency: str, policy: MetricPolicy) -> ir.Table:
    """The spans of `_intervals`, before they are grouped."""
    raw = source["subscriptions"]
    rows = _settled(source, raw, as_of=as_of, currency=currency, policy=policy)
    if policy.gap_days:
        near = _near_month_ends(raw, policy)
        if near is not raw:
            # Few spans begin or end near a month's end: to settle those once more is less than to keep all.
            near = _settled(source, near, as_of=as_of, currency=currency, policy=policy)
        bridges = _bridges(rows if near is raw else near, policy)
        rows = ibis.union(rows, bridges.select(rows.columns))
    rows = rows.mutate(
        paused=((rows.status == "paused") & (policy.pauses == "zero")).ifelse(rows.amount, 0).cast("int64"),
        usage=ibis.literal(0, "int64"),
        spans=ibis.literal(1, "int64"),
    )
    if policy.usage == "included" and "payments" in source:
        rows = ibis.union(rows, _usage(source, as_of, currency, policy).select(rows.columns))
    return rows


def _settled(
    source: Tables, raw: ir.Table, *, as_of: dt.date, currency: str, policy: MetricPolicy
) -> ir.Table:
    """Spans that count, with what the policy says of pauses, unpaid time and cancellations."""
    raw = raw.mutate(list_minor=monthly_amount(raw, replace(policy, discounts="ignored")))
    also = [
        "started_at",
        "ended_at",
        "cancel_requested_at",
        "quantity",
        "list_minor",
        "billing_interval",
        "billing_interval_count",
    ]
    calm, held = (
        _timed(
            classified(source, part, as_of=as_of, currency=currency, policy=policy, also=also).filter(
                _.excluded.isnull()
            ),
            as_of,
            policy,
        )
        for part in (raw.filter(~raw.status.isin(_HELD)), raw.filter(raw.status.isin(_HELD)))
    )
    cut = day_of(as_of + dt.timedelta(days=1)).index
    grace, pause = limit_days(policy.grace_days), limit_days(policy.pause_days)
    held = _runs(held, cut)
    late = held.status == "past_due"
    if policy.unpaid == "paid":
        lost, last_paid = (held.lasted > grace) | (held.run_rank > 0), held.run_start
    else:
        lost, last_paid = held.lasted > grace, held.run_start + grace
    held = _capped(
        held,
        over=late.ifelse(lost, held.lasted > pause),
        cap=late.ifelse(last_paid, held.run_start + pause),
        rank=(late & (held.run_rank != 2)).ifelse(3, 2),
    )
    rows = ibis.union(calm, held.select(calm.columns))
    return rows.mutate(
        end_month=rows.on.ifelse(_ON, ibis.greatest(rows.end_month, rows.start_month)).cast("int64"),
        last=rows.on.ifelse(0, rows.end_day * 10 + rows.rank).cast("int64"),
        bridge=ibis.literal(False),
    )


def _near_month_ends(raw: ir.Table, policy: MetricPolicy) -> ir.Table:
    """The spans that may need a bridge over a month end, or be its far side; all, where that is not plain."""
    gap = policy.gap_days
    if policy.utc_offset_minutes or policy.cancel == "request" or gap > 27:
        return raw
    # No month has fewer than 28 days; what is let through in vain is sorted out later.
    first, last = raw.started_at.day(), raw.ended_at.day()
    begins = (first <= gap) | (first > 28 - gap)
    ends = ((last <= gap) | (last > 28 - gap)).fill_null(False)
    return raw.filter(raw.status.isin(_HELD) | begins | ends)


def _timed(spans: ir.Table, as_of: dt.date, policy: MetricPolicy) -> ir.Table:
    """Spans with beginning and end in seconds and days of the reporting time zone."""
    shift = policy.utc_offset_minutes * 60
    cut = day_of(as_of + dt.timedelta(days=1)).index * _DAY
    asked = _second(spans.cancel_requested_at) + shift
    spans = spans.mutate(
        start_second=_second(spans.started_at) + shift,
        end_second=spans.on.ifelse(_NEVER * _DAY, _second(spans.ended_at) + shift).cast("int64"),
        rank=ibis.cases(
            (spans.on | (spans.end_reason == "switched").fill_null(False), 0),
            (spans.end_reason == "voluntary", 2),
            (spans.end_reason == "involuntary", 3),
            else_=1,
        ).cast("int64"),
        leaving=(asked < cut).fill_null(False) & spans.on,
    )
    if policy.cancel == "request":
        # Who asked to leave and then switched has stayed.
        stays = (spans.end_reason == "switched").fill_null(False) & ~spans.on
        gone = (asked < ibis.least(spans.end_second, cut)).fill_null(False) & ~stays
        spans = spans.mutate(
            end_second=gone.ifelse(ibis.greatest(asked, spans.start_second), spans.end_second),
            rank=gone.ifelse(2, spans.rank).cast("int64"),
            on=spans.on & ~gone,
        )
    spans = spans.mutate(
        end_second=ibis.greatest(spans.end_second, spans.start_second).cast("int64"),
        term=(
            ibis.cases(*((spans.billing_interval == u, days) for u, days in _TERMS.items()), else_=0).cast(
                "int64"
            )
            * spans.billing_interval_count
        ).cast("int64"),
    )
    if shift == 0 and policy.cancel == "end":
        calendar = {
            "start_day": day_index(spans.started_at),
            "end_day": spans.on.ifelse(_NEVER, day_index(spans.ended_at)).cast("int64"),
            "start_month": month_index(spans.started_at),
            "end_month": month_index(spans.ended_at),
        }
    else:
        start, end = (
            civil((second // _DAY).cast("int64")) for second in (spans.start_second, spans.end_second)
        )
        calendar = {
            "start_day": start.index,
            "end_day": end.index,
            "start_month": start.month,
            "end_month": end.month,
        }
    return spans.select(
        "subscription_id",
        "customer_id",
        "plan",
        "billing",
        "currency",
        "status",
        "term",
        "quantity",
        "list_minor",
        "rank",
        "leaving",
        "on",
        "start_second",
        "end_second",
        amount="monthly_minor",
        **calendar,
    )


def _second(moment: ir.TimestampValue) -> ir.IntegerValue:
    of_day = moment.hour().cast("int64") * 3600 + moment.minute().cast("int64") * 60
    return (day_index(moment) * _DAY + of_day + moment.second().cast("int64")).cast("int64")


def _runs(spans: ir.Table, cut: int) -> ir.Table:
    """The given spans, past due or paused, with the first day and the length of the run they are part of.

    A run is what touches of one subscription in one status, so that no split of it matters.
    """
    rows = spans
    keys = ["subscription_id", "status"]
    order = ["start_second", rows.end_second, rows.amount, rows.plan]
    earlier = ibis.window(group_by=keys, order_by=order, preceding=(None, 1))
    so_far = ibis.window(group_by=keys, order_by=order, preceding=None, following=0)
    rows = rows.mutate(reached=_.end_day.max().over(earlier))
    rows = rows.mutate(first=(rows.start_day <= rows.reached).fill_null(False).ifelse(0, 1).cast("int64"))
    rows = rows.mutate(run=_.first.sum().over(so_far).cast("int64"))
    run = ibis.window(group_by=[*keys, "run"])
    rows = rows.mutate(
        run_start=_.start_day.min().over(run),
        run_end=_.end_day.max().over(run),
        run_last=(_.end_day * 10 + _.rank).max().over(run),
    )
    return rows.mutate(lasted=ibis.least(rows.run_end, cut) - rows.run_start, run_rank=rows.run_last % 10)


def _capped(rows: ir.Table, over: ir.BooleanValue, cap: ir.IntegerValue, rank: ir.IntegerValue) -> ir.Table:
    """End the runs that are over on the day `cap`, for the reason `rank`."""
    rows = rows.mutate(over=over, cap=cap.cast("int64"), cap_rank=rank.cast("int64"))
    rows = rows.mutate(cap_month=civil(rows.cap).month)
    cut_short = rows.over & (rows.end_day >= rows.cap)
    gone = rows.over & (rows.start_day >= rows.cap)
    return rows.mutate(
        start_day=gone.ifelse(rows.cap, rows.start_day).cast("int64"),
        start_second=gone.ifelse(rows.cap * _DAY, rows.start_second).cast("int64"),
        start_month=gone.ifelse(rows.cap_month, rows.start_month).cast("int64"),
        end_month=cut_short.ifelse(rows.cap_month, rows.end_month).cast("int64"),
        end_day=cut_short.ifelse(rows.cap, rows.end_day).cast("int64"),
        end_second=cut_short.ifelse(rows.cap * _DAY, rows.end_second).cast("int64"),
        rank=cut_short.ifelse(rows.cap_rank, rows.rank).cast("int64"),
        on=rows.on & ~cut_short,
    )


def _bridges(rows: ir.Table, policy: MetricPolicy) -> ir.Table:
    """The stretches over a month end between a span that ended and one that began within the gap.

    A span that is followed on the same day needs none. Only what lies near a month end is looked at. A span
    that goes on where one of the same subscription ended is no beginning, however its spans are split.
    """
    gap_days = policy.gap_days
    alive = rows.filter(_.end_second > _.start_second)
    # Whose stays a policy judges: a customer's, or a subscription's.
    who = "customer_id" if policy.unit == "customer" else "subscription_id"
    enders = alive.filter(~_.on)
    ended = enders.select("subscription_id", start_second="end_second").distinct()
    enders = enders.filter(_.end_day + gap_days >= month_start(enders.end_month + 1))
    near = (alive.start_day + gap_days >= month_start(alive.start_month + 1)) | (
        alive.start_day - gap_days < month_start(alive.start_month)
    )
    starters = alive.filter(near).anti_join(ended, ["subscription_id", "start_second"])
    starters = starters.select(next_customer=who, next_day="start_day", next_second="start_second")
    pairs = enders.join(
        starters,
        [
            enders[who] == starters.next_customer,
            enders.end_second <= starters.next_second,
            starters.next_day - enders.end_day <= gap_days,
        ],
    )
    found = pairs.group_by(rows.columns).agg(next_day=_.next_day.min())
    found = found.mutate(next_month=civil(found.next_day).month).filter(_.next_month > _.end_month)
    return found.mutate(
        start_month=_.end_month,
        end_month=_.next_month,
        start_day=_.end_day,
        end_day=_.next_day,
        last=ibis.literal(0, "int64"),
        bridge=ibis.literal(True),
    )


def _usage(source: Tables, as_of: dt.date, currency: str, policy: MetricPolicy) -> ir.Table:
    """Usage charges as intervals: a third of each, in its month and the two that follow."""
    payments = source["payments"]
    tests = source["customers"].filter(_.is_test).customer_id
    day = (_second(payments.attempted_at) + policy.utc_offset_minutes * 60) // _DAY
    rows = payments.mutate(start_day=day.cast("int64")).filter(
        (_.kind == "usage") & (_.status == "paid") & (_.start_day <= day_of(as_of).index)
    )
    rows = rows.filter(~rows.customer_id.isin(tests))
    if currency:
        rows = rows.filter(_.currency == currency)
    rows = rows.mutate(start_month=civil(rows.start_day).month, third=(rows.amount_minor * 2 + 3) // 6)
    on = rows.start_month + 3 > day_of(as_of).month
    whole = ibis.literal(0, "int64")
    return rows.select(
        "customer_id",
        "currency",
        "start_month",
        "start_day",
        subscription_id=rows.subscription_id.fill_null(rows.customer_id),
        plan=ibis.literal("usage"),
        billing=ibis.literal("usage"),
        status=ibis.literal("active"),
        term=whole,
        quantity=whole,
        list_minor=whole,
        rank=whole,
        leaving=ibis.literal(False),
        on=on,
        start_second=rows.start_day * _DAY,
        end_second=rows.start_day * _DAY,
        amount=_.third.cast("int64"),
        end_day=_.start_day,
        end_month=on.ifelse(_ON, rows.start_month + 3).cast("int64"),
        last=whole,
        bridge=ibis.literal(False),
        paused=whole,
        usage=_.third.cast("int64"),
        spans=whole,
    )


def _with_group(source: Tables, rows: ir.Table, by: str | None) -> ir.Table:
    """Rows with the column to compare by, as `group`."""
    if by is None:
        return rows.mutate(group=ibis.literal("all"))
    if by in _OF_SPANS:
        return rows.mutate(group=rows[by])
    if by in _STARTS:
        starts = rows.group_by("customer_id").agg(first=_.start_day.min())
        first = civil(starts.first)
        date = ibis.date(first.month // 12, first.month % 12 + 1, first.day_of_month)
        groups = group_column(source, starts.mutate(start=date), by).select("customer_id", group=_[by])
        return rows.join(groups, "customer_id")
    groups = group_column(source, rows.select("customer_id").distinct(), by)
    return rows.join(groups.select("customer_id", group=_[by]), "customer_id")


def _changes(
    source: Tables, *, as_of: dt.date, by: str | None, currency: str, policy: MetricPolicy
) -> ir.Table:
    """What changed for a customer, currency and group in a month in which a span began or ended."""
    rows = _intervals(source, as_of=as_of, by=by, currency=currency, policy=policy)
    # One row for a span's beginning, and one for its end.
    rows = rows.mutate(side=ibis.range(0, 2).unnest())
    begins = rows.side == 0
    rows = rows.filter(begins | (rows.end_month < _ON)).select(
        "customer_id",
        "currency",
        "group",
        "plan",
        month=begins.ifelse(rows.start_month, rows.end_month),
        last=begins.ifelse(0, rows.last),
        began=begins.ifelse(rows.start_day, _NEVER),
        **{name: begins.ifelse(rows[name], -rows[name]) for name in _SUMS},
    )
    return rows.group_by("customer_id", "month", "currency", "group").agg(
        **{name: _[name].sum().cast("int64") for name in _SUMS},
        last=_.last.max(),
        began=_.began.min(),
        switched=_.plan.min() != _.plan.max(),
    )


def _states(changes: ir.Table, policy: MetricPolicy) -> ir.Table:
    """Changes with the customer's balance before and after, and what kind of change that is."""
    until, before, peers = (
        ibis.range_window(group_by="customer_id", order_by="month", preceding=reach, following=following)
        for reach, following in ((None, 0), ((None, 1), None), (0, 0))
    )
    own = ibis.range_window(
        group_by=["customer_id", "currency", "group"], order_by="month", preceding=None, following=0
    )
    rows = changes.mutate(place=changes.currency + "|" + changes["group"])
    columns = {
        "after": rows.amount.sum().over(until).cast("int64"),
        "earlier": rows.amount.sum().over(before),
        "own_after": rows.amount.sum().over(own).cast("int64"),
        "lead": rows.place == rows.place.min().over(peers),
        "last": rows.last.max().over(until),
    }
    if policy.reactivation_days is not None:
        columns["away"] = rows.began.min().over(peers) - rows.last.max().over(before) // 10
    rows = rows.mutate(**columns)
    rows = rows.mutate(
        before=rows.earlier.fill_null(0).cast("int64"),
        own_before=(rows.own_after - rows.amount).cast("int64"),
    )
    fresh = rows.earlier.isnull()
    if policy.reactivation_days is not None:
        fresh = fresh | (rows.away > policy.reactivation_days).fill_null(False)
    rows = rows.mutate(
        whole=ibis.cases(
            ((rows.before == 0) & (rows.after == 0), "none"),
            ((rows.before == 0) & fresh, "new"),
            (rows.before == 0, "reactivation"),
            (rows.after == 0, "churn"),
            else_="change",
        )
    )
    return rows.mutate(reason=_reason(rows))


@dataclass(frozen=True)
class _Part:
    """The columns of `_split` that make up one of a change's movements."""

    there: str
    kind: str
    reason: str
    amount: str
    customers: str
    logos: str


# A change may be up to three movements at once: of the customer, between groups, and of a pause.
_PARTS = {
    "own": _Part("moves", "kind", "why", "kept", "arrived", "once"),
    "transfer": _Part("transfers", "transfer", "nothing", "moved", "swapped", "nobody"),
    "pause": _Part("pauses", "pause", "nothing", "less_paused", "nobody", "nobody"),
}


def _split(
    source: Tables, *, as_of: dt.date, by: str | None, currency: str, policy: MetricPolicy
) -> ir.Table:
    """Changes with the movements that each is made of, in the columns that `_PARTS` names."""
    states = _states(_changes(source, as_of=as_of, by=by, currency=currency, policy=policy), policy)
    rows = _transfers(states) if by in _OF_SPANS else states.mutate(moved=ibis.literal(0, "int64"))
    whole, gone = rows.whole != "change", rows.whole == "churn"
    zero = ibis.literal(0, "int64")
    # What a pause has taken out already cannot be lost once more.
    rows = rows.mutate(paused=gone.ifelse(0, rows.paused), unpaid=gone.ifelse(rows.paused, 0))
    rows = rows.mutate(
        kept=(rows.amount - rows.unpaid - rows.moved).cast("int64"),
        entered=ibis.cases(
            ((rows.own_before == 0) & (rows.own_after > 0), 1),
            ((rows.own_before > 0) & (rows.own_after == 0), -1),
            else_=0,
        ).cast("int64"),
        once=ibis.cases(
            (~rows.lead, 0),
            (rows.whole.isin(["new", "reactivation"]), 1),
            (rows.whole == "churn", -1),
            else_=0,
        ).cast("int64"),
    )
    rows = rows.mutate(
        kind=ibis.cases(
            (whole, rows.whole), (rows.kept > 0, "expansion"), (rows.kept < 0, "contraction"), else_="none"
        ),
        why=ibis.cases(
            *(((rows.whole == "churn") & (rows.last % 10 == rank), why) for rank, why in _CAUSES.items()),
            (rows.whole == "churn", "unknown"),
            (whole | (rows.kept == 0), ""),
            else_=rows.reason,
        ),
        arrived=whole.ifelse(rows.entered, zero),
        swapped=whole.ifelse(zero, rows.entered),
        less_paused=(-rows.paused).cast("int64"),
        pause=ibis.cases((rows.paused > 0, "pause"), (rows.paused < 0, "resume"), else_="none"),
        transfer=ibis.literal("transfer"),
        nothing=ibis.literal(""),
        nobody=zero,
    )
    return rows.mutate(
        moves=rows.kind != "none",
        transfers=(rows.moved != 0) | (rows.swapped != 0),
        pauses=rows.paused != 0,
    )


def _reason(rows: ir.Table) -> ir.StringValue:
    """Why a customer pays more or less than before, the weightiest reason first."""
    return ibis.cases(
        (rows.spans > 0, "subscription_added"),
        (rows.spans < 0, "subscription_ended"),
        (rows.term != 0, "term_change"),
        (rows.switched, "plan_change"),
        (rows.quantity != 0, "quantity_change"),
        (rows.list_minor != 0, "price_change"),
        (rows.usage != 0, "usage"),
        else_="discount_change",
    )


def _transfers(rows: ir.Table) -> ir.Table:
    """Set apart what a customer moved from group to group from what the customer gained or lost in all.

    Of the groups that moved the way the customer did, the first by name take up what came from the others.
    """
    peers = ibis.range_window(
        group_by=["customer_id", "currency"], order_by="month", preceding=0, following=0
    )
    rows = rows.mutate(
        **{
            name: _[name].sum().over(peers).cast("int64")
            for name in _SUMS
            if name not in ("amount", "paused")
        },
        net=_.amount.sum().over(peers).cast("int64"),
        gains=ibis.greatest(_.amount, 0).sum().over(peers).cast("int64"),
        losses=ibis.greatest(-_.amount, 0).sum().over(peers).cast("int64"),
        switched=(_.switched | (_.spans != 0)).ifelse(1, 0).max().over(peers) == 1,
    )
    rows = rows.mutate(reason=_reason(rows), gained=rows.net >= 0)
    rows = rows.mutate(along=(rows.gained == (rows.amount > 0)).ifelse(rows.amount.abs(), 0).cast("int64"))
    first = ibis.window(
        group_by=["customer_id", "currency", "month"], order_by="group", preceding=None, following=0
    )
    rows = rows.mutate(taken=_.along.sum().over(first).cast("int64") - _.along)
    offset = rows.gained.ifelse(rows.losses, rows.gains)
    share = ibis.greatest(ibis.least(offset - rows.taken, rows.along), 0)
    signed = rows.gained.ifelse(share, -share)
    moved = (rows.along > 0).ifelse(signed, rows.amount)
    return rows.mutate(moved=(rows.whole == "change").ifelse(moved, 0).cast("int64"))
