"""Contract tables of what a place holds, as a mapping says."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import ibis
import ibis.expr.types as ir

from tenure.contract import BY_NAME, Column, Table
from tenure.errors import InputError, all_faults
from tenure.sources.address import Address
from tenure.sources.catalog import Catalog, Raw, open_raw
from tenure.sources.convert import Doubt, Reading, read, refuse
from tenure.sources.cut import STATUS, TRIAL
from tenure.sources.engine import kind_of
from tenure.sources.mapping import Looked, Mapping, Newest, Snapshot, StatusNow, TableMapping, meant
from tenure.sources.queries import answers, mapped, where


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
    inputs = dict(mapping.inputs)
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
                if not plan.query:
                    inputs[rows_of] = Looked.model_validate(
                        {"from": origins[place], "encoding": plan.encoding}
                    )
                queries[f"{place}.where"] = where(plan.where, plan.query or rows_of)
        except InputError as error:
            faults.append(str(error))
    asking = (queries, inputs, mapping.time_zone or "UTC", catalog, address, notes, faults)
    answered, used = answers(*asking) if queries else ({}, set())
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
            if not (columns := _columns(plan, rows, place, BY_NAME[table])):
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
            made[table] = (Raw(rows.select(**columns), raw.text), _reading(plan, place, mapping))
        except InputError as error:
            faults += error.faults or [str(error)]
    return made, used


def _fewer(plan: TableMapping, rows: ir.Table, place: str) -> ir.Table:
    """Rows without their duplicates, and numbered where the mapping says so."""
    if isinstance(plan.deduplicate, Newest):
        newest = plan.deduplicate
        _need(rows, *((f"{place}.deduplicate", name) for name in (*newest.by, newest.latest)))
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
    for name in (wanted, kind_of(Path(wanted))[0]):
        if catalog.may_have(name):
            return name
    raise InputError(
        f"The mapping's {place}.from: {catalog.url} has no {wanted!r}{meant(wanted, catalog.names)}"
    )


def _columns(plan: TableMapping, table: ir.Table, place: str, *contracts: Table) -> dict[str, ir.Value]:
    """Our columns of theirs: renamed, constant, with mapped values; attributes last."""
    known = {column.name: column for contract in contracts for column in contract.columns}
    origins = {name: name for name in known if name in table.columns}
    origins |= {name: theirs for _, name, theirs in _origins(plan)}
    attributes = plan.attributes
    if attributes == "all":
        taken = {*origins.values(), *known}
        if isinstance(plan, Snapshot):
            # The flag of churned customers must not pass for one of their characteristics.
            taken |= {plan.tenure.origin, plan.churned.origin}
        attributes = [name for name in table.columns if name not in taken]
    others = attributes if isinstance(attributes, dict) else {name: name for name in attributes}
    origins |= others
    named = [(f"{place}.{key}.{name}", theirs) for key, name, theirs in _origins(plan)]
    _need(table, *named, *((f"{place}.attributes", theirs) for theirs in others.values()))
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


def _reading(plan: TableMapping, place: str, mapping: Mapping) -> Reading:
    return Reading(
        plan,
        place,
        origin={name: theirs for _, name, theirs in _origins(plan)},
        time_zone=plan.time_zone or mapping.time_zone or "UTC",
        last=mapping.observed_until,
    )


def _snapshot(
    plan: Snapshot, table: ir.Table, place: str, notes: list[str]
) -> dict[str, tuple[ir.Table, Reading]]:
    """Customers and subscriptions that have exactly the tenures of a snapshot."""
    _need(table, (f"{place}.tenure.from", plan.tenure.origin), (f"{place}.churned.from", plan.churned.origin))
    reading = Reading(plan, origin={"tenure": plan.tenure.origin, "churned": plan.churned.origin})
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
    if without := table.count(where=tenure.isnull()).fill_null(0).to_pyarrow().as_py():
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
        made[contract.name] = (rows.select(**chosen), _reading(plan, place, Mapping()))
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


def _need(table: ir.Table, *named: tuple[str, str]) -> None:
    """Refuse a table that lacks columns which the mapping names, each at its place."""
    has = table.columns
    lacking = [
        f"The mapping's {place}: the data has no column {name!r}{meant(name, has)}"
        for place, name in named
        if name not in has
    ]
    if lacking:
        raise all_faults(lacking)
