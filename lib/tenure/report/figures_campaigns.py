"""Figures of campaigns: effects by segment, and what contacting the first of a ranking gains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tenure.report import style
from tenure.report.figures_pricing import differences
from tenure.report.palette import GREY, PALETTE
from tenure.report.picture import Picture
from tenure.report.words import say
from tenure.result import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def by_segment(effects: Table, *, left: bool = False) -> Picture:
    """Draw the shrunk effects of `campaigns.by_segment` around 0; `left`: of customers who had left."""
    titles = {
        "more": "Contacting helps those with {name} most: {size} more are kept",
        "less": "Contacting harms those with {name} most: {size} fewer are kept",
        "none": "In no segment is there a clear effect of contacting",
    }
    subtitle = say("Share kept, against those held out; shrunk towards each characteristic's mean")
    if left:
        titles = {
            "more": "{name}: asking helps most, {size} more come back",
            "less": "{name}: asking harms most, {size} fewer come back",
            "none": "In no group is there a clear effect of asking",
        }
        subtitle = say("Share who came back, against those held out; shrunk towards each mean")
    table = effects.renamed(by="attribute").pipe(lambda rows: rows[[c for c in rows if c != "interaction"]])
    return differences(table, "segment", "shrunk", titles, subtitle)


def ranked(ranking: Any, what: str) -> Picture:
    """Draw what contacting those with the highest scores gains, and what as many by chance would."""
    table, unit = ranking.curve, ranking.curve.units["gained"]
    frame = table.frame
    titles = {
        "ranks": "Contacting by score gains more than contacting by chance",
        "does not rank": "The score gains no more, for sure, than contacting by chance",
    }

    def draw(width: float) -> Figure:
        figure, axes = style.new_figure(3.1, width=width)
        style.band(axes, frame, "share", "by_chance", GREY)
        axes.plot(frame["share"], frame["by_chance"], color=GREY, lw=1.4)
        axes.plot(frame["share"], frame["gained"], color=PALETTE[0], lw=2)
        style.unit_axis(axes.xaxis, "percent")
        style.unit_axis(axes.yaxis, unit)
        style.key(figure, [(say("by score"), PALETTE[0]), (say("by chance, with its 95% range"), GREY)])
        return figure

    half = frame.iloc[(frame["share"] - 0.5).abs().to_numpy().argmin()]
    words = {name: (half[name], unit) for name in ("gained", "by_chance")}
    alt = say("Contacting half gains {gained} by score, {by_chance} by chance.", **words)
    return Picture(draw, say(titles[ranking.better.case]), alt, table, what)
