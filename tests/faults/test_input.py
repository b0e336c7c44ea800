"""Rows, files and mappings that cannot be read: refused in a sentence, each with what it must name."""

from __future__ import annotations

import datetime as dt
import decimal
import shutil
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from faults.company import Company
from faults.judge import call, fit_to_print, refused, state_of
from tenure.paths import project_root

Spoil = Callable[[Company], list[str] | None]
CASES: list[Any] = []
KINDS: set[str] = set()


def case(kind: str, spoil: Spoil, *names: str, id: str = "") -> None:
    """Add a case of a kind: what spoils the company, and all that the sentence must name."""
    marks = [pytest.mark.faults] if kind in KINDS else []
    KINDS.add(kind)
    name = f"{kind}: {id or names[-1]}".encode("ascii", "replace").decode()[:90]
    CASES.append(pytest.param(spoil, names, marks=marks, id=name))


def put(table: str, column: str, value: str, rows: int = 2) -> Spoil:
    return lambda company: company.put(table, column, value, rows)


def values(kind: str, table: str, column: str, *bad: str) -> None:
    """Two rows with each of these values."""
    for value in bad:
        rows = 1 if table == "fx_rates" else 2
        case(
            kind, put(table, column, value, rows), f"{table}.{column}", f"{rows} of ", repr(value)[1:-1][:40]
        )


def typed(table: str, column: str, array: Any) -> Spoil:
    """The table as Parquet, one column of which is of another type."""

    def spoil(company: Company) -> None:
        frame = company.tables[table].replace("", None)
        whole = pa.Table.from_pandas(frame, preserve_index=False)
        other = array if isinstance(array, pa.Array) else pa.array(array)
        company.folder.mkdir(parents=True)
        whole = whole.set_column(whole.schema.get_field_index(column), column, other)
        pq.write_table(whole, company.folder / f"{table}.parquet")

    return spoil


def mapped(text: str) -> Spoil:
    def spoil(company: Company) -> list[str]:
        company.text("mine.yml", text)
        return ["--mapping", str(company.folder / "mine.yml")]

    return spoil


def raw(table: str, change: Callable[[bytes], bytes], kind: str = "csv") -> Spoil:
    """The bytes of a table's file changed."""

    def spoil(company: Company) -> None:
        company.folder.mkdir(parents=True)
        place = company.folder / f"{table}.{kind}"
        frame = company.tables[table]
        frame.to_csv(place, index=False) if kind == "csv" else frame.replace("", None).to_parquet(
            place, index=False
        )
        place.write_bytes(change(place.read_bytes()))

    return spoil


NUMBERS = ["inf", "-inf", "NaN", "1e400", "9" * 40, "0x10", "１２", "1,5", "12 EUR", "--1", "true", "="]
values("a price", "subscriptions", "unit_amount_minor", *NUMBERS, "10.50", "9223372036854775807")
values("an amount", "payments", "amount_minor", *NUMBERS, "10.50", "9223372036854775808")
values("a discount", "subscriptions", "discount_minor", *NUMBERS)
values("a quantity", "subscriptions", "quantity", *NUMBERS, "1.5")
values("a duration", "events", "duration_s", *NUMBERS)
values("a year of birth", "customers", "birth_year", *NUMBERS, "19.5")
values("an exchange rate", "fx_rates", "rate", "inf", "NaN", "1e999", "one", "1,1", "0x1")
values("a negative amount", "subscriptions", "unit_amount_minor", "-1")
values("a negative amount", "payments", "amount_minor", "-999")
values("a negative discount", "subscriptions", "discount_minor", "-5")
values("a negative quantity", "subscriptions", "quantity", "-3")
values("an exchange rate of nothing", "fx_rates", "rate", "0", "-1", "0.0")
values(
    "too large to be counted", "subscriptions", "unit_amount_minor", "999999999999999999", "10000000000000000"
)
values("too large to be counted", "payments", "amount_minor", "999999999999999999")
values("too large to be counted", "events", "duration_s", "999999999999999999")
values("price times quantity overflows", "subscriptions", "quantity", "9000000000000000", "99999999999")
values("a billing interval", "subscriptions", "billing_interval_count", "0", "-1", "999999999", "1.5", "x")

TIMES = [
    "2024-02-30", "2024-13-01", "0000-00-00", "infinity", "-infinity", "now", "1e9", "31/01/2024", "2024-01-05 25:00:00",
    "2024-01-05 10:00:00+25:00", "2024-01-05 10:00:00+99:99", "2024-01-05 10:00:00-15:00", "2024-01-05 10:00:00+10:75",
    "1704448800", "Jan 5 2024", "",
]  # fmt: skip
values("a time", "subscriptions", "started_at", *TIMES[:-1])
values("a time", "customers", "created_at", *TIMES[:-1])
values("a time", "events", "occurred_at", *TIMES[:-1])
values("a time", "payments", "attempted_at", *TIMES[:-1])
values("an end", "subscriptions", "ended_at", *TIMES[:-1])
values("a day", "fx_rates", "date", "2024-02-30", "31.01.2024", "infinity", "soon")

for table, column in [
    ("subscriptions", "started_at"), ("customers", "created_at"), ("payments", "attempted_at"), ("events", "event"),
    ("subscriptions", "plan"), ("subscriptions", "currency"), ("payments", "payment_id"), ("payments", "status"),
    ("subscriptions", "subscription_id"), ("subscriptions", "unit_amount_minor"), ("fx_rates", "rate"),
]:  # fmt: skip
    rows = 1 if table == "fx_rates" else 2
    case(
        "an empty value",
        put(table, column, "", rows),
        f"{table}.{column}",
        f"{rows} of ",
        id=f"{table}.{column}",
    )
values("a word", "subscriptions", "status", "on", "ACTIVE", "active ", "a'b", "'; drop table x", "<b>")
values("a word", "subscriptions", "billing_interval", "monthly", "M", "fortnight")
values("a word", "payments", "kind", "gift", "Recurring")
values("a word", "payments", "status", "ok", "PAID")
values("a currency", "subscriptions", "currency", "eur", "€", "XXX", "EURO", "???")
values("a currency", "payments", "currency", "usd", "Euro")

SPANS = ("subscriptions", "unit_amount_minor")
for name, array, says in [
    ("infinite", [np.inf] * 2 + [999.0] * 10, "2 of 12 rows"), ("1e300", [1e300] + [999.0] * 11, "1 of 12 rows"),
    ("uint64", pa.array([2**64 - 1] + [999] * 11, pa.uint64()), "1 of 12 rows"),
    ("int64", pa.array([2**63 - 1] + [999] * 11, pa.int64()), "1 of 12 rows"),
    ("decimal", pa.array([decimal.Decimal(10**37)] * 12, pa.decimal128(38, 0)), "12 of 12 rows"),
    ("boolean", [True] * 12, "boolean"), ("list", [[1]] * 12, "array"), ("struct", [{"a": 1}] * 12, "struct"),
    ("bytes", [b"\x00\xff"] * 12, "binary"), ("a time", pa.array([1] * 12, pa.timestamp("us")), "timestamp"),
]:  # fmt: skip
    case(
        "a type of Parquet",
        typed(*SPANS, array),
        "subscriptions.unit_amount_minor",
        says,
        id=f"amount {name}",
    )
for name, array, says in [
    ("number", [1.7e9] * 12, "float64"), ("time of day", pa.array([1] * 12, pa.time64("us")), "time"),
    ("list", [["2024"]] * 12, "array"), ("boolean", [True] * 12, "boolean"),
]:  # fmt: skip
    case(
        "a type of Parquet",
        typed("subscriptions", "started_at", array),
        "started_at",
        says,
        id=f"time {name}",
    )
for name, array, says in [
    ("bytes", [b"\xff\xfe"] * 12, "binary"), ("decimals", [1.5] * 12, "12 of 12"), ("list", [["a"]] * 12, "array"),
    ("nothing", pa.nulls(12, pa.string()), "12 of 12"),
]:  # fmt: skip
    case(
        "a type of Parquet",
        typed("customers", "customer_id", array),
        "customers.customer_id",
        says,
        id=f"id {name}",
    )
case(
    "a type of Parquet",
    typed("fx_rates", "rate", [np.inf, 1.0]),
    "fx_rates.rate",
    "1 of 2",
    id="rate infinite",
)

for table, column in [
    ("customers", "customer_id"), ("customers", "created_at"), ("subscriptions", "customer_id"), ("subscriptions", "plan"),
    ("subscriptions", "unit_amount_minor"), ("subscriptions", "currency"), ("subscriptions", "started_at"),
    ("payments", "amount_minor"), ("events", "occurred_at"), ("fx_rates", "rate"),
]:  # fmt: skip

    def lacking(company: Company, table: str = table, column: str = column) -> None:
        company.tables[table] = company.tables[table].drop(columns=column)

    case("a missing column", lacking, f"{table}.{column}", "missing")


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_two_columns_of_one_name(capfd, tmp_path, kind):
    company = Company(tmp_path / "co")
    company.tables["customers"]["Country"] = "FR"
    refused(call(capfd, "check", company.write(kind)), ["customers.Country", "country"])


def twice(company: Company) -> None:
    frame = pa.Table.from_pandas(company.tables["customers"], preserve_index=False)
    company.folder.mkdir(parents=True)
    doubled = pa.Table.from_arrays([*frame.columns, frame.columns[0]], [*frame.column_names, "customer_id"])
    pq.write_table(doubled, company.folder / "customers.parquet")


case("two columns of one name", twice, "customers.customer_id", "customers.parquet")
case(
    "two columns of one name",
    raw("customers", lambda b: b.replace(b"channel", b"country", 1)),
    "customers.country",
)


def repeated(company: Company) -> None:
    frame = company.tables["customers"]
    company.tables["customers"] = pd.concat([frame, frame.head(2)])


case("a repeated id", repeated, "customers.customer_id", "2 of 14", "C00")
case(
    "ends before it starts",
    put("subscriptions", "ended_at", "2023-01-01"),
    "subscriptions.ended_at",
    "2 of 12",
)


def folder_for_file(company: Company) -> None:
    company.write()
    (company.folder / "customers.csv").unlink()
    (company.folder / "customers" / "part.csv").mkdir(parents=True)


def nothing(company: Company) -> None:
    company.tables.clear()
    company.folder.mkdir(parents=True)


def without(name: str) -> Spoil:
    def spoil(company: Company) -> None:
        del company.tables[name]

    return spoil


case("wrong kinds of file", folder_for_file, "'customers'")
case("no files", nothing, "csv")
case("a missing table", without("customers"), "'customers'")
case("a missing table", without("subscriptions"), "'subscriptions'")
case("an empty file", raw("customers", lambda b: b""), "customers.csv", "empty")
case("a table without rows", raw("customers", lambda b: b.split(b"\n")[0] + b"\n"), "customers", "no rows")
case("a cut file", raw("customers", lambda b: b[: len(b) // 2], "parquet"), "customers.parquet")
case("a cut file", raw("subscriptions", lambda b: b[:-4], "parquet"), "subscriptions.parquet")
case(
    "not what its name says", raw("customers", lambda b: b"PK\x03\x04" + b, "parquet"), "customers", "damaged"
)
case(
    "a damaged page",
    raw("customers", lambda b: b[:20] + b"\xff" * 100 + b[120:], "parquet"),
    "customers.parquet",
)
case("a short line", raw("customers", lambda b: b + b"C99,2024-01-01\n"), "customers.csv", "line 14")
case("an open quote", raw("customers", lambda b: b + b'"C99,2024-01-01,IT,search,1980\n'), "customers.csv")
case("not UTF-8", raw("customers", lambda b: b.replace(b"IT", b"\xff\xfe")), "customers.csv", "UTF-8")
case("not UTF-8", raw("customers", lambda b: b.decode().encode("utf-16")), "customers.csv", "UTF-8")

MAPPINGS = {
    "time_zone: +25:00": "time_zone", "time_zone: Mars/Base": "Mars/Base", "tables: []": "tables", "x: 1": "x",
    "- a": "no keys", "a: b: c": "line 1", "tables: {customers: {from: nope}}": "nope", "\ttables: 1": "not YAML",
    'tables: {customers: {where: "sleep("}}': "where", "tables: {customers: {columns: {created_at: nope}}}": "nope",
    'tables: {customers: {formats: {created_at: "%Q"}}}': "%Q", 'tables: {customers: {formats: {created_at: "%Y%"}}}': "'%'",
    "tables: {customers: {values: {country: {IT: [1]}}}}": "country.IT", "tables: {custmers: {from: customers}}": "custmers",
    "tables: {customers: {query: \"select * from read_csv('/etc/hosts')\"}}": "query", "observed_from: soon": "observed_from",
    "tables: {customers: {query: 'drop table customers'}}": "query", "observed_until: 31.01.2024": "observed_until",
    "tables: {customers: {query: 'select * from customers; select 1'}}": "query", "tables: {customers: 1}": "customers",
    "tables: {customers: {decimal: ';'}}": "decimal", "tables: {customers: {encoding: klingon}}": "klingon",
    "tables: {payments: {money: {amount_minor: {from: amount_minor, unit: miles}}}}": "unit",
    "tables: {payments: {epoch: {attempted_at: {from: attempted_at, unit: y}}}}": "unit",
    "tables: {customers: {from: customers}}\ntables: {customers: {from: events}}": "tables",
    "snapshot: {as_of: 2024-01-01}": "snapshot", "published: {segments: 7 8}": "published",
}  # fmt: skip
for text, name in MAPPINGS.items():
    case("a mapping", mapped(text), name, id=text)


def unreadable(company: Company) -> list[str]:
    return ["--mapping", str(company.folder / "none.yml")]


case("a mapping that is not there", unreadable, "none.yml")


@pytest.mark.parametrize(("spoil", "names"), CASES)
def test_it_is_refused(capfd, tmp_path, spoil, names):
    company = Company(tmp_path / "co")
    more = spoil(company) or []
    folder = company.write()
    before = state_of(company.folder)
    said = call(capfd, "check", folder, *more)
    refused(said, names)
    assert state_of(company.folder) == before


@pytest.mark.parametrize(
    "kind", [pa.null(), pa.int32(), pa.float64(), pa.bool_(), pa.list_(pa.int64()), pa.binary()]
)
def test_a_column_without_any_value_may_be_of_any_type(capfd, tmp_path, kind):
    company = Company(tmp_path / "co")
    company.tables["subscriptions"]["end_reason"] = ""
    typed("subscriptions", "ended_at", pa.nulls(12, kind))(company)
    said = call(capfd, "check", company.write())
    assert (said.status, said.err) == (0, "")
    assert "0 errors, 0 warnings." in said.out


def test_the_company_as_it_is_has_no_fault(capfd, tmp_path):
    said = call(capfd, "check", Company(tmp_path / "co").write())
    assert said.status == 0
    assert "0 errors, 0 warnings." in said.out


HOSTILE = {
    "an escape sequence": "\x1b[2J\x1b]0;owned\x07", "a forged line": "x\nerror: forged. Fix: pay", "a bell": "\x07",
    "a carriage return": "ok\rerror", "right to left": "\u202etxt.exe", "a C1 control": "\x9b31m", "a null": "a\x00b",
    "100,000 letters": "x" * 100_000, "100,000 words": "word " * 20_000, "a delete": "\x7f", "an isolate": "\u2066a\u2069",
}  # fmt: skip
WHERE = [
    ("subscriptions", "status"),
    ("subscriptions", "currency"),
    ("customers", "customer_id"),
    ("payments", "kind"),
]


@pytest.mark.faults
@pytest.mark.parametrize(("table", "column"), WHERE)
@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
def test_a_value_does_not_command_the_terminal(capfd, tmp_path, table, column, value):
    company = Company(tmp_path / "co")
    company.put(table, column, value)
    said = call(capfd, "check", company.write("parquet"))
    fit_to_print(said)
    assert not [line for line in said.text.splitlines() if line.startswith("error: forged")]
    assert f"{table}.{column}" in said.text


@pytest.mark.faults
@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
def test_a_name_does_not_command_the_terminal(capfd, tmp_path, value):
    company = Company(tmp_path / "co")
    for table in ("customers", "subscriptions"):
        company.tables[table][value] = "1"
    fit_to_print(call(capfd, "check", company.write("parquet")))


@pytest.mark.faults
@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
def test_an_export_that_is_recognized_does_not_command_the_terminal(capfd, tmp_path, monkeypatch, value):
    shutil.copytree(project_root() / "data" / "mappings", tmp_path / "data" / "mappings")
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "runbook.yml").write_text("reports: [{name: one, notebook: one.ipynb}]\n")
    monkeypatch.setenv("TENURE_ROOT", str(tmp_path))
    company = Company(tmp_path / "co")
    company.put("subscriptions", "status", value)
    for table in ("customers", "subscriptions"):
        company.tables[table][value] = "1"
    fit_to_print(call(capfd, "init", company.write("parquet")))


def test_five_hundred_characteristics_are_not_all_read(capfd, tmp_path):
    company = Company(tmp_path / "co")
    many = pd.DataFrame({f"a{i}": ["1"] * 12 for i in range(500)})
    company.tables["customers"] = pd.concat([company.tables["customers"], many], axis=1)
    said = call(capfd, "check", company.write())
    fit_to_print(said)
    assert said.status == 0
    assert "of 500 columns to compare groups by" in said.out


@pytest.mark.parametrize(
    ("data", "name"),
    [("x" * 5_000, "xxx"), ("no/such/folder", "no/such/folder"), ("", "data"), ("http://example.org/x", "http://"),
     ("postgres://me:secret@localhost/x", "password"), ("${NOT_SET_ANYWHERE}", "NOT_SET_ANYWHERE"), ("README.md", "README.md")],
)  # fmt: skip
def test_a_place_that_cannot_be_read(capfd, data, name):
    said = call(capfd, "check", data)
    refused(said, [name])
    assert "secret" not in said.text


def test_today_is_no_day_of_the_data(capfd, tmp_path):
    folder = Company(tmp_path / "co").write()
    ahead = (dt.date.today() + dt.timedelta(days=900)).isoformat()
    for day in ("2019-01-01", ahead, "soon", "2024-02-30"):
        refused(call(capfd, "check", folder, "--as-of", day), ["as"])
