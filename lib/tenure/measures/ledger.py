"""The ledger: every stretch of time that adds recurring revenue, settled once for all measures of revenue.

A stretch is a span that counts, from the month at whose end it is first on to the month at whose end it is
not any more; what the policy says of pauses, unpaid time, cancellations and gaps is settled here. All times
are whole seconds, days and months as numbers.
"""

from __future__ import annotations

import ibis
from ibis import _, ir

from tenure.measures.calendar import civil, day_index, month_index, month_start
from tenure.measures.spans import (
    Lens,
    Lenses,
    Tables,
    classified,
    limit_days,
    monthly,
    people,
    real,
    runs,
    settle,
    stage,
)
from tenure.measures.subscriptions import group_column

ON = 99_999  # the month in which a span ends that is still on
NEVER = 99_999_999  # its day
# Columns that a span carries, and that differ within a customer's life.
OF_SPANS = ("plan", "billing", "currency")
TERMS = {"day": 1, "week": 7, "month": 30, "year": 360}
_STARTS = ("start_year", "start_quarter", "start_month")
_HELD = ["past_due", "paused"]
_DAY = 86_400


def intervals(source: Tables, seen: Lenses, *, by: str | None = None, currency: str = "") -> ir.Table:
    """Return the ledger with the group of each stretch, and the number of whom it is judged by.

    Returns:
        A row per stretch: lens (where there are several), customer (the number of a customer, or of a
        subscription where the policy judges those; another one for each lens), group, and the columns of
        `ledger`.
    """
    rows = _with_group(source, ledger(source, seen, currency), seen, by)
    if seen.any(_by_subscription):
        numbers = _subscriptions(source, seen, currency)
        rows = rows.inner_join(numbers, "subscription_id")
        own = seen.rule(rows, _by_subscription)
        rows = rows.mutate(customer=ibis.ifelse(own, rows.number, rows.customer).cast("int64")).drop("number")
    return rows.mutate(customer=seen.apart(rows, rows.customer))


def named(source: Tables, rows: ir.Table, seen: Lenses, *, currency: str = "") -> ir.Table:
    """Give rows of `intervals` the ids of their customers again, in customer_id, and the column lens."""
    if seen.any(_by_subscription):
        numbers = _subscriptions(source, seen, currency)
        names = numbers.select(customer="number", customer_id="subscription_id")
    else:
        names = people(source)
    return seen.plain(rows).left_join(names, "customer").drop("customer_right", "customer")


def ledger(source: Tables, seen: Lenses, currency: str = "") -> ir.Table:
    """Return every stretch of time that adds recurring revenue.

    Returns:
        A row per stretch: lens (where there are several), customer (number), subscription_id, plan, billing,
        currency, status, term (in days, a month has 30), quantity, amount and list_minor (a month, with and
        without discounts, minor units), paused (of the amount, what a pause takes out), usage (of the
        amount), spans (1; 0 for usage), leaving (cancelled, but still on), bridge (a gap that is bridged),
        start_day, end_day, start_month, end_month (`NEVER` and `ON` while it is on) and last (0 while it is
        on, else ten times the end's day and the rank of its reason: 1 unknown, 2 voluntary, 3 involuntary).
    """
    rows = settle(source, ("settled", seen, currency), lambda: _settled(source, seen, currency))
    if seen.any(lambda lens: lens.policy.gap_days > 0):
        key = ("bridges", seen, currency)
        rows = ibis.union(rows, settle(source, key, lambda: _bridges(rows, seen)).select(rows.columns))
    rows = rows.drop("start_second", "end_second")
    if seen.any(lambda lens: lens.policy.usage == "included") and "payments" in source:
        included = usage(source, seen, currency)
        rule = seen.rule(included, lambda lens: lens.policy.usage == "included")
        rows = ibis.union(rows, included.filter(rule).select(rows.columns))
    return rows


def usage(source: Tables, seen: Lenses, currency: str = "") -> ir.Table:
    """Return usage charges as stretches: a third of each, in its month and the two that follow."""
    rows = seen.seen(source["payments"].filter((_.kind == "usage") & (_.status == "paid")))
    rows = rows.filter(rows.attempted_at < seen.rule(rows, lambda lens: lens.cut))
    rows = real(source, rows)
    if currency:
        rows = rows.filter(_.currency == currency)
    # Charges of nobody who is known are those of one customer, with the number 0.
    rows = rows.left_join(people(source), "customer_id").drop("customer_id_right")
    day, month = day_index(rows.attempted_at), month_index(rows.attempted_at)
    third, zero = ((rows.amount_minor * 2 + 3) // 6).cast("int64"), ibis.literal(0, "int64")
    on = month + 3 > seen.rule(rows, lambda lens: lens.month)
    return rows.select(
        *(["lens"] if seen.several else []),
        "currency",
        customer=rows.customer.fill_null(0),
        subscription_id=rows.subscription_id.fill_null(rows.customer_id),
        plan=ibis.literal("usage"),
        billing=ibis.literal("usage"),
        status=ibis.literal("active"),
        **dict.fromkeys(("term", "quantity", "list_minor", "paused", "spans", "last"), zero),
        **dict.fromkeys(("amount", "usage"), third),
        **dict.fromkeys(("start_day", "end_day"), day),
        **dict.fromkeys(("leaving", "bridge"), ibis.literal(False)),
        start_month=month,
        end_month=on.ifelse(ON, month + 3).cast("int64"),
    )


def _by_subscription(lens: Lens) -> bool:
    return lens.policy.unit == "subscription"


def _subscriptions(source: Tables, seen: Lenses, currency: str) -> ir.Table:
    """Number the subscriptions of the ledger, as `people` numbers customers."""

    def make() -> ir.Table:
        ids = ledger(source, seen, currency).select("subscription_id").distinct()
        place = ibis.row_number().over(ibis.window(order_by="subscription_id"))
        return ids.mutate(number=(place + 1).cast("int64"))

    return settle(source, ("subscriptions", seen, currency), make)


def _with_group(source: Tables, rows: ir.Table, seen: Lenses, by: str | None) -> ir.Table:
    """Rows with the column to compare by, as `group`."""
    if by is None:
        return rows.mutate(group=ibis.literal("all"))
    if by in OF_SPANS:
        return rows.mutate(group=rows[by])
    if by in _STARTS:
        keys = ["lens", "customer"] if seen.several else ["customer"]
        starts = rows.group_by(keys).agg(first=_.start_day.min())
        first = civil(starts.first)
        date = ibis.date(first.month // 12, first.month % 12 + 1, first.day_of_month)
        groups = group_column(source, starts.mutate(start=date), by).select(*keys, group=_[by])
        return rows.inner_join(groups, keys).select(*rows.columns, "group")
    groups = group_column(source, people(source), by).select("customer", group=_[by])
    rows = rows.left_join(groups, "customer").drop("customer_right")
    return rows.mutate(group=rows["group"].fill_null("unknown"))


def _settled(source: Tables, seen: Lenses, currency: str) -> ir.Table:
    """Spans that count, with what the policy says of pauses, unpaid time and cancellations."""
    spans = stage(source, ("timed", seen, currency), lambda: _timed(source, seen, currency))
    calm, held = (spans.filter(part) for part in (~spans.status.isin(_HELD), spans.status.isin(_HELD)))
    rows = ibis.union(calm, _capped(_runs(held, seen), seen).select(calm.columns))
    paused = (rows.status == "paused") & seen.rule(rows, lambda lens: lens.policy.pauses == "zero")
    zero = ibis.literal(0, "int64")
    return rows.mutate(
        last=rows.on.ifelse(0, rows.end_day * 10 + rows.rank).cast("int64"),
        paused=paused.ifelse(rows.amount, 0).cast("int64"),
        usage=zero,
        spans=zero + 1,
        bridge=ibis.literal(False),
    ).drop("on", "rank")


def _timed(source: Tables, seen: Lenses, currency: str) -> ir.Table:
    """Spans that count, with beginning and end in seconds, days and months."""
    s = seen.seen(source["subscriptions"])
    term = ibis.cases(*((s.billing_interval == unit, days) for unit, days in TERMS.items()), else_=0)
    also = {
        "started_at": s.started_at,
        "ended_at": s.ended_at,
        "asked": s.cancel_requested_at,
        "quantity": s.quantity,
        "term": (term.cast("int64") * s.billing_interval_count).cast("int64"),
        "list_minor": monthly(s, seen, discounted=False),
    }
    s = classified(source, s, seen, currency=currency, also=also).filter(_.excluded.isnull())
    s = s.inner_join(people(source), "customer_id")
    cut = seen.rule(s, lambda lens: lens.cut)
    s = s.mutate(
        leaving=(s.asked < cut).fill_null(False) & s.on,
        rank=ibis.cases(
            (s.on | (s.end_reason == "switched").fill_null(False), 0),
            (s.end_reason == "voluntary", 2),
            (s.end_reason == "involuntary", 3),
            else_=1,
        ).cast("int64"),
    )
    if seen.any(lambda lens: lens.policy.cancel == "request"):
        # A customer who cancelled and then switched has stayed.
        stays = (s.end_reason == "switched").fill_null(False) & ~s.on
        until = s.on.ifelse(cut, s.ended_at)
        gone = (s.asked < until).fill_null(False) & ~stays
        gone = gone & seen.rule(s, lambda lens: lens.policy.cancel == "request")
        s = s.mutate(
            ended_at=gone.ifelse(s.asked, s.ended_at),
            rank=gone.ifelse(2, s.rank).cast("int64"),
            on=s.on & ~gone,
        )
    s = s.mutate(ended_at=ibis.greatest(s.on.ifelse(s.started_at, s.ended_at), s.started_at))
    return s.select(
        *(["lens"] if seen.several else []),
        "customer",
        "subscription_id",
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
        amount=s.monthly_minor,
        start_second=_second(s.started_at),
        end_second=s.on.ifelse(NEVER * _DAY, _second(s.ended_at)).cast("int64"),
        start_day=day_index(s.started_at),
        end_day=s.on.ifelse(NEVER, day_index(s.ended_at)).cast("int64"),
        start_month=month_index(s.started_at),
        end_month=s.on.ifelse(ON, month_index(s.ended_at)).cast("int64"),
    )


def _second(moment: ir.TimestampValue) -> ir.IntegerValue:
    of_day = moment.hour().cast("int64") * 3600 + moment.minute().cast("int64") * 60
    return (day_index(moment) * _DAY + of_day + moment.second().cast("int64")).cast("int64")


def _runs(spans: ir.Table, seen: Lenses) -> ir.Table:
    """The given spans, past due or paused, with the first day and the length of the run they are part of.

    A run is what touches of one subscription in one status, so that no split of it matters.
    """
    keys = [*(["lens"] if seen.several else []), "subscription_id", "status"]
    order = ["start_second", spans.end_second, spans.amount, spans.plan]
    rows = runs(spans, keys, order, "start_day", "end_day")
    run = ibis.window(group_by=[*keys, "run"])
    rows = rows.mutate(
        run_start=_.start_day.min().over(run),
        run_end=_.end_day.max().over(run),
        run_last=(_.end_day * 10 + _.rank).max().over(run),
    )
    cut = seen.rule(rows, lambda lens: lens.cut_day)
    return rows.mutate(lasted=ibis.least(rows.run_end, cut) - rows.run_start, run_rank=rows.run_last % 10)


def _capped(rows: ir.Table, seen: Lenses) -> ir.Table:
    """End runs past due where they went unpaid, and pauses that last too long."""
    grace = seen.rule(rows, lambda lens: limit_days(lens.policy.grace_days))
    pause = seen.rule(rows, lambda lens: limit_days(lens.policy.pause_days))
    from_paid = seen.rule(rows, lambda lens: lens.policy.unpaid == "paid")
    late = rows.status == "past_due"
    unpaid = (rows.lasted > grace) | ((rows.run_rank > 0) & from_paid)
    rows = rows.mutate(
        over=late.ifelse(unpaid, rows.lasted > pause),
        cap=(rows.run_start + late.ifelse(ibis.ifelse(from_paid, 0, grace), pause)).cast("int64"),
        cap_rank=(late & (rows.run_rank != 2)).ifelse(3, 2).cast("int64"),
    )
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


def _bridges(rows: ir.Table, seen: Lenses) -> ir.Table:
    """The stretches over a month end between a span that ended and one that began within the gap.

    A span that is followed on the same day needs none. Only what lies near a month end is looked at. A span
    that goes on where one of the same subscription ended is no beginning, however its spans are split.
    """
    keys = ["lens"] if seen.several else []
    alive = rows.filter(_.end_second > _.start_second)
    alive = alive.mutate(gap=ibis.literal(0, "int64") + seen.rule(alive, lambda lens: lens.policy.gap_days))
    alive = alive.filter(_.gap > 0)
    enders = alive.filter(_.end_month < ON)
    ended = enders.select(*keys, "subscription_id", start_second="end_second").distinct()
    enders = enders.filter(_.end_day + _.gap >= month_start(enders.end_month + 1))
    near = (alive.start_day + alive.gap >= month_start(alive.start_month + 1)) | (
        alive.start_day - alive.gap < month_start(alive.start_month)
    )
    starters = alive.filter(near).anti_join(ended, [*keys, "subscription_id", "start_second"])
    starters = starters.select(
        *(_[key].name(f"next_{key}") for key in (*keys, "customer", "subscription_id")),
        next_day="start_day",
        next_second="start_second",
    )
    # Whose stays a policy judges: a customer's, or a subscription's.
    own = enders.subscription_id == starters.next_subscription_id
    pairs = enders.inner_join(
        starters,
        [
            *(enders[key] == starters[f"next_{key}"] for key in (*keys, "customer")),
            own | seen.rule(enders, lambda lens: lens.policy.unit == "customer"),
            enders.end_second <= starters.next_second,
            starters.next_day - enders.end_day <= enders.gap,
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
