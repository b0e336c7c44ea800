"""Open somebody's data as contract tables, in the engine where they are.

A folder of Parquet or CSV files is read by an embedded DuckDB; a DuckDB file is attached read only, so
that nobody is locked out; anything else is a database that Ibis connects to. A password comes from the
environment and is never shown.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import ibis
import ibis.expr.types as ir
import pandas as pd
from filelock import FileLock

from tenure.contract import BY_NAME, TABLES, Table, is_taken
from tenure.errors import InputError, NotApplicable, all_faults, in_a_sentence
from tenure.parameters import nearest
from tenure.privacy import protect
from tenure.sources.address import Address
from tenure.sources.catalog import Catalog, Raw
from tenure.sources.convert import Reading, conform, infer
from tenure.sources.counting import count, doing, timed
from tenure.sources.engine import guarded, keep, may_settle, named, read_files
from tenure.sources.mapped import map_tables
from tenure.sources.mapping import Mapping as MappingFile
from tenure.sources.mapping import in_mapping, read_mapping
from tenure.sources.places import open_catalog
from tenure.sources.published import published_file, published_table
from tenure.sources.results import kept, save

# An id, a time and a flag: the customers' columns that say nothing to compare groups by.
_NOT_ATTRIBUTES = {"customer_id", "created_at", "is_test", "parent_id", "owner"}

_MOST_ATTRIBUTES = 100


@dataclass(frozen=True, eq=False, repr=False)
class Source(Mapping[str, ir.Table]):
    """Contract tables, as Ibis tables of the engine that holds them.

    Every column of the contract is there with the contract's type; ids are text, times are what the clocks
    of the company's zone showed. A table that is absent or has no rows is not in the mapping.

    Attributes:
        tables: The tables by their contract name.
        connection: The Ibis backend that reads them.
        url: Where the data is; safe to show.
        attributes: Columns of customers to compare groups by.
        dated: Whether the dates are real; False for a snapshot, which knows only durations.
        observed_from: Customers who churned before this day are not in the data; None: all are.
        observed_until: The last day that the data covers; None: only what happened tells.
        notes: What was left aside while opening, a sentence each.
        left_out: How many rows the mapping leaves out, by table.
        snapshot_day: The day a snapshot was taken; None where the data has dates of its own.
        mark: A digest of the place, names, sizes and times of the files, of the mapping and of the zone: it
            changes when the data does; None for a database, or where there are no files.
        time_zone: The zone in which the company counts days.
        settles: Whether the engine lets us make temporary tables.
        settled: What measures have had the engine compute once, by what it is (see `settle`).
        facts: Which tables have rows, by what they are (see `some`).
        stand_ins: What stands in, outside the mapping, for required tables that an experiment does not need:
            the units as customers, and no subscriptions.
    """

    tables: Mapping[str, ir.Table]
    connection: ibis.BaseBackend
    url: str
    attributes: tuple[str, ...] = ()
    dated: bool = True
    observed_from: dt.date | None = None
    observed_until: dt.date | None = None
    notes: tuple[str, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)
    snapshot_day: dt.date | None = None
    mark: str | None = None
    time_zone: str = "UTC"
    settles: bool = True
    settled: dict[Hashable, ir.Table] = field(default_factory=dict)
    stand_ins: Mapping[str, ir.Table] = field(default_factory=dict)
    facts: dict[Hashable, Collection[str]] = field(default_factory=dict)

    def __getitem__(self, name: str) -> ir.Table:
        if name in self.tables or name in self.stand_ins:
            return self.tables[name] if name in self.tables else self.stand_ins[name]
        if name in BY_NAME:
            raise NotApplicable(f"{self.url} has no table {name!r}.")
        like = nearest(name, BY_NAME)
        raise InputError(f"There is no contract table {name!r}" + (f"; is {like!r} meant?" if like else "."))

    def __iter__(self) -> Iterator[str]:
        return iter(self.tables)

    def __len__(self) -> int:
        return len(self.tables)

    def __contains__(self, name: object) -> bool:
        return name in self.tables

    def __repr__(self) -> str:
        return f"Source({self.url!r}: {', '.join(self.tables)})"

    def require(self, *names: str) -> None:
        """Raise NotApplicable, in one sentence, unless all these tables are there."""
        if absent := [name for name in names if name not in self.tables]:
            listed = absent[0] if len(absent) == 1 else f"{', '.join(absent[:-1])} and {absent[-1]}"
            tables = "tables" if len(absent) > 1 else "table"
            raise NotApplicable(f"This question needs the {tables} {listed}, which {self.url} does not have.")

    def instead(self, tables: Mapping[str, ir.Table | None]) -> Source:
        """Return a source with other tables, or without those that are None; each settles its own."""
        # What is known of subscriptions holds until they are others.
        facts = {} if "subscriptions" in tables else self.facts
        kept = {name: table for name, table in {**self.tables, **tables}.items() if table is not None}
        # What reports share is made from any table but that of segments.
        mark = self.mark if set(tables) <= {"segments"} else None
        return replace(self, tables=kept, settled={}, facts=facts, mark=mark)

    def settle(self, key: Hashable, make: Callable[[], ir.Table], *, share: bool = False) -> ir.Table:
        """Have the engine compute a table once, for all measures of this source that are made from it.

        It is a temporary table, gone with the source. Where the engine refuses one, as a replica does, it is
        computed each time it is used, and `tenure.sources.checks.check` says so.

        Args:
            key: What it is, such as a name with a day and a policy.
            make: Makes the expression, where it is not there yet.
            share: Whether the reports of a run may share it (see `shared`).
        """
        if not self.settles:
            return make()
        if key not in self.settled:
            file = self.shared(key, ".parquet") if share else None
            self.settled[key] = self._shared(file, make) if file else self._made(make)
            count("settled")
        return self.settled[key]

    def _made(self, make: Callable[[], ir.Table]) -> ir.Table:
        with doing("building"):
            table = make()
        with doing("running"):
            return guarded(lambda: kept(table))

    def shared(self, key: Hashable, ending: str) -> Path | None:
        """Return the file in which the reports of a run share what the data and the key alone decide.

        The run names their folder in TENURE_SHARED. None: there is none, or it cannot be known whether the
        data has changed.
        """
        folder = os.environ.get("TENURE_SHARED")
        told = hashlib.sha256(f"{self.mark} {key}".encode()).hexdigest()[:16]
        return Path(folder) / f"{told}{ending}" if folder and self.mark else None

    def _shared(self, file: Path, make: Callable[[], ir.Table]) -> ir.Table:
        """What the first report of a run has settled; who needs it meanwhile waits."""
        with suppress(OSError):  # without the folder each report settles its own
            file.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(file.with_suffix(".lock")):
                if file.is_file():
                    return self._made(lambda: read_files(self.connection, (file,), "settled"))
                table = self._made(make)
                with suppress(InputError):  # nor does it need that there is room for it
                    save(table, file)
                    protect(file, ["customer_id"])
                return table
        return self._made(make)

    def stage(self, key: Hashable, make: Callable[[], ir.Table]) -> ir.Table:
        """Give an expression a name in the engine, once, so that what is built on it compiles fast.

        Args:
            key: What it is, such as a name with a day and a policy.
            make: Makes the expression, where it is not there yet.
        """
        if not self.settles:
            return make()
        if key not in self.settled:
            self.settled[key] = guarded(lambda: named(self.connection, make()))
        return self.settled[key]

    def some(self, key: Hashable, make: Callable[[], Mapping[str, ir.Table]]) -> Collection[str]:
        """Return which tables have any rows, asked once for all: what is rare need cost nothing elsewhere.

        Args:
            key: What they are.
            make: Makes the expressions by name, where they have not been asked yet.
        """
        if key not in self.facts:
            found = [table.limit(1).select(name=ibis.literal(name)) for name, table in make().items()]
            self.facts[key] = set(collect(ibis.union(*found))["name"])
        return self.facts[key]

    def first_day(self) -> dt.date:
        """Return the day the first subscription began."""
        return self._days[0]

    def last_day(self) -> dt.date:
        """Return the last day that the data covers, which is `observed_until` where it is given.

        Else it is the last day on which something happened: the latest of the subscriptions' starts, requests
        to cancel, payments and events, days after today left out. An end may lie ahead, so ends count only
        where there are neither payments nor events to go by, and not where they were asked for before; one at
        midnight belongs to the day before it.
        """
        return self._days[1]

    def today(self) -> dt.date:
        """Return the day that it is in the company's zone."""
        return dt.datetime.now(ZoneInfo(self.time_zone)).date()

    @cached_property
    def _days(self) -> tuple[dt.date, dt.date]:
        spans = self["subscriptions"]
        if "subscriptions" in self.stand_ins:
            times = dict.fromkeys(("started_at", "ended_at", "cancel_requested_at"), ibis._.assigned_at)
            spans = self["assignments"].mutate(**times)
        tomorrow = midnight(self.today() + dt.timedelta(days=1))
        starts = spans.started_at
        planned = (spans.cancel_requested_at < spans.ended_at).fill_null(False)
        # PostgreSQL and DuckDB know infinite times, Python does not.
        starts = starts.between(midnight(dt.date(1, 1, 1)), midnight(dt.date(9999, 1, 1))).ifelse(
            starts, ibis.null("timestamp")
        )
        found = _facts(
            spans,
            first=starts.min(),
            latest=starts.max(),
            last=starts.max(where=starts < tomorrow),
            asked=spans.cancel_requested_at.max(where=spans.cancel_requested_at < tomorrow),
            end=spans.ended_at.max(where=(spans.ended_at <= tomorrow) & ~planned),
        )
        if found["first"] is None:
            raise InputError(
                f"subscriptions.started_at: {self.url} has no value in it. Fix: fill the column in."
            )
        if until := self.snapshot_day or self.observed_until:
            return found["first"].date(), until
        seen = [found["last"], found["asked"]]
        for name, column in (("payments", "attempted_at"), ("events", "occurred_at")):
            if name in self.tables:
                times = self[name][column]
                seen.append(_facts(self[name], last=times.max(where=times < tomorrow))["last"])
        if len(seen) == 2 and found["end"] is not None:
            seen.append(found["end"] - dt.timedelta(microseconds=1))
        # Data that lies wholly ahead, such as a simulation, is taken at its word.
        last = max((time for time in seen if time is not None), default=found["latest"])
        return found["first"].date(), last.date()


@in_a_sentence()
def open_source(
    data: str | Path,
    mapping: str | Path = "",
    time_zone: str = "",
    observed_until: dt.date | None = None,
) -> Source:
    r"""Open data as contract tables.

    Args:
        data: A folder that holds, for each table, ``<table>.parquet``, ``<table>.csv`` or a folder
            ``<table>/`` of such files; a ``.duckdb`` file; one CSV or Parquet file that the mapping
            makes tables of; or a database's URL (``postgres://me:${PGPASSWORD}@host/shop``), in which
            ``${NAME}`` stands for an environment variable. Relative paths count from the project's
            root.
        mapping: A YAML file that turns other columns into the contract's; see
            data/mappings/example.yml. Empty: the columns are the contract's already.
        time_zone: The zone in which the company counts days; empty: the one that the mapping names, else
            UTC.
        observed_until: The last day that the data covers; None: the one that the mapping names, else the last
            on which something happened.

    Returns:
        The source.

    Raises:
        InputError: What is wrong with the place, a table or a column, in one sentence.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "customers.csv").write_text("customer_id,created_at\nC1,2024-01-31\n")
        >>> _ = (folder / "subscriptions.csv").write_text(
        ...     "subscription_id,customer_id,plan,billing_interval,unit_amount_minor,currency,status,"
        ...     "started_at,ended_at\nS1,C1,Basic,month,999,EUR,active,2024-02-01,\n"
        ... )
        >>> source = open_source(folder)
        >>> sorted(source)
        ['customers', 'subscriptions']
        >>> source.last_day()
        datetime.date(2024, 2, 1)
    """
    plan, faults = read_mapping(mapping) if str(mapping) else (MappingFile(), [])
    in_file = len(faults)
    address = Address.read(data)
    catalog = open_catalog(address)
    try:
        source = _contract_tables(catalog, address, plan, time_zone, faults)
    except InputError as error:
        if catalog.connection.name != "pyspark":  # whose session is shared by whatever this process opens
            catalog.connection.disconnect()
        raise in_mapping(mapping, list(error.faults)) if in_file else error from None
    return replace(source, observed_until=observed_until or source.observed_until)


def _contract_tables(
    catalog: Catalog, address: Address, plan: MappingFile, time_zone: str, faults: list[str]
) -> Source:
    if catalog.sole and plan == MappingFile() and not faults:
        raise InputError(
            f"{catalog.url} is a single file, and only a mapping can say how it becomes customers and "
            f"subscriptions. Fix: give a mapping, such as data/mappings/telco.yml."
        )
    timed(catalog.connection)
    # A snapshot's dates are made of durations.
    zone = "UTC" if plan.snapshot else time_zone or plan.zone or "UTC"
    notes: list[str] = []
    left_out: dict[str, int] = {}
    in_file, mark = len(faults), _mark(address, plan, zone)
    found, used = map_tables(plan, catalog, address, notes, left_out, faults)
    if in_file:
        raise all_faults(faults)
    for name in catalog.names:
        if name in BY_NAME and name not in found and name not in used:
            found[name] = (catalog.open(name), Reading(time_zone=plan.time_zone or "UTC"))
    for name, report in plan.published.items():
        found[name] = (Raw(published_table(catalog.connection, report, name)), Reading())
    _note_strays(catalog, found, used, notes)

    settles = guarded(partial(may_settle, catalog.connection))
    tables: dict[str, ir.Table] = {}
    attributes: tuple[str, ...] = ()
    for contract in TABLES:
        if contract.name not in found:
            if contract.required and "assignments" not in found and not faults:
                faults.append(_absent(contract.name, catalog))
            continue
        raw, reading = found[contract.name]
        if not guarded(raw.table.limit(1).count().to_pyarrow, contract.name).as_py():
            if contract.required:
                faults.append(
                    f"{contract.name}: the table in {catalog.url} has no rows. "
                    f"Fix: put the {contract.name} in."
                )
            notes.append(f"{contract.name}: the table has no rows and counts as absent.")
            continue
        reading = replace(reading, reporting_zone=zone)
        build = partial(_build, raw, reading, contract, catalog.connection, notes, settles)
        try:
            tables[contract.name] = guarded(build, contract.name)
        except InputError as error:
            faults += error.faults or [str(error)]
            continue
        if contract.name == "customers":
            absent = set(contract.column_names) - set(raw.table.columns)
            attributes = tuple(
                name for name in tables[contract.name].columns if name not in _NOT_ATTRIBUTES | absent
            )
    lacking = [contract for contract in TABLES if contract.required and contract.name not in tables]
    if lacking and "assignments" not in tables and not faults:
        faults.append(_absent(lacking[0].name, catalog))
    if faults:
        raise all_faults(faults)
    return Source(
        tables=tables,
        stand_ins={contract.name: _stand_in(contract, tables["assignments"]) for contract in lacking},
        connection=catalog.connection,
        url=catalog.url,
        attributes=attributes,
        dated=plan.snapshot is None,
        observed_from=plan.observed_from,
        observed_until=plan.observed_until,
        notes=tuple(notes),
        left_out=left_out,
        settles=settles,
        snapshot_day=plan.snapshot.as_of if plan.snapshot else None,
        mark=mark if mark == _mark(address, plan, zone) else None,  # files that change meanwhile have none
        time_zone=zone,
    )


def _stand_in(contract: Table, assignments: ir.Table) -> ir.Table:
    """The units of experiments as customers; of any other table no row."""
    whose = assignments.customer_id.fill_null(assignments.unit_id)
    rows = assignments.group_by(customer_id=whose).agg(created_at=assignments.assigned_at.min())
    rows = rows if contract.name == "customers" else rows.filter(rows.customer_id.isnull())
    filled = {column.name: ibis.literal(column.default, column.type) for column in contract.columns}
    return rows.select(**filled | {name: rows[name] for name in rows.columns if name in filled})


def collect(expr: ir.Expr, max_rows: int = 1_000_000) -> pd.DataFrame:
    """Run an expression in its engine and bring the rows here: the only way out of the engine.

    Args:
        expr: A table, or a value of one.
        max_rows: More rows than this are refused: statistics are made from small tables.

    Raises:
        InputError: There are more rows, or the engine cannot finish; in one sentence.

    Example:
        >>> collect(ibis.memtable({"plan": ["Basic", "Plus"], "n": [3, 5]}))["n"].sum().item()
        8
    """
    table = expr.as_table()
    with doing("running"):
        frame = guarded(lambda: table.limit(max_rows + 1).to_pandas())
    count("queries", len(frame))
    if len(frame) > max_rows:
        raise InputError(
            f"The result has more than {max_rows:,} rows, too many to bring out of the engine. "
            f"Fix: group by fewer columns, or raise max_rows."
        )
    return frame


def _mark(address: Address, plan: MappingFile, zone: str) -> str | None:
    if (mark := address.mark()) is None:
        return None
    parts = [str(address.path), mark, zone, repr(plan)]
    for name, report in plan.published.items():
        file = published_file(report, f"{name}.parquet")
        parts.append(f"{name} {(file.stat().st_size, file.stat().st_mtime_ns) if file else None}")
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _build(
    raw: Raw, reading: Reading, contract: Table, engine: Any, notes: list[str], settles: bool
) -> ir.Table:
    table = raw.table
    others = [name for name in table.columns if name not in contract.column_names]
    if contract.attributes and len(others) > _MOST_ATTRIBUTES:
        table = table.drop(*others[_MOST_ATTRIBUTES:])
        notes.append(
            f"{contract.name}: of {len(others)} columns to compare groups by, only the first "
            f"{_MOST_ATTRIBUTES} are read. Fix: put those that matter first, or choose by a mapping's "
            "`query`."
        )
    if raw.text and contract.attributes:
        texts = [name for name in others[:_MOST_ATTRIBUTES] if table[name].type().is_string()]
        table = table.mutate(**infer(table, texts, reading))
    typed = conform(table, contract, reading, notes)
    if contract.name == "customers" and (taken := [c for c in typed.columns if is_taken(c) and c in others]):
        apart = {_apart(name, table.columns): name for name in taken}
        typed = typed.rename(apart)
        notes.append(
            f"customers: reports have columns of their own called {', '.join(taken)}; those of customers are "
            f"read as {', '.join(apart)}."
        )
    if raw.text:
        return keep(engine, typed)
    return named(engine, typed) if settles else typed


def _apart(name: str, columns: Collection[str]) -> str:
    while name.casefold() in {column.casefold() for column in columns}:
        name = f"customer_{name}"
    return name


def _note_strays(catalog: Catalog, found: Mapping[str, Any], used: set[str], notes: list[str]) -> None:
    strays = []
    for name in catalog.names:
        if name in found or name in used or catalog.sole:
            continue
        if like := nearest(name, [table for table in BY_NAME if table not in found], 0.75):
            notes.append(f"{name}: not a table of the contract and left aside; is {like!r} meant?")
        elif catalog.whole:
            strays.append(name)
    if strays:
        notes.append(f"{', '.join(strays)}: not read, since no table of the contract is made of it.")


def _absent(name: str, catalog: Catalog) -> str:
    like = nearest(name, [other for other in catalog.names if other not in BY_NAME])
    has = ", ".join(catalog.names[:10]) or "no table at all"
    hint = f"rename {like!r}" if like else "add it"
    return (
        f"{catalog.url} has no table {name!r} (it has {has}). "
        f"Fix: {hint}, or say in a mapping which table becomes {name}; data/README.md lists its columns."
    )


def _facts(table: ir.Table, **values: ir.Value) -> dict[str, Any]:
    """Aggregates of a table, as plain values: pandas would squeeze years into nanoseconds."""
    return guarded(lambda: table.aggregate(**values).to_pyarrow().to_pylist()[0])


def midnight(day: dt.date) -> ir.Value:
    """Return the moment at which a day begins."""
    return ibis.literal(dt.datetime(day.year, day.month, day.day), "timestamp")
