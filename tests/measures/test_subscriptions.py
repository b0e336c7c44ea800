"""Measures of spells against an independent plain-Python loop over the same ledger."""

from __future__ import annotations

import calendar
import datetime as dt
from collections import Counter
from itertools import count
from random import Random

import ibis
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from measures import revenue_loop
from tenure import MetricPolicy
from tenure.contract import TAKEN
from tenure.errors import InputError, NotApplicable
from tenure.measures import groups
from tenure.measures import subscriptions as measures
from tenure.measures.calendar import civil, day, days_in_month, month_start
from tenure.sources.connect import Source

AS_OF = dt.date(2024, 2, 29)
CUT = AS_OF + dt.timedelta(days=1)
CUSTOMERS = pa.schema([("customer_id", pa.string()), ("channel", pa.string()), ("is_test", pa.bool_())])
SUBSCRIPTIONS = pa.schema(
    [
        ("subscription_id", pa.string()),
        ("customer_id", pa.string()),
        ("plan", pa.string()),
        ("billing_interval", pa.string()),
        ("billing_interval_count", pa.int64()),
        ("quantity", pa.int64()),
        ("unit_amount_minor", pa.int64()),
        ("discount_minor", pa.int64()),
        ("discount_duration", pa.string()),
        ("currency", pa.string()),
        ("status", pa.string()),
        ("cancel_requested_at", pa.timestamp("us")),
        ("started_at", pa.timestamp("us")),
        ("ended_at", pa.timestamp("us")),
        ("end_reason", pa.string()),
    ]
)


def span(subscription, customer, start, end=None, reason=None, **rest):
    at = lambda d: d and dt.datetime.combine(d, dt.time(9))  # noqa: E731
    row = {
        "subscription_id": subscription,
        "customer_id": customer,
        "plan": "Basic",
        "billing_interval": "month",
        "billing_interval_count": 1,
        "quantity": 1,
        "unit_amount_minor": 1000,
        "discount_minor": 0,
        "currency": "EUR",
        "status": "active",
        "started_at": at(start),
        "ended_at": at(end),
        "end_reason": reason,
    }
    return row | rest


NUMBER = count()
CONNECTION = ibis.duckdb.connect()


def tables(spans, customers=None):
    ids = sorted({row["customer_id"] for row in spans})
    people = customers or [{"customer_id": i, "channel": "web", "is_test": False} for i in ids]
    prefix = f"t{next(NUMBER)}_"
    found = {
        "customers": CONNECTION.create_table(
            prefix + "customers", pa.Table.from_pylist(people, schema=CUSTOMERS), temp=True
        ),
        "subscriptions": CONNECTION.create_table(
            prefix + "subscriptions", pa.Table.from_pylist(spans, schema=SUBSCRIPTIONS), temp=True
        ),
    }
    return Source(found, CONNECTION, "a ledger")


# The independent loop: dates, lists and one customer at a time.


def add_months(start: dt.date, months: int) -> dt.date:
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    return dt.date(year, month + 1, min(start.day, calendar.monthrange(year, month + 1)[1]))


def whole_periods(start: dt.date, end: dt.date, period: str) -> int:
    if period != "month":
        return (end - start).days // {"day": 1, "week": 7}[period]
    count = 0
    while add_months(start, count + 1) <= end:
        count += 1
    return count


def begun(start: dt.date, end: dt.date, period: str) -> int:
    whole = whole_periods(start, end, period)
    back = (
        add_months(start, whole)
        if period == "month"
        else start + dt.timedelta(days=whole * {"day": 1, "week": 7}[period])
    )
    return whole + (back < end)


def loop_spells(spans, policy=MetricPolicy()):
    """(customer, start, end or None, cause or None) of each spell, in order.

    An end without a reason is pending while the customer may still go on within the gap.
    """
    stays = []
    for customer, own in sorted(revenue_loop.by_key(spans, "customer_id").items()):
        reach = None
        pieces = revenue_loop.pieces_of(own, dt.datetime.combine(CUT, dt.time()), policy)
        for start, end, _, _, rank, *_, gap, _ in sorted(pieces, key=lambda p: p[0]):
            start, end = start.date(), end and end.date()
            until = end + dt.timedelta(gap) if end else dt.date.max
            if reach is None or start > reach:
                stays.append([customer, start, (end or dt.date.max, rank), until])
                reach = until
            else:
                stays[-1][2] = max(stays[-1][2], (end or dt.date.max, rank))
                stays[-1][3] = reach = max(reach, until)
    cause = lambda rank, until: "pending" if rank <= 1 and until >= CUT else revenue_loop.CAUSE[rank]  # noqa: E731
    return [
        (customer, start, *((end, cause(rank, until)) if end < dt.date.max else (None, None)))
        for customer, start, (end, rank), until in stays
    ]


def loop_table(spans, period, observed_from=None):
    """{period: (at_risk, voluntary, involuntary, unknown, censored, entered)}."""
    people = []
    seen = set()
    for customer, start, end, cause in loop_spells(spans):
        if customer in seen:
            continue
        seen.add(customer)
        ripe = whole_periods(start, CUT, period)
        left = max(begun(start, end, period), 1) if end else None
        entry = begun(start, observed_from, period) if observed_from and start < observed_from else 0
        if cause == "pending":
            ripe, left = min(ripe, left - 1), None
        event = left is not None and left <= ripe
        out = left if event else ripe
        if out > entry:
            people.append((entry, out, cause if event else None))
    result = {}
    for k in sorted({p[1] for p in people} | {p[0] for p in people if p[0]}):
        at_risk = sum(entry < k <= out for entry, out, _ in people)
        by_cause = Counter(cause for _, out, cause in people if out == k)
        entered = sum(entry == k for entry, _, _ in people)
        result[k] = (
            at_risk, by_cause["voluntary"], by_cause["involuntary"], by_cause["unknown"],
            by_cause[None], entered,
        )  # fmt: skip
    return result


SEEDS = st.integers(0, 2**32 - 1)


def ledger(seed, customers=60):
    """Random spans of customers, in all states, that begin and end on all days of months."""
    draw = Random(seed)
    spans = []
    for customer in range(customers):
        for subscription in range(draw.randint(1, 2)):
            at = dt.date(2022, 1, 15) + dt.timedelta(days=draw.randint(0, 800))
            for _ in range(draw.randint(1, 4)):
                length = draw.choice([0, 1, 20, 28, 30, 31, 45, 60, 91, 120, 365])
                status = draw.choice(["trialing", "active", "active", "past_due", "paused"])
                reason = draw.choice(["voluntary", "involuntary", "switched", "unknown", None])
                end = None if draw.random() < 1 / 6 else at + dt.timedelta(days=length)
                price = draw.choice([0, 1000, 1000, 1000])
                spans.append(
                    span(f"s{customer}-{subscription}", f"c{customer}", at, end, reason, status=status,
                         unit_amount_minor=price)
                )  # fmt: skip
                if end is None:
                    break
                at = end + dt.timedelta(days=draw.choice([0, 0, 1, 2, 40]) + (length == 0))
    return spans


LEDGER = {}


def ask(measure, spans, **given):
    """What a measure says of a ledger, settled in the engine as pages have it, once for several questions."""
    if LEDGER.get("spans") != spans:
        LEDGER.update(spans=[dict(row) for row in spans], source=tables(spans))
    return CONNECTION.execute(measure(LEDGER["source"], **given))


def stays_of(spans):
    return ask(measures.spells, spans, as_of=AS_OF).sort_values(["customer_id", "spell"], ignore_index=True)


@pytest.mark.long
@settings(max_examples=15, deadline=None)
@given(SEEDS, st.sampled_from(["day", "week", "month"]))
def test_life_table_and_spells_equal_a_plain_loop_in_any_order(seed, period):
    equals_the_loop(seed, period)


@pytest.mark.parametrize("period", ["day", "week", "month"])
def test_life_table_and_spells_of_one_company_equal_a_plain_loop(period):
    equals_the_loop(2026, period)


def equals_the_loop(seed, period):
    spans = ledger(seed)
    shuffled = Random(seed + 1).sample(spans, len(spans))
    found = [
        tuple(None if pd.isna(v) else v.date() if isinstance(v, pd.Timestamp) else v for v in row)
        for row in stays_of(shuffled)[["customer_id", "start", "end", "cause"]].itertuples(index=False)
    ]
    assert found == loop_spells(spans)
    for observed_from in (None, dt.date(2023, 3, 10)):
        life = ask(measures.life_table, shuffled, as_of=AS_OF, period=period, observed_from=observed_from)
        columns = ["at_risk", "voluntary", "involuntary", "unknown", "censored", "entered"]
        table = {row.period: tuple(getattr(row, c) for c in columns) for row in life.itertuples()}
        assert table == loop_table(spans, period, observed_from)
        assert (life.events == life.voluntary + life.involuntary + life.unknown).all()
        worth = ask(measures.churned_value, shuffled, as_of=AS_OF, period=period, observed_from=observed_from)
        by_cause = worth.groupby(["period", "cause"]).customers.sum()
        for cause in measures.CAUSES:
            lost = life[life[cause] > 0].set_index("period")[cause].to_dict()
            assert by_cause[by_cause.index.get_level_values("cause") == cause].droplevel(1).to_dict() == lost
        assert (worth.monthly_minor % 1000 == 0).all()


@pytest.mark.parametrize("seed", [1, 2])
def test_splitting_a_span_changes_nothing(seed):
    spans, halves = ledger(seed, customers=300), []
    draw = Random(seed)
    for row in spans:
        middle = row["started_at"] + dt.timedelta(days=draw.randint(1, 60))
        if row["ended_at"] and middle < row["ended_at"]:
            halves.append(row | {"ended_at": middle, "end_reason": "switched"})
            halves.append(row | {"started_at": middle})
        else:
            halves.append(row)
    assert len(halves) > len(spans) + 300
    pd.testing.assert_frame_equal(stays_of(spans), stays_of(halves))


def test_triangle_leaves_immature_cells_out_and_counts_the_others():
    spans = [
        span("a", "a", dt.date(2023, 11, 1), dt.date(2023, 12, 1), "voluntary"),
        span("b", "b", dt.date(2023, 11, 30)),
        span("c", "c", dt.date(2024, 1, 15), dt.date(2024, 1, 20), "voluntary"),
        span("d", "d", dt.date(2024, 2, 28)),
    ]
    table = measures.retention_triangle(tables(spans), as_of=AS_OF).to_pandas()
    november, january, february = 2023 * 12 + 10, 2024 * 12, 2024 * 12 + 1
    cells = {(r.cohort, r.period): (r.size, r.stayed) for r in table.itertuples()}
    assert cells == {
        (november, 0): (2, 2), (november, 1): (2, 1), (november, 2): (2, 1), (november, 3): (2, 1),
        (january, 0): (1, 1), (january, 1): (1, 0),
        (february, 0): (1, 1),
    }  # fmt: skip


def test_churned_value_is_the_price_that_each_customer_paid_last():
    start, rise, end = dt.date(2023, 6, 1), dt.date(2023, 8, 1), dt.date(2023, 9, 1)
    spans = [
        # A price rise, then gone: the last price.
        span("a", "a", start, rise, "switched"),
        span("a", "a", rise, end, "voluntary", unit_amount_minor=1500),
        # Two subscriptions end together, in two currencies; one that ended before does not count.
        span("b1", "b", start, end, "voluntary", unit_amount_minor=700),
        span("b2", "b", start, end, "voluntary", unit_amount_minor=300, currency="USD"),
        span("b3", "b", start, rise, "voluntary", unit_amount_minor=5000),
        # Never paid again after a rise: the last price that was paid.
        span("c", "c", start, rise, "switched", unit_amount_minor=800),
        span("c", "c", rise, end, "involuntary", status="past_due", unit_amount_minor=900),
        # Paused for too long: the price before.
        span("d", "d", dt.date(2023, 3, 1), start, "switched", unit_amount_minor=600),
        span("d", "d", start, None, status="paused", unit_amount_minor=600),
        # Gone on the first day, a year's contract, and still there.
        span("e", "e", start, start, "voluntary", unit_amount_minor=400),
        span("f", "f", start, end, None, billing_interval="year", unit_amount_minor=12_000),
        span("g", "g", start),
    ]
    table = measures.churned_value(tables(spans), as_of=AS_OF).to_pandas()
    rows = {(r.period, r.cause, r.currency): (r.customers, r.monthly_minor) for r in table.itertuples()}
    assert rows == {
        (1, "voluntary", "EUR"): (1, 400),
        (2, "involuntary", "EUR"): (1, 800),
        (3, "unknown", "EUR"): (1, 1000),
        (3, "voluntary", "EUR"): (2, 1500 + 700),
        (3, "voluntary", "USD"): (0, 300),
        (6, "voluntary", "EUR"): (1, 600),
    }


def test_nothing_could_have_kept_those_whose_plan_ended_or_who_moved_to_a_free_one():
    start, end, free = dt.date(2023, 6, 1), dt.date(2023, 9, 1), {"unit_amount_minor": 0, "plan": "Free"}
    spans = [
        # A plan that all six lose within its last month, and one that is sold on.
        *(span(f"o{i}", f"o{i}", start, end + dt.timedelta(days=i), "unknown", plan="Old") for i in range(6)),
        *(span(f"n{i}", f"n{i}", start, end, "voluntary", plan="New") for i in range(6)),
        span("n", "n", start, plan="New"),
        # A plan that its last four leave is no plan that ended for all.
        *(span(f"f{i}", f"f{i}", start, end, "voluntary", plan="Few") for i in range(4)),
        # On a free plan since, and on one for a few days.
        span("m", "m", start, end, "switched", plan="New"),
        span("m", "m", end, None, **free),
        span("t", "t", start, end, "switched", plan="New"),
        span("t", "t", end, end + dt.timedelta(days=5), "voluntary", **free),
        # Access for life in the place of a subscription is an end by design.
        span("l", "l", start, end, "voluntary", plan="New"),
        span("l2", "l", end, None, billing_interval="once", unit_amount_minor=9_000, plan="Lifetime"),
    ]
    table = measures.churned_value(tables(spans), as_of=AS_OF).to_pandas()
    fates = table.groupby("fate")["customers"].sum().to_dict()
    assert fates == {"": 11, "plan ended": 6, "free plan": 1}


@pytest.mark.parametrize("renewed", [False, True])
def test_nothing_could_have_kept_those_whose_plan_ends_contract_by_contract(renewed):
    def years(n, begin, of):
        begin, year = pd.Timestamp(begin).date(), {"billing_interval": "year", "plan": "Old"}
        return span(f"{of}{n}", f"{of}{n}", begin, begin.replace(year=begin.year + 1), "voluntary", **year)

    # Sold until May 2022; of the contracts, six end by May 2023 at their first term, and one at its second.
    spans = [years(n, f"2022-{n % 5 + 1:02}-{n + 3:02}", "o") for n in range(6)]
    spans += [
        span(
            "p",
            "p",
            dt.date(2021, 3, 1),
            dt.date(2023, 3, 1),
            "voluntary",
            billing_interval="year",
            plan="Old",
        )
    ]
    # One that is there still, though nobody renews: its term has not ended yet, or it has been renewed since.
    begun = dt.date(2022, 5, 20) if renewed else dt.date(2022, 5, 1)
    spans += [span("q", "q", begun, None, billing_interval="year", plan="Old")] if renewed else []
    spans += [years(n, f"2022-0{n + 1}-01", "n") | {"plan": "New"} for n in range(5)]
    spans += [span("x", "x", dt.date(2022, 1, 1), plan="New")]
    table = measures.churned_value(tables(spans), as_of=dt.date(2023, 9, 1)).to_pandas()
    fates = table.groupby("fate")["customers"].sum().to_dict()
    assert fates == ({"": 12} if renewed else {"": 5, "plan ended": 7})


def test_exclusions_name_each_reason_once_and_lose_nobody():
    people = [
        {"customer_id": c, "channel": "web", "is_test": c == "test"}
        for c in ("paying", "free", "trial", "test", "late")
    ]
    start = dt.date(2024, 1, 1)
    spans = [
        span("1", "paying", start),
        span("2", "free", start, discount_minor=1000),
        span("3", "trial", start, status="trialing"),
        span("4", "test", start),
        span("5", "late", dt.date(2024, 3, 1)),
    ]
    source = tables(spans, people)
    ledger = measures.exclusions(source, as_of=AS_OF).to_pandas().set_index("reason")
    assert ledger.spans.to_dict() == {
        "free": 1, "test account": 1, "trial": 1, "starts after the as-of date": 1,
    }  # fmt: skip
    assert ledger.monthly_minor["trial"] == 1000
    value = measures.active_value(source, as_of=AS_OF).to_pandas()
    assert value[["customers", "monthly_minor"]].to_numpy().tolist() == [[1, 1000]]
    assert measures.exclusions(source, as_of=AS_OF, currency="USD").to_pandas().spans.sum() == len(spans)


@pytest.mark.parametrize(
    ("interval", "count", "amount", "monthly"),
    [("month", 1, 999, 999), ("month", 3, 2997, 999), ("year", 1, 200_000, 16_667), ("year", 2, 2400, 100),
     ("week", 1, 300, 1300), ("day", 1, 12, 365)],
)  # fmt: skip
def test_monthly_amount_follows_the_count_not_the_word(interval, count, amount, monthly):
    row = span("1", "c", dt.date(2024, 1, 1), billing_interval=interval, billing_interval_count=count,
               unit_amount_minor=amount)  # fmt: skip
    source = tables([row])
    assert measures.active_value(source, as_of=AS_OF).to_pandas().monthly_minor.tolist() == [monthly]


def test_small_groups_are_folded_and_a_misspelt_column_is_named():
    people = [{"customer_id": f"c{i}", "channel": ch, "is_test": False} for i, ch in enumerate("aaaabbc")]
    people[-1]["channel"] = None
    spans = [span(f"s{i}", f"c{i}", dt.date(2023, 6, 1), dt.date(2023, 9, 1), "voluntary") for i in range(7)]
    source = tables(spans, people)
    life = measures.life_table(source, by="channel", as_of=AS_OF, min_group=2).to_pandas()
    assert life.groupby("group").events.sum().to_dict() == {"a": 4, "b": 2, "other": 1}
    life = measures.life_table(source, by="channel", as_of=AS_OF, max_groups=1).to_pandas()
    assert life.groupby("group").events.sum().to_dict() == {"a": 4, "other": 3}
    with pytest.raises(InputError, match=r"by one column.*\['plan', 'channel'\]"):
        measures.life_table(source, by=["plan", "channel"], as_of=AS_OF)
    with pytest.raises(InputError, match=r"'chanel'.*did you mean 'channel'"):
        measures.life_table(source, by="chanel", as_of=AS_OF)


def named(**columns):
    """Two customers, with columns of any name."""
    source = tables([span("s1", "c1", dt.date(2023, 1, 1)), span("s2", "c2", dt.date(2023, 2, 1))])
    people = pa.table({"customer_id": ["c1", "c2"], "is_test": [False, False], **columns})
    return source.instead({"customers": CONNECTION.create_table(f"people{next(NUMBER)}", people, temp=True)})


def test_a_segment_column_of_customers_is_used_where_there_is_no_table_of_segments():
    source = named(segment=["x", "y"])
    life = measures.life_table(source, by="segment", as_of=AS_OF).to_pandas()
    assert set(life["group"]) == {"x", "y"}
    assert groups.groupings(source).count("segment") == 1
    assert "segment" in measures.characteristics(source).to_pandas()["name"].tolist()
    with pytest.raises(NotApplicable, match="no table `segments`"):
        measures.life_table(named(), by="segment", as_of=AS_OF)


@pytest.mark.parametrize("name", ["start", "cause", "entry", "exit", "event", "end_day"])
def test_a_column_whose_name_the_counts_use_is_refused(name):
    source = named(**{name: ["x", "y"]})
    with pytest.raises(InputError, match=rf"customers\.{name}: .*rename it in a mapping"):
        measures.life_table(source, by=name, as_of=AS_OF)
    assert name in TAKEN  # and is read under another name from anybody's data


@pytest.mark.parametrize(
    "name", ["plan", "currency", "billing", "start_year", "start_quarter", "start_month"]
)
def test_customers_are_not_compared_by_what_is_known_of_subscriptions_alone(name):
    source = named(region=["x", "y"])
    with pytest.raises(InputError, match=rf"by '{name}' here.* Fix: use one of .*region"):
        groups.group_column(source, source["customers"].select("customer_id"), name)


@pytest.mark.parametrize(
    "name", ["group", "period", "left", "ripe", "at_risk", "size", "plan", "billing", "k"]
)
def test_other_names_of_columns_do_no_harm(name):
    source = named(**{name: ["x", "y"]})
    life = measures.life_table(source, by=name, as_of=AS_OF).to_pandas()
    assert life["censored"].sum() == 2
    counts = measures.duration_counts(source, ["plan", name][name == "plan" :], as_of=AS_OF).to_pandas()
    assert counts["n"].sum() == 2
    assert groups.groupings(source).count(name) == 1


def test_calendar_integers_agree_with_the_calendar():
    connection = ibis.duckdb.connect()
    t = connection.sql("select date '1899-12-01' + i::int as d from range(0, 80000, 7) r(i)")
    one = day(t.d)
    other = civil(one.index)
    frame = t.select(
        "d", index=one.index, month=one.month, dom=one.day_of_month,
        month2=other.month, dom2=other.day_of_month, first=month_start(one.month),
        length=days_in_month(one.month),
    ).to_pandas()  # fmt: skip
    dates = [d.date() if hasattr(d, "date") else d for d in frame.d]
    epoch = dt.date(1970, 1, 1)
    assert frame["index"].tolist() == [(d - epoch).days for d in dates]
    assert frame.month.tolist() == frame.month2.tolist() == [d.year * 12 + d.month - 1 for d in dates]
    assert frame.dom.tolist() == frame.dom2.tolist() == [d.day for d in dates]
    assert frame["first"].tolist() == [(d.replace(day=1) - epoch).days for d in dates]
    assert frame.length.tolist() == [calendar.monthrange(d.year, d.month)[1] for d in dates]
