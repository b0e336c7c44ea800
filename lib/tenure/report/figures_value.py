"""Figures of what customers are worth: curves beyond what was observed, payments, and backtests.

Each takes a result or its table; where the table names no unit, values are plain numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tenure.report import format as fmt
from tenure.report import style
from tenure.report.palette import GREY, INK, LINE, MUTED, PALETTE
from tenure.report.picture import Picture, drawn_from, listed
from tenure.report.words import say, translated
from tenure.result import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# A change of payments of less is within what bills of unlike months and few customers make by themselves.
_HARDLY = 0.05


def projection(curves: Any) -> Picture:
    """Draw retention as observed and as fitted, a panel a group, over months since the start.

    Args:
        curves: Columns group, month, fitted and seen (NaN where nobody was observed) with its interval, as
            from `tenure.models.retention_choice.projection`.
    """
    table = drawn_from(curves, "projection", "seen", "group", "month", "fitted")
    frame = table.frame.assign(group=table.frame["group"].astype(str))
    groups, last = style.group_names(frame), float(frame["month"].max())
    blue, amber = PALETTE[0], PALETTE[3]

    def draw(width: float) -> Figure:
        figure, grid = style.panels(len(groups), 1.75, width=width)
        for axes, group in zip(grid, groups, strict=True):
            part = frame[frame["group"] == group].sort_values("month")
            known = part[part["seen"].notna()]
            edge = float(known["month"].max()) if len(known) else 0.0
            style.band(axes, known, "month", "seen", GREY, bars=True)
            axes.plot(known["month"], known["seen"], "o", ms=3.4, mew=0, color=INK)
            axes.plot(part["month"], part["fitted"], color=blue, lw=1.8)
            if edge < last:
                axes.axvspan(edge, last, color=amber, alpha=0.13, lw=0)
            axes.set_title(style.shorten(group, 24), loc="left", size=10, weight="bold", pad=4)
            axes.set_ylim(0, 1.02)
            _months(axes, last)
            style.unit_axis(axes.yaxis, "percent", bins=4)
            told = {"seen": (say("observed"), "percent"), "fitted": (say("fitted"), "percent")}
            style.tips(axes, part, "month", told, style.period)
        style.key(figure, [(say("observed"), INK), (say("fitted"), blue), (say("shaded: predicted"), amber)])
        return figure

    ends = frame[frame["month"] == frame.groupby("group")["month"].transform("max")]
    shares = sorted(zip(ends["group"], ends["fitted"], strict=True), key=lambda end: -end[1])
    time = fmt.value(last, "months")
    words = {"time": time, "share": fmt.percent(shares[0][1]), "group": shares[0][0]}
    takeaway = say("After {time}, {share} of {group} are expected to still be there", **words)
    told = {"time": time, "said": listed(shares, "percent")}
    alt = say("Share still subscribed, observed and fitted. After {time}: {said}.", **told)
    data = Table(frame, {"month": "months", "fitted": "percent", "seen": "percent"})
    return Picture(draw, takeaway, alt, data, say("Share of customers by months since the start"))


def payments(monthly: Any) -> Picture:
    """Draw what customers who are still there pay, by months since the start, a line a group.

    Args:
        monthly: Columns group, month and value, as from `tenure.models.payments.Payments.monthly`; the last
            value of a group holds from there on.
    """
    import pandas as pd

    table = drawn_from(monthly, "payments", "value", "group", "month")
    unit = fmt.check_unit(table.units.get("value", "number"))
    frame = table.frame.assign(group=table.frame["group"].astype(str))
    chosen, last = style.colors(frame["group"]), max(float(frame["month"].max()), 12.0)
    oldest = frame.sort_values("month").groupby("group", as_index=False).last().assign(month=last)
    frame = pd.concat([frame, oldest]).sort_values(["group", "month"], kind="stable", ignore_index=True)

    def draw(width: float) -> Figure:
        figure, axes = style.new_figure(3.2, width=width)
        ends = style.lines(axes, frame, "month", "value", chosen, step=True)
        axes.set_ylim(min(0.0, float(frame["value"].min())), float(frame["value"].max()) * 1.08 or 1)
        _months(axes, last)
        style.unit_axis(axes.yaxis, unit)
        held = frame.pivot_table(index="month", columns="group", values="value").ffill().reset_index()
        style.tips(axes, held, "month", {name: (name, unit) for name in chosen}, style.period)
        style.label_ends(axes, ends)
        return figure

    ends = frame.groupby("group")["value"].agg(["first", "last"])
    changes = (ends["last"] / ends["first"].where(ends["first"] > 0) - 1).fillna(0.0).to_dict()
    group, change = max(changes.items(), key=lambda pair: abs(pair[1]))
    sentence = "Customers who stay with {group} pay {share} more than when they began"
    if abs(change) < _HARDLY:
        sentence = "Customers who stay pay about what they paid when they began"
    elif change < 0:
        sentence = "Customers who stay with {group} pay {share} less than when they began"
    takeaway = say(sentence, group=group, share=fmt.percent(abs(change)))
    first, later = (listed(ends[name].items(), unit) for name in ("first", "last"))
    said = {"first": first, "later": later}
    alt = say("Payment per month by months since the start. At first: {first}. Later: {later}.", **said)
    return Picture(draw, takeaway, alt, table, say("Per month, refunds taken off"))


def calibration(backtest: Any, label: str, *, subtitle: str = "") -> Picture:
    """Draw what was predicted, with its range, beside what happened, a line a row.

    Args:
        backtest: Columns `label`, expected with its range, and happened, as
            `tenure.models.retention_choice.Backtest` has them.
        label: The column that names the rows.
        subtitle: What is measured.
    """
    table = drawn_from(backtest, "calibration", "expected", label, "happened")
    unit = fmt.check_unit(table.units.get("expected", "number"))
    rows = table.frame.to_dict("records")
    inside = [row["expected_low"] <= row["happened"] <= row["expected_high"] for row in rows]

    def draw(width: float) -> Figure:
        figure, axes = style.row_figure([row[label] for row in rows], width=width, more=0.85)
        for place, (row, held) in enumerate(zip(rows, inside, strict=True)):
            edge, fill = (INK, "white") if held else (PALETTE[4], PALETTE[4])
            ends = [row["expected_low"], row["expected_high"]]
            axes.plot(ends, [place, place], color=PALETTE[3], lw=7, alpha=0.45, solid_capstyle="butt")
            axes.plot([row["expected"]], [place], marker="|", ms=11, mew=2.2, color=PALETTE[0])
            axes.plot([row["happened"]], [place], marker="o", ms=6.5, mew=1.6, mec=edge, mfc=fill)
        told = {"expected": (say("predicted"), unit), "happened": (say("happened"), unit)}
        style.tips(axes, table.frame, "", told, [row[label] for row in rows])
        axes.set_xlim(left=min(0.0, float(table.frame[["expected_low", "happened"]].min().min())))
        style.unit_axis(axes.xaxis, unit)
        key = [(say("predicted, with its 95% range"), PALETTE[0]), (say("what happened"), INK)]
        style.key(figure, key if all(inside) else [*key, (say("outside the range"), PALETTE[4])])
        return figure

    takeaway = say(
        "What happened lies within the range of what was predicted in {held} of {all}",
        held=sum(inside), all=len(rows),
    )  # fmt: skip
    expected, happened = (
        listed(((row[label], row[name]) for row in rows), unit) for name in ("expected", "happened")
    )
    said = {"expected": expected, "happened": happened}
    alt = say("What was predicted and what happened. Predicted: {expected}. Happened: {happened}.", **said)
    return Picture(draw, takeaway, alt, table, subtitle)


def right_and_wrong(values: Any, wrong: str, right: str) -> Picture:
    """Draw for each group what a shortcut gives and what is right, with its interval.

    Args:
        values: Columns group, wrong and right with its interval.
        wrong: What the shortcut is called.
        right: What the right answer is called.
    """
    table = drawn_from(values, "right_and_wrong", "right", "group", "wrong")
    wrong, right = translated(wrong), translated(right)
    unit = fmt.check_unit(table.units.get("right", "number"))
    rows = table.frame.to_dict("records")

    def draw(width: float) -> Figure:
        figure, axes = style.row_figure([row["group"] for row in rows], width=width, more=0.85)
        for place, row in enumerate(rows):
            if not fmt.missing(row["wrong"]):
                axes.plot([row["wrong"], row["right"]], [place, place], color=LINE, lw=2.5, zorder=1)
                axes.plot([row["wrong"]], [place], "o", ms=7, mfc="white", mec=PALETTE[4], mew=1.8)
            axes.plot([row["right_low"], row["right_high"]], [place, place], color=PALETTE[0], lw=2)
            axes.plot([row["right"]], [place], "o", ms=7, color=PALETTE[0])
        told = {"right": (right, unit), "wrong": (wrong, unit)}
        style.tips(axes, table.frame, "", told, [row["group"] for row in rows])
        axes.set_xlim(left=min(0.0, *(row["right_low"] for row in rows)))
        style.unit_axis(axes.xaxis, unit)
        style.key(figure, [(right, PALETTE[0]), (wrong, PALETTE[4])])
        return figure

    known = [row for row in rows if not fmt.missing(row["wrong"]) and row["right"]]
    takeaway = say("{right} differs from {wrong}", right=right, wrong=wrong)
    if known:
        far = max(known, key=lambda row: abs(row["wrong"] / row["right"] - 1))
        off = far["wrong"] / far["right"] - 1
        sentence = "{wrong} is {share} too high for {group}"
        if off < 0:
            sentence = "{wrong} is {share} too low for {group}"
        takeaway = say(sentence, wrong=wrong, share=fmt.percent(abs(off)), group=far["group"])
    said = [listed(((row["group"], row[name]) for row in rows), unit) for name in ("wrong", "right")]
    return Picture(draw, takeaway, f"{wrong}: {said[0]}. {right}: {said[1]}.", table, "")


def _months(axes: Axes, last: float) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter

    step = next((step for step in (1, 3, 6, 12, 24, 36, 60) if last / step <= 6), 120)
    axes.xaxis.set_major_locator(FixedLocator([float(k) for k in range(0, int(last) + 1, step)]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda tick, _: fmt.value(round(tick), "count")))
    axes.tick_params(axis="x", labelcolor=MUTED)
    axes.set_xlim(0, last)
    axes.grid(axis="x", visible=False)
