"""Behavior, value and segments of subscribers against an independent loop over the same events."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from itertools import count

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference import rfm
from tenure.measures import engagement, feedback
from tenure.measures import features as f
from tenure.models import segments as sg

AS_OF = dt.date(2024, 6, 30)
CUT = AS_OF + dt.timedelta(days=1)
DAYS = 90
SHARES = {"category": {"Film": 0.5, "Kids": 0.3}, "platform": {"tv": 0.6, "phone": 0.4}}
CONNECTION = ibis.duckdb.connect()
NUMBER = count()


def table(name, rows, schema):
    made = pa.Table.from_pylist(rows, schema=pa.schema(schema))
    return CONNECTION.create_table(f"f{next(NUMBER)}_{name}", made, temp=True)


def source(people, events, tickets=(), surveys=()):
    """Contract tables of customers, each (start, end or None, amount), and their events."""
    text, moment, whole = pa.string(), pa.timestamp("us"), pa.int64()
    spans = [
        {
            "subscription_id": f"s-{customer}", "customer_id": customer, "plan": "Basic", "billing_interval": "month",
            "billing_interval_count": 1, "quantity": 1, "unit_amount_minor": amount, "discount_minor": 0,
            "currency": currency, "status": "active", "started_at": dt.datetime.combine(start, dt.time(9)),
            "ended_at": end and dt.datetime.combine(end, dt.time(9)), "end_reason": end and "voluntary",
            "cancel_requested_at": None,
        }
        for customer, (start, end, amount, currency) in people.items()
    ]  # fmt: skip
    customers = [
        {
            "customer_id": c,
            "is_test": False,
            "channel": "web" if i % 3 else "tv",
            "birth_year": 1990 if i % 2 else None,
        }
        for i, c in enumerate(people)
    ]
    schema = dict.fromkeys(("subscription_id", "customer_id", "plan", "billing_interval", "currency"), text)
    schema |= {"status": text, "end_reason": text, "started_at": moment, "ended_at": moment}
    schema |= {"cancel_requested_at": moment, "discount_duration": text}
    schema |= dict.fromkeys(
        ("billing_interval_count", "quantity", "unit_amount_minor", "discount_minor"), whole
    )
    seen = {"customer_id": text, "occurred_at": moment, "event": text, "feature": text, "content_id": text}
    seen |= {"duration_s": whole, "platform": text}
    tables = {
        "customers": table(
            "customers", customers,
            {"customer_id": text, "is_test": pa.bool_(), "channel": text, "birth_year": whole}.items(),
        ),
        "subscriptions": table("subscriptions", spans, schema.items()),
        "events": table("events", list(events), seen.items()),
        "contents": table(
            "contents", [{"content_id": "f", "category": "Film"}, {"content_id": "k", "category": "Kids"}],
            [("content_id", text), ("category", text)],
        ),
    }  # fmt: skip
    if tickets:
        tables["tickets"] = table("tickets", tickets, [("customer_id", text), ("opened_at", moment)])
    if surveys:
        kinds = {
            "customer_id": text,
            "survey": text,
            "question": text,
            "sent_at": moment,
            "answered_at": moment,
        }
        tables["surveys"] = table(
            "surveys", surveys, {**kinds, "score": pa.float64(), "answer": text}.items()
        )
    return tables


def event(customer, at, content="f", platform="tv", seconds=600, kind="play"):
    row = {"customer_id": customer, "occurred_at": at, "event": kind, "feature": None, "content_id": content}
    return {**row, "duration_s": seconds, "platform": platform}


def loop(people, events, tickets=(), everyone=False, kinds=()):
    """The same quantities, one customer at a time."""
    by_customer = defaultdict(list)
    for row in events:
        if not kinds or row["event"] in kinds:
            by_customer[row["customer_id"]].append(row)
    rows = {}
    for customer, (start, end, amount, _currency) in people.items():
        gone = end is not None and end < CUT
        if start >= CUT or amount == 0 or (gone and not everyone):
            continue
        until = end if gone else CUT
        tenure = max((until - start).days, 1)
        watched = min(tenure, DAYS)
        first = until - dt.timedelta(days=watched)
        own = [
            e
            for e in by_customer[customer]
            if first <= e["occurred_at"].date() < until and e["occurred_at"].date() < CUT
        ]
        n = len(own)
        days = [e["occurred_at"].date() for e in own]
        late = sum(d >= until - dt.timedelta(days=watched // 2) for d in days)
        row = {
            "tenure_days": tenure,
            "events": n,
            "active_days": len(set(days)),
            "recency_days": (until - dt.timedelta(days=1) - max(days)).days if days else watched,
            "events_a_month": n / (watched / 30.4375),
            "minutes": np.mean([e["duration_s"] for e in own]) / 60 if own else np.nan,
            "weekend": (sum(d.weekday() >= 5 for d in days) + 4 * 2 / 7) / (n + 4) if n else np.nan,
            "daytime": (sum(6 <= e["occurred_at"].hour <= 17 for e in own) + 2) / (n + 4) if n else np.nan,
            "trend": (2 * late - n) / (n + 4) if n else np.nan,
        }
        content = Counter({"f": "Film", "k": "Kids"}.get(e["content_id"]) for e in own)
        known = sum(v for k, v in content.items() if k)
        platform = Counter(e["platform"] for e in own)
        total = sum(v for k, v in platform.items() if k)
        shares = {
            "category_1": (content["Film"] + 4 * 0.5) / (known + 4),
            "category_2": (content["Kids"] + 4 * 0.3) / (known + 4),
            "platform_1": (platform["tv"] + 4 * 0.6) / (total + 4),
            "platform_2": (platform["phone"] + 4 * 0.4) / (total + 4),
        }
        row |= shares if n else dict.fromkeys(shares, np.nan)
        used = [content["Film"], content["Kids"], platform["tv"], platform["phone"]]
        row["breadth"] = sum(u > 0 for u in used) if n else np.nan
        asked = [
            t for t in tickets if t["customer_id"] == customer and first <= t["opened_at"].date() < until
        ]
        row["tickets_a_year"] = len(asked) / watched * 365.25 if tickets else np.nan
        rows[customer] = row
    return pd.DataFrame.from_dict(rows, orient="index").sort_index()


dates = st.dates(dt.date(2023, 9, 1), dt.date(2024, 7, 20))
moments = st.datetimes(dt.datetime(2023, 12, 1), dt.datetime(2024, 7, 10))
a_person = st.tuples(dates, st.none() | st.integers(1, 300), st.sampled_from([0, 999, 1999]))
an_event = st.tuples(
    st.integers(0, 24), moments, st.sampled_from(["f", "k", None]), st.sampled_from(["tv", "phone", "web", None]),
    st.integers(1, 9000), st.sampled_from(["play", "login"]),
)  # fmt: skip


@st.composite
def companies(draw):
    people = {}
    for i, (start, lasted, amount) in enumerate(draw(st.lists(a_person, min_size=15, max_size=25))):
        end = start + dt.timedelta(days=lasted) if lasted else None
        people[f"c{i:02d}"] = (start, end, amount, "EUR")
    rows = draw(st.lists(an_event, min_size=30, max_size=120))
    events = [
        event(f"c{i:02d}", at, content, platform, s, kind) for i, at, content, platform, s, kind in rows
    ]
    tickets = [{"customer_id": f"c{i % 25:02d}", "opened_at": at} for i, at, *_rest in rows[:20]]
    return people, events, tickets


def ran(expr, key="customer_id"):
    return expr.to_pandas().set_index(key).sort_index()


@pytest.mark.long
@settings(max_examples=5, deadline=None)
@given(companies(), st.booleans(), st.randoms())
def test_usage_is_what_a_loop_finds_in_any_order_of_rows(company, everyone, random):
    people, events, tickets = company
    random.shuffle(events)
    for kinds in ((), ("play",)):
        expected = loop(people, events, tickets, everyone, kinds)
        if expected.empty:
            continue
        made = f.usage(
            source(people, events, tickets),
            as_of=AS_OF,
            days=DAYS,
            shares=SHARES,
            everyone=everyone,
            events=kinds,
        )
        found = ran(made)
        assert found.index.tolist() == expected.index.tolist()
        for column in expected:
            left, right = found[column].astype(float).to_numpy(), expected[column].astype(float).to_numpy()
            assert left == pytest.approx(right, nan_ok=True), column


def company(n=200, seed=0):
    rng = np.random.default_rng(seed)
    people, events = {}, []
    for i in range(n):
        start = dt.date(2023, 10, 1) + dt.timedelta(days=int(rng.integers(0, 250)))
        end = start + dt.timedelta(days=int(rng.integers(20, 300))) if rng.random() < 0.4 else None
        people[f"c{i:03d}"] = (start, end, int(rng.choice([999, 1999, 2999])), "EUR" if i % 4 else "USD")
        for _ in range(int(rng.poisson(12)) * int(rng.random() < 0.9)):
            at = dt.datetime(2024, 1, 1) + dt.timedelta(minutes=int(rng.integers(0, 260_000)))
            content, platform = ("f", "tv") if i % 2 else ("k", "phone")
            events.append(event(f"c{i:03d}", at, content, platform, int(rng.integers(60, 7000))))
    return people, events


@pytest.fixture(scope="module")
def tables():
    return source(*company())


@pytest.fixture(scope="module")
def used(tables):
    return f.usage(tables, as_of=AS_OF, days=DAYS, shares=SHARES).cache()


@pytest.fixture(scope="module")
def paid(tables):
    return f.worth(tables, as_of=AS_OF, rates={"EUR": 1.0, "USD": 0.9}).cache()


def test_levels_are_counted_and_named(tables):
    levels = f.usage_levels(tables, as_of=AS_OF, days=DAYS).to_pandas()
    _people, events = company()
    near = [e for e in events if CUT - dt.timedelta(days=DAYS) <= e["occurred_at"].date() < CUT]
    counts = Counter(e["platform"] for e in near)
    assert dict(levels.query("kind == 'platform'")[["level", "n"]].to_numpy().tolist()) == counts
    assert set(levels["kind"]) == {"category", "platform"}


def test_worth_is_revenue_in_the_reporting_currency(paid):
    people, _events = company()
    expected = {
        c: amount if currency == "EUR" else int(np.floor(amount * 0.9 + 0.5))
        for c, (start, end, amount, currency) in people.items()
        if start < CUT and (end is None or end >= CUT)
    }
    assert ran(paid)["value_minor"].to_dict() == expected
    only = f.worth(source(*company()), as_of=AS_OF, rates={"EUR": 1.0}).to_pandas()
    assert set(only["customer_id"]) == {c for c in expected if people[c][3] == "EUR"}


def test_rfm_scores_and_segments_are_those_of_the_model(used, paid):
    quantities = f.rfm(used, paid)
    frame = ran(quantities)
    edges = sg.rfm_edges(f.value_counts(quantities, ["recency", "frequency", "value"]).to_pandas())
    for name in frame:
        assert np.array(edges[name]) == pytest.approx(np.quantile(frame[name], [0.2, 0.4, 0.6, 0.8]))
    scored = f.rfm_scores(quantities, edges)
    found = ran(scored)
    assert found["r"].tolist() == rfm.scores(frame["recency"], edges["recency"], reverse=True).tolist()
    assert found["f"].tolist() == rfm.scores(frame["frequency"], edges["frequency"]).tolist()
    assert found["m"].tolist() == rfm.scores(frame["value"], edges["value"]).tolist()
    cells = sg.rfm_cells()
    assert ran(f.rfm_segments(scored, cells))["segment"].tolist() == [cells[cell] for cell in found["cell"]]


def rule(quadratic, frame):
    rng = np.random.default_rng(1)
    names = ["events_a_month", "minutes", "weekend", "trend", "category_1", "platform_2"]
    features = tuple(
        {"name": n, "transform": t, "center": float(c), "scale": float(s), "mean": float(m)}
        for n, t, c, s, m in zip(
            names, ["log", "log", "sqrt", "none", "sqrt", "sqrt"], rng.uniform(0, 1, 6), rng.uniform(0.2, 1, 6),
            rng.normal(0, 0.2, 6), strict=True,
        )
    )  # fmt: skip
    weights = rng.normal(0, 1, (6, 3))
    y = sg.Rule(features, 4.0, weights, ()).components(frame[frame["events"] > 0])
    parts = []
    for k, center in enumerate(y[rng.choice(len(y), 4, replace=False)]):
        root = rng.normal(0, 1, (3, 3)) if quadratic else np.eye(3)
        precision = root @ root.T
        constant, linear = float(-0.5 * center @ precision @ center), (precision @ center).tolist()
        matrix = (-0.5 * precision).tolist() if quadratic else []
        parts.append({"name": f"g{k}", "constant": constant, "linear": linear, "quadratic": matrix})
    return sg.Rule(features, 4.0, weights, tuple(parts))


@pytest.mark.parametrize("quadratic", [False, True])
def test_everybody_is_assigned_in_the_engine_as_the_model_would(used, quadratic):
    # Of some it is not known how long they used it: they lie at the center, not at 0.
    unknown = used.customer_id.endswith("7")
    used = used.mutate(minutes=unknown.ifelse(None, used.minutes))
    frame = ran(used)
    assert frame["minutes"].isna().any()
    fitted = rule(quadratic, frame)
    found = ran(f.assigned(used, fitted.to_dict()))
    assert found["segment"].tolist() == fitted.assign(frame).tolist()
    assert len(set(found["segment"])) > 2
    assert f.NO_USE in set(found["segment"])


def test_a_sample_is_the_same_whatever_the_order_and_about_as_large_as_asked(used):
    shuffled = used.order_by(used.tenure_days % 7)
    some = ran(f.sampled(used, 60))
    assert ran(f.sampled(shuffled, 60)).index.tolist() == some.index.tolist()
    assert 35 <= len(some) <= 85
    assert len(ran(f.sampled(used, 10_000))) == used.count().to_pyarrow().as_py()


def test_small_segments_are_folded_and_no_use_stays(used):
    named = used.select(
        "customer_id",
        segment=ibis.cases((used.events == 0, f.NO_USE), (used.events < 3, "few"), else_="many"),
    )
    sizes = ran(named)["segment"].value_counts()
    folded = ran(f.folded(named, int(sizes["few"]) + 1))["segment"].value_counts()
    assert folded.to_dict() == {"many": sizes["many"], f.OTHER: sizes["few"], f.NO_USE: sizes[f.NO_USE]}


def test_rows_of_the_contract_table_hold_the_last_day_of_those_who_left(tables, used):
    everyone = f.usage(tables, as_of=AS_OF, days=DAYS, shares=SHARES, everyone=True)
    rows = ran(f.segment_rows(f.assigned(everyone, rule(False, ran(used)).to_dict()), "behavior", AS_OF))
    people, _events = company()
    assert rows["scheme"].unique().tolist() == ["behavior"]
    for customer, row in rows.iterrows():
        end = people[customer][1]
        last = end - dt.timedelta(days=1) if end and end < CUT else AS_OF
        assert pd.Timestamp(row["as_of"]).date() == last
    from tenure.contract import BY_NAME

    assert set(rows.reset_index().columns) == set(BY_NAME["segments"].column_names)


def test_totals_moves_and_departures_are_those_of_a_loop(tables, used, paid):
    people, _events = company()
    since = dt.date(2024, 3, 31)
    before = f.usage(tables, as_of=since, days=DAYS, shares=SHARES)
    named = [t.select("customer_id", segment=(t.events > 6).ifelse("many", "few")) for t in (before, used)]
    was, now = (ran(t)["segment"].to_dict() for t in named)
    pay = ran(paid)["value_minor"].to_dict()
    totals = f.segment_totals(named[1], used, paid).to_pandas().set_index("segment")
    for segment in ("many", "few"):
        mine = [c for c, s in now.items() if s == segment]
        values = [pay[c] for c in mine]
        assert totals.loc[segment, "customers"] == len(mine)
        assert totals.loc[segment, "value_minor"] == sum(values)
        assert totals.loc[segment, "value_var"] == pytest.approx(np.var(values, ddof=1))
        assert totals.loc[segment, "active_days_a_month"] == pytest.approx(
            ran(used).loc[mine, "active_days_a_month"].mean()
        )
    earlier = f.worth(tables, as_of=since, rates={"EUR": 1.0, "USD": 0.9})
    pay_then = ran(earlier)["value_minor"].to_dict()
    expected = defaultdict(lambda: [0] * 8)
    for customer in {*was, *now}:
        then, later = pay_then.get(customer, 0), pay.get(customer, 0)
        cell = expected[was.get(customer, f.LEFT), now.get(customer, f.LEFT)]
        sums = (1, then > 0, later > 0, then, later, then**2, later**2, (later - then) ** 2)
        cell[:] = [total + value for total, value in zip(cell, sums, strict=True)]
    found = f.moves(*named, earlier, paid).to_pandas().set_index(["before", "after"])
    assert set(found.index) == set(expected)
    for key, row in found.iterrows():
        assert row.tolist() == pytest.approx(expected[key])
    gone = f.departures(tables, named[0], since=since, as_of=AS_OF).to_pandas()
    lost = Counter()
    for customer, segment in was.items():
        end = people[customer][1]
        month = None
        if end and end < CUT:
            month = next(
                m
                for m in (1, 2, 3, 4)
                if end <= [None, dt.date(2024, 5, 1), dt.date(2024, 6, 1), CUT, dt.date.max][m]
            )
        lost[segment, month] += 1
    ours = Counter()
    for row in gone.to_dict("records"):
        ours[row["segment"], None if pd.isna(row["month"]) else int(row["month"])] += row["n"]
    assert ours == lost


def test_composition_counts_everybody_once(tables, used):
    named = used.select("customer_id", segment=(used.events > 6).ifelse("many", "few"))
    made = f.composition(tables, named, ["channel", "birth_year"], as_of=AS_OF).to_pandas()
    people = used.count().to_pyarrow().as_py()
    assert made.groupby("characteristic")["n"].sum().to_dict() == {"age": people, "channel": people}
    assert set(made.query("characteristic == 'age'")["level"]) == {"30 to 39", "unknown"}
    sizes = ran(named)["segment"].value_counts().to_dict()
    assert made.query("characteristic == 'channel'").groupby("segment")["n"].sum().to_dict() == sizes


def test_the_last_answers_are_taken_and_later_ones_are_not_seen():
    at = lambda month: dt.datetime(2024, month, 1)  # noqa: E731
    row = {"survey": "psychographic", "answer": None}
    surveys = [
        {**row, "customer_id": "a", "question": "likes", "sent_at": at(1), "answered_at": at(1), "score": 1.0},
        {**row, "customer_id": "a", "question": "likes", "sent_at": at(3), "answered_at": at(3), "score": 5.0},
        {**row, "customer_id": "a", "question": "likes", "sent_at": at(7), "answered_at": at(8), "score": 2.0},
        {**row, "customer_id": "b", "question": "likes", "sent_at": at(3), "answered_at": None, "score": None},
        {**row, "customer_id": "b", "question": "watches", "sent_at": at(3), "answered_at": at(3), "score": None,
         "answer": "films"},
        {**row, "customer_id": "c", "question": "likes", "sent_at": at(3), "answered_at": None, "score": None},
        {**row, "customer_id": "d", "question": "likes", "sent_at": at(7), "answered_at": at(7), "score": 3.0},
        {**row, "customer_id": "b", "question": "likes", "survey": "nps", "sent_at": at(3), "answered_at": at(3),
         "score": 9.0},
    ]  # fmt: skip
    tables = source({"a": (dt.date(2024, 1, 1), None, 999, "EUR")}, [event("a", at(2))], surveys=surveys)
    assert feedback.response(tables, as_of=AS_OF).to_pandas().iloc[0].tolist() == [
        3,
        2,
    ]  # c was asked and is mute
    untimed = source(
        {"a": (dt.date(2024, 1, 1), None, 999, "EUR"), "test": (dt.date(2024, 1, 1), None, 999, "EUR")},
        [event("a", at(2))],
        surveys=[
            {
                **row,
                "customer_id": who,
                "question": "likes",
                "sent_at": at(3),
                "answered_at": None,
                "score": 1.0,
            }
            for who in ("a", "test")
        ],
    )
    untimed["customers"] = untimed["customers"].mutate(is_test=ibis._.customer_id == "test")
    assert feedback.response(untimed, as_of=AS_OF).to_pandas().iloc[0].tolist() == [1, 1]
    asked = feedback.questions(tables, as_of=AS_OF).to_pandas()
    assert asked["question"].tolist() == ["likes", "watches"]
    assert asked[["answered", "scores"]].to_numpy().tolist() == [[2, 2], [1, 0]]
    given = ran(feedback.answers(tables, ["likes", "watches"], as_of=AS_OF))
    assert given.loc["a", "score_1"] == 5.0
    assert pd.isna(given.loc["b", "score_1"])
    assert given.loc["b", "answer_2"] == "films"


def test_two_ways_of_segmenting_are_crossed(used):
    many = used.select("customer_id", segment=(used.events > 6).ifelse("many", "few"))
    young = used.select("customer_id", segment=(used.tenure_days < 90).ifelse("young", "old"))
    made = f.crossed(many, young.filter(young.segment == "young")).to_pandas()
    frame = ran(used)
    expected = Counter(np.where(frame["events"] > 6, "many", "few")[frame["tenure_days"] < 90])
    assert dict(made[["segment", "n"]].to_numpy().tolist()) == expected


def test_silent_is_who_pays_and_had_no_event_for_28_days_as_in_all_reports(tables, paid):
    _people, events = company()
    last = {e["customer_id"]: e["occurred_at"].date() for e in sorted(events, key=lambda e: e["occurred_at"])}
    names = ran(f.silent(tables, paid, as_of=AS_OF))["segment"]
    expected = {c: c not in last or (AS_OF - last[c]).days >= 28 for c in ran(paid).index}
    assert (names == "silent").to_dict() == expected
    others = (
        engagement.silent_payers(tables, as_of=AS_OF, back=(0,))
        .to_pandas()
        .set_index("last_use")["customers"]
    )
    quiet = others[~others.index.isin(engagement.SILENCE[:2])]
    assert 0 < quiet.sum() == (names == "silent").sum()
