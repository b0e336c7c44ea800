from __future__ import annotations

import datetime as dt
import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from tenure.cli import cli
from tenure.economics import Economics
from tenure.errors import InputError
from tenure.sources import check, check_as_of, checks, open_source
from tenure.sources.checks import check_once

DAY = pd.Timedelta(days=1)


def found(source, as_of=None):
    """What a check finds: rule, table, column and count, in order."""
    return [
        (problem.rule, problem.table, problem.column, problem.count)
        for problem in check(source, as_of).problems
    ]


def plant(frame, column, value, rows=(20, 21, 22)):
    """Put a value into some rows, whatever the column's type was."""
    if not pd.api.types.is_datetime64_any_dtype(frame[column]):
        frame[column] = frame[column].astype(object)
    frame.loc[list(rows), column] = value


def test_clean_data_has_no_problem(company, write):
    report = check(open_source(write(company)))
    assert report.problems == ()
    assert report.errors == report.warnings == ()
    assert report.tables == {"customers": 120, "subscriptions": 130, "payments": 120, "events": 121}
    assert report.as_of == dt.date(2024, 6, 30)
    report.raise_errors()


FAR = pd.Timestamp("2924-07-02")
VALUES = [
    # rule, severity, table, column, value planted in three rows, what is said of them, the first of them
    ("missing", "error", "subscriptions", "plan", None, "are empty", "subscription 'S-020'"),
    ("missing", "error", "subscriptions", "currency", "", "are empty", "subscription 'S-020'"),
    ("missing", "error", "payments", "payment_id", None, "are empty", "a row without one"),
    ("missing", "error", "events", "occurred_at", pd.NaT, "are empty", "customer 'C-020'"),
    ("missing", "error", "customers", "created_at", pd.NaT, "are empty", "customer 'C-020'"),
    ("enum", "error", "subscriptions", "status", "on", "are none of trialing, active", "'S-020' (on)"),
    ("enum", "error", "payments", "kind", "gift", "are none of recurring, usage", "'P-020' (gift)"),
    ("minimum", "error", "payments", "amount_minor", -5, "are negative", "payment 'P-020' (-5)"),
    ("minimum", "error", "subscriptions", "unit_amount_minor", -1, "are negative", "'S-020' (-1)"),
    ("minimum", "error", "events", "duration_s", -1, "are negative", "customer 'C-020' (-1)"),
    ("currency", "error", "subscriptions", "currency", "eur", "are no ISO 4217", "'S-020' (eur)"),
    ("currency", "error", "subscriptions", "currency", "???", "are still ???", "subscription 'S-020'"),
    ("currency", "error", "payments", "currency", "XXX", "are no ISO 4217", "payment 'P-020' (XXX)"),
    ("after_as_of", "warning", "customers", "created_at", FAR, "after the as-of day 2024-06-30", "C-020"),
    ("after_as_of", "warning", "events", "occurred_at", FAR, "after the as-of day", "'C-020' (2924-07-02)"),
    ("after_as_of", "warning", "subscriptions", "ended_at", FAR, "and count as still on", "'S-020'"),
    ("zero_date", "warning", "customers", "created_at", pd.Timestamp(0), "before 1970-01-02", "'C-020'"),
    ("birth_year", "warning", "customers", "birth_year", 2023, "no plausible years", "'C-020' (2023)"),
    ("birth_year", "warning", "customers", "birth_year", 1850, "no plausible years", "'C-020' (1850)"),
    ("orphan", "warning", "payments", "customer_id", "C-999", "point at no row of customers", "'C-999'"),
    ("orphan", "warning", "events", "customer_id", "C-999", "point at no row of customers", "'C-999'"),
]


@pytest.mark.parametrize(("rule", "severity", "table", "column", "value", "says", "example"), VALUES)
def test_each_rule_finds_just_its_rows(company, write, rule, severity, table, column, value, says, example):
    plant(company[table], column, value)
    report = check(open_source(write(company)))
    assert [(p.rule, p.severity, p.table, p.column, p.count) for p in report.problems] == [
        (rule, severity, table, column, 3)
    ]
    problem = report.problems[0]
    assert problem.rows == len(company[table])
    assert problem.sentence.startswith(f"{table}.{column}: 3 of {problem.rows} rows ")
    assert says in problem.sentence
    assert example in problem.sentence.split("for example ")[1]
    assert problem.fix
    assert 1 <= len(problem.sample) <= 3


def test_ends_before_starts(company, write):
    spans = company["subscriptions"]
    rows = spans.index[spans["ended_at"].notna() & (spans["end_reason"] == "voluntary")][:12]
    spans.loc[rows, "ended_at"] = spans.loc[rows, "started_at"] - pd.Timedelta(seconds=1)
    report = check(open_source(write(company)))
    assert [(p.rule, p.column, p.count) for p in report.problems] == [("order", "ended_at", 12)]
    first = spans.loc[rows].sort_values(["subscription_id"]).iloc[0]
    told = f"subscription {first.subscription_id!r} ({first.started_at} to {first.ended_at})"
    assert (
        f"subscriptions.ended_at: 12 of 130 rows end before they start, for example {told}."
        in report.errors[0].sentence
    )


def test_spans_that_end_as_they_start(company, write):
    spans = company["subscriptions"]
    spans.loc[[20, 21], "ended_at"] = spans.loc[[20, 21], "started_at"]
    assert found(open_source(write(company))) == [("empty_span", "subscriptions", "ended_at", 2)]


def test_answers_before_their_questions(company, write):
    sent = pd.Series(company["customers"]["created_at"] + 2 * DAY)
    company["surveys"] = pd.DataFrame(
        {
            "customer_id": company["customers"]["customer_id"],
            "survey": "nps",
            "question": "q",
            "sent_at": sent,
            "answered_at": sent + np.where(np.arange(120) < 4, -1, 1) * pd.Timedelta(hours=1),
            "score": [11.0, -1.0] + [9.0] * 118,
        }
    )
    company["tickets"] = pd.DataFrame(
        {
            "ticket_id": company["customers"]["customer_id"],
            "customer_id": company["customers"]["customer_id"],
            "opened_at": sent,
            "closed_at": sent - np.where(np.arange(120) < 5, 1, 0) * DAY,
            "satisfaction": [6] * 7 + [5] * 113,
        }
    )
    assert found(open_source(write(company))) == [
        ("order", "surveys", "answered_at", 4),
        ("nps_score", "surveys", "score", 2),
        ("order", "tickets", "closed_at", 5),
        ("satisfaction", "tickets", "satisfaction", 7),
    ]


def test_repeated_keys(company, write):
    company["payments"] = pd.concat([company["payments"]] + [company["payments"].iloc[5:7]] * 2)
    company["customers"] = pd.concat([company["customers"], company["customers"].iloc[[9]]])
    report = check(open_source(write(company)))
    assert [(p.rule, p.table, p.column, p.count) for p in report.errors] == [
        ("duplicate", "customers", "customer_id", 1),
        ("duplicate", "payments", "payment_id", 4),
    ]
    assert report.warnings == ()
    assert (
        "payments.payment_id: 4 of 124 rows repeat a row of the same payment_id" in report.errors[1].sentence
    )
    assert "for example payment 'P-005' (3 times)" in report.errors[1].sentence


def test_a_span_given_twice(company, write):
    company["subscriptions"] = pd.concat([company["subscriptions"], company["subscriptions"].iloc[[40]]])
    source = open_source(write(company))
    assert [row[:3] for row in found(source)] == [
        ("duplicate", "subscriptions", "subscription_id, started_at"),
        ("overlap", "subscriptions", "started_at"),
    ]


def brute_overlaps(spans: pd.DataFrame) -> int:
    """Spans that begin while an earlier one of their subscription is on, pair by pair."""
    far = pd.Timestamp("2200-01-01")
    count = 0
    for _, group in spans.groupby("subscription_id"):
        rows = sorted(
            (start, end if pd.notna(end) else far)
            for start, end in zip(group["started_at"], group["ended_at"], strict=True)
        )
        rows = [row for row in rows if row[0] < row[1]]
        count += sum(any(start < end for _, end in rows[:i]) for i, (start, _) in enumerate(rows))
    return count


@pytest.mark.parametrize("seed", range(4))
def test_overlaps_are_counted_as_pair_by_pair(company, write, seed):
    rng = np.random.default_rng(seed)
    n = 400
    start = pd.Timestamp("2023-03-01") + pd.to_timedelta(rng.permutation(n), "h") * 20
    length = pd.to_timedelta(rng.integers(1, 4_000, n), "h")
    spans = pd.DataFrame(
        {
            **company["subscriptions"].iloc[0].drop(["started_at", "ended_at"]).to_dict(),
            "subscription_id": [f"S-{i}" for i in rng.integers(0, 150, n)],
            "started_at": start,
            "ended_at": pd.Series(start + length).where(rng.random(n) < 0.8),
        }
    )
    spans["end_reason"] = "switched"
    company["subscriptions"] = spans
    problems = [p for p in check(open_source(write(company))).errors if p.rule == "overlap"]
    assert problems[0].count == brute_overlaps(spans) > 10
    shuffled = {**company, "subscriptions": spans.sample(frac=1, random_state=seed)}
    assert [
        p for p in check(open_source(write(shuffled, folder="shuffled"))).errors if p.rule == "overlap"
    ] == problems


def test_one_overlap_is_named(company, write):
    spans = company["subscriptions"]
    spans.loc[0, "ended_at"] = spans.loc[0, "ended_at"] + DAY
    report = check(open_source(write(company)))
    assert [(p.rule, p.count) for p in report.problems] == [("overlap", 1)]
    assert (
        "begin while another span of the same subscription is on, for example subscription 'S-000'"
        in report.problems[0].sentence
    )
    spans.loc[0, "ended_at"] = pd.NaT
    assert "without end" in check(open_source(write(company, folder="open"))).problems[0].sentence


def test_customers_without_subscriptions_and_test_accounts(company, write):
    company["subscriptions"] = company["subscriptions"].query("customer_id not in ('C-050', 'C-051')")
    company["customers"]["is_test"] = [i < 4 for i in range(120)]
    report = check(open_source(write(company)))
    assert [(p.rule, p.severity, p.count) for p in report.problems] == [
        ("test_account", "warning", 4),
        ("no_subscription", "warning", 2),
        ("paying_none", "warning", 2),
    ]
    assert report.problems[1].sample == ("customer 'C-050'", "customer 'C-051'")


def test_discounts_above_the_price(company, write):
    company["subscriptions"]["discount_minor"] = 0
    company["subscriptions"].loc[7, "discount_minor"] = 5000
    assert found(open_source(write(company))) == [("discount", "subscriptions", "discount_minor", 1)]


# ----------------------------------------------------------------------------- what an extract cuts off


def test_rows_that_are_only_suspicious_are_warned_of(company, write):
    spans = company["subscriptions"]
    spans["end_reason"] = spans["end_reason"].astype(object)
    spans.loc[5, ["status", "ended_at", "end_reason"]] = ["past_due", spans["started_at"][5] + 9 * DAY, None]
    spans.loc[6, ["status", "unit_amount_minor"]] = ["paused", 0]
    company["customers"]["members"] = range(-1, 119)
    company["events"] = pd.concat([company["events"], company["events"].iloc[[3, 3, 8]]])
    source = open_source(write(company))
    assert set(found(source)) == {
        ("past_due_reason", "subscriptions", "end_reason", 1),
        ("paused_free", "subscriptions", "unit_amount_minor", 1),
        ("negative", "customers", "members", 1),
        ("equal_rows", "events", "", 3),
    }
    assert all(problem.severity == "warning" for problem in check(source).problems)
    said = {problem.rule: problem.sentence for problem in check(source).problems}
    assert "for example subscription 'S-005'" in said["past_due_reason"]


def test_several_subscriptions_at_once_are_counted_and_one_after_the_other_are_not(company, write):
    spans = company["subscriptions"]
    more = spans.iloc[[0, 0, 0, 7]].assign(subscription_id=["X1", "X2", "X3", "X4"])
    more["started_at"] = pd.Timestamp("2023-01-01")
    more["ended_at"] = pd.Timestamp("2024-06-30 12:00")
    ends = pd.Timestamp("2023-02-01")
    more.loc[more["subscription_id"] == "X4", ["started_at", "ended_at"]] = [ends, spans["started_at"][7]]
    company["subscriptions"] = pd.concat([spans, more], ignore_index=True)
    problem = next(p for p in check(open_source(write(company))).problems if p.rule == "several_at_once")
    held = 3 + (pd.isna(spans["ended_at"][0]) or spans["ended_at"][0] > pd.Timestamp("2023-01-01"))
    assert problem.count == 1
    assert f"up to {held}: churn and retention count them as one customer" in problem.sentence
    assert f"'C-000' ({held})" in problem.sentence


@pytest.mark.parametrize(("rates", "lacking"), [(None, "USD"), (["EUR"], "USD"), (["EUR", "USD"], "")])
def test_currencies_without_a_rate_are_warned_of_with_each_ones_share(company, write, rates, lacking):
    spans = company["subscriptions"]
    spans.loc[spans["customer_id"].isin([f"C-{i:03}" for i in range(12)]), "currency"] = "USD"
    if rates:
        company["fx_rates"] = pd.DataFrame(
            {"date": pd.to_datetime(["2024-01-01"] * len(rates)), "currency": rates, "rate": 1.0}
        )
    problems = [p for p in check(open_source(write(company))).problems if p.rule == "no_rate"]
    assert len(problems) == bool(lacking)
    for problem in problems:
        assert "(USD; customers pay in EUR (90.0%), USD (10.0%))" in problem.sentence
        assert "in which the currency to report in has the rate 1" in problem.fix


def test_a_page_names_no_currency_of_too_few_people(company, write, monkeypatch):
    spans = company["subscriptions"]
    spans.loc[spans["customer_id"].isin(["C-000", "C-001"]), "currency"] = "CHF"
    spans.loc[spans["customer_id"].isin([f"C-{i:03}" for i in range(2, 12)]), "currency"] = "USD"
    monkeypatch.setattr("tenure.privacy.smallest_group", 5)
    [problem] = [p for p in check(open_source(write(company))).problems if p.rule == "no_rate"]
    assert "CHF" not in problem.sentence
    assert "other" in problem.sentence


@pytest.mark.parametrize("end", ["2024-06-30 23:59:59", "2024-06-30", "2024-07-01"])
def test_lives_that_end_with_the_extract(company, write, end):
    spans = company["subscriptions"]
    still = spans.index[spans["ended_at"].isna()]
    spans.loc[still, "ended_at"] = pd.Timestamp(end)
    report = check(open_source(write(company)))
    assert [(p.rule, p.severity, p.count) for p in report.problems] == [
        ("cut_at_the_end", "warning", len(still))
    ]
    assert f"{len(still)} of 130 rows end exactly with the data, on 2024-06-30" in report.problems[0].sentence


def test_many_switches_on_the_last_day_are_no_cut(company, write):
    spans = company["subscriptions"]
    still = spans.index[spans["ended_at"].isna()]
    spans.loc[still, "ended_at"] = pd.Timestamp("2024-06-30 08:00")
    spans.loc[still, "end_reason"] = "switched"
    assert found(open_source(write(company))) == []


def test_ends_that_always_come_on_the_first_of_the_month_are_no_cut(company, write):
    spans = company["subscriptions"]
    ended = spans["end_reason"] == "voluntary"
    spans.loc[ended, "ended_at"] = (
        spans.loc[ended, "ended_at"].dt.to_period("M").dt.end_time.dt.normalize() + DAY
    )
    spans.loc[spans["ended_at"] > pd.Timestamp("2024-06-01"), "ended_at"] = pd.NaT
    spans["started_at"] = spans["started_at"].astype("datetime64[us]")
    for name, column in (("payments", "attempted_at"), ("events", "occurred_at")):
        company[name] = company[name][company[name][column] < pd.Timestamp("2024-06-02")]
    spans = spans[spans["started_at"] < pd.Timestamp("2024-06-01")]
    company["subscriptions"] = spans.assign(ended_at=spans["ended_at"].astype("datetime64[us]"))
    rules = [row[0] for row in found(open_source(write(company)))]
    assert "cut_at_the_end" not in rules


def many(rng, n=3000, months=36):
    """Starts over three years, each month one in ten leaves."""
    start = pd.Timestamp("2021-01-01") + pd.to_timedelta(
        np.sort(rng.integers(0, months * 30 * 86_400, n)), "s"
    )
    end = start + pd.to_timedelta(np.ceil(rng.exponential(10, n)) * 30.5, "D")
    last = pd.Timestamp("2021-01-01") + pd.Timedelta(days=months * 30)
    return start, pd.Series(end).where(end < last)


def as_company(start, end, interval="month"):
    n = len(start)
    ids = [f"c{i}" for i in range(n)]
    spans = pd.DataFrame(
        {
            "subscription_id": ids,
            "customer_id": ids,
            "plan": "p",
            "billing_interval": interval,
            "unit_amount_minor": 1,
            "currency": "EUR",
            "status": "active",
            "started_at": start,
            "ended_at": end,
        }
    )
    return {"customers": pd.DataFrame({"customer_id": ids, "created_at": start}), "subscriptions": spans}


def test_customers_who_left_earlier_and_are_missing_from_the_data(write, mapping):
    start, end = many(np.random.default_rng(3))
    start = pd.Series(start)
    whole = open_source(write(as_company(start, end), folder="whole"))
    assert found(whole) == []
    begins = pd.Timestamp("2022-07-01")
    seen = ~(end < begins)
    cut = write(
        as_company(start[seen].reset_index(drop=True), end[seen].reset_index(drop=True)), folder="cut"
    )
    report = check(open_source(cut))
    assert [(p.rule, p.severity) for p in report.problems] == [("cut_behind", "warning")]
    assert report.problems[0].count == (start[seen] < end[seen].min().normalize()).sum()
    assert "nobody left before 2022-07-0" in report.problems[0].sentence
    assert "observed_from: 2022-07-0" in report.problems[0].fix
    same = {"tables": {name: {"from": name} for name in ("customers", "subscriptions")}}
    declared = open_source(cut, mapping({"observed_from": "2022-07-01", **same}))
    assert found(declared) == []
    late = open_source(cut, mapping({"observed_from": "2022-12-01", **same}))
    assert found(late) == [
        ("observed_from", "subscriptions", "ended_at", (end < pd.Timestamp("2022-12-01"))[seen].sum())
    ]


def test_a_young_company_with_annual_plans_is_not_suspected(write):
    rng = np.random.default_rng(5)
    start = pd.Series(
        pd.Timestamp("2021-01-01") + pd.to_timedelta(np.sort(rng.integers(0, 1000 * 86_400, 2000)), "s")
    )
    years = pd.to_timedelta(365 * rng.geometric(0.4, 2000), "D")
    end = (start + years).where(start + years < pd.Timestamp("2023-09-28"))
    assert found(open_source(write(as_company(start, end, "year")))) == []


# --------------------------------------------------------------------------------------------- the day


def test_as_of_before_the_data(company, write):
    source = open_source(write(company))
    first = company["subscriptions"]["started_at"].min().date()
    with pytest.raises(
        InputError, match=f"2020-01-01 lies before the data, which runs from {first} to 2024-06-30"
    ):
        check_as_of(source, dt.date(2020, 1, 1))
    with pytest.raises(InputError, match="lies before the data"):
        check(source, dt.date(2020, 1, 1))
    assert check_as_of(source) == dt.date(2024, 6, 30)
    assert check_as_of(source, dt.date(2024, 1, 1)) == dt.date(2024, 1, 1)


def test_as_of_after_the_data_is_warned_of_and_one_ahead_refused(company, write):
    source = open_source(write(company))
    assert found(source, dt.date(2024, 7, 5)) == []
    report = check(source, dt.date(2024, 7, 31))
    assert [p.rule for p in report.problems] == ["as_of_after_data"]
    assert "31 days after the last day of the data, 2024-06-30" in report.problems[0].sentence
    late = check(source, dt.date(2024, 12, 31)).problems[0]
    assert "lies 184 days after the last day of the data, 2024-06-30" in late.sentence
    assert "`observed_until` in a mapping or company.yml" in late.fix
    covered = open_source(write(company), observed_until=dt.date(2024, 12, 31))
    assert check(covered, dt.date(2024, 12, 31)).problems == ()
    assert check_as_of(covered) == dt.date(2024, 12, 31)
    for refuse in (check, check_as_of):
        with pytest.raises(InputError, match="2924-12-31 lies ahead; the data ends on 2024-06-30"):
            refuse(source, dt.date(2924, 12, 31))


def test_rows_after_an_early_as_of_are_counted(company, write):
    early = dt.date(2024, 3, 31)
    after = (company["payments"]["attempted_at"] >= pd.Timestamp("2024-04-01")).sum()
    report = check(open_source(write(company)), early)
    assert {p.rule for p in report.problems} == {"after_as_of"}
    assert {p.count for p in report.problems if p.table == "payments"} == {after}


# ------------------------------------------------------------------------------------------ the report


def test_errors_stop_and_say_how_many_more(company, write):
    plant(company["subscriptions"], "status", "on")
    plant(company["payments"], "amount_minor", -5)
    plant(company["customers"], "birth_year", 2023)
    report = check(open_source(write(company)))
    assert [p.severity for p in report.problems] == ["error", "error", "warning"]
    with pytest.raises(
        InputError, match=r"subscriptions.status: 3 of 130 .* Fix: map them: .* \(1 more error"
    ):
        report.raise_errors()


def test_the_report_is_json(company, write):
    plant(company["subscriptions"], "status", "<script>")
    report = check(open_source(write(company)))
    told = json.loads(json.dumps(report.to_dict()))
    assert told["errors"] == 1
    assert told["as_of"] == "2024-06-30"
    assert told["problems"][0]["sample"][0] == "subscription 'S-020' (<script>)"
    assert told["problems"][0]["count"] == 3


def test_what_was_left_aside_is_a_warning(company, write):
    company["event"] = company.pop("events")
    report = check(open_source(write(company)))
    assert [(p.rule, p.table) for p in report.warnings if p.rule == "left_aside"] == [("left_aside", "event")]
    assert report.errors == ()


@pytest.mark.parametrize("kind", ["csv", "duckdb"])
def test_problems_are_the_same_whatever_the_file(company, write, kind):
    spans = company["subscriptions"]
    plant(spans, "status", "on")
    spans.loc[30, "plan"] = None
    company["payments"] = pd.concat([company["payments"], company["payments"].iloc[[3]]])
    spans.loc[0, "ended_at"] = spans.loc[0, "ended_at"] + DAY
    parquet = check(open_source(write(company, "parquet", "parquet")))
    assert len(parquet.problems) == 4
    assert check(open_source(write(company, kind, kind))).problems == parquet.problems


def test_a_run_checks_its_data_once(company, write, tmp_path, monkeypatch):
    plant(company["subscriptions"], "plan", None)
    source = open_source(write(company))
    whole = check(source, source.last_day())
    monkeypatch.setenv("TENURE_SHARED", str(tmp_path / "shared"))
    assert check_once(source, source.last_day()) == whole
    monkeypatch.setattr(checks, "check", lambda *_: pytest.fail("checked again"))
    assert check_once(source, source.last_day()) == whole
    with pytest.raises(pytest.fail.Exception):
        check_once(source, source.last_day() - dt.timedelta(days=1))


def test_it_names_the_settings_that_a_business_asks_for(tmp_path):
    """Terms bought again after weeks, freezes, gifts and usage: each asks for a rule, with its value."""
    day = lambda text, days=0: pd.Timestamp(text) + pd.Timedelta(days=days)  # noqa: E731
    who, spans, paid = [], [], []

    def span(name, plan, start, end, count=3, **rest):
        spans.append({
            "subscription_id": f"{name}-{len(spans)}", "customer_id": name, "plan": plan, "billing_interval": "month",
            "billing_interval_count": count, "unit_amount_minor": 1000, "currency": "EUR", "status": "active",
            "started_at": start, "ended_at": end, "end_reason": None,
        } | rest)  # fmt: skip

    for n in range(30):
        club, gym, gift, api = (f"{kind}{n}" for kind in ("club", "gym", "gift", "api"))
        who += [club, gym, gift, api]
        span(club, "Box", day("2024-01-01"), day("2024-04-01"))
        span(club, "Box", day("2024-04-01", 7 + n % 3), None)
        own = {"subscription_id": gym, "end_reason": "switched"}
        span(gym, "Fit", day("2024-01-01"), day("2024-03-01"), 1, **own)
        span(gym, "Fit", day("2024-03-01"), day("2024-07-09"), 1, **own | {"status": "paused"})
        span(gym, "Fit", day("2024-07-09"), None, 1, **own | {"end_reason": None})
        span(gift, "Gift", day("2023-01-01", n), day("2023-01-01", n + 365), 12)
        span(api, "API", day("2024-01-01"), None, 1, unit_amount_minor=0)
        paid.append({
            "payment_id": api, "customer_id": api, "subscription_id": None, "attempted_at": day("2024-09-01"),
            "amount_minor": 500, "currency": "EUR", "kind": "usage", "status": "paid",
        })  # fmt: skip
    pd.DataFrame({"customer_id": who, "created_at": day("2023-01-01")}).to_parquet(
        tmp_path / "customers.parquet"
    )
    pd.DataFrame(spans).to_parquet(tmp_path / "subscriptions.parquet")
    pd.DataFrame(paid).to_parquet(tmp_path / "payments.parquet")
    said = {problem.rule: (problem.count, problem.fix) for problem in check(open_source(tmp_path)).warnings}
    assert said["came_back"][0] == 30
    assert "`gap_days: 9`" in said["came_back"][1]
    assert said["long_pause"][0] == 30
    assert "`pause_days: 130`" in said["long_pause"][1]
    assert said["all_end"] == (30, said["all_end"][1])
    assert "renews: false" in said["all_end"][1]
    assert said["paying_usage"][0] == 30
    # What company.yml or a parameter has said needs no advice; the rest does.
    told = Economics(rules={"gap_days": 9, "pause_days": 130, "usage": "included", "unit": "subscription"})
    rest = {problem.rule for problem in check(open_source(tmp_path), facts=told).warnings}
    assert "all_end" in rest
    assert not rest & {"came_back", "long_pause", "paying_usage", "several_at_once"}
    (tmp_path / "company.yml").write_text("rules: {gap_days: 9}")
    (tmp_path / "other.yml").write_text("rules: {pause_days: 130}")
    seen = [
        CliRunner().invoke(cli, ["check", str(tmp_path), *more]).output
        for more in ([], ["--set", f"company={tmp_path / 'other.yml'}"], ["--set", "pause_days=130"])
    ]
    assert ["gap_days" in said for said in seen] == [False, True, False]
    assert ["pause_days" in said for said in seen] == [True, False, False]


def test_a_status_of_today_written_as_that_of_always_is_seen(company, write):
    spans = company["subscriptions"]
    assert "long_past_due" not in {rule for rule, *_ in found(open_source(write(company)))}
    running = spans.index[spans["ended_at"].isna()]
    plant(spans, "status", "past_due", running[:3])
    spans.loc[running[0], "started_at"] = pd.Timestamp("2024-06-30")  # past due from its first day on
    spans.loc[running[1], "started_at"] = pd.Timestamp("2024-06-30")  # as is what went on before it no more
    before = spans.loc[[running[1]]].assign(started_at=pd.Timestamp("2024-05-30"), status="active")
    before = before.assign(ended_at=pd.Timestamp("2024-06-30"), end_reason="switched")
    company["subscriptions"] = pd.concat([spans, before], ignore_index=True)
    problems = {
        problem.rule: problem for problem in check(open_source(write(company, folder="now"))).problems
    }
    assert problems["long_past_due"].count == 2
    assert "for more than 30 days" in problems["long_past_due"].sentence
    never = Economics(rules={"grace_days": None})
    assert "long_past_due" not in {
        problem.rule for problem in check(open_source(write(company, folder="never")), facts=never).problems
    }


def test_stores_accounts_and_deals_of_years_are_asked_for(tmp_path):
    people = [f"c{n}" for n in range(40)]
    parents = ["", "c0", *[""] * 38]
    customers = pd.DataFrame({"customer_id": people, "created_at": pd.Timestamp("2020-01-01")})
    customers.assign(parent_id=parents, store="web").to_csv(tmp_path / "customers.csv", index=False)
    rows = pd.DataFrame({"customer_id": people}).assign(
        subscription_id=people, plan="Deal", billing_interval="year", unit_amount_minor=1000, currency="EUR",
        status="active", started_at="2020-01-01", ended_at="2023-01-01", end_reason="voluntary",
    )  # fmt: skip
    rows.to_csv(tmp_path / "subscriptions.csv", index=False)
    said = {problem.rule: problem for problem in check(open_source(tmp_path)).warnings}
    assert (said["belongs"].count, said["store"].count, said["long_term"].count) == (1, 40, 40)
    assert "after 3 billing intervals" in said["long_term"].sentence
    # Who was seen only later could not be seen to leave early.
    (tmp_path / "late.yml").write_text("observed_from: 2021-01-01")
    late = check(open_source(tmp_path, tmp_path / "late.yml")).warnings
    assert "long_term" not in {problem.rule for problem in late}
    told = Economics(rules={"unit": "account"}, commission={"web": 0.03})
    rows.assign(commitment_ends_at="2023-01-01").to_csv(tmp_path / "subscriptions.csv", index=False)
    rest = {problem.rule for problem in check(open_source(tmp_path), facts=told).warnings}
    assert not rest & {"belongs", "store", "long_term"}
