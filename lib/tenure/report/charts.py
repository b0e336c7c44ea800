"""Figures of amounts, ratios and series: heat map, forest, bars, line, waterfall.

Each takes a table or a result that has one, and the column to draw; an interval is in the columns
`{name}_low` and `{name}_high`, the unit is the table's. A title is a statement: empty, the figure says what
stands out. `subtitle` says what is measured.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from tenure.errors import InputError
from tenure.report import format as fmt
from tenure.report import style
from tenure.report.palette import GREY, INK, MUTED, PALETTE
from tenure.report.picture import Picture, drawn_from, listed
from tenure.report.tables import table_of
from tenure.report.words import say, translated
from tenure.result import NAN, Table

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def retention_heatmap(matrix: Any, *, revenue: bool = False) -> Picture:
    """Draw retention by cohort (rows) and age in months (columns), as a share where the table has no unit.

    Args:
        matrix: A row for each cohort, named by the index or the first column, and a column for each age; NaN
            where a cohort is too young.
        revenue: Whether the shares are of a cohort's revenue, not of its customers.
    """
    import numpy as np

    table = table_of(matrix)
    unit = next(iter(table.units.values()), "percent")
    frame = table.frame
    if frame.shape[0] == 0 or frame.shape[1] == 0:
        return Picture.nothing(" ".join(table.notes) or say("There is nothing to draw."))
    if frame.dtypes.iloc[0].kind not in "fiu":
        frame = frame.set_index(frame.columns[0])
    frame = frame.rename(columns=str, index=str)
    values = frame.to_numpy(dtype=float)
    rows, columns = values.shape
    known = values[np.isfinite(values)]
    low, high = (known.min(), known.max()) if len(known) else (0.0, 1.0)
    low, high = (0.0, 1.0) if low == high else (low, high)

    def draw(width: float) -> Figure:
        down, across = range(rows), range(columns)
        if style.is_narrow(width):  # the newest, at the ages that are spoken of
            down = range(max(0, rows - 18), rows)
            across = range(0, columns, max(1, math.ceil(columns / 5)))
        cells = np.round(values, 2 if unit == "percent" else 9)[np.ix_(list(down), list(across))]
        figure, axes = style.new_figure(0.7 + 0.27 * min(len(down), 40), width=width)
        words = [fmt.column(line, unit) for line in cells] if len(across) <= 14 and len(down) <= 40 else []
        style.cells(axes, cells, words, "h", low, high)
        every = max(1, math.ceil(len(down) / 40)), max(1, math.ceil(len(across) / 13))
        names = [style.shorten(style.named(frame.index[k]), 14) for k in down]
        axes.set_yticks([k + 0.5 for k in range(0, len(down), every[0])], names[:: every[0]])
        ages = [frame.columns[k] for k in across]
        axes.set_xticks([k + 0.5 for k in range(0, len(across), every[1])], ages[:: every[1]])
        axes.set_xlabel(say("Months since the start"))
        axes.xaxis.set_label_position("top")
        if len(down) < rows:
            told = say("The newest {n}; all are in the data below", n=len(down))
            style.note(axes, told, (0, 0), (0, -4), "xaxis", ha="left", va="top")
        return figure

    takeaway = say("No two cohorts can be compared yet")
    # At the greatest age that two cohorts have reached: the newest, and the one a year before or the first.
    for age in frame.columns:
        there = frame[age].dropna()
        if len(there) > 1:
            old = max(0, len(there) - 13)
            sentence = (
                "After {age}, {now} of the customers of {new} are still subscribed, and {before} of those "
                "of {old}"
            )
            if revenue:
                sentence = (
                    "After {age}, customers of {new} pay {now} of what they paid at first, and those of "
                    "{old} {before}"
                )
            takeaway = say(
                sentence,
                age=fmt.value(int(age), "months") if age.isdigit() else age,
                now=(there.iloc[-1], unit), new=style.named(there.index[-1]),
                before=(there.iloc[old], unit), old=style.named(there.index[old]),
            )  # fmt: skip
    subtitle = "Share still subscribed by months since the start; blank: too young to tell"
    if revenue:
        subtitle = "Share of the first month's revenue by months since the start; blank: too young to tell"
    alt = say("Retention by start and age for {n:cohort}; those too young are blank.", n=rows)
    named = frame.rename_axis(str(frame.index.name or "cohort")).reset_index()
    data = Table(named, dict.fromkeys(frame.columns, unit))
    return Picture(draw, takeaway, f"{alt} {takeaway}.", data, say(subtitle))


def forest(
    ratios: Any,
    *,
    title: str = "",
    subtitle: str = "Chance of leaving in a period, all else equal, relative to the reference (95% interval)",
    less: str = "less likely to leave",
    more: str = "more likely to leave",
    as_given: bool = False,
) -> Picture:
    """Draw ratios with their intervals on a logarithmic scale around 1.

    Args:
        ratios: Columns label, ratio and its interval. With a column `section` rows stand under headings. A
            row without interval whose ratio is 1 is a reference, which its heading names. Hazard ratios may
            be given as they are estimated, with columns covariate, level and hazard_ratio.
        title: Empty: the ratio furthest from 1 of those that are clear.
        subtitle: What is measured.
        less: What a ratio below 1 means, in words.
        more: What a ratio above 1 means.
        as_given: Whether rows stay in their order; else the largest ratio of a section comes first.
    """
    given = table_of(ratios)
    if given.frame.empty:
        return Picture.nothing(" ".join(given.notes) or say("There is nothing to draw."))
    names = {"covariate": "section", "level": "label", "hazard_ratio": "ratio"}
    names |= {f"hazard_ratio_{end}": f"ratio_{end}" for end in ("low", "high")}
    renamed = {old: new for old, new in names.items() if new not in given.frame.columns}
    table = drawn_from(given.pipe(lambda frame: frame.rename(columns=renamed)), "forest", "ratio", "label")
    rows = _with_references(rows_of(table.frame, "label", "ratio", above=0), as_given)
    known = sorted((row for row in rows if row.ends), key=lambda row: -row.value)
    clear = [row for row in known if row.clear(1)]
    less, more = translated(less), translated(more)

    def write(row: Row) -> str:
        if not row.ends:
            return fmt.value(row.value, "ratio")
        ends = fmt.interval(row.low, row.high, "ratio")
        return f"{fmt.value(row.value, 'ratio', digits=2 if row.value < 10 else 1)} ({ends})"

    def draw(width: float) -> Figure:
        figure, axes = draw_rows(rows, write, 1, width)
        _ratio_axis(axes, [1.0, *(mark for row in rows for mark in (row.value, *row.ends) if mark > 0)])
        style.note(axes, f"\N{LEFTWARDS ARROW} {less}", (1, 1), (-6, 4), "xaxis", ha="right")
        style.note(axes, f"{more} \N{RIGHTWARDS ARROW}", (1, 1), (6, 4), "xaxis", ha="left")
        return figure

    takeaway = say("No interval excludes 1: nothing stands out" if known else "No ratio can be formed")
    if clear:
        top = max(clear, key=lambda row: abs(math.log(row.value)))
        words = {"name": top.name, "ratio": (top.value, "ratio"), "side": less if top.value < 1 else more}
        takeaway = say("{name} stands out most: {ratio}, {side}", **words)
    said = listed([(row.name, row.value) for row in known], "ratio")
    alt = say("Ratios with their intervals, the largest first: {said}.", said=said)
    columns = ("section", "label", "reference", "n", "events", "ratio", "ratio_low", "ratio_high", "p")
    data = Table(table.frame[style.known(table.frame, *columns)], {"ratio": "ratio", "p": "p"})
    subtitle = style.also(subtitle, say("filled: clearly not 1×"))
    return Picture(draw, title or takeaway, alt, data, subtitle)


def bars_with_intervals(
    rows: Any,
    value: str = "value",
    *,
    label: str = "label",
    reference: float = NAN,
    reference_label: str = "",
    title: str = "",
    subtitle: str = "",
    as_given: bool = False,
) -> Picture:
    """Draw a value for each label as a horizontal bar with its interval, the largest first.

    Args:
        rows: Columns `label`, `value` and, where known, its interval.
        value: The column of the values.
        label: The column of the labels.
        reference: A value to mark by a line across all bars.
        reference_label: What it is.
        title: Empty: the largest and the smallest value.
        subtitle: What is measured.
        as_given: Whether the bars stay in their order.
    """
    table = drawn_from(rows, "bars_with_intervals", value, label)
    unit, bars = table.units.get(value, "number"), rows_of(table.frame, label, value)
    if not as_given:
        bars.sort(key=lambda bar: -bar.value if math.isfinite(bar.value) else math.inf)
    named = [(bar.label, bar.value) for bar in bars]

    def draw(width: float) -> Figure:
        figure, axes = style.row_figure([bar.label for bar in bars], width=width)
        written = fmt.column([bar.value for bar in bars], unit)
        look: dict[str, Any] = {"color": INK, "size": 10, "weight": "bold"}
        aside = not style.named_above(axes)
        for place, bar in enumerate(bars):
            axes.barh(place, bar.value, height=0.62 if aside else 0.42, color=PALETTE[3])
            if bar.ends:
                axes.plot(bar.ends, [place, place], color=INK, lw=1.5, solid_capstyle="butt")
            far = 0.0 if fmt.missing(bar.value) else max(bar.value, 0.0, *bar.ends)
            if aside:
                style.note(axes, written[place], (far, place), (5, 0), ha="left", va="center", **look)
            else:
                style.row_number(axes, place, written[place], **look)
        style.unit_axis(axes.xaxis, unit)
        axes.spines["bottom"].set_visible(False)
        axes.tick_params(axis="x", length=0)
        if not fmt.missing(reference):
            words = f"{translated(reference_label)} {fmt.value(reference, unit)}".strip()
            style.uprights(axes, [(reference, words)], INK)
        return figure

    known = sorted((pair for pair in named if not fmt.missing(pair[1])), key=lambda pair: -pair[1])
    takeaway = say("Nothing is known yet")
    if known:
        (first, most), (last, least) = known[0], known[-1]
        several = "{first} has most, {most}; {last} has least, {least}"
        words = {"first": first, "most": (most, unit), "last": last, "least": (least, unit)}
        takeaway = say(several if len(known) > 1 else "{first}: {most}", **words)
    return Picture(draw, title or takeaway, say("Bars: {said}.", said=listed(named, unit)), table, subtitle)


def line_with_interval(
    rows: Any, *, target: float | None = None, from_zero: bool = True, title: str = "", subtitle: str = ""
) -> Picture:
    """Draw a value over time, for one or several groups, with its interval.

    Args:
        rows: Columns date, value and, where known, its interval and group.
        target: What was aimed for, drawn as a dashed line.
        from_zero: Whether the scale begins at zero.
        title: Empty: the first and the last value.
        subtitle: What is measured.
    """
    import pandas as pd

    table = drawn_from(rows, "line_with_interval", "value", "date")
    unit = table.units.get("value", "number")
    by = table.frame["group"].astype(str) if "group" in table.frame.columns else "all"
    frame = table.frame.assign(date=pd.to_datetime(table.frame["date"]), group=by)
    frame = frame.sort_values(["group", "date"], kind="stable")
    groups = style.group_names(frame)
    kind = "month" if (frame["date"].dt.day == 1).all() else "day"

    def spoken(day: Any) -> str:
        from matplotlib.dates import num2date

        return fmt.date(num2date(day).date() if isinstance(day, float) else day, kind)

    def draw(width: float) -> Figure:
        from matplotlib.dates import date2num

        figure, axes = style.new_figure(3.3, width=width)
        ends = style.lines(
            axes, frame.assign(at=date2num(frame["date"])), "at", "value", style.colors(groups)
        )
        reach = frame[style.known(frame, "value", "value_low", "value_high")].to_numpy(dtype=float)
        marks = [*reach.ravel().tolist(), NAN if target is None else target]
        marks = [mark for mark in marks if math.isfinite(mark)]
        low, high = min(marks, default=0.0), max(marks, default=1.0)
        low = min(low, 0.0) if from_zero else low
        room = (high - low or abs(high) or 1.0) * 0.1
        axes.set_ylim(low - (room if low < 0 or not from_zero else 0), high + room)
        style.unit_axis(axes.yaxis, unit)
        style.date_axis(axes)
        by = "group" if len(groups) > 1 else ""
        style.tips(axes, frame.assign(at=date2num(frame["date"])), "at", {"value": ("", unit)}, spoken, by=by)
        if target is not None and not fmt.missing(target):
            axes.axhline(target, color=MUTED, lw=1.1, ls=(0, (4, 3)))
            # At the end where the lines are further from it.
            begins, ends_at = (
                min(abs(frame.loc[frame["date"] == day, "value"] - target), default=0.0)
                for day in (frame["date"].min(), frame["date"].max())
            )
            place, shift, side = (0, 2, "left") if begins >= ends_at else (1, -2, "right")
            words = say("target {target}", target=(target, unit))
            style.note(axes, words, (place, target), (shift, 3), "yaxis", ha=side)
        style.label_ends(axes, ends)
        return figure

    known = frame.dropna(subset="value").groupby("group", sort=False)[["date", "value"]]
    takeaway = say("Nothing is known yet")
    said: list[tuple[str, float]] = []
    for name, part in reversed(list(known)):  # the first group's is said
        (start, before), (last, now) = part.iloc[[0, -1]].to_numpy().tolist()
        sentence = "{now} in {last}, from {before} in {start}"
        if kind == "day":
            sentence = "{now} on {last}, from {before} on {start}"
        words = {"now": (now, unit), "before": (before, unit), "group": name}
        sentence = f"{{group}}: {sentence}" if len(groups) > 1 else sentence
        takeaway = say(sentence, last=spoken(last), start=spoken(start), **words)
        said.insert(0, (str(name) if len(groups) > 1 else "", now))
    alt = say("Lines over time, ending at {said}.", said=listed(said, unit))
    data = Table(table.frame, {"date": "date", **table.units})
    return Picture(draw, title or takeaway, alt, data, subtitle)


def waterfall(rows: Any, *, subtitle: str = "") -> Picture:
    """Draw how a first total becomes a last one by what was added and taken away between.

    Args:
        rows: Columns label and amount: the first row is the total before, the last the total after, those
            between are changes that add up.
        subtitle: What is measured.

    Raises:
        InputError: The changes do not lead from the first total to the last.
    """
    table = drawn_from(rows, "waterfall", "amount", "label")
    unit = table.units.get("amount", "number")
    labels = [str(name) for name in table.frame["label"]]
    amounts = [float(number) for number in table.frame["amount"]]
    if len(amounts) < 2:
        raise InputError("The figure waterfall needs a first and a last total.")
    if abs(sum(amounts[:-1]) - amounts[-1]) > 1e-6 * max(1.0, abs(amounts[-1])):
        raise InputError(
            f"The figure waterfall does not add up: its rows give {sum(amounts[:-1]):g}, "
            f"its last total is {amounts[-1]:g}."
        )
    changes = range(1, len(amounts) - 1)
    labels = [style.named(name) for name in labels]
    # From the first total on: next to whole totals small changes could not be seen, or would look large.
    levels = [*itertools.accumulate(amounts[1:-1], initial=0.0)]
    spans = [(0.0, 0.0), *itertools.pairwise(levels), (0.0, amounts[-1] - amounts[0])]
    signed = fmt.column(amounts, unit)
    signed = [f"+{word}" if k in changes and amounts[k] > 0 else word for k, word in enumerate(signed)]

    def draw(width: float) -> Figure:
        ends = (0, len(labels) - 1)
        figure, axes = style.row_figure(labels, width=width, more=0.2, above=True)
        high = 0.42 if style.named_above(axes) else 0.62
        for place, (start, stop) in enumerate(spans):
            color = PALETTE[5] if place in ends else PALETTE[2 if stop >= start else 4]
            axes.barh(place, stop - start, left=start, height=high, color=color)
            if place < len(amounts) - 1 and not style.named_above(axes):
                axes.plot([stop, stop], [place, place + 1], color=MUTED, lw=0.9, zorder=0.9)
            style.row_number(axes, place, signed[place], weight="bold" if place in ends else "normal")
        axes.axvline(0, color=INK, lw=1, zorder=0.8)
        axes.margins(x=0.03)
        axes.grid(False)
        axes.set_xticks([])
        axes.spines["bottom"].set_visible(False)
        return figure

    words = {"before": (amounts[0], unit), "after": (amounts[-1], unit)}
    takeaway = say("It stays at {after}", **words)
    if any(amounts[1:-1]):
        most = max(changes, key=lambda place: abs(amounts[place]))
        moved = "From {before} to {after}: {most} moved it most, {moved}"
        takeaway = say(moved, most=labels[most], moved=signed[most], **words)
    steps = fmt.join(f"{name} {amount}" for name, amount in zip(labels, signed, strict=True))
    alt = say("Bridge: {steps}.", steps=steps)
    told = say("bars: the change since {before}, the last in all", before=labels[0])
    return Picture(draw, takeaway, alt, table, style.also(subtitle, told))


class Row(NamedTuple):
    """A row of a figure: a value with its interval, named at the left; or the heading of a section."""

    label: str
    value: float = NAN
    low: float = NAN
    high: float = NAN
    section: str = ""
    heading: bool = False

    @property
    def ends(self) -> list[float]:
        """The ends of the interval, if both are known."""
        return [self.low, self.high] if math.isfinite(self.low + self.high) else []

    @property
    def name(self) -> str:
        """What it is called outside its section."""
        return f"{self.label} ({self.section})" if self.section else self.label

    def clear(self, zero: float) -> bool:
        """Whether the interval excludes a value."""
        return bool(self.ends) and not self.low <= zero <= self.high


def rows_of(frame: pd.DataFrame, label: str, value: str, *, above: float = -math.inf) -> list[Row]:
    """Return the rows of a frame, under headings where it has a column section.

    Args:
        frame: The rows.
        label: The column that names them.
        value: The column of the values, with its interval in `{value}_low` and `{value}_high`.
        above: What is not above it is not available, an interval that does not lie above it is none.
    """
    rows: list[Row] = []
    section = ""
    for row in frame.to_dict("records"):
        if "section" in row and str(row["section"]).replace("_", " ") != section:
            section = str(row["section"]).replace("_", " ")
            rows.append(Row(section, heading=True))
        found, low, high = (float(row.get(f"{value}{end}", NAN)) for end in ("", "_low", "_high"))
        found = found if math.isfinite(found) and found > above else NAN
        low, high = (low, high) if math.isfinite(found) and low > above else (NAN, NAN)
        rows.append(Row(str(row[label]), found, low, high, section))
    return rows


def draw_rows(
    rows: Sequence[Row], write: Callable[[Row], str], zero: float, width: float
) -> tuple[Figure, Axes]:
    """Draw rows as dots with their intervals; what its interval tells apart from `zero` is filled."""
    heads = [place for place, row in enumerate(rows) if row.heading]
    labels = [row.label for row in rows]
    figure, axes = style.row_figure(labels, width=width, more=0.75, above=True, bold=heads)
    for place, row in enumerate(rows):
        if row.heading:
            continue
        style.row_number(axes, place, fmt.NOT_AVAILABLE if fmt.missing(row.value) else write(row))
        color = PALETTE[0] if row.clear(zero) else GREY
        axes.plot(row.ends, [place] * len(row.ends), color=color, lw=2.2)
        if not fmt.missing(row.value):
            fill = color if row.clear(zero) else "white"
            axes.plot([row.value], [place], marker="o", ms=7, mec=color, mfc=fill, mew=1.8)
    return figure, axes


def _with_references(rows: Sequence[Row], as_given: bool) -> list[Row]:
    """Say what a section is compared with in its heading, and put its largest ratio first."""
    parts: dict[str, list[Row]] = {}
    for row in rows:
        parts.setdefault(row.label if row.heading else row.section, []).append(row)
    told: list[Row] = []
    for part in parts.values():
        heads = [row for row in part if row.heading]
        body = [row for row in part if not row.heading]
        references = [row for row in body if row.value == 1 and not row.ends]
        if heads and references and len(references) < len(body):
            others = fmt.join(row.label for row in references)
            heads = [
                heads[0]._replace(label=say("{name}, against {others}", name=heads[0].label, others=others))
            ]
            body = [row for row in body if row not in references]
        if not as_given:
            body.sort(key=lambda row: -row.value if math.isfinite(row.value) else math.inf)
        told += [*heads, *body]
    return told


def _ratio_axis(axes: Axes, marks: list[float]) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    # A ratio that is hardly estimated may reach to infinity; its line then runs out of the picture.
    low, high = min(0.8, max(min(marks), 0.02) / 1.12), max(1.25, min(max(marks), 50.0) * 1.12)
    steps = [0.02, 0.05, 0.1, 0.2, 0.33, 0.5, 0.67, 0.8, 1, 1.25, 1.5, 2, 3, 5, 10, 20, 50]
    ticks = [step for step in steps if low <= step <= high]
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.axvline(1, color=INK, lw=1, zorder=0.6)
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda tick, _: fmt.value(tick, "ratio")))
