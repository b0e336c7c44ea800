"""The figures of the reports, drawn from small tables.

Each function takes a frame of a few hundred rows and returns a figure of its own that no global state knows.
Give it to :func:`tenure.report.figure` with an alternative text. Titles are statements; `subtitle` says what
is measured. Groups keep their colours from figure to figure; pass `colors` to choose them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tenure.errors import InputError
from tenure.report import format as fmt
from tenure.report import style
from tenure.report.style import GREY, INK, LINE, MUTED, colors, theme

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "bars_with_intervals",
    "colors",
    "cumulative_incidence",
    "forest",
    "hazard",
    "line_with_interval",
    "retention_heatmap",
    "survival",
    "theme",
    "waterfall",
]

# More lines than this in one frame are spaghetti: each group gets a small panel instead.
MAX_LINES = 6


def survival(
    table: pd.DataFrame,
    *,
    period: str = "month",
    at_risk: bool = True,
    horizon: int | None = None,
    title: str = "",
    subtitle: str | None = None,
    colors: Mapping[str, str] | None = None,
) -> Figure:
    """Draw survival curves by group, with interval bands and the numbers at risk below.

    Args:
        table: Columns group, period, at_risk, survival, low, high; survival after each completed period, as a
            fraction. Every curve starts at 1 in period 0.
        period: The unit of a period.
        at_risk: Whether to write how many were still observed.
        horizon: The last period to draw; None: all.
        title: What the figure shows, as a statement.
        subtitle: What is measured; None: the usual words.
        colors: A color for some groups.
    """
    _need(table, "survival", "group", "period", "survival")
    frame = _from_start(_cut(table, horizon))
    groups = _groups(frame)
    last = _last(frame, horizon)
    if subtitle is None:
        subtitle = f"Share still subscribed by {period}s since the start" + _band(frame)
    chosen = style.colors(groups, colors)
    with theme():
        if len(groups) > MAX_LINES:
            return _panels(frame, "survival", groups, chosen, last, period, title, subtitle, step=True)
        rows = at_risk and "at_risk" in frame.columns
        figure, axes = style.new_figure(3.9 + (0.24 * len(groups) + 0.25 if rows else 0))
        ends = []
        for group in groups:
            part = frame[frame["group"] == group]
            x, y = part["period"].tolist(), part["survival"].tolist()
            _band_steps(axes, part, chosen[group])
            axes.plot(x, y, color=chosen[group], drawstyle="steps-post", dashes=_dashes(group))
            end = [(a, b) for a, b in zip(x, y, strict=True) if not fmt.missing(b)][-1]
            ends.append((group, float(end[0]), float(end[1]), chosen[group]))
        _percent_axis(axes, top=1.0)
        _period_axis(axes, last, period)
        style.headline(figure, title, subtitle)
        if len(groups) > 1:
            style.label_ends(axes, ends)
        if rows:
            _at_risk(axes, _cut(table, None), groups, chosen)
        return _finish(figure)


def hazard(
    table: pd.DataFrame,
    spikes: pd.DataFrame | None = None,
    *,
    smooth: pd.DataFrame | None = None,
    period: str = "month",
    horizon: int | None = None,
    title: str = "",
    subtitle: str | None = None,
    colors: Mapping[str, str] | None = None,
) -> Figure:
    """Draw by group the share of those still there who leave in each period, and mark spikes.

    Args:
        table: Columns group, period, hazard (a fraction) and, where known, low and high.
        smooth: Columns group, period and hazard, smoothed: drawn as lines, the shares of `table` as dots.
        spikes: Columns group and period, and perhaps label: periods to mark.
        period: The unit of a period.
        horizon: The last period to draw; None: all.
        title: What the figure shows, as a statement.
        subtitle: What is measured; None: the usual words.
        colors: A color for some groups.
    """
    _need(table, "hazard", "group", "period", "hazard")
    frame = _cut(table, horizon)
    groups = _groups(frame)
    last = _last(frame, horizon)
    if subtitle is None:
        subtitle = f"Of those still subscribed, the share who leave in each {period}" + _band(frame)
    chosen = style.colors(groups, colors)
    line = "hazard" if smooth is None else "smooth"
    if smooth is not None:
        _need(smooth, "hazard", "group", "period", "hazard")
        lines = _cut(smooth, horizon)[["group", "period", "hazard"]].rename(columns={"hazard": "smooth"})
        frame = frame.drop(columns="smooth", errors="ignore").merge(lines, on=["group", "period"], how="left")
    with theme():
        if len(groups) > MAX_LINES:
            return _panels(frame, line, groups, chosen, last, period, title, subtitle, step=False)
        figure, axes = style.new_figure(3.9)
        ends = []
        for group in groups:
            part = frame[frame["group"] == group]
            _band_smooth(axes, part, chosen[group], raw=line == "smooth")
            if line == "smooth":
                axes.plot(part["period"], part["hazard"], "o", ms=3.2, mew=0, color=chosen[group], alpha=0.55)
            axes.plot(part["period"], part[line], color=chosen[group], dashes=_dashes(group))
            known = part[part[line].notna()]
            if len(known):
                final = known.iloc[-1]
                ends.append((group, float(final["period"]), float(final[line]), chosen[group]))
        _percent_axis(axes, top=None, data=frame[["hazard", line]])
        _period_axis(axes, last, period, first=1)
        style.headline(figure, title, subtitle)
        if spikes is not None and len(spikes):
            _mark_spikes(axes, frame, spikes, chosen, period)
        if len(groups) > 1:
            style.label_ends(axes, ends)
        return _finish(figure)


def cumulative_incidence(
    table: pd.DataFrame,
    *,
    period: str = "month",
    horizon: int | None = None,
    title: str = "",
    subtitle: str | None = None,
    colors: Mapping[str, str] | None = None,
) -> Figure:
    """Draw for each cause the share of customers it has taken by each period, a panel for each group.

    Args:
        table: Columns group, period, cause, incidence and, where known, low and high; fractions.
        period: The unit of a period.
        horizon: The last period to draw; None: all.
        title: What the figure shows, as a statement.
        subtitle: What is measured; None: the usual words.
        colors: A color for some causes.
    """
    _need(table, "cumulative_incidence", "group", "period", "cause", "incidence")
    frame = _cut(table, horizon).assign(cause=lambda rows: rows["cause"].astype(str))
    groups = _groups(frame)
    causes = sorted(frame["cause"].unique(), key=lambda name: (name == "unknown", name))
    chosen = style.colors(causes, colors)
    last = _last(frame, horizon)
    if subtitle is None:
        subtitle = f"Share lost to each cause by {period}s since the start" + _band(frame)
    across = min(len(groups), 3)
    down = math.ceil(len(groups) / across)
    with theme():
        height = 3.9 if len(groups) == 1 else 1.2 + 1.9 * down
        figure, grid = style.new_figure(height, down, across, sharex=True, sharey=True, squeeze=False)
        ends: list[tuple[str, float, float, str]] = []
        for place, axes in enumerate(grid.flat):
            if place >= len(groups):
                axes.set_visible(False)
                continue
            part = frame[frame["group"] == groups[place]]
            ends = []
            for cause in causes:
                line = part[part["cause"] == cause]
                known = line[line["incidence"].notna()]
                _band_steps(axes, line, chosen[cause])
                axes.plot(line["period"], line["incidence"], color=chosen[cause], drawstyle="steps-post")
                if len(known):
                    end = known.iloc[-1]
                    ends.append((cause, float(end["period"]), float(end["incidence"]), chosen[cause]))
            _percent_axis(axes, top=None, data=frame[_known(frame, "incidence", "high")])
            _period_axis(axes, last, period)
            if len(groups) > 1:
                axes.set_title(style.shorten(groups[place], 24), loc="left", size=10, weight="bold", pad=4)
                axes.set_xticks([tick for k, tick in enumerate(axes.get_xticks()) if k % 2 == 0])
                axes.set_xlabel("")
        key = [(cause, chosen[cause]) for cause in causes] if len(groups) > 1 else []
        style.headline(figure, title, subtitle, key)
        if len(groups) == 1:
            style.label_ends(grid.flat[0], ends)
        return _finish(figure)


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
        return _finish(figure)


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
    _need(table, "forest", "label", "ratio")
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
            _note(axes, line.words, (1, place), (8, 0), "yaxis", ha="left", va="center", color=INK)
        _note(axes, f"\N{LEFTWARDS ARROW} {less}", (1, 1), (-6, 4), "xaxis", ha="right", va="bottom")
        _note(axes, f"{more} \N{RIGHTWARDS ARROW}", (1, 1), (6, 4), "xaxis", ha="left", va="bottom")
        style.headline(figure, title, subtitle)
        return _finish(figure)


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
    _need(table, "bars_with_intervals", "label", "value")
    fmt.check_unit(unit)
    rows = table.to_dict("records")
    with theme():
        figure, axes = style.new_figure(1.15 + 0.36 * len(rows))
        written = fmt.column([row["value"] for row in rows], unit)
        for place, row in enumerate(rows):
            if fmt.missing(row["value"]):
                _note(axes, written[place], (0, place), (4, 0), ha="left", va="center", size=10)
                continue
            color = (colors or {}).get(str(row["label"]), style.PALETTE[3])
            axes.barh(place, row["value"], height=0.62, color=color)
            ends = [float(row[end]) for end in ("low", "high") if not fmt.missing(row.get(end))]
            if len(ends) == 2:
                axes.plot(ends, [place, place], color=INK, lw=1.5, solid_capstyle="butt")
            far = (max([float(row["value"]), 0.0, *ends]), float(place))
            _note(
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
            _note(axes, words, (reference, 1), (0, 3), "xaxis")
        style.headline(figure, title, subtitle)
        return _finish(figure)


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
    _need(table, "line_with_interval", "date", "value")
    fmt.check_unit(unit)
    import pandas as pd
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num

    frame = table.assign(
        date=pd.to_datetime(table["date"]),
        group=table["group"].astype(str) if "group" in table.columns else "all",
    ).sort_values(["group", "date"], kind="stable")
    groups = _groups(frame)
    chosen = style.colors(groups, colors)
    end = frame["date"].max()
    with theme():
        figure, axes = style.new_figure(3.9)
        ends = []
        for group in groups:
            part = frame[frame["group"] == group]
            _band_smooth(axes, part.rename(columns={"date": "period"}), chosen[group], raw=False)
            whole = part[part["date"] < end] if partial else part
            axes.plot(whole["date"], whole["value"], color=chosen[group], dashes=_dashes(group))
            if partial and len(part) and part["date"].iloc[-1] == end:
                tail = part.tail(2)
                axes.plot(tail["date"], tail["value"], color=chosen[group], lw=1.3, ls=(0, (2, 2)))
                tip = part.tail(1)
                axes.plot(tip["date"], tip["value"], "o", ms=6, mfc="white", mec=chosen[group])
            known = part[part["value"].notna()]
            if len(known):
                last = known.iloc[-1]
                ends.append((group, float(date2num(last["date"])), float(last["value"]), chosen[group]))
        reach = frame[_known(frame, "value", "low", "high")].to_numpy(dtype=float).ravel().tolist()
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
            _note(axes, f"target {fmt.value(target, unit)}", (0, target), (2, 3), "yaxis", ha="left")
        _annotate_dates(axes, annotations or {}, frame["date"].min(), end)
        style.headline(figure, title, _also(subtitle, "hollow: still running" if partial else ""))
        if len(groups) > 1:
            style.label_ends(axes, ends)
        return _finish(figure)


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
    _need(table, "waterfall", "label", "amount")
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
        words = [fmt.value(amount, unit) for amount in amounts]
        for place, word in enumerate(words):
            plus = "+" if 0 < place < len(words) - 1 and amounts[place] > 0 else ""
            _note(axes, plus + word, (place, tops[place]), (0, 3), color=INK, size=10, weight="bold")
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
        style.headline(figure, title, _also(subtitle, "the totals' bars do not begin at zero" if cut else ""))
        return _finish(figure)


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
            lines.append(_ForestLine(str(section)))
        low, ratio, high = row.get("low"), row["ratio"], row.get("high")
        if fmt.missing(ratio) or ratio <= 0:
            lines.append(_ForestLine(str(row["label"]), words=fmt.NOT_AVAILABLE))
        elif low is None or high is None or fmt.missing(low) or fmt.missing(high) or low <= 0:
            words = "reference" if ratio == 1 else fmt.ratio(ratio)
            lines.append(_ForestLine(str(row["label"]), float(ratio), words=words))
        else:
            words = f"{fmt.ratio(ratio)} ({fmt.interval(low, high, 'ratio')})"
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


def _note(
    axes: Axes,
    words: str,
    place: tuple[float, float],
    shift: tuple[float, float],
    scale: str = "data",
    *,
    ha: Any = "center",
    va: Any = "bottom",
    color: str = MUTED,
    size: float = 9.5,
    weight: str = "normal",
) -> None:
    """Write words beside a place: in data coordinates, or with the other one in parts of the axes."""
    scales: dict[str, Any] = {
        "data": axes.transData,
        "xaxis": axes.get_xaxis_transform(),
        "yaxis": axes.get_yaxis_transform(),
    }
    axes.annotate(
        words,
        place,
        shift,
        xycoords=scales[scale],
        textcoords="offset points",
        ha=ha,
        va=va,
        size=size,
        color=color,
        weight=weight,
        annotation_clip=False,
    )


def _known(frame: pd.DataFrame, *columns: str) -> list[str]:
    return [column for column in columns if column in frame.columns]


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
        _note(axes, words, (at, 1), (-4 if late else 4, down), "xaxis", ha=side, va="top")


def _need(table: pd.DataFrame, name: str, *columns: str) -> None:
    absent = [column for column in columns if column not in table.columns]
    if absent:
        have = ", ".join(str(column) for column in table.columns)
        raise InputError(f"The figure {name} needs the column {absent[0]}; the table has {have}.")
    if len(table) == 0:
        raise InputError(f"The figure {name} has nothing to draw: its table has no rows.")


def _cut(table: pd.DataFrame, horizon: int | None) -> pd.DataFrame:
    frame = table if horizon is None else table[table["period"] <= horizon]
    frame = frame.assign(group=frame["group"].astype(str))
    return frame.sort_values(["group", "period"], kind="stable")


def _groups(frame: pd.DataFrame) -> list[str]:
    """Return the groups by name, "other" last."""
    return sorted(frame["group"].unique(), key=lambda name: (name == "other", name))


def _last(frame: pd.DataFrame, horizon: int | None) -> int:
    longest = int(frame["period"].max())
    return longest if horizon is None else min(horizon, longest)


def _band(frame: pd.DataFrame) -> str:
    return " (shaded: 95% interval)" if {"low", "high"} <= set(frame.columns) else ""


def _dashes(group: str) -> Any:
    return (3, 1.6) if group == "other" else (None, None)


def _from_start(frame: pd.DataFrame) -> pd.DataFrame:
    """Begin every curve at 1 in period 0."""
    import pandas as pd

    begun = set(frame.loc[frame["period"] == 0, "group"])
    first = [
        {"group": group, "period": 0, "survival": 1.0, "low": 1.0, "high": 1.0}
        for group in _groups(frame)
        if group not in begun
    ]
    if not first:
        return frame
    known = [column for column in ("group", "period", "survival", "low", "high") if column in frame.columns]
    whole = pd.concat([pd.DataFrame(first)[known], frame], ignore_index=True)
    return whole.sort_values(["group", "period"], kind="stable")


def _band_steps(axes: Axes, part: pd.DataFrame, color: str) -> None:
    if {"low", "high"} <= set(part.columns):
        axes.fill_between(
            part["period"], part["low"], part["high"], step="post", color=color, alpha=0.14, lw=0
        )


def _band_smooth(axes: Axes, part: pd.DataFrame, color: str, raw: bool) -> None:
    if not {"low", "high"} <= set(part.columns):
        return
    if raw:
        axes.vlines(part["period"], part["low"], part["high"], color=color, alpha=0.28, lw=1.3)
    else:
        axes.fill_between(part["period"], part["low"], part["high"], color=color, alpha=0.14, lw=0)


def _percent_axis(axes: Axes, top: float | None, data: pd.DataFrame | None = None) -> None:
    if top is None and data is not None:
        top = min(1.0, float(data.max(numeric_only=True).max()) * 1.12)
    axes.set_ylim(0, top if top and math.isfinite(top) and top > 0 else 1)
    style.unit_axis(axes.yaxis, "percent")
    axes.grid(axis="x", visible=False)


def _period_axis(axes: Axes, last: int, period: str, first: int = 0) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter

    steps = {
        "month": (1, 2, 3, 6, 12, 24),
        "week": (1, 2, 4, 8, 13, 26, 52),
        "day": (1, 7, 14, 30, 60, 90, 180),
    }
    step = next((s for s in steps.get(period, ()) if last / s <= 9), max(1, math.ceil(last / 8)))
    ticks = [tick for tick in range(0, last + 1, step) if tick >= first]
    if first == 1 and 1 not in ticks:
        ticks.insert(0, 1)
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda tick, _: fmt.count(round(tick))))
    axes.set_xlim(first - (0.4 if first else 0), last + (0.4 if first else 0.15))
    axes.set_xlabel(
        f"{period.capitalize()} of the subscription" if first else f"{period.capitalize()}s since the start"
    )


def _at_risk(axes: Axes, frame: pd.DataFrame, groups: list[str], chosen: Mapping[str, str]) -> None:
    """Write under the axis how many were under observation as each marked period began."""
    # Those at risk in period k + 1 are those observed to have completed k.
    counts = {group: frame[frame["group"] == group].set_index("period")["at_risk"] for group in groups}
    ticks = [int(tick) for tick in axes.get_xticks()]
    numbers = {
        (group, tick): "" if fmt.missing(counts[group].get(tick + 1)) else fmt.count(counts[group][tick + 1])
        for group in groups
        for tick in ticks
    }
    aside = 8 + 2.7 * max(len(numbers[group, ticks[0]]) for group in groups)
    _note(axes, "Still observed", (0, 0), (-aside, -40), "xaxis", ha="right", va="center")
    for place, group in enumerate(groups):
        down = 40 + 14 * (place + (len(groups) > 1))
        if len(groups) > 1:
            name, color = style.shorten(group, 16), style.on_white(chosen[group])
            _note(axes, name, (0, 0), (-aside, -down), "xaxis", ha="right", va="center", color=color)
        for tick in ticks:
            _note(axes, numbers[group, tick], (tick, 0), (0, -down), "xaxis", va="center", color=INK)


def _mark_spikes(
    axes: Axes, frame: pd.DataFrame, spikes: pd.DataFrame, chosen: Mapping[str, str], period: str
) -> None:
    """Name the periods with spikes at the top of the axes, at most six of them."""
    values = frame.set_index(["group", "period"])["hazard"]
    marked = [
        (float(values[group, at]), group, int(at), label)
        for group, at, label in zip(
            spikes["group"].astype(str),
            spikes["period"],
            spikes["label"] if "label" in spikes.columns else [""] * len(spikes),
            strict=True,
        )
        if (group, at) in values.index and not fmt.missing(values[group, at])
    ]
    tallest: dict[int, tuple[float, str, int, str]] = {}
    for spike in sorted(marked):
        tallest[spike[2]] = spike
    for height, group, at, label in sorted(tallest.values(), reverse=True)[:6]:
        shared = len({other for _, other, period_, _ in marked if period_ == at}) > 1
        color = INK if shared else style.on_white(chosen[group])
        axes.axvline(at, color=LINE, lw=1, ls=(0, (2, 2)), zorder=0.5)
        words = style.shorten(label or f"{period.capitalize()} {at}: {fmt.percent(height)}", 28)
        _note(axes, words, (at, 1), (0, 2), "xaxis", color=color)


def _panels(
    frame: pd.DataFrame,
    column: str,
    groups: list[str],
    chosen: Mapping[str, str],
    last: int,
    period: str,
    title: str,
    subtitle: str,
    step: bool,
) -> Figure:
    """Draw one small panel a group, with the others faint behind it."""
    across = 3
    down = math.ceil(len(groups) / across)
    figure, grid = style.new_figure(0.9 + 1.45 * down, down, across, sharex=True, sharey=True, squeeze=False)
    draw = "steps-post" if step else "default"
    lines = {}
    for group in groups:
        part = frame[frame["group"] == group]
        lines[group] = (part["period"].tolist(), part[column].tolist())
    for place, axes in enumerate(grid.flat):
        if place >= len(groups):
            axes.set_visible(False)
            continue
        group = groups[place]
        for other in groups:
            axes.plot(*lines[other], color=LINE, lw=0.8, drawstyle=draw)
        part = frame[frame["group"] == group]
        if step:
            _band_steps(axes, part, style.PALETTE[0])
        else:
            _band_smooth(axes, part, style.PALETTE[0], raw=False)
        axes.plot(*lines[group], color=style.PALETTE[0], drawstyle=draw)
        axes.set_title(style.shorten(group, 24), loc="left", size=10, weight="bold", pad=3)
        _percent_axis(axes, top=1.0 if step else None, data=frame[[column]])
        _period_axis(axes, last, period, first=0 if step else 1)
        axes.set_xticks([tick for k, tick in enumerate(axes.get_xticks()) if k % 2 == 0])
        axes.set_xlabel("")
    style.headline(figure, title, _also(subtitle, "faint: the other groups"))
    return _finish(figure)


def _also(subtitle: str, remark: str) -> str:
    words = "; ".join(part for part in (subtitle, remark) if part)
    return words[:1].upper() + words[1:]


def _finish(figure: Figure) -> Figure:
    """Make ticks and their labels now, while the theme is on."""
    figure.draw_without_rendering()
    return figure
