"""The figures of metrics and growth: what moved revenue, churn by group, when customers are paid back."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from tenure.report import format as fmt
from tenure.report import style
from tenure.report.charts import bars_with_intervals, line_with_interval
from tenure.report.palette import GREY, INK, MUTED, PALETTE
from tenure.report.picture import Picture, drawn_from, listed
from tenure.report.words import say, things
from tenure.result import Estimate, Table

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# What adds to revenue, from the axis up, what takes from it, from the axis down, and the rest.
_COLORS = {
    "new": PALETTE[2],
    "reactivation": PALETTE[5],
    "expansion": PALETTE[3],
    "churn": PALETTE[4],
    "contraction": PALETTE[1],
    "other": GREY,
}

# Days of a period, of which a bar takes most.
_DAYS = {"week": 7, "month": 31, "quarter": 91, "fiscal_year": 365}


def movements_over_time(
    story: Any, annotations: pd.DataFrame | None = None, *, partial: bool = False, period: str = "month"
) -> Picture:
    """Draw what revenue gained and lost in each month as bars up and down, and the sum as a line.

    Args:
        story: As from `tenure.models.movements.story`: by month date, new, reactivation, expansion,
            contraction, churn and other (pauses, exchange rates and ends by design), signed.
        annotations: What happened (date, label); numbered in the picture and listed below it.
        partial: Whether the last month still runs; its bars are pale.
        period: What stands in the place of months: week, month, quarter or fiscal_year.

    Raises:
        InputError: A column is absent, or there are no rows.
    """
    import pandas as pd

    table = drawn_from(story, "movements_over_time", "new", "date", *_COLORS)
    unit = fmt.check_unit(table.units["new"])
    rows = table.frame.assign(date=pd.to_datetime(table.frame["date"])).sort_values("date", kind="stable")
    days, one = _DAYS[period], period.replace("_", " ")
    precision = "day" if period == "week" else "month"
    first, end = rows["date"].iloc[0], rows["date"].iloc[-1] + pd.Timedelta(days=days)
    notes = pd.DataFrame(columns=["date", "label"]) if annotations is None else annotations
    known = [
        (day, str(label))
        for day, label in sorted(zip(pd.to_datetime(notes["date"]), notes["label"], strict=True))
        if first <= day <= end
    ]

    def draw(width: float) -> Figure:
        import numpy as np
        from matplotlib.dates import date2num, num2date

        figure, axes = style.new_figure(4.2, width=width)
        part = rows.tail(12) if style.is_narrow(width) else rows
        x = np.array([float(date2num(day)) for day in part["date"]])
        tops, feet = np.zeros(len(x)), np.zeros(len(x))
        shown = [name for name in _COLORS if name != "other" or (part[name] != 0).any()]
        for name in shown:
            amounts = part[name].to_numpy(dtype=float)
            bottom = np.where(amounts >= 0, tops, feet)
            bars = axes.bar(x, amounts, bottom=bottom, width=round(days * 0.7), color=_COLORS[name], lw=0)
            bars[-1].set_alpha(0.45 if partial else 1.0)
            tops, feet = tops + amounts.clip(min=0), feet + amounts.clip(max=0)
        net = part[list(_COLORS)].sum(axis=1).astype(float)
        axes.plot(x, net, color=INK, lw=1.6, marker="o", ms=3)
        axes.axhline(0, color=INK, lw=0.8)
        room = (tops.max() - feet.min() or 1.0) * 0.1
        axes.set_ylim(feet.min() - room * 0.5, tops.max() + room * (2.2 if known else 0.5))
        style.unit_axis(axes.yaxis, unit)
        style.date_axis(axes)
        if len(part) < len(rows):
            axes.set_xlabel(say("The newest {n}; all are in the data below", n=len(part)))
        _annotate(axes, [float(date2num(day)) for day, _ in known], x[0], x[-1] - x[0] or 1.0)
        names = {"other": say("pauses, rates and ends by design")}
        told = {name: (names.get(name, name), unit) for name in [*shown, "net"]}
        style.tips(
            axes, part.assign(at=x, net=net), "at", told, lambda at: fmt.date(num2date(at).date(), precision)
        )
        style.key(figure, [*((names.get(name, name), _COLORS[name]) for name in shown), ("net", INK)])
        return figure

    words: dict[str, Any] = {"span": things(len(rows), one), "period": one}
    words |= {"gained": (float(rows["new"].sum()), unit), "lost": (abs(float(rows["churn"].sum())), unit)}
    title = say("In {span} new customers brought {gained}, and churned customers took {lost}", **words)
    alt = say("Bars of revenue gained and lost over {span}, with the net as a line.", **words)
    listed_below = [f"{label} ({fmt.date(day.date(), 'month')})" for day, label in known]
    subtitle = say("Monthly recurring revenue gained and lost in each {period}", **words)
    return Picture(draw, title, alt, table, subtitle, notes=listed_below)


def _annotate(axes: Axes, places: list[float], first: float, span: float) -> None:
    """Number in the picture what happened; the numbers are explained below it."""
    down, last = 0, -math.inf
    for number, at in enumerate(places, start=1):
        if at < first:
            continue
        # Numbers of days that lie close together stand below one another.
        down = (down + 1) % 3 if at - last < span / (12 if style.is_narrow(axes.figure) else 26) else 0
        last = at
        axes.axvline(at, color=MUTED, lw=0.8, ls=(0, (2, 2)), zorder=0.6)
        circle = {"boxstyle": "circle,pad=0.18", "fc": "white", "ec": MUTED, "lw": 0.8}
        look = {"va": "top", "size": 9, "color": INK, "bbox": circle}
        style.note(axes, str(number), (at, 1), (0, -2 - 15 * down), "xaxis", **look)


def churn_by_group(groups: Table, apart: Estimate, everybody: Estimate) -> Picture:
    """Draw the share of each group's customers who left in a month.

    Args:
        groups: As from `tenure.models.movements.group_table`.
        apart: As from `furthest_apart`: whether a group stands out.
        everybody: The same share of all customers.
    """
    if groups.frame["left"].isna().all():
        return Picture.nothing(say("No group had customers a month ago, so none has any churn yet."))
    title = say("No group stands out by churn")
    if apart.case == "apart":
        title = say("More customers of {most} left than of {least}", **apart.words)
    return bars_with_intervals(
        groups.pipe(lambda rows: rows[["group", "left", "left_low", "left_high", "customers"]]),
        "left", label="group", reference=everybody.value, reference_label=say("all"), title=title,
        subtitle=say("Share of each group's customers who left in the month (line: 95% interval)"),
    )  # fmt: skip


def retention_lines(lines: Table) -> Picture:
    """Draw gross and net revenue retention by month, lines "net" and "gross" of `metrics.trend`."""
    if len(lines) == 0:
        return Picture.nothing(say("Revenue retention can be drawn once customers have paid for a year."))
    last = lines.frame.groupby("group", sort=False)[["value"]].last()["value"]
    words = {str(group): (float(value), "percent") for group, value in last.items()}
    title = say("{net} of last year's revenue is still there, {gross} without additions", **words)
    subtitle = say("Revenue retention over the twelve months to each month's end, as known now")
    return line_with_interval(lines, from_zero=False, title=title, subtitle=subtitle)


def active_users(weekly: Table) -> Picture:
    """Draw active users over the weeks, as from `tenure.models.engagement.weekly`."""
    within = weekly.frame[weekly.frame["group"] == "MAU"]["value"]
    words = {"n": int(within.iloc[-1]), "before": int(within.iloc[0]), "weeks": len(within) - 1}
    title = say("{n:user} within 28 days; {weeks:week} before there were {before}", **words)
    subtitle = say("Users within 28 days (MAU), within 7 (WAU), and per day (DAU, mean of the week)")
    return line_with_interval(weekly, title=title, subtitle=subtitle)


def payback_curves(economics: Any) -> Picture:
    """Draw by channel the margin a new customer has brought so far against what the customer cost.

    Below zero the cost is not yet earned back.

    Args:
        economics: As from `tenure.models.payback.unit_economics`; channels that cost nothing are left out.
    """
    import pandas as pd

    if economics.why:
        return Picture.nothing(economics.why)
    curve, table = economics.curve, economics.table.frame.dropna(subset="cac")
    unit = fmt.check_unit(curve.units["margin"])
    costs = dict(zip(table["channel"], table["cac"].astype(float), strict=True))
    if not costs:
        return Picture.nothing(say("Nothing was spent on any channel, so there is no cost to earn back."))
    rows = curve.frame[curve.frame["channel"].isin(costs)]
    rows = rows.assign(after_cost=rows["margin"] - rows["channel"].map(costs).astype(float))
    chosen = style.colors(costs)

    def draw(width: float) -> Figure:
        figure, axes = style.new_figure(3.9, width=width)
        start = [{"channel": name, "month": 0, "after_cost": -cost} for name, cost in costs.items()]
        drawn = pd.concat([pd.DataFrame(start), rows]).sort_values("month", kind="stable")
        ends = style.lines(axes, drawn, "month", "after_cost", chosen, by="channel")
        axes.axhline(0, color=INK, lw=1)
        style.unit_axis(axes.yaxis, unit)
        axes.grid(axis="x", visible=False)
        axes.set_xlabel(say("Months since the first payment"))
        last = int(rows["month"].max())
        axes.set_xlim(0, last)
        axes.set_xticks(range(0, last + 1, 3 if last > 8 else 1))
        style.tips(axes, drawn, "month", {"after_cost": ("", unit)}, style.period, by="channel")
        style.label_ends(axes, ends)
        return figure

    slow = economics.slowest()
    titles = {
        "reached": "The last channel to be earned back is {channel}, after {value}",
        "not reached": "Within {horizon} {channel} is not earned back",
        "not available": "When the cost of a customer is earned back is not known",
    }
    title = say(titles[slow.case], value=slow, **slow.words)
    waits = [(name, wait) for name, wait in zip(table["channel"], table["payback"], strict=True)]
    early = listed([(name, wait) for name, wait in waits if math.isfinite(wait)], "months")
    late = [name for name, wait in waits if not math.isfinite(wait)]
    alt = say(
        "Margin less cost by months since the first payment. Earned back by channel: {early}.", early=early
    )
    if late:
        alt += " " + say("Not earned back: {late}.", late=late)
    subtitle = say("Margin so far less the cost of a new customer, by channel")
    return Picture(draw, title, alt, Table(rows, {"margin": unit, "after_cost": unit}), subtitle)
