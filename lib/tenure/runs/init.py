"""The first step with data of one's own: what it is, and the mapping and company.yml that it needs.

What is guessed stands in the mapping as a guess, and what is not found as a column `???`, which nothing
reads until it is filled in. A file that is there is never overwritten.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
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
from tenure.sources.mapping import Looked, load_mapping
from tenure.sources.places import open_catalog
from tenure.sources.recognize import INSTEAD, RECIPES, UNKNOWN, WORDS, Export, Place, bare, recognize

_COMPANY = """# What the company earns on its revenue, and how it counts days: for all reports on {data}.
# A notebook's parameter of the same name overrides a value, and the report says so. Correct what is not so.
name: {name}
margin: 0.7            # share of revenue left after the cost of the service, before payment fees
fee_share: 0.0         # share of each charge that the payment provider keeps
fee_fixed: 0.0         # fixed fee per charge, in major units
discount_rate: 0.1     # discount per year on future money
horizon_months: 24     # months over which the worth of a customer is counted
# currency: EUR        # to report in, where customers pay in several
# time_zone: UTC       # the zone whose days and months are counted, such as Europe/Rome
# commission: {{app_store: 0.3}}   # share of each charge that a store or reseller keeps
"""


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
    possible = []
    for report in (each for each in reports if "data" in each.notebook.parameters):
        lacking = [table for table in report.notebook.tables if table not in source]
        lacking += ["real dates"] * (report.notebook.dated and not source.dated)
        possible += [] if lacking else [report.name]
        yield f"  {report.name}: " + (f"needs {', '.join(lacking)}" if lacking else "can be made")
    if found.errors or not possible:
        yield correct
        return
    said = f" --set mapping={mapping}" * bool(mapping)
    if any(each.rule == "no_rate" and each.count > MOST_LEFT_OUT * each.rows for each in found.problems):
        commonest = collect(source["subscriptions"].currency.topk(1))["currency"].item()
        said += f" --set currency={commonest}"
    yield f"Next: {command} run {possible[0]} --set data={data}{said}"


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
    own = {"contract": _contract, "snapshot": _snapshot}.get(export.recipe)
    text = "\n".join(own(export, catalog)) if own else _by_recipe(root, export, catalog)
    written = [file]
    dialect = {"pyspark": "spark"}.get(catalog.connection.name, catalog.connection.name)
    queries = [] if own or dialect == "duckdb" else sorted((root / RECIPES / export.recipe).glob("*.sql"))
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
    if places[0].exists():
        return None
    for place in places:
        try:
            with place.open("x", encoding="utf-8") as file:
                file.write(
                    _COMPANY.format(name=_yaml(name.replace("_", " ").capitalize()), data=address.shown)
                )
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
        for ours in [ours for ours in INSTEAD if ours in place.without and export.recipe == "contract"]:
            yield f"{where}: no column was found for {ours}, so that it is {INSTEAD[ours]} in all rows."
        if without := [c for c in place.without if c not in INSTEAD or export.recipe != "contract"]:
            yield f"{where}: without {', '.join(without)} (optional)."
        for ours, form in place.formats.items():
            doubt = ", though the month might come first" if ours in place.unsure else ""
            yield f"{where}: times in {place.columns[ours]!r} are written {form}{doubt}."
    if any(place.lacking for place in export.places.values()):
        yield "What is needed is ??? in the mapping; another table can be joined (docs/your_data.md)."
    if export.recipe != "snapshot":
        yield "The last day is that of the last row, unless `observed_until` names that of the extract."


def _by_recipe(root: Path, export: Export, catalog: Catalog) -> str:
    """The recipe's own text, with the inputs that were found."""
    file = root / RECIPES / f"{export.recipe}.yml"
    text, mapping = file.read_text(encoding="utf-8"), load_mapping(file)
    head, _, rest = text.partition("\ninputs:\n")
    after = re.search(r"^[a-z_]+:", rest, re.MULTILINE)
    inputs = ["inputs:"]
    for name, one in mapping.inputs.items():
        inputs += [f"  {name}:", *_input(one, export.places.get(name), name, catalog)]
    tail = re.sub(r"query: (?=\S+\.sql)", "query: recipes/", rest[after.start() if after else 0 :])
    return "\n".join([head, *inputs, "", tail])


def _input(one: Looked, place: Place | None, name: str, catalog: Catalog) -> Iterator[str]:
    if place is None:
        yield f"    from: {_yaml(one.origin or name)}  # not found, and not needed"
    else:
        yield f"    from: {_yaml(place.table)}"
    yield "    columns:"
    there = {*place.columns, *place.lacking, *place.without} if place else {*one.columns}
    for ours in [c for c in dict.fromkeys([*one.columns, *sorted(there)]) if c in there]:
        yield f"      {ours}: {_found(place, ours, one.columns.get(ours, ours))}"
    if one.optional:
        yield f"    optional: [{', '.join(one.optional)}]"
    if one.absent == "allowed":
        yield "    absent: allowed"
    if place is not None:
        words = {ours: _listed(_values(catalog, place, ours), known) for ours, known in one.values.items()}
        if any(words.values()):
            yield f"    values:   # ours for each of theirs; {UNKNOWN} is not known, and null is left aside"
            yield from (f"      {ours}: {{{listed}}}" for ours, listed in words.items() if listed)
        yield from (f"    {line}" for line in _written(place))


def _listed(values: Collection[str], known: Mapping[str, Any]) -> str:
    """Our words for their values, and for none; without words where all are known."""
    ours = {bare(word): word for word in known}
    new = {} if all(v in known for v in values) else {v: ours.get(bare(v), UNKNOWN) for v in values}
    new |= {"": known[""]} if "" in known else {}
    return ", ".join(f'"{value}": {_yaml(word)}' for value, word in new.items())


def _found(place: Place | None, ours: str, usual: str) -> str:
    """A column's line: its name, with a word where it is guessed or not there."""
    if place is None or ours in place.without:
        return _yaml(usual) + ("  # not found: left empty" if place else "")
    if ours in place.lacking:
        return f'"{UNKNOWN}"  # not found: name the column that is {usual!r}'
    guess = place.guessed.get(ours)
    return _yaml(place.columns[ours]) + (f"  # guessed: {guess:.0%} like {usual!r}" if guess else "")


def _written(place: Place, names: Collection[str] = ()) -> Iterator[str]:
    """How text is written; times of these columns only, where any are named."""
    if place.encoding:
        yield f"encoding: {place.encoding}"
    if place.decimal != ".":
        yield f'decimal: "{place.decimal}"'
    if place.thousands:
        yield f'thousands: "{place.thousands}"'
    formats = {ours: form for ours, form in place.formats.items() if not names or ours in names}
    if formats:
        yield "formats:"
        for ours, form in formats.items():
            yield f'  {ours}: "{form}"' + (
                "  # or %m before %d: the data does not tell" * (ours in place.unsure)
            )


def _contract(export: Export, catalog: Catalog) -> Iterator[str]:
    """A mapping of the contract's own tables under other names."""
    yield "# What each column of ours is called in the data; data/mappings/example.yml explains every key."
    yield "# observed_until: 2026-04-30   # the last day that the data covers; else that of the last row"
    if "customers" not in export.places:
        spans = export.places["subscriptions"]
        yield "inputs:"
        yield "  spans:"
        yield f"    from: {_yaml(spans.table)}"
        columns = (
            f"{ours}: {_yaml(spans.columns.get(ours, UNKNOWN))}" for ours in ("customer_id", "started_at")
        )
        yield f"    columns: {{{', '.join(columns)}}}"
        yield from (f"    {line}" for line in _written(spans, ("started_at",)))
    yield "tables:"
    if "customers" not in export.places:
        yield "  customers:   # a table of their own is not there: they are those of the subscriptions"
        yield "    query: >-"
        yield "      SELECT customer_id, MIN(CAST(started_at AS TIMESTAMP)) AS created_at FROM spans"
        yield "      GROUP BY customer_id"
    for name, place in export.places.items():
        yield f"  {name}:"
        yield f"    from: {_yaml(place.table)}"
        yield from (f"    {line}" for line in _table(place, catalog, BY_NAME[name].column_names))
        if BY_NAME[name].attributes:
            yield "    attributes: all   # further columns, to compare groups by"


def _snapshot(export: Export, catalog: Catalog) -> Iterator[str]:
    """A mapping of one row a customer with a tenure and whether they left."""
    (place,) = export.places.values()
    first = dt.date.today().replace(day=1)
    yield "# A row a customer, with a tenure and whether they left; data/mappings/example.yml has all keys."
    yield "snapshot:"
    yield f"  from: {_yaml(place.table)}"
    yield f"  as_of: {first}   # guessed: the day on which the table was made, up to a month's 28th"
    yield f"  tenure: {{from: {_yaml(place.columns.get('tenure', UNKNOWN))}, unit: month}}   # a guess"
    values = _values(catalog, place, "churned")
    left = {
        v: "true" if v.lower() in ("yes", "true", "1", "y", "t", "churned", "left") else "false"
        for v in values
    }
    listed = ", ".join(f'"{value}": {says}' for value, says in left.items())
    yield f"  churned: {{from: {_yaml(place.columns.get('churned', UNKNOWN))}, values: {{{listed}}}}}"
    columns = {name: theirs for name, theirs in place.columns.items() if name not in ("tenure", "churned")}
    yield from (f"  {line}" for line in _table(place, catalog, columns, snapshot=True))
    if "customer_id" not in columns:
        yield "  number_rows: customer_id   # no id was found"
    yield "  attributes: all   # further columns, to compare groups by"
    yield "  blank: null       # rows without a tenure are left out"


def _table(place: Place, catalog: Catalog, names: Collection[str], snapshot: bool = False) -> Iterator[str]:
    """Columns, money, values and constants of a table that becomes one of the contract's."""
    money = {
        name: theirs for name, theirs in place.columns.items() if name.endswith("_minor") and name != theirs
    }
    known = [name for name in names if name not in money and place.columns.get(name, name) != name]
    lacking = [name for name in names if name in place.lacking and not name.endswith("_minor")]
    if columns := known + lacking:
        yield "columns:"
        yield from (f"  {name}: {_found(place, name, name)}" for name in columns)
    if money or "unit_amount_minor" in place.lacking:
        yield "money:   # major is 19.99, minor is 1999"
        for name, theirs in money.items():
            major = any("." in value or "," in value for value in _values(catalog, place, name, 2000))
            guess = place.guessed.get(name)
            yield (
                f"  {name}: {{from: {_yaml(theirs)}, unit: {'major' if major else 'minor'}}}   # a guess"
                + (f", and so is the column: {guess:.0%} alike" if guess else "")
            )
        if "unit_amount_minor" in place.lacking:
            yield f'  unit_amount_minor: {{from: "{UNKNOWN}", unit: major}}   # not found: name its column'
    found = {name: _values(catalog, place, name) for name in WORDS["values"]}
    meant = {name: {value: _meant(name, value) for value in values} for name, values in found.items()}
    if odd := [
        name for name, values in meant.items() if any(value != ours for value, ours in values.items())
    ]:
        yield f"values:   # ours for each of theirs; {UNKNOWN} is not known"
        for name in odd:
            listed = ", ".join(f'"{value}": {_yaml(ours)}' for value, ours in meant[name].items())
            yield f"  {name}: {{{listed}}}"
    wanted = INSTEAD | ({"unit_amount_minor": UNKNOWN} if snapshot else {})
    absent = {*place.lacking, *place.without, *(wanted if snapshot else ())} - {*place.columns}
    instead = {name: value for name, value in wanted.items() if name in absent}
    if instead:
        yield "constants:   # not in the data: correct them"
        yield from (f"  {name}: {_yaml(value)}" for name, value in instead.items())
    if any(code != code.upper() for code in _values(catalog, place, "currency")):
        yield "upper: [currency]"
    if "subscription_id" in place.without:
        yield "number_rows: subscription_id   # no id was found"
    yield from _written(place)


def _meant(name: str, value: str) -> str:
    word = bare(value)
    return next((ours for ours, words in WORDS["values"][name].items() if word in words.split()), UNKNOWN)


def _values(catalog: Catalog, place: Place, name: str, most: int = 20) -> list[str]:
    """The values of a column, of which there may be so many."""
    if name not in place.columns:
        return []
    table = open_raw(catalog, place.table, place.encoding).table
    values = table.select(value=table[place.columns[name]].cast("string")).distinct().limit(most)
    return sorted(collect(values)["value"].dropna())


def _yaml(text: str) -> str:
    """A text as YAML writes it."""
    if text == UNKNOWN:
        return f'"{UNKNOWN}"'  # which YAML could take for a key
    dumped = yaml.safe_dump(text, default_flow_style=True, width=1000, allow_unicode=True)
    return dumped.removesuffix("\n...\n").strip()
