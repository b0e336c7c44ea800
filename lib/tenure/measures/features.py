"""How subscribers use the product, what they pay, and which segment a fitted rule puts them in.

A rule that was fitted on a sample comes as plain numbers (see `tenure.models.segments`) and is applied here
to everybody, so that no table of customers leaves the engine. `used` is the table that `usage` returned,
`paid` the one that `worth` returned (`paid_before`, `paid_after`: for the earlier and the later day), and
`segments`, `before` and `after` have a row per customer with customer_id and segment.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from typing import TYPE_CHECKING, Any

import ibis
from ibis import _, ir

from tenure.measures.calendar import Day, begun_periods, day, day_index, day_of
from tenure.measures.engagement import SILENT_DAYS, last_use, within
from tenure.measures.groups import group_column
from tenure.measures.revenue import mrr
from tenure.measures.spans import Tables, converted, settle, stacked
from tenure.measures.subscriptions import spells, still
from tenure.periods import DAYS_A_MONTH
from tenure.policy import MetricPolicy
from tenure.privacy import OTHER, too_few

if TYPE_CHECKING:
    import pandas as pd

NO_USE = "no use"
LEFT = "not subscribed"

# A customer's shares are shrunk towards everybody's as if so many events more had been seen.
PRIOR_EVENTS = 4


def usage_levels(source: Tables, *, as_of: dt.date, days: int, events: Sequence[str] = ()) -> ir.Table:
    """Count value events by what they were: category of content, platform and feature.

    Returns:
        A row per level: kind (category, platform or feature), level and n; empty levels are left out.
    """
    rows = _events(source, as_of, days, events)
    parts = [
        rows.group_by(level=_[kind]).agg(n=_.count().cast("int64")).mutate(kind=ibis.literal(kind))
        for kind in ("category", "platform", "feature")
    ]
    known = ibis.union(*parts).filter(_.level.notnull())
    return known.select("kind", "level", "n").order_by("kind", ibis.desc("n"), "level")


def first_event(source: Tables, *, events: Sequence[str] = ()) -> ir.Table:
    """Return when use was first recorded, and when the first subscription began: event, subscription."""
    rows = source["events"]
    rows = rows.filter(_.event.isin(list(events))) if events else rows
    began = source["subscriptions"].aggregate(subscription=_.started_at.min())
    return rows.aggregate(event=_.occurred_at.min()).cross_join(began)


def share_columns(shares: Mapping[str, Mapping[str, float]]) -> dict[str, tuple[str, str]]:
    """Return the columns of `usage` that hold shares: name, and its kind and level.

    Example:
        >>> share_columns({"platform": {"tv": 0.6, "phone": 0.4}})
        {'platform_1': ('platform', 'tv'), 'platform_2': ('platform', 'phone')}
    """
    return {
        f"{kind}_{place}": (kind, level)
        for kind, levels in shares.items()
        for place, level in enumerate(levels, 1)
    }


def members(
    source: Tables,
    *,
    as_of: dt.date,
    days: int,
    everyone: bool = False,
    currency: str = "",
    policy: MetricPolicy = MetricPolicy(),
) -> ir.Table:
    """Return the paying subscribers at the end of a day, and how long they have been observed.

    Args:
        everyone: Include churned customers, as they were when their last spell ended.

    Returns:
        A row per customer: customer_id, since (day index of the spell's first day), until (of the day after
        the last one looked at), tenure_days and watched_days.
    """
    stays = spells(source, as_of=as_of, currency=currency, policy=policy)
    if everyone:
        last = stays.group_by("customer_id").agg(spell=_.spell.max())
        stays = stays.semi_join(last, ["customer_id", "spell"])
    else:
        stays = stays.filter(still(stays))
    cut = day_of(as_of + dt.timedelta(days=1)).index
    until = still(stays).ifelse(cut, day_index(stays.end)).cast("int64")
    rows = stays.select("customer_id", since=day_index(stays.start), until=until)
    rows = rows.mutate(tenure_days=ibis.greatest(rows.until - rows.since, 1).cast("int64"))
    return rows.mutate(watched_days=ibis.least(rows.tenure_days, days).cast("int64"))


def usage(
    source: Tables,
    *,
    as_of: dt.date,
    days: int,
    shares: Mapping[str, Mapping[str, float]],
    events: Sequence[str] = (),
    everyone: bool = False,
    currency: str = "",
    policy: MetricPolicy = MetricPolicy(),
) -> ir.Table:
    """Describe how each paying subscriber used the product in the last days.

    Shares of small numbers are shrunk towards everybody's, (n_level + 4 share) / (n + 4), so that one event
    makes nobody a fan.

    Args:
        days: How many days to look back; fewer where the spell is younger.
        shares: For a kind (category, platform, feature) the levels looked at, with everybody's share of
            each; from `usage_levels`, and the same for runs that are compared.
        everyone: Include churned customers, in the last days of their last spell.

    Returns:
        A row per customer: customer_id; until (the day index up to which it holds); tenure_days; events (in
        the days); recency_days (since the last event; where there is none, the days observed); active_days;
        events_a_month; active_days_a_month; minutes (mean length of an event); weekend and daytime (shares
        of events on Saturday and Sunday, and from 6 to 18 o'clock); trend (events in the later half of the
        days less those in the earlier, as a part of all); breadth (levels used, of those looked at);
        tickets_a_year; and the columns that `share_columns` names. What cannot be known is null.
    """
    levels = tuple((kind, *shares[kind].items()) for kind in shares)
    key = ("usage", as_of, days, levels, tuple(events), everyone, currency, policy)
    return settle(
        source, key, lambda: _usage(source, as_of, days, shares, events, everyone, currency, policy)
    )


def _usage(
    source: Tables,
    as_of: dt.date,
    days: int,
    shares: Mapping[str, Mapping[str, float]],
    events: Sequence[str],
    everyone: bool,
    currency: str,
    policy: MetricPolicy,
) -> ir.Table:
    who = members(source, as_of=as_of, days=days, everyone=everyone, currency=currency, policy=policy)
    rows = _events(source, as_of, None if everyone else days, events)
    rows = rows.inner_join(
        who,
        [
            rows.customer_id == who.customer_id,
            rows.day < who.until,
            rows.day >= who.until - who.watched_days,
        ],
    )
    rows = rows.mutate(
        late=(rows.day >= rows.until - rows.watched_days // 2).ifelse(1, 0).cast("int64"),
        weekend=((rows.day + 3) % 7 >= 5).ifelse(1, 0).cast("int64"),
        daytime=rows.hour.between(6, 17).ifelse(1, 0).cast("int64"),
    )
    columns = share_columns(shares)
    sums = {
        name: (rows[kind] == level).sum().fill_null(0).cast("int64")
        for name, (kind, level) in columns.items()
    }
    kinds = {f"of_{kind}": rows[kind].count().cast("int64") for kind in shares}
    used = rows.group_by("customer_id").agg(
        events=_.count().cast("int64"),
        active_days=_.day.nunique().cast("int64"),
        last_day=_.day.max(),
        late=_.late.sum().cast("int64"),
        weekends=_.weekend.sum().cast("int64"),
        daytimes=_.daytime.sum().cast("int64"),
        seconds=_.duration_s.mean(),
        **{f"n_{name}": value for name, value in sums.items()},
        **kinds,
    )
    table = who.left_join(used, "customer_id").drop("customer_id_right")
    counted = ["events", "active_days", "late", *(f"n_{name}" for name in columns), *kinds]
    table = table.mutate(**{name: table[name].fill_null(0) for name in counted})
    table = _with_tickets(source, table, as_of, days)
    months = table.watched_days.cast("float64") / DAYS_A_MONTH
    some = table.events > 0
    return table.select(
        "customer_id",
        "until",
        "tenure_days",
        "events",
        "active_days",
        recency_days=(table.until - 1 - table.last_day).fill_null(table.watched_days).cast("int64"),
        events_a_month=table.events.cast("float64") / months,
        active_days_a_month=table.active_days.cast("float64") / months,
        minutes=table.seconds / 60.0,
        weekend=_share(some, table.weekends, table.events, 2 / 7),
        daytime=_share(some, table.daytimes, table.events, 0.5),
        trend=some.ifelse(
            (table.late * 2 - table.events).cast("float64") / (table.events + PRIOR_EVENTS), None
        ),
        breadth=some.ifelse(
            sum(((table[f"n_{name}"] > 0).ifelse(1, 0) for name in columns), ibis.literal(0, "int64")), None
        ).cast("int64"),
        tickets_a_year=table.tickets.cast("float64") / table.watched_days.cast("float64") * 365.25,
        **{
            name: _share(some, table[f"n_{name}"], table[f"of_{kind}"], float(shares[kind][level]))
            for name, (kind, level) in columns.items()
        },
    )


def present(used: ir.Table, as_of: dt.date) -> ir.Table:
    """Keep customers subscribed at the end of a day, of the table that `usage` returned for everyone."""
    return used.filter(_.until > day_of(as_of).index)


def sampled(table: ir.Table, rows: int) -> ir.Table:
    """Keep about so many rows of a table of customers, the same ones on every engine and in every run.

    Customers are numbered by their id and a number scrambled by multiplication (Knuth's hash) chooses.

    Args:
        rows: About how many to keep; all where there are no more.
    """
    number = ibis.row_number().over(ibis.window(order_by="customer_id")).cast("int64")
    total = table.aggregate(total=_.count().cast("int64"))
    numbered = table.mutate(number=number).cross_join(total)
    scrambled = (numbered.number * 2_654_435_761) % 4_294_967_296
    keep = (numbered.total <= rows) | (scrambled.cast("float64") / 4_294_967_296 * numbered.total < rows)
    return numbered.filter(keep).drop("number", "total").order_by("customer_id")


def worth(
    source: Tables,
    *,
    as_of: dt.date,
    rates: Mapping[str, float] | None = None,
    currency: str = "",
    policy: MetricPolicy = MetricPolicy(),
) -> ir.Table:
    """Return what each paying customer pays a month at the end of a day.

    Returns:
        A row per paying customer: customer_id and value_minor, in minor units of the reporting currency,
        rounded.
    """
    known = None if rates is None else tuple(sorted(rates.items()))
    key = ("worth", as_of, known, currency, policy)
    return settle(source, key, lambda: _worth(source, as_of, rates, currency, policy))


def _worth(
    source: Tables, as_of: dt.date, rates: Mapping[str, float] | None, currency: str, policy: MetricPolicy
) -> ir.Table:
    rows = mrr(source, as_of=as_of, months=[day_of(as_of).month], currency=currency, policy=policy)
    rows = rows.filter(_.mrr_minor > 0)
    if rates is not None:
        value = converted(rows, rows.mrr_minor, rates)
        rows = rows.mutate(mrr_minor=(value + 0.5).floor().cast("int64"))
    paid = rows.group_by("customer_id").agg(value_minor=_.mrr_minor.sum().cast("int64"))
    return paid.filter(_.value_minor > 0)


def rfm(used: ir.Table, paid: ir.Table) -> ir.Table:
    """Return recency, frequency and value of each subscriber.

    Args:
        paid: The table that `worth` returned; who pays nothing, as in a pause, has a value of 0.

    Returns:
        A row per customer: customer_id, recency (days since the last value event), frequency (active days)
        and value (recurring revenue a month, minor units).
    """
    joined = used.left_join(paid, "customer_id")
    return joined.select(
        "customer_id",
        recency=joined.recency_days,
        frequency=joined.active_days,
        value=joined.value_minor.fill_null(0),
    )


def silent(source: Tables, paid: ir.Table, *, as_of: dt.date, events: Sequence[str] = ()) -> ir.Table:
    """Say who pays and has not used it for 28 days: customer_id, segment ("silent" or "active")."""
    rows = paid.left_join(last_use(source, as_of=as_of, events=events), "customer_id")
    quiet = (day_of(as_of).index - rows.last >= SILENT_DAYS).fill_null(True)
    return rows.select("customer_id", segment=quiet.ifelse("silent", "active"))


def silence(
    source: Tables,
    paid_before: ir.Table,
    paid_after: ir.Table,
    days: tuple[dt.date, dt.date],
    *,
    events: Sequence[str] = (),
) -> ir.Table:
    """Count who was silent on an earlier day and who is on a later one, and what they pay; as `moves` does.

    Args:
        days: The later and the earlier day.
    """
    later, earlier = days
    was = silent(source, paid_before, as_of=earlier, events=events)
    return moves(was, silent(source, paid_after, as_of=later, events=events), paid_before, paid_after)


def value_counts(table: ir.Table, columns: Sequence[str]) -> ir.Table:
    """Count the rows by the value of each of some whole-number columns: column, value, n."""
    parts = [
        table.group_by(value=_[name].cast("int64"))
        .agg(n=_.count().cast("int64"))
        .mutate(column=ibis.literal(name))
        for name in columns
    ]
    return stacked(parts).select("column", "value", "n")


def rfm_scores(table: ir.Table, edges: Mapping[str, Sequence[float]]) -> ir.Table:
    """Score recency, frequency and value from 1 to 5 by fixed edges; equal values have equal scores.

    A value scores one more than the number of edges that it exceeds; of recency it is the other way round,
    so that 5 is always best.

    Args:
        edges: For recency, frequency and value their four edges, rising.

    Returns:
        The table with r, f, m (1 to 5) and cell (such as "545").
    """
    above = {
        name: sum(
            ((table[name] > float(edge)).ifelse(1, 0) for edge in edges[name]), ibis.literal(0, "int64")
        ).cast("int64")
        for name in ("recency", "frequency", "value")
    }
    scored = table.mutate(r=5 - above["recency"], f=above["frequency"] + 1, m=above["value"] + 1)
    text = [scored[name].cast("string") for name in ("r", "f", "m")]
    return scored.mutate(cell=text[0] + text[1] + text[2])


def rfm_segments(scored: ir.Table, cells: Mapping[str, str]) -> ir.Table:
    """Name the segment of each scored customer: customer_id, segment."""
    names = sorted(set(cells.values()))
    cases = [(scored.cell.isin(sorted(c for c, n in cells.items() if n == name)), name) for name in names]
    return scored.select("customer_id", segment=ibis.cases(*cases, else_=OTHER))


def assigned(used: ir.Table, rule: Mapping[str, Any]) -> ir.Table:
    """Put everybody into a segment by a fitted rule, inside the engine.

    Each feature is transformed, centered, scaled and clipped; what is missing is taken for the center. The
    components are weighted sums of the features, a segment's score is a quadratic function of them, and the
    highest score wins. Who did nothing is `NO_USE`.

    Returns:
        A row per customer: customer_id, until, segment.
    """
    scaled = {}
    for place, feature in enumerate(rule["features"]):
        value = _transformed(used[feature["name"]].cast("float64"), feature["transform"])
        value = (value - float(feature["center"])) / float(feature["scale"])
        value = used[feature["name"]].isnull().ifelse(0.0, value)  # `greatest` would take missing for 0
        clip = float(rule["clip"])
        value = ibis.greatest(ibis.least(value, clip), -clip)
        scaled[f"z{place}"] = value - float(feature["mean"])
    table = used.select("customer_id", "until", "events", **scaled)
    size = len(rule["segments"][0]["linear"])
    table = table.mutate(
        **{
            f"y{d}": _weighted({f"z{j}": row[d] for j, row in enumerate(rule["weights"])}, table)
            for d in range(size)
        }
    )
    table = table.mutate(**{f"s{k}": _score(segment, table) for k, segment in enumerate(rule["segments"])})
    names = [segment["name"] for segment in rule["segments"]]
    best = ibis.greatest(*(table[f"s{k}"] for k in range(len(names)))) if len(names) > 1 else table.s0
    table = table.mutate(best=best)
    cases = [(table[f"s{k}"] == table.best, name) for k, name in enumerate(names[:-1])]
    found = ibis.cases(*cases, else_=names[-1]) if cases else ibis.literal(names[-1])
    return table.select("customer_id", "until", segment=(table.events == 0).ifelse(NO_USE, found))


def folded(segments: ir.Table, min_group: int) -> ir.Table:
    """Name segments with fewer than `min_group` customers *other*; *no use* stays, if it may be named."""
    sizes = segments.group_by(group=_.segment).agg(size=_.count())
    small = too_few(sizes.filter(_.group != NO_USE), min_group).union(too_few(sizes))
    return segments.mutate(segment=segments.segment.isin(small.group).ifelse(OTHER, segments.segment))


def given(members: pd.DataFrame) -> ir.Table:
    """Bring customers whose segments were found outside the engine into it: customer_id, segment."""
    return ibis.memtable(members[["customer_id", "segment"]].astype("string"))


def segment_rows(segments: ir.Table, scheme: str, as_of: dt.date) -> ir.Table:
    """Return segments as rows of the contract table `segments`: customer_id, scheme, segment, as_of.

    Args:
        segments: customer_id and segment and, for customers who had left, until (the day index after their
            last day).
        as_of: The day at which they are true.
    """
    latest = ibis.literal(as_of)
    if "until" in segments.columns:
        last = ibis.date("1970-01-01") + (segments.until - 1) * ibis.interval(days=1)
        gone = segments.until <= day_of(as_of).index
        latest = gone.ifelse(last.cast("date"), latest)
    return segments.select("customer_id", scheme=ibis.literal(scheme), segment=_.segment, as_of=latest)


def segment_totals(
    segments: ir.Table, used: ir.Table, paid: ir.Table, columns: Sequence[str] = ()
) -> ir.Table:
    """Add up size, value and use by segment.

    Returns:
        A row per segment: segment, customers, paying, value_minor, value_var (sample variance of what the
        paying pay), and for active_days_a_month and each further column its mean, and its variance as
        <column>_var.
    """
    names = list(dict.fromkeys(["active_days_a_month", *columns]))
    joined = segments.select("customer_id", "segment").inner_join(used, "customer_id")
    joined = joined.left_join(paid, "customer_id")
    return (
        joined.group_by("segment")
        .agg(
            customers=_.count().cast("int64"),
            paying=_.value_minor.count().cast("int64"),
            value_minor=_.value_minor.sum().fill_null(0).cast("int64"),
            value_var=_.value_minor.cast("float64").var(how="sample"),
            **{name: _[name].cast("float64").mean() for name in names},
            **{f"{name}_var": _[name].cast("float64").var(how="sample") for name in names},
        )
        .order_by(ibis.desc("customers"), "segment")
    )


def crossed(segments: ir.Table, others: ir.Table) -> ir.Table:
    """Count customers by two ways of segmenting: segment, other, n; who is in one only is left out."""
    renamed = others.select("customer_id", other=others.segment)
    joined = segments.select("customer_id", "segment").inner_join(renamed, "customer_id")
    return joined.group_by("segment", "other").agg(n=_.count().cast("int64")).order_by("segment", "other")


def moves(before: ir.Table, after: ir.Table, paid_before: ir.Table, paid_after: ir.Table) -> ir.Table:
    """Count who moved from which segment to which between two days, and what they pay.

    Returns:
        A row per move: before and after (`LEFT` for who was not, or is no longer, subscribed), customers;
        then_paying and now_paying, then_minor and now_minor; and then_squares, now_squares and
        change_squares, the sums over customers of what they paid, pay and changed, squared.
    """
    was = before.select("customer_id", was=before.segment).left_join(paid_before, "customer_id")
    is_ = after.select("customer_id", now=after.segment).left_join(paid_after, "customer_id")
    was = was.select("customer_id", "was", then_minor=was.value_minor.fill_null(0))
    is_ = is_.select(after_id="customer_id", now="now", now_minor=is_.value_minor.fill_null(0))
    both = was.outer_join(is_, was.customer_id == is_.after_id)
    both = both.select(
        before=both.was.fill_null(LEFT),
        after=both.now.fill_null(LEFT),
        then_minor=both.then_minor.fill_null(0),
        now_minor=both.now_minor.fill_null(0),
    )
    both = both.mutate(
        then=both.then_minor.cast("float64"),
        now=both.now_minor.cast("float64"),
        change=(both.now_minor - both.then_minor).cast("float64"),
    )
    return (
        both.group_by("before", "after")
        .agg(
            customers=_.count().cast("int64"),
            then_paying=(_.then_minor > 0).sum().cast("int64"),
            now_paying=(_.now_minor > 0).sum().cast("int64"),
            then_minor=_.then_minor.sum().cast("int64"),
            now_minor=_.now_minor.sum().cast("int64"),
            **{f"{name}_squares": (_[name] * _[name]).sum() for name in ("then", "now", "change")},
        )
        .order_by("before", "after")
    )


def departures(
    source: Tables,
    segments: ir.Table,
    *,
    since: dt.date,
    as_of: dt.date,
    currency: str = "",
    policy: MetricPolicy = MetricPolicy(),
) -> ir.Table:
    """Count churned customers, by segment and by the months since a day at which the segments were known.

    Segments are those known before customers churned: a segment of today would hold no churned customer, and
    one that looks at the last days would be a result of the churn.

    Args:
        segments: customer_id and segment at the end of the day `since`.
        since: That day.

    Returns:
        A row per segment, month and cause: segment, month (1 for the first after `since`; null for those who
        are still there), cause (null likewise) and n.
    """
    first = day_of(since + dt.timedelta(days=1))
    stays = spells(source, as_of=as_of, currency=currency, policy=policy)
    there = (day_index(stays.start) < first.index) & (still(stays) | (day_index(stays.end) >= first.index))
    stays = stays.filter(there)
    start = Day(*(ibis.literal(value, "int64") for value in astuple(first)))
    month = ibis.greatest(begun_periods(start, day(stays.end), "month"), 1)
    left = stays.cause.isin(["voluntary", "involuntary", "unknown"])
    stays = stays.select(
        "customer_id",
        month=left.ifelse(month, ibis.null("int64")),
        cause=left.ifelse(stays.cause, ibis.null("string")),
    )
    joined = segments.select("customer_id", "segment").inner_join(stays, "customer_id")
    return joined.group_by("segment", "month", "cause").agg(n=_.count().cast("int64"))


def composition(
    source: Tables,
    segments: ir.Table,
    names: Sequence[str],
    *,
    as_of: dt.date,
) -> ir.Table:
    """Count customers by segment and characteristic.

    Args:
        names: Columns of the customers table; ``birth_year``, where there is one, is turned into ages in
            steps of ten years.
        as_of: The day at which ages are taken.

    Returns:
        A row per characteristic, level and segment: characteristic, level ("unknown" where it is missing),
        segment and n.

    Raises:
        InputError: There is no such column.
    """
    nobody = segments.limit(0).select("segment", level=_.segment, n=ibis.literal(0, "int64"))
    parts = [nobody.mutate(characteristic=ibis.literal(""))]
    for name in names:
        if name == "birth_year" and name not in source["customers"].columns:
            continue
        if name == "birth_year":
            age = as_of.year - source["customers"].birth_year
            low = (age // 10 * 10).cast("int64")
            label = (low.cast("string") + " to " + (low + 9).cast("string")).fill_null("unknown")
            rows = segments.left_join(
                source["customers"].select("customer_id", level=label), "customer_id"
            ).select("segment", level=_.level.fill_null("unknown"))
            shown = "age"
        else:
            rows = group_column(source, segments.select("customer_id", "segment"), name)
            rows = rows.select("segment", level=rows[name])
            shown = name
        counts = rows.group_by("level", "segment").agg(n=_.count().cast("int64"))
        counts = counts.select("segment", "level", "n")
        parts.append(counts.mutate(characteristic=ibis.literal(shown)))
    return (
        stacked(parts)
        .select("characteristic", "level", "segment", "n")
        .order_by("characteristic", "level", "segment")
    )


def characteristics(source: Tables, customers: ir.Table, names: Sequence[str]) -> ir.Table:
    """Return characteristics of some customers as text: customer_id, and a column a name."""
    return group_column(source, customers.select("customer_id"), *names)


def _events(source: Tables, as_of: dt.date, days: int | None, kinds: Sequence[str]) -> ir.Table:
    """Value events up to a day, with day index, hour and the category of what was consumed."""
    rows = within(source, as_of, days, kinds)
    rows = rows.select(
        "customer_id",
        "platform",
        "feature",
        "content_id",
        "duration_s",
        day=day_index(rows.occurred_at),
        hour=rows.occurred_at.hour().cast("int64"),
    )
    if "contents" not in source:
        return rows.mutate(category=ibis.null("string"))
    contents = source["contents"].select(content="content_id", category="category")
    return rows.left_join(contents, rows.content_id == contents.content).drop("content")


def _with_tickets(source: Tables, table: ir.Table, as_of: dt.date, days: int) -> ir.Table:
    if "tickets" not in source:
        return table.mutate(tickets=ibis.null("int64"))
    opened = source["tickets"].select("customer_id", opened=day_index(source["tickets"].opened_at))
    who = table.select("customer_id", "until", "watched_days")
    near = opened.inner_join(
        who,
        [
            opened.customer_id == who.customer_id,
            opened.opened < who.until,
            opened.opened >= who.until - who.watched_days,
        ],
    )
    counts = near.group_by("customer_id").agg(tickets=_.count().cast("int64"))
    joined = table.left_join(counts, "customer_id").drop("customer_id_right")
    return joined.mutate(tickets=joined.tickets.fill_null(0))


def _share(some: ir.BooleanValue, part: ir.IntegerValue, whole: ir.IntegerValue, base: float) -> ir.Value:
    drawn = (part.fill_null(0).cast("float64") + PRIOR_EVENTS * base) / (whole + PRIOR_EVENTS)
    return some.ifelse(drawn, None)


def _transformed(value: ir.FloatingValue, transform: str) -> ir.FloatingValue:
    if transform == "sqrt":
        return ibis.greatest(value, 0.0).sqrt()
    if transform == "log":
        return (ibis.greatest(value, 0.0) + 1.0).ln()
    return value


def _weighted(weights: Mapping[str, float], table: ir.Table) -> ir.FloatingValue:
    terms = [table[name] * float(weight) for name, weight in weights.items()]
    return sum(terms[1:], terms[0])


def _score(segment: Mapping[str, Any], table: ir.Table) -> ir.FloatingValue:
    linear = segment["linear"]
    total = _weighted({f"y{d}": weight for d, weight in enumerate(linear)}, table) + float(
        segment["constant"]
    )
    for a, row in enumerate(segment.get("quadratic") or []):
        for b, weight in enumerate(row):
            if weight:
                total = total + table[f"y{a}"] * table[f"y{b}"] * float(weight)
    return total
