"""Why customers leave: what they say and what is recorded, what goes before it, and charges that fail.

*Departures* are the ends of all spells, *months of life* those of first spells.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

import ibis
from ibis import _, ir

from tenure.measures.calendar import completed_periods, day, day_index, day_of, end_of, numbered, numbers_of
from tenure.measures.feedback import answered_at
from tenure.measures.groups import nameable
from tenure.measures.ledger import second_index
from tenure.measures.spans import Tables, complete, real, stacked
from tenure.measures.subscriptions import UNDECIDED, ended_prices, first_spells, spells
from tenure.policy import MetricPolicy

# An answer belongs to the end of a spell at most so many days before it was asked for.
_ASKED_AFTER = 60
_DAY_SECONDS = 86_400
_NEVER = 10**12  # a second that never comes


def departures(
    source: Tables, *, as_of: dt.date, currency: str = "", policy: MetricPolicy = MetricPolicy()
) -> ir.Table:
    """Return the ends of all spells, with what was paid per month when they ended.

    Returns:
        A row per end and currency: customer_id, spell, cause (voluntary, involuntary or unknown), end_day
        (index), tenure (whole months), plan, currency, amount_minor and lead, 1 in one of the rows of an end.
    """
    stays = spells(source, as_of=as_of, currency=currency, policy=policy)
    gone = numbered(stays.filter(_.cause.notnull() & ~_.cause.isin(UNDECIDED)), "start", "end")
    lasted = completed_periods(numbers_of(gone, "start"), numbers_of(gone, "end"), "month")
    gone = gone.select("customer_id", "spell", "cause", end_day=_.end_index, tenure=lasted)
    each = ended_prices(source, gone, as_of=as_of, currency=currency, policy=policy)
    first = _.currency == _.currency.min().over(group_by=["customer_id", "spell"])
    return each.mutate(lead=first.ifelse(1, 0).cast("int64")).rename(amount_minor="monthly_minor")


def exit_questions(source: Tables, *, as_of: dt.date) -> ir.Table:
    """List the questions of the exit survey, the one most answered first: question, answers, scores."""
    asked = _asked(source, as_of).group_by("question")
    counts = asked.agg(answers=_.answer.count().cast("int64"), scores=_.score.count().cast("int64"))
    return counts.order_by(ibis.desc("answers"), "question")


def with_answers(source: Tables, gone: ir.Table, question: str, *, as_of: dt.date) -> ir.Table:
    """Add to departures what customers answered to a question of the exit survey.

    An invitation belongs to the end of a spell that is nearest to it, up to 60 days before it or at any time
    after; of several invitations for one end the last answered one counts.

    Returns:
        The rows of `gone` with asked (1 or 0) and answer (null: none).
    """
    if "surveys" not in source:
        return gone.mutate(asked=ibis.literal(0, "int64"), answer=ibis.null("string"))
    asked = _asked(source, as_of).filter(_.question == question)
    asked = asked.select("customer_id", "answer", asked_day=day_index(asked.sent_at))
    ends = gone.select("customer_id", "spell", "end_day").distinct()
    pairs = ends.inner_join(asked, "customer_id").filter(_.end_day >= _.asked_day - _ASKED_AFTER)
    near = ibis.window(
        group_by=["customer_id", "asked_day"], order_by=[(_.end_day - _.asked_day).abs(), _.spell]
    )
    pairs = pairs.mutate(place=ibis.dense_rank().over(near)).filter(_.place == 0)
    given = pairs.filter(_.answer.notnull())
    last = given.group_by("customer_id", "spell").agg(asked_day=_.asked_day.max())
    given = given.semi_join(last, ["customer_id", "spell", "asked_day"])
    each = pairs.select("customer_id", "spell").distinct().mutate(asked=ibis.literal(1, "int64"))
    said = given.group_by("customer_id", "spell").agg(answer=_.answer.min())
    rows = gone.left_join(each, ["customer_id", "spell"]).select(gone, "asked")
    rows = rows.left_join(said, ["customer_id", "spell"]).select(rows, "answer")
    return rows.mutate(asked=_.asked.fill_null(0))


def answer_counts(said: ir.Table, *, since: dt.date) -> ir.Table:
    """Count the departures from a day on by what their customers answered.

    Args:
        said: As from `with_answers`.

    Returns:
        A row per cause, asked, answer (null: none), plan, band (of tenure: from month 0, 1, 3, 12) and
        currency: n, amount_minor (what they paid a month) and squares (the sum of its squares).
    """
    said = nameable(said.filter(_.end_day >= day_of(since).index), "plan")
    band = sum(((said.tenure >= start).ifelse(1, 0) for start in (1, 3, 12)), ibis.literal(0)).cast("int64")
    return _summed(said.mutate(band=band), "cause", "asked", "answer", "plan", "band", "currency")


def with_reasons(source: Tables, said: ir.Table, lives: ir.Table, means: Mapping[str, str] = {}) -> ir.Table:
    """Return the customers with what is known of the end of their first spell.

    Args:
        said: As from `with_answers`.
        lives: As from `months_of_life`.
        means: The reason that each answer means; empty: answers are reasons.

    Returns:
        The customers with `reason`, what they said, or "payment failed" where it ended for that, and `sign`,
        "unresolved request" where they chose to leave with an open one; null for all others.
    """
    first = said.filter((_.spell == 1) & (_.lead == 1))
    answer = first.answer.cases(*means.items()) if means else first.answer
    reason = (first.cause == "involuntary").ifelse("payment failed", answer)
    found = first.select("customer_id", reason=reason, sign=ibis.null("string"))
    if "unresolved" in lives.columns:
        unresolved = lives.filter((_.left == 1) & (_.unresolved == "open"))
        unresolved = unresolved.select("customer_id", sign=ibis.literal("unresolved request"))
        found = found.drop("sign").left_join(unresolved, "customer_id").drop("customer_id_right")
    customers = source["customers"].drop(*{"reason", "sign"} & {*source["customers"].columns})
    return customers.left_join(found, "customer_id").drop("customer_id_right")


def months_of_life(
    source: Tables,
    *,
    events: Sequence[str] = (),
    as_of: dt.date,
    currency: str = "",
    observed_from: dt.date | None = None,
    policy: MetricPolicy = MetricPolicy(),
) -> ir.Table:
    """Return the months of first spells, with what happened in each.

    Args:
        events: Kinds of events that count as use; none: use is not looked at.

    Returns:
        A row per customer and month: customer_id, plan, month (0 is the first), started (the index of the
        month of the calendar in which the spell began), term (months of a billing interval), due (1: a
        renewal is due at its end, or the spell ended in it), left (1: the customer chose to leave in it) and,
        where there is such a table, use ("none", "less than half" of the month before, or "as before"),
        ticket ("opened" or "none"), unresolved (at its end: "open" or "none"), payment ("failed" or "paid").
    """
    lives = first_spells(source, "plan", as_of, "month", None, None, currency, observed_from, policy)
    lives = numbered(lives, "start")
    count, yearly = lives.billing.split(" ")[0].cast("int64"), lives.billing.endswith("year")
    whole = yearly.ifelse(count * 12, lives.billing.endswith("month").ifelse(count, 1))
    rows = lives.mutate(term=whole.cast("int64"), month=ibis.range(lives.exit).unnest())
    last = (rows.event == 1) & (rows.month == rows.exit - 1)
    rows = rows.filter(rows.month >= rows.entry).select(
        "customer_id",
        "term",
        plan="group",
        month=rows.month.cast("int64"),
        started="start_month",
        due=(last | ((rows.month + 1) % rows.term == 0)).ifelse(1, 0).cast("int64"),
        left=(last & (rows.cause != "involuntary")).fill_null(False).ifelse(1, 0).cast("int64"),
    )
    base = rows.columns

    def add(rows: ir.Table, name: str, table: str, time: str, keep: ir.BooleanValue) -> ir.Table:
        found = source[table].filter(keep & (_[time] < end_of(as_of))).select("customer_id", at=_[time])
        found = found.inner_join(lives, "customer_id")
        at = completed_periods(numbers_of(found, "start"), day(found.at), "month")
        found = found.group_by("customer_id", month=ibis.greatest(at, 0)).agg(n=_.count())
        joined = rows.left_join(found, ["customer_id", "month"]).select(rows, n_=_.n.fill_null(0))
        return joined.rename({name: "n_"})

    own = ibis.window(group_by="customer_id", order_by="month")
    so_far = ibis.window(group_by="customer_id", order_by="month", preceding=None, following=0)
    columns: dict[str, ir.Value] = {}
    if events:
        rows = add(rows, "used", "events", "occurred_at", _.event.isin(list(events)))
        less = rows.used * 2 < rows.used.lag(1).over(own).fill_null(0)
        columns["use"] = ibis.cases((rows.used == 0, "none"), (less, "less than half"), else_="as before")
    if "tickets" in source:
        rows = add(rows, "opened", "tickets", "opened_at", _.opened_at.notnull())
        rows = add(rows, "closed", "tickets", "closed_at", _.closed_at.notnull())
        columns["ticket"] = (rows.opened > 0).ifelse("opened", "none")
        waiting = (rows.opened - rows.closed).sum().over(so_far) > 0
        columns["unresolved"] = waiting.ifelse("open", "none")
    if "payments" in source:
        rows = add(rows, "failed", "payments", "attempted_at", _.status == "failed")
        columns["payment"] = (rows.failed > 0).ifelse("failed", "paid")
    return rows.mutate(**columns).select(*base, *columns)


def before_leaving(lives: ir.Table, lags: Sequence[int] = (1,)) -> ir.Table:
    """Count months in which a renewal was due by what had happened some months before them.

    Args:
        lives: As from `months_of_life`.
        lags: How many months before.

    Returns:
        A row per lag and combination, as `tenure.stats.regression.hazard_ratios` reads it: plan, lag, the
        columns use, ticket, unresolved and payment that there are, entry and exit (months of life), event (1:
        chose to leave) and n.
    """
    own = ibis.window(group_by="customer_id", order_by="month")
    names = [name for name in ("use", "ticket", "unresolved", "payment") if name in lives.columns]
    parts = []
    for lag in lags:
        rows = lives.mutate(lag=ibis.literal(lag, "int64"), **{n: lives[n].lag(lag).over(own) for n in names})
        parts.append(rows.filter(rows.month >= lag, *(rows[name].notnull() for name in names)))
    return _renewals(stacked(parts), "lag", *names)


def around_rise(lives: ir.Table, *, since: dt.date, plans: Sequence[str], around: int = 3) -> ir.Table:
    """Count renewals of customers who met a rise in price, each by their own first renewal after it.

    Args:
        lives: As from `months_of_life`.
        since: The first day of the month in which the price rose.
        plans: The plans whose price rose.
        around: How many renewals before it to count, and how many from it on.

    Returns:
        The counts of `before_leaving` by plan and renewal: 0 is the first at the new price.
    """
    rows = lives.filter((_.started < day_of(since).month) & _.plan.isin(list(plans)))
    far = 1200  # so that what is divided is above 0
    later = rows.started + rows.month + 1 - day_of(since).month
    rows = rows.mutate(renewal=((later + far * rows.term) // rows.term - far).cast("int64"))
    return _renewals(rows.filter((_.renewal >= -around) & (_.renewal < around)), "renewal")


def _renewals(lives: ir.Table, *keys: str) -> ir.Table:
    """Count the months in which a renewal was due, and in which customers chose to leave."""
    keys = ("plan", *keys)
    rows = lives.filter(_.due == 1).select(*keys, entry=_.month, exit=_.month + 1, event=_.left)
    return rows.group_by(rows.columns).agg(n=_.count().cast("int64")).order_by(*keys, "entry", "event")


def attempts(source: Tables, *, as_of: dt.date) -> ir.Table:
    """Return attempts to charge that belong to episodes: a failed one, and what follows until one is paid.

    Returns:
        A row per recurring attempt: charged (the subscription, or the customer without one), run (the
        number of the episode), place (0 for the first), second (since 1970), day (whole days since the
        first), failed (1 or 0), failure_reason, amount_minor and currency.
    """
    rows = real(source, source["payments"].filter((_.kind == "recurring") & (_.status != "refunded")))
    rows = rows.filter(_.attempted_at < end_of(as_of)).mutate(
        charged=ibis.coalesce(_.subscription_id, _.customer_id),
        second=second_index(rows.attempted_at),
        failed=(_.status == "failed").ifelse(1, 0).cast("int64"),
        failure_reason=_.failure_reason if "failure_reason" in rows.columns else ibis.null("string"),
    )
    order = ["second", ibis.desc("failed"), "payment_id"]
    earlier = ibis.window(group_by="charged", order_by=order, preceding=(None, 1))
    rows = rows.mutate(run=(1 - rows.failed).sum().over(earlier).fill_null(0).cast("int64"))
    whole = ibis.window(group_by=["charged", "run"])
    within = ibis.window(group_by=["charged", "run"], order_by=order)
    rows = rows.mutate(
        place=ibis.row_number().over(within).cast("int64"),
        day=((rows.second - rows.second.min().over(whole)) // _DAY_SECONDS).cast("int64"),
        failures=rows.failed.sum().over(whole),
    ).filter(_.failures > 0)
    columns = ("charged", "run", "place", "second", "day", "failed", "failure_reason")
    return rows.select(*columns, "amount_minor", "currency")


def episodes(source: Tables, tried: ir.Table, *, as_of: dt.date, within: int = 28) -> ir.Table:
    """Count episodes of failed charges by how they ended, and on which day.

    An episode ends when an attempt is paid (recovered), or when the subscription ends before: by choice
    (voluntary), because it was given up (involuntary), or unknown. Others are open: seen until the last day,
    or for `within` days.

    Args:
        tried: As from `attempts`.
        within: Days to look at; less than a month, so that the next charge is not taken for a recovery.

    Returns:
        A row per day (whole days since the first failed attempt; an end on the first counts as day 1),
        outcome, failures (attempts), failure_reason (of the first; null becomes "unknown") and currency: n,
        amount_minor (of the first attempts) and squares.
    """
    each = tried.group_by("charged", "run").agg(
        start=_.second.min(),
        paid=_.day.min(where=_.failed == 0),
        failures=_.failed.sum().cast("int64"),
        **{name: _[name].max(where=_.place == 0) for name in ("amount_minor", "currency", "failure_reason")},
    )
    spans = complete(source["subscriptions"])
    on = (spans.ended_at.isnull() | (spans.ended_at >= end_of(as_of))).fill_null(True)
    ends = spans.select(
        "end_reason", charged="subscription_id", ended=on.ifelse(_NEVER, second_index(spans.ended_at))
    )
    last = ends.semi_join(ends.group_by("charged").agg(ended=_.ended.max()), ["charged", "ended"])
    last = last.group_by("charged").agg(ended=_.ended.max(), end_reason=_.end_reason.max())
    rows = each.left_join(last, "charged").drop("charged_right")
    until = ibis.least(((day_of(as_of).index + 1) * _DAY_SECONDS - rows.start) // _DAY_SECONDS - 1, within)
    ended = (rows.ended.fill_null(_NEVER) - rows.start) // _DAY_SECONDS
    paid = (rows.paid <= ibis.least(ended, within)).fill_null(False)
    gone = (ended >= 0) & (ended <= within)
    known = rows.end_reason.isin(["voluntary", "involuntary"]).fill_null(False)
    cause = known.ifelse(rows.end_reason, "unknown")
    rows = rows.mutate(
        lead=1,
        outcome=ibis.cases((paid, "recovered"), (gone, cause), else_="open"),
        day=ibis.cases((paid, ibis.greatest(rows.paid, 1)), (gone, ibis.greatest(ended, 1)), else_=until),
        failure_reason=rows.failure_reason.fill_null("unknown"),
    )
    rows = rows.mutate(day=_.day.cast("int64"))
    return _summed(rows, "day", "outcome", "failures", "failure_reason", "currency")


def retries(tried: ir.Table, *, within: int = 28) -> ir.Table:
    """Count attempts after the first of an episode: place (1 is the first retry), day, n, paid."""
    rows = tried.filter((_.place > 0) & (_.day <= within)).group_by("place", "day")
    paid = (1 - _.failed).sum().cast("int64")
    return rows.agg(n=_.count().cast("int64"), paid=paid).order_by("place", "day")


def _summed(rows: ir.Table, *keys: str) -> ir.Table:
    amount = _.amount_minor
    squares = (amount.cast("float64") ** 2).sum()
    sums = {"n": _.lead.sum().cast("int64"), "amount_minor": amount.sum().cast("int64"), "squares": squares}
    return rows.group_by(*keys).agg(**sums).order_by(*keys)


def _asked(source: Tables, as_of: dt.date) -> ir.Table:
    """Invitations to the exit survey, with the answers that had been given by then; others are null."""
    rows = real(source, source["surveys"].filter((_.survey == "exit") & (_.sent_at < end_of(as_of))))
    known = answered_at(rows) < end_of(as_of)
    said = rows.answer.strip()
    return rows.mutate(
        answer=(known & (said != "")).fill_null(False).ifelse(said, ibis.null("string")),
        score=known.ifelse(rows.score, ibis.null("float64")),
    )
