"""Lists of customers for other systems, such as a CRM: a row a customer, from what reports have exported.

What counts are the published segments, and every exported CSV file with a column customer_id beside another
one of `COLUMNS`. A list replaces the one before as a whole or not at all.
"""

from __future__ import annotations

import csv
import os
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb

from tenure import legible
from tenure.errors import InputError, writing
from tenure.money import minor_exponent
from tenure.paths import typed
from tenure.privacy import protect
from tenure.sources.address import Address
from tenure.sources.engine import guarded

COLUMNS = dict.fromkeys(("customer_id", "segment", "score", "value", "currency", "next_action"), "text")
COLUMNS |= dict.fromkeys(("score", "value"), "double precision")
_TYPED = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
_CSV = "read_csv(?, all_varchar = true, header = true, delim = ',', quote = '\"', escape = '\"')"
READ = {".csv": _CSV, ".parquet": "read_parquet(?)"}
# The scheme that other reports take, on its last day.
_SEGMENTS = """
SELECT customer_id, segment, next_action FROM read_parquet(?) LEFT JOIN actions USING (segment)
QUALIFY scheme = first(scheme) OVER (ORDER BY scheme <> 'behavior', scheme <> 'rfm')
AND as_of = max(as_of) OVER (PARTITION BY scheme)
"""


def customer_list(folders: Sequence[Path]) -> Any:
    """Put together what reports say of each customer, in major units of money.

    Args:
        folders: Those that the reports exported to. Where two say different things, the first counts.

    Returns:
        A connection of DuckDB with the table `list`, whose columns are `COLUMNS`.

    Raises:
        InputError: No report says anything of single customers.
    """
    rows = duckdb.connect()
    rows.execute(f"CREATE TABLE parts ({_TYPED}, rank integer)")
    for rank, folder in enumerate(folders):
        insert = f"INSERT INTO parts BY NAME SELECT *, {rank} AS rank FROM "
        rows.execute("CREATE OR REPLACE TABLE actions (segment text, next_action text)")
        for path in sorted(folder.glob("*.csv")):
            with path.open(encoding="utf-8", newline="") as file:
                header = next(csv.reader(file), [])
            found = {name: name for name in COLUMNS if name in header}
            if "score" not in found and "stays_a_year" in header:
                found["score"] = "stays_a_year"
            exact = f"regexp_replace({{}}, '{legible.KEPT.replace(chr(39), chr(39) * 2)}', '\\1')"
            chosen = ", ".join(
                f"try_cast({exact.format(own)} AS {COLUMNS[name]}) AS {name}" for name, own in found.items()
            )
            if "customer_id" in found and len(found.keys() - {"currency"}) > 1:
                rows.execute(f"{insert} (SELECT {chosen} FROM {_CSV})", [str(path)])
            elif {"segment", "next_action"} <= found.keys():
                rows.execute(f"INSERT INTO actions SELECT segment, next_action FROM {_CSV}", [str(path)])
        if (path := folder / "segments.parquet").is_file():
            rows.execute(f"{insert} ({_SEGMENTS})", [str(path)])
    for (currency,) in rows.execute("SELECT DISTINCT currency FROM parts WHERE currency <> ''").fetchall():
        scale = [10 ** minor_exponent(currency), currency]
        rows.execute("UPDATE parts SET value = value / ? WHERE currency = ?", scale)
    firsts = ", ".join(f"arg_min({name}, rank) AS {name}" for name in list(COLUMNS)[1:])
    known = "FROM parts WHERE customer_id <> '' GROUP BY customer_id ORDER BY customer_id"
    rows.execute(f"CREATE TABLE list AS SELECT customer_id, {firsts} {known}")
    if not rows.table("list").shape[0]:
        raise InputError(
            "No published report says anything of single customers. Fix: run segmentation or clv, or export "
            "a table with a column customer_id from a workbook of your own."
        )
    return rows


def write_list(rows: Any, target: str, table: str) -> str:
    """Write the table `list` of a connection, and return where, safe to show.

    Args:
        rows: What :func:`customer_list` returned.
        target: A path that ends in .csv or .parquet, or postgres://….
        table: The database's table, such as crm.subscribers. Its rows are replaced in one transaction.

    Raises:
        InputError: It cannot be written there, or the table has other columns.
    """
    address = Address.read(typed(target))
    path = address.path
    if path is not None and path.suffix in (".csv", ".parquet"):
        draft = path.with_name(f".{uuid.uuid4().hex[:8]}{path.suffix}")
        with writing(path, "name a file in a folder that can be"):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                place = str(draft).replace("'", "''")
                guarded(lambda: rows.execute(f"COPY list TO '{place}'"), path.name)
                protect(draft, COLUMNS)
                os.replace(draft, path)
            finally:
                draft.unlink(missing_ok=True)
        return str(path)
    if not target.startswith(("postgres://", "postgresql://")):
        raise InputError(
            f"{address.shown} is no place for a list. Fix: name a .csv or .parquet file, or a database, "
            "'postgres://me:${PGPASSWORD}@host/crm'."
        )
    from tenure.sources.databases import open_database

    database: Any = open_database(address).connection
    try:
        guarded(lambda: _replace(database.con, table, rows), table)
    finally:
        database.disconnect()
    return f"the table {table} of {address.shown}"


def _replace(connection: Any, table: str, rows: Any) -> None:
    """Replace the rows of PostgreSQL's table, which is made if need be; views of it stay."""
    place = ".".join('"' + part.replace('"', '""') + '"' for part in table.split("."))
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE IF NOT EXISTS {place} ({_TYPED})")
        found = [column.name for column in cursor.execute(f"SELECT * FROM {place} LIMIT 0").description]
        if found != list(COLUMNS):
            raise InputError(
                f"The table {table} has the columns {', '.join(found)}, and a list has {', '.join(COLUMNS)}. "
                "Fix: name another table with --table."
            )
        cursor.execute(f"DELETE FROM {place}")
        every = rows.execute("FROM list")
        with cursor.copy(f"COPY {place} FROM STDIN") as copy:
            while several := every.fetchmany(10_000):
                for row in several:
                    copy.write_row(row)
