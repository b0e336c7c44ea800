"""The first step with data of one's own: what it is, and the mapping and company.yml that it needs.

What is guessed stands in the mapping as a guess, and what is not found as a column `???`, which nothing
reads until it is filled in. A file that is there is never overwritten.
"""

from __future__ import annotations

import copy
import datetime as dt
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

import sqlglot
import yaml

from tenure.contract import BY_NAME
from tenure.errors import InputError, writing
from tenure.money import MOST_LEFT_OUT
from tenure.paths import project_root
from tenure.report.words import things
from tenure.runs.runbook import Report
from tenure.sources.address import Address
from tenure.sources.catalog import Catalog, open_raw
from tenure.sources.checks import check
from tenure.sources.connect import collect, open_source
from tenure.sources.mapping import load_mapping
from tenure.sources.places import open_catalog
from tenure.sources.recognize import INSTEAD, RECIPES, UNKNOWN, WORDS, Export, Place, bare, recognize

_COMPANY = """# What the company earns on its revenue, and how it counts days: for all reports on {data}.
# A notebook's parameter of the same name overrides a value, and the report says so. Correct what is not so.
name: "{name}"
margin: 0.7            # share of revenue left after the cost of the service, before payment fees
fee_share: 0.0         # share of each charge that the payment provider keeps
fee_fixed: 0.0         # fixed fee per charge, in major units
discount_rate: 0.1     # discount per year on future money
horizon_months: 24     # months over which the worth of a customer is counted
# smallest_group: 5    # the fewest people with a characteristic to speak of
# currency: EUR        # to report in, where customers pay in several
# time_zone: UTC       # the zone whose days and months are counted, such as Europe/Rome
# commission: {{app_store: 0.3}}   # share of each charge that a store or reseller keeps
"""
_CUSTOMERS = "SELECT customer_id, MIN(CAST(started_at AS TIMESTAMP)) AS created_at FROM spans GROUP BY 1"
_HEAD = [
    "What each column of ours is called in the data; data/mappings/example.yml explains every key.",
    "Guesses, too: what values mean, constants, and whether money is in major (19.99) or minor units (1999).",
]


def begin(data: str, name: str, recipe: str, reports: Sequence[Report], command: str) -> Iterator[str]:
    """Recognize an export, write its mapping and company.yml, and yield a line for each thing to know.

    Args:
        data: Where the data is.
        name: What the mapping is called; empty: as the data.
        recipe: What the export is; empty: what it looks like.
        reports: Those that might be made of it.
        command: How the next step is typed.

    Raises:
        InputError: Nothing is recognized, a file cannot be written or is there already, or the mapping is to
            be corrected before the data can be opened.
    """
    root, address = project_root(), Address.read(data)
    catalog = open_catalog(address)
    name = name or name_of(address)
    yield f"{address.shown} holds {things(len(catalog.names), 'table')}: {', '.join(catalog.names[:20])}."
    exports = recognize(catalog, recipe)
    if not exports:
        raise InputError(
            f"No export is recognized by these columns. Fix: say what it is by --recipe: contract (a row a "
            f"subscription), snapshot (a row a customer, with a tenure), or one of "
            f"{', '.join(sorted(file.stem for file in (root / RECIPES).glob('*.yml')))}; "
            f"docs/your_data.md describes them. The mapping then names what is not found."
        )
    best, *others = exports
    yield f"It looks like {best.recipe}: {best.share:.0%} of the columns that it needs are there."
    for other in others[:2]:
        yield f"It could be {other.recipe}, too, with {other.share:.0%} (--recipe {other.recipe})."
    yield from (f"  {sentence}" for sentence in told(best))
    mapping = ""
    if not is_contract(best):
        for file in write_mapping(root, name, best, catalog):
            yield f"Wrote {file.relative_to(root)}."
        mapping = f"data/mappings/{name}.yml"
    company = write_company(root, address, name)
    yield f"Wrote {company}: correct it." if company else "company.yml is there already."
    correct = (
        f"Next: correct {mapping or data}, then: {command} check {data}"
        + f" --mapping {mapping}" * bool(mapping)
    )
    try:
        source = open_source(data, mapping)
    except InputError as error:
        raise InputError(f"{error}\n{correct}") from None
    found = check(source)
    yield from (f"{table}: {things(rows, 'row')}" for table, rows in found.tables.items())
    yield from (f"{each.severity}: {each.sentence} Fix: {each.fix}." for each in found.problems)
    currency, following = "", ""
    if any(each.rule == "no_rate" and each.count > MOST_LEFT_OUT * each.rows for each in found.problems):
        commonest = collect(source["subscriptions"].currency.topk(1))["currency"].item()
        currency = f" --set currency={commonest}"
    for report in (each for each in reports if "data" in each.notebook.parameters):
        tables, asked = report.notebook.tables, report.notebook.parameters
        lacking = [table for table in tables if table not in source]
        lacking += ["real dates"] * (report.notebook.dated and not source.dated)
        # What customers pay in several currencies cannot be added up.
        adds = "reporting_currency" in asked and "subscriptions" in (tables or ("subscriptions",))
        one = currency if adds else ""
        if one and "currency" not in asked:
            lacking.append("one currency (`where` in the mapping) or fx_rates")
        made = "can be made" + f" in one currency:{one}" * bool(one)
        yield f"  {report.name}: " + (f"needs {', '.join(lacking)}" if lacking else made)
        said = f" --set mapping={mapping}" * bool(mapping) + one
        following = following or f"Next: {command} run {report.name} --set data={data}{said}" * (not lacking)
    yield correct if found.errors or not following else following


def name_of(address: Address) -> str:
    """Return a name for a mapping, from the last part of where the data is.

    Example:
        >>> name_of(Address.read("exports/Stripe 2026"))
        'stripe_2026'
    """
    last = (
        address.path.stem if address.path else address.text.partition("?")[0].rstrip("/").rpartition("/")[2]
    )
    return re.sub(r"[^a-z0-9]+", "_", last.lower()).strip("_") or "data"


def write_mapping(root: Path, name: str, export: Export, catalog: Catalog) -> list[Path]:
    """Write the mapping by which an export is read, and for another engine than DuckDB its queries.

    Args:
        root: The project's folder.
        name: The mapping's name.
        export: What the data was recognized as.
        catalog: The data's tables.

    Raises:
        InputError: There is a mapping of that name already, or none can be written.
    """
    folder = root / "data" / "mappings"
    file = folder / f"{name}.yml"
    if file.exists():
        raise InputError(f"{file} is there already, and is kept. Fix: give another name by --name.")
    recipe = root / RECIPES / f"{export.recipe}.yml"
    text = _by_recipe(recipe, export, catalog) if recipe.is_file() else _by_contract(export, catalog)
    written = [file]
    dialect = {"pyspark": "spark"}.get(catalog.connection.name, catalog.connection.name)
    queries = [] if dialect == "duckdb" else sorted(recipe.with_suffix("").glob("*.sql"))
    with writing(file, "work in a copy of the project"):
        for query in queries:
            copy = folder / name / query.name
            copy.parent.mkdir(exist_ok=True)
            sql = sqlglot.transpile(query.read_text(encoding="utf-8"), "duckdb", dialect, pretty=True)[0]
            copy.write_text(sql + "\n", encoding="utf-8")
            text = text.replace(f"recipes/{export.recipe}/{query.name}", f"{name}/{query.name}")
            written.append(copy)
        file.write_text(text.rstrip() + "\n", encoding="utf-8")
    return written


def write_company(root: Path, address: Address, name: str) -> Path | None:
    """Write company.yml beside the data, or into data/ where that cannot be written; None: there is one.

    Raises:
        InputError: It can be written in neither place.
    """
    places = [root / "data" / "company.yml"]
    if address.path is not None:
        places.insert(0, (address.path if address.path.is_dir() else address.path.parent) / "company.yml")
    for place in places:
        try:
            with place.open("x", encoding="utf-8") as file:
                file.write(_COMPANY.format(name=name.replace("_", " ").capitalize(), data=address.shown))
            return place
        except FileExistsError:
            return None
        except OSError:
            continue
    raise InputError(f"{places[-1]} cannot be written. Fix: work in a copy of the project.")


def is_contract(export: Export) -> bool:
    """Whether the tables and columns are the contract's already, so that nothing needs a mapping."""
    return export.recipe == "contract" and all(
        name == place.table and not place.lacking and not place.guessed
        and all(ours == theirs for ours, theirs in place.columns.items())
        for name, place in export.places.items()
    )  # fmt: skip


def told(export: Export) -> Iterator[str]:
    """Yield, in sentences, what was guessed, what was not found and what cannot be known."""
    for name, place in export.places.items():
        where = f"{place.table}, as {name}" if name and name != place.table else place.table
        for ours, share in place.guessed.items():
            yield f"{where}: {ours} is guessed to be {place.columns[ours]!r} ({share:.0%} alike)."
        for ours in place.lacking:
            yield f"{where}: no column was found for {ours}, which is needed."
        made = INSTEAD if export.recipe in ("contract", "snapshot") else {}
        for ours in [ours for ours in made if ours in place.without]:
            yield f"{where}: no column was found for {ours}, so that it is {made[ours]} in all rows."
        if without := [ours for ours in place.without if ours not in made]:
            yield f"{where}: without {', '.join(without)} (optional)."
        for ours, form in place.written.get("formats", {}).items():
            doubt = ", though the month might come first" if ours in place.unsure else ""
            yield f"{where}: times in {place.columns[ours]!r} are written {form}{doubt}."
    if any(place.lacking for place in export.places.values()):
        yield "What is needed is ??? in the mapping; another table can be joined (docs/your_data.md)."
    if export.recipe == "snapshot":
        yield "The day on which the table was made (as_of) and months as the unit of tenure are guesses, too."
    else:
        yield "The last day is that of the last row, unless `observed_until` names that of the extract."


def _by_recipe(file: Path, export: Export, catalog: Catalog) -> str:
    """The recipe's own text, with the inputs that were found."""
    text, mapping = file.read_text(encoding="utf-8"), load_mapping(file)
    head, _, rest = text.partition("\ninputs:\n")
    after = re.search(r"^[a-z_]+:", rest, re.MULTILINE)
    inputs, notes = {}, [*told(export)]
    for name, one in mapping.inputs.items():
        inputs[name] = one.model_dump(by_alias=True, exclude_defaults=True)
        if place := export.places.get(name):
            keys = {"values": {}, **_keys(place, catalog, one.values)}
            keys["values"] = {
                ours: known | keys["values"].get(ours, {}) for ours, known in one.values.items()
            }
            inputs[name] |= {key: value for key, value in keys.items() if value}
            inputs[name]["columns"] |= {ours: one.columns.get(ours, ours) for ours in place.without}
        else:
            notes.append(f"{name}: no such table was found, and none is needed.")
    tail = re.sub(r"query: (?=\S+\.sql)", "query: recipes/", rest[after.start() if after else 0 :])
    return f"{head.rstrip()}\n\n{_yaml(notes, {'inputs': inputs})}\n{tail}"


def _by_contract(export: Export, catalog: Catalog) -> str:
    """A mapping of tables of one's own in the contract's shape, or of a snapshot."""
    tables = {name: _table(place, catalog, name or "subscriptions") for name, place in export.places.items()}
    keys: dict[str, Any] = {"tables": tables}
    if export.recipe == "snapshot":
        (place,), (table,) = export.places.values(), tables.values()
        values = {v: bare(v) in WORDS["left"].split() for v in _values(catalog, place, "churned")}
        table["churned"] = {"from": table["columns"].pop("churned"), "values": values}
        table["tenure"] = {"from": table["columns"].pop("tenure"), "unit": "month"}
        # A month's first, since not every month has a 31st to count back to.
        table |= {"as_of": dt.date.today().replace(day=1), "attributes": "all", "blank": None}
        keys = {"snapshot": table}
    elif "customers" not in tables:  # they are those of the subscriptions
        spans = _keys(export.places["subscriptions"], catalog, {})
        spans["columns"] = {ours: spans["columns"][ours] for ours in ("customer_id", "started_at")}
        keys = {"inputs": {"spans": spans}, "tables": {"customers": {"query": _CUSTOMERS}, **tables}}
    return _yaml([*_HEAD, *told(export)], keys)


def _table(place: Place, catalog: Catalog, name: str) -> dict[str, Any]:
    """The keys of a table that becomes one of the contract's as it is."""
    contract, known = BY_NAME[name], {}
    for column in contract.columns:
        words = WORDS["values"].get(column.name, {})
        known[column.name] = {each: o for o in column.enum for each in (o, *words.get(o, "").split())}
    keys = _keys(place, catalog, known)
    columns, money = keys["columns"], {}
    absent = {ours: value for ours, value in INSTEAD.items() if ours in known and ours not in columns}
    for ours in [ours for ours, theirs in columns.items() if ours.endswith("_minor") and ours != theirs]:
        major = any(re.search("[.,]", value) for value in _values(catalog, place, ours, 2000))
        unit = "major" if major or ours in place.lacking else "minor"
        money[ours] = {"from": columns.pop(ours), "unit": unit}
    ids = {"subscription_id", "customer_id"}.intersection(place.without) if name == "subscriptions" else ()
    keys |= {"money": money, "constants": absent, "upper": ["currency"] * ("currency" in columns)}
    keys |= {"number_rows": "".join(ids), "attributes": "all" * contract.attributes}
    return {key: value for key, value in keys.items() if value}


def _keys(place: Place, catalog: Catalog, known: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Where a table is, its columns, what their values mean, and how its text is written.

    Where all values of a column are as they are known, nothing is said of them.
    """
    keys: dict[str, Any] = {
        "from": place.table,
        "columns": place.columns | dict.fromkeys(place.lacking, UNKNOWN),
    }
    for name, words in known.items():
        means = {bare(word): ours for word, ours in words.items()}
        found = [value for value in _values(catalog, place, name) if value.strip()] if words else []
        new = {value: means.get(bare(value), UNKNOWN) for value in found}
        if any(theirs != ours for theirs, ours in new.items()):
            keys.setdefault("values", {})[name] = new
    return keys | copy.deepcopy(place.written)


def _values(catalog: Catalog, place: Place, name: str, most: int = 20) -> list[str]:
    """The values of a column, of which there may be so many."""
    if name not in place.columns:
        return []
    table = open_raw(catalog, place.table, place.written.get("encoding", "")).table
    values = table.select(value=table[place.columns[name]].cast("string")).distinct().limit(most)
    return sorted(collect(values)["value"].dropna())


def _yaml(notes: Iterable[str], keys: Mapping[str, Any]) -> str:
    """Comments, and keys below them."""
    lines = [fill(note, 116, initial_indent="# ", subsequent_indent="#   ") for note in notes]
    dumped = yaml.safe_dump(keys, sort_keys=False, allow_unicode=True, width=110)
    return "\n".join([*lines, re.sub(r"\? ''\n\s*: ", "'': ", dumped)])
