"""A made-up company's lives, and the bills that a vendor would have sent for them.

Each event is chosen on purpose, once or twice; plain customers stand around them, drawn with a seed. Pauses,
unpaid time and the beginnings and ends of coupons lie on the days of bills, as vendors have it; switches and changes
of quantity do not.
"""

from __future__ import annotations

import calendar
import datetime as dt
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from zoneinfo import ZoneInfo

from exports.truth import Life, Span

AS_OF = dt.date(2026, 4, 17)
Day = dt.date
NAMES = [
    "Ann Lee",
    "Ikeda, Yuko",
    'Rob "Bo" Hart',
    "Zoë Müller",
    "O'Neil & Sons, Ltd.",
    "",
    "José Ruiz",
    "Li Wei",
]
COUNTRIES = ["DE", "US", "JP", "FR", "", "NO"]


@dataclass(frozen=True)
class Plan:
    """What is sold: a price by currency, of one unit, in minor units."""

    name: str
    prices: dict[str, int]
    interval: str = "month"
    count: int = 1


BASIC = Plan("Basic", {"EUR": 1900, "JPY": 2400})
PRO = Plan("Pro", {"EUR": 4950, "JPY": 6200})
TEAM = Plan("Team seat", {"EUR": 1225, "JPY": 1500})
YEARLY = Plan("Basic, yearly", {"EUR": 19_000, "JPY": 24_000}, "year")
QUARTER = Plan("Quarterly", {"EUR": 5_500, "JPY": 7_000}, "month", 3)
PLANS = (BASIC, PRO, TEAM, YEARLY, QUARTER)


def later(day: Day, months: int, anchor: int = 0) -> Day:
    """The same day some months on, or the month's last where it has none such."""
    month = day.year * 12 + day.month - 1 + months
    year, month = divmod(month, 12)
    return Day(year, month + 1, min(anchor or day.day, calendar.monthrange(year, month + 1)[1]))


def days(day: Day, count: int) -> Day:
    return day + dt.timedelta(days=count)


def term(span: Span) -> int:
    """A billing interval's months."""
    return {"month": 1, "year": 12}[span.interval] * span.count


def spans(*parts: tuple, currency: str = "EUR", subscription: str = "") -> tuple[Span, ...]:
    """Spans of (plan, start, end) and, where it is not plainly active, a dictionary of what else is so."""
    made = []
    for plan, start, end, *more in parts:
        facts = more[0] if more else {}
        made.append(
            Span(start, end, plan.prices[currency], currency, plan.interval, plan.count, plan=plan.name,
                 subscription=subscription, **facts)
        )  # fmt: skip
    return tuple(made)


def trial(day: Day) -> tuple[Day, Day]:
    return day, days(day, 14)


def chosen() -> list[tuple[str, str, list[list[tuple]]]]:
    """(what it is, currency, by subscription the parts of its spans)."""
    owed = {"status": "past_due"}
    gone = {"status": "past_due", "reason": "involuntary"}
    out = {"status": "paused"}
    on_trial = {"status": "trialing"}
    left = {"reason": "voluntary"}
    a, b, c, d, e = Day(2024, 3, 12), Day(2024, 5, 31), Day(2024, 7, 4), Day(2025, 1, 20), Day(2025, 9, 9)
    return [
        ("trial converted", "EUR", [[(BASIC, *trial(a), on_trial), (BASIC, days(a, 14), None)]]),
        ("trial converted, then left", "EUR", [[
            (PRO, *trial(b), on_trial), (PRO, days(b, 14), later(days(b, 14), 8), left)]]),
        ("trial converted in yen", "JPY", [[(BASIC, *trial(d), on_trial), (BASIC, days(d, 14), None)]]),
        ("trial not converted", "EUR", [[(BASIC, *trial(c), on_trial | left)]]),
        ("trial not converted", "JPY", [[(PRO, *trial(e), on_trial | left)]]),
        ("trial going on", "EUR", [[(BASIC, Day(2026, 4, 10), None, on_trial)]]),
        ("coupon for three months", "EUR", [[(PRO, c, later(c, 3), {"off": 990}), (PRO, later(c, 3), None)]]),
        ("coupon for three months", "JPY", [[
            (PRO, d, later(d, 3), {"off": 1240}), (PRO, later(d, 3), later(d, 9), left)]]),
        ("coupon for ever", "EUR", [[(YEARLY, a, None, {"off": 1900})]]),
        ("coupon for ever", "EUR", [[(BASIC, b, later(b, 15), {"off": 190} | left)]]),
        ("coupon once", "EUR", [[(BASIC, e, None)]]),
        ("switch up within a month", "EUR", [[
            (BASIC, c, days(later(c, 5), 11), {"reason": "switched"}), (PRO, days(later(c, 5), 11), None)]]),
        ("switch down within a month", "JPY", [[
            (PRO, a, days(later(a, 9), 20), {"reason": "switched"}),
            (BASIC, days(later(a, 9), 20), later(a, 20), left)]]),
        ("switch to a year", "EUR", [[
            (BASIC, d, days(later(d, 4), 6), {"reason": "switched"}), (YEARLY, days(later(d, 4), 6), None)]]),
        ("seats", "EUR", [[
            (TEAM, a, days(later(a, 6), 9), {"quantity": 4, "reason": "switched"}),
            (TEAM, days(later(a, 6), 9), days(later(a, 14), 3), {"quantity": 9, "reason": "switched"}),
            (TEAM, days(later(a, 14), 3), None, {"quantity": 6})]]),
        ("seats, then left", "JPY", [[
            (TEAM, c, days(later(c, 7), 15), {"quantity": 2, "reason": "switched"}),
            (TEAM, days(later(c, 7), 15), later(c, 16), {"quantity": 3} | left)]]),
        ("pause", "EUR", [[(BASIC, a, later(a, 7)), (BASIC, later(a, 7), later(a, 9), out), (BASIC, later(a, 9), None)]]),
        ("pause", "JPY", [[(BASIC, d, later(d, 5)), (BASIC, later(d, 5), later(d, 6), out), (BASIC, later(d, 6), None)]]),
        ("pause of half a year", "EUR", [[
            (PRO, c, later(c, 6)), (PRO, later(c, 6), later(c, 12), out), (PRO, later(c, 12), None)]]),
        ("pause going on", "EUR", [[(PRO, e, later(e, 6)), (PRO, later(e, 6), None, out)]]),
        ("owed, then paid", "EUR", [[
            (BASIC, b, later(b, 4)), (BASIC, later(b, 4), days(later(b, 4), 9), owed), (BASIC, days(later(b, 4), 9), None)]]),
        ("owed, then paid", "JPY", [[
            (PRO, a, later(a, 13)), (PRO, later(a, 13), days(later(a, 13), 16), owed),
            (PRO, days(later(a, 13), 16), later(a, 18), left)]]),
        ("owed and never paid", "EUR", [[
            (PRO, a, later(a, 10)), (PRO, later(a, 10), days(later(a, 10), 21), gone)]]),
        ("owed and never paid", "EUR", [[
            (BASIC, Day(2024, 11, 20), Day(2025, 8, 20)), (BASIC, Day(2025, 8, 20), Day(2025, 9, 10), gone)]]),
        ("owed now", "EUR", [[(BASIC, Day(2025, 4, 5), Day(2026, 4, 5)), (BASIC, Day(2026, 4, 5), None, owed)]]),
        ("left at once, within a month", "EUR", [[(BASIC, c, days(later(c, 11), 13), left)]]),
        ("left on the first of a month", "EUR", [[(BASIC, Day(2024, 6, 1), Day(2025, 2, 1), left)]]),
        ("left, and came back", "EUR", [
            [(BASIC, a, later(a, 6), left)], [(PRO, Day(2025, 3, 3), None)]]),
        ("two at once", "EUR", [
            [(BASIC, b, None)], [(YEARLY, d, later(d, 12), left)]]),
        ("will leave", "EUR", [[(PRO, Day(2025, 2, 28), None, {"reason": "asked"})]]),
        ("refunded", "EUR", [[(YEARLY, c, later(c, 12), left)]]),
        ("refunded in part", "JPY", [[(BASIC, e, None)]]),
        ("quarters", "EUR", [[(QUARTER, b, None)]]),
        ("quarters", "EUR", [[(QUARTER, c, later(c, 9), left)]]),
        ("renewed for a second year", "EUR", [[(YEARLY, Day(2024, 2, 29), None)]]),
        ("test", "EUR", [[(PRO, a, None)]]),
        ("test", "EUR", [[(PRO, d, later(d, 3), left)]]),
    ]  # fmt: skip


def lives(
    customer: Callable[[int], str], subscription: Callable[[int], str], *, plain: int = 50, seed: int = 7,
    without: tuple[str, ...] = (),
) -> list[Life]:  # fmt: skip
    """The lives of a company.

    Args:
        customer: A customer's id, by number.
        subscription: A subscription's.
        plain: How many customers just pay, and perhaps leave.
        without: Beginnings of what it is (see `chosen`) that a layout cannot hold at all.
    """
    rng = random.Random(seed)
    told = [one for one in chosen() if not one[0].startswith(without or ("-",))]
    for _ in range(plain):
        plan, currency = rng.choice([BASIC, BASIC, PRO, YEARLY]), rng.choice(["EUR", "EUR", "EUR", "JPY"])
        start = days(Day(2024, 2, 1), rng.randrange(730))
        bills = rng.randint(1, 14 if plan is not YEARLY else 2)
        end = later(start, bills * (12 if plan is YEARLY else 1))
        known = days(end, 15) < AS_OF and rng.random() < 0.7
        told.append(
            (
                "plain",
                currency,
                [[(plan, start, end if known else None, *([{"reason": "voluntary"}] if known else []))]],
            )
        )
    made, number = [], 0
    for place, (what, currency, subs) in enumerate(told):
        own: list[Span] = []
        for parts in subs:
            number += 1
            own += spans(*parts, currency=currency, subscription=subscription(number))
        facts = {
            "what": what, "name": NAMES[place % len(NAMES)], "email": f"person{place}@example.com",
            "country": COUNTRIES[place % len(COUNTRIES)], "at": dt.time(rng.randrange(24), rng.randrange(60), rng.randrange(60)),
        }  # fmt: skip
        made.append(Life(customer(place + 1), tuple(own), what == "test", facts))
    return made


def own_spans(life: Life) -> dict[str, list[Span]]:
    """A life's spans by subscription, in order."""
    found: dict[str, list[Span]] = {}
    for span in sorted(life.spans, key=lambda s: s.start):
        found.setdefault(span.subscription, []).append(span)
    return found


def at_utc(day: Day, time: dt.time, zone: str) -> dt.datetime:
    """The instant of a local day and time, in UTC and without a zone."""
    local = dt.datetime.combine(day, time, ZoneInfo(zone))
    return local.astimezone(dt.UTC).replace(tzinfo=None)


@dataclass(frozen=True)
class Bill:
    """A line on a bill.

    Attributes:
        start: The day from which it is for.
        end: The day to which it is for, exclusive.
        billed: The day of the bill.
        amount: Before tax and after discounts; of a credit negative.
        off: The discount in it.
        kind: full (a billing interval), trial, credit (of the rest of what was billed before) or prorated.
        state: paid, void (not to be paid: a pause) or open.
        paid: The day on which it was paid.
    """

    span: Span
    start: Day
    end: Day
    billed: Day
    amount: int
    off: int
    kind: str
    state: str
    paid: Day | None

    @property
    def list_price(self) -> int:
        return self.amount + self.off


def bills(own: list[Span], once: int = 0) -> Iterator[Bill]:
    """The lines of a subscription's bills up to `AS_OF`; `once` is a discount on the first that is paid."""
    own = list(own)
    if own[0].status == "trialing":
        first = own.pop(0)
        end = first.end or days(first.start, 14)
        yield Bill(first, first.start, end, first.start, 0, 0, "trial", "paid", first.start)
    if not own:
        return
    begin, number, anchor = own[0].start, 0, own[0].start.day
    stop = own[-1].end or days(AS_OF, 1)
    while True:
        at = later(begin, number * term(_on(own, begin)), anchor)
        if at >= stop or at > AS_OF:
            return
        span = _on(own, at)
        end = later(begin, (number + 1) * term(span), anchor)
        state = {"active": "paid", "paused": "void", "past_due": "open"}[span.status]
        paid = at
        if state == "open" and span.end and not span.reason:  # paid late
            state, paid = "paid", span.end
        off = span.off + once
        amount = span.price * span.quantity - off
        yield Bill(span, at, end, at, amount, off, "full", state, paid if state == "paid" else None)
        once, number = 0, number + 1
        for old, new in pairwise(own):
            if old.reason == "switched" and at < new.start < end:
                rest = (end - new.start).days
                back = round(old.price * old.quantity * rest / (end - at).days)
                yield Bill(old, new.start, end, new.start, -back, 0, "credit", "paid", new.start)
                if term(new) != term(old):  # a new interval begins, billed in whole
                    begin, number, anchor = new.start, 0, new.start.day
                    break
                part = round(new.price * new.quantity * rest / (end - at).days)
                yield Bill(new, new.start, end, new.start, part, 0, "prorated", "paid", new.start)


def _on(own: list[Span], day: Day) -> Span:
    return next(span for span in own if span.start <= day and (span.end is None or span.end > day))


def settled(own: list[Span]) -> list[Span]:
    """A subscription as one row tells it: its last plan and price since it began, trials apart, pauses forgotten."""
    last = own[-1]
    paid = [span for span in own if span.status != "trialing"]
    made = [span for span in own if span.status == "trialing"]
    if not paid:
        return made
    end, owed = last.end, last.status == "past_due"
    whole = replace(
        last, start=paid[0].start, end=last.start if owed else end, status="active", off=0,
        reason="" if owed else last.reason,
    )  # fmt: skip
    return [*made, whole, *([replace(last, off=0)] if owed else [])]
