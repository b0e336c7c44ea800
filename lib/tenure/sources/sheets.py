"""Spreadsheets: the first row of a sheet names its columns; dates are dates, and all else is text."""

from __future__ import annotations

import datetime as dt
import uuid
from pathlib import Path
from typing import Any

import ibis.expr.types as ir
import pyarrow as pa

from tenure.errors import InputError


def sheets(file: Path) -> list[str]:
    """Return the names of the sheets that have rows.

    Raises:
        InputError: The file cannot be read.
    """
    book = _open(file)
    if not (found := [name for name in book.sheet_names if book.get_sheet_by_name(name).height > 1]):
        raise InputError(f"{file.name}: no sheet has rows below its column names. Fix: put them there.")
    return found


def read_sheet(engine: Any, files: tuple[Path, ...], name: str) -> ir.Table:
    """Open a sheet of a spreadsheet in the embedded engine.

    A column of nothing but dates is one of times; any other is text, numbers without needless decimals.

    Args:
        engine: The embedded engine.
        files: The spreadsheet; several of a folder must each have one sheet with the same columns.
        name: The table's name, which is the sheet's where there are several.

    Raises:
        InputError: A file cannot be read, or its columns have no names or the same.
    """
    header: list[str] = []
    rows: list[list[Any]] = []
    for file in files:
        names = sheets(file)
        found = _open(file).get_sheet_by_name(name if name in names else names[0])
        first, *others = found.to_python(skip_empty_area=True)
        columns = [str(_plain(cell) or "") for cell in first]
        twice = next((column for column in columns if column and columns.count(column) > 1), None)
        if twice or not any(columns):
            what = f"has two columns {twice!r}" if twice else "has no column names in its first row"
            raise InputError(f"{name}: {file.name} {what}. Fix: give each column a name of its own.")
        if header and columns != header:
            raise InputError(
                f"{name}: {file.name} has other columns than {files[0].name}. Fix: write all files alike."
            )
        header = columns
        rows += [row for row in others if any(cell != "" for cell in row)]
    table = {}
    for i, column in enumerate(header):
        cells = [None if row[i] == "" else row[i] for row in rows]
        given = [cell for cell in cells if cell is not None]
        if given and all(isinstance(cell, dt.date) for cell in given):
            day = [dt.datetime.combine(c, dt.time()) if type(c) is dt.date else c for c in cells]
            table[column] = pa.array(day, pa.timestamp("us"))
        elif column:
            table[column] = pa.array([None if cell is None else _plain(cell) for cell in cells], pa.string())
    return engine.create_table(f"sheet_{uuid.uuid4().hex[:8]}", pa.table(table), temp=True)


def _plain(cell: Any) -> str:
    """A cell as it would stand in a text file."""
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 2**53 else repr(cell)
    return cell.isoformat(" ") if isinstance(cell, dt.datetime) else str(cell)


def _open(file: Path) -> Any:
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        with file.open("rb") as given:
            return CalamineWorkbook.from_filelike(given)
    except CalamineError as error:
        raise InputError(
            f"{file.name} cannot be read as a spreadsheet ({str(error).splitlines()[0]}). "
            f"Fix: save it again as .xlsx, or as CSV."
        ) from None
