"""Figures of segments: evidence, profiles, concentration, values, moves."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tenure.errors import InputError
from tenure.report import format as fmt
from tenure.report import style
from tenure.report.style import GREY, INK, MUTED, theme

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Customers who did nothing are no group by use.
_FIXED = {"no use": MUTED}


def evidence(
    table: pd.DataFrame,
    *,
    family: str = "",
    k: int = 1,
    threshold: float = 0.85,
    title: str = "",
    subtitle: str = "How surely each number of groups is found again in other customers",
) -> Figure:
    """Draw the prediction strength of each family and number of groups, and what one cloud would give.

    Args:
        table: Columns family, k, strength, standard_error and cloud.
        family: The chosen family.
        k: The chosen number of groups; 1: none was chosen.
        threshold: The strength that is asked for.
        title: What the figure shows, as a statement.
        subtitle: What is measured.
    """
    style.need(table, "evidence", "family", "k", "strength", "standard_error", "cloud")
    families = sorted(table["family"].unique())
    chosen = style.colors(families)
    with theme():
        figure, axes = style.new_figure(3.7)
        ends = []
        for name in families:
            part = table[table["family"] == name]
            spread, color = part["standard_error"], chosen[name]
            axes.errorbar(part["k"], part["strength"], yerr=spread, color=color, lw=2, marker="o", ms=5)
            axes.plot(part["k"], part["cloud"], color=color, lw=1.2, ls=(0, (2, 2)), alpha=0.75)
            last = part.to_dict("records")[-1]
            ends.append((name, float(last["k"]), float(last["strength"]), color))
        axes.axhline(threshold, color=MUTED, lw=1, ls=(0, (4, 3)))
        style.note(axes, f"asked for: {fmt.number(threshold)}", (1, threshold), (0, 3), "yaxis", ha="right")
        if k > 1:
            row = table[(table["family"] == family) & (table["k"] == k)]
            place = (float(k), float(row["strength"].to_numpy()[0]))
            axes.plot(*place, "o", ms=13, mfc="none", mec=INK, mew=1.6)
            style.note(axes, f"chosen: {fmt.count(k)}", place, (0, 10), color=INK, weight="bold")
        axes.set_ylim(0, 1.12)
        axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
        axes.set_xticks(sorted(int(number) for number in table["k"].unique()))
        axes.set_xlim(int(table["k"].min()) - 0.3, int(table["k"].max()) + 0.3)
        axes.set_xlabel("Number of groups")
        axes.grid(axis="x", visible=False)
        style.headline(figure, title, f"{subtitle}; dotted: in one cloud without groups")
        style.label_ends(axes, ends)
        return style.finish(figure)


def heatmap(
    table: pd.DataFrame,
    *,
    unit: str = "score",
    diverging: bool = True,
    title: str = "",
    subtitle: str = "",
) -> Figure:
    """Draw a small table of numbers as colored cells with the numbers in them.

    Args:
        table: The rows' labels as index, the columns' as columns; NaN cells stay blank.
        unit: How the numbers are written.
        diverging: Whether colors go both ways from zero; otherwise from light to dark.
        title: What the figure shows, as a statement.
        subtitle: What is measured.
    """
    if table.shape[0] == 0 or table.shape[1] == 0:
        raise InputError("The figure heatmap has nothing to draw: its table has no rows.")
    import numpy as np
    from matplotlib.colors import LinearSegmentedColormap

    values = table.to_numpy(dtype=float)
    rows, columns = values.shape
    known = values[np.isfinite(values)]
    if diverging:
        colors = ["#B35900", "#F3DEC4", "#FFFFFF", "#DCC9E8", style.PALETTE[0]]
        # Beyond three standard deviations more color would only pale the rest.
        reach = min(
            max(float(np.abs(known).max()) if len(known) else 1.0, 1e-9), 3.0 if unit == "score" else 1e9
        )
        low, high = -reach, reach
    else:
        colors = ["#FBF8FD", "#C9A6DD", style.PALETTE[0]]
        low, high = 0.0, max(float(known.max()) if len(known) else 1.0, 1e-9)
    tints = LinearSegmentedColormap.from_list("segments", colors)
    with theme():
        heads = [textwrap.wrap(str(name), max(8, 64 // columns)) or [""] for name in table.columns]
        figure, axes = style.new_figure(1.0 + 0.17 * max(map(len, heads)) + 0.29 * rows)
        axes.pcolormesh(
            np.ma.masked_invalid(values), cmap=tints, vmin=low, vmax=high, edgecolors="white", linewidth=2
        )
        words = [fmt.column(row, unit) for row in values.tolist()]
        for row in range(rows):
            for column in range(columns):
                value = values[row, column]
                if not math.isfinite(value):
                    continue
                color = style.ink_on(tints((value - low) / (high - low))[:3])
                label = ("+" if diverging and value > 0 else "") + words[row][column]
                axes.text(column + 0.5, row + 0.5, label, ha="center", va="center", size=9.5, color=color)
        axes.set_ylim(rows, 0)
        axes.set_yticks([row + 0.5 for row in range(rows)], [style.shorten(name, 34) for name in table.index])
        axes.set_xticks([column + 0.5 for column in range(columns)], ["\n".join(head) for head in heads])
        axes.xaxis.tick_top()
        axes.tick_params(axis="both", length=0, labelcolor=INK)
        axes.grid(False)
        axes.spines["bottom"].set_visible(False)
        style.headline(figure, title, subtitle)
        return style.finish(figure)


def lorenz(curve: pd.DataFrame, *, top: float, title: str = "", subtitle: str | None = None) -> Figure:
    """Draw how revenue is spread over customers, the smallest first.

    Args:
        curve: Columns customers and value, cumulated shares from 0 to 1.
        top: The share of revenue of the top tenth of customers.
        title: What the figure shows, as a statement.
        subtitle: What is measured; None: the usual words.
    """
    style.need(curve, "lorenz", "customers", "value")
    if subtitle is None:
        subtitle = "Share of revenue that the customers who pay least bring; straight: all pay alike"
    with theme():
        figure, axes = style.new_figure(3.9)
        axes.plot([0, 1], [0, 1], color=MUTED, lw=1.1, ls=(0, (4, 3)))
        people, value, color = curve["customers"], curve["value"], style.PALETTE[0]
        axes.fill_between(people, value, people, color=color, alpha=0.1, lw=0)
        axes.plot(people, value, color=color)
        axes.plot([0.9, 0.9], [1 - top, 1], color=style.PALETTE[4], lw=3, solid_capstyle="butt")
        words = f"top tenth: {fmt.percent(top)}"
        place, color = (0.9, 1 - top / 2), style.PALETTE[4]
        style.note(axes, words, place, (-8, 0), ha="right", va="center", color=color, weight="bold")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.02)
        for axis in (axes.xaxis, axes.yaxis):
            style.unit_axis(axis, "percent")
        axes.set_xlabel("Share of customers, from those who pay least")
        style.headline(figure, title, subtitle)
        return style.finish(figure)


def pairs(
    table: pd.DataFrame,
    *,
    first: str,
    second: str,
    labels: tuple[str, str],
    unit: str = "percent",
    title: str = "",
    subtitle: str = "",
) -> Figure:
    """Draw two values of each label as dots on one line, with their gap between them.

    Args:
        table: Column label and the two columns named by `first` and `second`.
        first: The column of the hollow dot.
        second: The column of the filled dot.
        labels: What the two are.
        unit: Their unit.
        title: What the figure shows, as a statement.
        subtitle: What is measured.
    """
    style.need(table, "pairs", "label", first, second)
    rows = table.to_dict("records")
    with theme():
        figure, axes = style.new_figure(1.5 + 0.33 * len(rows))
        more, less = style.PALETTE[2], style.PALETTE[4]
        for place, row in enumerate(rows):
            a, b = float(row[first]), float(row[second])
            axes.plot([a, b], [place, place], color=more if b >= a else less, lw=3, alpha=0.55)
            axes.plot(a, place, "o", ms=8, mfc="white", mec=MUTED, mew=1.6)
            axes.plot(b, place, "o", ms=8, color=more if b >= a else less)
        axes.set_ylim(len(rows) - 0.5, -0.6)
        axes.set_yticks(range(len(rows)), [style.shorten(row["label"], 28) for row in rows])
        axes.tick_params(axis="y", labelcolor=INK)
        axes.grid(axis="y", visible=False)
        axes.set_xlim(left=0)
        style.unit_axis(axes.xaxis, unit)
        style.headline(figure, title, style.also(subtitle, f"hollow: {labels[0]}, filled: {labels[1]}"))
        return style.finish(figure)


def panels(
    table: pd.DataFrame,
    measures: Sequence[tuple[str, str, str]],
    *,
    label: str = "segment",
    title: str = "",
    subtitle: str = "Dots with 95% intervals; dashed: all customers",
    averages: Mapping[str, float] | None = None,
    colors: Mapping[str, str] | None = None,
) -> Figure:
    """Draw several measures of each group side by side, each on its own scale, with intervals.

    Args:
        table: Column `label` and, for each measure, its column and <column>_low and <column>_high.
        measures: For each measure its column, its name and its unit.
        label: The column of the groups.
        title: What the figure shows, as a statement.
        subtitle: What is measured.
        averages: Everybody's value of some measures, drawn as a dashed line.
        colors: A color for some groups.
    """
    style.need(table, "panels", label, *(column for column, _, _ in measures))
    rows = table.to_dict("records")
    down = math.ceil(len(measures) / 2)
    chosen = style.colors([row[label] for row in rows], {**_FIXED, **(colors or {})})
    with theme():
        height = 0.8 + down * (0.55 + 0.27 * len(rows))
        figure, grid = style.new_figure(height, down, min(2, len(measures)), sharey=True, squeeze=False)
        for place, axes in enumerate(grid.flat):
            if place >= len(measures):
                axes.set_visible(False)
                continue
            column, name, unit = measures[place]
            for at, row in enumerate(rows):
                value, low, high = (row.get(key) for key in (column, f"{column}_low", f"{column}_high"))
                if fmt.missing(value):
                    continue
                if not (fmt.missing(low) or fmt.missing(high)):
                    axes.plot([low, high], [at, at], color=chosen[str(row[label])], lw=2.4, alpha=0.75)
                axes.plot(value, at, "o", ms=6.5, color=chosen[str(row[label])])
            average = (averages or {}).get(column)
            if average is not None and not fmt.missing(average):
                axes.axvline(average, color=INK, lw=1, ls=(0, (3, 2)), zorder=0.6)
            axes.set_title(name, loc="left", size=10, weight="bold", pad=4)
            axes.set_ylim(len(rows) - 0.5, -0.5)
            axes.set_yticks(range(len(rows)), [style.shorten(row[label], 24) for row in rows])
            axes.tick_params(axis="y", labelcolor=INK)
            axes.grid(axis="y", visible=False)
            axes.margins(x=0.12)
            style.unit_axis(axes.xaxis, unit, 3)
        style.headline(figure, title, subtitle)
        engine: Any = figure.get_layout_engine()
        engine.set(h_pad=0.09, w_pad=0.05)
        return style.finish(figure)


def flows(
    matrix: pd.DataFrame,
    *,
    before: str,
    after: str,
    title: str = "",
    subtitle: str = "Each band is as thick as the number of customers who went that way",
    colors: Mapping[str, str] | None = None,
    apart: Sequence[str] = (),
) -> Figure:
    """Draw who moved from which group to which, as bands between two columns.

    Args:
        matrix: Earlier groups as index, later groups as columns, numbers of customers.
        before: What the left column is, such as a date.
        after: What the right one is.
        title: What the figure shows, as a statement.
        subtitle: What is measured.
        colors: A color for some groups.
        apart: Groups that stand last and gray, such as those who left.
    """
    if matrix.shape[0] == 0 or not float(matrix.to_numpy().sum()) > 0:
        raise InputError("The figure flows has nothing to draw: nobody moved.")
    sizes = {
        (str(a), str(b)): int(number)
        for a, row in zip(matrix.index, matrix.to_numpy().tolist(), strict=True)
        for b, number in zip(matrix.columns, row, strict=True)
        if number > 0
    }
    names = list(dict.fromkeys(map(str, [*matrix.index, *matrix.columns])))
    names = [name for name in names if name not in apart] + [name for name in names if name in apart]
    chosen = style.colors(names, {**_FIXED, **dict.fromkeys(apart, GREY), **(colors or {})})
    totals = [{n: sum(z for pair, z in sizes.items() if pair[side] == n) for n in names} for side in (0, 1)]
    stacks = [_stack(names, side, 0.025 * sum(sizes.values())) for side in totals]
    height = max(top for stack in stacks for _, top in stack.values())
    with theme():
        figure, axes = style.new_figure(max(3.8, 1.3 + 0.42 * len(names)))
        _bands(axes, sizes, names, stacks, chosen)
        for side, (x, ha) in enumerate(((0.0, "right"), (1.0, "left"))):
            there = [name for name in names if totals[side][name] > 0]
            for name in there:
                low, high = stacks[side][name]
                axes.bar(x + (0.015 if side == 0 else -0.015), high - low, 0.03, low, color=chosen[name])
            places = style.spread([sum(stacks[side][n]) / 2 for n in there], height * 0.062, 0, height)
            for name, place in zip(there, places, strict=True):
                words = f"{style.shorten(name, 26)}  {fmt.count(totals[side][name])}"
                color, shift = style.on_white(chosen[name]), (-5 if side == 0 else 5, 0)
                style.note(axes, words, (x, place), shift, ha=ha, va="center", color=color, weight="bold")
        axes.set_xlim(0, 1)
        axes.set_ylim(height * 1.02, -height * 0.09)
        style.note(axes, before, (0, 1), (0, -2), "xaxis", ha="left", va="top", size=10)
        style.note(axes, after, (1, 1), (0, -2), "xaxis", ha="right", va="top", size=10)
        axes.axis("off")
        style.headline(figure, title, subtitle)
        return style.finish(figure)


def _bands(
    axes: Axes,
    sizes: Mapping[tuple[str, str], int],
    names: Sequence[str],
    stacks: Sequence[Mapping[str, tuple[float, float]]],
    colors: Mapping[str, str],
) -> None:
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    spent = [dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0)]
    codes = [Path.MOVETO, *[Path.CURVE4] * 3, Path.LINETO, *[Path.CURVE4] * 3, Path.CLOSEPOLY]
    for name in names:
        for other in names:
            size = sizes.get((name, other), 0)
            if not size:
                continue
            a, b = stacks[0][name][0] + spent[0][name], stacks[1][other][0] + spent[1][other]
            spent[0][name] += size
            spent[1][other] += size
            upper = [(0.03, a), (0.5, a), (0.5, b), (0.97, b)]
            lower = [(0.97, b + size), (0.5, b + size), (0.5, a + size), (0.03, a + size)]
            path = Path([*upper, *lower, (0.03, a)], codes)
            alpha = 0.22 if name == other else 0.5
            axes.add_patch(PathPatch(path, fc=colors[name], ec="none", alpha=alpha))


def _stack(names: Sequence[str], sizes: Mapping[str, int], gap: float) -> dict[str, tuple[float, float]]:
    places, at = {}, 0.0
    for name in names:
        places[name] = (at, at + sizes[name])
        at += sizes[name] + (gap if sizes[name] > 0 else 0.0)
    return places
