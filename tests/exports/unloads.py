"""The same company's two tables, unloaded to Parquet from four databases, in the types that arrive; with a mapping.

- bigquery: EXPORT DATA with format PARQUET. NUMERIC has nine decimals; TIMESTAMP has lost its zone, and is UTC ("Parquet
  export details" in BigQuery's documentation).
- snowflake: COPY INTO a stage with TYPE = PARQUET and HEADER = TRUE. Names are in capitals; NUMBER(38,0), which is what a
  whole number is there, is a decimal of 38 digits; TIMESTAMP_NTZ has no zone; times with one cannot be unloaded.
- redshift: UNLOAD with FORMAT PARQUET, into several files of a folder. TIMESTAMPTZ is UTC.
- mysql: by a program that reads its types: tinyint(1) is a number, BIGINT UNSIGNED has no sign, DATETIME is the
  server's time, here Rome's; ENUM is a text with few values.

Everything maps by the ordinary keys, without a query.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from exports.making import NO_MINOR_UNITS, ordinary
from exports.truth import DAY, Life, Span, Truth, truth_of

AS_OF = dt.date(2026, 2, 27)
UTC = dt.UTC
ID = 10**37  # so that ids have 38 digits, more than a float or a 64-bit integer can tell apart
MONTHLY = Span(AS_OF, None, 1990, plan="Monthly", subscription="1")
OFFERS = [
    MONTHLY,
    replace(MONTHLY, price=2800, currency="JPY"),
    replace(MONTHLY, price=17900, interval="year"),
]

MAPPING = """\
time_zone: {zone}
tables:
  customers:
    columns: {{customer_id: {id}, created_at: {created}, is_test: {internal}}}
  subscriptions:
    columns:
      subscription_id: {id}
      customer_id: {customer}
      plan: {plan}
      billing_interval: {interval}
      quantity: {seats}
      currency: {currency}
      status: {state}
      started_at: {begun}
      ended_at: {over}
    money: {{unit_amount_minor: {{from: {price}, unit: major}}}}
    values: {{status: {{on: active, trial: trialing, unpaid: past_due, pause: paused}}}}
"""
NAMES = [
    "id",
    "created",
    "internal",
    "customer",
    "plan",
    "interval",
    "seats",
    "currency",
    "state",
    "begun",
    "over",
    "price",
]


def _lives(rng: Random) -> list[Life]:
    day, on = dt.date, replace(MONTHLY, start=dt.date(2025, 1, 9))
    lives = [
        Life("", (replace(on, end=day(2025, 1, 23), status="trialing"), replace(on, start=day(2025, 1, 23)))),
        Life("", (replace(on, end=day(2025, 1, 23), status="trialing"),)),
        Life("", (replace(on, end=day(2025, 6, 2)), replace(on, start=day(2025, 6, 2), end=day(2025, 6, 20), status="past_due"), replace(on, start=day(2025, 6, 20), quantity=4))),
        Life("", (replace(on, end=day(2025, 6, 2)), replace(on, start=day(2025, 6, 2), end=day(2025, 8, 20), status="paused"), replace(on, start=day(2025, 8, 20)))),
        Life("", (on,), test=True),
    ]  # fmt: skip
    lives += [
        Life("", (ordinary(rng, rng.choice(OFFERS), dt.date(2024, 1, 1), AS_OF, 0.1),)) for _ in range(55)
    ]
    return [replace(life, customer=str(ID + number)) for number, life in enumerate(lives)]


def write(folder: Path, database: str) -> Truth:
    """Write the two tables as a database unloads them, and mapping.yml."""
    lives = _lives(Random(23))
    types, moment, file = _DATABASES[database]
    name: Callable[[str], str] = str.upper if database == "snowflake" else str
    tables: dict[str, dict[str, list[Any]]] = {
        "customers": {
            "id": [int(life.customer) for life in lives],
            "created": [moment(life.spans[0].start - DAY) for life in lives],
            "internal": [life.test for life in lives],
            "company": ["Söhne, & Co." for _ in lives],
        }
    }
    rows = [(life, number, span) for life in lives for number, span in enumerate(life.spans)]
    tables["subscriptions"] = {
        "id": [int(life.customer) for life, _, _ in rows],
        "customer": [int(life.customer) for life, _, _ in rows],
        "plan": [span.plan for _, _, span in rows],
        "interval": [span.interval for _, _, span in rows],
        "seats": [span.quantity for _, _, span in rows],
        "currency": [span.currency for _, _, span in rows],
        "price": [
            Decimal(span.price) / (1 if span.currency in NO_MINOR_UNITS else 100) for _, _, span in rows
        ],
        "state": [
            {"active": "on", "trialing": "trial", "past_due": "unpaid", "paused": "pause"}[span.status]
            for _, _, span in rows
        ],
        "begun": [moment(span.start) for _, _, span in rows],
        "over": [moment(span.end) if span.end else None for _, _, span in rows],
    }
    for table, columns in tables.items():
        arrays = {
            name(column): _typed(values, types.get(column, pa.string())) for column, values in columns.items()
        }
        made = pa.table(arrays)
        for part, path in enumerate(file(folder / table)):
            path.parent.mkdir(parents=True, exist_ok=True)
            half = len(made) // 2
            pieces = [made] if path.parent == folder else [made.slice(0, half), made.slice(half)]
            pq.write_table(pieces[part], path)
    zone = "Europe/Rome" if database == "mysql" else "UTC"
    (folder / "mapping.yml").write_text(
        MAPPING.format(zone=zone, **{key: name(key) for key in NAMES}), encoding="utf-8"
    )
    return truth_of(lives, AS_OF)


def _typed(values: list[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_string(kind):
        return pa.array([None if value is None else str(value) for value in values])
    if pa.types.is_dictionary(kind):
        return pa.array(values).dictionary_encode()
    if pa.types.is_decimal(kind):
        return pa.array([Decimal(value) for value in values], kind)
    return pa.array(values).cast(kind)


def _utc(day: dt.date) -> dt.datetime:
    return dt.datetime(day.year, day.month, day.day, 11, 30, 5)


def _one(path: Path) -> list[Path]:
    return [path.with_suffix(".parquet")]


def _folder(path: Path) -> list[Path]:
    return [path / "0000_part_00.parquet", path / "0001_part_00.parquet"]


# Types by column (text, where none is named), moments, and files.
_MICRO, _WHOLE = pa.timestamp("us"), pa.decimal128(38, 0)
_ZONED = pa.timestamp("us", "UTC")
_DATABASES: dict[str, tuple[dict[str, pa.DataType], Callable[[dt.date], Any], Callable[[Path], list[Path]]]] = {
    "bigquery": (
        {"created": _MICRO, "begun": _MICRO, "over": _MICRO, "internal": pa.bool_(), "seats": pa.int64(), "price": pa.decimal128(38, 9)},
        _utc, _one,
    ),
    "snowflake": (
        {"id": _WHOLE, "customer": _WHOLE, "seats": _WHOLE, "created": pa.timestamp("ns"), "begun": pa.date32(), "over": pa.date32(),
         "internal": pa.bool_(), "price": pa.decimal128(12, 2)},
        _utc, _one,
    ),
    "redshift": (
        {"id": _WHOLE, "customer": _WHOLE, "seats": pa.int32(), "created": _ZONED, "begun": _ZONED, "over": _ZONED, "internal": pa.bool_(),
         "price": pa.decimal128(18, 4)},
        lambda day: _utc(day).replace(tzinfo=UTC), _folder,
    ),
    "mysql": (
        {"created": _MICRO, "begun": _MICRO, "over": _MICRO, "internal": pa.int8(), "seats": pa.uint64(), "price": pa.decimal128(10, 2),
         "state": pa.dictionary(pa.int32(), pa.string()), "interval": pa.dictionary(pa.int32(), pa.string())},
        # Shortly after midnight in Rome it is the day before in UTC.
        lambda day: dt.datetime(day.year, day.month, day.day, 0, 30), _one,
    ),
}  # fmt: skip
DATABASES = tuple(_DATABASES)
