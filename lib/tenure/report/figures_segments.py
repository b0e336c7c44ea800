"""Figures of segments: evidence, profiles, concentration, values, moves. Each draws what a model returned."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tenure.report import charts, style
from tenure.report import format as fmt
from tenure.report.cards import worded
from tenure.report.palette import GREY, INK, MUTED, PALETTE, readable
from tenure.report.picture import Picture, listed
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
    """Draw each segment's share of customers and of revenue: segment, share and value_share of a table."""
    names, share, revenue = (overview.frame[name] for name in ("segment", "share", "value_share"))
    hues = [PALETTE[2 if more else 4] for more in revenue >= share]

    def draw(width: float) -> Figure:
        figure, axes = style.row_figure(list(names), width=width, more=0.6)
        axes.hlines(range(len(names)), share, revenue, colors=hues, lw=3, alpha=0.55)
        axes.scatter(share, range(len(names)), s=64, c="white", edgecolors=MUTED, lw=1.6, zorder=3)
        axes.scatter(revenue, range(len(names)), s=64, c=hues, zorder=3)
        told = {"share": (say("customers"), "percent"), "value_share": (say("revenue"), "percent")}
        style.tips(axes, overview.frame, "", told, list(names))
        axes.set_xlim(left=0)
        style.unit_axis(axes.xaxis, "percent")
        more, less = say("pay more than their share"), say("pay less")
        style.key(figure, [(more, PALETTE[2]), (less, PALETTE[4])])
        return figure

    most = int(revenue.argmax())
    words = {"name": names.iloc[most], "part": (revenue.iloc[most], "percent")}
    title = say("The segment “{name}” brings the most revenue, {part}", **words)
    both = zip(names, share, revenue, strict=True)
    said = fmt.join(f"{name} {fmt.percent(a)} / {fmt.percent(b)}" for name, a, b in both)
    alt = say("Share of customers and of revenue by segment: {said}", said=said)
    return Picture(draw, title, alt, overview, say("Hollow: share of customers, filled: share of revenue"))


def evidence(groups: Any) -> Picture:
    """Draw the prediction strength of each family and number of groups, and what one cloud would give."""
    from tenure.stats.clusters import STRENGTH

    table = groups.evidence.frame
    if table.empty:
        return Picture.nothing(groups.reason)
    chosen = style.colors(table["family"])

    def draw(width: float) -> Figure:
        figure, axes = style.new_figure(3.1, width=width)
        ends = style.lines(axes, table, "k", "strength", chosen, by="family")
        for name, color in chosen.items():
            part = table[table["family"] == name]
            spread = part["standard_error"]
            axes.errorbar(part["k"], part["strength"], spread, color=color, fmt="o", ms=5, elinewidth=2)
            axes.plot(part["k"], part["cloud"], color=color, lw=1.2, ls=(0, (2, 2)), alpha=0.75)
        axes.axhline(STRENGTH, color=MUTED, lw=1, ls=(0, (4, 3)))
        words = say("required: {least}", least=STRENGTH)
        style.note(axes, words, (1, STRENGTH), (0, 3), "yaxis", ha="right")
        if groups.k > 1:
            row = table[(table["family"] == groups.family) & (table["k"] == groups.k)]
            place = (float(groups.k), float(row["strength"].iloc[0]))
            axes.plot(*place, "o", ms=13, mfc="none", mec=INK, mew=1.6)
            words = say("chosen: {k}", k=groups.k)
            style.note(axes, words, place, (0, 10), color=INK, weight="bold")
        axes.set_ylim(0, 1.12)
        axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
        axes.set_xticks(sorted(int(number) for number in table["k"].unique()))
        axes.set_xlim(int(table["k"].min()) - 0.3, int(table["k"].max()) + 0.3)
        axes.set_xlabel(say("Number of groups"))
        told = {"strength": ("", "number")}
        style.tips(axes, table, "k", told, lambda k: say("{k:group}", k=int(k)), by="family")
        axes.grid(axis="x", visible=False)
        style.label_ends(axes, ends)
        return figure

    title = say("The most groups that are reliably found again: {k}", k=groups.k)
    if groups.k < 2:
        title = say("No number of groups is reliably found again")
    strengths = [(f"{row.family} {row.k}", row.strength) for row in table.itertuples()]
    return Picture(
        draw,
        title,
        say(
            "Prediction strength by family and number of groups: {said}", said=listed(strengths, "number", 99)
        ),
        Table(table.rename(columns={"k": "groups", "cloud": "in one cloud"})),
        say("How reliably each number of groups is found again; dotted: in one cloud without groups"),
    )


def traits(effects: pd.DataFrame, labels: Mapping[str, tuple[str, str]]) -> Picture:
    """Draw what sets each segment apart: its strongest features by Hedges' g.

    Args:
        effects: As from `tenure.models.segments.effects`, the segments in their order.
        labels: The columns that hold shares, with their kind and level.
    """
    if effects.empty or effects["g"].isna().all():
        return Picture.nothing(say("There are no groups by use, so nothing sets them apart."))
    profile = worded(effects, labels)
    grid = profile.pivot_table(index="trait", columns="segment", values="g")
    strongest = grid.abs().max(axis=1).sort_values(ascending=False).index[:16]
    grid = grid.loc[strongest, list(dict.fromkeys(profile["segment"]))]
    ranked = profile.dropna(subset=["g"]).sort_values("g")
    top, first = ranked.groupby("segment").tail(2), ranked.iloc[-1]
    words = {"segment": first["segment"], "trait": first["trait"], "g": (first["g"], "number")}
    said = fmt.join(
        f"{row.segment}: {row.trait} {fmt.value(row.g, 'score', signed=True)}" for row in top.itertuples()
    )
    return Picture(
        lambda width: _heatmap(grid, "score", width),
        say("“{segment}” stands out most, by {trait}: {g} standard deviations above the others", **words),
        say("Differences of each group from the others, the largest: {said}", said=said),
        Table(profile[["segment", "trait", "inside", "outside", "g", "g_low", "g_high", "n"]]),
        say("Difference from everybody else in standard deviations (Hedges' g)"),
    )


def answers(classes: Any) -> Picture:
    """Draw what each class answers: its chance of agreeing with a statement, or of giving an answer."""
    if not classes.structure:
        return Picture.nothing(classes.reason)
    said = classes.profile.frame[classes.profile.frame["answer"] != "does not agree"]
    item = said["question"].where(said["answer"] == "agrees", said["question"] + ": " + said["answer"])
    said = said.assign(item=item.str.replace("_", " "))
    order = classes.classes.frame
    grid = said.pivot_table(index="item", columns="segment", values="chance")[order["segment"]]
    far = grid.loc[(grid.max(axis=1) - grid.min(axis=1)).idxmax()]
    words = {"item": far.name, "high": (far.max(), "percent"), "most": far.idxmax()}
    words |= {"low": (far.min(), "percent"), "least": far.idxmin()}
    sizes = fmt.join(f"{row.segment} ({fmt.percent(row.share)})" for row in order.itertuples())
    return Picture(
        lambda width: _heatmap(grid, "percent", width),
        say("They differ most in “{item}”: {high} of “{most}”, {low} of “{least}”", **words),
        say("Chances of answers by class, of so many customers: {sizes}", sizes=sizes),
        Table(said[["item", "segment", "chance", "base"]], classes.profile.units),
        say("Chance of agreeing with a statement, or of giving an answer"),
    )


def _heatmap(grid: pd.DataFrame, unit: str, width: float) -> Figure:
    """Colored cells with numbers in them: scores both ways from zero, shares from light to dark."""
    import numpy as np

    values, both = grid.to_numpy(dtype=float), unit == "score"
    rows, columns = values.shape
    most = max(float(np.nanmax(np.abs(values), initial=0.0)), 1e-9)
    # Beyond three standard deviations more color would only pale the rest.
    high = min(most, 3.0) if both else most
    above = style.is_narrow(width)
    room = max(8, (56 if above else 64) // columns)
    heads = [textwrap.wrap(str(name), room) or [""] for name in grid.columns]
    height = 0.4 + 0.17 * max(map(len, heads)) + (0.5 if above else 0.29) * rows
    figure, axes = style.new_figure(height, width=width)
    words = [
        [
            f"+{word}" if both and value > 0 else word
            for word, value in zip(fmt.column(row, unit), row, strict=True)
        ]
        for row in values.tolist()
    ]
    if above:  # between the rows there is one for the name of the next
        blank = [np.full(columns, np.nan)] * rows
        values = np.stack([line for pair in zip(blank, values, strict=True) for line in pair])
        words = [line for pair in zip([[""] * columns] * rows, words, strict=True) for line in pair]
    style.cells(axes, values, words, "d" if both else "h", -high if both else 0.0, high)
    names = [] if above else [style.shorten(name, 34) for name in grid.index]
    axes.set_yticks([row + 0.5 for row in range(len(names))], names)
    for row, name in enumerate(grid.index if above else []):
        look: dict[str, Any] = {"ha": "left", "va": "center", "color": INK, "size": 10}
        style.note(axes, style.shorten(name, 40), (0, 2 * row + 0.55), (0, 0), "yaxis", **look)
    axes.set_xticks([column + 0.5 for column in range(columns)], ["\n".join(head) for head in heads])
    axes.tick_params(axis="both", labelcolor=INK, labelsize=9 if above else 10)
    return figure


def unusual(found: Any) -> Picture:
    """Draw the kinds of customers that are clearly more or less common in a segment than among all."""
    clear = found.clear.head(14).sort_values(["segment", "ratio"], ascending=[True, False])
    if not len(found.table):
        return Picture.nothing(say("The customers table has no characteristic to describe segments by."))
    if clear.empty:
        return Picture.nothing(
            say("No kind of customer is clearly more or less common in a segment than among all.")
        )
    kind = clear["characteristic"].str.replace("_", " ") + ": " + clear["level"].astype(str)
    far = clear["ratio"].map(lambda ratio: abs(math.log(max(ratio, 1e-9)))).idxmax()
    words = {"kind": kind[far], "segment": clear["segment"][far], "ratio": (clear["ratio"][far], "ratio")}
    drawn = charts.forest(
        clear.assign(section=clear["segment"], label=kind),
        title=say("“{segment}” differs most by {kind}, {ratio} as common there as among all", **words),
        subtitle=say("Share inside the segment over the share among all (line: 95% interval)"),
        less=say("less common"),
        more=say("more common"),
    )
    return replace(drawn, data=found.table)


def lorenz(spread: Any) -> Picture:
    """Draw how revenue is spread over customers, the smallest first."""
    people, value = (spread.curve.frame[name] for name in ("customers", "value"))
    top = spread.top.value

    def draw(width: float) -> Figure:
        figure, axes = style.new_figure(3.3, width=width)
        axes.plot([0, 1], [0, 1], color=MUTED, lw=1.1, ls=(0, (4, 3)))
        axes.fill_between(people, value, people, color=PALETTE[0], alpha=0.1, lw=0)
        axes.plot(people, value, color=PALETTE[0])
        color = PALETTE[4]
        axes.plot([0.9, 0.9], [1 - top, 1], color=color, lw=3, solid_capstyle="butt")
        words, place = say("top tenth: {top}", top=(top, "percent")), (0.9, 1 - top / 2)
        style.note(axes, words, place, (-8, 0), ha="right", va="center", color=color, weight="bold")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.02)
        for axis in (axes.xaxis, axes.yaxis):
            style.unit_axis(axis, "percent")
        axes.set_xlabel(say("Share of customers, from those who pay least"))
        share = {"value": ("", "percent")}
        told = spread.curve.frame.iloc[:: max(1, len(people) // 20)]
        style.tips(axes, told, "customers", share, lambda part: say("{part} pay", part=fmt.percent(part)))
        return figure

    words = {"top": fmt.percent(top), "gini": fmt.value(spread.gini.value, "number")}
    return Picture(
        draw,
        say("The tenth of customers who pay most bring {top} of the revenue", **words),
        say("Lorenz curve: the top tenth of customers pay {top}, Gini coefficient {gini}", **words),
        spread.curve,
        say("Share of revenue that the customers who pay least bring; straight: all pay alike"),
    )


def values(worth: Any, horizon: int) -> Picture:
    """Draw what each segment pays, how it stays and what it is worth, each on a scale of its own.

    Args:
        worth: As from `tenure.models.composition.segment_values`; columns without a value are left out.
        horizon: Months that the worth counts.
    """
    table, units = worth.table.frame, worth.table.units
    names = {
        "value_share": say("Share of revenue"),
        "arpa": say("Pay per month"),
        "churn": say("Leave per month"),
        "retained": say("Revenue kept in {n:month}", n=worth.months),
        "worth": say("Worth over {n:month}", n=horizon),
        "active_days": say("Active days per month"),
    }
    shown = [column for column in names if table[column].notna().any()]
    if len(table) < 2 or not shown:
        return Picture.nothing(say("There is one segment only, so segments cannot be compared."))
    rows = table.to_dict("records")
    chosen = style.colors(table["segment"], _FIXED)

    def draw(width: float) -> Figure:
        across = 1 if style.is_narrow(width) else min(2, len(shown))
        down = math.ceil(len(shown) / across)
        height = 0.2 + down * (0.55 + 0.28 * len(rows))
        figure, grid = style.new_figure(height, down, across, width=width, sharey=True, squeeze=False)
        for axes, column in zip(grid.flat, shown, strict=False):
            places, hues = range(len(rows)), [chosen[str(name)] for name in table["segment"]]
            ends = table[f"{column}_low"], table[f"{column}_high"]
            axes.hlines(places, *ends, colors=hues, lw=2.4, alpha=0.75)
            axes.scatter(table[column], places, s=42, c=hues, zorder=3)
            average = worth.averages.get(column)
            if not fmt.missing(average):
                axes.axvline(average, color=INK, lw=1, ls=(0, (3, 2)), zorder=0.6)
            axes.set_title(names[column], loc="left", size=10, weight="bold", pad=4)
            style.name_rows(axes, [style.shorten(name, 24) for name in table["segment"]])
            told = {column: (names[column], units[column])}
            style.tips(axes, table, "", told, list(table["segment"]))
            axes.margins(x=0.12)
            style.unit_axis(axes.xaxis, units[column], 3)
        for axes in grid.flat[len(shown) :]:
            axes.set_visible(False)
        engine: Any = figure.get_layout_engine()
        engine.set(h_pad=0.09, w_pad=0.05)
        return figure

    said = fmt.join(
        f"{row['segment']} {fmt.value(row['arpa'], units['arpa'])} / {fmt.percent(row['churn'])}"
        for row in rows
    )
    data = Table(table.rename(columns={"value_minor": "MRR"}), {**units, "MRR": units["value_minor"]})
    subtitle, p = say("Dots with 95% intervals; dashed: all customers"), worth.same_churn
    if not fmt.missing(p):
        rates = "segments leave at about the same rate ({p})"
        if p < 0.05:
            rates = "segments leave at different rates ({p})"
        subtitle = style.also(subtitle, say(rates, p=fmt.p_value(p)))
    title = say("Segments leave at about the same rate")
    if fmt.missing(p):
        top = max(rows, key=lambda row: row["arpa"])
        words = {"name": top["segment"], "paid": (top["arpa"], units["arpa"])}
        title = say("“{name}” pays most, {paid} per month", **words)
    elif p < 0.05:
        leaving = sorted((row for row in rows if not fmt.missing(row["churn"])), key=lambda row: row["churn"])
        slow, fast = leaving[0], leaving[-1]
        words = {"slow": slow["segment"], "few": (slow["churn"], "percent")}
        words |= {"fast": fast["segment"], "many": (fast["churn"], "percent")}
        title = say("“{slow}” leaves most slowly, {few} a month, and “{fast}” fastest, {many}", **words)
    alt = say("What customers pay per month, and the share who leave, by segment: {said}", said=said)
    return Picture(draw, title, alt, data, subtitle)


def moves(moved: Any, before: dt.date, after: dt.date) -> Picture:
    """Draw who moved from which segment to which between two days, as bands between two columns."""
    import pandas as pd

    if not moved.stayed.known:
        return Picture.nothing(
            say("Whether anybody moved is not known: there is no earlier day to compare with.")
        )
    if moved.matrix.empty:
        return Picture.nothing(say("Too few customers took the same way for it to be shown."))
    matrix = moved.matrix
    names = [name for name in dict.fromkeys([*matrix.index, *matrix.columns]) if name != moved.left]
    names.append(moved.left)
    chosen = style.colors(names, {**_FIXED, moved.left: GREY})
    sizes = matrix.reindex(index=names, columns=names, fill_value=0)
    totals = [sizes.sum(axis=1), sizes.sum()]
    stacks = [_stack(side, 0.025 * float(side.sum())) for side in totals]
    height = max(top for stack in stacks for _, top in stack.values())

    def draw(width: float) -> Figure:
        if style.is_narrow(width):
            told = [{"label": words, "value": float(number)} for words, number in went]
            return charts.bars_with_intervals(Table(pd.DataFrame(told), {"value": "count"})).drawn(width)
        figure, axes = style.new_figure(max(3.4, 0.9 + 0.42 * len(names)), width=width)
        _bands(axes, sizes, stacks, chosen)
        for stack, side, x, inwards, ha in zip(
            stacks, totals, (0, 1), (1, -1), ("right", "left"), strict=True
        ):
            for name, (low, high) in stack.items():
                axes.bar(x + 0.015 * inwards, high - low, 0.03, low, color=chosen[name])
            places = style.spread([sum(ends) / 2 for ends in stack.values()], height * 0.062, 0, height)
            for name, place in zip(stack, places, strict=True):
                words = f"{style.shorten(name, 24)}  {fmt.value(side[name], 'count')}"
                color, shift = readable(chosen[name]), (-5 * inwards, 0)
                style.note(axes, words, (x, place), shift, ha=ha, va="center", color=color, weight="bold")
        axes.set_xlim(0, 1)
        axes.set_ylim(height * 1.02, -height * 0.02)
        style.note(axes, fmt.date(before), (0, 1), (-5, 3), "xaxis", ha="right", size=10)
        style.note(axes, fmt.date(after), (1, 1), (5, 3), "xaxis", ha="left", size=10)
        axes.axis("off")
        return figure

    most = moved.gains.frame.nlargest(10, "customers")
    where = "“{before}” to “{after}”"
    went = [(say(where, before=row.before, after=row.after), row.customers) for row in most.itertuples()]
    words: dict[str, Any] = {"share": moved.stayed}
    title = say("{share} are in the segment they were in", **words)
    within = [move for move in went if f"“{moved.left}”" not in move[0]]
    if within:
        words |= {"move": within[0][0], "n": int(within[0][1])}
        title = say("{share} are in the segment they were in; most moves: {move}, {n:customer}", **words)
    days = {"before": before, "after": after}
    return Picture(
        draw if went else lambda width: draw(style.WIDTH),
        title,
        say("Customers who moved between segments, the most: {said}", said=listed(went, "count")),
        Table(matrix.reset_index()),
        say("Customers who moved between segments from {before} to {after}", **days),
    )


def _bands(
    axes: Axes,
    sizes: pd.DataFrame,
    stacks: Sequence[Mapping[str, tuple[float, float]]],
    colors: Mapping[str, str],
) -> None:
    """A band for each pair of places, as thick as the number of customers, in the color it comes from."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    start, end = ({name: low for name, (low, _) in stack.items()} for stack in stacks)
    codes = [Path.MOVETO, *[Path.CURVE4] * 3, Path.LINETO, *[Path.CURVE4] * 3, Path.CLOSEPOLY]
    for name, row in sizes.iterrows():
        for other, size in row[row > 0].items():
            a, b = start[str(name)], end[str(other)]
            start[str(name)], end[str(other)] = a + size, b + size
            upper = [(0.03, a), (0.5, a), (0.5, b), (0.97, b)]
            lower = [(0.97, b + size), (0.5, b + size), (0.5, a + size), (0.03, a + size)]
            path = Path([*upper, *lower, (0.03, a)], codes)
            alpha = 0.22 if name == other else 0.5
            axes.add_patch(PathPatch(path, fc=colors[str(name)], ec="none", alpha=alpha))


def _stack(sizes: pd.Series, gap: float) -> dict[str, tuple[float, float]]:
    """Where each place with customers begins and ends, one below another."""
    places, at = {}, 0.0
    for name, size in sizes[sizes > 0].items():
        places[str(name)] = (at, at + size)
        at += size + gap
    return places
