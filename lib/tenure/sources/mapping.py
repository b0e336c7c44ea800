"""A mapping: a YAML file that turns somebody's columns into the contract's.

data/mappings/example.yml explains every key. What a mapping says is checked twice: the file when it is
loaded (keys, names, zones), the data when it is opened (columns, values, units, dates).
"""

from __future__ import annotations

import datetime as dt
import itertools
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import ibis
import ibis.expr.types as ir
import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from tenure import settings
from tenure.contract import BY_NAME, Column, Table
from tenure.economics import known_zone
from tenure.errors import InputError, all_faults
from tenure.parameters import nearest
from tenure.paths import resolve
from tenure.sources.address import Address
from tenure.sources.catalog import Catalog, Raw, open_raw
from tenure.sources.convert import Doubt, Reading, read, refuse
from tenure.sources.cut import STATUS, TRIAL
from tenure.sources.queries import Input, answers, as_text, mapped, read_query, where

_MADE_BY_SNAPSHOT = ("created_at", "started_at", "ended_at")
_CASES = ("trim", "lower", "upper")
RECONCILED = "mrr_elsewhere"
UNKNOWN = "???"  # what `tenure init` writes for what it does not know


_Text = Annotated[str, BeforeValidator(as_text)]
_Zone = Annotated[str, AfterValidator(known_zone)]
_Scalar = bool | int | float | dt.datetime | dt.date | str | None


class _Keys(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Money(_Keys):
    """Where an amount comes from, and what it is.

    Attributes:
        origin: Their column.
        unit: major (19.99) or minor (1999).
        per: What it is the price of: the billing interval, or a month of it.
        round: Whether more decimals than the currency has are rounded, and not refused.
    """

    origin: str = Field(alias="from")
    unit: Literal["major", "minor"]
    per: Literal["interval", "month"] = "interval"
    round: bool = False


class Epoch(_Keys):
    """Where a time comes from that is a number, and what it counts since 1970: seconds or milliseconds."""

    origin: str = Field(alias="from")
    unit: Literal["s", "ms"]


class Trial(_Keys):
    """Where the days come from on which the trial of a subscription began and ended."""

    begin: str = Field(alias="from")
    end: str = Field(alias="to")


class StatusNow(_Keys):
    """Where the day comes from on which the status of today began."""

    since: str


class Newest(_Keys):
    """Which rows are versions of one, and by which column the newest is found."""

    by: list[str]
    latest: str


class Tenure(_Keys):
    """Where a snapshot's tenure comes from, in completed units."""

    origin: str = Field(alias="from")
    unit: Literal["day", "week", "month", "year"] = "month"


class Churned(_Keys):
    """Where a snapshot marks churned customers, and what its values mean."""

    origin: str = Field(alias="from")
    values: dict[_Text, bool] = {}


class Looked(_Keys):
    """One of their tables as queries know it.

    Attributes:
        origin: Their file or table; empty: of the same name.
        columns: Their column for each name that queries use; empty: all, under their own names.
        values: The value that queries know for each of theirs, by name; none (null) leaves it empty.
        optional: Names that are empty columns where the table lacks theirs.
        absent: Whether a table that is not there is refused, or has no rows.
        encoding: How a text file is encoded, if not as UTF-8.
        formats: How times are written in text, by the name that queries use.
        decimal: The mark before decimals in text.
        thousands: The mark between thousands in text; empty: none.
    """

    origin: str = Field("", alias="from")
    columns: dict[str, _Text] = {}
    values: dict[str, dict[_Text, _Scalar]] = {}
    optional: list[str] = []
    absent: Literal["refused", "allowed"] = "refused"
    encoding: str = ""
    formats: dict[str, str] = {}
    decimal: Literal[".", ","] = "."
    thousands: Literal["", ",", ".", " ", "'"] = ""


class TableMapping(_Keys):
    """How one of their tables becomes one of the contract's. Keys are ours, values theirs.

    Attributes:
        origin: Their file or table; empty for the only one.
        query: Instead of a table: SQL over their tables and the mapping's inputs, or a file beside the
            mapping that holds it; what follows speaks of its answer.
        columns: Their column for each of ours.
        constants: A value for every row.
        values: Our value for each of theirs, by column.
        money: Amounts, with their unit.
        epoch: Times that are numbers, with their unit.
        formats: How times are written, by column (strftime codes).
        time_zone: The zone of times without one.
        encoding: How their text files are encoded, if not as UTF-8.
        decimal: The mark before decimals in text.
        thousands: The mark between thousands in text; empty: none.
        trim: Columns of text to take blanks off, at both ends.
        lower: Columns of text to write in small letters.
        upper: Columns of text to write in capitals.
        where: Which rows to keep: a condition in SQL on their columns.
        deduplicate: Whether equal rows count once; or which rows are versions of one, to keep the newest.
        number_rows: A column of ours that gets the number of the row, as an id.
        trial: The trial that is part of a span, to be cut off.
        status_now: Whether past_due and paused are statuses of today, which did not hold from the start.
        attributes: Further columns to compare groups by.
        blank: What blank text is: refused, or null.
    """

    origin: str = Field("", alias="from")
    query: str = ""
    columns: dict[str, str] = {}
    constants: dict[str, _Scalar] = {}
    values: dict[str, dict[_Text, _Scalar]] = {}
    money: dict[str, Money] = {}
    epoch: dict[str, Epoch] = {}
    formats: dict[str, str] = {}
    time_zone: _Zone = ""
    encoding: str = ""
    decimal: Literal[".", ","] = "."
    thousands: Literal["", ",", ".", " ", "'"] = ""
    trim: list[str] = []
    lower: list[str] = []
    upper: list[str] = []
    where: str = ""
    deduplicate: bool | Newest = False
    number_rows: str = ""
    trial: Trial | None = None
    status_now: bool | StatusNow = False
    attributes: Literal["all"] | list[str] | dict[str, str] = []
    blank: Literal["refuse"] | None = "refuse"


class Snapshot(TableMapping):
    """One row per customer, with a tenure and a flag for churned customers, as of one day."""

    as_of: dt.date
    tenure: Tenure
    churned: Churned


class Mapping(_Keys):
    """A whole mapping file.

    Attributes:
        observed_from: Customers who churned before this day are not in the data.
        observed_until: The last day that the data covers, whether anything happened on it or not: the day
            before the extract was taken; the company's, where the mapping gives none.
        time_zone: The zone of times without one, for all tables; the company's, where company.yml names none.
        inputs: Their tables by the name that queries know them by.
        tables: By the contract's table.
        snapshot: Instead of customers and subscriptions.
        reconcile: Recurring revenue as another system reports it: the table mrr_elsewhere.
        published: Contract tables that a report has published, with the report; they replace ours.
    """

    observed_from: dt.date | None = None
    observed_until: dt.date | None = None
    time_zone: _Zone = ""
    inputs: dict[str, Looked] = {}
    tables: dict[str, TableMapping] = {}
    snapshot: Snapshot | None = None
    reconcile: TableMapping | None = None
    published: dict[str, str] = {}

    @property
    def zone(self) -> str:
        """The only zone that it names, for all tables or for some; empty: it names none, or several."""
        zones = {self.time_zone, *(plan.time_zone for plan in self.tables.values())} - {""}
        return zones.pop() if len(zones) == 1 else ""


class _Loader(settings.Loader):
    """YAML in which only true and false are booleans: not Yes and NO, which are answers and a country.

    Keys are text as it is written, since values in a file are: TRUE is not true there.
    """

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Return what a part of the file stands for."""
        if isinstance(node, yaml.MappingNode):
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:null":
                    key.tag = "tag:yaml.org,2002:str"
        return super().construct_object(node, deep)


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("int", r"^[-+]?(?:0|[1-9][0-9]*)$", "-+0123456789"),
    ("float", r"^[-+]?(?:0|[1-9][0-9]*)\.[0-9]+$", "-+0123456789"),
    ("timestamp", r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", "0123456789"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), list(_first))


def load_mapping(path: str | Path) -> Mapping:
    """Read a mapping file and check everything that can be checked without the data.

    Args:
        path: The YAML file; a relative path counts from the project's root.

    Returns:
        The mapping, with the text of each query.

    Raises:
        InputError: The file is absent or not YAML, or keys, tables, columns or values in it are unknown: all
            of them are named.

    Example:
        >>> load_mapping("data/mappings/telco.yml").snapshot.tenure.unit
        'month'
    """
    mapping, faults = read_mapping(path)
    if faults:
        raise in_mapping(path, faults)
    return mapping


def in_mapping(path: str | Path, faults: list[str]) -> InputError:
    """The error that says all faults of a mapping, or of data under it."""
    label = f"The mapping {path}"
    return all_faults(faults, label) if len(faults) > 1 else InputError(f"{label}: {faults[0]}")


def read_mapping(path: str | Path) -> tuple[Mapping, list[str]]:
    """Read as much of a mapping file as can be, with a sentence for everything that is wrong in it.

    Raises:
        InputError: The file is absent or not YAML.
    """
    file = resolve(path)
    if not file.is_file():
        raise InputError(
            f"The mapping {path} does not exist. Fix: correct the path; data/mappings has examples."
        )
    label = f"The mapping {path}"
    faults: list[str] = []
    mapping = settings.read_settings(
        file, Mapping, label=label, example="data/mappings/example.yml", loader=_Loader, faults=faults
    )
    tables = {}
    if mapping.reconcile and RECONCILED in mapping.tables:
        faults.append(f"reconcile: there is tables.{RECONCILED} too. Fix: keep one of them.")
    plans = {RECONCILED: mapping.reconcile} if mapping.reconcile else {}
    for name, plan in (plans | mapping.tables).items():
        try:
            query = read_query(plan.query, file.parent, f"tables.{name}") if plan.query else ""
            tables[name] = plan.model_copy(update={"query": query})
        except InputError as error:
            faults.append(str(error))
            tables[name] = plan
    mapping = mapping.model_copy(update={"tables": tables})
    # Nothing is missing of what was not understood.
    faults += _problems(mapping) if mapping != Mapping() or not faults else ()
    return mapping, faults


def map_tables(
    mapping: Mapping,
    catalog: Catalog,
    address: Address,
    notes: list[str],
    left_out: dict[str, int],
    faults: list[str],
) -> tuple[dict[str, tuple[Raw, Reading]], set[str]]:
    """Make contract tables, still in their own types, of the tables that a place holds.

    Args:
        mapping: What becomes what.
        catalog: The tables that are there.
        address: Where that is.
        notes: Gets a sentence for what is left out.
        left_out: Gets how many rows `where` and `deduplicate` leave out, by table.
        faults: Gets a sentence for each table or column that the mapping names and that is not there, and for
            a snapshot's tenure or flag that cannot be read.

    Returns:
        By contract table its columns and how they are written; and the names of the tables used.
    """
    made: dict[str, tuple[Raw, Reading]] = {}
    plans: dict[str, TableMapping] = {f"tables.{name}": plan for name, plan in mapping.tables.items()}
    if mapping.snapshot:
        plans = {"snapshot": mapping.snapshot, **plans}
    inputs = {
        name: Input(
            one.origin or name,
            one.columns,
            one.optional,
            one.absent == "allowed",
            one.encoding,
            one.values,
            Reading(
                formats=one.formats,
                decimal=one.decimal,
                thousands=one.thousands,
                time_zone=mapping.time_zone or "UTC",
            ),
        )
        for name, one in mapping.inputs.items()
    }
    queries: dict[str, str] = {}
    origins: dict[str, str] = {}
    for place, plan in plans.items():
        try:
            if not plan.query:
                origins[place] = _origin(plan, catalog, place, place.partition(".")[2])
            if plan.query:
                queries[f"{place}.query"] = plan.query
            if plan.where:
                rows_of = f"rows_of_{place.replace('.', '_')}"
                inputs |= {} if plan.query else {rows_of: Input(origins[place], encoding=plan.encoding)}
                queries[f"{place}.where"] = where(plan.where, plan.query or rows_of)
        except InputError as error:
            faults.append(str(error))
    answered, used = answers(queries, inputs, catalog, address, faults) if queries else ({}, set())
    used |= set(origins.values())
    for place, plan in plans.items():
        table = place.partition(".")[2]
        asked = f"{place}.{'where' if plan.where else 'query'}"
        there = asked in answered if plan.where or plan.query else place in origins
        if (table and table not in BY_NAME) or table in made or not there:
            continue
        try:
            if plan.query:
                whole = answered[f"{place}.query"]
            else:
                whole = open_raw(catalog, origins[place], plan.encoding)
            raw = answered[asked] if plan.where else whole
            rows = _fewer(plan, raw.table, place)
            if plan.where or plan.deduplicate:
                counts = [part.count().to_pyarrow().as_py() for part in (whole.table, rows)]
                left_out[table or place] = counts[0] - counts[1]
            if isinstance(plan, Snapshot):
                for made_of, parts in _snapshot(plan, rows, place, notes).items():
                    made[made_of] = (Raw(parts[0], raw.text), parts[1])
                continue
            columns = _columns(plan, rows, place, BY_NAME[table])
            if not columns:
                raise InputError(
                    f"The mapping's {place}: the data has no column of {table} (it has "
                    f"{', '.join(rows.columns[:12])}). Fix: name them under `columns`."
                )
            if table == "subscriptions" and not plan.trial:
                taken = {theirs for _, _, theirs in _origins(plan)} | set(columns)
                if trial := [name for name in rows.columns if "trial" in name.lower() and name not in taken]:
                    notes.append(
                        f"subscriptions: trials in {' and '.join(map(repr, trial))} are left aside; where "
                        f"they are part of spans, cut them off: `trial: {{from: …, to: …}}`."
                    )
            reading = _reading(plan, (BY_NAME[table],), place, mapping)
            made[table] = (Raw(rows.select(**columns), raw.text), reading)
        except InputError as error:
            faults += error.faults or [str(error)]
    return made, used


def _fewer(plan: TableMapping, rows: ir.Table, place: str) -> ir.Table:
    """Rows without their duplicates, and numbered where the mapping says so."""
    if isinstance(plan.deduplicate, Newest):
        newest = plan.deduplicate
        lacking = [
            fault
            for name in (*newest.by, newest.latest)
            for fault in _lacks(rows, name, f"{place}.deduplicate")
        ]
        if lacking:
            raise all_faults(lacking)
        # Equal versions are ordered by all that they hold, so that the order of rows does not matter.
        others = [rows[name].cast("string") for name in rows.columns if name != newest.latest]
        order = [ibis.desc(rows[newest.latest], nulls_first=False), *others]
        which = ibis.row_number().over(group_by=[rows[name] for name in newest.by], order_by=order)
        rows = rows.mutate(_version=which).filter(ibis._["_version"] == 0).drop("_version")
    elif plan.deduplicate:
        rows = rows.distinct()
    if plan.number_rows:
        if plan.number_rows in rows.columns:
            raise InputError(
                f"The mapping's {place}.number_rows: the data has a column {plan.number_rows!r}. "
                f"Fix: remove the key."
            )
        rows = rows.mutate(**{plan.number_rows: (ibis.row_number() + 1).cast("string")})
    return rows


def _problems(mapping: Mapping) -> Iterator[str]:
    """Sentences about what is wrong in the file, the most telling first."""
    if mapping == Mapping():
        yield "it maps nothing. Fix: add `tables:` or `snapshot:`."
    for name, one in mapping.inputs.items():
        for column, values in one.values.items():
            if odd := [theirs for theirs, ours in values.items() if ours == UNKNOWN]:
                yield f"inputs.{name}.values.{column}: {odd[0]!r} is {UNKNOWN}. Fix: say what it is, or null."
            if one.columns and column not in one.columns:
                yield f"inputs.{name}.values.{column}: no column is called so{_meant(column, one.columns)}"
    for name in mapping.published:
        if name not in BY_NAME:
            yield f"published.{name}: the contract has no such table{_meant(name, BY_NAME)}"
        elif name in mapping.tables:
            yield f"tables.{name}: it is under `published` too. Fix: keep one of them."
    for name in mapping.tables:
        if name not in BY_NAME:
            yield f"tables.{name}: the contract has no such table{_meant(name, BY_NAME)}"
    parts: list[tuple[str, TableMapping, tuple[Table, ...]]] = [
        (f"tables.{name}", plan, (BY_NAME[name],)) for name, plan in mapping.tables.items() if name in BY_NAME
    ]
    snapshot = mapping.snapshot
    if snapshot:
        both = [name for name in ("customers", "subscriptions") if name in mapping.tables]
        if both:
            yield f"tables.{both[0]}: the snapshot makes this table already. Fix: remove one of the two."
        if mapping.observed_from:
            yield "observed_from: a snapshot has no dates to begin from. Fix: remove it."
        if mapping.observed_until:
            yield "observed_until: a snapshot has its day in `as_of`. Fix: remove it."
        if snapshot.tenure.unit in ("month", "year") and snapshot.as_of.day > 28:
            yield (
                f"snapshot.as_of: {snapshot.as_of} is a day that not every month has, so that whole months "
                f"cannot be counted back from it. Fix: take a day up to the 28th."
            )
        parts.append(("snapshot", snapshot, (BY_NAME["customers"], BY_NAME["subscriptions"])))
    for place, plan, tables in parts:
        yield from _table_problems(place, plan, tables)


def _table_problems(place: str, plan: TableMapping, tables: tuple[Table, ...]) -> Iterator[str]:
    known = {column.name: column for table in tables for column in table.columns}
    welcome = any(table.attributes for table in tables)
    if plan.query and plan.origin:
        yield f"{place}.query: there is `from` too. Fix: keep one of them."
    if plan.attributes and not welcome:
        yield f"{place}.attributes: only customers and visits have attributes. Fix: move them there."
    named = set(plan.attributes if not isinstance(plan.attributes, str) else ())
    hint = " Attributes are named under `attributes`." if welcome else ""
    for key in ("columns", "constants", "values", "money", "epoch", "formats", *_CASES):
        for name in getattr(plan, key):
            attribute = key == "values" and welcome and (name in named or plan.attributes == "all")
            if name not in known and not attribute:
                yield f"{place}.{key}.{name}: {tables[-1].name} has no such column{_meant(name, known)}{hint}"
    if isinstance(plan, Snapshot):
        for name in {*_MADE_BY_SNAPSHOT} & {*plan.columns, *plan.constants}:
            yield f"{place}.columns.{name}: a snapshot makes this of as_of and tenure. Fix: remove it."
    no_money = {name for name in plan.money if name in known and not name.endswith("_minor")}
    for name in plan.money:
        if name in no_money:
            yield f"{place}.money.{name}: this is not an amount of money. Fix: name it under `columns`."
    times = {name for name in known if known[name].type == "timestamp"}
    for name in plan.epoch:
        if name in known and name not in times:
            yield f"{place}.epoch.{name}: this is not a time. Fix: name it under `columns`."
    for key in ("trial", "status_now"):
        if getattr(plan, key) and "ended_at" not in known:
            yield f"{place}.{key}: only subscriptions have one. Fix: move it there."
    if plan.number_rows and plan.number_rows not in known:
        yield f"{place}.number_rows: there is no column {plan.number_rows!r}{_meant(plan.number_rows, known)}"
    keys = ("columns", "constants", "money", "epoch")
    for first, second in itertools.combinations(keys, 2):
        for name in sorted(set(getattr(plan, first)) & set(getattr(plan, second)) - no_money):
            yield f"{place}.{second}.{name}: it is under `{first}` too. Fix: keep one of them."
    for name in sorted(set(plan.attributes if isinstance(plan.attributes, dict) else ()) & set(known)):
        yield f"{place}.attributes.{name}: the contract has this column. Fix: name it under `columns`."
    given = [("constants", name, [value]) for name, value in plan.constants.items() if value is not None]
    given += [
        ("values", name, [v for v in values.values() if v is not None])
        for name, values in plan.values.items()
    ]
    for key, name, values in given:
        enum = known[name].enum if name in known else ()
        wrong = [value for value in values if enum and value not in enum]
        if wrong:
            listed = f"{', '.join(enum)}. Fix: use one of them."
            yield f"{place}.{key}.{name}: {wrong[0]!r} is none of {listed}"


def _origin(plan: TableMapping, catalog: Catalog, place: str, table: str = "") -> str:
    """Which of the place's tables a part of the mapping speaks of."""
    wanted = plan.origin
    if not wanted:
        if catalog.sole:
            return catalog.sole
        if len(catalog.names) == 1:
            return catalog.names[0]
        if table in catalog.names:
            return table
        raise InputError(
            f"The mapping's {place} does not say which of {', '.join(catalog.names[:10])} it is made from. "
            f"Fix: add `from:`."
        )
    stem = wanted.removesuffix(".csv").removesuffix(".parquet")
    for name in (wanted, stem):
        # A database may hold it in another schema, which its list of tables leaves out.
        if name in catalog.names or (not catalog.whole and "." in name):
            return name
    raise InputError(
        f"The mapping's {place}.from: {catalog.url} has no {wanted!r}{_meant(wanted, catalog.names)}"
    )


def _columns(plan: TableMapping, table: ir.Table, place: str, *contracts: Table) -> dict[str, ir.Value]:
    """Our columns of theirs: renamed, constant, with mapped values; attributes last."""
    known = {column.name: column for contract in contracts for column in contract.columns}
    origins = {name: name for name in known if name in table.columns}
    lacking = []
    origin = _origins(plan)
    for key, name, theirs in origin:
        lacking += _lacks(table, theirs, f"{place}.{key}.{name}")
        origins[name] = theirs
    attributes = plan.attributes
    if attributes == "all":
        taken = {*origins.values(), *known}
        if isinstance(plan, Snapshot):
            # The flag of churned customers must not pass for one of their characteristics.
            taken |= {plan.tenure.origin, plan.churned.origin}
        attributes = [name for name in table.columns if name not in taken]
    for name in attributes:
        theirs = attributes[name] if isinstance(attributes, dict) else name
        lacking += _lacks(table, theirs, f"{place}.attributes")
        origins[name] = theirs
    if lacking:
        raise all_faults(lacking)
    columns = {
        name: mapped(table[theirs], plan.values.get(name, {}))
        for name, theirs in origins.items()
        if name not in plan.constants
    }
    for name, constant in plan.constants.items():
        columns[name] = ibis.null(known[name].type) if constant is None else ibis.literal(constant)
    return columns


def _origins(plan: TableMapping) -> list[tuple[str, str, str]]:
    """Key, our column and theirs for each that is named; what is cut off a span among them."""
    found = [("columns", name, theirs) for name, theirs in plan.columns.items()]
    found += [("money", name, money.origin) for name, money in plan.money.items()]
    found += [("epoch", name, time.origin) for name, time in plan.epoch.items()]
    if plan.trial:
        found += [("trial", TRIAL[0].name, plan.trial.begin), ("trial", TRIAL[1].name, plan.trial.end)]
    if isinstance(plan.status_now, StatusNow):
        found.append(("status_now", STATUS.name, plan.status_now.since))
    return found


def _reading(
    plan: TableMapping, contracts: tuple[Table, ...], place: str, mapping: Mapping | None = None
) -> Reading:
    known = {column.name for contract in contracts for column in contract.columns}
    cut = (*(TRIAL if plan.trial else ()), *((STATUS,) if plan.status_now else ()))
    return Reading(
        origin={name: theirs for _, name, theirs in _origins(plan)},
        formats=plan.formats,
        epoch={name: time.unit for name, time in plan.epoch.items()},
        time_zone=plan.time_zone or (mapping.time_zone if mapping else "") or "UTC",
        decimal=plan.decimal,
        thousands=plan.thousands,
        cases={"strip": frozenset(plan.trim), "lower": frozenset(plan.lower), "upper": frozenset(plan.upper)},
        major=frozenset(name for name, money in plan.money.items() if money.unit == "major"),
        minor=frozenset(name for name, money in plan.money.items() if money.unit == "minor"),
        monthly=frozenset(name for name, money in plan.money.items() if money.per == "month"),
        rounded=frozenset(name for name, money in plan.money.items() if money.round),
        blank_is_null=plan.blank is None,
        mapped=frozenset(plan.values) & known,
        place=place,
        cut=cut if BY_NAME["subscriptions"] in contracts else (),
        last=mapping.observed_until if mapping else None,
    )


def _snapshot(
    plan: Snapshot, table: ir.Table, place: str, notes: list[str]
) -> dict[str, tuple[ir.Table, Reading]]:
    """Customers and subscriptions that have exactly the tenures of a snapshot."""
    lacking = _lacks(table, plan.tenure.origin, f"{place}.tenure.from")
    lacking += _lacks(table, plan.churned.origin, f"{place}.churned.from")
    if lacking:
        raise all_faults(lacking)
    reading = Reading(
        origin={"tenure": plan.tenure.origin, "churned": plan.churned.origin},
        blank_is_null=plan.blank is None,
    )
    raw, flag = table[plan.tenure.origin], table[plan.churned.origin]
    tenure, doubts = read(table, Column("tenure", "int64", ""), place, reading, raw)
    century = {"day": 36525, "week": 5218, "month": 1200, "year": 100}[plan.tenure.unit]
    theirs = f"tenure (from {plan.tenure.origin!r})"
    fix = "correct `tenure: {unit: …}` or the values"
    doubts.append(Doubt(theirs, raw, tenure < 0, "are negative", "correct the values"))
    doubts.append(Doubt(theirs, raw, tenure > century, "are longer than a century", fix))
    if plan.blank is not None:
        fix = "fill them in, or leave such rows out with `blank: null`"
        doubts.append(Doubt(theirs, raw, raw.isnull(), "are empty", fix))
    theirs, listed = f"churned (from {plan.churned.origin!r})", list(plan.churned.values)
    if listed:
        text = flag.cast("string")
        churned = text.isin([value for value, left in plan.churned.values.items() if left])
        fix = "add the value to `churned: {values: …}` in the mapping"
        doubts.append(Doubt(theirs, flag, text.notin(listed), f"are none of {', '.join(listed)}", fix))
    else:
        churned, more = read(table, Column("churned", "boolean", ""), place, reading, flag)
        fix = "say in `churned: {values: …}` which value is true"
        doubts += [replace(doubt, fix=fix) for doubt in more]
    doubts.append(Doubt(theirs, flag, flag.isnull(), "are empty", "fill them in"))
    refuse(table, place, doubts)
    without = table.count(where=tenure.isnull()).fill_null(0).to_pyarrow().as_py()
    if without:
        notes.append(f"{place}: {without:,} rows have no tenure ({plan.tenure.origin!r}) and are left out.")

    customers, subscriptions = BY_NAME["customers"], BY_NAME["subscriptions"]
    columns = _columns(plan, table, place, customers, subscriptions)
    if "customer_id" not in columns:
        raise InputError(
            f"The mapping's {place}.columns does not say which column is customer_id. Fix: add it."
        )
    day = dt.datetime(plan.as_of.year, plan.as_of.month, plan.as_of.day)
    started = _back(plan.as_of, tenure, plan.tenure.unit)
    reason = columns.get("end_reason", ibis.null("string")).cast("string").fill_null("unknown")
    columns |= {
        "created_at": started,
        "started_at": started,
        "ended_at": churned.ifelse(ibis.literal(day, "timestamp"), ibis.null("timestamp")),
        "end_reason": churned.ifelse(reason, ibis.null("string")),
    }
    columns.setdefault("subscription_id", columns["customer_id"])
    columns.setdefault("status", ibis.literal("active"))
    rows = table.filter(tenure.notnull())
    made = {}
    for contract in (customers, subscriptions):
        other = subscriptions if contract is customers else customers
        chosen = {
            name: value
            for name, value in columns.items()
            if name in contract.column_names or (contract.attributes and name not in other.column_names)
        }
        made[contract.name] = (rows.select(**chosen), _reading(plan, (contract,), place))
    return made


def _back(as_of: dt.date, tenure: ir.Value, unit: str) -> ir.Value:
    """The start from which exactly `tenure` units are complete on the day of the snapshot."""
    if unit in ("day", "week"):
        day = (as_of - dt.date(1970, 1, 1)).days - tenure * (7 if unit == "week" else 1)
        return (day * 86_400).as_timestamp("s").cast("timestamp")
    months = tenure * (12 if unit == "year" else 1)
    index = ibis.literal(as_of.year * 12 + as_of.month - 1, "int64") - months
    year, month = (index // 12).cast("int64"), (index % 12 + 1).cast("int64")
    return ibis.date(year, month, as_of.day).cast("timestamp")


def _lacks(table: ir.Table, column: str, place: str) -> list[str]:
    """A sentence where a table lacks a column."""
    if column in table.columns:
        return []
    return [f"The mapping's {place}: the data has no column {column!r}{_meant(column, table.columns)}"]


def _meant(name: str, names: Any) -> str:
    like = nearest(name, names)
    if like:
        return f". Fix: is {like!r} meant?"
    return f" (it has {', '.join(list(names)[:12])}). Fix: use one of them."
