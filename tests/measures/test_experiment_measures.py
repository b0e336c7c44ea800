"""Experiments and price research against an independent plain-Python loop over the same ledger."""

from __future__ import annotations

import datetime as dt
import math
from collections import Counter, defaultdict
from itertools import count

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenure import money
from tenure.economics import Economics
from tenure.errors import InputError, NotApplicable
from tenure.measures import experiments as measures
from tenure.measures import research
from tenure.sources import open_source
from tenure.sources.connect import Source

AS_OF = dt.date(2024, 6, 30)
CUT = dt.datetime(2024, 7, 1)
COMPANY = Economics(margin=0.9, fee_share=0.03, fee_fixed=0.25, cost_to_serve=3.0)
FACTORS = {"EUR": 1.0, "USD": 0.8, "JPY": 0.6}
TEXT, INT, TIME = pa.string(), pa.int64(), pa.timestamp("us")
SCHEMAS = {
    "customers": {"customer_id": TEXT, "channel": TEXT, "is_test": pa.bool_()},
    "subscriptions": {
        "subscription_id": TEXT,
        "customer_id": TEXT,
        "plan": TEXT,
        "billing_interval": TEXT,
        "billing_interval_count": INT,
        "quantity": INT,
        "unit_amount_minor": INT,
        "discount_minor": INT,
        "discount_duration": TEXT,
        "cancel_requested_at": TIME,
        "currency": TEXT,
        "status": TEXT,
        "started_at": TIME,
        "ended_at": TIME,
        "end_reason": TEXT,
    },
    "payments": {
        "customer_id": TEXT,
        "attempted_at": TIME,
        "amount_minor": INT,
        "currency": TEXT,
        "kind": TEXT,
        "status": TEXT,
    },
    "visits": {"visitor_id": TEXT, "channel": TEXT},
    "assignments": {
        "experiment": TEXT,
        "unit_id": TEXT,
        "customer_id": TEXT,
        "variant": TEXT,
        "assigned_at": TIME,
        "price_minor": INT,
    },
    "surveys": {
        "customer_id": TEXT,
        "survey": TEXT,
        "question": TEXT,
        "sent_at": TIME,
        "answered_at": TIME,
        "score": pa.float64(),
        "answer": TEXT,
    },
    "events": {"customer_id": TEXT, "occurred_at": TIME, "event": TEXT, "duration_s": INT},
}
CONNECTION = ibis.duckdb.connect()
NUMBER = count()


def tables(rows: dict[str, list[dict]]) -> Source:
    prefix = f"t{next(NUMBER)}_"
    found = {
        name: CONNECTION.create_table(
            prefix + name,
            pa.Table.from_pylist(rows[name], schema=pa.schema(SCHEMAS[name].items())),
            temp=True,
        )
        for name in rows
    }
    return Source(found, CONNECTION, "a ledger")


def at(day: dt.date, hour: int = 9) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(hour))


def span(customer, start, end=None, amount=1000, number=1, **rest):
    return {
        "subscription_id": f"{customer}-{number}",
        "customer_id": customer,
        "plan": "Basic",
        "billing_interval": "month",
        "billing_interval_count": 1,
        "quantity": 1,
        "unit_amount_minor": amount,
        "discount_minor": 0,
        "currency": "EUR",
        "status": "active",
        "started_at": at(start),
        "ended_at": end and at(end),
        "end_reason": "voluntary" if end else None,
    } | rest


DAY = st.integers(0, 250).map(lambda d: dt.date(2023, 12, 1) + dt.timedelta(days=d))


@st.composite
def ledgers(draw):
    """An experiment with everything that goes wrong in one."""
    rows = {name: [] for name in ("customers", "subscriptions", "payments", "visits", "assignments")}
    for i in range(draw(st.integers(25, 45))):
        unit = f"v{i:03d}"
        channel = draw(st.sampled_from(["web", "tv", None]))
        rows["visits"].append({"visitor_id": unit, "channel": channel})
        customer = f"c{draw(st.integers(0, i)):03d}" if draw(st.booleans()) else None
        times = draw(st.sampled_from([1, 1, 1, 1, 2, 3]))
        for _ in range(times):
            variant = draw(st.sampled_from(["a", "a", "b"]))
            price = {"a": 1000, "b": 1200}[variant] if draw(st.integers(0, 9)) else None
            rows["assignments"].append(
                {
                    "experiment": draw(st.sampled_from(["x", "x", "x", "other"])),
                    "unit_id": unit,
                    "customer_id": customer,
                    "variant": variant,
                    "assigned_at": at(draw(DAY), draw(st.integers(0, 23))),
                    "price_minor": price,
                }
            )
    for customer in sorted({r["customer_id"] for r in rows["assignments"]} - {None}):
        test = draw(st.integers(0, 9)) == 0
        rows["customers"].append({"customer_id": customer, "channel": "web", "is_test": test})
        start = draw(DAY)
        for number in range(draw(st.integers(0, 2))):
            end = start + dt.timedelta(days=draw(st.integers(1, 120)))
            still_on = draw(st.integers(0, 3)) == 0
            amount = draw(st.sampled_from([1000, 1200]))
            rows["subscriptions"].append(span(customer, start, None if still_on else end, amount, number))
            if still_on:
                break
            start = end + dt.timedelta(days=draw(st.integers(3, 60)))
        for _ in range(draw(st.integers(0, 4))):
            rows["payments"].append(
                {
                    "customer_id": customer,
                    "attempted_at": at(draw(DAY), draw(st.integers(0, 23))),
                    "amount_minor": draw(st.integers(0, 5000)),
                    "currency": draw(st.sampled_from(["EUR", "EUR", "USD", "JPY"])),
                    "kind": "recurring",
                    "status": draw(st.sampled_from(["paid", "paid", "failed", "refunded"])),
                }
            )
    if not any(r["experiment"] == "x" and r["assigned_at"] < CUT for r in rows["assignments"]):
        rows["assignments"][0] |= {"experiment": "x", "assigned_at": at(dt.date(2024, 1, 1))}
    return rows


def loop(rows, window=60, before=60):
    """Each unit's outcomes, one unit at a time."""
    by_unit = defaultdict(list)
    for row in rows["assignments"]:
        if row["experiment"] == "x" and row["assigned_at"] < CUT:
            by_unit[row["unit_id"]].append(row)
    units = {}
    for unit, own in by_unit.items():
        own = sorted(
            own,
            key=lambda r: (
                r["assigned_at"],
                r["variant"],
                r["customer_id"] or "",
                -1 if r["price_minor"] is None else r["price_minor"],
            ),
        )
        units[unit] = own[0] | {
            "customer_id": max(r["customer_id"] or "" for r in own),
            "repeats": len(own) - 1,
            "crossed": int(len({r["variant"] for r in own}) > 1),
            "repriced": int(len({r["price_minor"] for r in own} - {None}) > 1),
        }
    whose = defaultdict(list)
    for u in units.values():
        whose[u["customer_id"]].append(u)
    tests = {c["customer_id"] for c in rows["customers"] if c["is_test"]}
    offers = defaultdict(set)
    for r in rows["assignments"]:
        if r["customer_id"] and r["price_minor"] is not None:
            offers[r["customer_id"]].add(r["price_minor"])
    for u in units.values():
        day = u["assigned_at"].date()
        u["observed_days"] = (CUT.date() - day).days
        u["ripe"] = int(u["observed_days"] >= window)
        found = dict.fromkeys(
            ("paid_days", "charged_otherwise", "revenue", "charges", "refunds", "pre_revenue", "subscribed"),
            0,
        )
        mates = whose[u["customer_id"]] if u["customer_id"] else []
        if mates and len({m["variant"] for m in mates}) == 1 and u["customer_id"] not in tests:
            first = min(m["assigned_at"] for m in mates)
            origin = first.date()
            closes = min(origin + dt.timedelta(days=window), CUT.date())
            stays = []
            for s in rows["subscriptions"]:
                if (
                    s["customer_id"] != u["customer_id"]
                    or s["customer_id"] in tests
                    or s["started_at"] >= CUT
                ):
                    continue
                if s["ended_at"] is None or s["ended_at"] > first:
                    begin = max(s["started_at"], first).date()
                    end = s["ended_at"].date() if s["ended_at"] else dt.date(2100, 1, 1)
                    if begin < closes:
                        stays.append((begin, min(end, closes), s["unit_amount_minor"]))
            if stays:
                found["subscribed"] = 1
                found["paid_days"] = sum((end - begin).days for begin, end, _ in stays)
                opening = min(begin for begin, _, _ in stays)
                prices = [amount for begin, _, amount in stays if begin == opening]
                known = offers[u["customer_id"]]
                found["charged_otherwise"] = int(bool(known) and not set(prices) & known)
            for p in rows["payments"]:
                if (
                    p["customer_id"] != u["customer_id"]
                    or p["status"] == "failed"
                    or p["attempted_at"] >= CUT
                ):
                    continue
                since = (p["attempted_at"].date() - origin).days
                amount = math.floor(p["amount_minor"] * FACTORS[p["currency"]] + 0.5)
                net = amount * (1 if p["status"] == "paid" else -1)
                if 0 <= since < window:
                    found["revenue"] += net
                    found["charges"] += p["status"] == "paid"
                    found["refunds"] += amount * (p["status"] == "refunded")
                elif -before <= since < 0:
                    found["pre_revenue"] += net
        found["converted"] = max(found["subscribed"], int(found["charges"] > 0))
        kept = found["revenue"] * (0.9 - 0.03) - found["charges"] * 25
        found["exact_margin"] = kept - found["paid_days"] * 300 * 12 / 365
        u |= found
    return units


def measured(source, **options):
    asked = {"experiment": "x", "as_of": AS_OF, "window_days": 60, "pre_days": 60, "factors": FACTORS}
    return measures.with_margin(measures.outcomes(source, **asked | options), COMPANY, "EUR")


@given(ledgers())
@settings(max_examples=5, deadline=None)
def test_outcomes_are_those_of_a_loop_over_units(rows):
    source = tables(rows)
    found = measured(source, segments=["channel"]).to_pandas().set_index("unit_id")
    expected = loop(rows)
    assert set(found.index) == set(expected)
    visits = {v["visitor_id"]: v["channel"] or "unknown" for v in rows["visits"]}
    names = [
        "customer_id",
        "variant",
        "repeats",
        "crossed",
        "observed_days",
        "ripe",
        "converted",
        "subscribed",
    ]
    names += ["paid_days", "charged_otherwise", "revenue", "charges", "refunds", "pre_revenue"]
    for unit, row in expected.items():
        got = found.loc[unit]
        assert {n: got[n] for n in names} == {n: row[n] for n in names}, unit
        assert abs(got["margin"] - row["exact_margin"]) <= 0.5 + 1e-6
        assert got["channel"] == visits[unit]


def test_yen_and_dinars_count_by_their_minor_units():
    """EUR 10.00, JPY 1,000 at 0.006 (6.00) and KWD 1.000 at 3 (3.00) are 19.00 and not 10.00 + 10.00 + 10.00."""
    when = dt.date(2024, 2, 1)
    rows = {"customers": [], "subscriptions": [], "payments": [], "visits": [], "assignments": []}
    amounts = {"EUR": 1000, "JPY": 1000, "KWD": 1000}
    for currency, amount in amounts.items():
        known = {"customer_id": currency, "channel": "web", "is_test": False}
        rows["customers"].append(known)
        rows["subscriptions"].append(span(currency, when, currency=currency))
        paid = {"customer_id": currency, "attempted_at": at(when), "amount_minor": amount, "status": "paid"}
        rows["payments"].append(paid | {"currency": currency, "kind": "recurring"})
        unit = {"experiment": "x", "unit_id": f"v{currency}", "customer_id": currency, "variant": "a"}
        rows["assignments"].append(unit | {"assigned_at": at(when, 8), "price_minor": 1000})
    rows["visits"].append({"visitor_id": "vEUR", "channel": "web"})
    source = tables(rows)
    used = measures.currencies(source, experiment="x", as_of=AS_OF).to_pandas()
    assert used["spans"].tolist() == [1, 1, 1]
    rates = pd.DataFrame({"currency": ["EUR", "JPY", "KWD"], "month": 24_288, "rate": [1.0, 0.006, 3.0]})
    factors = money.factors_at(rates, used["currency"], "EUR", 24_294)
    units = measured(source, factors=factors).to_pandas().set_index("customer_id")
    assert units["revenue"].to_dict() == {"EUR": 1000, "JPY": 600, "KWD": 300}


@pytest.mark.long
@given(ledgers(), st.randoms())
@settings(max_examples=2, deadline=None)
def test_sums_and_counts_do_not_depend_on_the_order_of_rows(rows, random):
    shuffled = {name: random.sample(part, len(part)) for name, part in rows.items()}
    results = []
    for part in (rows, shuffled):
        source = tables(part)
        units = measured(source, segments=["channel"])
        results.append(
            [
                measures.moments(
                    units,
                    ["revenue", "margin"],
                    by=["variant", "channel"],
                    covariates={"revenue": "pre_revenue"},
                ).to_pandas(),
                measures.integrity(units).to_pandas(),
                measures.daily_counts(source, experiment="x", as_of=AS_OF).to_pandas(),
                measures.life_table(source, experiment="x", as_of=AS_OF).to_pandas(),
            ]
        )
    for one, other in zip(*results, strict=True):
        pd.testing.assert_frame_equal(one, other)


@given(ledgers())
@settings(max_examples=3, deadline=None)
def test_integrity_counts_what_is_wrong(rows):
    expected = list(loop(rows).values())
    table = measures.integrity(measured(tables(rows))).to_pandas().set_index("variant")
    mates = Counter(u["customer_id"] for u in expected if u["customer_id"])
    for variant, row in table.iterrows():
        own = [u for u in expected if u["variant"] == variant]
        assert row["units"] == len(own)
        assert row["ripe"] == sum(u["ripe"] for u in own)
        assert row["crossed"] == sum(u["crossed"] for u in own)
        assert row["repriced"] == sum(u["repriced"] for u in own)
        shown = Counter(u["price_minor"] for u in own if u["price_minor"] is not None)
        assert row["otherwise_priced"] == shown.total() - max(shown.values(), default=0)
        assert row["repeated"] == sum(u["repeats"] > 0 for u in own)
        assert row["shared"] == sum(mates.get(u["customer_id"], 0) > 1 for u in own)
        assert row["unpriced"] == sum(u["price_minor"] is None for u in own)
        assert row["prices"] == len({u["price_minor"] for u in own} - {None})
        assert row["revenue"] == sum(u["revenue"] for u in own)
        assert row["observed_days"] == sum(u["observed_days"] for u in own)


def frame_of(n, seed=0, large=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "variant": rng.choice(["a", "b", "c"], n),
            "kind": rng.choice(["p", "q"], n),
            "y": rng.integers(-500, 5000, n) + large,
            "z": rng.integers(0, 30, n),
            "x": rng.integers(0, 300, n),
        }
    )


def test_moments_are_the_sums():
    frame = frame_of(5000)
    units = ibis.memtable(frame)
    found = measures.moments(
        units, ["y", "z"], by=["variant", "kind"], covariates={"y": "x"}, ratios=[("y", "z")]
    ).to_pandas()
    for row in found.to_dict("records"):
        part = frame[(frame["variant"] == row["variant"]) & (frame["kind"] == row["kind"])]
        assert row["n"] == len(part)
        for c in "yzx":
            assert row[f"s_{c}"] == part[c].sum()
            assert row[f"q_{c}"] == (part[c] ** 2).sum()
        for c in "yz":
            assert row[f"k_{c}"] == (part[c] != 0).sum()
        assert row["c_y_x"] == (part["y"] * part["x"]).sum()
        assert row["c_y_z"] == (part["y"] * part["z"]).sum()


def test_sums_of_a_million_rows_are_alike_to_the_last_bit_in_any_order_and_chunks(tmp_path):
    frame = frame_of(1_000_000, large=100_000_000)
    assert frame["z"].nunique() < len(frame) / 100  # Ties abound, at the cap's quantiles too.
    results = []
    for seed, rows in ((None, 1_000_000), (1, 20_000)):
        part = frame if seed is None else frame.sample(frac=1, random_state=seed)
        whole = pa.Table.from_pandas(part, preserve_index=False)
        for place, start in enumerate(range(0, len(part), 250_000 if seed else len(part))):
            name = tmp_path / f"{seed}-{place}.parquet"
            pq.write_table(whole.slice(start, 250_000 if seed else len(part)), name, row_group_size=rows)
        table = CONNECTION.read_parquet(str(tmp_path / f"{seed}-*.parquet"))
        options = {"covariates": {"y": "x"}, "by": ["variant", "kind"]}
        results.append(
            (
                measures.moments(table, ["y", "z"], **options).to_pandas(),
                measures.moments(table, ["z"], cap=(0.05, 0.95)).to_pandas(),
            )
        )
    for alike in zip(*results, strict=True):
        pd.testing.assert_frame_equal(*alike, check_exact=True)
    part = frame[frame["variant"] == "a"]["y"].astype(object)
    found = results[0][0]
    assert found[found["variant"] == "a"]["q_y"].sum() == float(int((part**2).sum()))


def test_capping_is_pooled_over_arms():
    frame = frame_of(2000)
    frame.loc[frame["variant"] == "b", "y"] *= 10
    frame.loc[frame.index % 3 > 0, "y"] = 0
    found = measures.moments(ibis.memtable(frame), ["y"], cap=(0.01, 0.99)).to_pandas().set_index("variant")
    paid = frame.loc[frame["y"] != 0, "y"]
    ends = np.floor(paid.quantile(0.01)), np.ceil(paid.quantile(0.99))
    capped = pd.Series(np.where(frame["y"] == 0, 0, frame["y"].clip(*ends)), index=frame.index)
    for variant, part in capped.groupby(frame["variant"]):
        assert found.loc[variant, "s_y"] == part.sum()
        assert found.loc[variant, "q_y"] == (part**2).sum()
    raw = measures.moments(ibis.memtable(frame), ["y"], cap=(0, 1)).to_pandas()
    assert raw["s_y"].sum() == frame["y"].sum()


def test_life_tables_count_from_the_assignment_for_those_who_were_there():
    rows = {
        "customers": [{"customer_id": c, "channel": "web", "is_test": False} for c in ("old", "new")],
        "subscriptions": [
            span("old", dt.date(2023, 1, 10), dt.date(2024, 3, 20)),
            span("new", dt.date(2024, 2, 1)),
        ],
        "assignments": [
            {
                "experiment": "x",
                "unit_id": c,
                "customer_id": c,
                "variant": "a",
                "assigned_at": at(dt.date(2024, 1, 31)),
                "price_minor": 1000,
            }
            for c in ("old", "new")
        ],
    }
    found = measures.life_table(tables(rows), experiment="x", as_of=AS_OF).to_pandas()
    # From 31 January: left in the second month; from 1 February: still there after five.
    names = ["group", "period", "at_risk", "events", "censored"]
    assert found[names].to_numpy().tolist() == [["a", 2, 2, 1, 0], ["a", 5, 1, 0, 1]]


def experiment_of(**tables_of):
    """Four customers of two arms, assigned on 1 January 2024, and what they did."""
    when = at(dt.date(2024, 1, 1), 8)
    units = [
        {"experiment": "x", "unit_id": f"u{i}", "customer_id": f"c{i}", "variant": "ab"[i % 2]}
        | {"assigned_at": when, "price_minor": None}
        for i in range(4)
    ]
    customers = [{"customer_id": f"c{i}", "channel": "web", "is_test": i == 3} for i in range(4)]
    return tables({"customers": customers, "subscriptions": [], "assignments": units, **tables_of})


def converted(source, **options):
    return measured(source, **options).to_pandas().sort_values("unit_id")["converted"].tolist()


def test_who_pays_once_has_converted_and_a_test_account_has_not():
    paid = {"amount_minor": 900, "status": "paid", "currency": "EUR", "kind": "one_off"}
    source = experiment_of(
        payments=[
            {"customer_id": "c0", "attempted_at": at(dt.date(2024, 1, 3))} | paid,
            {"customer_id": "c1", "attempted_at": at(dt.date(2024, 1, 3))} | paid | {"status": "failed"},
            {"customer_id": "c2", "attempted_at": at(dt.date(2024, 5, 3))} | paid,
            {"customer_id": "c3", "attempted_at": at(dt.date(2024, 1, 3))} | paid,
        ]
    )
    assert converted(source) == [1, 0, 0, 0]
    assert converted(source, outcome="payment", on_day=2) == [1, 0, 0, 0]
    assert converted(source, outcome="payment", on_day=1) == [0, 0, 0, 0]
    assert measured(source).to_pandas()["subscribed"].sum() == 0


def test_a_visit_or_a_return_on_a_day_is_an_outcome():
    days = {"c0": (0, 1, 7), "c1": (8,), "c2": (7, 70), "c3": (7,)}
    source = experiment_of(
        events=[
            {
                "customer_id": who,
                "event": "visit" if day else "play",
                "occurred_at": at(dt.date(2024, 1, 1) + dt.timedelta(days=day), 9),
            }
            for who, several in days.items()
            for day in several
        ]
    )
    assert converted(source, outcome="visit") == [1, 1, 1, 0]
    assert converted(source, outcome="visit", window_days=8) == [1, 0, 1, 0]
    assert converted(source, outcome="any event", on_day=1) == [1, 0, 0, 0]
    assert converted(source, outcome="any event", on_day=7) == [1, 0, 1, 0]
    assert converted(source, outcome="play", on_day=0) == [1, 0, 0, 0]
    with pytest.raises(InputError, match=r"`on_day` is 60.*`window_days` beyond it"):
        measured(source, outcome="visit", on_day=60)
    with pytest.raises(InputError, match="name an `outcome`"):
        measured(source, on_day=1)


def test_units_are_the_customers_where_there_are_no_visits_and_no_customer_is_named():
    source = experiment_of()
    nameless = source["assignments"].mutate(customer_id=ibis.null("string"), unit_id=ibis._.customer_id)
    found = measures.assigned_units({**source, "assignments": nameless}, experiment="x", as_of=AS_OF)
    assert sorted(found.to_pandas()["customer_id"]) == ["c0", "c1", "c2", "c3"]
    visits = {
        **source,
        "assignments": nameless,
        "visits": source["customers"].rename(visitor_id="customer_id"),
    }
    found = measures.assigned_units(visits, experiment="x", as_of=AS_OF)
    assert set(found.to_pandas()["customer_id"]) == {""}


def test_visits_own_columns_are_there_to_compare_by(tmp_path):
    (tmp_path / "assignments.csv").write_text(
        "experiment,unit_id,variant,assigned_at\nx,v1,a,2024-01-01\nx,v2,b,2024-01-01\n"
    )
    (tmp_path / "visits.csv").write_text(
        "visitor_id,first_seen_at,device,version,variant\nv1,2024-01-01,phone,10,z\nv2,2024-01-01,,11,z\n"
    )
    source = open_source(tmp_path)
    assert "subscriptions" not in source
    assert measures.segment_columns(source) == ["channel", "device", "version"]
    units = measures.outcomes(source, experiment="x", as_of=AS_OF, segments=["device", "version"])
    rows = units.to_pandas().sort_values("unit_id")
    assert rows[["device", "version"]].to_numpy().tolist() == [["phone", "10"], ["unknown", "11"]]
    assert rows["variant"].tolist() == ["a", "b"]
    with pytest.raises(NotApplicable, match="needs the table subscriptions"):
        source.require("subscriptions")


def test_segments_must_be_known_for_those_who_did_not_subscribe():
    rows = {
        "customers": [{"customer_id": "c", "channel": "web", "is_test": False}],
        "subscriptions": [span("c", dt.date(2024, 2, 1))],
        "visits": [{"visitor_id": "v", "channel": "tv"}],
        "assignments": [
            {
                "experiment": "x",
                "unit_id": "v",
                "customer_id": None,
                "variant": "a",
                "assigned_at": at(dt.date(2024, 1, 1)),
                "price_minor": None,
            }
        ],
    }
    source = tables(rows)
    assert measures.segment_columns(source) == ["channel"]
    with pytest.raises(InputError, match="known for those who did not subscribe"):
        measured(source, segments=["country"])
    with pytest.raises(InputError, match="no column 'margins'"):
        measures.moments(measured(source), ["margins"])
    with pytest.raises(InputError, match="two shares in order"):
        measures.moments(measured(source), ["revenue"], cap=(0.9, 0.1))
    assert measured(source).to_pandas()["revenue"].tolist() == [0]


# --- price research -----------------------------------------------------------------------------------


def survey(customer, question, score=None, answer=None, sent=dt.date(2024, 5, 1), kind="price"):
    answered = score is not None or answer is not None
    return {
        "customer_id": customer,
        "survey": kind,
        "question": question,
        "sent_at": at(sent),
        "answered_at": at(sent, 12) if answered else None,
        "score": score,
        "answer": answer,
    }


def surveyed():
    rows = []
    for i in range(40):
        for question, score in zip(research.METER, (4, 6, 9 + i % 3, 14), strict=True):
            rows.append(survey(f"c{i}", question, score if i % 4 or question != "cheap" else None))
        rows.append(survey(f"c{i}", "buy at 9.99", float(i % 2)))
        rows.append(survey(f"c{i}", "choice 1: price=9 | price=5 | none", answer=str(i % 3)))
        rows.append(survey(f"c{i}", "recommend", 9.0, kind="nps"))
    # Asked again, with other answers: the last one counts.
    rows += [
        survey("c1", q, s, sent=dt.date(2024, 6, 1))
        for q, s in zip(research.METER, (1, 2, 3, 4), strict=True)
    ]
    customers = [
        {"customer_id": f"c{i}", "channel": "tv" if i < 20 else "web", "is_test": False} for i in range(40)
    ]
    return {"surveys": rows, "customers": customers}


def test_answers_about_prices():
    source = tables(surveyed())
    answers = research.price_answers(source).to_pandas()
    skipped = answers[answers["cheap"].isna()]
    assert (answers["n"].sum(), skipped["n"].sum(), skipped["too_cheap"].tolist()) == (
        40,
        10,
        [4.0] * len(skipped),
    )
    assert answers.loc[answers["cheap"] == 2, "n"].tolist() == [1]
    assert research.price_answers(source, by="channel").to_pandas().groupby("group")["n"].sum().to_dict() == {
        "tv": 20,
        "web": 20,
    }
    asked = research.price_questions(source).to_pandas().set_index("kind")
    assert asked["people"].to_dict() == {"buy": 40, "choice": 40, "meter": 40}
    assert asked.loc["meter", ["asked", "answered"]].tolist() == [164, 154]
    assert research.stated_demand(source).to_pandas().to_numpy().tolist() == [["buy at 9.99", 40, 20]]
    assert len(research.price_choices(source).to_pandas()) == 40
    with pytest.raises(NotApplicable, match="surveys"):
        research.price_answers({"customers": source["customers"]})


def test_questions_sent_apart_are_one_survey_and_test_accounts_answer_none():
    def asked(customer, moment, scores):
        names = research.METER[: len(scores)]
        given = zip(names, scores, strict=True)
        return [
            survey(customer, name, score)
            | {"sent_at": moment + dt.timedelta(minutes=7 * i), "answered_at": None}
            for i, (name, score) in enumerate(given)
        ]

    night, spring = dt.datetime(2024, 3, 1, 23, 55), dt.datetime(2024, 5, 1)
    rows = [
        *asked("a", night, (1, 2, 3, 4)),
        *asked("b", night, (1, 2, 3, 4)),
        *asked("b", spring, (5, 6, 7, 8)),
        *asked("d", night, (1, 2)),
        *[row | {"sent_at": night + dt.timedelta(days=6)} for row in asked("d", night, (1, 2, 3, 4))[2:]],
    ]
    # What was asked later without a question does not count before a whole survey.
    rows += [
        *asked("c", night, (1, 2, 3, 4)),
        *asked("c", spring, (5, 6, 7)),
        *asked("test", night, (9, 9, 9, 9)),
    ]
    whose = [
        {"customer_id": c, "channel": "tv", "is_test": c == "test"} for c in ("a", "b", "c", "d", "test")
    ]
    source = tables({"surveys": rows, "customers": whose})
    answers = research.price_answers(source).to_pandas()
    assert answers[[*research.METER, "n"]].to_numpy().tolist() == [[1, 2, 3, 4, 3], [5, 6, 7, 8, 1]]
    found = research.price_questions(source).to_pandas().iloc[0]
    assert found[["kind", "asked", "answered", "people"]].tolist() == ["meter", 23, 23, 4]


def test_usage_is_counted_by_month_and_price():
    end = AS_OF
    rows = {
        "customers": [
            {"customer_id": c, "channel": "web", "is_test": c == "t"} for c in ("u", "idle", "young", "t")
        ],
        "subscriptions": [
            span("u", dt.date(2023, 1, 1), amount=1000),
            span("idle", dt.date(2023, 1, 1), amount=2000),
            span("young", end - dt.timedelta(days=40), amount=1000),
            span("t", dt.date(2023, 1, 1)),
        ],
        "events": [
            {"customer_id": c, "occurred_at": at(end - dt.timedelta(days=d)), "event": e, "duration_s": s}
            for c, d, e, s in (
                ("u", 0, "play", 3600),
                ("u", 1, "play", 60),
                ("u", 27, "play", 10),
                ("u", 28, "play", 7200),
                ("u", 30, "search", 99_999),
                ("u", 60, "play", 3600),
                ("young", 30, "play", 7200),
            )
        ],
    }
    source = tables(rows)
    found = research.usage_counts(source, as_of=end, event="play", months=2).to_pandas()
    cells = {(r["month"], r["units"], r["monthly_minor"]): r["n"] for r in found.to_dict("records")}
    # "young" was there for one whole month of the two.
    assert cells == {(0, 2, 1000): 1, (1, 2, 1000): 1, (0, 0, 2000): 1, (1, 0, 2000): 1, (0, 0, 1000): 1}
    events = research.usage_counts(source, as_of=end, event="play", unit="events", months=1).to_pandas()
    assert events.groupby("units")["n"].sum().to_dict() == {0: 2, 3: 1}


def test_prices_paid_and_what_a_rise_did():
    on = dt.date(2024, 3, 1)
    before, after = dt.date(2023, 6, 10), dt.date(2024, 3, 10)
    spans = []
    for i in range(30):
        name = f"c{i}"
        if i < 18:  # pays more
            spans += [span(name, before, after, 1000, end_reason="switched"), span(name, after, None, 1300)]
        elif i < 24:  # leaves
            spans.append(span(name, before, after))
        else:  # takes a cheaper plan
            spans += [span(name, before, after), span(name, after, None, 700, plan="Mini")]
    spans.append(span("late", dt.date(2024, 5, 20), None, 1300))
    customers = [
        {"customer_id": n, "channel": "web", "is_test": False} for n in {s["customer_id"] for s in spans}
    ]
    source = tables({"customers": customers, "subscriptions": spans})
    assert research.price_rises(source, as_of=AS_OF).to_pandas().to_numpy().tolist() == [[2024 * 12 + 2, 18]]
    # Not where the days are not over yet, nor of those who pay otherwise.
    for other in ({"days": 150}, {"billing": "1 year"}):
        assert research.price_rises(source, as_of=AS_OF, **other).to_pandas().empty
    yearly = research.rise_response(source, day=on, billing="1 year").to_pandas()
    assert yearly["n"].tolist() == [0, 0]
    answer = research.rise_response(source, day=on).to_pandas().set_index("variant")
    assert answer.loc["after", ["n", "left", "cheaper"]].tolist() == [30, 6, 6]
    assert answer.loc["before", ["n", "left", "cheaper"]].tolist() == [30, 0, 0]
    paid = research.prices_paid(source, as_of=AS_OF).to_pandas()
    cells = {
        (r["plan"], r["unit_amount_minor"]): (r["subscriptions"], r["recent"])
        for r in paid.to_dict("records")
    }
    assert cells == {("Basic", 1300): (19, 1), ("Mini", 700): (6, 0)}
