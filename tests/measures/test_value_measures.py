"""Measures of value against an independent plain-Python loop over the same ledger."""

from __future__ import annotations

import datetime as dt
import random
from collections import Counter, defaultdict
from itertools import count

import ibis
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from measures.test_subscriptions import (
    AS_OF,
    CONNECTION,
    SEEDS,
    add_months,
    begun,
    ledger,
    loop_spells,
    span,
    tables,
    whole_periods,
)
from tenure.errors import InputError
from tenure.measures import groups, revenue, subscriptions, units
from tenure.measures import value as measures
from tenure.measures.units import by_unit
from tenure.policy import MetricPolicy

NUMBER = count()
INTERVALS = [("month", 1), ("month", 3), ("year", 1), ("week", 2), ("day", 10)]
PAYMENTS = pa.schema(
    [("payment_id", pa.string()), ("customer_id", pa.string()), ("subscription_id", pa.string()),
     ("attempted_at", pa.timestamp("us")), ("amount_minor", pa.int64()), ("currency", pa.string()),
     ("kind", pa.string()), ("status", pa.string())]
)  # fmt: skip


def temporary(name, table):
    return CONNECTION.create_table(f"{name}_{next(NUMBER)}", table, temp=True)


def with_payments(source, payments):
    rows = [
        {
            "payment_id": f"p{i}",
            "subscription_id": None,
            "currency": "EUR",
            "kind": "recurring",
            "status": "paid",
        }
        | row
        for i, row in enumerate(payments)
    ]
    return source.instead({"payments": temporary("payments", pa.Table.from_pylist(rows, schema=PAYMENTS))})


# The independent loop.


def length_of(interval):
    number, unit = interval.split(" ")
    return int(number), "month" if unit.startswith("month") else "day"


def completed(start, end, interval):
    number, unit = length_of(interval)
    return whole_periods(start, end, unit) // number


def started(start, end, interval):
    number, unit = length_of(interval)
    return -(-begun(start, end, unit) // number)


def renewal(start, k, interval):
    number, unit = length_of(interval)
    return add_months(start, k * number) if unit == "month" else start + dt.timedelta(days=k * number)


def loop_stays(spans):
    """(customer, spell, interval, start, end, cause) of each spell."""
    words = {"month": (1, "month"), "year": (12, "month"), "week": (7, "day"), "day": (1, "day")}
    seen = Counter()
    for customer, start, end, cause in loop_spells(spans):
        seen[customer] += 1
        first = sorted(
            (r for r in spans if r["customer_id"] == customer and r["started_at"].date() == start
             and r["status"] != "trialing"),
            key=lambda r: r["subscription_id"],
        )[0]  # fmt: skip
        times, unit = words[first["billing_interval"]]
        number = times * first["billing_interval_count"]
        yield customer, seen[customer], f"{number} {unit}{'' if number == 1 else 's'}", start, end, cause


def loop_counts(spans, observed_from=None, on_at=None):
    found = Counter()
    for _customer, spell, interval, start, end, cause in loop_stays(spans):
        if on_at and end and end <= on_at:
            continue
        ripe = completed(start, AS_OF, interval) if start <= AS_OF else 0
        entry = started(start, observed_from, interval) if observed_from and start < observed_from else 0
        if on_at and start < on_at:
            entry = max(entry, completed(start, on_at, interval))
        lasted = max(started(start, end, interval), 1) if end else None
        if cause == "pending":
            ripe, lasted = min(ripe, lasted - 1), None
        left = lasted is not None and lasted <= ripe
        out = lasted if left else ripe
        if out > entry:
            group = "all" if spell == 1 else measures.RETURNED
            cohort = start.year * 12 + start.month - 1
            found[group, interval, cohort, entry, out, ripe, int(left), cause if left else None] += 1
    return found


def company(seed):
    """A ledger in which each customer has a billing interval of their own."""
    spans, rng = ledger(seed, customers=30), random.Random(seed)
    chosen = {}
    for row in spans:
        unit, number = chosen.setdefault(row["customer_id"], rng.choice(INTERVALS))
        row.update(billing_interval=unit, billing_interval_count=number)
    return spans


def rows_of(expression, *columns):
    frame = expression.to_pandas()
    return [
        tuple(None if pd.isna(v) else v for v in row) for row in frame[list(columns)].itertuples(index=False)
    ]


@pytest.mark.long
@settings(max_examples=6, deadline=None)
@given(SEEDS)
def test_stays_are_counted_by_renewal_in_any_order(seed):
    spans = company(seed)
    shuffled = random.Random(seed).sample(spans, len(spans))
    stays = measures.stays(tables(shuffled), as_of=AS_OF)
    columns = ("group", "interval", "cohort", "entry", "exit", "ripe", "event", "cause", "n")
    for options in ({}, {"observed_from": dt.date(2023, 3, 10)}, {"on_at": dt.date(2023, 8, 31)}):
        found = rows_of(measures.stay_counts(stays, as_of=AS_OF, **options), *columns)
        assert {row[:-1]: row[-1] for row in found} == dict(loop_counts(spans, **options))


@pytest.mark.long
@settings(max_examples=4, deadline=None)
@given(SEEDS)
def test_the_base_is_who_is_on_with_their_next_renewal(seed):
    spans = company(seed)
    source = tables(spans)
    stays = measures.stays(source, as_of=AS_OF)
    people = measures.base(source, stays, as_of=AS_OF, known_until=AS_OF)
    found = {
        row[0]: row[1:] for row in rows_of(people, "customer_id", "interval", "tenure", "cohort", "wait_days")
    }
    wanted, first = {}, {}
    for customer, _spell, interval, start, end, cause in loop_stays(spans):
        first.setdefault(customer, start)
        if end is None or cause == "pending":
            # Whose term is over, but not the gap, is to renew it now.
            k = max(started(start, end, interval), 1) - 1 if end else completed(start, AS_OF, interval)
            wait = 0 if end else (renewal(start, k + 1, interval) - AS_OF).days
            cohort = first[customer].year * 12 + first[customer].month - 1
            wanted[customer] = (interval, k, cohort, wait)
    assert found == wanted
    totals = measures.base_counts(people).to_pandas()
    assert totals["customers"].sum() == len(wanted)
    assert not totals[["newer", "newer_minor"]].any(axis=None)
    since = measures.base_counts(people, since=AS_OF - dt.timedelta(days=366)).to_pandas()
    month = (AS_OF.year - 1) * 12 + AS_OF.month - 1
    assert since["newer"].sum() == sum(row[2] >= month for row in wanted.values())
    assert since["customers"].sum() == len(wanted)
    discounted = measures.base(source, stays, as_of=AS_OF, known_until=AS_OF, yearly_rate=0.5).to_pandas()
    waits = discounted["billed_minor"] * 1.5 ** -(discounted["wait_days"] / 365.25)
    assert discounted["waited_minor"].to_numpy() == pytest.approx(waits.to_numpy())
    assert totals["waited_minor"].sum() == totals["billed_minor"].sum()


@pytest.mark.parametrize(
    ("interval", "number", "amount", "billed"),
    [("month", 1, 999, 999), ("month", 3, 2997, 2997), ("year", 1, 12_000, 12_000), ("week", 2, 300, 300)],
)
def test_billed_is_what_an_interval_costs(interval, number, amount, billed):
    row = span("1", "c", dt.date(2024, 1, 5), billing_interval=interval, billing_interval_count=number,
               unit_amount_minor=amount)  # fmt: skip
    source = tables([row])
    people = measures.base(
        source, measures.stays(source, as_of=AS_OF), as_of=AS_OF, known_until=AS_OF
    ).to_pandas()
    assert people.loc[0, "billed_minor"] == pytest.approx(billed, abs=1)


moments = st.integers(0, 800).map(lambda n: dt.datetime(2022, 1, 15, 7) + dt.timedelta(days=n))
ledgers_of_payments = st.lists(
    st.fixed_dictionaries(
        {
            "customer_id": st.integers(0, 29).map("c{}".format),
            "attempted_at": moments,
            "amount_minor": st.sampled_from([0, 100, 999]),
            "status": st.sampled_from(["paid", "paid", "failed", "refunded"]),
            "kind": st.sampled_from(["recurring", "usage", "one_off"]),
        }
    ),
    min_size=1,
    max_size=60,
)


@pytest.mark.long
@settings(max_examples=4, deadline=None)
@given(SEEDS, ledgers_of_payments)
def test_payments_go_to_the_interval_in_which_they_were_made(seed, payments):
    spans = company(seed)
    since = dt.date(2022, 9, 1)
    source = with_payments(tables(spans), payments)
    stays = measures.stays(source, as_of=AS_OF, policy=MetricPolicy(usage="apart"))
    own = defaultdict(list)
    for customer, spell, interval, start, end, _ in loop_stays(spans):
        own[customer].append((spell, interval, start, end))
    each = defaultdict(Counter)
    for row in payments:
        day = row["attempted_at"].date()
        before = [stay for stay in own[row["customer_id"]] if stay[2] <= day]
        if row["kind"] == "one_off" or not since <= day <= AS_OF or not before:
            continue
        spell, interval, start, end = before[-1]
        tenure = completed(start, day, interval)
        if end:
            tenure = min(tenure, max(started(start, end, interval), 1) - 1)
        group = "all" if spell == 1 else measures.RETURNED
        each[row["customer_id"], spell, group, interval, tenure][row["status"]] += row["amount_minor"]
        each[row["customer_id"], spell, group, interval, tenure]["n " + row["status"]] += 1
    wanted = defaultdict(Counter)
    for (_, _, *key), sums in each.items():
        wanted[tuple(key)].update(
            payers=1, charges=sums["n paid"], failed=sums["n failed"], paid_minor=sums["paid"],
            refunded_minor=sums["refunded"], squares=(sums["paid"] - sums["refunded"]) ** 2,
        )  # fmt: skip
    frame = measures.paid_by_tenure(source, stays, since=since, as_of=AS_OF).to_pandas()
    found = {(r.group, r.interval, r.tenure): r for r in frame.itertuples()}
    assert set(found) == set(wanted)
    for key, sums in wanted.items():
        for name, value in sums.items():
            assert getattr(found[key], name) == pytest.approx(value), (key, name)

    start_counts = Counter()
    for stays_of in own.values():
        for spell, interval, start, end in stays_of:
            k = 0
            while (renewal(start, k, interval)) <= AS_OF and (
                k == 0 or end is None or renewal(start, k, interval) < end
            ):
                if renewal(start, k, interval) >= since:
                    start_counts["all" if spell == 1 else measures.RETURNED, interval, k] += 1
                k += 1
    spread = Counter()
    for row in measures.intervals_begun(stays, since=since, as_of=AS_OF).to_pandas().itertuples():
        for k in range(row.first, row.last + 1):
            spread[row.group, row.interval, k] += row.n
    assert spread == start_counts


@settings(max_examples=4, deadline=None)
@given(SEEDS, ledgers_of_payments)
def test_payments_after_a_day_are_those_of_the_stays_that_were_on(seed, payments):
    spans = company(seed)
    then = dt.date(2022, 12, 31)
    source = with_payments(tables(spans), payments)
    stays = measures.stays(source, as_of=AS_OF, policy=MetricPolicy(usage="apart"))
    own = defaultdict(list)
    for customer, spell, interval, start, end, _ in loop_stays(spans):
        own[customer].append((spell, interval, start, end))
    wanted = defaultdict(Counter)
    for row in payments:
        day = row["attempted_at"].date()
        if row["kind"] == "one_off" or not then < day <= AS_OF:
            continue
        before = [stay for stay in own[row["customer_id"]] if stay[2] <= day]
        if not before:
            continue
        spell, interval, start, end = before[-1]
        if start <= then and (end is None or end > then):
            group = "all" if spell == 1 else measures.RETURNED
            cohort = start.year * 12 + start.month - 1
            wanted[group, interval, "EUR", cohort][row["status"]] += row["amount_minor"]
    columns = ("group", "interval", "currency", "cohort", "paid_minor", "refunded_minor")
    found = rows_of(measures.paid_after(source, stays, on_at=then, as_of=AS_OF), *columns)
    assert {row[:4]: row[4:] for row in found} == {
        key: (sums["paid"], sums["refunded"]) for key, sums in wanted.items()
    }
    on = rows_of(measures.still_on(stays, at=then), "customer_id", "spell")
    assert sorted(on) == sorted(
        (customer, spell)
        for customer, spell, _, start, end, _ in loop_stays(spans)
        if start <= then and (end is None or end > then)
    )


def small_company():
    people = [
        {"customer_id": c, "channel": ch, "is_test": False}
        for c, ch in (("a", "ads"), ("b", "web"), ("c", None))
    ]
    spans = [
        span("1", "a", dt.date(2023, 6, 10)),
        span("2", "b", dt.date(2023, 9, 5), dt.date(2023, 12, 5), "voluntary"),
        span("3", "b", dt.date(2024, 2, 1)),
        span("4", "c", dt.date(2024, 1, 20), currency="USD"),
    ]
    return tables(spans, people)


def test_intake_counts_first_spells_since_a_day():
    stays = measures.stays(small_company(), dims=["channel"], as_of=AS_OF)
    new = measures.newcomers(stays, since=dt.date(2023, 9, 1))
    new = measures.intake(new, ["channel"]).to_pandas()
    assert sorted(zip(new["channel"], new["customers"], strict=True)) == [("unknown", 1), ("web", 1)]
    assert set(new["group"]) == {"all"}


def test_cohorts_and_scores_and_movement_add_up():
    source = small_company()
    payments = [
        {"customer_id": "a", "attempted_at": dt.datetime(2023, 6, 10, 9), "amount_minor": 1000},
        {"customer_id": "b", "attempted_at": dt.datetime(2023, 9, 5, 9), "amount_minor": 700},
        {
            "customer_id": "b",
            "attempted_at": dt.datetime(2023, 12, 9, 9),
            "amount_minor": 200,
            "status": "refunded",
        },
    ]
    source = with_payments(source, payments)
    stays = measures.stays(source, as_of=AS_OF)
    cohorts = measures.paid_by_cohort(source, stays, as_of=AS_OF).to_pandas()
    quarter = lambda year, month: year * 12 + month  # noqa: E731
    found = {
        (r.cohort, r.currency): (r.customers, r.charges, r.paid_minor, r.refunded_minor)
        for r in cohorts.itertuples()
    }
    assert found == {
        (quarter(2023, 3), "EUR"): (1, 1, 1000, 0), (quarter(2023, 6), "EUR"): (1, 1, 700, 200),
        (quarter(2024, 0), "USD"): (1, 0, 0, 0),
    }  # fmt: skip

    def scored(day, multiplier):
        people = measures.base(
            source, measures.stays(source, as_of=day), as_of=day, known_until=day, yearly_rate=0.1
        )
        table = measures.base_counts(people).to_pandas()[
            ["group", "interval", "tenure", "currency", "bills_left"]
        ]
        table = table.assign(multiplier=multiplier, low=multiplier / 2, high=multiplier * 2, stays_a_year=0.5)
        return measures.score(people, ibis.memtable(table))

    since = dt.date(2023, 10, 31)
    before, after = scored(since, 5.0), scored(AS_OF, 6.0)
    rows = after.to_pandas().set_index("customer_id")
    wait = (add_months(dt.date(2023, 6, 10), 9) - AS_OF).days
    assert rows.loc["a", "value"] == pytest.approx(1000 * 6 * 1.1 ** (-wait / 365.25))
    assert rows.loc["a", "low"] == pytest.approx(rows.loc["a", "value"] / 2)
    assert rows.loc["b", "group"] == measures.RETURNED
    moved = measures.movement(before, after, stays, since).to_pandas().iloc[0]
    values = before.to_pandas().set_index("customer_id")["value"]
    assert moved["before"] == pytest.approx(values.sum())
    assert moved["new"] == pytest.approx(rows.loc["c", "value"])
    assert moved["lost"] == 0
    assert moved["after"] == pytest.approx(moved[["before", "new", "lost", "revalued"]].sum())
    assert moved[["customers_before", "customers_new", "customers_lost", "customers_after"]].tolist() == [
        2,
        1,
        0,
        3,
    ]
    backwards = measures.movement(after, before, stays, since).to_pandas().iloc[0]
    assert backwards["lost"] == pytest.approx(-moved["new"])
    by_start = measures.value_by_cohort(after).to_pandas().set_index("cohort")
    assert by_start["customers"].to_dict() == {quarter(2023, 3): 1, quarter(2023, 6): 1, quarter(2024, 0): 1}
    assert by_start["value"].sum() == pytest.approx(rows["value"].sum())


def test_who_was_past_due_on_the_earlier_day_and_has_been_given_up_left_late():
    """Of those there on 31 January: `late` ended before, `left` after; `back` was given up and is there again."""
    since, begin = dt.date(2024, 1, 31), dt.date(2023, 6, 10)

    def unpaid(name, customer, day):
        over = day + dt.timedelta(days=30)
        return span(name, customer, begin, day), span(
            name, customer, day, over, "involuntary", status="past_due"
        )

    spans = [
        *unpaid("1", "late", dt.date(2024, 1, 20)),
        *unpaid("2", "back", dt.date(2024, 1, 5)),
        span("3", "back", dt.date(2024, 2, 10)),
        span("4", "again", begin, dt.date(2023, 9, 10), "voluntary"),
        span("5", "again", dt.date(2023, 12, 10), dt.date(2024, 2, 10), "voluntary"),
        span("6", "left", begin, dt.date(2024, 2, 10), "voluntary"),
        span("7", "gone", begin, dt.date(2024, 1, 20), "voluntary"),
        span("8", "there", begin),
        *unpaid("9", "overdue", dt.date(2024, 2, 20)),
    ]
    source = tables(spans)
    stays = measures.stays(source, as_of=AS_OF)

    def there(day):
        found = measures.stays(source, as_of=day)
        return measures.base(source, found, as_of=day, known_until=AS_OF).mutate(value=ibis.literal(1.0))

    moved = measures.movement(there(since), there(AS_OF), stays, since).to_pandas().iloc[0]
    names = ["before", "new", "lost", "late", "after"]
    assert moved[[f"customers_{name}" for name in names]].tolist() == [6, 0, 3, 1, 3]


def test_the_latest_rate_up_to_a_day_is_used():
    rates = pa.table(
        {"date": pa.array([dt.date(2024, 1, 1), dt.date(2024, 2, 1), dt.date(2024, 3, 1)], pa.date32()),
         "currency": ["USD"] * 3, "rate": [0.9, 0.8, 0.7]}
    )  # fmt: skip
    source = {"fx_rates": temporary("rates", rates)}
    assert revenue.month_rates(source, as_of=dt.date(2024, 2, 20)).to_pandas()["rate"].tolist() == [0.9, 0.8]


def test_groups_and_characteristics_come_with_the_stays():
    source = small_company()
    stays = measures.stays(source, by="channel", dims=["currency", "channel"], as_of=AS_OF)
    frame = measures.stay_counts(stays, ["channel", "currency"], as_of=AS_OF).to_pandas()
    found = set(zip(frame["group"], frame["channel"], frame["currency"], strict=True))
    # The second lifetime of b has not come to a renewal yet.
    assert found == {("ads", "ads", "EUR"), ("web", "web", "EUR"), ("unknown", "unknown", "USD")}
    with pytest.raises(InputError, match="no column 'chanel'"):
        measures.stays(source, by="chanel", as_of=AS_OF)
    columns = ["group", "interval", "entry", "exit", "event", "n"]
    split = measures.split_counts(stays, ["channel", "currency"], as_of=AS_OF)
    for name in ("channel", "currency"):
        own = frame.assign(level=frame[name]).groupby(["level", *columns[:-1]], as_index=False)["n"].sum()
        found = split.filter(split["name"] == name).to_pandas()[["level", *columns]]
        found = found.sort_values(["level", *columns], ignore_index=True)
        pd.testing.assert_frame_equal(found, own, check_dtype=False)
    whole = measures.split_counts(stays, [], as_of=AS_OF).to_pandas()
    assert whole["name"].eq("").all()
    assert whole["n"].sum() == frame["n"].sum()
    assert groups.groupings(source)[0] == "plan"


def test_what_left_with_those_who_churned_and_who_never_had_a_price():
    day = dt.date(2024, 1, 1)
    spans = [
        span("a", "gone", day, dt.date(2024, 2, 1), "voluntary", unit_amount_minor=9000),
        span("b", "there", day, unit_amount_minor=1000),
        span("c", "back", day, dt.date(2024, 1, 20), "voluntary", unit_amount_minor=500),
        span("d", "back", dt.date(2024, 2, 10), unit_amount_minor=800),
        span("e", "nothing", day, unit_amount_minor=0),
        span("f", "blank", day, dt.date(2024, 2, 1), None, unit_amount_minor=200),
    ]
    paid = {"gone": "120.5", "there": " 40 ", "back": "30", "nothing": "0", "blank": " "}
    people = [{"customer_id": name, "channel": total, "is_test": False} for name, total in paid.items()]
    source = tables(spans, people)

    def states(**options):
        return measures.brought(source, as_of=AS_OF, **options).execute().set_index("state")

    assert states()["amount"].to_dict() == {"free": 0, "left": 9200, "still on": 1800}
    assert states()["customers"].to_dict() == {"free": 1, "left": 2, "still on": 2}
    total = states(total="channel")
    assert total["amount"].fillna(0).to_dict() == {"free": 0, "left": 120.5, "still on": 70}
    assert total["known"].to_dict() == {"free": 1, "left": 1, "still on": 2}
    with pytest.raises(InputError, match="`total` is 'tolal', and the table customers has no such column"):
        states(total="tolal")


def test_known_ends_and_subscriptions_by_themselves():
    """One has given notice, one ends by design after two more bills, one holds two subscriptions."""
    people = [{"customer_id": name} for name in "abc"]
    begin = dt.date(2023, 12, 10)
    spans = [
        span("1", "a", begin) | {"cancel_requested_at": dt.datetime(2024, 1, 5)},
        span("2", "b", begin, add_months(AS_OF, 2)) | {"end_reason": "expired"},
        span("3", "c", begin), span("4", "c", begin),
    ]  # fmt: skip
    source = tables([{"cancel_requested_at": None, **one} for one in spans], people)
    found = measures.base(
        source, measures.stays(source, as_of=AS_OF), as_of=AS_OF, known_until=AS_OF
    ).to_pandas()
    left = found.set_index("customer_id")["bills_left"].to_dict()
    assert (left["a"], left["c"]) == (0, -1)
    assert left["b"] == 2
    held = units.subscriptions_held(source, as_of=AS_OF).to_pandas().iloc[0]
    assert (held["customers"], held["several"]) == (3, 1)
    apart = source.instead(by_unit(source, "subscription"))
    stays = measures.stays(apart, dims=["owner"], as_of=AS_OF)
    new = measures.intake(measures.newcomers(stays, since=begin)).to_pandas().iloc[0]
    assert (new["customers"], new["owners"]) == (4, 3.0)
    words = dict(
        enumerate(["other customers", "customers with one subscription", "customers with two subscriptions"])
    )
    for tables_of, rows in ((apart, stays), (source, measures.stays(source, as_of=AS_OF))):
        owned = units.with_held(rows, tables_of, at=AS_OF).to_pandas()
        assert len(owned) == rows.count().execute()
        several = owned.loc[owned["held"] == words[2], "owner" if "owner" in owned else "customer_id"]
        assert len(set(several)) == 1
        assert set(owned["held"]) <= set(words.values())


def test_who_pays_for_usage_alone_is_billed_what_is_used():
    """The mean of the months from the first charge to the last; what others use is beside their price."""
    begin = dt.date(2023, 9, 5)
    free = {"unit_amount_minor": 0}
    spans = [
        span("1", "a", begin, **free), span("2", "a", begin, **free), span("3", "b", begin),
        span("4", "d", begin, dt.date(2024, 1, 20), "voluntary", **free),
    ]  # fmt: skip
    source = with_payments(
        tables(spans),
        [
            {"customer_id": who, "attempted_at": dt.datetime(2023, 8 + month, 2), "amount_minor": amount, "kind": "usage"}
            for who, month, amount in (
                ("a", 2, 100), ("a", 3, 201), ("a", 3, 300), ("b", 3, 500), ("d", 1, 70), ("d", 4, 30)
            )
        ],
    )  # fmt: skip
    stays = measures.stays(source, as_of=AS_OF)
    base = measures.base(source, stays, as_of=AS_OF, known_until=AS_OF).to_pandas()
    assert base.set_index("customer_id")["billed_minor"].to_dict() == {"a": 301, "b": 1000}
    gone = subscriptions.churned_value(source, as_of=AS_OF).to_pandas()
    assert gone[["customers", "monthly_minor"]].to_numpy().tolist() == [[1, 25]]
    held = units.subscriptions_held(source, as_of=AS_OF).to_pandas().iloc[0]
    assert (held["customers"], held["several"]) == (2, 1)


def test_terms_bought_again_after_a_gap_are_counted_and_who_is_in_the_gap_decides_now():
    """Terms of three months, bought again 20 days after the end; a waits, and d has for too long."""
    term = {"billing_interval_count": 3, "unit_amount_minor": 9000}
    spans, payments = [], []
    for who, begin, times in (("a", "2022-12-12", 5), ("b", "2022-10-28", 5), ("d", "2022-06-01", 3)):
        start = dt.date.fromisoformat(begin)
        for n in range(times):
            end = add_months(start, 3)
            on = end > AS_OF
            spans.append(
                span(f"{who}{n}", who, start, None if on else end, None if on else "unknown", **term)
            )
            payments.append({"customer_id": who, "attempted_at": start, "amount_minor": 9000})
            start = end + dt.timedelta(days=20)
    payments = [
        row | {"attempted_at": dt.datetime.combine(row["attempted_at"], dt.time())} for row in payments
    ]
    source, policy = with_payments(tables(spans), payments), MetricPolicy(gap_days=30)
    stays = measures.stays(source, as_of=AS_OF, policy=policy)
    rows = stays.to_pandas().set_index("customer_id")
    assert rows["terms"].to_dict() == {"a": 4, "b": 5, "d": 3}
    assert rows["cause"].fillna("").to_dict() == {"a": "pending", "b": "", "d": "unknown"}
    assert set(rows["interval"]) == {"3 months"}
    base = measures.base(source, stays, as_of=AS_OF, known_until=AS_OF).to_pandas().set_index("customer_id")
    assert base["billed_minor"].to_dict() == {"a": 9000, "b": 9000}
    assert base["tenure"].to_dict() == {"a": 3, "b": 4}
    assert base.loc["a", "wait_days"] == 0
    counted = measures.stay_counts(stays, as_of=AS_OF).to_pandas()
    assert sorted(zip(counted["exit"], counted["event"], strict=True)) == [(3, 0), (3, 1), (4, 0)]
    days = {"since": dt.date(2022, 1, 1), "as_of": AS_OF}
    paid = measures.paid_by_tenure(source, stays, **days).to_pandas()
    assert paid.set_index("tenure")["charges"].to_dict() == {0: 3, 1: 3, 2: 3, 3: 2, 4: 1}
    begun = measures.intervals_begun(stays, **days).to_pandas()
    assert sorted(zip(begun["first"], begun["last"], strict=True)) == [(0, 2), (0, 3), (0, 4)]
