"""Figures of prices: arms of an experiment, differences in money, curves over price, and the price meter.

Each takes a result of `tenure.models`, named in its docstring; `labels` has the names of variants.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tenure.report import format as fmt
from tenure.report import style
from tenure.report.charts import bars_with_intervals, draw_rows, forest, rows_of
from tenure.report.palette import INK, PALETTE
from tenure.report.picture import Picture, listed
from tenure.report.words import say, word
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


def variant_names(labels: Mapping[str, str], prices: Mapping[str, float], currency: str) -> dict[str, str]:
    """Return what sentences call variants: their prices where no two have the same, else their labels."""
    alone = len(set(prices.values())) == len(labels)
    return {name: fmt.money(prices[name], currency) if alone else label for name, label in labels.items()}


def arms(
    compared: Any, labels: Mapping[str, str], *, outcome: str = "", on_day: int | None = None
) -> Picture:
    """Draw the share of each arm of a `Comparison` that had an outcome; empty: who subscribed or paid."""
    named = "Share of visitors with the outcome: {outcome}" if outcome else "Share who subscribed or paid"
    on = "" if on_day is None else say("on day {day}", day=on_day)
    subtitle = style.also(say(named, outcome=outcome), on)
    rows = _labeled(compared.arms, labels).pipe(lambda frame: frame.drop(columns="standard_error"))
    return bars_with_intervals(rows, subtitle=subtitle, as_given=True)


def lifts(table: Table, labels: Mapping[str, str], *, subtitle: str) -> Picture:
    """Draw the lifts of `experiments.side_by_side`, variant by variant, as ratios to the control."""

    def ratios(rows: pd.DataFrame) -> pd.DataFrame:
        ends = {f"ratio{end}": 1 + rows[f"lift{end}"] for end in ("", "_low", "_high")}
        rows = rows.assign(section=rows["variant"].map(labels), **ends)
        return rows.rename(columns={"measure": "label"})

    return forest(table.pipe(ratios), subtitle=subtitle, less=say("less"), more=say("more"), as_given=True)


def decision(decided: Any, labels: Mapping[str, str], *, within: Any) -> Picture:
    """Draw the differences of a `Decision` around 0, with the smallest that is worth a change."""
    table = _labeled(decided.table, labels)
    share, words = table.units["difference"] == "points", {"within": fmt.shown(within)}
    what = say("What a visitor is worth within {within}, against the control", **words)
    titles = {
        "more": "With {name} a visitor is worth {size} more within {within}",
        "less": "With {name} a visitor is worth {size} less within {within}",
        "none": "No variant is clearly worth more or less than the control within {within}",
    }
    if share:
        what = say("Share who convert within {within}, against the control", **words)
        titles = {
            "more": "With {name} more visitors convert within {within}: by {size}",
            "less": "With {name} fewer visitors convert within {within}: by {size}",
            "none": "In no variant do clearly more or fewer visitors convert within {within}",
        }
    subtitle = style.also(what, say("line: {level} interval", level=fmt.percent(decided.level)))
    worthwhile = decided.worthwhile.value
    return differences(table, "label", "difference", titles, subtitle, worthwhile=worthwhile, words=words)


def segment_effects(effects: Any, *, title: str) -> Picture:
    """Draw the shrunk differences of `SegmentEffects`; `title` says between what, and of whom."""
    titles = {
        "more": "Clearest with {name}, by {size} more than with the control",
        "less": "Clearest with {name}, by {size} less than with the control",
        "none": "With no kind of visitor is there a clear difference",
    }
    subtitle = f"{title}; {say('shrunk towards their mean')}"
    return differences(effects.table, "segment", "shrunk", titles, subtitle)


def willingness_to_pay(worth: Table) -> Picture:
    """Draw what levels of `Conjoint.willingness_to_pay` are worth."""
    titles = {
        "more": "People would pay {size} more for an offer with {name}",
        "less": "People would pay {size} less for an offer with {name}",
        "none": "Nothing that is offered clearly changes what people would pay",
    }
    subtitle = say("What people would pay, against the reference of each attribute")
    sides = say("worth less"), say("worth more")
    return differences(worth, "level", "worth", titles, subtitle, sides=sides)


def value_by_price(curve: Any, value: Any) -> Picture:
    """Draw a `ProfitCurve` with the arms of a `VisitorValue` as they were."""
    months, best, naive = curve.horizon, curve.best, curve.cost_of_naive.words["naive"]
    unit = curve.table.units["price"]
    marks = {say("best {price}", price=best): best.value}
    marks |= {say("churn ignored {price}", price=naive): naive.value}
    title = say("A visitor is worth most at {price}, within {time}", price=best, time=(months, "months"))
    told = {"price": naive, "seen": _spoken(value.table, "price", "value")}
    alt = say("With churn ignored the best price seems to be {price}. Value by price: {seen}.", **told)
    dots = _measured(value.table, "value")
    missed = _missed(curve.table.frame, "value", dots)
    fits = say("the curve lies within the interval of every variant")
    if missed:
        fits = say("the curve misses what was seen at {prices}", prices=[fmt.value(p, unit) for p in missed])
    if curve.hazard_ratio.case == "does not fit":
        fits = style.also(fits, say("the models do not fit them"))
    lines = {"value": say("with churn"), "value_churn_ignored": say("churn ignored")}
    shades = say("Shaded and bars: {level} intervals", level=fmt.percent(curve.level))
    subtitle = "; ".join([shades, say("circles: the variants as they were"), fits])
    return Picture(
        lambda width: _over_price(curve.table, lines, width, dots=dots, marks=marks, best=best),
        title,
        alt,
        curve.table,
        subtitle,
    )


def _missed(frame: pd.DataFrame, value: str, dots: pd.DataFrame) -> list[float]:
    """The prices at which the curve leaves the interval of what was measured."""
    import numpy as np

    frame = frame.sort_values("price")
    at = np.interp(dots["x"], frame["price"], frame[value])
    return [float(x) for x in dots["x"][(at < dots["low"]) | (at > dots["high"])]]


def stated_demand(stated: Any) -> Picture:
    """Draw the share who say they would buy at each price of a `StatedDemand`."""
    dots = _measured(stated.table, "share")
    return Picture(
        lambda width: _over_price(stated.table, {"smoothed": ""}, width, dots=dots),
        say("At {price}, stated revenue is highest", **stated.best.words),
        say("Share who say they would buy, by price: {seen}.", seen=_spoken(stated.table, "price", "share")),
        stated.table,
        say("Share who say they would buy; the line never rises"),
    )


def price_meter(meter: Any) -> Picture:
    """Draw the four lines of a `PriceMeter` and where they cross."""
    ends = {end: meter.point(f"{end} acceptable price") for end in ("lowest", "highest")}
    met = _spoken(meter.points, "point", "price")
    return Picture(
        lambda width: _draw_meter(meter, width),
        say("People find prices from {lowest} to {highest} acceptable", **ends),
        say("Shares who call a price cheap or expensive meet at: {met}.", met=met),
        meter.points,
        say("Share of people who call a price too cheap, not cheap, not expensive, too expensive"),
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


def differences(
    table: Table,
    label: str,
    value: str,
    titles: Mapping[str, str],
    subtitle: str,
    *,
    sides: tuple[str, str] | None = None,
    worthwhile: float | None = None,
    words: Mapping[str, str] | None = None,
) -> Picture:
    """Differences around 0, with the smallest that is worth a change dashed; `titles` say what is clear."""
    if not len(table):
        return Picture.nothing(say("{what}: there is nothing to compare.", what=subtitle))
    rows = rows_of(table.frame.rename(columns={"attribute": "section"}), label, value)
    unit = table.units[value]

    def draw(width: float) -> Figure:
        figure, axes = draw_rows(rows, lambda row: fmt.value(row.value, unit, signed=True), 0, width)
        axes.axvline(0, color=INK, lw=1, zorder=0.6)
        axes.margins(x=0.08)
        if worthwhile is not None:
            worth = fmt.value(worthwhile, unit, signed=True)
            style.uprights(axes, [(worthwhile, say("worth a change from {worth}", worth=worth))])
        low, high = axes.get_xlim()
        style.unit_axis(axes.xaxis, unit)
        less, more = sides or (say("less than the control"), say("more than the control"))
        if sides is None and style.is_narrow(width):
            less, more = say("less"), say("more")
        center, up = -low / (high - low), 4 if worthwhile is None else 18
        if center > 0.25:
            style.note(axes, f"\N{LEFTWARDS ARROW} {less}", (0, 1), (-6, up), "xaxis", ha="right")
        if center < 0.75:
            style.note(axes, f"{more} \N{RIGHTWARDS ARROW}", (0, 1), (6, up), "xaxis", ha="left")
        return figure

    subtitle = f"{subtitle}; {say('filled: clearly different')}"
    body = [row for row in rows if not row.heading]
    clear = max((row for row in body if row.clear(0)), key=lambda row: abs(row.value), default=None)
    slots: dict[str, Any] = {**(words or {})}
    title = say(titles["none"], **slots)
    if clear:
        slots |= {"name": f"{clear.section} {clear.label}".strip(), "size": (abs(clear.value), unit)}
        title = say(titles["more" if clear.value > 0 else "less"], **slots)
    said = [(f"{row.section} {row.label}".strip(), row.value) for row in body]
    alt = say("Differences with their intervals. {what}: {said}.", what=subtitle, said=listed(said, unit))
    return Picture(draw, title, alt, table, subtitle)


def _over_price(
    table: Table,
    lines: Mapping[str, str],
    width: float,
    *,
    dots: pd.DataFrame,
    marks: Mapping[str, float] | None = None,
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
    price_unit = table.units["price"]
    _price_axis(axes, unit, price_unit)
    tested = sorted({float(price) for price in dots["x"]})
    if 1 < len(tested) < 9:  # the prices that were tested are those at the axis
        axes.set_xticks(tested, [fmt.value(price, price_unit) for price in tested])
    if any(name for name, *_ in ends):
        style.label_ends(axes, ends)
    if marks:
        style.uprights(axes, [(price, words) for words, price in marks.items()])
    if best is not None:
        along = axes.get_xaxis_transform()
        axes.plot([best.low, best.high], [0.012, 0.012], transform=along, color=PALETTE[0], lw=4)
    told = {name: (words, unit) for name, words in lines.items()}
    style.tips(
        axes,
        frame.iloc[:: max(1, len(frame) // 12)],
        "price",
        told,
        lambda price: fmt.value(price, price_unit),
    )
    return figure


def _draw_meter(meter: Any, width: float) -> Figure:
    frame, points = meter.curves.frame, meter.points.frame.dropna(subset="price")
    figure, axes = style.new_figure(4.0, width=width)
    if len(points):
        axes.axvspan(points["price"].min(), points["price"].max(), color=PALETTE[3], alpha=0.14, lw=0)
    key = {"too_cheap": 5, "not_cheap": 2, "not_expensive": 1, "too_expensive": 4}
    for name, color in key.items():
        dashes = "-" if name.startswith("too") else (0, (4, 2))
        axes.plot(frame["price"], frame[name], color=PALETTE[color], ls=dashes)
    axes.set_ylim(0, 1)
    # Where the lines move: 1 % are left aside at each end.
    busy = frame[(frame["too_cheap"] < 0.995) & (frame["too_expensive"] < 0.99)]
    busy = busy if len(busy) > 1 else frame
    axes.set_xlim(busy["price"].min(), busy["price"].max())
    unit = meter.points.units["price"]
    _price_axis(axes, "percent", unit)
    style.key(figure, [(name.replace("_", " "), PALETTE[color]) for name, color in key.items()])
    names = points["point"].astype(str).str.removesuffix(" price")
    crossings = zip(points["price"], map(word, names), strict=True)
    style.uprights(axes, [(price, f"{name} {fmt.value(price, unit)}") for price, name in crossings])
    told = {name: (name.replace("_", " "), "percent") for name in key}
    style.tips(
        axes, busy.iloc[:: max(1, len(busy) // 16)], "price", told, lambda price: fmt.value(price, unit)
    )
    return figure


def _price_axis(axes: Axes, unit: str, price_unit: str) -> None:
    style.unit_axis(axes.yaxis, unit)
    style.unit_axis(axes.xaxis, price_unit, bins=7)
    axes.grid(axis="x", visible=False)
    axes.set_xlabel(say("Price"))
