"""The ledger: every stretch of time that adds recurring revenue, settled once for all measures of revenue.

A stretch is a span that counts, from the month at whose end it is first on to the month at whose end it is
not any more; what the policy says of pauses, unpaid time, cancellations and gaps is settled here. All times
are whole seconds, days and months as numbers.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection

import ibis
from ibis import _, ir

from tenure.measures.calendar import civil, date_of, day_index, end_of, first_day, month_index, month_start
from tenure.measures.groups import group_column, nameable
from tenure.measures.spans import (
    TERMS,
    Lens,
    Lenses,
    Tables,
    bridged_days,
    complete,
    limit_days,
    monthly,
    people,
    real,
    runs,
    settle,
    some,
    stage,
    term_days,
)
from tenure.periods import MONTHS, Every

ON = 99_999  # the month in which a span ends that is still on
NEVER = 99_999_999  # its day
# Columns that a span carries, and that differ within a customer's life.
OF_SPANS = ("plan", "billing", "currency")
_STARTS = ("start_year", "start_quarter", "start_month")
_SHORT, _HELD = ["day", "week"], ["past_due", "paused"]
IDLE = ["trial", "free"]  # time that is on hold right after paid time
SKIP = 31  # days: a pause that is shorter, of a plan with terms shorter than a month, is a skip
REASONS = {1: "unknown", 2: "voluntary", 3: "involuntary", 4: "expired"}
EXPIRED = 4  # an end by design, which nobody can lose or keep
_DAY = 86_400
# Each moment is there in all of these, so that none need be worked out of another.
_UNITS = ("second", "day", "month")


def intervals(
    source: Tables, seen: Lenses, *, by: str | None = None, currency: str = "", every: Every = MONTHS
) -> ir.Table:
    """Return the ledger with the group of each stretch, and the number of whom it is judged by.

    Returns:
        A row per stretch: lens (where there are several), customer (the number of a customer, or of a
        subscription where the policy judges those; another one for each lens), group, and the columns of
        `ledger`.
    """
    rows = _with_group(source, ledger(source, seen, currency, every), seen, by)
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


def ledger(source: Tables, seen: Lenses, currency: str = "", every: Every = MONTHS) -> ir.Table:
    """Return every stretch of time that adds recurring revenue.

    Returns:
        A row per stretch: lens (where there are several), customer (number), subscription_id, plan, billing,
        currency, status (active, past_due, paused, on_hold, skipped, or trialing where trials count), term
        (in days, a month has 30), quantity, amount and list_minor (a month, with and without discounts, minor
        units; the mean over skips), paused (of the amount, what a pause takes out), usage (of the amount),
        spans (1; 0 for usage), leaving (notice was given), bridge (a gap that is bridged), start_day,
        end_day, start_month, end_month (or of `every`; `NEVER` and `ON` while on), last (0 while on, else ten
        times the end's day and the rank of its reason: 1 unknown, 2 voluntary, 3 involuntary, 4 an end by
        design) and committed (the day on which the term ends that was agreed on, else 0; -1 for what is never
        renewed).
    """
    rows = settled_spans(source, seen, currency).drop("paid")
    if seen.any(lambda lens: max(lens.policy.gap_days) > 0):
        key = ("bridges", seen, currency, *([every] if every.unit == "week" else []))
        gaps = settle(source, key, lambda: _bridges(rows, seen, every), share=not seen.several)
        rows = ibis.union(rows, gaps.select(rows.columns))
    # Who left with the last moment was paying at it.
    still = rows.end_second >= seen.rule(rows, lambda lens: lens.cut_day) * _DAY
    rows = rows.mutate(
        end_day=still.ifelse(NEVER, rows.end_day).cast("int64"),
        end_month=still.ifelse(ON, rows.end_month).cast("int64"),
        last=still.ifelse(0, rows["last"]).cast("int64"),
    ).drop("start_second", "end_second")
    alone = metered(source)
    if (alone is not None or seen.any(lambda lens: lens.policy.usage == "included")) and "payments" in source:
        included = _marked(usage(source, seen, currency), alone, "customer")
        own = included.metered & seen.rule(included, lambda lens: lens.policy.usage == "alone")
        rule = own | seen.rule(included, lambda lens: lens.policy.usage == "included")
        rows = ibis.union(rows, included.filter(rule).select(rows.columns))
    if every == MONTHS:
        return rows
    used = (rows.spans == 0) & (rows.usage > 0)  # what is charged for usage is that of months
    for name in ("start", "end"):
        month = rows[f"{name}_month"]
        number = every.number(used.ifelse(month_start(month), rows[f"{name}_day"]), month)
        rows = rows.mutate(**{f"{name}_month": (month == ON).ifelse(ON, number).cast("int64")})
    return rows.filter(~rows.bridge | (rows.end_month > rows.start_month))


def metered(source: Tables) -> ir.Table | None:
    """Return customers all of whose spans are free, and who have paid for usage; None: there are none.

    What they pay for usage is all they pay, so it is their recurring revenue unless a policy keeps it apart.

    Returns:
        A row per customer: customer_id and customer.
    """
    return settle(source, "metered", lambda: _metered(source)) if "metered" in _rare(source) else None


def _metered(source: Tables) -> ir.Table:
    s = source["subscriptions"].filter(_.status != "trialing")
    free = s.group_by("customer_id").agg(most=(_.unit_amount_minor * _.quantity - _.discount_minor).max())
    charged = source["payments"].filter((_.kind == "usage") & (_.status == "paid") & (_.amount_minor > 0))
    return people(source).semi_join(free.filter(_.most <= 0).semi_join(charged, "customer_id"), "customer_id")


def _rare(source: Tables) -> Collection[str]:
    """What few companies have: spans with short terms, access paid once, customers of usage alone."""

    def make() -> dict[str, ir.Table]:
        s, unit = source["subscriptions"], source["subscriptions"].billing_interval
        found = {"short": s.filter(unit.isin(_SHORT)), "once": s.filter(unit == "once")}
        return {**found, "metered": _metered(source)} if "payments" in source else found

    return some(source, "rare", make)


def with_usage(source: Tables, rows: ir.Table, as_of: dt.date) -> ir.Table:
    """Add to monthly_minor of customer_id and currency what those of `metered` pay a month for usage.

    It is the mean of the months from their first charge to their last until `as_of`.
    """
    if (alone := metered(source)) is None:
        return rows
    paid = source["payments"].filter((_.kind == "usage") & (_.status == "paid"))
    paid = paid.filter(_.attempted_at < end_of(as_of)).semi_join(alone, "customer_id")
    month = month_index(paid.attempted_at)
    used = paid.group_by("customer_id", "currency").agg(
        used=_.amount_minor.sum(), months=month.max() - month.min() + 1
    )
    mean = ((_.used * 2 + _.months) // (_.months * 2)).fill_null(0)
    found = rows.left_join(used, ["customer_id", "currency"])
    return found.mutate(monthly_minor=(_.monthly_minor + mean).cast("int64")).select(rows.columns)


def usage(source: Tables, seen: Lenses, currency: str = "") -> ir.Table:
    """Return usage charges as stretches of a month, whose sum in a month is the mean of the last three.

    A customer who has had fewer months, from the first span or charge on, has the mean of those there were.
    It ends with the customer's last span. Who pays for usage alone (see `metered`) does so from the first
    charge on, since a month is often billed after it, and for the plan of the span; else the plan is "usage".
    """
    rows = seen.seen(source["payments"].filter((_.kind == "usage") & (_.status == "paid")))
    rows = rows.filter(rows.attempted_at < seen.rule(rows, lambda lens: lens.cut))
    rows = real(source, rows)
    if currency:
        rows = rows.filter(_.currency == currency)
    s = source["subscriptions"]
    since = s.group_by("customer_id").agg(
        since=month_index(s.started_at.min()),
        until=s.ended_at.isnull().any().ifelse(ON, month_index(s.ended_at.max())),
        own_plan=s.plan.max(),
        own_billing=(s.billing_interval_count.cast("string") + " " + s.billing_interval).max(),
    )
    # Charges of nobody who is known are those of one customer, with the number 0.
    for other in (people(source), since):
        rows = rows.left_join(other, "customer_id").drop("customer_id_right")
    rows = rows.mutate(month=month_index(rows.attempted_at), later=ibis.range(3).unnest())
    first = ibis.window(group_by=[*(["lens"] if seen.several else []), "customer_id"])
    rows = _marked(rows.mutate(charged=rows.month.min().over(first)), metered(source), "customer")
    rows = rows.mutate(
        since=_.metered.ifelse(_.charged, ibis.least(_.since, _.charged)),
        plan=_.metered.ifelse(_.own_plan, "usage"),
        billing=_.metered.ifelse(_.own_billing, "usage"),
    )
    rows = rows.mutate(at=(rows.month + rows.later).cast("int64"))
    last = seen.rule(rows, lambda lens: lens.month)
    rows = rows.filter((rows["at"] <= last) & (rows["at"] < rows.until.fill_null(ON)))
    months = ibis.least(rows["at"] - rows.since + 1, 3)
    share = ((rows.amount_minor * 2 + months) // (months * 2)).cast("int64")
    day, zero = day_index(rows.attempted_at), ibis.literal(0, "int64")
    return rows.select(
        *(["lens"] if seen.several else []),
        "currency",
        "plan",
        "billing",
        customer=rows.customer.fill_null(0),
        subscription_id=rows.subscription_id.fill_null(rows.customer_id),
        status=ibis.literal("active"),
        **dict.fromkeys(("term", "quantity", "list_minor", "paused", "spans", "last", "committed"), zero),
        **dict.fromkeys(("amount", "usage"), share),
        start_day=day,
        end_day=(rows["at"] == last).ifelse(NEVER, day).cast("int64"),
        **dict.fromkeys(("leaving", "bridge"), ibis.literal(False)),
        start_month=rows["at"],
        end_month=(rows["at"] == last).ifelse(ON, rows["at"] + 1).cast("int64"),
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
        return nameable(rows.mutate(group=rows[by]), "group", who="customer")
    if by in _STARTS:
        keys = ["lens", "customer"] if seen.several else ["customer"]
        starts = rows.group_by(keys).agg(first=_.start_day.min())
        groups = group_column(source, starts.mutate(start=date_of(starts.first)), by)
        return rows.inner_join(groups.select(*keys, group=_[by]), keys).select(*rows.columns, "group")
    groups = group_column(source, people(source), by).select("customer", group=_[by])
    rows = rows.left_join(groups, "customer").drop("customer_right")
    return rows.mutate(group=rows["group"].fill_null("unknown"))


def settled_spans(source: Tables, seen: Lenses, currency: str = "") -> ir.Table:
    """Return spans of time as a paying customer, as the policy settles pauses, unpaid and free time.

    This is the one place that says what is such time. A span past due has been paid where one of the same
    subscription follows within the grace, whatever its `end_reason` says. Free time that touches a customer's
    paid time before it is on hold, as is a trial after paid time of its own subscription: the lifetime goes
    on at what was paid then, all of it `paused`, if paid time follows, or none yet, and within
    ``policy.hold_days``; else it ended where paid time did.

    Of plans with terms shorter than a month, pauses and time on hold shorter than a month are `skipped`, as
    are the gaps that are bridged: through paid and skipped time alike the plan runs at its mean rate, price
    times paid / (paid + skipped) days, of all the time that the customer has had it.

    Returns:
        The columns of `ledger`, start_second and end_second, and paid, what a month costs, or did before a
        pause.
    """
    rows = _settled(source, seen, currency)
    if (found := free_spans(source, seen, currency)) is not None:
        held = settle(source, ("held", seen, currency), lambda: _held(found, seen))
        rows = ibis.union(rows, held.select(rows.columns))
    if "short" not in _rare(source):
        return rows
    return settle(source, ("skipped", seen, currency), lambda: _at_mean_rate(rows, seen))


def _at_mean_rate(rows: ir.Table, seen: Lenses) -> ir.Table:
    """Spread what is paid for plans with short terms over the time in which they were paid and skipped."""
    keys = [*(["lens"] if seen.several else []), "customer", "plan", "billing", "currency"]
    short = rows.filter(_.term.between(1, TERMS["month"] - 1))
    days = ibis.least(short.end_day, seen.rule(short, lambda lens: lens.cut_day)) - short.start_day
    earlier = ibis.window(group_by=keys, order_by=["start_second", "end_second"], preceding=(None, 1))
    gap = (short.start_day - short.end_day.max().over(earlier)).fill_null(0)
    left_out = (short.status == "skipped").ifelse(days, 0)
    short = short.mutate(
        paid_days=short.status.isin(["paused", "on_hold", "skipped"]).ifelse(0, days),
        skipped_days=left_out + gap.between(1, gap_days(short, seen)).ifelse(gap, 0),
    )
    sums = short.group_by(keys).agg(paid_days=_.paid_days.sum(), skipped_days=_.skipped_days.sum())
    sums = sums.filter((_.paid_days > 0) & (_.skipped_days > 0))
    found = rows.left_join(sums, keys)
    part, whole = found.paid_days.fill_null(1), (found.paid_days + found.skipped_days).fill_null(1)
    mean = {
        name: ((found[name] * part * 2 + whole) // (whole * 2)).cast("int64")
        for name in ("amount", "list_minor", "paid", "paused")
    }
    return found.mutate(**mean).select(rows.columns)


def known_spans(source: Tables, seen: Lenses, currency: str = "") -> ir.Table:
    """Return all spans before they are settled, and excluded: why one is no time as a paying customer."""
    return stage(source, ("known", seen, currency), lambda: _timed(source, seen, currency))


def _settled(source: Tables, seen: Lenses, currency: str) -> ir.Table:
    key = ("settled", seen, currency)
    return settle(source, key, lambda: _paid_time(source, seen, currency), share=not seen.several)


def _paid_time(source: Tables, seen: Lenses, currency: str) -> ir.Table:
    known = known_spans(source, seen, currency)
    counted = known.filter(_.excluded.isnull()).drop("excluded", "once").mutate(paid=_.amount)
    # Few subscriptions have anything but plain paid time; the others need no sorting.
    keys = [*(["lens"] if seen.several else []), "subscription_id"]
    held = counted.status.isin(_HELD)
    odd = counted.semi_join(counted.filter(held).select(keys).distinct(), keys)
    rows = ibis.union(counted.filter(~held), _capped(_runs(odd, seen), seen).select(counted.columns))
    out = (rows.status == "paused") & seen.rule(rows, lambda lens: lens.policy.pauses == "zero")
    return rows.mutate(
        last=rows.on.ifelse(0, rows.end_day * 10 + rows.rank).cast("int64"),
        paused=out.ifelse(rows.amount, 0).cast("int64"),
        usage=ibis.literal(0, "int64"),
        spans=ibis.literal(1, "int64"),
        bridge=ibis.literal(False),
    ).drop("on", "rank")


def _marked(rows: ir.Table, alone: ir.Table | None, key: str) -> ir.Table:
    """Rows with the column metered: whether their customer is one of `metered`."""
    if alone is None:
        return rows.mutate(metered=ibis.literal(False))
    found = rows.left_join(alone.select(key, metered=ibis.literal(True)), key).drop(f"{key}_right")
    return found.mutate(metered=_.metered.fill_null(False))


def _timed(source: Tables, seen: Lenses, currency: str) -> ir.Table:
    """Spans with beginning and end in seconds, days and months, what they pay, and whether they count."""
    s = complete(seen.seen(source["subscriptions"]))
    cut = seen.rule(s, lambda lens: lens.cut)
    tests = source["customers"].filter(_.is_test).select("customer_id", test=ibis.literal(True))
    s = s.left_join(tests, "customer_id").drop("customer_id_right")
    s = _marked(s, metered(source), "customer_id")
    paid = monthly(s, seen)
    # Who ends with the last day has left, and pays to the end of it (see `ledger`).
    on = (s.ended_at.isnull() | (s.ended_at > cut)).fill_null(True)
    trial = (s.status == "trialing") & seen.rule(s, lambda lens: lens.policy.trials == "zero")
    reasons = [
        (s.currency != currency if currency else ibis.literal(False), "another currency"),
        (s.started_at >= cut, "starts after the as-of date"),
        (s.test.fill_null(False), "test account"),
        (trial, "trial"),
        (s.billing_interval == "once", "paid once"),
        ((paid == 0) & ~(s.metered & seen.rule(s, lambda lens: lens.policy.usage != "apart")), "free"),
    ]
    switched = (s.end_reason == "switched").fill_null(False)
    s = s.mutate(
        on=on,
        switched=switched & ~on,
        amount=paid,
        list_minor=monthly(s, seen, discounted=False),
        excluded=ibis.cases(*reasons, else_=ibis.null("string")),
        billing=s.billing_interval_count.cast("string") + " " + s.billing_interval,
        term=term_days(s),
        leaving=(s.cancel_requested_at < cut).fill_null(False),
        rank=ibis.cases(
            (on | switched, 0),
            ((s.end_reason == "expired") | ~s.renews, EXPIRED),
            (s.end_reason == "voluntary", 2),
            (s.end_reason == "involuntary", 3),
            else_=1,
        ).cast("int64"),
    ).inner_join(people(source), "customer_id")
    s = _for_life(source, s, seen)
    if seen.any(lambda lens: lens.policy.cancel == "request"):
        until = s.on.ifelse(seen.rule(s, lambda lens: lens.cut), s.ended_at)
        # A customer who cancelled and then switched has stayed.
        gone = (s.cancel_requested_at < until).fill_null(False) & ~s.switched
        gone = gone & seen.rule(s, lambda lens: lens.policy.cancel == "request")
        s = s.mutate(
            ended_at=gone.ifelse(s.cancel_requested_at, s.ended_at),
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
        "amount",
        "list_minor",
        "rank",
        "leaving",
        "on",
        "excluded",
        once=ibis.greatest(s.unit_amount_minor * s.quantity - s.discount_minor, 0).cast("int64"),
        committed=s.renews.ifelse(day_index(s.commitment_ends_at).fill_null(0), -1).cast("int64"),
        start_second=second_index(s.started_at),
        end_second=s.on.ifelse(NEVER * _DAY, second_index(s.ended_at)).cast("int64"),
        start_day=day_index(s.started_at),
        end_day=s.on.ifelse(NEVER, day_index(s.ended_at)).cast("int64"),
        start_month=month_index(s.started_at),
        end_month=s.on.ifelse(ON, month_index(s.ended_at)).cast("int64"),
    )


def _for_life(source: Tables, s: ir.Table, seen: Lenses) -> ir.Table:
    """End spans by design where access paid once took their place, bought as they ran or within the gap."""
    if "once" not in _rare(source):
        return s
    paid = source["subscriptions"].filter(_.billing_interval == "once")
    s = s.left_join(paid.group_by("customer_id").agg(bought=_.started_at.max()), "customer_id")
    by = day_index(s.ended_at) + gap_days(s, seen)
    known = (s.bought < seen.rule(s, lambda lens: lens.cut)) & (s.bought >= s.started_at)
    moved = (~s.on & known & (day_index(s.bought) <= by)).fill_null(False)
    return s.mutate(rank=moved.ifelse(EXPIRED, s["rank"]).cast("int64")).drop("bought", "customer_id_right")


def second_index(moment: ir.TimestampValue) -> ir.IntegerValue:
    """Return whole seconds since 1970-01-01 of a timestamp column, as int64."""
    of_day = moment.hour().cast("int64") * 3600 + moment.minute().cast("int64") * 60
    return (day_index(moment) * _DAY + of_day + moment.second().cast("int64")).cast("int64")


def gap_days(rows: ir.Table, seen: Lenses) -> ir.IntegerValue:
    """The days within which a span that follows one of these continues it, by the length of their term."""
    short = seen.rule(rows, lambda lens: lens.policy.gap_days.month)
    year = seen.rule(rows, lambda lens: lens.policy.gap_days.year)
    return bridged_days(rows.term, short, year)


def _runs(spans: ir.Table, seen: Lenses) -> ir.Table:
    """Unpaid and paused spans with the first day and the length of their run, and what follows them.

    A run is what touches of one subscription in one status, so that no split of it matters. Repaid is the
    first day after a span on which its subscription is paid for.
    """
    subscription = [*(["lens"] if seen.several else []), "subscription_id"]
    order = ["start_second", spans.end_second, spans.amount, spans.plan]
    following = ibis.window(group_by=subscription, order_by=order, preceding=None, following=(1, None))
    paid = (spans.status == "past_due").ifelse(ibis.null("int64"), spans.start_day)
    rows = spans.mutate(
        repaid=paid.min().over(following),
        **{f"next_{unit}": spans[f"start_{unit}"].min().over(following) for unit in _UNITS},
    )
    keys = [*subscription, "status"]
    rows = runs(rows.filter(_.status.isin(_HELD)), keys, order, "start_day", "end_day")
    run = ibis.window(group_by=[*keys, "run"])
    rows = rows.mutate(
        run_start=_.start_day.min().over(run),
        run_end=_.end_day.max().over(run),
        run_last=(_.end_day * 10 + _.rank).max().over(run),
        # A plan chosen during a pause has never been paid for.
        before=(_.first == 1).ifelse(_.amount, ibis.null("int64")).max().over(run),
    )
    rows = rows.mutate(paid=(rows.status == "paused").ifelse(rows.before, rows.amount))
    cut = seen.rule(rows, lambda lens: lens.cut_day)
    return rows.mutate(lasted=ibis.least(rows.run_end, cut) - rows.run_start, run_rank=rows.run_last % 10)


def _capped(rows: ir.Table, seen: Lenses) -> ir.Table:
    """End runs past due where they went unpaid, and pauses that last too long."""
    grace = seen.rule(rows, lambda lens: limit_days(lens.policy.grace_days))
    pause = seen.rule(rows, lambda lens: limit_days(lens.policy.pause_days))
    from_paid = seen.rule(rows, lambda lens: lens.policy.unpaid == "paid")
    late = rows.status == "past_due"
    repaid = (late & ~rows.on & (rows.repaid - rows.run_start <= grace)).fill_null(False)
    unpaid = (rows.lasted > grace) | ((rows.run_rank > 0) & ~repaid & from_paid)
    rows = rows.mutate(
        over=ibis.cases((late, unpaid), (rows.status == "paused", rows.lasted > pause), else_=False),
        status=_skipped(rows, seen).ifelse("skipped", rows.status),
        cap=(rows.run_start + late.ifelse(ibis.ifelse(from_paid, 0, grace), pause)).cast("int64"),
        cap_rank=(late & (rows.run_rank != 2)).ifelse(3, 2).cast("int64"),
        rank=repaid.ifelse(0, rows.rank).cast("int64"),
        # Until it is paid again, it is past due.
        **{
            f"end_{unit}": repaid.ifelse(
                ibis.greatest(rows[f"end_{unit}"], rows[f"next_{unit}"]), rows[f"end_{unit}"]
            ).cast("int64")
            for unit in _UNITS
        },
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


def _skipped(rows: ir.Table, seen: Lenses) -> ir.BooleanValue:
    """Whether a pause, or time on hold, is a skip."""
    out = seen.rule(rows, lambda lens: lens.policy.pauses == "zero")
    return rows.status.isin(["paused", "on_hold"]) & (rows.term < TERMS["month"]) & (rows.lasted < SKIP) & out


def free_spans(source: Tables, seen: Lenses, currency: str = "") -> ir.Table | None:
    """Return free time and trials that go on where a customer's paid time ended; None: there are none.

    Returns:
        A row per span and gap in paid time that it fills: the columns of a span, run_start and run_end (of
        the free time that touches), whole_start (when the span itself began), amount and list_minor
        (what was paid a month before, and its list price), and next_second (when paid time follows).
    """
    longest = max(max(lens.policy.gap_days) for lens in seen.all)
    allowed = seen.any(lambda lens: limit_days(lens.policy.hold_days) > 0)
    if not (allowed and some(source, ("free", longest), lambda: {"free": _free_amid_paid(source, longest)})):
        return None
    return settle(source, ("free", seen, currency), lambda: _free(source, seen, currency))


def _free_amid_paid(source: Tables, gap: int) -> ir.Table:
    """Free time and trials in which paid time ends, or shortly before which it did."""
    s = source["subscriptions"]
    paid = (s.unit_amount_minor * s.quantity > s.discount_minor) & (s.status != "trialing")
    ends = s.filter(paid).select("customer_id", of="subscription_id", paid_until="ended_at")
    free = s.filter(~paid).inner_join(ends, "customer_id")
    free = free.filter((free.status != "trialing") | (free.of == free.subscription_id))
    free = free.filter(day_index(free.started_at) <= day_index(free.paid_until) + gap)
    return free.filter((free.ended_at.isnull() | (free.ended_at > free.paid_until)).fill_null(True))


def _free(source: Tables, seen: Lenses, currency: str) -> ir.Table:
    rows = _settled(source, seen, currency)
    known = known_spans(source, seen, currency)
    lens = ["lens"] if seen.several else []
    keys = [*lens, "customer", "whose"]

    def judged(part: ir.Table) -> ir.Table:
        """Spans with whose spells they are part of, and until when a later one continues them."""
        own = seen.rule(part, _by_subscription)
        return part.mutate(
            whose=ibis.ifelse(own, part.subscription_id, ""), reach=part.end_day + gap_days(part, seen)
        )

    paid = judged(rows.filter(_.end_second > _.start_second))
    idle = judged(known.filter(_.excluded.isin(IDLE)))
    # A trial of another subscription is a new beginning; most come before anything is paid.
    again = idle.filter(_.excluded == "trial").semi_join(paid, [*lens, "subscription_id"])
    idle = ibis.union(idle.filter(_.excluded == "free"), again)
    since = paid.group_by(keys).agg(since=_.start_second.min())
    idle = idle.inner_join(since, keys).filter(_.end_second > _.since).drop("since")
    paid = paid.semi_join(idle, keys)
    order = ["start_second", paid.end_second, paid.amount, paid.plan, paid.subscription_id]
    paid = runs(paid, keys, order, "start_day", "reach")
    run = ibis.window(group_by=[*keys, "run"])
    paid = paid.mutate(**{f"until_{unit}": paid[f"end_{unit}"].max().over(run) for unit in _UNITS})
    stays = paid.group_by(*keys, stay=_.run).agg(
        **{f"began_{unit}": _[f"start_{unit}"].min() for unit in _UNITS},
        **{f"until_{unit}": _[f"until_{unit}"].max() for unit in _UNITS},
        until_reach=_.reach.max(),
        **{name: _[name].sum(where=_.end_second == _.until_second) for name in ("amount", "list_minor")},
    )
    after = ibis.window(group_by=keys, order_by="began_second")
    never = {"second": NEVER * _DAY, "day": NEVER, "month": ON}
    stays = stays.mutate(
        **{
            f"next_{unit}": stays[f"began_{unit}"].lead().over(after).fill_null(never[unit])
            for unit in _UNITS
        }
    )
    free = idle.drop("amount", "list_minor").inner_join(stays, keys)
    free = free.filter((_.end_second > _.until_second) & (_.start_second < _.next_second))
    free = free.mutate(
        whole_start=_.start_second,
        on=_.on & (_.next_second == NEVER * _DAY),
        **{f"start_{unit}": ibis.greatest(free[f"start_{unit}"], free[f"until_{unit}"]) for unit in _UNITS},
        **{f"end_{unit}": ibis.least(free[f"end_{unit}"], free[f"next_{unit}"]) for unit in _UNITS},
    )
    free = free.mutate(reach=free.end_day + gap_days(free, seen))
    order = [_.start_second, _.subscription_id, _.plan, _.end_second]
    free = runs(free, [*keys, "stay"], order, "start_day", "reach").filter(_.run == 1)
    run = ibis.window(group_by=[*keys, "stay"])
    free = free.mutate(run_start=_.start_day.min().over(run), run_end=_.end_second.max().over(run))
    return free.filter(_.run_start <= _.until_reach)


def _held(free: ir.Table, seen: Lenses) -> ir.Table:
    """Free time as spans on hold, one for each gap in a customer's paid time that it fills."""
    keys = [*(["lens"] if seen.several else []), "customer", "whose", "stay"]
    carry = ("subscription_id", "plan", "billing", "currency", "term", "quantity")
    rows = free.group_by(keys).agg(
        **{f"start_{unit}": _[f"start_{unit}"].min() for unit in _UNITS},
        **{f"end_{unit}": _[f"end_{unit}"].max() for unit in _UNITS},
        reach=_.reach.max(),
        last=(_.end_day * 10 + _.rank).max(),
        on=_.on.any(),
        **{name: _[name].max() for name in ("amount", "list_minor", "next_day")},
        **{name: _[name].max(where=_.first == 1) for name in carry},
    )
    rows = rows.mutate(back=(_.next_day < NEVER) & (_.next_day <= _.reach))
    if seen.several:  # one of the policies may know of no holding
        allowed = seen.rule(rows, lambda lens: limit_days(lens.policy.hold_days))
        rows = rows.filter(ibis.literal(0, "int64") + allowed > 0)
    cut = seen.rule(rows, lambda lens: lens.cut_day)
    rows = rows.mutate(lasted=ibis.least(rows.end_day, cut) - rows.start_day, status=ibis.literal("on_hold"))
    hold = seen.rule(rows, lambda lens: limit_days(lens.policy.hold_days))
    stays = (rows.on | rows.back | (rows.last % 10 == 0)) & (rows.lasted <= hold)
    rank = rows.back.ifelse(0, rows.last % 10)
    rows = rows.mutate(
        on=rows.on & stays,
        **{f"end_{unit}": stays.ifelse(rows[f"end_{unit}"], rows[f"start_{unit}"]) for unit in _UNITS},
        rank=stays.ifelse(rank, ibis.greatest(rank, 1)),
    )
    zero = ibis.literal(0, "int64")
    skipped = _skipped(rows, seen)
    return rows.mutate(
        status=skipped.ifelse("skipped", rows.status),
        leaving=ibis.literal(False),
        bridge=ibis.literal(False),
        usage=zero,
        committed=zero,
        spans=zero + 1,
        paused=skipped.ifelse(0, rows.amount),
        last=rows.on.ifelse(0, rows.end_day * 10 + rows.rank),
        paid=rows.amount.cast("int64"),
        **{name: rows[name].cast("int64") for name in ("amount", "list_minor")},
    )


def _bridges(rows: ir.Table, seen: Lenses, every: Every) -> ir.Table:
    """The stretches over a month's end, or a week's, between a span that ended and one begun within the gap.

    A span that is followed on the same day needs none. Only what lies near such an end is looked at. A span
    that goes on where one of the same subscription ended is no beginning, however its spans are split.
    """
    keys = ["lens"] if seen.several else []
    whose = [*keys, "customer"]
    alive = rows.filter(_.end_second > _.start_second)
    alive = alive.mutate(gap=gap_days(alive, seen))
    # Who gave no reason for an end, and no notice, may still go on within the gap: it is no end until then.
    cut = seen.rule(alive, lambda lens: lens.cut_day)
    waits = (alive.last % 10 <= 1) & (alive.last > 0) & ~alive.leaving
    # What ends with the last moment is on at it anyway (see `ledger`).
    waiting = alive.filter(waits & (alive.end_day < cut) & (alive.end_day + alive.gap >= cut))
    # What went unpaid from its first day on has no length, and may begin at any time of that day.
    begun = rows.semi_join(waiting.select(whose).distinct(), whose).select(
        *(_[key].name(f"next_{key}") for key in whose),
        next_second=(_.end_second > _.start_second).ifelse(_.start_second, (_.start_day + 1) * _DAY - 1),
    )
    same = [waiting[key] == begun[f"next_{key}"] for key in whose]
    waiting = waiting.anti_join(begun, [*same, begun.next_second >= waiting.end_second])
    enders = alive.filter(_.end_month < ON)
    enders = enders.filter(_.end_day + _.gap >= first_day(every, enders, "end", 1))
    starters = alive.select(
        *(_[key].name(f"next_{key}") for key in (*whose, "subscription_id")),
        next_day="start_day",
        next_second="start_second",
    )
    # Whose spells a policy judges: a customer's, or a subscription's.
    own = enders.subscription_id == starters.next_subscription_id
    pairs = enders.inner_join(
        starters,
        [
            *(enders[key] == starters[f"next_{key}"] for key in whose),
            own | seen.rule(enders, lambda lens: not _by_subscription(lens)),
            enders.end_second <= starters.next_second,
            starters.next_day - enders.end_day <= enders.gap,
        ],
    )
    # Few are left; it is no gap where the subscription that ended goes on, or the one that begins went on.
    goes_on = alive.select(*keys, "subscription_id", end_second="start_second")
    went_on = alive.select(*keys, next_subscription_id="subscription_id", next_second="end_second")
    pairs = pairs.anti_join(goes_on, [*keys, "subscription_id", "end_second"])
    pairs = pairs.anti_join(went_on, [*keys, "next_subscription_id", "next_second"])
    found = pairs.group_by(rows.columns).agg(next_day=_.next_day.min())
    found = found.mutate(next_month=civil(found.next_day).month)
    found = found.filter(first_day(every, found, "next") > first_day(every, found, "end"))
    never = {"next_day": NEVER, "next_month": ON}
    waiting = waiting.mutate(**{name: ibis.literal(value, "int64") for name, value in never.items()})
    found = ibis.union(found, waiting.select(found.columns))
    return found.mutate(
        start_month=_.end_month,
        end_month=_.next_month.cast("int64"),
        start_day=_.end_day,
        end_day=_.next_day,
        last=ibis.literal(0, "int64"),
        bridge=ibis.literal(True),
    )
