"""The figures of the metrics workbook: movements of revenue over time, and when customers pay back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tenure.errors import InputError
from tenure.report import format as fmt
from tenure.report import style
from tenure.report.style import GREY, INK, MUTED, theme

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

# What adds to revenue, from the axis up, and what takes from it, from the axis down.
_UP = (("new", style.PALETTE[2]), ("reactivation", style.PALETTE[5]), ("expansion", style.PALETTE[3]))
_DOWN = (("churn", style.PALETTE[4]), ("contraction", style.PALETTE[1]))
_REST = "other"


def movements_over_time(
    table: pd.DataFrame,
    *,
    unit: str,
    annotations: Mapping[Any, str] | None = None,
    partial: bool = False,
    title: str = "",
    subtitle: str = "",
) -> Figure:
    """Draw what revenue gained and lost in each month as bars up and down, and the sum as a line.

    Args:
        table: A row a month: date and new, reactivation, expansion, contraction, churn, and other (all the
            rest, such as pauses and exchange rates), signed.
        unit: The unit of the amounts.
        annotations: For a date what happened, in a few words; numbered in the picture and named below.
        partial: Whether the last month still runs; its bars are pale.
        title: What the figure shows, as a statement.
        subtitle: What is measured.

    Raises:
        InputError: A column is absent, or there are no rows.
    """
    needed = ["date", *(name for name, _ in (*_UP, *_DOWN)), _REST]
    absent = [name for name in needed if name not in table.columns]
    if absent or len(table) == 0:
        what = f"needs the column {absent[0]}" if absent else "has nothing to draw: its table has no rows"
        raise InputError(f"The figure movements_over_time {what}.")
    fmt.check_unit(unit)
    import pandas as pd
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num

    rows = table.assign(date=pd.to_datetime(table["date"])).sort_values("date", kind="stable")
    x = [float(date2num(day)) for day in rows["date"]]
    alpha = [0.45 if partial and place == len(x) - 1 else 1.0 for place in range(len(x))]
    known = [
        (pd.Timestamp(day), str(label))
        for day, label in sorted((annotations or {}).items(), key=lambda item: pd.Timestamp(item[0]))
        if rows["date"].iloc[0] <= pd.Timestamp(day) <= rows["date"].iloc[-1] + pd.Timedelta(days=31)
    ]
    rest = bool((rows[_REST] != 0).any())
    with theme():
        figure, axes = style.new_figure(4.2 + 0.19 * math.ceil(len(known) / 2))
        tops, feet = [0.0] * len(x), [0.0] * len(x)
        for name, color in (*_UP, *_DOWN, *([(_REST, GREY)] if rest else [])):
            for place, amount in enumerate(float(value) for value in rows[name]):
                level = tops if amount >= 0 else feet
                axes.bar(
                    x[place], amount, bottom=level[place], width=22, color=color, alpha=alpha[place], lw=0
                )
                level[place] += amount
        net = [float(value) for value in rows[needed[1:]].sum(axis=1)]
        axes.plot(x, net, color=INK, lw=1.6, marker="o", ms=3)
        axes.axhline(0, color=INK, lw=0.8)
        high, low = max(tops), min(feet)
        room = (high - low or 1.0) * 0.1
        axes.set_ylim(low - room * 0.5, high + room * (2.2 if known else 0.5))
        style.unit_axis(axes.yaxis, unit)
        axes.grid(axis="x", visible=False)
        axes.xaxis_date()
        locator = AutoDateLocator(minticks=3, maxticks=7)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))
        down, last = 0, -math.inf
        for number, (day, _label) in enumerate(known, 1):
            at = float(date2num(day))
            # Numbers of days that lie close together stand below one another.
            down = (down + 1) % 3 if at - last < (x[-1] - x[0] or 1) / 26 else 0
            last = at
            axes.axvline(at, color=MUTED, lw=0.8, ls=(0, (2, 2)), zorder=0.6)
            axes.annotate(
                str(number), (at, 1), (0, -2 - 13 * down), xycoords=axes.get_xaxis_transform(),
                textcoords="offset points", ha="center", va="top", size=8.5, color=INK,
                bbox={"boxstyle": "circle,pad=0.18", "fc": "white", "ec": MUTED, "lw": 0.8},
            )  # fmt: skip
        for place, (day, label) in enumerate(known):
            words = f"{place + 1}  {style.shorten(label, 40)} ({fmt.date(day.date(), 'month')})"
            axes.annotate(
                words, (0.5 * (place % 2), 0), (0, -30 - 13.5 * (place // 2)), xycoords="axes fraction",
                textcoords="offset points", ha="left", va="top", size=8.5, color=MUTED, annotation_clip=False,
            )  # fmt: skip
        key = [*_UP, *_DOWN, *([("pauses and rates", GREY)] if rest else []), ("net", INK)]
        style.headline(figure, title, subtitle, key)
        figure.draw_without_rendering()
        return figure


def payback_curves(
    curve: pd.DataFrame,
    costs: Mapping[str, float],
    *,
    unit: str,
    title: str = "",
    subtitle: str = "",
    colors: Mapping[str, str] | None = None,
) -> Figure:
    """Draw by channel the margin a new customer has brought so far against what the customer cost.

    Below zero the cost is not yet earned back.

    Args:
        curve: Columns channel, month (of life) and margin (so far, a customer).
        costs: What a customer costs, by channel; channels without one are left out.
        unit: The unit of the amounts.
        title: What the figure shows, as a statement.
        subtitle: What is measured.
        colors: A color for some channels.

    Raises:
        InputError: There is nothing to draw.
    """
    names = [name for name in dict.fromkeys(curve["channel"]) if not fmt.missing(costs.get(name))]
    if not names:
        raise InputError("The figure payback_curves has nothing to draw: no channel has a cost.")
    fmt.check_unit(unit)
    chosen = style.colors(names, colors)
    with theme():
        figure, axes = style.new_figure(3.9)
        ends = []
        for name in names:
            part = curve[curve["channel"] == name].sort_values("month")
            x = [0, *(int(month) for month in part["month"])]
            y = [-float(costs[name]), *(float(margin) - float(costs[name]) for margin in part["margin"])]
            axes.plot(x, y, color=chosen[name])
            ends.append((name, float(x[-1]), y[-1], chosen[name]))
        axes.axhline(0, color=INK, lw=1)
        style.unit_axis(axes.yaxis, unit)
        axes.grid(axis="x", visible=False)
        axes.set_xlabel("Months since the first payment")
        last = max(end[1] for end in ends)
        axes.set_xlim(0, last)
        axes.set_xticks(range(0, int(last) + 1, 3 if last > 8 else 1))
        style.headline(figure, title, subtitle)
        style.label_ends(axes, ends)
        figure.draw_without_rendering()
        return figure
