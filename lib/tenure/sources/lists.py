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

from tenure.errors import InputError, writing
from tenure.money import minor_exponent
from tenure.paths import typed
from tenure.sources.address import Address
from tenure.sources.engine import guarded

COLUMNS = dict.fromkeys(("customer_id", "segment", "score", "value", "currency", "next_action"), "text")
COLUMNS |= dict.fromkeys(("score", "value"), "double precision")
# Which columns of exports count; the first that is there.
_NAMES = {name: (name,) for name in COLUMNS} | {"score": ("score", "stays_a_year")}
_TYPED = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
_CSV = "read_csv(?, all_varchar = true, header = true, delim = ',', quote = '\"', escape = '\"')"


def customer_list(folders: Sequence[Path]) -> Any:
    """Put together what reports say of each customer.

    Where two reports say different things of a customer, the first counts. Money is in major units.

    Args:
        folders: Those that the reports exported to, in order.

    Returns:
        A connection of DuckDB with the table `list`, whose columns are `COLUMNS`.

    Raises:
        InputError: No report says anything of single customers.
    """
    rows = duckdb.connect()
    rows.execute(f"CREATE TABLE parts (rank integer, {_TYPED})")
    for rank, folder in enumerate(folders):
        rows.execute("CREATE OR REPLACE TEMP TABLE actions (segment text, next_action text)")
        for path in sorted(folder.glob("*.csv")):
            with path.open(encoding="utf-8", newline="") as file:
                found = set(next(csv.reader(file), []))
            known = {name: one for name, names in _NAMES.items() for one in reversed(names) if one in found}
            if "customer_id" in known and len(set(known) - {"currency"}) > 1:
                chosen = ", ".join(
                    f"try_cast({one} AS {COLUMNS[name]}) AS {name}" for name, one in known.items()
                )
                insert = f"INSERT INTO parts BY NAME SELECT {rank} AS rank, {chosen} FROM {_CSV}"
                rows.execute(insert, [str(path)])
            elif {"segment", "next_action"} <= known.keys():
                rows.execute(f"INSERT INTO actions SELECT segment, next_action FROM {_CSV}", [str(path)])
        if (path := folder / "segments.parquet").is_file():
            # The scheme that other reports take, on its last day.
            rows.execute(
                f"INSERT INTO parts BY NAME SELECT {rank} AS rank, customer_id, segment, next_action "
                "FROM read_parquet(?) LEFT JOIN actions USING (segment) "
                "QUALIFY scheme = first(scheme) OVER (ORDER BY scheme <> 'behavior', scheme <> 'rfm') "
                "AND as_of = max(as_of) OVER (PARTITION BY scheme)",
                [str(path)],
            )
    for (currency,) in rows.execute("SELECT DISTINCT currency FROM parts").fetchall():
        exponent = minor_exponent(currency) if currency else 0
        rows.execute("UPDATE parts SET value = value / 10 ** ? WHERE currency = ?", [exponent, currency])
    firsts = ", ".join(f"arg_min({name}, rank) AS {name}" for name in list(COLUMNS)[1:])
    rows.execute(
        f"CREATE TABLE list AS SELECT customer_id, {firsts} FROM parts WHERE customer_id IS NOT NULL "
        "GROUP BY customer_id ORDER BY customer_id"
    )
    if not rows.table("list").shape[0]:
        raise InputError(
            "No published report says anything of single customers. Fix: run segmentation or clv, or export "
            "a table with a column customer_id from a workbook of your own."
        )
    return rows


def write_list(rows: Any, target: str, table: str) -> str:
    """Write the table `list` of a connection to a file, or into a table of a database.

    Args:
        rows: What :func:`customer_list` returned.
        target: A path that ends in .csv or .parquet, a .duckdb file, or postgres://….
        table: The database's table, such as crm.subscribers. Its rows are replaced in one transaction.

    Returns:
        Where it was written, safe to show.

    Raises:
        InputError: It cannot be written there, or the table has other columns.
    """
    address = Address.read(typed(target))
    path, place = address.path, ".".join('"' + part.replace('"', '""') + '"' for part in table.split("."))
    if path is not None and path.suffix in (".csv", ".parquet"):
        draft = path.with_name(f".{path.stem}-{uuid.uuid4().hex[:8]}{path.suffix}")
        with writing(path, "name a file in a folder that can be"):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                guarded(lambda: rows.execute(f"COPY list TO '{_text(draft)}'"), path.name)
                os.replace(draft, path)
            finally:
                draft.unlink(missing_ok=True)
        return str(path)
    if path is not None and path.suffix == ".duckdb":
        guarded(lambda: rows.execute(f"ATTACH '{_text(path)}' AS target"), table)
        guarded(lambda: _replace(rows, f"target.{place}", rows), table)
    elif target.startswith(("postgres://", "postgresql://")):
        from tenure.sources.databases import open_database

        opened: Any = open_database(address).connection
        try:
            opened.con.rollback()
            opened.con.autocommit = True
            guarded(lambda: _replace(opened.con, place, rows), table)
        finally:
            opened.disconnect()
    else:
        raise InputError(
            f"{address.shown} is no place for a list. Fix: name a .csv, a .parquet or a .duckdb file, or a "
            "database such as 'postgres://me:${PGPASSWORD}@host/crm'."
        )
    return f"the table {table} of {address.shown}"


def _text(path: Path) -> str:
    return str(path).replace("'", "''")


def _replace(database: Any, place: str, rows: Any) -> None:
    """Replace a table's rows in one transaction; a table that is not there is made."""
    database.execute("BEGIN")
    try:
        database.execute(f"CREATE TABLE IF NOT EXISTS {place} ({_TYPED})")
        found = [column[0] for column in database.execute(f"SELECT * FROM {place} LIMIT 0").description]
        if found != list(COLUMNS):
            raise InputError(
                f"The table {place} has the columns {', '.join(found)}, and a list has {', '.join(COLUMNS)}. "
                "Fix: name another table with --table."
            )
        database.execute(f"DELETE FROM {place}")
        if database is rows:
            database.execute(f"INSERT INTO {place} FROM list")
        else:
            with database.cursor() as cursor, cursor.copy(f"COPY {place} FROM STDIN") as copy:
                every = rows.execute("FROM list")
                while several := every.fetchmany(10_000):
                    for row in several:
                        copy.write_row(row)
        database.execute("COMMIT")
    except BaseException:
        database.execute("ROLLBACK")
        raise
