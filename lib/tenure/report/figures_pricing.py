"""Figures of prices: arms of an experiment, differences in money, curves over price, and the price meter.

Each takes a result of `tenure.models`, named in its docstring; `labels` has the names of variants.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tenure.report import format as fmt
from tenure.report import style
from tenure.report.charts import bars_with_intervals, draw_rows, forest, rows_of
from tenure.report.palette import INK, MUTED, PALETTE
from tenure.report.picture import Picture, listed
from tenure.result import Estimate, Table

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def variant_labels(facts: pd.DataFrame, prices: Mapping[str, float], currency: str) -> dict[str, str]:
    """Return names for the variants of an experiment, in the order of their prices where they have any.

    Example:
        >>> import pandas as pd
        >>> variant_labels(pd.DataFrame({"variant": ["new", "old"]}), {"new": 1299, "old": 999}, "EUR")
        {'old': 'old (€9.99)', 'new': 'new (€12.99)'}
    """
    names = sorted(facts["variant"].astype(str), key=lambda name: prices.get(name, 0))
    return {name: f"{name} ({fmt.money(prices[name], currency)})" if prices else name for name in names}


def arms(
    compared: Any, labels: Mapping[str, str], *, outcome: str = "", on_day: int | None = None
) -> Picture:
    """Draw the share of each arm of a `Comparison` that had an outcome; empty: who subscribed or paid."""
    subtitle = f"Share of visitors with the outcome: {outcome}" if outcome else "Share who subscribed or paid"
    subtitle += "" if on_day is None else f", on day {on_day}"
    rows = _labeled(compared.arms, labels).pipe(lambda frame: frame.drop(columns="standard_error"))
    return bars_with_intervals(rows, subtitle=subtitle)


def lifts(table: Table, labels: Mapping[str, str], *, subtitle: str) -> Picture:
    """Draw the lifts of `experiments.side_by_side`, variant by variant, as ratios to the control."""

    def ratios(rows: pd.DataFrame) -> pd.DataFrame:
        ends = {f"ratio{end}": 1 + rows[f"lift{end}"] for end in ("", "_low", "_high")}
        rows = rows.assign(section=rows["variant"].map(labels), **ends)
        return rows.rename(columns={"measure": "label"})

    return forest(table.pipe(ratios), subtitle=subtitle, less="less", more="more")


def decision(decided: Any, labels: Mapping[str, str], *, within: Any) -> Picture:
    """Draw the differences of a `Decision` around 0, with the smallest that is worth a change."""
    table = _labeled(decided.table, labels)
    what = "Share who convert" if table.units["difference"] == "points" else "What a visitor is worth"
    title = f"{what} within {fmt.shown(within)}, against the control"
    subtitle = f"Line: {fmt.percent(decided.level)} interval; dashed: the smallest gain worth a change"
    return _differences(table, "label", "difference", title, subtitle, worthwhile=decided.worthwhile.value)


def segment_effects(effects: Any, *, title: str) -> Picture:
    """Draw the shrunk differences of `SegmentEffects`."""
    return _differences(effects.table, "segment", "shrunk", title, "Shrunk towards their mean")


def willingness_to_pay(worth: Table) -> Picture:
    """Draw what levels of `Conjoint.willingness_to_pay` are worth."""
    subtitle, sides = "Against the reference of each attribute", ("worth less", "worth more")
    return _differences(worth, "level", "worth", "What people would pay for it", subtitle, sides=sides)


def value_by_price(curve: Any, value: Any) -> Picture:
    """Draw a `ProfitCurve` with the arms of a `VisitorValue` as they were."""
    months, best, naive = curve.horizon, curve.best, curve.cost_of_naive.words["naive"]
    marks = [("best", best.value), ("churn ignored", naive.value)]
    title = f"A visitor is worth most at {fmt.shown(best)}, within {fmt.value(months, 'months')}"
    alt = f"{title}; with churn ignored the best price seems to be {fmt.shown(naive)}. Value by price: "
    dots = _measured(value.table, "value")
    lines = {"value": "with churn", "value_churn_ignored": "churn ignored"}
    interval = fmt.percent(curve.level)
    sketch = "; the models do not fit them" if curve.hazard_ratio.case == "does not fit" else ""
    return Picture(
        lambda width: _over_price(curve.table, lines, width, dots=dots, marks=marks, best=best),
        title,
        alt + _spoken(value.table, "price", "value"),
        curve.table,
        f"Shaded and bars: {interval} intervals; circles: the variants as they were" + sketch,
    )


def stated_demand(stated: Any) -> Picture:
    """Draw the share who say they would buy at each price of a `StatedDemand`."""
    dots = _measured(stated.table, "share")
    return Picture(
        lambda width: _over_price(stated.table, {"smoothed": ""}, width, dots=dots),
        f"At {fmt.shown(stated.best.words['price'])}, stated revenue is highest",
        f"Share who say they would buy, by price: {_spoken(stated.table, 'price', 'share')}.",
        stated.table,
        "Share who say they would buy; the line never rises",
    )


def price_meter(meter: Any) -> Picture:
    """Draw the four lines of a `PriceMeter` and where they cross."""
    ends = [fmt.shown(meter.point(f"{end} acceptable price")) for end in ("lowest", "highest")]
    return Picture(
        lambda width: _draw_meter(meter, width),
        f"People find prices from {ends[0]} to {ends[1]} acceptable",
        f"Shares who call a price cheap or expensive meet at: {_spoken(meter.points, 'point', 'price')}.",
        meter.points,
        "Share of people who answered; shaded: acceptable; dashed vertical lines: the four crossings",
    )


# --- drawing -----------------------------------------------------------------------------------------


def _labeled(table: Table, labels: Mapping[str, str]) -> Table:
    """The table with a column `label` first, its rows in the order of the labels."""

    def label(rows: pd.DataFrame) -> pd.DataFrame:
        order = {variant: place for place, variant in enumerate(labels)}
        rows = rows.sort_values("variant", key=lambda names: names.map(order), kind="stable")
        rows = rows.assign(label=rows["variant"].map(labels))
        return rows[["label", *rows.columns.drop("label")]]

    return table.pipe(label)


def _measured(table: Table, value: str) -> pd.DataFrame:
    """What was measured at each price, with its interval: x, y, low, high."""
    known = table.frame.dropna(subset=value)
    return known[["price", value, f"{value}_low", f"{value}_high"]].set_axis(
        ["x", "y", "low", "high"], axis=1
    )


def _spoken(table: Table, label: str, value: str) -> str:
    """A column in words, for those who do not see the figure."""
    names = table.frame[label]
    if label in table.units:
        names = names.map(lambda name: fmt.value(name, table.units[label]))
    return listed(zip(names, table.frame[value], strict=True), table.units[value])


def _differences(
    table: Table,
    label: str,
    value: str,
    title: str,
    subtitle: str,
    *,
    sides: tuple[str, str] = ("less than the control", "more than the control"),
    worthwhile: float | None = None,
) -> Picture:
    """Differences around 0, with the smallest that is worth a change dashed."""
    if not len(table):
        return Picture.nothing(f"{title}: there is nothing to compare.")
    rows = rows_of(table.frame.rename(columns={"attribute": "section"}), label, value)
    unit = table.units[value]

    def draw(width: float) -> Figure:
        figure, axes = draw_rows(rows, lambda row: fmt.value(row.value, unit, signed=True), 0, width)
        axes.axvline(0, color=INK, lw=1, zorder=0.6)
        if worthwhile is not None:
            axes.axvline(worthwhile, color=MUTED, lw=1, ls=(0, (3, 2)), zorder=0.6)
        axes.margins(x=0.08)
        low, high = axes.get_xlim()
        style.unit_axis(axes.xaxis, unit)
        less, more = (side.partition(" than")[0] if width < 5 else side for side in sides)
        center = -low / (high - low)
        if center > 0.25:
            style.note(axes, f"\N{LEFTWARDS ARROW} {less}", (0, 1), (-6, 4), "xaxis", ha="right")
        if center < 0.75:
            style.note(axes, f"{more} \N{RIGHTWARDS ARROW}", (0, 1), (6, 4), "xaxis", ha="left")
        return figure

    said = [(f"{row.section} {row.label}".strip(), row.value) for row in rows if not row.heading]
    alt = f"Differences with their intervals. {title}: {listed(said, unit)}."
    return Picture(draw, title, alt, table, subtitle)


def _over_price(
    table: Table,
    lines: Mapping[str, str],
    width: float,
    *,
    dots: pd.DataFrame,
    marks: Sequence[tuple[str, float]] = (),
    best: Estimate | None = None,
) -> Figure:
    """Columns over price, by name, the first with its interval; `dots` (x, y, low, high) were measured."""
    frame, unit = table.frame.sort_values("price", kind="stable"), table.units[next(iter(lines))]
    figure, axes = style.new_figure(3.3, width=width)
    x, ends = frame["price"].to_numpy(dtype=float), []
    for place, (column, name) in enumerate(lines.items()):
        y, color = frame[column].to_numpy(dtype=float), PALETTE[place]
        axes.plot(x, y, color=color, ls="-" if place == 0 else (0, (4, 2)))
        ends.append((name, float(x[-1]), float(y[-1]), color))
        style.band(axes, frame, "price", column, color)
    axes.vlines(dots["x"], dots["low"], dots["high"], color=INK, lw=1.5)
    axes.plot(dots["x"], dots["y"], "o", ms=6, mfc="white", mec=INK, mew=1.6)
    axes.margins(0.03, 0.12)
    _price_axis(axes, unit, table.units["price"])
    for place, (name, price) in enumerate(marks):
        axes.axvline(price, color=MUTED, lw=1, ls=(0, (3, 2)), zorder=0.7)
        right, down = price > (x[0] + x[-1]) / 2, -4 - 14 * place
        words, side = f"{name} {fmt.value(price, table.units['price'])}", "right" if right else "left"
        style.note(axes, words, (price, 1), (-4 if right else 4, down), "xaxis", ha=side, va="top")
    if best is not None:
        along = axes.get_xaxis_transform()
        axes.plot([best.low, best.high], [0.012, 0.012], transform=along, color=PALETTE[0], lw=4)
    if any(name for name, *_ in ends):
        style.label_ends(axes, ends)
    return figure


def _draw_meter(meter: Any, width: float) -> Figure:
    frame, shown = meter.curves.frame, meter.points.frame["price"].dropna()
    figure, axes = style.new_figure(3.7, width=width)
    if len(shown):
        axes.axvspan(shown.min(), shown.max(), color=PALETTE[3], alpha=0.14, lw=0)
    key = {"too_cheap": 5, "not_cheap": 2, "not_expensive": 1, "too_expensive": 4}
    for name, color in key.items():
        dashes = "-" if name.startswith("too") else (0, (4, 2))
        words = name.replace("_", " ")
        axes.plot(frame["price"], frame[name], color=PALETTE[color], ls=dashes, label=words)
    for price in shown:
        axes.axvline(price, color=MUTED, lw=0.9, ls=(0, (2, 2)), zorder=0.7)
    axes.set_ylim(0, 1)
    # Where the lines move: 1 % are left aside at each end.
    busy = frame[(frame["too_cheap"] < 0.995) & (frame["too_expensive"] < 0.99)]
    busy = busy if len(busy) > 1 else frame
    axes.set_xlim(busy["price"].min(), busy["price"].max())
    _price_axis(axes, "percent", meter.points.units["price"])
    columns = 4 if width > 5 else 2
    figure.legend(loc="outside upper left", ncols=columns, frameon=False, labelcolor="linecolor")
    return figure


def _price_axis(axes: Axes, unit: str, price_unit: str) -> None:
    style.unit_axis(axes.yaxis, unit)
    style.unit_axis(axes.xaxis, price_unit, bins=7)
    axes.grid(axis="x", visible=False)
    axes.set_xlabel("Price")
