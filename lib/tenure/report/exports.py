"""Exports of a row a customer: streamed from the engine to a CSV file, a batch at a time."""

from __future__ import annotations

import html
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from tenure.errors import InputError
from tenure.report import format as fmt
from tenure.report.display import show
from tenure.report.tables import _NAME, _export_folder, _place

if TYPE_CHECKING:
    import pyarrow as pa


def export_batches(name: str, batches: pa.RecordBatchReader | Iterable[pa.RecordBatch]) -> int:
    """Write batches of rows as CSV beside the report, and say where; memory holds one batch at a time.

    The file is UTF-8, written whole or not at all, with the columns' names in the first line.

    Args:
        name: The file's name without ".csv": lower-case letters, digits, hyphens and underscores.
        batches: The rows, as Arrow record batches of one schema.

    Returns:
        How many rows were written.

    Raises:
        InputError: The name is not such a name.
    """
    from pyarrow import csv

    if not _NAME.fullmatch(name):
        raise InputError(
            f"The export's name {name!r} may hold only lower-case letters, digits, - and _, "
            "such as clv-scores."
        )
    folder = _export_folder()
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{name}.csv"
    handle, draft = tempfile.mkstemp(dir=folder, prefix=f".{name}-", suffix=".csv")
    os.close(handle)
    rows, schema = 0, getattr(batches, "schema", None)
    try:
        writer = csv.CSVWriter(draft, schema) if schema is not None else None
        for batch in batches:
            if writer is None:
                writer = csv.CSVWriter(draft, batch.schema)
            writer.write(batch)
            rows += batch.num_rows
        if writer is not None:
            writer.close()
        os.chmod(draft, 0o644)
        os.replace(draft, target)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
    words, place = f"{fmt.count(rows)} {'row' if rows == 1 else 'rows'}", html.escape(_place(target))
    report = os.environ.get("TENURE_REPORT", "")
    if os.environ.get("TENURE_OUTPUT") and report:
        href = html.escape(f"exports/{report}/{name}.csv", quote=True)
        place = f'<a href="{href}">{name}.csv</a>'
    show(
        {
            "text/plain": f"Exported {words} to {_place(target)}",
            "text/html": f'<p class="export">Exported {html.escape(words)} to {place}</p>',
        }
    )
    return rows
