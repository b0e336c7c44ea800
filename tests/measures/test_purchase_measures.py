"""Measures of purchases against an independent plain-Python loop over the same payments."""

from __future__ import annotations

import datetime as dt
import math
from collections import Counter, defaultdict
from itertools import count

import ibis
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenure.measures import purchases as measures

CONNECTION = ibis.duckdb.connect()
NUMBER = count()
AS_OF = dt.date(2024, 2, 29)
AFTER = dt.date(2023, 8, 31)
SCHEMA = pa.schema(
    [("customer_id", pa.string()), ("attempted_at", pa.timestamp("us")), ("amount_minor", pa.int64()),
     ("currency", pa.string()), ("kind", pa.string()), ("status", pa.string())]
)  # fmt: skip


def source_of(payments, tests=()):
    name = f"payments_{next(NUMBER)}"
    people = pa.table({"customer_id": ["c0", "c1", "t"], "is_test": [False, False, True]})
    return {
        "payments": CONNECTION.create_table(name, pa.Table.from_pylist(payments, schema=SCHEMA), temp=True),
        "customers": CONNECTION.create_table("people_" + name, people, temp=True),
    }


payments = st.lists(
    st.fixed_dictionaries(
        {
            "customer_id": st.sampled_from([*(f"c{i}" for i in range(12)), "t"]),
            "attempted_at": st.integers(0, 700 * 24).map(
                lambda h: dt.datetime(2022, 5, 1) + dt.timedelta(hours=h)
            ),
            "amount_minor": st.sampled_from([0, 150, 400, 999]),
            "currency": st.sampled_from(["EUR", "EUR", "USD"]),
            "kind": st.sampled_from(["one_off", "one_off", "recurring"]),
            "status": st.sampled_from(["paid", "paid", "paid", "failed", "refunded"]),
        }
    ),
    min_size=1,
    max_size=120,
)


def loop(rows, as_of):
    """{(customer, currency): (frequency, recency, T, spend)}."""
    days = defaultdict(Counter)
    for row in rows:
        day = row["attempted_at"].date()
        good = row["status"] == "paid" and row["kind"] == "one_off" and row["amount_minor"] > 0
        if good and day <= as_of and row["customer_id"] != "t":
            days[row["customer_id"], row["currency"]][day] += row["amount_minor"]
    found = {}
    for key, amounts in days.items():
        first, last = min(amounts), max(amounts)
        spend = sum(amounts.values()) - amounts[first]
        found[key] = (len(amounts) - 1, (last - first).days, (as_of - first).days + 1, spend)
    return found


@settings(max_examples=12, deadline=None)
@given(payments, st.randoms(), st.sampled_from([1, 7]))
def test_histories_and_counts_equal_a_plain_loop_in_any_order(rows, random, unit):
    shuffled = list(rows)
    random.shuffle(shuffled)
    source = source_of(shuffled)
    everybody = measures.histories(source, as_of=AS_OF)
    frame = everybody.to_pandas()
    wanted = loop(rows, AS_OF)
    columns = ["frequency", "recency_days", "T_days", "spend_minor"]
    found = {(r.customer_id, r.currency): tuple(getattr(r, c) for c in columns) for r in frame.itertuples()}
    assert found == wanted

    steps = Counter(
        (x, (tx + unit // 2) // unit, max((T + unit // 2) // unit, 1)) for x, tx, T, _ in wanted.values()
    )
    grouped = measures.grouped_counts(everybody, unit_days=unit).to_pandas()
    assert {(r.frequency, r.recency, r.T): r.n for r in grouped.itertuples()} == dict(steps)
    assert (grouped["recency"] <= grouped["T"]).all()

    spend = measures.spend_counts(everybody, parts=100).to_pandas()
    means = [s / x for x, _, _, s in wanted.values() if x and s]
    assert spend["n"].sum() == len(means)
    assert (spend["n"] * spend["mean_spend"]).sum() == pytest.approx(sum(means))
    for row in spend.itertuples():
        assert math.floor(math.log(row.mean_spend) * 100 + 1e-9) - row.class_ in (0, 1)


@settings(max_examples=6, deadline=None)
@given(payments)
def test_later_purchases_are_those_after_the_day(rows):
    source = source_of(rows)
    earlier = measures.histories(source, as_of=AFTER)
    both = measures.with_later(source, earlier, after=AFTER, as_of=AS_OF)
    frame = both.to_pandas()
    wanted = loop(rows, AFTER)
    assert set(zip(frame["customer_id"], frame["currency"], strict=True)) == set(wanted)
    later = defaultdict(set)
    for row in rows:
        day = row["attempted_at"].date()
        if (
            row["status"] == "paid"
            and row["kind"] == "one_off"
            and row["amount_minor"]
            and AFTER < day <= AS_OF
        ):
            later[row["customer_id"], row["currency"]].add(day)
    assert {(r.customer_id, r.currency): r.later for r in frame.itertuples()} == {
        key: len(later[key]) for key in wanted
    }
    grouped = measures.grouped_counts(both).to_pandas()
    assert grouped["later"].sum() == sum(len(later[key]) for key in wanted)


def test_scores_are_joined_and_amounts_follow_the_model():
    at = dt.datetime(2023, 9, 1, 9)
    drawn = [("a", 0, 500, "EUR"), ("a", 30, 900, "EUR"), ("a", 60, 700, "EUR"), ("b", 0, 300, "USD"),
             ("a", 5, 200, "USD")]  # fmt: skip
    columns = ("customer_id", "attempted_at", "amount_minor", "currency", "kind", "status")
    rows = [
        dict(zip(columns, (who, at + dt.timedelta(days=d), amount, code, "one_off", "paid"), strict=True))
        for who, d, amount, code in drawn
    ]
    everybody = measures.histories(source_of(rows), as_of=AS_OF)
    counts = measures.grouped_counts(everybody).to_pandas()
    scores = ibis.memtable(
        counts[["frequency", "recency", "T"]].assign(probability_alive=0.5, expected_purchases=2.0)
    )
    rates = ibis.memtable({"currency": ["EUR", "USD"], "factor": [1.0, 0.5]})
    p, q, gamma = 6.0, 4.0, 1500.0
    found = measures.score(everybody, scores, rates, spend=(p, q, gamma)).to_pandas()
    by_id = found.sort_values("purchase_value").groupby("customer_id")["purchase_value"].apply(list).to_dict()
    never = 2 * p * gamma / (q - 1)
    assert by_id["a"] == pytest.approx(sorted([2 * p * (gamma + 1600) / (p * 2 + q - 1), never]))
    assert by_id["b"] == pytest.approx([never])
    total = measures.by_customer(measures.score(everybody, scores, rates, spend=(p, q, gamma))).to_pandas()
    assert len(total) == 2
    assert total["purchase_value"].sum() == pytest.approx(found["purchase_value"].sum())
    assert measures.score(everybody, scores, rates).to_pandas()["purchase_value"].isna().all()
