"""What a report leaves for other reports: tables of the contract as Parquet, and frozen numbers as JSON."""

from __future__ import annotations

import html
import json
import os
import re
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tenure.contract import BY_NAME
from tenure.errors import InputError
from tenure.report import format as fmt
from tenure.report.display import show

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


def publish_table(name: str, table: Any) -> None:
    """Write a contract table beside the report, straight from the engine, for other reports to read.

    A mapping reads it by ``published: {segments: segmentation}``: table and report. The file is written
    whole or not at all.

    Args:
        name: The contract table's name.
        table: An Ibis table with exactly the contract's columns.

    Raises:
        InputError: There is no such contract table, or a column is not as the contract has it.
    """
    from tenure.sources import results

    if name not in BY_NAME:
        raise InputError(f"There is no contract table {name!r} to publish; there are: {', '.join(BY_NAME)}.")
    wanted = BY_NAME[name].column_names
    if set(table.columns) != set(wanted):
        raise InputError(
            f"The table {name} has the columns {', '.join(table.columns)} to publish; the contract wants "
            f"{', '.join(wanted)}."
        )
    ordered = table.select(*wanted)
    target = _write(f"{name}.parquet", lambda draft: results.save(ordered, draft))
    rows = int(table.count().to_pyarrow().as_py())
    _say(target, f"Published {fmt.count(rows)} {'row' if rows == 1 else 'rows'} of the table {name} as")


def publish_numbers(name: str, numbers: Mapping[str, Any]) -> None:
    """Write frozen numbers beside the report, as JSON, for a later run to use again.

    Args:
        name: The file's name without ".json".
        numbers: What JSON can hold.

    Raises:
        InputError: The name is not such a name.
    """
    if not _NAME.fullmatch(name):
        raise InputError(f"The name {name!r} may hold only lower-case letters, digits, - and _.")
    text = json.dumps(dict(numbers), indent=1, allow_nan=False) + "\n"
    target = _write(f"{name}.json", lambda draft: Path(draft).write_text(text, encoding="utf-8"))
    _say(target, "Frozen for later runs as")


def _write(name: str, write: Callable[[str], Any]) -> Path:
    from tenure.paths import project_root

    chosen = os.environ.get("TENURE_OUTPUT", "")
    folder = Path(chosen) if chosen else project_root() / "reports" / "exports"
    folder.mkdir(parents=True, exist_ok=True)
    target, draft = folder / name, folder / f".{uuid.uuid4().hex}-{name}"
    try:
        write(str(draft))
        os.replace(draft, target)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    return target


def _say(target: Path, words: str) -> None:
    report = os.environ.get("TENURE_REPORT", "")
    place = html.escape(target.name)
    if os.environ.get("TENURE_OUTPUT") and report:
        href = html.escape(f"exports/{report}/{target.name}", quote=True)
        place = f'<a href="{href}">{place}</a>'
    show(
        {
            "text/plain": f"{words} {target.name}",
            "text/html": f'<p class="export">{html.escape(words)} {place}</p>',
        }
    )
