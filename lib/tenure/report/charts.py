"""Figures of amounts, ratios and series: heat map, forest, bars, line, waterfall."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tenure.errors import InputError
from tenure.report import format as fmt
from tenure.report import style
from tenure.report.style import GREY, INK, MUTED, theme

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def retention_heatmap(
    frame: pd.DataFrame,
    *,
    unit: str = "percent",
    period: str = "month",
    title: str = "",
    subtitle: str | None = None,
) -> Figure:
    """Draw retention by cohort (rows) and age (columns); cells that are not ripe stay blank.

    Args:
        frame: A row for each cohort, a column for each age, the index and columns as they are to be read; NaN
            where a cohort is too young.
        unit: The unit of the values.
        period: The unit of age.
        title: What the figure shows, as a statement.
        subtitle: What is measured; None: the usual words.
    """
    if frame.shape[0] == 0 or frame.shape[1] == 0:
        raise InputError("The figure retention_heatmap has nothing to draw: its table has no rows.")
    import numpy as np
    from matplotlib.colors import LinearSegmentedColormap

    values = frame.to_numpy(dtype=float)
    rows, columns = values.shape
    if subtitle is None:
        subtitle = f"Share still there by {period}s since the start; blank: too young to tell"
    known = values[np.isfinite(values)]
    low, high = (known.min(), known.max()) if len(known) else (0.0, 1.0)
    low, high = (0.0, 1.0) if low == high else (low, high)
    tints = LinearSegmentedColormap.from_list("tenure", ["#F6EEFA", "#B98FD0", style.PALETTE[0]])
    with theme():
        figure, axes = style.new_figure(1.3 + 0.27 * min(rows, 40))
        axes.pcolormesh(
            np.ma.masked_invalid(values), cmap=tints, vmin=low, vmax=high, edgecolors="white", linewidth=1
        )
        axes.invert_yaxis()
        axes.grid(False)
        axes.spines["bottom"].set_visible(False)
        down = range(0, rows, max(1, math.ceil(rows / 40)))
        axes.set_yticks([k + 0.5 for k in down], [style.shorten(frame.index[k]) for k in down])
        across = range(0, columns, max(1, math.ceil(columns / 13)))
        axes.set_xticks([k + 0.5 for k in across], [str(frame.columns[k]) for k in across])
        axes.tick_params(length=0)
        axes.xaxis.tick_top()
        axes.set_xlabel(f"{period.capitalize()}s since the start")
        axes.xaxis.set_label_position("top")
        if columns <= 14 and rows <= 40:
            words = [fmt.column(line, unit) for line in np.round(values, 2 if unit == "percent" else 9)]
            for row, column in zip(*np.nonzero(np.isfinite(values)), strict=True):
                ink = style.ink_on(tints((values[row, column] - low) / (high - low))[:3])
                axes.text(
                    column + 0.5, row + 0.5, words[row][column], ha="center", va="center", size=8.5, color=ink
                )
        style.headline(figure, title, subtitle)
        return style.finish(figure)


def forest(
    table: pd.DataFrame,
    *,
    title: str = "",
    subtitle: str = "Chance to leave in a period, all else alike, against the reference (line: 95% interval)",
    less: str = "less likely to leave",
    more: str = "more likely to leave",
) -> Figure:
    """Draw ratios with their intervals on a logarithmic scale around 1.

    Args:
        table: Columns label, ratio and, where known, low and high; in the order given. With a column
            `section` rows stand under headings. A row without interval whose ratio is 1 is a reference.
        title: What the figure shows, as a statement.
        subtitle: What is measured.
        less: What a ratio below 1 means, in words.
        more: What a ratio above 1 means.
    """
    style.need(table, "forest", "label", "ratio")
    lines = _forest_lines(table)
    with theme():
        figure, axes = style.new_figure(1.5 + 0.29 * len(lines))
        for place, line in enumerate(lines):
            if line.ratio is None:
                continue
            color = style.PALETTE[0] if line.clear else GREY
            if line.ends:
                axes.plot(line.ends, [place, place], color=color, lw=2.2)
            marker = "|" if line.reference else "o"
            fill = color if line.clear else "white"
            axes.plot([line.ratio], [place], marker=marker, ms=7, mec=color, mfc=fill, mew=1.8)
        _ratio_axis(axes, [1.0, *(mark for line in lines for mark in (line.ratio, *line.ends) if mark)])
        axes.set_ylim(len(lines) - 0.4, -0.6)
        axes.grid(axis="y", visible=False)
        axes.set_yticks(range(len(lines)), [style.shorten(line.label, 30) for line in lines])
        for tick, line in zip(axes.get_yticklabels(), lines, strict=True):
            tick.set_color(INK)
            tick.set_weight("normal" if line.words else "bold")
        for place, line in enumerate(lines):
            style.note(axes, line.words, (1, place), (8, 0), "yaxis", ha="left", va="center", color=INK)
        style.note(axes, f"\N{LEFTWARDS ARROW} {less}", (1, 1), (-6, 4), "xaxis", ha="right", va="bottom")
        style.note(axes, f"{more} \N{RIGHTWARDS ARROW}", (1, 1), (6, 4), "xaxis", ha="left", va="bottom")
        style.headline(figure, title, subtitle)
        return style.finish(figure)


def bars_with_intervals(
    table: pd.DataFrame,
    *,
    unit: str,
    reference: float | None = None,
    reference_label: str = "",
    title: str = "",
    subtitle: str = "",
    colors: Mapping[str, str] | None = None,
) -> Figure:
    """Draw a value for each label as a horizontal bar with its interval, in the order given.

    Args:
        table: Columns label and value and, where known, low and high.
        unit: The unit of the values.
        reference: A value to mark by a line across all bars.
        reference_label: What it is.
        title: What the figure shows, as a statement.
        subtitle: What is measured.
        colors: A color for some labels.
    """
    style.need(table, "bars_with_intervals", "label", "value")
    fmt.check_unit(unit)
    rows = table.to_dict("records")
    with theme():
        figure, axes = style.new_figure(1.15 + 0.36 * len(rows))
        written = fmt.column([row["value"] for row in rows], unit)
        for place, row in enumerate(rows):
            if fmt.missing(row["value"]):
                style.note(axes, written[place], (0, place), (4, 0), ha="left", va="center", size=10)
                continue
            color = (colors or {}).get(str(row["label"]), style.PALETTE[3])
            axes.barh(place, row["value"], height=0.62, color=color)
            ends = [float(row[end]) for end in ("low", "high") if not fmt.missing(row.get(end))]
            if len(ends) == 2:
                axes.plot(ends, [place, place], color=INK, lw=1.5, solid_capstyle="butt")
            far = (max([float(row["value"]), 0.0, *ends]), float(place))
            style.note(
                axes, written[place], far, (5, 0), ha="left", va="center", color=INK, size=10, weight="bold"
            )
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_yticks(range(len(rows)), [style.shorten(row["label"], 28) for row in rows])
        axes.tick_params(axis="y", labelcolor=INK)
        axes.grid(axis="y", visible=False)
        style.unit_axis(axes.xaxis, unit)
        axes.spines["bottom"].set_visible(False)
        axes.tick_params(axis="x", length=0)
        if reference is not None and not fmt.missing(reference):
            axes.axvline(reference, color=INK, lw=1, ls=(0, (3, 2)))
            words = f"{reference_label} {fmt.value(reference, unit)}".strip()
            style.note(axes, words, (reference, 1), (0, 3), "xaxis")
        style.headline(figure, title, subtitle)
        return style.finish(figure)


def line_with_interval(
    table: pd.DataFrame,
    *,
    unit: str,
    annotations: Mapping[Any, str] | None = None,
    partial: bool = False,
    target: float | None = None,
    from_zero: bool = True,
    title: str = "",
    subtitle: str = "",
    colors: Mapping[str, str] | None = None,
) -> Figure:
    """Draw a value over time, for one or several groups, with its interval and what happened when.

    Args:
        table: Columns date and value and, where known, low, high and group.
        unit: The unit of the values.
        annotations: For a date what happened, in a few words.
        partial: Whether the last date is a period that still runs; it is drawn hollow.
        target: What was aimed for, drawn as a dashed line.
        from_zero: Whether the scale begins at zero.
        title: What the figure shows, as a statement.
        subtitle: What is measured.
        colors: A color for some groups.
    """
    style.need(table, "line_with_interval", "date", "value")
    fmt.check_unit(unit)
    import pandas as pd
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num

    frame = table.assign(
        date=pd.to_datetime(table["date"]),
        group=table["group"].astype(str) if "group" in table.columns else "all",
    ).sort_values(["group", "date"], kind="stable")
    groups = style.group_names(frame)
    chosen = style.colors(groups, colors)
    end = frame["date"].max()
    with theme():
        figure, axes = style.new_figure(3.9)
        ends = []
        for group in groups:
            part = frame[frame["group"] == group]
            style.band(axes, part.rename(columns={"date": "period"}), chosen[group], raw=False)
            whole = part[part["date"] < end] if partial else part
            axes.plot(whole["date"], whole["value"], color=chosen[group], dashes=style.dashes(group))
            if partial and len(part) and part["date"].iloc[-1] == end:
                tail = part.tail(2)
                axes.plot(tail["date"], tail["value"], color=chosen[group], lw=1.3, ls=(0, (2, 2)))
                tip = part.tail(1)
                axes.plot(tip["date"], tip["value"], "o", ms=6, mfc="white", mec=chosen[group])
            known = part[part["value"].notna()]
            if len(known):
                last = known.iloc[-1]
                ends.append((group, float(date2num(last["date"])), float(last["value"]), chosen[group]))
        reach = frame[style.known(frame, "value", "low", "high")].to_numpy(dtype=float).ravel().tolist()
        marks = [mark for mark in [*reach, math.nan if target is None else target] if math.isfinite(mark)]
        low, high = min(marks, default=0.0), max(marks, default=1.0)
        low = min(low, 0.0) if from_zero else low
        room = (high - low or abs(high) or 1.0) * 0.1
        axes.set_ylim(low - (room if low < 0 or not from_zero else 0), high + room)
        style.unit_axis(axes.yaxis, unit)
        axes.grid(axis="x", visible=False)
        locator = AutoDateLocator(minticks=3, maxticks=7)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))
        if target is not None and not fmt.missing(target):
            axes.axhline(target, color=MUTED, lw=1.1, ls=(0, (4, 3)))
            # At the end where the lines are further from it.
            begins, ends_at = (
                min(abs(frame.loc[frame["date"] == day, "value"] - target), default=0.0)
                for day in (frame["date"].min(), end)
            )
            place, shift, side = (0, 2, "left") if begins >= ends_at else (1, -2, "right")
            style.note(
                axes, f"target {fmt.value(target, unit)}", (place, target), (shift, 3), "yaxis", ha=side
            )
        _annotate_dates(axes, annotations or {}, frame["date"].min(), end)
        style.headline(figure, title, style.also(subtitle, "hollow: still running" if partial else ""))
        if len(groups) > 1:
            style.label_ends(axes, ends)
        return style.finish(figure)


def waterfall(table: pd.DataFrame, *, unit: str, title: str = "", subtitle: str = "") -> Figure:
    """Draw how a first total becomes a last one by what was added and taken away between.

    Args:
        table: Columns label and amount: the first row is the total before, the last the total after, those
            between are changes that add up.
        unit: The unit of the amounts.
        title: What the figure shows, as a statement.
        subtitle: What is measured.

    Raises:
        InputError: The changes do not lead from the first total to the last.
    """
    style.need(table, "waterfall", "label", "amount")
    fmt.check_unit(unit)
    import textwrap

    labels = [str(label) for label in table["label"]]
    amounts = [float(amount) for amount in table["amount"]]
    if len(amounts) < 2:
        raise InputError("The figure waterfall needs a first and a last total.")
    if abs(sum(amounts[:-1]) - amounts[-1]) > 1e-6 * max(1.0, abs(amounts[-1])):
        raise InputError(
            f"The figure waterfall does not add up: its rows give {sum(amounts[:-1]):g}, "
            f"its last total is {amounts[-1]:g}."
        )
    good, bad = style.PALETTE[2], style.PALETTE[4]
    with theme():
        figure, axes = style.new_figure(3.9)
        level, tops, feet = 0.0, [], []
        for place, amount in enumerate(amounts):
            total = place in (0, len(amounts) - 1)
            start, stop = (0.0, amount) if total else (level, level + amount)
            color = style.PALETTE[5] if total else good if amount >= 0 else bad
            axes.bar(place, stop - start, bottom=start, width=0.66, color=color)
            if place < len(amounts) - 1:
                axes.plot([place + 0.33, place + 0.67], [stop, stop], color=MUTED, lw=0.9)
            level = stop
            tops.append(max(start, stop))
            feet.append(min(start, stop))
        words = fmt.column(amounts, unit)
        for place, word in enumerate(words):
            plus = "+" if 0 < place < len(words) - 1 and amounts[place] > 0 else ""
            style.note(axes, plus + word, (place, tops[place]), (0, 3), color=INK, size=10, weight="bold")
        # Bars from zero would hide small changes of a large total: the totals are cut, and it is said.
        low = min(feet[1:-1] or [0.0])
        cut = low > 0.5 * max(tops) and min(feet) >= 0
        base = low - 0.35 * (max(tops) - low) if cut else min(0.0, *feet)
        axes.set_ylim(max(base, 0.0) if cut else base, max(tops) + 0.12 * (max(tops) - base))
        width = max(6, int(76 / len(labels)))
        wrapped = [textwrap.wrap(style.shorten(label, 28), width, break_long_words=False) for label in labels]
        axes.set_xticks(range(len(labels)), ["\n".join(lines) for lines in wrapped])
        axes.tick_params(axis="x", length=0, labelcolor=INK, labelsize=9.5 if len(labels) < 9 else 8)
        axes.grid(False)
        axes.set_yticks([])
        style.headline(
            figure, title, style.also(subtitle, "the totals' bars do not begin at zero" if cut else "")
        )
        return style.finish(figure)


@dataclass(frozen=True)
class _ForestLine:
    label: str
    ratio: float | None = None
    ends: tuple[float, ...] = ()
    words: str = ""

    @property
    def reference(self) -> bool:
        return self.ratio == 1 and not self.ends

    @property
    def clear(self) -> bool:
        """Whether the interval excludes 1."""
        return bool(self.ends) and not self.ends[0] <= 1 <= self.ends[1]


def _forest_lines(table: pd.DataFrame) -> list[_ForestLine]:
    lines: list[_ForestLine] = []
    section: Any = None
    for row in table.to_dict("records"):
        if "section" in table.columns and row["section"] != section:
            section = row["section"]
            lines.append(_ForestLine(str(section).replace("_", " ")))
        low, ratio, high = row.get("low"), row["ratio"], row.get("high")
        if fmt.missing(ratio) or ratio <= 0:
            lines.append(_ForestLine(str(row["label"]), words=fmt.NOT_AVAILABLE))
        elif low is None or high is None or fmt.missing(low) or fmt.missing(high) or low <= 0:
            words = "reference" if ratio == 1 else fmt.ratio(ratio)
            lines.append(_ForestLine(str(row["label"]), float(ratio), words=words))
        else:
            words = f"{fmt.ratio(ratio, 2 if ratio < 10 else 1)} ({fmt.interval(low, high, 'ratio')})"
            lines.append(_ForestLine(str(row["label"]), float(ratio), (float(low), float(high)), words))
    return lines


def _ratio_axis(axes: Axes, marks: list[float]) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    # A ratio that is hardly estimated may reach to infinity; its line then runs out of the picture.
    low, high = min(0.8, max(min(marks), 0.02) / 1.12), max(1.25, min(max(marks), 50.0) * 1.12)
    steps = [0.02, 0.05, 0.1, 0.2, 0.33, 0.5, 0.67, 0.8, 1, 1.25, 1.5, 2, 3, 5, 10, 20, 50]
    ticks = [step for step in steps if low <= step <= high]
    while len(ticks) > 7:
        ticks = [tick for place, tick in enumerate(ticks) if (place - ticks.index(1)) % 2 == 0]
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.axvline(1, color=INK, lw=1, zorder=0.6)
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda tick, _: fmt.ratio(tick)))


def _annotate_dates(axes: Axes, annotations: Mapping[Any, str], start: Any, end: Any) -> None:
    """Say along the top what happened when."""
    import pandas as pd
    from matplotlib.dates import date2num

    shown = sorted((pd.Timestamp(day), str(label)) for day, label in annotations.items())
    shown = [(day, label) for day, label in shown if start <= day <= end]
    for place, (day, label) in enumerate(shown):
        late = (day - start) > (end - start) * 0.6
        at, down = float(date2num(day)), -4 - 13 * (place % 3)
        axes.axvline(at, color=MUTED, lw=0.9, ls=(0, (2, 2)), zorder=0.7)
        words, side = style.shorten(label, 28), "right" if late else "left"
        style.note(axes, words, (at, 1), (-4 if late else 4, down), "xaxis", ha=side, va="top")
