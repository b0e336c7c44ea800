"""What the collection found and exported of the demo company, frozen, and every digit changed on purpose.

`snapshot/` was written by the code before the library was laid out anew: `findings.csv` holds every finding,
`exports/` every export; of tables over 400 rows the first and last rows, and the total of each column.
`changed/*.yml` explains what is different since, and docs/changes.md lists the same for readers.

    python tests/reference/snapshot.py FOLDER          what differs in a run, as entries for changed/*.yml
    python tests/reference/snapshot.py --docs          write the lists of docs/changes.md anew
    python tests/reference/snapshot.py --freeze FOLDER freeze a run
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from tenure import renamed

HERE = Path(__file__).resolve().parent
FROZEN, CHANGED = HERE / "snapshot", HERE / "changed"
DOCS = HERE.parents[1] / "docs" / "changes.md"
MARK = "## Digit for digit"
FIELDS = ("value", "low", "high", "n", "unit", "compare")
TOLERANCE = 1e-9
LONG, ENDS = 400, 20
SPLIT = {"10_metrics": "10_metrics and 11_growth", "40_clv": "40_clv and 41_clv_budgets"}


@dataclass(frozen=True)
class Difference:
    """Something that is not as it was frozen.

    Attributes:
        what: The finding's id, or the export's file name.
        part: The finding's field, or the export's column; "rows" for their number; "" for the whole.
        before: What was frozen.
        after: What it is now; None: it is gone.
    """

    what: str
    part: str
    before: Any
    after: Any


# A run.


def findings(run: Path) -> pd.DataFrame:
    """The findings of a run's folder, a row each."""
    records = [
        {"report": file.name.removesuffix(".findings.json"), **record}
        for file in sorted(run.glob("*.findings.json"))
        for record in json.loads(file.read_text(encoding="utf-8"))
    ]
    frame = pd.DataFrame(records).reindex(columns=["id", "report", *FIELDS])
    return frame.sort_values("id", ignore_index=True)


def exports(run: Path) -> dict[str, pd.DataFrame]:
    """The tables that a run's folder exports, by name."""
    read = {".csv": pd.read_csv, ".parquet": pd.read_parquet, ".json": _json}
    files = [file for file in sorted((run / "exports").rglob("*")) if file.suffix in read]
    names = [file.stem for file in files]
    assert len(names) == len(set(names)), f"two reports export a table of the same name: {names}"
    return {file.stem: read[file.suffix](file) for file in files}


def shortened(table: pd.DataFrame) -> pd.DataFrame:
    """A table in an order of its own; of a long one the ends, and a row of totals.

    The order is that of its text, then of its numbers, so that a report may sort it otherwise.
    """
    text = [name for name in table.columns if not pd.api.types.is_numeric_dtype(table[name])]
    order = [*text, *(name for name in table.columns if name not in text)]
    table = table.sort_values(order, ignore_index=True)[order]
    if len(table) <= LONG:
        return table
    ends = pd.concat([table.head(ENDS), table.tail(ENDS)]).astype(object)
    totals = {name: _total(table[name]) for name in table.columns}
    return pd.concat([ends, pd.DataFrame([totals])], ignore_index=True)


def _total(column: pd.Series) -> Any:
    """The sum of a column of numbers, a mark of one of text; of a long table's ends it is the last cell."""
    if len(column) == 2 * ENDS + 1:
        return column.iloc[-1]
    numbers = pd.to_numeric(column, errors="coerce")
    if numbers.notna().sum() == column.notna().sum():
        return numbers.sum().item()
    words = sorted(map(str, column))
    return f"{len(words)} values, {hashlib.sha256(json.dumps(words).encode()).hexdigest()[:8]}"


def _json(file: Path) -> pd.DataFrame:
    """A nested document as a row for each of its values."""

    def leaves(value: Any, place: str) -> Iterator[tuple[str, Any]]:
        inner = (
            value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        )
        for name, part in inner:
            yield from leaves(part, f"{place}/{name}")
        if not isinstance(value, dict | list):
            yield place, value

    rows = list(leaves(json.loads(file.read_text(encoding="utf-8")), ""))
    numbers = [v if isinstance(v, int | float) and not isinstance(v, bool) else np.nan for _, v in rows]
    words = [None if n == n else str(v) for (_, v), n in zip(rows, numbers, strict=True)]
    return pd.DataFrame({"place": [place for place, _ in rows], "word": words, "number": numbers})


# What is frozen.


def freeze(run: Path) -> None:
    (FROZEN / "exports").mkdir(parents=True, exist_ok=True)
    findings(run).to_csv(FROZEN / "findings.csv", index=False)
    for name, table in exports(run).items():
        shortened(table).to_csv(FROZEN / "exports" / f"{name}.csv", index=False)


def frozen_findings() -> list[dict[str, Any]]:
    """The frozen findings."""
    return pd.read_csv(FROZEN / "findings.csv").to_dict("records")


def changed() -> dict[str, dict[str, Any]]:
    """What is explained, by finding or export: an entry, as the files in changed/ have it."""
    entries: dict[str, dict[str, Any]] = {}
    for file in sorted(CHANGED.glob("*.yml")):
        for what, entry in (yaml.safe_load(file.read_text(encoding="utf-8")) or {}).items():
            assert what not in entries, f"{file.name}: {what} is explained twice"
            assert str(entry.get("why", "")).strip(), f"{file.name}: {what} has no `why`"
            entries[what] = entry
    return entries


# The comparison.


def differences(run: Path) -> list[Difference]:
    """What of a run's folder is neither as it was frozen nor as it is explained."""
    entries = changed()
    return [*_findings_that_differ(findings(run), entries), *_exports_that_differ(exports(run), entries)]


def _findings_that_differ(now: pd.DataFrame, entries: dict[str, Any]) -> Iterator[Difference]:
    rows = {row["id"]: row for row in now.to_dict("records")}
    for was in frozen_findings():
        entry = entries.get(was["id"], {})
        new = renamed.FINDINGS.get(was["id"], "")
        row = rows.get(new if new in rows else was["id"])  # others moved to another notebook
        if row is None or "gone" in entry:
            if row is not None or "gone" not in entry:
                yield Difference(was["id"], "", "a finding", row and "a finding")
            continue
        for field in FIELDS:
            yield from _compared(was["id"], field, was[field], row[field], entry)


def _exports_that_differ(now: dict[str, pd.DataFrame], entries: dict[str, Any]) -> Iterator[Difference]:
    for file in sorted((FROZEN / "exports").glob("*.csv")):
        name, was = file.stem, pd.read_csv(file, dtype=object)
        entry = entries.get(name, {})
        table = now.get(entry.get("became", name))
        if table is None or "gone" in entry:
            if table is not None or "gone" not in entry:
                yield Difference(name, "", "an export", None if table is None else "an export")
            continue
        # Under the frozen names, without what is new.
        table = table.rename(columns={new: old for old, new in entry.get("columns", {}).items()})
        kept = [column for column in was.columns if column not in entry.get("without", {})]
        yield from (Difference(name, column, "a column", None) for column in kept if column not in table)
        kept = [column for column in kept if column in table]
        table = shortened(table[kept]).astype(object)
        yield from _compared(name, "rows", len(was), len(table), entry)
        for column in kept:
            totals = _total(was[column]), _total(table[column])
            if column in entry:
                yield from _compared(name, column, *totals, entry)
            elif len(was) != len(table) or not all(map(_same, was[column], table[column])):
                yield Difference(name, column, *totals)


def _compared(what: str, part: str, before: Any, after: Any, entry: dict[str, Any]) -> Iterator[Difference]:
    told = entry.get(part)
    if told is None:
        if not _same(before, after):
            yield Difference(what, part, before, after)
    elif not (_same(told[0], before) and _same(told[1], after)):
        yield Difference(what, part, before, after)


def _same(before: Any, after: Any) -> bool:
    if pd.isna(before) or pd.isna(after):
        return bool(pd.isna(before) and pd.isna(after))
    try:
        return bool(np.isclose(float(before), float(after), rtol=TOLERANCE, atol=1e-12))
    except (TypeError, ValueError):
        return str(before) == str(after)


# What is written.


def as_entries(found: list[Difference]) -> str:
    """Differences as entries for a file in changed/, to be explained."""
    entries: dict[str, dict[str, Any]] = {}
    for one in found:
        entry = entries.setdefault(one.what, {})
        entry |= (
            {one.part: [_plain(one.before), _plain(one.after)]}
            if one.part
            else {"gone": "where it stands now"}
        )
    text = ""
    for what, entry in entries.items():
        lines = [f"  {part}: {json.dumps(pair, ensure_ascii=False)}\n" for part, pair in entry.items()]
        text += f"{what}:\n{''.join(lines)}  why: \n"
    return text


def _plain(value: Any) -> Any:
    if value is None or pd.isna(value):
        return None
    try:
        return float(value)
    except ValueError:
        return value


def as_lists() -> str:
    """The part of docs/changes.md that is made of changed/*.yml and the names in the library."""
    lines = [MARK, "", "| what | part | before | after | why |", "|---|---|---|---|---|"]
    for what, entry in sorted(changed().items()):
        why = " ".join(entry["why"].split())
        parts = {part: pair for part, pair in entry.items() if isinstance(pair, list)}
        if "gone" in entry:
            lines.append(f"| `{what}` | | | | Gone: {entry['gone']} {why} |")
        if "became" in entry:
            lines.append(f"| `{what}` | table | | `{entry['became']}` | {why} |")
        for old, new in entry.get("columns", {}).items():
            lines.append(f"| `{what}` | `{old}` | | `{new}` | {why} |")
        for column, where in entry.get("without", {}).items():
            lines.append(f"| `{what}` | `{column}` | | gone | {where} |")
        for part, (before, after) in parts.items():
            lines.append(f"| `{what}` | `{part}` | {_written(before)} | {_written(after)} | {why} |")
    for title, names in (
        ("Notebooks", renamed.NOTEBOOKS | SPLIT), ("Parameters", renamed.PARAMETERS), ("Findings", renamed.FINDINGS)
    ):  # fmt: skip
        lines += ["", f"## {title}", "", "| before | now |", "|---|---|"]
        lines += [f"| `{old}` | {new if ' ' in new else f'`{new}`'} |" for old, new in sorted(names.items())]
    return "\n".join(lines) + "\n"


def _written(value: Any) -> str:
    return "none" if value is None else f"{value:.10g}" if isinstance(value, int | float) else str(value)


def in_docs() -> str:
    """What docs/changes.md says after its introduction."""
    return "".join(DOCS.read_text(encoding="utf-8").partition(MARK)[1:])


def main(arguments: list[str]) -> None:
    if arguments == ["--docs"]:
        introduction = DOCS.read_text(encoding="utf-8").partition(MARK)[0]
        DOCS.write_text(introduction + as_lists(), encoding="utf-8")
    elif arguments[:1] == ["--freeze"]:
        freeze(Path(arguments[1]))
    else:
        print(as_entries(differences(Path(arguments[0]))) or "All is as it was, or explained.")


if __name__ == "__main__":
    main(sys.argv[1:])
