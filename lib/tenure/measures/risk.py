"""What was known of each paying customer on some days, and what then became of them.

Such a day is a landmark: what describes a customer happened up to its end, what is to be predicted after it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import ibis
from ibis import _, ir

from tenure.measures import features, value
from tenure.measures.calendar import day_index, day_of, end_of
from tenure.measures.engagement import within
from tenure.measures.spans import Tables, converted, settle, stacked
from tenure.measures.subscriptions import spells, still
from tenure.policy import MetricPolicy

# Days of use, tickets and payments before a landmark that describe a customer, the latest of them apart.
OBSERVED, LATELY = 112, 28
_ASKED = 365  # days after which an answer is out of date


def landmarks(
    source: Tables,
    dims: Sequence[str] = (),
    *,
    on: Sequence[dt.date],
    until: dt.date,
    as_of: dt.date,
    known_until: dt.date,
    events: Sequence[str] = (),
    rates: Mapping[str, float],
    max_rows: int = 2**40,
    currency: str = "",
    policy: MetricPolicy = MetricPolicy(),
) -> ir.Table:
    """Describe each paying customer at the end of some days, and say what followed until the next of them.

    Args:
        dims: Columns of the customers table that describe them, too; see `group_column`.
        on: The landmarks, the latest first; what follows that is not known.
        until: The day until which the latest looks ahead.
        known_until: The last day of the data; see `tenure.measures.value.base`.
        events: The kinds of events that count as use; empty: all.
        rates: Reporting minor units for a minor unit of each currency.
        max_rows: About how many customers of each landmark to keep, the same in every run.

    Returns:
        A row per landmark and customer: on (such as "2026-10-31"), customer_id, outcome (stayed, voluntary,
        involuntary, unknown, expired; null for the latest), plan, interval, `dims`, tenure (renewals passed),
        wait_days (to the next renewal), ahead_days (that are looked ahead), notice (1: its end is known
        already), bill (of an interval, in reporting minor units), used and used_before (events in the last 28
        days, and in the 84 before), unused_days (since the last event, at most 112), tickets and failed
        (failed charges, both in the last 112 days), and nps (the mean score of a year). What is not recorded
        is null.
    """
    scope: dict[str, Any] = {"currency": currency, "policy": policy}
    among = tuple(dict.fromkeys(["plan", *dims]))
    key = ("landmarks", tuple(on), until, as_of, known_until, among, tuple(sorted(rates.items())), max_rows)

    def make() -> ir.Table:
        ended = spells(source, as_of=as_of, **scope)
        ended = ended.mutate(since=day_index(ended.start), end_day=day_index(ended.end), on=still(ended))
        parts = []
        for day, last in zip(on, [until, *on], strict=False):
            stays = value.stays(source, dims=among, as_of=day, **scope)
            rows = value.base(source, stays, among, as_of=day, known_until=known_until)
            rows = features.sampled(rows, max_rows)
            rows = rows.mutate(bill=converted(rows, rows.billed_minor, rates))
            parts.append(_with_outcome(rows, among, ended, day, last, known=last <= as_of))
        return stacked(parts)

    who = settle(source, (*key, currency, policy), make)
    return _described(source, who, as_of, events).order_by("on", "customer_id")


def campaign_costs(source: Tables, *, as_of: dt.date) -> ir.Table:
    """Return what contacting a customer cost in each campaign: campaign, cost and incentive (minor units)."""
    rows = source["contacts"].filter((_.arm == "treatment") & (_.contacted_at < end_of(as_of)))
    costs = {"cost": _.cost_minor.mean(), "incentive": _.incentive_minor.mean()}
    return rows.group_by("campaign").agg(**costs).order_by("campaign")


def _with_outcome(
    rows: ir.Table, dims: Sequence[str], ended: ir.Table, day: dt.date, last: dt.date, *, known: bool
) -> ir.Table:
    """The customers of a landmark, with what their spell of that day came to."""
    at, until = day_of(day).index, day_of(last).index
    begun = ended.filter(_.since <= at)
    begun = begun.semi_join(begun.group_by("customer_id").agg(spell=_.spell.max()), ["customer_id", "spell"])
    over = ~begun.on & (begun.end_day <= until)
    rows = rows.left_join(
        begun.select("customer_id", outcome=over.ifelse(begun.cause, "stayed")), "customer_id"
    )
    return rows.select(
        "customer_id",
        *dims,
        *("interval", "tenure", "wait_days", "bill"),
        on=ibis.literal(str(day)),
        at=ibis.literal(at, "int64"),
        ahead_days=ibis.literal(until - at, "int64"),
        notice=(rows.bills_left >= 0).ifelse(1, 0).cast("int64"),
        outcome=rows.outcome if known else ibis.null("string"),
    )


def _described(source: Tables, who: ir.Table, as_of: dt.date, events: Sequence[str]) -> ir.Table:
    """Customers of landmarks with what they did before them."""
    counts: dict[str, ir.Table] = {}
    if "events" in source:
        rows = within(source, as_of, None, events)
        near = _before(who, rows, rows.occurred_at, OBSERVED)
        lately = near.day > near["at"] - LATELY
        counts["used"] = near.group_by("on", "customer_id").agg(
            used=lately.sum().cast("int64"),
            used_before=(~lately).sum().cast("int64"),
            unused_days=(near["at"] - near.day).min().cast("int64"),
        )
    for name, table, time in (("tickets", "tickets", "opened_at"), ("failed", "payments", "attempted_at")):
        if table in source:
            rows = source[table]
            rows = rows.filter(_.status == "failed") if name == "failed" else rows
            near = _before(who, rows, rows[time], OBSERVED)
            counts[name] = near.group_by("on", "customer_id").agg(**{name: _.count().cast("int64")})
    if "surveys" in source:
        rows = source["surveys"].filter((_.survey == "nps") & _.score.notnull())
        near = _before(who, rows, rows.answered_at.coalesce(rows.sent_at), _ASKED, score=rows.score)
        counts["nps"] = near.group_by("on", "customer_id").agg(nps=_.score.mean())
    table = who
    for each in counts.values():
        table = table.left_join(each, ["on", "customer_id"]).drop("on_right", "customer_id_right")
    filled = {"used": 0, "used_before": 0, "unused_days": OBSERVED, "tickets": 0, "failed": 0}
    for name, none in filled.items():
        known = name in table.columns
        table = table.mutate(**{name: table[name].fill_null(none) if known else ibis.null("int64")})
    table = table if "nps" in table.columns else table.mutate(nps=ibis.null("float64"))
    return table.drop("at")


def _before(who: ir.Table, rows: ir.Table, moment: ir.Value, days: int, **columns: ir.Value) -> ir.Table:
    """Rows in the days up to each landmark, with its day."""
    rows = rows.select("customer_id", day=day_index(moment), **columns)
    marks = who.select("on", "customer_id", "at")
    near = [rows.customer_id == marks.customer_id, rows.day <= marks["at"], rows.day > marks["at"] - days]
    return rows.inner_join(marks, near).drop("customer_id_right")
