"""Use, surveys and acquisition, counted by hand and by a loop over single events."""

from __future__ import annotations

import datetime as dt
from itertools import count
from random import Random

import ibis
import pyarrow as pa
import pytest

from tenure.measures import acquisition, engagement, feedback
from tenure.models import engagement as activity
from tenure.models import rates

AS_OF = dt.date(2024, 6, 30)
JUNE = 2024 * 12 + 5
ENGINE = ibis.duckdb.connect()
NUMBER = count()
TIME, TEXT, WHOLE = pa.timestamp("us"), pa.string(), pa.int64()
SCHEMAS = {
    "customers": {"customer_id": TEXT, "channel": TEXT, "is_test": pa.bool_()},
    "events": {"customer_id": TEXT, "occurred_at": TIME, "event": TEXT, "feature": TEXT, "content_id": TEXT,
               "duration_s": WHOLE},
    "contents": {"content_id": TEXT, "category": TEXT},
    "surveys": {"customer_id": TEXT, "survey": TEXT, "sent_at": TIME, "answered_at": TIME, "score": pa.float64()},
    "spend": {"date": pa.date32(), "channel": TEXT, "amount_minor": WHOLE, "currency": TEXT},
    "subscriptions": {
        "subscription_id": TEXT, "customer_id": TEXT, "plan": TEXT, "billing_interval": TEXT,
        "billing_interval_count": WHOLE, "quantity": WHOLE, "unit_amount_minor": WHOLE, "discount_minor": WHOLE,
        "currency": TEXT, "status": TEXT, "started_at": TIME, "ended_at": TIME, "end_reason": TEXT,
        "cancel_requested_at": TIME, "discount_duration": TEXT,
    },
}  # fmt: skip


def tables(**given):
    people = sorted({row["customer_id"] for rows in given.values() for row in rows if "customer_id" in row})
    given.setdefault(
        "customers", [{"customer_id": i, "channel": "web", "is_test": i == "test"} for i in people]
    )
    return {
        name: ENGINE.create_table(
            f"t{next(NUMBER)}",
            pa.Table.from_pylist(rows, schema=pa.schema(list(SCHEMAS[name].items()))),
            temp=True,
        )
        for name, rows in given.items()
    }


def event(who, at, kind="play", **rest):
    return {"customer_id": who, "occurred_at": dt.datetime.fromisoformat(at), "event": kind} | rest


def records(expression):
    return expression.to_pandas().to_dict("records")


def test_users_of_a_day_a_week_and_four_weeks_are_counted_once():
    draw = Random(3)
    start = dt.date(2024, 4, 1)
    seen = {(f"c{draw.randint(1, 40)}", start + dt.timedelta(days=draw.randint(0, 90))) for _ in range(300)}
    rows = [event(who, f"{day}T{draw.randint(0, 23):02d}:30") for who, day in sorted(seen) for _ in range(2)]
    rows += [event("test", "2024-06-20T10:00")]
    counts = engagement.active_days(tables(events=rows), as_of=AS_OF, days=91).to_pandas()
    first, last = ((day - dt.date(1970, 1, 1)).days for day in (dt.date(2024, 5, 1), AS_OF))
    found = activity.active_users(counts, first=first, last=last)
    for row in found.to_dict("records"):
        day = dt.date(1970, 1, 1) + dt.timedelta(days=row["day"])
        for name, window in activity.WINDOWS.items():
            users = {who for who, at in seen if day - dt.timedelta(days=window) < at <= day}
            assert row[name] == len(users), (day, name)
    days = engagement.days_used(tables(events=rows), as_of=AS_OF).to_pandas()
    now = days[days["window"] == "now"]
    mine = {who: sum(w == who and at > AS_OF - dt.timedelta(days=28) for w, at in seen) for who, _ in seen}
    assert (now["active_days"] * now["users"]).sum() == sum(mine.values())
    then = days[days["window"] == "before"]
    past = {who: sum(w == who and 28 <= (AS_OF - at).days < 56 for w, at in seen) for who, _ in seen}
    both = [who for who in mine if mine[who] and past[who]]
    assert then["users_now"].sum() == len(both)
    assert (then["active_days"] * then["days_now"]).sum() == sum(past[who] * mine[who] for who in both)
    sticky = activity.stickiness_by_window(days)["engagement.stickiness"]
    month = found.tail(28)
    assert sticky.value == pytest.approx(month["DAU"].mean() / month["MAU"].iloc[-1])


def test_half_an_hour_of_silence_ends_a_session_and_what_plays_is_not_silent():
    rows = [
        event("a", "2024-06-01T10:00"), event("a", "2024-06-01T10:30"),
        event("a", "2024-06-01T11:00:01"),  # half an hour and a second later: another session
        event("b", "2024-06-01T10:00", duration_s=3600), event("b", "2024-06-01T11:20", duration_s=600),
        event("c", "2024-05-31T23:50", duration_s=1200),  # belongs to the month in which it began
    ]  # fmt: skip
    found = {(r["month"] - JUNE, r["minutes"]): r["sessions"] for r in records(
        engagement.sessions(tables(events=rows), as_of=AS_OF, days=60)
    )}  # fmt: skip
    assert found == {(0, 30): 1, (0, 0): 1, (0, 90): 1, (-1, 20): 1}


def test_three_users_who_return_on_day_1_on_day_5_and_never():
    # The definitions' example: N-day 33.3, 0, 0, 0, 33.3, 0 and unbounded 66.7, 33.3, 33.3, 33.3, 33.3, 0.
    rows = [event("old", "2024-04-01T08:00"), event("test", "2024-06-11T09:00")]
    rows += [event(who, "2024-06-10T12:00") for who in ("a", "b", "c")]
    rows += [event("a", "2024-06-11T01:00"), event("b", "2024-06-15T23:00"), event("c", "2024-06-10T18:00")]
    rows += [event("a", "2024-06-28T01:00"), event("young", "2024-06-27T01:00")]
    counts = engagement.return_days(tables(events=rows), as_of=AS_OF, horizon=6, days=91).to_pandas()
    found = activity.returning(counts, days=range(1, 7)).frame
    assert found["new_users"].tolist() == [3] * 6
    assert (100 * found["N-day"]).round(1).tolist() == [33.3, 0, 0, 0, 33.3, 0]
    assert (100 * found["unbounded"]).round(1).tolist() == [66.7, 33.3, 33.3, 33.3, 33.3, 0]
    assert (found["N-day_low"] <= found["N-day"]).all()
    # Nobody is new so soon after the first event of all, when earlier ones may be missing.
    counts = engagement.return_days(tables(events=rows[2:]), as_of=AS_OF, horizon=6, days=91).to_pandas()
    assert counts.empty


def test_features_and_content_are_counted_by_users():
    rows = [
        event("a", "2024-06-20T10:00", feature="search"), event("a", "2024-06-21T10:00", feature="search"),
        event("b", "2024-06-20T10:00", feature="live", content_id="f1", duration_s=600),
        event("b", "2024-05-10T10:00", feature="search"), event("b", "2023-06-25T10:00", feature="live"),
        event("test", "2024-06-20T10:00", feature="live", content_id="f1", duration_s=600),
        event("a", "2024-06-22T10:00", "buffering"),
    ]  # fmt: skip
    contents = [{"content_id": "f1", "category": None}]
    source = tables(events=rows, contents=contents)
    found = {
        (r["window"], r["feature"]): r["users"] for r in records(engagement.feature_use(source, as_of=AS_OF))
    }
    assert found == {
        ("now", ""): 2, ("now", "search"): 1, ("now", "live"): 1, ("before", ""): 1, ("before", "search"): 1,
        ("year ago", ""): 1, ("year ago", "live"): 1,
    }  # fmt: skip
    assert records(engagement.content_use(source, as_of=AS_OF)) == [
        {"category": "unknown", "users": 1, "pieces": 1, "times": 1, "seconds": 600}
    ]
    kinds = {
        r["event"]: (r["n"], r["with_value"]) for r in records(engagement.event_kinds(source, as_of=AS_OF))
    }
    assert kinds == {"play": (4, 1), "buffering": (1, 0)}


def subscription(who, start, end=None, status="active", **rest):
    row = {
        "subscription_id": f"s{who}{start}",
        "customer_id": who,
        "plan": "Basic",
        "billing_interval": "month",
    }
    row |= {"billing_interval_count": 1, "quantity": 1, "unit_amount_minor": 1000, "discount_minor": 0}
    row |= {"currency": "EUR", "status": status, "started_at": dt.datetime.fromisoformat(start)}
    ended = dt.datetime.fromisoformat(end) if end else None
    return row | {"ended_at": ended, "end_reason": "voluntary" if end else None} | rest


def test_silent_payers_are_those_who_pay_and_have_not_used_it_for_four_weeks():
    paying = [
        subscription(who, "2024-01-05") for who in ("week", "month", "quarter", "year", "never", "test")
    ]
    rows = [
        event("week", "2024-06-24T00:00"), event("month", "2024-06-23T23:59"),
        event("quarter", "2024-06-02T23:59"), event("year", "2024-04-01T10:00"),
        event("gone", "2024-06-29T10:00"), event("never", "2024-06-29T10:00", "login"),
    ]  # fmt: skip
    source = tables(subscriptions=[*paying, subscription("gone", "2024-01-05", "2024-05-01")], events=rows)
    found = engagement.silent_payers(source, as_of=AS_OF, events=["play"]).to_pandas()
    # 28 days before, quarter had used it the day before it is silent; a year ago is not known.
    then = found[found["back"] == 28].set_index("last_use")
    assert set(found["back"]) == {0, 28}
    assert then.loc["within 7 days", ["customers", "paying_now", "silent_now"]].tolist() == [1, 1, 1]
    assert then.loc["never", ["customers", "paying_now", "silent_now"]].tolist() == [3, 3, 1]
    last_use = activity.silence(found, engagement.SILENCE, {"EUR": 1.0}, "EUR")
    assert last_use.frame["customers"].tolist() == [1, 1, 1, 1, 1]
    assert last_use.frame["per_month"].tolist() == [1000] * 5
    share = activity.silent_payers(found, last_use, "EUR")["engagement.silent_payers"]
    assert (share.value, share.n) == (0.6, 5)


def test_scores_count_on_the_scale_and_silence_counts_as_asked():
    given = [("a", 9), ("b", 10), ("c", 8), ("d", 6), ("e", 11), ("f", 7.5), ("g", None), ("test", 0)]
    rows = [
        {"customer_id": who, "survey": "nps", "sent_at": dt.datetime(2024, 6, 3), "score": score,
         "answered_at": dt.datetime(2024, 6, 5) if score is not None else None}
        for who, score in given
    ]  # fmt: skip
    # An answer of after the last day is not known yet; another survey is another question.
    rows += [
        rows[0] | {"customer_id": "late", "answered_at": dt.datetime(2024, 7, 2)},
        rows[0] | {"survey": "exit"},
    ]
    (found,) = records(feedback.nps_counts(tables(surveys=rows), as_of=AS_OF))
    expected = {"sent": 8, "answered": 4, "promoters": 2, "passives": 1, "detractors": 1, "off_scale": 2}
    assert {name: found[name] for name in expected} == expected
    assert rates.net_promoter_score(2, 1, 1).value == 25
    # A score without a time is an answer, given when it was asked for.
    untimed = [row | {"answered_at": None} for row in rows]
    (found,) = records(feedback.nps_counts(tables(surveys=untimed), as_of=AS_OF))
    assert {name: found[name] for name in expected} == expected | {"answered": 5, "promoters": 3}


def test_money_counts_when_its_customers_are_expected_and_who_returns_is_not_new():
    days = [(dt.date(2024, 5, 24), 700), (dt.date(2024, 5, 25), 50), (dt.date(2024, 6, 26), 900)]
    spent = [
        {"date": day, "channel": "ads", "amount_minor": amount, "currency": "EUR"} for day, amount in days
    ]
    spans = [
        subscription("a", "2024-06-03"), subscription("test", "2024-06-03"),
        subscription("b", "2024-02-01", "2024-03-01"), subscription("b", "2024-06-10"),
    ]  # fmt: skip
    source = tables(spend=spent, subscriptions=spans)
    found = {
        r["month"] - JUNE: r["amount_minor"]
        for r in records(acquisition.spend(source, as_of=AS_OF, lag_days=7))
    }
    assert found == {-1: 700, 0: 50}  # the money of June 26 has not brought its customers yet
    won = {r["month"] - JUNE: r["customers"] for r in records(acquisition.customers_won(source, as_of=AS_OF))}
    assert won == {-4: 1, 0: 1}


def test_only_trials_that_are_over_say_whether_they_convert():
    spans = [
        subscription("a", "2024-06-01", "2024-06-08", "trialing"), subscription("a", "2024-06-08"),
        subscription("b", "2024-06-01", "2024-06-08", "trialing"),
        subscription("c", "2024-06-01", "2024-06-08", "trialing"), subscription("c", "2024-06-20"),
        subscription("d", "2024-06-20", "2024-06-27", "trialing"), subscription("d", "2024-06-27"),
        subscription("e", "2024-01-01"), subscription("e", "2024-06-01", "2024-06-08", "trialing"),
        subscription("test", "2024-06-01", "2024-06-08", "trialing"),
    ]  # fmt: skip
    (found,) = records(acquisition.trials(tables(subscriptions=spans), as_of=AS_OF))
    # c paid later than a week after the trial, d's trial is over for too short a time, e paid already.
    assert (found["trials"], found["ripe"], found["converted"]) == (4, 3, 1)
