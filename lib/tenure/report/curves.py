"""Figures over the life of a subscription: survival, hazard, cumulative incidence.

Each takes a result or its table, with a row for each group and period, and `until`, the last period to draw.
A table whose column `period` has the unit "weeks" or "days" is drawn in those; otherwise a period is a month.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tenure.report import format as fmt
from tenure.report import style
from tenure.report.picture import Picture, drawn_from, listed
from tenure.report.style import INK, LINE
from tenure.report.words import say
from tenure.result import Table

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# More lines than this in one frame are spaghetti: each group gets a small panel instead.
MAX_LINES = 6
# How many were lost to a cause, by cause.
_LOST = {
    "voluntary": "{share} leave by their own choice within {time}",
    "involuntary": "{share} are lost to failed payments within {time}",
    "unknown": "{share} leave within {time} for causes that are not known",
}
# The tallest share of a hazard, by the unit of a period: of everybody, and of one of several groups.
_LEAVE = {
    "month": ("{share} leave in month {k}", "{share} of {group} leave in month {k}"),
    "week": ("{share} leave in week {k}", "{share} of {group} leave in week {k}"),
    "day": ("{share} leave on day {k}", "{share} of {group} leave on day {k}"),
}
_NO_PEAK = {"month": "No month stands out", "week": "No week stands out", "day": "No day stands out"}
_FAINT = "faint: the other groups"


def survival(
    curves: Any,
    *,
    until: int | None = None,
    at_risk: bool = True,
    title: str = "",
    subtitle: str | None = None,
    period: str = "",
    horizon: int | None = None,
    colors: Mapping[str, str] | None = None,
) -> Picture:
    """Draw survival curves by group, with interval bands and the numbers at risk below.

    Args:
        curves: Columns group, period, at_risk, survival and its interval; survival after each completed
            period, as a fraction. Every curve starts at 1 in period 0.
        until: The last period to draw; None: all.
        at_risk: Whether to write how many were still observed.
        title: A statement; empty: how many are still there at the end.
        subtitle: What is measured; None: the usual words.
        period: The unit of a period, where the table does not say it.
        horizon: The same as `until`.
        colors: A color for some groups.
    """
    until = until or horizon
    table = drawn_from(curves, "survival", "survival", "group", "period")
    period, cut = period or _period(table), _cut(table, until)
    frame, groups = _from_start(cut), style.group_names(cut)
    last = _last(frame, until)
    if subtitle is None:
        subtitle = f"Share still subscribed by {period}s since the start" + _band(frame, "survival")
    subtitle = style.also(subtitle, _FAINT if len(groups) > MAX_LINES else "")
    chosen = style.colors(groups, colors)
    rows = at_risk and "at_risk" in frame.columns

    def draw(width: float) -> Figure:
        if len(groups) > MAX_LINES:
            return _panels(frame, "survival", "survival", groups, last, period, width)
        figure, axes = style.new_figure(3.3 + (0.24 * len(groups) + 0.25 if rows else 0), width=width)
        ends = []
        for group in groups:
            part = frame[frame["group"] == group]
            x, y = part["period"].tolist(), part["survival"].tolist()
            style.band(axes, part, "period", "survival", chosen[group], step=True)
            axes.plot(x, y, color=chosen[group], drawstyle="steps-post", dashes=style.dashes(group))
            end = [(a, b) for a, b in zip(x, y, strict=True) if not fmt.missing(b)][-1]
            ends.append((group, float(end[0]), float(end[1]), chosen[group]))
        _percent_axis(axes, top=1.0)
        _period_axis(axes, last, period)
        if rows:
            _at_risk(axes, _cut(table, None), groups, chosen)
        if len(groups) > 1:
            style.label_ends(axes, ends)
        return figure

    at, shares = _reading(frame, "survival")
    time, (first, *_), (lowest, *_) = fmt.duration(at, f"{period}s"), shares, shares[::-1]
    words = {"time": time, "share": fmt.percent(first[1]), "first": first[0]}
    if len(shares) > 1:
        words |= {"last": lowest[0], "least": fmt.percent(lowest[1])}
        takeaway = say("After {time}, {share} of {first} are still there and {least} of {last}", **words)
        alt = f"Survival curves by group. After {time}: {listed(shares, 'percent')} are still there."
    else:
        takeaway = say("{share} are still there after {time}", **words)
        marks = [(int(k), share) for k, share in zip(frame["period"], frame["survival"], strict=True)]
        path = [(fmt.duration(k, f"{period}s"), share) for k, share in marks if k in {1, at // 2, at}]
        alt = f"Survival curve: share still there after {listed(path, 'percent')}."
    return Picture(draw, title or takeaway, alt, _data(cut, table, "survival", "at_risk"), subtitle)


def hazard(
    rate: Any,
    peaks: Any = None,
    *,
    until: int | None = None,
    smooth: pd.DataFrame | None = None,
    title: str = "",
    subtitle: str | None = None,
    period: str = "",
    horizon: int | None = None,
    colors: Mapping[str, str] | None = None,
) -> Picture:
    """Draw by group the share of those still there who leave in each period, and mark peaks.

    Args:
        rate: Columns group, period, hazard (a fraction) and its interval.
        peaks: Columns group and period, and perhaps label: periods to mark; None: nobody has looked for any.
        until: The last period to draw; None: all.
        smooth: Columns group, period and hazard, smoothed: drawn as lines, the shares of `rate` as dots.
        title: A statement; empty: the peak, or that there is none.
        subtitle: What is measured; None: the usual words.
        period: The unit of a period, where the table does not say it.
        horizon: The same as `until`.
        colors: A color for some groups.
    """
    until = until or horizon
    table = drawn_from(rate, "hazard", "hazard", "group", "period")
    period, cut = period or _period(table), _cut(table, until)
    groups, last, frame = style.group_names(cut), _last(cut, until), cut
    if subtitle is None:
        subtitle = f"Of those still subscribed, the share who leave in each {period}"
        subtitle += _band(cut, "hazard") if smooth is None else "; dots as observed, lines smoothed"
    subtitle = style.also(subtitle, _FAINT if len(groups) > MAX_LINES else "")
    chosen = style.colors(groups, colors)
    line = "hazard" if smooth is None else "smooth"
    if smooth is not None:
        style.need(smooth, "hazard", "group", "period", "hazard")
        lines = _cut(Table(smooth), until)[["group", "period", "hazard"]].rename(columns={"hazard": "smooth"})
        frame = cut.drop(columns="smooth", errors="ignore").merge(lines, on=["group", "period"], how="left")
    marked = _marked(cut, peaks)

    def draw(width: float) -> Figure:
        if len(groups) > MAX_LINES:
            return _panels(frame, line, "hazard", groups, last, period, width)
        figure, axes = style.new_figure(3.3, width=width)
        ends = []
        for group in groups:
            part, color = frame[frame["group"] == group], chosen[group]
            style.band(axes, part, "period", "hazard", color, bars=line == "smooth")
            if line == "smooth":
                axes.plot(part["period"], part["hazard"], "o", ms=3.2, mew=0, color=color, alpha=0.55)
            axes.plot(part["period"], part[line], color=color, dashes=style.dashes(group))
            known = part[part[line].notna()]
            if len(known):
                final = known.iloc[-1]
                ends.append((group, float(final["period"]), float(final[line]), color))
        _percent_axis(axes, top=None, data=frame[["hazard", line]])
        _period_axis(axes, last, period, first=1)
        _mark_peaks(axes, marked, chosen, period)
        if len(groups) > 1:
            style.label_ends(axes, ends)
        return figure

    known = cut.dropna(subset="hazard")
    top = max(marked, default=None) or max(
        zip(known["hazard"], known["group"], known["period"], strict=True), default=(math.nan, "", 0)
    )
    words = {"share": fmt.percent(top[0]), "group": top[1], "k": fmt.count(top[2])}
    unmarked = peaks is not None and not marked
    takeaway = say(_NO_PEAK[period] if unmarked else _LEAVE[period][len(groups) > 1], **words)
    tops = [f"{period} {k} for {group} ({fmt.percent(share)})" for share, group, k, _ in sorted(marked)[::-1]]
    alt = f"Chance to leave in each {period} of the subscription, by group. " + (
        f"Peaks stand out at {fmt.join(tops)}." if tops else f"The largest is {words['share']}."
    )
    return Picture(draw, title or takeaway, alt, _data(cut, table, "hazard", "at_risk", "events"), subtitle)


def cumulative_incidence(
    causes: Any,
    *,
    until: int | None = None,
    title: str = "",
    subtitle: str | None = None,
    period: str = "",
    horizon: int | None = None,
    colors: Mapping[str, str] | None = None,
) -> Picture:
    """Draw for each cause the share of customers it has taken by each period, a panel for each group.

    Args:
        causes: Columns group, period, cause, incidence (a fraction) and its interval.
        until: The last period to draw; None: all.
        title: A statement; empty: how many were lost to failed payments or, if none were, to the main cause.
        subtitle: What is measured; None: the usual words.
        period: The unit of a period, where the table does not say it.
        horizon: The same as `until`.
        colors: A color for some causes.
    """
    until = until or horizon
    table = drawn_from(causes, "cumulative_incidence", "incidence", "group", "period", "cause")
    period = period or _period(table)
    frame = _cut(table, until).assign(cause=lambda rows: rows["cause"].astype(str))
    groups, last = style.group_names(frame), _last(frame, until)
    names = sorted(frame["cause"].unique(), key=lambda name: (name == "unknown", name))
    chosen = style.colors(names, colors)
    if subtitle is None:
        subtitle = f"Share lost to each cause by {period}s since the start" + _band(frame, "incidence")

    def draw(width: float) -> Figure:
        across = min(len(groups), 3)
        down = math.ceil(len(groups) / across)
        height = 3.3 if len(groups) == 1 else 0.6 + 1.9 * down
        figure, grid = style.new_figure(
            height, down, across, width=width, sharex=True, sharey=True, squeeze=False
        )
        ends: list[tuple[str, float, float, str]] = []
        for place, axes in enumerate(grid.flat):
            if place >= len(groups):
                axes.set_visible(False)
                continue
            part = frame[frame["group"] == groups[place]]
            ends = []
            for cause in names:
                line = part[part["cause"] == cause]
                style.band(axes, line, "period", "incidence", chosen[cause], step=True)
                axes.plot(line["period"], line["incidence"], color=chosen[cause], drawstyle="steps-post")
                known = line[line["incidence"].notna()]
                if len(known):
                    end = known.iloc[-1]
                    ends.append((cause, float(end["period"]), float(end["incidence"]), chosen[cause]))
            _percent_axis(axes, top=None, data=frame[style.known(frame, "incidence", "incidence_high")])
            _period_axis(axes, last, period)
            if len(groups) > 1:
                _panel_title(axes, groups[place])
        if len(groups) == 1:
            style.label_ends(grid.flat[0], ends)
        else:
            style.key(figure, [(cause, chosen[cause]) for cause in names])
        return figure

    ends = frame.dropna(subset="incidence").sort_values("period").groupby(["group", "cause"])["incidence"]
    reached = {(str(group), str(cause)): float(share) for (group, cause), share in ends.last().items()}
    failed = {key: share for key, share in reached.items() if key[1] == "involuntary" and share > 0}
    (group, cause), share = max((failed or reached).items(), key=lambda item: item[1])
    words = {"share": fmt.percent(share), "time": fmt.duration(last, f"{period}s"), "cause": cause}
    takeaway = say(_LOST.get(cause, "{share} are lost to {cause} within {time}"), **words)
    if len(groups) > 1:
        takeaway = say("Most are lost in {group}: {share} within {time} ({cause})", group=group, **words)
    said = [(f"{g} {c}" if len(groups) > 1 else c, share) for (g, c), share in reached.items()]
    alt = f"Share of new subscribers lost by cause within {words['time']}: {listed(said, 'percent', 9)}."
    return Picture(draw, title or takeaway, alt, _data(frame, table, "incidence", "cause"), subtitle)


def _period(table: Table) -> str:
    return table.units.get("period", "months").removesuffix("s")


def _cut(table: Table, until: int | None) -> pd.DataFrame:
    frame = table.frame if until is None else table.frame[table.frame["period"] <= until]
    frame = frame.assign(group=frame["group"].astype(str))
    return frame.sort_values(["group", "period"], kind="stable")


def _data(frame: pd.DataFrame, table: Table, name: str, *others: str) -> Table:
    """The rows that are drawn, without what a reader does not need."""
    columns = style.known(frame, "group", "period", *others, name, f"{name}_low", f"{name}_high")
    return Table(frame[list(dict.fromkeys(columns))], {name: "percent", **table.units})


def _last(frame: pd.DataFrame, until: int | None) -> int:
    longest = int(frame["period"].max())
    return longest if until is None else min(until, longest)


def _band(frame: pd.DataFrame, name: str) -> str:
    return " (shaded: 95% interval)" if f"{name}_low" in frame.columns else ""


def _reading(frame: pd.DataFrame, name: str) -> tuple[int, list[tuple[str, float]]]:
    """The last period that two groups at least have reached, and the groups there, the largest first."""
    known = frame.dropna(subset=name)
    ends = sorted(known.groupby("group")["period"].max(), reverse=True)
    at = int(ends[min(1, len(ends) - 1)])
    there = known[known["period"] == at].sort_values(name, ascending=False, kind="stable")
    return at, list(zip(there["group"], there[name].astype(float), strict=True))


def _from_start(frame: pd.DataFrame) -> pd.DataFrame:
    """Begin every curve at 1 in period 0."""
    import pandas as pd

    begun = set(frame.loc[frame["period"] == 0, "group"])
    columns = style.known(frame, "survival", "survival_low", "survival_high")
    first = [
        {"group": group, "period": 0, **dict.fromkeys(columns, 1.0)}
        for group in style.group_names(frame)
        if group not in begun
    ]
    if not first:
        return frame
    known = ["group", "period", *columns]
    whole = pd.concat([pd.DataFrame(first)[known], frame], ignore_index=True)
    return whole.sort_values(["group", "period"], kind="stable")


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
    style.note(axes, "Still observed", (0, 0), (-aside, -40), "xaxis", ha="right", va="center")
    for place, group in enumerate(groups):
        down = 40 + 14 * (place + (len(groups) > 1))
        if len(groups) > 1:
            name, color = style.shorten(group, 16), style.on_white(chosen[group])
            style.note(axes, name, (0, 0), (-aside, -down), "xaxis", ha="right", va="center", color=color)
        for tick in ticks:
            style.note(axes, numbers[group, tick], (tick, 0), (0, -down), "xaxis", va="center", color=INK)


def _marked(frame: pd.DataFrame, peaks: Any) -> list[tuple[float, str, int, str]]:
    """Each peak's hazard, group, period and label."""
    if peaks is None or not len(peaks):
        return []
    values = frame.set_index(["group", "period"])["hazard"]
    labels = peaks["label"] if "label" in peaks.columns else [""] * len(peaks)
    return [
        (float(values[group, at]), group, int(at), str(label))
        for group, at, label in zip(peaks["group"].astype(str), peaks["period"], labels, strict=True)
        if (group, at) in values.index and not fmt.missing(values[group, at])
    ]


def _mark_peaks(
    axes: Axes, marked: list[tuple[float, str, int, str]], chosen: Mapping[str, str], period: str
) -> None:
    """Mark the periods with peaks and name them at the top, the tallest first where names would collide."""
    tallest = {peak[2]: peak for peak in sorted(marked)}
    figure: Any = axes.figure
    figure.draw_without_rendering()
    written: list[tuple[float, float]] = []
    for height, group, at, label in sorted(tallest.values(), reverse=True):
        axes.axvline(at, color=LINE, lw=1, ls=(0, (2, 2)), zorder=0.5)
        words = style.shorten(label or f"{period.capitalize()} {at}: {fmt.percent(height)}", 28)
        # Half a name's width in pixels, at about half its size a letter.
        half = (len(words) * 9.5 * 0.54 + 8) / 2 * figure.dpi / 72
        center = float(axes.transData.transform((at, 0))[0])
        if any(abs(center - other) < half + width for other, width in written):
            continue
        written.append((center, half))
        shared = len({other for _, other, period_, _ in marked if period_ == at}) > 1
        color = INK if shared else style.on_white(chosen[group])
        style.note(axes, words, (at, 1), (0, 2), "xaxis", color=color)


def _panels(
    frame: pd.DataFrame, column: str, name: str, groups: list[str], last: int, period: str, width: float
) -> Figure:
    """Draw one small panel a group, with the others faint behind it."""
    down, step = math.ceil(len(groups) / 3), name == "survival"
    figure, grid = style.new_figure(
        0.3 + 1.45 * down, down, 3, width=width, sharex=True, sharey=True, squeeze=False
    )
    draw = "steps-post" if step else "default"
    lines = {
        group: (part["period"].tolist(), part[column].tolist())
        for group, part in frame.groupby("group", sort=False)
    }
    color = style.PALETTE[0]
    for place, axes in enumerate(grid.flat):
        if place >= len(groups):
            axes.set_visible(False)
            continue
        for other in groups:
            axes.plot(*lines[other], color=LINE, lw=0.8, drawstyle=draw)
        part = frame[frame["group"] == groups[place]]
        if column == name:
            style.band(axes, part, "period", name, color, step=step)
        else:
            axes.plot(part["period"], part[name], "o", ms=2.4, mew=0, color=color, alpha=0.55)
        axes.plot(*lines[groups[place]], color=color, drawstyle=draw)
        _percent_axis(axes, top=1.0 if step else None, data=frame[style.known(frame, column, name)])
        _period_axis(axes, last, period, first=0 if step else 1)
        _panel_title(axes, groups[place])
    return figure


def _panel_title(axes: Axes, group: str) -> None:
    axes.set_title(style.shorten(group, 17), loc="left", size=10, weight="bold", pad=4)
    axes.set_xticks([tick for k, tick in enumerate(axes.get_xticks()) if k % 2 == 0])
    axes.set_xlabel("")
