"""A figure with all that a page needs to show it: its words, its data, and how it is drawn."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tenure.errors import InputError
from tenure.report import format as fmt
from tenure.report import style
from tenure.report.tables import table_of
from tenure.report.words import word
from tenure.result import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# A figure of too many marks is a picture this many CSS pixels wide.
FIGURE_WIDTH = 720


@dataclass(frozen=True, eq=False)
class Picture:
    """What a figure function returns; :func:`tenure.report.figure` shows it.

    Attributes:
        draw: Draws it, given a width in inches, `style.NARROW` for phones: without title and subtitle, which
            are text of the page. None: there is nothing to draw.
        title: The takeaway, as a statement.
        alt: What a reader would see in it: the kind of figure, what it shows and the main reading.
        data: What it was drawn from.
        subtitle: What is measured.
        empty: The sentence to show instead where there is nothing to draw.
        notes: What the numbers in the figure's circles stand for, from 1 on.

    Raises:
        InputError: It has no title, no alternative text or, without anything to draw, no sentence.

    Example:
        >>> Picture.nothing("No cohort is old enough.").empty
        'No cohort is old enough.'
    """

    draw: Callable[[float], Figure] | None
    title: str
    alt: str
    data: Table
    subtitle: str = ""
    empty: str = ""
    notes: Sequence[str] = ()

    def __post_init__(self) -> None:
        if self.draw is None:
            needed = {"sentence to explain why it is empty": self.empty}
        else:
            needed = {"title": self.title, "alternative text": self.alt}
        for name, words in needed.items():
            if not words.strip():
                raise InputError(f"The figure {self.title!r} has no {name}.")

    @classmethod
    def nothing(cls, sentence: str) -> Picture:
        """Return a picture of nothing: the page shows the sentence instead."""
        import pandas as pd

        return cls(None, "", "", Table(pd.DataFrame()), empty=sentence)

    def drawn(self, width: float = style.WIDTH) -> Figure:
        """Draw it that many inches wide, in the theme of the house.

        Raises:
            InputError: There is nothing to draw.
        """
        if self.draw is None:
            raise InputError(f"There is nothing to draw: {self.empty}")
        with style.theme():
            figure: Any = self.draw(width)
            if engine := figure.get_layout_engine():
                # Laid out once, so that saving it does not measure every text again.
                engine.execute(figure)
                style.thin(figure)
                engine.execute(figure)
                figure.set_layout_engine("none")
        return figure


def drawn_from(result: Any, figure: str, name: str, *columns: str) -> Table:
    """Return the table that a figure is drawn from, with the ends of an interval named after its middle.

    Args:
        result: A table, a result that has one, or a frame.
        figure: What the figure is called.
        name: The column of what is drawn; its interval is in `{name}_low` and `{name}_high`, or in `low` and
            `high`.
        *columns: Further columns that are needed.

    Raises:
        InputError: A column is absent, or there are no rows.
    """
    table = table_of(result)
    for column in (*columns, name):
        if column not in table.frame.columns:
            have = ", ".join(map(str, table.frame.columns))
            raise InputError(f"The figure {figure} needs the column {column}; the table has {have}.")
    if len(table) == 0:
        raise InputError(f"The figure {figure} has nothing to draw: its table has no rows.")
    ends = {end: f"{name}_{end}" for end in ("low", "high") if f"{name}_{end}" not in table.frame.columns}
    return replace(table, frame=table.frame.rename(columns=ends))


def listed(values: Iterable[tuple[Any, Any]], unit: str, most: int = 6) -> str:
    """Say names with their values, in their order; of many only the first and the last.

    Example:
        >>> listed([("Basic", 0.05), ("Pro", 0.031)], "percent")
        'Basic 5.0% and Pro 3.1%'
    """
    pairs = list(values)
    numbers = fmt.column([value for _, value in pairs], unit)
    said = [f"{word(name)} {number}".strip() for (name, _), number in zip(pairs, numbers, strict=True)]
    return fmt.join(said) if len(said) <= most else f"{', '.join(said[:3])} … {', '.join(said[-3:])}"


def drawing(picture: Picture, alt: str) -> str:
    """Return what a page shows of a picture: a drawing for the page and one for phones, or one of dots."""
    from tenure.report.svg import to_svg

    drawn = [to_svg(picture.drawn(width), kind) for width, kind in ((style.WIDTH, "w"), (style.NARROW, "n"))]
    said = html.escape(alt, quote=True)
    if all(drawn):
        return f'<div class="plate" role="img" aria-label="{said}">{"".join(drawn)}</div>'
    dots, width, height = png(picture.drawn())
    size = f'width="{width}" height="{height}"'
    return f'<div class="plate dots"><img src="data:image/png;base64,{dots}" alt="{said}" {size}></div>'


def png(figure: Figure) -> tuple[str, int, int]:
    """Return the figure as a PNG in base 64, with its size in CSS pixels."""
    raw = io.BytesIO()
    wide, high = figure.get_size_inches()
    with style.theme():
        figure.savefig(raw, format="png", dpi=2 * FIGURE_WIDTH / wide, metadata={"Software": None})
    return base64.b64encode(raw.getvalue()).decode("ascii"), FIGURE_WIDTH, round(FIGURE_WIDTH * high / wide)
