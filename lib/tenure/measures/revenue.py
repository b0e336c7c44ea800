"""Recurring revenue by customer and month end, what moved it, and how much of it stays.

A customer's revenue at a month end is the sum of what their running subscriptions pay a month, in minor
units and exact, since every span is rounded by itself. Months are indices counted from January of year 0
(`tenure.measures.calendar.month_index`). The month of an `as_of` within it is the running month: its balance
is that of the end of `as_of`.

`source`, `as_of`, `currency` and `policy`, `on` and `policies` are those of all measures (see
`tenure.measures`). `by` splits by ``plan``, ``billing`` or ``currency`` of the subscription; ``start_year``,
``start_quarter`` or ``start_month`` of the customer's first; a column of the customers table, or ``segment``.
Without it everything is the group "all". `months` are month indices to keep; empty: all. `every` asks for
other periods (`tenure.periods`): their numbers are in the column month, and customers are judged from the end
of each to the next, so that whoever joins and leaves in a quarter is in none.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

import ibis
from ibis import _, ir

from tenure.errors import InputError
from tenure.measures.calendar import (
    civil,
    day_index,
    day_of,
    days_in_month,
    end_of,
    month_index,
    month_start,
)
from tenure.measures.changes import PARTS, changes, movements
from tenure.measures.ledger import (
    EXPIRED,
    NEVER,
    OF_SPANS,
    gap_days,
    intervals,
    known_spans,
    ledger,
    named,
    usage,
)
from tenure.measures.spans import TERMS, Lenses, Tables, converted, lenses, real, runs
from tenure.periods import MONTHS, Every
from tenure.policy import MetricPolicy

KINDS = (
    "new",
    "reactivation",
    "expansion",
    "contraction",
    "churn",
    "ended",
    "pause",
    "resume",
    "transfer",
)

_KEYS = ("customer_id", "month", "currency", "group")


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

    Returns:
        A row per customer, month, currency and group in which there is a subscription: customer_id, month,
        currency, group, mrr_minor (what is paid, in minor units) and paused_minor (what would be paid but
        for a pause).
    """
    seen = lenses(as_of, policy)
    rows = balances(source, seen, by=by, months=months, currency=currency)
    return named(source, rows, seen, currency=currency).select(*_KEYS, "mrr_minor", "paused_minor")


def mrr_balances(
    source: Tables,
    *,
    as_of: dt.date,
    by: str | None = None,
    months: Sequence[int] = (),
    currency: str = "",
    policy: MetricPolicy = MetricPolicy(),
    on: Sequence[dt.date] = (),
    policies: Mapping[str, MetricPolicy] | None = None,
    every: Every = MONTHS,
) -> ir.Table:
    """Add up recurring revenue at each month end, counted from the subscriptions that are on at it.

    This knows nothing of movements: it is what they are checked against.

    Returns:
        A row per month, currency and group: month, currency, group, customers (with a subscription, paused
        or not), paying (with revenue), mrr_minor, paused_minor, and spread, the standard deviation of the
        paying customers' revenue.
    """
    seen = lenses(as_of, policy, on, policies)
    rows = balances(source, seen, by=by, months=months, currency=currency, every=every)
    sums = rows.group_by(
        month=_.month, currency=_.currency, group=rows["group"], **seen.of(rows.customer)
    ).agg(
        customers=_.count().cast("int64"),
        paying=(_.mrr_minor > 0).sum().cast("int64"),
        mrr_minor=_.mrr_minor.sum().cast("int64"),
        paused_minor=_.paused_minor.sum().cast("int64"),
        spread=_.mrr_minor.cast("float64").std(where=_.mrr_minor > 0, how="sample"),
    )
    return seen.told(sums, "month", "currency", "group")


def customers_by_month(
    source: Tables,
    *,
    as_of: dt.date,
    months: Sequence[int] = (),
    currency: str = "",
    policy: MetricPolicy = MetricPolicy(),
    on: Sequence[dt.date] = (),
    policies: Mapping[str, MetricPolicy] | None = None,
    every: Every = MONTHS,
) -> ir.Table:
    """Count customers at each month end, once each, whatever they hold.

    Returns:
        A row per month: month, customers (with a subscription, paused or not), paying (with revenue).
    """
    seen = lenses(as_of, policy, on, policies)
    rows = balances(source, seen, months=months, currency=currency, every=every)
    each = rows.group_by("customer", "month").agg(paid=_.mrr_minor.max())
    counts = each.group_by(month=_.month, **seen.of(each.customer)).agg(
        customers=_.count().cast("int64"), paying=(_.paid > 0).sum().cast("int64")
    )
    return seen.told(counts, "month")


def mrr_movements(
    source: Tables,
    *,
    as_of: dt.date,
    by: str | None = None,
    currency: str = "",
    policy: MetricPolicy = MetricPolicy(),
    on: Sequence[dt.date] = (),
    policies: Mapping[str, MetricPolicy] | None = None,
    every: Every = MONTHS,
) -> ir.Table:
    """Add up what moved recurring revenue from each month end to the next.

    Movements are judged for each customer over all their subscriptions, zero first: from nothing to
    something is *new* or, for who paid before, *reactivation*; from something to nothing is *churn*; else
    more is *expansion* and less is *contraction*; what was never to be renewed has *ended* by design, which
    nobody can lose. A pause takes the revenue out (*pause*) and not the
    customer, and gives it back when it ends (*resume*); where the customer then leaves instead, that is
    churn of a customer and of what they still paid, which may be nothing. Where groups are compared by
    something that changes in a life, such as the plan, what moves from group to group is *transfer* and
    adds up to nothing. Amounts in different currencies are never netted: who changes currency contracts in
    one and expands in the other.

    Returns:
        A row per month, currency, group, kind and reason: month, currency, group, kind, reason, amount_minor
        (signed, so that a month's amounts add up to the change of the balance), customers (change of their
        number in the currency and group), logos (change of the number of customers, each counted once over
        all currencies and groups), n (movements) and squares (sum of the squared amounts). Reasons: of
        churn voluntary, involuntary or unknown; of expansion and contraction subscription_added,
        subscription_ended, term_change, plan_change, quantity_change, price_change, discount_change or
        usage.
    """
    seen = lenses(as_of, policy, on, policies)
    split = movements(source, seen, by=by, currency=currency, every=every)
    # Added up before the three parts are set apart, so that the many rows are gone through once.
    sums = {
        f"{name}_{what}": value.sum()
        for name, part in PARTS.items()
        for what, value in {
            "amount_minor": split[part.amount],
            "customers": split[part.customers],
            "logos": split[part.logos],
            "n": split[part.there].ifelse(1, 0),
            "squares": split[part.amount].cast("float64") * split[part.amount].cast("float64"),
        }.items()
    }
    labels = sorted({label for part in PARTS.values() for label in (part.kind, part.reason)})
    lens = ["lens"] if seen.several else []
    table = split.group_by(*lens, "month", "currency", "group", *labels).agg(**sums)
    totals = ("amount_minor", "customers", "logos", "n", "squares")
    parts = [
        table.select(
            *lens,
            "month",
            "currency",
            "group",
            kind=part.kind,
            reason=part.reason,
            **{total: f"{name}_{total}" for total in totals},
        ).filter(_.n > 0)
        for name, part in PARTS.items()
    ]
    keys = ("month", "currency", "group", "kind", "reason")
    whole = (
        ibis.union(*parts)
        .group_by(*lens, *keys)
        .agg(**{total: _[total].sum().cast("int64") for total in totals[:-1]}, squares=_.squares.sum())
    )
    return seen.told(whole, *keys)


def customer_movements(
    source: Tables,
    *,
    as_of: dt.date,
    by: str | None = None,
    currency: str = "",
    policy: MetricPolicy = MetricPolicy(),
) -> ir.Table:
    """Return the movements of `mrr_movements`, customer by customer; large, so filter before collecting.

    Returns:
        A row per movement: customer_id, month, currency, group, kind, reason, amount_minor, customers, logos.
    """
    seen = lenses(as_of, policy)
    split = named(source, movements(source, seen, by=by, currency=currency), seen, currency=currency)
    parts = [
        split.filter(split[part.there]).select(
            *_KEYS,
            kind=part.kind,
            reason=part.reason,
            amount_minor=part.amount,
            customers=part.customers,
            logos=part.logos,
        )
        for part in PARTS.values()
    ]
    return ibis.union(*parts)


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

    Returns:
        A row per movement, the largest first: customer_id, kind, reason, currency, amount_minor.
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

    Returns:
        A row per customer, month, currency and group, the smallest first: customer_id, month, currency,
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
    on: Sequence[dt.date] = (),
) -> ir.Table:
    """Reduce what customers pay now and paid some months ago to the moments of gross and net retention.

    Who paid then and is on a pause or on hold now counts with what is paid when it is over. Who was on a
    pause, on hold or skipping then did not pay then.

    Args:
        months: Months to look back from, as indices; empty: that of `as_of`.
        by: The group is that of then.

    Returns:
        A row per month and group: month, group, n (customers who paid then), lost (of them, who pay nothing
        now), the sums paid_then, paid_now, kept (over customers, the lesser of then and now) and added (the
        rest of now), in minor units, and the sample moments var_then, var_added and cov_added (with then).
    """
    seen = lenses(as_of, policy, on)
    ends = months or [lens.month for lens in seen.all]
    asked = sorted({*ends, *(month - back for month in ends)})
    rows = balances(source, seen, by=by, months=asked, currency=currency)
    value, paused = (
        amount.cast("float64") if rates is None else converted(rows, amount, rates)
        for amount in (rows.mrr_minor, rows.paused_minor)
    )
    paying = rows.mrr_minor > rows.skipped_minor
    rows = rows.mutate(value=value, held=value + paused, paying=paying, **seen.of(rows.customer))
    lens = ["lens"] if seen.several else []
    then = rows.group_by(*lens, "customer", "month", "group").agg(
        paid_then=_.value.sum(), paying=_.paying.any()
    )
    then = then.filter(_.paying).drop("paying").mutate(month=(_.month + back).cast("int64"))
    own = then.month == seen.rule(then, lambda lens: lens.month)
    then = then.filter(then.month.isin(list(months)) if months else own)
    # Whom an end by design has taken nobody has lost.
    ended = intervals(source, seen, currency=currency).filter(_.last % 10 == EXPIRED)
    ended = ended.group_by("customer").agg(ended=_.end_month.max())
    now = rows.group_by("customer", "month").agg(paid_now=_.held.sum())
    if by in OF_SPANS:
        # A customer in two groups then cannot be told apart now: what is paid now counts for the larger.
        first = ibis.window(group_by=["customer", "month"], order_by=[ibis.desc("paid_then"), then["group"]])
        whole = then.mutate(place=ibis.row_number().over(first))
        sums = then.group_by("customer", "month").agg(all_then=_.paid_then.sum())
        then = whole.filter(_.place == 0).join(sums, ["customer", "month"])
        then = then.select(*lens, "customer", "month", "group", paid_then="all_then")
    both = then.left_join(now, ["customer", "month"]).drop("customer_right", "month_right")
    both = both.mutate(paid_now=_.paid_now.fill_null(0.0)).left_join(ended, "customer")
    away = (_.paid_now == 0) & _.ended.between(_.month - back + 1, _.month).fill_null(False)
    both = both.filter(~away).select(*lens, "month", "group", "paid_then", "paid_now")
    both = both.mutate(kept=ibis.least(both.paid_then, both.paid_now))
    both = both.mutate(added=both.paid_now - both.kept)
    moments = both.group_by(*lens, "month", "group").agg(
        n=_.count().cast("int64"),
        lost=(_.paid_now == 0).sum().cast("int64"),
        **{name: _[name].sum() for name in ("paid_then", "paid_now", "kept", "added")},
        var_then=_.paid_then.var(how="sample"),
        var_added=_.added.var(how="sample"),
        cov_added=_.added.cov(_.paid_then, how="sample"),
    )
    return seen.told(moments, "month", "group")


def revenue_cohorts(
    source: Tables,
    *,
    as_of: dt.date,
    by: str | None = None,
    currency: str = "",
    policy: MetricPolicy = MetricPolicy(),
) -> ir.Table:
    """Follow the revenue of the customers who began to pay in the same month.

    Returns:
        A row per cohort, group, currency and month in which the cohort's revenue changed: cohort (month of
        the first payment), group, currency, month, change_minor (of its monthly revenue), change_paying (of
        its paying customers, each in one currency a month, the first by name) and joined (its customers, in
        the row of its first month and their first currency; they count though they had left by the month's
        end).
    """
    if by in OF_SPANS:
        raise InputError(
            f"Cohorts cannot be split by '{by}', which changes in a customer's life; "
            "choose a column of the customers, such as channel."
        )
    moved = changes(source, lenses(as_of, policy), by=by, currency=currency)
    whole = ibis.window(group_by="customer")
    moved = moved.mutate(cohort=moved.month.min().over(whole).cast("int64"))
    peers, until = (
        ibis.range_window(group_by="customer", order_by="month", preceding=reach, following=0)
        for reach in (0, None)
    )
    paid = moved.amount - moved.paused
    moved = moved.mutate(
        lead=moved.currency == moved.currency.min().over(peers),
        after=paid.sum().over(until),
        step=paid.sum().over(peers),
    )
    moved = moved.mutate(turned=((_.after > 0).ifelse(1, 0) - (_.after > _.step).ifelse(1, 0)).cast("int64"))
    return (
        moved.group_by("cohort", "group", "currency", "month")
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
    on: Sequence[dt.date] = (),
) -> ir.Table:
    """Return the lines beside recurring revenue at the end of a day, by currency.

    Returns:
        A row per line and currency that has one: line, currency, customers, amount_minor a month. Lines: mrr;
        leaving (of it, cancelled but still on); past_due (of it, unpaid within the grace); waiting (of it,
        the term is over and may still be followed by another within the gap); paused and on_hold (free for a
        while; not in it, at the price before); trial (not in it, what running trials would pay);
        usage (not in it, a mean of up to three months).
    """
    seen = lenses(as_of, policy, on)
    running = _on(intervals(source, seen, currency=currency), seen)
    paid = running.mutate(value=running.amount - running.paused)
    paid = paid.filter(paid.value > 0)
    parts = {
        "mrr": paid,
        "leaving": paid.filter(_.leaving),
        "past_due": paid.filter(_.status == "past_due"),
        "waiting": paid.filter(_.bridge),
        "paused": running.filter((_.paused > 0) & (_.status == "paused")).mutate(value=_.paused),
        "on_hold": running.filter(_.status == "on_hold").mutate(value=_.paused),
    }
    trials = known_spans(source, seen, currency).filter((_.status == "trialing") & _.on & (_.amount > 0))
    trials = trials.filter(trials.excluded.isnull() | (trials.excluded == "trial"))
    parts["trial"] = trials.mutate(value=_.amount, customer=seen.apart(trials, trials.customer))
    if "payments" in source:
        charged = _on(usage(source, seen, currency), seen)
        parts["usage"] = charged.mutate(value=_.amount, customer=seen.apart(charged, charged.customer))
    rows = [
        part.select("currency", "customer", "value", line=ibis.literal(line)) for line, part in parts.items()
    ]
    all_rows = ibis.union(*rows)
    lines = all_rows.group_by(line=_.line, currency=_.currency, **seen.of(all_rows.customer)).agg(
        customers=_.customer.nunique().cast("int64"), amount_minor=_.value.sum().cast("int64")
    )
    return seen.told(lines, "line", "currency")


def paid_once(source: Tables, *, as_of: dt.date, currency: str = "") -> ir.Table:
    """Count who has bought access that is paid once, and add up what was paid for it.

    Returns:
        A row per currency: currency, customers, price_minor (what it cost) and, net of refunds, once_minor
        (what was paid for it) and cash_minor (all that was paid; both 0 where there are no payments); each
        also within the year to `as_of`, as customers_year and so on.
    """
    cut = lenses(as_of, MetricPolicy())
    bought = known_spans(source, cut, currency).filter(_.excluded == "paid once")
    zero = ibis.literal(0, "int64")
    rows = bought.select("currency", "customer", day="start_day", price_minor="once", once=zero, cash=zero)
    if "payments" in source:
        p = real(source, source["payments"].filter(_.attempted_at < end_of(as_of)))
        p = p.filter(_.currency == currency) if currency else p
        net = p.status.cases(("paid", p.amount_minor), ("refunded", -p.amount_minor), else_=0).cast("int64")
        p = p.mutate(net=net).left_join(
            bought.select("subscription_id").distinct().mutate(own=1), "subscription_id"
        )
        own = p.own.fill_null(0) * p.net
        paid = p.select("currency", day=day_index(p.attempted_at), once=own.cast("int64"), cash=p.net)
        paid = paid.mutate(customer=ibis.null("int64"), price_minor=zero)
        rows = ibis.union(rows, paid.select(rows.columns))
    lately = rows.day > day_of(as_of).index - 365
    sums = {"price": rows.price_minor, "once": rows.once, "cash": rows.cash}
    return rows.group_by("currency").agg(
        customers=_.customer.nunique().cast("int64"),
        customers_year=_.customer.nunique(where=lately).cast("int64"),
        **{f"{name}_minor": amount.sum().cast("int64") for name, amount in sums.items()},
        **{
            f"{name}_minor_year": amount.sum(where=lately).fill_null(0).cast("int64")
            for name, amount in sums.items()
        },
    )


def renewals(
    source: Tables,
    *,
    as_of: dt.date,
    currency: str = "",
    policy: MetricPolicy = MetricPolicy(),
    on: Sequence[dt.date] = (),
) -> ir.Table:
    """Count the renewals that fell due for terms of more than a month, and those that did not come.

    A monthly rate hides them: few of a year's contracts can end in any one month. A term is due on its
    anniversaries, or first where the term ends that was agreed on, for as long as the subscription has run
    until then, and is not renewed where it ended there (to a day, or what the policy bridges after a month)
    for another reason than a switch, unless the customer goes on within the gap that is bridged. Who left in
    the middle of a term is counted neither as due nor as lost, as is what ends by design.

    Returns:
        A row per month and term in which any was due: month, billing (such as "1 year"; where a term ends
        that was agreed on, its own length), due, lost, voluntary, involuntary (of those lost).
    """
    seen = lenses(as_of, policy, on)
    lens = ["lens"] if seen.several else []
    whole = ledger(source, seen, currency)
    whole = whole.mutate(key=_.subscription_id + "|" + _.billing + "|" + _.committed.cast("string"))
    spans = whole.filter(~_.bridge)
    rows = spans.filter(((_.term > TERMS["month"]) | (_.committed > 0)) & (_.committed >= 0))
    months = ibis.greatest(rows.term // TERMS["month"], 1).cast("int64")
    rows = rows.mutate(months=months)
    order = ["start_day", rows.end_day, rows.plan]
    rows = runs(rows, [*lens, "key"], order, "start_day", "end_day")
    terms = rows.group_by(*lens, "customer", "key", "billing", "months", "term", "committed", "run").agg(
        start_day=_.start_day.min(), end_day=_.end_day.max(), last=_.last.max()
    )
    terms = terms.filter(_.end_day >= _.start_day)
    # A term after which the customer goes on within the gap, under whatever contract, has been renewed.
    starts = spans.filter(_.end_day > _.start_day).select(*lens, "customer", next_day="start_day").distinct()
    ended = terms.filter(_.last % 10 > 0)
    ended = ended.mutate(reach=ended.end_day + gap_days(ended, seen))
    ended = ended.inner_join(starts, [*lens, "customer"])
    ended = (
        ended.filter(_.next_day.between(_.end_day, _.reach))
        .select(*lens, "key", "run", on=ibis.literal(True))
        .distinct()
    )
    terms = terms.left_join(ended, [*lens, "key", "run"])
    open_ = whole.filter(_.bridge & (_.end_day >= NEVER))
    open_ = open_.select(*lens, "key", end_day="start_day", waits=ibis.literal(True)).distinct()
    terms = terms.left_join(open_, [*lens, "key", "end_day"], rname="open_{name}")
    long = ((terms.committed - terms.start_day) * 12 / 365.25).round().cast("int64")
    years = (long // 12).cast("string") + " year"
    agreed = ibis.cases(
        (long < 1, terms.billing), (long % 12 == 0, years), else_=long.cast("string") + " month"
    )
    terms = terms.mutate(agreed=agreed)
    terms = terms.select(
        *(_[name] for name in (*lens, "billing", "agreed", "months", "term", "end_day")),
        # Anniversaries are those of the day on which the agreed term ends, which is the first.
        start_day=(_.committed > 0).ifelse(_.committed, _.start_day),
        first=(_.committed > 0).ifelse(0, 1).cast("int64"),
        rank=ibis.cases((_.on, 0), (_.waits, EXPIRED), else_=_.last % 10).cast("int64"),
        cut=ibis.literal(0, "int64") + seen.rule(terms, lambda lens: lens.cut_day),
    )
    start, gap = civil(terms.start_day), policy.gap_days.month
    end = civil(ibis.least(terms.end_day + gap, terms.cut))
    terms = terms.mutate(
        from_month=start.month, of_month=start.day_of_month, times=(end.month - start.month) // terms.months
    ).filter(_.times >= _.first)
    times = (terms.term > TERMS["month"]).ifelse(terms.times, 0)
    terms = terms.mutate(time=ibis.range(terms.first, times + 1).unnest())
    terms = terms.mutate(
        month=(_.from_month + _.time * _.months).cast("int64"),
        billing=(_.first + _.time == 0).ifelse(_.agreed, _.billing),
    )
    length = days_in_month(terms.month)
    terms = terms.mutate(due_day=month_start(terms.month) + ibis.least(terms.of_month, length) - 1)
    terms = terms.filter((_.due_day < _.cut) & (_.due_day <= _.end_day + gap))
    terms = terms.mutate(stops=(_.end_day <= _.due_day + gap) & (_.rank > 0))
    terms = terms.filter(~(_.stops & (_.rank == EXPIRED)))
    counts = terms.group_by(*lens, "month", "billing").agg(
        due=_.count().cast("int64"),
        lost=_.stops.sum().cast("int64"),
        voluntary=(_.stops & (_.rank == 2)).sum().cast("int64"),
        involuntary=(_.stops & (_.rank == 3)).sum().cast("int64"),
    )
    return seen.told(counts, "month", "billing")


def month_rates(source: Tables, *, as_of: dt.date, every: Every = MONTHS) -> ir.Table:
    """Return the last known exchange rate of each currency in each month.

    Returns:
        A row per currency and month: currency, month, rate (units of the reporting currency for one unit).
    """
    rates = source["fx_rates"].filter(_.date <= ibis.literal(as_of))
    day = day_index(rates.date)
    rates = rates.mutate(month=every.number(day, month_index(rates.date)).cast("int64"), day=day)
    latest = rates.group_by("currency", "month").agg(day=_.day.max())
    return (
        rates.semi_join(latest, ["currency", "month", "day"])
        .select("currency", "month", "rate")
        .order_by("currency", "month")
    )


def balances(
    source: Tables,
    seen: Lenses,
    *,
    by: str | None = None,
    months: Sequence[int] = (),
    currency: str = "",
    every: Every = MONTHS,
) -> ir.Table:
    """Return `mrr` with the numbers of customers, and skipped_minor: of mrr_minor, what is skipped now."""
    rows = intervals(source, seen, by=by, currency=currency, every=every).filter(_.amount > 0)
    last = seen.rule(rows, lambda lens: every.of(lens.as_of))
    if months:
        rows = rows.filter((_.start_month <= max(months)) & (_.end_month > min(months)))
    rows = rows.mutate(until=ibis.least(rows.end_month, last + 1)).filter(_.until > _.start_month)
    rows = rows.mutate(month=ibis.range(rows.start_month, rows.until).unnest())
    rows = rows.mutate(month=rows.month.cast("int64"))
    if months:
        rows = rows.filter(_.month.isin(list(months)))
    return rows.group_by("customer", "month", "currency", "group").agg(
        mrr_minor=(_.amount.sum() - _.paused.sum()).cast("int64"),
        paused_minor=_.paused.sum().cast("int64"),
        skipped_minor=_.amount.sum(where=_.status == "skipped").fill_null(0).cast("int64"),
    )


def _on(rows: ir.Table, seen: Lenses) -> ir.Table:
    """Stretches that are on at the end of the day that is looked at."""
    last = seen.rule(rows, lambda lens: lens.month)
    return rows.filter((rows.start_month <= last) & (rows.end_month > last))
