"""What is known of customers on some days, against a company small enough to read."""

from __future__ import annotations

import datetime as dt
from itertools import count

import ibis
import pandas as pd
import pyarrow as pa

from tenure.measures import risk

CONNECTION, NUMBER = ibis.duckdb.connect(), count()
ON = [dt.date(2026, 10, 31), dt.date(2026, 7, 31)]
# customer: began, ended, why, notice, months of a term
LIVES = {
    "stays": ("2026-01-10", None, None, None, 1),
    "chooses": ("2026-01-10", "2026-09-10", "voluntary", "2026-09-01", 1),
    "fails": ("2026-01-10", "2026-09-10", "involuntary", None, 1),
    "notice": ("2026-01-10", "2026-08-10", "voluntary", "2026-07-20", 1),
    "yearly": ("2026-03-05", None, None, None, 12),
    "late": ("2026-08-20", None, None, None, 1),
    "gone": ("2026-01-10", "2026-04-10", "voluntary", None, 1),
}


def table(rows, **types):
    schema = pa.schema([(name, {"t": pa.timestamp("us"), "i": pa.int64(), "s": pa.string(), "b": pa.bool_()}[t])
                        for name, t in types.items()])  # fmt: skip
    return CONNECTION.create_table(f"r{next(NUMBER)}", pa.Table.from_pylist(rows, schema=schema), temp=True)


def at(day):
    return day and dt.datetime.fromisoformat(f"{day}T09:00:00")


def source():
    spans = [
        {"subscription_id": f"s-{who}", "customer_id": who, "plan": "Year" if months == 12 else "Month",
         "billing_interval": "month", "billing_interval_count": months, "quantity": 1,
         "unit_amount_minor": 1000 * months, "discount_minor": 0, "currency": "EUR", "status": "active",
         "started_at": at(began), "ended_at": at(ended), "end_reason": why, "cancel_requested_at": at(notice)}
        for who, (began, ended, why, notice, months) in LIVES.items()
    ]  # fmt: skip
    texts = dict.fromkeys(("subscription_id", "customer_id", "plan", "billing_interval", "currency"), "s")
    times = dict.fromkeys(("started_at", "ended_at", "cancel_requested_at"), "t")
    whole = dict.fromkeys(("billing_interval_count", "quantity", "unit_amount_minor", "discount_minor"), "i")
    used = [("stays", "2026-07-31"), ("stays", "2026-07-02"), ("stays", "2026-04-10"), ("stays", "2026-08-01"),
            ("chooses", "2026-05-01")]  # fmt: skip
    failed = [
        ("fails", "2026-07-10", "failed"),
        ("fails", "2026-06-10", "paid"),
        ("fails", "2026-09-10", "failed"),
    ]
    return {
        "customers": table([{"customer_id": who, "is_test": False} for who in LIVES], customer_id="s", is_test="b"),
        "subscriptions": table(spans, **texts, status="s", end_reason="s", discount_duration="s", **times, **whole),
        "events": table([{"customer_id": who, "occurred_at": at(day), "event": "play"} for who, day in used],
                        customer_id="s", occurred_at="t", event="s"),
        "payments": table([{"customer_id": who, "attempted_at": at(day), "status": how, "kind": "recurring",
                            "amount_minor": 1000, "currency": "EUR"} for who, day, how in failed],
                          customer_id="s", attempted_at="t", status="s", kind="s", amount_minor="i", currency="s"),
    }  # fmt: skip


def asked(**options):
    found = risk.landmarks(source(), on=ON, until=dt.date(2027, 1, 31), as_of=ON[0], known_until=ON[0],
                           rates={"EUR": 2.0}, **options)  # fmt: skip
    return found.execute().set_index(["on", "customer_id"])


def test_what_is_known_is_known_before_and_what_followed_after():
    rows = asked()
    then = rows.loc["2026-07-31"]
    assert set(then.index) == {"stays", "chooses", "fails", "notice", "yearly"}
    assert then["outcome"].to_dict() == {
        "stays": "stayed", "chooses": "voluntary", "fails": "involuntary", "notice": "voluntary",
        "yearly": "stayed",
    }  # fmt: skip
    assert then["notice"].to_dict() == {**dict.fromkeys(then.index, 0), "notice": 1}
    assert then.loc["stays", ["used", "used_before", "unused_days"]].tolist() == [1, 1, 0]
    assert then.loc["chooses", ["used", "used_before", "unused_days"]].tolist() == [0, 1, 91]
    assert then.loc["yearly", ["used", "used_before", "unused_days"]].tolist() == [0, 0, 112]
    assert then["failed"].to_dict() == {**dict.fromkeys(then.index, 0), "fails": 1}
    assert then[["tickets", "nps"]].isna().all(axis=None)
    assert then.loc["stays", ["tenure", "wait_days", "ahead_days", "bill"]].tolist() == [6, 10, 92, 2000]
    assert then.loc["yearly", ["tenure", "wait_days", "interval"]].tolist() == [0, 217, "12 months"]
    now = rows.loc["2026-10-31"]
    assert set(now.index) == {"stays", "yearly", "late"}
    assert now["outcome"].isna().all()


def test_a_sample_keeps_the_same_customers():
    few = asked(max_rows=2)
    assert len(few) < len(asked())
    assert few.equals(asked(max_rows=2))


def test_what_a_campaign_cost():
    contacts = [
        ("a", "treatment", 30, 100),
        ("a", "treatment", 10, 300),
        ("a", "control", 0, 0),
        ("b", "treatment", 5, 0),
    ]
    rows = [{"campaign": name, "arm": arm, "cost_minor": cost, "incentive_minor": given,
             "contacted_at": at("2026-01-01" if name == "a" else "2027-01-01")} for name, arm, cost, given in contacts]  # fmt: skip
    tables = {
        "contacts": table(rows, campaign="s", arm="s", cost_minor="i", incentive_minor="i", contacted_at="t")
    }
    found = risk.campaign_costs(tables, as_of=ON[0]).execute()
    assert found.equals(pd.DataFrame({"campaign": ["a"], "cost": [20.0], "incentive": [200.0]}))
