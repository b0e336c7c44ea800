"""Figures of segments: evidence, profiles, concentration, values, moves. Each draws what a model returned."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tenure.report import charts, style
from tenure.report import format as fmt
from tenure.report.cards import worded
from tenure.report.picture import Picture
from tenure.report.style import GREY, INK, MUTED
from tenure.report.words import say
from tenure.result import Table

if TYPE_CHECKING:
    import datetime as dt

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


# Customers who did nothing are no group by use.
_FIXED = {"no use": MUTED}


def shares(overview: Table) -> Picture:
    """Draw each segment's share of customers and of revenue as dots on one line, with their gap between them.

    Args:
        overview: Columns segment, share and value_share.
    """
    rows = overview.frame.to_dict("records")

    def draw(width: float) -> Figure:
        figure, axes = style.new_figure(0.9 + 0.33 * len(rows), width=width)
        for place, row in enumerate(rows):
            a, b = float(row["share"]), float(row["value_share"])
            color = style.PALETTE[2 if b >= a else 4]
            axes.plot([a, b], [place, place], color=color, lw=3, alpha=0.55)
            axes.plot(a, place, "o", ms=8, mfc="white", mec=MUTED, mew=1.6)
            axes.plot(b, place, "o", ms=8, color=color)
        _label_rows(axes, overview.frame["segment"], 28)
        axes.set_xlim(left=0)
        style.unit_axis(axes.xaxis, "percent")
        return figure

    top = max(rows, key=lambda row: row["value_share"])
    title = say("The segment “{name}” brings the most revenue", name=top["segment"])
    said = (f"{r['segment']} {fmt.percent(r['share'])} and {fmt.percent(r['value_share'])}" for r in rows)
    alt = f"Share of customers and of revenue by segment: {fmt.join(said)}"
    return Picture(draw, title, alt, overview, "Hollow: share of customers, filled: share of revenue")


def evidence(groups: Any) -> Picture:
    """Draw the prediction strength of each family and number of groups, and what one cloud would give."""
    from tenure.stats.clusters import STRENGTH

    table = groups.evidence.frame
    if table.empty:
        return Picture.nothing(groups.reason)
    families = sorted(table["family"].unique())
    chosen = style.colors(families)

    def draw(width: float) -> Figure:
        figure, axes = style.new_figure(3.1, width=width)
        ends = []
        for name in families:
            part, color = table[table["family"] == name], chosen[name]
            spread = part["standard_error"]
            axes.errorbar(part["k"], part["strength"], yerr=spread, color=color, lw=2, marker="o", ms=5)
            axes.plot(part["k"], part["cloud"], color=color, lw=1.2, ls=(0, (2, 2)), alpha=0.75)
            ends.append((name, float(part["k"].iloc[-1]), float(part["strength"].iloc[-1]), color))
        axes.axhline(STRENGTH, color=MUTED, lw=1, ls=(0, (4, 3)))
        words = f"asked for: {fmt.value(STRENGTH, 'number')}"
        style.note(axes, words, (1, STRENGTH), (0, 3), "yaxis", ha="right")
        if groups.k > 1:
            row = table[(table["family"] == groups.family) & (table["k"] == groups.k)]
            place = (float(groups.k), float(row["strength"].iloc[0]))
            axes.plot(*place, "o", ms=13, mfc="none", mec=INK, mew=1.6)
            words = f"chosen: {fmt.value(groups.k, 'count')}"
            style.note(axes, words, place, (0, 10), color=INK, weight="bold")
        axes.set_ylim(0, 1.12)
        axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
        axes.set_xticks(sorted(int(number) for number in table["k"].unique()))
        axes.set_xlim(int(table["k"].min()) - 0.3, int(table["k"].max()) + 0.3)
        axes.set_xlabel("Number of groups")
        axes.grid(axis="x", visible=False)
        style.label_ends(axes, ends)
        return figure

    title = say("The most groups that are surely found again: {k}", k=groups.k)
    if groups.k < 2:
        title = say("No number of groups is surely found again")
    said = "; ".join(
        f"{row.family} {row.k}: {fmt.value(row.strength, 'number')}" for row in table.itertuples()
    )
    return Picture(
        draw,
        title,
        f"Prediction strength by family and number of groups: {said}",
        Table(table.rename(columns={"k": "groups", "cloud": "in one cloud"})),
        "How surely each number of groups is found again; dotted: in one cloud without groups",
    )


def traits(effects: pd.DataFrame, labels: Mapping[str, tuple[str, str]]) -> Picture:
    """Draw what sets each segment apart: its strongest features by Hedges' g.

    Args:
        effects: As from `tenure.models.segments.effects`, the segments in their order.
        labels: The columns that hold shares, with their kind and level.
    """
    if effects.empty:
        return Picture.nothing("There are no groups by use, so nothing sets them apart.")
    profile = worded(effects, labels)
    grid = profile.pivot_table(index="trait", columns="segment", values="g")
    strongest = grid.abs().max(axis=1).sort_values(ascending=False).index[:16]
    grid = grid.loc[strongest, list(dict.fromkeys(profile["segment"]))]
    top = profile.dropna(subset=["g"]).sort_values("g").groupby("segment").tail(2)
    said = fmt.join(
        f"{row.segment}: {row.trait} {fmt.value(row.g, 'score', signed=True)}" for row in top.itertuples()
    )
    return Picture(
        lambda width: _heatmap(grid, "score", width),
        say("What sets the groups apart"),
        f"Differences of each group from the others, the largest: {said}",
        Table(profile[["segment", "trait", "inside", "outside", "g", "g_low", "g_high", "n"]]),
        "Difference from everybody else in standard deviations (Hedges' g)",
    )


def answers(classes: Any) -> Picture:
    """Draw what each class says: its chance to agree with a statement, or to give an answer."""
    if not classes.structure:
        return Picture.nothing(classes.reason)
    said = classes.profile.frame[classes.profile.frame["answer"] != "does not agree"]
    item = said["question"].where(said["answer"] == "agrees", said["question"] + ": " + said["answer"])
    said = said.assign(item=item.str.replace("_", " "))
    order = classes.classes.frame
    grid = said.pivot_table(index="item", columns="segment", values="chance")[order["segment"]]
    sizes = fmt.join(f"{row.segment} ({fmt.percent(row.share)} of customers)" for row in order.itertuples())
    return Picture(
        lambda width: _heatmap(grid, "percent", width),
        say("What each class says"),
        f"Chances of answers by class: {sizes}",
        Table(said[["item", "segment", "chance", "base"]], classes.profile.units),
        "Chance to agree with a statement, or to give an answer",
    )


def _heatmap(grid: pd.DataFrame, unit: str, width: float) -> Figure:
    """Colored cells with numbers in them: scores both ways from zero, shares from light to dark."""
    import numpy as np
    from matplotlib.colors import LinearSegmentedColormap

    values, both = grid.to_numpy(dtype=float), unit == "score"
    rows, columns = values.shape
    most = max(float(np.nanmax(np.abs(values), initial=0.0)), 1e-9)
    # Beyond three standard deviations more color would only pale the rest.
    high = min(most, 3.0) if both else most
    low = -high if both else 0.0
    tints = ["#B35900", "#F3DEC4", "#FFFFFF", "#DCC9E8"] if both else ["#FBF8FD", "#C9A6DD"]
    shades = LinearSegmentedColormap.from_list("segments", [*tints, style.PALETTE[0]])
    heads = [textwrap.wrap(str(name), max(8, 64 // columns)) or [""] for name in grid.columns]
    figure, axes = style.new_figure(0.4 + 0.17 * max(map(len, heads)) + 0.29 * rows, width=width)
    cells = np.ma.masked_invalid(values)
    axes.pcolormesh(cells, cmap=shades, vmin=low, vmax=high, edgecolors="white", linewidth=2)
    words = [fmt.column(row, unit) for row in values.tolist()]
    for row, column in zip(*np.nonzero(np.isfinite(values)), strict=True):
        value = values[row, column]
        color = style.ink_on(shades((value - low) / (high - low))[:3])
        label = ("+" if both and value > 0 else "") + words[row][column]
        axes.text(column + 0.5, row + 0.5, label, ha="center", va="center", size=9.5, color=color)
    axes.set_ylim(rows, 0)
    axes.set_yticks([row + 0.5 for row in range(rows)], [style.shorten(name, 34) for name in grid.index])
    axes.set_xticks([column + 0.5 for column in range(columns)], ["\n".join(head) for head in heads])
    axes.xaxis.tick_top()
    axes.tick_params(axis="both", length=0, labelcolor=INK)
    axes.grid(False)
    axes.spines["bottom"].set_visible(False)
    return figure


def unusual(found: Any) -> Picture:
    """Draw the kinds of customers that are clearly more or less common in a segment than among all."""
    clear = found.clear.head(14).sort_values(["segment", "ratio"], ascending=[True, False])
    if not len(found.table):
        return Picture.nothing("The customers table has no characteristic to describe segments by.")
    if clear.empty:
        return Picture.nothing(
            "No kind of customer is clearly more or less common in a segment than among all."
        )
    kind = clear["characteristic"].str.replace("_", " ") + ": " + clear["level"].astype(str)
    drawn = charts.forest(
        clear.assign(section=clear["segment"], label=kind),
        title=say("Who is more, and who is less common in a segment"),
        subtitle="Share inside the segment over the share among all (line: 95% interval)",
        less="less common",
        more="more common",
    )
    return replace(drawn, data=found.table)


def lorenz(spread: Any) -> Picture:
    """Draw how revenue is spread over customers, the smallest first."""
    people, value = (spread.curve.frame[name] for name in ("customers", "value"))
    top = spread.top.value

    def draw(width: float) -> Figure:
        figure, axes = style.new_figure(3.3, width=width)
        axes.plot([0, 1], [0, 1], color=MUTED, lw=1.1, ls=(0, (4, 3)))
        axes.fill_between(people, value, people, color=style.PALETTE[0], alpha=0.1, lw=0)
        axes.plot(people, value, color=style.PALETTE[0])
        color = style.PALETTE[4]
        axes.plot([0.9, 0.9], [1 - top, 1], color=color, lw=3, solid_capstyle="butt")
        words, place = f"top tenth: {fmt.percent(top)}", (0.9, 1 - top / 2)
        style.note(axes, words, place, (-8, 0), ha="right", va="center", color=color, weight="bold")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.02)
        for axis in (axes.xaxis, axes.yaxis):
            style.unit_axis(axis, "percent")
        axes.set_xlabel("Share of customers, from those who pay least")
        return figure

    words = {"top": fmt.percent(top), "gini": fmt.value(spread.gini.value, "number")}
    return Picture(
        draw,
        say("The tenth of customers who pay most bring {top} of the revenue", **words),
        say("Lorenz curve: the top tenth of customers pay {top}, Gini coefficient {gini}", **words),
        spread.curve,
        "Share of revenue that the customers who pay least bring; straight: all pay alike",
    )


def values(worth: Any, horizon: int) -> Picture:
    """Draw what each segment pays, how it stays and what it is worth, side by side, each on its own scale.

    Args:
        worth: What each segment pays and is worth; columns of which nothing is known are left out.
        horizon: Months that the worth counts.
    """
    table, units = worth.table.frame, worth.table.units
    names = {
        "value_share": "Share of revenue",
        "arpa": "Pay a month",
        "churn": "Leave a month",
        "retained": f"Revenue kept in {worth.months} months",
        "worth": f"Worth over {horizon} months",
        "active_days": "Active days a month",
    }
    shown = [column for column in names if table[column].notna().any()]
    if len(table) < 2 or not shown:
        return Picture.nothing("There is one segment only, so segments cannot be compared.")
    rows = table.to_dict("records")
    chosen = style.colors(table["segment"], _FIXED)

    def draw(width: float) -> Figure:
        down, across = math.ceil(len(shown) / 2), min(2, len(shown))
        height = 0.2 + down * (0.55 + 0.27 * len(rows))
        figure, grid = style.new_figure(height, down, across, width=width, sharey=True, squeeze=False)
        for axes, column in zip(grid.flat, shown, strict=False):
            for at, row in enumerate(rows):
                value, low, high = (row[f"{column}{end}"] for end in ("", "_low", "_high"))
                color = chosen[str(row["segment"])]
                if not (fmt.missing(low) or fmt.missing(high)):
                    axes.plot([low, high], [at, at], color=color, lw=2.4, alpha=0.75)
                axes.plot(value, at, "o", ms=6.5, color=color)
            average = worth.averages.get(column)
            if not fmt.missing(average):
                axes.axvline(average, color=INK, lw=1, ls=(0, (3, 2)), zorder=0.6)
            axes.set_title(names[column], loc="left", size=10, weight="bold", pad=4)
            _label_rows(axes, table["segment"], 24)
            axes.margins(x=0.12)
            style.unit_axis(axes.xaxis, units[column], 3)
        for axes in grid.flat[len(shown) :]:
            axes.set_visible(False)
        engine: Any = figure.get_layout_engine()
        engine.set(h_pad=0.09, w_pad=0.05)
        return figure

    said = fmt.join(
        f"{row['segment']}: {fmt.value(row['arpa'], units['arpa'])} a month, "
        f"{fmt.percent(row['churn'])} leave a month"
        for row in rows
    )
    data = Table(table.rename(columns={"value_minor": "MRR"}), {**units, "MRR": units["value_minor"]})
    subtitle, p = "Dots with 95% intervals; dashed: all customers", worth.same_churn
    if not fmt.missing(p):
        differ, alike = (
            "segments leave at different rates ({p})",
            "segments leave at about the same rate ({p})",
        )
        subtitle = style.also(subtitle, say(differ if p < 0.05 else alike, p=fmt.p_value(p)))
    title = say("What each segment pays, and how it stays")
    return Picture(draw, title, f"By segment: {said}", data, subtitle)


def moves(moved: Any, before: dt.date, after: dt.date) -> Picture:
    """Draw who moved from which segment to which between two days, as bands between two columns."""
    if not moved.stayed.known:
        return Picture.nothing("Whether anybody moved is not known: there is no earlier day to compare with.")
    matrix = moved.matrix
    sizes = {(a, b): int(n) for a, row in matrix.iterrows() for b, n in row.items() if n > 0}
    names = [name for name in dict.fromkeys([*matrix.index, *matrix.columns]) if name != moved.left] + [
        moved.left
    ]
    chosen = style.colors(names, {**_FIXED, moved.left: GREY})
    totals = [matrix.sum(axis=1).to_dict(), matrix.sum(axis=0).to_dict()]
    stacks = [_stack(names, side, 0.025 * sum(sizes.values())) for side in totals]
    height = max(top for stack in stacks for _, top in stack.values())

    def draw(width: float) -> Figure:
        figure, axes = style.new_figure(max(3.2, 0.7 + 0.42 * len(names)), width=width)
        _bands(axes, sizes, names, stacks, chosen)
        for side, (x, ha) in enumerate(((0.0, "right"), (1.0, "left"))):
            there = [name for name in names if totals[side].get(name, 0) > 0]
            for name in there:
                low, high = stacks[side][name]
                axes.bar(x + (0.015 if side == 0 else -0.015), high - low, 0.03, low, color=chosen[name])
            places = style.spread([sum(stacks[side][n]) / 2 for n in there], height * 0.062, 0, height)
            for name, place in zip(there, places, strict=True):
                words = f"{style.shorten(name, 26)}  {fmt.value(totals[side][name], 'count')}"
                color, shift = style.on_white(chosen[name]), (-5 if side == 0 else 5, 0)
                style.note(axes, words, (x, place), shift, ha=ha, va="center", color=color, weight="bold")
        axes.set_xlim(0, 1)
        axes.set_ylim(height * 1.02, -height * 0.09)
        style.note(axes, fmt.date(before), (0, 1), (0, -2), "xaxis", ha="left", va="top", size=10)
        style.note(axes, fmt.date(after), (1, 1), (0, -2), "xaxis", ha="right", va="top", size=10)
        axes.axis("off")
        return figure

    most = moved.gains.frame.nlargest(5, "customers")
    said = fmt.join(
        f"“{row.before}” to “{row.after}” {fmt.value(row.customers, 'count')}" for row in most.itertuples()
    )
    return Picture(
        draw,
        say("Where the customers of each segment went"),
        f"Customers who moved between segments, the most: {said}",
        Table(matrix.reset_index()),
        "Each band is as thick as the number of customers who went that way",
    )


def _label_rows(axes: Axes, names: Iterable[Any], width: int) -> None:
    """Rows from top to bottom, named at the left."""
    labels = [style.shorten(name, width) for name in names]
    axes.set_ylim(len(labels) - 0.5, -0.6)
    axes.set_yticks(range(len(labels)), labels)
    axes.tick_params(axis="y", labelcolor=INK)
    axes.grid(axis="y", visible=False)


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
        places[name] = (at, at + sizes.get(name, 0))
        at += sizes.get(name, 0) + (gap if sizes.get(name, 0) > 0 else 0.0)
    return places
