"""The contract as a page for people: data/README.md is written from it.

Run ``python -m tenure.contract_page`` after a change of contract.py.
"""

from __future__ import annotations

from tenure.contract import TABLES, Column, Table
from tenure.paths import project_root

_HEAD = """# The data contract

<!-- Written by `python -m tenure.contract_page` from lib/tenure/contract.py: change it there. -->

Every workbook reads these tables and no others. `customers` and `subscriptions` are required; a workbook
whose tables are absent says that it does not apply.

- **Where**: a folder with `<table>.parquet`, `<table>.csv` or a folder `<table>/` of such files for each
  table; a spreadsheet with a sheet for each; a `.duckdb` file; or a database such as
  `postgres://me:${PGPASSWORD}@host/shop`, where `${…}` is filled in from the environment, so that no
  password is ever written down.
- **Other columns?** A mapping turns yours into these, and `tenure init DATA` writes it: see
  [your data](../docs/your_data.md).
- **Is it right?** `tenure check DATA [--mapping FILE]` counts what is wrong, with examples and the fix.

Money is a whole number of minor units (1999 for 19.99) beside its ISO 4217 currency. The end of an interval
is exclusive: what ends at midnight of 1 April was on through 31 March. Ids are text. In CSV files, an empty
field is null, times are written as `2024-03-31 17:05:00`, and the first line names the columns. Further
columns of `customers` and `visits` are attributes: reports can compare groups by them. One of customers with
a name that reports use themselves, such as `campaign`, is read as `customer_campaign`.

A time without a zone is UTC, unless a mapping names its zone. Days, months and tenure are those of the
company's zone, summer time included: `time_zone` in company.yml, else the only zone that the mapping names,
else UTC. A date without a time of day is a day of that zone. What lasts over a change of clocks seems an hour
longer or shorter.

`demo/` holds a simulated company (`tenure demo` makes it), with the truth about it in `truth.json`.
"""

_TYPES = {
    "string": "text",
    "int64": "whole number",
    "float64": "number",
    "boolean": "true/false",
    "timestamp": "time",
    "date": "date",
}


def contract_markdown() -> str:
    """Return the contract as a Markdown page.

    Example:
        >>> contract_markdown().splitlines()[0]
        '# The data contract'
    """
    lines = [_HEAD, "| table | a row is | |", "|---|---|---|"]
    for table in TABLES:
        need = "**required**" if table.required else "optional"
        lines.append(f"| [{table.name}](#{table.name}) | {table.row} | {need} |")
    for table in TABLES:
        lines += ["", *_section(table)]
    return "\n".join(lines) + "\n"


def _section(table: Table) -> list[str]:
    about = [f"A row is {table.row}."]
    if table.key:
        about.append(f"No two rows share the same {' and '.join(f'`{name}`' for name in table.key)}.")
    about += [f"`{column}` points at `{target}`." for column, target in table.references]
    if table.attributes:
        about.append("Further columns are welcome.")
    rows = [
        f"| `{column.name}` | {_TYPES[column.type]} | {_need(column)} | {_meaning(column)} |"
        for column in table.columns
    ]
    return [
        f"## {table.name}",
        "",
        " ".join(about),
        "",
        "| column | type | | meaning |",
        "|---|---|---|---|",
        *rows,
    ]


def _need(column: Column) -> str:
    if column.required:
        return "may be empty" if column.nullable else "**required**"
    if column.default is None:
        return "optional"
    default = str(column.default).lower() if isinstance(column.default, bool) else column.default
    return f"optional: {default}"


def _meaning(column: Column) -> str:
    if column.enum:
        return f"{column.meaning}: {', '.join(f'`{value}`' for value in column.enum)}"
    if column.positive:
        return f"{column.meaning} (above 0)"
    if column.minimum is not None:
        return f"{column.meaning} (at least {column.minimum})"
    return column.meaning


if __name__ == "__main__":
    (project_root() / "data" / "README.md").write_text(contract_markdown(), encoding="utf-8")
