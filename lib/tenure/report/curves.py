"""Figures over the life of a subscription: survival, hazard, cumulative incidence."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tenure.report import format as fmt
from tenure.report import style
from tenure.report.style import INK, LINE, theme

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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
    style.need(table, "survival", "group", "period", "survival")
    frame = _from_start(_cut(table, horizon))
    groups = style.group_names(frame)
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
            axes.plot(x, y, color=chosen[group], drawstyle="steps-post", dashes=style.dashes(group))
            end = [(a, b) for a, b in zip(x, y, strict=True) if not fmt.missing(b)][-1]
            ends.append((group, float(end[0]), float(end[1]), chosen[group]))
        _percent_axis(axes, top=1.0)
        _period_axis(axes, last, period)
        style.headline(figure, title, subtitle)
        if rows:
            _at_risk(axes, _cut(table, None), groups, chosen)
        if len(groups) > 1:
            style.label_ends(axes, ends)
        return style.finish(figure)


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
    style.need(table, "hazard", "group", "period", "hazard")
    frame = _cut(table, horizon)
    groups = style.group_names(frame)
    last = _last(frame, horizon)
    if subtitle is None:
        subtitle = f"Of those still subscribed, the share who leave in each {period}"
        subtitle += _band(frame) if smooth is None else "; dots as observed, lines smoothed"
    chosen = style.colors(groups, colors)
    line = "hazard" if smooth is None else "smooth"
    if smooth is not None:
        style.need(smooth, "hazard", "group", "period", "hazard")
        lines = _cut(smooth, horizon)[["group", "period", "hazard"]].rename(columns={"hazard": "smooth"})
        frame = frame.drop(columns="smooth", errors="ignore").merge(lines, on=["group", "period"], how="left")
    with theme():
        if len(groups) > MAX_LINES:
            return _panels(frame, line, groups, chosen, last, period, title, subtitle, step=False)
        figure, axes = style.new_figure(3.9)
        ends = []
        for group in groups:
            part = frame[frame["group"] == group]
            style.band(axes, part, chosen[group], raw=line == "smooth")
            if line == "smooth":
                axes.plot(part["period"], part["hazard"], "o", ms=3.2, mew=0, color=chosen[group], alpha=0.55)
            axes.plot(part["period"], part[line], color=chosen[group], dashes=style.dashes(group))
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
        return style.finish(figure)


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
    style.need(table, "cumulative_incidence", "group", "period", "cause", "incidence")
    frame = _cut(table, horizon).assign(cause=lambda rows: rows["cause"].astype(str))
    groups = style.group_names(frame)
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
            _percent_axis(axes, top=None, data=frame[style.known(frame, "incidence", "high")])
            _period_axis(axes, last, period)
            if len(groups) > 1:
                axes.set_title(style.shorten(groups[place], 24), loc="left", size=10, weight="bold", pad=4)
                axes.set_xticks([tick for k, tick in enumerate(axes.get_xticks()) if k % 2 == 0])
                axes.set_xlabel("")
        key = [(cause, chosen[cause]) for cause in causes] if len(groups) > 1 else []
        style.headline(figure, title, subtitle, key)
        if len(groups) == 1:
            style.label_ends(grid.flat[0], ends)
        return style.finish(figure)


def _cut(table: pd.DataFrame, horizon: int | None) -> pd.DataFrame:
    frame = table if horizon is None else table[table["period"] <= horizon]
    frame = frame.assign(group=frame["group"].astype(str))
    return frame.sort_values(["group", "period"], kind="stable")


def _last(frame: pd.DataFrame, horizon: int | None) -> int:
    longest = int(frame["period"].max())
    return longest if horizon is None else min(horizon, longest)


def _band(frame: pd.DataFrame) -> str:
    return " (shaded: 95% interval)" if {"low", "high"} <= set(frame.columns) else ""


def _from_start(frame: pd.DataFrame) -> pd.DataFrame:
    """Begin every curve at 1 in period 0."""
    import pandas as pd

    begun = set(frame.loc[frame["period"] == 0, "group"])
    first = [
        {"group": group, "period": 0, "survival": 1.0, "low": 1.0, "high": 1.0}
        for group in style.group_names(frame)
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


def _mark_spikes(
    axes: Axes, frame: pd.DataFrame, spikes: pd.DataFrame, chosen: Mapping[str, str], period: str
) -> None:
    """Mark the periods with spikes and name them at the top, the tallest first where names would collide."""
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
        elif column == "hazard":
            style.band(axes, part, style.PALETTE[0], raw=False)
        else:
            axes.plot(part["period"], part["hazard"], "o", ms=2.4, mew=0, color=style.PALETTE[0], alpha=0.55)
        axes.plot(*lines[group], color=style.PALETTE[0], drawstyle=draw)
        axes.set_title(style.shorten(group, 24), loc="left", size=10, weight="bold", pad=3)
        _percent_axis(axes, top=1.0 if step else None, data=frame[style.known(frame, column, "hazard")])
        _period_axis(axes, last, period, first=0 if step else 1)
        axes.set_xticks([tick for k, tick in enumerate(axes.get_xticks()) if k % 2 == 0])
        axes.set_xlabel("")
    style.headline(figure, title, style.also(subtitle, "faint: the other groups"))
    return style.finish(figure)
