"""Days, months and tenure are the company's, summer time included, whatever zone its times were written in."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import ibis
import pandas as pd
import pytest

from tenure.errors import InputError
from tenure.measures import revenue, subscriptions
from tenure.models.movements import check_identity
from tenure.sources import check, collect, open_source
from tenure.sources.zones import moved

# Everybody starts at midnight of the first day of a month, and every second customer leaves a month later.
STARTS = pd.date_range("2024-01-01", "2024-12-01", freq="MS").repeat(10)
ENDS = (STARTS + pd.DateOffset(months=1)).where([i % 2 == 0 for i in range(len(STARTS))])


def written(write, kind, change):
    """The company with its times changed, such as to UTC."""
    ids = [f"C{i:03d}" for i in range(len(STARTS))]
    customers = pd.DataFrame({"customer_id": ids, "created_at": change(STARTS)})
    spans = {
        "subscription_id": ids, "customer_id": ids, "plan": "P", "billing_interval": "month",
        "unit_amount_minor": 1000, "currency": "EUR", "status": "active", "started_at": change(STARTS),
        "ended_at": change(ENDS), "end_reason": [None if pd.isna(end) else "voluntary" for end in ENDS],
    }  # fmt: skip
    return write({"customers": customers, "subscriptions": pd.DataFrame(spans)}, kind)


def first_month(source):
    life = collect(subscriptions.life_table(source, as_of=dt.date(2025, 3, 31)))
    return life.iloc[0]["events"] / life.iloc[0]["at_risk"]


@pytest.mark.parametrize(
    ("kind", "zone"),
    [
        ("csv", "Europe/Rome"),
        pytest.param("parquet", "Asia/Kolkata", marks=pytest.mark.long),
        pytest.param("parquet", "America/New_York", marks=pytest.mark.long),
    ],
)
def test_first_month_losses_are_the_companys(write, mapping, zone, kind):
    aware = lambda times: times.tz_localize(zone)  # noqa: E731
    naive = lambda times: times.tz_localize(zone).tz_convert("UTC").tz_localize(None)  # noqa: E731
    local, day = lambda times: times + pd.Timedelta(0), lambda times: times.date
    for change in (aware, naive, local, day):
        place = written(write, kind, change)
        rules = mapping({"time_zone": zone}) if change is local else ""
        source = open_source(place, rules, zone)
        assert first_month(source) == 0.5
        assert set(collect(source["subscriptions"])["started_at"].dt.day) == {1}
        assert source.first_day() == dt.date(2024, 1, 1)
    # In UTC months of Rome and Kolkata begin on the day before, and those who stay a month seem to stay two.
    assert first_month(open_source(written(write, kind, naive))) < 0.5 or zone == "America/New_York"


def test_the_company_the_mapping_or_utc(write, mapping):
    place = written(write, "parquet", lambda times: times)
    rome = mapping({"time_zone": "Europe/Rome"})
    assert open_source(place).time_zone == "UTC"
    assert open_source(place, rome).time_zone == "Europe/Rome"
    assert open_source(place, rome, "Asia/Kolkata").time_zone == "Asia/Kolkata"
    moved_on = collect(open_source(place, rome, "Asia/Kolkata")["customers"])["created_at"].min()
    assert moved_on == pd.Timestamp("2024-01-01 04:30")
    both = {"time_zone": "Europe/Rome", "tables": {"customers": {"time_zone": "Asia/Kolkata"}}}
    assert open_source(place, mapping(both)).time_zone == "UTC"
    assert open_source(place).mark != open_source(place, "", "Europe/Rome").mark


def test_the_zone_decides_when_a_month_ends(write):
    customers = pd.DataFrame({"customer_id": ["C"], "created_at": pd.to_datetime(["2024-01-05"])})
    span = {
        "subscription_id": "S", "customer_id": "C", "plan": "P", "billing_interval": "month",
        "unit_amount_minor": 1000, "currency": "EUR", "status": "active",
        "started_at": pd.Timestamp("2024-01-05"), "ended_at": pd.Timestamp("2024-04-01 03:00"),
        "end_reason": "voluntary",
    }  # fmt: skip
    place = write({"customers": customers, "subscriptions": pd.DataFrame([span])})
    for zone, month in (("UTC", 3), ("America/New_York", 2), ("Asia/Kolkata", 3)):
        source = open_source(place, "", zone)
        moves = collect(revenue.mrr_movements(source, as_of=dt.date(2024, 4, 30)))
        assert moves[moves["kind"] == "churn"]["month"].tolist() == [2024 * 12 + month]


@pytest.mark.long
def test_movements_add_up_in_every_zone(write):
    place = written(write, "parquet", lambda times: times - pd.Timedelta(hours=5))
    totals = {}
    for zone in ("UTC", "Asia/Kolkata", "America/New_York", "Pacific/Chatham"):
        source, day = open_source(place, "", zone), dt.date(2025, 3, 31)
        moves = collect(revenue.mrr_movements(source, as_of=day))
        balances = collect(revenue.mrr_balances(source, as_of=day))
        people = collect(revenue.customers_by_month(source, as_of=day))
        assert check_identity(moves, balances, people) >= 12
        totals[zone] = balances.set_index("month")["mrr_minor"].loc[2024 * 12 + 1]
    # At 19:00 UTC on the last of a month, Asia has the first of the next.
    assert totals["Asia/Kolkata"] != totals["America/New_York"]


def test_the_last_day_is_a_day_of_the_zone(write):
    place = written(write, "parquet", lambda times: times + pd.Timedelta(hours=20))
    assert open_source(place).last_day() == dt.date(2025, 1, 1)
    assert open_source(place, "", "Asia/Kolkata").last_day() == dt.date(2025, 1, 2)


def test_an_hour_that_clocks_show_twice_is_no_error(write):
    """Started and left within half an hour, in the night in which clocks are put back."""
    start, end = pd.Timestamp("2024-10-27 00:45"), pd.Timestamp("2024-10-27 01:15")
    place = written(
        write, "parquet", lambda times: pd.DatetimeIndex([start if times is STARTS else end] * len(times))
    )
    source = open_source(place, "", "Europe/Rome")
    spans = collect(source["subscriptions"])
    assert (spans["ended_at"] < spans["started_at"]).all()
    assert not check(source).errors


FAR = [pytest.param(zone, marks=pytest.mark.long) for zone in ("America/Santiago", "Australia/Lord_Howe")]


@pytest.mark.parametrize("zone", ["Europe/Rome", "Asia/Kolkata", *FAR])
def test_clocks_are_those_of_the_zone(zone):
    times = pd.date_range("1985-01-01 00:30", "2026-01-01", freq="7h")
    table = ibis.duckdb.connect().create_table("times", pd.DataFrame({"at": times}))
    computed = table.at + ibis.interval(hours=0)
    found = table.select("at", column=moved(table.at, "UTC", zone), computed=moved(computed, "UTC", zone))
    found = found.to_pandas()
    clocks = [at.replace(tzinfo=dt.UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None) for at in found["at"]]
    assert found["column"].tolist() == found["computed"].tolist() == clocks


def test_an_engine_that_does_not_know_zones_says_so():
    engine = ibis.sqlite.connect()
    engine.raw_sql("CREATE TABLE t (at TIMESTAMP)")
    with pytest.raises(
        InputError, match=r"sqlite cannot move times from UTC to Europe/Rome\. Fix: have a view"
    ):
        moved(engine.table("t").at, "UTC", "Europe/Rome")
