"""Figures of prices: differences in money, curves over price, and the price meter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tenure.errors import InputError
from tenure.report import format as fmt
from tenure.report import style
from tenure.report.style import GREY, INK, MUTED, theme

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


_VOCABULARY: dict[str, tuple[str, ...]] = {
    "percent": (
        *(
            "conversion",
            "lift",
            "lift_low",
            "lift_high",
            "chance",
            "chance_worthwhile",
            "detectable",
            "leave",
        ),
        *("share", "share_below", "dearer", "cheaper", "top_tenth", "tail", "planned"),
        *("largest_discount", "largest_discount_low", "largest_discount_high"),
    ),
    "p": ("p", "p_adjusted"),
    "months": ("periods", "paid_periods", "paid_months", "months_of_a_subscriber", "months_of_a_visitor"),
    "count": ("n", "units", "weeks", "more", "needed", "at_risk", "subscriptions", "below"),
}


def column_formats(frame: pd.DataFrame, unit: str) -> dict[str, str]:
    """Return how the columns of a table of prices or effects are written: by their name, or in a unit.

    Args:
        frame: The table.
        unit: The unit of its other columns of fractional numbers.

    Example:
        >>> import pandas as pd
        >>> table = pd.DataFrame({"lift": [0.1], "difference": [2.5], "p": [0.2], "k": ["a"]})
        >>> column_formats(table, "number")
        {'lift': 'percent', 'difference': 'number', 'p': 'p'}
    """
    known = {name: written for written, names in _VOCABULARY.items() for name in names}
    known |= {"price": unit} if unit.startswith("money") else {}
    other = dict.fromkeys(frame.select_dtypes("float").columns, unit)
    return {str(c): known.get(str(c), unit) for c in frame.columns if c in known or c in other}


def spoken(frame: pd.DataFrame, label: str, value: str, unit: str) -> str:
    """Say a column in words, for those who do not see the figure.

    Example:
        >>> import pandas as pd
        >>> spoken(pd.DataFrame({"arm": ["a", "b"], "share": [0.1, 0.2]}), "arm", "share", "percent")
        'a 10%, b 20%'
    """
    return ", ".join(f"{n} {fmt.value(v, unit)}" for n, v in zip(frame[label], frame[value], strict=True))


def differences(
    table: pd.DataFrame,
    *,
    unit: str,
    title: str = "",
    subtitle: str = "",
    worse: str = "less than the control",
    better: str = "more than the control",
    worthwhile: float | None = None,
) -> Figure:
    """Draw differences with their intervals around 0.

    Args:
        table: Columns label, difference, low and high, in the order given; with a column `section` rows stand
            under headings.
        unit: The unit of the differences.
        title: What the figure shows, as a statement.
        subtitle: What is measured.
        worse: What a difference below 0 means, in words.
        better: What one above 0 means.
        worthwhile: The smallest difference worth a change, marked by a dashed line.
    """
    _need(table, "differences", "label", "difference", "low", "high")
    fmt.check_unit(unit)
    lines: list[dict[str, Any]] = []
    for row in table.to_dict("records"):
        if "section" in table.columns and (not lines or lines[-1].get("section") != row["section"]):
            lines.append({"label": row["section"], "section": row["section"], "heading": True})
        lines.append({str(name): value for name, value in row.items()})
    with theme():
        figure, axes = style.new_figure(1.5 + 0.31 * len(lines))
        marks = [0.0] if worthwhile is None else [0.0, worthwhile]
        for place, line in enumerate(lines):
            if line.get("heading"):
                continue
            value, low, high = line["difference"], line["low"], line["high"]
            if fmt.missing(value):
                style.note(axes, fmt.NOT_AVAILABLE, (0, place), (5, 0), ha="left", va="center")
                continue
            ends = [end for end in (low, high) if not fmt.missing(end)]
            clear = len(ends) == 2 and not low <= 0 <= high
            color = style.PALETTE[0] if clear else GREY
            if len(ends) == 2:
                axes.plot(ends, [place, place], color=color, lw=2.2)
            axes.plot([value], [place], "o", ms=7, mec=color, mfc=color if clear else "white", mew=1.8)
            marks += [value, *ends]
            words = fmt.value(value, unit, signed=True)
            style.note(
                axes, words, (1, place), (8, 0), "yaxis", ha="left", va="center", color=INK, weight="bold"
            )
        low, high = min(marks), max(marks)
        room = 0.08 * (high - low or 1)
        axes.set_xlim(low - room, high + room)
        axes.set_ylim(len(lines) - 0.4, -0.6)
        axes.grid(axis="y", visible=False)
        axes.axvline(0, color=INK, lw=1, zorder=0.6)
        if worthwhile is not None:
            axes.axvline(worthwhile, color=MUTED, lw=1, ls=(0, (3, 2)), zorder=0.6)
        style.unit_axis(axes.xaxis, unit)
        axes.set_yticks(range(len(lines)), [style.shorten(line["label"], 28) for line in lines])
        for tick, line in zip(axes.get_yticklabels(), lines, strict=True):
            tick.set_color(INK)
            tick.set_weight("bold" if line.get("heading") else "normal")
        center = (0 - low + room) / (high - low + 2 * room)
        if center > 0.25:
            style.note(axes, f"\N{LEFTWARDS ARROW} {worse}", (0, 1), (-6, 4), "xaxis", ha="right")
        if center < 0.75:
            style.note(axes, f"{better} \N{RIGHTWARDS ARROW}", (0, 1), (6, 4), "xaxis", ha="left")
        style.headline(figure, title, subtitle)
        figure.draw_without_rendering()
        return figure


def price_curve(
    table: pd.DataFrame,
    *,
    price_unit: str,
    unit: str,
    lines: Mapping[str, str] | None = None,
    points: pd.DataFrame | None = None,
    marks: Mapping[str, float] | None = None,
    best: tuple[float, float, float] | None = None,
    from_zero: bool = False,
    title: str = "",
    subtitle: str = "",
) -> Figure:
    """Draw one or several curves over price, with what was measured at the prices tested.

    Args:
        table: Columns price and those of `lines`; with low and high, the band of the first line.
        price_unit: The unit of price.
        unit: The unit of the curves.
        lines: For each column to draw its name; None: the column `value`, without a name.
        points: Columns price, value, low and high: what was measured.
        marks: Prices to mark, by name.
        best: A price and the limits of its interval, drawn as a bar along the bottom.
        from_zero: Whether the scale begins at 0.
        title: What the figure shows, as a statement.
        subtitle: What is measured.
    """
    lines = dict(lines or {"value": ""})
    _need(table, "price_curve", "price", *lines)
    fmt.check_unit(unit)
    frame = table.sort_values("price", kind="stable")
    with theme():
        figure, axes = style.new_figure(3.9)
        x = frame["price"].to_numpy(dtype=float)
        ends, reach = [], []
        for place, (column, name) in enumerate(lines.items()):
            y = frame[column].to_numpy(dtype=float)
            color = style.PALETTE[place % len(style.PALETTE)]
            axes.plot(x, y, color=color, ls="-" if place == 0 else (0, (4, 2)))
            ends.append((name, float(x[-1]), float(y[-1]), color))
            reach += [y.min(), y.max()]
        if {"low", "high"} <= set(frame.columns):
            axes.fill_between(x, frame["low"], frame["high"], color=style.PALETTE[0], alpha=0.14, lw=0)
            reach += [frame["low"].min(), frame["high"].max()]
        if points is not None:
            axes.vlines(points["price"], points["low"], points["high"], color=INK, lw=1.5)
            axes.plot(points["price"], points["value"], "o", ms=6, mfc="white", mec=INK, mew=1.6)
            reach += [points["low"].min(), points["high"].max()]
        low, high = float(min(reach)), float(max(reach))
        low = min(0.0, low) if from_zero else low
        room = 0.12 * (high - low or abs(high) or 1)
        axes.set_ylim(low - (0 if from_zero and low >= 0 else room), high + room)
        wide = 0.03 * (x[-1] - x[0] or abs(x[0]) or 1)
        axes.set_xlim(x[0] - wide, x[-1] + wide)
        style.unit_axis(axes.yaxis, unit)
        style.unit_axis(axes.xaxis, price_unit, bins=7)
        axes.grid(axis="x", visible=False)
        for place, (name, price) in enumerate((marks or {}).items()):
            axes.axvline(price, color=MUTED, lw=1, ls=(0, (3, 2)), zorder=0.7)
            right = price > (x[0] + x[-1]) / 2
            words = f"{name} {fmt.value(price, price_unit)}".strip()
            side = "right" if right else "left"
            style.note(
                axes, words, (price, 1), (-4 if right else 4, -4 - 14 * place), "xaxis", ha=side, va="top"
            )
        if best is not None:
            axes.plot(
                best[1:], [0.012, 0.012], transform=axes.get_xaxis_transform(), color=style.PALETTE[0], lw=4
            )
        axes.set_xlabel("Price")
        style.headline(figure, title, subtitle)
        if any(name for name, *_ in ends):
            style.label_ends(axes, ends)
        figure.draw_without_rendering()
        return figure


def price_meter(
    curves: pd.DataFrame,
    points: pd.DataFrame,
    *,
    price_unit: str,
    title: str = "",
    subtitle: str = "Share of those who answered",
) -> Figure:
    """Draw the four lines of the price meter and where they cross.

    Args:
        curves: Columns price, too_cheap, cheap, expensive and too_expensive (shares).
        points: Columns point, price, low and high.
        price_unit: The unit of price.
        title: What the figure shows, as a statement.
        subtitle: What is measured.
    """
    _need(curves, "price_meter", "price", "too_cheap", "cheap", "expensive", "too_expensive")
    frame = curves.sort_values("price", kind="stable")
    with theme():
        figure, axes = style.new_figure(4.3)
        names = {"too_cheap": 5, "cheap": 2, "expensive": 1, "too_expensive": 4}
        shown = points.dropna(subset="price")
        if len(shown):
            low, high = shown["price"].min(), shown["price"].max()
            axes.axvspan(low, high, color=style.PALETTE[3], alpha=0.14, lw=0)
        for name, color in names.items():
            outer = name.startswith("too")
            axes.plot(
                frame["price"], frame[name], color=style.PALETTE[color], ls="-" if outer else (0, (4, 2))
            )
        for row in shown.to_dict("records"):
            axes.axvline(row["price"], color=MUTED, lw=0.9, ls=(0, (2, 2)), zorder=0.7)
        axes.set_ylim(0, 1)
        bottom, top = _reach(frame)
        axes.set_xlim(bottom, top)
        style.unit_axis(axes.yaxis, "percent")
        style.unit_axis(axes.xaxis, price_unit, bins=7)
        axes.grid(axis="x", visible=False)
        axes.set_xlabel("Price")
        key = [(name.replace("_", " "), style.PALETTE[color]) for name, color in names.items()]
        style.headline(figure, title, subtitle, key)
        figure.draw_without_rendering()
        return figure


def _reach(frame: pd.DataFrame) -> tuple[float, float]:
    """The prices between which the lines move: 1 % are left aside at each end."""
    busy = frame[(frame["too_cheap"] < 0.995) & (frame["too_expensive"] < 0.99)]
    busy = busy if len(busy) > 1 else frame
    return float(busy["price"].min()), float(busy["price"].max())


def _need(table: pd.DataFrame, name: str, *columns: str) -> None:
    absent = [column for column in columns if column not in table.columns]
    if absent:
        have = ", ".join(str(column) for column in table.columns)
        raise InputError(f"The figure {name} needs the column {absent[0]}; the table has {have}.")
    if len(table) == 0:
        raise InputError(f"The figure {name} has nothing to draw: its table has no rows.")
