"""Databases that Ibis connects to: PostgreSQL as we know it, and whatever else it reads.

Each error of a driver becomes one sentence, without the password.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir
import sqlglot as sg
from ibis.util import backend_entry_points

from tenure.errors import InputError
from tenure.parameters import nearest
from tenure.sources import spark
from tenure.sources.address import Address
from tenure.sources.catalog import Catalog, raw_table
from tenure.sources.engine import first_line

# What our own extras install, from a clone; the rest comes with the extras of Ibis.
_EXTRAS = {"postgres": "--editable '.[postgres]'", "pyspark": "--editable '.[spark]'"}
_ALIASES = {"postgresql": "postgres", "spark": "pyspark", "sc": "pyspark"}


def open_database(address: Address) -> Catalog:
    """Find the tables of a database, without reading them.

    Raises:
        InputError: The kind of database is not known, its driver is not installed, or it cannot be reached.
    """
    shown = address.shown
    scheme, _, rest = address.filled.partition("://")
    kind = _ALIASES.get(scheme.lower(), scheme.lower())
    known = {entry.name for entry in backend_entry_points()} | set(_ALIASES)
    if kind not in known:
        like = nearest(scheme, known)
        raise InputError(
            f"{scheme}:// is not a kind of database that can be read"
            + (f"; is {like}:// meant?" if like else ".")
            + " Fix: give a folder, a .duckdb file or a database's URL such as postgres://host/name."
        )
    message = ""
    try:
        if kind == "pyspark":
            return spark.open_spark(address.filled, shown)
        connection: Any = ibis.connect(f"{kind}://{rest}")
        connection.compile = partial(_compile, connection)
        names = _of_postgres(connection, shown) if kind == "postgres" else sorted(connection.list_tables())
    except InputError as error:
        message = address.hide(str(error))
    except ImportError as error:
        package = getattr(error.__cause__ or error, "name", None) or kind
        extra = _EXTRAS.get(kind, f"'ibis-framework[{kind}]'")
        message = (
            f"Reading {scheme}:// needs the package {package!r}, which is not installed. "
            f"Fix: .venv/bin/pip install {extra}, in the project's folder."
        )
    except Exception as error:  # drivers share no class of errors
        message = (
            f"{shown} cannot be reached: {address.hide(first_line(error))}. "
            f"Fix: check the address, that the server runs, and the user's password in the environment."
        )
    if message:
        # Raised out here so that no driver's error, which may hold the address, stays attached to ours.
        raise InputError(message)
    read = _bytewise if kind == "postgres" else lambda _, table: table
    found = partial(raw_table, connection, shown, read)
    return Catalog(connection, shown, tuple(names), found, whole=False)


def _compile(connection: Any, expr: ir.Expr, /, *, limit: Any = None, params: Any = None, **_: Any) -> str:
    """Compile as Ibis does, from a copy of the query's tree.

    Ibis puts one and the same join into every query that joins alike, and where a dialect rewrites semi-joins
    the rewriting of one query then takes the join out of another, which counts too much without an error.
    """
    query = connection.compiler.to_sqlglot(expr, limit=limit, params=params)
    return query.copy().sql(dialect=connection.dialect, unsupported_level=sg.ErrorLevel.RAISE)


def _of_postgres(connection: Any, shown: str) -> list[str]:
    """Tables, views and materialized views of the current schema, read as our queries like it."""
    with connection.con.cursor() as cursor:
        # The planner underestimates our groups and then loops over millions of rows.
        cursor.execute("SET enable_nestloop = off")
        # Compiling a query of a hundred expressions takes longer than it saves.
        cursor.execute("SET jit = off")
        schema = cursor.execute("SELECT current_schema()").fetchone()[0]
        if schema is None:
            connection.disconnect()
            raise InputError(
                f"{shown} names a schema that does not exist, or that may not be used. "
                f"Fix: correct it (postgres://host/database/schema), or ask for the right to use it."
            )
        rows = cursor.execute(
            "SELECT relname FROM pg_catalog.pg_class"
            " WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f')"
        ).fetchall()
    return sorted(name for (name,) in rows)


def _bytewise(connection: Any, table: ir.Table) -> ir.Table:
    """Compare text byte by byte, as the other engines do, whatever collation the database has."""
    op, schema = table.op(), table.schema()
    columns = [_quoted(name) + ' COLLATE "C"' * kind.is_string() for name, kind in schema.items()]
    place = ".".join(_quoted(part) for part in (op.namespace.database, op.name) if part)
    return ops.SQLQueryResult(f"SELECT {', '.join(columns)} FROM {place}", schema, connection).to_expr()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
