"""Figures of what customers are worth: curves beyond what was seen, payback, and foretold against seen."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from tenure.report import format as fmt
from tenure.report import style
from tenure.report.style import GREY, INK, MUTED, theme

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ACROSS = 3


def projection(table: pd.DataFrame, *, title: str = "", subtitle: str = "") -> Figure:
    """Draw retention as seen and as fitted, a panel a group, over months since the start.

    Args:
        table: Columns group, month, fitted (fractions) and seen (NaN where nobody was observed), perhaps with
            low and high of seen.
        title: What the figure shows, as a statement.
        subtitle: What is measured.

    Raises:
        InputError: A column is absent, or there are no rows.
    """
    style.need(table, "projection", "group", "month", "fitted", "seen")
    groups = _in_order(table["group"])
    last = float(table["month"].max())
    with theme():
        figure, grid = _panels(len(groups), 1.75)
        for axes, group in zip(grid, groups, strict=False):
            part = table[table["group"].astype(str) == group].sort_values("month")
            known = part[part["seen"].notna()]
            edge = float(known["month"].max()) if len(known) else 0.0
            if {"low", "high"} <= set(part.columns):
                axes.vlines(known["month"], known["low"], known["high"], color=GREY, lw=1.2)
            axes.plot(known["month"], known["seen"], "o", ms=3.4, mew=0, color=INK)
            axes.plot(part["month"], part["fitted"], color=style.PALETTE[0], lw=1.8)
            if edge < last:
                axes.axvspan(edge, last, color=style.PALETTE[3], alpha=0.13, lw=0)
            axes.set_title(style.shorten(group, 24), loc="left", size=10, weight="bold", pad=4)
            axes.set_ylim(0, 1.02)
            axes.set_xlim(0, last)
            _months(axes, last)
            style.unit_axis(axes.yaxis, "percent", bins=4)
            axes.grid(axis="x", visible=False)
        key = [("as seen", INK), ("fitted", style.PALETTE[0]), ("shaded: foretold", style.PALETTE[3])]
        style.headline(figure, title, subtitle, key)
        return style.finish(figure)


def payments(table: pd.DataFrame, *, unit: str, title: str = "", subtitle: str = "") -> Figure:
    """Draw what customers who are still there pay, by months since the start, a line a group.

    Args:
        table: Columns group, month and value; the last value of a group holds from there on.
        unit: The unit of the values.
        title: What the figure shows, as a statement.
        subtitle: What is measured.

    Raises:
        InputError: A column is absent, or there are no rows.
    """
    style.need(table, "payments", "group", "month", "value")
    fmt.check_unit(unit)
    frame = table.assign(group=table["group"].astype(str)).sort_values(["group", "month"], kind="stable")
    chosen = style.colors(frame["group"])
    last = max(float(frame["month"].max()), 12.0)
    with theme():
        figure, axes = style.new_figure(3.7)
        ends = []
        for group, part in frame.groupby("group"):
            months, values = [*part["month"], last], [*part["value"], part["value"].iloc[-1]]
            color = chosen[str(group)]
            axes.plot(months, values, color=color, drawstyle="steps-post", dashes=style.dashes(str(group)))
            ends.append((str(group), last, float(values[-1]), color))
        axes.set_ylim(min(0.0, float(frame["value"].min())), float(frame["value"].max()) * 1.08 or 1)
        axes.set_xlim(0, last)
        _months(axes, last)
        style.unit_axis(axes.yaxis, unit)
        axes.grid(axis="x", visible=False)
        style.headline(figure, title, subtitle)
        style.label_ends(axes, ends)
        return style.finish(figure)


def payback(
    curves: pd.DataFrame,
    costs: pd.DataFrame,
    *,
    by: str,
    unit: str,
    watched: int,
    title: str = "",
    subtitle: str = "",
) -> Figure:
    """Draw by group the margin a new customer has brought by each month, and what it cost to win one.

    Args:
        curves: Columns `by`, month, value, low, high (money).
        costs: Columns `by`, cost and payback (months; NaN where not within the months).
        by: The column of groups.
        unit: The unit of the money.
        watched: Months for which customers were observed; later ones are shaded.
        title: What the figure shows, as a statement.
        subtitle: What is measured.

    Raises:
        InputError: A column is absent, or there are no rows.
    """
    style.need(curves, "payback", by, "month", "value", "low", "high")
    style.need(costs, "payback", by, "cost", "payback")
    fmt.check_unit(unit)
    groups = [str(name) for name in costs[by]]
    last = float(curves["month"].max())
    top = float(curves["high"].max()) * 1.08
    with theme():
        figure, grid = _panels(len(groups), 1.75)
        for axes, row in zip(grid, costs.to_dict("records"), strict=False):
            own = curves[curves[by].astype(str) == str(row[by])].sort_values("month")
            axes.fill_between(own["month"], own["low"], own["high"], color=style.PALETTE[2], alpha=0.2, lw=0)
            axes.plot(own["month"], own["value"], color=style.PALETTE[2])
            if watched < last:
                axes.axvspan(watched, last, color=style.PALETTE[3], alpha=0.13, lw=0)
            words = "free"
            if not fmt.missing(row["cost"]) and row["cost"] > 0:
                axes.axhline(row["cost"], color=style.PALETTE[4], lw=1.4, ls=(0, (4, 2)))
                late = fmt.missing(row["payback"])
                words = "not covered" if late else f"month {fmt.count(row['payback'])}"
                if not late:
                    axes.plot([row["payback"]], [row["cost"]], "o", ms=6, mfc="white", mec=INK, mew=1.6)
            axes.set_title(
                f"{style.shorten(row[by], 16)}: {words}", loc="left", size=10, weight="bold", pad=4
            )
            axes.set_ylim(0, top if math.isfinite(top) and top > 0 else 1)
            axes.set_xlim(0, last)
            _months(axes, last)
            style.unit_axis(axes.yaxis, unit, bins=4)
            axes.grid(axis="x", visible=False)
        key = [("margin so far", style.PALETTE[2]), ("cost to win one", style.PALETTE[4])]
        style.headline(figure, title, subtitle, key)
        return style.finish(figure)


def calibration(
    table: pd.DataFrame, *, label: str, seen: str, unit: str, title: str = "", subtitle: str = ""
) -> Figure:
    """Draw what was foretold, with its range, beside what happened, a line a row.

    Args:
        table: Columns `label`, expected, low, high and `seen`.
        label: The column that names the rows.
        seen: The column of what happened.
        unit: The unit of the values.
        title: What the figure shows, as a statement.
        subtitle: What is measured.

    Raises:
        InputError: A column is absent, or there are no rows.
    """
    style.need(table, "calibration", label, "expected", "low", "high", seen)
    fmt.check_unit(unit)
    rows = table.to_dict("records")
    with theme():
        figure, axes = style.new_figure(1.35 + 0.3 * len(rows))
        for place, row in enumerate(rows):
            inside = row["low"] <= row[seen] <= row["high"]
            edge, fill = (INK, "white") if inside else (style.PALETTE[4], style.PALETTE[4])
            ends = [row["low"], row["high"]]
            axes.plot(ends, [place, place], color=style.PALETTE[3], lw=7, alpha=0.45, solid_capstyle="butt")
            axes.plot([row["expected"]], [place], marker="|", ms=11, mew=2.2, color=style.PALETTE[0])
            axes.plot([row[seen]], [place], marker="o", ms=6.5, mew=1.6, mec=edge, mfc=fill)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_yticks(range(len(rows)), [style.shorten(row[label], 24) for row in rows])
        axes.tick_params(axis="y", labelcolor=INK)
        axes.grid(axis="y", visible=False)
        low = min(min(float(row["low"]), float(row[seen])) for row in rows)
        axes.set_xlim(left=0 if low >= 0 else None)
        style.unit_axis(axes.xaxis, unit)
        key = [("foretold, with its 95% range", style.PALETTE[0]), ("what happened", INK)]
        if any(not row["low"] <= row[seen] <= row["high"] for row in rows):
            key.append(("outside the range", style.PALETTE[4]))
        style.headline(figure, title, subtitle, key)
        return style.finish(figure)


def right_and_wrong(
    table: pd.DataFrame, *, unit: str, wrong: str, right: str, title: str = "", subtitle: str = ""
) -> Figure:
    """Draw for each label what a shortcut says and what is right, with its interval.

    Args:
        table: Columns label, wrong, right, low and high.
        unit: The unit of the values.
        wrong: What the shortcut is called.
        right: What the right answer is called.
        title: What the figure shows, as a statement.
        subtitle: What is measured.

    Raises:
        InputError: A column is absent, or there are no rows.
    """
    style.need(table, "right_and_wrong", "label", "wrong", "right", "low", "high")
    fmt.check_unit(unit)
    rows = table.to_dict("records")
    with theme():
        figure, axes = style.new_figure(1.35 + 0.34 * len(rows))
        for place, row in enumerate(rows):
            if not fmt.missing(row["wrong"]):
                axes.plot([row["wrong"], row["right"]], [place, place], color=style.LINE, lw=2.5, zorder=1)
                axes.plot([row["wrong"]], [place], "o", ms=7, mfc="white", mec=style.PALETTE[4], mew=1.8)
            axes.plot([row["low"], row["high"]], [place, place], color=style.PALETTE[0], lw=2)
            axes.plot([row["right"]], [place], "o", ms=7, color=style.PALETTE[0])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_yticks(range(len(rows)), [style.shorten(row["label"], 24) for row in rows])
        axes.tick_params(axis="y", labelcolor=INK)
        axes.grid(axis="y", visible=False)
        axes.set_xlim(left=min(0.0, *(float(row["low"]) for row in rows)))
        style.unit_axis(axes.xaxis, unit)
        style.headline(figure, title, subtitle, [(right, style.PALETTE[0]), (wrong, style.PALETTE[4])])
        return style.finish(figure)


def _panels(size: int, height: float) -> tuple[Figure, list[Axes]]:
    across = min(ACROSS, size)
    down = math.ceil(size / across)
    figure, grid = style.new_figure(
        0.95 + height * down, down, across, sharex=True, sharey=True, squeeze=False
    )
    # Room for the last label of one panel's axis and the first of the next.
    engine: Any = figure.get_layout_engine()
    engine.set(wspace=0.07)
    panels = list(grid.flat)
    for axes in panels[size:]:
        axes.set_visible(False)
    return figure, panels[:size]


def _months(axes: Axes, last: float) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter

    step = next((step for step in (1, 3, 6, 12, 24, 36, 60) if last / step <= 6), 120)
    axes.xaxis.set_major_locator(FixedLocator([float(k) for k in range(0, int(last) + 1, step)]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda tick, _: fmt.count(round(tick))))
    axes.tick_params(axis="x", labelcolor=MUTED)


def _in_order(groups: Any) -> list[str]:
    """The groups by name, "other" last."""
    return sorted({str(group) for group in groups}, key=lambda name: (name == "other", name))
