"""What customers do: who is active, with which features and content, and who pays without using it.

Only real users count: events of test accounts are left out, and where a measure takes `events`, so is
everything that is not such an event.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import ibis
from ibis import _, ir

from tenure.measures.calendar import day_index, day_of, end_of, month_index
from tenure.measures.ledger import named
from tenure.measures.revenue import balances
from tenure.measures.spans import Tables, lenses, real, runs
from tenure.policy import MetricPolicy

_DAY = 86_400
# A paying customer is silent when the last use is at least this many days ago, or there was none.
SILENT_DAYS = 28
# Days since the last use that silent payers are told apart by.
_SILENCE = ((7, "within 7 days"), (SILENT_DAYS, "8 to 28 days ago"), (90, "29 to 90 days ago"))
SILENCE = (*(label for _days, label in _SILENCE), "longer ago", "never")


def event_kinds(source: Tables, *, as_of: dt.date, days: int = 365) -> ir.Table:
    """Count events by kind, with how many say that something was consumed.

    Returns:
        A row per kind: event, n, with_value (those with a piece of content or a duration).
    """
    rows = _within(source, as_of, days)
    consumed = rows.content_id.notnull() | (rows.duration_s > 0).fill_null(False)
    return (
        rows.mutate(consumed=consumed)
        .group_by("event")
        .agg(n=_.count().cast("int64"), with_value=_.consumed.sum().cast("int64"))
        .order_by(ibis.desc("n"), "event")
    )


def active_days(
    source: Tables, *, as_of: dt.date, days: int, longest: int = 28, events: Sequence[str] = ()
) -> ir.Table:
    """Count user-days by day and by the days until the same user is active again.

    From these few numbers the distinct users of every window up to `longest` days follow exactly: a user
    is in a window of w days from a day of activity on, until the next one or for w days.

    Returns:
        A row per day and gap: day (since 1970-01-01), gap (days until the next, `longest` for more or none),
        users.
    """
    rows = _within(source, as_of, days, events)
    each = rows.select("customer_id", day=day_index(rows.occurred_at)).distinct()
    following = ibis.window(group_by="customer_id", order_by="day")
    each = each.mutate(after=_.day.lead().over(following))
    each = each.mutate(gap=ibis.least((each.after - each.day).fill_null(longest), longest).cast("int64"))
    return each.group_by("day", "gap").agg(users=_.count().cast("int64")).order_by("day", "gap")


def sessions(
    source: Tables, *, as_of: dt.date, days: int, silence_minutes: int = 30, longest_minutes: int = 720
) -> ir.Table:
    """Count sessions by month and length.

    A session ends when nothing has happened for `silence_minutes`; while something plays, it is not
    silent. Its length runs from its first event to the end of its last.

    Args:
        silence_minutes: How long a silence ends a session.
        longest_minutes: Longer sessions are counted as this long.

    Returns:
        A row per month and length: month (index), minutes (whole ones), sessions.
    """
    rows = _within(source, as_of, days)
    at = rows.occurred_at
    second = day_index(at) * _DAY + at.hour().cast("int64") * 3600 + at.minute().cast("int64") * 60
    rows = rows.mutate(second=second + at.second().cast("int64"), month=month_index(at))
    rows = rows.mutate(until=rows.second + rows.duration_s.fill_null(0))
    rows = runs(rows, ["customer_id"], ["second", rows.until], "second", "until", silence_minutes * 60)
    each = rows.group_by("customer_id", "run").agg(
        month=_.month.min(), start=_.second.min(), until=_.until.max()
    )
    each = each.mutate(minutes=ibis.least((each.until - each.start) // 60, longest_minutes).cast("int64"))
    return (
        each.group_by("month", "minutes").agg(sessions=_.count().cast("int64")).order_by("month", "minutes")
    )


def feature_use(source: Tables, *, as_of: dt.date, days: int = 28, back: int = 364) -> ir.Table:
    """Count the users of each feature in the last days, in as many before, and in those some time ago.

    Args:
        back: How many days before the third window lies; a multiple of 7 keeps the weekdays alike.

    Returns:
        A row per window and feature: window ("now", "before", "year ago"), feature ("" for anything at all:
        all who used the product), users.
    """
    rows = _windows(source, as_of, days, back)
    named = rows.filter(_.feature.notnull()).select("window", "customer_id", "feature")
    anything = rows.select("window", "customer_id", feature=ibis.literal(""))
    return (
        ibis.union(named, anything)
        .group_by("window", "feature")
        .agg(users=_.customer_id.nunique().cast("int64"))
        .order_by("window", "feature")
    )


def days_used(
    source: Tables, *, as_of: dt.date, days: int = 28, back: int = 364, events: Sequence[str] = ()
) -> ir.Table:
    """Count users by how many of the last days they were active on, now, before and some time ago.

    Args:
        back: How many days before the third window lies.

    Returns:
        A row per window and number of days: window ("now", "before", "year ago"), active_days, users, and of
        these users how many were active now (users_now), and on how many days in all (days_now): the same
        users are in several windows, so what has changed is known of pairs.
    """
    rows = _windows(source, as_of, days, back, events)
    each = rows.group_by("window", "customer_id").agg(active_days=_.ago.nunique().cast("int64"))
    now = (each.window == "now").ifelse(each.active_days, 0).max().over(ibis.window(group_by="customer_id"))
    return (
        each.mutate(now=now)
        .group_by("window", "active_days")
        .agg(
            users=_.count().cast("int64"),
            users_now=(_.now > 0).sum().cast("int64"),
            days_now=_.now.sum().cast("int64"),
        )
        .order_by("window", "active_days")
    )


def return_days(
    source: Tables, *, as_of: dt.date, horizon: int = 28, days: int = 91, events: Sequence[str] = ()
) -> ir.Table:
    """Count new users by the days since their first use on which they were active.

    A user is new whose first event lies in the `days` before the last `horizon` days, so that each was
    observed for the whole horizon, and at least as long after the first event of all, so that old users
    whose earlier events are not in the data do not look new.

    Args:
        days: How many days of new users.

    Returns:
        A row an age: age (days since the first use; 0 is the first day), users (active on that day), last
        (of them, not active again within the horizon).
    """
    rows = _within(source, as_of, None, events)
    each = rows.select("customer_id", day=day_index(rows.occurred_at))
    first = each.group_by("customer_id").agg(first=_.day.min())
    # A new user is nobody before; so a whole horizon before the first of them must be in the data.
    began = first.agg(began=_.first.min())
    last = day_of(as_of).index - horizon
    first = first.cross_join(began).filter((_.first > last - days) & (_.first <= last))
    first = first.filter(_.first >= _.began + horizon).select("customer_id", "first")
    # Only now distinct: new users are few, and to tell everybody's days apart is what costs.
    ages = each.join(first, "customer_id").mutate(age=(_.day - _.first).cast("int64"))
    ages = ages.filter(_.age <= horizon).select("customer_id", "age").distinct()
    ages = ages.mutate(final=_.age == _.age.max().over(ibis.window(group_by="customer_id")))
    return (
        ages.group_by("age")
        .agg(users=_.count().cast("int64"), last=_.final.sum().cast("int64"))
        .order_by("age")
    )


def content_use(source: Tables, *, as_of: dt.date, days: int = 28) -> ir.Table:
    """Add up what was consumed in the last days, by category of the content.

    Returns:
        A row per category: category, users, pieces (that were consumed), times and seconds.
    """
    rows = _within(source, as_of, days).filter(_.content_id.notnull() & _.duration_s.notnull())
    kinds = source["contents"].select("content_id", category=_.category.fill_null("unknown"))
    rows = rows.join(kinds, "content_id")
    return (
        rows.group_by("category")
        .agg(
            users=_.customer_id.nunique().cast("int64"),
            pieces=_.content_id.nunique().cast("int64"),
            times=_.count().cast("int64"),
            seconds=_.duration_s.sum().cast("int64"),
        )
        .order_by(ibis.desc("seconds"), "category")
    )


def silent_payers(
    source: Tables,
    *,
    as_of: dt.date,
    back: Sequence[int] = (0, 28, 364),
    events: Sequence[str] = (),
    currency: str = "",
    policy: MetricPolicy = MetricPolicy(),
) -> ir.Table:
    """Count paying customers by how long before a day they last used what they pay for, on several days.

    Each day is looked at as it was known then. A day is left out where the events began less than 28 days
    before it: silence is not known so early.

    Args:
        back: How many days before `as_of` each day lies; 0 must be among them.

    Returns:
        A row per day, time since the last use and currency: back, last_use (one of SILENCE), currency,
        customers (each in one currency, the first by name), mrr_minor, and of these customers those who pay
        on the last day, too (paying_now), and are silent on it (silent_now: no use within 28 days).
    """
    seen = lenses(as_of, policy, [as_of - dt.timedelta(days=ago) for ago in back])
    months = [lens.month for lens in seen.all]
    paying = balances(source, seen, months=months, currency=currency)
    paying = named(source, paying, seen, currency=currency).filter(_.mrr_minor > 0)
    paying = paying.filter(paying.month == seen.rule(paying, lambda lens: lens.month))
    used = _within(source, as_of, None, events)
    used = used.select("customer_id", day=day_index(used.occurred_at))
    last = {f"last_{n}": _.day.max(where=_.day < lens.cut_day) for n, lens in enumerate(seen.all)}
    rows = paying.left_join(used.group_by("customer_id").agg(**last), "customer_id").drop("customer_id_right")
    rows = rows.cross_join(used.agg(began=_.day.min()))
    days = [rows[name] for name in last]
    at = [(rows.lens == n, day) for n, day in enumerate(days[1:], 1)] if seen.several else []
    rows = rows.mutate(
        last=ibis.cases(*at, else_=days[0]) if at else days[0],
        day=ibis.literal(-1, "int64") + seen.rule(rows, lambda lens: lens.cut_day),
    )
    rows = rows.mutate(ago=rows.day - rows.last, back=(day_of(as_of).index - rows.day).cast("int64"))
    known = (rows.began + SILENT_DAYS <= rows.day).fill_null(False)
    rows = rows.filter((rows.back == 0) | known)
    labels = [((rows.ago < days).fill_null(False), label) for days, label in _SILENCE]
    rows = rows.mutate(
        lead=rows.currency == rows.currency.min().over(ibis.window(group_by=["back", "customer_id"])),
        last_use=ibis.cases((rows.ago.isnull(), SILENCE[-1]), *labels, else_=SILENCE[-2]),
    )
    now = (rows.back == 0) & rows.lead
    whole = ibis.window(group_by="customer_id")
    rows = rows.mutate(
        here=now.ifelse(1, 0).max().over(whole),
        quiet=(now & rows.last_use.isin(SILENCE[2:])).ifelse(1, 0).max().over(whole),
    )
    return (
        rows.group_by("back", "last_use", "currency")
        .agg(
            customers=_.lead.sum().cast("int64"),
            mrr_minor=_.mrr_minor.sum().cast("int64"),
            paying_now=_.lead.ifelse(_.here, 0).sum().cast("int64"),
            silent_now=_.lead.ifelse(_.quiet, 0).sum().cast("int64"),
        )
        .order_by("back", "last_use", "currency")
    )


def last_use(source: Tables, *, as_of: dt.date, events: Sequence[str] = ()) -> ir.Table:
    """Return the day of each customer's last use: customer_id, last (day index)."""
    used = _within(source, as_of, None, events)
    return used.group_by("customer_id").agg(last=day_index(used.occurred_at).max())


def _windows(source: Tables, as_of: dt.date, days: int, back: int, events: Sequence[str] = ()) -> ir.Table:
    """Events of the last days, of as many before and of those some time ago, with their window's name."""
    rows = _within(source, as_of, back + days, events)
    rows = rows.mutate(ago=day_of(as_of).index - day_index(rows.occurred_at))
    return rows.mutate(
        window=ibis.cases(
            (rows.ago < days, "now"),
            (rows.ago < 2 * days, "before"),
            (rows.ago >= back, "year ago"),
            else_="",
        )
    ).filter(_.window != "")


def _within(source: Tables, as_of: dt.date, days: int | None, events: Sequence[str] = ()) -> ir.Table:
    """Events of real users in the days up to and with `as_of`."""
    return real(source, within(source, as_of, days, events))


def within(source: Tables, as_of: dt.date, days: int | None, events: Sequence[str] = ()) -> ir.Table:
    """Return the events in the days up to and with `as_of`; None: in all days."""
    rows = source["events"]
    rows = rows.filter(rows.occurred_at < end_of(as_of))
    if days is not None:
        rows = rows.filter(rows.occurred_at >= end_of(as_of) - dt.timedelta(days=days))
    return rows.filter(_.event.isin(list(events))) if events else rows
