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
    off = 0 if row.get("discount_duration") == "once" else row["discount_minor"]
    interval = max(row["unit_amount_minor"] * row["quantity"] - off, 0)
    exact = Fraction(interval * PER_YEAR[row["billing_interval"]], 12 * row["billing_interval_count"])
    return int(exact + Fraction(1, 2))


def month_of(day):
    return day.year * 12 + day.month - 1


def first_instant(month):
    year, number = divmod(month, 12)
    return dt.datetime(year, number + 1, 1)


def days_between(row):
    """The days within which a later span continues this one."""
    days = {"day": 1, "week": 7, "month": 30, "year": 360}[row["billing_interval"]]
    return lambda gaps: max(
        gaps.month, min(days * row["billing_interval_count"] * gaps.year // 360, gaps.year)
    )


def pieces_of(spans, cut, policy):
    """(start, end or None, amount, is out, rank, plan, currency, subscription, gap, billing) of a customer's spans."""
    pieces, spans = [], [r for r in spans if r["started_at"] < cut]
    pays = lambda r: r["status"] != "trialing" and monthly(r) > 0  # noqa: E731
    for own in by_key(filter(pays, spans), "subscription_id").values():
        own.sort(key=lambda r: (r["started_at"], ended(r, cut), monthly(r), r["plan"]))
        runs = {}
        for place, row in enumerate(own):
            later = own[place + 1 :]
            again = [r["started_at"] for r in later if r["status"] != "past_due"]
            row = row | {
                "again": min(again, default=None),
                "next": min((r["started_at"] for r in later), default=None),
            }
            run = runs.setdefault(row["status"], [[]])
            if run[-1] and row["started_at"].date() > max(ended(r, cut) for r in run[-1]).date():
                run.append([])
            run[-1].append(row)
        for status, found in runs.items():
            held = status in ("past_due", "paused")
            for run in found if held else [[row] for rows in found for row in rows]:
                pieces += settled(run, cut, policy)
    pieces = [p for p in pieces if p[1] is None or p[1] >= p[0]]
    # A trial of another subscription is a new beginning.
    own = {p[7] for p in pieces if p[1] is None or p[1] > p[0]}
    free = [r for r in spans if (r["subscription_id"] in own if r["status"] == "trialing" else not pays(r))]
    return at_mean_rate(pieces + on_hold(pieces, free, cut, policy), cut)


def days_of(row):
    return {"day": 1, "week": 7, "month": 30, "year": 360}[row["billing_interval"]] * row[
        "billing_interval_count"
    ]


def out(row, days):
    """Whether time is a pause, or, of a plan with short terms, a short one: a skip."""
    return "skip" if days_of(row) < 30 and days < 31 else True


def at_mean_rate(pieces, cut):
    """What skipped time leaves of the price, in paid and skipped time alike."""
    found = []
    for (*_, days), own in by_key(
        [{"key": (p[5], p[6], p[9], p[9][2]), "piece": p} for p in pieces], "key"
    ).items():
        own = sorted((one["piece"] for one in own), key=lambda p: (p[0], p[1] or dt.datetime.max))
        paid = skipped = 0
        reached = None
        for start, end, _, is_out, *_, gap, _ in own:
            until = min(end or cut, cut).date()
            length = (until - start.date()).days
            paid, skipped = (
                paid + (length if not is_out else 0),
                skipped + (length if is_out == "skip" else 0),
            )
            if reached and days < 30 and 1 <= (start.date() - reached).days <= gap:
                skipped += (start.date() - reached).days
            reached = max(reached or until, until)
        mean = Fraction(paid, paid + skipped) if days < 30 and paid else 1
        found += [(*p[:2], int(p[2] * mean + Fraction(1, 2)), p[3] is True, *p[4:]) for p in own]
    return found


def on_hold(pieces, free, cut, policy):
    """The free time that goes on where a customer's paid time ends, a piece for each gap that it fills."""
    never = dt.datetime.max
    reach = lambda end, gap: dt.date.max if end == never else end.date() + dt.timedelta(gap)  # noqa: E731
    free = [(r["started_at"], ended(r, cut), days_between(r)(policy.gap_days), r) for r in free]
    stays, found = [], []  # of paid time: [start, end, reach, amount]
    for piece in sorted((p for p in pieces if p[1] is None or p[1] > p[0]), key=lambda p: p[0]):
        start, end = piece[0], piece[1] or never
        until = reach(end, piece[8])
        if stays and start.date() <= stays[-1][2]:
            stay = stays[-1]
            if end >= stay[1]:
                stay[3] = piece[2] + (stay[3] if end == stay[1] else 0)
            stay[1:3] = max(stay[1], end), max(stay[2], until)
        else:
            stays.append([start, end, until, piece[2]])
    for place, (_, until, touches, amount) in enumerate(stays):
        follows = stays[place + 1][0] if place + 1 < len(stays) else never
        inside = sorted(
            ((max(start, until), min(end, follows), gap, row) for start, end, gap, row in free
             if end > until and start < follows),
            key=lambda f: (f[0], f[3]["subscription_id"], f[3]["plan"], f[1]),
        )  # fmt: skip
        held, reached = [], touches
        for start, end, gap, row in inside:
            if start.date() <= reached:
                held.append((start, end, row))
                reached = max(reached if len(held) > 1 else dt.date.min, reach(end, gap))
            elif held:
                break
        if not held:
            continue
        start, end = held[0][0], max(h[1] for h in held)
        back, on = follows < never and follows.date() <= reached, end == never
        last = max(held, key=lambda h: (h[1].date(), RANK[h[2]["end_reason"]] if h[1] < never else 0))
        rank = 0 if back or on else RANK[last[2]["end_reason"]]
        row = held[0][2]
        if (min(end, cut).date() - start.date()).days > policy.hold_days or rank > 0:
            end, rank = start, max(rank, 1)
        found.append((
            start, None if end == never else end, amount, out(row, (min(end, cut).date() - start.date()).days),
            rank, row["plan"], row["currency"], row["subscription_id"], days_between(row)(policy.gap_days),
            (row["billing_interval"], row["billing_interval_count"], days_of(row)),
        ))  # fmt: skip
    return found


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
    limit, why, paid = None, 0, {}
    if status == "past_due":
        paid = {
            id(r): r["next"] for r in run
            if r["again"] and ended(r, cut) < dt.datetime.max
            and (r["again"].date() - start).days <= policy.grace_days
        }  # fmt: skip
        if length > policy.grace_days or (rank > 0 and id(last) not in paid):
            limit, why = start, (2 if rank == 2 else 3)
    if status == "paused" and length > policy.pause_days:
        limit, why = start + dt.timedelta(days=policy.pause_days), 2
    pieces = []
    for row in run:
        end = None if ended(row, cut) == dt.datetime.max else row["ended_at"]
        begin, how = row["started_at"], RANK[row["end_reason"]] if end else 0
        if id(row) in paid:
            end, how = max(end, paid[id(row)]), 0
        if limit is not None and (end is None or end.date() >= limit):
            end, how = dt.datetime.combine(limit, dt.time()), why
            if begin.date() >= limit:
                begin = end
        pieces.append((
            begin, end, monthly(row), status == "paused" and out(row, length), how, row["plan"], row["currency"],
            row["subscription_id"], days_between(row)(policy.gap_days),
            (row["billing_interval"], row["billing_interval_count"], days_of(row)),
        ))  # fmt: skip
    return pieces


def bridged(pieces, cut, asked=()):
    """Carry on what ended until something of the customer begins within the gap, or may still begin."""
    alive = [p for p in pieces if p[1] is None or p[1] > p[0]]
    ends = {(p[7], p[1]) for p in alive}
    begins = [p[0] for p in alive if (p[7], p[0]) not in ends]
    result = []
    for start, end, *rest in alive:
        until = end
        if end is not None and (rest[5], end) not in {(p[7], p[0]) for p in alive}:
            later = [at for at in begins if at >= end and (at.date() - end.date()).days <= rest[6]]
            if later and min(later).date() > end.date():
                until = min(later)
            open_ended = rest[2] <= 1 and (cut.date() - end.date()).days <= rest[6]
            open_ended = open_ended and (rest[5], end) not in asked
            unpaid = any(p[1] == p[0] and p[0].date() >= end.date() for p in pieces)
            if open_ended and not unpaid and not any(at >= end for at in (p[0] for p in alive)):
                until = None
        result.append((start, until, *rest))
    return result


def movements(spans, as_of, policy=MetricPolicy(), tests=(), number=month_of, begins=first_instant):
    """{(month, currency, kind, reason or ""): [amount, customers]}; reasons of churn only.

    Other periods than months have a `number` for each day, and a first instant at which each `begins`.
    """
    cut = dt.datetime.combine(as_of + dt.timedelta(days=1), dt.time())
    total = defaultdict(lambda: [0, 0])
    for customer, own in by_key([r for r in spans if r["customer_id"] not in tests], "customer_id").items():
        del customer
        pieces = pieces_of(own, cut, policy)
        if not pieces:
            continue
        notice = [r for r in own if r["cancel_requested_at"] and r["cancel_requested_at"] < cut]
        held = bridged(pieces, cut, {(r["subscription_id"], r["ended_at"]) for r in notice})
        currencies = sorted({p[6] for p in pieces})
        first = min(number(p[0]) for p in pieces)
        before = dict.fromkeys(currencies, (0, 0))
        for month in range(first, number(as_of) + 1):
            at = min(begins(month + 1), cut)
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
