"""Spans as they were lived: bills that follow on each other merged, trials and statuses of today cut off."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from tenure.contract import Column

# Columns beside the contract's that say where.
TRIAL = (
    Column("trial_from", "timestamp", "when the trial began", required=False),
    Column("trial_to", "timestamp", "when it ended", required=False),
)
STATUS = Column("status_since", "timestamp", "when the status of today began", required=False)
_DAY = ibis.interval(days=1)
# What may differ between spans that are merged: when they were on, and how each of them ended.
_OF_ITS_OWN = ("started_at", "ended_at", "end_reason", "cancel_requested_at")


def merged(spans: ir.Table) -> ir.Table:
    """Return spans of a subscription that follow on each other, and are equal in all else, as one.

    It begins with the first and ends as the last. A span that is still on has none after it, and spans that
    overlap stay as they are, for `check` to tell of.

    Args:
        spans: Subscriptions as the contract has them, of a row a bill, a term or a month.
    """
    equal = [name for name in spans.columns if name not in _OF_ITS_OWN]
    rows = ibis.window(group_by=equal, order_by=list(_OF_ITS_OWN))
    so_far = ibis.window(group_by=equal, order_by=list(_OF_ITS_OWN), following=0)
    goes_on = (spans.ended_at.lag().over(rows) == spans.started_at).fill_null(False)
    marked = spans.mutate(
        first=goes_on.ifelse(ibis.null("timestamp"), spans.started_at),
        last=(spans.started_at.lead().over(rows) != spans.ended_at).fill_null(True),
    )
    return marked.mutate(started_at=marked.first.max().over(so_far)).filter(ibis._.last).drop("first", "last")


def without_trial(spans: ir.Table) -> ir.Table:
    """Return the trial of each span by itself, and what was paid before and after it.

    Who ends within a day of the trial has not paid: systems end a subscription some time after it.
    """
    end = spans.ended_at
    begin = spans.trial_from.fill_null(spans.started_at)
    to = spans.trial_to
    has = (to > begin).fill_null(False)
    only = has & ((spans.status == "trialing") | (end < to + _DAY).fill_null(False))
    until = only.ifelse(end, to)
    goes_on = has & ~only
    trial = spans.filter(has).mutate(
        started_at=begin,
        ended_at=until,
        status=ibis.literal("trialing"),
        end_reason=goes_on.ifelse(ibis.literal("switched"), spans.end_reason),
    )
    early = has & (spans.started_at < begin)
    before = spans.filter(early).mutate(ended_at=begin, end_reason=ibis.literal("switched"))
    paid_from = has.ifelse(ibis.greatest(to, spans.started_at), spans.started_at)
    after = spans.filter(~only).mutate(started_at=paid_from)
    return ibis.union(trial, before, after).drop("trial_from", "trial_to")


def status_of_today(spans: ir.Table, last: ir.Value) -> ir.Table:
    """Return spans that were paid until the status of today began.

    Args:
        spans: Subscriptions as the contract has them, with STATUS.
        last: The moment at which it began where no day is known and the span has not ended.
    """
    known = spans.status_since.fill_null(ibis.least(spans.ended_at.fill_null(last), last))
    since = ibis.greatest(known, spans.started_at)
    now = spans.status.isin(["past_due", "paused"])
    over = (since >= spans.ended_at).fill_null(False)
    before = spans.filter(now & (since > spans.started_at)).mutate(
        ended_at=ibis.least(since, spans.ended_at.fill_null(since)),
        status=ibis.literal("active"),
        end_reason=over.ifelse(spans.end_reason, ibis.literal("switched")),
    )
    after = spans.filter(~(now & over & (since > spans.started_at)))
    after = after.mutate(started_at=now.ifelse(since, spans.started_at))
    return ibis.union(before, after).drop("status_since")
