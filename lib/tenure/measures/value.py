"""What customers stay for and pay, by billing interval: the counts that customer lifetime value is made of.

A spell is as in `tenure.measures.subscriptions`. Its clock ticks in billing intervals of what it began with:
a customer with a yearly plan can leave once a year, and counting their months would make eleven of them look
loyal. Where terms are bought again after some days (`policy.gap_days`) it counts terms, a mean gap apart.
Lifetimes after the first are the group `RETURNED`: customers who have churned once churn sooner again.

`stays` is the table that `stays` returned as of the same day, `dims` are further columns of it, `since` is
the first day that counts, and `months` are the months in a cohort.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import ibis
from ibis import _, ir

from tenure.errors import InputError
from tenure.measures import subscriptions
from tenure.measures.calendar import (
    Day,
    begun_periods,
    completed_periods,
    day_index,
    day_of,
    days_in_month,
    end_of,
    month_index,
    month_start,
    numbered,
    numbers_of,
)
from tenure.measures.groups import group_column
from tenure.measures.ledger import known_spans, with_usage
from tenure.measures.spans import Tables, complete, lenses, monthly_amount, people, stacked
from tenure.measures.units import running
from tenure.periods import DAYS_A_MONTH
from tenure.policy import MetricPolicy

RETURNED = "came back"

# Only what customers pay for the subscription itself; one-off sales are purchases.
SUBSCRIPTION_KINDS = ("recurring", "usage")

_NEVER = 99_999_999
_AMOUNTS = {
    name: _.amount_minor.sum(where=_.status == status).fill_null(0).cast("int64")
    for name, status in (("paid_minor", "paid"), ("refunded_minor", "refunded"))
}
_NUMBERS = [f"{edge}_{part}" for edge in ("start", "end") for part in ("index", "month", "day_of_month")]


def stays(
    source: Tables,
    *,
    by: str | None = None,
    dims: Sequence[str] = (),
    as_of: dt.date,
    currency: str = "",
    policy: MetricPolicy = MetricPolicy(),
) -> ir.Table:
    """Return all spells, with what the other measures of this module need to know of them.

    Returns:
        A row per spell: customer_id, spell (1 for the first), group, interval (the billing interval, such as
        "1 month" or "7 days"), `dims`, currency, cause (null while still on), and the numbers of the days
        of start and end. Several measures are made from it, so it is worth keeping (`.cache()`).

    Raises:
        InputError: A column is not available.
    """
    dims = list(dict.fromkeys(dims))
    found = subscriptions.spells(source, as_of=as_of, currency=currency, policy=policy)
    # What a spell began with is known by these names to `group_column`; ours must not be overwritten.
    found = group_column(source, found, *dict.fromkeys([*([by] if by else []), *dims]))
    group = found[by] if by else ibis.literal("all")
    number = found.billing
    for unit in ("day", "week", "month", "year"):
        number = number.replace(f" {unit}", "")
    count = number.cast("int64")
    months = ibis.cases(
        (found.billing.endswith("year"), count * 12), (found.billing.endswith("month"), count), else_=0
    ).cast("int64")
    days = ibis.cases(
        (found.billing.endswith("week"), count * 7), (found.billing.endswith("day"), count), else_=0
    ).cast("int64")
    found = numbered(found.mutate(group_=group, months_=months, days_=days), "start", "end")
    found = found.mutate(
        bill_months=found.months_,
        bill_days=found.days_,
        terms=ibis.null("int64"),
        interval=ibis.cases(
            (found.months_ == 1, "1 month"),
            (found.months_ > 1, found.months_.cast("string") + " months"),
            (found.days_ == 1, "1 day"),
            else_=found.days_.cast("string") + " days",
        ),
    )
    if policy.gap_days != MetricPolicy().gap_days:
        found = _with_gaps(found, as_of)
    return found.select(
        "customer_id",
        "spell",
        "cause",
        "currency",
        *(name for name in dims if name != "currency"),
        *_NUMBERS,
        "months_",
        "days_",
        "bill_months",
        "bill_days",
        "terms",
        "interval",
        group=(_.spell > 1).ifelse(RETURNED, _.group_),
    )


def _with_gaps(stays: ir.Table, as_of: dt.date) -> ir.Table:
    """Lifetimes with the terms begun, and a clock of a term and its mean gap where that is over 5 % of it."""
    term = stays.months_ * DAYS_A_MONTH + stays.days_
    until = ibis.least(stays.end_index.fill_null(_NEVER), day_of(as_of).index + 1)
    begun = (until - stays.start_index - stays.bridged) / term
    begun = stays.cause.isnull().ifelse(begun.floor() + 1, ibis.greatest((begun + 0.5).floor(), 1))
    whole = ibis.window(group_by="billing")
    gap = stays.bridged.sum().over(whole) / ibis.greatest((begun - 1).sum().over(whole), 1.0)
    stays = stays.mutate(term=term, gap=gap, begun=begun.cast("int64"))
    wide = stays.gap > stays.term / 20
    return stays.mutate(
        months_=wide.ifelse(0, stays.months_).cast("int64"),
        days_=wide.ifelse((stays.term + stays.gap + 0.5).floor(), stays.days_).cast("int64"),
        terms=wide.ifelse(stays.begun, stays.terms),
    )


def _lasted(stays: ir.Table) -> ir.IntegerValue:
    """Billing intervals begun until the end."""
    begun = _begun(stays, numbers_of(stays, "start"), numbers_of(stays, "end"))
    return stays.terms.fill_null(ibis.greatest(begun, 1)).cast("int64")


def _passed(stays: ir.Table, as_of: dt.date) -> ir.IntegerValue:
    """Renewals passed until today, of who is on."""
    whole = _completed(stays, numbers_of(stays, "start"), day_of(as_of))
    return (stays.terms - 1).fill_null(whole).cast("int64")


def stay_counts(
    stays: ir.Table,
    dims: Sequence[str] = (),
    *,
    as_of: dt.date,
    observed_from: dt.date | None = None,
    on_at: dt.date | None = None,
) -> ir.Table:
    """Count spells by how many billing intervals they lasted.

    Leaving at renewal k means that the spell lasted more than k - 1 and at most k billing intervals. Only
    renewals due by `as_of` are used, for churned and remaining customers alike.

    Args:
        observed_from: Observe customers who were there before this day from the first interval that began on
            it or later (left truncation).
        on_at: Only spells that were on at the end of this day, from their last renewal before, and spells
        that
            began later: what happened after the day, to judge what was predicted on it.

    Returns:
        A row per combination: group, interval, `dims`, cohort (index of the month in which the spell began,
        counted from January of year 0), entry and exit (renewals passed when observation began and ended),
        ripe (renewals due by `as_of`), event (1 left, 0 still on), cause (null while still on) and n; with
        `on_at` also later, whether it began after that day.
    """
    rows = _observed(stays, as_of, observed_from, on_at)
    keys = ["group", "interval", *dims, "cohort", "entry", "exit", "ripe", "event", "cause"]
    if on_at:
        keys, rows = [*keys, "later"], rows.mutate(later=_.start_index > day_of(on_at).index)
    return rows.group_by(*keys).agg(n=_.count().cast("int64"))


def split_counts(
    stays: ir.Table, names: Sequence[str], *, as_of: dt.date, observed_from: dt.date | None = None
) -> ir.Table:
    """Count spells as `stay_counts` does, by each of some columns in turn, and by none.

    Returns:
        The rows of all of them: name (of the column; empty: by none), level (its value), and those of
        `stay_counts` but cohort and ripe.
    """
    rows = _observed(stays, as_of, observed_from, None)
    keys = ["group", "interval", "entry", "exit", "event", "cause"]
    split = [
        rows.group_by(*keys, level=level, name=ibis.literal(name)).agg(n=_.count().cast("int64"))
        for name, level in {"": ibis.literal(""), **{one: rows[one].cast("string") for one in names}}.items()
    ]
    return stacked(split)


def base(
    source: Tables,
    stays: ir.Table,
    dims: Sequence[str] = (),
    *,
    as_of: dt.date,
    yearly_rate: float = 0.0,
    known_until: dt.date,
) -> ir.Table:
    """Return each customer who is on at the end of a day, with what the value to come depends on.

    Whose term is over, and who may still go on within the gap, decides on the next renewal now, at the price
    of the term that is over.

    Args:
        yearly_rate: Discount rate a year.
        known_until: The last day of the data, which may be later than `as_of`: an end after it is planned.

    Returns:
        A row per customer: customer_id, group, interval, `dims`, tenure (renewals passed), cohort (index of
        the month in which the first spell began), currency, billed_minor (what the running subscriptions
        cost a billing interval at their price, in minor units; a pause counts at the price after it),
        wait_days (to the next renewal), waited_minor (the bill, discounted by that wait) and bills_left (the
        renewals still to come before the end that is known, of who has given notice, or whose subscriptions
        end by design or on a planned day; -1: no end is known).
    """
    first = stays.filter(_.spell == 1).select("customer_id", cohort=_.start_month)
    stays = stays.filter(subscriptions.still(stays))
    today = day_of(as_of)
    over = stays.cause.notnull()
    stays = stays.mutate(tenure=over.ifelse(_lasted(stays) - 1, _passed(stays, as_of)))
    wait = _renewal_day(stays, numbers_of(stays, "start"), stays.tenure + 1) - today.index
    stays = stays.mutate(wait_days=over.ifelse(0, wait).cast("int64"))
    waiting = stays.filter(over).select("customer_id", until="end_index")
    stays = stays.inner_join(first, "customer_id")
    joined = stays.left_join(_running(source, waiting, as_of, known_until), ["customer_id", "currency"])
    joined = numbered(joined, "leaves")
    due = _begun(joined, numbers_of(joined, "start"), numbers_of(joined, "leaves")) - 1 - joined.tenure
    monthly = joined.monthly_minor.fill_null(0)
    by_day = (monthly * 12 * joined.bill_days * 2 + 365) // 730
    by_month = monthly * joined.bill_months
    joined = joined.mutate(billed_minor=(joined.bill_months > 0).ifelse(by_month, by_day).cast("int64"))
    discount = (1.0 + yearly_rate) ** (-(joined.wait_days.cast("float64")) / 365.25)
    return joined.select(
        "customer_id",
        "group",
        "interval",
        *dims,
        "tenure",
        "cohort",
        "currency",
        "billed_minor",
        "wait_days",
        waited_minor=joined.billed_minor.cast("float64") * discount,
        bills_left=joined.leaves.isnull().ifelse(-1, ibis.greatest(due, 0)).fill_null(-1).cast("int64"),
    )


def base_counts(customers: ir.Table, dims: Sequence[str] = (), *, since: dt.date | None = None) -> ir.Table:
    """Count the customers of `base` by group, characteristics and tenure.

    Args:
        since: Who first came in this day's month or later is counted apart, too.

    Returns:
        A row per combination: group, interval, `dims`, tenure, currency and bills_left, with customers,
        billed_minor and waited_minor; of those who came since, newer and newer_minor (billed).
    """
    keys = ["group", "interval", *dims, "tenure", "currency", "bills_left"]
    newer = customers.cohort >= (day_of(since).month if since else _NEVER)
    return customers.group_by(*keys).agg(
        customers=_.count().cast("int64"),
        billed_minor=_.billed_minor.sum().cast("int64"),
        waited_minor=_.waited_minor.sum(),
        newer=newer.sum().cast("int64"),
        newer_minor=_.billed_minor.sum(where=newer).fill_null(0).cast("int64"),
    )


def paid_by_tenure(source: Tables, stays: ir.Table, *, since: dt.date, as_of: dt.date) -> ir.Table:
    """Add up what customers paid for their subscription within some days, by how long they had been there.

    Returns:
        A row per combination: group, interval, currency, tenure (renewals passed when it was paid),
        payers (customers with an attempt in that interval), charges (paid), failed (attempts), paid_minor,
        refunded_minor and squares (the sum over payers of their net amount squared).
    """
    paid = _of_stays(_payments(source, since, as_of), stays)
    # A term is bought about when the clock ticks, sooner or later.
    about = paid.terms.notnull().ifelse(paid.days_ // 2, 0)
    at = Day(paid.paid_index + about, paid.paid_month, paid.paid_day_of_month)
    last = paid.cause.isnull().ifelse(_NEVER, _lasted(paid) - 1)
    tenure = _completed(paid, numbers_of(paid, "start"), at)
    paid = paid.mutate(tenure=ibis.least(tenure, last).cast("int64"))
    keys = ["group", "interval", "currency", "tenure"]
    each = paid.group_by("customer_id", "spell", *keys).agg(
        charges=_.status.count(where=_.status == "paid").cast("int64"),
        failed=_.status.count(where=_.status == "failed").cast("int64"),
        **_AMOUNTS,
    )
    each = each.mutate(net=(_.paid_minor - _.refunded_minor).cast("float64"))
    return each.group_by(*keys).agg(
        payers=_.count().cast("int64"),
        charges=_.charges.sum().cast("int64"),
        failed=_.failed.sum().cast("int64"),
        paid_minor=_.paid_minor.sum().cast("int64"),
        refunded_minor=_.refunded_minor.sum().cast("int64"),
        squares=((_.net.var(how="pop") + _.net.mean() * _.net.mean()) * _.count()).cast("float64"),
    )


def still_on(stays: ir.Table, *, at: dt.date) -> ir.Table:
    """Keep the spells that were on at the end of a day, to count or to add up what came after it."""
    then = day_of(at).index
    return stays.filter((_.start_index <= then) & (_.cause.isnull() | (_.end_index > then)).fill_null(True))


def paid_after(source: Tables, stays: ir.Table, *, on_at: dt.date, as_of: dt.date) -> ir.Table:
    """Add up what the customers who were on at the end of a day have paid for that spell since.

    Returns:
        A row per combination: group, interval, currency, cohort (index of the month in which the spell
        began), paid_minor and refunded_minor.
    """
    staying = still_on(_with_next(stays), at=on_at)
    paid = _of_stays(_payments(source, on_at + dt.timedelta(days=1), as_of), staying)
    return paid.group_by("group", "interval", "currency", cohort=_.start_month).agg(**_AMOUNTS)


def intervals_begun(stays: ir.Table, *, since: dt.date, as_of: dt.date) -> ir.Table:
    """Count spells by which of their billing intervals began within some days.

    Returns:
        A row per combination: group, interval, currency, first and last (renewals passed at the first and the
        last interval that began within the days) and n.
    """
    start, first, until = numbers_of(stays, "start"), day_of(since), _passed(stays, as_of)
    stays = stays.mutate(
        first=(start.index < first.index).ifelse(_begun(stays, start, first), 0).cast("int64"),
        # Whose term is over has begun no other, whether or not they may still go on.
        last=stays.cause.isnull().ifelse(until, ibis.least(until, _lasted(stays) - 1)).cast("int64"),
    )
    counts = stays.group_by("group", "interval", "currency", "first", "last").agg(n=_.count().cast("int64"))
    return counts.filter(_.last >= _.first)


def newcomers(stays: ir.Table, *, since: dt.date) -> ir.Table:
    """Keep the first spells of customers who began on some day or later, to count and add up theirs alone.

    Where nobody did, those of the latest year in which anybody began.

    Of subscriptions that are valued each by itself, these are the ones of owners who had none before.
    """
    rows = _with_next(stays)
    whose = rows.owner if "owner" in rows.columns else rows.customer_id
    first = rows.start_index.min().over(ibis.window(group_by=whose))
    rows, day = rows.mutate(first_ever=first), day_of(since).index
    last = rows.first_ever.max().over(ibis.window())
    begin = (last >= day).ifelse(day, last - 364)
    return rows.mutate(since=begin).filter((_.spell == 1) & (_.first_ever >= _.since))


def intake(newcomers: ir.Table, dims: Sequence[str] = ()) -> ir.Table:
    """Count the customers of `newcomers`.

    Returns:
        A row per combination: group, interval, `dims` and customers; where subscriptions are valued each by
        itself, owners is how many have them, those of several in equal parts.
    """
    counts = {"customers": _.count().cast("int64")}
    if "owner" in newcomers.columns:
        each = 1.0 / _.customer_id.count().over(ibis.window(group_by="owner"))
        newcomers = newcomers.mutate(part=each)
        counts["owners"] = _.part.sum()
    return newcomers.group_by("group", "interval", *dims).agg(**counts)


def payers(source: Tables, newcomers: ir.Table, *, as_of: dt.date) -> ir.Table:
    """Count the customers of `newcomers` by what each has paid, net of refunds.

    Returns:
        A row per combination: group, interval, currency, paid_minor and n.
    """
    keys = ["group", "interval", "currency"]
    paid = _of_stays(_payments(source, None, as_of), newcomers)
    each = paid.group_by("customer_id", *keys).agg(**_AMOUNTS)
    each = each.mutate(paid_minor=(_.paid_minor - _.refunded_minor).cast("int64"))
    return each.group_by(*keys, "paid_minor").agg(n=_.count().cast("int64"))


def paid_by_cohort(source: Tables, stays: ir.Table, *, as_of: dt.date, months: int = 3) -> ir.Table:
    """Add up all that customers have paid for their subscriptions, by when they first came.

    Returns:
        A row per cohort and currency: cohort (index of its first month), currency, customers, charges,
        paid_minor and refunded_minor.
    """
    first = stays.filter(_.spell == 1).select(
        "customer_id", "currency", "start_index", cohort=((_.start_month // months) * months).cast("int64")
    )
    sizes = first.group_by("cohort", "currency").agg(customers=_.count().cast("int64"))
    payments = _payments(source, None, as_of)
    each = payments.group_by("customer_id").agg(
        charges=_.status.count(where=_.status == "paid").cast("int64"),
        **_AMOUNTS,
    )
    sums = (
        first.inner_join(each, "customer_id")
        .group_by("cohort", "currency")
        .agg(**{name: _[name].sum().cast("int64") for name in ("charges", "paid_minor", "refunded_minor")})
    )
    joined = sizes.left_join(sums, ["cohort", "currency"])
    return joined.select(
        "cohort",
        "currency",
        "customers",
        **{name: joined[name].fill_null(0) for name in ("charges", "paid_minor", "refunded_minor")},
    ).order_by("cohort", "currency")


def score(customers: ir.Table, scores: ir.Table, dims: Sequence[str] = ()) -> ir.Table:
    """Give each customer of `base` their expected value to come, by joining a small table.

    Args:
        scores: A row for each group, interval, `dims`, tenure, currency and bills_left: multiplier, with low
            and high (value in the reporting currency's minor units, for each discounted minor unit billed),
            and stays_a_year (the chance to be there a year from now).

    Returns:
        The customers that have a score: the columns of `base`, with value, low, high (minor units, not
        rounded) and stays_a_year.
    """
    keys = ["group", "interval", *dims, "tenure", "currency", "bills_left"]
    joined = customers.inner_join(scores, keys)
    return joined.select(
        *customers.columns,
        value=joined.waited_minor * joined.multiplier,
        low=joined.waited_minor * joined.low,
        high=joined.waited_minor * joined.high,
        stays_a_year=joined.stays_a_year,
    )


def value_by_cohort(scored: ir.Table, *, months: int = 3) -> ir.Table:
    """Add up the scored customers' value to come, by when their spell began.

    Returns:
        A row per cohort: cohort (index of its first month), customers (still on), value, low and high.
    """
    rows = scored.mutate(cohort=((_.cohort // months) * months).cast("int64"))
    return (
        rows.group_by("cohort")
        .agg(
            customers=_.count().cast("int64"),
            **{name: _[name].sum() for name in ("value", "low", "high")},
        )
        .order_by("cohort")
    )


def movement(before: ir.Table, after: ir.Table, stays: ir.Table, since: dt.date) -> ir.Table:
    """Say how the value of the customer base moved between two days: new, lost, revalued.

    Args:
        stays: As known on the later day.
        since: The earlier day.

    Returns:
        One row: before, new, lost, revalued and after (value, in minor units; ``before + new + lost +
        revalued = after``) and the customers of each but the last two: customers_before, customers_new,
        customers_lost, customers_after; and customers_late, of the lost: those whose end is dated by the
        earlier day, such as who was past due then and has been given up.
    """
    until = subscriptions.still(stays).ifelse(_NEVER, stays.end_index)
    ended = stays.group_by("customer_id").agg(late=until.max() <= day_of(since).index)
    then = before.left_join(ended, "customer_id").select("customer_id", "late", value_before=_.value)
    now = after.select(id_after=after.customer_id, value_after=after.value)
    both = then.outer_join(now, then.customer_id == now.id_after)
    both = both.mutate(was=both.customer_id.notnull(), is_=both.id_after.notnull())
    both = both.mutate(a=_.value_before.fill_null(0.0), b=_.value_after.fill_null(0.0))
    return both.aggregate(
        before=_.a.sum().fill_null(0.0),
        new=_.b.sum(where=~_.was).fill_null(0.0),
        lost=-(_.a.sum(where=~_.is_).fill_null(0.0)),
        revalued=(_.b - _.a).sum(where=_.was & _.is_).fill_null(0.0),
        after=_.b.sum().fill_null(0.0),
        customers_before=_.was.sum().fill_null(0).cast("int64"),
        customers_new=(~_.was).sum().fill_null(0).cast("int64"),
        customers_lost=(~_.is_).sum().fill_null(0).cast("int64"),
        customers_late=(~_.is_ & _.late).sum().fill_null(0).cast("int64"),
        customers_after=_.is_.sum().fill_null(0).cast("int64"),
    )


def brought(
    source: Tables,
    total: str = "",
    *,
    as_of: dt.date,
    currency: str = "",
    policy: MetricPolicy = MetricPolicy(),
) -> ir.Table:
    """Add up what customers bring who have left, who are still there, and who have never had a price.

    Args:
        total: A column of customers that holds what each has paid in all; empty: what they pay a month, at
            the highest price that each has had.

    Returns:
        A row per state and currency: state ("left", "still on" or "free"; all subscriptions of the last are
        priced 0, so that they have no spell), currency, customers, known (those of them with an amount), and
        amount, in minor units or as the column has it.
    """
    if total and total not in source["customers"].columns:
        raise InputError(
            f"`total` is {total!r}, and the table customers has no such column; it has "
            f"{', '.join(source['customers'].columns)}. Fix: name one, or leave `total` empty."
        )
    stays = subscriptions.spells(source, as_of=as_of, currency=currency, policy=policy)
    on = stays.filter(subscriptions.still(stays)).select("customer_id").distinct().mutate(on=ibis.literal(1))
    spans = known_spans(source, lenses(as_of, policy), currency).inner_join(people(source), "customer")
    priced = spans.semi_join(stays, "customer_id").filter(_.excluded.isnull())
    free = spans.filter(_.excluded == "free").anti_join(stays, "customer_id")
    each = priced.group_by("customer_id").agg(
        currency=_.currency.min(), amount=_.amount.max().cast("float64"), free=ibis.literal(0)
    )
    rest = free.group_by("customer_id").agg(
        currency=_.currency.min(), amount=ibis.literal(0.0), free=ibis.literal(1)
    )
    rows = ibis.union(each, rest).left_join(on, "customer_id").drop("customer_id_right")
    if total:
        written = source["customers"][total].cast("string").strip()
        number = written.re_search("^-?[0-9]+([.][0-9]+)?$").ifelse(written, ibis.null("string"))
        paid = source["customers"].select("customer_id", total=number.cast("float64"))
        rows = rows.drop("amount").left_join(paid, "customer_id").drop("customer_id_right")
        rows = rows.rename(amount="total")
    state = ibis.cases((rows.free == 1, "free"), (rows.on.isnull(), "left"), else_="still on")
    sums = rows.mutate(state=state).group_by("state", "currency")
    return sums.agg(
        customers=_.count().cast("int64"), known=_.amount.count().cast("int64"), amount=_.amount.sum()
    ).order_by("state", "currency")


def _observed(
    stays: ir.Table, as_of: dt.date, observed_from: dt.date | None, on_at: dt.date | None
) -> ir.Table:
    """Lifetimes with the renewals from and to which they were observed, and how that ended."""
    start = numbers_of(stays, "start")
    entry: ir.IntegerValue = ibis.literal(0, "int64")
    if observed_from:
        first = day_of(observed_from)
        entry = (start.index < first.index).ifelse(_begun(stays, start, first), 0).cast("int64")
    if on_at:
        then = day_of(on_at)
        stays = stays.filter((_.cause.isnull() | (_.end_index > then.index)).fill_null(True))
        start = numbers_of(stays, "start")
        passed = (start.index < then.index).ifelse(_completed(stays, start, then), 0)
        entry = ibis.greatest(passed, entry).cast("int64") if observed_from else passed.cast("int64")
    stays = stays.mutate(
        entry=entry,
        ripe=stays.cause.isnull().ifelse(_passed(stays, as_of), _completed(stays, start, day_of(as_of))),
        lasted=_lasted(stays),
    )
    stays = subscriptions.outcome(stays).mutate(cohort=_.start_month)
    return stays.filter(_.exit > _.entry)


def _completed(table: ir.Table, start: Day, end: Day) -> ir.IntegerValue:
    """Whole billing intervals between two days."""
    months = completed_periods(start, end, "month") // ibis.greatest(table.months_, 1)
    days = (end.index - start.index) // ibis.greatest(table.days_, 1)
    return (table.months_ > 0).ifelse(months, days).cast("int64")


def _begun(table: ir.Table, start: Day, end: Day) -> ir.IntegerValue:
    """Billing intervals begun between two days: the whole ones, and one more if any is left."""
    length = ibis.greatest(table.months_, 1)
    months = (begun_periods(start, end, "month") + length - 1) // length
    spell = ibis.greatest(table.days_, 1)
    days = (end.index - start.index + spell - 1) // spell
    return (table.months_ > 0).ifelse(months, days).cast("int64")


def _renewal_day(table: ir.Table, start: Day, renewal: ir.IntegerValue) -> ir.IntegerValue:
    """The day index of a renewal: the same day of a later month, or its last day where it is too short."""
    month = (start.month + renewal * table.months_).cast("int64")
    within = ibis.least(start.day_of_month, days_in_month(month))
    by_day = start.index + renewal * table.days_
    return (table.months_ > 0).ifelse(month_start(month) + within - 1, by_day).cast("int64")


def _running(source: Tables, waiting: ir.Table, as_of: dt.date, known_until: dt.date) -> ir.Table:
    """What each customer's running subscriptions cost a month, by currency, and when the last of them ends.

    Of those `waiting` within the gap, it is what the subscriptions cost that ended last. Who pays for usage
    alone is taken to go on as before.

    `leaves` is null unless an end of all of them is known: notice was given, or they end by design or on a
    day after all that is known.
    """
    cut = end_of(as_of)
    spans, ended = running(source, as_of), source["subscriptions"].inner_join(waiting, "customer_id")
    ended = ended.filter((day_index(ended.ended_at) == ended.until) & (ended.status != "trialing"))
    spans = complete(ibis.union(spans, ended.select(spans.columns)))
    by_design = (~spans.renews | (spans.end_reason == "expired")).fill_null(False)
    planned = spans.ended_at.notnull() & (spans.ended_at >= end_of(known_until))
    planned &= (spans.end_reason != "switched").fill_null(True)
    notice = (spans.cancel_requested_at < cut).fill_null(False)
    term = by_design.ifelse(spans.commitment_ends_at, ibis.null("timestamp"))
    known, end = notice | planned | by_design, ibis.coalesce(spans.ended_at, term)
    # Where no day is given, it is that of the next renewal.
    end = known.ifelse(ibis.coalesce(end, ibis.literal(cut)), ibis.null("timestamp"))
    spans = spans.mutate(monthly_minor=monthly_amount(spans), end=end)
    sums = spans.group_by("customer_id", "currency").agg(
        monthly_minor=_.monthly_minor.sum().cast("int64"),
        leaves=_.end.isnull().any().ifelse(ibis.null("date"), _.end.max().date()),
    )
    return with_usage(source, sums, as_of)


def _payments(source: Tables, since: dt.date | None, as_of: dt.date) -> ir.Table:
    """Attempts to charge for a subscription within some days, with the numbers of their day."""
    payments = source["payments"].filter(_.kind.isin(SUBSCRIPTION_KINDS))
    payments = payments.filter(_.attempted_at < end_of(as_of))
    if since:
        payments = payments.filter(_.attempted_at >= dt.datetime.combine(since, dt.time()))
    return payments.select(
        "customer_id",
        "currency",
        "status",
        "amount_minor",
        paid_index=day_index(payments.attempted_at),
        paid_month=month_index(payments.attempted_at),
        paid_day_of_month=payments.attempted_at.day().cast("int64"),
    )


def _of_stays(payments: ir.Table, stays: ir.Table) -> ir.Table:
    """Payments beside the spell that each belongs to."""
    stays = _with_next(stays)
    return payments.inner_join(
        stays.rename(stay_currency="currency"),
        [
            payments.customer_id == stays.customer_id,
            payments.currency == stays.currency,
            payments.paid_index >= stays.start_index,
            payments.paid_index < stays.until,
        ],
    )


def _with_next(stays: ir.Table) -> ir.Table:
    """Spells with the first day that belongs to the customer's next one: a refund may come after the end."""
    if "until" in stays.columns:
        return stays
    later = ibis.window(group_by="customer_id", order_by="spell")
    return stays.mutate(until=stays.start_index.lead(1).over(later).fill_null(_NEVER).cast("int64"))
