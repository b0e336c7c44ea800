"""How figures look: one theme, colors that the color-blind can tell apart, labels that do not collide."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tenure.report import format as fmt
from tenure.report.palette import (
    EDGE,
    GREY,
    GRID,
    INK,
    MUTED,
    PALETTE,
    cell_ink,
    ramp,
    readable,
    variables,
)
from tenure.report.words import translated, word

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

FIXED = {
    "other": GREY,
    "all": PALETTE[0],
    "voluntary": PALETTE[0],
    "involuntary": PALETTE[1],
    "unknown": GREY,
}
# A figure is so many inches wide on a page, and on a phone, where it is another drawing.
WIDTH, NARROW = 7.6, 4.2
# How a line goes from value to value, and where a value holds until the next.
STEPS = {False: "default", True: "steps-post"}
# matplotlib's own files, under names of ours: a machine's fonts are never looked up, so a figure that fits
# here fits everywhere. A letter that DejaVu lacks is drawn as a box that names its script; the table behind
# the figure has it right.
FONTS = {
    "Tenure": {"normal": "DejaVuSans.ttf", "bold": "DejaVuSans-Bold.ttf"},
    "Tenure boxes": {"normal": "LastResortHE-Regular.ttf", "bold": "LastResortHE-Regular.ttf"},
}


@cache
def figure_css() -> str:
    """Return the style sheet of figures."""
    rules = Path(__file__).parent / "template" / "figures.css"
    return variables() + rules.read_text(encoding="utf-8")


def font_families() -> list[str]:
    """Make the fonts that come with matplotlib known by our names; return the names in their order.

    Where a font that matplotlib has on its list is gone from the machine, it makes the list anew, without
    ours: so they are looked for each time.
    """
    import matplotlib
    from matplotlib.font_manager import fontManager, weight_dict

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    for family in set(FONTS) - {entry.name for entry in fontManager.ttflist}:
        for weight, file in FONTS[family].items():
            fontManager.addfont(folder / file)
            entry = fontManager.ttflist[-1]
            fontManager.ttflist[-1] = replace(entry, name=family, weight=weight_dict[weight])
    return list(FONTS)


@contextmanager
def theme() -> Iterator[None]:
    """Apply the look of Tenure's figures inside the block, and only there."""
    import matplotlib
    import seaborn

    sizes = ("font.size", "axes.labelsize", "axes.titlesize", "xtick.labelsize", "ytick.labelsize")
    absent = ("axes.spines.top", "axes.spines.right", "axes.spines.left", "ytick.left", "text.parse_math")
    settings: dict[Any, Any] = {
        "font.family": font_families(),
        **dict.fromkeys(sizes, 10),
        **dict.fromkeys(absent, False),
        **dict.fromkeys(("axes.axisbelow", "axes.unicode_minus", "xtick.bottom"), True),
        **dict.fromkeys(("axes.labelcolor", "xtick.labelcolor", "ytick.labelcolor"), MUTED),
        **dict.fromkeys(("axes.titlecolor", "text.color"), INK),
        **dict.fromkeys(("axes.edgecolor", "xtick.color"), EDGE),
        **dict.fromkeys(("figure.facecolor", "axes.facecolor"), "none"),
        "savefig.facecolor": "white",
        "axes.linewidth": 0.9,
        "grid.color": GRID,
        "grid.linewidth": 0.8,
        "xtick.major.size": 3,
        "lines.linewidth": 2.1,
        "lines.solid_capstyle": "round",
        # A pixel is a point, and letters have the widths that they have in every size.
        "figure.dpi": 72,
        "text.hinting": "none",
    }
    with matplotlib.rc_context(), seaborn.axes_style("whitegrid"):
        matplotlib.rcParams.update(settings)
        yield


def new_figure(
    height: float, rows: int = 1, columns: int = 1, *, width: float = WIDTH, **axes: Any
) -> tuple[Figure, Any]:
    """Make a figure that no global state knows, and its axes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    engine: Any = figure.get_layout_engine()
    engine.set(w_pad=0.04, h_pad=0.04, wspace=0.06 if columns > 1 else 0)
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, **axes)


def colors(groups: Iterable[Any], given: Mapping[str, str] | None = None) -> dict[str, str]:
    """Give each group its color: by the order of the names, so the same groups look alike in every figure.

    Example:
        >>> colors(["Plus", "Basic", "other"])
        {'Basic': '#54017E', 'Plus': '#D27D00', 'other': '#858D96'}
    """
    names = sorted({str(group) for group in groups})
    free = [name for name in names if name not in FIXED]
    chosen = {name: PALETTE[place % len(PALETTE)] for place, name in enumerate(free)}
    chosen = {name: chosen.get(name, FIXED.get(name, GREY)) for name in names}
    return {**chosen, **{str(name): color for name, color in (given or {}).items() if str(name) in chosen}}


def shorten(label: Any, width: int = 18) -> str:
    """Cut a label to a width, with an ellipsis.

    Example:
        >>> shorten("A very long name of a plan")
        'A very long name …'
    """
    text = " ".join(word(label).split())
    return text if len(text) <= width else text[: width - 1].rstrip() + " …"


def is_narrow(figure: Any) -> bool:
    """Say whether a figure, or its width in inches, is the drawing for phones."""
    width: float = figure if isinstance(figure, float | int) else figure.get_figwidth()
    return width < 5


def named(label: Any) -> str:
    """Return a label as text says it: a month such as 2026-10 by its name.

    Example:
        >>> named("2026-10"), named("Basic")
        ('Oct 2026', 'Basic')
    """
    return fmt.date(label, "month") if re.fullmatch(r"\d{4}-\d{2}", str(label)) else word(label)


def key(figure: Figure, entries: Iterable[tuple[str, str]]) -> None:
    """Write what each color stands for above the axes, in as many lines as it takes."""
    width, height = 72 * figure.get_size_inches()
    left, down = 4.0, 4.0
    for name, color in entries:
        words = "\N{EN DASH} " + shorten(name, 34)
        look: dict[str, Any] = {"size": 10, "weight": "bold", "color": readable(color), "va": "top"}
        written = figure.text(left / width, 1 - down / height, words, **look)
        wide = written.get_window_extent().width
        if left > 4 and left + wide > width:
            left, down = 4.0, down + 15
            written.set_position((left / width, 1 - down / height))
        left += wide + 13
    engine: Any = figure.get_layout_engine()
    rect = (3 / width, 3 / height, 1 - 6 / width, 1 - (down + 19) / height)
    engine.set(rect=rect, w_pad=0.02, h_pad=0.02)


def panels(count: int, height: float, *, width: float = WIDTH) -> tuple[Figure, list[Axes]]:
    """Make a figure of so many small panels of one height and scale; return it and their axes."""
    across = min(2 if is_narrow(width) else 3, count)
    down = math.ceil(count / across)
    figure, grid = new_figure(
        0.3 + height * down, down, across, width=width, sharex=True, sharey=True, squeeze=False
    )
    for axes in grid.flat[count:]:
        axes.set_visible(False)
    return figure, list(grid.flat[:count])


def lines(
    axes: Axes,
    rows: pd.DataFrame,
    x: str,
    name: str,
    chosen: Mapping[str, str],
    *,
    by: str = "group",
    step: bool = False,
) -> list[tuple[str, float, float, str]]:
    """Draw a line for each group, with its interval where the rows have one.

    Args:
        axes: Where.
        rows: Columns `by`, `x`, `name` and perhaps `{name}_low` and `{name}_high`.
        x: The column along the axis, of numbers.
        name: The column that is drawn.
        chosen: The groups, and the color of each.
        by: The column of groups.
        step: Whether a value holds until the next.

    Returns:
        For each line its name, the x and y of its end, and its color, as :func:`label_ends` takes them.
    """
    ends = []
    for group, color in chosen.items():
        part = rows[rows[by] == group]
        band(axes, part, x, name, color, step=step)
        dashes: Any = (3, 1.6) if group == "other" else (None, None)
        axes.plot(part[x], part[name], color=color, drawstyle=STEPS[step], dashes=dashes)
        for end in part[part[name].notna()].tail(1).to_dict("records"):
            ends.append((group, float(end[x]), float(end[name]), color))
    return ends


def label_ends(axes: Axes, labels: Sequence[tuple[str, float, float, str]]) -> None:
    """Write each line's name beside its end, moved apart where names would overlap; not that of everybody.

    Args:
        axes: The axes, with their limits set.
        labels: For each line its name, the x and y of its end, and its color.
    """
    if [label[0] for label in labels] in ([], ["all"]):
        return
    from matplotlib.transforms import ScaledTranslation

    figure: Any = axes.figure
    figure.get_layout_engine().execute(figure)
    ordered = sorted(labels, key=lambda label: label[2])
    points = [axes.transData.transform((x, y)) for _, x, y, _ in ordered]
    box = axes.get_window_extent()
    places = spread([point[1] for point in points], 12.5, box.y0, box.y1)
    # From the last end in the data's own terms, so that names stay beside it when the layout moves the axes.
    right, longest = max(x for _, x, _, _ in labels), 13 if is_narrow(figure) else 18
    beside: Any = axes.transData + ScaledTranslation(8 / 72, 0, figure.dpi_scale_trans)
    for (name, x, y, color), point, place in zip(ordered, points, places, strict=True):
        line = {"arrowstyle": "-", "color": color, "lw": 0.7, "shrinkA": 1, "shrinkB": 2}
        moved = abs(place - point[1]) > 2
        axes.annotate(
            shorten(name, longest), (x, y), (right, place - point[1]), textcoords=(beside, "offset points"),
            color=readable(color), size=10, weight="bold", ha="left", va="center", annotation_clip=False,
            arrowprops=line if moved else None,
        )  # fmt: skip


def unit_axis(axis: Axis, unit: str, bins: int = 5) -> None:
    """Write an axis' ticks in a unit, all alike."""
    from matplotlib.ticker import Formatter, MaxNLocator

    class UnitFormatter(Formatter):
        def __call__(self, place: float, _: int | None = None) -> str:
            return fmt.column([place], unit, compact=True)[0]

        def format_ticks(self, values: Sequence[float]) -> list[str]:
            return fmt.column([round(float(place), 10) for place in values], unit, compact=True)

    # A quarter of a euro or of a thousand would be rounded.
    steps = [1, 2, 5, 10] if unit.startswith("money") else [1, 2, 2.5, 5, 10]
    axis.set_major_locator(MaxNLocator(bins, steps=steps))
    axis.set_major_formatter(UnitFormatter())


def date_axis(axes: Axes) -> None:
    """Write dates along the axis, as few as needed, as the text writes them."""
    from matplotlib.dates import AutoDateLocator, MonthLocator, YearLocator, num2date
    from matplotlib.ticker import FixedLocator, FuncFormatter

    axes.xaxis_date()
    low, high = axes.get_xlim()
    step = next((step for step in (1, 2, 3, 6, 12) if (high - low) / 30 / step <= 6), 0)
    locator: Any = MonthLocator(range(1, 13, step)) if step else YearLocator()
    if high - low < 100:
        locator = AutoDateLocator(minticks=2)
    found = locator.tick_values(num2date(low), num2date(high))
    days = [num2date(tick) for tick in found if low <= tick <= high]
    kind = "month" if all(day.day == 1 for day in days) else "day"
    axes.xaxis.set_major_locator(FixedLocator([tick for tick in found if low <= tick <= high]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda tick, _: fmt.date(num2date(tick).date(), kind)))
    axes.grid(axis="x", visible=False)


def row_figure(
    labels: Sequence[Any], *, width: float, more: float = 0.55, above: bool = False, bold: Sequence[int] = ()
) -> tuple[Figure, Axes]:
    """Make a figure of a row for each label, the first at the top, and name the rows.

    The names stand at the left; on a phone above the rows, unless all are short.

    Args:
        labels: The labels.
        width: The figure's width in inches.
        more: Its height besides the rows.
        above: Whether something else stands at the left or the right, so that no name is short enough.
        bold: The places of headings, which name the rows below them.
    """
    above = is_narrow(width) and (above or max(len(str(label)) for label in labels) > 10)
    figure, axes = new_figure(more + (0.46 if above else 0.31) * len(labels), width=width)
    name_rows(axes, labels, above=above, bold=bold)
    return figure, axes


def name_rows(axes: Axes, labels: Sequence[Any], *, above: bool = False, bold: Sequence[int] = ()) -> None:
    """Name the rows of a figure at the left, or each above its row, the first at the top."""
    axes.grid(axis="y", visible=False)
    axes.set_ylim(len(labels) - 0.5, -0.75 if above else -0.5)
    axes.set_yticks(range(len(labels)), [] if above else [shorten(label, 28) for label in labels])
    axes.tick_params(axis="y", labelcolor=INK)
    for place, tick in enumerate([] if above else axes.get_yticklabels()):
        tick.set_fontweight("bold" if place in bold else "normal")
    for place, label in enumerate(labels if above else []):
        look: dict[str, Any] = {"ha": "left", "va": "bottom", "color": INK, "size": 10}
        look |= {"weight": "bold", "va": "center"} if place in bold else {}
        at = (0, place - (0 if place in bold else 0.25))
        note(axes, shorten(label, 40), at, (3, 0), "yaxis", **look)


def named_above(axes: Axes) -> bool:
    """Say whether each row is named above it, and not at the left."""
    return not any(label.get_text() for label in axes.get_yticklabels())


def row_number(axes: Axes, place: int, words: str, **look: Any) -> None:
    """Write the number of a row at its right; where the rows are named above them, beside the name."""
    look = {"color": INK, "size": 10, **look}
    if not named_above(axes):
        note(axes, words, (1, place), (8, 0), "yaxis", ha="left", va="center", **look)
    else:
        note(axes, words, (1, place - 0.25), (0, 0), "yaxis", ha="right", va="bottom", **look)


def text_width(figure: Any, words: str, **look: Any) -> float:
    """Return how wide words are in a figure, in points."""
    written = figure.text(0, 0, words, **{"size": 9.5, **look})
    width: float = written.get_window_extent().width
    written.remove()
    return width


def uprights(axes: Axes, marks: Sequence[tuple[float, str]], color: str = MUTED) -> None:
    """Draw a dashed line at each place, and name it above the axes, in rows where names would collide."""
    figure: Any = axes.figure
    figure.get_layout_engine().execute(figure)
    box, taken = axes.get_window_extent(), list[tuple[int, float, float]]()
    for place, words in sorted(marks):
        axes.axvline(place, color=color, lw=1, ls=(0, (3, 2)), zorder=0.7)
        half = text_width(figure, words) / 2
        at = float(axes.transData.transform((place, 0))[0])
        center = min(max(at, box.x0 + half), max(box.x1 - half, box.x0 + half))
        low, high = center - half - 6, center + half + 6
        full = {row for row, start, end in taken if start < high and end > low}
        row = next(row for row in range(99) if row not in full)
        taken.append((row, center - half, center + half))
        note(axes, words, (place, 1), (center - at, 3 + 13 * row), "xaxis")


def thin(figure: Figure) -> None:
    """Leave out every other tick of an axis of numbers for as long as the words at its ticks would touch."""
    from matplotlib.ticker import FixedLocator, NullLocator

    for axes in figure.axes:
        for place, axis in enumerate((axes.xaxis, axes.yaxis)):
            low, high = sorted(axis.get_view_interval())
            while axes.get_visible():
                axis.get_majorticklabels()  # brings the ticks up to date
                ticks = [tick for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
                labels = [tick.label1 for tick in ticks if tick.label1.get_visible()]
                boxes = [label.get_window_extent() for label in labels if label.get_text()]
                ends = sorted(((box.x0, box.x1), (box.y0, box.y1))[place] for box in boxes)
                gap = 2 if place else 7
                if all(one[1] + gap <= other[0] for one, other in itertools.pairwise(ends)):
                    break
                places = sorted(tick.get_loc() for tick in ticks)
                # One is the middle of an axis of ratios.
                first = places.index(1.0) % 2 if axis.get_scale() == "log" and 1.0 in places else 0
                axis.set_major_locator(FixedLocator(places[first::2]))
                axis.set_minor_locator(NullLocator())


def tips(
    axes: Axes,
    rows: pd.DataFrame,
    x: str,
    shown: Mapping[str, tuple[str, str]],
    head: Callable[[float], str] | Sequence[str],
    *,
    by: str = "",
) -> None:
    """Show values on pointing at a place along the axis.

    Args:
        axes: Where.
        rows: The values.
        x: The column along the axis, of numbers; empty: each row of the figure is a row of the table.
        shown: By column what its values are called, and their unit.
        head: Says a place; or what the rows are called.
        by: The column of groups, if there are several rows to a place.
    """
    from tenure.report.svg import Tips

    said: dict[float, tuple[str, dict[str, str]]] = {}
    for place, row in enumerate(rows.to_dict("records")):
        at = float(row[x]) if x else place
        _, lines = said.setdefault(at, (head(at) if callable(head) else word(head[place]), {}))
        for column, (name, unit) in shown.items():
            if not fmt.missing(row[column]):
                lines[f"{word(row[by]) if by else ''} {word(name)}".strip()] = fmt.value(row[column], unit)
    Tips(axes, {at: one for at, one in said.items() if one[1]}, rows=not x)


def period(number: float, kind: str = "month") -> str:
    """Return what a period of a life is called.

    Example:
        >>> period(3), period(1, "week")
        ('Month 3', 'Week 1')
    """
    return also(f"{word(kind)} {number:.0f}", "")


def cells(
    axes: Axes, values: Any, words: Sequence[Sequence[str]], kind: str, low: float, high: float
) -> None:
    """Shade the cells of a table of numbers from low to high, and write words into those that are known.

    `kind` is "h" for shades from little to much, "d" for those from less through none to more.
    """
    import numpy as np
    from matplotlib.colors import ListedColormap

    shades = ramp(kind)
    axes.pcolormesh(
        np.ma.masked_invalid(values), cmap=ListedColormap(shades), vmin=low, vmax=high, edgecolors="white",
        linewidth=1,
    )  # fmt: skip
    axes.invert_yaxis()
    axes.grid(False)
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(length=0)
    axes.xaxis.tick_top()
    for row, column in zip(*np.nonzero(np.isfinite(values)), strict=True) if len(words) else ():
        step = int(len(shades) * (values[row, column] - low) / (high - low))
        color = cell_ink(kind, min(max(step, 0), len(shades) - 1))
        look: dict[str, Any] = {"ha": "center", "va": "center", "size": 9, "color": color}
        axes.text(column + 0.5, row + 0.5, words[row][column], **look)


def spread(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move ascending places apart by at least a gap, as little as possible, within limits where they fit.

    Less k gaps each, the places must not descend: isotonic regression.

    Example:
        >>> spread([10.0, 11.0, 40.0], 5.0, 0.0, 50.0)
        [8.0, 13.0, 40.0]
    """
    import numpy as np
    from scipy.optimize import isotonic_regression

    if not len(places):
        return []
    gaps = gap * np.arange(len(places))
    moved = np.minimum(isotonic_regression(places - gaps).x, high - gaps[-1])
    return ((np.maximum(moved, low) if gaps[-1] <= high - low else moved) + gaps).tolist()


def group_names(frame: pd.DataFrame) -> list[str]:
    """Return the groups by name, "other" last."""
    return sorted(frame["group"].unique(), key=lambda name: (name == "other", name))


def note(
    axes: Axes,
    words: str,
    place: tuple[float, float],
    shift: tuple[float, float],
    scale: str = "data",
    **look: Any,
) -> None:
    """Write words beside a place, small and muted and above it where `look` (see `annotate`) does not differ.

    Args:
        axes: Where.
        words: What.
        place: The place.
        shift: How far beside it, in points.
        scale: "data"; or "xaxis" or "yaxis": that coordinate alone is data, the other a part of the axes.
        **look: How it is written.
    """
    scales: dict[str, Any] = {
        "data": axes.transData,
        "xaxis": axes.get_xaxis_transform(),
        "yaxis": axes.get_yaxis_transform(),
    }
    own = {"ha": "center", "va": "bottom", "color": MUTED, "size": 9.5, **look}
    beside = {"xycoords": scales[scale], "textcoords": "offset points", "annotation_clip": False}
    axes.annotate(words, place, shift, **beside, **own)


def known(frame: pd.DataFrame, *columns: str) -> list[str]:
    """Return those of the columns that the frame has."""
    return [column for column in columns if column in frame.columns]


def also(subtitle: str, remark: str) -> str:
    """Add a remark to a subtitle."""
    words = "; ".join(translated(part) for part in (subtitle, remark) if part)
    return words[:1].upper() + words[1:]


def band(
    axes: Axes, part: pd.DataFrame, x: str, name: str, color: str, *, step: bool = False, bars: bool = False
) -> None:
    """Draw the interval around a line, where the rows have one; as thin bars where the values are dots."""
    low, high = f"{name}_low", f"{name}_high"
    if not {low, high} <= set(part.columns):
        return
    if bars:
        axes.vlines(part[x], part[low], part[high], color=color, alpha=0.28, lw=1.3)
    else:
        held: Any = "post" if step else None
        axes.fill_between(part[x], part[low], part[high], step=held, color=color, alpha=0.14, lw=0)
