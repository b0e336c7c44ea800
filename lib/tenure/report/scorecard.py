"""A table of metrics that each have a unit of their own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from tenure.report import format as fmt
from tenure.report.tables import table

if TYPE_CHECKING:
    import pandas as pd


def scorecard(card: pd.DataFrame, *, caption: str, period: str, note: str = "") -> None:
    """Show metrics with their intervals, comparisons and targets, each in its unit.

    Args:
        card: Columns metric, unit, now, low, high, counted (whether it has no interval), n, before,
            against_before (better, worse, higher, lower or no clear change now against before), year_ago,
            against_year_ago, target, met.
        caption: What the table shows.
        period: What `now` is, such as "Oct 2026".
        note: A remark below the table.
    """
    written = {
        name: [fmt.value(value, unit) for value, unit in zip(card[name], card["unit"], strict=True)]
        for name in ("now", "before", "year_ago", "target")
    }
    ends = zip(card["low"], card["high"], card["unit"], card["counted"], strict=True)
    shown = card[["metric"]].assign(
        **{period: written["now"]},
        interval=["counted" if sure else fmt.interval(low, high, unit) for low, high, unit, sure in ends],
        based_on=card["n"],
        before=_with_verdict(written["before"], card["against_before"]),
        a_year_ago=_with_verdict(written["year_ago"], card["against_year_ago"]),
    )
    if card["target"].notna().any():
        shown["target"] = [
            f"{target} {'met' if met == 'yes' else 'missed'}" if met else target
            for target, met in zip(written["target"], card["met"], strict=True)
        ]
    same = _SIGNS["no clear change"]
    signs = f"▲ and ▼ say how {period} compares with it, {same} that there is no clear change."
    table(shown, caption=caption, note=f"{signs} {note}".strip())


def with_intervals(frame: pd.DataFrame, units: Mapping[str, str]) -> pd.DataFrame:
    """Return a frame with values and their intervals as one text a cell.

    Args:
        frame: For each column of `units` that column and the same with _low and _high.
        units: The columns' units.

    Example:
        >>> import pandas as pd
        >>> frame = pd.DataFrame({"cac": [1000.0], "cac_low": [900.0], "cac_high": [1100.0]})
        >>> with_intervals(frame, {"cac": "money:EUR"})["cac"].tolist()
        ['€10.00 (€9.00 to €11.00)']
    """
    return frame.assign(
        **{
            name: _written(frame[[name, f"{name}_low", f"{name}_high"]].to_numpy(dtype=float).tolist(), unit)
            for name, unit in units.items()
        }
    )


def _written(rows: list[list[float]], unit: str) -> list[str]:
    """Values and their intervals as texts; of money with the same decimals in all of them."""
    money = unit.startswith("money:")
    alike = iter(fmt.column([number for row in rows for number in row], unit))
    texts = []
    for value, low, high in rows:
        same = next(alike), next(alike), next(alike)
        text = same[0] if money else fmt.value(value, unit)
        if not (fmt.missing(low) and fmt.missing(high)):
            known = money and not fmt.missing(low) and not fmt.missing(high)
            text += f" ({same[1]} to {same[2]})" if known else f" ({fmt.interval(low, high, unit)})"
        texts.append(text)
    return texts


_SIGNS = {"better": "▲", "worse": "▼", "higher": "▲", "lower": "▼", "no clear change": "≈"}


def _with_verdict(values: list[str], verdicts: Iterable[str]) -> list[str]:
    words = []
    for value, verdict in zip(values, verdicts, strict=True):
        sign = _SIGNS.get(verdict, "")
        words.append(value if not sign else f"{value} {sign}" + (f" {verdict}" if sign != "≈" else ""))
    return words
