"""Recurring revenue by a plain loop over one customer at a time, to test the measures against.

It shares nothing with the measures but the ledger: dates, lists and dictionaries, month end by month end.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from fractions import Fraction

from tenure import MetricPolicy

PER_YEAR = {"year": 1, "month": 12, "week": 52, "day": 365}
RANK = {"switched": 0, "unknown": 1, None: 1, "voluntary": 2, "involuntary": 3}
CAUSE = {0: "unknown", 1: "unknown", 2: "voluntary", 3: "involuntary"}


def monthly(row):
    """What a span pays a month, rounded half up to the minor unit."""
    interval = max(row["unit_amount_minor"] * row["quantity"] - row["discount_minor"], 0)
    exact = Fraction(interval * PER_YEAR[row["billing_interval"]], 12 * row["billing_interval_count"])
    return int(exact + Fraction(1, 2))


def month_of(day):
    return day.year * 12 + day.month - 1


def first_instant(month):
    year, number = divmod(month, 12)
    return dt.datetime(year, number + 1, 1)


def pieces_of(spans, cut, policy):
    """(start, end or None, amount, is paused, rank, plan) of all that counts of one customer."""
    pieces = []
    spans = [r for r in spans if r["started_at"] < cut and r["status"] != "trialing" and monthly(r) > 0]
    for own in by_key(spans, "subscription_id").values():
        own.sort(key=lambda r: (r["started_at"], r["ended_at"] or dt.datetime.max))
        runs = []
        for row in own:
            touches = (
                runs
                and row["status"] in ("past_due", "paused")
                and runs[-1][-1]["status"] == row["status"]
                and row["started_at"].date() <= max(ended(r, cut) for r in runs[-1]).date()
            )
            if touches:
                runs[-1].append(row)
            else:
                runs.append([row])
        # Runs of one status may be parted by rows of another: then they are runs of their own.
        for run in runs:
            pieces += settled(run, cut, policy)
    return [p for p in pieces if p[1] is None or p[1] >= p[0]]


def by_key(rows, key):
    found = defaultdict(list)
    for row in rows:
        found[row[key]].append(row)
    return found


def ended(row, cut):
    return row["ended_at"] if row["ended_at"] and row["ended_at"] < cut else dt.datetime.max


def settled(run, cut, policy):
    """The pieces of a run in one status, cut short where the policy says so."""
    status = run[0]["status"]
    start = run[0]["started_at"].date()
    last = max(run, key=lambda r: (ended(r, cut).date(), RANK[r["end_reason"]]))
    over = ended(last, cut)
    length = (min(over.date(), cut.date()) - start).days
    rank = 0 if over == dt.datetime.max else RANK[last["end_reason"]]
    limit, why = None, 0
    if status == "past_due" and (length > policy.grace_days or rank > 0):
        limit, why = start, (2 if rank == 2 else 3)
    if status == "paused" and length > policy.pause_days:
        limit, why = start + dt.timedelta(days=policy.pause_days), 2
    pieces = []
    for row in run:
        end = None if ended(row, cut) == dt.datetime.max else row["ended_at"]
        begin, how = row["started_at"], RANK[row["end_reason"]] if end else 0
        if limit is not None and (end is None or end.date() >= limit):
            end, how = dt.datetime.combine(limit, dt.time()), why
            if begin.date() >= limit:
                begin = end
        amount, paused = monthly(row), status == "paused"
        pieces.append((begin, end, amount, paused, how, row["plan"], row["currency"], row["subscription_id"]))
    return pieces


def bridged(pieces, gap_days):
    """Carry on what ended until something of the customer begins within the gap, on a later day."""
    alive = [p for p in pieces if p[1] is None or p[1] > p[0]]
    ends = {(p[7], p[1]) for p in alive}
    begins = [p[0] for p in alive if (p[7], p[0]) not in ends]
    result = []
    for start, end, *rest in alive:
        until = end
        if end is not None:
            later = [at for at in begins if at >= end and (at.date() - end.date()).days <= gap_days]
            if later and min(later).date() > end.date():
                until = min(later)
        result.append((start, until, *rest))
    return result


def movements(spans, as_of, policy=MetricPolicy(), tests=()):
    """{(month, currency, kind, reason or ""): [amount, customers]}; reasons of churn only."""
    cut = dt.datetime.combine(as_of + dt.timedelta(days=1), dt.time())
    total = defaultdict(lambda: [0, 0])
    for customer, own in by_key([r for r in spans if r["customer_id"] not in tests], "customer_id").items():
        del customer
        pieces = pieces_of(own, cut, policy)
        if not pieces:
            continue
        held = bridged(pieces, policy.gap_days)
        currencies = sorted({p[6] for p in pieces})
        first = min(month_of(p[0]) for p in pieces)
        before = dict.fromkeys(currencies, (0, 0))
        for month in range(first, month_of(as_of) + 1):
            at = min(first_instant(month + 1), cut)
            now = {}
            for name in currencies:
                on = [p for p in held if p[6] == name and p[0] < at and (p[1] is None or p[1] >= at)]
                now[name] = (sum(p[2] for p in on), sum(p[2] for p in on if p[3]))
            was, now_all = (sum(s[0] for s in state.values()) for state in (before, now))
            for name in currencies:
                a, b = before[name][0], now[name][0]
                heads = (b > 0) - (a > 0)
                if was == 0 and now_all > 0:
                    kind, reason = ("new" if month == first else "reactivation"), ""
                elif was > 0 and now_all == 0:
                    gone = [p for p in pieces if p[1] is not None and p[1] < at]
                    rank = max((p[1].date(), p[4]) for p in gone)[1]
                    kind, reason = "churn", CAUSE[rank]
                else:
                    kind, reason = ("expansion" if b > a else "contraction"), ""
                    if heads:
                        total[month, name, "transfer", ""][1] += heads
                        heads = 0
                paused = now[name][1] - before[name][1]
                if kind == "churn":
                    # What a pause had taken out is not lost again.
                    a, paused = a - before[name][1], 0
                if a != b or heads:
                    total[month, name, kind, reason][0] += b - a
                    total[month, name, kind, reason][1] += heads
                if paused:
                    total[month, name, "pause" if paused > 0 else "resume", ""][0] -= paused
            before = now
    return {key: tuple(value) for key, value in total.items() if any(value)}
