"""What people answered about prices, what they use, and who pays which price, reduced to small tables.

How a price survey is put into the contract's table `surveys` (survey "price"), one row a question asked:

=======================================  ==============================================================
question                                 score, or answer
=======================================  ==============================================================
too_cheap, cheap, expensive,             score: the price in units of the customer's currency
too_expensive
buy at 9.99                              score: 1 would buy, 0 would not
choice 1: price=9.99; term=month |       answer: the number of the offer chosen, 0 for none of them; an
price=7.99; term=year | none             offer is `name=value` pairs, of which one is price
=======================================  ==============================================================
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Literal

import ibis
from ibis import _, ir

from tenure.errors import NotApplicable
from tenure.measures.calendar import day_index, day_of, end_of, month_index
from tenure.measures.groups import grouped, nameable
from tenure.measures.spans import Tables, monthly_amount, real, runs

METER = ("too_cheap", "cheap", "expensive", "too_expensive")


def _price_survey(source: Tables) -> ir.Table:
    if "surveys" not in source:
        raise NotApplicable("Nobody was asked about prices: there is no table `surveys`.")
    return real(source, source["surveys"].filter(_.survey == "price"))


def price_questions(source: Tables) -> ir.Table:
    """Count what was asked about prices and how many answered.

    Returns:
        A row per kind of question: kind (meter, buy, choice or other), asked, answered, people (who answered
        any).
    """
    s = _price_survey(source)
    s = s.mutate(
        kind=ibis.cases(
            (s.question.isin(METER), "meter"),
            (s.question.like("buy at %"), "buy"),
            (s.question.like("choice %"), "choice"),
            else_="other",
        ),
        given=s.score.notnull() | s.answer.notnull(),
    )
    return (
        s.group_by("kind")
        .agg(
            asked=_.count().cast("int64"),
            answered=_.given.sum().cast("int64"),
            people=_.customer_id.nunique(where=_.given).cast("int64"),
        )
        .order_by("kind")
    )


def price_answers(source: Tables, *, by: str | None = None) -> ir.Table:
    """Count the answers to the four questions of the price meter.

    Returns:
        A row per combination of answers: group, too_cheap, cheap, expensive, too_expensive (null where it
        was left out) and n, the people who gave these. Questions sent within a week of one another are one
        survey; of several the last counts, before those that leave a question out.
    """
    s = _price_survey(source).filter(_.question.isin(METER) & _.score.notnull())
    s = s.mutate(day=day_index(s.sent_at))
    s = runs(s, ["customer_id"], ["day", "sent_at", "question", "score"], "day", "day", gap=7)
    waves = s.group_by("customer_id", "run").agg(
        questions=_.question.nunique(),
        **{name: _.score.max(where=_.question == name) for name in METER},
    )
    waves = waves.mutate(place=_.run + (_.questions == len(METER)).ifelse(10**6, 0))
    last = waves.group_by("customer_id").agg(place=_.place.max())
    people = waves.semi_join(last, ["customer_id", "place"])
    return (
        grouped(source, people, by)
        .group_by("group", *METER)
        .agg(n=_.count().cast("int64"))
        .order_by("group", *METER)
    )


def stated_demand(source: Tables) -> ir.Table:
    """Count who would buy at each price asked about.

    Returns:
        A row per question: question (such as "buy at 9.99"), n (answers) and would_buy (those above 0).
    """
    s = _price_survey(source).filter(_.question.like("buy at %") & _.score.notnull())
    return (
        s.group_by("question")
        .agg(n=_.count().cast("int64"), would_buy=(_.score > 0).ifelse(1, 0).sum().cast("int64"))
        .order_by("question")
    )


def price_choices(source: Tables) -> ir.Table:
    """Return the choices between offers that were answered.

    Returns:
        A row per task in order: customer_id, question (which describes the offers) and answer.
    """
    s = _price_survey(source).filter(_.question.like("choice %") & _.answer.notnull())
    return s.select("customer_id", "question", "answer").order_by("customer_id", "question", "answer")


def usage_counts(
    source: Tables,
    *,
    as_of: dt.date,
    event: str,
    unit: Literal["hours", "events"] = "hours",
    months: int = 3,
    currency: str = "",
) -> ir.Table:
    """Count months of customers by what they used and what they paid.

    A month is 28 days, counted back from the as-of date; a customer's month counts if one subscription
    was active through all of it, at the price of that span. Months without use count, with 0 units.

    Args:
        unit: Hours of its duration, begun ones counted whole, or how often it happened.
        months: How many months of 28 days to look back.

    Returns:
        A row per combination: plan, currency, month (0 is the last), units, monthly_minor (paid a month, in
        minor units) and n (customers).
    """
    cut, after = day_of(as_of).index + 1, end_of(as_of)
    first = after - dt.timedelta(days=28 * months)
    e = source["events"]
    e = e.filter((e.occurred_at >= first) & (e.occurred_at < after) & (e.event == event))
    e = e.select(
        "customer_id", "duration_s", month=((cut - 1 - day_index(e.occurred_at)) // 28).cast("int64")
    )
    amount = _.duration_s.fill_null(0).sum() if unit == "hours" else _.count()
    used = e.group_by("customer_id", "month").agg(amount=amount.cast("int64"))
    used = used.mutate(units=((_.amount + 3599) // 3600).cast("int64") if unit == "hours" else _.amount)

    s = _paid(source, currency).filter((_.status == "active") & (_.started_at < after))
    s = s.select(
        "customer_id",
        "plan",
        "currency",
        monthly_minor=monthly_amount(s),
        from_day=day_index(s.started_at),
        to_day=s.ended_at.isnull().ifelse(cut, day_index(s.ended_at)).cast("int64"),
    ).filter(_.monthly_minor > 0)
    spans = s.mutate(month=ibis.range(months).unnest())
    spans = spans.mutate(month=_.month.cast("int64"))
    spans = spans.filter((_.from_day <= cut - (_.month + 1) * 28) & (_.to_day >= cut - _.month * 28))
    # Of several subscriptions the most expensive counts as the one that is used.
    largest = spans.group_by("customer_id", "month").agg(monthly_minor=_.monthly_minor.max())
    spans = spans.semi_join(largest, ["customer_id", "month", "monthly_minor"])
    spans = spans.group_by("customer_id", "month", "monthly_minor").agg(
        plan=_.plan.min(), currency=_.currency.min()
    )
    whole = spans.left_join(used.select("customer_id", "month", "units"), ["customer_id", "month"])
    whole = whole.mutate(units=_.units.fill_null(0).cast("int64"))
    return (
        whole.group_by("plan", "currency", "month", "units", "monthly_minor")
        .agg(n=_.count().cast("int64"))
        .order_by("plan", "currency", "month", "units", "monthly_minor")
    )


def prices_paid(source: Tables, *, as_of: dt.date, recent_days: int = 90, currency: str = "") -> ir.Table:
    """Count who pays which price at the end of a day, and who began at it lately.

    Args:
        recent_days: How many days back a new subscription is recent.

    Returns:
        A row per plan, currency, billing (such as "1 month") and unit_amount_minor: subscriptions, seats
        (units that they pay for), monthly_minor (all of them together, after discounts), and recent, those
        of the customers whose first subscription began within `recent_days`.
    """
    since = end_of(as_of) - dt.timedelta(days=recent_days)
    s = _paid(source, currency).filter(_.started_at < end_of(as_of))
    began = s.group_by("customer_id").agg(began=_.started_at.min())
    on = _on(s, end_of(as_of)).filter(_.status == "active")
    on = on.mutate(
        monthly=monthly_amount(on),
        billing=_billing(on),
    )
    on = nameable(on.inner_join(began, "customer_id"), "plan")
    return (
        on.group_by("plan", "currency", "billing", "unit_amount_minor")
        .agg(
            subscriptions=_.count().cast("int64"),
            seats=_.quantity.sum().cast("int64"),
            monthly_minor=_.monthly.sum().cast("int64"),
            recent=(_.began >= since).ifelse(1, 0).sum().cast("int64"),
        )
        .order_by("plan", "currency", "billing", "unit_amount_minor")
    )


def price_rises(
    source: Tables, *, as_of: dt.date, days: int = 0, billing: str = "", by: Sequence[str] = ()
) -> ir.Table:
    """Count by month the subscriptions whose price rose while their plan stayed.

    Args:
        days: Only months whose first so many days have passed.
        billing: Only those billed so, such as "1 month"; empty: all.
        by: "plan" counts each plan apart.

    Returns:
        A row per month in order, and `by`: month (the index of `measures.calendar.month_index`) and raised.
    """
    s, last = _paid(source, "").filter(_.started_at < end_of(as_of)), end_of(as_of) - dt.timedelta(days=days)
    order = ibis.window(group_by="subscription_id", order_by="started_at")
    s = s.select(
        "subscription_id",
        "plan",
        "unit_amount_minor",
        billing=_billing(s),
        month=month_index(s.started_at),
        plan_before=s.plan.lag().over(order),
        price_before=s.unit_amount_minor.lag().over(order),
    )
    rose = (_.plan == _.plan_before) & (_.unit_amount_minor > _.price_before)
    rose = rose & (_.billing == billing) if billing else rose
    rose = rose & (_.month <= last.year * 12 + last.month - 1)
    return s.filter(rose).group_by("month", *by).agg(raised=_.count().cast("int64")).order_by("month", *by)


def rise_window(billing: str) -> int:
    """Return the days within which everybody billed so meets a rise in price, five weeks at least.

    Example:
        >>> rise_window("1 month"), rise_window("3 month"), rise_window("1 week")
        (35, 97, 35)
    """
    count, unit = billing.split()
    return max(35, int(count) * {"day": 1, "week": 7, "month": 31, "year": 366}[unit] + 4)


def rise_response(
    source: Tables, *, day: dt.date, days: int = 35, billing: str = "1 month", currency: str = ""
) -> ir.Table:
    """Count what subscriptions did in the days after a price rise, and in those before it.

    Args:
        day: The first day of the rise.
        days: For how long to look: so long that everybody's next payment lies within them.
        billing: How often those are billed who are looked at.

    Returns:
        A row per window: variant (before or after), n (subscriptions active when it began), left (no longer
        there when it ended) and cheaper (there, at a lower rate a month).
    """
    s = _paid(source, currency).filter(_.status != "trialing").mutate(rate=monthly_amount)
    first_moment = dt.datetime.combine(day, dt.time())
    parts = []
    for name, start in (("before", first_moment - dt.timedelta(days=days)), ("after", first_moment)):
        first = _on(s, start).filter((_.status == "active") & (_billing(_) == billing))
        first = first.group_by("subscription_id").agg(first=_.rate.max())
        last = _on(s, start + dt.timedelta(days=days)).group_by("subscription_id").agg(last=_.rate.max())
        both = first.left_join(last, "subscription_id")
        parts.append(
            both.aggregate(
                n=_.count().cast("int64"),
                left=_["last"].isnull().ifelse(1, 0).sum().cast("int64"),
                cheaper=(_["last"] < _["first"]).fill_null(False).ifelse(1, 0).sum().cast("int64"),
            ).mutate(variant=ibis.literal(name))
        )
    return ibis.union(*parts).select("variant", "n", "left", "cheaper").order_by("variant")


def _paid(source: Tables, currency: str) -> ir.Table:
    """Spans of real customers that have a price."""
    spans = source["subscriptions"].filter(_.unit_amount_minor > 0)
    return real(source, spans.filter(_.currency == currency) if currency else spans)


def _billing(spans: ir.Table) -> ir.StringValue:
    """How often spans are billed, such as "1 month"."""
    return spans.billing_interval_count.cast("string") + " " + spans.billing_interval


def _on(spans: ir.Table, at: dt.datetime) -> ir.Table:
    """Spans that run at a moment."""
    return spans.filter((_.started_at < at) & (_.ended_at.isnull() | (_.ended_at >= at)).fill_null(True))
