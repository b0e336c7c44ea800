"""Small tables as accessible HTML."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tenure import privacy
from tenure.errors import InputError
from tenure.money import minor_exponent
from tenure.report import format as fmt
from tenure.report.display import ABOUT, FOLDED, show
from tenure.report.words import say, translated, word
from tenure.result import Table

if TYPE_CHECKING:
    import pandas as pd

_FEW = "Counts of fewer than {n:person}, and those that would tell them, are left out."

# A page shows so many rows of a table until a reader asks for all; one with no more is not cut in print.
BRIEF = 12


def table_of(result: Any) -> Table:
    """Return the table of what a model returned: a Table, a result with one, or a plain frame without units.

    All that a report shows or exports of a table passes here, and counts of too few people do not.

    Example:
        >>> import pandas as pd
        >>> table_of(pd.DataFrame({"plan": ["a"]})).units
        {}
    """
    if isinstance(result, Table):
        counts = [name for name in result.people if name in result.frame]
        hidden = privacy.few(result.frame, counts[0]) if counts else None
        if hidden is None or not hidden.any():
            return result
        frame = result.frame.assign(**{name: result.frame[name].mask(hidden) for name in counts})
        return replace(
            result, frame=frame, notes=(*result.notes, say(_FEW, n=privacy.smallest_group)), people=()
        )
    if hasattr(result, "table"):
        own = table_of(result.table)
        return replace(own, notes=own.notes or tuple(getattr(result, "notes", ())))
    return Table(result)


def table(
    result: Any, *, caption: str, fold: bool = False, note: str = "", max_rows: int = 25, about: str = ""
) -> None:
    """Show a small table that everyone can read.

    Columns `x`, `x_low` and `x_high` (or `value`, `low` and `high`) are an estimate and its interval; they
    share a cell. So do texts `x` and `x_interval`.

    Args:
        result: A table, a result that has one, or a frame. The first column names the rows; a named index
            becomes the first column.
        caption: What the table shows, in a few words.
        fold: Whether it is a table of detail: on the page it stands, closed, in the part for analysts.
        note: A remark below the table, before the table's own.
        max_rows: How many rows to show; a line says how many more there are.
        about: The part of the page of checks that it belongs to, such as "rules"; empty: none.

    Raises:
        InputError: The caption is empty, or a column has a unit that there is not.
    """
    page = to_html(result, caption=caption, note=note, max_rows=max_rows)
    if fold:
        page = folded(caption, page)
    record = {ABOUT: {"part": about}} if about else {FOLDED: {}} if fold else {}
    rows = table_of(result).frame.head(max_rows).drop(columns="customer_id", errors="ignore")
    show({"text/plain": f"{caption}\n{rows}", "text/html": page, **record})


def folded(summary: str, page: str) -> str:
    """Return HTML that is closed until a reader opens it."""
    return f'<details class="data"><summary>{html.escape(translated(summary))}</summary>{page}</details>'


def to_html(result: Any, *, caption: str, note: str = "", max_rows: int = 25) -> str:
    """Return the table's HTML; the parameters are those of :func:`table`.

    Example:
        >>> import pandas as pd
        >>> frame = pd.DataFrame({"plan": ["<b>"], "churn": [0.05]}).assign(churn_low=0.04, churn_high=0.06)
        >>> page = to_html(Table(frame, {"churn": "percent"}), caption="Churn")
        >>> '<th scope="row">&lt;b&gt;</th>' in page, "5<small>4 to 6</small>" in page
        (True, True)
    """
    if not caption.strip():
        raise InputError("The table has no caption; say in a few words what it shows.")
    given = table_of(result)
    frame = given.frame
    if any(name is not None for name in frame.index.names):
        frame = frame.reset_index()
    frame = frame.set_axis([str(column) for column in frame.columns], axis=1)
    frame = frame.drop(columns="customer_id", errors="ignore")  # ids stand in exports only
    units = _units(frame, given.units)
    shown = frame.head(max_rows)
    ends = {name: _ends(frame, name, units) for name in frame.columns}
    hidden = sorted({end for pair in ends.values() for end in pair})
    columns = frame.columns.drop(hidden)
    numeric = [_is_numeric(frame[name], units.get(name)) for name in columns]
    texts = [_texts(shown, name, ends[name], units.get(name)) for name in columns]
    head = "".join(
        f'<th scope="col"{_align(right)}>{html.escape(_title(name, units.get(name)))}</th>'
        for name, right in zip(columns, numeric, strict=True)
    )
    rows = (
        f'<th scope="row"{_key(key)}>{html.escape(first)}</th>{"".join(map(_cell, rest, numeric[1:]))}'
        for (first, _, key), *rest in zip(*texts, strict=True)
    )
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    remarks = []
    if len(frame) > len(shown):
        remarks.append(say("{n:more row} not shown.", n=len(frame) - len(shown)))
    if len(frame) == 0:
        remarks.append(say("There are no rows."))
    if any(ends[name] and name in units and shown[ends[name]].notna().to_numpy().any() for name in columns):
        remarks.append(say("Small print: 95% interval."))
    remarks += [translated(remark) for remark in (note, *given.notes) if remark]
    caption = translated(caption)
    label = html.escape(say("Table: {caption}", caption=caption), quote=True)
    kind = "table brief" if len(shown) <= BRIEF else "table long"
    return (
        f'<div class="{kind}" role="group" aria-label="{label}" tabindex="0" style="overflow-x:auto">'
        f"<table><caption>{html.escape(caption)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
        + (f'<p class="note"><small>{html.escape(" ".join(remarks))}</small></p>' if remarks else "")
    )


def _texts(frame: pd.DataFrame, name: str, ends: list[str], unit: str | None) -> list[tuple[str, str, str]]:
    """A column's cells: the text, the small print below it, and what to sort by where it is no number.

    Example:
        >>> import pandas as pd
        >>> frame = pd.DataFrame({"x": [14.2, None], "lo": [13, 20.0], "hi": [15, None]})
        >>> _texts(frame, "x", ["lo", "hi"], "months")
        [('14.2', '13.0 to 15.0', ''), ('not available', '20.0 or more', '')]
    """
    if len(ends) == 2:
        return _with_interval(frame[[name, *ends]].itertuples(index=False, name=None), str(unit))
    small = _column(frame[ends[0]], None) if ends else [""] * len(frame)
    keys = [""] * len(frame)
    if unit in ("date", "month") or frame[name].dtype.kind == "M":
        keys = ["" if fmt.missing(value) else str(value)[:10].replace("-", "") for value in frame[name]]
    return list(zip(_column(frame[name], unit), small, keys, strict=True))


def _with_interval(estimates: Iterable[Sequence[Any]], unit: str) -> list[tuple[str, str, str]]:
    """A column of estimates, each with its interval, all with the same decimals.

    Example:
        >>> _with_interval([(0.05, 0.04, 0.06), (0.2, 0.2, 0.2)], "percent")
        [('5', '4 to 6', ''), ('20', '', '')]
    """
    rows = list(estimates)
    written = _bare([number for row in rows for number in row], unit)
    texts = []
    for k, (value, *ends) in enumerate(rows):
        words, *limits = written[3 * k : 3 * k + 3]
        known = ["" if fmt.missing(end) else text for end, text in zip(ends, limits, strict=True)]
        sure = not any(known) or value == ends[0] == ends[1]
        texts.append((words, "" if sure else fmt.between(*known), ""))
    return texts


def _bare(values: Sequence[Any], unit: str) -> list[str]:
    """Values with the same decimals and without their unit, which stands in the column's head.

    Example:
        >>> _bare([0.3, 0.412], "percent"), _bare([120_000_000, 35_850], "money:EUR")
        (['30.0', '41.2'], ['1,200,000', '358'])
    """
    if not unit.startswith("money:"):
        written = fmt.column(values, unit)
        return [text if text == fmt.NOT_AVAILABLE else text.strip("%× \u00a0\u202f") for text in written]
    places = minor_exponent(unit[6:])
    amounts = [None if fmt.missing(v) else Decimal(repr(float(v))).scaleb(-places) for v in values]
    largest = max((abs(amount) for amount in amounts if amount is not None), default=0)
    return [fmt.value(amount, "number", digits=places if largest < 1000 else 0) for amount in amounts]


def _units(frame: pd.DataFrame, units: Mapping[str, str]) -> dict[str, str]:
    """The columns' units; the ends of an interval have that of its middle."""
    known = {str(name): unit for name, unit in units.items() if str(name) in frame.columns}
    for name, unit in list(known.items()):
        for end in (f"{name}_low", f"{name}_high", *(("low", "high") if name == "value" else ())):
            if end in frame.columns:
                known.setdefault(end, unit)
    return known


def _ends(frame: pd.DataFrame, name: str, units: Mapping[str, str]) -> list[str]:
    """The columns of an estimate's interval, where its unit is known; none where it has no interval."""
    if f"{name}_interval" in frame.columns:
        return [f"{name}_interval"]
    for ends in ([f"{name}_low", f"{name}_high"], ["low", "high"] if name == "value" else []):
        if ends and name in units and set(ends) <= set(frame.columns):
            return ends
    return []


def _title(name: str, unit: str | None) -> str:
    """A column's heading: its name, and the unit that its cells leave out.

    Example:
        >>> _title("churn", "percent"), _title("lost_per_month", "money:EUR"), _title("months", "months")
        ('Churn (%)', 'Lost per month (€)', 'Months')
    """
    words, mark = name.replace("_", " "), unit or ""
    head = translated(words[:1].upper() + words[1:])
    if mark.startswith("money:"):
        mark = fmt.currency_symbol(mark[6:])
    mark = {"percent": "%", "ratio": "×"}.get(mark, mark)
    if mark and mark not in (*_WRITERS, "count", "number", "score") and mark not in words:
        head += f" ({translated(mark)})"
    return head


def _is_numeric(column: pd.Series, unit: str | None) -> bool:
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    if is_bool_dtype(column):
        return False
    return is_numeric_dtype(column) or unit not in (None, "date", "month", "words")


def _column(column: pd.Series, unit: str | None) -> list[str]:
    from pandas.api.types import is_bool_dtype, is_datetime64_any_dtype

    if unit is None and _is_numeric(column, unit):
        unit = "number"
    if unit is not None and unit not in _WRITERS:
        return _bare(list(column), unit)
    write: Callable[[Any], str] = fmt.date if is_datetime64_any_dtype(column) else word
    if unit is not None:
        write = _WRITERS[unit]
    elif is_bool_dtype(column):
        write = _yes_no
    return [fmt.NOT_AVAILABLE if fmt.missing(value) else write(value) for value in column]


def _month(value: Any) -> str:
    return fmt.date(value, "month")


def _p(value: Any) -> str:
    return fmt.p_value(value).removeprefix("p = ").removeprefix("p ")


def _yes_no(value: Any) -> str:
    return say("yes") if value else say("no")


_WRITERS: dict[str, Callable[[Any], str]] = {
    "date": fmt.date, "month": _month, "p": _p, "words": translated
}  # fmt: skip


def _align(numeric: bool, short: bool = False) -> str:
    if numeric:
        return ' class="numeric" style="text-align:right"'
    return ' class="word" style="text-align:left"' if short else ' style="text-align:left"'


def _cell(cell: tuple[str, str, str], numeric: bool) -> str:
    text, small, key = cell
    below = f"<small>{html.escape(small)}</small>" if small else ""
    if text == fmt.NOT_AVAILABLE:
        return (
            f'<td{_align(numeric)} aria-label="{" ".join((translated(text), small)).strip()}">–{below}</td>'
        )
    return f"<td{_align(numeric, short=len(text) <= 14)}{_key(key)}>{html.escape(text)}{below}</td>"


def _key(key: str) -> str:
    return f' data-v="{key}"' if key else ""
