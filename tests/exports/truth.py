"""What is true of a made-up company, by plain loops over its lives.

An export's writer decides on lives, each event on purpose, writes them in a vendor's layout, and returns
`truth_of(lives, as_of)`. Nothing here reads files or asks the library. All days are those of the reporting zone;
money is in minor units. The rules are the default ones: a pause counts for 90 days and adds nothing, unpaid
time counts for 30 days, free time within a paid life is on hold for 90 days, and what begins within the gap
that a term allows (1 day for a month, 14 for a year) goes on.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise

PAUSE_DAYS, HOLD_DAYS, GRACE_DAYS, RIPE_DAYS = 90, 90, 30, 7
PER_YEAR = {"year": 1, "month": 12, "week": 52, "day": 365}
DAYS = {"year": 360, "month": 30, "week": 7, "day": 1}
DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Span:
    """Time in which nothing about a subscription changes.

    Attributes:
        start: Its first day.
        end: The day on which it ended, exclusive; None: it is on.
        price: List price of one unit for one interval, before tax.
        off: Discount per interval, of a coupon that runs for some time or for ever. A coupon on a single bill
            is none: leave it out here, and write it in the export.
        status: active, trialing, past_due or paused.
        reason: Why it ended, for writers; the truth does not look at it.
    """

    start: dt.date
    end: dt.date | None
    price: int
    currency: str = "EUR"
    interval: str = "month"
    count: int = 1
    quantity: int = 1
    off: int = 0
    status: str = "active"
    subscription: str = ""
    plan: str = ""
    reason: str = ""

    @property
    def monthly(self) -> int:
        """What it pays a month at its price, rounded half up to the minor unit."""
        bill = max(self.price * self.quantity - self.off, 0)
        return int(Fraction(bill * PER_YEAR[self.interval], 12 * self.count) + Fraction(1, 2))

    @property
    def gap(self) -> int:
        """Days within which something that begins goes on where this ended."""
        return max(1, min(14, 14 * DAYS[self.interval] * self.count // 360))


@dataclass(frozen=True)
class Life:
    """A customer, with the spans of all their subscriptions; `facts` are what a layout writes besides."""

    customer: str
    spans: tuple[Span, ...]
    test: bool = False
    facts: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Truth:
    """What a report of the company must say.

    Attributes:
        as_of: The last day that the export knows; the last month is counted at its end.
        mrr: By month such as "2025-03" and currency, in minor units, at the month's end; none that is 0.
        paying: Customers with MRR at a month's end; none that is 0.
        churned: Customers who left in a month: there (paying, on a pause or on hold) at the end of the month
            before and not at its own; none that is 0.
        lives: By customer who ever paid, the first paid day and the day on which the last spell ended,
            exclusive, None if it has not.
        trials: Customers who began a trial before they ever paid, and those of them who paid within 7 days of
            its end, where those 7 days are over.
    """

    as_of: dt.date
    mrr: dict[tuple[str, str], int]
    paying: dict[str, int]
    churned: dict[str, int]
    lives: dict[str, tuple[dt.date, dt.date | None]]
    trials: tuple[int, int]


@dataclass
class _Piece:
    start: dt.date
    end: dt.date | None
    pays: int  # a month
    idle: bool  # on a pause or on hold: there, and pays nothing
    currency: str
    gap: int


def month_ends(first: dt.date, as_of: dt.date) -> dict[str, dt.date]:
    """The day after each month's last, by month; after `as_of` for the last month."""
    found, day = {}, first.replace(day=1)
    while day <= as_of:
        following = (day + 31 * DAY).replace(day=1)
        found[f"{day:%Y-%m}"] = min(following, as_of + DAY)
        day = following
    return found


def truth_of(lives: Iterable[Life], as_of: dt.date) -> Truth:
    """Work out the truth about lives, none of whose spans begins after `as_of`."""
    real = [life for life in lives if not life.test]
    cut = as_of + DAY
    mrr: dict[tuple[str, str], int] = defaultdict(int)
    paying: dict[str, int] = defaultdict(int)
    churned: dict[str, int] = defaultdict(int)
    stays = {}
    began = converted = 0
    for life in real:
        assert all(span.start <= as_of for span in life.spans), life.customer
        pieces = _pieces(life, cut)
        if pieces:
            last = max((piece.end or dt.date.max) for piece in pieces)
            stays[life.customer] = (min(p.start for p in pieces), last if last <= cut else None)
        there = False
        for month, at in month_ends(min(span.start for span in life.spans), as_of).items():
            on = [p for p in pieces if p.start < at and (p.end is None or p.end >= at)]
            for piece in on:
                mrr[month, piece.currency] += 0 if piece.idle else piece.pays
            paying[month] += any(not piece.idle for piece in on)
            churned[month] += there and not on
            there = bool(on)
        trials = [span for span in life.spans if span.status == "trialing"]
        first = stays.get(life.customer, (None, None))[0]
        trials = [span for span in trials if first is None or first >= span.start]
        if trials:
            began += 1
            ended = max(span.end or cut for span in trials)
            ripe = ended + RIPE_DAYS * DAY <= as_of
            converted += ripe and first is not None and first <= ended + RIPE_DAYS * DAY
    return Truth(
        as_of, _some(mrr), _some(paying), _some(churned), dict(sorted(stays.items())), (began, converted)
    )


def _some(counts):
    return {key: count for key, count in sorted(counts.items()) if count}


def _pieces(life: Life, cut: dt.date) -> list[_Piece]:
    """The stretches of a life in which its customer is there, each subscription by itself."""
    pieces: list[_Piece] = []
    for name in sorted({span.subscription for span in life.spans}):
        own = sorted((s for s in life.spans if s.subscription == name), key=lambda s: s.start)
        assert all(a.end and a.end <= b.start for a, b in pairwise(own)), life.customer
        paid_before = None
        for place, span in enumerate(own):
            following = own[place + 1] if place + 1 < len(own) else None
            follows = following is not None and following.start == span.end
            days = (min(span.end or cut, cut) - span.start).days
            pays, end, idle = span.monthly, span.end, False
            if span.status == "trialing" or (span.status == "active" and not pays):
                # Free, within a paid life: on hold, if it is not for long and somebody still is or comes back.
                touches = paid_before is not None and paid_before.end == span.start
                stays = span.end is None or span.end > cut or follows
                if not touches or days > HOLD_DAYS or not stays:
                    continue
                pays, idle = paid_before.pays, True
            elif span.status == "paused":
                idle = True
                if days > PAUSE_DAYS:
                    end = span.start + PAUSE_DAYS * DAY
            elif span.status == "past_due":
                paid = follows and following.status == "active" and days <= GRACE_DAYS
                waiting = (span.end is None or span.end > cut) and days <= GRACE_DAYS
                if not (paid or waiting):
                    continue
            paid_before = _Piece(span.start, end, pays, idle, span.currency, span.gap)
            pieces.append(paid_before)
    # What begins within the gap after the last of the others ended goes on, at what was paid then.
    pieces.sort(key=lambda p: (p.start, p.end or dt.date.max))
    for piece in list(pieces):
        if piece.end is None or any(
            p.start <= piece.end and (p.end or dt.date.max) > piece.end for p in pieces
        ):
            continue
        later = [p.start for p in pieces if piece.end < p.start <= piece.end + piece.gap * DAY]
        if later:
            pieces.append(_Piece(piece.end, min(later), piece.pays, piece.idle, piece.currency, piece.gap))
    return pieces
