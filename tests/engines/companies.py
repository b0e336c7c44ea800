"""One company to ask the same of on every engine: the demo company, small, with nasty rows among its own.

The nasty rows keep the contract, and little else: nulls wherever they may be, ties, days that not every
month has, instants at the edge of a day, times with a zone, names that sort differently by language than by
byte, quotes, amounts beyond 2^31 and groups without anybody in them.
"""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tenure.contract import BY_NAME
from tenure_demo import write_demo

DEMO_CUSTOMERS = 400
_ARROW = {
    "string": pa.string(),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "boolean": pa.bool_(),
    "timestamp": pa.timestamp("us"),
    "date": pa.date32(),
}
ROME = ZoneInfo("Europe/Rome")


AS_OF = dt.date(2026, 10, 31)
THEN = dt.date(2026, 4, 30)
EXPERIMENT = 'price | "test" é'
ATTRIBUTE = "Ville d'été"
RATES = {"EUR": 1.0, "GBP": 1.17, "JPY": 0.0061, "USD": 0.91}


def write_company(folder: Path) -> Path:
    """Write the company into a folder; always the same rows."""
    demo = folder.with_name(f"{folder.name}-demo")
    write_demo(demo, customers=DEMO_CUSTOMERS, jobs=1)
    folder.mkdir(parents=True)
    for name, nasty in _nasty_tables().items():
        place = next(place for place in demo.iterdir() if place.stem == name)
        table = pq.read_table(place)
        if name == "events":
            times = table["occurred_at"].cast(pa.timestamp("us", tz="UTC"))
            table = table.set_column(table.column_names.index("occurred_at"), "occurred_at", times)
        if name == "subscriptions":
            table = table.append_column("renews", pa.array([True] * len(table)))
        both = pa.concat_tables([table, nasty], promote_options="permissive")
        pq.write_table(both, folder / f"{name}.parquet", store_schema=False, row_group_size=1500)
    shutil.rmtree(demo)
    return folder


def _nasty_tables() -> dict[str, pa.Table]:
    rng = np.random.default_rng(29)
    n = 90
    # Ids that differ in case only, sort differently by language than by byte, and hold what SQL quotes.
    odd = [
        "a",
        "A",
        "_",
        "é",
        "e",
        "É",
        "z",
        "Z",
        "ß",
        "ss",
        "o'brien",
        'say "hi"',
        "100%",
        "a|b",
        "日本",
        "😀",
    ]
    ids = [*odd, *(f"c{i:03d}" for i in range(n - len(odd)))]
    days = [dt.date(2024, 1, 31), dt.date(2024, 2, 28), dt.date(2024, 2, 29), dt.date(2024, 12, 31),
            dt.date(2025, 1, 1), dt.date(2025, 10, 29), dt.date(2025, 10, 30), dt.date(2025, 10, 31),
            dt.date(2026, 1, 31), dt.date(2026, 2, 28), dt.date(2026, 3, 29), dt.date(2026, 5, 31),
            dt.date(2026, 8, 31), dt.date(2026, 10, 25), dt.date(2026, 10, 30), AS_OF]  # fmt: skip
    clocks = [dt.time(), dt.time(23, 59, 59, 999_999), dt.time(12), dt.time(1, 30), dt.time(0, 0, 0, 1)]
    pick = lambda values: values[int(rng.integers(len(values)))]  # noqa: E731
    moment = lambda: dt.datetime.combine(pick(days), pick(clocks))  # noqa: E731
    plans = ["basic", "Basic", "Básico ☕", "a|b", "'quoted'"]

    customers = [
        {
            "customer_id": i,
            "created_at": moment(),
            "country": pick(["IT", "it", "Î", None]),
            "channel": pick(["paid search", "Paid Search", "友達", None]),
            "birth_year": pick([1900, 1959, 1960, 2001, None]),
            "gender": pick(["f", "m", None]),
            "is_test": bool(rng.random() < 0.05),
            "parent_id": pick([None, None, None, *ids[:3]]),
            ATTRIBUTE: pick(["Zürich", "zürich", "Århus", "", None]),
            "members": pick([1, 2, 2**40, None]),
        }
        for i in ids
    ]
    spans = []
    for number, i in enumerate([*ids, *ids[:40], *ids[:20]]):
        start = moment()
        long = dt.timedelta(days=int(pick([0, 0, 1, 28, 30, 31, 59, 92, 365, 700])))
        end = pick([None, start, start + long, start + long, start + long - dt.timedelta(microseconds=1)])
        end = None if end is None or end < start else end
        spans.append(
            {
                "subscription_id": f"nasty{number}",
                "customer_id": i,
                "plan": pick(plans),
                "billing_interval": pick(["day", "week", "month", "month", "month", "year", "once"]),
                "billing_interval_count": pick([1, 1, 1, 2, 3, 13]),
                "quantity": pick([0, 1, 1, 1, 3]),
                "unit_amount_minor": pick([0, 1, 999, 999, 1999, 2**31, 3_000_000_001]),
                "discount_minor": pick([0, 0, 0, 1, 998, 5_000_000_000]),
                "currency": pick(["EUR", "EUR", "EUR", "USD", "JPY"]),
                "status": pick(["active", "active", "active", "active", "trialing", "past_due", "paused"]),
                "started_at": start,
                "ended_at": end,
                "end_reason": None
                if end is None
                else pick(["voluntary", "involuntary", "switched", "expired", "unknown", None]),
                "cancel_requested_at": pick([None, None, start, end]),
                "commitment_ends_at": pick([None, None, end, start + long]),
                "renews": bool(rng.random() < 0.9),
            }
        )
    # The next span of a subscription begins where the last one ended: switches, price rises, pauses.
    for number, before in enumerate([span for span in spans if span["ended_at"]][:60]):
        start = before["ended_at"] + pick(
            [dt.timedelta(), dt.timedelta(), dt.timedelta(days=1), dt.timedelta(days=2)]
        )
        if start == before["started_at"]:
            continue
        spans.append(
            before
            | {
                "plan": pick([before["plan"], pick(plans)]),
                "unit_amount_minor": pick(
                    [before["unit_amount_minor"], before["unit_amount_minor"] + 100, 499]
                ),
                "status": pick(["active", "active", "paused", "past_due"]),
                "started_at": start,
                "ended_at": pick([None, start + dt.timedelta(days=31 + number)]),
                "end_reason": None,
                "cancel_requested_at": None,
            }
        )
    payments = [
        {
            "payment_id": f"nasty{number}",
            "customer_id": pick(ids),
            "subscription_id": pick([None, "nasty1", "nasty2", "nasty70"]),
            "attempted_at": moment(),
            "amount_minor": pick([0, 1, 999, 999, 1999, 2**31 + 7, 2_999_999_999]),
            "currency": pick(["EUR", "EUR", "USD", "JPY"]),
            "kind": pick(["recurring", "recurring", "usage", "one_off", "one_off"]),
            "status": pick(["paid", "paid", "paid", "failed", "refunded"]),
        }
        for number in range(900)
    ]
    last = dt.datetime(2026, 10, 31, 23, 59, 59, 999_999)
    ago = [0, 0.4, 1, 6, 7, 8, 27, 28, 29, 89, 90, 91, 181, 363, 364, 365, 391, 392]
    events = [
        {
            "customer_id": pick(ids[::2]),
            # With a zone: as an instant, not as what a clock in Rome showed.
            "occurred_at": (
                last - dt.timedelta(days=float(pick(ago)), seconds=int(pick([0, 0, 1800, 1801, 50_000])))
            )
            .replace(tzinfo=dt.UTC)
            .astimezone(ROME),
            "event": pick(["Play", "play", "login", "jouer 🎬"]),
            "feature": pick([None, "search", "Search", "%_'"]),
            "content_id": pick([None, "k1", "k2", "K2", "nowhere"]),
            "duration_s": pick([None, 0, 1, 60, 3600, 2**33]),
            "platform": pick([None, "tv", "TV"]),
        }
        for _ in range(1500)
    ]
    contents = [
        {"content_id": "k1", "title": "É", "category": "Ω", "published_at": None},
        {"content_id": "k2", "title": "e", "category": None, "published_at": dt.datetime(2026, 10, 31)},
        {"content_id": "K2", "title": "😀", "category": "ω", "published_at": None},
    ]
    sent = [
        dt.datetime(2025, 1, 31),
        dt.datetime(2026, 4, 30, 23, 59, 59),
        dt.datetime(2026, 10, 31, 0, 0, 1),
    ]
    asked = {
        "nps": (["recommend"], [0.0, 6.0, 6.5, 7.0, 8.0, 9.0, 10.0, 11.0, -1.0, None]),
        "psychographic": (["what's new?", "Ça va ?"], [1.0, 4.0, 5.0, None]),
        "price": (
            [
                "too_cheap",
                "cheap",
                "expensive",
                "too_expensive",
                "buy at 9.99",
                "choice 1: price=9.99 | none",
            ],
            [0.0, 1.0, 5.0, 9.99, 12.5, None],
        ),
        "exit": (["reason"], [None]),
    }
    surveys = []
    for i in ids:
        for survey, (questions, scores) in asked.items():
            at = pick(sent)
            for question in questions:
                answered = rng.random() < 0.8
                surveys.append(
                    {
                        "customer_id": i,
                        "survey": survey,
                        "question": question,
                        "sent_at": at,
                        "answered_at": at + dt.timedelta(hours=int(pick([0, 1, 30, 24 * 365])))
                        if answered
                        else None,
                        "score": pick(scores) if answered else None,
                        "answer": pick([None, "0", "1", "très cher", "TRÈS CHER"]) if answered else None,
                    }
                )
    tickets = [
        {
            "ticket_id": f"nasty{number}",
            "customer_id": pick(ids),
            "opened_at": moment(),
            "closed_at": pick([None, dt.datetime(2026, 10, 31)]),
            "topic": pick([None, "billing", "Billing"]),
            "satisfaction": pick([None, 1, 5]),
        }
        for number in range(120)
    ]
    visits = [
        {
            "visitor_id": f"nasty{number}",
            "first_seen_at": (at := moment()),
            "channel": pick([None, "paid search", "Paid Search"]),
            "trial_started_at": pick([None, at]),
            "subscribed_at": pick([None, at]),
            "customer_id": pick([None, i]),
        }
        for number, i in enumerate([*ids, *ids])
    ]
    spend = [
        {"date": day, "channel": channel, "amount_minor": 2**33 + place, "currency": currency}
        for place, day in enumerate(days)
        for channel in ("paid search", "Paid Search", "友達")
        for currency in ("USD", "JPY")
    ]
    assignments = [
        {
            "experiment": pick([EXPERIMENT, EXPERIMENT, EXPERIMENT, "other"]),
            "unit_id": f"nasty{int(rng.integers(150))}",
            "customer_id": pick([None, pick(ids)]),
            "variant": pick(["A", "a", "b"]),
            "assigned_at": dt.datetime.combine(pick(days[6:13]), pick(clocks)),
            "price_minor": pick([None, 999, 1999, 3_000_000_001]),
        }
        for _ in range(160)
    ]
    contacts = [
        {
            "campaign": campaign,
            "customer_id": i,
            "arm": pick(["treatment", "control"]),
            "contacted_at": moment(),
            "channel": pick([None, "email"]),
            "cost_minor": pick([0, 35]),
            "incentive_minor": pick([0, 2**32]),
        }
        for campaign in ("win back", "Win back")
        for i in ids[::2]
    ]
    points = [
        {
            "customer_id": pick(ids),
            "occurred_at": moment(),
            "kind": (kind := pick(["earn", "redeem", "expire", "adjust"])),
            "points": pick([0, 1, 100, 2**33]) * (-1 if kind == "adjust" and rng.random() < 0.5 else 1),
        }
        for _ in range(300)
    ]
    referrals = [
        {
            "referrer_id": pick(ids),
            "invited_at": (at := moment()),
            "referred_id": (referred := pick([None, pick(ids)])),
            "subscribed_at": referred and pick([None, at + dt.timedelta(days=3)]),
        }
        for _ in range(120)
    ]
    segments = [
        {
            "customer_id": i,
            "scheme": scheme,
            "segment": pick(["Series fans", "series fans", "Ü"]),
            "as_of": day,
        }
        for scheme in ("crm", "CRM")
        for day in (THEN, AS_OF)
        for i in ids[: 50 if scheme == "crm" else 5]
    ]
    rates = [
        {"date": day, "currency": currency, "rate": rate * (1 + place / 100)}
        for place, day in enumerate(days)
        for currency, rate in (("CHF", 1.05), ("JPY", 0.006))
    ]
    rows = {
        "customers": customers,
        "subscriptions": spans,
        "payments": payments,
        "events": events,
        "contents": contents,
        "surveys": surveys,
        "tickets": tickets,
        "visits": visits,
        "spend": spend,
        "assignments": assignments,
        "contacts": contacts,
        "points": points,
        "referrals": referrals,
        "segments": segments,
        "fx_rates": rates,
        "annotations": [{"date": days[-1], "label": "día bisiesto"}],
        "targets": [{"metric": "churn.monthly", "period": "2027", "target": 0.05}],
    }
    return {name: _table(name, found) for name, found in rows.items()}


def _table(name: str, rows: list[dict]) -> pa.Table:
    contract = BY_NAME[name]
    types = {column.name: _ARROW[column.type] for column in contract.columns if column.name in rows[0]}
    if name == "customers":
        types |= {ATTRIBUTE: pa.string(), "members": pa.int64()}
    if name == "events":
        types["occurred_at"] = pa.timestamp("us", tz="UTC")
    schema = pa.schema(list(types.items()))
    return pa.Table.from_pylist(rows, schema=schema)
