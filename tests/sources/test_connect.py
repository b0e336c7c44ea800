from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
import traceback

import duckdb
import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tenure.contract import BY_NAME
from tenure.errors import InputError, NotApplicable
from tenure.paths import project_root
from tenure.sources import collect, open_source
from tenure.sources.address import Address, redact

KINDS = ["parquet", "csv", "duckdb"]


def refusal(*arguments) -> str:
    """The sentence with which a source is refused."""
    with pytest.raises(InputError) as caught:
        open_source(*arguments)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert "Fix: " in sentence
    return sentence


def rows(source, table):
    frame = collect(source[table])
    return frame.sort_values(list(frame.columns[:4])).reset_index(drop=True)


# ------------------------------------------------------------------------------------------ what is read


@pytest.mark.parametrize("kind", KINDS)
def test_every_contract_column_is_there_in_the_contracts_type(company, write, kind):
    source = open_source(write(company, kind))
    assert list(source) == ["customers", "subscriptions", "payments", "events"]
    for name, table in source.items():
        types = {column: str(kind) for column, kind in table.schema().items()}
        expected = {column.name: column.type for column in BY_NAME[name].columns}
        assert {column: types[column] for column in expected} == expected
    spans = collect(source["subscriptions"])
    assert (spans["quantity"] == 1).all()
    assert (spans["discount_minor"] == 0).all()
    assert spans["cancel_requested_at"].isna().all()
    assert not collect(source["customers"])["is_test"].any()


def test_csv_parquet_and_duckdb_give_identical_tables(company, write):
    sources = [open_source(write(company, kind, kind)) for kind in KINDS]
    for name in company:
        first, *others = [rows(source, name) for source in sources]
        assert len(first) == len(company[name])
        for other in others:
            pd.testing.assert_frame_equal(first, other)
    assert {source.attributes for source in sources} == {("country", "birth_year", "city", "members", "zip")}


def test_attributes_of_a_csv_file_get_the_plainest_type_that_fits_all(company, write):
    n = len(company["customers"])
    company["customers"] = company["customers"].assign(
        grade=["1.5", "2"] * (n // 2),
        vip=["true", "False"] * (n // 2),
        code=["007", "12"] * (n // 2),
        mixed=["1"] * (n - 1) + ["one"],
        born=["2001-02-03"] * n,
        nothing=None,
    )
    types = open_source(write(company, "csv"))["customers"].schema()
    names = ("members", "zip", "grade", "vip", "code", "mixed", "born", "nothing")
    assert [str(types[name]) for name in names] == [
        "int64", "string", "float64", "boolean", "string", "string", "date", "string",
    ]  # fmt: skip


def test_a_column_with_a_name_of_ours_is_read_under_another(company, write):
    company["customers"] = company["customers"].assign(
        campaign="spring", customer_cost="x", Cost="y", segment="z", Plan="w"
    )
    ours = {"customer_campaign", "customer_cost", "customer_customer_Cost", "customer_Plan", "segment"}
    for kind in KINDS:
        source = open_source(write(company, kind, kind))
        assert ours == set(source.attributes) - {"country", "birth_year", "city", "members", "zip"}
        assert set(rows(source, "customers")["customer_customer_Cost"]) == {"y"}
        (note,) = [note for note in source.notes if "columns of their own" in note]
        assert "called campaign, Cost, Plan; those of customers are read as customer_campaign, " in note


def test_a_table_may_be_a_folder_of_files(company, write, tmp_path):
    whole = open_source(write(company, "parquet", "whole"))
    for kind in ("parquet", "csv"):
        place = tmp_path / f"parts-{kind}"
        write({name: frame for name, frame in company.items() if name != "events"}, kind, place.name)
        for part, rows_ in enumerate((slice(0, 50), slice(50, None))):
            write({f"part-{part}": company["events"].iloc[rows_]}, kind, f"{place.name}/events")
        (place / "events" / "_SUCCESS").write_text("")
        pd.testing.assert_frame_equal(rows(open_source(place), "events"), rows(whole, "events"))


def test_a_path_may_hold_wildcards_and_look_like_a_partition(company, write):
    source = open_source(write(company, "parquet", "run=5 [old]?"))
    assert "run" not in source["events"].columns
    assert source["payments"].count().execute() == len(company["payments"])


def test_semicolons_and_a_row_number_without_a_name(company, write, tmp_path):
    folder = tmp_path / "company"
    write(company, "csv")
    company["customers"].to_csv(folder / "customers.csv", sep=";")
    assert "city" in open_source(folder).attributes
    assert collect(open_source(folder)["customers"]).shape == (120, 11)


def test_times_with_a_zone_become_utc(company, write):
    local = company["payments"]["attempted_at"].dt.tz_localize("Europe/Rome")
    naive = open_source(write(company, "parquet", "naive"))
    for kind in KINDS:
        company["payments"]["attempted_at"] = local
        zoned = open_source(write(company, kind, f"zoned-{kind}"))
        shift = (
            collect(naive["payments"]).set_index("payment_id")["attempted_at"]
            - collect(zoned["payments"]).set_index("payment_id")["attempted_at"]
        )
        assert set(shift) == {pd.Timedelta(hours=1), pd.Timedelta(hours=2)}


def test_whole_numbers_that_nulls_turned_into_floats_are_read_as_whole(company, write):
    company["customers"]["birth_year"] = (
        company["customers"]["birth_year"].astype(float).where(lambda y: y < 1990)
    )
    company["events"]["content_id"] = [float(i) if i % 3 else None for i in range(len(company["events"]))]
    source = open_source(write(company))
    years = collect(source["customers"])["birth_year"]
    assert years.isna().any()
    assert years.max() < 1990
    contents = collect(source["events"])["content_id"].dropna()
    assert contents.str.fullmatch(r"\d+").all()


@pytest.mark.parametrize("kind", [pa.decimal128(12, 2), pa.string()])
def test_amounts_with_decimals_are_taken_for_minor_units_only_where_a_mapping_says_so(
    company, write, tmp_path, kind
):
    path = write(company)
    table = pa.Table.from_pandas(company["payments"], preserve_index=False)
    amounts = pa.array([f"{i}.00" for i in range(table.num_rows)]).cast(kind)
    pq.write_table(table.set_column(3, "amount_minor", amounts), f"{path}/payments.parquet")
    sentence = refusal(path)
    rows = f"{table.num_rows} of {table.num_rows} rows are not whole numbers without decimals"
    assert f"payments.amount_minor: {rows}, for example" in sentence
    assert "unit: major" in sentence
    for unit, factor in (("major", 100), ("minor", 1)):
        mapping = tmp_path / "m.yml"
        money = f"{{amount_minor: {{from: amount_minor, unit: {unit}}}}}"
        mapping.write_text(f"tables: {{payments: {{money: {money}}}}}")
        paid = collect(open_source(path, mapping)["payments"])["amount_minor"]
        assert paid.sum() == sum(range(table.num_rows)) * factor


def test_whole_numbers_that_a_program_wrote_with_a_point_are_read(company, write):
    company["payments"]["amount_minor"] = company["payments"]["amount_minor"].astype(float)
    company["events"]["duration_s"] = [f"{i}.0" for i in range(len(company["events"]))]
    source = open_source(write(company))
    assert collect(source["events"])["duration_s"].max() == len(company["events"]) - 1
    assert collect(source["payments"])["amount_minor"].sum() == company["payments"]["amount_minor"].sum()


def test_unknown_columns_and_tables_are_left_aside_and_said(company, write):
    company["payments"]["colour"] = "red"
    company["event"] = company.pop("events")
    company["notes"] = pd.DataFrame({"x": [1]})
    company["tickets"] = pd.DataFrame(columns=["ticket_id", "customer_id", "opened_at"], dtype="object")
    source = open_source(write(company))
    assert "colour" not in source["payments"].columns
    notes = " | ".join(source.notes)
    assert "payments: column 'colour'" in notes
    assert "event: not a table of the contract and left aside; is 'events' meant?" in notes
    assert "notes: not read, since no table of the contract is made of it." in notes
    assert "tickets: the table has no rows and counts as absent." in notes
    assert "tickets" not in source


def test_what_is_absent_is_not_applicable(company, write):
    source = open_source(write(company))
    source.require("subscriptions", "payments")
    with pytest.raises(NotApplicable, match=r"needs the tables points and surveys, which .* does not have"):
        source.require("payments", "points", "surveys")
    with pytest.raises(NotApplicable, match="no table 'points'"):
        source["points"]
    with pytest.raises(InputError, match="is 'payments' meant"):
        source["payment"]
    assert "points" not in source


# ------------------------------------------------------------------------------------------------- days


def test_last_day_is_the_last_thing_that_happened(company, write, last_day):
    company["subscriptions"].loc[0, "ended_at"] = pd.Timestamp("2024-12-01")
    assert open_source(write(company)).last_day() == last_day
    del company["events"], company["payments"]
    alone = open_source(write(company, folder="alone"))
    assert alone.last_day() == dt.date(2024, 11, 30)  # an end is exclusive
    company["subscriptions"].loc[0, "ended_at"] += pd.Timedelta("1s")
    assert open_source(write(company, folder="later")).last_day() == dt.date(2024, 12, 1)
    company["subscriptions"].loc[0, "cancel_requested_at"] = pd.Timestamp("2024-11-11")
    planned = open_source(write(company, folder="planned"))  # an end that was asked for may lie ahead
    assert planned.last_day() == max(
        company["subscriptions"]["ended_at"][1:].max().date(), dt.date(2024, 11, 11)
    )
    assert open_source(write(company), observed_until=dt.date(2024, 12, 31)).last_day() == dt.date(
        2024, 12, 31
    )
    assert alone.first_day() == company["subscriptions"]["started_at"].min().date()


def test_last_day_ignores_what_lies_after_today(company, write, last_day):
    company["subscriptions"].loc[3, "started_at"] = pd.Timestamp("2924-01-01")
    company["subscriptions"].loc[4, "ended_at"] = pd.Timestamp("9999-12-31")
    assert open_source(write(company)).last_day() == last_day
    for frame in company.values():
        for column in frame.select_dtypes("datetime"):
            frame[column] = frame[column] + np.timedelta64(300 * 365, "D")
    assert open_source(write(company, folder="far")).last_day().year > 2300


# --------------------------------------------------------------------------------------------- refusals


def test_a_place_that_is_not_there(tmp_path):
    assert "does not exist" in refusal(tmp_path / "nowhere")
    assert "No data is named" in refusal("")
    file = tmp_path / "book.ods"
    file.write_text("x")
    assert "book.ods is neither a folder" in refusal(file)


def test_the_demo_company_that_was_not_made_yet(tmp_path, monkeypatch):
    monkeypatch.setenv("TENURE_ROOT", str(tmp_path))
    assert "data/demo does not exist. Fix: run `tenure demo`" in refusal("data/demo")


def test_a_path_that_does_not_exist_is_explained_as_it_was_written(tmp_path, monkeypatch):
    monkeypatch.setenv("TENURE_ROOT", str(tmp_path))
    assert refusal("data/mine").endswith("correct the path; a relative one counts from the project's root.")
    assert refusal(str(tmp_path / "mine")).endswith("mine does not exist. Fix: correct the path.")


def test_an_empty_folder(tmp_path):
    assert "holds no .parquet, no .csv and no .xlsx files" in refusal(tmp_path)


def test_a_required_table_that_is_absent_or_has_no_rows(company, write):
    company["subscription"] = company.pop("subscriptions")
    sentence = refusal(write(company))
    assert "has no table 'subscriptions'" in sentence
    assert "rename 'subscription'" in sentence
    company["subscriptions"] = company.pop("subscription").iloc[:0]
    for kind in KINDS:
        assert "subscriptions: the table in" in refusal(write(company, kind, kind))
        assert "has no rows" in refusal(write(company, kind, f"{kind} again"))


@pytest.mark.parametrize("damage", ["junk", "cut", "empty"])
def test_a_damaged_parquet_file(company, write, tmp_path, damage):
    path = write(company)
    file = tmp_path / "company" / "payments.parquet"
    whole = file.read_bytes()
    file.write_bytes({"junk": b"PAR1 this is not it", "cut": whole[: len(whole) // 2], "empty": b""}[damage])
    sentence = refusal(path)
    assert "payments" in sentence
    assert "payments.parquet" in sentence


def test_damage_inside_a_parquet_file_is_one_sentence_when_it_is_read(company, write, tmp_path):
    path = write(company)
    file = tmp_path / "company" / "payments.parquet"
    data = bytearray(file.read_bytes())
    data[4:1200] = b"\xff" * 1196
    file.write_bytes(bytes(data))
    with pytest.raises(InputError, match="cannot read the data") as caught:
        collect(open_source(path)["payments"])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_files_of_a_table_that_disagree_are_refused_by_name(company, write, kind):
    events = company.pop("events")
    write(company, kind)

    def parts(second):
        write({"one": events, "two": second}, kind, "company/events")
        return write({}, kind, "company")

    assert f"events.duration_s: two.{kind} lacks the column" in refusal(
        parts(events.drop(columns="duration_s"))
    )
    assert f"events.extra: one.{kind} lacks the column, which two.{kind} has" in refusal(
        parts(events.assign(extra=1))
    )
    if kind == "parquet":
        sentence = refusal(parts(events.assign(duration_s=events["duration_s"].astype(str))))
        assert "events.duration_s: two.parquet holds string and one.parquet holds int64" in sentence
        zoned = events.assign(occurred_at=events["occurred_at"].dt.tz_localize("UTC"))
        assert "events.occurred_at: two.parquet holds timestamp[us, tz=UTC]" in refusal(parts(zoned))


def test_suffixes_in_capitals(company, write, tmp_path):
    path = write(company, "csv")
    (tmp_path / "company" / "payments.csv").rename(tmp_path / "company" / "payments.CSV")
    assert open_source(path)["payments"].count().execute() == 120


def test_one_table_in_two_forms(company, write):
    write(company, "csv")
    assert "holds it twice, as" in refusal(write({"events": company["events"]}, "parquet"))


def test_a_missing_column_names_the_nearest_and_the_mapping(company, write):
    company["subscriptions"] = company["subscriptions"].rename(columns={"started_at": "startedAt"})
    sentence = refusal(write(company))
    assert "subscriptions.started_at is missing (the nearest is 'startedAt')" in sentence
    assert "columns: {started_at: startedAt}" in sentence


@pytest.mark.parametrize(
    ("table", "column", "value", "says", "example"),
    [
        ("subscriptions", "unit_amount_minor", "9.99", "are not whole numbers", "'9.99'"),
        ("subscriptions", "unit_amount_minor", "EUR 10", "are not whole numbers", "'EUR 10'"),
        ("subscriptions", "quantity", " ", "are blank", "' '"),
        ("subscriptions", "started_at", "2024-02-30", "cannot be read as a time", "'2024-02-30'"),
        ("subscriptions", "ended_at", "31/01/2024", "cannot be read as a time", "'31/01/2024'"),
        ("subscriptions", "ended_at", "infinity", "cannot be read as a time", "'infinity'"),
        ("customers", "is_test", "maybe", "are neither true nor false", "'maybe'"),
        ("customers", "birth_year", "19O1", "are not whole numbers", "'19O1'"),
        ("spend", "date", "2024-13-01", "cannot be read as a date", "'2024-13-01'"),
        ("targets", "target", "five", "are not numbers", "'five'"),
    ],
)
def test_csv_values_of_the_wrong_type(company, write, table, column, value, says, example):
    company["spend"] = pd.DataFrame(
        {"date": "2024-01-01", "channel": "web", "amount_minor": 1, "currency": "EUR"}, index=range(5)
    )
    company["targets"] = pd.DataFrame({"metric": "m", "period": "2024", "target": 1.5}, index=range(5))
    for default in ("quantity", "is_test"):
        frame = "subscriptions" if default == "quantity" else "customers"
        company[frame][default] = "1"
    frame = company[table]
    frame[column] = frame[column].astype(object)
    frame.loc[frame.index[1:4], column] = value
    sentence = refusal(write(company, "csv"))
    assert sentence.startswith(f"{table}.{column}: 3 of {len(frame)} rows {says}")
    assert f"for example {example}. Fix: " in sentence


def test_money_in_major_units_is_refused_with_the_hint(company, write):
    company["subscriptions"]["unit_amount_minor"] = company["subscriptions"]["unit_amount_minor"] / 100
    sentence = refusal(write(company))
    assert "subscriptions.unit_amount_minor: 130 of 130 rows are not whole numbers" in sentence
    assert "for example '9.99'" in sentence or "for example '19.99'" in sentence
    assert "money: {unit_amount_minor: {from: unit_amount_minor, unit: major}}" in sentence


def test_ids_with_decimals_are_refused(company, write):
    company["events"]["content_id"] = 1.5
    assert "events.content_id: 121 of 121 rows are ids with decimals, for example '1.5'" in refusal(
        write(company)
    )
    company["events"]["content_id"] = 2.0**60
    assert "events.content_id: 121 of 121" in refusal(write(company, folder="large"))


def test_types_that_can_never_be_read(company, write):
    company["events"]["occurred_at"] = 1_700_000_000
    assert "events.occurred_at is of type int64, which does not say its unit" in refusal(write(company))
    company["events"]["occurred_at"] = company["payments"]["attempted_at"]
    company["events"]["event"] = [["a", "b"]] * len(company["events"])
    assert "events.event is of type array<string>" in refusal(write(company, folder="other"))


def test_a_ragged_csv_file_is_refused_by_line(company, write, tmp_path):
    path = write(company, "csv")
    file = tmp_path / "company" / "payments.csv"
    lines = file.read_text().splitlines()
    file.write_text("\n".join([*lines[:7], "P-9,C-1", *lines[7:]]) + "\n")
    sentence = refusal(path)
    assert "payments.csv, line 8: Expected Number of Columns: 7 Found: 2" in sentence


def test_a_csv_file_that_is_not_utf8_or_repeats_a_column(company, write, tmp_path):
    path = write(company, "csv")
    file = tmp_path / "company" / "payments.csv"
    text = file.read_text()
    file.write_bytes((text * 40 + "P-é\n").encode("latin-1"))
    assert "payments" in refusal(path)
    file.write_text(text.replace("status", "kind", 1))
    assert "payments.kind: payments.csv has two columns of that name" in refusal(path)


def test_a_single_file_needs_a_mapping(company, write):
    path = write(company, "csv")
    assert "single file, and only a mapping can say" in refusal(f"{path}/customers.csv")


def test_engine_settings_that_are_none(company, write, monkeypatch):
    path = write(company)
    monkeypatch.setenv("TENURE_MEMORY_LIMIT", "plenty")
    assert "TENURE_MEMORY_LIMIT" in refusal(path)
    monkeypatch.setenv("TENURE_MEMORY_LIMIT", "1GB")
    monkeypatch.setenv("TENURE_TEMP_DIRECTORY", "/nowhere/at/all")
    assert "/nowhere/at/all does not exist" in refusal(path)


def test_the_engine_is_bounded_and_in_utc(company, write, monkeypatch, tmp_path):
    monkeypatch.setenv("TENURE_MEMORY_LIMIT", "300MiB")
    monkeypatch.setenv("TENURE_THREADS", "1")
    monkeypatch.setenv("TENURE_TEMP_DIRECTORY", str(tmp_path))
    monkeypatch.setenv("TENURE_TEMP_LIMIT", "2GiB")
    source = open_source(write(company))
    names = ("memory_limit", "threads", "max_temp_directory_size", "TimeZone", "temp_directory")
    found = [
        source.connection.con.execute(f"SELECT current_setting('{name}')").fetchone()[0] for name in names
    ]
    assert found[:4] == ["300.0 MiB", 1, "2.0 GiB", "UTC"]
    assert found[4].startswith(str(tmp_path))


def test_running_out_of_room_is_one_sentence(company, write, monkeypatch):
    monkeypatch.setenv("TENURE_MEMORY_LIMIT", "20MiB")
    monkeypatch.setenv("TENURE_TEMP_LIMIT", "1MiB")
    source = open_source(write(company))
    payments = source["payments"]
    numbers = payments.select("payment_id", x=ibis.range(0, 15_000).unnest())
    texts = numbers.select(text=numbers.x.cast("string") + numbers.payment_id + "abcdefghijklmnopqrstuvwxyz")
    ranked = texts.mutate(n=ibis.row_number().over(order_by=texts.text))
    with pytest.raises(InputError, match="TENURE_MEMORY_LIMIT") as caught:
        collect(ranked.aggregate(last=ranked.n.max(), text=ranked.text.max()))
    assert "\n" not in str(caught.value)


def test_collect_refuses_more_rows_than_asked_for(company, write):
    source = open_source(write(company))
    assert len(collect(source["payments"], max_rows=120)) == 120
    with pytest.raises(InputError, match="more than 119 rows"):
        collect(source["payments"], max_rows=119)
    assert collect(source["payments"].amount_minor.sum()).iloc[0, 0] == 120 * 999


# ------------------------------------------------------------------------------------------- fingerprints


def test_the_mark_follows_data_and_mapping(company, write, mapping):
    path = write(company)
    first = open_source(path).mark
    assert first == open_source(path).mark
    with_mapping = open_source(path, mapping({"observed_from": "2023-01-01"})).mark
    assert with_mapping != first
    assert open_source(path, mapping({"observed_from": "2023-01-02"})).mark != with_mapping
    company["payments"].loc[0, "amount_minor"] = 1
    write(company)
    assert open_source(path).mark != first
    assert Address.read("postgres://me@host/shop").mark() is None


# --------------------------------------------------------------------------------------------- databases


def test_two_processes_read_one_duckdb_file(company, write):
    path = write(company, "duckdb")
    here = open_source(path)
    code = (
        "import sys; from tenure.sources import open_source as source; "
        "print(source(sys.argv[1])['events'].count().execute())"
    )
    there = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    assert int(there.stdout) == here["events"].count().execute() == len(company["events"])
    also = open_source(path)
    assert also["events"].count().execute() == len(company["events"])
    with pytest.raises(duckdb.Error, match="read-only"):
        here.connection.raw_sql("DELETE FROM data.main.events")


def test_a_duckdb_file_that_somebody_writes_to(company, write):
    path = write(company, "duckdb")
    code = "import sys, duckdb; c = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    writer = subprocess.Popen(
        [sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert writer.stdout.readline() == "open\n"
        assert "cannot be opened as a DuckDB file" in refusal(path)
    finally:
        writer.communicate("")


def test_a_file_that_is_no_duckdb_file(tmp_path):
    file = tmp_path / "company.duckdb"
    file.write_bytes(b"x" * 5000)
    assert "company.duckdb cannot be opened as a DuckDB file" in refusal(file)


@pytest.mark.parametrize(
    "url",
    [
        "postgres://me:s3cretword@localhost:1/shop",
        "postgres://me:s3cret/word@localhost:1/shop",
        "postgres://me:s3cret@word@localhost:1/shop",
        "postgres://localhost:1/shop?user=me&password=s3cretword",
        "mysql://me:s3cretword@localhost/shop",
        "clickhouse://localhost/shop?access_token=s3cretword",
        "nonsense://me:s3cretword@host/x",
    ],
)
def test_a_password_in_the_address_is_refused_and_never_shown(url):
    sentence = refusal(url)
    assert "contains a password" in sentence
    assert "${NAME}" in sentence
    assert "s3cret" not in sentence
    assert "word@" not in sentence


def test_a_password_from_the_environment_is_never_shown(monkeypatch):
    monkeypatch.setenv("SHOP_PASSWORD", "s3cret/w@rd")
    monkeypatch.setenv("SHOP_URL", "postgres://me:s3cretword@localhost:1/shop")
    for url in ("postgres://me:${SHOP_PASSWORD}@localhost:1/shop", "${SHOP_URL}"):
        with pytest.raises(InputError) as caught:
            open_source(url)
        told = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
        assert "s3cret" not in told
        assert "w%40rd" not in told
        assert caught.value.__context__ is None


def test_a_variable_that_is_not_set(monkeypatch):
    monkeypatch.delenv("SHOP_PASSWORD", raising=False)
    sentence = refusal("postgres://me:${SHOP_PASSWORD}@localhost/shop")
    assert "The environment variable SHOP_PASSWORD is not set" in sentence


def test_a_driver_that_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.delitem(sys.modules, "ibis.backends.postgres", raising=False)
    sentence = refusal("postgres://me@localhost:1/shop")
    assert "needs the package 'psycopg'" in sentence
    assert "pip install --editable '.[postgres]'" in sentence


def test_an_unknown_kind_of_database():
    sentence = refusal("postgress://me@host/shop")
    assert "postgress:// is not a kind of database" in sentence
    assert "is postgres:// meant?" in sentence or "is postgresql:// meant?" in sentence


def test_redaction_reaches_what_drivers_say():
    said = 'FATAL: password authentication failed (postgres://me:pa%20ss@h/db, password=hunter2, "x y")'
    told = redact(said, ("x y",))
    assert not any(secret in told for secret in ("pa%20ss", "hunter2", "x y"))
    assert told.startswith("FATAL: password authentication failed")


def test_relative_paths_count_from_the_projects_root(company, write, tmp_path, monkeypatch):
    write(company, folder="data/shop")
    monkeypatch.setenv("TENURE_ROOT", str(tmp_path))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    source = open_source("data/shop")
    assert source.url == "data/shop"
    assert repr(source) == "Source('data/shop': customers, subscriptions, payments, events)"
    assert json.dumps(source.url)
    assert project_root() == tmp_path
