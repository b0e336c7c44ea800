"""Lines of invoices and credit notes, as an accounting or billing program lists them: no vendor's layout.

invoice_lines.csv has a row a line:

- `invoice`, `line`, `document` (invoice or credit note), `date`, `due_date`, `paid_date` (empty: not paid), and `status`: paid,
  open, written off (it will not be paid any more) or void (issued by mistake: as if it had never been);
- `customer_id`, `customer_name`, `subscription` (the contract's number; empty for what is sold once), and `kind`: subscription,
  trial, setup fee, usage or one-off;
- `product`, `interval` (monthly, quarterly or yearly), `service_from` and `service_until`, which is the last day served;
- `quantity`, `unit_price` (of one unit for a whole interval, before discount and tax, also where a line is for a part of one),
  `discount` (of the line, for a whole interval), `net` (before tax), `tax`, `gross` and `currency`.

A line of a credit note is negative. With a time of service it takes that service back: all of a term, or the rest of it,
where a customer leaves or changes within one (the new plan or quantity is then charged for the rest of the term);
without one it is money given back, and service goes on. Days are those of the company; no times are given.

What the layout lacks: pauses, so that who is not billed for two months has left and come back; coupons, so that a discount
lasts for as long as it is on the lines, and there are none on a single bill; requests to cancel and reasons, but
that an invoice written off is an involuntary end, at the first day that it was for; and accounts for tests.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

from exports.making import later, major, mixed, ordinary, terms, write_csv
from exports.truth import DAY, Life, Span, Truth, truth_of

Row = dict[str, Any]
AS_OF = dt.date(2026, 2, 26)
TAX = {"EUR": Fraction(22, 100), "JPY": Fraction(10, 100)}
NAMES = ["Bäcker & Söhne, GmbH", 'Studio "Nove"', "Kyoto Tea K.K.", "O'Brien Ltd, Dublin", "Ferramenta Rossi"]


def plan(name: str, price: int, **more: Any) -> Span:
    """What is sold a month, unless said otherwise; its days come later."""
    return Span(AS_OF, None, price, plan=name, subscription="1", **more)


BASIC, TEAM = plan("Basic", 4900), plan("Team", 1500, quantity=4)
YEARLY, QUARTER = plan("Basic, yearly", 49000, interval="year"), plan("Basic, quarterly", 13800, count=3)
YEN = plan("Basic", 6800, currency="JPY")


def _on(span: Span, start: dt.date, end: dt.date | None = None, **more: Any) -> Span:
    return replace(span, start=start, end=end, **more)


def _chosen() -> Iterator[Life]:
    day = dt.date

    def life(*spans: Span, **facts: Any) -> Life:
        return Life("", spans, facts=facts)

    for span, start in ((BASIC, day(2024, 6, 3)), (YEN, day(2025, 1, 10)), (TEAM, day(2025, 11, 5))):
        yield life(_on(span, start, start + 14 * DAY, status="trialing"), _on(span, start + 14 * DAY))
        yield life(_on(span, start + DAY, start + 15 * DAY, status="trialing"))
    yield life(_on(BASIC, day(2025, 3, 4), day(2025, 6, 4), off=1225), _on(BASIC, day(2025, 6, 4)))
    yield life(_on(YEARLY, day(2024, 5, 9), off=9800))
    # Changes: up within a month, down at its end, seats within a term and at its end, from a year to months.
    yield life(_on(BASIC, day(2025, 2, 6), day(2025, 9, 19)), _on(plan("Pro", 9900), day(2025, 9, 19)))
    yield life(_on(plan("Pro", 9900), day(2024, 9, 11), day(2025, 5, 11)), _on(BASIC, day(2025, 5, 11)))
    yield life(_on(TEAM, day(2025, 1, 8), day(2025, 7, 28)), _on(replace(TEAM, quantity=7), day(2025, 7, 28)))
    yield life(
        _on(TEAM, day(2024, 11, 3), day(2025, 10, 3)), _on(replace(TEAM, quantity=2), day(2025, 10, 3))
    )
    yield life(_on(YEARLY, day(2024, 8, 8), day(2025, 8, 8)), _on(BASIC, day(2025, 8, 8)))
    # Paid late; written off; owed for some days; owed for too long.
    yield life(_on(BASIC, day(2025, 1, 12)), late={day(2025, 8, 12): day(2025, 9, 6)})
    unpaid = day(2025, 10, 7)
    yield life(
        _on(BASIC, day(2025, 2, 7), unpaid),
        _on(BASIC, unpaid, later(unpaid, 1), status="past_due", reason="written off"),
    )
    yield life(
        _on(YEN, day(2025, 4, 5), day(2026, 2, 5)),
        _on(YEN, day(2026, 2, 5), status="past_due", reason="open"),
    )
    yield life(
        _on(BASIC, day(2025, 4, 9), day(2025, 12, 9)),
        _on(BASIC, day(2025, 12, 9), status="past_due", reason="open"),
    )
    # Left within a term, and got the rest of it back; billed once more by mistake; money back for a bad week.
    yield life(_on(BASIC, day(2025, 4, 3), day(2025, 11, 20)))
    yield life(_on(YEARLY, day(2024, 10, 2), day(2025, 4, 20)))
    yield life(_on(BASIC, day(2025, 3, 10), day(2025, 9, 10)), mistaken=True)
    yield life(_on(BASIC, day(2025, 6, 5)), sorry=day(2025, 12, 9))
    yield life(_on(BASIC, day(2025, 1, 7)), void=day(2025, 4, 9))
    yield life(_on(BASIC, day(2025, 1, 9), day(2025, 7, 9)), _on(BASIC, day(2025, 9, 9)))
    yield life(_on(BASIC, day(2025, 1, 5)), _on(TEAM, day(2025, 3, 3), day(2025, 12, 3), subscription="2"))
    yield life(
        _on(BASIC, day(2025, 5, 12)), sold=(day(2025, 7, 12), "one-off", "Workshop, half a day", 90000)
    )
    yield life(_on(TEAM, day(2025, 5, 12)), sold=(day(2025, 9, 12), "usage", "Messages", 1234))


def told() -> list[Life]:
    """The lives, as the export tells of them."""
    rng = Random(18)
    lives = list(_chosen())
    for offer, leave, count in (
        (BASIC, 0.07, 30),
        (TEAM, 0.06, 12),
        (YEN, 0.07, 14),
        (QUARTER, 0.2, 8),
        (YEARLY, 0.4, 10),
    ):
        for _ in range(count):
            chosen = replace(offer, quantity=rng.randint(2, 9)) if offer is TEAM else offer
            lives.append(Life("", (ordinary(rng, chosen, dt.date(2024, 1, 1), AS_OF, leave),)))
    return [replace(life, customer=f"D{10_000 + 3 * n}") for n, life in enumerate(lives)]


def write(folder: Path) -> Truth:
    """Write invoice_lines.csv."""
    rng, lives = Random(118), told()
    rows: list[Row] = []
    for life in lives:
        rows += _of_life(life, rng.choice(NAMES))
    for number, row in enumerate(sorted(rows, key=lambda row: (row["date"], row["customer_id"]))):
        row["invoice"] = f"{'CN' if row['document'] == 'credit note' else 'R'}-{2_024_000 + number}"
    write_csv(folder / "invoice_lines.csv", mixed(rng, rows, 8))
    return truth_of(lives, AS_OF)


def _of_life(life: Life, name: str) -> Iterator[Row]:
    """The lines of a customer's documents."""
    line = {"customer_id": life.customer, "customer_name": name}
    facts = life.facts
    for of in sorted({span.subscription for span in life.spans}):
        paid_until = None  # the end of the term that the span before was billed for
        for span in (span for span in life.spans if span.subscription == of):
            cut = paid_until is not None and paid_until > span.start
            if span.status == "trialing":
                parts = [(span.start, span.end)]
            elif cut:
                parts = [(span.start, paid_until), *terms(replace(span, start=paid_until), AS_OF)]
            else:
                parts = terms(span, AS_OF)
            for place, (start, over) in enumerate(parts):
                whole = (
                    (later(over, -span.count, span.interval), over) if cut and not place else (start, over)
                )
                paid = facts.get("late", {}).get(start, start + 10 * DAY)
                paid = paid if paid <= AS_OF and span.status != "past_due" else None
                status = span.reason if span.status == "past_due" else "paid" if paid else "open"
                yield line | _line(life, span, start, over, whole) | _paper(start, status, paid)
            paid_until = over
            if span.end and span.end < over and span.status == "active":
                row = line | _line(life, span, span.end, over, parts[-1], sign=-1)
                yield row | _paper(span.end, "paid", span.end, "credit note")
    last = life.spans[-1]
    if "mistaken" in facts and last.end:
        parts = (last.end, later(last.end, 1))
        yield line | _line(life, last, *parts, parts) | _paper(last.end, "open", None)
        row = line | _line(life, last, *parts, parts, sign=-1)
        yield row | _paper(last.end + 4 * DAY, "open", None, "credit note")
    if "sorry" in facts:
        row = line | _line(
            life, last, last.start, later(last.start, 1), (last.start, later(last.start, 1)), sign=-1
        )
        back = {
            "service_from": None,
            "service_until": None,
            "net": "-10.00",
            "tax": "-2.20",
            "gross": "-12.20",
        }
        yield row | back | _paper(facts["sorry"], "paid", facts["sorry"], "credit note")
    if "void" in facts:
        parts = (facts["void"], later(facts["void"], 1))
        yield (
            line
            | _line(life, replace(last, price=99900), *parts, parts)
            | _paper(facts["void"], "void", None)
        )
    for day, kind, product, net in [facts["sold"]] if "sold" in facts else []:
        row = line | _line(life, replace(last, price=net, quantity=1, plan=product), day, day, None)
        yield (
            row | {"kind": kind, "subscription": None, "interval": None} | _paper(day, "paid", day + 3 * DAY)
        )
    if life.customer.endswith("2") and last.status == "active":
        start = life.spans[0].start
        row = line | _line(
            life, replace(last, price=5000, quantity=1, off=0, plan="Setup"), start, start, None
        )
        yield row | {"kind": "setup fee", "interval": None} | _paper(start, "paid", start + 3 * DAY)


def _line(
    life: Life,
    span: Span,
    start: dt.date,
    over: dt.date,
    whole: tuple[dt.date, dt.date] | None,
    sign: int = 1,
) -> Row:
    """What a line says of its service and amounts; `whole` is the term of which it may be a part."""
    trial = span.status == "trialing"
    bill = Fraction(0 if trial else span.price * span.quantity - span.off)
    if whole:
        bill *= Fraction((over - start).days, (whole[1] - whole[0]).days)
    net = sign * round(bill)
    tax = round(net * TAX[span.currency])
    months = span.count * (12 if span.interval == "year" else 1)
    return {
        "line": 1,
        "subscription": f"V-{life.customer[1:]}-{span.subscription}",
        "kind": "trial" if trial else "subscription",
        "product": span.plan,
        "interval": {1: "monthly", 3: "quarterly", 12: "yearly"}[months],
        "service_from": start if whole else None,
        "service_until": over - DAY if whole else None,
        "quantity": span.quantity,
        "unit_price": major(0 if trial else span.price, span.currency),
        "discount": major(span.off, span.currency) if span.off else None,
        "net": major(net, span.currency),
        "tax": major(tax, span.currency),
        "gross": major(net + tax, span.currency),
        "currency": span.currency,
        "ledger_account": 4400,
    }


def _paper(day: dt.date, status: str, paid: dt.date | None, document: str = "invoice") -> Row:
    return {
        "invoice": None,
        "document": document,
        "date": day,
        "due_date": day + 14 * DAY,
        "paid_date": paid,
        "status": status,
    }
