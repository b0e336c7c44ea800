"""How long customers stay and what they pay, reduced from spans of subscriptions.

What many measures take is said in `tenure.measures`; `by` and covariates may be any column that
`group_column` knows.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Literal

import ibis
from ibis import _, ir

from tenure.measures.calendar import (
    Day,
    Period,
    begun_periods,
    completed_periods,
    date_of,
    day_index,
    day_of,
    days_in_month,
    end_of,
    month_start,
    numbered,
    numbers_of,
)
from tenure.measures.groups import EXEMPT, OF_SPELLS, group_column, grouped, groupings
from tenure.measures.ledger import (
    NEVER,
    REASONS,
    free_spans,
    gap_days,
    intervals,
    known_spans,
    settled_spans,
    with_usage,
)
from tenure.measures.spans import (
    TERMS,
    Tables,
    complete,
    lenses,
    people,
    real,
    runs,
    settle,
    stacked,
    term_days,
)
from tenure.policy import MetricPolicy
from tenure.privacy import OTHER, too_few

CAUSES = ("voluntary", "involuntary", "unknown")
_SOLD_LATELY = 60  # days within which a plan that is still sold is begun or renewed by somebody
UNDECIDED = ("expired", "pending")  # ends that nobody chose, or that are not known to be one


def exclusions(
    source: Tables,
    *,
    as_of: dt.date,
    currency: str = "",
    policy: MetricPolicy = MetricPolicy(),
) -> ir.Table:
    """Count the spans that no measure of paying customers uses, with the reason.

    Returns:
        A row per reason and currency: reason, currency, spans, customers, and monthly_minor, what the
        spans would pay a month at their price, in minor units.
    """
    seen = lenses(as_of, policy)
    left_out = known_spans(source, seen, currency).filter(_.excluded.notnull())
    if (free := free_spans(source, seen, currency)) is not None:
        held = free.select("subscription_id", start_second="whole_start", held=ibis.literal(True)).distinct()
        left_out = left_out.left_join(held, ["subscription_id", "start_second"])
        left_out = left_out.mutate(excluded=_.held.fill_null(False).ifelse("free for a while", _.excluded))
    return (
        left_out.group_by(reason=_.excluded, currency=_.currency)
        .agg(
            spans=_.count().cast("int64"),
            customers=_.customer.nunique().cast("int64"),
            monthly_minor=_.amount.sum().cast("int64"),
        )
        .order_by("reason", "currency")
    )


def spells(
    source: Tables,
    *,
    as_of: dt.date,
    currency: str = "",
    policy: MetricPolicy = MetricPolicy(),
) -> ir.Table:
    """Return each customer's uninterrupted spells as a paying subscriber.

    Spans of all of a customer's subscriptions are joined into one spell, bridging gaps of up to
    ``policy.gap_days``. Trials, free and test subscriptions do not count. A pause counts until it has
    outlasted ``policy.pause_days``; time past due counts for ``policy.grace_days`` if it is then paid,
    and otherwise the spell ended involuntarily when it began. A span that ends after the end of `as_of` is
    still on; one that ends with it has ended, though its customer was paying at that moment.

    Returns:
        A row per spell: customer_id, spell (1 for the first), start and end (dates; the end is exclusive,
        and null while still on), cause (voluntary, involuntary, unknown, expired for an end by design, or
        pending while it may still go on within the gap; null while still on), what it began with (plan,
        currency, and billing such as "1 month"), bridged, the days of its gaps where `policy` sets them, and
        reach, the index of the last day on which it could have gone on.
    """
    key = ("spells", as_of, currency, policy)
    return settle(source, key, lambda: _spells(source, as_of, currency, policy), share=True)


def _spells(source: Tables, as_of: dt.date, currency: str, policy: MetricPolicy) -> ir.Table:
    seen = lenses(as_of, policy)
    rows = settled_spans(source, seen, currency)
    rows = rows.mutate(reach=rows.end_day + gap_days(rows, seen))
    rows = rows.mutate(waits=rows.leaving.ifelse(0, rows.reach))
    # A customer with one span needs no joining up, and so no sorting: half the cost of this measure.
    several = settle(
        source,
        ("several", as_of, currency, policy),
        lambda: rows.group_by("customer").agg(n=_.count()).filter(_.n > 1),
    )
    order = [rows.start_day, ibis.desc("amount"), rows.subscription_id, rows.end_day, rows.plan]
    found = runs(rows.semi_join(several, "customer"), ["customer"], order, "start_day", "reach")
    carry = ("plan", "currency", "billing")
    gap, zero = ibis.literal(0, "int64"), ibis.literal(0, "int64")
    if policy.gap_days != MetricPolicy().gap_days:
        earlier = ibis.window(group_by=["customer", "run"], order_by=order, preceding=(None, 1))
        gap = ibis.greatest(found.start_day - found.end_day.max().over(earlier).fill_null(NEVER), 0)
    found = found.mutate(gap=gap)
    joined = found.group_by("customer", "run").agg(
        start_day=_.start_day.min(),
        end_day=_.end_day.max(),
        last=_.last.max(),  # of the spans that end last, the gravest reason
        on=(_.last == 0).any(),
        waits=_.waits.max(),
        reach=_.reach.max(),
        bridged=_.gap.sum().cast("int64"),
        **{name: _[name].max(where=_.first == 1) for name in carry},
    )
    alone = rows.anti_join(several, "customer").mutate(run=zero + 1, on=_.last == 0, bridged=zero)
    columns = ["customer", *carry, "run", "start_day", "end_day", "last", "on", "waits", "bridged", "reach"]
    stays = ibis.union(alone.select(columns), joined.select(columns)).inner_join(people(source), "customer")
    return stays.select(
        "customer_id",
        *carry,
        "bridged",
        "reach",
        start=date_of(stays.start_day),
        end=stays.on.ifelse(ibis.null("date"), date_of(stays.end_day)),
        spell=stays.run,
        cause=ibis.cases(
            (stays.on, ibis.null("string")),
            # Without reason or notice it may yet go on within the gap; a snapshot knows who has left.
            *(
                [((stays.last % 10 <= 1) & (stays.waits >= day_of(as_of).index + 1), "pending")]
                if getattr(source, "dated", True)
                else []
            ),
            *((stays.last % 10 == rank, cause) for rank, cause in REASONS.items()),
            else_="unknown",
        ),
    )


def still(stays: ir.Table) -> ir.BooleanValue:
    """Whether spells are still on, as the ledger has it: those too that may yet go on within the gap."""
    return stays.cause.fill_null("pending") == "pending"


def duration_counts(
    source: Tables,
    covariates: Sequence[str] = (),
    *,
    as_of: dt.date,
    period: Period = "month",
    start_from: dt.date | None = None,
    start_to: dt.date | None = None,
    currency: str = "",
    observed_from: dt.date | None = None,
    policy: MetricPolicy = MetricPolicy(),
    spell: int = 1,
) -> ir.Table:
    """Count first spells by how long they lasted, how they ended, and any characteristics.

    A spell counts from its first day; leaving in period k means it lasted more than k - 1 and at most k
    periods. Only periods that had wholly passed by `as_of` are used, for churned and remaining customers
    alike, so that young customers do not look loyal.

    Args:
        covariates: Columns to count by; see `group_column` for the names.
        spell: Which spells to count instead: 2 for those of customers who came back.

    Returns:
        A row per combination: the covariates (null becomes "unknown"), entry and exit (periods completed
        when observation began, and the period left in or last completed), event (1 left, 0 still on),
        cause (null while still on), and n, the number of customers.

    Raises:
        InputError: A covariate is not available.
    """
    scope = (as_of, period, start_from, start_to, currency, observed_from, policy, spell)
    followed = first_spells(source, None, *scope)
    followed = group_column(source, followed.drop("group"), *covariates)
    return followed.group_by(*covariates, "entry", "exit", "event", "cause").agg(n=_.count().cast("int64"))


def life_table(
    source: Tables,
    *,
    by: str | None = None,
    as_of: dt.date,
    period: Period = "month",
    start_from: dt.date | None = None,
    start_to: dt.date | None = None,
    currency: str = "",
    observed_from: dt.date | None = None,
    min_group: int = 1,
    max_groups: int = 12,
    policy: MetricPolicy = MetricPolicy(),
    spell: int = 1,
) -> ir.Table:
    """Count, for each period of life, who was at risk of leaving and who left.

    Args:
        spell: As for `duration_counts`.

    Returns:
        A row per group and period in which anything happened: group, period, at_risk, events,
        voluntary, involuntary, unknown, censored (last seen after completing the period, still on) and
        entered (observed only from when they had completed the period). ``at_risk`` of period k is the
        number with exit >= k less the number with entry >= k.
    """
    scope = (as_of, period, start_from, start_to, currency, observed_from, policy, spell)
    rows = first_spells(source, by, *scope)
    counts = rows.group_by("group", "entry", "exit", "event", "cause").agg(n=_.count().cast("int64"))
    counts = _fold(counts, by, min_group, max_groups) if by else counts
    return tabulated(counts)


def tabulated(counts: ir.Table, causes: Sequence[str] = CAUSES) -> ir.Table:
    """Return the life table of counts by group, entry, exit, event and cause; see `life_table`."""
    zero = ibis.literal(0, "int64")
    exits = counts.group_by("group", period=_.exit).agg(
        **{cause: _.n.sum(where=_.cause == cause).fill_null(0).cast("int64") for cause in causes},
        censored=_.n.sum(where=_.event == 0).fill_null(0).cast("int64"),
        entered=zero,
    )
    entries = (
        counts.filter(_.entry > 0)
        .group_by("group", period=_.entry)
        .agg(**dict.fromkeys((*causes, "censored"), zero), entered=_.n.sum().cast("int64"))
    )
    table = (
        ibis.union(exits, entries)
        .group_by("group", "period")
        .agg(**{name: _[name].sum().cast("int64") for name in (*causes, "censored", "entered")})
    )
    table = table.mutate(events=sum((table[cause] for cause in causes[1:]), table[causes[0]]).cast("int64"))
    later = ibis.window(group_by="group", order_by=ibis.desc("period"), preceding=None, following=0)
    change = table.events + table.censored - table.entered
    return (
        table.mutate(at_risk=change.sum().over(later).cast("int64"))
        .select("group", "period", "at_risk", "events", *causes, "censored", "entered")
        .order_by("group", "period")
    )


def churned_value(
    source: Tables,
    *,
    by: str | None = None,
    as_of: dt.date,
    period: Period = "month",
    start_from: dt.date | None = None,
    start_to: dt.date | None = None,
    currency: str = "",
    observed_from: dt.date | None = None,
    min_group: int = 1,
    max_groups: int = 12,
    policy: MetricPolicy = MetricPolicy(),
) -> ir.Table:
    """Count the churned customers of `life_table`, with what they paid per month when they left.

    What they paid is the sum of their subscriptions that ran on the last day of the spell, at their own
    price; of who paused for too long it is the price before the pause, and of who did not pay any more the
    last price that was paid.

    Nothing can keep those whose plan ended for all who had it, five or more: nobody has it any more, and they
    lost it within its last 31 days, or for 60 days nobody has begun or renewed it, and they lost it after
    that. Nor those who moved to a free plan and have it still, or longer than
    ``policy.hold_days``, nor, it seems, those of a plan of which every customer had one term alone, and
    gave no reason for its end: no action reaches them.

    Returns:
        A row per group, period of life, cause (voluntary, involuntary or unknown), currency and fate (empty,
        "plan ended", "free plan" or "one term"): these, customers (churned; each in one currency, the first
        by name, so that they add up to the events of `life_table`), monthly_minor (what they paid a month, in
        minor units) and squares (the sum of the squares of what each paid).
    """
    scope = (as_of, period, start_from, start_to, currency, observed_from, policy)
    followed = first_spells(source, by, *scope)
    if by:
        followed = _fold(followed.mutate(n=ibis.literal(1, "int64")), by, min_group, max_groups)
    gone = followed.filter(_.event == 1).select("customer_id", "group", "cause", "end_day", period="exit")
    each = ended_prices(source, gone, as_of=as_of, currency=currency, policy=policy)
    each = _with_fate(source, each, as_of, policy)
    each = each.mutate(lead=each.currency == each.currency.min().over(group_by="customer_id"))
    return (
        each.group_by("group", "period", "cause", "currency", "fate")
        .agg(
            customers=_.lead.sum().cast("int64"),
            monthly_minor=_.monthly_minor.sum().cast("int64"),
            squares=(_.monthly_minor.cast("float64") ** 2).sum(),
        )
        .order_by("group", "period", "cause", "currency", "fate")
    )


def ended_prices(
    source: Tables,
    gone: ir.Table,
    *,
    as_of: dt.date,
    currency: str = "",
    policy: MetricPolicy = MetricPolicy(),
) -> ir.Table:
    """Add what customers paid per month when a spell ended, by currency, to rows of customer_id and end_day.

    Adds currency, plan (of the subscriptions that ended) and monthly_minor, as `churned_value` explains.
    """
    rows = settled_spans(source, lenses(as_of, policy), currency)
    rows = rows.inner_join(people(source), "customer")
    rows = rows.select("customer_id", "plan", "currency", "start_day", "end_day", monthly_minor="paid")
    whose = ibis.window(group_by=["customer_id", "end_day"])
    # A span of no whole day is no price that was paid, unless the customer has had no other.
    last = gone.inner_join(rows, ["customer_id", "end_day"])
    last = last.mutate(whole=(last.start_day < last.end_day).ifelse(1, 0))
    last = last.mutate(real=last.whole.max().over(whose)).filter(_.whole == _.real)
    each = last.group_by(*gone.columns, "currency").agg(
        paid=_.monthly_minor.sum(where=_.whole == 1),
        most=_.monthly_minor.max(),
        plan=_.plan.max(),
    )
    each = with_usage(source, each.mutate(monthly_minor=_.paid.fill_null(_.most)), as_of)
    return each.drop("paid", "most")


def _with_fate(source: Tables, gone: ir.Table, as_of: dt.date, policy: MetricPolicy) -> ir.Table:
    """Add why nothing could have kept a churned customer; empty where something might."""
    spans = complete(real(source, source["subscriptions"].filter(_.started_at < end_of(as_of))))
    on = (spans.ended_at.isnull() | (spans.ended_at >= end_of(as_of))).fill_null(True)
    spans = spans.mutate(to_day=on.ifelse(NEVER, day_index(spans.ended_at)).cast("int64"))
    # The last day on which a term of a span began, by the mean length of months.
    today, start, agreed = (
        day_of(as_of).index,
        day_index(spans.started_at),
        day_index(spans.commitment_ends_at),
    )
    days = {unit: days if days < 30 else days * 365.25 / 360 for unit, days in TERMS.items()}
    length = ibis.cases(*((spans.billing_interval == unit, n) for unit, n in days.items()), else_=1e6)
    length = length * spans.billing_interval_count
    until = ibis.least(spans.to_day, today + 1)
    term = start + ((until - 1 - start) / length).floor() * length
    agreed = (agreed < until).ifelse(agreed, start)
    spans = spans.mutate(term=spans.commitment_ends_at.isnull().ifelse(term, agreed))
    lasts = spans.group_by("plan").agg(plan_end=_.to_day.max(), last_term=_.term.max())
    lasts = lasts.filter((_.plan_end < NEVER) | (_.last_term < today - _SOLD_LATELY))
    free = spans.filter((spans.unit_amount_minor == 0) & (spans.status == "active"))
    free = free.select("customer_id", "to_day", from_day=day_index(free.started_at))
    moved = gone.select("customer_id", "end_day").distinct().inner_join(free, "customer_id")
    outlasts = _.to_day > _.end_day + (policy.hold_days or 0)
    moved = moved.filter((_.from_day <= _.end_day + 1) & outlasts)
    moved = moved.select("customer_id", moved=ibis.literal(True)).distinct()
    found = gone.left_join(lasts, "plan").drop("plan_right")
    late = (found.end_day > found.plan_end - 31) | (
        (found.end_day > found.last_term) & (found.last_term < today - _SOLD_LATELY)
    )
    found = found.mutate(late=late.fill_null(False).ifelse(1, 0))
    found = found.left_join(moved, "customer_id").drop("customer_id_right")
    found = found.left_join(_one_term(spans, day_of(as_of).index + 1), "plan").drop("plan_right")
    together = found.late.sum().over(group_by="plan")
    return found.mutate(
        fate=ibis.cases(
            (found.moved.fill_null(False), "free plan"),
            ((found.late == 1) & (together >= 5), "plan ended"),
            (found.one_term.fill_null(False), "one term"),
            else_="",
        )
    )


def _one_term(spans: ir.Table, cut: int) -> ir.Table:
    """Plans that seem to end by design: twenty or more ended with their only term, none otherwise."""
    known = spans.end_reason.isin(["voluntary", "involuntary"]).fill_null(False)
    rows = spans.mutate(from_day=day_index(spans.started_at), known=known.ifelse(1, 0))
    each = rows.mutate(term=term_days(spans), gone=(_.to_day < NEVER).ifelse(1, 0))
    each = each.group_by("plan", "customer_id").agg(
        n=_.count(), term=_.term.min(), from_day=_.from_day.min(), to_day=_.to_day.max(), known=_.known.sum(),
        gone=_.gone.min(),
    )  # fmt: skip
    years = (ibis.least(_.to_day, cut) - _.from_day) * TERMS["year"] / _.term
    each = each.filter(_.term > 0).mutate(odd=((years > 375) | ((_.gone == 1) & (years < 350))).ifelse(1, 0))
    plans = each.group_by("plan").agg(
        n=_.n.max(), gone=_.gone.sum(), odd=(_.odd + _.known).sum(), term=_.term.min()
    )
    plans = plans.filter((_.n == 1) & (_.gone >= 20) & (_.odd == 0) & (_.term > TERMS["month"]))
    return plans.select("plan", one_term=ibis.literal(True))


def retention_triangle(
    source: Tables,
    *,
    as_of: dt.date,
    cohort: Literal["month", "quarter", "year"] = "month",
    period: Period = "month",
    start_from: dt.date | None = None,
    start_to: dt.date | None = None,
    currency: str = "",
    observed_from: dt.date | None = None,
    policy: MetricPolicy = MetricPolicy(),
) -> ir.Table:
    """Count how many of each cohort stayed longer than k periods, for mature cells only.

    A cell is mature when even the customers who began on the cohort's last day had completed k periods
    by `as_of`. An immature cell is absent, never 0.

    Args:
        cohort: First spells are grouped by the month, quarter or year in which they began.
        observed_from: The first day on which churn was recorded: who had started before is left out, since
            those of them who had churned by then are not in the data. None: always.

    Returns:
        A row per mature cell: cohort (the index of its first month, counted from January of year 0),
        period (0 is the start), size (customers who began, less those whose term ended by design or
        may still go on within the gap) and stayed (those still there after the period).
    """
    stays = spells(source, as_of=as_of, currency=currency, policy=policy).filter(_.spell == 1)
    stays = _started_within(stays, max(filter(None, (start_from, observed_from)), default=None), start_to)
    months = {"month": 1, "quarter": 3, "year": 12}[cohort]
    stays = numbered(stays, "start", "end")
    start, end = numbers_of(stays, "start"), numbers_of(stays, "end")
    lasted = ibis.greatest(begun_periods(start, end, period), 1)
    counts = (
        stays.mutate(
            cohort=((start.month // months) * months).cast("int64"),
            lasted=stays.cause.isnull().ifelse(NEVER, lasted).cast("int64"),
            ended=stays.cause.isin(UNDECIDED).fill_null(False),
        )
        .group_by("cohort", "lasted", "ended")
        .agg(n=_.count().cast("int64"))
    )
    next_month = counts.cohort + months
    youngest = Day(
        index=month_start(next_month) - 1,
        month=next_month - 1,
        day_of_month=days_in_month(next_month - 1),
    )
    ripe = completed_periods(youngest, day_of(as_of + dt.timedelta(days=1)), period)
    cells = counts.mutate(ripe=ripe).filter(_.ripe >= 0)
    cells = cells.mutate(period=ibis.range(cells.ripe + 1).unnest())
    return (
        cells.group_by("cohort", period=_.period.cast("int64"))
        .agg(
            size=_.n.sum(where=~(_.ended & (_.lasted <= _.period))).fill_null(0).cast("int64"),
            stayed=_.n.sum(where=_.lasted > _.period).fill_null(0).cast("int64"),
        )
        .order_by("cohort", "period")
    )


def active_value(
    source: Tables,
    *,
    by: str | None = None,
    as_of: dt.date,
    currency: str = "",
    policy: MetricPolicy = MetricPolicy(),
    on: Sequence[dt.date] = (),
) -> ir.Table:
    """Count paying customers at the end of a day and what they pay a month.

    Returns:
        A row per group and currency: group, currency, customers, and monthly_minor, their recurring
        revenue a month in minor units. Paused subscriptions pay nothing.
    """
    seen = lenses(as_of, policy, on)
    rows = intervals(source, seen, by=by, currency=currency)
    paid = rows.filter((_.end_day == NEVER) & (_.amount > _.paused))
    sums = paid.group_by(group=paid["group"], currency=paid.currency, **seen.of(paid.customer)).agg(
        customers=_.customer.nunique().cast("int64"), monthly_minor=(_.amount - _.paused).sum().cast("int64")
    )
    return seen.told(sums, "group", "currency")


def new_customers(
    source: Tables,
    *,
    since: dt.date,
    as_of: dt.date,
    currency: str = "",
    policy: MetricPolicy = MetricPolicy(),
) -> ir.Table:
    """Count customers whose first spell began within some days.

    Returns:
        One row: customers.
    """
    stays = spells(source, as_of=as_of, currency=currency, policy=policy).filter(_.spell == 1)
    return _started_within(stays, since, None).aggregate(customers=_.count().cast("int64"))


def currencies(source: Tables) -> ir.Table:
    """Count spans, or payments where there are none, by currency, the most common first.

    Returns:
        A row per currency: currency, spans, customers (with any of them).
    """
    table = "payments" if "payments" in source and "subscriptions" not in source else "subscriptions"
    rows = source[table].group_by("currency")
    counts = rows.agg(spans=_.count().cast("int64"), customers=_.customer_id.nunique().cast("int64"))
    return counts.order_by(ibis.desc("spans"), "currency")


def characteristics(source: Tables, *, most_levels: int = 12) -> ir.Table:
    """List the columns that have a few levels, so that customers can be compared by them.

    Args:
        most_levels: Columns with more levels than this are left out.

    Returns:
        A row per column with two levels or more: name, levels; the plan first, then as in the table.
    """
    columns = source["customers"].columns
    names = [name for name in groupings(source) if name in columns and name not in OF_SPELLS]
    places = [source["subscriptions"].aggregate(levels=_.plan.nunique()).mutate(name=ibis.literal("plan"))]
    places += [
        source["customers"].aggregate(levels=_[n].nunique()).mutate(name=ibis.literal(n)) for n in names
    ]
    table = stacked([place.mutate(place=ibis.literal(i, "int64")) for i, place in enumerate(places)])
    return table.filter(_.levels.between(2, most_levels)).order_by("place").select("name", "levels")


def first_spells(
    source: Tables,
    by: str | None,
    as_of: dt.date,
    period: Period,
    start_from: dt.date | None,
    start_to: dt.date | None,
    currency: str,
    observed_from: dt.date | None,
    policy: MetricPolicy,
    spell: int = 1,
) -> ir.Table:
    """Each customer's first spell, or a later one, in whole periods, with its group."""
    stays = spells(source, as_of=as_of, currency=currency, policy=policy).filter(_.spell == spell)
    stays = _started_within(stays, start_from, start_to)
    observed = _with_periods(stays, as_of, period, observed_from).rename(end_day="end_index")
    # No other columns, so that those of customers may have any other name.
    observed = observed.select(
        "customer_id", "plan", "currency", "billing", "start", "entry", "exit", "event", "cause", "end_day"
    )
    observed = observed.filter(_.exit > _.entry)  # the others were never at risk in a whole period
    return grouped(source, observed, by)


def _started_within(stays: ir.Table, start_from: dt.date | None, start_to: dt.date | None) -> ir.Table:
    if start_from:
        stays = stays.filter(_.start >= ibis.literal(start_from))
    if start_to:
        stays = stays.filter(_.start < ibis.literal(start_to))
    return stays


def _fold(counts: ir.Table, by: str, min_group: int, max_groups: int) -> ir.Table:
    """Name groups *other* that are smaller than `min_group` or not among the `max_groups` largest."""
    sizes = counts.group_by("group").agg(size=_.n.sum())
    by_size = ibis.window(order_by=[ibis.desc("size"), sizes["group"]])
    rest = sizes.mutate(place=ibis.row_number().over(by_size)).filter(_.place >= max_groups)
    small = (sizes.filter(_.size < min_group) if by in EXEMPT else too_few(sizes, min_group)).select("group")
    small = small.union(rest.select("group"))
    return counts.mutate(group=counts["group"].isin(small["group"]).ifelse(OTHER, counts["group"]))


def _with_periods(stays: ir.Table, as_of: dt.date, period: Period, observed_from: dt.date | None) -> ir.Table:
    """Spells with entry, exit, event and cause in whole periods."""
    cut = day_of(as_of + dt.timedelta(days=1))
    table = numbered(stays, "start", "end")
    start, end = numbers_of(table, "start"), numbers_of(table, "end")
    table = table.mutate(
        ripe=completed_periods(start, cut, period),
        lasted=ibis.greatest(begun_periods(start, end, period), 1),
        entry=_entry(start, observed_from, period),
    )
    return outcome(table)


def outcome(stays: ir.Table) -> ir.Table:
    """Say how the observation of spells ended that lasted `lasted` periods, of which `ripe` are over.

    Adds exit (the period left in, or last completed), event (1 left, 0 still on) and cause, null if still on.
    A spell that ended by design is observed until then: nobody could leave, or stay, at its end; one that may
    still go on within the gap, too, since its end is not known yet.
    """
    ended = stays.cause.isin(UNDECIDED).fill_null(False)
    stays = stays.mutate(
        left=(_.cause.notnull() & ~ended & (_.lasted <= _.ripe)).fill_null(False),
        ripe=ended.ifelse(ibis.least(stays.ripe, stays.lasted - 1), stays.ripe).cast("int64"),
    )
    return stays.mutate(
        exit=_.left.ifelse(_.lasted, _.ripe),
        event=_.left.ifelse(1, 0).cast("int64"),
        cause=_.left.ifelse(_.cause, ibis.null("string")),
    )


def _entry(start: Day, observed_from: dt.date | None, period: Period) -> ir.IntegerValue:
    if observed_from is None:
        return ibis.literal(0, "int64")
    first = day_of(observed_from)
    return (start.index < first.index).ifelse(begun_periods(start, first, period), 0).cast("int64")
