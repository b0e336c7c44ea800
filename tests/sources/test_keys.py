"""The keys of a mapping by which rows and values are read that are written in another way than the contract's."""

from __future__ import annotations

import datetime as dt
import gzip
from pathlib import Path

import pandas as pd
import pytest

from tenure.errors import InputError
from tenure.sources import check, collect, open_source

CUSTOMERS = pd.DataFrame({"customer_id": ["c1", "c2", "c3"], "created_at": ["2025-01-01"] * 3})
SPANS = pd.DataFrame(
    {
        "subscription_id": ["s1", "s2", "s3"],
        "customer_id": ["c1", "c2", "c3"],
        "plan": "Pro",
        "billing_interval": "month",
        "price": ["9.99", "19.99", "100"],
        "currency": "EUR",
        "status": "active",
        "started_at": ["2026-01-01", "2026-01-02", "2026-02-01"],
        "ended_at": ["", "2026-03-01", ""],
    }
)
MONEY = {"unit_amount_minor": {"from": "price", "unit": "major"}}


@pytest.fixture
def spans(write, mapping):
    """The subscriptions that a mapping makes of SPANS, of which some columns are replaced."""

    def made(keys=None, kind="csv", customers=None, top=None, **columns):
        rows = SPANS.assign(**columns)
        rows = rows if kind == "csv" else rows.astype(object).replace("", None)
        source = open_source(
            write({"customers": CUSTOMERS, "subscriptions": rows}, kind),
            mapping(
                {
                    "tables": {
                        "customers": customers or {},
                        "subscriptions": {"money": MONEY, **(keys or {})},
                    },
                    **(top or {}),
                }
            ),
        )
        found = collect(source["subscriptions"].order_by("subscription_id", "started_at"))
        return found, source

    return made


def days(column):
    return column.dt.strftime("%Y-%m-%d").fillna("").tolist()


@pytest.mark.parametrize("kind", ["csv", "parquet", "duckdb"])
def test_where_leaves_rows_out_and_says_how_many(spans, kind):
    found, source = spans(
        {"where": "status <> 'incomplete' AND plan IS NOT NULL"},
        kind,
        status=["active", "incomplete", "active"],
    )
    assert found["subscription_id"].tolist() == ["s1", "s3"]
    assert source.left_out == {"subscriptions": 1}


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("colour = 'red'", "tables.subscriptions.where"),
        ("1 = 1; DROP TABLE customers", "tables.subscriptions.where is not SQL that can be read"),
        ("price > (SELECT 1 FROM read_csv('/etc/passwd'))", "may read only tables of the data"),
        ("status <>", "is not SQL that can be read"),
    ],
)
def test_what_where_may_not_be(spans, condition, said):
    with pytest.raises(InputError) as caught:
        spans({"where": condition})
    assert said in str(caught.value)
    assert "Fix: " in str(caught.value)


def test_equal_rows_count_once(spans, write, mapping):
    rows = pd.concat([SPANS, SPANS.iloc[[1, 1]]])
    rules = {"tables": {"subscriptions": {"money": MONEY, "deduplicate": True}}}
    source = open_source(write({"customers": CUSTOMERS, "subscriptions": rows}, "csv"), mapping(rules))
    assert len(collect(source["subscriptions"])) == 3
    assert source.left_out == {"subscriptions": 2}


@pytest.mark.parametrize("seed", [1, 2])
def test_of_versions_the_newest_counts_whatever_the_order_of_rows(write, mapping, seed):
    old = SPANS.assign(price="1", seen=["2026-01-05", "2026-01-05", ""])
    rows = pd.concat([old, SPANS.assign(seen="2026-02-05")]).sample(frac=1, random_state=seed)
    keys = {"money": MONEY, "deduplicate": {"by": ["subscription_id"], "latest": "seen"}}
    source = open_source(
        write({"customers": CUSTOMERS, "subscriptions": rows}, "csv"),
        mapping({"tables": {"subscriptions": keys}}),
    )
    assert sorted(collect(source["subscriptions"])["unit_amount_minor"]) == [999, 1999, 10000]
    assert source.left_out == {"subscriptions": 3}


def test_a_column_of_versions_that_is_not_there(spans):
    with pytest.raises(InputError, match="no column 'updated'"):
        spans({"deduplicate": {"by": ["subscription_id"], "latest": "updated"}})


@pytest.mark.parametrize(
    ("price", "keys", "cents"),
    [
        (["9,99", "1.019,9", "€ 100"], {"decimal": ",", "thousands": "."}, [999, 101_990, 10_000]),
        (["9.99", "1,019.90", "$1,000,100"], {"thousands": ","}, [999, 101_990, 100_010_000]),
        (["9,99", "1 019,90", "100 €"], {"decimal": ",", "thousands": " "}, [999, 101_990, 10_000]),
        (["9.99", "1'019.90", "100"], {"thousands": "'"}, [999, 101_990, 10_000]),
    ],
)  # fmt: skip
def test_numbers_are_read_by_their_marks(spans, price, keys, cents):
    assert spans(keys, price=price)[0]["unit_amount_minor"].tolist() == cents


@pytest.mark.parametrize("price", ["9.99", "1.0190", "1,5,0", "12.34.567"])
def test_a_number_that_is_not_written_by_its_marks_is_refused(spans, price):
    with pytest.raises(InputError, match=rf"1 of 3 rows are not amounts .*for example '{price}'"):
        spans({"decimal": ",", "thousands": "."}, price=["9,99", price, "100"])


def test_a_decimal_comma_is_refused_with_the_key_that_reads_it(spans):
    with pytest.raises(InputError, match="`decimal: ','`"):
        spans(price=["9,99", "19,99", "100"])


def test_more_decimals_than_the_currency_has_are_rounded_where_the_mapping_says_so(spans):
    with pytest.raises(InputError, match="`round: true`"):
        spans(price=["9.9917", "19.99", "100"])
    found, _ = spans(
        {"money": {"unit_amount_minor": {"from": "price", "unit": "major", "round": True}}},
        price=["9.9917", "19.995", "100"],
    )
    assert found["unit_amount_minor"].tolist() == [999, 2000, 10_000]


def test_a_price_of_a_month_becomes_that_of_the_interval(spans):
    money = {"unit_amount_minor": {"from": "price", "unit": "major", "per": "month", "round": True}}
    every = {"billing_interval": ["month", "year", "month"], "billing_interval_count": ["1", "1", "3"]}
    found, _ = spans({"money": money}, price=["9.99", "8.3325", "10"], **every)
    assert found["unit_amount_minor"].tolist() == [999, 9999, 3000]
    with pytest.raises(InputError, match=r"1 of 3 rows are prices of a month, billed by the day or week"):
        spans({"money": money}, billing_interval=["month", "week", "month"])
    minor = {"unit_amount_minor": {"from": "price", "unit": "minor", "per": "month"}}
    assert spans({"money": minor}, price=["999", "833", "100"], **every)[0]["unit_amount_minor"].tolist() == [
        999,
        9996,
        300,
    ]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize(("unit", "factor"), [("s", 1), ("ms", 1000)])
def test_times_that_are_numbers_are_read_by_their_unit(spans, kind, unit, factor):
    epoch = {"started_at": {"from": "began", "unit": unit}}
    began = [1767225600 * factor, 1767312000 * factor, 1769904000 * factor]
    found, _ = spans({"epoch": epoch}, kind, began=began, price=[9.99, 19.99, 100])
    assert days(found["started_at"]) == ["2026-01-01", "2026-01-02", "2026-02-01"]
    found, _ = spans(
        {"epoch": epoch}, kind, began=began, price=[9.99, 19.99, 100], top={"time_zone": "Asia/Tokyo"}
    )
    assert found["started_at"].dt.hour.unique().tolist() == [9]


def test_a_time_in_another_unit_is_refused(spans):
    for unit, began in (("s", 1767225600000), ("ms", 1767225600)):
        with pytest.raises(InputError, match=r"1 of 3 rows cannot be read as a time"):
            spans({"epoch": {"started_at": {"from": "began", "unit": unit}}}, began=["", began, ""])


def test_a_number_that_is_to_be_a_time_is_refused_with_the_key_that_reads_it(spans):
    with pytest.raises(InputError, match=r"epoch: \{started_at: \{from: started_at, unit: s\}\}"):
        spans(kind="parquet", started_at=1767225600, price=1.0)


def test_ids_and_currencies_are_brought_to_one_form(spans):
    customers = {"lower": ["customer_id"]}
    keys = {"trim": ["customer_id"], "lower": ["customer_id"], "upper": ["currency"]}
    found, source = spans(
        keys, customers=customers, customer_id=["C1", " c2 ", "c3"], currency=["eur", "EUR", "Eur"]
    )
    assert found["customer_id"].tolist() == ["c1", "c2", "c3"]
    assert set(found["currency"]) == {"EUR"}
    assert not [problem for problem in check(source).problems if problem.rule == "orphan"]


def test_a_trial_is_cut_off_a_span(spans):
    found, source = spans(
        {"trial": {"from": "trial_start", "to": "trial_end"}},
        trial_start=["2026-01-01", "2026-01-02", ""],
        trial_end=["2026-01-15", "2026-03-01", ""],
    )
    assert found["status"].tolist() == ["trialing", "active", "trialing", "active"]
    assert days(found["started_at"]) == ["2026-01-01", "2026-01-15", "2026-01-02", "2026-02-01"]
    assert days(found["ended_at"]) == ["2026-01-15", "", "2026-03-01", ""]
    assert found["end_reason"].fillna("").tolist() == ["switched", "", "", ""]
    assert "trial_from" not in source["subscriptions"].columns


@pytest.mark.parametrize(
    ("status", "start", "end", "trial", "pieces"),
    [
        # Ended some hours after the trial: not paid.
        ("active", "2026-01-01", "2026-01-15 06:00:00", ("", "2026-01-15"), [("trialing", "2026-01-01", "2026-01-15")]),
        # Still on trial, whose end lies ahead.
        ("trialing", "2026-01-01", "", ("2026-01-01", "2026-12-31"), [("trialing", "2026-01-01", "")]),
        # The export's start is that of paid time.
        ("active", "2026-01-15", "", ("2026-01-01", "2026-01-15"), [("trialing", "2026-01-01", "2026-01-15"), ("active", "2026-01-15", "")]),
        # A trial in the middle of a life.
        ("active", "2026-01-01", "2026-03-01", ("2026-02-01", "2026-02-08"),
         [("active", "2026-01-01", "2026-02-01"), ("trialing", "2026-02-01", "2026-02-08"), ("active", "2026-02-08", "2026-03-01")]),
    ],
)  # fmt: skip
def test_where_a_trial_lies(spans, status, start, end, trial, pieces):
    found, _ = spans(
        {"trial": {"from": "a", "to": "b"}},
        status=[status, "active", "active"], started_at=[start, "2026-01-02", "2026-02-01"],
        ended_at=[end, "", ""], a=[trial[0], "", ""], b=[trial[1], "", ""],
    )  # fmt: skip
    found = found[found["subscription_id"] == "s1"]
    assert (
        list(zip(found["status"], days(found["started_at"]), days(found["ended_at"]), strict=True)) == pieces
    )


def test_a_status_of_today_holds_from_the_day_it_began(spans):
    keys = {"status_now": {"since": "changed"}}
    found, _ = spans(keys, status=["past_due", "active", "paused"], changed=["2026-03-20", "2026-02-01", ""])
    assert found["status"].tolist() == ["active", "past_due", "active", "paused"]
    assert days(found["started_at"]) == ["2026-01-01", "2026-03-20", "2026-01-02", "2026-02-01"]
    found, _ = spans(
        {"status_now": True}, status=["past_due", "active", "paused"], top={"observed_until": "2026-03-31"}
    )
    assert days(found["started_at"]) == ["2026-01-01", "2026-03-31", "2026-01-02", "2026-02-01", "2026-03-31"]


# A row a bill: when it began and ended, and what else differs from 9.99 EUR, active.
JAN, FEB, MAR, APR = "2026-01-01", "2026-02-01", "2026-03-01", "2026-04-01"


@pytest.mark.parametrize(
    ("bills", "merged"),
    [
        ([(JAN, FEB, {}), (FEB, MAR, {}), (MAR, "", {})], [(JAN, "")]),
        ([(JAN, FEB, {}), (FEB, MAR, {}), (MAR, APR, {})], [(JAN, APR)]),
        ([(JAN, FEB, {}), ("2026-02-02", MAR, {})], [(JAN, FEB), ("2026-02-02", MAR)]),
        ([(JAN, FEB, {}), (FEB, MAR, {"price": "8"}), (MAR, APR, {})], [(JAN, FEB), (FEB, MAR), (MAR, APR)]),
        ([(JAN, FEB, {}), (FEB, MAR, {"status": "past_due"}), (MAR, "", {})], [(JAN, FEB), (FEB, MAR), (MAR, "")]),
        ([(JAN, FEB, {}), (FEB, MAR, {"currency": "USD"}), (MAR, "", {"currency": "USD"})], [(JAN, FEB), (FEB, "")]),
        ([(JAN, FEB, {}), (FEB, MAR, {"subscription_id": "s2"})], [(JAN, FEB), (FEB, MAR)]),
        # Nothing follows on a span that is still on; what overlaps or begins twice stays to be told of.
        ([(JAN, "", {}), (FEB, MAR, {}), (MAR, "", {})], [(JAN, ""), (FEB, "")]),
        ([(JAN, MAR, {}), (FEB, APR, {})], [(JAN, MAR), (FEB, APR)]),
        ([(JAN, FEB, {}), (JAN, FEB, {}), (FEB, MAR, {})], [(JAN, FEB), (JAN, MAR)]),
        ([(JAN, FEB, {}), (FEB, FEB, {}), (FEB, MAR, {})], [(JAN, MAR)]),
        ([(JAN, FEB, {"plan": ""}), (FEB, MAR, {"plan": ""})], [(JAN, MAR)]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_rows_that_follow_on_each_other_are_one_span(write, mapping, kind, bills, merged):
    one = SPANS.iloc[0].to_dict()
    rows = pd.DataFrame(one | {"started_at": start, "ended_at": end} | more for start, end, more in bills)
    rows = rows if kind == "csv" else rows.astype(object).replace("", None)
    rules = mapping({"tables": {"subscriptions": {"money": MONEY, "merge": True}}})
    for number, order in enumerate([rows, rows[::-1]]):
        source = open_source(
            write({"customers": CUSTOMERS, "subscriptions": order}, kind, str(number)), rules
        )
        found = collect(source["subscriptions"].order_by("started_at", "ended_at"))
        assert list(zip(days(found["started_at"]), days(found["ended_at"]), strict=True)) == merged


def test_a_merged_span_ends_as_its_last_row_and_is_cut_afterwards(write, mapping):
    one = SPANS.iloc[0].to_dict() | {"trial_start": JAN, "trial_end": "2026-01-15"}
    rows = pd.DataFrame([
        one | {"ended_at": FEB, "end_reason": "switched", "cancel_requested_at": "2026-01-20"},
        one | {"started_at": FEB, "ended_at": MAR, "end_reason": "voluntary", "cancel_requested_at": ""},
    ])  # fmt: skip
    keys = {"money": MONEY, "merge": True, "trial": {"from": "trial_start", "to": "trial_end"}}
    rules = {"tables": {"subscriptions": keys}}
    source = open_source(write({"customers": CUSTOMERS, "subscriptions": rows}, "csv"), mapping(rules))
    found = collect(source["subscriptions"].order_by("started_at"))
    assert found["status"].tolist() == ["trialing", "active"]
    assert days(found["started_at"]) == [JAN, "2026-01-15"]
    assert days(found["ended_at"]) == ["2026-01-15", MAR]
    assert found["end_reason"].tolist() == ["switched", "voluntary"]
    assert found["cancel_requested_at"].isna().all()


def test_only_subscriptions_are_merged(spans):
    with pytest.raises(InputError, match=r"tables\.customers\.merge: only subscriptions have one"):
        spans(customers={"merge": True})


def test_rows_are_numbered_where_they_have_no_id(write, mapping):
    rows = pd.DataFrame({"months": [3, 14], "left": ["TRUE", "False"]})
    rules = {
        "snapshot": {
            "as_of": dt.date(2026, 1, 1),
            "number_rows": "customer_id",
            "tenure": {"from": "months"},
            "churned": {"from": "left", "values": "{TRUE: true, False: false}"},
            "constants": {
                "plan": "x",
                "billing_interval": "month",
                "currency": "EUR",
                "unit_amount_minor": 1,
            },
        }
    }
    text = Path(mapping(rules)).read_text(encoding="utf-8")
    text = text.replace("'{TRUE: true, False: false}'", "{TRUE: true, False: false}")
    source = open_source(f"{write({'churn': rows}, 'csv')}/churn.csv", mapping(text))
    found = collect(source["subscriptions"].order_by("customer_id"))
    assert found["customer_id"].tolist() == ["1", "2"]
    assert found["ended_at"].notna().tolist() == [True, False]


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "latin-1"])
def test_a_file_in_another_encoding(write, mapping, tmp_path, encoding):
    folder = write({"customers": CUSTOMERS.assign(city="Köln"), "subscriptions": SPANS}, "csv")
    for name in ("customers", "subscriptions"):
        file = tmp_path / "company" / f"{name}.csv"
        file.write_text(file.read_text(encoding="utf-8"), encoding=encoding)
    keys = {"encoding": encoding}
    rules = {
        "tables": {"customers": {**keys, "attributes": ["city"]}, "subscriptions": {**keys, "money": MONEY}}
    }
    assert set(collect(open_source(folder, mapping(rules))["customers"])["city"]) == {"Köln"}
    with pytest.raises(InputError, match=r"encoding: (cp1252|none)|cannot be read as none"):
        open_source(
            folder,
            mapping({"tables": {"customers": {"encoding": "none"}, "subscriptions": {"encoding": "none"}}}),
        )


def test_a_spreadsheet_holds_tables_as_sheets(tmp_path, mapping):
    people = CUSTOMERS.assign(
        created_at=pd.Timestamp("2025-01-01"), zip=["00123", "20100", "10100"], members=[1, 2, 3]
    )
    rows = SPANS.assign(price=[9.99, 19.99, 100], started_at=pd.to_datetime(SPANS["started_at"]))
    file = tmp_path / "company.xlsx"
    with pd.ExcelWriter(file) as book:
        people.to_excel(book, sheet_name="customers", index=False)
        rows.to_excel(book, sheet_name="subscriptions", index=False)
    rules = mapping({"tables": {"subscriptions": {"money": MONEY}}})
    for place in (file, tmp_path):
        source = open_source(place, rules)
        assert collect(source["subscriptions"])["unit_amount_minor"].sum() == 12_998
        assert days(collect(source["subscriptions"])["started_at"]) == SPANS["started_at"].tolist()
        assert source["customers"].schema()["zip"].is_string()
        assert source["customers"].schema()["members"].is_integer()
    file.write_text("no spreadsheet")
    with pytest.raises(InputError, match="cannot be read as a spreadsheet"):
        open_source(file, rules)


def test_ids_that_differ_in_their_letters_are_told_with_the_key_that_joins_them(spans):
    _, source = spans(customer_id=["C1", "c2 ", "c9"])
    (orphan,) = [problem for problem in check(source).problems if problem.rule == "orphan"]
    assert (orphan.count, orphan.column) == (3, "customer_id")
    assert orphan.fix == "set `lower` and `trim` for customer_id in a mapping, which finds 2 of them"


def test_columns_of_trials_that_nobody_uses_are_told(spans):
    _, source = spans(trial_start="2026-01-01", trial_end="2026-01-15")
    (said,) = [problem.sentence for problem in check(source).problems if problem.rule == "left_aside"]
    assert "trials in 'trial_start' and 'trial_end' are left aside" in said
    assert "`trial: {from: …, to: …}`" in said


def test_a_status_since_the_start_is_doubted(spans):
    keys = {"constants": {"end_reason": None}}
    _, source = spans(keys, status=["past_due", "past_due", "paused"], top={"observed_until": "2026-06-30"})
    (told,) = [problem for problem in check(source).problems if problem.rule == "long_past_due"]
    assert (told.count, told.rows) == (3, 3)
    assert "`status_now`" in told.fix
    _, source = spans({"status_now": True, **keys}, status="past_due", top={"observed_until": "2026-06-30"})
    assert "long_past_due" not in {problem.rule for problem in check(source).problems}


@pytest.mark.parametrize("ending", ["txt", "tsv.gz", "csv.gz", "CSV"])
def test_text_files_have_many_endings(mapping, tmp_path, ending):
    for name, rows in {"customers": CUSTOMERS, "subscriptions": SPANS}.items():
        text = rows.to_csv(index=False, sep="," if "csv" in ending.lower() else "\t").encode()
        file = tmp_path / "company" / f"{name}.{ending}"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(gzip.compress(text) if ending.endswith("gz") else text)
    rules = mapping({"tables": {"subscriptions": {"money": MONEY}}})
    assert len(collect(open_source(tmp_path / "company", rules)["subscriptions"])) == 3
    packed = mapping({"tables": {"customers": {"encoding": "utf-8"}, "subscriptions": {"money": MONEY}}})
    assert len(collect(open_source(tmp_path / "company", packed)["customers"])) == 3
