"""How long customers stay and what they pay, reduced from spans of subscriptions.

Each function takes contract tables (a `Source`, or any mapping of names to Ibis tables) and returns one
Ibis expression. A day ``as_of`` means: the data is complete through the end of that day.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Literal

import ibis
from ibis import _, ir

from tenure.errors import InputError, NotApplicable
from tenure.measures.calendar import (
    Day,
    Period,
    begun_periods,
    completed_periods,
    day,
    day_index,
    day_of,
    days_in_month,
    month_start,
)
from tenure.measures.spans import Tables, classified, lenses, limit_days, settle
from tenure.policy import MetricPolicy

CAUSES = ("voluntary", "involuntary", "unknown")

# Groups that need no column of customers, and the names that a customers' column cannot have beside them.
_OF_THE_STAY = ("plan", "currency", "billing", "start_year", "start_quarter", "start_month")
_TAKEN = ("start", "end", "spell", "cause", "entry", "exit", "event", "end_day", "n")

_STILL_ON = 99_999_999  # later than any day
_RANK = {"unknown": 1, "voluntary": 2, "involuntary": 3}


def exclusions(
    source: Tables,
    *,
    as_of: dt.date,
    currency: str = "",
) -> ir.Table:
    """Count the spans that no measure of paying customers uses, with the reason.

    Args:
        source: Contract tables.
        as_of: The last day of the data.
        currency: Keep this currency only; empty keeps all.

    Returns:
        A row a reason and currency: reason, currency, spans, customers, and monthly_minor, what the
        spans would pay a month at their price, in minor units.
    """
    spans = classified(source, source["subscriptions"], lenses(as_of), currency=currency)
    return (
        spans.filter(_.excluded.notnull())
        .group_by(reason=_.excluded, currency=_.currency)
        .agg(
            spans=_.count().cast("int64"),
            customers=_.customer_id.nunique().cast("int64"),
            monthly_minor=_.monthly_minor.sum().cast("int64"),
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
    """Return each customer's uninterrupted stays as a paying subscriber.

    Spans of all of a customer's subscriptions are joined into one stay, bridging gaps of up to
    ``policy.gap_days``. Trials, free and test subscriptions do not count. A pause counts until it has
    outlasted ``policy.pause_days``; time past due counts for ``policy.grace_days`` if it is then paid,
    and otherwise the stay ended involuntarily when it began. A span that ends after `as_of` is still on.

    Args:
        source: Contract tables.
        as_of: The last day of the data.
        currency: Keep this currency only; empty keeps all.
        policy: Gap, pause and grace.

    Returns:
        A row a stay: customer_id, spell (1 for the first), start and end (dates; the end is exclusive,
        and null while still on), cause (voluntary, involuntary or unknown; null while still on), and
        what the stay began with: plan, currency, billing (such as "1 month").
    """
    key = ("spells", as_of, currency, policy)
    return settle(source, key, lambda: _spells(source, as_of, currency, policy))


def _spells(source: Tables, as_of: dt.date, currency: str, policy: MetricPolicy) -> ir.Table:
    alone, rows = _alone_and_several(source, as_of, currency, policy)
    carry = ("plan", "currency", "billing")
    columns = ["customer_id", "island", "start", "end", "end_day", "rank", *carry]
    stays = ibis.union(
        alone.mutate(island=ibis.literal(1, "int64")).select(columns),
        _islands(rows, "customer_id", policy.gap_days, carry).select(columns),
    )
    on = stays.end_day == _STILL_ON
    return stays.select(
        "customer_id",
        "plan",
        "currency",
        "billing",
        "start",
        end=on.ifelse(ibis.null("date"), stays.end),
        spell=stays.island,
        cause=ibis.cases(
            (on, ibis.null("string")),
            *((stays.rank == rank, cause) for cause, rank in _RANK.items()),
            else_="unknown",
        ),
    )


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
) -> ir.Table:
    """Count first stays by how long they lasted, how they ended, and any characteristics.

    A stay counts from its first day; leaving in period k means it lasted more than k - 1 and at most k
    periods. Only periods that had wholly passed by `as_of` are used, for leavers and stayers alike, so
    that young customers do not look loyal. Customers who were there before `observed_from` are watched
    from that day on (left truncation), since those who had left by then are not in the data.

    Args:
        source: Contract tables.
        covariates: Columns to count by; see `group_column` for the names.
        as_of: The last day of the data.
        period: The unit of duration.
        start_from: Keep stays that began on this day or later.
        start_to: Keep stays that began before this day.
        currency: Keep this currency only; empty keeps all.
        observed_from: The first day on which leavers were recorded; None: always.
        policy: Gap, pause and grace.

    Returns:
        A row a combination: the covariates (null becomes "unknown"), entry and exit (periods completed
        when watching began, and the period left in or last completed), event (1 left, 0 still on),
        cause (null while still on), and n, the number of customers.

    Raises:
        InputError: A covariate is not available.
    """
    scope = (as_of, period, start_from, start_to, currency, observed_from, policy)
    followed = _followed(source, covariates, *scope)
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
) -> ir.Table:
    """Count, for each period of life, who was at risk of leaving and who left.

    Args:
        source: Contract tables.
        by: Compare groups of this column (see `group_column`); None: everybody as "all".
        as_of: The last day of the data.
        period: The unit of duration.
        start_from: Keep stays that began on this day or later.
        start_to: Keep stays that began before this day.
        currency: Keep this currency only; empty keeps all.
        observed_from: The first day on which leavers were recorded; None: always.
        min_group: Groups with fewer customers are folded into *other*.
        max_groups: So are the smallest groups beyond this many.
        policy: Gap, pause and grace.

    Returns:
        A row a group and period in which anything happened: group, period, at_risk, events,
        voluntary, involuntary, unknown, censored (last seen after completing the period, still on) and
        entered (watched only from when they had completed the period). ``at_risk`` of period k is the
        number with exit >= k less the number with entry >= k.

    Raises:
        InputError: `by` is not available.
    """
    counts = duration_counts(
        source,
        [by] if by else [],
        as_of=as_of,
        period=period,
        start_from=start_from,
        start_to=start_to,
        currency=currency,
        observed_from=observed_from,
        policy=policy,
    )
    counts = counts.rename(group=by) if by else counts.mutate(group=ibis.literal("all"))
    if by:
        counts = _fold(counts, min_group, max_groups)
    zero = ibis.literal(0, "int64")
    exits = counts.group_by("group", period=_.exit).agg(
        **{cause: _.n.sum(where=_.cause == cause).fill_null(0).cast("int64") for cause in CAUSES},
        censored=_.n.sum(where=_.event == 0).fill_null(0).cast("int64"),
        entered=zero,
    )
    entries = (
        counts.filter(_.entry > 0)
        .group_by("group", period=_.entry)
        .agg(**dict.fromkeys((*CAUSES, "censored"), zero), entered=_.n.sum().cast("int64"))
    )
    table = (
        ibis.union(exits, entries)
        .group_by("group", "period")
        .agg(**{name: _[name].sum().cast("int64") for name in (*CAUSES, "censored", "entered")})
    )
    table = table.mutate(events=sum((table[cause] for cause in CAUSES[1:]), table[CAUSES[0]]).cast("int64"))
    later = ibis.window(group_by="group", order_by=ibis.desc("period"), preceding=None, following=0)
    change = table.events + table.censored - table.entered
    return (
        table.mutate(at_risk=change.sum().over(later).cast("int64"))
        .select("group", "period", "at_risk", "events", *CAUSES, "censored", "entered")
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
    """Count the churned customers of `life_table`, with what they paid a month when they left.

    What they paid is the sum of their subscriptions that ran on the last day of the spell, at their own
    price; of who paused for too long it is the price before the pause, and of who did not pay any more the
    last price that was paid.

    Args:
        source: Contract tables.
        by: As for `life_table`, and so are the others.
        as_of: The last day of the data.
        period: The unit of duration.
        start_from: Keep spells that began on this day or later.
        start_to: Keep spells that began before this day.
        currency: Keep this currency only; empty keeps all.
        observed_from: The first day on which churn was recorded; None: always.
        min_group: Groups with fewer customers are folded into *other*.
        max_groups: So are the smallest groups beyond this many.
        policy: Gap, pause and grace.

    Returns:
        A row a group, period of life, cause (voluntary, involuntary or unknown) and currency: group, period,
        cause, currency, customers (churned; each in one currency, the first by name, so that they add up to
        the events of `life_table`), monthly_minor (what they paid a month, in minor units) and squares (the
        sum of the squares of what each paid).

    Raises:
        InputError: `by` is not available.
    """
    scope = (as_of, period, start_from, start_to, currency, observed_from, policy)
    followed = _followed(source, [by] if by else [], *scope)
    followed = followed.rename(group=by) if by else followed.mutate(group=ibis.literal("all"))
    if by:
        followed = _fold(followed.mutate(n=ibis.literal(1, "int64")), min_group, max_groups)
    gone = followed.filter(_.event == 1).select("customer_id", "group", "cause", "end_day", period="exit")
    rows = _lived(source, as_of, currency, policy)
    rows = rows.select("customer_id", "currency", "monthly_minor", "start_day", "end_day")
    whose = ibis.window(group_by="customer_id")
    # A span of no whole day is no price that was paid, unless the customer has had no other.
    last = gone.inner_join(rows, ["customer_id", "end_day"])
    last = last.mutate(whole=(last.start_day < last.end_day).ifelse(1, 0))
    last = last.mutate(real=last.whole.max().over(whose)).filter(_.whole == _.real)
    each = last.group_by("customer_id", "group", "period", "cause", "currency").agg(
        paid=_.monthly_minor.sum(where=_.whole == 1), most=_.monthly_minor.max()
    )
    each = each.mutate(lead=each.currency == each.currency.min().over(whose))
    return (
        each.group_by("group", "period", "cause", "currency")
        .agg(
            customers=_.lead.sum().cast("int64"),
            monthly_minor=_.paid.fill_null(_.most).sum().cast("int64"),
            squares=(_.paid.fill_null(_.most).cast("float64") ** 2).sum(),
        )
        .order_by("group", "period", "cause", "currency")
    )


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
    """Count how many of each cohort stayed longer than k periods, for ripe cells only.

    A cell is ripe when even the customers who began on the cohort's last day had completed k periods
    by `as_of`. An unripe cell is absent, never 0.

    Args:
        source: Contract tables.
        as_of: The last day of the data.
        cohort: First stays are grouped by the month, quarter or year in which they began.
        period: The unit of age.
        start_from: Keep stays that began on this day or later.
        start_to: Keep stays that began before this day.
        currency: Keep this currency only; empty keeps all.
        observed_from: The first day on which churn was recorded: who had started before is left out, since
            those of them who had churned by then are not in the data. None: always.
        policy: Gap, pause and grace.

    Returns:
        A row a ripe cell: cohort (the index of its first month, counted from January of year 0),
        period (0 is the start), size (customers who began) and stayed (those still there after the
        period).
    """
    stays = spells(source, as_of=as_of, currency=currency, policy=policy).filter(_.spell == 1)
    stays = _started_within(stays, max(filter(None, (start_from, observed_from)), default=None), start_to)
    months = {"month": 1, "quarter": 3, "year": 12}[cohort]
    stays, start, end = _start_and_end(stays)
    lasted = ibis.greatest(begun_periods(start, end, period), 1)
    counts = (
        stays.mutate(
            cohort=((start.month // months) * months).cast("int64"),
            lasted=stays.cause.isnull().ifelse(_STILL_ON, lasted).cast("int64"),
        )
        .group_by("cohort", "lasted")
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
            size=_.n.sum().cast("int64"),
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

    Args:
        source: Contract tables.
        by: Group by this column (see `group_column`); None: everybody as "all".
        as_of: The day.
        currency: Keep this currency only; empty keeps all.
        policy: Grace for subscriptions past due.
        on: Several days instead of `as_of`, each as it was known then, with the day in the column on.

    Returns:
        A row a group and currency: group, currency, customers, and monthly_minor, their recurring
        revenue a month in minor units. Paused subscriptions pay nothing.
    """
    seen = lenses(as_of, policy, on)
    # What counts, and at which price, is no matter of the policy here.
    spans = classified(source, seen.seen(source["subscriptions"]), lenses(as_of, on=on), currency=currency)
    spans = spans.filter(spans.excluded.isnull() & spans.on)
    days = seen.rule(spans, lambda lens: lens.cut_day) - spans.start_day
    in_grace = (spans.status == "past_due") & (days <= limit_days(policy.grace_days))
    spans = spans.filter((spans.status == "active") | in_grace)
    spans = group_column(source, spans, by) if by else spans
    group = spans[by] if by else ibis.literal("all")
    lens = {"lens": spans.lens} if seen.several else {}
    sums = spans.group_by(group=group, currency=_.currency, **lens).agg(
        customers=_.customer_id.nunique().cast("int64"), monthly_minor=_.monthly_minor.sum().cast("int64")
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
    """Count customers whose first stay began within some days.

    Args:
        source: Contract tables.
        since: The first day.
        as_of: The last day.
        currency: Keep this currency only; empty keeps all.
        policy: Gap, pause and grace.

    Returns:
        One row: customers.
    """
    stays = spells(source, as_of=as_of, currency=currency, policy=policy).filter(_.spell == 1)
    return _started_within(stays, since, None).aggregate(customers=_.count().cast("int64"))


def currencies(source: Tables) -> ir.Table:
    """Count spans by currency, the most common first: columns currency, spans."""
    counts = source["subscriptions"].group_by("currency").agg(spans=_.count().cast("int64"))
    return counts.order_by(ibis.desc("spans"), "currency")


def characteristics(source: Tables, *, most_levels: int = 12) -> ir.Table:
    """List the columns that have a few levels, so that customers can be compared by them.

    Args:
        source: Contract tables.
        most_levels: Columns with more levels than this are left out.

    Returns:
        A row a column with two levels or more: name, levels; the plan first, then as in the table.
    """
    columns = source["customers"].columns
    names = [name for name in groupings(source) if name in columns and name not in _OF_THE_STAY]
    places = [source["subscriptions"].aggregate(levels=_.plan.nunique()).mutate(name=ibis.literal("plan"))]
    places += [
        source["customers"].aggregate(levels=_[n].nunique()).mutate(name=ibis.literal(n)) for n in names
    ]
    numbered = [place.mutate(place=ibis.literal(i, "int64")) for i, place in enumerate(places)]
    table = ibis.union(*numbered) if len(numbered) > 1 else numbered[0]
    return table.filter(_.levels.between(2, most_levels)).order_by("place").select("name", "levels")


def group_column(source: Tables, table: ir.Table, name: str) -> ir.Table:
    """Add a column to compare groups by, as text, with "unknown" where it is missing.

    The name is one of: ``plan``, ``currency`` or ``billing`` (what the stay began with);
    ``start_year``, ``start_quarter`` or ``start_month``; ``segment`` (the first scheme of the segments
    table by name) or ``segment:<scheme>``, where there is that table; or a column of the customers table.

    Args:
        source: Contract tables.
        table: A table with customer_id and, for the names above, plan, currency, billing and start.
        name: The column.

    Raises:
        InputError: There is no such column, and the sentence lists what there is; or its name is taken.
        NotApplicable: A segment is asked for and there is no segments table.
    """
    if name in ("plan", "currency", "billing"):
        return table.mutate(**{name: table[name].fill_null("unknown")})
    if name in _OF_THE_STAY:
        return table.mutate(**{name: _start_label(table.start, name)})
    owned = name in source["customers"].columns
    if name.partition(":")[0] == "segment" and ("segments" in source or not owned):
        return _with_segment(source, table, name)
    if name in _TAKEN and owned:
        raise InputError(
            f"customers.{name}: groups cannot be compared by a column of that name, which the counts use "
            f"themselves. Fix: rename it in a mapping, as in `attributes: {{{name}_of_customer: {name}}}`."
        )
    known = groupings(source)
    if name not in known:
        nearest = get_close_matches(name, known, n=1)
        hint = f"; did you mean '{nearest[0]}'?" if nearest else "."
        raise InputError(
            f"There is no column '{name}' to compare groups by{hint} There are: {', '.join(known)}."
        )
    values = source["customers"].select("customer_id", **{name: _[name].cast("string").fill_null("unknown")})
    return table.left_join(values, "customer_id").drop("customer_id_right").fill_null({name: "unknown"})


def groupings(source: Tables) -> list[str]:
    """Return the names of the columns that groups can be compared by."""
    taken = {"customer_id", "is_test", *_OF_THE_STAY, *_TAKEN}
    attributes = [
        name
        for name, type_ in source["customers"].schema().items()
        if name not in taken and not type_.is_timestamp() and not type_.is_date()
    ]
    segment = ["segment"] if "segments" in source and "segment" not in attributes else []
    return [*_OF_THE_STAY, *segment, *attributes]


def _alone_and_several(
    source: Tables, as_of: dt.date, currency: str, policy: MetricPolicy
) -> tuple[ir.Table, ir.Table]:
    """The settled spans of customers with one span, and of those with several."""
    # A customer with one span needs no joining up, and so no sorting: half the cost of this measure.
    raw = source["subscriptions"]
    several = raw.group_by("customer_id").agg(spans=_.count()).filter(_.spans > 1).select("customer_id")
    alone, rows = (
        _spans(classified(source, spans, lenses(as_of), currency=currency).filter(_.excluded.isnull()))
        for spans in (raw.anti_join(several, "customer_id"), raw.semi_join(several, "customer_id"))
    )
    alone = _with_status_rules(alone, as_of, policy)
    rows = ibis.union(
        rows.filter(_.status == "active"), *(_joined_up(rows, s) for s in ("past_due", "paused"))
    )
    rows = _with_status_rules(rows, as_of, policy)
    return alone, rows


def _lived(source: Tables, as_of: dt.date, currency: str, policy: MetricPolicy) -> ir.Table:
    """The spans that spells are made of, as the policy's rules of pauses and unpaid time end them."""
    alone, rows = _alone_and_several(source, as_of, currency, policy)
    return ibis.union(alone, rows.select(alone.columns))


def _followed(
    source: Tables,
    covariates: Sequence[str],
    as_of: dt.date,
    period: Period,
    start_from: dt.date | None,
    start_to: dt.date | None,
    currency: str,
    observed_from: dt.date | None,
    policy: MetricPolicy,
) -> ir.Table:
    """Each customer's first spell in whole periods, with the columns to compare by."""
    stays = spells(source, as_of=as_of, currency=currency, policy=policy).filter(_.spell == 1)
    stays = _started_within(stays, start_from, start_to)
    watched = _with_periods(stays, as_of, period, observed_from).rename(end_day="end_index")
    # No other columns, so that those of customers may have any other name.
    watched = watched.select(
        "customer_id", "plan", "currency", "billing", "start", "entry", "exit", "event", "cause", "end_day"
    )
    watched = watched.filter(_.exit > _.entry)  # the others were never at risk in a whole period
    for name in covariates:
        watched = group_column(source, watched, name)
    return watched


def _spans(spans: ir.Table) -> ir.Table:
    """Spans with their end as numbers, and the rank of the reason they ended for."""
    return spans.select(
        "subscription_id",
        "customer_id",
        "plan",
        "currency",
        "billing",
        "status",
        "monthly_minor",
        "start",
        "start_day",
        "end",
        end_day=spans.on.ifelse(_STILL_ON, day_index(spans.end)).cast("int64"),
        rank=ibis.cases(
            (spans.on | (spans.end_reason == "switched").fill_null(False), 0),
            *((spans.end_reason == cause, rank) for cause, rank in _RANK.items()),
            else_=_RANK["unknown"],
        ).cast("int64"),
    )


def _joined_up(spans: ir.Table, status: str) -> ir.Table:
    """Join the touching spans of one subscription in one status, so that no split of them matters."""
    carry = ("customer_id", "plan", "currency", "billing", "status", "monthly_minor")
    rows = spans.filter(_.status == status)
    return _islands(rows, "subscription_id", 0, carry).select(rows.columns)


def _islands(rows: ir.Table, key: str, gap_days: int, carry: Sequence[str]) -> ir.Table:
    """Join the rows of a key that touch, overlap or leave a gap of at most `gap_days`.

    Returns one row an island, numbered from 1 in order of time, with its first and last day, the rank
    of the row that ended last, and the columns `carry` of its first row.
    """
    # Whole days tie; the order must still be one and the same, or results depend on how rows lie.
    order = [rows.start_day, ibis.desc("monthly_minor"), rows.subscription_id, rows.end_day, rows.plan]
    earlier = ibis.window(group_by=key, order_by=order, preceding=(None, 1))
    so_far = ibis.window(group_by=key, order_by=order, preceding=None, following=0)
    rows = rows.mutate(reached=_.end_day.max().over(earlier))
    joins = (rows.start_day <= rows.reached + gap_days).fill_null(False)
    rows = rows.mutate(first=joins.ifelse(0, 1).cast("int64"))
    rows = rows.mutate(island=_.first.sum().over(so_far).cast("int64"))
    islands = rows.group_by(key, "island").agg(
        start=_.start.min(),
        start_day=_.start_day.min(),
        end=_.end.max(),
        end_day=_.end_day.max(),
        last=(_.end_day * 10 + _.rank).max(),  # of the rows that end last, the one of highest rank
        **{name: _[name].max(where=_.first == 1) for name in carry},
    )
    return islands.mutate(rank=(_.last % 10).cast("int64"))


def _with_status_rules(rows: ir.Table, as_of: dt.date, policy: MetricPolicy) -> ir.Table:
    """End service where unpaid time past due began, and the stay where a pause outlasted its days."""
    cut = day_of(as_of + dt.timedelta(days=1)).index
    days = ibis.least(rows.end_day, cut) - rows.start_day
    unpaid = (rows.status == "past_due") & ((rows.rank > 0) | (days > limit_days(policy.grace_days)))
    too_long = (rows.status == "paused") & (days > limit_days(policy.pause_days))
    # Whole days added to a date are the one interval that is the same everywhere.
    limit = rows.start_day + limit_days(policy.pause_days)
    limit_date = (rows.start + ibis.interval(days=limit_days(policy.pause_days))).cast("date")
    left_unpaid = (rows.rank == _RANK["voluntary"]).ifelse(_RANK["voluntary"], _RANK["involuntary"])
    return rows.mutate(
        end_day=ibis.cases((unpaid, rows.start_day), (too_long, limit), else_=rows.end_day).cast("int64"),
        end=ibis.cases((unpaid, rows.start), (too_long, limit_date), else_=rows.end),
        rank=ibis.cases((unpaid, left_unpaid), (too_long, _RANK["voluntary"]), else_=rows.rank).cast("int64"),
    )


def _started_within(stays: ir.Table, start_from: dt.date | None, start_to: dt.date | None) -> ir.Table:
    if start_from:
        stays = stays.filter(_.start >= ibis.literal(start_from))
    if start_to:
        stays = stays.filter(_.start < ibis.literal(start_to))
    return stays


def _start_label(start: ir.DateValue, name: str) -> ir.StringValue:
    year = start.year().cast("string")
    if name == "start_year":
        return year
    if name == "start_quarter":
        return year + " Q" + ((start.month() + 2) // 3).cast("int64").cast("string")
    return year + "-" + start.month().cast("string").lpad(2, "0")


def _with_segment(source: Tables, table: ir.Table, name: str) -> ir.Table:
    if "segments" not in source:
        raise NotApplicable("Groups are compared by segment, but there is no table `segments`.")
    segments = source["segments"]
    scheme = name.partition(":")[2] or segments.scheme.min().as_scalar()
    chosen = segments.filter(_.scheme == scheme)
    latest = chosen.group_by("customer_id").agg(as_of=_.as_of.max())
    values = chosen.semi_join(latest, ["customer_id", "as_of"]).select("customer_id", **{name: _.segment})
    return table.left_join(values, "customer_id").drop("customer_id_right").fill_null({name: "unknown"})


def _fold(counts: ir.Table, min_group: int, max_groups: int) -> ir.Table:
    """Name groups *other* that are smaller than `min_group` or not among the `max_groups` largest."""
    sizes = counts.group_by("group").agg(size=_.n.sum())
    by_size = ibis.window(order_by=[ibis.desc("size"), sizes["group"]])
    sizes = sizes.mutate(place=ibis.row_number().over(by_size))
    small = sizes.filter((_.size < min_group) | (_.place >= max_groups)).select("group")
    return counts.mutate(group=counts["group"].isin(small["group"]).ifelse("other", counts["group"]))


def _with_periods(stays: ir.Table, as_of: dt.date, period: Period, observed_from: dt.date | None) -> ir.Table:
    """Stays with entry, exit, event and cause in whole periods."""
    cut = day_of(as_of + dt.timedelta(days=1))
    table, start, end = _start_and_end(stays)
    table = table.mutate(
        ripe=completed_periods(start, cut, period),
        lasted=ibis.greatest(begun_periods(start, end, period), 1),
        entry=_entry(start, observed_from, period),
    )
    table = table.mutate(left=(_.cause.notnull() & (_.lasted <= _.ripe)).fill_null(False))
    return table.mutate(
        exit=_.left.ifelse(_.lasted, _.ripe),
        event=_.left.ifelse(1, 0).cast("int64"),
        cause=_.left.ifelse(_.cause, ibis.null("string")),
    )


def _start_and_end(stays: ir.Table) -> tuple[ir.Table, Day, Day]:
    """Stays with the numbers of their first and last day as columns, so that they are computed once."""
    columns: dict[str, ir.Value] = {}
    for name in ("start", "end"):
        numbers = day(stays[name])
        columns |= {f"{name}_{field}": getattr(numbers, field) for field in _DAY_FIELDS}
    table = stays.mutate(**columns)
    start, end = (Day(*(table[f"{name}_{field}"] for field in _DAY_FIELDS)) for name in ("start", "end"))
    return table, start, end


_DAY_FIELDS = ("index", "month", "day_of_month")


def _entry(start: Day, observed_from: dt.date | None, period: Period) -> ir.IntegerValue:
    if observed_from is None:
        return ibis.literal(0, "int64")
    first = day_of(observed_from)
    return (start.index < first.index).ifelse(begun_periods(start, first, period), 0).cast("int64")
