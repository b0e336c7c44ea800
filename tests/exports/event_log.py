"""A log of what happened to subscriptions, as a company's own program writes it: no vendor's layout.

events.csv has a row an event: `event_id`, `occurred_at` (in the time of Rome, without a zone), `customer_id`,
`subscription_id`, `event`, `plan`, `interval` (month or year), `quantity`, `price` (of one unit for an interval, before
tax), `discount` (off the whole bill of an interval, while a coupon runs; one on a single bill is only in
`discount_once`), `currency`, `reason` and `test` (1 for accounts of the company's own). The events:

- trial_started, with the plan that is tried; subscribed, when the first paid term begins; changed, with all that is on
  from then (a coupon that has run out is a change, too);
- paused and resumed; payment_failed and payment_recovered;
- refunded, which changes nothing;
- cancel_requested, while what was paid goes on; cancelled, when service ends, with the `reason`: voluntary,
  payment (the end after failed payments, when what was paid for ended at the first payment_failed), or trial (one that led
  to nothing). A cancelled subscription may be subscribed again under its id.

Only trial_started, subscribed and changed say plan, price and all that belongs to them; on the others these fields are empty.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from exports.making import major, mixed, ordinary, write_csv
from exports.truth import DAY, Life, Span, Truth, truth_of

Row = dict[str, Any]
AS_OF = dt.date(2026, 3, 27)


def plan(name: str, price: int, **more: Any) -> Span:
    return Span(AS_OF, None, price, plan=name, subscription="1", **more)


BASIC, TEAM = plan("Basic", 1900), plan('Team "S", monthly', 1200, quantity=3)
YEARLY, YEN = plan("Basic, yearly", 19000, interval="year"), plan("Basic", 2800, currency="JPY")


def _on(span: Span, start: dt.date, end: dt.date | None = None, **more: Any) -> Span:
    return replace(span, start=start, end=end, **more)


def _chosen() -> Iterator[Life]:
    day = dt.date

    def life(*spans: Span, test: bool = False, **facts: Any) -> Life:
        return Life("", spans, test, facts)

    for span, start in ((BASIC, day(2024, 6, 3)), (YEN, day(2025, 1, 10)), (YEARLY, day(2025, 4, 8))):
        yield life(_on(span, start, start + 14 * DAY, status="trialing"), _on(span, start + 14 * DAY))
        yield life(_on(span, start + DAY, start + 15 * DAY, status="trialing"))
    yield life(_on(BASIC, day(2026, 3, 20), None, status="trialing"))
    yield life(_on(BASIC, day(2024, 6, 3)), test=True)
    yield life(_on(BASIC, day(2025, 3, 4), day(2025, 6, 4), off=475), _on(BASIC, day(2025, 6, 4)))
    yield life(_on(YEARLY, day(2024, 5, 9), off=3800))
    yield life(_on(BASIC, day(2025, 2, 9)), once=950)
    yield life(_on(BASIC, day(2025, 2, 6), day(2025, 9, 19)), _on(YEARLY, day(2025, 9, 19)))
    yield life(_on(TEAM, day(2024, 9, 11), day(2025, 5, 11)), _on(BASIC, day(2025, 5, 11)))
    yield life(_on(TEAM, day(2025, 1, 8), day(2025, 7, 28)), _on(replace(TEAM, quantity=7), day(2025, 7, 28)))
    for days, back in ((46, True), (131, True), (17, False)):
        stop = AS_OF - days * DAY if not back else day(2025, 6, 9)
        yield life(
            _on(BASIC, day(2025, 1, 9), stop),
            _on(BASIC, stop, stop + days * DAY if back else None, status="paused"),
            *([_on(BASIC, stop + days * DAY)] if back else []),
        )
    for name in (BASIC, YEN):
        late = day(2025, 8, 24)
        yield life(
            _on(name, day(2025, 1, 24), late),
            _on(name, late, late + 11 * DAY, status="past_due"),
            _on(name, late + 11 * DAY),
        )
    unpaid = day(2025, 10, 7)
    yield life(
        _on(BASIC, day(2025, 2, 7), unpaid),
        _on(BASIC, unpaid, unpaid + 25 * DAY, status="past_due", reason="payment"),
    )
    yield life(
        _on(BASIC, day(2025, 5, 19), day(2026, 3, 19)), _on(BASIC, day(2026, 3, 19), status="past_due")
    )
    yield life(_on(BASIC, day(2025, 4, 3)), refunded=day(2025, 9, 5))
    yield life(_on(BASIC, day(2024, 5, 6), day(2024, 11, 6)), _on(BASIC, day(2025, 9, 8)))
    yield life(_on(BASIC, day(2025, 1, 5)), _on(TEAM, day(2025, 3, 3), day(2025, 12, 3), subscription="2"))
    # Asked to cancel, and paid for until April.
    yield life(_on(BASIC, day(2025, 9, 2)), asked=day(2026, 3, 11))
    # Shortly before and after midnight in Rome, at the end of a month, where it is another day in UTC.
    yield life(_on(BASIC, day(2025, 2, 1), day(2025, 8, 1)), hour=0)
    yield life(_on(YEN, day(2025, 3, 1), day(2025, 10, 1)), hour=0)


def told() -> list[Life]:
    """The lives, as the export tells of them."""
    rng = Random(20)
    lives = list(_chosen())
    for offer, leave, count in ((BASIC, 0.08, 34), (TEAM, 0.06, 14), (YEN, 0.08, 14), (YEARLY, 0.4, 12)):
        for _ in range(count):
            lives.append(Life("", (ordinary(rng, offer, dt.date(2024, 1, 1), AS_OF, leave),)))
    return [replace(life, customer=f"c_{1000 + 7 * n}") for n, life in enumerate(lives)]


def write(folder: Path) -> Truth:
    """Write events.csv."""
    rng, lives = Random(120), told()
    rows = [row for life in lives for row in _of_life(life, rng)]
    rows = [{"event_id": 50_000 + number, **row} for number, row in enumerate(rows)]
    write_csv(folder / "events.csv", mixed(rng, rows, 9))
    return truth_of(lives, AS_OF)


def _of_life(life: Life, rng: Random) -> Iterator[Row]:
    """The events of a customer; a change takes the place of what was on before."""
    hour = life.facts.get("hour", rng.randint(7, 20))

    def event(name: str, day: dt.date, span: Span, reason: str = "", minute: int = 20, **more: Any) -> Row:
        said = name in ("trial_started", "subscribed", "changed")
        off = span.off if said and span.off else None
        return {
            "occurred_at": f"{day} {hour:02d}:{minute:02d}:00", "customer_id": life.customer,
            "subscription_id": f"{life.customer}-{span.subscription}", "event": name,
            "plan": span.plan if said else None, "interval": span.interval if said else None,
            "quantity": span.quantity if said else None,
            "price": major(span.price, span.currency) if said else None,
            "discount": major(off, span.currency) if off else None, "discount_once": None,
            "currency": span.currency if said else None, "reason": reason or None, "test": 1 if life.test else 0,
            "actor": 'system, "cron"', **more,
        }  # fmt: skip

    for of in sorted({span.subscription for span in life.spans}):
        spans = [span for span in life.spans if span.subscription == of]
        before: Span | None = None
        for span in spans:
            fresh = before is None or before.end != span.start
            if span.status == "trialing":
                yield event("trial_started", span.start, span)
            elif span.status in ("paused", "past_due"):
                yield event("paused" if span.status == "paused" else "payment_failed", span.start, span)
            elif before is None or fresh or before.status == "trialing":
                once = (
                    {"discount_once": major(life.facts["once"], span.currency)}
                    if "once" in life.facts
                    else {}
                )
                yield event("subscribed", span.start, span, **once)
            elif before.status in ("paused", "past_due"):
                yield event("resumed" if before.status == "paused" else "payment_recovered", span.start, span)
            else:
                yield event("changed", span.start, span)
            goes_on = any(other.start == span.end for other in spans)
            if span.end and span.end <= AS_OF and not goes_on:
                reason = "trial" if span.status == "trialing" else span.reason or "voluntary"
                if reason == "voluntary":
                    yield event(
                        "cancel_requested", max(span.start, span.end - 9 * DAY), span, reason, minute=40
                    )
                yield event("cancelled", span.end, span, reason)
            before = span
        if "refunded" in life.facts:
            yield event("refunded", life.facts["refunded"], spans[0])
        if "asked" in life.facts:
            yield event("cancel_requested", life.facts["asked"], spans[-1], "voluntary")
