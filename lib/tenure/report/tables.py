"""Small tables as accessible HTML."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tenure.errors import InputError
from tenure.report import format as fmt
from tenure.report.display import show
from tenure.report.words import say
from tenure.result import Table

if TYPE_CHECKING:
    import pandas as pd

Format = str | Callable[[Any], str]

# Tables of up to so many rows are not cut when printed.
BRIEF = 15


def table_of(result: Any) -> Table:
    """Return the table of what a model returned: a Table, a result with one, or a plain frame without units.

    Example:
        >>> import pandas as pd
        >>> table_of(pd.DataFrame({"plan": ["a"]})).units
        {}
    """
    if isinstance(result, Table):
        return result
    if hasattr(result, "table"):
        own = table_of(result.table)
        return Table(own.frame, own.units, own.notes or tuple(getattr(result, "notes", ())))
    return Table(result)


def table(
    result: Any,
    *,
    caption: str,
    fold: bool = False,
    note: str = "",
    max_rows: int = 25,
    formats: Mapping[str, Format] | None = None,
) -> None:
    """Show a small table that everyone can read.

    Columns `x`, `x_low` and `x_high` (or `value`, `low` and `high`) are an estimate and its interval; they
    stand in one cell.

    Args:
        result: A table, a result that has one, or a frame. The first column names the rows; a named index
            becomes the first column.
        caption: What the table shows, in a few words.
        fold: Whether it is closed until a reader opens it.
        note: A remark below the table, before the table's own.
        max_rows: How many rows to show; a line says how many more there are.
        formats: For a column of a plain frame: a unit, "date", "month", "p" or a function of the value.

    Raises:
        InputError: The caption is empty, or `formats` names a column the frame has not.
    """
    shown = table_of(result)
    page = to_html(shown, caption=caption, formats=formats, note=note, max_rows=max_rows)
    if fold:
        page = folded(caption, page)
    show({"text/plain": f"{caption}\n{shown.frame.head(max_rows)}", "text/html": page})


def folded(summary: str, page: str) -> str:
    """Return HTML that is closed until a reader opens it."""
    return f'<details class="data"><summary>{html.escape(summary)}</summary>{page}</details>'


def to_html(
    result: Any,
    *,
    caption: str,
    note: str = "",
    max_rows: int = 25,
    formats: Mapping[str, Format] | None = None,
) -> str:
    """Return the table's HTML; the parameters are those of :func:`table`.

    Example:
        >>> import pandas as pd
        >>> frame = pd.DataFrame({"plan": ["<b>"], "churn": [0.05]}).assign(churn_low=0.04, churn_high=0.06)
        >>> page = to_html(Table(frame, {"churn": "percent"}), caption="Churn")
        >>> '<th scope="row">&lt;b&gt;</th>' in page, "5% (4% to 6%)" in page
        (True, True)
    """
    if not caption or not caption.strip():
        raise InputError("The table has no caption; say in a few words what it shows.")
    given = table_of(result)
    frame = (
        given.frame.reset_index()
        if any(name is not None for name in given.frame.index.names)
        else given.frame
    )
    frame = frame.set_axis([str(column) for column in frame.columns], axis=1)
    absent = [name for name in formats or {} if name not in frame.columns]
    if absent:
        raise InputError(
            f"The table {caption!r} has no column {absent[0]!r} to format; it has {', '.join(frame.columns)}."
        )
    units = _units(frame, {**{str(name): unit for name, unit in given.units.items()}, **(formats or {})})
    shown = frame.head(max_rows)
    merged = [name for name in frame.columns if _ends(frame, name, units)]
    hidden = {end for name in merged for end in _ends(frame, name, units)}
    columns = [name for name in frame.columns if name not in hidden]
    kinds = [_is_numeric(frame[name], units.get(name)) for name in columns]
    cells = [
        with_interval(
            shown[name],
            shown[_ends(frame, name, units)[0]],
            shown[_ends(frame, name, units)[1]],
            str(units[name]),
        )
        if name in merged
        else _column(shown[name], units.get(name))
        for name in columns
    ]
    head = "".join(
        f'<th scope="col"{_align(numeric)}>{html.escape(_title(name, units.get(name)))}</th>'
        for name, numeric in zip(columns, kinds, strict=True)
    )
    body = "".join(
        "<tr>" + "".join(_cell(cells[j][i], kinds[j], j == 0) for j in range(len(columns))) + "</tr>"
        for i in range(len(shown))
    )
    remarks = []
    if len(frame) > len(shown):
        remarks.append(say("{n:more row} not shown.", n=len(frame) - len(shown)))
    if len(frame) == 0:
        remarks.append(say("There are no rows."))
    if merged and shown[sorted(hidden)].notna().to_numpy().any():
        remarks.append(say("In parentheses: the 95% interval."))
    remarks += [remark for remark in (note, *given.notes) if remark]
    label = html.escape(f"Table: {caption}", quote=True)
    kind = "table brief" if len(shown) <= BRIEF else "table"
    return (
        f'<div class="{kind}" role="group" aria-label="{label}" tabindex="0" style="overflow-x:auto">'
        f"<table><caption>{html.escape(caption)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
        + (f'<p class="note"><small>{html.escape(" ".join(remarks))}</small></p>' if remarks else "")
    )


def with_interval(values: Any, lows: Any, highs: Any, unit: str) -> list[str]:
    """Return a column of estimates, each with its interval behind it, all with the same decimals.

    Example:
        >>> with_interval([0.05, 0.2], [0.04, 0.2], [0.06, 0.2], "percent")
        ['5% (4% to 6%)', '20%']
        >>> with_interval([14.2, None], [13, 20], [None, None], "months")
        ['14.2 (13.0 or more)', 'not available (20.0 or more)']
    """
    rows = list(zip(values, lows, highs, strict=True))
    alike = iter(fmt.column([number for row in rows for number in row], unit))
    texts = []
    for value, low, high in rows:
        words, first, last = next(alike), next(alike), next(alike)
        if (fmt.missing(low) and fmt.missing(high)) or value == low == high:
            texts.append(words)
        else:
            ends = fmt.between(*("" if fmt.missing(k) else word for k, word in ((low, first), (high, last))))
            texts.append(f"{words} ({ends})")
    return texts


def _units(frame: pd.DataFrame, units: Mapping[str, Format]) -> dict[str, Format]:
    """The columns' units; the ends of an interval have that of its middle."""
    known = {name: unit for name, unit in units.items() if name in frame.columns}
    for name, unit in list(known.items()):
        for end in (f"{name}_low", f"{name}_high", *(("low", "high") if name == "value" else ())):
            if end in frame.columns:
                known.setdefault(end, unit)
    return known


def _ends(frame: pd.DataFrame, name: str, units: Mapping[str, Format]) -> list[str]:
    """The columns of an estimate's interval, where its unit is known; none where it has no interval."""
    ends = [f"{name}_low", f"{name}_high"]
    if name == "value" and not set(ends) <= set(frame.columns):
        ends = ["low", "high"]
    return ends if isinstance(units.get(name), str) and set(ends) <= set(frame.columns) else []


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
