"""Small tables as accessible HTML, and exports as CSV."""

from __future__ import annotations

import html
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tenure.errors import InputError
from tenure.report import format as fmt
from tenure.report.display import show

if TYPE_CHECKING:
    import pandas as pd

Format = str | Callable[[Any], str]

# Tables of up to so many rows are not cut when printed.
BRIEF = 15
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


def table(
    frame: pd.DataFrame,
    *,
    caption: str,
    formats: Mapping[str, Format] | None = None,
    note: str = "",
    max_rows: int = 25,
) -> None:
    """Show a small frame as a table that everyone can read.

    Args:
        frame: The frame; its first column names the rows. A named index becomes the first column.
        caption: What the table shows, in a few words.
        formats: For a column: a unit ("percent", "months", "money:EUR"), "date", "month", "p" or a function
            of the value. Others are formatted by their type.
        note: A remark below the table.
        max_rows: How many rows to show; a line says how many more there are.

    Raises:
        InputError: The caption is empty, or `formats` names a column the frame has not.
    """
    show(
        {
            "text/plain": f"{caption}\n{frame.head(max_rows)}",
            "text/html": to_html(frame, caption=caption, formats=formats, note=note, max_rows=max_rows),
        }
    )


def to_html(
    frame: pd.DataFrame,
    *,
    caption: str,
    formats: Mapping[str, Format] | None = None,
    note: str = "",
    max_rows: int = 25,
) -> str:
    """Return the table's HTML; the parameters are those of :func:`table`.

    Example:
        >>> import pandas as pd
        >>> frame = pd.DataFrame({"plan": ["<b>"], "churn": [0.05]})
        >>> page = to_html(frame, caption="Churn", formats={"churn": "percent"})
        >>> '<th scope="row">&lt;b&gt;</th>' in page, "5%" in page
        (True, True)
    """
    if not caption or not caption.strip():
        raise InputError("The table has no caption; say in a few words what it shows.")
    if any(name is not None for name in frame.index.names):
        frame = frame.reset_index()
    columns = [str(column) for column in frame.columns]
    formats = dict(formats or {})
    unknown = [name for name in formats if name not in columns]
    if unknown:
        raise InputError(
            f"The table {caption!r} has no column {unknown[0]!r} to format; it has {', '.join(columns)}."
        )
    shown = frame.head(max_rows)
    kinds = [_is_numeric(frame.iloc[:, position], formats.get(name)) for position, name in enumerate(columns)]
    cells = [_column(shown.iloc[:, position], formats.get(name)) for position, name in enumerate(columns)]
    head = "".join(
        f'<th scope="col"{_align(numeric)}>{html.escape(_title(name, formats.get(name)))}</th>'
        for name, numeric in zip(columns, kinds, strict=True)
    )
    body = "".join(
        "<tr>" + "".join(_cell(cells[j][i], kinds[j], j == 0) for j in range(len(columns))) + "</tr>"
        for i in range(len(shown))
    )
    remarks = []
    if len(frame) > len(shown):
        more = len(frame) - len(shown)
        remarks.append(f"{fmt.count(more)} more {'row' if more == 1 else 'rows'} not shown.")
    if len(frame) == 0:
        remarks.append("There are no rows.")
    if note:
        remarks.append(note)
    label = html.escape(f"Table: {caption}", quote=True)
    kind = "table brief" if len(shown) <= BRIEF else "table"
    return (
        f'<div class="{kind}" role="group" aria-label="{label}" tabindex="0" style="overflow-x:auto">'
        f"<table><caption>{html.escape(caption)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
        + (f'<p class="note"><small>{html.escape(" ".join(remarks))}</small></p>' if remarks else "")
    )


def export(name: str, frame: pd.DataFrame) -> None:
    """Write a table to act on as CSV beside the report, and say where it is.

    The file is UTF-8 without index, dates in ISO format, written whole or not at all. Values are kept as they
    are: a text that begins with =, +, - or @ is a formula to a spreadsheet, so import such a file as text.

    Args:
        name: The file's name without ".csv": lower-case letters, digits, hyphens and underscores.
        frame: The rows.

    Raises:
        InputError: The name is not such a name.
    """
    if not _NAME.fullmatch(name):
        raise InputError(
            f"The export's name {name!r} may hold only lower-case letters, digits, - and _, "
            "such as at-risk-customers."
        )
    folder = _export_folder()
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{name}.csv"
    handle, draft = tempfile.mkstemp(dir=folder, prefix=f".{name}-", suffix=".csv")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            frame.to_csv(file, index=False, lineterminator="\n")
        os.chmod(draft, 0o644)
        os.replace(draft, target)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
    rows = f"{fmt.count(len(frame))} {'row' if len(frame) == 1 else 'rows'}"
    place = html.escape(_place(target))
    report = os.environ.get("TENURE_REPORT", "")
    if os.environ.get("TENURE_OUTPUT") and report:
        href = html.escape(f"exports/{report}/{name}.csv", quote=True)
        place = f'<a href="{href}">{name}.csv</a>'
    show(
        {
            "text/plain": f"Exported {rows} to {_place(target)}",
            "text/html": f'<p class="export">Exported {rows} to {place}</p>',
        }
    )


def _place(target: Path) -> str:
    """Return where a file is, from the project's root where it lies below it."""
    if os.environ.get("TENURE_OUTPUT"):
        return target.name
    from tenure.paths import project_root

    return target.relative_to(project_root()).as_posix()


def _export_folder() -> Path:
    chosen = os.environ.get("TENURE_OUTPUT", "")
    if chosen:
        return Path(chosen)
    from tenure.paths import project_root

    return project_root() / "reports" / "exports"


def _title(name: str, format_: Format | None) -> str:
    """Return a column's head: its name, and the unit where the cells do not say it."""
    words = name.replace("_", " ")
    if format_ in ("days", "weeks", "months", "years", "points") and str(format_) not in words:
        words += f" ({format_})"
    return words[:1].upper() + words[1:]


def _is_numeric(column: pd.Series, format_: Format | None) -> bool:
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    if is_bool_dtype(column):
        return False
    return is_numeric_dtype(column) or (isinstance(format_, str) and format_ not in ("date", "month"))


def _column(column: pd.Series, format_: Format | None) -> list[str]:
    from pandas.api.types import is_bool_dtype, is_datetime64_any_dtype, is_numeric_dtype

    if isinstance(format_, str) and format_ not in _WRITERS:
        return fmt.column(column, format_)
    if format_ is None and is_numeric_dtype(column) and not is_bool_dtype(column):
        return fmt.column(column, "number")
    write: Callable[[Any], str]
    if callable(format_):
        return [format_(value) for value in column]
    if format_:
        write = _WRITERS[format_]
    elif is_bool_dtype(column):
        write = _yes_no
    else:
        write = fmt.date if is_datetime64_any_dtype(column) else str
    return [fmt.NOT_AVAILABLE if fmt.missing(value) else write(value) for value in column]


def _month(value: Any) -> str:
    return fmt.date(value, "month")


def _p(value: Any) -> str:
    return fmt.p_value(value).removeprefix("p = ").removeprefix("p ")


def _yes_no(value: Any) -> str:
    return "yes" if value else "no"


_WRITERS: dict[str, Callable[[Any], str]] = {"date": fmt.date, "month": _month, "p": _p}


def _align(numeric: bool, short: bool = False) -> str:
    if numeric:
        return ' class="numeric" style="text-align:right"'
    return ' class="word" style="text-align:left"' if short else ' style="text-align:left"'


def _cell(text: str, numeric: bool, first: bool) -> str:
    if first:
        return f'<th scope="row">{html.escape(text)}</th>'
    if text == fmt.NOT_AVAILABLE:
        return f'<td{_align(numeric)} aria-label="{text}">–</td>'
    return f"<td{_align(numeric, short=len(text) <= 14)}>{html.escape(text)}</td>"
