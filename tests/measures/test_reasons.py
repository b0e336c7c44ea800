"""What is counted of leaving, against a company small enough to count by hand, and an independent loop."""

from __future__ import annotations

import datetime as dt

import ibis
import pandas as pd
import pytest

from tenure.measures import reasons as r

AS_OF = dt.date(2024, 12, 31)
DAY = dt.timedelta(days=1)


def at(day: str, hour: int = 9) -> dt.datetime:
    return dt.datetime.combine(dt.date.fromisoformat(day), dt.time(hour))


def span(
    customer, start, end=None, reason=None, *, amount=1000, interval="month", subscription=None, plan="A"
):
    return {
        "subscription_id": subscription or f"s-{customer}", "customer_id": customer, "plan": plan,
        "billing_interval": interval, "billing_interval_count": 1, "quantity": 1, "unit_amount_minor": amount,
        "discount_minor": 0, "discount_duration": None, "currency": "EUR", "status": "active",
        "started_at": at(start), "ended_at": end and at(end), "end_reason": reason, "cancel_requested_at": None,
        "commitment_ends_at": None, "renews": True,
    }  # fmt: skip


def source(spans, **tables):
    frames = {"subscriptions": pd.DataFrame(spans)}
    ids = sorted({row["customer_id"] for row in spans})
    frames["customers"] = pd.DataFrame({"customer_id": ids, "is_test": False, "reason": "taken"})
    frames |= {name: pd.DataFrame(rows) for name, rows in tables.items()}
    for frame in frames.values():
        for column in frame.columns[frame.columns.str.endswith("_at")]:
            frame[column] = pd.to_datetime(frame[column])
    text = {"discount_duration", "end_reason", "answer", "failure_reason"}
    found = {}
    for name, frame in frames.items():
        schema = ibis.memtable(frame).schema()
        types = {
            c: ("string" if c in text else "timestamp" if c.endswith("_at") else t) for c, t in schema.items()
        }
        found[name] = ibis.memtable(frame, schema=types)
    return found


def asked(customer, sent, answer=None, answered=None, score=None):
    return {
        "customer_id": customer, "survey": "exit", "question": "reason", "sent_at": at(sent),
        "answered_at": answered and at(answered), "answer": answer, "score": score,
    }  # fmt: skip


SPANS = [
    span("a", "2024-01-10", "2024-05-10", "voluntary"),
    span("a", "2024-08-01", "2024-11-01", "voluntary", amount=2000, subscription="s-a2"),
    span("b", "2024-01-10", "2024-04-10", "involuntary"),
    span("c", "2024-01-10", "2024-06-10", "voluntary"),
    span("d", "2024-01-10"),
]
SURVEYS = [
    asked("a", "2024-05-11", "price", "2024-05-12"),
    asked("a", "2024-11-02", None),
    asked("c", "2024-05-20", "  bugs ", "2024-06-01"),  # asked on cancelling, before the end
    asked("c", "2024-06-20", None),
    asked("d", "2024-03-01", "price", "2024-03-02"),  # has not left
    asked("b", "2024-04-11", "price", "2025-01-01"),  # answered after the last day
]


def test_departures_have_their_price_and_tenure():
    gone = r.departures(source(SPANS), as_of=AS_OF).execute().sort_values(["customer_id", "spell"])
    shown = gone[["customer_id", "spell", "cause", "tenure", "amount_minor", "lead"]]
    assert shown.to_numpy().tolist() == [
        ["a", 1, "voluntary", 4, 1000, 1],
        ["a", 2, "voluntary", 3, 2000, 1],
        ["b", 1, "involuntary", 3, 1000, 1],
        ["c", 1, "voluntary", 5, 1000, 1],
    ]


def test_answers_belong_to_the_nearest_end():
    tables = source(SPANS, surveys=SURVEYS)
    gone = r.departures(tables, as_of=AS_OF)
    said = r.with_answers(tables, gone, "reason", as_of=AS_OF)
    shown = said.execute().set_index(["customer_id", "spell"])[["asked", "answer"]]
    assert shown.loc[("a", 1)].tolist() == [1, "price"]
    assert shown.loc[("a", 2), "asked"] == 1
    assert shown.loc[[("a", 2), ("b", 1)], "answer"].isna().all()
    assert shown.loc[("c", 1)].tolist() == [1, "bugs"]
    counts = r.answer_counts(said, since=dt.date(2024, 5, 1)).execute()
    assert counts["n"].sum() == 3
    assert counts.loc[counts["answer"] == "price", ["n", "amount_minor", "squares"]].to_numpy().tolist() == [
        [1, 1000, 1e6]
    ]
    questions = r.exit_questions(tables, as_of=AS_OF).execute()
    assert questions.to_numpy().tolist() == [["reason", 3, 0]]


def test_without_surveys_nobody_was_asked():
    tables = source(SPANS)
    said = r.with_answers(tables, r.departures(tables, as_of=AS_OF), "", as_of=AS_OF).execute()
    assert said["asked"].sum() == 0
    assert said["answer"].isna().all()


def test_months_of_life_hold_what_happened_in_them():
    tables = source(
        SPANS,
        surveys=SURVEYS,
        events=[
            {"customer_id": "c", "occurred_at": at(day), "event": kind}
            for day, kind in [
                ("2024-01-10", "play"), ("2024-01-20", "play"), ("2024-02-09", "play"), ("2024-02-10", "play"),
                ("2024-03-12", "login"), ("2024-05-01", "play"), ("2024-07-01", "play"),
            ]
        ],
        tickets=[
            {"ticket_id": "t1", "customer_id": "c", "opened_at": at("2024-02-15"), "closed_at": None},
            {"ticket_id": "t2", "customer_id": "d", "opened_at": at("2024-02-15"), "closed_at": at("2024-03-20")},
        ],
        payments=[
            {"payment_id": "p", "customer_id": "d", "subscription_id": "s-d", "attempted_at": at("2024-04-10"),
             "amount_minor": 1000, "currency": "EUR", "kind": "recurring", "status": "failed"},
        ],
    )  # fmt: skip
    lives = r.months_of_life(tables, events=["play"], as_of=AS_OF)
    rows = lives.execute().sort_values(["customer_id", "month"]).set_index("customer_id")
    assert rows.loc["c", "use"].tolist() == ["as before", "less than half", "none", "as before", "none"]
    assert rows.loc["c", "ticket"].tolist() == ["none", "opened", "none", "none", "none"]
    assert rows.loc["c", "unresolved"].tolist() == ["none", "open", "open", "open", "open"]
    assert rows.loc["d", "unresolved"].tolist()[:4] == ["none", "open", "none", "none"]
    assert rows.loc["d", "payment"].tolist()[:5] == ["paid", "paid", "paid", "failed", "paid"]
    assert rows.loc["c", "left"].tolist() == [0, 0, 0, 0, 1]
    assert rows.loc["b", "left"].tolist() == [0, 0, 0]
    assert len(rows.loc["d"]) == 11
    # The last month of c's, by what had happened two months before.
    counts = r.before_leaving(lives, [2]).execute()
    last = counts[counts["event"] == 1].set_index("entry")
    assert last.loc[4, ["use", "unresolved", "n"]].tolist() == ["none", "open", 1]
    said = r.with_answers(tables, r.departures(tables, as_of=AS_OF), "reason", as_of=AS_OF)
    known = r.with_reasons(tables, said, lives, {"bugs": "quality"}).execute().set_index("customer_id")
    assert known.loc[["b", "c"], "reason"].tolist() == ["payment failed", "quality"]
    assert known.loc[["a", "d"], "reason"].isna().all()
    assert known["sign"].dropna().to_dict() == {"c": "unresolved request"}


@pytest.mark.parametrize(("interval", "first"), [("month", 3), ("year", 11)])
def test_renewals_count_from_the_first_at_the_new_price(interval, first):
    lives = r.months_of_life(source([span("a", "2023-01-10", interval=interval)]), as_of=AS_OF)
    counts = r.around_rise(lives, since=dt.date(2023, 5, 1), plans=["A"], around=1).execute()
    at_new_price = counts[counts["renewal"] == 0]
    assert at_new_price["entry"].tolist() == [first]


def tries(customer, *rows, subscription=True, reason="card expired"):
    return [
        {
            "payment_id": f"{customer}{number}", "customer_id": customer,
            "subscription_id": f"s-{customer}" if subscription else None, "attempted_at": at(day),
            "amount_minor": 1000, "currency": "EUR", "kind": "recurring", "status": status,
            "failure_reason": reason if status == "failed" else None,
        }
        for number, (day, status) in enumerate(rows)
    ]  # fmt: skip


def test_an_episode_is_one_however_often_it_was_tried():
    payments = [
        *tries("a", ("2024-01-10", "paid"), ("2024-02-10", "failed"), ("2024-02-13", "failed"), ("2024-02-15", "paid"),
               ("2024-03-10", "failed"), ("2024-03-10", "paid")),
        *tries("b", ("2024-04-10", "failed"), ("2024-04-17", "failed")),
        *tries("c", ("2024-06-05", "failed"), reason=None),
        *tries("d", ("2024-12-28", "failed")),
        *tries("e", ("2024-03-01", "failed"), ("2024-05-01", "paid"), subscription=False),
    ]  # fmt: skip
    spans = [
        *SPANS[1:2],
        span("a", "2024-01-10"),
        span("b", "2024-01-10", "2024-04-22", "involuntary"),
        *SPANS[3:],
        span("e", "2024-01-10"),
    ]
    tables = source(spans, payments=payments)
    tried = r.attempts(tables, as_of=AS_OF)
    found = r.episodes(tables, tried, as_of=AS_OF).execute()
    keys = ["outcome", "day", "failures", "failure_reason", "n"]
    assert sorted(found[keys].to_numpy().tolist()) == [
        ["involuntary", 12, 2, "card expired", 1],
        ["open", 2, 1, "card expired", 1],
        ["open", 28, 1, "card expired", 1],  # e was paid too late to be a recovery
        ["recovered", 1, 1, "card expired", 1],
        ["recovered", 5, 2, "card expired", 1],
        ["voluntary", 5, 1, "unknown", 1],
    ]
    again = r.retries(tried).execute()
    assert again.to_numpy().tolist() == [[1, 0, 1, 1], [1, 3, 1, 0], [1, 7, 1, 0], [2, 5, 1, 1]]
