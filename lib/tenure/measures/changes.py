"""What changed a customer's recurring revenue from one month end to the next, and what kind of change it is.

A row where a stretch of the ledger begins or ends, so that two million customers over three years are a few
million rows and never seventy.
"""

from __future__ import annotations

from dataclasses import dataclass

import ibis
from ibis import _, ir

from tenure.measures.ledger import EXPIRED, NEVER, OF_SPANS, ON, REASONS, intervals
from tenure.measures.spans import Lenses, Tables, limit_days
from tenure.periods import MONTHS, Every

# What tells why a customer pays more or less.
_WHY = ("spans", "term", "quantity", "list_minor", "usage")
_SUMS = ("amount", "paused", *_WHY)


def changes(
    source: Tables, seen: Lenses, *, by: str | None = None, currency: str = "", every: Every = MONTHS
) -> ir.Table:
    """Return what changed for a customer, currency and group in a month in which a stretch began or ended.

    Returns:
        A row per customer (see `intervals`), month, currency and group: these, lens, the change of each of
        amount, paused, spans, term, quantity, list_minor and usage, last (of those that ended, as in
        `ledger`), began (the first day of those that began) and switched (whether the plan is another one).
    """
    rows = intervals(source, seen, by=by, currency=currency, every=every)
    # One row for a span's beginning, and one for its end; of a span without a price, which usage may be paid
    # on, only its end, which says why the customer left.
    rows = rows.mutate(side=ibis.range(0, 2).unnest())
    begins = rows.side == 0
    rows = rows.filter((begins & (rows.amount > 0)) | (~begins & (rows.end_month < ON))).select(
        "customer",
        "currency",
        "group",
        "plan",
        month=begins.ifelse(rows.start_month, rows.end_month),
        last=begins.ifelse(0, rows.last),
        began=begins.ifelse(rows.start_day, NEVER),
        **{name: begins.ifelse(rows[name], -rows[name]) for name in _SUMS},
    )
    sums = rows.group_by("customer", "month", "currency", "group").agg(
        **{name: _[name].sum().cast("int64") for name in _SUMS},
        last=_.last.max(),
        began=_.began.min(),
        switched=_.plan.min() != _.plan.max(),
    )
    return sums.mutate(**seen.of(sums.customer)) if seen.several else sums


def _states(changes: ir.Table, seen: Lenses, by: str | None) -> ir.Table:
    """Changes with the customer's balance before and after, and what kind of change that is."""
    ever = ibis.window(group_by="customer")
    until, before, peers = (
        ibis.range_window(group_by="customer", order_by="month", preceding=reach, following=following)
        for reach, following in ((None, 0), ((None, 1), None), (0, 0))
    )
    rows = changes.mutate(place=changes.currency + "|" + changes["group"], reason=_reason(changes))
    if by not in OF_SPANS:  # the fewer columns are sorted, the better
        rows = rows.drop(*_WHY, "switched")
    columns = {
        "after": rows.amount.sum().over(until).cast("int64"),
        "earlier": rows.amount.sum().over(before),
        "last": rows.last.max().over(until),
        "moves_about": rows.place.min().over(ever) != rows.place.max().over(ever),
    }
    away = seen.any(lambda lens: lens.policy.reactivation_days is not None)
    if away:
        columns["away"] = rows.began.min().over(peers) - rows.last.max().over(before) // 10
    rows = rows.mutate(**columns)
    rows = rows.mutate(before=rows.earlier.fill_null(0).cast("int64"))
    fresh = rows.earlier.isnull()
    if away:
        longest = seen.rule(rows, lambda lens: limit_days(lens.policy.reactivation_days))
        fresh = fresh | (rows.away > longest).fill_null(False)
    return rows.mutate(
        whole=ibis.cases(
            ((rows.before == 0) & (rows.after == 0), "none"),
            ((rows.before == 0) & fresh, "new"),
            (rows.before == 0, "reactivation"),
            ((rows.after == 0) & (rows.last % 10 == EXPIRED), "ended"),
            (rows.after == 0, "churn"),
            else_="change",
        )
    )


def _by_place(states: ir.Table, by: str | None) -> ir.Table:
    """States with the balance after them in their own currency and group, and what came from other groups.

    Most customers are in one currency and group for life, so that theirs is the whole balance, and they need
    no sorting by it.
    """
    zero = ibis.literal(0, "int64")
    stay = states.filter(~_.moves_about).mutate(own_after=_.after, lead=ibis.literal(True), moved=zero)
    own = ibis.range_window(
        group_by=["customer", "currency", "group"], order_by="month", preceding=None, following=0
    )
    peers = ibis.range_window(group_by="customer", order_by="month", preceding=0, following=0)
    move = states.filter(_.moves_about).mutate(
        own_after=_.amount.sum().over(own).cast("int64"),
        lead=_.place == _.place.min().over(peers),
        moved=zero,
    )
    if by in OF_SPANS:
        move = _transfers(move)
    return ibis.union(stay, move.select(stay.columns))


@dataclass(frozen=True)
class Part:
    """The columns of `movements` that make up one of a change's movements."""

    there: str
    kind: str
    reason: str
    amount: str
    customers: str
    logos: str


# A change may be up to three movements at once: of the customer, between groups, and of a pause.
PARTS = {
    "own": Part("moves", "kind", "why", "kept", "arrived", "once"),
    "transfer": Part("transfers", "transfer", "nothing", "moved", "swapped", "nobody"),
    "pause": Part("pauses", "pause", "nothing", "less_paused", "nobody", "nobody"),
}


def movements(
    source: Tables, seen: Lenses, *, by: str | None = None, currency: str = "", every: Every = MONTHS
) -> ir.Table:
    """Return changes with the movements that each is made of, in the columns that `PARTS` names."""
    rows = _by_place(_states(changes(source, seen, by=by, currency=currency, every=every), seen, by), by)
    whole, gone = rows.whole != "change", rows.whole.isin(["churn", "ended"])
    zero = ibis.literal(0, "int64")
    # What a pause has taken out already cannot be lost once more.
    rows = rows.mutate(paused=gone.ifelse(0, rows.paused), unpaid=gone.ifelse(rows.paused, 0))
    rows = rows.mutate(
        kept=(rows.amount - rows.unpaid - rows.moved).cast("int64"),
        entered=ibis.cases(
            ((rows.own_after == rows.amount) & (rows.own_after > 0), 1),
            ((rows.own_after == 0) & (rows.amount < 0), -1),
            else_=0,
        ).cast("int64"),
        once=ibis.cases(
            (~rows.lead, 0),
            (rows.whole.isin(["new", "reactivation"]), 1),
            (gone, -1),
            else_=0,
        ).cast("int64"),
    )
    rows = rows.mutate(
        kind=ibis.cases(
            (whole, rows.whole), (rows.kept > 0, "expansion"), (rows.kept < 0, "contraction"), else_="none"
        ),
        why=ibis.cases(
            *(((rows.whole == "churn") & (rows.last % 10 == rank), why) for rank, why in REASONS.items()),
            (rows.whole == "churn", "unknown"),
            (whole | (rows.kept == 0), ""),
            else_=rows.reason,
        ),
        arrived=whole.ifelse(rows.entered, zero),
        swapped=whole.ifelse(zero, rows.entered),
        less_paused=(-rows.paused).cast("int64"),
        pause=ibis.cases((rows.paused > 0, "pause"), (rows.paused < 0, "resume"), else_="none"),
        transfer=ibis.literal("transfer"),
        nothing=ibis.literal(""),
        nobody=zero,
    )
    return rows.mutate(
        moves=rows.kind != "none",
        transfers=(rows.moved != 0) | (rows.swapped != 0),
        pauses=rows.paused != 0,
    )


def _reason(rows: ir.Table) -> ir.StringValue:
    """Why a customer pays more or less than before, the weightiest reason first."""
    return ibis.cases(
        (rows.spans > 0, "subscription_added"),
        (rows.spans < 0, "subscription_ended"),
        (rows.term != 0, "term_change"),
        (rows.switched, "plan_change"),
        (rows.quantity != 0, "quantity_change"),
        (rows.list_minor != 0, "price_change"),
        (rows.usage != 0, "usage"),
        else_="discount_change",
    )


def _transfers(rows: ir.Table) -> ir.Table:
    """Set apart what a customer moved from group to group from what the customer gained or lost in all.

    Of the groups that moved the way the customer did, the first by name take up what came from the others.
    """
    peers = ibis.range_window(group_by=["customer", "currency"], order_by="month", preceding=0, following=0)
    rows = rows.mutate(
        **{name: _[name].sum().over(peers).cast("int64") for name in _WHY},
        net=_.amount.sum().over(peers).cast("int64"),
        gains=ibis.greatest(_.amount, 0).sum().over(peers).cast("int64"),
        losses=ibis.greatest(-_.amount, 0).sum().over(peers).cast("int64"),
        switched=(_.switched | (_.spans != 0)).ifelse(1, 0).max().over(peers) == 1,
    )
    rows = rows.mutate(reason=_reason(rows), gained=rows.net >= 0)
    rows = rows.mutate(along=(rows.gained == (rows.amount > 0)).ifelse(rows.amount.abs(), 0).cast("int64"))
    first = ibis.window(
        group_by=["customer", "currency", "month"], order_by="group", preceding=None, following=0
    )
    rows = rows.mutate(taken=_.along.sum().over(first).cast("int64") - _.along)
    offset = rows.gained.ifelse(rows.losses, rows.gains)
    share = ibis.greatest(ibis.least(offset - rows.taken, rows.along), 0)
    signed = rows.gained.ifelse(share, -share)
    moved = (rows.along > 0).ifelse(signed, rows.amount)
    return rows.mutate(moved=(rows.whole == "change").ifelse(moved, 0).cast("int64"))
