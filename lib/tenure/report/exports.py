"""What a report leaves beside its page: tables to act on, contract tables for other reports, frozen numbers.

Every file is written whole or not at all. It lies in the folder that the runner names in TENURE_OUTPUT; where
a notebook is run by hand or by plain Papermill, in the folder exports below the current one. Ids of customers
stand in such files only (see `tenure.privacy.protect`).
"""

from __future__ import annotations

import html
import json
import os
import re
import uuid
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tenure import legible
from tenure.contract import BY_NAME
from tenure.errors import InputError
from tenure.paths import typed
from tenure.privacy import protect
from tenure.report.display import show
from tenure.report.tables import table_of
from tenure.report.words import say

if TYPE_CHECKING:
    import pyarrow as pa

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_KEPT = ". Texts that a spreadsheet would calculate begin with an apostrophe there."


def export(name: str, result: Any) -> None:
    """Write a table to act on as CSV, and say where it is.

    The file is UTF-8 without index, dates in ISO format. A text that a spreadsheet would calculate, as it
    begins with =, +, -, @ or a tab, has an apostrophe before it; `previous_export` takes it away again.

    Args:
        name: The file's name without ".csv": lower-case letters, digits, hyphens and underscores.
        result: A table, a result that has one, or a frame.

    Raises:
        InputError: The name has other letters.
    """
    frame = table_of(result).frame
    plain = legible.texts(frame, legible.cell)

    def write(draft: Path) -> None:
        with draft.open("w", encoding="utf-8", newline="") as file:
            plain.to_csv(file, index=False, lineterminator="\n")

    target = _write(name, ".csv", write, frame.columns)
    _say(target, say("Exported {n:row} to", n=len(frame)), "" if plain.equals(frame) else say(_KEPT))


def export_batches(name: str, batches: pa.RecordBatchReader) -> None:
    """Write batches of rows as CSV, and say where; memory holds one batch at a time.

    Raises:
        InputError: The name is not as for :func:`export`.
    """
    import pyarrow as pa
    from pyarrow import compute, csv

    rows, odd = 0, False

    def plain(column: pa.Array) -> pa.Array:
        text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
        if not text or not compute.any(compute.match_substring_regex(column, legible.ODD)).as_py():
            return column
        return pa.array([one and legible.cell(one) for one in column.to_pylist()], column.type)

    def write(draft: Path) -> None:
        nonlocal rows, odd
        with csv.CSVWriter(draft, batches.schema) as writer:
            for batch in batches:
                kept = pa.record_batch([plain(column) for column in batch.columns], schema=batch.schema)
                writer.write(kept)
                rows, odd = rows + batch.num_rows, odd or not kept.equals(batch)

    target = _write(name, ".csv", write, batches.schema.names)
    _say(target, say("Exported {n:row} to", n=rows), say(_KEPT) if odd else "")


def publish_table(name: str, *parts: Any) -> None:
    """Write a contract table beside the report, straight from the engine, for other reports to read.

    A mapping reads it by ``published: {segments: segmentation}``: table and report.

    Args:
        name: The contract table's name.
        *parts: Ibis tables with exactly the contract's columns.

    Raises:
        InputError: There is no such contract table, or a column is not as the contract has it.
    """
    from tenure.sources import results

    if name not in BY_NAME:
        raise InputError(f"There is no contract table {name!r} to publish; there are: {', '.join(BY_NAME)}.")
    wanted = BY_NAME[name].column_names
    for part in parts:
        if set(part.columns) != set(wanted):
            raise InputError(
                f"The table {name} has the columns {', '.join(part.columns)} to publish; the contract wants "
                f"{', '.join(wanted)}."
            )
    first, *others = (part.select(*wanted) for part in parts)
    whole = first.union(*others) if others else first
    target = _write(name, ".parquet", lambda draft: results.save(whole, str(draft)), wanted)
    rows = int(whole.count().to_pyarrow().as_py())
    _say(target, say("Published {n:row} of the table {name} as", n=rows, name=name))


def publish_numbers(name: str, numbers: Mapping[str, Any]) -> None:
    """Write frozen numbers, as JSON, for a later run to use again.

    Raises:
        InputError: The name is not as for :func:`export`.
    """
    text = json.dumps(dict(numbers), indent=1, allow_nan=False) + "\n"
    target = _write(name, ".json", lambda draft: draft.write_text(text, encoding="utf-8"))
    _say(target, say("Frozen for later runs as"))


def _write(name: str, suffix: str, write: Callable[[Path], Any], columns: Collection[str] = ()) -> Path:
    if not _NAME.fullmatch(name):
        raise InputError(
            f"The file's name {name!r} may hold only lower-case letters, digits, - and _, "
            "such as at-risk-customers."
        )
    folder = Path(os.environ.get("TENURE_OUTPUT") or Path.cwd() / "exports")
    folder.mkdir(parents=True, exist_ok=True)
    target, draft = folder / f"{name}{suffix}", folder / f".{uuid.uuid4().hex}-{name}{suffix}"
    try:
        write(draft)
        protect(draft, columns)
        os.replace(draft, target)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    return target


def _say(target: Path, words: str, note: str = "") -> None:
    """Say what was written and where: in a run as a link, else as a path; and what is to be known of it."""
    run, report = os.environ.get("TENURE_OUTPUT"), os.environ.get("TENURE_REPORT", "")
    plain = target.name if run else typed(str(target))
    place = html.escape(plain)
    if run and report:
        href = html.escape(f"exports/{report}/{target.name}", quote=True)
        place = f'<a href="{href}">{place}</a>'
    page = f'<p class="export">{html.escape(words)} {place}{html.escape(note)}</p>'
    show({"text/plain": f"{words} {plain}{note}", "text/html": page})
