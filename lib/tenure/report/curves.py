"""Figures over the life of a subscription: survival, hazard, cumulative incidence.

Each takes a result or its table, with a row for each group and period; the column `period` has the unit that
its table says, else months. `until` is the last period to draw; None: all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from tenure.report import format as fmt
from tenure.report import style
from tenure.report.palette import INK, LINE, PALETTE, readable
from tenure.report.picture import Picture, drawn_from, listed
from tenure.report.tables import table_of
from tenure.report.words import say, word
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
# Between ticks of the axis there may be so many periods.
_STEPS = {
    "months": (1, 2, 3, 6, 12, 24),
    "weeks": (1, 2, 4, 8, 13, 26, 52),
    "days": (1, 7, 14, 30, 60, 90, 180),
}


class _Life(NamedTuple):
    """What is drawn over the life of subscriptions: rows in order, groups, the last period and its unit."""

    rows: pd.DataFrame
    data: Table
    groups: list[str]
    last: int
    unit: str
    begins: int


def survival(curves: Any, *, until: int | None = None, title: str = "") -> Picture:
    """Draw survival curves by group, with interval bands and the numbers at risk below.

    Args:
        curves: Columns group, period, at_risk, survival and its interval; survival after each completed
            period, as a fraction. Every curve starts at 1, in period 0 or where its first row has it.
        title: A statement; empty: how many are still subscribed at the end.
    """
    life = _life(curves, "survival", "survival", until)
    rows = _from_start(life.rows)
    counts = _in_order(table_of(curves).frame) if "at_risk" in rows.columns else None

    def draw(width: float) -> Figure:
        if len(life.groups) > MAX_LINES:
            return _panels(life._replace(rows=rows), "survival", "survival", width)
        counted = counts is not None and not style.is_narrow(width)
        room = 0.24 * len(life.groups) + 0.25 if counted else 0
        figure, axes = style.new_figure(3.3 + room, width=width)
        chosen = style.colors(life.groups)
        ends = style.lines(axes, rows, "period", "survival", chosen, step=True)
        _axes(axes, life, top=1.0)
        if counts is not None and counted:
            _at_risk(axes, counts, life.groups, chosen)
        _tips(axes, rows, "survival", life)
        style.label_ends(axes, ends)
        return figure

    # The last period that two groups at least have reached.
    known = rows.dropna(subset="survival")
    reached = sorted(known.groupby("group")["period"].max(), reverse=True)
    at = int(reached[min(1, len(reached) - 1)])
    there = known[known["period"] == at].sort_values("survival", ascending=False, kind="stable")
    shares = list(zip(there["group"], there["survival"], strict=True))
    (first, most), (last, least), time = shares[0], shares[-1], fmt.value(at, life.unit)
    if len(shares) > 1:
        takeaway = say(
            "After {time}, {most} of {first} customers are still subscribed and {least} of {last} customers",
            time=time, first=first, most=(most, "percent"), last=last, least=(least, "percent"),
        )  # fmt: skip
        told = {"time": time, "said": listed(shares, "percent")}
        alt = say("Survival curves by group. After {time}: {said} are still subscribed.", **told)
    else:
        takeaway = say("{share} are still subscribed after {time}", share=(most, "percent"), time=time)
        marks = known[known["period"].isin([1, at // 2, at])]
        path = [(fmt.value(row.period, life.unit), row.survival) for row in marks.itertuples()]
        alt = say("Survival curve: share still subscribed after {said}.", said=listed(path, "percent"))
    subtitle = say("Share still subscribed by {units} since the start", units=life.unit)
    begins = rows.groupby("group")["period"].min()
    if begins.any():
        late = fmt.value(int(begins.max()), life.unit)
        takeaway = say(
            "Of those there after {late}, {share} are still subscribed after {time}",
            late=late, share=(most, "percent"), time=time,
        )  # fmt: skip
        if len(shares) > 1:
            takeaway = say(
                "Each curve begins with those there when enough are: after {late} at most", late=late
            )
        alt = f"{takeaway}. {alt}"
    return _picture(draw, title or takeaway, alt, life, "survival", subtitle)


def hazard(rate: Any, peaks: Any = None, *, until: int | None = None, smooth: Any = None) -> Picture:
    """Draw by group the share of those still subscribed who leave in each period, and mark peaks.

    Args:
        rate: Columns group, period, hazard (a fraction) and its interval.
        peaks: Columns group and period: periods to mark; None: nobody has looked for any.
        smooth: Columns group, period and hazard, smoothed: drawn as lines, the shares of `rate` as dots.
    """
    life = _life(rate, "hazard", "hazard", until)
    rows, line = life.rows, "hazard"
    if smooth is not None:
        lines = _in_order(table_of(smooth).frame)[["group", "period", "hazard"]]
        rows = rows.merge(lines.rename(columns={"hazard": "smooth"}), on=["group", "period"], how="left")
        line = "smooth"
    marked = _marked(rows, peaks)

    def draw(width: float) -> Figure:
        if len(life.groups) > MAX_LINES:
            return _panels(life._replace(rows=rows), "hazard", line, width)
        figure, axes = style.new_figure(3.3, width=width)
        chosen = style.colors(life.groups)
        rare = [group for group, part in rows.groupby("group") if _at_renewals(part)]
        for group, part in rows.groupby("group"):
            color = chosen[str(group)]
            if group in rare:
                part = part[part["hazard"] > 0]
                axes.vlines(part["period"], 0, part["hazard"], color=color, lw=2.1)
            if group in rare or line == "smooth":
                style.band(axes, part, "period", "hazard", color, bars=True)
                _dots(axes, part, "hazard", 3.2 if line == "smooth" else 5, color)
        flowing = {group: color for group, color in chosen.items() if group not in rare}
        ends = style.lines(axes, rows, "period", line, flowing)
        for group in rare:
            last = rows[(rows["group"] == group) & (rows["hazard"] > 0)].iloc[-1]
            ends.append((str(group), float(last["period"]), float(last["hazard"]), chosen[str(group)]))
        _axes(axes, life, data=rows[["hazard", line]], first=1)
        style.label_ends(axes, ends)
        _mark_peaks(axes, marked, chosen, life)
        _tips(axes, rows, "hazard", life)
        return figure

    # The peak at which most leave or, where there is none, the largest share.
    known = rows.dropna(subset="hazard")
    lost = known.set_index(["group", "period"])["events"].to_dict() if "events" in known.columns else {}
    top = max(marked, key=lambda peak: (lost.get(peak[1:], 0), peak), default=None) or max(
        zip(known["hazard"], known["group"], known["period"], strict=True), default=(math.nan, "", 0)
    )
    kind = life.unit.removesuffix("s")
    sentence = "{share} leave in {period} {k}"
    if len(life.groups) > 1:
        sentence = "{share} of {group} leave in {period} {k}"
    if peaks is not None and not marked:
        sentence = "No {period} stands out"
    takeaway = say(sentence, share=(top[0], "percent"), group=top[1], period=kind, k=int(top[2]))
    tops = [(f"{style.period(k, kind)}, {word(group)}:", share) for share, group, k in sorted(marked)[::-1]]
    alt = say("Chance of leaving in each {period} of the subscription, by group.", period=kind)
    alt += " " + say("Peaks stand out: {tops}.", tops=listed(tops, "percent", 99)) if tops else ""
    subtitle = say("Of those still subscribed, the share who leave in each {period}", period=kind)
    return _picture(draw, takeaway, alt, life, "hazard", subtitle, smoothed=line == "smooth")


def cumulative_incidence(causes: Any, *, until: int | None = None) -> Picture:
    """Draw for each cause the share of customers it has taken by each period, a panel for each group.

    The title is how many were lost to failed payments or, if none were, to the main cause.

    Args:
        causes: Columns group, period, cause, incidence (a fraction) and its interval.
    """
    life = _life(causes, "cumulative_incidence", "incidence", until, "cause")
    rows, several = life.rows, len(life.groups) > 1
    names = sorted(rows["cause"].unique(), key=lambda name: (name == "unknown", name))

    def draw(width: float) -> Figure:
        chosen = style.colors(names)
        figure, grid = style.panels(len(life.groups), 1.9 if several else 3.0, width=width)
        for axes, group in zip(grid, life.groups, strict=True):
            part = rows[rows["group"] == group]
            ends = style.lines(axes, part, "period", "incidence", chosen, by="cause", step=True)
            _axes(axes, life, data=rows[style.known(rows, "incidence", "incidence_high")])
            _tips(axes, part, "incidence", life, "cause")
            if several:
                _panel_title(axes, group)
            else:
                style.label_ends(axes, ends)
        if several:
            style.key(figure, list(chosen.items()))
        return figure

    ends = rows.dropna(subset="incidence").groupby(["group", "cause"], as_index=False).last()
    reached = dict(zip(zip(ends["group"], ends["cause"], strict=True), ends["incidence"], strict=True))
    failed = {key: share for key, share in reached.items() if key[1] == "involuntary" and share > 0}
    (group, cause), share = max((failed or reached).items(), key=lambda item: item[1])
    sentence = _LOST.get(cause, "{share} are lost to {cause} within {time}")
    if several:
        sentence = "Most are lost in {group}: {share} within {time} ({cause})"
    if begins := life.begins:
        sentence = "Of those there after {late}, {share} are lost by {time} ({cause})"
    time, late = (fmt.value(number, life.unit) for number in (life.last, begins))
    takeaway = say(sentence, late=late, group=group, cause=cause, share=(share, "percent"), time=time)
    said = [(f"{one} {why}" if several else why, part) for (one, why), part in reached.items()]
    told = {"time": time, "said": listed(said, "percent", 9)}
    alt = say("Share of new subscribers lost by cause within {time}: {said}.", **told)
    subtitle = say("Share lost to each cause by {units} since the start", units=life.unit)
    return _picture(draw, takeaway, alt, life, "incidence", subtitle)


def returns(shares: Any, *, until: int | None = 365) -> Picture:
    """Draw by group the share of those who left that has come back, by days since the end.

    Args:
        shares: Columns group, period, incidence (a fraction) and its interval.
    """
    life = _life(shares, "returns", "incidence", until)
    rows = life.rows

    def draw(width: float) -> Figure:
        figure, axes = style.new_figure(3.2, width=width)
        ends = style.lines(axes, rows, "period", "incidence", style.colors(life.groups), step=True)
        _axes(axes, life, data=rows[style.known(rows, "incidence", "incidence_high")])
        axes.set_xlabel(say("Days since the end"))
        _tips(axes, rows, "incidence", life)
        style.label_ends(axes, ends)
        return figure

    ends = rows.dropna(subset="incidence").groupby("group")[["period", "incidence"]].last()
    # Who left for an unknown reason is no group to compare with.
    said = sorted(ends["incidence"].items(), key=lambda item: (item[0] == "unknown", -item[1]))
    named = [one for one in said if one[0] != "unknown"] or said
    (most, share), (least, low), time = named[0], named[-1], fmt.value(int(ends["period"].max()), life.unit)
    takeaway = say("{share} have come back {time} after they left", share=(share, "percent"), time=time)
    if len(named) > 1:
        takeaway = say(
            "{group}: {share} have come back after {time}; {other}: {lowest}",
            group=most, share=(share, "percent"), time=time, other=least, lowest=(low, "percent"),
        )  # fmt: skip
    told = {"time": time, "said": listed(said, "percent")}
    alt = say("Share who came back by {time} after they left: {said}.", **told)
    return _picture(draw, takeaway, alt, life, "incidence", say("Share of those who left who have come back"))


def return_rates(weekly: Any) -> Picture:
    """Draw how many of a thousand who are still away come back in each week since the end.

    Args:
        weekly: Columns week, rate and its interval.
    """
    table = drawn_from(weekly, "return_rates", "rate", "week")
    rows = table.frame.assign(period=table.frame["week"])

    def draw(width: float) -> Figure:
        figure, axes = style.new_figure(2.8, width=width)
        style.band(axes, rows, "week", "rate", PALETTE[0], bars=True)
        _dots(axes, rows, "rate", 4, PALETTE[0])
        axes.set_ylim(0, None)
        axes.grid(axis="x", visible=False)
        style.unit_axis(axes.yaxis, "number")
        axes.set_xlabel(say("Weeks since the end"))
        style.tips(axes, rows, "week", {"rate": ("", "number")}, lambda k: style.period(k, "week"), by="")
        return figure

    top, last = rows.iloc[int(rows["rate"].to_numpy().argmax())], rows.iloc[-1]
    told = {"top": (top["rate"], "number"), "week": int(top["week"])}
    told |= {"last": (last["rate"], "number"), "end": int(last["week"])}
    title = say("Returns are commonest in week {week} after the end", **told)
    alt = say("Of a thousand still away, {top} come back in week {week}, {last} in week {end}.", **told)
    subtitle = say("Of a thousand still away, how many come back in a week")
    return Picture(draw, title, alt, table, style.also(subtitle, say("bars: 95% interval")))


def _life(result: Any, figure: str, name: str, until: int | None, *columns: str) -> _Life:
    table = drawn_from(result, figure, name, "group", "period", *columns)
    # A curve that begins later is drawn for as long; it begins before a first row in which somebody is lost.
    first = table.frame[table.frame["period"] == table.frame["period"].min()]
    whole = name != "hazard" and first[name].isin([0, 1]).all()
    begins = max(int(first["period"].min()) - (not whole), 0) if len(table) else 0
    frame = table.frame if until is None else table.frame[table.frame["period"] <= begins + until]
    rows = _in_order(frame)
    shown = style.known(rows, "group", "period", *columns, "at_risk", name, f"{name}_low", f"{name}_high")
    data = Table(rows[shown], {name: "percent", **table.units})
    unit, last = table.units.get("period", "months"), int(rows["period"].max())
    return _Life(rows, data, style.group_names(rows), last, unit, begins)


def _in_order(frame: pd.DataFrame) -> pd.DataFrame:
    frame = frame.assign(**{name: frame[name].astype(str) for name in style.known(frame, "group", "cause")})
    return frame.sort_values(["group", "period"], kind="stable")


def _picture(
    draw: Any, title: str, alt: str, life: _Life, name: str, subtitle: str, *, smoothed: bool = False
) -> Picture:
    banded = f"{name}_low" in life.rows.columns and not smoothed
    subtitle = style.also(subtitle, say("dots as observed, lines smoothed") if smoothed else "")
    subtitle = style.also(subtitle, say("shaded: 95% interval") if banded else "")
    faint = say("faint: the other groups") if len(life.groups) > MAX_LINES and name != "incidence" else ""
    return Picture(draw, title, alt, life.data, style.also(subtitle, faint))


def _from_start(rows: pd.DataFrame) -> pd.DataFrame:
    """Begin every curve at 1, where it is not there yet in period 0."""
    import pandas as pd

    columns = style.known(rows, "survival", "survival_low", "survival_high")
    begins = rows.groupby("group")["survival"].first()
    later = sorted(begins[begins < 1].index)
    if not later:
        return rows
    begun = pd.DataFrame({"group": later, "period": 0, **dict.fromkeys(columns, 1.0)})
    return _in_order(pd.concat([begun, rows], ignore_index=True))


def _axes(
    axes: Axes, life: _Life, *, top: float | None = None, data: pd.DataFrame | None = None, first: int = 0
) -> None:
    """Shares from 0 up, and periods from `first` on: 0 where they are completed, 1 where they are lived."""
    from matplotlib.ticker import FixedLocator, FuncFormatter

    if data is not None:
        top = min(1.0, float(data.max(numeric_only=True).max()) * 1.14)
    axes.set_ylim(0, top if top and math.isfinite(top) and top > 0 else 1)
    style.unit_axis(axes.yaxis, "percent")
    axes.grid(axis="x", visible=False)
    last = life.last
    step = next((s for s in _STEPS[life.unit] if last / s <= 9), max(1, math.ceil(last / 8)))
    ticks = [tick for tick in range(0, last + 1, step) if tick >= first]
    if first and 1 not in ticks:
        ticks.insert(0, 1)
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda tick, _: fmt.value(round(tick), "count")))
    axes.set_xlim(first - (0.4 if first else 0), last + (0.4 if first else 0.15))
    named = "{period} of the subscription" if first else "{units} since the start"
    axes.set_xlabel(style.also(say(named, period=life.unit.removesuffix("s"), units=life.unit), ""))


def _at_risk(axes: Axes, frame: pd.DataFrame, groups: Sequence[str], chosen: Mapping[str, str]) -> None:
    """Write under the axis how many were under observation as each marked period began."""
    # Those at risk in period k + 1 are those observed to have completed k.
    counts = frame.set_index(["group", "period"])["at_risk"].to_dict()
    ticks = [int(tick) for tick in axes.get_xticks()]
    numbers = {(g, tick): counts.get((g, tick + 1)) for g in groups for tick in ticks}
    words = {
        key: "" if fmt.missing(number) else fmt.value(number, "count") for key, number in numbers.items()
    }
    aside = 8 + 2.7 * max(len(words[group, ticks[0]]) for group in groups)
    style.note(axes, say("Still observed"), (0, 0), (-aside, -40), "xaxis", ha="right", va="center")
    for place, group in enumerate(groups):
        down = 40 + 14 * (place + (len(groups) > 1))
        if len(groups) > 1:
            name, color = style.shorten(group, 16), readable(chosen[group])
            style.note(axes, name, (0, 0), (-aside, -down), "xaxis", ha="right", va="center", color=color)
        for tick in ticks:
            style.note(axes, words[group, tick], (tick, 0), (0, -down), "xaxis", va="center", color=INK)


def _marked(rows: pd.DataFrame, peaks: Any) -> list[tuple[float, str, int]]:
    """Each peak's hazard, group and period."""
    if peaks is None or not len(peaks):
        return []
    found = table_of(peaks).frame[["group", "period"]].astype({"group": str})
    found = found.merge(rows.dropna(subset="hazard"), on=["group", "period"])
    return list(zip(found["hazard"], found["group"], map(int, found["period"]), strict=True))


def _at_renewals(part: pd.DataFrame) -> bool:
    """Whether a group can leave in few periods only: a line would slope through those between them."""
    return bool((part["hazard"] > 0).any() and (part["hazard"].fillna(0) == 0).mean() > 0.5)


def _tips(axes: Axes, rows: pd.DataFrame, name: str, life: _Life, by: str = "group") -> None:
    alone = len(set(rows[by])) == 1
    shown = {name: ("", "percent")}
    style.tips(axes, rows, "period", shown, lambda k: style.period(k, life.unit[:-1]), by="" if alone else by)


def _mark_peaks(
    axes: Axes, marked: list[tuple[float, str, int]], chosen: Mapping[str, str], life: _Life
) -> None:
    """Name periods with peaks above them, the tallest first where names would collide."""
    figure: Any = axes.figure
    figure.get_layout_engine().execute(figure)
    written: list[tuple[float, float]] = []
    tallest = {peak[2]: peak for peak in sorted(marked)}
    for height, group, at in sorted(tallest.values(), reverse=True):
        words = f"{style.period(at, life.unit[:-1])}: {fmt.percent(height)}"
        half = style.text_width(figure, words, weight="bold") / 2 + 3
        box = axes.get_window_extent()
        place = float(axes.transData.transform((at, 0))[0])
        center = min(max(place, box.x0 + half), box.x1 - half)
        if any(abs(center - other) < half + width for other, width in written):
            continue
        written.append((center, half))
        color = readable(chosen[group])
        style.note(axes, words, (at, height), (center - place, 5), color=color, weight="bold")


def _panels(life: _Life, name: str, line: str, width: float) -> Figure:
    """Draw one small panel a group, with the others faint behind it."""
    step, rows, color = name == "survival", life.rows, PALETTE[0]
    figure, grid = style.panels(len(life.groups), 1.45, width=width)
    for axes, group in zip(grid, life.groups, strict=True):
        for _, other in rows.groupby("group"):
            axes.plot(other["period"], other[line], color=LINE, lw=0.8, drawstyle=style.STEPS[step])
        part = rows[rows["group"] == group]
        if line != name:
            _dots(axes, part, name, 2.4, color)
        style.lines(axes, part, "period", line, {group: color}, step=step)
        data = None if step else rows[style.known(rows, line, name)]
        _axes(axes, life, top=1.0, data=data, first=0 if step else 1)
        _tips(axes, part, name, life)
        _panel_title(axes, group)
    return figure


def _dots(axes: Axes, part: pd.DataFrame, name: str, size: float, color: str) -> None:
    axes.plot(part["period"], part[name], "o", ms=size, mew=0, color=color, alpha=0.55)


def _panel_title(axes: Axes, group: str) -> None:
    axes.set_title(style.shorten(group, 17), loc="left", size=10, weight="bold", pad=4)
    axes.set_xticks([tick for k, tick in enumerate(axes.get_xticks()) if k % 2 == 0])
    axes.set_xlabel("")
