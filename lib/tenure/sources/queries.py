"""Queries of a mapping: one SELECT over what a place holds, which can read nothing else and write nothing."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Collection, Mapping
from functools import partial
from typing import Any

import ibis
import ibis.expr.types as ir
import sqlglot as sg
from sqlglot import exp

from tenure.errors import InputError
from tenure.parameters import nearest
from tenure.sources.address import Address
from tenure.sources.catalog import Catalog, Raw, open_raw
from tenure.sources.convert import Doubt, come_true, plain_text, refuse
from tenure.sources.engine import guarded, keep, may_settle
from tenure.sources.mapping import Looked, as_text
from tenure.sources.places import open_catalog

_WRITES = (exp.DML, exp.DDL, exp.Command, exp.Into, exp.Set, exp.Use)
_DIALECTS = {"pyspark": "spark"}


def where(condition: str, of: str) -> str:
    """Return the query for those rows of a table, or of a query, of which a condition holds.

    Example:
        >>> where("status <> 'incomplete'", "subscriptions")
        "SELECT * FROM subscriptions WHERE (status <> 'incomplete')"
    """
    rows = f"(\n{of.strip().rstrip(';')}\n) AS answer" if " " in of else of
    return f"SELECT * FROM {rows} WHERE ({condition})"


def mapped(value: ir.Value, values: Mapping[str, Any]) -> ir.Value:
    """Their values as ours; one that is not in the map stays as it is."""
    if not values:
        return value
    text = value.cast("string")
    if value.type().is_boolean():  # which is written in many ways
        values = {theirs.lower(): ours for theirs, ours in values.items()}
    branches = [
        (text == theirs, ibis.null("string") if ours is None else ibis.literal(as_text(ours)))
        for theirs, ours in values.items()
        if theirs
    ]
    if values.get("") is not None:
        branches.insert(0, (text.fill_null("").strip() == "", ibis.literal(as_text(values[""]))))
    return ibis.cases(*branches, else_=text) if branches else text


def answers(
    queries: Mapping[str, str],
    inputs: Mapping[str, Looked],
    zone: str,
    catalog: Catalog,
    address: Address,
    notes: list[str],
    faults: list[str],
) -> tuple[dict[str, Raw], set[str]]:
    """Run the queries of a mapping where the data is.

    The embedded engine runs them in a session of their own, which opens the data's files and no others;
    PostgreSQL in a transaction that only reads.

    Args:
        queries: SQL in the dialect of the engine, by the key in the mapping that it stands under, such as
            "tables.customers.query".
        inputs: What queries may read besides the place's own tables. Text is stripped in CSV files, and blank
            text is null.
        zone: The zone of times without one.
        catalog: The place.
        address: Where that is.
        notes: Gets a sentence for each column with values that its `values` do not list.
        faults: Gets a sentence for each query that cannot be run, and for each input that is not as said.

    Returns:
        The answers by key, and which of the place's tables they read.
    """
    engine = catalog.connection.name
    dialect = _DIALECTS.get(engine, engine)
    known = {name.casefold(): name for name in (*catalog.names, *inputs)}
    read: dict[str, set[str]] = {}
    for place, sql in queries.items():
        try:
            names = {known.get(name.casefold(), name) for name in _tables(sql, dialect, place)}
            _refuse_strangers(names, known.values(), catalog, place)
            read[place] = names
        except InputError as error:
            faults.append(str(error))
    # Names that nobody reads are looked at, too: they may be misspelt.
    given = {**{name: Looked() for names in read.values() for name in names}, **inputs}
    session = open_catalog(address) if engine == "duckdb" else catalog
    parts = {}
    for name, one in given.items():
        try:
            parts[name] = _part(name, one, zone, session, notes)
        except InputError as error:
            faults += error.faults or [str(error)]
    if session is not catalog:
        _lock(session, address)
    found = {}
    for place in [place for place, names in read.items() if names <= set(parts)]:
        names = read[place]
        quoted = ", ".join(f"{_quoted(name, dialect)} AS ({parts[name][0]})" for name in sorted(names))
        sql = queries[place].strip().rstrip(";")
        sql = f"{f'WITH {quoted} ' if names else ''}SELECT * FROM (\n{sql}\n) AS answer"
        try:
            rows = guarded(partial(_rows, sql, session, catalog), place)
            found[place] = Raw(rows, any(parts[name][1] for name in names))
        except InputError as error:
            faults.append(str(error))
    if session is not catalog:
        session.connection.disconnect()
    return found, {one.origin or name for name, one in given.items()}


def _tables(sql: str, dialect: str, place: str) -> set[str]:
    """The tables that one SELECT reads; anything else is refused."""
    try:
        statements = [tree for tree in sg.parse(sql, dialect=dialect) if tree is not None]
    except sg.errors.SqlglotError as error:
        at = (getattr(error, "errors", None) or [{}])[0]
        where = f"line {at['line']}: {at['description']}" if at.get("line") else str(error).splitlines()[0]
        raise InputError(f"{place} is not SQL that can be read: {where}. Fix: correct it.") from None
    tree = statements[0] if len(statements) == 1 else None
    if not isinstance(tree, exp.Query) or any(tree.find(kind) for kind in _WRITES):
        raise InputError(
            f"{place} must be one SELECT, which may begin with WITH, and change nothing. "
            f"Fix: leave only that in it."
        )
    own = {cte.alias.casefold() for cte in tree.find_all(exp.CTE)}
    names = set()
    for table in tree.find_all(exp.Table):
        if isinstance(table.this, exp.Func) and not isinstance(table.this, exp.GenerateSeries):
            raise InputError(
                f"{place} reads from {table.this.sql(dialect)[:60]}, and may read only tables of the "
                f"data. Fix: name them under `inputs`."
            )
        name = ".".join(part.name for part in table.parts)
        if isinstance(table.this, exp.Identifier) and name.casefold() not in own:
            names.add(name)
    return names


def _refuse_strangers(names: set[str], known: Collection[str], catalog: Catalog, place: str) -> None:
    for name in sorted(names - set(known)):
        if not catalog.may_have(name):
            like = nearest(name, known)
            hint = f"is {like!r} meant?" if like else f"use one of {', '.join(sorted(known)[:12])}."
            raise InputError(f"{place}: there is no table {name!r} to read. Fix: {hint}")


def _part(name: str, given: Looked, zone: str, catalog: Catalog, notes: list[str]) -> tuple[str, bool]:
    """The SELECT that an input is, and whether it is of text; refused where it is not as said."""
    engine: Any = catalog.connection
    origin = given.origin or name
    if not catalog.may_have(origin):
        if given.absent == "allowed":
            nulls = [exp.cast(exp.null(), "text").as_(column, quoted=True) for column in given.columns]
            nothing = sg.select(*nulls).where(exp.false())
            return nothing.sql(_DIALECTS.get(engine.name, engine.name)), False
        like = nearest(origin, catalog.names)
        hint = f"is {like!r} meant?" if like else f"use one of {', '.join(catalog.names[:12])}."
        raise InputError(f"inputs.{name}.from: {catalog.url} has no {origin!r}. Fix: {hint}")
    raw = open_raw(catalog, origin, given.encoding)
    table = raw.table
    chosen = given.columns or {column: column for column in table.columns}
    absent = {theirs: ours for ours, theirs in chosen.items() if theirs not in table.columns}
    if lacking := [
        f"{theirs!r} (as {ours})" for theirs, ours in absent.items() if ours not in given.optional
    ]:
        raise InputError(
            f"inputs.{name}.columns: {origin} has no column {', '.join(lacking)}; it has "
            f"{', '.join(table.columns[:30])}. Fix: name its own columns for these."
        )
    table = table.mutate(**dict.fromkeys(absent, ibis.null("string")))
    values = {ours: mapped(table[theirs], given.values.get(ours, {})) for ours, theirs in chosen.items()}
    if raw.text:
        texts = {ours: value for ours, value in values.items() if value.type().is_string()}
        texts, doubts = plain_text(texts, given, zone)
        values |= texts
        guarded(lambda: refuse(table, f"inputs.{name}", doubts))
    rows = table.select(**values)
    if raw.text:
        rows = guarded(lambda: keep(engine, rows), origin)
    doubts = []
    for column in [name for name in given.values if name in values]:
        words = [as_text(ours) for ours in given.values[column].values() if ours is not None]
        text = rows[column].cast("string")
        says = "have a value that `values` does not list"
        fix = f"list it: `values: {{{column}: {{theirs: ours}}}}`, with null for what is to be left aside"
        doubts.append(Doubt(column, text, text.notin(words) & (text.strip() != ""), says, fix))
    notes += guarded(lambda: come_true(rows, f"inputs.{name}", doubts), origin)
    return engine.compile(rows), raw.text


def _lock(catalog: Catalog, address: Address) -> None:
    """Let a session of the embedded engine open the data's files and no others, for good."""
    path = address.path
    files = [] if path is None else [path] if path.is_file() else sorted(path.rglob("*"))
    listed = ", ".join("'" + str(file).replace("'", "''") + "'" for file in files)
    catalog.connection.raw_sql(f"SET allowed_paths = [{listed}]")
    catalog.connection.raw_sql("SET enable_external_access = false")
    catalog.connection.raw_sql("SET lock_configuration = true")


def _rows(sql: str, session: Catalog, catalog: Catalog) -> ir.Table:
    engine: Any = catalog.connection
    name = f"asked_{uuid.uuid4().hex[:8]}"
    if session is not catalog:
        reader = session.connection.con.execute(sql).to_arrow_reader(100_000)
        engine.con.register("answer_of_query", reader)
        try:
            engine.con.execute(f"CREATE TEMPORARY TABLE {name} AS SELECT * FROM answer_of_query")
        finally:
            engine.con.unregister("answer_of_query")
        return engine.table(name)
    if engine.name == "postgres" and may_settle(engine):
        with tempfile.SpooledTemporaryFile(max_size=2**24) as file, engine.con.cursor() as cursor:
            with engine.con.transaction():
                cursor.execute("SET TRANSACTION READ ONLY")
                with cursor.copy(f"COPY ({sql}) TO STDOUT") as rows:
                    for part in rows:
                        file.write(part)
            file.seek(0)
            cursor.execute(f"CREATE TEMPORARY TABLE {name} AS SELECT * FROM ({sql}) AS shape LIMIT 0")
            with cursor.copy(f"COPY {name} FROM STDIN") as rows:
                while part := file.read(2**16):
                    rows.write(part)
        return engine.table(name)
    return engine.sql(sql)


def _quoted(name: str, dialect: str) -> str:
    return exp.to_identifier(name, quoted=True).sql(dialect)
